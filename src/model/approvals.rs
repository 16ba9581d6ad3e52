//! Approved privileged access: who may have what, why, by whose word, until when.
//!
//! A list (see `model/table.rs`) with the columns `person`, `access`, `host`, `reason`, `approver`,
//! `expires_at`. `access` names one or several of `root`, `sudo`, a privileged group (`docker`),
//! `polkit`, `database`, or `*` for all of them; `host` is a name pattern, empty for every host.

use serde::{Deserialize, Serialize};

use super::day;
use super::pattern;
use super::table::{self, Row, TableError};

/// One approval.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Approval {
    /// Person as in the roster, or an account name.
    pub person: String,
    /// Kinds of access, lower case.
    pub access: Vec<String>,
    /// Pattern of host names; empty: every host.
    pub host: String,
    /// Why.
    pub reason: String,
    /// Who approved.
    pub approver: String,
    /// First second after the last day, Unix seconds; `None`: until it is taken back.
    pub expires_at: Option<i64>,
    /// Line of the file.
    pub line: u32,
}

/// A list of approvals.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Approvals {
    /// Name of the file, as people know it.
    pub file: String,
    /// In file order.
    pub items: Vec<Approval>,
    /// What was tolerated while reading, one sentence with the place each.
    pub notes: Vec<String>,
}

/// What a column holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Field {
    Person,
    Access,
    Host,
    Reason,
    Approver,
    ExpiresAt,
}

/// Names of a column, lower case, without blanks, `_` and `-`.
const COLUMNS: &[(Field, &[&str])] = &[
    (Field::Person, &["person", "who", "user", "username", "account", "name", "email", "employee"]),
    (Field::Access, &["access", "right", "rights", "role", "privilege", "privileges", "what", "grant"]),
    (Field::Host, &["host", "hosts", "server", "servers", "scope", "hostname"]),
    (Field::Reason, &["reason", "why", "justification", "purpose", "ticket", "comment"]),
    (Field::Approver, &["approver", "approvedby", "approved", "by", "owner"]),
    (Field::ExpiresAt, &["expiresat", "expires", "expiry", "expirydate", "validuntil", "until", "end", "enddate"]),
];

impl Approvals {
    /// Reads a list of approvals; `name` is the file as people know it. A list without a line is a list: nobody is approved.
    pub fn parse(name: &str, bytes: &[u8]) -> Result<Self, TableError> {
        let table = table::parse(name, bytes, "list of approvals", "approvals")?;
        let mut approvals = Self { file: name.into(), ..Self::default() };
        let columns = table::fields(&table, |plain| COLUMNS.iter().find(|(_, names)| names.contains(&plain)).map(|(f, _)| *f), &mut approvals.notes)?;
        for (field, word) in [(Field::Person, "person"), (Field::Access, "access"), (Field::Approver, "approver")] {
            if !columns.contains(&Some(field)) && !table.columns.is_empty() {
                return Err(TableError::new(
                    name,
                    format!("no column holds the {word}"),
                    "give the columns person, access, host, reason, approver, expires_at",
                ));
            }
        }
        let dates = table.rows.iter().flat_map(|r| &r.cells).filter(|c| columns.get(c.column) == Some(&Some(Field::ExpiresAt)));
        let order = day::order_of(dates.map(|c| c.text.as_str()));
        for row in &table.rows {
            let approval = approval_of(&columns, row, order)?;
            let same = |a: &&Approval| Approval { line: 0, ..(*a).clone() } == Approval { line: 0, ..approval.clone() };
            match approvals.items.iter().rev().take(SEEN_LIMIT).find(same) {
                Some(first) => approvals.notes.push(format!("{}: says the same as line {}", row.place, first.line)),
                None => approvals.items.push(approval),
            }
        }
        Ok(approvals)
    }
}

/// How far back a repeated line is looked for.
const SEEN_LIMIT: usize = 1_000;
/// Words for an approval without an end.
const NO_END: [&str; 5] = ["-", "never", "none", "n/a", "permanent"];

