//! The working paper as one self-contained page: no script, no external asset, prints well.

mod control;
mod fleet;

use std::fmt::Write as _;

use super::paper::{Conclusion, Paper};
use super::plots;
use super::text::{count, minute, visible};

/// Most rows of one table on the page; the files beside it hold all of them, and the page says so.
pub const MAX_ROWS: usize = 200;

const STYLE: &str = include_str!("style.css");

/// The page.
pub fn render(paper: &Paper) -> String {
    let mut out = String::with_capacity(256 << 10);
    let title = format!("{} — evidence {}", paper.cover.title, span(paper));
    out.push_str("<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n");
    out.push_str("<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n");
    out.push_str("<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n");
    let _ = write!(out, "<title>{}</title>\n<style>\n{STYLE}{}</style>\n</head>\n<body>\n{}", escape(&title), margins(paper), plots::DEFS);
    cover(&mut out, paper);
    contents(&mut out, paper);
    out.push_str("<main>\n");
    fleet::sections(&mut out, paper);
    paper.controls.iter().for_each(|c| control::section(&mut out, c));
    fleet::lists(&mut out, paper);
    out.push_str("</main>\n</body>\n</html>\n");
    out
}

/// Text as HTML, in content and in quoted attributes.
pub fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in visible(text).chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c => out.push(c),
        }
    }
    out
}

/// Page numbers and a running foot in print. Everything but letters, digits and blanks is written as a number: the text stands in a
/// style sheet inside a page.
fn margins(paper: &Paper) -> String {
    let quoted = |text: &str| -> String {
        text.chars().map(|c| if c.is_ascii_alphanumeric() || c == ' ' { c.to_string() } else { format!("\\{:06x} ", u32::from(c)) }).collect()
    };
    let foot = quoted(&visible(&format!("{} · {}", paper.cover.title, span(paper))));
    let font = "font: 8pt system-ui, sans-serif; color: #55585f";
    format!(
        "@page {{ size: A4; margin: 18mm 16mm 20mm; @bottom-left {{ content: \"{foot}\"; {font} }} @bottom-right {{ content: counter(page) \" of \" counter(pages); {font} }} }}\n@page :first {{ @bottom-left {{ content: none }} @bottom-right {{ content: none }} }}\n"
    )
}

fn span(paper: &Paper) -> String {
    let c = &paper.cover;
    if c.is_date { format!("as of {}", c.to) } else { format!("{} to {}", c.from, c.to) }
}

fn cover(out: &mut String, paper: &Paper) {
    let c = &paper.cover;
    let company = if c.company.is_empty() { String::new() } else { format!(" · {}", escape(&c.company)) };
    let _ = write!(out, "<header class=\"cover\">\n<p class=\"kicker\">Evidence bundle · working paper{company}</p>\n<h1>{}</h1>\n", escape(&c.title));
    let _ = writeln!(out, "<p class=\"lead\">{}</p>", escape(&summary(paper)));
    out.push_str(&plots::conclusions(&concluded(paper)));
    out.push_str("<dl>\n");
    for (name, value) in facts(paper) {
        let _ = writeln!(out, "<dt>{name}</dt><dd>{}</dd>", escape(&value));
    }
    out.push_str("</dl>\n<p class=\"note\">Verify this bundle offline with <code>assay evidence verify BUNDLE --key LEDGER-KEY</code>, the key taken from a source you trust, not from this page.</p>\n");
    if !paper.notes.is_empty() {
        out.push_str("<h3>What to know</h3>\n<ul>\n");
        for note in &paper.notes {
            let _ = writeln!(out, "<li>{}</li>", escape(note));
        }
        out.push_str("</ul>\n");
    }
    out.push_str("</header>\n");
}

fn facts(paper: &Paper) -> Vec<(&'static str, String)> {
    let c = &paper.cover;
    let pieces: usize = paper.controls.iter().map(|c| c.pieces.len()).sum();
    let mut rows = vec![
        ("Framework", format!("{} {}", c.framework, c.version)),
        ("Published at", c.source.clone()),
        ("Kind", if c.is_date { "Type 1: as of one day" } else { "Type 2: over a period" }.into()),
        ("Days (UTC, inclusive)", format!("{} to {}", c.from, c.to)),
        ("Exported on", c.as_of.clone()),
        ("Scope", c.scope.clone()),
        ("Signed reports", c.reports.to_string()),
        ("Numbered pieces", pieces.to_string()),
        ("Ledger key", c.ledger.clone()),
        ("Ledger checkpoint", format!("{}, root {}", count(usize::try_from(c.checkpoint_size).unwrap_or(usize::MAX), "leaf", "leaves"), c.checkpoint_root)),
        ("Rule pack", c.pack.to_string()),
    ];
    if let Some(sampling) = &c.sampling {
        rows.push(("Samples", format!("{} per control and kind, seed {:?}", sampling.size, sampling.seed)));
    }
    rows
}

