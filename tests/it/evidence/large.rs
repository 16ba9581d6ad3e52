//! Papers of whole companies: half a year of a small one, and a year of a fleet.
//!
//! `ASSAY_WRITE_PAPER=DIR` writes the page and the tables to look at; `ASSAY_SLOW=1` makes the fleet a thousand hosts.

use std::sync::Arc;

use assay::evidence::assemble::assemble;
use assay::evidence::material::{Control, Host, Mapping, Material, Period, ReportMeta, Rule, Sampling, Transition, day_start};
use assay::evidence::paper::Conclusion;
use assay::evidence::{csv, html};
use assay::ledger::Kind;
use assay::model::finding::{Severity, Verdict};
use assay::model::ids::{Digest, HostId, Salt};
use assay::model::report::{Cadence, ScanKind, ScanState};
use assay::records::{Action, types};
use jiff::ToSpan as _;
use jiff::civil::{Date, date};
use serde_json::json;

use super::made::{Made, finding};

const NAMES: [&str; 12] = ["web01", "web02", "web03", "db01", "db02", "mail01", "build01", "build02", "queue01", "cache01", "proxy01", "backup01"];

/// Mondays of weeks that begin in the period.
fn mondays(period: Period) -> impl Iterator<Item = Date> {
    std::iter::successors(Some(period.from), |d| d.checked_add(7.days()).ok()).take_while(move |d| *d <= period.to)
}

fn week(monday: Date) -> String {
    let week = monday.iso_week_date();
    format!("{}-W{:02}", week.year(), week.week())
}

/// Twelve hosts, June to November, with a missed week, an aborted scan, late ones, a retired host, leavers, waivers, owners.
fn company() -> Made {
    let mut made = Made::empty();
    made.material.period = Period { from: date(2026, 6, 1), to: date(2026, 11, 29) };
    made.material.record_types = types::builtin().unwrap().to_vec();
    made.material.sampling = Some(Sampling { seed: "Example audit 2026".into(), size: 5 });
    made.material.silent_after = 8 * 86_400;
    let hosts: Vec<HostId> = NAMES.iter().zip(1..).map(|(name, n)| made.host(n, &format!("{name}.example.org"))).collect();
    for host in &mut made.material.hosts {
        host.enrolled_at = day_start(date(2026, 5, 1));
        host.seen_at = Some(day_start(date(2026, 11, 29)));
    }
    made.material.hosts[7].retired_at = Some(day_start(date(2026, 9, 14)));
    made.material.hosts[7].retired_why = "the lease ended".into();
    made.material.hosts[7].replaced_by = Some(hosts[6]);
    let period = made.material.period;
    for (n, monday) in (0_u8..).zip(mondays(period)) {
        for host in 1..=12_u8 {
            let gone = host == 8 && monday >= date(2026, 9, 14);
            if gone || (n == 9 && host < 9) || (n == 17 && host == 3) || (n >= 23 && host == 12) {
                continue;
            }
            let first_of_month = monday.day() <= 7;
            let (kind, window) = if first_of_month { (ScanKind::Monthly, format!("2026-{:02}", monday.month())) } else { (ScanKind::Weekly, week(monday)) };
            let late = n % 11 == 5 && host == 5;
            let day = monday.checked_add(if late { 8 } else { 1 + i64::from(host % 3) }.days()).unwrap();
            made.report_changed(host, kind, &window, day, &[], |r| {
                if n == 13 && host == 2 {
                    r.scan.state = ScanState::Aborted;
                }
            });
        }
    }
    verdicts(&mut made, &hosts);
    people(&mut made, &hosts);
    made
}

fn verdicts(made: &mut Made, hosts: &[HostId]) {
    let report = made.material.reports[0].digest;
    for (n, host) in hosts.iter().enumerate() {
        let tls = |verdict| finding("tls-version-minimum", "0.0.0.0:443/tcp", verdict);
        let root = |verdict| finding("ssh-root-login", "", verdict);
        made.transition(*host, root(Verdict::Pass), date(2026, 5, 5), None, report);
        match n {
            1 | 4 => {
                made.transition(*host, tls(Verdict::Fail), date(2026, 7, 7), Some(date(2026, 7, 7 + 14)), report);
                made.transition(*host, tls(Verdict::Pass), date(2026, 7, 21), None, report);
            }
            2 => made.transition(*host, tls(Verdict::Fail), date(2026, 8, 4), None, report),
            3 => made.transition(*host, tls(Verdict::Fail), date(2026, 11, 17), None, report),
            5 => made.transition(*host, tls(Verdict::Unknown), date(2026, 6, 9), Some(date(2026, 6, 16)), report),
            _ => made.transition(*host, tls(Verdict::Pass), date(2026, 5, 5), None, report),
        }
    }
    let fields = |host: &'static str, expires: &'static str| {
        [
            ("rule", "tls-version-minimum"),
            ("host", host),
            ("subject", "*"),
            ("reason", "a scanner of a customer speaks TLS 1.0 only"),
            ("control", "reachable from the office network only"),
            ("expires", expires),
        ]
    };
    made.record("waiver", 1, Action::Add, (date(2026, 8, 6), "a.berg"), "", &fields("web03*", "2026-10-15"));
    made.record("waiver", 1, Action::Approve, (date(2026, 8, 7), "c.lind"), "", &[("note", "until the scanner is replaced")]);
    let owner = [
        ("rule", "tls-version-minimum"),
        ("host", "*"),
        ("subject", "*"),
        ("owner", "platform team"),
        ("due", "2026-11-01"),
        ("cause", "image template of 2024"),
    ];
    made.record("handling", 2, Action::Add, (date(2026, 7, 8), "a.berg"), "", &owner);
}

