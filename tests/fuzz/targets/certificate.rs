//! Certificates and a stapled response as a server may show them, cut at any place: parsing, paths,
//! signatures, names.
#![no_main]

use std::sync::LazyLock;

use assay::probe::tls::certificate::chain::{Shown, examine};
use assay::probe::tls::certificate::parse;
use assay::probe::tls::certificate::trust::Store;

static STORE: LazyLock<Store> = LazyLock::new(|| Store::from_bytes("root", include_bytes!("../../wire/chain-root.der")));

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    // Parts with a length of two octets: staple, timestamps, certificates.
    let mut parts = Vec::new();
    let mut rest = data;
    while let Some((length, after)) = rest.split_first_chunk::<2>() {
        let (part, after) = after.split_at(usize::from(u16::from_be_bytes(*length)).min(after.len()));
        parts.push(part.to_vec());
        rest = after;
    }
    let mut parts = parts.into_iter();
    let (staple, scts) = (parts.next(), parts.next());
    let certificates: Vec<Vec<u8>> = parts.take(16).collect();
    for der in &certificates {
        let _ = parse(der);
    }
    let chain = examine(&Shown { certificates, staple, staple_asked: true, scts, server_name: "a.example".into() }, &STORE);
    assert!(!chain.trust.is_empty());
    let _ = Store::from_bytes("data", data);
});
