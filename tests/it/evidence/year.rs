//! A year of a company with 50 hosts, written into a real store with real signatures, and what went wrong in it. The bundle
//! must tell each of the events; whoever alters the database or the bundle must be named.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use assay::collector::lists::{self, List};
use assay::collector::sequencer::Task;
use assay::collector::store::{Accepted, BlobRow, Enrolled, NewHost, NewList, NewReport, ReportRow, Retirement, Statement, Store};
use assay::collector::{Keys, RulesChanged};
use assay::ledger::Kind;
use assay::model::blob::Blob;
use assay::model::canonical;
use assay::model::envelope::{Envelope, REPORT_TYPE};
use assay::model::finding::{Counts, Finding, Severity, Verdict};
use assay::model::ids::{Digest, HostId, Lineage, RandomId, Salt};
use assay::model::policy::Policy;
use assay::model::report::{FORMAT, FamilyBlobs, Losses, Report, Scan, ScanKind, ScanState, Software, Times};
use assay::pki::keys::spki_of;
use assay::records::{Action, Event};
use assay::rules::Pack;
use jiff::ToSpan as _;
use jiff::civil::{Date, Weekday, date};
use ring::signature::{Ed25519KeyPair, KeyPair as _};
use serde_json::json;

use assay::evidence::material::day_start;

use super::made::files;

/// Hosts of the company: `app01` … `app40`, `db01` … `db10`.
pub const HOSTS: usize = 50;
/// First and last day.
pub const YEAR: (Date, Date) = (date(2025, 11, 1), date(2026, 10, 31));

/// Something that is not as it should be, on a host, from one day until another.
struct Fault {
    host: &'static str,
    rule: &'static str,
    subject: &'static str,
    message: &'static str,
    from: Date,
    /// First day on which it is mended.
    until: Date,
}

const FAULTS: &[Fault] = &[
    Fault {
        host: "app03",
        rule: "tls-version-minimum",
        subject: "0.0.0.0:8443/tcp",
        message: "accepts TLSv1.0, TLSv1.1",
        from: date(2026, 2, 2),
        until: date(2026, 7, 13),
    },
    Fault {
        host: "db02",
        rule: "updates-security-pending",
        subject: "openssl",
        message: "a security update has waited since 2026-02-27",
        from: date(2026, 3, 2),
        until: date(2026, 4, 6),
    },
    Fault {
        host: "app10",
        rule: "access-leaver-active",
        subject: "m.keller",
        message: "left, still: key in /home/deploy/.ssh/authorized_keys:3",
        from: date(2026, 6, 8),
        until: date(2026, 6, 17),
    },
    Fault {
        host: "db01",
        rule: "backup-schedule",
        subject: "nightly",
        message: "no backup between 2026-09-06 02:00 and 2026-09-13 02:00",
        from: date(2026, 9, 7),
        until: date(2026, 9, 14),
    },
];

pub fn name_of(number: usize) -> String {
    if number < 40 { format!("app{:02}", number + 1) } else { format!("db{:02}", number - 39) }
}

/// One host as the simulation knows it.
struct Machine {
    id: HostId,
    key: Ed25519KeyPair,
    name: String,
    salt: Salt,
    sequence: u64,
    /// Blobs that the store holds of it.
    held: std::collections::BTreeSet<assay::model::ids::Address>,
}

/// The company while its history is written.
pub struct Company {
    pub store: Store,
    rules: Vec<(String, Severity)>,
    machines: Vec<Machine>,
}

impl Company {
    /// All hosts enrolled a month before the year begins.
    pub async fn found(folder: &Path) -> Self {
        let store = Store::open(folder).await.unwrap();
        let pack = Pack::builtin(assay::facts::schemas()).unwrap();
        let rules = pack.rules.iter().map(|r| (r.id.clone(), r.severity)).collect();
        let mut machines = Vec::new();
        for number in 0..HOSTS {
            let key = Ed25519KeyPair::from_seed_unchecked(&[number as u8 + 1; 32]).unwrap();
            let public: [u8; 32] = key.public_key().as_ref().try_into().unwrap();
            let spki = spki_of(&public);
            let (id, salt) = (HostId::of_spki(&spki), Salt::new([number as u8 + 1; 32]));
            let secret = Digest::of(id.bytes());
            store.put_secret("enrol", &secret, "", i64::MAX, 1).await.unwrap();
            let new = NewHost { id, name: name_of(number), public_key: spki, salt, machine: String::new(), secret };
            assert_eq!(store.enrol(&new, day_start(date(2025, 10, 1))).await.unwrap(), Enrolled::New);
            machines.push(Machine { id, key, name: name_of(number), salt, sequence: 0, held: Default::default() });
        }
        Self { store, rules, machines }
    }

