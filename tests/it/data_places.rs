//! Tenants' folders against what the kernel itself allows each account, payment data in planted files beside sound decoys,
//! and the machine's region against metadata services on the real address, in a network namespace of its own.

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use assay::facts::HostFamily as _;
use assay::facts::tenants::{Tenant, Tenants};
use assay::host::Host;
use assay::model::declared::{Declared, TenantPattern};
use assay::model::gap::{Gap, Gaps};
use serde_json::Value;

use super::support::{ASSAY, run, text};

/// A folder that every account may pass through.
fn place() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    std::fs::set_permissions(dir.path(), PermissionsExt::from_mode(0o755)).unwrap();
    dir
}

fn tool(program: &str, arguments: &[&str]) -> String {
    let (code, out, error) = run(program, arguments);
    assert_eq!(code, 0, "{program} {arguments:?}: {error}");
    out
}

/// Rule and subject of every finding with this verdict.
fn with_verdict(report: &Value, verdict: &str) -> BTreeSet<(String, String)> {
    let findings = report["findings"].as_array().unwrap().iter().filter(|f| f["verdict"] == verdict);
    findings.map(|f| (f["rule"].as_str().unwrap().to_string(), f["subject"].as_str().unwrap().to_string())).collect()
}

fn set(expected: &[(&str, &str)]) -> BTreeSet<(String, String)> {
    expected.iter().map(|(a, b)| ((*a).to_string(), (*b).to_string())).collect()
}

fn scan_root(root: &Path, families: &[&str]) -> (Value, String) {
    let mut arguments = vec!["scan", "--root", text(root), "--all", "--format", "json"];
    for family in families {
        arguments.extend(["--family", family]);
    }
    let (_, out, error) = run(ASSAY, &arguments);
    (serde_json::from_str(&out).unwrap_or_else(|e| panic!("{e}: {out}{error}")), out)
}

// Tenants

/// What the kernel lets each account of the machine do with a folder: name -> `rwx` letters that it has.
fn kernel_says(folder: &Path) -> BTreeMap<String, String> {
    const ASK: &str = "
import os, pwd, sys
for p in pwd.getpwall():
    if p.pw_uid == 0: continue
    pid = os.fork()
    if pid == 0:
        os.initgroups(p.pw_name, p.pw_gid); os.setgid(p.pw_gid); os.setuid(p.pw_uid)
        print(p.pw_name, ''.join(l for l, b in (('r', os.R_OK), ('w', os.W_OK), ('x', os.X_OK)) if os.access(sys.argv[1], b)), flush=True)
        os._exit(0)
    os.waitpid(pid, 0)
";
    let out = tool("python3", &["-c", ASK, text(folder)]);
    out.lines().map(|l| l.split_once(' ').unwrap_or((l, ""))).map(|(a, b)| (a.to_string(), b.to_string())).collect()
}

fn getfacl(folder: &Path) -> BTreeSet<String> {
    let out = tool("getfacl", &["-cpE", text(folder)]);
    out.lines().filter(|l| !l.is_empty()).map(String::from).collect()
}

/// The same lines from the facts.
fn acl_lines(tenant: &Tenant) -> BTreeSet<String> {
    let word = |tag: &str| match tag {
        "owner" => "user".to_string(),
        "owning-group" => "group".into(),
        other => other.to_string(),
    };
    tenant.acl.iter().map(|e| format!("{}{}:{}:{}", if e.default { "default:" } else { "" }, word(&e.tag), e.name, e.rights)).collect()
}

fn gather(root: &Path, trusted: &[&str]) -> (Tenants, Vec<Gap>) {
    let tenants = vec![TenantPattern { path: format!("{}/*", text(root)), name: String::new(), accounts: Vec::new() }];
    let tenants_trusted = trusted.iter().map(ToString::to_string).collect();
    let host = Host::live().unwrap().with_declared(Declared { tenants, tenants_trusted, ..Declared::default() });
    let mut gaps = Gaps::new();
    let found = Tenants::gather(&host, &mut gaps).unwrap();
    // Inside some containers not even root may look at process 1.
    let ours = |g: &Gap| !(g.subject == "processes of tenants" && g.detail.starts_with("/proc/1/"));
    (found, gaps.into_sorted().into_iter().filter(ours).collect())
}

