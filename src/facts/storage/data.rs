//! Folders whose protection matters, each traced to encrypted or not.

use std::collections::BTreeSet;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::discover::{self, Found};
use super::view::View;
use super::{Link, flatten};
use crate::host::FileKind;
use crate::host::block::layer::{Encrypted, Layer};
use crate::model::fact::Source;
use crate::model::gap::{Gaps, reason};
use crate::model::redact;

/// Most home folders looked at one by one.
const HOMES: usize = 1024;

/// One folder or file that keeps data.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Data {
    /// The path as declared or configured; `hibernation DEVICE` for the image of suspend to disk.
    pub subject: String,
    /// `customer-data`, `database`, `backup`, `home`, `logs`, `swap`, `hibernation` or `other`.
    pub class: String,
    /// `declared`, or the program whose data it is, such as `postgresql`, `mysql`, `docker`, `system`.
    pub discovered_by: String,
    /// Whether something is at the path.
    pub exists: bool,
    /// The path with every link followed; the device for hibernation.
    pub real_path: String,
    /// Mount point of the file system that holds it; empty when none is known.
    pub mount: String,
    /// `yes`, `no` or `unknown`, with what is mounted below it.
    pub encrypted: String,
    /// What decides.
    pub why: String,
    /// How the operator declares that a layer below the machine encrypts it; never observed. Empty: not declared.
    pub encrypted_by_declaration: String,
    /// `encrypted`, `plaintext` or `unknown` for a network file system; empty for a local one.
    pub transport: String,
    /// From the path down to the hardware, one element a layer; mounts below it begin at depth 0 again.
    pub chain: Vec<Link>,
    /// Where the path was read; the declaration names no file of the machine and has none.
    pub source: Source,
}

/// Declared and discovered paths, by subject.
pub fn gather(view: &View<'_>, gaps: &mut Gaps) -> Vec<Data> {
    let mut found: Vec<Found> = declared(view);
    let discovered = discover::all(view.host());
    for (program, error) in discovered.unread {
        gaps.add(error.to_gap("storage", "data.encrypted", &format!("{program} data of {}", path_of(&error))));
    }
    found.extend(discovered.found);
    let mut seen = BTreeSet::new();
    found.retain(|f| seen.insert(f.path.clone()));
    let mut items: Vec<Data> = found.into_iter().filter_map(|f| item(view, f, gaps)).collect();
    items.sort_by(|a, b| a.subject.cmp(&b.subject));
    items
}

fn path_of(error: &crate::host::ReadError) -> String {
    error.to_string().split(": ").next().unwrap_or_default().to_string()
}

fn declared(view: &View<'_>) -> Vec<Found> {
    let paths = view.host().declared().data.iter().filter(|d| d.path.starts_with('/'));
    let found = paths.map(|d| Found {
        path: trimmed(&d.path),
        class: d.class.word(),
        program: "declared",
        encrypted_by: d.encrypted_by.clone(),
        source: Source { place: String::new(), line: 0, directive: "data".into() },
    });
    found.collect()
}

fn trimmed(path: &str) -> String {
    let short = path.trim_end_matches('/');
    if short.is_empty() { "/".into() } else { short.into() }
}

fn item(view: &View<'_>, found: Found, gaps: &mut Gaps) -> Option<Data> {
    let is_declared = found.program == "declared";
    let (real, exists, error) = match view.real_path(&found.path) {
        Ok(real) => (real.path, real.exists, None),
        Err(e) => (found.path.clone(), true, Some(e)),
    };
    // A program that keeps nothing there yet has no data at rest; a wrong declaration must not vanish.
    if !exists && view.host().is_live() && !is_declared {
        return None;
    }
    let (layer, errors) = view.path(&real);
    for e in errors {
        gaps.add(e.to_gap("storage", "data.chain.detail", &found.path));
    }
    let (mut answer, mut why) = layer.judge();
    let mut chain = Vec::new();
    flatten(&layer, 0, &mut chain);
    if layer.is_memory() && exists {
        // Nothing is at rest in memory.
        return None;
    }
    if answer == Encrypted::No && found.class == "home" {
        (answer, why) = homes(view, &real).unwrap_or((answer, why));
    }
    for (point, below) in view.mounts_below(&real) {
        let (other, reason) = below.judge();
        if rank(other) > rank(answer) {
            (answer, why) = (other, format!("{point} is mounted below it: {reason}"));
        }
        flatten(&below, 0, &mut chain);
    }
    if let Some(e) = error {
        (answer, why) = (Encrypted::Unknown, e.to_string());
    } else if !exists && view.host().is_live() {
        (answer, why) = (Encrypted::Unknown, format!("nothing is at {}", found.path));
    }
    let place = view.place(&real);
    if super::is_elsewhere(layer.kind) {
        why = redact::text(&why);
    }
    note_unknown(gaps, &found, answer, &why);
    Some(Data {
        subject: found.path,
        class: found.class.into(),
        discovered_by: found.program.into(),
        exists,
        real_path: real,
        mount: place.point,
        encrypted: answer.word().into(),
        why,
        encrypted_by_declaration: found.encrypted_by,
        transport: place.transport.map(|t| t.word.to_string()).unwrap_or_default(),
        chain,
        source: found.source,
    })
}

