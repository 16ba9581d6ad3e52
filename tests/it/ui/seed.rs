//! A collector with a history: real store, real ledger, hosts whose texts are hostile.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use assay::collector::app::{App, Contacts, KeyTable, Limits, ScanRequests};
use assay::collector::auth;
use assay::collector::basis::{Basis, InForce};
use assay::collector::lists::{List, Parsed};
use assay::collector::sequencer::Task;
use assay::collector::store::{BlobRow, ReportRow, Store, UserRow};
use assay::collector::ui::site::{Catalogue, ControlCard, FrameworkCard, RuleCard};
use assay::ledger::Verifier;
use assay::model::advisories::Derived;
use assay::model::blob::Blob;
use assay::model::fact::{Observation, Source, StableFacts, VolatileFacts};
use assay::model::finding::{Citation, Counts, Finding, Severity, UnknownReason, Verdict};
use assay::model::gap::Gap;
use assay::model::ids::{Digest, HostId, Lineage, RandomId, Salt};
use assay::model::policy::Policy;
use assay::model::report::{FORMAT, FamilyBlobs, Losses, Report, Scan, ScanKind, ScanState, Software, Times};
use assay::pki::authority::Authority;
use assay::pki::keys::SigningKey;
use serde_json::{Value, json};

pub const DAY: i64 = 86_400;
/// A name that tries everything a host can put into a page.
pub const HOSTILE: &str = "evil\u{202e}<script>document.title='owned'</script>\u{1b}[31m";

/// A running collector without listeners.
pub struct Seeded {
    pub app: Arc<App>,
    pub task: Task,
    // Held so that the store lives as long as the collector.
    _folder: tempfile::TempDir,
}

/// An empty collector with one user per role; the password of each is `PASSWORD`.
pub async fn empty(now: i64) -> Seeded {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path()).await.unwrap();
    let signer = Arc::new(SigningKey::generate().unwrap());
    let origin = "assay.invalid/test".to_string();
    let verifier = Verifier::new(&origin, signer.public_key()).unwrap();
    let pack = Arc::new(assay::rules::Pack::builtin(assay::facts::schemas()).unwrap());
    let (task, sequencer) = Task::open(store.clone(), signer.clone(), verifier.clone(), now).await.unwrap();
    let app = App {
        basis: InForce::new(Basis::new(pack.clone(), Policy::default())),
        refused: Default::default(),
        resumption: None,
        asked: Default::default(),
        rotations: Vec::new(),
        ledger_keys: vec![verifier.clone()],
        halt: Default::default(),
        store,
        pack,
        authority: Authority::load_or_create(folder.path(), now).unwrap(),
        signer,
        verifier,
        origin,
        people_url: "http://127.0.0.1:18930".into(),
        agents_url: "https://127.0.0.1:18931".into(),
        plain_http: true,
        sequencer,
        keys: KeyTable::default(),
        contacts: Contacts::default(),
        scan_requests: ScanRequests::default(),
        limits: Limits::default(),
        admission: Default::default(),
        metrics: Arc::new(assay::collector::metrics::Metrics::new(0, now)),
    };
    let password = auth::hash_password(PASSWORD).unwrap();
    for (n, role) in ["admin", "reviewer", "auditor", "viewer"].into_iter().enumerate() {
        let id = RandomId::new([u8::try_from(n).unwrap() + 1; 16]);
        let password = password.clone();
        app.store.put_user(&UserRow { id, name: role.into(), role: role.into(), password, created_at: now }, "test", now).await.unwrap();
    }
    Seeded { app: Arc::new(app), task, _folder: folder }
}

/// Password of every user.
pub const PASSWORD: &str = "correct horse battery";

/// The id of the user with this role.
pub fn user(role: &str) -> RandomId {
    let n = ["admin", "reviewer", "auditor", "viewer"].iter().position(|r| *r == role).unwrap();
    RandomId::new([u8::try_from(n).unwrap() + 1; 16])
}

