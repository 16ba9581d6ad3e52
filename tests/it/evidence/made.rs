//! Material with real keys, signatures, blobs and a real ledger; every value is fixed.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Cursor, Read as _};

use assay::evidence::archive::{Archive, ArchiveError, Container, Facts, Method, Pack};
use assay::evidence::bundle::{self, BundleError};
use assay::evidence::manifest;
use assay::evidence::material::{
    Bulk, Control, Framework, Host, LedgerEvent, ListVersion, Mapping, Material, Period, PlainBlob, Proof, RecordedEvent, ReportMeta, Rule, Scope,
    SignedReport, Transition, day_start,
};
use assay::evidence::paper::Paper;
use assay::evidence::{Verification, verify};
use assay::ledger::tree::{Tree, leaf_hash};
use assay::ledger::{Kind, Leaf, Verifier, checkpoint};
use assay::model::blob::Blob;
use assay::model::canonical;
use assay::model::envelope::{Envelope, REPORT_TYPE};
use assay::model::finding::{Counts, Finding, Severity, Verdict};
use assay::model::ids::{Address, Digest, HostId, Lineage, RandomId, Salt};
use assay::model::report::{Cadence, FORMAT, FamilyBlobs, Losses, Report, Scan, ScanKind, ScanState, Software, Times};
use assay::pki::keys::spki_of;
use assay::records::{Action, Attachment, Event};
use jiff::civil::{Date, date};
use ring::signature::{Ed25519KeyPair, KeyPair as _};
use serde_json::json;

/// An Ed25519 key of a fixed seed.
pub fn pair(seed: u8) -> (Ed25519KeyPair, [u8; 32]) {
    let pair = Ed25519KeyPair::from_seed_unchecked(&[seed; 32]).unwrap();
    let public = pair.public_key().as_ref().try_into().unwrap();
    (pair, public)
}

const LEDGER: u8 = 0x33;

pub fn verifier() -> Verifier {
    Verifier::new("assay.invalid/00112233445566778899aabbccddeeff", pair(LEDGER).1).unwrap()
}

/// What a test may change before the bundle is made.
#[derive(Clone)]
pub struct Made {
    pub material: Material,
    /// Reports in the order in which they were made, and every blob.
    pub reports: Vec<SignedReport>,
    pub blobs: Vec<PlainBlob>,
    leaves: Vec<Leaf>,
}

/// Material with everything logged, and the heavy parts that a store would keep.
pub struct Logged {
    pub material: Material,
    pub reports: Vec<SignedReport>,
    pub blobs: Vec<PlainBlob>,
}

impl Bulk for Logged {
    fn reports(&mut self, host: &HostId, take: &mut dyn FnMut(SignedReport) -> Result<(), String>) -> Result<BTreeSet<Address>, String> {
        let mut named = BTreeSet::new();
        for meta in self.material.reports.iter().filter(|r| r.host == *host) {
            let signed = self.reports.iter().find(|r| digest_of(r) == meta.digest).cloned().ok_or("no such report")?;
            let payload = Envelope::parse(&signed.envelope).unwrap().payload_bytes().unwrap();
            named.extend(serde_json::from_slice::<Report>(&payload).unwrap().addresses());
            take(signed)?;
        }
        Ok(named)
    }

    fn blobs(&mut self, host: &HostId, named: &BTreeSet<Address>, take: &mut dyn FnMut(PlainBlob) -> Result<(), String>) -> Result<(), String> {
        let mut own: Vec<PlainBlob> = self.blobs.iter().filter(|b| b.host == *host && named.contains(&b.address)).cloned().collect();
        own.sort_by_key(|b| b.address);
        own.into_iter().try_for_each(take)
    }
}

fn digest_of(signed: &SignedReport) -> Digest {
    Digest::of(&Envelope::parse(&signed.envelope).unwrap().payload_bytes().unwrap())
}

