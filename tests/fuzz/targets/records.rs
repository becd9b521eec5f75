//! What is read back from the coordination table and from the bus.

#![no_main]

libfuzzer_sys::fuzz_target!(|stored: &[u8]| {
    holdfast_fuzz::records(stored);
});
