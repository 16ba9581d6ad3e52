//! Events for tests.

use super::event::{Action, Event, FORMAT, Recorded};
use crate::model::canonical;
use crate::model::ids::{Digest, RandomId};

/// An event on the entry whose id is made of `entry`.
pub fn event(record: &str, entry: u8, action: Action, at: i64, by: &str, fields: &[(&str, &str)]) -> Event {
    Event {
        action,
        at,
        by: by.into(),
        entry: RandomId::new([entry; 16]),
        fields: fields.iter().map(|(k, v)| ((*k).into(), (*v).into())).collect(),
        files: Vec::new(),
        format: FORMAT.into(),
        nonce: RandomId::new([7; 16]),
        record: record.into(),
        subject: String::new(),
    }
}

/// The same about a subject.
pub fn about(subject: &str, event: Event) -> Event {
    Event { subject: subject.into(), ..event }
}

/// As the ledger holds it.
pub fn recorded(event: Event) -> Recorded {
    Recorded { digest: Digest::of(&canonical::to_bytes(&event).unwrap()), event }
}

/// First second of a day.
pub fn day(text: &str) -> i64 {
    super::value::midnight(text.parse().unwrap())
}
