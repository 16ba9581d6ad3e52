//! What people say of one host, from its page, the API or the command line: each word is a new version of the list `labels`.

use super::lists::List;
use super::store::{Given, NewList, Store, StoreError};
use crate::model::ids::Digest;
use crate::model::labels::{HostLabels, Labels};

/// How often a version is tried while others give versions.
const TRIES: usize = 8;

/// Why nothing was said.
#[derive(Debug, thiserror::Error)]
pub enum LabelError {
    /// What was said can't be kept; one sentence.
    #[error("{0}")]
    Refused(String),
    /// The version in force can't be read, so that one host of it can't be changed.
    #[error("the labels in force can't be read any more: {0}; give the list anew")]
    Unreadable(String),
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Says something else of one host, of nothing when all is empty; what is said of others stays. `by` is a random id, never a name.
pub async fn set(store: &Store, said: HostLabels, by: &str, at: i64) -> Result<Given, LabelError> {
    let said = said.checked().map_err(LabelError::Refused)?;
    for _ in 0..TRIES {
        let (version, mut labels) = newest(store).await?;
        labels.set(said.clone());
        let bytes = labels.to_csv().into_bytes();
        let new = NewList { kind: List::Labels.kind(), digest: Digest::of(&bytes), bytes: Some(bytes), rows: labels.items.len() as u64, at, by: by.into() };
        if let Some(given) = store.put_labels(&new, &labels, Some(version)).await? {
            return Ok(given);
        }
    }
    Err(StoreError::Database("others say something of hosts all the time".into()).into())
}

/// Number and content of the version in force; 0 and nothing when there is none.
async fn newest(store: &Store) -> Result<(u64, Labels), LabelError> {
    let name = List::Labels.name();
    let Some(version) = store.list_history(name).await?.pop() else { return Ok((0, Labels::default())) };
    let bytes = store.list_bytes(name, version.version).await?.ok_or_else(|| LabelError::Unreadable("they were erased".into()))?;
    let labels = Labels::parse(name, &bytes).map_err(|e| LabelError::Unreadable(e.to_string()))?;
    Ok((version.version, labels))
}
