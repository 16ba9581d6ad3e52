//! The fields of an HTTP answer that an auditor asks about.

use super::Answer;
use crate::probe::reader::banner;
use crate::probe::seen::Http;

/// Most authentication schemes kept.
const SCHEMES_LIMIT: usize = 20;
/// Longest host of a location kept, bytes (RFC 1035 section 2.3.4).
const HOST_LIMIT: usize = 255;

/// Reads them.
pub fn read(answer: &Answer) -> Http {
    let location = answer.field("location").unwrap_or_default();
    let is_redirect = matches!(answer.status, 301 | 302 | 303 | 307 | 308);
    // RFC 6797 section 8.1: of several fields the first counts.
    let hsts = answer.field("strict-transport-security").and_then(hsts);
    let mut authentication: Vec<String> = Vec::new();
    for scheme in answer.values("www-authenticate").flat_map(schemes) {
        if authentication.len() < SCHEMES_LIMIT && !authentication.contains(&scheme) {
            authentication.push(scheme);
        }
    }
    Http {
        status: answer.status,
        server: answer.field("server").map(|s| banner(s.as_bytes())).unwrap_or_default(),
        location: origin(location),
        redirects_to_https: is_redirect && location.get(..6).is_some_and(|l| l.eq_ignore_ascii_case("https:")),
        hsts_max_age_seconds: hsts.map(|h| h.0),
        hsts_include_subdomains: hsts.is_some_and(|h| h.1),
        authentication,
    }
}

/// Scheme and host of an absolute reference (RFC 3986 section 3); empty of a relative one.
fn origin(location: &str) -> String {
    let Some((scheme, rest)) = location.split_once("://") else { return String::new() };
    let authority = rest.split(['/', '?', '#', '\\']).next().unwrap_or_default();
    let host_and_port = authority.rsplit('@').next().unwrap_or_default();
    let host = match host_and_port.split_once(']') {
        Some((bracketed, _)) => format!("{bracketed}]"),
        None => host_and_port.split(':').next().unwrap_or_default().to_string(),
    };
    let plain = |text: &str| text.chars().all(|c| c.is_ascii_alphanumeric() || "+-._[]:%".contains(c));
    match plain(scheme) && plain(&host) && host.len() <= HOST_LIMIT && scheme.len() <= 20 {
        true => format!("{}://{}", scheme.to_ascii_lowercase(), host.to_ascii_lowercase()),
        false => String::new(),
    }
}

/// `max-age` in seconds and `includeSubDomains` of a valid field (RFC 6797 section 6.1): each
/// directive at most once, `max-age` there, its value digits, quoted or not.
fn hsts(value: &str) -> Option<(i64, bool)> {
    let (mut max_age, mut subdomains, mut names) = (None, false, Vec::new());
    for directive in outside_quotes(value, ';') {
        let (name, value) = match directive.split_once('=') {
            Some((name, value)) => (name.trim().to_ascii_lowercase(), Some(value.trim())),
            None => (directive.trim().to_ascii_lowercase(), None),
        };
        if name.is_empty() {
            continue;
        }
        if names.contains(&name) {
            return None;
        }
        match (name.as_str(), value) {
            ("max-age", Some(value)) => {
                let digits = value.strip_prefix('"').and_then(|v| v.strip_suffix('"')).unwrap_or(value);
                if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
                    return None;
                }
                // More than fits is for ever.
                max_age = Some(digits.parse().unwrap_or(i64::MAX));
            }
            ("max-age", None) => return None,
            ("includesubdomains", None) => subdomains = true,
            // It has no value.
            ("includesubdomains", Some(_)) => return None,
            _ => {}
        }
        names.push(name);
    }
    max_age.map(|seconds| (seconds, subdomains))
}

/// Schemes of one field of challenges (RFC 9110 section 11.6.1), lower case. A comma parts both
/// challenges and their parameters; a word without `=` after it is a scheme.
fn schemes(value: &str) -> Vec<String> {
    let scheme = |item: &&str| {
        let item = item.trim();
        let end = item.find(|c: char| !(c.is_ascii_alphanumeric() || "-_.!#$%&'*+^`|~".contains(c))).unwrap_or(item.len());
        let (word, rest) = item.split_at_checked(end)?;
        (!word.is_empty() && !rest.trim_start().starts_with('=') && (rest.is_empty() || rest.starts_with([' ', '\t']))).then(|| word.to_ascii_lowercase())
    };
    outside_quotes(value, ',').iter().filter_map(scheme).collect()
}

/// Parts between separators that are not inside a quoted string (RFC 9110 section 5.6.4).
fn outside_quotes(text: &str, separator: char) -> Vec<&str> {
    let (mut parts, mut start, mut quoted, mut escaped) = (Vec::new(), 0, false, false);
    for (at, c) in text.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            c if c == separator && !quoted => {
                parts.extend(text.get(start..at));
                start = at + c.len_utf8();
            }
            _ => {}
        }
    }
    parts.extend(text.get(start..));
    parts
}

#[cfg(test)]
mod tests {
    use super::super::answer::head;
    use super::*;

    #[test]
    fn strict_transport_security_is_read_as_the_rfc_says() {
        assert_eq!(hsts("max-age=31536000"), Some((31_536_000, false)));
        assert_eq!(hsts(" Max-Age = \"63072000\" ; includeSubDomains; preload"), Some((63_072_000, true)));
        assert_eq!(hsts("max-age=0;;IncludeSubdomains"), Some((0, true)));
        assert_eq!(hsts("max-age=99999999999999999999"), Some((i64::MAX, false)));
        for invalid in ["", "includeSubDomains", "max-age", "max-age=", "max-age=1; max-age=2", "max-age=-1", "max-age=\"1", "max-age=1; includeSubDomains=0"] {
            assert_eq!(hsts(invalid), None, "{invalid}");
        }
    }

    #[test]
    fn schemes_are_told_from_parameters() {
        assert_eq!(schemes("Basic realm=\"a, Digest b\", charset=\"UTF-8\""), ["basic"]);
        assert_eq!(schemes("Digest qop = \"auth\", nonce=x, Negotiate, NTLM abc=="), ["digest", "negotiate", "ntlm"]);
        assert_eq!(schemes(",,=\"\\\""), [""; 0]);
    }

    #[test]
    fn a_location_keeps_scheme_and_host_alone() {
        let cases = [
            ("https://www.example.com/a?token=1", "https://www.example.com"),
            ("HTTPS://user:word@Example.com:8443/", "https://example.com"),
            ("https://[2001:db8::1]:443/", "https://[2001:db8::1]"),
            ("/login", ""),
            ("https://a<script>/", ""),
        ];
        for (location, expected) in cases {
            assert_eq!(origin(location), expected);
        }
        let redirect = read(&head(b"HTTP/1.1 301 Moved\r\nLocation: https://x.example/\r\n\r\n"));
        assert!(redirect.redirects_to_https && redirect.location == "https://x.example");
        assert!(!read(&head(b"HTTP/1.1 201 Created\r\nLocation: https://x.example/\r\n\r\n")).redirects_to_https);
        assert!(!read(&head(b"HTTP/1.1 301 Moved\r\nLocation: http://x.example/\r\n\r\n")).redirects_to_https);
    }
}
