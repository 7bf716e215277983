#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    if let Err(failure) = trypema_fuzz::absolute(bytes) {
        panic!("{failure}");
    }
});