/// A worse answer of a part decides over the whole.
const fn rank(answer: Encrypted) -> u8 {
    match answer {
        Encrypted::Yes => 0,
        Encrypted::Unknown => 1,
        Encrypted::No => 2,
    }
}

fn note_unknown(gaps: &mut Gaps, found: &Found, answer: Encrypted, why: &str) {
    if answer != Encrypted::Unknown {
        return;
    }
    let (detail, remedy) = if found.encrypted_by.is_empty() {
        (why.to_string(), "Show by other evidence how the layer below is encrypted.")
    } else {
        (format!("{why}; declared, not observed: {}", found.encrypted_by), "Record the provider's evidence for the declared encryption.")
    };
    gaps.note("storage", "data.encrypted", &found.path, reason::UNSUPPORTED, detail, remedy);
}

/// Home folders that are encrypted one by one while the file system below is not: fscrypt,
/// eCryptfs mounts, and LUKS images of systemd-homed. `None` when no folder is.
fn homes(view: &View<'_>, real: &str) -> Option<(Encrypted, String)> {
    let host = view.host();
    if !host.is_live() {
        return None;
    }
    let entries = host.list(real).ok()?;
    let folders = entries.iter().filter(|e| e.kind == FileKind::Folder && e.name != "lost+found" && e.name != ".ecryptfs");
    let (mut yes, mut plain, mut first) = (0, None, String::new());
    for folder in folders.take(HOMES) {
        let path = format!("{}/{}", real.trim_end_matches('/'), folder.name);
        // Seen, but locked: eCryptfs shows an empty folder with a link until its owner signs in.
        let locked = host.exists(&format!("{real}/.ecryptfs/{}/.Private", folder.name)).unwrap_or(false);
        let (answer, why) = view.path(&path).0.judge();
        if answer == Encrypted::Yes || locked {
            yes += 1;
            first = why;
        } else if view.place(&path).point == path {
            // A file system of its own is judged as a mount below.
        } else if plain.is_none() && !host.list(&path).is_ok_and(|l| l.is_empty()) {
            plain = Some(path);
        }
    }
    let is_image = |name: &str| name.ends_with(".home") && matches!(crate::host::block::luks::read(host, &format!("{real}/{name}")), Ok(Some(_)));
    yes += entries.iter().filter(|e| e.kind == FileKind::File && is_image(&e.name)).count();
    match plain {
        _ if yes == 0 => None,
        None => Some((
            Encrypted::Yes,
            if first.is_empty() { "each home is an image of its own with a LUKS header".into() } else { format!("each home folder: {first}") },
        )),
        Some(path) => Some((Encrypted::No, format!("{path} is not encrypted, {yes} other home folders are"))),
    }
}

/// Shared with hibernation: an item of a device.
pub fn of_device(subject: String, device: &str, layer: &Layer, source: Source, gaps: &mut Gaps) -> Data {
    let (answer, why) = layer.judge();
    let mut chain = Vec::new();
    flatten(layer, 0, &mut chain);
    let found = Found { path: subject.clone(), class: "hibernation", program: "system", encrypted_by: String::new(), source: source.clone() };
    note_unknown(gaps, &found, answer, &why);
    Data {
        subject,
        class: "hibernation".into(),
        discovered_by: "system".into(),
        exists: true,
        real_path: device.into(),
        mount: String::new(),
        encrypted: answer.word().into(),
        why,
        encrypted_by_declaration: String::new(),
        transport: String::new(),
        chain,
        source,
    }
}
