//! Containers of Podman, root's and those of accounts: its own database (bbolt until 4.7, SQLite
//! since) and the image list of its store (containers-storage.conf(5)).

use std::collections::BTreeMap;

use serde_json::Value;

use super::docker::{self, Problem};
use super::{Container, Containers, Engine, Port, oci, seconds};
use crate::facts::Document as _;
use crate::facts::jobs::names::Names;
use crate::host::bolt::Bolt;
use crate::host::sqlite::{Database, SqliteError, Value as Cell};
use crate::host::{CONFIG_LIMIT, Host};
use crate::model::fact::Source;
use crate::model::gap::{Gaps, reason};

const STORE: &str = "/var/lib/containers/storage";
const RUN: &str = "/run/containers/storage";
/// Store of an account below its home.
const OWN_STORE: &str = ".local/share/containers/storage";
const CONFIGS: [&str; 2] = ["/usr/share/containers/storage.conf", "/etc/containers/storage.conf"];
const PROGRAMS: [&str; 2] = ["/usr/bin/podman", "/usr/local/bin/podman"];
/// `ContainerStateRunning` of Podman.
const RUNNING: i64 = 3;
/// Most accounts whose stores are looked for.
const ACCOUNT_LIMIT: usize = 5_000;

/// Engine and containers.
pub fn gather(host: &Host, out: &mut Containers, gaps: &mut Gaps) {
    let (store, source) = store(host);
    let installed = PROGRAMS.iter().any(|p| host.exists(p).unwrap_or(true));
    if installed || host.exists(&store).unwrap_or(false) {
        out.engines.push(Engine { subject: "podman".into(), data: store.clone(), log_driver: String::new(), source, ..Engine::default() });
        read(host, &store, "root", out, gaps);
    }
    // Nobody's expiry matters here.
    let names = Names::read(host, 0);
    for (account, home) in names.accounts().filter(|(_, a)| a.uid != 0 && a.home.len() > 1).take(ACCOUNT_LIMIT).map(|(n, a)| (n, a.home.clone())) {
        let store = format!("{home}/{OWN_STORE}");
        match host.exists(&store) {
            Ok(true) => read(host, &store, account, out, gaps),
            Ok(false) => {}
            Err(e) => gaps.add(e.to_gap(Containers::NAME, "items", &format!("podman {account}"))),
        }
    }
}

/// `graphroot` of storage.conf; the machine's file is read after the vendor's.
fn store(host: &Host) -> (String, Source) {
    let mut found = (STORE.to_string(), Source::whole(STORE));
    for place in CONFIGS {
        let text = host.read_text(place, CONFIG_LIMIT).unwrap_or_default();
        for (index, line) in text.lines().enumerate() {
            if let Some((key, value)) = line.split_once('=')
                && key.trim() == "graphroot"
            {
                found = (value.trim().trim_matches(['"', '\'']).to_string(), Source::line(place, index + 1, "graphroot"));
            }
        }
    }
    found
}

/// Configuration and state of one container, as Podman keeps them.
struct Kept {
    config: Value,
    state: Value,
}

fn read(host: &Host, store: &str, account: &str, out: &mut Containers, gaps: &mut Gaps) {
    let subject = if account == "root" { "podman".to_string() } else { format!("podman {account}") };
    let mut kept: BTreeMap<String, (Kept, String)> = BTreeMap::new();
    for (place, result) in [(format!("{store}/libpod/bolt_state.db"), of_bolt as Reader), (format!("{store}/db.sql"), of_sqlite)] {
        if !host.exists(&place).unwrap_or(true) {
            continue;
        }
        match result(host, &place) {
            Ok(found) => kept.extend(found.into_iter().map(|(id, k)| (id, (k, place.clone())))),
            Err(detail) => gaps.note(Containers::NAME, "items", &subject, reason::READ_FAILED, detail, "Scan again."),
        }
    }
    let images = images(host, store, &subject, gaps);
    for (kept, place) in kept.into_values() {
        out.items.push(container(host, &kept, &place, store, (&subject, account), &images, gaps));
    }
}

type Reader = fn(&Host, &str) -> Result<Vec<(String, Kept)>, String>;

fn of_bolt(host: &Host, place: &str) -> Result<Vec<(String, Kept)>, String> {
    let bolt = Bolt::read(host, place).map_err(|e| e.to_string())?;
    let mut out = Vec::new();
    for entry in bolt.entries(&[b"ctr"]).map_err(|e| e.to_string())?.into_iter().filter(|e| e.is_bucket) {
        let json = |key: &[u8]| -> Result<Value, String> {
            let bytes = bolt.value(&[b"ctr", entry.key], key).map_err(|e| e.to_string())?.unwrap_or_default();
            serde_json::from_slice(bytes).map_err(|_| format!("{place}: a container is not JSON"))
        };
        let kept = Kept { config: json(b"config")?, state: json(b"state")? };
        out.push((String::from_utf8_lossy(entry.key).into_owned(), kept));
    }
    Ok(out)
}

fn of_sqlite(host: &Host, place: &str) -> Result<Vec<(String, Kept)>, String> {
    let table = |name: &str, column: usize| -> Result<BTreeMap<String, Value>, String> {
        let mut database = Database::open(host, place).map_err(|e: SqliteError| e.to_string())?;
        let mut rows = BTreeMap::new();
        let mut broken = false;
        let walked = database.rows(name, |_, values| {
            if let (Some(Cell::Text(id)), Some(Cell::Text(json))) = (values.first(), values.get(column)) {
                match serde_json::from_slice(json) {
                    Ok(value) => {
                        rows.insert(String::from_utf8_lossy(id).into_owned(), value);
                    }
                    Err(_) => broken = true,
                }
            }
            true
        });
        walked.map_err(|e| e.to_string())?;
        if broken { Err(format!("{place}: a container is not JSON")) } else { Ok(rows) }
    };
    // ContainerConfig(ID, Name, PodID, JSON), ContainerState(ID, State, ExitCode, JSON)
    let configs = table("ContainerConfig", 3)?;
    let mut states = table("ContainerState", 3)?;
    Ok(configs.into_iter().map(|(id, config)| (id.clone(), Kept { config, state: states.remove(&id).unwrap_or_default() })).collect())
}

