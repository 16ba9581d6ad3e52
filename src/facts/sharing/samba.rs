//! Samba: what takes effect of smb.conf, with the defaults of the release.

use super::smb_conf::{self, Parameters, Value, flag};
use super::{Reading, SambaServer, SmbShare, is_loopback};
use crate::facts::super_servers::launch::Launch;
use crate::host::manager;
use crate::model::configured::ConfiguredEndpoint;
use crate::model::fact::Source;

/// The usual file.
const MAIN: &str = "/etc/samba/smb.conf";
/// Dialects from the oldest, as smb.conf(5) names them.
const DIALECTS: [(&str, u8); 18] = [
    ("CORE", 0),
    ("COREPLUS", 1),
    ("LANMAN1", 2),
    ("LANMAN2", 3),
    ("NT1", 4),
    ("SMB2_02", 5),
    ("SMB2_10", 6),
    ("SMB2_22", 7),
    ("SMB2_24", 8),
    ("SMB2", 6),
    ("SMB3_00", 9),
    ("SMB3_02", 10),
    ("SMB3_10", 11),
    ("SMB3_11", 12),
    ("SMB3", 12),
    ("LANMAN", 2),
    ("NTLM", 4),
    ("SMB1", 4),
];
const FIRST_SMB2: u8 = 5;

/// Reads each instance.
pub fn read(reading: &mut Reading<'_>, launches: &[Launch]) {
    let own: Vec<&Launch> = launches.iter().filter(|l| l.program == "smbd" || l.program == "samba").collect();
    let mut done: Vec<String> = Vec::new();
    for launch in &own {
        let main = ["-s", "--configfile"].iter().find_map(|o| launch.option(o)).unwrap_or_else(|| MAIN.into());
        if !done.contains(&main) {
            instance(reading, &main, &launch.how);
            done.push(main);
        }
    }
    if done.is_empty() && reading.host.exists(MAIN).unwrap_or(true) {
        instance(reading, MAIN, "no");
    }
}

fn instance(reading: &mut Reading<'_>, main: &str, how: &str) {
    let conf = smb_conf::read(reading, main);
    let subject = format!("samba {main}");
    for (id, detail) in &conf.unresolved {
        reading.gap("samba", &subject, id, detail.clone());
        reading.gap("smb_shares", main, id, detail.clone());
    }
    let versions = manager::versions(reading.host);
    let version = ["samba", "samba-server"].iter().find_map(|p| versions.get(*p).and_then(|v| v.last())).cloned().unwrap_or_default();
    let starts = how != "no";
    let server = server(&conf.global, main, &subject, &version, how);
    for (name, source, parameters) in &conf.shares {
        let share = share(name, source, parameters, main, &server);
        reading.out.smb_shares.push(SmbShare { starts: starts && share.starts, ..share });
    }
    if starts {
        reading.out.endpoints.extend(endpoints(&server, &conf.global));
    }
    reading.out.samba.push(server);
}

fn text<'p>(parameters: &'p Parameters, name: &str) -> Option<&'p Value> {
    parameters.get(name).filter(|v| !v.text.is_empty())
}

fn yes(parameters: &Parameters, name: &str, default: bool) -> bool {
    text(parameters, name).and_then(|v| flag(&v.text)).unwrap_or(default)
}

fn source(parameters: &Parameters, name: &str, shown: &str, main: &str) -> Source {
    text(parameters, name).map_or_else(|| Source { directive: shown.into(), ..Source::whole(main) }, |v| v.source.clone())
}

/// Lists are separated by blanks, commas or semicolons.
fn list(parameters: &Parameters, name: &str) -> Vec<String> {
    text(parameters, name).map(|v| v.text.split([' ', '\t', ',', ';']).filter(|w| !w.is_empty()).map(String::from).collect()).unwrap_or_default()
}

