//! What people order about findings: who deals with them, until when, why they are accepted, that they were looked through. Each becomes records; what
//! lists show of it follows in the same transaction.

use std::collections::BTreeMap;

use super::export;
use super::source::Source;
use crate::collector::records::{self as desk, Order};
use crate::collector::store::{HostFilter, OpenFilter, OpenFinding, RecordError, Store, StoreError};
use crate::collector::ui::site::Catalogue;
use crate::host::clock;
use crate::model::finding::Verdict;
use crate::records::event::Action;
use crate::records::scope::line_of;
use crate::records::types::{self, BASELINE, HANDLING, REVIEW_SIGN_OFFS, WAIVER};
use crate::records::value::{MAX_LINE, MAX_TEXT, day_of};
use crate::records::{RecordType, Recorded, Refusal, Scope, entries};

/// Most findings that one order is about.
pub const MAX_PICKED: usize = 5_000;
/// Fields of the handling that an order may fill.
pub const HANDLED: [&str; 7] = ["owner", "due", "due_days", "severity", "cause", "resolution", "note"];
/// Most hosts that one label may name in a waiver.
pub const MAX_LABELLED: usize = 1_000;

/// A record type of the program.
pub fn kind(id: &str) -> Result<&'static RecordType, RecordError> {
    types::find(desk::carried()?, id).ok_or_else(|| Refusal::UnknownType(id.into()).into())
}

/// The open findings of a filter that an order is about; a refusal when there are none or too many.
pub async fn picked(store: &Store, filter: &OpenFilter) -> Result<Vec<OpenFinding>, RecordError> {
    let limit = u32::try_from(MAX_PICKED + 1).unwrap_or(u32::MAX);
    let rows = store.open_findings(filter, None, limit).await?;
    match rows.len() {
        0 => Err(Refusal::Value("no open finding was picked: tick some, or all of the list".into()).into()),
        n if n > MAX_PICKED => {
            Err(Refusal::Value(format!("more than {MAX_PICKED} findings are picked: make a standing order for the rule, or narrow the list")).into())
        }
        _ => Ok(rows),
    }
}

/// The scopes that name exactly these findings: one a rule, more when the names are too long for one.
pub fn scopes(picked: &[OpenFinding]) -> Vec<Scope> {
    let mut by_rule: BTreeMap<&str, Vec<(String, String)>> = BTreeMap::new();
    for row in picked {
        by_rule.entry(&row.rule).or_default().push((row.name.clone(), row.subject.clone()));
    }
    let mut out = Vec::new();
    for (rule, mut places) in by_rule {
        places.sort_unstable();
        places.dedup();
        let mut chunk: Vec<(String, String)> = Vec::new();
        let mut length = 0;
        for (host, subject) in places {
            let own = line_of(&host, &subject).chars().count() + 1;
            if length + own > MAX_TEXT && !chunk.is_empty() {
                out.push(scope(rule, std::mem::take(&mut chunk)));
                length = 0;
            }
            length += own;
            chunk.push((host, subject));
        }
        out.push(scope(rule, chunk));
    }
    out
}

/// The plainest scope of some places.
fn scope(rule: &str, places: Vec<(String, String)>) -> Scope {
    if let [(host, subject)] = places.as_slice()
        && [host, subject].iter().all(|t| is_plain(t))
        && !host.is_empty()
    {
        return Scope { rule: rule.into(), host: host.clone(), subject: subject.clone(), ..Scope::default() };
    }
    Scope { rule: rule.into(), places, ..Scope::default() }
}

/// Whether a name can stand where a pattern does and mean itself alone.
fn is_plain(text: &str) -> bool {
    !text.contains('*') && text.trim() == text && !text.chars().any(char::is_control) && text.chars().count() <= MAX_LINE
}