fn own(path: &Path, owner: &str, mode: &str) {
    tool("chown", &[owner, text(path)]);
    tool("chmod", &[mode, text(path)]);
}

#[test]
fn who_may_enter_is_what_the_kernel_says_of_every_account() {
    let dir = place();
    let at = |name: &str| dir.path().join(name);
    for (name, owner, mode) in [
        ("plain", "games:games", "0700"),
        ("group", "man:www-data", "2750"),
        ("world", "news:news", "0755"),
        ("odd", "lp:lp", "0704"),
        ("listed", "uucp:uucp", "0750"),
        ("masked", "proxy:proxy", "0770"),
    ] {
        std::fs::create_dir(at(name)).unwrap();
        own(&at(name), owner, mode);
    }
    tool("setfacl", &["-m", "u:www-data:rx,g:mail:rwx,u:list:-,m:rx", text(&at("listed"))]);
    tool("setfacl", &["-d", "-m", "u:www-data:rx,o::-", text(&at("listed"))]);
    tool("setfacl", &["-m", "g:backup:rwx,u:irc:rwx,m:-", text(&at("masked"))]);
    let (found, gaps) = gather(dir.path(), &[]);
    assert_eq!(gaps, []);
    assert_eq!(found.items.len(), 6);
    for tenant in &found.items {
        let folder = PathBuf::from(&tenant.subject);
        let truth = kernel_says(&folder);
        assert!(truth.len() > 10, "{truth:?}");
        for (account, rights) in &truth {
            if tenant.accounts.contains(account) {
                continue;
            }
            let reader = tenant.readers.iter().find(|r| r.account == *account);
            // An account with fewer rights than everybody, as a member of a group with none, is no reader.
            let lesser = rights.len() < tenant.everybody.len() && reader.is_none();
            let told = reader.map_or(tenant.everybody.as_str(), |r| r.rights.as_str());
            assert!(lesser || told == rights, "{} {account}: kernel {rights:?}, told {told:?}", tenant.subject);
        }
        if !tenant.acl.is_empty() {
            assert_eq!(acl_lines(tenant), getfacl(&folder), "{}", tenant.subject);
        }
        let stat = tool("stat", &["-c", "%04a %U %G", &tenant.subject]);
        assert_eq!(stat.trim(), format!("{} {} {}", tenant.mode, tenant.owner, tenant.group));
    }
    let of = |name: &str| found.items.iter().find(|t| t.name == name).unwrap();
    assert!(of("plain").readers.is_empty() && of("plain").everybody.is_empty() && of("masked").readers.is_empty());
    assert_eq!(
        of("listed").readers.iter().map(|r| format!("{} {} {}", r.account, r.rights, r.through)).collect::<Vec<_>>(),
        ["mail rx access list: group mail", "www-data rx access list: user"]
    );
    assert!(of("group").setgid && of("world").everybody == "rx");
    assert!(of("listed").acl.iter().any(|e| e.default), "{:?}", of("listed").acl);
}

#[test]
fn a_closed_folder_above_closes_what_lies_below() {
    let dir = place();
    std::fs::create_dir_all(dir.path().join("shut/a")).unwrap();
    own(&dir.path().join("shut/a"), "games:games", "0755");
    own(&dir.path().join("shut"), "root:www-data", "0750");
    let (found, _) = gather(&dir.path().join("shut"), &[]);
    let truth: BTreeSet<String> = kernel_says(&dir.path().join("shut/a")).into_iter().filter(|(_, r)| r.contains('x')).map(|(a, _)| a).collect();
    let tenant = &found.items[0];
    assert_eq!(tenant.everybody, "");
    assert_eq!(tenant.readers.iter().map(|r| r.account.clone()).collect::<BTreeSet<_>>(), truth);
    assert_eq!(truth, BTreeSet::from(["www-data".to_string()]));
}

/// A process of an account that works in a folder.
struct Serving(Child);

