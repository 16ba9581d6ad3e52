//! Lists that people keep, thresholds and advisories: given by the files of the configuration or by the command line, kept as versions, put into
//! force while the collector works.
//!
//! ```text
//! file of the configuration -- changed? --> parsed -> version in the store + ledger entry -+
//! assay-collector list put -----------------------------------------------------------------+-> newest versions -> Basis in force
//! another collector on the same database ---------------------------------------------------+
//! ```
//! A file counts when it changes: one that says what it last said gives no version, so what the command line gave stays. A file that can't be read
//! as the list that it is leaves the old version in force.

use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Context as _;
use tokio::sync::watch;
use tokio::time::sleep;

use super::app::App;
use super::basis::Basis;
use super::commitments::pages::{self, Files, Known};
use super::metrics::{ListLabel, Metrics};
use super::start::bounded;
use super::store::{Given, NewList, Store, StoreError};
use crate::advisory::Index;
use crate::config::collector::Config;
use crate::host::clock;
use crate::ledger::Kind;
use crate::model::approvals::Approvals;
use crate::model::canonical;
use crate::model::ids::Digest;
use crate::model::inventory::Inventory;
use crate::model::labels::Labels;
use crate::model::policy::Policy;
use crate::model::roster::Roster;
use crate::model::table::{TABLE_LIMIT, TableError};
use crate::model::third_parties::ThirdParties;
use crate::records;
use crate::rules::Pack;
use crate::rules::framework::Page;

/// How often files and versions are looked at.
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// Files of a folder that are looked at.
const MAX_MARKED: usize = 1024;
/// Who gives what a file of the configuration says.
pub const CONFIGURATION: &str = "configuration";

/// A list that people keep.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum List {
    /// Who works here, and who left.
    Roster,
    /// Who may have which privileged access.
    Approvals,
    /// To whom machines may send.
    ThirdParties,
    /// Hosts that are known elsewhere.
    Inventory,
    /// What is said of hosts.
    Labels,
}

/// A list as read.
#[derive(Clone, Debug)]
pub enum Parsed {
    /// People.
    Roster(Roster),
    /// Approvals.
    Approvals(Approvals),
    /// Third parties.
    ThirdParties(ThirdParties),
    /// Machines.
    Inventory(Inventory),
    /// What is said of hosts.
    Labels(Labels),
}

impl List {
    /// All.
    pub const ALL: [Self; 5] = [Self::Roster, Self::Approvals, Self::ThirdParties, Self::Inventory, Self::Labels];

    /// Kind of the ledger entries about it; its id is the list's name.
    pub const fn kind(self) -> Kind {
        match self {
            Self::Roster => Kind::Roster,
            Self::Approvals => Kind::Approvals,
            Self::ThirdParties => Kind::ThirdParties,
            Self::Inventory => Kind::Inventory,
            Self::Labels => Kind::Labels,
        }
    }

    /// Its name.
    pub const fn name(self) -> &'static str {
        self.kind().id()
    }

    /// The list of this name.
    pub fn of(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|l| l.name() == name)
    }

    /// Reads it; `name` is the file as people know it.
    pub fn parse(self, name: &str, bytes: &[u8]) -> Result<Parsed, TableError> {
        Ok(match self {
            Self::Roster => Parsed::Roster(Roster::parse(name, bytes)?),
            Self::Approvals => Parsed::Approvals(Approvals::parse(name, bytes)?),
            Self::ThirdParties => Parsed::ThirdParties(ThirdParties::parse(name, bytes)?),
            Self::Inventory => Parsed::Inventory(Inventory::parse(name, bytes)?),
            Self::Labels => Parsed::Labels(Labels::parse(name, bytes)?),
        })
    }
}

impl Parsed {
    /// Entries.
    pub fn rows(&self) -> u64 {
        (match self {
            Self::Roster(list) => list.people.len(),
            Self::Approvals(list) => list.items.len(),
            Self::ThirdParties(list) => list.items.len(),
            Self::Inventory(list) => list.items.len(),
            Self::Labels(list) => list.items.len(),
        }) as u64
    }

    /// What was tolerated while reading, one sentence each.
    pub fn notes(&self) -> &[String] {
        match self {
            Self::Roster(list) => &list.notes,
            Self::Approvals(list) => &list.notes,
            Self::ThirdParties(list) => &list.notes,
            Self::Inventory(list) => &list.notes,
            Self::Labels(list) => &list.notes,
        }
    }
}

