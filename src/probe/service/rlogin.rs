//! rlogin (RFC 1282): names nobody that exists, from a port below 1024 where we may have one, and
//! hears whether a session starts.

use super::{Asked, Protocol, REQUIRED, Seen, rexec};
use crate::probe::dial::Dialer;

/// rlogin. Its server is silent unless it is spoken to in its own way.
pub const PROTOCOL: Protocol = Protocol {
    name: "rlogin",
    ports: &[513],
    processes: &["rlogind", "in.rlogind"],
    ask: Some(|dialer| Box::pin(ask(dialer))),
    at_home_only: true,
    ..Protocol::NONE
};

/// NUL, our name here and there, terminal and its speed (RFC 1282 section 2).
const SESSION: &[u8] = b"\0assay\0assay\0dumb/9600\0";

async fn ask(dialer: &Dialer) -> Asked {
    let mut connection = match dialer.connect_reserved().await {
        Ok(connection) => connection,
        Err(_) => return Asked::NoConnection,
    };
    if let Err(stop) = connection.send(SESSION).await {
        return stop.into();
    }
    let wait = dialer.limits.answer_timeout.min(dialer.left());
    match connection.greeting(wait, |b| b.first() == Some(&0) || b.contains(&b'\n')).await {
        Err(stop) => stop.into(),
        Ok(answer) if answer.first() == Some(&0) => {
            let mut words = answer.get(1..).unwrap_or_default().to_vec();
            if words.is_empty() {
                words = connection.some().await.unwrap_or_default();
            }
            Asked::Found(Box::new(started(&words)))
        }
        Ok(answer) => match rexec::refusal(&answer) {
            Some(words) => Asked::Found(Box::new(Seen { authentication: REQUIRED, ..Seen::plain("rlogin", words, "a session is refused") })),
            None => Asked::Answered(answer),
        },
    }
}

/// A session whose first words are these.
fn started(words: &[u8]) -> Seen {
    let mut seen = Seen::plain("rlogin", words, "a session starts with a zero byte");
    if String::from_utf8_lossy(words).to_ascii_lowercase().contains("password") {
        seen.authentication = REQUIRED;
    } else {
        seen.left_open("authentication", "the session does not ask for a password, or not in time");
    }
    seen
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::probe::service::UNKNOWN;

    #[test]
    fn a_session_asks_for_a_password_or_leaves_it_open() {
        assert_eq!(started(b"Password: ").authentication, REQUIRED);
        let open = started(b"");
        assert_eq!((open.authentication, open.unanswered.len()), (UNKNOWN, 1));
    }
}
