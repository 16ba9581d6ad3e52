//! Recorded certificates, whole and damaged.

use super::chain::{Chain, Shown, examine};
use super::trust::Store;
use super::*;

fn recorded(file: &str) -> Vec<u8> {
    std::fs::read(std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/wire").join(file)).unwrap()
}

fn read(file: &str) -> Certificate {
    parse(&recorded(file)).unwrap()
}

fn shown(files: &[&str], staple: &str) -> Shown {
    let staple = (!staple.is_empty()).then(|| recorded(staple));
    Shown { certificates: files.iter().map(|f| recorded(f)).collect(), staple, staple_asked: true, scts: None, server_name: "x.a.example".into() }
}

fn judged(shown: &Shown) -> Chain {
    examine(shown, &Store::from_bytes("root", &recorded("chain-root.der")))
}

#[test]
fn an_old_self_signed_certificate_is_read_in_full() {
    let c = read("cert-rsa1024-sha1.der");
    assert_eq!((c.key_kind.as_str(), c.key_bits, c.key_exponent), ("rsa", 1024, 65_537));
    assert_eq!((c.signature.as_str(), c.signature_hash.as_str()), ("sha1WithRSAEncryption", "sha1"));
    assert!(c.self_signed);
    assert_eq!(c.subject_name, "CN=old.example,O=A\\, B\\+C,C=DE");
    assert_eq!(c.names, ["old.example", "192.0.2.7", "2001:db8::7"]);
    assert_eq!(c.not_after - c.not_before, 30 * 86_400);
}

#[test]
fn a_leaf_named_like_its_issuer_is_not_self_signed() {
    let c = read("cert-p256-same-name.der");
    assert_eq!((c.key_kind.as_str(), c.key_bits, c.key_curve.as_str(), c.self_signed), ("ec", 256, "P-256", false));
    assert_eq!(c.subject_name, c.issuer_name);
}

#[test]
fn own_signatures_of_every_kind_are_verified() {
    for (file, kind, bits, hash) in [
        ("cert-md5.der", "rsa", 2048, "md5"),
        ("cert-rsa512-md5.der", "rsa", 512, "md5"),
        ("cert-rsa1024-pss.der", "rsa", 1024, "sha256"),
        ("cert-rsa16384.der", "rsa", 16_384, "sha512"),
        ("cert-ecdsa-p521.der", "ec", 521, "sha512"),
        ("cert-ed25519.der", "ed25519", 256, ""),
        ("cert-ed448.der", "ed448", 456, ""),
    ] {
        let c = read(file);
        assert_eq!((c.key_kind.as_str(), c.key_bits, c.signature_hash.as_str(), c.self_signed), (kind, bits, hash, true), "{file}");
        assert_eq!(c.key_pss_only, file.ends_with("pss.der"));
        let mut forged = recorded(file);
        *forged.last_mut().unwrap() ^= 1;
        assert!(!parse(&forged).unwrap().self_signed, "{file}");
    }
}

#[test]
fn every_extension_of_a_leaf_is_told() {
    let c = read("chain-leaf.der");
    assert_eq!(c.names, ["a.example", "*.a.example", "192.0.2.7"]);
    assert_eq!((c.names_count, c.name_kinds.join(" ")), (5, "dNSName iPAddress rfc822Name uniformResourceIdentifier".into()));
    assert_eq!((c.common_names, c.version, c.is_ca, c.path_length), (vec!["a.example".to_string()], 3, false, None));
    assert_eq!(
        (c.key_usage, c.extended_key_usage),
        (vec!["digitalSignature".to_string()], ["serverAuth", "clientAuth", "1.2.3.4.5"].map(String::from).to_vec())
    );
    assert_eq!(
        (c.ocsp.join(" "), c.ca_issuers.join(" "), c.crl.join(" ")),
        ("http://ocsp.example/".into(), "http://ca.example/sub.der".into(), "http://ca.example/sub.crl".into())
    );
    assert_eq!((c.must_staple, c.policies, c.scts_count), (true, vec!["2.23.140.1.2.1".to_string()], 2));
    assert_eq!(c.authority_key_id, read("chain-sub.der").subject_key_id);
    assert_eq!(c.key_sha256.len(), 64);
    assert!(c.unknown_critical.is_empty() && c.problems.is_empty(), "{:?}", c.problems);
}

#[test]
fn broken_extensions_are_named_and_the_others_read() {
    let c = read("cert-malformed.der");
    let named: Vec<&str> = c.problems.iter().map(|p| p.split(':').next().unwrap()).collect();
    assert_eq!(named, ["subjectAltName", "basicConstraints", "keyUsage", "tlsFeature"], "{:?}", c.problems);
    assert_eq!((c.extended_key_usage, c.unknown_critical), (vec!["serverAuth".to_string()], vec!["1.2.3.4".to_string()]));
}

#[test]
fn a_chain_and_its_staple_are_judged() {
    let chain = judged(&shown(&["chain-leaf.der", "chain-sub.der"], "ocsp-good.der"));
    assert_eq!((chain.trust.as_str(), chain.anchor.as_str(), chain.name_matches), ("trusted", "CN=Root,O=Lab", Some(true)), "{}", chain.trust_detail);
    assert!(chain.in_order && chain.complete && !chain.anchor_sent && chain.violations.is_empty());
    let staple = chain.staple.unwrap();
    assert_eq!(
        (staple.signature.as_str(), staple.certificate_status.as_str(), staple.about_leaf, staple.delegated),
        ("valid", "good", true, false),
        "{staple:#?}"
    );
    assert_eq!(chain.scts.iter().map(|s| (s.logged_at, s.shown_in.as_str())).collect::<Vec<_>>(), [(1_790_000_000, "certificate"); 2]);

    let revoked = judged(&shown(&["chain-leaf.der", "chain-sub.der"], "ocsp-revoked.der")).staple.unwrap();
    assert_eq!(
        (revoked.certificate_status.as_str(), revoked.revocation_reason.as_str(), revoked.revoked_at),
        ("revoked", "keyCompromise", Some(1_793_502_245))
    );
    let delegated = judged(&shown(&["chain-leaf.der", "chain-sub.der"], "ocsp-delegated.der")).staple.unwrap();
    assert_eq!((delegated.signature.as_str(), delegated.delegated, delegated.responder.as_str()), ("valid", true, "CN=Responder"));
    let alone = judged(&shown(&["chain-leaf.der"], "ocsp-good.der"));
    assert_eq!((alone.trust.as_str(), alone.complete, alone.staple.unwrap().signature.as_str()), ("issuer-not-found", false, "issuer-unknown"));
    let crossed = judged(&shown(&["chain-leaf.der", "chain-cross.der", "chain-sub.der", "chain-other.der"], ""));
    assert_eq!((crossed.trust.as_str(), crossed.path, crossed.extra), ("trusted", vec![1, 3], vec![]));
}

#[test]
fn a_server_is_not_excused_by_a_certificate_that_cannot_be_read() {
    let mut broken = shown(&["chain-leaf.der", "chain-sub.der"], "");
    broken.certificates.insert(1, vec![0x30, 1, 0]);
    let chain = judged(&broken);
    assert_eq!((chain.trust.as_str(), chain.unreadable.len(), chain.unreadable[0].0), ("trusted", 1, 2));
    broken.certificates[0].truncate(100);
    let lost = judged(&broken);
    assert_eq!((lost.trust.as_str(), lost.certificates.len()), ("unreadable", 0));
    assert_eq!(judged(&Shown::default()).trust, "unreadable");
}

#[test]
fn damage_never_panics_and_never_makes_trust() {
    let whole = shown(&["chain-leaf.der", "chain-sub.der"], "ocsp-delegated.der");
    let store = Store::from_bytes("root", &recorded("chain-root.der"));
    for place in 0..2 {
        for at in 0..whole.certificates[place].len() {
            let mut mutated = whole.clone();
            mutated.certificates[place][at] ^= 0x55;
            let chain = examine(&mutated, &store);
            assert_ne!(chain.trust, "trusted", "byte {at} of certificate {place}");
            mutated.certificates[place].truncate(at);
            assert!(!examine(&mutated, &store).unreadable.is_empty());
        }
    }
    let staple = whole.staple.clone().unwrap();
    for at in 0..staple.len() {
        for flip in [0x01, 0x55, 0x80] {
            let mut mutated = whole.clone();
            if let Some(byte) = mutated.staple.as_mut().and_then(|s| s.get_mut(at)) {
                *byte ^= flip;
            }
            let found = examine(&mutated, &store).staple.unwrap();
            assert!(found.signature != "valid" || found.certificate_status == "good", "byte {at}: {found:#?}");
        }
    }
}

#[test]
fn damage_to_certificates_of_every_kind_never_panics() {
    for file in ["cert-md5.der", "cert-malformed.der", "cert-rsa1024-pss.der", "cert-ed448.der", "cert-ecdsa-p521.der"] {
        let der = recorded(file);
        for at in 0..der.len() {
            let mut mutated = der.clone();
            mutated[at] ^= 0x55;
            let _ = parse(&mutated);
            assert!(parse(&der[..at]).is_err(), "{file} {at}");
        }
    }
}

#[test]
fn hostile_numbers_cost_little() {
    // The largest key that is calculated with, and an exponent beyond the limit: whoever sends it gets no minutes of ours.
    let der = recorded("cert-rsa16384.der");
    let exponent = der.windows(5).position(|w| w == [2, 3, 1, 0, 1]).unwrap();
    let mut huge = der;
    // The modulus gives 16 of its bytes to the exponent: lengths stay right.
    let modulus = exponent - 2048;
    assert_eq!(huge[modulus - 5..modulus - 1], [2, 0x82, 8, 1]);
    huge[modulus - 2] = 0xf1;
    huge[modulus - 3] = 7;
    huge[exponent - 16..exponent + 2].copy_from_slice(&[2, 19, 0x7f, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1]);
    let c = parse(&huge).unwrap();
    assert_eq!((c.key_bits, c.key_exponent), (16_256, 0));
    assert!(c.self_signed, "what can't be calculated goes by the key identifiers");
}
