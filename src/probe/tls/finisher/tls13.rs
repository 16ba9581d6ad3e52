//! TLS 1.3 (RFC 8446) up to the first application data.

use std::sync::{Arc, Mutex};

use super::super::client_hello::{Offer, TLS13};
use super::super::key_share::Share;
use super::super::record::{ALERT, CHANGE, HANDSHAKE, Keys, Notes, Tunnel, plain};
use super::super::registry;
use super::super::schedule::{Cipher, Hash, derive, expand_label, extract, finished};
use super::super::server_reply::{CHAIN_LIMIT, Hello, Reply, alert_name, extensions, staple};
use super::{Handshake, Inside, Messages, Shown, ask, record};
use crate::probe::dial::{Connection, Stop};
use crate::probe::reader::Reader;

/// Groups for which a key is sent unasked: what nearly every server takes.
const UNASKED: [u16; 2] = [0x001d, 0x0017];

pub async fn shake(mut connection: Connection, mut offer: Offer) -> Handshake {
    let mut shares: Vec<Share> = UNASKED.into_iter().filter(|g| offer.groups.contains(g)).filter_map(Share::of).collect();
    offer.shares = shares.iter().map(|s| (s.group, s.public.clone())).collect();
    let (reply, head) = ask(&mut connection, &offer.bytes()).await;
    let mut handshake = Handshake { reply, head, shown: None, problem: None, inside: None };
    let Reply::Hello(hello) = &handshake.reply else {
        return handshake;
    };
    if hello.version != TLS13 {
        return handshake;
    }
    let mut hello = hello.as_ref().clone();
    let mut transcript = offer.message();
    if hello.is_retry {
        match again(&mut connection, &mut offer, &hello, &mut transcript).await {
            Ok((second, share)) => (hello, shares) = (second, vec![share]),
            Err(problem) => {
                handshake.shown = Some(Shown { hello, ..Shown::default() });
                handshake.problem = Some(problem);
                return handshake;
            }
        }
    }
    transcript.extend_from_slice(&hello.transcript);
    let mut shown = Shown { hello, ..Shown::default() };
    match finish(connection, shares, transcript, &mut shown).await {
        Ok(inside) => handshake.inside = Some(inside),
        Err(problem) => handshake.problem = Some(problem),
    }
    handshake.shown = Some(shown);
    handshake
}

/// The second hello, with a key of the group that the server asked for.
async fn again(connection: &mut Connection, offer: &mut Offer, retry: &Hello, transcript: &mut Vec<u8>) -> Result<(Hello, Share), String> {
    let group = retry.group().ok_or("the server asks for another hello and names no group")?;
    let hash = Cipher::of(retry.suite).map_or(Hash::Sha256, |c| c.hash);
    let share = Share::of(group).ok_or_else(|| format!("group {} can't be computed here", registry::group(group)))?;
    // RFC 8446 section 4.4.1: the first hello counts as its hash.
    let first = hash.digest(transcript);
    *transcript = [&[254, 0, 0, u8::try_from(first.len()).unwrap_or(0)][..], &first, &retry.transcript].concat();
    offer.shares = vec![(share.group, share.public.clone())];
    offer.cookie = retry.extension(44).and_then(|v| Reader::new(v).vector16().map(<[u8]>::to_vec));
    transcript.extend_from_slice(&offer.message());
    match ask(connection, &[plain(CHANGE, &[1]), plain(HANDSHAKE, &offer.message())].concat()).await.0 {
        Reply::Hello(hello) if hello.version == TLS13 && !hello.is_retry => Ok((*hello, share)),
        Reply::Alert(description) => Err(format!("second hello: {}", alert_name(description))),
        other => Err(format!("second hello answered by {other:?}").chars().take(120).collect()),
    }
}

/// Traffic secrets of one handshake.
struct Secrets {
    hash: Hash,
    handshake: Vec<u8>,
    client: Vec<u8>,
    server: Vec<u8>,
}

async fn finish(mut connection: Connection, shares: Vec<Share>, mut transcript: Vec<u8>, shown: &mut Shown) -> Result<Inside, String> {
    let suite = shown.hello.suite;
    let cipher = Cipher::of(suite).ok_or_else(|| format!("suite {} can't be finished here", registry::suite(suite)))?;
    let secrets = agree(shares, cipher.hash, &transcript, &shown.hello)?;
    let keys = |secret: &[u8]| {
        let key = expand_label(cipher.hash, secret, "key", &[], cipher.aead.key_len());
        Keys::new(cipher, &key, &expand_label(cipher.hash, secret, "iv", &[], 12), true).ok_or("no keys")
    };
    let mut from_server = keys(&secrets.server)?;
    hear(&mut connection, &mut from_server, &mut transcript, shown).await?;
    // RFC 8446 section 7.1: the application secrets end with the server's Finished.
    let master = extract(secrets.hash, &derive(secrets.hash, &secrets.handshake, "derived", b""), &vec![0; secrets.hash.length()]);
    let client = derive(secrets.hash, &master, "c ap traffic", &transcript);
    let server = derive(secrets.hash, &master, "s ap traffic", &transcript);
    let mut to_server = keys(&secrets.client)?;
    let mut answer = plain(CHANGE, &[1]);
    if shown.hello.client_certificate_requested == Some(true) {
        // An empty list: nothing of ours is shown.
        let none = [11, 0, 0, 4, 0, 0, 0, 0];
        transcript.extend_from_slice(&none);
        answer.extend(to_server.seal(HANDSHAKE, &none).ok_or("no record")?);
    }
    let proof = finished(secrets.hash, &secrets.client, &transcript);
    let message = [&[20, 0, 0, u8::try_from(proof.len()).unwrap_or(0)][..], &proof].concat();
    answer.extend(to_server.seal(HANDSHAKE, &message).ok_or("no record")?);
    connection.send(&answer).await.map_err(|stop| format!("Finished: {stop}"))?;
    let notes = Arc::new(Mutex::new(Notes::default()));
    let connection = {
        let (read, write, notes) = (keys(&server)?, keys(&client)?, notes.clone());
        connection.within(|stream, raw| Box::new(Tunnel::new(stream, raw, read, write, notes)))
    };
    Ok(Inside { connection, notes })
}

