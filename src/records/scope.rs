//! Of which findings something is said: of one rule, and there by patterns of names, by names of hosts, or finding by finding.
//!
//! ```text
//! rule     = id
//! host     = name, * for any run of characters            subject = likewise; empty: the host itself
//! hosts    = names, one a line                            beside `host`, for hosts that share a label and no name
//! places   = name TAB subject, one a line                 findings one by one, whatever `subject` says
//! ```
//! In `hosts` and `places` a character that would break a line is written `%XX`. A label is a way to choose hosts: the names that had it when
//! something was said are what is said of, so that a host can't slip under a waiver by being labelled later.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Serialize;

use super::entry::Entry;

/// The rule of what is said of every rule; a waiver is never so.
pub const EVERY: &str = "*";

/// Which findings.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Scope {
    /// Id of the rule.
    pub rule: String,
    /// Pattern of the names of hosts; empty: none but those that are named.
    pub host: String,
    /// Names of hosts, sorted.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub hosts: Vec<String>,
    /// The label by which `hosts` were chosen, for people; empty: none.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub label: String,
    /// Pattern of the subjects on those hosts.
    pub subject: String,
    /// Name of the host and subject of single findings, sorted.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub places: Vec<(String, String)>,
}

impl Scope {
    /// What an entry says.
    pub fn of(entry: &Entry) -> Self {
        Self::of_fields(&entry.fields)
    }

    /// What values of an entry say.
    pub fn of_fields(fields: &BTreeMap<String, String>) -> Self {
        let text = |name: &str| fields.get(name).cloned().unwrap_or_default();
        let lines = |name: &str| text(name).lines().filter(|l| !l.trim().is_empty()).map(str::to_string).collect::<Vec<_>>();
        let mut hosts: Vec<String> = lines("hosts").iter().map(|l| plain(l)).collect();
        let mut places: Vec<(String, String)> = lines("places").iter().map(|l| place(l)).collect();
        hosts.sort_unstable();
        places.sort_unstable();
        Self { rule: text("rule"), host: text("host"), hosts, label: text("label"), subject: text("subject"), places }
    }

    /// Whether this finding is meant.
    pub fn covers(&self, host: &str, rule: &str, subject: &str) -> bool {
        if self.rule != rule && self.rule != EVERY {
            return false;
        }
        let is_host = || (!self.host.is_empty() && covers(&self.host, host)) || self.hosts.binary_search_by(|h| h.as_str().cmp(host)).is_ok();
        (is_host() && covers(&self.subject, subject)) || self.places.binary_search_by(|(h, s)| (h.as_str(), s.as_str()).cmp(&(host, subject))).is_ok()
    }

    /// Whether it means every finding of its rule, whatever the host and the subject.
    pub fn is_whole_rule(&self) -> bool {
        self.host == "*" && self.subject == "*"
    }

    /// The hosts and subjects in words.
    pub fn words(&self) -> String {
        let mut parts = Vec::new();
        if !self.host.is_empty() || !self.hosts.is_empty() {
            let hosts = match (self.host.as_str(), self.label.as_str(), self.hosts.len()) {
                ("*", _, _) => "every host".to_string(),
                ("", "", 1) => self.hosts.first().cloned().unwrap_or_default(),
                ("", "", n) => format!("{n} hosts"),
                ("", label, 1) => format!("1 host labelled {label}"),
                ("", label, n) => format!("{n} hosts labelled {label}"),
                (pattern, _, 0) => pattern.to_string(),
                (pattern, _, n) => format!("{pattern} and {n} more hosts"),
            };
            parts.push(match self.subject.as_str() {
                "" => hosts,
                "*" => format!("{hosts}, every subject"),
                subject => format!("{hosts}, {subject}"),
            });
        }
        match self.places.as_slice() {
            [] => {}
            [(host, subject)] if subject.is_empty() => parts.push(host.clone()),
            [(host, subject)] => parts.push(format!("{host}, {subject}")),
            many => parts.push(format!("{} findings, one by one", many.len())),
        }
        parts.join("; ")
    }

    /// The values of an entry that says this; empty ones are left out.
    pub fn fields(&self) -> BTreeMap<String, String> {
        let lines = |all: Vec<String>| all.join("\n");
        [
            ("rule", self.rule.clone()),
            ("host", self.host.clone()),
            ("hosts", lines(self.hosts.iter().map(|h| escaped(h)).collect())),
            ("label", self.label.clone()),
            ("subject", self.subject.clone()),
            ("places", lines(self.places.iter().map(|(host, subject)| line_of(host, subject)).collect())),
        ]
        .into_iter()
        .filter(|(_, value)| !value.is_empty())
        .map(|(name, value)| (name.to_string(), value))
        .collect()
    }
}

/// One finding as a line of `places`.
pub fn line_of(host: &str, subject: &str) -> String {
    format!("{}\t{}", escaped(host), escaped(subject))
}

/// Host and subject of such a line.
pub fn place(line: &str) -> (String, String) {
    let (host, subject) = line.split_once('\t').unwrap_or((line, ""));
    (plain(host), plain(subject))
}

