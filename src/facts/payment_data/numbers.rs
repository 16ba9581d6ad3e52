//! Where numbers of cards and IBANs stand in bytes.
//!
//! Few bytes are looked at: a card number covers at least 13, so of other text one byte in 13 is read.
//! What is found is told by place alone; the number itself is forgotten with the buffer.

use super::known::{CARD_DIGITS, IBAN_SHORTEST, Issued, Known, passes_luhn, passes_mod_97};
use crate::model::declared::NumberKind;

/// Bytes behind a number that decide about it, with the number itself.
pub const BEHIND: usize = 128;
/// Bytes before a number that decide about it.
pub const BEFORE: usize = 128;

/// A number that could be one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// Kind.
    pub kind: NumberKind,
    /// Place of its first character.
    pub at: usize,
    /// Whether its check digits are right.
    pub valid: bool,
    /// Whether it is known to stand for no account.
    pub test: bool,
    /// Whether it is written in the groups of its kind.
    pub grouped: bool,
    /// Whether a word about cards stands beside it.
    pub context: bool,
    /// Tells equal numbers; never leaves this process.
    pub mark: u64,
}

/// Candidates that begin in `from..until`.
pub fn cards(known: &Known, buffer: &[u8], from: usize, until: usize, visit: &mut dyn FnMut(Candidate)) {
    const STRIDE: usize = 13;
    let digit = |at: usize| buffer.get(at).is_some_and(u8::is_ascii_digit);
    let separator = |at: usize| matches!(buffer.get(at), Some(b' ' | b'-'));
    let mut groups = Vec::new();
    let mut at = from + STRIDE - 1;
    while at < buffer.len() {
        let inside = digit(at) || (separator(at) && digit(at + 1));
        if !inside {
            at += STRIDE;
            continue;
        }
        let mut start = if digit(at) { at } else { at + 1 };
        while start > 0 && (digit(start - 1) || (start > 1 && separator(start - 1) && digit(start - 2))) {
            start -= 1;
        }
        let mut end = start;
        groups.clear();
        while digit(end) {
            let begin = end;
            while digit(end) {
                end += 1;
            }
            groups.push((begin, end - begin));
            if !(separator(end) && digit(end + 1)) {
                break;
            }
            end += 1;
        }
        if start >= until {
            return;
        }
        of_run(known, buffer, (start, end), &groups, from..until, visit);
        at = end + STRIDE;
    }
}

/// How cards are printed: lengths of their groups.
const PRINTED: [&[usize]; 4] = [&[4, 4, 4, 4], &[4, 6, 5], &[4, 6, 4], &[4, 4, 4, 4, 3]];

/// Numbers in a run of groups of digits with one character between each two.
fn of_run(known: &Known, buffer: &[u8], run: (usize, usize), groups: &[(usize, usize)], wanted: std::ops::Range<usize>, visit: &mut dyn FnMut(Candidate)) {
    if !is_free_before(buffer, run.0) {
        return;
    }
    let last_is_free = is_free_behind(buffer, run.1);
    let is_free = |first: usize, used: usize| last_is_free || first + used < groups.len();
    let mut next = 0;
    while let Some(&(start, _)) = groups.get(next) {
        let found = if wanted.contains(&start) { grouped(known, buffer, groups, next).or_else(|| single(known, buffer, groups, next)) } else { None };
        match found.filter(|(_, used)| is_free(next, *used)) {
            Some((candidate, used)) => {
                visit(candidate);
                next += used;
            }
            None => next += 1,
        }
    }
}

/// A number written without a break.
fn single(known: &Known, buffer: &[u8], groups: &[(usize, usize)], index: usize) -> Option<(Candidate, usize)> {
    let &(start, length) = groups.get(index)?;
    let hyphen = |at: Option<usize>| at.and_then(|at| buffer.get(at)) == Some(&b'-');
    let is_joined = (index > 0 && hyphen(start.checked_sub(1))) || (index + 1 < groups.len() && hyphen(Some(start + length)));
    if is_joined || !CARD_DIGITS.contains(&length) {
        return None;
    }
    let digits = buffer.get(start..start + length)?;
    judged(known, buffer, start, start + length, digits, false).map(|candidate| (candidate, 1))
}

