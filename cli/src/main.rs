//! The `taffrail` binary.

fn main() -> std::process::ExitCode {
    taffrail_cli::main()
}
