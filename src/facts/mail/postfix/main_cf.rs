//! main.cf: logical lines, the last value of a name, `$name` and its conditions (postconf(5)), defaults by release.

use std::cell::Cell;
use std::collections::BTreeMap;

use crate::model::fact::Source;

/// Release as numbers.
pub type Release = (u32, u32);

/// Deepest expansion, levels.
const DEPTH_LIMIT: usize = 32;
/// Most references put in for one value.
const REFERENCE_LIMIT: usize = 10_000;
/// Longest value, bytes.
const VALUE_LIMIT: usize = 64 << 10;
/// Most parameters kept.
const PARAMETER_LIMIT: usize = 20_000;

/// A value as written, with its place.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Value {
    /// Text.
    pub text: String,
    /// Where.
    pub source: Source,
}

/// Lines joined to those that continue them (they begin with a blank); comments and empty lines left out. Number of the first line.
pub fn logical_lines(text: &str) -> Vec<(usize, String)> {
    let mut out: Vec<(usize, String)> = Vec::new();
    for (index, line) in text.lines().enumerate() {
        if line.trim().is_empty() || line.trim_start().starts_with('#') {
            continue;
        }
        match out.last_mut() {
            Some((_, whole)) if line.starts_with([' ', '\t']) => {
                whole.push(' ');
                whole.push_str(line.trim());
            }
            _ => out.push((index + 1, line.trim_end().to_string())),
        }
    }
    out
}

/// Parameters of one configuration, those of one service laid over them.
#[derive(Clone, Debug, Default)]
pub struct Parameters {
    written: BTreeMap<String, Value>,
    release: Option<Release>,
    host_name: String,
    /// References put in for the value that is asked for.
    references: Cell<usize>,
}

impl Parameters {
    /// Reads the text of main.cf.
    pub fn parse(text: &str, path: &str, release: Option<Release>, host_name: &str) -> Self {
        let mut out = Self { release, host_name: host_name.into(), ..Self::default() };
        for (line, text) in logical_lines(text).into_iter().take(PARAMETER_LIMIT) {
            if let Some((name, value)) = text.split_once('=') {
                let source = Source::line(path, line, name.trim());
                out.written.insert(name.trim().to_string(), Value { text: value.trim().into(), source });
            }
        }
        out
    }

    /// With the `-o` options of a service.
    pub fn with(&self, options: &[(String, Value)]) -> Self {
        let mut out = self.clone();
        out.written.extend(options.iter().cloned());
        out
    }

    /// The value that takes effect; the place is empty where it is the default.
    pub fn get(&self, name: &str) -> Value {
        self.references.set(0);
        match self.written.get(name) {
            Some(value) => Value { text: self.expand(&value.text, 0), source: value.source.clone() },
            None => Value { text: self.expand(&self.preset(name), 0), source: Source::default() },
        }
    }

    /// Whether a parameter is written anywhere.
    pub fn is_written(&self, name: &str) -> bool {
        self.written.contains_key(name)
    }

    /// Whether a flag is on.
    pub fn is_on(&self, name: &str) -> bool {
        self.get(name).text.eq_ignore_ascii_case("yes")
    }

    /// Elements of a list, apart by commas and blanks; what stands in braces holds together.
    pub fn list(&self, name: &str) -> Vec<String> {
        elements(&self.get(name).text)
    }

    fn preset(&self, name: &str) -> String {
        let since = |release: Release| self.release.is_some_and(|r| r >= release);
        match name {
            "compatibility_level" => "0",
            "myhostname" => return if self.host_name.contains('.') { self.host_name.clone() } else { format!("{}.localdomain", self.host_name) },
            "mydomain" => {
                let host = self.value("myhostname", 0);
                return host.split_once('.').map_or_else(|| "localdomain".to_string(), |(_, domain)| domain.to_string());
            }
            "mydestination" => "$myhostname, localhost.$mydomain, localhost",
            "inet_interfaces" | "inet_protocols" => "all",
            "mynetworks_style" => "${{$compatibility_level} <level {2} ? {subnet} : {host}}",
            "smtpd_relay_restrictions" if self.release.is_none() || since((3, 0)) => {
                "${{$compatibility_level} <level {1} ? {} : {permit_mynetworks, permit_sasl_authenticated, defer_unauth_destination}}"
            }
            "smtpd_relay_restrictions" if since((2, 10)) => "permit_mynetworks, permit_sasl_authenticated, defer_unauth_destination",
            "smtpd_tls_protocols" | "smtpd_tls_mandatory_protocols" if since((3, 6)) => ">=TLSv1",
            "smtpd_tls_protocols" | "smtpd_tls_mandatory_protocols" => "!SSLv2, !SSLv3",
            "smtpd_tls_key_file" => "$smtpd_tls_cert_file",
            "smtpd_tls_eckey_file" => "$smtpd_tls_eccert_file",
            "smtpd_tls_dkey_file" => "$smtpd_tls_dcert_file",
            "smtpd_sasl_security_options" => "noanonymous",
            "smtpd_use_tls"
            | "smtpd_enforce_tls"
            | "smtpd_tls_wrappermode"
            | "smtpd_tls_auth_only"
            | "smtpd_sasl_auth_enable"
            | "smtp_use_tls"
            | "smtp_enforce_tls"
            | "smtp_tls_wrappermode" => "no",
            "default_transport" => "smtp",
            "relay_transport" => "relay",
            _ => "",
        }
        .to_string()
    }

