//! The ledger as static files beside the database (`tiles/`, in the layout that `ledger/tiles.rs` draws), for monitors that
//! need no program of ours.
//!
//! They follow from the entries and are written behind the acknowledgements, a checkpoint only after all that it leads to.
//! What is lost, stale or altered is written again from the entries; `fsck` names it first.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Path as UrlPath, State};
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::response::{IntoResponse as _, Response};
use tokio::sync::watch;

use super::store::{Head, Store, StoreError};
use super::ui::Site;
use super::ui::error::PageError;
use super::ui::frame::Visit;
use crate::host::durable;
use crate::ledger::tiles::{self, Frontier, Level, Tile, WIDTH};
use crate::ledger::{checkpoint, tree};
use crate::model::ids::Digest;

/// Folder in the data folder.
const FOLDER: &str = "tiles";
/// The checkpoint that the files lead to.
const CHECKPOINT: &str = "checkpoint";
/// Entries read at a time, whole bundles.
const PAGE: u64 = 16 * WIDTH as u64;
/// Files are written at most this often: at the ledger's full pace they would only be replaced.
const PACE: Duration = Duration::from_secs(1);
/// Largest file: a bundle of the longest entries.
const MAX_FILE: u64 = (WIDTH * (2 + 65_535)) as u64;

/// Why the files can't be written.
#[derive(Debug, thiserror::Error)]
enum TilesError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("{0}: {1}")]
    File(String, io::Error),
    #[error("the entries do not lead to the root that was signed for {0}")]
    Root(u64),
    #[error("entry {0} is longer than 65535 bytes")]
    Long(u64),
    #[error("the writing task failed: {0}")]
    Task(#[from] tokio::task::JoinError),
}

/// Where the files of a store lie.
pub fn folder(store: &Store) -> PathBuf {
    store.folder().join(FOLDER)
}

/// Writes tiles as the ledger grows, until `stop` is true.
pub async fn follow(store: Store, mut size: watch::Receiver<u64>, mut stop: watch::Receiver<bool>) {
    let folder = folder(&store);
    let mut written = Written::open(&folder);
    loop {
        size.borrow_and_update();
        // Asked before: what was numbered while the last entries were written is still to be written.
        let is_last = *stop.borrow();
        if let Err(e) = written.catch_up(&store, &folder).await {
            tracing::error!("tiles of the ledger were not written: {e}");
            written = Written::default();
        }
        if is_last {
            return;
        }
        tokio::select! {
            () = tokio::time::sleep(PACE) => {}
            _ = stop.changed() => continue,
        }
        tokio::select! {
            changed = size.changed() => if changed.is_err() { return },
            _ = stop.changed() => {}
        }
    }
}

/// How far the files go.
#[derive(Debug, Default)]
struct Written {
    edge: Frontier,
    /// The checkpoint as it was written last.
    note: String,
}

impl Written {
    /// As far as the files in the folder lead to the checkpoint among them; else nowhere.
    fn open(folder: &Path) -> Self {
        let read = |path: &str| read(folder, path).ok();
        let note = read(CHECKPOINT).and_then(|bytes| String::from_utf8(bytes).ok()).unwrap_or_default();
        let Some((_, size)) = checkpoint::peek(&note) else { return Self::default() };
        match Frontier::read(size, read) {
            Some(edge) if root_of(&note) == Some(edge.root()) => Self { edge, note },
            _ => Self::default(),
        }
    }

    /// Writes what the newest checkpoint of the store needs.
    async fn catch_up(&mut self, store: &Store, folder: &Path) -> Result<(), TilesError> {
        let Some(head) = store.head().await? else { return Ok(()) };
        if head.size < self.edge.size() {
            // The database was rolled back, and resumed by its operator.
            *self = Self::default();
        }
        if head.note == self.note {
            return Ok(());
        }
        while self.edge.size() < head.size {
            self.page(store, folder, &head).await?;
        }
        if self.edge.root() != head.root {
            return Err(TilesError::Root(head.size));
        }
        let mut files: Vec<(String, Vec<u8>)> = self.edge.partial().iter().map(|t| (t.path(), t.bytes())).collect();
        files.push((CHECKPOINT.into(), head.note.clone().into_bytes()));
        write(folder, files, Vec::new()).await?;
        self.note = head.note;
        Ok(())
    }

