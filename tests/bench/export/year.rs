//! A data folder as a collector leaves it after a year, written without the collector.

use std::path::Path;
use std::sync::Arc;

use assay::collector::Keys;
use assay::collector::store::Store;
use assay::evidence::material::{day_of, day_start};
use assay::facts::FAMILIES;
use assay::facts::services::Plan;
use assay::host::Host;
use assay::ledger::{Kind, Leaf, Tree, checkpoint, tree};
use assay::model::against::Against;
use assay::model::blob;
use assay::model::canonical;
use assay::model::envelope::REPORT_TYPE;
use assay::model::fact::VolatileFacts;
use assay::model::finding::{Counts, Finding, Severity, Verdict};
use assay::model::ids::{Digest, HostId, Lineage, RandomId, Salt};
use assay::model::policy::Policy;
use assay::model::report::{Cadence, FORMAT, FamilyBlobs, Losses, Report, Scan, ScanKind, ScanState, Times};
use assay::pki::keys::SigningKey;
use assay::probe::Limits;
use serde_json::Value;
use sqlx::{Connection as _, SqliteConnection};

const DAY: i64 = 86_400;
/// Monday of the first week.
const FIRST: jiff::civil::Date = jiff::civil::date(2025, 1, 6);

/// What was made.
#[derive(Default)]
pub struct Made {
    pub reports: u64,
    pub blobs: u64,
    pub leaves: u64,
}

/// First and last day.
pub fn days(weeks: u32) -> (String, String) {
    (FIRST.to_string(), day_of(day_start(FIRST) + i64::from(weeks) * 7 * DAY - DAY).to_string())
}

/// What a host says: the same facts each week, volatile values that move.
pub struct Said {
    outcome: assay::agent::run::Outcome,
    documents: Vec<(String, Vec<u8>, VolatileFacts)>,
}

impl Said {
    /// What a recorded host says. It makes a runtime of its own.
    pub fn record() -> Self {
        let host = Host::rooted(Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/hosts/debian12-min"))).unwrap();
        let families = FAMILIES.iter().filter(|f| f.cadence == Cadence::Weekly).map(|f| f.name.to_string()).collect();
        let (policy, against) = (Policy::default(), Against::default());
        let request = assay::agent::run::Request { host: &host, families, plan: Plan::default(), limits: Limits::default(), policy, against, advisories: None };
        let outcome = assay::agent::run::scan(request, &|_| {}).unwrap();
        let mut documents: Vec<_> =
            outcome.documents().map(|(stable, volatile)| (stable.family.clone(), canonical::to_bytes(&stable).unwrap(), volatile)).collect();
        documents.sort_by(|a, b| a.0.cmp(&b.0));
        Self { outcome, documents }
    }

    /// Volatile values of a week.
    fn volatile(&self, family: usize, week: u32) -> Vec<u8> {
        let volatile = &self.documents[family].2;
        let moved = |value: &Value| value.as_i64().map_or_else(|| value.clone(), |n| (n + i64::from(week)).into());
        canonical::to_bytes(&VolatileFacts { values: volatile.values.iter().map(|(at, value)| (at.clone(), moved(value))).collect(), ..volatile.clone() })
            .unwrap()
    }

    /// Verdicts of a week: every fiftieth verdict of every host fails through a quarter of the year.
    fn findings(&self, host: u32, week: u32) -> Vec<Finding> {
        let turn = |(i, f): (usize, &Finding)| {
            let mut f = f.clone();
            if (i as u32 + host).is_multiple_of(50) && week / 13 == host % 4 {
                (f.verdict, f.message) = (Verdict::Fail, "not as it must be".into());
            }
            f
        };
        self.outcome.findings.iter().enumerate().map(turn).collect()
    }
}

/// One host's part of the store.
struct Writer<'c> {
    to: &'c mut SqliteConnection,
    host: HostId,
    salt: Salt,
    made: &'c mut Made,
}

