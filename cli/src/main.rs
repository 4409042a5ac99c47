//! The `taffrail` binary.

/// Folding makes small values by the million and gives them back, which is what this allocator is made for: docs/performance.md,
/// "Folding".
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::process::ExitCode {
    taffrail_cli::main()
}
