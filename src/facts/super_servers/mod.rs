//! Services that a super server starts for each connection: inetd, xinetd and the socket units of
//! systemd. What is only installed or turned off is listed too, and is not called started.

mod inetd;
pub mod launch;
mod protocol;
mod socket_units;
mod xinetd;

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Document, HostFamily};
use crate::host::{CONFIG_LIMIT, Host};
use crate::model::fact::Source;
use crate::model::gap::{Gaps, reason};
use launch::{Launch, Wanted};

/// What super servers listen for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SuperServers {
    /// Each service, by subject.
    pub services: Vec<SuperService>,
}

/// One service of a super server.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SuperService {
    /// Super server and service with what tells it from its neighbours, such as `inetd telnet/tcp`, `xinetd tftp`, `systemd rsh.socket 0.0.0.0:514/tcp`.
    pub subject: String,
    /// `inetd`, `xinetd` or `systemd`.
    pub manager: String,
    /// Service as the file names it; the unit of a socket.
    pub name: String,
    /// Address that it is bound to; `*` for all.
    pub address: String,
    /// Port; 0 when the name stands in no table of ports (a service of the port mapper, a name that is not known).
    pub port: u32,
    /// `tcp` or `udp`.
    pub transport: String,
    /// What it speaks as far as program, name or port tell: `ftp`, `telnet`, `tftp`, `rsh`, `rlogin`, `rexec`, `finger`, `talk`, `echo`, `discard`, `chargen`, `daytime`, `time`, `systat`, `netstat`, `rsync`, `ssh`, …; empty when none of them does.
    pub protocol: String,
    /// Program; `internal` when the super server answers by itself, empty when it is not known.
    pub program: String,
    /// Arguments behind the program's name: their number, not their text.
    pub arguments: u32,
    /// Account that the program runs as; empty when it is not told here.
    #[schemars(extend("x-personal" = true))]
    pub account: String,
    /// Clients that are let in as far as the super server decides, as written; empty: every one.
    pub clients: Vec<String>,
    /// Whether tcpd(8) stands before the program, so that hosts.allow and hosts.deny decide.
    pub wrapped: bool,
    /// Whether connections start it: its super server runs or starts at boot, and the service is on.
    pub starts: bool,
    /// `running`, `boot` or `no`.
    pub started: String,
    /// Where it stands.
    pub source: Source,
    /// The command line behind the program's name, for the families that read its configuration.
    #[serde(skip)]
    #[schemars(skip)]
    pub words: Vec<String>,
}

impl Document for SuperServers {
    const NAME: &'static str = "super_servers";
    const TITLE: &'static str = "Services that inetd, xinetd and systemd start for each connection";
}

impl HostFamily for SuperServers {
    const WATCHED: &'static [&'static str] = &[
        "/etc/inetd.conf",
        "/etc/inetd.d/*",
        "/etc/xinetd.conf",
        "/etc/xinetd.d/*",
        "/etc/default/xinetd",
        "/etc/systemd/system/*",
        "/etc/systemd/system/multi-user.target.wants/*",
        "/etc/systemd/system/sockets.target.wants/*",
    ];

    fn gather(host: &Host, gaps: &mut Gaps) -> Option<Self> {
        Some(Self { services: services(host, Self::NAME, "services", gaps) })
    }
}

/// Every service of every super server, gaps under the family that asks.
pub fn services(host: &Host, family: &str, path: &str, gaps: &mut Gaps) -> Vec<SuperService> {
    let daemons = launch::survey(host, Wanted { programs: &DAEMONS, scripts: &SCRIPTS, family, path }, gaps);
    let mut out = by_daemons(host, &daemons, family, path, gaps);
    out.extend(socket_units::read(host, family, path, gaps));
    out.sort_by(|a, b| (&a.subject, a.source.line, &a.source.place).cmp(&(&b.subject, b.source.line, &b.source.place)));
    number_repeated(&mut out);
    out
}

/// How programs start, by themselves and by super servers.
pub fn launches(host: &Host, wanted: Wanted<'_>, gaps: &mut Gaps) -> Vec<Launch> {
    let programs: Vec<&str> = wanted.programs.iter().chain(&DAEMONS).copied().collect();
    let scripts: Vec<(&str, &str)> = wanted.scripts.iter().chain(&SCRIPTS).copied().collect();
    let all = launch::survey(host, Wanted { programs: &programs, scripts: &scripts, ..wanted }, gaps);
    let (daemons, mut out): (Vec<Launch>, Vec<Launch>) = all.into_iter().partition(|l| DAEMONS.contains(&l.program.as_str()));
    for service in by_daemons(host, &daemons, wanted.family, wanted.path, gaps).into_iter().filter(|s| s.starts) {
        let base = service.program.rsplit('/').next().unwrap_or_default();
        if let Some(program) = wanted.programs.iter().find(|p| **p == base) {
            let how = format!("on demand by {}", service.manager);
            out.push(Launch { program: (*program).into(), arguments: Some(service.words), how, unit: service.subject, source: service.source });
        }
    }
    out
}

/// Two lines for one service are two items.
fn number_repeated(items: &mut [SuperService]) {
    let mut seen: BTreeMap<String, u32> = BTreeMap::new();
    for item in items {
        let count = seen.entry(item.subject.clone()).or_default();
        *count += 1;
        if *count > 1 {
            item.subject = format!("{} ({count})", item.subject);
        }
    }
}

const INETD: [&str; 3] = ["inetd", "inetutils-inetd", "rlinetd"];
const DAEMONS: [&str; 4] = ["inetd", "inetutils-inetd", "rlinetd", "xinetd"];
const SCRIPTS: [(&str, &str); 5] =
    [("inetd", "inetd"), ("openbsd-inetd", "inetd"), ("inetutils-inetd", "inetutils-inetd"), ("rlinetd", "rlinetd"), ("xinetd", "xinetd")];

