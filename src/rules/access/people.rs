//! Who is who: people of the roster, and how an account or a key is recognised as theirs.
//!
//! Each way of recognising has a strength. A leaver is not charged with what belongs more surely
//! to somebody who still works here (two people of one name, a colleague's key in an old account).

use std::collections::{BTreeMap, BTreeSet};

use crate::model::roster::Roster;

/// How surely something belongs to a person, weakest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum By {
    /// Full name.
    FullName,
    /// Account name, also in front of the `@` of a key comment.
    Account,
    /// E-mail address.
    Email,
    /// Key comment that the roster names.
    KeyComment,
    /// Fingerprint that the roster names.
    Fingerprint,
}

impl By {
    /// Word of `Way::matched_by`.
    pub const fn word(self) -> &'static str {
        match self {
            Self::FullName => "full name",
            Self::Account => "account",
            Self::Email => "email",
            Self::KeyComment => "key comment",
            Self::Fingerprint => "key fingerprint",
        }
    }
}

/// One human being; several lines of the roster may speak of the same.
#[derive(Debug)]
pub struct Individual {
    /// Name in findings.
    pub person: String,
    /// First second after the last day of the last employment; `None`: still employed.
    pub ended_at: Option<i64>,
}

/// Index of the roster.
#[derive(Debug, Default)]
pub struct People {
    /// By person.
    pub individuals: Vec<Individual>,
    accounts: BTreeMap<String, BTreeSet<usize>>,
    emails: BTreeMap<String, BTreeSet<usize>>,
    keys: BTreeMap<String, BTreeSet<usize>>,
    full_names: BTreeMap<String, BTreeSet<usize>>,
}

/// Individual -> strongest way of recognising.
pub type Owners = BTreeMap<usize, By>;

/// Account names that say nothing about a person when they stand in a key comment.
const GENERIC: [&str; 8] = ["root", "admin", "administrator", "user", "ubuntu", "debian", "ec2-user", "pi"];
/// Longest full name, words.
const NAME_WORDS: usize = 6;
/// Most words of a comment that are compared.
const COMMENT_WORDS: usize = 64;

impl People {
    /// Lines of one `person` become one individual; one open or future end keeps them employed.
    pub fn new(roster: &Roster, now: i64) -> Self {
        let mut people = Self::default();
        let mut known: BTreeMap<String, usize> = BTreeMap::new();
        for line in &roster.people {
            let key = line.person.to_lowercase();
            let ended_at = line.ended_at.filter(|at| *at <= now);
            let index = match known.get(&key) {
                Some(index) => {
                    if let Some(individual) = people.individuals.get_mut(*index) {
                        individual.ended_at = individual.ended_at.zip(ended_at).map(|(a, b)| a.max(b));
                    }
                    *index
                }
                None => {
                    people.individuals.push(Individual { person: line.person.clone(), ended_at });
                    known.insert(key.clone(), people.individuals.len() - 1);
                    people.individuals.len() - 1
                }
            };
            people.accounts.entry(key).or_default().insert(index);
            for account in &line.accounts {
                people.accounts.entry(account.to_lowercase()).or_default().insert(index);
            }
            if !line.email.is_empty() {
                people.emails.entry(line.email.to_lowercase()).or_default().insert(index);
            }
            for key in &line.keys {
                people.keys.entry(key_name(key)).or_default().insert(index);
            }
            let name = words(&line.full_name);
            // One word alone (a first name) says too little.
            if name.len() > 1 {
                people.full_names.entry(name.join(" ")).or_default().insert(index);
            }
        }
        people
    }

    /// Whether the individual is employed.
    pub fn is_current(&self, index: usize) -> bool {
        self.individuals.get(index).is_some_and(|i| i.ended_at.is_none())
    }

    /// Whoever a list means by this name: person, account, e-mail address or full name.
    pub fn named(&self, text: &str) -> Owners {
        let mut owners = Owners::new();
        let name = text.trim().to_lowercase();
        note(&mut owners, self.accounts.get(&name), By::Account);
        note(&mut owners, self.emails.get(&name), By::Email);
        note(&mut owners, self.full_names.get(&words(text).join(" ")), By::FullName);
        owners
    }

    /// Owners of an account by its name and GECOS name.
    pub fn of_account(&self, name: &str, full_name: &str) -> Owners {
        let mut owners = Owners::new();
        let name = name.to_lowercase();
        note(&mut owners, self.accounts.get(&name), By::Account);
        note(&mut owners, self.emails.get(&name), By::Email);
        note(&mut owners, self.full_names.get(&words(full_name).join(" ")), By::FullName);
        self.surest(owners)
    }

    /// Owners of a key by its fingerprint and comment.
    pub fn of_key(&self, fingerprint: &str, comment: &str) -> Owners {
        let mut owners = Owners::new();
        note(&mut owners, self.keys.get(&key_name(fingerprint)), By::Fingerprint);
        note(&mut owners, self.keys.get(&key_name(comment)), By::KeyComment);
        for token in comment.split(|c: char| c.is_whitespace() || matches!(c, '<' | '>' | '(' | ')' | ',' | ';')).take(COMMENT_WORDS) {
            let token = token.to_lowercase();
            note(&mut owners, self.emails.get(&token), By::Email);
            let account = token.split('@').next().unwrap_or("");
            if !GENERIC.contains(&account) {
                note(&mut owners, self.accounts.get(account), By::Account);
            }
        }
        let words: Vec<String> = words(comment).into_iter().take(COMMENT_WORDS).collect();
        for length in 2..=NAME_WORDS {
            for window in words.windows(length) {
                note(&mut owners, self.full_names.get(&window.join(" ")), By::FullName);
            }
        }
        self.surest(owners)
    }

    /// Leavers are dropped where somebody who still works here is recognised more surely.
    fn surest(&self, owners: Owners) -> Owners {
        let best_current = owners.iter().filter(|(index, _)| self.is_current(**index)).map(|(_, by)| *by).max();
        owners.into_iter().filter(|(index, by)| self.is_current(*index) || best_current.is_none_or(|best| *by >= best)).collect()
    }
}

fn note(owners: &mut Owners, found: Option<&BTreeSet<usize>>, by: By) {
    for index in found.into_iter().flatten() {
        let known = owners.entry(*index).or_insert(by);
        *known = (*known).max(by);
    }
}

/// Fingerprints are compared as they are but for padding, comments without case.
fn key_name(text: &str) -> String {
    let text = text.trim();
    if text.starts_with("SHA256:") { text.trim_end_matches('=').to_string() } else { text.to_lowercase() }
}

/// Words in lower case, parted by everything that is no letter or digit.
fn words(text: &str) -> Vec<String> {
    text.to_lowercase().split(|c: char| !c.is_alphanumeric()).filter(|w| !w.is_empty()).map(String::from).collect()
}
