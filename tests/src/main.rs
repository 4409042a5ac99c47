//! The command under test.

fn main() -> std::process::ExitCode {
    taffrail_cli::main()
}
