//! firewalld: the default zone, which takes every interface and source that no other zone names.

use quick_xml::events::Event;
use quick_xml::reader::Reader;

use super::chains::Fate;
use super::{Reading, assigned};
use crate::facts::Document as _;
use crate::facts::firewall::{Boot, Firewall};
use crate::facts::jobs::UnitView;
use crate::host::CONFIG_LIMIT;
use crate::model::fact::Source;
use crate::model::gap::reason;

const CONF: &str = "/etc/firewalld/firewalld.conf";
const FOLDERS: [&str; 2] = ["/etc/firewalld/zones", "/usr/lib/firewalld/zones"];
/// Most elements of a zone.
const ELEMENTS_LIMIT: usize = 10_000;

/// The default zone.
pub fn read(reading: &mut Reading<'_>, view: Option<&UnitView>) -> Option<Boot> {
    let text = reading.text(CONF, CONFIG_LIMIT)?;
    let (zone, line) = assigned(&text, "DefaultZone").unwrap_or_else(|| ("public".into(), 0));
    let is_name = !zone.is_empty() && zone.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-');
    let place = is_name.then(|| FOLDERS.iter().map(|f| format!("{f}/{zone}.xml")).find(|p| reading.host.exists(p).unwrap_or(false))).flatten();
    let found = place.as_ref().and_then(|place| reading.text(place, CONFIG_LIMIT)).and_then(|text| parse(&text));
    let (fate, open) = found.unwrap_or_else(|| {
        reading.gaps.note(Firewall::NAME, "boot", "firewalld", reason::MALFORMED, format!("the default zone {zone:?} can't be read"), "");
        (Fate::Unknown, Vec::new())
    });
    let mut boot = reading.boot("firewalld", "firewalld.service", view, CONF, [fate, fate]);
    boot.open = open;
    boot.source = place.map_or_else(|| Source::line(CONF, line, "DefaultZone"), Source::whole);
    Some(boot)
}

/// Target, services and ports of a zone.
fn parse(text: &str) -> Option<(Fate, Vec<String>)> {
    let mut reader = Reader::from_str(text);
    // firewalld.zone(5): without a target what is not named is refused.
    let (mut fate, mut open, mut is_zone) = (Fate::Drop, Vec::new(), false);
    let mut depth = 0_usize;
    for _ in 0..ELEMENTS_LIMIT {
        let event = reader.read_event().ok()?;
        let (element, empty) = match &event {
            Event::Start(element) => (element, false),
            Event::Empty(element) => (element, true),
            Event::End(_) => {
                depth = depth.saturating_sub(1);
                continue;
            }
            Event::Eof => {
                open.sort();
                return is_zone.then_some((fate, open));
            }
            _ => continue,
        };
        let attribute = |name: &str| element.try_get_attribute(name).ok().flatten().map(|a| a.value.to_string());
        match (depth, element.name().as_ref()) {
            (0, "zone") => {
                is_zone = true;
                fate = match attribute("target").as_deref() {
                    None | Some("default" | "DROP" | "REJECT" | "%%REJECT%%" | "{chain}_{zone}") => Fate::Drop,
                    Some("ACCEPT") => Fate::Accept,
                    Some(_) => Fate::Unknown,
                };
            }
            (1, "service") => open.extend(attribute("name")),
            (1, "port") => open.extend(attribute("port").zip(attribute("protocol")).map(|(port, protocol)| format!("{port}/{protocol}"))),
            _ => {}
        }
        depth += usize::from(!empty);
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zones() {
        let text = "<?xml version=\"1.0\" encoding=\"utf-8\"?>\n<zone>\n <short>P</short>\n <service name=\"ssh\"/>\n <rule><port port=\"1\" protocol=\"tcp\"/></rule>\n</zone>\n";
        assert_eq!(parse(text), Some((Fate::Drop, vec!["ssh".to_string()])));
        assert_eq!(parse("<zone target=\"ACCEPT\"/>"), Some((Fate::Accept, vec![])));
        assert_eq!(parse("<service/>"), None);
        for end in 0..text.len() {
            let _ = parse(&text[..end]);
        }
    }
}
