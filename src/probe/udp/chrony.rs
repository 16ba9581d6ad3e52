//! chronyd's monitoring port: the question `tracking` (chrony's candm.h, protocol version 6), which chronyd
//! answers to this machine.
//!
//! ```text
//! question   6, 1, 0, 0, command u16, attempt u16, sequence u32, 0 u32, 0 u32, zeros to the length of the answer
//! answer     6, 2, 0, 0, command u16, reply u16, status u16, 0 (3 × u16), sequence u32, 0 u32, 0 u32, then at 28:
//!            reference u32, address (20), stratum u16, leap u16, time (12), correction f32, …                    big endian
//! float      7 bits of exponent and 25 of coefficient, both signed: coefficient × 2^(exponent − 25)
//! ```

use super::exchange::Exchange;
use super::{Asked, UdpProtocol};
use crate::probe::dial::Dialer;
use crate::probe::seen::{Clock, NONE, Seen};

/// chronyd.
pub const PROTOCOL: UdpProtocol = UdpProtocol { name: "chrony", ports: &[323], processes: &["chronyd"], ask: |dialer| Box::pin(ask(dialer)) };

const SEQUENCE: u32 = 0xa55a_0323;
/// `REQ_TRACKING`, `RPY_TRACKING`.
const TRACKING: u16 = 33;
const TRACKING_REPLY: u16 = 5;
/// 127.127.1.1: no source, the clock itself stands for one (`local`).
const ITSELF: u32 = 0x7f7f_0101;
/// Length of the answer, which the question must have too.
const LENGTH: usize = 104;

async fn ask(dialer: &Dialer) -> Asked {
    let mut exchange = match Exchange::open(dialer).await {
        Ok(exchange) => exchange,
        Err(e) => return e.into(),
    };
    let heard = exchange.ask(&question(), |bytes| parse(bytes).is_some()).await;
    match heard.answer().and_then(parse) {
        Some(clock) => {
            let exchange = "answer to the question for tracking";
            Asked::Found(Box::new(Seen { authentication: NONE, clock, versions: vec!["6".into()], ..Seen::plain("chrony", b"", exchange) }))
        }
        None => heard.into(),
    }
}

fn question() -> Vec<u8> {
    let mut out = vec![6, 1, 0, 0];
    out.extend(TRACKING.to_be_bytes());
    out.extend([0, 0]);
    out.extend(SEQUENCE.to_be_bytes());
    out.resize(LENGTH, 0);
    out
}

/// `None`: no answer to our question; `Some(None)`: one that says nothing about the clock.
fn parse(bytes: &[u8]) -> Option<Option<Clock>> {
    let short = |at: usize| bytes.get(at..).and_then(|b| b.first_chunk()).map(|b| u16::from_be_bytes(*b));
    let long = |at: usize| bytes.get(at..).and_then(|b| b.first_chunk()).map(|b| u32::from_be_bytes(*b));
    if !bytes.starts_with(&[6, 2]) || short(4)? != TRACKING || long(16)? != SEQUENCE {
        return None;
    }
    if short(6)? != TRACKING_REPLY || short(8)? != 0 {
        return Some(None);
    }
    let (reference, stratum, leap) = (long(28)?, short(52)?, short(54)?);
    // A positive correction is what must still be taken from the clock: it is ahead.
    let offset = float(long(68)?);
    #[expect(clippy::cast_possible_truncation, reason = "an offset longer than the range is as good as its end")]
    let offset_microseconds = (offset * 1e6) as i64;
    Some(Some(Clock { synchronised: leap != 3 && reference != ITSELF, stratum: stratum.into(), offset_microseconds }))
}

fn float(bits: u32) -> f64 {
    let exponent = (bits.cast_signed() >> 25) - 25;
    let coefficient = (bits << 7).cast_signed() >> 7;
    f64::from(coefficient) * f64::from(exponent).exp2()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn floats_of_chrony() {
        // 2^24 × 2^(-24 + 25 - 25): coefficients are normalised to 25 bits.
        let made = |exponent: i32, coefficient: i32| (exponent.cast_unsigned() << 25) | (coefficient.cast_unsigned() & 0x01ff_ffff);
        assert!((float(made(1, 1 << 23)) - 0.5).abs() < 1e-12);
        assert!((float(made(1, -(1 << 23))) + 0.5).abs() < 1e-12);
        assert!((float(made(-9, 1 << 23)) - 0.5 / 1024.0).abs() < 1e-12);
        assert!(float(0).abs() < 1e-12);
    }

    #[test]
    fn answers_to_our_question_alone() {
        let mut answer = question();
        answer[1] = 2;
        // An answer has its status where the question has its number.
        answer[8..16].fill(0);
        answer[16..20].copy_from_slice(&SEQUENCE.to_be_bytes());
        answer[7] = 5;
        answer[53] = 3;
        assert_eq!(parse(&answer), Some(Some(Clock { synchronised: true, stratum: 3, offset_microseconds: 0 })));
        answer[55] = 3;
        assert!(!parse(&answer).unwrap().unwrap().synchronised);
        answer[9] = 2;
        assert_eq!(parse(&answer), Some(None));
        assert_eq!(parse(&question()), None);
        for end in 0..answer.len() {
            let _ = parse(&answer[..end]);
        }
    }
}
