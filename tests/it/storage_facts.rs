//! Encryption at rest: recorded device trees, a root folder with planted faults and sound decoys,
//! and real file systems on loop devices.

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use assay::facts;
use assay::host::Host;
use assay::model::declared::{DataClass, DataPath, Declared};
use assay::model::gap::Gaps;
use serde_json::Value;

use super::support::{ASSAY, run, text};

fn write(root: &Path, path: &str, content: impl AsRef<[u8]>) {
    let path = root.join(path.trim_start_matches('/'));
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, content).unwrap();
}

fn mode(root: &Path, path: &str, bits: u32) {
    std::fs::set_permissions(root.join(path.trim_start_matches('/')), std::fs::Permissions::from_mode(bits)).unwrap();
}

fn gather(host: &Host) -> (Value, Vec<assay::model::gap::Gap>) {
    let mut gaps = Gaps::new();
    let value = facts::gather(facts::family("storage").unwrap(), host, &mut gaps).unwrap();
    (value, gaps.into_sorted())
}

/// Subject -> (answer, why) of a list.
fn answers(facts: &Value, list: &str) -> BTreeMap<String, (String, String)> {
    let word = |v: &Value, key: &str| v[key].as_str().unwrap_or_default().to_string();
    facts[list].as_array().unwrap().iter().map(|v| (word(v, "subject"), (word(v, "encrypted"), word(v, "why")))).collect()
}

fn recorded() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/hosts/storage-stack")
}

#[test]
fn stacks_of_a_real_kernel_are_judged_by_their_weakest_part() {
    let (facts, _) = gather(&Host::recorded(&recorded()).unwrap());
    let volumes = answers(&facts, "volumes");
    let shown: BTreeMap<&str, &str> = volumes.iter().map(|(k, v)| (k.as_str(), v.0.as_str())).collect();
    let expected = BTreeMap::from([
        ("/", "no"),
        ("/m/bind", "yes"),
        ("/m/bt", "no"),
        ("/m/detached", "yes"),
        ("/m/essiv", "yes"),
        ("/m/inner", "yes"),
        ("/m/luksraid", "yes"),
        ("/m/lvm", "yes"),
        ("/m/mixed", "no"),
        ("/m/null", "no"),
        ("/m/orig", "no"),
        ("/m/plain", "yes"),
        ("/m/raidluks", "yes"),
        ("/m/stray", "no"),
        ("/m/thin", "yes"),
        ("/m/two", "yes"),
        ("swap /dev/dm-13", "yes"),
    ]);
    assert_eq!(shown, expected);
    assert!(volumes["/m/mixed"].1.starts_with("loop loop7: "), "{:?}", volumes["/m/mixed"]);
    assert!(volumes["/m/bt"].1.starts_with("loop loop17: "), "{:?}", volumes["/m/bt"]);
    assert_eq!(volumes["/m/null"].1, "LUKS1 cipher_null-ecb 256 bit, which writes data as it is");
    assert_eq!(volumes["/m/essiv"].1, "LUKS2 aes-cbc-essiv:sha256 256 bit");

    let crypt: BTreeMap<&str, &Value> = facts["crypt"].as_array().unwrap().iter().map(|c| (c["subject"].as_str().unwrap(), c)).collect();
    assert_eq!((&crypt["c_null"]["algorithm"], &crypt["c_null"]["mode"]), (&"cipher_null".into(), &"ecb".into()));
    assert_eq!((&crypt["c_two"]["cipher"], &crypt["c_two"]["key_bits"]), (&"aes-xts-plain64".into(), &512.into()));
    assert_eq!(crypt["c_two"]["key_slots"][0]["iterations"], 1000);
    assert_eq!(crypt["c_detached"]["cipher_from"], "", "its header is not on the device");
}

