//! What samples are drawn from: the populations of the bundle, frozen with it.

use std::collections::HashMap;

use crate::evidence::material::Control;
use crate::evidence::paper::{Change, Member, People, RecordPaper};
use crate::evidence::revocation;
use crate::evidence::sampling::Item;
use crate::evidence::windows::{Window, WindowState};

/// Items by kind.
#[derive(Debug, Default)]
pub struct Populations<'w> {
    hosts: Vec<Item>,
    scans: Vec<Item>,
    changes: Vec<Item>,
    people: Vec<Item>,
    records: HashMap<String, Vec<Item>>,
    windows: HashMap<String, &'w Window>,
}

/// The item of a planned scan.
fn scan(window: &Window) -> String {
    format!("{} {}", window.host, window.window)
}

impl<'w> Populations<'w> {
    /// Of a whole bundle.
    pub fn new(members: &[Member], windows: &'w [Window], changes: &[Change], people: Option<&People>) -> Self {
        let names: HashMap<_, &str> = members.iter().map(|m| (m.host, m.name.as_str())).collect();
        let title = |w: &Window| format!("{} scan of {} for {}, {}", w.kind, names.get(&w.host).copied().unwrap_or_default(), w.window, w.state.word());
        let planned = || windows.iter().filter(|w| w.state != WindowState::Open);
        Self {
            hosts: members.iter().map(|m| Item { item: m.host.to_string(), title: m.name.clone() }).collect(),
            scans: planned().map(|w| Item { item: scan(w), title: title(w) }).collect(),
            changes: changes.iter().map(|c| Item { item: c.leaf.to_string(), title: c.text.clone() }).collect(),
            people: people.iter().flat_map(|p| &p.people).map(|p| Item { item: p.person.clone(), title: p.person.clone() }).collect(),
            records: HashMap::new(),
            windows: planned().map(|w| (scan(w), w)).collect(),
        }
    }

    /// Adds what people recorded.
    pub fn record(&mut self, kind: &str, items: Vec<Item>) {
        self.records.insert(kind.into(), items);
    }

    /// The planned scan of an item.
    pub fn window(&self, item: &str) -> Option<&'w Window> {
        self.windows.get(item).copied()
    }

    /// What a control is sampled from, as fits what tests it.
    pub fn of<'a>(&'a self, control: &Control, records: &[RecordPaper]) -> impl Iterator<Item = (&'static str, &'a [Item])> + use<'a, 'w> {
        let (tested, fleet) = (!control.rules.is_empty(), !control.fleet.is_empty());
        let about_people = control.rules.iter().any(|m| revocation::RULES.contains(&m.rule.as_str()));
        let mut out: Vec<(&'static str, &[Item])> = Vec::new();
        if tested || fleet {
            out.extend([("host", self.hosts.as_slice()), ("scan", self.scans.as_slice())]);
        }
        if fleet {
            out.push(("change", &self.changes));
        }
        if about_people || fleet {
            out.push(("person", &self.people));
        }
        out.extend(records.iter().filter_map(|r| self.records.get(&r.record)).map(|items| ("record", items.as_slice())));
        out.into_iter()
    }
}
