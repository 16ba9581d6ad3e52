//! HTTP/1.1 (RFC 9112): one GET, of which only the head is read.

use super::{Asked, NONE, Protocol, REQUIRED, Seen, UNKNOWN, a_line, exchange};
use crate::probe::dial::{Connection, Dialer, Stop};
use crate::probe::reader::{BANNER_LIMIT, Reader, banner};

/// HTTP.
pub const PROTOCOL: Protocol = Protocol {
    name: "http",
    ports: &[80, 8000, 8080, 9090],
    processes: &["nginx", "apache2", "httpd", "lighttpd", "caddy", "haproxy", "traefik"],
    greets: Some(speaks),
    talk: Some(|_, _, first| Box::pin(async move { Some(seen(first)) })),
    ask: Some(|dialer| Box::pin(ask(dialer))),
    hinted: Some(speaks),
};

/// A status line, or the bare page of a server that did not understand us.
pub fn speaks(first: &[u8]) -> bool {
    let head = first.trim_ascii_start();
    let starts = |p: &[u8]| head.get(..p.len()).is_some_and(|h| h.eq_ignore_ascii_case(p));
    starts(b"HTTP/") || starts(b"<html") || starts(b"<!doctype html") || is_http2(first)
}

/// A SETTINGS frame on stream 0 (RFC 9113 sections 4.1 and 6.5).
pub fn is_http2(first: &[u8]) -> bool {
    let mut r = Reader::new(first);
    let (Some(length), Some(kind), Some(flags), Some(stream)) = (r.u24(), r.u8(), r.u8(), r.u32()) else {
        return false;
    };
    kind == 4 && flags == 0 && stream == 0 && length.is_multiple_of(6) && length <= 120
}

/// Asks on a fresh connection.
pub async fn ask(dialer: &Dialer) -> Asked {
    match exchange(dialer, &request(dialer), a_line).await {
        Err(asked) => asked,
        Ok((mut connection, first)) => {
            if speaks(&first) {
                connection.unread(&first);
                Asked::Found(Box::new(read(&mut connection, &first).await))
            } else {
                Asked::Answered(first)
            }
        }
    }
}

/// The request: who asks, and that nothing is kept open.
pub fn request(dialer: &Dialer) -> Vec<u8> {
    let host = if dialer.server_name.is_empty() { dialer.address.ip().to_string() } else { dialer.server_name.clone() };
    let host = if host.contains(':') { format!("[{host}]") } else { host };
    format!("GET / HTTP/1.1\r\nHost: {host}:{}\r\nUser-Agent: assay\r\nAccept: */*\r\nConnection: close\r\n\r\n", dialer.address.port()).into_bytes()
}

/// Reads the head of an answer.
pub async fn read(connection: &mut Connection, first: &[u8]) -> Seen {
    match connection.lines(<[u8]>::is_empty).await {
        Ok(lines) => head(&lines),
        // A bare page has no head.
        Err(Stop::Closed | Stop::Limit | Stop::Malformed) => seen(first),
        Err(stop @ (Stop::Silent | Stop::Incomplete)) => {
            let mut partial = seen(first);
            partial.tls = UNKNOWN;
            partial.left_open("tls", format!("GET /: {stop}"));
            partial
        }
    }
}

/// A server that spoke HTTP unasked or without a head.
pub fn seen(first: &[u8]) -> Seen {
    let exchange = if is_http2(first) { "HTTP/2 SETTINGS" } else { "first bytes" };
    Seen::plain("http", first, exchange)
}

fn head(lines: &[Vec<u8>]) -> Seen {
    let status_line = lines.first().map(Vec::as_slice).unwrap_or_default();
    let text = String::from_utf8_lossy(status_line);
    let status: u16 = text.split_ascii_whitespace().nth(1).and_then(|s| s.parse().ok()).unwrap_or(0);
    let header = |name: &str| {
        lines.iter().skip(1).find_map(|line| {
            let at = line.iter().position(|b| *b == b':')?;
            let (key, value) = line.split_at_checked(at)?;
            key.eq_ignore_ascii_case(name.as_bytes()).then(|| banner(value.get(1..).unwrap_or_default()))
        })
    };
    let mut seen = Seen::plain("http", status_line, &format!("GET / answered {status}"));
    if let Some(server) = header("server") {
        seen.banner = format!("{} {server}", seen.banner).chars().take(BANNER_LIMIT).collect();
    }
    if matches!(status, 301 | 302 | 303 | 307 | 308) && header("location").is_some_and(|l| l.to_ascii_lowercase().starts_with("https://")) {
        // Nothing useful before the upgrade: it only leads to HTTPS.
        seen.tls = REQUIRED;
        seen.exchange.push_str(" with an https location");
    }
    seen.authentication = match status {
        401 | 407 => REQUIRED,
        200..=299 => NONE,
        _ => UNKNOWN,
    };
    seen
}
