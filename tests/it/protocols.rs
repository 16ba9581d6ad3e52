//! Protocols as a scan sees them, each spoken by a real server on a port that says nothing.

use std::collections::BTreeSet;
use std::process::Command;

use assay::facts::listeners::{Listener, Process};
use assay::facts::services::{Plan, Service, survey};
use assay::model::gap::Gaps;
use assay::probe::Limits;

use crate::lab::hostile::rewriting_relay;
use crate::lab::{Certificate, daemons, servers};
use crate::probe::{at, summary};

/// Protocol, `tls`, `authentication`, and what is open.
fn told(service: &Service) -> (&str, &str, &str, Vec<&str>) {
    (&service.protocol, &service.tls, &service.authentication, service.open.iter().map(String::as_str).collect())
}

/// The one upgrade and how many certificates it showed.
fn upgrade(port: u16, starttls: &str) {
    let seen = at(port);
    assert_eq!((seen.tls().starttls.as_str(), seen.chain().len()), (starttls, 1), "{:?}", seen.one());
}

#[test]
fn mail_stores_tell_their_upgrade() {
    let certificate = Certificate::self_signed(&["-newkey", "rsa:2048"]);
    // Dovecot takes its own address for safe; strangers must not sign in without TLS unless they may.
    for (certificate, settings, tls) in [
        (None, "disable_plaintext_auth = no", "none"),
        (Some(&certificate), "disable_plaintext_auth = no", "optional"),
        (Some(&certificate), "", "required"),
        (Some(&certificate), "ssl = required", "required"),
    ] {
        let server = daemons::dovecot(certificate, settings);
        for (port, name, authentication) in [(server.imap.port, "imap", "unknown"), (server.pop3, "pop3", "unknown"), (server.sieve, "managesieve", "required")]
        {
            let seen = at(port);
            assert_eq!(summary(seen.whole().one()), (name, true, tls, authentication), "{settings} {:?}", seen.one());
            assert_eq!(seen.endpoints.len(), usize::from(certificate.is_some()));
        }
        // LMTP has no sign-in that could wait for TLS.
        let lmtp = if certificate.is_some() { "optional" } else { "none" };
        assert_eq!(summary(at(server.lmtp).whole().one()), ("lmtp", true, lmtp, "unknown"), "{settings}");
    }
    let server = daemons::dovecot(Some(&certificate), "");
    for (port, name) in [(server.imap.port, "imap"), (server.pop3, "pop3"), (server.sieve, "managesieve"), (server.lmtp, "lmtp")] {
        upgrade(port, name);
    }
}

#[test]
fn mail_servers_tell_what_their_upgrade_is_worth() {
    let certificate = Certificate::ordinary();
    for (certificate, settings, tls, endpoints) in [
        (None, "", "none", 0),
        (Some(&certificate), "smtpd_tls_security_level = may", "optional", 1),
        (Some(&certificate), "smtpd_tls_security_level = encrypt", "required", 1),
        // It lists what it can't do.
        (Some(&certificate), "smtpd_tls_security_level = may\nsmtpd_tls_key_file = /nonexistent", "stripped", 0),
    ] {
        let server = daemons::postfix(certificate, settings);
        let seen = at(server.port);
        assert_eq!(summary(seen.whole().one()), ("smtp", true, tls, "unknown"), "{settings} {:?}", seen.one());
        assert_eq!(seen.endpoints.len(), endpoints);
    }
}

#[test]
fn an_upgrade_that_is_taken_out_on_the_way_is_stripped() {
    let certificate = Certificate::ordinary();
    let server = daemons::dovecot(Some(&certificate), "disable_plaintext_auth = no");
    let cases =
        [(server.imap.port, "imap", "STARTTLS"), (server.pop3, "pop3", "STLS"), (server.sieve, "managesieve", "STARTTLS"), (server.lmtp, "lmtp", "STARTTLS")];
    for (port, name, word) in cases {
        // The word in the list, the command, and both; where the command passes, TLS can be looked at.
        for (of_servers, of_clients, endpoints) in [(Some(word), None, 1), (None, Some(word), 0), (Some(word), Some(word), 0)] {
            let seen = at(rewriting_relay(port, of_servers, of_clients));
            assert_eq!((seen.whole().one().protocol.as_str(), seen.one().tls.as_str()), (name, "stripped"), "{of_servers:?} {of_clients:?} {:?}", seen.one());
            assert_eq!(seen.endpoints.len(), endpoints);
        }
    }
    let smtp = servers::smtp(Some(&certificate), false);
    let seen = at(rewriting_relay(smtp.port, Some("STARTTLS"), Some("STARTTLS")));
    assert_eq!(summary(seen.whole().one()), ("smtp", true, "stripped", "unknown"), "{:?}", seen.one());
    let ftp = servers::vsftpd(&format!("ssl_enable=YES\nrsa_cert_file={}\nrsa_private_key_file={}", certificate.cert.display(), certificate.key.display()));
    let seen = at(rewriting_relay(ftp.port, None, Some("AUTH TLS")));
    assert_eq!((seen.whole().one().protocol.as_str(), seen.one().tls.as_str()), ("ftp", "stripped"), "{:?}", seen.one());
}

