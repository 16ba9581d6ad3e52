//! One sentence for each entry of the ledger that changed what is judged, by what, or by whom.

use serde_json::Value;

use super::index::Index;
use crate::evidence::material::LedgerEvent;
use crate::evidence::paper::Change;
use crate::evidence::text::count;

/// In the order of the ledger.
pub fn changes(index: &Index<'_>) -> Vec<Change> {
    let mut out: Vec<Change> = index
        .material
        .ledger
        .iter()
        .map(|event| Change { at: event.at, kind: event.kind.id().into(), text: sentence(index, event), leaf: event.proof.index })
        .collect();
    out.sort_by_key(|c| c.leaf);
    out
}

fn sentence(index: &Index<'_>, event: &LedgerEvent) -> String {
    let said = Said(event.body.as_deref().and_then(|b| serde_json::from_slice(b).ok()).unwrap_or_default());
    let host = event.host.map(|h| index.name(&h)).or_else(|| said.host(index, "host")).unwrap_or_else(|| "unknown".into());
    let what = match event.kind.id() {
        "enrolment" => format!("Host {host} was enrolled"),
        "export" => said.about("An evidence bundle was exported", &["bundle", "framework", "from", "to"]),
        "user" => said.about("A user was added, changed or removed", &["action", "user", "role"]),
        "token" => "A token that enrols hosts was made".into(),
        "ledger-start" => "The ledger began".into(),
        "retirement" => match said.host(index, "replaced_by") {
            Some(next) => format!("Host {host} was taken out, {next} took its place"),
            None => format!("Host {host} was taken out"),
        },
        "resumption" => said.about("The ledger went on from a restored database", &["kept", "lost"]),
        "erasure" => said.counted("What was kept of a host or a person was erased", &["hosts", "records", "files", "lists"]),
        "key-rotation" => "The ledger went on under a new key".into(),
        "retention" => "Facts older than the policy keeps were erased".into(),
        "roster" => said.version("the roster"),
        "approvals" => said.version("the list of approved access"),
        "third-parties" => said.version("the list of third parties"),
        "inventory" => said.version("the list of hosts known elsewhere"),
        "labels" => said.version("what is said of hosts"),
        "policy" => said.version("the thresholds"),
        "advisories" => said.version("the index of advisories"),
        "commitments" => said.version("the company's pages of commitments"),
        "rule-pack" => said.about("Another pack of rules judges from now on", &["version", "rules", "digest", "old"]),
        "sign-in" => said.about("An auditor signed in", &["user"]),
        other => format!("An entry of the kind {other} was made"),
    };
    let gone = if event.body.is_none() && !WORDLESS.contains(&event.kind.id()) { " (the text behind the entry was erased)" } else { "" };
    format!("{what}{}{}{gone}.", said.by(), said.why())
}

/// Kinds of entries behind which no text stands.
const WORDLESS: [&str; 4] = ["enrolment", "export", "token", "ledger-start"];

/// The text behind an entry.
struct Said(Value);

impl Said {
    /// A value in one line, bounded.
    fn text(&self, key: &str) -> Option<String> {
        let text = match self.0.get(key)? {
            Value::String(text) => text.split_whitespace().collect::<Vec<_>>().join(" "),
            Value::Number(number) => number.to_string(),
            _ => return None,
        };
        let text: String = text.chars().take(300).collect();
        (!text.is_empty()).then_some(text)
    }

    fn host(&self, index: &Index<'_>, key: &str) -> Option<String> {
        self.0.get(key)?.as_str()?.parse().ok().map(|id| index.name(&id))
    }

    fn by(&self) -> String {
        self.text("by").map(|by| format!(", by {by}")).unwrap_or_default()
    }

    fn why(&self) -> String {
        self.text("why").or_else(|| self.text("reason")).map(|why| format!(": {}", why.trim_end_matches('.'))).unwrap_or_default()
    }

    fn about(&self, what: &str, keys: &[&str]) -> String {
        let told: Vec<String> = keys.iter().filter_map(|key| self.text(key).map(|text| format!("{key} {text}"))).collect();
        if told.is_empty() { what.into() } else { format!("{what} ({})", told.join(", ")) }
    }

    /// How many entries lists have.
    fn counted(&self, what: &str, keys: &[&str]) -> String {
        let of = |key: &&str| self.0.get(*key).and_then(Value::as_array).map(Vec::len).filter(|n| *n > 0).map(|n| format!("{key} {n}"));
        let told: Vec<String> = keys.iter().filter_map(of).collect();
        if told.is_empty() { what.into() } else { format!("{what} ({})", told.join(", ")) }
    }

    fn version(&self, what: &str) -> String {
        let rows = self.0.get("rows").and_then(Value::as_u64).and_then(|n| usize::try_from(n).ok()).map(|n| count(n, "row", "rows"));
        let digest = self.text("digest").map(|d| format!("SHA-256 {d}"));
        let told: Vec<String> = rows.into_iter().chain(digest).collect();
        let told = if told.is_empty() { String::new() } else { format!(": {}", told.join(", ")) };
        format!("A new version of {what} came into force{told}")
    }
}
