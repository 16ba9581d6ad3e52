//! Lists that people keep by hand: CSV (RFC 4180; comma, semicolon or tab) with a head line, or
//! JSON (a list of objects, or an object with such a list under a known key).
//!
//! Column names are tolerant of case, blanks, `_` and `-`. Whatever could be read in two ways is
//! refused with its place.

/// Largest list, bytes.
pub const TABLE_LIMIT: usize = 8 << 20;
/// Most rows.
pub const ROWS_LIMIT: usize = 100_000;
/// Most columns.
const COLUMNS_LIMIT: usize = 256;

/// Why a list can't be used: one sentence with file, place and remedy.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{place}: {problem}; {remedy}")]
pub struct TableError {
    /// File, line and column.
    pub place: String,
    /// What is wrong.
    pub problem: String,
    /// How to mend it.
    pub remedy: String,
}

impl TableError {
    /// From its three parts.
    pub fn new(place: impl Into<String>, problem: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { place: place.into(), problem: problem.into(), remedy: remedy.into() }
    }
}

/// One value of a row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cell {
    /// Index of the column.
    pub column: usize,
    /// Where it stands, such as `people.csv:3:12`.
    pub place: String,
    /// Text without outer blanks; the elements of a JSON list are parted by `|`.
    pub text: String,
}

/// One row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// Line of the file, or number of the entry, from 1.
    pub line: u32,
    /// Where it stands, such as `people.csv:3`.
    pub place: String,
    /// Its values; empty ones are left out.
    pub cells: Vec<Cell>,
}

/// A list as read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Table {
    /// Names of the columns as written, and where.
    pub columns: Vec<(String, String)>,
    /// Rows that hold anything.
    pub rows: Vec<Row>,
}

/// Reads a list; `name` is the file as people know it, `what` the list (`roster`), `key` where JSON keeps it.
pub fn parse(name: &str, bytes: &[u8], what: &str, key: &str) -> Result<Table, TableError> {
    if bytes.len() > TABLE_LIMIT {
        return Err(TableError::new(name, format!("the {what} is larger than {} MiB", TABLE_LIMIT >> 20), "leave out what ended long ago"));
    }
    if bytes.starts_with(&[0xff, 0xfe]) || bytes.starts_with(&[0xfe, 0xff]) {
        return Err(TableError::new(name, format!("the {what} is encoded as UTF-16"), "save it as UTF-8"));
    }
    let bytes = bytes.strip_prefix(&[0xef, 0xbb, 0xbf]).unwrap_or(bytes);
    let text = std::str::from_utf8(bytes).map_err(|e| {
        let before = bytes.get(..e.valid_up_to()).unwrap_or(&[]);
        let line = before.iter().filter(|b| **b == b'\n').count() + 1;
        let column = before.iter().rev().take_while(|b| **b != b'\n').count() + 1;
        TableError::new(format!("{name}:{line}:{column}"), "a character is not UTF-8", "save it as UTF-8")
    })?;
    match text.trim_start().chars().next() {
        None => Err(TableError::new(name, format!("the {what} is empty"), "give a head line and a line for each entry")),
        Some('[' | '{') => from_json(name, text, what, key),
        Some(_) => from_csv(name, text, what),
    }
}

/// A column name in the form in which names are compared.
pub fn plain_name(name: &str) -> String {
    name.chars().filter(|c| !c.is_whitespace() && !matches!(c, '_' | '-')).flat_map(char::to_lowercase).collect()
}

/// The field of each column. A name that means no field is noted, two columns of one field are refused.
pub fn fields<F: Copy + PartialEq>(table: &Table, meaning: impl Fn(&str) -> Option<F>, notes: &mut Vec<String>) -> Result<Vec<Option<F>>, TableError> {
    let mut out: Vec<Option<F>> = Vec::with_capacity(table.columns.len());
    for (name, place) in &table.columns {
        let field = meaning(&plain_name(name));
        if field.is_some() && out.contains(&field) {
            return Err(TableError::new(place, format!("column {name:?} says the same as an earlier one"), "keep one of the two"));
        }
        if field.is_none() && !name.is_empty() {
            notes.push(format!("{place}: column {name:?} is not used"));
        }
        out.push(field);
    }
    Ok(out)
}

fn from_csv(name: &str, text: &str, what: &str) -> Result<Table, TableError> {
    let mut records = records(name, text, separator_of(text))?.into_iter().filter(|r| r.cells.iter().any(|c| !c.text.trim().is_empty()));
    let Some(head) = records.next() else {
        return Err(TableError::new(name, format!("the {what} is empty"), "give a head line and a line for each entry"));
    };
    if head.cells.len() > COLUMNS_LIMIT {
        return Err(TableError::new(name, format!("more than {COLUMNS_LIMIT} columns"), "leave out what is not used"));
    }
    let columns: Vec<(String, String)> = head.cells.iter().map(|c| (c.text.trim().to_string(), format!("{name}:{}:{}", head.line, c.column))).collect();
    let mut rows = Vec::new();
    for record in records {
        if rows.len() == ROWS_LIMIT {
            return Err(TableError::new(name, format!("more than {ROWS_LIMIT} lines"), "leave out what ended long ago"));
        }
        let mut row = Row { line: u32::try_from(record.line).unwrap_or(u32::MAX), place: format!("{name}:{}", record.line), cells: Vec::new() };
        for (column, cell) in record.cells.iter().enumerate() {
            let text = cell.text.trim();
            let place = format!("{name}:{}:{}", record.line, cell.column);
            if text.is_empty() {
                continue;
            }
            if column >= columns.len() {
                return Err(TableError::new(place, "the line has more cells than the head line", "quote cells that hold the separator"));
            }
            row.cells.push(Cell { column, place, text: text.to_string() });
        }
        rows.push(row);
    }
    Ok(Table { columns, rows })
}

