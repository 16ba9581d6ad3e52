//! rsyslog.conf(5): where records are sent, in both of its languages.
//!
//! The text is not compiled. Objects (`action(…)`), directives (`$Name value`) and forwarding actions of the old form
//! (`@host`, `@@host`, `:omrelp:host:port`) are found wherever they stand; conditions around them are not judged, since
//! a target that some records go to is a target.

use std::collections::BTreeMap;

use super::{Forward, Logging};
use crate::facts::Document as _;
use crate::facts::monitoring::observed::option;
use crate::facts::monitoring::texts::Told;
use crate::host::Host;
use crate::model::fact::Source;
use crate::model::gap::{Gaps, reason};

const MAIN: &str = "/etc/rsyslog.conf";
/// Most files, and levels of includes.
const FILE_LIMIT: usize = 1024;
const DEPTH_LIMIT: usize = 16;
/// Most targets.
const FORWARD_LIMIT: usize = 1000;
/// Drivers of network streams that encrypt.
const ENCRYPTING: [&str; 3] = ["gtls", "ossl", "mbedtls"];
/// Output modules that send elsewhere in ways that are not read.
const OTHERS: [&str; 12] =
    ["omelasticsearch", "omkafka", "omhttp", "omgssapi", "ommysql", "ompgsql", "omlibdbi", "ommongodb", "omhiredis", "omamqp1", "omrabbitmq", "omczmq"];

#[derive(Default)]
struct State {
    /// `DefaultNetstreamDriver`, `ActionSendStreamDriver…` as far as read.
    driver: String,
    legacy_driver: String,
    legacy_mode: String,
    legacy_authentication: String,
    out: Vec<Forward>,
    /// Actions of the new form, judged when the whole is read: the default driver may be set later.
    actions: Vec<(BTreeMap<String, String>, Source)>,
}

struct Reader<'a> {
    host: &'a Host,
    told: Told<'a>,
    files: usize,
    state: State,
}

pub(super) fn read(host: &Host, arguments: &[String], gaps: &mut Gaps) -> Vec<Forward> {
    let told = Told { family: Logging::NAME, path: "forwards", subject: String::new(), gaps };
    let main = option(arguments, &["-f"]).unwrap_or_else(|| MAIN.into());
    let mut reader = Reader { host, told, files: 0, state: State::default() };
    reader.file(&main, 0);
    for (parameters, source) in std::mem::take(&mut reader.state.actions) {
        reader.action(&parameters, source);
    }
    reader.state.out.truncate(FORWARD_LIMIT);
    reader.state.out
}

