//! apt's configuration tree, apt.conf(5): fragments in order, the last value wins.

use std::collections::BTreeMap;

use super::is_read_by_apt;
use crate::host::{CONFIG_LIMIT, FileKind, Host, ReadError};

const FOLDER: &str = "/etc/apt/apt.conf.d";
const FILE: &str = "/etc/apt/apt.conf";
/// Deepest nesting of braces.
const DEPTH_LIMIT: usize = 32;
/// Most values kept.
const VALUE_LIMIT: usize = 20_000;

/// A value and the place that set it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setting {
    /// The value.
    pub value: String,
    /// File.
    pub place: String,
    /// Line, from 1.
    pub line: usize,
}

/// What the fragments say together.
#[derive(Debug, Default)]
pub struct AptConf {
    settings: BTreeMap<String, Setting>,
    /// Items without a name (`Name { "item"; };`, `Name:: "item";`), by the name above them.
    lists: BTreeMap<String, Vec<Setting>>,
    kept: usize,
    /// Fragments that could not be read.
    pub errors: Vec<ReadError>,
    /// Fragments that use what is not followed, one sentence each.
    pub unsupported: Vec<String>,
    /// Fragments at which apt gives up, one sentence each.
    pub broken: Vec<String>,
}

impl AptConf {
    /// Reads `/etc/apt/apt.conf.d` in order of name, then `/etc/apt/apt.conf`.
    pub fn read(host: &Host) -> Self {
        let mut conf = Self::default();
        let mut paths = Vec::new();
        match host.list(FOLDER) {
            Ok(entries) => {
                let read = entries.into_iter().filter(|e| e.kind != FileKind::Folder && is_read_by_apt(&e.name, &["", "conf"]));
                paths.extend(read.map(|e| format!("{FOLDER}/{}", e.name)));
            }
            Err(e) if e.is_not_found() => {}
            Err(e) => conf.errors.push(e),
        }
        paths.push(FILE.into());
        for path in paths {
            match host.read_text(&path, CONFIG_LIMIT) {
                Ok(text) => conf.add(&path, &text),
                Err(e) if e.is_not_found() => {}
                Err(e) => conf.errors.push(e),
            }
        }
        conf
    }

    /// The value of `APT::Periodic::Enable` and the like; names without regard to case.
    pub fn setting(&self, name: &str) -> Option<&Setting> {
        self.settings.get(&name.to_ascii_lowercase())
    }

    /// A setting as apt reads a truth value; `default` when it is not set or says neither.
    pub fn is_on(&self, name: &str, default: bool) -> bool {
        self.setting(name).and_then(|s| as_bool(&s.value)).unwrap_or(default)
    }

    /// Values of everything directly below `name`: first its named children, then the items without a name.
    pub fn values(&self, name: &str) -> Vec<&Setting> {
        let name = name.to_ascii_lowercase();
        let below = format!("{name}::");
        let named = self.settings.range(below.clone()..).take_while(|(k, _)| k.starts_with(&below));
        let children = named.filter(|(k, _)| !k.get(below.len()..).unwrap_or_default().contains("::")).map(|(_, s)| s);
        children.chain(self.lists.get(&name).into_iter().flatten()).collect()
    }

    /// Adds the text of one fragment.
    pub(super) fn add(&mut self, place: &str, text: &str) {
        let mut scopes: Vec<String> = Vec::new();
        // Words of the statement being read: at most a name and a value count.
        let mut words: Vec<(String, usize)> = Vec::new();
        for token in tokens(text) {
            match token {
                Token::Word(word, line) => words.push((word, line)),
                Token::Open => {
                    let name = words.first().map(|w| w.0.clone()).unwrap_or_default();
                    words.clear();
                    scopes.push(name);
                    if scopes.len() > DEPTH_LIMIT {
                        self.unsupported.push(format!("{place}: nested deeper than {DEPTH_LIMIT} levels"));
                        return;
                    }
                }
                Token::End => self.statement(place, &scopes, &std::mem::take(&mut words)),
                Token::Close => {
                    self.statement(place, &scopes, &std::mem::take(&mut words));
                    scopes.pop();
                }
            }
        }
        if let Some((word, line)) = words.first().filter(|(w, _)| !w.starts_with('#')) {
            self.broken.push(format!("{place}:{line}: {word} is not closed by a semicolon"));
        }
        self.statement(place, &scopes, &words);
    }