    pub fn id(&self, name: &str) -> HostId {
        self.machines.iter().find(|m| m.name == name).unwrap().id
    }

    /// The year, day by day.
    pub async fn live(&mut self) {
        let retired = date(2026, 8, 15);
        let mut day = date(2025, 10, 27);
        while day <= date(2026, 11, 1) {
            let week = day.iso_week_date();
            let window = format!("{:04}-W{:02}", week.year(), week.week());
            // A month's first Monday is its monthly scan, every other Monday a weekly one.
            let (kind, window) = if day.day() <= 7 { (ScanKind::Monthly, format!("{:04}-{:02}", day.year(), day.month())) } else { (ScanKind::Weekly, window) };
            for number in 0..HOSTS {
                let name = self.machines[number].name.clone();
                if name == "app40" && day >= retired {
                    continue;
                }
                if day.weekday() == Weekday::Monday {
                    let missed = name == "app07" && day == date(2026, 3, 16);
                    let state = if name == "app08" && day == date(2026, 3, 23) { ScanState::Aborted } else { ScanState::Complete };
                    // A spool that was cut off: the scan ran in time and arrived nine days later.
                    let delay = if name == "app09" && day == date(2026, 5, 11) { 9 * 86_400 } else { 60 };
                    if !missed {
                        self.report(number, kind, Some(window.clone()), day, state, delay).await;
                    }
                }
                // The day on which a mended fault is looked at again, out of turn.
                if FAULTS.iter().any(|f| f.host == name && f.until == day) && day.weekday() != Weekday::Monday {
                    self.report(number, ScanKind::OnDemand, None, day, ScanState::Complete, 60).await;
                }
            }
            if day == retired {
                let id = self.id("app40");
                let at = day_start(day) + 43_200;
                let gone = Retirement { host: id, by: "alice".into(), why: "replaced by app39, contract 2026-17 ended".into(), at, replaced_by: None };
                assert!(self.store.retire(&gone).await.unwrap());
            }
            day = day.checked_add(1.day()).unwrap();
        }
    }

    async fn report(&mut self, number: usize, kind: ScanKind, window: Option<String>, day: Date, state: ScanState, delay: i64) -> Digest {
        let machine = &mut self.machines[number];
        machine.sequence += 1;
        let started = day_start(day) + 7_200 + number as i64 * 60;
        let findings: Vec<Finding> = if state == ScanState::Complete { findings(&self.rules, &machine.name, day) } else { Vec::new() };
        let mut blobs = BTreeMap::new();
        let mut add = |document: &serde_json::Value| {
            let blob = Blob::of(&machine.salt, document).unwrap();
            let address = blob.address;
            blobs.insert(address, blob);
            address
        };
        let facts = FamilyBlobs {
            family: "os".into(),
            stable: add(&json!({"family": "os", "facts": {"pretty_name": "Debian GNU/Linux 12 (bookworm)"}, "version": 1})),
            volatile: add(&json!({"family": "os", "values": {"/uptime": started}, "version": 1})),
        };
        let report = Report {
            format: FORMAT.into(),
            host: machine.id,
            lineage: Lineage::new([number as u8 + 1; 16]),
            parent: None,
            sequence: machine.sequence,
            scan: Scan { kind, window: window.clone(), state },
            times: Times { started, finished: started + 40, boot_ms: 1_000 },
            software: Software { agent: "0.1.0".into(), pack: Digest::of(b"pack"), policy: Policy::default().digest() },
            facts: vec![facts],
            gaps: add(&json!([])),
            findings: add(&serde_json::to_value(&findings).unwrap()),
            counts: Counts::of(&findings),
            limits: if state == ScanState::Aborted { vec!["time".into()] } else { Vec::new() },
            losses: Losses::default(),
        };
        for blob in blobs.into_values().filter(|b| machine.held.insert(b.address)) {
            let frame = blob.frame().unwrap();
            self.store.put_blob(&machine.id, &BlobRow { address: blob.address, frame }, started + 41).await.unwrap();
        }
        let payload = canonical::to_bytes(&report).unwrap();
        let envelope = Envelope::seal(REPORT_TYPE, &payload, &machine.id.to_string(), |m| machine.key.sign(m).as_ref().to_vec()).to_bytes();
        let row = ReportRow {
            id: Digest::of(&payload),
            host: report.host,
            lineage: report.lineage,
            sequence: report.sequence,
            kind,
            window,
            state,
            started,
            finished: report.times.finished,
            received: report.times.finished + delay,
            counts: report.counts,
            disagrees: false,
            envelope,
            leaf: None,
        };
        let id = row.id;
        let os = Some("Debian GNU/Linux 12 (bookworm)".to_string());
        let new = NewReport { row, report, findings, os, needs: Arc::default(), basis: Digest::of(b""), looked_at: Default::default(), kept: Vec::new() };
        assert_eq!(self.store.accept(new).await.unwrap(), Accepted::New);
        id
    }
}