    fn value(&self, name: &str, depth: usize) -> String {
        let text = self.written.get(name).map_or_else(|| self.preset(name), |v| v.text.clone());
        self.expand(&text, depth + 1)
    }

    fn expand(&self, text: &str, depth: usize) -> String {
        let mut out = String::new();
        self.references.set(self.references.get() + 1);
        if depth > DEPTH_LIMIT || self.references.get() > REFERENCE_LIMIT {
            return out;
        }
        let mut rest = text;
        while let Some((before, after)) = rest.split_once('$') {
            out.push_str(before);
            if out.len() > VALUE_LIMIT {
                out.truncate(before.len().min(VALUE_LIMIT));
                return String::new();
            }
            let braced = after.strip_prefix('{').map(|_| ('{', '}')).or_else(|| after.strip_prefix('(').map(|_| ('(', ')')));
            if let Some(after) = after.strip_prefix('$') {
                out.push('$');
                rest = after;
            } else if let Some((open, close)) = braced {
                let Some((inner, behind)) = balanced(after, open, close) else {
                    out.push('$');
                    out.push_str(after);
                    return out;
                };
                out.push_str(&self.reference(inner, depth));
                rest = behind;
            } else {
                let end = after.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(after.len());
                let (name, behind) = after.split_at(end);
                if name.is_empty() {
                    out.push('$')
                } else {
                    out.push_str(&self.value(name, depth))
                }
                rest = behind;
            }
        }
        out.push_str(rest);
        if out.len() > VALUE_LIMIT { String::new() } else { out }
    }

    /// What stands between the braces: a name, a name with `?` or `:`, or a comparison.
    fn reference(&self, inner: &str, depth: usize) -> String {
        let inner = inner.trim();
        if inner.starts_with('{') {
            return self.comparison(inner, depth).unwrap_or_default();
        }
        let end = inner.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(inner.len());
        let (name, rest) = inner.split_at(end);
        let value = self.value(name, depth);
        let rest = rest.trim_start();
        if let Some(branches) = rest.strip_prefix('?') {
            let (yes, no) = branch(branches);
            return self.expand(if value.is_empty() { no } else { yes }, depth + 1);
        }
        if let Some(branches) = rest.strip_prefix(':') {
            let (no, _) = branch(branches);
            return if value.is_empty() { self.expand(no, depth + 1) } else { value };
        }
        value
    }

    /// `{left} operator {right} ? {yes} : {no}`.
    fn comparison(&self, text: &str, depth: usize) -> Option<String> {
        let (left, rest) = balanced(text, '{', '}')?;
        let (operator, rest) = rest.split_at(rest.find('{')?);
        let (right, rest) = balanced(rest, '{', '}')?;
        let (left, right) = (self.expand(left.trim(), depth + 1), self.expand(right.trim(), depth + 1));
        let holds = compare(left.trim(), operator.trim(), right.trim())?;
        let (yes, no) = branch(rest.trim_start().strip_prefix('?')?);
        Some(self.expand(if holds { yes } else { no }, depth + 1))
    }
}

/// `{yes} : {no}`, or plain text up to the end.
fn branch(text: &str) -> (&str, &str) {
    let text = text.trim_start();
    let (yes, rest) = match balanced(text, '{', '}') {
        Some((inner, rest)) => (inner, rest),
        None => text.split_once(':').unwrap_or((text, "")),
    };
    let rest = rest.trim_start();
    let rest = rest.strip_prefix(':').unwrap_or(rest).trim_start();
    let no = balanced(rest, '{', '}').map_or(rest, |(inner, _)| inner);
    (yes.trim(), no.trim())
}