#[test]
fn a_second_user_of_the_null_cipher_makes_unseen_ciphers_doubtful() {
    let root = tempfile::tempdir().unwrap();
    let status = Command::new("cp").arg("-a").arg(recorded().join(".")).arg(root.path()).status().unwrap();
    assert!(status.success());
    let path = root.path().join("proc/crypto");
    let more = std::fs::read_to_string(&path).unwrap().replace("refcnt       : 2", "refcnt       : 3");
    std::fs::write(path, more).unwrap();
    let volumes = answers(&gather(&Host::recorded(root.path()).unwrap()).0, "volumes");
    let word = |s: &str| volumes[s].0.as_str();
    assert_eq!((word("/m/plain"), word("/m/detached"), word("/m/two")), ("unknown", "unknown", "yes"));
    // crypttab tells the cipher after all.
    write(root.path(), "/etc/crypttab", "c_plain /img/m.img /dev/urandom plain,cipher=aes-xts-plain64,size=512\n");
    let volumes = answers(&gather(&Host::recorded(root.path()).unwrap()).0, "volumes");
    assert_eq!((volumes["/m/plain"].0.as_str(), volumes["/m/plain"].1.as_str()), ("yes", "dm-crypt plain aes-xts-plain64"));
}

/// A root folder in the form that installers leave, with faults and decoys.
fn plant(root: &Path) {
    write(
        root,
        "/etc/fstab",
        "# /dev/sdz1 /old ext4 defaults 0 2\n\
         /dev/mapper/vg-root / ext4 defaults 0 1\n\
         UUID=0000-1 /boot ext2 defaults 0 2\n\
         /dev/mapper/vg-srv /srv ext4 defaults 0 2\n\
         /dev/sdb1 /srv/fast xfs defaults 0 2\n\
         /dev/mapper/sw none swap sw 0 0\n\
         /dev/sdc2 none swap sw 0 0\n\
         /srv/fast/img /mnt/img ext4 loop 0 0\n\
         nas:/plain /mnt/plain nfs4 sec=sys 0 0\n\
         nas:/private /mnt/private nfs4 sec=krb5p 0 0\n\
         //nas/share /mnt/share cifs credentials=/root/.smb,seal 0 0\n\
         /dev/sr0 /media/cdrom0 udf,iso9660 user,noauto 0 0\n\
         tmpfs /tmp tmpfs defaults 0 0\n\
         /dev/mapper/known none swap sw 0 0\n",
    );
    write(
        root,
        "/etc/crypttab",
        "# old /dev/sdy1 /etc/keys/open.key plain,cipher=cipher_null-ecb\n\
         pv UUID=0000-2 none luks\n\
         sw /dev/sdc1 /dev/urandom swap,cipher=aes-xts-plain64,size=512\n\
         data /dev/sdd1 /etc/keys/open.key luks\n\
         good /dev/sde1 /etc/keys/shut.key luks\n\
         hidden /dev/sde2 /etc/keys/deep/walled.key luks\n\
         boot /dev/sde3 /boot/boot.key luks\n\
         weak /dev/sdf1 /dev/urandom plain,cipher=aes-cbc-plain,size=256\n\
         lucky /dev/sdf2 none luks,cipher=cipher_null-ecb\n\
         stick /dev/sdf3 /key:LABEL=stick luks\n\
         legacy /srv/legacy.img none luks\n\
         known /dev/sdf4 /dev/zero swap,cipher=aes-xts-plain64,size=512\n",
    );
    let volume = |name: &str| format!("{name} {{\nstatus = [\"READ\", \"VISIBLE\"]\nsegment1 {{\ntype = \"striped\"\nstripes = [\n\"pv0\", 0\n]\n}}\n}}\n");
    let backup =
        format!("vg {{\nphysical_volumes {{\npv0 {{\ndevice = \"/dev/mapper/pv\"\n}}\n}}\nlogical_volumes {{\n{}{}}}\n}}\n", volume("root"), volume("srv"));
    write(root, "/etc/lvm/backup/vg", backup);
    for (path, bits) in [("/etc/keys/open.key", 0o644), ("/etc/keys/shut.key", 0o400), ("/etc/keys/deep/walled.key", 0o644), ("/boot/boot.key", 0o400)] {
        write(root, path, "not a real key");
        mode(root, path, bits);
    }
    mode(root, "/", 0o755);
    mode(root, "/etc/keys/deep", 0o700);
    write(root, "/srv/legacy.img", include_bytes!("../vectors/luks1-header.bin"));
    // Data: a link and a tablespace lead to the plain disk, the rest is sound.
    write(root, "/etc/postgresql/15/main/postgresql.conf", "#data_directory = '/srv/fast/old'\ndata_directory = '/var/lib/postgresql/15/main'\n");
    write(root, "/var/lib/postgresql/15/main/PG_VERSION", "15\n");
    std::fs::create_dir_all(root.join("var/lib/postgresql/15/main/pg_tblspc")).unwrap();
    std::fs::create_dir_all(root.join("srv/fast/space")).unwrap();
    symlink("/srv/fast/space", root.join("var/lib/postgresql/15/main/pg_tblspc/16400")).unwrap();
    write(root, "/etc/mysql/my.cnf", "[mysqld]\ndatadir = /var/lib/mysql\n");
    std::fs::create_dir_all(root.join("srv/fast/mysql")).unwrap();
    symlink("/srv/fast/mysql", root.join("var/lib/mysql")).unwrap();
    write(root, "/etc/redis/redis.conf", "# dir /srv/fast/redis\ndir /srv/redis\n");
    write(root, "/etc/docker/daemon.json", "{\"data-root\": \"/srv/docker\"}");
    std::fs::create_dir_all(root.join("home")).unwrap();
    write(root, "/etc/default/grub", "#GRUB_CMDLINE_LINUX=\"resume=/dev/mapper/sw\"\nGRUB_CMDLINE_LINUX=\"resume=/dev/sdc2\"\n");
    write(root, "/etc/systemd/system/multi-user.target.wants/.keep", "");
    write(root, "/etc/systemd/system/backup.mount", "[Mount]\nWhat=/dev/sdg1\nWhere=/backup\nType=ext4\n");
    symlink("/etc/systemd/system/backup.mount", root.join("etc/systemd/system/multi-user.target.wants/backup.mount")).unwrap();
    // Not wanted by anything.
    write(root, "/etc/systemd/system/idle.mount", "[Mount]\nWhat=/dev/sdh1\nWhere=/idle\nType=ext4\n");
}

