//! What people say of hosts: who owns them, what they are for, how much hangs on them, where they are.
//!
//! A list (see `model/table.rs`) with the columns `host`, `owner`, `purpose`, `criticality`, `region` and `labels` (words divided by `;`, `,` or
//! `|`). A host is called by the name it gives; hosts of the same name share what is said.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::table::{self, Row, Table, TableError};

/// Longest value, characters.
pub const VALUE_LIMIT: usize = 200;
/// Most words of one host.
const WORDS_LIMIT: usize = 50;
/// Most notes kept.
const NOTES_LIMIT: usize = 100;
/// How much may hang on a host, most first.
pub const CRITICALITIES: [&str; 4] = ["critical", "high", "medium", "low"];
/// What can be said of a host, in the order of pages.
pub const FIELDS: [&str; 5] = ["owner", "purpose", "criticality", "region", "label"];
/// How a table calculation tells a formula.
const FORMULA: [char; 4] = ['=', '+', '-', '@'];

/// What is said of one host.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct HostLabels {
    /// Its name, lower case.
    pub host: String,
    /// Who answers for it; may be empty.
    pub owner: String,
    /// What it is for; may be empty.
    pub purpose: String,
    /// One of [`CRITICALITIES`]; may be empty.
    pub criticality: String,
    /// Region, zone or site; may be empty.
    pub region: String,
    /// Words of one's own, sorted, each once.
    pub labels: Vec<String>,
    /// Line of the file; 0 outside of one.
    pub line: u32,
}

/// The list.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Labels {
    /// In file order.
    pub items: Vec<HostLabels>,
    /// What was tolerated while reading, one sentence with the place each.
    pub notes: Vec<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Field {
    Host,
    Owner,
    Purpose,
    Criticality,
    Region,
    Labels,
}

/// Names of a column, lower case, without blanks, `_` and `-`.
const COLUMNS: &[(Field, &[&str])] = &[
    (Field::Host, &["host", "name", "hostname", "fqdn", "server"]),
    (Field::Owner, &["owner", "team", "responsible", "contact"]),
    (Field::Purpose, &["purpose", "role", "description", "service", "application"]),
    (Field::Criticality, &["criticality", "critical", "importance", "tier"]),
    (Field::Region, &["region", "place", "zone", "site", "location", "datacenter", "datacentre"]),
    (Field::Labels, &["labels", "label", "tags", "tag"]),
];

impl HostLabels {
    /// Field and value of everything that is said.
    pub fn values(&self) -> impl Iterator<Item = (&'static str, &str)> {
        let single = [("owner", &self.owner), ("purpose", &self.purpose), ("criticality", &self.criticality), ("region", &self.region)];
        let single = single.into_iter().filter(|(_, value)| !value.is_empty()).map(|(field, value)| (field, value.as_str()));
        single.chain(self.labels.iter().map(|word| ("label", word.as_str())))
    }

    /// Whether nothing is said.
    pub fn is_empty(&self) -> bool {
        self.values().next().is_none()
    }

    /// Makes values as they are kept: in one line, known words; one sentence when one of them can't be.
    pub fn checked(mut self) -> Result<Self, String> {
        let one_line = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
        self.host = one_line(&self.host).to_ascii_lowercase();
        (self.owner, self.purpose, self.region) = (one_line(&self.owner), one_line(&self.purpose), one_line(&self.region));
        self.criticality = one_line(&self.criticality).to_lowercase();
        self.labels = self.labels.iter().map(|word| one_line(word)).filter(|word| !word.is_empty()).collect();
        self.labels.sort();
        self.labels.dedup();
        if self.host.is_empty() {
            return Err("no host is named".into());
        }
        if !self.criticality.is_empty() && !CRITICALITIES.contains(&self.criticality.as_str()) {
            return Err(format!("criticality {:?} is none of {}", self.criticality, CRITICALITIES.join(", ")));
        }
        if self.labels.len() > WORDS_LIMIT {
            return Err(format!("more than {WORDS_LIMIT} labels of one host"));
        }
        for (field, value) in self.values().chain([("host", self.host.as_str())]) {
            if value.chars().count() > VALUE_LIMIT {
                return Err(format!("{field} has more than {VALUE_LIMIT} characters"));
            }
            if value.starts_with(FORMULA) {
                return Err(format!("{field} {value:?} would be a formula in a table calculation"));
            }
            if value.chars().any(char::is_control) {
                return Err(format!("{field} holds a control character"));
            }
        }
        Ok(self)
    }
}

/// Words divided by commas and the like.
pub fn words(text: &str) -> Vec<String> {
    text.split([',', ';', '|', '\n']).map(str::trim).filter(|w| !w.is_empty()).map(String::from).collect()
}

impl Labels {
    /// Reads a list; `name` is the file as people know it. A list without a line is a list: nothing is said of any host.
    pub fn parse(name: &str, bytes: &[u8]) -> Result<Self, TableError> {
        let table = table::parse(name, bytes, "labels", "hosts")?;
        let mut list = Self::default();
        let columns = table::fields(&table, |plain| COLUMNS.iter().find(|(_, names)| names.contains(&plain)).map(|(f, _)| *f), &mut list.notes)?;
        if !table.columns.is_empty() && !columns.contains(&Some(Field::Host)) {
            return Err(TableError::new(name, "no column names the host", "give the columns host, owner, purpose, criticality, region, labels"));
        }
        list.read(&table, &columns)?;
        if list.notes.len() > NOTES_LIMIT {
            let rest = list.notes.len() - NOTES_LIMIT;
            list.notes.truncate(NOTES_LIMIT);
            list.notes.push(format!("{name}: and {rest} more notes"));
        }
        Ok(list)
    }

