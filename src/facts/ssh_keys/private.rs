//! Files of private keys: whether a passphrase protects them. Of the key itself only what is public
//! is kept (OpenSSH PROTOCOL.key, RFC 1421, RFC 5958, PuTTY's .ppk).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::line::{self, Fields};

/// What a file of a private key says about itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PrivateFile {
    /// `openssh`, `pem`, `pkcs8` or `putty`.
    pub format: &'static str,
    /// Key type such as `ssh-ed25519`; empty when the format hides it.
    pub kind: String,
    /// Size, bits, when the format shows it.
    pub bits: Option<u32>,
    /// `SHA256:…` of the public half; empty when the format hides it.
    pub fingerprint: String,
    /// Whether a passphrase is needed.
    pub encrypted: bool,
}

/// `None` when the text is no private key.
pub fn parse(text: &str) -> Option<PrivateFile> {
    let mut lines = text.lines().map(str::trim).skip_while(|l| l.is_empty());
    let first = lines.next()?;
    if first.starts_with("PuTTY-User-Key-File-") {
        let field = |name: &str| text.lines().find_map(|l| l.strip_prefix(name)).map(str::trim);
        let kind = first.split_once(':').map_or("", |(_, k)| k.trim()).to_string();
        return Some(PrivateFile { format: "putty", kind, encrypted: field("Encryption:").is_none_or(|e| e != "none"), ..PrivateFile::default() });
    }
    let label = first.strip_prefix("-----BEGIN ")?.strip_suffix("PRIVATE KEY-----")?.trim_end();
    match label {
        "OPENSSH" => openssh(lines),
        "" => Some(PrivateFile { format: "pkcs8", ..PrivateFile::default() }),
        "ENCRYPTED" => Some(PrivateFile { format: "pkcs8", encrypted: true, ..PrivateFile::default() }),
        "RSA" | "DSA" | "EC" => {
            let encrypted = lines.take_while(|l| !l.starts_with("-----END")).any(|l| l.starts_with("Proc-Type:") && l.contains("ENCRYPTED"));
            let kind = match label {
                "RSA" => "ssh-rsa",
                "DSA" => "ssh-dss",
                _ => "ecdsa",
            };
            Some(PrivateFile { format: "pem", kind: kind.into(), encrypted, ..PrivateFile::default() })
        }
        _ => None,
    }
}

const MAGIC: &[u8] = b"openssh-key-v1\0";

fn openssh<'a>(lines: impl Iterator<Item = &'a str>) -> Option<PrivateFile> {
    let body: String = lines.take_while(|l| !l.starts_with("-----END")).collect();
    let bytes = STANDARD.decode(body).ok()?;
    let mut fields = Fields(bytes.strip_prefix(MAGIC)?);
    let cipher = fields.next()?;
    fields.next()?; // key derivation
    fields.next()?; // its options
    let (_, rest) = fields.0.split_first_chunk::<4>()?; // number of keys
    let (kind, bits, fingerprint) = line::describe(Fields(rest).next()?)?;
    Some(PrivateFile { format: "openssh", kind, bits, fingerprint, encrypted: cipher != b"none" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_tell_whether_they_are_encrypted() {
        let of = |text: &str| parse(text).map(|k| (k.format, k.encrypted));
        assert_eq!(of("-----BEGIN RSA PRIVATE KEY-----\nMIIE\n-----END RSA PRIVATE KEY-----\n"), Some(("pem", false)));
        assert_eq!(
            of("-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,00\n\nMIIE\n-----END RSA PRIVATE KEY-----\n"),
            Some(("pem", true))
        );
        assert_eq!(of("-----BEGIN PRIVATE KEY-----\nMC4=\n-----END PRIVATE KEY-----\n"), Some(("pkcs8", false)));
        assert_eq!(of("-----BEGIN ENCRYPTED PRIVATE KEY-----\nMC4=\n"), Some(("pkcs8", true)));
        assert_eq!(of("PuTTY-User-Key-File-3: ssh-ed25519\nEncryption: none\n"), Some(("putty", false)));
        assert_eq!(of("PuTTY-User-Key-File-3: ssh-ed25519\nEncryption: aes256-cbc\n"), Some(("putty", true)));
        for text in ["", "ssh-ed25519 AAAA a", "-----BEGIN CERTIFICATE-----\n", "-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1rZXktdjEA\n"] {
            assert_eq!(of(text), None);
        }
    }

    #[test]
    fn every_cut_and_flip_is_survived() {
        let whole = b"openssh-key-v1\0\0\0\0\x04none\0\0\0\x04none\0\0\0\0\0\0\0\x01\0\0\0\x0f\0\0\0\x07ssh-rsa\0\0\0\0\xff\xff\xff\xff";
        for end in 0..whole.len() {
            for flip in [0_u8, 0x80, 0xff] {
                let mut bytes = whole[..end].to_vec();
                if let Some(last) = bytes.last_mut() {
                    *last ^= flip;
                }
                parse(&format!("-----BEGIN OPENSSH PRIVATE KEY-----\n{}\n", STANDARD.encode(bytes)));
            }
        }
    }
}
