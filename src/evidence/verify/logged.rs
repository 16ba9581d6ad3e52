//! What the ledger vouches for beside reports: recorded events with their files, versions of lists, entries with their texts.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read, Seek};

use super::files::logged;
use super::reading::{Reading, lines};
use crate::evidence::archive::ArchiveError;
use crate::evidence::json::{EventLine, LedgerLine};
use crate::evidence::layout::{self, Place, place};
use crate::ledger::{Checkpoint, Kind, Leaf};
use crate::model::canonical;
use crate::model::ids::Digest;

/// Longest line of an event or a ledger entry, bytes.
const MAX_LINE: u64 = 16 << 20;

/// Records, lists and entries of the ledger.
pub(super) fn all<R: Read + Seek>(reading: &mut Reading<'_, R>, checkpoint: Option<&Checkpoint>) -> Result<(), ArchiveError> {
    let attached = events(reading, checkpoint)?;
    addressed(reading, &attached)?;
    ledger(reading, checkpoint)
}

/// Every event is the one that its entry refers to. Gives back the files that events name, with their lengths.
fn events<R: Read + Seek>(reading: &mut Reading<'_, R>, checkpoint: Option<&Checkpoint>) -> Result<BTreeMap<Digest, u64>, ArchiveError> {
    const PATH: &str = layout::EVENTS;
    let (mut held, mut erased, mut last, mut attached) = (0, 0u64, None, BTreeMap::new());
    reading.entry(PATH, |content, found| {
        let whole = lines(content, MAX_LINE, |number, line| match event(line, checkpoint) {
            Err((id, e)) => found.problem(PATH, id, format!("line {number}: {e}")),
            Ok((read, _)) if last.is_some_and(|last| last >= read.proof.index) => {
                found.problem(PATH, "record", format!("line {number}: events are not in the order of the ledger"));
            }
            Ok((read, leaf)) => {
                held += 1;
                last = Some(read.proof.index);
                erased += u64::from(read.erased.is_some());
                match read.event {
                    None => (),
                    Some(event) if event.at != leaf.at => found.problem(PATH, "record", format!("line {number}: its time is not the one of its entry")),
                    Some(event) => attached.extend(event.files.iter().map(|f| (f.sha256, f.bytes))),
                }
            }
        });
        if !whole {
            found.problem(PATH, "record", "is not lines of events");
        }
    })?;
    reading.found.check("recorded events included in the ledger", held);
    if erased > 0 {
        reading.found.absent(format!(
            "{erased} recorded event{} erased: the ledger shows that there was one, not what it said.",
            if erased == 1 { " was" } else { "s were" }
        ));
    }
    Ok(attached)
}

fn event(line: &[u8], checkpoint: Option<&Checkpoint>) -> Result<(EventLine, Leaf), (&'static str, String)> {
    let wrong = |e: String| ("record", e);
    let read: EventLine = serde_json::from_slice(line).map_err(|e| wrong(format!("is not readable: {e}")))?;
    if canonical::to_bytes(&read).ok().as_deref() != Some(line) {
        return Err(wrong("is not canonical JSON".into()));
    }
    let digest = match (&read.event, &read.erased) {
        (_, Some(digest)) => *digest,
        (Some(event), None) => Digest::of(&canonical::to_bytes(event).map_err(|e| wrong(e.to_string()))?),
        (None, None) => return Err(wrong("holds neither an event nor the digest of an erased one".into())),
    };
    let leaf = logged(checkpoint, &read.proof).map_err(|e| ("proof", e))?;
    if !Kind::RECORDS.contains(&leaf.kind) || leaf.reference != digest {
        return Err(("proof", "the leaf is not about this event".into()));
    }
    Ok((read, leaf))
}

/// Files and lists have the digest that names them; files belong to an event.
fn addressed<R: Read + Seek>(reading: &mut Reading<'_, R>, attached: &BTreeMap<Digest, u64>) -> Result<(), ArchiveError> {
    let (mut files, mut lists) = (BTreeSet::new(), 0);
    for path in reading.paths() {
        let (id, digest) = match place(&path) {
            Some(Place::File(digest)) => ("file", digest),
            Some(Place::List(digest)) => ("table", digest),
            _ => continue,
        };
        // Whether the content is the listed one is told by reading it; here the name is held against what is listed.
        reading.entry(&path, |_, _| ())?;
        if reading.digest(&path) != Some(digest) {
            reading.found.problem(&path, id, "its content does not have the digest that names it");
            continue;
        }
        match id {
            "table" => lists += 1,
            _ if attached.get(&digest).copied() == reading.bytes(&path) => drop(files.insert(digest)),
            _ => reading.found.problem(&path, id, "no recorded event names a file of this digest and length"),
        }
    }
    reading.found.check("files of records with their digest", files.len() as u64);
    reading.found.check("versions of lists with their digest", lists);
    let absent = attached.keys().filter(|d| !files.contains(d)).count();
    if absent > 0 {
        reading.found.absent(format!("{absent} file{} of records not in the bundle (erased or lost).", if absent == 1 { " is" } else { "s are" }));
    }
    Ok(())
}

/// Entries are in the ledger, and each text is the one that its entry refers to.
fn ledger<R: Read + Seek>(reading: &mut Reading<'_, R>, checkpoint: Option<&Checkpoint>) -> Result<(), ArchiveError> {
    const PATH: &str = layout::LEDGER;
    let (mut held, mut texts, mut last) = (0, 0, None);
    reading.entry(PATH, |content, found| {
        let whole = lines(content, MAX_LINE, |number, line| match entry(line, checkpoint) {
            Err((id, e)) => found.problem(PATH, id, format!("line {number}: {e}")),
            Ok((index, _)) if last.is_some_and(|last| last >= index) => {
                found.problem(PATH, "entry", format!("line {number}: entries are not in the order of the ledger"));
            }
            Ok((index, text)) => {
                (held, last) = (held + 1, Some(index));
                texts += u64::from(text);
            }
        });
        if !whole {
            found.problem(PATH, "entry", "is not lines of entries");
        }
    })?;
    reading.found.check("other entries included in the ledger", held);
    reading.found.check("texts that entries of the ledger refer to", texts);
    Ok(())
}

/// Index of an entry, and whether the text behind it is there.
fn entry(line: &[u8], checkpoint: Option<&Checkpoint>) -> Result<(u64, bool), (&'static str, String)> {
    let wrong = |e: String| ("entry", e);
    let read: LedgerLine = serde_json::from_slice(line).map_err(|e| wrong(format!("is not readable: {e}")))?;
    if canonical::to_bytes(&read).ok().as_deref() != Some(line) {
        return Err(wrong("is not canonical JSON".into()));
    }
    let leaf = logged(checkpoint, &read.proof).map_err(|e| ("proof", e))?;
    if leaf.kind == Kind::Report || Kind::RECORDS.contains(&leaf.kind) {
        return Err(wrong(format!("is about a {}, which has its place elsewhere", leaf.kind.id())));
    }
    let Some(body) = read.body else { return Ok((read.proof.index, false)) };
    let bytes = canonical::to_bytes(&body).map_err(|e| wrong(e.to_string()))?;
    if Digest::of(&bytes) != leaf.reference {
        return Err(wrong("its text is not the one that the entry refers to".into()));
    }
    Ok((read.proof.index, true))
}
