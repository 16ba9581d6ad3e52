//! Default algorithm lists of OpenSSH by version, needed where a configuration adds to them or
//! takes from them (`+`, `-`, `^`).
//!
//! Source: `sshd -T` without configuration of Debian 11 (8.4p1), 12 (9.2p1) and 13 (10.0p1), and
//! myproposal.h of the releases between them; the release in
//! force is that of the package, else that of the banner in the program.

use crate::host::Host;

use crate::model::pattern::matches;

/// Lists of one release and the later ones.
#[derive(Clone, Copy, Debug)]
pub struct Defaults {
    /// First release, major and minor.
    pub since: (u32, u32),
    /// Ciphers.
    pub ciphers: &'static str,
    /// MACs.
    pub macs: &'static str,
    /// KexAlgorithms.
    pub kex_algorithms: &'static str,
    /// HostKeyAlgorithms and PubkeyAcceptedAlgorithms, the same list in all these releases.
    pub key_algorithms: &'static str,
}

const CIPHERS: &str = "chacha20-poly1305@openssh.com,aes128-ctr,aes192-ctr,aes256-ctr,aes128-gcm@openssh.com,aes256-gcm@openssh.com";
const CIPHERS_10: &str = "chacha20-poly1305@openssh.com,aes128-gcm@openssh.com,aes256-gcm@openssh.com,aes128-ctr,aes192-ctr,aes256-ctr";
const MACS: &str = "umac-64-etm@openssh.com,umac-128-etm@openssh.com,hmac-sha2-256-etm@openssh.com,hmac-sha2-512-etm@openssh.com,\
    hmac-sha1-etm@openssh.com,umac-64@openssh.com,umac-128@openssh.com,hmac-sha2-256,hmac-sha2-512,hmac-sha1";
const KEX_8: &str = "curve25519-sha256,curve25519-sha256@libssh.org,ecdh-sha2-nistp256,ecdh-sha2-nistp384,ecdh-sha2-nistp521,\
    diffie-hellman-group-exchange-sha256,diffie-hellman-group16-sha512,diffie-hellman-group18-sha512,diffie-hellman-group14-sha256";
const KEX_9: &str = "sntrup761x25519-sha512,sntrup761x25519-sha512@openssh.com,curve25519-sha256,curve25519-sha256@libssh.org,\
    ecdh-sha2-nistp256,ecdh-sha2-nistp384,ecdh-sha2-nistp521,\
    diffie-hellman-group-exchange-sha256,diffie-hellman-group16-sha512,diffie-hellman-group18-sha512,diffie-hellman-group14-sha256";
const KEX_9_9: &str = "sntrup761x25519-sha512,sntrup761x25519-sha512@openssh.com,mlkem768x25519-sha256,\
    curve25519-sha256,curve25519-sha256@libssh.org,ecdh-sha2-nistp256,ecdh-sha2-nistp384,ecdh-sha2-nistp521,\
    diffie-hellman-group-exchange-sha256,diffie-hellman-group16-sha512,diffie-hellman-group18-sha512,diffie-hellman-group14-sha256";
const KEX_10: &str = "mlkem768x25519-sha256,sntrup761x25519-sha512,sntrup761x25519-sha512@openssh.com,\
    curve25519-sha256,curve25519-sha256@libssh.org,ecdh-sha2-nistp256,ecdh-sha2-nistp384,ecdh-sha2-nistp521";
const KEYS: &str = "ssh-ed25519-cert-v01@openssh.com,ecdsa-sha2-nistp256-cert-v01@openssh.com,ecdsa-sha2-nistp384-cert-v01@openssh.com,\
    ecdsa-sha2-nistp521-cert-v01@openssh.com,sk-ssh-ed25519-cert-v01@openssh.com,sk-ecdsa-sha2-nistp256-cert-v01@openssh.com,\
    rsa-sha2-512-cert-v01@openssh.com,rsa-sha2-256-cert-v01@openssh.com,ssh-ed25519,ecdsa-sha2-nistp256,ecdsa-sha2-nistp384,ecdsa-sha2-nistp521,\
    sk-ssh-ed25519@openssh.com,sk-ecdsa-sha2-nistp256@openssh.com,rsa-sha2-512,rsa-sha2-256";
