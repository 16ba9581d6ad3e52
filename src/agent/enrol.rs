//! Enrolment: a token admits the host, and pins the collector before anything is sent.

use std::fs::File;
use std::path::Path;

use reqwest::StatusCode;
use serde::{Deserialize, Serialize};

use super::identity::{Binding, Identity, IdentityError, machine_mark};
use super::spool::{self, Bounds, Spool, SpoolError};
use super::upload::{self, UploadError};
use crate::config::agent::is_collector_url;
use crate::config::proxy::Proxy;
use crate::host::{Host, ReadError, clock, durable};
use crate::ledger::Verifier;
use crate::model::ids::{HostId, Lineage, Salt};
use crate::pki::keys::SigningKey;
use crate::pki::token::Token;
use crate::pki::{self, PkiError};

/// Longest host name, bytes (hostname(7) allows 253 for a full name).
const MAX_NAME: usize = 253;

/// Why a host was not enrolled; nothing was written.
#[derive(Debug, thiserror::Error)]
pub enum EnrolError {
    /// Keys, token or TLS.
    #[error(transparent)]
    Pki(#[from] PkiError),
    /// State folder.
    #[error(transparent)]
    State(#[from] SpoolError),
    /// Identity file.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// Network or collector.
    #[error(transparent)]
    Upload(#[from] UploadError),
    /// The machine can't be read.
    #[error(transparent)]
    Host(#[from] ReadError),
    /// Not an address.
    #[error("collector address {0:?} is malformed: write https://HOST:PORT")]
    Address(String),
    /// Not a name.
    #[error("host name {0:?} can't be used: give --name with letters, digits, dots and hyphens")]
    Name(String),
    /// There is an identity already.
    #[error("{0}: this machine is enrolled already; name another --state folder, or move this one away to enrol anew")]
    Already(String),
    /// Nothing to bind anew.
    #[error("{0}: the identity is bound to this machine already; nothing has moved")]
    NotMoved(String),
    /// The answer can't be used.
    #[error("collector's answer to the enrolment does not hold: {0}")]
    Answer(&'static str),
    /// No runtime.
    #[error("enrolment can't start: {0}")]
    Start(std::io::Error),
}

#[derive(Serialize)]
struct Request<'a> {
    csr: String,
    machine: &'a str,
    name: &'a str,
    salt: Salt,
    token: String,
}

#[derive(Deserialize)]
struct Answer {
    ca: String,
    certificate: String,
    host: HostId,
    ledger: String,
    origin: String,
}

/// Enrols this machine at `url` and saves its identity in `state_dir`; `name` is the host name
/// unless given. Blocks: an asynchronous caller uses a blocking thread.
pub fn enrol(url: &str, token: &Token, state_dir: &Path, name: Option<&str>) -> Result<Identity, EnrolError> {
    enrol_through(&Proxy::default(), url, token, state_dir, name)
}

/// The same through an HTTP proxy.
pub fn enrol_through(proxy: &Proxy, url: &str, token: &Token, state_dir: &Path, name: Option<&str>) -> Result<Identity, EnrolError> {
    if !is_collector_url(url) {
        return Err(EnrolError::Address(url.into()));
    }
    let host = Host::live()?;
    let name = host_name(&host, name)?;
    let foreign = foreign(state_dir, &host)?;
    // Before the collector spends the token: the folder must be writable.
    spool::create_folder(state_dir)?;
    let key = SigningKey::generate()?;
    let salt = Salt::new(pki::random()?);
    let machine = machine_mark(&host, &salt);
    let request = Request { csr: key.request(&name)?, machine: &machine, name: &name, salt, token: token.to_string() };
    let answer = ask(proxy, url, token, &request)?;
    let ledger = check(&answer, &key, token)?;
    let Answer { ca, certificate, .. } = answer;
    let lineage = Lineage::new(pki::random()?);
    let collector = url.trim_end_matches('/').to_string();
    let identity = Identity { host: key.id(), key, certificate, ca, collector, ledger, salt, machine, name, lineage };
    let _lock = foreign.map(|foreign| set_aside(state_dir, &foreign)).transpose()?;
    identity.save(state_dir)?;
    Ok(identity)
}

/// Binds the identity to this machine anew, after its machine-id was changed on purpose. The running lineage ends: should the
/// first machine still live, the two are told apart.
pub fn moved(state_dir: &Path) -> Result<Identity, EnrolError> {
    let host = Host::live()?;
    let mut identity = Identity::load(state_dir)?;
    if matches!(identity.binding(&host), Binding::Here | Binding::Unbound) {
        return Err(EnrolError::NotMoved(state_dir.display().to_string()));
    }
    let mut spool = Spool::open(state_dir, Bounds::default(), identity.lineage)?;
    spool.open_lineage()?;
    identity.machine = machine_mark(&host, &identity.salt);
    identity.save(state_dir)?;
    Ok(identity)
}

/// The identity of another machine that a clone has in its state folder; one of this machine is not replaced.
fn foreign(state_dir: &Path, host: &Host) -> Result<Option<Identity>, EnrolError> {
    if !Identity::exists(state_dir) {
        return Ok(None);
    }
    let there = Identity::load(state_dir)?;
    if there.binding(host) == Binding::Elsewhere { Ok(Some(there)) } else { Err(EnrolError::Already(state_dir.display().to_string())) }
}

/// Puts the other machine's spool and state into a folder of their own: its reports are not ours to send, nor to throw away. The
/// spool stays locked until the new identity stands; a kill in between leaves the old one, which refuses to run here.
fn set_aside(state_dir: &Path, foreign: &Identity) -> Result<File, EnrolError> {
    let lock = spool::lock(state_dir)?;
    let short: String = foreign.host.to_string().chars().take(16).collect();
    let aside = state_dir.join(format!("of-{short}"));
    spool::create_folder(&aside)?;
    let fail = |e| SpoolError::Io(aside.display().to_string(), e);
    for name in ["spool", "kept", "damaged", "state.json", "begun"] {
        match std::fs::rename(state_dir.join(name), aside.join(name)) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => return Err(fail(e).into()),
            _ => {}
        }
    }
    durable::sync_folder(&aside).and_then(|()| durable::sync_folder(state_dir)).map_err(fail)?;
    tracing::info!(folder = %aside.display(), "what another machine had in its spool was set aside");
    Ok(lock)
}

fn ask(proxy: &Proxy, url: &str, token: &Token, request: &Request<'_>) -> Result<Answer, EnrolError> {
    // The pin is checked in the handshake: a server without that authority sees no request.
    let http = upload::http_client(pki::tls::pinned_client(token, clock::built_at())?, url, proxy)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(EnrolError::Start)?;
    let base = url.trim_end_matches('/');
    let way = upload::way(base, proxy);
    let sent = upload::exchange(&way, http.post(format!("{base}/v1/enrol")).json(request));
    let reply = runtime.block_on(sent)?;
    if reply.status != StatusCode::CREATED {
        return Err(reply.refused("the enrolment").into());
    }
    Ok(reply.parse("the enrolment", "certificate and ledger key")?)
}

/// The answer is for our key, by the pinned authority.
fn check(answer: &Answer, key: &SigningKey, token: &Token) -> Result<Verifier, EnrolError> {
    if answer.host != key.id() {
        return Err(EnrolError::Answer("it names another host key"));
    }
    let (_, ca) = x509_parser::pem::parse_x509_pem(answer.ca.as_bytes()).map_err(|_| EnrolError::Answer("its authority is not a PEM certificate"))?;
    if !token.pins(&ca.contents) {
        return Err(EnrolError::Answer("its authority is not the one the token names"));
    }
    let (_, pem) = x509_parser::pem::parse_x509_pem(answer.certificate.as_bytes()).map_err(|_| EnrolError::Answer("its certificate is not PEM"))?;
    let certificate = pem.parse_x509().map_err(|_| EnrolError::Answer("its certificate is malformed"))?;
    if certificate.public_key().raw != key.spki() {
        return Err(EnrolError::Answer("its certificate is for another key"));
    }
    // The client configuration must work before it is kept.
    pki::tls::agent_client(&answer.ca, &answer.certificate, key, clock::unix_now())?;
    let ledger: Verifier = answer.ledger.parse().map_err(|_| EnrolError::Answer("its ledger key is malformed"))?;
    if ledger.name() != answer.origin {
        return Err(EnrolError::Answer("its ledger key has another name than its origin"));
    }
    Ok(ledger)
}

fn host_name(host: &Host, given: Option<&str>) -> Result<String, EnrolError> {
    let name = match given {
        Some(name) => name.trim().to_string(),
        None => host.read_text("/proc/sys/kernel/hostname", MAX_NAME + 1)?.trim().to_string(),
    };
    let fits = !name.is_empty() && name.len() <= MAX_NAME && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_'));
    if fits { Ok(name) } else { Err(EnrolError::Name(name)) }
}