/// Puts a version of a list into force.
pub async fn put(store: &Store, list: List, parsed: &Parsed, bytes: Vec<u8>, by: &str, at: i64) -> Result<Given, StoreError> {
    let new = NewList { kind: list.kind(), digest: Digest::of(&bytes), bytes: Some(bytes), rows: parsed.rows(), at, by: by.into() };
    match parsed {
        Parsed::Labels(labels) => Ok(store.put_labels(&new, labels, None).await?.unwrap_or(Given { version: 0, is_new: false })),
        _ => store.put_list(&new).await,
    }
}

/// Which lists can't be read at the moment, and since when (Unix seconds).
#[derive(Debug, Default)]
pub struct Refused(Mutex<BTreeMap<&'static str, i64>>);

impl Refused {
    /// Names and times.
    pub fn all(&self) -> Vec<(&'static str, i64)> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).iter().map(|(name, at)| (*name, *at)).collect()
    }

    fn set(&self, name: &'static str, since: Option<i64>, metrics: Option<&Metrics>) {
        let mut refused = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match since {
            Some(at) => drop(refused.entry(name).or_insert(at)),
            None => drop(refused.remove(name)),
        }
        if let Some(metrics) = metrics {
            metrics.lists_refused.get_or_create(&ListLabel { list: name }).set(i64::from(since.is_some()));
        }
    }
}

/// What a file of the configuration gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum What {
    List(List),
    Policy,
    Advisories,
    Commitments,
}

impl What {
    const fn name(self) -> &'static str {
        match self {
            Self::List(list) => list.name(),
            Self::Policy => Kind::Policy.id(),
            Self::Advisories => Kind::Advisories.id(),
            Self::Commitments => Kind::Commitments.id(),
        }
    }
}

/// What tells that a file, or one of a folder, is another one: a replaced or rewritten file has at least another time of change.
type Mark = BTreeMap<PathBuf, (u64, u64, u64, i64, i64, i64, i64)>;

/// The files of the configuration and the versions that are in force.
#[derive(Debug)]
pub struct Watch {
    files: Vec<(What, PathBuf, Mark)>,
    pack: Arc<Pack>,
    heads: BTreeMap<String, u64>,
}

/// What a changed file says.
enum Said {
    List(List, Parsed, Vec<u8>),
    Policy(Box<Policy>),
    Advisories(Index),
    Commitments(Files, Vec<Page>),
}

/// The basis at the start of a collector: files that changed give versions, the newest versions are read. Every error is a sentence for the
/// operator: a file that can't be read is one only where no earlier version is kept.
pub async fn begin(store: &Store, config: &Config, pack: Arc<Pack>, refused: &Refused, now: i64) -> anyhow::Result<(Basis, Watch)> {
    // Before it is read: what changes meanwhile is another mark.
    let policy = (What::Policy, config.policy.clone(), mark(&config.policy));
    let mut basis = Basis::new(pack.clone(), config.thresholds()?);
    record_policy(store, &basis.policy, now).await?;
    let paths = [
        (What::List(List::Roster), &config.roster),
        (What::List(List::Approvals), &config.approvals),
        (What::List(List::ThirdParties), &config.third_parties),
        (What::List(List::Inventory), &config.inventory),
        (What::List(List::Labels), &config.labels),
        (What::Advisories, &config.advisories),
        (What::Commitments, &config.commitments),
    ];
    let mut watch = Watch { files: Vec::new(), heads: BTreeMap::new(), pack: pack.clone() };
    for (what, path) in paths.into_iter().filter(|(_, path)| !path.as_os_str().is_empty()) {
        let seen = mark(path);
        match read(what, path, &pack) {
            Ok(said) => basis = given(store, basis, said, now).await?,
            Err(problem) if what != What::Advisories && !store.list_history(what.name()).await?.is_empty() => {
                tracing::error!(list = what.name(), "the version in force stays: {problem:#}");
                refused.set(what.name(), Some(now), None);
            }
            Err(problem) => return Err(problem),
        }
        watch.files.push((what, path.clone(), seen));
    }
    if !config.policy.as_os_str().is_empty() {
        watch.files.push(policy);
    }
    basis = watch.newest(store, basis, refused, None, now).await?;
    store.put_basis(&basis.digest, &basis.parts.to_bytes()).await?;
    Ok((basis, watch))
}