impl Serving {
    fn start(folder: &Path, uid: u32) -> Self {
        Self(Command::new("sleep").arg("600").uid(uid).gid(uid).current_dir(folder).stdin(Stdio::null()).spawn().unwrap())
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn accounts_that_serve_several_tenants_are_found_by_their_processes() {
    const GAMES: u32 = 5;
    const MAN: u32 = 6;
    const BACKUP: u32 = 34;
    let dir = place();
    let (a, b) = (dir.path().join("a"), dir.path().join("b"));
    for (folder, owner) in [(&a, "games:games"), (&b, "man:man")] {
        std::fs::create_dir(folder).unwrap();
        own(folder, owner, "0755");
    }
    let running = [(&a, GAMES), (&b, MAN), (&b, GAMES), (&a, BACKUP), (&b, BACKUP)].map(|(folder, uid)| Serving::start(folder, uid));
    let (found, gaps) = gather(dir.path(), &["backup"]);
    drop(running);
    assert_eq!(gaps, []);
    let shared: Vec<(&str, usize, bool)> = found.accounts.iter().map(|x| (x.subject.as_str(), x.tenants.len(), x.trusted)).collect();
    assert_eq!(shared, [("backup", 2, true), ("games", 2, false), ("man", 1, false)]);
    let servers: Vec<&str> = found.items[0].servers.iter().map(|s| s.account.as_str()).collect();
    assert_eq!(servers, ["backup", "games"]);
    assert!(found.items[0].servers.iter().all(|s| s.name == "sleep" && s.through == "working folder"));
}

#[test]
fn a_mount_of_another_tenants_folder_is_found() {
    let dir = place();
    for name in ["a/in", "b/data", "c"] {
        std::fs::create_dir_all(dir.path().join(name)).unwrap();
    }
    let inner = dir.path().join("a/in");
    tool("mount", &["--bind", text(&dir.path().join("b/data")), text(&inner)]);
    let (found, _) = gather(dir.path(), &[]);
    tool("umount", &[text(&inner)]);
    let links: Vec<String> = found.items.iter().flat_map(|t| t.links.iter().map(|l| format!("{} {} {}", t.name, l.kind, l.tenant))).collect();
    assert_eq!(links, ["a mount b"]);
    assert_eq!(found.items[0].mounts_below, [text(&inner)]);
}

const TENANTS_CONFIG: &str =
    "tenants: [{path: \"/srv/tenants/*\"}, {path: /srv/big, name: big, accounts: [\"{tenant}\", helper]}]\ntenants_trusted: [backup]\n";

#[test]
fn planted_tenants() {
    let dir = place();
    let root = dir.path();
    let file = |path: &str, content: &str| {
        let path = root.join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
    };
    file("etc/assay/agent.yaml", TENANTS_CONFIG);
    let accounts = [("a", 1001), ("b", 1002), ("c", 1003), ("d", 1004), ("big", 1005), ("helper", 1006), ("backup", 1007), ("other", 1008)];
    let lines: String = accounts.iter().map(|(n, id)| format!("{n}:x:{id}:{id}::/:/bin/sh\n")).collect();
    file("etc/passwd", &format!("root:x:0:0::/root:/bin/sh\n{lines}"));
    let groups: String = accounts.iter().map(|(n, id)| format!("{n}:x:{id}:{}\n", if *n == "c" { "b" } else { "" })).collect();
    file("etc/group", &format!("root:x:0:\nkeepers:x:2000:backup,helper\n{groups}"));
    for folder in ["srv/tenants/a", "srv/tenants/b", "srv/tenants/c", "srv/tenants/d/html", "srv/big", "srv/shared"] {
        std::fs::create_dir_all(root.join(folder)).unwrap();
    }
    file("srv/tenants/b/readable", "x");
    file("etc/systemd/system/one.service", "[Service]\nUser=d\nWorkingDirectory=/srv/tenants/d\n");
    file("etc/systemd/system/two.service", "[Service]\nUser=d\nWorkingDirectory=/srv/tenants/b\n");
    file("etc/systemd/system/backup.service", "[Service]\nUser=backup\nExecStart=/srv/tenants/a/bin/save\nWorkingDirectory=/srv/tenants/b\n");
    // Sound: a is closed; big lets in its own helper and the trusted backup by an access list.
    own(&root.join("srv/tenants/a"), "1001:1001", "0700");
    own(&root.join("srv/big"), "1005:1005", "0750");
    tool("setfacl", &["-m", "g:2000:rx", text(&root.join("srv/big"))]);
    symlink("/srv/shared", root.join("srv/tenants/a/shared")).unwrap();
    symlink("/srv/tenants/a", root.join("srv/tenants/a/itself")).unwrap();
    // Faults: b is open to all, c to a member of its group who is tenant b, d leads into a; account d serves two.
    own(&root.join("srv/tenants/b"), "1002:1002", "0751");
    own(&root.join("srv/tenants/c"), "1003:1003", "0750");
    own(&root.join("srv/tenants/d"), "1004:1004", "0700");
    symlink("../../a/secret", root.join("srv/tenants/d/html/peek")).unwrap();
    let (report, _) = scan_root(root, &["tenants"]);
    let expected = [
        ("tenant-account-shared", "d"),
        ("tenant-cross-link", "/srv/tenants/d"),
        ("tenant-folder-open", "/srv/tenants/b"),
        ("tenant-folder-open", "/srv/tenants/c"),
    ];
    assert_eq!(with_verdict(&report, "fail"), set(&expected), "{:#}", report["facts"]["tenants"]);
    let messages: Vec<&str> =
        report["findings"].as_array().unwrap().iter().filter(|f| f["verdict"] == "fail").map(|f| f["message"].as_str().unwrap()).collect();
    assert!(messages.iter().any(|m| m.contains("b (rx by group c, tenant b)")), "{messages:#?}");
    assert!(messages.iter().any(|m| m.contains("lets everybody in (x), 1 files in it are open, such as /srv/tenants/b/readable")), "{messages:#?}");
    let unknown = with_verdict(&report, "unknown");
    assert_eq!(unknown, set(&[("tenant-account-shared", "processes of tenants")]));
}

// Payment data

fn luhn(digits: &str) -> bool {
    let sum: u32 = digits
        .bytes()
        .rev()
        .enumerate()
        .map(|(i, d)| match (i % 2, u32::from(d - b'0')) {
            (1, d) if d > 4 => d * 2 - 9,
            (1, d) => d * 2,
            (_, d) => d,
        })
        .sum();
    sum.is_multiple_of(10)
}

/// Numbers of nobody: a range of cards, digits by a simple generator, a right check digit.
fn cards(count: usize) -> Vec<String> {
    let mut state = 88_172_645_463_325_252_u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    (0..count)
        .map(|i| {
            let prefix = ["4929", "5312", "2345", "6522"][i % 4];
            let body = format!("{prefix}{:011}", next() % 100_000_000_000);
            (0..10).map(|d| format!("{body}{d}")).find(|n| luhn(n)).unwrap()
        })
        .collect()
}

fn iban(seed: u64) -> String {
    let body = format!("50070010{:010}", seed);
    let remainder = format!("{body}131400").bytes().fold(0_u64, |r, d| (r * 10 + u64::from(d - b'0')) % 97);
    format!("DE{:02}{body}", 98 - remainder)
}

fn grouped(number: &str, by: &str) -> String {
    number.as_bytes().chunks(4).map(|c| std::str::from_utf8(c).unwrap()).collect::<Vec<_>>().join(by)
}

#[test]
fn planted_numbers_are_found_with_their_places_and_decoys_are_not() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path();
    let file = |path: &str, content: &[u8]| {
        let path = root.join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
    };
    let search = |paths: &[&str]| {
        let list: Vec<String> = paths.iter().map(|p| format!("{{path: {p}, exclude: [\"*/cache/*\"]}}")).collect();
        file("etc/assay/agent.yaml", format!("search: [{}]\n", list.join(", ")).as_bytes());
    };
    search(&["/srv/found", "/srv/decoys", "/srv/odd", "/srv/sealed", "/srv/tests"]);
    let cards = cards(40);
    let filler = "an ordinary line of a log with 2026-11-27 22:59:00 and 10.0.0.1 in it\n".repeat(5000);
    file("srv/found/log/app.log", format!("{filler}payment with card {} accepted\n{filler}", cards[0]).as_bytes());
    file("srv/found/spaced.txt", format!("Kunde\n  {} 12/27\n", grouped(&cards[1], " ")).as_bytes());
    file("srv/found/dashed.txt", format!("{}\n", grouped(&cards[2], "-")).as_bytes());
    let list: String = cards[3..20].iter().enumerate().map(|(i, c)| format!("{i};name {i};{c}\n")).collect();
    file("srv/found/list.csv", list.as_bytes());
    file("srv/found/data.json", format!("{{\"id\":7,\"cardNumber\":\"{}\"}}", cards[20]).as_bytes());
    let wide: Vec<u8> = format!("\u{feff}Konto\r\nKarte: {}\r\n", cards[21]).encode_utf16().flat_map(u16::to_le_bytes).collect();
    file("srv/found/wide.txt", &wide);
    file("srv/found/dump.bin", format!("\0\x01\0\0pan={}\0\0", cards[22]).as_bytes());
    file("srv/found/iban.txt", format!("IBAN: {}\nand {}\n", iban(345_678_902), grouped(&iban(77_001), " ")).as_bytes());
    for (name, packer) in [("gz", "gzip"), ("xz", "xz"), ("zst", "zstd")] {
        file(&format!("srv/found/rotated.{name}.log"), format!("{filler}card {}\n", cards[23]).as_bytes());
        let plain = root.join(format!("srv/found/rotated.{name}.log"));
        if packer == "zstd" {
            std::fs::write(root.join("srv/found/rotated.log.zst"), zstd::encode_all(&std::fs::read(&plain).unwrap()[..], 3).unwrap()).unwrap();
            std::fs::remove_file(&plain).unwrap();
        } else {
            tool(packer, &[text(&plain)]);
        }
    }
    file("srv/zip/export.csv", list.as_bytes());
    let zipped =
        Command::new("zip").args(["-q", "-r", text(&root.join("srv/found/archive.zip")), "export.csv"]).current_dir(root.join("srv/zip")).status().unwrap();
    assert!(zipped.success());
    file("srv/found/cache/skipped.csv", list.as_bytes());
    std::fs::create_dir_all(root.join("srv/decoys")).unwrap();
    symlink("/srv/found/list.csv", root.join("srv/decoys/list")).unwrap();
    // What looks alike and is something else.
    let mut state = 7_u64;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        state >> 11
    };
    let orders: String = (0..3000).map(|i| format!("{i},order,4{:015},shipped\n", next() % 1_000_000_000_000_000)).collect();
    file("srv/decoys/orders.csv", orders.as_bytes());
    let table: String = (0..2000)
        .map(|_| {
            format!(
                "{:04} {:04} {:04} {:04} {:04} {:04}\n",
                next() % 10_000,
                next() % 10_000,
                next() % 10_000,
                next() % 10_000,
                next() % 10_000,
                next() % 10_000
            )
        })
        .collect();
    file("srv/decoys/grid.txt", table.as_bytes());
    let fractions: String = (0..3000).map(|_| format!("0.{:016} {:.16}\n", next() % 10_000_000_000_000_000, 4.0 + (next() % 1000) as f64 / 997.0)).collect();
    file("srv/decoys/numbers.dat", fractions.as_bytes());
    let ids: String = (0..3000)
        .map(|_| format!("{:08x}-{:04}-4{:03}-8{:03}-{:012}\n", next() as u32, next() % 10_000, next() % 1000, next() % 1000, next() % 1_000_000_000_000))
        .collect();
    file("srv/decoys/uuids.txt", ids.as_bytes());
    let stamps: String =
        (0..3000).map(|i| format!("{} {} {}\n", 1_795_820_340_123_u64 + i, 20_261_127_225_900_u64 + i, 1_795_820_340_123_456_u64 + i * 977)).collect();
    file("srv/decoys/times.log", stamps.as_bytes());
    let words: String = cards.iter().map(|c| format!("x{c} {c}y /img/{c} +{c} sha_{c}\n")).collect();
    file("srv/decoys/attached.txt", words.as_bytes());
    let wrong: String = (0..200)
        .map(|i| format!("DE{:02}50070010{:010}\n", i % 90 + 2, next() % 10_000_000_000))
        .filter(|l| l.trim() != iban(l.trim()[12..].parse().unwrap()))
        .collect();
    file("srv/decoys/references.txt", wrong.as_bytes());
    file("srv/tests/fixtures.rb", b"visa = '4111 1111 1111 1111'\namex = \"378282246310005\"\niban = 'DE89370400440532013000'\n");
    file("srv/odd/one.txt", format!("{}\n", cards[30]).as_bytes());
    file("srv/sealed/paper.pdf", b"%PDF-1.7\n...");
    let (report, out) = scan_root(root, &["payment_data"]);
    let expected = [("payment-card-found", "/srv/found"), ("payment-iban-found", "/srv/found")];
    assert_eq!(with_verdict(&report, "fail"), set(&expected), "{:#}", report["facts"]["payment_data"]);
    let paths = report["facts"]["payment_data"]["paths"].as_array().unwrap();
    let of = |path: &str| paths.iter().find(|p| p["subject"] == path).unwrap();
    let places: Vec<&str> = of("/srv/found")["cards_likely"].as_array().unwrap().iter().map(|p| p.as_str().unwrap()).collect();
    let first_of_each: BTreeSet<&str> = places.iter().copied().filter(|p| !p.contains("list.csv:") && !p.contains("!export.csv:")).collect();
    assert_eq!(
        first_of_each,
        BTreeSet::from([
            "/srv/found/data.json:1",
            "/srv/found/dashed.txt:1",
            "/srv/found/dump.bin@8",
            "/srv/found/log/app.log:5001",
            "/srv/found/rotated.gz.log.gz:5001",
            "/srv/found/rotated.log.zst:5001",
            "/srv/found/rotated.xz.log.xz:5001",
            "/srv/found/spaced.txt:2",
            "/srv/found/wide.txt:2",
        ])
    );
    assert!(places.contains(&"/srv/found/list.csv:1") && places.contains(&"/srv/found/archive.zip!export.csv:5"), "{places:?}");
    assert_eq!(of("/srv/found")["ibans_likely"], serde_json::json!(["/srv/found/iban.txt:1", "/srv/found/iban.txt:2"]));
    assert_eq!((of("/srv/tests")["test_numbers"].as_u64(), of("/srv/tests")["cards"].as_u64()), (Some(3), Some(0)));
    assert_eq!(of("/srv/odd")["cards_possible"], serde_json::json!(["/srv/odd/one.txt:1"]));
    let passed = with_verdict(&report, "pass");
    for path in ["/srv/decoys", "/srv/tests"] {
        for rule in ["payment-card-found", "payment-iban-found"] {
            assert!(passed.contains(&(rule.into(), path.into())), "{rule} {path}: {:#}", of(path));
        }
    }
    let unknown = with_verdict(&report, "unknown");
    let expected = [("payment-card-found", "/srv/odd"), ("payment-card-found", "/srv/sealed"), ("payment-iban-found", "/srv/sealed")];
    assert_eq!(unknown, set(&expected));
    // Not a number and not a part of one leaves the machine.
    for number in cards.iter().take(31) {
        for part in [&number[..8], &number[4..10], &number[10..]] {
            assert!(!out.contains(part), "{part} of {number} is told");
        }
    }
    assert!(!out.contains("50070010"));
}

