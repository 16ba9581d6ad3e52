//! Private keys that lie in `.ssh` of home folders.

use std::collections::BTreeSet;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{SshKeys, private};
use crate::facts::Document as _;
use crate::facts::accounts::database::PasswdLine;
use crate::host::{FileKind, Host, ReadError};
use crate::model::fact::Source;
use crate::model::gap::{Gaps, reason};

/// One private key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PrivateKey {
    /// File.
    pub subject: String,
    /// The first account whose home it lies in.
    #[schemars(extend("x-personal" = true))]
    pub account: String,
    /// `openssh`, `pem`, `pkcs8` or `putty`.
    pub format: String,
    /// Key type; empty when the format hides it.
    pub kind: String,
    /// Size, bits, when the format shows it.
    pub bits: Option<u32>,
    /// `SHA256:…` of the public half; empty when the format hides it.
    pub fingerprint: String,
    /// Whether a passphrase protects it.
    pub encrypted: bool,
    /// Owner.
    pub owner_uid: u32,
    /// Permission bits.
    pub mode: u32,
    /// Whether the mode lets others than the owner read it.
    pub others_can_read: bool,
    /// The file.
    pub source: Source,
}

/// Most files of one folder that are looked at.
const FILE_LIMIT: usize = 256;
/// Largest file that may be a private key, bytes.
const KEY_LIMIT: usize = 64 << 10;
/// Most homes that are looked at.
const HOME_LIMIT: usize = 50_000;

/// Private keys of every home, by path.
pub fn private_keys(host: &Host, users: &[PasswdLine], gaps: &mut Gaps) -> Vec<PrivateKey> {
    let mut out = Vec::new();
    let mut homes = BTreeSet::new();
    for user in users {
        let home = user.home.trim_end_matches('/');
        if !(home.is_empty() || home.starts_with('/')) || !homes.insert(home) {
            continue;
        }
        if homes.len() > HOME_LIMIT {
            gaps.note(SshKeys::NAME, "private_keys", "", reason::LIMIT_REACHED, format!("more than {HOME_LIMIT} home folders"), "");
            break;
        }
        folder(host, &user.name, &format!("{home}/.ssh"), &mut out, gaps);
    }
    out.sort_by(|a, b| a.subject.cmp(&b.subject));
    out.dedup_by(|a, b| a.subject == b.subject);
    out
}

fn folder(host: &Host, account: &str, path: &str, out: &mut Vec<PrivateKey>, gaps: &mut Gaps) {
    let entries = match host.list(path) {
        Ok(entries) => entries,
        Err(e) if e.is_not_found() => return,
        Err(e) => return gaps.add(e.to_gap(SshKeys::NAME, "private_keys", account)),
    };
    if entries.len() > FILE_LIMIT {
        let detail = format!("{path}: only {FILE_LIMIT} of its files were looked at");
        gaps.note(SshKeys::NAME, "private_keys", account, reason::LIMIT_REACHED, detail, "");
    }
    for entry in entries.into_iter().filter(|e| e.kind == FileKind::File).take(FILE_LIMIT) {
        let file = format!("{path}/{}", entry.name);
        match (host.read(&file, KEY_LIMIT), host.stat(&file)) {
            (Ok(bytes), Ok(stat)) => {
                if let Some(key) = std::str::from_utf8(&bytes).ok().and_then(private::parse) {
                    out.push(PrivateKey {
                        source: Source::whole(file.clone()),
                        subject: file,
                        account: account.into(),
                        format: key.format.into(),
                        kind: key.kind,
                        bits: key.bits,
                        fingerprint: key.fingerprint,
                        encrypted: key.encrypted,
                        owner_uid: stat.uid,
                        mode: stat.mode,
                        others_can_read: stat.mode & 0o044 != 0,
                    });
                }
            }
            // A known_hosts of that size is no key.
            (Err(ReadError::TooLarge(..) | ReadError::NotFound(_) | ReadError::NotRegular(_)), _) => {}
            (Err(e), _) | (_, Err(e)) => gaps.add(e.to_gap(SshKeys::NAME, "private_keys", account)),
        }
    }
}