/// Follows files and versions until `stop`.
pub async fn follow(app: Arc<App>, mut watch: Watch, mut stop: watch::Receiver<bool>) {
    for (list, since) in app.refused.all() {
        app.refused.set(list, Some(since), Some(&app.metrics));
    }
    while !*stop.borrow() {
        tokio::select! {
            () = sleep(LOOK_EVERY) => {}
            _ = stop.changed() => break,
        }
        if let Err(e) = watch.look(&app, clock::unix_now()).await {
            tracing::error!("lists can't be followed: {e}");
        }
    }
}

impl Watch {
    /// One look: what changed is put into force.
    async fn look(&mut self, app: &App, now: i64) -> Result<(), StoreError> {
        let old = app.basis.now();
        let mut basis = (*old).clone();
        for (what, path, seen) in &mut self.files {
            let now_there = mark(path);
            if now_there == *seen {
                continue;
            }
            let (what, place, pack) = (*what, path.clone(), self.pack.clone());
            let said = tokio::task::spawn_blocking(move || read(what, &place, &pack)).await.unwrap_or_else(|e| Err(anyhow::anyhow!("{e}")));
            match said {
                Ok(said) => {
                    basis = given(&app.store, basis, said, now).await?;
                    app.refused.set(what.name(), None, Some(&app.metrics));
                }
                Err(problem) => {
                    tracing::error!(list = what.name(), "what is in force stays: {problem:#}");
                    app.refused.set(what.name(), Some(now), Some(&app.metrics));
                }
            }
            // After the store took it: what failed is looked at again.
            *seen = now_there;
        }
        basis = self.newest(&app.store, basis, &app.refused, Some(&app.metrics), now).await?;
        if basis.digest != old.digest {
            tracing::info!(changed = basis.parts.differing(&old.parts).join(","), "something else is judged by from now on");
            app.store.put_basis(&basis.digest, &basis.parts.to_bytes()).await?;
            app.sequencer.wake();
            app.basis.put(basis);
        } else if !basis.is_whole_of(&old) {
            app.sequencer.wake();
            app.basis.put(basis);
        }
        Ok(())
    }

    /// The basis with the newest version of each list. One that does not read any more is as good as none: what rests on it is unknown.
    async fn newest(&mut self, store: &Store, mut basis: Basis, refused: &Refused, metrics: Option<&Metrics>, now: i64) -> Result<Basis, StoreError> {
        for (name, version) in store.list_heads().await? {
            if name == Kind::Commitments.id() && self.heads.get(&name) != Some(&version) {
                match pages::in_force(store, i64::MAX - 1).await {
                    Ok(pages) => basis = basis.changed(|b| b.pages = Arc::new(pages)),
                    Err(e) => {
                        tracing::error!(version, "the pages in force do not read any more and are left out: {e}");
                        refused.set(Kind::Commitments.id(), Some(now), metrics);
                    }
                }
                self.heads.insert(name, version);
                continue;
            }
            let Some(list) = List::of(&name).filter(|_| self.heads.get(&name) != Some(&version)) else { continue };
            let Some(bytes) = store.list_bytes(&name, version).await? else { continue };
            let digest = Digest::of(&bytes);
            let parsed = tokio::task::spawn_blocking(move || list.parse(list.name(), &bytes)).await.map_err(|e| StoreError::Database(e.to_string()))?;
            match parsed {
                Ok(parsed) => basis = with(basis, parsed, digest),
                Err(e) => {
                    tracing::error!(list = name, version, "the version in force does not read any more, what rests on it is unknown: {e}");
                    refused.set(list.name(), Some(now), metrics);
                    basis = without(basis, list);
                }
            }
            self.heads.insert(name, version);
        }
        Ok(basis)
    }
}