pub fn finding(rule: &str, subject: &str, verdict: Verdict) -> Finding {
    let message = if verdict == Verdict::Pass { String::new() } else { format!("{rule} on {subject}") };
    Finding { rule: rule.into(), subject: subject.into(), verdict, severity: Severity::High, message, reason: None, citations: Vec::new() }
}

fn framework() -> Framework {
    let control = |id: &str, rules: &[&str], record: &str| Control {
        id: id.into(),
        title: format!("Control {id}"),
        text: "What it asks for, <b>in our words</b>.".into(),
        rules: rules.iter().map(|r| Mapping { rule: (*r).into(), mapping: "supports".into() }).collect(),
        fleet: String::new(),
        told: Vec::new(),
        record: record.into(),
        records: Vec::new(),
    };
    Framework {
        kind: assay::rules::framework::Kind::Framework,
        id: "soc2-2017".into(),
        title: "SOC 2".into(),
        version: "2017".into(),
        source: "https://www.aicpa-cima.com".into(),
        controls: vec![
            control("CC6.7", &["tls-version-minimum"], ""),
            control("CC6.1", &["ssh-root-login"], ""),
            control("CC1.1", &[], "A signed code of conduct."),
        ],
    }
}

impl Made {
    /// No host, no report.
    pub fn empty() -> Self {
        let rule = |id: &str| Rule {
            id: id.into(),
            title: format!("Rule {id}"),
            severity: Severity::High,
            why: "It matters.".into(),
            verify: "sshd -T".into(),
            cadence: Cadence::Weekly,
        };
        let material = Material {
            company: "Example & Sons".into(),
            framework: framework(),
            rules: vec![rule("tls-version-minimum"), rule("ssh-root-login")],
            pack: Digest::of(b"pack"),
            period: Period { from: date(2026, 11, 2), to: date(2026, 11, 15) },
            as_of: date(2026, 12, 10),
            hosts: Vec::new(),
            scope: Scope::default(),
            reports: Vec::new(),
            erased: 0,
            unsequenced: 0,
            findings: Vec::new(),
            ways: Vec::new(),
            revoke_limit: Some(86_400),
            silent_after: 100 * 86_400,
            record_types: Vec::new(),
            records: Vec::new(),
            files: BTreeMap::new(),
            ledger: Vec::new(),
            lists: Vec::new(),
            sampling: None,
            verifier: verifier(),
            checkpoint: String::new(),
        };
        let start = Leaf::new(Kind::LedgerStart, RandomId::new([0; 16]), Digest::of(b"start"), None, day_start(date(2026, 10, 1)));
        Self { material, reports: Vec::new(), blobs: Vec::new(), leaves: vec![start] }
    }

    /// Enrols host `n`.
    pub fn host(&mut self, n: u8, name: &str) -> HostId {
        let spki = spki_of(&pair(n).1);
        let id = HostId::of_spki(&spki);
        let at = day_start(date(2026, 10, 1));
        self.leaves.push(Leaf::new(Kind::Enrolment, RandomId::new([n; 16]), Digest::new(*id.bytes()), Some(id), at));
        self.material.hosts.push(Host {
            id,
            name: name.into(),
            public_key: spki,
            salt: Salt::new([n; 32]),
            os: "Debian 12".into(),
            enrolled_at: at,
            seen_at: Some(at),
            retired_at: None,
            retired_why: String::new(),
            replaced_by: None,
            enrolment: None,
        });
        id
    }

    /// A report of host `n` with these findings.
    pub fn report(&mut self, n: u8, kind: ScanKind, window: &str, day: Date, findings: &[Finding]) -> Digest {
        self.report_changed(n, kind, window, day, findings, |_| ())
    }