    /// Writes the next entries, whole bundles up to the one that ends the checkpoint, and the tiles that they fill.
    async fn page(&mut self, store: &Store, folder: &Path, head: &Head) -> Result<(), TilesError> {
        let width = WIDTH as u64;
        let from = self.edge.size() / width * width;
        let to = head.size.min(from + PAGE);
        let entries = store.leaves(from, to).await?;
        if entries.len() as u64 != to - from {
            return Err(TilesError::Root(head.size));
        }
        let (mut files, mut done) = (Vec::new(), Vec::new());
        for (index, chunk) in (from / width..).zip(entries.chunks(WIDTH)) {
            let bundle = tiles::bundle(chunk.iter().map(|e| e.bytes.as_slice())).ok_or(TilesError::Long(index * width))?;
            files.push((tiles::path(Level::Entries, index, chunk.len()), bundle));
            if chunk.len() == WIDTH {
                done.push(partials_of(Level::Entries, index));
            }
        }
        let known = self.edge.size() - from;
        for entry in entries.iter().skip(usize::try_from(known).unwrap_or(usize::MAX)) {
            for tile in self.edge.push(tree::leaf_hash(&entry.bytes)) {
                done.push(partials_of(Level::Hashes(tile.level), tile.index));
                files.push((tile.path(), tile.bytes()));
            }
        }
        write(folder, files, done).await
    }
}

/// Folder of the narrower forms of a tile, which are not needed once it is full.
fn partials_of(level: Level, index: u64) -> String {
    format!("{}.p", tiles::path(level, index, WIDTH))
}

/// Writes files in their order, then removes folders.
async fn write(folder: &Path, files: Vec<(String, Vec<u8>)>, done: Vec<String>) -> Result<(), TilesError> {
    let folder = folder.to_path_buf();
    tokio::task::spawn_blocking(move || {
        for (path, bytes) in files {
            let place = folder.join(path);
            let failed = |e| TilesError::File(place.display().to_string(), e);
            place.parent().map_or(Ok(()), std::fs::create_dir_all).map_err(failed)?;
            durable::write(&place, &bytes, 0o644).map_err(failed)?;
        }
        for path in done {
            let place = folder.join(path);
            match std::fs::remove_dir_all(&place) {
                Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(TilesError::File(place.display().to_string(), e)),
                _ => {}
            }
        }
        Ok(())
    })
    .await?
}

