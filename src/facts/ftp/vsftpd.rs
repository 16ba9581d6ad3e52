//! vsftpd.conf(5): `option=value` without blanks around the sign, the last line of an option wins;
//! options of the command line (`-oNAME=VALUE`) and further files are laid over in their order.

use std::collections::BTreeMap;

use super::{Ftp, FtpServer, Reading, how, or_idle};
use crate::facts::Document as _;
use crate::facts::super_servers::launch::Launch;
use crate::model::configured::ConfiguredEndpoint;
use crate::model::fact::Source;
use crate::model::gap::reason;

/// Where Debian and Red Hat keep it.
const USUAL: [&str; 2] = ["/etc/vsftpd.conf", "/etc/vsftpd/vsftpd.conf"];

/// One line.
#[derive(Clone, Debug)]
struct Setting {
    value: String,
    source: Source,
}

/// The settings that take effect.
#[derive(Clone, Debug, Default)]
struct Settings(BTreeMap<String, Setting>);

/// Reads each instance.
pub fn read(reading: &mut Reading<'_>, launches: &[Launch]) {
    for (launch, usual) in or_idle(reading.host, launches, &["vsftpd"], &USUAL) {
        let mut files = Vec::new();
        let mut options = Vec::new();
        for word in launch.as_ref().and_then(|l| l.arguments.as_ref()).into_iter().flatten() {
            match word.strip_prefix("-o") {
                Some(option) => options.push(option.to_string()),
                None if !word.starts_with('-') && !word.is_empty() => files.push(word.clone()),
                None => {}
            }
        }
        if files.is_empty() {
            files.extend(usual);
        }
        let subject = format!("vsftpd {}", files.first().map_or("without a file", String::as_str));
        if launch.as_ref().is_some_and(|l| l.arguments.is_none()) {
            let detail = "the command line of vsftpd can't be told: the usual file is taken for its own";
            reading.gap("servers", &subject, reason::UNSUPPORTED, detail, "Start vsftpd by its unit.");
        }
        let mut settings = Settings::default();
        for path in &files {
            match reading.text(path, &subject) {
                Some(text) => parse(reading, &text, path, &subject, &mut settings),
                None if !reading.host.exists(path).unwrap_or(true) => {
                    reading.gap("servers", &subject, reason::MISSING, format!("{path}: no such file"), "");
                }
                None => {}
            }
        }
        let launched = launch.as_ref().map_or_else(Source::default, |l| l.source.clone());
        for option in options {
            if let Some((name, value)) = option.split_once('=') {
                let source = Source { directive: name.into(), ..launched.clone() };
                settings.0.insert(name.to_ascii_lowercase(), Setting { value: value.into(), source });
            }
        }
        server(reading, &subject, launch.as_ref(), files.first().map_or("", String::as_str), &settings);
    }
}

fn parse(reading: &mut Reading<'_>, text: &str, path: &str, subject: &str, into: &mut Settings) {
    for (index, line) in text.lines().enumerate() {
        let line = line.trim_start().trim_end_matches('\r');
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        // vsftpd does not start with such a line.
        let Some((name, value)) = line.split_once('=').filter(|(n, _)| !n.contains(char::is_whitespace)) else {
            let detail = format!("{path}:{}: vsftpd refuses this line", index + 1);
            reading.gap("servers", subject, reason::MALFORMED, detail, "Write option=value without blanks.");
            continue;
        };
        let source = Source::line(path, index + 1, name);
        into.0.insert(name.to_ascii_lowercase(), Setting { value: value.trim_end().into(), source });
    }
}

impl Settings {
    /// A flag and where it is decided; `None` when the file is silent or says neither.
    fn written(&self, name: &str) -> Option<(bool, Source)> {
        let setting = self.0.get(name)?;
        let is = |words: &[&str]| words.iter().any(|w| setting.value.eq_ignore_ascii_case(w));
        let value = if is(&["yes", "true", "1"]) {
            true
        } else if is(&["no", "false", "0"]) {
            false
        } else {
            return None;
        };
        Some((value, setting.source.clone()))
    }

    fn flag(&self, name: &str, default: bool) -> bool {
        self.written(name).map_or(default, |(value, _)| value)
    }

    fn text(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(|s| s.value.as_str()).filter(|v| !v.is_empty())
    }

    /// Where the first of these options stands that is written.
    fn source(&self, names: &[&str], main: &str) -> Source {
        names
            .iter()
            .find_map(|n| self.0.get(*n))
            .map_or_else(|| Source { directive: names.first().copied().unwrap_or_default().into(), ..Source::whole(main) }, |s| s.source.clone())
    }
}