const KEYS_8: &str = "ssh-ed25519-cert-v01@openssh.com,ecdsa-sha2-nistp256-cert-v01@openssh.com,ecdsa-sha2-nistp384-cert-v01@openssh.com,\
    ecdsa-sha2-nistp521-cert-v01@openssh.com,sk-ssh-ed25519-cert-v01@openssh.com,sk-ecdsa-sha2-nistp256-cert-v01@openssh.com,\
    rsa-sha2-512-cert-v01@openssh.com,rsa-sha2-256-cert-v01@openssh.com,ssh-rsa-cert-v01@openssh.com,\
    ssh-ed25519,ecdsa-sha2-nistp256,ecdsa-sha2-nistp384,ecdsa-sha2-nistp521,\
    sk-ssh-ed25519@openssh.com,sk-ecdsa-sha2-nistp256@openssh.com,rsa-sha2-512,rsa-sha2-256,ssh-rsa";

const KEYS_8_2: &str = "ecdsa-sha2-nistp256-cert-v01@openssh.com,ecdsa-sha2-nistp384-cert-v01@openssh.com,ecdsa-sha2-nistp521-cert-v01@openssh.com,\
    sk-ecdsa-sha2-nistp256-cert-v01@openssh.com,ssh-ed25519-cert-v01@openssh.com,sk-ssh-ed25519-cert-v01@openssh.com,\
    rsa-sha2-512-cert-v01@openssh.com,rsa-sha2-256-cert-v01@openssh.com,ssh-rsa-cert-v01@openssh.com,\
    ecdsa-sha2-nistp256,ecdsa-sha2-nistp384,ecdsa-sha2-nistp521,sk-ecdsa-sha2-nistp256@openssh.com,\
    ssh-ed25519,sk-ssh-ed25519@openssh.com,rsa-sha2-512,rsa-sha2-256,ssh-rsa";

/// Newest first; nothing older than OpenSSH 8.2 is known.
const RELEASES: [Defaults; 6] = [
    Defaults { since: (10, 0), ciphers: CIPHERS_10, macs: MACS, kex_algorithms: KEX_10, key_algorithms: KEYS },
    Defaults { since: (9, 9), ciphers: CIPHERS, macs: MACS, kex_algorithms: KEX_9_9, key_algorithms: KEYS },
    Defaults { since: (9, 0), ciphers: CIPHERS, macs: MACS, kex_algorithms: KEX_9, key_algorithms: KEYS },
    Defaults { since: (8, 8), ciphers: CIPHERS, macs: MACS, kex_algorithms: KEX_8, key_algorithms: KEYS },
    Defaults { since: (8, 5), ciphers: CIPHERS, macs: MACS, kex_algorithms: KEX_8, key_algorithms: KEYS_8 },
    Defaults { since: (8, 2), ciphers: CIPHERS, macs: MACS, kex_algorithms: KEX_8, key_algorithms: KEYS_8_2 },
];

/// Lists of a release; `None` when it is older than any known here.
pub fn of(version: (u32, u32)) -> Option<Defaults> {
    RELEASES.into_iter().find(|r| version >= r.since)
}

const STATUS: &str = "/var/lib/dpkg/status";
const ALPINE: &str = "/lib/apk/db/installed";
/// Largest package database read, bytes.
const DATABASE_LIMIT: usize = 64 << 20;
/// Most of a program read in search of its version, bytes.
const BINARY_LIMIT: usize = 16 << 20;

