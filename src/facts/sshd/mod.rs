//! The sshd configuration as it takes effect.
//!
//! The first value of a keyword wins (sshd_config(5)); values inside a Match block override it for
//! the connections that match and are kept beside it; those of `Match all` hold for every
//! connection. What an option of the command line sets comes before the files. For each account
//! the most permissive answer over all connections that the configuration tells apart is kept.

mod account;
mod config_file;
mod criteria;
mod defaults;
mod effective;
mod file;
mod host_keys;
mod launch;
mod sample;
mod values;

pub use account::{AccountAccess, Decided};
pub use config_file::ConfigFile;
pub use criteria::Connection;
pub use host_keys::HostKey;

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::accounts::database;
use super::{Document, HostFamily};
use crate::host::Host;
use crate::host::root::CONFIG_LIMIT;
use crate::model::fact::Source;
use crate::model::gap::{Gaps, reason};
use effective::Effective;
use file::Directive;
use values::Values;

/// Effective configuration, first value wins, includes followed, defaults of the version filled in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Sshd {
    /// Whether `/usr/sbin/sshd` or `/etc/ssh/sshd_config` exists.
    pub installed: bool,
    /// Release of OpenSSH, such as `9.2`, from the package database or the program; empty when it is not known.
    #[serde(default)]
    pub version: String,
    /// `yes`, `prohibit-password`, `forced-commands-only` or `no`.
    pub permit_root_login: String,
    /// PasswordAuthentication.
    pub password_authentication: bool,
    /// KbdInteractiveAuthentication.
    pub kbd_interactive_authentication: bool,
    /// PubkeyAuthentication.
    pub pubkey_authentication: bool,
    /// PermitEmptyPasswords.
    pub permit_empty_passwords: bool,
    /// HostbasedAuthentication.
    #[serde(default)]
    pub hostbased_authentication: bool,
    /// IgnoreRhosts: `yes`, `no` or `shosts-only`.
    #[serde(default)]
    pub ignore_rhosts: String,
    /// PermitUserEnvironment: `no`, `yes`, or a pattern list of names.
    #[serde(default)]
    pub permit_user_environment: String,
    /// X11Forwarding.
    pub x11_forwarding: bool,
    /// AllowTcpForwarding: `yes`, `no`, `local`, `remote` or `all`.
    #[serde(default)]
    pub allow_tcp_forwarding: String,
    /// AllowAgentForwarding.
    #[serde(default)]
    pub allow_agent_forwarding: bool,
    /// DisableForwarding.
    #[serde(default)]
    pub disable_forwarding: bool,
    /// GatewayPorts: `no`, `yes` or `clientspecified`.
    #[serde(default)]
    pub gateway_ports: String,
    /// PermitTunnel: `no`, `yes`, `point-to-point` or `ethernet`.
    #[serde(default)]
    pub permit_tunnel: String,
    /// MaxAuthTries.
    pub max_auth_tries: i64,
    /// LoginGraceTime, seconds; 0: no limit.
    pub login_grace_seconds: i64,
    /// ClientAliveInterval, seconds; 0: never asked.
    #[serde(default)]
    pub client_alive_seconds: i64,
    /// ClientAliveCountMax; 0: an idle client is never cut off.
    #[serde(default)]
    pub client_alive_count: i64,
    /// Banner: a file, or `none`.
    #[serde(default)]
    pub banner: String,
    /// LogLevel, upper case.
    #[serde(default)]
    pub log_level: String,
    /// StrictModes.
    pub strict_modes: bool,
    /// UsePAM.
    pub use_pam: bool,
    /// UseDNS: whether names of clients, not only their addresses, are compared.
    #[serde(default)]
    pub use_dns: bool,
    /// Port.
    pub ports: Vec<i64>,
    /// Ciphers in order, `+`, `-` and `^` applied, the defaults of the release when none are written; empty: not known.
    pub ciphers: Vec<String>,
    /// MACs, likewise.
    pub macs: Vec<String>,
    /// KexAlgorithms, likewise.
    pub kex_algorithms: Vec<String>,
    /// HostKeyAlgorithms, likewise.
    #[serde(default)]
    pub host_key_algorithms: Vec<String>,
    /// PubkeyAcceptedAlgorithms, likewise.
    #[serde(default)]
    pub pubkey_accepted_algorithms: Vec<String>,
    /// AuthorizedKeysFile patterns.
    pub authorized_keys_files: Vec<String>,
    /// Keys by which the server proves itself, in order.
    #[serde(default)]
    pub host_keys: Vec<HostKey>,
    /// What is decided for each local account, in the order of passwd(5), each name once.
    #[serde(default)]
    pub per_account: Vec<AccountAccess>,
    /// Every global setting that was written, first one of each keyword (all of those that add up, such as `denyusers`), by keyword.
    pub settings: Vec<Setting>,
    /// Settings inside Match blocks, in file order.
    pub overrides: Vec<Override>,
    /// Files read, in order.
    pub files: Vec<String>,
    /// Owner and mode of the files read and of the folders that hold them, by path.
    #[serde(default)]
    pub file_states: Vec<ConfigFile>,
}

