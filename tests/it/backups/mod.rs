//! Backups as the real programs make them, whole and damaged, kept and forgotten; what the rules say of each.

mod databases;
mod kept;

use std::collections::BTreeSet;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use assay::facts::backups::{Backups, Newest};
use assay::facts::snapshots::Snapshots;
use assay::facts::{self, HostFamily};
use assay::host::archive::{self, Budget, HEAD, recognise};
use assay::host::{Host, clock};
use assay::model::against::Against;
use assay::model::declared::Declared;
use assay::model::fact::Observation;
use assay::model::finding::{Finding, Verdict};
use assay::model::gap::{Gap, Gaps};
use assay::model::policy::Policy;
use assay::rules::{self, Input, Pack};
use jiff::Timestamp;

use super::lab::{Server, folder, run};
use super::support::text;

const DAY: i64 = 86_400;

/// Declarations as an operator writes them; `{}` is the folder.
fn declared(yaml: &str, root: &Path) -> Declared {
    serde_json::from_value(serde_saphyr::from_str::<serde_json::Value>(&yaml.replace("{}", text(root))).unwrap()).unwrap()
}

fn gather<T: HostFamily>(host: Host, declared: Declared) -> (T, Vec<Gap>) {
    assay::model::kept::check(&declared).unwrap();
    let mut gaps = Gaps::new();
    let found = T::gather(&host.with_declared(declared), &mut gaps).unwrap();
    (found, gaps.into_sorted())
}

fn judged<T: HostFamily>(found: &T, gaps: &[Gap]) -> Vec<Finding> {
    let families = [(T::NAME.to_string(), serde_json::to_value(found).unwrap())].into();
    let observation = Observation { gathered_at: clock::unix_now(), families, gaps: gaps.to_vec() };
    let pack = Pack::builtin_of(&[T::NAME], facts::schemas()).unwrap();
    rules::evaluate(&pack, &Input { observation: &observation, policy: &Policy::default(), against: Against::default(), advisories: None })
}

fn with(findings: &[Finding], verdict: Verdict) -> BTreeSet<(String, String)> {
    findings.iter().filter(|f| f.verdict == verdict && f.rule != "backup-coverage").map(|f| (f.rule.clone(), f.subject.clone())).collect()
}

fn set(expected: &[(&str, &str)]) -> BTreeSet<(String, String)> {
    expected.iter().map(|(a, b)| ((*a).to_string(), (*b).to_string())).collect()
}

fn message<'f>(findings: &'f [Finding], rule: &str, subject: &str) -> &'f str {
    findings.iter().find(|f| f.rule == rule && f.subject == subject).map_or("", |f| f.message.as_str())
}

fn backups(yaml: &str, root: &Path) -> (Backups, Vec<Finding>, Vec<Gap>) {
    let (found, gaps): (Backups, _) = gather(Host::live().unwrap(), declared(yaml, root));
    let findings = judged(&found, &gaps);
    (found, findings, gaps)
}

/// Last change of a file or of all in a folder.
fn touch(path: &Path, at: i64) {
    run(Command::new("find").arg(path).args(["-exec", "touch", "-h", "-d", &format!("@{at}"), "{}", "+"]));
}

fn piped(command: &mut Command, input: &[u8]) {
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(input).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}

/// Bytes that do not compress away.
fn noise(length: usize) -> Vec<u8> {
    let mut seed = 7_u64;
    let step = |_| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (seed >> 56) as u8
    };
    (0..length).map(step).collect()
}

fn checked(path: &Path) -> (&'static str, Option<bool>, &'static str, &'static str) {
    let host = Host::live().unwrap();
    let format = recognise(&host.read_head(text(path), HEAD).unwrap());
    let size = std::fs::metadata(path).unwrap().len();
    let checked = archive::check(&host, text(path), size, format, &mut Budget::default()).unwrap();
    (format.word, checked.encrypted.or(format.encrypted), checked.integrity.word(), checked.told.word)
}

