//! Settings that people change while the collector works. Each change is a statement of the ledger.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use sqlx::{Any, Row as _, Transaction};

use super::Statement;
use super::engine::{Result, Store, storable};
use crate::ledger::Kind;

/// What the ledger says of a change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SettingChange {
    /// When, Unix seconds.
    pub at: i64,
    /// Who: a user's random id, or the operating-system user of the command.
    pub by: String,
    /// Which setting.
    pub name: String,
    /// What it is from now on; empty: the default.
    pub value: String,
}

impl Store {
    /// All settings that are not the default, by name.
    pub async fn settings(&self) -> Result<BTreeMap<String, String>> {
        let rows = sqlx::query("SELECT name, value FROM settings").fetch_all(&self.reader).await?;
        rows.iter().map(|row| Ok((row.try_get("name")?, row.try_get("value")?))).collect()
    }

    /// One setting; empty: the default.
    pub async fn setting(&self, name: &str) -> Result<String> {
        let row = sqlx::query("SELECT value FROM settings WHERE name = $1").bind(name.to_string()).fetch_optional(&self.reader).await?;
        row.map_or(Ok(String::new()), |row| Ok(row.try_get("value")?))
    }

    /// Changes a setting and tells the ledger: all or nothing.
    pub async fn put_setting(&self, name: &str, value: &str, by: &str, at: i64) -> Result<()> {
        let mut transaction = self.begin().await?;
        sqlx::query("INSERT INTO settings (name, value) VALUES ($1, $2) ON CONFLICT (name) DO UPDATE SET value = excluded.value")
            .bind(name.to_string())
            .bind(storable(value))
            .execute(&mut *transaction)
            .await?;
        tell(&mut transaction, name, value, by, at).await?;
        transaction.commit().await?;
        Ok(())
    }
}

/// Tells the ledger of a change inside its transaction.
pub(super) async fn tell(transaction: &mut Transaction<'static, Any>, name: &str, value: &str, by: &str, at: i64) -> Result<()> {
    let change = SettingChange { at, by: by.into(), name: name.into(), value: storable(value) };
    super::statements::put(transaction, &Statement::of(Kind::Setting, at, &change)?, None).await
}
