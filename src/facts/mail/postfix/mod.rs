//! Postfix: its configuration folders, listening services, what leaves the machine.

mod main_cf;
mod master_cf;
mod relay;
mod tls;

use std::collections::BTreeMap;
use std::net::IpAddr;

use super::{Collector, MailListener, MailServer, Outgoing};
use crate::facts::web::{launch, socket};
use crate::host::root::CONFIG_LIMIT;
use crate::host::{Host, manager};
use crate::model::configured::ConfiguredEndpoint;
use crate::model::fact::Source;
use crate::model::gap::reason;
use main_cf::{Parameters, Release, Value};
use master_cf::Service;

/// The usual folder.
const FOLDER: &str = "/etc/postfix";
/// Most instances of one machine.
const INSTANCE_LIMIT: usize = 64;
/// Longest environment of a process, bytes; one variable of it is looked for.
const ENVIRONMENT_LIMIT: usize = 128 << 10;
/// Release from which outgoing mail without a level of its own depends on how Postfix was built.
const CLIENT_DEFAULT_CHANGED: Release = (3, 11);

/// Reads every instance.
pub fn gather(collector: &mut Collector<'_>) {
    let running = running(collector);
    if running.is_empty() && collector.host.exists(&format!("{FOLDER}/main.cf")) == Ok(false) {
        return;
    }
    let (version, release) = version(collector.host);
    let mut folders: Vec<String> = vec![FOLDER.into()];
    folders.extend(running.iter().filter(|f| *f != FOLDER).cloned());
    let mut index = 0;
    while let Some(folder) = folders.get(index).cloned() {
        index += 1;
        if index > INSTANCE_LIMIT {
            return collector.gap("", "", reason::LIMIT_REACHED, format!("more than {INSTANCE_LIMIT} instances of Postfix"), "");
        }
        let more = instance(collector, &folder, &version, release, running.contains(&folder));
        for folder in more {
            if !folders.contains(&folder) {
                folders.push(folder);
            }
        }
    }
}

/// Folders with which a master process runs: `-c`, or the variable by which the start script hands it over.
fn running(collector: &mut Collector<'_>) -> Vec<String> {
    let host = collector.host;
    let mut out = Vec::new();
    for process in launch::running(host, &["master"], collector.family, collector.gaps) {
        let program = process.arguments.first().map_or("", String::as_str);
        if !program.contains("postfix") {
            continue;
        }
        let by_option = launch::option_values(&process.arguments, "-c").pop();
        let environment = host.read(&format!("/proc/{}/environ", process.pid), ENVIRONMENT_LIMIT).unwrap_or_default();
        let by_variable = || environment.split(|b| *b == 0).find_map(|v| v.strip_prefix(b"MAIL_CONFIG=")).map(|v| String::from_utf8_lossy(v).into_owned());
        let folder = by_option.or_else(by_variable).unwrap_or_else(|| FOLDER.into());
        let folder = folder.trim_end_matches('/').to_string();
        // A child of the master is its double until it starts the program that it is for.
        if !out.contains(&folder) {
            out.push(folder);
        }
    }
    out
}

fn version(host: &Host) -> (String, Option<Release>) {
    let versions = manager::versions(host);
    let Some(newest) = versions.get("postfix").and_then(|v| v.last()) else { return (String::new(), None) };
    let upstream = newest.split_once(':').map_or(newest.as_str(), |(_, v)| v);
    let text = upstream.split(['-', '+', '~']).next().unwrap_or(upstream).to_string();
    let mut numbers = text.split('.').map(|n| n.parse::<u32>().ok());
    let release = numbers.next().flatten().zip(numbers.next().flatten());
    (text, release)
}

