//! Where units are found and which are linked: the load path of systemd.unit(5), masks, aliases,
//! templates, drop-ins, and the states that `systemctl is-enabled` names.

use std::collections::{BTreeMap, BTreeSet};

use super::gathering::Gathering;
use super::unit_file::{self, Setting};
use crate::host::{CONFIG_LIMIT, FileKind};

/// Load path of the system manager, first wins.
const SYSTEM: [&str; 13] = [
    "/etc/systemd/system.control",
    "/run/systemd/system.control",
    "/run/systemd/transient",
    "/run/systemd/generator.early",
    "/etc/systemd/system",
    "/etc/systemd/system.attached",
    "/run/systemd/system",
    "/run/systemd/system.attached",
    "/run/systemd/generator",
    "/usr/local/lib/systemd/system",
    "/usr/lib/systemd/system",
    "/lib/systemd/system",
    "/run/systemd/generator.late",
];
/// Types of units that start something or lead to one that does.
const TYPES: [&str; 6] = [".service", ".timer", ".socket", ".path", ".target", ".mount"];
/// Most units read.
const UNIT_LIMIT: usize = 20_000;

/// The units of one manager.
#[derive(Debug, Default)]
pub struct Tree {
    /// Folders of the load path that exist, first wins.
    pub folders: Vec<String>,
    /// Files and links by name, in the order of the load path.
    files: BTreeMap<String, Vec<(usize, FileKind)>>,
    /// `NAME.d` folders.
    drop_ins: BTreeMap<String, Vec<usize>>,
    /// Links in `.wants`, `.requires` and `.upholds`: unit, folders of the load path.
    links: BTreeMap<String, Vec<usize>>,
    /// Folders of the load path that hold a link of another name to a unit, by the unit.
    aliases: BTreeMap<String, Vec<usize>>,
}

/// One unit as it takes effect.
#[derive(Clone, Debug, Default)]
pub struct Unit {
    /// Name, after aliases.
    pub name: String,
    /// File that defines it.
    pub fragment: String,
    /// Drop-ins in the order in which they are laid over it.
    pub drop_ins: Vec<String>,
    /// Whether it leads to nothing.
    pub masked: bool,
    /// Every assignment, the drop-ins' last.
    pub settings: Vec<Setting>,
}

impl Tree {
    /// The system manager's.
    pub fn read(gathering: &mut Gathering<'_>) -> Self {
        let folders: Vec<String> = SYSTEM.iter().map(|f| (*f).to_string()).collect();
        Self::of(gathering, &folders)
    }

    /// Of a load path.
    pub fn of(gathering: &mut Gathering<'_>, path: &[String]) -> Self {
        let mut tree = Self::default();
        let mut seen = BTreeSet::new();
        for folder in path {
            // `/lib` is a link to `/usr/lib` on merged systems.
            let Ok(stat) = gathering.host.stat(folder) else { continue };
            if stat.kind != FileKind::Folder || !seen.insert((stat.device, stat.inode)) {
                continue;
            }
            let index = tree.folders.len();
            tree.folders.push(folder.clone());
            for (name, kind) in gathering.list(folder) {
                tree.entry(gathering, index, folder, name, kind);
            }
        }
        tree
    }

    fn entry(&mut self, gathering: &mut Gathering<'_>, index: usize, folder: &str, name: String, kind: FileKind) {
        let is_unit = |name: &str| TYPES.iter().any(|t| name.ends_with(t));
        if let Some((_, "wants" | "requires" | "upholds")) = name.rsplit_once('.').filter(|(of, _)| is_unit(of)) {
            let links = format!("{folder}/{name}");
            for (unit, kind) in gathering.list(&links) {
                // A link to /dev/null takes the vendor's link back.
                let taken_back = kind == FileKind::Link && gathering.host.read_link(&format!("{links}/{unit}")).is_ok_and(|t| t == "/dev/null");
                if is_unit(&unit) && !taken_back {
                    self.links.entry(unit).or_default().push(index);
                }
            }
        } else if name.ends_with(".d") {
            self.drop_ins.entry(name).or_default().push(index);
        } else if is_unit(&name) && kind != FileKind::Folder {
            if kind == FileKind::Link
                && let Ok(target) = gathering.host.read_link(&format!("{folder}/{name}"))
                && let Some(unit) = target.rsplit('/').next().filter(|unit| *unit != name)
            {
                self.aliases.entry(unit.to_string()).or_default().push(index);
            }
            self.files.entry(name).or_default().push((index, kind));
        }
    }

