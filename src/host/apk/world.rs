//! `/etc/apk/world`: what the administrator asked for, with its limits on versions.

use std::cmp::Ordering;

use super::version;
use crate::host::{CONFIG_LIMIT, Host, ReadError};

/// The file.
pub const PLACE: &str = "/etc/apk/world";

/// One entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wish {
    /// Package.
    pub name: String,
    /// `=`, `<`, `<=`, `>`, `>=`, `~`; empty without a limit.
    pub operator: String,
    /// Version of the limit.
    pub version: String,
    /// Repository tag (`@edge`); empty without one.
    pub tag: String,
    /// Line, from 1.
    pub line: usize,
}

impl Wish {
    /// Whether a version fulfils the limit.
    pub fn allows(&self, candidate: &str) -> bool {
        let order = version::compare(candidate, &self.version);
        match self.operator.as_str() {
            "" => true,
            "=" | "==" => order == Ordering::Equal,
            "<" => order == Ordering::Less,
            "<=" | "=<" => order != Ordering::Greater,
            ">" => order == Ordering::Greater,
            ">=" | "=>" => order != Ordering::Less,
            // The version or one that goes on where it ends.
            "~" | "~=" | "=~" => candidate.strip_prefix(self.version.as_str()).is_some_and(|r| !r.starts_with(|c: char| c.is_ascii_digit())),
            _ => false,
        }
    }
}

/// Reads the file; an absent one wishes for nothing.
pub fn read(host: &Host) -> Result<Vec<Wish>, ReadError> {
    match host.read_text(PLACE, CONFIG_LIMIT) {
        Ok(text) => Ok(text.lines().enumerate().flat_map(|(i, l)| l.split_whitespace().map(move |w| wish(w, i + 1))).collect()),
        Err(e) if e.is_not_found() => Ok(Vec::new()),
        Err(e) => Err(e),
    }
}

fn wish(word: &str, line: usize) -> Wish {
    let (word, tag) = word.split_once('@').unwrap_or((word, ""));
    let is_operator = |c: char| matches!(c, '<' | '>' | '=' | '~');
    let at = word.find(is_operator).unwrap_or(word.len());
    let (name, rest) = word.split_at(at);
    let version = rest.trim_start_matches(is_operator);
    let operator = rest.strip_suffix(version).unwrap_or_default();
    Wish { name: name.into(), operator: operator.into(), version: version.into(), tag: tag.into(), line }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_and_tags() {
        let allows = |word: &str, version: &str| wish(word, 1).allows(version);
        assert!(allows("nginx", "1.26-r0") && allows("nginx=1.26-r0", "1.26-r0") && !allows("nginx=1.26-r0", "1.26-r1"));
        assert!(allows("nginx<1.27", "1.26.9-r0") && !allows("nginx<1.27", "1.27.0-r0") && allows("nginx>=1.2", "1.2"));
        assert!(allows("nginx~1.26", "1.26.3-r1") && allows("nginx~1.26", "1.26-r1") && !allows("nginx~1.2", "1.26-r1"));
        let tagged = wish("php83@edge", 4);
        assert_eq!((tagged.name.as_str(), tagged.tag.as_str(), tagged.line), ("php83", "edge", 4));
        let both = wish("php83<8.4@edge", 1);
        assert_eq!((both.operator.as_str(), both.version.as_str(), both.tag.as_str()), ("<", "8.4", "edge"));
    }
}
