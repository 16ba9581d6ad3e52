//! Stores of trust anchors: which roots the operator lets endpoints be judged by.

use std::collections::{BTreeMap, HashSet};
use std::sync::OnceLock;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::{Parsed, name, raw};
use crate::host::Host;
use crate::host::root::{FileKind, ReadError};

/// Largest file of a store, bytes.
const FILE_LIMIT: usize = 8 << 20;
/// Most anchors of a store.
const ANCHORS_LIMIT: usize = 10_000;
/// Most files read of a folder.
const FILES_LIMIT: usize = 20_000;
/// Bundles that systems keep: Debian and Alpine, Fedora and RHEL, SUSE, BSD.
const SYSTEM: [&str; 5] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
];
/// Mozilla's roots as Debian packages them (ca-certificates).
const MOZILLA: &str = "/usr/share/ca-certificates/mozilla";

/// Which store judges.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Choice {
    /// The bundle of the scanning system.
    #[default]
    System,
    /// Mozilla's roots alone.
    Mozilla,
    /// A PEM or DER file, or a folder of such files.
    Path(String),
}

impl Choice {
    /// `system`, `mozilla`, or a path.
    pub fn of(text: &str) -> Self {
        match text {
            "" | "system" => Self::System,
            "mozilla" => Self::Mozilla,
            path => Self::Path(path.into()),
        }
    }

    /// As it was written.
    pub fn text(&self) -> &str {
        match self {
            Self::System => "system",
            Self::Mozilla => "mozilla",
            Self::Path(path) => path,
        }
    }
}

/// A store; read when the first chain is examined, once for a whole scan.
#[derive(Debug, Default)]
pub struct Store {
    choice: Choice,
    loaded: OnceLock<Result<Anchors, String>>,
}

impl Store {
    /// The store of this choice on the running machine.
    pub fn new(choice: Choice) -> Self {
        Self { choice, loaded: OnceLock::new() }
    }

    /// A store of the certificates in these bytes (PEM, or one DER).
    pub fn from_bytes(place: &str, bytes: &[u8]) -> Self {
        let mut anchors = Anchors::default();
        let loaded = anchors.take(place, bytes).and_then(|()| anchors.some(place));
        Self { choice: Choice::Path(place.into()), loaded: OnceLock::from(loaded) }
    }

    /// What was chosen.
    pub const fn choice(&self) -> &Choice {
        &self.choice
    }

    /// The anchors, or why they can't be read.
    pub fn anchors(&self) -> Result<&Anchors, &str> {
        let loaded = self.loaded.get_or_init(|| {
            let host = Host::live().map_err(|e| e.to_string())?;
            load(&host, &self.choice)
        });
        loaded.as_ref().map_err(String::as_str)
    }
}

/// The certificates of a store.
#[derive(Debug, Default)]
pub struct Anchors {
    by_subject: BTreeMap<Vec<u8>, Vec<usize>>,
    ders: Vec<Vec<u8>>,
    seen: HashSet<Vec<u8>>,
    /// Entries that are no certificates.
    pub unreadable: usize,
}

impl Anchors {
    /// How many there are.
    pub const fn len(&self) -> usize {
        self.ders.len()
    }

    /// Whether there is none.
    pub const fn is_empty(&self) -> bool {
        self.ders.is_empty()
    }

    /// Whether this very certificate is one.
    pub fn holds(&self, der: &[u8]) -> bool {
        self.seen.contains(der)
    }

    /// Those with this name, in the form that can be compared; read anew, for few are ever asked for.
    pub(super) fn named(&self, subject: &[u8]) -> Vec<Parsed> {
        let places = self.by_subject.get(subject).map(Vec::as_slice).unwrap_or_default();
        places.iter().filter_map(|i| self.ders.get(*i)).filter_map(|der| Parsed::read(der).ok()).collect()
    }

    fn some(self, place: &str) -> Result<Self, String> {
        if self.is_empty() { Err(format!("{place} holds no certificate")) } else { Ok(self) }
    }

    fn take(&mut self, place: &str, bytes: &[u8]) -> Result<(), String> {
        let found = certificates(bytes);
        for der in found {
            self.add(place, der)?;
        }
        Ok(())
    }

    fn add(&mut self, place: &str, der: Option<Vec<u8>>) -> Result<(), String> {
        let subject = der.as_deref().and_then(|d| raw::subject_of(d).ok()).and_then(|s| name::canonical(s).ok());
        let (Some(der), Some(subject)) = (der, subject) else {
            self.unreadable += 1;
            return Ok(());
        };
        if self.seen.contains(&der) {
            return Ok(());
        }
        if self.ders.len() == ANCHORS_LIMIT {
            return Err(format!("{place} holds more than {ANCHORS_LIMIT} certificates"));
        }
        self.by_subject.entry(subject).or_default().push(self.ders.len());
        self.seen.insert(der.clone());
        self.ders.push(der);
        Ok(())
    }
}