    pub fn report_changed(&mut self, n: u8, kind: ScanKind, window: &str, day: Date, findings: &[Finding], change: impl FnOnce(&mut Report)) -> Digest {
        let (key, public) = pair(n);
        let host = HostId::of_spki(&spki_of(&public));
        let salt = Salt::new([n; 32]);
        let mut add = |document: &serde_json::Value| {
            let blob = Blob::of(&salt, document).unwrap();
            let plain = PlainBlob { host, address: blob.address, plain: blob.plain };
            if !self.blobs.contains(&plain) {
                self.blobs.push(plain);
            }
            blob.address
        };
        let started = day_start(day) + 7200;
        let facts = FamilyBlobs {
            family: "sshd".into(),
            stable: add(&json!({"family": "sshd", "facts": {"n": n}, "version": 1})),
            volatile: add(&json!({"family": "sshd", "values": {"/at": started}, "version": 1})),
        };
        let sequence = self.reports.len() as u64 + 1;
        let mut report = Report {
            format: FORMAT.into(),
            host,
            lineage: Lineage::new([n; 16]),
            parent: None,
            sequence,
            scan: Scan { kind, window: Some(window.into()), state: ScanState::Complete },
            times: Times { started, finished: started + 4, boot_ms: 1000 },
            software: Software { agent: "0.1.0".into(), pack: Digest::of(b"pack"), policy: Digest::of(b"policy") },
            facts: vec![facts],
            gaps: add(&json!([])),
            findings: add(&serde_json::to_value(findings).unwrap()),
            counts: Counts::of(findings),
            limits: Vec::new(),
            losses: Losses::default(),
        };
        change(&mut report);
        let payload = canonical::to_bytes(&report).unwrap();
        let digest = Digest::of(&payload);
        let envelope = Envelope::seal(REPORT_TYPE, &payload, &host.to_string(), |m| key.sign(m).as_ref().to_vec()).to_bytes();
        let received = report.times.finished + 1;
        self.leaves.push(Leaf::report(RandomId::new([sequence as u8; 16]), digest, host, report.lineage, report.sequence, received));
        let proof = Proof { index: 0, leaf: String::new(), proof: Vec::new() };
        self.reports.push(SignedReport { envelope, received, proof });
        self.material.reports.push(ReportMeta {
            digest,
            host,
            kind,
            state: report.scan.state,
            window: report.scan.window,
            started,
            finished: report.times.finished,
            received,
            limits: report.limits,
        });
        digest
    }

    pub fn transition(&mut self, host: HostId, finding: Finding, since: Date, until: Option<Date>, report: Digest) {
        let at = |d: Date| day_start(d) + 7204;
        self.material.findings.push(Transition {
            host,
            rule: finding.rule.into(),
            subject: finding.subject.into(),
            verdict: finding.verdict,
            severity: finding.severity,
            message: finding.message.into(),
            reason: finding.reason.map(Into::into),
            since: at(since),
            until: until.map(at),
            report,
        });
    }

    /// Words of a rule about people who left.
    pub fn way(&mut self, host: HostId, finding: Finding, since: Date, until: Option<Date>) {
        self.transition(host, finding, since, until, Digest::of(b"way"));
        let span = self.material.findings.pop().unwrap();
        self.material.ways.push(span);
    }

    /// A version of a list, in force from the start of a day on.
    pub fn list(&mut self, name: &str, since: Date, text: &str) {
        let rows = text.lines().count() as u64 - 1;
        let since = day_start(since);
        if let Some(before) = self.material.lists.iter_mut().rfind(|l| l.name == name) {
            before.until = Some(since);
        }
        let bytes = text.as_bytes().to_vec();
        self.material.lists.push(ListVersion { name: name.into(), since, until: None, digest: Digest::of(&bytes), rows, bytes: Some(bytes) });
    }

    /// An entry of the ledger about no report.
    pub fn entry(&mut self, kind: Kind, day: Date, host: Option<HostId>, body: Option<serde_json::Value>) {
        let body = body.map(|b| canonical::to_bytes(&b).unwrap());
        let reference = Digest::of(body.as_deref().unwrap_or(b"none"));
        let at = day_start(day) + 60;
        self.leaves.push(Leaf::new(kind, RandomId::new([0xee; 16]), reference, host, at));
        let proof = Proof { index: self.leaves.len() as u64 - 1, leaf: String::new(), proof: Vec::new() };
        self.material.ledger.push(LedgerEvent { kind, at, host, body, reference, proof });
    }

