//! VNC (RFC 6143): its version and its security types, with VeNCrypt's inside.
//!
//! One connection that ends before a sign-in: TigerVNC and others lock out who comes often and
//! never signs in (vncserver(1), BlacklistThreshold), so that TLS is not surveyed here.

use super::{NONE, OPTIONAL, Protocol, REQUIRED, Seen, UNKNOWN};
use crate::probe::dial::{Connection, Stop};
use crate::probe::reader::{Reader, banner};

/// VNC.
pub const PROTOCOL: Protocol = Protocol {
    name: "vnc",
    ports: &[5900, 5901, 5902, 5903],
    processes: &["Xvnc", "Xtigervnc", "x11vnc"],
    greets: Some(|first| parse_version(first).is_some()),
    talk: Some(|_, connection, first| Box::pin(async move { Some(talk(connection, first).await) })),
    ..Protocol::NONE
};

/// Longest reason read, bytes.
const REASON_LIMIT: usize = 1024;
/// Security types (IANA registry "Remote Framebuffer Security Types").
const TYPE_NONE: u32 = 1;
const TYPE_TLS: u32 = 18;
const TYPE_VENCRYPT: u32 = 19;
/// Types of VeNCrypt (its specification in the rfbproto project).
const VENCRYPT_TLS_NONE: u32 = 257;
const VENCRYPT_X509_NONE: u32 = 260;
const VENCRYPT_INSIDE_TLS: std::ops::RangeInclusive<u32> = 257..=264;

/// What the server lets a client choose from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Offer {
    types: Vec<u32>,
    vencrypt: Vec<u32>,
}

async fn talk(mut connection: Connection, first: &[u8]) -> Seen {
    let mut seen = Seen::plain("vnc", first, "greeting RFB");
    let version = parse_version(first).unwrap_or((3, 3));
    seen.versions.push(format!("RFB {:03}.{:03}", version.0, version.1));
    connection.unread(first.get(12..).unwrap_or_default());
    match offer(&mut connection, version).await {
        Ok(offer) => judge(&mut seen, &offer),
        Err(Refusal::Reason(reason)) => {
            seen.exchange = "the server refuses every client".into();
            undecided(&mut seen, &format!("the server refuses: {reason}"));
        }
        Err(Refusal::Stop(stop)) => undecided(&mut seen, &format!("security types: {stop}")),
    }
    seen
}

fn undecided(seen: &mut Seen, reason: &str) {
    seen.tls = UNKNOWN;
    for field in ["tls", "authentication", "open"] {
        seen.left_open(field, reason);
    }
}

fn judge(seen: &mut Seen, offer: &Offer) {
    let listed = |types: &[u32]| types.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ");
    seen.exchange = format!("security types {}", listed(&offer.types));
    if !offer.vencrypt.is_empty() {
        seen.exchange.push_str(&format!(", of VeNCrypt {}", listed(&offer.vencrypt)));
    }
    let no_password = offer.types.contains(&TYPE_NONE) || offer.vencrypt.iter().any(|t| matches!(*t, TYPE_NONE | VENCRYPT_TLS_NONE | VENCRYPT_X509_NONE));
    seen.authentication = if no_password { NONE } else { REQUIRED };
    if no_password {
        seen.opens("no-password");
    }
    let is_inside = |t: &u32| *t == TYPE_TLS || *t == TYPE_VENCRYPT;
    let plain_vencrypt = offer.vencrypt.iter().any(|t| !VENCRYPT_INSIDE_TLS.contains(t));
    seen.tls = match (offer.types.iter().any(is_inside), offer.types.iter().all(is_inside) && !plain_vencrypt) {
        (false, _) => NONE,
        (true, true) => REQUIRED,
        (true, false) => OPTIONAL,
    };
    if offer.types.contains(&TYPE_VENCRYPT) && offer.vencrypt.is_empty() && !no_password {
        seen.authentication = UNKNOWN;
        seen.left_open("authentication", "the types of VeNCrypt were not told");
        seen.left_open("open", "the types of VeNCrypt were not told");
    }
}

/// Why there are no security types.
enum Refusal {
    Reason(String),
    Stop(Stop),
}

impl From<Stop> for Refusal {
    fn from(stop: Stop) -> Self {
        Self::Stop(stop)
    }
}

