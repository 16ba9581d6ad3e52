//! Repository metadata as a stream of nodes, each one bounded.

use std::cell::Cell;
use std::io::{BufRead, Read};
use std::rc::Rc;

use quick_xml::Reader;
use quick_xml::events::{BytesStart, Event};

/// Longest single node (the description of an advisory), bytes.
const NODE_LIMIT: usize = 4 << 20;
/// Deepest nesting.
const DEPTH_LIMIT: usize = 64;

/// One node; names come without their namespace.
#[derive(Debug)]
pub enum Node<'a> {
    /// A start tag; of an empty element a [`Node::Close`] follows.
    Open(&'a str, &'a Attributes<'a>),
    /// Text, references resolved; one element may have it in several pieces.
    Text(&'a str),
    /// An end tag.
    Close(&'a str),
}

/// Attributes of a start tag.
#[derive(Debug)]
pub struct Attributes<'a>(&'a BytesStart<'a>);

impl Attributes<'_> {
    /// Value of an attribute; empty when it is not there.
    pub fn of(&self, name: &str) -> String {
        let found = self.0.attributes().with_checks(false).flatten().find(|a| a.key.as_ref() == name);
        found.map(|a| resolved(&a.value)).unwrap_or_default()
    }
}

/// Calls `act` for every node; `false` ends the walk. An error says what is wrong.
pub fn walk(input: impl BufRead, mut act: impl FnMut(Node<'_>) -> bool) -> Result<(), String> {
    let left = Rc::new(Cell::new(NODE_LIMIT));
    let mut reader = Reader::from_reader(Bounded { inner: input, left: Rc::clone(&left) });
    reader.config_mut().check_end_names = true;
    let mut buffer = Vec::new();
    let mut depth = 0usize;
    loop {
        buffer.clear();
        left.set(NODE_LIMIT);
        let event = reader.read_event_into(&mut buffer).map_err(|e| format!("byte {}: {e}", reader.error_position()))?;
        let goes_on = match &event {
            Event::Start(tag) => {
                depth += 1;
                if depth > DEPTH_LIMIT {
                    return Err(format!("byte {}: nested too deeply", reader.buffer_position()));
                }
                act(Node::Open(&name_of(tag), &Attributes(tag)))
            }
            Event::Empty(tag) => {
                let name = name_of(tag);
                act(Node::Open(&name, &Attributes(tag))) && act(Node::Close(&name))
            }
            Event::End(tag) => {
                depth = depth.saturating_sub(1);
                act(Node::Close(tag.local_name().as_ref()))
            }
            Event::Text(text) => act(Node::Text(text)),
            Event::CData(text) => act(Node::Text(text)),
            Event::GeneralRef(name) => act(Node::Text(&reference(name).unwrap_or_default())),
            Event::Eof if depth > 0 => return Err("ends before its last element does".into()),
            Event::Eof => return Ok(()),
            _ => true,
        };
        if !goes_on {
            return Ok(());
        }
    }
}

fn name_of(tag: &BytesStart<'_>) -> String {
    tag.local_name().as_ref().to_string()
}

/// The five references of XML and those by number; others are no part of these formats.
fn reference(name: &str) -> Option<String> {
    let character = match name {
        "lt" => '<',
        "gt" => '>',
        "amp" => '&',
        "quot" => '"',
        "apos" => '\'',
        _ => {
            let number = name.strip_prefix('#')?;
            let code = match number.strip_prefix('x') {
                Some(hexadecimal) => u32::from_str_radix(hexadecimal, 16).ok()?,
                None => number.parse().ok()?,
            };
            char::from_u32(code)?
        }
    };
    Some(character.to_string())
}

fn resolved(value: &str) -> String {
    let mut out = String::new();
    let mut rest = value;
    while let Some((before, after)) = rest.split_once('&') {
        out.push_str(before);
        match after.split_once(';').and_then(|(name, tail)| reference(name).map(|text| (text, tail))) {
            Some((text, tail)) => {
                out.push_str(&text);
                rest = tail;
            }
            None => {
                out.push('&');
                rest = after;
            }
        }
    }
    out.push_str(rest);
    out
}

/// Gives at most `left` bytes until somebody sets it anew.
struct Bounded<R> {
    inner: R,
    left: Rc<Cell<usize>>,
}

impl<R: BufRead> Read for Bounded<R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        self.inner.read(buffer)
    }
}

impl<R: BufRead> BufRead for Bounded<R> {
    fn fill_buf(&mut self) -> std::io::Result<&[u8]> {
        if self.left.get() == 0 {
            return Err(std::io::Error::other("a node is longer than is read"));
        }
        self.inner.fill_buf()
    }

    fn consume(&mut self, amount: usize) {
        self.left.set(self.left.get().saturating_sub(amount));
        self.inner.consume(amount);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> Result<String, String> {
        let mut out = String::new();
        walk(text.as_bytes(), |node| {
            match node {
                Node::Open(name, attributes) => out.push_str(&format!("<{name} {}>", attributes.of("a"))),
                Node::Text(text) => out.push_str(text.trim()),
                Node::Close(name) => out.push_str(&format!("</{name}>")),
            }
            true
        })?;
        Ok(out)
    }

    #[test]
    fn names_attributes_text_and_references() {
        assert_eq!(shown("<?xml version='1.0'?><r:x a='1&amp;&#50;'>t&lt;u<y/><![CDATA[<c>]]></r:x>").unwrap(), "<x 1&2>t<u<y ></y><c></x>");
    }

    #[test]
    fn cut_deep_and_endless_documents_are_errors() {
        assert!(shown("<x><y></y>").is_err());
        assert!(shown("<x></y>").is_err());
        assert!(shown(&"<x>".repeat(100)).unwrap_err().contains("too deeply"));
        let endless = std::io::BufReader::new(b"<x>".chain(std::io::repeat(b'a')));
        assert!(walk(endless, |_| true).unwrap_err().contains("longer than is read"));
        let endless = std::io::BufReader::new(b"<x a='".chain(std::io::repeat(b'a')));
        assert!(walk(endless, |_| true).is_err());
        assert!(shown("<!DOCTYPE x [<!ENTITY a 'b'><!ENTITY c '&a;&a;'>]><x>&c;</x>").is_ok_and(|s| !s.contains("bb")));
    }
}
