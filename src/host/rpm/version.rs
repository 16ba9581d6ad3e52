//! Order of rpm versions: `[epoch:]version[-release]`, each part as rpmvercmp orders it.

use std::cmp::Ordering;

/// Compares two whole versions. An absent epoch is 0; an absent release compares equal to any.
pub fn compare(a: &str, b: &str) -> Ordering {
    let (a, b) = (split(a), split(b));
    let epoch = |e: &str| e.trim_start_matches('0').len();
    let order = epoch(a.0).cmp(&epoch(b.0)).then_with(|| a.0.trim_start_matches('0').cmp(b.0.trim_start_matches('0')));
    order.then_with(|| part(a.1, b.1)).then_with(|| match (a.2, b.2) {
        (Some(a), Some(b)) => part(a, b),
        _ => Ordering::Equal,
    })
}

/// Epoch, version and release.
pub fn split(text: &str) -> (&str, &str, Option<&str>) {
    let (epoch, rest) = match text.split_once(':') {
        Some((epoch, rest)) if epoch.bytes().all(|b| b.is_ascii_digit()) => (epoch, rest),
        _ => ("", text),
    };
    match rest.rsplit_once('-') {
        Some((version, release)) => (epoch, version, Some(release)),
        None => (epoch, rest, None),
    }
}

/// rpmvercmp: runs of digits and of letters in turn; `~` before everything, `^` after the end and
/// before everything else; any other byte only separates.
pub fn part(a: &str, b: &str) -> Ordering {
    let (mut a, mut b) = (a.as_bytes(), b.as_bytes());
    if a == b {
        return Ordering::Equal;
    }
    while !a.is_empty() || !b.is_empty() {
        (a, b) = (skip(a, is_separator), skip(b, is_separator));
        let (x, y) = (a.first().copied(), b.first().copied());
        match (x == Some(b'~'), y == Some(b'~')) {
            (true, true) => {
                (a, b) = (rest(a), rest(b));
                continue;
            }
            (true, false) => return Ordering::Less,
            (false, true) => return Ordering::Greater,
            (false, false) => {}
        }
        match (x, y) {
            (Some(b'^'), Some(b'^')) => {
                (a, b) = (rest(a), rest(b));
                continue;
            }
            (Some(b'^'), None) => return Ordering::Greater,
            (None, Some(b'^')) => return Ordering::Less,
            (Some(b'^'), _) => return Ordering::Less,
            (_, Some(b'^')) => return Ordering::Greater,
            (None, _) | (_, None) => break,
            _ => {}
        }
        let digits = x.is_some_and(|c| c.is_ascii_digit());
        let of_kind = |c: u8| if digits { c.is_ascii_digit() } else { c.is_ascii_alphabetic() };
        let (after_a, after_b) = (skip(a, of_kind), skip(b, of_kind));
        let (run_a, run_b) = (a.get(..a.len() - after_a.len()).unwrap_or_default(), b.get(..b.len() - after_b.len()).unwrap_or_default());
        if run_b.is_empty() {
            // A number is newer than letters.
            return if digits { Ordering::Greater } else { Ordering::Less };
        }
        let order = if digits {
            let (p, q) = (skip(run_a, |c| c == b'0'), skip(run_b, |c| c == b'0'));
            p.len().cmp(&q.len()).then_with(|| p.cmp(q))
        } else {
            run_a.cmp(run_b)
        };
        if order != Ordering::Equal {
            return order;
        }
        (a, b) = (after_a, after_b);
    }
    a.is_empty().cmp(&b.is_empty()).reverse()
}

fn is_separator(c: u8) -> bool {
    !c.is_ascii_alphanumeric() && c != b'~' && c != b'^'
}

fn skip(text: &[u8], of_kind: impl Fn(u8) -> bool) -> &[u8] {
    let end = text.iter().position(|c| !of_kind(*c)).unwrap_or(text.len());
    text.get(end..).unwrap_or_default()
}

fn rest(text: &[u8]) -> &[u8] {
    text.get(1..).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn published_pairs_hold() {
        // Pairs of rpm's own test suite (tests/rpmvercmp.at), older first.
        for (older, newer) in [
            ("1.0", "2.0"),
            ("2.0", "2.0.1"),
            ("2.0.1", "2.0.1a"),
            ("5.5p1", "5.5p2"),
            ("5.5p1", "5.5p10"),
            ("10xyz", "10.1xyz"),
            ("xyz10", "xyz10.1"),
            ("xyz.4", "8"),
            ("xyz.4", "2"),
            ("5.5p2", "5.6p1"),
            ("5.6p1", "6.5p1"),
            ("6.0", "6.0.rc1"),
            ("10a1", "10b2"),
            ("1.0a", "1.0aa"),
            ("10.0001", "10.0039"),
            ("4.999.9", "5.0"),
            ("20101121", "20101122"),
            ("1.0~rc1", "1.0"),
            ("1.0~rc1", "1.0~rc2"),
            ("1.0~rc1~git123", "1.0~rc1"),
            ("1.0", "1.0^"),
            ("1.0", "1.0^git1"),
            ("1.0^git1", "1.0^git2"),
            ("1.0^git1", "1.01"),
            ("1.0^20160101", "1.0.1"),
            ("1.0^20160101^git1", "1.0^20160102"),
            ("1.0~rc1", "1.0~rc1^git1"),
            ("1.0^git1~pre", "1.0^git1"),
            ("1b.fc17", "1.fc17"),
            ("1.fc17", "1g.fc17"),
        ] {
            assert_eq!(part(older, newer), Ordering::Less, "{older} {newer}");
            assert_eq!(part(newer, older), Ordering::Greater, "{newer} {older}");
        }
        for (a, b) in [("10.0001", "10.1"), ("2.0", "2_0"), ("a+", "a_"), ("+a", "_a"), ("+", "_"), ("1.1.α", "1.1.β"), ("1.0^", "1.0^"), ("", "")] {
            assert_eq!(part(a, b), Ordering::Equal, "{a} {b}");
        }
    }

    #[test]
    fn epochs_and_releases() {
        for (older, newer) in [("1.0-1", "1.0-2"), ("9-9", "1:0-0"), ("1:1-1.el9", "1:1-1.el9_2"), ("2:1-1", "10:1-1"), ("1-1", "99999999999999999999:1-1")] {
            assert_eq!(compare(older, newer), Ordering::Less, "{older} {newer}");
            assert_eq!(compare(newer, older), Ordering::Greater, "{newer} {older}");
        }
        assert_eq!(compare("0:1.0-1", "1.0-1"), Ordering::Equal);
        assert_eq!(compare("1.0", "1.0-7"), Ordering::Equal);
    }
}