/// Conclusions that occur, the worst first, and how often.
fn concluded(paper: &Paper) -> Vec<(Conclusion, usize)> {
    let mut all: Vec<Conclusion> = paper.controls.iter().map(|c| c.conclusion).collect();
    all.sort_unstable_by(|a, b| b.cmp(a));
    let mut out: Vec<(Conclusion, usize)> = Vec::new();
    for conclusion in all {
        match out.last_mut() {
            Some((last, n)) if *last == conclusion => *n += 1,
            _ => out.push((conclusion, 1)),
        }
    }
    out
}

/// One sentence: what is true, what is not.
fn summary(paper: &Paper) -> String {
    let parts: Vec<String> = concluded(paper).into_iter().map(|(c, n)| format!("{n} {}", c.word())).collect();
    format!("{}: {}.", count(paper.controls.len(), "control", "controls"), parts.join(", "))
}

fn contents(out: &mut String, paper: &Paper) {
    out.push_str("<nav class=\"toc\" aria-labelledby=\"contents\">\n<h2 id=\"contents\">Contents</h2>\n<ul>\n");
    for (id, title) in fleet::titles(paper) {
        let _ = writeln!(out, "<li><a href=\"#{id}\">{title}</a></li>");
    }
    out.push_str("<li><a href=\"#lists\">How each list was made</a></li>\n</ul>\n");
    let rows = paper.controls.iter().map(|c| {
        let id = escape(&c.id);
        vec![
            format!("<a href=\"#{id}\">{id}</a>"),
            format!("<a href=\"#{id}\">{}</a>", escape(&c.title)),
            concluded_html(c.conclusion),
            c.exceptions.len().to_string(),
            c.pieces.len().to_string(),
        ]
    });
    table(out, "Controls", &[("Control", ""), ("Title", ""), ("Conclusion", "w"), ("Exceptions", "n o"), ("Pieces", "n o")], rows);
    out.push_str("</nav>\n");
}

/// A conclusion with its shape: the paper is read without colour.
fn concluded_html(conclusion: Conclusion) -> String {
    let class = match conclusion {
        Conclusion::NoExceptions => "good",
        Conclusion::Exceptions => "bad",
        Conclusion::NotRun => "none",
        Conclusion::Record => "pen",
        Conclusion::Unknown => "doubt",
        Conclusion::Waived => "other",
        Conclusion::NotApplicable => "quiet",
        Conclusion::Derived => "list",
    };
    format!("<span class=\"v {class}\">{}</span>", conclusion.word())
}

/// A table: heads with the class of their column, rows of finished HTML.
fn table(out: &mut String, label: &str, head: &[(&str, &str)], rows: impl Iterator<Item = Vec<String>>) {
    let _ = write!(out, "<div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"{}\"><table>\n<thead><tr>", escape(label));
    for (word, class) in head {
        let _ = write!(out, "<th scope=\"col\"{}>{word}</th>", attribute(class));
    }
    out.push_str("</tr></thead>\n<tbody>\n");
    for row in rows {
        out.push_str("<tr>");
        for (cell, (_, class)) in row.iter().zip(head) {
            let _ = write!(out, "<td{}>{cell}</td>", attribute(class));
        }
        out.push_str("</tr>\n");
    }
    out.push_str("</tbody></table></div>\n");
}

fn attribute(class: &str) -> String {
    if class.is_empty() { String::new() } else { format!(" class=\"{class}\"") }
}

/// Says how many rows the page leaves out, and where they are.
fn more(out: &mut String, all: usize, file: &str) {
    if all > MAX_ROWS {
        let _ = writeln!(out, "<p class=\"note\">The first {MAX_ROWS} of {all}; the others are in {}.</p>", link(file));
    }
}

/// A file of the bundle.
fn link(file: &str) -> String {
    let file = escape(file);
    format!("<a href=\"{file}\"><code>{file}</code></a>")
}

/// A time to the minute, UTC; it breaks between day and hour only.
fn when(seconds: i64) -> String {
    let text = minute(seconds);
    match text.split_once(' ') {
        Some((day, hour)) => format!("<span class=\"w\">{day}</span> {hour}"),
        None => text,
    }
}

/// A long digest in short; the tables hold it whole.
fn short(digest: &str) -> String {
    format!("<code>{}…</code>", escape(&digest.chars().take(12).collect::<String>()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hostile_text_stays_text() {
        assert_eq!(escape("<script>\"'&\u{0}\u{202e}"), "&lt;script&gt;&quot;&#39;&amp;\u{fffd}\u{fffd}");
    }
}
