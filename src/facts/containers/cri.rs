//! Containers that containerd and CRI-O run, by the specification that each was started with; pods
//! of Kubernetes by its annotations. What does not run has no such file.

use serde_json::Value;

use super::docker::{self, Problem};
use super::{Api, Container, Containers, Engine, oci};
use crate::facts::Document as _;
use crate::host::{CONFIG_LIMIT, FileKind, Host};
use crate::model::fact::Source;
use crate::model::gap::Gaps;

/// Folders of tasks: runtime of version 2, of k3s, and of version 1.
const TASKS: [&str; 3] =
    ["/run/containerd/io.containerd.runtime.v2.task", "/run/k3s/containerd/io.containerd.runtime.v2.task", "/run/containerd/io.containerd.runtime.v1.linux"];
/// Namespace of Docker, whose own files tell more.
const MOBY: &str = "moby";
const CRIO: &str = "/run/containers/storage/overlay-containers";
const CONFIG: &str = "/etc/containerd/config.toml";
/// Folders that these engines and the kubelet mount by themselves.
const OWN: [&str; 6] =
    ["/var/lib/kubelet/pods/", "/run/containerd/", "/var/lib/containerd/", "/run/containers/", "/var/lib/containers/", "/run/k3s/containerd/"];

/// Engines and containers.
pub fn gather(host: &Host, out: &mut Containers, gaps: &mut Gaps) {
    containerd(host, out);
    for folder in TASKS {
        for space in list(host, folder, "containerd", gaps) {
            if space == MOBY {
                continue;
            }
            let below = format!("{folder}/{space}");
            for id in list(host, &below, "containerd", gaps) {
                let name = if space == "k8s.io" { id.clone() } else { format!("{space} {id}") };
                specification(host, &format!("{below}/{id}/config.json"), &format!("{below}/{id}/init.pid"), "containerd", &name, out, gaps);
            }
        }
    }
    for id in list(host, CRIO, "cri-o", gaps) {
        let place = format!("{CRIO}/{id}/userdata/config.json");
        specification(host, &place, &format!("{CRIO}/{id}/userdata/pidfile"), "cri-o", &id, out, gaps);
    }
    if ["/usr/bin/crio", "/usr/local/bin/crio"].iter().any(|p| host.exists(p).unwrap_or(false)) {
        out.engines.push(Engine {
            subject: "cri-o".into(),
            data: "/var/lib/containers/storage".into(),
            source: Source::whole("/etc/crio/crio.conf"),
            ..Engine::default()
        });
    }
}

/// The daemon itself: its address of TCP, if it has one.
fn containerd(host: &Host, out: &mut Containers) {
    if !["/usr/bin/containerd", "/usr/local/bin/containerd"].iter().any(|p| host.exists(p).unwrap_or(false)) {
        return;
    }
    let mut engine = Engine { subject: "containerd".into(), data: "/var/lib/containerd".into(), source: Source::whole(CONFIG), ..Engine::default() };
    let text = host.read_text(CONFIG, CONFIG_LIMIT).unwrap_or_default();
    let (mut section, mut tls) = (String::new(), false);
    let mut api: Option<(String, Source)> = None;
    for (index, line) in text.lines().enumerate() {
        let line = line.split(" #").next().unwrap_or_default().trim();
        if let Some(name) = line.strip_prefix('[').and_then(|l| l.strip_suffix(']')) {
            section = name.trim_matches(['[', ']']).trim().to_string();
        }
        let Some((key, value)) = line.split_once('=') else { continue };
        let value = value.trim().trim_matches(['"', '\'']);
        match (section.as_str(), key.trim()) {
            ("", "root") => engine.data = value.into(),
            ("grpc", "tcp_address") if !value.is_empty() => api = Some((value.into(), Source::line(CONFIG, index + 1, "tcp_address"))),
            ("grpc", "tcp_tls_cert") => tls = !value.is_empty(),
            (section, "insecure_skip_verify") if value == "true" => engine.insecure_registries.extend(registry(section)),
            _ => {}
        }
    }
    if let Some((address, source)) = api
        && let Some((host, port)) = address.rsplit_once(':')
    {
        let host = if host.is_empty() { "0.0.0.0" } else { host.trim_matches(['[', ']']) };
        let subject = format!("containerd {host}:{port}");
        let port = port.parse().unwrap_or(0);
        out.apis.push(Api { subject, address: host.into(), port, tls, certificate: None, key: None, verifies_clients: false, source });
    }
    out.engines.push(engine);
}

/// The name in `plugins."io.containerd.grpc.v1.cri".registry.configs."NAME".tls`.
fn registry(section: &str) -> Option<String> {
    let (_, rest) = section.split_once("registry.configs.")?;
    Some(rest.trim_end_matches(".tls").trim_matches('"').to_string())
}

fn list(host: &Host, folder: &str, engine: &str, gaps: &mut Gaps) -> Vec<String> {
    if !host.is_live() {
        return Vec::new();
    }
    match host.list(folder) {
        Ok(entries) => entries.into_iter().filter(|e| e.kind == FileKind::Folder).map(|e| e.name).collect(),
        Err(e) if e.is_not_found() => Vec::new(),
        Err(e) => {
            gaps.add(e.to_gap(Containers::NAME, "items", engine));
            Vec::new()
        }
    }
}

