//! Where the machine's records of itself go: who writes them, how long they are kept, who may read
//! them, where they are sent and whether that is encrypted.

mod audit;
mod auditd;
mod files;
mod forwards;
mod journal;
mod logrotate;
mod rsyslog;
mod syslog_ng;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use self::audit::Audit;
pub use self::files::LogFile;
pub use self::forwards::Forward;
pub use self::journal::Journal;
use super::jobs::names::Names;
use super::monitoring::observed::Observer;
use super::monitoring::{Program, note_not_live};
use super::{Document, HostFamily};
use crate::host::{Host, clock};
use crate::model::gap::Gaps;

/// Records of the machine.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Logging {
    /// Installed programs that keep records: journald, rsyslog, syslog-ng, auditd, by subject.
    pub daemons: Vec<Program>,
    /// The journal of systemd; `null` without journald.
    pub journal: Option<Journal>,
    /// Auditing by the kernel; `null` without auditd.
    pub audit: Option<Audit>,
    /// Other machines to which records are sent, by the configuration of programs that are in use, by subject.
    pub forwards: Vec<Forward>,
    /// Files of records that matter, where they exist, by subject.
    pub files: Vec<LogFile>,
}

impl Document for Logging {
    const NAME: &'static str = "logging";
    const TITLE: &'static str = "Records of the machine: who keeps them, how long, where they are sent";
}

/// Subject, files that show that it is installed, units, processes.
type Kind = (&'static str, &'static [&'static str], &'static [&'static str], &'static [&'static str]);

const KINDS: &[Kind] = &[
    ("journald", &["/usr/lib/systemd/systemd-journald", "/lib/systemd/systemd-journald"], &["systemd-journald.service"], &["systemd-journald"]),
    ("rsyslog", &["/usr/sbin/rsyslogd", "/sbin/rsyslogd", "/usr/bin/rsyslogd"], &["rsyslog.service"], &["rsyslogd"]),
    ("syslog-ng", &["/usr/sbin/syslog-ng", "/sbin/syslog-ng", "/usr/bin/syslog-ng"], &["syslog-ng.service", "syslog-ng@default.service"], &["syslog-ng"]),
    ("auditd", &["/usr/sbin/auditd", "/sbin/auditd", "/usr/bin/auditd"], &["auditd.service"], &["auditd"]),
];

/// Whether it runs; on a root folder whether it starts with the machine.
fn is_in_use(program: &Program) -> bool {
    program.running.unwrap_or(program.enabled)
}

impl HostFamily for Logging {
    const WATCHED: &'static [&'static str] = &[
        "/etc/systemd/journald.conf",
        "/etc/systemd/journald.conf.d/*",
        "/etc/rsyslog.conf",
        "/etc/rsyslog.d/*",
        "/etc/syslog-ng/**",
        "/etc/audit/**",
        "/etc/audisp/**",
        "/etc/logrotate.conf",
        "/etc/logrotate.d/*",
        "/etc/systemd/system/**",
    ];

    fn gather(host: &Host, gaps: &mut Gaps) -> Option<Self> {
        let now = clock::unix_now();
        let names = Names::read(host, now);
        let observer = Observer::read(host, &names, Self::NAME, "daemons", gaps);
        let mut out = Self::default();
        let mut arguments = Vec::new();
        for (name, programs, units, processes) in KINDS {
            let Some(program) = programs.iter().find(|p| host.exists(p).unwrap_or(false)) else { continue };
            out.daemons.push(Program::observe(&observer, name, name, (*program).into(), units, processes));
            arguments.push(observer.arguments(&observer.unit(units), processes));
        }
        if !out.daemons.is_empty() {
            note_not_live(host, Self::NAME, "daemons.running", gaps);
        }
        let kept = logrotate::read(host, gaps);
        let mut audit_log = None;
        for (program, arguments) in out.daemons.iter().zip(&arguments) {
            match program.subject.as_str() {
                "journald" => out.journal = Some(journal::read(host, gaps)),
                "rsyslog" if is_in_use(program) => out.forwards.extend(rsyslog::read(host, arguments, gaps)),
                "syslog-ng" if is_in_use(program) => out.forwards.extend(syslog_ng::read(host, arguments, gaps)),
                "auditd" => {
                    let (audit, log) = audit::read(host, program, arguments, gaps);
                    (out.audit, audit_log) = (Some(audit), Some(log));
                }
                _ => {}
            }
        }
        if out.audit.is_some() {
            out.forwards.extend(auditd::forward(host, gaps));
        }
        out.forwards.extend(journal::upload(&observer, gaps));
        out.files = files::read(host, &names, &kept, audit_log.as_ref(), gaps);
        out.daemons.sort_by(|a, b| a.subject.cmp(&b.subject));
        out.forwards.sort_by(|a, b| a.subject.cmp(&b.subject));
        out.forwards.dedup_by(|a, b| a.subject == b.subject);
        Some(out)
    }
}