/// Reads one folder; folders of further instances that it names.
fn instance(collector: &mut Collector<'_>, folder: &str, version: &str, release: Option<Release>, running: bool) -> Vec<String> {
    let host = collector.host;
    let main = format!("{folder}/main.cf");
    let text = match host.read_text(&main, CONFIG_LIMIT) {
        Ok(text) => text,
        Err(e) if e.is_not_found() && !running => return Vec::new(),
        Err(e) => {
            collector.gaps.add(e.to_gap(collector.family, "", ""));
            return Vec::new();
        }
    };
    let host_name = host.read_text("/etc/hostname", CONFIG_LIMIT).unwrap_or_default();
    let parameters = Parameters::parse(&text, &main, release, host_name.trim());
    let mut files = vec![main.clone()];
    let master = format!("{folder}/master.cf");
    let services = match host.read_text(&master, CONFIG_LIMIT) {
        Ok(text) => {
            files.push(master.clone());
            master_cf::parse(&text, &master)
        }
        Err(e) => {
            collector.gaps.add(e.to_gap(collector.family, "", ""));
            Vec::new()
        }
    };
    let instance = Instance { folder, parameters: &parameters, services: &services, release };
    for service in services.iter().filter(|s| s.kind == "inet") {
        listening(collector, &instance, service);
    }
    outgoing(collector, &instance);
    collector.mail.servers.push(MailServer {
        subject: format!("postfix {folder}"),
        program: "postfix".into(),
        version: version.into(),
        running,
        files,
        source: Source::whole(main),
    });
    parameters.list("multi_instance_directories").into_iter().filter(|f| f.starts_with('/')).map(|f| f.trim_end_matches('/').to_string()).collect()
}

struct Instance<'i> {
    folder: &'i str,
    parameters: &'i Parameters,
    services: &'i [Service],
    release: Option<Release>,
}

fn listening(collector: &mut Collector<'_>, instance: &Instance<'_>, service: &Service) {
    // Behind postscreen stands the smtpd that it hands connections to; it speaks for both.
    let speaks = match service.command.as_str() {
        "smtpd" => service,
        "postscreen" => instance.services.iter().find(|s| s.kind == "pass" && s.command == "smtpd").unwrap_or(service),
        _ => return,
    };
    let parameters = instance.parameters.with(&speaks.options);
    let (host, port) = match service.name.rsplit_once(':') {
        Some((host, port)) => (host.trim_start_matches('[').trim_end_matches(']'), port),
        None => ("", service.name.as_str()),
    };
    let Some(port) = port_number(collector.host, port) else {
        let detail = format!("{}:{}: the port {port} is not in /etc/services", service.source.place, service.source.line);
        for path in ["endpoints", "listeners"] {
            collector.gap(path, "", reason::UNSUPPORTED, detail.clone(), "Write the number of the port.");
        }
        return;
    };
    for address in addresses(collector, &parameters, host, service) {
        endpoint(collector, &parameters, service, &address, port, instance.release);
    }
}

