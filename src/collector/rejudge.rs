//! Judging again: when lists, thresholds, rules or advisories change, and once a day with its own time, the latest facts of every host are judged
//! anew and the differences become transitions from that moment on. No host is asked for anything.
//!
//! ```text
//! basis in force, day -> hosts whose verdicts rest on another basis or were given before today
//!    -> newest report of each kind, as ingest judges it -> verdicts -> laid from now on, marked with what brought them
//! ```
//! What time alone can change is said by the rules (`time_alone`): of the others the daily pass knows nothing new, for only a scan tells whether a
//! backup was made since. The state of each host is noted with its verdicts in one transaction: a crash in the middle goes on where it was, and
//! doing a host twice changes nothing. Of several collectors on one database the holder of a lease does it.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::watch;
use tokio::time::sleep;

use super::app::{App, JUDGES};
use super::basis::{Basis, Parts};
use super::judge;
use super::kept::{self, Extract, Kind};
use super::store::{self, Again, Laid, Rejudged, Store, StoreError};
use crate::host::clock;
use crate::model::blob;
use crate::model::finding::Finding;
use crate::model::ids::{Digest, HostId, RandomId};

/// Name of the lease.
const LEASE: &str = "judge-again";
/// Seconds of a day: a pass belongs to a day in UTC.
const DAY: i64 = 86_400;
/// Hosts looked up at a time.
const PAGE: u32 = 64;
/// How often it is looked whether something is to be done although nothing changed.
const LOOK_EVERY: Duration = Duration::from_secs(60);
/// The lease is renewed after so long.
const RENEW: Duration = Duration::from_secs(3);
/// Longest wait for a moment in which no report is being judged.
const YIELD: Duration = Duration::from_secs(2);
/// How often that is looked at.
const YIELD_STEP: Duration = Duration::from_millis(20);
/// How often a host is tried whose reports change meanwhile.
const TRIES: usize = 3;

/// What brings verdicts when no report does.
pub mod origin {
    /// Time alone.
    pub const TIME: &str = "time";
    /// What was judged by before is not known: a program that did not note it.
    pub const UPGRADE: &str = "upgrade";
}

/// Follows the basis in force and the days until `stop`.
pub async fn follow(app: Arc<App>, mut stop: watch::Receiver<bool>) {
    let holder = match store::random_id() {
        Ok(holder) => holder,
        Err(e) => return tracing::error!("nothing is judged again: {e}"),
    };
    let mut changes = app.basis.follow();
    let mut pass = Pass { app: app.clone(), holder, failed: HashMap::new(), renewed: None };
    while !*stop.borrow() {
        changes.borrow_and_update();
        match pass.round(&mut stop).await {
            Ok(0) => {}
            Ok(hosts) => tracing::info!(hosts, "judged again"),
            Err(e) => tracing::error!("judging again was broken off and goes on later: {e}"),
        }
        tokio::select! {
            () = sleep(LOOK_EVERY) => {}
            changed = changes.changed() => if changed.is_err() { break },
            _ = stop.changed() => {}
        }
    }
    if pass.renewed.is_some()
        && let Err(e) = app.store.release(LEASE, &pass.holder).await
    {
        tracing::warn!("the lease on judging again was not given back, it runs out by itself: {e}");
    }
}

/// Judges every host of a store again that is due at `now`, without yielding to anybody; how many. For one that serves nobody.
pub async fn all(store: &Store, basis: &Arc<Basis>, now: i64) -> Result<u64, StoreError> {
    let (mut after, mut done) = (None, 0);
    loop {
        let page = store.hosts_to_judge(&basis.digest, now - now.rem_euclid(DAY), after.as_ref(), PAGE).await?;
        let Some(last) = page.last() else { return Ok(done) };
        after = Some(*last);
        for host in page {
            done += u64::from(one(store, basis, &host, now).await?);
        }
    }
}

struct Pass {
    app: Arc<App>,
    holder: RandomId,
    /// Hosts that could not be judged, by what and on which day: not tried again before either changes.
    failed: HashMap<HostId, (Digest, i64)>,
    renewed: Option<Instant>,
}

impl Pass {
    /// Judges what is due; how many hosts.
    async fn round(&mut self, stop: &mut watch::Receiver<bool>) -> Result<u64, StoreError> {
        let app = self.app.clone();
        let basis = app.basis.now();
        let (mut after, mut done) = (None, 0);
        loop {
            let now = clock::unix_now();
            let today = now - now.rem_euclid(DAY);
            let page = app.store.hosts_to_judge(&basis.digest, today, after.as_ref(), PAGE).await?;
            let Some(last) = page.last() else { return Ok(done) };
            after = Some(*last);
            for host in page {
                if *stop.borrow() || app.basis.now().digest != basis.digest || !self.leads().await? {
                    return Ok(done);
                }
                if self.failed.get(&host) == Some(&(basis.digest, today)) {
                    continue;
                }
                let _turn = self.turn().await?;
                match one(&app.store, &basis, &host, clock::unix_now()).await {
                    Ok(judged) => {
                        done += u64::from(judged);
                        app.metrics.judged_again.inc_by(u64::from(judged));
                    }
                    Err(e) => {
                        tracing::error!(host = %host, "not judged again, its verdicts stay as they are: {e}");
                        self.failed.insert(host, (basis.digest, today));
                    }
                }
            }
        }
    }

