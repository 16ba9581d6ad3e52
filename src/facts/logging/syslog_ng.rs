//! syslog-ng.conf(5): destinations over the network that some log path uses.

use std::collections::BTreeSet;

use super::{Forward, Logging};
use crate::facts::Document as _;
use crate::facts::monitoring::observed::option;
use crate::facts::monitoring::texts::Told;
use crate::host::{FileKind, Host};
use crate::model::fact::Source;
use crate::model::gap::{Gaps, reason};

const MAIN: &str = "/etc/syslog-ng/syslog-ng.conf";
const FOLDER: &str = "/etc/syslog-ng";
/// Most files, levels of includes, words, and levels of brackets.
const FILE_LIMIT: usize = 256;
const DEPTH_LIMIT: usize = 16;
const WORD_LIMIT: usize = 500_000;
/// Drivers that send over a network, with their transport.
const NETWORK: [(&str, &str, u32); 6] =
    [("network", "tcp", 601), ("syslog", "tcp", 601), ("tcp", "tcp", 514), ("tcp6", "tcp", 514), ("udp", "udp", 514), ("udp6", "udp", 514)];
/// Drivers that keep records on this machine or show them.
const LOCAL: [&str; 9] = ["file", "program", "pipe", "unix-stream", "unix-dgram", "usertty", "null", "logger", "python"];

/// One word, text or bracket, and its place.
#[derive(Clone, Debug)]
struct Word {
    text: String,
    /// Whether it stood in quotes.
    quoted: bool,
    file: usize,
    line: usize,
}

pub(super) fn read(host: &Host, arguments: &[String], gaps: &mut Gaps) -> Vec<Forward> {
    let mut told = Told { family: Logging::NAME, path: "forwards", subject: String::new(), gaps };
    let main = option(arguments, &["-f", "--cfgfile"]).unwrap_or_else(|| MAIN.into());
    let mut files = Vec::new();
    let mut words = Vec::new();
    file(host, &main, 0, &mut files, &mut words, &mut told);
    let used = used(&words);
    let mut out = Vec::new();
    let mut at = 0;
    while let Some(word) = words.get(at) {
        if word.text == "destination" && !word.quoted && words.get(at + 2).is_some_and(|w| w.text == "{") {
            let end = closing(&words, at + 2);
            let name = words.get(at + 1).map(|w| w.text.clone()).unwrap_or_default();
            if used.contains(&name) {
                drivers(words.get(at + 3..end).unwrap_or_default(), &files, &mut out, &mut told);
            }
            at = end;
        } else if word.text == "destination" && !word.quoted && words.get(at + 1).is_some_and(|w| w.text == "{") {
            // A destination without a name, inside a log path.
            let end = closing(&words, at + 1);
            drivers(words.get(at + 2..end).unwrap_or_default(), &files, &mut out, &mut told);
            at = end;
        } else {
            at += 1;
        }
    }
    out
}

/// Names of destinations that log paths use.
fn used(words: &[Word]) -> BTreeSet<String> {
    let mut out = BTreeSet::new();
    for window in words.windows(3) {
        if let [first, open, name] = window
            && first.text == "destination"
            && open.text == "("
        {
            out.insert(name.text.clone());
        }
    }
    out
}

/// Index of the bracket that closes the one at `open`.
fn closing(words: &[Word], open: usize) -> usize {
    let mut depth = 0_usize;
    for (index, word) in words.iter().enumerate().skip(open).filter(|(_, w)| !w.quoted) {
        match word.text.as_str() {
            "{" | "(" => depth += 1,
            "}" | ")" => {
                depth = depth.saturating_sub(1);
                if depth == 0 {
                    return index;
                }
            }
            _ => {}
        }
    }
    words.len()
}

fn drivers(words: &[Word], files: &[String], out: &mut Vec<Forward>, told: &mut Told<'_>) {
    let mut at = 0;
    while let Some(word) = words.get(at) {
        if words.get(at + 1).is_some_and(|w| w.text == "(" && !w.quoted) {
            let end = closing(words, at + 1);
            let place = files.get(word.file).cloned().unwrap_or_default();
            let source = Source::line(place, word.line, word.text.clone());
            driver(&word.text, words.get(at + 2..end).unwrap_or_default(), source, out, told);
            at = end;
        }
        at += 1;
    }
}