fn endpoint(collector: &mut Collector<'_>, parameters: &Parameters, service: &Service, address: &str, port: u32, release: Option<Release>) {
    let subject = format!("postfix {}", socket(address, port));
    let (level, level_value) = tls::server(parameters);
    if level.is_none() {
        let detail = format!("{}:{}: smtpd_tls_security_level has a value that is not known", level_value.source.place, level_value.source.line);
        for path in ["endpoints.tls", "endpoints.versions", "listeners.tls", "listeners.sign_in"] {
            collector.gap(path, &subject, reason::UNSUPPORTED, detail.clone(), "Check it with postconf.");
        }
    }
    let level = level.unwrap_or("offered");
    let protocols = parameters.get(if level == "required" { "smtpd_tls_mandatory_protocols" } else { "smtpd_tls_protocols" });
    let versions = if level == "none" { None } else { tls::versions(&protocols.text) };
    if level != "none" && (versions.is_none() || release.is_none() && protocols.source.place.is_empty()) {
        let detail = format!("the TLS versions of {subject} hold a word that is not known, or depend on the release, which is not known");
        collector.gap("endpoints.versions", &subject, reason::UNSUPPORTED, detail, "Write smtpd_tls_protocols and smtpd_tls_mandatory_protocols.");
    }
    let (certificates, keys) = if level == "none" { Default::default() } else { tls::files(parameters) };
    let ciphers = if level == "required" { "smtpd_tls_mandatory_ciphers" } else { "smtpd_tls_ciphers" };
    let (sign_in, sign_in_source) = sign_in(parameters, level);
    let relay = relay::of(parameters);
    if relay.state == "undecided" {
        let detail = format!("whether {subject} relays for strangers is decided by {}", relay.detail);
        collector.gap(
            "listeners.relay",
            &subject,
            reason::UNSUPPORTED,
            detail,
            "Put reject_unauth_destination before tables and policy servers, as in the default of smtpd_relay_restrictions.",
        );
    }
    let endpoint = ConfiguredEndpoint {
        address: address.into(),
        port,
        tls: level.into(),
        versions_source: if versions.is_some() { protocols.source } else { Source::default() },
        versions,
        ciphers: if level == "none" { String::new() } else { parameters.get(ciphers).text },
        certificates,
        keys,
        ..ConfiguredEndpoint::plain("postfix", subject, service.source.clone())
    };
    let listener = MailListener {
        subject: String::new(),
        program: "postfix".into(),
        protocol: "smtp".into(),
        address: address.into(),
        port,
        exposed: false,
        tls: String::new(),
        sign_in: sign_in.into(),
        sign_in_source,
        relay: relay.state.into(),
        relay_detail: relay.detail,
        relay_source: relay.value.source,
        source: service.source.clone(),
    };
    collector.add(endpoint, Some(listener));
}

/// Whether and how clients sign in.
fn sign_in(parameters: &Parameters, level: &str) -> (&'static str, Source) {
    let enabled = parameters.get("smtpd_sasl_auth_enable");
    if !enabled.text.eq_ignore_ascii_case("yes") {
        return ("off", enabled.source);
    }
    let only = parameters.get("smtpd_tls_auth_only");
    let options: Vec<String> = parameters.list("smtpd_sasl_security_options").iter().map(|o| o.to_ascii_lowercase()).collect();
    if level == "required" {
        return ("after-tls", parameters.get("smtpd_tls_security_level").source);
    }
    if only.text.eq_ignore_ascii_case("yes") {
        return (if level == "none" { "off" } else { "after-tls" }, only.source);
    }
    if options.iter().any(|o| o == "noplaintext") {
        return ("after-tls", parameters.get("smtpd_sasl_security_options").source);
    }
    ("cleartext", if only.source.place.is_empty() { enabled.source } else { only.source })
}

/// Numbers of the names that master.cf uses, where services(5) does not say.
const PORTS: [(&str, u32); 5] = [("smtp", 25), ("smtps", 465), ("submissions", 465), ("submission", 587), ("lmtp", 24)];

fn port_number(host: &Host, name: &str) -> Option<u32> {
    if let Ok(port) = name.parse::<u16>() {
        return Some(u32::from(port));
    }
    let text = host.read_text("/etc/services", CONFIG_LIMIT).unwrap_or_default();
    let listed = text.lines().find_map(|line| {
        let mut words = line.split('#').next()?.split_whitespace();
        let (first, port) = (words.next()?, words.next()?.strip_suffix("/tcp")?);
        (first == name || words.any(|alias| alias == name)).then(|| port.parse::<u32>().ok())?
    });
    listed.or_else(|| PORTS.iter().find(|(own, _)| *own == name).map(|(_, port)| *port))
}

