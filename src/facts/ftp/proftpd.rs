//! ProFTPD: the main server and each `<VirtualHost>`, with what `<Global>` gives to all of them.
//!
//! A virtual host inherits from `<Global>` alone, not from the main server; its own directive wins.

use std::collections::BTreeSet;

use super::proftpd_file::{self, Directive, Section};
use super::{FtpServer, Reading, how, or_idle};
use crate::facts::super_servers::launch::Launch;
use crate::host::CONFIG_LIMIT;
use crate::model::configured::ConfiguredEndpoint;
use crate::model::fact::Source;
use crate::model::gap::reason;

/// Where Debian and others keep it.
const USUAL: [&str; 2] = ["/etc/proftpd/proftpd.conf", "/etc/proftpd.conf"];
/// Sections of mod_ifsession, which hold for some sessions only.
const SESSIONS: [&str; 4] = ["ifclass", "ifuser", "ifgroup", "ifauthenticated"];
/// What matters of a section that holds for some sessions.
const MATTERS: [&str; 4] = ["tlsrequired", "tlsengine", "anonymous", "tlsoptions"];
const VERSIONS: [(&str, &str); 5] = [("SSLv3", "sslv3"), ("TLSv1.0", "tlsv1"), ("TLSv1.1", "tlsv1.1"), ("TLSv1.2", "tlsv1.2"), ("TLSv1.3", "tlsv1.3")];

/// Reads each instance.
pub fn read(reading: &mut Reading<'_>, launches: &[Launch]) {
    for (launch, usual) in or_idle(reading.host, launches, &["proftpd", "in.proftpd"], &USUAL) {
        let named = launch.as_ref().and_then(|l| l.option("-c").or_else(|| l.option("--config")));
        let Some(main) = named.or(usual) else { continue };
        let subject = format!("proftpd {main}");
        if launch.as_ref().is_some_and(|l| l.arguments.is_none() && l.unit.is_empty()) {
            let detail = "ProFTPD writes a title over its command line: the usual file is taken for its own";
            reading.gap("servers", &subject, reason::UNSUPPORTED, detail, "Start ProFTPD by its unit.");
        }
        let defined: BTreeSet<String> =
            launch.iter().flat_map(|l| l.arguments.iter().flatten()).filter_map(|w| w.strip_prefix("-D")).map(String::from).collect();
        let whole = proftpd_file::read(reading, &main, &defined, &subject);
        let globals: Vec<&Section> = whole.sections.iter().filter(|s| s.name == "global").collect();
        let server = Server { own: &whole, globals: &globals, main: &main, whole: &whole };
        server.tell(reading, launch.as_ref(), &subject);
        for host in whole.sections.iter().filter(|s| s.name == "virtualhost") {
            let server = Server { own: host, ..server };
            let port = server.directive("port").and_then(|d| d.arguments.first()).map_or("21", String::as_str);
            let subject = format!("{subject} {}:{port}", host.arguments.join(","));
            server.tell(reading, launch.as_ref(), &subject);
        }
    }
}

/// Whether TLS is spoken, demanded for names and passwords, demanded for files, and begins at once.
struct Tls {
    tls: bool,
    logins: bool,
    data: bool,
    implicit: bool,
}

#[derive(Clone, Copy)]
struct Server<'s> {
    own: &'s Section,
    globals: &'s [&'s Section],
    whole: &'s Section,
    main: &'s str,
}