/// Control characters, `%`, and blanks at the ends as `%XX`: the last would be trimmed with the field.
fn escaped(text: &str) -> String {
    let (first, last) = (0, text.chars().count().saturating_sub(1));
    let mut out = String::with_capacity(text.len());
    for (at, c) in text.chars().enumerate() {
        if c == '%' || c.is_control() || (c.is_whitespace() && (at == first || at == last)) {
            let mut bytes = [0; 4];
            c.encode_utf8(&mut bytes).bytes().for_each(|b| out.push_str(&format!("%{b:02X}")));
        } else {
            out.push(c);
        }
    }
    out
}

/// The text behind escapes of the form `%XX`; what is no escape stays as it is.
pub fn plain(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let code = after.get(..2).and_then(|hex| std::str::from_utf8(hex).ok()).and_then(|hex| u8::from_str_radix(hex, 16).ok());
        match code {
            Some(code) if *first == b'%' => {
                bytes.push(code);
                rest = after.get(2..).unwrap_or_default();
            }
            _ => {
                bytes.push(*first);
                rest = after;
            }
        }
    }
    String::from_utf8(bytes).unwrap_or_else(|_| text.to_string())
}

/// Whether a pattern, in which `*` stands for any run of characters and nothing else is special, names this.
pub fn covers(pattern: &str, name: &str) -> bool {
    let mut parts = pattern.split('*');
    let Some(mut rest) = parts.next().and_then(|first| name.strip_prefix(first)) else { return false };
    let mut last = None;
    for part in parts {
        if let Some(before) = last.replace(part) {
            match rest.find(before) {
                Some(at) => rest = rest.get(at + before.len()..).unwrap_or_default(),
                None => return false,
            }
        }
    }
    last.map_or(rest.is_empty(), |last| rest.ends_with(last))
}

/// Why nothing can be said of what an entry names.
pub(super) fn refusal(entry: &Entry) -> Option<String> {
    let scope = Scope::of(entry);
    if scope.host.is_empty() && scope.hosts.is_empty() && scope.places.is_empty() {
        return Some("host is missing: name hosts, or write * for all of them".into());
    }
    None
}

#[cfg(test)]
mod tests {
    use super::super::entry::entries;
    use super::super::event::Action;
    use super::super::testing::{event, recorded};
    use super::super::types::HANDLING;
    use super::*;

    fn scope(fields: &[(&str, &str)]) -> Scope {
        Scope::of(&entries(&[recorded(event(HANDLING, 1, Action::Add, 1, "ada", fields))], 1)[0])
    }

    #[test]
    fn a_star_stands_for_any_run_and_nothing_else_is_special() {
        for (pattern, name, expected) in [
            ("*", "", true),
            ("*", "anything", true),
            ("", "", true),
            ("", "a", false),
            ("web*", "web01", true),
            ("web*", "xweb01", false),
            ("*:8443/tcp", "[::]:8443/tcp", true),
            ("[::]:8443", "[::]:8443", true),
            ("a*b*c", "aXbXbXc", true),
            ("a*b*c", "aXbX", false),
            ("a*a", "a", false),
            ("*a*", "bab", true),
            ("é*", "éa", true),
            ("?", "x", false),
        ] {
            assert_eq!(covers(pattern, name), expected, "{pattern} {name}");
        }
    }

    #[test]
    fn hosts_by_name_and_single_findings_are_meant_and_no_others() {
        let named = scope(&[("rule", "r"), ("hosts", "web02\nweb01\n"), ("label", "shop"), ("subject", "*:443/tcp")]);
        assert!(named.covers("web01", "r", "a:443/tcp") && named.covers("web02", "r", "b:443/tcp"));
        assert!(!named.covers("web03", "r", "a:443/tcp") && !named.covers("web01", "r", "a:22/tcp") && !named.covers("web01", "s", "a:443/tcp"));
        assert_eq!(named.words(), "2 hosts labelled shop, *:443/tcp");
        let single = scope(&[("rule", "r"), ("places", "web01\tx\nweb02")]);
        assert!(single.covers("web01", "r", "x") && single.covers("web02", "r", ""));
        assert!(!single.covers("web01", "r", "") && !single.covers("web02", "r", "x") && !single.covers("", "r", ""));
        assert!(scope(&[("rule", "r"), ("host", "*"), ("subject", "*")]).is_whole_rule());
    }

    #[test]
    fn what_a_host_calls_itself_survives_its_line() {
        for (host, subject) in [("web01", "0.0.0.0:22/tcp"), ("a%41\tb", "line\nbreak"), ("evil\u{1b}[31m", " blank "), ("é", ""), ("*", "%")] {
            let one = Scope { rule: "r".into(), places: vec![(host.into(), subject.into())], ..Scope::default() };
            let fields = one.fields();
            assert!(fields["places"].chars().all(|c| c == '\t' || !c.is_control()), "{fields:?}");
            let pairs: Vec<(&str, &str)> = fields.iter().map(|(k, v)| (k.as_str(), v.as_str().trim())).collect();
            assert_eq!(scope(&pairs), one);
        }
    }
}
