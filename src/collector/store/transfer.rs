//! All rows out of a store and into another: backups, restoring them, and moving between databases.
//!
//! ```text
//! zstd of lines
//! {"at":…,"format":"assay.backup.v1","ledger":{"note":…,"size":…},"schema":7}
//! {"table":"hosts"}                        then one array per row, in the order of the columns below
//! ["BASE64","web01",…]                     bytes as base64, numbers, text, null
//! …
//! {"digest":SHA-256 of every byte above,"rows":N}
//! ```
//! A backup is one state of all tables, taken while the collector works. Sessions, sign-in links and API tokens are left out.
//! Restoring is one transaction: a damaged or truncated file changes nothing. Keys are not in it. Columns that an older schema lacked stand last
//! in their table and are null in its rows. What is derived is not in it; it is made anew where the rows arrive.

use std::io::{BufRead, Read, Write};
use std::pin::pin;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use futures_util::TryStreamExt as _;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::Digest as _;
use sqlx::any::AnyRow;
use sqlx::{Any, AssertSqlSafe, Row as _, Transaction};

use super::engine::{Engine, Result, Store, StoreError};
use super::query::Query;
use crate::model::ids::Digest;

/// Version that this code writes.
const FORMAT: &str = "assay.backup.v1";
/// Schema whose columns are listed below.
const SCHEMA: i64 = 7;
/// First schema that keeps facts for pages of the fleet: hosts of an older backup are judged again, which keeps theirs.
const KEPT: i64 = 7;
/// Longest line, bytes: a row with the largest blob.
const MAX_LINE: u64 = 96 << 20;
/// zstd level: fast, and frames inside are compressed already.
const LEVEL: i32 = 3;
/// Cells bound by one statement; both databases allow more.
const CELLS: usize = 4096;
/// Bytes bound by one statement.
const STATEMENT_BYTES: usize = 4 << 20;

/// What a column holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Raw bytes.
    Bytes,
    /// A whole number.
    Number,
    /// Text.
    Text,
}

/// One table and the columns that are moved.
#[derive(Clone, Copy, Debug)]
pub struct Table {
    /// Its name.
    pub name: &'static str,
    /// Name and kind of each column.
    pub columns: &'static [(&'static str, Kind)],
    /// Order of the rows, and which of them: equal stores give equal backups.
    tail: &'static str,
}

use Kind::{Bytes as B, Number as N, Text as T};