fn text(value: &Value, key: &str) -> String {
    value.get(key).and_then(Value::as_str).unwrap_or_default().to_string()
}

fn container(
    host: &Host,
    kept: &Kept,
    place: &str,
    store: &str,
    (subject, account): (&str, &str),
    images: &BTreeMap<String, Option<i64>>,
    gaps: &mut Gaps,
) -> Container {
    let config = &kept.config;
    let name = Some(text(config, "name")).filter(|n| !n.is_empty()).unwrap_or_else(|| text(config, "id").chars().take(12).collect());
    let mut out = Container {
        subject: format!("{subject} {name}"),
        engine: "podman".into(),
        account: account.into(),
        source: Source::whole(place),
        ..Container::default()
    };
    let own = [text(config, "staticDir"), text(&kept.state, "runDir")].map(|f| if f.is_empty() { store.to_string() } else { f });
    let own: Vec<&str> = own.iter().map(String::as_str).chain([store, RUN, "/run/libpod"]).collect();
    oci::read(config.get("spec").unwrap_or(&Value::Null), &own, &mut out);
    out.privileged = config.get("privileged").and_then(Value::as_bool).unwrap_or(out.privileged);
    out.read_only = config.pointer("/spec/root/readonly").and_then(Value::as_bool).unwrap_or(out.read_only);
    // A namespace of another container is put into the specification when it is started.
    for (namespace, key) in [("network", "netNsCtr"), ("pid", "pidNsCtr"), ("ipc", "ipcNsCtr"), ("uts", "utsNsCtr")] {
        if !text(config, key).is_empty() {
            out.host_namespaces.retain(|n| n != namespace);
        }
    }
    let user = text(config, "user");
    let maps = config.pointer("/idMappingsOptions/HostUIDMapping").and_then(Value::as_bool) == Some(false);
    out.root = Some(docker::is_root(if user.is_empty() { &out.user } else { &user }) && !maps && account == "root");
    if !user.is_empty() {
        out.user = user;
    }
    out.restart = Some(text(config, "restart_policy")).filter(|r| !r.is_empty()).unwrap_or_else(|| "no".into());
    out.ports = ports(config);
    out.running = host.is_live().then(|| {
        let pid = kept.state.get("pid").and_then(Value::as_i64).unwrap_or(0);
        kept.state.get("state").and_then(Value::as_i64) == Some(RUNNING) && pid > 0 && host.exists(&format!("/proc/{pid}")).unwrap_or(false)
    });
    out.image = text(config, "rootfsImageName");
    out.image_id = text(config, "rootfsImageID");
    out.image_created = images.get(&out.image_id).copied().flatten();
    if out.image_created.is_none() && !out.image_id.is_empty() {
        let detail = format!("image {} is not in {store}, or says no time", out.image);
        gaps.note(Containers::NAME, "items.image_created", &out.subject, reason::MISSING, detail, "");
    }
    out
}

fn ports(config: &Value) -> Vec<Port> {
    let list = |key: &str| config.get(key).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let mut out = Vec::new();
    // Until 4.0 the addresses had other names.
    for mapping in list("newPortMappings").iter().chain(list("portMappings")) {
        let number = |keys: [&str; 2]| keys.iter().find_map(|k| mapping.get(*k)).and_then(Value::as_u64).and_then(|n| u32::try_from(n).ok());
        let address = ["host_ip", "hostIP"].iter().find_map(|k| mapping.get(*k)).and_then(Value::as_str).unwrap_or_default();
        let (port, inner) = (number(["host_port", "hostPort"]).unwrap_or(0), number(["container_port", "containerPort"]).unwrap_or(0));
        for offset in 0..number(["range", "range"]).unwrap_or(1).clamp(1, 1024) {
            out.push(Port {
                address: if address.is_empty() { "0.0.0.0".into() } else { address.into() },
                port: port.saturating_add(offset),
                container_port: inner.saturating_add(offset),
                transport: Some(text(mapping, "protocol")).filter(|p| !p.is_empty()).unwrap_or_else(|| "tcp".into()),
            });
        }
    }
    out.sort_by(|a, b| (a.port, &a.transport, &a.address).cmp(&(b.port, &b.transport, &b.address)));
    out
}

/// When each image was made, by identifier.
fn images(host: &Host, store: &str, subject: &str, gaps: &mut Gaps) -> BTreeMap<String, Option<i64>> {
    let mut out = BTreeMap::new();
    for entry in host.list(store).unwrap_or_default().into_iter().filter(|e| e.name.ends_with("-images")) {
        let place = format!("{store}/{}/images.json", entry.name);
        match docker::document(host, &place) {
            Ok(list) => {
                let items = list.as_array().into_iter().flatten();
                out.extend(items.map(|i| (text(i, "id"), seconds(&text(i, "created")))));
            }
            Err(Problem::Read(e)) if e.is_not_found() => {}
            Err(_) => gaps.note(Containers::NAME, "items.image_created", subject, reason::MALFORMED, format!("{place}: not read"), ""),
        }
    }
    out
}
