//! Socket units of systemd that wait on the network, and the service that each one starts.

use super::launch::{self, Wanted};
use super::{SuperService, protocol};
use crate::facts::jobs::gathering::Gathering;
use crate::facts::jobs::names::Names;
use crate::facts::jobs::unit_file;
use crate::facts::jobs::unit_tree::{Tree, Unit};
use crate::facts::jobs::units;
use crate::host::Host;
use crate::model::fact::Source;
use crate::model::gap::{Gap, Gaps};

/// Most listeners kept.
const LISTENER_LIMIT: usize = 10_000;
/// The manager keeps a link of this name for each unit that is active.
const ACTIVE: &str = "/run/systemd/units/invocation:";

/// Every network listener of every socket unit; those without a network are left out.
pub fn read(host: &Host, family: &str, path: &str, gaps: &mut Gaps) -> Vec<SuperService> {
    let mut own = Gaps::new();
    let names = Names::default();
    let mut gathering = Gathering::new(host, &names, &mut own);
    let tree = Tree::read(&mut gathering);
    let sockets: Vec<String> = tree.names().filter(|n| n.ends_with(".socket") && !n.contains("@.")).map(String::from).collect();
    let mut out = Vec::new();
    if !sockets.is_empty() {
        let reached = units::reach(&mut gathering, &tree);
        for name in sockets {
            let Some(unit) = tree.load(&mut gathering, &name).filter(|u| u.name == name && !u.masked) else { continue };
            let started = if host.is_live() && host.stat_link(&format!("{ACTIVE}{name}")).is_ok() {
                "running"
            } else if reached.contains_key(&name) {
                "boot"
            } else {
                "no"
            };
            listeners(&mut gathering, &tree, &unit, started, &mut out);
            if out.len() >= LISTENER_LIMIT {
                break;
            }
        }
    }
    gathering.finish("");
    let relabel = |gap: Gap| Gap { family: family.into(), path: path.into(), ..gap };
    gaps.extend(own.into_sorted().into_iter().filter(|g| g.path == "items" || g.path.is_empty()).map(relabel));
    out
}

fn listeners(gathering: &mut Gathering<'_>, tree: &Tree, unit: &Unit, started: &str, out: &mut Vec<SuperService>) {
    let mut program = None;
    for (key, transport) in [("ListenStream", "tcp"), ("ListenDatagram", "udp")] {
        for setting in unit_file::all(&unit.settings, "Socket", key) {
            let value = unit_file::specify(&setting.value, units::names_of(unit));
            let Some((address, port)) = network(&value) else { continue };
            let (path, account, words) = program.get_or_insert_with(|| started_program(gathering, tree, unit)).clone();
            let stem = unit.name.trim_end_matches(".socket");
            let shown = if address.contains(':') { format!("[{address}]") } else { address.clone() };
            let is_only_v6 = unit_file::last(&unit.settings, "Socket", "BindIPv6Only").is_some_and(|s| s.value == "ipv6-only");
            out.push(SuperService {
                subject: format!("systemd {} {shown}:{port}/{transport}", unit.name),
                manager: "systemd".into(),
                name: unit.name.clone(),
                address: if address == "::" && !is_only_v6 { "*".into() } else { address },
                port,
                transport: transport.into(),
                protocol: protocol::of(&path, stem, port, transport).into(),
                program: path,
                arguments: u32::try_from(words.len()).unwrap_or(u32::MAX),
                account,
                clients: allowed(unit),
                wrapped: false,
                starts: started != "no",
                started: started.into(),
                source: Source::line(setting.place.clone(), setting.line, key),
                words,
            });
        }
    }
}

/// Address and port of a listener on the network: a port alone is on every address.
fn network(value: &str) -> Option<(String, u32)> {
    let value = value.trim();
    if let Ok(port) = value.parse::<u16>() {
        return Some(("::".into(), port.into()));
    }
    let (address, port) = value.rsplit_once(':')?;
    let address = address.trim_matches(['[', ']']);
    let bare = address.split('%').next().unwrap_or(address);
    let port = port.parse::<u16>().ok()?;
    bare.parse::<std::net::IpAddr>().is_ok().then(|| (address.to_string(), port.into()))
}

