//! `redis.conf` as the server reads it (Redis documentation, "Redis configuration").
//!
//! ```text
//! keyword value …        the last one wins; `save`, `user` and `rename-command` add up
//! include PATTERN        read where it stands
//! "…" with \n \r \t \b \a \xHH \" \\, '…' with \'
//! ```

use crate::host::{CONFIG_LIMIT, Host, ReadError, glob};
use crate::model::fact::Source;

/// Deepest nesting of includes.
const DEPTH_LIMIT: usize = 16;
/// Most files.
const FILE_LIMIT: usize = 256;
/// Most directives.
const LINE_LIMIT: usize = 20_000;

/// One directive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Directive {
    /// Keyword, lower case.
    pub keyword: String,
    /// Arguments, quotes taken out.
    pub arguments: Vec<String>,
    /// Where it stands.
    pub source: Source,
}

/// Why the configuration is not known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unread {
    /// A file.
    File(ReadError),
    /// A line that the server refuses.
    Line(String, usize, &'static str),
    /// A limit, or a path that only the running server knows.
    Limit(String),
}

/// Reads a file with its includes.
pub fn read(host: &Host, path: &str, out: &mut Vec<Directive>) -> Result<(), Unread> {
    let mut files = 0;
    file(host, path, 0, &mut files, out)
}

fn file(host: &Host, path: &str, depth: usize, files: &mut usize, out: &mut Vec<Directive>) -> Result<(), Unread> {
    *files += 1;
    if depth > DEPTH_LIMIT || *files > FILE_LIMIT {
        return Err(Unread::Limit(format!("{path}: more than {DEPTH_LIMIT} levels or {FILE_LIMIT} files of includes")));
    }
    let text = host.read_text(path, CONFIG_LIMIT).map_err(Unread::File)?;
    for (index, line) in text.lines().enumerate() {
        let number = index + 1;
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let mut words = words(line).ok_or_else(|| Unread::Line(path.into(), number, "quotes that do not close"))?.into_iter();
        let Some(keyword) = words.next().map(|k| k.to_ascii_lowercase()) else { continue };
        let arguments: Vec<String> = words.collect();
        if keyword == "include" {
            for pattern in &arguments {
                for included in included(host, pattern)? {
                    file(host, &included, depth + 1, files, out)?;
                }
            }
            continue;
        }
        if out.len() >= LINE_LIMIT {
            return Err(Unread::Limit(format!("{path}:{number}: more than {LINE_LIMIT} directives")));
        }
        out.push(Directive { source: Source::line(path, number, keyword.clone()), keyword, arguments });
    }
    Ok(())
}

/// Files of an include pattern, wildcards in its last part alone; without one the file must be there.
fn included(host: &Host, path: &str) -> Result<Vec<String>, Unread> {
    let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
    if !path.starts_with('/') || glob::is_pattern(folder) {
        return Err(Unread::Limit(format!("include {path}: only absolute paths with wildcards in their last part are read")));
    }
    glob::included(host, path).map_err(Unread::File)
}

/// Directives of a command line: `--keyword value … --keyword …`.
pub fn command_line(words: &[String], place: &str) -> Vec<Directive> {
    let mut out: Vec<Directive> = Vec::new();
    for word in words {
        if let Some(keyword) = word.strip_prefix("--").filter(|k| !k.is_empty()) {
            let keyword = keyword.to_ascii_lowercase();
            out.push(Directive { source: Source { place: place.into(), line: 0, directive: keyword.clone() }, keyword, arguments: Vec::new() });
        } else if let Some(last) = out.last_mut() {
            // The server joins them to one line and splits it again, so that "a b" is two.
            last.arguments.extend(self::words(word).unwrap_or_default());
        }
    }
    out
}

