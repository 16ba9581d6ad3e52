//! Everything that will run later as some account: cron, anacron, at, systemd timers and services,
//! user units and lingering, start-up scripts; and, of what root executes, who else may change it.
//!
//! Programs are told from command lines without running anything (`shell`, `started`): only their
//! paths leave the host, never an argument.

mod at;
mod cron;
mod events;
pub(super) mod gathering;
mod hooks;
pub mod names;
mod schedule;
pub mod service_units;
mod shell;
mod started;
mod startup;
mod trust;
pub mod unit_file;
pub mod unit_list;
pub(super) mod unit_tree;
pub(super) mod units;
mod user_units;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Document, HostFamily};
use crate::host::Host;
use crate::host::clock;
use crate::model::fact::Source;
use crate::model::gap::Gaps;
use gathering::Gathering;
pub use trust::Weak;

/// What runs later, and what root executes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Jobs {
    /// Every job, by subject.
    pub items: Vec<Job>,
    /// Every file that root executes or reads commands from, as far as literal text tells, by path.
    pub executed_as_root: Vec<Executed>,
    /// Accounts whose user units run without a session (loginctl enable-linger), by account.
    pub lingering: Vec<Lingering>,
    /// Files and folders that decide what cron, anacron and at run, by path.
    pub places: Vec<Place>,
    /// Who may use cron and at.
    pub access: Vec<Access>,
    /// Which cron's rules were applied: `debian`, `cronie` or `busybox`.
    pub cron: String,
}

impl Document for Jobs {
    const NAME: &'static str = "jobs";
    const TITLE: &'static str = "What runs later as which account, and who may change what root executes";
}

impl HostFamily for Jobs {
    const WATCHED: &'static [&'static str] = &[
        "/etc/crontab",
        "/etc/anacrontab",
        "/etc/cron.*",
        "/etc/cron.d/*",
        "/etc/cron.hourly/*",
        "/etc/cron.daily/*",
        "/etc/cron.weekly/*",
        "/etc/cron.monthly/*",
        "/etc/periodic/**",
        "/var/spool/cron/**",
        "/var/spool/at/*",
        "/etc/systemd/system/**",
        "/etc/systemd/system-generators/*",
        "/etc/systemd/user/**",
        "/usr/local/lib/systemd/system/**",
        "/usr/lib/systemd/system/**",
        "/etc/init.d/*",
        "/etc/rc.local",
        "/etc/rc.d/**",
        "/etc/profile",
        "/etc/profile.d/*",
        "/etc/environment",
        "/etc/ld.so.preload",
        "/etc/ld.so.conf",
        "/etc/ld.so.conf.d/*",
        "/etc/udev/rules.d/*",
        "/etc/modprobe.d/*",
        "/etc/modules-load.d/*",
        "/etc/logrotate.conf",
        "/etc/logrotate.d/*",
        "/etc/network/**",
        "/etc/NetworkManager/dispatcher.d/**",
        "/etc/apt/apt.conf.d/*",
        "/etc/dpkg/**",
        "/etc/kernel/**",
        "/etc/update-motd.d/*",
        "/var/lib/systemd/linger/*",
    ];

    fn gather(host: &Host, gaps: &mut Gaps) -> Option<Self> {
        let names = names::Names::read(host, clock::unix_now());
        let mut gathering = Gathering::new(host, &names, gaps);
        gathering.note_accounts();
        let cron = cron::gather(&mut gathering);
        at::gather(&mut gathering);
        let tree = unit_tree::Tree::read(&mut gathering);
        units::gather(&mut gathering, &tree);
        user_units::gather(&mut gathering);
        startup::gather(&mut gathering, &tree);
        events::gather(&mut gathering);
        hooks::gather(&mut gathering);
        Some(gathering.finish(cron))
    }
}

/// A unit as other families need it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct UnitView {
    /// What `systemctl is-enabled` says.
    pub state: &'static str,
    /// Its `ExecStart` lines, as written.
    pub starts: Vec<String>,
}

/// These units of the system manager, each `None` when it has no file; and what could not be read.
pub(super) fn units_of(host: &Host, wanted: &[&str]) -> (Vec<Option<UnitView>>, Gaps) {
    let names = names::Names::default();
    let mut gaps = Gaps::new();
    let mut gathering = Gathering::new(host, &names, &mut gaps);
    let tree = unit_tree::Tree::read(&mut gathering);
    let mut views = Vec::new();
    for name in wanted {
        let unit = tree.load(&mut gathering, name);
        views.push(unit.map(|unit| {
            let starts = unit_file::all(&unit.settings, "Service", "ExecStart").into_iter().map(|s| s.value.clone()).collect();
            UnitView { state: tree.state(&mut gathering, name), starts }
        }));
    }
    (views, gaps)
}

