//! Pages of commitments as people ask for them: on the command line, on the pages, over the API.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Serialize;

use super::pages::in_force;
use super::{Grounds, Status, Truth, grounds, status};
use crate::collector::store::{Store, StoreError};
use crate::rules::Pack;
use crate::rules::framework::{self, Page};

/// Verdicts that one request looks at one by one; of more it reads the counts.
pub const MOST_VERDICTS: u32 = 50_000;

/// A page that can be asked for.
#[derive(Clone, Debug)]
pub struct Known {
    /// The page.
    pub page: Page,
    /// Whether it is the company's own; else one that the program carries as an example.
    pub is_own: bool,
}

/// The company's own pages that were in force at `at` (Unix seconds), then those that the program carries.
pub async fn known(store: &Store, at: i64) -> Result<Vec<Known>, StoreError> {
    let mut out: Vec<Known> = in_force(store, at).await?.into_iter().map(|page| Known { page, is_own: true }).collect();
    let carried = framework::builtin().map_err(|e| StoreError::Damaged(format!("a page of the program: {e}")))?;
    let pages = carried.into_iter().filter(|f| f.kind == framework::Kind::Commitments);
    out.extend(pages.map(|framework| Known { page: Page { framework, published: BTreeMap::new(), named: Vec::new() }, is_own: false }));
    Ok(out)
}

/// How the sentences of some pages stand, and what they rest on; of more verdicts than `most` the counts.
pub async fn told(store: &Store, pack: &Pack, pages: &[&Page], at: i64, most: u32) -> Result<(Vec<Vec<Status>>, Grounds), StoreError> {
    let frameworks: Vec<_> = pages.iter().map(|p| &p.framework).collect();
    let grounds = grounds::load(store, pack, &frameworks, at, most).await?;
    Ok((frameworks.iter().map(|page| status(page, &grounds, at)).collect(), grounds))
}

/// A page and how each of its sentences stands.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[schemars(rename = "CommitmentPage")]
pub struct Told {
    /// Its id.
    pub id: String,
    /// Whether it is the company's own; else an example that the program carries.
    pub is_own: bool,
    /// In the order of the page.
    pub sentences: Vec<Status>,
    /// Its title.
    pub title: String,
    /// Its version.
    pub version: String,
}

impl Told {
    /// A page with what was told of it.
    pub fn new(known: &Known, sentences: Vec<Status>) -> Self {
        let framework = &known.page.framework;
        Self { id: framework.id.clone(), is_own: known.is_own, sentences, title: framework.title.clone(), version: framework.version.clone() }
    }
}

/// Sentences by what they are, in the order true, false, unknown, no record.
pub fn counts(statuses: &[Status]) -> [(Truth, usize); 4] {
    [Truth::True, Truth::False, Truth::Unknown, Truth::NoRecord].map(|truth| (truth, statuses.iter().filter(|s| s.truth == truth).count()))
}
