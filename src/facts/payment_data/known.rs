//! What numbers of payment cards and IBANs look like, and which stand for no account: `rules/data/card-issuer-ranges.csv`,
//! `rules/data/iban-countries.csv`, `rules/data/payment-test-numbers.csv`.

use std::collections::{HashMap, HashSet};
use std::sync::LazyLock;

const RANGES: &str = include_str!("../../../rules/data/card-issuer-ranges.csv");
const COUNTRIES: &str = include_str!("../../../rules/data/iban-countries.csv");
const TEST_NUMBERS: &str = include_str!("../../../rules/data/payment-test-numbers.csv");

/// Fewest and most digits of a card number.
pub const CARD_DIGITS: std::ops::RangeInclusive<usize> = 13..=19;
/// Fewest characters of an IBAN (Norway).
pub const IBAN_SHORTEST: usize = 15;
/// A number of fewer different digits is somebody's example.
const DIFFERENT_DIGITS: u32 = 4;

/// Class of a character of an IBAN.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Class {
    Digit,
    Letter,
    Either,
}

struct Range {
    first: u64,
    last: u64,
    prefix: usize,
    lengths: Vec<usize>,
    alone: bool,
}

/// The tables.
pub struct Known {
    ranges: Vec<Range>,
    countries: HashMap<[u8; 2], Vec<Class>>,
    test_cards: HashSet<u64>,
    test_ibans: HashSet<Vec<u8>>,
}

/// What the first digits and the length of a number say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Issued {
    /// No scheme issues such cards.
    No,
    /// Some does.
    Yes,
    /// Some does, but so many other things look alike that a word about cards must stand beside it.
    InContext,
}

/// The tables, read once.
pub fn known() -> &'static Known {
    static KNOWN: LazyLock<Known> = LazyLock::new(|| Known {
        ranges: rows(RANGES).filter_map(range).collect(),
        countries: rows(COUNTRIES).filter_map(country).collect(),
        test_cards: numbers("card").filter_map(|n| n.parse().ok()).collect(),
        test_ibans: numbers("iban").map(|n| n.as_bytes().to_vec()).collect(),
    });
    &KNOWN
}

impl Known {
    /// Whether a scheme issues numbers that begin so, of this length.
    pub fn issued(&self, digits: &[u8]) -> Issued {
        let mut found = Issued::No;
        for range in self.ranges.iter().filter(|r| r.lengths.contains(&digits.len())) {
            let Some(first) = digits.get(..range.prefix).map(value) else { continue };
            if (range.first..=range.last).contains(&first) {
                if range.alone {
                    return Issued::Yes;
                }
                found = Issued::InContext;
            }
        }
        found
    }

    /// Whether a card number stands for no account.
    pub fn is_test_card(&self, digits: &[u8]) -> bool {
        let different = digits.iter().fold(0_u16, |seen, d| seen | 1 << (d & 15)).count_ones();
        different < DIFFERENT_DIGITS || self.test_cards.contains(&value(digits))
    }

    /// Whether an IBAN is a published example.
    pub fn is_test_iban(&self, characters: &[u8]) -> bool {
        self.test_ibans.contains(characters)
    }

    /// Length of an IBAN of the country; `None` when the country has none.
    pub fn iban_length(&self, country: [u8; 2]) -> Option<usize> {
        self.countries.get(&country).map(|c| c.len() + 4)
    }

    /// Whether what follows the check digits has the classes of the country.
    pub fn has_structure(&self, characters: &[u8]) -> bool {
        let [a, b, _, _, rest @ ..] = characters else { return false };
        let Some(classes) = self.countries.get(&[*a, *b]) else { return false };
        let fits = |(class, c): (&Class, &u8)| match class {
            Class::Digit => c.is_ascii_digit(),
            Class::Letter => c.is_ascii_uppercase(),
            Class::Either => c.is_ascii_uppercase() || c.is_ascii_digit(),
        };
        classes.len() == rest.len() && classes.iter().zip(rest).all(fits)
    }
}

