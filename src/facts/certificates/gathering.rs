//! Reads the files, and joins certificates, keys and services.

use std::collections::{BTreeMap, BTreeSet};

use super::content::{self, Content};
use super::private_key::PrivateKey;
use super::reach::{Reach, Way};
use super::uses::{self, ServiceUse};
use super::{Certificates, Item, Key, Use, places};
use crate::facts::Document as _;
use crate::facts::jobs::names::Names;
use crate::host::{CONFIG_LIMIT, Host};
use crate::model::fact::Source;
use crate::model::gap::{Gap, Gaps, reason};
use crate::probe::tls::certificate::Certificate;

/// Most files read.
const FILE_LIMIT: usize = 5_000;
/// Most certificates and most keys kept.
const ITEM_LIMIT: usize = 5_000;
/// Most accounts named of one key.
const READERS_SHOWN: usize = 32;
/// Most further files named of one certificate.
const ALSO_SHOWN: usize = 16;
/// First number of ordinary accounts where login.defs(5) does not say.
const ORDINARY: u32 = 1000;
/// Accounts of nobody.
const NOBODY: [u32; 2] = [65_534, 65_535];

/// One file that was read.
struct File {
    path: String,
    used_by: BTreeSet<String>,
    content: Content,
}

pub fn gather(host: &Host, gaps: &mut Gaps) -> Certificates {
    let used = uses::uses(host, gaps);
    let mut out = Certificates::default();
    let (files, identities) = read_all(host, &used, gaps);
    let unread: BTreeSet<&str> = identities.iter().filter(|(_, index)| index.is_none()).map(|(path, _)| path.as_str()).collect();
    let found = |path: &str| identities.get(path).copied().flatten().and_then(|index| files.get(index));
    out.uses = used.iter().map(|u| use_of(u, &found, &unread)).collect();
    number(&mut out.uses);
    out.uses.sort_by(|a, b| a.subject.cmp(&b.subject));
    out.items = items(&files, gaps);
    out.keys = keys(host, &files, gaps);
    join(&mut out);
    out
}

/// Files that services name first, then those that lie where services keep theirs; every path with
/// the number of its file, `None`: it is there and was not read.
fn read_all(host: &Host, used: &[ServiceUse], gaps: &mut Gaps) -> (Vec<File>, BTreeMap<String, Option<usize>>) {
    let mut services: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
    for u in used {
        for path in u.certificates.iter().chain(&u.keys) {
            services.entry(path).or_default().insert(u.service.clone());
        }
    }
    let mut paths: Vec<String> = services.keys().map(|p| (*p).to_string()).collect();
    paths.extend(places::candidates(host, gaps).into_iter().filter(|p| !services.contains_key(p.as_str())));
    let mut files: Vec<File> = Vec::new();
    let mut identities: BTreeMap<String, Option<usize>> = BTreeMap::new();
    let mut known: BTreeMap<(u64, u64), usize> = BTreeMap::new();
    for path in paths {
        let used_by = services.get(path.as_str()).cloned().unwrap_or_default();
        let stat = match host.stat(&path) {
            Ok(stat) => stat,
            Err(e) if e.is_not_found() => continue,
            Err(e) => {
                unread(gaps, &path, &e.to_gap(Certificates::NAME, "", &path));
                identities.insert(path, None);
                continue;
            }
        };
        if let Some(index) = known.get(&(stat.device, stat.inode)) {
            if let Some(file) = files.get_mut(*index) {
                file.used_by.extend(used_by);
            }
            identities.insert(path, Some(*index));
            continue;
        }
        if files.len() >= FILE_LIMIT {
            for list in ["items", "keys"] {
                gaps.note(Certificates::NAME, list, "", reason::LIMIT_REACHED, format!("more than {FILE_LIMIT} files of certificates and keys"), "");
            }
            break;
        }
        match host.read(&path, CONFIG_LIMIT) {
            Ok(bytes) => {
                let content = content::read(&bytes);
                let is_bundle = used_by.is_empty() && content.keys.is_empty() && content.certificates.len() > 1 && content.certificates.iter().all(|c| c.is_ca);
                if content.is_empty() && !used_by.is_empty() {
                    let gap = Gap {
                        reason: reason::MALFORMED.into(),
                        detail: format!("{path}: holds neither a certificate nor a key that can be read"),
                        ..empty(&path)
                    };
                    unread(gaps, &path, &gap);
                }
                if content.is_empty() || is_bundle {
                    identities.insert(path, None);
                    continue;
                }
                note_content(gaps, &path, &content);
                known.insert((stat.device, stat.inode), files.len());
                identities.insert(path.clone(), Some(files.len()));
                files.push(File { path, used_by, content });
            }
            Err(e) => {
                unread(gaps, &path, &e.to_gap(Certificates::NAME, "", &path));
                identities.insert(path, None);
            }
        }
    }
    (files, identities)
}

