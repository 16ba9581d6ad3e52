//! The rule engine from outside: the embedded pack, the guard of truth, what does not load, and
//! what it costs.

use std::collections::BTreeMap;

use assay::facts;
use assay::model::against::Against;
use assay::model::fact::Observation;
use assay::model::finding::{Finding, Severity, Verdict};
use assay::model::gap::Gap;
use assay::model::policy::Policy;
use assay::rules::framework::Kind;
use assay::rules::{self, Input, Pack, framework, selftest};
use serde_json::{Value, json};

fn builtin() -> Pack {
    Pack::builtin(facts::schemas()).unwrap_or_else(|e| panic!("{e}"))
}

/// Rules written for one test, compiled against a small schema.
fn pack(rules: &[(&str, String)]) -> Result<Pack, rules::PackError> {
    let dir = tempfile::tempdir().unwrap();
    for (name, text) in rules {
        std::fs::write(dir.path().join(name), text).unwrap();
    }
    Pack::load(dir.path(), &schemas())
}

fn schemas() -> Vec<(&'static str, Value)> {
    let item = json!({"type": "object", "properties": {
        "subject": {"type": "string"}, "n": {"type": "integer"}, "good": {"type": "boolean"}, "other": {"type": "string"},
        "tags": {"type": "array", "items": {"type": "string"}}, "maybe": {"type": ["integer", "null"]}}});
    let list = json!({"type": "array", "items": item});
    vec![
        (
            "a",
            json!({"type": "object", "properties": {"items": list, "more": list, "flag": {"type": "boolean"}, "n": {"type": "integer"}, "name": {"type": "string"}}}),
        ),
        ("b", json!({"type": "object", "properties": {"flag": {"type": "boolean"}}})),
    ]
}

const TAIL: &str = "why: w\nfix: f\nverify: v\nrefs: []\n";

fn whole(keys: &str) -> String {
    let examples = "examples:\n  - {verdict: pass, facts: {}}\n  - {verdict: fail, facts: {}}\n  - {verdict: unknown, facts: {}}\n";
    let applies = if keys.contains("applies:") { "  - {verdict: not_applicable, facts: {}}\n" } else { "" };
    format!("id: r\ntitle: t\nseverity: high\ncadence: weekly\npromises: [A1]\n{keys}\n{TAIL}{examples}{applies}")
}

fn judge(keys: &str, families: Value, gaps: &[Gap]) -> Vec<Finding> {
    let pack = pack(&[("r.yaml", whole(keys))]).unwrap_or_else(|e| panic!("{keys}: {:?}", e.problems));
    let families: BTreeMap<String, Value> = serde_json::from_value(families).unwrap();
    let observation = Observation { gathered_at: 1000, families, gaps: gaps.to_vec() };
    rules::evaluate(&pack, &Input { observation: &observation, policy: &Policy::default(), against: Against::default(), advisories: None })
}

fn verdicts(findings: &[Finding]) -> Vec<(&str, Verdict)> {
    findings.iter().map(|f| (f.subject.as_str(), f.verdict)).collect()
}

fn gap(family: &str, path: &str, subject: &str) -> Gap {
    Gap {
        family: family.into(),
        path: path.into(),
        subject: subject.into(),
        reason: "timeout".into(),
        detail: "it took too long".into(),
        remedy: "Wait.".into(),
    }
}

#[test]
fn every_embedded_rule_does_what_its_examples_say() {
    let pack = Pack::builtin_with_examples(facts::schemas()).unwrap_or_else(|e| panic!("{e}"));
    let outcome = selftest::run(&pack);
    let failures: Vec<String> = outcome.failures.iter().map(ToString::to_string).collect();
    assert!(failures.is_empty(), "{}", failures.join("\n"));
    assert!(outcome.run >= pack.rules.len() * 3);
}

#[test]
fn frameworks_name_only_rules_that_exist() {
    let pack = builtin();
    for framework in framework::builtin().unwrap_or_else(|e| panic!("{e}")) {
        assert_eq!(framework.unknown_rules(&pack), Vec::<String>::new(), "{}", framework.id);
    }
}

