//! Configuration files of Net-SNMP: where they lie, what they include, which lines are the agent's.

use super::Snmp;
use super::addresses::Options;
use crate::facts::Document as _;
use crate::host::glob;
use crate::host::{CONFIG_LIMIT, Host};
use crate::model::fact::Source;
use crate::model::gap::{Gaps, reason};

/// Every file that is read without being named, in this order; all that are there count.
pub const USUAL: [&str; 4] = ["/etc/snmp/snmpd.conf", "/usr/share/snmp/snmpd.conf", "/etc/snmp/snmpd.local.conf", "/usr/share/snmp/snmpd.local.conf"];
/// Files of root's home folder: systemd gives its services none, so that only who starts the agent by hand has them read.
const HOME: [&str; 2] = ["/root/.snmp/snmpd.conf", "/root/.snmp/snmpd.local.conf"];
/// Deepest chain of includes, most files, and most directives.
const DEPTH_LIMIT: usize = 16;
const FILE_LIMIT: usize = 512;
const DIRECTIVE_LIMIT: usize = 50_000;
/// What is looked at.
const KEPT: [&str; 17] = [
    "agentaddress",
    "rocommunity",
    "rocommunity6",
    "rwcommunity",
    "rwcommunity6",
    "authcommunity",
    "com2sec",
    "com2sec6",
    "group",
    "access",
    "setaccess",
    "authaccess",
    "rouser",
    "rwuser",
    "authuser",
    "createuser",
    "authgroup",
];

/// One line.
#[derive(Clone, Debug)]
pub struct Directive {
    /// Keyword, lower case.
    pub keyword: String,
    /// Words behind it, quotes taken off.
    pub words: Vec<String>,
    /// File, line and keyword.
    pub source: Source,
}

/// What was read.
#[derive(Debug, Default)]
pub struct Read {
    /// In order.
    pub directives: Vec<Directive>,
    /// Files, in order.
    pub files: Vec<String>,
}

/// Reads the usual files, unless told not to, and those of the command line.
pub fn read(host: &Host, options: &Options, subject: &str, gaps: &mut Gaps) -> Read {
    let mut reader = Reader { host, subject, gaps, out: Read::default() };
    if !options.only_named {
        let home: &[&str] = if options.by_hand { &HOME } else { &[] };
        for path in USUAL.iter().chain(home) {
            reader.file(path, 0, false);
        }
    }
    for path in &options.files {
        if !reader.out.files.contains(path) {
            reader.file(path, 0, true);
        }
    }
    reader.out
}

struct Reader<'a> {
    host: &'a Host,
    subject: &'a str,
    gaps: &'a mut Gaps,
    out: Read,
}

impl Reader<'_> {
    fn gap(&mut self, id: &str, detail: &str) {
        for path in ["agents", "communities", "users"] {
            self.gaps.note(Snmp::NAME, path, self.subject, id, detail, "");
        }
    }

    fn file(&mut self, path: &str, depth: usize, named: bool) {
        if depth > DEPTH_LIMIT || self.out.files.len() >= FILE_LIMIT {
            return self.gap(reason::LIMIT_REACHED, &format!("{path}: more than {DEPTH_LIMIT} levels or {FILE_LIMIT} files of includes"));
        }
        let text = match self.host.read_text(path, CONFIG_LIMIT) {
            Ok(text) => text,
            Err(e) if e.is_not_found() && !named => return,
            Err(e) => {
                for list in ["agents", "communities", "users"] {
                    self.gaps.add(e.to_gap(Snmp::NAME, list, self.subject));
                }
                return;
            }
        };
        self.out.files.push(path.to_string());
        // `[snmp]` alone turns the lines behind it over to another program.
        let mut is_agent = true;
        for (index, line) in text.lines().enumerate() {
            let mut line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let mut for_agent = is_agent;
            if let Some((kind, rest)) = line.strip_prefix('[').and_then(|l| l.split_once(']')) {
                for_agent = kind.eq_ignore_ascii_case("snmpd");
                line = rest.trim();
                if line.is_empty() {
                    is_agent = for_agent;
                    continue;
                }
            }
            if for_agent {
                self.line(line, path, index + 1, depth);
            }
        }
    }

    fn line(&mut self, line: &str, path: &str, number: usize, depth: usize) {
        let mut words = words(line).into_iter();
        let Some(keyword) = words.next().map(|w| w.to_ascii_lowercase()) else { return };
        let words: Vec<String> = words.collect();
        match keyword.as_str() {
            "includefile" | "includeallfile" => {
                for target in &words {
                    let folder = path.rsplit_once('/').map_or("", |(f, _)| f);
                    let target = if target.starts_with('/') { target.clone() } else { format!("{folder}/{target}") };
                    self.file(&target, depth + 1, true);
                }
            }
            "includedir" => {
                for folder in &words {
                    match glob::included(self.host, &format!("{}/*.conf", folder.trim_end_matches('/'))) {
                        Ok(paths) => paths.iter().for_each(|p| self.file(p, depth + 1, true)),
                        Err(e) => {
                            let detail = e.to_string();
                            self.gap(reason::READ_FAILED, &detail);
                        }
                    }
                }
            }
            "includesearch" => self.gap(reason::UNSUPPORTED, &format!("{path}:{number}: {keyword} is not followed")),
            _ if KEPT.contains(&keyword.as_str()) && self.out.directives.len() < DIRECTIVE_LIMIT => {
                let source = Source::line(path, number, keyword.clone());
                self.out.directives.push(Directive { keyword, words, source });
            }
            _ if self.out.directives.len() >= DIRECTIVE_LIMIT => {
                self.gap(reason::LIMIT_REACHED, &format!("{path}:{number}: more than {DIRECTIVE_LIMIT} directives"))
            }
            _ => {}
        }
    }
}

/// Blanks separate words, quotes hold them together, a backslash takes the next character as it is.
fn words(text: &str) -> Vec<String> {
    let mut out = Vec::new();
    let mut word: Option<String> = None;
    let mut quote = None;
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match (quote, c) {
            (Some(q), c) if c == q => quote = None,
            (None, '"' | '\'') => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            (_, '\\') => word.get_or_insert_default().extend(chars.next()),
            (None, c) if c.is_whitespace() => out.extend(word.take()),
            (_, c) => word.get_or_insert_default().push(c),
        }
    }
    out.extend(word);
    out
}
