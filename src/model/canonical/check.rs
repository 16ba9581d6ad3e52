//! Whether bytes are canonical JSON, told while they stream by: nothing is built and nothing kept
//! but the key before, so that hostile bytes cost their first fault and no memory.

use super::{MAX_DEPTH, MAX_KEY};

/// Where bytes stop being canonical JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not canonical JSON at byte {at}: {what}")]
pub struct NotCanonical {
    /// Offset of the first byte that does not fit, from 0.
    pub at: u64,
    /// What is wrong there.
    pub what: &'static str,
}

/// Reads one value, piece by piece.
#[derive(Debug)]
pub struct Checker {
    at: u64,
    open: Vec<Level>,
    state: State,
    /// The key being read.
    key: Vec<u8>,
}

impl Default for Checker {
    fn default() -> Self {
        Self { at: 0, open: Vec::new(), state: State::Value, key: Vec::new() }
    }
}

/// An array or object that is not closed yet.
#[derive(Debug)]
enum Level {
    Array,
    /// The key before: the next must be greater.
    Object(Option<Vec<u8>>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// A value begins.
    Value,
    /// A value begins, or the array ends.
    FirstItem,
    /// A key begins, or the object ends.
    FirstKey,
    Key,
    Colon,
    /// A value has ended.
    After,
    Text(Text),
    Number(Number),
    /// `true`, `false`, `null`: what is still to come.
    Word(&'static [u8]),
}

/// A string or key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Text {
    is_key: bool,
    part: Part,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    Plain,
    Backslash,
    /// Digits of `\u00XX` still to come, and their value so far.
    Hex(u8, u8),
    /// Bytes of a character still to come, and the range of the next one (RFC 3629 section 4).
    Utf8(u8, u8, u8),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Number {
    negative: bool,
    digits: u8,
    value: u128,
}

/// Digits of the largest number, 2^64 - 1.
const MAX_DIGITS: u8 = 20;

type Step = Result<State, &'static str>;

impl Checker {
    /// Reads on.
    pub fn feed(&mut self, bytes: &[u8]) -> Result<(), NotCanonical> {
        let mut rest = bytes;
        while let Some((&byte, tail)) = rest.split_first() {
            // Most bytes are inside strings: taken in one stride.
            if let State::Text(Text { is_key: false, part: Part::Plain }) = self.state {
                let plain = rest.iter().position(|b| matches!(b, b'"' | b'\\' | 0..=0x1f | 0x80..)).unwrap_or(rest.len());
                if plain > 0 {
                    self.at += plain as u64;
                    rest = rest.get(plain..).unwrap_or_default();
                    continue;
                }
            }
            self.state = self.step(byte).map_err(|what| NotCanonical { at: self.at, what })?;
            self.at += 1;
            rest = tail;
        }
        Ok(())
    }

    /// The value has ended.
    pub fn finish(mut self) -> Result<(), NotCanonical> {
        let at = self.at;
        let fail = |what| NotCanonical { at, what };
        if let State::Number(number) = self.state {
            self.state = number.end().map_err(fail)?;
        }
        if self.state == State::After && self.open.is_empty() { Ok(()) } else { Err(fail("it ends within a value")) }
    }

    fn step(&mut self, byte: u8) -> Step {
        match (self.state, byte) {
            (State::FirstItem, b']') | (State::FirstKey, b'}') => self.close(byte),
            (State::Value | State::FirstItem, _) => self.begin(byte),
            (State::FirstKey | State::Key, b'"') => {
                self.key.clear();
                Ok(State::Text(Text { is_key: true, part: Part::Plain }))
            }
            (State::FirstKey | State::Key, _) => Err("a key in quotes must stand here"),
            (State::Colon, b':') => Ok(State::Value),
            (State::Colon, _) => Err("a colon must stand here"),
            (State::Word([next, rest @ ..]), byte) if byte == *next => Ok(if rest.is_empty() { State::After } else { State::Word(rest) }),
            (State::Word(_), _) => Err("it is no word of JSON"),
            (State::Number(number), b'0'..=b'9') => number.digit(byte - b'0'),
            (State::Number(number), _) => {
                self.state = number.end()?;
                self.step(byte)
            }
            (State::Text(text), _) => self.text(text, byte),
            (State::After, b']' | b'}') => self.close(byte),
            (State::After, b',') => match self.open.last() {
                Some(Level::Array) => Ok(State::Value),
                Some(Level::Object(_)) => Ok(State::Key),
                None => Err("the value has ended"),
            },
            (State::After, _) => Err("a comma or the end must stand here"),
        }
    }

    fn begin(&mut self, byte: u8) -> Step {
        if self.open.len() > MAX_DEPTH {
            return Err("it is nested too deep");
        }
        match byte {
            b'{' => {
                self.open.push(Level::Object(None));
                Ok(State::FirstKey)
            }
            b'[' => {
                self.open.push(Level::Array);
                Ok(State::FirstItem)
            }
            b'"' => Ok(State::Text(Text { is_key: false, part: Part::Plain })),
            b't' => Ok(State::Word(b"rue")),
            b'f' => Ok(State::Word(b"alse")),
            b'n' => Ok(State::Word(b"ull")),
            b'-' => Ok(State::Number(Number { negative: true, digits: 0, value: 0 })),
            b'0'..=b'9' => Ok(State::Number(Number { negative: false, digits: 1, value: u128::from(byte - b'0') })),
            _ => Err("a value must stand here"),
        }
    }

    fn close(&mut self, byte: u8) -> Step {
        match (self.open.pop(), byte) {
            (Some(Level::Array), b']') | (Some(Level::Object(_)), b'}') => Ok(State::After),
            _ => Err("another bracket must stand here"),
        }
    }

    fn text(&mut self, text: Text, byte: u8) -> Step {
        let on = |part| Ok(State::Text(Text { part, ..text }));
        match (text.part, byte) {
            (Part::Plain, b'"') if text.is_key => self.key_ends(),
            (Part::Plain, b'"') => Ok(State::After),
            (Part::Plain, b'\\') => on(Part::Backslash),
            (Part::Plain, 0..=0x1f) => Err("a control character stands unescaped"),
            (Part::Plain, 0x80..) if text.is_key => Err("a key is not ASCII"),
            (Part::Plain, 0xc2..=0xdf) => on(Part::Utf8(1, 0x80, 0xbf)),
            (Part::Plain, 0xe0) => on(Part::Utf8(2, 0xa0, 0xbf)),
            (Part::Plain, 0xed) => on(Part::Utf8(2, 0x80, 0x9f)),
            (Part::Plain, 0xe1..=0xef) => on(Part::Utf8(2, 0x80, 0xbf)),
            (Part::Plain, 0xf0) => on(Part::Utf8(3, 0x90, 0xbf)),
            (Part::Plain, 0xf1..=0xf3) => on(Part::Utf8(3, 0x80, 0xbf)),
            (Part::Plain, 0xf4) => on(Part::Utf8(3, 0x80, 0x8f)),
            (Part::Plain, 0x80..) => Err("it is not UTF-8"),
            (Part::Plain, _) => self.put(text, byte),
            (Part::Utf8(left, least, most), _) if (least..=most).contains(&byte) => on(if left == 1 { Part::Plain } else { Part::Utf8(left - 1, 0x80, 0xbf) }),
            (Part::Utf8(..), _) => Err("it is not UTF-8"),
            (Part::Backslash, b'"' | b'\\') => self.put(text, byte),
            (Part::Backslash, b'b') => self.put(text, 8),
            (Part::Backslash, b't') => self.put(text, b'\t'),
            (Part::Backslash, b'n') => self.put(text, b'\n'),
            (Part::Backslash, b'f') => self.put(text, 12),
            (Part::Backslash, b'r') => self.put(text, b'\r'),
            (Part::Backslash, b'u') => on(Part::Hex(4, 0)),
            (Part::Backslash, _) => Err("it is no canonical escape"),
            (Part::Hex(left, value), b'0'..=b'9') => self.hex(text, left, value << 4 | (byte - b'0')),
            (Part::Hex(left, value), b'a'..=b'f') => self.hex(text, left, value << 4 | (byte - b'a' + 10)),
            (Part::Hex(..), _) => Err("it is no canonical escape"),
        }
    }

    /// One digit of an escape: only control characters without a letter of their own are written so.
    fn hex(&mut self, text: Text, left: u8, value: u8) -> Step {
        // 0, 0, 0 or 1, and the last: so nothing is shifted out.
        if matches!(left, 3..) && value != 0 || left == 2 && value > 1 {
            return Err("it is no canonical escape");
        }
        if left > 1 {
            return Ok(State::Text(Text { part: Part::Hex(left - 1, value), ..text }));
        }
        if matches!(value, 8 | 9 | 10 | 12 | 13) { Err("it is no canonical escape") } else { self.put(text, value) }
    }

    /// One character of a string or key.
    fn put(&mut self, text: Text, character: u8) -> Step {
        if text.is_key {
            if self.key.len() >= MAX_KEY {
                return Err("a key is too long");
            }
            self.key.push(character);
        }
        Ok(State::Text(Text { part: Part::Plain, ..text }))
    }

    fn key_ends(&mut self) -> Step {
        let Some(Level::Object(before)) = self.open.last_mut() else { return Err("a key stands outside an object") };
        match before {
            Some(before) if *before == self.key => Err("a key stands twice"),
            Some(before) if *before > self.key => Err("keys are not sorted"),
            Some(before) => {
                std::mem::swap(before, &mut self.key);
                Ok(State::Colon)
            }
            None => {
                *before = Some(std::mem::take(&mut self.key));
                Ok(State::Colon)
            }
        }
    }
}

impl Number {
    fn digit(self, digit: u8) -> Step {
        if self.digits > 0 && self.value == 0 {
            return Err("a number begins with zero");
        }
        if self.digits >= MAX_DIGITS {
            return Err("a number is out of range");
        }
        Ok(State::Number(Self { digits: self.digits + 1, value: self.value * 10 + u128::from(digit), ..self }))
    }

    fn end(self) -> Step {
        let most = if self.negative { 1 << 63 } else { u128::from(u64::MAX) };
        match (self.digits, self.value) {
            (0, _) => Err("a number has no digits"),
            (_, 0) if self.negative => Err("zero has a sign"),
            (_, value) if value > most => Err("a number is out of range"),
            _ => Ok(State::After),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::to_bytes;
    use super::*;
    use serde_json::json;

    fn check(bytes: &[u8]) -> Result<(), NotCanonical> {
        let mut whole = Checker::default();
        let result = whole.feed(bytes).and_then(|()| whole.finish());
        let mut pieces = Checker::default();
        let piecewise = bytes.chunks(1).try_for_each(|b| pieces.feed(b)).and_then(|()| pieces.finish());
        assert_eq!(result, piecewise, "{:?}", String::from_utf8_lossy(bytes));
        result
    }

    #[test]
    fn what_is_written_passes() {
        let mut deep = json!(1);
        for _ in 0..MAX_DEPTH {
            deep = json!([deep]);
        }
        let every: String = (0..0x200).chain([0x7ff, 0x800, 0xd7ff, 0xe000, 0xffff, 0x1_0000, 0x10_ffff]).filter_map(char::from_u32).collect();
        let values = [
            json!(null),
            json!(0),
            json!([]),
            json!({}),
            json!([true, false, null, [], {}, ""]),
            json!({"": 1, "A": {"z": [{"b": -1, "b\u{1}": u64::MAX}]}, "a\"\\\n": i64::MIN}),
            json!(every),
            deep,
        ];
        for value in values {
            check(&to_bytes(&value).unwrap()).unwrap();
        }
    }

    #[test]
    fn every_other_spelling_is_refused_where_it_differs() {
        let cases: [(&[u8], &str); 34] = [
            (b"", "ends within"),
            (b" 1", "a value must stand"),
            (b"1 ", "a comma or the end"),
            (b"[1", "ends within"),
            (b"[1,]", "a value must stand"),
            (b"[,1]", "a value must stand"),
            (b"[1}", "another bracket"),
            (b"{\"a\":1]", "another bracket"),
            (b"{\"a\" :1}", "a colon"),
            (b"{a:1}", "a key in quotes"),
            (b"{\"a\":1,}", "a key in quotes"),
            (b"{\"a\":1,\"a\":2}", "a key stands twice"),
            (b"{\"b\":1,\"a\":2}", "not sorted"),
            ("{\"é\":1}".as_bytes(), "not ASCII"),
            (b"1,2", "the value has ended"),
            (b"NaN", "a value must stand"),
            (b"Infinity", "a value must stand"),
            (b"-Infinity", "no digits"),
            (b"nul", "ends within"),
            (b"nulL", "no word"),
            (b"01", "begins with zero"),
            (b"-0", "a sign"),
            (b"1.0", "a comma or the end"),
            (b"1e3", "a comma or the end"),
            (b"+1", "a value must stand"),
            (b"18446744073709551616", "out of range"),
            (b"-9223372036854775809", "out of range"),
            (b"\"\xff\"", "not UTF-8"),
            (b"\"\xed\xa0\x80\"", "not UTF-8"),
            (b"\"\xc0\x80\"", "not UTF-8"),
            (b"\"\n\"", "unescaped"),
            (b"\"\\u0041\"", "no canonical escape"),
            (b"\"\\u000a\"", "no canonical escape"),
            (b"\"\\u001B\"", "no canonical escape"),
        ];
        for (bytes, why) in cases {
            let error = check(bytes).unwrap_err();
            assert!(error.to_string().contains(why), "{:?}: {error}", String::from_utf8_lossy(bytes));
        }
    }

    #[test]
    fn depth_keys_and_numbers_end_at_their_limit() {
        let deep = "[".repeat(1_000_000);
        assert_eq!(check(deep.as_bytes()).unwrap_err(), NotCanonical { at: MAX_DEPTH as u64 + 1, what: "it is nested too deep" });
        let key = |length: usize| format!("{{\"{}\":1}}", "k".repeat(length));
        check(key(MAX_KEY).as_bytes()).unwrap();
        assert_eq!(check(key(MAX_KEY + 1).as_bytes()).unwrap_err().what, "a key is too long");
        assert_eq!(check("9".repeat(10_000).as_bytes()).unwrap_err().at, u64::from(MAX_DIGITS));
    }
}
