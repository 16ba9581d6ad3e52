//! Dovecot's configuration: settings in the blocks around them, includes, variables, quotes.

use std::collections::BTreeMap;

use crate::facts::mail::Collector;
use crate::host::glob::{glob, is_pattern};
use crate::host::root::CONFIG_LIMIT;
use crate::model::fact::Source;
use crate::model::gap::reason;

/// Most files read.
const FILE_LIMIT: usize = 1_000;
/// Deepest include, levels.
const INCLUDE_LIMIT: usize = 16;
/// Deepest block, levels.
const BLOCK_LIMIT: usize = 16;
/// Most settings kept.
const SETTING_LIMIT: usize = 50_000;
/// Longest value, bytes.
const VALUE_LIMIT: usize = 64 << 10;

/// One setting where it stands.
#[derive(Clone, Debug)]
pub struct Setting {
    /// Blocks around it, outermost first: kind and name, such as `protocol` and `imap`.
    pub blocks: Vec<(String, String)>,
    /// Name.
    pub key: String,
    /// Value, quotes removed, variables put in.
    pub value: String,
    /// Where it stands.
    pub source: Source,
}

/// What the files say.
#[derive(Debug, Default)]
pub struct Files {
    /// In reading order.
    pub settings: Vec<Setting>,
    /// Blocks as they are opened, so that an empty one is seen, too.
    pub opened: Vec<Vec<(String, String)>>,
    /// Files read, in order.
    pub paths: Vec<String>,
}

/// Reads the main file with its includes.
pub fn read(collector: &mut Collector<'_>, main: &str) -> Files {
    let mut reader = Reader { collector, files: Files::default(), globals: BTreeMap::new() };
    reader.file(main, 0, &mut Vec::new());
    reader.files
}

struct Reader<'a, 'c> {
    collector: &'a mut Collector<'c>,
    files: Files,
    /// Last value of each setting outside of blocks, for `$name`.
    globals: BTreeMap<String, String>,
}

impl Reader<'_, '_> {
    fn problem(&mut self, id: &str, detail: String) {
        self.collector.gap("", "", id, detail, "Mend the configuration and check it with doveconf -n.");
    }

    fn file(&mut self, path: &str, depth: usize, blocks: &mut Vec<(String, String)>) {
        if depth > INCLUDE_LIMIT || self.files.paths.len() >= FILE_LIMIT {
            return self.problem(reason::LIMIT_REACHED, format!("{path}: more than {INCLUDE_LIMIT} levels or {FILE_LIMIT} files of includes"));
        }
        let text = match self.collector.host.read_text(path, CONFIG_LIMIT) {
            Ok(text) => text,
            Err(e) => return self.collector.gaps.add(e.to_gap(self.collector.family, "", "")),
        };
        self.files.paths.push(path.to_string());
        let outer = blocks.len();
        for (number, line) in logical_lines(&text) {
            if self.files.settings.len() >= SETTING_LIMIT {
                return self.problem(reason::LIMIT_REACHED, format!("{path}:{number}: more than {SETTING_LIMIT} settings"));
            }
            self.line(&line, path, number, depth, blocks);
        }
        if blocks.len() != outer {
            self.problem(reason::MALFORMED, format!("{path}: the file ends inside a block"));
            blocks.truncate(outer);
        }
    }

    fn line(&mut self, line: &str, path: &str, number: usize, depth: usize, blocks: &mut Vec<(String, String)>) {
        if line == "}" {
            if blocks.pop().is_none() {
                self.problem(reason::MALFORMED, format!("{path}:{number}: a closing brace that closes nothing"));
            }
        } else if let Some(rest) = line.strip_prefix("!include_try") {
            self.include(rest.trim(), true, path, depth, blocks);
        } else if let Some(rest) = line.strip_prefix("!include") {
            self.include(rest.trim(), false, path, depth, blocks);
        } else if let Some(head) = opening(line) {
            if blocks.len() >= BLOCK_LIMIT {
                return self.problem(reason::LIMIT_REACHED, format!("{path}:{number}: blocks are nested too deeply"));
            }
            let (kind, name) = head.split_once(char::is_whitespace).unwrap_or((head, ""));
            blocks.push((kind.trim().to_string(), unquoted(name)));
            self.files.opened.push(blocks.clone());
        } else if let Some((key, value)) = line.split_once('=') {
            let value = self.expanded(&unquoted(value));
            if blocks.is_empty() {
                self.globals.insert(key.trim().to_string(), value.clone());
            }
            let source = Source::line(path, number, key.trim());
            self.files.settings.push(Setting { blocks: blocks.clone(), key: key.trim().to_string(), value, source });
        } else {
            self.problem(reason::MALFORMED, format!("{path}:{number}: neither a setting nor a block"));
        }
    }

    /// `$name` as a word of its own, `$SET:name` in newer releases.
    fn expanded(&self, value: &str) -> String {
        if !value.contains('$') {
            return value.to_string();
        }
        let words = value.split(' ').map(|word| match word.strip_prefix('$') {
            Some(name) => self.globals.get(name.strip_prefix("SET:").unwrap_or(name)).map_or("", String::as_str),
            None => word,
        });
        let mut out = words.collect::<Vec<_>>().join(" ").trim().to_string();
        if out.len() > VALUE_LIMIT {
            out.clear();
        }
        out
    }

