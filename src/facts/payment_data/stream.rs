//! One stream of bytes, looked through piece by piece: nothing of it is kept but counts and places.

use super::known::Known;
use super::likelihood::Tally;
use super::numbers::{BEFORE, BEHIND, Candidate, cards, ibans, speaks_of_cards};
use crate::model::declared::NumberKind;

/// Bytes that decide what the stream is.
const HEAD: usize = 4096;
/// Most places kept of one kind.
const PLACES: usize = 20;
/// Longest first line that is taken for the head of a table, bytes.
const HEADER: usize = 1024;

/// Where a number begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// Line, from 1; 0 where the stream is no text.
    pub line: u64,
    /// Byte, from 0.
    pub offset: u64,
}

/// What was found of one kind.
#[derive(Debug, Default)]
pub struct Found {
    /// Counts.
    pub tally: Tally,
    /// The first places of right numbers.
    pub places: Vec<Place>,
}

/// How the characters are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Encoding {
    Bytes,
    /// Two bytes each; the index of the one that holds ASCII.
    Utf16(usize),
}

/// A search through one stream.
#[derive(Debug)]
pub struct Search<'k> {
    known: &'k Known,
    wanted: &'k [NumberKind],
    encoding: Option<Encoding>,
    text: bool,
    head: Vec<u8>,
    half: Option<u8>,
    /// What has still to be looked at, with what stands before it.
    buffer: Vec<u8>,
    /// Characters before the buffer.
    base: u64,
    /// Characters of the buffer that were looked at.
    done: usize,
    /// Lines that ended before the buffer.
    lines: u64,
    header: bool,
    cards: Found,
    ibans: Found,
}

impl std::fmt::Debug for Known {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Known")
    }
}

impl<'k> Search<'k> {
    /// For these kinds.
    pub fn new(known: &'k Known, wanted: &'k [NumberKind]) -> Self {
        Self {
            known,
            wanted,
            encoding: None,
            text: true,
            head: Vec::new(),
            half: None,
            buffer: Vec::new(),
            base: 0,
            done: 0,
            lines: 0,
            header: false,
            cards: Found::default(),
            ibans: Found::default(),
        }
    }

    /// The next bytes.
    pub fn feed(&mut self, bytes: &[u8]) {
        if self.encoding.is_some() {
            self.take(bytes);
            return;
        }
        self.head.extend_from_slice(bytes);
        if self.head.len() >= HEAD {
            self.begin();
        }
    }

    /// The end: what was found of cards and of IBANs, and whether the first line speaks of cards.
    pub fn finish(mut self) -> (Found, Found, bool) {
        if self.encoding.is_none() {
            self.begin();
        }
        self.look(self.buffer.len());
        (self.cards, self.ibans, self.header)
    }

    fn begin(&mut self) {
        let head = std::mem::take(&mut self.head);
        let (encoding, text) = encoding_of(head.get(..HEAD).unwrap_or(&head));
        (self.encoding, self.text) = (Some(encoding), text);
        self.append(&head);
        let line = self.buffer.split(|c| *c == b'\n').next().unwrap_or_default();
        let is_table = line.len() < HEADER && line.iter().any(|c| matches!(c, b',' | b';' | b'\t' | b'|'));
        self.header = self.text && is_table && speaks_of_cards([line, &[]]);
        self.advance();
    }

    fn take(&mut self, bytes: &[u8]) {
        self.append(bytes);
        self.advance();
    }

    fn append(&mut self, bytes: &[u8]) {
        match self.encoding {
            Some(Encoding::Utf16(ascii)) => self.take_pairs(bytes, ascii),
            _ => self.buffer.extend_from_slice(bytes),
        }
    }

    fn advance(&mut self) {
        if self.buffer.len() >= HEAD + BEHIND {
            self.look(self.buffer.len() - BEHIND);
            self.forget();
        }
    }

    fn take_pairs(&mut self, bytes: &[u8], ascii: usize) {
        let mut bytes = bytes;
        if let Some(first) = self.half.take() {
            let Some((second, rest)) = bytes.split_first() else {
                self.half = Some(first);
                return;
            };
            self.buffer.push(character([first, *second], ascii));
            bytes = rest;
        }
        let pairs = bytes.chunks_exact(2);
        self.half = pairs.remainder().first().copied();
        self.buffer.extend(pairs.map(|pair| match pair {
            [a, b] => character([*a, *b], ascii),
            _ => OTHER,
        }));
    }

