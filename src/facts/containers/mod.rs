//! Containers and their engines, from their own files: what of the machine each container can
//! reach, who can command an engine over the network. No engine is asked: whoever may ask one is root.

mod cri;
mod docker;
mod dockerd;
mod lxc;
mod oci;
mod podman;
mod reach;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::certificates::reach::Reach;
use super::jobs::names::Names;
use super::{Document, HostFamily};
use crate::host::Host;
use crate::model::configured::ConfiguredEndpoint;
use crate::model::fact::Source;
use crate::model::gap::Gaps;

/// Most containers kept.
const CONTAINER_LIMIT: usize = 5_000;

/// Engines and containers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Containers {
    /// Containers that exist, running or not, by subject.
    pub items: Vec<Container>,
    /// Engines that are installed, by subject.
    pub engines: Vec<Engine>,
    /// Addresses on which an engine takes commands, by subject.
    pub apis: Vec<Api>,
    /// Local sockets on which an engine takes commands, by subject.
    pub sockets: Vec<Socket>,
    /// The addresses in the form that every program has.
    pub endpoints: Vec<ConfiguredEndpoint>,
}

impl Document for Containers {
    const NAME: &'static str = "containers";
    const TITLE: &'static str = "Containers and their engines: what of the machine they reach, published ports, images, exposed interfaces";
}

/// One container.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Container {
    /// `ENGINE NAME`; of a user's own engine `ENGINE ACCOUNT NAME`; of a pod `ENGINE NAMESPACE/POD/NAME`.
    #[schemars(extend("x-personal" = true))]
    pub subject: String,
    /// `docker`, `podman`, `containerd`, `cri-o` or `lxc`.
    pub engine: String,
    /// Account whose engine it belongs to: `root`, or that of a rootless one.
    #[schemars(extend("x-personal" = true))]
    pub account: String,
    /// Whether it runs; `null` in a root folder.
    #[schemars(extend("x-volatile" = true))]
    pub running: Option<bool>,
    /// `no`, `on-failure`, `always` or `unless-stopped`; empty when its engine has no such policy.
    pub restart: String,
    /// Whether it was started with all rights (`--privileged`).
    pub privileged: bool,
    /// Capabilities beyond those that engines give by themselves, such as `CAP_SYS_ADMIN`, or `ALL`; sorted.
    pub capabilities_added: Vec<String>,
    /// Namespaces that it shares with the machine: of `cgroup`, `ipc`, `network`, `pid`, `uts`; sorted.
    pub host_namespaces: Vec<String>,
    /// Files and folders of the machine that it sees, by destination; the engine's own and named volumes left out.
    pub mounts: Vec<Mount>,
    /// Ports of the machine that lead into it.
    pub ports: Vec<Port>,
    /// User that it starts as, as written; empty: its image's, which is root when that says nothing.
    pub user: String,
    /// Whether it starts as root of the machine: user 0, and no user namespace; `null` when the image decides and is not read.
    pub root: Option<bool>,
    /// Whether its root file system is read-only.
    pub read_only: bool,
    /// Whether set-user-ID programs give no rights inside (`no-new-privileges`).
    pub no_new_privileges: bool,
    /// Protections that were switched off: of `apparmor`, `seccomp`, `selinux`; sorted.
    pub unconfined: Vec<String>,
    /// Name of the image.
    pub image: String,
    /// Identifier of the image.
    pub image_id: String,
    /// When the image was made, Unix seconds; `null` when it does not say (builds without a clock say 0), or is not there.
    pub image_created: Option<i64>,
    /// File that says so.
    pub source: Source,
}

/// One mount of something of the machine.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Mount {
    /// Path on the machine.
    pub host_path: String,
    /// Path in the container.
    pub destination: String,
    /// Whether it may be written.
    pub writable: bool,
    /// What it gives: `engine` (the socket of an engine), `everything` (the root folder), `system` (folders of the system and of engines), or empty.
    pub gives: String,
}

/// One published port.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Port {
    /// Address of the machine; `0.0.0.0` for all.
    pub address: String,
    /// Port of the machine; 0: the engine chooses one.
    pub port: u32,
    /// Port in the container.
    pub container_port: u32,
    /// `tcp`, `udp` or `sctp`.
    pub transport: String,
}

/// One engine.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Engine {
    /// `docker`, `podman`, `containerd`, `cri-o`, `lxc`.
    pub subject: String,
    /// Folder of its data.
    pub data: String,
    /// Account whose range of numbers stands for root in containers (`userns-remap`); empty: none.
    pub user_namespace: String,
    /// Whether containers go on when the engine stops; `null` for other engines than docker.
    pub live_restore: Option<bool>,
    /// Whether containers of the default network may speak to each other; `null` for other engines than docker.
    pub containers_talk: Option<bool>,
    /// Whether set-user-ID programs give no rights in new containers.
    pub no_new_privileges: bool,
    /// Where output of containers goes.
    pub log_driver: String,
    /// Registries that are asked without TLS or without checking it.
    pub insecure_registries: Vec<String>,
    /// File or unit that decides.
    pub source: Source,
}