/// Five hosts with ten weeks of reports.
pub async fn full(now: i64) -> Seeded {
    let mut seeded = empty(now).await;
    let monday = assay::collector::ui::when::week_start(now);
    for (list, text) in &lists().0 {
        let parsed = list.parse(list.name(), text.as_bytes()).unwrap();
        assay::collector::lists::put(&seeded.app.store, *list, &parsed, text.clone().into_bytes(), "uid 0", monday - 70 * DAY).await.unwrap();
    }
    let names = ["web01", "web02", "db01", HOSTILE, "new01"];
    for (n, name) in names.into_iter().enumerate() {
        let n = u8::try_from(n).unwrap();
        let enrolled = if n == 4 { now - 3_600 } else { monday - 70 * DAY - 3_600 };
        let (id, salt) = enrol(&seeded.app.store, n, name, enrolled).await;
        if n == 4 {
            continue;
        }
        for week in 0..=10_i64 {
            let is_missed = (n == 2 && week == 4) || (n == 3 && week >= 8);
            let start = monday - (10 - week) * 7 * DAY + 7_200 + i64::from(n) * 977;
            if is_missed || start > now {
                continue;
            }
            let late = if n == 1 && week == 6 { 8 * DAY } else { 0 };
            let window = Some(assay::collector::ui::when::week_name(assay::collector::ui::when::week(start)));
            let scan = Scan { kind: ScanKind::Weekly, window, state: ScanState::Complete };
            report(&seeded.app.store, id, &salt, u64::try_from(week).unwrap() + 1, scan, start + late, findings(n, week, start), facts(n, start)).await;
        }
        if n < 3 {
            let scan = Scan { kind: ScanKind::OnDemand, window: None, state: ScanState::Complete };
            report(&seeded.app.store, id, &salt, 12, scan, now - 7_000 + i64::from(n), findings(n, 11, now), facts(n, now - 7_000)).await;
        }
    }
    while seeded.task.step().await.unwrap() > 0 {}
    seeded
}

async fn enrol(store: &Store, n: u8, name: &str, at: i64) -> (HostId, Salt) {
    use assay::collector::store::{Enrolled, NewHost};
    let secret = Digest::of(&[n, 77]);
    store.put_secret("enrol", &secret, "", at + DAY, 1).await.unwrap();
    let (id, salt) = (HostId::new([n + 0x31; 32]), Salt::new([n + 1; 32]));
    let host = NewHost { id, name: name.into(), public_key: vec![n], salt, machine: String::new(), secret };
    assert_eq!(store.enrol(&host, at).await.unwrap(), Enrolled::New);
    (id, salt)
}

#[expect(clippy::too_many_arguments, reason = "a report has many parts")]
async fn report(
    store: &Store,
    host: HostId,
    salt: &Salt,
    sequence: u64,
    scan: Scan,
    at: i64,
    findings: Vec<Finding>,
    (families, gaps): (BTreeMap<&str, Value>, Vec<Gap>),
) {
    use assay::collector::store::{Accepted, NewReport};
    let put = async |blob: Blob| {
        store.put_blob(&host, &BlobRow { address: blob.address, frame: blob.frame().unwrap() }, at).await.unwrap();
        blob.address
    };
    let observed: BTreeMap<String, Value> = families.iter().map(|(name, value)| ((*name).to_string(), value.clone())).collect();
    let mut facts = Vec::new();
    for (family, value) in families {
        let (stable, volatile) = split(family, value);
        let (stable, volatile) = (Blob::of(salt, &stable).unwrap(), Blob::of(salt, &volatile).unwrap());
        facts.push(FamilyBlobs { family: family.into(), stable: put(stable).await, volatile: put(volatile).await });
    }
    let observation = Observation { gathered_at: at, families: observed, gaps: gaps.clone() };
    let report = Report {
        format: FORMAT.into(),
        host,
        lineage: Lineage::new([9; 16]),
        parent: None,
        sequence,
        scan: scan.clone(),
        times: Times { started: at, finished: at + 4, boot_ms: 1 },
        software: Software { agent: "0.1.0".into(), pack: Digest::of(b"pack"), policy: Digest::of(b"policy") },
        facts,
        gaps: put(Blob::of(salt, &gaps).unwrap()).await,
        findings: put(Blob::of(salt, &findings).unwrap()).await,
        counts: Counts::of(&findings),
        limits: Vec::new(),
        losses: Losses::default(),
    };
    let payload = assay::model::canonical::to_bytes(&report).unwrap();
    let envelope = SigningKey::generate().unwrap().seal(assay::model::envelope::REPORT_TYPE, &payload);
    let row = ReportRow {
        id: Digest::of(&payload),
        host,
        lineage: report.lineage,
        sequence,
        kind: scan.kind,
        window: scan.window,
        state: scan.state,
        started: at,
        finished: at + 4,
        received: at + 6,
        counts: report.counts,
        disagrees: false,
        envelope: envelope.to_bytes(),
        leaf: None,
    };
    let new = NewReport {
        row,
        report,
        findings,
        os: Some("Debian GNU/Linux 12.9 (bookworm)".into()),
        needs: Default::default(),
        basis: Digest::of(b""),
        looked_at: Default::default(),
        kept: Vec::new(),
    };
    let new = NewReport { kept: assay::collector::kept::extract(&lists().1, &new.report, &observation, Some(&advisories(at)), &[], at + 4), ..new };
    assert_eq!(store.accept(new).await.unwrap(), Accepted::New);
}