#[test]
fn every_embedded_rule_serves_a_control() {
    let frameworks = framework::builtin().unwrap();
    let soc2 = framework::find(&frameworks, "soc2").unwrap();
    assert_eq!(soc2.id, "soc2-2017");
    for rule in &builtin().rules {
        assert!(!soc2.controls_of(&rule.id).is_empty(), "{} serves no control of {}", rule.id, soc2.id);
    }
}

/// Promises that an agent proves by what it observes on a host or over a socket.
const OBSERVED: &[&str] = &[
    "A2", "A3", "A4", "A5", "A6", "B1", "B2", "B3", "B4", "B5", "B6", "B7", "B9", "B10", "B11", "B17", "C2", "C4", "C5", "C6", "C7", "C8", "C9", "C10", "C11",
    "C12", "C13", "C14",
];

#[test]
fn every_promise_has_a_rule_or_says_what_else_proves_it() {
    let pack = builtin();
    let frameworks = framework::builtin().unwrap();
    let pages: Vec<_> = frameworks.iter().filter(|f| f.kind == Kind::Commitments).collect();
    let sentences: Vec<_> = pages.iter().flat_map(|p| &p.controls).collect();
    let numbered = |letter: &str, count: usize| (1..=count).map(|n| format!("{letter}{n}")).collect::<Vec<_>>();
    let all = [numbered("A", 12), numbered("B", 21), numbered("C", 19), numbered("D", 5)].concat();
    assert_eq!(sentences.iter().map(|s| s.id.clone()).collect::<Vec<_>>().len(), all.len());
    for id in &all {
        let sentence = sentences.iter().find(|s| s.id == *id).unwrap_or_else(|| panic!("no page has {id}"));
        assert!(!OBSERVED.contains(&id.as_str()) || !sentence.rules.is_empty(), "{id} is observed on hosts and has no rule");
        let listed: Vec<&str> = sentence.rules.iter().map(|m| m.rule.as_str()).collect();
        for rule in &pack.rules {
            // What is of low severity is worth knowing and breaks no promise.
            let is_behind = rule.promises.contains(id) && rule.severity >= Severity::Medium;
            assert_eq!(listed.contains(&rule.id.as_str()), is_behind, "{id} and {} disagree", rule.id);
        }
    }
}

#[test]
fn the_digest_and_the_order_are_stable() {
    let (a, b) = (builtin(), builtin());
    assert_eq!(a.digest(), b.digest());
    assert!(a.rules.windows(2).all(|w| w[0].id < w[1].id));
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("rules");
    assert_eq!(Pack::load(&folder, facts::schemas()).unwrap().digest(), a.digest());
}

/// Every verdict of a whole-host rule under every relation of a gap to what is read.
#[test]
fn a_gap_turns_pass_and_not_applicable_into_unknown_and_leaves_failures() {
    let touching = [gap("a", "", ""), gap("a", "flag", ""), gap("a", "flag.deeper", ""), gap("a", "", "x"), gap("a", "flag", "x"), gap("", "", "")];
    let apart = [gap("b", "", ""), gap("a", "n", ""), gap("a", "fla", ""), gap("a", "flagged", ""), gap("b", "flag", "")];
    for (keys, facts, plain) in [
        ("assert: a.flag\nmessage: m", json!({"a": {"flag": true}}), Verdict::Pass),
        ("assert: a.flag\nmessage: m", json!({"a": {"flag": false}}), Verdict::Fail),
        ("applies: a.flag\nassert: 1 == 1\nmessage: m", json!({"a": {"flag": false}}), Verdict::NotApplicable),
        ("assert: a.flag\nmessage: m", json!({"a": {}}), Verdict::Unknown),
    ] {
        assert_eq!(verdicts(&judge(keys, facts.clone(), &[])), [("", plain)], "{keys}");
        for gap in &apart {
            assert_eq!(verdicts(&judge(keys, facts.clone(), std::slice::from_ref(gap))), [("", plain)], "{keys} {gap:?}");
        }
        for gap in &touching {
            let findings = judge(keys, facts.clone(), std::slice::from_ref(gap));
            let expected = if plain == Verdict::Fail { Verdict::Fail } else { Verdict::Unknown };
            assert_eq!(verdicts(&findings), [("", expected)], "{keys} {gap:?}");
            if expected == Verdict::Unknown {
                let reason = findings[0].reason.as_ref().unwrap();
                assert_eq!((reason.kind.as_str(), reason.id.as_str(), reason.remedy.as_str()), ("gap", "timeout", "Wait."));
                assert_eq!(findings[0].message, "it took too long");
            }
        }
    }
}