#[test]
fn planted_faults_are_found_with_their_place_and_decoys_are_not() {
    let dir = tempfile::tempdir().unwrap();
    plant(dir.path());
    let (_, out, error) = run(ASSAY, &["scan", "--root", text(dir.path()), "--family", "storage", "--format", "json"]);
    let document: Value = serde_json::from_str(&out).unwrap_or_else(|e| panic!("{e}: {error}"));
    let findings = document["findings"].as_array().unwrap();
    let of = |verdict: &str| -> BTreeSet<(&str, &str)> {
        let those = findings.iter().filter(|f| f["verdict"] == verdict && f["rule"].as_str().unwrap().starts_with("storage-"));
        those.map(|f| (f["rule"].as_str().unwrap(), f["subject"].as_str().unwrap())).collect()
    };
    let expected = BTreeSet::from([
        ("storage-encryption", "/backup"),
        ("storage-encryption", "/mnt/img"),
        ("storage-encryption", "/srv/fast"),
        ("storage-swap-encryption", "swap /dev/sdc2"),
        ("storage-swap-encryption", "swap /dev/mapper/known"),
        ("storage-data-encryption", "/var/lib/mysql"),
        ("storage-data-encryption", "/var/lib/postgresql/15/main/pg_tblspc/16400"),
        ("storage-hibernation-encryption", "hibernation /dev/sdc2"),
        ("storage-key-file-readable", "/etc/keys/open.key"),
        ("storage-key-file-beside-lock", "/boot/boot.key"),
        ("storage-cipher-weak", "weak"),
        ("storage-kdf-weak", "legacy"),
        ("storage-network-transport", "/mnt/plain"),
    ]);
    assert_eq!(of("fail"), expected);
    let message = |rule: &str, subject: &str| {
        let found = findings.iter().find(|f| f["rule"] == rule && f["subject"] == subject).unwrap();
        found["message"].as_str().unwrap().to_string()
    };
    assert!(
        message("storage-key-file-readable", "/etc/keys/open.key").ends_with("of data (mode 0644, uid 0) can be read by everyone; named in /etc/crypttab:4")
    );
    assert!(message("storage-data-encryption", "/var/lib/mysql").ends_with("[/etc/mysql/my.cnf:2]"));
    assert!(message("storage-data-encryption", "/var/lib/mysql").contains("/srv/fast/mysql (database, mysql) is not encrypted"));
    assert!(message("storage-hibernation-encryption", "hibernation /dev/sdc2").ends_with("[/etc/default/grub:2]"));
    assert!(message("storage-cipher-weak", "weak").ends_with("has predictable initial vectors [/etc/crypttab:8]"));
    assert!(message("storage-network-transport", "/mnt/plain").ends_with("[/etc/fstab:9]"));
    let volume = findings.iter().find(|f| f["rule"] == "storage-encryption" && f["subject"] == "/srv/fast").unwrap();
    let cited = volume["citations"].as_array().unwrap().iter().any(|c| c["source"]["place"] == "/etc/fstab" && c["source"]["line"] == 5);
    assert!(cited, "{volume:#}");
    let passed = of("pass");
    for sound in [
        ("storage-encryption", "/"),
        ("storage-encryption", "/srv"),
        ("storage-swap-encryption", "swap /dev/mapper/sw"),
        ("storage-data-encryption", "/var/lib/postgresql/15/main"),
        ("storage-data-encryption", "/srv/redis"),
        ("storage-data-encryption", "/srv/docker"),
        ("storage-data-encryption", "/home"),
        ("storage-key-file-readable", "/etc/keys/deep/walled.key"),
        ("storage-key-file-readable", "/etc/keys/shut.key"),
        ("storage-key-file-beside-lock", "/etc/keys/shut.key"),
        ("storage-cipher-weak", "legacy"),
        ("storage-cipher-weak", "sw"),
        ("storage-network-transport", "/mnt/private"),
        ("storage-network-transport", "/mnt/share"),
    ] {
        assert!(passed.contains(&sound), "{sound:?} is not among {passed:#?}");
    }
    // LUKS headers on devices can't be read from a folder: told, not passed.
    assert!(of("unknown").contains(&("storage-cipher-weak", "lucky")), "the option cipher= is ignored by LUKS");
}