    fn look(&mut self, until: usize) {
        let mut seen: Vec<Candidate> = Vec::new();
        if self.wanted.contains(&NumberKind::Card) {
            cards(self.known, &self.buffer, self.done, until, &mut |c| seen.push(c));
        }
        if self.wanted.contains(&NumberKind::Iban) {
            ibans(self.known, &self.buffer, self.done, until, &mut |c| seen.push(c));
        }
        for candidate in seen {
            let is_card = candidate.kind == NumberKind::Card;
            let found = if is_card { &mut self.cards } else { &mut self.ibans };
            let is_new = found.tally.add(&candidate);
            if is_new && candidate.valid && !candidate.test && found.places.len() < PLACES {
                // Lines are counted for the few places that are kept.
                let place = self.place(candidate.at);
                let found = if is_card { &mut self.cards } else { &mut self.ibans };
                found.places.push(place);
            }
        }
        self.done = until;
    }

    fn place(&self, at: usize) -> Place {
        let width = if matches!(self.encoding, Some(Encoding::Utf16(_))) { 2 } else { 1 };
        let line = if self.text { self.lines + newlines(self.buffer.get(..at).unwrap_or_default()) + 1 } else { 0 };
        Place { line, offset: (self.base + at as u64) * width }
    }

    /// Lets go of what was looked at but for what stands before the next number.
    fn forget(&mut self) {
        let gone = self.done.saturating_sub(BEFORE);
        if self.text {
            self.lines += newlines(self.buffer.get(..gone).unwrap_or_default());
        }
        self.buffer.drain(..gone);
        self.base += gone as u64;
        self.done -= gone;
    }
}

/// Stands for a character that is no ASCII, and ends whatever number is beside it as a letter would not.
const OTHER: u8 = 0xff;

fn character(pair: [u8; 2], ascii: usize) -> u8 {
    match (pair, ascii) {
        ([c, 0], 0) | ([0, c], 1) => c,
        _ => OTHER,
    }
}

fn newlines(bytes: &[u8]) -> u64 {
    bytes.iter().filter(|c| **c == b'\n').count() as u64
}

/// Encoding by mark or by where zeros stand, and whether it is text.
fn encoding_of(head: &[u8]) -> (Encoding, bool) {
    match head {
        [0xff, 0xfe, ..] => return (Encoding::Utf16(0), true),
        [0xfe, 0xff, ..] => return (Encoding::Utf16(1), true),
        _ => {}
    }
    let pairs = head.chunks_exact(2);
    let (total, mut low, mut high) = (pairs.len(), 0, 0);
    for pair in pairs {
        match pair {
            [c, 0] if *c != 0 => low += 1,
            [0, c] if *c != 0 => high += 1,
            _ => {}
        }
    }
    let most = |count: usize| total >= 4 && count * 10 >= total * 7;
    if most(low) {
        (Encoding::Utf16(0), true)
    } else if most(high) {
        (Encoding::Utf16(1), true)
    } else {
        (Encoding::Bytes, !head.contains(&0))
    }
}

#[cfg(test)]
mod tests {
    use super::super::known::{known, passes_luhn};
    use super::*;

    fn number() -> String {
        (0..10).map(|d| format!("492957180326441{d}")).find(|n| passes_luhn(n.as_bytes())).unwrap()
    }

    fn search(bytes: &[u8], piece: usize) -> (Vec<Place>, u64, bool) {
        let mut search = Search::new(known(), &NumberKind::ALL);
        bytes.chunks(piece).for_each(|c| search.feed(c));
        let (cards, _, header) = search.finish();
        (cards.places, cards.tally.valid, header)
    }

    #[test]
    fn places_do_not_depend_on_how_it_arrives() {
        let mut text = "a line of text without anything\n".repeat(1000);
        let offset = text.len() as u64;
        text.push_str(&format!("x {}\n", number()));
        text.push_str(&"more\n".repeat(3000));
        for piece in [1, 7, 64, 4096, 5000, 1 << 20] {
            let (places, valid, _) = search(text.as_bytes(), piece);
            assert_eq!((places, valid), (vec![Place { line: 1001, offset: offset + 2 }], 1), "{piece}");
        }
    }

    #[test]
    fn wide_characters_are_read_in_both_orders() {
        let text = format!("Konto\r\nKarte {}\r\n", number());
        for little in [true, false] {
            let bytes: Vec<u8> = text.encode_utf16().flat_map(|u| if little { u.to_le_bytes() } else { u.to_be_bytes() }).collect();
            for piece in [1, 3, 1 << 16] {
                assert_eq!(search(&bytes, piece).0, [Place { line: 2, offset: 26 }], "{little} {piece}");
            }
        }
    }

    #[test]
    fn the_head_of_a_table_is_context_and_binary_has_no_lines() {
        assert!(search(format!("id,name,card_number\n1,x,{}\n", number()).as_bytes(), 9).2);
        assert!(!search(format!("id,name,wildcard\n1,x,{}\n", number()).as_bytes(), 9).2);
        let binary = format!("\0\0\x01{}\0", number());
        assert_eq!(search(binary.as_bytes(), 5).0, [Place { line: 0, offset: 3 }]);
    }
}