/// Every table that is moved, those that others refer to first.
pub const TABLES: &[Table] = &[
    Table {
        name: "hosts",
        columns: &[
            ("id", B),
            ("name", T),
            ("public_key", B),
            ("salt", B),
            ("machine", T),
            ("os", T),
            ("agent", T),
            ("enrolled_at", N),
            ("enrolled_by", B),
            ("retired_at", N),
            ("retired_by", T),
            ("retired_why", T),
            ("replaces", B),
            ("thinned_at", N),
            ("erased_at", N),
        ],
        tail: "ORDER BY id",
    },
    Table { name: "contacts", columns: &[("host", B), ("first", N), ("last", N)], tail: "ORDER BY host, first" },
    Table { name: "blobs", columns: &[("host", B), ("address", B), ("received_at", N), ("used", N), ("frame", B)], tail: "ORDER BY host, address" },
    Table {
        name: "reports",
        columns: &[
            ("id", B),
            ("host", B),
            ("lineage", B),
            ("sequence", N),
            ("kind", T),
            ("scan_window", T),
            ("state", T),
            ("started", N),
            ("finished", N),
            ("received", N),
            ("effective", N),
            ("applied", N),
            ("pass", N),
            ("fail", N),
            ("unknown", N),
            ("not_applicable", N),
            ("disagrees", N),
            ("families", T),
            ("envelope", B),
            ("receipt", B),
        ],
        tail: "ORDER BY received, id",
    },
    Table {
        name: "forks",
        columns: &[("host", B), ("lineage", B), ("sequence", N), ("report", B), ("seen_at", N)],
        tail: "ORDER BY host, lineage, sequence, report",
    },
    Table {
        name: "findings",
        columns: &[
            ("host", B),
            ("rule", T),
            ("subject", T),
            ("verdict", T),
            ("severity", N),
            ("since", N),
            ("until", N),
            ("report", B),
            ("body", T),
            ("origin", T),
            ("began", N),
        ],
        tail: "ORDER BY host, rule, subject, since",
    },
    Table { name: "leaves", columns: &[("number", N), ("kind", T), ("reference", B), ("bytes", B)], tail: "ORDER BY number" },
    Table { name: "checkpoints", columns: &[("size", N), ("root", B), ("note", T)], tail: "ORDER BY size" },
    // Its number is given anew; the order stays.
    Table { name: "pending_leaves", columns: &[("kind", T), ("reference", B), ("bytes", B)], tail: "ORDER BY number" },
    Table { name: "statements", columns: &[("digest", B), ("kind", T), ("at", N), ("body", B)], tail: "ORDER BY digest" },
    Table { name: "record_files", columns: &[("digest", B), ("at", N), ("bytes", B)], tail: "ORDER BY digest" },
    Table { name: "users", columns: &[("id", B), ("name", T), ("role", T), ("password", T), ("created_at", N), ("removed_at", N)], tail: "ORDER BY id" },
    Table {
        name: "lists",
        columns: &[("name", T), ("version", N), ("digest", B), ("entries", N), ("at", N), ("giver", T), ("body", B)],
        tail: "ORDER BY name, version",
    },
    Table { name: "bases", columns: &[("digest", B), ("body", B)], tail: "ORDER BY digest" },
    Table { name: "saved_views", columns: &[("id", B), ("person", B), ("name", T), ("query", T), ("shared", N), ("at", N)], tail: "ORDER BY id" },
    Table {
        name: "kept",
        columns: &[("host", B), ("kind", T), ("label", T), ("item", T), ("since", N), ("until", N), ("body", T)],
        tail: "ORDER BY host, kind, label, item, since",
    },
    Table { name: "kept_labels", columns: &[("kind", T), ("label", T), ("rank", N), ("about", T)], tail: "ORDER BY kind, label" },
    Table { name: "kept_state", columns: &[("host", B), ("kind", T), ("source", B), ("at", N)], tail: "ORDER BY host, kind" },
    Table { name: "labels", columns: &[("name", T), ("field", T), ("value", T), ("since", N), ("until", N)], tail: "ORDER BY name, field, value, since" },
    Table { name: "judged", columns: &[("host", B), ("basis", B), ("at", N)], tail: "ORDER BY host" },
    Table {
        name: "secrets",
        columns: &[("purpose", T), ("digest", B), ("subject", T), ("expires_at", N), ("uses_left", N)],
        tail: "WHERE purpose = 'enrol' ORDER BY digest",
    },
];

