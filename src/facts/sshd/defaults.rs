//! Default algorithm lists of OpenSSH by version, needed where a configuration adds to them or
//! takes from them (`+`, `-`, `^`).
//!
//! Source: `sshd -T` without configuration and myproposal.h of the named releases; the release in
//! force is that of Debian's package, read from dpkg's status file.

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
const KEX_10: &str = "mlkem768x25519-sha256,sntrup761x25519-sha512,sntrup761x25519-sha512@openssh.com,\
    curve25519-sha256,curve25519-sha256@libssh.org,ecdh-sha2-nistp256,ecdh-sha2-nistp384,ecdh-sha2-nistp521";

/// Newest first; nothing older than OpenSSH 8.2 is known.
const RELEASES: [Defaults; 3] = [
    Defaults { since: (10, 0), ciphers: CIPHERS_10, macs: MACS, kex_algorithms: KEX_10 },
    Defaults { since: (9, 0), ciphers: CIPHERS, macs: MACS, kex_algorithms: KEX_9 },
    Defaults { since: (8, 2), ciphers: CIPHERS, macs: MACS, kex_algorithms: KEX_8 },
];

/// Lists of the installed release; `None` when it is not known.
pub fn installed(host: &Host) -> Option<Defaults> {
    let version = debian_version(host)?;
    RELEASES.into_iter().find(|r| version >= r.since)
}

const STATUS: &str = "/var/lib/dpkg/status";
/// Largest package database read, bytes.
const STATUS_LIMIT: usize = 64 << 20;

/// OpenSSH release by the version of package openssh-server, such as `1:9.2p1-2+deb12u3`.
fn debian_version(host: &Host) -> Option<(u32, u32)> {
    let text = host.read_text(STATUS, STATUS_LIMIT).ok()?;
    let start = text.find("\nPackage: openssh-server\n").map(|i| i + 1).or_else(|| text.starts_with("Package: openssh-server\n").then_some(0))?;
    let version = text.get(start..)?.lines().take_while(|l| !l.is_empty()).find_map(|l| l.strip_prefix("Version: "))?;
    let upstream = version.split_once(':').map_or(version, |(_, v)| v);
    let (major, rest) = upstream.split_once('.')?;
    let minor: String = rest.chars().take_while(char::is_ascii_digit).collect();
    Some((major.parse().ok()?, minor.parse().ok()?))
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
    fn lists_are_laid_over_the_defaults() {
        assert_eq!(apply("+c,a", "a,b"), ["a", "b", "c"]);
        assert_eq!(apply("^c,b", "a,b"), ["c", "b", "a"]);
        assert_eq!(apply("-a*", "a1,b,a2"), ["b"]);
        assert_eq!(apply("x,y", "a,b"), ["x", "y"]);
    }
}
