//! What leaves the company: the list of sub-processors, and the notification of an incident.

use serde::Serialize;

use super::entry::{Entry, entries};
use super::event::Recorded;
use super::types::SUB_PROCESSORS;
use super::value::{day_of, written};

/// One line of the published list: no personal data, no agreement.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct SubProcessor {
    /// Its name.
    pub name: String,
    /// What for.
    pub purpose: String,
    /// Which data.
    pub data: String,
    /// Country of processing.
    pub place: String,
    /// What allows the transfer, in words.
    pub transfer: String,
    /// Days that data stay there; empty when not said.
    pub retention_days: String,
}

/// The list of sub-processors as it is published.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SubProcessors {
    /// As of this second, Unix.
    pub as_of: i64,
    /// By name.
    pub items: Vec<SubProcessor>,
    /// Why the list must not be published as it is, a sentence each; empty: nothing speaks against it. Open entries that are not marked as
    /// published stand in the list nevertheless: whoever processes is named.
    pub problems: Vec<String>,
}

impl SubProcessors {
    /// Of the register as of a time.
    pub fn of(events: &[Recorded], as_of: i64) -> Self {
        let open: Vec<Entry> = entries(events.iter().filter(|r| r.event.record == SUB_PROCESSORS), as_of).into_iter().filter(Entry::is_open).collect();
        let item = |e: &Entry| SubProcessor {
            name: e.subject.clone(),
            purpose: e.value("purpose").into(),
            data: e.value("data").into(),
            place: e.value("place").into(),
            transfer: transfer(e.value("transfer_mechanism")).into(),
            retention_days: e.value("retention_days").into(),
        };
        let mut items: Vec<SubProcessor> = open.iter().map(item).collect();
        items.sort_by_key(|i| (super::people::folded(&i.name), i.clone()));
        items.dedup();
        let mut problems = Vec::new();
        for pair in items.windows(2) {
            if let [a, b] = pair
                && super::people::same(&a.name, &b.name)
            {
                problems.push(format!("{} is listed twice, with different words: close one of the entries", a.name));
            }
        }
        for item in items.iter().filter(|i| i.place.is_empty() || i.purpose.is_empty()) {
            problems.push(format!("{} has no place or no purpose: fill them in", item.name));
        }
        Self { as_of, items, problems }
    }

    /// As a page of its own.
    pub fn html(&self) -> String {
        let mut out = String::from(
            "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<meta name=\"viewport\" content=\"width=device-width\">\n\
             <title>Sub-processors</title>\n</head>\n<body>\n<h1>Sub-processors</h1>\n",
        );
        out.push_str(&format!("<p>As of {}.</p>\n<table>\n<thead><tr>", day_of(self.as_of)));
        for head in HEADS {
            out.push_str(&format!("<th scope=\"col\">{head}</th>"));
        }
        out.push_str("</tr></thead>\n<tbody>\n");
        for item in &self.items {
            let cells: String = item.cells().iter().map(|c| format!("<td>{}</td>", escaped(c))).collect();
            out.push_str(&format!("<tr>{cells}</tr>\n"));
        }
        out.push_str("</tbody>\n</table>\n</body>\n</html>\n");
        out
    }

    /// As Markdown.
    pub fn markdown(&self) -> String {
        let mut out = format!("# Sub-processors\n\nAs of {}.\n\n| {} |\n|{}\n", day_of(self.as_of), HEADS.join(" | "), "---|".repeat(HEADS.len()));
        for item in &self.items {
            let cells: Vec<String> = item.cells().iter().map(|c| marked(c)).collect();
            out.push_str(&format!("| {} |\n", cells.join(" | ")));
        }
        out
    }
}

const HEADS: [&str; 6] = ["Name", "Purpose", "Data", "Place of processing", "Transfer mechanism", "Kept there"];

impl SubProcessor {
    fn cells(&self) -> [String; 6] {
        let kept = if self.retention_days.is_empty() { String::new() } else { format!("{} days", self.retention_days) };
        [self.name.clone(), self.purpose.clone(), self.data.clone(), self.place.clone(), self.transfer.clone(), kept]
    }
}