/// A number written in groups.
fn grouped(known: &Known, buffer: &[u8], groups: &[(usize, usize)], index: usize) -> Option<(Candidate, usize)> {
    let mut first = None;
    for printed in PRINTED {
        let Some(window) = groups.get(index..index + printed.len()) else { continue };
        if !window.iter().zip(printed).all(|((_, length), wanted)| length == wanted) {
            continue;
        }
        let (Some(&(start, _)), Some(&(last, last_length))) = (window.first(), window.last()) else { continue };
        let between = |i: usize| groups.get(i).and_then(|(at, _)| buffer.get(at.checked_sub(1)?)).copied();
        let separator = between(index + 1);
        let even = (index + 1..index + printed.len()).all(|i| between(i) == separator);
        if !even || !stands_apart(buffer, groups, index, printed.len(), separator) {
            continue;
        }
        let mut digits = [0_u8; 19];
        let mut filled = 0;
        for (at, length) in window {
            let (Some(to), Some(from)) = (digits.get_mut(filled..filled + length), buffer.get(*at..at + length)) else { return first };
            to.copy_from_slice(from);
            filled += length;
        }
        let Some(candidate) = judged(known, buffer, start, last + last_length, digits.get(..filled)?, true) else { continue };
        if candidate.valid {
            return Some((candidate, printed.len()));
        }
        first = first.or(Some((candidate, printed.len())));
    }
    first
}

/// Whether groups beside a number can belong to something else than a longer row of groups: an index before it, an
/// expiry date or a check code behind it.
fn stands_apart(buffer: &[u8], groups: &[(usize, usize)], index: usize, count: usize, separator: Option<u8>) -> bool {
    let before = index.checked_sub(1).and_then(|i| groups.get(i));
    if let Some((_, length)) = before
        && (*length > 3 || separator == Some(b'-') && between_is(buffer, groups, index, b'-'))
    {
        return false;
    }
    let behind = index + count;
    let Some(&(at, length)) = groups.get(behind) else { return true };
    if separator == Some(b'-') && between_is(buffer, groups, behind, b'-') {
        return false;
    }
    let is_date = length == 4 && behind + 1 >= groups.len() && matches!(buffer.get(at..at + 2), Some(b"20" | [b'0', b'1'..=b'9'] | [b'1', b'0'..=b'2']));
    length <= 3 || is_date
}

fn between_is(buffer: &[u8], groups: &[(usize, usize)], index: usize, wanted: u8) -> bool {
    groups.get(index).and_then(|(at, _)| buffer.get(at.checked_sub(1)?)) == Some(&wanted)
}

fn judged(known: &Known, buffer: &[u8], start: usize, end: usize, digits: &[u8], grouped: bool) -> Option<Candidate> {
    let issued = known.issued(digits);
    if issued == Issued::No {
        return None;
    }
    let valid = passes_luhn(digits);
    let test = valid && known.is_test_card(digits);
    let is_track = start.checked_sub(1).and_then(|i| buffer.get(i)).is_some_and(|c| matches!(c, b';' | b'B')) && matches!(buffer.get(end), Some(b'=' | b'^'));
    let context = (valid && !test) && (is_track || speaks_of_cards(line_around(buffer, start, end)));
    if issued == Issued::InContext && !context && !(test || grouped) {
        return None;
    }
    Some(Candidate { kind: NumberKind::Card, at: start, valid, test, grouped, context, mark: mark(digits) })
}

/// Whether a run is not the end of a word, a decimal fraction, a path or a signed number.
fn is_free_before(buffer: &[u8], start: usize) -> bool {
    let at = |back: usize| start.checked_sub(back).and_then(|i| buffer.get(i)).copied();
    match at(1) {
        None => true,
        // Escaped line ends of JSON and other quoted text.
        Some(b'n' | b'r' | b't') if at(2) == Some(b'\\') => true,
        // Track 1 of a magnetic stripe (ISO/IEC 7813).
        Some(b'B') if at(2) == Some(b'%') => true,
        // Decimal fractions and names with numbers at their end; "No." and "Nr." may stand before a number.
        Some(b'.') => !at(2).is_some_and(|c| c.is_ascii_alphanumeric() && !matches!(c, b'o' | b'r')),
        Some(c) => !(c.is_ascii_alphanumeric() || matches!(c, b'_' | b'/' | b'+' | b'-' | b'%' | b'@')),
    }
}

