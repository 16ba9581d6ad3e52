//! Keys by which the server proves itself: the private files that HostKey names.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Sshd;
use super::effective::Effective;
use crate::facts::Document as _;
use crate::facts::accounts::database;
use crate::facts::ssh_keys::{line, private};
use crate::host::root::CONFIG_LIMIT;
use crate::host::{Host, ReadError};
use crate::model::fact::Source;
use crate::model::gap::Gaps;

/// One host key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HostKey {
    /// File of the private key.
    pub subject: String,
    /// Key type, such as `ssh-ed25519`; empty when neither file tells.
    pub kind: String,
    /// Size, bits.
    pub bits: Option<u32>,
    /// `SHA256:` and base64, as ssh-keygen -l prints; empty when neither file tells.
    pub fingerprint: String,
    /// Owner of the private file.
    pub owner_uid: u32,
    /// Group of the private file.
    pub gid: u32,
    /// Permission bits of the private file.
    pub mode: u32,
    /// Whether others than its owner may read it; group `ssh_keys` of Fedora's family, made for the helper that signs, does not count.
    pub others_can_read: bool,
    /// Whether others than root may replace it: through the file's owner or mode.
    pub others_can_write: bool,
    /// The HostKey line, or the file when it is a default.
    pub source: Source,
}

/// HostKey when none is written.
const DEFAULTS: [&str; 3] = ["/etc/ssh/ssh_host_rsa_key", "/etc/ssh/ssh_host_ecdsa_key", "/etc/ssh/ssh_host_ed25519_key"];
/// Group that Fedora and its family make for ssh-keysign.
const SIGNING_GROUP: &str = "ssh_keys";

/// Host keys that exist; a named file that does not is no key.
pub fn read(host: &Host, effective: &Effective<'_>, gaps: &mut Gaps) -> Vec<HostKey> {
    let lines = effective.all("hostkey");
    let named: Vec<(String, Source)> = if lines.is_empty() {
        DEFAULTS.iter().map(|path| ((*path).to_string(), Source::whole(*path))).collect()
    } else {
        lines.iter().flat_map(|d| d.arguments.first().map(|path| (path.clone(), d.source()))).collect()
    };
    let signing = database::group(host).ok().and_then(|(groups, _)| groups.into_iter().find(|g| g.name == SIGNING_GROUP)).map(|g| g.gid);
    let mut out: Vec<HostKey> = Vec::new();
    for (path, source) in named {
        if !path.starts_with('/') || out.iter().any(|k| k.subject == path) {
            continue;
        }
        match host_key(host, &path, source, signing) {
            Ok(key) => out.push(key),
            Err(e) if e.is_not_found() => {}
            Err(e) => gaps.add(e.to_gap(Sshd::NAME, "host_keys", &path)),
        }
    }
    out
}

fn host_key(host: &Host, path: &str, source: Source, signing: Option<u32>) -> Result<HostKey, ReadError> {
    let stat = host.stat(path)?;
    let public = host.read_text(&format!("{path}.pub"), CONFIG_LIMIT).ok().and_then(|text| line::parse(text.lines().next()?).ok().flatten());
    let (kind, bits, fingerprint) = match public {
        Some(key) => (key.kind, key.bits, key.fingerprint),
        None => match host.read_text(path, CONFIG_LIMIT) {
            Ok(text) => private::parse(&text).map(|k| (k.kind, k.bits, k.fingerprint)).unwrap_or_default(),
            Err(e) => return Err(e),
        },
    };
    let for_signing = signing == Some(stat.gid) && stat.mode & 0o077 == 0o040;
    Ok(HostKey {
        subject: path.into(),
        kind,
        bits,
        fingerprint,
        owner_uid: stat.uid,
        gid: stat.gid,
        mode: stat.mode,
        others_can_read: stat.mode & 0o044 != 0 && !for_signing,
        others_can_write: stat.uid != 0 || stat.mode & 0o022 != 0,
        source,
    })
}
