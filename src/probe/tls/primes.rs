//! Published primes of Diffie-Hellman.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use ring::digest::{SHA256, digest};

/// Rows `sha256,name`; the sources stand in the file.
const NAMES: &str = include_str!("../../../rules/data/dh-primes.csv");

/// Name of the group that a prime (big-endian, without leading zeros) was published with; empty for others.
pub fn name(prime: &[u8]) -> &'static str {
    static TABLE: LazyLock<BTreeMap<&str, &str>> = LazyLock::new(|| NAMES.lines().filter(|l| !l.starts_with('#')).filter_map(|l| l.split_once(',')).collect());
    let fingerprint: String = digest(&SHA256, prime).as_ref().iter().map(|b| format!("{b:02x}")).collect();
    TABLE.get(fingerprint.as_str()).copied().unwrap_or("")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oakley_prime_is_known_by_its_bytes() {
        // RFC 2409 section 6.1.
        let hex = "FFFFFFFFFFFFFFFFC90FDAA22168C234C4C6628B80DC1CD129024E088A67CC74020BBEA63B139B22514A08798E3404DDEF9519B3CD3A431B302B0A6DF25F14374FE1356D6D51C245E485B576625E7EC6F44C42E9A63A3620FFFFFFFFFFFFFFFF";
        let prime: Vec<u8> = (0..hex.len()).step_by(2).map(|i| u8::from_str_radix(&hex[i..i + 2], 16).unwrap()).collect();
        assert_eq!(name(&prime), "modp768");
        assert_eq!(name(&prime[1..]), "");
    }
}
