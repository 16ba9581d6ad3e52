//! Files of the examined machine. The first byte chooses the file, the rest is its content; the
//! family that reads it must neither panic nor lose the panic as an internal error.
#![no_main]

use std::path::PathBuf;
use std::sync::LazyLock;

use assay::facts;
use assay::host::Host;
use assay::model::gap::{Gaps, reason};

/// Family -> a file that it parses.
const FILES: &[(&str, &str)] = &[
    ("accounts", "etc/passwd"),
    ("accounts", "etc/shadow"),
    ("accounts", "etc/group"),
    ("accounts", "etc/nsswitch.conf"),
    ("accounts", "var/log/wtmp"),
    ("accounts", "var/log/lastlog"),
    ("ssh_keys", "root/.ssh/authorized_keys"),
    ("sshd", "etc/ssh/sshd_config"),
    ("sudo", "etc/sudoers"),
    ("os", "etc/os-release"),
    ("packages", "var/lib/dpkg/status"),
    ("updates", "etc/apt/apt.conf"),
    ("updates", "etc/apt/sources.list"),
    ("updates", "etc/apt/sources.list.d/x.sources"),
    ("updates", "etc/apt/preferences"),
    ("updates", "var/lib/apt/lists/deb.debian.org_debian_dists_stable_InRelease"),
    ("updates", "var/lib/apt/lists/deb.debian.org_debian_dists_stable_main_binary-amd64_Packages"),
    ("accounts", "etc/gshadow"),
    ("accounts", "var/lib/sss/mc/passwd"),
    ("accounts", "var/lib/lastlog/lastlog2.db"),
    ("ssh_keys", "root/.ssh/id_rsa"),
    ("sudo", "etc/doas.conf"),
    ("jobs", "etc/crontab"),
    ("jobs", "var/spool/cron/atjobs/a0000101b5a4c2"),
    ("jobs", "etc/systemd/system/x.service"),
    ("jobs", "etc/rc.local"),
    ("pam", "etc/pam.d/sshd"),
    ("pam", "etc/security/pwquality.conf"),
    ("polkit", "etc/polkit-1/rules.d/x.rules"),
    ("polkit", "etc/polkit-1/localauthority/50-local.d/x.pkla"),
    ("polkit", "usr/share/polkit-1/actions/x.policy"),
    ("packages", "lib/apk/db/installed"),
    ("packages", "var/lib/rpm/rpmdb.sqlite"),
    ("storage", "etc/fstab"),
    ("storage", "etc/crypttab"),
    ("storage", "etc/lvm/backup/vg"),
    ("database_servers", "etc/postgresql/15/main/postgresql.conf"),
    ("database_servers", "var/lib/postgresql/15/main/pg_hba.conf"),
    ("database_servers", "var/lib/postgresql/15/main/global/pg_control"),
    ("database_servers", "etc/mysql/my.cnf"),
    ("database_servers", "etc/redis/redis.conf"),
    ("database_servers", "etc/mongod.conf"),
    ("replication", "var/lib/postgresql/15/main/postgresql.auto.conf"),
    ("replication", "var/lib/mysql/master.info"),
];

/// What the other files need to be looked at.
const GROUND: &[(&str, &str)] = &[
    ("etc/passwd", "root:x:0:0:root:/root:/bin/sh\n"),
    ("etc/group", "root:x:0:\n"),
    ("var/lib/dpkg/status", "Package: apt\nStatus: install ok installed\nArchitecture: amd64\nVersion: 1\n\n"),
    ("etc/apt/sources.list", "deb http://deb.debian.org/debian stable main\n"),
    ("etc/fstab", "/dev/mapper/data / ext4 defaults 0 1\n"),
    ("etc/postgresql/15/main/postgresql.conf", "port = 5432\n"),
    ("var/lib/postgresql/15/main/PG_VERSION", "15\n"),
    ("var/lib/postgresql/15/main/standby.signal", ""),
    ("etc/mysql/my.cnf", "[mysqld]\nport=3306\n"),
    ("usr/sbin/mariadbd", ""),
    ("usr/bin/redis-server", ""),
    ("usr/bin/mongod", ""),
];

static ROOT: LazyLock<PathBuf> = LazyLock::new(|| {
    let root = std::env::temp_dir().join(format!("assay-fuzz-host-{}", std::process::id()));
    let _ = std::fs::remove_dir_all(&root);
    for path in FILES.iter().map(|(_, path)| *path).chain(GROUND.iter().map(|(path, _)| *path)) {
        std::fs::create_dir_all(root.join(path).parent().expect("a folder")).expect("the folder is made");
    }
    for (path, text) in GROUND {
        std::fs::write(root.join(path), text).expect("the ground is written");
    }
    root
});

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let Some((&choice, content)) = data.split_first() else { return };
    let (name, path) = FILES[usize::from(choice) % FILES.len()];
    std::fs::write(ROOT.join(path), content).expect("the file is written");
    let host = Host::rooted(&ROOT).expect("the root opens");
    let mut gaps = Gaps::new();
    let _ = facts::gather(facts::family(name).expect("the family is there"), &host, &mut gaps);
    let broken: Vec<_> = gaps.into_sorted().into_iter().filter(|g| g.reason == reason::INTERNAL).collect();
    assert!(broken.is_empty(), "{broken:?}");
    match GROUND.iter().find(|(ground, _)| *ground == path) {
        Some((_, text)) => std::fs::write(ROOT.join(path), text).expect("the ground is restored"),
        None => std::fs::remove_file(ROOT.join(path)).expect("the file is removed"),
    }
});
