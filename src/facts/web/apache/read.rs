//! Apache's configuration as it is read: includes, sections, and the conditions that Apache itself decides while it reads.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use super::line;
use crate::facts::web::collect::Collector;
use crate::facts::web::tree::Directive;
use crate::host::FileKind;
use crate::host::glob::{glob, is_pattern};
use crate::host::root::CONFIG_LIMIT;
use crate::model::gap::reason;

/// Most files read of one configuration.
const FILE_LIMIT: usize = 2_000;
/// Deepest include and section, levels.
const DEPTH_LIMIT: usize = 32;
/// Most directives kept of one configuration.
const DIRECTIVE_LIMIT: usize = 100_000;
/// Modules that distributions build in.
const BUILT_IN: [&str; 8] = ["core", "so", "http", "log_config", "logio", "version", "unixd", "watchdog"];

/// How the server was started.
#[derive(Clone, Debug, Default)]
pub struct Start {
    /// Main file.
    pub main: String,
    /// ServerRoot before a file sets another one.
    pub root: String,
    /// `-D` names.
    pub defines: Vec<String>,
    /// Release; `None` when it is not known.
    pub release: Option<(u32, u32, u32)>,
}

/// What the files say.
#[derive(Debug, Default)]
pub struct Files {
    /// The main server.
    pub nodes: Vec<Directive>,
    /// Files read, in order.
    pub paths: Vec<String>,
    /// ServerRoot.
    pub root: String,
    /// Modules loaded, without `_module`.
    pub modules: BTreeSet<String>,
}

/// Reads the main file with all that it includes.
pub fn read(collector: &mut Collector<'_>, start: &Start) -> Files {
    let environment = collector.host.read_text(&format!("{}/envvars", start.root), CONFIG_LIMIT).unwrap_or_default();
    let mut reader = Reader {
        variables: line::environment(&environment, &start.root),
        defines: start.defines.iter().cloned().collect(),
        release: start.release,
        files: Files { root: start.root.clone(), modules: BUILT_IN.map(String::from).into(), ..Files::default() },
        count: 0,
        collector,
    };
    let nodes = reader.file(&start.main, 0);
    Files { nodes, ..reader.files }
}

struct Reader<'a, 'c> {
    collector: &'a mut Collector<'c>,
    variables: BTreeMap<String, String>,
    defines: BTreeSet<String>,
    release: Option<(u32, u32, u32)>,
    files: Files,
    count: usize,
}

/// Logical lines with their numbers.
type Lines = std::vec::IntoIter<(usize, String)>;

/// A backslash at its end joins a line to the next.
fn lines(text: &str) -> Lines {
    let mut out = Vec::new();
    let mut open: Option<(usize, String)> = None;
    for (index, line) in text.lines().enumerate() {
        let (number, mut whole) = open.take().unwrap_or((index + 1, String::new()));
        match line.strip_suffix('\\') {
            Some(part) => {
                whole.push_str(part);
                open = Some((number, whole));
            }
            None => {
                whole.push_str(line);
                out.push((number, whole));
            }
        }
    }
    out.extend(open);
    out.into_iter()
}

impl Reader<'_, '_> {
    fn limit(&mut self, detail: String) {
        self.collector.gap("", "", reason::LIMIT_REACHED, detail, "Simplify the configuration of Apache.");
    }

    fn file(&mut self, path: &str, depth: usize) -> Vec<Directive> {
        if depth > DEPTH_LIMIT || self.files.paths.len() >= FILE_LIMIT {
            self.limit(format!("{path}: more than {DEPTH_LIMIT} levels or {FILE_LIMIT} files of includes"));
            return Vec::new();
        }
        let text = match self.collector.host.read_text(path, CONFIG_LIMIT) {
            Ok(text) => text,
            Err(e) => {
                self.collector.gaps.add(e.to_gap(self.collector.family, "", ""));
                return Vec::new();
            }
        };
        self.files.paths.push(path.to_string());
        let path: Rc<str> = path.into();
        self.block(&mut lines(&text), &path, "", depth)
    }