#[test]
fn what_real_programs_write_is_recognised_and_damage_is_seen() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    std::fs::write(at("data"), noise(300_000)).unwrap();
    std::fs::write(at("second"), noise(100)).unwrap();
    let inside = |program: &str| {
        let mut command = Command::new(program);
        command.current_dir(dir.path());
        command
    };
    run(inside("tar").args(["-cf", "t.tar", "data", "second"]));
    for (program, arguments) in [("gzip", "-kf"), ("zstd", "-kfq"), ("xz", "-kf"), ("bzip2", "-kf")] {
        run(inside(program).args([arguments, "t.tar"]));
    }
    run(inside("lz4").args(["-qf", "t.tar", "t.tar.lz4"]));
    run(inside("zip").args(["-q", "t.zip", "data", "second"]));
    run(inside("zip").args(["-q", "-P", "secret", "sealed.zip", "data", "second"]));
    run(inside("7zz").args(["a", "-bd", "t.7z", "data", "second"]));
    run(inside("7zz").args(["a", "-bd", "-psecret", "-mhe=on", "sealed.7z", "data", "second"]));
    let home = folder();
    let gpg = |arguments: &[&str]| {
        let mut command = inside("gpg");
        command.arg("--homedir").arg(home.path()).args(["--batch", "--yes", "--pinentry-mode", "loopback", "--passphrase", "secret"]).args(arguments);
        run(&mut command);
    };
    gpg(&["-o", "t.gpg", "--symmetric", "t.tar"]);
    gpg(&["-o", "t.asc", "--armor", "--symmetric", "t.tar"]);
    gpg(&["--quick-generate-key", "lab@example.org", "default", "default", "never"]);
    gpg(&["-o", "key.gpg", "--trust-model", "always", "--recipient", "lab@example.org", "--encrypt", "t.tar"]);
    gpg(&["-o", "packed.asc", "--armor", "--store", "t.tar"]);
    let stop = Command::new("gpgconf").env("GNUPGHOME", home.path()).args(["--kill", "all"]).status();
    assert!(stop.unwrap().success());
    run(inside("age-keygen").args(["-o", "key"]));
    let key = std::fs::read_to_string(at("key")).unwrap();
    let recipient = key.lines().find_map(|l| l.strip_prefix("# public key: ")).unwrap().to_string();
    run(inside("age").args(["-r", &recipient, "-o", "t.age", "t.tar"]));
    run(inside("age").args(["-a", "-r", &recipient, "-o", "t.age.asc", "t.tar"]));
    run(inside("openssl").args(["enc", "-aes-256-cbc", "-pbkdf2", "-k", "secret", "-in", "t.tar", "-out", "t.enc"]));
    run(inside("openssl").args(["enc", "-a", "-aes-256-cbc", "-pbkdf2", "-k", "secret", "-in", "t.tar", "-out", "t.enc.txt"]));
    // Name, format, encrypted, integrity, inside; whether half of it, and one changed bit, are seen.
    for (name, word, encrypted, integrity, told, half, bit) in [
        ("t.tar", "tar", Some(false), "structure", "tar", true, false),
        ("t.tar.gz", "gzip", Some(false), "whole", "tar", true, true),
        ("t.tar.zst", "zstd", Some(false), "whole", "tar", true, true),
        ("t.tar.xz", "xz", Some(false), "whole", "tar", true, true),
        ("t.tar.bz2", "bzip2", Some(false), "structure", "", true, false),
        ("t.tar.lz4", "lz4", Some(false), "structure", "tar", true, false),
        ("t.zip", "zip", Some(false), "structure", "", true, false),
        ("sealed.zip", "zip", Some(true), "structure", "", true, false),
        ("t.7z", "7z", None, "structure", "", true, false),
        ("sealed.7z", "7z", Some(true), "structure", "", true, false),
        ("t.gpg", "openpgp", Some(true), "sealed", "", true, false),
        ("key.gpg", "openpgp", Some(true), "sealed", "", true, false),
        ("t.asc", "openpgp", Some(true), "sealed", "", false, false),
        ("packed.asc", "openpgp", Some(false), "silent", "", false, false),
        ("t.age", "age", Some(true), "sealed", "", false, false),
        ("t.age.asc", "age", Some(true), "sealed", "", false, false),
        ("t.enc", "openssl", Some(true), "sealed", "", false, false),
        ("t.enc.txt", "openssl", Some(true), "sealed", "", false, false),
    ] {
        let (is_word, is_encrypted, is_integrity, is_told) = checked(&at(name));
        assert_eq!((is_word, is_integrity, is_told), (word, integrity, told), "{name}");
        // A small 7z list is not packed and tells; a packed one does not.
        assert!(is_encrypted == encrypted || name == "t.7z", "{name} {is_encrypted:?}");
        let bytes = std::fs::read(at(name)).unwrap();
        std::fs::write(at("cut"), &bytes[..bytes.len() / 2]).unwrap();
        assert_eq!(checked(&at("cut")).2 == "damaged", half, "half of {name}");
        let mut changed = bytes;
        let middle = changed.len() / 2;
        changed[middle] ^= 0x10;
        std::fs::write(at("changed"), &changed).unwrap();
        if bit {
            assert_eq!(checked(&at("changed")).2, "damaged", "a bit of {name}");
        }
    }
    // Larger than what may be read: no verdict either way.
    let host = Host::live().unwrap();
    let path = at("t.tar.gz");
    let format = recognise(&host.read_head(text(&path), HEAD).unwrap());
    let cut = archive::check(&host, text(&path), 300_000, format, &mut Budget::of(1000)).unwrap();
    assert_eq!(cut.integrity.word(), "unread");
}