/// What every rule says of a host on a day: all is well but for the faults.
fn findings(rules: &[(String, Severity)], host: &str, day: Date) -> Vec<Finding> {
    let open: Vec<&Fault> = FAULTS.iter().filter(|f| f.host == host && f.from <= day && day < f.until).collect();
    let mut out = Vec::new();
    for (rule, severity) in rules {
        let mut add = |subject: &str, verdict, message: &str| {
            out.push(Finding {
                rule: rule.clone(),
                subject: subject.into(),
                verdict,
                severity: *severity,
                message: message.into(),
                reason: None,
                citations: Vec::new(),
            });
        };
        let faults: Vec<&Fault> = FAULTS.iter().filter(|f| f.host == host && f.rule == rule).collect();
        if faults.is_empty() {
            add("", Verdict::Pass, "");
        }
        for fault in faults {
            let now = open.iter().any(|f| std::ptr::eq(*f, fault));
            // Nobody is a leaver before leaving.
            match now {
                true => add(fault.subject, Verdict::Fail, fault.message),
                false if fault.rule == "access-leaver-active" && day < fault.from => add("", Verdict::NotApplicable, ""),
                false if fault.rule == "access-leaver-active" => add(fault.subject, Verdict::Pass, "revoked"),
                false => add(fault.subject, Verdict::Pass, ""),
            }
        }
    }
    out
}

/// What people recorded through the year, each at its time.
pub async fn record(company: &Company) {
    let store = &company.store;
    let at = |day: Date| day_start(day) + 36_000;
    let types = assay::records::types::builtin().unwrap();
    let kind = |id: &str| types.iter().find(|k| k.id == id).unwrap();
    let mut number = 0;
    let mut event = |record: &str, action: Action, when: Date, by: &str, entry: Option<RandomId>, subject: &str, fields: &[(&str, &str)]| {
        number += 1;
        Event {
            action,
            at: at(when),
            by: by.into(),
            entry: entry.unwrap_or(RandomId::new([number; 16])),
            fields: fields.iter().map(|(k, v)| ((*k).to_string(), (*v).to_string())).collect(),
            files: Vec::new(),
            format: assay::records::event::FORMAT.into(),
            nonce: RandomId::new([number; 16]),
            record: record.into(),
            subject: subject.into(),
        }
    };
    let asked = event(
        "waiver",
        Action::Add,
        date(2026, 2, 10),
        "ada",
        None,
        "",
        &[
            ("rule", "tls-version-minimum"),
            ("host", "app03"),
            ("subject", "0.0.0.0:8443/tcp"),
            ("reason", "a customer's scanner speaks nothing newer until its replacement in May"),
            ("control", "the port is open to that customer's network only"),
            ("expires", "2026-05-31"),
        ],
    );
    let waiver = asked.entry;
    let approved = event("waiver", Action::Approve, date(2026, 2, 11), "bob", Some(waiver), "", &[("note", "until the end of May, no longer")]);
    let owned = event(
        "handling",
        Action::Add,
        date(2026, 3, 3),
        "ada",
        None,
        "",
        &[("rule", "updates-security-pending"), ("host", "db02"), ("subject", "openssl"), ("owner", "carol"), ("due", "2026-03-16")],
    );
    let handled = owned.entry;
    let done = event(
        "handling",
        Action::Change,
        date(2026, 4, 6),
        "carol",
        Some(handled),
        "",
        &[("cause", "the mirror of the site was not synchronised"), ("resolution", "mirror mended, update installed")],
    );
    let trained = event("awareness-training", Action::Add, date(2026, 1, 15), "hr", None, "ada", &[("done_on", "2026-01-15")]);
    for event in [asked, approved, owned, done, trained] {
        let kind = kind(&event.record);
        let leaf = assay::collector::records::leaf_kind(kind, event.action);
        store.put_record(kind, leaf, event, &[]).await.unwrap();
    }
    for (when, left) in [(date(2025, 10, 20), ""), (date(2026, 6, 7), "2026-06-07")] {
        let roster = format!("person,accounts,ended_at\nada,ada,\nbob,bob,\ncarol,carol,\nm.keller,mkeller,{left}\n");
        let parsed = List::Roster.parse("roster.csv", roster.as_bytes()).unwrap();
        lists::put(store, List::Roster, &parsed, roster.into_bytes(), "ada", at(when)).await.unwrap();
    }
    let mut inventory = String::from("name\n");
    (0..HOSTS).map(name_of).chain(["legacy01".into()]).filter(|n| n != "app20").for_each(|n| inventory.push_str(&format!("{n}.example.com\n")));
    let parsed = List::Inventory.parse("inventory.csv", inventory.as_bytes()).unwrap();
    lists::put(store, List::Inventory, &parsed, inventory.into_bytes(), "ada", at(date(2026, 10, 30))).await.unwrap();
}

