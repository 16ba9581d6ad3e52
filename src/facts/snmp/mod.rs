//! Net-SNMP's agent: who may ask it, in which version, from where. No community and no password is
//! ever kept: only whether a community is one that everybody knows.

mod addresses;
mod files;

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::super_servers::launch::{self, Launch, Wanted};
use super::{Document, HostFamily};
use crate::host::{CONFIG_LIMIT, Host, manager};
use crate::model::fact::Source;
use crate::model::gap::Gaps;
use files::Directive;

/// Agents and who may ask them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Snmp {
    /// Agents, by subject.
    pub agents: Vec<SnmpAgent>,
    /// Communities that open something in version 1 or 2c, by subject.
    pub communities: Vec<SnmpCommunity>,
    /// Users of version 3, by subject.
    pub users: Vec<SnmpUser>,
}

/// One snmpd.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SnmpAgent {
    /// `snmpd` and its first configuration file.
    pub subject: String,
    /// Version of its package; empty when no package owns it.
    pub version: String,
    /// Whether it runs or a boot starts it.
    pub starts: bool,
    /// `running`, `boot`, `on demand by …` or `no`.
    pub started: String,
    /// Addresses that it listens on, as written; empty: port 161 of every one.
    pub addresses: Vec<String>,
    /// Whether others than this machine reach one of them.
    pub reachable: bool,
    /// Whether any community opens something, so that versions 1 and 2c are answered.
    pub communities_open: bool,
    /// Users that were ever made (createUser lines and those that the agent keeps itself).
    pub users_made: u32,
    /// Configuration files read, in order.
    pub files: Vec<String>,
    /// The first of them.
    pub source: Source,
}

/// One community as it opens something.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SnmpCommunity {
    /// Agent, file and line.
    pub subject: String,
    /// Whether its agent starts.
    pub starts: bool,
    /// Whether others than this machine may use it: the agent is reachable and its source is not loopback.
    pub reachable: bool,
    /// Whether everybody knows it (`public`, `private` and other factory settings).
    pub well_known: bool,
    /// Whether values may be set, too.
    pub writes: bool,
    /// Clients, as written; `default` for every one.
    pub clients: String,
    /// Line.
    pub source: Source,
}

/// One user or group of users of version 3 as it opens something.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SnmpUser {
    /// Agent, file and line.
    pub subject: String,
    /// Name.
    #[schemars(extend("x-personal" = true))]
    pub name: String,
    /// Whether its agent starts.
    pub starts: bool,
    /// Whether others than this machine reach the agent.
    pub reachable: bool,
    /// Least protection that is demanded: `noauth`, `auth` or `priv`.
    pub level: String,
    /// Whether values may be set, too.
    pub writes: bool,
    /// Line.
    pub source: Source,
}

impl Document for Snmp {
    const NAME: &'static str = "snmp";
    const TITLE: &'static str = "Effective configuration of the SNMP agent";
}

impl HostFamily for Snmp {
    const WATCHED: &'static [&'static str] =
        &["/etc/snmp/**", "/usr/share/snmp/snmpd.conf", "/etc/default/snmpd", "/etc/systemd/system/multi-user.target.wants/*"];

    fn gather(host: &Host, gaps: &mut Gaps) -> Option<Self> {
        let wanted = Wanted { programs: &["snmpd"], scripts: &[("snmpd", "snmpd")], family: Self::NAME, path: "agents" };
        let mut own = Gaps::new();
        let mut launches = launch::survey(host, wanted, &mut own);
        for gap in own.into_sorted() {
            for path in ["agents", "communities", "users"] {
                gaps.add(crate::model::gap::Gap { path: path.into(), ..gap.clone() });
            }
        }
        let mut out = Self::default();
        let there = files::USUAL.iter().any(|p| host.exists(p).unwrap_or(true));
        if launches.is_empty() && there {
            launches.push(Launch { program: "snmpd".into(), arguments: Some(Vec::new()), how: "no".into(), unit: String::new(), source: Source::default() });
        }
        for launch in &launches {
            agent(host, launch, gaps, &mut out);
        }
        out.agents.sort_by(|a, b| a.subject.cmp(&b.subject));
        out.agents.dedup_by(|a, b| a.subject == b.subject);
        out.communities.sort_by(|a, b| a.subject.cmp(&b.subject));
        out.communities.dedup_by(|a, b| a.subject == b.subject);
        out.users.sort_by(|a, b| a.subject.cmp(&b.subject));
        out.users.dedup_by(|a, b| a.subject == b.subject);
        Some(out)
    }
}