/// A folder of backups every six hours, the one at two o'clock full; the newest at most six hours old.
fn six_hourly(folder: &Path, days: i64, content: &dyn Fn(&Path, bool)) {
    std::fs::create_dir_all(folder).unwrap();
    let now = clock::unix_now();
    let mut at = (now / (6 * 3600)) * 6 * 3600 + 2 * 3600;
    while at > now {
        at -= 6 * 3600;
    }
    let end = at;
    while at > end - days * DAY {
        let full = at % DAY == 2 * 3600;
        let name = format!("db-{}-{}.sql.gz.age", moment(at), if full { "full" } else { "diff" });
        content(&folder.join(&name), full);
        touch(&folder.join(&name), at + 300);
        at -= 6 * 3600;
    }
}

fn moment(at: i64) -> String {
    Timestamp::from_second(at).unwrap().strftime("%Y-%m-%d_%H-%M-%S").to_string()
}

fn sealed(path: &Path, full: bool) {
    std::fs::write(path, [b"age-encryption.org/v1\n".as_slice(), &noise(if full { 9000 } else { 2000 })].concat()).unwrap();
}

const SIX_HOURLY: &str =
    "path: {}/sound, every_hours: 6, full_at: \"02:00\", full: \"*-full.*\", differential: \"*-diff.*\", keep_days: 7, keep_at_most_days: 8";

/// The newest file whose name holds a word.
fn newest(folder: &Path, word: &str) -> PathBuf {
    std::fs::read_dir(folder).unwrap().map(|e| e.unwrap().path()).filter(|p| text(p).contains(word)).max().unwrap()
}

