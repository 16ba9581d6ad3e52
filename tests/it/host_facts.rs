//! Host families on this very machine, beside apt itself, and on recorded machines.
#![allow(clippy::disallowed_methods, reason = "the tests ask apt and dpkg, the product starts nothing")]

use std::collections::BTreeSet;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use assay::facts::{self, FAMILIES};
use assay::host::Host;
use assay::model::fact;
use assay::model::gap::{Gaps, reason};
use serde_json::{Value, json};

const MINE: &[&str] = &["os", "kernel", "packages", "updates", "storage", "stale_processes", "listeners"];

/// Documents by family, volatile fields taken out when `stable`, and `gaps`.
fn gather(host: &Host, names: &[&str], stable: bool) -> Value {
    let mut gaps = Gaps::new();
    let mut out = serde_json::Map::new();
    for family in FAMILIES.iter().filter(|f| names.contains(&f.name)) {
        let document = facts::gather(family, host, &mut gaps);
        let document = match document {
            Some(d) if stable => fact::split(family.name, family.version, &family.schema(), d).0.facts,
            other => other.unwrap_or_default(),
        };
        out.insert(family.name.into(), document);
    }
    let gaps: Vec<_> = gaps.into_sorted().into_iter().filter(|g| names.contains(&g.family.as_str())).collect();
    out.insert("gaps".into(), serde_json::to_value(gaps).unwrap());
    Value::Object(out)
}

fn write(root: &Path, path: &str, text: impl AsRef<[u8]>) {
    let path = root.join(path.trim_start_matches('/'));
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, text).unwrap();
}

type Update = (String, String, String, String);

/// `(name, architecture, candidate, installed)` of `apt list --upgradable`.
fn of_apt(options: &[String]) -> BTreeSet<Update> {
    let output = Command::new("apt").args(["list", "--upgradable"]).args(options).env("LC_ALL", "C").output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    let line = |l: &str| -> Option<Update> {
        let (name, rest) = l.split_once('/')?;
        let mut words = rest.split(' ').skip(1);
        let (candidate, architecture) = (words.next()?, words.next()?);
        let installed = rest.rsplit_once("from: ")?.1.trim_end_matches(']');
        Some((name.into(), architecture.into(), candidate.into(), installed.into()))
    };
    text.lines().filter_map(line).collect()
}

fn of_assay(facts: &Value) -> BTreeSet<Update> {
    let word = |p: &Value, name: &str| p[name].as_str().unwrap().to_string();
    let pending = facts["updates"]["pending"].as_array().unwrap();
    pending.iter().map(|p| (word(p, "name"), word(p, "architecture"), word(p, "candidate"), word(p, "installed"))).collect()
}

#[test]
fn pending_updates_of_this_machine_are_those_of_apt() {
    let facts = gather(&Host::live().unwrap(), &["updates"], false);
    assert_eq!(of_assay(&facts), of_apt(&[]));
    let lists = facts["updates"]["lists"].as_array().unwrap();
    assert!(!lists.is_empty(), "this machine names no repository");
    let hidden = lists.iter().any(|l| l["present"] == false);
    assert_eq!(hidden, facts["gaps"].as_array().unwrap().iter().any(|g| g["path"] == "pending" && g["reason"] == "missing"));
}

#[test]
fn packages_of_this_machine_are_those_of_dpkg() {
    let format = "${Package} ${Version} ${Architecture} ${source:Package} ${source:Version} ${db:Status-Status}\n";
    let output = Command::new("dpkg-query").args(["-W", "-f", format]).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let expected: BTreeSet<&str> = text.lines().filter(|l| !l.ends_with(" not-installed") && !l.ends_with(" config-files")).collect();
    let facts = gather(&Host::live().unwrap(), &["packages"], false);
    let fields = ["name", "version", "architecture", "source_name", "source_version", "status"];
    let shown: Vec<String> = facts["packages"]["items"].as_array().unwrap().iter().map(|p| fields.map(|f| p[f].as_str().unwrap()).join(" ")).collect();
    assert_eq!(shown.iter().map(String::as_str).collect::<BTreeSet<_>>(), expected);
}

