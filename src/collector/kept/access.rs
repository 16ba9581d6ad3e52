//! Ways in of people who left, and access with more than ordinary rights: what the derived family `access` says.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{Item, Says, cut};
use crate::collector::basis::Basis;
use crate::model::against::Against;
use crate::model::approvals::Approvals;
use crate::model::fact::Observation;
use crate::model::gap::Gap;
use crate::rules::access;

/// How items of database roles begin.
const ROLE: &str = "database role ";

/// A way in of somebody who left.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct WayBody {
    /// `password`, `ssh-key`, `sudo`, …, `database role`.
    pub kind: String,
    /// Account through which it works; empty for a database role.
    pub account: String,
    /// What it is, with its place.
    pub detail: String,
    /// How the person was recognised.
    pub matched_by: String,
}

/// Access with more than ordinary rights.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct PrivilegeBody {
    /// Whether the label is a person of the roster.
    pub known: bool,
    /// `root`, `sudo`, `polkit`, or the name of a privileged group.
    pub access: String,
    /// How, with places.
    pub detail: String,
    /// `yes`, `expired`, `no`; empty: there is no list of approvals.
    pub approved: String,
    /// Line of the list of approvals; 0 without one.
    pub line: u32,
}

/// Ways in that are open of everybody who left.
pub(super) fn ways(basis: &Basis, observation: &Observation) -> Says {
    if basis.roster.is_none() {
        return Says::blind("there is no roster of people");
    }
    let (found, gaps) = access::derive(observation, basis.against());
    let Some(found) = found else { return Says::blind(blind(&gaps)) };
    let ended = |person: &str| found.leavers.iter().find(|l| l.subject == person).map_or(0, |l| l.ended_at);
    let mut items = Vec::new();
    for leaver in &found.leavers {
        for way in &leaver.open {
            let body = WayBody { kind: way.kind.clone(), account: cut(&way.account), detail: cut(&way.detail), matched_by: way.matched_by.clone() };
            items.push(Item::new(&leaver.subject, &format!("{} {}", way.kind, way.detail), leaver.ended_at, &json!({}), &body));
        }
    }
    for role in found.leaver_roles.iter().filter(|r| r.open) {
        // Subjects are `PERSON: ROLE`.
        let (person, name) = role.subject.split_once(": ").unwrap_or((role.subject.as_str(), role.detail.as_str()));
        let body = WayBody { kind: "database role".into(), account: String::new(), detail: cut(name), matched_by: "account".into() };
        items.push(Item::new(person, &format!("{ROLE}{name}"), ended(person), &json!({}), &body));
    }
    Says::beside(items, gaps.iter(), |gap| match gap.path.as_str() {
        "leavers" => Some(""),
        "leaver_roles" => Some(ROLE),
        "" => Some(""),
        _ => None,
    })
}

/// Who can act with more than ordinary rights.
pub(super) fn privileges(basis: &Basis, observation: &Observation) -> Says {
    if basis.against().is_empty() {
        return Says::blind("there is neither a roster of people nor a list of approvals");
    }
    // An empty list approves nothing and hides nothing: what it says of approvals is left out below.
    let (none, has_list) = (Approvals::default(), basis.approvals.is_some());
    let against = Against { approvals: basis.approvals.as_deref().or(Some(&none)), ..basis.against() };
    let (found, gaps) = access::derive(observation, against);
    let Some(found) = found else { return Says::blind(blind(&gaps)) };
    let item = |p: &access::Privileged| {
        let approved = if has_list { p.approved.clone() } else { String::new() };
        let body = PrivilegeBody { known: p.known, access: cut(&p.access), detail: cut(&p.detail), approved, line: p.approval_line };
        Item::new(&p.who, &p.subject, i64::from(p.known), &json!({ "known": p.known }), &body)
    };
    let items = found.privileged.iter().map(item).collect();
    Says::beside(items, gaps.iter(), |gap| matches!(gap.path.as_str(), "" | "privileged").then_some(""))
}

fn blind(gaps: &[Gap]) -> String {
    gaps.first().map_or_else(|| "accounts were not gathered".to_string(), |g| g.detail.clone())
}
