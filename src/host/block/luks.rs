//! Headers of LUKS volumes (LUKS On-Disk Format Specification 1.2.3; LUKS2 specification 1.1.0).

use crate::host::{Host, ReadError};

/// Largest LUKS2 header, bytes (section 2.1: 4 MiB).
const HEADER_LIMIT: u64 = 4 << 20;
/// The binary head of both versions fits, bytes.
const HEAD: usize = 4096;

/// What a header says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Luks {
    /// 1 or 2.
    pub version: u16,
    /// UUID with hyphens.
    pub uuid: String,
    /// Cipher, such as `aes-xts-plain64`; empty when the header names none.
    pub cipher: String,
    /// Bits of the volume key.
    pub key_bits: u64,
    /// Whether some of the data is not encrypted (null cipher, encryption or decryption under way).
    pub partly_plain: bool,
    /// Key slots in use.
    pub slots: Vec<Slot>,
    /// Types of tokens that can unlock it, such as `systemd-tpm2` or `clevis`.
    pub tokens: Vec<String>,
}

/// One key slot.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Slot {
    /// Number.
    pub number: u64,
    /// `pbkdf2`, `argon2i` or `argon2id`; empty when the header names none.
    pub kdf: String,
    /// Iterations of PBKDF2 or passes of Argon2.
    pub iterations: u64,
    /// Memory of Argon2, KiB.
    pub memory_kib: u64,
    /// Type of the token that fills it; empty when a person or a key file does.
    pub token: String,
}

/// Most slots and tokens kept (cryptsetup allows 32 of each).
const SLOT_LIMIT: usize = 64;

impl Luks {
    /// Such as `LUKS2 aes-xts-plain64 512 bit`.
    pub fn shown(&self) -> String {
        let mut out = format!("LUKS{}", self.version);
        if !self.cipher.is_empty() {
            out.push_str(&format!(" {}", self.cipher));
        }
        if self.key_bits > 0 {
            out.push_str(&format!(" {} bit", self.key_bits));
        }
        if self.cipher.contains("null") {
            out.push_str(", which writes data as it is");
        } else if self.partly_plain {
            out.push_str(", not all of it encrypted");
        }
        out
    }
}

/// Reads the header of a device or file: `None` when there is none.
pub fn read(host: &Host, path: &str) -> Result<Option<Luks>, ReadError> {
    let head = host.read_head(path, HEAD)?;
    let Some(length) = header_length(&head) else {
        return Ok(None);
    };
    if length <= head.len() {
        return Ok(parse(&head));
    }
    Ok(parse(&host.read_head(path, length)?))
}

fn header_length(head: &[u8]) -> Option<usize> {
    if !head.starts_with(b"LUKS\xba\xbe") {
        return None;
    }
    let size = match number(head, 6, 2)? {
        2 => number(head, 8, 8)?,
        _ => 0,
    };
    usize::try_from(size.min(HEADER_LIMIT)).ok()
}

/// Parses a whole header.
pub fn parse(header: &[u8]) -> Option<Luks> {
    header_length(header)?;
    match number(header, 6, 2)? {
        1 => parse_1(header),
        2 => parse_2(header),
        _ => None,
    }
}

fn parse_1(header: &[u8]) -> Option<Luks> {
    let (name, mode) = (text(header, 8, 32)?, text(header, 40, 32)?);
    let uuid = text(header, 168, 40)?;
    let partly_plain = name.contains("null");
    let key_bits = number(header, 108, 4)?.saturating_mul(8);
    Some(Luks { version: 1, uuid, cipher: format!("{name}-{mode}"), key_bits, partly_plain, slots: slots_1(header), tokens: Vec::new() })
}

/// Eight slots of 48 bytes behind the head; an active one is marked.
fn slots_1(header: &[u8]) -> Vec<Slot> {
    const ACTIVE: u64 = 0x00AC_71F3;
    let slot = |n: usize| {
        let at = 208 + n * 48;
        let active = number(header, at, 4)? == ACTIVE;
        active.then_some(Slot { number: n as u64, kdf: "pbkdf2".into(), iterations: number(header, at + 4, 4)?, ..Slot::default() })
    };
    (0..8).filter_map(slot).collect()
}

