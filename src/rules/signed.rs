//! A pack of rules as one signed file, for hosts that are updated offline.
//!
//! ```text
//! NAME.pack            zstd( canonical JSON {"created":…,"expires":…,"files":[{"path":"checks/…","text":…}, … by path],
//!                            "format":"assay.pack.v1","number":7} )
//! NAME.pack.minisig    minisign signature over NAME.pack, prehashed
//! ```
//! The signature is verified before a byte of the pack is unpacked, at installation and at each
//! scan. A pack that is unsigned, altered, cut short, older than the installed one or expired is
//! refused, and the installed one goes on judging. One that expires later goes on, too, and its
//! reports say so: rules of yesterday tell more than none.

use std::path::{Path, PathBuf};

use minisign_verify::{PublicKey, Signature};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::file::Examples;
use super::{Pack, PackError, read_files, selftest};
use crate::host::{Host, ReadError, durable};
use crate::model::blob;
use crate::model::canonical::{self, check::Checker};

/// Version of the form that this code writes.
const FORMAT: &str = "assay.pack.v1";
/// Folder of the installed pack in the state folder.
const FOLDER: &str = "rules";
/// What stands behind the number in the name of an installed pack.
const PACK: &str = ".pack";
/// What stands behind the name of a pack for its signature, minisign(1).
const SUFFIX: &str = ".minisig";
/// Largest signature or key file, bytes: four lines.
const MAX_TEXT: usize = 4096;
/// Id of the limit that reports name while an expired pack judges.
pub const EXPIRED: &str = "pack-expired";
/// Id of the limit that reports name while the installed pack can't be used and the built-in rules judge.
pub const REFUSED: &str = "pack-refused";

/// Why a signed pack is not used.
#[derive(Debug, thiserror::Error)]
pub enum SignedError {
    /// Pack, signature or key can't be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The installed files can't be written.
    #[error("{0}: {1}")]
    Write(String, std::io::Error),
    /// Not a key.
    #[error("{0}: not a public key of minisign: copy the file that `minisign -G` wrote as .pub")]
    Key(String),
    /// Not a signature.
    #[error("{0}: not a signature of minisign: sign the pack with `minisign -S -m FILE`")]
    Signature(String),
    /// The signature is not over these bytes by this key.
    #[error("{pack}: its signature does not hold under {key}: fetch pack and signature anew, or check that the key is the signer's")]
    Forged {
        /// Path of the pack.
        pack: String,
        /// Path of the key.
        key: String,
    },
    /// Signed, and not a pack.
    #[error("{0}: not a pack of rules: {1}")]
    Form(String, String),
    /// Its time is over.
    #[error("{0}: expired: fetch a newer pack")]
    Expired(String),
    /// An older one, or another of the same number.
    #[error("{pack}: number {number} is not newer than {installed}, which is installed: fetch a newer pack")]
    Older {
        /// Path of the pack.
        pack: String,
        /// Its number.
        number: u64,
        /// Number of the installed one.
        installed: u64,
    },
    /// The rules in it don't load.
    #[error("{0}: {1}")]
    Rules(String, PackError),
    /// An example in it is judged otherwise than it says.
    #[error("{0}: {1} of its examples are judged otherwise than they say: run `assay rules test` on the folder it was made of")]
    Examples(String, usize),
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    path: String,
    text: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    created: i64,
    expires: i64,
    files: Vec<File>,
    format: String,
    number: u64,
}

/// Where a pack and what verifies it lie.
#[derive(Clone, Debug)]
pub struct Place {
    /// The pack.
    pub pack: PathBuf,
    /// Its signature.
    pub signature: PathBuf,
    /// The signer's public key.
    pub key: PathBuf,
}

impl Place {
    /// A pack with its signature beside it.
    pub fn beside(pack: &Path, key: &Path) -> Self {
        let mut signature = pack.as_os_str().to_owned();
        signature.push(SUFFIX);
        Self { pack: pack.into(), signature: signature.into(), key: key.into() }
    }

    /// Where a state folder has, or would have, the pack of this number.
    fn numbered(state: &Path, number: u64, key: &Path) -> Self {
        Self::beside(&state.join(FOLDER).join(format!("{number}{PACK}")), key)
    }
}

/// A pack whose signature holds.
#[derive(Clone, Debug)]
pub struct SignedPack {
    document: Document,
    name: String,
    bytes: Vec<u8>,
    signature: String,
}

impl SignedPack {
    /// Reads a pack; its signature is verified before anything else.
    pub fn open(place: &Place) -> Result<Self, SignedError> {
        let (name, signature_name, key_name) = (shown(&place.pack), shown(&place.signature), shown(&place.key));
        let host = Host::live()?;
        let key = text(&host, &place.key)?;
        let key = PublicKey::decode(key.trim_end()).map_err(|_| SignedError::Key(key_name.clone()))?;
        let signature = text(&host, &place.signature)?;
        let parsed = Signature::decode(signature.trim_end()).map_err(|_| SignedError::Signature(signature_name))?;
        let bytes = host.read(&absolute(&place.pack), blob::MAX_FRAME)?;
        key.verify(&bytes, &parsed, false).map_err(|_| SignedError::Forged { pack: name.clone(), key: key_name })?;
        let document = read(&bytes).map_err(|why| SignedError::Form(name.clone(), why))?;
        Ok(Self { document, name, bytes, signature })
    }

    /// Its number: greater is newer.
    pub const fn number(&self) -> u64 {
        self.document.number
    }

    /// How many files it holds.
    pub const fn files(&self) -> usize {
        self.document.files.len()
    }

