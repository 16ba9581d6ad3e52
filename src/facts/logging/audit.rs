//! Auditing: what auditd is told, which rules its files hold (augenrules(8), audit.rules(7)), and what the kernel says.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::files::AuditLog;
use super::{Logging, auditd};
use crate::facts::Document as _;
use crate::facts::jobs::unit_file::words;
use crate::facts::monitoring::Program;
use crate::facts::monitoring::observed::option;
use crate::facts::monitoring::texts::Told;
use crate::host::audit as kernel;
use crate::host::{CONFIG_LIMIT, Host};
use crate::model::fact::Source;
use crate::model::gap::{Gaps, reason};

const FOLDER: &str = "/etc/audit/rules.d";
const WHOLE: &str = "/etc/audit/audit.rules";
/// Most rules kept of the files.
const RULE_LIMIT: usize = 20_000;
/// Files that decide who there is and who may do what.
const IDENTITY: [&str; 6] = ["/etc/group", "/etc/gshadow", "/etc/passwd", "/etc/shadow", "/etc/sudoers", "/etc/sudoers.d"];

/// Auditing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Audit {
    /// Whether auditd runs; on a root folder whether it starts with the machine.
    pub in_use: bool,
    /// `audit=` of the kernel's command line; empty when it is not there.
    pub boot_option: String,
    /// `max_log_file_action` in lower case.
    pub log_full_action: String,
    /// `space_left_action`.
    pub space_left_action: String,
    /// `disk_full_action`.
    pub disk_full_action: String,
    /// Rules that the files hold.
    pub configured_rules: u64,
    /// Whether the files lock the rules until the next boot (`-e 2`).
    pub locked_by_files: bool,
    /// What the running kernel says; `null` with a gap when it can't be asked.
    pub kernel: Option<KernelAudit>,
    /// Files of accounts, groups and sudo that exist and whose changes no rule records: by the kernel's rules where they are known, else by the files.
    pub unrecorded: Vec<String>,
    /// Main file of the configuration.
    pub source: Source,
}

/// Auditing as the kernel has it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct KernelAudit {
    /// Whether it makes records.
    pub enabled: bool,
    /// Whether its rules are locked until the next boot.
    pub locked: bool,
    /// Whether a process takes the records.
    pub taken: bool,
    /// Rules that are loaded.
    pub rules: u64,
    /// Most records that wait for the process.
    pub backlog_limit: u64,
    /// Records lost since the boot.
    #[schemars(extend("x-volatile" = true))]
    pub lost: u64,
}

pub(super) fn read(host: &Host, program: &Program, arguments: &[String], gaps: &mut Gaps) -> (Audit, AuditLog) {
    let folder = option(arguments, &["-c"]).unwrap_or_else(|| "/etc/audit".into());
    let path = format!("{}/auditd.conf", folder.trim_end_matches('/'));
    let mut told = Told { family: Logging::NAME, path: "audit", subject: String::new(), gaps: &mut *gaps };
    let keys = auditd::keys(&told.text(host, &path).unwrap_or_default());
    told.path = "audit.unrecorded";
    let (configured, locked) = configured(host, &mut told);
    let line = host.read_text("/proc/cmdline", CONFIG_LIMIT).unwrap_or_default();
    let mut out = Audit {
        in_use: super::is_in_use(program),
        boot_option: line.split_whitespace().filter_map(|w| w.strip_prefix("audit=")).next_back().unwrap_or_default().into(),
        log_full_action: auditd::word(&keys, "max_log_file_action", "rotate"),
        space_left_action: auditd::word(&keys, "space_left_action", "syslog"),
        disk_full_action: auditd::word(&keys, "disk_full_action", "suspend"),
        configured_rules: configured.len() as u64,
        locked_by_files: locked,
        source: Source::whole(&path),
        ..Audit::default()
    };
    let loaded = if program.running == Some(true) { asked(host, &mut out, gaps) } else { None };
    let rules = loaded.as_ref().unwrap_or(&configured);
    let exists = |path: &&&str| host.exists(path).unwrap_or(false);
    out.unrecorded = IDENTITY.iter().filter(exists).filter(|p| !rules.iter().any(|r| records(r, p))).map(|p| (*p).to_string()).collect();
    (out, auditd::log(&keys, &path))
}

fn asked(host: &Host, out: &mut Audit, gaps: &mut Gaps) -> Option<Vec<kernel::Rule>> {
    let remedy = "Run the scan as root or grant CAP_AUDIT_CONTROL.";
    let found = kernel::status(host).and_then(|status| Ok((status, kernel::rules(host)?)));
    match found {
        Ok((status, rules)) => {
            out.kernel = Some(KernelAudit {
                enabled: status.enabled > 0,
                locked: status.enabled == 2,
                taken: status.pid != 0,
                rules: rules.len() as u64,
                backlog_limit: status.backlog_limit.into(),
                lost: status.lost.into(),
            });
            Some(rules)
        }
        Err(e) => {
            let mut gap = e.to_gap(Logging::NAME, "audit.kernel", "");
            if gap.reason == reason::PERMISSION_DENIED {
                gap.remedy = remedy.into();
            }
            gaps.add(gap);
            None
        }
    }
}

