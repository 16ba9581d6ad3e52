//! URLs of `slapd -h` as endpoints.

use std::net::IpAddr;

use super::DirectoryServer;
use super::config::Config;
use crate::model::configured::ConfiguredEndpoint;
use crate::model::fact::Source;

/// `TLSProtocolMin` numbers and the versions that they leave on.
const VERSIONS: [(&str, &str); 5] = [("3.0", "SSLv3"), ("3.1", "TLSv1.0"), ("3.2", "TLSv1.1"), ("3.3", "TLSv1.2"), ("3.4", "TLSv1.3")];

/// One URL taken apart.
struct Url {
    scheme: String,
    address: String,
    port: u32,
}

fn url(text: &str) -> Option<Url> {
    let (scheme, rest) = text.split_once("://")?;
    let scheme = scheme.to_ascii_lowercase();
    let authority = rest.split(['/', '?']).next().unwrap_or("");
    if scheme == "ldapi" {
        let path = unescaped(authority);
        return Some(Url { scheme, address: if path.is_empty() { "/var/run/slapd/ldapi".into() } else { path }, port: 0 });
    }
    let default = match scheme.as_str() {
        "ldap" | "pldap" => 389,
        "ldaps" | "pldaps" => 636,
        _ => return None,
    };
    let (host, port) = match authority.rsplit_once(':').filter(|(_, p)| !p.contains(']')) {
        Some((host, port)) => (host, port.parse::<u16>().ok()?.into()),
        None => (authority, default),
    };
    let host = host.trim_matches(['[', ']']);
    Some(Url { scheme, address: if host.is_empty() || host == "*" { "::".into() } else { host.into() }, port })
}

/// `%2F` and its kin.
fn unescaped(text: &str) -> String {
    let mut out: Vec<u8> = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let pair = after.get(..2).and_then(|p| std::str::from_utf8(p).ok()).and_then(|p| u8::from_str_radix(p, 16).ok());
        match pair.filter(|_| *first == b'%') {
            Some(byte) => {
                out.push(byte);
                rest = after.get(2..).unwrap_or_default();
            }
            None => {
                out.push(*first);
                rest = after;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// Whether others than this machine reach it and TLS is not its first word.
pub fn is_plain_and_reachable(text: &str) -> bool {
    let Some(url) = url(text) else { return false };
    let is_loopback = url.address == "localhost" || url.address.parse::<IpAddr>().is_ok_and(|a| a.is_loopback());
    matches!(url.scheme.as_str(), "ldap" | "pldap") && !is_loopback
}

/// One endpoint for each URL of a server that starts.
pub fn endpoints(server: &DirectoryServer, config: &Config, starts: bool) -> Vec<ConfiguredEndpoint> {
    if !starts {
        return Vec::new();
    }
    let value = |name: &str| config.global.iter().find(|v| v.name == name);
    let files = |name: &str| value(name).map(|v| vec![v.text.clone()]).unwrap_or_default();
    let minimum = value("tlsprotocolmin");
    let from = minimum.and_then(|v| VERSIONS.iter().position(|(n, _)| v.text.split_whitespace().next() == Some(n)));
    let mut out = Vec::new();
    for text in &server.listeners {
        let Some(url) = url(text) else { continue };
        let is_local = url.scheme == "ldapi";
        let direct = url.scheme.ends_with("ldaps");
        let tls = if direct || (server.tls_required && !is_local) {
            "required"
        } else if server.tls && !is_local {
            "offered"
        } else {
            "none"
        };
        let has_tls = tls != "none";
        let shown = if is_local {
            url.address.clone()
        } else if url.address.contains(':') {
            format!("[{}]:{}", url.address, url.port)
        } else {
            format!("{}:{}", url.address, url.port)
        };
        out.push(ConfiguredEndpoint {
            address: url.address,
            port: url.port,
            transport: if is_local { "unix" } else { "tcp" }.into(),
            tls: tls.into(),
            versions: from.filter(|_| has_tls).and_then(|f| VERSIONS.get(f..)).map(|v| v.iter().map(|(_, n)| (*n).to_string()).collect()),
            ciphers: value("tlsciphersuite").filter(|_| has_tls).map(|v| v.text.clone()).unwrap_or_default(),
            certificates: if has_tls { files("tlscertificatefile") } else { Vec::new() },
            keys: if has_tls { files("tlscertificatekeyfile") } else { Vec::new() },
            versions_source: minimum.filter(|_| has_tls && from.is_some()).map_or_else(Source::default, |v| v.source.clone()),
            ..ConfiguredEndpoint::plain("slapd", format!("slapd {shown}"), Source { directive: "-h".into(), ..server.source.clone() })
        });
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_of_every_kind() {
        let shown = |text: &str| url(text).map(|u| format!("{} {} {}", u.scheme, u.address, u.port));
        assert_eq!(shown("ldap:///"), Some("ldap :: 389".into()));
        assert_eq!(shown("LDAPS://[2001:db8::1]:1636"), Some("ldaps 2001:db8::1 1636".into()));
        assert_eq!(shown("ldap://127.0.0.1:3890/"), Some("ldap 127.0.0.1 3890".into()));
        assert_eq!(shown("ldapi://%2Frun%2fx/????!x-mod=0777"), Some("ldapi /run/x 0".into()));
        assert_eq!((shown("ldap://h:99999"), shown("http://x"), shown("")), (None, None, None));
        assert!(is_plain_and_reachable("ldap:///") && !is_plain_and_reachable("ldap://localhost") && !is_plain_and_reachable("ldaps:///"));
        for text in ["ldapi://%", "ldapi://%2", "ldap://[", "ldap://:", "ldap://]:1"] {
            let _ = url(text);
        }
    }
}
