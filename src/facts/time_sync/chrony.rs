//! chrony.conf(5) with `include`, `confdir` and `sourcedir`.

use std::collections::BTreeMap;

use super::Configured;
use crate::facts::monitoring::observed::option;
use crate::facts::monitoring::texts::Told;
use crate::host::Host;
use crate::model::fact::Source;
use crate::model::gap::reason;

/// Where distributions let chronyd look.
const MAIN: [&str; 2] = ["/etc/chrony/chrony.conf", "/etc/chrony.conf"];
/// How deep files may be included (chronyd's own limit is 10).
const DEPTH_LIMIT: usize = 10;
/// Most files.
const FILE_LIMIT: usize = 512;
/// Options of chronyd that have a value.
const VALUED: [&str; 7] = ["-f", "-F", "-L", "-l", "-P", "-t", "-u"];

struct Reader<'a> {
    host: &'a Host,
    told: Told<'a>,
    out: Configured,
    files: usize,
}

pub(super) fn read(host: &Host, arguments: &[String], told: Told<'_>) -> Configured {
    let named = option(arguments, &["-f"]);
    let present = || MAIN.iter().find(|p| host.exists(p).unwrap_or(false)).copied().unwrap_or("/etc/chrony.conf").to_string();
    let main = named.unwrap_or_else(present);
    let mut reader = Reader { host, told, out: Configured { main: main.clone(), ..Configured::default() }, files: 0 };
    let directives = on_command_line(arguments);
    if directives.is_empty() {
        reader.out.found = reader.file(&main, 0, false);
    } else {
        // Directives as arguments stand in the file's place.
        for directive in directives {
            reader.line(&directive, &Source { place: "chronyd".into(), line: 0, directive: "arguments".into() }, 0, false);
        }
    }
    reader.out
}

/// Arguments that are no options.
fn on_command_line(arguments: &[String]) -> Vec<String> {
    let mut out = Vec::new();
    let mut words = arguments.iter().skip(1);
    while let Some(word) = words.next() {
        if VALUED.contains(&word.as_str()) {
            words.next();
        } else if !word.starts_with('-') {
            out.push(word.clone());
        }
    }
    out
}

