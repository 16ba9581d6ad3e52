//! The roster: who works here, under which names, until when.
//!
//! A list (see `model/table.rs`) with the columns `person`, `full_name`, `accounts`, `email`, `keys`,
//! `ended_at` (also `last_day`, `end_date`, ...). A date is the last day of employment. Untidy
//! writing is tolerated and noted; whatever could be read in two ways is refused with its place.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::day::{self, Order};
use super::table::{self, Row, Table, TableError};

/// Most names or keys of one person.
const NAMES_LIMIT: usize = 256;
/// Most notes kept.
const NOTES_LIMIT: usize = 100;

/// One person.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Person {
    /// Stable name of the person in findings, such as `m.keller`.
    pub person: String,
    /// Full name; may be empty.
    pub full_name: String,
    /// Account names and aliases, lower case.
    pub accounts: Vec<String>,
    /// E-mail address, lower case; may be empty.
    pub email: String,
    /// SSH key fingerprints (`SHA256:…`) or key comments.
    pub keys: Vec<String>,
    /// First second after the last day of employment, Unix seconds; `None` while employed.
    pub ended_at: Option<i64>,
    /// Line of the roster file.
    pub line: u32,
}

/// A roster as read.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Roster {
    /// People, in file order.
    pub people: Vec<Person>,
    /// What was tolerated while reading, one sentence with the line each.
    pub notes: Vec<String>,
}

impl Roster {
    /// Reads a roster; `name` is the file as people know it.
    pub fn parse(name: &str, bytes: &[u8]) -> Result<Self, TableError> {
        let table = table::parse(name, bytes, "roster", "people")?;
        let mut roster = Self::default();
        let columns = columns_of(name, &table, &mut roster.notes)?;
        let order = dates(&table, &columns, &mut roster.notes);
        let mut known: BTreeMap<Person, u32> = BTreeMap::new();
        for row in &table.rows {
            let person = person_of(&columns, row, order)?;
            let alike = Person { line: 0, ..person.clone() };
            match known.get(&alike) {
                Some(first) => roster.notes.push(format!("{}: says the same as line {first}", row.place)),
                None => {
                    known.insert(alike, row.line);
                    roster.people.push(person);
                }
            }
        }
        if roster.people.is_empty() {
            return Err(TableError::new(name, "the roster names nobody", "add a line for each person, or scan without a roster"));
        }
        if roster.notes.len() > NOTES_LIMIT {
            let rest = roster.notes.len() - NOTES_LIMIT;
            roster.notes.truncate(NOTES_LIMIT);
            roster.notes.push(format!("{name}: and {rest} more notes"));
        }
        Ok(roster)
    }
}

/// What a column holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Field {
    Person,
    FullName,
    Accounts,
    Email,
    Keys,
    EndedAt,
}

/// Names of a column, lower case, without blanks, `_` and `-`.
const COLUMNS: &[(Field, &[&str])] = &[
    (Field::Person, &["person", "id", "personid", "employee", "employeeid"]),
    (Field::FullName, &["fullname", "name", "displayname"]),
    (Field::Accounts, &["accounts", "account", "login", "logins", "username", "usernames", "user", "users", "aliases"]),
    (Field::Email, &["email", "mail", "emailaddress"]),
    (Field::Keys, &["keys", "key", "sshkeys", "sshkey", "fingerprints", "fingerprint"]),
    (
        Field::EndedAt,
        &["endedat", "ended", "end", "enddate", "endson", "lastday", "lastworkingday", "leavedate", "leavingdate", "terminationdate", "exitdate", "left"],
    ),
];

fn field_of(plain: &str) -> Option<Field> {
    COLUMNS.iter().find(|(_, names)| names.contains(&plain)).map(|(field, _)| *field)
}