/// Addresses of a service: its own, or those of inet_interfaces.
fn addresses(collector: &mut Collector<'_>, parameters: &Parameters, host: &str, service: &Service) -> Vec<String> {
    let protocols = parameters.list("inet_protocols");
    let has = |name: &str| protocols.iter().any(|p| p.eq_ignore_ascii_case(name) || p.eq_ignore_ascii_case("all"));
    let both = |v4: &str, v6: &str| {
        let mut out = Vec::new();
        if has("ipv4") {
            out.push(v4.to_string());
        }
        if has("ipv6") {
            out.push(v6.to_string());
        }
        out
    };
    let words = if host.is_empty() { parameters.list("inet_interfaces") } else { vec![host.to_string()] };
    let mut out = Vec::new();
    for word in words {
        let name = word.trim_start_matches('[').trim_end_matches(']');
        match name.to_ascii_lowercase().as_str() {
            "all" => out.extend(both("0.0.0.0", "::")),
            "loopback-only" | "localhost" => out.extend(both("127.0.0.1", "::1")),
            _ if name.parse::<IpAddr>().is_ok() => out.push(name.to_string()),
            _ => {
                let known = named(collector.host, name);
                if known.is_empty() {
                    let detail = format!("{}:{}: the address of {name} is not in /etc/hosts", service.source.place, service.source.line);
                    for path in ["endpoints", "listeners"] {
                        collector.gap(path, "", reason::UNSUPPORTED, detail.clone(), "Write addresses into inet_interfaces.");
                    }
                }
                out.extend(known.into_iter().filter(|a| if a.contains(':') { has("ipv6") } else { has("ipv4") }));
            }
        }
    }
    out.dedup();
    out
}

/// Addresses that hosts(5) gives a name.
fn named(host: &Host, name: &str) -> Vec<String> {
    let text = host.read_text("/etc/hosts", CONFIG_LIMIT).unwrap_or_default();
    let mut out = Vec::new();
    for line in text.lines() {
        let mut words = line.split('#').next().unwrap_or_default().split_whitespace();
        let Some(address) = words.next().filter(|a| a.parse::<IpAddr>().is_ok()) else { continue };
        if words.any(|w| w.eq_ignore_ascii_case(name)) {
            out.push(address.to_string());
        }
    }
    out
}

/// The services `smtp` and `relay`, and others that run the same program.
fn outgoing(collector: &mut Collector<'_>, instance: &Instance<'_>) {
    let named: BTreeMap<&str, &Service> = instance.services.iter().filter(|s| s.kind == "unix" && s.command == "smtp").map(|s| (s.name.as_str(), s)).collect();
    for (name, service) in named {
        let parameters = instance.parameters.with(&service.options);
        let subject = format!("postfix {} {name}", instance.folder);
        let (level, value) = tls::client(&parameters);
        let depends =
            value.source.place.is_empty() && !parameters.is_written("smtp_tls_security_level") && instance.release.is_none_or(|r| r >= CLIENT_DEFAULT_CHANGED);
        if level.is_none() || depends {
            let detail = format!("{subject}: smtp_tls_security_level is not written and depends on the release, or has a value that is not known");
            collector.gap("outgoing.tls", &subject, reason::UNSUPPORTED, detail, "Write smtp_tls_security_level into main.cf.");
        }
        let relay = parameters.get("relayhost");
        collector.mail.outgoing.push(Outgoing {
            tls: level.unwrap_or("none").into(),
            leaves_machine: leaves(&parameters, name, &relay),
            relay_host: relay.text.clone(),
            source: if value.source.place.is_empty() { service.source.clone() } else { value.source },
            subject,
        });
    }
}

/// Whether mail leaves the machine through a service.
fn leaves(parameters: &Parameters, service: &str, relay: &Value) -> bool {
    let relayed = relay.text.trim_start_matches('[');
    let on_loopback = ["127.", "localhost", "::1"].iter().any(|p| relayed.starts_with(p));
    let transport = |name: &str| parameters.get(name).text.split(':').next().unwrap_or_default().to_string();
    let is_used = match service {
        "smtp" => transport("default_transport") == "smtp" || transport("relay_transport") == "smtp" || parameters.is_written("transport_maps"),
        "relay" => transport("relay_transport") == "relay" && !parameters.get("relay_domains").text.is_empty(),
        // One that a table of transports or a sender's own default may name.
        _ => true,
    };
    is_used && !on_loopback
}

