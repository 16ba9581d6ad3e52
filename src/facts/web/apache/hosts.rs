//! Where Apache listens and which virtual host answers there (ap_update_vhost_from_headers in its terms: the most specific
//! address wins, among those of one address the first one answers names that none has).

use crate::facts::web::tree::Directive;

/// One `Listen`.
#[derive(Clone, Debug)]
pub struct Listen<'d> {
    /// Address; `::` for all.
    pub address: String,
    /// Port.
    pub port: u32,
    /// Whether it is for https, by its word or by port 443.
    pub https: bool,
    /// The directive.
    pub node: &'d Directive,
}

/// A virtual host.
#[derive(Clone, Debug)]
pub struct VirtualHost<'d> {
    /// The section; `None` for the main server.
    pub node: Option<&'d Directive>,
    /// What it holds.
    pub nodes: &'d [Directive],
    /// Addresses and ports; `None` for every one.
    pub addresses: Vec<(Option<String>, Option<u32>)>,
    /// ServerName and ServerAlias, as written.
    pub names: Vec<String>,
}

/// Every `Listen` of the main server; those that can't be read are named.
pub fn listens(nodes: &[Directive]) -> (Vec<Listen<'_>>, Vec<&Directive>) {
    let (mut out, mut unread) = (Vec::new(), Vec::new());
    for node in nodes.iter().filter(|n| n.name == "listen") {
        match address(node.argument(0)) {
            Some((address, Some(port))) => {
                let protocol = node.argument(1);
                let https = protocol.eq_ignore_ascii_case("https") || (protocol.is_empty() && port == 443);
                out.push(Listen { address: address.unwrap_or_else(|| "::".into()), port, https, node });
            }
            _ => unread.push(node),
        }
    }
    (out, unread)
}

/// Address and port of `*:80`, `[::1]:80`, `10.0.0.1`, `80` (Listen alone), `_default_:443`.
pub fn address(text: &str) -> Option<(Option<String>, Option<u32>)> {
    let port = |t: &str| match t {
        "*" | "" | "0" => Some(None),
        digits => digits.parse::<u16>().ok().map(|p| Some(u32::from(p))),
    };
    if text.contains("${") || text.is_empty() {
        return None;
    }
    if text.bytes().all(|b| b.is_ascii_digit()) {
        return Some((None, port(text)?));
    }
    let (address, rest) = match text.strip_prefix('[').and_then(|t| t.split_once(']')) {
        Some((address, rest)) => (address, rest.strip_prefix(':').unwrap_or("")),
        None => text.rsplit_once(':').unwrap_or((text, "")),
    };
    let address = match address {
        "*" | "_default_" => None,
        other => Some(other.to_string()),
    };
    Some((address, port(rest)?))
}

/// The virtual hosts, the main server last.
pub fn virtual_hosts(nodes: &[Directive]) -> Vec<VirtualHost<'_>> {
    let sections = nodes.iter().filter(|n| n.name == "virtualhost");
    let mut out: Vec<VirtualHost<'_>> = sections
        .map(|n| {
            let addresses = n.arguments.iter().filter_map(|a| address(a)).collect();
            VirtualHost { node: Some(n), nodes: n.inner(), addresses, names: names(n.inner()) }
        })
        .collect();
    out.push(VirtualHost { node: None, nodes, addresses: Vec::new(), names: names(nodes) });
    out
}

fn names(nodes: &[Directive]) -> Vec<String> {
    let name = nodes.iter().rfind(|n| n.name == "servername").map(|n| plain_name(n.argument(0)));
    let aliases = nodes.iter().filter(|n| n.name == "serveralias").flat_map(|n| n.arguments.iter().cloned());
    name.into_iter().chain(aliases).filter(|n| !n.is_empty()).collect()
}

/// A name without its scheme and port.
fn plain_name(text: &str) -> String {
    let text = text.split_once("://").map_or(text, |(_, rest)| rest);
    text.split_once(':').map_or(text, |(name, _)| name).to_string()
}

/// Address of the endpoint and indices of the hosts that answer there, the one for unknown names first.
pub fn answering(listen: &Listen<'_>, hosts: &[VirtualHost<'_>]) -> Vec<(String, Vec<usize>)> {
    let fits = |port: &Option<u32>| port.is_none_or(|p| p == listen.port);
    let with = |wanted: Option<&str>| -> Vec<usize> {
        let has = |h: &VirtualHost<'_>| h.addresses.iter().any(|(a, p)| fits(p) && a.as_deref() == wanted);
        hosts.iter().enumerate().filter(|(_, h)| has(h)).map(|(index, _)| index).collect()
    };
    let main = hosts.len().saturating_sub(1);
    let rest = || Some(with(None)).filter(|w| !w.is_empty()).unwrap_or_else(|| vec![main]);
    if !matches!(listen.address.as_str(), "::" | "0.0.0.0") {
        let exact = with(Some(&listen.address));
        return vec![(listen.address.clone(), if exact.is_empty() { rest() } else { exact })];
    }
    let mut out: Vec<(String, Vec<usize>)> = Vec::new();
    for address in hosts.iter().flat_map(|h| h.addresses.iter()).filter(|(_, p)| fits(p)).filter_map(|(a, _)| a.as_ref()) {
        if !out.iter().any(|(known, _)| known == address) {
            out.push((address.clone(), with(Some(address))));
        }
    }
    out.push((listen.address.clone(), rest()));
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses() {
        assert_eq!(address("443"), Some((None, Some(443))));
        assert_eq!(address("*:80"), Some((None, Some(80))));
        assert_eq!(address("_default_:*"), Some((None, None)));
        assert_eq!(address("*"), Some((None, None)));
        assert_eq!(address("10.0.0.1"), Some((Some("10.0.0.1".into()), None)));
        assert_eq!(address("[::1]:81"), Some((Some("::1".into()), Some(81))));
        for bad in ["", "${A}", "a:b", "1.2.3.4:99999"] {
            assert_eq!(address(bad), None, "{bad}");
        }
    }

    #[test]
    fn the_most_specific_address_answers() {
        let host = |address: &str| Directive { name: "virtualhost".into(), arguments: vec![address.into()], block: Some(Vec::new()), ..Directive::default() };
        let nodes = vec![host("*:80"), host("10.0.0.1:80"), host("*:80"), host("*:443")];
        let hosts = virtual_hosts(&nodes);
        let listen = Directive { name: "listen".into(), arguments: vec!["80".into()], ..Directive::default() };
        let at = |address: &str, port| answering(&Listen { address: address.into(), port, https: false, node: &listen }, &hosts);
        assert_eq!(at("::", 80), [("10.0.0.1".to_string(), vec![1]), ("::".to_string(), vec![0, 2])]);
        assert_eq!(at("10.0.0.1", 80), [("10.0.0.1".to_string(), vec![1])]);
        assert_eq!(at("127.0.0.1", 80), [("127.0.0.1".to_string(), vec![0, 2])]);
        assert_eq!(at("::", 81), [("::".to_string(), vec![4])]);
    }
}
