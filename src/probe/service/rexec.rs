//! rexec (rexecd(8)): a name that nobody can have is refused in its own way.

use super::{Asked, Protocol, REQUIRED, Seen, exchange};
use crate::probe::dial::Dialer;

/// rexec. Its server is silent unless it is spoken to in its own way.
pub const PROTOCOL: Protocol = Protocol {
    name: "rexec",
    ports: &[512],
    processes: &["rexecd", "in.rexecd"],
    ask: Some(|dialer| Box::pin(ask(dialer))),
    at_home_only: true,
    ..Protocol::NONE
};

/// No port for errors, a name longer than the sixteen characters that names may have, no password, no
/// command (rexec(3)). Other names are refused without a word by servers that use PAM.
const NOBODY: &[u8] = b"0\0assay-assay-assay-assay\0\0\0";

async fn ask(dialer: &Dialer) -> Asked {
    match exchange(dialer, NOBODY, |b| b.contains(&b'\n')).await {
        Err(asked) => asked,
        Ok((_, answer)) => match refusal(&answer) {
            Some(words) => Asked::Found(Box::new(Seen { authentication: REQUIRED, ..Seen::plain("rexec", words, "a name that nobody can have is refused") })),
            None => Asked::Answered(answer),
        },
    }
}

/// A byte 1 and words (rexec(3), rcmd(3)).
pub fn refusal(answer: &[u8]) -> Option<&[u8]> {
    let (1, words) = answer.split_first()? else { return None };
    let printable = |b: &u8| b.is_ascii_graphic() || b" \r\n\t".contains(b);
    (words.len() >= 2 && words.iter().all(printable)).then_some(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_is_a_one_and_words() {
        assert_eq!(refusal(b"\x01Login incorrect.\n"), Some(&b"Login incorrect.\n"[..]));
        for other in [&b"\x01"[..], b"\x01\x02\x03", b"\0", b"", b"Login incorrect.\n"] {
            assert_eq!(refusal(other), None);
        }
    }
}