    /// Lines up to the end of a section, or of the file.
    fn block(&mut self, lines: &mut Lines, path: &Rc<str>, section: &str, depth: usize) -> Vec<Directive> {
        let mut out = Vec::new();
        while let Some((number, text)) = lines.next() {
            let text = text.trim();
            if text.is_empty() || text.starts_with('#') {
                continue;
            }
            self.count += 1;
            if self.count >= DIRECTIVE_LIMIT || depth > DEPTH_LIMIT {
                if self.count == DIRECTIVE_LIMIT || depth > DEPTH_LIMIT {
                    self.limit(format!("{path}:{number}: more than {DIRECTIVE_LIMIT} directives or {DEPTH_LIMIT} levels of sections"));
                }
                return out;
            }
            if let Some(end) = text.strip_prefix("</") {
                let name = end.trim_end_matches('>').trim();
                if !name.eq_ignore_ascii_case(section) {
                    self.malformed(path, number, "a section ends that does not begin");
                }
                return out;
            }
            let text = line::expand(text, &self.variables);
            match text.strip_prefix('<') {
                Some(head) => self.section(head, lines, (path, number), depth, &mut out),
                None => self.directive(&text, path, number, depth, &mut out),
            }
        }
        if !section.is_empty() {
            self.malformed(path, 0, "the file ends inside a section");
        }
        out
    }

    fn malformed(&mut self, path: &str, number: usize, problem: &str) {
        let detail = format!("{path}:{number}: {problem}");
        self.collector.gap("", "", reason::MALFORMED, detail, "Mend the file and check with apachectl configtest.");
    }

    fn section(&mut self, head: &str, lines: &mut Lines, (path, number): (&Rc<str>, usize), depth: usize, out: &mut Vec<Directive>) {
        let head = head.trim().strip_suffix('>').unwrap_or(head);
        let (name, rest) = head.split_once(char::is_whitespace).unwrap_or((head, ""));
        let name = name.to_ascii_lowercase();
        let arguments = line::words(rest);
        let first = arguments.first().cloned().unwrap_or_default();
        let holds = match name.as_str() {
            "ifmodule" => Some(self.negatable(&first, |reader, word| reader.files.modules.contains(&module_name(word)))),
            "ifdefine" => Some(self.negatable(&first, |reader, word| reader.defines.contains(word))),
            "iffile" => Some(self.negatable(&first, |reader, word| reader.collector.host.exists(&reader.absolute(word)).unwrap_or(false))),
            "ifdirective" | "ifsection" => {
                self.undecided(path, number, &name);
                Some(false)
            }
            "ifversion" => Some(self.version(&arguments).unwrap_or_else(|| {
                self.undecided(path, number, &name);
                false
            })),
            _ => None,
        };
        match holds {
            Some(true) => {
                let inner = self.block(lines, path, &name, depth + 1);
                out.extend(inner);
            }
            Some(false) => skip(lines, &name),
            None if name == "macro" => {
                self.undecided(path, number, "Macro");
                skip(lines, &name);
            }
            None => {
                let block = self.block(lines, path, &name, depth + 1);
                out.push(Directive { path: path.clone(), line: number, name, arguments, block: Some(block) });
            }
        }
    }

    fn undecided(&mut self, path: &str, number: usize, name: &str) {
        let detail = format!("{path}:{number}: what {name} decides is not followed");
        for list in ["endpoints", "sites"] {
            self.collector.gap(list, "", reason::UNSUPPORTED, detail.clone(), "Compare with apachectl -t -D DUMP_VHOSTS.");
        }
    }

    fn negatable(&self, word: &str, holds: impl Fn(&Self, &str) -> bool) -> bool {
        match word.strip_prefix('!') {
            Some(word) => !holds(self, word),
            None => holds(self, word),
        }
    }

