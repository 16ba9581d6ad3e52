//! Three network namespaces joined by veth pairs, and connections that are tried between them.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::io::Write as _;
use std::process::{Child, Command, Stdio};

use serde_json::Value;

use super::ASSAY;

/// Ports that the machine listens on, over both IP versions.
pub const PORTS: [u16; 4] = [22, 80, 443, 5432];
pub const OUTSIDE: [&str; 5] = ["10.77.0.2", "10.77.0.3", "192.0.2.5", "fd77::2", "2001:db8:1::5"];
pub const INSIDE: [&str; 2] = ["10.88.0.2", "fd88::2"];

/// Listens on every port given, on all addresses, and accepts; says when it does.
const SERVER: &str = "import socket, sys, selectors
s = selectors.DefaultSelector()
for port in sys.argv[1:]:
    for family, any in ((socket.AF_INET, '0.0.0.0'), (socket.AF_INET6, '::')):
        l = socket.socket(family); l.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6: l.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        l.bind((any, int(port))); l.listen(100); s.register(l, selectors.EVENT_READ)
print('ready', flush=True)
while True:
    for key, _ in s.select():
        key.fileobj.accept()[0].close()
";

/// Tries `SOURCE DESTINATION PORT EXPECTED` lines; waits until those that are expected are through, and as long
/// again for the others; prints the ones that are through.
const CLIENT: &str = "import socket, sys, selectors, time
s = selectors.DefaultSelector(); left = 0; begin = time.monotonic()
for line in sys.stdin:
    source, destination, port, expected = line.split()
    c = socket.socket(socket.AF_INET6 if ':' in source else socket.AF_INET); c.setblocking(False); c.bind((source, 0))
    try: c.connect((destination, int(port)))
    except BlockingIOError: pass
    except OSError: continue
    left += expected == 'yes'; s.register(c, selectors.EVENT_WRITE, (f'{source} {destination} {port}', expected == 'yes'))
end = begin + 15; done = None
while s.get_map() and time.monotonic() < end:
    if left <= 0 and done is None: done = time.monotonic(); end = min(end, done + max(0.15, done - begin))
    for key, _ in s.select(0.02):
        s.unregister(key.fileobj)
        ok = key.fileobj.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == 0
        if ok: print(key.data[0])
        left -= key.data[1]
";

/// Three namespaces, removed when dropped.
pub struct Net {
    id: String,
    pub server: Vec<Child>,
}