    fn statement(&mut self, place: &str, scopes: &[String], words: &[(String, usize)]) {
        let (Some((name, line)), value) = (words.first(), words.get(1)) else {
            return;
        };
        let full = |name: &str| scopes.iter().map(String::as_str).chain([name]).collect::<Vec<_>>().join("::").to_ascii_lowercase();
        if name == "#clear" {
            for (target, _) in words.iter().skip(1) {
                let target = full(target);
                let below = format!("{target}::");
                self.settings.retain(|k, _| *k != target && !k.starts_with(&below));
                self.lists.retain(|k, _| *k != target && !k.starts_with(&below));
            }
            return;
        }
        if name == "#include" {
            self.unsupported.push(format!("{place}:{line}: #include is not followed"));
            return;
        }
        if words.len() > 2 || self.kept == VALUE_LIMIT {
            let what = if words.len() > 2 { "more than one value".into() } else { format!("more than {VALUE_LIMIT} values") };
            self.unsupported.push(format!("{place}:{line}: {what}"));
            return;
        }
        self.kept += 1;
        let setting = |value: &str| Setting { value: value.into(), place: place.into(), line: *line };
        match (value, name.strip_suffix("::")) {
            (Some((value, _)), None) => {
                self.settings.insert(full(name), setting(value));
            }
            (Some((value, _)), Some(list)) => self.lists.entry(full(list)).or_default().push(setting(value)),
            // One word alone is an item of the list around it; outside of every list it says nothing.
            (None, _) if !scopes.is_empty() => self.lists.entry(scopes.join("::").to_ascii_lowercase()).or_default().push(setting(name)),
            (None, _) => {}
        }
    }
}

/// A truth value in every spelling that apt knows; `None` for other text.
pub fn as_bool(text: &str) -> Option<bool> {
    match text.trim().to_ascii_lowercase().as_str() {
        "no" | "false" | "without" | "off" | "disable" => Some(false),
        "yes" | "true" | "with" | "on" | "enable" => Some(true),
        number => number.parse::<i32>().ok().map(|n| n != 0),
    }
}

enum Token {
    Word(String, usize),
    Open,
    Close,
    End,
}

/// Words, quoted strings and punctuation; comments of all three kinds are dropped.
fn tokens(text: &str) -> Vec<Token> {
    let mut out = Vec::new();
    let mut chars = text.chars().peekable();
    let (mut line, mut word) = (1, String::new());
    let mut quoted = false;
    let flush = |word: &mut String, out: &mut Vec<Token>, line: usize| {
        if !word.is_empty() {
            out.push(Token::Word(std::mem::take(word), line));
        }
    };
    while let Some(c) = chars.next() {
        if quoted {
            match c {
                '"' => {
                    quoted = false;
                    // An empty string is a value, too.
                    out.push(Token::Word(std::mem::take(&mut word), line));
                }
                '\n' => {
                    line += 1;
                    word.push(c);
                }
                c => word.push(c),
            }
            continue;
        }
        let next = chars.peek().copied();
        match c {
            '"' => {
                flush(&mut word, &mut out, line);
                quoted = true;
            }
            '/' if next == Some('/') => {
                flush(&mut word, &mut out, line);
                skip_line(&mut chars);
            }
            '/' if next == Some('*') => {
                flush(&mut word, &mut out, line);
                let mut last = ' ';
                chars.next();
                for c in chars.by_ref() {
                    line += usize::from(c == '\n');
                    if last == '*' && c == '/' {
                        break;
                    }
                    last = c;
                }
            }
            '#' => {
                let ahead: String = chars.clone().take(7).collect();
                if ahead.starts_with("clear") || ahead.starts_with("include") {
                    flush(&mut word, &mut out, line);
                    word.push(c);
                } else {
                    flush(&mut word, &mut out, line);
                    skip_line(&mut chars);
                }
            }
            '{' | '}' | ';' => {
                flush(&mut word, &mut out, line);
                out.push(match c {
                    '{' => Token::Open,
                    '}' => Token::Close,
                    _ => Token::End,
                });
            }
            c if c.is_whitespace() => {
                flush(&mut word, &mut out, line);
                line += usize::from(c == '\n');
            }
            c => word.push(c),
        }
    }
    flush(&mut word, &mut out, line);
    out
}