/// The data folder of the collector after the year: history, records, ledger numbered and signed.
async fn year(folder: &Path) {
    let mut company = Company::found(folder).await;
    let pack = Digest::of(b"pack");
    let rules = RulesChanged { at: day_start(date(2025, 10, 1)), digest: pack, old: None, rules: company.rules.len() as u64, version: "0.1.0".into() };
    company.store.put_statement(&Statement::of(Kind::RulePack, rules.at, &rules).unwrap(), None).await.unwrap();
    let policy = NewList {
        kind: Kind::Policy,
        digest: Policy::default().digest(),
        bytes: Some(canonical::to_bytes(&Policy::default()).unwrap()),
        rows: 1,
        at: rules.at,
        by: "configuration".into(),
    };
    company.store.put_list(&policy).await.unwrap();
    company.live().await;
    record(&company).await;
    let keys = Keys::load_or_create(folder, rules.at).unwrap();
    let (mut task, _) = Task::open(company.store.clone(), Arc::new(keys.signer), keys.verifier, day_start(YEAR.1) + 90_000).await.unwrap();
    while task.step().await.unwrap() > 0 {}
    company.store.close().await;
}

#[expect(clippy::disallowed_methods, reason = "the test runs the program under test")]
fn run(program: &str, arguments: &[&str]) -> (i32, String, String) {
    let output = std::process::Command::new(program).args(arguments).output().unwrap();
    let text = |b: &[u8]| String::from_utf8_lossy(b).into_owned();
    (output.status.code().unwrap(), text(&output.stdout), text(&output.stderr))
}

fn collector(arguments: &[&str]) -> (i32, String, String) {
    run(env!("CARGO_BIN_EXE_assay-collector"), arguments)
}

/// Rows of a CSV file of the bundle that hold all of these words.
fn rows<'t>(text: &'t str, words: &[&str]) -> Vec<&'t str> {
    text.lines().filter(|l| words.iter().all(|w| l.contains(w))).collect()
}

