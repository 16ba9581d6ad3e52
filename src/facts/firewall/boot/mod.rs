//! What would be loaded when the machine starts: the programs' own configurations, and whether their units
//! are enabled. What a configuration makes of a connection that no rule names is told, not who reaches what.

mod chains;
mod firewalld;
mod nft_language;
mod saved;

use super::{Boot, Firewall};
use crate::facts::Document as _;
use crate::facts::jobs::{self, UnitView};
use crate::host::{CONFIG_LIMIT, Host};
use crate::model::fact::Source;
use crate::model::gap::{Gaps, reason};
use chains::Fate;

/// Units that load rules, and the program that each stands for.
const UNITS: [&str; 6] = ["nftables.service", "ufw.service", "firewalld.service", "netfilter-persistent.service", "iptables.service", "ip6tables.service"];
/// Folders in which OpenRC keeps what it starts.
const RUNLEVELS: [&str; 2] = ["/etc/runlevels/default", "/etc/runlevels/boot"];
/// Largest file of saved rules, bytes.
const RULES_LIMIT: usize = 16 << 20;

/// Every configuration that is there.
pub fn gather(host: &Host, gaps: &mut Gaps) -> Vec<Boot> {
    let (views, unread) = jobs::units_of(host, &UNITS);
    for gap in unread.into_sorted() {
        gaps.note(Firewall::NAME, "boot", "", &gap.reason, gap.detail, gap.remedy);
    }
    let view = |name: &str| UNITS.iter().position(|u| *u == name).and_then(|i| views.get(i)).and_then(Option::as_ref);
    let mut reading = Reading { host, gaps };
    let mut out = Vec::new();
    out.extend(reading.nftables(view("nftables.service")));
    out.extend(reading.ufw(view("ufw.service")));
    out.extend(firewalld::read(&mut reading, view("firewalld.service")));
    let persistent = view("netfilter-persistent.service");
    for (v6, unit, places) in [
        (false, "iptables.service", ["/etc/sysconfig/iptables", "/etc/iptables/iptables.rules", "/etc/iptables/rules-save"]),
        (true, "ip6tables.service", ["/etc/sysconfig/ip6tables", "/etc/iptables/ip6tables.rules", "/etc/iptables/rules6-save"]),
    ] {
        let debian = if v6 { "/etc/iptables/rules.v6" } else { "/etc/iptables/rules.v4" };
        let of_debian = reading.saved(debian, v6, "netfilter-persistent.service", persistent);
        let found = of_debian.or_else(|| places.iter().find_map(|place| reading.saved(place, v6, unit, view(unit))));
        out.extend(found);
    }
    for boot in out.iter().filter(|b| b.enabled && (b.ipv4 == "unknown" || b.ipv6 == "unknown")) {
        let detail = format!("what {} loads at boot is not fully understood", boot.source.place);
        reading.gaps.note(Firewall::NAME, "boot", &boot.subject, reason::UNSUPPORTED, detail, "Look at the named file.");
    }
    out.sort_by(|a, b| a.subject.cmp(&b.subject));
    out
}

/// The machine and the gaps while configurations are read.
pub(super) struct Reading<'a> {
    pub(super) host: &'a Host,
    pub(super) gaps: &'a mut Gaps,
}

