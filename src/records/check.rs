//! What may be recorded: the one place that decides whether an event is taken.

use std::collections::BTreeSet;

use super::entry::{Entry, entries};
use super::event::{Action, Event, FORMAT, NOTE, Recorded};
use super::kind::{FieldType, Per, RecordType, Shape};
use super::reading::running;
use super::types::{ACCESS_REVIEWS, HANDLING, WAIVER};
use super::value::{MAX_SUBJECT, Moment, checked, line};
use super::waiver::Waiver;
use super::{handling, review, scope, waiver};

/// Largest file, bytes.
pub const MAX_FILE: usize = 16 << 20;
/// Most files of one event.
pub const MAX_FILES: usize = 20;
/// Most bytes of all values of one event.
const MAX_VALUES: usize = 256 << 10;
/// Longest name of a file, characters.
const MAX_FILE_NAME: usize = 200;

/// Why an event is not taken: one sentence.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// There is no such record type.
    #[error("there is no record type {0:?}; see assay-collector record types")]
    UnknownType(String),
    /// There is no such entry.
    #[error("there is no entry {1} of {0}")]
    UnknownEntry(String, String),
    /// A value or the subject is not what the type asks for.
    #[error("{0}")]
    Value(String),
    /// The entry is over, or the action does not go with what it is.
    #[error("{0}")]
    State(String),
    /// A second person is needed, and this is not one.
    #[error("{0} asked for this, so somebody else must approve it")]
    SamePerson(String),
}

impl Refusal {
    /// Stable id.
    pub const fn id(&self) -> &'static str {
        match self {
            Self::UnknownType(_) => "unknown-type",
            Self::UnknownEntry(..) => "unknown-entry",
            Self::Value(_) => "value",
            Self::State(_) => "state",
            Self::SamePerson(_) => "same-person",
        }
    }
}

/// Checks an event against its type and what was recorded before (events of this type, in the order of the ledger), and brings its values
/// into the form in which they are kept. On anything but a new entry the subject becomes that of the entry; the time is never before what
/// the entry's last event says.
pub fn check(kind: &RecordType, before: &[Recorded], event: &mut Event) -> Result<(), Refusal> {
    event.format = FORMAT.into();
    event.record.clone_from(&kind.id);
    let last = before.iter().filter(|r| r.event.entry == event.entry && event.entry != Event::LIST).map(|r| r.event.at).max();
    event.at = event.at.max(last.unwrap_or(event.at));
    files(event)?;
    if event.fields.iter().map(|(name, value)| name.len() + value.len()).sum::<usize>() > MAX_VALUES {
        return Err(Refusal::Value(format!("the values are larger than {} KiB together: attach what is long as a file", MAX_VALUES >> 10)));
    }
    match event.action {
        Action::SignOff => sign_off(kind, event),
        Action::Add => {
            if event.entry == Event::LIST || before.iter().any(|r| r.event.entry == event.entry) {
                return Err(Refusal::State("the id of the new entry is taken; try again".into()));
            }
            fields(kind, event)?;
            subject(kind, event)?;
            let entry = after(before, event)?;
            sound(kind, before, &entry, event)
        }
        _ => {
            let of_entry = || before.iter().filter(|r| r.event.entry == event.entry);
            let entry = entries(of_entry(), event.at).pop().ok_or_else(|| Refusal::UnknownEntry(kind.id.clone(), event.entry.to_string()))?;
            event.subject.clone_from(&entry.subject);
            open(&entry, event)?;
            if event.action.fills() {
                fields(kind, event)?
            } else {
                note_alone(kind, event)?
            }
            act(kind, before, &entry, event)
        }
    }
}

/// The entry as the event leaves it.
fn after(before: &[Recorded], event: &Event) -> Result<Entry, Refusal> {
    let next = Recorded { digest: crate::model::ids::Digest::new([0; 32]), event: event.clone() };
    let all = before.iter().filter(|r| r.event.entry == event.entry).chain([&next]);
    entries(all, event.at).pop().ok_or_else(|| Refusal::UnknownEntry(event.record.clone(), event.entry.to_string()))
}