#[test]
fn paths_that_must_be_empty() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path();
    for (path, content) in [
        (
            "etc/assay/agent.yaml",
            "path_limits: [{path: /srv/office}, {path: /srv/empty}, {path: /srv/none}, {path: /srv/support, max_files: 2, max_bytes: 10, note: support request 4711}]\n",
        ),
        ("srv/office/left/customers.csv", "x"),
        ("srv/support/a", "12345"),
        ("srv/support/b", "12345"),
    ] {
        std::fs::create_dir_all(root.join(path).parent().unwrap()).unwrap();
        std::fs::write(root.join(path), content).unwrap();
    }
    std::fs::create_dir_all(root.join("srv/empty/below")).unwrap();
    let (report, _) = scan_root(root, &["path_limits"]);
    assert_eq!(with_verdict(&report, "fail"), set(&[("path-within-limit", "/srv/office")]));
    assert_eq!(with_verdict(&report, "unknown"), set(&[("path-within-limit", "/srv/none")]));
    assert_eq!(with_verdict(&report, "pass"), set(&[("path-within-limit", "/srv/empty"), ("path-within-limit", "/srv/support")]));
}

// Region

/// A machine in a network namespace of its own: files of firmware and cloud-init, and what listens on 169.254.169.254.
struct Machine<'m> {
    cloud: &'m str,
    vendor: &'m str,
    cloud_init: &'m str,
    config: &'m str,
}