/// What was moved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Moved {
    /// Rows of all tables.
    pub rows: u64,
    /// Entries of the ledger.
    pub ledger: u64,
    /// SHA-256 of the plain lines of a backup; `None` when moved directly.
    pub digest: Option<Digest>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Head {
    at: i64,
    format: String,
    ledger: Ledger,
    schema: i64,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Ledger {
    note: Option<String>,
    size: u64,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Tail {
    digest: Digest,
    rows: u64,
}

#[derive(Clone, Debug)]
enum Cell {
    Null,
    Bytes(Vec<u8>),
    Number(i64),
    Text(String),
}

impl Store {
    /// Writes every row as one state of the store; `progress` hears the rows so far.
    pub async fn back_up(&self, out: impl Write, at: i64, progress: &(dyn Fn(u64) + Sync)) -> Result<Moved> {
        let mut transaction = self.snapshot().await?;
        let head = head_in(&mut transaction).await?;
        let size = head.as_ref().map_or(0, |(size, _)| *size);
        let mut lines = Lines::new(out)?;
        lines.json(&Head { at, format: FORMAT.into(), ledger: Ledger { note: head.map(|(_, note)| note), size }, schema: SCHEMA })?;
        let mut rows = 0;
        for table in TABLES {
            lines.json(&serde_json::json!({ "table": table.name }))?;
            let select = select(table);
            let mut stream = pin!(sqlx::query(AssertSqlSafe(select)).fetch(&mut *transaction));
            while let Some(row) = stream.try_next().await? {
                let cells = cells(table, &row)?;
                lines.json(&cells.into_iter().map(Cell::into_json).collect::<Vec<_>>())?;
                rows += 1;
                progress(rows);
            }
        }
        let digest = lines.finish(rows)?;
        Ok(Moved { rows, ledger: size, digest: Some(digest) })
    }

    /// Puts the rows of a backup into this store, which must be empty: all or nothing.
    pub async fn restore(&self, input: impl Read, progress: &(dyn Fn(u64) + Sync)) -> Result<Moved> {
        let mut lines = Reader::new(input)?;
        let head: Head = lines.json()?.ok_or_else(|| damaged("it is empty"))?;
        if head.format != FORMAT || head.schema > SCHEMA {
            return Err(damaged(&format!("format {:?} with schema {} is newer than this program", head.format, head.schema)));
        }
        let mut into = Into::begin(self).await?;
        let mut table: Option<&Table> = None;
        loop {
            let before = lines.digest();
            let line: Value = lines.json()?.ok_or_else(|| damaged("it ends before its end: it was cut"))?;
            match line {
                Value::Array(row) => {
                    let table = table.ok_or_else(|| damaged("a row stands before any table"))?;
                    into.row(table, parsed(table, row, head.schema)?).await?;
                    progress(into.rows);
                }
                Value::Object(ref keys) if keys.contains_key("table") => {
                    let name = keys.get("table").and_then(Value::as_str).unwrap_or_default();
                    table = Some(TABLES.iter().find(|t| t.name == name).ok_or_else(|| damaged(&format!("there is no table {name:?}")))?);
                }
                other => {
                    let tail: Tail = serde_json::from_value(other).map_err(|e| damaged(&e.to_string()))?;
                    if tail.digest != before || tail.rows != into.rows {
                        return Err(damaged("its digest does not hold: it was altered"));
                    }
                    if head.schema < KEPT {
                        into.flush().await?;
                        sqlx::query("DELETE FROM judged").execute(&mut *into.transaction).await?;
                    }
                    let rows = into.finish().await?;
                    self.derive().await?;
                    return Ok(Moved { rows, ledger: head.ledger.size, digest: Some(before) });
                }
            }
        }
    }

    /// Copies every row into another store, which must be empty: all or nothing.
    pub async fn copy_to(&self, other: &Store, progress: &(dyn Fn(u64) + Sync)) -> Result<Moved> {
        let mut transaction = self.snapshot().await?;
        let size = head_in(&mut transaction).await?.map_or(0, |(size, _)| size);
        let mut into = Into::begin(other).await?;
        for table in TABLES {
            let select = select(table);
            let mut stream = pin!(sqlx::query(AssertSqlSafe(select)).fetch(&mut *transaction));
            while let Some(row) = stream.try_next().await? {
                into.row(table, cells(table, &row)?).await?;
                progress(into.rows);
            }
        }
        let rows = into.finish().await?;
        other.derive().await?;
        Ok(Moved { rows, ledger: size, digest: None })
    }
}

async fn head_in(transaction: &mut Transaction<'static, Any>) -> Result<Option<(u64, String)>> {
    let row = sqlx::query("SELECT size, note FROM checkpoints ORDER BY size DESC LIMIT 1").fetch_optional(&mut **transaction).await?;
    row.map(|row| Ok((super::engine::unsigned(&row, "size")?, row.try_get("note")?))).transpose()
}

fn select(table: &Table) -> String {
    let columns: Vec<&str> = table.columns.iter().map(|(name, _)| *name).collect();
    format!("SELECT {} FROM {} {}", columns.join(", "), table.name, table.tail)
}

fn cells(table: &Table, row: &AnyRow) -> Result<Vec<Cell>> {
    let cell = |(name, kind): &(&str, Kind)| {
        Ok(match kind {
            B => row.try_get::<Option<Vec<u8>>, _>(name)?.map_or(Cell::Null, Cell::Bytes),
            N => row.try_get::<Option<i64>, _>(name)?.map_or(Cell::Null, Cell::Number),
            T => row.try_get::<Option<String>, _>(name)?.map_or(Cell::Null, Cell::Text),
        })
    };
    table.columns.iter().map(cell).collect()
}

fn parsed(table: &Table, mut row: Vec<Value>, schema: i64) -> Result<Vec<Cell>> {
    let wrong = || damaged(&format!("a row of {} does not have its columns", table.name));
    if schema < SCHEMA && row.len() < table.columns.len() {
        row.resize(table.columns.len(), Value::Null);
    }
    if row.len() != table.columns.len() {
        return Err(wrong());
    }
    let cell = |(value, (_, kind)): (Value, &(&str, Kind))| match (value, kind) {
        (Value::Null, _) => Ok(Cell::Null),
        (Value::String(text), B) => STANDARD_NO_PAD.decode(text).map(Cell::Bytes).map_err(|_| wrong()),
        (Value::String(text), T) => Ok(Cell::Text(text)),
        (Value::Number(number), N) => number.as_i64().map(Cell::Number).ok_or_else(wrong),
        _ => Err(wrong()),
    };
    row.into_iter().zip(table.columns).map(cell).collect()
}

impl Cell {
    fn into_json(self) -> Value {
        match self {
            Self::Null => Value::Null,
            Self::Bytes(bytes) => Value::String(STANDARD_NO_PAD.encode(bytes)),
            Self::Number(number) => number.into(),
            Self::Text(text) => Value::String(text),
        }
    }

    fn bytes(&self) -> usize {
        match self {
            Self::Null | Self::Number(_) => 8,
            Self::Bytes(bytes) => bytes.len(),
            Self::Text(text) => text.len(),
        }
    }

    fn bind(self, kind: Kind, query: &mut Query) {
        match (self, kind) {
            (Self::Bytes(bytes), _) => query.bind(bytes),
            (Self::Number(number), _) => query.bind(number),
            (Self::Text(text), _) => query.bind(text),
            (Self::Null, B) => query.bind(None::<Vec<u8>>),
            (Self::Null, N) => query.bind(None::<i64>),
            (Self::Null, T) => query.bind(None::<String>),
        };
    }
}

/// Rows on their way into an empty store, several by one statement.
struct Into {
    transaction: Transaction<'static, Any>,
    engine: Engine,
    table: Option<&'static Table>,
    held: Vec<Vec<Cell>>,
    held_bytes: usize,
    rows: u64,
}

impl Into {
    async fn begin(store: &Store) -> Result<Self> {
        let mut transaction = store.begin().await?;
        for table in ["hosts", "leaves", "pending_leaves", "users"] {
            let found = sqlx::query(AssertSqlSafe(format!("SELECT 1 AS found FROM {table} LIMIT 1"))).fetch_optional(&mut *transaction).await?;
            if found.is_some() {
                return Err(StoreError::File(format!("the store to fill is not empty (it has {table}); name a new data folder or an empty database")));
            }
        }
        // A host may name the one it replaces before that one is there.
        let defer = match store.engine() {
            Engine::Sqlite => "PRAGMA defer_foreign_keys = ON",
            Engine::Postgres => "SET CONSTRAINTS ALL DEFERRED",
        };
        sqlx::raw_sql(defer).execute(&mut *transaction).await?;
        Ok(Self { transaction, engine: store.engine(), table: None, held: Vec::new(), held_bytes: 0, rows: 0 })
    }

    async fn row(&mut self, table: &Table, row: Vec<Cell>) -> Result<()> {
        let table = TABLES.iter().find(|t| t.name == table.name);
        let full = self.held.len() * row.len() >= CELLS || self.held_bytes >= STATEMENT_BYTES;
        if full || self.table.map(|t| t.name) != table.map(|t| t.name) {
            self.flush().await?;
            self.table = table;
        }
        self.held_bytes += row.iter().map(Cell::bytes).sum::<usize>();
        self.held.push(row);
        self.rows += 1;
        Ok(())
    }

    async fn flush(&mut self) -> Result<()> {
        let (Some(table), false) = (self.table, self.held.is_empty()) else { return Ok(()) };
        let columns: Vec<&str> = table.columns.iter().map(|(name, _)| *name).collect();
        let mut query = Query::new(&format!("INSERT INTO {} ({}) VALUES ", table.name, columns.join(", ")));
        for (number, row) in self.held.drain(..).enumerate() {
            query.push(if number > 0 { ", (" } else { "(" });
            for (place, (cell, (_, kind))) in row.into_iter().zip(table.columns).enumerate() {
                if place > 0 {
                    query.push(", ");
                }
                cell.bind(*kind, &mut query);
            }
            query.push(")");
        }
        self.held_bytes = 0;
        query.run(&mut *self.transaction).await?;
        Ok(())
    }

    async fn finish(mut self) -> Result<u64> {
        self.flush().await?;
        sqlx::query("DELETE FROM derived").execute(&mut *self.transaction).await?;
        if self.engine == Engine::Postgres {
            let numbers = "INSERT INTO report_numbers (host, lineage, sequence, report) SELECT host, lineage, sequence, id FROM reports";
            sqlx::query(numbers).execute(&mut *self.transaction).await?;
        }
        self.transaction.commit().await?;
        Ok(self.rows)
    }
}

/// Writes lines, counting them into a digest.
struct Lines<W: Write> {
    out: zstd::Encoder<'static, W>,
    digest: sha2::Sha256,
}

impl<W: Write> Lines<W> {
    fn new(out: W) -> Result<Self> {
        Ok(Self { out: zstd::Encoder::new(out, LEVEL).map_err(unwritten)?, digest: sha2::Sha256::new() })
    }

    fn json(&mut self, value: &impl Serialize) -> Result<()> {
        let mut line = serde_json::to_vec(value).map_err(|e| StoreError::File(e.to_string()))?;
        line.push(b'\n');
        self.digest.update(&line);
        self.out.write_all(&line).map_err(unwritten)
    }

    fn finish(mut self, rows: u64) -> Result<Digest> {
        let digest = Digest::new(self.digest.clone().finalize().into());
        self.json(&Tail { digest, rows })?;
        self.out.finish().and_then(|mut out| out.flush()).map_err(unwritten)?;
        Ok(digest)
    }
}

/// Reads lines, counting them into a digest.
struct Reader<'d, R: Read> {
    input: std::io::BufReader<zstd::Decoder<'d, std::io::BufReader<R>>>,
    digest: sha2::Sha256,
}

impl<R: Read> Reader<'_, R> {
    fn new(input: R) -> Result<Self> {
        let decoder = zstd::Decoder::new(input).map_err(|e| damaged(&e.to_string()))?;
        Ok(Self { input: std::io::BufReader::new(decoder), digest: sha2::Sha256::new() })
    }

    /// Digest of every line read so far.
    fn digest(&self) -> Digest {
        Digest::new(self.digest.clone().finalize().into())
    }

    fn json<V: serde::de::DeserializeOwned>(&mut self) -> Result<Option<V>> {
        let mut line = Vec::new();
        (&mut self.input).take(MAX_LINE).read_until(b'\n', &mut line).map_err(|e| damaged(&e.to_string()))?;
        if line.is_empty() {
            return Ok(None);
        }
        if line.last() != Some(&b'\n') {
            return Err(damaged("a line is cut or longer than any row"));
        }
        self.digest.update(&line);
        serde_json::from_slice(&line).map(Some).map_err(|e| damaged(&e.to_string()))
    }
}

