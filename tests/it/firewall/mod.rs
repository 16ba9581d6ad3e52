//! Exposures against the kernel itself: three network namespaces, real rules of nft, iptables and ufw, and
//! connections that are tried from each side. Who gets through must be who we say gets through.
//!
//! ```text
//! outside (b) 10.77.0.2, 10.77.0.3, 192.0.2.5, fd77::2, 2001:db8:1::5 --- 10.77.0.1, fd77::1 (a) 10.88.0.1 --- 10.88.0.2, fd88::2 (c) inside
//! ```

mod net;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::net::IpAddr;
use std::process::{Child, Command, Stdio};

use serde_json::Value;

use super::support::ASSAY;
use net::{Attempt, INSIDE, Net, OUTSIDE, PORTS};

fn attempts(ports: &[u16]) -> Vec<Attempt> {
    let destination = |source: &str| match (source.contains(':'), INSIDE.contains(&source)) {
        (false, false) => "10.77.0.1",
        (true, false) => "fd77::1",
        (false, true) => "10.88.0.1",
        (true, true) => "fd88::1",
    };
    let each = |source: &'static &'static str| ports.iter().map(move |port| Attempt { source, destination: destination(source), port: *port });
    OUTSIDE.iter().chain(&INSIDE).flat_map(each).collect()
}

fn holds(network: &str, address: &str) -> bool {
    let (base, bits) = network.split_once('/').unwrap();
    let (base, address): (IpAddr, IpAddr) = (base.parse().unwrap(), address.parse().unwrap());
    let number = |a: IpAddr| match a {
        IpAddr::V4(a) => (u128::from(u32::from(a)), 32_u32),
        IpAddr::V6(a) => (u128::from(a), 128),
    };
    let ((base, width), (address, other)) = (number(base), number(address));
    let open = width - bits.parse::<u32>().unwrap();
    width == other && (open >= 128 || base >> open == address >> open)
}

fn texts(value: &Value) -> Vec<&str> {
    value.as_array().unwrap().iter().map(|v| v.as_str().unwrap()).collect()
}

fn exposure<'a>(firewall: &'a Value, subject: &str) -> &'a Value {
    firewall["exposures"].as_array().unwrap().iter().find(|e| e["subject"] == subject).unwrap_or_else(|| panic!("{subject}: {firewall:#}"))
}

/// What our facts say of one attempt; `None`: unknown.
fn predicted(firewall: &Value, attempt: &Attempt) -> Option<bool> {
    let v6 = attempt.source.contains(':');
    let subject = if v6 { format!("[::]:{}/tcp", attempt.port) } else { format!("0.0.0.0:{}/tcp", attempt.port) };
    if led_here(firewall, attempt) {
        return Some(true);
    }
    let exposure = exposure(firewall, &subject);
    let within = |key: &str| texts(&exposure[key]).iter().any(|n| holds(n, attempt.source));
    match exposure[if v6 { "ipv6" } else { "ipv4" }].as_str().unwrap() {
        // A source of the inner side may be let in by one interface and not by the other; the list tells it apart.
        "everywhere" => Some(!within("excluded")),
        "networks" => Some(within("networks")),
        "nowhere" => Some(false),
        "unknown" => None,
        other => panic!("{other}"),
    }
}

/// Whether a redirection leads the attempt to another port that listens.
fn led_here(firewall: &Value, attempt: &Attempt) -> bool {
    let is_own = |p: &&Value| p["local"] == true && p["ports"].as_str() == Some(&attempt.port.to_string()) && !attempt.source.contains(':');
    let mut published = firewall["published"].as_array().unwrap().iter().filter(is_own);
    published.any(|p| p["from"] == "everywhere" || texts(&p["networks"]).iter().any(|n| holds(n, attempt.source)))
}

