//! FTP servers as their configuration makes them: vsftpd and ProFTPD, with what starts them.
//!
//! Other FTP servers are listed when something starts them; what their own configuration says is a
//! gap then.

mod proftpd;
mod proftpd_file;
mod vsftpd;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::super_servers::launch::{Launch, Wanted};
use super::super_servers::launches;
use super::{Document, HostFamily};
use crate::host::{CONFIG_LIMIT, Host, manager};
use crate::model::configured::ConfiguredEndpoint;
use crate::model::fact::Source;
use crate::model::gap::{Gaps, reason};

/// FTP servers that are started, or whose configuration lies at the usual place.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Ftp {
    /// Servers, by subject; one for each virtual host of ProFTPD.
    pub servers: Vec<FtpServer>,
    /// What the configurations make them listen on.
    pub endpoints: Vec<ConfiguredEndpoint>,
}

/// One FTP server.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FtpServer {
    /// Program and configuration, such as `vsftpd /etc/vsftpd.conf`, with the virtual host behind it.
    pub subject: String,
    /// Program.
    pub program: String,
    /// Version of its package; empty when no package owns it.
    pub version: String,
    /// `ftp`, or `sftp` where ProFTPD speaks SSH's protocol instead.
    pub protocol: String,
    /// Whether it runs, a boot starts it, or connections do.
    pub starts: bool,
    /// `running`, `boot`, `on demand by …` or `no`.
    pub started: String,
    /// Whether it speaks TLS when asked (vsftpd ssl_enable, ProFTPD TLSEngine).
    pub tls: bool,
    /// Whether names and passwords are taken over TLS alone.
    pub tls_logins: bool,
    /// Whether files are sent over TLS alone.
    pub tls_data: bool,
    /// Whether TLS begins with the first byte, without a command before it.
    pub tls_implicit: bool,
    /// Whether strangers sign in as `anonymous` without a password that anybody checks.
    pub anonymous: bool,
    /// Whether such strangers may write; null: not told (ProFTPD's limits).
    pub anonymous_write: Option<bool>,
    /// Whether accounts of this machine sign in; null: not told.
    pub local_logins: Option<bool>,
    /// Whether any command that changes files is answered; null: not told.
    pub writable: Option<bool>,
    /// Whether accounts are kept in their home folders; null: not told.
    pub confined: Option<bool>,
    /// The configuration, or what starts it.
    pub source: Source,
    /// Line that decides about TLS; without a line by default.
    pub tls_source: Source,
    /// Line that decides about strangers; without a line by default.
    pub anonymous_source: Source,
}

impl Document for Ftp {
    const NAME: &'static str = "ftp";
    const TITLE: &'static str = "Effective configuration of FTP servers";
}

impl HostFamily for Ftp {
    const WATCHED: &'static [&'static str] = &[
        "/etc/vsftpd.conf",
        "/etc/vsftpd/**",
        "/etc/proftpd.conf",
        "/etc/proftpd/**",
        "/etc/default/proftpd",
        "/etc/default/vsftpd",
        "/etc/systemd/system/multi-user.target.wants/*",
    ];

    fn gather(host: &Host, gaps: &mut Gaps) -> Option<Self> {
        Some(read(host, gaps))
    }
}

/// What FTP servers are made to listen on, for whoever compares it with the wire or with certificates.
pub fn endpoints(host: &Host, gaps: &mut Gaps) -> Vec<ConfiguredEndpoint> {
    read(host, gaps).endpoints
}

/// Other FTP servers that Debian, Red Hat and Alpine package.
const OTHERS: [&str; 8] = ["pure-ftpd", "bftpd", "in.ftpd", "ftpd", "inetutils-ftpd", "wu-ftpd", "tnftpd", "glftpd"];

