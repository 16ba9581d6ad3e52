//! Runs the jobs of a [`Plan`]: one connection each, a few at a time.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use tokio::task::{AbortHandle, Id, JoinSet};
use tokio::time::Instant;

use super::client_hello::{TLS12, TLS13};
use super::plan::{Answer, Depth, Finished, Job, Plan, Purpose, Question};
use super::server_reply::Reply;
use super::{defects, finisher};
use crate::probe::dial::{Connection, Dialer, Ear};
use crate::probe::service::http::Again;
use crate::probe::service::inside::inside;
use crate::probe::service::{Later, Seen, Upgrade};

/// Most connections that a narrow survey of one endpoint opens: six versions, one more to its end, and
/// the certificates of the other key and of no name; one more question inside TLS. Versions that are refused without a word
/// about the version, and what is not recognised inside TLS at once, cost a few more.
pub const CONNECTIONS: usize = 10;
/// Most connections of a full survey: a server that goes on choosing for ever is left.
pub const CONNECTIONS_FULL: usize = 400;

/// Asks one endpoint, until its time is up or somebody asks to stop: what was seen by then counts. The second half of a full
/// survey has a time of its own, so that a slow server can be told to its end and a tarpit holds nobody.
pub async fn survey(dialer: &Dialer, upgrade: Option<Upgrade>, depth: Depth) -> Plan {
    let mut plan = Plan::new(Question { depth, server_name: dialer.server_name.clone(), is_counted: upgrade.is_some_and(Upgrade::is_counted) });
    let mut run = Run::new();
    let mut dialer = dialer.clone();
    let mut is_second_half = false;
    loop {
        let jobs = plan.jobs();
        if plan.capabilities.is_some() && !is_second_half {
            is_second_half = true;
            dialer = dialer.afresh(dialer.limits.survey_deadline);
        }
        for job in jobs {
            run.add(job, &dialer, upgrade);
        }
        run.repeat(&dialer, upgrade);
        let patience = run.patience();
        tokio::select! {
            joined = run.running.join_next_with_id() => match joined {
                None => break,
                Some(Ok((id, Done { took, answer }))) => run.fold(&mut plan, id, took, answer),
                // A job that panicked is a defect of ours; the rest still counts.
                Some(Err(e)) if !e.is_cancelled() => plan.cut("asking failed inside assay"),
                Some(Err(_)) => {}
            },
            () = tokio::time::sleep_until(patience) => run.give_up(&mut plan),
            () = tokio::time::sleep_until(dialer.deadline) => {
                plan.cut("the endpoint's time was used up");
                break;
            }
            () = dialer.halt.asked() => {
                plan.cut("the survey was stopped");
                break;
            }
        }
        if run.opened > CONNECTIONS_FULL {
            plan.cut("the limit of connections to one endpoint was reached");
            break;
        }
    }
    plan
}

/// An endpoint that answered so many times is known for its pace.
const KNOWN: u32 = 3;
/// Least time for an answer of such an endpoint, and its share of the slowest answer before: whoever is silent for longer than
/// that, while others were answered, is taken for silent.
const LEAST: Duration = Duration::from_millis(1500);
const TIMES_SLOWEST: u32 = 8;
/// Without an end in sight.
const LONG: Duration = Duration::from_secs(24 * 3600);

/// Jobs under way.
struct Run {
    running: JoinSet<Done>,
    jobs: HashMap<Id, Running>,
    again: VecDeque<Job>,
    /// Whether the server was seen to answer only one connection at a time.
    is_alone: bool,
    opened: usize,
    answers: u32,
    slowest: Duration,
}

/// One of them.
struct Running {
    job: Job,
    since: Instant,
    had_company: bool,
    handle: AbortHandle,
    ear: Ear,
}

/// Its end.
struct Done {
    took: Duration,
    answer: Answer,
}

impl Run {
    fn new() -> Self {
        Self { running: JoinSet::new(), jobs: HashMap::new(), again: VecDeque::new(), is_alone: false, opened: 0, answers: 0, slowest: Duration::ZERO }
    }

    fn add(&mut self, job: Job, dialer: &Dialer, upgrade: Option<Upgrade>) {
        if self.is_alone && !self.jobs.is_empty() {
            self.again.push_back(job);
            return;
        }
        self.start(job, dialer, upgrade);
    }

