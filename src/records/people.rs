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

    /// The people of several rosters, each in force from its second until the next one's, in that order.
    pub fn of_versions(versions: &[(i64, &Roster)]) -> Self {
        let mut all = Self { known_from: versions.first().map_or(i64::MAX, |(since, _)| *since), employments: Vec::new() };
        for (place, (since, roster)) in versions.iter().enumerate() {
            let next = versions.get(place + 1).map(|(at, _)| *at);
            for person in &roster.people {
                let until = person.ended_at.into_iter().chain(next).min();
                if until.is_some_and(|until| until <= *since) {
                    continue;
                }
                // Who stays from one version to the next has one time here.
                match all.employments.iter_mut().find(|e| e.until == Some(*since) && same(&e.person, &person.person)) {
                    Some(before) => before.until = until,
                    None => all.employments.push(Employment { person: person.person.clone(), from: Some(*since), until }),
                }
            }
        }
        all
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
pub fn same(a: &str, b: &str) -> bool {
    folded(a) == folded(b)
}

/// A name in the form in which names are compared.
pub(super) fn folded(name: &str) -> String {
    name.trim().to_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_of_a_roster_are_one_time_for_who_stays() {
        let roster = |text: &str| Roster::parse("people.csv", format!("person,ended_at\n{text}").as_bytes()).unwrap();
        let end = 1_794_182_400;
        let (one, two) = (roster("ada,\nbob,2026-11-08\n"), roster("ada,\ncyd,\n"));
        let people = People::of_versions(&[(end - 1000, &one), (end - 100, &two)]);
        let told: Vec<(&str, Option<i64>, Option<i64>)> = people.employments.iter().map(|e| (e.person.as_str(), e.from, e.until)).collect();
        assert_eq!(told, [("ada", Some(end - 1000), None), ("bob", Some(end - 1000), Some(end - 100)), ("cyd", Some(end - 100), None)]);
        assert_eq!((people.known_from, People::of_versions(&[]).known_from), (end - 1000, i64::MAX));
        assert!(people.employs("ADA", end) && !people.employs("bob", end) && !people.employs("cyd", end - 101));
    }
}
