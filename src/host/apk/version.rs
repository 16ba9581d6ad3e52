//! Order of apk versions: `digits{.digits}[letter]{_suffix[digits]}[~hash][-rN]`.

use std::cmp::Ordering;

/// Suffixes that stand before the plain version, oldest first.
const BEFORE: &[&str] = &["alpha", "beta", "pre", "rc"];
/// Suffixes that stand after it.
const AFTER: &[&str] = &["cvs", "svn", "git", "hg", "p"];

/// What comes next; the order is the order of precedence: of two versions that agree so far, the one
/// with the earlier kind goes on and is newer (`1.1.1` after `1.1-r1`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    First,
    Digits,
    Letter,
    Suffix,
    SuffixNumber,
    Hash,
    Revision,
    End,
    Invalid,
}

/// The rest of a version and the kind of its next part.
struct Parts<'a> {
    text: &'a [u8],
    kind: Kind,
    value: &'a [u8],
}

/// Compares two versions.
pub fn compare(a: &str, b: &str) -> Ordering {
    let (mut a, mut b) = (Parts::new(a), Parts::new(b));
    while a.kind == b.kind && a.kind < Kind::End {
        let order = a.value_against(&b);
        if order != Ordering::Equal {
            return order;
        }
        a.advance();
        b.advance();
    }
    match (a.kind, b.kind) {
        (x, y) if x == y => Ordering::Equal,
        _ if a.is_before() => Ordering::Less,
        _ if b.is_before() => Ordering::Greater,
        (x, y) => y.cmp(&x),
    }
}

impl<'a> Parts<'a> {
    fn new(version: &'a str) -> Self {
        let mut parts = Parts { text: version.as_bytes(), kind: Kind::First, value: b"" };
        if parts.text.first().is_some_and(u8::is_ascii_digit) {
            parts.take(Kind::First, 0)
        } else {
            parts.kind = Kind::Invalid
        }
        parts
    }

    fn advance(&mut self) {
        let before = self.kind;
        let next = |i: usize| self.text.get(i).copied();
        let digit = |i: usize| next(i).is_some_and(|c| c.is_ascii_digit());
        let lower = |i: usize| next(i).is_some_and(|c| c.is_ascii_lowercase());
        let (kind, skip) = match next(0) {
            None => (Kind::End, 0),
            Some(b'.') if before <= Kind::Digits && digit(1) => (Kind::Digits, 1),
            Some(c) if before <= Kind::Digits && c.is_ascii_lowercase() => (Kind::Letter, 0),
            // Before apk-tools 2.14, digits could follow a letter.
            Some(c) if before == Kind::Letter && c.is_ascii_digit() => (Kind::Digits, 0),
            Some(c) if before == Kind::Suffix && c.is_ascii_digit() => (Kind::SuffixNumber, 0),
            Some(b'_') if before <= Kind::SuffixNumber && lower(1) => (Kind::Suffix, 1),
            Some(b'~') if before <= Kind::SuffixNumber && next(1).is_some_and(|c| c.is_ascii_hexdigit()) => (Kind::Hash, 1),
            Some(b'-') if before < Kind::Revision && next(1) == Some(b'r') && digit(2) => (Kind::Revision, 2),
            _ => (Kind::Invalid, 0),
        };
        self.take(kind, skip);
    }

    /// Takes the part after `skip` bytes.
    fn take(&mut self, kind: Kind, skip: usize) {
        let rest = self.text.get(skip..).unwrap_or_default();
        let length = |accept: fn(&u8) -> bool| rest.iter().position(|c| !accept(c)).unwrap_or(rest.len());
        let end = match kind {
            Kind::First | Kind::Digits | Kind::SuffixNumber | Kind::Revision => length(u8::is_ascii_digit),
            Kind::Letter => 1,
            Kind::Suffix => length(u8::is_ascii_lowercase),
            Kind::Hash => length(u8::is_ascii_hexdigit),
            Kind::End | Kind::Invalid => 0,
        };
        (self.value, self.text) = rest.split_at_checked(end).unwrap_or_default();
        self.kind = kind;
        if kind == Kind::Suffix && self.rank().is_none() {
            self.kind = Kind::Invalid;
        }
    }

    fn value_against(&self, other: &Self) -> Ordering {
        let (a, b) = (self.value, other.value);
        match self.kind {
            // Like the digits of a fraction: 1.02 is older than 1.1.
            Kind::Digits if a.first() == Some(&b'0') || b.first() == Some(&b'0') => a.cmp(b),
            Kind::Suffix => self.rank().cmp(&other.rank()),
            Kind::Letter | Kind::Hash => a.cmp(b),
            _ => {
                let (a, b) = (number(a), number(b));
                a.len().cmp(&b.len()).then_with(|| a.cmp(b))
            }
        }
    }

    /// Place of a suffix; below 0 before the plain version.
    fn rank(&self) -> Option<i32> {
        let at = |list: &[&str]| list.iter().position(|s| s.as_bytes() == self.value).and_then(|i| i32::try_from(i).ok());
        at(BEFORE).map(|i| i - 100).or_else(|| at(AFTER))
    }