/// One address on which an engine takes commands.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Api {
    /// `ENGINE ADDRESS:PORT`.
    pub subject: String,
    /// Address; `0.0.0.0` for all.
    pub address: String,
    /// Port.
    pub port: u32,
    /// Whether it speaks TLS.
    pub tls: bool,
    /// File of its certificate; `null` when it has none.
    pub certificate: Option<String>,
    /// File of its key; `null` when it has none.
    pub key: Option<String>,
    /// Whether it asks clients for a certificate of its authority.
    pub verifies_clients: bool,
    /// What decides.
    pub source: Source,
}

/// One local socket of an engine: who may write it is root.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Socket {
    /// Path.
    pub subject: String,
    /// Owner.
    #[schemars(extend("x-personal" = true))]
    pub owner: String,
    /// Group; its members are root, see the rules of `access`.
    pub group: String,
    /// Permission bits.
    pub mode: u32,
    /// Whether every account can command the engine: the socket and each folder on its way let everybody.
    pub open_to_all: bool,
    /// The path.
    pub source: Source,
}

impl HostFamily for Containers {
    const WATCHED: &'static [&'static str] = &[
        "/etc/docker/*",
        "/etc/default/docker",
        "/etc/containers/**",
        "/etc/containerd/*",
        "/etc/crio/**",
        "/etc/systemd/system/docker.service.d/*",
        "/etc/systemd/system/docker.socket.d/*",
        "/var/lib/lxc/*",
    ];

    fn gather(host: &Host, gaps: &mut Gaps) -> Option<Self> {
        let mut out = Self::default();
        docker::gather(host, &mut out, gaps);
        podman::gather(host, &mut out, gaps);
        cri::gather(host, &mut out, gaps);
        lxc::gather(host, &mut out, gaps);
        out.sockets = sockets(host, gaps);
        if out.items.len() > CONTAINER_LIMIT {
            out.items.truncate(CONTAINER_LIMIT);
            let detail = format!("more than {CONTAINER_LIMIT} containers");
            gaps.note(Self::NAME, "items", "", crate::model::gap::reason::LIMIT_REACHED, detail, "");
        }
        for item in &mut out.items {
            item.mounts.sort_by(|a, b| a.destination.cmp(&b.destination));
            item.capabilities_added.sort();
            item.host_namespaces.sort();
            item.unconfined.sort();
            item.unconfined.dedup();
        }
        out.items.sort_by(|a, b| a.subject.cmp(&b.subject));
        out.engines.sort_by(|a, b| a.subject.cmp(&b.subject));
        out.endpoints = out.apis.iter().map(endpoint).collect();
        Some(out)
    }
}

/// What engines' configurations say about their addresses of TCP.
pub(super) fn endpoints(host: &Host, gaps: &mut Gaps) -> Vec<ConfiguredEndpoint> {
    dockerd::daemons(host, gaps).iter().flat_map(|d| &d.apis).map(endpoint).collect()
}

/// Sockets that are there.
fn sockets(host: &Host, gaps: &mut Gaps) -> Vec<Socket> {
    let there: Vec<&str> = reach::SOCKETS.into_iter().filter(|p| !host.exists(p).is_ok_and(|is| !is)).collect();
    if there.is_empty() {
        return Vec::new();
    }
    // Nobody's expiry matters here.
    let names = Names::read(host, 0);
    let reach = Reach::new(host, &names);
    let mut out = Vec::new();
    for path in there {
        match reach.way(path) {
            Ok(way) => out.push(Socket {
                subject: path.into(),
                owner: names.user(way.stat.uid),
                group: names.group(way.stat.gid),
                mode: way.stat.mode,
                open_to_all: reach.everybody_writes(&way),
                source: Source::whole(path),
            }),
            Err(e) if e.is_not_found() => {}
            Err(e) => gaps.add(e.to_gap(Containers::NAME, "sockets", path)),
        }
    }
    out.sort_by(|a, b| a.subject.cmp(&b.subject));
    out
}

fn endpoint(api: &Api) -> ConfiguredEndpoint {
    ConfiguredEndpoint {
        subject: api.subject.clone(),
        program: api.subject.split(' ').next().unwrap_or_default().into(),
        address: api.address.clone(),
        port: api.port,
        transport: "tcp".into(),
        names: Vec::new(),
        tls: if api.tls { "required" } else { "none" }.into(),
        versions: None,
        ciphers: String::new(),
        certificates: api.certificate.iter().cloned().collect(),
        keys: api.key.iter().cloned().collect(),
        source: api.source.clone(),
        versions_source: Source::default(),
    }
}

/// Seconds of an RFC 3339 time in UTC; builds that keep no time write the year 1 or 1970.
fn seconds(text: &str) -> Option<i64> {
    let time: jiff::Timestamp = text.parse().ok()?;
    Some(time.as_second()).filter(|s| *s > 86_400)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::testing::rooted;

    #[test]
    fn times() {
        assert_eq!(seconds("2026-11-27T23:04:56.816389693Z"), Some(1_795_820_696));
        assert_eq!((seconds("0001-01-01T00:00:00Z"), seconds("1970-01-01T00:00:00Z"), seconds("x")), (None, None, None));
    }

    #[test]
    fn a_machine_without_engines_has_none() {
        let (_root, host) = rooted(&[]);
        let mut gaps = Gaps::new();
        assert_eq!(Containers::gather(&host, &mut gaps), Some(Containers::default()));
        assert_eq!(gaps.into_sorted(), []);
    }
}
