//! What an endpoint turned out to be, as identification tells it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::reader::banner;
use super::service::Upgrade;

/// `tls` of an endpoint: an upgrade is offered, and plaintext works too.
pub const OPTIONAL: &str = "optional";
/// `tls` or `authentication`: nothing useful without.
pub const REQUIRED: &str = "required";
/// `tls` or `authentication`: there is none.
pub const NONE: &str = "none";
/// `tls`: from the first byte.
pub const DIRECT: &str = "direct";
/// `tls`: the list of capabilities and the answer to the command contradict each other, as where
/// somebody on the way takes the word or the command out, or where a certificate can't be used.
pub const STRIPPED: &str = "stripped";
/// The exchange did not tell.
pub const UNKNOWN: &str = "unknown";

/// What an endpoint turned out to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// Name of the protocol.
    pub protocol: &'static str,
    /// Whether it runs without encryption here, at least until an upgrade.
    pub plaintext: bool,
    /// [`DIRECT`], [`OPTIONAL`], [`REQUIRED`], [`STRIPPED`], [`NONE`] or [`UNKNOWN`].
    pub tls: &'static str,
    /// [`NONE`], [`REQUIRED`] or [`UNKNOWN`].
    pub authentication: &'static str,
    /// FTP: whether anonymous sign-in works.
    pub anonymous: Option<bool>,
    /// What a stranger gets, in the words of the table at `services.items[].open`.
    pub open: Vec<String>,
    /// Versions or dialects that the server showed it accepts, in the protocol's own words.
    pub versions: Vec<String>,
    /// SSH: what it offers.
    pub ssh: Option<Ssh>,
    /// HTTP: what its answer to `GET /` says.
    pub http: Option<Http>,
    /// A time service of this machine: how its clock is.
    pub clock: Option<Clock>,
    /// NFS exports, rsync modules, SMB shares.
    pub exports: Vec<Export>,
    /// SMB: `required`, `enabled` or `disabled`; empty for other protocols.
    pub signing: &'static str,
    /// First line, printable.
    pub banner: String,
    /// The exchange that decided.
    pub exchange: String,
    /// How TLS starts, where it is offered as an upgrade.
    pub upgrade: Option<Upgrade>,
    /// Questions that a server of this protocol should have answered and did not: field and reason.
    pub unanswered: Vec<(&'static str, String)>,
}

impl Seen {
    /// A plaintext protocol of which no more is known.
    pub fn plain(protocol: &'static str, first: &[u8], exchange: &str) -> Self {
        Self {
            protocol,
            plaintext: true,
            tls: NONE,
            authentication: UNKNOWN,
            anonymous: None,
            open: Vec::new(),
            versions: Vec::new(),
            ssh: None,
            http: None,
            clock: None,
            exports: Vec::new(),
            signing: "",
            banner: banner(first),
            exchange: exchange.into(),
            upgrade: None,
            unanswered: Vec::new(),
        }
    }

    /// Marks a field that the server left open.
    pub fn left_open(&mut self, field: &'static str, reason: impl ToString) {
        self.unanswered.push((field, reason.to_string()));
    }

    /// Says that what was open was seen at loopback alone, which many servers trust: nothing is
    /// known of what strangers get.
    pub fn trusting_loopback(&mut self, why: &str) {
        if !self.open.is_empty() {
            let words = self.open.join(", ");
            self.open.clear();
            self.left_open("open", format!("at loopback it offered {words}, and {why}"));
        }
    }

    /// Marks something that a stranger gets.
    pub fn opens(&mut self, word: &str) {
        if !self.open.iter().any(|w| w == word) {
            self.open.push(word.into());
        }
    }
}

/// What an SSH server offers in its SSH_MSG_KEXINIT (RFC 4253 section 7.1), in its order.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Ssh {
    /// Key exchange methods.
    pub key_exchange: Vec<String>,
    /// Host key algorithms.
    pub host_keys: Vec<String>,
    /// Ciphers, both directions merged.
    pub ciphers: Vec<String>,
    /// Message authentication codes, both directions merged.
    pub macs: Vec<String>,
    /// Compression methods, both directions merged.
    pub compression: Vec<String>,
}

/// What a web server says in the head of its answer to `GET /`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Http {
    /// Status code (RFC 9110 section 15); 0 where the answer had no head.
    pub status: u16,
    /// `Server` field, printable characters, at most 120; empty when there is none.
    pub server: String,
    /// Scheme and host of the `Location` field, such as `https://www.example.com`; empty when there is none.
    pub location: String,
    /// The status is a redirect and its `Location` begins with `https:`.
    pub redirects_to_https: bool,
    /// `max-age` of `Strict-Transport-Security` (RFC 6797 section 6.1), seconds; `null` when there is no valid field.
    pub hsts_max_age_seconds: Option<i64>,
    /// `includeSubDomains` of a valid `Strict-Transport-Security` field.
    pub hsts_include_subdomains: bool,
    /// Schemes of `WWW-Authenticate` (RFC 9110 section 11.6.1), lower case, as they come.
    pub authentication: Vec<String>,
}

/// What a time service says about the clock that it keeps.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Clock {
    /// Whether it follows a source (the leap indicator is not 3, RFC 5905).
    #[schemars(extend("x-volatile" = true))]
    pub synchronised: bool,
    /// Steps to a reference clock, 1 for one of its own; 0 or 16 when it follows none.
    #[schemars(extend("x-volatile" = true))]
    pub stratum: u64,
    /// How far the clock is believed to be off, microseconds (chrony: system time against its own estimate of true time; ntpd: `offset`).
    #[schemars(extend("x-volatile" = true))]
    pub offset_microseconds: i64,
}

/// Something that a file server offers by name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Export {
    /// Path of an NFS export, name of an rsync module or of an SMB share.
    pub name: String,
    /// Who may use it, in the server's words; empty when it does not say.
    pub to: Vec<String>,
    /// Security flavours (`sys`, `krb5`, `krb5i`, `krb5p`, …); empty when it does not say.
    pub security: Vec<String>,
}
