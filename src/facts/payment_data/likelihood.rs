//! Whether numbers of a file are what they look like.
//!
//! One number in ten has right check digits by chance. So the share of right ones among all different numbers that look
//! alike decides: of a list of cards nearly all are right, of order numbers a tenth. What stands around them is weighed
//! in: groups as on a card, a word about cards in the same line.

use std::collections::HashSet;

use super::numbers::Candidate;
use crate::model::declared::NumberKind;

/// Most different numbers told apart in one file; more of them are counted without.
const DIFFERENT: usize = 200_000;
/// Share of right numbers in a list of real ones: some are typed wrongly.
const REAL: f64 = 0.95;
/// Real numbers are so much rarer than others that look alike, before anything is known of the file.
const RARITY: f64 = 1.0 / 30.0;
/// IBANs look like little else: their country, length and classes fit too.
const RARITY_IBAN: f64 = 1.0 / 5.0;
/// How much rarer than real ones it is that other numbers stand in groups of four, or beside a word about cards.
const AROUND: f64 = 50.0;
/// From these odds on.
const LIKELY: f64 = 10.0;
const POSSIBLE: f64 = 0.1;
/// Chance that so many are right by accident, below which some of them are real whatever the others are.
const NO_ACCIDENT: f64 = 1e-4;
const PERHAPS_NO_ACCIDENT: f64 = 1e-2;

/// What it is taken for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Likelihood {
    /// There is nothing.
    None,
    /// Numbers that are right by accident.
    Unlikely,
    /// It can't be told.
    Possible,
    /// Real ones.
    Likely,
}

/// Different numbers of one kind in one file.
#[derive(Debug, Default)]
pub struct Tally {
    seen: HashSet<u64>,
    /// Different numbers that look alike, test numbers left out.
    pub candidates: u64,
    /// Of these, those with right check digits.
    pub valid: u64,
    /// Different test numbers.
    pub test: u64,
    grouped: u64,
    context: u64,
}

impl Tally {
    /// Counts one; `false` when it was there before.
    pub fn add(&mut self, candidate: &Candidate) -> bool {
        if self.seen.len() < DIFFERENT && !self.seen.insert(candidate.mark) {
            return false;
        }
        if candidate.test {
            self.test += 1;
            return true;
        }
        self.candidates += 1;
        self.valid += u64::from(candidate.valid);
        self.grouped += u64::from(candidate.valid && candidate.grouped);
        self.context += u64::from(candidate.valid && candidate.context);
        true
    }

    /// What they are taken for; `header`: the first line of the file speaks of cards.
    pub fn likelihood(&self, kind: NumberKind, header: bool) -> Likelihood {
        if self.valid == 0 {
            return Likelihood::None;
        }
        let (chance, rarity) = match kind {
            NumberKind::Card => (0.1, RARITY),
            NumberKind::Iban => (1.0 / 97.0, RARITY_IBAN),
        };
        let (right, wrong) = (as_float(self.valid), as_float(self.candidates - self.valid));
        // In logarithms: thousands of numbers leave the range of a double.
        let mut odds = rarity.ln() + right * (REAL / chance).ln() + wrong * ((1.0 - REAL) / (1.0 - chance)).ln();
        let most = |some: u64| some * 2 >= self.valid;
        if most(self.grouped) {
            odds += AROUND.ln();
        }
        if most(self.context) || header {
            odds += AROUND.ln();
        }
        let accident = tail(self.candidates, self.valid, chance);
        if odds >= LIKELY.ln() || accident <= NO_ACCIDENT.ln() {
            Likelihood::Likely
        } else if odds >= POSSIBLE.ln() || accident <= PERHAPS_NO_ACCIDENT.ln() {
            Likelihood::Possible
        } else {
            Likelihood::Unlikely
        }
    }
}

/// An upper bound of the chance that `valid` or more of `all` are right by accident, as a logarithm (Chernoff's bound
/// with the relative entropy); 0 when there are no more than expected.
fn tail(all: u64, valid: u64, chance: f64) -> f64 {
    let (n, share) = (as_float(all), as_float(valid) / as_float(all));
    if share <= chance {
        return 0.0;
    }
    let rest = if share >= 1.0 { 0.0 } else { (1.0 - share) * ((1.0 - share) / (1.0 - chance)).ln() };
    -n * (share * (share / chance).ln() + rest)
}

/// Counts stay far below 2^53.
fn as_float(count: u64) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(candidates: u64, valid: u64, grouped: u64, context: u64) -> Likelihood {
        Tally { candidates, valid, grouped, context, ..Tally::default() }.likelihood(NumberKind::Card, false)
    }

    #[test]
    fn the_share_of_right_numbers_decides() {
        for (candidates, valid, grouped, context, expected) in [
            (5, 0, 0, 0, Likelihood::None),
            (1, 1, 0, 0, Likelihood::Possible),
            (2, 2, 0, 0, Likelihood::Possible),
            (3, 3, 0, 0, Likelihood::Likely),
            (1, 1, 1, 0, Likelihood::Likely),
            (1, 1, 0, 1, Likelihood::Likely),
            (10, 1, 0, 0, Likelihood::Unlikely),
            (1000, 100, 0, 0, Likelihood::Unlikely),
            (1000, 115, 0, 0, Likelihood::Unlikely),
            // Order numbers in a column that is called card: a tenth of them are right.
            (1000, 100, 0, 100, Likelihood::Unlikely),
            (1000, 950, 0, 0, Likelihood::Likely),
            // Cards among twice as many other numbers.
            (60, 26, 0, 0, Likelihood::Likely),
            (10, 5, 0, 0, Likelihood::Possible),
        ] {
            assert_eq!(of(candidates, valid, grouped, context), expected, "{candidates} {valid} {grouped} {context}");
        }
        let iban = Tally { candidates: 1, valid: 1, ..Tally::default() };
        assert_eq!(iban.likelihood(NumberKind::Iban, false), Likelihood::Likely);
    }
}
