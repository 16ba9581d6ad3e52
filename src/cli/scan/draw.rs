//! Endpoints as text for people.

use std::fmt::Write as _;
use std::io::IsTerminal as _;

use super::PLAIN_WIDTH;
use crate::model::finding::{Finding, Severity, Verdict};
use crate::report::text::{pad, paint, plain, wrap};

/// Columns of a label.
const LABEL: usize = 16;
/// Widest column of a table but the last.
const COLUMN: usize = 36;

/// Where text is drawn.
#[derive(Clone, Copy, Debug)]
pub struct Page {
    /// Columns.
    pub width: usize,
    /// Whether there are colours.
    pub colour: bool,
}

impl Page {
    /// Standard output: as wide as the terminal, coloured on one only.
    pub fn of_stdout() -> Self {
        let terminal = std::io::stdout().is_terminal();
        let width = terminal_size::terminal_size().filter(|_| terminal).map_or(PLAIN_WIDTH, |(w, _)| usize::from(w.0)).max(60);
        Self { width, colour: terminal && std::env::var_os("NO_COLOR").is_none_or(|v| v.is_empty()) }
    }

    /// A heading.
    pub fn heading(self, out: &mut String, text: &str) {
        let _ = writeln!(out, "{}", paint(self.colour, "1", &plain(text)));
    }

    /// A label and what belongs to it, wrapped beside it.
    pub fn field(self, out: &mut String, label: &str, value: &str) {
        if value.is_empty() {
            return;
        }
        for (number, line) in wrap(&plain(value), self.width.saturating_sub(LABEL + 3)).into_iter().enumerate() {
            let label = if number == 0 { label } else { "" };
            let _ = writeln!(out, " {}  {line}", paint(self.colour, "2", &pad(label, LABEL)));
        }
    }

    /// Rows below a head; the last column wraps.
    pub fn table<const N: usize>(self, out: &mut String, head: [&str; N], rows: &[[String; N]]) {
        let rows: Vec<[String; N]> = rows.iter().map(|row| row.each_ref().map(|cell| plain(cell))).collect();
        let mut widths = head.map(|h| h.chars().count());
        for row in &rows {
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = (*width).max(cell.chars().count()).min(COLUMN);
            }
        }
        let before: usize = widths.iter().take(N.saturating_sub(1)).map(|w| w + 2).sum();
        if let Some(last) = widths.last_mut() {
            *last = self.width.saturating_sub(before + 1).max(16);
        }
        let line = |cells: [String; N]| {
            let columns: Vec<Vec<String>> = cells.iter().zip(widths).map(|(cell, width)| wrap(cell, width)).collect();
            let height = columns.iter().map(Vec::len).max().unwrap_or(0);
            let text = |at: usize| {
                let parts: Vec<String> = columns.iter().zip(widths).map(|(c, w)| pad(c.get(at).map_or("", String::as_str), w)).collect();
                format!(" {}", parts.join("  ").trim_end())
            };
            (0..height).map(text).collect::<Vec<_>>().join("\n")
        };
        let _ = writeln!(out, "{}", paint(self.colour, "2", &line(head.map(String::from))));
        for row in rows {
            let _ = writeln!(out, "{}", line(row));
        }
    }

    /// Failures first, by severity, then what is unknown.
    pub fn findings<'a>(self, out: &mut String, findings: impl Iterator<Item = &'a Finding>) {
        let mut shown: Vec<&Finding> = findings.filter(|f| matches!(f.verdict, Verdict::Fail | Verdict::Unknown)).collect();
        shown.sort_by_key(|f| (f.verdict != Verdict::Fail, std::cmp::Reverse(f.severity), &f.rule));
        for finding in shown {
            let (word, code) = word(finding);
            let text = wrap(&plain(&finding.message), self.width.saturating_sub(LABEL + 3));
            let rule = paint(self.colour, "1", &plain(&finding.rule));
            let _ = writeln!(out, " {}  {rule}", paint(self.colour, code, &pad(word, LABEL)));
            for line in text {
                let _ = writeln!(out, " {}  {line}", " ".repeat(LABEL));
            }
        }
    }
}

/// The first word of a finding and its colour.
pub fn word(finding: &Finding) -> (&'static str, &'static str) {
    match (finding.verdict, finding.severity) {
        (Verdict::Fail, Severity::Critical) => ("critical", "1;31"),
        (Verdict::Fail, Severity::High) => ("high", "31"),
        (Verdict::Fail, Severity::Medium) => ("medium", "33"),
        (Verdict::Fail, severity) => (severity.word(), "36"),
        (verdict, _) => (verdict.word(), "35"),
    }
}
