//! What starts a function.

#![no_main]

libfuzzer_sys::fuzz_target!(|payload: &[u8]| {
    holdfast_fuzz::trigger(payload);
});
