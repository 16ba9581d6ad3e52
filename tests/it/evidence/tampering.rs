//! Whatever is changed is found, and named.

use std::io::{Cursor, Write as _};
use std::path::PathBuf;

use assay::evidence::archive::Archive;
use assay::evidence::manifest::{self, Manifest};
use assay::evidence::verify;
use assay::ledger::Verifier;
use assay::model::finding::Verdict;
use assay::model::ids::Digest;
use assay::model::report::ScanKind;
use jiff::civil::date;

use super::made::{Files, Made, bundle, changed, checked, facts, files, finding, pair, problems, sealed, small, verifier};

/// Path of the entry whose packed bytes hold this offset.
fn content_at(bytes: &[u8], at: usize) -> Option<String> {
    let archive = Archive::open(Cursor::new(bytes)).unwrap();
    let begins = |e: &assay::evidence::archive::Entry| e.offset as usize + 30 + e.path.len();
    archive.entries().iter().find(|e| (begins(e)..begins(e) + e.packed as usize).contains(&at)).map(|e| e.path.clone())
}

/// Changes every `step`th byte, once by a bit and once by one: each change is found, and one inside a file names the file.
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
                    let file = content_at(good, i);
                    for other in [good[i] ^ (1 << (i % 8)), good[i].wrapping_add(1)] {
                        bytes[i] = other;
                        let found = checked(&bytes);
                        assert!(!found.holds(), "byte {i} of {}: {other:#x}", good.len());
                        let named = |path: &String| found.problems.iter().any(|p| p.path == *path);
                        assert!(file.as_ref().is_none_or(named), "byte {i} of {file:?}: {:?}", found.problems);
                    }
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
    let made = small();
    let (good, host) = (made.bundle().bytes, made.material.hosts[0].id);
    let bad = changed(&good, |f| {
        f.get_mut("population.csv").unwrap()[3] ^= 1;
        f.remove(&format!("reports/{host}.jsonl"));
        f.remove("windows.csv");
        f.insert("reports/extra.jsonl".into(), b"{}".to_vec());
        f.insert("notes.txt".into(), b"trust me".to_vec());
        let page = f.remove("index.html").unwrap();
        f.insert("page.html".into(), page);
    });
    let seen = problems(&checked(&bad));
    for expected in [
        "population.csv altered".to_string(),
        format!("reports/{host}.jsonl missing"),
        "windows.csv missing".into(),
        "reports/extra.jsonl added".into(),
        "notes.txt added".into(),
        "page.html added".into(),
        "index.html missing".into(),
    ] {
        assert!(seen.contains(&expected), "{expected}: {seen:#?}");
    }
    assert!(problems(&checked(&changed(&good, |f| drop(f.remove("manifest.json")))))[0].starts_with("manifest.json missing"));
}

#[test]
fn a_bundle_of_the_first_version_is_refused_with_a_sentence() {
    let payload = format!("{{\"bundle\":{{}},\"files\":[],\"format\":\"assay.bundle.v1\",\"ledger\":\"{}\"}}", verifier());
    let sign = |m: &[u8]| pair(0x33).0.sign(m).as_ref().to_vec();
    let sealed = assay::model::envelope::Envelope::seal(assay::model::envelope::MANIFEST_TYPE, payload.as_bytes(), &verifier().keyid(), sign).to_bytes();
    let old = changed(&small().bundle().bytes, |f| drop(f.insert(manifest::PATH.into(), sealed)));
    let found = checked(&old);
    assert_eq!(problems(&found), ["manifest.json manifest"]);
    assert!(found.problems[0].message.contains("\"assay.bundle.v1\" is not \"assay.bundle.v2\": export the bundle again"), "{}", found.problems[0].message);
}

#[test]
fn another_container_of_the_same_files_is_refused() {
    let good = small().bundle().bytes;
    let mut writer = zip::ZipWriter::new(Cursor::new(Vec::new()));
    for (path, content) in files(&good).iter().rev() {
        let method = if content.len() > 128 { zip::CompressionMethod::Deflated } else { zip::CompressionMethod::Stored };
        writer.start_file(path.as_str(), zip::write::SimpleFileOptions::default().compression_method(method)).unwrap();
        writer.write_all(content).unwrap();
    }
    assert!(!checked(&writer.finish().unwrap().into_inner()).holds());
    assert_eq!(problems(&checked(&[good.as_slice(), b"\n"].concat())), [" container"]);
    assert_eq!(problems(&checked(b"")), [" container"]);
    assert_eq!(problems(&checked(b"PK\x05\x06")), [" container"]);
}

#[test]
fn a_bundle_of_another_ledger_holds_only_without_a_key() {
    let (key, public) = pair(9);
    let logged = small().logged();
    let mut material = logged.material.clone();
    material.verifier = Verifier::new("assay.invalid/mine", public).unwrap();
    let checkpoint = assay::ledger::checkpoint::open(&material.checkpoint, &verifier()).unwrap();
    material.checkpoint = assay::ledger::checkpoint::sign(&material.verifier, checkpoint.size, &checkpoint.root, |m| key.sign(m).as_ref().to_vec());
    let forged = sealed(logged, &material, 9).unwrap().bytes;
    assert!(verify(Cursor::new(&forged), None).unwrap().holds());
    let found = checked(&forged);
    assert_eq!(problems(&found), ["manifest.json key"]);
    assert!(found.problems[0].message.contains("assay.invalid/mine+"), "{}", found.problems[0].message);
}

