//! A message: what changed, for machines as JSON, for people as text and HTML.

use serde::{Deserialize, Serialize};

use crate::model::finding::Severity;
use crate::report::text::plain;

/// Version that this code writes.
pub const FORMAT: &str = "assay.alert.v1";

/// One thing that changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Item {
    /// More of it, in order; may be empty.
    pub detail: Vec<String>,
    /// Address of the page that shows it; empty: none.
    pub link: String,
    /// How bad it is.
    pub severity: Severity,
    /// One line.
    pub text: String,
}

/// What one letter says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Message {
    /// When it was written, Unix seconds.
    pub at: i64,
    /// Address of the collector's pages.
    pub collector: String,
    /// [`FORMAT`].
    pub format: String,
    /// What changed, the worst first.
    pub items: Vec<Item>,
    /// `failures`, `silent`, `heard`, `missed-scan`, `waivers`, `records`, `trouble`, `recovered`, `digest`, `test`.
    pub kind: String,
    /// One line.
    pub title: String,
}

impl Message {
    /// A message of one kind.
    pub fn new(kind: &str, title: String, items: Vec<Item>, collector: &str, at: i64) -> Self {
        Self { at, collector: collector.into(), format: FORMAT.into(), items, kind: kind.into(), title: plain(&title) }
    }

    /// The worst of its items.
    pub fn severity(&self) -> Severity {
        self.items.iter().map(|i| i.severity).max().unwrap_or(Severity::Info)
    }

    /// For people who read plain text: no control character of a host goes through.
    pub fn text(&self) -> String {
        let mut out = format!("{}\n", plain(&self.title));
        for item in &self.items {
            out.push_str(&format!("\n[{}] {}\n", item.severity.word(), plain(&item.text)));
            item.detail.iter().for_each(|d| out.push_str(&format!("    {}\n", plain(d))));
            if !item.link.is_empty() {
                out.push_str(&format!("    {}{}\n", self.collector, item.link));
            }
        }
        out.push_str(&format!("\n{}\n", self.collector));
        out
    }

    /// The same as HTML; every word escaped.
    pub fn html(&self) -> Result<String, askama::Error> {
        use askama::Template as _;
        Mail { message: self }.render()
    }
}

#[derive(askama::Template)]
#[template(path = "mail.html")]
struct Mail<'a> {
    message: &'a Message,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_hosts_stay_words() {
        let item = Item { detail: vec!["a\r\nBcc: x@y".into()], link: "/f?a=1&b=2".into(), severity: Severity::High, text: "evil<script>\u{1b}[31m".into() };
        let message = Message::new("failures", "one\ntwo".into(), vec![item], "https://c", 1);
        assert!(!message.title.contains('\n') && !message.text().contains('\u{1b}') && !message.text().contains("\nBcc"), "{}", message.text());
        let html = message.html().unwrap();
        assert!(html.contains("evil&lt;script&gt;") && html.contains("https://c/f?a=1&amp;b=2") && !html.contains("<script"), "{html}");
        assert_eq!(message.severity(), Severity::High);
    }
}