    /// Units that some other unit's folder links to.
    pub fn linked(&self) -> impl Iterator<Item = &str> {
        self.links.keys().map(String::as_str)
    }

    /// Names of every unit that has a file.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.files.keys().map(String::as_str).take(UNIT_LIMIT)
    }

    /// Whether there is a file of this name.
    pub fn has(&self, name: &str) -> bool {
        self.files.contains_key(name)
    }

    /// Whether some other unit's folder links to it.
    pub fn is_linked(&self, name: &str) -> bool {
        self.links.contains_key(name)
    }

    fn folder(&self, index: usize) -> &str {
        self.folders.get(index).map_or("", String::as_str)
    }

    /// The unit of this name; `None` when there is no file.
    pub fn load(&self, gathering: &mut Gathering<'_>, name: &str) -> Option<Unit> {
        let mut unit = self.fragment(gathering, name, 0)?;
        if unit.masked {
            return Some(unit);
        }
        let text = gathering.text(&unit.fragment, CONFIG_LIMIT)?;
        if text.is_empty() {
            unit.masked = true;
            return Some(unit);
        }
        unit.settings = unit_file::parse(&text, &unit.fragment);
        unit.drop_ins = self.drop_ins_of(gathering, &unit.name);
        for path in unit.drop_ins.clone() {
            if let Some(text) = gathering.text(&path, CONFIG_LIMIT) {
                unit.settings.extend(unit_file::parse(&text, &path));
            }
        }
        Some(unit)
    }

    fn fragment(&self, gathering: &Gathering<'_>, name: &str, depth: usize) -> Option<Unit> {
        const ALIAS_DEPTH: usize = 8;
        let own = self.files.get(name).and_then(|f| f.first());
        let (file_name, (index, kind)) = match own {
            Some(found) => (name.to_string(), *found),
            None => {
                let template = template_of(name)?;
                (template.clone(), *self.files.get(&template)?.first()?)
            }
        };
        let mut path = format!("{}/{file_name}", self.folder(index));
        let unit = |path: String, masked| Unit { name: name.into(), fragment: path, masked, ..Unit::default() };
        if kind != FileKind::Link {
            return Some(unit(path, false));
        }
        for _ in 0..ALIAS_DEPTH {
            let Ok(target) = gathering.host.read_link(&path) else { break };
            if target == "/dev/null" {
                return Some(unit(path, true));
            }
            let base = target.rsplit('/').next().unwrap_or("").to_string();
            let is_same = base == file_name || Some(&base) == template_of(name).as_ref();
            if !is_same && depth < ALIAS_DEPTH && self.files.contains_key(&base) {
                // An alias; of a template it keeps the instance.
                let instance = instance_of(name).filter(|_| base.contains("@."));
                let real = instance.map_or_else(|| base.clone(), |i| base.replacen("@.", &format!("@{i}."), 1));
                return self.fragment(gathering, &real, depth + 1);
            }
            path = if target.starts_with('/') { target } else { format!("{}/{target}", path.rsplit_once('/').map_or("", |(f, _)| f)) };
        }
        Some(unit(path, false))
    }

    /// Drop-ins by name: of two with one name the earlier folder's, all in the order of their names.
    fn drop_ins_of(&self, gathering: &mut Gathering<'_>, name: &str) -> Vec<String> {
        let mut found: BTreeMap<String, String> = BTreeMap::new();
        for folder in drop_in_names(name) {
            for index in self.drop_ins.get(&folder).cloned().unwrap_or_default() {
                let folder = format!("{}/{folder}", self.folder(index));
                for (file, _) in gathering.list(&folder) {
                    if file.ends_with(".conf") {
                        let path = format!("{folder}/{file}");
                        found.entry(file).or_insert(path);
                    }
                }
            }
        }
        let is_masked = |path: &String| gathering.host.read_link(path).is_ok_and(|t| t == "/dev/null");
        found.into_values().filter(|path| !is_masked(path)).collect()
    }

    /// What `systemctl is-enabled` says of the unit.
    pub fn state(&self, gathering: &mut Gathering<'_>, name: &str) -> &'static str {
        let Some((index, kind)) = self.files.get(name).and_then(|f| f.first()).copied() else {
            return if self.has_link_in(name, "/etc/") { "enabled" } else { "" };
        };
        let folder = self.folder(index).to_string();
        let is_runtime = folder.starts_with("/run/");
        let Some(unit) = self.load(gathering, name) else { return "" };
        if unit.masked {
            return if is_runtime { "masked-runtime" } else { "masked" };
        }
        if folder.contains("/generator") {
            return "generated";
        }
        if folder.ends_with("/transient") {
            return "transient";
        }
        if unit.name != name {
            return "alias";
        }
        if self.has_link_in(name, "/etc/") || self.has_alias_in(name, "/etc/") {
            return "enabled";
        }
        if self.has_link_in(name, "/run/systemd/system") || self.has_alias_in(name, "/run/systemd/system") {
            return "enabled-runtime";
        }
        if kind == FileKind::Link && !self.folders.iter().any(|f| unit.fragment.strip_prefix(f.as_str()).is_some_and(|r| r.starts_with('/'))) {
            return if is_runtime { "linked-runtime" } else { "linked" };
        }
        let has = |key: &str| unit.settings.iter().any(|s| s.section == "Install" && s.key == key && !s.value.is_empty() && s.place == unit.fragment);
        if ["WantedBy", "RequiredBy", "UpheldBy", "Alias"].iter().any(|k| has(k)) {
            return "disabled";
        }
        if has("Also") { "indirect" } else { "static" }
    }

    fn has_link_in(&self, name: &str, prefix: &str) -> bool {
        self.links.get(name).into_iter().flatten().any(|index| self.folder(*index).starts_with(prefix))
    }

    fn has_alias_in(&self, name: &str, prefix: &str) -> bool {
        self.aliases.get(name).into_iter().flatten().any(|index| self.folder(*index).starts_with(prefix))
    }
}

