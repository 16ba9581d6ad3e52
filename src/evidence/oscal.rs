//! The working paper as OSCAL assessment results (NIST, model 1.1.2, JSON).
//!
//! | OSCAL | here |
//! |---|---|
//! | result | the bundle: period, controls, how it was looked at |
//! | inventory item | a host of the population |
//! | observation | a control's evidence as a whole; a rule that does not pass on a host at the end of the period |
//! | finding | a control's conclusion: satisfied only without exceptions |
//! | risk | an exception in the period; a waived one is an approved deviation |
//!
//! Every uuid is a UUID version 5 (RFC 9562) of what it names, so the same paper gives the same document.

use std::collections::BTreeMap;
use std::io::Write;

use serde_json::{Value, json};

use super::json::{Items, LineError, object};
use super::paper::{Conclusion, ControlPaper, Exception, Outcome, Paper};
use super::text::visible;
use super::{csv, layout};
use crate::model::canonical;
use crate::model::finding::Verdict;
use crate::model::ids::{HostId, hex_encode};

/// Version of the model.
const OSCAL_VERSION: &str = "1.1.2";
/// Where our property names are defined.
const NAMESPACE: &str = "https://example.invalid/assay/ns/oscal";
/// Namespace of our uuids: a random one, fixed for ever.
const UUIDS: [u8; 16] = [0x5b, 0x0f, 0x62, 0x0e, 0x8a, 0x7c, 0x4d, 0x1b, 0x9f, 0x3e, 0x21, 0xc4, 0x77, 0x6a, 0xd0, 0x58];
/// Most observations about a rule on a host, and most risks; the tables of the bundle hold all.
const MAX_ITEMS: usize = 10_000;
/// Most pieces that one observation refers to.
const MAX_PIECES: usize = 500;

/// `assessment-results.json`, canonical JSON, written item by item.
pub fn write(paper: &Paper, out: &mut dyn Write) -> Result<(), LineError> {
    let c = &paper.cover;
    let ids = Ids { bundle: [&c.ledger, &c.checkpoint_root.to_string(), &c.framework, &c.from, &c.to, &c.scope].map(String::as_str).join("\n") };
    let (plan, exported) = (ids.of("plan", &[]), format!("{}T00:00:00Z", c.as_of));
    let begin = json!({
        "back-matter": {"resources": resources(paper, &ids, &plan)},
        "import-ap": {"href": format!("#{plan}"), "remarks": "No plan in OSCAL was given: the framework's controls, with the rules and records that test them, are the plan."},
        "metadata": {
            "title": line(&format!("{}: evidence {} to {}", c.title, c.from, c.to)),
            "last-modified": exported,
            "version": line(&format!("checkpoint {}", c.checkpoint_size)),
            "oscal-version": OSCAL_VERSION,
        },
    });
    let begin = canonical::to_bytes(&begin)?;
    out.write_all(b"{\"assessment-results\":")?;
    out.write_all(begin.strip_suffix(b"}").unwrap_or(&begin))?;
    out.write_all(b",\"results\":[")?;
    result(paper, &ids, out)?;
    out.write_all(format!("],\"uuid\":\"{}\"}}}}", ids.of("document", &[])).as_bytes())?;
    Ok(())
}

/// Names to uuids.
struct Ids {
    /// What sets this bundle apart.
    bundle: String,
}

impl Ids {
    /// UUID version 5 of a kind of thing and what names it.
    fn of(&self, kind: &str, parts: &[&str]) -> String {
        let mut message = UUIDS.to_vec();
        message.extend_from_slice(format!("{kind}\n{}\n{}", self.bundle, parts.join("\n")).as_bytes());
        let digest = ring::digest::digest(&ring::digest::SHA1_FOR_LEGACY_USE_ONLY, &message);
        let mut bytes: Vec<u8> = digest.as_ref().iter().take(16).copied().collect();
        for (at, keep, set) in [(6, 0x0f, 0x50), (8, 0x3f, 0x80)] {
            if let Some(byte) = bytes.get_mut(at) {
                *byte = *byte & keep | set;
            }
        }
        let text = hex_encode(&bytes);
        let part = |from, to| text.get(from..to).unwrap_or_default();
        format!("{}-{}-{}-{}-{}", part(0, 8), part(8, 12), part(12, 16), part(16, 20), part(20, 32))
    }

    fn host(&self, host: &HostId) -> String {
        self.of("host", &[&host.to_string()])
    }

    fn open(&self, r: &Outcome) -> String {
        self.of("observation", &[&r.host.to_string(), &r.rule, &r.subject, r.verdict.id()])
    }

