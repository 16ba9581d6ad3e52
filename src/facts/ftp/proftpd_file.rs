//! ProFTPD's configuration as nested sections: includes put in, `<IfModule>` and `<IfDefine>` resolved.

use std::collections::BTreeSet;

use super::{Ftp, Reading};
use crate::facts::Document as _;
use crate::host::FileKind;
use crate::host::glob;
use crate::model::fact::Source;
use crate::model::gap::reason;

/// Most files read.
const FILE_LIMIT: usize = 512;
/// Deepest chain of includes, and of sections.
const DEPTH_LIMIT: usize = 16;
/// Most directives kept.
const DIRECTIVE_LIMIT: usize = 50_000;
/// Folders of loadable modules.
const MODULES: [&str; 4] = ["/usr/lib/proftpd", "/usr/lib64/proftpd", "/usr/libexec/proftpd", "/usr/local/libexec"];

/// One directive.
#[derive(Clone, Debug)]
pub struct Directive {
    /// Name, lower case.
    pub name: String,
    /// Arguments, quotes taken off.
    pub arguments: Vec<String>,
    /// Where it stands.
    pub source: Source,
}

/// A section, or the whole.
#[derive(Clone, Debug, Default)]
pub struct Section {
    /// Name, lower case; empty for the whole.
    pub name: String,
    /// Arguments.
    pub arguments: Vec<String>,
    /// Where it begins.
    pub source: Source,
    /// Its own directives in order.
    pub directives: Vec<Directive>,
    /// Sections inside it.
    pub sections: Vec<Section>,
}

impl Section {
    /// The last directive of a name.
    pub fn last(&self, name: &str) -> Option<&Directive> {
        self.directives.iter().rfind(|d| d.name == name)
    }

    /// Whether a directive stands here or deeper.
    pub fn holds(&self, names: &[&str]) -> bool {
        self.directives.iter().any(|d| names.contains(&d.name.as_str())) || self.sections.iter().any(|s| names.contains(&s.name.as_str()) || s.holds(names))
    }
}

/// Reads a file; `defined` are the words of `-D`.
pub fn read(reading: &mut Reading<'_>, main: &str, defined: &BTreeSet<String>, subject: &str) -> Section {
    let dynamic = MODULES.iter().find(|f| reading.host.exists(f).unwrap_or(false)).map(|f| (*f).to_string());
    let mut parser = Parser {
        reading,
        subject,
        defined: defined.clone(),
        loaded: BTreeSet::new(),
        dynamic,
        files: 0,
        directives: 0,
        stack: vec![Open::Section(Section::default())],
    };
    parser.file(main, 0);
    // What is left open at the end of the text is closed there.
    while parser.stack.len() > 1 {
        parser.close();
    }
    match parser.stack.pop() {
        Some(Open::Section(whole)) => whole,
        _ => Section::default(),
    }
}

enum Open {
    Section(Section),
    /// A condition that holds: what is inside belongs to the section around it.
    Holds,
    /// A condition that does not: what is inside is passed over.
    Fails,
}

struct Parser<'r, 'a> {
    reading: &'r mut Reading<'a>,
    subject: &'r str,
    defined: BTreeSet<String>,
    loaded: BTreeSet<String>,
    /// Folder of loadable modules.
    dynamic: Option<String>,
    files: usize,
    directives: usize,
    stack: Vec<Open>,
}

impl Parser<'_, '_> {
    fn limit(&mut self, detail: String) {
        self.reading.gap("servers", self.subject, reason::LIMIT_REACHED, detail, "");
    }

    fn skips(&self) -> bool {
        self.stack.iter().any(|o| matches!(o, Open::Fails))
    }

    fn file(&mut self, path: &str, depth: usize) {
        if self.files >= FILE_LIMIT || depth > DEPTH_LIMIT {
            return self.limit(format!("{path}: more than {DEPTH_LIMIT} levels or {FILE_LIMIT} files of includes"));
        }
        if self.reading.host.stat(path).is_ok_and(|s| s.kind == FileKind::Folder) {
            let entries = match self.reading.host.list(path) {
                Ok(entries) => entries,
                Err(e) => return self.reading.gaps.add(e.to_gap(Ftp::NAME, "servers", self.subject)),
            };
            for entry in entries {
                self.file(&format!("{}/{}", path.trim_end_matches('/'), entry.name), depth + 1);
            }
            return;
        }
        self.files += 1;
        let subject = self.subject.to_string();
        let Some(text) = self.reading.text(path, &subject) else {
            if !self.reading.host.exists(path).unwrap_or(true) {
                self.reading.gap("servers", &subject, reason::MISSING, format!("{path}: no such file"), "");
            }
            return;
        };
        for (line, text) in lines(&text) {
            self.line(&text, path, line, depth);
        }
    }