fn people(made: &mut Made, hosts: &[HostId]) {
    made.list("roster", date(2026, 5, 1), "person,ended_at\na.berg,\nc.lind,\nm.keller,\no.tan,\nr.sow,\n");
    made.list(
        "roster",
        date(2026, 7, 1),
        "person,ended_at\na.berg,\nc.lind,\nm.keller,2026-08-09\no.tan,2026-11-15\nr.sow,2026-09-30\nz.ito,\nk.new,2026-10-04\n",
    );
    made.list("inventory", date(2026, 6, 1), "name,owner\nweb01,ops\nweb02,ops\nweb03,ops\ndb01.example.org,ops\ndb02.example.org,ops\nmail01,ops\nbuild01,dev\nbuild02,dev\nqueue01,ops\nlegacy-ftp.example.org,nobody\n");
    let says =
        |verdict, subject: &str, message: &str| assay::model::finding::Finding { message: message.into(), ..finding("access-leaver-active", subject, verdict) };
    let mut leaver = |person: &str, host: usize, seen: Date, gone: Option<Date>| {
        made.way(hosts[host], says(Verdict::Fail, person, "still: key in /home/deploy/.ssh/authorized_keys:3"), seen, gone);
        if let Some(gone) = gone {
            made.way(hosts[host], says(Verdict::Pass, person, "revoked"), gone, None);
        }
    };
    leaver("m.keller", 0, date(2026, 8, 12), Some(date(2026, 8, 19)));
    leaver("m.keller", 6, date(2026, 8, 12), Some(date(2026, 8, 26)));
    leaver("o.tan", 3, date(2026, 11, 17), None);
    leaver("r.sow", 4, date(2026, 10, 1), Some(date(2026, 10, 7)));
    for person in ["m.keller", "o.tan", "r.sow", "k.new"] {
        for (n, host) in hosts.iter().enumerate() {
            if !made.material.ways.iter().any(|w| w.host == *host && &*w.subject == person) && n != 11 {
                made.way(*host, says(Verdict::NotApplicable, person, "nothing of theirs is here"), date(2026, 7, 1), None);
            }
        }
    }
    made.entry(
        Kind::Retirement,
        date(2026, 9, 14),
        Some(hosts[7]),
        Some(json!({"by": "root", "host": hosts[7], "replaced_by": hosts[6], "why": "the lease ended"})),
    );
    made.entry(Kind::Roster, date(2026, 7, 1), None, Some(json!({"by": "hr-sync", "digest": Digest::of(b"r").to_string(), "name": "roster", "rows": 7})));
    made.material.framework.controls.push(Control {
        id: "CC6.2".into(),
        title: "Access is granted to authorised people and removed".into(),
        text: "New users are authorised before they get access; access ends when it is no longer authorised.".into(),
        rules: vec![Mapping { rule: "access-leaver-active".into(), mapping: "satisfies".into() }],
        fleet: "Time to revoke over all hosts (revocations.csv).".into(),
        told: Vec::new(),
        record: "Approvals of new access.".into(),
        records: vec!["access-approvals".into(), "handling".into()],
    });
}

#[test]
fn half_a_year_of_a_company_tells_each_of_its_events() {
    let made = company();
    let paper = made.paper();
    let states = paper.coverage.iter().flat_map(|w| w.windows.columns()).fold([0; 5], |mut sums, (state, n)| {
        sums[state as usize] += n;
        sums
    });
    assert!(states[..4].iter().all(|n| *n > 0), "{states:?}");
    assert_eq!(paper.reconciliation.as_ref().unwrap().only_listed, ["legacy-ftp.example.org"]);
    assert_eq!(paper.reconciliation.as_ref().unwrap().retired_listed, ["build02.example.org"]);
    let tls = &paper.controls[0];
    assert_eq!(tls.conclusion, Conclusion::Exceptions);
    assert!(tls.exceptions.iter().any(|e| e.verdict == Verdict::Waived) && tls.exceptions.iter().any(|e| e.handling.overdue));
    assert_eq!(paper.leavers.len(), 4);
    let page = html::render(&paper);
    for figure in ["coverage-week", "coverage-month", "ages", "revocations"] {
        assert!(page.contains(&format!("id=\"{figure}-t\"")), "{figure}");
    }
    let bundle = made.bundle();
    if let Some(folder) = std::env::var_os("ASSAY_WRITE_PAPER") {
        for (path, bytes) in super::made::files(&bundle.bytes) {
            if !path.contains('/') && (path.ends_with(".csv") || path.ends_with(".html")) {
                std::fs::write(std::path::Path::new(&folder).join(path), bytes).unwrap();
            }
        }
    }
    assert_eq!(super::made::checked(&bundle.bytes).problems, []);
    assert_eq!(bundle.bytes, company().bundle().bytes);
}

