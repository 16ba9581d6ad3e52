//! Units by their files.

use super::{Unit, Units};
use crate::facts::Document as _;
use crate::facts::jobs::unit_list::{self, UnitFile};
use crate::host::Host;
use crate::model::fact::Source;
use crate::model::gap::{Gap, Gaps};

/// Every unit; what of the files can't be read is a gap of the list.
pub fn units(host: &Host, gaps: &mut Gaps) -> Vec<Unit> {
    let (files, unread) = unit_list::unit_files(host);
    // Lists of other things that root executes are none of this family.
    for gap in unread.into_iter().filter(|g| g.path == "items") {
        gaps.add(Gap { family: Units::NAME.into(), ..gap });
    }
    files.into_iter().map(unit).collect()
}

fn unit(file: UnitFile) -> Unit {
    let kind = file.name.rsplit('.').next().unwrap_or_default().to_string();
    let enabled = matches!(file.state.as_str(), "enabled" | "enabled-runtime");
    let lasting = kind == "service" && file.service_type != "oneshot" && !file.conditional;
    let alias_of = if file.real == file.name { String::new() } else { file.real };
    Unit { alias_of, kind, enabled, lasting, source: Source::whole(file.fragment), state: file.state, subject: file.name, ..Unit::default() }
}
