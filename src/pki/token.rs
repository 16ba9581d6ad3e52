//! Enrolment tokens: `assay1.SECRET.PIN`.

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::PkiError;
use crate::model::ids::Digest;

/// Random bytes of the secret.
const SECRET_BYTES: usize = 24;
/// Hexadecimal digits of the pin: 128 bits.
const PIN_DIGITS: usize = 32;

/// A token as the operator gets it: what admits the host, and what the host trusts.
#[derive(Clone, PartialEq, Eq)]
pub struct Token {
    secret: String,
    pin: String,
}

impl Token {
    /// A new token for the collector whose CA certificate (DER) is given.
    pub fn generate(ca_der: &[u8]) -> Result<Self, PkiError> {
        let secret = URL_SAFE_NO_PAD.encode(super::random::<SECRET_BYTES>()?);
        Ok(Self { secret, pin: pin_of(ca_der) })
    }

    /// What the collector stores instead of the secret.
    pub fn secret_digest(&self) -> Digest {
        Digest::of(self.secret.as_bytes())
    }

    /// Whether a certificate (DER) is the CA that the token names.
    pub fn pins(&self, certificate_der: &[u8]) -> bool {
        pin_of(certificate_der) == self.pin
    }
}

fn pin_of(der: &[u8]) -> String {
    Digest::of(der).to_string().chars().take(PIN_DIGITS).collect()
}

impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "assay1.{}.{}", self.secret, self.pin)
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Token(assay1.….{})", self.pin)
    }
}

impl FromStr for Token {
    type Err = PkiError;
    fn from_str(text: &str) -> Result<Self, PkiError> {
        let mut parts = text.trim().split('.');
        let (Some("assay1"), Some(secret), Some(pin), None) = (parts.next(), parts.next(), parts.next(), parts.next()) else {
            return Err(PkiError::Token);
        };
        let whole = URL_SAFE_NO_PAD.decode(secret).is_ok_and(|b| b.len() == SECRET_BYTES);
        let hex = pin.len() == PIN_DIGITS && pin.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        if !whole || !hex {
            return Err(PkiError::Token);
        }
        Ok(Self { secret: secret.into(), pin: pin.into() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_round_trips_and_anything_else_is_refused() {
        let token = Token::generate(b"ca").unwrap();
        let again: Token = format!(" {token}\n").parse().unwrap();
        assert_eq!(token, again);
        assert!(again.pins(b"ca") && !again.pins(b"other"));
        assert!(!format!("{token:?}").contains(&token.secret));
        for bad in ["", "assay1", "assay1.x.y", &format!("{token}.z"), &token.to_string()[..60]] {
            assert!(bad.parse::<Token>().is_err(), "{bad}");
        }
    }
}
