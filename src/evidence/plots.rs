//! Plots as SVG, drawn where they are shown: no script, no image, readable without colour and by ear.
//!
//! Each is a `figure` whose caption says the same in words. Colours and the patterns of [`DEFS`] come from the page.

pub mod chain;

use std::fmt::Write as _;

use super::html::escape;
use super::paper::{Conclusion, Exception, Leaver, RevocationState, Week};
use super::text::{count, span};
use super::windows::WindowState;
use crate::model::finding::Verdict;

/// Patterns that plots fill with: once on a page, before the first plot.
pub const DEFS: &str = r#"<svg class="defs" aria-hidden="true" focusable="false"><defs>
<pattern id="hatch" width="5" height="5" patternUnits="userSpaceOnUse" patternTransform="rotate(45)"><path d="M0 0V5" class="s-doubt" stroke-width="4"/></pattern>
<pattern id="cross" width="5" height="5" patternUnits="userSpaceOnUse" patternTransform="rotate(45)"><path d="M0 0V5M0 0H5" class="s-bad" stroke-width="2.4"/></pattern>
<pattern id="dots" width="4" height="4" patternUnits="userSpaceOnUse"><circle cx="2" cy="2" r="1.15" class="f-quiet"/></pattern>
<pattern id="rings" width="6" height="6" patternUnits="userSpaceOnUse"><circle cx="3" cy="3" r="1.7" class="s-other" fill="none" stroke-width="1.3"/></pattern>
</defs></svg>
"#;

/// Width of all plots in their own units.
const WIDTH: f64 = 900.0;
/// Seconds of a day.
const DAY: i64 = 86_400;

