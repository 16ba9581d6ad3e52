//! The command line of records and waivers, by the real program on real data folders.

use std::path::Path;

use assay::collector::Keys;
use assay::collector::store::Store;
use serde_json::Value;

use crate::support::{collector, run, text};
use crate::ui::seed;

/// A data folder, and the program on it.
struct Desk {
    folder: tempfile::TempDir,
}

impl Desk {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        Keys::load_or_create(folder.path(), 1_763_337_600).unwrap();
        Self { folder }
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    fn run(&self, arguments: &[&str]) -> (i32, String, String) {
        run(collector(), &[arguments, &["--data", text(self.path())]].concat())
    }

    fn good(&self, arguments: &[&str]) -> String {
        let (code, out, error) = self.run(arguments);
        assert_eq!(code, 0, "{arguments:?}: {out}{error}");
        out
    }

    fn refused(&self, arguments: &[&str], with: &str) {
        let (code, out, error) = self.run(arguments);
        assert!(code == 1 && error.contains(with) && error.lines().count() == 1, "{arguments:?}: {code} {out}{error}");
    }

    fn json(&self, arguments: &[&str]) -> Value {
        serde_json::from_str(&self.good(&[arguments, &["--format", "json"]].concat())).unwrap()
    }

    /// Records and gives the entry's short id.
    fn add(&self, kind: &str, subject: &str, fields: &[&str]) -> String {
        let mut arguments = vec!["record", "add", kind];
        if !subject.is_empty() {
            arguments.extend(["--subject", subject]);
        }
        arguments.extend(fields.iter().flat_map(|f| ["--field", f]));
        self.good(&arguments).split(' ').next().unwrap().to_string()
    }
}

#[test]
fn an_incident_is_registered_told_and_closed() {
    let desk = Desk::new();
    let types = run(collector(), &["record", "types"]).1;
    assert!(types.contains("incidents") && types.contains("A8 C16"), "{types}");
    let fields = run(collector(), &["record", "types", "incidents"]).1;
    assert!(fields.contains("Deadline: the authority is told within 72 hours, from known_at until authority_told_at is filled"), "{fields}");

    let what = desk.path().join("what.txt");
    std::fs::write(&what, "A laptop\nwas left on a train.\n").unwrap();
    let description = format!("description=@{}", text(&what));
    let known = "known_at=2026-01-05T10:00:00+01:00";
    let id = desk.add("incidents", "lost laptop", &[&description, known, "notifiable=yes", "acting_as=controller", "contact=dpo@example.org"]);
    let list = desk.good(&["record", "list", "incidents"]);
    assert!(list.contains(&id) && list.contains("overdue") && list.contains("due by 2026-01-08 09:00 UTC"), "{list}");
    assert!(list.contains("nobody has signed that the list is complete"), "{list}");
    let due = desk.json(&["record", "due"]);
    assert_eq!((due["due"][0]["record"].as_str(), due["due"][0]["state"].as_str()), (Some("incidents"), Some("overdue")));
    let notification = desk.good(&["record", "notification", &id]);
    assert!(
        notification.contains("Summary\n  A laptop\n  was left on a train.") && notification.contains("Nature of the breach\n  not known yet"),
        "{notification}"
    );

    desk.refused(&["record", "close", &id], "can't be closed while occurred_at, reporter");
    desk.refused(&["record", "change", &id, "--field", "colour=red"], "has no field \"colour\"; it has description, occurred_at");
    desk.refused(&["record", "change", "00000000", "--field", "contact=x"], "there is no entry 00000000");
    desk.refused(&["record", "add", "incidence", "--subject", "x"], "there is no record type \"incidence\"");
    let rest = ["occurred_at=2026-01-04T10:00:00Z", "reporter=a", "recipient=b", "nature=c", "data_concerned=d", "consequences=e", "measures=f"];
    let told = "authority_told_at=2026-01-06T10:00:00Z";
    let mut arguments = vec!["record", "change", &id];
    arguments.extend(rest.iter().chain([&told]).flat_map(|f| ["--field", f]));
    desk.good(&arguments);
    let story = desk.json(&["record", "show", &id]);
    assert_eq!((story["standing"]["state"].as_str(), story["history"].as_array().unwrap().len()), (Some("current"), 2));
    assert!(story["history"][0]["event"]["by"].as_str().unwrap().starts_with("uid "));
    desk.good(&["record", "close", &id, "--note", "found again"]);
    let shown = desk.good(&["record", "show", &id]);
    assert!(shown.contains("closed: by uid") && shown.contains("found again") && shown.contains("ledger reference"), "{shown}");
    desk.good(&["record", "sign-off", "incidents", "--note", "first quarter"]);
    let list = desk.good(&["record", "list", "incidents"]);
    assert!(list.contains("1 entry, signed as complete by uid"), "{list}");
    // The day before it was recorded it was not there.
    assert!(!desk.good(&["record", "list", "incidents", "--as-of", "2026-01-05"]).contains(&id));
    desk.refused(&["record", "list", "incidents", "--as-of", "soon"], "--as-of \"soon\" is no time");
    let fsck = desk.json(&["fsck"]);
    assert_eq!(fsck["checked"]["statements"], 4, "{fsck}");
}

