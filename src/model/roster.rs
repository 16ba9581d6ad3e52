//! The roster: who works here, under which names, until when.
//!
//! A CSV file (RFC 4180; comma, semicolon or tab) with a head line, or JSON: a list of objects, or
//! an object `{"people": [...]}`. Columns by name, tolerant of case, blanks, `_` and `-`: `person`,
//! `full_name`, `accounts`, `email`, `keys`, `ended_at` (also `last_day`, `end_date`, ...). A date
//! is the last day of employment: `YYYY-MM-DD`, `YYYY/MM/DD` or `DD.MM.YYYY`; a moment is RFC 3339.
//! Whatever could be read in two ways is refused with its place.

use serde::{Deserialize, Serialize};

/// Largest roster, bytes.
pub const ROSTER_LIMIT: usize = 8 << 20;
/// Most people of a roster.
pub const PEOPLE_LIMIT: usize = 100_000;
/// Most names or keys of one person.
const NAMES_LIMIT: usize = 256;

/// One person.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
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

/// Why a roster can't be used: one sentence with file, place and remedy.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{place}: {problem}; {remedy}")]
pub struct RosterError {
    /// File, line and column.
    pub place: String,
    /// What is wrong.
    pub problem: String,
    /// How to mend it.
    pub remedy: String,
}

impl Roster {
    /// Reads a roster; `name` is the file as people know it.
    pub fn parse(name: &str, bytes: &[u8]) -> Result<Self, RosterError> {
        if bytes.len() > ROSTER_LIMIT {
            return Err(error(name, format!("the roster is larger than {} MiB", ROSTER_LIMIT >> 20), "leave out people who left long ago"));
        }
        if bytes.starts_with(&[0xff, 0xfe]) || bytes.starts_with(&[0xfe, 0xff]) {
            return Err(error(name, "the roster is encoded as UTF-16", "save it as UTF-8"));
        }
        let bytes = bytes.strip_prefix(&[0xef, 0xbb, 0xbf]).unwrap_or(bytes);
        let text = std::str::from_utf8(bytes).map_err(|e| {
            let before = bytes.get(..e.valid_up_to()).unwrap_or(&[]);
            let line = before.iter().filter(|b| **b == b'\n').count() + 1;
            let column = before.iter().rev().take_while(|b| **b != b'\n').count() + 1;
            error(format!("{name}:{line}:{column}"), "a character is not UTF-8", "save it as UTF-8")
        })?;
        let roster = match text.trim_start().chars().next() {
            None => return Err(error(name, "the roster is empty", "give a head line `person,accounts,ended_at` and a line for each person")),
            Some('[' | '{') => from_json(name, text)?,
            Some(_) => from_csv(name, text)?,
        };
        if roster.people.is_empty() {
            return Err(error(name, "the roster names nobody", "add a line for each person, or scan without a roster"));
        }
        Ok(roster)
    }
}

