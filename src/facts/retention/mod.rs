//! How old declared data is, and what is left of customers whose contract ended.

mod files;
mod tenants;

use jiff::Timestamp;
use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::databases::oldest;
use super::{Document, HostFamily};
use crate::host::Host;
use crate::host::clock;
use crate::model::declared::Declared;
use crate::model::fact::Source;
use crate::model::gap::{Gaps, reason};
use crate::model::kept::RetentionLimit;

/// Age of declared data.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Retention {
    /// Declared limits, in the order of the declaration.
    pub limits: Vec<Limit>,
    /// Tenants whose contract ended, in the order of the declaration.
    pub tenants: Vec<Tenant>,
}

impl Document for Retention {
    const NAME: &'static str = "retention";
    const TITLE: &'static str = "Age of declared data, and what is left of tenants whose contract ended";
}

/// One limit on age.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Limit {
    /// Its declared name.
    pub subject: String,
    /// Declared folder; empty for a query.
    pub path: String,
    /// `mtime`, `name-date`, `query`.
    pub by: String,
    /// Socket of the server that is asked; empty for a folder.
    pub server: String,
    /// Declared: oldest age, days.
    pub limit_days: u32,
    /// Whether the folder is there; true for a query.
    pub present: bool,
    /// Files; 0 for a query.
    #[schemars(extend("x-volatile" = true))]
    pub count: u64,
    /// Time of the oldest file or row, Unix seconds; null: there is none.
    #[schemars(extend("x-volatile" = true))]
    pub oldest_at: Option<i64>,
    /// The oldest file, below the folder.
    #[schemars(extend("x-volatile" = true, "x-personal" = true))]
    pub oldest: String,
    /// Files older than the limit; 0 for a query.
    #[schemars(extend("x-volatile" = true))]
    pub older: u64,
    /// The folder or the socket.
    pub source: Source,
}

/// A customer whose contract ended.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Tenant {
    /// Its declared name.
    #[schemars(extend("x-personal" = true))]
    pub subject: String,
    /// End of the contract, Unix seconds.
    pub ended_at: i64,
    /// Declared: days until all is gone.
    pub limit_days: u32,
    /// What is still there.
    pub places: Vec<Place>,
    /// The declaration: line of the list, or the agent's configuration.
    pub source: Source,
}

/// Data of a tenant that is still there.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Place {
    /// Path.
    #[schemars(extend("x-personal" = true))]
    pub path: String,
    /// Files in it, at least.
    pub files: u64,
    /// Bytes of them, at least.
    pub bytes: u64,
}

impl HostFamily for Retention {
    fn gather(host: &Host, gaps: &mut Gaps) -> Option<Self> {
        let declared = host.declared();
        let now = clock::unix_now();
        let limits = declared.retention.iter().map(|limit| one(host, declared, limit, now, gaps)).collect();
        let tenants = declared.offboarded.iter().flat_map(|o| tenants::look(host, o, gaps)).collect();
        Some(Self { limits, tenants })
    }
}

fn one(host: &Host, declared: &Declared, limit: &RetentionLimit, now: i64, gaps: &mut Gaps) -> Limit {
    if limit.query.is_empty() {
        return files::look(host, limit, now, gaps);
    }
    let mut out = Limit {
        subject: limit.name.clone(),
        by: "query".into(),
        server: limit.socket.clone(),
        limit_days: limit.limit_days,
        present: true,
        source: Source { place: limit.socket.clone(), line: 0, directive: "query".into() },
        ..Limit::default()
    };
    match asked(host, declared, limit) {
        Ok(at) => out.oldest_at = at,
        Err((id, detail)) => {
            let detail = format!("{}: {detail}", limit.socket);
            gaps.note(
                Retention::NAME,
                "limits.oldest_at",
                &limit.name,
                id,
                detail,
                "Correct retention in the agent's configuration, or grant SELECT to the role.",
            );
        }
    }
    out
}

fn asked(host: &Host, declared: &Declared, limit: &RetentionLimit) -> Result<Option<i64>, oldest::Silent> {
    if !host.is_this_machine() {
        return Err((reason::NEEDS_LIVE_KERNEL, "database servers of a root folder do not run".into()));
    }
    let access = declared.databases.iter().find(|d| d.socket == limit.socket);
    let access = access.ok_or_else(|| (reason::MISSING, String::from("the socket is not declared under databases")))?;
    match oldest::ask(host, access, &limit.database, &limit.query)? {
        None => Ok(None),
        // The text may be data: only that it is no time is told.
        Some(text) => moment(&text).map(Some).ok_or_else(|| (reason::MALFORMED, "the query's answer is neither a date, a time nor Unix seconds".into())),
    }
}

/// A time as databases write it; without a zone it is UTC.
fn moment(text: &str) -> Option<i64> {
    let text = text.trim();
    if let Ok(at) = text.parse::<Timestamp>() {
        return Some(at.as_second());
    }
    if let Ok(civil) = text.parse::<DateTime>() {
        return civil.to_zoned(TimeZone::UTC).ok().map(|z| z.timestamp().as_second());
    }
    if let Ok(day) = text.parse::<Date>() {
        return day.to_zoned(TimeZone::UTC).ok().map(|z| z.timestamp().as_second());
    }
    // 9 to 11 digits, a fraction allowed.
    let whole = text.split('.').next().unwrap_or_default();
    let is_number = (9..=11).contains(&whole.len()) && text.bytes().all(|b| b.is_ascii_digit() || b == b'.');
    is_number.then(|| whole.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_as_databases_write_them() {
        for text in
            ["2026-11-27 02:00:01+00", "2026-11-27 02:00:01.25+00", "2026-11-27 02:00:01", "2026-11-27 02:00:01.000000", "1795744801", "1795744801.2500"]
        {
            assert_eq!(moment(text), Some(1_795_744_801), "{text}");
        }
        assert_eq!(moment("2026-11-27"), Some(1_795_737_600));
        for text in ["", "infinity", "0000-00-00 00:00:00", "17", "acme"] {
            assert_eq!(moment(text), None, "{text}");
        }
    }
}
