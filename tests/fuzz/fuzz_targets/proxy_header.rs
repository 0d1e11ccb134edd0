//! `porter::fuzz::proxy_header` under libFuzzer.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| porter::fuzz::proxy_header(input));