fn error(place: impl Into<String>, problem: impl Into<String>, remedy: impl Into<String>) -> RosterError {
    RosterError { place: place.into(), problem: problem.into(), remedy: remedy.into() }
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

fn field_of(name: &str) -> Option<Field> {
    let plain: String = name.chars().filter(|c| !c.is_whitespace() && !matches!(c, '_' | '-')).flat_map(char::to_lowercase).collect();
    COLUMNS.iter().find(|(_, names)| names.contains(&plain.as_str())).map(|(field, _)| *field)
}

fn from_csv(name: &str, text: &str) -> Result<Roster, RosterError> {
    let separator = separator_of(text);
    let records = records(name, text, separator)?;
    let mut records = records.into_iter().filter(|r| r.cells.iter().any(|c| !c.text.trim().is_empty()));
    let Some(head) = records.next() else {
        return Err(error(name, "the roster is empty", "give a head line `person,accounts,ended_at` and a line for each person"));
    };
    let mut roster = Roster::default();
    let columns = columns_of(name, &head, &mut roster.notes)?;
    for record in records {
        if roster.people.len() == PEOPLE_LIMIT {
            return Err(error(format!("{name}:{}", record.line), format!("more than {PEOPLE_LIMIT} people"), "leave out people who left long ago"));
        }
        roster.people.push(person_of(name, &columns, &record)?);
    }
    Ok(roster)
}

/// The separator that the head line uses most.
fn separator_of(text: &str) -> char {
    let head = text.lines().find(|l| !l.trim().is_empty()).unwrap_or("");
    let count = |c: char| head.chars().filter(|x| *x == c).count();
    [',', ';', '\t'].into_iter().rev().max_by_key(|c| count(*c)).unwrap_or(',')
}

#[derive(Debug)]
struct Cell {
    column: usize,
    text: String,
}

#[derive(Debug)]
struct Record {
    line: usize,
    cells: Vec<Cell>,
}

/// RFC 4180: quoted cells hold separators, line ends and doubled quotes.
fn records(name: &str, text: &str, separator: char) -> Result<Vec<Record>, RosterError> {
    let mut out = Vec::new();
    let (mut line, mut column) = (1, 0);
    let mut record = Record { line, cells: Vec::new() };
    let mut cell = Cell { column: 1, text: String::new() };
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        column += 1;
        match c {
            '"' if cell.text.trim().is_empty() => {
                let opened = (line, column);
                cell.text.clear();
                loop {
                    column += 1;
                    match chars.next() {
                        Some('"') if chars.peek() == Some(&'"') => {
                            chars.next();
                            column += 1;
                            cell.text.push('"');
                        }
                        Some('"') => break,
                        Some(c) => {
                            if c == '\n' {
                                line += 1;
                                column = 0;
                            }
                            cell.text.push(c);
                        }
                        None => {
                            return Err(error(
                                format!("{name}:{}:{}", opened.0, opened.1),
                                "a quote is never closed",
                                "close it, or double a quote inside a cell",
                            ));
                        }
                    }
                }
                match chars.peek() {
                    None | Some('\n' | '\r') => {}
                    Some(c) if *c == separator || c.is_whitespace() => {}
                    Some(_) => return Err(error(format!("{name}:{line}:{column}"), "text follows a closing quote", "double a quote inside a quoted cell")),
                }
            }
            c if c == separator => {
                record.cells.push(std::mem::replace(&mut cell, Cell { column: column + 1, text: String::new() }));
            }
            '\n' => {
                record.cells.push(std::mem::replace(&mut cell, Cell { column: 1, text: String::new() }));
                line += 1;
                column = 0;
                out.push(std::mem::replace(&mut record, Record { line, cells: Vec::new() }));
            }
            '\r' => {}
            c => cell.text.push(c),
        }
    }
    record.cells.push(cell);
    out.push(record);
    Ok(out)
}

fn columns_of(name: &str, head: &Record, notes: &mut Vec<String>) -> Result<Vec<Option<Field>>, RosterError> {
    let mut columns: Vec<Option<Field>> = Vec::new();
    for cell in &head.cells {
        let field = field_of(&cell.text);
        if field.is_some() && columns.contains(&field) {
            let place = format!("{name}:{}:{}", head.line, cell.column);
            return Err(error(place, format!("column {:?} says the same as an earlier one", cell.text.trim()), "keep one of the two"));
        }
        if field.is_none() && !cell.text.trim().is_empty() {
            notes.push(format!("{name}:{}: column {:?} is not used", head.line, cell.text.trim()));
        }
        columns.push(field);
    }
    let place = format!("{name}:{}", head.line);
    if !columns.iter().any(|c| matches!(c, Some(Field::Person | Field::Accounts | Field::Email | Field::FullName))) {
        return Err(error(place, "no column names the person", "add a head line with `person` (and `accounts`, `email`, `keys` where known)"));
    }
    if !columns.contains(&Some(Field::EndedAt)) {
        return Err(error(place, "no column holds the last day of employment", "add a column `ended_at`, empty for people who stay"));
    }
    Ok(columns)
}