/// Loaded rules: our verdict of every attempt is the kernel's.
fn check(net: &Net, rules: &str) -> Value {
    let firewall = net.firewall();
    let wanted: BTreeMap<Attempt, bool> = attempts(&PORTS)
        .into_iter()
        .filter(|a| !(INSIDE.contains(&a.source) && exposure_is_everywhere(&firewall, a)))
        .map(|a| (a, predicted(&firewall, &a).unwrap_or_else(|| panic!("{a:?} is unknown under\n{rules}\n{firewall:#}"))))
        .collect();
    let reached = net.measure(&wanted);
    let said: BTreeSet<Attempt> = wanted.into_iter().filter(|(_, yes)| *yes).map(|(a, _)| a).collect();
    assert_eq!(said, reached, "said and measured differ under\n{rules}\n{firewall:#}");
    firewall
}

/// `everywhere` speaks of the outer interface; who comes by another one is not told apart then.
fn exposure_is_everywhere(firewall: &Value, attempt: &Attempt) -> bool {
    let v6 = attempt.source.contains(':');
    let subject = if v6 { format!("[::]:{}/tcp", attempt.port) } else { format!("0.0.0.0:{}/tcp", attempt.port) };
    exposure(firewall, &subject)[if v6 { "ipv6" } else { "ipv4" }] == "everywhere"
}

const RULE_SETS: &[&str] = &[
    "",
    "table inet f { chain i { type filter hook input priority 0; policy drop; ct state established,related accept; iif lo accept; icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert } accept; tcp dport { 22, 443 } accept; } }",
    "table ip f { chain i { type filter hook input priority 0; policy drop; ip saddr 10.77.0.0/24 tcp dport 22 accept; ip saddr != 192.0.2.0/24 tcp dport 80-443 accept; } }",
    "table inet f { set n { type ipv4_addr; flags interval; elements = { 10.77.0.2/31, 192.0.2.0-192.0.2.9 }; } chain i { type filter hook input priority 0; meta l4proto ipv6-icmp accept; ip saddr @n tcp dport 22 drop; iifname \"s1\" tcp dport 80 drop; iifname \"s*\" meta nfproto ipv6 tcp dport 443 reject; } }",
    "table inet f { map v { type ipv4_addr . inet_service : verdict; flags interval; elements = { 10.77.0.0/24 . 22 : accept, 192.0.2.5 . 80-443 : jump j, 0.0.0.0/0 . 5432 : drop } } chain j { tcp dport 443 return; accept; } chain i { type filter hook input priority 0; policy drop; meta l4proto ipv6-icmp accept; ip saddr . tcp dport vmap @v; } }",
    "table inet a { chain p { type filter hook prerouting priority raw; ip saddr 10.77.0.3 meta mark set 7; tcp dport 80 notrack; } } table inet b { chain i { type filter hook input priority 10; policy accept; meta mark 7 drop; ct state untracked drop; } chain e { type filter hook input priority -10; tcp dport 443 accept; } chain l { type filter hook input priority 20; ip saddr 192.0.2.5 tcp dport 443 drop; } }",
    "table ip n { chain p { type nat hook prerouting priority dstnat; tcp dport 80 redirect to :22; ip saddr 10.77.0.3 tcp dport 443 dnat to 10.77.0.1:5432; } chain i { type filter hook input priority 0; policy drop; tcp dport { 22, 5432 } ip saddr 10.77.0.0/24 accept; } }",
    "table netdev d { chain g { type filter hook ingress device s0 priority 0; ip saddr 192.0.2.0/24 drop; ip6 saddr 2001:db8::/32 tcp dport 22 drop; } } table inet f { chain i { type filter hook input priority 0; tcp flags syn / fin,syn,rst,ack limit rate 100/second counter accept; tcp dport 5432 drop; } }",
    "table inet f { chain i { type filter hook input priority 0; policy drop; meta l4proto ipv6-icmp accept; tcp dport 22 goto g; tcp dport 80 accept; } chain g { ip6 saddr & ffff:ffff:: == fd77:: accept; ip saddr & 255.0.0.254 == 10.0.0.2 ip saddr 10.77.0.2 accept; fib saddr . iif oif missing drop; fib daddr type local ip saddr 10.88.0.0/16 accept; } }",
    "table inet f { chain i { type filter hook input priority 0; policy drop; meta l4proto ipv6-icmp accept; tcp sport 1024-65535 tcp dport 22 accept; ct state vmap { established : accept, related : accept, invalid : drop }; iif s1 tcp dport { 80, 443 } accept; ip protocol tcp th dport 5432 ip saddr 10.77.0.2 accept; } }",
];

