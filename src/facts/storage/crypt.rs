//! Mappings of dm-crypt: cipher, key and what unlocks them.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::view::{View, node_of};
use crate::host::ReadError;
use crate::host::block::crypttab::{CRYPTTAB, Mapping};
use crate::host::block::device::Tracer;
use crate::host::block::luks::{self, Luks};
use crate::model::fact::Source;
use crate::model::gap::{Gaps, reason};

/// Most mappings looked at.
const MAPPING_LIMIT: usize = 4096;

/// One encrypted mapping, open or named in crypttab.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Crypt {
    /// Name below `/dev/mapper`.
    pub subject: String,
    /// `luks1`, `luks2`, `luks` (header not read), `plain`, `tcrypt` or `bitlk`.
    pub kind: String,
    /// Device or file that it maps.
    pub device: String,
    /// Whether the running kernel has it; `false` for a root folder.
    pub open: bool,
    /// Cipher as dm-crypt spells it, such as `aes-xts-plain64`; empty when it could not be read.
    pub cipher: String,
    /// Its algorithm, such as `aes` or `cipher_null`.
    pub algorithm: String,
    /// Its chaining mode, such as `xts`, `cbc`, `ecb`.
    pub mode: String,
    /// How its initial vectors are made, such as `plain64` or `essiv`.
    pub iv: String,
    /// Bits of the volume key (`xts` uses half of them for the tweak); 0 when it could not be read.
    pub key_bits: u64,
    /// `header`, `crypttab`, `default` (crypttab names none, cryptsetup's own holds); empty when it could not be read.
    pub cipher_from: String,
    /// Key slots in use, by number.
    pub key_slots: Vec<KeySlot>,
    /// Types of tokens in the header, such as `systemd-tpm2` or `clevis`.
    pub tokens: Vec<String>,
    /// What crypttab unlocks it with besides a typed passphrase: `key file`, `random key`, `tpm2`, `fido2`, `pkcs11`, `program …`.
    pub unlocked_by: Vec<String>,
    /// The line of crypttab, else the kernel's folder of the mapping.
    pub source: Source,
}

/// One key slot of a header.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct KeySlot {
    /// Number.
    pub number: u64,
    /// `pbkdf2`, `argon2i` or `argon2id`.
    pub kdf: String,
    /// Iterations of PBKDF2 or passes of Argon2.
    pub iterations: u64,
    /// Memory of Argon2, KiB.
    pub memory_kib: u64,
    /// Type of the token that fills it with a random secret; empty when a person or a key file does.
    pub token: String,
}

/// Every mapping, by name.
pub fn gather(view: &View<'_>, gaps: &mut Gaps) -> Vec<Crypt> {
    let mut out: BTreeMap<String, Crypt> = BTreeMap::new();
    if let View::Kernel { .. } = view {
        open_mappings(view, gaps, &mut out);
    }
    for mapping in view.mappings().iter().take(MAPPING_LIMIT) {
        let source = Source::line(CRYPTTAB, mapping.line, mapping.name.clone());
        if let Some(crypt) = out.get_mut(&mapping.name) {
            crypt.source = source;
            crypt.unlocked_by = mapping.unlocked_by();
            continue;
        }
        let header = if mapping.kind() == "plain" { Ok(None) } else { closed_header(view, mapping) };
        let crypt = Crypt { unlocked_by: mapping.unlocked_by(), ..described(view, &mapping.name, mapping.kind(), &mapping.device, source, header, gaps) };
        out.insert(mapping.name.clone(), crypt);
    }
    out.into_values().collect()
}

fn open_mappings(view: &View<'_>, gaps: &mut Gaps, out: &mut BTreeMap<String, Crypt>) {
    let View::Kernel { host, mounts, mappings, .. } = view else {
        return;
    };
    let entries = match host.list("/sys/class/block") {
        Ok(entries) => entries,
        Err(e) if e.is_not_found() => Vec::new(),
        Err(e) => return gaps.add(e.to_gap("storage", "crypt", "")),
    };
    for entry in entries.iter().filter(|e| e.name.starts_with("dm-")).take(MAPPING_LIMIT) {
        let place = format!("/sys/class/block/{}", entry.name);
        let read = |file: &str| host.read_text(&format!("{place}/{file}"), 4096).unwrap_or_default().trim().to_string();
        let (uuid, name, number) = (read("dm/uuid"), read("dm/name"), read("dev"));
        let mut words = uuid.split('-');
        let kind = match (words.next(), words.next()) {
            (Some("CRYPT"), Some(kind @ ("LUKS1" | "LUKS2" | "PLAIN" | "TCRYPT" | "BITLK" | "FVAULT2" | "LOOPAES"))) => kind.to_ascii_lowercase(),
            _ => continue,
        };
        let mut tracer = Tracer::new(host, mounts, mappings);
        let layer = tracer.device(&number, 0);
        let header = if kind.starts_with("luks") { tracer.header(&name, &layer.below) } else { Ok(None) };
        let device = layer.below.first().map(|l| l.name.clone()).unwrap_or_default();
        let crypt = described(view, &name, &kind, &device, Source::whole(format!("{place}/dm/uuid")), header, gaps);
        out.insert(name, Crypt { open: true, ..crypt });
    }
}

