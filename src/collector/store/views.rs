//! Filters of the list of findings that people keep under a name: for themselves, or for everybody.

use sqlx::Row as _;

use super::engine::{Result, Store, bytes, flag, storable};
use crate::model::ids::RandomId;

/// Most views of one person.
const MAX_VIEWS: i64 = 50;
/// Most views that are told at once.
const MAX_TOLD: i64 = 200;

/// One saved view.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SavedView {
    /// Its id.
    pub id: RandomId,
    /// Id of the user who keeps it.
    pub person: RandomId,
    /// What it is called.
    pub name: String,
    /// The filters, as an address carries them.
    pub query: String,
    /// Whether everybody sees it.
    pub shared: bool,
    /// When it was saved, Unix seconds.
    pub at: i64,
}

impl Store {
    /// The views of a person and those that others share, by name.
    pub async fn views(&self, person: &RandomId) -> Result<Vec<SavedView>> {
        let rows = sqlx::query("SELECT * FROM saved_views WHERE person = $1 OR shared = 1 ORDER BY name, id LIMIT $2")
            .bind(person.bytes().to_vec())
            .bind(MAX_TOLD)
            .fetch_all(&self.reader)
            .await?;
        let view = |row: &sqlx::any::AnyRow| -> Result<SavedView> {
            Ok(SavedView {
                id: RandomId::new(bytes(row, "id")?),
                person: RandomId::new(bytes(row, "person")?),
                name: row.try_get("name")?,
                query: row.try_get("query")?,
                shared: flag(row, "shared")?,
                at: row.try_get("at")?,
            })
        };
        rows.iter().map(view).collect()
    }

    /// Keeps a view, instead of the person's own one of this name; `false` when the person has too many.
    pub async fn put_view(&self, view: &SavedView) -> Result<bool> {
        let mut transaction = self.begin().await?;
        let row = sqlx::query("SELECT count(*) AS n FROM saved_views WHERE person = $1 AND name <> $2")
            .bind(view.person.bytes().to_vec())
            .bind(storable(&view.name))
            .fetch_one(&mut *transaction)
            .await?;
        if row.try_get::<i64, _>("n")? >= MAX_VIEWS {
            return Ok(false);
        }
        sqlx::query(
            "INSERT INTO saved_views (id, person, name, query, shared, at) VALUES ($1, $2, $3, $4, $5, $6)
             ON CONFLICT (person, name) DO UPDATE SET query = excluded.query, shared = excluded.shared, at = excluded.at",
        )
        .bind(view.id.bytes().to_vec())
        .bind(view.person.bytes().to_vec())
        .bind(storable(&view.name))
        .bind(storable(&view.query))
        .bind(i64::from(view.shared))
        .bind(view.at)
        .execute(&mut *transaction)
        .await?;
        transaction.commit().await?;
        Ok(true)
    }

    /// Lets go of a person's own view; `false`: there is no such view of theirs.
    pub async fn drop_view(&self, person: &RandomId, id: &RandomId) -> Result<bool> {
        let mut transaction = self.begin().await?;
        let done = sqlx::query("DELETE FROM saved_views WHERE id = $1 AND person = $2")
            .bind(id.bytes().to_vec())
            .bind(person.bytes().to_vec())
            .execute(&mut *transaction)
            .await?;
        transaction.commit().await?;
        Ok(done.rows_affected() > 0)
    }
}
