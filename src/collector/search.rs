//! One search for everything: hosts, rules, findings, people, records, promises. Each kind is looked through by an index or within a bound,
//! and the answer says what was looked through and what was cut.

use schemars::JsonSchema;
use serde::Serialize;

use super::records::Book;
use super::store::{Store, StoreError};
use super::ui::site::Catalogue;
use crate::model::finding::Verdict;
use crate::model::ids::HostId;
use crate::model::roster::Roster;

/// Hits of one kind; more are said to be there.
pub const MOST_OF_A_KIND: usize = 20;
/// Longest text that is searched for, characters.
pub const MAX_TEXT: usize = 200;
/// Shortest text that findings are searched for, characters: a letter is in all of them.
const MIN_SUBJECT: usize = 2;
/// Events of records that are looked through, the newest.
const MOST_EVENTS: usize = 50_000;

/// What was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(rename = "HitKind")]
pub enum Kind {
    /// A host, by its name or id.
    Host,
    /// A rule, by its id or title.
    Rule,
    /// A failure or something that can't be told, by the beginning of its subject.
    Finding,
    /// A person of the roster.
    Person,
    /// An entry of a register.
    Record,
    /// A record type.
    RecordType,
    /// A control of a framework or a sentence of a page.
    Control,
}

impl Kind {
    /// The heading people see.
    pub const fn heading(self) -> &'static str {
        match self {
            Self::Host => "Hosts",
            Self::Rule => "Rules",
            Self::Finding => "Findings",
            Self::Person => "People",
            Self::Record => "Records",
            Self::RecordType => "Registers",
            Self::Control => "Controls and commitments",
        }
    }
}

/// One thing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Hit {
    /// What it is called.
    pub title: String,
    /// What tells it apart; may be empty.
    pub detail: String,
    /// Where its page is.
    pub path: String,
    /// The verdict of a finding.
    pub verdict: Option<Verdict>,
}

/// Hits of one kind.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Hits {
    /// What they are.
    pub kind: Kind,
    /// What was compared, a few words.
    pub searched: String,
    /// At most twenty.
    pub hits: Vec<Hit>,
    /// Whether there are more.
    pub is_cut: bool,
}

impl Hits {
    fn new(kind: Kind, searched: &str, mut hits: Vec<Hit>) -> Self {
        let is_cut = hits.len() > MOST_OF_A_KIND;
        hits.truncate(MOST_OF_A_KIND);
        Self { kind, searched: searched.into(), hits, is_cut }
    }
}

/// What is looked through.
#[derive(Clone, Copy, Debug)]
pub struct Places<'a> {
    /// The store.
    pub store: &'a Store,
    /// Rules, frameworks, pages.
    pub catalogue: &'a Catalogue,
    /// The roster in force.
    pub roster: Option<&'a Roster>,
    /// As of when records are read, Unix seconds.
    pub at: i64,
}

/// Everything that a text finds, kind by kind; of several words every one must be there. Nothing for an empty text.
pub async fn search(places: Places<'_>, text: &str) -> Result<Vec<Hits>, StoreError> {
    let text: String = text.trim().chars().take(MAX_TEXT).collect();
    let words: Vec<String> = text.to_lowercase().split_whitespace().map(String::from).collect();
    if words.is_empty() {
        return Ok(Vec::new());
    }
    Ok(vec![
        hosts(places.store, &text).await?,
        Hits::new(Kind::Rule, "ids and titles", rules(places.catalogue, &words)),
        findings(places, &text).await?,
        people(places.roster, &words),
        records(places, &words).await?,
        Hits::new(Kind::RecordType, "ids and titles", types(&words)?),
        Hits::new(Kind::Control, "ids and titles of frameworks and pages", controls(places.catalogue, &words)),
    ])
}

fn has(words: &[String], text: &str) -> bool {
    let text = text.to_lowercase();
    words.iter().all(|word| text.contains(word.as_str()))
}

fn hit(title: impl Into<String>, detail: impl Into<String>, path: String) -> Hit {
    Hit { title: title.into(), detail: detail.into(), path, verdict: None }
}

async fn hosts(store: &Store, text: &str) -> Result<Hits, StoreError> {
    let mut found = store.hosts_named(text, MOST_OF_A_KIND as u32 + 1).await?;
    if let Ok(id) = text.parse::<HostId>()
        && let Some(host) = store.host(&id).await?
    {
        found.insert(0, (id, host.name));
    }
    let hits = found.into_iter().map(|(id, name)| hit(name, id.to_string().chars().take(12).collect::<String>(), format!("/hosts/{id}"))).collect();
    Ok(Hits::new(Kind::Host, "names, and whole ids", hits))
}