fn columns_of(name: &str, table: &Table, notes: &mut Vec<String>) -> Result<Vec<Option<Field>>, TableError> {
    let columns = table::fields(table, field_of, notes)?;
    if !columns.iter().any(|c| matches!(c, Some(Field::Person | Field::Accounts | Field::Email | Field::FullName))) {
        return Err(TableError::new(name, "no column names the person", "add a head line with `person` (and `accounts`, `email`, `keys` where known)"));
    }
    if !columns.contains(&Some(Field::EndedAt)) {
        return Err(TableError::new(name, "no column holds the last day of employment", "add a column `ended_at`, empty for people who stay"));
    }
    Ok(columns)
}

/// The order of day and month in the column of dates, told where it had to be concluded.
fn dates(table: &Table, columns: &[Option<Field>], notes: &mut Vec<String>) -> Option<Order> {
    let cells = || table.rows.iter().flat_map(|r| &r.cells).filter(|c| columns.get(c.column) == Some(&Some(Field::EndedAt)));
    let order = day::order_of(cells().map(|c| c.text.as_str()))?;
    if let Some(cell) = cells().find(|c| day::is_ambiguous(&c.text)) {
        let word = if order == Order::DayFirst { "day" } else { "month" };
        notes.push(format!("{}: {:?} is read with the {word} first, as other dates of the column are", cell.place, cell.text));
    }
    Some(order)
}

fn person_of(columns: &[Option<Field>], row: &Row, order: Option<Order>) -> Result<Person, TableError> {
    let mut person = Person { line: row.line, ..Person::default() };
    for cell in &row.cells {
        if let Some(Some(field)) = columns.get(cell.column) {
            set(&mut person, *field, &cell.text, order).map_err(|(problem, remedy)| TableError::new(&cell.place, problem, remedy))?;
        }
    }
    // A person is known by the first of person, account, address and full name that is there.
    if person.person.is_empty() {
        let name = person.accounts.first().or((!person.email.is_empty()).then_some(&person.email)).unwrap_or(&person.full_name);
        person.person = name.clone();
    }
    if person.person.is_empty() {
        return Err(TableError::new(&row.place, "the line names nobody", "fill in `person`"));
    }
    Ok(person)
}

fn set(person: &mut Person, field: Field, text: &str, order: Option<Order>) -> Result<(), (String, String)> {
    let listed =
        |text: &str, ends: &dyn Fn(char) -> bool| -> Vec<String> { text.split(ends).map(str::trim).filter(|t| !t.is_empty()).map(String::from).collect() };
    match field {
        Field::Person => person.person = text.split_whitespace().collect::<Vec<_>>().join(" "),
        Field::FullName => person.full_name = text.split_whitespace().collect::<Vec<_>>().join(" "),
        Field::Accounts => person.accounts = listed(&text.to_lowercase(), &|c| matches!(c, ',' | ';' | '|' | '/') || c.is_whitespace()),
        Field::Email => {
            person.email = text.trim_start_matches("mailto:").to_lowercase();
            if !text.contains('@') {
                return Err((format!("{text:?} is no e-mail address"), "write name@domain or leave it empty".into()));
            }
        }
        // Comments hold blanks, so only marks part them.
        Field::Keys => person.keys = listed(text, &|c| matches!(c, ',' | ';' | '|' | '\n')),
        Field::EndedAt if NO_END.contains(&text.to_lowercase().as_str()) => person.ended_at = None,
        Field::EndedAt => {
            let remedy = || "write YYYY-MM-DD, or leave it empty for people who stay".to_string();
            let written = day::parse(text, order).map_err(|problem| (problem, remedy()))?;
            person.ended_at = Some(written.end().ok_or_else(|| (format!("{text:?} is out of range"), remedy()))?);
        }
    }
    if person.accounts.len() > NAMES_LIMIT || person.keys.len() > NAMES_LIMIT {
        return Err((format!("more than {NAMES_LIMIT} names of one person"), "split the list".into()));
    }
    Ok(())
}

/// Words for "still employed".
const NO_END: [&str; 8] = ["-", "--", "n/a", "na", "none", "null", "active", "current"];

#[cfg(test)]
mod tests {
    use super::*;

