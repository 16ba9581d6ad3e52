//! TLS 1.2 (RFC 5246) with ECDHE (RFC 8422) and an AEAD: whether sessions resume, and whether a client may
//! begin another handshake inside the first.

use std::sync::{Arc, Mutex};

use super::super::client_hello::{Offer, TLS12, short_vector};
use super::super::key_share::Share;
use super::super::record::{ALERT, CHANGE, HANDSHAKE, Keys, Notes, Tunnel, plain};
use super::super::registry;
use super::super::schedule::{Cipher, FINISHED12, Hash, prf};
use super::super::server_reply::{Hello, KeyExchange, Reply, alert_name};
use super::{Handshake, Inside, Messages, Shown, ask, record};
use crate::probe::dial::{Connection, Stop};
use crate::probe::reader::Reader;

/// Groups whose keys are computed here.
const GROUPS: [u16; 8] = [0x001d, 0x0017, 0x0018, 0x0019, 22, 26, 27, 28];
/// Bytes of verify data (RFC 5246 section 7.4.9).
const VERIFY: usize = 12;

/// How a server took a second handshake that its client began.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Renegotiation {
    /// It answered with a ServerHello.
    Accepted,
    /// It refused: the alert, or that it hung up.
    Refused(String),
}

pub async fn shake(connection: Connection, offer: Offer) -> Handshake {
    let mut handshake = Handshake { reply: Reply::Closed, head: String::new(), shown: None, problem: None, inside: None };
    match established(connection, offer, &mut handshake).await {
        Ok(session) => {
            let notes = Arc::new(Mutex::new(Notes::default()));
            let Session { connection, read, write, .. } = session;
            let tunnel_notes = notes.clone();
            let connection = connection.within(|stream, raw| Box::new(Tunnel::new(stream, raw, read, write, tunnel_notes)));
            handshake.inside = Some(Inside { connection, notes });
        }
        Err(problem) => handshake.problem = Some(problem),
    }
    handshake
}

pub async fn renegotiate(connection: Connection, offer: Offer) -> Result<Renegotiation, String> {
    let mut handshake = Handshake { reply: Reply::Closed, head: String::new(), shown: None, problem: None, inside: None };
    let mut session = established(connection, offer.clone(), &mut handshake).await?;
    let is_secure = handshake.shown.as_ref().is_some_and(|s| s.hello.extension(0xff01).is_some());
    let renegotiation = if is_secure { session.verify.clone() } else { Vec::new() };
    let second = Offer { renegotiation, session_id: Vec::new(), ticket: None, ..Offer::of(TLS12, &offer.server_name) };
    let second = Offer { suites: offer.suites, ..second };
    let hello = session.write.seal(HANDSHAKE, &second.message()).ok_or("no record")?;
    session.connection.send(&hello).await.map_err(|stop| format!("second hello: {stop}"))?;
    loop {
        let (kind, body) = match record(&mut session.connection).await {
            Ok(record) => record,
            Err(Stop::Closed) => return Ok(Renegotiation::Refused("the connection was closed".into())),
            Err(stop) => return Err(format!("second hello: {stop}")),
        };
        match (kind, session.read.open(kind, &body)) {
            (HANDSHAKE, Some((_, message))) if message.first() == Some(&2) => return Ok(Renegotiation::Accepted),
            // HelloRequest and tickets are no answer.
            (HANDSHAKE, Some(_)) => {}
            (ALERT, Some((_, alert))) => return Ok(Renegotiation::Refused(alert.get(1).map_or_else(String::new, |d| alert_name(*d)))),
            (_, Some(_)) => {}
            (_, None) => return Err("a record of the server can't be decrypted".into()),
        }
    }
}

/// A finished handshake.
struct Session {
    connection: Connection,
    read: Keys,
    write: Keys,
    verify: Vec<u8>,
}

/// The secrets of a session.
struct Secrets {
    cipher: Cipher,
    master: Vec<u8>,
}

