//! Containers of Docker: `containers/ID/config.v2.json` and `hostconfig.json` below its data folder.

use std::collections::BTreeMap;

use serde_json::Value;

use super::dockerd::{self, Daemon};
use super::{Container, Containers, Mount, Port, reach, seconds};
use crate::facts::Document as _;
use crate::host::{Entry, FileKind, Host, ReadError};
use crate::model::fact::Source;
use crate::model::gap::{Gaps, reason};

/// Largest file of one container or image, bytes.
const LIMIT: usize = 4 << 20;
/// Namespaces and the keys of `hostconfig.json` that share them.
const NAMESPACES: [(&str, &str); 4] = [("network", "NetworkMode"), ("pid", "PidMode"), ("ipc", "IpcMode"), ("uts", "UTSMode")];

/// Engines and containers.
pub fn gather(host: &Host, out: &mut Containers, gaps: &mut Gaps) {
    for daemon in dockerd::daemons(host, gaps) {
        let mut folders = vec![daemon.engine.data.clone()];
        // With userns-remap all of it lies in a folder named UID.GID.
        let remapped =
            |e: &Entry| e.kind == FileKind::Folder && e.name.split_once('.').is_some_and(|(u, g)| u.parse::<u32>().is_ok() && g.parse::<u32>().is_ok());
        folders.extend(host.list(&daemon.engine.data).unwrap_or_default().into_iter().filter(remapped).map(|e| format!("{}/{}", daemon.engine.data, e.name)));
        for folder in folders {
            containers(host, &daemon, &folder, out, gaps);
        }
        out.apis.extend(daemon.apis);
        out.engines.push(daemon.engine);
    }
}

fn containers(host: &Host, daemon: &Daemon, folder: &str, out: &mut Containers, gaps: &mut Gaps) {
    let place = format!("{folder}/containers");
    let entries = match host.list(&place) {
        Ok(entries) => entries,
        Err(e) if e.is_not_found() => return,
        Err(e) => {
            gaps.add(e.to_gap(Containers::NAME, "items", &daemon.engine.subject));
            return;
        }
    };
    let mut images = BTreeMap::new();
    for entry in entries.into_iter().filter(|e| e.kind == FileKind::Folder) {
        let read = |name: &str| document(host, &format!("{place}/{}/{name}", entry.name));
        match (read("config.v2.json"), read("hostconfig.json")) {
            (Ok(config), Ok(host_config)) => {
                let source = Source::whole(format!("{place}/{}/hostconfig.json", entry.name));
                let mut item = container(host, daemon, &config, &host_config, source);
                image(host, folder, &mut item, &mut images, gaps);
                out.items.push(item);
            }
            // One that is being removed has no files any more.
            (Err(Problem::Read(e)), _) | (_, Err(Problem::Read(e))) if e.is_not_found() => {}
            (Err(problem), _) | (_, Err(problem)) => {
                let short = entry.name.get(..12).unwrap_or(&entry.name);
                problem.note(&format!("{} {short}", daemon.engine.subject), gaps);
            }
        }
    }
}

/// Why a document is not there.
#[derive(Debug)]
pub enum Problem {
    /// The file was not read.
    Read(ReadError),
    /// It is not JSON.
    Malformed(String),
}

impl Problem {
    /// Leaves a gap of the list of containers.
    pub fn note(&self, subject: &str, gaps: &mut Gaps) {
        match self {
            Self::Read(e) => gaps.add(e.to_gap(Containers::NAME, "items", subject)),
            Self::Malformed(place) => gaps.note(Containers::NAME, "items", subject, reason::MALFORMED, format!("{place}: not JSON"), ""),
        }
    }
}

/// A JSON file.
pub fn document(host: &Host, place: &str) -> Result<Value, Problem> {
    let bytes = host.read(place, LIMIT).map_err(Problem::Read)?;
    serde_json::from_slice(&bytes).map_err(|_| Problem::Malformed(place.into()))
}

fn text(value: &Value, pointer: &str) -> String {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_string()
}

fn truth(value: &Value, pointer: &str) -> bool {
    value.pointer(pointer).and_then(Value::as_bool).unwrap_or(false)
}

fn list<'v>(value: &'v Value, pointer: &str) -> &'v [Value] {
    value.pointer(pointer).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}

fn container(host: &Host, daemon: &Daemon, config: &Value, host_config: &Value, source: Source) -> Container {
    let name = text(config, "/Name").trim_start_matches('/').to_string();
    let name = if name.is_empty() { text(config, "/ID").chars().take(12).collect() } else { name };
    let privileged = truth(host_config, "/Privileged");
    let user = text(config, "/Config/User");
    let is_remapped = !daemon.engine.user_namespace.is_empty() && text(host_config, "/UsernsMode") != "host";
    let is_rootless = daemon.account != "root";
    let shares = |(namespace, key): &(&str, &str)| (text(host_config, &format!("/{key}")) == "host").then(|| (*namespace).to_string());
    let capabilities = list(host_config, "/CapAdd").iter().filter_map(Value::as_str).map(capability).collect();
    let mut mounts: Vec<Mount> = config.pointer("/MountPoints").and_then(Value::as_object).into_iter().flatten().filter_map(|(_, m)| mount(m)).collect();
    mounts.extend(list(host_config, "/Devices").iter().filter_map(device));
    Container {
        subject: format!("{} {name}", daemon.engine.subject),
        engine: "docker".into(),
        account: daemon.account.clone(),
        running: host.is_live().then(|| runs(host, config)),
        restart: Some(text(host_config, "/RestartPolicy/Name")).filter(|r| !r.is_empty()).unwrap_or_else(|| "no".into()),
        privileged,
        capabilities_added: if privileged { vec!["ALL".into()] } else { capabilities },
        host_namespaces: NAMESPACES.iter().filter_map(shares).collect(),
        mounts,
        ports: ports(config, host_config),
        root: Some(is_root(&user) && !is_remapped && !is_rootless),
        user,
        read_only: truth(host_config, "/ReadonlyRootfs"),
        no_new_privileges: truth(config, "/NoNewPrivileges"),
        unconfined: unconfined(host_config, privileged),
        image: text(config, "/Config/Image"),
        image_id: text(config, "/Image"),
        image_created: None,
        source,
    }
}

