//! The sshd configuration as it takes effect.
//!
//! The first value of a keyword wins (sshd_config(5)); values inside a Match block override it for
//! the connections that match and are kept beside it; those of `Match all` hold for every
//! connection. What an option of the command line (`/etc/default/ssh`) sets comes before the file.

mod defaults;
mod file;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Document, HostFamily};
use crate::host::Host;
use crate::host::root::CONFIG_LIMIT;
use crate::model::fact::Source;
use crate::model::gap::{Gaps, reason};
use file::Directive;

/// Effective configuration, first value wins, includes followed, defaults of the version filled in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Sshd {
    /// Whether `/usr/sbin/sshd` or `/etc/ssh/sshd_config` exists.
    pub installed: bool,
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
    /// X11Forwarding.
    pub x11_forwarding: bool,
    /// MaxAuthTries.
    pub max_auth_tries: i64,
    /// LoginGraceTime, seconds; 0: no limit.
    pub login_grace_seconds: i64,
    /// StrictModes.
    pub strict_modes: bool,
    /// UsePAM.
    pub use_pam: bool,
    /// Port.
    pub ports: Vec<i64>,
    /// Ciphers in order, `+`, `-` and `^` applied; empty: defaults of the binary.
    pub ciphers: Vec<String>,
    /// MACs, likewise.
    pub macs: Vec<String>,
    /// KexAlgorithms, likewise.
    pub kex_algorithms: Vec<String>,
    /// AuthorizedKeysFile patterns.
    pub authorized_keys_files: Vec<String>,
    /// Every global setting that was written, first one of each keyword (all of those that add up, such as `denyusers`), by keyword.
    pub settings: Vec<Setting>,
    /// Settings inside Match blocks, in file order.
    pub overrides: Vec<Override>,
    /// Files read, in order.
    pub files: Vec<String>,
}

impl Document for Sshd {
    const NAME: &'static str = "sshd";
    const TITLE: &'static str = "Effective OpenSSH server configuration";
}

impl HostFamily for Sshd {
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
    if found == [false, false] {
        return Some(Sshd { installed: false, ..from_directives(&[], &mut Values { host, family, gaps }) });
    }
    let mut directives = command_line(host, family, gaps);
    let files = file::read(host, family, gaps);
    directives.extend(files.directives);
    let sshd = from_directives(&directives, &mut Values { host, family, gaps });
    Some(Sshd { files: files.paths, ..sshd })
}

const BINARY: &str = "/usr/sbin/sshd";
const DEFAULT_FILE: &str = "/etc/default/ssh";

/// Keywords whose lines add up instead of the first one winning.
const ADDING: [&str; 9] = ["port", "listenaddress", "hostkey", "hostcertificate", "acceptenv", "subsystem", "allowusers", "denyusers", "allowgroups"];

fn adds(keyword: &str) -> bool {
    ADDING.contains(&keyword) || matches!(keyword, "denygroups" | "setenv" | "permitopen" | "permitlisten")
}

/// `SSHD_OPTS` of Debian's unit: `-o Keyword=value` and `-p PORT` come before the file.
fn command_line(host: &Host, family: &'static str, gaps: &mut Gaps) -> Vec<Directive> {
    let text = match host.read_text(DEFAULT_FILE, CONFIG_LIMIT) {
        Ok(text) => text,
        Err(e) => {
            if !e.is_not_found() {
                gaps.add(e.to_gap(family, "", ""));
            }
            return Vec::new();
        }
    };
    let mut out = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let Some(value) = line.trim().strip_prefix("SSHD_OPTS=") else { continue };
        // The last assignment wins, as in a shell.
        out.clear();
        let mut words = value.trim().trim_matches(['"', '\'']).split_whitespace();
        while let Some(word) = words.next() {
            let (flag, attached) = word.split_at_checked(2).unwrap_or((word, ""));
            let mut argument = || if attached.is_empty() { words.next().unwrap_or("").to_string() } else { attached.to_string() };
            let (keyword, value) = match flag {
                "-o" => {
                    let option = argument();
                    let (keyword, value) = option.split_once('=').unwrap_or((&option, ""));
                    (keyword.to_ascii_lowercase(), value.to_string())
                }
                "-p" => ("port".to_string(), argument()),
                "-f" => {
                    let detail = format!("{DEFAULT_FILE}:{}: sshd reads {} instead of {}", index + 1, argument(), file::MAIN);
                    gaps.note(family, "", "", reason::UNSUPPORTED, detail, "");
                    continue;
                }
                _ => continue,
            };
            out.push(Directive { path: DEFAULT_FILE.into(), line: index + 1, keyword, arguments: vec![value], criteria: String::new() });
        }
    }
    out
}

