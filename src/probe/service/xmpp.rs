//! XMPP (RFC 6120): a stream of clients, else of servers, up to its features, and `<starttls/>`.

use super::starttls::{self, Listed};
use super::{Asked, Protocol, REQUIRED, Seen, UNKNOWN, Upgrade};
use crate::probe::dial::{Connection, Dialer, Stop};

/// XMPP.
pub const PROTOCOL: Protocol = Protocol {
    name: "xmpp",
    ports: &[5222, 5269, 5280],
    processes: &["prosody", "lua5.4", "beam.smp", "ejabberd"],
    ask: Some(|dialer| Box::pin(ask(dialer))),
    hinted: Some(is_stream),
    ..Protocol::NONE
};

/// `<starttls/>` (RFC 6120 section 5) in a client's stream.
pub const UPGRADE: Upgrade = Upgrade { name: "xmpp", is_counted: false, prepare: |connection| Box::pin(upgrade(connection, CLIENT)) };
/// The same in a server's stream.
pub const UPGRADE_SERVER: Upgrade = Upgrade { name: "xmpp-server", is_counted: false, prepare: |connection| Box::pin(upgrade(connection, SERVER)) };

/// Namespaces of the two kinds of streams.
const CLIENT: &str = "jabber:client";
const SERVER: &str = "jabber:server";
/// Domain asked for where no name is known; the domain of a server that nobody has set up.
const UNNAMED: &str = "localhost";
/// Fewest bytes that can be told from nothing.
const OPENING_MINIMUM: usize = 4;
/// Longest opening read, bytes.
const OPENING_LIMIT: usize = 16 << 10;

/// How a server opened its stream.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Opening {
    /// What it offers.
    Features(Features),
    /// A stream error (RFC 6120 section 4.9.3).
    Error(String),
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Features {
    starttls: bool,
    required: bool,
    mechanisms: bool,
}

async fn ask(dialer: &Dialer) -> Asked {
    let mut connection = match dialer.connect().await {
        Ok(connection) => connection,
        Err(_) => return Asked::NoConnection,
    };
    let first = match open(&mut connection, CLIENT).await {
        Ok(text) => text,
        Err((stop, read)) if read.is_empty() => return stop.into(),
        Err((_, read)) if read.len() < OPENING_MINIMUM => return Asked::Incomplete,
        Err((_, read)) => read,
    };
    if !is_stream(&first) {
        return Asked::Answered(first);
    }
    let mut seen = Seen::plain("xmpp", b"", "stream of a client");
    match parse(&first) {
        Some(Opening::Features(features)) => upgrade_of(connection, &features, UPGRADE, &mut seen).await,
        // The port of servers.
        Some(Opening::Error(error)) if matches!(error.as_str(), "invalid-namespace" | "bad-namespace-prefix") => as_server(dialer, &mut seen).await,
        Some(Opening::Error(error)) => refused(&mut seen, &error, dialer),
        None => {
            seen.tls = UNKNOWN;
            seen.left_open("tls", "the stream of a client opened without features");
        }
    }
    Asked::Found(Box::new(seen))
}

async fn as_server(dialer: &Dialer, seen: &mut Seen) {
    seen.exchange = "stream of a server".into();
    let opened = async {
        let mut connection = dialer.connect().await.map_err(|e| e.to_string())?;
        let text = open(&mut connection, SERVER).await.map_err(|(stop, _)| stop.to_string())?;
        Ok::<_, String>((connection, text))
    };
    match opened.await {
        Ok((connection, text)) => match parse(&text) {
            Some(Opening::Features(features)) => upgrade_of(connection, &features, UPGRADE_SERVER, seen).await,
            Some(Opening::Error(error)) => refused(seen, &error, dialer),
            None => {
                seen.tls = UNKNOWN;
                seen.left_open("tls", "the stream of a server opened without features");
            }
        },
        Err(problem) => {
            seen.tls = UNKNOWN;
            seen.left_open("tls", format!("stream of a server: {problem}"));
        }
    }
}

fn refused(seen: &mut Seen, error: &str, dialer: &Dialer) {
    seen.tls = UNKNOWN;
    seen.exchange.push_str(&format!(" refused with {error}"));
    let domain = if dialer.server_name.is_empty() { UNNAMED } else { &dialer.server_name };
    seen.left_open("tls", format!("the domain {domain} is refused with {error}; name the target by a domain that it serves"));
}

async fn upgrade_of(mut connection: Connection, features: &Features, upgrade: Upgrade, seen: &mut Seen) {
    if features.mechanisms {
        seen.authentication = REQUIRED;
    }
    let listed = if features.starttls { Listed::Yes } else { Listed::No };
    // Where it is the only way to go on, it is as good as marked (RFC 6120 section 5.3.1).
    let demanded = features.required || !features.mechanisms;
    let stream = std::mem::take(&mut seen.exchange);
    let accepted = start_tls(&mut connection).await;
    starttls::note(seen, upgrade, "starttls", listed, accepted, demanded);
    seen.exchange = format!("{stream}: {}", seen.exchange);
    if accepted != Ok(true) {
        // Best effort: leave in order.
        let _ = connection.send(b"</stream:stream>").await;
    }
}

