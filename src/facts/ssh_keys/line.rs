//! One line of an authorized_keys file (sshd(8), AUTHORIZED_KEYS FILE FORMAT) and the public key
//! blob in it (RFC 4253 section 6.6, RFC 5656, RFC 8709, OpenSSH PROTOCOL.u2f).

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};

use crate::model::ids::Digest;

/// A key with its options.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyLine {
    /// Key type.
    pub kind: String,
    /// Size, bits.
    pub bits: Option<u32>,
    /// `SHA256:…`.
    pub fingerprint: String,
    /// Comment.
    pub comment: String,
    /// Option names, lower case, sorted.
    pub options: Vec<String>,
    /// Patterns of `from`; empty without it.
    pub from: String,
    /// Program of `command`, its arguments left out; empty without it.
    pub command: String,
    /// Names of `principals`.
    pub principals: Vec<String>,
    /// An option that sshd does not know or can't read, for which it passes over the line; empty when there is none.
    pub bad_option: String,
    /// `expiry-time`, Unix seconds, read as UTC.
    pub expires_at: Option<i64>,
}

/// `Ok(None)`: blank or comment; `Err`: sshd would skip the line.
pub fn parse(line: &str) -> Result<Option<KeyLine>, &'static str> {
    let line = line.trim();
    if line.is_empty() || line.starts_with('#') {
        return Ok(None);
    }
    if let Some(key) = key_at(line, Vec::new()) {
        return Ok(Some(key));
    }
    let (options, rest) = split_options(line)?;
    key_at(rest.trim_start(), options).map(Some).ok_or("no public key")
}

fn key_at(text: &str, options: Options) -> Option<KeyLine> {
    let (kind, rest) = text.split_once([' ', '\t'])?;
    let rest = rest.trim_start();
    let (encoded, comment) = rest.split_once([' ', '\t']).unwrap_or((rest, ""));
    let blob = STANDARD.decode(encoded).or_else(|_| STANDARD_NO_PAD.decode(encoded)).ok()?;
    let mut fields = Fields(&blob);
    let named = fields.next()?;
    // The type inside the key decides in sshd; a line where the two differ is refused.
    if named != kind.as_bytes() {
        return None;
    }
    let value = |wanted: &str| options.iter().find(|(name, _)| name == wanted).map_or("", |(_, value)| value.as_str());
    let expires_at = expiry(value("expiry-time"));
    let from = value("from").to_string();
    let command = value("command").split_whitespace().next().unwrap_or("").to_string();
    let principals = value("principals").split(',').map(str::trim).filter(|p| !p.is_empty()).map(String::from).collect();
    let bad_option = options.iter().find(|(name, value)| !is_known(name, value)).map(|(name, _)| name.clone()).unwrap_or_default();
    let mut names: Vec<String> = options.into_iter().map(|(name, _)| name).collect();
    names.sort();
    names.dedup();
    Some(KeyLine {
        kind: kind.to_string(),
        bits: bits(kind, &mut fields),
        fingerprint: fingerprint(&blob),
        comment: comment.trim().to_string(),
        options: names,
        from,
        command,
        principals,
        bad_option,
        expires_at,
    })
}

/// Options of sshd(8); those with a value need one.
fn is_known(name: &str, value: &str) -> bool {
    match name {
        "command" | "environment" | "from" | "permitopen" | "permitlisten" | "principals" | "tunnel" => !value.is_empty(),
        "expiry-time" => expiry(value).is_some(),
        _ => {
            let plain = name.strip_prefix("no-").unwrap_or(name);
            matches!(plain, "agent-forwarding" | "port-forwarding" | "pty" | "user-rc" | "x11-forwarding" | "touch-required" | "verify-required")
                || matches!(name, "cert-authority" | "restrict")
        }
    }
}

/// Kind, size and fingerprint of a public key blob.
pub fn describe(blob: &[u8]) -> Option<(String, Option<u32>, String)> {
    let mut fields = Fields(blob);
    let kind = std::str::from_utf8(fields.next()?).ok()?.to_string();
    let bits = bits(&kind, &mut fields);
    Some((kind, bits, fingerprint(blob)))
}

/// As `ssh-keygen -lf` prints it.
pub fn fingerprint(blob: &[u8]) -> String {
    format!("SHA256:{}", STANDARD_NO_PAD.encode(Digest::of(blob).bytes()))
}

/// Strings of a key blob: length (4, big endian) and bytes.
#[derive(Debug)]
pub struct Fields<'a>(pub &'a [u8]);

impl<'a> Iterator for Fields<'a> {
    type Item = &'a [u8];

    /// The next string; `None` at the end or when it is cut off.
    fn next(&mut self) -> Option<&'a [u8]> {
        let (length, rest) = self.0.split_first_chunk::<4>()?;
        let length = usize::try_from(u32::from_be_bytes(*length)).ok()?;
        let (field, rest) = rest.split_at_checked(length)?;
        self.0 = rest;
        Some(field)
    }
}