/// The installed release, from the package database or the text that the program sends as its banner.
pub fn installed(host: &Host, binary: &str) -> Option<(u32, u32)> {
    let database = |path: &str| host.read_text(path, DATABASE_LIMIT).ok();
    database(STATUS)
        .and_then(|text| field(&text, "Package: openssh-server", "Version: ").as_deref().and_then(release))
        .or_else(|| database(ALPINE).and_then(|text| field(&text, "P:openssh-server", "V:").as_deref().and_then(release)))
        .or_else(|| host.read(binary, BINARY_LIMIT).ok().and_then(|bytes| banner(&bytes)))
}

/// A field of the record that starts with, or holds, the line `head`.
fn field(text: &str, head: &str, name: &str) -> Option<String> {
    let start = text.find(&format!("\n{head}\n")).map(|i| i + 1).or_else(|| text.starts_with(&format!("{head}\n")).then_some(0))?;
    text.get(start..)?.lines().take_while(|l| !l.is_empty()).find_map(|l| l.strip_prefix(name)).map(String::from)
}

/// Major and minor of `1:9.2p1-2+deb12u3`.
fn release(version: &str) -> Option<(u32, u32)> {
    let upstream = version.split_once(':').map_or(version, |(_, v)| v);
    let (major, rest) = upstream.split_once(['.', '_'])?;
    let minor: String = rest.chars().take_while(char::is_ascii_digit).collect();
    Some((major.parse().ok()?, minor.parse().ok()?))
}

/// `OpenSSH_9.2p1` in a program.
fn banner(bytes: &[u8]) -> Option<(u32, u32)> {
    const MARK: &[u8] = b"OpenSSH_";
    bytes.windows(MARK.len()).enumerate().filter(|(_, w)| *w == MARK).find_map(|(at, _)| {
        let text = bytes.get(at + MARK.len()..)?;
        let end = text.iter().position(|b| !b.is_ascii_alphanumeric() && *b != b'.').unwrap_or(text.len()).min(16);
        release(std::str::from_utf8(text.get(..end)?).ok()?)
    })
}

/// A written list laid over the defaults: `+` appends, `-` removes by pattern, `^` puts first,
/// anything else replaces (sshd_config(5), `Ciphers`).
pub fn apply(written: &str, defaults: &str) -> Vec<String> {
    let list = |text: &str| text.split(',').map(str::trim).filter(|t| !t.is_empty()).map(String::from).collect::<Vec<_>>();
    let base = list(defaults);
    let mut out: Vec<String> = Vec::new();
    let parts: Vec<String> = match written.chars().next() {
        Some('+') => base.into_iter().chain(list(written.get(1..).unwrap_or(""))).collect(),
        Some('^') => list(written.get(1..).unwrap_or("")).into_iter().chain(base).collect(),
        Some('-') => {
            let removed = list(written.get(1..).unwrap_or(""));
            base.into_iter().filter(|name| !removed.iter().any(|pattern| matches(pattern, name))).collect()
        }
        _ => list(written),
    };
    for part in parts {
        if !out.contains(&part) {
            out.push(part);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_release_is_read_from_packages_and_programs() {
        assert_eq!(release("1:9.2p1-2+deb12u3"), Some((9, 2)));
        assert_eq!(release("10.0_p1-r7"), Some((10, 0)));
        assert_eq!(banner(b"\x7fELF OpenSSH_%s \0OpenSSH_8.7p1\0"), Some((8, 7)));
        assert_eq!(banner(b"OpenSSH_"), None);
        assert_eq!(field("Package: a\nVersion: 1\n\nPackage: openssh-server\nVersion: 2\n", "Package: openssh-server", "Version: ").as_deref(), Some("2"));
    }

    #[test]
    fn lists_are_laid_over_the_defaults() {
        assert_eq!(apply("+c,a", "a,b"), ["a", "b", "c"]);
        assert_eq!(apply("^c,b", "a,b"), ["c", "b", "a"]);
        assert_eq!(apply("-a*", "a1,b,a2"), ["b"]);
        assert_eq!(apply("x,y", "a,b"), ["x", "y"]);
    }
}