#[test]
fn verdicts_are_the_kernels() {
    let mut net = Net::new("k");
    net.serve("a", &PORTS);
    for rules in RULE_SETS {
        // A mask without a prefix is not decoded, and says so.
        let is_odd = rules.contains("255.0.0.254");
        net.load(&rules.replace("ip saddr & 255.0.0.254 == 10.0.0.2 ", ""));
        let firewall = check(&net, rules);
        same_as_nft(&net, &firewall);
        if is_odd {
            net.load(rules);
            let firewall = net.firewall();
            assert_eq!(exposure(&firewall, "0.0.0.0:22/tcp")["ipv4"], "unknown");
            assert_eq!(exposure(&firewall, "0.0.0.0:22/tcp")["doubt"], "inet f g rule 2: an address under a mask that is no prefix");
            assert_eq!(exposure(&firewall, "0.0.0.0:80/tcp")["ipv4"], "everywhere");
        }
    }
}

/// Chains, their hooks and policies, and the number of rules as nft itself lists them.
fn same_as_nft(net: &Net, firewall: &Value) {
    let output = net.within("a", "nft").args(["-j", "list", "ruleset"]).output().unwrap();
    let listed: Value = serde_json::from_slice(&output.stdout).unwrap();
    let of = |kind: &str| listed["nftables"].as_array().unwrap().iter().filter_map(|o| o.get(kind)).cloned().collect::<Vec<_>>();
    let text = |v: &Value, key: &str| v[key].as_str().unwrap().to_string();
    let theirs: BTreeSet<String> = of("chain")
        .iter()
        .filter(|c| c.get("hook").is_some())
        .map(|c| {
            format!(
                "{} {} {} {} {} {} {}",
                text(c, "family"),
                text(c, "table"),
                text(c, "name"),
                text(c, "type"),
                text(c, "hook"),
                c["prio"],
                text(c, "policy")
            )
        })
        .collect();
    let ours: BTreeSet<String> = firewall["chains"]
        .as_array()
        .unwrap()
        .iter()
        .map(|c| format!("{} {} {} {} {}", text(c, "subject"), text(c, "kind"), text(c, "hook"), c["priority"], text(c, "policy")))
        .collect();
    assert_eq!(ours, theirs);
    assert_eq!(firewall["rules"].as_array().unwrap().len(), of("rule").len());
}

