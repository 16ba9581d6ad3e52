//! Order of Debian versions, as deb-version(7) and Debian Policy 5.6.12 define it.

use std::cmp::Ordering;

/// Compares `[epoch:]upstream[-revision]`.
pub fn compare(a: &str, b: &str) -> Ordering {
    let (a, b) = (split(a), split(b));
    part(a.0, b.0).then_with(|| part(a.1, b.1)).then_with(|| part(a.2, b.2))
}

/// Epoch, upstream version and revision. An absent epoch or revision counts as `0`, to which an
/// empty part compares equal.
fn split(version: &str) -> (&[u8], &[u8], &[u8]) {
    let version = version.trim();
    let (epoch, rest) = match version.split_once(':') {
        Some((epoch, rest)) if epoch.bytes().all(|b| b.is_ascii_digit()) => (epoch, rest),
        _ => ("", version),
    };
    let (upstream, revision) = rest.rsplit_once('-').unwrap_or((rest, ""));
    (epoch.as_bytes(), upstream.as_bytes(), revision.as_bytes())
}

fn part(mut a: &[u8], mut b: &[u8]) -> Ordering {
    while !a.is_empty() || !b.is_empty() {
        loop {
            let (x, y) = (a.first().copied(), b.first().copied());
            let done = |c: Option<u8>| c.is_none_or(|c| c.is_ascii_digit());
            if done(x) && done(y) {
                break;
            }
            match weight(x).cmp(&weight(y)) {
                Ordering::Equal => (a, b) = (rest(a), rest(b)),
                other => return other,
            }
        }
        let (x, y) = (number(&mut a), number(&mut b));
        match x.len().cmp(&y.len()).then_with(|| x.cmp(y)) {
            Ordering::Equal => {}
            other => return other,
        }
    }
    Ordering::Equal
}

/// `~` before the end, the end before letters, letters before everything else.
fn weight(c: Option<u8>) -> i32 {
    match c {
        None => 0,
        Some(c) if c.is_ascii_digit() => 0,
        Some(b'~') => -1,
        Some(c) if c.is_ascii_alphabetic() => i32::from(c),
        Some(c) => i32::from(c) + 256,
    }
}

fn rest(text: &[u8]) -> &[u8] {
    text.get(1..).unwrap_or_default()
}

/// The leading digits without leading zeros.
fn number<'a>(text: &mut &'a [u8]) -> &'a [u8] {
    let end = text.iter().position(|b| !b.is_ascii_digit()).unwrap_or(text.len());
    let (digits, after) = text.split_at(end);
    *text = after;
    let start = digits.iter().position(|b| *b != b'0').unwrap_or(digits.len());
    digits.get(start..).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn policy_examples_hold() {
        // Debian Policy 5.6.12: "~~, ~~a, ~, the empty part, a".
        let ascending = [
            "~~",
            "~~a",
            "~",
            "",
            "a",
            "1.0~beta1~svn1245",
            "1.0~beta1",
            "1.0",
            "1.0-1",
            "1.0-1+b1",
            "1.0-1.1",
            "1.0-2",
            "1.0+git1",
            "1.0.1",
            "1.2",
            "1.10",
            "2",
            "1:0.1",
            "1:1",
            "10:1",
        ];
        for (i, a) in ascending.iter().enumerate() {
            for (j, b) in ascending.iter().enumerate() {
                // The first five are orders of parts, the others of whole versions.
                if (i < 5) == (j < 5) {
                    assert_eq!(compare(a, b), i.cmp(&j), "{a} {b}");
                }
            }
        }
    }

    #[test]
    fn equal_in_spite_of_spelling() {
        for (a, b) in [("0:1.0", "1.0"), ("1.0", "1.0-0"), ("1.01", "1.1"), ("1.0-00", "1.0-0"), ("00:1", "1")] {
            assert_eq!(compare(a, b), Ordering::Equal, "{a} {b}");
        }
    }

    #[test]
    fn real_pairs_and_hostile_lengths() {
        for (older, newer) in [
            ("2.36-9+deb12u10", "2.36-9+deb12u13"),
            ("1.21.22", "1.21.23"),
            ("5.2.15-2+b8", "5.2.15-2+b13"),
            ("20230311+deb12u1", "20250419~deb12u2"),
            ("3.0.16-1~deb12u1", "3.0.16-1"),
            ("1.2-3-4", "1.2-4-1"),
            ("9.9", "99999999999999999999999999"),
            ("2:1", "99999999999999999999:1"),
        ] {
            assert_eq!(compare(older, newer), Ordering::Less, "{older} {newer}");
            assert_eq!(compare(newer, older), Ordering::Greater, "{newer} {older}");
        }
    }
}
