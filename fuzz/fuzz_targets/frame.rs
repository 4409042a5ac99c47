//! See `tests/src/fuzz/frame.rs`.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| taffrail_tests::fuzz::frame::run(bytes));