/// Lists that people gave, and what is kept by them.
fn lists() -> &'static (Vec<(List, String)>, Basis) {
    static LISTS: OnceLock<(Vec<(List, String)>, Basis)> = OnceLock::new();
    LISTS.get_or_init(|| {
        let left = assay::collector::ui::when::iso_day(assay::host::clock::unix_now() - 14 * DAY);
        let texts = vec![
            (List::Roster, format!("person,full name,accounts,ended at\nm.keller,Maria Keller,mkeller,{left}\na.berg,Anna Berg,root,\n")),
            (List::Approvals, "person,access,host,reason,approver,expires\na.berg,root,,operations,c.chief,\nz.none,sudo,web*,on call,c.chief,\n".into()),
            (List::Inventory, "name,os,owner\nweb01,Debian,Ops\nghost01,Windows,Sales\n".into()),
            (
                List::Labels,
                "host,owner,purpose,criticality,region,labels\nweb01,Ops,shop,critical,eu-1,pci\nweb02,Ops,shop,high,eu-2,\ndb01,Data,,,eu-1,\n".into(),
            ),
        ];
        let mut basis = Basis::new(Arc::new(assay::rules::Pack::builtin(assay::facts::schemas()).unwrap()), Policy::default());
        for (list, text) in &texts {
            basis = match list.parse(list.name(), text.as_bytes()).unwrap() {
                Parsed::Roster(roster) => basis.changed(|b| b.roster = Some(Arc::new(roster))),
                Parsed::Approvals(approvals) => basis.changed(|b| b.approvals = Some(Arc::new(approvals))),
                _ => basis,
            };
        }
        (texts, basis)
    })
}

/// What an index of advisories says of every host.
fn advisories(at: i64) -> Derived {
    let hole = |id: &str, package: &str, severity: &str, score: Value, fixed: &str| {
        json!({"subject": format!("{id} {package}"), "id": id, "aliases": ["CVE-2026-1111"], "packages": [package], "source_package": package, "installed": "3.0.9-1",
            "fixed": fixed, "severity": severity, "score_tenths": score, "published_at": at - 20 * DAY, "offered": "no",
            "state": if fixed.is_empty() { "no-fix" } else { "fixed-available" }, "source": {"place": "/var/lib/dpkg/status", "line": 0, "directive": ""}})
    };
    let value = json!({"data": {"imported_at": at, "newest_record_at": at, "records": 2, "digest": ""}, "ecosystems": ["Debian:12"], "packages": 1,
        "critical": [hole("DSA-1-1", "openssl", "critical", json!(98), "3.0.11-1")], "high": [], "medium": [], "low": [], "unrated": [],
        "no_fix": [hole("DSA-2-1", HOSTILE, "medium", json!(null), ""), hole("DSA-3-1", "tiny", "low", json!(null), "")], "unimportant": [], "kernels_not_running": []});
    Derived { value: Some(value), gaps: Vec::new() }
}