    fn start(&mut self, job: Job, dialer: &Dialer, upgrade: Option<Upgrade>) {
        self.opened += 1;
        let ear = Ear::default();
        let (dialer, own, since) = (dialer.of_question(None, ear.clone()), job.clone(), Instant::now());
        let handle = self.running.spawn(async move {
            let answer = ask(&dialer, upgrade, &own).await;
            Done { took: since.elapsed(), answer }
        });
        let had_company = !self.jobs.is_empty();
        self.jobs.values_mut().for_each(|r| r.had_company = true);
        self.jobs.insert(handle.id(), Running { job, since, had_company, handle, ear });
    }

    /// What waits for its turn alone.
    fn repeat(&mut self, dialer: &Dialer, upgrade: Option<Upgrade>) {
        if self.jobs.is_empty()
            && let Some(job) = self.again.pop_front()
        {
            self.start(job, dialer, upgrade);
        }
    }

    /// When the oldest job that never heard a byte has waited for too long; the others have limits of their own.
    fn patience(&self) -> Instant {
        let oldest = self.jobs.values().filter(|r| r.ear.heard().is_none()).map(|r| r.since).min();
        match oldest.filter(|_| self.answers >= KNOWN) {
            Some(since) => since + self.longest(),
            None => Instant::now() + LONG,
        }
    }

    fn longest(&self) -> Duration {
        (self.slowest * TIMES_SLOWEST).max(LEAST)
    }

    /// Takes the oldest job for silent.
    fn give_up(&mut self, plan: &mut Plan) {
        // The one that was waited for may have heard something meanwhile; others began later.
        let is_late = |r: &Running| r.ear.heard().is_none() && r.since.elapsed() >= self.longest();
        let Some(id) = self.jobs.iter().filter(|(_, r)| is_late(r)).min_by_key(|(_, r)| r.since).map(|(id, _)| *id) else {
            return;
        };
        if let Some(running) = self.jobs.get(&id) {
            running.handle.abort();
            let (waited, slowest) = (running.since.elapsed().as_millis(), self.slowest.as_millis());
            let answer = Answer::Reply(Reply::Silent(format!("for {waited} ms, while other answers took {slowest} ms at most")), String::new());
            self.fold(plan, id, Duration::ZERO, answer);
        }
    }

    /// An answer that others at the same time may have caused is asked for again, alone. Lists do that by themselves.
    fn fold(&mut self, plan: &mut Plan, id: Id, took: Duration, answer: Answer) {
        let Some(Running { job, had_company, .. }) = self.jobs.remove(&id) else {
            return;
        };
        let is_doubtful = Plan::is_doubtful(&answer);
        if had_company && matches!(job.purpose, Purpose::Version(_)) && is_doubtful {
            self.again.push_back(job);
            return;
        }
        if !is_doubtful {
            self.answers += 1;
            self.slowest = self.slowest.max(took);
            // Refused among others and answered alone.
            self.is_alone |= !had_company && !self.again.is_empty() && matches!(job.purpose, Purpose::Version(_));
        }
        plan.take(&job, answer);
    }
}

async fn ask(dialer: &Dialer, upgrade: Option<Upgrade>, job: &Job) -> Answer {
    let mut connection = match dialer.connect().await {
        Ok(connection) => connection,
        Err(e) => return Answer::NoConnection(e),
    };
    if let Some(upgrade) = upgrade
        && let Err(stop) = upgrade.prepare(&mut connection).await
    {
        return Answer::NoUpgrade(stop);
    }
    let offer = job.offer.clone();
    match (job.purpose, offer.version) {
        (Purpose::Renegotiation, _) => Answer::Renegotiation(finisher::renegotiate(connection, offer).await),
        (Purpose::Heartbleed, _) => Answer::Defect(defects::heartbleed(connection, &offer).await),
        (Purpose::EarlyChange, _) => Answer::Defect(defects::early_change(connection, &offer).await),
        (Purpose::ChangeAndWarning, _) => Answer::Defect(defects::warning(connection, &offer, true).await),
        (Purpose::Warning, _) => Answer::Defect(defects::warning(connection, &offer, false).await),
        (Purpose::Version(_), TLS13) => finished(dialer, upgrade, connection, job, true).await,
        (Purpose::OtherKey | Purpose::NoName | Purpose::Scheme(_) | Purpose::Protocol, TLS13) => finished(dialer, upgrade, connection, job, false).await,
        (Purpose::Inside, TLS12) => finished(dialer, upgrade, connection, job, true).await,
        (Purpose::Session | Purpose::Ticket, TLS12) => finished(dialer, upgrade, connection, job, false).await,
        _ => {
            let (reply, head) = finisher::ask(&mut connection, &offer.bytes()).await;
            Answer::Reply(reply, head)
        }
    }
}

