//! Protected records of TLS 1.2 (RFC 5288, RFC 7905) and TLS 1.3 (RFC 8446 section 5.2), and a stream over them.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};

use ring::aead::{Aad, LessSafeKey, Nonce, UnboundKey};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::schedule::Cipher;
use crate::probe::dial::Wire;
use crate::probe::reader::Reader;

/// Largest protected record, bytes (RFC 5246 section 6.2.3).
const RECORD_LIMIT: usize = (1 << 14) + 2048;
/// Most bytes put into one record.
const FRAGMENT: usize = 8192;
/// Application data.
pub const DATA: u8 = 23;
/// Handshake.
pub const HANDSHAKE: u8 = 22;
/// Alert.
pub const ALERT: u8 = 21;
/// Change cipher spec.
pub const CHANGE: u8 = 20;

/// Keys of one direction.
pub struct Keys {
    key: LessSafeKey,
    iv: [u8; 12],
    is_13: bool,
    has_explicit_nonce: bool,
    sequence: u64,
}

impl Keys {
    /// From key and initialisation vector (12 bytes, or 4 where a part of each nonce is sent).
    pub fn new(cipher: Cipher, key: &[u8], iv: &[u8], is_13: bool) -> Option<Self> {
        let mut whole = [0; 12];
        whole.get_mut(..iv.len())?.copy_from_slice(iv);
        let key = LessSafeKey::new(UnboundKey::new(cipher.aead, key).ok()?);
        Some(Self { key, iv: whole, is_13, has_explicit_nonce: !is_13 && cipher.has_explicit_nonce, sequence: 0 })
    }

    /// One whole record around `plain`.
    pub fn seal(&mut self, kind: u8, plain: &[u8]) -> Option<Vec<u8>> {
        let explicit = self.sequence.to_be_bytes();
        let mut body = plain.to_vec();
        let outer = if self.is_13 { DATA } else { kind };
        if self.is_13 {
            body.push(kind);
        }
        let length = u16::try_from(body.len() + self.key.algorithm().tag_len()).ok()?;
        let aad = if self.is_13 { header(outer, length).to_vec() } else { self.additional(kind, plain.len())? };
        let nonce = self.nonce(&explicit)?;
        self.key.seal_in_place_append_tag(nonce, Aad::from(aad), &mut body).ok()?;
        if self.has_explicit_nonce {
            body.splice(0..0, explicit);
        }
        self.sequence += 1;
        Some([&header(outer, u16::try_from(body.len()).ok()?)[..], &body].concat())
    }

    /// Type and content of a protected record; `None` when it was not made with these keys.
    pub fn open(&mut self, kind: u8, body: &[u8]) -> Option<(u8, Vec<u8>)> {
        let (explicit, protected) = match self.has_explicit_nonce {
            true => body.split_at_checked(8)?,
            false => (&[][..], body),
        };
        let mut plain = protected.to_vec();
        let length = plain.len().checked_sub(self.key.algorithm().tag_len())?;
        let aad = if self.is_13 { header(kind, u16::try_from(body.len()).ok()?).to_vec() } else { self.additional(kind, length)? };
        let nonce = self.nonce(explicit)?;
        let opened = self.key.open_in_place(nonce, Aad::from(aad), &mut plain).ok()?.len();
        plain.truncate(opened);
        self.sequence += 1;
        if !self.is_13 {
            return Some((kind, plain));
        }
        while plain.last() == Some(&0) {
            plain.pop();
        }
        let kind = plain.pop()?;
        Some((kind, plain))
    }

    fn nonce(&self, explicit: &[u8]) -> Option<Nonce> {
        let mut nonce = self.iv;
        if self.has_explicit_nonce {
            nonce.get_mut(4..)?.copy_from_slice(explicit);
        } else {
            for (byte, count) in nonce.iter_mut().skip(4).zip(self.sequence.to_be_bytes()) {
                *byte ^= count;
            }
        }
        Some(Nonce::assume_unique_for_key(nonce))
    }

    /// Additional data of TLS 1.2 (RFC 5246 section 6.2.3.3).
    fn additional(&self, kind: u8, length: usize) -> Option<Vec<u8>> {
        Some([&self.sequence.to_be_bytes()[..], &header(kind, u16::try_from(length).ok()?)].concat())
    }
}

/// Head of a record.
fn header(kind: u8, length: u16) -> [u8; 5] {
    let [high, low] = length.to_be_bytes();
    [kind, 3, 3, high, low]
}

/// An unprotected record.
pub fn plain(kind: u8, body: &[u8]) -> Vec<u8> {
    [&header(kind, u16::try_from(body.len()).unwrap_or(0))[..], body].concat()
}

/// What the server said beside application data.
#[derive(Clone, Debug, Default)]
pub struct Notes {
    /// Session tickets given after the handshake.
    pub tickets: u32,
    /// The first alert.
    pub alert: Option<u8>,
}