/// Reads the store of a choice below the root of `host`.
pub fn load(host: &Host, choice: &Choice) -> Result<Anchors, String> {
    let mut anchors = Anchors::default();
    match choice {
        Choice::System => {
            for place in SYSTEM {
                match host.read(place, FILE_LIMIT) {
                    Ok(bytes) => {
                        anchors.take(place, &bytes)?;
                        return anchors.some(place);
                    }
                    Err(e) if e.is_not_found() => {}
                    Err(e) => return Err(e.to_string()),
                }
            }
            Err(format!("the system keeps no bundle of certificates ({})", SYSTEM.join(", ")))
        }
        Choice::Mozilla => {
            folder(host, MOZILLA, &mut anchors)?;
            anchors.some(MOZILLA)
        }
        Choice::Path(path) => {
            match host.stat(path).map_err(|e| e.to_string())?.kind {
                FileKind::Folder => folder(host, path, &mut anchors)?,
                _ => anchors.take(path, &host.read(path, FILE_LIMIT).map_err(|e| e.to_string())?)?,
            }
            anchors.some(path)
        }
    }
}

/// Every file of a folder; what holds no certificate (keys, notes) is passed over.
fn folder(host: &Host, path: &str, anchors: &mut Anchors) -> Result<(), String> {
    let entries = host.list(path).map_err(|e| e.to_string())?;
    if entries.len() > FILES_LIMIT {
        return Err(format!("{path} holds more than {FILES_LIMIT} files"));
    }
    for entry in entries.iter().filter(|e| e.kind != FileKind::Folder) {
        let file = format!("{path}/{}", entry.name);
        match host.read(&file, FILE_LIMIT) {
            Ok(bytes) => anchors.take(&file, &bytes)?,
            // A link to a folder, or to nothing: what update-ca-certificates leaves behind.
            Err(ReadError::NotRegular(_) | ReadError::NotFound(_)) => {}
            Err(e) => return Err(e.to_string()),
        }
    }
    Ok(())
}

/// The certificates in PEM (RFC 7468; also OpenSSL's older labels) or in one DER; `None` for one that is broken.
fn certificates(bytes: &[u8]) -> Vec<Option<Vec<u8>>> {
    if bytes.first() == Some(&0x30) {
        return vec![Some(bytes.to_vec())];
    }
    let text = String::from_utf8_lossy(bytes);
    let mut out = Vec::new();
    let mut lines = text.lines().map(str::trim);
    while let Some(line) = lines.next() {
        if !matches!(line, "-----BEGIN CERTIFICATE-----" | "-----BEGIN X509 CERTIFICATE-----" | "-----BEGIN TRUSTED CERTIFICATE-----") {
            continue;
        }
        let body: String = lines.by_ref().take_while(|l| !l.starts_with("-----END ")).collect();
        // A trusted certificate of OpenSSL is followed by its uses.
        let der = STANDARD.decode(body).ok().and_then(|der| super::der::Reader::new(&der).element().ok().map(|e| e.whole.to_vec()));
        out.push(der);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn recorded(file: &str) -> Vec<u8> {
        std::fs::read(std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/wire").join(file)).unwrap()
    }

    fn pem(der: &[u8]) -> String {
        format!("a note\n-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n", STANDARD.encode(der))
    }

    #[test]
    fn a_bundle_a_file_and_a_folder_are_stores_and_nothing_is_none() {
        let dir = tempfile::tempdir().unwrap();
        let (one, two) = (recorded("cert-md5.der"), recorded("cert-rsa1024-sha1.der"));
        std::fs::create_dir_all(dir.path().join("etc/ssl/certs")).unwrap();
        std::fs::create_dir_all(dir.path().join("own")).unwrap();
        std::fs::create_dir_all(dir.path().join("none")).unwrap();
        let broken = "-----BEGIN CERTIFICATE-----\n????\n-----END CERTIFICATE-----\n";
        std::fs::write(dir.path().join("etc/ssl/certs/ca-certificates.crt"), pem(&one) + broken + &pem(&two) + &pem(&one)).unwrap();
        std::fs::write(dir.path().join("own/a.der"), &one).unwrap();
        std::fs::write(dir.path().join("own/b.pem"), pem(&two)).unwrap();
        std::fs::write(dir.path().join("own/note.txt"), "nothing").unwrap();
        std::os::unix::fs::symlink("/nowhere", dir.path().join("own/left.pem")).unwrap();
        let host = Host::rooted(dir.path()).unwrap();
        let system = load(&host, &Choice::System).unwrap();
        assert_eq!((system.len(), system.unreadable, system.holds(&one)), (2, 1, true));
        assert_eq!(load(&host, &Choice::of("/own")).unwrap().len(), 2);
        assert_eq!(load(&host, &Choice::of("/own/a.der")).unwrap().len(), 1);
        assert!(load(&host, &Choice::Mozilla).unwrap_err().contains("no such file"));
        assert_eq!(load(&host, &Choice::of("/none")).unwrap_err(), "/none holds no certificate");
        assert!(load(&host, &Choice::of("/nowhere")).is_err());
        assert_eq!(Store::from_bytes("x", b"").anchors().unwrap_err(), "x holds no certificate");
    }
}