/// Luhn's check (ISO/IEC 7812-1 annex B) over ASCII digits.
pub fn passes_luhn(digits: &[u8]) -> bool {
    let sum: u32 = digits
        .iter()
        .rev()
        .enumerate()
        .map(|(i, d)| {
            let d = u32::from(d & 15);
            let doubled = if i % 2 == 1 { d * 2 } else { d };
            if doubled > 9 { doubled - 9 } else { doubled }
        })
        .sum();
    sum.is_multiple_of(10)
}

/// The check of ISO 7064 MOD 97-10 over an IBAN, its first four characters moved behind the rest.
pub fn passes_mod_97(characters: &[u8]) -> bool {
    let (head, rest) = characters.split_at(characters.len().min(4));
    let remainder = rest.iter().chain(head).fold(0_u32, |sum, c| match c {
        b'0'..=b'9' => (sum * 10 + u32::from(c - b'0')) % 97,
        b'A'..=b'Z' => (sum * 100 + u32::from(c - b'A') + 10) % 97,
        _ => 0,
    });
    remainder == 1
}

fn value(digits: &[u8]) -> u64 {
    digits.iter().fold(0, |sum: u64, d| sum.wrapping_mul(10).wrapping_add(u64::from(d & 15)))
}

/// Lines of a table behind its comments and its head.
fn rows(text: &'static str) -> impl Iterator<Item = Vec<&'static str>> {
    text.lines().filter(|l| !l.starts_with('#')).skip(1).map(|l| l.split(',').collect())
}

fn range(row: Vec<&str>) -> Option<Range> {
    let [_, first, last, lengths, alone] = row.as_slice() else { return None };
    let lengths = lengths.split(' ').filter_map(|n| n.parse().ok()).collect();
    Some(Range { first: first.parse().ok()?, last: last.parse().ok()?, prefix: first.len(), lengths, alone: *alone == "yes" })
}

fn country(row: Vec<&str>) -> Option<([u8; 2], Vec<Class>)> {
    let [code, length, structure] = row.as_slice() else { return None };
    let mut classes = Vec::new();
    for part in structure.split(' ') {
        let (count, class) = part.split_at_checked(part.len().checked_sub(1)?)?;
        let class = match class {
            "n" => Class::Digit,
            "a" => Class::Letter,
            _ => Class::Either,
        };
        classes.extend(std::iter::repeat_n(class, count.parse().ok()?));
    }
    let code = code.as_bytes().first_chunk()?;
    (length.parse().ok() == Some(classes.len() + 4)).then_some((*code, classes))
}

fn numbers(kind: &'static str) -> impl Iterator<Item = &'static str> {
    rows(TEST_NUMBERS).filter(move |row| row.first() == Some(&kind)).filter_map(|row| row.get(1).copied())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_of_the_tables_is_used() {
        let known = known();
        assert_eq!(known.ranges.len(), rows(RANGES).count());
        assert_eq!(known.countries.len(), rows(COUNTRIES).count());
        assert_eq!(known.test_cards.len() + known.test_ibans.len(), rows(TEST_NUMBERS).count());
        for number in numbers("card") {
            assert!(passes_luhn(number.as_bytes()) && known.is_test_card(number.as_bytes()), "{number}");
            let (head, last) = number.split_at(number.len() - 1);
            assert!(!passes_luhn(format!("{head}{}", if last == "9" { 0 } else { last.parse::<u8>().unwrap() + 1 }).as_bytes()), "{number}");
        }
        for number in numbers("iban") {
            assert!(passes_mod_97(number.as_bytes()) && known.has_structure(number.as_bytes()), "{number}");
        }
    }

    #[test]
    fn ranges_and_lengths() {
        let issued = |n: &str| known().issued(n.as_bytes());
        assert_eq!(issued("4929000000000000"), Issued::Yes);
        assert_eq!(issued("4929000000000"), Issued::InContext);
        assert_eq!(issued("492900000000000"), Issued::No);
        assert_eq!((issued("2221000000000000"), issued("2220000000000000"), issued("2721000000000000")), (Issued::Yes, Issued::No, Issued::No));
        assert_eq!((issued("371449635398432"), issued("1234567890123456"), issued("")), (Issued::Yes, Issued::No, Issued::No));
        assert!(known().is_test_card(b"4848484848484848") && !known().is_test_card(b"4929123456781234"));
    }
}
