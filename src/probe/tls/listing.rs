//! What a server has of a kind, found by leaving out what it chose until it refuses.

/// Most codes of one offer: wolfSSL drops hellos of more than 150 suites.
const AT_ONCE: usize = 128;

/// One list in the making: suites of a version, groups, signature schemes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Listing {
    /// What it chose, in that order.
    pub found: Vec<u16>,
    /// What is still to be offered, most wanted first.
    left: Vec<u16>,
    /// How it ended; `None` while it goes on.
    pub end: Option<Ending>,
    was_repeated: bool,
    is_by_hanging_up: bool,
}

/// How a list ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ending {
    /// The server refused all that was left.
    Complete,
    /// It was not told to its end: why.
    Cut(String),
}

/// What the server did with one offer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Choice {
    /// It chose this.
    Chose(u16),
    /// It refused, and said so.
    Refused,
    /// It hung up, which is how some servers refuse.
    HungUp,
    /// It did not answer.
    Unanswered(String),
}

impl Listing {
    /// Of everything in `all`, of which `first` was chosen already.
    pub fn new(all: &[u16], first: Option<u16>) -> Self {
        let mut listing = Self { left: all.to_vec(), ..Self::default() };
        if let Some(code) = first {
            listing.take(Choice::Chose(code));
        }
        listing
    }

    /// What to offer next, at most [`AT_ONCE`]; `None` when there is nothing more to ask.
    pub fn offer(&self) -> Option<Vec<u16>> {
        (self.end.is_none() && !self.left.is_empty()).then(|| self.left.iter().take(AT_ONCE).copied().collect())
    }

    /// Takes the answer to [`Listing::offer`].
    pub fn take(&mut self, choice: Choice) {
        match choice {
            Choice::Chose(code) => {
                let was_offered = self.left.contains(&code);
                self.left.retain(|c| *c != code);
                if !self.found.contains(&code) {
                    self.found.push(code);
                }
                // A server that chooses what was not offered does not listen: leaving out tells nothing more.
                if !was_offered || self.left.is_empty() {
                    self.end = Some(Ending::Complete);
                }
            }
            Choice::Refused => self.skip(),
            // Asked once more, without others beside it.
            Choice::HungUp | Choice::Unanswered(_) if !self.was_repeated => self.was_repeated = true,
            Choice::HungUp => {
                self.is_by_hanging_up = true;
                self.skip();
            }
            Choice::Unanswered(why) => self.end = Some(Ending::Cut(why)),
        }
    }

    /// Nothing of what was offered is there.
    fn skip(&mut self) {
        self.left.drain(..self.left.len().min(AT_ONCE));
        self.was_repeated = false;
        if self.left.is_empty() {
            self.end = Some(Ending::Complete);
        }
    }

    /// Whether its end was seen as a closed connection only: then what was found is offered once more, and
    /// without an answer to that the list is not at its end.
    pub const fn is_to_be_confirmed(&self) -> bool {
        self.is_by_hanging_up
    }

    /// The server does not even answer what it answered before.
    pub fn refute(&mut self, why: &str) {
        if self.is_by_hanging_up {
            self.end = Some(Ending::Cut(why.into()));
        }
    }

    /// Goes on with more codes after the end.
    pub fn extend(&mut self, more: &[u16]) {
        if self.end == Some(Ending::Complete) {
            self.was_repeated = false;
            self.left = more.iter().copied().filter(|c| !self.found.contains(c)).collect();
            self.end = if self.left.is_empty() { Some(Ending::Complete) } else { None };
        }
    }

    /// Ends it where it is.
    pub fn cut(&mut self, why: &str) {
        self.end.get_or_insert_with(|| Ending::Cut(why.into()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_ends_with_a_refusal_or_after_a_second_silence() {
        let mut listing = Listing::new(&[1, 2, 3], Some(2));
        assert_eq!(listing.offer(), Some(vec![1, 3]));
        listing.take(Choice::Unanswered("silent".into()));
        assert_eq!(listing.offer(), Some(vec![1, 3]));
        listing.take(Choice::Chose(3));
        listing.take(Choice::Refused);
        assert_eq!((listing.found.as_slice(), &listing.end), (&[2, 3][..], &Some(Ending::Complete)));
        listing.extend(&[2, 7]);
        assert_eq!(listing.offer(), Some(vec![7]));
        listing.take(Choice::Unanswered("silent".into()));
        listing.take(Choice::Unanswered("silent".into()));
        assert_eq!(listing.end, Some(Ending::Cut("silent".into())));
    }

    #[test]
    fn a_list_that_ends_in_a_closed_connection_is_confirmed_or_refuted() {
        let mut listing = Listing::new(&[1, 2, 3], Some(2));
        listing.take(Choice::HungUp);
        assert!(listing.offer().is_some() && !listing.is_to_be_confirmed());
        listing.take(Choice::HungUp);
        assert!(listing.end == Some(Ending::Complete) && listing.is_to_be_confirmed());
        listing.refute("closed");
        assert_eq!(listing.end, Some(Ending::Cut("closed".into())));
    }

    #[test]
    fn a_server_that_does_not_listen_is_not_asked_for_ever() {
        let mut listing = Listing::new(&[1, 2], Some(9));
        assert_eq!((listing.offer(), listing.found.as_slice()), (None, &[9][..]));
        listing = Listing::new(&[1], Some(1));
        assert_eq!(listing.offer(), None);
        listing.cut("time");
        assert_eq!(listing.end, Some(Ending::Complete));
    }
}
