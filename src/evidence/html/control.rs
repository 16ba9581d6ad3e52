//! The section of one control.

use std::fmt::Write as _;

use super::{MAX_ROWS, concluded_html, escape, link, more, short, table, when};
use crate::evidence::paper::{ControlPaper, Exception, Outcome, Piece, RecordPaper, Tally};
use crate::evidence::text::{count, day, span};
use crate::model::finding::Verdict;

/// The section.
pub(super) fn section(out: &mut String, c: &ControlPaper) {
    let id = escape(&c.id);
    let _ = write!(out, "<section class=\"control\">\n<h2 id=\"{id}\">{id} {}</h2>\n", escape(&c.title));
    if !c.text.is_empty() {
        let _ = writeln!(out, "<p>{}</p>", escape(&c.text));
    }
    let _ = writeln!(out, "<p class=\"verdict\">{}<br>{}</p>", concluded_html(c.conclusion), escape(&c.sentence));
    if !c.fleet.is_empty() {
        let _ = writeln!(out, "<h3>What the collector tells</h3>\n<p>{}</p>", linked(&c.fleet));
    }
    if !c.record.is_empty() {
        let _ = writeln!(out, "<h3>A person's record</h3>\n<p>{}</p>", escape(&c.record));
        if c.records.is_empty() {
            out.push_str("<p class=\"soft\">No record is attached to this bundle.</p>\n");
        }
    }
    c.records.iter().for_each(|r| record(out, r));
    if !c.design.is_empty() {
        design(out, c);
        let scans = &c.operation;
        let hosts = count(c.population, "host", "hosts");
        let _ = writeln!(
            out,
            "<h3>Population and operation</h3>\n<p>{hosts}, {} of them owing results at the end; {} scans planned, {} done ({} late), {} not run ({} aborted), {} open.</p>",
            c.standing, scans.planned, scans.done, scans.late, scans.not_run, scans.aborted, scans.open
        );
        results(out, c);
        exceptions(out, c);
    }
    samples(out, c);
    pieces(out, c);
    out.push_str("</section>\n");
}

/// A sentence whose file names lead to the files.
fn linked(text: &str) -> String {
    let is_file = |word: &str| word.ends_with(".csv") && word.bytes().all(|b| b.is_ascii_lowercase() || b == b'.' || b == b'-');
    let word = |word: &str| {
        let bare = word.trim_matches(|c: char| matches!(c, '(' | ')' | ',' | ';' | ':' | '.'));
        match word.split_once(bare) {
            Some((before, after)) if is_file(bare) => format!("{}{}{}", escape(before), link(bare), escape(after)),
            _ => escape(word),
        }
    };
    text.split(' ').map(word).collect::<Vec<_>>().join(" ")
}

fn record(out: &mut String, r: &RecordPaper) {
    let _ = writeln!(out, "<p><strong>{}</strong> <code class=\"soft\">{}</code> · {}</p>", escape(&r.title), escape(&r.record), escape(&r.text));
    if r.standings.is_empty() {
        out.push_str("<p><span class=\"v pen\">no record</span></p>\n");
        return;
    }
    // What is not in order stands first.
    let mut standings: Vec<_> = r.standings.iter().collect();
    standings.sort_by_key(|s| std::cmp::Reverse(s.state));
    let rows = standings.iter().take(MAX_ROWS).map(|s| {
        vec![
            mark(s.state.verdict(), s.state.word()),
            escape(if s.subject.is_empty() { "the company" } else { &s.subject }),
            when(s.since),
            s.until.map_or_else(|| "still so".into(), when),
            escape(&s.message),
        ]
    });
    table(out, &r.title, &[("State", ""), ("About", ""), ("Since", ""), ("Until", ""), ("What", "m")], rows);
    more(out, standings.len(), "records.csv");
}

/// A word with the shape of its verdict.
fn mark(verdict: Verdict, word: &str) -> String {
    let class = match verdict {
        Verdict::Pass => "good",
        Verdict::Fail => "bad",
        Verdict::Unknown => "doubt",
        Verdict::Waived => "other",
        Verdict::NotApplicable => "quiet",
        Verdict::NotRun => "none",
    };
    format!("<span class=\"v {class}\">{word}</span>")
}

fn design(out: &mut String, c: &ControlPaper) {
    out.push_str("<h3>What is tested, and why</h3>\n");
    let verdicts = Tally::default().columns();
    let mut head = vec![("Rule", ""), ("Why", "m")];
    head.extend(verdicts.iter().map(|(v, _)| (v.word(), "n")));
    let rows = c.design.iter().map(|d| {
        let verify = if d.verify.is_empty() {
            String::new()
        } else {
            format!("<br><span class=\"soft\">To see it on a host:</span> <code>{}</code>", escape(&d.verify))
        };
        let severity = d.severity.map_or("unknown", |s| s.word());
        let rule = format!(
            "{}<br><code class=\"soft\">{}</code><br><span class=\"soft\">{severity}, {}</span>",
            escape(&d.title),
            escape(&d.rule),
            escape(&d.mapping)
        );
        let mut row = vec![rule, format!("{}{verify}", escape(&d.why))];
        row.extend(d.counts.columns().map(|(_, n)| n.to_string()));
        row
    });
    table(out, "What is tested", &head, rows);
}