    fn csv(text: &str) -> Result<Roster, TableError> {
        Roster::parse("leavers.csv", text.as_bytes())
    }

    fn refused(text: &str) -> String {
        csv(text).unwrap_err().to_string()
    }

    /// 2026-11-09T00:00:00Z.
    const NOVEMBER_9: i64 = 1_794_182_400;

    #[test]
    fn heads_separators_and_dates_are_tolerated() {
        let text = "\u{feff}Full Name; ACCOUNTS ;E-Mail;Keys;Last Day;Team\r\n\"Keller, Max\";m.keller, Max;M.K@x.org;SHA256:abc|max laptop;08.11.2026;Ops\r\n\r\nAn Na;an;;;\r\n";
        let roster = csv(text).unwrap();
        let max = &roster.people[0];
        assert_eq!((max.person.as_str(), max.full_name.as_str(), max.email.as_str(), max.line), ("m.keller", "Keller, Max", "m.k@x.org", 2));
        assert_eq!((max.accounts.join(" "), max.keys.join("+")), ("m.keller max".into(), "SHA256:abc+max laptop".into()));
        assert_eq!(max.ended_at, Some(NOVEMBER_9));
        assert_eq!((roster.people[1].ended_at, roster.people[1].line), (None, 4));
        assert_eq!(roster.notes, ["leavers.csv:1:43: column \"Team\" is not used"]);
        for date in ["2026-11-08", "2026/11/08", "8.11.2026", "2026-11-09T00:00:00Z"] {
            assert_eq!(csv(&format!("person,ended_at\na,{date}\n")).unwrap().people[0].ended_at, Some(NOVEMBER_9), "{date}");
        }
    }

    #[test]
    fn what_could_be_read_in_two_ways_names_its_place() {
        assert_eq!(
            refused("person,ended_at\na,\nb,03/04/2026\n"),
            "leavers.csv:3:3: \"03/04/2026\" may be day or month first; write YYYY-MM-DD, or leave it empty for people who stay"
        );
        assert!(refused("person,ended_at\na,2026-02-30\n").starts_with("leavers.csv:2:3: \"2026-02-30\" is no day of the calendar"));
        assert!(refused("person,ended_at\na,soon\n").contains("is no date"));
        assert!(refused("person,end\n\"a,2026-01-01\n").starts_with("leavers.csv:2:1: a quote is never closed"));
        assert!(refused("person,end\na,2026-01-01,x\n").starts_with("leavers.csv:2:14: the line has more cells"));
        assert!(refused("person,accounts\na,b\n").contains("no column holds the last day"));
        assert!(refused("x,end\na,2026-01-01\n").contains("no column names the person"));
        assert!(refused("person,end,last_day\n").contains("says the same"));
        assert!(refused("person,end\n,2026-01-01\n").starts_with("leavers.csv:2: the line names nobody"));
        assert!(refused("").contains("is empty"));
        assert!(refused("person,end\n").contains("names nobody"));
        assert!(Roster::parse("r", b"person,end\na\xff,\n").unwrap_err().to_string().starts_with("r:2:2: a character is not UTF-8"));
        assert!(Roster::parse("r", &vec![b'a'; table::TABLE_LIMIT + 1]).unwrap_err().problem.contains("8 MiB"));
    }

    #[test]
    fn json_says_the_same() {
        let roster =
            csv("{\"people\": [{\"person\": \"m\", \"accounts\": [\"M\", \"n\"], \"ended_at\": \"2026-11-08\"}, {\"person\": \"a\", \"ended_at\": null}]}")
                .unwrap();
        assert_eq!((roster.people[0].accounts.join(" "), roster.people[0].ended_at), ("m n".into(), Some(NOVEMBER_9)));
        assert!(refused("[{\"person\": true}]").starts_with("leavers.csv: entry 1, \"person\": not a text"));
        assert!(refused("[{\"person\": \"a\",}]").starts_with("leavers.csv:1:17: the JSON can't be read"));
        assert!(refused("[{\"person\": \"a\"}]").contains("no column holds the last day"));
    }
}