/// The scan's report and the requests that the service heard.
fn scan_in_namespace(machine: &Machine<'_>) -> (Value, Vec<String>) {
    const SET_UP: &str = r#"
set -e
ip link set lo up
ip addr add 169.254.169.254/32 dev lo
mount -t tmpfs none /run
mount -t tmpfs none /sys/class
mkdir -p /run/cloud-init /sys/class/dmi/id
[ -z "$VENDOR" ] || printf '%s\n' "$VENDOR" > "/sys/class/dmi/id/${VENDOR_FILE}"
[ -z "$INIT" ] || printf '%s' "$INIT" > /run/cloud-init/instance-data.json
exec python3 "$SERVICE" "$CLOUD" "$LOG" "$ASSAY" scan --config "$CONFIG" --family cloud --family region --all --format json
"#;
    let dir = tempfile::tempdir().unwrap();
    let (config, log) = (dir.path().join("agent.yaml"), dir.path().join("log"));
    std::fs::write(&config, machine.config).unwrap();
    std::fs::write(&log, "").unwrap();
    let (file, vendor) = machine.vendor.split_once('=').unwrap_or(("sys_vendor", machine.vendor));
    let service = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/lab/metadata.py");
    let output = Command::new("unshare")
        .args(["-n", "-m", "sh", "-c", SET_UP])
        .env("VENDOR", vendor)
        .env("VENDOR_FILE", file)
        .env("INIT", machine.cloud_init)
        .env("SERVICE", service)
        .env("CLOUD", machine.cloud)
        .env("LOG", &log)
        .env("ASSAY", ASSAY)
        .env("CONFIG", &config)
        // A proxy of the environment is never asked.
        .env("http_proxy", "http://127.0.0.1:9")
        .output()
        .unwrap();
    let out = String::from_utf8(output.stdout).unwrap();
    let report = serde_json::from_str(&out).unwrap_or_else(|e| panic!("{e}: {out}{}", String::from_utf8_lossy(&output.stderr)));
    (report, std::fs::read_to_string(log).unwrap().lines().map(String::from).collect())
}