/// Whether changes of the path are recorded by it.
fn records(rule: &kernel::Rule, path: &str) -> bool {
    let is_below = || path.strip_prefix(rule.path.trim_end_matches('/')).is_some_and(|rest| rest.starts_with('/'));
    rule.records && rule.changes && !rule.narrowed && !rule.path.is_empty() && (rule.path.trim_end_matches('/') == path || rule.recursive && is_below())
}

/// Rules of the files, and whether they lock themselves.
fn configured(host: &Host, told: &mut Told<'_>) -> (Vec<kernel::Rule>, bool) {
    let mut files = told.glob(host, &format!("{FOLDER}/*.rules"));
    if files.is_empty() {
        files.push(WHOLE.into());
    }
    let (mut rules, mut locked) = (Vec::new(), false);
    for path in files {
        for line in told.text(host, &path).unwrap_or_default().lines() {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let words = words(line);
            match words.iter().map(String::as_str).collect::<Vec<_>>()[..] {
                ["-e", value, ..] => locked = value == "2",
                ["-w", watched, ..] => {
                    let permissions = words.iter().position(|w| w == "-p").and_then(|at| words.get(at + 1)).map_or("rwxa", String::as_str);
                    let trimmed = watched.trim_end_matches('/');
                    let recursive = host.stat(trimmed).is_ok_and(|s| s.kind == crate::host::FileKind::Folder);
                    rules.push(kernel::Rule { records: true, path: trimmed.into(), recursive, changes: permissions.contains(['w', 'a']), narrowed: false });
                }
                ["-a" | "-A", list, ..] => rules.push(by_fields(list, &words)),
                ["-W", watched, ..] => rules.retain(|r: &kernel::Rule| r.path != watched.trim_end_matches('/')),
                _ => {}
            }
            if rules.len() > RULE_LIMIT {
                told.gap(reason::LIMIT_REACHED, format!("{path}: more than {RULE_LIMIT} rules"));
                return (rules, locked);
            }
        }
    }
    (rules, locked)
}

/// `-a always,exit -F path=/etc/passwd -F perm=wa -S all -k x`.
fn by_fields(list: &str, words: &[String]) -> kernel::Rule {
    let has = |word: &str| list.split(',').any(|w| w == word);
    let mut out = kernel::Rule { records: has("always") && has("exit"), changes: true, ..kernel::Rule::default() };
    for pair in words.windows(2) {
        let [flag, value] = pair else { continue };
        match (flag.as_str(), value.split_once('=')) {
            ("-F", Some(("path", path))) => out.path = path.trim_end_matches('/').into(),
            ("-F", Some(("dir", path))) => (out.path, out.recursive) = (path.trim_end_matches('/').into(), true),
            ("-F", Some(("perm", permissions))) => out.changes = permissions.contains(['w', 'a']),
            // Both word sizes are watched by rules of their own; the key is a name.
            ("-F", Some(("arch" | "key", _))) => {}
            ("-F", _) => out.narrowed = true,
            ("-S", _) if value != "all" => out.narrowed = true,
            _ => {}
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::testing::rooted;

    fn program(running: Option<bool>) -> Program {
        Program {
            subject: "auditd".into(),
            kind: "auditd".into(),
            installed_by: "/usr/sbin/auditd".into(),
            unit: "auditd.service".into(),
            unit_state: "enabled".into(),
            enabled: true,
            running,
            source: Source::default(),
        }
    }

    #[test]
    fn which_changes_are_recorded() {
        let rules = "-D\n-b 8192\n# -w /etc/shadow -p wa\n-w /etc/passwd -p wa -k id\n-w /etc/group -p r\n-a always,exit -F arch=b64 -F path=/etc/gshadow -F perm=wa -F key=x\n\
                     -a always,exit -F dir=/etc/sudoers.d -F perm=wa -F auid>=1000\n-w /etc/sudoers\n-e 2\n";
        let (_root, host) = rooted(&[
            ("etc/audit/auditd.conf", "space_left_action = EMAIL\n"),
            ("etc/audit/rules.d/10-x.rules", rules),
            ("etc/audit/audit.rules", "-w /etc/shadow -p wa\n"),
            ("etc/passwd", ""),
            ("etc/shadow", ""),
            ("etc/group", ""),
            ("etc/gshadow", ""),
            ("etc/sudoers", ""),
            ("etc/sudoers.d/x", ""),
        ]);
        let mut gaps = Gaps::new();
        let (found, log) = read(&host, &program(None), &[], &mut gaps);
        assert_eq!(found.unrecorded, ["/etc/group", "/etc/shadow", "/etc/sudoers.d"]);
        assert_eq!((found.configured_rules, found.locked_by_files, found.space_left_action.as_str(), found.in_use), (5, true, "email", true));
        assert_eq!((log.path.as_str(), gaps.into_sorted().len()), ("/var/log/audit/audit.log", 0));
    }

    #[test]
    fn a_folder_holds_what_is_below_it() {
        let rule = kernel::Rule { records: true, path: "/etc".into(), recursive: true, changes: true, narrowed: false };
        assert!(records(&rule, "/etc/passwd") && !records(&rule, "/etcetera") && !records(&kernel::Rule { recursive: false, ..rule.clone() }, "/etc/passwd"));
        assert!(!records(&kernel::Rule { narrowed: true, ..rule }, "/etc/passwd"));
    }
}
