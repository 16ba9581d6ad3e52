//! Configured repositories of dnf, yum and zypper: dnf.conf(5), `.repo` files, zypp.conf.

use super::ini::{self, Section, boolean};
use crate::host::offers::{self, Repository};
use crate::host::{CONFIG_LIMIT, FileKind, Host, ReadError};
use crate::model::fact::Source;

/// Which program keeps packages current.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Program {
    /// dnf 4 or yum.
    #[default]
    Dnf,
    /// dnf 5.
    Dnf5,
    /// zypper.
    Zypper,
}

const DNF_FOLDERS: &[&str] = &["/etc/yum.repos.d", "/etc/yum/repos.d", "/etc/distro.repos.d"];
const DNF5_FOLDERS: &[&str] = &["/etc/yum.repos.d", "/etc/distro.repos.d", "/usr/share/dnf5/repos.d"];
const ZYPPER_FOLDERS: &[&str] = &["/etc/zypp/repos.d"];
/// Settings of dnf 5 that override those of repositories, last file wins.
const OVERRIDES: &[&str] = &["/usr/share/dnf5/repos.override.d", "/etc/dnf/repos.override.d"];

/// One repository with what decides about its packages.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Configured {
    /// The neutral form.
    pub shown: Repository,
    /// Packages that are never taken from it, names or globs; those of the main section, too.
    pub excluded: Vec<(String, Source)>,
    /// If not empty, the only packages taken from it.
    pub included: Vec<String>,
    /// Lower is preferred; packages of others are hidden.
    pub priority: i64,
    /// Whether its packages pass beside module streams.
    pub module_hotfixes: bool,
}

/// Everything configured.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Repositories {
    /// The program.
    pub program: Program,
    /// Repositories, by id.
    pub items: Vec<Configured>,
    /// Where downloaded lists are kept.
    pub cache: String,
    /// Vendors whose packages replace each other, beginnings in lower case, one list a class (zypper).
    pub vendors: Vec<Vec<String>>,
    /// Whether packages of any vendor replace each other.
    pub any_vendor: bool,
    /// Files that were not read.
    pub errors: Vec<ReadError>,
    /// Places that are not in the format.
    pub malformed: Vec<String>,
    /// Settings that change what is read and are not followed.
    pub unsupported: Vec<String>,
}

impl Repositories {
    /// Reads the configuration of whichever program the host has.
    pub fn read(host: &Host) -> Self {
        let there = |path: &str| host.exists(path).unwrap_or(false);
        let zypper = there("/etc/zypp/repos.d") || there("/usr/bin/zypper");
        let program = match (zypper, there("/usr/bin/dnf5") || there("/usr/share/dnf5")) {
            (true, _) => Program::Zypper,
            (false, true) => Program::Dnf5,
            (false, false) => Program::Dnf,
        };
        let mut out = Self { program, ..Self::default() };
        let (main, mut sections) = out.main(host);
        let folders = match program {
            Program::Dnf => DNF_FOLDERS,
            Program::Dnf5 => DNF5_FOLDERS,
            Program::Zypper => ZYPPER_FOLDERS,
        };
        let named: Vec<String> = main.list("reposdir").map(String::from).collect();
        let folders = if named.is_empty() { folders.iter().map(|f| (*f).to_string()).collect() } else { named };
        for folder in folders {
            out.read_folder(host, &folder, ".repo", &mut sections);
        }
        let mut overrides = Vec::new();
        if program == Program::Dnf5 {
            for folder in OVERRIDES {
                out.read_folder(host, folder, ".repo", &mut overrides);
            }
        }
        let default = match program {
            Program::Dnf => "/var/cache/dnf",
            Program::Dnf5 => "/var/cache/libdnf5",
            Program::Zypper => "/var/cache/zypp/raw",
        };
        let moved = main.value(if program == Program::Zypper {
            "metadatadir"
        } else if program == Program::Dnf5 {
            "system_cachedir"
        } else {
            "cachedir"
        });
        out.any_vendor = program != Program::Zypper || boolean(main.value("solver.allowvendorchange")) == Some(true);
        if program == Program::Zypper {
            out.read_vendors(host);
        }
        out.cache = if moved.is_empty() { default.into() } else { moved.trim_end_matches('/').into() };
        for (place, section) in &sections {
            let over: Vec<&(String, Section)> = overrides.iter().filter(|(_, o)| ini::glob_matches(&o.name, &section.name)).collect();
            // A second section of the same id is refused by dnf.
            if out.items.iter().all(|i| i.shown.subject != section.name) {
                out.items.push(configured(program, &main, place, section, &over));
            }
        }
        out.items.sort_by(|a, b| a.shown.subject.cmp(&b.shown.subject));
        out
    }