#[test]
fn a_missing_family_is_unknown_even_under_has_and_or() {
    for keys in [
        "assert: a.flag || has(b.flag) || !has(b.flag)\nmessage: m",
        "assert: a.flag || b.flag\nmessage: m",
        "applies: has(b.flag)\nassert: a.flag\nmessage: m",
        "assert: '!has(b.flag) || a.flag'\nmessage: m",
    ] {
        let findings = judge(keys, json!({"a": {"flag": true}}), &[]);
        assert_eq!(verdicts(&findings), [("", Verdict::Unknown)], "{keys}");
        assert_eq!(findings[0].reason.as_ref().unwrap().id, "missing-family");
    }
    // What is there decides a failure by itself.
    assert_eq!(verdicts(&judge("assert: a.flag && b.flag\nmessage: m", json!({"a": {"flag": false}}), &[])), [("", Verdict::Fail)]);
    // A missing list under for_each is one unknown.
    let each = "for_each: a.items\nassert: item.good\nmessage: m";
    assert_eq!(verdicts(&judge(each, json!({}), &[])), [("", Verdict::Unknown)]);
    assert_eq!(verdicts(&judge(each, json!({"a": {}}), &[])), [("", Verdict::Unknown)]);
}

#[test]
fn a_missing_value_is_unknown_unless_the_rest_decides() {
    let judge = |assert: &str, facts: Value| judge(&format!("assert: {assert}\nmessage: m"), facts, &[]).remove(0);
    let missing = judge("a.flag", json!({"a": {}}));
    assert_eq!(missing.reason.unwrap().id, "missing-value");
    assert_eq!(judge("a.flag && a.n == 1", json!({"a": {"flag": false}})).verdict, Verdict::Fail);
    assert_eq!(judge("a.flag || a.n == 1", json!({"a": {"flag": true}})).verdict, Verdict::Pass);
    assert_eq!(judge("9 / a.n == 1", json!({"a": {"n": 0}})).verdict, Verdict::Unknown);
    assert_eq!(judge("a.items[3].good", json!({"a": {"items": []}})).verdict, Verdict::Unknown);
}

