//! Private keys by their PEM label (RFC 7468), and whether a passphrase protects them.

/// Bytes of a file looked at: a certificate chain may stand before the key.
pub(super) const HEAD: usize = 16 << 10;

/// Folders of installed programs, the kernel and the boot loader, whose keys are published; `/usr/local` is the machine's own.
const PROGRAMS: [&str; 11] = ["/usr/", "/bin/", "/sbin/", "/lib/", "/lib32/", "/lib64/", "/libx32/", "/boot/", "/dev/", "/proc/", "/sys/"];
const OWN: &str = "/usr/local/";
/// Folders of dependencies, tests and documents, whose keys are published.
const PUBLISHED: [&str; 14] = [
    "third_party",
    "registry",
    "node_modules",
    "site-packages",
    "dist-packages",
    "test",
    "tests",
    "testdata",
    "fixtures",
    "example",
    "examples",
    "vendor",
    "doc",
    "docs",
];
/// Endings of names of key files.
const ENDINGS: [&[u8]; 5] = [b".key", b".pem", b"_rsa", b"_ecdsa", b"_ed25519"];
/// Names of SSH host keys end so (sshd(8)).
const HOST_KEY: &[u8] = b"_key";
/// First words of a key of PuTTY.
const PUTTY: &str = "PuTTY-User-Key-File-";
/// openssh-key-v1 with the cipher "none", in base64 (PROTOCOL.key of OpenSSH).
const OPENSSH_PLAIN: &str = "b3BlbnNzaC1rZXktdjEAAAAABG5vbmU";

/// Parts of names, in lower case, of what may hold a key: kept copies, bundles, names of one's own.
const HINTS: [&[u8]; 10] = [b"key", b"pem", b"priv", b"rsa", b"dsa", b"ed25519", b"ppk", b"cert", b".crt", b"secret"];
/// Folders in which any file may hold one.
const KEY_FOLDERS: [&[u8]; 6] = [b"/.ssh", b"/ssl", b"/tls", b"/keys", b"/certs", b"/private"];
/// Sizes of files with a key that are not named after one, bytes.
const SIZES: std::ops::RangeInclusive<u64> = 100..=65_536;

/// Whether a file is worth a look: named like a key; or open to others, of the size of one, and
/// named or placed near enough.
pub(super) fn may_hold_a_key(name: &[u8], folder: &[u8], open: bool, size: u64) -> bool {
    if ENDINGS.iter().any(|e| name.ends_with(e)) || name.ends_with(HOST_KEY) {
        return true;
    }
    let hinted = || {
        let lower = name.to_ascii_lowercase();
        HINTS.iter().any(|h| lower.windows(h.len()).any(|w| w == *h))
    };
    open && SIZES.contains(&size) && (KEY_FOLDERS.iter().any(|f| folder.ends_with(f)) || hinted())
}

/// Whether a key at this path is somebody's, not part of a program.
pub(super) fn is_in_place(path: &str) -> bool {
    let own = path.starts_with(OWN) || !PROGRAMS.iter().any(|p| path.starts_with(p));
    own && !path.split('/').any(|part| PUBLISHED.contains(&part))
}

/// Whether a text holds a private key, and if so whether it is encrypted.
pub(super) fn private_key(bytes: &[u8]) -> Option<bool> {
    let text = String::from_utf8_lossy(bytes);
    // Appendix C of PuTTY's manual.
    if text.starts_with(PUTTY) {
        return Some(!text.lines().take(3).any(|l| l.trim() == "Encryption: none"));
    }
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
        let cases: [(&str, Option<bool>); 11] = [
            ("-----BEGIN PRIVATE KEY-----\nMIIE\n", Some(false)),
            ("-----BEGIN CERTIFICATE-----\nMIIE\n-----END CERTIFICATE-----\n-----BEGIN RSA PRIVATE KEY-----\nMIIE\n", Some(false)),
            ("-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: x\n", Some(true)),
            ("-----BEGIN ENCRYPTED PRIVATE KEY-----\nMIIE\n", Some(true)),
            ("-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1rZXktdjEAAAAABG5vbmUAAAAEbm9uZQAAAAAAAAABAAAAMwAAAAtzc2gtZW\n", Some(false)),
            ("-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1rZXktdjEAAAAACmFlczI1Ni1jdHIAAAAGYmNyeXB0AAAAGAAAABDf\n", Some(true)),
            ("-----BEGIN CERTIFICATE-----\nMIIE\n", None),
            ("PuTTY-User-Key-File-3: ssh-ed25519\r\nEncryption: none\r\nComment: x\r\n", Some(false)),
            ("PuTTY-User-Key-File-2: ssh-rsa\nEncryption: aes256-cbc\n", Some(true)),
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
        assert!(["privkey.pem", "id_ed25519", "ssh_host_rsa_key"].iter().all(|n| may_hold_a_key(n.as_bytes(), b"/srv", false, 9)));
        assert!(
            !may_hold_a_key(b"privkey", b"/srv", false, 1700)
                && !may_hold_a_key(b"keys", b"/srv", true, 1 << 20)
                && !may_hold_a_key(b"notes", b"/srv", true, 1700)
        );
        assert!(may_hold_a_key(b"work", b"/home/a/.ssh", true, 400));
        assert!(is_in_place("/data/x.key") && is_in_place("/tmp/x.pem") && is_in_place("/usr/local/etc/x.key"));
        assert!(["web.key.bak", "privkey", "site.crt"].iter().all(|n| may_hold_a_key(n.as_bytes(), b"/srv", true, 1700)));
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