#[test]
fn a_declaration_is_recorded_and_never_passes() {
    let dir = tempfile::tempdir().unwrap();
    plant(dir.path());
    let path = |path: &str, by: &str| DataPath { path: path.into(), class: DataClass::CustomerData, encrypted_by: by.into(), regions: Vec::new() };
    let declared = Declared { data: vec![path("/srv/fast/", "provider volume"), path("/srv/customers", "")], ..Declared::default() };
    let (facts, _) = gather(&Host::rooted(dir.path()).unwrap().with_declared(declared));
    let data = facts["data"].as_array().unwrap();
    let item = |subject: &str| data.iter().find(|d| d["subject"] == subject).unwrap();
    assert_eq!((&item("/srv/fast")["encrypted"], &item("/srv/fast")["encrypted_by_declaration"]), (&"no".into(), &"provider volume".into()));
    assert_eq!((&item("/srv/customers")["encrypted"], &item("/srv/customers")["mount"]), (&"yes".into(), &"/srv".into()));
}

#[test]
fn switched_off_hibernation_writes_nothing() {
    for (path, content, link) in [
        ("/etc/systemd/system/hibernate.target", "", true),
        ("/etc/systemd/sleep.conf.d/10.conf", "[Sleep]\nAllowHibernation=no\n", false),
        ("/etc/kernel/cmdline", "root=/dev/a noresume\n", false),
    ] {
        let dir = tempfile::tempdir().unwrap();
        plant(dir.path());
        if link {
            symlink("/dev/null", dir.path().join(path.trim_start_matches('/'))).unwrap();
        } else {
            write(dir.path(), path, content);
        }
        let (facts, _) = gather(&Host::rooted(dir.path()).unwrap());
        assert_eq!(facts["hibernation"]["possible"], false, "{path}");
        assert!(!facts["data"].as_array().unwrap().iter().any(|d| d["class"] == "hibernation"), "{path}");
    }
}