/// A paragraph of a status file or package list.
fn paragraph(name: &str, version: &str, architecture: &str, status: &str) -> String {
    let status = if status.is_empty() { String::new() } else { format!("Status: {status}\n") };
    let checksum = "0".repeat(64);
    format!(
        "Package: {name}\n{status}Maintainer: x <x@example.com>\nArchitecture: {architecture}\nVersion: {version}\nDescription: x\n{}\n",
        if status.is_empty() { format!("Filename: {name}\nSize: 1\nSHA256: {checksum}\n") } else { String::new() }
    )
}

fn repository(root: &Path, name: &str, fields: &str, packages: &[(&str, &str, &str)]) {
    let base = format!("/var/lib/apt/lists/{name}");
    let release = if name.ends_with("._") { format!("{base}Release") } else { format!("{base}_Release") };
    write(root, &release, format!("{fields}Architectures: amd64 i386\nComponents: main\n"));
    let of = |architecture: &str| -> String { packages.iter().filter(|p| p.2 == architecture || p.2 == "all").map(|p| paragraph(p.0, p.1, p.2, "")).collect() };
    if name.ends_with("._") {
        write(root, &format!("{base}Packages"), of("amd64"));
        return;
    }
    for architecture in ["amd64", "i386"] {
        write(root, &format!("{base}_main_binary-{architecture}_Packages"), of(architecture));
    }
}

fn machine_with_pins(root: &Path) {
    let installed = [
        ("alpha", "1.0", "amd64"),
        ("beta", "1.0", "amd64"),
        ("delta", "1.0", "amd64"),
        ("epsilon", "1.0", "amd64"),
        ("eta", "1", "all"),
        ("gamma", "1.0", "amd64"),
        ("iota", "1.0", "amd64"),
        ("kappa", "1.0", "amd64"),
        ("mu", "1:1.0-1", "amd64"),
        ("theta", "1.0", "i386"),
        ("zeta", "1.0", "amd64"),
    ];
    let mut status: String = installed.iter().map(|p| paragraph(p.0, p.1, p.2, "install ok installed")).collect();
    status = status.replace("Package: delta\nStatus: install", "Package: delta\nStatus: hold");
    status.push_str(&paragraph("lambda", "1.0", "amd64", "deinstall ok config-files"));
    write(root, "/var/lib/dpkg/status", status);
    write(root, "/var/lib/dpkg/arch", "amd64\ni386\n");
    write(
        root,
        "/etc/apt/sources.list",
        "deb http://a.example/debian bookworm main\ndeb http://a.example/debian-security bookworm-security main\n\
         deb http://a.example/debian bookworm-backports main # later\ndeb [arch=amd64] http://c.example/debian bookworm main\n",
    );
    write(root, "/etc/apt/sources.list.d/flat.sources", "Types: deb\nURIs: http://b.example/repo\nSuites: ./\n");
    write(root, "/etc/apt/sources.list.d/d.list.save", "deb http://d.example/debian bookworm main\n");
    write(
        root,
        "/etc/apt/preferences",
        "Package: epsilon\nPin: origin b.example\nPin-Priority: 600\n\nPackage: zeta\nPin: version 1.0*\nPin-Priority: 1001\n\n\
         Package: iota\nPin: release n=bookworm-backports\nPin-Priority: 990\n\nPackage: *\nPin: origin \"c.example\"\nPin-Priority: -1\n",
    );
    let debian = "Origin: Debian\nLabel: Debian\n";
    repository(
        root,
        "a.example_debian_dists_bookworm",
        &format!("{debian}Suite: stable\nCodename: bookworm\n"),
        &[
            ("alpha", "1.1", "amd64"),
            ("beta", "1.0", "amd64"),
            ("epsilon", "1.2", "amd64"),
            ("eta", "2", "all"),
            ("iota", "2.0", "amd64"),
            ("kappa", "1.0", "amd64"),
            ("lambda", "2", "amd64"),
            ("mu", "2.0-1", "amd64"),
            ("theta", "1.1", "i386"),
            ("theta", "1.2", "amd64"),
            ("zeta", "1.1", "amd64"),
        ],
    );
    let security = "Origin: Debian\nLabel: Debian-Security\nSuite: stable-security\nCodename: bookworm-security\n";
    repository(root, "a.example_debian-security_dists_bookworm-security", security, &[("alpha", "1.0+deb12u1", "amd64"), ("delta", "2.0", "amd64")]);
    let backports = format!("{debian}Suite: stable-backports\nCodename: bookworm-backports\nNotAutomatic: yes\nButAutomaticUpgrades: yes\n");
    repository(
        root,
        "a.example_debian_dists_bookworm-backports",
        &backports,
        &[("beta", "2.0", "amd64"), ("gamma", "2.0~bpo", "amd64"), ("iota", "3.0", "amd64")],
    );
    repository(root, "c.example_debian_dists_bookworm", "Origin: C\n", &[("kappa", "9", "amd64")]);
    repository(root, "d.example_debian_dists_bookworm", "Origin: D\n", &[("kappa", "99", "amd64")]);
    repository(root, "b.example_repo_._", "Origin: B\n", &[("epsilon", "0.9", "amd64"), ("gamma", "1.5", "amd64")]);
}