fn from_directives(directives: &[Directive], values: &mut Values<'_>) -> Sshd {
    let winners = Winners::of(directives);
    let defaults = defaults::installed(values.host);
    let mut list = |keyword: &'static str, field: &'static str, pick: fn(&defaults::Defaults) -> &'static str| match winners.first(keyword) {
        None => Vec::new(),
        Some(d) => {
            let written = d.value();
            if defaults.is_none() && written.starts_with(['+', '-', '^']) {
                let detail = format!("{}:{}: {keyword} changes the default list, which is not known for this version of OpenSSH", d.path, d.line);
                values.gaps.note(values.family, field, "", reason::UNSUPPORTED, detail, "Write the whole list.");
            }
            defaults::apply(&written, defaults.as_ref().map_or("", pick))
        }
    };
    let ciphers = list("ciphers", "ciphers", |d| d.ciphers);
    let macs = list("macs", "macs", |d| d.macs);
    let kex_algorithms = list("kexalgorithms", "kex_algorithms", |d| d.kex_algorithms);
    Sshd {
        installed: true,
        permit_root_login: values.root_login(winners.first("permitrootlogin")),
        password_authentication: values.flag(&winners, "passwordauthentication", "password_authentication", true),
        kbd_interactive_authentication: values.flag(&winners, "kbdinteractiveauthentication", "kbd_interactive_authentication", true),
        pubkey_authentication: values.flag(&winners, "pubkeyauthentication", "pubkey_authentication", true),
        permit_empty_passwords: values.flag(&winners, "permitemptypasswords", "permit_empty_passwords", false),
        x11_forwarding: values.flag(&winners, "x11forwarding", "x11_forwarding", false),
        max_auth_tries: values.number(&winners, "maxauthtries", "max_auth_tries", 6),
        login_grace_seconds: values.seconds(&winners, "logingracetime", "login_grace_seconds", 120),
        strict_modes: values.flag(&winners, "strictmodes", "strict_modes", true),
        use_pam: values.flag(&winners, "usepam", "use_pam", false),
        ports: values.ports(directives),
        ciphers,
        macs,
        kex_algorithms,
        authorized_keys_files: winners
            .first("authorizedkeysfile")
            .map_or_else(|| vec![".ssh/authorized_keys".into(), ".ssh/authorized_keys2".into()], |d| d.arguments.clone()),
        settings: winners.settings(),
        overrides: directives.iter().filter(|d| !d.criteria.is_empty() && d.criteria != "all").map(Override::of).collect(),
        files: Vec::new(),
    }
}

/// The deciding global directive of every keyword.
struct Winners<'a> {
    directives: Vec<&'a Directive>,
}

impl<'a> Winners<'a> {
    fn of(directives: &'a [Directive]) -> Self {
        // Match blocks override the global part, so `Match all` comes first.
        let all = directives.iter().filter(|d| d.criteria == "all");
        let global = directives.iter().filter(|d| d.criteria.is_empty());
        Self { directives: all.chain(global).collect() }
    }

    fn first(&self, keyword: &str) -> Option<&'a Directive> {
        self.directives.iter().copied().find(|d| d.keyword == keyword)
    }

    fn settings(&self) -> Vec<Setting> {
        let mut seen = std::collections::BTreeSet::new();
        let mut out: Vec<Setting> = self
            .directives
            .iter()
            .filter(|d| adds(&d.keyword) || seen.insert(d.keyword.as_str()))
            .map(|d| Setting { keyword: d.keyword.clone(), value: d.value(), source: Source::line(d.path.clone(), d.line, d.keyword.clone()) })
            .collect();
        out.sort_by(|a, b| a.keyword.cmp(&b.keyword));
        out
    }
}