/// Factory settings and names that every scanner tries.
const WELL_KNOWN: [&str; 20] = [
    "public",
    "private",
    "community",
    "manager",
    "admin",
    "administrator",
    "snmp",
    "snmpd",
    "default",
    "monitor",
    "read",
    "write",
    "readonly",
    "readwrite",
    "cisco",
    "secret",
    "password",
    "ilmi",
    "rmon",
    "test",
];
/// What the agent writes about itself.
const PERSISTENT: [&str; 2] = ["/var/lib/snmp/snmpd.conf", "/var/lib/net-snmp/snmpd.conf"];

fn agent(host: &Host, launch: &Launch, gaps: &mut Gaps, out: &mut Snmp) {
    let options = addresses::options(launch, &environment(host, launch));
    let first = options.files.first().cloned().or_else(|| files::USUAL.iter().find(|p| host.exists(p).unwrap_or(true)).map(|p| (*p).to_string()));
    let subject = format!("snmpd {}", first.as_deref().unwrap_or("without a file"));
    let read = files::read(host, &options, &subject, gaps);
    let directives = &read.directives;
    let mut listened = options.addresses.clone();
    for directive in directives.iter().filter(|d| d.keyword == "agentaddress") {
        listened.extend(directive.words.join(" ").split([',', ' ']).filter(|a| !a.is_empty()).map(String::from));
    }
    let reachable = listened.is_empty() || listened.iter().any(|a| addresses::is_reachable(a));
    let starts = launch.how != "no";
    let communities: Vec<SnmpCommunity> =
        communities(directives, &subject).into_iter().map(|c| SnmpCommunity { starts, reachable: reachable && !is_this_machine(&c.clients), ..c }).collect();
    let made = directives.iter().filter(|d| d.keyword == "createuser").count() + kept_users(host, gaps, &subject);
    let versions = manager::versions(host);
    out.users.extend(users(directives, &subject).into_iter().map(|u| SnmpUser { starts, reachable, ..u }));
    out.agents.push(SnmpAgent {
        version: ["snmpd", "net-snmp"].iter().find_map(|p| versions.get(*p).and_then(|v| v.last())).cloned().unwrap_or_default(),
        starts,
        started: launch.how.clone(),
        addresses: listened,
        reachable,
        communities_open: !communities.is_empty(),
        users_made: u32::try_from(made).unwrap_or(u32::MAX),
        files: read.files,
        source: first.map_or_else(|| launch.source.clone(), Source::whole),
        subject,
    });
    out.communities.extend(communities);
}

/// Words of the variables that Debian's older script and Red Hat's unit pass on.
fn environment(host: &Host, launch: &Launch) -> Vec<String> {
    if launch.arguments.is_some() {
        return Vec::new();
    }
    let text = host.read_text("/etc/default/snmpd", CONFIG_LIMIT).unwrap_or_default();
    let variables = launch::assignments(&text);
    variables.get("SNMPDOPTS").map(|v| v.split_whitespace().map(|w| w.trim_matches(['\'', '"']).to_string()).collect()).unwrap_or_default()
}

/// How many users the agent keeps in its own file.
fn kept_users(host: &Host, gaps: &mut Gaps, subject: &str) -> usize {
    let mut out = 0;
    for path in PERSISTENT {
        match host.read_text(path, CONFIG_LIMIT) {
            Ok(text) => out += text.lines().filter(|l| l.starts_with("usmUser ")).count(),
            Err(e) if e.is_not_found() => {}
            Err(e) => gaps.add(e.to_gap(Snmp::NAME, "agents.users_made", subject)),
        }
    }
    out
}

/// Whether clients are this machine alone.
fn is_this_machine(clients: &str) -> bool {
    matches!(clients, "localhost" | "::1" | "localhost6" | "unix") || clients.starts_with("127.")
}

fn is_well_known(community: &str) -> bool {
    WELL_KNOWN.iter().any(|w| community.eq_ignore_ascii_case(w))
}

/// Words without `-Cn CONTEXT` and `-s MODEL`, of which the model is told.
fn without_options(words: &[String]) -> (Vec<&str>, &str) {
    let mut out = Vec::new();
    let mut model = "usm";
    let mut words = words.iter().map(String::as_str);
    while let Some(word) = words.next() {
        match word {
            "-Cn" => {
                words.next();
            }
            "-s" => model = words.next().unwrap_or(model),
            _ => out.push(word),
        }
    }
    (out, model)
}

