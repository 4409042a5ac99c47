//! See `tests/src/fuzz/bodies.rs`.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| taffrail_tests::fuzz::bodies::run(bytes));
