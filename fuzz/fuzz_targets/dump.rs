//! See `tests/src/fuzz/dump.rs`.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| taffrail_tests::fuzz::dump::run(bytes));