/// A byte stream inside TLS.
pub struct Tunnel {
    stream: Box<dyn Wire>,
    read: Keys,
    write: Keys,
    raw: Vec<u8>,
    ready: Vec<u8>,
    unsent: Vec<u8>,
    is_ended: bool,
    is_closed: bool,
    notes: Arc<Mutex<Notes>>,
}

impl Tunnel {
    /// Over `stream`, of which `raw` was read already.
    pub fn new(stream: Box<dyn Wire>, raw: Vec<u8>, read: Keys, write: Keys, notes: Arc<Mutex<Notes>>) -> Self {
        Self { stream, read, write, raw, ready: Vec::new(), unsent: Vec::new(), is_ended: false, is_closed: false, notes }
    }

    /// Takes one whole record from what was read, if there is one.
    fn record(&mut self) -> io::Result<bool> {
        let mut r = Reader::new(&self.raw);
        let (Some(kind), Some(_version), Some(length)) = (r.u8(), r.u16(), r.u16()) else {
            return Ok(false);
        };
        if usize::from(length) > RECORD_LIMIT {
            return Err(io::ErrorKind::InvalidData.into());
        }
        let Some(body) = r.take(usize::from(length)) else {
            return Ok(false);
        };
        let opened = if kind == CHANGE { Some((CHANGE, Vec::new())) } else { self.read.open(kind, body) };
        self.raw.drain(..5 + usize::from(length));
        match opened {
            None => return Err(io::ErrorKind::InvalidData.into()),
            Some((DATA, plain)) => self.ready.extend_from_slice(&plain),
            Some((ALERT, plain)) => {
                self.is_ended = true;
                let mut notes = self.noted();
                notes.alert = notes.alert.or(plain.get(1).copied());
            }
            // NewSessionTicket (RFC 8446 section 4.6.1).
            Some((HANDSHAKE, plain)) if plain.first() == Some(&4) => self.noted().tickets += 1,
            Some(_) => {}
        }
        Ok(true)
    }

    fn noted(&self) -> std::sync::MutexGuard<'_, Notes> {
        self.notes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl AsyncRead for Tunnel {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        loop {
            if !self.ready.is_empty() {
                let count = self.ready.len().min(buf.remaining());
                buf.put_slice(self.ready.get(..count).unwrap_or_default());
                self.ready.drain(..count);
                return Poll::Ready(Ok(()));
            }
            if self.is_ended {
                return Poll::Ready(Ok(()));
            }
            if self.record()? {
                continue;
            }
            let mut chunk = [0; 4096];
            let mut space = ReadBuf::new(&mut chunk);
            ready!(Pin::new(&mut self.stream).poll_read(cx, &mut space))?;
            if space.filled().is_empty() {
                self.is_ended = true;
            }
            let filled = space.filled().to_vec();
            self.raw.extend_from_slice(&filled);
        }
    }
}

impl AsyncWrite for Tunnel {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        ready!(self.as_mut().poll_flush(cx))?;
        let part = buf.get(..buf.len().min(FRAGMENT)).unwrap_or_default();
        self.unsent = self.write.seal(DATA, part).ok_or(io::ErrorKind::InvalidData)?;
        Poll::Ready(Ok(part.len()))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.unsent.is_empty() {
            let this = &mut *self;
            let count = ready!(Pin::new(&mut this.stream).poll_write(cx, &this.unsent))?;
            if count == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            this.unsent.drain(..count);
        }
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    /// With close_notify: some servers forget a session that ends without.
    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.as_mut().poll_flush(cx))?;
        if !self.is_closed {
            self.is_closed = true;
            self.unsent = self.write.seal(ALERT, &[1, 0]).unwrap_or_default();
            ready!(self.as_mut().poll_flush(cx))?;
        }
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sealed_opens_and_nothing_else_does() {
        for (suite, is_13, key, iv) in [(0x1301, true, 16, 12), (0x1302, true, 32, 12), (0xc02f, false, 16, 4), (0xcca8, false, 32, 12)] {
            let cipher = Cipher::of(suite).unwrap();
            let keys = || Keys::new(cipher, &vec![7; key], &vec![9; iv], is_13).unwrap();
            let (mut ours, mut theirs) = (keys(), keys());
            for text in [&b"first"[..], b"second", b""] {
                let record = ours.seal(DATA, text).unwrap();
                assert_eq!(theirs.open(record[0], &record[5..]), Some((DATA, text.to_vec())), "{suite:#06x}");
            }
            let mut record = ours.seal(HANDSHAKE, b"third").unwrap();
            let last = record.len() - 1;
            record[last] ^= 1;
            assert_eq!(theirs.open(record[0], &record[5..]), None);
            assert_eq!(theirs.open(23, &[]), None);
        }
    }
}
