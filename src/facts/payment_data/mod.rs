//! Card numbers and IBANs in declared paths: how many and where, never a digit of one.
//!
//! Regular files are read as streams, text and wide text and binary alike, and what gzip, zstd, xz and zip pack. A number
//! counts when its first digits, length, groups, surroundings and check digits are those of its kind; whether a file
//! holds real ones is told from the share of right check digits (`likelihood`).

mod container;
mod known;
mod likelihood;
mod numbers;
mod stream;

use std::io::Read;
use std::time::{Duration, Instant};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use self::container::{Unread, streams};
use self::known::known;
use self::likelihood::Likelihood;
use self::stream::{Found, Search};
use super::{Document, HostFamily};
use crate::host::block::mounts::Mounts;
use crate::host::{FileKind, Host, ReadError};
use crate::model::declared::{NumberKind, SearchPath};
use crate::model::fact::Source;
use crate::model::gap::{Gaps, reason};
use crate::model::pattern;
use crate::model::report::Cadence;

/// Most files read below one path.
const FILES: u64 = 2_000_000;
/// Longest search through everything declared.
const TIME: Duration = Duration::from_secs(300);
/// Deepest folder, levels below the declared one.
const DEPTH: usize = 64;
/// Most files named of one path and kind.
const NAMED: usize = 200;
/// Places named of one file.
const PLACES: usize = 5;
/// What could not be read and is named in one gap.
const NAMED_UNREAD: usize = 3;
/// Bytes read at a time.
const PIECE: usize = 256 << 10;

/// What was looked for, and what was found.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PaymentData {
    /// Declared paths, by subject.
    pub paths: Vec<Searched>,
}

impl Document for PaymentData {
    const NAME: &'static str = "payment_data";
    const TITLE: &'static str = "Card numbers and IBANs in declared paths: counts and places, never a number";
    const CADENCE: Cadence = Cadence::Monthly;
}

/// One declared path.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Searched {
    /// The path as declared.
    pub subject: String,
    /// What was looked for: `card`, `iban`.
    pub kinds: Vec<String>,
    /// Different card numbers in files that likely hold real ones.
    pub cards: u64,
    /// Places of these, `PATH:LINE` (`PATH@BYTE` in files that are no text, `PATH!MEMBER:LINE` inside archives), by path.
    pub cards_likely: Vec<String>,
    /// Places of numbers of which it can't be told whether they are cards.
    pub cards_possible: Vec<String>,
    /// Files in which so few of the numbers that look alike have right check digits that these are right by accident.
    pub cards_accidental: u64,
    /// Different IBANs in files that likely hold real ones.
    pub ibans: u64,
    /// Places of these.
    pub ibans_likely: Vec<String>,
    /// Places of texts of which it can't be told whether they are IBANs.
    pub ibans_possible: Vec<String>,
    /// Numbers that providers publish for tests (`rules/data/payment-test-numbers.csv`), counted once for each file; they are no finding.
    pub test_numbers: u64,
    /// Files read to their end.
    #[schemars(extend("x-volatile" = true))]
    pub files: u64,
    /// Bytes read of them, unpacked.
    #[schemars(extend("x-volatile" = true))]
    pub bytes: u64,
    /// Where the search began; the declaration names no file of the machine.
    pub source: Source,
}

impl HostFamily for PaymentData {
    fn gather(host: &Host, gaps: &mut Gaps) -> Option<Self> {
        Some(within(host, gaps, Instant::now() + TIME))
    }
}

fn within(host: &Host, gaps: &mut Gaps, until: Instant) -> PaymentData {
    let declared = &host.declared().search;
    // A dead network mount would hold the search.
    let mounts = if declared.is_empty() || !host.is_live() { None } else { Mounts::read(host).ok() };
    let mut paths = Vec::new();
    let mut buffer = vec![0; PIECE];
    for search in declared {
        let mut walk = Walk::new(host, search, mounts.as_ref(), until, &mut buffer);
        walk.start();
        let (searched, missed) = walk.finish();
        for (id, detail, remedy) in missed {
            for kind in &searched.kinds {
                gaps.note(PaymentData::NAME, &format!("paths.{kind}s_likely"), &searched.subject, id, detail.clone(), remedy);
            }
        }
        paths.push(searched);
    }
    paths.sort_by(|a, b| a.subject.cmp(&b.subject));
    PaymentData { paths }
}

