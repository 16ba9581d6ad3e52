//! Chains as assay and as openssl see them: every kind of key and signature, and what a path may be.

use assay::probe::tls::certificate::chain::{Chain, Shown, examine};
use assay::probe::tls::certificate::trust::Store;

use crate::lab::forge::{AUTHORITY, Forge, LEAF, Make, ROOT, SUB, pem};

fn store(anchors: &[Vec<u8>]) -> Store {
    Store::from_bytes("anchors", anchors.iter().map(|der| pem(der)).collect::<String>().as_bytes())
}

fn look(sent: &[Vec<u8>], anchors: &[Vec<u8>]) -> Chain {
    examine(&Shown { certificates: sent.to_vec(), server_name: "a.example".into(), ..Shown::default() }, &store(anchors))
}

/// Our word for an error of `openssl verify` (openssl-verification-options(1)).
fn words(error: Result<(), u32>) -> &'static [&'static str] {
    match error {
        Ok(()) => &["trusted"],
        Err(7) => &["signature-invalid"],
        Err(18) => &["self-signed"],
        Err(19) => &["anchor-not-in-store"],
        Err(20 | 21) => &["issuer-not-found"],
        Err(79) => &["issuer-not-a-ca"],
        Err(25) => &["path-length-exceeded"],
        Err(26) => &["not-for-servers", "issuer-not-for-servers"],
        Err(32) => &["key-usage-forbids"],
        Err(34) => &["unknown-critical-extension"],
        Err(47 | 48) => &["name-constraints-violated"],
        Err(_) => &[],
    }
}

/// Both look at the same chain; what they say must mean the same.
fn agree(forge: &Forge, case: &str, sent: &[Vec<u8>], anchors: &[Vec<u8>], expected: &str) -> Chain {
    let theirs = forge.verify(sent, anchors, &[]);
    let ours = look(sent, anchors);
    assert_eq!(ours.trust, expected, "{case}: {}", ours.trust_detail);
    assert!(words(theirs).contains(&ours.trust.as_str()), "{case}: openssl says {theirs:?}, assay {}: {}", ours.trust, ours.trust_detail);
    ours
}