#[test]
fn files_are_kept_and_come_back_as_they_were() {
    let desk = Desk::new();
    let file = desk.path().join("agreement.pdf");
    std::fs::write(&file, b"%PDF-1.7 not really").unwrap();
    let fields = ["purpose=mail", "data=names", "place=Ireland", "agreement_on=2026-01-01", "transfer_mechanism=not-needed", "published=yes", "owner=ada"];
    let mut arguments = vec!["record", "add", "sub-processors", "--subject", "Mail Ltd", "--file", text(&file)];
    arguments.extend(fields.iter().flat_map(|f| ["--field", f]));
    let id = desk.good(&arguments).split(' ').next().unwrap().to_string();
    let story = desk.json(&["record", "show", &id]);
    let (name, digest) = (&story["entry"]["fields"]["agreement"], story["entry"]["files"][0]["sha256"].as_str().unwrap());
    assert_eq!(name, "agreement.pdf", "the only file fills the only field for one");
    let out = desk.path().join("out.pdf");
    desk.good(&["record", "file", digest, "--out", text(&out)]);
    assert_eq!(std::fs::read(&out).unwrap(), b"%PDF-1.7 not really");
    desk.refused(&["record", "file", digest, "--out", text(&out)], "can't write");

    let page = desk.good(&["record", "export", "sub-processors"]);
    assert!(page.contains("<td>Mail Ltd</td><td>mail</td><td>names</td><td>Ireland</td><td>not needed</td>"), "{page}");
    let twin: Vec<&str> = fields.iter().map(|f| if f.starts_with("place") { "place=Germany" } else { f }).collect();
    desk.add("sub-processors", "mail ltd", &twin);
    let struck: Vec<&str> = fields.iter().map(|f| if f.starts_with("transfer") { "transfer_mechanism=privacy-shield" } else { f }).collect();
    desk.add("sub-processors", "Cloud Inc", &struck);
    let due = desk.good(&["record", "due"]);
    assert!(due.contains("of the same name says Germany") && due.contains("the Court of Justice struck it down"), "{due}");
    let (code, text, warning) = desk.run(&["record", "export", "sub-processors", "--format", "md"]);
    assert_eq!((code, warning.lines().count()), (3, 1), "{warning}");
    assert!(text.contains("| Cloud Inc | mail | names | Ireland | privacy-shield |") && warning.contains("is listed twice"), "{text}{warning}");
}