#[test]
fn holds_pins_backports_and_flat_repositories_are_as_apt_judges_them() {
    let root = tempfile::tempdir().unwrap();
    machine_with_pins(root.path());
    for folder in ["var/lib/apt/lists/partial", "var/cache/apt/archives/partial", "etc/apt/apt.conf.d", "etc/apt/preferences.d", "etc/apt/trusted.gpg.d"] {
        std::fs::create_dir_all(root.path().join(folder)).unwrap();
    }
    let at = root.path().display();
    let options: Vec<String> = [
        format!("Dir={at}/"),
        format!("Dir::State::status={at}/var/lib/dpkg/status"),
        "APT::Architecture=amd64".into(),
        "APT::Architectures=amd64,i386".into(),
    ]
    .into_iter()
    .flat_map(|o| ["-o".to_string(), o])
    .collect();
    let facts = gather(&Host::rooted(root.path()).unwrap(), &["updates"], false);
    let found = of_assay(&facts);
    assert_eq!(found, of_apt(&options));
    let names: Vec<&str> = found.iter().map(|u| u.0.as_str()).collect();
    assert_eq!(names, ["alpha", "delta", "epsilon", "eta", "gamma", "iota", "theta"]);
    let of = |name: &str| facts["updates"]["pending"].as_array().unwrap().iter().find(|p| p["name"] == name).unwrap().clone();
    // The candidate is not from the security repository, but passes over a version that is.
    assert_eq!((&of("alpha")["security"], &of("alpha")["candidate"]), (&json!(true), &json!("1.1")));
    assert_eq!((&of("delta")["held"], &of("delta")["security"], &of("eta")["security"]), (&json!(true), &json!(true), &json!(false)));
    assert_eq!(of("delta")["source"]["line"], 10);
    assert_eq!(facts["gaps"], json!([]));
}

#[test]
fn a_missing_or_broken_list_is_a_gap() {
    let lists = "var/lib/apt/lists/a.example_debian_dists_bookworm_main_binary-amd64_Packages";
    let pending_gaps = |root: &Path| -> Vec<String> {
        let facts = gather(&Host::rooted(root).unwrap(), &["updates"], false);
        facts["gaps"].as_array().unwrap().iter().filter(|g| g["path"] == "pending").map(|g| g["detail"].as_str().unwrap().to_string()).collect()
    };
    let root = tempfile::tempdir().unwrap();
    machine_with_pins(root.path());
    assert_eq!(pending_gaps(root.path()), [""; 0]);
    std::fs::remove_file(root.path().join(lists)).unwrap();
    assert_eq!(pending_gaps(root.path()), ["no package list of a.example/debian bookworm main amd64"]);
    write(root.path(), &format!("{lists}.xz"), "");
    assert!(pending_gaps(root.path())[0].contains("this compression is not read"));
    write(root.path(), &format!("{lists}.lz4"), "\x04\x22\x4d\x18");
    assert!(pending_gaps(root.path())[0].contains("_Packages.lz4"), "a cut list must not pass for an empty one");
    write(root.path(), lists, "");
    write(root.path(), "etc/apt/preferences.d/x", "Package: /(re/\nPin: version 1\nPin-Priority: 5\n");
    assert_eq!(pending_gaps(root.path()), ["/etc/apt/preferences.d/x:1: pin of /(re/ is not understood"]);
}

