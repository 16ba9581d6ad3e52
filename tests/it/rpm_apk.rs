//! Packages and updates of rpm and apk systems: databases, lists and locks made by the programs
//! themselves, compared with what the programs say of them.
#![allow(clippy::disallowed_methods, reason = "the tests ask rpm, dnf and createrepo_c, the product starts nothing")]

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use assay::facts::{self, FAMILIES};
use assay::host::{Host, rpm};
use assay::model::gap::Gaps;
use serde_json::{Value, json};

use super::support::{ASSAY, run, text};

fn gather(root: &Path, names: &[&str]) -> Value {
    let host = Host::rooted(root).unwrap();
    let mut gaps = Gaps::new();
    let mut out = serde_json::Map::new();
    for family in FAMILIES.iter().filter(|f| names.contains(&f.name)) {
        out.insert(family.name.into(), facts::gather(family, &host, &mut gaps).unwrap_or_default());
    }
    out.insert("gaps".into(), serde_json::to_value(gaps.into_sorted()).unwrap());
    Value::Object(out)
}

fn write(root: &Path, path: &str, text: impl AsRef<[u8]>) {
    let path = root.join(path.trim_start_matches('/'));
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, text).unwrap();
}

fn command(program: &str, folder: &Path, arguments: &[&str]) -> String {
    let output = Command::new(program).current_dir(folder).args(arguments).env("HOME", "/root").env("LC_ALL", "C").env("COLUMNS", "200").output().unwrap();
    // dnf answers 100 when updates wait.
    assert!(matches!(output.status.code(), Some(0 | 100)), "{program} {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// Builds `name epoch version release arch` without files into a folder; `extra` are lines of the spec.
fn build(lab: &Path, folder: &str, package: &str, extra: &str) {
    let words: Vec<&str> = package.split(' ').collect();
    let [name, epoch, version, release, arch] = words.as_slice() else { panic!("{package}") };
    let epoch = if *epoch == "0" { String::new() } else { format!("Epoch: {epoch}\n") };
    let spec = format!(
        "Name: {name}\n{epoch}Version: {version}\nRelease: {release}\nSummary: x\nLicense: MIT\nVendor: Rocky\n{}{extra}\n%description\nx\n%files\n",
        if *arch == "noarch" { "BuildArch: noarch\n" } else { "" }
    );
    write(lab, "x.spec", spec);
    let (top, out) = (format!("_topdir {}/top", lab.display()), format!("_rpmdir {}/{folder}", lab.display()));
    command("rpmbuild", lab, &["--quiet", "-bb", "--target", arch, "--define", &top, "--define", &out, "--define", "debug_package %{nil}", "x.spec"]);
}

const KERNEL: &str = "Provides: kernel\nProvides: installonlypkg(kernel)\n";

/// Repositories `base` (with advisories and modules), `extra` and `off`.
fn repositories(lab: &Path) {
    for package in [
        "bash 0 5.1.8 9.el9 x86_64",
        "openssl-libs 1 3.0.7 25.el9 x86_64",
        "openssl-libs 1 3.0.7 27.el9 x86_64",
        "tzdata 0 2024b 1.el9 noarch",
        "zlib 0 1.2.11 40.el9 x86_64",
        "vim 0 9.0 2.el9 x86_64",
        "curl 0 8.0 2.el9 x86_64",
        "sqlite 0 3.34.1 7.el9 x86_64",
        "nodejs 1 18.2.0 1.module+el9 x86_64",
        "nodejs 1 20.1.0 1.module+el9 x86_64",
        "foo 0 1.9 1 x86_64",
        "bar 0 1.1 1 x86_64",
        "rc 0 1.0 1 x86_64",
        "caret 0 1.0^git2 1 x86_64",
        "baz 0 2 1 noarch",
    ] {
        build(lab, "base", package, "");
    }
    build(lab, "base", "kernel-core 0 5.14.0 427.16.1.el9_4 x86_64", KERNEL);
    for package in ["bar 0 2.0 1 x86_64", "nodejs 1 21.0.0 1.el9 x86_64", "only 0 2 1 x86_64"] {
        build(lab, "extra", package, "");
    }
    build(lab, "off", "bash 0 9.9 1 x86_64", "");
    for folder in ["base", "extra", "off"] {
        command("createrepo_c", lab, &["-q", folder]);
    }
    let advisory = |id: &str, kind: &str, severity: &str, date: &str, package: &str| {
        let words: Vec<&str> = package.split(' ').collect();
        format!(
            "<update from='x' status='final' type='{kind}' version='1'><id>{id}</id><title>t</title><issued date='{date}'/><severity>{severity}</severity>\
             <description>d</description><pkglist><collection short='c'><name>n</name><package name='{0}' epoch='{1}' version='{2}' release='{3}' arch='{4}' src='s'>\
             <filename>{0}-{2}-{3}.{4}.rpm</filename></package></collection></pkglist></update>",
            words[0], words[1], words[2], words[3], words[4]
        )
    };
    let advisories = [
        advisory("RLSA-1", "security", "Important", "2024-05-01 00:00:00", "bash 0 5.1.8 9.el9 x86_64"),
        advisory("RLSA-2", "security", "Critical", "2024-03-01 00:00:00", "openssl-libs 1 3.0.7 25.el9 x86_64"),
        advisory("RLSA-3", "security", "Low", "2024-06-01 00:00:00", "openssl-libs 1 3.0.7 27.el9 x86_64"),
        advisory("RLSA-4", "security", "Moderate", "2024-02-01 00:00:00", "vim 0 9.0 2.el9 x86_64"),
        advisory("RLSA-5", "security", "Moderate", "2024-02-01 00:00:00", "curl 0 8.0 2.el9 x86_64"),
        // Already installed, and for a version that is not there.
        advisory("RLSA-6", "security", "Low", "2024-01-01 00:00:00", "bash 0 5.1.8 6.el9 x86_64"),
        advisory("RLSA-7", "security", "Low", "2024-01-01 00:00:00", "tzdata 0 2025a 1.el9 noarch"),
        advisory("RLBA-1", "bugfix", "None", "2024-01-01 00:00:00", "tzdata 0 2024b 1.el9 noarch"),
    ];
    write(lab, "updateinfo.xml", format!("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<updates>{}</updates>", advisories.concat()));
    let module = |stream: &str, artifact: &str| {
        format!(
            "---\ndocument: modulemd\nversion: 2\ndata:\n  name: nodejs\n  stream: \"{stream}\"\n  version: 1\n  context: aaaaaaaa\n  arch: x86_64\n  summary: s\n\
             \x20 description: d\n  license:\n    module: [MIT]\n  artifacts:\n    rpms:\n    - {artifact}\n...\n"
        )
    };
    write(lab, "modules.yaml", module("18", "nodejs-1:18.2.0-1.module+el9.x86_64") + &module("20", "nodejs-1:20.1.0-1.module+el9.x86_64"));
    for kind in ["updateinfo.xml", "modules.yaml"] {
        command("modifyrepo_c", lab, &[kind, "base/repodata"]);
    }
}

/// A root with rpm's own database and dnf's own caches.
fn rpm_root(lab: &Path, root: &Path) {
    repositories(lab);
    for package in [
        "bash 0 5.1.8 6.el9 x86_64",
        "openssl-libs 1 3.0.7 24.el9 x86_64",
        "tzdata 0 2024a 1.el9 noarch",
        "zlib 0 1.2.11 40.el9 x86_64",
        "vim 0 9.0 1.el9 x86_64",
        "curl 0 8.0 1.el9 x86_64",
        "sqlite 0 3.34.1 6.el9 x86_64",
        "nodejs 1 18.1.0 1.module+el9 x86_64",
        "foo 0 2.0 1 x86_64",
        "bar 0 1.0 1 x86_64",
        "rc 0 1.0~rc1 1 x86_64",
        "caret 0 1.0 1 x86_64",
        "baz 0 1 1 x86_64",
        "stray 0 1 1 x86_64",
    ] {
        build(lab, "old", package, "");
    }
    build(lab, "old", "kernel-core 0 5.14.0 427.el9 x86_64", KERNEL);
    build(lab, "old", "kernel-core 0 5.14.0 427.13.1.el9_4 x86_64", KERNEL);
    let at = |path: &str| root.join(path).display().to_string();
    std::fs::create_dir_all(root.join("var/lib/rpm")).unwrap();
    // Where Debian's build of rpm looks.
    std::fs::create_dir_all(root.join("root")).unwrap();
    std::os::unix::fs::symlink("../var/lib/rpm", root.join("root/.rpmdb")).unwrap();
    let files = command("find", lab, &["old", "-name", "*.rpm"]);
    let mut arguments =
        vec!["--dbpath".to_string(), at("var/lib/rpm"), "-i".into(), "--justdb".into(), "--nodeps".into(), "--ignorearch".into(), "--force".into()];
    arguments.extend(files.lines().map(String::from));
    command("rpm", lab, &arguments.iter().map(String::as_str).collect::<Vec<_>>());
    write(root, "/etc/os-release", "ID=rocky\nVERSION_ID=9.4\nID_LIKE=\"rhel centos fedora\"\nPRETTY_NAME=\"Rocky Linux 9.4\"\nPLATFORM_ID=\"platform:el9\"\n");
    write(root, "/etc/dnf/dnf.conf", "[main]\ngpgcheck=1\ninstallonly_limit=3\nexcludepkgs=vim*\n");
    let lab = lab.display();
    write(
        root,
        "/etc/yum.repos.d/rocky.repo",
        format!(
            "[base]\nname=b\nbaseurl=file://{lab}/base\npriority=10\nexcludepkgs=sqlite\n\n[extra]\nname=e\nbaseurl=file://{lab}/extra\n# gpgcheck=0\n\n\
             [off]\nname=o\nbaseurl=file://{lab}/off\nenabled=0\ngpgcheck=0\n"
        ),
    );
    write(root, "/etc/yum.repos.d/old.repo.rpmsave", format!("[off2]\nbaseurl=file://{lab}/off\ngpgcheck=0\n"));
    write(root, "/etc/dnf/modules.d/nodejs.module", "[nodejs]\nname=nodejs\nprofiles=\nstate=enabled\nstream=18\n");
    write(root, "/etc/dnf/plugins/versionlock.list", "# Added lock\ncurl-0:8.0-1.el9.*\n");
}

fn dnf(lab: &Path, root: &Path, arguments: &[&str]) -> String {
    let options = [
        format!("--installroot={}", root.display()),
        format!("--config={}/etc/dnf/dnf.conf", root.display()),
        format!("--setopt=reposdir={}/etc/yum.repos.d", root.display()),
        format!("--setopt=cachedir={}/var/cache/dnf", root.display()),
        "--setopt=gpgcheck=0".into(),
        "--setopt=module_platform_id=platform:el9".into(),
        "--releasever=9".into(),
        "--forcearch=x86_64".into(),
        "-q".into(),
    ];
    let mut all: Vec<&str> = options.iter().map(String::as_str).collect();
    all.extend(arguments);
    command("dnf", lab, &all)
}

fn waiting(facts: &Value) -> BTreeSet<String> {
    let word = |p: &Value, key: &str| p[key].as_str().unwrap().to_string();
    let pending = facts["updates"]["pending"].as_array().unwrap().iter();
    pending
        .filter(|p| p["held"] == false)
        .map(|p| format!("{}.{} {} {}", word(p, "name"), word(p, "architecture"), word(p, "candidate"), word(p, "repository")))
        .collect()
}

#[test]
fn packages_and_updates_of_an_rpm_root_are_those_of_rpm_and_dnf() {
    let (lab, root) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (lab, root) = (lab.path(), root.path());
    rpm_root(lab, root);
    let checked = dnf(lab, root, &["check-update"]);
    let facts = gather(root, &["packages", "updates", "os", "kernel"]);

    let format = "%{NAME} %|EPOCH?{%{EPOCH}:}|%{VERSION}-%{RELEASE} %{ARCH} %{INSTALLTIME} %{VENDOR}\n";
    let asked = command("rpm", lab, &["--dbpath", &root.join("var/lib/rpm").display().to_string(), "-qa", "--qf", format]);
    let shown = facts["packages"]["items"].as_array().unwrap().iter().map(|p| {
        format!(
            "{} {} {} {} {}",
            p["name"].as_str().unwrap(),
            p["version"].as_str().unwrap(),
            p["architecture"].as_str().unwrap(),
            p["installed_at"],
            p["vendor"].as_str().unwrap()
        )
    });
    assert_eq!(shown.collect::<BTreeSet<_>>(), asked.lines().map(String::from).collect());
    assert_eq!((&facts["packages"]["manager"], &facts["packages"]["items"][0]["signed_by"]), (&json!("rpm"), &json!("")));

    // `name.arch version repository`; the architecture is that of the candidate.
    let of_dnf: BTreeSet<String> = checked
        .lines()
        .filter(|l| !l.trim().is_empty())
        .map(|l| l.split_whitespace().collect::<Vec<_>>().join(" ").replace("baz.noarch", "baz.x86_64"))
        .collect();
    // curl is locked by a plugin that the test does not load.
    let unlocked: BTreeSet<String> = of_dnf.iter().filter(|l| !l.starts_with("curl.")).cloned().collect();
    assert_eq!(waiting(&facts), unlocked, "{checked}");
    assert_eq!(unlocked.len(), 9, "{checked}");

    let pending = facts["updates"]["pending"].as_array().unwrap();
    let of = |name: &str| pending.iter().find(|p| p["name"] == name).unwrap();
    assert_eq!((&of("openssl-libs")["severity"], &of("openssl-libs")["advisories"]), (&json!("critical"), &json!(["RLSA-2", "RLSA-3"])));
    assert_eq!((&of("bash")["advisories"], &of("bash")["published_at"]), (&json!(["RLSA-1"]), &json!(1_714_521_600)));
    assert_eq!((&of("tzdata")["security"], &of("vim")["held"], &of("vim")["security"]), (&json!(false), &json!(true), &json!(true)));
    let held: Vec<String> = facts["updates"]["held"]
        .as_array()
        .unwrap()
        .iter()
        .map(|h| format!("{} {} {}:{}", h["subject"].as_str().unwrap(), h["by"].as_str().unwrap(), h["source"]["place"].as_str().unwrap(), h["source"]["line"]))
        .collect();
    assert_eq!(
        held,
        [
            "curl:x86_64 lock /etc/dnf/plugins/versionlock.list:2",
            "sqlite:x86_64 exclude /etc/yum.repos.d/rocky.repo:5",
            "vim:x86_64 exclude /etc/dnf/dnf.conf:4"
        ]
    );
    let security: BTreeSet<&str> = pending.iter().filter(|p| p["security"] == true && p["held"] == false).map(|p| p["name"].as_str().unwrap()).collect();
    let listed = dnf(lab, root, &["-C", "updateinfo", "list", "--security"]);
    assert!(security.iter().all(|n| listed.contains(&format!("{n}-"))), "{listed}");
    assert_eq!(security, BTreeSet::from(["bash", "openssl-libs"]));
    let orphaned: Vec<&str> = facts["updates"]["orphaned"].as_array().unwrap().iter().map(|o| o["name"].as_str().unwrap()).collect();
    assert_eq!(orphaned, ["stray"]);
    assert_eq!((&facts["os"]["architecture"], &facts["updates"]["manager"]), (&json!("x86_64"), &json!("dnf")));
    let hidden: Vec<&Value> = facts["gaps"].as_array().unwrap().iter().filter(|g| g["family"] == "updates").collect();
    assert_eq!(hidden, [&json!(null); 0]);
}

#[test]
fn lists_that_are_missing_or_damaged_are_gaps_and_the_faults_have_their_lines() {
    let (lab, root) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (lab, root) = (lab.path(), root.path());
    rpm_root(lab, root);
    let gaps = |facts: &Value| -> Vec<String> {
        let of = |g: &&Value| g["family"] == "updates" && g["path"] == "pending";
        facts["gaps"].as_array().unwrap().iter().filter(of).map(|g| format!("{}: {}", g["reason"].as_str().unwrap(), g["detail"].as_str().unwrap())).collect()
    };
    let before = gather(root, &["updates"]);
    assert_eq!(
        gaps(&before),
        ["missing: no package list of repository base below /var/cache/dnf", "missing: no package list of repository extra below /var/cache/dnf"]
    );
    assert_eq!(before["updates"]["lists"][0]["present"], false);
    dnf(lab, root, &["makecache"]);
    assert_eq!(gaps(&gather(root, &["updates"])), [""; 0]);
    let primary = command("find", root, &["var/cache/dnf", "-path", "*base-*", "-name", "*-primary.xml.*"]);
    let path = root.join(primary.trim());
    let bytes = std::fs::read(&path).unwrap();
    std::fs::write(&path, &bytes[..bytes.len() / 2]).unwrap();
    assert!(gaps(&gather(root, &["updates"]))[0].starts_with("malformed: "));
    std::fs::write(&path, b"\0ZCK1").unwrap();
    assert!(gaps(&gather(root, &["updates"]))[0].contains("zchunk is not read"));
    std::fs::remove_file(&path).unwrap();
    assert!(gaps(&gather(root, &["updates"]))[0].starts_with("missing: "));

    write(root, "/etc/yum.repos.d/vendor.repo", "[vendor]\nname=v\nbaseurl=http://user:secret@vendor.example/el9\nenabled=1\ngpgcheck=0\n");
    let facts = gather(root, &["updates"]);
    let unsigned: Vec<&Value> =
        facts["updates"]["repositories"].as_array().unwrap().iter().filter(|r| r["trusted_without_signature"] == true && r["enabled"] == true).collect();
    assert_eq!(unsigned.len(), 1, "{unsigned:?}");
    assert_eq!((&unsigned[0]["url"], &unsigned[0]["source"]["line"]), (&json!("http://vendor.example/el9"), &json!(5)));
    assert!(!facts.to_string().contains("secret"));
    // A database of another kind hides everything, and says so.
    std::fs::rename(root.join("var/lib/rpm/rpmdb.sqlite"), root.join("var/lib/rpm/Packages")).unwrap();
    let facts = gather(root, &["packages", "updates"]);
    assert_eq!((&facts["packages"], &facts["updates"]), (&json!(null), &json!(null)));
    assert!(facts["gaps"].as_array().unwrap().iter().all(|g| g["path"] == "" && g["reason"] == "unsupported"));
    assert_eq!(facts["gaps"].as_array().unwrap().len(), 2);
}

#[test]
fn versions_are_ordered_as_rpm_orders_them() {
    let words = [
        "1.0",
        "1.0~rc1",
        "1.0^git1",
        "1.0^",
        "1.0~",
        "10.0001",
        "10.1",
        "2_0",
        "2.0",
        "a",
        "a1",
        "1a",
        "1.a",
        "1.01",
        "1..1",
        "1.1.",
        "~",
        "^",
        "~^",
        "xyz10.1",
        "8",
        "5.14.0",
        "427.el9",
        "427.13.1.el9_4",
        "1b.fc17",
        "1.fc17",
        "0",
        "00",
        "6.0.rc1",
        "1.0~rc1^git1",
        "1.0^git1~pre",
    ];
    let pairs: Vec<(&str, &str)> = words.iter().flat_map(|a| words.iter().map(move |b| (*a, *b))).collect();
    let list = words.map(|w| format!("'{w}'")).join(",");
    let script = format!("local w = {{{list}}} for _, a in ipairs(w) do for _, b in ipairs(w) do print(rpm.vercmp(a, b) .. '\\n') end end");
    let output = command("rpm", Path::new("/"), &["--eval", &format!("%{{lua: {script}}}")]);
    let answers: Vec<i64> = output.lines().filter(|l| !l.is_empty()).map(|l| l.parse().unwrap()).collect();
    assert_eq!(answers.len(), pairs.len());
    for ((a, b), expected) in pairs.iter().zip(answers) {
        assert_eq!(rpm::version::part(a, b) as i64, expected, "{a} {b}");
    }
}

#[test]
fn updates_of_a_suse_root_are_those_of_zypper() {
    let (lab, dir) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (lab, root) = (lab.path(), dir.path());
    let vendor = |folder: &str, package: &str, vendor: &str| {
        build(lab, folder, package, "");
        let spec = std::fs::read_to_string(lab.join("x.spec")).unwrap().replace("Vendor: Rocky", &format!("Vendor: {vendor}"));
        write(lab, "x.spec", spec);
        let (top, out) = (format!("_topdir {}/top", lab.display()), format!("_rpmdir {}/{folder}", lab.display()));
        command("rpmbuild", lab, &["--quiet", "-bb", "--target", "x86_64", "--define", &top, "--define", &out, "--define", "debug_package %{nil}", "x.spec"]);
    };
    for (package, name) in
        [("bash 0 5.2 1 x86_64", "openSUSE"), ("curl 0 8.0 1 x86_64", "openSUSE"), ("vim 0 9.0 1 x86_64", "openSUSE"), ("foo 0 1 1 x86_64", "Acme")]
    {
        vendor("old", package, name);
    }
    for (package, name) in
        [("bash 0 5.2 3 x86_64", "SUSE LLC"), ("curl 0 8.0 2 x86_64", "openSUSE"), ("vim 0 9.0 2 x86_64", "Acme"), ("foo 0 2 1 x86_64", "Acme")]
    {
        vendor("new", package, name);
    }
    command("createrepo_c", lab, &["-q", "new"]);
    std::fs::create_dir_all(root.join("var/lib/rpm")).unwrap();
    std::fs::create_dir_all(root.join("root")).unwrap();
    std::os::unix::fs::symlink("../var/lib/rpm", root.join("root/.rpmdb")).unwrap();
    let database = root.join("var/lib/rpm").display().to_string();
    command("sh", lab, &["-c", &format!("rpm --dbpath {database} -i --justdb --nodeps --force $(find old -name '*.rpm')")]);
    write(root, "/etc/os-release", "ID=opensuse-leap\nVERSION_ID=15.6\n");
    write(root, "/etc/zypp/repos.d/u.repo", format!("[repo-update]\nname=u\nenabled=1\nautorefresh=1\nbaseurl=dir://{}/new\ngpgcheck=0\n", lab.display()));
    write(root, "/etc/zypp/locks", "\ntype: package\nmatch_type: glob\ncase_sensitive: on\nsolvable_name: curl\n");
    let at = root.display().to_string();
    command("zypper", lab, &["--root", &at, "--non-interactive", "--no-gpg-checks", "refresh"]);
    let listed = || -> BTreeSet<String> {
        let table = command("zypper", lab, &["--root", &at, "--non-interactive", "--no-refresh", "list-updates"]);
        let line = |l: &str| -> Option<String> {
            let cells: Vec<&str> = l.split('|').map(str::trim).collect();
            (cells.len() == 6 && cells[0] == "v").then(|| format!("{}.{} {} repo-update", cells[2], cells[5], cells[4]))
        };
        table.lines().filter_map(line).collect()
    };
    let facts = gather(root, &["updates", "os"]);
    assert_eq!((waiting(&facts), waiting(&facts).len()), (listed(), 1));
    assert_eq!(facts["updates"]["held"][0]["source"], json!({"place": "/etc/zypp/locks", "line": 5, "directive": "curl"}));
    assert_eq!((&facts["updates"]["manager"], &facts["updates"]["repositories"][0]["trusted_without_signature"]), (&json!("zypper"), &json!(true)));
    write(root, "/etc/zypp/vendors.d/00-openSUSE.conf", "[main]\nvendors = openSUSE,SUSE LLC\n");
    let facts = gather(root, &["updates"]);
    assert_eq!((waiting(&facts), waiting(&facts).len()), (listed(), 2));
}

/// A gzip stream of a tar archive with one file, made by tar itself.
fn apk_index(root: &Path, url: &str, packages: &str) {
    let lab = tempfile::tempdir().unwrap();
    write(lab.path(), "APKINDEX", packages);
    write(lab.path(), "DESCRIPTION", "v3.20.3\n");
    command("tar", lab.path(), &["-czf", "i.tar.gz", "--format=ustar", "DESCRIPTION", "APKINDEX"]);
    let digits = command("sh", lab.path(), &["-c", &format!("printf %s '{url}' | sha1sum | cut -c1-8")]);
    write(root, &format!("/var/cache/apk/APKINDEX.{}.tar.gz", digits.trim()), std::fs::read(lab.path().join("i.tar.gz")).unwrap());
}

const MAIN: &str = "https://dl-cdn.alpinelinux.org/alpine/v3.20/main";

fn apk_root(root: &Path) {
    let package = |name: &str, version: &str, origin: &str| format!("C:Q1x=\nP:{name}\nV:{version}\nA:x86_64\no:{origin}\n\n");
    let installed = [
        package("musl", "1.2.5-r0", "musl"),
        package("libcrypto3", "3.3.1-r3", "openssl"),
        package("nginx", "1.26.1-r0", "nginx"),
        package("zlib", "1.3.1-r1", "zlib"),
        package("php83", "8.3.7-r0", "php83"),
        package("local", "1-r0", "local"),
        package("git", "2.45_rc1-r0", "git"),
    ];
    write(root, "/lib/apk/db/installed", installed.concat());
    write(root, "/etc/apk/world", "musl\nnginx=1.26.1-r0\nphp83@edge\nzlib\n");
    write(root, "/etc/apk/arch", "x86_64\n");
    write(root, "/etc/os-release", "ID=alpine\nVERSION_ID=3.20.3\nPRETTY_NAME=\"Alpine Linux v3.20\"\n");
    write(
        root,
        "/etc/apk/repositories",
        format!("{MAIN}\n#http://dl-cdn.alpinelinux.org/alpine/v3.20/community\n@edge http://dl-cdn.alpinelinux.org/alpine/edge/main\n"),
    );
    let index = [
        package("musl", "1.2.5-r1", "musl"),
        package("libcrypto3", "3.3.1-r10", "openssl"),
        package("nginx", "1.26.2-r0", "nginx"),
        package("zlib", "1.3.1-r1", "zlib"),
        package("git", "2.45-r0", "git"),
    ];
    apk_index(root, MAIN, &index.concat());
    // Newer packages of a tagged repository count only for who asked for them.
    apk_index(root, "http://dl-cdn.alpinelinux.org/alpine/edge/main", &[package("php83", "8.3.8-r0", "php83"), package("musl", "9-r0", "musl")].concat());
}

#[test]
fn an_alpine_root_with_tags_pins_and_orphans() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path();
    apk_root(root);
    let facts = gather(root, &["packages", "updates", "os"]);
    let names: Vec<String> = facts["packages"]["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|p| format!("{} {}", p["name"].as_str().unwrap(), p["source_name"].as_str().unwrap()))
        .collect();
    assert_eq!(names, ["git git", "libcrypto3 openssl", "local local", "musl musl", "nginx nginx", "php83 php83", "zlib zlib"]);
    let pending: Vec<String> = facts["updates"]["pending"]
        .as_array()
        .unwrap()
        .iter()
        .map(|p| format!("{} {} {} {}", p["name"].as_str().unwrap(), p["candidate"].as_str().unwrap(), p["held"], p["source"]["line"]))
        .collect();
    assert_eq!(pending, ["git 2.45-r0 false 26", "libcrypto3 3.3.1-r10 false 8", "musl 1.2.5-r1 false 2", "nginx 1.26.2-r0 true 14", "php83 8.3.8-r0 false 2"]);
    assert_eq!(facts["updates"]["held"][0]["source"], json!({"place": "/etc/apk/world", "line": 2, "directive": "nginx=1.26.1-r0"}));
    assert_eq!(facts["updates"]["orphaned"][0]["name"], "local");
    assert_eq!((&facts["os"]["architecture"], &facts["updates"]["manager"]), (&json!("x86_64"), &json!("apk")));
    let gaps: BTreeSet<&str> = facts["gaps"].as_array().unwrap().iter().filter(|g| g["family"] == "updates").map(|g| g["path"].as_str().unwrap()).collect();
    assert_eq!(gaps, BTreeSet::from(["held.security", "pending.security"]));
}

#[test]
fn what_alpine_can_not_tell_is_unknown_and_not_passed() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path();
    apk_root(root);
    let verdict = |rule: &str| -> Vec<String> {
        let (_, output, _) = run(ASSAY, &["scan", "--root", text(root), "--format", "json"]);
        let report: Value = serde_json::from_str(&output).unwrap();
        let findings = report["findings"].as_array().unwrap().iter().filter(|f| f["rule"] == rule);
        findings.map(|f| f["verdict"].as_str().unwrap().to_string()).collect()
    };
    assert_eq!(verdict("updates-security-pending"), ["unknown"]);
    // Nothing waits: nothing is left to tell.
    let index = std::fs::read_to_string(root.join("lib/apk/db/installed")).unwrap();
    apk_index(root, MAIN, &index);
    apk_index(root, "http://dl-cdn.alpinelinux.org/alpine/edge/main", &index);
    assert_eq!(verdict("updates-security-pending"), ["pass"]);
}

/// `rule subject verdict` of a whole scan of a recorded machine, for the rules about packages.
fn verdicts(name: &str) -> BTreeSet<String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/hosts").join(name);
    let (_, output, _) = run(ASSAY, &["scan", "--root", text(&root), "--format", "json"]);
    let report: Value = serde_json::from_str(&output).unwrap();
    let word = |f: &Value, key: &str| f[key].as_str().unwrap().to_string();
    let findings = report["findings"].as_array().unwrap().iter();
    let mine = findings.filter(|f| ["updates-", "packages-", "os-"].iter().any(|p| f["rule"].as_str().unwrap().starts_with(p)));
    // How old the lists are depends on when the checkout was made.
    mine.filter(|f| f["rule"] != "updates-lists-fresh").map(|f| format!("{} {} {}", word(f, "rule"), word(f, "subject"), word(f, "verdict"))).collect()
}