#[test]
fn directories_tell_what_strangers_may_read() {
    let certificate = Certificate::self_signed(&["-newkey", "rsa:2048"]);
    let certificate = Some(&certificate);
    let closed = "access to * by users read by anonymous auth";
    let all = vec!["anonymous-bind", "anonymous-read"];
    for (certificate, global, database, tls, authentication, open) in [
        (None, "", "", "none", "none", all.clone()),
        (certificate, "", "", "optional", "none", all),
        (certificate, "", closed, "optional", "required", vec!["anonymous-bind"]),
        (certificate, "disallow bind_anon\nrequire authc", "", "optional", "required", vec![]),
        (certificate, "security ssf=64", "", "required", "unknown", vec!["anonymous-bind"]),
        (certificate, "", &format!("security simple_bind=64\n{closed}"), "required", "required", vec!["anonymous-bind"]),
    ] {
        let server = daemons::slapd(certificate, global, database);
        let seen = at(server.port);
        let found = told(seen.one());
        let gaps: Vec<&str> = seen.gaps.iter().map(|g| g.path.as_str()).collect();
        assert_eq!(gaps, if authentication == "unknown" { vec!["items.authentication", "items.open"] } else { vec![] }, "{global} {database}");
        assert_eq!((found.0, found.1), ("ldap", tls), "{global} {database} {:?}", seen.one());
        assert_eq!((found.2, found.3), (authentication, open), "{global} {database} {:?}", seen.one());
        // The root entry is refused, too, where everything is.
        assert_eq!(seen.one().versions, if global.is_empty() { vec!["LDAPv3"] } else { vec![] }, "{global} {database}");
        if certificate.is_some() {
            assert_eq!((seen.tls().starttls.as_str(), seen.chain().len()), ("ldap", 1));
        }
    }
}

#[test]
fn chat_servers_tell_their_upgrade() {
    let certificate = Certificate::ordinary();
    for (certificate, demand, tls) in [(None, false, "none"), (Some(&certificate), false, "optional"), (Some(&certificate), true, "required")] {
        let (clients, servers) = daemons::prosody(certificate, demand);
        let authentication = if demand { "unknown" } else { "required" };
        let seen = at(clients.port);
        assert_eq!(summary(seen.whole().one()), ("xmpp", true, tls, authentication), "{:?}", seen.one());
        assert_eq!(seen.endpoints.len(), usize::from(certificate.is_some()));
        // Servers sign in by dialback or by certificate, so that nothing is told of it before.
        let seen = at(servers);
        assert_eq!(seen.whole().one().protocol, "xmpp");
        assert_eq!(seen.endpoints.len(), usize::from(certificate.is_some()));
    }
}

#[test]
fn news_servers_tell_their_upgrade() {
    let certificate = Certificate::self_signed(&["-newkey", "rsa:2048"]);
    // INN lists STARTTLS without a certificate, too, and refuses it then.
    let open = "auth all { hosts: \"*\" default: \"<all>\" }\naccess all { users: \"<all>\" newsgroups: \"*\" access: R }\n";
    let named = "auth all { hosts: \"*\" auth: \"ckpasswd -f none\" }\naccess all { users: \"*\" newsgroups: \"*\" access: R }\n";
    let encrypted = format!(
        "auth none {{ hosts: \"*\" require_encryption: true auth: \"ckpasswd -f none\" }}\n{}",
        "access all { users: \"<all>\" newsgroups: \"*\" access: R }\n"
    );
    for (certificate, access, tls, authentication) in [
        (None, open, "stripped", "none"),
        (Some(&certificate), open, "optional", "none"),
        (Some(&certificate), named, "optional", "required"),
        (Some(&certificate), &encrypted, "required", "required"),
    ] {
        let server = daemons::nnrpd(certificate, access);
        let seen = at(server.port);
        assert_eq!(summary(seen.whole().one()), ("nntp", true, tls, authentication), "{access} {:?}", seen.one());
        assert!(seen.one().banner.contains("InterNetNews"));
        if certificate.is_some() {
            assert_eq!((seen.tls().starttls.as_str(), seen.chain().len()), ("nntp", 1));
        }
    }
}