#[test]
fn under_for_each_a_gap_touches_whom_it_names() {
    let keys = "for_each: a.items\napplies: item.n > 0\nassert: item.good\nmessage: m";
    let item = |subject: &str, n: i64, good: bool| json!({"subject": subject, "n": n, "good": good});
    let facts = json!({"a": {"items": [item("p", 1, true), item("f", 1, false), item("z", 0, true)]}});
    use Verdict::{Fail, NotApplicable, Pass, Unknown};
    let plain = [("f", Fail), ("p", Pass), ("z", NotApplicable)];
    for (gaps, expected) in [
        (vec![], plain.to_vec()),
        (vec![gap("a", "items", "p")], vec![("f", Fail), ("p", Unknown), ("z", NotApplicable)]),
        (vec![gap("a", "items.good", "p")], vec![("f", Fail), ("p", Unknown), ("z", NotApplicable)]),
        (vec![gap("a", "items.other", "p")], plain.to_vec()),
        (vec![gap("a", "items", "f")], plain.to_vec()),
        (vec![gap("a", "items", "z")], vec![("f", Fail), ("p", Pass), ("z", Unknown)]),
        // What does not apply rests on what says so alone.
        (vec![gap("a", "items.good", "z")], plain.to_vec()),
        (vec![gap("a", "items.good", "")], vec![("f", Fail), ("p", Unknown), ("z", NotApplicable)]),
        (vec![gap("a", "items.n", "z")], vec![("f", Fail), ("p", Pass), ("z", Unknown)]),
        (vec![gap("a", "items", "gone")], vec![("f", Fail), ("gone", Unknown), ("p", Pass), ("z", NotApplicable)]),
        (vec![gap("a", "items", "")], vec![("f", Fail), ("p", Unknown), ("z", Unknown)]),
        (vec![gap("a", "", "")], vec![("f", Fail), ("p", Unknown), ("z", Unknown)]),
        (vec![gap("", "", "")], vec![("f", Fail), ("p", Unknown), ("z", Unknown)]),
        (vec![gap("a", "more", "p"), gap("b", "", "")], plain.to_vec()),
    ] {
        let mut expected = expected;
        let findings = judge(keys, facts.clone(), &gaps);
        let mut got = verdicts(&findings);
        got.sort();
        expected.sort();
        assert_eq!(got, expected, "{gaps:?}");
    }
    // Failures alone would look complete when the list is not.
    let only = json!({"a": {"items": [item("f", 1, false)]}});
    assert_eq!(verdicts(&judge(keys, only, &[gap("a", "items", "")])), [("f", Fail), ("", Unknown)]);
    // Empty and complete; empty and not.
    assert_eq!(verdicts(&judge(keys, json!({"a": {"items": []}}), &[])), [("", NotApplicable)]);
    assert_eq!(verdicts(&judge(keys, json!({"a": {"items": []}}), &[gap("a", "items", "")])), [("", Unknown)]);
    assert_eq!(verdicts(&judge(keys, json!({"a": {"items": []}}), &[gap("a", "items", "x")])), [("x", Unknown)]);
    // A gap outside the element touches every element.
    let across = "for_each: a.items\nassert: item.good && a.more.all(m, m.good)\nmessage: m";
    let facts = json!({"a": {"items": [item("p", 1, true)], "more": []}});
    assert_eq!(verdicts(&judge(across, facts, &[gap("a", "more", "someone")])), [("p", Unknown)]);
}

#[test]
fn subjects_are_unique_and_findings_sorted() {
    let item = |good: bool| json!({"subject": "s", "n": 1, "good": good});
    let findings = judge("for_each: a.items\nassert: item.good\nmessage: n {item.n}", json!({"a": {"items": [item(true), item(false), item(false)]}}), &[]);
    assert_eq!(verdicts(&findings), [("s (2)", Verdict::Fail), ("s (3)", Verdict::Fail), ("s", Verdict::Pass)]);
    assert_eq!(findings[0].message, "n 1");
}

#[test]
fn verdicts_cite_the_deciding_elements_with_their_source() {
    let source = |line: u32| json!({"place": "/etc/x", "line": line, "directive": "d"});
    let items: Vec<Value> = (0..40).map(|i| json!({"subject": format!("s{i}"), "good": i != 37, "source": source(i + 1)})).collect();
    let findings = judge("assert: a.items.all(i, i.good)\nmessage: m", json!({"a": {"items": items.clone(), "flag": true}}), &[]);
    let cited: Vec<(&str, &str)> = findings[0].citations.iter().map(|c| (c.path.as_str(), c.value.as_str())).collect();
    assert_eq!(cited, [("a.items[37].good", "false")]);
    assert_eq!(findings[0].citations[0].source.as_ref().unwrap().line, 38);
    let findings = judge("for_each: a.items\nassert: item.good && policy.leaver_limit_days == 1\nmessage: m", json!({"a": {"items": items}}), &[]);
    let cited: Vec<&str> = findings[0].citations.iter().map(|c| c.path.as_str()).collect();
    assert_eq!(cited, ["a.items[37].good", "policy.leaver_limit_days", "a.items[37].subject"]);
    let long = judge("assert: a.name == ''\nmessage: m", json!({"a": {"name": "é".repeat(5000)}}), &[]).remove(0);
    assert!(long.citations[0].value.chars().count() <= 200 && long.citations[0].value.ends_with('…'));
}