fn approval_of(columns: &[Option<Field>], row: &Row, order: Option<day::Order>) -> Result<Approval, TableError> {
    let mut approval = Approval { line: row.line, ..Approval::default() };
    for cell in &row.cells {
        let text = cell.text.as_str();
        let one_line = || text.split_whitespace().collect::<Vec<_>>().join(" ");
        match columns.get(cell.column).copied().flatten() {
            None => {}
            Some(Field::Person) => approval.person = one_line(),
            Some(Field::Access) => {
                approval.access = text.to_lowercase().split([',', ';', '|', '+']).filter_map(kind_of).collect();
            }
            Some(Field::Host) => approval.host = if matches!(text, "*" | "all") { String::new() } else { text.to_lowercase() },
            Some(Field::Reason) => approval.reason = one_line(),
            Some(Field::Approver) => approval.approver = one_line(),
            Some(Field::ExpiresAt) if NO_END.contains(&text.to_lowercase().as_str()) => {}
            Some(Field::ExpiresAt) => {
                let written = day::parse(text, order).map_err(|problem| TableError::new(&cell.place, problem, day::REMEDY))?;
                approval.expires_at = written.end();
            }
        }
    }
    for (missing, word) in [(approval.person.is_empty(), "person"), (approval.access.is_empty(), "access"), (approval.approver.is_empty(), "approver")] {
        if missing {
            return Err(TableError::new(&row.place, format!("the {word} is missing"), "an approval names person, access and approver"));
        }
    }
    Ok(approval)
}

/// `group docker`, `group:docker` and `%docker` are `docker`; `all` is `*`.
fn kind_of(text: &str) -> Option<String> {
    let text = text.trim();
    let text = text.strip_prefix("group").map_or(text, |rest| rest.trim_start_matches([':', ' ']));
    let text = text.trim_start_matches('%').trim();
    match text {
        "" => None,
        "all" | "any" | "everything" => Some("*".into()),
        other => Some(other.to_string()),
    }
}

impl Approval {
    /// Whether it speaks of this kind of access.
    pub fn covers(&self, access: &str) -> bool {
        self.access.iter().any(|a| a == "*" || a == access)
    }

    /// Whether it speaks of this host; a host whose name is not known is spoken of by approvals for every host only.
    pub fn is_for(&self, host: &str) -> bool {
        let host = host.to_lowercase();
        let short = host.split('.').next().unwrap_or_default();
        self.host.is_empty()
            || self.host.split([',', ';', '|', ' ']).filter(|p| !p.is_empty()).any(|p| pattern::matches(p, &host) || pattern::matches(p, short))
    }

    /// Whether it is over at this time (Unix seconds).
    pub fn is_over(&self, now: i64) -> bool {
        self.expires_at.is_some_and(|at| at <= now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn untidy_lists_are_read_and_told() {
        let text = "Who;Rights;Server;Why;Approved By;Valid until;Note\n M.Keller ;Sudo, group Docker;db*;on call;cto@example.com;31.12.2026;x\nm.keller;sudo;;;boss;never;\nm.keller;sudo;;;boss;;\n";
        let list = Approvals::parse("a.csv", text.as_bytes()).unwrap();
        assert_eq!(list.items.len(), 2);
        let first = &list.items[0];
        assert_eq!((first.person.as_str(), first.access.join("+"), first.approver.as_str()), ("M.Keller", "sudo+docker".into(), "cto@example.com"));
        assert!(first.is_for("DB1.example.org") && !first.is_for("web1") && first.covers("docker") && !first.covers("root"));
        assert!(!first.is_over(1_798_761_599) && first.is_over(1_798_761_600));
        assert_eq!(list.notes, ["a.csv:1:47: column \"Note\" is not used", "a.csv:4: says the same as line 3"]);
    }

    #[test]
    fn what_is_missing_is_named() {
        let refused = |text: &str| Approvals::parse("a.csv", text.as_bytes()).unwrap_err().to_string();
        assert!(refused("person,access\na,sudo\n").contains("no column holds the approver"));
        assert!(refused("person,access,approver\na,,b\n").starts_with("a.csv:2: the access is missing"));
        assert!(refused("person,access,approver,until\na,sudo,b,03/04/2026\n").starts_with("a.csv:2:10: \"03/04/2026\" may be day or month first"));
        assert_eq!(Approvals::parse("a.csv", b"person,access,approver\n").unwrap().items, []);
        assert_eq!(Approvals::parse("a.json", b"[]").unwrap().items, []);
    }
}
