//! How long an endpoint gets to begin an answer, from how quick it was so far.

use std::time::Duration;

/// Least time for an answer to begin once the endpoint answered something: its process may have to
/// be started, and its machine may be busy.
const FLOOR: Duration = Duration::from_millis(300);
/// The same before it answered anything, beside four round trips: slow ones take a third of a second.
const FIRST: Duration = Duration::from_millis(500);
/// Time between two questions, beside two round trips, unless the earlier one was answered.
const STAGGER: Duration = Duration::from_millis(50);

/// Smoothed time to the first byte of an answer and its variation (RFC 6298 section 2).
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    trip: Duration,
    answer: Option<(Duration, Duration)>,
}

impl Pace {
    /// Of an endpoint to which connecting took `trip`.
    pub const fn new(trip: Duration) -> Self {
        Self { trip, answer: None }
    }

    /// An answer began after this time.
    pub fn answered(&mut self, took: Duration) {
        self.answer = Some(match self.answer {
            None => (took, took / 2),
            Some((smoothed, variation)) => (smoothed * 7 / 8 + took / 8, variation * 3 / 4 + smoothed.abs_diff(took) / 4),
        });
    }

    /// Time for the next answer to begin; `None` while the endpoint never answered.
    pub fn patience(&self) -> Option<Duration> {
        self.answer.map(|(smoothed, variation)| (smoothed + variation * 4).max(FLOOR))
    }

    /// Time for the first answer of an endpoint that never answered to begin.
    pub fn first(&self) -> Duration {
        FIRST + self.trip * 4
    }

    /// Least time for an answer to begin.
    pub fn least(&self) -> Duration {
        FLOOR + self.trip * 2
    }

    /// Time after which another question may be put beside one that is not answered yet.
    pub fn stagger(&self) -> Duration {
        STAGGER + self.trip * 2
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(n: u64) -> Duration {
        Duration::from_millis(n)
    }

    #[test]
    fn patience_follows_the_endpoint() {
        let mut pace = Pace::new(ms(1));
        assert_eq!((pace.patience(), pace.stagger()), (None, ms(52)));
        pace.answered(ms(2));
        assert_eq!(pace.patience(), Some(FLOOR));
        let mut slow = Pace::new(ms(1));
        slow.answered(ms(300));
        assert_eq!(slow.patience(), Some(ms(900)));
        for _ in 0..50 {
            slow.answered(ms(300));
        }
        assert!(slow.patience().is_some_and(|p| p >= ms(300) && p < ms(400)), "{slow:?}");
    }
}
