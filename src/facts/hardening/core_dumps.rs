//! Core dumps: where systemd-coredump keeps them, and who may make how large ones.

use super::{CoreDumps, CoreLimit, drop_ins, text};
use crate::facts::jobs::unit_file;
use crate::host::Host;
use crate::model::fact::Source;
use crate::model::gap::Gaps;

const LIST: &str = "core_dumps.limits";
/// Folders of systemd's own configuration, first wins (systemd-system.conf(5)).
const FOLDERS: [&str; 4] = ["/etc/systemd", "/run/systemd", "/usr/local/lib/systemd", "/usr/lib/systemd"];
/// Most limits kept.
const LIMIT: usize = 1_000;

pub fn gather(host: &Host, gaps: &mut Gaps) -> CoreDumps {
    let is_installed = ["/usr/lib/systemd/systemd-coredump", "/lib/systemd/systemd-coredump"].iter().any(|p| host.exists(p).unwrap_or(false));
    let storage = if is_installed {
        let set = setting(host, "coredump.conf", "Coredump", "Storage", "core_dumps.storage", gaps);
        set.map_or_else(|| "external".to_string(), |s| s.value)
    } else {
        String::new()
    };
    let mut limits: Vec<CoreLimit> = Vec::new();
    let mut files = vec!["/etc/security/limits.conf".to_string()];
    // The main file is read first, then the folder's (limits.conf(5)).
    files.extend(drop_ins(host, &["/etc/security/limits.d".to_string()], LIST, gaps));
    for file in files {
        if let Some(text) = text(host, &file, LIST, gaps) {
            limits.extend(of_limits(&file, &text));
        }
    }
    if let Some(set) = setting(host, "system.conf", "Manager", "DefaultLimitCORE", LIST, gaps) {
        let source = Source::line(set.place.clone(), set.line, "DefaultLimitCORE");
        limits.push(CoreLimit { subject: format!("{}:{}", set.place, set.line), domain: "services".into(), kind: "-".into(), value: set.value, source });
    }
    limits.truncate(LIMIT);
    CoreDumps { storage, limits }
}

fn of_limits(file: &str, text: &str) -> Vec<CoreLimit> {
    let limit = |(index, line): (usize, &str)| {
        let mut words = line.split('#').next()?.split_whitespace();
        let (domain, kind, item, value) = (words.next()?, words.next()?, words.next()?, words.next()?);
        (item == "core").then(|| CoreLimit {
            subject: format!("{file}:{}", index + 1),
            domain: domain.into(),
            kind: kind.into(),
            value: value.into(),
            source: Source::line(file, index + 1, "core"),
        })
    };
    text.lines().enumerate().filter_map(limit).collect()
}

/// The last value of a key of one of systemd's own files and its drop-ins.
fn setting(host: &Host, name: &str, section: &str, key: &str, list: &str, gaps: &mut Gaps) -> Option<unit_file::Setting> {
    let main = FOLDERS.iter().map(|f| format!("{f}/{name}")).find(|p| host.exists(p).unwrap_or(false));
    let mut files: Vec<String> = main.into_iter().collect();
    files.extend(drop_ins(host, &FOLDERS.map(|f| format!("{f}/{name}.d")), list, gaps));
    let mut settings = Vec::new();
    for file in files {
        if let Some(text) = text(host, &file, list, gaps) {
            settings.extend(unit_file::parse(&text, &file));
        }
    }
    unit_file::last(&settings, section, key).cloned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::testing::rooted;

    #[test]
    fn limits_and_storage() {
        let (_root, host) = rooted(&[
            ("usr/lib/systemd/systemd-coredump", ""),
            ("etc/systemd/coredump.conf", "[Coredump]\n#Storage=external\n"),
            ("etc/systemd/coredump.conf.d/no.conf", "[Coredump]\nStorage=none\n"),
            ("etc/systemd/system.conf", "[Manager]\nDefaultLimitCORE=0\n"),
            ("etc/security/limits.conf", "# * soft core 0\n* hard core 0 # words\n@dev - nofile 5\nbroken\n"),
        ]);
        let found = gather(&host, &mut Gaps::new());
        assert_eq!(found.storage, "none");
        let shown: Vec<String> = found.limits.iter().map(|l| format!("{} {} {} {}", l.subject, l.domain, l.kind, l.value)).collect();
        assert_eq!(shown, ["/etc/security/limits.conf:2 * hard 0", "/etc/systemd/system.conf:2 services - 0"]);
    }
}
