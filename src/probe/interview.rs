//! The questions to one endpoint: the likely one first, a few at a time, and one at a time where the
//! endpoint does not bear more.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::task::{AbortHandle, Id, JoinSet};
use tokio::time::{Instant, sleep_until};

use super::dial::{Connection, Dialer, Ear, Stop};
use super::pace::Pace;
use super::service::{self, Asked, PROTOCOLS, Protocol, Seen};

/// Most questions put at the same time.
const AT_ONCE: usize = 3;
/// Share of the time left that questions may use together; the rest is for a late greeting.
const QUESTIONS_SHARE: (u32, u32) = (4, 5);
/// Time for a greeting before the first question where the server usually speaks first.
const GREETED_HEAD_START: Duration = Duration::from_secs(2);
/// Time between two clients of an endpoint that lets in few at a time, and before the one that
/// shows whether it does: it may need a moment to see that the last one has gone.
const PAUSE: Duration = Duration::from_millis(30);
const LONG_PAUSE: Duration = Duration::from_millis(100);
/// What is asked again, one after the other, of an endpoint that answered nothing: common, and its
/// servers may be slow, or wait behind an earlier client.
const SECOND_ROUND: &[&str] = &["http", "redis", "tls"];
/// Time for an answer to a question that is put a second time.
const SECOND_PATIENCE: Duration = Duration::from_secs(1);
/// Questions after which a server that hung up unasked is believed.
const CLOSED_ENOUGH: usize = 3;

/// Parts of the time of an ordinary question.
const USUAL_WEIGHT: u32 = 2;

/// How an interview ended.
pub enum Verdict {
    /// It is this.
    Found(Box<Seen>),
    /// It spoke first on the connection that was left alone.
    Greeting(Connection, Vec<u8>),
    /// An answer was the greeting of a server that speaks first.
    Greets,
    /// Every answer was the same, so it may be a greeting.
    Repeats(Vec<u8>),
    /// The longest answer, of no known protocol.
    Answered(Vec<u8>),
    /// An answer began and did not end.
    Incomplete,
    /// It hung up on each question.
    Closed,
    /// It hung up on connections that said nothing.
    ClosedUnasked,
    /// It said nothing.
    Silent,
}

enum Event {
    Greeting(Result<(Connection, Vec<u8>), Stop>),
    Answer(Asked),
}

/// A question that waits for its answer.
struct Open {
    id: Id,
    task: AbortHandle,
    protocol: &'static Protocol,
    ear: Ear,
    began: Instant,
    expires: Instant,
}

/// One endpoint, and what was asked so far.
pub struct Interview<'a> {
    /// A connection on which nothing was said yet.
    pub ready: Option<Connection>,
    /// The server hung up on a connection that said nothing.
    pub closes_unasked: bool,
    likely: Option<&'static str>,
    dialer: &'a Dialer,
    pace: Pace,
    at_once: usize,
    until: Instant,
    next_start: Instant,
    waiting: VecDeque<&'static Protocol>,
    asked_again: Vec<&'static str>,
    room: Room,
    left_at: Option<Instant>,
    unheard: Vec<&'static Protocol>,
    silent: Vec<&'static Protocol>,
    closed: Vec<&'static Protocol>,
    second_round: bool,
    running: JoinSet<Event>,
    open: Vec<Open>,
    listener: Option<Id>,
    fallback: Option<Box<Seen>>,
    best: Best,
}

/// How many clients the endpoint bears.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Room {
    Unknown,
    /// It hung up on this protocol's question while there was another client; the question is put again, alone.
    Doubted(&'static str),
    /// It hung up for want of room.
    Narrow,
    /// It hung up on what was said.
    Wide,
}

/// What is known while no question was answered in its own protocol.
#[derive(Default)]
struct Best {
    answer: Option<Vec<u8>>,
    answers: usize,
    are_the_same: bool,
    incomplete: bool,
    closed: usize,
}

impl<'a> Interview<'a> {
    /// Every question, in the order of [`PROTOCOLS`].
    pub fn new(dialer: &'a Dialer, pace: Pace) -> Self {
        let now = Instant::now();
        Self {
            ready: None,
            closes_unasked: false,
            likely: None,
            dialer,
            pace,
            // One place is left for questions that need a second connection.
            at_once: dialer.limits.per_target.saturating_sub(1).clamp(1, AT_ONCE),
            until: now + dialer.left() * QUESTIONS_SHARE.0 / QUESTIONS_SHARE.1,
            next_start: now,
            waiting: PROTOCOLS.iter().filter(|p| p.ask.is_some() && (!p.at_home_only || p.is_at_home(dialer))).collect(),
            asked_again: Vec::new(),
            room: Room::Unknown,
            left_at: None,
            unheard: Vec::new(),
            silent: Vec::new(),
            closed: Vec::new(),
            second_round: false,
            running: JoinSet::new(),
            open: Vec::new(),
            listener: None,
            fallback: None,
            best: Best { are_the_same: true, ..Best::default() },
        }
    }