fn unwritten(e: std::io::Error) -> StoreError {
    StoreError::File(format!("the backup can't be written: {e}"))
}

fn damaged(why: &str) -> StoreError {
    StoreError::File(format!("not a whole backup of this program: {why}; nothing was restored"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::collector::store::testing::store;

    #[tokio::test]
    async fn every_column_of_every_table_is_moved() {
        let (_folder, store) = store().await;
        // Given anew, or belonging to a running process.
        let left_out = [("findings", "row"), ("pending_leaves", "number"), ("leases", "name"), ("leases", "holder"), ("leases", "until")];
        let rows = sqlx::query(
            "SELECT m.name AS t, c.name AS c FROM sqlite_master m, pragma_table_info(m.name) c WHERE m.type = 'table' AND m.name NOT LIKE 'sqlite_%'",
        );
        let rows = rows.fetch_all(&store.reader).await.unwrap();
        assert!(rows.len() > 60);
        // Counted anew where they arrive.
        let derived = ["tallies", "ages", "tally_log", "derived", "open_findings", "decisions"];
        for row in rows {
            let (table, column): (String, String) = (row.get("t"), row.get("c"));
            if derived.contains(&table.as_str()) {
                continue;
            }
            let moved = TABLES.iter().any(|t| t.name == table && t.columns.iter().any(|(name, _)| *name == column));
            assert_eq!(moved, !left_out.contains(&(table.as_str(), column.as_str())), "{table}.{column}");
        }
    }
}