fn files(folder: &Path, out: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() && !path.is_symlink() {
            files(&path, out);
        } else if path.is_file() && !path.is_symlink() {
            out.push(path);
        }
    }
}

/// Each file of both trees emptied, cut, and filled with what its format does not allow: facts or gaps, never a panic.
#[test]
fn hostile_tables_headers_and_trees_never_panic() {
    let dir = tempfile::tempdir().unwrap();
    plant(dir.path());
    let status = Command::new("cp").arg("-a").arg(recorded().join(".")).arg(dir.path()).status().unwrap();
    assert!(status.success());
    let mut all = Vec::new();
    files(dir.path(), &mut all);
    // The attributes of one device of each kind stand for those of the others.
    all.retain(|p| !p.starts_with(dir.path().join("sys/devices")) || ["dm-1/", "dm-13/", "md2/", "loop15/"].iter().any(|d| p.to_str().unwrap().contains(d)));
    assert!(all.len() > 40);
    for path in all {
        let original = std::fs::read(&path).unwrap();
        let odd =
            [Vec::new(), original[..original.len() / 2].to_vec(), vec![0; 300], b"\xff\xfe= { [ ' \" : , \n - .. / -1 99999999999999999999 \n".repeat(20)];
        for bytes in odd {
            std::fs::write(&path, bytes).unwrap();
            for host in [Host::rooted(dir.path()).unwrap(), Host::recorded(dir.path()).unwrap()] {
                let mut gaps = Gaps::new();
                let _ = facts::gather(facts::family("storage").unwrap(), &host, &mut gaps);
                let internal = gaps.into_sorted().into_iter().find(|g| g.reason == assay::model::gap::reason::INTERNAL);
                assert_eq!(internal, None, "{}", path.display());
            }
        }
        std::fs::write(&path, original).unwrap();
    }
}

/// A mount that is undone when the test ends, in whatever way.
struct Mounted(PathBuf);