/// `foo@.service` of `foo@bar.service`.
fn template_of(name: &str) -> Option<String> {
    let (prefix, rest) = name.split_once('@')?;
    let (instance, kind) = rest.rsplit_once('.')?;
    (!instance.is_empty()).then(|| format!("{prefix}@.{kind}"))
}

fn instance_of(name: &str) -> Option<&str> {
    name.split_once('@')?.1.rsplit_once('.').map(|(i, _)| i).filter(|i| !i.is_empty())
}

/// Folders of drop-ins, the most telling first: the unit's, its template's, those of each prefix
/// that ends at a hyphen, and the type's.
fn drop_in_names(name: &str) -> Vec<String> {
    const PREFIX_LIMIT: usize = 32;
    let mut out = vec![format!("{name}.d")];
    let template = template_of(name);
    out.extend(template.iter().map(|t| format!("{t}.d")));
    let (stem, kind) = name.rsplit_once('.').unwrap_or((name, ""));
    let stem = stem.split_once('@').map_or(stem, |(prefix, _)| prefix);
    let hyphens: Vec<usize> = stem.match_indices('-').map(|(i, _)| i + 1).filter(|i| *i < stem.len()).take(PREFIX_LIMIT).collect();
    out.extend(hyphens.into_iter().rev().filter_map(|i| stem.get(..i)).map(|prefix| format!("{prefix}.{kind}.d")));
    out.push(format!("{kind}.d"));
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn templates_and_drop_in_folders() {
        assert_eq!(template_of("getty@tty1.service").unwrap(), "getty@.service");
        assert_eq!(template_of("getty@.service"), None);
        assert_eq!(instance_of("a@b.c.service"), Some("b.c"));
        let expected = ["a-b-c@x.service.d", "a-b-c@.service.d", "a-b-.service.d", "a-.service.d", "service.d"];
        assert_eq!(drop_in_names("a-b-c@x.service"), expected);
    }
}
