//! apt's side of patch level: settings, sources and pins beside apt's own answers, planted faults
//! and sound decoys on a machine made here, and a real process on a deleted library.

use std::collections::BTreeSet;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

use assay::facts;
use assay::host::Host;
use assay::host::debian::apt_conf::AptConf;
use assay::host::debian::apt_sources::Sources;
use assay::model::gap::Gaps;
use serde_json::Value;

use super::support::{ASSAY, run, text};

fn write(root: &Path, path: &str, content: impl AsRef<[u8]>) {
    let path = root.join(path.trim_start_matches('/'));
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, content).unwrap();
}

/// One of apt's programs over `root`, without any setting of this machine.
fn apt(root: &Path, program: &str, arguments: &[&str]) -> String {
    for folder in ["var/lib/apt/lists/partial", "var/cache/apt/archives/partial", "etc/apt/apt.conf.d", "etc/apt/preferences.d", "etc/apt/trusted.gpg.d"] {
        std::fs::create_dir_all(root.join(folder)).unwrap();
    }
    let at = root.display();
    let settings =
        format!("Dir \"{at}/\"; Dir::State::status \"{at}/var/lib/dpkg/status\"; APT::Architecture \"amd64\"; APT::Architectures {{ \"amd64\"; \"i386\"; }};");
    let file = root.with_extension("conf");
    std::fs::write(&file, settings).unwrap();
    let output = Command::new(program).args(arguments).env("APT_CONFIG", &file).env("LC_ALL", "C").output().unwrap();
    assert!(output.status.success(), "{program}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn root_folder() -> (tempfile::TempDir, std::path::PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("root");
    std::fs::create_dir(&root).unwrap();
    (dir, root)
}

#[test]
fn settings_are_those_of_apt_config() {
    let (_dir, root) = root_folder();
    let fragment = "T { B \"1\"; C { \"x\"; \"y\" ; }; D:: \"z\"; \"n\" \"v\"; E; };\nT::C:: \"w\";\nt::h \"a%20b\"; /* T::H \"no\"; */\nT::I#x \"1\";\n;\n\
                    T::K unquoted; // T::K \"no\";\n# T::K \"no\";\nT::M { };\n#clear T::D;\nT::O { P \"1\"; Q { R \"2\"; }; };\n#clear T::O::Q;\nT::L { \"same\"; \"same\"; };\n\
                    T::Slash \"http://a//b\"; T::Hash \"a#b\"; T::Empty \"\";\n";
    write(&root, "/etc/apt/apt.conf.d/10a", fragment);
    write(&root, "/etc/apt/apt.conf.d/20b.conf", "T::B \"2\"; T::L:: \"late\";");
    write(&root, "/etc/apt/apt.conf.d/10b:c", "T::Colon \"1\";");
    for ignored in ["x.", "x.y", "x+y", "x.disabled", "x.conf.dpkg-old", "y~", ".hidden"] {
        write(&root, &format!("/etc/apt/apt.conf.d/{ignored}"), "T::B \"ignored\"; T::Ignored \"1\";");
    }
    write(&root, "/etc/apt/apt.conf", "T::Last \"1\"; T::Q:: \"q\";");
    let dump = apt(&root, "apt-config", &["dump", "--format", "%f|%v%n", "T"]);
    let mut expected: Vec<(String, String)> =
        dump.lines().filter_map(|l| l.split_once('|')).map(|(k, v)| (k.to_lowercase(), v.to_string())).filter(|(k, _)| k.starts_with("t::")).collect();
    let conf = AptConf::read(&Host::rooted(&root).unwrap());
    assert!(conf.errors.is_empty() && conf.unsupported.is_empty(), "{:?}", conf.unsupported);
    // A node without a value is no setting.
    expected.retain(|(k, v)| !v.is_empty() || k == "t::empty");
    for (name, value) in expected.iter().filter(|(k, _)| !k.ends_with("::")) {
        assert_eq!(conf.setting(name).map(|s| s.value.as_str()), Some(value.as_str()), "{name}\n{dump}");
    }
    for list in ["t::c", "t::d", "t", "t::l", "t::q"] {
        let of_apt: Vec<&str> = expected.iter().filter(|(k, _)| *k == format!("{list}::")).map(|(_, v)| v.as_str()).collect();
        let named = expected.iter().filter(|(k, _)| k.strip_prefix(&format!("{list}::")).is_some_and(|r| !r.is_empty() && !r.contains("::"))).count();
        let ours: Vec<&str> = conf.values(list).iter().skip(named).map(|s| s.value.as_str()).collect();
        assert_eq!(ours, of_apt, "{list}\n{dump}");
    }
    for gone in ["T::Ignored", "T::O::Q::R", "T::I"] {
        assert!(conf.setting(gone).is_none(), "{gone}");
    }
}

fn sources_of_every_kind(root: &Path) {
    write(
        root,
        "/etc/apt/sources.list",
        "deb [ trusted=yes arch=amd64,arm64 ] http://a.example/debian bookworm main contrib\n\
         deb [arch+=i386 signed-by=/k.gpg check-valid-until=no] http://b.example/debian bookworm main\n\
         deb [arch-=i386] http://g.example/debian bookworm main # deb http://no.example x main\n\
         deb mirror+file:/etc/apt/mirror.list bookworm main\ndeb http://u:p@c.example/debian/ ./\ndeb cdrom:[Debian GNU/Linux 12 _X_]/ bookworm main\n\
         deb file:/srv/repo /\n# deb http://no.example x main\n",
    );
    write(
        root,
        "/etc/apt/sources.list.d/x.sources",
        "# note\nTypes: deb deb-src\nURIs: http://d.example/debian\n https://e.example/debian\nSuites: s1 s2\nComponents: main\nAllow-Insecure: yes\nArchitectures: amd64\n\n\
         Types: deb\nURIs: http://off.example/debian\nSuites: s1\nComponents: main\nEnabled: no\n\nX-Repolib-Name: x\ntypes: deb\nuris: http://f.example/debian\nsuites: s1\n\
         components: main non-free\nArchitectures-Remove: amd64\nSigned-By:\n -----BEGIN PGP PUBLIC KEY BLOCK-----\n .\n xyz\n -----END PGP PUBLIC KEY BLOCK-----\n",
    );
    for ignored in ["y.list.save", "y.list.dpkg-old", "y.sources.disabled", "y", "y.list~", "y z.list", ".y.list"] {
        write(root, &format!("/etc/apt/sources.list.d/{ignored}"), "deb http://no.example x main\n");
    }
    write(root, "/etc/apt/sources.list.d/a:b.list", "deb http://colon.example/debian bookworm main\n");
    write(root, "/var/lib/dpkg/status", "");
}

#[test]
fn sources_are_those_of_apt_get_indextargets() {
    let (_dir, root) = root_folder();
    sources_of_every_kind(&root);
    let format = ["indextargets", "--no-release-info", "--format", "$(FILENAME)", "Created-By: Packages"];
    let of_apt = apt(&root, "apt-get", &format);
    let lists = format!("{}/var/lib/apt/lists/", root.display());
    let expected: BTreeSet<&str> = of_apt.lines().map(|l| l.trim_start_matches(lists.as_str())).filter(|l| !l.contains("binary-all")).collect();
    let sources = Sources::read(&Host::rooted(&root).unwrap());
    assert!(sources.errors.is_empty() && sources.malformed.is_empty(), "{:?}", sources.malformed);
    let own = ["amd64".to_string(), "i386".to_string()];
    let mut found = BTreeSet::new();
    for repository in sources.repositories.iter().filter(|r| !r.options.disabled) {
        if repository.is_flat() {
            found.insert(repository.list_name("Packages"));
        }
        for component in &repository.components {
            found.extend(repository.options.effective_architectures(&own).iter().map(|a| repository.list_name(&format!("{component}/binary-{a}/Packages"))));
        }
    }
    assert_eq!(found.iter().map(String::as_str).collect::<BTreeSet<_>>(), expected);
    let off: Vec<&str> = sources.repositories.iter().filter(|r| r.options.disabled).map(|r| r.uri.as_str()).collect();
    assert_eq!(off, ["http://off.example/debian/"]);
}

/// A paragraph of a status file (with a status) or of a package list.
fn paragraph(name: &str, version: &str, status: &str) -> String {
    let rest = if status.is_empty() { format!("Filename: {name}\nSize: 1\nSHA256: {}\n", "0".repeat(64)) } else { format!("Status: {status}\n") };
    format!("Package: {name}\n{rest}Maintainer: x <x@example.com>\nArchitecture: amd64\nVersion: {version}\nDescription: x\n\n")
}

/// A fetched repository: signed Release file and one list.
fn fetched(root: &Path, name: &str, fields: &str, packages: &[(&str, &str)]) {
    let release = format!(
        "-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA256\n\n{fields}Architectures: amd64\nComponents: main\n-----BEGIN PGP SIGNATURE-----\n\nx\n-----END PGP SIGNATURE-----\n"
    );
    write(root, &format!("/var/lib/apt/lists/{name}_InRelease"), release);
    let list: String = packages.iter().map(|(n, v)| paragraph(n, v, "")).collect();
    write(root, &format!("/var/lib/apt/lists/{name}_main_binary-amd64_Packages"), list);
}

const INSTALLED: &[&str] = &["libalpha", "beta", "gamma", "delta", "epsilon", "zeta", "eta", "libtheta-dev", "iota"];

/// bookworm with a security update for every package; `settings` and `pins` decide which are taken.
fn machine(root: &Path, settings: &str, pins: &str) {
    let mut status: String = INSTALLED.iter().map(|name| paragraph(name, "1.0", "install ok installed")).collect();
    status.push_str(&paragraph("held", "1.0", "hold ok installed"));
    status.push_str(&paragraph("alone", "3", "install ok installed"));
    write(root, "/var/lib/dpkg/status", status);
    write(root, "/var/lib/dpkg/arch", "amd64\n");
    write(root, "/etc/os-release", "ID=debian\nVERSION_ID=\"12\"\nVERSION_CODENAME=bookworm\nPRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\n");
    write(root, "/etc/apt/apt.conf.d/50x", settings);
    write(root, "/etc/apt/preferences.d/x", pins);
    write(root, "/etc/apt/sources.list", "deb http://deb.debian.org/debian bookworm main\ndeb http://deb.debian.org/debian-security bookworm-security main\n");
    let names: Vec<&str> = INSTALLED.iter().copied().chain(["held"]).collect();
    let with = |version: &'static str| -> Vec<(&str, &str)> { names.iter().map(|n| (*n, version)).collect() };
    let debian = "Origin: Debian\nLabel: Debian\nSuite: oldstable\nCodename: bookworm\nDate: Sat, 17 May 2025 09:14:55 UTC\n";
    fetched(root, "deb.debian.org_debian_dists_bookworm", debian, &with("1.0"));
    let security = "Origin: Debian\nLabel: Debian-Security\nSuite: oldstable-security\nCodename: bookworm-security\nDate: Sun, 18 May 2025 09:14:55 UTC\n";
    fetched(root, "deb.debian.org_debian-security_dists_bookworm-security", security, &with("1.1"));
}

/// The findings of a scan of `root`, and its facts are in none of them.
fn findings(root: &Path) -> Vec<Value> {
    let (code, out, error) = run(ASSAY, &["scan", "--root", text(root), "--family", "os", "--family", "packages", "--family", "updates", "--format", "json"]);
    assert!(matches!(code, 0 | 3 | 10..=14), "{code} {error}");
    serde_json::from_str::<Value>(&out).unwrap()["findings"].as_array().unwrap().clone()
}

/// `(verdict, message)` of the one finding of a rule, or of the one about `subject`.
fn finding(findings: &[Value], rule: &str, subject: &str) -> (String, String) {
    let found: Vec<&Value> =
        findings.iter().filter(|f| f["rule"] == rule && (subject.is_empty() || f["subject"].as_str().unwrap().contains(subject))).collect();
    assert_eq!(found.len(), 1, "{rule} {subject}: {found:#?}");
    let word = |key: &str| found[0][key].as_str().unwrap().to_string();
    (word("verdict"), word("message"))
}

fn upgradable(root: &Path) -> BTreeSet<String> {
    apt(root, "apt", &["list", "--upgradable"]).lines().filter_map(|l| l.split_once('/')).map(|(n, _)| n.to_string()).collect()
}

#[test]
fn security_updates_kept_away_are_found_with_their_place() {
    let (_dir, root) = root_folder();
    machine(
        &root,
        "",
        "Explanation: all of theta's\nPackage: /^LIB.*dev$/\nPin: version 1.0\nPin-Priority: 1001\n\nPackage: beta\nPin: release l=Debian-Security\nPin-Priority: -1\n\n\
         Package: gamma\nPin: version 1.0*\nPin-Priority: 990\n\nPackage: src:delta\nPin: version 1.[0-0]\nPin-Priority: 990\n\n\
         Package: epsilon\nPin: release n=bookworm-security\nPin-Priority: 600\n\nPackage: zet\nPin: version 1.0\nPin-Priority: 1001\n\n\
         Package: eta:i386\nPin: version 1.0\nPin-Priority: 1001\n",
    );
    let (verdict, message) = finding(&findings(&root), "updates-held-security", "");
    assert_eq!(verdict, "fail");
    let pending = upgradable(&root);
    for (name, place) in [
        ("beta", "by pin (/etc/apt/preferences.d/x:7)"),
        ("gamma", "by pin (/etc/apt/preferences.d/x:11)"),
        ("delta", "by pin (/etc/apt/preferences.d/x:15)"),
        ("held", "by hold (/var/lib/dpkg/status:"),
        ("libtheta-dev", "by pin (/etc/apt/preferences.d/x:3)"),
    ] {
        assert!(message.contains(&format!("{name}:amd64 1.0 -> 1.1 {place}")), "{name}: {message}");
        assert_eq!(pending.contains(name), name == "held", "{name}: {pending:?}");
    }
    assert!(message.starts_with("5 held back"), "{message}");
    let taken: BTreeSet<String> = ["libalpha", "epsilon", "zeta", "eta", "iota", "held"].map(String::from).into();
    assert_eq!(pending, taken);
}

#[test]
fn a_default_release_can_keep_security_updates_away() {
    let (_dir, root) = root_folder();
    machine(&root, "APT::Default-Release \"bookworm\";\n", "");
    assert_eq!(upgradable(&root), BTreeSet::new());
    let (verdict, message) = finding(&findings(&root), "updates-held-security", "");
    assert_eq!(verdict, "fail");
    assert!(
        message.contains("libalpha:amd64 1.0 -> 1.1 by default-release (/etc/apt/apt.conf.d/50x:1)")
            || message.contains("beta:amd64 1.0 -> 1.1 by default-release"),
        "{message}"
    );
    // With the pattern of the manual's own example both are meant.
    machine(&root, "APT::Default-Release \"/^bookworm(|-security|-updates)$/\";\n", "");
    assert_eq!(upgradable(&root).len(), INSTALLED.len() + 1);
    let (_, message) = finding(&findings(&root), "updates-held-security", "");
    assert!(message.starts_with("1 held back: held:amd64"), "{message}");
}

#[test]
fn a_repository_never_fetched_hides_nothing_of_the_others() {
    let (_dir, root) = root_folder();
    machine(&root, "", "");
    for name in ["deb.debian.org_debian_dists_bookworm", "deb.debian.org_debian-security_dists_bookworm-security"] {
        assert!(root.join(format!("var/lib/apt/lists/{name}_InRelease")).exists());
    }
    write(&root, "/etc/apt/sources.list.d/vendor.list", "deb http://repo.example.com/debian stable main\n");
    let all = findings(&root);
    let verdict = |rule: &str, subject: &str| finding(&all, rule, subject).0;
    assert_eq!(verdict("updates-held-security", ""), "fail", "the hold");
    assert_eq!(finding(&all, "packages-orphaned", ""), ("fail".into(), "1 in no configured repository: alone 3".into()));
    assert_eq!(verdict("updates-lists-fresh", "deb.debian.org/debian bookworm main"), "pass");
    assert_eq!(verdict("updates-lists-fresh", "repo.example.com"), "fail");
    for (subject, expected) in [("deb.debian.org/debian bookworm main", "pass"), ("bookworm-security", "pass"), ("repo.example.com", "not_applicable")] {
        assert_eq!(verdict("updates-lists-expired", subject), expected, "{subject}");
    }
    // Without the hold and the orphan both rules pass; a security list that is missing takes that away again.
    let status: String = INSTALLED.iter().map(|name| paragraph(name, "1.0", "install ok installed")).collect();
    write(&root, "/var/lib/dpkg/status", status);
    let all = findings(&root);
    for rule in ["updates-held-security", "packages-orphaned"] {
        assert_eq!(finding(&all, rule, "").0, "pass", "{rule}");
    }
    std::fs::remove_file(root.join("var/lib/apt/lists/deb.debian.org_debian-security_dists_bookworm-security_InRelease")).unwrap();
    std::fs::remove_file(root.join("var/lib/apt/lists/deb.debian.org_debian-security_dists_bookworm-security_main_binary-amd64_Packages")).unwrap();
    assert_eq!(finding(&findings(&root), "updates-held-security", "").0, "unknown");
}

#[test]
fn a_line_that_apt_refuses_stops_every_update() {
    let (_dir, root) = root_folder();
    let automatic = |expected: &str| {
        let (verdict, message) = finding(&findings(&root), "updates-automatic", "");
        assert!(verdict == "fail" && message.contains(expected), "{verdict} {message}");
    };
    machine(&root, "APT::Get::Assume-Yes \"1\"\n", "");
    automatic("apt refuses its settings: /etc/apt/apt.conf.d/50x:1: APT::Get::Assume-Yes");
    machine(&root, "", "");
    write(&root, "/etc/apt/sources.list.d/a.list", "# vendor\ndeb http://x.example\n");
    automatic("apt refuses its sources: /etc/apt/sources.list.d/a.list:2: entry without a suite");
    assert_eq!(finding(&findings(&root), "updates-repository-unsigned", "deb.debian.org/debian bookworm").0, "pass");
    // What is switched off may be as incomplete as it likes.
    write(&root, "/etc/apt/sources.list.d/a.list", "");
    write(&root, "/etc/apt/sources.list.d/off.sources", "Types: deb\nEnabled: no\n");
    assert!(!finding(&findings(&root), "updates-automatic", "").1.contains("refuses"));
}

#[test]
fn an_option_of_a_paragraph_is_named_by_its_own_line() {
    let (_dir, root) = root_folder();
    machine(&root, "", "");
    write(
        &root,
        "/etc/apt/sources.list.d/v.sources",
        "Types: deb\nURIs: http://v.example/debian\nSuites: stable\nComponents: main\n#Trusted: no\nTrusted: yes\nCheck-Valid-Until: no\n",
    );
    let all = findings(&root);
    assert!(finding(&all, "updates-repository-unsigned", "v.example").1.contains("trusted=yes (/etc/apt/sources.list.d/v.sources:6)"));
    assert!(finding(&all, "updates-expiry-unchecked", "v.example").1.contains("(/etc/apt/sources.list.d/v.sources:7)"));
}

/// Two distributions' worth of versions under every form of pin: candidates are those of apt.
#[test]
fn every_form_of_pin_leads_to_apt_s_candidates() {
    let (_dir, root) = root_folder();
    let versions = ["1.0-1", "1.1", "1:0.5", "2.0~rc1", "2.0"];
    for pin in [
        "release a=oldstable",
        "release n=bookworm*",
        "release o=Debian, l=Debian-Security",
        "origin \"a.example\"",
        "origin *.example",
        "version 1.0*",
        "version /^1/",
        "release o=/debian/",
        "release c=main,a=oldstable",
        "release v=12*",
        "release bookworm",
        "release b=amd64",
        "origin \"\"",
    ] {
        for (package, priority) in [("/^lib/ src:src-beta", 1001), ("*", -1), ("*", 990)] {
            let status: String = ["libalpha", "beta", "gamma"].iter().zip(&versions).map(|(n, v)| paragraph(n, v, "install ok installed")).collect();
            write(&root, "/var/lib/dpkg/status", status);
            write(&root, "/var/lib/dpkg/arch", "amd64\n");
            write(&root, "/etc/apt/preferences", format!("Package: {package}\nPin: {pin}\nPin-Priority: {priority}\n"));
            write(
                &root,
                "/etc/apt/sources.list",
                "deb http://a.example/d bookworm main\ndeb http://b.example/d bookworm-security main\ndeb http://c.example/d bookworm-backports main\n",
            );
            let offered = |shift: usize| -> Vec<(&str, &str)> {
                ["libalpha", "beta", "gamma"]
                    .iter()
                    .enumerate()
                    .flat_map(|(i, n)| [(*n, versions[(i + shift) % 5]), (*n, versions[(i + shift + 2) % 5])])
                    .collect()
            };
            fetched(&root, "a.example_d_dists_bookworm", "Origin: Debian\nLabel: Debian\nSuite: oldstable\nCodename: bookworm\nVersion: 12.8\n", &offered(1));
            fetched(
                &root,
                "b.example_d_dists_bookworm-security",
                "Origin: Debian\nLabel: Debian-Security\nSuite: oldstable-security\nCodename: bookworm-security\n",
                &offered(2),
            );
            let backports =
                "Origin: Debian Backports\nSuite: oldstable-backports\nCodename: bookworm-backports\nNotAutomatic: yes\nButAutomaticUpgrades: yes\n";
            fetched(&root, "c.example_d_dists_bookworm-backports", backports, &offered(3));
            let of_apt = apt(&root, "apt", &["list", "--upgradable"]);
            let word = |l: &str| l.split_once('/').and_then(|(n, rest)| Some(format!("{n} {}", rest.split(' ').nth(1)?)));
            let expected: BTreeSet<String> = of_apt.lines().filter_map(word).collect();
            let mut gaps = Gaps::new();
            let family = facts::family("updates").unwrap();
            let updates = facts::gather(family, &Host::rooted(&root).unwrap(), &mut gaps).unwrap();
            let text = |p: &Value| format!("{} {}", p["name"].as_str().unwrap(), p["candidate"].as_str().unwrap());
            let found: BTreeSet<String> = updates["pending"].as_array().unwrap().iter().map(text).collect();
            assert_eq!(found, expected, "{package} {pin} {priority}");
        }
    }
}

#[test]
fn trust_is_read_as_apt_takes_it() {
    let (_dir, root) = root_folder();
    machine(&root, "", "");
    write(
        &root,
        "/etc/apt/sources.list.d/more.list",
        "deb [trusted=yes] http://apps.example/linux/debian bookworm main\ndeb [signed-by=/etc/apt/keyrings/tool.gpg] https://tool.example/apt stable main\n\
         #deb [trusted=yes] http://comment.example/debian bookworm main\ndeb [trusted=no] https://strict.example/debian bookworm main\n",
    );
    write(
        &root,
        "/etc/apt/sources.list.d/off.sources",
        "Types: deb\nURIs: http://off.example/x\nSuites: s\nComponents: main\nTrusted: yes\nEnabled: no\n\nTypes: deb\nURIs: https://loose.example/x\nSuites: s\nComponents: main\nAllow-Insecure: yes\n",
    );
    write(&root, "/etc/apt/sources.list.d/old.list.save", "deb [trusted=yes] http://saved.example/debian bookworm main\n");
    write(&root, "/etc/apt/trusted.gpg.d/tool.gpg", "x".repeat(500));
    write(&root, "/etc/apt/trusted.gpg.d/tool.gpg~", "x".repeat(500));
    write(&root, "/etc/apt/trusted.gpg.d/debian-archive-bookworm-stable.asc", "x".repeat(500));
    write(&root, "/etc/apt/trusted.gpg", "");
    let found = findings(&root);
    let unsigned = |subject: &str| finding(&found, "updates-repository-unsigned", subject);
    assert_eq!(unsigned("apps.example"), ("fail".into(), "signatures do not count: trusted=yes (/etc/apt/sources.list.d/more.list:1) (over http)".into()));
    assert_eq!(
        unsigned("loose.example"),
        ("fail".into(), "signatures do not count: allow-insecure=yes (/etc/apt/sources.list.d/off.sources:12) (over https)".into())
    );
    assert_eq!([unsigned("off.example").0, unsigned("strict.example").0, unsigned("deb.debian.org/debian bookworm").0], ["not_applicable", "pass", "pass"]);
    assert!(!found.iter().any(|f| ["saved.example", "comment.example"].iter().any(|n| f["subject"].as_str().unwrap().contains(n))));
    let third = |subject: &str| finding(&found, "updates-repository-third-party", subject).0;
    assert_eq!(
        [third("tool.example"), third("deb.debian.org/debian-security"), third("strict.example"), third("off.example")],
        ["fail", "pass", "unknown", "not_applicable"]
    );
    let (verdict, message) = finding(&found, "updates-repository-global-key", "");
    assert_eq!((verdict.as_str(), message.as_str()), ("fail", "/etc/apt/trusted.gpg.d/tool.gpg may sign any repository"));

    // A later fragment takes a global setting back; a name that apt ignores says nothing.
    write(&root, "/etc/apt/apt.conf.d/60x", "Acquire::AllowInsecureRepositories \"true\";\nAcquire::Check-Valid-Until \"no\";\n");
    write(&root, "/etc/apt/apt.conf.d/70x", "Acquire::AllowInsecureRepositories \"false\";\n");
    write(&root, "/etc/apt/apt.conf.d/80x.bak", "APT::Get::AllowUnauthenticated \"true\";\n");
    let found = findings(&root);
    assert_eq!(finding(&found, "updates-repository-unsigned", "deb.debian.org/debian bookworm").0, "pass");
    let expiry = finding(&found, "updates-expiry-unchecked", "deb.debian.org/debian bookworm");
    assert_eq!(expiry, ("fail".into(), "switched off by Acquire::Check-Valid-Until (/etc/apt/apt.conf.d/60x:2)".into()));
    write(&root, "/etc/apt/apt.conf.d/85x", "Acquire::https { Verify-Peer \"false\"; strict.example { Verify-Peer \"true\"; }; };\n");
    let found = findings(&root);
    let certificate = |subject: &str| finding(&found, "updates-repository-certificate", subject);
    assert_eq!(certificate("tool.example"), ("fail".into(), "any certificate is accepted: Acquire::https::Verify-Peer (/etc/apt/apt.conf.d/85x:1)".into()));
    assert_eq!([certificate("strict.example").0, certificate("apps.example").0], ["pass", "not_applicable"]);
    write(&root, "/etc/apt/apt.conf.d/90x", "APT { Get { AllowUnauthenticated \"1\"; }; };\n");
    let (verdict, message) = finding(&findings(&root), "updates-repository-unsigned", "deb.debian.org/debian bookworm");
    assert_eq!(
        (verdict.as_str(), message.as_str()),
        ("fail", "signatures do not count: APT::Get::AllowUnauthenticated (/etc/apt/apt.conf.d/90x:1) (over http)")
    );
}

/// What Debian 12 ships when unattended-upgrades is switched on.
fn automatic(root: &Path) {
    machine(root, "APT::Periodic::Update-Package-Lists \"1\";\nAPT::Periodic::Unattended-Upgrade \"1\";\n", "");
    let status = std::fs::read_to_string(root.join("var/lib/dpkg/status")).unwrap();
    write(root, "/var/lib/dpkg/status", status + &paragraph("unattended-upgrades", "2.9", "install ok installed"));
    write(
        root,
        "/etc/apt/apt.conf.d/50unattended-upgrades",
        "Unattended-Upgrade::Origins-Pattern {\n//      \"origin=Debian,codename=${distro_codename}-updates\";\n        \"origin=Debian,codename=${distro_codename},label=Debian\";\n        \
         \"origin=Debian,codename=${distro_codename}-security,label=Debian-Security\";\n};\nUnattended-Upgrade::Package-Blacklist {\n//  \"linux-\";\n};\n",
    );
    write(root, "/usr/lib/systemd/systemd", "");
    for timer in ["apt-daily.timer", "apt-daily-upgrade.timer"] {
        write(root, &format!("/usr/lib/systemd/system/{timer}"), "[Timer]\n");
        let link = root.join(format!("etc/systemd/system/timers.target.wants/{timer}"));
        std::fs::create_dir_all(link.parent().unwrap()).unwrap();
        let _ = symlink(format!("/lib/systemd/system/{timer}"), link);
    }
}

#[test]
fn automatic_updates_are_judged_as_they_take_effect() {
    let (_dir, root) = root_folder();
    automatic(&root);
    let judged = || finding(&findings(&root), "updates-automatic", "");
    assert_eq!(judged(), ("pass".into(), String::new()));
    assert_eq!(finding(&findings(&root), "updates-automatic-succeeding", "").0, "unknown");

    for (path, content, expected) in [
        ("/etc/apt/apt.conf.d/60a", "APT::Periodic::Enable \"0\";", "APT::Periodic::Enable is 0 (/etc/apt/apt.conf.d/60a:1)"),
        ("/etc/apt/apt.conf.d/60b", "\nAPT::Periodic::Unattended-Upgrade \"0\";", "APT::Periodic::Unattended-Upgrade is 0 (/etc/apt/apt.conf.d/60b:2)"),
        ("/etc/systemd/system/apt-daily-upgrade.timer", "", "masked: /etc/systemd/system/apt-daily-upgrade.timer"),
        (
            "/etc/apt/apt.conf.d/60c",
            "#clear Unattended-Upgrade::Origins-Pattern;\nUnattended-Upgrade::Origins-Pattern { \"origin=Debian,codename=bullseye-security\"; };",
            "matches the security repository",
        ),
        (
            "/etc/apt/apt.conf.d/60d",
            "Unattended-Upgrade::Origins-Pattern { \"vendor=Debian\"; };",
            "refuses a pattern of Unattended-Upgrade::Origins-Pattern (/etc/apt/apt.conf.d/60d:1)",
        ),
        ("/etc/apt/apt.conf.d/60e", "Unattended-Upgrade::InstallOnShutdown \"true\";", "at shutdown only (/etc/apt/apt.conf.d/60e:1)"),
        ("/etc/apt/apt.conf.d/60g", "APT::Default-Release \"bullseye\";", "APT::Default-Release names no configured release (/etc/apt/apt.conf.d/60g:1)"),
        ("/etc/apt/apt.conf.d/60f", "Unattended-Upgrade::Package-Blacklist { \".*\"; };", "leaves every package out (/etc/apt/apt.conf.d/60f:1)"),
    ] {
        write(&root, path, content);
        let (verdict, message) = judged();
        assert_eq!(verdict, "fail", "{path}");
        assert!(message.contains(expected), "{path}: {message}");
        std::fs::remove_file(root.join(path.trim_start_matches('/'))).unwrap();
    }
    // Ubuntu's spelling, and a narrow exclusion: still automatic, but what is excluded is held back.
    write(
        &root,
        "/etc/apt/apt.conf.d/60g",
        "#clear Unattended-Upgrade::Origins-Pattern;\nUnattended-Upgrade::Allowed-Origins { \"${distro_id}:oldstable-security\"; };\nUnattended-Upgrade::Package-Blacklist { \"iota$\"; };",
    );
    assert_eq!(judged().0, "pass");
    let (_, message) = finding(&findings(&root), "updates-held-security", "");
    assert!(message.contains("iota:amd64 1.0 -> 1.1 by excluded (/etc/apt/apt.conf.d/60g:3)"), "{message}");

    write(
        &root,
        "/var/log/unattended-upgrades/unattended-upgrades.log",
        "2025-05-17 06:33:42,123 INFO All upgrades installed\n2025-05-18 06:33:42,123 ERROR Installing the upgrades failed!\n",
    );
    let (verdict, message) = finding(&findings(&root), "updates-automatic-succeeding", "");
    assert_eq!(verdict, "fail");
    assert!(message.contains("on 2025-05-17") && message.ends_with("last error on 2025-05-18"), "{message}");
    write(&root, "/var/lib/apt/periodic/upgrade-stamp", "");
    assert_eq!(finding(&findings(&root), "updates-automatic-succeeding", "").0, "pass");
}

#[test]
fn broken_orphaned_and_unfetched_are_told_apart() {
    let (_dir, root) = root_folder();
    machine(&root, "", "");
    let found = findings(&root);
    assert_eq!(finding(&found, "packages-orphaned", ""), ("fail".into(), "1 in no configured repository: alone 3".into()));
    let obsolete = apt(&root, "apt", &["list", "?obsolete"]);
    assert_eq!(obsolete.lines().filter_map(|l| l.split_once('/')).map(|(n, _)| n).collect::<Vec<_>>(), ["alone"]);
    assert_eq!(finding(&found, "packages-broken", "").0, "pass");
    assert_eq!(finding(&found, "updates-security-repository", "").0, "pass");
    let (verdict, message) = finding(&found, "updates-security-pending", "");
    assert!(verdict == "fail" && message.contains("beta 1.0 -> 1.1 (public by 2025-05-18)"), "{message}");

    let status = std::fs::read_to_string(root.join("var/lib/dpkg/status")).unwrap();
    let broken = status
        + &paragraph("half", "1", "install ok half-configured")
        + &paragraph("lost", "1", "install reinstreq installed")
        + &paragraph("gone", "1", "deinstall ok config-files");
    write(&root, "/var/lib/dpkg/status", broken + &paragraph("waits", "1", "install ok triggers-pending"));
    let (verdict, message) = finding(&findings(&root), "packages-broken", "");
    assert_eq!(verdict, "fail");
    assert!(
        message.starts_with("half:amd64 is half-configured (/var/lib/dpkg/status:") && message.contains("lost:amd64 is installed, to be installed anew"),
        "{message}"
    );
    assert!(!message.contains("gone") && !message.contains("waits"), "{message}");

    write(
        &root,
        "/etc/apt/sources.list",
        "deb http://deb.debian.org/debian bookworm main\n# deb http://deb.debian.org/debian-security bookworm-security main\n",
    );
    assert_eq!(finding(&findings(&root), "updates-security-repository", "").0, "fail");
    write(
        &root,
        "/etc/apt/sources.list",
        "deb http://deb.debian.org/debian bookworm main\ndeb http://deb.debian.org/debian-security bookworm-security main contrib\n",
    );
    let found = findings(&root);
    let verdicts = ["packages-orphaned", "updates-security-pending"].map(|rule| finding(&found, rule, "").0);
    assert_eq!(verdicts, ["unknown", "fail"], "the list of contrib is missing");
    let expired = "Origin: Debian\nLabel: Debian-Security\nSuite: oldstable-security\nCodename: bookworm-security\nDate: Sun, 18 May 2025 09:14:55 UTC\nValid-Until: Sun, 25 May 2025 09:14:55 UTC\n";
    fetched(&root, "deb.debian.org_debian-security_dists_bookworm-security", expired, &[]);
    let expiry = finding(&findings(&root), "updates-lists-expired", "debian-security bookworm-security main");
    assert_eq!(expiry, ("fail".into(), "the list expired on 2025-05-25".into()));
}

#[test]
fn a_program_on_a_deleted_library_is_seen() {
    // Code below /tmp and /var/tmp is left out on purpose, and a checkout may lie there.
    let own = env!("CARGO_TARGET_TMPDIR");
    let base = if ["/tmp/", "/var/tmp/"].iter().any(|t| own.starts_with(t)) { "/opt" } else { own };
    let dir = tempfile::tempdir_in(base).unwrap();
    let (stale, sound) = (dir.path().join("stale"), dir.path().join("sound"));
    let library = dir.path().join("libstale.so.1");
    let decoy = dir.path().join("data.bin");
    let own = std::fs::read_to_string("/proc/self/maps").unwrap();
    let libc = own.lines().find(|l| l.contains("libc.so.6") && l.contains("r-xp")).unwrap();
    std::fs::copy(libc.get(libc.find('/').unwrap()..).unwrap(), &library).unwrap();
    std::fs::write(&decoy, vec![0; 8192]).unwrap();
    for program in [&stale, &sound] {
        std::fs::copy("/usr/bin/python3", program).unwrap();
    }
    // Maps a file, executable or not, and waits.
    let script = "import mmap,sys,time\nf=open(sys.argv[1],'rb')\nm=mmap.mmap(f.fileno(),4096,flags=mmap.MAP_PRIVATE,prot=mmap.PROT_READ|int(sys.argv[2]))\nprint('up',flush=True)\ntime.sleep(60)";
    let start = |program: &Path, file: &Path, protection: &str| {
        let mut child = Command::new(program).args(["-c", script, text(file), protection]).stdout(std::process::Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        std::io::BufRead::read_line(&mut std::io::BufReader::new(child.stdout.as_mut().unwrap()), &mut line).unwrap();
        assert_eq!(line, "up\n");
        child
    };
    let mut children = [start(&stale, &library, "4"), start(&sound, &decoy, "0")];
    // As a package manager does: the new file takes the old one's name.
    for path in [&library, &decoy] {
        std::fs::write(path.with_extension("new"), "new").unwrap();
        std::fs::rename(path.with_extension("new"), path).unwrap();
    }
    let (code, out, error) = run(ASSAY, &["scan", "--family", "stale_processes", "--format", "json"]);
    for child in &mut children {
        child.kill().unwrap();
        child.wait().unwrap();
    }
    assert!(matches!(code, 0 | 3 | 10..=14), "{error}");
    let found = serde_json::from_str::<Value>(&out).unwrap()["findings"].as_array().unwrap().clone();
    let finding = found.iter().find(|f| f["rule"] == "process-deleted-library").unwrap();
    assert_eq!(finding["verdict"], "fail");
    let cited = finding["citations"].to_string() + finding["message"].as_str().unwrap();
    assert!(cited.contains(text(&stale)) && cited.contains(text(&library)), "{finding:#}");
    assert!(!finding.to_string().contains(text(&sound)), "{finding:#}");
}

#[test]
fn ubuntu_s_own_settings_are_understood() {
    let (_dir, root) = root_folder();
    automatic(&root);
    write(&root, "/etc/os-release", "ID=ubuntu\nID_LIKE=debian\nVERSION_ID=\"22.04\"\nVERSION_CODENAME=jammy\n");
    let ubuntu = "Unattended-Upgrade::Allowed-Origins {\n\t\"${distro_id}:${distro_codename}\";\n\t\"${distro_id}:${distro_codename}-security\";\n};\n";
    write(&root, "/etc/apt/apt.conf.d/50unattended-upgrades", ubuntu);
    write(
        &root,
        "/etc/apt/sources.list",
        "deb http://archive.ubuntu.com/ubuntu jammy-updates main\ndeb http://security.ubuntu.com/ubuntu jammy-security main\n\
         deb https://ppa.launchpadcontent.net/a/b/ubuntu jammy main\n",
    );
    let updates = "Origin: Ubuntu\nLabel: Ubuntu\nSuite: jammy-updates\nCodename: jammy\n";
    fetched(&root, "archive.ubuntu.com_ubuntu_dists_jammy-updates", updates, &[]);
    let phased = paragraph("beta", "1.2", "").replace("Size: 1\n", "Size: 1\nPhased-Update-Percentage: 20\n");
    write(&root, "/var/lib/apt/lists/archive.ubuntu.com_ubuntu_dists_jammy-updates_main_binary-amd64_Packages", phased);
    let security = "Origin: Ubuntu\nLabel: Ubuntu\nSuite: jammy-security\nCodename: jammy\n";
    fetched(&root, "security.ubuntu.com_ubuntu_dists_jammy-security", security, &[("beta", "1.0"), ("gamma", "1.1")]);
    fetched(&root, "ppa.launchpadcontent.net_a_b_ubuntu_dists_jammy", "Origin: LP-PPA-a-b\nSuite: jammy\nCodename: jammy\n", &[]);
    let found = findings(&root);
    assert_eq!(finding(&found, "updates-automatic", ""), ("pass".into(), String::new()));
    assert_eq!(finding(&found, "updates-security-repository", "").0, "pass");
    let third = |subject: &str| finding(&found, "updates-repository-third-party", subject).0;
    assert_eq!([third("archive.ubuntu.com"), third("ppa.launchpadcontent.net")], ["pass", "fail"]);
    let pending = finding(&found, "updates-security-pending", "").1;
    assert!(pending.starts_with("1 pending: gamma 1.0 -> 1.1"), "{pending}");
    let family = facts::family("updates").unwrap();
    let gathered = facts::gather(family, &Host::rooted(&root).unwrap(), &mut Gaps::new()).unwrap();
    let percentages: Vec<&Value> = gathered["pending"].as_array().unwrap().iter().map(|p| &p["phased_percentage"]).collect();
    assert_eq!(percentages, [20, 100]);
}
