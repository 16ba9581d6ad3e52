//! Agents that are looked for: `rules/data/agents.csv`.

use std::collections::BTreeMap;
use std::sync::LazyLock;

const DATA: &str = include_str!("../../../rules/data/agents.csv");

/// A program that is looked for.
#[derive(Debug)]
pub(in crate::facts) struct Known {
    pub kind: &'static str,
    pub name: &'static str,
    pub packages: Vec<&'static str>,
    pub units: Vec<&'static str>,
    pub processes: Vec<&'static str>,
    pub files: Vec<&'static str>,
}

/// All of them, in the order of the file.
pub(in crate::facts) static KNOWN: LazyLock<Vec<Known>> = LazyLock::new(|| {
    let rows = DATA.lines().filter(|l| !l.starts_with('#') && !l.is_empty()).skip(1);
    rows.filter_map(|row| {
        let cells: Vec<&str> = row.split(',').collect();
        let words = |cell: &'static str| cell.split(' ').filter(|w| !w.is_empty()).collect::<Vec<_>>();
        match cells[..] {
            [kind, name, packages, units, processes, files] => {
                Some(Known { kind, name, packages: words(packages), units: words(units), processes: words(processes), files: words(files) })
            }
            _ => None,
        }
    })
    .collect()
});

impl Known {
    /// Package or file that shows that it is installed; `None` when nothing does.
    pub fn installed_by(&self, packages: &BTreeMap<String, Vec<String>>, exists: impl Fn(&str) -> bool) -> Option<String> {
        let package = self.packages.iter().find(|p| packages.contains_key(**p)).map(|p| (*p).to_string());
        package.or_else(|| self.files.iter().find(|f| exists(f)).map(|f| (*f).to_string()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_row_is_whole_and_named_once() {
        let rows = DATA.lines().filter(|l| !l.starts_with('#') && !l.is_empty()).count() - 1;
        assert_eq!(KNOWN.len(), rows);
        assert_eq!(KNOWN.iter().map(|k| k.name).collect::<BTreeSet<_>>().len(), rows);
        let kinds: BTreeSet<&str> = KNOWN.iter().map(|k| k.kind).collect();
        assert_eq!(kinds, ["anti-malware", "integrity", "log-shipper", "malware-scanner", "management", "monitoring"].into());
        for known in KNOWN.iter() {
            assert!(!known.packages.is_empty() || !known.files.is_empty() || !known.units.is_empty(), "{}", known.name);
            assert!(known.files.iter().all(|f| f.starts_with('/')) && known.units.iter().all(|u| u.contains('.')), "{}", known.name);
        }
    }
}