fn is_free_behind(buffer: &[u8], end: usize) -> bool {
    let at = |on: usize| buffer.get(end + on).copied();
    match at(0) {
        None => true,
        Some(b'.') => !at(1).is_some_and(|c| c.is_ascii_digit()),
        Some(b'-') => !at(1).is_some_and(|c| c.is_ascii_alphanumeric()),
        Some(c) => !(c.is_ascii_alphanumeric() || matches!(c, b'_' | b'/' | b'+' | b'@' | b'%')),
    }
}

/// The line of a number, as far as it is looked at.
fn line_around(buffer: &[u8], start: usize, end: usize) -> [&[u8]; 2] {
    const REACH_BEFORE: usize = 96;
    const REACH_BEHIND: usize = 32;
    let before = buffer.get(start.saturating_sub(REACH_BEFORE)..start).unwrap_or_default();
    let behind = buffer.get(end..buffer.len().min(end + REACH_BEHIND)).unwrap_or_default();
    let begin = before.iter().rposition(|c| *c == b'\n').map_or(0, |i| i + 1);
    let stop = behind.iter().position(|c| *c == b'\n').unwrap_or(behind.len());
    [before.get(begin..).unwrap_or_default(), behind.get(..stop).unwrap_or_default()]
}

/// Words that stand beside card numbers; whole words, so that wildcards and discarded things are none.
const WORDS: [&str; 35] = [
    "card",
    "cards",
    "cardno",
    "cardnr",
    "cardnum",
    "cardnumber",
    "creditcard",
    "creditcards",
    "debitcard",
    "ccnum",
    "ccnumber",
    "ccno",
    "ccn",
    "pan",
    "visa",
    "mastercard",
    "amex",
    "maestro",
    "jcb",
    "unionpay",
    "diners",
    "kreditkarte",
    "kreditkarten",
    "kreditkartennummer",
    "karte",
    "kartennummer",
    "carte",
    "tarjeta",
    "cvv",
    "cvc",
    "cvv2",
    "cvc2",
    "expiry",
    "expires",
    "cardholder",
];

/// Whether a piece of text speaks of cards.
pub fn speaks_of_cards(pieces: [&[u8]; 2]) -> bool {
    let mut words = pieces.into_iter().flat_map(|piece| piece.split(|c| !c.is_ascii_alphabetic()));
    words.any(|word| (3..20).contains(&word.len()) && WORDS.iter().any(|w| word.eq_ignore_ascii_case(w.as_bytes())))
}

/// IBANs that begin in `from..until`, in capital letters, in one piece or in groups of four.
pub fn ibans(known: &Known, buffer: &[u8], from: usize, until: usize, visit: &mut dyn FnMut(Candidate)) {
    let member = |at: usize| buffer.get(at).is_some_and(|c| c.is_ascii_uppercase() || c.is_ascii_digit());
    let space = |at: usize| buffer.get(at) == Some(&b' ');
    let mut at = from + IBAN_SHORTEST - 1;
    let mut done = from;
    while at < buffer.len() && done < until {
        if !(member(at) || (space(at) && member(at + 1))) {
            at += IBAN_SHORTEST;
            continue;
        }
        let mut start = if member(at) { at } else { at + 1 };
        while start > done && (member(start - 1) || (start > 1 && space(start - 1) && member(start - 2))) {
            start -= 1;
        }
        let mut end = start;
        while end < until && (member(end) || (space(end) && member(end + 1))) {
            if let Some(candidate) = iban_at(known, buffer, end) {
                visit(candidate);
            }
            end += 1;
        }
        done = end;
        at = end + IBAN_SHORTEST;
    }
}

