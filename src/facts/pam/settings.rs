//! The files below `/etc/security` that set what module arguments do not.

use std::collections::BTreeMap;

use crate::host::Host;
use crate::host::root::CONFIG_LIMIT;
use crate::model::fact::Source;
use crate::model::gap::{Gaps, reason};

/// Settings of one module: value and where it stands; the last one of a name wins.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settings(BTreeMap<String, (String, Source)>);

impl Settings {
    /// A value.
    pub fn text(&self, name: &str) -> Option<(&str, &Source)> {
        self.0.get(name).map(|(value, source)| (value.as_str(), source))
    }

    /// A value that is a number.
    pub fn number(&self, name: &str) -> Option<(i64, &Source)> {
        self.text(name).and_then(|(value, source)| Some((value.parse().ok()?, source)))
    }

    /// Whether a flag is set.
    pub fn has(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    /// Lays `name=value` and flags of a module's line over the files.
    pub fn arguments(&mut self, arguments: &[String], source: &Source) {
        for argument in arguments {
            let (name, value) = argument.split_once('=').unwrap_or((argument, ""));
            self.0.insert(name.to_ascii_lowercase(), (value.to_string(), source.clone()));
        }
    }

    fn read(&mut self, host: &Host, path: &str, family_path: &str, gaps: &mut Gaps) -> Option<String> {
        match host.read_text(path, CONFIG_LIMIT) {
            Ok(text) => Some(text),
            Err(e) if e.is_not_found() => None,
            Err(e) => {
                gaps.add(e.to_gap("pam", family_path, ""));
                None
            }
        }
    }

    /// `name = value` or a flag on each line, as pam_faillock and pam_pwhistory read it.
    fn lines(&mut self, text: &str, path: &str) {
        for (index, line) in text.lines().enumerate() {
            let line = line.split('#').next().unwrap_or("").trim();
            let (name, value) = line.split_once('=').unwrap_or((line, ""));
            if !name.trim().is_empty() {
                self.0.insert(name.trim().to_string(), (value.trim().to_string(), Source::line(path, index + 1, name.trim())));
            }
        }
    }

    /// As libpwquality reads it; false when it gives up at a line.
    fn quality_lines(&mut self, text: &str, path: &str) -> Result<(), (usize, &'static str)> {
        for (index, line) in text.lines().enumerate() {
            let line = line.split('#').next().unwrap_or("").trim();
            if line.is_empty() {
                continue;
            }
            let end = line.find(|c: char| c == '=' || c.is_whitespace()).unwrap_or(line.len());
            let (name, rest) = line.split_at(end);
            let rest = rest.trim_start();
            let value = rest.strip_prefix('=').unwrap_or(rest).trim();
            let name = name.to_ascii_lowercase();
            match QUALITY.iter().find(|(known, _)| *known == name) {
                None => return Err((index + 1, "an unknown setting")),
                Some((_, true)) if value.parse::<i32>().is_err() => return Err((index + 1, "a value that is no number")),
                Some(_) => {}
            }
            let source = Source::line(path, index + 1, name.clone());
            self.0.insert(name, (value.to_string(), source));
        }
        Ok(())
    }
}

/// Settings of libpwquality, and whether they are numbers.
const QUALITY: [(&str, bool); 20] = [
    ("difok", true),
    ("minlen", true),
    ("dcredit", true),
    ("ucredit", true),
    ("lcredit", true),
    ("ocredit", true),
    ("minclass", true),
    ("maxrepeat", true),
    ("maxclassrepeat", true),
    ("maxsequence", true),
    ("gecoscheck", true),
    ("dictcheck", true),
    ("usercheck", true),
    ("usersubstr", true),
    ("enforcing", true),
    ("badwords", false),
    ("dictpath", false),
    ("retry", true),
    ("enforce_for_root", false),
    ("local_users_only", false),
];

/// Main file of libpwquality.
const QUALITY_MAIN: &str = "/etc/security/pwquality.conf";
/// Folders of drop-ins; a name in the later one replaces the same name of the earlier one.
const QUALITY_FOLDERS: [&str; 2] = ["/usr/lib/security/pwquality.conf.d", "/etc/security/pwquality.conf.d"];
const QUALITY_VENDOR: &str = "/usr/lib/security/pwquality.conf";

/// libpwquality reads the drop-ins first, by name, and the main file last: the main file wins. A
/// setting it does not know ends the reading of everything that follows.
pub fn quality(host: &Host, gaps: &mut Gaps) -> Settings {
    let mut settings = Settings::default();
    let mut files: BTreeMap<String, String> = BTreeMap::new();
    for folder in QUALITY_FOLDERS {
        match host.list(folder) {
            Ok(entries) => files.extend(entries.into_iter().filter(|e| e.name.ends_with(".conf")).map(|e| (e.name.clone(), format!("{folder}/{}", e.name)))),
            Err(e) if e.is_not_found() => {}
            Err(e) => gaps.add(e.to_gap("pam", "password", "")),
        }
    }
    let main = match host.exists(QUALITY_MAIN) {
        Ok(false) => QUALITY_VENDOR,
        _ => QUALITY_MAIN,
    };
    for path in files.values().map(String::as_str).chain([main]) {
        let Some(text) = settings.read(host, path, "password", gaps) else { continue };
        if let Err((line, problem)) = settings.quality_lines(&text, path) {
            let detail = format!("{path}:{line}: {problem}: libpwquality reads nothing behind it");
            gaps.note("pam", "password.minimum_length_source", path, reason::MALFORMED, detail, "Mend the line; pwquality.conf(5) lists the settings.");
            break;
        }
    }
    settings
}

/// A file of `name = value` lines; absent is empty.
pub fn plain(host: &Host, path: &str, family_path: &str, gaps: &mut Gaps) -> Settings {
    let mut settings = Settings::default();
    if let Some(text) = settings.read(host, path, family_path, gaps) {
        settings.lines(&text, path);
    }
    settings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_main_file_beats_its_drop_ins() {
        let dir = tempfile::tempdir().unwrap();
        let write = |path: &str, text: &str| {
            let path = dir.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        };
        write("etc/security/pwquality.conf.d/20-b.conf", "minlen = 16\nminclass 3\n");
        write("etc/security/pwquality.conf.d/10-a.conf", "minlen=20\nenforce_for_root\n");
        write("etc/security/pwquality.conf.d/30.conf.save", "minlen=4\n");
        write("etc/security/pwquality.conf", "# minlen = 30\nminlen = 9 # nine\n");
        let host = Host::rooted(dir.path()).unwrap();
        let mut gaps = Gaps::new();
        let settings = quality(&host, &mut gaps);
        let (value, source) = settings.number("minlen").unwrap();
        assert_eq!((value, source.place.as_str(), source.line), (9, "/etc/security/pwquality.conf", 2));
        assert_eq!((settings.number("minclass").unwrap().0, settings.has("enforce_for_root")), (3, true));
        // A broken drop-in ends the reading: the main file is not read any more.
        write("etc/security/pwquality.conf.d/15-x.conf", "frob = 1\n");
        let mut gaps = Gaps::new();
        assert_eq!(quality(&host, &mut gaps).number("minlen").unwrap().0, 20);
        assert_eq!(gaps.into_sorted()[0].subject, "/etc/security/pwquality.conf.d/15-x.conf");
    }

    #[test]
    fn plain_lines_and_garbage() {
        let mut s = Settings::default();
        s.lines("# deny = 3\ndeny = 5 # five\neven_deny_root\n = x\n\u{0}\n", "f");
        assert_eq!((s.number("deny").unwrap().0, s.has("even_deny_root")), (5, true));
        s.arguments(&["deny=7".into(), "silent".into()], &Source::whole("g"));
        assert_eq!(s.number("deny").unwrap().1.place, "g");
        for text in ["=", "minlen", "minlen=99999999999", "\u{0}=\u{0}", "minlen = = 3"] {
            let _ = Settings::default().quality_lines(text, "f");
        }
    }
}