fn server(global: &Parameters, main: &str, subject: &str, version: &str, how: &str) -> SambaServer {
    let is_controller = text(global, "serverrole").is_some_and(|v| {
        let role: String = v.text.to_ascii_lowercase();
        role.contains("active directory") || role == "domain controller" || role == "dc" || role == "ad dc"
    });
    // Samba 4.11 raised the default (its release notes).
    let default_minimum = if is_older(version, (4, 11)) { "LANMAN1" } else { "SMB2_02" };
    let minimum = text(global, "serverminprotocol").map_or_else(|| default_minimum.to_string(), |v| v.text.to_ascii_uppercase());
    let minimum = if minimum == "DEFAULT" { default_minimum.to_string() } else { minimum };
    let maximum = text(global, "servermaxprotocol").map(|v| v.text.to_ascii_uppercase()).filter(|v| v != "DEFAULT").unwrap_or_else(|| "SMB3".into());
    let interfaces = list(global, "interfaces");
    let bind_interfaces_only = yes(global, "bindinterfacesonly", false);
    let hosts_allow = list(global, "hostsallow");
    let is_local = |words: &[String]| !words.is_empty() && words.iter().all(|w| is_loopback(w) || w == "lo");
    let rank = |name: &str| DIALECTS.iter().find(|(n, _)| *n == name).map(|(_, r)| *r);
    SambaServer {
        subject: subject.into(),
        version: version.into(),
        starts: how != "no",
        started: how.into(),
        smb1: rank(&minimum).is_none_or(|r| r < FIRST_SMB2),
        min_protocol: minimum,
        max_protocol: maximum,
        encryption: encryption(global),
        signing: signing(global, is_controller),
        map_to_guest: text(global, "maptoguest").map_or_else(|| "never".into(), |v| v.text.to_ascii_lowercase()),
        ntlm_auth: text(global, "ntlmauth").map_or_else(|| "ntlmv2-only".into(), |v| ntlm(&v.text)),
        this_machine: is_local(&hosts_allow) || (bind_interfaces_only && is_local(&interfaces)),
        interfaces,
        bind_interfaces_only,
        hosts_allow,
        source: Source::whole(main),
        min_protocol_source: source(global, "serverminprotocol", "server min protocol", main),
        encryption_source: source(global, "serversmbencrypt", "server smb encrypt", main),
        signing_source: source(global, "serversigning", "server signing", main),
    }
}

/// Whether a known release is older.
fn is_older(version: &str, than: (u32, u32)) -> bool {
    let upstream = version.split_once(':').map_or(version, |(_, v)| v);
    let mut numbers = upstream.split(['.', '+', '-', '~']).map(str::parse::<u32>);
    match (numbers.next(), numbers.next()) {
        (Some(Ok(major)), Some(Ok(minor))) => (major, minor) < than,
        _ => false,
    }
}

/// Values of `server smb encrypt`, the old words among them.
fn encryption(parameters: &Parameters) -> String {
    let value = text(parameters, "serversmbencrypt").map(|v| v.text.to_ascii_lowercase()).unwrap_or_default();
    match value.as_str() {
        "required" | "mandatory" | "force" | "forced" | "enforced" => "required",
        "desired" => "desired",
        "off" | "no" | "false" | "0" | "disabled" => "off",
        _ => "if_required",
    }
    .into()
}

fn signing(global: &Parameters, is_controller: bool) -> String {
    let value = text(global, "serversigning").map(|v| v.text.to_ascii_lowercase()).unwrap_or_default();
    match value.as_str() {
        "mandatory" | "required" | "force" | "forced" | "enforced" => "mandatory",
        "auto" | "enabled" | "yes" | "true" | "1" | "on" | "if_required" | "desired" => "auto",
        "disabled" | "no" | "false" | "0" | "off" => "disabled",
        _ if is_controller => "mandatory",
        _ => "disabled",
    }
    .into()
}

fn ntlm(value: &str) -> String {
    let lower = value.to_ascii_lowercase();
    match lower.as_str() {
        "no" | "false" | "off" | "0" => "ntlmv2-only".into(),
        "yes" | "true" | "on" | "1" => "ntlmv1-permitted".into(),
        _ => lower,
    }
}

fn share(name: &str, source_of: &Source, parameters: &Parameters, main: &str, server: &SambaServer) -> SmbShare {
    // The server's own limits hold for every share.
    let mut hosts_allow = list(parameters, "hostsallow");
    if hosts_allow.is_empty() {
        hosts_allow.clone_from(&server.hosts_allow);
    }
    let own = encryption(parameters);
    let is_printer = yes(parameters, "printable", false);
    SmbShare {
        subject: format!("samba [{name}] {main}"),
        name: name.into(),
        path: text(parameters, "path").map(|v| v.text.clone()).unwrap_or_default(),
        starts: yes(parameters, "available", true),
        guest: yes(parameters, "guestok", false),
        writable: !yes(parameters, "readonly", true) && !is_printer,
        this_machine: server.this_machine || (!hosts_allow.is_empty() && hosts_allow.iter().all(|h| is_loopback(h))),
        encryption: if server.encryption == "required" || own == "required" { "required".into() } else { own },
        hosts_allow,
        source: source_of.clone(),
        guest_source: source(parameters, "guestok", "guest ok", main),
    }
}

