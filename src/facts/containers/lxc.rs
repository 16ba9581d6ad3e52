//! Containers of LXC: `/var/lib/lxc/NAME/config` (lxc.container.conf(5)).

use super::{Container, Containers, Engine, Mount, reach};
use crate::facts::Document as _;
use crate::host::{CONFIG_LIMIT, FileKind, Host};
use crate::model::fact::Source;
use crate::model::gap::Gaps;

const FOLDER: &str = "/var/lib/lxc";
/// Files that a configuration may name, one in another.
const DEPTH: usize = 8;
/// Most settings of one container.
const LIMIT: usize = 10_000;

/// Engine and containers.
pub fn gather(host: &Host, out: &mut Containers, gaps: &mut Gaps) {
    let entries = match host.list(FOLDER) {
        Ok(entries) => entries,
        Err(e) if e.is_not_found() => return,
        Err(e) => {
            gaps.add(e.to_gap(Containers::NAME, "items", "lxc"));
            return;
        }
    };
    out.engines.push(Engine { subject: "lxc".into(), data: FOLDER.into(), source: Source::whole(FOLDER), ..Engine::default() });
    for entry in entries.into_iter().filter(|e| e.kind == FileKind::Folder) {
        let place = format!("{FOLDER}/{}/config", entry.name);
        let mut settings = Vec::new();
        match read(host, &place, 0, &mut settings) {
            Ok(()) => out.items.push(container(host, &entry.name, &place, &settings)),
            Err(e) if e.is_not_found() => {}
            Err(e) => gaps.add(e.to_gap(Containers::NAME, "items", &format!("lxc {}", entry.name))),
        }
    }
}

fn read(host: &Host, place: &str, depth: usize, out: &mut Vec<(String, String)>) -> Result<(), crate::host::ReadError> {
    let text = host.read_text(place, CONFIG_LIMIT)?;
    for line in text.lines().map(str::trim).filter(|l| !l.starts_with('#')) {
        let Some((key, value)) = line.split_once('=').map(|(k, v)| (k.trim(), v.trim())) else { continue };
        if out.len() >= LIMIT {
            break;
        }
        if key == "lxc.include" && depth < DEPTH {
            let names = match host.list(value) {
                Ok(entries) => entries.into_iter().filter(|e| e.name.ends_with(".conf")).map(|e| format!("{value}/{}", e.name)).collect(),
                Err(_) => vec![value.to_string()],
            };
            for name in names {
                read(host, &name, depth + 1, out)?;
            }
        } else {
            out.push((key.into(), value.into()));
        }
    }
    Ok(())
}

fn container(host: &Host, name: &str, place: &str, settings: &[(String, String)]) -> Container {
    let all = |key: &str| settings.iter().filter(|(k, _)| k == key).map(|(_, v)| v.as_str()).collect::<Vec<_>>();
    let last = |key: &str| all(key).last().copied().unwrap_or_default();
    let is_mapped = !all("lxc.idmap").is_empty() || !all("lxc.id_map").is_empty();
    let shared = |kind: &str| last(&format!("lxc.namespace.share.{kind}")) == "1";
    let kept: Vec<&str> = all("lxc.namespace.keep").iter().flat_map(|v| v.split_whitespace()).collect();
    let mut host_namespaces: Vec<String> = Vec::new();
    for (name, short) in [("network", "net"), ("pid", "pid"), ("ipc", "ipc"), ("uts", "uts")] {
        let no_network = name == "network" && last("lxc.net.0.type") == "none";
        if shared(short) || kept.contains(&short) || no_network {
            host_namespaces.push(name.into());
        }
    }
    let mounts = all("lxc.mount.entry").into_iter().filter_map(mount).collect();
    // A cleared or absent list keeps every capability but those that are dropped.
    let drops: Vec<&str> = all("lxc.cap.drop").iter().flat_map(|v| v.split_whitespace()).collect();
    let unconfined = ["lxc.apparmor.profile", "lxc.aa_profile"].iter().any(|k| last(k) == "unconfined");
    Container {
        subject: format!("lxc {name}"),
        engine: "lxc".into(),
        account: "root".into(),
        running: host.is_live().then(|| host.exists(&format!("/sys/fs/cgroup/lxc.payload.{name}")).unwrap_or(false)),
        restart: if last("lxc.start.auto") == "1" { "always" } else { "no" }.into(),
        privileged: !is_mapped && drops.is_empty() && all("lxc.cap.keep").is_empty(),
        capabilities_added: if drops.is_empty() && all("lxc.cap.keep").is_empty() { vec!["ALL".into()] } else { Vec::new() },
        host_namespaces,
        mounts,
        user: "0".into(),
        root: Some(!is_mapped),
        unconfined: if unconfined { vec!["apparmor".into()] } else { Vec::new() },
        no_new_privileges: last("lxc.no_new_privs") == "1",
        source: Source::whole(place),
        ..Container::default()
    }
}

/// A line of fstab(5).
fn mount(entry: &str) -> Option<Mount> {
    let mut words = entry.split_whitespace();
    let (path, destination, _, options) = (words.next()?, words.next()?, words.next()?, words.next()?);
    let options: Vec<&str> = options.split(',').collect();
    let is_bind = options.iter().any(|o| matches!(*o, "bind" | "rbind"));
    (is_bind && path.starts_with('/')).then(|| Mount {
        gives: reach::gives(path).into(),
        host_path: path.into(),
        destination: format!("/{}", destination.trim_start_matches('/')),
        writable: !options.contains(&"ro"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::testing::rooted;

    #[test]
    fn settings_and_includes() {
        let (_root, host) = rooted(&[
            (
                "var/lib/lxc/a/config",
                "# words\nlxc.include = /usr/share/lxc/common.conf\nlxc.mount.entry = / h none bind,ro 0 0\nlxc.net.0.type = none\nlxc.start.auto = 1\n",
            ),
            ("usr/share/lxc/common.conf", "lxc.cap.drop = mac_admin mac_override sys_time\nlxc.include = /usr/share/lxc/common.conf\n"),
            ("var/lib/lxc/b/config", "lxc.idmap = u 0 100000 65536\nlxc.apparmor.profile = unconfined\n"),
            ("var/lib/lxc/c/other", ""),
        ]);
        let mut out = Containers::default();
        let mut gaps = Gaps::new();
        gather(&host, &mut out, &mut gaps);
        let shown: Vec<String> =
            out.items.iter().map(|i| format!("{} {:?} {} {} {}", i.subject, i.root, i.privileged, i.host_namespaces.join(","), i.restart)).collect();
        assert_eq!(shown, ["lxc a Some(true) false network always", "lxc b Some(false) false  no"]);
        assert_eq!(out.items[0].mounts[0].gives, "everything");
        assert_eq!(gaps.into_sorted(), []);
    }
}