    fn risk(&self, e: &Exception) -> String {
        self.of("risk", &[&e.host.to_string(), &e.rule, &e.subject, e.verdict.id(), &e.first_seen.to_string()])
    }
}

fn result(paper: &Paper, ids: &Ids, out: &mut dyn Write) -> Result<(), LineError> {
    let cover = &paper.cover;
    let open = Chosen::of(paper.controls.iter().flat_map(|c| c.results.iter().map(|r| (ids.open(r), &**r))));
    let risks = Chosen::of(paper.exceptions.iter().map(|e| (ids.risk(e), &**e)));
    let mut remarks = paper.notes.join(" ");
    if open.is_cut || risks.is_cut {
        remarks.push_str(&format!(" More than {MAX_ITEMS} observations or risks: findings.csv and exceptions.csv of the bundle hold all."));
    }
    let controls: Vec<Value> = paper.controls.iter().map(|c| json!({"control-id": token(&c.id)})).collect();
    let mut light = json!({
        "uuid": ids.of("result", &[]),
        "title": line(&format!("{} {}", cover.framework, cover.version)),
        "description": text(&format!("Results of assay over {}, {} to {} (UTC).", cover.scope, cover.from, cover.to)),
        "start": format!("{}T00:00:00Z", cover.from),
        "end": format!("{}T23:59:59Z", cover.to),
        "props": [
            prop("ledger-key", &cover.ledger),
            prop("checkpoint-size", &cover.checkpoint_size.to_string()),
            prop("checkpoint-root", &cover.checkpoint_root.to_string()),
            prop("rule-pack", &cover.pack.to_string()),
            prop("signed-reports", &cover.reports.to_string()),
        ],
        "reviewed-controls": {"control-selections": [if controls.is_empty() { json!({"include-all": {}}) } else { json!({"include-controls": controls}) }]},
    });
    let tables = paper.lists.iter().map(|l| l.path.as_str()).chain([csv::LISTS]);
    let links = std::iter::once(ids.of("plan", &[])).chain(tables.map(|path| ids.of("table", &[path])));
    put(&mut light, "links", links.map(|uuid| json!({"href": format!("#{uuid}"), "rel": "evidence"})).collect());
    put(&mut light, "local-definitions", paper.population.iter().map(|m| inventory(m, ids)).collect());
    if let Some(items) = light.get_mut("local-definitions") {
        *items = json!({"inventory-items": items.take()});
    }
    if !remarks.trim().is_empty() {
        light["remarks"] = text(&remarks).into();
    }
    let summaries = paper.controls.iter().map(|c| canonical::to_bytes(&summary(paper, c, ids)));
    let observations = summaries.chain(open.chosen.iter().map(|(uuid, r)| canonical::to_bytes(&observation(paper, r, uuid, ids))));
    let mut lists: Vec<(&str, Items<'_>)> = Vec::new();
    if !paper.controls.is_empty() {
        lists.push(("findings", Box::new(paper.controls.iter().map(|c| canonical::to_bytes(&finding(c, ids, &open, &risks))))));
        lists.push(("observations", Box::new(observations)));
    }
    if !risks.chosen.is_empty() {
        lists.push(("risks", Box::new(risks.chosen.iter().map(|(uuid, e)| canonical::to_bytes(&risk(e, uuid))))));
    }
    object(out, &light, lists)
}

/// What the document tells one by one, each once, by uuid.
struct Chosen<'p, T> {
    chosen: BTreeMap<String, &'p T>,
    /// Whether there were more than [`MAX_ITEMS`].
    is_cut: bool,
}