#[test]
fn planted_faults_are_found_and_sound_sets_are_not_reported() {
    let dir = tempfile::tempdir().unwrap();
    let now = clock::unix_now();
    let at = |name: &str| dir.path().join(name);
    let names = ["sound", "pause", "empty", "log", "hour", "plain", "short", "long", "small", "renamed", "zeros", "stale"];
    for name in names {
        six_hourly(&at(name), if name == "short" { 3 } else { 7 }, &sealed);
    }
    let age_of = |path: &Path| now - std::fs::metadata(path).unwrap().modified().unwrap().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs() as i64;
    let all = |name: &str| {
        let mut files: Vec<PathBuf> = std::fs::read_dir(at(name)).unwrap().map(|e| e.unwrap().path()).collect();
        files.sort();
        files
    };
    // Sound, and of the kind that is taken for a fault: a log, a checksum, a lock, a broken try from yesterday beside the good one.
    for name in ["backup.log", "db.lock", "db-2020-01-01_02-00-00-full.sql.gz.age.part"] {
        std::fs::write(at("sound").join(name), "x").unwrap();
    }
    let whole = newest(&at("sound"), "full");
    let sum = Command::new("sha256sum").arg(&whole).output().unwrap().stdout;
    std::fs::write(whole.with_extension("age.sha256"), sum).unwrap();
    std::fs::remove_file(&all("pause")[12]).unwrap();
    // The newest is empty: the one before is older than six hours and a half by then.
    for file in all("empty").iter().rev().take(2) {
        std::fs::write(file, "").unwrap();
        touch(file, now - 60);
    }
    for file in all("log").iter().rev().take(8) {
        std::fs::remove_file(file).unwrap();
    }
    std::fs::write(at("log").join("backup.log"), "all went well").unwrap();
    for file in all("hour").iter().filter(|p| text(p).contains("02-00-00")) {
        let renamed = text(file).replace("02-00-00", "04-30-00");
        std::fs::rename(file, &renamed).unwrap();
        touch(Path::new(&renamed), now - age_of(Path::new(&renamed)) + 2 * 3600 + 1800);
    }
    let plain = all("plain")[3].clone();
    std::fs::write(&plain, "-- MySQL dump\nINSERT INTO t VALUES (1);\n-- Dump completed\n").unwrap();
    touch(&plain, now - 6 * DAY);
    let old = at("long").join("db-2020-01-01_02-00-00-full.sql.gz.age");
    sealed(&old, true);
    touch(&old, 1_577_844_600);
    let small = newest(&at("small"), "full");
    let times = now - age_of(&small);
    std::fs::write(&small, b"age-encryption.org/v1\n").unwrap();
    touch(&small, times);
    // Names of today on files of last week.
    for file in all("renamed").iter().rev().take(20) {
        touch(file, now - 6 * DAY);
    }
    for file in all("zeros").iter().rev().take(3) {
        std::fs::write(file, vec![0; 9000]).unwrap();
    }
    for file in all("stale").iter().rev().take(6) {
        std::fs::remove_file(file).unwrap();
    }
    let one = |name: &str| format!("{{name: {name}, {}}}", SIX_HOURLY.replace("sound", name));
    let yaml = format!("backups: [{}]", names.map(one).join(", "));
    let (found, findings, gaps) = backups(&yaml, dir.path());
    let failed = with(&findings, Verdict::Fail);
    for fault in [
        ("backup-schedule", "pause"),
        ("backup-schedule", "empty"),
        ("backup-schedule", "log"),
        ("backup-schedule", "renamed"),
        ("backup-schedule", "zeros"),
        ("backup-schedule", "stale"),
        ("backup-full-hour", "hour"),
        ("backup-kept-short", "short"),
        ("backup-kept-long", "long"),
        ("backup-size", "small full"),
    ] {
        assert!(failed.contains(&(fault.0.into(), fault.1.into())), "{fault:?} {failed:#?}");
    }
    assert!(!failed.iter().any(|(_, subject)| subject.starts_with("sound") || subject == "plain single"), "{failed:#?}");
    let clean: Vec<&Finding> = findings.iter().filter(|f| f.subject.starts_with("sound") && f.verdict == Verdict::Unknown).collect();
    assert!(clean.is_empty(), "{clean:#?} {gaps:#?}");
    assert!(message(&findings, "backup-schedule", "log").contains("backup.log: it is a log"), "{}", message(&findings, "backup-schedule", "log"));
    assert!(message(&findings, "backup-schedule", "empty").contains("it is empty"));
    assert!(message(&findings, "backup-full-hour", "hour").contains("150 minutes late"), "{}", message(&findings, "backup-full-hour", "hour"));
    let of = |name: &str| found.sets.iter().find(|s| s.subject == name).unwrap();
    assert_eq!((of("plain").plaintext_count, of("sound").plaintext_count), (1, 0));
    assert_ne!(findings.iter().find(|f| f.rule == "backup-encryption" && f.subject == "plain").unwrap().verdict, Verdict::Pass);
    let item: &Newest = found.newest.iter().find(|n| n.subject == "sound full").unwrap();
    assert_eq!((item.checksum.as_str(), item.integrity.as_str()), ("matches", "sealed"));
    // The rule of the whole machine: what is declared by nobody is not known to be saved.
    assert!(findings.iter().all(|f| f.rule != "backup-coverage" || f.verdict == Verdict::Unknown));
}