#[test]
fn iptables_and_docker() {
    let mut net = Net::new("i");
    net.serve("a", &PORTS);
    net.serve("c", &[80]);
    let rules = "iptables-nft -P INPUT DROP; ip6tables-nft -P INPUT DROP; ip6tables-nft -A INPUT -p ipv6-icmp -j ACCEPT
        iptables-nft -A INPUT -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
        iptables-nft -A INPUT -m conntrack --ctstate INVALID -j DROP
        iptables-nft -A INPUT -p tcp -m multiport --dports 22,100:443 -s 10.77.0.0/24 -m comment --comment 'two of them' -j ACCEPT
        iptables-nft -A INPUT -p tcp --dport 80 -m iprange --src-range 192.0.2.1-192.0.2.7 -m addrtype --dst-type LOCAL -j ACCEPT
        iptables-nft -A INPUT -i s1 -p tcp --dport 5432 --syn -j ACCEPT
        iptables-nft -A INPUT -m limit --limit 3/min -j LOG
        ip6tables-nft -A INPUT -p tcp --dport 22 ! -s 2001:db8::/32 -j ACCEPT
        ip6tables-nft -A INPUT -p tcp --dport 80 -m conntrack --ctstate NEW -m recent --set
        ip6tables-nft -A INPUT -p tcp --dport 80 -m conntrack --ctstate NEW -m recent --update --seconds 30 --hitcount 60 -j REJECT
        ip6tables-nft -A INPUT -p tcp --dport 80 -j ACCEPT";
    let available = |module: &str| net.within("a", "iptables-nft").args(["-A", "OUTPUT", "-m", module, "-h"]).output().is_ok();
    assert!(available("recent"));
    // A kernel without the module `recent` refuses those rules: the rest is tested all the same.
    let has_recent = net.within("a", "ip6tables-nft").args(["-A", "OUTPUT", "-m", "recent", "--set"]).output().unwrap().status.success();
    net.shell("ip6tables-nft -F OUTPUT");
    let rules: String = rules.lines().filter(|l| has_recent || !l.contains("recent")).fold(String::new(), |all, line| all + line + "\n");
    net.shell(&rules);
    let firewall = check(&net, &rules);
    assert_eq!(firewall["chains"][0]["managed_by"], "iptables");
    assert_eq!(firewall["input"][0]["default"], "drop");

    // What Docker sets up for `-p 8080:80`.
    net.shell(
        "echo 1 > /proc/sys/net/ipv4/ip_forward
         iptables-nft -P FORWARD DROP; iptables-nft -N DOCKER; iptables-nft -N DOCKER-USER; iptables-nft -A FORWARD -j DOCKER-USER
         iptables-nft -A FORWARD -o s1 -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT; iptables-nft -A FORWARD -o s1 -j DOCKER
         iptables-nft -A FORWARD -i s1 ! -o s1 -j ACCEPT; iptables-nft -A DOCKER -d 10.88.0.2/32 ! -i s1 -o s1 -p tcp -m tcp --dport 80 -j ACCEPT
         iptables-nft -t nat -N DOCKER; iptables-nft -t nat -A PREROUTING -m addrtype --dst-type LOCAL -j DOCKER
         iptables-nft -t nat -A DOCKER ! -i s1 -p tcp -m tcp --dport 8080 -j DNAT --to-destination 10.88.0.2:80",
    );
    let published = |firewall: &Value| firewall["published"][0].clone();
    let found = published(&net.firewall());
    assert_eq!((found["subject"].as_str().unwrap(), found["from"].as_str().unwrap()), ("8080/tcp to 10.88.0.2:80", "everywhere"), "{found:#}");
    assert_eq!(found["source"]["directive"], "ip nat DOCKER rule 1");
    let through = |source| Attempt { source, destination: "10.77.0.1", port: 8080 };
    let all: BTreeMap<Attempt, bool> = OUTSIDE[..3].iter().map(|s| (through(s), true)).collect();
    assert_eq!(net.measure(&all), all.keys().copied().collect());
    net.shell("iptables-nft -A DOCKER-USER -i s0 ! -s 10.77.0.2 -j DROP");
    let found = published(&net.firewall());
    assert_eq!((found["from"].as_str().unwrap(), texts(&found["networks"])), ("networks", vec!["10.77.0.2/32"]));
    let all: BTreeMap<Attempt, bool> = OUTSIDE[..3].iter().map(|s| (through(s), *s == "10.77.0.2")).collect();
    assert_eq!(net.measure(&all), [through("10.77.0.2")].into());
}