fn server(reading: &mut Reading<'_>, subject: &str, launch: Option<&Launch>, main: &str, settings: &Settings) {
    let (starts, started) = how(launch);
    // On where nothing is written, whatever vsftpd.conf(5) of Debian says: the program lets strangers in.
    let anonymous = settings.flag("anonymous_enable", true);
    let local = settings.flag("local_enable", false);
    if settings.text("user_config_dir").is_some() {
        let detail = format!("{main}: user_config_dir lets other files decide for some users");
        for field in ["servers.writable", "servers.tls_data"] {
            reading.gap(field, subject, reason::UNSUPPORTED, detail.clone(), "");
        }
    }
    let tls = settings.flag("ssl_enable", false);
    let forced = |kind: &str| {
        let local_forced = !local || settings.flag(&format!("force_local_{kind}_ssl"), true);
        // Without allow_anon_ssl strangers have no TLS at all.
        let anonymous_forced = !anonymous || (settings.flag("allow_anon_ssl", false) && settings.flag(&format!("force_anon_{kind}_ssl"), false));
        tls && local_forced && anonymous_forced
    };
    let implicit = tls && settings.flag("implicit_ssl", false);
    let weakest = ["force_local_logins_ssl", "force_local_data_ssl"].into_iter().find(|n| settings.written(n).is_some_and(|(v, _)| !v));
    let tls_source = match weakest.filter(|_| tls) {
        Some(name) => settings.source(&[name], main),
        None => settings.source(&["ssl_enable"], main),
    };
    let write = settings.flag("write_enable", false);
    let uploads = ["anon_upload_enable", "anon_mkdir_write_enable", "anon_other_write_enable"].iter().any(|n| settings.flag(n, false));
    let version = reading.version(&["vsftpd"]);
    reading.out.servers.push(FtpServer {
        subject: subject.into(),
        program: "vsftpd".into(),
        version,
        protocol: "ftp".into(),
        starts,
        started: started.clone(),
        tls,
        tls_logins: implicit || forced("logins"),
        tls_data: forced("data"),
        tls_implicit: implicit,
        anonymous,
        anonymous_write: Some(anonymous && write && uploads),
        local_logins: Some(local),
        writable: Some(write),
        confined: Some(settings.flag("chroot_local_user", false) && !settings.flag("chroot_list_enable", false)),
        source: Source::whole(main),
        tls_source,
        anonymous_source: settings.source(&["anonymous_enable"], main),
    });
    endpoint(reading, subject, main, settings, starts);
}

fn endpoint(reading: &mut Reading<'_>, subject: &str, main: &str, settings: &Settings, starts: bool) {
    let (v4, v6) = (settings.flag("listen", false), settings.flag("listen_ipv6", false));
    let (address, name) = match (v4, v6) {
        (_, true) => (settings.text("listen_address6").unwrap_or("::"), "listen_ipv6"),
        (true, _) => (settings.text("listen_address").unwrap_or("0.0.0.0"), "listen"),
        // A super server listens for it.
        (false, false) => return,
    };
    if !starts {
        return;
    }
    let port = settings.text("listen_port").map_or(Some(21), |p| p.parse::<u16>().ok());
    let Some(port) = port else {
        return reading.gaps.note(Ftp::NAME, "endpoints", subject, reason::MALFORMED, format!("{main}: listen_port is no port"), "");
    };
    let tls = settings.flag("ssl_enable", false);
    let server = reading.out.servers.last();
    let required = server.is_some_and(|s| s.tls_implicit || (s.tls_logins && s.tls_data));
    const VERSIONS: [(&str, &str); 5] =
        [("ssl_sslv3", "SSLv3"), ("ssl_tlsv1", "TLSv1.0"), ("ssl_tlsv1_1", "TLSv1.1"), ("ssl_tlsv1_2", "TLSv1.2"), ("ssl_tlsv1_3", "TLSv1.3")];
    let decided: Vec<&str> = VERSIONS.iter().map(|(n, _)| *n).filter(|n| settings.written(n).is_some()).collect();
    // The two oldest are off resp. on unless told; vsftpd 3.0.3 leaves the newer ones to the library.
    let versions = VERSIONS.iter().filter(|(n, v)| settings.flag(n, *v != "SSLv3")).map(|(_, v)| (*v).to_string()).collect();
    let certificate = settings.text("rsa_cert_file").or_else(|| settings.text("dsa_cert_file")).unwrap_or("/usr/share/ssl/certs/vsftpd.pem").to_string();
    let key = settings.text("rsa_private_key_file").or_else(|| settings.text("dsa_private_key_file")).map_or_else(|| certificate.clone(), String::from);
    let shown = if address.contains(':') { format!("[{address}]") } else { address.to_string() };
    reading.out.endpoints.push(ConfiguredEndpoint {
        address: address.into(),
        port: port.into(),
        tls: if !tls {
            "none"
        } else if required {
            "required"
        } else {
            "offered"
        }
        .into(),
        versions: (tls && !decided.is_empty()).then_some(versions),
        ciphers: settings.text("ssl_ciphers").unwrap_or_default().into(),
        certificates: if tls { vec![certificate] } else { Vec::new() },
        keys: if tls { vec![key] } else { Vec::new() },
        versions_source: if tls && !decided.is_empty() { settings.source(&decided, main) } else { Source::default() },
        ..ConfiguredEndpoint::plain("vsftpd", format!("vsftpd {shown}:{port}"), settings.source(&[name], main))
    });
}