    /// zypper stays with the vendor of a package; `/etc/zypp/vendors.d` names those that count as one.
    fn read_vendors(&mut self, host: &Host) {
        let mut sections = Vec::new();
        self.read_folder(host, "/etc/zypp/vendors.d", ".conf", &mut sections);
        let lists = sections.iter().filter(|(_, s)| s.name == "main").map(|(_, s)| s.value("vendors"));
        let lists = lists.map(|l| l.split(',').map(|v| v.trim().to_ascii_lowercase()).filter(|v| !v.is_empty()).collect());
        self.vendors = lists.chain([vec!["suse".to_string()], vec!["opensuse".to_string()]]).collect();
    }

    /// Whether a package of one vendor may replace one of another.
    pub fn may_replace(&self, installed: &str, offered: &str) -> bool {
        let (a, b) = (installed.to_ascii_lowercase(), offered.to_ascii_lowercase());
        let in_one = |class: &Vec<String>| class.iter().any(|v| a.starts_with(v.as_str())) && class.iter().any(|v| b.starts_with(v.as_str()));
        self.any_vendor || a == b || self.vendors.iter().any(in_one)
    }

    /// The main section, and the repositories that stand in the same file.
    fn main(&mut self, host: &Host) -> (Section, Vec<(String, Section)>) {
        let mut sections = Vec::new();
        let places: &[&str] = match self.program {
            Program::Zypper => &["/etc/zypp/zypp.conf"],
            _ => &["/etc/dnf/dnf.conf", "/etc/yum.conf"],
        };
        if self.program == Program::Dnf5 {
            for folder in ["/usr/share/dnf5/libdnf.conf.d", "/etc/dnf/libdnf5.conf.d"] {
                self.read_folder(host, folder, ".conf", &mut sections);
            }
        }
        for place in places {
            // yum.conf is a link to dnf.conf where both are there.
            if self.read_file(host, place, &mut sections) {
                break;
            }
        }
        let mut main = Section { name: "main".into(), ..Section::default() };
        let mut rest = Vec::new();
        for (place, section) in sections {
            if section.name == "main" { main.settings.extend(section.settings) } else { rest.push((place, section)) }
        }
        (main, rest)
    }

    fn read_folder(&mut self, host: &Host, folder: &str, extension: &str, out: &mut Vec<(String, Section)>) {
        match host.list(folder) {
            Ok(entries) => {
                for entry in entries.into_iter().filter(|e| e.kind != FileKind::Folder && e.name.ends_with(extension) && !e.name.starts_with('.')) {
                    self.read_file(host, &format!("{folder}/{}", entry.name), out);
                }
            }
            Err(e) if e.is_not_found() => {}
            Err(e) => self.errors.push(e),
        }
    }

    /// Whether the file is there.
    fn read_file(&mut self, host: &Host, place: &str, out: &mut Vec<(String, Section)>) -> bool {
        match host.read_text(place, CONFIG_LIMIT) {
            Ok(text) => match ini::parse(&text) {
                Ok(sections) => out.extend(sections.into_iter().map(|s| (place.to_string(), s))),
                Err(line) => self.malformed.push(format!("{place}:{line}: no setting of this format")),
            },
            Err(e) if e.is_not_found() => return false,
            Err(e) => self.errors.push(e),
        }
        true
    }
}

