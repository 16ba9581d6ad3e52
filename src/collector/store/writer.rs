//! Group commit: what several requests want to write goes into one transaction and costs one flush.
//!
//! ```text
//! request -+
//! request -+-> queue -> BEGIN; SAVEPOINT each; COMMIT -> every request is answered
//! request -+
//! ```
//! SQLite writes one transaction at a time, and a flush takes far longer than a row. A job that fails is rolled
//! back to its savepoint and harms no other; if the commit fails, all of the group have failed. A PostgreSQL server
//! groups the commits of its connections by itself: there each job is a transaction of its own.

use std::future::Future;
use std::pin::Pin;

use sqlx::{Any, AnyPool, Transaction};
use tokio::sync::{mpsc, oneshot};

use super::engine::{Engine, Result, Store, StoreError};

/// Most jobs in one transaction.
const GROUP: usize = 128;
/// Jobs that wait; more wait at the sender.
const QUEUE: usize = 1024;

/// What a job does inside a transaction.
pub(super) type Doing<'t, T> = Pin<Box<dyn Future<Output = Result<T>> + Send + 't>>;

/// Takes jobs; clones go to the same queue.
#[derive(Clone, Debug)]
pub(super) struct Writer {
    queue: mpsc::Sender<Box<dyn Job>>,
}

trait Job: Send {
    /// Does the work; `false`: it failed and must be rolled back.
    fn run<'t>(&'t mut self, transaction: &'t mut Transaction<'static, Any>) -> Pin<Box<dyn Future<Output = bool> + Send + 't>>;
    /// Answers whoever waits: the group is committed, or it failed for this reason.
    fn answer(self: Box<Self>, failed: Option<&str>);
}

struct Task<T, F> {
    work: Option<F>,
    result: Option<Result<T>>,
    reply: oneshot::Sender<Result<T>>,
}

impl<T, F> Job for Task<T, F>
where
    T: Send + 'static,
    F: for<'t> FnOnce(&'t mut Transaction<'static, Any>) -> Doing<'t, T> + Send,
{
    fn run<'t>(&'t mut self, transaction: &'t mut Transaction<'static, Any>) -> Pin<Box<dyn Future<Output = bool> + Send + 't>> {
        Box::pin(async move {
            let Some(work) = self.work.take() else { return false };
            let result = work(transaction).await;
            let kept = result.is_ok();
            self.result = Some(result);
            kept
        })
    }

    fn answer(self: Box<Self>, failed: Option<&str>) {
        let Self { result, reply, .. } = *self;
        let answer = match (result, failed) {
            (Some(Err(e)), _) => Err(e),
            (_, Some(e)) => Err(StoreError::Database(e.to_string())),
            (Some(Ok(value)), None) => Ok(value),
            (None, None) => Err(given_up()),
        };
        // Whoever asked may have gone; what was committed stays.
        let _ = reply.send(answer);
    }
}

impl Writer {
    /// Starts the task that writes; it ends with the last clone of the handle.
    pub fn start(pool: AnyPool) -> Self {
        let (queue, mut jobs) = mpsc::channel::<Box<dyn Job>>(QUEUE);
        tokio::spawn(async move {
            let mut group = Vec::new();
            while jobs.recv_many(&mut group, GROUP).await > 0 {
                let (pool, group) = (pool.clone(), std::mem::take(&mut group));
                // In a task of its own: a panic ends the group, which then counts as failed, and not the writer.
                if let Err(e) = tokio::spawn(write(pool, group)).await {
                    tracing::error!("a group of writes ended badly: {e}");
                }
            }
        });
        Self { queue }
    }
}

impl Store {
    /// Does `work` inside a transaction and answers when it is durable.
    pub(super) async fn write<T, F>(&self, work: F) -> Result<T>
    where
        T: Send + 'static,
        F: for<'t> FnOnce(&'t mut Transaction<'static, Any>) -> Doing<'t, T> + Send + 'static,
    {
        if self.engine == Engine::Postgres {
            let mut transaction = self.begin().await?;
            let value = work(&mut transaction).await?;
            transaction.commit().await?;
            return Ok(value);
        }
        let (reply, answer) = oneshot::channel();
        let job = Box::new(Task { work: Some(work), result: None, reply });
        self.grouped.queue.send(job).await.map_err(|_| given_up())?;
        answer.await.map_err(|_| given_up())?
    }
}

async fn write(pool: AnyPool, mut group: Vec<Box<dyn Job>>) {
    let failed = commit(&pool, &mut group).await.err().map(|e| e.to_string());
    for job in group {
        job.answer(failed.as_deref());
    }
}

async fn commit(pool: &AnyPool, group: &mut [Box<dyn Job>]) -> std::result::Result<(), sqlx::Error> {
    let mut transaction = pool.begin_with("BEGIN IMMEDIATE").await?;
    for job in group {
        sqlx::raw_sql("SAVEPOINT job").execute(&mut *transaction).await?;
        let kept = job.run(&mut transaction).await;
        let end = if kept { "RELEASE job" } else { "ROLLBACK TO job; RELEASE job" };
        sqlx::raw_sql(end).execute(&mut *transaction).await?;
    }
    transaction.commit().await
}

fn given_up() -> StoreError {
    StoreError::Database("the write was given up".into())
}