impl Drop for Mounted {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

fn must(program: &str, arguments: &[&str]) -> String {
    let (code, out, error) = run(program, arguments);
    assert_eq!(code, 0, "{program} {arguments:?} needs root and loop devices: {error}");
    out
}

fn mount(arguments: &[&str], point: &Path) -> Mounted {
    std::fs::create_dir_all(point).unwrap();
    must("mount", &[arguments, &[text(point)]].concat());
    Mounted(point.to_path_buf())
}

fn image(path: &Path, megabytes: u64) {
    std::fs::File::create(path).unwrap().set_len(megabytes << 20).unwrap();
}

/// Adds a key to a file system and sets a version 2 policy on a folder (linux/fscrypt.h).
const SET_POLICY: &str = "
import fcntl, os, struct, sys
root, folder = sys.argv[1:3]
fd = os.open(root, os.O_RDONLY)
key = bytearray(struct.pack('<II32sII32s', 2, 0, b'', 64, 0, b'') + os.urandom(64))
fcntl.ioctl(fd, 0xc0506617, key, True)
os.mkdir(folder)
fcntl.ioctl(os.open(folder, os.O_RDONLY), 0x800c6613, bytearray(struct.pack('<BBBB4s16s', 2, 1, 4, 3, b'', bytes(key[8:24]))), True)
os.mkdir(folder + '/inner')
open(folder + '/file', 'w').write('x')
";

#[test]
fn policies_views_and_loops_of_this_kernel() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    image(&at("a.img"), 64);
    must("mkfs.ext4", &["-q", "-O", "encrypt", text(&at("a.img"))]);
    let _disk = mount(&["-o", "loop", text(&at("a.img"))], &at("disk"));
    must("python3", &["-c", SET_POLICY, text(&at("disk")), text(&at("disk/secret"))]);
    std::fs::create_dir(at("disk/open")).unwrap();
    for folder in ["secret/upper", "secret/work", "open/upper", "open/work", "open/lower"] {
        std::fs::create_dir(at("disk").join(folder)).unwrap();
    }
    let _bind = mount(&["--bind", text(&at("disk/secret/inner"))], &at("bind"));
    let overlay = |name: &str| {
        let folder = at("disk").join(name);
        format!("lowerdir={},upperdir={}/upper,workdir={}/work", text(&at("disk/open/lower")), text(&folder), text(&folder))
    };
    let _shut = mount(&["-t", "overlay", "overlay", "-o", &overlay("secret")], &at("shut"));
    let _wide = mount(&["-t", "overlay", "overlay", "-o", &overlay("open")], &at("wide"));
    image(&at("disk/secret/nested.img"), 16);
    must("mkfs.ext4", &["-q", text(&at("disk/secret/nested.img"))]);
    let _nested = mount(&["-o", "loop", text(&at("disk/secret/nested.img"))], &at("nested"));
    symlink(at("disk/secret/inner"), at("link")).unwrap();

    let paths = ["disk/secret", "disk/secret/file", "disk/open", "link", "bind", "shut", "wide", "nested", "gone"];
    let data =
        paths.iter().map(|p| DataPath { path: text(&at(p)).into(), class: DataClass::Database, encrypted_by: String::new(), regions: Vec::new() }).collect();
    let host = Host::live().unwrap().with_declared(Declared { data, ..Declared::default() });
    let (facts, gaps) = gather(&host);
    let answers = answers(&facts, "data");
    let own = |p: &str| &answers[text(&at(p))];
    for encrypted in ["disk/secret", "disk/secret/file", "link", "bind", "shut", "nested"] {
        assert_eq!(own(encrypted).0, "yes", "{encrypted}: {:?}", own(encrypted));
        assert!(own(encrypted).1.starts_with("fscrypt v2 AES-256-XTS, names AES-256-CBC-CTS, key present"), "{:?}", own(encrypted));
    }
    for plain in ["disk/open", "wide"] {
        assert_ne!(own(plain).0, "yes", "{plain}: {:?}", own(plain));
    }
    assert_eq!(own("gone").0, "unknown");
    assert!(gaps.iter().any(|g| g.path == "data.encrypted" && g.subject == text(&at("gone"))));
    let item = facts["data"].as_array().unwrap().iter().find(|d| d["subject"] == text(&at("nested"))).unwrap();
    let kinds: Vec<&str> = item["chain"].as_array().unwrap().iter().map(|l| l["kind"].as_str().unwrap()).collect();
    assert_eq!(kinds.get(..3), Some(&["loop", "fscrypt", "loop"][..]), "{kinds:?}");
}

