//! The population beside a second list: what a cloud or a register of assets knows.
//!
//! Names are compared without case. `web01` and `web01.example.org` are one host only when no other host of either list could be
//! meant; two names with different domains never are.

use std::collections::BTreeMap;

use super::material::{ListVersion, Material};
use super::paper::{Member, Reconciliation};
use crate::model::inventory::Inventory;

/// Compares the hosts with the inventory in force at the end of the period; `None`: there is none.
pub fn reconcile(material: &Material, population: &[Member]) -> Option<Reconciliation> {
    let end = material.period.end();
    let version = material.lists.iter().filter(|l| l.name == "inventory" && l.since < end && l.until.is_none_or(|u| u >= end)).max_by_key(|l| l.since)?;
    let mut found = Reconciliation {
        list: version.digest,
        at: version.since,
        problem: String::new(),
        both: Vec::new(),
        only_here: Vec::new(),
        only_listed: Vec::new(),
        retired_listed: Vec::new(),
        unnamed: 0,
    };
    match names(version) {
        Err(problem) => found.problem = problem,
        Ok((names, unnamed)) => {
            found.unnamed = unnamed;
            let listed: Vec<String> = names.into_iter().filter(|n| material.scope.covers(n)).collect();
            let here: Vec<(&str, bool)> = population.iter().map(|m| (m.name.as_str(), m.state.counts())).collect();
            let both = compare(&here, &listed);
            (found.both, found.only_here, found.only_listed, found.retired_listed) = (both.both, both.only_here, both.only_listed, both.retired_listed);
        }
    }
    Some(found)
}

/// Names of a list, and how many of its lines have none.
fn names(version: &ListVersion) -> Result<(Vec<String>, u64), String> {
    let Some(bytes) = &version.bytes else { return Err("The list was erased.".into()) };
    let machines = Inventory::parse("inventory", bytes).map_err(|e| format!("The list can't be read: {e}."))?.items;
    let all = machines.len();
    let named: Vec<String> = machines.into_iter().map(|m| m.name).filter(|n| !n.is_empty()).collect();
    let unnamed = (all - named.len()) as u64;
    Ok((named, unnamed))
}

/// One name on either side.
#[derive(Debug, Default)]
struct Same<'a> {
    here: Vec<(&'a str, bool)>,
    listed: Vec<&'a str>,
}

/// Names on one side, the other, or both; each sorted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Compared {
    /// Enrolled and listed.
    pub both: Vec<String>,
    /// Enrolled and in no line of the list.
    pub only_here: Vec<String>,
    /// Listed and never enrolled.
    pub only_listed: Vec<String>,
    /// Listed and taken out here.
    pub retired_listed: Vec<String>,
}

/// Compares the names of hosts, and whether each counts, with the names of a list.
pub fn compare(population: &[(&str, bool)], listed: &[String]) -> Compared {
    let mut found = Compared::default();
    let mut by_name: BTreeMap<String, Same<'_>> = BTreeMap::new();
    population.iter().for_each(|(name, counts)| by_name.entry(folded(name)).or_default().here.push((name, *counts)));
    listed.iter().for_each(|n| by_name.entry(folded(n)).or_default().listed.push(n));
    for (short, long) in short_names(&by_name) {
        let Some(moved) = by_name.remove(&long) else { continue };
        let own = by_name.entry(short).or_default();
        own.here.extend(moved.here);
        own.listed.extend(moved.listed);
    }
    for same in by_name.into_values() {
        type Side<'a> = Vec<(&'a str, bool)>;
        let (counting, gone): (Side<'_>, Side<'_>) = same.here.into_iter().partition(|(_, counts)| *counts);
        // Of one name on both sides as many as both have are in both; which of them can't be told by name.
        let both = counting.len().min(same.listed.len());
        found.both.extend(counting.iter().take(both).map(|(name, _)| (*name).to_string()));
        found.only_here.extend(counting.iter().skip(both).map(|(name, _)| (*name).to_string()));
        let rest = same.listed.get(both..).unwrap_or(&[]);
        let retired = gone.len().min(rest.len());
        found.retired_listed.extend(gone.iter().take(retired).map(|(name, _)| (*name).to_string()));
        found.only_listed.extend(rest.iter().skip(retired).map(|n| (*n).to_string()));
    }
    for names in [&mut found.both, &mut found.only_here, &mut found.only_listed, &mut found.retired_listed] {
        names.sort();
    }
    found
}

/// A name without a domain, and the one name with a domain that can mean the same host.
fn short_names(by_name: &BTreeMap<String, Same<'_>>) -> Vec<(String, String)> {
    let mut long: BTreeMap<&str, Vec<&String>> = BTreeMap::new();
    for name in by_name.keys() {
        if let Some((short, _)) = name.split_once('.') {
            long.entry(short).or_default().push(name);
        }
    }
    let one_side = |same: &Same<'_>| (same.here.len(), same.listed.len());
    let mut out = Vec::new();
    for (short, names) in long {
        let (Some(own), [one]) = (by_name.get(short), names.as_slice()) else { continue };
        let Some(other) = by_name.get(*one) else { continue };
        // Each side names it once, in one of the two ways.
        if matches!((one_side(own), one_side(other)), ((1, 0), (0, 1)) | ((0, 1), (1, 0))) {
            out.push((short.to_string(), (*one).clone()));
        }
    }
    out
}

fn folded(name: &str) -> String {
    name.trim().trim_end_matches('.').to_lowercase()
}