#[cfg(test)]
mod tests {
    use super::super::read as ftp;
    use crate::host::testing::rooted;
    use crate::model::gap::Gaps;

    const DPKG: (&str, &str) = ("/var/lib/dpkg/status", "Package: vsftpd\nStatus: install ok installed\nVersion: 3.0.3-13\nArchitecture: amd64\n\n");

    #[test]
    fn the_last_line_wins_and_refused_lines_are_gaps() {
        let text = "anonymous_enable=YES\nanonymous_enable=NO\nlocal_enable=YES\nlisten=YES\nlisten_port=2121\nssl_enable=YES\nforce_local_data_ssl=NO\n#ssl_enable=NO\nssl_tlsv1=NO\nwrite_enable = YES\n";
        let (_root, host) = rooted(&[("/etc/vsftpd.conf", text), DPKG]);
        let mut gaps = Gaps::new();
        let found = ftp(&host, &mut gaps);
        let server = &found.servers[0];
        assert_eq!((server.starts, server.anonymous, server.tls, server.tls_logins, server.tls_data), (false, false, true, true, false));
        assert_eq!((server.tls_source.line, server.anonymous_source.line, server.version.as_str()), (7, 2, "3.0.3-13"));
        assert_eq!(server.writable, Some(false));
        let gaps = gaps.into_sorted();
        assert!(gaps.len() == 1 && gaps[0].detail.contains("/etc/vsftpd.conf:10"), "{gaps:?}");
        assert!(found.endpoints.is_empty(), "nothing starts it");
    }

    #[test]
    fn a_unit_names_its_file_and_its_options() {
        let unit = "[Service]\nExecStart=/usr/sbin/vsftpd /etc/other.conf -oanonymous_enable=YES\n";
        let files = [
            ("/etc/vsftpd.conf", "anonymous_enable=NO\n"),
            ("/etc/other.conf", "listen_ipv6=YES\nlocal_enable=YES\nanonymous_enable=NO\nssl_enable=YES\n"),
            ("/lib/systemd/system/vsftpd.service", unit),
            ("/etc/systemd/system/multi-user.target.wants/vsftpd.service", ""),
            DPKG,
        ];
        let (_root, host) = rooted(&files);
        let mut gaps = Gaps::new();
        let found = ftp(&host, &mut gaps);
        assert_eq!(gaps.into_sorted(), []);
        let server = &found.servers[0];
        assert_eq!((server.subject.as_str(), server.started.as_str(), server.anonymous), ("vsftpd /etc/other.conf", "boot", true));
        // Strangers have no TLS without allow_anon_ssl.
        assert!(!server.tls_logins && server.anonymous_source.directive == "anonymous_enable");
        let endpoint = &found.endpoints[0];
        assert_eq!((endpoint.subject.as_str(), endpoint.tls.as_str(), &endpoint.versions), ("vsftpd [::]:21", "offered", &None));
    }

    #[test]
    fn strangers_come_in_unless_the_file_says_no() {
        for (text, expected) in [("", true), ("anonymous_enable=no\n", false), ("anonymous_enable=TRUE\n", true)] {
            let (_root, host) = rooted(&[("/etc/vsftpd.conf", text)]);
            assert_eq!(ftp(&host, &mut Gaps::new()).servers[0].anonymous, expected, "{text}");
        }
    }

    #[test]
    fn hostile_text_ends() {
        let text = "listen=YES\nlisten_port=99999\nssl_enable=maybe\n=\nrsa_cert_file=\n";
        for end in 0..=text.len() {
            let (_root, host) = rooted(&[("/etc/vsftpd.conf", &text[..end])]);
            let _ = ftp(&host, &mut Gaps::new());
        }
    }
}