/// One job.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Job {
    /// `KIND PLACE`, such as `cron /etc/cron.d/backup:3` or `service nginx.service`.
    #[schemars(extend("x-personal" = true))]
    pub subject: String,
    /// `cron`, `cron-folder`, `anacron`, `at`, `timer`, `service`, `user-unit`, `init-script`, `rc-local`, `inetd`, `start-up` (shells of root) or `hook` (scripts that a root program runs at its events).
    pub kind: String,
    /// Account that it runs as; `*`: each account that signs in; `(dynamic)`: one that systemd makes for it.
    #[schemars(extend("x-personal" = true))]
    pub runs_as: String,
    /// Whether that account exists; `null` when a directory service may know it.
    pub account_known: Option<bool>,
    /// Whether that account's expiry day has come; `null` when shadow(5) can't be read.
    pub account_expired: Option<bool>,
    /// Owner of the file that defines it.
    #[schemars(extend("x-personal" = true))]
    pub owner: String,
    /// When: the time fields of cron(8), `@daily`, a timer's settings, `once`, `boot`, `sign-in`, …
    pub schedule: String,
    /// When an at job is due, Unix seconds.
    pub due_at: Option<i64>,
    /// Path of the program, arguments left out; empty when it can't be told.
    pub program: String,
    /// What `systemctl is-enabled` says of a unit of the system manager; empty for other kinds.
    pub unit_state: String,
    /// Whether it would run: named, linked and marked as its program asks for.
    pub enabled: bool,
    /// Why its program passes it over: `name`, `not-executable`, `masked`, `disabled`, `owner`, `mode`; empty: it does not. Owner and mode are faults of their own and leave it enabled.
    pub ignored: String,
    /// Programs, scripts and folders that it starts, as far as literal text tells.
    pub runs_files: Vec<String>,
    /// Commands whose program only running them would tell.
    pub unresolved: u64,
    /// Line that decides.
    pub source: Source,
}

/// One file that root executes or reads commands from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Executed {
    /// Path as written.
    pub subject: String,
    /// `program`, `script`, `folder` (run-parts), `unit`, `environment`, `start-up`, `hook`, `search-path` (a folder in which a program is looked for by name).
    pub role: String,
    /// Subjects of the jobs that lead here, sorted, at most 32; `… inside FILE` for a script that one of them runs.
    #[schemars(extend("x-personal" = true))]
    pub by: Vec<String>,
    /// Whether it is there.
    pub exists: bool,
    /// Owner; empty when it is not there.
    #[schemars(extend("x-personal" = true))]
    pub owner: String,
    /// Group; empty when it is not there.
    pub group: String,
    /// Permission bits; `null` when it is not there.
    pub mode: Option<u32>,
    /// The place nearest to it that somebody other than root may change: the file, a link or a folder on its way; `null`: none.
    pub weakest: Option<Weak>,
    /// Where it is named first.
    pub source: Source,
}

/// One lingering account.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Lingering {
    /// The account.
    #[schemars(extend("x-personal" = true))]
    pub subject: String,
    /// The account.
    #[schemars(extend("x-personal" = true))]
    pub account: String,
    /// Whether it exists; `null` when a directory service may know it.
    pub account_known: Option<bool>,
    /// Whether its expiry day has come; `null` when shadow(5) can't be read.
    pub account_expired: Option<bool>,
    /// Its mark.
    pub source: Source,
}

/// A file or folder that decides what runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Place {
    /// Path.
    #[schemars(extend("x-personal" = true))]
    pub subject: String,
    /// `crontab`, `folder`, `job`, `user-crontab`, `spool` or `access-list`.
    pub kind: String,
    /// Account that it belongs to: root, or that of a user's crontab.
    #[schemars(extend("x-personal" = true))]
    pub account: String,
    /// Owner.
    #[schemars(extend("x-personal" = true))]
    pub owner: String,
    /// Group.
    pub group: String,
    /// Permission bits.
    pub mode: u32,
    /// The place nearest to it that somebody other than root and the account may change; `null`: none.
    pub weakest: Option<Weak>,
    /// The path.
    pub source: Source,
}

/// Who may give jobs to a program.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Access {
    /// `cron` or `at`.
    pub subject: String,
    /// Whether the program that takes jobs from users is installed.
    pub installed: bool,
    /// `listed` (an allow file), `all-but-listed` (a deny file with names), `everyone` (an empty deny file, or neither file with Debian's cron) or `root` (neither file).
    pub allowed: String,
    /// The names of the file that decides, sorted.
    #[schemars(extend("x-personal" = true))]
    pub accounts: Vec<String>,
    /// The file that decides; the allow file when there is neither.
    pub source: Source,
}