    /// Puts the question of the protocol first that the endpoint is likely of.
    pub fn expect(&mut self, protocol: &'static Protocol) {
        self.likely = Some(protocol.name);
        self.prefer(protocol);
    }

    /// Puts the question of this protocol next, if it was not put yet.
    fn prefer(&mut self, protocol: &Protocol) {
        if let Some(at) = self.waiting.iter().position(|p| p.name == protocol.name)
            && let Some(protocol) = self.waiting.remove(at)
        {
            self.waiting.push_front(protocol);
        }
    }

    /// Leaves this connection alone and waits for a greeting there, for a while before the first question.
    pub fn listen(&mut self, mut connection: Connection) {
        let wait = self.until.saturating_duration_since(Instant::now());
        self.next_start = Instant::now() + GREETED_HEAD_START.min(wait / 3);
        let listening = async move { Event::Greeting(connection.greeting(wait, service::is_complete).await.map(|first| (connection, first))) };
        self.listener = Some(self.running.spawn(listening).id());
    }

    /// Asks until something is found or nothing is left to ask.
    pub async fn run(mut self) -> Verdict {
        let verdict = loop {
            self.start();
            if self.running.is_empty() && self.waiting.is_empty() && !self.ask_again() {
                break self.nothing_found();
            }
            let wake = self.wake();
            let event = tokio::select! {
                joined = self.running.join_next_with_id(), if !self.running.is_empty() => joined,
                () = sleep_until(wake) => None,
            };
            let told = match event {
                Some(Ok((id, Event::Answer(asked)))) => self.answer(id, asked),
                Some(Ok((_, Event::Greeting(greeting)))) => self.greeting(greeting),
                Some(Err(e)) if e.is_panic() => std::panic::resume_unwind(e.into_panic()),
                // A question that was given up has let go of its connection.
                Some(Err(_)) => None,
                None => self.expire(),
            };
            if let Some(verdict) = told {
                break verdict;
            }
        };
        // Every connection is closed before others are opened.
        self.running.shutdown().await;
        verdict
    }

    /// Starts what may start now.
    fn start(&mut self) {
        if Instant::now() >= self.until {
            self.waiting.clear();
        }
        while Instant::now() >= self.next_start && self.has_room() {
            let Some(protocol) = self.waiting.pop_front() else { return };
            let Some(question) = protocol.ask else { continue };
            let (ear, began) = (Ear::default(), Instant::now());
            let dialer = self.dialer.of_question(self.ready.take(), ear.clone());
            let expires = began + self.patience(protocol);
            let task = self.running.spawn(async move { Event::Answer(question(&dialer).await) });
            self.open.push(Open { id: task.id(), task, protocol, ear, began, expires });
            // The likely question is given the time of a slow answer before others keep it company.
            let is_likely = self.likely.take_if(|name| *name == protocol.name).is_some();
            self.next_start = began + if is_likely { self.pace.least() } else { self.pace.stagger() };
        }
    }

    /// One more round for an endpoint that never said a word: of what is common and it was silent on, and
    /// of what it hung up on, with time between the clients.
    fn ask_again(&mut self) -> bool {
        let heard = self.best.answers > 0 || self.best.incomplete || self.fallback.is_some();
        if heard || std::mem::replace(&mut self.second_round, true) || Instant::now() >= self.until {
            return false;
        }
        self.room = Room::Narrow;
        let silent = self.silent.drain(..).filter(|p| SECOND_ROUND.contains(&p.name));
        let again: Vec<_> = silent.chain(self.closed.drain(..)).filter(|p| !self.asked_again.contains(&p.name)).collect();
        self.next_start = Instant::now() + LONG_PAUSE;
        self.asked_again.extend(again.iter().map(|p| p.name));
        self.waiting.extend(again);
        !self.waiting.is_empty()
    }

    fn has_room(&self) -> bool {
        let listening = usize::from(self.listener.is_some());
        match self.room {
            Room::Doubted(_) | Room::Narrow => self.running.is_empty(),
            Room::Unknown | Room::Wide => self.running.len() - listening < self.at_once,
        }
    }