/// A device of a recorded sysfs tree: a folder below `/sys/devices` and the links that lead to it.
fn device(root: &Path, number: &str, name: &str, attributes: &[(&str, &str)]) -> PathBuf {
    let folder = root.join("sys/devices").join(name);
    write(root, &format!("sys/devices/{name}/uevent"), format!("DEVNAME={}\n", name.rsplit('/').next().unwrap()));
    write(root, &format!("sys/devices/{name}/dev"), format!("{number}\n"));
    for (attribute, value) in attributes {
        write(root, &format!("sys/devices/{name}/{attribute}"), format!("{value}\n"));
    }
    for link in [format!("sys/dev/block/{number}"), format!("sys/class/block/{}", name.rsplit('/').next().unwrap())] {
        std::fs::create_dir_all(root.join(&link).parent().unwrap()).unwrap();
        symlink(format!("/sys/devices/{name}"), root.join(link)).unwrap();
    }
    folder
}

fn slaves(root: &Path, name: &str, below: &[&str]) {
    let folder = root.join(format!("sys/devices/{name}/slaves"));
    std::fs::create_dir_all(&folder).unwrap();
    for below in below {
        symlink(format!("/sys/devices/{below}"), folder.join(below.rsplit('/').next().unwrap())).unwrap();
    }
}

/// Names as Linux 6.1 shows them for LUKS2 on LVM on RAID 1, a plain partition, LUKS with a null
/// cipher, random swap, a loop device on the encrypted root, btrfs over a LUKS and a plain disk,
/// zram and a network file system.
fn recorded_storage(root: &Path) {
    device(root, "8:0", "sda", &[("device/vendor", "ATA"), ("device/model", "Samsung SSD 870")]);
    device(root, "8:16", "sdb", &[("device/model", "Samsung SSD 870")]);
    for (disk, minor) in [("sda", 1), ("sdb", 17)] {
        device(root, &format!("8:{minor}"), &format!("{disk}/{disk}1"), &[("partition", "1")]);
        device(root, &format!("8:{}", minor + 1), &format!("{disk}/{disk}2"), &[("partition", "2")]);
    }
    device(root, "9:0", "md0", &[("md/level", "raid1")]);
    slaves(root, "md0", &["sda/sda1", "sdb/sdb1"]);
    let mapped = |number: &str, name: &str, uuid: &str, label: &str, below: &[&str]| {
        device(root, number, name, &[("dm/uuid", uuid), ("dm/name", label)]);
        slaves(root, name, below);
    };
    mapped("253:0", "dm-0", "LVM-abcdef", "vg-root", &["md0"]);
    mapped("253:1", "dm-1", "CRYPT-LUKS2-0b7d5c1e9a3f4f0e8a416f2f0c9d8e7a-root", "root", &["dm-0"]);
    mapped("253:2", "dm-2", "CRYPT-PLAIN-swap", "swap", &["sda/sda2"]);
    mapped("253:3", "dm-3", "CRYPT-LUKS1-00000000000000000000000000000000-null", "null", &["sdb/sdb2"]);
    mapped("253:4", "dm-4", "", "odd", &["sda/sda2"]);
    device(root, "7:0", "loop0", &[("loop/backing_file", "/var/images/a.img")]);
    device(root, "252:0", "zram0", &[("backing_dev", "none")]);
    write(root, "sys/fs/btrfs/1-2/devices/.keep", "");
    std::fs::remove_file(root.join("sys/fs/btrfs/1-2/devices/.keep")).unwrap();
    for name in ["dm-1", "sda/sda2"] {
        symlink(format!("/sys/devices/{name}"), root.join("sys/fs/btrfs/1-2/devices").join(name.rsplit('/').next().unwrap())).unwrap();
    }
    let json = r#"{"keyslots":{"0":{"type":"luks2","key_size":64}},"segments":{"0":{"type":"crypt","encryption":"aes-xts-plain64"}}}"#;
    let mut header = vec![0u8; 16384];
    header[..6].copy_from_slice(b"LUKS\xba\xbe");
    header[7] = 2;
    header[14] = 0x40;
    header[4096..4096 + json.len()].copy_from_slice(json.as_bytes());
    write(root, "dev/mapper/vg-root", header);
    let mut null = vec![0u8; 4096];
    null[..6].copy_from_slice(b"LUKS\xba\xbe");
    null[7] = 1;
    null[8..19].copy_from_slice(b"cipher_null");
    null[40..43].copy_from_slice(b"ecb");
    write(root, "dev/sdb2", null);
    write(
        root,
        "proc/1/mountinfo",
        "1 0 253:1 / / rw - ext4 /dev/mapper/root rw\n2 1 8:2 / /srv rw - ext4 /dev/sda2 rw\n3 1 253:3 / /null rw - ext4 /dev/mapper/null rw\n\
         4 1 7:0 / /img ro - ext4 /dev/loop0 ro\n5 1 0:50 / /mix rw - btrfs /dev/mapper/root rw\n6 1 0:51 / /n rw - nfs4 nas:/x rw\n7 1 0:5 / /proc rw - proc proc rw\n\
         8 1 253:1 /var/x /bind rw - ext4 /dev/mapper/root rw\n9 1 253:4 / /odd rw - ext4 /dev/mapper/odd rw\n10 1 0:60 / /ov rw - overlay overlay rw,lowerdir=/a,upperdir=/var/lib/docker/u\n\
         11 1 252:0 / /ram rw - ext4 /dev/zram0 rw\n12 1 8:2 / /boot rw - ext4 /dev/sda2 rw\n13 1 99:9 / /gone rw - ext4 /dev/x rw\n14 1 0:77 / /srv rw - tmpfs tmpfs rw\n",
    );
    write(root, "proc/swaps", "Filename\tType\tSize\tUsed\tPriority\n/dev/dm-2 partition 1 0 -2\n/var/swapfile file 1 0 -3\n/dev/zram0 partition 1 0 100\n");
}

