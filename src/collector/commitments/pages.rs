//! The company's own pages: read strictly, checked against the rules and record types at hand, kept as versions.
//!
//! ```text
//! folder of *.yaml -> {"files":{NAME:TEXT},"format":"assay.pages.v1"}, canonical JSON -> version of the list `commitments` -> pages in force
//! ```

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use anyhow::Context as _;
use serde::{Deserialize, Serialize};

use super::super::start::bounded;
use crate::collector::store::{NewList, Store, StoreError};
use crate::ledger::Kind;
use crate::model::canonical;
use crate::model::ids::Digest;
use crate::records::RecordType;
use crate::rules::framework::{self, Framework, Named, Page};
use crate::rules::{MAX_FILE, Pack, PackError, Problem};

/// Version of the bytes that are kept.
const FORMAT: &str = "assay.pages.v1";
/// Most pages of one company.
const MAX_PAGES: usize = 64;

/// The files of pages, by name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Files {
    files: BTreeMap<String, String>,
    format: String,
}

impl Files {
    /// The pages of a folder, or one file.
    pub fn read(place: &Path) -> anyhow::Result<Self> {
        let shown = place.display();
        let mut files = BTreeMap::new();
        let mut paths = vec![place.to_path_buf()];
        if place.is_dir() {
            paths = std::fs::read_dir(place)
                .and_then(Iterator::collect::<Result<Vec<_>, _>>)
                .with_context(|| format!("can't read {shown}"))?
                .into_iter()
                .map(|e| e.path())
                .collect();
            paths.retain(|p| p.extension().is_some_and(|e| e == "yaml"));
        }
        anyhow::ensure!(paths.len() <= MAX_PAGES, "{shown} holds more than {MAX_PAGES} pages; put sentences together");
        for path in paths {
            let name = path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
            let text = String::from_utf8(bounded(&path, MAX_FILE as u64)?).map_err(|_| anyhow::anyhow!("{}: not UTF-8; save it as UTF-8", path.display()))?;
            files.insert(name, text);
        }
        Ok(Self { files, format: FORMAT.into() })
    }

    /// From the bytes that are kept.
    pub fn parse(bytes: &[u8]) -> Result<Self, StoreError> {
        let damaged = |e: String| StoreError::Damaged(format!("the pages in force: {e}"));
        let files: Self = serde_json::from_slice(bytes).map_err(|e| damaged(e.to_string()))?;
        if files.format != FORMAT {
            return Err(damaged(format!("format {:?} is newer than this program", files.format)));
        }
        Ok(files)
    }

    /// The bytes that are kept.
    pub fn to_bytes(&self) -> Result<Vec<u8>, StoreError> {
        canonical::to_bytes(self).map_err(|e| StoreError::Database(e.to_string()))
    }

    /// The pages, checked; every problem of every file.
    pub fn pages(&self, known: &Known) -> Result<Vec<Page>, PackError> {
        let (mut pages, mut problems) = (Vec::new(), Vec::new());
        let mut ids: BTreeMap<String, &str> = known.taken.iter().map(|id| (id.clone(), "the program itself")).collect();
        for (name, text) in &self.files {
            match framework::parse_own_page(name, text) {
                Err(problem) => problems.push(problem),
                Ok(page) => {
                    problems.extend(page.named.iter().filter_map(|named| known.problem(name, named)));
                    if let Some(other) = ids.insert(page.framework.id.clone(), name) {
                        let text = format!("id {:?} is that of {other}: choose another", page.framework.id);
                        problems.push(Problem { file: name.clone(), line: 1, column: 1, text });
                    }
                    pages.push(page);
                }
            }
        }
        problems.sort_by(|a, b| (&a.file, a.line, a.column).cmp(&(&b.file, b.line, b.column)));
        if problems.is_empty() { Ok(pages) } else { Err(PackError { problems }) }
    }
}

/// What a page may name, and which ids are taken.
#[derive(Clone, Debug)]
pub struct Known {
    rules: BTreeSet<String>,
    records: BTreeSet<String>,
    taken: BTreeSet<String>,
}

impl Known {
    /// The rules of a pack, these record types, and the frameworks that the program carries.
    pub fn new(pack: &Pack, records: &[RecordType]) -> Result<Self, PackError> {
        Ok(Self {
            rules: pack.rules.iter().map(|r| r.id.clone()).collect(),
            records: records.iter().map(|r| r.id.clone()).collect(),
            taken: framework::builtin()?.into_iter().map(|f| f.id).collect(),
        })
    }

    fn problem(&self, file: &str, named: &Named) -> Option<Problem> {
        let (here, what) = if named.is_record { (&self.records, "record type") } else { (&self.rules, "rule") };
        let text = || format!("there is no {what} {:?}: see assay rules list, or take it out", named.id);
        (!here.contains(&named.id)).then(|| Problem { file: file.into(), line: named.line, column: named.column, text: text() })
    }
}

/// Puts pages into force, unless they are; whether they are others than before.
pub async fn put(store: &Store, files: &Files, pages: &[Page], by: &str, at: i64) -> Result<bool, StoreError> {
    let bytes = files.to_bytes()?;
    let rows = pages.iter().map(|p| p.framework.controls.len() as u64).sum();
    let new = NewList { kind: Kind::Commitments, digest: Digest::of(&bytes), bytes: Some(bytes), rows, at, by: by.into() };
    Ok(store.put_list(&new).await?.is_new)
}

/// The pages that were in force at a time (Unix seconds). Those that name what is not there any more are kept: what can't be told is unknown.
pub async fn in_force(store: &Store, at: i64) -> Result<Vec<Page>, StoreError> {
    let Some(bytes) = store.list_at(Kind::Commitments.id(), at).await?.and_then(|v| v.bytes) else { return Ok(Vec::new()) };
    let files = Files::parse(&bytes)?;
    let parsed: Result<Vec<Page>, Problem> = files.files.iter().map(|(name, text)| framework::parse_own_page(name, text)).collect();
    parsed.map_err(|e| StoreError::Damaged(format!("the pages in force: {e}")))
}

/// The frameworks that the program carries, then the pages in force at a time.
pub async fn frameworks(store: &Store, at: i64) -> anyhow::Result<Vec<Framework>> {
    let mut all = framework::builtin()?;
    all.extend(in_force(store, at).await?.into_iter().map(|p| p.framework));
    Ok(all)
}
