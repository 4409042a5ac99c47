//! See `tests/src/fuzz/store.rs`.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| taffrail_tests::fuzz::store::run(bytes));