fn empty(subject: &str) -> Gap {
    Gap { family: Certificates::NAME.into(), path: String::new(), subject: subject.into(), reason: String::new(), detail: String::new(), remedy: String::new() }
}

/// Which list a file that was not read would have filled, its name tells; when it does not, both.
fn unread(gaps: &mut Gaps, path: &str, gap: &Gap) {
    let lists: &[&str] = match path.rsplit('.').next() {
        Some("key") => &["keys"],
        Some("crt" | "cer" | "cert") => &["items"],
        _ => &["items", "keys"],
    };
    for list in lists {
        gaps.add(Gap { path: (*list).into(), ..gap.clone() });
    }
}

fn note_content(gaps: &mut Gaps, path: &str, content: &Content) {
    if let Some(container) = content.container {
        let detail = format!("{path}: a container of the kind {container} shows its certificates to whoever has its passphrase only");
        gaps.note(Certificates::NAME, "items", path, reason::UNSUPPORTED, detail, "Look at it with openssl pkcs12 or keytool -list.");
    }
    for problem in &content.malformed {
        let list = if problem.contains("PRIVATE KEY") { "keys" } else { "items" };
        gaps.note(Certificates::NAME, list, path, reason::MALFORMED, format!("{path}: {problem}"), "");
    }
    if content.limited {
        gaps.note(Certificates::NAME, "items", path, reason::LIMIT_REACHED, format!("{path}: more than {} blocks", content::BLOCK_LIMIT), "");
    }
}

fn subject_of(path: &str, position: usize) -> String {
    if position == 1 { path.to_string() } else { format!("{path} ({position})") }
}

/// Each certificate once: a leaf stands in `cert.pem` and in `fullchain.pem`.
fn items(files: &[File], gaps: &mut Gaps) -> Vec<Item> {
    let mut by_fingerprint: BTreeMap<&str, Item> = BTreeMap::new();
    // Used files come first, so that theirs is the path that is shown.
    let (used, others): (Vec<&File>, Vec<&File>) = files.iter().partition(|f| !f.used_by.is_empty());
    for file in used.into_iter().chain(others) {
        for (position, certificate) in (1..).zip(&file.content.certificates) {
            if let Some(item) = by_fingerprint.get_mut(certificate.fingerprint.as_str()) {
                if item.path != file.path && item.also_in.len() < ALSO_SHOWN {
                    item.also_in.push(file.path.clone());
                }
                let both: BTreeSet<String> = item.used_by.drain(..).chain(file.used_by.iter().cloned()).collect();
                item.used_by = both.into_iter().collect();
            } else if by_fingerprint.len() < ITEM_LIMIT {
                by_fingerprint.insert(&certificate.fingerprint, item(file, position, certificate));
            } else {
                gaps.note(Certificates::NAME, "items", "", reason::LIMIT_REACHED, format!("more than {ITEM_LIMIT} certificates"), "");
            }
        }
    }
    let mut out: Vec<Item> = by_fingerprint.into_values().collect();
    for item in &mut out {
        item.also_in.sort();
        note_unknown(gaps, item);
    }
    out.sort_by(|a, b| (&a.path, a.position).cmp(&(&b.path, b.position)));
    out
}