async fn offer(connection: &mut Connection, version: (u16, u16)) -> Result<Offer, Refusal> {
    // 3.3, 3.7 and 3.8 are the versions that exist; others count as 3.3 (RFC 6143 section 7.1.1).
    let ours = match version {
        (3, 7) => "RFB 003.007\n",
        (3, 8..) | (4.., _) => "RFB 003.008\n",
        _ => "RFB 003.003\n",
    };
    connection.send(ours.as_bytes()).await?;
    if ours.ends_with("3\n") {
        let kind = number(connection).await?;
        return if kind == 0 { Err(Refusal::Reason(reason(connection).await?)) } else { Ok(Offer { types: vec![kind], vencrypt: Vec::new() }) };
    }
    let count = connection.exactly(1).await?.first().copied().unwrap_or(0);
    if count == 0 {
        return Err(Refusal::Reason(reason(connection).await?));
    }
    let types: Vec<u32> = connection.exactly(usize::from(count)).await?.iter().map(|t| u32::from(*t)).collect();
    let vencrypt = match types.contains(&TYPE_VENCRYPT) {
        true => vencrypt(connection).await.unwrap_or_default(),
        false => Vec::new(),
    };
    Ok(Offer { types, vencrypt })
}

/// Chooses VeNCrypt and hears its types.
async fn vencrypt(connection: &mut Connection) -> Result<Vec<u32>, Stop> {
    connection.send(&[19]).await?;
    // Its version, of which 0.2 is the only one in use; a zero byte when ours is fine.
    connection.exactly(2).await?;
    connection.send(&[0, 2]).await?;
    let head = connection.exactly(2).await?;
    let [0, count] = head.as_slice() else { return Err(Stop::Malformed) };
    let body = connection.exactly(usize::from(*count) * 4).await?;
    let mut r = Reader::new(&body);
    Ok(std::iter::from_fn(|| r.u32()).collect())
}

async fn number(connection: &mut Connection) -> Result<u32, Stop> {
    Reader::new(&connection.exactly(4).await?).u32().ok_or(Stop::Malformed)
}

async fn reason(connection: &mut Connection) -> Result<String, Stop> {
    let length = usize::try_from(number(connection).await?).unwrap_or(usize::MAX);
    if length > REASON_LIMIT {
        return Err(Stop::Limit);
    }
    Ok(banner(&connection.exactly(length).await?))
}

/// `RFB 003.008` and a line end (RFC 6143 section 7.1.1).
fn parse_version(first: &[u8]) -> Option<(u16, u16)> {
    let text = std::str::from_utf8(first.get(..12)?).ok()?;
    let (major, minor) = text.strip_prefix("RFB ")?.strip_suffix('\n')?.split_once('.')?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::probe::reader::mutations;

    fn judged(types: &[u32], vencrypt: &[u32]) -> (Seen, &'static str, &'static str) {
        let mut seen = Seen::plain("vnc", b"", "");
        judge(&mut seen, &Offer { types: types.to_vec(), vencrypt: vencrypt.to_vec() });
        let (tls, authentication) = (seen.tls, seen.authentication);
        (seen, tls, authentication)
    }

    #[test]
    fn types_tell_password_and_encryption() {
        for (types, vencrypt, tls, authentication) in [
            (&[1][..], &[][..], NONE, NONE),
            (&[2], &[], NONE, REQUIRED),
            (&[19, 2], &[258, 261], OPTIONAL, REQUIRED),
            (&[19], &[258, 261], REQUIRED, REQUIRED),
            (&[19], &[256, 259], OPTIONAL, REQUIRED),
            (&[19], &[257], REQUIRED, NONE),
            (&[18], &[], REQUIRED, REQUIRED),
            (&[19], &[], REQUIRED, UNKNOWN),
        ] {
            let (seen, found, who) = judged(types, vencrypt);
            assert_eq!((found, who), (tls, authentication), "{types:?} {vencrypt:?}");
            assert_eq!(seen.open == ["no-password"], who == NONE);
            assert_eq!(seen.unanswered.is_empty(), who != UNKNOWN);
        }
    }

    #[test]
    fn versions_have_twelve_bytes() {
        assert_eq!(parse_version(b"RFB 003.008\n"), Some((3, 8)));
        assert_eq!(parse_version(b"RFB 004.001\n"), Some((4, 1)));
        assert_eq!(parse_version(b"RFB 003.889\n"), Some((3, 889)));
        for first in [&b"RFB 003.008"[..], b"RFB 00x.008\n", b"RFB hello wo", b""] {
            assert_eq!(parse_version(first), None);
        }
    }

    #[test]
    fn no_greeting_makes_it_panic() {
        for bytes in mutations(b"RFB 003.008\n") {
            parse_version(&bytes);
        }
    }
}
