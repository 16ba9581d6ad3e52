//! Syslog (RFC 5424) over TLS with octet counting (RFC 5425): one message for each thing that changed.
//!
//! ```text
//! LENGTH SP <PRI>1 TIME HOST assay - KIND [assay@32473 id="…" kind="…" severity="…" link="…"] TEXT
//! ```
//! Syslog acknowledges nothing. Taken: everything was written and the receiver closed, or let us close, without an alert. 32473 is the enterprise
//! number for documentation (RFC 5612); nobody else's is ours to use.

use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::ServerName;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use super::AlertError;
use super::message::{Item, Message};
use super::target::Target;
use crate::collector::store::Letter;
use crate::collector::ui::when::utc;
use crate::model::finding::Severity;
use crate::pki;
use crate::report::text::plain;

/// Facility "log audit" (RFC 5424 section 6.2.1).
const FACILITY: u8 = 13;
/// Longest message, bytes: what receivers take without a setting (RFC 5425 section 4.3.1 asks for 8192).
const MAX_MESSAGE: usize = 8192;
/// Longest text within it.
const MAX_TEXT: usize = 6000;
/// Longest time for all of it.
const TIMEOUT: Duration = Duration::from_secs(20);
/// How long the receiver may take to say that something is wrong.
const LISTEN: Duration = Duration::from_millis(500);

/// Sends one letter.
pub(super) async fn send(target: &Target, letter: &Letter) -> Result<(), AlertError> {
    let message: Message = serde_json::from_str(&letter.body).map_err(|e| AlertError::Bad(e.to_string()))?;
    let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
    let bytes = frames(&message, &letter.id.to_string(), &host);
    let (server, port) = target.host_and_port()?;
    let tls = pki::tls::outgoing_client(&target.body.ca).map_err(|e| AlertError::Bad(e.to_string()))?;
    match timeout(TIMEOUT, write(&server, port, tls, &bytes)).await {
        Ok(done) => done.map_err(|e| AlertError::Receiver(format!("{}: {e}", target.body.address))),
        Err(_) => Err(AlertError::Receiver(format!("{} did not take it within {} s", target.body.address, TIMEOUT.as_secs()))),
    }
}

async fn write(server: &str, port: u16, tls: rustls::ClientConfig, bytes: &[u8]) -> std::io::Result<()> {
    let name = ServerName::try_from(server.to_string()).map_err(std::io::Error::other)?;
    let stream = TcpStream::connect((server, port)).await?;
    let mut stream = TlsConnector::from(Arc::new(tls)).connect(name, stream).await?;
    stream.write_all(bytes).await?;
    stream.flush().await?;
    // A receiver that refuses us (TLS 1.3: after our handshake is over) says so now.
    let mut word = [0; 64];
    match timeout(LISTEN, stream.read(&mut word)).await {
        Ok(Err(e)) if e.kind() != std::io::ErrorKind::UnexpectedEof => return Err(e),
        _ => {}
    }
    stream.shutdown().await
}

/// All messages, each with its length in front.
fn frames(message: &Message, id: &str, host: &str) -> Vec<u8> {
    let whole = [Item { detail: Vec::new(), link: String::new(), severity: Severity::Info, text: message.title.clone() }];
    let items = if message.items.is_empty() { whole.as_slice() } else { message.items.as_slice() };
    let mut out = Vec::new();
    for (number, item) in items.iter().enumerate() {
        let line = line(message, item, &format!("{id}-{number}"), host);
        out.extend_from_slice(format!("{} ", line.len()).as_bytes());
        out.extend_from_slice(line.as_bytes());
    }
    out
}

fn line(message: &Message, item: &Item, id: &str, host: &str) -> String {
    let level = match item.severity {
        Severity::Critical => 2,
        Severity::High => 3,
        Severity::Medium => 4,
        Severity::Low => 5,
        Severity::Info => 6,
    };
    let at = utc(message.at).strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
    let printable = |text: &str, most: usize| text.chars().filter(char::is_ascii_graphic).take(most).collect::<String>();
    let host = match printable(host, 255) {
        name if name.is_empty() => "-".to_string(),
        name => name,
    };
    let mut data = format!("[assay@32473 id=\"{}\" kind=\"{}\" severity=\"{}\"", value(id), value(&message.kind), item.severity.word());
    if !item.link.is_empty() {
        data.push_str(&format!(" link=\"{}\"", value(&format!("{}{}", message.collector, item.link))));
    }
    let mut text = plain(&item.text);
    item.detail.iter().for_each(|d| text.push_str(&format!("; {}", plain(d))));
    let head = format!("<{}>1 {at} {host} assay - {} {data}] \u{feff}", FACILITY * 8 + level, printable(&message.kind, 32));
    let room = MAX_MESSAGE.saturating_sub(head.len()).min(MAX_TEXT);
    let end = (0..=room.min(text.len())).rev().find(|at| text.is_char_boundary(*at)).unwrap_or_default();
    format!("{head}{}", text.get(..end).unwrap_or_default())
}

/// A value of structured data (RFC 5424 section 6.3.3).
fn value(text: &str) -> String {
    let mut out = String::new();
    for c in text.chars().filter(|c| !c.is_control()).take(1000) {
        if matches!(c, '"' | '\\' | ']') {
            out.push('\\');
        }
        out.push(c);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_counted_in_bytes_and_nothing_of_a_host_breaks_out() {
        let item = Item { detail: vec!["x".repeat(20_000)], link: "/a?b=\"]".into(), severity: Severity::Critical, text: "ä\n<13>1 forged".into() };
        let message = Message::new("failures", "t".into(), vec![item.clone(), item], "https://c", 1_795_338_847);
        let bytes = frames(&message, "id", "web 01\n");
        let text = String::from_utf8(bytes).unwrap();
        let (length, rest) = text.split_once(' ').unwrap();
        let length: usize = length.parse().unwrap();
        let first = &rest[..length];
        assert!(length <= MAX_MESSAGE && first.starts_with("<106>1 2026-11-22T09:14:07Z web01 assay - failures [assay@32473 id=\"id-0\""), "{first:.200}");
        assert!(first.contains(r#"link="https://c/a?b=\"\]""#) && !first.contains('\n'), "{first:.300}");
        let second = &rest[length..];
        assert!(second.split_once(' ').unwrap().1.starts_with("<106>1 "), "{second:.50}");
    }
}