#[test]
fn home_folders_encrypted_one_by_one_count_as_far_as_they_go() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    image(&at("a.img"), 32);
    must("mkfs.ext4", &["-q", "-O", "encrypt", text(&at("a.img"))]);
    let _disk = mount(&["-o", "loop", text(&at("a.img"))], &at("disk"));
    for home in ["all", "some", "none"] {
        std::fs::create_dir_all(at("disk").join(home).join("empty")).unwrap();
        std::fs::create_dir_all(at("disk").join(home).join("lost+found")).unwrap();
    }
    for folder in ["disk/all/anna", "disk/all/bert", "disk/some/anna"] {
        must("python3", &["-c", SET_POLICY, text(&at("disk")), text(&at(folder))]);
    }
    write(&at("disk"), "some/carl/.profile", "");
    write(&at("disk"), "none/carl/.profile", "");
    let data = ["all", "some", "none"].iter().map(|h| DataPath {
        path: text(&at("disk").join(h)).into(),
        class: DataClass::Home,
        encrypted_by: String::new(),
        regions: Vec::new(),
    });
    let (facts, _) = gather(&Host::live().unwrap().with_declared(Declared { data: data.collect(), ..Declared::default() }));
    let answers = answers(&facts, "data");
    let own = |p: &str| answers[text(&at("disk").join(p))].clone();
    // Where the disks of this machine can't be judged, neither can a home that is not encrypted itself.
    if own("none").0 == "no" {
        assert_eq!(own("all").0, "yes", "{:?}", own("all"));
        assert!(own("some").0 == "no" && own("some").1.contains("/disk/some/carl is not encrypted, 1 other"), "{:?}", own("some"));
    }
}

#[test]
fn every_device_of_a_btrfs_of_this_kernel_is_followed() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    let devices: Vec<String> = ["a.img", "b.img"]
        .iter()
        .map(|name| {
            image(&at(name), 128);
            must("losetup", &["-f", "--show", text(&at(name))]).trim().to_string()
        })
        .collect();
    must("mkfs.btrfs", &["-q", "-f", "-d", "raid1", "-m", "raid1", &devices[0], &devices[1]]);
    let mounted = mount(&[&devices[1]], &at("disk"));
    let data = vec![DataPath { path: text(&at("disk")).into(), class: DataClass::Backup, encrypted_by: String::new(), regions: Vec::new() }];
    let (facts, _) = gather(&Host::live().unwrap().with_declared(Declared { data, ..Declared::default() }));
    drop(mounted);
    for device in &devices {
        must("losetup", &["-d", device]);
    }
    let item = facts["data"].as_array().unwrap().iter().find(|d| d["subject"] == text(&at("disk"))).unwrap();
    let loops = item["chain"].as_array().unwrap().iter().filter(|l| l["kind"] == "loop" && l["depth"] == 1).count();
    assert_eq!((loops, item["chain"][0]["kind"].as_str()), (2, Some("btrfs")), "{item:#}");
}

