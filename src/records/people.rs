//! For whom attestations per person are due: who worked here, over time.

use crate::model::roster::Roster;

/// One person's time here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Employment {
    /// The person, as the roster names people.
    pub person: String,
    /// First second, Unix; `None`: before anybody looked.
    pub from: Option<i64>,
    /// First second after the last; `None`: still here.
    pub until: Option<i64>,
}

/// Who worked here, and since when that is known.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct People {
    /// Before this second nobody can tell, Unix.
    pub known_from: i64,
    /// Everybody, in any order; a person may have several times.
    pub employments: Vec<Employment>,
}

impl People {
    /// The people of one roster, taken to hold since `known_from`.
    pub fn of(roster: &Roster, known_from: i64) -> Self {
        let employment = |p: &crate::model::roster::Person| Employment { person: p.person.clone(), from: None, until: p.ended_at };
        Self { known_from, employments: roster.people.iter().map(employment).collect() }
    }

    /// Everybody, once, sorted.
    pub(super) fn names(&self) -> Vec<&str> {
        let mut names: Vec<&str> = self.employments.iter().map(|e| e.person.as_str()).collect();
        names.sort_unstable();
        names.dedup_by(|a, b| same(a, b));
        names
    }

    /// Whether a person works here at this second.
    pub(super) fn employs(&self, person: &str, at: i64) -> bool {
        self.employments.iter().any(|e| same(&e.person, person) && e.from.is_none_or(|f| f <= at) && e.until.is_none_or(|u| at < u))
    }

    /// Whether anybody does.
    pub(super) fn employs_anybody(&self, at: i64) -> bool {
        self.employments.iter().any(|e| e.from.is_none_or(|f| f <= at) && e.until.is_none_or(|u| at < u))
    }

    /// Seconds at which this person comes or goes.
    pub(super) fn changes_of(&self, person: &str) -> Vec<i64> {
        let own = self.employments.iter().filter(|e| same(&e.person, person));
        own.flat_map(|e| e.from.into_iter().chain(e.until)).chain([self.known_from]).collect()
    }

    /// Seconds at which anybody does.
    pub(super) fn changes(&self) -> impl Iterator<Item = i64> + '_ {
        self.employments.iter().flat_map(|e| e.from.into_iter().chain(e.until)).chain([self.known_from])
    }
}

/// Whether two names are one: case does not tell people apart.
pub(super) fn same(a: &str, b: &str) -> bool {
    folded(a) == folded(b)
}

/// A name in the form in which names are compared.
pub(super) fn folded(name: &str) -> String {
    name.trim().to_lowercase()
}