/// The text between a bracket, which comes first, and the one that closes it.
fn balanced(text: &str, open: char, close: char) -> Option<(&str, &str)> {
    let mut depth = 0_usize;
    for (at, c) in text.char_indices() {
        if c == open {
            depth += 1;
        } else if c == close {
            depth = depth.checked_sub(1)?;
            if depth == 0 {
                return Some((text.get(open.len_utf8()..at)?, text.get(at + close.len_utf8()..)?));
            }
        } else if depth == 0 {
            return None;
        }
    }
    None
}

/// Numbers as numbers, levels (`<level`) as releases, others as text.
fn compare(left: &str, operator: &str, right: &str) -> Option<bool> {
    use std::cmp::Ordering::{Equal, Greater, Less};
    let (operator, is_level) = operator.strip_suffix("level").map_or((operator, false), |o| (o, true));
    let numbers = |text: &str| text.split('.').map(|n| n.parse::<u64>().unwrap_or(0)).collect::<Vec<_>>();
    let order = match (left.parse::<i64>(), right.parse::<i64>()) {
        _ if is_level => {
            let (mut l, mut r) = (numbers(left), numbers(right));
            let length = l.len().max(r.len());
            l.resize(length, 0);
            r.resize(length, 0);
            l.cmp(&r)
        }
        (Ok(l), Ok(r)) => l.cmp(&r),
        _ => left.cmp(right),
    };
    Some(match operator {
        "==" => order == Equal,
        "!=" => order != Equal,
        "<" => order == Less,
        "<=" => order != Greater,
        ">" => order == Greater,
        ">=" => order != Less,
        _ => return None,
    })
}

/// Elements apart by commas and blanks.
pub fn elements(text: &str) -> Vec<String> {
    split(text, |c| c == ',' || c.is_whitespace())
}

/// What separators divide outside braces.
pub fn split(text: &str, is_separator: impl Fn(char) -> bool) -> Vec<String> {
    let mut out = Vec::new();
    let mut word = String::new();
    let mut depth = 0_usize;
    for c in text.chars() {
        match c {
            '{' => depth += 1,
            '}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth == 0 && is_separator(c) {
            if !word.is_empty() {
                out.push(std::mem::take(&mut word));
            }
        } else {
            word.push(c);
        }
    }
    if !word.is_empty() {
        out.push(word);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parameters(text: &str) -> Parameters {
        Parameters::parse(text, "/m", Some((3, 7)), "vm")
    }

    #[test]
    fn lines_continue_and_the_last_one_wins() {
        let p = parameters("a = 1\n# c\nb = x,\n# between\n\n  y\na = 2\nbroken\n");
        assert_eq!((p.get("a").text.as_str(), p.get("a").source.line), ("2", 7));
        assert_eq!(p.list("b"), ["x", "y"]);
        assert_eq!(elements("a, { b c, d } e"), ["a", "{ b c, d }", "e"]);
    }

    #[test]
    fn values_are_put_in() {
        let p = parameters(
            "x = v\ne =\nr1 = $x-${x}-$(x)\nr2 = ${x?yes}${e?no}${e:empty}${x:none}\nr3 = ${x?{a}:{b}}${e?{a}:{b $x}}\nr4 = ${{$x} == {v} ? {same} : {other}}\n\
             r5 = ${{9} < {10} ? {n} : {t}}${{3.10} >level {3.9} ? {l} : {m}}\nloop = $loop $$x $\nr6 = ${x",
        );
        let of = |name: &str| p.get(name).text;
        assert_eq!(of("r1"), "v-v-v");
        assert_eq!(of("r2"), "yesemptyv");
        assert_eq!(of("r3"), "ab v");
        assert_eq!(of("r4"), "same");
        assert_eq!(of("r5"), "nl");
        assert_eq!(of("r6"), "${x");
        assert!(of("loop").len() < 200);
        assert_eq!(of("mydestination"), "vm.localdomain, localhost.localdomain, localhost");
        assert_eq!(of("smtpd_relay_restrictions"), "");
        assert!(parameters("compatibility_level = 3.6").get("smtpd_relay_restrictions").text.contains("defer_unauth"));
    }

    #[test]
    fn hostile_values_end() {
        let bomb: String = (0..60).map(|i| format!("a{i} = $a{}$a{}\n", i + 1, i + 1)).collect();
        let p = parameters(&format!("{bomb}a60 = xxxxxxxxxx\n"));
        assert!(p.get("a40").text.len() <= VALUE_LIMIT);
        let seed = "a = ${{$b} <level {1} ? {x${c?d} : {y}} $( ${ }";
        for end in 0..seed.len() {
            parameters(&seed[..end]).get("a");
        }
    }
}
