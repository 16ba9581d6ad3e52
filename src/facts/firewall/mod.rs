//! The packet filter of the machine, and from where each listener is reached through it.
//!
//! Rules come from the running kernel (nftables, in which iptables-nft, ufw, firewalld and Docker write,
//! too); what would be loaded at the next start comes from the configuration. `reach` computes exposures.

mod boot;
mod describe;
mod exposure;
mod load;
mod packet;
mod ranges;
mod reach;
mod registers;
mod walk;
mod xtables;

use std::net::IpAddr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Document, HostFamily};
use crate::host::nftables::{self, FilterError, Ruleset};
use crate::host::{CONFIG_LIMIT, Host, network};
use crate::model::fact::Source;
use crate::model::gap::{Gaps, reason};
use reach::{Machine, Reach};

/// Packet filter and exposures.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Firewall {
    /// What becomes of a new connection that no rule names, for IPv4 and IPv6.
    pub input: Vec<Input>,
    /// Base chains, by subject.
    pub chains: Vec<Chain>,
    /// Rules in the order of their chains; base chains' and others'.
    pub rules: Vec<Rule>,
    /// From where each listener is reached that is not bound to loopback, by subject.
    pub exposures: Vec<Exposure>,
    /// Ports that are led elsewhere (DNAT), as Docker publishes them, by subject.
    pub published: Vec<Published>,
    /// Programs whose configuration loads rules when the machine starts, by subject.
    pub boot: Vec<Boot>,
    /// Whether what runs is there after the next start: `same` (both filter), `not-loaded` (rules run that nothing loads), `not-running` (rules would be loaded and do not run),
    /// `none` (neither), `unknown`.
    pub after_boot: String,
}

impl Document for Firewall {
    const NAME: &'static str = "firewall";
    const TITLE: &'static str = "Packet filter in force and at boot, and from where listeners are reached";
}

/// The default of one IP version.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Input {
    /// `ipv4` or `ipv6`.
    pub subject: String,
    /// Whether the machine has an address of it besides loopback.
    pub in_use: bool,
    /// Whether any base chain looks at what comes in.
    pub filtered: bool,
    /// `drop`, `accept` (most ports are reached from everywhere), or `unknown`.
    pub default: String,
    /// Ports that are reached from everywhere where the default is `drop`, such as `22,80,443`; TCP.
    pub open: String,
    /// Rule that makes it unknown; empty otherwise.
    pub doubt: String,
    /// The kernel's table.
    pub source: Source,
}

/// A base chain.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Chain {
    /// Family, table and name, such as `inet filter input`.
    pub subject: String,
    /// `filter`, `nat` or `route`.
    pub kind: String,
    /// `ingress`, `prerouting`, `input`, `forward`, `output`, `postrouting`, `egress`.
    pub hook: String,
    /// The lower, the earlier.
    pub priority: i64,
    /// `drop` or `accept`: what becomes of packets that no rule decides.
    pub policy: String,
    /// Interfaces of a chain at ingress.
    pub devices: Vec<String>,
    /// Who seems to keep the table: `ufw`, `firewalld`, `docker`, `iptables`, `nftables`.
    pub managed_by: String,
    /// Whether the table is switched off.
    pub dormant: bool,
    /// Where.
    pub source: Source,
}

/// A rule.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// Chain and number within it, such as `inet filter input rule 3`.
    pub subject: String,
    /// What it matches, such as `tcp dport 22`; empty: everything.
    #[schemars(extend("x-personal" = true))]
    pub matches: Vec<String>,
    /// `accept`, `drop`, `reject`, `jump NAME`, `goto NAME`, `return`, `queue`, `dnat …`, `redirect`, `vmap`; empty: it only counts or logs.
    pub verdict: String,
    /// Matches and targets that are not understood.
    pub undecoded: Vec<String>,
    /// Where.
    pub source: Source,
}

/// From where a listener is reached.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Exposure {
    /// The listener, as in `listeners`: `ADDRESS:PORT/tcp`.
    pub subject: String,
    /// Port and transport, such as `443/tcp`.
    pub endpoint: String,
    /// `everywhere`, `networks`, `nowhere`, `unknown`: the widest of both IP versions.
    pub from: String,
    /// The same for IPv4; `absent`: it has no address of it.
    pub ipv4: String,
    /// The same for IPv6.
    pub ipv6: String,
    /// Networks that reach it where not everybody does, at most 64.
    #[schemars(extend("x-personal" = true))]
    pub networks: Vec<String>,
    /// Whether there are more.
    pub more_networks: bool,
    /// Networks that don't reach it where nearly everybody does (lists of blocked senders), at most 64.
    #[schemars(extend("x-volatile" = true, "x-personal" = true))]
    pub excluded: Vec<String>,
    /// Interfaces by which it is reached.
    pub interfaces: Vec<String>,
    /// Rules that let it be reached, such as `inet filter input rule 3`; empty when no rule does and the policy accepts.
    pub through: Vec<String>,
    /// Rule that makes it unknown; empty otherwise.
    pub doubt: String,
    /// Chain that decided, or the kernel's table where no chain looks.
    pub source: Source,
}