/// What a file says goes into the store; thresholds and advisories judge from now on, lists once their version is read from there.
async fn given(store: &Store, basis: Basis, said: Said, now: i64) -> Result<Basis, StoreError> {
    Ok(match said {
        Said::List(list, parsed, bytes) => {
            let last = store.list_history(list.name()).await?.into_iter().rev().find(|v| v.by == CONFIGURATION);
            if last.is_none_or(|last| last.digest != Digest::of(&bytes)) {
                let given = put(store, list, &parsed, bytes, CONFIGURATION, now).await?;
                if given.is_new {
                    tracing::info!(list = list.name(), version = given.version, rows = parsed.rows(), "a new version is in force");
                }
            }
            basis
        }
        Said::Policy(policy) => {
            record_policy(store, &policy, now).await?;
            basis.with_policy(*policy)
        }
        Said::Commitments(files, pages) => {
            let last = store.list_history(Kind::Commitments.id()).await?.pop();
            if pages::put(store, &files, &pages, CONFIGURATION, now).await? {
                tracing::info!(pages = pages.len(), first = last.is_none(), "other pages of commitments are in force");
            }
            basis
        }
        Said::Advisories(index) => {
            let rows = index.directory().records;
            let new = NewList { kind: Kind::Advisories, digest: index.digest(), bytes: None, rows, at: now, by: CONFIGURATION.into() };
            store.put_list(&new).await?;
            basis.with_advisories(Some(index))
        }
    })
}

/// Thresholds are versions of a list, too: of what was judged by then.
async fn record_policy(store: &Store, policy: &Policy, now: i64) -> Result<(), StoreError> {
    let bytes = canonical::to_bytes(policy).map_err(|e| StoreError::Database(e.to_string()))?;
    let rows = serde_json::to_value(policy).ok().and_then(|v| v.as_object().map(|o| o.len() as u64)).unwrap_or_default();
    let new = NewList { kind: Kind::Policy, digest: Digest::of(&bytes), bytes: Some(bytes), rows, at: now, by: CONFIGURATION.into() };
    store.put_list(&new).await.map(drop)
}

fn with(basis: Basis, parsed: Parsed, digest: Digest) -> Basis {
    basis.changed(|b| match parsed {
        Parsed::Roster(list) => (b.roster, b.parts.roster) = (Some(Arc::new(list)), Some(digest)),
        Parsed::Approvals(list) => (b.approvals, b.parts.approvals) = (Some(Arc::new(list)), Some(digest)),
        Parsed::ThirdParties(list) => (b.third_parties, b.parts.third_parties) = (Some(Arc::new(list)), Some(digest)),
        Parsed::Inventory(list) => b.inventory = Some(Arc::new(list)),
        // Nothing is judged by it; pages read it from the store.
        Parsed::Labels(_) => {}
    })
}

fn without(basis: Basis, list: List) -> Basis {
    basis.changed(|b| match list {
        List::Roster => (b.roster, b.parts.roster) = (None, None),
        List::Approvals => (b.approvals, b.parts.approvals) = (None, None),
        List::ThirdParties => (b.third_parties, b.parts.third_parties) = (None, None),
        List::Inventory => b.inventory = None,
        List::Labels => {}
    })
}

fn read(what: What, path: &Path, pack: &Pack) -> anyhow::Result<Said> {
    Ok(match what {
        What::Commitments => {
            let files = Files::read(path)?;
            let pages = files.pages(&Known::new(pack, records::types::builtin()?)?).with_context(|| path.display().to_string())?;
            Said::Commitments(files, pages)
        }
        What::List(list) => {
            let bytes = bounded(path, TABLE_LIMIT as u64)?;
            let parsed = list.parse(&path.display().to_string(), &bytes)?;
            Said::List(list, parsed, bytes)
        }
        What::Policy => Said::Policy(Box::new(Config { policy: path.into(), ..Config::default() }.thresholds()?)),
        What::Advisories => Said::Advisories(Index::open(path).with_context(|| format!("{}: advisories can't be read", path.display()))?),
    })
}

/// Empty: it is not there.
fn mark(path: &Path) -> Mark {
    let inside = std::fs::read_dir(path).into_iter().flatten().flatten().map(|entry| entry.path());
    let files = inside.chain([path.to_path_buf()]);
    let marked = |path: PathBuf| {
        let m = std::fs::metadata(&path).ok()?;
        Some((path, (m.dev(), m.ino(), m.size(), m.mtime(), m.mtime_nsec(), m.ctime(), m.ctime_nsec())))
    };
    files.take(MAX_MARKED).filter_map(marked).collect()
}