/// Reason, detail and remedy of what was not seen.
type Missed = (&'static str, String, &'static str);

/// The search below one declared path.
struct Walk<'a> {
    host: &'a Host,
    declared: &'a SearchPath,
    wanted: Vec<NumberKind>,
    mounts: Option<&'a Mounts>,
    until: Instant,
    buffer: &'a mut Vec<u8>,
    searched: Searched,
    /// What can't be read, of each reason the first ones.
    unread: Vec<ReadError>,
    unread_more: u64,
    opaque: Vec<String>,
    opaque_more: u64,
    missed: Vec<Missed>,
    looked_at: u64,
    left: u64,
    is_over: bool,
}

impl<'a> Walk<'a> {
    fn new(host: &'a Host, declared: &'a SearchPath, mounts: Option<&'a Mounts>, until: Instant, buffer: &'a mut Vec<u8>) -> Self {
        let mut wanted = if declared.kinds.is_empty() { NumberKind::ALL.to_vec() } else { declared.kinds.clone() };
        wanted.sort();
        wanted.dedup();
        let subject = match declared.path.trim_end_matches('/') {
            "" => "/",
            path => path,
        };
        let kinds = wanted.iter().map(|k| k.word().to_string()).collect();
        let searched = Searched { subject: subject.into(), kinds, source: Source::whole(subject), ..Searched::default() };
        Self {
            host,
            declared,
            wanted,
            mounts,
            until,
            buffer,
            searched,
            unread: Vec::new(),
            unread_more: 0,
            opaque: Vec::new(),
            opaque_more: 0,
            missed: Vec::new(),
            looked_at: 0,
            left: declared.max_bytes,
            is_over: false,
        }
    }

    fn start(&mut self) {
        let path = self.searched.subject.clone();
        match self.host.stat(&path) {
            Ok(stat) if stat.kind == FileKind::Folder => self.folder(&path, 0),
            Ok(stat) if stat.kind == FileKind::File => self.file(&path),
            Ok(_) => self.missed.push((reason::MALFORMED, format!("{path} is neither a file nor a folder"), "Correct the declaration.")),
            Err(e) if e.is_not_found() => self.missed.push((reason::MISSING, format!("nothing is at {path}"), "Correct the declaration.")),
            Err(e) => self.unread(e),
        }
    }

    fn folder(&mut self, path: &str, depth: usize) {
        if self.is_excluded(path) || self.is_over {
            return;
        }
        if self.mounts.is_some_and(|m| m.is_remote(path)) && depth > 0 {
            let detail = format!("{path} is a network or FUSE mount and was not entered");
            self.missed.push((reason::UNSUPPORTED, detail, "Declare it by itself, or search where the files are kept."));
            return;
        }
        if depth > DEPTH {
            self.missed.push((reason::LIMIT_REACHED, format!("{path}: folders are nested deeper than {DEPTH}"), "Declare the deeper folder by itself."));
            return;
        }
        let entries = match self.host.list(path) {
            Ok(entries) => entries,
            Err(e) => return self.unread(e),
        };
        for entry in entries {
            let child = if path == "/" { format!("/{}", entry.name) } else { format!("{path}/{}", entry.name) };
            match entry.kind {
                FileKind::Folder => self.folder(&child, depth + 1),
                FileKind::File => self.file(&child),
                FileKind::Link | FileKind::Other => {}
            }
            if self.is_over {
                return;
            }
        }
    }

    fn is_excluded(&self, path: &str) -> bool {
        self.declared.exclude.iter().any(|p| pattern::matches(p, path))
    }

    fn unread(&mut self, error: ReadError) {
        // What was removed meanwhile holds nothing.
        if error.is_not_found() {
            return;
        }
        if self.unread.len() < NAMED_UNREAD {
            self.unread.push(error);
        } else {
            self.unread_more += 1;
        }
    }

    fn ended_by(&mut self, what: &str, remedy: &'static str) {
        let detail = format!("the search ended after {} files and {} bytes: limit on {what}", self.searched.files, self.searched.bytes);
        self.missed.push((reason::LIMIT_REACHED, detail, remedy));
        self.is_over = true;
    }