/// The bundle with other files and a manifest that the ledger key signs over them.
pub fn resealed(good: &[u8], change: impl FnOnce(&mut Files)) -> Vec<u8> {
    changed(good, |files| {
        let manifest = Manifest::open(&files[manifest::PATH], &verifier()).unwrap();
        files.remove(manifest::PATH);
        change(files);
        let (key, listed) = (pair(0x33).0, facts(files));
        let sealed = Manifest::of(manifest.bundle, &listed).seal(&verifier().keyid(), |m| key.sign(m).as_ref().to_vec()).unwrap();
        files.insert(manifest::PATH.into(), sealed);
    })
}

/// A file of lines, each changed.
pub fn each_line(files: &mut Files, path: &str, change: impl FnOnce(&mut Vec<String>)) {
    let text = String::from_utf8(files.remove(path).unwrap()).unwrap();
    let mut lines: Vec<String> = text.lines().map(str::to_string).collect();
    change(&mut lines);
    files.insert(path.into(), lines.into_iter().flat_map(|l| [l, "\n".into()]).collect::<String>().into_bytes());
}

/// Whoever holds the ledger key still can't change what hosts signed or what was logged.
#[test]
fn the_holder_of_the_ledger_key_cannot_alter_reports_or_history() {
    let made = small();
    let good = made.bundle().bytes;
    let host = made.material.hosts[0].id;
    let (reports, blobs) = (format!("reports/{host}.jsonl"), format!("blobs/{host}.jsonl"));
    let says = |bad: &[u8], path: &str, id: &str| {
        let found = checked(bad);
        assert!(problems(&found).contains(&format!("{path} {id}")), "{:#?}", found.problems);
    };
    assert!(checked(&resealed(&good, |_| ())).holds());

    let proofs_swapped = resealed(&good, |f| {
        each_line(f, &reports, |lines| {
            let mut values: Vec<serde_json::Value> = lines.iter().map(|l| serde_json::from_str(l).unwrap()).collect();
            let other = values[1]["proof"].take();
            values[1]["proof"] = std::mem::replace(&mut values[0]["proof"], other);
            *lines = values.iter().map(|v| String::from_utf8(assay::model::canonical::to_bytes(v).unwrap()).unwrap()).collect();
        });
    });
    says(&proofs_swapped, &reports, "proof");
    says(&resealed(&good, |f| each_line(f, &reports, |lines| lines.swap(0, 1))), &reports, "report");
    says(&resealed(&good, |f| each_line(f, &reports, |lines| lines[0] = lines[0].replace("\"received\":", "\"received\":1"))), &reports, "proof");
    says(&resealed(&good, |f| each_line(f, &reports, |lines| lines[0].push(' '))), &reports, "report");
    says(&resealed(&good, |f| each_line(f, &reports, |lines| drop(lines.remove(0)))), &blobs, "blob");
    says(&resealed(&good, |f| f.get_mut(&reports).unwrap().truncate(100)), &reports, "report");

    let rehosted = resealed(&good, |f| {
        let file = String::from_utf8(f[&format!("hosts/{host}.json")].clone()).unwrap();
        let other = assay::pki::keys::spki_of(&pair(2).1);
        let mut value: serde_json::Value = serde_json::from_str(&file).unwrap();
        value["public_key"] = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, other).into();
        f.insert(format!("hosts/{host}.json"), assay::model::canonical::to_bytes(&value).unwrap());
    });
    says(&rehosted, &format!("hosts/{host}.json"), "host");
    says(&resealed(&good, |f| drop(f.remove(&format!("hosts/{host}.json")))), &reports, "report");

    says(&resealed(&good, |f| each_line(f, &blobs, |lines| lines[0].push('x'))), &blobs, "blob");
    says(&resealed(&good, |f| each_line(f, &blobs, |lines| lines.swap(0, 1))), &blobs, "blob");
    let erased = checked(&resealed(&good, |f| each_line(f, &blobs, |lines| drop(lines.remove(0)))));
    assert!(erased.holds() && erased.incomplete, "a blob may be erased; the bundle says so");
}

#[test]
fn tables_pieces_and_strays_are_held_against_each_other() {
    let good = small().bundle().bytes;
    let seen = |bad: &[u8]| problems(&checked(bad));
    assert_eq!(seen(&resealed(&good, |f| drop(f.insert("notes.txt".into(), b"x".to_vec())))), ["notes.txt added"]);
    let shortened = |f: &mut Files| {
        let table = f.get_mut("windows.csv").unwrap();
        let end = table[..table.len() - 2].iter().rposition(|b| *b == b'\n').unwrap() + 1;
        table.truncate(end);
    };
    assert_eq!(seen(&resealed(&good, shortened)), ["lists.csv table"]);
    assert_eq!(seen(&resealed(&good, |f| f.get_mut("windows.csv").unwrap().truncate(100))), ["lists.csv table", "windows.csv table"]);
    assert_eq!(seen(&resealed(&good, |f| drop(f.remove("windows.csv")))), ["controls/CC6.7.json piece", "lists.csv table", "windows.csv missing"]);
    let digest = Digest::of(b"x");
    assert_eq!(seen(&resealed(&good, |f| drop(f.insert(format!("lists/{digest}.csv"), b"y".to_vec())))), [format!("lists/{digest}.csv table")]);
    assert_eq!(seen(&resealed(&good, |f| drop(f.insert(format!("records/files/{digest}"), b"x".to_vec())))), [format!("records/files/{digest} file")]);
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
pub fn python(bundle: &[u8], key: Option<&str>) -> (i32, String) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("bundle.zip");
    std::fs::write(&path, bundle).unwrap();
    let script = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/lab/verify_bundle.py");
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
