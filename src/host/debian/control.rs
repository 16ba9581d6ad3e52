//! Paragraphs of control data (deb-control(5), deb822(5)), streamed.

use std::io::{BufRead, Read as _};

/// Longest line that is kept, bytes; Debian's longest real one is below 200 KiB.
pub const LINE_LIMIT: u64 = 1 << 20;

/// Why control data could not be read on.
#[derive(Debug, thiserror::Error)]
pub enum ControlError {
    /// A read failed.
    #[error("line {0}: {1}")]
    Io(u64, std::io::Error),
    /// A line beyond [`LINE_LIMIT`].
    #[error("line {0} is longer than {LINE_LIMIT} bytes")]
    LongLine(u64),
    /// Neither a field, a continuation, a comment nor an empty line.
    #[error("line {0} is not a field")]
    NotAField(u64),
}

/// Reads paragraph after paragraph and keeps the wanted fields only. Buffers are reused, so a
/// list of a hundred megabytes costs a few kilobytes.
#[derive(Debug)]
pub struct Paragraphs<'w, R> {
    reader: R,
    wanted: &'w [&'w str],
    values: Vec<Field>,
    buffer: Vec<u8>,
    line: u64,
    start: u64,
}

#[derive(Clone, Debug, Default)]
struct Field {
    present: bool,
    line: u64,
    value: Vec<u8>,
}

impl<'w, R: BufRead> Paragraphs<'w, R> {
    /// A reader that keeps the fields `wanted` (any case).
    pub fn new(reader: R, wanted: &'w [&'w str]) -> Self {
        Self { reader, wanted, values: vec![Field::default(); wanted.len()], buffer: Vec::new(), line: 0, start: 0 }
    }

    /// Goes to the next paragraph; `false` at the end.
    pub fn advance(&mut self) -> Result<bool, ControlError> {
        for field in &mut self.values {
            field.present = false;
            field.value.clear();
        }
        self.start = 0;
        let mut current: Option<usize> = None;
        loop {
            if !self.read_line()? {
                return Ok(self.start > 0);
            }
            let text = self.buffer.as_slice();
            match text.first() {
                None if self.start > 0 => return Ok(true),
                None => continue,
                Some(b'#') => continue,
                Some(b' ' | b'\t') if text.iter().all(u8::is_ascii_whitespace) => {
                    if self.start > 0 {
                        return Ok(true);
                    }
                    continue;
                }
                Some(b' ' | b'\t') if self.start > 0 => {
                    if let Some(field) = current.and_then(|i| self.values.get_mut(i)) {
                        field.value.push(b'\n');
                        field.value.extend_from_slice(text.trim_ascii());
                    }
                    continue;
                }
                Some(_) => {}
            }
            let Some(colon) = text.iter().position(|b| *b == b':') else {
                return Err(ControlError::NotAField(self.line));
            };
            let (name, value) = text.split_at(colon);
            if self.start == 0 {
                self.start = self.line;
            }
            current = self.wanted.iter().position(|w| w.as_bytes().eq_ignore_ascii_case(name));
            if let Some(field) = current.and_then(|i| self.values.get_mut(i)) {
                field.present = true;
                field.line = self.line;
                field.value.clear();
                field.value.extend_from_slice(value.get(1..).unwrap_or_default().trim_ascii());
            }
        }
    }

    /// Value of the wanted field at `index`; continuation lines are joined by line feeds.
    pub fn bytes(&self, index: usize) -> Option<&[u8]> {
        self.values.get(index).filter(|f| f.present).map(|f| f.value.as_slice())
    }

    /// The same as text; bytes that are not UTF-8 replaced.
    pub fn text(&self, index: usize) -> Option<String> {
        self.bytes(index).map(|b| String::from_utf8_lossy(b).into_owned())
    }

    /// Line of the paragraph's first field, from 1.
    pub const fn paragraph_line(&self) -> u64 {
        self.start
    }

    /// Line of the wanted field at `index`.
    pub fn field_line(&self, index: usize) -> u64 {
        self.values.get(index).filter(|f| f.present).map_or(self.start, |f| f.line)
    }

    fn read_line(&mut self) -> Result<bool, ControlError> {
        self.buffer.clear();
        self.line += 1;
        let line = self.line;
        let read = self.reader.by_ref().take(LINE_LIMIT + 1).read_until(b'\n', &mut self.buffer).map_err(|e| ControlError::Io(line, e))?;
        if read as u64 > LINE_LIMIT {
            return Err(ControlError::LongLine(line));
        }
        while matches!(self.buffer.last(), Some(b'\n' | b'\r')) {
            self.buffer.pop();
        }
        Ok(read > 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wanted_fields_with_their_lines() {
        let text = "\n# note\nPackage: a\nDescription: long\n more\n .\nVERSION:  1 \n\n\nPackage: b\n\n";
        let mut reader = Paragraphs::new(text.as_bytes(), &["Package", "Version", "Description"]);
        assert!(reader.advance().unwrap());
        assert_eq!((reader.text(0).unwrap().as_str(), reader.text(1).unwrap().as_str(), reader.paragraph_line()), ("a", "1", 3));
        assert_eq!((reader.text(2).unwrap().as_str(), reader.field_line(1)), ("long\nmore\n.", 7));
        assert!(reader.advance().unwrap());
        assert_eq!((reader.text(0).unwrap().as_str(), reader.text(1), reader.paragraph_line()), ("b", None, 10));
        assert!(!reader.advance().unwrap());
    }

    #[test]
    fn what_is_not_a_field_is_named_by_line() {
        let mut reader = Paragraphs::new("Package: a\nnonsense\n".as_bytes(), &["Package"]);
        assert!(matches!(reader.advance(), Err(ControlError::NotAField(2))));
        let long = vec![b'x'; LINE_LIMIT as usize + 2];
        let mut reader = Paragraphs::new(long.as_slice(), &["Package"]);
        assert!(matches!(reader.advance(), Err(ControlError::LongLine(1))));
    }
}
