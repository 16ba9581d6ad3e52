//! HTTP/1.1 (RFC 9112): one GET. What is spoken over HTTP (Elasticsearch, Docker, …) is told by its
//! answer, and asked more.

pub mod answer;
pub mod fields;

use super::{Asked, Later, NONE, PROTOCOLS, Protocol, REQUIRED, Seen, UNKNOWN, a_line, exchange};
use crate::probe::dial::{Connection, Dialer, Stop};
use crate::probe::reader::{BANNER_LIMIT, Reader};
use crate::probe::seen::Http;
pub use answer::Answer;

/// HTTP.
pub const PROTOCOL: Protocol = Protocol {
    name: "http",
    ports: &[80, 8000, 8080, 8888, 9090],
    processes: &["nginx", "apache2", "httpd", "lighttpd", "caddy", "traefik"],
    greets: Some(speaks),
    talk: Some(|_, _, first| Box::pin(async move { Some(seen(first)) })),
    ask: Some(|dialer| Box::pin(ask(dialer))),
    hinted: Some(speaks),
    ..Protocol::NONE
};

/// Opens another connection to where the first answer came from, inside TLS if that was.
pub trait Again: Send + Sync {
    /// The connection; `None` when there is none to be had.
    fn again(&self) -> Later<'_, Option<Connection>>;
}

impl Again for Dialer {
    fn again(&self) -> Later<'_, Option<Connection>> {
        Box::pin(async { self.connect().await.ok() })
    }
}

/// The server that answered, for further requests: one connection each.
pub struct Web<'a> {
    /// Where it is.
    pub dialer: &'a Dialer,
    /// How to get there.
    pub again: &'a dyn Again,
}

impl Web<'_> {
    /// GET; nothing is changed by it.
    pub async fn get(&self, path: &str) -> Result<Answer, Stop> {
        self.send(&request(self.dialer, "GET", path, "", &[])).await
    }

    /// POST, for protocols that ask with it.
    pub async fn post(&self, path: &str, kind: &str, body: &[u8]) -> Result<Answer, Stop> {
        self.send(&request(self.dialer, "POST", path, kind, body)).await
    }

    async fn send(&self, request: &[u8]) -> Result<Answer, Stop> {
        let mut connection = self.again.again().await.ok_or(Stop::Closed)?;
        connection.send(request).await?;
        answer::read(&mut connection).await
    }
}

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
async fn ask(dialer: &Dialer) -> Asked {
    match exchange(dialer, &question(dialer), a_line).await {
        Err(asked) => asked,
        Ok((mut connection, first)) if speaks(&first) => {
            connection.unread(&first);
            read(connection, &first, &Web { dialer, again: dialer }).await
        }
        Ok((_, first)) => Asked::Answered(first),
    }
}

/// The first request: who asks, and that nothing is kept open.
pub fn question(dialer: &Dialer) -> Vec<u8> {
    request(dialer, "GET", "/", "", &[])
}

fn request(dialer: &Dialer, method: &str, path: &str, kind: &str, body: &[u8]) -> Vec<u8> {
    let host = if dialer.server_name.is_empty() { dialer.address.ip().to_string() } else { dialer.server_name.clone() };
    let host = if host.contains(':') { format!("[{host}]") } else { host };
    let content = if body.is_empty() { String::new() } else { format!("Content-Type: {kind}\r\nContent-Length: {}\r\n", body.len()) };
    let head =
        format!("{method} {path} HTTP/1.1\r\nHost: {host}:{}\r\nUser-Agent: assay\r\nAccept: */*\r\n{content}Connection: close\r\n\r\n", dialer.address.port());
    [head.as_bytes(), body].concat()
}

/// Reads the answer to [`question`], whose first bytes the connection gives again.
pub async fn read(mut connection: Connection, first: &[u8], web: &Web<'_>) -> Asked {
    let answer = match answer::read(&mut connection).await {
        Ok(answer) => answer,
        // A bare page has no head.
        Err(Stop::Closed | Stop::Limit | Stop::Malformed) => return Asked::Found(Box::new(seen(first))),
        Err(stop @ (Stop::Silent | Stop::Incomplete)) => {
            let mut partial = seen(first);
            partial.tls = UNKNOWN;
            partial.left_open("tls", format!("GET /: {stop}"));
            partial.left_open("http", format!("GET /: {stop}"));
            return Asked::Found(Box::new(partial));
        }
    };
    drop(connection);
    // Some servers of other protocols have an answer ready for web browsers.
    if PROTOCOLS.iter().any(|p| p.name != "http" && p.ask.is_some() && p.hinted.is_some_and(|hinted| hinted(&answer.raw))) {
        return Asked::Answered(answer.raw);
    }
    for over_http in PROTOCOLS.iter().filter_map(|p| p.over_http) {
        if let Some(seen) = over_http(web, &answer).await {
            return Asked::Found(Box::new(seen));
        }
    }
    Asked::Found(Box::new(of_answer("http", &answer)))
}

/// A server that spoke HTTP unasked or without a head.
pub fn seen(first: &[u8]) -> Seen {
    let exchange = if is_http2(first) { "HTTP/2 SETTINGS" } else { "first bytes" };
    Seen { http: Some(Http::default()), ..Seen::plain("http", first, exchange) }
}

/// What the answer to `GET /` says of a server of this protocol.
pub fn of_answer(protocol: &'static str, answer: &Answer) -> Seen {
    let http = fields::read(answer);
    let mut seen = Seen::plain(protocol, answer.status_line(), &format!("GET / answered {}", answer.status));
    if !http.server.is_empty() {
        seen.banner = format!("{} {}", seen.banner, http.server).chars().take(BANNER_LIMIT).collect();
    }
    if http.redirects_to_https {
        // Nothing useful before the upgrade: it only leads to HTTPS.
        seen.tls = REQUIRED;
        seen.exchange.push_str(" with an https location");
    }
    seen.authentication = match answer.status {
        401 | 407 => REQUIRED,
        200..=299 => NONE,
        _ => UNKNOWN,
    };
    seen.http = Some(http);
    seen
}
