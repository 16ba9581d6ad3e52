//! Private keys by their PEM label (RFC 7468), and whether a passphrase protects them.

/// Bytes of a file looked at: a certificate chain may stand before the key.
pub(super) const HEAD: usize = 16 << 10;

/// Folders for configuration and data; elsewhere keys belong to programs and their tests.
const PLACES: [&str; 9] = ["/etc/", "/root/", "/home/", "/srv/", "/opt/", "/usr/local/", "/var/lib/", "/var/www/", "/var/backups/"];
/// Folders of dependencies, tests and documents, whose keys are published.
const PUBLISHED: [&str; 12] =
    ["node_modules", "site-packages", "dist-packages", "test", "tests", "testdata", "fixtures", "example", "examples", "vendor", "doc", "docs"];
/// Endings of names of key files.
const ENDINGS: [&[u8]; 5] = [b".key", b".pem", b"_rsa", b"_ecdsa", b"_ed25519"];
/// Names of SSH host keys end so (sshd(8)).
const HOST_KEY: &[u8] = b"_key";
/// openssh-key-v1 with the cipher "none", in base64 (PROTOCOL.key of OpenSSH).
const OPENSSH_PLAIN: &str = "b3BlbnNzaC1rZXktdjEAAAAABG5vbmU";

/// Whether a name is that of a key file.
pub(super) fn is_named_like_a_key(name: &[u8]) -> bool {
    ENDINGS.iter().any(|e| name.ends_with(e)) || name.ends_with(HOST_KEY)
}

/// Whether a key at this path is somebody's, not part of a program.
pub(super) fn is_in_place(path: &str) -> bool {
    PLACES.iter().any(|p| path.starts_with(p)) && !path.split('/').any(|part| PUBLISHED.contains(&part))
}

/// Whether a text holds a private key, and if so whether it is encrypted.
pub(super) fn private_key(bytes: &[u8]) -> Option<bool> {
    let text = String::from_utf8_lossy(bytes);
    let mut lines = text.lines();
    let label = lines.by_ref().find_map(|l| l.trim().strip_prefix("-----BEGIN ")?.strip_suffix("PRIVATE KEY-----"))?;
    let first = lines.next().unwrap_or_default().trim();
    Some(match label.trim() {
        "ENCRYPTED" => true,
        "OPENSSH" => !first.starts_with(OPENSSH_PLAIN),
        // RFC 1421 section 4.6.1.1.
        _ => first.starts_with("Proc-Type:") && first.contains("ENCRYPTED"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels() {
        let cases: [(&str, Option<bool>); 9] = [
            ("-----BEGIN PRIVATE KEY-----\nMIIE\n", Some(false)),
            ("-----BEGIN CERTIFICATE-----\nMIIE\n-----END CERTIFICATE-----\n-----BEGIN RSA PRIVATE KEY-----\nMIIE\n", Some(false)),
            ("-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: x\n", Some(true)),
            ("-----BEGIN ENCRYPTED PRIVATE KEY-----\nMIIE\n", Some(true)),
            ("-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1rZXktdjEAAAAABG5vbmUAAAAEbm9uZQAAAAAAAAABAAAAMwAAAAtzc2gtZW\n", Some(false)),
            ("-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1rZXktdjEAAAAACmFlczI1Ni1jdHIAAAAGYmNyeXB0AAAAGAAAABDf\n", Some(true)),
            ("-----BEGIN CERTIFICATE-----\nMIIE\n", None),
            ("-----BEGIN PUBLIC KEY-----\n", None),
            ("the words PRIVATE KEY alone", None),
        ];
        for (text, expected) in cases {
            assert_eq!(private_key(text.as_bytes()), expected, "{text}");
        }
    }

    #[test]
    fn places_and_names() {
        assert!(is_in_place("/etc/ssl/private/x.key") && is_in_place("/home/a/.ssh/id_rsa"));
        assert!(!is_in_place("/usr/share/doc/x.key") && !is_in_place("/opt/app/node_modules/tls/test/x.pem") && !is_in_place("/srv/app/fixtures/x.key"));
        assert!(is_named_like_a_key(b"privkey.pem") && is_named_like_a_key(b"id_ed25519") && is_named_like_a_key(b"ssh_host_rsa_key"));
        assert!(!is_named_like_a_key(b"id_ed25519.pub") && !is_named_like_a_key(b"keys"));
    }

    #[test]
    fn any_bytes_are_answered() {
        let text = b"-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1rZXktdjEA\n";
        for i in 0..text.len() {
            for bit in 0..8 {
                let mut bytes = text.to_vec();
                bytes[i] ^= 1 << bit;
                let _ = private_key(&bytes);
                let _ = private_key(&bytes[..i]);
            }
        }
    }
}
