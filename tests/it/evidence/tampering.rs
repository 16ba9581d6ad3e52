//! Whatever is changed is found, and named.

use std::path::PathBuf;

use assay::evidence::manifest::Manifest;
use assay::evidence::{Bundle, archive, verify};
use assay::ledger::Verifier;
use assay::model::finding::Verdict;
use assay::model::ids::Digest;
use assay::model::report::ScanKind;
use jiff::civil::date;

use super::made::{Made, bundle, changed, checked, finding, pair, problems, small, verifier};

/// Entries of a bundle by path.
type Files = std::collections::BTreeMap<String, Vec<u8>>;

/// Flips one bit of every `step`th byte.
fn flip(step: usize) {
    let good = small().bundle().bytes;
    assert!(checked(&good).holds());
    let threads = 2;
    std::thread::scope(|scope| {
        for t in 0..threads {
            let good = &good;
            scope.spawn(move || {
                let mut bytes = good.clone();
                for i in (t * step..good.len()).step_by(threads * step) {
                    bytes[i] ^= 1 << (i % 8);
                    assert!(!checked(&bytes).holds(), "byte {i} of {}, bit {}", good.len(), i % 8);
                    bytes[i] = good[i];
                }
            });
        }
    });
}

/// Every 53rd byte; with `ASSAY_EVERY_BYTE` (`tests/run full`) every one, which takes minutes.
#[test]
fn one_bit_of_a_byte_is_enough() {
    flip(if std::env::var_os("ASSAY_EVERY_BYTE").is_some() { 1 } else { 53 });
}

#[test]
fn altered_missing_and_added_files_are_each_named() {
    let good = small().bundle().bytes;
    let report = small().material.findings[0].report;
    let bad = changed(&good, |f| {
        f.get_mut("population.csv").unwrap()[3] ^= 1;
        f.remove(&format!("proofs/{report}.json"));
        f.remove("windows.csv");
        f.insert("reports/extra.json".into(), b"{}".to_vec());
        f.insert("notes.txt".into(), b"trust me".to_vec());
        let page = f.remove("index.html").unwrap();
        f.insert("page.html".into(), page);
    });
    let seen = problems(&checked(&bad));
    for expected in [
        "population.csv altered".to_string(),
        format!("proofs/{report}.json missing"),
        "windows.csv missing".into(),
        "reports/extra.json added".into(),
        "notes.txt added".into(),
        "page.html added".into(),
        "index.html missing".into(),
    ] {
        assert!(seen.contains(&expected), "{expected}: {seen:#?}");
    }
    assert!(problems(&checked(&changed(&good, |f| drop(f.remove("manifest.json")))))[0].starts_with("manifest.json missing"));
}

#[test]
fn another_container_of_the_same_files_is_refused() {
    use std::io::Write as _;
    let good = small().bundle().bytes;
    let files = archive::read(&good).unwrap().files;
    let mut writer = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    let options = zip::write::SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored).last_modified_time(zip::DateTime::default());
    for (path, content) in files.iter().rev() {
        writer.start_file(path.as_str(), options).unwrap();
        writer.write_all(content).unwrap();
    }
    let reordered = writer.finish().unwrap().into_inner();
    let found = checked(&reordered);
    assert_eq!(problems(&found), [" container"]);
    assert!(found.problems[0].message.contains("not in order"), "{}", found.problems[0].message);
    assert_eq!(problems(&checked(&[good.as_slice(), b"\n"].concat())), [" container"]);
    assert_eq!(problems(&checked(b"")), [" container"]);
    assert_eq!(problems(&checked(b"PK\x05\x06")), [" container"]);
}

#[test]
fn a_bundle_of_another_ledger_holds_only_without_a_key() {
    let (key, public) = pair(9);
    let mut logged = small().logged();
    let mut material = logged.material.clone();
    material.verifier = Verifier::new("assay.invalid/mine", public).unwrap();
    let checkpoint = assay::ledger::checkpoint::open(&material.checkpoint, &verifier()).unwrap();
    material.checkpoint = assay::ledger::checkpoint::sign(&material.verifier, checkpoint.size, &checkpoint.root, |m| key.sign(m).as_ref().to_vec());
    let forged = Bundle::of(&material, &mut logged, |m| key.sign(m).as_ref().to_vec()).unwrap().bytes;
    assert!(verify(&forged, None).holds());
    let found = checked(&forged);
    assert_eq!(problems(&found), ["manifest.json key"]);
    assert!(found.problems[0].message.contains("assay.invalid/mine+"), "{}", found.problems[0].message);
}