/// The file keeps the last word of an engine that died, so that the process is looked for.
fn runs(host: &Host, config: &Value) -> bool {
    let pid = config.pointer("/State/Pid").and_then(Value::as_u64).unwrap_or(0);
    truth(config, "/State/Running") && pid != 0 && host.exists(&format!("/proc/{pid}")).unwrap_or(false)
}

/// `0`, `root`, either with a group, or nothing.
pub fn is_root(user: &str) -> bool {
    matches!(user.split(':').next().unwrap_or_default(), "" | "0" | "root")
}

/// `sys_admin` and `CAP_SYS_ADMIN` are one.
pub fn capability(name: &str) -> String {
    let upper = name.to_ascii_uppercase();
    if upper == "ALL" || upper.starts_with("CAP_") { upper } else { format!("CAP_{upper}") }
}

fn mount(value: &Value) -> Option<Mount> {
    let path = text(value, "/Source");
    (text(value, "/Type") == "bind" && path.starts_with('/')).then(|| Mount {
        gives: reach::gives(&path).into(),
        destination: text(value, "/Destination"),
        writable: truth(value, "/RW"),
        host_path: path,
    })
}

fn device(value: &Value) -> Option<Mount> {
    let path = text(value, "/PathOnHost");
    path.starts_with('/').then(|| Mount {
        gives: reach::gives(&path).into(),
        destination: text(value, "/PathInContainer"),
        writable: text(value, "/CgroupPermissions").contains('w'),
        host_path: path,
    })
}

/// Ports that were asked for, and those that the engine chose.
fn ports(config: &Value, host_config: &Value) -> Vec<Port> {
    let mode = text(host_config, "/NetworkMode");
    if mode == "none" || mode == "host" || mode.starts_with("container:") {
        return Vec::new();
    }
    let mut out = Vec::new();
    for (document, pointer) in [(host_config, "/PortBindings"), (config, "/NetworkSettings/Ports")] {
        for (inner, bindings) in document.pointer(pointer).and_then(Value::as_object).into_iter().flatten() {
            let (number, transport) = inner.split_once('/').unwrap_or((inner, "tcp"));
            for binding in bindings.as_array().into_iter().flatten() {
                let address = Some(text(binding, "/HostIp")).filter(|a| !a.is_empty()).unwrap_or_else(|| "0.0.0.0".into());
                let port = Port {
                    address,
                    port: text(binding, "/HostPort").parse().unwrap_or(0),
                    container_port: number.parse().unwrap_or(0),
                    transport: transport.into(),
                };
                if !out.contains(&port) {
                    out.push(port);
                }
            }
        }
    }
    out.sort_by(|a, b| (a.port, &a.transport, &a.address).cmp(&(b.port, &b.transport, &b.address)));
    out
}

fn unconfined(host_config: &Value, privileged: bool) -> Vec<String> {
    let options = list(host_config, "/SecurityOpt").iter().filter_map(Value::as_str);
    let named = options.filter_map(|o| match o.split_once(['=', ':'])? {
        ("seccomp", "unconfined") => Some("seccomp"),
        ("apparmor", "unconfined") => Some("apparmor"),
        ("label", "disable") => Some("selinux"),
        _ => None,
    });
    let mut out: Vec<String> = named.map(String::from).collect();
    if privileged {
        out.extend(["apparmor", "seccomp", "selinux"].map(String::from));
    }
    out
}

/// When the image was made, as its own configuration says.
fn image(host: &Host, folder: &str, item: &mut Container, known: &mut BTreeMap<String, Option<i64>>, gaps: &mut Gaps) {
    let hex = item.image_id.strip_prefix("sha256:").unwrap_or_default().to_string();
    if hex.is_empty() || !hex.bytes().all(|b| b.is_ascii_hexdigit()) {
        gaps.note(Containers::NAME, "items.image_created", &item.subject, reason::MALFORMED, format!("{}: its image has no identifier", item.source.place), "");
        return;
    }
    let found = known.entry(hex.clone()).or_insert_with(|| {
        let drivers = host.list(&format!("{folder}/image")).unwrap_or_default();
        let mut places = drivers.iter().map(|d| format!("{folder}/image/{}/imagedb/content/sha256/{hex}", d.name));
        let config = places.find_map(|place| document(host, &place).ok());
        config.and_then(|c| seconds(&text(&c, "/created")))
    });
    item.image_created = *found;
    if found.is_none() {
        let detail = format!("image {} ({}) is not in {folder}/image, or says no time", item.image, hex.get(..12).unwrap_or(&hex));
        gaps.note(Containers::NAME, "items.image_created", &item.subject, reason::MISSING, detail, "");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_and_capabilities() {
        assert!(["", "0", "root", "0:0", "root:x"].iter().all(|u| is_root(u)) && !is_root("1000") && !is_root("00x") && !is_root("app:0"));
        assert_eq!((capability("sys_admin"), capability("CAP_NET_RAW"), capability("all")), ("CAP_SYS_ADMIN".into(), "CAP_NET_RAW".into(), "ALL".into()));
    }
}
