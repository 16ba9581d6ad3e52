//! sshd_config(5) as a list of directives: includes followed, Match blocks kept as criteria.
//!
//! Include patterns without a leading slash are relative to `/etc/ssh`, their matches are read in
//! lexical order, and a Match block of an included file ends with that file.

use std::rc::Rc;

use super::criteria::Block;
use crate::host::root::CONFIG_LIMIT;
use crate::host::{FileKind, Host};
use crate::model::fact::Source;
use crate::model::gap::{Gaps, reason};
use crate::model::pattern::matches;

/// The main file.
pub const MAIN: &str = "/etc/ssh/sshd_config";
/// servconf.c: `SERVCONF_MAX_DEPTH`.
const DEPTH_LIMIT: usize = 16;
/// Most files read.
const FILE_LIMIT: usize = 512;
/// Most directives kept.
const DIRECTIVE_LIMIT: usize = 20_000;
/// Most components with a wildcard in one Include pattern.
const WILDCARD_LIMIT: usize = 4;

/// One directive where it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Directive {
    /// File.
    pub path: String,
    /// Line, from 1.
    pub line: usize,
    /// Keyword, lower case.
    pub keyword: String,
    /// Arguments, quotes removed.
    pub arguments: Vec<String>,
    /// The Match blocks around it, outermost first; empty: the global part.
    pub blocks: Vec<Rc<Block>>,
}

impl Directive {
    /// Arguments joined by blanks.
    pub fn value(&self) -> String {
        self.arguments.join(" ")
    }

    /// What a report may show: of a program only its path, of a variable only its name.
    pub fn shown(&self) -> String {
        match self.keyword.as_str() {
            "forcecommand" | "authorizedkeyscommand" | "authorizedprincipalscommand" => self.value().split_whitespace().next().unwrap_or("").into(),
            "setenv" => self.arguments.iter().map(|a| a.split('=').next().unwrap_or("")).collect::<Vec<_>>().join(" "),
            _ => self.value(),
        }
    }

    /// Whether it holds for every connection.
    pub fn always(&self) -> bool {
        self.blocks.iter().all(|b| b.is_all())
    }

    /// Criteria of the blocks around it (`user backup`), `all` inside another one left out.
    pub fn criteria(&self) -> String {
        let parts: Vec<&str> = self.blocks.iter().filter(|b| !b.is_all()).map(|b| b.text.as_str()).collect();
        if parts.is_empty() && !self.blocks.is_empty() { "all".into() } else { parts.join(" ") }
    }

    /// Where it stands.
    pub fn source(&self) -> Source {
        Source::line(self.path.clone(), self.line, self.keyword.clone())
    }
}

/// What the files say.
#[derive(Debug, Default)]
pub struct Files {
    /// In reading order.
    pub directives: Vec<Directive>,
    /// Files read, in order.
    pub paths: Vec<String>,
}

/// Reads `main` with its includes; what can't be read is a gap of `family`.
pub fn read(host: &Host, main: &str, family: &'static str, gaps: &mut Gaps) -> Files {
    let mut reader = Reader { host, family, gaps, out: Files::default() };
    reader.file(main, &[], 0);
    reader.out
}

/// An option of the command line, such as `PermitRootLogin=no`, at its place.
pub fn option(text: &str, path: &str, line: usize) -> Option<Directive> {
    let (keyword, arguments) = directive(text)?;
    Some(Directive { path: path.into(), line, keyword, arguments, blocks: Vec::new() })
}

struct Reader<'a> {
    host: &'a Host,
    family: &'static str,
    gaps: &'a mut Gaps,
    out: Files,
}