#[test]
fn functions_do_what_the_format_says() {
    let facts = json!({"a": {"n": 1_795_000_000, "name": "web-01", "items": [{"subject": "x", "tags": ["p", "q"]}]}});
    for (expression, text) in [
        ("date(a.n)", "2026-11-18"),
        ("date(-1)", "1969-12-31"),
        ("days(a.n - 1794900000)", "1"),
        ("days(-1)", "-1"),
        ("days(86400)", "1"),
        ("octal(420)", "0644"),
        ("matches(a.name, \"^web-[0-9]+$\")", "true"),
        ("matches(a.name, \"^db\")", "false"),
        ("join(a.items[0].tags, \"+\")", "p+q"),
        ("a.items[0].tags", "p, q"),
        ("size(a.items)", "1"),
        ("a.name.startsWith(\"web\") && a.name.endsWith(\"1\") && a.name.contains(\"b-\")", "true"),
        ("a.items.map(i, i.subject)", "x"),
        ("a.items.filter(i, \"p\" in i.tags).map(i, i.subject + \"!\")", "x!"),
        ("a.items.exists(i, i.tags.all(t, t < \"z\"))", "true"),
        ("\"}\"", "}"),
        ("now", "1000"),
    ] {
        let finding = judge(&format!("assert: 1 == 2\nmessage: '{{{expression}}}'"), facts.clone(), &[]).remove(0);
        assert_eq!(finding.message, text, "{expression}");
    }
}

#[test]
fn wrong_rules_do_not_load_and_say_where() {
    let line = |keys: &str| whole(keys);
    for (keys, says) in [
        ("assert: a.flagg\nmessage: m", "a has no field flagg; it has flag, items, more, n, name"),
        ("assert: c.flag\nmessage: m", "there is no variable c; there are a, access, advisories, b, endpoints, now, policy"),
        ("assert: a.n\nmessage: m", "the expression is a number, not a truth value"),
        ("assert: a.n == a.name\nmessage: m", "a.n is a number, a.name is text"),
        ("assert: a.name > 3\nmessage: m", "a.name is text, the other is a number"),
        ("assert: a.flag &&\nmessage: m", "does not parse"),
        ("assert: a.n > 1.5\nmessage: m", "integers"),
        ("assert: item.good\nmessage: m", "item is only there under for_each"),
        ("for_each: a.flag\nassert: a.flag\nmessage: m", "a.flag is not a list"),
        ("for_each: a.nothing\nassert: a.flag\nmessage: m", "has no field nothing"),
        ("assert: a.items.all(i, a.more.all(j, i.n == j.n))\nmessage: m", "walked inside another"),
        ("assert: a.items.all(i, a.more.filter(j, j.good).all(k, k.good))\nmessage: m", "walked inside another"),
        ("assert: a.items.filter(i, i.good).all(k, a.more.exists(j, j.good))\nmessage: m", "walked inside another"),
        ("assert: matches(a.name, a.name)\nmessage: m", "must be written out"),
        ("assert: matches(a.name, \"(\")\nmessage: m", "is not usable"),
        ("assert: a.items.all(a, a.good)\nmessage: m", "is the name of a variable already"),
        ("assert: system(a.name)\nmessage: m", "there is no function system"),
        ("assert: a.flag\nmessage: \"{a.items}{a.nam}\"", "has no field nam"),
        ("assert: a.flag\nmessage: \"{a.n\"", "a { without its }"),
        ("assert: a.flag\nmessage: m\nextra: 1", "unknown field"),
        ("assert: a.flag\nassert: a.flag\nmessage: m", "duplicate"),
        ("assert: !a.flag\nmessage: m", "tag"),
        ("assert: a.flag", "missing field"),
    ] {
        let error = pack(&[("r.yaml", line(keys))]).expect_err(keys);
        let problem = &error.problems[0];
        assert!(problem.text.contains(says), "{keys}: {problem}");
        assert!(problem.file == "r.yaml" && (1..=9).contains(&problem.line) || says == "missing field", "{problem}");
    }
    let long = format!("assert: {}a.flag\nmessage: m", "a.flag && ".repeat(300));
    assert!(pack(&[("r.yaml", line(&long))]).unwrap_err().problems[0].text.contains("longer than 2048"));
    let deep = format!("assert: '{}a.flag{}'\nmessage: m", "!(a.flag && ".repeat(20), ")".repeat(20));
    assert!(pack(&[("r.yaml", line(&deep))]).unwrap_err().problems[0].text.contains("deeper than 24"));
    for (open, close) in [("(", ")"), ("[", "]"), ("{", "}"), ("[(", "")] {
        let bottomless = format!("assert: '{}a.flag{}'\nmessage: m", open.repeat(900), close.repeat(900));
        let error = pack(&[("r.yaml", line(&bottomless))]).unwrap_err();
        assert!(error.problems[0].text.contains("brackets are nested deeper"), "{error}");
    }
    // What nests without brackets is read or refused, and overflows nothing.
    for piece in ["!", "- ", "a.flag ? a.flag : ", "a.flag || ", "a.n + ", "a.flag == ", "a.", "\"x\" in "] {
        let long = format!("assert: '{}a.flag'\nmessage: m", piece.repeat(2000 / piece.len()));
        let _ = pack(&[("r.yaml", line(&long))]);
    }
    assert!(pack(&[("other.yaml", line("assert: a.flag\nmessage: m"))]).unwrap_err().problems[0].text.contains("rename the file to r.yaml"));
    let bare = whole("assert: a.flag\nmessage: m").split("examples:").next().unwrap().to_string() + "examples: [{verdict: pass, facts: {a: {n: x}}}]\n";
    let texts: Vec<String> = pack(&[("r.yaml", bare)]).unwrap_err().problems.into_iter().map(|p| p.text).collect();
    assert!(texts.iter().any(|t| t.contains("a.n is not an integer")) && texts.iter().any(|t| t.contains("verdict is unknown: add it")), "{texts:?}");
}