/// A year of a fleet: every host scanned each week, most rules pass, some fail for a while.
fn fleet(hosts: u32, rules: u32) -> Material {
    let mut made = Made::empty();
    made.material.period = Period { from: date(2026, 1, 5), to: date(2027, 1, 3) };
    made.material.as_of = date(2027, 2, 1);
    let ids: Vec<Arc<str>> = (0..rules).map(|n| format!("rule-{n:03}").into()).collect();
    let mapping = |rule: &Arc<str>| Mapping { rule: rule.to_string(), mapping: "supports".into() };
    let rule = |id: &Arc<str>| Rule {
        id: id.to_string(),
        title: "A rule".into(),
        severity: Severity::High,
        why: "It matters.".into(),
        verify: String::new(),
        cadence: Cadence::Weekly,
    };
    let mut material = made.logged().material;
    material.rules = ids.iter().map(rule).collect();
    let control = material.framework.controls[0].clone();
    material.framework.controls = (0..30_usize)
        .map(|n| Control { id: format!("C{n}"), rules: ids.iter().skip(n * 7 % 30).step_by(4).map(mapping).collect(), ..control.clone() })
        .collect();
    let (subject, message, empty): (Arc<str>, Arc<str>, Arc<str>) = ("0.0.0.0:443/tcp".into(), "accepts TLSv1.0".into(), "".into());
    for n in 0..hosts {
        let id = HostId::new(*Digest::of(&n.to_be_bytes()).bytes());
        let (salt, at) = (Salt::new([1; 32]), day_start(date(2025, 12, 1)));
        material.hosts.push(Host {
            id,
            name: format!("host{n:05}"),
            public_key: Vec::new(),
            salt,
            os: "Debian 12".into(),
            enrolled_at: at,
            seen_at: Some(at),
            retired_at: None,
            retired_why: String::new(),
            replaced_by: None,
            enrolment: None,
        });
        for monday in mondays(material.period) {
            let at = day_start(monday) + 3600;
            let (limits, window) = (Vec::new(), Some(week(monday)));
            let digest = Digest::of(format!("{n} {at}").as_bytes());
            material.reports.push(ReportMeta {
                digest,
                host: id,
                kind: ScanKind::Weekly,
                state: ScanState::Complete,
                window,
                started: at - 4,
                finished: at,
                received: at + 1,
                limits,
            });
        }
        for (number, rule) in (0..).zip(&ids) {
            let mut add = |verdict, since: Date, until: Option<Date>| {
                let at = |d: Date| day_start(d) + 3600;
                let message = if verdict == Verdict::Pass { empty.clone() } else { message.clone() };
                material.findings.push(Transition {
                    host: id,
                    rule: rule.clone(),
                    subject: subject.clone(),
                    verdict,
                    severity: Severity::High,
                    message,
                    reason: None,
                    since: at(since),
                    until: until.map(at),
                    report: Digest::of(b"r"),
                });
            };
            match (n + number) % 12 {
                0 => {
                    add(Verdict::Fail, date(2026, 3, 2), Some(date(2026, 4, 6)));
                    add(Verdict::Pass, date(2026, 4, 6), None);
                }
                1 if number % 3 == 0 => add(Verdict::Fail, date(2026, 9, 7), None),
                _ => add(Verdict::Pass, date(2025, 12, 8), None),
            }
        }
    }
    material
}

#[test]
fn a_fleet_is_told_without_holding_what_passes() {
    let (hosts, rules) = if std::env::var_os("ASSAY_SLOW").is_some() { (1000, 330) } else { (20, 60) };
    let material = fleet(hosts, rules);
    let mut paper = assemble(&material).unwrap();
    let expected = u64::from(hosts) * u64::from(rules);
    let tables = csv::Tables::new(&material, &paper);
    for (path, write) in csv::FILES {
        let rows = write(&tables, &mut std::io::sink()).unwrap();
        match *path {
            "findings.csv" => assert_eq!(rows, expected),
            "history.csv" => assert_eq!(rows, material.findings.len() as u64),
            "exceptions.csv" => assert_eq!(rows, paper.exceptions.len() as u64),
            _ => (),
        }
    }
    paper.lists.clear();
    assert!(paper.controls.iter().all(|c| c.results.iter().all(|r| !matches!(r.verdict, Verdict::Pass | Verdict::NotApplicable))));
    assert!(html::render(&paper).len() < 4 << 20, "the page stays a page");
}