fn person_of(name: &str, columns: &[Option<Field>], record: &Record) -> Result<Person, RosterError> {
    let mut person = Person { line: u32::try_from(record.line).unwrap_or(u32::MAX), ..Person::default() };
    for (index, cell) in record.cells.iter().enumerate() {
        let place = || format!("{name}:{}:{}", record.line, cell.column);
        let text = cell.text.trim();
        match columns.get(index) {
            None if text.is_empty() => {}
            None => return Err(error(place(), "the line has more cells than the head line", "quote cells that hold the separator")),
            Some(None) => {}
            Some(Some(field)) => set(&mut person, *field, text, &place)?,
        }
    }
    finish(person, &format!("{name}:{}", record.line))
}

fn set(person: &mut Person, field: Field, text: &str, place: &dyn Fn() -> String) -> Result<(), RosterError> {
    let listed =
        |text: &str, ends: &dyn Fn(char) -> bool| -> Vec<String> { text.split(ends).map(str::trim).filter(|t| !t.is_empty()).map(String::from).collect() };
    match field {
        Field::Person => person.person = text.to_string(),
        Field::FullName => person.full_name = text.split_whitespace().collect::<Vec<_>>().join(" "),
        Field::Accounts => person.accounts = listed(&text.to_lowercase(), &|c| matches!(c, ',' | ';' | '|') || c.is_whitespace()),
        Field::Email => {
            person.email = text.to_lowercase();
            if !text.is_empty() && !text.contains('@') {
                return Err(error(place(), format!("{text:?} is no e-mail address"), "write name@domain or leave it empty"));
            }
        }
        // Comments hold blanks, so only marks part them.
        Field::Keys => person.keys = listed(text, &|c| matches!(c, ',' | ';' | '|' | '\n')),
        Field::EndedAt => person.ended_at = ended_at(text).map_err(|(problem, remedy)| error(place(), problem, remedy))?,
    }
    if person.accounts.len() > NAMES_LIMIT || person.keys.len() > NAMES_LIMIT {
        return Err(error(place(), format!("more than {NAMES_LIMIT} names of one person"), "split the list"));
    }
    Ok(())
}

/// A person is known by the first of person, account, address and full name that is there.
fn finish(mut person: Person, place: &str) -> Result<Person, RosterError> {
    if person.person.is_empty() {
        let name = person.accounts.first().or((!person.email.is_empty()).then_some(&person.email)).unwrap_or(&person.full_name);
        person.person = name.clone();
    }
    if person.person.is_empty() {
        return Err(error(place, "the line names nobody", "fill in `person`"));
    }
    Ok(person)
}

/// Seconds of a day.
const DAY: i64 = 86_400;
const DATE_REMEDY: &str = "write YYYY-MM-DD, or leave it empty for people who stay";

fn ended_at(text: &str) -> Result<Option<i64>, (String, String)> {
    if text.is_empty() || text == "-" {
        return Ok(None);
    }
    if text.contains('T') && text.len() > 10 {
        let moment: jiff::Timestamp = text.parse().map_err(|_| (format!("{text:?} is no moment"), "write YYYY-MM-DD or YYYY-MM-DDTHH:MM:SSZ".to_string()))?;
        return Ok(Some(moment.as_second()));
    }
    let parts: Vec<&str> = text.split(['-', '/', '.']).collect();
    let [a, b, c] = parts.as_slice() else {
        return Err((format!("{text:?} is no date"), DATE_REMEDY.into()));
    };
    let (year, month, day) = match (a.len(), c.len()) {
        (4, 1 | 2) => (a, b, c),
        (1 | 2, 4) if text.contains('.') => (c, b, a),
        (1 | 2, 4) => return Err((format!("{text:?} may be day or month first"), DATE_REMEDY.into())),
        _ => return Err((format!("{text:?} is no date"), DATE_REMEDY.into())),
    };
    let date = (|| jiff::civil::Date::new(year.parse().ok()?, month.parse().ok()?, day.parse().ok()?).ok())();
    let date = date.ok_or_else(|| (format!("{text:?} is no day of the calendar"), DATE_REMEDY.to_string()))?;
    let midnight = date.to_zoned(jiff::tz::TimeZone::UTC).map_err(|_| (format!("{text:?} is out of range"), DATE_REMEDY.to_string()))?;
    Ok(Some(midnight.timestamp().as_second() + DAY))
}