/// A port that is led elsewhere.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Published {
    /// Port and where it leads, such as `8080/tcp to 172.17.0.2:80`.
    pub subject: String,
    /// Ports before the translation, such as `8080` or `8000-8010`.
    pub ports: String,
    /// `tcp` or `udp`.
    pub transport: String,
    /// Addresses of this machine that are translated; empty: all.
    pub addresses: Vec<String>,
    /// Address and port after it.
    pub target: String,
    /// Whether it leads to this machine itself.
    pub local: bool,
    /// `everywhere`, `networks`, `nowhere`, `unknown`.
    pub from: String,
    /// As in `exposures`.
    #[schemars(extend("x-personal" = true))]
    pub networks: Vec<String>,
    /// As in `exposures`.
    pub more_networks: bool,
    /// As in `exposures`.
    pub doubt: String,
    /// Rule that translates.
    pub source: Source,
}

/// What a configuration loads at start.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Boot {
    /// `nftables`, `ufw`, `firewalld`, `iptables`, `ip6tables`.
    pub subject: String,
    /// Unit that loads it; empty when none was found.
    pub unit: String,
    /// Whether the unit is enabled, as `systemctl is-enabled` says; empty without a unit.
    pub unit_state: String,
    /// Whether it is loaded at the next start.
    pub enabled: bool,
    /// What it makes of new IPv4 connections that no rule of it names: `drop`, `accept`, `none` (it says nothing of it), `unknown`.
    pub ipv4: String,
    /// The same for IPv6.
    pub ipv6: String,
    /// Ports and services that it opens, as far as they are told by name or number, such as `22/tcp`, `ssh`.
    pub open: Vec<String>,
    /// File that decided.
    pub source: Source,
}

/// Most rules that are told.
const RULES_LIMIT: usize = 5_000;
/// Tables of iptables-legacy that are loaded, by IP version.
const LEGACY: [(&str, bool); 2] = [("/proc/net/ip_tables_names", false), ("/proc/net/ip6_tables_names", true)];
/// Where rules of the kernel stand, as evidence.
const KERNEL: &str = "nftables ruleset";

impl HostFamily for Firewall {
    const WATCHED: &'static [&'static str] = &[
        "/etc/nftables.conf",
        "/etc/nftables/**",
        "/etc/sysconfig/nftables.conf",
        "/etc/sysconfig/iptables",
        "/etc/sysconfig/ip6tables",
        "/etc/iptables/*",
        "/etc/ufw/*",
        "/etc/default/ufw",
        "/etc/firewalld/**",
    ];

    fn gather(host: &Host, gaps: &mut Gaps) -> Option<Self> {
        let mut firewall = Self { boot: boot::gather(host, gaps), ..Self::default() };
        if !host.is_this_machine() {
            for path in ["input", "chains", "rules", "exposures", "published", "after_boot"] {
                gaps.note(Self::NAME, path, "", reason::NEEDS_LIVE_KERNEL, "a root folder has no packet filter in force", "Scan the machine itself.");
            }
            firewall.after_boot = "unknown".into();
            return Some(firewall);
        }
        match running(host, gaps) {
            Some((ruleset, machine)) => firewall.judge(host, gaps, &ruleset, &machine),
            None => firewall.after_boot = "unknown".into(),
        }
        Some(firewall)
    }
}

/// What rests on the running kernel.
const RUNNING: [&str; 6] = ["input", "chains", "rules", "exposures", "published", "after_boot"];

/// Rules and place of the running kernel; `None` with gaps over everything that rests on them.
fn running(host: &Host, gaps: &mut Gaps) -> Option<(Ruleset, Machine)> {
    let mut failed = |id: &str, detail: &str, remedy: &str| {
        for path in RUNNING {
            gaps.note(Firewall::NAME, path, "", id, detail, remedy);
        }
    };
    let ruleset = match nftables::read() {
        Ok(ruleset) => ruleset,
        Err(FilterError::Netlink(e)) if e.is_denied() => {
            failed(reason::PERMISSION_DENIED, "the packet filter's rules can't be read: permission denied", "Run the scan as root or grant CAP_NET_ADMIN.");
            return None;
        }
        Err(e) => {
            failed(reason::READ_FAILED, &e.to_string(), "");
            return None;
        }
    };
    match network::read() {
        Ok(network) => Some((ruleset, Machine::new(&network, [forwards(host, "ipv4/ip_forward"), forwards(host, "ipv6/conf/all/forwarding")]))),
        Err(e) => {
            failed(reason::READ_FAILED, &format!("interfaces and addresses can't be read: {e}"), "");
            None
        }
    }
}

fn forwards(host: &Host, name: &str) -> bool {
    // What can't be read may forward.
    host.read_text(&format!("/proc/sys/net/{name}"), CONFIG_LIMIT).map_or_else(|e| !e.is_not_found(), |text| text.trim() != "0")
}