#[test]
fn volumes_are_traced_through_every_layer() {
    let root = tempfile::tempdir().unwrap();
    recorded_storage(root.path());
    let facts = gather(&Host::recorded(root.path()).unwrap(), &["storage"], false);
    let volumes = facts["storage"]["volumes"].as_array().unwrap();
    let shown: Vec<String> = volumes
        .iter()
        .map(|v| {
            let links: Vec<&str> = v["chain"].as_array().unwrap().iter().map(|l| l["kind"].as_str().unwrap()).collect();
            format!("{} {} {}", v["subject"].as_str().unwrap(), v["encrypted"].as_str().unwrap(), links.join(">"))
        })
        .collect();
    assert_eq!(
        shown,
        [
            "/ yes crypt>lvm>raid>partition>disk>partition>disk",
            "/bind yes bind>crypt>lvm>raid>partition>disk>partition>disk",
            "/boot no partition>disk",
            "/gone unknown unknown",
            "/img yes loop>crypt>lvm>raid>partition>disk>partition>disk",
            "/mix no btrfs>crypt>lvm>raid>partition>disk>partition>disk>partition>disk",
            "/n unknown network",
            "/null no crypt>partition>disk",
            "/odd unknown unknown>partition>disk",
            "swap /dev/dm-2 yes crypt>partition>disk",
            "swap /var/swapfile yes file>crypt>lvm>raid>partition>disk>partition>disk",
        ]
    );
    assert_eq!(volumes[0]["why"], "LUKS2 aes-xts-plain64 512 bit");
    assert_eq!(volumes[2]["why"], "no encrypting layer down to disk sda");
    assert_eq!((&volumes[2]["removable_or_boot"], &volumes[0]["removable_or_boot"]), (&json!(true), &json!(false)));
    let unknown: Vec<&str> =
        facts["gaps"].as_array().unwrap().iter().filter(|g| g["path"] == "volumes.encrypted").map(|g| g["subject"].as_str().unwrap()).collect();
    assert_eq!(unknown, ["/gone", "/n", "/odd"]);

    write(root.path(), "sys/class/dmi/id/sys_vendor", "Amazon EC2\n");
    let facts = gather(&Host::recorded(root.path()).unwrap(), &["storage"], false);
    let boot = &facts["storage"]["volumes"][2];
    assert_eq!((&boot["subject"], &boot["encrypted"]), (&json!("/boot"), &json!("unknown")), "a cloud may encrypt below");
    assert_eq!(facts["storage"]["volumes"][0]["encrypted"], "yes");
}

