//! Signed packs of rules: made with `assay rules pack`, signed with the real minisign, taken or
//! refused by `assay rules install`, and what the agent judges by.

use std::path::Path;
use std::process::{Command, Stdio};

use assay::host::clock;
use assay::rules::Pack;
use assay::rules::signed::{self, Place, SignedError, SignedPack};

use super::support::{ASSAY, Collector, run, text};

const DAY: i64 = 86_400;

/// A signer with a key of its own.
struct Signer(tempfile::TempDir);

impl Signer {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let signer = Self(folder);
        let made = Command::new("minisign").args(["-G", "-W", "-f", "-p"]).arg(signer.public()).arg("-s").arg(signer.secret()).stdin(Stdio::null()).output();
        assert!(made.unwrap().status.success());
        signer
    }

    fn public(&self) -> std::path::PathBuf {
        self.0.path().join("rules.pub")
    }

    fn secret(&self) -> std::path::PathBuf {
        self.0.path().join("rules.key")
    }

    fn sign(&self, pack: &Path) {
        let signed = Command::new("minisign").arg("-S").arg("-s").arg(self.secret()).arg("-m").arg(pack).stdin(Stdio::null()).output().unwrap();
        assert!(signed.status.success(), "{}", String::from_utf8_lossy(&signed.stderr));
    }
}

/// A folder with one built-in rule.
fn rules(folder: &Path) {
    let rule = "checks/os/os-end-of-life.yaml";
    let to = folder.join(rule);
    std::fs::create_dir_all(to.parent().unwrap()).unwrap();
    std::fs::copy(Path::new(env!("CARGO_MANIFEST_DIR")).join("rules").join(rule), to).unwrap();
}

struct Site {
    folder: tempfile::TempDir,
    signer: Signer,
}

impl Site {
    fn new() -> Self {
        let site = Self { folder: tempfile::tempdir().unwrap(), signer: Signer::new() };
        rules(&site.path("rules"));
        let config =
            format!("state_dir: {}\nrules_key: {}\nfamilies: [os]\ngatherer:\n  in_process: true\n", text(&site.path("state")), text(&site.signer.public()));
        std::fs::create_dir(site.path("state")).unwrap();
        std::fs::write(site.path("agent.yaml"), config).unwrap();
        site
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.folder.path().join(name)
    }

    /// A signed pack that ends at `expires`.
    fn pack(&self, name: &str, number: u64, expires: i64) -> std::path::PathBuf {
        let path = self.path(name);
        std::fs::write(&path, signed::make(&self.path("rules"), number, clock::unix_now(), expires, assay::facts::schemas()).unwrap()).unwrap();
        self.signer.sign(&path);
        path
    }

    /// What `assay rules install` says: code and error.
    fn install(&self, pack: &Path) -> (i32, String) {
        let (code, _, error) = run(ASSAY, &["rules", "install", text(pack), "--config", text(&self.path("agent.yaml"))]);
        (code, error)
    }

    fn installed(&self) -> Option<u64> {
        signed::installed(&self.path("state"), &self.signer.public()).unwrap().map(|p| p.number())
    }
}

#[test]
fn a_signed_pack_is_made_verified_and_installed() {
    let site = Site::new();
    let pack = site.path("seven.pack");
    let (code, _, error) = run(ASSAY, &["rules", "pack", text(&site.path("rules")), "--number", "7", "--expires", "2999-12-31", "-o", text(&pack)]);
    assert_eq!(code, 0, "{error}");
    site.signer.sign(&pack);
    let (code, said, error) = run(ASSAY, &["rules", "verify", text(&pack), "--key", text(&site.signer.public())]);
    assert_eq!(code, 0, "{error}");
    assert!(said.starts_with("pack 7: 1 rules, made ") && said.contains("before 3000-01-01"), "{said}");
    assert_eq!(site.installed(), None);
    assert_eq!(site.install(&pack), (0, String::new()));
    assert_eq!(site.installed(), Some(7));
    let opened = SignedPack::open(&Place::beside(&pack, &site.signer.public())).unwrap();
    // A pack is the same rules as its folder: agent and collector agree on the digest.
    let folder = Pack::load(&site.path("rules"), assay::facts::schemas()).unwrap();
    assert_eq!(opened.compile(assay::facts::schemas()).unwrap().digest(), folder.digest());
    assert_eq!(site.install(&pack).0, 0, "the same pack again changes nothing");
}