fn driver(name: &str, inside: &[Word], source: Source, out: &mut Vec<Forward>, told: &mut Told<'_>) {
    if LOCAL.contains(&name) {
        return;
    }
    let Some((_, transport, port)) = NETWORK.iter().find(|(n, _, _)| *n == name) else {
        return told.gap(reason::UNSUPPORTED, format!("{}:{}: where the driver {name} sends records is not read", source.place, source.line));
    };
    let Some(target) = inside.first().map(|w| w.text.clone()).filter(|t| t != "(" && !t.is_empty()) else { return };
    if target.contains('`') {
        return told.gap(reason::UNSUPPORTED, format!("{}:{}: the target is only known when syslog-ng runs", source.place, source.line));
    }
    let value =
        |key: &str| inside.windows(3).find(|w| matches!(w, [k, o, _] if !k.quoted && k.text.replace('_', "-") == key && o.text == "(")).and_then(|w| w.get(2));
    let word = value("transport").map(|w| w.text.to_ascii_lowercase()).unwrap_or_default();
    let has_tls = inside.iter().any(|w| !w.quoted && w.text == "tls");
    // The drivers before `network` encrypt when they have a block tls(…).
    let encrypted = word == "tls" || word == "tls-wrapped" || *transport == "tcp" && has_tls && matches!(name, "tcp" | "tcp6");
    let transport = if word == "udp" { "udp" } else { transport };
    let usual = if encrypted {
        6514
    } else if transport == "udp" {
        514
    } else {
        *port
    };
    let port = ["port", "destport"].iter().find_map(|k| value(k)).and_then(|w| w.text.parse().ok()).unwrap_or(usual);
    // required-trusted is the default of peer-verify.
    let verify = value("peer-verify").map_or_else(|| "required-trusted".to_string(), |w| w.text.to_ascii_lowercase());
    let authenticated = encrypted && matches!(verify.as_str(), "required-trusted" | "yes");
    let mut found = Forward::plain("syslog-ng", transport, &target, port, source);
    (found.encrypted, found.authenticated) = (encrypted, authenticated);
    out.push(found);
}

fn file(host: &Host, path: &str, depth: usize, files: &mut Vec<String>, words: &mut Vec<Word>, told: &mut Told<'_>) {
    if depth > DEPTH_LIMIT || files.len() >= FILE_LIMIT {
        return told.gap(reason::LIMIT_REACHED, format!("{path}: more than {DEPTH_LIMIT} levels or {FILE_LIMIT} files of includes"));
    }
    let Some(text) = told.text(host, path) else { return };
    let index = files.len();
    files.push(path.to_string());
    for (number, line) in text.lines().enumerate() {
        let trimmed = line.trim_start();
        if let Some(named) = trimmed.strip_prefix("@include") {
            let named = named.trim().trim_matches(['"', '\'']);
            // The library of blocks defines nothing that is used by itself.
            if named == "scl.conf" || named.starts_with("scl/") {
                continue;
            }
            let pattern = if named.starts_with('/') { named.to_string() } else { format!("{FOLDER}/{named}") };
            for found in told.glob(host, &pattern) {
                let is_folder = host.stat(&found).is_ok_and(|s| s.kind == FileKind::Folder);
                let inner = if is_folder { told.glob(host, &format!("{found}/*.conf")) } else { vec![found] };
                for path in inner {
                    file(host, &path, depth + 1, files, words, told);
                }
            }
        } else if !trimmed.starts_with('@') {
            cut(line, index, number + 1, words);
        }
        if words.len() > WORD_LIMIT {
            words.truncate(WORD_LIMIT);
            return told.gap(reason::LIMIT_REACHED, format!("{path}: more than {WORD_LIMIT} words"));
        }
    }
}

