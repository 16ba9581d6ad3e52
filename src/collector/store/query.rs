//! A query whose text depends on what is asked: text and arguments side by side.

use sqlx::any::{AnyArguments, AnyRow};
use sqlx::{Any, AssertSqlSafe, Encode, Type};

use super::engine::{Result, StoreError};

/// A query under construction. Only text of this program may be pushed; what comes from elsewhere is bound.
#[derive(Default)]
pub(super) struct Query {
    text: String,
    arguments: AnyArguments,
    count: usize,
    failed: Option<String>,
}

impl Query {
    /// Begins with some text.
    pub fn new(text: &str) -> Self {
        Self { text: text.into(), ..Self::default() }
    }

    /// Adds text.
    pub fn push(&mut self, text: &str) -> &mut Self {
        self.text.push_str(text);
        self
    }

    /// Adds a placeholder and its value.
    pub fn bind<'q, T: Encode<'q, Any> + Type<Any>>(&mut self, value: T) -> &mut Self {
        use sqlx::Arguments as _;
        if let Err(e) = self.arguments.add(value) {
            self.failed.get_or_insert(e.to_string());
        }
        self.count += 1;
        self.text.push_str(&format!("${}", self.count));
        self
    }

    /// Adds placeholders in parentheses, divided by commas.
    pub fn bind_list<'q, T: Encode<'q, Any> + Type<Any>>(&mut self, values: impl IntoIterator<Item = T>) -> &mut Self {
        self.push("(");
        for (number, value) in values.into_iter().enumerate() {
            if number > 0 {
                self.push(", ");
            }
            self.bind(value);
        }
        self.push(")")
    }

    /// Carries out a statement; how many rows it touched.
    pub async fn run<'e, E: sqlx::Executor<'e, Database = Any>>(&mut self, on: E) -> Result<u64> {
        let (text, arguments) = self.take()?;
        Ok(sqlx::query_with(AssertSqlSafe(text), arguments).execute(on).await?.rows_affected())
    }

    /// All rows.
    pub async fn all<'e, E: sqlx::Executor<'e, Database = Any>>(&mut self, on: E) -> Result<Vec<AnyRow>> {
        let (text, arguments) = self.take()?;
        Ok(sqlx::query_with(AssertSqlSafe(text), arguments).fetch_all(on).await?)
    }

    /// The first row.
    pub async fn first<'e, E: sqlx::Executor<'e, Database = Any>>(&mut self, on: E) -> Result<Option<AnyRow>> {
        let (text, arguments) = self.take()?;
        Ok(sqlx::query_with(AssertSqlSafe(text), arguments).fetch_optional(on).await?)
    }

    fn take(&mut self) -> Result<(String, AnyArguments)> {
        match self.failed.take() {
            Some(e) => Err(StoreError::Database(e)),
            None => Ok((std::mem::take(&mut self.text), std::mem::take(&mut self.arguments))),
        }
    }
}
