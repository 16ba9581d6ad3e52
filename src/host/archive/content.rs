//! What streams out of a file, looked at as it passes: archive, dump or stream of a database.

use super::recognise::{HEAD, recognise};
use super::{tar, xbstream};

/// Bytes of the end that are kept.
const TAIL: usize = 4096;
/// First lines of dumps, and the line that each ends with when it was not broken off.
const LAST_LINES: &[(&str, &str)] = &[
    ("PostgreSQL database cluster dump", "PostgreSQL database cluster dump complete"),
    ("PostgreSQL database dump", "PostgreSQL database dump complete"),
    ("MySQL dump", "-- Dump completed"),
    ("MariaDB dump", "-- Dump completed"),
    ("BEGIN TRANSACTION;", "COMMIT;"),
];

/// What was told by the content.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Told {
    /// Format, such as `tar`, `sql`, `xbstream`.
    pub word: &'static str,
    /// What is wrong.
    pub fault: Option<String>,
    /// Whether its own structure shows that nothing is missing at the end.
    pub ends: bool,
    /// Small files inside that tell what a backup of a database holds: name and content.
    pub kept: Vec<(String, Vec<u8>)>,
}

/// Content on its way by.
#[derive(Debug, Default)]
pub(super) struct Content {
    head: Vec<u8>,
    word: Option<&'static str>,
    tar: tar::Walk,
    stream: xbstream::Walk,
    tail: Vec<u8>,
    something: bool,
}

impl Content {
    pub(super) fn take(&mut self, bytes: &[u8]) {
        self.something |= bytes.iter().any(|b| *b != 0);
        self.tail.extend_from_slice(bytes.get(bytes.len().saturating_sub(TAIL)..).unwrap_or_default());
        self.tail.drain(..self.tail.len().saturating_sub(TAIL));
        if self.word.is_some() {
            return self.pass(bytes);
        }
        self.head.extend_from_slice(bytes);
        if self.head.len() >= HEAD {
            self.decide();
        }
    }

    fn decide(&mut self) {
        self.word = Some(recognise(self.head.get(..HEAD.min(self.head.len())).unwrap_or_default()).word);
        let head = std::mem::take(&mut self.head);
        self.pass(&head);
        self.head = head;
        self.head.truncate(HEAD);
    }

    fn pass(&mut self, bytes: &[u8]) {
        match self.word {
            Some("tar") => self.tar.take(bytes),
            Some("xbstream") => self.stream.take(bytes),
            _ => {}
        }
    }

    pub(super) fn told(mut self) -> Told {
        if self.word.is_none() {
            self.decide();
        }
        let word = self.word.unwrap_or("unknown");
        let (fault, ends) = match word {
            "empty" => (Some("there is nothing in it".into()), false),
            _ if !self.something => (Some("it holds zeros only".into()), false),
            "tar" => (self.tar.verdict(), true),
            "xbstream" => (self.stream.verdict(), true),
            "sql" => self.last_line(),
            _ => (None, false),
        };
        let kept = if word == "tar" { self.tar.kept } else { self.stream.kept };
        Told { word, fault, ends, kept }
    }

    fn last_line(&self) -> (Option<String>, bool) {
        let (head, tail) = (String::from_utf8_lossy(&self.head), String::from_utf8_lossy(&self.tail));
        match LAST_LINES.iter().find(|(first, _)| head.contains(first)) {
            Some((_, last)) if tail.contains(last) => (None, true),
            Some((_, last)) => (Some(format!("the dump is cut short: its last line, {last:?}, is missing")), true),
            None => (None, false),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(text: &[u8], step: usize) -> Told {
        let mut content = Content::default();
        text.chunks(step).for_each(|c| content.take(c));
        content.told()
    }

    #[test]
    fn dumps_end_with_their_line() {
        let rows = "INSERT INTO t VALUES (1);\n".repeat(1000);
        let dump = format!("--\n-- PostgreSQL database dump\n--\n{rows}--\n-- PostgreSQL database dump complete\n--\n\n");
        for step in [100, 4096, 1 << 20] {
            let said = told(dump.as_bytes(), step);
            assert_eq!((said.word, said.fault, said.ends), ("sql", None, true));
            assert!(told(&dump.as_bytes()[..dump.len() / 2], step).fault.unwrap().contains("cut short"));
        }
        let cluster = "-- PostgreSQL database cluster dump\n-- PostgreSQL database dump\n-- PostgreSQL database dump complete\n";
        assert!(told(cluster.as_bytes(), 9).fault.is_some());
        assert_eq!(told(b"", 1).fault.unwrap(), "there is nothing in it");
        assert_eq!(told(&[0; 9000], 1000).fault.unwrap(), "it holds zeros only");
        assert_eq!(told(b"id;name\n1;x\n", 5), Told { word: "text", ..Told::default() });
    }
}
