//! The HTTP proxy on the way to the collector.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::agent::is_host_and_port;

/// Longest address of a proxy, bytes.
const MAX_URL: usize = 1024;
/// What is wrong with any other text; never the text itself, which may hold a password.
const FORM: &str = "is not http://HOST:PORT or http://USER:PASSWORD@HOST:PORT (special characters of user and password as %XX)";

/// `http://[USER:PASSWORD@]HOST:PORT`, or none. Debug and Display show no user and no password. Serialize gives the whole: drop-ins
/// are laid over each other as values, and nobody writes a configuration elsewhere.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Proxy {
    /// As it was written: a secret.
    url: String,
    /// `HOST:PORT`; empty: none.
    authority: String,
    login: Option<(String, String)>,
}

impl Proxy {
    /// Whether there is one.
    pub const fn is_set(&self) -> bool {
        !self.authority.is_empty()
    }

    /// `HOST:PORT`.
    pub fn authority(&self) -> &str {
        &self.authority
    }

    /// User and password, decoded: secrets.
    pub fn login(&self) -> Option<(&str, &str)> {
        self.login.as_ref().map(|(user, password)| (user.as_str(), password.as_str()))
    }
}

impl std::str::FromStr for Proxy {
    type Err = &'static str;
    fn from_str(text: &str) -> Result<Self, &'static str> {
        if text.is_empty() {
            return Ok(Self::default());
        }
        let rest = text.strip_prefix("http://").filter(|_| text.len() <= MAX_URL).ok_or(FORM)?;
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        let (login, authority) = match rest.rsplit_once('@') {
            Some((login, authority)) => {
                let (user, password) = login.split_once(':').ok_or(FORM)?;
                (Some((decode(user).filter(|u| !u.is_empty()).ok_or(FORM)?, decode(password).ok_or(FORM)?)), authority)
            }
            None => (None, rest),
        };
        if is_host_and_port(authority) { Ok(Self { url: text.into(), authority: authority.into(), login }) } else { Err(FORM) }
    }
}

/// Percent-decoding (RFC 3986 section 2.1); `None` for what an address can't hold.
fn decode(text: &str) -> Option<String> {
    let mut bytes = Vec::new();
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        let hex = |byte: Option<u8>| char::from(byte?).to_digit(16).and_then(|d| u8::try_from(d).ok());
        match byte {
            b'%' => bytes.push(hex(rest.next())? << 4 | hex(rest.next())?),
            b'/' | b'?' | b'#' | b'@' => return None,
            byte if byte.is_ascii_graphic() => bytes.push(byte),
            _ => return None,
        }
    }
    // A colon would end the user's name in the header, a control character the header itself (RFC 7617 section 2).
    String::from_utf8(bytes).ok().filter(|t| !t.contains(char::is_control))
}

impl fmt::Display for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.is_set(), &self.login) {
            (false, _) => Ok(()),
            (true, None) => write!(f, "http://{}", self.authority),
            (true, Some(_)) => write!(f, "http://…@{}", self.authority),
        }
    }
}

impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Proxy({self})")
    }
}

impl Serialize for Proxy {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.url)
    }
}

impl<'de> Deserialize<'de> for Proxy {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(|e| serde::de::Error::custom(format!("proxy {e}")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proxy_has_one_form_and_shows_no_password() {
        let proxy: Proxy = "http://an%40na:s3cret%3A%2F@proxy.example:3128/".parse().unwrap();
        assert_eq!((proxy.authority(), proxy.login()), ("proxy.example:3128", Some(("an@na", "s3cret:/"))));
        assert_eq!(serde_json::from_value::<Proxy>(serde_json::to_value(&proxy).unwrap()).unwrap(), proxy, "drop-ins are laid over each other as values");
        for shown in [format!("{proxy:?}"), proxy.to_string()] {
            assert!(!shown.contains("s3cret") && !shown.contains("an%40na") && shown.contains("proxy.example:3128"), "{shown}");
        }
        assert!("http://[::1]:3128".parse::<Proxy>().unwrap().is_set() && !"".parse::<Proxy>().unwrap().is_set());
        let wrong = [
            "proxy:3128",
            "https://p:1",
            "socks5://p:1",
            "http://p",
            "http://p:0",
            "http://:pw@p:1",
            "http://user@p:1",
            "http://u:p w@p:1",
            "http://u:%zz@p:1",
        ];
        for text in wrong.into_iter().chain(["http://u:%0a@p:1", "http://u:a/b@p:1", "http://p:1/x", "http://u:s3cret@p:1?x"]) {
            let error = serde_json::from_str::<Proxy>(&format!("{text:?}")).unwrap_err().to_string();
            assert!(error.starts_with("proxy is not http://") && !error.contains("s3cret"), "{error}");
        }
    }
}