fn endpoints(server: &SambaServer, global: &Parameters) -> Vec<ConfiguredEndpoint> {
    let ports: Vec<u16> = match list(global, "smbports") {
        ports if ports.is_empty() => vec![445, 139],
        ports => ports.iter().filter_map(|p| p.parse().ok()).collect(),
    };
    let bound: Vec<String> = if server.bind_interfaces_only && !server.interfaces.is_empty() {
        // An interface by its name has addresses that only the kernel knows.
        server.interfaces.iter().filter_map(|i| i.split(['/', ';']).next()).filter(|i| i.parse::<std::net::IpAddr>().is_ok()).map(String::from).collect()
    } else {
        vec!["::".into()]
    };
    let mut out = Vec::new();
    for address in bound {
        for port in &ports {
            let shown = if address.contains(':') { format!("[{address}]") } else { address.clone() };
            out.push(ConfiguredEndpoint {
                address: address.clone(),
                port: (*port).into(),
                // SMB has an encryption of its own.
                tls: "none".into(),
                ..ConfiguredEndpoint::plain("samba", format!("samba {shown}:{port}"), source(global, "smbports", "smb ports", &server.source.place))
            });
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::super::read as sharing;
    use crate::host::testing::rooted;
    use crate::model::gap::Gaps;

    #[test]
    fn names_ignore_blanks_shares_take_what_stood_before_and_copies_yield() {
        let main = "[global]\n  Server Min Protocol = NT1\n  guest OK = yes\n include = /etc/samba/more.conf\n[template]\n path = /t\n writable = yes\n smb encrypt = required\n\
            [a]\n copy = template\n path = /a\n public = no\n[GLOBAL]\nguest ok = no\n[b]\n comment = x \\\n guest ok = yes\n path=/b\n";
        let (_root, host) = rooted(&[("/etc/samba/smb.conf", main), ("/etc/samba/more.conf", "server signing = required\nhosts allow = 10. 127.\n")]);
        let mut gaps = Gaps::new();
        let found = sharing(&host, &mut gaps);
        assert_eq!(gaps.into_sorted(), []);
        let server = &found.samba[0];
        assert_eq!((server.min_protocol.as_str(), server.smb1, server.signing.as_str(), server.starts), ("NT1", true, "mandatory", false));
        assert_eq!((server.min_protocol_source.line, server.signing_source.place.as_str()), (2, "/etc/samba/more.conf"));
        let shown: Vec<String> = found.smb_shares.iter().map(|s| format!("{}|{}|{}|{}|{}", s.name, s.path, s.guest, s.writable, s.encryption)).collect();
        assert_eq!(shown, ["a|/a|false|true|required", "b|/b|false|false|if_required", "template|/t|true|true|required"]);
    }

    #[test]
    fn what_depends_on_clients_or_the_registry_is_a_gap() {
        for text in [
            "[global]\ninclude = /etc/samba/%m.conf\n",
            "[global]\nconfig backend = registry\n[a]\npath=/a\n",
            "[global]\ninclude = registry\n",
            "[global]\nconfig file = /etc/%I\n",
            "[a]\npath = /a\nguest ok = perhaps\n",
        ] {
            let (_root, host) = rooted(&[("/etc/samba/smb.conf", text)]);
            let mut gaps = Gaps::new();
            let found = sharing(&host, &mut gaps);
            assert_eq!(found.samba.len(), 1);
            assert!(gaps.into_sorted().iter().any(|g| g.path == "samba" && g.subject == found.samba[0].subject), "{text}");
        }
    }

    #[test]
    fn hostile_text_ends() {
        let text = "[global\ninclude = /etc/samba/smb.conf\n[a]\ncopy = a\n=\n\\\n[b]\ncopy=c\nsmb ports = x 70000 445\n";
        for end in 0..=text.len() {
            let (_root, host) = rooted(&[("/etc/samba/smb.conf", &text[..end])]);
            let _ = sharing(&host, &mut Gaps::new());
        }
    }
}