impl Reader<'_> {
    fn file(&mut self, path: &str, depth: usize) {
        self.files += 1;
        if depth > DEPTH_LIMIT || self.files > FILE_LIMIT {
            if self.files <= FILE_LIMIT + 1 {
                self.told.gap(reason::LIMIT_REACHED, format!("{path}: more than {DEPTH_LIMIT} levels or {FILE_LIMIT} files of includes"));
            }
            return;
        }
        let Some(text) = self.told.text(self.host, path) else { return };
        let text = without_comments(&text);
        let (mut at, mut number) = (0, 1);
        while let Some(line) = text.get(at..).filter(|rest| !rest.is_empty()) {
            let end = line.find('\n').map_or(text.len(), |n| at + n + 1);
            let behind = match object(&text, at, end) {
                Some((start, name, parameters, behind)) => {
                    // What stands before an object on its line may hold an action of the old form.
                    self.line(text.get(at..start).unwrap_or_default(), path, number, depth);
                    self.object(&name, parameters, Source::line(path, number, name.clone()), depth);
                    behind
                }
                None => {
                    self.line(line.get(..end - at).unwrap_or_default(), path, number, depth);
                    end
                }
            };
            number += text.get(at..behind).unwrap_or_default().matches('\n').count();
            at = behind;
        }
    }

    fn line(&mut self, line: &str, path: &str, number: usize, depth: usize) {
        let line = line.trim();
        if let Some(directive) = line.strip_prefix('$') {
            let (name, value) = directive.split_once(char::is_whitespace).unwrap_or((directive, ""));
            return self.directive(name, value.trim(), path, depth);
        }
        for (transport, target) in old_targets(line) {
            let source = Source::line(path, number, transport);
            match transport {
                "@" | "@@" => self.old_forward(transport == "@@", target, source),
                _ => self.relp(target, source),
            }
        }
    }

    fn directive(&mut self, name: &str, value: &str, path: &str, depth: usize) {
        match name.to_ascii_lowercase().as_str() {
            "includeconfig" => self.include(value, path, depth),
            "defaultnetstreamdriver" => self.state.driver = value.into(),
            "actionsendstreamdriver" => self.state.legacy_driver = value.into(),
            "actionsendstreamdrivermode" => self.state.legacy_mode = value.into(),
            "actionsendstreamdriverauthmode" => self.state.legacy_authentication = value.into(),
            "resetconfigvariables" => {
                (self.state.legacy_mode, self.state.legacy_authentication, self.state.legacy_driver) = (String::new(), String::new(), String::new());
            }
            _ => {}
        }
    }

    fn include(&mut self, pattern: &str, path: &str, depth: usize) {
        let pattern = pattern.trim_matches('"');
        if pattern.contains(['`', '$']) {
            return self.told.gap(reason::UNSUPPORTED, format!("{path}: the name of an included file is only known when rsyslogd runs"));
        }
        // A folder stands for all of its files.
        let pattern = if pattern.ends_with('/') { format!("{pattern}*") } else { pattern.to_string() };
        for found in self.told.glob(self.host, &pattern) {
            if self.host.stat(&found).is_ok_and(|s| s.kind == crate::host::FileKind::File) {
                self.file(&found, depth + 1);
            }
        }
    }

    fn object(&mut self, name: &str, mut parameters: BTreeMap<String, String>, source: Source, depth: usize) {
        match name {
            "include" => {
                if let Some(file) = parameters.remove("file") {
                    self.include(&file, &source.place, depth);
                } else if parameters.contains_key("text") {
                    self.told.gap(reason::UNSUPPORTED, format!("{}:{}: configuration from a text", source.place, source.line));
                }
            }
            "global" => {
                if let Some(driver) = parameters.remove("defaultnetstreamdriver") {
                    self.state.driver = driver;
                }
            }
            "action" => self.state.actions.push((parameters, source)),
            _ => {}
        }
    }

    fn action(&mut self, parameters: &BTreeMap<String, String>, source: Source) {
        let value = |name: &str| parameters.get(name).map(String::as_str).unwrap_or_default();
        let is = |name: &str, word: &str| value(name).eq_ignore_ascii_case(word);
        let kind = value("type").to_ascii_lowercase();
        match kind.as_str() {
            "omfwd" => {
                let tcp = is("protocol", "tcp");
                let port = value("port").parse().unwrap_or(514);
                let driver = if value("streamdriver").is_empty() { value("streamdriver.name") } else { value("streamdriver") };
                let driver = if driver.is_empty() { self.state.driver.as_str() } else { driver };
                let mode = if value("streamdrivermode").is_empty() { value("streamdriver.mode") } else { value("streamdrivermode") };
                let names = [value("streamdriverauthmode"), value("streamdriver.authmode")];
                let encrypted = tcp && mode == "1" && ENCRYPTING.contains(&driver);
                let authenticated = encrypted && names.iter().any(|n| n.starts_with("x509/"));
                for target in targets(value("target")) {
                    self.keep(if tcp { "tcp" } else { "udp" }, &target, port, encrypted, authenticated, source.clone());
                }
                if value("target").is_empty() && !value("targetsrv").is_empty() {
                    self.keep(if tcp { "tcp" } else { "udp" }, value("targetsrv"), 0, encrypted, authenticated, source);
                }
            }
            "omrelp" => {
                let encrypted = is("tls", "on");
                let authenticated = encrypted && matches!(value("tls.authmode").to_ascii_lowercase().as_str(), "fingerprint" | "name" | "certvalid");
                self.keep("relp", value("target"), value("port").parse().unwrap_or(2514), encrypted, authenticated, source);
            }
            other if OTHERS.contains(&other) => {
                self.told.gap(reason::UNSUPPORTED, format!("{}:{}: where {other} sends records is not read", source.place, source.line))
            }
            _ => {}
        }
    }

    fn old_forward(&mut self, tcp: bool, text: &str, source: Source) {
        // (o) and (z9) are options; a semicolon begins the template.
        let text = text.strip_prefix('(').and_then(|t| t.split_once(')')).map_or(text, |(_, rest)| rest);
        let text = text.split(';').next().unwrap_or_default();
        let (target, port) = match text.strip_prefix('[').and_then(|t| t.split_once(']')) {
            Some((address, rest)) => (address, rest.strip_prefix(':').unwrap_or_default()),
            None => text.rsplit_once(':').unwrap_or((text, "")),
        };
        let driver = if self.state.legacy_driver.is_empty() { &self.state.driver } else { &self.state.legacy_driver };
        let encrypted = tcp && self.state.legacy_mode == "1" && ENCRYPTING.contains(&driver.as_str());
        let authenticated = encrypted && self.state.legacy_authentication.starts_with("x509/");
        self.keep(if tcp { "tcp" } else { "udp" }, target, port.parse().unwrap_or(514), encrypted, authenticated, source);
    }

    fn relp(&mut self, text: &str, source: Source) {
        let text = text.split(';').next().unwrap_or_default();
        let (target, port) = text.rsplit_once(':').unwrap_or((text, "2514"));
        self.keep("relp", target, port.parse().unwrap_or(2514), false, false, source);
    }

    fn keep(&mut self, transport: &str, target: &str, port: u32, encrypted: bool, authenticated: bool, source: Source) {
        if target.is_empty() {
            return;
        }
        let mut found = Forward::plain("rsyslog", transport, target, port, source);
        (found.encrypted, found.authenticated) = (encrypted, authenticated);
        // Of two ways to one target the weaker one counts.
        match self.state.out.iter_mut().find(|f| f.subject == found.subject) {
            Some(same) if same.encrypted && !encrypted => *same = found,
            Some(same) => same.authenticated &= authenticated,
            None => self.state.out.push(found),
        }
    }
}