fn run(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output().unwrap_or_else(|e| panic!("{program}: {e}"));
    assert!(output.status.success(), "{program} {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

impl Net {
    pub fn new(name: &str) -> Self {
        let net = Self { id: format!("fw{}{name}", std::process::id() % 100_000), server: Vec::new() };
        for space in ["a", "b", "c"] {
            run("ip", &["netns", "add", &net.space(space)]);
            net.ip(space, "link set lo up");
        }
        for (near, far, other) in [("s0", "o0", "b"), ("s1", "i0", "c")] {
            let (a, b) = (net.space("a"), net.space(other));
            run("ip", &["link", "add", near, "netns", &a, "type", "veth", "peer", "name", far, "netns", &b]);
            net.ip("a", &format!("link set {near} up"));
            net.ip(other, &format!("link set {far} up"));
        }
        for line in [
            "a addr add 10.77.0.1/24 dev s0",
            "a addr add fd77::1/64 dev s0 nodad",
            "a addr add 10.88.0.1/24 dev s1",
            "a addr add fd88::1/64 dev s1 nodad",
            "b addr add 10.77.0.2/24 dev o0",
            "b addr add 10.77.0.3/24 dev o0",
            "b addr add 192.0.2.5/32 dev o0",
            "b addr add fd77::2/64 dev o0 nodad",
            "b addr add 2001:db8:1::5/128 dev o0 nodad",
            "c addr add 10.88.0.2/24 dev i0",
            "c addr add fd88::2/64 dev i0 nodad",
            "a route add default via 10.77.0.2",
            "a -6 route add default via fd77::2",
            "b route add default via 10.77.0.1",
            "b -6 route add default via fd77::1",
            "c route add default via 10.88.0.1",
            "c -6 route add default via fd88::1",
        ] {
            let (space, rest) = line.split_once(' ').unwrap();
            net.ip(space, rest);
        }
        net
    }

    fn space(&self, space: &str) -> String {
        format!("{}{space}", self.id)
    }

    fn ip(&self, space: &str, line: &str) {
        let space = self.space(space);
        let mut arguments = vec!["-n", space.as_str()];
        arguments.extend(line.split(' '));
        run("ip", &arguments);
    }

    /// A command within a namespace.
    pub fn within(&self, space: &str, program: &str) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.space(space), program]);
        command
    }

    pub fn shell(&self, script: &str) {
        let output = self.within("a", "sh").args(["-ec", script]).output().unwrap();
        assert!(output.status.success(), "{script}\n{}", String::from_utf8_lossy(&output.stderr));
    }

    /// Replaces the whole rule set.
    pub fn load(&self, rules: &str) {
        if let Err(refused) = self.try_to_load(rules) {
            panic!("{rules}\n{refused}");
        }
    }

    /// The same, or what nft(8) has against it.
    pub fn try_to_load(&self, rules: &str) -> Result<(), String> {
        // The end of a block ends a line.
        let rules = [" }", " chain", " table"].iter().fold(rules.to_string(), |text, next| text.replace(&format!("}}{next}"), &format!("}}\n{next}")));
        let mut child = self.within("a", "nft").args(["-f", "-"]).stdin(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(format!("flush ruleset\n{rules}").as_bytes()).unwrap();
        let output = child.wait_with_output().unwrap();
        if output.status.success() { Ok(()) } else { Err(String::from_utf8_lossy(&output.stderr).into_owned()) }
    }

    pub fn serve(&mut self, space: &str, ports: &[u16]) {
        let ports: Vec<String> = ports.iter().map(u16::to_string).collect();
        let mut child = self.within(space, "python3").args(["-c", SERVER]).args(&ports).stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        std::io::BufRead::read_line(&mut std::io::BufReader::new(child.stdout.take().unwrap()), &mut line).unwrap();
        assert_eq!(line, "ready\n");
        self.server.push(child);
    }

    /// The whole document of a scan, with these arguments.
    pub fn scan(&self, arguments: &[&str]) -> Value {
        let output = self.within("a", ASSAY).args(["scan", "--format", "json"]).args(arguments).output().unwrap();
        serde_json::from_slice(&output.stdout).unwrap_or_else(|e| panic!("{e}: {}", String::from_utf8_lossy(&output.stderr)))
    }

    pub fn firewall(&self) -> Value {
        self.scan(&["--family", "firewall"])["facts"]["firewall"].clone()
    }

    /// Which of these attempts get through, asked of the kernel.
    pub fn measure(&self, attempts: &BTreeMap<Attempt, bool>) -> BTreeSet<Attempt> {
        let mut reached = BTreeSet::new();
        for (space, sources) in [("b", &OUTSIDE[..]), ("c", &INSIDE[..])] {
            let own = attempts.iter().filter(|(a, _)| sources.contains(&a.source));
            let mut lines = String::new();
            let mut by_line = BTreeMap::new();
            for (attempt, expected) in own {
                let key = format!("{} {} {}", attempt.source, attempt.destination, attempt.port);
                writeln!(lines, "{key} {}", if *expected { "yes" } else { "no" }).unwrap();
                by_line.insert(key, *attempt);
            }
            let mut child = self.within(space, "python3").args(["-c", CLIENT]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
            child.stdin.take().unwrap().write_all(lines.as_bytes()).unwrap();
            let output = child.wait_with_output().unwrap();
            assert!(output.status.success());
            reached.extend(String::from_utf8(output.stdout).unwrap().lines().map(|l| by_line[l]));
        }
        reached
    }
}

impl Drop for Net {
    fn drop(&mut self) {
        for child in &mut self.server {
            let _ = child.kill();
            let _ = child.wait();
        }
        for space in ["a", "b", "c"] {
            let _ = Command::new("ip").args(["netns", "del", &self.space(space)]).status();
        }
    }
}

/// A connection to be tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Attempt {
    pub source: &'static str,
    pub destination: &'static str,
    pub port: u16,
}
