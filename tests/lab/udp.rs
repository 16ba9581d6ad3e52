//! Servers that hear UDP, together in a network namespace of their own: there wildcard sockets,
//! privileged ports and an address that is not loopback disturb nobody, and nothing leaves.
//!
//! Debian packages: snmpd ntpsec bind9 unbound dnsmasq-base tftpd-hpa memcached rpcbind nfs-ganesha
//! nfs-ganesha-vfs iproute2 util-linux.

use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;

use super::folder;

/// Runs `servers`, a shell script that starts programs in the background, with a folder of its own
/// in `$PWD`, then a scan of `arguments` in the same namespace; every process ends with it.
/// The address that is not loopback is 10.9.8.7.
pub fn scan(servers: &str, ready: &str, assay: &str, arguments: &[&str]) -> Value {
    let folder = folder();
    let script = format!(
        "set -e\nip link set lo up\nip link add d0 type veth peer name d1\nip link set d1 up\nip addr add 10.9.8.7/24 dev d0\nip link set d0 up\n\
         ip route add default via 10.9.8.1\n{servers}\n\
         for try in $(seq 300); do if {ready}; then break; fi; sleep 0.1; done\n\
         {assay} scan --format json {} >out.json 2>error.log || echo $? >code\n",
        arguments.join(" ")
    );
    std::fs::write(folder.path().join("run.sh"), script).unwrap();
    let log = std::fs::File::create(folder.path().join("lab.log")).unwrap();
    let status = Command::new("unshare")
        .args(["--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "bash", "run.sh"])
        .current_dir(folder.path())
        .stdin(Stdio::null())
        .stdout(log.try_clone().unwrap())
        .stderr(log)
        .status()
        .unwrap();
    let text = |name: &str| std::fs::read_to_string(folder.path().join(name)).unwrap_or_default();
    assert!(status.success(), "{}", text("lab.log"));
    serde_json::from_slice(&read(folder.path(), "out.json")).unwrap_or_else(|e| panic!("{e}: {} {}", text("error.log"), text("lab.log")))
}

fn read(folder: &Path, name: &str) -> Vec<u8> {
    std::fs::read(folder.join(name)).unwrap_or_default()
}