impl Firewall {
    fn judge(&mut self, host: &Host, gaps: &mut Gaps, ruleset: &Ruleset, machine: &Machine) {
        let reach = Reach { ruleset, machine };
        self.chains = describe::chains(ruleset);
        self.rules = describe::rules(ruleset, RULES_LIMIT);
        let count: usize = ruleset.chains.values().map(|c| c.rules.len()).sum();
        if count > RULES_LIMIT {
            gaps.note(Self::NAME, "rules", "", reason::LIMIT_REACHED, format!("{count} rules, {RULES_LIMIT} of them are listed"), "");
        }
        self.input = exposure::inputs(&reach);
        exposure::gather(host, gaps, &reach, self);
        for &(place, v6) in &LEGACY {
            self.legacy(host, gaps, place, v6);
        }
        for input in self.input.iter().filter(|i| i.default == "unknown") {
            gaps.note(Self::NAME, "input", &input.subject, reason::UNSUPPORTED, undecided(&input.doubt), DECODE);
        }
        for (subject, doubt) in self.unknown_exposures() {
            gaps.note(Self::NAME, "exposures", &subject, reason::UNSUPPORTED, undecided(&doubt), DECODE);
        }
        for published in self.published.iter().filter(|p| p.from == "unknown") {
            gaps.note(Self::NAME, "published", &published.subject, reason::UNSUPPORTED, undecided(&published.doubt), DECODE);
        }
        self.after_boot = self.compare_with_boot(gaps);
    }

    fn unknown_exposures(&self) -> Vec<(String, String)> {
        let unknown = |word: &str| word == "unknown";
        let of = |e: &&Exposure| unknown(&e.from) || unknown(&e.ipv4) || unknown(&e.ipv6);
        self.exposures.iter().filter(of).map(|e| (e.subject.clone(), e.doubt.clone())).collect()
    }

    /// Rules of iptables-legacy can't be read without leaving safe code: they may drop what nftables lets by.
    fn legacy(&mut self, host: &Host, gaps: &mut Gaps, place: &str, v6: bool) {
        let text = match host.read_text(place, CONFIG_LIMIT) {
            Ok(text) => text,
            Err(e) if e.is_not_found() => return,
            Err(e) => {
                gaps.add(e.to_gap(Self::NAME, "input", if v6 { "ipv6" } else { "ipv4" }));
                return;
            }
        };
        let tables: Vec<&str> = text.split_whitespace().collect();
        if tables.is_empty() {
            return;
        }
        let doubt = format!("{place}: tables of iptables-legacy are loaded ({})", tables.join(", "));
        for input in self.input.iter_mut().filter(|i| i.subject == if v6 { "ipv6" } else { "ipv4" } && i.default == "accept") {
            input.default = "unknown".into();
            input.doubt.clone_from(&doubt);
        }
        for exposure in &mut self.exposures {
            let word = if v6 { &mut exposure.ipv6 } else { &mut exposure.ipv4 };
            if ["everywhere", "networks"].contains(&word.as_str()) {
                *word = "unknown".into();
                exposure.from = exposure::widest(&exposure.ipv4, &exposure.ipv6).into();
                exposure.doubt.clone_from(&doubt);
            }
        }
        let published = self.published.iter_mut().filter(|p| target_is_v6(&p.target) == v6 && ["everywhere", "networks"].contains(&p.from.as_str()));
        for published in published {
            published.from = "unknown".into();
            published.doubt.clone_from(&doubt);
        }
        if tables.contains(&"nat") {
            gaps.note(Self::NAME, "published", "", reason::UNSUPPORTED, doubt, "Move the rules to nftables or iptables-nft.");
        }
    }

    /// Whether the machine filters after its next start as it does now.
    fn compare_with_boot(&self, gaps: &mut Gaps) -> String {
        let filters = self.input.iter().any(|i| i.filtered && i.default == "drop");
        let undecided_now = self.input.iter().any(|i| i.in_use && i.default == "unknown");
        let loaded = |word: &str| self.boot.iter().any(|b| b.enabled && [&b.ipv4, &b.ipv6].iter().any(|w| *w == word));
        let word = match (filters, loaded("drop"), loaded("unknown")) {
            (true, true, _) => "same",
            (_, false, true) => "unknown",
            (false, ..) if undecided_now => "unknown",
            (true, false, false) => "not-loaded",
            (false, true, _) => "not-running",
            (false, false, false) => "none",
        };
        if word == "unknown" {
            gaps.note(Self::NAME, "after_boot", "", reason::UNSUPPORTED, "whether the rules that run are loaded at boot can't be told", "");
        }
        word.into()
    }
}

fn target_is_v6(target: &str) -> bool {
    target.starts_with('[')
}

const DECODE: &str = "Look at the named rule with nft list ruleset or iptables -S.";

fn undecided(doubt: &str) -> String {
    format!("who gets through depends on what is not understood: {doubt}")
}

/// An address and port as listeners write them.
fn endpoint(address: IpAddr, port: &str) -> String {
    if address.is_ipv6() { format!("[{address}]:{port}") } else { format!("{address}:{port}") }
}