    fn file(&mut self, path: &str) {
        if self.is_excluded(path) {
            return;
        }
        self.looked_at += 1;
        if self.looked_at > FILES {
            return self.ended_by("the number of files", "Declare parts of it, or exclude what can't hold payment data.");
        }
        let host = self.host;
        let mut cut = None;
        let unread = streams(host, path, &mut |member, stream| {
            let shown = if member.is_empty() { path.to_string() } else { format!("{path}!{member}") };
            cut = self.stream(&shown, stream)?;
            Ok(cut.is_none())
        });
        let whole = unread.is_empty();
        for problem in unread {
            match problem {
                Unread::Failed(e) => self.unread(e),
                Unread::Limit(detail) => self.missed.push((reason::LIMIT_REACHED, detail, "Unpack it elsewhere and search there.")),
                Unread::Opaque(what) if self.opaque.len() < NAMED_UNREAD => self.opaque.push(what),
                Unread::Opaque(_) => self.opaque_more += 1,
            }
        }
        match cut {
            Some("bytes") => self.ended_by("max_bytes", "Raise max_bytes of the declaration, or exclude what can't hold payment data."),
            Some(what) => self.ended_by(what, "Declare less, or exclude what can't hold payment data."),
            None => self.searched.files += u64::from(whole),
        }
    }

    /// Looks through one stream; the bound that ended it.
    fn stream(&mut self, shown: &str, stream: &mut dyn Read) -> std::io::Result<Option<&'static str>> {
        let mut search = Search::new(known(), &self.wanted);
        let mut cut = None;
        let mut failure = None;
        loop {
            if Instant::now() >= self.until {
                cut = Some("time");
                break;
            }
            let read = match stream.read(self.buffer) {
                Ok(0) => break,
                Ok(n) => n,
                Err(e) if e.kind() == std::io::ErrorKind::Interrupted => continue,
                Err(e) => {
                    failure = Some(e);
                    break;
                }
            };
            search.feed(self.buffer.get(..read).unwrap_or_default());
            self.searched.bytes += read as u64;
            self.left = self.left.saturating_sub(read as u64);
            if self.left == 0 {
                cut = Some("bytes");
                break;
            }
        }
        let (cards, ibans, header) = search.finish();
        self.keep(NumberKind::Card, &cards, header, shown);
        self.keep(NumberKind::Iban, &ibans, header, shown);
        failure.map_or(Ok(cut), Err)
    }

    fn keep(&mut self, kind: NumberKind, found: &Found, header: bool, shown: &str) {
        self.searched.test_numbers += found.tally.test;
        let likelihood = found.tally.likelihood(kind, header && kind == NumberKind::Card);
        let searched = &mut self.searched;
        let list = match (kind, likelihood) {
            (_, Likelihood::None) => return,
            (NumberKind::Card, Likelihood::Unlikely) => {
                searched.cards_accidental += 1;
                return;
            }
            (NumberKind::Iban, Likelihood::Unlikely) => return,
            (NumberKind::Card, Likelihood::Possible) => &mut searched.cards_possible,
            (NumberKind::Iban, Likelihood::Possible) => &mut searched.ibans_possible,
            (NumberKind::Card, Likelihood::Likely) => {
                searched.cards += found.tally.valid;
                &mut searched.cards_likely
            }
            (NumberKind::Iban, Likelihood::Likely) => {
                searched.ibans += found.tally.valid;
                &mut searched.ibans_likely
            }
        };
        for place in found.places.iter().take(PLACES) {
            if list.len() < NAMED {
                list.push(if place.line > 0 { format!("{shown}:{}", place.line) } else { format!("{shown}@{}", place.offset) });
            }
        }
    }

    fn finish(mut self) -> (Searched, Vec<Missed>) {
        let shown = |first: &[String], more: u64| format!("{}{}", first.join(", "), if more > 0 { format!(" and {more} more") } else { String::new() });
        let denied = self.unread.iter().any(|e| matches!(e, ReadError::Denied(_)));
        if !self.unread.is_empty() {
            let texts: Vec<String> = self.unread.iter().map(ToString::to_string).collect();
            let id = if denied { reason::PERMISSION_DENIED } else { reason::READ_FAILED };
            let remedy = if denied { "Run the scan as root or grant CAP_DAC_READ_SEARCH." } else { "Look at the files, or exclude them." };
            self.missed.push((id, shown(&texts, self.unread_more), remedy));
        }
        if !self.opaque.is_empty() {
            let detail = format!("not read inside: {}", shown(&self.opaque, self.opaque_more));
            self.missed.push((reason::UNSUPPORTED, detail, "Search what they hold elsewhere, or exclude them."));
        }
        (self.searched, self.missed)
    }
}