impl Reader<'_> {
    fn limit(&mut self, detail: String) {
        self.gaps.note(self.family, "", "", reason::LIMIT_REACHED, detail, "Simplify the includes of sshd_config.");
    }

    fn file(&mut self, path: &str, outer: &[Rc<Block>], depth: usize) {
        if depth > DEPTH_LIMIT || self.out.paths.len() >= FILE_LIMIT {
            return self.limit(format!("{path}: more than {DEPTH_LIMIT} levels or {FILE_LIMIT} files of includes"));
        }
        let text = match self.host.read_text(path, CONFIG_LIMIT) {
            Ok(text) => text,
            Err(e) => return self.gaps.add(e.to_gap(self.family, "", "")),
        };
        self.out.paths.push(path.to_string());
        let mut blocks = outer.to_vec();
        for (index, line) in text.lines().enumerate() {
            let line_number = index + 1;
            let Some((keyword, arguments)) = directive(line) else { continue };
            if self.out.directives.len() >= DIRECTIVE_LIMIT {
                return self.limit(format!("{path}:{line_number}: more than {DIRECTIVE_LIMIT} directives"));
            }
            match keyword.as_str() {
                "match" => {
                    blocks = outer.to_vec();
                    blocks.push(self.block(&arguments, path, line_number));
                }
                "include" => {
                    for pattern in &arguments {
                        self.include(pattern, &blocks, depth);
                    }
                }
                _ => self.out.directives.push(Directive { path: path.to_string(), line: line_number, keyword, arguments, blocks: blocks.clone() }),
            }
        }
    }

    /// What sshd would refuse, or this release does not know, holds for no connection here and is a gap.
    fn block(&mut self, arguments: &[String], path: &str, line: usize) -> Rc<Block> {
        let block = Block::parse(arguments);
        if let Some(problem) = block.problem {
            let detail = format!("{path}:{line}: Match {problem}");
            for field in ["overrides", "per_account"] {
                self.gaps.note(self.family, field, "", reason::UNSUPPORTED, detail.clone(), "Check the block with sshd -T -C.");
            }
        }
        Rc::new(block)
    }

    fn include(&mut self, pattern: &str, blocks: &[Rc<Block>], depth: usize) {
        let pattern = if pattern.starts_with('/') { pattern.to_string() } else { format!("/etc/ssh/{pattern}") };
        for path in self.glob(&pattern) {
            self.file(&path, blocks, depth + 1);
        }
    }

    /// glob(3) without braces and tildes, matches in lexical order.
    fn glob(&mut self, pattern: &str) -> Vec<String> {
        let components: Vec<&str> = pattern.split('/').filter(|c| !c.is_empty()).collect();
        if components.iter().filter(|c| has_wildcard(c)).count() > WILDCARD_LIMIT {
            self.limit(format!("include pattern {pattern} has more than {WILDCARD_LIMIT} wildcard components"));
            return Vec::new();
        }
        let mut found = vec![String::new()];
        for (index, component) in components.iter().enumerate() {
            let last = index + 1 == components.len();
            let mut next = Vec::new();
            for base in found {
                if has_wildcard(component) {
                    self.expand(&base, component, &mut next);
                } else {
                    next.push(format!("{base}/{component}"));
                }
            }
            found = next;
            if found.len() > FILE_LIMIT {
                self.limit(format!("include pattern {pattern} matches more than {FILE_LIMIT} paths"));
                found.truncate(FILE_LIMIT);
            }
            if last {
                break;
            }
        }
        let mut out = Vec::new();
        for path in found {
            match self.host.stat(&path) {
                Ok(_) => out.push(path),
                // A pattern that matches nothing is no error (sshd_config(5)).
                Err(e) if e.is_not_found() => {}
                Err(e) => self.gaps.add(e.to_gap(self.family, "", "")),
            }
        }
        out.sort();
        out
    }

    fn expand(&mut self, base: &str, component: &str, out: &mut Vec<String>) {
        let folder = if base.is_empty() { "/" } else { base };
        match self.host.list(folder) {
            Ok(entries) => {
                for entry in entries {
                    let hidden = entry.name.starts_with('.') && !component.starts_with('.');
                    if !hidden && entry.kind != FileKind::Other && matches(component, &entry.name) {
                        out.push(format!("{base}/{}", entry.name));
                    }
                }
            }
            Err(e) if e.is_not_found() => {}
            Err(e) => self.gaps.add(e.to_gap(self.family, "", "")),
        }
    }
}

/// Keyword and arguments of one line; `None` for blank lines and comments.
fn directive(line: &str) -> Option<(String, Vec<String>)> {
    let line = line.trim();
    if line.is_empty() || line.starts_with('#') {
        return None;
    }
    let end = line.find(|c: char| c.is_whitespace() || c == '=').unwrap_or(line.len());
    let (keyword, rest) = line.split_at(end);
    // strdelim() of OpenSSH: one `=` may stand between keyword and value.
    let rest = rest.trim_start();
    let rest = rest.strip_prefix('=').unwrap_or(rest);
    let keyword = keyword.trim_matches('"').to_ascii_lowercase();
    Some((canonical(&keyword).to_string(), words(rest)))
}

/// Old names of keywords (servconf.c).
fn canonical(keyword: &str) -> &str {
    match keyword {
        "challengeresponseauthentication" | "skeyauthentication" => "kbdinteractiveauthentication",
        "dsaauthentication" => "pubkeyauthentication",
        "pubkeyacceptedkeytypes" => "pubkeyacceptedalgorithms",
        "hostbasedacceptedkeytypes" => "hostbasedacceptedalgorithms",
        other => other,
    }
}

/// argv_split() of OpenSSH: quotes of both kinds, backslash before a quote, backslash or blank;
/// `#` at the start of a word ends the line.
fn words(text: &str) -> Vec<String> {
    let mut out = Vec::new();
    let mut chars = text.chars().peekable();
    while let Some(&c) = chars.peek() {
        if c.is_whitespace() {
            chars.next();
            continue;
        }
        if c == '#' {
            break;
        }
        let mut word = String::new();
        let mut quote = None;
        while let Some(&c) = chars.peek() {
            match (quote, c) {
                (None, c) if c.is_whitespace() => break,
                (None, '"' | '\'') => quote = Some(c),
                (Some(q), c) if q == c => quote = None,
                (_, '\\') => {
                    chars.next();
                    match chars.peek() {
                        Some(&n) if n == '\\' || n == '"' || n == '\'' || (quote.is_none() && n == ' ') => word.push(n),
                        _ => {
                            word.push('\\');
                            continue;
                        }
                    }
                }
                (_, c) => word.push(c),
            }
            chars.next();
        }
        out.push(word);
    }
    out
}

fn has_wildcard(component: &str) -> bool {
    component.contains(['*', '?', '['])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_split_as_sshd_does() {
        let seen = |line: &str| directive(line).unwrap();
        assert_eq!(seen("  Port=22 # no"), ("port".into(), vec!["22".to_string()]));
        assert_eq!(seen("Banner = \"/etc/a b\""), ("banner".into(), vec!["/etc/a b".to_string()]));
        assert_eq!(seen("AcceptEnv LANG LC_*").1, ["LANG", "LC_*"]);
        assert_eq!(seen(r#"X 'a "b' c\ d e\\f"#).1, ["a \"b", "c d", "e\\f"]);
        assert_eq!(seen("ChallengeResponseAuthentication no").0, "kbdinteractiveauthentication");
        assert!(directive(" # Port 22").is_none());
    }
}
