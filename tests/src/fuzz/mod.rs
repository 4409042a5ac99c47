//! The bodies of the fuzz targets. libFuzzer calls them by way of `fuzz/fuzz_targets`, with a nightly compiler; the test
//! `corpus` calls them with every committed input, with any compiler.
//!
//! A body panics where something is not as it should be. None of them keeps anything from one input to the next.

#![allow(
    clippy::panic,
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "a fuzz target is a test: it panics, and looks at files from outside"
)]

pub mod bodies;
pub mod dump;
mod edits;
pub mod frame;
pub mod import_export;
pub mod import_files;
pub mod languages;
pub mod payload;
pub mod settings;
pub mod store;
pub mod tail;
pub mod watermark;

/// A target: its name and its body.
pub type Target = (&'static str, fn(&[u8]));

/// Every target.
pub const TARGETS: [Target; 11] = [
    ("bodies", bodies::run),
    ("dump", dump::run),
    ("frame", frame::run),
    ("import_export", import_export::run),
    ("import_files", import_files::run),
    ("languages", languages::run),
    ("payload", payload::run),
    ("settings", settings::run),
    ("store", store::run),
    ("tail", tail::run),
    ("watermark", watermark::run),
];
