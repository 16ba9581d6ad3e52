//! TFTP (RFC 1350): a request to read a file that nobody has.

use super::exchange::ask_any_port;
use super::{Asked, UdpProtocol};
use crate::probe::dial::Dialer;
use crate::probe::reader::{Reader, banner};
use crate::probe::seen::{NONE, Seen};

/// TFTP.
pub const PROTOCOL: UdpProtocol = UdpProtocol { name: "tftp", ports: &[69], processes: &["in.tftpd", "atftpd", "tftpd"], ask: |dialer| Box::pin(ask(dialer)) };

/// RRQ, name, mode.
const READ: &[u8] = b"\0\x01assay-does-not-exist\0octet\0";
/// ERROR 0 (not defined): ends a transfer that began after all.
const NO_THANKS: &[u8] = b"\0\x05\0\0no file was wanted\0";

/// Asks, and ends the transfer.
async fn ask(dialer: &Dialer) -> Asked {
    match ask_any_port(dialer, READ, |bytes| parse(bytes).is_some()).await {
        Err(heard) => heard.into(),
        Ok((stranger, bytes)) => {
            let answer = parse(&bytes);
            if !matches!(answer, Some(Answer::Error { .. })) {
                stranger.dismiss(NO_THANKS).await;
            }
            answer.map_or(Asked::Other(bytes), |answer| Asked::Found(Box::new(seen(&answer))))
        }
    }
}

/// What a server may answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// It refuses, for this reason.
    Error {
        /// 1: no such file, 2: access violation, … (RFC 1350 page 10).
        code: u16,
        /// Its words.
        text: Vec<u8>,
    },
    /// It sends a file.
    Data,
}

/// An answer to our request; whatever else is `None`.
pub fn parse(bytes: &[u8]) -> Option<Answer> {
    let mut r = Reader::new(bytes);
    match r.u16()? {
        // Block 1, at most 512 bytes of it.
        3 => (r.u16()? == 1 && r.rest().len() <= 512).then_some(Answer::Data),
        5 => {
            let code = r.u16().filter(|code| *code <= 8)?;
            // Some servers leave the end of the text away.
            let text = r.rest().strip_suffix(b"\0").unwrap_or(r.rest());
            let printable = text.iter().all(|b| (0x20..0x7f).contains(b) || *b >= 0x80);
            printable.then(|| Answer::Error { code, text: text.to_vec() })
        }
        _ => None,
    }
}

/// What an answer says.
pub fn seen(answer: &Answer) -> Seen {
    let (text, exchange) = match answer {
        Answer::Error { code, text } => (text.as_slice(), format!("read request answered with error {code}")),
        Answer::Data => (&[][..], "read request answered with data".into()),
    };
    Seen { authentication: NONE, ..Seen::plain("tftp", banner(text).as_bytes(), &exchange) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn real_servers_are_read() {
        let error = parse(include_bytes!("../../../tests/wire/udp-tftp-hpa-error.bin")).unwrap();
        assert_eq!(error, Answer::Error { code: 1, text: b"File not found".to_vec() });
        assert_eq!(seen(&error).banner, "File not found");
        assert_eq!(parse(include_bytes!("../../../tests/wire/udp-tftp-hpa-data.bin")), Some(Answer::Data));
    }

    #[test]
    fn whatever_else_is_no_answer() {
        for bytes in [READ, b"", b"\0\x05\0\x09x\0", b"\0\x05\0\x01\x01\x02\0", b"\0\x03\0\x02x", b"\0\x04\0\x01"] {
            assert_eq!(parse(bytes), None, "{bytes:?}");
        }
    }
}