#[tokio::test]
async fn a_year_tells_each_of_its_events_and_names_each_tampering() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    std::fs::create_dir(&data).unwrap();
    year(&data).await;
    let (data, out) = (data.to_str().unwrap(), folder.path().join("year.zip"));
    let out = out.to_str().unwrap();
    let (code, said, err) = collector(&[
        "evidence",
        "export",
        "--framework",
        "soc2",
        "--from",
        "2025-11-01",
        "--to",
        "2026-10-31",
        "--seed",
        "4711",
        "--sample",
        "25",
        "--data",
        data,
        "--out",
        out,
    ]);
    assert_eq!((code, err.as_str()), (0, ""), "{said}");
    let (_, key, _) = collector(&["evidence", "key", "--data", data]);
    let (code, said, err) = run(env!("CARGO_BIN_EXE_assay"), &["evidence", "verify", out, "--key", key.trim()]);
    assert_eq!((code, err.as_str()), (0, ""), "{said}");

    let bundle = files(&std::fs::read(out).unwrap());
    let text = |path: &str| String::from_utf8(bundle[path].clone()).unwrap();
    let windows = text("windows.csv");
    assert_eq!(rows(&windows, &["app07", "2026-W12", "not run"]).len(), 1, "the week that was missed");
    assert_eq!(rows(&windows, &["app08", "2026-W13", "aborted"]).len(), 1, "the scan that was stopped");
    assert_eq!(rows(&windows, &["app09", "2026-W20", "late"]).len(), 1, "the report that came late");
    let exceptions = text("exceptions.csv");
    let waived = rows(&exceptions, &["app03", "tls-version-minimum", "waived"]);
    assert!(
        waived.iter().any(|r| r.contains("open to that customer") && r.contains("bob") && r.contains("2026-06-01")),
        "{waived:#?} {:#?}",
        rows(&exceptions, &["app03"])
    );
    assert!(
        rows(&exceptions, &["app03", "tls-version-minimum", "\"fail\""]).iter().any(|r| r.contains("2026-06-01") && r.contains("2026-07-13")),
        "it is open again"
    );
    let late = rows(&exceptions, &["db02", "updates-security-pending", "carol"]);
    assert!(late.iter().any(|r| r.contains("2026-03-02") && r.contains("2026-04-06") && r.contains("mirror mended")), "{late:#?}");
    assert!(!rows(&exceptions, &["db01", "backup-schedule", "no backup between"]).is_empty(), "the gap between backups");
    let revoked = text("revocations.csv");
    let keller = rows(&revoked, &["m.keller", "app10"]);
    assert!(keller.iter().any(|r| r.contains("2026-06-15") && r.contains("2026-06-17")), "last seen and first gone: {keller:#?}");
    assert!(rows(&text("population.csv"), &["app40", "retired", "2026-08-15"]).iter().any(|r| r.contains("contract 2026-17 ended")));
    let reconciled = text("reconciliation.csv");
    assert_eq!((rows(&reconciled, &["legacy01"]).len(), rows(&reconciled, &["app20"]).len()), (1, 1), "{reconciled}");

    // The same again gives the same bytes, and the auditor's seed the same samples.
    let again = folder.path().join("again.zip");
    let (code, _, err) = collector(&[
        "evidence",
        "export",
        "--framework",
        "soc2",
        "--from",
        "2025-11-01",
        "--to",
        "2026-10-31",
        "--seed",
        "4711",
        "--sample",
        "25",
        "--data",
        data,
        "--out",
        again.to_str().unwrap(),
    ]);
    assert_eq!((code, err.as_str()), (0, ""));
    assert!(std::fs::read(&again).unwrap() == std::fs::read(out).unwrap(), "the same inputs give the same bytes");

    tampered(folder.path(), Path::new(data)).await;
}

/// What a hand in the database does, and what `fsck` calls it.
async fn tampered(folder: &Path, data: &Path) {
    let fsck = |data: &Path| collector(&["fsck", "--format", "json", "--data", data.to_str().unwrap()]);
    let (code, said, err) = fsck(data);
    assert_eq!((code, err.as_str()), (0, ""), "{said}");
    let tamperings = [
        (
            "UPDATE findings SET verdict = 'pass', body = replace(body, '\"verdict\":\"fail\"', '\"verdict\":\"pass\"') WHERE rule = 'updates-security-pending' AND verdict = 'fail'",
            "updates-security-pending on openssl is fail, the store has pass",
        ),
        ("DELETE FROM findings WHERE rule = 'backup-schedule' AND verdict = 'fail'", "backup-schedule on nightly is fail, the store has nothing"),
        ("UPDATE reports SET finished = finished - 604800 WHERE scan_window = '2026-W20' AND received > finished + 86400", "\"report-row\""),
        ("DELETE FROM reports WHERE state = 'aborted'", "\"report-deleted\""),
        ("UPDATE statements SET body = CAST(replace(CAST(body AS TEXT), '2026-05-31', '2026-12-31') AS BLOB) WHERE kind = 'waiver'", "\"statement-altered\""),
        ("DELETE FROM statements WHERE kind = 'retirement'", "\"statement-deleted\""),
    ];
    let copy = folder.join("copy");
    std::fs::create_dir(&copy).unwrap();
    for entry in std::fs::read_dir(data).unwrap().map(Result::unwrap).filter(|e| e.file_type().unwrap().is_file()) {
        std::fs::copy(entry.path(), copy.join(entry.file_name())).unwrap();
    }
    sqlx::any::install_default_drivers();
    let pool = sqlx::AnyPool::connect(&format!("sqlite://{}", copy.join("assay.db").display())).await.unwrap();
    for (what, _) in &tamperings {
        sqlx::raw_sql(sqlx::AssertSqlSafe(format!("PRAGMA foreign_keys = OFF; {what}"))).execute(&pool).await.unwrap();
    }
    pool.close().await;
    let (code, said, _) = fsck(&copy);
    assert_ne!(code, 0);
    for (what, sign) in tamperings {
        assert!(said.contains(sign), "{what}: {said}");
    }
}