struct Values<'a> {
    host: &'a Host,
    family: &'static str,
    gaps: &'a mut Gaps,
}

impl Values<'_> {
    fn refuse(&mut self, directive: &Directive, field: &str) {
        let place = format!("{}:{}", directive.path, directive.line);
        let detail = format!("{place}: {} has a value that sshd refuses", directive.keyword);
        self.gaps.note(self.family, field, "", reason::MALFORMED, detail, "Mend the line and check with sshd -t.");
    }

    fn flag(&mut self, winners: &Winners<'_>, keyword: &str, field: &str, default: bool) -> bool {
        let Some(directive) = winners.first(keyword) else { return default };
        match directive.value().to_ascii_lowercase().as_str() {
            "yes" | "true" => true,
            "no" | "false" => false,
            _ => {
                self.refuse(directive, field);
                default
            }
        }
    }

    fn number(&mut self, winners: &Winners<'_>, keyword: &str, field: &str, default: i64) -> i64 {
        let Some(directive) = winners.first(keyword) else { return default };
        directive.value().parse().unwrap_or_else(|_| {
            self.refuse(directive, field);
            default
        })
    }

    fn seconds(&mut self, winners: &Winners<'_>, keyword: &str, field: &str, default: i64) -> i64 {
        let Some(directive) = winners.first(keyword) else { return default };
        seconds(&directive.value()).unwrap_or_else(|| {
            self.refuse(directive, field);
            default
        })
    }

    fn root_login(&mut self, directive: Option<&Directive>) -> String {
        let default = "prohibit-password";
        let Some(directive) = directive else { return default.into() };
        let value = directive.value().to_ascii_lowercase();
        match value.as_str() {
            "yes" | "no" | "forced-commands-only" | "prohibit-password" => value,
            "without-password" => default.into(),
            _ => {
                self.refuse(directive, "permit_root_login");
                default.into()
            }
        }
    }

    fn ports(&mut self, directives: &[Directive]) -> Vec<i64> {
        let mut out = Vec::new();
        let command_line = directives.iter().any(|d| d.keyword == "port" && d.path == DEFAULT_FILE);
        for directive in directives.iter().filter(|d| d.keyword == "port" && (!command_line || d.path == DEFAULT_FILE)) {
            match directive.value().parse::<u16>() {
                Ok(port) => out.push(i64::from(port)),
                Err(_) => self.refuse(directive, "ports"),
            }
        }
        if out.is_empty() { vec![22] } else { out }
    }
}

/// TIME FORMATS of sshd_config(5): numbers with s, m, h, d, w, added up.
fn seconds(text: &str) -> Option<i64> {
    let mut total = 0_i64;
    let mut digits = String::new();
    for c in text.trim().chars() {
        if c.is_ascii_digit() {
            digits.push(c);
            continue;
        }
        let unit = match c.to_ascii_lowercase() {
            's' => 1,
            'm' => 60,
            'h' => 3600,
            'd' => 86_400,
            'w' => 604_800,
            _ => return None,
        };
        total = total.checked_add(digits.parse::<i64>().ok()?.checked_mul(unit)?)?;
        digits.clear();
    }
    if digits.is_empty() {
        return (!text.trim().is_empty()).then_some(total);
    }
    total.checked_add(digits.parse().ok()?)
}

impl Override {
    fn of(directive: &Directive) -> Self {
        Self {
            criteria: directive.criteria.clone(),
            keyword: directive.keyword.clone(),
            value: match (directive.keyword.as_str(), directive.value().to_ascii_lowercase().as_str()) {
                ("permitrootlogin", "without-password") => "prohibit-password".into(),
                // sshd compares these without case.
                (_, word @ ("yes" | "no")) => word.into(),
                ("permitrootlogin", word) => word.into(),
                _ => directive.value(),
            },
            source: Source::line(directive.path.clone(), directive.line, directive.keyword.clone()),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_add_up() {
        assert_eq!(seconds("2m"), Some(120));
        assert_eq!(seconds("1h30"), Some(3630));
        assert_eq!(seconds("0"), Some(0));
        assert_eq!(seconds("x"), None);
        assert_eq!(seconds(""), None);
    }
}