const DATA: &str = "data:\n  - {path: /srv/eu, class: customer-data, regions: [eu-central-1, germanywestcentral, europe-west3, eu-frankfurt-1, eu-central, fra1, FRA, nova]}\n  - {path: /srv/us, class: customer-data, regions: [us-east-1]}\n";
const INIT: &str = r#"{"v1": {"cloud_name": "aws", "platform": "ec2", "region": "eu-central-1", "availability_zone": "eu-central-1b"}}"#;

#[test]
fn every_cloud_says_where_the_machine_is() {
    for (cloud, vendor, region, zone) in [
        ("aws", "Amazon EC2", "eu-central-1", "eu-central-1b"),
        ("azure", "chassis_asset_tag=7783-7084-3265-9085-8269-3286-77", "germanywestcentral", "2"),
        ("gcp", "product_name=Google Compute Engine", "europe-west3", "europe-west3-a"),
        ("oracle", "chassis_asset_tag=OracleCloud.com", "eu-frankfurt-1", ""),
        ("openstack", "product_name=OpenStack Nova", "", "nova"),
        ("hetzner", "Hetzner", "eu-central", "fsn1-dc14"),
        ("digitalocean", "DigitalOcean", "fra1", ""),
        ("vultr", "Vultr", "FRA", ""),
    ] {
        let (report, heard) = scan_in_namespace(&Machine { cloud, vendor, cloud_init: "", config: DATA });
        let found = &report["facts"]["region"];
        assert_eq!((found["region"].as_str(), found["zone"].as_str()), (Some(region), Some(zone)), "{cloud}: {found:#} {heard:?}");
        assert_eq!((found["method"].as_str(), found["provider"].as_str()), (Some("observed"), Some(cloud)));
        // A zone alone proves where allowed zones name it, and nothing elsewhere.
        let elsewhere = if region.is_empty() { "unknown" } else { "fail" };
        assert!(with_verdict(&report, "pass").contains(&("data-region-allowed".into(), "/srv/eu".into())), "{cloud}");
        assert_eq!(with_verdict(&report, elsewhere), set(&[("data-region-allowed", "/srv/us")]), "{cloud}");
        assert!(heard.len() <= 4 && heard.iter().all(|l| !l.contains("credentials") && !l.contains("user-data")), "{heard:?}");
    }
}