fn by_daemons(host: &Host, launches: &[Launch], family: &str, path: &str, gaps: &mut Gaps) -> Vec<SuperService> {
    let mut reader = Reader { host, family, path, gaps, ports: None };
    let mut out = Vec::new();
    for launch in launches.iter().filter(|l| INETD.contains(&l.program.as_str())) {
        if launch.program == "rlinetd" {
            reader.gap("rlinetd", reason::UNSUPPORTED, "rlinetd starts, and its configuration is not read".into());
            continue;
        }
        inetd::read(&mut reader, &inetd_files(host, launch), &started(launch), &mut out);
    }
    for launch in launches.iter().filter(|l| l.program == "xinetd") {
        let file = launch.behind("-f").unwrap_or_else(|| xinetd::MAIN.into());
        xinetd::read(&mut reader, &file, &started(launch), &mut out);
        if is_compatible(host, launch) {
            inetd::read(&mut reader, &[inetd::MAIN.to_string()], &started(launch), &mut out);
        }
    }
    if !launches.iter().any(|l| INETD.contains(&l.program.as_str())) && out.iter().all(|s| s.manager != "inetd") {
        inetd::read(&mut reader, &inetd_defaults(host), "no", &mut out);
    }
    if !launches.iter().any(|l| l.program == "xinetd") {
        xinetd::read(&mut reader, xinetd::MAIN, "no", &mut out);
    }
    out
}

fn started(launch: &Launch) -> String {
    if launch.how == "running" { "running".into() } else { "boot".into() }
}

/// Files of the command line, else the usual ones.
fn inetd_files(host: &Host, launch: &Launch) -> Vec<String> {
    const WITH_ARGUMENT: [&str; 5] = ["-R", "-a", "-q", "-p", "-c"];
    let mut files = Vec::new();
    let mut words = launch.arguments.iter().flatten();
    while let Some(word) = words.next() {
        if WITH_ARGUMENT.contains(&word.as_str()) {
            words.next();
        } else if word.starts_with('/') {
            files.push(word.clone());
        }
    }
    if !files.is_empty() {
        return files;
    }
    if launch.program == "inetutils-inetd" { inetd_defaults(host) } else { vec![inetd::MAIN.into()] }
}

fn inetd_defaults(host: &Host) -> Vec<String> {
    let mut out = vec![inetd::MAIN.to_string()];
    if host.exists(inetd::FOLDER).unwrap_or(false) {
        out.push(inetd::FOLDER.into());
    }
    out
}

/// Whether xinetd reads inetd's file, too: by its command line, or as Debian's script is told.
fn is_compatible(host: &Host, launch: &Launch) -> bool {
    if launch.arguments.is_some() {
        return launch.has("-inetd_compat");
    }
    let text = host.read_text("/etc/default/xinetd", CONFIG_LIMIT).unwrap_or_default();
    launch::assignments(&text).get("INETD_COMPAT").is_some_and(|v| v.starts_with(['Y', 'y']))
}

/// What the readers of each file share.
pub(super) struct Reader<'a> {
    host: &'a Host,
    family: &'a str,
    path: &'a str,
    gaps: &'a mut Gaps,
    ports: Option<BTreeMap<String, u32>>,
}

impl Reader<'_> {
    fn gap(&mut self, subject: &str, id: &str, detail: String) {
        self.gaps.note(self.family, self.path, subject, id, detail, "");
    }

    /// The text of a file; absence is a fact.
    fn text(&mut self, path: &str) -> Option<String> {
        match self.host.read_text(path, CONFIG_LIMIT) {
            Ok(text) => Some(text),
            Err(e) if e.is_not_found() => None,
            Err(e) => {
                self.gaps.add(e.to_gap(self.family, self.path, path));
                None
            }
        }
    }

    /// Names of a folder's files in their order; absence is a fact.
    fn files(&mut self, folder: &str) -> Vec<String> {
        match self.host.list(folder) {
            Ok(entries) => entries.into_iter().filter(|e| e.kind != crate::host::FileKind::Folder).map(|e| e.name).collect(),
            Err(e) if e.is_not_found() => Vec::new(),
            Err(e) => {
                self.gaps.add(e.to_gap(self.family, self.path, folder));
                Vec::new()
            }
        }
    }

    /// The port of a service by number or by services(5); 0: not known.
    fn port(&mut self, name: &str, transport: &str) -> u32 {
        if let Ok(port) = name.parse::<u16>() {
            return port.into();
        }
        if self.ports.is_none() {
            let text = self.text("/etc/services").unwrap_or_default();
            self.ports = Some(ports(&text));
        }
        self.ports.as_ref().and_then(|p| p.get(&format!("{name}/{transport}"))).copied().unwrap_or(0)
    }
}

/// `NAME/PROTOCOL` of services(5), aliases included.
fn ports(text: &str) -> BTreeMap<String, u32> {
    const NAME_LIMIT: usize = 100_000;
    let mut out = BTreeMap::new();
    for line in text.lines() {
        let mut words = line.split('#').next().unwrap_or("").split_whitespace();
        let (Some(name), Some((port, protocol))) = (words.next(), words.next().and_then(|w| w.split_once('/'))) else { continue };
        let Ok(port) = port.parse::<u16>() else { continue };
        for name in std::iter::once(name).chain(words) {
            if out.len() < NAME_LIMIT {
                out.entry(format!("{name}/{protocol}")).or_insert(port.into());
            }
        }
    }
    out
}