#[test]
fn unsigned_altered_cut_old_and_expired_packs_are_refused_and_the_installed_one_stays() {
    let site = Site::new();
    let later = clock::unix_now() + 300 * DAY;
    assert_eq!(site.install(&site.pack("five.pack", 5, later)).0, 0);
    let good = site.pack("good.pack", 6, later);
    let (bytes, signature) = (std::fs::read(&good).unwrap(), std::fs::read(site.path("good.pack.minisig")).unwrap());
    let refused = |name: &str, bytes: &[u8], signature: Option<&[u8]>, why: &str| {
        let path = site.path(name);
        std::fs::write(&path, bytes).unwrap();
        if let Some(signature) = signature {
            std::fs::write(site.path(&format!("{name}.minisig")), signature).unwrap();
        }
        let (code, error) = site.install(&path);
        assert!(code == 1 && error.contains(why) && error.trim().lines().count() == 1, "{name}: {code} {error}");
        assert_eq!(site.installed(), Some(5), "{name}");
    };
    refused("unsigned.pack", &bytes, None, "unsigned.pack.minisig");
    for at in (0..bytes.len()).step_by(bytes.len() / 40 + 1) {
        let mut altered = bytes.clone();
        altered[at] ^= 1;
        refused("altered.pack", &altered, Some(&signature), "does not hold");
        refused("cut.pack", &bytes[..at], Some(&signature), "does not hold");
    }
    refused("longer.pack", &[bytes.as_slice(), b"x"].concat(), Some(&signature), "does not hold");
    refused("signature.pack", &bytes, Some(&signature[..signature.len() / 2]), "not a signature of minisign");
    let stranger = Signer::new();
    std::fs::write(site.path("foreign.pack"), &bytes).unwrap();
    stranger.sign(&site.path("foreign.pack"));
    let foreign = std::fs::read(site.path("foreign.pack.minisig")).unwrap();
    refused("foreign.pack", &bytes, Some(&foreign), "does not hold");
    let signed = |name: &str, bytes: &[u8]| {
        std::fs::write(site.path(name), bytes).unwrap();
        site.signer.sign(&site.path(name));
        std::fs::read(site.path(&format!("{name}.minisig"))).unwrap()
    };
    let bomb = zstd::stream::encode_all(std::io::Read::take(std::io::repeat(0), 1 << 30), 3).unwrap();
    for (name, bytes) in [("bomb.pack", bomb.as_slice()), ("none.pack", b"{}"), ("twice.pack", &zstd::bulk::compress(b"{\"a\":1,\"a\":2}", 3).unwrap())] {
        refused(name, bytes, Some(&signed(name, bytes)), "not a pack of rules");
    }
    let (code, error) = site.install(&site.pack("four.pack", 4, later));
    assert!(code == 1 && error.contains("number 4 is not newer than 5, which is installed"), "{error}");
    let (code, error) = site.install(&site.pack("other.pack", 5, later + 1));
    assert!(code == 1 && error.contains("number 5 is not newer"), "{error}");
    let (code, error) = site.install(&site.pack("over.pack", 9, clock::unix_now() - 1));
    assert!(code == 1 && error.contains("expired: fetch a newer pack"), "{error}");
    std::fs::write(site.signer.public(), "nonsense").unwrap();
    assert!(site.install(&good).1.contains("not a public key of minisign"));
}

#[test]
fn an_expired_pack_goes_on_judging_and_says_so_and_an_altered_one_does_not() {
    let site = Site::new();
    let collector = Collector::start();
    let url = format!("https://{}", collector.agents);
    let state = site.path("state");
    let (code, _, error) = run(ASSAY, &["enroll", "--collector", &url, "--token", &collector.token(1), "--state", text(&state), "--name", "web01"]);
    assert_eq!(code, 0, "{error}");
    let scan = || {
        let (code, _, error) = run(ASSAY, &["agent", "--once", "--config", text(&site.path("agent.yaml"))]);
        assert_eq!(code, 0, "{error}");
    };
    // Installed while it was good.
    let pack = SignedPack::open(&Place::beside(&site.pack("short.pack", 3, clock::unix_now() + 2 * DAY), &site.signer.public())).unwrap();
    pack.install(&state, &site.signer.public(), clock::unix_now(), assay::facts::schemas()).unwrap();
    scan();
    let over = SignedPack::open(&Place::beside(&site.pack("over.pack", 4, clock::unix_now() - DAY), &site.signer.public())).unwrap();
    assert!(matches!(over.install(&state, &site.signer.public(), clock::unix_now(), assay::facts::schemas()), Err(SignedError::Expired(_))));
    over.install(&state, &site.signer.public(), clock::unix_now() - 2 * DAY, assay::facts::schemas()).unwrap();
    scan();
    let installed = state.join("rules/4.pack");
    let mut bytes = std::fs::read(&installed).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&installed, bytes).unwrap();
    scan();
    std::fs::remove_dir_all(state.join("rules")).unwrap();
    scan();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let reports = runtime.block_on(async { collector.store().await.reports(None, None, 0).await.unwrap() });
    let mut reports: Vec<assay::model::report::Report> = reports
        .iter()
        .map(|r| serde_json::from_slice(&assay::model::envelope::Envelope::parse(&r.envelope).unwrap().payload_bytes().unwrap()).unwrap())
        .collect();
    reports.sort_by_key(|r| r.sequence);
    let builtin = Pack::builtin(assay::facts::schemas()).unwrap().digest();
    let own = pack.compile(assay::facts::schemas()).unwrap().digest();
    let said: Vec<_> =
        reports.iter().map(|r| (r.software.pack, r.limits.iter().filter(|l| l.starts_with("pack-")).map(String::as_str).collect::<Vec<_>>())).collect();
    assert_eq!(said, [(own, vec![]), (own, vec!["pack-expired"]), (builtin, vec!["pack-refused"]), (builtin, vec![])]);
}