fn communities(directives: &[Directive], subject: &str) -> Vec<SnmpCommunity> {
    let mut out = Vec::new();
    let item = |d: &Directive, community: &str, clients: &str, writes: bool| SnmpCommunity {
        subject: format!("{subject} {}:{}", d.source.place, d.source.line),
        well_known: is_well_known(community),
        writes,
        clients: clients.into(),
        source: d.source.clone(),
        ..SnmpCommunity::default()
    };
    let groups = Groups::of(directives);
    for directive in directives {
        let (words, _) = without_options(&directive.words);
        let found = match (directive.keyword.as_str(), words.as_slice()) {
            ("rocommunity" | "rocommunity6", [community, rest @ ..]) => item(directive, community, rest.first().copied().unwrap_or("default"), false),
            ("rwcommunity" | "rwcommunity6", [community, rest @ ..]) => item(directive, community, rest.first().copied().unwrap_or("default"), true),
            ("authcommunity", [types, community, rest @ ..]) if types.contains("read") || types.contains("write") => {
                item(directive, community, rest.first().copied().unwrap_or("default"), types.contains("write"))
            }
            ("com2sec" | "com2sec6", [name, source, community, ..]) if !source.starts_with('!') => match groups.of_community(name) {
                Some(writes) => item(directive, community, source, writes),
                None => continue,
            },
            _ => continue,
        };
        out.push(found);
    }
    out
}

/// Groups by the model and name that lead to them, and what they open.
struct Groups<'d> {
    members: Vec<(&'d str, &'d str, &'d str, &'d Directive)>,
    /// Model, level, whether it writes, by group.
    opened: BTreeMap<&'d str, Vec<(&'d str, &'d str, bool)>>,
}

impl<'d> Groups<'d> {
    fn of(directives: &'d [Directive]) -> Self {
        let mut out = Self { members: Vec::new(), opened: BTreeMap::new() };
        for directive in directives {
            let (words, _) = without_options(&directive.words);
            match (directive.keyword.as_str(), words.as_slice()) {
                ("group", [group, model, name, ..]) => out.members.push((group, model, name, directive)),
                ("access", [group, _, model, level, _, read, rest @ ..]) => {
                    let writes = rest.first().is_some_and(|w| *w != "none");
                    if *read != "none" || writes {
                        out.opened.entry(group).or_default().push((model, level, writes));
                    }
                }
                ("authaccess", [types, group, _view, rest @ ..]) => {
                    out.opened.entry(group).or_default().push(("any", rest.first().copied().unwrap_or("noauth"), types.contains("write")))
                }
                ("setaccess", [group, _, model, level, _, _, types, ..]) => out.opened.entry(group).or_default().push((model, level, types.contains("write"))),
                _ => {}
            }
        }
        out
    }

    /// Whether a security name of com2sec opens something, and whether for writing.
    fn of_community(&self, name: &str) -> Option<bool> {
        let mut out = None;
        for (group, model, _, _) in self.members.iter().filter(|(_, m, n, _)| *n == name && matches!(*m, "v1" | "v2c")) {
            for (opened, level, writes) in self.opened.get(group).into_iter().flatten() {
                // A community can't authenticate, so that it meets no other level.
                if level_of(level) == "noauth" && (opened == model || *opened == "any") {
                    out = Some(out.unwrap_or(false) || *writes);
                }
            }
        }
        out
    }
}

fn level_of(word: &str) -> &'static str {
    let lower = word.to_ascii_lowercase();
    if lower.starts_with("noauth") {
        "noauth"
    } else if lower.contains("priv") {
        "priv"
    } else {
        "auth"
    }
}

