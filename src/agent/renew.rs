//! Renewal: a new certificate for the same key, at two thirds of the life of the old one.
//!
//! Tried with a heartbeat or a delivery, once per back-off: when it is due, when the certificate has
//! expired (a host that was off for up to 400 days), and when the collector does not know the host
//! although the host holds its certificate (it was restored from a backup that is older).

use std::path::Path;
use std::time::{Duration, Instant};

use super::identity::{Identity, IdentityError};
use super::pace;
use super::upload::{Client, Route, UploadError};
use crate::host::clock;
use crate::ledger::rotation;
use crate::pki::{self, Life, PkiError};

/// After two thirds of the life, a host waits for this part of it at most, so that hosts that enrolled together don't renew
/// together.
const SPREAD: i64 = 30;
/// Shortest time between two renewals of our own accord, whatever this clock says.
const REST: Duration = Duration::from_secs(24 * 3600);

/// Why there is no new certificate; the old one stands.
#[derive(Debug, thiserror::Error)]
pub enum RenewError {
    /// Network or collector.
    #[error(transparent)]
    Upload(#[from] UploadError),
    /// Identity file.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// A certificate that can't be used.
    #[error("the renewed certificate can't be used: {0}; the old one is kept")]
    Unusable(#[from] PkiError),
    /// The answer can't be used.
    #[error("the renewed certificate {0}; the old one is kept")]
    Answer(&'static str),
}

/// When to renew, and what came of it.
#[derive(Debug, Default)]
pub struct Renewal {
    /// The collector said that only a renewal helps.
    wanted: bool,
    failures: u32,
    next: Option<Instant>,
}

impl Renewal {
    /// Notes what the collector answered: some refusals only a renewal can mend.
    pub fn note(&mut self, error: &UploadError) {
        self.wanted |= error.is_refusal("certificate-expired") || error.is_refusal("unknown-host");
    }

    /// Renews if it is time. Afterwards `identity`, its file and `client` have the new certificate; `true` then.
    pub async fn step(&mut self, identity: &mut Identity, client: &mut Client, route: &Route<'_>, state_dir: &Path) -> bool {
        let due = self.wanted || is_due(identity, clock::floored(route.floor));
        if !due || self.next.is_some_and(|next| Instant::now() < next) {
            return false;
        }
        match renew(identity, client, route, state_dir).await {
            Ok(life) => {
                tracing::info!(until = life.not_after, "host certificate renewed");
                *self = Self { next: Some(Instant::now() + REST), ..Self::default() };
                true
            }
            Err(e) => {
                self.failures = self.failures.saturating_add(1);
                let asked = if let RenewError::Upload(e) = &e { e.retry_after() } else { None };
                self.next = Some(Instant::now() + pace::retry(&identity.host, self.failures, asked));
                tracing::warn!("host certificate not renewed: {e}");
                false
            }
        }
    }
}

/// Follows the ledger to a new key that the old one signed, after a receipt that the old one did not sign; `true` when there is one.
pub async fn follow_ledger(identity: &mut Identity, client: &Client, state_dir: &Path) -> bool {
    let followed = client.rotations().await.map_err(|e| e.to_string()).and_then(|list| rotation::follow(&identity.ledger, &list).map_err(|e| e.to_string()));
    let key = match followed {
        Ok(key) if key == identity.ledger => return false,
        Ok(key) => key,
        Err(e) => {
            tracing::warn!("the ledger's keys can't be followed: {e}");
            return false;
        }
    };
    tracing::warn!(from = %identity.ledger, to = %key, "the ledger has a new key, signed by the old one");
    let old = std::mem::replace(&mut identity.ledger, key);
    if let Err(e) = identity.save(state_dir) {
        tracing::error!("{e}");
        identity.ledger = old;
        return false;
    }
    true
}

/// Whether it is time to renew at `now`, Unix seconds. A certificate that can't be read is.
pub fn is_due(identity: &Identity, now: i64) -> bool {
    due_at(identity).is_none_or(|at| at <= now)
}

/// When the certificate is renewed, Unix seconds; `None` when it can't be read.
pub fn due_at(identity: &Identity) -> Option<i64> {
    let life = Life::of(&identity.certificate).ok()?;
    let spread = Duration::from_secs(u64::try_from(life.not_after.saturating_sub(life.not_before) / SPREAD).ok()?);
    Some(life.two_thirds().saturating_add(i64::try_from(pace::share(spread, &identity.host, "renewal").as_secs()).ok()?))
}

async fn renew(identity: &mut Identity, client: &mut Client, route: &Route<'_>, state_dir: &Path) -> Result<Life, RenewError> {
    let certificate = client.renew(identity).await?;
    let life = check(identity, &certificate)?;
    // Both must work before anything is kept.
    let renewed = Client::with_certificate(identity, &certificate, route)?;
    let old = std::mem::replace(&mut identity.certificate, certificate);
    if let Err(e) = identity.save(state_dir) {
        identity.certificate = old;
        return Err(e.into());
    }
    *client = renewed;
    Ok(life)
}

/// The certificate is for our key, by the pinned authority, and no older than the one at hand. This clock has no say: it may be
/// the reason why the old one seemed over.
fn check(identity: &Identity, certificate: &str) -> Result<Life, RenewError> {
    let life = Life::of(certificate)?;
    if pki::public_key_of(certificate)? != identity.key.spki() {
        return Err(RenewError::Answer("is for another key"));
    }
    pki::tls::check_host_certificate(&identity.ca, certificate, life.not_after)?;
    if Life::of(&identity.certificate).is_ok_and(|old| life.not_after < old.not_after) {
        return Err(RenewError::Answer("ends earlier than the one at hand"));
    }
    Ok(life)
}