impl<'p, T> Chosen<'p, T> {
    fn of(all: impl Iterator<Item = (String, &'p T)>) -> Self {
        let (mut chosen, mut is_cut) = (BTreeMap::new(), false);
        for (uuid, item) in all {
            if chosen.len() < MAX_ITEMS {
                chosen.insert(uuid, item);
            } else if !chosen.contains_key(&uuid) {
                is_cut = true;
            }
        }
        Self { chosen, is_cut }
    }
}

/// Lists that are empty are left out: the model has no empty lists.
fn put(object: &mut Value, name: &str, values: Vec<Value>) {
    if !values.is_empty() {
        object[name] = values.into();
    }
}

fn inventory(member: &super::paper::Member, ids: &Ids) -> Value {
    let mut props = vec![prop("host-id", &member.host.to_string()), prop("state", member.state.word()), prop("first-seen", &stamp(member.enrolled_at))];
    if !member.os.is_empty() {
        props.push(prop("operating-system", &member.os));
    }
    let path = layout::host(&member.host);
    json!({"uuid": ids.host(&member.host), "description": text(&member.name), "props": props, "links": [{"href": path, "rel": "evidence"}]})
}

/// A control's evidence as a whole.
fn summary(paper: &Paper, control: &ControlPaper, ids: &Ids) -> Value {
    let mut props = vec![prop("label", &control.id), prop("conclusion", control.conclusion.id())];
    props.extend(control.counts.columns().map(|(verdict, n)| prop(&verdict.id().replace('_', "-"), &n.to_string())));
    props.push(prop("scans-planned", &control.operation.planned.to_string()));
    props.extend(control.operation.columns().map(|(state, n)| prop(&format!("scans-{}", state.word().replace(' ', "-")), &n.to_string())));
    let mut methods = Vec::new();
    if !control.design.is_empty() {
        methods.push("TEST");
    }
    if methods.is_empty() || !control.records.is_empty() {
        methods.push("EXAMINE");
    }
    let evidence: Vec<Value> =
        control.pieces.iter().take(MAX_PIECES).map(|p| json!({"href": &*p.path, "description": text(&format!("{}: {}", p.number, p.title))})).collect();
    let mut observation = json!({
        "uuid": ids.of("summary", &[&control.id]),
        "title": line(&format!("{}: {}", control.id, control.title)),
        "description": text(&control.sentence),
        "props": props,
        "methods": methods,
        "types": ["control-objective"],
        "collected": format!("{}T00:00:00Z", paper.cover.as_of),
    });
    put(&mut observation, "relevant-evidence", evidence);
    if control.pieces.len() > MAX_PIECES {
        observation["remarks"] = format!("The first {MAX_PIECES} of {} pieces; pieces.csv of the bundle holds all.", control.pieces.len()).into();
    }
    observation
}

/// A rule that neither passes nor is not applicable on a host.
fn observation(paper: &Paper, r: &Outcome, uuid: &str, ids: &Ids) -> Value {
    let mut props = vec![prop("rule", &r.rule), prop("verdict", r.verdict.id())];
    if !r.subject.is_empty() {
        props.push(prop("subject", &r.subject));
    }
    let reason = r.reason.as_deref().map(|x| format!(" {}: {} {}", x.id, x.detail, x.remedy)).unwrap_or_default();
    let mut observation = json!({
        "uuid": uuid,
        "title": line(&format!("{} on {}", r.rule, r.name)),
        "description": text(&format!("{}: {}{reason}", r.verdict.word(), r.message)),
        "props": props,
        "methods": ["TEST"],
        "types": ["finding"],
        "subjects": [{"subject-uuid": ids.host(&r.host), "type": "inventory-item"}],
        "collected": r.confirmed.or(r.since).map_or_else(|| format!("{}T23:59:59Z", paper.cover.to), stamp),
    });
    if let Some(report) = r.report {
        observation["relevant-evidence"] = json!([{"href": layout::reports(&r.host), "description": format!("Signed report {report}")}]);
    }
    observation
}

/// An exception in the period.
fn risk(e: &Exception, uuid: &str) -> Value {
    let h = &e.handling;
    let status = match (e.verdict, e.resolved) {
        (_, Some(_)) => "closed",
        (Verdict::Waived, None) => "deviation-approved",
        _ => "open",
    };
    let mut props = vec![prop("verdict", e.verdict.id()), prop("first-seen", &stamp(e.first_seen)), prop("host-id", &e.host.to_string())];
    let more = [
        ("rule", e.rule.to_string()),
        ("subject", e.subject.to_string()),
        ("severity", e.severity.map_or("", |s| s.word()).into()),
        ("resolved", e.resolved.map(stamp).unwrap_or_default()),
        ("owner", h.owner.clone()),
        ("report", e.report.map(|d| d.to_string()).unwrap_or_default()),
    ];
    props.extend(more.iter().filter(|(_, value)| !value.trim().is_empty()).map(|(name, value)| prop(name, value)));
    let said = [("Cause", &h.cause), ("Resolution", &h.resolution), ("Waiver", &h.waiver)];
    let said: Vec<String> = said.iter().filter(|(_, text)| !text.is_empty()).map(|(name, text)| format!("{name}: {text}.")).collect();
    let what = if e.rule.is_empty() { format!("{} on {}", e.subject, e.name) } else { format!("{} on {}", e.rule, e.name) };
    let mut risk = json!({
        "uuid": uuid,
        "title": line(&what),
        "description": text(&e.message),
        "statement": text(&if said.is_empty() { "Nothing was recorded about it.".to_string() } else { said.join(" ") }),
        "props": props,
        "status": status,
    });
    if let Some(due) = h.due {
        risk["deadline"] = stamp(due).into();
    }
    risk
}

/// A control's conclusion. What nobody looked at is never satisfied.
fn finding(control: &ControlPaper, ids: &Ids, open: &Chosen<'_, Outcome>, risks: &Chosen<'_, Exception>) -> Value {
    let (state, reason) = match control.conclusion {
        Conclusion::NoExceptions => ("satisfied", "pass"),
        Conclusion::Exceptions => ("not-satisfied", "fail"),
        _ => ("not-satisfied", "other"),
    };
    let mut seen: Vec<String> = vec![ids.of("summary", &[&control.id])];
    seen.extend(control.results.iter().map(|r| ids.open(r)).filter(|uuid| open.chosen.contains_key(uuid)));
    let mut at_risk: Vec<String> = control.exceptions.iter().map(|e| ids.risk(e)).filter(|uuid| risks.chosen.contains_key(uuid)).collect();
    at_risk.dedup();
    let mut target = json!({
        "type": "objective-id",
        "target-id": token(&control.id),
        "status": {"state": state, "reason": reason, "remarks": control.conclusion.word()},
    });
    if control.conclusion == Conclusion::NotApplicable {
        target["implementation-status"] = json!({"state": "not-applicable"});
    }
    let mut finding = json!({
        "uuid": ids.of("finding", &[&control.id]),
        "title": line(&format!("{}: {}", control.id, control.title)),
        "description": text(&control.sentence),
        "props": [prop("label", &control.id), prop("conclusion", control.conclusion.id())],
        "target": target,
        "related-observations": seen.into_iter().map(|uuid| json!({"observation-uuid": uuid})).collect::<Vec<_>>(),
    });
    put(&mut finding, "related-risks", at_risk.into_iter().map(|uuid| json!({"risk-uuid": uuid})).collect());
    finding
}

/// The plan, and the tables with their digests.
fn resources(paper: &Paper, ids: &Ids, plan: &str) -> Vec<Value> {
    let cover = &paper.cover;
    let mut out = vec![json!({
        "uuid": plan,
        "title": line(&format!("{} {}, as tested by assay", cover.title, cover.version)),
        "rlinks": [{"href": layout::PAGE, "media-type": "text/html"}],
    })];
    let table = |l: &super::paper::List| {
        json!({
            "uuid": ids.of("table", &[&l.path]),
            "title": line(&l.path),
            "description": text(&l.query),
            "rlinks": [{"href": l.path, "media-type": "text/csv", "hashes": [{"algorithm": "SHA-256", "value": l.digest.to_string()}]}],
        })
    };
    out.extend(paper.lists.iter().map(table));
    out.push(json!({"uuid": ids.of("table", &[csv::LISTS]), "title": csv::LISTS, "rlinks": [{"href": csv::LISTS, "media-type": "text/csv"}]}));
    out
}

fn prop(name: &str, value: &str) -> Value {
    json!({"name": name, "ns": NAMESPACE, "value": line(value)})
}

/// A time as the model writes it.
fn stamp(seconds: i64) -> String {
    jiff::Timestamp::from_second(seconds).unwrap_or(jiff::Timestamp::UNIX_EPOCH).strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// Text that is never empty: the model asks for some.
fn text(text: &str) -> String {
    let text = visible(text);
    if text.trim().is_empty() { "nothing was said".into() } else { text.trim().to_string() }
}

/// One line that neither begins nor ends with a blank.
fn line(given: &str) -> String {
    text(given)
}

/// A control id as the model's token: it begins with a letter.
fn token(id: &str) -> String {
    if id.starts_with(|c: char| c.is_ascii_alphabetic()) { id.into() } else { format!("c-{id}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uuids_are_of_version_5_and_of_what_they_name() {
        let ids = Ids { bundle: "b".into() };
        let one = ids.of("risk", &["a", "b"]);
        assert_eq!(one, ids.of("risk", &["a", "b"]));
        assert_ne!(one, ids.of("risk", &["a", "c"]));
        assert_ne!(one, Ids { bundle: "c".into() }.of("risk", &["a", "b"]));
        let marks: Vec<char> = [14, 19].iter().map(|i| one.chars().nth(*i).unwrap()).collect();
        assert!(one.len() == 36 && marks[0] == '5' && matches!(marks[1], '8' | '9' | 'a' | 'b'), "{one}");
    }

    #[test]
    fn tokens_begin_with_a_letter() {
        assert_eq!([token("CC6.7"), token("5.15"), token("A.5.1")], ["CC6.7", "c-5.15", "A.5.1"]);
    }
}