/// The separator that the head line uses most.
fn separator_of(text: &str) -> char {
    let head = text.lines().find(|l| !l.trim().is_empty()).unwrap_or("");
    let count = |c: char| head.chars().filter(|x| *x == c).count();
    [',', ';', '\t'].into_iter().rev().max_by_key(|c| count(*c)).unwrap_or(',')
}

#[derive(Debug)]
struct RawCell {
    column: usize,
    text: String,
}

#[derive(Debug)]
struct Record {
    line: usize,
    cells: Vec<RawCell>,
}

/// RFC 4180: quoted cells hold separators, line ends and doubled quotes.
fn records(name: &str, text: &str, separator: char) -> Result<Vec<Record>, TableError> {
    let mut out = Vec::new();
    let (mut line, mut column) = (1, 0);
    let mut record = Record { line, cells: Vec::new() };
    let mut cell = RawCell { column: 1, text: String::new() };
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        column += 1;
        match c {
            '"' if cell.text.trim().is_empty() => {
                let opened = format!("{name}:{line}:{column}");
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
                        None => return Err(TableError::new(opened, "a quote is never closed", "close it, or double a quote inside a cell")),
                    }
                }
                match chars.peek() {
                    None | Some('\n' | '\r') => {}
                    Some(c) if *c == separator || c.is_whitespace() => {}
                    Some(_) => {
                        return Err(TableError::new(format!("{name}:{line}:{column}"), "text follows a closing quote", "double a quote inside a quoted cell"));
                    }
                }
            }
            c if c == separator => {
                record.cells.push(std::mem::replace(&mut cell, RawCell { column: column + 1, text: String::new() }));
            }
            '\n' => {
                record.cells.push(std::mem::replace(&mut cell, RawCell { column: 1, text: String::new() }));
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

fn from_json(name: &str, text: &str, what: &str, key: &str) -> Result<Table, TableError> {
    let value: serde_json::Value = serde_json::from_str(text).map_err(|e| {
        let problem = e.to_string();
        let problem = problem.split(" at line ").next().unwrap_or_default();
        TableError::new(format!("{name}:{}:{}", e.line(), e.column()), "the JSON can't be read", format!("mend it there ({problem})"))
    })?;
    let list = value.as_array().or_else(|| value.get(key)?.as_array()).ok_or_else(|| {
        TableError::new(name, format!("the JSON is neither a list nor an object with `{key}`"), format!("write the {what} as a list of objects"))
    })?;
    if list.len() > ROWS_LIMIT {
        return Err(TableError::new(name, format!("more than {ROWS_LIMIT} entries"), "leave out what ended long ago"));
    }
    let mut table = Table::default();
    for (index, entry) in list.iter().enumerate() {
        let place = format!("{name}: entry {}", index + 1);
        let object = entry.as_object().ok_or_else(|| TableError::new(place.clone(), "not an object", "write {\"person\": …}"))?;
        let mut row = Row { line: u32::try_from(index + 1).unwrap_or(u32::MAX), place: place.clone(), cells: Vec::new() };
        for (key, value) in object {
            let at = format!("{place}, {key:?}");
            let column = match table.columns.iter().position(|(known, _)| known == key) {
                Some(column) => column,
                None if table.columns.len() == COLUMNS_LIMIT => {
                    return Err(TableError::new(at, format!("more than {COLUMNS_LIMIT} different keys"), "leave out what is not used"));
                }
                None => {
                    table.columns.push((key.clone(), at.clone()));
                    table.columns.len() - 1
                }
            };
            let text = text_of(value).ok_or_else(|| TableError::new(at.clone(), "not a text", "write it in quotes"))?;
            if !text.trim().is_empty() {
                row.cells.push(Cell { column, place: at, text: text.trim().to_string() });
            }
        }
        table.rows.push(row);
    }
    Ok(table)
}

fn text_of(value: &serde_json::Value) -> Option<String> {
    match value {
        serde_json::Value::Null => Some(String::new()),
        serde_json::Value::String(text) => Some(text.clone()),
        serde_json::Value::Number(number) => Some(number.to_string()),
        serde_json::Value::Array(items) => Some(items.iter().map(serde_json::Value::as_str).collect::<Option<Vec<_>>>()?.join("|")),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_bytes_make_it_panic() {
        let seed = b"person;end\n\"a;\"\"b\";2026-01-01\n[{\"a\":[\"b\",1]}]";
        for cut in 0..seed.len() {
            for flip in [0u8, b'"', b'\n', 0xff, b'[', b'{'] {
                let mut bytes = seed.to_vec();
                bytes[cut] = flip;
                let _ = parse("x", &bytes, "list", "entries");
                let _ = parse("x", &bytes[cut..], "list", "entries");
            }
        }
    }

    #[test]
    fn json_and_csv_are_one_table() {
        let csv = parse("x", b"a,b\n1,\n,2\n", "list", "entries").unwrap();
        let json = parse("x", b"{\"entries\": [{\"a\": 1, \"b\": null}, {\"b\": [\"2\"]}]}", "list", "entries").unwrap();
        let texts = |t: &Table| -> Vec<(usize, String)> { t.rows.iter().flat_map(|r| r.cells.iter().map(|c| (c.column, c.text.clone()))).collect() };
        assert_eq!(texts(&csv), texts(&json));
    }
}
