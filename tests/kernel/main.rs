//! taffrail on real kernels: calls that fail or are the process's last, full disks, power cuts, disks that lie, races.
//!
//! All of it takes minutes, programs that are not everywhere, and most of it root; so it is left out of a plain `cargo test`, and
//! the lab runs it (`just lab`). Each module says what it needs. What can not run says so in its `lab-result` line, with the
//! reason, and is not counted as passed.

#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    clippy::panic,
    clippy::print_stdout,
    reason = "these tests look at stores from outside, with files, clocks and threads of their own"
)]

mod block_log;
mod disks;
mod faults;
mod injection;
#[path = "../it/kit.rs"]
#[allow(dead_code, reason = "shared with the other tests, which use all of it")]
mod kit;
mod leaked;
mod lying_disk;
mod machine;
mod mutations;
mod oracle;
mod packed;
mod power_cuts;
mod races;
mod result;