async fn established(mut connection: Connection, mut offer: Offer, handshake: &mut Handshake) -> Result<Session, String> {
    offer.suites.retain(|s| FINISHED12.contains(s));
    offer.groups.retain(|g| GROUPS.contains(g));
    let (reply, head) = ask(&mut connection, &offer.bytes()).await;
    handshake.head = head;
    handshake.reply = reply;
    let hello = match &handshake.reply {
        Reply::Hello(hello) if hello.version == TLS12 => hello.as_ref().clone(),
        Reply::Alert(description) => return Err(alert_name(*description)),
        _ => return Err("no ServerHello of TLS 1.2".into()),
    };
    let shown = handshake.shown.insert(Shown { hello: hello.clone(), ..Shown::default() });
    if !hello.is_done {
        return Err("the server's hello did not come to its end".into());
    }
    let cipher = Cipher::of(hello.suite).ok_or_else(|| format!("suite {} can't be finished here", registry::suite(hello.suite)))?;
    let mut transcript = [offer.message(), hello.transcript.clone()].concat();
    let mut answer = Vec::new();
    if hello.client_certificate_requested == Some(true) {
        // An empty list: nothing of ours is shown.
        answer.extend_from_slice(&[11, 0, 0, 3, 0, 0, 0]);
    }
    let (public, secret) = agree(&hello)?;
    let key = short_vector(&public);
    answer.extend_from_slice(&[&[16, 0, 0, u8::try_from(key.len()).unwrap_or(0)][..], &key].concat());
    transcript.extend_from_slice(&answer);
    let secrets = Secrets { cipher, master: master(cipher.hash, &secret, &offer, &hello, &transcript) };
    let (mut write, mut read) = keys(&secrets, &offer, &hello).ok_or("no keys")?;
    let verify = prf(cipher.hash, &secrets.master, "client finished", &cipher.hash.digest(&transcript), VERIFY);
    let message = [&[20, 0, 0, 12][..], &verify].concat();
    let sealed = write.seal(HANDSHAKE, &message).ok_or("no record")?;
    let flight = [plain(HANDSHAKE, &answer), plain(CHANGE, &[1]), sealed].concat();
    connection.send(&flight).await.map_err(|stop| format!("Finished: {stop}"))?;
    hear(&mut connection, &mut read, shown).await?;
    Ok(Session { connection, read, write, verify })
}

/// Our public key and the shared secret.
fn agree(hello: &Hello) -> Result<(Vec<u8>, Vec<u8>), String> {
    let Some(KeyExchange::Curve { group, point }) = &hello.key_exchange else {
        return Err("no elliptic curve in the key exchange".into());
    };
    let share = Share::of(*group).ok_or_else(|| format!("group {} can't be computed here", registry::group(*group)))?;
    let public = share.public.clone();
    let secret = share.agree(point).ok_or("the server's key is none")?;
    Ok((public, secret))
}

/// Master secret, extended (RFC 7627) where the server agreed.
fn master(hash: Hash, secret: &[u8], offer: &Offer, hello: &Hello, transcript: &[u8]) -> Vec<u8> {
    match hello.extension(23) {
        Some(_) => prf(hash, secret, "extended master secret", &hash.digest(transcript), 48),
        None => prf(hash, secret, "master secret", &[offer.random, hello.random].concat(), 48),
    }
}

/// Keys of client and server (RFC 5246 section 6.3).
fn keys(secrets: &Secrets, offer: &Offer, hello: &Hello) -> Option<(Keys, Keys)> {
    let cipher = secrets.cipher;
    let (key, iv) = (cipher.aead.key_len(), if cipher.has_explicit_nonce { 4 } else { 12 });
    let block = prf(cipher.hash, &secrets.master, "key expansion", &[hello.random, offer.random].concat(), 2 * (key + iv));
    let mut r = Reader::new(&block);
    let (client, server) = (r.take(key)?, r.take(key)?);
    Some((Keys::new(cipher, client, r.take(iv)?, false)?, Keys::new(cipher, server, r.take(iv)?, false)?))
}

/// The server's ticket, if it gives one, and its Finished.
async fn hear(connection: &mut Connection, keys: &mut Keys, shown: &mut Shown) -> Result<(), String> {
    let mut messages = Messages::default();
    let mut is_changed = false;
    loop {
        let (kind, body) = record(connection).await.map_err(|stop| format!("waiting for Finished: {stop}"))?;
        if kind == CHANGE {
            is_changed = true;
            continue;
        }
        let (kind, body) = match is_changed {
            true => keys.open(kind, &body).ok_or("a record of the server can't be decrypted")?,
            false => (kind, body),
        };
        match kind {
            ALERT => return Err(body.get(1).map_or_else(|| "an empty alert".into(), |d| alert_name(*d))),
            HANDSHAKE => messages.feed(&body),
            other => return Err(format!("record type {other} before Finished")),
        }
        while let Some((kind, message)) = messages.next() {
            match kind {
                // NewSessionTicket (RFC 5077): lifetime, ticket.
                4 => shown.ticket = message.get(8..).and_then(|m| Reader::new(m).vector16()).map(<[u8]>::to_vec),
                20 => return Ok(()),
                _ => {}
            }
        }
    }
}