impl Reading<'_> {
    /// A file; absence is a fact, anything else a gap.
    pub(super) fn text(&mut self, path: &str, limit: usize) -> Option<String> {
        match self.host.read_text(path, limit) {
            Ok(text) => Some(text),
            Err(e) if e.is_not_found() => None,
            Err(e) => {
                self.gaps.add(e.to_gap(Firewall::NAME, "boot", ""));
                None
            }
        }
    }

    fn boot(&self, subject: &str, unit: &str, view: Option<&UnitView>, place: &str, fates: [Fate; 2]) -> Boot {
        let name = unit.trim_end_matches(".service");
        let of_openrc = RUNLEVELS.iter().any(|folder| self.host.stat_link(&format!("{folder}/{name}")).is_ok());
        let state = view.map_or(if of_openrc { "enabled" } else { "" }, |v| v.state);
        Boot {
            subject: subject.into(),
            unit: if view.is_some() || of_openrc { unit.into() } else { String::new() },
            unit_state: state.into(),
            enabled: ["enabled", "static", "generated", "enabled-runtime", "alias"].contains(&state),
            ipv4: fates[0].word().into(),
            ipv6: fates[1].word().into(),
            open: Vec::new(),
            source: Source::whole(place),
        }
    }

    fn nftables(&mut self, view: Option<&UnitView>) -> Option<Boot> {
        let named = view.and_then(|v| v.starts.iter().find_map(|line| file_of(line)));
        let usual = ["/etc/nftables.conf", "/etc/sysconfig/nftables.conf", "/etc/nftables.nft"];
        let places: Vec<String> = named.into_iter().chain(usual.iter().map(|p| (*p).to_string())).collect();
        let place = places.into_iter().find(|p| self.host.exists(p).unwrap_or(false))?;
        let fates = nft_language::fates(self, &place);
        Some(self.boot("nftables", "nftables.service", view, &place, fates))
    }

    /// ufw keeps its policy apart from its rules, and is switched on in a file of its own.
    fn ufw(&mut self, view: Option<&UnitView>) -> Option<Boot> {
        const CONF: &str = "/etc/ufw/ufw.conf";
        const DEFAULTS: &str = "/etc/default/ufw";
        let text = self.text(CONF, CONFIG_LIMIT)?;
        let (on, line) = assigned(&text, "ENABLED").unwrap_or_default();
        let defaults = self.text(DEFAULTS, CONFIG_LIMIT).unwrap_or_default();
        let policy = assigned(&defaults, "DEFAULT_INPUT_POLICY").map_or_else(|| "DROP".into(), |(value, _)| value);
        let fate = match policy.to_uppercase().as_str() {
            "DROP" | "REJECT" => Fate::Drop,
            "ACCEPT" => Fate::Accept,
            _ => Fate::Unknown,
        };
        // Switched off for IPv6, ufw drops all of it but loopback.
        let v6 = assigned(&defaults, "IPV6").is_none_or(|(value, _)| value.eq_ignore_ascii_case("yes"));
        let mut boot = self.boot("ufw", "ufw.service", view, CONF, [fate, if v6 { fate } else { Fate::Drop }]);
        boot.enabled &= on.eq_ignore_ascii_case("yes");
        boot.source = Source::line(CONF, line, "ENABLED");
        for place in ["/etc/ufw/user.rules", "/etc/ufw/user6.rules"] {
            let rules = self.text(place, RULES_LIMIT).unwrap_or_default();
            boot.open.extend(rules.lines().filter_map(ufw_opened));
        }
        boot.open.sort();
        boot.open.dedup();
        Some(boot)
    }

    fn saved(&mut self, place: &str, v6: bool, unit: &str, view: Option<&UnitView>) -> Option<Boot> {
        let text = self.text(place, RULES_LIMIT)?;
        let fate = saved::fate(&text);
        let fates = if v6 { [Fate::None, fate] } else { [fate, Fate::None] };
        Some(self.boot(if v6 { "ip6tables" } else { "iptables" }, unit, view, place, fates))
    }
}

/// The file behind `-f` of a command line of nft(8).
fn file_of(line: &str) -> Option<String> {
    let mut words = line.split_whitespace().skip_while(|w| !["-f", "--file"].contains(w) && !w.starts_with("-f/") && !w.starts_with("--file="));
    let first = words.next()?;
    let name = first.strip_prefix("--file=").or_else(|| first.strip_prefix("-f").filter(|r| !r.is_empty())).or_else(|| words.next())?;
    name.starts_with('/').then(|| name.trim_matches(['"', '\'']).to_string())
}

/// `KEY=value` of a file that a shell reads; the last one counts.
pub(super) fn assigned(text: &str, key: &str) -> Option<(String, usize)> {
    let of = |(index, line): (usize, &str)| {
        let (name, value) = line.trim().split_once('=')?;
        (name.trim() == key).then(|| (value.trim().trim_matches(['"', '\'']).to_string(), index + 1))
    };
    text.lines().enumerate().filter_map(of).last()
}