/// One target, or `["a", "b"]`.
fn targets(value: &str) -> Vec<String> {
    let list = value.trim().trim_start_matches('[').trim_end_matches(']');
    list.split(',').map(|t| t.trim().trim_matches('"').to_string()).filter(|t| !t.is_empty()).collect()
}

/// `#` to the end of a line where a word begins, and `/* … */`; line ends stay, so that lines can be counted.
fn without_comments(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    let (mut quoted, mut before) = (false, '\n');
    while let Some(c) = chars.next() {
        match c {
            '\n' => quoted = false,
            '"' if before != '\\' => quoted = !quoted,
            '#' if !quoted && (before.is_whitespace() || before == ')' || before == '{') => {
                while chars.peek().is_some_and(|n| *n != '\n') {
                    chars.next();
                }
                continue;
            }
            '/' if !quoted && before.is_whitespace() && chars.peek() == Some(&'*') => {
                let mut last = ' ';
                for c in chars.by_ref() {
                    if c == '\n' {
                        out.push('\n');
                    }
                    if last == '*' && c == '/' {
                        break;
                    }
                    last = c;
                }
                continue;
            }
            _ => {}
        }
        out.push(c);
        before = c;
    }
    out
}

/// Start, name, parameters and end.
type Object = (usize, String, BTreeMap<String, String>, usize);

