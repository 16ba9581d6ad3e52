//! Samples that an auditor can draw again by hand.
//!
//! ```text
//! rank = SHA-256(seed LF control LF kind LF item)      UTF-8, LF = one byte 0x0a; compared as 64 hexadecimal digits
//! sample = the items of the population with the smallest ranks, in that order, at most as many as were asked for
//! ```
//! | kind | population | item |
//! |---|---|---|
//! | `host` | `population.csv` | host id |
//! | `scan` | `windows.csv`, all but open ones | host id, blank, window |
//! | `change` | `changes.csv` | number of the ledger entry |
//! | `person` | `people.csv` | person |
//! | `record` | `records.csv`, all with an entry | record type, blank, entry |

use std::collections::BinaryHeap;

use super::material::Sampling;
use super::paper::Sample;
use crate::model::ids::Digest;

/// Longest seed, characters.
pub const MAX_SEED: usize = 100;

/// The recipe in one sentence, for people.
pub const RECIPE: &str = "Each item of the population has the rank SHA-256(seed, control, kind, item), the four as UTF-8 with one line feed (0x0a) between them; \
     the items with the smallest ranks, compared as hexadecimal digits, are the sample, in that order.";

/// One item that may be drawn.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    /// Unique within its population.
    pub item: String,
    /// For people.
    pub title: String,
}

/// Rank of an item.
pub fn rank(seed: &str, control: &str, kind: &str, item: &str) -> Digest {
    Digest::of(format!("{seed}\n{control}\n{kind}\n{item}").as_bytes())
}

/// Draws from a population for a control; never more than there are.
pub fn draw(sampling: &Sampling, control: &str, kind: &'static str, population: &[Item]) -> Vec<Sample> {
    let size = usize::try_from(sampling.size).unwrap_or(usize::MAX).min(population.len());
    // The greatest of those kept is on top, to give way to a smaller one.
    let mut kept: BinaryHeap<(Digest, &str, usize)> = BinaryHeap::with_capacity(size.saturating_add(1));
    for (place, one) in population.iter().enumerate() {
        kept.push((rank(&sampling.seed, control, kind, &one.item), &one.item, place));
        if kept.len() > size {
            kept.pop();
        }
    }
    let drawn = kept.into_sorted_vec().into_iter();
    drawn
        .zip(1..)
        .filter_map(|((rank, item, place), number)| Some(Sample { number, kind, item: item.to_string(), title: population.get(place)?.title.clone(), rank }))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn population(n: usize) -> Vec<Item> {
        (0..n).map(|i| Item { item: format!("item {i}"), title: String::new() }).collect()
    }

    fn drawn(seed: &str, control: &str, size: u32, n: usize) -> Vec<String> {
        draw(&Sampling { seed: seed.into(), size }, control, "host", &population(n)).into_iter().map(|s| s.item).collect()
    }

    #[test]
    fn the_same_seed_draws_the_same_and_another_one_others() {
        let first = drawn("2026 audit", "CC6.1", 10, 1000);
        assert_eq!(first, drawn("2026 audit", "CC6.1", 10, 1000));
        assert_ne!(first, drawn("2027 audit", "CC6.1", 10, 1000));
        assert_ne!(first, drawn("2026 audit", "CC6.2", 10, 1000));
        assert_eq!(first[..3], drawn("2026 audit", "CC6.1", 3, 1000));
        let mut unsorted = population(1000);
        unsorted.reverse();
        let again: Vec<String> = draw(&Sampling { seed: "2026 audit".into(), size: 10 }, "CC6.1", "host", &unsorted).into_iter().map(|s| s.item).collect();
        assert_eq!(first, again, "the order of the population does not matter");
    }

    #[test]
    fn never_more_than_there_are() {
        assert_eq!(drawn("s", "c", u32::MAX, 3).len(), 3);
        assert_eq!(drawn("s", "c", 0, 3), [""; 0]);
        assert_eq!(drawn("s", "c", 5, 0), [""; 0]);
    }

    #[test]
    fn a_rank_is_what_sha256sum_prints() {
        // printf '42\nCC6.1\nhost\nweb01' | sha256sum
        assert_eq!(rank("42", "CC6.1", "host", "web01").to_string(), RANK);
    }
    const RANK: &str = "4cbb9c6130a69a3dd8f35c71340233ebce14f4ca0c3f2c3fd9906bcc7b294baa";
}
