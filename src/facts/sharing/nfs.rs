//! exports(5): `/etc/exports`, then `/etc/exports.d/*.exports`, each client with its options.
//!
//! ```text
//! PATH [-DEFAULTS] CLIENT[(OPTIONS)] …
//! ```
//! A blank before the parenthesis makes it the options of every client.

use super::{LIMIT, NfsExport, Reading, started};
use crate::facts::super_servers::launch::Launch;
use crate::host::processes;
use crate::model::fact::Source;
use crate::model::gap::reason;

const MAIN: &str = "/etc/exports";
const FOLDER: &str = "/etc/exports.d";
const LISTS: &[&str] = &["nfs_exports"];
/// Most exports kept.
const EXPORT_LIMIT: usize = 20_000;

/// Reads the files and, where the kernel shares now, tells what it does not know of them.
pub fn read(reading: &mut Reading<'_>, launches: &[Launch]) {
    if let Some(how) = started(launches, "ganesha.nfsd") {
        reading.gap("nfs_exports", "nfs-ganesha", reason::UNSUPPORTED, format!("nfs-ganesha starts ({how}), and its configuration is not read"));
    }
    let starts = started(launches, "rpc.nfsd").or_else(|| started(launches, "nfsdctl")).is_some() || runs(reading);
    let mut files = vec![MAIN.to_string()];
    match reading.host.list(FOLDER) {
        // exportfs(8) passes over names that begin with a dot.
        Ok(entries) => {
            files.extend(entries.iter().filter(|e| e.name.ends_with(".exports") && !e.name.starts_with('.')).map(|e| format!("{FOLDER}/{}", e.name)))
        }
        Err(e) if e.is_not_found() => {}
        Err(e) => reading.gaps.add(e.to_gap("sharing", "nfs_exports", FOLDER)),
    }
    for path in files {
        let Some(text) = reading.text(&path, LISTS) else { continue };
        for (line, text) in lines(&text) {
            if reading.out.nfs_exports.len() >= EXPORT_LIMIT {
                return reading.gap("nfs_exports", &path, LIMIT, format!("{path}:{line}: more than {EXPORT_LIMIT} exports"));
            }
            let exports = exports(&text, &path, line);
            if exports.is_empty() && !text.trim().is_empty() {
                reading.gap("nfs_exports", &path, reason::MALFORMED, format!("{path}:{line}: no path or no client"));
            }
            reading.out.nfs_exports.extend(exports.into_iter().map(|e| NfsExport { starts, ..e }));
        }
    }
}

/// Threads of the kernel's server are processes named nfsd without a program.
fn runs(reading: &Reading<'_>) -> bool {
    reading.host.is_live() && processes::ids(reading.host).unwrap_or_default().into_iter().any(|pid| processes::name(reading.host, pid) == "nfsd")
}

/// Lines with what a backslash joins; comments taken off outside quotes.
fn lines(text: &str) -> Vec<(usize, String)> {
    let mut out: Vec<(usize, String)> = Vec::new();
    let mut continues = false;
    for (index, line) in text.lines().enumerate() {
        let (body, more) = line.strip_suffix('\\').map_or((line, false), |b| (b, true));
        let bare = uncommented(body);
        match out.last_mut().filter(|_| continues) {
            Some((_, before)) => {
                before.push(' ');
                before.push_str(bare);
            }
            None if bare.trim().is_empty() => {}
            None => out.push((index + 1, bare.to_string())),
        }
        continues = more && bare.len() == body.len();
    }
    out
}

fn uncommented(line: &str) -> &str {
    let mut quoted = false;
    for (at, c) in line.char_indices() {
        match c {
            '"' => quoted = !quoted,
            '#' if !quoted => return line.get(..at).unwrap_or(line),
            _ => {}
        }
    }
    line
}

/// Words; quotes hold blanks, `\040` is a byte.
fn words(text: &str) -> Vec<String> {
    let mut out = Vec::new();
    let mut word: Option<Vec<u8>> = None;
    let mut quoted = false;
    let mut bytes = text.bytes().peekable();
    while let Some(b) = bytes.next() {
        match b {
            b'"' => {
                quoted = !quoted;
                word.get_or_insert_default();
            }
            b'\\' => {
                let digits: Vec<u8> = bytes.clone().take(3).take_while(|d| (b'0'..=b'7').contains(d)).collect();
                let value = digits.iter().fold(0_u32, |v, d| v * 8 + u32::from(d - b'0'));
                match u8::try_from(value).ok().filter(|_| digits.len() == 3) {
                    Some(byte) => {
                        word.get_or_insert_default().push(byte);
                        bytes.nth(2);
                    }
                    None => word.get_or_insert_default().push(b),
                }
            }
            b' ' | b'\t' if !quoted => out.extend(word.take()),
            other => word.get_or_insert_default().push(other),
        }
    }
    out.extend(word);
    out.into_iter().map(|w| String::from_utf8_lossy(&w).into_owned()).collect()
}