/// The first object that begins between the two places.
fn object(text: &str, from: usize, to: usize) -> Option<Object> {
    const NAMES: [&str; 3] = ["action", "global", "include"];
    let part = text.get(from..to)?;
    if part.trim_start().starts_with('$') {
        return None;
    }
    let lower = part.to_ascii_lowercase();
    let find = |name: &&str| {
        let mut start = 0;
        loop {
            let at = start + lower.get(start..)?.find(*name)?;
            let is_word = lower.get(..at).is_some_and(|b| !b.ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == '"' || c == '.'));
            let behind = at + name.len();
            let open = text.get(from + behind..)?;
            if is_word && open.trim_start().starts_with('(') {
                return Some((from + at, (*name).to_string(), from + behind + (open.len() - open.trim_start().len()) + 1));
            }
            start = behind;
        }
    };
    let (start, name, inside) = NAMES.iter().filter_map(find).min()?;
    let (parameters, end) = parameters(text, inside);
    Some((start, name, parameters, end))
}

/// `name="value"` until the closing bracket.
fn parameters(text: &str, from: usize) -> (BTreeMap<String, String>, usize) {
    let mut out = BTreeMap::new();
    let bytes = text.as_bytes();
    let mut at = from;
    let mut name = String::new();
    while let Some(byte) = bytes.get(at) {
        match byte {
            b')' => return (out, at + 1),
            b'"' | b'\'' => {
                let start = at + 1;
                let mut end = start;
                while bytes.get(end).is_some_and(|b| b != byte) {
                    end += if bytes.get(end) == Some(&b'\\') { 2 } else { 1 };
                }
                let value = text.get(start..end.min(text.len())).unwrap_or_default().replace("\\\"", "\"");
                let key = name.trim().trim_end_matches('=').trim().to_ascii_lowercase();
                out.insert(key, value);
                name.clear();
                at = end + 1;
            }
            b'[' => {
                let end = bytes.get(at..).and_then(|b| b.iter().position(|c| *c == b']')).map_or(text.len(), |n| at + n + 1);
                let key = name.trim().trim_end_matches('=').trim().to_ascii_lowercase();
                out.insert(key, text.get(at..end).unwrap_or_default().to_string());
                name.clear();
                at = end;
            }
            other => {
                name.push(char::from(*other));
                at += 1;
            }
        }
    }
    (out, text.len())
}

