//! `porter::fuzz::http` under libFuzzer.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| porter::fuzz::http(input));
