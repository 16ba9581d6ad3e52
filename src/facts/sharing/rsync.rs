//! rsyncd.conf(5): global parameters, modules, `&include` and `&merge`.
//!
//! What stands before the first module, or in a section `[global]`, is also the default of the
//! modules behind it; an included file gives nothing back to its parent, a merged one does.

use std::collections::BTreeMap;

use super::smb_conf::lines;
use super::{LIMIT, Reading, RsyncModule, is_loopback};
use crate::facts::super_servers::launch::Launch;
use crate::host::{FileKind, glob};
use crate::model::configured::ConfiguredEndpoint;
use crate::model::fact::Source;
use crate::model::gap::reason;

const MAIN: &str = "/etc/rsyncd.conf";
const LISTS: &[&str] = &["rsync_modules"];
/// Deepest chain of includes.
const DEPTH_LIMIT: usize = 16;
/// Most files, and most modules, read.
const FILE_LIMIT: usize = 512;
const MODULE_LIMIT: usize = 10_000;

#[derive(Clone, Debug)]
struct Value {
    text: String,
    source: Source,
}

type Parameters = BTreeMap<String, Value>;

struct Module {
    name: String,
    source: Source,
    parameters: Parameters,
}

/// Reads each daemon's configuration.
pub fn read(reading: &mut Reading<'_>, launches: &[Launch]) {
    let daemons: Vec<&Launch> =
        launches.iter().filter(|l| l.program == "rsync" && (l.has("--daemon") || l.arguments.is_none()) && !l.has("--server")).collect();
    let mut done: Vec<String> = Vec::new();
    for launch in &daemons {
        let main = launch.option("--config").unwrap_or_else(|| MAIN.into());
        if !done.contains(&main) {
            instance(reading, &main, Some(launch));
            done.push(main);
        }
    }
    if done.is_empty() && reading.host.exists(MAIN).unwrap_or(true) {
        instance(reading, MAIN, None);
    }
}

fn instance(reading: &mut Reading<'_>, main: &str, launch: Option<&Launch>) {
    let mut parser = Parser { reading, main, global: Parameters::new(), modules: Vec::new(), current: None, files: 0 };
    parser.file(main, 0);
    let (global, modules) = (parser.global, parser.modules);
    let address = launch.and_then(|l| l.option("--address")).or_else(|| global.get("address").map(|v| v.text.clone()));
    for module in &modules {
        let told = told(reading, module, main, launch.is_some(), address.as_deref());
        reading.out.rsync_modules.push(told);
    }
    let port = launch.and_then(|l| l.option("--port")).or_else(|| global.get("port").map(|v| v.text.clone()));
    let port = port.map_or(Some(873), |p| p.trim().parse::<u16>().ok().map(u32::from));
    let by_connections = launch.is_none_or(|l| l.how.starts_with("on demand"));
    if let (false, Some(port)) = (by_connections, port) {
        reading.out.endpoints.push(endpoint(address.as_deref(), port, main, &global));
    }
}

struct Parser<'r, 'a> {
    reading: &'r mut Reading<'a>,
    main: &'r str,
    global: Parameters,
    modules: Vec<Module>,
    /// Index of the module that parameters belong to.
    current: Option<usize>,
    files: usize,
}

impl Parser<'_, '_> {
    fn file(&mut self, path: &str, depth: usize) {
        if self.files >= FILE_LIMIT || depth > DEPTH_LIMIT {
            return self.reading.gap("rsync_modules", self.main, LIMIT, format!("{path}: more than {DEPTH_LIMIT} levels or {FILE_LIMIT} files of includes"));
        }
        self.files += 1;
        let Some(text) = self.reading.text(path, LISTS) else {
            if !self.reading.host.exists(path).unwrap_or(true) {
                self.reading.gap("rsync_modules", self.main, reason::MISSING, format!("{path}: no such file"));
            }
            return;
        };
        for (line, text) in lines(&text) {
            self.line(&text, path, line, depth);
        }
    }

    fn line(&mut self, text: &str, path: &str, line: usize, depth: usize) {
        if let Some(target) = text.strip_prefix("&include").filter(|t| t.starts_with([' ', '\t', '='])) {
            let (global, current) = (self.global.clone(), self.current.take());
            self.include(target, ".conf", depth);
            (self.global, self.current) = (global, current);
        } else if let Some(target) = text.strip_prefix("&merge").filter(|t| t.starts_with([' ', '\t', '='])) {
            self.include(target, ".inc", depth);
        } else if let Some(name) = text.strip_prefix('[') {
            let name = name.split(']').next().unwrap_or(name).trim();
            self.begin(name, Source::line(path, line, format!("[{name}]")));
        } else if let Some((name, value)) = text.split_once('=') {
            let bare: String = name.chars().filter(|c| !c.is_whitespace()).flat_map(char::to_lowercase).collect();
            let value = Value { text: value.trim().into(), source: Source::line(path, line, name.trim()) };
            match self.current.and_then(|i| self.modules.get_mut(i)) {
                Some(module) => module.parameters.insert(bare, value),
                None => self.global.insert(bare, value),
            };
        }
    }

    fn begin(&mut self, name: &str, source: Source) {
        if name.eq_ignore_ascii_case("global") {
            self.current = None;
        } else if let Some(known) = self.modules.iter().position(|m| m.name == name) {
            self.current = Some(known);
        } else if self.modules.len() >= MODULE_LIMIT {
            self.reading.gap("rsync_modules", self.main, LIMIT, format!("more than {MODULE_LIMIT} modules"));
        } else {
            self.modules.push(Module { name: name.into(), source, parameters: self.global.clone() });
            self.current = Some(self.modules.len() - 1);
        }
    }