    fn line(&mut self, text: &str, path: &str, line: usize, depth: usize) {
        if text.starts_with("</") {
            self.close();
            return;
        }
        if let Some(head) = text.strip_prefix('<') {
            let words = words(head.trim_end().trim_end_matches('>'));
            self.open(&words, Source::line(path, line, words.first().cloned().unwrap_or_default()));
            return;
        }
        if self.skips() {
            return;
        }
        let mut words = words(text).into_iter();
        let Some(name) = words.next() else { return };
        let arguments: Vec<String> = words.collect();
        let lower = name.to_ascii_lowercase();
        match lower.as_str() {
            "include" | "includeoptions" if lower == "include" => {
                for argument in &arguments {
                    self.include(argument, depth);
                }
                return;
            }
            "define" => self.defined.extend(arguments.first().cloned()),
            "loadmodule" => self.loaded.extend(arguments.first().map(|m| module(m))),
            _ => {}
        }
        if self.directives >= DIRECTIVE_LIMIT {
            return self.limit(format!("{path}:{line}: more than {DIRECTIVE_LIMIT} directives"));
        }
        self.directives += 1;
        let directive = Directive { name: lower, arguments, source: Source::line(path, line, name) };
        if let Some(section) = self.stack.iter_mut().rev().find_map(|o| if let Open::Section(s) = o { Some(s) } else { None }) {
            section.directives.push(directive);
        }
    }

    fn include(&mut self, pattern: &str, depth: usize) {
        match glob::included(self.reading.host, pattern.trim_end_matches('/')) {
            Ok(paths) => {
                for path in paths {
                    self.file(&path, depth + 1);
                }
            }
            Err(e) => self.reading.gaps.add(e.to_gap(Ftp::NAME, "servers", self.subject)),
        }
    }

    fn open(&mut self, words: &[String], source: Source) {
        let name = words.first().map(|w| w.to_ascii_lowercase()).unwrap_or_default();
        let arguments: Vec<String> = words.get(1..).unwrap_or_default().to_vec();
        if self.stack.len() > DEPTH_LIMIT * 2 {
            self.limit(format!("{}:{}: sections nest too deeply", source.place, source.line));
            return self.stack.push(Open::Fails);
        }
        let condition = arguments.first().map(String::as_str).unwrap_or_default();
        let (condition, negated) = condition.strip_prefix('!').map_or((condition, false), |c| (c, true));
        let holds = match name.as_str() {
            "ifmodule" => self.has_module(condition),
            "ifdefine" => self.defined.contains(condition),
            _ => return self.stack.push(Open::Section(Section { name, arguments, source, ..Section::default() })),
        };
        self.stack.push(if holds != negated { Open::Holds } else { Open::Fails });
    }

    /// A module that is loaded or, where none of that name can be loaded, built in.
    fn has_module(&self, name: &str) -> bool {
        const BUILT_IN: [&str; 16] = [
            "mod_core",
            "mod_xfer",
            "mod_rlimit",
            "mod_auth_unix",
            "mod_auth_file",
            "mod_auth",
            "mod_ls",
            "mod_log",
            "mod_site",
            "mod_delay",
            "mod_facts",
            "mod_dso",
            "mod_auth_pam",
            "mod_cap",
            "mod_ctrls",
            "mod_lang",
        ];
        let name = module(name);
        if self.loaded.contains(&name) || BUILT_IN.contains(&name.as_str()) {
            return true;
        }
        // Without a folder of modules all of them are built in.
        self.dynamic.is_none()
    }

    fn close(&mut self) {
        if self.stack.len() < 2 {
            return;
        }
        let Some(Open::Section(section)) = self.stack.pop() else { return };
        if self.skips() {
            return;
        }
        if let Some(outer) = self.stack.iter_mut().rev().find_map(|o| if let Open::Section(s) = o { Some(s) } else { None }) {
            outer.sections.push(section);
        }
    }
}

/// `mod_tls` of `mod_tls.c`.
fn module(name: &str) -> String {
    name.trim_end_matches(".c").trim_end_matches(".so").to_ascii_lowercase()
}

/// Lines without comments, those that end with a backslash joined.
fn lines(text: &str) -> Vec<(usize, String)> {
    let mut out: Vec<(usize, String)> = Vec::new();
    let mut continues = false;
    for (index, line) in text.lines().enumerate() {
        let line = line.trim();
        let (body, more) = line.strip_suffix('\\').map_or((line, false), |b| (b, true));
        match out.last_mut().filter(|_| continues) {
            Some((_, before)) => {
                before.push(' ');
                before.push_str(body);
            }
            None if line.is_empty() || line.starts_with('#') => {
                continues = false;
                continue;
            }
            None => out.push((index + 1, body.to_string())),
        }
        continues = more;
    }
    out
}

/// Words; double quotes hold blanks, a `#` that begins a word ends the line.
fn words(text: &str) -> Vec<String> {
    let mut out = Vec::new();
    let mut word: Option<String> = None;
    let mut quoted = false;
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '"' => {
                quoted = !quoted;
                word.get_or_insert_default();
            }
            '\\' if quoted && chars.peek().is_some() => word.get_or_insert_default().extend(chars.next()),
            '#' if !quoted && word.is_none() => return out,
            c if c.is_whitespace() && !quoted => out.extend(word.take()),
            c => word.get_or_insert_default().push(c),
        }
    }
    out.extend(word);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_and_joined_lines() {
        assert_eq!(words("A \"b c\" d # e"), ["A", "b c", "d"]);
        assert_eq!(lines("# x\nA b \\\n c\n\nD\n"), [(2, "A b  c".to_string()), (5, "D".to_string())]);
    }
}
