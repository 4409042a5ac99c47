//! See `tests/src/fuzz/tail.rs`.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| taffrail_tests::fuzz::tail::run(bytes));