    fn include(&mut self, target: &str, ending: &str, depth: usize) {
        let target = target.trim_start_matches(['=', ' ', '\t']).trim_end();
        if target.contains('%') {
            return self.reading.gap("rsync_modules", self.main, reason::UNSUPPORTED, format!("{target}: the file depends on the daemon's environment"));
        }
        let is_folder = self.reading.host.stat(target).is_ok_and(|s| s.kind == FileKind::Folder);
        if !is_folder {
            return self.file(target, depth + 1);
        }
        match glob::included(self.reading.host, &format!("{}/*{ending}", target.trim_end_matches('/'))) {
            Ok(paths) => {
                for path in paths {
                    // A file that is included stands for itself, one after the other.
                    let (global, current) = (self.global.clone(), self.current);
                    self.file(&path, depth + 1);
                    if ending == ".conf" {
                        (self.global, self.current) = (global, current);
                    }
                }
            }
            Err(e) => self.reading.gaps.add(e.to_gap("sharing", "rsync_modules", self.main)),
        }
    }
}

fn told(reading: &mut Reading<'_>, module: &Module, main: &str, starts: bool, address: Option<&str>) -> RsyncModule {
    let parameters = &module.parameters;
    let value = |name: &str| parameters.get(name).filter(|v| !v.text.is_empty());
    let no = |name: &str| value(name).is_some_and(|v| ["no", "false", "0", "off"].iter().any(|w| v.text.eq_ignore_ascii_case(w)));
    let users = value("authusers");
    let secrets = value("secretsfile").map(|v| v.text.clone());
    let subject = format!("rsync [{}] {main}", module.name);
    let secrets_present = secrets.as_ref().filter(|p| !p.contains('%')).and_then(|path| match reading.host.exists(path) {
        Ok(there) => Some(there),
        Err(e) => {
            reading.gaps.add(e.to_gap("sharing", "rsync_modules.secrets_present", &subject));
            None
        }
    });
    let hosts_allow: Vec<String> =
        value("hostsallow").map(|v| v.text.split([' ', '\t', ',']).filter(|w| !w.is_empty()).map(String::from).collect()).unwrap_or_default();
    let only_local = !hosts_allow.is_empty() && hosts_allow.iter().all(|h| is_loopback(h));
    RsyncModule {
        subject,
        name: module.name.clone(),
        path: value("path").map(|v| v.text.clone()).unwrap_or_default(),
        starts,
        writable: no("readonly"),
        authenticated: users.is_some(),
        secrets_present,
        this_machine: only_local || address.is_some_and(is_loopback),
        hosts_allow,
        source: module.source.clone(),
        authenticated_source: users.map_or_else(|| Source { directive: "auth users".into(), ..Source::whole(main) }, |v| v.source.clone()),
    }
}

fn endpoint(address: Option<&str>, port: u32, main: &str, global: &Parameters) -> ConfiguredEndpoint {
    let address = address.unwrap_or("::").to_string();
    let shown = if address.contains(':') { format!("[{address}]") } else { address.clone() };
    ConfiguredEndpoint {
        address,
        port,
        ..ConfiguredEndpoint::plain("rsync", format!("rsync {shown}:{port}"), global.get("port").map_or_else(|| Source::whole(main), |v| v.source.clone()))
    }
}

#[cfg(test)]
mod tests {
    use super::super::read as sharing;
    use crate::host::testing::rooted;
    use crate::model::gap::Gaps;

    #[test]
    fn includes_merges_and_defaults_of_modules() {
        let main = "address = 127.0.0.1\nread only = no\n&merge /etc/rsyncd.d\n&include /etc/rsyncd.d\n[a]\npath = /a\n hosts allow = 10.0.0.0/8 127.0.0.1\n[global]\nauth users =\n[b]\n Path = /b\nauth users = x, \\\n y\nsecrets file = /etc/s\n";
        let files = [
            ("/etc/rsyncd.conf", main),
            ("/etc/rsyncd.d/1.inc", "auth users = m\n"),
            ("/etc/rsyncd.d/2.conf", "read only = yes\n[c]\npath=/c\n"),
            ("/etc/rsyncd.d/3.conf", "[d]\npath=/d\n"),
            ("/etc/rsyncd.d/4.conf~", "[e]\npath=/e\n"),
            ("/etc/s", "x:y\n"),
        ];
        let (_root, host) = rooted(&files);
        let mut gaps = Gaps::new();
        let found = sharing(&host, &mut gaps);
        assert_eq!(gaps.into_sorted(), []);
        let shown: Vec<String> =
            found.rsync_modules.iter().map(|m| format!("{}|{}|{}|{}|{:?}", m.name, m.path, m.writable, m.authenticated, m.secrets_present)).collect();
        assert_eq!(shown, ["a|/a|true|true|None", "b|/b|true|true|Some(true)", "c|/c|false|true|None", "d|/d|true|true|None"]);
        assert!(found.rsync_modules.iter().all(|m| m.this_machine && !m.starts) && found.endpoints.is_empty());
        assert_eq!(found.rsync_modules[1].authenticated_source.line, 12);
    }

    #[test]
    fn hostile_text_ends() {
        let text = "&include /etc/rsyncd.conf\n&merge /etc/rsyncd.conf\n[\n=\n\\\n[x]\npath";
        for end in 0..=text.len() {
            let (_root, host) = rooted(&[("/etc/rsyncd.conf", &text[..end])]);
            let _ = sharing(&host, &mut Gaps::new());
        }
    }
}
