//! The `transfers` family: outbound connections to public peers, joined to the declared third parties.
//!
//! Derived, never gathered: a pure function of the observation and the list.

use std::net::IpAddr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::model::fact::{Observation, Source};
use crate::model::gap::{Gap, reason};
use crate::model::schemas;
use crate::model::third_parties::ThirdParties;

/// Name of the derived family in rules.
pub const NAME: &str = "transfers";
/// The family that it is derived from.
pub const FROM: &str = "connections";

/// Peers outside, and who they are.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Transfers {
    /// Peers with a public address, by subject.
    pub peers: Vec<Peer>,
}

/// A peer of a program.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Peer {
    /// Program and peer, as in `connections`.
    #[schemars(extend("x-personal" = true))]
    pub subject: String,
    /// Path of the running file; empty when unknown.
    pub executable: String,
    /// Whether the list names it for this port.
    pub declared: bool,
    /// Third party that it belongs to; empty when it is not declared.
    pub party: String,
    /// Why, as declared.
    pub purpose: String,
    /// Line of the list, else the kernel's table.
    pub source: Source,
}

/// JSON schema (draft 2020-12) of [`Transfers`].
pub fn schema() -> Value {
    schemas::of(NAME)
}

/// Joins; without a list nobody can be told from anybody.
pub fn derive(observation: &Observation, declared: Option<&ThirdParties>) -> (Option<Transfers>, Vec<Gap>) {
    let gap = |id: &str, detail: &str, remedy: &str| Gap {
        family: NAME.into(),
        path: String::new(),
        subject: String::new(),
        reason: id.into(),
        detail: detail.into(),
        remedy: remedy.into(),
    };
    let Some(declared) = declared else {
        let remedy = "Give it as a CSV file with --third-parties FILE, at the collector as third_parties.";
        return (None, vec![gap(reason::MISSING, "no list of third parties was given", remedy)]);
    };
    let mut gaps = Vec::new();
    for old in observation.gaps.iter().filter(|g| g.family == FROM) {
        // That a program is not known hides no peer.
        let path = match old.path.as_str() {
            "" | "items" => "peers",
            "items.executable" => "peers.executable",
            _ => continue,
        };
        gaps.push(Gap { family: NAME.into(), path: path.into(), ..old.clone() });
    }
    let Some(items) = observation.families.get(FROM).and_then(|c| c.get("items")).and_then(Value::as_array) else {
        gaps.push(gap(reason::MISSING, "connections were not gathered", ""));
        return (None, gaps);
    };
    let mut peers: Vec<Peer> = items.iter().filter_map(|item| peer(item, declared)).collect();
    peers.sort_by(|a, b| a.subject.cmp(&b.subject));
    (Some(Transfers { peers }), gaps)
}

fn peer(item: &Value, declared: &ThirdParties) -> Option<Peer> {
    let text = |key: &str| item.get(key).and_then(Value::as_str).unwrap_or_default();
    if text("scope") != "public" {
        return None;
    }
    let address: IpAddr = text("peer").parse().ok()?;
    let port = item.get("port").and_then(Value::as_u64).and_then(|p| u16::try_from(p).ok())?;
    let party = declared.party_of(address, port, text("transport"));
    let kernel = || item.get("source").and_then(|s| serde_json::from_value(s.clone()).ok()).unwrap_or_default();
    Some(Peer {
        subject: text("subject").into(),
        executable: text("executable").into(),
        declared: party.is_some(),
        party: party.map(|p| p.name.clone()).unwrap_or_default(),
        purpose: party.map(|p| p.purpose.clone()).unwrap_or_default(),
        source: party.map_or_else(kernel, |p| Source::line(&declared.file, p.line as usize, "networks")),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn public_peers_are_joined() {
        let list = ThirdParties::parse("t.csv", b"name,networks,ports,purpose\nMail,192.0.2.0/24,465,mail\n").unwrap();
        let item = |peer: &str, port: u16, scope: &str| json!({"subject": format!("x to {peer}:{port}/tcp"), "peer": peer, "port": port, "transport": "tcp", "scope": scope});
        let items = json!({"items": [item("192.0.2.1", 465, "public"), item("192.0.2.1", 25, "public"), item("10.0.0.1", 1, "private")]});
        let observation = Observation { families: [(FROM.to_string(), items)].into(), ..Observation::default() };
        let (transfers, gaps) = derive(&observation, Some(&list));
        let shown: Vec<_> = transfers.unwrap().peers.into_iter().map(|p| (p.subject, p.declared, p.party, p.source.line)).collect();
        assert_eq!(shown, [("x to 192.0.2.1:25/tcp".into(), false, String::new(), 0), ("x to 192.0.2.1:465/tcp".into(), true, "Mail".into(), 2)]);
        assert_eq!(gaps, []);
        assert_eq!(derive(&observation, None).0, None);
        assert_eq!(derive(&Observation::default(), Some(&list)).1[0].reason, reason::MISSING);
    }
}