fn files(event: &Event) -> Result<(), Refusal> {
    if event.files.len() > MAX_FILES {
        return Err(Refusal::Value(format!("{} files are given and {MAX_FILES} are taken at once: record the others with a change", event.files.len())));
    }
    let mut names = BTreeSet::new();
    for file in &event.files {
        let is_path = file.name.contains(['/', '\\']) || file.name.starts_with('.');
        if file.name.is_empty() || is_path || line(&file.name, MAX_FILE_NAME).is_err() {
            return Err(Refusal::Value(format!("{:?} can't be the name of a file: give a plain name of up to {MAX_FILE_NAME} characters", file.name)));
        }
        if !names.insert(&file.name) {
            return Err(Refusal::Value(format!("two files are called {:?}: rename one", file.name)));
        }
        if file.bytes > MAX_FILE as u64 {
            return Err(Refusal::Value(format!("{} is larger than {} MiB: record where it is kept instead", file.name, MAX_FILE >> 20)));
        }
    }
    Ok(())
}

/// Every field known, in the form of its type.
fn fields(kind: &RecordType, event: &mut Event) -> Result<(), Refusal> {
    let names: Vec<&str> = event.files.iter().map(|f| f.name.as_str()).collect();
    let mut kept = std::collections::BTreeMap::new();
    for (name, text) in &event.fields {
        let Some(field) = kind.field(name) else {
            if name == NOTE && event.action == Action::Close {
                kept.insert(name.clone(), note(text)?);
                continue;
            }
            let known: Vec<&str> = kind.fields.iter().map(|f| f.name.as_str()).collect();
            return Err(Refusal::Value(format!("{} has no field {name:?}; it has {}", kind.id, known.join(", "))));
        };
        if text.trim().is_empty() {
            // A change may empty a field; a new entry leaves it out.
            if event.action != Action::Add {
                kept.insert(name.clone(), String::new());
            }
            continue;
        }
        let value = checked(field, text, &names).map_err(|why| Refusal::Value(format!("{name} {why}")))?;
        let happened = kind.dated.as_ref() == Some(name) || kind.deadlines.iter().any(|d| d.done == *name);
        if happened && Moment::of(field.kind, &value).is_some_and(|m| m.start() > event.at) {
            return Err(Refusal::Value(format!("{name} lies in the future, and it says what was done: {value}")));
        }
        kept.insert(name.clone(), value);
    }
    event.fields = kept;
    Ok(())
}

fn note(text: &str) -> Result<String, Refusal> {
    let field = super::kind::Field { name: NOTE.into(), kind: FieldType::Text, required: false, values: Vec::new(), text: String::new() };
    checked(&field, text, &[]).map_err(|why| Refusal::Value(format!("{NOTE} {why}")))
}

fn note_alone(kind: &RecordType, event: &mut Event) -> Result<(), Refusal> {
    if let Some(name) = event.fields.keys().find(|name| *name != NOTE) {
        return Err(Refusal::Value(format!("{} takes a note alone, and no field {name:?} of {}", event.action.id(), kind.id)));
    }
    let text = note(event.note())?;
    event.fields.clear();
    if !text.is_empty() {
        event.fields.insert(NOTE.into(), text);
    }
    Ok(())
}

fn subject(kind: &RecordType, event: &mut Event) -> Result<(), Refusal> {
    let text = line(event.subject.trim(), MAX_SUBJECT).map_err(|why| Refusal::Value(format!("the subject {why}")))?;
    let what = match (kind.shape, kind.per) {
        (Shape::Register, _) => kind.about.as_str(),
        (Shape::Attestation, Per::Person) => "the person, as the roster names people",
        (Shape::Attestation, Per::Group) => "the group",
        (Shape::Attestation, Per::Site) => "the site",
        _ => "",
    };
    match (what.is_empty(), text.is_empty()) {
        (false, true) => Err(Refusal::Value(format!("the subject is missing: {what}"))),
        (true, false) => Err(Refusal::Value(format!("{} has no subject: leave it out", kind.id))),
        _ => {
            event.subject = text;
            Ok(())
        }
    }
}