/// Says the same of each of these scopes: who deals with the findings, until when, why, how it ended, anything else.
pub async fn handle(store: &Store, scopes: Vec<Scope>, said: &BTreeMap<String, String>, by: &str) -> Result<Vec<Recorded>, RecordError> {
    let said = handled(said)?;
    let order = |scope: Scope| Order { fields: scope.fields().into_iter().chain(said.clone()).collect(), by: by.into(), ..Order::default() };
    desk::record_all(store, kind(HANDLING)?, Action::Add, scopes.into_iter().map(order).collect()).await
}

/// Says something of one finding: the entry that is about it alone goes on, or begins.
pub async fn handle_one(store: &Store, row: (&str, &str, &str), said: &BTreeMap<String, String>, by: &str) -> Result<Recorded, RecordError> {
    let (host, rule, subject) = row;
    let own = scope(rule, vec![(host.into(), subject.into())]);
    let events = store.decisions(rule).await?;
    let known = entries(events.iter().filter(|r| r.event.record == HANDLING), i64::MAX);
    let known = known.into_iter().find(|e| e.is_open() && Scope::of(e) == own && e.value("severity").is_empty()).map(|e| e.id);
    let said = handled(said)?;
    let (action, fields) = match known {
        Some(_) => (Action::Change, said),
        None => (Action::Add, own.fields().into_iter().chain(said).collect()),
    };
    desk::record(store, kind(HANDLING)?, action, Order { entry: known, fields, by: by.into(), ..Order::default() }).await
}

/// The values that were given; a refusal when there are none.
fn handled(said: &BTreeMap<String, String>) -> Result<BTreeMap<String, String>, RecordError> {
    let given: BTreeMap<String, String> =
        said.iter().filter(|(name, value)| HANDLED.contains(&name.as_str()) && !value.trim().is_empty()).map(|(n, v)| (n.clone(), v.clone())).collect();
    if given.keys().all(|name| name == "severity") {
        return Err(Refusal::Value("nothing is said: give an owner, a day, a cause, a resolution or a note".into()).into());
    }
    Ok(given)
}

/// A scope with the hosts that have a label now, by name. Who is labelled later is not meant: what a second person approves is what was shown.
pub async fn labelled(store: &Store, scope: Scope, label: &str, at: i64) -> Result<Scope, RecordError> {
    if label.trim().is_empty() {
        return Ok(scope);
    }
    let limit = u32::try_from(MAX_LABELLED + 1).unwrap_or(u32::MAX);
    let filter = HostFilter { as_of: Some(at), counts: Some(true), labels: vec![("label".into(), label.trim().into())], limit, ..HostFilter::default() };
    let hosts = store.hosts_where(&filter).await?;
    match hosts.len() {
        0 => Err(Refusal::Value(format!("no host has the label {label:?}")).into()),
        n if n > MAX_LABELLED => Err(Refusal::Value(format!("more than {MAX_LABELLED} hosts have the label {label:?}: name them by a pattern")).into()),
        _ => Ok(Scope { hosts: sorted(hosts.into_iter().map(|h| h.name).collect()), label: label.trim().into(), ..scope }),
    }
}

fn sorted(mut names: Vec<String>) -> Vec<String> {
    names.sort_unstable();
    names.dedup();
    names
}

/// Why some failures are accepted, and until when.
#[derive(Clone, Debug, Default)]
pub struct Reasons {
    /// Why.
    pub reason: String,
    /// What holds the risk down meanwhile.
    pub control: String,
    /// Last day, `YYYY-MM-DD`.
    pub expires: String,
}

/// Asks for a waiver of each scope: all of them or none.
pub async fn ask(store: &Store, scopes: Vec<Scope>, why: &Reasons, by: &str) -> Result<Vec<Recorded>, RecordError> {
    let values = [("reason", &why.reason), ("control", &why.control), ("expires", &why.expires)].map(|(name, value)| (name.to_string(), value.clone()));
    let order = |scope: Scope| Order { fields: scope.fields().into_iter().chain(values.clone()).collect(), by: by.into(), ..Order::default() };
    desk::record_all(store, kind(WAIVER)?, Action::Add, scopes.into_iter().map(order).collect()).await
}

