//! What is shared by tests and fuzzers.

pub mod fuzz;