#[test]
fn recorded_machines_are_judged_by_the_same_rules_as_debian() {
    let rocky = verdicts("rocky9-min");
    for expected in [
        "updates-security-pending dnf fail",
        "updates-automatic dnf pass",
        "updates-held-security dnf pass",
        "updates-repository-unsigned appstream pass",
        "updates-repository-unsigned appstream-debug not_applicable",
        "updates-repository-unsigned baseos pass",
        "updates-repository-third-party baseos pass",
        "updates-security-repository dnf not_applicable",
        "packages-unsigned rpm fail",
        "packages-orphaned dnf fail",
    ] {
        assert!(rocky.contains(expected), "{expected}: {rocky:#?}");
    }
    let alpine = verdicts("alpine320-min");
    for expected in [
        "updates-security-pending apk unknown",
        "updates-held-security apk unknown",
        "updates-automatic apk fail",
        "updates-repository-unsigned http://dl-cdn.alpinelinux.org/alpine/v3.20/main pass",
        "updates-repository-global-key apk pass",
        "packages-unsigned apk not_applicable",
        "packages-orphaned apk pass",
    ] {
        assert!(alpine.contains(expected), "{expected}: {alpine:#?}");
    }
    let unsure: Vec<&String> = rocky.iter().filter(|v| v.ends_with(" unknown")).collect();
    // dnf-automatic leaves no mark of a run that ended well.
    assert_eq!(unsure, ["updates-automatic-succeeding dnf unknown"]);
}
