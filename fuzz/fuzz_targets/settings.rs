//! See `tests/src/fuzz/settings.rs`.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| taffrail_tests::fuzz::settings::run(bytes));