impl Server<'_> {
    /// The directive that decides: the server's own, else the global one.
    fn directive(&self, name: &str) -> Option<&Directive> {
        self.own.last(name).or_else(|| self.globals.iter().rev().find_map(|g| g.last(name)))
    }

    fn is_on(&self, name: &str) -> bool {
        self.directive(name).and_then(|d| d.arguments.first()).is_some_and(|v| is_yes(v))
    }

    fn sections(&self, name: &str) -> Vec<&Section> {
        let of = |s: &&Section| s.name == name;
        self.own.sections.iter().filter(of).chain(self.globals.iter().flat_map(|g| g.sections.iter()).filter(of)).collect()
    }

    fn source(&self, name: &str, shown: &str) -> Source {
        self.directive(name).map_or_else(|| Source { directive: shown.into(), ..Source::whole(self.main) }, |d| d.source.clone())
    }

    fn tell(&self, reading: &mut Reading<'_>, launch: Option<&Launch>, subject: &str) {
        let (starts, started) = how(launch);
        let port = self.directive("port").and_then(|d| d.arguments.first()).map_or(Some(21), |p| p.parse::<u16>().ok());
        // Port 0 turns a server off.
        if port == Some(0) {
            return;
        }
        for name in SESSIONS {
            for section in self.sections(name) {
                if section.holds(&MATTERS) {
                    let detail = format!("{}:{}: the section holds for some sessions only", section.source.place, section.source.line);
                    reading.gap("servers", subject, reason::UNSUPPORTED, detail, "");
                }
            }
        }
        let Tls { tls, logins, data, implicit } = self.tls();
        let refused = self.refused_users(reading);
        let anonymous: Vec<&Section> = self.sections("anonymous").into_iter().filter(|a| lets_strangers_in(a, &refused)).collect();
        // An anonymous section may lift the requirement for itself.
        let lifted = anonymous.iter().filter_map(|a| a.last("tlsrequired")).any(|d| d.arguments.first().is_some_and(|v| is_no(v)));
        let is_sftp = self.is_on("sftpengine");
        let version = reading.version(&["proftpd-core", "proftpd-basic", "proftpd"]);
        let server = FtpServer {
            subject: subject.into(),
            program: "proftpd".into(),
            version,
            protocol: if is_sftp { "sftp" } else { "ftp" }.into(),
            starts,
            started,
            tls,
            tls_logins: logins && !lifted,
            tls_data: data && !lifted,
            tls_implicit: implicit,
            anonymous: !anonymous.is_empty() && !is_sftp,
            anonymous_write: None,
            local_logins: None,
            writable: None,
            confined: self.directive("defaultroot").map(|d| d.arguments.len() == 1),
            source: if self.own.name.is_empty() { Source::whole(self.main) } else { self.own.source.clone() },
            tls_source: if tls { self.source("tlsrequired", "TLSRequired") } else { self.source("tlsengine", "TLSEngine") },
            anonymous_source: anonymous.first().map_or_else(|| Source { directive: "Anonymous".into(), ..Source::whole(self.main) }, |a| a.source.clone()),
        };
        match port {
            Some(port) if starts && !self.is_inetd() => reading.out.endpoints.push(self.endpoint(&server, port)),
            Some(_) => {}
            None => reading.gap("endpoints", subject, reason::MALFORMED, format!("{}: Port is no port", self.main), ""),
        }
        reading.out.servers.push(server);
    }

    /// What `TLSEngine`, `TLSRequired` and `TLSOptions` demand.
    fn tls(&self) -> Tls {
        let tls = self.is_on("tlsengine");
        let required = self.directive("tlsrequired").map(|d| d.arguments.join("+").to_ascii_lowercase()).unwrap_or_default();
        let implicit = tls && self.directive("tlsoptions").is_some_and(|d| d.arguments.iter().any(|a| a.eq_ignore_ascii_case("UseImplicitSSL")));
        Tls {
            tls,
            logins: tls && (implicit || is_yes(&required) || required.split('+').any(|w| matches!(w, "ctrl" | "auth"))),
            data: tls && (is_yes(&required) || required.split('+').any(|w| w == "data")),
            implicit,
        }
    }

    /// Users that ftpusers(5) keeps out, unless the file is not looked at.
    fn refused_users(&self, reading: &Reading<'_>) -> Vec<String> {
        if self.directive("useftpusers").and_then(|d| d.arguments.first()).is_some_and(|v| is_no(v)) {
            return Vec::new();
        }
        let text = reading.host.read_text("/etc/ftpusers", CONFIG_LIMIT).unwrap_or_default();
        text.lines().map(str::trim).filter(|l| !l.is_empty() && !l.starts_with('#')).map(String::from).collect()
    }

    fn is_inetd(&self) -> bool {
        self.whole.last("servertype").and_then(|d| d.arguments.first()).is_some_and(|v| v.eq_ignore_ascii_case("inetd"))
    }

    fn endpoint(&self, server: &FtpServer, port: u16) -> ConfiguredEndpoint {
        let tight = self.whole.last("socketbindtight").and_then(|d| d.arguments.first()).is_some_and(|v| is_yes(v));
        let v6 = !self.whole.last("useipv6").and_then(|d| d.arguments.first()).is_some_and(|v| is_no(v));
        let own: Vec<String> = if self.own.name.is_empty() {
            self.own.last("defaultaddress").map(|d| d.arguments.clone()).unwrap_or_default()
        } else {
            self.own.arguments.clone()
        };
        let all = if v6 { "::" } else { "0.0.0.0" };
        let address = own.first().filter(|a| tight && a.parse::<std::net::IpAddr>().is_ok()).map_or(all, String::as_str).to_string();
        let shown = if address.contains(':') { format!("[{address}]") } else { address.clone() };
        let names: Vec<String> = own.into_iter().chain(self.own.last("serveralias").map(|d| d.arguments.clone()).unwrap_or_default()).collect();
        let label = if names.is_empty() { String::new() } else { format!(" {}", names.join(",")) };
        let protocol = self.directive("tlsprotocol");
        let files = |words: &[&str]| -> Vec<String> { words.iter().filter_map(|w| self.directive(w)).filter_map(|d| d.arguments.first().cloned()).collect() };
        let required = server.tls_implicit || (server.tls_logins && server.tls_data);
        ConfiguredEndpoint {
            address,
            port: port.into(),
            names,
            tls: if !server.tls {
                "none"
            } else if required {
                "required"
            } else {
                "offered"
            }
            .into(),
            versions: protocol.filter(|_| server.tls).map(|d| versions(&d.arguments)),
            ciphers: self.directive("tlsciphersuite").map(|d| d.arguments.join(" ")).unwrap_or_default(),
            certificates: if server.tls { files(&["tlsrsacertificatefile", "tlseccertificatefile", "tlsdsacertificatefile"]) } else { Vec::new() },
            keys: if server.tls { files(&["tlsrsacertificatekeyfile", "tlseccertificatekeyfile", "tlsdsacertificatekeyfile"]) } else { Vec::new() },
            versions_source: protocol.filter(|_| server.tls).map_or_else(Source::default, |d| d.source.clone()),
            ..ConfiguredEndpoint::plain("proftpd", format!("proftpd {shown}:{port}{label}"), self.source("port", "Port"))
        }
    }
}

