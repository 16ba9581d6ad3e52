//! What an upgrade is worth, from the list of capabilities and from the answer to the command.

use super::{NONE, OPTIONAL, REQUIRED, STRIPPED, Seen, UNKNOWN, Upgrade};
use crate::probe::dial::Stop;

/// What the list of capabilities says of the upgrade.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Listed {
    /// It is in the list.
    Yes,
    /// It is not.
    No,
    /// A word of the list consists of `X` alone: some packet filters write over what they don't want
    /// (the inspection of ESMTP by Cisco's PIX and ASA), and keep the length.
    Overwritten,
    /// There is no list.
    Unlisted,
}

impl Listed {
    /// From the words of a list, upper case; `word` is the upgrade's.
    pub fn of<'a>(words: impl IntoIterator<Item = &'a str>, word: &str) -> Self {
        let mut listed = Self::No;
        for found in words {
            if found == word {
                return Self::Yes;
            }
            if is_overwritten(found) {
                listed = Self::Overwritten;
            }
        }
        listed
    }
}

/// Nothing but `X`, and perhaps a letter at the end.
fn is_overwritten(word: &str) -> bool {
    let mask = word.trim_end_matches(|c: char| c.is_ascii_uppercase() && c != 'X');
    mask.len() >= 4 && word.len() - mask.len() <= 1 && mask.bytes().all(|b| b == b'X')
}

/// Notes what the upgrade is worth. `answer` says whether the command was accepted; `demanded`,
/// whether nothing useful is possible without.
pub fn note(seen: &mut Seen, upgrade: Upgrade, command: &str, listed: Listed, answer: Result<bool, Stop>, demanded: bool) {
    let place = match listed {
        Listed::Yes => "listed",
        Listed::No => "not listed",
        Listed::Overwritten => "overwritten in the list",
        Listed::Unlisted => "no list",
    };
    let answered = match answer {
        Ok(true) => "accepted".to_string(),
        Ok(false) => "refused".to_string(),
        Err(stop) => stop.to_string(),
    };
    seen.exchange = format!("{command} {place}, {answered}");
    seen.upgrade = (answer == Ok(true)).then_some(upgrade);
    seen.tls = match (listed, answer) {
        (Listed::Yes | Listed::Unlisted, Ok(true)) if demanded => REQUIRED,
        (Listed::Yes | Listed::Unlisted, Ok(true)) => OPTIONAL,
        (Listed::No | Listed::Overwritten, Ok(true)) | (Listed::Yes | Listed::Overwritten, Ok(false)) => STRIPPED,
        (Listed::No | Listed::Unlisted, Ok(false)) => NONE,
        // Some servers hang up on, or pass over, a command that they don't know.
        (Listed::No, Err(_)) => NONE,
        (_, Err(stop)) => {
            seen.left_open("tls", format!("{command}: {stop}"));
            UNKNOWN
        }
    };
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::probe::service::smtp;

    #[test]
    fn overwritten_words_are_seen() {
        for (words, listed) in [
            (&["PIPELINING", "STARTTLS"][..], Listed::Yes),
            (&["PIPELINING", "XXXXXXXA"], Listed::Overwritten),
            (&["XXXXXXXX"], Listed::Overwritten),
            (&["XXXXXXXA", "STARTTLS"], Listed::Yes),
            (&["XCLIENT", "XFORWARD", "XEXCH50", "X", "XXX", "XXXXAB", "AUTH"], Listed::No),
            (&[], Listed::No),
        ] {
            assert_eq!(Listed::of(words.iter().copied(), "STARTTLS"), listed, "{words:?}");
        }
    }

    #[test]
    fn list_and_command_together_decide() {
        use Listed::{No, Overwritten, Unlisted, Yes};
        let cases = [
            (Yes, Ok(true), false, OPTIONAL, true),
            (Yes, Ok(true), true, REQUIRED, true),
            (Yes, Ok(false), true, STRIPPED, false),
            (No, Ok(true), false, STRIPPED, true),
            (No, Ok(false), false, NONE, false),
            (No, Err(Stop::Closed), false, NONE, false),
            (Overwritten, Ok(false), false, STRIPPED, false),
            (Unlisted, Ok(true), true, REQUIRED, true),
            (Unlisted, Ok(false), false, NONE, false),
            (Yes, Err(Stop::Silent), false, UNKNOWN, false),
        ];
        for (listed, answer, demanded, tls, upgrade) in cases {
            let mut seen = Seen::plain("smtp", b"", "");
            note(&mut seen, smtp::UPGRADE, "STARTTLS", listed, answer, demanded);
            assert_eq!((seen.tls, seen.upgrade.is_some(), seen.unanswered.is_empty()), (tls, upgrade, tls != UNKNOWN), "{listed:?} {answer:?}");
        }
    }
}
