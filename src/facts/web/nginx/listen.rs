//! Where servers of nginx listen: the directive `listen` and the sockets that several servers share.

use std::collections::BTreeMap;

use crate::facts::web::tree::Directive;

/// Most ports of one range (stream).
const RANGE_LIMIT: u32 = 1_024;

/// One address of one server.
#[derive(Clone, Debug)]
pub struct Listen {
    /// Address; a path for a local socket.
    pub address: String,
    /// Port; 0 for a local socket.
    pub port: u32,
    /// Whether TLS is asked for here.
    pub tls: bool,
    /// HTTP/3, over UDP.
    pub quic: bool,
    /// UDP of stream.
    pub udp: bool,
    /// Whether it is named the default.
    pub default: bool,
    /// The directive; that of the server where none is written.
    pub directive: Directive,
}

/// What `listen` says; `None` where it can't be read.
pub fn parse(directive: &Directive) -> Option<Vec<Listen>> {
    let text = directive.argument(0);
    let (address, ports) = if let Some(path) = text.strip_prefix("unix:") {
        (path.trim_end_matches(':').to_string(), Some((0, 0)))
    } else if let Some((address, rest)) = text.strip_prefix('[').and_then(|t| t.split_once(']')) {
        (address.to_string(), ports(rest.strip_prefix(':')))
    } else if text.chars().all(|c| c.is_ascii_digit() || c == '-') {
        ("0.0.0.0".to_string(), ports(Some(text)))
    } else {
        let (address, rest) = text.split_once(':').map_or((text, None), |(a, p)| (a, Some(p)));
        (if address == "*" { "0.0.0.0".into() } else { address.to_string() }, ports(rest))
    };
    let (first, last) = ports?;
    if address.is_empty() || address.contains('$') || last < first || last - first > RANGE_LIMIT {
        return None;
    }
    let has = |word: &str| directive.arguments.iter().skip(1).any(|a| a == word);
    let one = |port| Listen {
        address: address.clone(),
        port,
        tls: has("ssl") || has("quic"),
        quic: has("quic"),
        udp: has("udp") || has("quic"),
        default: has("default_server") || has("default"),
        directive: directive.clone(),
    };
    Some((first..=last).map(one).collect())
}

/// Port or range; 80 where none is written.
fn ports(text: Option<&str>) -> Option<(u32, u32)> {
    let Some(text) = text else { return Some((80, 80)) };
    let port = |t: &str| t.parse::<u16>().ok().filter(|p| *p > 0).map(u32::from);
    match text.split_once('-') {
        Some((first, last)) => Some((port(first)?, port(last)?)),
        None => port(text).map(|p| (p, p)),
    }
}

/// A server without `listen`: port 80 of every address, which needs root; nginx started by others takes 8000.
pub fn default(server: &Directive) -> Listen {
    Listen { address: "0.0.0.0".into(), port: 80, tls: false, quic: false, udp: false, default: false, directive: server.clone() }
}

/// What the servers that share an address and port have in common.
#[derive(Clone, Copy, Debug, Default)]
pub struct Shared {
    /// Whether one of them asks for TLS: then all of them speak it there.
    pub tls: bool,
    /// The server that answers when no name matches, by index.
    pub default: usize,
    has_default: bool,
}

/// Address, port, whether UDP.
pub type Key = (String, u32, bool);

/// The sockets of all servers; `servers` in the order of the file.
pub fn shared(servers: &[Vec<Listen>]) -> BTreeMap<Key, Shared> {
    let mut out: BTreeMap<Key, Shared> = BTreeMap::new();
    for (index, listens) in servers.iter().enumerate() {
        for listen in listens {
            let entry = out.entry(key(listen)).or_insert(Shared { tls: false, default: index, has_default: false });
            entry.tls |= listen.tls;
            if listen.default && !entry.has_default {
                entry.default = index;
                entry.has_default = true;
            }
        }
    }
    out
}

/// Key of an address.
pub fn key(listen: &Listen) -> Key {
    (listen.address.clone(), listen.port, listen.udp)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listen(arguments: &[&str]) -> Option<Vec<(String, u32, bool, bool)>> {
        let directive = Directive { name: "listen".into(), arguments: arguments.iter().map(|a| (*a).to_string()).collect(), ..Directive::default() };
        parse(&directive).map(|l| l.into_iter().map(|l| (l.address, l.port, l.tls, l.default)).collect())
    }

    #[test]
    fn forms_of_listen() {
        let one = |a: &str, p, t, d| Some(vec![(a.to_string(), p, t, d)]);
        assert_eq!(listen(&["443", "ssl", "default_server"]), one("0.0.0.0", 443, true, true));
        assert_eq!(listen(&["*:8080"]), one("0.0.0.0", 8080, false, false));
        assert_eq!(listen(&["[::]:443", "ssl", "http2", "ipv6only=on"]), one("::", 443, true, false));
        assert_eq!(listen(&["[::1]"]), one("::1", 80, false, false));
        assert_eq!(listen(&["10.0.0.1"]), one("10.0.0.1", 80, false, false));
        assert_eq!(listen(&["localhost:81"]), one("localhost", 81, false, false));
        assert_eq!(listen(&["unix:/run/n.sock"]), one("/run/n.sock", 0, false, false));
        assert_eq!(listen(&["127.0.0.1:1000-1002"]).map(|l| l.len()), Some(3));
        for bad in ["", "70000", "0", "1-60000", "[::1", "$a:80", "5-4"] {
            assert_eq!(listen(&[bad]), None, "{bad}");
        }
    }
}