    fn include(&mut self, pattern: &str, optional: bool, path: &str, depth: usize, blocks: &mut Vec<(String, String)>) {
        let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
        let pattern = if pattern.starts_with('/') { pattern.to_string() } else { format!("{folder}/{pattern}") };
        let paths = if is_pattern(&pattern) {
            let found = glob(self.collector.host, &pattern);
            for error in found.errors {
                self.collector.gaps.add(error.to_gap(self.collector.family, "", ""));
            }
            found.paths
        } else {
            vec![pattern]
        };
        for path in paths {
            // One that is optional is left out when it is not there, or when Dovecot may not read it.
            if optional && self.collector.host.exists(&path) == Ok(false) {
                continue;
            }
            self.file(&path, depth + 1, blocks);
        }
    }
}

/// The head of a line that opens a block; a brace inside a value opens none.
fn opening(line: &str) -> Option<&str> {
    let head = line.strip_suffix('{')?;
    (!head.contains('=')).then(|| head.trim())
}

/// Lines without comments; a backslash at the end joins the next one.
fn logical_lines(text: &str) -> Vec<(usize, String)> {
    let mut out = Vec::new();
    let mut open: Option<(usize, String)> = None;
    for (index, line) in text.lines().enumerate() {
        let line = without_comment(line);
        let (number, mut whole) = open.take().unwrap_or((index + 1, String::new()));
        match line.strip_suffix('\\') {
            Some(part) => {
                whole.push_str(part.trim());
                whole.push(' ');
                open = Some((number, whole));
            }
            None => {
                whole.push_str(line.trim());
                if !whole.trim().is_empty() {
                    out.push((number, whole.trim().to_string()));
                }
            }
        }
    }
    out.extend(open.map(|(number, whole)| (number, whole.trim().to_string())).filter(|(_, w)| !w.is_empty()));
    out
}

/// A number sign at the beginning or behind a blank begins a comment, but not inside quotes.
fn without_comment(line: &str) -> &str {
    let mut quote: Option<char> = None;
    let mut blank = true;
    let mut escaped = false;
    for (at, c) in line.char_indices() {
        match (quote, c) {
            _ if escaped => escaped = false,
            (Some(_), '\\') => escaped = true,
            (Some(q), c) if c == q => quote = None,
            (None, '"' | '\'') if blank => quote = Some(c),
            (None, '#') if blank => return line.get(..at).unwrap_or("").trim_end(),
            _ => {}
        }
        blank = c.is_whitespace() || c == '=';
    }
    line.trim_end()
}

fn unquoted(value: &str) -> String {
    let value = value.trim();
    let inner = ['"', '\''].iter().find_map(|q| value.strip_prefix(*q)?.strip_suffix(*q));
    inner.map_or_else(|| value.to_string(), |i| i.replace("\\\"", "\"").replace("\\\\", "\\"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facts::mail::Mail;
    use crate::host::testing::rooted;
    use crate::model::gap::{Gap, Gaps};

    fn settings(files: &[(&str, &str)]) -> (Vec<String>, Vec<Gap>) {
        let (_root, host) = rooted(files);
        let mut gaps = Gaps::new();
        let mut collector = Collector { host: &host, family: "mail", gaps: &mut gaps, mail: Mail::default() };
        let read = read(&mut collector, "/d/dovecot.conf");
        let block = |s: &Setting| s.blocks.iter().map(|(k, n)| format!("{k}:{n}/")).collect::<String>();
        (read.settings.iter().map(|s| format!("{}{}={} {}", block(s), s.key, s.value, s.source.line)).collect(), gaps.into_sorted())
    }

    #[test]
    fn blocks_includes_and_variables() {
        let main = "# c\nprotocols = imap # x\n!include_try none.conf\n!include conf.d/*.conf\nprotocols = $protocols lmtp\nservice imap-login {\n  inet_listener imap {\n    port = \\\n  144\n  }\n}\n\
            local 10.0.0.1 {\n protocol imap {\n ssl = \"no # x\"\n }\n}\nplugin {\n a = b#c\n}\n";
        let (found, gaps) = settings(&[("/d/dovecot.conf", main), ("/d/conf.d/b.conf", "protocols = $protocols pop3"), ("/d/conf.d/a.conf", "ssl=yes")]);
        assert_eq!(
            found,
            [
                "protocols=imap 2",
                "ssl=yes 1",
                "protocols=imap pop3 1",
                "protocols=imap pop3 lmtp 5",
                "service:imap-login/inet_listener:imap/port=144 8",
                "local:10.0.0.1/protocol:imap/ssl=no # x 14",
                "plugin:/a=b#c 18"
            ]
        );
        assert_eq!(gaps, []);
    }

    #[test]
    fn broken_files_are_gaps_and_end() {
        let reasons = |text: &str| settings(&[("/d/dovecot.conf", text)]).1.into_iter().map(|g| g.reason).collect::<Vec<_>>();
        assert_eq!(reasons("a {\n"), ["malformed"]);
        assert_eq!(reasons("}\nx\n"), ["malformed", "malformed"]);
        assert_eq!(reasons("!include none"), ["missing"]);
        assert_eq!(reasons("!include dovecot.conf"), ["limit-reached"]);
        let seed = "a \"b\\\" {\n c = \"d # e\\\n } \\\n$x = $y\n!include_try *\n";
        for end in 0..seed.len() {
            settings(&[("/d/dovecot.conf", &seed[..end])]);
        }
    }
}