/// `sdssplitargs`; `None` when quotes are out of balance.
pub fn words(line: &str) -> Option<Vec<String>> {
    let mut out = Vec::new();
    let mut chars = line.chars().peekable();
    loop {
        while chars.peek().is_some_and(|c| c.is_whitespace()) {
            chars.next();
        }
        if chars.peek().is_none() {
            return Some(out);
        }
        let mut word = String::new();
        let mut quote = None;
        loop {
            let Some(c) = chars.next() else {
                if quote.is_some() {
                    return None;
                }
                break;
            };
            match (quote, c) {
                (Some('"'), '\\') => word.push(escaped(&mut chars)),
                (Some('\''), '\\') if chars.peek() == Some(&'\'') => word.extend(chars.next()),
                (Some(q), c) if q == c => {
                    // A closing quote must be followed by a blank or nothing.
                    if chars.peek().is_some_and(|c| !c.is_whitespace()) {
                        return None;
                    }
                    break;
                }
                (Some(_), c) => word.push(c),
                (None, c) if c.is_whitespace() => break,
                (None, '"' | '\'') => quote = Some(c),
                (None, c) => word.push(c),
            }
        }
        out.push(word);
    }
}

fn escaped(chars: &mut std::iter::Peekable<std::str::Chars<'_>>) -> char {
    match chars.next() {
        Some('n') => '\n',
        Some('r') => '\r',
        Some('t') => '\t',
        Some('b') => '\x08',
        Some('a') => '\x07',
        Some('x') => {
            let mut number = 0;
            for _ in 0..2 {
                let Some(digit) = chars.peek().and_then(|c| c.to_digit(16)) else { break };
                chars.next();
                number = number * 16 + digit;
            }
            char::from_u32(number).unwrap_or('?')
        }
        Some(other) => other,
        None => '\\',
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::testing::rooted;

    #[test]
    fn words_as_the_server_splits_them() {
        let shown = |line: &str| words(line).map(|w| w.join("|"));
        assert_eq!(shown("bind  127.0.0.1 -::1"), Some("bind|127.0.0.1|-::1".into()));
        assert_eq!(shown("requirepass \"a \\x41\\\"\" 'it\\'s'"), Some("requirepass|a A\"|it's".into()));
        assert_eq!(shown("save \"\""), Some("save|".into()));
        assert_eq!((shown("a \"b"), shown("a \"b\"c")), (None, None));
        let line = "a \"b\\x4\\\" é' '\\'c";
        for end in (0..=line.len()).filter(|i| line.is_char_boundary(*i)) {
            let _ = words(&line[..end]);
        }
    }

    #[test]
    fn includes_and_command_lines() {
        let (_root, host) = rooted(&[
            ("/r.conf", "port 1\ninclude /d/*.conf\nPort 3\n"),
            ("/d/a.conf", "port 2\nbind 10.0.0.1\n"),
            ("/loop.conf", "include /loop.conf\n"),
            ("/relative.conf", "include other.conf\n"),
        ]);
        let mut found = Vec::new();
        read(&host, "/r.conf", &mut found).unwrap();
        let shown: Vec<String> = found.iter().map(|d| format!("{} {} {}:{}", d.keyword, d.arguments.join(" "), d.source.place, d.source.line)).collect();
        assert_eq!(shown, ["port 1 /r.conf:1", "port 2 /d/a.conf:1", "bind 10.0.0.1 /d/a.conf:2", "port 3 /r.conf:3"]);
        for path in ["/loop.conf", "/relative.conf"] {
            assert!(matches!(read(&host, path, &mut Vec::new()), Err(Unread::Limit(_))), "{path}");
        }
        let words: Vec<String> = "--port 0 --save  --bind 127.0.0.1 ::1".split(' ').map(String::from).collect();
        let shown: Vec<String> = command_line(&words, "process x").iter().map(|d| format!("{} {}", d.keyword, d.arguments.join(" "))).collect();
        assert_eq!(shown, ["port 0", "save ", "bind 127.0.0.1 ::1"]);
    }
}
