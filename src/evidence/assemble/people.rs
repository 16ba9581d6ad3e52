//! The people of the roster through the period.

use std::collections::BTreeMap;

use crate::evidence::material::{ListVersion, Material};
use crate::evidence::paper::{People, Person};
use crate::evidence::text::{count, time};
use crate::model::roster::Roster;

/// Most problems that are told one by one.
const MAX_PROBLEMS: usize = 20;

/// Everybody on the rosters that were in force in the period; `None`: none was.
pub fn people(material: &Material) -> Option<People> {
    let (start, end) = (material.period.start(), material.period.end());
    let mut versions: Vec<&ListVersion> =
        material.lists.iter().filter(|l| l.name == "roster" && l.since < end && l.until.is_none_or(|u| u > start && u > l.since)).collect();
    versions.sort_by_key(|l| l.since);
    let last = versions.last()?;
    let mut problems = Vec::new();
    let mut known: BTreeMap<String, (Person, usize)> = BTreeMap::new();
    let mut known_from = None;
    for (number, version) in versions.iter().enumerate() {
        let roster = match version.bytes.as_deref().map(|bytes| Roster::parse("roster", bytes)) {
            Some(Ok(roster)) => roster,
            Some(Err(e)) => {
                problems.push(format!("The roster of {} can't be read ({e}).", time(version.since)));
                continue;
            }
            None => {
                problems.push(format!("The roster of {} was erased.", time(version.since)));
                continue;
            }
        };
        // Who is new is told beside an earlier roster, and there was none before the first that can be read.
        let first = known_from.is_none();
        known_from = known_from.or(Some(version.since));
        for one in roster.people {
            let entry = known.entry(one.person.to_lowercase());
            let (person, seen) = entry.or_insert_with(|| {
                let joined = !first && version.since >= start;
                (Person { person: one.person.clone(), listed: version.since, joined, left_at: None, dropped: None }, number)
            });
            (person.left_at, person.dropped, *seen) = (one.ended_at, None, number);
        }
        let gone = known.values_mut().filter(|(p, seen)| *seen != number && p.left_at.is_none() && p.dropped.is_none());
        gone.for_each(|(person, _)| person.dropped = Some(version.since));
    }
    let dropped = known.values().filter(|(p, _)| p.dropped.is_some()).count();
    if dropped > 0 {
        let who = count(dropped, "person is", "people are");
        problems.push(format!("{who} no longer listed, and no last day was ever given: their ways in were not looked for."));
    }
    if problems.len() > MAX_PROBLEMS {
        let rest = problems.len() - MAX_PROBLEMS;
        problems.truncate(MAX_PROBLEMS);
        problems.push(format!("And {rest} more."));
    }
    let employed = known.values().filter(|(p, _)| p.dropped.is_none() && p.left_at.is_none_or(|at| at > end)).count();
    let people: Vec<Person> = known.into_values().map(|(p, _)| p).collect();
    let left = people.iter().filter(|p| p.left_at.is_some_and(|at| at > start && at <= end)).count();
    let joined = people.iter().filter(|p| p.joined).count();
    Some(People { list: last.digest, known_from, people, employed, joined, left, problems })
}