/// Takes a baseline: what is open now is known from now on.
pub async fn take_baseline(store: &Store, name: &str, note: &str, by: &str) -> Result<Recorded, RecordError> {
    let fields = [("name", name), ("note", note)].into_iter().filter(|(_, v)| !v.trim().is_empty()).map(|(n, v)| (n.to_string(), v.to_string())).collect();
    desk::record(store, kind(BASELINE)?, Action::Add, Order { fields, by: by.into(), ..Order::default() }).await
}

/// What a person says who looked through a list.
#[derive(Clone, Debug, Default)]
pub struct Review {
    /// Which hosts, controls and period were looked at.
    pub scope: String,
    /// What was decided, by whom until when.
    pub decision: String,
    /// What was seen, beside the counts.
    pub seen: String,
}

/// Signs that a list of findings was looked through: a review of results, with the list as its file.
pub async fn sign_off(store: &Store, catalogue: &Catalogue, filter: &OpenFilter, review: &Review, by: &str) -> Result<Recorded, RecordError> {
    let source = Source::Now(store);
    let rows = source.rows(filter, None, export::MOST).await?;
    let file = export::csv(&rows, catalogue).map_err(|e| StoreError::Database(e.to_string()))?;
    let count = |verdict| rows.iter().filter(|row| row.verdict == verdict).count();
    let counts = [Verdict::Fail, Verdict::Unknown, Verdict::Waived].map(|v| format!("{} {}", count(v), v.word()));
    let cut = if rows.len() >= export::MOST as usize { ", the first of more" } else { "" };
    let seen = format!("{} findings{cut}: {}. {}", rows.len(), counts.join(", "), review.seen.trim());
    let fields = [
        ("reviewed_on", day_of(clock::unix_now()).to_string()),
        ("scope", review.scope.clone()),
        ("reviewer", by.to_string()),
        ("seen", seen.trim().to_string()),
        ("decision", review.decision.clone()),
    ];
    let fields = fields.into_iter().map(|(n, v)| (n.to_string(), v)).collect();
    desk::record(store, kind(REVIEW_SIGN_OFFS)?, Action::Add, Order { fields, files: vec![("findings.csv".into(), file)], by: by.into(), ..Order::default() })
        .await
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::finding::Severity;
    use crate::model::ids::HostId;

    fn open(rule: &str, name: &str, subject: &str) -> OpenFinding {
        OpenFinding {
            host: HostId::new([1; 32]),
            name: name.into(),
            rule: rule.into(),
            subject: subject.into(),
            verdict: Verdict::Fail,
            severity: Severity::High,
            since: 0,
            changed: 0,
            cause: [0; 16],
            message: String::new(),
            owner: String::new(),
            due: None,
            waiver: None,
        }
    }

    #[test]
    fn picked_findings_are_named_exactly_and_none_besides() {
        let all = [open("r", "web01", "x"), open("r", "web02", ""), open("s", "web*", "*"), open("t", "db01", "/srv")];
        let scopes = scopes(&all);
        assert_eq!(scopes.len(), 3);
        let covers = |host: &str, rule: &str, subject: &str| scopes.iter().any(|s| s.covers(host, rule, subject));
        assert!(all.iter().all(|row| covers(&row.name, &row.rule, &row.subject)));
        for (host, rule, subject) in
            [("web01", "r", ""), ("web02", "r", "x"), ("web01", "s", "*"), ("web*", "s", "y"), ("db01", "t", "/srv/x"), ("db01", "r", "/srv")]
        {
            assert!(!covers(host, rule, subject), "{host} {rule} {subject}");
        }
    }

    #[test]
    fn what_is_too_long_for_one_record_becomes_several() {
        let many: Vec<OpenFinding> = (0..2_000).map(|n| open("r", &format!("host-{n:05}.example.org"), "0.0.0.0:443/tcp")).collect();
        let scopes = scopes(&many);
        assert!(scopes.len() > 1 && scopes.iter().all(|s| s.fields()["places"].chars().count() <= MAX_TEXT));
        assert_eq!(scopes.iter().map(|s| s.places.len()).sum::<usize>(), 2_000);
    }
}