#[test]
fn remote_desktops_tell_their_security() {
    let certificate = Certificate::self_signed(&["-newkey", "rsa:2048"]);
    for (layer, tls, versions) in
        [("rdp", "none", &["PROTOCOL_RDP"][..]), ("negotiate", "optional", &["PROTOCOL_RDP", "PROTOCOL_SSL"]), ("tls", "required", &["PROTOCOL_SSL"])]
    {
        let server = daemons::xrdp(&certificate, layer);
        let seen = at(server.port);
        // xrdp has no CredSSP, so everybody sees its screen to sign in at.
        assert_eq!(told(seen.whole().one()), ("rdp", tls, "required", vec!["sign-in-screen"]), "{layer} {:?}", seen.one());
        assert_eq!(
            (seen.one().versions.as_slice(), seen.endpoints.len()),
            (&versions.iter().map(ToString::to_string).collect::<Vec<_>>()[..], usize::from(layer != "rdp"))
        );
    }
}

#[test]
fn ssh_offers_what_it_is_configured_to() {
    for settings in [
        &[][..],
        &["Ciphers=+3des-cbc,aes128-cbc", "MACs=hmac-md5,hmac-sha1-96", "KexAlgorithms=+diffie-hellman-group1-sha1", "HostKeyAlgorithms=+ssh-rsa"],
        &["Ciphers=aes256-gcm@openssh.com", "MACs=hmac-sha2-512", "KexAlgorithms=curve25519-sha256", "HostKeyAlgorithms=rsa-sha2-512", "Compression=no"],
    ] {
        let server = daemons::sshd("rsa", settings);
        let seen = at(server.port);
        assert_eq!(summary(seen.whole().one()), ("ssh", false, "none", "required"), "{:?}", seen.one());
        assert_eq!(seen.one().versions, ["SSH-2.0"]);
        let ssh = seen.one().ssh.as_ref().unwrap();
        let mut command = Command::new("/usr/sbin/sshd");
        command.args(["-T", "-f", "/dev/null", "-h"]).arg(server.folder().join("key"));
        for setting in settings {
            command.args(["-o", setting]);
        }
        let output = command.output().unwrap();
        let configured = String::from_utf8(output.stdout).unwrap();
        let list = |name: &str| -> Vec<String> {
            let line = configured.lines().find_map(|l| l.strip_prefix(name)).unwrap_or_else(|| panic!("{name} {configured}"));
            line.trim().split(',').map(ToString::to_string).collect()
        };
        assert_eq!(ssh.ciphers, list("ciphers "));
        assert_eq!(ssh.macs, list("macs "));
        // Words that are no method: RFC 8308 and OpenSSH's strict mode.
        let methods: Vec<&String> = ssh.key_exchange.iter().filter(|k| !k.starts_with("ext-info") && !k.starts_with("kex-strict")).collect();
        assert_eq!(methods, list("kexalgorithms ").iter().collect::<Vec<_>>());
        // Of the algorithms configured, those of the one key that it has.
        let of_key: BTreeSet<String> =
            list("hostkeyalgorithms ").into_iter().filter(|a| ["ssh-rsa", "rsa-sha2-256", "rsa-sha2-512"].contains(&a.as_str())).collect();
        assert_eq!(ssh.host_keys.iter().cloned().collect::<BTreeSet<_>>(), of_key);
        assert_eq!(ssh.compression, if settings.contains(&"Compression=no") { vec!["none"] } else { vec!["none", "zlib@openssh.com"] });
    }
    let server = daemons::dropbear();
    let seen = at(server.port);
    assert!(seen.whole().one().ssh.as_ref().unwrap().macs.contains(&"hmac-sha2-256".to_string()), "{:?}", seen.one());
}

#[test]
fn file_servers_of_smb_tell_dialects_and_signatures() {
    let new = ["SMB 2.0.2", "SMB 2.1", "SMB 3.0", "SMB 3.0.2", "SMB 3.1.1"];
    let old: Vec<&str> = [&["NT LM 0.12"][..], &new].concat();
    for (lines, versions, signing, open) in [
        ("", &new[..], "enabled", vec!["null-session"]),
        ("server signing = mandatory", &new, "required", vec!["null-session"]),
        ("server min protocol = SMB3_00", &new[2..], "enabled", vec!["null-session"]),
        ("server min protocol = NT1", &old, "disabled", vec!["null-session", "smb1"]),
        ("server min protocol = NT1\nserver signing = mandatory", &old, "required", vec!["null-session", "smb1"]),
        ("server min protocol = NT1\nserver max protocol = NT1", &old[..1], "disabled", vec!["smb1"]),
    ] {
        let server = daemons::smbd(lines);
        let seen = at(server.port);
        assert_eq!(told(seen.whole().one()), ("smb", "none", "required", open), "{lines} {:?}", seen.one());
        assert_eq!(
            (seen.one().versions.iter().map(String::as_str).collect::<Vec<_>>().as_slice(), seen.one().signing.as_str()),
            (versions, signing),
            "{lines}"
        );
    }
}