#[test]
fn an_own_list_may_be_walked_inside_a_familys() {
    let facts = json!({"a": {"items": [{"subject": "x", "tags": ["p"]}]}});
    assert_eq!(verdicts(&judge("assert: a.items.all(i, i.tags.all(t, t == \"p\"))\nmessage: m", facts, &[])), [("", Verdict::Pass)]);
}

#[test]
fn a_rule_that_would_run_for_ever_ends_as_unknown() {
    let items: Vec<Value> = (0..6000).map(|i| json!({"subject": format!("s{i}"), "n": i, "good": true})).collect();
    let keys = "for_each: a.items\nassert: a.more.all(m, m.n != 1000000 + item.n)\nmessage: m";
    let started = std::time::Instant::now();
    let findings = judge(keys, json!({"a": {"items": items.clone(), "more": items}}), &[]);
    assert!(started.elapsed().as_secs() < 60, "{:?}", started.elapsed());
    let limit = findings.iter().find(|f| f.verdict == Verdict::Unknown).expect("a limit");
    assert_eq!((limit.subject.as_str(), limit.reason.as_ref().unwrap().kind.as_str()), ("", "limit"));
}

#[test]
fn without_a_roster_access_is_unknown_and_says_how_to_mend_it() {
    let findings = judge("assert: access.leavers.all(l, size(l.open) == 0)\nmessage: m", json!({}), &[]);
    assert_eq!(verdicts(&findings), [("", Verdict::Unknown)]);
    assert!(findings[0].reason.as_ref().unwrap().remedy.contains("--roster"));
    // A document named access in the observation is not the derived one.
    let forged = judge("assert: access.leavers.all(l, size(l.open) == 0)\nmessage: m", json!({"access": {"leavers": []}}), &[]);
    assert_eq!(verdicts(&forged), [("", Verdict::Unknown)]);
}

