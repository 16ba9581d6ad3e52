//! Whatever arrives signed, or claims to: envelopes, leaves, checkpoints, reports, bundles.
#![no_main]

use assay::evidence::verify;
use assay::ledger::{checkpoint, leaf::Leaf};
use assay::model::envelope::Envelope;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    if let Ok(envelope) = Envelope::parse(data) {
        let _ = envelope.payload_bytes();
        assert_eq!(Envelope::parse(&envelope.to_bytes()).ok().as_ref(), Some(&envelope));
    }
    if let Ok(leaf) = Leaf::parse(data) {
        // What is read is what would be written: a leaf has one form.
        assert_eq!(leaf.to_bytes().ok().as_deref(), Some(data));
    }
    if let Ok(text) = std::str::from_utf8(data) {
        let _ = checkpoint::peek(text);
    }
    let _ = verify::verify(data, None);
});