fn parse_2(header: &[u8]) -> Option<Luks> {
    let size = usize::try_from(number(header, 8, 8)?.min(HEADER_LIMIT)).ok()?;
    let area = header.get(HEAD..size.min(header.len()))?;
    let json = area.split(|b| *b == 0).next()?;
    let value: serde_json::Value = serde_json::from_slice(json).ok()?;
    let segments = value.get("segments")?.as_object()?;
    let uuid = text(header, 168, 40)?;
    let mut luks = Luks { version: 2, uuid, cipher: String::new(), key_bits: 0, partly_plain: false, slots: Vec::new(), tokens: Vec::new() };
    for segment in segments.values() {
        let backup = segment.get("flags").and_then(|f| f.as_array()).is_some_and(|f| f.iter().filter_map(|v| v.as_str()).any(|v| v.starts_with("backup")));
        if backup {
            continue;
        }
        let cipher = segment.get("encryption").and_then(|v| v.as_str()).unwrap_or_default();
        match segment.get("type").and_then(|v| v.as_str()) {
            Some("crypt" | "hw-opal-crypt") => {
                let null = cipher.contains("null");
                luks.partly_plain |= null;
                if luks.cipher.is_empty() || null {
                    luks.cipher = cipher.into();
                }
            }
            Some("hw-opal") => luks.cipher = "opal (by the disk)".into(),
            _ => luks.partly_plain = true,
        }
    }
    luks.partly_plain |= luks.cipher.is_empty();
    let slots = value.get("keyslots").and_then(|k| k.as_object());
    let slot = slots.and_then(|s| s.values().find(|k| k.get("type").and_then(|t| t.as_str()) == Some("luks2")));
    luks.key_bits = slot.and_then(|s| s.get("key_size")).and_then(serde_json::Value::as_u64).unwrap_or(0).saturating_mul(8);
    tokens_and_slots(&value, &mut luks);
    Some(luks)
}

fn tokens_and_slots(value: &serde_json::Value, luks: &mut Luks) {
    let word = |v: &serde_json::Value, key: &str| v.get(key).and_then(|w| w.as_str()).unwrap_or_default().chars().take(64).collect::<String>();
    let items = |key: &str| value.get(key).and_then(|v| v.as_object()).into_iter().flatten().take(SLOT_LIMIT);
    let mut filled: Vec<(String, String)> = Vec::new();
    for (_, token) in items("tokens") {
        let kind = word(token, "type");
        for slot in token.get("keyslots").and_then(|k| k.as_array()).into_iter().flatten().take(SLOT_LIMIT) {
            filled.push((slot.as_str().unwrap_or_default().to_string(), kind.clone()));
        }
        luks.tokens.push(kind);
    }
    for (name, slot) in items("keyslots") {
        // Slots that hold no key for the data (`reencrypt`, unbound ones) unlock nothing.
        if word(slot, "type") != "luks2" {
            continue;
        }
        let kdf = slot.get("kdf").cloned().unwrap_or_default();
        let count = |key: &str| kdf.get(key).and_then(serde_json::Value::as_u64);
        luks.slots.push(Slot {
            number: name.parse().unwrap_or(u64::MAX),
            kdf: word(&kdf, "type"),
            iterations: count("iterations").or_else(|| count("time")).unwrap_or(0),
            memory_kib: count("memory").unwrap_or(0),
            token: filled.iter().find(|(slot, _)| slot == name).map(|(_, kind)| kind.clone()).unwrap_or_default(),
        });
    }
    luks.slots.sort_by_key(|s| s.number);
    luks.tokens.sort();
}

/// Algorithm, chaining mode and initial vector of a dm-crypt cipher, such as `aes`, `xts`, `plain64`;
/// also in the kernel's own notation `capi:xts(aes)-plain64`.
pub fn parts(cipher: &str) -> (String, String, String) {
    if cipher.is_empty() || cipher.starts_with("opal") {
        return (cipher.into(), String::new(), String::new());
    }
    let (spec, iv) = match cipher.strip_prefix("capi:") {
        Some(spec) => spec.rsplit_once('-').unwrap_or((spec, "")),
        None => {
            let mut words = cipher.splitn(3, '-');
            let (algorithm, mode, iv) = (words.next().unwrap_or_default(), words.next().unwrap_or_default(), words.next().unwrap_or_default());
            // dm-crypt reads a lone algorithm, or one with `plain` behind it, as CBC with plain vectors.
            if matches!(mode, "" | "plain") {
                return (algorithm.into(), "cbc".into(), "plain".into());
            }
            return (algorithm.to_string(), mode.to_string(), iv.split(':').next().unwrap_or_default().to_string());
        }
    };
    let (mode, rest) = spec.split_once('(').unwrap_or(("", spec));
    (rest.split([')', ',']).next().unwrap_or_default().to_string(), mode.to_string(), iv.split(':').next().unwrap_or_default().to_string())
}

/// Big-endian number of at most 8 bytes.
fn number(bytes: &[u8], at: usize, length: usize) -> Option<u64> {
    Some(bytes.get(at..at.checked_add(length)?)?.iter().fold(0, |n, b| n << 8 | u64::from(*b)))
}