fn results(out: &mut String, c: &ControlPaper) {
    let counted = c.counts.columns().iter().map(|(v, n)| format!("{} {n}", v.word())).collect::<Vec<_>>().join(", ");
    let all = count(usize::try_from(c.counts.sum()).unwrap_or(usize::MAX), "result", "results");
    let _ = writeln!(
        out,
        "<h3>Results at the end of the period</h3>\n<p>{all} in all: {counted}. Every one: {}; through the period, with since and until: {}.</p>",
        link("findings.csv"),
        link("history.csv")
    );
    // Failures, waived ones and unknowns that are open are exceptions of the table below; here is what has no verdict at all.
    let missing: Vec<&Outcome> = c.results.iter().map(|r| &**r).filter(|r| r.verdict == Verdict::NotRun).collect();
    if missing.is_empty() {
        return;
    }
    let rows = missing
        .iter()
        .take(MAX_ROWS)
        .map(|r| vec![mark(r.verdict, r.verdict.word()), escape(&r.name), format!("<code>{}</code>", escape(&r.rule)), escape(&r.message)]);
    table(out, "Hosts without a result", &[("Verdict", ""), ("Host", ""), ("Rule", ""), ("Why", "m")], rows);
    more(out, missing.len(), "findings.csv");
}

fn exceptions(out: &mut String, c: &ControlPaper) {
    let _ = writeln!(out, "<h3>Exceptions during the period: {}</h3>", c.exceptions.len());
    if c.exceptions.is_empty() {
        out.push_str("<p>None.</p>\n");
        return;
    }
    let head = [("Verdict", ""), ("Host", ""), ("Rule and subject", ""), ("Found, and what was done", "m"), ("First seen", ""), ("Resolved", ""), ("Age", "")];
    table(out, "Exceptions", &head, c.exceptions.iter().take(MAX_ROWS).map(|e| exception(e)));
    more(out, c.exceptions.len(), "exceptions.csv");
}

fn exception(e: &Exception) -> Vec<String> {
    let severity = e.severity.map(|s| format!("<br><span class=\"soft\">{}</span>", s.word())).unwrap_or_default();
    let rule = if e.rule.is_empty() { String::new() } else { format!("<code>{}</code><br>", escape(&e.rule)) };
    let resolved = e.resolved.map_or_else(|| "<strong>open</strong>".to_string(), when);
    vec![
        format!("{}{severity}", mark(e.verdict, e.verdict.word())),
        escape(&e.name),
        format!("{rule}{}", escape(&e.subject)),
        format!("{}{}", escape(&e.message), handling(e)),
        when(e.first_seen),
        resolved,
        span(e.age),
    ]
}

/// What people did about it, line by line.
fn handling(e: &Exception) -> String {
    let h = &e.handling;
    let mut lines = Vec::new();
    if e.verdict == Verdict::Fail || !h.owner.is_empty() {
        let owner = if h.owner.is_empty() { "no owner".to_string() } else { format!("Owner {}", escape(&h.owner)) };
        let due = h.due.map_or_else(|| "no due date".to_string(), |due| format!("due by {}", day(due.saturating_sub(1))));
        lines.push(format!("{owner}, {due}{}", if h.overdue { ", <strong>overdue</strong>" } else { "" }));
    }
    let said = [("Cause", &h.cause), ("Resolution", &h.resolution), ("Waiver", &h.waiver)];
    lines.extend(said.iter().filter(|(_, text)| !text.is_empty()).map(|(word, text)| format!("{word}: {}", escape(text))));
    if let (Some(report), Some(at)) = (h.retest, h.retested) {
        lines.push(format!("Tested again {} by report {}", when(at), short(&report.to_string())));
    }
    lines.iter().map(|line| format!("<br><span class=\"soft\">{line}</span>")).collect()
}

fn samples(out: &mut String, c: &ControlPaper) {
    if c.samples.is_empty() {
        return;
    }
    let _ = writeln!(out, "<h3>Samples: {}</h3>", c.samples.len());
    let rows = c.samples.iter().take(MAX_ROWS).map(|s| vec![s.kind.to_string(), s.number.to_string(), escape(&s.title), short(&s.rank.to_string())]);
    table(out, "Samples", &[("Kind", ""), ("Number", "n"), ("Item", ""), ("Rank", "")], rows);
    more(out, c.samples.len(), "samples.csv");
}

/// Most pieces of single hosts that are shown one by one.
const MAX_HOST_PIECES: usize = 8;

fn pieces(out: &mut String, c: &ControlPaper) {
    if c.pieces.is_empty() {
        return;
    }
    let _ = writeln!(out, "<h3>Pieces: {}</h3>", c.pieces.len());
    let of_hosts = |p: &Piece| matches!(p.kind, "host" | "report");
    let many: Vec<&Piece> = c.pieces.iter().filter(|p| of_hosts(p)).collect();
    let together = many.len() > MAX_HOST_PIECES;
    let row = |p: &Piece| vec![format!("<span class=\"v\">{}</span>", escape(&p.number)), escape(&p.title), link(&p.path)];
    let mut rows: Vec<Vec<String>> = c.pieces.iter().filter(|p| !(together && of_hosts(p))).take(MAX_ROWS).map(row).collect();
    if let (true, Some(first), Some(last)) = (together, many.first(), many.last()) {
        let title = format!("Keys, enrolments and signed reports of {}, one by one in {}", count(c.population, "host", "hosts"), link("pieces.csv"));
        let place = c.pieces.iter().position(of_hosts).unwrap_or(rows.len()).min(rows.len());
        rows.insert(
            place,
            vec![
                format!("<span class=\"v\">{} to {}</span>", escape(&first.number), escape(&last.number)),
                title,
                "<code>hosts/</code>, <code>reports/</code>".into(),
            ],
        );
    }
    table(out, "Pieces", &[("Piece", "w"), ("Shows", "m"), ("File", "")], rows.into_iter());
}
