//! Cipher suites: what we offer, and their names.

use std::collections::HashMap;
use std::sync::LazyLock;

/// Names by code; source and date stand in the file.
const NAMES: &str = include_str!("../../../rules/data/tls-cipher-suites.csv");

/// Suites of TLS 1.3 (RFC 8446 appendix B.4).
pub const TLS13: &[u16] = &[0x1301, 0x1302, 0x1303, 0x1304, 0x1305];

/// Suites of SSL 3.0 to TLS 1.2, sound ones first and those without a certificate last, so that a
/// server which follows us shows its certificate.
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

/// Cipher kinds of SSL 2.0, three bytes each (draft-hickman-netscape-ssl).
pub const SSL2: &[[u8; 3]] = &[[1, 0, 0x80], [2, 0, 0x80], [3, 0, 0x80], [4, 0, 0x80], [5, 0, 0x80], [6, 0, 0x40], [7, 0, 0xc0]];

/// The IANA name, or `0x….`.
pub fn name(code: u16) -> String {
    static TABLE: LazyLock<HashMap<u16, &'static str>> = LazyLock::new(|| {
        let rows = NAMES.lines().filter(|l| l.starts_with("0x"));
        rows.filter_map(|row| row.split_once(',')).filter_map(|(code, name)| Some((u16::from_str_radix(code.get(2..)?, 16).ok()?, name))).collect()
    });
    TABLE.get(&code).map_or_else(|| format!("0x{code:04x}"), ToString::to_string)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_suite_we_offer_has_a_name_and_is_offered_once() {
        let mut all: Vec<u16> = TLS13.iter().chain(LEGACY).copied().collect();
        for code in &all {
            assert!(name(*code).starts_with("TLS_"), "{code:#06x}");
        }
        let count = all.len();
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), count);
        assert_eq!(name(0xc02f), "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256");
        assert_eq!(name(0xfafa), "0xfafa");
    }
}