impl Document for Sshd {
    const NAME: &'static str = "sshd";
    const TITLE: &'static str = "Effective OpenSSH server configuration";
}

impl HostFamily for Sshd {
    const WATCHED: &'static [&'static str] = &[
        "/etc/ssh/**",
        "/etc/default/ssh",
        "/etc/sysconfig/sshd",
        "/etc/conf.d/sshd",
        "/etc/systemd/system/ssh*",
        "/etc/systemd/system/ssh.service.d/*",
        "/etc/systemd/system/sshd.service.d/*",
    ];

    fn gather(host: &Host, gaps: &mut Gaps) -> Option<Self> {
        effective(host, Self::NAME, gaps)
    }
}

/// The effective configuration, gaps under the name of the family that asks.
pub fn effective(host: &Host, family: &'static str, gaps: &mut Gaps) -> Option<Sshd> {
    let mut found = [false; 2];
    for (found, path) in found.iter_mut().zip([BINARY, file::MAIN]) {
        match host.exists(path) {
            Ok(there) => *found = there,
            Err(e) => {
                gaps.add(e.to_gap(family, "", ""));
                return None;
            }
        }
    }
    let mut values = Values { host, family, gaps };
    if found == [false, false] {
        return Some(Sshd { installed: false, ..from_directives(&Read::default(), &mut values) });
    }
    let read = read(host, family, values.gaps);
    let sshd = from_directives(&read, &mut values);
    let per_account = per_account(host, &sshd, &read.directives, family, gaps);
    // Only the family itself tells of host keys; others have no use for their gaps.
    let host_keys = if family == Sshd::NAME { host_keys::read(host, &Effective::of_everybody(&read.directives), gaps) } else { Vec::new() };
    Some(Sshd { per_account, host_keys, ..sshd })
}

/// The lines that decide for one connection, by keyword: the values as sshd would read them.
pub fn resolve(host: &Host, connection: &Connection, gaps: &mut Gaps) -> BTreeMap<String, Vec<String>> {
    let read = read(host, Sshd::NAME, gaps);
    let mut out: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for directive in Effective::of_connection(&read.directives, connection).lines() {
        out.entry(directive.keyword.clone()).or_default().extend(directive.arguments.iter().cloned());
    }
    out
}

/// Whether the allow and deny lists let a connection in.
pub fn admits(host: &Host, connection: &Connection, gaps: &mut Gaps) -> bool {
    let read = read(host, Sshd::NAME, gaps);
    Effective::of_connection(&read.directives, connection).refusal(connection).is_none()
}

const BINARY: &str = "/usr/sbin/sshd";

/// Everything that was written, command line first.
#[derive(Debug, Default)]
struct Read {
    directives: Vec<Directive>,
    paths: Vec<String>,
}

fn read(host: &Host, family: &'static str, gaps: &mut Gaps) -> Read {
    let launch = launch::read(host, family, gaps);
    let mut files = file::read(host, &launch.main, family, gaps);
    if !launch.ports.is_empty() {
        // sshd passes over Port lines when a port stands on its command line.
        files.directives.retain(|d| d.keyword != "port");
    }
    let directives = launch.ports.into_iter().chain(launch.directives).chain(files.directives).collect();
    Read { directives, paths: files.paths }
}

fn per_account(host: &Host, sshd: &Sshd, directives: &[Directive], family: &'static str, gaps: &mut Gaps) -> Vec<AccountAccess> {
    let (users, groups) = match (database::passwd(host), database::group(host)) {
        (Ok((users, _)), Ok((groups, _))) => (users, groups),
        (Err(e), _) | (_, Err(e)) => {
            gaps.add(e.to_gap(family, "per_account", ""));
            return Vec::new();
        }
    };
    note_directory(host, directives, family, gaps);
    match account::accounts(directives, &users, &groups, &sshd.ports, sshd.use_dns) {
        Ok(accounts) => accounts,
        Err(problem) => {
            let detail = format!("the configuration of sshd {problem}");
            gaps.note(family, "per_account", "", reason::LIMIT_REACHED, detail, "Simplify the Match blocks, and check with sshd -T -C.");
            Vec::new()
        }
    }
}

/// Accounts of a directory are not listed; a block for users or groups may be meant for them.
fn note_directory(host: &Host, directives: &[Directive], family: &'static str, gaps: &mut Gaps) {
    let text = host.read_text("/etc/nsswitch.conf", CONFIG_LIMIT).unwrap_or_default();
    let services = database::services_for(&text, "passwd").unwrap_or_default();
    let Some(service) = services.into_iter().find(|s| matches!(s.as_str(), "ldap" | "sss" | "nis" | "winbind")) else { return };
    if let Some(directive) = directives.iter().find(|d| d.blocks.iter().any(|b| b.is_about_accounts())) {
        let detail = format!("{}:{}: the block may be for accounts of {service}, which are not listed", directive.path, directive.line);
        gaps.note(family, "per_account", &service, reason::UNSUPPORTED, detail, "Check such accounts with sshd -T -C user=NAME.");
    }
}