fn iban_at(known: &Known, buffer: &[u8], at: usize) -> Option<Candidate> {
    const LONGEST: usize = 34;
    let [a, b, c, d] = *buffer.get(at..at + 4)?.first_chunk()?;
    if !(a.is_ascii_uppercase() && b.is_ascii_uppercase() && c.is_ascii_digit() && d.is_ascii_digit()) {
        return None;
    }
    let length = known.iban_length([a, b])?;
    let before = at.checked_sub(1).and_then(|i| buffer.get(i)).copied().unwrap_or(b'\n');
    let escaped = matches!(before, b'n' | b'r' | b't') && at.checked_sub(2).and_then(|i| buffer.get(i)) == Some(&b'\\');
    if !escaped && (before.is_ascii_alphanumeric() || matches!(before, b'_' | b'/' | b'+' | b'-' | b'.')) {
        return None;
    }
    let is_grouped = buffer.get(at + 4) == Some(&b' ');
    let (mut text, mut filled, mut here) = ([0_u8; LONGEST], 0, at);
    while filled < length {
        if is_grouped && filled > 0 && filled % 4 == 0 {
            if buffer.get(here) != Some(&b' ') {
                return None;
            }
            here += 1;
        }
        let c = *buffer.get(here).filter(|c| c.is_ascii_uppercase() || c.is_ascii_digit())?;
        *text.get_mut(filled)? = c;
        filled += 1;
        here += 1;
    }
    let ended = buffer.get(here).is_none_or(|c| !(c.is_ascii_alphanumeric() || matches!(c, b'_' | b'/' | b'+' | b'=')));
    let text = text.get(..length)?;
    if !ended || !known.has_structure(text) {
        return None;
    }
    let valid = passes_mod_97(text);
    Some(Candidate { kind: NumberKind::Iban, at, valid, test: valid && known.is_test_iban(text), grouped: is_grouped, context: false, mark: mark(text) })
}

/// Equal numbers have equal marks; the hasher's keys are this process's own.
fn mark(text: &[u8]) -> u64 {
    use std::hash::{BuildHasher as _, RandomState};
    static KEYS: std::sync::LazyLock<RandomState> = std::sync::LazyLock::new(RandomState::new);
    KEYS.hash_one(text)
}

#[cfg(test)]
mod tests {
    use super::super::known::known;
    use super::*;

    fn found(text: &[u8]) -> Vec<(usize, bool, bool, bool)> {
        let mut out = Vec::new();
        cards(known(), text, 0, text.len(), &mut |c| out.push((c.at, c.valid, c.test, c.grouped)));
        out
    }

    fn places(text: &str) -> Vec<usize> {
        found(text.as_bytes()).into_iter().filter(|c| c.1).map(|c| c.0).collect()
    }

    // Valid numbers of nobody: made from the ranges with a right check digit.
    const VISA: &str = "4929571803264415";
    const MASTER: &str = "5312806947183523";
    const AMEX: &str = "374920165839421";

    #[test]
    fn the_made_numbers_are_right() {
        for number in [VISA, MASTER, AMEX] {
            let fixed = (0..10).map(|d| format!("{}{d}", &number[..number.len() - 1])).find(|n| passes_luhn(n.as_bytes())).unwrap();
            assert_eq!(number, fixed);
            assert!(!known().is_test_card(number.as_bytes()));
        }
    }

    #[test]
    fn shapes_that_cards_have() {
        for text in [
            VISA.to_string(),
            format!("card: {VISA}"),
            "4929 5718 0326 4415".into(),
            "4929-5718-0326-4415".into(),
            "1 4929 5718 0326 4415 12 27 123".into(),
            "4929 5718 0326 4415 1227".into(),
            "4929 5718 0326 4415 12/27".into(),
            format!("a,{VISA},b"),
            format!("1,{VISA},2"),
            format!("{{\"n\":\"{MASTER}\"}}"),
            format!("line\\n{MASTER}\\nline"),
            "3749 201658 39421".into(),
            format!("{AMEX}."),
            format!("%B{VISA}^DOE/J^2712"),
            format!(";{VISA}=2712"),
            format!("{VISA}\u{a0}x"),
        ] {
            assert_eq!(places(&text).len(), 1, "{text}");
        }
        assert_eq!(places(&format!("{VISA} {MASTER}\n{AMEX}")), [0, 17, 34]);
    }