/// Whether an anonymous section asks for no password that anybody checks, and its account is not kept out.
fn lets_strangers_in(section: &Section, refused: &[String]) -> bool {
    let first = |name: &str| section.last(name).and_then(|d| d.arguments.first());
    !first("anonrequirepassword").is_some_and(|v| is_yes(v)) && !first("user").is_some_and(|user| refused.contains(user))
}

/// What `TLSProtocol` leaves on: names, `SSLv23` for all, or `ALL` with `-NAME` taken off.
fn versions(arguments: &[String]) -> Vec<String> {
    let mut on = [false; VERSIONS.len()];
    for word in arguments {
        let lower = word.to_ascii_lowercase();
        let (name, value) = match lower.strip_prefix('-') {
            Some(name) => (name, false),
            None => (lower.trim_start_matches('+'), true),
        };
        for (flag, (_, known)) in on.iter_mut().zip(VERSIONS) {
            if name == known || name == "all" || name == "sslv23" {
                *flag = value;
            }
        }
    }
    on.iter().zip(VERSIONS).filter(|(on, _)| **on).map(|(_, (name, _))| name.to_string()).collect()
}

fn is_yes(value: &str) -> bool {
    ["on", "yes", "true", "1"].iter().any(|w| value.eq_ignore_ascii_case(w))
}

fn is_no(value: &str) -> bool {
    ["off", "no", "false", "0"].iter().any(|w| value.eq_ignore_ascii_case(w))
}

#[cfg(test)]
mod tests {
    use super::super::read as ftp;
    use crate::host::testing::rooted;
    use crate::model::gap::Gaps;

    const UNIT: [(&str, &str); 2] = [
        (
            "/lib/systemd/system/proftpd.service",
            "[Service]\nEnvironment=CONFIG_FILE=/etc/proftpd/proftpd.conf\nExecStart=/usr/sbin/proftpd -c $CONFIG_FILE $OPTIONS\n",
        ),
        ("/etc/systemd/system/multi-user.target.wants/proftpd.service", ""),
    ];