/// `IPAddressAllow=` where `IPAddressDeny=any` makes it the only way in.
fn allowed(unit: &Unit) -> Vec<String> {
    let words = |key: &str| -> Vec<String> {
        unit_file::all(&unit.settings, "Socket", key).into_iter().flat_map(|s| s.value.split_whitespace().map(String::from).collect::<Vec<_>>()).collect()
    };
    if words("IPAddressDeny").iter().any(|w| w == "any") { words("IPAddressAllow") } else { Vec::new() }
}

/// The program of the service that the socket starts, its account and its arguments.
fn started_program(gathering: &mut Gathering<'_>, tree: &Tree, unit: &Unit) -> (String, String, Vec<String>) {
    let service = units::activated(unit).and_then(|name| tree.load(gathering, &name)).filter(|s| !s.masked);
    let Some(service) = service else { return (String::new(), String::new(), Vec::new()) };
    let account =
        unit_file::last(&service.settings, "Service", "User").map_or_else(|| "root".into(), |s| unit_file::specify(&s.value, units::names_of(&service)));
    let Some(start) = unit_file::all(&service.settings, "Service", "ExecStart").into_iter().next() else { return (String::new(), account, Vec::new()) };
    let words = unit_file::words(&unit_file::specify(&start.value, units::names_of(&service)));
    let path = words.first().map(|w| w.trim_start_matches(['@', '-', ':', '+', '!', '|']).to_string()).unwrap_or_default();
    let base = path.rsplit('/').next().unwrap_or_default().to_string();
    let wanted = Wanted { programs: &[&base], scripts: &[], family: "", path: "" };
    let words = launch::of_unit(gathering, &service, wanted).into_iter().find_map(|l| l.arguments).unwrap_or_default();
    (path, account, words)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::testing::rooted;

    #[test]
    fn sockets_on_the_network_and_what_they_start() {
        let files = [
            ("/lib/systemd/system/telnet.socket", "[Socket]\nListenStream=23\nAccept=yes\n[Install]\nWantedBy=sockets.target\n"),
            ("/lib/systemd/system/telnet@.service", "[Service]\nExecStart=-/usr/sbin/in.telnetd -h\nUser=nobody\n"),
            ("/etc/systemd/system/telnet.socket.d/a.conf", "[Socket]\nListenStream=\nListenStream=127.0.0.1:2323\n"),
            ("/lib/systemd/system/bus.socket", "[Socket]\nListenStream=/run/bus\n[Install]\nWantedBy=sockets.target\n"),
            ("/lib/systemd/system/off.socket", "[Socket]\nListenDatagram=[::1]:69\nService=t.service\n"),
            ("/etc/systemd/system/sockets.target.wants/telnet.socket", ""),
            ("/etc/systemd/system/sockets.target.wants/bus.socket", ""),
        ];
        let (_root, host) = rooted(&files);
        let mut gaps = Gaps::new();
        let found = read(&host, "super_servers", "services", &mut gaps);
        let shown: Vec<String> = found
            .iter()
            .map(|s| format!("{}|{}|{}|{}|{}|{}|{}", s.subject, s.protocol, s.program, s.account, s.words.join(" "), s.started, s.source.place))
            .collect();
        assert_eq!(
            shown,
            [
                "systemd off.socket [::1]:69/udp|tftp|||".to_string() + "|no|/lib/systemd/system/off.socket",
                "systemd telnet.socket 127.0.0.1:2323/tcp|telnet|/usr/sbin/in.telnetd|nobody|-h|boot|/etc/systemd/system/telnet.socket.d/a.conf".to_string(),
            ]
        );
        assert!(gaps.into_sorted().is_empty());
    }
}
