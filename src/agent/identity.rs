//! What a host is after its enrolment: key, certificate, and the collector it trusts.
//!
//! One file, `identity.json` (0600) in the state folder, written whole or not at all, so that a
//! failed enrolment leaves nothing behind.

use std::io::Read as _;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::host::{Host, durable};
use crate::ledger::Verifier;
use crate::model::ids::{HostId, Lineage, Salt};
use crate::pki::keys::SigningKey;

/// Name of the file.
const FILE: &str = "identity.json";
/// Version that this code writes.
const FORMAT: &str = "assay.identity.v1";
/// Largest identity file, bytes.
const MAX_FILE: u64 = 256 << 10;
/// The machine's own id, machine-id(5).
const MACHINE_ID: &str = "/etc/machine-id";

/// Why a host has no usable identity.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// It was never enrolled.
    #[error("{0}: this machine is not enrolled; run `assay enroll --collector https://HOST:PORT --token TOKEN`")]
    NotEnrolled(String),
    /// The file can't be read or written.
    #[error("{0}: {1}; run as the user that owns the state folder")]
    File(String, std::io::Error),
    /// The file is damaged.
    #[error("{0}: {1}; remove the file and enrol again")]
    Damaged(String, String),
    /// It was made on another machine.
    #[error(
        "{0}: belongs to another machine (the machine-id differs): this one is a clone or was restored; run `assay enroll` with a \
         token to make it a host of its own, or `assay enroll --moved` if its machine-id was changed on purpose"
    )]
    OtherMachine(String),
    /// The machine had an id, and has none now.
    #[error(
        "{0}: is bound to a machine-id and this machine has none in /etc/machine-id; run `systemd-machine-id-setup`, or `assay enroll --moved` if it is to do without"
    )]
    NoMachineId(String),
}

/// Whether an identity was made on this machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Binding {
    /// It was.
    Here,
    /// It was made where machine-id(5) is another.
    Elsewhere,
    /// It is bound to a machine-id, and there is none now.
    NoMachineId,
    /// It was made on a machine without machine-id: nothing can be told.
    Unbound,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Stored {
    ca: String,
    certificate: String,
    collector: String,
    format: String,
    host: HostId,
    key: String,
    ledger: String,
    lineage: Lineage,
    machine: String,
    name: String,
    salt: Salt,
}

/// A host's identity. Its Debug shows no secret.
pub struct Identity {
    /// Signs reports and opens connections.
    pub key: SigningKey,
    /// Id of that key.
    pub host: HostId,
    /// Certificate of that key, PEM.
    pub certificate: String,
    /// The collector's authority, PEM.
    pub ca: String,
    /// `https://HOST:PORT` of the collector.
    pub collector: String,
    /// The ledger key that signs receipts.
    pub ledger: Verifier,
    /// Keeps blob addresses unguessable.
    pub salt: Salt,
    /// HMAC of the machine id under the salt; see [`machine_mark`].
    pub machine: String,
    /// What the host is called.
    pub name: String,
    /// The lineage made at enrolment.
    pub lineage: Lineage,
}

impl std::fmt::Debug for Identity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Identity({} {})", self.name, self.host)
    }
}

impl Identity {
    /// Whether the state folder holds one.
    pub fn exists(state_dir: &Path) -> bool {
        path(state_dir).symlink_metadata().is_ok()
    }

    /// Reads it.
    pub fn load(state_dir: &Path) -> Result<Self, IdentityError> {
        let path = path(state_dir);
        let shown = path.display().to_string();
        let mut bytes = Vec::new();
        let file = match std::fs::File::open(&path) {
            Ok(file) => file,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Err(IdentityError::NotEnrolled(shown)),
            Err(e) => return Err(IdentityError::File(shown, e)),
        };
        file.take(MAX_FILE).read_to_end(&mut bytes).map_err(|e| IdentityError::File(shown.clone(), e))?;
        let damaged = |why: String| IdentityError::Damaged(shown.clone(), why);
        let stored: Stored = serde_json::from_slice(&bytes).map_err(|e| damaged(e.to_string()))?;
        if stored.format != FORMAT {
            return Err(damaged(format!("format {:?} is not {FORMAT}", stored.format)));
        }
        let key = SigningKey::from_pem("key", &stored.key).map_err(|e| damaged(e.to_string()))?;
        if key.id() != stored.host {
            return Err(damaged("the key is not the host's".into()));
        }
        let ledger = stored.ledger.parse().map_err(|e: crate::ledger::CheckpointError| damaged(e.to_string()))?;
        let Stored { ca, certificate, collector, host, lineage, machine, name, salt, .. } = stored;
        Ok(Self { key, host, certificate, ca, collector, ledger, salt, machine, name, lineage })
    }

    /// Reads it for use on this machine: a copy on another one must not speak for the first.
    pub fn open(state_dir: &Path, host: &Host) -> Result<Self, IdentityError> {
        let identity = Self::load(state_dir)?;
        let shown = || path(state_dir).display().to_string();
        match identity.binding(host) {
            Binding::Here | Binding::Unbound => Ok(identity),
            Binding::Elsewhere => Err(IdentityError::OtherMachine(shown())),
            Binding::NoMachineId => Err(IdentityError::NoMachineId(shown())),
        }
    }

    /// Whether it was made on this machine.
    pub fn binding(&self, host: &Host) -> Binding {
        let mark = machine_mark(host, &self.salt);
        match (self.machine.is_empty(), mark.is_empty()) {
            (true, _) => Binding::Unbound,
            (false, true) => Binding::NoMachineId,
            (false, false) if mark == self.machine => Binding::Here,
            (false, false) => Binding::Elsewhere,
        }
    }

    /// Writes it, readable by its owner only.
    pub fn save(&self, state_dir: &Path) -> Result<(), IdentityError> {
        let path = path(state_dir);
        let stored = Stored {
            ca: self.ca.clone(),
            certificate: self.certificate.clone(),
            collector: self.collector.clone(),
            format: FORMAT.into(),
            host: self.host,
            key: self.key.pem().into(),
            ledger: self.ledger.to_string(),
            lineage: self.lineage,
            machine: self.machine.clone(),
            name: self.name.clone(),
            salt: self.salt,
        };
        let fail = |e| IdentityError::File(path.display().to_string(), e);
        let bytes = serde_json::to_vec_pretty(&stored).map_err(|e| fail(e.into()))?;
        durable::write(&path, &bytes, 0o600).map_err(fail)
    }
}

/// HMAC-SHA-256 of the machine id under the host's salt: tells a clone from its original without
/// telling the id (machine-id(5) asks for that). Empty when the machine has none.
pub fn machine_mark(host: &Host, salt: &Salt) -> String {
    match host.read_text(MACHINE_ID, 128) {
        Ok(text) if !text.trim().is_empty() => crate::model::blob::address(salt, text.trim().as_bytes()).to_string(),
        _ => String::new(),
    }
}

fn path(state_dir: &Path) -> PathBuf {
    state_dir.join(FILE)
}