#[test]
fn displays_tell_who_is_let_in() {
    let open = daemons::xvfb(true);
    let seen = at(open.port);
    assert_eq!(told(seen.whole().one()), ("x11", "none", "none", vec!["no-password"]), "{:?}", seen.one());
    let closed = daemons::xvfb(false);
    let seen = at(closed.port);
    assert_eq!(told(seen.whole().one()), ("x11", "none", "required", vec![]), "{:?}", seen.one());
    assert_eq!(seen.one().versions, ["X11.0"]);
    let shared = daemons::x11vnc(&open);
    assert_eq!(told(at(shared.port).whole().one()), ("vnc", "none", "none", vec!["no-password"]));
    let certificate = Certificate::self_signed(&["-newkey", "rsa:2048"]);
    for (types, tls, authentication) in [
        ("None", "none", "none"),
        ("VncAuth", "none", "required"),
        ("VncAuth,TLSVnc", "optional", "required"),
        ("X509Vnc", "required", "required"),
        ("TLSNone", "required", "none"),
        ("Plain,TLSPlain", "optional", "required"),
    ] {
        let server = daemons::tigervnc(&certificate, types);
        let seen = at(server.port);
        assert_eq!(summary(seen.whole().one()), ("vnc", true, tls, authentication), "{types} {:?}", seen.one());
        assert_eq!((seen.one().open == ["no-password"], seen.one().versions.as_slice()), (authentication == "none", &["RFB 003.008".to_string()][..]));
    }
}

#[test]
fn rsync_modules_are_listed_with_what_they_want() {
    let open = "[open]\npath = {path}\ncomment = with\ta tabulator\n";
    let closed = "[closed]\npath = {path}\nauth users = somebody\nsecrets file = {path}/secrets\n";
    let denied = "[denied]\npath = {path}\nhosts deny = *\n";
    let hidden = "[hidden]\npath = {path}\nlist = no\n";
    let server = daemons::rsyncd(&[open, closed, denied, hidden].concat());
    let seen = at(server.port);
    assert_eq!(told(seen.whole().one()), ("rsync", "none", "none", vec!["no-password"]));
    let modules: Vec<(&str, Vec<&str>)> = seen.one().exports.iter().map(|e| (e.name.as_str(), e.security.iter().map(String::as_str).collect())).collect();
    assert_eq!(modules, [("open", vec!["none"]), ("closed", vec!["password"]), ("denied", vec![])]);
    let server = daemons::rsyncd(&[closed, denied].concat());
    assert_eq!(told(at(server.port).whole().one()), ("rsync", "none", "required", vec![]));
}

/// A listener of this host as it would be gathered.
fn local(port: u16, process: &str) -> Service {
    let process = Process { pid: 1, name: process.into(), executable: String::new(), deleted: false, package: String::new() };
    let listener = Listener {
        subject: format!("127.0.0.1:{port}/tcp"),
        transport: "tcp".into(),
        address: "127.0.0.1".into(),
        port: port.into(),
        scope: "loopback".into(),
        uid: 0,
        process: Some(process),
        source: Default::default(),
    };
    let plan = Plan { listeners: vec![listener], ..Plan::default() };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let mut gaps = Gaps::new();
    let surveyed = runtime.block_on(survey(&plan, &Limits::default(), &mut gaps, &|_, _| {}));
    assert!(gaps.into_sorted().is_empty());
    surveyed.services.unwrap().items.remove(0)
}

#[test]
fn remote_shells_are_known_by_how_they_refuse() {
    for (program, process, name, words) in [
        ("/usr/sbin/in.rlogind", "in.rlogind", "rlogin", "Password:"),
        ("/usr/sbin/in.rshd", "in.rshd", "rsh", "Permission denied."),
        ("/usr/sbin/in.rexecd", "in.rexecd", "rexec", "username too long"),
    ] {
        let server = servers::Inetd::start(program);
        let service = local(server.port, process);
        assert_eq!((told(&service), service.banner.as_str()), ((name, "none", "required", vec![]), words), "{service:?}");
    }
}