#[test]
fn many_rules_over_a_large_host_stay_within_the_budget() {
    let items: Vec<Value> = (0..1000).map(|i| json!({"subject": format!("s{i}"), "n": i, "good": true, "other": "x".repeat(80), "tags": ["p", "q"]})).collect();
    let facts = json!({"a": {"items": items, "more": [], "flag": true}});
    assert!(facts.to_string().len() > 140_000);
    let rules: Vec<(String, String)> = (0..40)
        .map(|i| {
            (
                format!("r{i}.yaml"),
                whole(&format!("assert: a.items.all(i, i.n != {} && i.good)\nmessage: m", i + 5000)).replace("id: r\n", &format!("id: r{i}\n")),
            )
        })
        .collect();
    let rules: Vec<(&str, String)> = rules.iter().map(|(n, t)| (n.as_str(), t.clone())).collect();
    let pack = pack(&rules).unwrap();
    let observation = Observation { gathered_at: 0, families: serde_json::from_value(facts).unwrap(), gaps: Vec::new() };
    let started = std::time::Instant::now();
    let findings = rules::evaluate(&pack, &Input { observation: &observation, policy: &Policy::default(), against: Against::default(), advisories: None });
    eprintln!("{} findings in {:?}", findings.len(), started.elapsed());
    assert!(findings.iter().all(|f| f.verdict == Verdict::Pass) && findings.len() == 40);
}

#[test]
fn the_json_of_a_scan_is_valid_and_holds_everything() {
    use assay::model::report::{ScanState, Times};
    use assay::report::json::{Document, render};
    let pack = builtin();
    let families = BTreeMap::from([("os".to_string(), json!({"pretty_name": "D\u{1b}\"", "end_of_life": null}))]);
    let observation = Observation { gathered_at: 7, families, gaps: vec![gap("storage", "", "")] };
    let policy = Policy::default();
    let findings = rules::evaluate(&pack, &Input { observation: &observation, policy: &policy, against: Against::default(), advisories: None });
    let document = Document {
        host: "h",
        os: "o",
        pack: &pack,
        policy: &policy,
        times: Times { started: 7, finished: 9, boot_ms: 1 },
        state: ScanState::Complete,
        limits: &["x".to_string()],
        findings: &findings,
        advisories: None,
        access: None,
        observation: &observation,
    };
    let text = render(&document);
    let value: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(value["format"], "assay.scan.v1");
    assert_eq!(value["findings"].as_array().unwrap().len(), findings.len());
    assert_eq!(value["counts"]["unknown"].as_u64().unwrap() as usize, findings.iter().filter(|f| f.verdict == Verdict::Unknown).count());
    assert_eq!(value["gaps"][0]["family"], "storage");
    assert_eq!(value["facts"]["os"]["pretty_name"], "D\u{1b}\"");
    assert_eq!(value["scan"]["pack"]["digest"], pack.digest().to_string());
    assert!(text.ends_with("}\n"));
}

#[expect(clippy::disallowed_methods, reason = "the program under test is started")]
fn assay(arguments: &[&str]) -> (i32, String, String) {
    let out = std::process::Command::new(env!("CARGO_BIN_EXE_assay")).args(arguments).output().unwrap();
    (out.status.code().unwrap(), String::from_utf8(out.stdout).unwrap(), String::from_utf8(out.stderr).unwrap())
}