fn transfer(mechanism: &str) -> &str {
    match mechanism {
        "not-needed" => "not needed",
        "adequacy-decision" => "adequacy decision (GDPR Art. 45)",
        "standard-clauses" => "standard contractual clauses (GDPR Art. 46)",
        "binding-rules" => "binding corporate rules (GDPR Art. 47)",
        "data-privacy-framework" => "EU-US Data Privacy Framework",
        other => other,
    }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

/// Markdown holds HTML too: nothing of it may come from a field.
fn marked(text: &str) -> String {
    let plain = escaped(text);
    plain.chars().fold(String::new(), |mut out, c| {
        if matches!(c, '|' | '\\' | '`' | '*' | '_' | '[' | ']' | '!') {
            out.push('\\');
        }
        out.push(c);
        out
    })
}

/// The notification of an incident, ready to be sent: plain text, in the order in which GDPR Art. 33 asks.
pub fn notification(entry: &Entry, at: i64) -> String {
    let mut out = format!("Notification of a personal data breach\n\nIncident {}: {}\nWritten on {}\n", entry.short(), entry.subject, written(at));
    let part = |out: &mut String, head: &str, text: &str| {
        let text = if text.is_empty() { "not known yet; it follows" } else { text };
        let lines: Vec<String> = text.lines().map(|l| format!("  {l}")).collect();
        out.push_str(&format!("\n{head}\n{}\n", lines.join("\n")));
    };
    for (head, field) in [
        ("Contact for questions", "contact"),
        ("Summary", "description"),
        ("Data concerned", "data_concerned"),
        ("When it happened", "occurred_at"),
        ("When it became known", "known_at"),
        ("Nature of the breach", "nature"),
        ("Likely consequences", "consequences"),
        ("Measures taken or proposed", "measures"),
    ] {
        part(&mut out, head, entry.value(field));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::super::event::Action;
    use super::super::testing::{about, day, event, recorded};
    use super::super::types::{INCIDENTS, builtin, find};
    use super::*;

    #[test]
    fn the_published_list_holds_who_processes_and_nothing_that_is_not_ours_to_say() {
        let add = |entry, name: &str, place: &str| {
            let fields = [("purpose", "mail <fast>"), ("data", "names | text"), ("place", place), ("transfer_mechanism", "not-needed"), ("owner", "m.keller")];
            recorded(about(name, event(SUB_PROCESSORS, entry, Action::Add, 10, "ada", &fields)))
        };
        let mut events = vec![add(1, "Mail Ltd", "Ireland"), add(2, "Alpha", "France"), add(3, "Gone", "France")];
        events.push(recorded(event(SUB_PROCESSORS, 3, Action::Close, 20, "ada", &[])));
        let list = SubProcessors::of(&events, day("2026-11-28"));
        assert_eq!(list.items.iter().map(|i| i.name.as_str()).collect::<Vec<_>>(), ["Alpha", "Mail Ltd"]);
        let (html, text) = (list.html(), list.markdown());
        assert!(html.contains("<td>mail &lt;fast&gt;</td>") && html.contains("As of 2026-11-28.") && !html.contains("keller"), "{html}");
        assert!(text.contains("| Alpha | mail &lt;fast&gt; | names \\| text | France | not needed |  |"), "{text}");
        assert!(list.problems.is_empty());
        events.push(add(4, "mail ltd", "Germany"));
        assert_eq!(SubProcessors::of(&events, 30).problems, ["Mail Ltd is listed twice, with different words: close one of the entries"]);
    }

    #[test]
    fn a_notification_says_what_the_law_asks_for_and_what_is_not_known() {
        let fields = [("contact", "dpo@example.org"), ("description", "a laptop\nwas lost"), ("nature", "confidentiality")];
        let events = [recorded(about("laptop", event(INCIDENTS, 1, Action::Add, 10, "ada", &fields)))];
        let text = notification(&entries(&events, 20).remove(0), day("2026-11-28"));
        assert!(text.contains("Summary\n  a laptop\n  was lost\n") && text.contains("Data concerned\n  not known yet; it follows"), "{text}");
        let types = builtin().unwrap();
        let kind = find(types, INCIDENTS).unwrap();
        for field in ["description", "occurred_at", "known_at", "consequences", "reporter", "recipient", "data_concerned", "nature", "measures", "contact"] {
            assert!(kind.field(field).is_some_and(|f| f.required), "{field}");
        }
    }
}