#[test]
fn version_one_of_the_service_is_told_from_version_two() {
    let machine = |cloud| Machine { cloud, vendor: "Amazon EC2", cloud_init: INIT, config: "" };
    let (report, heard) = scan_in_namespace(&machine("aws"));
    assert_eq!(with_verdict(&report, "pass"), set(&[("cloud-metadata-v1-open", "169.254.169.254:80")]));
    assert_eq!(report["facts"]["region"]["differences"], serde_json::json!([]));
    assert!(heard.iter().any(|l| l.starts_with("PUT /latest/api/token") && l.contains("x-aws-ec2-metadata-token-ttl-seconds")), "{heard:?}");
    let (report, _) = scan_in_namespace(&machine("aws-v1"));
    assert_eq!(with_verdict(&report, "fail"), set(&[("cloud-metadata-v1-open", "169.254.169.254:80")]));
}

#[test]
fn an_unknown_machine_is_never_asked_and_a_site_is_only_declared() {
    let site = format!("{DATA}site: {{provider: example, region: eu-central-1, country: DE}}\n");
    let (report, heard) = scan_in_namespace(&Machine { cloud: "aws", vendor: "Dell Inc.", cloud_init: "", config: &site });
    assert_eq!(heard, Vec::<String>::new());
    assert_eq!(report["facts"]["region"]["method"], "declared");
    assert_eq!(with_verdict(&report, "unknown"), set(&[("data-region-allowed", "/srv/eu")]));
    assert_eq!(with_verdict(&report, "fail"), set(&[("data-region-allowed", "/srv/us")]));
}