/// A listening perl, which every Debian has, started from `program`; its port and process id.
fn listening_perl(program: &Path) -> (std::process::Child, u16) {
    let script = "use IO::Socket::INET; my $s = IO::Socket::INET->new(Listen => 1, LocalAddr => '127.0.0.1', Proto => 'tcp') or die; \
                  $| = 1; print $s->sockport, \"\\n\"; sleep 60;";
    let mut child = Command::new(program).args(["-e", script]).stdout(std::process::Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    std::io::BufRead::read_line(&mut std::io::BufReader::new(child.stdout.as_mut().unwrap()), &mut line).unwrap();
    (child, line.trim().parse().unwrap())
}

#[test]
fn a_listener_names_its_process_and_the_package_of_its_file() {
    let root = tempfile::tempdir().unwrap();
    let copy = root.path().join("copied");
    std::fs::copy("/usr/bin/perl", &copy).unwrap();
    let (mut packaged, packaged_port) = listening_perl(Path::new("/usr/bin/perl"));
    let (mut deleted, deleted_port) = listening_perl(&copy);
    std::fs::remove_file(&copy).unwrap();
    let facts = gather(&Host::live().unwrap(), &["listeners"], false);
    for child in [&mut packaged, &mut deleted] {
        child.kill().unwrap();
        child.wait().unwrap();
    }
    let process = |port: u16| {
        let items = facts["listeners"]["items"].as_array().unwrap();
        items.iter().find(|i| i["subject"] == format!("127.0.0.1:{port}/tcp")).unwrap()["process"].clone()
    };
    let of_package = json!({"pid": packaged.id(), "name": "perl", "executable": "/usr/bin/perl", "deleted": false, "package": "perl-base"});
    let of_nobody = json!({"pid": deleted.id(), "name": "copied", "executable": copy.to_str().unwrap(), "deleted": true, "package": ""});
    assert_eq!((process(packaged_port), process(deleted_port)), (of_package, of_nobody));
}

/// Recorded machines, each with its golden facts beside it.
const RECORDED: &[&str] = &["alpine320-min", "debian11-min", "debian12-min", "debian13-min", "debiansid-min", "rocky9-min"];

fn recorded(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/hosts").join(name)
}

#[test]
fn recorded_machines_give_their_golden_facts() {
    for name in RECORDED {
        let facts = gather(&Host::rooted(&recorded(name)).unwrap(), MINE, true);
        let golden = recorded(&format!("{name}.facts.json"));
        if std::env::var_os("ASSAY_WRITE_VECTORS").is_some() {
            std::fs::write(&golden, serde_json::to_string_pretty(&facts).unwrap() + "\n").unwrap();
        }
        let expected: Value = serde_json::from_str(&std::fs::read_to_string(golden).unwrap()).unwrap();
        assert_eq!(facts, expected, "{name}");
    }
}

#[test]
fn pending_updates_of_recorded_debians_are_those_of_apt() {
    for name in RECORDED.iter().filter(|n| n.starts_with("debian")) {
        let root = tempfile::tempdir().unwrap();
        let mut originals = Vec::new();
        files(&recorded(name), &mut originals);
        for file in originals.iter().filter(|f| !f.is_symlink()) {
            write(root.path(), file.strip_prefix(recorded(name)).unwrap().to_str().unwrap(), std::fs::read(file).unwrap());
        }
        for folder in ["var/lib/apt/lists/partial", "var/cache/apt/archives/partial", "etc/apt/preferences.d"] {
            std::fs::create_dir_all(root.path().join(folder)).unwrap();
        }
        let at = root.path().display();
        let options = [format!("Dir={at}/"), format!("Dir::State::status={at}/var/lib/dpkg/status"), "APT::Architecture=amd64".into()];
        let options: Vec<String> = options.into_iter().flat_map(|o| ["-o".to_string(), o]).collect();
        let facts = gather(&Host::rooted(root.path()).unwrap(), &["updates"], false);
        assert_eq!(of_assay(&facts), of_apt(&options), "{name}");
    }
}

fn files(folder: &Path, out: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() && !path.is_symlink() {
            files(&path, out);
        } else if path.is_file() {
            out.push(path);
        }
    }
}