/// Whoever holds the ledger key still can't change what hosts signed or what was logged.
#[test]
fn the_holder_of_the_ledger_key_cannot_alter_reports_or_history() {
    let seal = |good: &[u8], change: &dyn Fn(&mut Files)| {
        changed(good, |files| {
            let manifest = Manifest::open(&files["manifest.json"], &verifier()).unwrap();
            files.remove("manifest.json");
            change(files);
            let key = pair(0x33).0;
            let sealed = Manifest::of(manifest.bundle, files).seal(&verifier().keyid(), |m| key.sign(m).as_ref().to_vec()).unwrap();
            files.insert("manifest.json".into(), sealed);
        })
    };
    let made = small();
    let good = made.bundle().bytes;
    let (one, two) = (made.material.findings[0].report, made.material.findings[1].report);
    let host = made.material.hosts[0].id;
    let path = |kind: &str, d: Digest| format!("{kind}/{d}.json");
    assert!(checked(&seal(&good, &|_| ())).holds());

    let swapped = seal(&good, &|f| {
        let (a, b) = (f[&path("proofs", one)].clone(), f[&path("proofs", two)].clone());
        f.insert(path("proofs", one), b);
        f.insert(path("proofs", two), a);
    });
    let mut expected = [format!("{} proof", path("proofs", one)), format!("{} proof", path("proofs", two))];
    expected.sort();
    assert_eq!(problems(&checked(&swapped)), expected);

    let unproved = seal(&good, &|f| drop(f.remove(&path("proofs", one))));
    assert!(problems(&checked(&unproved)).contains(&format!("{} proof", path("proofs", one))));

    let renamed = seal(&good, &|f| {
        let envelope = f.remove(&path("reports", one)).unwrap();
        f.insert(path("reports", Digest::of(b"x")), envelope);
    });
    assert!(problems(&checked(&renamed)).contains(&format!("{} report", path("reports", Digest::of(b"x")))));

    let rehosted = seal(&good, &|f| {
        let file = String::from_utf8(f[&format!("hosts/{host}.json")].clone()).unwrap();
        let other = assay::pki::keys::spki_of(&pair(2).1);
        let mut value: serde_json::Value = serde_json::from_str(&file).unwrap();
        value["public_key"] = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, other).into();
        f.insert(format!("hosts/{host}.json"), assay::model::canonical::to_bytes(&value).unwrap());
    });
    assert!(problems(&checked(&rehosted)).contains(&format!("hosts/{host}.json host")));

    let address = made.blobs[0].address;
    let blob = seal(&good, &|f| drop(f.insert(format!("blobs/{host}/{address}.json"), b"{}".to_vec())));
    assert_eq!(problems(&checked(&blob)), [format!("blobs/{host}/{address}.json blob")]);

    let stray = seal(&good, &|f| drop(f.insert("notes.txt".into(), b"x".to_vec())));
    assert_eq!(problems(&checked(&stray)), ["notes.txt added"]);
}

#[test]
fn reports_that_contradict_themselves_are_named() {
    let mut made = Made::empty();
    made.host(1, "web01");
    let fail = finding("ssh-root-login", "", Verdict::Fail);
    made.report_changed(1, ScanKind::Weekly, "2026-W45", date(2026, 11, 3), std::slice::from_ref(&fail), |r| (r.counts.fail, r.counts.pass) = (0, 1));
    let found = checked(&made.bundle().bytes);
    assert_eq!(found.problems.iter().map(|p| p.id).collect::<Vec<_>>(), ["counts"]);

    let mut made = Made::empty();
    made.host(1, "web01");
    made.report_changed(1, ScanKind::Weekly, "2026-W45", date(2026, 11, 3), &[], |r| r.sequence = 1);
    made.report_changed(1, ScanKind::Weekly, "2026-W46", date(2026, 11, 10), &[], |r| r.sequence = 1);
    let found = checked(&made.bundle().bytes);
    assert_eq!(found.problems.iter().map(|p| p.id).collect::<Vec<_>>(), ["report"]);

    let mut logged = small().logged();
    logged.material.hosts[0].enrolment = Some(logged.reports[0].proof.clone());
    assert!(checked(&bundle(logged).bytes).problems[0].message.contains("not about the enrolment"));
}

#[expect(clippy::disallowed_methods, reason = "the test runs another implementation; the product starts nothing")]
fn python(bundle: &[u8], key: Option<&str>) -> (i32, String) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("bundle.zip");
    std::fs::write(&path, bundle).unwrap();
    let script = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/verify_bundle.py");
    let output = std::process::Command::new("python3").arg(script).arg(&path).args(key).output().unwrap();
    (output.status.code().unwrap(), String::from_utf8_lossy(&output.stdout).into_owned())
}

#[test]
fn another_implementation_agrees() {
    let good = small().bundle().bytes;
    let key = verifier().to_string();
    assert_eq!(python(&good, Some(&key)), (0, "everything holds\n".into()));
    assert_eq!(python(&good, None).0, 3);
    for i in (0..good.len()).step_by(good.len() / 20) {
        let mut bytes = good.clone();
        bytes[i] ^= 0x10;
        let (code, said) = python(&bytes, Some(&key));
        assert!(code == 1 && !checked(&bytes).holds(), "byte {i}: {said}");
    }
    let bad = changed(&good, |f| {
        f.remove("windows.csv");
        f.insert("notes.txt".into(), b"x".to_vec());
        f.get_mut("index.html").unwrap()[40] ^= 1;
    });
    let said = python(&bad, Some(&key)).1;
    assert!(said.contains("windows.csv: missing") && said.contains("notes.txt: added") && said.contains("index.html: altered"), "{said}");
}