#[cfg(test)]
mod tests {
    use crate::facts::HostFamily as _;
    use crate::facts::mail::Mail;
    use crate::host::testing::{recorded, rooted};
    use crate::model::gap::Gaps;

    /// A child of the master has its command line until it starts the program that it is for.
    #[test]
    fn two_processes_of_one_folder_are_one_server() {
        let (root, host) = recorded(&[
            ("/srv/mail/main.cf", "compatibility_level = 3.6\ninet_protocols = ipv4\n"),
            ("/srv/mail/master.cf", "smtp inet n - y - - smtpd\n"),
            ("/proc/7/comm", "master\n"),
            ("/proc/7/cmdline", "/usr/lib/postfix/sbin/master\0-d\0-c\0/srv/mail\0"),
            ("/proc/8/comm", "master\n"),
            ("/proc/8/cmdline", "/usr/lib/postfix/sbin/master\0-d\0-c\0/srv/mail/\0"),
        ]);
        for pid in [7, 8] {
            std::os::unix::fs::symlink("/", root.path().join(format!("proc/{pid}/root"))).unwrap();
        }
        let mail = Mail::gather(&host, &mut Gaps::new()).unwrap();
        assert_eq!((mail.servers.len(), mail.endpoints.len()), (1, 1), "{mail:#?}");
    }

    #[test]
    fn services_options_and_defaults() {
        let master = "smtp inet n - y - - smtpd\nsubmission inet n - y - - smtpd\n -o smtpd_tls_security_level=encrypt -o smtpd_sasl_auth_enable=yes\n\
            127.0.0.1:10025 inet n - y - - smtpd\nsmtps inet n - y - - smtpd -o smtpd_tls_wrappermode=yes\nsmtp unix - - y - - smtp\n";
        let main = "compatibility_level = 3.6\nsmtpd_tls_cert_file = /c.pem\nsmtpd_tls_security_level = may\ninet_protocols = ipv4\nsmtpd_tls_mandatory_protocols = >=TLSv1.2\n\
            smtp_tls_security_level =\n";
        let (_root, host) = rooted(&[
            ("/etc/postfix/main.cf", main),
            ("/etc/postfix/master.cf", master),
            ("/etc/services", "submission 587/tcp # x\nsubmissions 465/tcp ssmtp smtps\n"),
            ("/var/lib/dpkg/status", "Package: postfix\nStatus: install ok installed\nArchitecture: amd64\nVersion: 3.7.11-0+deb12u1\n\n"),
        ]);
        let mut gaps = Gaps::new();
        let mail = Mail::gather(&host, &mut gaps).unwrap();
        let shown: Vec<String> =
            mail.endpoints.iter().map(|e| format!("{} {} {}", e.subject, e.tls, e.versions.clone().unwrap_or_default().join(","))).collect();
        assert_eq!(
            shown,
            [
                "postfix 0.0.0.0:25 offered TLSv1.0,TLSv1.1,TLSv1.2,TLSv1.3",
                "postfix 0.0.0.0:587 required TLSv1.2,TLSv1.3",
                "postfix 127.0.0.1:10025 offered TLSv1.0,TLSv1.1,TLSv1.2,TLSv1.3",
                "postfix 0.0.0.0:465 required TLSv1.2,TLSv1.3",
            ]
        );
        let signs: Vec<&str> = mail.listeners.iter().map(|l| l.sign_in.as_str()).collect();
        assert_eq!(signs, ["off", "after-tls", "off", "off"]);
        assert_eq!((mail.outgoing[0].tls.as_str(), mail.outgoing[0].leaves_machine), ("none", true));
        assert_eq!((mail.servers[0].version.as_str(), mail.listeners[2].exposed, mail.listeners[0].relay.as_str()), ("3.7.11", false, "closed"));
        assert_eq!(mail.key_files[0].state, "missing");
        assert_eq!(gaps.into_sorted(), []);
    }
}