#[cfg(test)]
mod tests {
    use super::known::passes_luhn;
    use super::*;
    use crate::host::testing::rooted;
    use crate::model::declared::Declared;

    fn card(seed: u64) -> String {
        let body = format!("49295{:010}", (seed * 7_919_317 + 12_345_678) % 10_000_000_000);
        (0..10).map(|d| format!("{body}{d}")).find(|n| passes_luhn(n.as_bytes())).unwrap()
    }

    fn search(files: &[(&str, &str)], declared: SearchPath) -> (Searched, Vec<crate::model::gap::Gap>) {
        let (_root, host) = rooted(files);
        let host = host.with_declared(Declared { search: vec![declared], ..Declared::default() });
        let mut gaps = Gaps::new();
        let mut found = within(&host, &mut gaps, Instant::now() + TIME);
        (found.paths.remove(0), gaps.into_sorted())
    }

    fn at(path: &str) -> SearchPath {
        SearchPath { path: path.into(), kinds: Vec::new(), exclude: vec!["*/skip/*".into()], max_bytes: 1 << 30 }
    }

    #[test]
    fn places_are_told_and_no_digit_of_a_number() {
        let list: String = (0..5).map(|i| format!("customer {i};{}\n", card(i))).collect();
        let order: String = (0..400).map(|i| format!("order 4929{:012}\n", i * 97 + 3)).collect();
        let files = [
            ("/srv/a/list.csv", list.as_str()),
            ("/srv/a/orders", order.as_str()),
            ("/srv/skip/x", list.as_str()),
            ("/srv/one", &format!("just {}\n", card(9))),
            ("/srv/test", "card 4111 1111 1111 1111 and 4242424242424242\n"),
        ];
        let (found, gaps) = search(&files, at("/srv/"));
        assert_eq!(found.cards_likely, (1..=5).map(|l| format!("/srv/a/list.csv:{l}")).collect::<Vec<_>>());
        assert_eq!((found.cards, found.cards_accidental, found.test_numbers, found.files), (5, 1, 2, 4));
        assert_eq!(found.cards_possible, ["/srv/one:1"]);
        assert_eq!(gaps, []);
        let said = serde_json::to_string(&found).unwrap();
        assert!(!said.contains("4929"), "{said}");
    }

    #[test]
    fn what_was_not_seen_is_a_gap_of_each_kind() {
        let (_, gaps) = search(&[("/srv/a", "x")], at("/srv/none"));
        assert_eq!(
            gaps.iter().map(|g| (g.path.as_str(), g.reason.as_str())).collect::<Vec<_>>(),
            [("paths.cards_likely", "missing"), ("paths.ibans_likely", "missing")]
        );
        let (found, gaps) = search(&[("/srv/a", "0123456789"), ("/srv/b", "x")], SearchPath { max_bytes: 5, kinds: vec![NumberKind::Card], ..at("/srv") });
        assert_eq!((gaps.len(), gaps[0].reason.as_str(), found.files), (1, "limit-reached", 0));
        let (_, gaps) = search(&[("/srv/a.pdf", "%PDF-1.7 ...")], at("/srv"));
        assert_eq!((gaps.len(), gaps[0].reason.as_str()), (2, "unsupported"));
        assert!(gaps[0].detail.contains("/srv/a.pdf (PDF)"));
        let (_root, host) = rooted(&[("/srv/a", "x")]);
        let host = host.with_declared(Declared { search: vec![at("/srv")], ..Declared::default() });
        let mut gaps = Gaps::new();
        within(&host, &mut gaps, Instant::now());
        assert!(gaps.into_sorted().iter().all(|g| g.detail.contains("limit on time")));
    }

    #[test]
    fn nothing_declared_is_nothing_to_tell() {
        let (_root, host) = rooted(&[]);
        let mut gaps = Gaps::new();
        assert_eq!(PaymentData::gather(&host, &mut gaps), Some(PaymentData::default()));
        assert_eq!(gaps.into_sorted(), []);
    }
}