fn agree(shares: Vec<Share>, hash: Hash, transcript: &[u8], hello: &Hello) -> Result<Secrets, String> {
    let mut value = Reader::new(hello.extension(51).ok_or("ServerHello without a key share")?);
    let (group, key) = value.u16().zip(value.vector16()).ok_or("malformed key share")?;
    let share = shares.into_iter().find(|s| s.group == group).ok_or_else(|| format!("key share of group {}, which was not offered", registry::group(group)))?;
    let shared = share.agree(key).ok_or("the server's key share is no key")?;
    let zeros = vec![0; hash.length()];
    let early = extract(hash, &zeros, &zeros);
    let handshake = extract(hash, &derive(hash, &early, "derived", b""), &shared);
    let (client, server) = (derive(hash, &handshake, "c hs traffic", transcript), derive(hash, &handshake, "s hs traffic", transcript));
    Ok(Secrets { hash, handshake, client, server })
}

/// The server's encrypted messages up to its Finished.
async fn hear(connection: &mut Connection, keys: &mut Keys, transcript: &mut Vec<u8>, shown: &mut Shown) -> Result<(), String> {
    let mut messages = Messages::default();
    loop {
        let (kind, body) = record(connection).await.map_err(|stop| unfinished(stop, shown))?;
        let (kind, plain) = match kind {
            CHANGE => continue,
            // Alerts before the keys were changed are in clear.
            ALERT if body.len() == 2 => (ALERT, body),
            kind => keys.open(kind, &body).ok_or("a record of the server can't be decrypted")?,
        };
        match kind {
            HANDSHAKE => messages.feed(&plain),
            ALERT => return Err(plain.get(1).map_or_else(|| "an empty alert".into(), |d| alert_name(*d))),
            other => return Err(format!("record type {other} before Finished")),
        }
        while let Some((kind, message)) = messages.next() {
            transcript.extend_from_slice(&message);
            if take(kind, message.get(4..).unwrap_or_default(), shown) {
                return Ok(());
            }
        }
    }
}

fn unfinished(stop: Stop, shown: &Shown) -> String {
    let part = if shown.hello.chain.is_empty() { "Certificate" } else { "Finished" };
    format!("waiting for {part}: {stop}")
}

/// Takes one message; whether it was the last.
fn take(kind: u8, body: &[u8], shown: &mut Shown) -> bool {
    let hello = &mut shown.hello;
    let mut r = Reader::new(body);
    match kind {
        // EncryptedExtensions.
        8 => hello.extensions.extend(r.vector16().map(extensions).unwrap_or_default()),
        11 => certificate(hello, body).unwrap_or_default(),
        13 => hello.client_certificate_requested = Some(true),
        15 => hello.scheme = r.u16(),
        20 => {
            hello.client_certificate_requested.get_or_insert(false);
            return true;
        }
        _ => {}
    }
    false
}

/// Certificate (RFC 8446 section 4.4.2): each entry has extensions of its own, of which the leaf's count.
fn certificate(hello: &mut Hello, body: &[u8]) -> Option<()> {
    let mut r = Reader::new(body);
    let context = r.u8()?;
    r.take(usize::from(context))?;
    let mut list = Reader::new(r.vector24()?);
    while !list.is_empty() && hello.chain.len() < CHAIN_LIMIT {
        let der = list.vector24()?.to_vec();
        let own = extensions(list.vector16()?);
        if hello.chain.is_empty() {
            hello.staple = own.iter().find(|e| e.0 == 5).and_then(|e| staple(&e.1));
            hello.extensions.extend(own.into_iter().filter(|e| e.0 == 18));
        }
        hello.chain.push(der);
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::super::super::client_hello::vector;
    use super::*;

    #[test]
    fn a_certificate_message_is_read_with_the_extensions_of_its_leaf() {
        let status = [&[0, 5][..], &vector(&[1, 0, 0, 2, 7, 7])].concat();
        let stamps = [&[0, 18][..], &vector(&[9])].concat();
        let entry = |der: &[u8], extensions: &[u8]| [&[0][..], &vector(der), &vector(extensions)].concat();
        let list = [entry(&[1, 2, 3], &[status, stamps].concat()), entry(&[4], &[])].concat();
        let body = [&[0, 0][..], &vector(&list)].concat();
        let mut hello = Hello::default();
        assert_eq!(certificate(&mut hello, &body), Some(()));
        assert_eq!(hello.chain, [vec![1, 2, 3], vec![4]]);
        assert_eq!((hello.staple, hello.extensions), (Some(vec![7, 7]), vec![(18, vec![9])]));
        for cut in 0..body.len() {
            assert_eq!(certificate(&mut Hello::default(), &body[..cut]), None);
        }
    }
}