#[test]
fn a_checksum_that_differs_a_cut_archive_and_a_missing_folder() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    for name in ["cut", "sums", "dumps"] {
        std::fs::create_dir(at(name)).unwrap();
    }
    std::fs::write(at("x"), noise(50_000)).unwrap();
    run(Command::new("tar").arg("-C").arg(dir.path()).arg("-czf").arg(at("cut/a.tar.gz")).arg("x"));
    let bytes = std::fs::read(at("cut/a.tar.gz")).unwrap();
    std::fs::write(at("cut/a.tar.gz"), &bytes[..bytes.len() - 9]).unwrap();
    std::fs::write(at("sums/a.tar.gz"), &bytes).unwrap();
    std::fs::write(at("sums/SHA256SUMS"), format!("{}  a.tar.gz\n", "0".repeat(64))).unwrap();
    std::fs::write(at("dumps/a.sql"), "-- MariaDB dump 10.19\nINSERT INTO t VALUES (1);\n").unwrap();
    let yaml = "backups: [{name: cut, path: {}/cut, encrypted: false, keep_days: 0}, {name: sums, path: {}/sums, encrypted: false, keep_days: 0}, \
                {name: dumps, path: \"{}/dumps/*.sql\", encrypted: false, keep_days: 0}, {name: gone, path: {}/gone, encrypted: false, keep_days: 0}]";
    let (_, findings, gaps) = backups(yaml, dir.path());
    let expected = [("backup-readable", "cut single"), ("backup-readable", "sums single"), ("backup-readable", "dumps single"), ("backup-schedule", "gone")];
    assert_eq!(with(&findings, Verdict::Fail), set(&expected), "{gaps:#?}");
    assert!(message(&findings, "backup-readable", "dumps single").contains("last line"));
}

fn psql(server: &Server, statements: &str) {
    let arguments =
        ["-h", text(server.folder()), "-p", &server.port.to_string(), "-U", "postgres", "-v", "ON_ERROR_STOP=1", "-AtqX", "-f", "-"].map(String::from);
    piped(Command::new("psql").args(arguments), statements.as_bytes());
}

