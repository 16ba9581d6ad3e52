//! What the public may see of a page: the sentences that the company chose, in its wording, whether each holds and since which day. No host, no
//! name, no count. Equal inputs give equal bytes.

use askama::Template;
use serde::Serialize;

use super::{Status, Truth};
use crate::rules::framework::Page;

/// Version of the document.
const FORMAT: &str = "assay.status.v1";

/// A page for the public.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Published {
    /// When the facts at hand were last looked at, Unix seconds; `None`: never.
    pub checked_at: Option<i64>,
    /// The ledger's signed checkpoint: whoever has an export can tell that it is of the same ledger.
    pub checkpoint: String,
    /// [`FORMAT`].
    pub format: &'static str,
    /// Sentences, in the order of the page.
    pub sentences: Vec<Sentence>,
    /// Title of the page.
    pub title: String,
    /// Its version.
    pub version: String,
}

/// One sentence.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Sentence {
    /// `yes`, `no` or `unknown`: what is not known to hold is not said to.
    pub holds: &'static str,
    /// Its id on the page.
    pub id: String,
    /// Since which day, `YYYY-MM-DD`; `None`: as long as anything is known.
    pub since: Option<String>,
    /// The company's wording.
    pub wording: String,
}

#[derive(Template)]
#[template(path = "status.html")]
struct StatusPage<'a> {
    page: &'a Published,
    checked: Option<String>,
    holding: usize,
    origin: &'a str,
    size: &'a str,
}

impl Published {
    /// What of a page is published, as it stands.
    pub fn of(page: &Page, statuses: &[Status], checked_at: Option<i64>, checkpoint: &str) -> Self {
        let sentence = |status: &Status| {
            let wording = page.published.get(&status.id)?;
            let holds = match status.truth {
                Truth::True => "yes",
                Truth::False => "no",
                Truth::Unknown | Truth::NoRecord => "unknown",
            };
            Some(Sentence { holds, id: status.id.clone(), since: status.since.and_then(|at| time(at, "%F")), wording: wording.clone() })
        };
        Self {
            checked_at,
            checkpoint: checkpoint.into(),
            format: FORMAT,
            sentences: statuses.iter().filter_map(sentence).collect(),
            title: page.framework.title.clone(),
            version: page.framework.version.clone(),
        }
    }

    /// `status.json`.
    pub fn json(&self) -> Result<String, serde_json::Error> {
        Ok(serde_json::to_string_pretty(self)? + "\n")
    }

    /// `index.html`: one file, no script.
    pub fn html(&self) -> Result<String, askama::Error> {
        let mut lines = self.checkpoint.lines();
        let (origin, size) = (lines.next().unwrap_or_default(), lines.next().unwrap_or_default());
        let holding = self.sentences.iter().filter(|s| s.holds == "yes").count();
        StatusPage { page: self, checked: self.checked_at.and_then(|at| time(at, "%-d %B %Y, %R UTC")), holding, origin, size }.render()
    }
}

impl Sentence {
    /// The day as people read it.
    fn day(&self) -> Option<String> {
        let date: jiff::civil::Date = self.since.as_deref()?.parse().ok()?;
        Some(date.strftime("%-d %B %Y").to_string())
    }

    /// What people read first.
    fn word(&self) -> &'static str {
        match self.holds {
            "yes" => "Holds",
            "no" => "Does not hold",
            _ => "Not confirmed",
        }
    }
}

fn time(at: i64, format: &str) -> Option<String> {
    Some(jiff::Timestamp::from_second(at).ok()?.strftime(format).to_string())
}