    fn is_before(&self) -> bool {
        self.kind == Kind::Suffix && self.rank().is_some_and(|r| r < 0)
    }
}

fn number(digits: &[u8]) -> &[u8] {
    let start = digits.iter().position(|c| *c != b'0').unwrap_or(digits.len());
    digits.get(start..).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Pairs of apk-tools' own test suite (test/version.data).
    const PUBLISHED: &str = "
        2.34 > 0.1.0_alpha, 0.1.0_alpha = 0.1.0_alpha, 0.1.0_alpha < 0.1.3_alpha, 0.1.0_alpha2 > 0.1.0_alpha, 2.2.39-r1 > 1.0.4-r3,
        1.0.4-r3 < 1.0.4-r4, 1.0.4-r4 < 1.6, 0.7-r1 < 1.0.0, 1.1 > 1.1_alpha1, 1.1_alpha1 < 1.2.1, 1.2.1 > 1.2, 1.2 < 1.3_alpha,
        1.3_alpha < 1.3_alpha2, 0.8_beta4 < 4.8-r1, 4.8-r1 > 3.10.18-r1, 3.10.18-r1 > 2.3.0b-r1, 2.3.0b-r1 < 2.3.0b-r2,
        0.12.3 > 0.12, 0.12 < 0.13_beta1, 0.13_beta5 > 0.9.12, 3.1_p16 < 3.1_p17, 3.1_p17 > 1.06-r6, 1.06-r6 < 006, 006 > 1.0.0,
        1.0.0 < 1.2.2-r1, 1.2.2-r1 > 1.2.2, 1.0 > 0.99.3.20040818, 1.6 < 1.39, 1.39 > 1.00_beta2, 2.8.0.6-r1 > 0.5.2.7,
        4.2.52_p2-r1 < 4.2.52_p4-r2, 4.2.52_p4-r2 > 1.02.07, 1.02.07 < 1.02.10-r1, 9 > 2.18.3-r10, 2.18.3-r10 > 1.05-r18,
        1.05-r18 < 1.05-r19, 2.8 < 2.20.1, 20060720 > 3.0.20060720, 2.5.1-r8 < 2.5.1a-r1, 2.0.0_rc3-r1 > 1.5, 3.0.0-r2 < 021109-r3,
        021109-r3 < 20060512, 0.01 < 0.06, 1.1.7 < 6b-r7, 6b-r7 > 1.12-r7, 0.10.0-r1 > 0.10.0, 0.10.0 < 0.10.1_rc1, 1.1a < 1.3a,
        0.15.1b < 1.0.1, 0.15.1b-r2 > 0.15.1b, 2.1_pre20 < 2.1_pre26, 2.10.1 > 02.08.01b, 2.02.06 < 2.02.10, 1.6d > 1.2.07.8,
        1.2.12.04 < 1.2.12.05, 0.59s-r11 < 0.65, 3.7_p1 > 1.3, 4.5_p1-r1 > 4.5_p1, 0.9.8c-r1 < 0.9.8d, 1.7 < 1.7b, 1.8.5 < 1.8.5_p2,
        2.9.11_pre20051101-r3 > 2.9.11_pre20051101, 2.9.11_pre20051101 < 2.9.11_pre20061021-r1, 7.0.17 < 7.0.174, 2.12r-r4 < 2.12r-r5,
        1.3-r0 < 1.3.1-r0, 1.3_pre1-r1 < 1.3.2, 1.0_p10-r0 > 1.0_p9-r0, 0.1.0_alpha_pre2 < 0.1.0_alpha,
        1.0.0_pre20191002222144-r0 < 1.0.0_pre20210530193627-r0, 23_foo > 4_beta, 1.0 < 1.0bc";

    #[test]
    fn published_pairs_hold() {
        for pair in PUBLISHED.split(',') {
            let words: Vec<&str> = pair.split_whitespace().collect();
            let expected = match words[1] {
                "<" => Ordering::Less,
                ">" => Ordering::Greater,
                _ => Ordering::Equal,
            };
            assert_eq!(compare(words[0], words[2]), expected, "{pair}");
            assert_eq!(compare(words[2], words[0]), expected.reverse(), "{pair} reversed");
        }
    }

    #[test]
    fn hostile_versions_have_an_order() {
        for text in ["", "x", "1..2", "1_", "1-r", "1-rx", "é", "1~", "99999999999999999999999", "-r1"] {
            assert_eq!(compare(text, text), Ordering::Equal, "{text}");
            assert_eq!(compare(text, "1.2-r3"), compare("1.2-r3", text).reverse(), "{text}");
        }
        assert_eq!(compare("1.2.3_git20240101-r0", "1.2.3-r9"), Ordering::Greater);
        assert_eq!(compare("3.3.1-r3", "3.3.1-r10"), Ordering::Less);
    }
}