fn configured(program: Program, main: &Section, place: &str, section: &Section, overrides: &[&(String, Section)]) -> Configured {
    // Place and setting that decide about a key.
    let find = |key: &str| {
        let over = overrides.iter().rev().find_map(|(place, o)| o.setting(key).map(|s| (place.as_str(), s)));
        over.or_else(|| section.setting(key).map(|s| (place, s)))
    };
    let decides = |key: &str| find(key).and_then(|(_, s)| boolean(&s.value));
    let enabled = decides("enabled").unwrap_or(true);
    let (signed, source) = signature(program, main, place, section, &find);
    let address = ["baseurl", "metalink", "mirrorlist"].iter().find_map(|k| find(k).and_then(|(_, s)| s.value.split([',', ' ', '\n']).find(|u| !u.is_empty())));
    let address = address.unwrap_or_default();
    let globs = |key: &str| -> Vec<String> {
        let own = find(key).map_or("", |(_, s)| s.value.as_str());
        own.split(|c: char| c == ',' || c.is_whitespace()).filter(|w| !w.is_empty()).map(String::from).collect()
    };
    let not_hidden = !main.list("disable_excludes").any(|d| d == "all" || d == "*" || d == section.name);
    let excluded = if not_hidden && program != Program::Zypper { exclusions(program, main, &find) } else { Vec::new() };
    let included = if program == Program::Zypper { Vec::new() } else { globs("includepkgs") };
    let shown = Repository {
        subject: section.name.clone(),
        kind: if program == Program::Zypper { "zypper" } else { "rpm" },
        url: offers::shown(address),
        enabled,
        signed,
        trusted_without_signature: signed == "no",
        third_party: offers::third_party(address),
        transport: offers::transport(address),
        key_files: globs("gpgkey").iter().map(|k| offers::shown(k)).collect(),
        source,
    };
    let priority = find("priority").and_then(|(_, s)| s.value.parse().ok()).unwrap_or(99);
    Configured { shown, excluded, included, priority, module_hotfixes: decides("module_hotfixes").unwrap_or(false) }
}

/// What main section and repository exclude, each with its line.
fn exclusions<'a>(program: Program, main: &'a Section, find: &dyn Fn(&str) -> Option<(&'a str, &'a ini::Setting)>) -> Vec<(String, Source)> {
    let mut out = Vec::new();
    for key in ["excludepkgs", "exclude"] {
        for (place, setting) in find(key).into_iter().chain(main.setting(key).map(|s| (main_place(program), s))) {
            let words = setting.value.split(|c: char| c == ',' || c.is_whitespace()).filter(|w| !w.is_empty());
            out.extend(words.map(|w| (w.to_string(), Source::line(place, setting.line, key))));
        }
    }
    out
}

const fn main_place(program: Program) -> &'static str {
    match program {
        Program::Zypper => "/etc/zypp/zypp.conf",
        Program::Dnf | Program::Dnf5 => "/etc/dnf/dnf.conf",
    }
}

