//! Certificates and private keys that lie on disk for services: what each is, who can read a key,
//! which service names it, and whether what belongs together fits.
//!
//! The monthly family `files` tells of every private key on the machine that everybody can read;
//! this one tells, weekly, exactly which accounts can read the keys of services.

mod content;
mod directives;
mod gathering;
mod places;
mod private_key;
pub(in crate::facts) mod reach;
mod uses;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Document, HostFamily};
use crate::host::Host;
use crate::model::fact::Source;
use crate::model::gap::Gaps;

/// Certificates and keys of services.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Certificates {
    /// Certificates, each once, by subject; the system's trust anchors are left out.
    pub items: Vec<Item>,
    /// Files of private keys, by subject.
    pub keys: Vec<Key>,
    /// What services' configurations name together, by subject.
    pub uses: Vec<Use>,
}

impl Document for Certificates {
    const NAME: &'static str = "certificates";
    const TITLE: &'static str = "Certificates and private keys of services on disk: validity, strength, who can read a key, which service uses it";
}

impl HostFamily for Certificates {
    const WATCHED: &'static [&'static str] = &[
        "/etc/ssl/private/*",
        "/etc/ssl/certs/ssl-cert-snakeoil.pem",
        "/etc/pki/tls/private/*",
        "/etc/pki/tls/certs/*",
        "/etc/letsencrypt/live/**",
        "/etc/nginx/**",
        "/etc/apache2/**",
        "/etc/httpd/**",
        "/etc/postfix/*",
        "/etc/dovecot/**",
        "/etc/haproxy/**",
        "/etc/kubernetes/pki/**",
    ];

    fn gather(host: &Host, gaps: &mut Gaps) -> Option<Self> {
        Some(gathering::gather(host, gaps))
    }
}

/// One certificate.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Item {
    /// Path of the file; ` (N)` behind it for the N-th certificate of the file.
    pub subject: String,
    /// Path of the file: the one that a service names, else the first.
    pub path: String,
    /// Place in the file, from 1.
    pub position: u32,
    /// Other files that hold it, sorted, at most 16.
    pub also_in: Vec<String>,
    /// Services whose configurations name a file that holds it, sorted.
    pub used_by: Vec<String>,
    /// File with its private key; empty when none was found.
    pub key: String,
    /// File with a certificate for the same names that is valid longer, when no service names this one; empty: none.
    pub superseded_by: String,
    /// Subject, RFC 4514 text.
    pub subject_name: String,
    /// Issuer, RFC 4514 text.
    pub issuer_name: String,
    /// dNSName and iPAddress entries of the subject alternative name, else the common names; at most 200.
    pub names: Vec<String>,
    /// Unix seconds.
    pub not_before: i64,
    /// Unix seconds.
    pub not_after: i64,
    /// `rsa`, `ec`, `ed25519`, `ed448`, `dsa`, `ml-dsa-44` (or 65, 87) or the OID.
    pub key_kind: String,
    /// Size of the key, bits; 0 when not known.
    pub key_bits: u32,
    /// Curve of an EC key, such as `P-256`; else empty.
    pub key_curve: String,
    /// SHA-256 of the SubjectPublicKeyInfo, hexadecimal.
    pub key_sha256: String,
    /// Signature algorithm, such as `sha256WithRSAEncryption`.
    pub signature: String,
    /// `sha256`, `sha1`, `md5`, … or empty where the scheme has its own.
    pub signature_hash: String,
    /// Whether it is signed by its own key.
    pub self_signed: bool,
    /// Whether it may certify others.
    pub is_ca: bool,
    /// Extended key usage; empty when not limited.
    pub extended_key_usage: Vec<String>,
    /// SHA-256 of the DER, hexadecimal.
    pub fingerprint: String,
    /// The file.
    pub source: Source,
}

/// One file with a private key.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Key {
    /// Path of the file; ` (N)` behind it for the N-th key of the file.
    pub subject: String,
    /// `pkcs1`, `pkcs8`, `sec1`, `dsa`, or a container: `pkcs12`, `java-keystore`.
    pub format: String,
    /// As of certificates; empty when a passphrase hides it.
    pub kind: String,
    /// Size, bits; 0 when not known.
    pub bits: u32,
    /// Curve of an EC key; else empty.
    pub curve: String,
    /// SHA-256 of the SubjectPublicKeyInfo, hexadecimal; empty when the file does not tell it.
    pub public_sha256: String,
    /// Whether a passphrase is needed.
    pub encrypted: bool,
    /// Owner.
    #[schemars(extend("x-personal" = true))]
    pub owner: String,
    /// Group.
    pub group: String,
    /// Permission bits.
    pub mode: u32,
    /// Whether every account can read it: the file and each folder on its way let everybody.
    pub readable_by_all: bool,
    /// Accounts besides root and the owner that can read it by mode, group or access control list, sorted; at most 32.
    #[schemars(extend("x-personal" = true))]
    pub readers: Vec<String>,
    /// Of these, accounts of people: with a number from UID_MIN of login.defs on and a shell.
    #[schemars(extend("x-personal" = true))]
    pub people: Vec<String>,
    /// Certificates of the same key, by subject.
    pub certificates: Vec<String>,
    /// Services whose configurations name the file, sorted.
    pub used_by: Vec<String>,
    /// The file itself, behind every link.
    pub source: Source,
}

/// What one service's configuration names together.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Use {
    /// `SERVICE FILE:LINE`.
    pub subject: String,
    /// Program, such as `nginx`.
    pub service: String,
    /// Files of certificates.
    pub certificates: Vec<String>,
    /// Files of keys.
    pub keys: Vec<String>,
    /// Of these, files that are not there.
    pub missing: Vec<String>,
    /// Whether each key has its certificate among these files; `null` when no key stands apart from its certificate, one is under a passphrase, or a file was not read.
    pub matches: Option<bool>,
    /// Line that names the first of them.
    pub source: Source,
}