/// `### tuple ### allow tcp 22 0.0.0.0/0 any 0.0.0.0/0 in`: port and protocol that ufw opens.
fn ufw_opened(line: &str) -> Option<String> {
    let mut words = line.strip_prefix("### tuple ###")?.split_whitespace();
    let (action, protocol, port) = (words.next()?, words.next()?, words.next()?);
    let is_in = line.split_whitespace().any(|w| w == "in" || w.starts_with("in_"));
    (is_in && (action.starts_with("allow") || action.starts_with("limit"))).then(|| format!("{port}/{protocol}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::testing::rooted;

    const LINK: &str = "/etc/systemd/system/multi-user.target.wants";

    fn gathered(files: &[(&str, &str)], enabled: &str) -> (Vec<Boot>, Vec<crate::model::gap::Gap>) {
        let unit = format!("/usr/lib/systemd/system/{enabled}");
        let start = if enabled == "nftables.service" { "ExecStart=/usr/sbin/nft -f /etc/nftables.conf\n" } else { "ExecStart=/bin/true\n" };
        let text = format!("[Service]\n{start}[Install]\nWantedBy=multi-user.target\n");
        let mut all = files.to_vec();
        all.push((&unit, &text));
        let (root, host) = rooted(&all);
        let wants = root.path().join(LINK.trim_start_matches('/'));
        std::fs::create_dir_all(&wants).unwrap();
        std::os::unix::fs::symlink(&unit, wants.join(enabled)).unwrap();
        let mut gaps = Gaps::new();
        (gather(&host, &mut gaps), gaps.into_sorted())
    }

    #[test]
    fn ufw_is_on_when_both_say_so() {
        let files = |on| [("/etc/ufw/ufw.conf", on), ("/etc/default/ufw", "IPV6=no\nDEFAULT_INPUT_POLICY=\"ACCEPT\"\n"), ("/etc/ufw/user.rules", RULES)];
        const RULES: &str = "*filter\n### tuple ### allow tcp 22 0.0.0.0/0 any 0.0.0.0/0 in\n### tuple ### deny tcp 23 0.0.0.0/0 any 0.0.0.0/0 in\nCOMMIT\n";
        let (boot, gaps) = gathered(&files("# c\nENABLED=yes\n"), "ufw.service");
        let [ufw] = boot.as_slice() else { panic!("{boot:?}") };
        assert_eq!((ufw.enabled, ufw.unit_state.as_str(), ufw.ipv4.as_str(), ufw.ipv6.as_str(), ufw.source.line), (true, "enabled", "accept", "drop", 2));
        assert_eq!((ufw.open.as_slice(), gaps.len()), (&["22/tcp".to_string()][..], 0));
        assert!(!gathered(&files("ENABLED=no\n"), "ufw.service").0[0].enabled);
        assert!(!gathered(&files("ENABLED=yes\n"), "other.service").0[0].enabled);
    }

    #[test]
    fn nft_files_are_followed() {
        let main = "#!/usr/sbin/nft -f\nflush ruleset\ninclude \"/etc/nftables.d/*.nft\"\n";
        let rules = "table inet filter {\n chain input {\n  type filter hook input priority 0; policy drop;\n  tcp dport 22 accept\n }\n}\n";
        let (boot, gaps) = gathered(&[("/etc/nftables.conf", main), ("/etc/nftables.d/a.nft", rules)], "nftables.service");
        assert_eq!((boot[0].enabled, boot[0].ipv4.as_str(), boot[0].ipv6.as_str(), gaps), (true, "drop", "drop", vec![]));
    }

    #[test]
    fn saved_rules_and_zones() {
        let text = "*filter\n:INPUT ACCEPT [0:0]\n-A INPUT -p tcp --dport 22 -j ACCEPT\n-A INPUT -j REJECT --reject-with icmp-host-prohibited\nCOMMIT\n";
        let (boot, _) = gathered(&[("/etc/iptables/rules.v4", text)], "netfilter-persistent.service");
        assert_eq!((boot[0].subject.as_str(), boot[0].enabled, boot[0].ipv4.as_str(), boot[0].ipv6.as_str()), ("iptables", true, "drop", "none"));
        let zone = "<?xml version=\"1.0\"?><zone target=\"DROP\"><service name=\"ssh\"/><port port=\"8443\" protocol=\"tcp\"/></zone>";
        let files = [("/etc/firewalld/firewalld.conf", "DefaultZone=dmz\n"), ("/usr/lib/firewalld/zones/dmz.xml", zone)];
        let (boot, gaps) = gathered(&files, "firewalld.service");
        assert_eq!((boot[0].ipv4.as_str(), boot[0].open.join(" ").as_str(), gaps), ("drop", "8443/tcp ssh", vec![]));
        assert_eq!(gathered(&[], "firewalld.service").0, []);
    }

    #[test]
    fn words_of_command_lines() {
        assert_eq!(file_of("/usr/sbin/nft -f /etc/nftables.conf").as_deref(), Some("/etc/nftables.conf"));
        assert_eq!(file_of("/sbin/nft -f'/x'").as_deref(), None);
        assert_eq!(file_of("/sbin/nft flush ruleset"), None);
    }
}
