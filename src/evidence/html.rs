//! The working paper as one self-contained page: no script, no external asset, prints well.

use std::fmt::Write as _;

use super::paper::{Conclusion, ControlPaper, Exception, Outcome, Paper, Tally};
use super::text::{count, time, time_or, visible};
use super::windows::WindowState;
use crate::model::finding::Verdict;

/// Most rows of one table on the page; the files beside it hold all of them, and the page says so.
pub const MAX_ROWS: usize = 200;

const STYLE: &str = "
:root{--ink:#1a1d21;--soft:#5b626b;--line:#c9ced4;--paper:#fff;--band:#f4f5f7}
*{box-sizing:border-box}
body{margin:0 auto;max-width:64rem;padding:2rem 1.5rem;background:var(--paper);color:var(--ink);font:15px/1.5 system-ui,sans-serif;font-variant-numeric:tabular-nums}
h1{font-size:1.9rem;line-height:1.2;margin:0 0 .5rem}h2{font-size:1.3rem;margin:2.5rem 0 .5rem;border-top:2px solid var(--ink);padding-top:.75rem}h3{font-size:1rem;margin:1.5rem 0 .5rem}
p{margin:.5rem 0;max-width:46rem}a{color:inherit}
dl{display:grid;grid-template-columns:minmax(8rem,14rem) 1fr;gap:.25rem 1rem;margin:1rem 0}dt{color:var(--soft)}dd{margin:0;overflow-wrap:anywhere}
.scroll{overflow-x:auto}
table{border-collapse:collapse;width:100%;margin:.5rem 0;font-size:.87rem}
th,td{text-align:left;vertical-align:top;padding:.3rem .6rem .3rem 0;border-bottom:1px solid var(--line);overflow-wrap:anywhere}
th{font-weight:600;border-bottom:1.5px solid var(--ink)}td.n,th.n{text-align:right}
code{font:0.87em ui-monospace,monospace;overflow-wrap:anywhere}
.state{white-space:nowrap;font-weight:600}.soft{color:var(--soft)}
@media(max-width:40rem){dl{grid-template-columns:1fr}dt{margin-top:.5rem}}
@media print{body{max-width:none;padding:0;font-size:10pt}.cover{break-after:page}.control{break-before:page}tr{break-inside:avoid}thead{display:table-header-group}a{text-decoration:none}.scroll{overflow:visible}}
@page{margin:18mm 16mm}
";

/// The page.
pub fn render(paper: &Paper) -> String {
    let mut out = String::with_capacity(64 << 10);
    let c = &paper.cover;
    let title = format!("{} — evidence {}", escape(&c.title), span(paper));
    push(&mut out, "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n");
    push(&mut out, "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n");
    push(&mut out, "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n");
    let _ = write!(out, "<title>{title}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n");
    cover(&mut out, paper);
    contents(&mut out, paper);
    push(&mut out, "<main>\n");
    population(&mut out, paper);
    paper.controls.iter().for_each(|c| control(&mut out, c));
    push(&mut out, "</main>\n</body>\n</html>\n");
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

fn push(out: &mut String, text: &str) {
    out.push_str(text);
}

fn span(paper: &Paper) -> String {
    let c = &paper.cover;
    if c.is_date { format!("as of {}", c.to) } else { format!("{} to {}", c.from, c.to) }
}

fn cover(out: &mut String, paper: &Paper) {
    let c = &paper.cover;
    let kind = if c.is_date { "Type 1: as of one day" } else { "Type 2: over a period" };
    let pieces: usize = paper.controls.iter().map(|c| c.pieces.len()).sum();
    let _ = write!(
        out,
        "<header class=\"cover\">\n<p class=\"soft\">Evidence bundle · working paper</p>\n<h1>{}</h1>\n<p>{}</p>\n<dl>\n",
        escape(&c.title),
        escape(&summary(paper))
    );
    let rows = [
        ("Framework", format!("{} {}", c.framework, c.version)),
        ("Published at", c.source.clone()),
        ("Kind", kind.into()),
        ("Days (UTC, inclusive)", format!("{} to {}", c.from, c.to)),
        ("Exported on", c.as_of.clone()),
        ("Scope", c.scope.clone()),
        ("Signed reports", c.reports.to_string()),
        ("Numbered pieces", pieces.to_string()),
        ("Ledger key", c.ledger.clone()),
        ("Ledger checkpoint", format!("{}, root {}", count(usize::try_from(c.checkpoint_size).unwrap_or(usize::MAX), "leaf", "leaves"), c.checkpoint_root)),
        ("Rule pack", c.pack.to_string()),
    ];
    for (name, value) in rows {
        let _ = writeln!(out, "<dt>{name}</dt><dd>{}</dd>", escape(&value));
    }
    push(
        out,
        "</dl>\n<p>Verify this bundle offline with <code>assay evidence verify BUNDLE --key LEDGER-KEY</code>, the key taken from a source you trust, not from this page.</p>\n",
    );
    if !paper.notes.is_empty() {
        push(out, "<h3>What to know</h3>\n<ul>\n");
        for note in &paper.notes {
            let _ = writeln!(out, "<li>{}</li>", escape(note));
        }
        push(out, "</ul>\n");
    }
    push(out, "</header>\n");
}

/// One sentence: what is true, what is not.
fn summary(paper: &Paper) -> String {
    let with = |c: Conclusion| paper.controls.iter().filter(|p| p.conclusion == c).count();
    let parts: Vec<String> = [
        Conclusion::NoExceptions,
        Conclusion::Exceptions,
        Conclusion::NotRun,
        Conclusion::Unknown,
        Conclusion::Waived,
        Conclusion::NotApplicable,
        Conclusion::Record,
        Conclusion::Derived,
    ]
    .into_iter()
    .filter(|c| with(*c) > 0)
    .map(|c| format!("{} {}", with(c), if c == Conclusion::Record && with(c) != 1 { "need a person's record" } else { c.word() }))
    .collect();
    format!("{}: {}.", count(paper.controls.len(), "control", "controls"), parts.join(", "))
}

fn contents(out: &mut String, paper: &Paper) {
    push(out, "<nav>\n<h2 id=\"contents\">Contents</h2>\n<div class=\"scroll\"><table>\n<thead><tr><th>Control</th><th>Title</th><th>Conclusion</th>");
    push(
        out,
        "<th class=\"n\">Exceptions</th><th class=\"n\">Pieces</th></tr></thead>\n<tbody>\n<tr><td></td><td><a href=\"#population\">Population and planned scans</a></td><td></td><td></td><td></td></tr>\n",
    );
    for c in &paper.controls {
        let id = escape(&c.id);
        let _ = writeln!(
            out,
            "<tr><td><a href=\"#{id}\">{id}</a></td><td>{}</td><td class=\"state\">{} {}</td><td class=\"n\">{}</td><td class=\"n\">{}</td></tr>",
            escape(&c.title),
            shape(c.conclusion),
            c.conclusion.word(),
            c.exceptions.len(),
            c.pieces.len()
        );
    }
    push(out, "</tbody></table></div>\n</nav>\n");
}

/// A shape beside each word: the paper is read without colour.
const fn shape(conclusion: Conclusion) -> &'static str {
    match conclusion {
        Conclusion::NoExceptions => "●",
        Conclusion::Exceptions => "✕",
        Conclusion::NotRun => "○",
        Conclusion::Unknown => "?",
        Conclusion::Waived => "◐",
        Conclusion::NotApplicable => "–",
        Conclusion::Record => "✎",
        Conclusion::Derived => "▤",
    }
}

fn population(out: &mut String, paper: &Paper) {
    push(out, "<section>\n<h2 id=\"population\">Population and planned scans</h2>\n");
    let _ = writeln!(
        out,
        "<p>{}. Complete list: <code>population.csv</code>; every planned scan: <code>windows.csv</code>.</p>",
        escape(&capital(&paper.cover.scope))
    );
    if paper.population.is_empty() {
        push(out, "<p><strong>No host was enrolled: nothing was tested.</strong></p>\n");
    } else {
        push(
            out,
            "<div class=\"scroll\"><table>\n<thead><tr><th>Host</th><th>Operating system</th><th>Enrolled</th><th>Last complete scan</th><th class=\"n\">Planned</th><th class=\"n\">Done</th><th class=\"n\">Not run</th><th class=\"n\">Open</th></tr></thead>\n<tbody>\n",
        );
        for m in paper.population.iter().take(MAX_ROWS) {
            let state = if m.retired_at.is_some() { " (retired)" } else { "" };
            let _ = writeln!(
                out,
                "<tr><td>{}{state}<br><code class=\"soft\">{}</code></td><td>{}</td><td>{}</td><td>{}</td><td class=\"n\">{}</td><td class=\"n\">{}</td><td class=\"n\">{}</td><td class=\"n\">{}</td></tr>",
                escape(&m.name),
                m.host,
                escape(&m.os),
                time(m.enrolled_at),
                time_or(m.confirmed, "none"),
                m.windows.planned,
                m.windows.done,
                m.windows.not_run,
                m.windows.open
            );
        }
        push(out, "</tbody></table></div>\n");
        more(out, paper.population.len(), "population.csv");
    }
    let missed: Vec<_> = paper.windows.iter().filter(|w| matches!(w.state, WindowState::NotRun | WindowState::Aborted)).collect();
    if !missed.is_empty() {
        let _ = write!(
            out,
            "<h3>Scans that did not run: {}</h3>\n<div class=\"scroll\"><table>\n<thead><tr><th>Host</th><th>Window</th><th>Ended</th></tr></thead>\n<tbody>\n",
            missed.len()
        );
        for w in missed.iter().take(MAX_ROWS) {
            let name = paper.population.iter().find(|m| m.host == w.host).map(|m| m.name.as_str()).unwrap_or_default();
            let _ = writeln!(out, "<tr><td>{}</td><td>{} ({})</td><td>{}</td></tr>", escape(name), escape(&w.window), w.kind, time(w.end));
        }
        push(out, "</tbody></table></div>\n");
        more(out, missed.len(), "windows.csv");
    }
    push(out, "</section>\n");
}

fn capital(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map(|c| c.to_uppercase().collect::<String>() + chars.as_str()).unwrap_or_default()
}

fn more(out: &mut String, all: usize, file: &str) {
    if all > MAX_ROWS {
        let _ = writeln!(out, "<p>{} more in <code>{}</code>.</p>", all - MAX_ROWS, escape(file));
    }
}

fn control(out: &mut String, c: &ControlPaper) {
    let id = escape(&c.id);
    let _ = write!(out, "<section class=\"control\">\n<h2 id=\"{id}\">{id} {}</h2>\n", escape(&c.title));
    if !c.text.is_empty() {
        let _ = writeln!(out, "<p>{}</p>", escape(&c.text));
    }
    let _ = writeln!(out, "<p><span class=\"state\">{} {}</span> · {}</p>", shape(c.conclusion), c.conclusion.word(), escape(&c.sentence));
    if !c.fleet.is_empty() {
        let _ = writeln!(out, "<h3>What the collector tells</h3>\n<p>{}</p>", escape(&c.fleet));
    }
    if !c.record.is_empty() {
        let _ = writeln!(out, "<h3>A person's record</h3>\n<p>{} <span class=\"soft\">No record is attached to this bundle.</span></p>", escape(&c.record));
    }
    if c.design.is_empty() {
        push(out, "</section>\n");
        return;
    }
    design(out, c);
    let _ = writeln!(
        out,
        "<h3>Population and operation</h3>\n<p>{}; {} scans planned, {} done, {} not run, {} open.</p>",
        count(c.population, "host", "hosts"),
        c.operation.planned,
        c.operation.done,
        c.operation.not_run,
        c.operation.open
    );
    results(out, c);
    exceptions(out, c);
    pieces(out, c);
    push(out, "</section>\n");
}

fn design(out: &mut String, c: &ControlPaper) {
    push(out, "<h3>What is tested, and why</h3>\n<div class=\"scroll\"><table>\n<thead><tr><th>Rule</th><th>Severity</th><th>Part</th><th>Why</th>");
    for (verdict, _) in Tally::default().columns() {
        let _ = write!(out, "<th class=\"n\">{}</th>", verdict.word());
    }
    push(out, "</tr></thead>\n<tbody>\n");
    for d in &c.design {
        let verify = if d.verify.is_empty() {
            String::new()
        } else {
            format!("<br><span class=\"soft\">To see it on a host:</span> <code>{}</code>", escape(&d.verify))
        };
        let severity = d.severity.map_or("unknown", |s| s.word());
        let _ = write!(
            out,
            "<tr><td>{}<br><code class=\"soft\">{}</code></td><td>{severity}</td><td>{}</td><td>{}{verify}</td>",
            escape(&d.title),
            escape(&d.rule),
            escape(&d.mapping),
            escape(&d.why)
        );
        for (_, n) in d.counts.columns() {
            let _ = write!(out, "<td class=\"n\">{n}</td>");
        }
        push(out, "</tr>\n");
    }
    push(out, "</tbody></table></div>\n");
}

fn results(out: &mut String, c: &ControlPaper) {
    let open: Vec<&Outcome> = c.results.iter().filter(|r| !matches!(r.verdict, Verdict::Pass | Verdict::NotApplicable)).collect();
    let _ = writeln!(
        out,
        "<h3>Results at the end of the period</h3>\n<p>{} in all: {}. Every one is in <code>findings.csv</code>.</p>",
        count(c.results.len(), "result", "results"),
        tally(&c.counts)
    );
    if open.is_empty() {
        return;
    }
    push(
        out,
        "<div class=\"scroll\"><table>\n<thead><tr><th>Verdict</th><th>Host</th><th>Rule</th><th>Subject</th><th>Found</th><th>Since</th></tr></thead>\n<tbody>\n",
    );
    for r in open.iter().take(MAX_ROWS) {
        let reason = r
            .reason
            .as_ref()
            .map(|x| format!("<br><span class=\"soft\">{}: {} {}</span>", escape(&x.id), escape(&x.detail), escape(&x.remedy)))
            .unwrap_or_default();
        let _ = writeln!(
            out,
            "<tr><td class=\"state\">{}</td><td>{}</td><td><code>{}</code></td><td>{}</td><td>{}{reason}</td><td>{}</td></tr>",
            r.verdict.word(),
            escape(&r.name),
            escape(&r.rule),
            escape(&r.subject),
            escape(&r.message),
            time_or(r.since, "")
        );
    }
    push(out, "</tbody></table></div>\n");
    more(out, open.len(), "findings.csv");
}

fn tally(counts: &Tally) -> String {
    counts.columns().iter().map(|(v, n)| format!("{} {n}", v.word())).collect::<Vec<_>>().join(", ")
}

fn exceptions(out: &mut String, c: &ControlPaper) {
    let _ = writeln!(out, "<h3>Exceptions during the period: {}</h3>", c.exceptions.len());
    if c.exceptions.is_empty() {
        push(out, "<p>None.</p>\n");
        return;
    }
    push(
        out,
        "<div class=\"scroll\"><table>\n<thead><tr><th>Verdict</th><th>Host</th><th>Rule</th><th>Subject</th><th>Found</th><th>First seen</th><th>Resolved</th></tr></thead>\n<tbody>\n",
    );
    for e in c.exceptions.iter().take(MAX_ROWS) {
        exception(out, e);
    }
    push(out, "</tbody></table></div>\n");
    more(out, c.exceptions.len(), "findings.csv");
}

fn exception(out: &mut String, e: &Exception) {
    let severity = e.severity.map(|s| format!(", {}", s.word())).unwrap_or_default();
    let _ = writeln!(
        out,
        "<tr><td class=\"state\">{}{severity}</td><td>{}</td><td><code>{}</code></td><td>{}</td><td>{}</td><td>{}</td><td>{}</td></tr>",
        e.verdict.word(),
        escape(&e.name),
        escape(&e.rule),
        escape(&e.subject),
        escape(&e.message),
        time(e.first_seen),
        time_or(e.resolved, "open")
    );
}

fn pieces(out: &mut String, c: &ControlPaper) {
    let _ = writeln!(
        out,
        "<h3>Pieces: {}</h3>\n<div class=\"scroll\"><table>\n<thead><tr><th>Piece</th><th>Shows</th><th>File</th></tr></thead>\n<tbody>",
        c.pieces.len()
    );
    for p in c.pieces.iter().take(MAX_ROWS) {
        let path = escape(&p.path);
        let _ = writeln!(
            out,
            "<tr><td class=\"state\">{}</td><td>{}</td><td><a href=\"{path}\"><code>{path}</code></a></td></tr>",
            escape(&p.number),
            escape(&p.title)
        );
    }
    push(out, "</tbody></table></div>\n");
    more(out, c.pieces.len(), "pieces.csv");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hostile_text_stays_text() {
        assert_eq!(escape("<script>\"'&\u{0}\u{202e}"), "&lt;script&gt;&quot;&#39;&amp;\u{fffd}\u{fffd}");
    }
}
