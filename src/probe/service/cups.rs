//! CUPS: a web server that names itself and speaks IPP (RFC 8011); CUPS-Get-Printers lists printers.

use super::http::{Answer, Web, of_answer};
use super::{NONE, Protocol, REQUIRED, Seen};
use crate::probe::reader::Reader;

/// CUPS.
pub const PROTOCOL: Protocol =
    Protocol { name: "cups", ports: &[631], processes: &["cupsd"], over_http: Some(|web, answer| Box::pin(look(web, answer))), ..Protocol::NONE };

/// Success has a high byte of 0 (RFC 8011 appendix B).
const SUCCESS_LIMIT: u16 = 0x0100;
/// `client-error-not-found`: the list is empty.
const NOT_FOUND: u16 = 0x0406;
/// `client-error-forbidden`, `client-error-not-authenticated`, `client-error-not-authorized`.
const REFUSED: std::ops::RangeInclusive<u16> = 0x0401..=0x0403;

async fn look(web: &Web<'_>, answer: &Answer) -> Option<Seen> {
    let server = answer.field("server").filter(|s| s.starts_with("CUPS/"))?;
    let mut seen = of_answer("cups", answer);
    seen.versions = server.split_ascii_whitespace().filter(|w| w.starts_with("IPP/")).map(String::from).collect();
    match web.post("/", "application/ipp", &get_printers()).await {
        Ok(answer) => match (answer.status, status(&answer.body)) {
            (200, Some(code)) if code < SUCCESS_LIMIT || code == NOT_FOUND => {
                seen.authentication = NONE;
                seen.opens("printers");
                seen.exchange = "CUPS-Get-Printers answered".into();
            }
            (401 | 403, _) => refused(&mut seen, &format!("status {}", answer.status)),
            (200, Some(code)) if REFUSED.contains(&code) => refused(&mut seen, &format!("0x{code:04x}")),
            (http, _) => unanswered(&mut seen, &format!("answered {http}")),
        },
        Err(stop) => unanswered(&mut seen, &stop.to_string()),
    }
    Some(seen)
}

fn refused(seen: &mut Seen, how: &str) {
    seen.authentication = REQUIRED;
    seen.exchange = format!("CUPS-Get-Printers refused with {how}");
}

fn unanswered(seen: &mut Seen, reason: &str) {
    for field in ["authentication", "open"] {
        seen.left_open(field, format!("CUPS-Get-Printers: {reason}"));
    }
}

/// IPP 2.0, CUPS-Get-Printers, of each printer its name.
fn get_printers() -> Vec<u8> {
    let mut out = vec![2, 0, 0x40, 0x02, 0, 0, 0, 1, 1];
    let attributes: [(u8, &str, &str); 3] =
        [(0x47, "attributes-charset", "utf-8"), (0x48, "attributes-natural-language", "en"), (0x44, "requested-attributes", "printer-name")];
    for (tag, name, value) in attributes {
        out.push(tag);
        for text in [name, value] {
            out.extend_from_slice(&u16::try_from(text.len()).unwrap_or(0).to_be_bytes());
            out.extend_from_slice(text.as_bytes());
        }
    }
    out.push(3);
    out
}

/// Status code of an IPP answer.
fn status(body: &[u8]) -> Option<u16> {
    let mut r = Reader::new(body);
    let version = r.take(2)?;
    matches!(version, [1 | 2, 0..=2]).then(|| r.u16()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn status_codes_are_read() {
        let recorded = include_bytes!("../../../tests/wire/http-cups-printers.bin");
        let body = recorded.windows(4).position(|w| w == b"\r\n\r\n").unwrap() + 4;
        assert_eq!(status(&recorded[body..]), Some(NOT_FOUND));
        assert_eq!(status(&[2, 0, 4, 6, 0, 0, 0, 1, 1]), Some(NOT_FOUND));
        assert_eq!(status(&[2, 0, 0, 0]), Some(0));
        assert_eq!(status(b"<html>"), None);
        assert_eq!(status(&[2, 0, 4]), None);
    }
}
