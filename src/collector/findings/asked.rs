//! What an address asks of the list of findings: the same words on pages and over the API.
//!
//! ```text
//! verdict=fail|unknown|waived|pass|not_applicable|not_run|all      without it: fail and unknown
//! severity= area= rule= control=FRAMEWORK:CONTROL host=ID owner=NAME|(nobody) label=
//! age=week|month|quarter|older  due=overdue  baseline=new|known  cause=HEX  q=WORDS
//! view=groups|list  after=PLACE  page=NUMBER
//! ```

use std::collections::BTreeSet;

use crate::collector::cause::CauseId;
use crate::collector::store::{Cursor, OpenFilter, Store, StoreError, Word};
use crate::collector::ui::site::Catalogue;
use crate::collector::ui::text::shown;
use crate::model::finding::{Severity, Verdict};
use crate::model::ids::{HostId, hex_decode, hex_encode};
use crate::records::value::DAY;

/// Stands for nobody where an owner is named.
pub const NOBODY: &str = "(nobody)";
/// Longest text that is searched for, characters.
const MAX_SEARCH: usize = 200;
/// Most words that are searched for.
const MAX_WORDS: usize = 8;
/// Highest page of root causes.
const MAX_PAGE: u32 = 1_000;
/// Ages that can be asked for: word, from so many days, to so many days (0: without end).
pub const AGES: [(&str, &str, i64, i64); 4] =
    [("week", "under 7 days", 0, 7), ("month", "7 to 30 days", 7, 30), ("quarter", "30 to 90 days", 30, 90), ("older", "over 90 days", 90, 0)];

/// Parameters that narrow open findings alone.
pub const OPEN_ONLY: [&str; 5] = ["owner", "age", "due", "baseline", "cause"];

/// Which kind of verdicts are listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shown {
    /// Open ones: `fail`, `unknown`, `waived`, as the filter says.
    Open,
    /// Of any verdict, or of this one: `pass`, `not_applicable`.
    Any(Option<Verdict>),
    /// What was never judged.
    NotRun,
}

/// How they are listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum View {
    /// By root cause when there are many, else one by one.
    Fitting,
    /// By root cause.
    Groups,
    /// One by one.
    List,
}

/// What is asked for.
#[derive(Clone, Debug)]
pub struct Asked {
    /// Which kind.
    pub shown: Shown,
    /// Which of them.
    pub filter: OpenFilter,
    /// How.
    pub view: View,
    /// Behind which one the page begins.
    pub after: Option<Cursor>,
    /// Which page of root causes, from 1.
    pub page: u32,
    /// The text that is searched for.
    pub search: String,
    /// Whether anything but the verdict narrows the list.
    pub is_narrowed: bool,
}

/// Why nothing can be answered.
#[derive(Debug, thiserror::Error)]
pub enum AskedError {
    /// One sentence for who asked.
    #[error("{0}")]
    Bad(String),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Asked {
    /// Reads the parameters of an address as seen from `at` (Unix seconds); `is_past`: a past day is looked at.
    pub async fn read(store: &Store, catalogue: &Catalogue, pairs: &[(String, String)], at: i64, is_past: bool) -> Result<Self, AskedError> {
        let value = |name: &str| pairs.iter().find(|(n, _)| n == name).map_or("", |(_, v)| v.trim());
        let (shown_kind, verdicts) = verdicts(value("verdict"))?;
        let search: String = value("q").chars().take(MAX_SEARCH).collect();
        let mut filter = OpenFilter { at, verdicts, words: words(catalogue, &search), ..OpenFilter::default() };
        filter.severity = some(value("severity")).map(severity).transpose()?;
        filter.area = some(value("area")).map(area).transpose()?;
        filter.rules = rules(catalogue, value("rule"), value("control"))?;
        filter.hosts = some(value("host"))
            .map(|text| text.parse::<HostId>().map(|id| vec![id]).map_err(|_| bad(format!("“{}” is no host id.", shown(text)))))
            .transpose()?;
        filter.owner = some(value("owner")).map(|owner| if owner == NOBODY { String::new() } else { owner.to_string() });
        filter.label = some(value("label")).map(str::to_string);
        age(&mut filter, value("age"))?;
        filter.overdue = match value("due") {
            "" => false,
            "overdue" => true,
            other => return Err(bad(format!("“{}” is no state of a due date; use overdue.", shown(other)))),
        };
        filter.cause = some(value("cause")).map(cause).transpose()?;
        baseline(store, &mut filter, value("baseline"), is_past).await?;
        if let Some(name) = OPEN_ONLY.into_iter().find(|name| shown_kind != Shown::Open && !value(name).is_empty()) {
            return Err(bad(format!("{name} is told of open findings alone: leave it out, or list fail, unknown or waived.")));
        }
        let view = match value("view") {
            "" => View::Fitting,
            "groups" => View::Groups,
            "list" => View::List,
            other => return Err(bad(format!("“{}” is no view; use groups or list.", shown(other)))),
        };
        let page = some(value("page")).map_or(Ok(1), |text| text.parse().map_err(|_| bad(format!("“{}” is no number of a page.", shown(text)))))?;
        let is_narrowed = pairs.iter().any(|(n, v)| !v.is_empty() && !["verdict", "view", "after", "page", "done"].contains(&n.as_str()));
        let after = some(value("after")).map(|text| cursor(text).ok_or_else(|| bad("The page can’t be found; begin with the first.".into()))).transpose()?;
        Ok(Self { shown: shown_kind, filter, view, after, page: page.clamp(1, MAX_PAGE), search, is_narrowed })
    }
}

fn bad(text: String) -> AskedError {
    AskedError::Bad(text)
}

fn some(text: &str) -> Option<&str> {
    (!text.is_empty()).then_some(text)
}

fn verdicts(word: &str) -> Result<(Shown, Vec<Verdict>), AskedError> {
    Ok(match word {
        "" => (Shown::Open, vec![Verdict::Fail, Verdict::Unknown]),
        "all" => (Shown::Any(None), Vec::new()),
        id => match Verdict::from_id(id) {
            Some(verdict @ (Verdict::Pass | Verdict::NotApplicable)) => (Shown::Any(Some(verdict)), vec![verdict]),
            Some(Verdict::NotRun) => (Shown::NotRun, Vec::new()),
            Some(verdict) => (Shown::Open, vec![verdict]),
            None => return Err(bad(format!("“{}” is no verdict; use fail, unknown, waived, pass, not_applicable, not_run or all.", shown(id)))),
        },
    })
}

fn severity(word: &str) -> Result<Severity, AskedError> {
    word.parse().map_err(|_| bad(format!("“{}” is no severity; use critical, high, medium, low or info.", shown(word))))
}

fn area(word: &str) -> Result<String, AskedError> {
    let is_word = word.len() <= 40 && word.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit());
    if is_word { Ok(word.into()) } else { Err(bad(format!("“{}” is no area of rules.", shown(word)))) }
}

