//! The `taffrail` binary.

/// Folding is making small values by the million and giving them back, which this allocator does in a third less time than that of
/// the system: docs/performance.md, "Folding".
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::process::ExitCode {
    taffrail_cli::main()
}