    /// `IfVersion >= 2.4`; `None` when it can't be told.
    fn version(&self, arguments: &[String]) -> Option<bool> {
        let release = self.release?;
        let (operator, version) = match arguments {
            [only] => ("=", only.as_str()),
            [operator, version, ..] => (operator.as_str(), version.as_str()),
            [] => return None,
        };
        let (negated, operator) = operator.strip_prefix('!').map_or((false, operator), |o| (true, o));
        let mut numbers = version.split('.').map(|n| n.parse::<u32>().ok());
        let wanted = (numbers.next()??, numbers.next().flatten().unwrap_or(0), numbers.next().flatten().unwrap_or(0));
        let holds = match operator {
            "=" | "==" => release == wanted,
            ">" => release > wanted,
            ">=" => release >= wanted,
            "<" => release < wanted,
            "<=" => release <= wanted,
            _ => return None,
        };
        Some(holds != negated)
    }

    fn directive(&mut self, text: &str, path: &Rc<str>, number: usize, depth: usize, out: &mut Vec<Directive>) {
        let (name, rest) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
        let name = name.to_ascii_lowercase();
        let arguments = line::words(rest);
        let first = arguments.first().cloned().unwrap_or_default();
        match name.as_str() {
            "define" => {
                self.defines.insert(first.clone());
                if let Some(value) = arguments.get(1) {
                    self.variables.insert(first, value.clone());
                }
            }
            "undefine" => {
                self.defines.remove(&first);
                self.variables.remove(&first);
            }
            "loadmodule" => drop(self.files.modules.insert(module_name(&first))),
            "serverroot" => self.files.root = first.trim_end_matches('/').to_string(),
            "include" | "includeoptional" => {
                for pattern in &arguments {
                    self.include(pattern, name == "includeoptional", path, number, depth, out);
                }
            }
            "use" => self.undecided(path, number, "Use"),
            _ => out.push(Directive { path: path.clone(), line: number, name, arguments, block: None }),
        }
    }

    /// A path below ServerRoot.
    fn absolute(&self, path: &str) -> String {
        if path.starts_with('/') { path.to_string() } else { format!("{}/{path}", self.files.root) }
    }

    fn include(&mut self, pattern: &str, optional: bool, path: &str, number: usize, depth: usize, out: &mut Vec<Directive>) {
        let pattern = self.absolute(pattern);
        let mut pending: Vec<String> = if is_pattern(&pattern) {
            let found = glob(self.collector.host, &pattern);
            for error in found.errors {
                self.collector.gaps.add(error.to_gap(self.collector.family, "", ""));
            }
            found.paths
        } else {
            vec![pattern.clone()]
        };
        if pattern.contains("${") {
            let detail = format!("{path}:{number}: a variable in Include is not known here");
            self.collector.gap("", "", reason::UNSUPPORTED, detail, "Define it in the configuration or in envvars.");
            return;
        }
        pending.reverse();
        let mut folders = 0_usize;
        while let Some(next) = pending.pop() {
            match self.collector.host.stat(&next) {
                Ok(stat) if stat.kind == FileKind::Folder => {
                    folders += 1;
                    if folders > FILE_LIMIT {
                        return self.limit(format!("{path}:{number}: more than {FILE_LIMIT} folders of one Include"));
                    }
                    let entries = self.collector.host.list(&next).unwrap_or_default();
                    pending.extend(entries.into_iter().rev().map(|e| format!("{next}/{}", e.name)));
                }
                Err(e) if e.is_not_found() && optional => {}
                _ => {
                    let nodes = self.file(&next, depth + 1);
                    out.extend(nodes);
                }
            }
        }
    }
}

/// Leaves out a section with all sections of its name inside.
fn skip(lines: &mut Lines, section: &str) {
    let mut depth = 1_usize;
    for (_, text) in lines.by_ref() {
        let text = text.trim().to_ascii_lowercase();
        if text.strip_prefix("</").is_some_and(|t| t.trim_end_matches('>').trim() == section) {
            depth -= 1;
        } else if text.strip_prefix('<').is_some_and(|t| t.split([' ', '\t', '>']).next() == Some(section)) {
            depth += 1;
        }
        if depth == 0 {
            return;
        }
    }
}