fn closed_header(view: &View<'_>, mapping: &Mapping) -> Result<Option<(Luks, String)>, ReadError> {
    match view {
        View::Configuration { tables, .. } => tables.header(mapping),
        View::Kernel { host, .. } => {
            let path = mapping.header().map(String::from).or_else(|| node_of(host, &mapping.device));
            match path {
                Some(path) => Ok(luks::read(host, &path)?.map(|l| (l, path))),
                None => Ok(None),
            }
        }
    }
}

fn described(
    view: &View<'_>,
    name: &str,
    kind: &str,
    device: &str,
    source: Source,
    header: Result<Option<(Luks, String)>, ReadError>,
    gaps: &mut Gaps,
) -> Crypt {
    let mut crypt = Crypt {
        subject: name.into(),
        kind: kind.into(),
        device: device.into(),
        open: false,
        cipher: String::new(),
        algorithm: String::new(),
        mode: String::new(),
        iv: String::new(),
        key_bits: 0,
        cipher_from: String::new(),
        key_slots: Vec::new(),
        tokens: Vec::new(),
        unlocked_by: Vec::new(),
        source,
    };
    match header {
        Ok(Some((luks, _))) => fill(&mut crypt, luks),
        Ok(None) if kind == "plain" => plain(view, &mut crypt, gaps),
        Ok(None) => {
            let (id, why) = match view {
                View::Configuration { .. } => (reason::NEEDS_LIVE_KERNEL, format!("the header of {device} is not in the root folder")),
                View::Kernel { .. } => (reason::MISSING, format!("no LUKS header on {device}; it may be kept elsewhere")),
            };
            note(gaps, name, id, &why);
        }
        Err(e) => {
            for path in ["crypt.cipher", "crypt.key_slots"] {
                gaps.add(e.to_gap("storage", path, name));
            }
        }
    }
    (crypt.algorithm, crypt.mode, crypt.iv) = luks::parts(&crypt.cipher);
    crypt
}

fn note(gaps: &mut Gaps, name: &str, id: &str, why: &str) {
    for path in ["crypt.cipher", "crypt.key_slots"] {
        gaps.note("storage", path, name, id, why, "Show by `cryptsetup luksDump` of the header which cipher it uses.");
    }
}

fn fill(crypt: &mut Crypt, luks: Luks) {
    crypt.kind = format!("luks{}", luks.version);
    // A null cipher is left out of the shown cipher of some headers.
    crypt.cipher = luks.cipher;
    crypt.key_bits = luks.key_bits;
    crypt.cipher_from = "header".into();
    crypt.tokens = luks.tokens;
    let slots = luks.slots.into_iter();
    crypt.key_slots = slots.map(|s| KeySlot { number: s.number, kdf: s.kdf, iterations: s.iterations, memory_kib: s.memory_kib, token: s.token }).collect();
}

/// crypttab tells the cipher of a plain mapping; the kernel would tell it with the key.
fn plain(view: &View<'_>, crypt: &mut Crypt, gaps: &mut Gaps) {
    match view.mappings().iter().find(|m| m.name == crypt.subject) {
        Some(mapping) => {
            crypt.cipher = mapping.cipher().unwrap_or_default().into();
            crypt.cipher_from = if crypt.cipher.is_empty() { "default" } else { "crypttab" }.into();
            // cryptsetup's own default has been 256 bits since 1.0.
            crypt.key_bits = if mapping.key_bits() == 0 { 256 } else { mapping.key_bits() };
        }
        None => {
            let why = format!("the cipher of the plain mapping {} is not in crypttab", crypt.subject);
            gaps.note("storage", "crypt.cipher", &crypt.subject, reason::MISSING, why, "Show it by `cryptsetup status`.");
        }
    }
}
