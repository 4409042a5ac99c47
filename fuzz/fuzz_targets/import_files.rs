//! See `tests/src/fuzz/import_files.rs`.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| taffrail_tests::fuzz::import_files::run(bytes));