fn open(entry: &Entry, event: &Event) -> Result<(), Refusal> {
    let name = entry.short();
    if let Some(mark) = &entry.withdrawn {
        return Err(Refusal::State(format!("entry {name} was withdrawn by {}: record a new one", mark.by)));
    }
    match &entry.closed {
        Some(mark) if event.action != Action::Withdraw => Err(Refusal::State(format!("entry {name} was closed by {}: record a new one", mark.by))),
        _ => Ok(()),
    }
}

fn act(kind: &RecordType, before: &[Recorded], entry: &Entry, event: &Event) -> Result<(), Refusal> {
    let name = entry.short();
    let stated = |text: String| Err(Refusal::State(text));
    let decided = Waiver::of(entry).filter(|_| kind.id == WAIVER);
    let answered = decided.as_ref().is_some_and(|w| w.approved.is_some() || w.refused.is_some());
    match event.action {
        Action::Change if event.fields.is_empty() && event.files.is_empty() => Err(Refusal::Value("nothing is changed: give a field or a file".into())),
        Action::Change | Action::Close if answered => stated(format!("waiver {name} was decided: ask for a new one, and revoke this one if it is in force")),
        Action::Close if kind.id == WAIVER => stated(format!("waiver {name} is not closed: withdraw the request, or revoke what was approved")),
        Action::Change | Action::Close => {
            let next = after(before, event)?;
            sound(kind, before, &next, event)
        }
        Action::Withdraw if event.note().is_empty() => Err(Refusal::Value("the note is missing: say why the entry is withdrawn".into())),
        Action::Withdraw if answered => stated(format!("waiver {name} was decided: it can be revoked, not withdrawn")),
        Action::Withdraw => Ok(()),
        Action::Approve | Action::Refuse | Action::Revoke => match decided {
            None => stated(format!("{} of {} is not approved, refused or revoked: those are for waivers", name, kind.id)),
            Some(waiver) => decide(&waiver, entry, event),
        },
        Action::Add | Action::SignOff => stated("a new entry and a sign-off name no entry".into()),
    }
}

/// A second person's word on a waiver.
fn decide(waiver: &Waiver, entry: &Entry, event: &Event) -> Result<(), Refusal> {
    let name = entry.short();
    let stated = |text: String| Err(Refusal::State(text));
    if event.action == Action::Revoke {
        return match (waiver.in_force(), &waiver.revoked) {
            (_, Some(mark)) => stated(format!("waiver {name} was revoked by {} before", mark.by)),
            (Some((_, to)), None) if event.at < to => Ok(()),
            _ => stated(format!("waiver {name} is not in force: there is nothing to revoke")),
        };
    }
    if let Some(mark) = waiver.approved.as_ref().or(waiver.refused.as_ref()) {
        return stated(format!("waiver {name} was decided by {} before", mark.by));
    }
    if event.at >= waiver.expires {
        return stated(format!("waiver {name} ends before it began: its last day is over; ask for a new one"));
    }
    match entry.writers.iter().find(|w| super::people::same(w, &event.by)) {
        Some(asker) if event.action == Action::Approve => Err(Refusal::SamePerson(asker.clone())),
        _ => Ok(()),
    }
}

