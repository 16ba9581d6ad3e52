//! The OCI runtime specification's config.json: what a runtime was told to start.

use serde_json::Value;

use super::{Container, Mount, reach};

/// Capabilities that Docker, Podman, containerd and CRI-O give by themselves (the union of their lists).
const USUAL: [&str; 14] = [
    "CAP_AUDIT_WRITE",
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_FOWNER",
    "CAP_FSETID",
    "CAP_KILL",
    "CAP_MKNOD",
    "CAP_NET_BIND_SERVICE",
    "CAP_NET_RAW",
    "CAP_SETFCAP",
    "CAP_SETGID",
    "CAP_SETPCAP",
    "CAP_SETUID",
    "CAP_SYS_CHROOT",
];
/// With as many capabilities as this a container has all that the kernel knows of (41 since Linux 5.9, 37 before).
const ALL: usize = 37;
/// Namespaces that are told of.
const NAMESPACES: [&str; 5] = ["cgroup", "ipc", "network", "pid", "uts"];
/// Most mounts kept of one container.
const MOUNT_LIMIT: usize = 200;

/// Fills what the specification says. `own`: folders of the engine, whose mounts it makes itself.
pub fn read(spec: &Value, own: &[&str], container: &mut Container) {
    let list = |pointer: &str| spec.pointer(pointer).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let text = |value: &Value, key: &str| value.get(key).and_then(Value::as_str).unwrap_or_default().to_string();
    let bounding: Vec<&str> = list("/process/capabilities/bounding").iter().filter_map(Value::as_str).collect();
    container.capabilities_added =
        if bounding.len() >= ALL { vec!["ALL".into()] } else { bounding.iter().filter(|c| !USUAL.contains(c)).map(|c| (*c).to_string()).collect() };
    let namespaces: Vec<(String, String)> = list("/linux/namespaces").iter().map(|n| (text(n, "type"), text(n, "path"))).collect();
    // Without an entry the namespace is the runtime's own, the machine's; so is the one of process 1.
    let is_host = |kind: &&&str| namespaces.iter().find(|(t, _)| t == **kind).is_none_or(|(_, path)| path.starts_with("/proc/1/ns/"));
    container.host_namespaces = NAMESPACES.iter().filter(is_host).filter(|k| **k != "cgroup").map(|k| (*k).to_string()).collect();
    let user_namespace = namespaces.iter().any(|(t, _)| t == "user");
    let uid = spec.pointer("/process/user/uid").and_then(Value::as_u64).unwrap_or(0);
    container.user = uid.to_string();
    container.root = Some(uid == 0 && !user_namespace);
    container.read_only = spec.pointer("/root/readonly").and_then(Value::as_bool).unwrap_or(false);
    container.no_new_privileges = spec.pointer("/process/noNewPrivileges").and_then(Value::as_bool).unwrap_or(false);
    if spec.pointer("/linux/seccomp").is_none_or(Value::is_null) {
        container.unconfined.push("seccomp".into());
    }
    if spec.pointer("/process/apparmorProfile").and_then(Value::as_str) == Some("unconfined") {
        container.unconfined.push("apparmor".into());
    }
    for mount in list("/mounts").iter().take(MOUNT_LIMIT) {
        let options: Vec<&str> = mount.get("options").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str).collect();
        let is_bind = text(mount, "type") == "bind" || options.iter().any(|o| matches!(*o, "bind" | "rbind"));
        let path = text(mount, "source");
        if is_bind && path.starts_with('/') && !own.iter().any(|o| path.starts_with(o)) {
            container.mounts.push(Mount {
                gives: reach::gives(&path).into(),
                host_path: path,
                destination: text(mount, "destination"),
                writable: !options.contains(&"ro"),
            });
        }
    }
    // All devices of the machine may be opened: what --privileged does, and no other option.
    let devices = list("/linux/resources/devices");
    let all_devices = devices.iter().any(|d| {
        d.get("allow").and_then(Value::as_bool) == Some(true)
            && d.get("access").and_then(Value::as_str) == Some("rwm")
            && d.get("major").is_none()
            && matches!(d.get("type").and_then(Value::as_str), None | Some("a"))
    });
    container.privileged = container.capabilities_added == ["ALL"] && (all_devices || list("/linux/maskedPaths").is_empty());
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_a_runtime_was_told() {
        let spec = json!({
            "process": {"user": {"uid": 0}, "noNewPrivileges": true, "apparmorProfile": "unconfined", "capabilities": {"bounding": ["CAP_CHOWN", "CAP_SYS_ADMIN"]}},
            "root": {"path": "rootfs", "readonly": true},
            "mounts": [
                {"destination": "/proc", "type": "proc", "source": "proc"},
                {"destination": "/h", "type": "none", "source": "/", "options": ["rbind", "ro"]},
                {"destination": "/dev/shm", "type": "bind", "source": "/run/engine/shm", "options": ["rbind"]}
            ],
            "linux": {"namespaces": [{"type": "pid"}, {"type": "ipc", "path": "/proc/1/ns/ipc"}, {"type": "mount"}, {"type": "uts"}], "maskedPaths": ["/proc/kcore"]}
        });
        let mut container = Container::default();
        read(&spec, &["/run/engine"], &mut container);
        assert_eq!(container.host_namespaces, ["ipc", "network"]);
        assert_eq!(container.capabilities_added, ["CAP_SYS_ADMIN"]);
        assert_eq!(container.mounts, [Mount { host_path: "/".into(), destination: "/h".into(), writable: false, gives: "everything".into() }]);
        assert_eq!((container.root, container.read_only, container.no_new_privileges, container.privileged), (Some(true), true, true, false));
        assert_eq!(container.unconfined, ["seccomp", "apparmor"]);
    }

    #[test]
    fn any_document_is_read() {
        for spec in [json!(null), json!([]), json!({"linux": 7, "mounts": {"a": 1}, "process": []}), json!({"mounts": [1, {"options": [7]}]})] {
            read(&spec, &[], &mut Container::default());
        }
    }
}