    #[test]
    fn shapes_of_other_things() {
        for text in [
            format!("x{VISA}"),
            format!("{VISA}a"),
            format!("0.{VISA}"),
            format!("anon.llvm.{VISA}"),
            format!("{VISA}.5"),
            format!("1{VISA}"),
            format!("{VISA}00000"),
            format!("/img/{VISA}"),
            format!("-{VISA}"),
            format!("{VISA}-abc"),
            format!("12-{VISA}"),
            "DE89 4929 5718 0326 4415 00".into(),
            "1111 4929 5718 0326 4415 2222".into(),
            "4929 5718-0326 4415".into(),
            "4929  5718  0326  4415".into(),
            "49295718 03264415".into(),
            "4929.5718.0326.4415".into(),
            "20261127225900 1795820340123".into(),
        ] {
            assert_eq!(places(&text), Vec::<usize>::new(), "{text}");
        }
    }

    #[test]
    fn thirteen_digits_need_a_word_about_cards() {
        let number = (0..10).map(|d| format!("400638133393{d}")).find(|n| passes_luhn(n.as_bytes())).unwrap();
        assert_eq!(places(&format!("article {number} wildcard discard")), Vec::<usize>::new());
        assert_eq!(places(&format!("Card No {number}")), [8]);
        assert_eq!(places(&format!("cardNumber={number}")), [11]);
    }

    #[test]
    fn ibans_in_their_shapes() {
        let of = |text: &str| {
            let mut out = Vec::new();
            ibans(known(), text.as_bytes(), 0, text.len(), &mut |c| out.push((c.at, c.valid, c.test)));
            out
        };
        // Check digits made for account numbers of nobody.
        let made = |country: &str, rest: &str| (2..99).map(|n| format!("{country}{n:02}{rest}")).find(|i| passes_mod_97(i.as_bytes())).unwrap();
        let de = made("DE", "500700100345678902");
        assert_eq!(of(&format!("IBAN {de}, BIC")), [(5, true, false)]);
        let spaced: String = de.as_bytes().chunks(4).map(|c| String::from_utf8_lossy(c).into_owned()).collect::<Vec<_>>().join(" ");
        assert_eq!(of(&format!("Konto: {spaced} EUR")), [(7, true, false)]);
        assert_eq!(of(&made("NO", "86015557123")), [(0, true, false)]);
        assert_eq!(of("DE89370400440532013000"), [(0, true, true)]);
        let wrong = format!("{}{}", &de[..20], if &de[20..] == "00" { "11" } else { "00" });
        assert_eq!(of(&wrong), [(0, false, false)]);
        for text in [format!("X{de}"), format!("{de}0"), format!("{de}="), format!("/{de}"), "DE12 3456".into(), "XX89370400440532013000".into()] {
            assert_eq!(of(&text), [], "{text}");
        }
    }

    #[test]
    fn what_is_cut_never_panics_and_every_place_is_found_once() {
        let text = format!("{VISA} 4929 5718 0326 4415 12 {AMEX} DE89370400440532013000 x 0.{VISA}\n").repeat(20);
        let bytes = text.as_bytes();
        let all = |from: usize, until: usize| {
            let mut out = Vec::new();
            cards(known(), bytes, from, until, &mut |c| out.push(c.at));
            ibans(known(), bytes, from, until, &mut |c| out.push(c.at));
            out.sort_unstable();
            out
        };
        let whole = all(0, bytes.len());
        for cut in 0..bytes.len() {
            let mut parts = all(0, cut);
            parts.extend(all(cut, bytes.len()));
            assert_eq!(parts, whole, "{cut}");
            cards(known(), &bytes[..cut], 0, cut, &mut |_| {});
            ibans(known(), &bytes[..cut], 0, cut, &mut |_| {});
        }
    }
}
