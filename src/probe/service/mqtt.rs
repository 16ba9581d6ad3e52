//! MQTT 3.1.1 (OASIS Standard, 2014): one CONNECT without name and password.

use super::{Asked, NONE, OUR_NAME, Protocol, REQUIRED, Seen, exchange};
use crate::probe::dial::Dialer;

/// MQTT.
pub const PROTOCOL: Protocol =
    Protocol { name: "mqtt", ports: &[1883], processes: &["mosquitto", "emqx"], ask: Some(|dialer| Box::pin(ask(dialer))), ..Protocol::NONE };

/// DISCONNECT (section 3.14).
const DISCONNECT: [u8; 2] = [0xe0, 0];

async fn ask(dialer: &Dialer) -> Asked {
    match exchange(dialer, &connect(), |b| b.len() >= 4).await {
        Err(asked) => asked,
        Ok((mut connection, answer)) => match seen(&answer) {
            Some(seen) => {
                // Best effort: leave in order.
                let _ = connection.send(&DISCONNECT).await;
                Asked::Found(Box::new(seen))
            }
            None => Asked::Answered(answer),
        },
    }
}

/// CONNECT with a clean session and no name (section 3.1).
fn connect() -> Vec<u8> {
    let mut body = b"\0\x04MQTT\x04\x02\0\x0a\0".to_vec();
    let length = u8::try_from(OUR_NAME.len()).unwrap_or(0);
    body.push(length);
    body.extend_from_slice(OUR_NAME.as_bytes());
    let length = u8::try_from(body.len()).unwrap_or(0);
    [&[0x10, length][..], &body].concat()
}

/// CONNACK (section 3.2): accepted, or why not.
fn seen(answer: &[u8]) -> Option<Seen> {
    let [0x20, 2, 0 | 1, code, ..] = answer else { return None };
    let mut seen = Seen::plain("mqtt", b"", &format!("CONNECT without a name answered {code}"));
    match code {
        0 => {
            seen.authentication = NONE;
            seen.versions.push("MQTT 3.1.1".into());
            seen.opens("commands");
        }
        4 | 5 => {
            seen.authentication = REQUIRED;
            seen.versions.push("MQTT 3.1.1".into());
        }
        1..=3 => {
            let reason = ["the version is not accepted", "the client's name is not accepted", "the server is not available"];
            for field in ["authentication", "open"] {
                seen.left_open(field, format!("CONNECT: {}", reason.get(usize::from(*code) - 1).unwrap_or(&"refused")));
            }
        }
        _ => return None,
    }
    Some(seen)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn acknowledgements_tell_whether_a_name_is_needed() {
        assert_eq!(seen(include_bytes!("../../../tests/wire/mqtt-mosquitto-accepted.bin")).unwrap().authentication, NONE);
        assert_eq!(seen(include_bytes!("../../../tests/wire/mqtt-mosquitto-refused.bin")).unwrap().authentication, REQUIRED);
        assert_eq!(seen(&[0x20, 2, 0, 1]).unwrap().unanswered.len(), 2);
        assert!(seen(&[0x20, 2, 0, 9]).is_none() && seen(b"HTTP/1.1").is_none() && seen(&[0x20, 2]).is_none());
        assert_eq!(connect().len(), usize::from(connect()[1]) + 2);
    }
}
