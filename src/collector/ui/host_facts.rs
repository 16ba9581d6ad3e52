//! A host's facts as its page draws them: listeners, storage, people, software.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::frame::Visit;
use super::text::shown;
use super::when::When;
use crate::evidence::plots::chain::{self, Layer};
use crate::facts::Document;
use crate::facts::accounts::Accounts;
use crate::facts::kernel::Kernel;
use crate::facts::listeners::Listeners;
use crate::facts::os::Os;
use crate::facts::packages::Packages;
use crate::facts::services::Services;
use crate::facts::ssh_keys::SshKeys;
use crate::facts::storage::Storage;
use crate::facts::sudo::Sudo;
use crate::facts::tls::Tls;
use crate::facts::updates::Updates;

/// Pending security updates that are named.
const MAX_NAMED_UPDATES: usize = 12;

/// The typed document of a family; `None` when it was not gathered or has another version.
pub fn document<T: Document>(families: &BTreeMap<String, Value>) -> Option<T> {
    serde_json::from_value(families.get(T::NAME)?.clone()).ok()
}

/// What the host is.
pub struct Identity {
    /// Label and text.
    pub lines: Vec<(&'static str, String)>,
    /// End of the system's security support.
    pub end_of_life: Option<When>,
    /// Whether that is over.
    pub is_over: bool,
}

/// Identity from `os` and `kernel`.
pub fn identity(families: &BTreeMap<String, Value>, visit: &Visit) -> Identity {
    let mut lines = Vec::new();
    let mut add = |label, text: String| {
        if !text.is_empty() {
            lines.push((label, shown(&text)));
        }
    };
    let mut end_of_life = None;
    if let Some(os) = document::<Os>(families) {
        add("System", format!("{} {}", os.pretty_name, os.architecture));
        add("Host name", os.hostname);
        add("Runs on", if os.virtualization == "none" { "hardware of its own".into() } else { os.virtualization });
        if let Some(h) = os.hardware {
            add("Machine", format!("{} processors, {} memory", h.processors, bytes(h.memory_bytes)));
        }
        end_of_life = os.end_of_life.map(|e| e.at);
    }
    if let Some(kernel) = document::<Kernel>(families) {
        let newer = match (kernel.running_is_newest, kernel.newest) {
            (Some(false), Some(newest)) => format!(", {newest} is installed and waits for a reboot"),
            (Some(true), _) => ", the newest installed".into(),
            _ => String::new(),
        };
        add("Kernel", kernel.running.map_or(String::new(), |r| format!("{r}{newer}")));
        if kernel.reboot_required {
            add(
                "Reboot",
                format!("required by {}", if kernel.reboot_required_by.is_empty() { "a package".into() } else { kernel.reboot_required_by.join(", ") }),
            );
        }
        add("Booted", kernel.boot_at.map_or(String::new(), |at| format!("{}, {}", visit.when(at).relative, visit.when(at).exact)));
    }
    Identity { lines, is_over: end_of_life.is_some_and(|e| e <= visit.at()), end_of_life: end_of_life.map(|e| visit.when(e)) }
}

/// `15.6 GiB`
fn bytes(n: u64) -> String {
    format!("{:.1} GiB", n as f64 / f64::from(1 << 30))
}

/// One listening socket.
pub struct Door {
    /// Port and transport.
    pub port: String,
    /// Address it is bound to.
    pub address: String,
    /// Process and package.
    pub process: String,
    /// Owning package.
    pub package: String,
    /// What it speaks.
    pub protocol: String,
    /// TLS in words.
    pub tls: String,
    /// Class of the TLS tag.
    pub tls_class: &'static str,
    /// Whether the running file was replaced.
    pub is_stale: bool,
}

/// Listeners of one bind scope.
pub struct Doors {
    /// Words of the scope.
    pub scope: &'static str,
    /// By port.
    pub doors: Vec<Door>,
}

const SCOPES: [(&str, &str); 5] = [
    ("any", "Bound to every address"),
    ("public", "Bound to public addresses"),
    ("private", "Bound to private addresses"),
    ("link", "Bound to link-local addresses"),
    ("loopback", "Loopback only"),
];

/// Listeners with what answers behind them, widest scope first; `None` when not gathered.
pub fn doors(families: &BTreeMap<String, Value>) -> Option<Vec<Doors>> {
    let listeners = document::<Listeners>(families)?;
    let services: BTreeMap<String, _> =
        document::<Services>(families).map(|s| s.items).unwrap_or_default().into_iter().map(|s| (s.subject.clone(), s)).collect();
    let tls: Vec<_> = document::<Tls>(families).map(|t| t.endpoints).unwrap_or_default();
    let mut grouped: BTreeMap<usize, Vec<(u32, Door)>> = BTreeMap::new();
    for listener in listeners.items {
        let place = SCOPES.iter().position(|(id, _)| *id == listener.scope).unwrap_or(0);
        let service = services.get(&listener.subject);
        let endpoint = tls.iter().find(|e| e.subject == listener.subject || e.subject.starts_with(&format!("{} sni ", listener.subject)));
        let (protocol, (tls, tls_class)) = match service {
            Some(s) => (spoken(s), tls_words(&s.tls, s.plaintext, endpoint.map(|e| e.accepted.as_slice()))),
            None if listener.transport == "udp" => ("not spoken to (UDP)".into(), (String::new(), "")),
            None => ("not asked".into(), (String::new(), "")),
        };
        let (process, package, is_stale) = match listener.process {
            Some(p) => (p.name, p.package, p.deleted),
            None => ("not readable".into(), String::new(), false),
        };
        let door = Door {
            port: format!("{}/{}", listener.port, listener.transport),
            address: shown(&listener.address),
            process: shown(&process),
            package: shown(&package),
            protocol: shown(&protocol),
            tls,
            tls_class,
            is_stale,
        };
        grouped.entry(place).or_default().push((listener.port, door));
    }
    let doors = |mut all: Vec<(u32, Door)>| {
        all.sort_by_key(|(port, _)| *port);
        all.into_iter().map(|(_, d)| d).collect()
    };
    Some(grouped.into_iter().map(|(place, all)| Doors { scope: SCOPES.get(place).map_or("", |s| s.1), doors: doors(all) }).collect())
}

fn spoken(service: &crate::facts::services::Service) -> String {
    match (service.outcome.as_str(), service.protocol.as_str()) {
        ("identified", protocol) => protocol.to_string(),
        ("unidentified", _) => "speaks, not identified".into(),
        (outcome, _) => outcome.to_string(),
    }
}

fn tls_words(mode: &str, plaintext: bool, accepted: Option<&[String]>) -> (String, &'static str) {
    let versions = accepted.filter(|a| !a.is_empty()).map_or(String::new(), |a| a.join(" ").replace("TLSv", ""));
    let with = |word: &str| if versions.is_empty() { word.to_string() } else { format!("{word} {versions}") };
    match mode {
        "direct" | "required" => (with("TLS"), ""),
        "optional" => (with("TLS optional"), "warn"),
        "none" if plaintext => ("plain text".into(), "warn"),
        _ => (String::new(), ""),
    }
}

/// One mount or swap area down to the hardware.
pub struct Tree {
    /// Mount point.
    pub subject: String,
    /// File system.
    pub file_system: String,
    /// Verdict-like class: `pass`, `fail`, `unknown`, `not_applicable`.
    pub class: &'static str,
    /// `encrypted`, …
    pub word: &'static str,
    /// What decides.
    pub why: String,
    /// Layers as a drawing; empty when none is known.
    pub drawing: String,
}

/// Storage as trees; `None` when not gathered.
pub fn trees(families: &BTreeMap<String, Value>) -> Option<Vec<Tree>> {
    let storage = document::<Storage>(families)?;
    let tree = |(number, v): (usize, crate::facts::storage::Volume)| {
        let (class, word) = match (v.encrypted.as_str(), v.removable_or_boot) {
            ("yes", _) => ("pass", "encrypted"),
            ("no", true) => ("not_applicable", "not encrypted, boot or removable"),
            ("no", false) => ("fail", "not encrypted"),
            _ => ("unknown", "can’t be told"),
        };
        let mut levels: BTreeMap<u64, Vec<Layer>> = BTreeMap::new();
        let mut details: Vec<String> = Vec::new();
        for link in v.chain {
            if !link.detail.is_empty() {
                details.push(format!("{}: {}", link.name, link.detail));
            }
            levels.entry(link.depth).or_default().push(Layer { kind: link.kind, name: link.name, locked: link.encrypted });
        }
        let mount = Layer { kind: v.file_system.clone(), name: v.subject.clone(), locked: false };
        let levels: Vec<Vec<Layer>> = std::iter::once(vec![mount]).chain(levels.into_values()).collect();
        let drawing = chain::chain(&format!("volume-{number}"), &format!("Layers below {}", v.subject), &levels).unwrap_or_default();
        let why = if details.is_empty() { v.why } else { format!("{}; {}", v.why, details.join("; ")) };
        Tree { subject: shown(&v.subject), file_system: shown(&v.file_system), class, word, why: shown(&why), drawing }
    };
    Some(storage.volumes.into_iter().enumerate().map(tree).collect())
}

/// An account with a way in.
pub struct Person {
    /// Account name.
    pub name: String,
    /// Full name, may be empty.
    pub full_name: String,
    /// User id.
    pub uid: u32,
    /// Ways in and rights.
    pub ways: Vec<(String, &'static str)>,
    /// Newest login.
    pub last: Option<When>,
    /// Whether every record of logins could be read: else no login can't be told from an unread one.
    pub is_last_complete: bool,
    /// Its origin.
    pub from: String,
}

/// Who gets in.
pub struct People {
    /// Accounts with a way in.
    pub people: Vec<Person>,
    /// How many accounts show none.
    pub without: usize,
    /// What was not read, so that ways in may be missing.
    pub blind: String,
}

/// Accounts with a way in; `None` when not gathered.
pub fn people(families: &BTreeMap<String, Value>, visit: &Visit) -> Option<People> {
    let accounts = document::<Accounts>(families)?;
    let mut keys: BTreeMap<String, usize> = BTreeMap::new();
    let (ssh_keys, sudo) = (document::<SshKeys>(families), document::<Sudo>(families));
    let blind: Vec<&str> =
        [(ssh_keys.is_none(), "SSH keys"), (sudo.is_none(), "sudo rights")].into_iter().filter_map(|(is, what)| is.then_some(what)).collect();
    for key in ssh_keys.map(|k| k.items).unwrap_or_default() {
        *keys.entry(key.account).or_default() += 1;
    }
    let grants = sudo.map(|s| s.grants).unwrap_or_default();
    let total = accounts.users.len();
    let mut out = Vec::new();
    for user in accounts.users {
        let mut ways: Vec<(String, &'static str)> = Vec::new();
        if user.uid == 0 {
            ways.push(("superuser".into(), "bad"));
        }
        match user.password.state.as_str() {
            "usable" if user.shell_allows_login => ways.push((format!("password ({})", user.password.scheme), "")),
            "empty" => ways.push(("empty password".into(), "bad")),
            "unknown" if user.shell_allows_login => ways.push(("password can’t be told".into(), "warn")),
            _ => {}
        }
        if let Some(n) = keys.get(&user.name) {
            ways.push((super::text::counted(*n, "SSH key", "SSH keys"), ""));
        }
        let own = grants.iter().filter(|g| g.accounts.contains(&user.name));
        let sudo: BTreeSet<&str> = own.map(|g| sudo_words(g.all_commands && g.as_root, g.password_needed)).collect();
        ways.extend(sudo.into_iter().map(|w| (w.to_string(), "warn")));
        let has_way = user.can_sign_in != Some(false) || keys.contains_key(&user.name) || user.password.state == "empty";
        if has_way {
            let (last, from) = (user.last_login_at.map(|at| visit.when(at)), user.last_login_from.unwrap_or_default());
            out.push(Person {
                name: shown(&user.name),
                full_name: shown(&user.full_name),
                uid: user.uid,
                ways: shown_ways(ways),
                last,
                is_last_complete: accounts.logins_complete,
                from: shown(&from),
            });
        }
    }
    let without = total - out.len();
    Some(People { people: out, without, blind: blind.join(" and ") })
}

fn shown_ways(ways: Vec<(String, &'static str)>) -> Vec<(String, &'static str)> {
    ways.into_iter().map(|(text, class)| (shown(&text), class)).collect()
}

const fn sudo_words(is_root: bool, password_needed: bool) -> &'static str {
    match (is_root, password_needed) {
        (true, true) => "sudo to root",
        (true, false) => "sudo to root, no password",
        (false, true) => "sudo, some commands",
        (false, false) => "sudo, some commands, no password",
    }
}

/// Packages and updates in a few figures.
pub struct Software {
    /// Installed packages; `None` when not gathered.
    pub packages: Option<String>,
    /// Pending updates and those of them for security.
    pub pending: Option<(usize, usize)>,
    /// Names of pending security updates: name, installed, candidate.
    pub named: Vec<(String, String, String)>,
    /// Security updates not named.
    pub more: usize,
    /// When the lists were last refreshed.
    pub lists: Option<When>,
    /// Automatic updates in words.
    pub automatic: String,
}

/// Packages and updates.
pub fn software(families: &BTreeMap<String, Value>, visit: &Visit) -> Software {
    let packages = document::<Packages>(families).map(|p| super::text::grouped(p.items.len() as u64));
    let Some(updates) = document::<Updates>(families) else {
        return Software { packages, pending: None, named: Vec::new(), more: 0, lists: None, automatic: String::new() };
    };
    let security: Vec<_> = updates.pending.iter().filter(|p| p.security).collect();
    let named = security.iter().take(MAX_NAMED_UPDATES).map(|p| (shown(&p.name), shown(&p.installed), shown(&p.candidate))).collect();
    let automatic = match (updates.automatic.enabled, updates.automatic.tool_installed) {
        (true, _) => "on",
        (false, true) => "installed but off",
        (false, false) => "off",
    };
    Software {
        packages,
        pending: Some((updates.pending.len(), security.len())),
        named,
        more: security.len().saturating_sub(MAX_NAMED_UPDATES),
        lists: updates.oldest_list_at.map(|at| visit.when(at)),
        automatic: automatic.into(),
    }
}
