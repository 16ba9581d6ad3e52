//! rsh (rshd(8)): names nobody, from a port below 1024 where we may have one.

use super::{Asked, NONE, Protocol, REQUIRED, Seen, rexec};
use crate::probe::dial::Dialer;

/// rsh. Its server is silent unless it is spoken to in its own way.
pub const PROTOCOL: Protocol =
    Protocol { name: "rsh", ports: &[514], processes: &["rshd", "in.rshd"], ask: Some(|dialer| Box::pin(ask(dialer))), at_home_only: true, ..Protocol::NONE };

/// No port for errors, no name here, no name there, no command (rcmd(3)).
const NOBODY: &[u8] = b"0\0\0\0\0";

async fn ask(dialer: &Dialer) -> Asked {
    let mut connection = match dialer.connect_reserved().await {
        Ok(connection) => connection,
        Err(_) => return Asked::NoConnection,
    };
    if let Err(stop) = connection.send(NOBODY).await {
        return stop.into();
    }
    let wait = dialer.limits.answer_timeout.min(dialer.left());
    match connection.greeting(wait, |b| b.first() == Some(&0) || b.contains(&b'\n')).await {
        Err(stop) => stop.into(),
        // A zero byte: the command of nobody was accepted, and it is empty.
        Ok(answer) if answer.first() == Some(&0) => {
            let mut seen = Seen { authentication: NONE, ..Seen::plain("rsh", b"", "an empty name is accepted") };
            seen.opens("no-password");
            Asked::Found(Box::new(seen))
        }
        Ok(answer) => match rexec::refusal(&answer) {
            Some(words) => Asked::Found(Box::new(Seen { authentication: REQUIRED, ..Seen::plain("rsh", words, "an empty name is refused") })),
            None => Asked::Answered(answer),
        },
    }
}
