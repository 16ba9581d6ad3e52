//! Snapshots of LVM by the text of its metadata, which it writes below `/etc/lvm/backup` after each change (vgcfgbackup(8)).

use std::collections::BTreeMap;

use super::Taken;
use super::folders::Untold;
use crate::host::{CONFIG_LIMIT, Host};
use crate::model::gap::reason;

/// Deepest nesting that is followed.
const DEPTH: usize = 16;

/// What is said of one logical volume.
#[derive(Clone, Debug, Default)]
struct Volume {
    made: Option<i64>,
    /// Of what it is a snapshot.
    origin: String,
    /// The volume that holds a classic snapshot's changes: it is the one that users see.
    store: String,
}

pub(super) fn look(host: &Host, path: &str) -> (String, Result<Vec<Taken>, Untold>) {
    let (group, volume) = path.split_once('/').unwrap_or((path, ""));
    let place = format!("/etc/lvm/backup/{group}");
    let found = match host.read_text(&place, 16 * CONFIG_LIMIT) {
        Ok(text) => Ok(snapshots(&text, volume)),
        Err(e) => Err((
            if e.is_not_found() { reason::MISSING } else { reason::READ_FAILED },
            format!("{e}: LVM's own text of its metadata tells which snapshots there are"),
            "Leave backup = 1 in lvm.conf, or run vgcfgbackup.",
        )),
    };
    (place, found)
}

fn snapshots(text: &str, of: &str) -> Vec<Taken> {
    let volumes = volumes(text);
    let mut out = Vec::new();
    for (name, volume) in volumes.iter().filter(|(_, v)| v.origin == of) {
        let shown = if volume.store.is_empty() { name } else { &volume.store };
        let made = volumes.get(shown).and_then(|v| v.made).or(volume.made);
        out.push(Taken { name: shown.clone(), at: made, from: if made.is_some() { "metadata" } else { "" } });
    }
    out
}

fn volumes(text: &str) -> BTreeMap<String, Volume> {
    let (mut out, mut path) = (BTreeMap::<String, Volume>::new(), Vec::<String>::new());
    for line in text.lines() {
        let line = match line.split_once('#') {
            Some((head, _)) if head.matches('"').count() % 2 == 0 => head.trim(),
            _ => line.trim(),
        };
        if let Some(name) = line.strip_suffix('{') {
            if path.len() == DEPTH {
                return out;
            }
            path.push(name.trim().to_string());
            continue;
        }
        if line == "}" {
            path.pop();
            continue;
        }
        let Some((key, value)) = line.split_once('=').map(|(k, v)| (k.trim(), v.trim().trim_matches('"'))) else { continue };
        let words: Vec<&str> = path.iter().map(String::as_str).collect();
        match words.as_slice() {
            [_, "logical_volumes", name] if key == "creation_time" => out.entry((*name).to_string()).or_default().made = value.parse().ok(),
            [_, "logical_volumes", name, _] if key == "origin" => out.entry((*name).to_string()).or_default().origin = value.to_string(),
            [_, "logical_volumes", name, _] if key == "cow_store" => out.entry((*name).to_string()).or_default().store = value.to_string(),
            _ => {}
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classic_and_thin() {
        let text = r#"
vg0 {
    logical_volumes {
        root {
            creation_time = 1700000000	# 2023-11-14 22:13:20 +0000
            segment1 {
                type = "thin"
                thin_pool = "pool"
            }
        }
        daily-1 {
            creation_time = 1795744801
            segment1 {
                type = "thin"
                origin = "root"
            }
        }
        snap {
            creation_time = 1795744802
            segment1 {
                type = "striped"
            }
        }
        other {
            creation_time = 1795744803
            segment1 {
                type = "thin"
                origin = "data"
            }
        }
        snapshot0 {
            creation_time = 1795744802
            segment1 {
                type = "snapshot"
                chunk_size = 8
                origin = "root"
                cow_store = "snap"
            }
        }
    }
}
"#;
        let found: Vec<(String, Option<i64>)> = snapshots(text, "root").into_iter().map(|t| (t.name, t.at)).collect();
        assert_eq!(found, [("daily-1".to_string(), Some(1_795_744_801)), ("snap".to_string(), Some(1_795_744_802))]);
        assert!(snapshots(&"a {\n".repeat(5000), "root").is_empty());
        assert!(snapshots("}\n}\n= =\n{", "root").is_empty());
    }
}
