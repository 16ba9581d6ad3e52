//! Characters and words of one logical line.

use super::Item;

/// A logical line and the place that was reached.
#[derive(Debug)]
pub struct Parser {
    /// The line.
    pub chars: Vec<char>,
    /// Index of the next character.
    pub at: usize,
}

impl Parser {
    /// At the start of a line.
    pub fn new(line: &str) -> Self {
        Self { chars: line.chars().collect(), at: 0 }
    }

    /// Passes over characters.
    pub fn skip(&mut self, count: usize) {
        self.at += count;
    }

    /// The character that many places ahead.
    pub fn peek_at(&self, ahead: usize) -> Option<char> {
        self.chars.get(self.at + ahead).copied()
    }

    /// The next character.
    pub fn peek(&self) -> Option<char> {
        self.peek_at(0)
    }

    /// Passes over blanks.
    pub fn blanks(&mut self) {
        while self.peek().is_some_and(char::is_whitespace) {
            self.at += 1;
        }
    }

    /// End of line, or a comment (`#` that does not begin a numeric id).
    pub fn at_end(&self) -> bool {
        match self.peek() {
            None => true,
            Some('#') => !self.peek_at(1).is_some_and(|c| c.is_ascii_digit()),
            _ => false,
        }
    }

    /// Whether a word comes next.
    pub fn starts_with(&self, word: &str) -> bool {
        word.chars().enumerate().all(|(i, c)| self.peek_at(i) == Some(c))
    }

    /// Passes over one character if it is next.
    pub fn take(&mut self, c: char) -> bool {
        let hit = self.peek() == Some(c);
        self.at += usize::from(hit);
        hit
    }

    /// A word followed by a blank.
    pub fn take_word(&mut self, word: &str) -> bool {
        let length = word.chars().count();
        let hit = self.starts_with(word) && self.peek_at(length).is_some_and(char::is_whitespace);
        if hit {
            self.at += length;
            self.blanks();
        }
        hit
    }

    /// Path of an include.
    pub fn include_path(&mut self) -> String {
        self.blanks();
        let path = self.text(|c| c.is_whitespace());
        path.trim().to_string()
    }

    /// Text up to an unescaped, unquoted character that `ends`.
    pub fn text(&mut self, ends: impl Fn(char) -> bool) -> String {
        let mut out = String::new();
        let mut quoted = false;
        while let Some(c) = self.peek() {
            if c == '"' {
                quoted = !quoted;
            } else if c == '\\' {
                self.at += 1;
                match self.peek() {
                    Some('x') if self.hex().is_some() => {
                        out.extend(self.hex());
                        self.at += 2;
                    }
                    Some(next) => out.push(next),
                    None => break,
                }
            } else if !quoted && ((ends(c) && !(c == ':' && out.ends_with('%'))) || (c == '#' && !out.is_empty() && !out.ends_with('%'))) {
                break;
            } else {
                out.push(c);
            }
            self.at += 1;
        }
        out
    }

    /// `xHH` at the cursor.
    pub fn hex(&self) -> Option<char> {
        let digit = |c: Option<char>| c.and_then(|c| c.to_digit(16));
        char::from_u32(digit(self.peek_at(1))? * 16 + digit(self.peek_at(2))?)
    }

    /// Whether an odd number of `!` comes next.
    pub fn negation(&mut self) -> bool {
        let mut negated = false;
        loop {
            self.blanks();
            if !self.take('!') {
                return negated;
            }
            negated = !negated;
        }
    }

    /// Items separated by commas.
    pub fn list(&mut self, ends: impl Fn(char) -> bool + Copy) -> Result<Vec<Item>, &'static str> {
        let mut out = Vec::new();
        loop {
            let negated = self.negation();
            let text = self.text(|c| c == ',' || c.is_whitespace() || ends(c));
            if text.is_empty() {
                return Err("a list item is missing");
            }
            out.push(Item { negated, ..Item::plain(text) });
            self.blanks();
            if !self.take(',') {
                return Ok(out);
            }
        }
    }
}