/// Whether an entry may stand as the event leaves it.
fn sound(kind: &RecordType, before: &[Recorded], entry: &Entry, event: &Event) -> Result<(), Refusal> {
    let missing = entry.missing(kind);
    let is_final = event.action == Action::Close;
    if !missing.is_empty() && (is_final || kind.shape == Shape::Decision) {
        let list = missing.join(", ");
        return Err(Refusal::Value(if is_final { format!("it can't be closed while {list} is empty") } else { format!("{list} is missing") }));
    }
    if is_final && let Some(deadline) = running(kind, entry).first() {
        return Err(Refusal::State(format!("it can't be closed while {} is empty: {}", deadline.done, deadline.text)));
    }
    if [WAIVER, HANDLING].contains(&kind.id.as_str())
        && let Some(why) = scope::refusal(entry).or_else(|| handling::refusal(entry))
    {
        return Err(Refusal::Value(why));
    }
    if kind.id == WAIVER
        && let Some(why) = waiver::refusal(entry, event.at)
    {
        return Err(Refusal::Value(why));
    }
    if kind.id == ACCESS_REVIEWS { decided_items(before, entry, event) } else { Ok(()) }
}

/// Decisions name items of the list, and a review is closed when every item has one.
fn decided_items(before: &[Recorded], entry: &Entry, event: &Event) -> Result<(), Refusal> {
    let items: u32 = entry.value("items").parse().ok().filter(|n| *n <= review::MAX_ITEMS).unwrap_or(0);
    let given = event.fields.get("decided").map_or("", String::as_str);
    let named = review::numbers(given, items).map_err(|why| Refusal::Value(format!("decided: {why}")))?;
    if !named.is_empty() && event.fields.get("decision").is_none_or(String::is_empty) {
        return Err(Refusal::Value("decision is missing: keep or revoke".into()));
    }
    if event.action == Action::Close {
        let decided = review::decisions(before, event.entry, event.at);
        let open = (1..=items).filter(|n| !decided.contains_key(n)).count();
        if open > 0 {
            return Err(Refusal::State(format!("{open} of {items} items are undecided: decide each of them before the review is closed")));
        }
    }
    Ok(())
}

fn sign_off(kind: &RecordType, event: &mut Event) -> Result<(), Refusal> {
    if kind.shape != Shape::Register {
        return Err(Refusal::State(format!("{} is no list that could be signed off: it is recorded entry by entry", kind.id)));
    }
    event.entry = Event::LIST;
    event.subject.clear();
    note_alone(kind, event)
}

#[cfg(test)]
mod tests {
    use super::super::event::Attachment;
    use super::super::testing::{about, day, event, recorded};
    use super::super::types::{ACCESS_REVIEWS, INCIDENTS, builtin, find};
    use super::*;
    use crate::model::ids::Digest;

    /// Events of one type, recorded one after the other.
    struct Book {
        kind: RecordType,
        events: Vec<Recorded>,
    }

    impl Book {
        fn of(id: &str) -> Self {
            Self { kind: find(builtin().unwrap(), id).unwrap().clone(), events: Vec::new() }
        }

        fn put(&mut self, mut event: Event) -> Result<(), String> {
            check(&self.kind, &self.events, &mut event).map_err(|e| format!("{}: {e}", e.id()))?;
            self.events.push(recorded(event));
            Ok(())
        }

        fn add(&mut self, entry: u8, at: i64, by: &str, fields: &[(&str, &str)]) -> Result<(), String> {
            let subject = if self.kind.shape == Shape::Register { "it" } else { "" };
            self.put(about(subject, event("x", entry, Action::Add, at, by, fields)))
        }

        fn act(&mut self, action: Action, at: i64, by: &str, fields: &[(&str, &str)]) -> Result<(), String> {
            self.put(event("x", 1, action, at, by, fields))
        }
    }

    const ASKED: &[(&str, &str)] = &[("rule", "r"), ("host", "web*"), ("reason", "old"), ("control", "office only"), ("expires", "2026-12-31")];

    fn refused(result: Result<(), String>, with: &str) {
        let error = result.unwrap_err();
        assert!(error.contains(with), "{error}");
    }

