//! What an installation is told.

#![no_main]

libfuzzer_sys::fuzz_target!(|text: &[u8]| {
    holdfast_fuzz::config(text);
});
