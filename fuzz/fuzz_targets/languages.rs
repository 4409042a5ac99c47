//! See `tests/src/fuzz/languages.rs`.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| taffrail_tests::fuzz::languages::run(bytes));