    fn read(&mut self, table: &Table, columns: &[Option<Field>]) -> Result<(), TableError> {
        let mut lines: BTreeMap<String, u32> = BTreeMap::new();
        for row in &table.rows {
            let said = said(columns, row)?;
            if let Some(first) = lines.insert(said.host.clone(), said.line) {
                let problem = format!("{:?} is in line {first} already", said.host);
                return Err(TableError::new(&row.place, problem, "say everything of a host in one line"));
            }
            self.items.push(said);
        }
        Ok(())
    }

    /// The list as CSV (RFC 4180), which reads back the same.
    pub fn to_csv(&self) -> String {
        let mut out = String::from("host,owner,purpose,criticality,region,labels\r\n");
        for said in &self.items {
            let cells = [&said.host, &said.owner, &said.purpose, &said.criticality, &said.region, &said.labels.join(";")];
            let cells: Vec<String> = cells.into_iter().map(|cell| quoted(cell)).collect();
            out.push_str(&cells.join(","));
            out.push_str("\r\n");
        }
        out
    }

    /// Says something else of one host; of nothing, its line goes.
    pub fn set(&mut self, said: HostLabels) {
        self.items.retain(|other| other.host != said.host);
        if !said.is_empty() {
            let at = self.items.partition_point(|other| other.host < said.host);
            self.items.insert(at, said);
        }
    }

    /// What is said of a host.
    pub fn of(&self, host: &str) -> Option<&HostLabels> {
        let host = host.to_ascii_lowercase();
        self.items.iter().find(|said| said.host == host)
    }
}

fn quoted(cell: &str) -> String {
    if cell.contains([',', ';', '"', '\n', '\t']) { format!("\"{}\"", cell.replace('"', "\"\"")) } else { cell.to_string() }
}

fn said(columns: &[Option<Field>], row: &Row) -> Result<HostLabels, TableError> {
    let mut said = HostLabels { line: row.line, ..HostLabels::default() };
    for cell in &row.cells {
        let Some(field) = columns.get(cell.column).copied().flatten() else { continue };
        match field {
            Field::Host => said.host = cell.text.trim_end_matches('.').to_string(),
            Field::Owner => said.owner = cell.text.clone(),
            Field::Purpose => said.purpose = cell.text.clone(),
            Field::Criticality => said.criticality = cell.text.clone(),
            Field::Region => said.region = cell.text.clone(),
            Field::Labels => said.labels = words(&cell.text),
        }
    }
    said.checked().map_err(|problem| TableError::new(&row.place, problem, "mend the line"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_reads_back_as_it_is_written() {
        let text = "Host Name;Team;Purpose;Tier;Region;Tags;Cost\nWEB01;Ops \"A\";shop, front;Critical;eu-1;pci;3\ndb01;;;;;\"b,a|a\";\n";
        let mut list = Labels::parse("labels.csv", text.as_bytes()).unwrap();
        let first = &list.items[0];
        assert_eq!(
            (first.host.as_str(), first.owner.as_str(), first.purpose.as_str(), first.criticality.as_str()),
            ("web01", "Ops \"A\"", "shop, front", "critical")
        );
        assert_eq!(list.items[1].labels, ["a", "b"]);
        assert_eq!(list.notes, ["labels.csv:1:41: column \"Cost\" is not used"]);
        let again = Labels::parse("again.csv", list.to_csv().as_bytes()).unwrap();
        let plain = |l: &Labels| l.items.iter().map(|i| HostLabels { line: 0, ..i.clone() }).collect::<Vec<_>>();
        assert_eq!(plain(&again), plain(&list));
        list.set(HostLabels { host: "app01".into(), owner: "Dev".into(), ..HostLabels::default() });
        list.set(HostLabels { host: "db01".into(), ..HostLabels::default() });
        assert_eq!(list.items.iter().map(|i| i.host.as_str()).collect::<Vec<_>>(), ["app01", "web01"]);
        assert_eq!(list.of("WEB01").map(|l| l.region.as_str()), Some("eu-1"));
    }

    #[test]
    fn what_can_not_be_kept_is_refused_with_its_place() {
        let refused = |text: &str| Labels::parse("l.csv", text.as_bytes()).unwrap_err().to_string();
        assert!(refused("owner\nada\n").contains("no column names the host"));
        assert!(refused("host,criticality\na,grave\n").starts_with("l.csv:2: criticality \"grave\" is none of critical, high, medium, low"));
        assert!(refused("host,owner\na,x\nA,y\n").starts_with("l.csv:3: \"a\" is in line 2 already"));
        assert!(refused("host,owner\na,=1+1\n").contains("would be a formula"));
        assert!(refused(&format!("host,owner\na,{}\n", "x".repeat(201))).contains("more than 200 characters"));
        assert_eq!(Labels::parse("l.csv", b"host,owner\n").unwrap().items, []);
    }
}