/// Rules as ufw's own files make them, loaded by iptables-restore as ufw-init does.
#[test]
fn the_rules_of_ufw() {
    let mut net = Net::new("u");
    net.serve("a", &PORTS);
    let user = "*filter\n:ufw-user-input - [0:0]\n:ufw-user-output - [0:0]\n:ufw-user-forward - [0:0]\n\
         -A ufw-user-input -p tcp --dport 22 -s 10.77.0.0/24 -j ACCEPT\n-A ufw-user-input -p tcp -m multiport --dports 80,443 -j ACCEPT\n-A ufw-user-input -p tcp --dport 5432 -s 192.0.2.5 -j REJECT\nCOMMIT\n";
    let head = "*filter\n:INPUT DROP [0:0]\n:ufw-before-input - [0:0]\n:ufw-user-input - [0:0]\n-A INPUT -j ufw-before-input\nCOMMIT\n";
    // What the rules call in ufw's own chains for logging.
    let before = std::fs::read_to_string("/etc/ufw/before.rules")
        .unwrap()
        .replace(":ufw-not-local", ":ufw-logging-deny - [0:0]\n:ufw-user-input - [0:0]\n:ufw-not-local");
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in [("head", head), ("before", &before), ("user", user)] {
        std::fs::write(folder.path().join(name), text).unwrap();
    }
    let path = folder.path().display();
    net.shell(&format!(
        "iptables-nft-restore -n {path}/head; iptables-nft-restore -n {path}/before; iptables-nft-restore -n {path}/user; iptables-nft -A ufw-before-input -j ufw-user-input"
    ));
    let firewall = check(&net, "ufw");
    assert_eq!(firewall["chains"][0]["managed_by"], "ufw");
    let input = firewall["input"].as_array().unwrap();
    assert_eq!((input[0]["default"].as_str(), input[1]["default"].as_str()), (Some("drop"), Some("accept")), "{input:#?}");
}

/// A generator of numbers that is the same each time (xorshift).
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % u64::try_from(end).unwrap()).unwrap()
    }

    fn of<'a>(&mut self, list: &[&'a str]) -> &'a str {
        list[self.below(list.len())]
    }
}

/// No limits: what is under one now is over it later, so that a drop behind it keeps nobody out for sure;
/// nor one own address alone: who is dropped there reaches the other one.
fn random_rule(numbers: &mut Numbers, chains: &[&str]) -> String {
    let matches = [
        "ip saddr 10.77.0.2",
        "ip saddr != 10.77.0.0/24",
        "ip saddr { 10.77.0.3, 192.0.2.0/24, 10.88.0.0/16 }",
        "ip saddr 10.77.0.2-10.77.0.3",
        "ip saddr @n",
        "ip saddr != @n",
        "ip6 saddr fd77::/64",
        "ip6 saddr { fd77::2, 2001:db8:1::/48 }",
        "ip6 saddr != 2001:db8::/32",
        "iifname s0",
        "iifname != \"s1\"",
        "iif s1",
        "tcp dport 22",
        "tcp dport { 22, 80 }",
        "tcp dport 80-5432",
        "tcp dport != 443",
        "ip saddr . tcp dport { 10.77.0.2 . 22, 10.77.0.3 . 80, 192.0.2.5 . 443 }",
        "iifname . tcp dport { s0 . 80, s1 . 22 }",
        "ct state new",
        "meta nfproto ipv4",
        "meta l4proto tcp",
        "ip daddr { 10.77.0.1, 10.88.0.1 }",
        "ip saddr 10.77.0.2 ip daddr != 10.99.0.1",
        "mark 5",
        "mark & 0x6 == 0x4",
        "meta pkttype host",
        "fib daddr type local",
        "tcp sport >= 1024",
    ];
    let mut rule = String::new();
    for _ in 0..numbers.below(3) {
        rule.push_str(numbers.of(&matches));
        rule.push(' ');
    }
    if numbers.below(8) == 0 {
        return format!("{rule}tcp dport vmap {{ 22 : accept, 80 : drop, 443 : jump {} }}", numbers.of(chains));
    }
    rule + &match numbers.below(9) {
        0..=2 => "accept".to_string(),
        3..=5 => "counter drop".to_string(),
        6 if !chains.is_empty() => format!("jump {}", numbers.of(chains)),
        7 => "meta mark set 5".to_string(),
        _ => "return".to_string(),
    }
}