    async fn leads(&mut self) -> Result<bool, StoreError> {
        if self.renewed.is_none_or(|at| at.elapsed() >= RENEW) {
            self.renewed = self.app.store.lease(LEASE, &self.holder).await?.then(Instant::now);
        }
        Ok(self.renewed.is_some())
    }

    /// Reports go first: a turn is taken when none is being judged, or at last in the common queue, and never more than one.
    async fn turn(&self) -> Result<tokio::sync::OwnedSemaphorePermit, StoreError> {
        let judges = &self.app.limits.judges;
        let begun = Instant::now();
        while judges.available_permits() < JUDGES && begun.elapsed() < YIELD {
            sleep(YIELD_STEP).await;
        }
        judges.clone().acquire_owned().await.map_err(|e| StoreError::Database(e.to_string()))
    }
}

/// Judges one host again, if it is still due; whether it was.
async fn one(store: &Store, basis: &Arc<Basis>, host: &HostId, now: i64) -> Result<bool, StoreError> {
    for _ in 0..TRIES {
        let noted = store.judged(host).await?;
        let cause = Cause::of(store, basis, noted).await?;
        let standing = store.standing(host, &basis.needs).await?;
        let mut laid = Vec::new();
        // Of each kind, what the newest report that looked at it says, and when that ended.
        let mut newest: HashMap<Kind, (i64, Digest, Extract)> = HashMap::new();
        for (report, rules) in &standing.judging {
            let asked: BTreeSet<String> = rules.iter().filter(|rule| !cause.is_time_alone || basis.is_moved_by_time(rule)).cloned().collect();
            if asked.is_empty() && cause.is_time_alone {
                continue;
            }
            let (row, frames) = store.facts(report).await?;
            let (basis, own) = (basis.clone(), asked.clone());
            let (finished, takes_out) = (row.times.finished, !cause.is_time_alone);
            let judged = tokio::task::spawn_blocking(move || -> Result<(Vec<Finding>, Vec<Extract>), StoreError> {
                let mut plains = judge::Plains::new();
                for (address, frame) in frames {
                    plains.insert(address, blob::inflate(&frame).map_err(|e| StoreError::Damaged(format!("blob {address}: {e}")))?);
                }
                let observation = judge::observation(&row, &plains);
                let advisories = judge::advisories(&basis, &observation);
                let kept = if takes_out { kept::extract(&basis, &row, &observation, advisories.as_ref(), &[], finished) } else { Vec::new() };
                Ok((judge::again(&basis, observation, advisories.as_ref(), now, &own), kept))
            });
            let (findings, kept) = judged.await.map_err(|e| StoreError::Database(e.to_string()))??;
            for extract in kept {
                if newest.get(&extract.kind).is_none_or(|(known, _, _)| *known < finished) {
                    newest.insert(extract.kind, (finished, *report, extract));
                }
            }
            laid.push(Laid { report: *report, findings, rules: asked });
        }
        let (basis_of, is_worded) = (basis.clone(), cause.changes_words());
        let again = Again {
            host: *host,
            basis: basis.digest,
            now,
            standing,
            laid,
            kept: newest.into_values().map(|(_, report, extract)| (report, extract)).collect(),
            ends_others: !cause.is_time_alone,
            origin: Box::new(move |rule| cause.origin(basis_of.is_moved_by_time(rule))),
            alike: {
                let basis = basis.clone();
                Box::new(move |old, new| is_alike(old, new, !is_worded && basis.is_moved_by_time(&new.rule)))
            },
        };
        match store.judge_again(again, &basis.needs).await? {
            Rejudged::Done => return Ok(true),
            Rejudged::Gone => return Ok(false),
            // A report came meanwhile: its facts are the latest now.
            Rejudged::Stale => {}
        }
    }
    // A host that reports all the time is judged all the time.
    Ok(false)
}

/// Whether a verdict goes on. The words of a rule that time moves tell days: of the same verdict they wait for the next report, or every day would
/// begin a span.
fn is_alike(old: &Finding, new: &Finding, words_may_differ: bool) -> bool {
    let reason = |f: &Finding| f.reason.as_ref().map(|r| (r.kind.clone(), r.id.clone()));
    if words_may_differ {
        return old.verdict == new.verdict && old.severity == new.severity && reason(old) == reason(new);
    }
    store::is_same(old, new)
}

/// Why a host is judged again.
#[derive(Clone, Debug)]
struct Cause {
    changed: Vec<&'static str>,
    is_time_alone: bool,
}

impl Cause {
    async fn of(store: &Store, basis: &Basis, noted: Option<(Digest, i64)>) -> Result<Self, StoreError> {
        let upgrade = || Self { changed: vec![origin::UPGRADE], is_time_alone: false };
        let Some((digest, _)) = noted else { return Ok(upgrade()) };
        if digest == basis.digest {
            return Ok(Self { changed: Vec::new(), is_time_alone: true });
        }
        let old: Option<Parts> = store.basis(&digest).await?.and_then(|body| serde_json::from_slice(&body).ok());
        Ok(old.map_or_else(upgrade, |old| Self { changed: basis.parts.differing(&old), is_time_alone: false }))
    }

    /// Whether words may differ for another reason than the days they tell.
    fn changes_words(&self) -> bool {
        self.changed.iter().any(|c| matches!(*c, "rules" | "program" | "policy"))
    }

    /// What is noted beside a verdict: everything that may have brought it.
    fn origin(&self, is_moved_by_time: bool) -> String {
        let mut causes = self.changed.clone();
        if is_moved_by_time {
            causes.push(origin::TIME);
        }
        causes.join(",")
    }
}