fn split(family: &str, value: Value) -> (StableFacts, VolatileFacts) {
    let known = assay::facts::family(family).unwrap();
    assay::model::fact::split(family, known.version, &known.schema(), value)
}

fn finding(rule: &str, subject: &str, verdict: Verdict, severity: Severity, message: &str) -> Finding {
    let source = Source::line("/etc/ssh/sshd_config.d/50-local.conf", 3, "PermitRootLogin");
    let citation = Citation { path: "sshd.permit_root_login".into(), value: "\"yes\"".into(), source: Some(source) };
    let wire = Citation {
        path: "tls.endpoints[0].accepted".into(),
        value: "[\"TLSv1.0\",\"TLSv1.1\",\"TLSv1.2\"]".into(),
        source: Some(Source::whole("tcp 0.0.0.0:8443")),
    };
    let citations = if rule.starts_with("tls") { vec![wire] } else { vec![citation] };
    Finding { rule: rule.into(), subject: subject.into(), verdict, severity, message: message.into(), reason: None, citations }
}

fn findings(n: u8, week: i64, at: i64) -> Vec<Finding> {
    use Severity::{Critical, High, Low, Medium};
    use Verdict::{Fail, NotApplicable, Pass, Unknown};
    let mut out = vec![
        finding("os-end-of-life", "", Pass, High, ""),
        finding("storage-encryption", "/", if n == 2 { Pass } else { Fail }, High, if n == 2 { "" } else { "/ lies unencrypted on sda2" }),
        finding("sshd-root-login", "", if week < 5 { Fail } else { Pass }, High, if week < 5 { "root may sign in with a password" } else { "" }),
        finding("accounts-dormant", "backup", NotApplicable, Low, "the account can't sign in"),
    ];
    let old_tls = n == 0 && week >= 3;
    out.push(finding(
        "tls-version-minimum",
        "0.0.0.0:8443/tcp",
        if old_tls { Fail } else { Pass },
        High,
        if old_tls { "accepts TLSv1.0, TLSv1.1" } else { "" },
    ));
    if n == 0 && week >= 9 {
        let message = "left 14 days ago, still: key in /home/deploy/.ssh/authorized_keys:3, sudo ALL by /etc/sudoers.d/ops:7";
        out.push(finding("access-leaver-active", "m.keller", Fail, Critical, message));
    }
    if n == 1 && week >= 10 {
        out.push(finding("service-ftp-plaintext", "0.0.0.0:2121/tcp", Fail, High, "FTP without TLS, anonymous login allowed"));
    }
    if n == 3 {
        out.push(finding("service-telnet", &format!("{HOSTILE} {}", "x".repeat(300)), Fail, Medium, &format!("{HOSTILE} banner {}", "A".repeat(400))));
    }
    let mut stale = finding("updates-security-pending", "", if n == 1 { Unknown } else { Pass }, High, "");
    if n == 1 {
        let reason = UnknownReason {
            kind: "gap".into(),
            id: "permission-denied".into(),
            detail: "package lists are 41 days old (limit 7)".into(),
            remedy: "Run apt-get update, or let apt refresh its lists daily.".into(),
        };
        stale.reason = Some(reason);
    }
    out.push(stale);
    let _ = at;
    out
}

