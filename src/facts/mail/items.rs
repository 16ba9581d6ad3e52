//! What mail servers are configured to do, in the same words for every program.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::model::fact::Source;

/// One program with one configuration.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MailServer {
    /// Program and configuration, such as `postfix /etc/postfix` or `dovecot /etc/dovecot/dovecot.conf`.
    pub subject: String,
    /// `postfix` or `dovecot`.
    pub program: String,
    /// Release, such as `3.7.11`; empty when it is not known.
    pub version: String,
    /// Whether a process runs with this configuration; always false where no running machine is read.
    pub running: bool,
    /// Files read, in order.
    pub files: Vec<String>,
    /// Main file.
    pub source: Source,
}

/// What a listening service of mail does with those who come.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MailListener {
    /// Subject of its endpoint.
    pub subject: String,
    /// `postfix` or `dovecot`.
    pub program: String,
    /// `smtp`, `imap`, `pop3`, `lmtp`, `managesieve`, `submission`, …
    pub protocol: String,
    /// Address.
    pub address: String,
    /// Port.
    pub port: u32,
    /// Whether other machines reach it: its address is not loopback.
    pub exposed: bool,
    /// `required`, `offered` or `none`, as in the endpoint.
    pub tls: String,
    /// `off` (nobody signs in), `after-tls` (passwords are taken inside TLS alone), `cleartext` (a password is taken without TLS too).
    pub sign_in: String,
    /// Where that was decided; the place is empty when the default holds.
    pub sign_in_source: Source,
    /// SMTP: `closed` (mail of strangers to others is refused), `open` (it is passed on), `undecided` (a table or another program decides);
    /// empty for other protocols.
    pub relay: String,
    /// What decides about `relay`, one sentence fragment; empty for other protocols.
    pub relay_detail: String,
    /// Where that stands; the place is empty when the default holds.
    pub relay_source: Source,
    /// Where the service is defined.
    pub source: Source,
}

/// A service that hands mail to other machines.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Outgoing {
    /// Program, configuration and service, such as `postfix /etc/postfix smtp`.
    pub subject: String,
    /// `none`, `opportunistic` (plaintext where the other side offers no TLS; DANE where it has records), `required` (TLS, whoever answers),
    /// `verified` (TLS and the other side proves itself).
    pub tls: String,
    /// Whether mail leaves this machine through it: not when everything goes to a relay on loopback or outgoing mail is turned off.
    pub leaves_machine: bool,
    /// Relay that takes all mail, as written; empty without one.
    pub relay_host: String,
    /// Where the level was decided; the place is empty when the default holds.
    pub source: Source,
}
