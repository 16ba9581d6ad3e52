//! What of the file system the agent process may touch (landlock(7), Linux 5.19 and later).
//!
//! It reads what probing, resolving names and checking certificates need, writes its state folder
//! and nothing else. Connections are not restricted: it speaks to the listeners of its machine.
//!
//! The gatherer, and an agent that reads in its own process, can't be confined this way: a process
//! under landlock may not look at others (ptrace(2) access checks), which would hide
//! `/proc/PID/exe`, `fd` and `maps`. The gatherer is kept from writing by
//! [`seccomp::read_only`](super::seccomp::read_only).

use std::path::PathBuf;

use landlock::{ABI, Access as _, AccessFs, BitFlags, CompatLevel, Compatible as _, Ruleset, RulesetAttr as _, RulesetCreatedAttr as _, RulesetError};
use landlock::{RulesetStatus, Scope, path_beneath_rules};

use crate::config::agent::AgentConfig;

/// The newest interface whose rights were tested.
const TESTED: ABI = ABI::V6;
/// Files and folders that are read, where they exist.
const READ: [&str; 34] = [
    // Resolving names, with whatever modules nsswitch.conf(5) names.
    "/etc/resolv.conf",
    "/etc/hosts",
    "/etc/host.conf",
    "/etc/gai.conf",
    "/etc/nsswitch.conf",
    "/etc/services",
    "/etc/protocols",
    "/etc/ld.so.cache",
    "/lib",
    "/lib32",
    "/lib64",
    "/usr/lib",
    "/usr/lib32",
    "/usr/lib64",
    "/run/systemd/resolve",
    "/run/resolvconf",
    "/run/NetworkManager",
    "/run/nscd",
    // Trust anchors.
    "/etc/ssl",
    "/etc/pki",
    "/etc/ca-certificates",
    "/usr/share/ca-certificates",
    "/usr/local/share/ca-certificates",
    "/usr/share/pki",
    // Time zones, which machine this is, randomness.
    "/etc/localtime",
    "/usr/share/zoneinfo",
    "/usr/share/lib/zoneinfo",
    "/etc/machine-id",
    "/var/lib/dbus/machine-id",
    "/etc/assay",
    "/proc/self",
    "/proc/sys/vm/overcommit_memory",
    "/dev/urandom",
    "/dev/null",
];
/// Rights that nothing in the state folder needs.
const NEVER: [AccessFs; 7] =
    [AccessFs::Execute, AccessFs::MakeChar, AccessFs::MakeBlock, AccessFs::MakeSock, AccessFs::MakeFifo, AccessFs::MakeSym, AccessFs::IoctlDev];

/// How far the kernel confines the process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Confined {
    /// By every right asked for.
    Fully,
    /// By those that this kernel knows.
    Partly,
    /// Not at all: it has no landlock, or one that can't rename between folders.
    Not,
}

/// Confines the calling thread and every thread it starts from now on. There is no way back.
pub fn confine(config: &AgentConfig) -> Result<Confined, RulesetError> {
    let never = NEVER.into_iter().fold(BitFlags::EMPTY, |all, right| all | right);
    let all = AccessFs::from_all(TESTED);
    let mut read: Vec<PathBuf> = READ.iter().map(PathBuf::from).collect();
    read.extend([config.trust_store.clone().into(), config.policy.clone(), config.rules_key.clone()].into_iter().filter(|p: &PathBuf| p.is_absolute()));
    let status = Ruleset::default()
        // Acknowledged reports move to another folder: without this right, nothing may.
        .set_compatibility(CompatLevel::SoftRequirement)
        .handle_access(AccessFs::Refer)?
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(all)?
        .scope(Scope::from_all(TESTED))?
        .create()?
        .add_rules(path_beneath_rules(&read, AccessFs::ReadFile | AccessFs::ReadDir))?
        .add_rules(path_beneath_rules([&config.state_dir], all & !never))?
        .restrict_self()?;
    Ok(match status.ruleset {
        RulesetStatus::FullyEnforced => Confined::Fully,
        RulesetStatus::PartiallyEnforced => Confined::Partly,
        RulesetStatus::NotEnforced => Confined::Not,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    fn refused(result: std::io::Result<impl Sized>) -> bool {
        result.is_err_and(|e| e.kind() == std::io::ErrorKind::PermissionDenied)
    }

    #[test]
    #[expect(clippy::disallowed_methods, reason = "the confined process is a child of its own: there is no way back")]
    fn a_confined_process_writes_its_state_and_nothing_else() {
        const MARK: &str = "ASSAY_TEST_LANDLOCK";
        let Some(folder) = std::env::var_os(MARK) else {
            let dir = tempfile::tempdir().unwrap();
            std::fs::create_dir_all(dir.path().join("state/spool")).unwrap();
            std::fs::write(dir.path().join("secret"), "x").unwrap();
            let mut child = std::process::Command::new(std::env::current_exe().unwrap());
            child.env(MARK, dir.path()).args(["--exact", "agent::landlock::tests::a_confined_process_writes_its_state_and_nothing_else", "--nocapture"]);
            let output = child.output().unwrap();
            assert!(output.status.success(), "{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
            let said = String::from_utf8_lossy(&output.stdout).into_owned();
            assert!(said.contains("held") || said.contains("kernel has none"), "{said}");
            return;
        };
        let folder = Path::new(&folder);
        let config = AgentConfig { state_dir: folder.join("state"), ..AgentConfig::default() };
        if confine(&config).unwrap() == Confined::Not {
            println!("kernel has none");
            return;
        }
        // The test harness runs this on a thread of its own, which is the confined one.
        std::fs::write(folder.join("state/spool/a"), "x").unwrap();
        std::fs::rename(folder.join("state/spool/a"), folder.join("state/a")).unwrap();
        std::fs::remove_file(folder.join("state/a")).unwrap();
        assert!(refused(std::fs::write(folder.join("outside"), "x")));
        assert!(refused(std::fs::write(folder.join("secret"), "y")));
        assert!(refused(std::fs::rename(folder.join("state/spool"), folder.join("spool"))));
        assert!(refused(std::fs::remove_file(folder.join("secret"))));
        assert!(refused(std::fs::read(folder.join("secret"))));
        assert!(refused(std::fs::read("/etc/shadow")) && refused(std::fs::read_dir("/root")));
        assert!(std::fs::read("/etc/hosts").is_ok() && std::fs::read("/proc/self/status").is_ok());
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        assert!(std::net::TcpStream::connect(listener.local_addr().unwrap()).is_ok(), "probes connect");
        assert!(std::thread::spawn(|| refused(std::fs::read("/etc/shadow"))).join().unwrap(), "threads inherit it");
        println!("held");
    }
}