/// The words of one line.
fn cut(line: &str, file: usize, number: usize, out: &mut Vec<Word>) {
    let mut word = String::new();
    let push = |text: &mut String, quoted: bool, out: &mut Vec<Word>| {
        if !text.is_empty() || quoted {
            out.push(Word { text: std::mem::take(text), quoted, file, line: number });
        }
    };
    let mut chars = line.chars();
    while let Some(c) = chars.next() {
        match c {
            '#' => break,
            '"' | '\'' => {
                push(&mut word, false, out);
                let mut text = String::new();
                while let Some(inner) = chars.next() {
                    match inner {
                        '\\' if c == '"' => text.extend(chars.next()),
                        inner if inner == c => break,
                        inner => text.push(inner),
                    }
                }
                push(&mut text, true, out);
            }
            '{' | '}' | '(' | ')' => {
                push(&mut word, false, out);
                push(&mut c.to_string(), false, out);
            }
            ';' | ',' => push(&mut word, false, out),
            c if c.is_whitespace() => push(&mut word, false, out),
            c => word.push(c),
        }
    }
    push(&mut word, false, out);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::testing::rooted;

    fn found(files: &[(&str, &str)]) -> (Vec<String>, usize) {
        let (_root, host) = rooted(files);
        let mut gaps = Gaps::new();
        let out = read(&host, &[], &mut gaps);
        (
            out.iter().map(|f| format!("{} {} {} {}:{}", f.subject, f.encrypted, f.authenticated, f.source.place, f.source.line)).collect(),
            gaps.into_sorted().len(),
        )
    }

    #[test]
    fn destinations_that_are_used() {
        let main = "@version: 3.38\n@include \"scl.conf\"\n# destination d_c { udp(\"c\"); };\nsource s { system(); };\ndestination d_file { file(\"/var/log/x\" owner(\"root\")); };\n\
            destination d_tls { network(\"tls.example\" port(6515) transport(\"tls\") tls(ca-dir(\"/x\") peer_verify(required-trusted))); };\n\
            destination d_any { syslog('any.example' transport(tls) tls(peer-verify(optional-untrusted))); };\ndestination d_unused { udp(\"unused\"); };\n\
            log { source(s); destination(d_tls); destination(d_any); destination(d_old); destination(d_http); };\n@include \"conf.d/*.conf\"\n";
        let more = "destination d_old {\n  udp(\"10.0.0.1\" port(5140));\n  tcp(\"t.example\"\n tls(peer-verify(yes)));\n  network(\"n.example\" transport(\"udp\"));\n};\ndestination d_http { http(url(\"https://x\")); };\n\
            log { destination { tcp(\"inline.example\"); }; };\n";
        let (shown, gaps) = found(&[("etc/syslog-ng/syslog-ng.conf", main), ("etc/syslog-ng/conf.d/a.conf", more)]);
        assert_eq!(
            shown,
            [
                "syslog-ng tcp tls.example:6515 true true /etc/syslog-ng/syslog-ng.conf:6",
                "syslog-ng tcp any.example:6514 true false /etc/syslog-ng/syslog-ng.conf:7",
                "syslog-ng udp 10.0.0.1:5140 false false /etc/syslog-ng/conf.d/a.conf:2",
                "syslog-ng tcp t.example:6514 true true /etc/syslog-ng/conf.d/a.conf:3",
                "syslog-ng udp n.example:514 false false /etc/syslog-ng/conf.d/a.conf:5",
                "syslog-ng tcp inline.example:514 false false /etc/syslog-ng/conf.d/a.conf:8",
            ]
        );
        assert_eq!(gaps, 1);
    }

    #[test]
    fn broken_files_end() {
        let text = "destination d { network(\"é\\\nlog { destination(d); };\n} ) ( {\n@include \"syslog-ng.conf\"\n";
        for end in (0..text.len()).filter(|e| text.is_char_boundary(*e)) {
            let _ = found(&[("etc/syslog-ng/syslog-ng.conf", &text[..end])]);
        }
    }
}
