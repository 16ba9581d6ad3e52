//! GeneralName (RFC 5280 section 4.2.1.6), and which server names a certificate is for (RFC 9525).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::der::{Element, Malformed, SEQUENCE, constructed, context};

/// Longest name shown, characters.
const NAME_LIMIT: usize = 512;

/// One name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GeneralName {
    /// rfc822Name.
    Email(String),
    /// dNSName.
    Dns(String),
    /// directoryName: content octets of the name.
    Directory(Vec<u8>),
    /// uniformResourceIdentifier.
    Uri(String),
    /// iPAddress: 4 or 16 octets; with a mask in constraints.
    Ip(Vec<u8>),
    /// Another kind, by its number.
    Other(u8),
}

impl GeneralName {
    /// Reads one.
    pub fn read(element: &Element<'_>) -> Result<Self, Malformed> {
        Ok(match element.tag {
            tag if tag == context(1) => Self::Email(text(element.content)),
            tag if tag == context(2) => Self::Dns(text(element.content)),
            tag if tag == constructed(4) => {
                let name = element.only()?;
                if name.tag != SEQUENCE {
                    return Err(Malformed("a directory name is not a sequence"));
                }
                super::name::relative_names(name.content)?;
                Self::Directory(name.content.to_vec())
            }
            tag if tag == context(6) => Self::Uri(text(element.content)),
            tag if tag == context(7) => Self::Ip(element.content.to_vec()),
            tag if tag & 0xc0 == 0x80 && tag & 0x1f <= 8 => Self::Other(tag & 0x1f),
            _ => return Err(Malformed("a general name has a tag that none has")),
        })
    }

    /// What RFC 5280 does not allow in it.
    pub fn problem(&self) -> Option<Malformed> {
        match self {
            Self::Ip(octets) if address(octets).is_none() => Some(Malformed("an address has neither 4 nor 16 octets")),
            Self::Email(text) | Self::Dns(text) | Self::Uri(text) if text.contains('\\') => Some(Malformed("a name holds controls or octets beyond ASCII")),
            _ => None,
        }
    }

    /// dNSName and iPAddress as facts show them.
    pub fn shown(&self) -> Option<String> {
        match self {
            Self::Dns(name) => Some(name.chars().take(NAME_LIMIT).collect()),
            Self::Ip(octets) => address(octets).map(|ip| ip.to_string()),
            _ => None,
        }
    }

    /// Kind, as RFC 5280 calls it.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Email(_) => "rfc822Name",
            Self::Dns(_) => "dNSName",
            Self::Directory(_) => "directoryName",
            Self::Uri(_) => "uniformResourceIdentifier",
            Self::Ip(_) => "iPAddress",
            Self::Other(0) => "otherName",
            Self::Other(3) => "x400Address",
            Self::Other(5) => "ediPartyName",
            Self::Other(8) => "registeredID",
            Self::Other(_) => "other",
        }
    }
}

/// GeneralNames, one at least.
pub fn list(sequence: &Element<'_>) -> Result<Vec<GeneralName>, Malformed> {
    let mut inside = sequence.inside();
    let mut out = Vec::new();
    while !inside.is_empty() {
        out.push(GeneralName::read(&inside.element()?)?);
    }
    if out.is_empty() { Err(Malformed("it holds no name")) } else { Ok(out) }
}

/// Whether one of `names` is for the server `asked` by name or address (RFC 9525 section 6).
pub fn is_for(names: &[GeneralName], asked: &str) -> bool {
    match asked.parse::<IpAddr>() {
        Ok(ip) => names.iter().any(|n| matches!(n, GeneralName::Ip(octets) if address(octets) == Some(ip))),
        Err(_) => names.iter().any(|n| matches!(n, GeneralName::Dns(name) if covers(name, asked))),
    }
}

/// A wildcard is the whole left-most label, and at least two labels follow it.
pub fn covers(presented: &str, asked: &str) -> bool {
    let tidy = |name: &str| name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase();
    let (presented, asked) = (tidy(presented), tidy(asked));
    if asked.is_empty() {
        return false;
    }
    match presented.strip_prefix("*.") {
        Some(suffix) => suffix.contains('.') && !suffix.contains('*') && asked.split_once('.').is_some_and(|(label, rest)| !label.is_empty() && rest == suffix),
        None => !presented.contains('*') && presented == asked,
    }
}

fn address(octets: &[u8]) -> Option<IpAddr> {
    if let Ok(four) = <[u8; 4]>::try_from(octets) {
        return Some(Ipv4Addr::from(four).into());
    }
    <[u8; 16]>::try_from(octets).ok().map(|sixteen| Ipv6Addr::from(sixteen).into())
}

/// IA5String; a NUL in a name once fooled clients, so what does not belong there stays visible.
fn text(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len());
    for byte in bytes {
        match byte {
            b'\\' => out.push_str("\\\\"),
            0x20..=0x7e => out.push(char::from(*byte)),
            other => out.push_str(&format!("\\x{other:02x}")),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wildcard_is_one_whole_label() {
        for (presented, asked) in [("*.a.example", "www.a.example"), ("A.example", "a.EXAMPLE."), ("*.A.example.", "x.a.example"), ("a.example", "a.example")] {
            assert!(covers(presented, asked), "{presented} {asked}");
        }
        for (presented, asked) in [
            ("*.a.example", "a.example"),
            ("*.a.example", "x.y.a.example"),
            ("*.example", "a.example"),
            ("w*.a.example", "www.a.example"),
            ("x.*.example", "x.a.example"),
            ("*", "a"),
            ("*.*.a.example", "x.y.a.example"),
            ("a.example", "b.a.example"),
            ("", ""),
        ] {
            assert!(!covers(presented, asked), "{presented} {asked}");
        }
    }

    #[test]
    fn addresses_match_addresses_only() {
        let names = [GeneralName::Dns("192.0.2.7".into()), GeneralName::Ip(vec![192, 0, 2, 8])];
        assert!(is_for(&names, "192.0.2.8"));
        assert!(!is_for(&names, "192.0.2.7"));
        let six = [GeneralName::Ip(Ipv6Addr::LOCALHOST.octets().to_vec())];
        assert!(is_for(&six, "0:0::1"));
    }
}