impl Writer<'_> {
    async fn blob(&mut self, plain: &[u8]) -> assay::model::ids::Address {
        let address = blob::address(&self.salt, plain);
        let frame = zstd::bulk::compress(plain, 3).unwrap();
        let done = sqlx::query("INSERT INTO blobs (host, address, received_at, used, frame) VALUES ($1, $2, 0, 1, $3) ON CONFLICT DO NOTHING")
            .bind(self.host.bytes().to_vec())
            .bind(address.bytes().to_vec())
            .bind(frame)
            .execute(&mut *self.to)
            .await
            .unwrap();
        self.made.blobs += done.rows_affected();
        address
    }

    async fn leaf(&mut self, tree: &mut Tree, leaf: &Leaf) {
        let bytes = leaf.to_bytes().unwrap();
        sqlx::query("INSERT INTO leaves (number, kind, reference, bytes) VALUES ($1, $2, $3, $4)")
            .bind(tree.size() as i64)
            .bind(leaf.kind.id())
            .bind(leaf.reference.bytes().to_vec())
            .bind(bytes.clone())
            .execute(&mut *self.to)
            .await
            .unwrap();
        tree.push(tree::leaf_hash(&bytes));
    }

    async fn report(&mut self, report: &Report, digest: &Digest, envelope: &[u8]) {
        let (received, counts) = (report.times.finished + 1, report.counts);
        sqlx::query(
            "INSERT INTO reports (id, host, lineage, sequence, kind, scan_window, state, started, finished, received, effective, applied, pass, fail, unknown,
               not_applicable, disagrees, envelope) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $9, 1, $11, $12, $13, $14, 0, $15)",
        )
        .bind(digest.bytes().to_vec())
        .bind(self.host.bytes().to_vec())
        .bind(report.lineage.bytes().to_vec())
        .bind(report.sequence as i64)
        .bind(report.scan.kind.word())
        .bind(report.scan.window.clone())
        .bind(report.scan.state.word())
        .bind(report.times.started)
        .bind(report.times.finished)
        .bind(received)
        .bind(counts.pass as i64)
        .bind(counts.fail as i64)
        .bind(counts.unknown as i64)
        .bind(counts.not_applicable as i64)
        .bind(envelope)
        .execute(&mut *self.to)
        .await
        .unwrap();
        self.made.reports += 1;
    }

    async fn finding(&mut self, finding: &Finding, since: i64, until: Option<i64>, report: &Digest) {
        let severity = [Severity::Info, Severity::Low, Severity::Medium, Severity::High, Severity::Critical].iter().position(|s| *s == finding.severity);
        sqlx::query("INSERT INTO findings (host, rule, subject, verdict, severity, since, until, report, body) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)")
            .bind(self.host.bytes().to_vec())
            .bind(&finding.rule)
            .bind(&finding.subject)
            .bind(finding.verdict.id())
            .bind(severity.unwrap_or_default() as i64)
            .bind(since)
            .bind(until)
            .bind(report.bytes().to_vec())
            .bind(serde_json::to_string(finding).unwrap())
            .execute(&mut *self.to)
            .await
            .unwrap();
    }
}

/// Writes the folder.
pub async fn make(data: &Path, said: Arc<Said>, hosts: u32, weeks: u32) -> Made {
    std::fs::create_dir_all(data).unwrap();
    let start = day_start(FIRST);
    let keys = Keys::load_or_create(data, start).unwrap();
    // Makes the schema.
    Store::open(data).await.unwrap().close().await;
    let file = std::fs::read_dir(data).unwrap().map(|e| e.unwrap().path()).find(|p| p.extension().is_some_and(|e| e == "db" || e == "sqlite")).unwrap();
    let mut to = SqliteConnection::connect(&format!("sqlite://{}", file.display())).await.unwrap();
    sqlx::query("PRAGMA synchronous = OFF").execute(&mut to).await.unwrap();
    let (mut tree, mut made) = (Tree::new(), Made::default());
    for n in 0..hosts {
        sqlx::query("BEGIN").execute(&mut to).await.unwrap();
        host(&mut to, &said, n, weeks, start, &mut tree, &mut made).await;
        sqlx::query("COMMIT").execute(&mut to).await.unwrap();
    }
    let root = tree.root();
    let note = checkpoint::sign(&keys.verifier, tree.size(), &root, |m| keys.signer.sign(m));
    let query = "INSERT INTO checkpoints (size, root, note) VALUES ($1, $2, $3)";
    sqlx::query(query).bind(tree.size() as i64).bind(root.bytes().to_vec()).bind(note).execute(&mut to).await.unwrap();
    to.close().await.unwrap();
    made.leaves = tree.size();
    made
}