fn facts(n: u8, at: i64) -> (BTreeMap<&'static str, Value>, Vec<Gap>) {
    let source = json!({"place": "/proc/net/tcp", "line": 2, "directive": ""});
    let process = |name: &str, package: &str| json!({"pid": 812, "name": name, "executable": format!("/usr/sbin/{name}"), "deleted": name == "vsftpd", "package": package});
    let listener = |address: &str, port: u32, scope: &str, p: Value| json!({"subject": format!("{address}:{port}/tcp"), "transport": "tcp", "address": address, "port": port, "scope": scope, "uid": 0, "process": p, "source": source});
    let service = |address: &str, port: u32, protocol: &str, plaintext: bool, tls: &str| {
        json!({"subject": format!("{address}:{port}/tcp"), "transport": "tcp", "presumed": "", "address": address, "port": port, "local": true, "scope": "any", "process": "", "package": "", "outcome": "identified", "protocol": protocol,
               "plaintext": plaintext, "tls": tls, "authentication": "unknown", "anonymous": null, "open": [], "versions": [], "ssh": null, "http": null, "exports": [], "signing": "", "banner": "", "source": source})
    };
    let certificate = json!({"role": "leaf", "subject_name": "CN=api.example.com", "issuer_name": "CN=Example CA", "common_names": ["api.example.com"],
        "names": ["api.example.com", "www.example.com"], "names_count": 2, "name_kinds": ["dNSName"], "version": 3, "serial": "0a", "not_before": at - 80 * DAY,
        "not_after": at + 6 * DAY + 3_600 + i64::from(n) * DAY, "key_kind": "rsa", "key_bits": 2048, "key_curve": "", "key_exponent": 65537, "key_pss_only": false,
        "key_sha256": format!("{n:064x}"), "signature": "sha256WithRSAEncryption", "signature_hash": "sha256", "self_signed": false, "is_ca": false,
        "path_length": null, "key_usage": ["digitalSignature"], "extended_key_usage": ["serverAuth"], "must_staple": false, "ocsp": [], "ca_issuers": [],
        "crl": [], "policies": [], "scts_count": 0, "subject_key_id": "", "authority_key_id": "", "unknown_critical": [], "problems": [],
        "fingerprint": format!("{n:064x}")});
    let chain = json!({"subject": "0.0.0.0:8443/tcp", "endpoint": "0.0.0.0:8443/tcp", "process": "nginx", "scope": "any", "starttls": "", "server_name": "",
        "key_kind": "rsa", "certificates": [certificate], "in_order": true, "extra": [], "complete": false, "path": [1], "path_not_before": at - 80 * DAY,
        "path_not_after": at + 6 * DAY, "store": "system", "trust": "issuer-not-found", "trust_detail": "", "violations": [], "anchor": "",
        "anchor_fingerprint": "", "anchor_sent": false, "name_matches": null, "common_name_only": false, "staple": null, "scts": [], "source": source});
    let endpoint = json!({"subject": "0.0.0.0:8443/tcp", "address": "127.0.0.1", "port": 8443, "process": "nginx", "scope": "any", "starttls": "", "server_name": "", "outcome": "tls", "outcome_detail": "", "versions": [],
        "accepted": ["TLSv1.0", "TLSv1.1", "TLSv1.2"], "lowest_code": 769, "client_certificate_requested": false, "client_certificate_required": false, "source": source});
    let user = |name: &str, uid: u32, state: &str, shell: bool, can: bool| {
        json!({"subject": name, "shell_exists": true, "name": name, "uid": uid, "gid": uid, "full_name": if uid == 1000 { "Maria Keller" } else { "" }, "home": format!("/home/{name}"), "shell": "/bin/bash", "shell_allows_login": shell, "groups": [name],
               "password": {"state": state, "scheme": if state == "usable" { "yescrypt" } else { "" }, "changed_at": null, "minimum_days": null, "maximum_days": null, "warn_days": null, "inactive_days": null, "expires_at": null, "source": source},
               "can_sign_in": can, "last_login_at": if uid == 1000 { json!(at - 4 * DAY) } else { json!(null) }, "last_login_from": if uid == 1000 { json!("10.0.4.7") } else { json!(null) }, "source": source})
    };
    let link = |kind: &str, name: &str, detail: &str, encrypted: bool, depth: u64| json!({"kind": kind, "name": name, "detail": detail, "encrypted": encrypted, "depth": depth, "source": source});
    let raid = json!([
        link("lvm", "vg0-root", "", false, 0),
        link("crypt", "md0_crypt", "LUKS2 aes-xts-plain64 512 bit", true, 1),
        link("raid", "md0", "RAID 1", false, 2),
        link("partition", "sda2", "", false, 3),
        link("partition", "sdb2", "", false, 3)
    ]);
    let plain = json!([link("partition", "sda2", "", false, 0), link("disk", "sda", "SAMSUNG MZ7LH960", false, 1)]);
    let volume = |subject: &str, encrypted: &str, why: &str, boot: bool, chain: Value| json!({"subject": subject, "use": "mount", "file_system": "ext4", "device": "/dev/sda2", "removable_or_boot": boot, "encrypted": encrypted, "why": why, "chain": chain, "source": source});
    let root =
        if n == 2 { volume("/", "yes", "LUKS2 aes-xts-plain64 512 bit", false, raid) } else { volume("/", "no", "no layer encrypts", false, plain.clone()) };
    let mut families = BTreeMap::from([
        (
            "os",
            json!({"hostname": "web01", "id": "debian", "id_like": [], "version_id": "12", "codename": "bookworm", "pretty_name": "Debian GNU/Linux 12.9 (bookworm)", "end_of_life": {"at": at + 600 * DAY, "support": "lts", "source": "debian.org"},
                      "architecture": "x86_64", "virtualization": "kvm", "hardware": {"processors": 4, "memory_bytes": 16_700_000_000_u64}, "source": source}),
        ),
        (
            "kernel",
            json!({"running": "6.1.0-28-amd64", "boot_at": at - 20 * DAY, "installed": [], "newest": "6.1.0-30-amd64", "running_is_newest": false, "reboot_required": true, "reboot_required_by": ["linux-image-6.1.0-30-amd64"]}),
        ),
        (
            "storage",
            json!({"volumes": [root, volume("/boot", "no", "boot loader reads it", true, plain.clone()), volume("/srv/data", "unknown", "virtual disk: encryption below it is not visible", false, json!([link("disk", "vdb", "", false, 0)]))], "from_configuration": false}),
        ),
        (
            "accounts",
            json!({"users": [user("root", 0, "usable", true, true), user("deploy", 1001, "locked", true, false), user("mkeller", 1000, "usable", true, true), user("www-data", 33, "none", false, false)], "groups": [], "name_services": ["files"], "shared_uids": [], "repeated_names": [], "logins_complete": false,
                            "login_defs": {"pass_max_days": null, "pass_min_days": null, "encrypt_method": "YESCRYPT", "uid_min": 1000, "source": source}}),
        ),
        (
            "ssh_keys",
            json!({"items": [{"subject": "deploy /home/deploy/.ssh/authorized_keys:3", "account": "deploy", "path": "/home/deploy/.ssh/authorized_keys", "line": 3, "kind": "ssh-ed25519", "bits": 256, "fingerprint": "SHA256:x", "comment": "m.keller@laptop", "options": [], "expires_at": null, "source": source}], "files": [], "shared": [], "accounts": ["deploy"]}),
        ),
        (
            "sudo",
            json!({"installed": true, "grants": [{"subject": "%ops /etc/sudoers.d/ops:7", "who": "%ops", "accounts": ["mkeller"], "hosts": ["ALL"], "run_as": ["root"], "commands": ["ALL"], "all_commands": true, "as_root": true, "password_needed": false, "source": source}], "files": []}),
        ),
        (
            "listeners",
            json!({"items": [listener("0.0.0.0", 22, "any", process("sshd", "openssh-server")), listener("0.0.0.0", 8443, "any", process("nginx", "nginx")), listener("0.0.0.0", 2121, "any", process("vsftpd", "")), listener("127.0.0.1", 5432, "loopback", process("postgres", "postgresql-15")), listener("10.0.4.2", 9100, "private", json!(null))]}),
        ),
        (
            "services",
            json!({"items": [service("0.0.0.0", 22, "ssh", false, "none"), service("0.0.0.0", 8443, "http", false, "direct"), service("0.0.0.0", 2121, "ftp", true, "none"), service("127.0.0.1", 5432, "postgresql", true, "optional")]}),
        ),
        ("tls", json!({"endpoints": [endpoint], "chains": [chain]})),
        (
            "updates",
            json!({"lists": [], "oldest_list_at": at - 41 * DAY, "pending": [{"name": "openssl", "architecture": "amd64", "installed": "3.0.15-1~deb12u1", "candidate": "3.0.17-1~deb12u3", "security": true, "held": false, "repository": "", "source": source}],
                           "automatic": {"lists_every_days": 0, "upgrade_every_days": 0, "tool_installed": false, "enabled": false, "last_success_at": null, "source": source}}),
        ),
    ]);
    if n == 3 {
        families.remove("storage");
    }
    let gap = |family: &str, reason: &str, detail: &str, remedy: &str, subject: &str| Gap {
        family: family.into(),
        path: String::new(),
        subject: subject.into(),
        reason: reason.into(),
        detail: detail.into(),
        remedy: remedy.into(),
    };
    let denied = "Run the scan as root, or give the agent CAP_DAC_READ_SEARCH.";
    let gaps = vec![
        gap("accounts", "permission-denied", "/etc/shadow can't be read", denied, ""),
        gap("listeners", "permission-denied", "the process behind 10.0.4.2:9100 can't be read", denied, "10.0.4.2:9100/tcp"),
        gap("packages", "unsupported", "rpm databases are not read yet", "", ""),
    ];
    (families, gaps)
}