fn item(file: &File, position: usize, c: &Certificate) -> Item {
    Item {
        subject: subject_of(&file.path, position),
        path: file.path.clone(),
        position: u32::try_from(position).unwrap_or(u32::MAX),
        used_by: file.used_by.iter().cloned().collect(),
        subject_name: c.subject_name.clone(),
        issuer_name: c.issuer_name.clone(),
        names: if c.names.is_empty() { c.common_names.clone() } else { c.names.clone() },
        not_before: c.not_before,
        not_after: c.not_after,
        key_kind: c.key_kind.clone(),
        key_bits: c.key_bits,
        key_curve: c.key_curve.clone(),
        key_sha256: c.key_sha256.clone(),
        signature: c.signature.clone(),
        signature_hash: c.signature_hash.clone(),
        self_signed: c.self_signed,
        is_ca: c.is_ca,
        extended_key_usage: c.extended_key_usage.clone(),
        fingerprint: c.fingerprint.clone(),
        source: Source::whole(file.path.clone()),
        ..Item::default()
    }
}

/// A key or signature of a kind that is not known can't be called strong.
fn note_unknown(gaps: &mut Gaps, item: &Item) {
    if item.key_bits == 0 {
        let detail = format!("{}: a key of kind {} whose size is not known", item.path, item.key_kind);
        gaps.note(Certificates::NAME, "items.key_bits", &item.subject, reason::UNSUPPORTED, detail, "");
    }
    let own_hash = matches!(item.signature.as_str(), "ed25519" | "ed448") || item.signature.starts_with("ml-dsa-");
    if item.signature_hash.is_empty() && !own_hash {
        let detail = format!("{}: signed with {}, whose hash is not known", item.path, item.signature);
        gaps.note(Certificates::NAME, "items.signature_hash", &item.subject, reason::UNSUPPORTED, detail, "");
    }
}

fn keys(host: &Host, files: &[File], gaps: &mut Gaps) -> Vec<Key> {
    let holds_key = |f: &&File| !f.content.keys.is_empty() || f.content.container.is_some();
    if !files.iter().any(|f| holds_key(&f)) {
        return Vec::new();
    }
    // Nobody's expiry matters here.
    let names = Names::read(host, 0);
    for error in names.accounts_error.iter().chain(&names.groups_error) {
        for path in ["keys.readers", "keys.people"] {
            gaps.add(error.to_gap(Certificates::NAME, path, ""));
        }
    }
    let first = first_ordinary(host);
    let reach = Reach::new(host, &names);
    let mut out = Vec::new();
    for file in files.iter().filter(holds_key) {
        let way = match reach.way(&file.path) {
            Ok(way) => way,
            Err(e) => {
                gaps.add(e.to_gap(Certificates::NAME, "keys", &file.path));
                continue;
            }
        };
        let container = file.content.container.map(|format| PrivateKey { format, encrypted: true, ..PrivateKey::default() });
        for (position, key) in (1..).zip(file.content.keys.iter().chain(&container)) {
            if out.len() >= ITEM_LIMIT {
                gaps.note(Certificates::NAME, "keys", "", reason::LIMIT_REACHED, format!("more than {ITEM_LIMIT} private keys"), "");
                break;
            }
            out.push(describe(file, position, key, &Look { names: &names, reach: &reach, way: &way, first }, gaps));
        }
    }
    out.sort_by(|a, b| a.subject.cmp(&b.subject));
    out
}

/// What tells who can read a file.
struct Look<'a> {
    names: &'a Names,
    reach: &'a Reach<'a>,
    way: &'a Way,
    /// First number of ordinary accounts.
    first: u32,
}

