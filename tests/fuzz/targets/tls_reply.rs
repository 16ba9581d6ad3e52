//! What a TLS server may answer, in pieces of any size, and its certificates.
#![no_main]

use assay::probe::tls::certificate;
use assay::probe::tls::server_reply::{Collector, End};

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let Some((&cut, data)) = data.split_first() else { return };
    let mut collector = Collector::default();
    let certain = data.chunks(usize::from(cut).max(1)).find_map(|piece| collector.feed(piece));
    if certain.is_none() {
        let _ = collector.end(End::Closed);
    }
    let _ = certificate::parse(data);
});