/// `ssl` of `ssl_module` and `mod_ssl.c`; the processing modules are files without `mod_`.
fn module_name(word: &str) -> String {
    match word {
        "core.c" | "core_module" => return "core".into(),
        "http_core.c" | "http_module" => return "http".into(),
        "prefork.c" | "worker.c" | "event.c" => return format!("mpm_{}", word.trim_end_matches(".c")),
        _ => {}
    }
    let name = word.strip_suffix("_module").or_else(|| word.strip_suffix(".c")).unwrap_or(word);
    name.strip_prefix("mod_").unwrap_or(name).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::testing::rooted;
    use crate::model::gap::{Gap, Gaps};

    fn names(files: &[(&str, &str)], defines: &[&str]) -> (Vec<String>, Vec<Gap>) {
        let (_root, host) = rooted(files);
        let mut gaps = Gaps::new();
        let start =
            Start { main: "/e/apache2.conf".into(), root: "/e".into(), defines: defines.iter().map(|d| (*d).to_string()).collect(), release: Some((2, 4, 62)) };
        let read = read(&mut Collector::new(&host, "web", &mut gaps), &start);
        let show = |n: &Directive| format!("{} {}{}", n.name, n.arguments.join(" "), n.block.as_ref().map_or(String::new(), |b| format!(" [{}]", b.len())));
        (read.nodes.iter().map(show).collect(), gaps.into_sorted())
    }

    #[test]
    fn conditions_includes_and_variables() {
        let main = "Define ROOT /srv/${NAME}\nLoadModule ssl_module m.so\n<IfModule mod_ssl.c>\n Listen 443\n <IfModule !mod_gnutls.c>\n  A \\\n   b\n </IfModule>\n</IfModule>\n\
            <IfModule mod_gnutls.c>\n Listen 444\n <IfModule x>\n </IfModule>\n</IfModule>\n<IfDefine TWO>\n Two\n</IfDefine>\n<IfVersion >= 2.4>\n DocumentRoot \"${ROOT}\"\n</IfVersion>\n\
            <IfFile sites/a>\n Has\n</IfFile>\nInclude sites\nIncludeOptional none/*.conf\n<VirtualHost *:80>\n ServerName a\n</VirtualHost>\nSetEnv ${OTHER} # x\n";
        let files = [("/e/apache2.conf", main), ("/e/sites/b", "B"), ("/e/sites/a", "A"), ("/e/envvars", "export NAME=shop\n")];
        let (found, gaps) = names(&files, &["TWO"]);
        assert_eq!(found, ["listen 443", "a b", "two ", "documentroot /srv/shop", "has ", "a ", "b ", "virtualhost *:80 [1]", "setenv ${OTHER} # x"]);
        assert_eq!(gaps, []);
        assert_eq!(names(&files, &[]).0.len(), 8);
    }

    #[test]
    fn what_is_broken_or_undecided_is_a_gap() {
        let reasons = |text: &str| names(&[("/e/apache2.conf", text)], &[]).1.into_iter().map(|g| g.reason).collect::<BTreeSet<_>>();
        assert_eq!(reasons("Include none\n"), BTreeSet::from(["missing".to_string()]));
        assert_eq!(reasons("<VirtualHost *>\n"), BTreeSet::from(["malformed".to_string()]));
        assert_eq!(reasons("</VirtualHost>\n"), BTreeSet::from(["malformed".to_string()]));
        assert_eq!(reasons("Use Host a\n<Macro x>\nListen 1\n</Macro>\n"), BTreeSet::from(["unsupported".to_string()]));
        assert_eq!(reasons("Include apache2.conf\n"), BTreeSet::from(["limit-reached".to_string()]));
        let seed = "<A \"b>\n<IfModule !x>\nDefine a ${b\n</IfModule\n\\\n<IfVersion >\n</A>\n";
        for end in 0..seed.len() {
            names(&[("/e/apache2.conf", &seed[..end])], &[]);
        }
    }
}