#[test]
fn duties_per_person_follow_the_roster() {
    let desk = Desk::new();
    let roster = desk.path().join("people.csv");
    std::fs::write(&roster, "person,ended_at\nada,\nbob,\nleft,2020-01-01\n").unwrap();
    let today = assay::records::value::day_of(assay::host::clock::unix_now()).to_string();
    let done = format!("done_on={today}");
    desk.add("awareness-training", "Ada", &[&done, "content=phishing"]);
    let states = || -> Vec<(String, String)> {
        let list = desk.json(&["record", "list", "awareness-training"]);
        let text = |v: &Value| v.as_str().unwrap().to_string();
        list["standings"].as_array().unwrap().iter().map(|s| (text(&s["subject"]), text(&s["state"]))).collect()
    };
    let pair = |a: &str, b: &str| (a.to_string(), b.to_string());
    assert_eq!(states(), [pair("", "unknown"), pair("Ada", "current")]);
    desk.good(&["list", "put", "roster", text(&roster)]);
    assert_eq!(states(), [pair("Ada", "current"), pair("bob", "missing")]);
}

#[test]
fn a_waiver_can_not_be_approved_by_who_asked() {
    let desk = Desk::new();
    let expires = (jiff::Zoned::now().date() + jiff::Span::new().days(60)).to_string();
    let ask = ["waiver", "request", "--rule", "tls-version-minimum", "--host", "web*", "--subject", "*", "--reason", "old scanner", "--control", "one network"];
    let asked = desk.good(&[&ask[..], &["--expires", &expires]].concat());
    let id = asked.split(' ').nth(1).unwrap();
    desk.refused(&["waiver", "approve", id], "asked for this, so somebody else must approve it");
    desk.refused(&["waiver", "revoke", id], "is not in force");
    desk.refused(&[&ask[..], &["--expires", "2031-01-01"]].concat(), "more than 366 days ahead");
    desk.refused(&["record", "add", "waiver"], "waivers are asked for with assay-collector waiver request");
    let list = desk.good(&["waiver", "list"]);
    assert!(list.contains("requested") && list.contains(&expires), "{list}");
    desk.good(&["waiver", "refuse", id, "--note", "mend it"]);
    assert_eq!(desk.json(&["waiver", "list"])["waivers"][0]["stage"], "refused");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_review_takes_the_actual_access_and_ends_when_all_is_decided() {
    let desk = Desk::new();
    let seeded = seed::full(assay::host::clock::unix_now()).await;
    let store = Store::open(desk.path()).await.unwrap();
    seeded.app.store.copy_to(&store, &|_| ()).await.unwrap();
    store.close().await;
    let (code, started, error) = desk.run(&["record", "review", "start"]);
    assert_eq!(code, 3, "a host without a report can't be told: {started}{error}");
    assert!(started.contains("not told in full: new01: no report yet"), "{started}");
    let id = started.split([' ', ':']).nth(1).unwrap();
    let shown = desk.json(&["record", "review", "show", id]);
    let items = shown["items"].as_array().unwrap();
    assert!(items.iter().any(|i| i["item"]["access"] == "sudo" && i["item"]["host"] == "web01"), "{shown}");
    let count = items.len();
    desk.refused(&["record", "review", "finish", id], &format!("{count} of {count} items are undecided"));
    desk.refused(&["record", "review", "decide", id, "--items", &format!("{}", count + 1), "--keep"], "does not exist");
    let told = desk.good(&["record", "review", "decide", id, "--items", "1", "--revoke", "--reason", "left the team"]);
    assert!(told.contains(&format!("{} of {count} items are undecided", count - 1)), "{told}");
    desk.good(&["record", "review", "decide", id, "--items", &format!("2-{count}"), "--keep"]);
    let undecided = desk.json(&["record", "review", "show", id, "--undecided"]);
    assert_eq!((undecided["items"].as_array().unwrap().len(), undecided["undecided"].as_u64()), (0, Some(0)));
    desk.good(&["record", "review", "finish", id]);
    let list = desk.json(&["record", "list", "access-reviews"]);
    assert_eq!(list["standings"][0]["state"], "current", "{list}");
    // What a waiver would cover is known before it is asked for.
    let dry = [
        "waiver",
        "request",
        "--rule",
        "tls-version-minimum",
        "--host",
        "web*",
        "--subject",
        "*",
        "--reason",
        "r",
        "--control",
        "c",
        "--expires",
        "2026-12-31",
        "--dry-run",
    ];
    let told = desk.good(&dry);
    assert!(told.contains("web01") && told.contains("nothing was recorded") && !told.contains("db01"), "{told}");
}