fn random_rules(numbers: &mut Numbers) -> String {
    let mut text = String::from("table inet r {\n set n { type ipv4_addr; flags interval; elements = { 10.77.0.3, 192.0.2.0/28 }; }\n");
    for (name, below) in [("y", &[][..]), ("x", &["y"][..])] {
        let rules: Vec<String> = (0..numbers.below(4)).map(|_| if below.is_empty() { random_leaf(numbers) } else { random_rule(numbers, below) }).collect();
        writeln!(text, " chain {name} {{ {}; }}", rules.join("; ")).unwrap();
    }
    for (name, hook, priority) in [("pre", "prerouting", "mangle"), ("in", "input", "0"), ("late", "input", "10")] {
        // Without neighbours nobody gets through over IPv6, whatever the rules.
        let policy = if name == "in" { numbers.of(&["accept", "drop"]) } else { "accept" };
        let count = if name == "in" { 2 + numbers.below(6) } else { numbers.below(3) };
        let rules: Vec<String> = (0..count).map(|_| random_rule(numbers, &["x", "y"])).collect();
        writeln!(
            text,
            " chain {name} {{ type filter hook {hook} priority {priority}; policy {policy}; meta l4proto ipv6-icmp accept; ct state established accept; {}; }}",
            rules.join("; ")
        )
        .unwrap();
    }
    text + "}\n"
}

fn random_leaf(numbers: &mut Numbers) -> String {
    format!(
        "{} {}",
        numbers.of(&["ip saddr 10.77.0.2", "tcp dport 22", "iifname s0", "ip saddr @n"]),
        numbers.of(&["accept", "drop", "return", "meta mark set 5"])
    )
}

/// How many rule sets are made up; more with `ASSAY_FIREWALL_CASES`.
const CASES: usize = 20;

#[test]
fn made_up_rules_are_judged_as_the_kernel_does() {
    let cases = std::env::var("ASSAY_FIREWALL_CASES").ok().and_then(|n| n.parse().ok()).unwrap_or(CASES);
    let mut net = Net::new("r");
    net.serve("a", &PORTS);
    let mut numbers = Numbers(0x2545_f491_4f6c_dd1d);
    let mut done = 0;
    while done < cases {
        let rules = random_rules(&mut numbers);
        // Rules of both IP versions at once are refused.
        if net.try_to_load(&rules).is_ok() {
            check(&net, &rules);
            done += 1;
        }
    }
}

fn verdicts(document: &Value, rule: &str) -> BTreeMap<String, String> {
    let findings = document["findings"].as_array().unwrap().iter().filter(|f| f["rule"] == rule);
    findings.map(|f| (f["subject"].as_str().unwrap().to_string(), f["verdict"].as_str().unwrap().to_string())).collect()
}

#[test]
fn rules_judge_the_running_machine() {
    let mut net = Net::new("j");
    net.serve("a", &[22, 8443]);
    net.load("table ip f { chain i { type filter hook input priority 0; policy drop; tcp dport { 22, 8443 } accept; } }");
    let folder = tempfile::tempdir().unwrap();
    let policy = folder.path().join("policy.yaml");
    std::fs::write(&policy, "exposed_endpoints: [22/tcp]\n").unwrap();
    let document = net.scan(&["--family", "firewall", "--policy", policy.to_str().unwrap()]);
    let defaults = verdicts(&document, "firewall-default-drop");
    assert_eq!((defaults["ipv4"].as_str(), defaults["ipv6"].as_str()), ("pass", "fail"), "{defaults:?}");
    let exposed = verdicts(&document, "exposure-undeclared");
    assert_eq!((exposed["0.0.0.0:22/tcp"].as_str(), exposed["0.0.0.0:8443/tcp"].as_str()), ("pass", "fail"), "{exposed:?}");
    net.load("table inet f { chain i { type filter hook input priority 0; policy drop; tcp dport 22 accept; } }");
    let document = net.scan(&["--family", "firewall", "--policy", policy.to_str().unwrap()]);
    let defaults = verdicts(&document, "firewall-default-drop");
    assert_eq!((defaults["ipv4"].as_str(), defaults["ipv6"].as_str()), ("pass", "pass"));
    assert_eq!(verdicts(&document, "exposure-undeclared")["0.0.0.0:8443/tcp"], "pass");
    // The same rules give the same facts.
    let again = net.scan(&["--family", "firewall"]);
    assert_eq!(again["facts"]["firewall"]["rules"], document["facts"]["firewall"]["rules"]);
}