/// Rules and one framework for the seeded findings.
pub fn catalogue() -> Catalogue {
    use Severity::{Critical, High, Low, Medium};
    let rules = [
        ("access-leaver-active", "Access is revoked when people leave", Critical),
        ("tls-version-minimum", "TLS endpoints accept current versions only", High),
        ("service-ftp-plaintext", "FTP is not possible without TLS", High),
        ("service-telnet", "Telnet is not possible", Medium),
        ("storage-encryption", "Data at rest is encrypted", High),
        ("sshd-root-login", "Root does not sign in by password", High),
        ("updates-security-pending", "Security updates are installed", High),
        ("os-end-of-life", "The system still gets security updates", High),
        ("accounts-dormant", "Accounts that sign in are used", Low),
        ("certificate-expiry", "Certificates are renewed in time", Medium),
    ];
    let card = |(id, title, severity): (&str, &str, Severity)| RuleCard {
        id: id.into(),
        title: title.into(),
        severity,
        why: "Whoever keeps a way in after leaving can act without anybody noticing.\nContracts and laws expect that it ends with the last day.".into(),
        fix: "sed -i '/m.keller@laptop/d' /home/deploy/.ssh/authorized_keys\ngpasswd -d m.keller ops".into(),
        verify: "ssh-keygen -lf /home/deploy/.ssh/authorized_keys".into(),
        refs: vec!["sshd(8), AUTHORIZED_KEYS FILE FORMAT".into()],
    };
    let control = |id: &str, title: &str, rules: &[&str]| ControlCard {
        id: id.into(),
        title: title.into(),
        rules: rules.iter().map(|r| (*r).into()).collect(),
        fleet: String::new(),
        record: String::new(),
        records: Vec::new(),
    };
    let soc2 = FrameworkCard {
        id: "soc2-2017".into(),
        title: "SOC 2".into(),
        is_page: false,
        controls: vec![
            control("CC6.1", "Logical access is limited to those who need it", &["storage-encryption", "sshd-root-login", "accounts-dormant"]),
            control("CC6.2", "Access is granted and removed with employment", &["access-leaver-active"]),
            control("CC6.6", "Boundaries protect against outside threats", &["service-ftp-plaintext", "service-telnet"]),
            control("CC6.7", "Data in transit is protected", &["tls-version-minimum", "certificate-expiry"]),
            control("CC7.1", "Weaknesses are found and mended", &["updates-security-pending", "os-end-of-life"]),
            control("CC8.1", "The system is supported", &["os-end-of-life"]),
            control("CC9.2", "Vendors are assessed", &[]),
        ],
    };
    Catalogue { rules: rules.into_iter().map(|r| (r.0.to_string(), card(r))).collect(), frameworks: vec![soc2] }
}