/// Forwarding actions of the old form on a line.
fn old_targets(line: &str) -> Vec<(&'static str, &str)> {
    let mut out = Vec::new();
    let mut quoted = false;
    let mut before = ' ';
    for (at, c) in line.char_indices() {
        if c == '"' && before != '\\' {
            quoted = !quoted;
        }
        let rest = line.get(at..).unwrap_or_default();
        let is_start = !quoted && (before.is_whitespace() || before == '{');
        let word = |skip: usize| rest.get(skip..).unwrap_or_default().split_whitespace().next().unwrap_or_default().trim_end_matches('}');
        if is_start && rest.starts_with("@@") {
            out.push(("@@", word(2)));
        } else if is_start && c == '@' && before != '@' {
            out.push(("@", word(1)));
        } else if is_start && rest.starts_with(":omrelp:") {
            out.push((":omrelp:", word(8)));
        }
        before = c;
    }
    out.retain(|(_, target)| !target.is_empty());
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::testing::rooted;

    fn found(files: &[(&str, &str)]) -> (Vec<String>, usize) {
        let (_root, host) = rooted(files);
        let mut gaps = Gaps::new();
        let out = read(&host, &[], &mut gaps);
        let shown = out.iter().map(|f| format!("{} {} {} {}:{}", f.subject, f.encrypted, f.authenticated, f.source.place, f.source.line)).collect();
        (shown, gaps.into_sorted().len())
    }

    #[test]
    fn both_languages() {
        let main = "# *.* @commented\nmodule(load=\"imuxsock\") # provides @nothing\n$IncludeConfig /etc/rsyslog.d/*.conf\n*.*;auth.none\t@udp.example\nauth.* @@(o)tcp.example:1514;RSYSLOG_X\n& @@[2001:db8::1]:10514\n\
                    if $msg contains \"x\" then @@then.example\n:msg, contains, \"mail@example.org\" ~\n*.* :omrelp:relp.example:2514\nmail.* -/var/log/mail@x.log\n/* *.* @@block.example\n*/\n";
        let new = "global(defaultNetstreamDriver=\"gtls\"\n  defaultNetstreamDriverCAFile=\"/ca\")\nruleset(name=\"r\") {\n  action(type=\"omfwd\" Target=\"tls.example\" Port=\"6514\"\n    protocol=\"tcp\" StreamDriverMode=\"1\" StreamDriverAuthMode=\"x509/name\")\n}\n\
                   *.* action(type=\"omfwd\" target=\"anon.example\" port=\"6514\" protocol=\"tcp\" streamdriver.mode=\"1\" streamdriver.authmode=\"anon\")\n\
                   action(type=\"omfwd\" target=\"off.example\" protocol=\"tcp\" StreamDriverMode=\"0\")\naction(type=\"omfile\" file=\"/var/log/x\")\n\
                   action(type=\"omrelp\" target=\"r.example\" port=\"20514\" tls=\"on\" tls.authMode=\"name\")\naction(type=\"omkafka\" broker=\"b\")\n";
        let (shown, gaps) = found(&[("etc/rsyslog.conf", main), ("etc/rsyslog.d/10.conf", new)]);
        assert_eq!(
            shown,
            [
                "rsyslog udp udp.example:514 false false /etc/rsyslog.conf:4",
                "rsyslog tcp tcp.example:1514 false false /etc/rsyslog.conf:5",
                "rsyslog tcp 2001:db8::1:10514 false false /etc/rsyslog.conf:6",
                "rsyslog tcp then.example:514 false false /etc/rsyslog.conf:7",
                "rsyslog relp relp.example:2514 false false /etc/rsyslog.conf:9",
                "rsyslog tcp tls.example:6514 true true /etc/rsyslog.d/10.conf:4",
                "rsyslog tcp anon.example:6514 true false /etc/rsyslog.d/10.conf:7",
                "rsyslog tcp off.example:514 false false /etc/rsyslog.d/10.conf:8",
                "rsyslog relp r.example:20514 true true /etc/rsyslog.d/10.conf:10",
            ]
        );
        assert_eq!(gaps, 1);
    }

    #[test]
    fn directives_of_the_old_form_hold_for_what_follows() {
        let text = "$DefaultNetstreamDriver ossl\n*.* @@before.example:6514\n$ActionSendStreamDriverMode 1\n$ActionSendStreamDriverAuthMode x509/name\n*.* @@after.example:6514\n*.* @udp.example:6514\n";
        let (shown, _) = found(&[("etc/rsyslog.conf", text)]);
        assert_eq!(
            shown,
            [
                "rsyslog tcp before.example:6514 false false /etc/rsyslog.conf:2",
                "rsyslog tcp after.example:6514 true true /etc/rsyslog.conf:5",
                "rsyslog udp udp.example:6514 false false /etc/rsyslog.conf:6"
            ]
        );
    }

    #[test]
    fn broken_files_end() {
        let text = "*.* @@(o\naction(type=\"omfwd\" target=[\"a\",\"é\"] x='\\\ninclude(file=\"/etc/rsyslog.conf\") /* ü";
        for end in (0..text.len()).filter(|e| text.is_char_boundary(*e)) {
            let _ = found(&[("etc/rsyslog.conf", &text[..end])]);
        }
        let (_, gaps) = found(&[("etc/rsyslog.conf", "include(file=\"/etc/rsyslog.conf\")\n")]);
        assert_eq!(gaps, 1);
    }
}