fn from_json(name: &str, text: &str) -> Result<Roster, RosterError> {
    let value: serde_json::Value = serde_json::from_str(text)
        .map_err(|e| error(format!("{name}:{}:{}", e.line(), e.column()), "the JSON can't be read", format!("mend it there ({})", plain(&e))))?;
    let list = match &value {
        serde_json::Value::Array(list) => list,
        other => other
            .get("people")
            .and_then(serde_json::Value::as_array)
            .ok_or_else(|| error(name, "the JSON is neither a list of people nor an object with `people`", "write [{\"person\": …, \"ended_at\": …}]"))?,
    };
    if list.len() > PEOPLE_LIMIT {
        return Err(error(name, format!("more than {PEOPLE_LIMIT} people"), "leave out people who left long ago"));
    }
    let mut roster = Roster::default();
    let mut says_end = false;
    for (index, entry) in list.iter().enumerate() {
        let place = format!("{name}: entry {}", index + 1);
        let object = entry.as_object().ok_or_else(|| error(place.clone(), "not an object", "write {\"person\": …, \"ended_at\": …}"))?;
        let mut person = Person { line: u32::try_from(index + 1).unwrap_or(u32::MAX), ..Person::default() };
        for (key, value) in object {
            let Some(field) = field_of(key) else {
                roster.notes.push(format!("{place}: {key:?} is not used"));
                continue;
            };
            says_end |= field == Field::EndedAt;
            let at = || format!("{place}, {key:?}");
            match value {
                serde_json::Value::Null => {}
                serde_json::Value::Number(n) if field == Field::EndedAt => {
                    person.ended_at = Some(n.as_i64().ok_or_else(|| error(at(), "not whole seconds", DATE_REMEDY))?);
                }
                serde_json::Value::String(text) => set(&mut person, field, text.trim(), &at)?,
                serde_json::Value::Array(items) if matches!(field, Field::Accounts | Field::Keys) => {
                    let texts: Option<Vec<&str>> = items.iter().map(serde_json::Value::as_str).collect();
                    let texts = texts.ok_or_else(|| error(at(), "not a list of texts", "write [\"a\", \"b\"]"))?;
                    set(&mut person, field, &texts.join(","), &at)?;
                }
                _ => return Err(error(at(), "not a text", "write it in quotes")),
            }
        }
        roster.people.push(finish(person, &place)?);
    }
    if !says_end && !roster.people.is_empty() {
        return Err(error(name, "no entry holds the last day of employment", "add `ended_at`, null for people who stay"));
    }
    Ok(roster)
}

fn plain(error: &serde_json::Error) -> String {
    error.to_string().split(" at line ").next().unwrap_or("").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn csv(text: &str) -> Result<Roster, RosterError> {
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
        assert_eq!(roster.notes, ["leavers.csv:1: column \"Team\" is not used"]);
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
        assert!(Roster::parse("r", &vec![b'a'; ROSTER_LIMIT + 1]).unwrap_err().problem.contains("8 MiB"));
    }

    #[test]
    fn json_says_the_same() {
        let roster =
            csv("{\"people\": [{\"person\": \"m\", \"accounts\": [\"M\", \"n\"], \"ended_at\": \"2026-11-08\"}, {\"person\": \"a\", \"ended_at\": null}]}")
                .unwrap();
        assert_eq!((roster.people[0].accounts.join(" "), roster.people[0].ended_at), ("m n".into(), Some(NOVEMBER_9)));
        assert!(refused("[{\"person\": 3}]").starts_with("leavers.csv: entry 1, \"person\": not a text"));
        assert!(refused("[{\"person\": \"a\",}]").starts_with("leavers.csv:1:17: the JSON can't be read"));
        assert!(refused("[{\"person\": \"a\"}]").contains("no entry holds the last day"));
    }
}