    /// Something that a person recorded.
    pub fn record(&mut self, record: &str, entry: u8, action: Action, (day, by): (Date, &str), subject: &str, fields: &[(&str, &str)]) {
        let event = Event {
            action,
            at: day_start(day) + 3600,
            by: by.into(),
            entry: RandomId::new([entry; 16]),
            fields: fields.iter().map(|(k, v)| ((*k).into(), (*v).into())).collect(),
            files: Vec::new(),
            format: assay::records::event::FORMAT.into(),
            nonce: RandomId::new([self.material.records.len() as u8; 16]),
            record: record.into(),
            subject: subject.into(),
        };
        self.recorded(event);
    }

    /// An event with a file.
    pub fn attach(&mut self, day: Date, name: &str, content: &[u8]) {
        let file = Attachment { bytes: content.len() as u64, name: name.into(), sha256: Digest::of(content) };
        self.material.files.insert(file.sha256, content.to_vec());
        self.recorded(Event {
            action: Action::Add,
            at: day_start(day) + 7200,
            by: "ada".into(),
            entry: RandomId::new([0xaa; 16]),
            fields: BTreeMap::new(),
            files: vec![file],
            format: assay::records::event::FORMAT.into(),
            nonce: RandomId::new([0xab; 16]),
            record: "policy".into(),
            subject: String::new(),
        });
    }

    fn recorded(&mut self, event: Event) {
        let body = canonical::to_bytes(&event).unwrap();
        self.leaves.push(Leaf::new(Kind::Register, RandomId::new([self.leaves.len() as u8; 16]), Digest::of(&body), None, event.at));
        let proof = Proof { index: self.leaves.len() as u64 - 1, leaf: String::new(), proof: Vec::new() };
        self.material.records.push(RecordedEvent { digest: Digest::of(&body), body, event, proof });
    }

    /// What it says.
    pub fn paper(&self) -> Paper {
        assay::evidence::assemble::assemble(&self.logged().material).unwrap()
    }

    /// A table of it.
    pub fn table(&self, path: &str) -> String {
        let material = self.logged().material;
        let paper = assay::evidence::assemble::assemble(&material).unwrap();
        let all = assay::evidence::csv::all(&material, &paper).unwrap();
        let (list, bytes) = all.into_iter().find(|(l, _)| l.path == path).unwrap();
        let text = String::from_utf8(bytes).unwrap();
        assert_eq!(list.rows as usize, text.lines().count() - 1, "{path}");
        text
    }

    /// Logs everything: proofs and checkpoint.
    pub fn logged(&self) -> Logged {
        let (mut material, mut reports) = (self.material.clone(), self.reports.clone());
        let texts: Vec<String> = self.leaves.iter().map(|l| String::from_utf8(l.to_bytes().unwrap()).unwrap()).collect();
        let tree = Tree::from_leaf_hashes(texts.iter().map(|t| leaf_hash(t.as_bytes())));
        let proof = |i: usize| Proof { index: i as u64, leaf: texts[i].clone(), proof: tree.inclusion(i as u64, tree.size()).unwrap() };
        let mut report = 0;
        for (i, leaf) in self.leaves.iter().enumerate() {
            match leaf.kind {
                Kind::Enrolment => material.hosts.iter_mut().filter(|h| Some(h.id) == leaf.host).for_each(|h| h.enrolment = Some(proof(i))),
                Kind::Report => {
                    reports[report].proof = proof(i);
                    report += 1;
                }
                _ => {
                    material.ledger.iter_mut().filter(|e| e.proof.index == i as u64).for_each(|e| e.proof = proof(i));
                    material.records.iter_mut().filter(|r| r.proof.index == i as u64).for_each(|r| r.proof = proof(i));
                }
            }
        }
        material.checkpoint = checkpoint::sign(&verifier(), tree.size(), &tree.root(), |m| pair(LEDGER).0.sign(m).as_ref().to_vec());
        Logged { material, reports, blobs: self.blobs.clone() }
    }