/// Each file cut, emptied, filled with zeros, and with bytes flipped: facts or gaps, never a panic.
#[test]
fn hostile_files_never_panic() {
    let root = tempfile::tempdir().unwrap();
    let recorded = recorded("debian12-min");
    let mut originals = Vec::new();
    files(&recorded, &mut originals);
    for file in &originals {
        write(root.path(), file.strip_prefix(&recorded).unwrap().to_str().unwrap(), std::fs::read(file).unwrap());
    }
    recorded_storage(root.path());
    write(root.path(), "proc/net/tcp", "  sl\n   0: 0100007F:0CEA 00000000:0000 0A 00000000:00000000 00:00000000 00000000   101        0 1077 1\n");
    write(root.path(), "proc/stat", "cpu 1\ncpu0 1\nbtime 1\n");
    write(root.path(), "proc/meminfo", "MemTotal: 2048 kB\n");
    write(root.path(), "proc/version", "Linux version 6.1.0-37-amd64 Debian 6.1.140-1\n");
    write(root.path(), "proc/7/maps", "7f10-7f20 r-xp 0000 fe:01 77   /usr/lib/libx.so.1 (deleted)\n");
    write(root.path(), "proc/7/status", "Uid:\t1\t1\t1\t1\n");
    write(root.path(), "proc/7/cgroup", "0::/system.slice/x.service\n");
    symlink("/usr/bin/x", root.path().join("proc/7/exe")).unwrap();
    write(
        root.path(),
        "etc/apt/apt.conf.d/50u",
        "Unattended-Upgrade { Origins-Pattern { \"o=Debian,n=${distro_codename}-security\"; }; Package-Blacklist { \"(lib)?x$\"; }; };",
    );
    write(root.path(), "etc/apt/sources.list.d/x.list", "deb [trusted=yes arch+=i386 signed-by=/k] http://u:p@x.example:80/a_b ./\n");
    write(root.path(), "etc/apt/preferences.d/x", "Package: /^a.*/ src:b[cd]?\nPin: release o=/x/,n=book*\nPin-Priority: 7\n");
    write(root.path(), "var/log/unattended-upgrades/unattended-upgrades.log", "2026-05-17 06:33:42,123 INFO All upgrades installed\n");
    let mut all = Vec::new();
    files(root.path(), &mut all);
    assert!(all.len() > 50);
    let mut seed = 0x2545_f491_4f6c_dd1d_u64;
    let mut internal = Vec::new();
    for path in all {
        let original = std::fs::read(&path).unwrap();
        for variant in 0..5 {
            let mut bytes = original.clone();
            match variant {
                0 => bytes.clear(),
                1 => bytes.truncate(bytes.len() / 2),
                2 => bytes = vec![0; 300],
                3 => bytes = [b"\xff\xfe{[:=\"'\\".as_slice(), b"-".repeat(400).as_slice()].concat(),
                _ => {
                    for _ in 0..8 {
                        // xorshift64: the same bytes in every run.
                        seed ^= seed << 13;
                        seed ^= seed >> 7;
                        seed ^= seed << 17;
                        let at = (seed >> 8) as usize % bytes.len().max(1);
                        if let Some(byte) = bytes.get_mut(at) {
                            *byte = (seed >> 40) as u8;
                        }
                    }
                }
            }
            std::fs::write(&path, bytes).unwrap();
            let facts = if path.starts_with(root.path().join("etc")) {
                gather(&Host::rooted(root.path()).unwrap(), MINE, true)
            } else if ["sys", "dev"].iter().any(|f| path.starts_with(root.path().join(f))) {
                gather(&Host::recorded(root.path()).unwrap(), &["os", "storage"], true)
            } else {
                gather(&Host::recorded(root.path()).unwrap(), MINE, true)
            };
            let bad = facts["gaps"].as_array().unwrap().iter().filter(|g| g["reason"] == reason::INTERNAL);
            internal.extend(bad.map(|g| format!("{} variant {variant}: {}", path.display(), g["detail"])));
        }
        std::fs::write(&path, original).unwrap();
    }
    assert_eq!(internal, [""; 0]);
}