fn specification(host: &Host, place: &str, pid_file: &str, engine: &str, id: &str, out: &mut Containers, gaps: &mut Gaps) {
    let spec = match docker::document(host, place) {
        Ok(spec) => spec,
        Err(Problem::Read(e)) if e.is_not_found() => return,
        Err(problem) => {
            problem.note(&format!("{engine} {id}"), gaps);
            return;
        }
    };
    let annotation = |keys: &[&str]| keys.iter().find_map(|k| spec.get("annotations")?.get(*k)?.as_str()).unwrap_or_default().to_string();
    let kind = annotation(&["io.kubernetes.cri.container-type", "io.kubernetes.cri-o.ContainerType"]);
    if kind == "sandbox" {
        // It holds the namespaces of a pod and runs nothing of its own.
        return;
    }
    let pod = annotation(&["io.kubernetes.cri.sandbox-name", "io.kubernetes.pod.name"]);
    let space = annotation(&["io.kubernetes.cri.sandbox-namespace", "io.kubernetes.pod.namespace"]);
    let name = annotation(&["io.kubernetes.cri.container-name", "io.kubernetes.container.name"]);
    let name = if pod.is_empty() { id.to_string() } else { format!("{space}/{pod}/{name}") };
    let mut item =
        Container { subject: format!("{engine} {name}"), engine: engine.into(), account: "root".into(), source: Source::whole(place), ..Container::default() };
    oci::read(&spec, &OWN, &mut item);
    // A namespace with a path is that of the pod, which may be the machine's: its sandbox says so.
    let pid = host.read_text(pid_file, 64).ok().and_then(|t| t.trim().parse::<u32>().ok());
    item.running = Some(pid.is_none_or(|pid| host.exists(&format!("/proc/{pid}")).unwrap_or(false)));
    item.image = annotation(&["io.kubernetes.cri.image-name", "io.kubernetes.cri-o.ImageName", "io.containerd.image.name", "nerdctl/image-name"]);
    note_namespaces(host, &spec, pid, &mut item);
    out.items.push(item);
}

/// Whether a process shares a namespace with process 1, which the specification alone does not tell.
fn note_namespaces(host: &Host, spec: &Value, pid: Option<u32>, item: &mut Container) {
    let Some(pid) = pid else { return };
    for (kind, link) in [("network", "net"), ("pid", "pid"), ("ipc", "ipc"), ("uts", "uts")] {
        let has_path = spec
            .pointer("/linux/namespaces")
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
            .any(|n| n.get("type").and_then(Value::as_str) == Some(kind) && n.get("path").and_then(Value::as_str).is_some_and(|p| !p.is_empty()));
        let of = |pid: u32| host.read_link(&format!("/proc/{pid}/ns/{link}")).ok();
        if has_path && of(pid).is_some() && of(pid) == of(1) && !item.host_namespaces.iter().any(|n| n == kind) {
            item.host_namespaces.push(kind.into());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::testing::recorded;

    #[test]
    fn pods_and_plain_containers() {
        let spec =
            |annotations: &str| format!("{{\"annotations\": {{{annotations}}}, \"process\": {{\"user\": {{\"uid\": 7}}}}, \"linux\": {{\"namespaces\": []}}}}");
        let task = "run/containerd/io.containerd.runtime.v2.task";
        let (_root, host) = recorded(&[
            (
                &format!("{task}/k8s.io/a1/config.json"),
                &spec(
                    "\"io.kubernetes.cri.sandbox-name\": \"web\", \"io.kubernetes.cri.sandbox-namespace\": \"shop\", \"io.kubernetes.cri.container-name\": \"nginx\", \"io.kubernetes.cri.container-type\": \"container\"",
                ),
            ),
            (&format!("{task}/k8s.io/a2/config.json"), &spec("\"io.kubernetes.cri.container-type\": \"sandbox\"")),
            (&format!("{task}/default/b/config.json"), &spec("")),
            (&format!("{task}/default/b/init.pid"), "12"),
            (&format!("{task}/moby/c/config.json"), "{"),
            (&format!("{task}/default/d/config.json"), "{"),
            ("usr/bin/containerd", ""),
            (
                CONFIG,
                "version = 2\nroot = \"/srv/c\"\n[grpc]\n  tcp_address = \"0.0.0.0:7777\"\n[plugins.\"io.containerd.grpc.v1.cri\".registry.configs.\"reg:5000\".tls]\n insecure_skip_verify = true\n",
            ),
        ]);
        let mut out = Containers::default();
        let mut gaps = Gaps::new();
        gather(&host, &mut out, &mut gaps);
        let shown: Vec<String> = out.items.iter().map(|i| format!("{} {} {:?}", i.subject, i.user, i.running)).collect();
        assert_eq!(shown, ["containerd default b 7 Some(false)", "containerd shop/web/nginx 7 Some(true)"]);
        assert_eq!(gaps.into_sorted().iter().map(|g| g.subject.as_str()).collect::<Vec<_>>(), ["containerd default d"]);
        assert_eq!((out.engines[0].data.as_str(), out.engines[0].insecure_registries.as_slice()), ("/srv/c", ["reg:5000".to_string()].as_slice()));
        assert_eq!((out.apis[0].subject.as_str(), out.apis[0].tls), ("containerd 0.0.0.0:7777", false));
    }
}
