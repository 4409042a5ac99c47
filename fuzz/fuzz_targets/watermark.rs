//! See `tests/src/fuzz/watermark.rs`.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| taffrail_tests::fuzz::watermark::run(bytes));