fn rules(catalogue: &Catalogue, words: &[String]) -> Vec<Hit> {
    let found = catalogue.rules.values().filter(|r| has(words, &format!("{} {}", r.id, r.title)));
    found.map(|r| hit(&r.title, &r.id, format!("/findings?verdict=all&rule={}", super::ui::text::encode(&r.id)))).collect()
}

async fn findings(places: Places<'_>, text: &str) -> Result<Hits, StoreError> {
    if text.chars().count() < MIN_SUBJECT {
        return Ok(Hits::new(Kind::Finding, "nothing: write two letters or more", Vec::new()));
    }
    let mut hits = Vec::new();
    for (host, rule, subject, verdict) in places.store.findings_about(text, MOST_OF_A_KIND as u32 + 1).await? {
        let name = places.store.host(&host).await?.map_or_else(String::new, |h| h.name);
        let encode = super::ui::text::encode;
        let path = format!("/findings/{host}/{}?subject={}", encode(&rule), encode(&subject));
        hits.push(Hit { verdict: Some(verdict), ..hit(subject, format!("{} · {name}", places.catalogue.title(&rule)), path) });
    }
    Ok(Hits::new(Kind::Finding, "what fails or can’t be told now, by the beginning of its subject, case as written", hits))
}

fn people(roster: Option<&Roster>, words: &[String]) -> Hits {
    let Some(roster) = roster else { return Hits::new(Kind::Person, "nothing: no roster is here", Vec::new()) };
    let text = |p: &crate::model::roster::Person| format!("{} {} {} {}", p.person, p.full_name, p.email, p.accounts.join(" "));
    let found = roster.people.iter().filter(|p| has(words, &text(p))).take(MOST_OF_A_KIND + 1);
    let path = |p: &crate::model::roster::Person| format!("/people?q={}", super::ui::text::encode(&p.person));
    let hits = found.map(|p| hit(&p.person, if p.ended_at.is_some() { format!("{} · left", p.full_name) } else { p.full_name.clone() }, path(p)));
    Hits::new(Kind::Person, "names, accounts and addresses of the roster in force", hits.collect())
}

async fn records(places: Places<'_>, words: &[String]) -> Result<Hits, StoreError> {
    let mut book = Book::read(places.store).await?;
    let left_out = book.events.len().saturating_sub(MOST_EVENTS);
    book.events.drain(..left_out);
    let mut hits = Vec::new();
    for kind in book.types {
        for entry in book.entries(kind, places.at) {
            let values: Vec<&str> = entry.fields.values().map(String::as_str).collect();
            if hits.len() <= MOST_OF_A_KIND && has(words, &format!("{} {} {} {}", kind.title, entry.subject, entry.id, values.join(" "))) {
                let title = if entry.subject.is_empty() { kind.title.clone() } else { entry.subject.clone() };
                hits.push(hit(title, format!("{} · recorded by {}", kind.title, entry.added.by), format!("/registers/{}/{}", kind.id, entry.id)));
            }
        }
    }
    let searched =
        if left_out > 0 { format!("the newest {MOST_EVENTS} events, {left_out} older ones not") } else { "subjects and values of all entries".into() };
    Ok(Hits::new(Kind::Record, &searched, hits))
}

fn types(words: &[String]) -> Result<Vec<Hit>, StoreError> {
    let found = super::records::carried()?.iter().filter(|k| has(words, &format!("{} {}", k.id, k.title)));
    Ok(found.map(|k| hit(&k.title, &k.id, format!("/registers/{}", k.id))).collect())
}

fn controls(catalogue: &Catalogue, words: &[String]) -> Vec<Hit> {
    let mut out = Vec::new();
    for framework in &catalogue.frameworks {
        let base = if framework.is_page { format!("/commitments/{}", framework.id) } else { format!("/evidence?framework={}", framework.id) };
        let found = framework.controls.iter().filter(|c| has(words, &format!("{} {} {}", framework.title, c.id, c.title)));
        out.extend(found.map(|c| hit(format!("{} {}", c.id, c.title), &framework.title, format!("{base}#{}", super::ui::text::encode(&c.id)))));
    }
    out
}
