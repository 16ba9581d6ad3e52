//! What each TLS endpoint accepts and shows.

pub mod chain;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use chain::Chain;

use super::Document;
use crate::model::fact::Source;
use crate::model::gap::{Gaps, reason};
use crate::probe::dial::Dialer;
use crate::probe::service::Upgrade;
use crate::probe::tls::plan::{self, Plan};

/// Every endpoint on which TLS was spoken.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Tls {
    /// By subject.
    pub endpoints: Vec<Endpoint>,
    /// Certificate chains, by subject; an endpoint of which none was seen leaves a gap.
    pub chains: Vec<Chain>,
}

impl Document for Tls {
    const NAME: &'static str = "tls";
    const TITLE: &'static str = "Accepted TLS versions and certificates";
    const VERSION: u32 = 2;
}

/// One endpoint.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Endpoint {
    /// `ADDRESS:PORT/tcp`, with ` sni NAME` when a server name was sent.
    pub subject: String,
    /// Address spoken to.
    pub address: String,
    /// Port.
    pub port: u32,
    /// Name of the process behind a local listener; empty when unknown.
    pub process: String,
    /// Bind scope of a local listener, else `remote`.
    pub scope: String,
    /// Protocol of the upgrade, such as `smtp`; empty for direct TLS.
    pub starttls: String,
    /// Server name sent (RFC 6066); may be empty.
    pub server_name: String,
    /// `tls`, or why there is none: `refused` (no connection), `unreachable`, `plaintext`, `garbage`, `starttls-absent`, `alert` (to
    /// every version), `closed`, `silent`, `not-asked`.
    pub outcome: String,
    /// What showed that; empty for `tls`.
    pub outcome_detail: String,
    /// Every version asked, oldest first.
    pub versions: Vec<Version>,
    /// Names of accepted versions, oldest first.
    pub accepted: Vec<String>,
    /// Wire code of the oldest accepted version; 0 when none.
    pub lowest_code: u32,
    /// Whether the server asks for a client certificate; `null` when no handshake got that far.
    pub client_certificate_requested: Option<bool>,
    /// Whether it goes no further without one; `null` when no handshake came to its end.
    pub client_certificate_required: Option<bool>,
    /// The endpoint.
    pub source: Source,
}

/// Answer to our hello of one version.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Version {
    /// `SSLv2`, `SSLv3`, `TLSv1.0` to `TLSv1.3`.
    pub name: String,
    /// Wire code.
    pub code: u32,
    /// `accepted`, `refused` (alert or another version), `closed`, `silent`, `plaintext`, `garbage`, `no-upgrade`, `unreachable`, `not-asked`.
    pub outcome: String,
    /// Whether the server chose this version.
    pub accepted: bool,
    /// Cipher suite it chose, IANA name or `0x….`; empty when not accepted.
    pub suite: String,
    /// Alert or first bytes that decided.
    pub detail: String,
    /// First bytes of the reply, hexadecimal, at most 24.
    pub bytes: String,
}

impl Version {
    /// Whether it may be there although it was not seen. A server that answers other hellos and drops this one, asked twice,
    /// does not accept it.
    pub(super) fn is_doubtful(&self, is_other_accepted: bool) -> bool {
        matches!(self.outcome.as_str(), "unreachable" | "no-upgrade" | "not-asked") || (self.outcome == "silent" && !is_other_accepted)
    }
}

/// The fact of one surveyed endpoint; what could not be seen becomes gaps of its subject.
pub(super) fn endpoint(survey: &Plan, upgrade: Option<Upgrade>, dialer: &Dialer, service: &super::services::Service, gaps: &mut Gaps) -> Endpoint {
    let subject = match dialer.server_name.as_str() {
        "" => service.subject.clone(),
        _ if service.subject.contains(super::services::SNI) => service.subject.clone(),
        name => format!("{} sni {name}", service.subject),
    };
    let versions: Vec<Version> = survey.versions.iter().map(version).collect();
    let accepted: Vec<&Version> = versions.iter().filter(|v| v.accepted).collect();
    for v in versions.iter().filter(|v| v.is_doubtful(!accepted.is_empty())) {
        let id = if v.outcome == "silent" { reason::TIMEOUT } else { reason::UNREACHABLE };
        let detail = format!("{}: {} was asked and the endpoint was {} {}", service.source.place, v.name, v.outcome, v.detail);
        gaps.note(Tls::NAME, "endpoints.accepted", &subject, id, detail.trim_end(), "");
        gaps.note(Tls::NAME, "endpoints.lowest_code", &subject, id, detail.trim_end(), "");
    }
    if accepted.is_empty() {
        let detail = format!("{}: no version was accepted", service.source.place);
        for path in ["endpoints.accepted", "endpoints.lowest_code"] {
            gaps.note(Tls::NAME, path, &subject, reason::UNSUPPORTED, detail.clone(), "Name the host as a target if it serves named hosts only.");
        }
    }
    if survey.is_tls() && survey.shown.is_empty() {
        let problem = survey.problems.first().map_or("no handshake showed a certificate", String::as_str);
        let detail = format!("{}: {problem}", service.source.place);
        gaps.note(Tls::NAME, "chains", &subject, reason::UNSUPPORTED, detail, "Look at the certificate with openssl s_client.");
    }
    let (outcome, outcome_detail) = survey.outcome();
    Endpoint {
        outcome: outcome.into(),
        outcome_detail,
        address: service.address.clone(),
        port: service.port,
        process: service.process.clone(),
        scope: service.scope.clone(),
        starttls: upgrade.map_or("", Upgrade::name).into(),
        server_name: dialer.server_name.clone(),
        accepted: accepted.iter().map(|v| v.name.clone()).collect(),
        lowest_code: accepted.iter().map(|v| v.code).min().unwrap_or(0),
        client_certificate_requested: survey.client_certificate_requested,
        client_certificate_required: survey.client_certificate_required,
        source: Source { place: service.source.place.clone(), line: 0, directive: "ClientHello of each version".into() },
        subject,
        versions,
    }
}

fn version(answer: &plan::Version) -> Version {
    Version {
        name: answer.name.into(),
        code: u32::from(answer.code),
        outcome: answer.outcome.into(),
        accepted: answer.outcome == "accepted",
        suite: answer.suite.clone(),
        detail: answer.detail.clone(),
        bytes: answer.bytes.clone(),
    }
}
