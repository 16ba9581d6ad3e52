//! Names by wire code, and the order in which codes are offered.

use std::collections::BTreeMap;
use std::sync::LazyLock;

/// Rows `code,name[,…]`; source and date stand in each file.
const SUITES: &str = include_str!("../../../rules/data/tls-cipher-suites.csv");
const GROUPS: &str = include_str!("../../../rules/data/tls-groups.csv");
const SIGNATURES: &str = include_str!("../../../rules/data/tls-signature-schemes.csv");

/// Suites of TLS 1.3: RFC 8446 appendix B.4, then AEGIS, SM4 (RFC 8998) and integrity only (RFC 9150).
pub const TLS13: &[u16] = &[0x1301, 0x1302, 0x1303, 0x1304, 0x1305, 0x1306, 0x1307, 0x00c6, 0x00c7, 0xc0b4, 0xc0b5];

/// Common suites of SSL 3.0 to TLS 1.2, sound ones first and those without a certificate last, so
/// that a server which follows us shows its certificate.
pub const LEGACY: &[u16] = &[
    // ECDHE and DHE with AEAD
    0xc02b, 0xc02f, 0xc02c, 0xc030, 0xcca9, 0xcca8, 0xc0ac, 0xc0ad, 0xc0ae, 0xc0af, 0x009e, 0x009f, 0xccaa, 0xc09e, 0xc09f, 0x00a2, 0x00a3,
    // ECDHE and DHE with CBC
    0xc023, 0xc027, 0xc024, 0xc028, 0xc009, 0xc013, 0xc00a, 0xc014, 0x0067, 0x006b, 0x0033, 0x0039, 0x0040, 0x006a, 0x0032, 0x0038, 0x0045, 0x0088, 0x0044,
    0x0087, 0xc072, 0xc073, 0xc076, 0xc077, 0x009a, 0x0099, // RSA and static ECDH
    0x009c, 0x009d, 0xc09c, 0xc09d, 0x003c, 0x003d, 0x002f, 0x0035, 0x0041, 0x0084, 0x00ba, 0x00c0, 0x0096, 0x0007, 0xc02d, 0xc02e, 0xc031, 0xc032, 0xc004,
    0xc005, 0xc00e, 0xc00f, // 3DES, RC4, DES
    0xc008, 0xc012, 0x0016, 0x0013, 0x000a, 0xc003, 0xc00d, 0xc007, 0xc011, 0x0005, 0x0004, 0xc002, 0xc00c, 0x0015, 0x0012, 0x0009, // EXPORT
    0x0003, 0x0006, 0x0008, 0x0011, 0x0014, 0x0062, 0x0064, // NULL
    0xc006, 0xc010, 0xc001, 0xc00b, 0x003b, 0x0002, 0x0001, // anonymous
    0x00a6, 0x00a7, 0x006c, 0x006d, 0x0034, 0x003a, 0x0046, 0x0089, 0xc018, 0xc019, 0xc017, 0xc016, 0x001b, 0x0018, 0x001a, 0x0017, 0x0019, 0xc015,
];

/// Groups offered with TLS 1.3, hybrids first.
pub const GROUPS13: &[u16] = &[
    0x11ec, 0x11eb, 0x11ed, 0x6399, 0x639a, 29, 23, 24, 25, 30, 0x0200, 0x0201, 0x0202, 256, 257, 258, 259, 260, 31, 32, 33, 41, 0x11ee, 34, 35, 36, 37, 38,
    39, 40,
];

/// Groups offered with TLS 1.2 and before, primes last (RFC 7919).
pub const GROUPS12: &[u16] =
    &[29, 23, 24, 25, 30, 22, 26, 27, 28, 21, 20, 19, 18, 17, 16, 15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 256, 257, 258, 259, 260];

/// Whether a group is a prime of RFC 7919.
pub const fn is_prime(group: u16) -> bool {
    matches!(group, 256..=260)
}

/// Signature schemes offered, legacy ones last.
pub const SCHEMES: &[u16] = &[
    0x0403, 0x0503, 0x0603, 0x0807, 0x0808, 0x0804, 0x0805, 0x0806, 0x0809, 0x080a, 0x080b, 0x0401, 0x0501, 0x0601, 0x081a, 0x081b, 0x081c, 0x0904, 0x0905,
    0x0906, 0x0708, 0x0303, 0x0301, 0x0402, 0x0502, 0x0602, 0x0302, 0x0203, 0x0201, 0x0202, 0x0101, 0x0103,
];

/// Cipher kinds of SSL 2.0 (draft-hickman-netscape-ssl), three bytes each.
pub const SSL2: &[(u32, &str)] = &[
    (0x01_0080, "SSL_CK_RC4_128_WITH_MD5"),
    (0x02_0080, "SSL_CK_RC4_128_EXPORT40_WITH_MD5"),
    (0x03_0080, "SSL_CK_RC2_128_CBC_WITH_MD5"),
    (0x04_0080, "SSL_CK_RC2_128_CBC_EXPORT40_WITH_MD5"),
    (0x05_0080, "SSL_CK_IDEA_128_CBC_WITH_MD5"),
    (0x06_0040, "SSL_CK_DES_64_CBC_WITH_MD5"),
    (0x07_00c0, "SSL_CK_DES_192_EDE3_CBC_WITH_MD5"),
    (0x08_0080, "SSL_CK_RC4_64_WITH_MD5"),
];