fn read(host: &Host, gaps: &mut Gaps) -> Ftp {
    let mut programs = vec!["vsftpd", "proftpd", "in.proftpd"];
    programs.extend(OTHERS);
    let wanted = Wanted {
        programs: &programs,
        scripts: &[("vsftpd", "vsftpd"), ("proftpd", "proftpd"), ("pure-ftpd", "pure-ftpd"), ("bftpd", "bftpd")],
        family: Ftp::NAME,
        path: "servers",
    };
    let launches = launches(host, wanted, gaps);
    let mut reading = Reading { host, gaps, versions: None, out: Ftp::default() };
    vsftpd::read(&mut reading, &launches);
    proftpd::read(&mut reading, &launches);
    for launch in launches.iter().filter(|l| OTHERS.contains(&l.program.as_str())) {
        reading.other(launch);
    }
    let mut out = reading.out;
    out.servers.sort_by(|a, b| a.subject.cmp(&b.subject));
    out.servers.dedup_by(|a, b| a.subject == b.subject);
    out.endpoints.sort_by(|a, b| a.subject.cmp(&b.subject));
    out.endpoints.dedup_by(|a, b| a.subject == b.subject);
    out
}

/// What the readers of each program share.
struct Reading<'a> {
    host: &'a Host,
    gaps: &'a mut Gaps,
    versions: Option<std::collections::BTreeMap<String, Vec<String>>>,
    out: Ftp,
}

impl Reading<'_> {
    fn gap(&mut self, path: &str, subject: &str, id: &str, detail: impl Into<String>, remedy: &str) {
        self.gaps.note(Ftp::NAME, path, subject, id, detail, remedy);
    }

    /// The text of a file that is there; another failure is a gap of the server.
    fn text(&mut self, path: &str, subject: &str) -> Option<String> {
        match self.host.read_text(path, CONFIG_LIMIT) {
            Ok(text) => Some(text),
            Err(e) if e.is_not_found() => None,
            Err(e) => {
                self.gaps.add(e.to_gap(Ftp::NAME, "servers", subject));
                None
            }
        }
    }

    /// Version of the first of these packages.
    fn version(&mut self, packages: &[&str]) -> String {
        let host = self.host;
        let versions = self.versions.get_or_insert_with(|| manager::versions(host));
        packages.iter().find_map(|p| versions.get(*p).and_then(|v| v.last())).cloned().unwrap_or_default()
    }

    /// A server whose own configuration is not read.
    fn other(&mut self, launch: &Launch) {
        let subject = if launch.unit.is_empty() { launch.program.clone() } else { format!("{} {}", launch.program, launch.unit) };
        for field in ["servers.tls", "servers.tls_logins", "servers.tls_data", "servers.anonymous"] {
            self.gap(field, &subject, reason::UNSUPPORTED, format!("{} starts, and its configuration is not read", launch.program), "");
        }
        let version = self.version(&[launch.program.as_str()]);
        self.out.servers.push(FtpServer {
            subject,
            program: launch.program.clone(),
            version,
            protocol: "ftp".into(),
            starts: true,
            started: launch.how.clone(),
            source: launch.source.clone(),
            tls_source: launch.source.clone(),
            anonymous_source: launch.source.clone(),
            ..FtpServer::default()
        });
    }
}

/// The launches of a program, or one that nothing starts when its configuration lies at a usual place.
fn or_idle(host: &Host, launches: &[Launch], program: &[&str], usual: &[&str]) -> Vec<(Option<Launch>, Option<String>)> {
    let started: Vec<Launch> = launches.iter().filter(|l| program.contains(&l.program.as_str())).cloned().collect();
    let there = usual.iter().find(|p| host.exists(p).unwrap_or(true)).map(|p| (*p).to_string());
    if started.is_empty() {
        return there.map(|path| (None, Some(path))).into_iter().collect();
    }
    started.into_iter().map(|l| (Some(l), there.clone())).collect()
}

/// `starts` and `started` of a launch.
fn how(launch: Option<&Launch>) -> (bool, String) {
    launch.map_or((false, "no".into()), |l| (true, l.how.clone()))
}