fn from_directives(read: &Read, values: &mut Values<'_>) -> Sshd {
    let effective = Effective::of_everybody(&read.directives);
    let e = &effective;
    let version = defaults::installed(values.host, BINARY);
    let known = version.and_then(defaults::of);
    let mut list = |keyword, field, pick: fn(&defaults::Defaults) -> &'static str| values.list(e, keyword, field, known.as_ref().map(pick));
    let ciphers = list("ciphers", "ciphers", |d| d.ciphers);
    let macs = list("macs", "macs", |d| d.macs);
    let kex_algorithms = list("kexalgorithms", "kex_algorithms", |d| d.kex_algorithms);
    let host_key_algorithms = list("hostkeyalgorithms", "host_key_algorithms", |d| d.key_algorithms);
    let pubkey_accepted_algorithms = list("pubkeyacceptedalgorithms", "pubkey_accepted_algorithms", |d| d.key_algorithms);
    Sshd {
        installed: true,
        version: version.map(|(major, minor)| format!("{major}.{minor}")).unwrap_or_default(),
        permit_root_login: values.root_login(e.first("permitrootlogin")),
        password_authentication: values.flag(e, "passwordauthentication", "password_authentication", true),
        kbd_interactive_authentication: values.flag(e, "kbdinteractiveauthentication", "kbd_interactive_authentication", true),
        pubkey_authentication: values.flag(e, "pubkeyauthentication", "pubkey_authentication", true),
        permit_empty_passwords: values.flag(e, "permitemptypasswords", "permit_empty_passwords", false),
        hostbased_authentication: values.flag(e, "hostbasedauthentication", "hostbased_authentication", false),
        ignore_rhosts: values.word(e, "ignorerhosts", "yes"),
        permit_user_environment: values.word(e, "permituserenvironment", "no"),
        x11_forwarding: values.flag(e, "x11forwarding", "x11_forwarding", false),
        allow_tcp_forwarding: values.word(e, "allowtcpforwarding", "yes"),
        allow_agent_forwarding: values.flag(e, "allowagentforwarding", "allow_agent_forwarding", true),
        disable_forwarding: values.flag(e, "disableforwarding", "disable_forwarding", false),
        gateway_ports: values.word(e, "gatewayports", "no"),
        permit_tunnel: values.word(e, "permittunnel", "no"),
        max_auth_tries: values.number(e, "maxauthtries", "max_auth_tries", 6),
        login_grace_seconds: values.seconds(e, "logingracetime", "login_grace_seconds", 120),
        client_alive_seconds: values.seconds(e, "clientaliveinterval", "client_alive_seconds", 0),
        client_alive_count: values.number(e, "clientalivecountmax", "client_alive_count", 3),
        banner: e.first("banner").map_or_else(|| "none".into(), Directive::value),
        log_level: values.word(e, "loglevel", "info").to_ascii_uppercase(),
        strict_modes: values.flag(e, "strictmodes", "strict_modes", true),
        use_pam: values.flag(e, "usepam", "use_pam", false),
        use_dns: values.flag(e, "usedns", "use_dns", false),
        ports: values.ports(e.all("port")),
        ciphers,
        macs,
        kex_algorithms,
        host_key_algorithms,
        pubkey_accepted_algorithms,
        authorized_keys_files: e.first("authorizedkeysfile").map_or_else(|| account::KEY_FILES.map(String::from).to_vec(), |d| d.arguments.clone()),
        host_keys: Vec::new(),
        per_account: Vec::new(),
        settings: e.lines().map(Setting::of).collect(),
        overrides: read.directives.iter().filter(|d| !d.always()).map(Override::of).collect(),
        file_states: config_file::states(values.host, &read.paths),
        files: read.paths.clone(),
    }
}

impl Setting {
    fn of(directive: &Directive) -> Self {
        Self { keyword: directive.keyword.clone(), value: directive.shown(), source: directive.source() }
    }
}

impl Override {
    fn of(directive: &Directive) -> Self {
        let value = directive.shown();
        Self {
            criteria: directive.criteria(),
            keyword: directive.keyword.clone(),
            value: match (directive.keyword.as_str(), effective::flag(&value)) {
                ("permitrootlogin", _) => account::root_login(&value),
                // sshd compares these without case.
                (_, Some(yes)) => if yes { "yes" } else { "no" }.into(),
                _ => value,
            },
            source: directive.source(),
        }
    }
}

/// One keyword that decides.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Setting {
    /// Keyword in lower case.
    pub keyword: String,
    /// Value as written, quotes removed.
    pub value: String,
    /// File and line.
    pub source: Source,
}

/// One keyword inside a Match block.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Override {
    /// Criteria as written, such as `user backup`.
    #[schemars(extend("x-personal" = true))]
    pub criteria: String,
    /// Keyword in lower case.
    pub keyword: String,
    /// Value.
    pub value: String,
    /// File and line.
    pub source: Source,
}