async fn host(to: &mut SqliteConnection, said: &Said, n: u32, weeks: u32, start: i64, tree: &mut Tree, made: &mut Made) {
    let (key, salt) = (SigningKey::generate().unwrap(), Salt::new(assay::pki::random().unwrap()));
    let (id, lineage) = (key.id(), Lineage::new(assay::pki::random().unwrap()));
    let insert = "INSERT INTO hosts (id, name, public_key, salt, machine, os, enrolled_at, enrolled_by) VALUES ($1, $2, $3, $4, '', 'Debian 12', $5, $6)";
    sqlx::query(insert)
        .bind(id.bytes().to_vec())
        .bind(format!("host{n:05}.example.org"))
        .bind(key.spki())
        .bind(salt.bytes().to_vec())
        .bind(start - DAY)
        .bind(vec![0u8; 32])
        .execute(&mut *to)
        .await
        .unwrap();
    let contact = "INSERT INTO contacts (host, first, last) VALUES ($1, $2, $3)";
    sqlx::query(contact).bind(id.bytes().to_vec()).bind(start - DAY).bind(start + i64::from(weeks) * 7 * DAY).execute(&mut *to).await.unwrap();
    let mut writer = Writer { to, host: id, salt, made };
    let random = || RandomId::new(assay::pki::random().unwrap());
    writer.leaf(tree, &Leaf::new(Kind::Enrolment, random(), Digest::new(*id.bytes()), Some(id), start - DAY)).await;
    let mut stable = Vec::new();
    for (_, plain, _) in &said.documents {
        stable.push(writer.blob(plain).await);
    }
    let gaps = writer.blob(&canonical::to_bytes(&said.outcome.observation.gaps).unwrap()).await;
    let mut open: Vec<(Finding, i64, Digest)> = Vec::new();
    for week in 0..weeks {
        let monday = start + i64::from(week) * 7 * DAY;
        let finished = monday + DAY + i64::from(n % 3600);
        let mut facts = Vec::new();
        for (i, (family, ..)) in said.documents.iter().enumerate() {
            let volatile = writer.blob(&said.volatile(i, week)).await;
            facts.push(FamilyBlobs { family: family.clone(), stable: stable[i], volatile });
        }
        let findings = said.findings(n, week);
        // The first scan of a month reads what monthly ones do.
        let day = day_of(monday);
        let is_monthly = day.day() <= 7;
        let iso = day.iso_week_date();
        let window = if is_monthly { format!("{:04}-{:02}", day.year(), day.month()) } else { format!("{:04}-W{:02}", iso.year(), iso.week()) };
        let report = Report {
            format: FORMAT.into(),
            host: id,
            lineage,
            parent: None,
            sequence: u64::from(week) + 1,
            scan: Scan { kind: if is_monthly { ScanKind::Monthly } else { ScanKind::Weekly }, window: Some(window), state: ScanState::Complete },
            times: Times { started: finished - 3, finished, boot_ms: 1 },
            software: said.outcome.software.clone(),
            facts,
            gaps,
            findings: writer.blob(&canonical::to_bytes(&findings).unwrap()).await,
            counts: Counts::of(&findings),
            limits: Vec::new(),
            losses: Losses::default(),
        };
        let payload = canonical::to_bytes(&report).unwrap();
        let digest = Digest::of(&payload);
        writer.report(&report, &digest, &key.seal(REPORT_TYPE, &payload).to_bytes()).await;
        writer.leaf(tree, &Leaf::report(random(), digest, id, lineage, report.sequence, finished + 1)).await;
        for (i, finding) in findings.into_iter().enumerate() {
            match open.get(i) {
                None => open.push((finding, finished, digest)),
                Some((old, ..)) if (old.verdict, &old.message) == (finding.verdict, &finding.message) => (),
                Some(_) => {
                    let (old, since, report) = std::mem::replace(&mut open[i], (finding, finished, digest));
                    writer.finding(&old, since, Some(finished), &report).await;
                }
            }
        }
    }
    for (finding, since, report) in open {
        writer.finding(&finding, since, None, &report).await;
    }
}
