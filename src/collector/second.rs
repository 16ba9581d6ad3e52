//! The second factor: one-time passwords by time (RFC 6238, SHA-1, 30 seconds, six digits) and recovery codes.

use ring::hmac;

use crate::model::ids::Digest;

/// Length of a step, seconds.
const STEP: i64 = 30;
/// Steps before and after the present one that are taken, too: clocks of phones differ.
const DRIFT: i64 = 1;
/// Bytes of a secret (RFC 4226 section 4: 160 bits).
pub const SECRET_BYTES: usize = 20;
/// Recovery codes of a user.
const CODES: usize = 10;
const BASE32: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

/// The step that a code is of, if it is one of the present ones; the newest that fits.
pub fn step_of(secret: &[u8], code: &str, now: i64) -> Option<i64> {
    let given: String = code.chars().filter(|c| !c.is_whitespace()).collect();
    if given.len() != 6 || !given.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let present = now.div_euclid(STEP);
    (present - DRIFT..=present + DRIFT).rev().find(|step| code_at(secret, *step) == given)
}

/// The code of a step (RFC 4226 section 5.3).
fn code_at(secret: &[u8], step: i64) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, secret);
    let tag = hmac::sign(&key, &step.to_be_bytes());
    let tag = tag.as_ref();
    let offset = usize::from(tag.last().copied().unwrap_or_default() & 0x0f);
    let four: [u8; 4] = tag.get(offset..offset + 4).and_then(|s| s.try_into().ok()).unwrap_or_default();
    format!("{:06}", (u32::from_be_bytes(four) & 0x7fff_ffff) % 1_000_000)
}

/// A secret as people type it (RFC 4648 section 6, without padding).
pub fn base32(bytes: &[u8]) -> String {
    let mut out = String::new();
    for five in bytes.chunks(5) {
        let mut word = [0_u8; 8];
        word.iter_mut().skip(3).zip(five).for_each(|(to, from)| *to = *from);
        let bits = u64::from_be_bytes(word);
        let digits = (five.len() * 8).div_ceil(5);
        for digit in 0..digits {
            let index = usize::try_from((bits >> (35 - 5 * digit)) & 31).unwrap_or_default();
            out.push(char::from(BASE32.get(index).copied().unwrap_or(b'A')));
        }
    }
    out
}

/// What an authenticator reads from the square.
pub fn uri(secret: &[u8], account: &str, issuer: &str) -> String {
    use super::ui::text::encode;
    let (account, issuer) = (encode(account), encode(issuer));
    format!("otpauth://totp/{issuer}:{account}?secret={}&issuer={issuer}", base32(secret))
}

/// A text as a square for cameras: an SVG path over modules, and the modules of a side with the quiet zone. `None`: it is too long.
pub fn square(text: &str) -> Option<(String, i32)> {
    /// Modules that must be left free around (ISO/IEC 18004).
    const QUIET: i32 = 4;
    let code = qrcodegen::QrCode::encode_text(text, qrcodegen::QrCodeEcc::Medium).ok()?;
    let mut path = String::new();
    for y in 0..code.size() {
        for x in (0..code.size()).filter(|x| code.get_module(*x, y)) {
            path.push_str(&format!("M{} {}h1v1h-1z", x + QUIET, y + QUIET));
        }
    }
    Some((path, code.size() + 2 * QUIET))
}

/// Fresh recovery codes: what the person keeps.
pub fn recovery_codes() -> Result<Vec<String>, crate::pki::PkiError> {
    (0..CODES).map(|_| Ok(spaced(&base32(&crate::pki::random::<10>()?).to_lowercase()))).collect()
}

fn spaced(code: &str) -> String {
    let fours: Vec<String> = code.as_bytes().chunks(4).map(|c| String::from_utf8_lossy(c).into_owned()).collect();
    fours.join("-")
}

/// The digest by which a recovery code is known, however it was typed. A code has 80 random bits, so no slow hash is needed.
pub fn recovery_digest(code: &str) -> Digest {
    let plain: String = code.chars().filter(char::is_ascii_alphanumeric).collect();
    Digest::of(format!("assay recovery code {}", plain.to_lowercase()).as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_those_of_the_rfc() {
        // RFC 6238 appendix B, SHA-1; six digits are the last of its eight.
        let secret = b"12345678901234567890";
        for (at, code) in [(59, "287082"), (1_111_111_109, "081804"), (1_234_567_890, "005924"), (2_000_000_000, "279037"), (20_000_000_000, "353130")] {
            assert_eq!(code_at(secret, at / STEP), code);
            assert_eq!(step_of(secret, code, at), Some(at / STEP));
            assert_eq!(step_of(secret, code, at + STEP), Some(at / STEP), "a slow clock");
            assert_eq!(step_of(secret, code, at + 2 * STEP + STEP), None);
        }
        for odd in ["", "28708", "2870820", "28708a", "287 082x"] {
            assert_eq!(step_of(secret, odd, 59), None, "{odd}");
        }
        assert_eq!(step_of(secret, "287 082", 59), Some(1));
    }

    #[test]
    fn secrets_are_written_as_the_rfc_does() {
        for (plain, text) in [("", ""), ("f", "MY"), ("fo", "MZXQ"), ("foo", "MZXW6"), ("foob", "MZXW6YQ"), ("fooba", "MZXW6YTB"), ("foobar", "MZXW6YTBOI")] {
            assert_eq!(base32(plain.as_bytes()), text);
        }
        assert_eq!(uri(b"f", "a b", "Ex&Co"), "otpauth://totp/Ex%26Co:a%20b?secret=MY&issuer=Ex%26Co");
        let (path, side) = square("otpauth://totp/x").unwrap();
        assert!(path.starts_with("M4 4h1v1h-1z") && side > 21);
    }

    #[test]
    fn a_recovery_code_is_known_however_it_is_typed() {
        let codes = recovery_codes().unwrap();
        assert_eq!((codes.len(), codes[0].len()), (CODES, 19));
        assert_eq!(recovery_digest(&codes[0]), recovery_digest(&codes[0].to_uppercase().replace('-', " ")));
        assert_ne!(recovery_digest(&codes[0]), recovery_digest(&codes[1]));
    }
}