fn exports(text: &str, file: &str, line: usize) -> Vec<NfsExport> {
    let words = words(text);
    let Some((path, clients)) = words.split_first().filter(|(p, _)| p.starts_with('/')) else { return Vec::new() };
    let mut defaults = String::new();
    let mut out = Vec::new();
    let export = |client: &str, options: &str| {
        let deprecated = client.strip_prefix("gss/");
        let everyone = is_everyone(client);
        let mut export = NfsExport {
            subject: format!("{path} {}", if client.is_empty() { "*" } else { client }),
            path: path.clone(),
            client: if client.is_empty() { "*".into() } else { client.into() },
            everyone: everyone || deprecated.is_some(),
            source: Source::line(file, line, path.clone()),
            ..apply(options)
        };
        if let Some(flavour) = deprecated {
            export.security = vec![flavour.to_string()];
        }
        export
    };
    for word in clients {
        if let Some(options) = word.strip_prefix('-') {
            defaults = options.to_string();
            continue;
        }
        let (client, own) = word.split_once('(').map_or((word.as_str(), ""), |(c, o)| (c, o.trim_end_matches(')')));
        out.push(export(client, &format!("{defaults},{own}")));
    }
    if out.is_empty() {
        // A path alone is exported to every client (exportfs(8) warns and does so).
        out.push(export("", &defaults));
    }
    out
}

fn is_everyone(client: &str) -> bool {
    matches!(client, "" | "*" | "0.0.0.0/0" | "0.0.0.0/0.0.0.0" | "::/0")
}

/// What a list of options makes of the defaults; after a `sec=` those that may differ hold for its flavours.
fn apply(options: &str) -> NfsExport {
    #[derive(Clone)]
    struct Flavours {
        names: Vec<String>,
        writable: bool,
        root_squash: bool,
        all_squash: bool,
    }
    let mut base = Flavours { names: Vec::new(), writable: false, root_squash: true, all_squash: false };
    let mut groups: Vec<Flavours> = Vec::new();
    let (mut secure_port, mut tls_required) = (true, false);
    for option in options.split(',').map(str::trim) {
        if let Some(names) = option.strip_prefix("sec=") {
            groups.push(Flavours { names: names.split(':').map(String::from).collect(), ..base.clone() });
            continue;
        }
        // Before any sec= they hold for all of them.
        let mut set = |change: &dyn Fn(&mut Flavours)| match groups.last_mut() {
            Some(group) => change(group),
            None => change(&mut base),
        };
        match option {
            "rw" => set(&|f| f.writable = true),
            "ro" => set(&|f| f.writable = false),
            "root_squash" => set(&|f| f.root_squash = true),
            "no_root_squash" => set(&|f| f.root_squash = false),
            "all_squash" => set(&|f| f.all_squash = true),
            "no_all_squash" => set(&|f| f.all_squash = false),
            "secure" => secure_port = true,
            "insecure" => secure_port = false,
            _ => {
                if let Some(policies) = option.strip_prefix("xprtsec=") {
                    tls_required = policies.split(':').all(|p| matches!(p, "tls" | "mtls"));
                }
            }
        }
    }
    if groups.is_empty() {
        groups.push(Flavours { names: vec!["sys".into()], ..base });
    }
    NfsExport {
        security: groups.iter().flat_map(|g| g.names.clone()).collect(),
        writable: groups.iter().any(|g| g.writable),
        root_squash: groups.iter().all(|g| g.root_squash || g.all_squash),
        all_squash: groups.iter().all(|g| g.all_squash),
        secure_port,
        tls_required,
        ..NfsExport::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> Vec<String> {
        let of = |(line, text): (usize, String)| exports(&text, "/etc/exports", line);
        let show = |e: NfsExport| {
            let words = [
                (e.everyone, "everyone"),
                (e.writable, "rw"),
                (!e.root_squash, "root"),
                (e.all_squash, "all"),
                (!e.secure_port, "insecure"),
                (e.tls_required, "tls"),
            ];
            let words: Vec<&str> = words.into_iter().filter(|(on, _)| *on).map(|(_, w)| w).collect();
            format!("{}:{} {} {}", e.subject, e.source.line, e.security.join(":"), words.join(" "))
        };
        lines(text).into_iter().flat_map(of).map(show).collect()
    }

    #[test]
    fn clients_defaults_quotes_and_the_blank_before_the_parenthesis() {
        let text = "# c\n/srv 10.0.0.0/8(rw,no_root_squash) *.example.org(sec=krb5p,rw)\n\
            \"/srv/a b\" \\\n  host (rw)   # rest\n/srv\\040c -ro,insecure a b(rw) @net(sec=sys,ro,sec=krb5:krb5p,rw,no_root_squash)\n/alone\n/x *(all_squash,no_root_squash,xprtsec=tls:mtls)\nrelative host\n";
        assert_eq!(
            shown(text),
            [
                "/srv 10.0.0.0/8:2 sys rw root",
                "/srv *.example.org:2 krb5p rw",
                "/srv/a b host:3 sys ",
                "/srv/a b *:3 sys everyone rw",
                "/srv c a:5 sys insecure",
                "/srv c b:5 sys rw insecure",
                "/srv c @net:5 sys:krb5:krb5p rw root insecure",
                "/alone *:6 sys everyone",
                "/x *:7 sys everyone all tls",
            ]
        );
        for end in (0..text.len()).filter(|e| text.is_char_boundary(*e)) {
            let _ = shown(&text[..end]);
        }
        let _ = shown("/a\\777 \"\\\n(((\n/ )\n");
    }
}