#[test]
fn what_the_cloud_says_beats_the_record_and_a_silent_service_leaves_the_record() {
    let site = "site: {region: us-east-1}\n";
    let declared = format!("{DATA}{site}");
    let (report, _) = scan_in_namespace(&Machine { cloud: "aws", vendor: "Amazon EC2", cloud_init: "", config: &declared });
    assert_eq!(report["facts"]["region"]["differences"], serde_json::json!(["metadata says eu-central-1, declaration says us-east-1"]));
    assert_eq!(with_verdict(&report, "fail"), set(&[("data-region-allowed", "/srv/us")]));
    // The service is another cloud's: it refuses, and what cloud-init recorded stands.
    let (report, heard) = scan_in_namespace(&Machine { cloud: "gcp", vendor: "Amazon EC2", cloud_init: INIT, config: DATA });
    assert_eq!((report["facts"]["region"]["method"].as_str(), report["facts"]["region"]["region"].as_str()), (Some("recorded"), Some("eu-central-1")));
    assert!(!heard.is_empty());
    assert_eq!(with_verdict(&report, "unknown"), set(&[("cloud-metadata-v1-open", "169.254.169.254:80")]));
    let excluded = format!("{DATA}exclusions: [\"169.254.169.254:80\"]\n");
    let (report, heard) = scan_in_namespace(&Machine { cloud: "aws", vendor: "Amazon EC2", cloud_init: INIT, config: &excluded });
    assert_eq!((heard.len(), report["facts"]["region"]["method"].as_str()), (0, Some("recorded")));
}
