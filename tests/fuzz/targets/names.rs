//! Names: Regions, clusters, currencies, topics.

#![no_main]

libfuzzer_sys::fuzz_target!(|text: &[u8]| {
    holdfast_fuzz::names(text);
});