/// A handshake to its end and, if wanted, what is spoken inside it.
async fn finished(dialer: &Dialer, upgrade: Option<Upgrade>, connection: Connection, job: &Job, is_spoken: bool) -> Answer {
    let handshake = match job.offer.version {
        TLS13 => finisher::tls13(connection, job.offer.clone()).await,
        _ => finisher::tls12(connection, job.offer.clone()).await,
    };
    let shown = handshake.shown;
    let mut finished = Finished {
        reply: handshake.reply,
        head: handshake.head,
        ticket: shown.as_ref().and_then(|s| s.ticket.clone()),
        hello: shown.map(|s| s.hello),
        tickets: None,
        client_certificate_required: None,
        inner: None,
        problem: handshake.problem,
    };
    let was_asked = finished.hello.as_ref().and_then(|h| h.client_certificate_requested);
    let Some(inside) = handshake.inside else {
        // A server that ends the handshake because we showed no certificate requires one.
        let refused = finished.problem.as_deref().is_some_and(is_want_of_certificate);
        finished.client_certificate_required = (was_asked == Some(true) && refused).then_some(true);
        return Answer::Finished(Box::new(finished));
    };
    if is_spoken {
        let notes = inside.notes();
        let is_heard = upgrade.is_none() || was_asked == Some(true);
        let heard = if is_heard { speak(dialer, upgrade, inside.connection, job).await } else { None };
        let notes = finisher::read(&notes);
        finished.tickets = (job.offer.version == TLS13 && is_heard).then_some(notes.tickets);
        finished.client_certificate_required = match (was_asked, notes.alert, &heard) {
            (Some(false), _, _) => Some(false),
            (Some(true), Some(alert), _) if WANT_OF_CERTIFICATE.contains(&alert) => Some(true),
            // TLS 1.2 ends with the server's consent; in TLS 1.3 only what it says afterwards shows it.
            (Some(true), None, _) if job.offer.version < TLS13 || notes.tickets > 0 || heard.is_some() => Some(false),
            _ => None,
        };
        finished.inner = heard;
    } else {
        inside.connection.close().await;
    }
    Answer::Finished(Box::new(finished))
}

/// handshake_failure, bad_certificate, certificate_unknown, access_denied, certificate_required: what servers say
/// when a certificate is missing (RFC 8446 section 6.2, RFC 5246 section 7.4.6).
const WANT_OF_CERTIFICATE: [u8; 5] = [40, 42, 46, 49, 116];

fn is_want_of_certificate(problem: &str) -> bool {
    WANT_OF_CERTIFICATE.iter().any(|alert| super::server_reply::alert_name(*alert) == problem)
}

/// What is spoken inside: nothing is said after an upgrade, the protocol is known already.
async fn speak(dialer: &Dialer, upgrade: Option<Upgrade>, mut connection: Connection, job: &Job) -> Option<Seen> {
    if upgrade.is_some() {
        // A moment for a refusal of our empty certificate.
        let _ = connection.some_within(MOMENT).await;
        return None;
    }
    inside(dialer, connection, &Inside { dialer, job }).await
}

/// Opens connections inside TLS.
struct Inside<'a> {
    dialer: &'a Dialer,
    job: &'a Job,
}

impl Again for Inside<'_> {
    fn again(&self) -> Later<'_, Option<Connection>> {
        Box::pin(again(self.dialer, self.job))
    }
}

/// Another connection inside TLS.
async fn again(dialer: &Dialer, job: &Job) -> Option<Connection> {
    let connection = dialer.connect().await.ok()?;
    let handshake = match job.offer.version {
        TLS13 => finisher::tls13(connection, job.offer.clone()).await,
        _ => finisher::tls12(connection, job.offer.clone()).await,
    };
    handshake.inside.map(|i| i.connection)
}

/// Time for what a server says of itself after a handshake.
const MOMENT: Duration = Duration::from_millis(150);