fn bits(kind: &str, fields: &mut Fields<'_>) -> Option<u32> {
    let plain = kind.strip_suffix("-cert-v01@openssh.com").unwrap_or(kind);
    if plain != kind {
        fields.next()?; // nonce
    }
    match plain {
        "ssh-rsa" => {
            fields.next()?; // exponent
            Some(width(fields.next()?))
        }
        "ssh-dss" => Some(width(fields.next()?)),
        "ssh-ed25519" | "sk-ssh-ed25519@openssh.com" | "sk-ssh-ed25519" => Some(256),
        "ecdsa-sha2-nistp256" | "sk-ecdsa-sha2-nistp256@openssh.com" | "sk-ecdsa-sha2-nistp256" => Some(256),
        "ecdsa-sha2-nistp384" => Some(384),
        "ecdsa-sha2-nistp521" => Some(521),
        _ => None,
    }
}

/// Bits of a multiple precision integer (RFC 4251 section 5).
fn width(number: &[u8]) -> u32 {
    let start = number.iter().position(|b| *b != 0).unwrap_or(number.len());
    let digits = number.get(start..).unwrap_or(&[]);
    let zeros = digits.first().map_or(0, |b| b.leading_zeros());
    u32::try_from(digits.len()).unwrap_or(u32::MAX / 8).saturating_mul(8).saturating_sub(zeros)
}

/// Names and values.
type Options = Vec<(String, String)>;

/// `name="value",name` up to the first blank outside quotes.
fn split_options(line: &str) -> Result<(Options, &str), &'static str> {
    let mut options = Vec::new();
    let (mut name, mut value, mut in_value, mut quoted) = (String::new(), String::new(), false, false);
    let mut chars = line.char_indices().peekable();
    while let Some((at, c)) = chars.next() {
        match c {
            '\\' if quoted && chars.peek().is_some_and(|(_, n)| *n == '"') => {
                chars.next();
                value.push('"');
            }
            '"' => quoted = !quoted,
            c if quoted => value.push(c),
            ' ' | '\t' | ',' => {
                if !name.is_empty() {
                    options.push((std::mem::take(&mut name).to_ascii_lowercase(), std::mem::take(&mut value)));
                }
                in_value = false;
                if c != ',' {
                    return Ok((options, line.get(at..).unwrap_or("")));
                }
            }
            '=' if !in_value => in_value = true,
            c if in_value => value.push(c),
            c => name.push(c),
        }
    }
    Err(if quoted { "a quote is never closed" } else { "no public key" })
}

/// `YYYYMMDD`, `YYYYMMDDHHMM` or `YYYYMMDDHHMMSS`, with or without `Z`; without it sshd takes the
/// system's time zone, which is read as UTC here.
fn expiry(text: &str) -> Option<i64> {
    let digits = text.trim_end_matches('Z');
    if !matches!(digits.len(), 8 | 12 | 14) || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let part = |from: usize, to: usize| digits.get(from..to).and_then(|t| t.parse::<i8>().ok());
    let year = digits.get(..4)?.parse().ok()?;
    let time =
        jiff::civil::DateTime::new(year, part(4, 6)?, part(6, 8)?, part(8, 10).unwrap_or(0), part(10, 12).unwrap_or(0), part(12, 14).unwrap_or(0), 0).ok()?;
    Some(time.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp().as_second())
}

#[cfg(test)]
mod tests {
    use super::*;

    const ED25519: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJvR0mCJ2cS1YVb1p6ZC6x0m1x0m1x0m1x0m1x0m1x0m";

    #[test]
    fn options_with_quotes_do_not_hide_the_key() {
        let line = format!("from=\"10.0.0.0/8,::1\",command=\"echo \\\"a b\\\", # c\",no-pty,expiry-time=\"20260102\" {ED25519} max keller@laptop");
        let key = parse(&line).unwrap().unwrap();
        assert_eq!(key.options, ["command", "expiry-time", "from", "no-pty"]);
        assert_eq!(key.expires_at, Some(1_767_312_000));
        assert_eq!((key.comment.as_str(), key.bits), ("max keller@laptop", Some(256)));
        assert_eq!(key.fingerprint, parse(ED25519).unwrap().unwrap().fingerprint);
    }

    #[test]
    fn what_is_no_key_is_refused() {
        assert_eq!(parse("  # comment").unwrap(), None);
        assert!(parse("1024 35 1234567 old@protocol1").is_err());
        assert!(parse("ssh-rsa AAAAC3NzaC1lZDI1NTE5AAAAIJvR0mCJ2cS1YVb1p6ZC6x0m1x0m1x0m1x0m1x0m1x0m").is_err());
        assert!(parse("command=\"unclosed ssh-ed25519 AAAA").is_err());
        assert!(parse("ssh-ed25519").is_err());
    }
}