    pub fn bundle(&self) -> Bundle {
        bundle(self.logged())
    }
}

/// A bundle in memory.
pub struct Bundle {
    pub bytes: Vec<u8>,
    pub paper: Paper,
}

/// Sealed by the ledger key.
pub fn bundle(logged: Logged) -> Bundle {
    let material = logged.material.clone();
    sealed(logged, &material, LEDGER).unwrap()
}

/// Sealed by the key of a seed.
pub fn sealed(mut logged: Logged, material: &Material, seed: u8) -> Result<Bundle, BundleError> {
    let (mut pack, mut bytes) = (Pack::new(Cursor::new(Vec::new())), Vec::new());
    let written = bundle::write(material, &mut logged, |m| pair(seed).0.sign(m).as_ref().to_vec(), &mut pack, &mut (), &mut bytes)?;
    assert_eq!((written.digest, written.bytes), (Digest::of(&bytes), bytes.len() as u64));
    Ok(Bundle { bytes, paper: written.paper })
}

/// One host, both weeks, one failure that was resolved.
pub fn small() -> Made {
    let mut made = Made::empty();
    made.material.framework.controls.truncate(1);
    let host = made.host(1, "web01");
    let first = made.report(1, ScanKind::Monthly, "2026-11", date(2026, 11, 3), &[finding("tls-version-minimum", "0.0.0.0:443/tcp", Verdict::Fail)]);
    let second = made.report(1, ScanKind::Weekly, "2026-W46", date(2026, 11, 10), &[finding("tls-version-minimum", "0.0.0.0:443/tcp", Verdict::Pass)]);
    made.transition(host, finding("tls-version-minimum", "0.0.0.0:443/tcp", Verdict::Fail), date(2026, 11, 3), Some(date(2026, 11, 10)), first);
    made.transition(host, finding("tls-version-minimum", "0.0.0.0:443/tcp", Verdict::Pass), date(2026, 11, 10), None, second);
    made
}

/// Entries of a bundle by path.
pub type Files = BTreeMap<String, Vec<u8>>;

/// Every file of a bundle.
pub fn files(bytes: &[u8]) -> Files {
    let mut archive = Archive::open(Cursor::new(bytes)).unwrap();
    let mut files = Files::new();
    for entry in archive.entries().to_vec() {
        let mut content = Vec::new();
        archive.content(&entry.path, entry.bytes).unwrap().read_to_end(&mut content).unwrap();
        files.insert(entry.path, content);
    }
    files
}

/// Packed as the product packs.
fn packed(files: &Files) -> Pack<Cursor<Vec<u8>>> {
    let mut pack = Pack::new(Cursor::new(Vec::new()));
    for (path, bytes) in files {
        let method = if path == manifest::PATH || path.ends_with(".xlsx") { Method::Store } else { Method::Auto };
        pack.add::<_, ArchiveError>(path, method, |out| Ok(out.write_all(bytes)?)).unwrap();
    }
    pack
}

/// What a manifest lists of these files.
pub fn facts(files: &Files) -> Vec<Facts> {
    packed(files).entries().iter().map(|(f, _)| f.clone()).collect()
}

/// The bundle with other files.
pub fn changed(bytes: &[u8], change: impl FnOnce(&mut Files)) -> Vec<u8> {
    let mut files = files(bytes);
    change(&mut files);
    let mut pack = packed(&files);
    let mut entries = pack.entries().to_vec();
    entries.sort_by_key(|(f, _)| f.path == manifest::PATH);
    let mut container = Container::new(Vec::new());
    for entry in entries {
        container.entry(&entry.0, pack.packed(&entry).unwrap()).unwrap();
    }
    container.finish().unwrap()
}

/// Problems as `path id`.
pub fn problems(found: &Verification) -> Vec<String> {
    found.problems.iter().map(|p| format!("{} {}", p.path, p.id)).collect()
}

pub fn checked(bytes: &[u8]) -> Verification {
    verify(Cursor::new(bytes), Some(&verifier())).unwrap()
}
