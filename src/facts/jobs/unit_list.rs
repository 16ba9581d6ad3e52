//! The units of the system manager by their files, for the family `units`.

use super::gathering::Gathering;
use super::names::Names;
use super::unit_file::{self, Setting};
use super::unit_tree::Tree;
use crate::host::{CONFIG_LIMIT, Host};
use crate::model::gap::{Gap, Gaps};

/// Kinds of units that are listed: those that start something.
const KINDS: [&str; 6] = [".service", ".socket", ".timer", ".path", ".mount", ".target"];

/// One unit by its files.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UnitFile {
    /// Name.
    pub name: String,
    /// What `systemctl is-enabled` says.
    pub state: String,
    /// Name of the unit behind an alias; else its own.
    pub real: String,
    /// File that defines it.
    pub fragment: String,
    /// `Type=` of a service; empty when it is not said.
    pub service_type: String,
    /// Whether something must hold for it to start (`Condition…=`, `Assert…=`) that does not hold, or can't be told.
    pub conditional: bool,
}

/// As the tree says; a template of which an instance is linked is enabled.
fn state(tree: &Tree, gathering: &mut Gathering<'_>, name: &str) -> String {
    let own = tree.state(gathering, name);
    let Some((prefix, kind)) = name.split_once("@.").filter(|_| own == "disabled") else { return own.into() };
    let is_instance =
        |unit: &&str| unit.split_once('@').is_some_and(|(p, rest)| p == prefix && rest.rsplit_once('.').is_some_and(|(i, k)| !i.is_empty() && k == kind));
    let instances: Vec<String> = tree.linked().filter(is_instance).map(String::from).collect();
    let is_enabled = instances.iter().any(|unit| tree.state(gathering, unit) == "enabled");
    if is_enabled { "enabled".into() } else { own.into() }
}

/// Whether a condition holds; `None` where only the running manager could tell (systemd.unit(5)).
fn holds(host: &Host, setting: &Setting) -> Option<bool> {
    let kind = setting.key.trim_start_matches("Condition").trim_start_matches("Assert");
    // Of several conditions with a bar one is enough.
    let value = Some(setting.value.as_str()).filter(|v| !v.starts_with('|') && !v.contains('%'))?;
    let (is_not, value) = value.strip_prefix('!').map_or((false, value), |rest| (true, rest.trim_start()));
    let is_container = || host.is_live().then(|| host.exists("/run/systemd/container").unwrap_or(false));
    let found = match kind {
        "PathExists" => host.exists(value).ok()?,
        "FileNotEmpty" => host.stat(value).is_ok_and(|s| s.size > 0),
        "DirectoryNotEmpty" => host.list(value).is_ok_and(|entries| !entries.is_empty()),
        "KernelCommandLine" if host.is_live() => {
            let text = host.read_text("/proc/cmdline", CONFIG_LIMIT).ok()?;
            text.split_whitespace().any(|word| word == value || !value.contains('=') && word.split('=').next() == Some(value))
        }
        "Virtualization" if value == "container" => is_container()?,
        // A machine of its own takes no capability from its manager.
        "Capability" if is_container() == Some(false) => true,
        _ => return None,
    };
    Some(found != is_not)
}

/// One unit of interest, as it takes effect.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UnitText {
    /// File that defines it.
    pub fragment: String,
    /// Every assignment, the drop-ins' last.
    pub settings: Vec<Setting>,
}

/// A unit that is there and not masked; the gaps are those of `jobs`.
pub fn unit_text(host: &Host, name: &str) -> (Option<UnitText>, Vec<Gap>) {
    let names = Names::default();
    let mut gaps = Gaps::new();
    let mut gathering = Gathering::new(host, &names, &mut gaps);
    let tree = Tree::read(&mut gathering);
    let unit = tree.load(&mut gathering, name).filter(|u| !u.masked);
    gathering.finish("");
    (unit.map(|u| UnitText { fragment: u.fragment, settings: u.settings }), gaps.into_sorted())
}

/// Units that have a file or are linked, by name; the gaps are those of `jobs`.
pub fn unit_files(host: &Host) -> (Vec<UnitFile>, Vec<Gap>) {
    // Nobody's expiry matters here.
    let names = Names::read(host, 0);
    let mut gaps = Gaps::new();
    let mut gathering = Gathering::new(host, &names, &mut gaps);
    let tree = Tree::read(&mut gathering);
    let mut wanted: Vec<String> = tree.names().map(String::from).collect();
    // Instances of templates have no file of their own.
    wanted.extend(tree.linked().filter(|u| u.contains('@') && !tree.has(u)).map(String::from));
    wanted.sort();
    wanted.dedup();
    let mut out = Vec::new();
    for name in wanted.into_iter().filter(|n| KINDS.iter().any(|k| n.ends_with(k))) {
        let Some(unit) = tree.load(&mut gathering, &name) else { continue };
        let is_condition = |s: &&Setting| s.section == "Unit" && (s.key.starts_with("Condition") || s.key.starts_with("Assert")) && !s.value.is_empty();
        out.push(UnitFile {
            state: state(&tree, &mut gathering, &name),
            real: unit.name.clone(),
            service_type: unit_file::last(&unit.settings, "Service", "Type").map(|s| s.value.clone()).unwrap_or_default(),
            conditional: !unit.settings.iter().filter(is_condition).all(|s| holds(host, s) == Some(true)),
            fragment: unit.fragment,
            name,
        });
    }
    gathering.finish("");
    (out, gaps.into_sorted())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::testing::{recorded, rooted};

    #[test]
    fn conditions_that_files_decide() {
        let files = [("etc/there", "x"), ("etc/empty", ""), ("proc/cmdline", "quiet audit=0 debug\n")];
        let (_root, host) = recorded(&files);
        let of =
            |key: &str, value: &str| holds(&host, &Setting { section: "Unit".into(), key: key.into(), value: value.into(), place: String::new(), line: 1 });
        assert_eq!((of("ConditionPathExists", "/etc/there"), of("AssertPathExists", "!/etc/there")), (Some(true), Some(false)));
        assert_eq!((of("ConditionFileNotEmpty", "/etc/empty"), of("ConditionDirectoryNotEmpty", "/etc")), (Some(false), Some(true)));
        assert_eq!(
            (of("ConditionKernelCommandLine", "!audit=0"), of("ConditionKernelCommandLine", "quiet"), of("ConditionKernelCommandLine", "audit")),
            (Some(false), Some(true), Some(true))
        );
        assert_eq!((of("ConditionVirtualization", "!container"), of("ConditionCapability", "CAP_SYS_TIME")), (Some(true), Some(true)));
        assert_eq!((of("ConditionPathExists", "|/etc/there"), of("ConditionPathExists", "%t/x"), of("ConditionHost", "x")), (None, None, None));
        let (_root, host) = rooted(&files);
        let setting = Setting { section: "Unit".into(), key: "ConditionKernelCommandLine".into(), value: "!audit=0".into(), place: String::new(), line: 1 };
        assert_eq!(holds(&host, &setting), None);
    }
}
