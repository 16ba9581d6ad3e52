//! Connection strings of libpq: where they lead and whether TLS is asked for. Passwords are never kept
//! (PostgreSQL manual, "Connection Strings").
//!
//! ```text
//! host=db1 port=5432 sslmode='verify-full'          \' and \\ inside of quotes and out
//! postgresql://user:secret@db1:5432,db2/base?sslmode=require
//! ```

use std::collections::BTreeMap;
use std::net::IpAddr;

/// Most parameters.
const PARAMETER_LIMIT: usize = 64;

/// Where a connection leads.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Connection {
    /// Hosts as written, the first one tried first; empty for a local socket.
    pub hosts: Vec<String>,
    /// `sslmode` as written; empty: the default (prefer).
    pub sslmode: String,
    /// `gssencmode=require`.
    pub gss_required: bool,
    /// `service`: a file decides the rest.
    pub service: bool,
}

impl Connection {
    /// `required`, `optional` or `none`.
    pub fn tls(&self) -> &'static str {
        match self.sslmode.as_str() {
            "require" | "verify-ca" | "verify-full" => "required",
            _ if self.gss_required => "required",
            "disable" => "none",
            _ => "optional",
        }
    }

    /// Whether it leads to another machine.
    pub fn is_remote(&self) -> bool {
        self.hosts.iter().any(|h| is_other_machine(h))
    }
}

/// Neither a local socket nor a loopback address.
pub fn is_other_machine(host: &str) -> bool {
    let bare = host.trim_matches(['[', ']']);
    if bare.is_empty() || bare.starts_with(['/', '@']) || bare.eq_ignore_ascii_case("localhost") {
        return false;
    }
    bare.parse::<IpAddr>().map_or(true, |ip| !ip.to_canonical().is_loopback())
}

/// Parses a string; `None` when libpq would refuse it.
pub fn parse(text: &str) -> Option<Connection> {
    let text = text.trim();
    let parameters = match text.strip_prefix("postgresql://").or_else(|| text.strip_prefix("postgres://")) {
        Some(rest) => address(rest),
        None => words(text)?,
    };
    let value = |name: &str| parameters.get(name).cloned().unwrap_or_default();
    let named = if value("hostaddr").is_empty() { value("host") } else { value("hostaddr") };
    Some(Connection {
        hosts: named.split(',').map(|h| h.trim().to_string()).filter(|h| !h.is_empty()).collect(),
        sslmode: value("sslmode").to_ascii_lowercase(),
        gss_required: value("gssencmode") == "require",
        service: parameters.contains_key("service"),
    })
}

fn words(text: &str) -> Option<BTreeMap<String, String>> {
    let mut out = BTreeMap::new();
    let mut chars = text.chars().peekable();
    loop {
        while chars.peek().is_some_and(|c| c.is_whitespace()) {
            chars.next();
        }
        if chars.peek().is_none() || out.len() == PARAMETER_LIMIT {
            return Some(out);
        }
        let mut name = String::new();
        loop {
            match chars.next()? {
                '=' => break,
                c => name.push(c),
            }
        }
        while chars.peek().is_some_and(|c| c.is_whitespace()) {
            chars.next();
        }
        let quoted = chars.next_if_eq(&'\'').is_some();
        let mut value = String::new();
        loop {
            match chars.next() {
                None if quoted => return None,
                None => break,
                Some('\\') => value.extend(chars.next()),
                Some('\'') if quoted => break,
                Some(c) if !quoted && c.is_whitespace() => break,
                Some(c) => value.push(c),
            }
        }
        out.insert(name.trim().to_ascii_lowercase(), value);
    }
}

fn address(rest: &str) -> BTreeMap<String, String> {
    let (before, query) = rest.split_once('?').unwrap_or((rest, ""));
    let authority = before.split('/').next().unwrap_or_default();
    let hosts = authority.rsplit_once('@').map_or(authority, |(_, hosts)| hosts);
    let mut out = BTreeMap::new();
    let host_of = |part: &str| match part.strip_prefix('[').and_then(|p| p.split_once(']')) {
        Some((ip, _)) => ip.to_string(),
        None => decoded(part.split(':').next().unwrap_or_default()),
    };
    out.insert("host".into(), hosts.split(',').map(host_of).collect::<Vec<_>>().join(","));
    for pair in query.split('&').take(PARAMETER_LIMIT) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        out.insert(decoded(name), decoded(value));
    }
    out
}

/// `%2F` and the like.
fn decoded(text: &str) -> String {
    let mut out = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let digit = |b: Option<&u8>| b.and_then(|b| char::from(*b).to_digit(16)).and_then(|d| u8::try_from(d).ok());
        if *first == b'%'
            && let (Some(high), Some(low)) = (digit(after.first()), digit(after.get(1)))
        {
            out.push(high * 16 + low);
            rest = after.get(2..).unwrap_or_default();
            continue;
        }
        out.push(*first);
        rest = after;
    }
    String::from_utf8_lossy(&out).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_strings_lead() {
        let shown = |text: &str| parse(text).map(|c| format!("{} {} {}", c.hosts.join("+"), c.tls(), c.is_remote()));
        assert_eq!(shown("host=10.0.0.5 password='a b\\'c' sslmode = verify-full").as_deref(), Some("10.0.0.5 required true"));
        assert_eq!(shown("user=x host=/run/postgresql").as_deref(), Some("/run/postgresql optional false"));
        assert_eq!(shown("host=a,127.0.0.1 hostaddr=127.0.0.1 sslmode=disable").as_deref(), Some("127.0.0.1 none false"));
        assert_eq!(shown("postgresql://u:p%40x@db1:5432,[::1]:1/base?sslmode=require").as_deref(), Some("db1+::1 required true"));
        assert_eq!(shown("postgres://%2Frun/base").as_deref(), Some("/run optional false"));
        assert_eq!((shown("host"), shown("host='a"), shown("")), (None, None, Some(" optional false".into())));
        assert!(parse("service=x").unwrap().service);
        let text = "host = 'a\\' %2 postgres://é@%2:[x";
        for end in (0..=text.len()).filter(|i| text.is_char_boundary(*i)) {
            let _ = parse(&text[..end]);
            let _ = address(&text[..end]);
        }
    }
}