#[test]
fn every_kind_of_signature_is_verified_like_openssl_does() {
    const PSS: &[&str] = &["-sigopt", "rsa_padding_mode:pss", "-sigopt"];
    let pss = |rest: &[&'static str]| -> Vec<&'static str> { PSS.iter().chain(rest).copied().collect() };
    let mut kinds: Vec<(&str, Vec<&str>)> = vec![
        ("rsa:512", vec!["-md5"]),
        ("rsa:512", vec!["-sha1"]),
        ("rsa:1024", vec!["-md5"]),
        ("rsa:1024", vec!["-sha1"]),
        ("rsa:1024", vec!["-sha512"]),
        ("rsa:2047", vec!["-sha256"]),
        ("rsa:2048", vec!["-sha224"]),
        ("rsa:2048", vec!["-sha256"]),
        ("rsa:3072", vec!["-sha384"]),
        ("rsa:4096", vec!["-sha512"]),
        ("rsa:2048", pss(&["rsa_pss_saltlen:32", "-sha256"])),
        ("rsa:1025", pss(&["rsa_pss_saltlen:20", "-sha1"])),
        ("rsa:2048", pss(&["rsa_pss_saltlen:max", "-sha512"])),
        ("rsa:1031", pss(&["rsa_pss_saltlen:0", "-sha384", "-sigopt", "rsa_mgf1_md:sha256"])),
        ("rsa-pss:2048", vec!["-sha256"]),
        ("dsa:1024", vec!["-sha1"]),
        ("dsa:2048", vec!["-sha256"]),
        ("ed25519", vec![]),
        ("ed448", vec![]),
        ("ec:P-256", vec!["-sha1"]),
        ("ec:P-256", vec!["-sha256"]),
        ("ec:P-256", vec!["-sha512"]),
        ("ec:P-384", vec!["-sha384"]),
        ("ec:P-384", vec!["-sha224"]),
        ("ec:P-521", vec!["-sha512"]),
        ("ec:P-521", vec!["-sha256"]),
    ];
    let curves = ["prime192v1", "secp224r1", "secp256k1", "secp160r1", "brainpoolP256r1", "brainpoolP384t1", "brainpoolP512r1"];
    let curves: Vec<String> = curves.iter().map(|c| format!("ec:{c}")).collect();
    kinds.extend(curves.iter().map(|c| (c.as_str(), vec!["-sha256"])));
    for (key, arguments) in kinds {
        let case = format!("{key} {arguments:?}");
        let forge = Forge::new();
        let root = forge.make(Make { key, arguments: &arguments, ..ROOT });
        let leaf = forge.make(Make { arguments: &arguments, ..LEAF });
        let sent = [leaf.clone(), root.clone()];
        let chain = agree(&forge, &case, &sent, std::slice::from_ref(&root), "trusted");
        assert!(chain.certificates[1].self_signed && chain.in_order && chain.complete, "{case}: {chain:#?}");
        // The last byte lies in the signature.
        let mut forged = leaf;
        *forged.last_mut().unwrap() ^= 1;
        agree(&forge, &format!("{case} damaged"), &[forged, root.clone()], &[root], "signature-invalid");
    }
}

#[test]
fn a_signature_that_cannot_be_calculated_is_said_to_be_so() {
    let forge = Forge::new();
    let root = forge.make(Make { key: "ec:sect283r1", ..ROOT });
    let leaf = forge.make(LEAF);
    let chain = look(&[leaf], &[root]);
    assert_eq!((chain.trust.as_str(), chain.trust_detail.as_str()), ("signature-not-verifiable", "curve sect283r1 is not calculated with"));
    assert!(chain.complete);
}

/// A chain: what is made, in order; what is sent; what the store holds; what assay says.
type Case<'a> = (&'a str, Vec<Make<'a>>, &'a [&'a str], &'a [&'a str], &'a str);

#[test]
fn paths_are_judged_like_openssl_does() {
    const UNDER_SUB: Make<'_> = Make { issuer: "sub", ..LEAF };
    const OTHER: Make<'_> = Make { name: "other", subject: "/CN=Other", ..ROOT };
    const SAME_NAME: Make<'_> = Make { name: "same", ..ROOT };
    let leaf = |extensions| Make { extensions, ..LEAF };
    let sub = |extensions| Make { extensions, ..SUB };
    let below = |name, issuer| Make { name, issuer, subject: "/O=Lab/CN=Sub 2", ..SUB };
    let leaf_of = |issuer| Make { issuer, ..LEAF };
    let nc = |constraint: &str| format!("{AUTHORITY}\nnameConstraints=critical,{constraint}");
    let constrained: Vec<String> = [
        "permitted;DNS:example",
        "permitted;DNS:b.example",
        "excluded;DNS:a.example",
        "excluded;DNS:b.example,permitted;DNS:a.example,permitted;DNS:w.example",
        "permitted;IP:192.0.2.0/255.255.255.0",
        "permitted;IP:198.51.100.0/255.255.255.0",
        "excluded;IP:192.0.2.7/255.255.255.255",
        "permitted;dirName:inside",
    ]
    .iter()
    .map(|c| nc(c))
    .collect();
    let inside = nc("permitted;dirName:inside") + "\n[inside]\nO=Lab";
    let outside = nc("permitted;dirName:inside") + "\n[inside]\nO=Other";
    let mail = nc("permitted;email:a.example");
    let ok = "trusted";
    let violated = "name-constraints-violated";
    let cases: Vec<Case<'_>> = vec![
        ("root signs leaf", vec![ROOT, LEAF], &["leaf"], &["root"], ok),
        ("root is sent too", vec![ROOT, LEAF], &["leaf", "root"], &["root"], ok),
        ("through an intermediate", vec![ROOT, SUB, UNDER_SUB], &["leaf", "sub"], &["root"], ok),
        ("intermediate is missing", vec![ROOT, SUB, UNDER_SUB], &["leaf"], &["root"], "issuer-not-found"),
        ("self-signed", vec![ROOT, Make { issuer: "", ..LEAF }], &["leaf"], &["root"], "self-signed"),
        ("self-signed and in the store", vec![Make { issuer: "", ..LEAF }], &["leaf"], &["leaf"], ok),
        ("root is not in the store", vec![ROOT, OTHER, SUB, UNDER_SUB], &["leaf", "sub", "root"], &["other"], "anchor-not-in-store"),
        ("root is neither sent nor in the store", vec![ROOT, OTHER, SUB, UNDER_SUB], &["leaf", "sub"], &["other"], "issuer-not-found"),
        ("wrong order", vec![ROOT, SUB, UNDER_SUB], &["leaf", "root", "sub"], &["root"], ok),
        ("an unrelated certificate", vec![ROOT, OTHER, SUB, UNDER_SUB], &["leaf", "other", "sub"], &["root"], ok),
        ("one certificate twice", vec![ROOT, SUB, UNDER_SUB], &["leaf", "sub", "sub"], &["root"], ok),
        ("a leaf issues", vec![ROOT, sub("basicConstraints=CA:FALSE"), UNDER_SUB], &["leaf", "sub"], &["root"], "issuer-not-a-ca"),
        (
            "a certificate without basic constraints issues",
            vec![ROOT, sub("keyUsage=digitalSignature"), UNDER_SUB],
            &["leaf", "sub"],
            &["root"],
            "issuer-not-a-ca",
        ),
        ("an intermediate of version 1", vec![ROOT, sub("none"), UNDER_SUB], &["leaf", "sub"], &["root"], "issuer-not-a-ca"),
        ("a root of version 1", vec![Make { extensions: "none", ..ROOT }, LEAF], &["leaf"], &["root"], ok),
        ("a root that is no authority", vec![Make { extensions: "basicConstraints=CA:FALSE", ..ROOT }, LEAF], &["leaf"], &["root"], "issuer-not-a-ca"),
        (
            "path length is kept",
            vec![ROOT, sub("basicConstraints=critical,CA:TRUE,pathlen:1"), below("sub2", "sub"), leaf_of("sub2")],
            &["leaf", "sub2", "sub"],
            &["root"],
            ok,
        ),
        (
            "path length is exceeded",
            vec![ROOT, sub("basicConstraints=critical,CA:TRUE,pathlen:0"), below("sub2", "sub"), leaf_of("sub2")],
            &["leaf", "sub2", "sub"],
            &["root"],
            "path-length-exceeded",
        ),
        (
            "path length of the root is exceeded",
            vec![Make { extensions: "basicConstraints=critical,CA:TRUE,pathlen:0", ..ROOT }, SUB, UNDER_SUB],
            &["leaf", "sub"],
            &["root"],
            "path-length-exceeded",
        ),
        (
            "a self-issued certificate does not count",
            vec![
                Make { extensions: "basicConstraints=critical,CA:TRUE,pathlen:0", ..ROOT },
                Make { name: "rolled", key: "ec:P-384", issuer: "root", ..ROOT },
                leaf_of("rolled"),
            ],
            &["leaf", "rolled"],
            &["root"],
            ok,
        ),
        ("a leaf for clients", vec![ROOT, leaf("subjectAltName=DNS:a.example\nextendedKeyUsage=clientAuth")], &["leaf"], &["root"], "not-for-servers"),
        ("a leaf for signing certificates", vec![ROOT, leaf("subjectAltName=DNS:a.example\nkeyUsage=cRLSign")], &["leaf"], &["root"], "not-for-servers"),
        (
            "an authority for people",
            vec![ROOT, sub("basicConstraints=CA:TRUE\nextendedKeyUsage=emailProtection"), UNDER_SUB],
            &["leaf", "sub"],
            &["root"],
            "issuer-not-for-servers",
        ),
        ("an unknown critical extension of the leaf", vec![ROOT, leaf("1.2.3.4=critical,ASN1:UTF8:x")], &["leaf"], &["root"], "unknown-critical-extension"),
        ("an unknown extension", vec![ROOT, leaf("1.2.3.4=ASN1:UTF8:x")], &["leaf"], &["root"], ok),
        (
            "an unknown critical extension of an authority",
            vec![ROOT, sub("basicConstraints=CA:TRUE\n1.2.3.4=critical,ASN1:UTF8:x"), UNDER_SUB],
            &["leaf", "sub"],
            &["root"],
            "unknown-critical-extension",
        ),
        ("names are inside", vec![ROOT, sub(&constrained[0]), leaf_of("sub")], &["leaf", "sub"], &["root"], ok),
        ("names are outside", vec![ROOT, sub(&constrained[1]), leaf_of("sub")], &["leaf", "sub"], &["root"], violated),
        ("a name is excluded", vec![ROOT, sub(&constrained[2]), leaf_of("sub")], &["leaf", "sub"], &["root"], violated),
        ("another name is excluded", vec![ROOT, sub(&constrained[3]), leaf_of("sub")], &["leaf", "sub"], &["root"], ok),
        ("the address is inside", vec![ROOT, sub(&constrained[4]), leaf_of("sub")], &["leaf", "sub"], &["root"], ok),
        ("the address is outside", vec![ROOT, sub(&constrained[5]), leaf_of("sub")], &["leaf", "sub"], &["root"], violated),
        ("the address is excluded", vec![ROOT, sub(&constrained[6]), leaf_of("sub")], &["leaf", "sub"], &["root"], violated),
        ("the directory name is inside", vec![ROOT, sub(&inside), Make { subject: "/O=lab/CN=a.example", ..UNDER_SUB }], &["leaf", "sub"], &["root"], ok),
        (
            "the directory name is outside",
            vec![ROOT, sub(&outside), Make { subject: "/O=Lab/CN=a.example", ..UNDER_SUB }],
            &["leaf", "sub"],
            &["root"],
            violated,
        ),
        (
            "the mail address is outside",
            vec![ROOT, sub(&mail), Make { extensions: "subjectAltName=DNS:a.example,email:x@b.example", ..UNDER_SUB }],
            &["leaf", "sub"],
            &["root"],
            violated,
        ),
        ("constraints of a root", vec![Make { extensions: &constrained[1], ..ROOT }, SUB, UNDER_SUB], &["leaf", "sub"], &["root"], violated),
        (
            "another key of the same name, no identifiers",
            vec![
                Make { extensions: "basicConstraints=CA:TRUE\nsubjectKeyIdentifier=none", ..ROOT },
                Make { extensions: "basicConstraints=CA:TRUE\nsubjectKeyIdentifier=none", ..SAME_NAME },
                leaf("subjectKeyIdentifier=none\nauthorityKeyIdentifier=none"),
            ],
            &["leaf"],
            &["same"],
            "signature-invalid",
        ),
        ("another key of the same name", vec![ROOT, SAME_NAME, LEAF], &["leaf"], &["same"], "issuer-not-found"),
        ("both keys of one name are in the store", vec![ROOT, SAME_NAME, LEAF], &["leaf"], &["same", "root"], ok),
        (
            "cross-signed root",
            vec![ROOT, OTHER, Make { name: "crossroot", key: "=root", issuer: "other", ..ROOT }, SUB, UNDER_SUB],
            &["leaf", "sub", "crossroot"],
            &["root"],
            ok,
        ),
        (
            "cross-signed root, the old one known",
            vec![ROOT, OTHER, Make { name: "crossroot", key: "=root", issuer: "other", ..ROOT }, SUB, UNDER_SUB],
            &["leaf", "sub", "crossroot"],
            &["other"],
            ok,
        ),
        (
            "names that differ in case, spaces and kind of string",
            vec![ROOT, Make { name: "shout", subject: "/O=LAB/CN=  ROOT ", key: "=root", ..ROOT }, Make { arguments: &[], ..LEAF }],
            &["leaf"],
            &["shout"],
            ok,
        ),
        ("no subject", vec![ROOT, Make { subject: "/", extensions: "subjectAltName=critical,DNS:a.example", ..LEAF }], &["leaf"], &["root"], ok),
        (
            "kinds of keys are mixed",
            vec![Make { key: "rsa:1024", arguments: &["-sha1"], ..ROOT }, Make { key: "ed25519", arguments: &["-md5"], ..SUB }, UNDER_SUB],
            &["leaf", "sub"],
            &["root"],
            ok,
        ),
        ("an authority for certificates only", vec![ROOT, SUB], &["sub"], &["root"], "not-for-servers"),
        ("an authority that also serves", vec![ROOT, sub("basicConstraints=CA:TRUE\nkeyUsage=keyCertSign,digitalSignature")], &["sub"], &["root"], ok),
        ("must-staple", vec![ROOT, leaf("subjectAltName=DNS:a.example\ntlsfeature=status_request")], &["leaf"], &["root"], ok),
    ];
    assert!(cases.len() >= 40);
    for (case, makes, sent, anchors, expected) in &cases {
        let forge = Forge::new();
        for make in makes {
            forge.make(*make);
        }
        let ders = |names: &[&str]| names.iter().map(|n| forge.der(n)).collect::<Vec<_>>();
        agree(&forge, case, &ders(sent), &ders(anchors), expected);
    }
}

/// The two say different things, on purpose.
#[test]
fn where_openssl_differs_the_reason_is_known() {
    let forge = Forge::new();
    let (root, other) = (forge.make(ROOT), forge.make(Make { name: "other", subject: "/CN=Other", ..ROOT }));
    let (sub, cross) = (forge.make(SUB), forge.make(Make { name: "cross", key: "=sub", issuer: "other", ..SUB }));
    let leaf = forge.make(Make { issuer: "sub", ..LEAF });
    // OpenSSL takes the first issuer that was sent and never the second one; others (Go, Chromium, Firefox) find the path.
    let sent = [leaf.clone(), sub.clone(), cross];
    assert_eq!((look(&sent, std::slice::from_ref(&other)).trust.as_str(), forge.verify(&sent, &[other], &[])), ("trusted", Err(20)));
    // RFC 5280 section 4.2.1.12 leaves anyExtendedKeyUsage to the application; OpenSSL does not take it for a server's.
    let any = [forge.make(Make { name: "any", extensions: "subjectAltName=DNS:a.example\nextendedKeyUsage=anyExtendedKeyUsage", ..LEAF })];
    assert_eq!((look(&any, std::slice::from_ref(&root)).trust.as_str(), forge.verify(&any, std::slice::from_ref(&root), &[])), ("trusted", Err(26)));
    // Whatever stands in a store is an anchor; OpenSSL asks for a root unless told otherwise.
    let short = std::slice::from_ref(&leaf);
    assert_eq!((look(short, std::slice::from_ref(&sub)).trust.as_str(), forge.verify(short, std::slice::from_ref(&sub), &[])), ("trusted", Err(2)));
    assert_eq!(forge.verify(short, &[sub], &["-partial_chain"]), Ok(()));
}

#[test]
fn order_completeness_and_roles_are_told() {
    let forge = Forge::new();
    let (root, other) = (forge.make(ROOT), forge.make(Make { name: "other", subject: "/CN=Other", ..ROOT }));
    let sub = forge.make(SUB);
    let cross = forge.make(Make { name: "cross", key: "=sub", issuer: "other", ..SUB });
    let leaf = forge.make(Make { issuer: "sub", ..LEAF });
    let told = |sent: &[&Vec<u8>], anchors: &[&Vec<u8>]| {
        let own = |list: &[&Vec<u8>]| list.iter().map(|d| (*d).clone()).collect::<Vec<_>>();
        let chain = look(&own(sent), &own(anchors));
        let roles = chain.certificates.iter().map(|c| c.role.clone()).collect::<Vec<_>>().join(" ");
        (chain.in_order, chain.complete, roles, chain.path, chain.extra)
    };
    let roles = |in_order, complete, roles: &str, path: &[u32], extra: &[u32]| (in_order, complete, roles.to_string(), path.to_vec(), extra.to_vec());
    assert_eq!(told(&[&leaf, &sub], &[&root]), roles(true, true, "leaf intermediate", &[1, 2], &[]));
    assert_eq!(told(&[&leaf, &sub, &root], &[&other]), roles(true, true, "leaf intermediate anchor", &[1, 2, 3], &[]));
    assert_eq!(told(&[&leaf, &root, &sub], &[&root]), roles(false, true, "leaf anchor intermediate", &[1, 3, 2], &[]));
    assert_eq!(told(&[&leaf], &[&root]), roles(true, false, "leaf", &[1], &[]));
    assert_eq!(told(&[&leaf, &other], &[&root]), roles(false, false, "leaf extra", &[1], &[2]));
    assert_eq!(told(&[&leaf, &sub, &sub], &[&root]), roles(false, true, "leaf intermediate extra", &[1, 2], &[3]));
    assert_eq!(told(&[&leaf, &sub, &cross], &[&root]), roles(false, true, "leaf intermediate alternate", &[1, 2], &[]));
    let none = examine(&Shown { certificates: vec![leaf, sub], ..Shown::default() }, &Store::from_bytes("none", b""));
    assert_eq!((none.trust.as_str(), none.complete, none.name_matches), ("store-unavailable", false, None));
    assert_eq!(none.store_problem.as_deref(), Some("none holds no certificate"));
}

#[test]
fn the_path_that_lives_longest_is_taken() {
    let forge = Forge::new();
    let long = forge.make(Make { arguments: &["-days", "4000"], ..ROOT });
    let short = forge.make(Make { name: "short", subject: "/CN=Short", arguments: &["-days", "30"], ..ROOT });
    let sub = forge.make(Make { arguments: &["-days", "3000"], ..SUB });
    let cross = forge.make(Make { name: "cross", key: "=sub", issuer: "short", arguments: &["-days", "3000"], ..SUB });
    let leaf = forge.make(Make { issuer: "sub", ..LEAF });
    let chain = look(&[leaf, cross, sub], &[short, long]);
    assert_eq!((chain.trust.as_str(), chain.anchor.as_str(), chain.path), ("trusted", "CN=Root,O=Lab", vec![1, 3]));
    assert_eq!(chain.path_not_after, chain.certificates[0].not_after);
}

#[test]
fn names_are_matched_as_clients_do() {
    let forge = Forge::new();
    let root = forge.make(ROOT);
    let leaf = forge.make(LEAF);
    let bare = forge.make(Make { name: "bare", extensions: "keyUsage=digitalSignature", ..LEAF });
    let store = store(&[root]);
    for (certificate, asked, matches, common) in [
        (&leaf, "a.example", Some(true), false),
        (&leaf, "A.EXAMPLE", Some(true), false),
        (&leaf, "b.w.example", Some(true), false),
        (&leaf, "192.0.2.7", Some(true), false),
        (&leaf, "192.0.2.8", Some(false), false),
        (&leaf, "b.example", Some(false), false),
        (&leaf, "c.b.w.example", Some(false), false),
        (&bare, "a.example", Some(false), true),
        (&leaf, "", None, false),
    ] {
        let chain = examine(&Shown { certificates: vec![certificate.clone()], server_name: asked.into(), ..Shown::default() }, &store);
        assert_eq!((chain.name_matches, chain.common_name_only), (matches, common), "{asked}");
    }
}

#[test]
fn stapled_responses_are_verified() {
    let forge = Forge::new();
    let root = forge.make(ROOT);
    let leaf = forge.make(LEAF);
    forge.make(Make { name: "second", subject: "/CN=b.example", ..LEAF });
    forge.make(Make { name: "responder", subject: "/CN=Responder", extensions: "extendedKeyUsage=OCSPSigning", ..LEAF });
    forge.make(Make { name: "clerk", subject: "/CN=Clerk", extensions: "extendedKeyUsage=clientAuth", ..LEAF });
    forge.make(Make { name: "stranger", subject: "/CN=Stranger", issuer: "", extensions: "extendedKeyUsage=OCSPSigning", ..LEAF });
    let store = store(std::slice::from_ref(&root));
    let staple = |response: Vec<u8>| examine(&Shown { certificates: vec![leaf.clone()], staple: Some(response), ..Shown::default() }, &store).staple.unwrap();
    let good = forge.staple("leaf", "root", "root", "V", &[]);
    let cases = [
        (good.clone(), "valid", false, true, "good"),
        (forge.staple("leaf", "root", "root", "V", &["-rmd", "sha1"]), "valid", false, true, "good"),
        (forge.staple("leaf", "root", "root", "R keyCompromise", &[]), "valid", false, true, "revoked"),
        (forge.staple("leaf", "root", "root", "-", &[]), "valid", false, true, "unknown"),
        (forge.staple("leaf", "root", "responder", "V", &[]), "valid", true, true, "good"),
        (forge.staple("leaf", "root", "responder", "V", &["-resp_key_id"]), "valid", true, true, "good"),
        (forge.staple("leaf", "root", "clerk", "V", &[]), "responder-not-authorised", true, true, "good"),
        (forge.staple("leaf", "root", "stranger", "V", &[]), "responder-not-authorised", true, true, "good"),
        (forge.staple("leaf", "root", "stranger", "V", &["-resp_no_certs"]), "responder-not-authorised", false, true, "good"),
        (forge.staple("second", "root", "root", "V", &[]), "valid", false, false, ""),
    ];
    for (number, (response, signature, delegated, about, status)) in cases.into_iter().enumerate() {
        let found = staple(response);
        assert_eq!(found.response, "successful", "{number}: {found:#?}");
        assert_eq!(
            (found.signature.as_str(), found.delegated, found.about_leaf, found.certificate_status.as_str()),
            (signature, delegated, about, status),
            "{number}: {found:#?}"
        );
        assert!(found.produced_at.is_some() && found.this_update.is_some() == about && found.next_update.is_some() == about);
    }
    let revoked = staple(forge.staple("leaf", "root", "root", "R keyCompromise", &[]));
    assert_eq!((revoked.revoked_at, revoked.revocation_reason.as_str()), (Some(1_767_323_045), "keyCompromise"));
    for at in 0..good.len() {
        let mut mutated = good.clone();
        mutated[at] ^= 0x41;
        let found = staple(mutated);
        assert!(found.signature != "valid" || found == staple(good.clone()), "byte {at} changes what is said and still verifies: {found:#?}");
    }
    assert_eq!(staple(vec![0x30, 3, 0x0a, 1, 3]).response, "try-later");
    assert_eq!(staple(vec![0x30, 1]).response, "unreadable");
}