    fn gathered(files: &[(&str, &str)]) -> (super::super::Ftp, Vec<crate::model::gap::Gap>) {
        let files: Vec<(&str, &str)> = UNIT.iter().chain(files).copied().collect();
        let (_root, host) = rooted(&files);
        let mut gaps = Gaps::new();
        let found = ftp(&host, &mut gaps);
        (found, gaps.into_sorted())
    }

    #[test]
    fn virtual_hosts_take_from_global_and_modules_decide() {
        let main = "Include /etc/proftpd/modules.conf\nPort 2121\n<IfModule mod_tls.c>\nTLSEngine on\nTLSRequired ctrl\n</IfModule>\n<IfModule mod_sql.c>\nPort 1\n</IfModule>\n\
            <Global>\n TLSProtocol ALL -SSLv3 -TLSv1 -TLSv1.1\n <Anonymous ~ftp>\n  User ftp\n </Anonymous>\n</Global>\n<VirtualHost a.example b.example>\nPort 990\nTLSEngine on\nTLSRequired on\nTLSOptions UseImplicitSSL\n</VirtualHost>\n\
            <VirtualHost off.example>\nPort 0\n</VirtualHost>\nInclude /etc/proftpd/conf.d/\n";
        let (found, gaps) = gathered(&[
            ("/etc/proftpd/proftpd.conf", main),
            ("/etc/proftpd/modules.conf", "LoadModule mod_tls.c\n"),
            ("/etc/proftpd/conf.d/x.conf", "<VirtualHost 127.0.0.1>\n<IfDefine X>\nTLSEngine on\n</IfDefine>\nPort 2222\nSFTPEngine on\n</VirtualHost>\n"),
            ("/usr/lib/proftpd/mod_sql.so", ""),
        ]);
        assert_eq!(gaps, []);
        let shown: Vec<String> = found
            .servers
            .iter()
            .map(|s| format!("{}|{}|{}|{}|{}|{}|{}", s.subject, s.protocol, s.tls, s.tls_logins, s.tls_data, s.anonymous, s.tls_source.line))
            .collect();
        assert_eq!(
            shown,
            [
                "proftpd /etc/proftpd/proftpd.conf|ftp|true|true|false|true|5",
                "proftpd /etc/proftpd/proftpd.conf 127.0.0.1:2222|sftp|false|false|false|false|0",
                "proftpd /etc/proftpd/proftpd.conf a.example,b.example:990|ftp|true|true|true|true|19",
            ]
        );
        let endpoint = found.endpoints.iter().find(|e| e.port == 990).unwrap();
        assert_eq!((endpoint.tls.as_str(), endpoint.versions.clone().unwrap()), ("required", ["TLSv1.2", "TLSv1.3"].map(String::from).to_vec()));
        assert_eq!(endpoint.names, ["a.example", "b.example"]);
    }

    #[test]
    fn an_account_that_is_kept_out_lets_nobody_in() {
        let section = "<Anonymous ~ftp>\nUser nobody\n</Anonymous>\n";
        for (head, users, expected) in [("", "# c\nnobody\n", false), ("UseFtpUsers off\n", "nobody\n", true), ("", "root\n", true)] {
            let (found, _) = gathered(&[("/etc/proftpd/proftpd.conf", &format!("{head}{section}")), ("/etc/ftpusers", users)]);
            assert_eq!(found.servers[0].anonymous, expected, "{head}{users}");
        }
    }

    #[test]
    fn what_holds_for_some_sessions_is_a_gap() {
        let (found, gaps) = gathered(&[("/etc/proftpd/proftpd.conf", "TLSEngine on\nTLSRequired on\n<IfClass lan>\nTLSRequired off\n</IfClass>\n")]);
        assert!(found.servers[0].tls_logins && gaps.iter().any(|g| g.detail.contains("some sessions")), "{gaps:?}");
    }

    #[test]
    fn hostile_text_ends() {
        let text = "<A>\n<Global>\n<VirtualHost>\nPort x\n</B>\n</VirtualHost\nInclude /etc/proftpd/proftpd.conf\n<IfModule !x>\n\\\n\"\n";
        for end in 0..=text.len() {
            let _ = gathered(&[("/etc/proftpd/proftpd.conf", &text[..end])]);
        }
    }
}
