//! mod_ssl of one virtual host: whether TLS is spoken, versions, ciphers, certificates.

use super::hosts::VirtualHost;
use crate::facts::web::tree::Directive;
use crate::model::fact::Source;

/// Release as numbers.
pub type Version = (u32, u32, u32);

/// Release from which a virtual host that is chosen by name decides the versions itself.
const DECIDES_BY_NAME: Version = (2, 4, 42);
/// Release from which TLS 1.3 is known.
const KNOWS_TLS_1_3: Version = (2, 4, 36);

/// Words of SSLProtocol and our names, oldest first.
const PROTOCOLS: [(&str, &str); 5] = [("SSLv3", "SSLv3"), ("TLSv1", "TLSv1.0"), ("TLSv1.1", "TLSv1.1"), ("TLSv1.2", "TLSv1.2"), ("TLSv1.3", "TLSv1.3")];

/// The last directive of this name: of the virtual host, else of the main server.
pub fn last<'d>(host: &VirtualHost<'d>, main: &'d [Directive], name: &str) -> Option<&'d Directive> {
    let of = |nodes: &'d [Directive]| nodes.iter().rfind(|n| n.name == name);
    of(host.nodes).or_else(|| of(main))
}

/// Whether the host speaks TLS on a listener.
pub fn is_on(host: &VirtualHost<'_>, main: &[Directive], https: bool) -> bool {
    match last(host, main, "sslengine") {
        Some(node) => node.argument(0).eq_ignore_ascii_case("on"),
        // Where nothing is said, a listener for https decides; without a certificate it would not start.
        None => https && last(host, main, "sslcertificatefile").is_some(),
    }
}

/// Versions left on; `None` when SSLProtocol has a word that is not known.
pub fn versions(host: &VirtualHost<'_>, main: &[Directive], release: Option<Version>) -> (Option<Vec<String>>, Source) {
    let newest = if release.is_some_and(|r| r < KNOWS_TLS_1_3) { 4 } else { 5 };
    let all: u32 = (1 << newest) - 1;
    let Some(node) = last(host, main, "sslprotocol") else { return (Some(without_holes(all & !1)), Source::default()) };
    let mut bits = 0_u32;
    for word in &node.arguments {
        let (action, name) = match word.chars().next() {
            Some(c @ ('+' | '-')) => (Some(c), word.get(1..).unwrap_or("")),
            _ => (None, word.as_str()),
        };
        let these = match name {
            n if n.eq_ignore_ascii_case("all") => all,
            n if n.eq_ignore_ascii_case("SSLv2") => 0,
            n => match PROTOCOLS.iter().position(|(p, _)| p.eq_ignore_ascii_case(n)) {
                Some(index) => 1 << index,
                None => return (None, node.source()),
            },
        };
        bits = match action {
            Some('+') => bits | these,
            Some(_) => bits & !these,
            None => these,
        };
    }
    (Some(without_holes(bits)), node.source())
}

/// The library is told the newest and the oldest one: what lies below a hole is lost.
fn without_holes(bits: u32) -> Vec<String> {
    let is_on = |index: &usize| (bits >> index) & 1 == 1;
    let newest = (0..PROTOCOLS.len()).rev().find(is_on);
    let mut chosen: Vec<usize> = newest.map(|n| (0..=n).rev().take_while(is_on).collect()).unwrap_or_default();
    chosen.reverse();
    chosen.iter().filter_map(|i| PROTOCOLS.get(*i)).map(|(_, name)| (*name).to_string()).collect()
}

/// Whether a host that shares its socket decides the versions itself; `None` when that depends on a release that is not known.
pub fn decides_itself(host: &VirtualHost<'_>, main: &[Directive], release: Option<Version>) -> Option<bool> {
    if last(host, main, "sslprotocol").is_none() {
        return Some(false);
    }
    release.map(|r| r >= DECIDES_BY_NAME)
}

/// Certificates or keys: those of the host take the place of the first ones of the main server.
pub fn files(host: &VirtualHost<'_>, main: &[Directive], name: &str, root: &str) -> Vec<String> {
    let of = |nodes: &[Directive]| -> Vec<String> {
        let those = nodes.iter().filter(|n| n.name == name).map(|n| n.argument(0)).filter(|p| !p.is_empty() && !p.contains("${") && !p.starts_with("pkcs11:"));
        those.map(|p| if p.starts_with('/') { p.to_string() } else { format!("{root}/{p}") }).collect()
    };
    let own = of(host.nodes);
    if host.node.is_none() {
        return own;
    }
    let rest = of(main).into_iter().skip(own.len());
    own.into_iter().chain(rest).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(words: &str) -> Option<String> {
        let node = Directive { name: "sslprotocol".into(), arguments: words.split_whitespace().map(String::from).collect(), ..Directive::default() };
        let nodes = [node];
        let host = VirtualHost { node: None, nodes: &nodes, addresses: Vec::new(), names: Vec::new() };
        versions(&host, &[], Some((2, 4, 62))).0.map(|v| v.join(" "))
    }

    #[test]
    fn words_add_take_away_and_replace() {
        assert_eq!(of("all -SSLv3").as_deref(), Some("TLSv1.0 TLSv1.1 TLSv1.2 TLSv1.3"));
        assert_eq!(of("all -SSLv3 -TLSv1 -TLSv1.1").as_deref(), Some("TLSv1.2 TLSv1.3"));
        assert_eq!(of("-all +TLSv1.2 +tlsv1.3").as_deref(), Some("TLSv1.2 TLSv1.3"));
        assert_eq!(of("TLSv1 TLSv1.2").as_deref(), Some("TLSv1.2"), "the last word without a sign replaces");
        assert_eq!(of("TLSv1.3 +TLSv1.1 +TLSv1").as_deref(), Some("TLSv1.3"), "below a hole nothing is left");
        assert_eq!(of("TLSv9"), None);
        let host = VirtualHost { node: None, nodes: &[], addresses: Vec::new(), names: Vec::new() };
        assert_eq!(versions(&host, &[], Some((2, 4, 6))).0.unwrap(), ["TLSv1.0", "TLSv1.1", "TLSv1.2"]);
    }
}