fn skip_line(chars: &mut std::iter::Peekable<std::str::Chars<'_>>) {
    while chars.peek().is_some_and(|c| *c != '\n') {
        chars.next();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn conf(parts: &[&str]) -> AptConf {
        let mut conf = AptConf::default();
        for (i, text) in parts.iter().enumerate() {
            conf.add(&format!("/{i}"), text);
        }
        conf
    }

    #[test]
    fn both_spellings_the_last_wins() {
        let c = conf(&[
            "// c\nAPT::Periodic::Update-Package-Lists \"1\";\nAPT { Periodic { Unattended-Upgrade \"1\"; Enable \"1\"; }; Keep:: \"x\"; };",
            "# c\n/* apt::periodic::enable \"9\"; */ apt::periodic::enable \"0\";",
        ]);
        let at = |name: &str| c.setting(name).map(|s| (s.value.as_str(), s.place.as_str(), s.line));
        assert_eq!(at("APT::Periodic::Update-Package-Lists"), Some(("1", "/0", 2)));
        assert_eq!(at("APT::Periodic::Unattended-Upgrade"), Some(("1", "/0", 3)));
        assert_eq!(at("APT::Periodic::Enable"), Some(("0", "/1", 2)));
    }

    #[test]
    fn clear_removes_what_was_set_and_include_is_named() {
        let c = conf(&["A::B \"1\"; A::B::C \"2\"; A::D \"\";", "#clear A::B;\n#include \"/x\";"]);
        assert!(c.setting("A::B").is_none() && c.setting("a::b::c").is_none());
        assert_eq!(c.setting("A::D").unwrap().value, "");
        assert_eq!(c.unsupported, ["/1:2: #include is not followed"]);
    }

    #[test]
    fn lists_grow_until_they_are_cleared() {
        let c = conf(&["U { O { \"a\"; b; N \"n\"; }; };\nU::O:: \"c\";", "U::O:: \"c\"; alone; U::P#x \"1\";\n;"]);
        let of = |c: &AptConf, name: &str| c.values(name).iter().map(|s| s.value.clone()).collect::<Vec<_>>();
        assert_eq!(of(&c, "u::o"), ["n", "a", "b", "c", "c"]);
        assert_eq!(of(&conf(&["U::O:: \"a\"; #clear U::O;\nU::O:: \"z\";"]), "U::O"), ["z"]);
        assert_eq!(conf(&["A::B \"1\" \"2\";"]).unsupported, ["/0:1: more than one value"]);
        for (text, expected) in [("True", Some(true)), ("0", Some(false)), ("7", Some(true)), ("off", Some(false)), ("x", None), ("", None)] {
            assert_eq!(as_bool(text), expected, "{text}");
        }
    }

    #[test]
    fn hostile_text_ends() {
        for text in ["\"", "{{{{", "}}}};;;", "/*", "#", "a \"b", &"{".repeat(10_000)] {
            conf(&[text]);
        }
    }
}
