#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| drop(collectors::opcua::fuzz::answer(bytes)));
