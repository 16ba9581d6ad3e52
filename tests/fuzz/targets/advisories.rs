//! An index of advisories from anywhere: every frame and entry of it can be walked, or it is refused.
#![no_main]

use assay::advisory::Index;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let Ok(index) = Index::from_bytes(data.to_vec()) else { return };
    let _ = index.verify();
    for number in 0..8 {
        let Ok(frame) = index.frame(number) else { continue };
        for entry in 0..32 {
            let _ = frame.entry(entry);
        }
        let _ = frame.ranges_of("openssl");
    }
});