fn describe(file: &File, position: usize, key: &PrivateKey, look: &Look<'_>, gaps: &mut Gaps) -> Key {
    let subject = subject_of(&file.path, position);
    let mut readers = look.reach.readers(look.way);
    readers.sort();
    let is_person = |name: &&String| {
        look.names
            .account(name)
            .is_some_and(|a| a.uid >= look.first && !NOBODY.contains(&a.uid) && !a.shell.ends_with("/nologin") && !a.shell.ends_with("/false"))
    };
    let people = readers.iter().filter(is_person).take(READERS_SHOWN).cloned().collect();
    readers.truncate(READERS_SHOWN);
    if let Some(gid) = look.reach.uncertain_group(look.way) {
        let detail = format!("{}: group {} may read it, and a directory service may know more members of it", file.path, look.names.group(gid));
        for path in ["keys.readers", "keys.people"] {
            gaps.note(Certificates::NAME, path, &subject, reason::MISSING, detail.clone(), "");
        }
    }
    Key {
        subject,
        format: key.format.into(),
        kind: key.facts.kind.clone(),
        bits: key.facts.bits,
        curve: key.facts.curve.clone(),
        public_sha256: key.public_sha256.clone(),
        encrypted: key.encrypted,
        owner: look.names.user(look.way.stat.uid),
        group: look.names.group(look.way.stat.gid),
        mode: look.way.stat.mode,
        readable_by_all: look.reach.everybody_reads(look.way),
        readers,
        people,
        certificates: Vec::new(),
        used_by: file.used_by.iter().cloned().collect(),
        source: Source::whole(look.way.path.clone()),
    }
}

fn first_ordinary(host: &Host) -> u32 {
    let text = host.read_text("/etc/login.defs", CONFIG_LIMIT).unwrap_or_default();
    let value = text.lines().filter_map(|l| l.trim().strip_prefix("UID_MIN")).filter_map(|v| v.trim().parse().ok()).next_back();
    value.unwrap_or(ORDINARY)
}

fn join(out: &mut Certificates) {
    for item in &mut out.items {
        let key = out.keys.iter().find(|k| k.public_sha256 == item.key_sha256);
        item.key = key.map(|k| k.subject.clone()).unwrap_or_default();
    }
    for key in out.keys.iter_mut().filter(|k| !k.public_sha256.is_empty()) {
        key.certificates = out.items.iter().filter(|i| i.key_sha256 == key.public_sha256).map(|i| i.subject.clone()).collect();
    }
    let newer: Vec<String> = out.items.iter().map(|item| superseded_by(item, &out.items)).collect();
    for (item, newer) in out.items.iter_mut().zip(newer) {
        item.superseded_by = newer;
    }
}

fn superseded_by(item: &Item, all: &[Item]) -> String {
    if !item.used_by.is_empty() || item.names.is_empty() {
        return String::new();
    }
    let covers = |other: &&Item| other.not_after > item.not_after && other.is_ca == item.is_ca && item.names.iter().all(|n| other.names.contains(n));
    all.iter().filter(covers).max_by_key(|o| o.not_after).map(|o| o.subject.clone()).unwrap_or_default()
}

fn use_of<'f>(used: &ServiceUse, found: &dyn Fn(&str) -> Option<&'f File>, unread: &BTreeSet<&str>) -> Use {
    let named = || used.certificates.iter().chain(&used.keys);
    let missing: Vec<String> = named().filter(|p| found(p).is_none() && !unread.contains(p.as_str())).cloned().collect();
    let any_unread = named().any(|p| unread.contains(p.as_str()));
    let certificates: BTreeSet<&str> = named().filter_map(|p| found(p)).flat_map(|f| &f.content.certificates).map(|c| c.key_sha256.as_str()).collect();
    let keys: Vec<&PrivateKey> = named().filter_map(|p| found(p)).flat_map(|f| &f.content.keys).collect();
    let is_hidden = keys.iter().any(|k| k.public_sha256.is_empty());
    let told = !any_unread && missing.is_empty() && !is_hidden && !keys.is_empty() && !certificates.is_empty();
    let is_pss = |key: &PrivateKey| key.facts.pss_only;
    let matches = told.then(|| keys.iter().all(|k| certificates.contains(k.public_sha256.as_str()) || is_pss(k)));
    Use {
        subject: format!("{} {}:{}", used.service, used.source.place, used.source.line),
        service: used.service.clone(),
        certificates: used.certificates.clone(),
        keys: used.keys.clone(),
        missing,
        matches,
        source: used.source.clone(),
    }
}

/// Two of one line get numbers.
fn number(uses: &mut [Use]) {
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    for u in uses {
        let count = seen.entry(u.subject.clone()).or_insert(0);
        *count += 1;
        if *count > 1 {
            u.subject = format!("{} ({count})", u.subject);
        }
    }
}