fn read(folder: &Path, path: &str) -> io::Result<Vec<u8>> {
    use std::io::Read as _;
    let mut bytes = Vec::new();
    std::fs::File::open(folder.join(path))?.take(MAX_FILE + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// The root that a note tells, whoever signed it: the files are held against it, and it against the store.
fn root_of(note: &str) -> Option<Digest> {
    use base64::Engine as _;
    let root = base64::engine::general_purpose::STANDARD.decode(note.lines().nth(2)?).ok()?;
    <[u8; 32]>::try_from(root).ok().map(Digest::new)
}

/// Holds the files against the entries, as these are read from the first on; names what differs as (path, what).
#[derive(Debug, Default)]
pub struct Check {
    folder: PathBuf,
    edge: Frontier,
    bundle: Vec<Vec<u8>>,
    /// Size of the checkpoint among the files.
    size: u64,
    /// How many files were looked at.
    pub checked: u64,
    /// What differs.
    pub differences: BTreeMap<String, &'static str>,
}

impl Check {
    /// `None` when no files were written yet.
    pub fn begin(store: &Store) -> Option<Self> {
        let folder = folder(store);
        let note = match read(&folder, CHECKPOINT) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => return None,
            note => String::from_utf8_lossy(&note.unwrap_or_default()).into_owned(),
        };
        let mut check = Self { folder, ..Self::default() };
        match checkpoint::peek(&note) {
            Some((_, size)) => check.size = size,
            None => check.differs(CHECKPOINT.into(), "it is not a checkpoint"),
        }
        Some(check)
    }

    /// The next entry.
    pub fn entry(&mut self, bytes: &[u8]) {
        if self.edge.size() >= self.size {
            return;
        }
        self.bundle.push(bytes.to_vec());
        for tile in self.edge.push(tree::leaf_hash(bytes)) {
            self.tile(&tile);
        }
        if self.bundle.len() == WIDTH || self.edge.size() == self.size {
            let (bundle, index) = (std::mem::take(&mut self.bundle), (self.edge.size() - 1) / WIDTH as u64);
            let wanted = tiles::bundle(bundle.iter().map(Vec::as_slice));
            self.file(tiles::path(Level::Entries, index, bundle.len()), wanted.as_deref());
        }
        if self.edge.size() == self.size {
            self.edge.partial().iter().for_each(|tile| self.tile(tile));
        }
    }

    /// There are no more entries.
    pub fn end(&mut self) {
        if self.edge.size() < self.size {
            self.differs(CHECKPOINT.into(), "it speaks of more entries than there are");
        } else if read(&self.folder, CHECKPOINT).ok().and_then(|n| root_of(&String::from_utf8_lossy(&n))) != Some(self.edge.root()) {
            self.differs(CHECKPOINT.into(), "the entries do not lead to its root");
        }
    }

    fn tile(&mut self, tile: &Tile) {
        self.file(tile.path(), Some(&tile.bytes()));
    }

    fn file(&mut self, path: String, wanted: Option<&[u8]>) {
        self.checked += 1;
        match read(&self.folder, &path) {
            Ok(bytes) if Some(bytes.as_slice()) == wanted => {}
            Ok(_) => self.differs(path, "it does not hold what the entries lead to"),
            Err(_) => self.differs(path, "it can't be read"),
        }
    }

    fn differs(&mut self, path: String, what: &'static str) {
        self.differences.insert(path, what);
    }
}

/// `GET /log/{path}`: the files, for whoever is signed in.
pub async fn serve(State(site): State<Arc<Site>>, _visit: Visit, UrlPath(path): UrlPath<String>) -> Result<Response, PageError> {
    let (kind, cached) = match path.as_str() {
        CHECKPOINT => ("text/plain; charset=utf-8", "no-store"),
        tile if tiles::is_path(tile) => ("application/octet-stream", "private, max-age=31536000, immutable"),
        _ => return Err(PageError::NotFound("That file of the ledger".into())),
    };
    let folder = folder(site.store());
    let bytes = tokio::task::spawn_blocking(move || read(&folder, &path)).await.unwrap_or_else(|e| Err(io::Error::other(e)));
    match bytes {
        Ok(bytes) => Ok(([(CONTENT_TYPE, kind), (CACHE_CONTROL, cached)], bytes).into_response()),
        Err(_) => Err(PageError::NotFound("That file of the ledger".into())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::collector::sequencer::Task;
    use crate::collector::store::testing::{NOW, store};
    use crate::ledger::Verifier;
    use crate::pki::keys::SigningKey;

    async fn grow(store: &Store, task: &mut Task, by: u32) {
        for n in 0..by {
            store.append_leaf("user", &Digest::of(&n.to_be_bytes()), None).await.unwrap();
        }
        while task.step().await.unwrap() > 0 {}
    }

    async fn check(store: &Store) -> (u64, Vec<String>) {
        let mut check = Check::begin(store).unwrap();
        for leaf in store.leaves(0, u64::MAX >> 1).await.unwrap() {
            check.entry(&leaf.bytes);
        }
        check.end();
        (check.checked, check.differences.into_iter().map(|(path, what)| format!("{path}: {what}")).collect())
    }

    #[tokio::test]
    async fn files_grow_with_the_ledger_survive_a_restart_and_are_mended() {
        let (_folder, store) = store().await;
        let signer = Arc::new(SigningKey::generate().unwrap());
        let verifier = Verifier::new("assay.invalid/test", signer.public_key()).unwrap();
        let (mut task, _) = Task::open(store.clone(), signer, verifier.clone(), NOW).await.unwrap();
        let place = folder(&store);
        assert!(Check::begin(&store).is_none());

        grow(&store, &mut task, 200).await;
        let mut written = Written::open(&place);
        written.catch_up(&store, &place).await.unwrap();
        assert_eq!(check(&store).await, (2, Vec::new()));
        assert!(place.join("tile/0/000.p/201").exists() && place.join("tile/entries/000.p/201").exists());

        grow(&store, &mut task, 500).await;
        let mut again = Written::open(&place);
        assert_eq!(again.edge, written.edge);
        again.catch_up(&store, &place).await.unwrap();
        assert_eq!(check(&store).await, (7, Vec::new()));
        assert!(!place.join("tile/0/000.p").exists() && place.join("tile/0/002.p/189").exists() && place.join("tile/1/000.p/2").exists());
        let note = String::from_utf8(read(&place, CHECKPOINT).unwrap()).unwrap();
        let signed = checkpoint::open(&note, &verifier).unwrap();
        assert_eq!((signed.size, signed.root), (701, again.edge.root()));

        // Each file altered, then lost: named, and never gone on from.
        for path in ["tile/0/001", "tile/0/002.p/189", "tile/1/000.p/2", "tile/entries/000", "tile/entries/002.p/189"] {
            let mut bytes = read(&place, path).unwrap();
            bytes[40] ^= 1;
            std::fs::write(place.join(path), &bytes).unwrap();
            assert_eq!(check(&store).await.1, [format!("{path}: it does not hold what the entries lead to")]);
            std::fs::remove_file(place.join(path)).unwrap();
            assert_eq!(check(&store).await.1, [format!("{path}: it can't be read")]);
            Written::default().catch_up(&store, &place).await.unwrap();
            assert_eq!(check(&store).await, (7, Vec::new()));
        }
        std::fs::write(place.join("tile/1/000.p/2"), [0; 64]).unwrap();
        assert_eq!(Written::open(&place).edge.size(), 0);
        std::fs::write(place.join(CHECKPOINT), "x\n999\ny\n\n").unwrap();
        assert_eq!(check(&store).await.1, ["checkpoint: it speaks of more entries than there are"]);
    }
}