/// The rules that a rule and a control leave; `None`: neither is named.
fn rules(catalogue: &Catalogue, rule: &str, control: &str) -> Result<Option<Vec<String>>, AskedError> {
    if control.is_empty() {
        return Ok(some(rule).map(|rule| vec![rule.to_string()]));
    }
    let found = control.split_once(':').and_then(|(framework, id)| {
        let framework = catalogue.frameworks.iter().find(|f| f.id == framework)?;
        framework.controls.iter().find(|c| c.id == id)
    });
    let found = found.ok_or_else(|| bad(format!("“{}” is no control; write FRAMEWORK:CONTROL.", shown(control))))?;
    let own: BTreeSet<&String> = found.rules.iter().collect();
    Ok(Some(own.into_iter().filter(|r| rule.is_empty() || *r == rule).cloned().collect()))
}

fn age(filter: &mut OpenFilter, word: &str) -> Result<(), AskedError> {
    if word.is_empty() {
        return Ok(());
    }
    let (_, _, from, to) =
        AGES.into_iter().find(|(id, ..)| *id == word).ok_or_else(|| bad(format!("“{}” is no age; use week, month, quarter or older.", shown(word))))?;
    filter.since_to = (from > 0).then(|| filter.at.saturating_sub(from * DAY));
    filter.since_from = (to > 0).then(|| filter.at.saturating_sub(to * DAY));
    Ok(())
}

/// The root cause that an address carries.
pub fn cause(text: &str) -> Result<CauseId, AskedError> {
    let wrong = || bad("The root cause can’t be read; open it from the list.".into());
    hex_decode(text).and_then(|bytes| bytes.try_into().ok()).ok_or_else(wrong)
}

async fn baseline(store: &Store, filter: &mut OpenFilter, word: &str, is_past: bool) -> Result<(), AskedError> {
    let is_new = match word {
        "" => return Ok(()),
        "new" => true,
        "known" => false,
        other => return Err(bad(format!("“{}” is neither new nor known.", shown(other)))),
    };
    if is_past {
        return Err(bad("What is new since a baseline is told for now, not for a past day.".into()));
    }
    let taken = store.baseline(filter.at).await?.map_or(i64::MIN, |(at, _)| at);
    if is_new {
        filter.news_since = Some(taken)
    } else {
        filter.known_since = Some(taken)
    }
    Ok(())
}

fn words(catalogue: &Catalogue, search: &str) -> Vec<Word> {
    let word = |text: &str| Word {
        rules: catalogue.rules.values().filter(|r| r.title.to_lowercase().contains(text)).map(|r| r.id.clone()).collect(),
        text: text.to_string(),
    };
    search.to_lowercase().split_whitespace().take(MAX_WORDS).map(word).collect()
}

/// A place in a list as an address carries it: `fail:1:RULE:HOST:SUBJECT`.
pub fn place(cursor: &Cursor) -> String {
    format!("{}:{}:{}:{}:{}", cursor.verdict.id(), cursor.rank, cursor.rule, cursor.host, cursor.subject)
}

fn cursor(text: &str) -> Option<Cursor> {
    let mut parts = text.splitn(5, ':');
    Some(Cursor {
        verdict: Verdict::from_id(parts.next()?)?,
        rank: parts.next()?.parse().ok()?,
        rule: parts.next()?.into(),
        host: parts.next()?.parse().ok()?,
        subject: parts.next()?.into(),
    })
}

/// A root cause as an address carries it.
pub fn cause_text(cause: &CauseId) -> String {
    hex_encode(cause)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_comes_back_whatever_the_subject() {
        for subject in ["", "0.0.0.0:22/tcp", "a:b:c", "é\n"] {
            let at = Cursor { verdict: Verdict::Fail, rank: 1, rule: "tls-version-minimum".into(), host: HostId::new([7; 32]), subject: subject.into() };
            assert_eq!(cursor(&place(&at)), Some(at));
        }
        for wrong in ["", "fail", "fail:x:r:00:s", "nothing:1:r:00:s", "fail:1:r:00"] {
            assert_eq!(cursor(wrong), None, "{wrong}");
        }
    }
}