/// How a part is filled: attributes of a shape.
#[derive(Clone, Copy)]
struct Fill(&'static str);

const SOLID: Fill = Fill(r#"class="f-good""#);
const HATCH: Fill = Fill(r##"fill="url(#hatch)""##);
const CROSS: Fill = Fill(r##"fill="url(#cross)""##);
const DOTS: Fill = Fill(r##"fill="url(#dots)""##);
const RINGS: Fill = Fill(r##"fill="url(#rings)""##);
const EMPTY: Fill = Fill(r#"class="outline s-bad""#);
const BAD: Fill = Fill(r#"class="f-bad""#);
const QUIET: Fill = Fill(r#"class="f-quiet""#);

#[expect(clippy::cast_precision_loss, reason = "a pixel needs no more than a float holds")]
fn units(n: u64) -> f64 {
    n as f64
}

fn seconds(n: i64) -> f64 {
    units(u64::try_from(n).unwrap_or_default())
}

/// A plot as it grows.
struct Plot {
    out: String,
}

impl Plot {
    fn new(id: &str, height: f64, title: &str) -> Self {
        Self::begin(id, (WIDTH, height), "", title)
    }

    /// A plot of a size of its own, which no page stretches.
    fn sized(id: &str, (width, height): (f64, f64), title: &str) -> Self {
        Self::begin(id, (width, height), &format!(" width=\"{width:.0}\" height=\"{height:.0}\""), title)
    }

    fn begin(id: &str, (width, height): (f64, f64), size: &str, title: &str) -> Self {
        let mut out = String::with_capacity(4 << 10);
        let _ = write!(
            out,
            "<figure>\n<div class=\"scroll\" tabindex=\"0\" role=\"group\" aria-label=\"{title}\"><svg viewBox=\"0 0 {width} {height}\"{size} role=\"img\" aria-labelledby=\"{id}-t\"><title id=\"{id}-t\">{title}</title>\n",
            title = escape(title)
        );
        Self { out }
    }

    fn rect(&mut self, (x, y, w, h): (f64, f64, f64, f64), fill: Fill) {
        if w > 0.0 && h > 0.0 {
            let _ = writeln!(self.out, "<rect x=\"{x:.1}\" y=\"{y:.1}\" width=\"{w:.1}\" height=\"{h:.1}\" {}/>", fill.0);
        }
    }

    /// A box with rounded corners.
    fn layer(&mut self, (x, y, w, h): (f64, f64, f64, f64), class: &str) {
        let _ = writeln!(self.out, "<rect x=\"{x:.1}\" y=\"{y:.1}\" width=\"{w:.1}\" height=\"{h:.1}\" rx=\"5\" class=\"{class}\"/>");
    }

    fn line(&mut self, from: (f64, f64), to: (f64, f64), class: &str) {
        let _ = writeln!(self.out, "<path d=\"M{:.1} {:.1}L{:.1} {:.1}\" class=\"{class}\"/>", from.0, from.1, to.0, to.1);
    }

    fn text(&mut self, (x, y): (f64, f64), anchor: &str, class: &str, text: &str) {
        let _ = writeln!(self.out, "<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\" class=\"{class}\">{}</text>", escape(text));
    }

    fn done(mut self, legend: &[(&str, Fill)], caption: &str) -> String {
        self.out.push_str("</svg></div>\n");
        if !legend.is_empty() {
            legend_of(&mut self.out, legend);
        }
        let _ = writeln!(self.out, "<figcaption>{}</figcaption>\n</figure>", escape(caption));
        self.out
    }
}

fn legend_of(out: &mut String, legend: &[(&str, Fill)]) {
    out.push_str("<ul class=\"legend\">");
    for (word, fill) in legend {
        let _ = write!(
            out,
            "<li><svg viewBox=\"0 0 14 14\" aria-hidden=\"true\"><rect x=\"1\" y=\"1\" width=\"12\" height=\"12\" {}/></svg>{}</li>",
            fill.0,
            escape(word)
        );
    }
    out.push_str("</ul>\n");
}

/// Planned scans by week or month and by what became of them; nothing when none was planned.
pub fn coverage(weeks: &[Week], kind: &str) -> Option<String> {
    let weeks: Vec<&Week> = weeks.iter().filter(|w| w.kind == kind).collect();
    let most = weeks.iter().map(|w| w.windows.planned).max().filter(|n| *n > 0)?;
    let (left, top, height) = (44.0, 10.0, 140.0);
    let step = ((WIDTH - left) / units(weeks.len() as u64)).min(60.0);
    let (unit, noun) = if kind == "weekly" { ("week", "weekly") } else { ("month", "monthly") };
    let mut plot = Plot::new(&format!("coverage-{unit}"), top + height + 24.0, &format!("Planned {noun} scans by {unit}, and what became of them"));
    plot.line((left, top + height), (WIDTH, top + height), "axis");
    plot.line((left, top), (WIDTH, top), "axis");
    plot.text((left - 6.0, top + 4.0), "end", "", &most.to_string());
    plot.text((left - 6.0, top + height + 4.0), "end", "", "0");
    let every = weeks.len().div_ceil(12).max(1);
    for (number, week) in weeks.iter().enumerate() {
        let x = left + step * units(number as u64);
        let mut y = top + height;
        for ((_, n), fill) in week.windows.columns().into_iter().zip([SOLID, HATCH, CROSS, EMPTY, DOTS]) {
            // What is rare must be seen beside thousands.
            let h = if n == 0 { 0.0 } else { (height * units(n) / units(most)).max(2.0) };
            y -= h;
            plot.rect((x + step * 0.12, y, step * 0.76, h), fill);
        }
        if number % every == 0 {
            plot.text((x + step / 2.0, top + height + 16.0), "middle", "", &week.week);
        }
    }
    let of = |state: WindowState| weeks.iter().flat_map(|w| w.windows.columns()).filter(|(s, _)| *s == state).map(|(_, n)| n).sum::<u64>();
    let states = [WindowState::Done, WindowState::Late, WindowState::Aborted, WindowState::NotRun, WindowState::Open];
    let told: Vec<String> = states.into_iter().map(|s| format!("{} {}", of(s), s.word())).collect();
    let worst: Vec<String> =
        weeks.iter().filter(|w| w.windows.not_run > 0).map(|w| format!("{} ({} of {})", w.week, w.windows.not_run, w.windows.planned)).collect();
    let caption = match worst.len() {
        0 => format!("{}. No {unit} lacks a scan.", told.join(", ")),
        1..=8 => format!("{}. Without all their scans: {}.", told.join(", "), worst.join(", ")),
        n => format!("{}. {n} {unit}s lack scans; coverage.csv lists them.", told.join(", ")),
    };
    Some(plot.done(&[("done", SOLID), ("late", HATCH), ("aborted", CROSS), ("not run", EMPTY), ("open", DOTS)], &caption))
}

/// Upper edges of the ages that are counted together, days.
const AGES: [(i64, &str); 5] = [(1, "up to 1 day"), (7, "2 to 7 days"), (30, "8 to 30 days"), (90, "31 to 90 days"), (i64::MAX, "over 90 days")];

/// Failures by age: still open, resolved, waived; nothing when there was none.
pub fn ages<'a>(exceptions: impl Iterator<Item = &'a Exception>) -> Option<String> {
    let mut bins = [[0_u64; 3]; AGES.len()];
    for e in exceptions {
        let part = match (e.verdict, e.resolved) {
            (Verdict::Fail, None) => 0,
            (Verdict::Fail, Some(_)) => 1,
            (Verdict::Waived, _) => 2,
            _ => continue,
        };
        let bin = AGES.iter().position(|(days, _)| e.age <= days.saturating_mul(DAY)).unwrap_or(AGES.len() - 1);
        if let Some(n) = bins.get_mut(bin).and_then(|b| b.get_mut(part)) {
            *n += 1;
        }
    }
    let most = bins.iter().map(|b| b.iter().sum::<u64>()).max().filter(|n| *n > 0)?;
    let (left, row) = (110.0, 26.0);
    let mut plot = Plot::new("ages", row * units(AGES.len() as u64) + 6.0, "Failures by their age at the end of the period or when they were resolved");
    let mut told = Vec::new();
    for (number, ((_, word), bin)) in AGES.iter().zip(bins).enumerate() {
        let y = row * units(number as u64) + 6.0;
        let mut x = left;
        plot.text((left - 8.0, y + 13.0), "end", "k", word);
        for (n, fill) in bin.into_iter().zip([BAD, QUIET, RINGS]) {
            let w = if n == 0 { 0.0 } else { ((WIDTH - left - 60.0) * units(n) / units(most)).max(2.0) };
            plot.rect((x, y, w, row - 10.0), fill);
            x += w;
        }
        let all: u64 = bin.iter().sum();
        plot.text((x + 6.0, y + 13.0), "start", "", &all.to_string());
        if let [open, resolved, waived] = bin
            && all > 0
        {
            told.push(format!("{word}: {open} open, {resolved} resolved, {waived} waived"));
        }
    }
    plot.line((left, 0.0), (left, row * units(AGES.len() as u64)), "axis");
    Some(plot.done(&[("open", BAD), ("resolved", QUIET), ("waived", RINGS)], &format!("{}.", told.join("; "))))
}

/// Most people drawn; those that took longest stand first.
const MAX_LEAVERS: usize = 30;

/// Time to revoke, an interval for each person who had a way in after the last day; nothing when nobody left.
pub fn revocations(leavers: &[Leaver]) -> Option<String> {
    if leavers.is_empty() {
        return None;
    }
    let mut shown: Vec<&Leaver> = leavers.iter().filter(|l| l.seen > 0).collect();
    shown.sort_by_key(|l| (std::cmp::Reverse(l.at_most.unwrap_or(i64::MAX)), std::cmp::Reverse(l.at_least), &l.person));
    let (had, limit) = (shown.len(), leavers.iter().find_map(|l| l.limit));
    shown.truncate(MAX_LEAVERS);
    let (left, right, row, top) = (180.0, 190.0, 22.0, 20.0);
    let longest = shown.iter().map(|l| l.at_most.unwrap_or(0).max(l.at_least)).chain(limit).max().unwrap_or(0).max(DAY);
    let at = |s: i64| left + (WIDTH - left - right) * seconds(s) / seconds(longest);
    let bottom = top + row * units(shown.len() as u64);
    let mut plot = Plot::new("revocations", bottom + 24.0, "Time until people who left had no way in, as intervals between scans");
    for (number, leaver) in shown.iter().enumerate() {
        interval(&mut plot, leaver, top + row * units(number as u64), (left, WIDTH - right), &at);
    }
    plot.line((left, bottom), (WIDTH - right, bottom), "axis");
    plot.text((left, bottom + 15.0), "start", "", "0 days");
    plot.text((WIDTH - right, bottom + 15.0), "end", "", &span(longest));
    if let Some(limit) = limit {
        plot.line((at(limit), top - 6.0), (at(limit), bottom), "limit");
        plot.text((at(limit), top - 9.0), "middle", "k", &format!("limit {}", span(limit)));
    }
    Some(plot.done(&[("at least", BAD), ("up to the first scan that saw none", HATCH)], &told(leavers, had, shown.len())))
}

fn interval(plot: &mut Plot, leaver: &Leaver, y: f64, (left, right): (f64, f64), at: &dyn Fn(i64) -> f64) {
    let name: String = leaver.person.chars().take(26).collect();
    plot.text((left - 8.0, y + 13.0), "end", "k", &name);
    let (least, most) = (at(leaver.at_least), leaver.at_most.map_or(right, at));
    plot.rect((left, y + 4.0, (least - left).max(2.0), 11.0), BAD);
    plot.rect((least.max(left + 2.0), y + 4.0, most - least, 11.0), HATCH);
    let word = match leaver.at_most {
        Some(most) => format!("{} to {}", span(leaver.at_least), span(most)),
        None => format!("{} or more, {}", span(leaver.at_least), if leaver.open > 0 { "open" } else { "unknown" }),
    };
    plot.text((right + 8.0, y + 13.0), "start", "", &word);
}

fn told(leavers: &[Leaver], had: usize, shown: usize) -> String {
    let of = |states: &[RevocationState]| leavers.iter().filter(|l| states.contains(&l.standing())).count();
    let more = if had > shown { format!(" The {shown} that took longest are drawn.") } else { String::new() };
    format!(
        "{} left; {} had a way in after the last day. {} in time, {} late, {} in time or late (between two scans), {} still open, {} unknown.{more}",
        count(leavers.len(), "person", "people"),
        had,
        of(&[RevocationState::InTime, RevocationState::Closed]),
        of(&[RevocationState::Late]),
        of(&[RevocationState::Undecided]),
        of(&[RevocationState::Open, RevocationState::Overdue]),
        of(&[RevocationState::Unknown])
    )
}

/// Two counts over days, the first as an area and the second as a line; nothing for fewer than two days or when neither was ever more than 0.
/// `days` are the name of a day and its counts of hosts that fail and that can't be told; `all` is the size of the population.
pub fn trend(id: &str, title: &str, days: &[(String, u64, u64)], all: u64) -> Option<String> {
    let most = days.iter().map(|(_, fail, unknown)| (*fail).max(*unknown)).max().filter(|n| *n > 0)?;
    let ([(first, ..), .., (last, fail, unknown)], (left, top, height)) = (days, (52.0, 10.0, 130.0)) else { return None };
    let step = (WIDTH - left) / units(days.len() as u64 - 1);
    let at = |number: usize, n: u64| (left + step * units(number as u64), top + height - height * units(n) / units(most));
    let path = |of: &dyn Fn(&(String, u64, u64)) -> u64| {
        let mut path = String::new();
        for (number, day) in days.iter().enumerate() {
            let (x, y) = at(number, of(day));
            // A count holds until the next day's.
            let _ = if number == 0 { write!(path, "M{x:.1} {y:.1}") } else { write!(path, "H{x:.1}V{y:.1}") };
        }
        path
    };
    let mut plot = Plot::new(id, top + height + 24.0, title);
    plot.text((left - 6.0, top + 4.0), "end", "", &most.to_string());
    plot.text((left - 6.0, top + height + 4.0), "end", "", "0");
    let (bottom, right) = (top + height, WIDTH);
    let _ = writeln!(plot.out, "<path d=\"{}V{bottom:.1}H{left:.1}Z\" class=\"f-bad faint\"/>", path(&|d| d.1));
    let _ = writeln!(plot.out, "<path d=\"{}\" class=\"line s-bad\"/>", path(&|d| d.1));
    let _ = writeln!(plot.out, "<path d=\"{}\" class=\"line s-doubt dashed\"/>", path(&|d| d.2));
    plot.line((left, bottom), (right, bottom), "axis");
    plot.line((left, top), (right, top), "axis");
    plot.text((left, bottom + 16.0), "start", "", first);
    plot.text((right, bottom + 16.0), "end", "", last);
    let (then, unclear) = days.first().map(|d| (d.1, d.2))?;
    let caption =
        format!("Of {all} hosts, {fail} fail something (area; {then} on {first}) and on {unknown} something can’t be told (dashed; {unclear} on {first}).");
    Some(plot.done(&[], &caption))
}

/// Longest word beside a bar, characters.
const MAX_WORD: usize = 24;

/// One bar a row, with its number; nothing when there is no row. `id` is that of the drawing on its page, `title` and `caption` say in words what it
/// shows.
pub fn bars(id: &str, title: &str, rows: &[(String, u64)], caption: &str) -> Option<String> {
    let most = rows.iter().map(|(_, n)| *n).max()?.max(1);
    let (left, row) = (150.0, 26.0);
    let height = row * units(rows.len() as u64) + 6.0;
    let mut plot = Plot::new(id, height, title);
    for (number, (word, n)) in rows.iter().enumerate() {
        let y = row * units(number as u64) + 6.0;
        let word: String = word.chars().take(MAX_WORD).collect();
        plot.text((left - 8.0, y + 13.0), "end", "k", &word);
        let w = if *n == 0 { 0.0 } else { ((WIDTH - left - 80.0) * units(*n) / units(most)).max(2.0) };
        plot.rect((left, y, w, row - 10.0), QUIET);
        plot.text((left + w + 6.0, y + 13.0), "start", "", &n.to_string());
    }
    plot.line((left, 0.0), (left, height - 6.0), "axis");
    Some(plot.done(&[], caption))
}

/// How a conclusion is drawn.
const fn fill(conclusion: Conclusion) -> Fill {
    match conclusion {
        Conclusion::NoExceptions => SOLID,
        Conclusion::Exceptions => BAD,
        Conclusion::NotRun => EMPTY,
        Conclusion::Record => CROSS,
        Conclusion::Unknown => HATCH,
        Conclusion::Waived => RINGS,
        Conclusion::NotApplicable => QUIET,
        Conclusion::Derived => DOTS,
    }
}

/// One bar of all controls by conclusion, with its legend.
pub fn conclusions(counts: &[(Conclusion, usize)]) -> String {
    let all: usize = counts.iter().map(|(_, n)| n).sum();
    let legend: Vec<(String, Fill)> = counts.iter().map(|(c, n)| (format!("{n} {}", c.word()), fill(*c))).collect();
    let words = legend.iter().map(|(w, _)| w.as_str()).collect::<Vec<_>>().join(", ");
    let mut out =
        format!("<figure>\n<svg class=\"bar\" viewBox=\"0 0 {WIDTH} 22\" preserveAspectRatio=\"none\" role=\"img\" aria-label=\"{}\">\n", escape(&words));
    let mut x = 1.0;
    for ((_, n), (_, fill)) in counts.iter().zip(&legend) {
        let w = (WIDTH - 2.0) * units(*n as u64) / units(all.max(1) as u64);
        let _ = writeln!(out, "<rect x=\"{x:.1}\" y=\"1\" width=\"{:.1}\" height=\"20\" {}/>", (w - 2.0).max(1.0), fill.0);
        x += w;
    }
    out.push_str("</svg>\n");
    legend_of(&mut out, &legend.iter().map(|(w, f)| (w.as_str(), *f)).collect::<Vec<_>>());
    out.push_str("</figure>\n");
    out
}