async fn start_tls(connection: &mut Connection) -> Result<bool, Stop> {
    connection.send(b"<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>").await?;
    let answer = read(connection, |text| text.contains('>')).await.map_err(|(stop, _)| stop)?;
    Ok(String::from_utf8_lossy(&answer).contains("<proceed"))
}

/// Opens a stream and reads what the server opens with. On an error, what was read until then.
async fn open(connection: &mut Connection, namespace: &str) -> Result<Vec<u8>, (Stop, Vec<u8>)> {
    let named = !connection.server_name.is_empty() && !connection.server_name.contains(['\'', '"', '<', '>', '&']);
    let domain = if named { &connection.server_name } else { UNNAMED };
    let header = format!(
        "<?xml version='1.0'?><stream:stream to='{domain}' version='1.0' xml:lang='en' xmlns='{namespace}'{} xmlns:stream='http://etherx.jabber.org/streams'>",
        if namespace == SERVER { " xmlns:db='jabber:server:dialback'" } else { "" }
    );
    connection.send(header.as_bytes()).await.map_err(|stop| (stop, Vec::new()))?;
    read(connection, is_open).await
}

async fn read(connection: &mut Connection, enough: fn(&str) -> bool) -> Result<Vec<u8>, (Stop, Vec<u8>)> {
    let end = connection.answer_by();
    let mut text: Vec<u8> = Vec::new();
    while text.len() < OPENING_LIMIT {
        match connection.some_by(end).await {
            Ok(more) => text.extend(more),
            Err(stop) => return Err((stop, text)),
        }
        if enough(&String::from_utf8_lossy(&text)) || (text.len() >= OPENING_MINIMUM && !may_be_xml(&text)) {
            return Ok(text);
        }
    }
    Err((Stop::Limit, text))
}

/// Other servers' answers need not be waited for.
fn may_be_xml(text: &[u8]) -> bool {
    text.trim_ascii_start().first().is_none_or(|b| *b == b'<')
}

/// A stream header.
fn is_stream(first: &[u8]) -> bool {
    let text = String::from_utf8_lossy(first);
    text.contains("<stream:stream") && text.contains("http://etherx.jabber.org/streams")
}

fn is_open(text: &str) -> bool {
    text.contains("</stream:stream>")
        || element(text, "stream:error").is_some()
        || element(text, "stream:features").is_some()
        || element(text, "features").is_some()
}

fn parse(text: &[u8]) -> Option<Opening> {
    let text = String::from_utf8_lossy(text);
    if let Some(error) = element(&text, "stream:error") {
        let name = error.split('<').find(|p| !p.is_empty() && !p.starts_with(['/', '?']))?;
        let name: String = name.chars().take_while(|c| c.is_ascii_lowercase() || *c == '-').take(40).collect();
        return Some(Opening::Error(name));
    }
    let features = element(&text, "stream:features").or_else(|| element(&text, "features"))?;
    let starttls = element(features, "starttls");
    Some(Opening::Features(Features {
        starttls: starttls.is_some(),
        required: starttls.is_some_and(|inner| element(inner, "required").is_some()),
        mechanisms: element(features, "mechanism").is_some(),
    }))
}

/// The content of the first whole element of this name; empty for `<name/>`.
fn element<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let mut rest = text;
    loop {
        let at = rest.find(&format!("<{name}"))?;
        let after = rest.get(at + 1 + name.len()..)?;
        if after.starts_with([' ', '>', '/', '\t', '\r', '\n']) {
            let (head, body) = after.split_once('>')?;
            if head.ends_with('/') {
                return Some("");
            }
            return body.split_once(&format!("</{name}")).map(|(content, _)| content);
        }
        rest = after;
    }
}

async fn upgrade(connection: &mut Connection, namespace: &str) -> Result<(), Stop> {
    let opening = open(connection, namespace).await.map_err(|(stop, _)| stop)?;
    match parse(&opening) {
        Some(Opening::Features(_)) if start_tls(connection).await? => Ok(()),
        _ => Err(Stop::Malformed),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::probe::reader::mutations;

    const PROSODY: &[u8] = include_bytes!("../../../tests/wire/xmpp-prosody-required.bin");

    #[test]
    fn recorded_features_are_read() {
        assert!(is_stream(PROSODY));
        assert_eq!(parse(PROSODY), Some(Opening::Features(Features { starttls: true, required: true, mechanisms: false })));
        for bytes in mutations(PROSODY) {
            parse(&bytes);
            is_stream(&bytes);
            is_open(&String::from_utf8_lossy(&bytes));
        }
    }

    #[test]
    fn features_and_errors_are_told_apart() {
        let optional = b"<stream:features><mechanisms xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><mechanism>PLAIN</mechanism></mechanisms><starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/></stream:features>";
        assert_eq!(parse(optional), Some(Opening::Features(Features { starttls: true, required: false, mechanisms: true })));
        assert_eq!(parse(b"<stream:features/>"), Some(Opening::Features(Features::default())));
        let error = b"<stream:error><host-unknown xmlns='urn:ietf:params:xml:ns:xmpp-streams'/><text>no</text></stream:error></stream:stream>";
        assert_eq!(parse(error), Some(Opening::Error("host-unknown".into())));
        assert_eq!(parse(b"<stream:stream>"), None);
        assert_eq!(element("<starttlsx/><starttls a='1'>in</starttls>", "starttls"), Some("in"));
        assert_eq!(element("<starttls>never ends", "starttls"), None);
    }
}