    /// When it was made, Unix seconds.
    pub const fn created(&self) -> i64 {
        self.document.created
    }

    /// Until when it may be installed, Unix seconds.
    pub const fn expires(&self) -> i64 {
        self.document.expires
    }

    /// Whether its time is over.
    pub const fn is_expired(&self, now: i64) -> bool {
        now >= self.document.expires
    }

    /// The rules.
    pub fn compile(&self, schemas: &[(&'static str, Value)]) -> Result<Pack, SignedError> {
        let files = self.document.files.iter().map(|f| (f.path.as_str(), f.text.as_bytes()));
        Pack::compile(files, &self.document.number.to_string(), schemas, Examples::Kept).map_err(|e| SignedError::Rules(self.name.clone(), e))
    }

    /// Puts the pack in the place of the one that a state folder has, if it is newer, not expired, and
    /// its rules load and judge their examples as they say.
    pub fn install(&self, state: &Path, key: &Path, now: i64, schemas: &[(&'static str, Value)]) -> Result<(), SignedError> {
        if self.is_expired(now) {
            return Err(SignedError::Expired(self.name.clone()));
        }
        let before = numbers(state)?;
        // What is there and does not hold is no reason to keep it.
        if let Ok(Some(installed)) = installed(state, key)
            && (self.number() < installed.number() || (self.number() == installed.number() && self.bytes != installed.bytes))
        {
            return Err(SignedError::Older { pack: self.name.clone(), number: self.number(), installed: installed.number() });
        }
        let wrong = selftest::run(&self.compile(schemas)?).failures.len();
        if wrong > 0 {
            return Err(SignedError::Examples(self.name.clone(), wrong));
        }
        let folder = state.join(FOLDER);
        std::fs::create_dir_all(&folder).map_err(|e| SignedError::Write(shown(&folder), e))?;
        let place = Place::numbered(state, self.number(), key);
        // The signature first: the pack counts from the moment at which it is there.
        let write = |path: &Path, bytes: &[u8]| durable::write(path, bytes, 0o644).map_err(|e| SignedError::Write(shown(path), e));
        write(&place.signature, self.signature.as_bytes())?;
        write(&place.pack, &self.bytes)?;
        for number in before.into_iter().filter(|n| *n != self.number()) {
            let old = Place::numbered(state, number, key);
            // Greater numbers did not hold, else this pack would be older; without its pack a signature is litter.
            std::fs::remove_file(&old.pack).map_err(|e| SignedError::Write(shown(&old.pack), e))?;
            let _ = std::fs::remove_file(&old.signature);
        }
        Ok(())
    }
}

/// The pack that a state folder has, the newest; `None` when none was installed.
pub fn installed(state: &Path, key: &Path) -> Result<Option<SignedPack>, SignedError> {
    let newest = numbers(state)?.into_iter().max();
    newest.map(|number| SignedPack::open(&Place::numbered(state, number, key))).transpose()
}

/// Numbers of the packs in a state folder.
fn numbers(state: &Path) -> Result<Vec<u64>, SignedError> {
    match Host::live()?.list(&absolute(&state.join(FOLDER))) {
        Ok(entries) => Ok(entries.iter().filter_map(|e| e.name.strip_suffix(PACK)?.parse().ok()).collect()),
        Err(e) if e.is_not_found() => Ok(Vec::new()),
        Err(e) => Err(e.into()),
    }
}

/// The bytes of a pack of the rules in a folder, to be signed.
pub fn make(folder: &Path, number: u64, created: i64, expires: i64, schemas: &[(&'static str, Value)]) -> Result<Vec<u8>, SignedError> {
    let name = shown(folder);
    let rules = |e| SignedError::Rules(name.clone(), e);
    Pack::load(folder, schemas).map_err(rules)?;
    let mut files = Vec::new();
    for (path, bytes) in read_files(folder).map_err(rules)? {
        let text = String::from_utf8(bytes).map_err(|e| SignedError::Form(name.clone(), format!("{path}: {e}")))?;
        files.push(File { path, text });
    }
    let document = Document { created, expires, files, format: FORMAT.into(), number };
    let plain = canonical::to_bytes(&document).map_err(|e| SignedError::Form(name.clone(), e.to_string()))?;
    zstd::bulk::compress(&plain, 19).map_err(|e| SignedError::Form(name, e.to_string()))
}

fn read(bytes: &[u8]) -> Result<Document, String> {
    blob::announced(bytes).map_err(|e| e.to_string())?;
    let plain = blob::inflate(bytes).map_err(|e| e.to_string())?;
    let mut checker = Checker::default();
    checker.feed(&plain).and_then(|()| checker.finish()).map_err(|e| e.to_string())?;
    let document: Document = serde_json::from_slice(&plain).map_err(|e| e.to_string())?;
    if document.format != FORMAT {
        return Err(format!("its format is not {FORMAT}: update assay"));
    }
    if document.files.len() > super::MAX_FILES {
        return Err(format!("it holds more than {} files", super::MAX_FILES));
    }
    if !document.files.is_sorted_by(|a, b| a.path < b.path) {
        return Err("its files are not sorted by path, each once".into());
    }
    Ok(document)
}

fn text(host: &Host, path: &Path) -> Result<String, ReadError> {
    host.read_text(&absolute(path), MAX_TEXT)
}

fn absolute(path: &Path) -> String {
    std::path::absolute(path).unwrap_or_else(|_| path.into()).to_string_lossy().into_owned()
}

fn shown(path: &Path) -> String {
    path.display().to_string()
}