    /// Time for the answer to this question to begin: as the endpoint answered before, else a part of
    /// the time that is left for all of them.
    fn patience(&self, protocol: &Protocol) -> Duration {
        let left = self.until.saturating_duration_since(Instant::now());
        let mut usual = self.pace.patience().unwrap_or_else(|| {
            let parts: u32 = self.waiting.iter().map(|p| weight(p)).sum::<u32>() + weight(protocol);
            let at_once = u32::try_from(if self.room == Room::Narrow { 1 } else { self.at_once }).unwrap_or(1);
            let share = left * at_once * weight(protocol) / parts.max(1);
            share.min(self.pace.first() * weight(protocol) / USUAL_WEIGHT).max(self.pace.least())
        });
        if self.asked_again.contains(&protocol.name) {
            usual = usual.max(SECOND_PATIENCE);
        }
        usual.min(self.dialer.limits.answer_timeout).min(left)
    }

    /// When something has to be done though nothing was heard.
    fn wake(&self) -> Instant {
        let expires = self.open.iter().filter(|o| o.ear.heard().is_none()).map(|o| o.expires).min();
        let starts = (!self.waiting.is_empty() && self.has_room()).then_some(self.next_start);
        expires.into_iter().chain(starts).min().unwrap_or(self.dialer.deadline).min(self.dialer.deadline)
    }

    /// Gives up questions whose answer did not begin in time. Those that remain may have waited
    /// behind them at a server that serves one client after the other, so they get some more.
    fn expire(&mut self) -> Option<Verdict> {
        let now = Instant::now();
        if now >= self.dialer.deadline {
            self.waiting.clear();
            self.open.iter().for_each(|o| o.task.abort());
            self.open.clear();
            return Some(self.nothing_found());
        }
        let (given_up, kept): (Vec<Open>, Vec<Open>) = self.open.drain(..).partition(|o| o.ear.heard().is_none() && o.expires <= now);
        self.open = kept;
        if !given_up.is_empty() {
            let more = now + self.pace.patience().unwrap_or_default().max(self.pace.least());
            self.open.iter_mut().for_each(|o| o.expires = o.expires.max(more));
        }
        let mut told = None;
        for open in given_up {
            open.task.abort();
            self.left(open.protocol);
            self.unheard.push(open.protocol);
            self.silent.push(open.protocol);
            told = told.or_else(|| self.settled(open.protocol));
        }
        told
    }

    fn greeting(&mut self, greeting: Result<(Connection, Vec<u8>), Stop>) -> Option<Verdict> {
        self.listener = None;
        match greeting {
            Ok((connection, first)) => return Some(Verdict::Greeting(connection, first)),
            Err(Stop::Closed) => self.closes_unasked = true,
            Err(Stop::Incomplete) => return Some(Verdict::Incomplete),
            Err(Stop::Silent | Stop::Limit | Stop::Malformed) => {}
        }
        None
    }

    fn answer(&mut self, id: Id, asked: Asked) -> Option<Verdict> {
        let at = self.open.iter().position(|o| o.id == id)?;
        let open = self.open.remove(at);
        let in_company = !self.running.is_empty();
        if let Some(began) = open.ear.heard().or_else(|| (asked == Asked::Closed).then(Instant::now)) {
            self.pace.answered(began.saturating_duration_since(open.began));
            self.hurry();
        }
        match asked {
            Asked::Found(seen) => return self.found(seen),
            Asked::Answered(bytes) => {
                self.left(open.protocol);
                return self.answered(open.protocol, bytes);
            }
            Asked::Incomplete => self.best.incomplete = true,
            Asked::Closed | Asked::NoConnection => return self.closed(open.protocol, in_company),
            Asked::Silent => self.unheard.push(open.protocol),
        }
        self.left(open.protocol);
        self.settled(open.protocol)
    }

    /// Hung up on a question: for what it says, or because there was another client a moment ago?
    fn closed(&mut self, protocol: &'static Protocol, in_company: bool) -> Option<Verdict> {
        let now = Instant::now();
        let lately = self.left_at.is_some_and(|at| now.saturating_duration_since(at) < LONG_PAUSE);
        match self.room {
            Room::Unknown if in_company || lately => {
                self.room = Room::Doubted(protocol.name);
                self.asked_again.push(protocol.name);
                self.waiting.push_front(protocol);
                self.next_start = now + LONG_PAUSE;
                return None;
            }
            Room::Narrow if !self.asked_again.contains(&protocol.name) => {
                self.asked_again.push(protocol.name);
                self.waiting.push_back(protocol);
                self.next_start = now + LONG_PAUSE;
                return None;
            }
            Room::Doubted(name) if name == protocol.name => self.room = Room::Wide,
            Room::Doubted(_) => {
                // It was put beside the one in doubt.
                self.asked_again.push(protocol.name);
                self.waiting.push_back(protocol);
                self.next_start = now + LONG_PAUSE;
                return None;
            }
            Room::Unknown | Room::Narrow | Room::Wide => {}
        }
        self.unheard.push(protocol);
        self.closed.push(protocol);
        self.best.closed += 1;
        if self.room == Room::Narrow {
            self.next_start = now + LONG_PAUSE;
        }
        if self.closes_unasked && self.best.closed >= CLOSED_ENOUGH && self.best.answers == 0 {
            return Some(Verdict::ClosedUnasked);
        }
        self.settled(protocol)
    }