/// The IANA name of a suite, or `0x….`.
pub fn suite(code: u16) -> String {
    static TABLE: LazyLock<BTreeMap<u16, &str>> = LazyLock::new(|| table(SUITES));
    named(&TABLE, code)
}

/// The name of an SSL 2.0 cipher kind, or `0x……`.
pub fn ssl2_kind(code: u32) -> String {
    SSL2.iter().find(|k| k.0 == code).map_or_else(|| format!("0x{code:06x}"), |k| k.1.into())
}

/// The IANA name of a group, or `0x….`.
pub fn group(code: u16) -> String {
    static TABLE: LazyLock<BTreeMap<u16, &str>> = LazyLock::new(|| table(GROUPS));
    named(&TABLE, code)
}

/// Size of a group, bits: order of the curve, size of the prime, or the category of the module; 0 when not known.
pub fn group_bits(code: u16) -> u32 {
    static TABLE: LazyLock<BTreeMap<u16, u32>> = LazyLock::new(|| {
        let rows = rows(GROUPS).filter_map(|(code, rest)| Some((code, rest.split_once(',')?.1.parse().ok()?)));
        rows.collect()
    });
    TABLE.get(&code).copied().unwrap_or(0)
}

/// The IANA name of a signature scheme, or `0x….`.
pub fn scheme(code: u16) -> String {
    static TABLE: LazyLock<BTreeMap<u16, &str>> = LazyLock::new(|| table(SIGNATURES));
    named(&TABLE, code)
}

/// Key exchange and authentication of a suite of TLS 1.2 or before: the words of its name before `_WITH_`,
/// such as `ECDHE_RSA` or `RSA_EXPORT`; empty for other suites.
pub fn key_exchange(code: u16) -> String {
    let name = suite(code);
    let name = name.strip_prefix("OLD_").unwrap_or(&name);
    name.strip_prefix("TLS_").and_then(|n| n.split_once("_WITH_")).map_or_else(String::new, |(exchange, _)| exchange.to_string())
}

/// Every registered suite that is not offered otherwise: pre-shared keys, SRP, Kerberos, ARIA, Camellia, GOST.
pub fn rare_suites() -> Vec<u16> {
    rows(SUITES).map(|(code, _)| code).filter(|c| !LEGACY.contains(c) && !TLS13.contains(c) && !is_signal(*c)).collect()
}

/// Not suites: the initial state (RFC 5246), renegotiation (RFC 5746) and fallback (RFC 7507) signals.
fn is_signal(code: u16) -> bool {
    matches!(code, 0x0000 | 0x00ff | 0x5600)
}

fn named(table: &BTreeMap<u16, &str>, code: u16) -> String {
    table.get(&code).map_or_else(|| format!("0x{code:04x}"), ToString::to_string)
}

fn table(text: &'static str) -> BTreeMap<u16, &'static str> {
    rows(text).map(|(code, rest)| (code, rest.split_once(',').map_or(rest, |(name, _)| name))).collect()
}

fn rows(text: &'static str) -> impl Iterator<Item = (u16, &'static str)> {
    let rows = text.lines().filter_map(|row| row.strip_prefix("0x")?.split_once(','));
    rows.filter_map(|(code, rest)| Some((u16::from_str_radix(code, 16).ok()?, rest)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_we_offer_has_a_name_and_is_offered_once() {
        let rare = rare_suites();
        type Named<'a> = (&'a [u16], fn(u16) -> String);
        let lists: [Named<'_>; 5] = [(TLS13, suite), (LEGACY, suite), (&rare, suite), (GROUPS13, group), (SCHEMES, scheme)];
        for (list, name) in lists {
            let mut sorted = list.to_vec();
            sorted.sort_unstable();
            sorted.dedup();
            assert_eq!(sorted.len(), list.len());
            for code in list {
                assert!(!name(*code).starts_with("0x"), "{code:#06x}");
            }
        }
        // The initial state is registered, the signals are not suites of the file.
        assert_eq!(TLS13.len() + LEGACY.len() + rare.len() + rows(SUITES).filter(|r| is_signal(r.0)).count(), rows(SUITES).count());
        assert!(GROUPS12.iter().chain(GROUPS13).all(|g| group_bits(*g) >= 128));
        assert_eq!((suite(0xc02f).as_str(), suite(0xfafa).as_str()), ("TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256", "0xfafa"));
        assert_eq!((group(0x11ec).as_str(), group_bits(256)), ("X25519MLKEM768", 2048));
    }

    #[test]
    fn the_key_exchange_is_told_from_the_name() {
        for (code, exchange) in [(0xc02f, "ECDHE_RSA"), (0x0003, "RSA_EXPORT"), (0x0018, "DH_anon"), (0xcc13, "ECDHE_RSA"), (0x1301, ""), (0xfafa, "")] {
            assert_eq!(key_exchange(code), exchange);
        }
    }
}