#[test]
fn restic_and_borg_repositories() {
    let work = folder();
    let at = |name: &str| work.path().join(name);
    std::fs::write(at("data"), noise(200_000)).unwrap();
    let restic = |arguments: &[&str]| {
        let mut command = Command::new("restic");
        command.env("RESTIC_PASSWORD", "secret").env("RESTIC_CACHE_DIR", at("cache")).arg("-r").arg(at("restic")).args(["-q", "--no-cache"]).args(arguments);
        run(&mut command);
    };
    restic(&["init"]);
    restic(&["backup", text(&at("data"))]);
    let borg = |repository: &str, arguments: &[&str]| {
        let mut command = Command::new("borg");
        command.env("BORG_PASSPHRASE", "secret").env("BORG_BASE_DIR", at("home")).env("BORG_UNKNOWN_UNENCRYPTED_REPO_ACCESS_IS_OK", "yes");
        let arguments: Vec<String> = arguments.iter().map(|a| a.replace("REPO", text(&at(repository)))).collect();
        run(command.args(&arguments));
    };
    for (name, mode) in [("repokey", "repokey-blake2"), ("keyfile", "keyfile"), ("none", "none"), ("authenticated", "authenticated")] {
        borg(name, &["init", "-e", mode, "REPO"]);
        borg(name, &["create", "REPO::first", text(&at("data"))]);
    }
    let one = |name: &str| format!("{{name: {name}, kind: borg, path: {{}}/{name}, keep_days: 7, keep_at_most_days: 9, full_at: \"02:00\"}}");
    let sets = ["repokey", "keyfile", "none", "authenticated"].map(one).join(", ");
    let yaml = format!("backups: [{{name: restic, kind: restic, path: {{}}/restic, keep_days: 0}}, {sets}]");
    let (found, findings, gaps) = backups(&yaml, work.path());
    let encrypted: Vec<(&str, &str)> = found.repositories.iter().map(|r| (r.subject.as_str(), r.encrypted.as_str())).collect();
    assert_eq!(encrypted, [("restic", "yes"), ("repokey", "yes"), ("keyfile", "yes"), ("none", "no"), ("authenticated", "no")]);
    let failed = with(&findings, Verdict::Fail);
    assert!(failed.iter().all(|(rule, subject)| rule == "backup-encryption" && matches!(subject.as_str(), "none" | "authenticated")), "{failed:?} {gaps:?}");
    let said = |rule: &str, subject: &str| findings.iter().find(|f| f.rule == rule && f.subject == subject).unwrap().verdict;
    assert_eq!((said("backup-schedule", "restic"), said("backup-schedule", "repokey")), (Verdict::Pass, Verdict::Unknown));
    assert_eq!((said("backup-readable", "restic single"), said("backup-readable", "repokey segments")), (Verdict::Pass, Verdict::Pass));
    let snapshots: Snapshots = gather(Host::live().unwrap(), declared("snapshots: [{name: r, kind: repository, path: {}/restic}]", work.path())).0;
    assert_eq!((snapshots.sets[0].count, snapshots.items[0].at_from.as_str()), (1, "change"));

    // A changed byte in the data, a lock left behind, nothing written for days.
    let pack =
        std::fs::read_dir(at("restic/data")).unwrap().flat_map(|d| std::fs::read_dir(d.unwrap().path()).unwrap()).map(|f| f.unwrap().path()).max().unwrap();
    for file in [pack, newest_segment(&at("repokey"))] {
        let mut bytes = std::fs::read(&file).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        run(Command::new("chmod").arg("u+w").arg(&file));
        std::fs::write(&file, bytes).unwrap();
    }
    let now = clock::unix_now();
    let lock = at("restic/locks").join("a".repeat(64));
    std::fs::write(&lock, "x").unwrap();
    touch(&lock, now - 3 * DAY);
    std::fs::create_dir(at("keyfile/lock.exclusive")).unwrap();
    touch(&at("keyfile"), now - 3 * DAY);
    let (_, findings, _) = backups(&yaml, work.path());
    let failed = with(&findings, Verdict::Fail);
    for fault in [
        ("backup-readable", "restic single"),
        ("backup-readable", "repokey segments"),
        ("backup-repository-lock", "restic"),
        ("backup-repository-lock", "keyfile"),
        ("backup-schedule", "keyfile"),
    ] {
        assert!(failed.contains(&(fault.0.into(), fault.1.into())), "{fault:?} {failed:?}");
    }
}

fn newest_segment(repository: &Path) -> PathBuf {
    let files = std::fs::read_dir(repository.join("data/0")).unwrap().map(|e| e.unwrap().path());
    // The last but one may hold no more than a commit.
    files.max_by_key(|p| std::fs::metadata(p).unwrap().len()).unwrap()
}