#[test]
fn peers_are_held_against_the_list() {
    let mut net = Net::new("p");
    let connect = "import socket, sys\nkept = [socket.create_connection(('192.0.2.5', p)) for p in (4443, 513)]\nprint('ready', flush=True)\nsys.stdin.read()";
    let listen = "import socket, sys\ns = [socket.create_server(('192.0.2.5', p)) for p in (4443, 513)]\nprint('ready', flush=True)\nsys.stdin.read()";
    let ready = |child: &mut Child| {
        let mut line = String::new();
        std::io::BufRead::read_line(&mut std::io::BufReader::new(child.stdout.take().unwrap()), &mut line).unwrap();
        assert_eq!(line, "ready\n");
    };
    let mut server = net.within("b", "python3").args(["-c", listen]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    ready(&mut server);
    let mut client = net.within("a", "python3").args(["-c", connect]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    ready(&mut client);
    net.server.extend([server, client]);
    let folder = tempfile::tempdir().unwrap();
    let list = folder.path().join("parties.csv");
    std::fs::write(&list, "name,networks,ports,purpose\nMail Ltd,192.0.2.0/24,4443,mail\n").unwrap();
    let document = net.scan(&["--family", "connections", "--third-parties", list.to_str().unwrap()]);
    let of = |rule: &str| -> Vec<(String, String)> {
        let all = verdicts(&document, rule).into_iter();
        all.filter(|(s, _)| s.contains("192.0.2.5")).map(|(s, v)| (s.rsplit(' ').next().unwrap().to_string(), v)).collect()
    };
    let pair = |a: &str, b: &str| (a.to_string(), b.to_string());
    assert_eq!(of("transfer-undeclared"), [pair("192.0.2.5:4443/tcp", "pass"), pair("192.0.2.5:513/tcp", "fail")]);
    assert_eq!(of("transfer-plaintext"), [pair("192.0.2.5:4443/tcp", "not_applicable"), pair("192.0.2.5:513/tcp", "fail")]);
}

/// A recorded machine: what it would load, and what it would not.
#[test]
fn configurations_of_a_root_folder() {
    let root = tempfile::tempdir().unwrap();
    let write = |path: &str, text: &str| {
        let path = root.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    };
    write("etc/nftables.conf", "flush ruleset\ntable inet filter {\n chain input { type filter hook input priority filter; }\n}\n");
    write("lib/systemd/system/nftables.service", "[Service]\nExecStart=/usr/sbin/nft -f /etc/nftables.conf\n[Install]\nWantedBy=sysinit.target\n");
    write("lib/systemd/system/ufw.service", "[Service]\nExecStart=/lib/ufw/ufw-init start\n[Install]\nWantedBy=multi-user.target\n");
    write("etc/ufw/ufw.conf", "ENABLED=yes\n");
    write("etc/default/ufw", "IPV6=yes\nDEFAULT_INPUT_POLICY=\"DROP\"\n");
    std::fs::create_dir_all(root.path().join("etc/systemd/system/multi-user.target.wants")).unwrap();
    std::os::unix::fs::symlink("/lib/systemd/system/ufw.service", root.path().join("etc/systemd/system/multi-user.target.wants/ufw.service")).unwrap();
    let output = Command::new(ASSAY).args(["scan", "--family", "firewall", "--format", "json", "--root"]).arg(root.path()).output().unwrap();
    let document: Value = serde_json::from_slice(&output.stdout).unwrap();
    let boot = document["facts"]["firewall"]["boot"].as_array().unwrap();
    let shown: Vec<String> = boot
        .iter()
        .map(|b| format!("{} {} {} {}", b["subject"].as_str().unwrap(), b["unit_state"].as_str().unwrap(), b["enabled"], b["ipv4"].as_str().unwrap()))
        .collect();
    assert_eq!(shown, ["nftables disabled false accept", "ufw enabled true drop"]);
    assert_eq!(verdicts(&document, "firewall-at-boot").values().collect::<Vec<_>>(), ["unknown"]);
}