    #[test]
    fn a_waiver_needs_a_second_person_and_is_decided_once() {
        let now = day("2026-11-28");
        let mut book = Book::of("waiver");
        refused(book.add(1, now, "ada", &ASKED[..4]), "value: expires is missing");
        refused(book.add(1, now, "ada", &[ASKED, &[("expires", "2026-11-27")]].concat()), "expires lies in the past");
        refused(book.add(1, now, "ada", &[ASKED, &[("expires", "2028-01-01")]].concat()), "more than 366 days");
        refused(book.add(1, now, "ada", &[ASKED, &[("rule", "*")]].concat()), "a waiver covers one rule");
        book.add(1, now, "ada", ASKED).unwrap();
        book.act(Action::Change, now + 1, "bob", &[("reason", "older")]).unwrap();
        refused(book.act(Action::Approve, now + 2, "ada", &[]), "same-person: ada asked for this");
        refused(book.act(Action::Approve, now + 2, "Bob", &[]), "same-person: bob asked for this");
        refused(book.act(Action::Revoke, now + 2, "cyd", &[]), "there is nothing to revoke");
        refused(book.act(Action::Close, now + 2, "ada", &[]), "is not closed");
        refused(book.act(Action::Approve, now + 2, "cyd", &[("reason", "x")]), "takes a note alone");
        book.act(Action::Approve, now + 2, "cyd", &[("note", "fine")]).unwrap();
        refused(book.act(Action::Approve, now + 3, "dan", &[]), "was decided by cyd before");
        refused(book.act(Action::Change, now + 3, "ada", &[("host", "*")]), "was decided: ask for a new one");
        refused(book.act(Action::Withdraw, now + 3, "ada", &[("note", "x")]), "can be revoked, not withdrawn");
        book.act(Action::Revoke, now + 4, "ada", &[("note", "mended")]).unwrap();
        refused(book.act(Action::Revoke, now + 5, "ada", &[]), "was revoked by ada before");
        let mut late = Book::of("waiver");
        late.add(1, now, "ada", ASKED).unwrap();
        refused(late.act(Action::Approve, day("2027-01-01"), "bob", &[]), "its last day is over");
        late.act(Action::Withdraw, day("2027-01-01"), "ada", &[("note", "too late")]).unwrap();
        refused(late.act(Action::Approve, day("2027-01-02"), "bob", &[]), "was withdrawn by ada");
    }

    #[test]
    fn an_incident_grows_and_is_closed_when_nothing_runs() {
        let at = day("2026-11-28");
        let mut book = Book::of(INCIDENTS);
        refused(book.put(event("x", 1, Action::Add, at, "ada", &[])), "the subject is missing: short name of the incident");
        refused(book.add(1, at, "ada", &[("colour", "red")]), "has no field \"colour\"; it has description");
        refused(book.add(1, at, "ada", &[("notifiable", "perhaps")]), "notifiable is none of yes, no, undecided");
        refused(book.add(1, at, "ada", &[("authority_told_at", "2026-11-29T00:00:00Z")]), "authority_told_at lies in the future");
        book.add(1, at, "ada", &[("known_at", "2026-11-27T00:00:00Z"), ("notifiable", "yes"), ("acting_as", "controller"), ("lessons", " ")]).unwrap();
        assert!(!book.events[0].event.fields.contains_key("lessons"));
        refused(book.add(1, at, "ada", &[]), "is taken");
        refused(book.act(Action::Close, at + 1, "ada", &[]), "can't be closed while description, occurred_at");
        refused(book.act(Action::Change, at + 1, "ada", &[]), "nothing is changed");
        refused(book.act(Action::Approve, at + 1, "bob", &[]), "those are for waivers");
        let rest = ["description", "reporter", "recipient", "nature", "data_concerned", "consequences", "measures", "contact"];
        let mut fields: Vec<(&str, &str)> = rest.iter().map(|f| (*f, "x")).collect();
        fields.push(("occurred_at", "2026-11-26T00:00:00Z"));
        book.act(Action::Change, at + 1, "ada", &fields).unwrap();
        refused(book.act(Action::Close, at + 2, "ada", &[]), "while authority_told_at is empty: the authority is told");
        book.act(Action::Close, at + 2, "ada", &[("authority_told_at", "2026-11-27T12:00:00+01:00"), ("note", "over")]).unwrap();
        assert_eq!(book.events.last().unwrap().event.subject, "it");
        refused(book.act(Action::Change, at + 3, "ada", &[("nature", "y")]), "was closed by ada");
        refused(book.act(Action::Withdraw, at + 3, "ada", &[]), "the note is missing");
        book.act(Action::Withdraw, at + 3, "ada", &[("note", "twin")]).unwrap();
        refused(book.put(event("x", 9, Action::Change, at + 3, "ada", &[("nature", "y")])), "there is no entry 0909");
        // A clock that goes back does not put an event before the one that it follows.
        book.add(2, at, "ada", &[]).unwrap();
        book.put(event("x", 2, Action::Change, at - 50, "ada", &[("nature", "y")])).unwrap();
        assert_eq!(book.events.last().unwrap().event.at, at);
    }

