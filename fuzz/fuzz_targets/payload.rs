//! See `tests/src/fuzz/payload.rs`.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| taffrail_tests::fuzz::payload::run(bytes));