/// Text up to the first NUL.
fn text(bytes: &[u8], at: usize, length: usize) -> Option<String> {
    let field = bytes.get(at..at.checked_add(length)?)?;
    Some(String::from_utf8_lossy(field.split(|b| *b == 0).next()?).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn luks2(json: &str) -> Vec<u8> {
        let mut header = vec![0; 16384];
        header[..6].copy_from_slice(b"LUKS\xba\xbe");
        header[7] = 2;
        header[8..16].copy_from_slice(&16384u64.to_be_bytes());
        header[168..172].copy_from_slice(b"1-2-");
        header[4096..4096 + json.len()].copy_from_slice(json.as_bytes());
        header
    }

    #[test]
    fn version_2_names_cipher_and_key() {
        let json = r#"{"keyslots":{"0":{"type":"luks2","key_size":64}},"segments":{"0":{"type":"crypt","encryption":"aes-xts-plain64"}}}"#;
        let luks = parse(&luks2(json)).unwrap();
        assert_eq!((luks.shown().as_str(), luks.uuid.as_str()), ("LUKS2 aes-xts-plain64 512 bit", "1-2-"));
    }

    /// Made by cryptsetup 2.6.1 (`luksFormat --type luks1|luks2` of an empty file) on 2026-11-22.
    #[test]
    fn real_headers() {
        let two = parse(include_bytes!("../../../tests/vectors/luks2-header.bin")).unwrap();
        assert_eq!((two.shown().as_str(), two.uuid.as_str()), ("LUKS2 aes-xts-plain64 512 bit", "02f3abea-2b21-4bc9-b581-2434f4e171d9"));
        let one = parse(include_bytes!("../../../tests/vectors/luks1-header.bin")).unwrap();
        assert_eq!((one.shown().as_str(), one.uuid.len(), one.partly_plain), ("LUKS1 aes-xts-plain64 512 bit", 36, false));
        assert!(one.slots.iter().all(|s| s.kdf == "pbkdf2" && s.iterations >= 1000) && one.slots.len() == 1, "{:?}", one.slots);
        assert_eq!(two.slots.len(), 1);
    }

    #[test]
    fn slots_name_their_token() {
        let json = r#"{"keyslots":{"1":{"type":"luks2","key_size":64,"kdf":{"type":"pbkdf2","iterations":1000}},
            "0":{"type":"luks2","key_size":64,"kdf":{"type":"argon2id","time":4,"memory":1048576,"cpus":4}},"2":{"type":"reencrypt"}},
            "tokens":{"0":{"type":"systemd-tpm2","keyslots":["1"]}},"segments":{"0":{"type":"crypt","encryption":"aes-xts-plain64"}}}"#;
        let luks = parse(&luks2(json)).unwrap();
        let slot = |number, kdf: &str, iterations, memory_kib, token: &str| Slot { number, kdf: kdf.into(), iterations, memory_kib, token: token.into() };
        assert_eq!(luks.slots, [slot(0, "argon2id", 4, 1_048_576, ""), slot(1, "pbkdf2", 1000, 0, "systemd-tpm2")]);
        assert_eq!(luks.tokens, ["systemd-tpm2"]);
    }

    #[test]
    fn ciphers_have_three_parts() {
        let shown = |c: &str| {
            let (algorithm, mode, iv) = parts(c);
            format!("{algorithm} {mode} {iv}")
        };
        assert_eq!(shown("aes-xts-plain64"), "aes xts plain64");
        assert_eq!(shown("aes-cbc-essiv:sha256"), "aes cbc essiv");
        assert_eq!(shown("capi:xts(aes)-plain64"), "aes xts plain64");
        assert_eq!(shown("cipher_null-ecb"), "cipher_null ecb ");
        assert_eq!(shown("xchacha12,aes-adiantum-plain64"), "xchacha12,aes adiantum plain64");
        assert_eq!((shown("").as_str(), shown("aes").as_str(), shown("aes-plain").as_str()), ("  ", "aes cbc plain", "aes cbc plain"));
    }

    #[test]
    fn null_ciphers_and_halves_are_not_encryption() {
        let null = r#"{"segments":{"0":{"type":"crypt","encryption":"cipher_null-ecb"}}}"#;
        let half = r#"{"segments":{"0":{"type":"crypt","encryption":"aes-xts-plain64"},"1":{"type":"linear"},"2":{"type":"linear","flags":["backup-final"]}}}"#;
        assert!(parse(&luks2(null)).unwrap().partly_plain);
        assert!(parse(&luks2(half)).unwrap().partly_plain);
    }

    #[test]
    fn no_cut_or_changed_header_panics() {
        let json = r#"{"segments":{"0":{"type":"crypt","encryption":"aes-xts-plain64"}}}"#;
        let header = luks2(json);
        for end in (0..300).chain(4090..4200) {
            let _ = parse(&header[..end]);
        }
        for i in (0..256).chain(4096..4200) {
            for value in [0, 0xff, b'"'] {
                let mut changed = header.clone();
                changed[i] = value;
                let _ = parse(&changed);
            }
        }
        assert_eq!(parse(b"LUKS\xba\xbe\0\x01"), None);
    }
}
