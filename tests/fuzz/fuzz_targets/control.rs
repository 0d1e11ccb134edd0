//! `porter::fuzz::control` under libFuzzer.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| porter::fuzz::control(input));
