//! Which units protect or watch a machine: `rules/data/security-units.csv`.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use super::{Guard, Unit};

const DATA: &str = include_str!("../../../rules/data/security-units.csv");

/// Name without its ending -> purpose.
static PURPOSES: LazyLock<BTreeMap<&'static str, &'static str>> = LazyLock::new(|| {
    let rows = DATA.lines().filter(|l| !l.starts_with('#')).skip(1);
    rows.filter_map(|l| l.split_once(',')).collect()
});

/// The guards among these units; aliases are the same unit once more.
pub fn of(units: &[Unit]) -> Vec<Guard> {
    let guard = |unit: &Unit| {
        let stem = unit.subject.strip_suffix(".service").unwrap_or(&unit.subject);
        let purpose = PURPOSES.get(stem).filter(|_| matches!(unit.kind.as_str(), "service" | "script") && unit.state != "alias")?;
        Some(Guard {
            subject: unit.subject.clone(),
            purpose: (*purpose).into(),
            enabled: unit.enabled,
            lasting: unit.lasting,
            running: unit.running,
            failed: unit.active.as_ref().map(|a| a == "failed"),
            source: unit.source.clone(),
        })
    };
    units.iter().filter_map(guard).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_has_a_purpose_that_the_schema_names() {
        let purposes =
            ["anti-virus", "audit", "backup", "firewall", "integrity", "intrusion", "logging", "mandatory-access-control", "monitoring", "time", "updates"];
        assert!(PURPOSES.len() > 40);
        for (name, purpose) in PURPOSES.iter() {
            assert!(purposes.contains(purpose) && !name.ends_with(".service"), "{name},{purpose}");
        }
    }
}