fn users(directives: &[Directive], subject: &str) -> Vec<SnmpUser> {
    let mut out = Vec::new();
    let item = |d: &Directive, name: &str, level: &str, writes: bool| SnmpUser {
        subject: format!("{subject} {}:{} {name}", d.source.place, d.source.line),
        name: name.into(),
        level: level_of(level).into(),
        writes,
        source: d.source.clone(),
        ..SnmpUser::default()
    };
    for directive in directives {
        let (words, model) = without_options(&directive.words);
        // A level is the default when a view or an object stands in its place.
        let level = |rest: &[&'_ str]| {
            rest.first().filter(|w| ["noauth", "auth", "priv"].iter().any(|l| w.to_ascii_lowercase().starts_with(l))).map_or("auth", |w| level_of(w))
        };
        match (directive.keyword.as_str(), words.as_slice()) {
            // Of TLS and SSH the transport protects.
            ("rouser" | "rwuser" | "authuser", _) if matches!(model, "tsm") => {}
            ("rouser", [name, rest @ ..]) => out.push(item(directive, name, level(rest), false)),
            ("rwuser", [name, rest @ ..]) => out.push(item(directive, name, level(rest), true)),
            ("authuser", [types, name, rest @ ..]) => out.push(item(directive, name, level(rest), types.contains("write"))),
            _ => {}
        }
    }
    let groups = Groups::of(directives);
    for (group, _, name, directive) in groups.members.iter().filter(|(_, m, ..)| *m == "usm") {
        let of_users: Vec<_> = groups.opened.get(group).into_iter().flatten().filter(|(m, ..)| matches!(*m, "usm" | "any")).collect();
        let weakest = of_users.iter().map(|(_, level, _)| level_of(level)).min_by_key(|l| ["noauth", "auth", "priv"].iter().position(|k| k == l));
        if let Some(level) = weakest {
            out.push(item(directive, name, level, of_users.iter().any(|(.., writes)| *writes)));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::testing::rooted;

    fn gathered(text: &str) -> (Snmp, Vec<crate::model::gap::Gap>) {
        let (_root, host) = rooted(&[("/etc/snmp/snmpd.conf", text), ("/var/lib/snmp/snmpd.conf", "usmUser 1 3 0x8 \"x\"\n")]);
        let mut gaps = Gaps::new();
        let found = Snmp::gather(&host, &mut gaps).unwrap();
        (found, gaps.into_sorted())
    }

    #[test]
    fn communities_by_every_way_and_never_their_text() {
        let text = "rocommunity public default -V systemonly\nrwcommunity s3cr3t-one 10.0.0.0/8\n#rocommunity private\nrocommunity  Private localhost\n\
            com2sec readers 192.0.2.0/24 s3cr3t-two\ncom2sec -Cn ctx lonely default s3cr3t-three\ncom2sec denied !10.1.0.0/16 s3cr3t-four\n\
            group g v2c readers\naccess g \"\" any noauth exact all none none\n[snmp] defCommunity s3cr3t-five\nauthcommunity log,read \"s3cr3t six\" default\nauthcommunity log s3cr3t-seven\n";
        let (found, gaps) = gathered(text);
        assert_eq!(gaps, []);
        let shown: Vec<String> =
            found.communities.iter().map(|c| format!("{}|{}|{}|{}|{}", c.source.line, c.well_known, c.writes, c.clients, c.reachable)).collect();
        assert_eq!(
            shown,
            [
                "1|true|false|default|true",
                "11|false|false|default|true",
                "2|false|true|10.0.0.0/8|true",
                "4|true|false|localhost|false",
                "5|false|false|192.0.2.0/24|true"
            ]
        );
        let whole = serde_json::to_string(&found).unwrap();
        assert!(!whole.contains("s3cr3t"), "{whole}");
        assert!(!found.agents[0].starts && found.agents[0].users_made == 1 && found.agents[0].communities_open);
    }

    #[test]
    fn users_and_addresses() {
        let text = "agentaddress udp:127.0.0.1:161,[::1]\ncreateUser anna SHA-256 secretpass AES\nrouser anna priv\nrwuser bob\nrouser carl noauth .1.3\nrouser dora -V v\nrouser -s tsm eve\n\
            group g usm fred\naccess g \"\" usm authPriv exact all all none\n";
        let (found, _) = gathered(text);
        let shown: Vec<String> = found.users.iter().map(|u| format!("{}|{}|{}|{}", u.name, u.level, u.writes, u.reachable)).collect();
        assert_eq!(shown, ["anna|priv|false|false", "bob|auth|true|false", "carl|noauth|false|false", "dora|auth|false|false", "fred|priv|true|false"]);
        assert_eq!((found.agents[0].users_made, found.agents[0].reachable, found.agents[0].communities_open), (2, false, false));
        assert!(!serde_json::to_string(&found).unwrap().contains("secretpass"));
    }

    #[test]
    fn hostile_text_ends() {
        let text = "includeFile /etc/snmp/snmpd.conf\nincludeDir /etc/snmp\n[x\n[snmpd]\nrocommunity \"a\ncom2sec -Cn\naccess a b\n";
        for end in 0..=text.len() {
            let _ = gathered(&text[..end]);
        }
    }
}