#[test]
fn headers_are_read_as_cryptsetup_dumps_them() {
    let dir = tempfile::tempdir().unwrap();
    let key = dir.path().join("key");
    std::fs::write(&key, "throw-away").unwrap();
    let formats: [(&str, &[&str]); 3] = [
        ("one", &["--type", "luks1", "--cipher", "aes-cbc-essiv:sha256", "--key-size", "256", "--pbkdf-force-iterations", "1500"]),
        ("two", &["--type", "luks2", "--cipher", "aes-xts-plain64", "--key-size", "512", "--pbkdf", "pbkdf2", "--pbkdf-force-iterations", "2000"]),
        ("three", &["--type", "luks2", "--pbkdf", "argon2id", "--pbkdf-force-iterations", "4", "--pbkdf-memory", "64", "--pbkdf-parallel", "1"]),
    ];
    let mut crypttab = String::new();
    for (name, options) in formats {
        let path = dir.path().join(format!("{name}.img"));
        image(&path, 20);
        must("cryptsetup", &[&["luksFormat", "--batch-mode", "--key-file", text(&key)], options, &[text(&path)]].concat());
        crypttab.push_str(&format!("{name} /{name}.img none luks\n"));
    }
    write(dir.path(), "/etc/crypttab", crypttab);
    write(dir.path(), "/etc/fstab", "/dev/mapper/one /one ext4\n");
    let (facts, _) = gather(&Host::rooted(dir.path()).unwrap());
    let crypt = |name: &str| facts["crypt"].as_array().unwrap().iter().find(|c| c["subject"] == name).unwrap().clone();

    let dump = must("cryptsetup", &["luksDump", text(&dir.path().join("one.img"))]);
    let field = |name: &str| dump.lines().find_map(|l| l.trim().strip_prefix(name)).unwrap_or_else(|| panic!("{name} is not in {dump}")).trim().to_string();
    let one = crypt("one");
    assert_eq!(one["cipher"], format!("{}-{}", field("Cipher name:"), field("Cipher mode:")));
    assert_eq!(one["key_bits"].to_string(), field("MK bits:"));
    let slot = dump.split("Key Slot 0: ENABLED").nth(1).unwrap().lines().find_map(|l| l.trim().strip_prefix("Iterations:")).unwrap();
    assert_eq!(one["key_slots"][0]["iterations"].to_string(), slot.trim());

    for name in ["two", "three"] {
        let path = dir.path().join(format!("{name}.img"));
        let dump: Value = serde_json::from_str(&must("cryptsetup", &["luksDump", "--dump-json-metadata", text(&path)])).unwrap();
        let (ours, theirs) = (crypt(name), &dump["keyslots"]["0"]);
        assert_eq!(ours["cipher"], dump["segments"]["0"]["encryption"]);
        assert_eq!(ours["key_bits"].as_u64().unwrap(), theirs["key_size"].as_u64().unwrap() * 8);
        assert_eq!(ours["key_slots"][0]["kdf"], theirs["kdf"]["type"]);
        let count = theirs["kdf"].get("iterations").or_else(|| theirs["kdf"].get("time")).unwrap();
        assert_eq!(&ours["key_slots"][0]["iterations"], count);
        assert_eq!(ours["key_slots"][0]["memory_kib"].as_u64().unwrap(), theirs["kdf"].get("memory").and_then(Value::as_u64).unwrap_or(0));
    }
}

#[test]
fn option_files_are_merged_as_mariadb_merges_them() {
    let dir = tempfile::tempdir().unwrap();
    // The included folder has the same path inside and outside the root.
    let outside = dir.path().join("conf.d");
    let root = dir.path().join("root");
    for (name, content) in [
        ("50-server.cnf", "[mariadbd]\ndatadir = /srv/fifty\nlog-bin = /srv/binlog/bin\n"),
        ("10-first.cnf", "[mysqld]\ndatadir=/srv/ten\n"),
        ("60-client.cnf", "[client]\ndatadir=/srv/client\n"),
        ("70.cnf.dpkg-dist", "[mysqld]\ndatadir=/srv/backup\n"),
    ] {
        write(&outside, name, content);
        write(&root, text(&outside.join(name)), content);
    }
    let main = format!("[mysqld]\ndatadir=/srv/main\n!includedir {}/\n", text(&outside));
    write(&root, "/etc/mysql/my.cnf", main);
    let file = format!("--defaults-file={}", text(&root.join("etc/mysql/my.cnf")));
    let dump = must("my_print_defaults", &[&file, "mysqld", "server", "mariadb", "mariadbd"]);
    let effective = dump.lines().filter_map(|l| l.strip_prefix("--datadir=")).next_back().unwrap();
    let (facts, _) = gather(&Host::rooted(&root).unwrap());
    let found: Vec<&str> = facts["data"].as_array().unwrap().iter().filter(|d| d["discovered_by"] == "mysql").map(|d| d["subject"].as_str().unwrap()).collect();
    assert_eq!(effective, "/srv/fifty", "{dump}");
    assert_eq!(found, ["/srv/binlog", effective]);
}
