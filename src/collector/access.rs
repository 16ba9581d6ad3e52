//! Within what an auditor looks: frameworks, days, hosts. Pure.

use crate::collector::store::Grant;
use crate::evidence::material::Scope;
use crate::records::value::{day, midnight};

/// Most patterns of hosts, and most frameworks.
const MAX_WORDS: usize = 50;
/// Longest pattern, bytes.
const MAX_WORD: usize = 255;
/// Seconds of a day.
const DAY: i64 = 86_400;

impl Grant {
    /// From what a person writes: words divided by spaces or commas, days as `YYYY-MM-DD`. `known`: ids of frameworks and pages of commitments.
    pub fn parse(frameworks: &str, from: &str, to: &str, hosts: &str, known: &[String]) -> Result<Self, String> {
        let words = |text: &str| -> Vec<String> { text.split([',', ' ', '\n', '\r']).filter(|w| !w.is_empty()).map(str::to_string).collect() };
        let grant = Self { frameworks: words(frameworks), from: from.trim().into(), hosts: words(hosts), to: to.trim().into() };
        if let Some(unknown) = grant.frameworks.iter().find(|f| !known.contains(f)) {
            return Err(format!("there is no framework {unknown:?}; there are {}", known.join(", ")));
        }
        if grant.hosts.len() > MAX_WORDS || grant.hosts.iter().any(|h| h.len() > MAX_WORD) {
            return Err(format!("more than {MAX_WORDS} names of hosts, or one of more than {MAX_WORD} bytes; use * for what they share"));
        }
        for (name, text) in [("from", &grant.from), ("to", &grant.to)] {
            if !text.is_empty() && day(text).is_none() {
                return Err(format!("{name} {text:?} is no day; write YYYY-MM-DD"));
            }
        }
        if !grant.from.is_empty() && !grant.to.is_empty() && grant.from > grant.to {
            return Err(format!("the period ends ({}) before it begins ({})", grant.to, grant.from));
        }
        Ok(grant)
    }

    /// First and last second, Unix.
    pub fn span(&self) -> (i64, i64) {
        let from = day(&self.from).map_or(i64::MIN, midnight);
        // A day that can't be read ends before it begins: it opens nothing.
        let to = match (self.to.is_empty(), day(&self.to)) {
            (true, _) => i64::MAX,
            (false, Some(to)) => midnight(to).saturating_add(DAY - 1),
            (false, None) => i64::MIN,
        };
        (from, to)
    }

    /// Whether a second is inside.
    pub fn holds(&self, at: i64) -> bool {
        let (from, to) = self.span();
        from <= at && at <= to
    }

    /// Whether a host is inside, by its name.
    pub fn covers_host(&self, name: &str) -> bool {
        Scope { hosts: self.hosts.clone() }.covers(name)
    }

    /// Whether a framework is inside.
    pub fn covers_framework(&self, id: &str) -> bool {
        self.frameworks.is_empty() || self.frameworks.iter().any(|f| f == id)
    }

    /// The words for people.
    pub fn words(&self) -> String {
        let list = |words: &[String], all: &str| if words.is_empty() { all.to_string() } else { words.join(", ") };
        let days = match (self.from.is_empty(), self.to.is_empty()) {
            (true, true) => "any day".to_string(),
            (false, true) => format!("from {}", self.from),
            (true, false) => format!("to {}", self.to),
            (false, false) => format!("{} to {}", self.from, self.to),
        };
        format!("{}; {days}; {}", list(&self.frameworks, "all frameworks"), list(&self.hosts, "all hosts"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_hold_both_days_and_mistakes_are_named() {
        let known = ["soc2-2017".to_string()];
        let grant = Grant::parse("soc2-2017", "2026-01-01", "2026-03-31", "web*, db01", &known).unwrap();
        let first = midnight(day("2026-01-01").unwrap());
        let end = midnight(day("2026-04-01").unwrap());
        assert!(grant.holds(first) && grant.holds(end - 1) && !grant.holds(first - 1) && !grant.holds(end));
        assert!(grant.covers_host("WEB7") && grant.covers_host("db01") && !grant.covers_host("db011"));
        assert!(grant.covers_framework("soc2-2017") && !grant.covers_framework("pci"));
        assert!(Grant::default().holds(0) && Grant::default().covers_host("x") && Grant::default().covers_framework("x"));
        for (f, from, to) in [("pci", "", ""), ("", "2026-1-1", ""), ("", "2026-03-01", "2026-01-01"), ("", "", "soon")] {
            assert!(Grant::parse(f, from, to, "", &known).is_err(), "{f} {from} {to}");
        }
        assert!(!Grant { to: "damaged".into(), ..Grant::default() }.holds(0));
    }
}
