//! LVM metadata as vgcfgbackup(8) writes it below `/etc/lvm/backup`: which volume lies on which device.

use std::collections::{BTreeMap, BTreeSet};

/// Deepest nesting that is followed.
const DEPTH: usize = 16;

/// One volume group.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Group {
    /// Physical volume (`pv0`) -> device hint and its line.
    pub physical: BTreeMap<String, (String, usize)>,
    /// Logical volume -> names that its segments mention (physical or logical volumes).
    logical: BTreeMap<String, BTreeSet<String>>,
    /// Logical volumes that are shown to users.
    visible: BTreeSet<String>,
}

impl Group {
    /// Devices below one logical volume; all of the group's when it is not listed.
    pub fn devices_of(&self, volume: &str) -> Vec<(String, usize)> {
        if !self.logical.contains_key(volume) {
            return self.physical.values().cloned().collect();
        }
        let (mut seen, mut pending, mut out) = (BTreeSet::new(), vec![volume.to_string()], BTreeSet::new());
        while let Some(name) = pending.pop() {
            if !seen.insert(name.clone()) {
                continue;
            }
            if let Some(device) = self.physical.get(&name) {
                out.insert(device.clone());
            }
            pending.extend(self.logical.get(&name).into_iter().flatten().cloned());
        }
        out.into_iter().collect()
    }

    /// Logical volumes that users see.
    pub fn volumes(&self) -> impl Iterator<Item = &str> {
        self.visible.iter().map(String::as_str)
    }
}

/// Parses one backup: nested `name { … }` with `key = value`.
pub fn parse(text: &str) -> Group {
    let mut group = Group::default();
    let mut path: Vec<String> = Vec::new();
    let mut in_list = false;
    for (i, line) in text.lines().enumerate() {
        let line = without_comment(line).trim();
        if let Some(name) = line.strip_suffix('{') {
            if path.len() < DEPTH {
                path.push(name.trim().to_string());
            }
        } else if line == "}" {
            path.pop();
        } else {
            in_list = take(&mut group, &path, line, i + 1, in_list);
        }
    }
    group
}

/// The line up to a `#` that is not quoted.
fn without_comment(line: &str) -> &str {
    match line.split_once('#') {
        Some((head, _)) if head.matches('"').count() % 2 == 0 => head,
        _ => line,
    }
}

/// One line inside a section; whether a list goes on.
fn take(group: &mut Group, path: &[String], line: &str, number: usize, in_list: bool) -> bool {
    let words: Vec<&str> = path.iter().map(String::as_str).collect();
    let (key, value) = line.split_once('=').map_or(("", line), |(k, v)| (k.trim(), v.trim()));
    match words.as_slice() {
        [_, "physical_volumes", name] if key == "device" => {
            group.physical.insert((*name).to_string(), (unquoted(value), number));
        }
        [_, "logical_volumes", name] if key == "status" => {
            group.logical.entry((*name).to_string()).or_default();
            if value.contains("\"VISIBLE\"") {
                group.visible.insert((*name).to_string());
            }
        }
        [_, "logical_volumes", name, _segment] => {
            let names = group.logical.entry((*name).to_string()).or_default();
            if key != "type" {
                names.extend(quoted(value));
            }
            let opened = in_list || value.starts_with('[');
            return opened && !value.contains(']');
        }
        _ => {}
    }
    false
}

fn unquoted(value: &str) -> String {
    quoted(value).next().unwrap_or_default()
}

fn quoted(value: &str) -> impl Iterator<Item = String> + '_ {
    value.split('"').skip(1).step_by(2).map(String::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn segments_lead_to_their_own_devices() {
        let text = r#"
contents = "Text Format Volume Group"
vg {
    physical_volumes {
        pv0 {
            id = "a"
            device = "/dev/mapper/crypt"	# Hint only
        }
        pv1 {
            device = "/dev/sdb1"
        }
    }
    logical_volumes {
        root {
            status = ["READ", "WRITE", "VISIBLE"]
            segment1 {
                type = "striped"
                stripes = [
                    "pv0", 0
                ]
            }
        }
        pool_tdata {
            status = ["READ", "WRITE"]
            segment1 {
                type = "striped"
                stripes = [
                    "pv1", 0
                ]
            }
        }
        pool {
            status = ["READ", "WRITE", "VISIBLE"]
            segment1 {
                type = "thin-pool"
                pool = "pool_tdata"
            }
        }
        thin {
            status = ["READ", "WRITE", "VISIBLE"]
            segment1 {
                type = "thin"
                thin_pool = "pool"
            }
        }
    }
}"#;
        let group = parse(text);
        let devices = |v: &str| group.devices_of(v).into_iter().map(|d| d.0).collect::<Vec<_>>();
        assert_eq!((devices("root"), devices("thin")), (vec!["/dev/mapper/crypt".to_string()], vec!["/dev/sdb1".to_string()]));
        assert_eq!(devices("gone").len(), 2);
        assert_eq!(group.volumes().collect::<Vec<_>>(), ["pool", "root", "thin"]);
        assert_eq!(group.physical["pv0"].1, 7);
    }

    #[test]
    fn loops_and_garbage_end() {
        let text = "v {\nlogical_volumes {\na {\nstatus = [\"VISIBLE\"]\ns {\nx = \"b\"\n}\n}\nb {\nstatus = []\ns {\nx = \"a\"\n}\n}\n";
        assert!(parse(text).devices_of("a").is_empty());
        assert_eq!(parse(&"{".repeat(10_000)).physical.len(), 0);
        assert_eq!(parse("}\n}\n\"\"\"[[[\n#\"\n").physical.len(), 0);
    }
}