impl Reader<'_> {
    /// Whether it was there.
    fn file(&mut self, path: &str, depth: usize, only_sources: bool) -> bool {
        self.files += 1;
        if depth > DEPTH_LIMIT || self.files > FILE_LIMIT {
            if self.files <= FILE_LIMIT + 1 {
                self.told.gap(reason::LIMIT_REACHED, format!("{path}: more than {DEPTH_LIMIT} levels or {FILE_LIMIT} files of includes"));
            }
            return true;
        }
        let Some(text) = self.told.text(self.host, path) else { return false };
        for (index, line) in text.lines().enumerate() {
            self.line(line, &Source::line(path, index + 1, ""), depth, only_sources);
        }
        true
    }

    fn line(&mut self, line: &str, at: &Source, depth: usize, only_sources: bool) {
        let line = line.trim();
        if line.is_empty() || line.starts_with(['!', ';', '#', '%']) {
            return;
        }
        let words: Vec<&str> = line.split_whitespace().collect();
        let Some((keyword, rest)) = words.split_first() else { return };
        let keyword = keyword.to_ascii_lowercase();
        let source = Source { directive: keyword.clone(), ..at.clone() };
        match keyword.as_str() {
            "server" | "pool" | "peer" => self.source(&keyword, rest, source),
            _ if only_sources => {}
            "refclock" => {
                let usable = !rest.iter().any(|w| w.eq_ignore_ascii_case("noselect"));
                let address = rest.iter().take(2).copied().collect::<Vec<_>>().join(" ");
                self.out.keep("chrony", "refclock", &address, usable, "none", source);
            }
            "driftfile" => self.out.drift = rest.first().map(|w| (*w).to_string()).unwrap_or_default(),
            "include" => {
                if let Some(pattern) = rest.first() {
                    for path in self.told.glob(self.host, pattern) {
                        self.file(&path, depth + 1, false);
                    }
                }
            }
            "confdir" => self.folders(rest, ".conf", depth, false),
            "sourcedir" => self.folders(rest, ".sources", depth, true),
            _ => {}
        }
    }

    fn source(&mut self, kind: &str, words: &[&str], source: Source) {
        let Some((address, options)) = words.split_first() else { return };
        let has = |name: &str| options.iter().any(|w| w.eq_ignore_ascii_case(name));
        let authentication = if has("nts") {
            "nts"
        } else if has("key") {
            "key"
        } else {
            "none"
        };
        // A source that begins `offline` is switched on by whoever brings the network up.
        self.out.keep("chrony", kind, address, !has("noselect"), authentication, source);
    }

    /// Of files with one name the first folder's, all in the order of their names.
    fn folders(&mut self, folders: &[&str], suffix: &str, depth: usize, only_sources: bool) {
        let mut found: BTreeMap<String, String> = BTreeMap::new();
        for folder in folders {
            match self.host.list(folder) {
                Ok(entries) => {
                    for entry in entries.into_iter().filter(|e| e.name.ends_with(suffix)) {
                        found.entry(entry.name.clone()).or_insert_with(|| format!("{folder}/{}", entry.name));
                    }
                }
                Err(e) if e.is_not_found() => {}
                Err(e) => self.told.error(&e),
            }
        }
        for path in found.into_values() {
            self.file(&path, depth + 1, only_sources);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::testing::rooted;
    use crate::model::gap::Gaps;

    fn parsed(files: &[(&str, &str)], arguments: &[&str]) -> (Configured, Gaps) {
        let (_root, host) = rooted(files);
        let mut gaps = Gaps::new();
        let arguments: Vec<String> = arguments.iter().map(|a| (*a).to_string()).collect();
        let found = read(&host, &arguments, Told { family: "time_sync", path: "sources", subject: String::new(), gaps: &mut gaps });
        (found, gaps)
    }

    #[test]
    fn sources_from_every_file() {
        let (found, gaps) = parsed(
            &[
                (
                    "etc/chrony/chrony.conf",
                    "# c\n! c\nconfdir /run/c /etc/c\nPOOL 2.debian.pool.ntp.org iburst\nsourcedir /run/d /etc/d\nrefclock PHC /dev/ptp0 poll 0\ninclude /etc/i/*.conf\ndriftfile /var/x\ndriftfile /var/y\n",
                ),
                ("run/c/a.conf", "server a.example nts\n"),
                ("etc/c/a.conf", "server hidden.example\n"),
                ("etc/c/b.txt", "server no.example\n"),
                ("etc/d/x.sources", "server b.example noselect\nrefclock X y\nserver b.example\n"),
                ("etc/i/k.conf", "peer c.example key 7\nserver d.example offline\n"),
            ],
            &["chronyd"],
        );
        let shown: Vec<String> =
            found.sources.iter().map(|s| format!("{} {} {} {} {}:{}", s.kind, s.address, s.usable, s.authentication, s.source.place, s.source.line)).collect();
        assert_eq!(
            shown,
            [
                "server a.example true nts /run/c/a.conf:1",
                "pool 2.debian.pool.ntp.org true none /etc/chrony/chrony.conf:4",
                "server b.example true none /etc/d/x.sources:1",
                "refclock PHC /dev/ptp0 true none /etc/chrony/chrony.conf:6",
                "peer c.example true key /etc/i/k.conf:1",
                "server d.example true none /etc/i/k.conf:2",
            ]
        );
        assert_eq!((found.drift.as_str(), found.found, gaps.into_sorted().len()), ("/var/y", true, 0));
    }

    #[test]
    fn the_command_line_names_another_file_or_stands_for_it() {
        let (found, _) = parsed(&[("etc/chrony.conf", "server a\n"), ("x", "server b\n")], &["/usr/sbin/chronyd", "-F", "1", "-f", "/x"]);
        assert_eq!((found.sources[0].address.as_str(), found.main.as_str()), ("b", "/x"));
        let (found, _) = parsed(&[("etc/chrony.conf", "server a\n")], &["/usr/sbin/chronyd", "-d", "server c iburst"]);
        assert_eq!(found.sources[0].address, "c");
        let (found, gaps) = parsed(&[("etc/chrony.conf", "include /etc/chrony.conf\nserver a\n")], &[]);
        assert!(found.sources.len() == 1 && gaps.into_sorted().iter().any(|g| g.reason == "limit-reached"));
        assert!(!parsed(&[], &[]).0.found);
    }
}