    /// We hung up after an answer, or because none came.
    fn left(&mut self, protocol: &Protocol) {
        let now = Instant::now();
        self.left_at = Some(now);
        if self.room == Room::Doubted(protocol.name) {
            // Alone it was heard.
            self.room = Room::Narrow;
        }
        match self.room {
            Room::Doubted(_) => self.next_start = now + LONG_PAUSE,
            Room::Narrow => self.next_start = now + PAUSE,
            Room::Unknown | Room::Wide => {}
        }
    }

    /// The endpoint answers quickly: what waits for it needs no more time than that.
    fn hurry(&mut self) {
        let now = Instant::now();
        if matches!(self.room, Room::Unknown | Room::Wide) {
            self.next_start = self.next_start.min(now);
        }
        if let Some(patience) = self.pace.patience() {
            self.open.iter_mut().for_each(|o| o.expires = o.expires.min(now + patience));
        }
    }

    /// Web servers answer `400` to plain HTTP on a port of TLS.
    fn found(&mut self, seen: Box<Seen>) -> Option<Verdict> {
        let bad_request = seen.http.as_ref().is_some_and(|h| h.status == 400);
        let tls_is_open = self.waiting.iter().map(|p| p.name).chain(self.open.iter().map(|o| o.protocol.name)).any(|name| name == "tls");
        if bad_request && tls_is_open {
            self.prefer(&super::tls::PROTOCOL);
            self.fallback = Some(seen);
            return None;
        }
        Some(Verdict::Found(seen))
    }

    /// The answer to the question that stood between a finding and its confirmation has come.
    fn settled(&mut self, protocol: &Protocol) -> Option<Verdict> {
        (protocol.name == "tls").then(|| self.fallback.take()).flatten().map(Verdict::Found)
    }

    fn answered(&mut self, protocol: &Protocol, bytes: Vec<u8>) -> Option<Verdict> {
        if service::greeter(&bytes).is_some_and(Protocol::is_greeter) {
            // A connection on which nothing was asked hears it in full.
            self.waiting.clear();
            self.open.drain(..).for_each(|o| o.task.abort());
            return self.listener.is_none().then_some(Verdict::Greets);
        }
        if let Some(confirmed) = self.settled(protocol) {
            return Some(confirmed);
        }
        if let Some(hinted) = PROTOCOLS.iter().find(|p| p.hinted.is_some_and(|hinted| hinted(&bytes))) {
            // A question that was not heard deserves a second hearing now.
            if let Some(at) = self.unheard.iter().position(|p| p.name == hinted.name) {
                self.waiting.push_front(self.unheard.swap_remove(at));
                self.asked_again.push(hinted.name);
                self.room = Room::Narrow;
            }
            self.prefer(hinted);
        }
        self.best.answers += 1;
        self.best.are_the_same &= self.best.answer.as_ref().is_none_or(|earlier| *earlier == bytes);
        if self.best.answer.as_ref().is_none_or(|longest| longest.len() < bytes.len()) {
            self.best.answer = Some(bytes);
        }
        None
    }

    fn nothing_found(&mut self) -> Verdict {
        if let Some(fallback) = self.fallback.take() {
            return Verdict::Found(fallback);
        }
        match self.best.answer.take() {
            Some(bytes) if self.best.answers > 1 && self.best.are_the_same => Verdict::Repeats(bytes),
            Some(bytes) => Verdict::Answered(bytes),
            None if self.best.incomplete => Verdict::Incomplete,
            None if self.best.closed > 0 => Verdict::Closed,
            None => Verdict::Silent,
        }
    }
}

/// Parts of the time: web servers and TLS are common, and slow ones are, too.
fn weight(protocol: &Protocol) -> u32 {
    if matches!(protocol.name, "tls" | "http") { USUAL_WEIGHT * 3 / 2 } else { USUAL_WEIGHT }
}
