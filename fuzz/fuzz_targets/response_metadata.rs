#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| klamm_fuzz_targets::response_metadata(data));