    #[test]
    fn only_lists_are_signed_off() {
        let mut book = Book::of(INCIDENTS);
        book.act(Action::SignOff, 10, "ada", &[("note", "none in this quarter")]).unwrap();
        assert_eq!(book.events[0].event.entry, Event::LIST);
        refused(Book::of("awareness-training").act(Action::SignOff, 10, "ada", &[]), "is no list");
    }

    #[test]
    fn a_review_is_closed_when_every_item_is_decided() {
        let at = day("2026-11-28");
        let mut book = Book::of(ACCESS_REVIEWS);
        let list = Attachment { bytes: 2, name: review::LIST_NAME.into(), sha256: Digest::of(b"[]") };
        let fields = [("scope", "all"), ("items", "3"), ("hosts", "2"), ("list", review::LIST_NAME), ("taken_at", "2026-11-27T00:00:00Z")];
        book.put(Event { files: vec![list], ..event("x", 1, Action::Add, at, "ada", &fields) }).unwrap();
        refused(book.act(Action::Change, at, "ada", &[("decided", "4"), ("decision", "keep")]), "item 4 does not exist");
        refused(book.act(Action::Change, at, "ada", &[("decided", "1")]), "decision is missing");
        book.act(Action::Change, at, "ada", &[("decided", "1-2"), ("decision", "keep")]).unwrap();
        refused(book.act(Action::Close, at, "ada", &[("finished_on", "2026-11-28")]), "1 of 3 items are undecided");
        book.act(Action::Change, at, "ada", &[("decided", "3"), ("decision", "revoke"), ("reason", "left")]).unwrap();
        book.act(Action::Close, at, "ada", &[("finished_on", "2026-11-28")]).unwrap();
    }

    #[test]
    fn files_have_plain_names_and_bounds() {
        let file = |name: &str, bytes: u64| Attachment { bytes, name: name.into(), sha256: Digest::of(b"x") };
        let put = |files: Vec<Attachment>| {
            let fields = [("done_on", "2026-11-01"), ("content", "all")];
            Book::of("awareness-training").put(Event { files, ..about("m.keller", event("x", 1, Action::Add, day("2026-11-28"), "ada", &fields)) })
        };
        put(vec![file("a.pdf", MAX_FILE as u64)]).unwrap();
        refused(put(vec![file("a.pdf", MAX_FILE as u64 + 1)]), "larger than 16 MiB");
        refused(put(vec![file("a.pdf", 1), file("a.pdf", 1)]), "two files are called");
        for name in ["../a", "", ".hidden", "a\nb", "c:\\d"] {
            refused(put(vec![file(name, 1)]), "can't be the name of a file");
        }
        refused(put((0..=MAX_FILES).map(|n| file(&format!("{n}"), 1)).collect()), "21 files are given");
    }
}