/// Whether a signature of packages or of the list (which holds their checksums) is asked for, and
/// the line that decides.
fn signature<'a>(
    program: Program,
    main: &'a Section,
    place: &'a str,
    section: &'a Section,
    find: &dyn Fn(&str) -> Option<(&'a str, &'a ini::Setting)>,
) -> (&'static str, Source) {
    const CHECKS: [&str; 3] = ["gpgcheck", "pkg_gpgcheck", "repo_gpgcheck"];
    // dnf passes over a value that is no boolean, and takes that of the main section.
    let is_boolean = |s: &ini::Setting| boolean(&s.value).is_some();
    let settings = CHECKS.iter().filter_map(|key| find(key).filter(|(_, s)| is_boolean(s)).or_else(|| main.setting(key).map(|s| (main_place(program), s))));
    let settings: Vec<(&str, &ini::Setting)> = settings.collect();
    let source = |(place, setting): &(&str, &ini::Setting)| Source::line(*place, setting.line, setting.key.clone());
    let whole = Source::line(place, section.line, section.name.clone());
    if let Some(on) = settings.iter().find(|(_, s)| boolean(&s.value) == Some(true)) {
        return ("yes", source(on));
    }
    if let Some(odd) = settings.iter().find(|(_, s)| boolean(&s.value).is_none() && s.value != "default") {
        return ("unknown", source(odd));
    }
    match (settings.iter().find(|(_, s)| s.key != "repo_gpgcheck" && boolean(&s.value) == Some(false)), program) {
        (Some(off), _) => ("no", source(off)),
        // zypper checks the signature of lists unless told otherwise, dnf that of nothing.
        (None, Program::Zypper) => ("yes", whole),
        (None, Program::Dnf) => ("no", whole),
        // The default of dnf 5 changed between its versions.
        (None, Program::Dnf5) => ("unknown", whole),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::testing::rooted as host_with;

    #[test]
    fn signatures_and_what_decides_about_them() {
        let (_root, host) = host_with(&[
            ("/etc/dnf/dnf.conf", "[main]\ngpgcheck=1\nexcludepkgs=kernel*\n"),
            (
                "/etc/yum.repos.d/a.repo",
                "[base]\nbaseurl=https://u:p@dl.rockylinux.org/$releasever/\nexcludepkgs=php*\n\n[bare]\nbaseurl=http://x.example/\nenabled=1\ngpgcheck = no\n\n\
                 [off]\nenabled=0\ngpgcheck=0\nmetalink=https://x.example/m?a=b\n\n[list-signed]\nbaseurl=http://y.example\ngpgcheck=0\nrepo_gpgcheck=1\npriority=10\n",
            ),
            ("/etc/yum.repos.d/b.repo.rpmsave", "[ghost]\nbaseurl=http://z\n"),
            ("/etc/yum.repos.d/.c.repo", "[hidden]\n"),
            ("/etc/yum.repos.d/d.repo", "[broken]\nx\n"),
        ]);
        let read = Repositories::read(&host);
        let shown: Vec<String> = read
            .items
            .iter()
            .map(|i| {
                let r = &i.shown;
                format!("{} {} {} {} {}:{} {}", r.subject, r.enabled, r.signed, r.transport, r.source.place, r.source.line, r.source.directive)
            })
            .collect();
        assert_eq!(
            shown,
            [
                "bare true no http /etc/yum.repos.d/a.repo:8 gpgcheck",
                "base true yes https /etc/dnf/dnf.conf:2 gpgcheck",
                "list-signed true yes http /etc/yum.repos.d/a.repo:18 repo_gpgcheck",
                "off false no https /etc/yum.repos.d/a.repo:12 gpgcheck",
            ]
        );
        assert_eq!((read.items[1].shown.url.as_str(), read.items[1].shown.third_party), ("https://dl.rockylinux.org/$releasever", Some(false)));
        assert_eq!((read.items[1].excluded.iter().map(|e| e.0.as_str()).collect::<Vec<_>>().join(" "), read.items[2].priority), ("php* kernel*".into(), 10));
        assert_eq!(read.malformed, ["/etc/yum.repos.d/d.repo:2: no setting of this format"]);
    }

    #[test]
    fn zypper_and_dnf_differ_in_their_defaults() {
        let (_root, host) = host_with(&[
            ("/etc/zypp/zypp.conf", "[main]\n# gpgcheck = on\n"),
            ("/etc/zypp/repos.d/oss.repo", "[oss]\nbaseurl=http://download.opensuse.org/x\nautorefresh=1\n[no]\ngpgcheck=0\nbaseurl=dir:///srv\n"),
        ]);
        let read = Repositories::read(&host);
        assert_eq!((read.program, read.items[0].shown.signed, read.items[1].shown.signed), (Program::Zypper, "no", "yes"));
        let (_root, host) = host_with(&[("/etc/yum.repos.d/x.repo", "[x]\nbaseurl=http://x\n")]);
        let read = Repositories::read(&host);
        assert_eq!((read.program, read.items[0].shown.signed, read.cache.as_str()), (Program::Dnf, "no", "/var/cache/dnf"));
    }

    #[test]
    fn overrides_of_dnf5_win() {
        let (_root, host) = host_with(&[
            ("/usr/share/dnf5/x", ""),
            ("/etc/yum.repos.d/x.repo", "[x]\nbaseurl=http://x\ngpgcheck=1\n[y]\nbaseurl=http://y\n"),
            ("/etc/dnf/repos.override.d/99.repo", "[x*]\ngpgcheck=0\nenabled=0\n"),
        ]);
        let read = Repositories::read(&host);
        let x = &read.items[0].shown;
        assert_eq!((read.program, x.enabled, x.signed, x.source.place.as_str()), (Program::Dnf5, false, "no", "/etc/dnf/repos.override.d/99.repo"));
        assert_eq!(read.items[1].shown.signed, "unknown");
    }
}
