//! `assay evidence verify` as people run it.

use std::path::Path;

use super::made::{changed, small, verifier};

#[expect(clippy::disallowed_methods, reason = "the test runs the program under test")]
fn assay(arguments: &[&str]) -> (i32, String, String) {
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_assay")).args(["evidence", "verify"]).args(arguments).output().unwrap();
    let text = |b: &[u8]| String::from_utf8_lossy(b).into_owned();
    (output.status.code().unwrap(), text(&output.stdout), text(&output.stderr))
}

fn written(dir: &Path, name: &str, bytes: &[u8]) -> String {
    let path = dir.join(name);
    std::fs::write(&path, bytes).unwrap();
    path.to_str().unwrap().to_string()
}

#[test]
fn exit_codes_tell_verified_from_unkeyed_from_tampered() {
    let dir = tempfile::tempdir().unwrap();
    let good = small().bundle().bytes;
    let path = written(dir.path(), "bundle.zip", &good);
    let key = verifier().to_string();
    let key_file = written(dir.path(), "ledger.pub", format!("{key}\n").as_bytes());

    let (code, out, err) = assay(&[&path, "--key", &key]);
    assert_eq!((code, err.as_str()), (0, ""), "{out}");
    assert!(out.contains("reports signed by their host"), "{out}");
    assert_eq!(assay(&[&path, "--key", &key_file]).0, 0);

    let (code, out, _) = assay(&[&path]);
    assert_eq!(code, 3);
    assert!(out.contains("key was not checked"), "{out}");

    let bad = written(dir.path(), "bad.zip", &changed(&good, |f| f.get_mut("index.html").unwrap()[50] ^= 1));
    let (code, out, err) = assay(&[&bad, "--key", &key]);
    assert_eq!(code, 1);
    assert!(out.contains("index.html") && err.starts_with("error: ") && err.contains("does not verify"), "{out}{err}");

    let (code, out, _) = assay(&[&bad, "--key", &key, "--format", "json"]);
    let value: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!((code, value["problems"][0]["path"].as_str(), value["verified"].as_bool()), (1, Some("index.html"), Some(false)));
}

#[test]
fn wrong_input_is_one_sentence() {
    let dir = tempfile::tempdir().unwrap();
    let junk = written(dir.path(), "junk.zip", b"not a zip");
    let missing = dir.path().join("absent.zip");
    for (arguments, expected) in [
        (vec![missing.to_str().unwrap()], "absent.zip"),
        (vec![junk.as_str(), "--key", "nonsense"], "--key"),
        (vec![dir.path().to_str().unwrap()], "not a regular file"),
        (vec!["/dev/zero"], "not a regular file"),
    ] {
        let (code, _, err) = assay(&arguments);
        assert!(code == 1 && err.contains(expected) && err.lines().count() == 1, "{arguments:?}: {err}");
    }
    let (code, out, _) = assay(&[&junk]);
    assert!(code == 1 && out.contains("not a bundle"), "{out}");
    assert_eq!(assay(&[]).0, 2);
}
