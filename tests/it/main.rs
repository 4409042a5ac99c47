//! One integration binary over the whole of taffrail.

#![allow(
    clippy::disallowed_methods,
    clippy::panic,
    reason = "the tests look at stores from outside, with files and threads of their own"
)]

mod bad_input;
mod beside_damage;
mod bundles;
mod command_line;
mod compaction;
mod console;
mod crashes;
mod damaged;
mod demo;
mod drills;
mod dumping;
mod findings;
mod going_back;
mod hints;
mod imports;
mod imports_fold;
mod interrupts;
mod kit;
#[path = "../../lab/lab_result.rs"]
mod lab_result;
mod mounts;
mod processes;
mod progress;
mod reading_only;
mod readme;
mod redaction;
mod repair;
mod security;
mod security_page;
mod special_files;
mod states;
mod terminal;
