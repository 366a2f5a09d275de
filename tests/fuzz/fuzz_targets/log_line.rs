#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| collectors::log::fuzz::log_line(bytes));