#[test]
fn the_rules_command_lists_shows_tests_and_checks() {
    let (code, out, _) = assay(&["rules", "list", "--format", "json"]);
    let listed: Value = serde_json::from_str(&out).unwrap();
    assert_eq!((code, listed["rules"].as_array().unwrap().len()), (0, builtin().rules.len()));
    let (code, out, _) = assay(&["rules", "show", "storage-encryption"]);
    assert!(code == 0 && out.contains("Verify\n  lsblk") && out.contains("soc2-2017 CC6.1"), "{out}");
    let (code, _, error) = assay(&["rules", "show", "storage-encrypted"]);
    assert!(code == 1 && error.contains("did you mean") && error.contains("storage-encryption"), "{error}");
    let (code, out, _) = assay(&["rules", "test"]);
    assert!(code == 0 && out.ends_with(" 0 failed\n"), "{out}");

    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("r.yaml");
    std::fs::write(&path, whole("assert: os.hostnam == ''\nmessage: m")).unwrap();
    let place = path.to_str().unwrap();
    let (code, out, error) = assay(&["rules", "check", place]);
    assert!(code == 1 && out.starts_with(&format!("{place}:6:")) && out.contains("os has no field hostnam"), "{out}{error}");
    std::fs::write(&path, whole("assert: os.hostname == ''\nmessage: m")).unwrap();
    assert_eq!(assay(&["rules", "check", place]).0, 0);
    // Its three examples have no facts, so that only `unknown` comes out as written.
    let (code, out, error) = assay(&["rules", "test", place]);
    assert!(code == 1 && out.contains("3 examples, 2 failed") && error.contains("mend the rule or the example"), "{out}{error}");
    let (code, _, error) = assay(&["rules", "check", "/nowhere/at/all"]);
    assert!(code == 1 && error.contains("/nowhere/at/all"), "{error}");
}

#[test]
fn a_rule_over_a_monthly_family_is_monthly_and_not_judged_in_weekly_scans() {
    let flag = json!({"type": "object", "properties": {"flag": {"type": "boolean"}}});
    let mut rare = flag.clone();
    rare["x-cadence"] = json!("monthly");
    let schemas = [("often", flag), ("rare", rare)];
    let load = |text: String| {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("r.yaml"), text).unwrap();
        Pack::load(dir.path(), &schemas)
    };
    let weekly = whole("assert: often.flag\nmessage: 'm {rare.flag}'");
    let problem = &load(weekly.clone()).unwrap_err().problems[0];
    assert_eq!((problem.line, problem.column), (4, 10));
    assert!(problem.text.contains("rare is read in monthly scans only: write cadence: monthly"), "{}", problem.text);
    let pack = load(weekly.replace("weekly", "monthly")).unwrap();
    let families = serde_json::from_value(json!({"often": {"flag": false}, "rare": {"flag": true}})).unwrap();
    let observation = Observation { gathered_at: 1000, families, gaps: Vec::new() };
    let input = Input { observation: &observation, policy: &Policy::default(), against: Against::default(), advisories: None };
    assert!(rules::evaluate_in(&pack, &input, rules::Cadence::Weekly).is_empty());
    assert_eq!(verdicts(&rules::evaluate_in(&pack, &input, rules::Cadence::Monthly)), [("", Verdict::Fail)]);
    assert_eq!(pack.needs().get("r").map(|n| n.cadence), Some(assay::model::report::Cadence::Monthly));
}

#[test]
fn a_weekly_scan_reads_no_monthly_family() {
    use assay::agent::run;
    use assay::model::report::{Cadence, ScanKind};
    let names = |kind: ScanKind| -> Vec<&str> { run::within(run::plan_families(&[]).unwrap(), kind.cadence()).iter().map(|f| f.name).collect() };
    let rare: Vec<&str> = facts::FAMILIES.iter().filter(|f| f.cadence == Cadence::Monthly).map(|f| f.name).collect();
    assert_eq!(rare, ["files", "payment_data", "tls_capabilities"]);
    for kind in ScanKind::ALL {
        let expected = matches!(kind, ScanKind::Monthly | ScanKind::OnDemand);
        assert!(rare.iter().all(|r| names(kind).contains(r) == expected), "{kind:?}");
    }
    assert!(run::within(run::plan_families(&["files".into()]).unwrap(), Cadence::Weekly).is_empty());
}

#[test]
fn the_rules_of_endpoints_are_all_that_read_nothing_else() {
    use assay::agent::run;
    use assay::facts::services;
    let own: Vec<String> = run::endpoint_rules().unwrap().rules.iter().map(|r| r.id.clone()).collect();
    let all = run::builtin_rules().unwrap();
    let expected: Vec<String> = all.rules.iter().filter(|r| r.families().iter().all(|f| services::FAMILIES.contains(f))).map(|r| r.id.clone()).collect();
    assert!(own.len() > 60 && own == expected, "{own:?}");
}
