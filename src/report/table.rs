//! Findings as a table for people.
//!
//! Failures come first, by severity, then unknowns with their reasons; passes and what does not
//! apply are only counted unless everything is asked for. Text of the host never reaches the
//! terminal as control characters. Long cells wrap; a long message is cut with a sign.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fmt::Write as _;

use tabled::grid::util::string::get_string_width;

use super::text::{pad, paint, plain, wrap};
use crate::model::finding::{Counts, Finding, Severity, Verdict};

/// Narrowest table, columns.
const MIN_WIDTH: usize = 60;
/// Widest table, columns.
const MAX_WIDTH: usize = 400;
/// Widest rule column, columns.
const MAX_RULE: usize = 32;
/// Width of the first column: `not applicable` is shown as `n/a`.
const FIRST: usize = 8;
/// What is passed between two columns.
const GAP: usize = 2;
/// Lines of a message; what is beyond is said to be there. `--all` shows everything.
const MAX_LINES: usize = 6;
/// Places shown behind a message.
const PLACES: usize = 3;

/// The first line.
#[derive(Clone, Copy, Debug)]
pub struct Header<'a> {
    /// Host name.
    pub host: &'a str,
    /// Operating system, such as `Debian 12.9`.
    pub os: &'a str,
    /// Rules judged.
    pub rules: usize,
    /// Duration of the scan, seconds.
    pub seconds: f64,
}

/// The whole table, ending with a line break. `width` is the terminal's, in columns; `all` shows
/// passes and what does not apply, too.
pub fn render(header: &Header<'_>, findings: &[Finding], width: usize, colour: bool, all: bool) -> String {
    let width = width.clamp(MIN_WIDTH, MAX_WIDTH);
    let mut out = String::new();
    head(&mut out, header, findings, width, colour);
    let mut shown: Vec<&Finding> = findings.iter().filter(|f| all || matches!(f.verdict, Verdict::Fail | Verdict::Unknown | Verdict::NotRun)).collect();
    shown.sort_by_key(|f| (rank(f), &f.rule, &f.subject));
    if !shown.is_empty() {
        let columns = Columns { lines: if all { usize::MAX } else { MAX_LINES }, ..Columns::of(&shown, width) };
        out.push('\n');
        columns.row(&mut out, ["SEVERITY", "RULE", "SUBJECT", "FINDING"], |cell| paint(colour, "2", cell));
        for Row { finding, message, more } in rows(&shown, all) {
            let (word, code) = first_cell(finding);
            let message = if more == 0 { message } else { format!("{message} (likewise {more} more rule{}: --all)", if more == 1 { "" } else { "s" }) };
            columns.row(&mut out, [word, &finding.rule, &finding.subject, &message], |cell| paint(colour, code, cell));
        }
    }
    out.push('\n');
    out.push_str(&next(findings));
    out
}

/// One line of the table.
struct Row<'a> {
    finding: &'a Finding,
    message: String,
    /// Further rules that are unknown on the same subject for the same reason.
    more: usize,
}

/// One missing observation can leave many rules unknown; they share a row unless all are asked for.
fn rows<'a>(shown: &[&'a Finding], all: bool) -> Vec<Row<'a>> {
    let mut rows: Vec<Row<'a>> = Vec::with_capacity(shown.len());
    let mut places: HashMap<(&str, String), usize> = HashMap::new();
    for finding in shown {
        let message = message(finding);
        if finding.verdict == Verdict::Unknown && !all {
            match places.entry((&finding.subject, message.clone())) {
                Entry::Occupied(at) => {
                    if let Some(row) = rows.get_mut(*at.get()) {
                        row.more += 1;
                    }
                    continue;
                }
                Entry::Vacant(place) => {
                    place.insert(rows.len());
                }
            }
        }
        rows.push(Row { finding, message, more: 0 });
    }
    rows
}

fn rank(finding: &Finding) -> (u8, std::cmp::Reverse<Severity>) {
    let place = match finding.verdict {
        Verdict::Fail => 0,
        Verdict::Unknown | Verdict::NotRun => 1,
        Verdict::Waived => 2,
        Verdict::Pass => 3,
        Verdict::NotApplicable => 4,
    };
    (place, std::cmp::Reverse(finding.severity))
}

fn head(out: &mut String, header: &Header<'_>, findings: &[Finding], width: usize, colour: bool) {
    let left = format!("{} · {} · {} rules · {:.1} s", plain(header.host), plain(header.os), header.rules, header.seconds);
    let counts = Counts::of(findings);
    let words = [
        (format!("fail {}", counts.fail), "1;31", counts.fail),
        (format!("unknown {}", counts.unknown), "1;33", counts.unknown),
        (format!("pass {}", counts.pass), "32", counts.pass),
        (format!("n/a {}", counts.not_applicable), "2", counts.not_applicable),
    ];
    let right: usize = words.iter().map(|(w, ..)| w.len()).sum::<usize>() + 9;
    let used = get_string_width(&left);
    if used + GAP + right <= width {
        let _ = write!(out, "{left}{}", " ".repeat(width - used - right));
    } else {
        let _ = writeln!(out, "{left}");
    }
    let shown: Vec<String> = words.iter().map(|(word, code, count)| paint(colour && *count > 0, code, word)).collect();
    let _ = writeln!(out, "{}", shown.join("   "));
}

fn first_cell(finding: &Finding) -> (&'static str, &'static str) {
    match (finding.verdict, finding.severity) {
        (Verdict::Fail, Severity::Critical) => ("critical", "1;31"),
        (Verdict::Fail, Severity::High) => ("high", "31"),
        (Verdict::Fail, Severity::Medium) => ("medium", "33"),
        (Verdict::Fail, severity) => (severity.word(), "36"),
        (Verdict::NotApplicable, _) => ("n/a", "2"),
        (Verdict::Pass, _) => ("pass", "32"),
        (verdict, _) => (verdict.word(), "35"),
    }
}

fn message(finding: &Finding) -> String {
    match &finding.reason {
        Some(reason) if !reason.remedy.is_empty() => format!("{}. {}", finding.message.trim_end_matches('.'), reason.remedy),
        _ if finding.verdict == Verdict::Fail => with_places(finding),
        _ => finding.message.clone(),
    }
}

/// A failure with the lines it rests on, unless its message names them.
fn with_places(finding: &Finding) -> String {
    let sources = finding.citations.iter().filter_map(|c| c.source.as_ref()).filter(|s| s.line > 0);
    let mut places: Vec<String> = sources.map(|s| format!("{}:{}", s.place, s.line)).filter(|p| !finding.message.contains(p.as_str())).collect();
    places.sort();
    places.dedup();
    // Many places were looked through rather than decided: the message and `explain` say more.
    if places.is_empty() || places.len() > PLACES {
        return finding.message.clone();
    }
    format!("{} ({})", finding.message, places.join(", "))
}

fn next(findings: &[Finding]) -> String {
    let worst = findings.iter().filter(|f| matches!(f.verdict, Verdict::Fail | Verdict::Unknown)).min_by_key(|f| (rank(f), &f.rule));
    match worst {
        Some(finding) => format!("Next: assay explain {}     assay scan --format json > report.json\n", plain(&finding.rule)),
        None => "Next: assay scan --all     assay scan --format json > report.json\n".into(),
    }
}

/// Widths of the last three columns.
struct Columns {
    rule: usize,
    subject: usize,
    message: usize,
    lines: usize,
}

impl Columns {
    fn of(findings: &[&Finding], width: usize) -> Self {
        let widest = |cell: fn(&Finding) -> &str| findings.iter().map(|f| get_string_width(&plain(cell(f)))).max().unwrap_or(0);
        let rule = widest(|f| &f.rule).clamp(4, MAX_RULE.min(width / 3));
        let left = width.saturating_sub(1 + FIRST + rule + 3 * GAP);
        let subject = widest(|f| &f.subject).clamp(7, (left / 2).clamp(7, 40));
        Self { rule, subject, message: left.saturating_sub(subject).max(12), lines: MAX_LINES }
    }

    fn row(&self, out: &mut String, cells: [&str; 4], paint_first: impl Fn(&str) -> String) {
        let [first, rule, subject, message] = cells.map(plain);
        let columns = [wrap(&rule, self.rule), wrap(&subject, self.subject), self.bounded(wrap(&message, self.message))];
        let height = columns.iter().map(Vec::len).max().unwrap_or(1);
        let part = |column: &[String], line: usize| column.get(line).cloned().unwrap_or_default();
        for line in 0..height {
            let [rule, subject, message] = &columns;
            let (rule, subject, message) = (part(rule, line), part(subject, line), part(message, line));
            let head = if line == 0 { format!("{}{}", paint_first(&first), " ".repeat(FIRST.saturating_sub(first.len()))) } else { " ".repeat(FIRST) };
            let text = format!(" {head}  {}  {}  {message}", pad(&rule, self.rule), pad(&subject, self.subject));
            let _ = writeln!(out, "{}", text.trim_end());
        }
    }

    /// Cuts a long message, and says so.
    fn bounded(&self, mut lines: Vec<String>) -> Vec<String> {
        if lines.len() > self.lines {
            let more = lines.split_off(self.lines - 1).len();
            lines.push(format!("… {more} more lines: --all"));
        }
        lines
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::finding::UnknownReason;

    fn finding(verdict: Verdict, severity: Severity, rule: &str, subject: &str, message: &str) -> Finding {
        let reason = UnknownReason { kind: "gap".into(), id: "x".into(), detail: message.into(), remedy: String::new() };
        let reason = (verdict == Verdict::Unknown).then_some(reason);
        Finding { rule: rule.into(), subject: subject.into(), verdict, severity, message: message.into(), reason, citations: Vec::new() }
    }

    fn findings() -> Vec<Finding> {
        vec![
            finding(Verdict::Pass, Severity::High, "ssh-root-login", "", ""),
            finding(Verdict::Unknown, Severity::High, "updates-security-pending", "apt", "package lists are 41 days old (limit 7)"),
            finding(Verdict::Fail, Severity::High, "tls-version-minimum", "0.0.0.0:8443 nginx", "accepts TLSv1.0, TLSv1.1, minimum TLSv1.2"),
            finding(
                Verdict::Fail,
                Severity::Critical,
                "access-leaver-active",
                "m.keller",
                "left 14 days ago, still: key in /home/deploy/.ssh/authorized_keys:3, sudo ALL by /etc/sudoers.d/ops:7",
            ),
        ]
    }

    const HEADER: Header<'_> = Header { host: "web01", os: "Debian 12.9", rules: 214, seconds: 3.12 };

    #[test]
    fn failures_stand_first_and_long_cells_wrap() {
        let expected = "\
web01 · Debian 12.9 · 214 rules · 3.1 s                          fail 2   unknown 1   pass 1   n/a 0

 SEVERITY  RULE                      SUBJECT             FINDING
 critical  access-leaver-active      m.keller            left 14 days ago, still: key in
                                                         /home/deploy/.ssh/authorized_keys:3, sudo
                                                         ALL by /etc/sudoers.d/ops:7
 high      tls-version-minimum       0.0.0.0:8443 nginx  accepts TLSv1.0, TLSv1.1, minimum TLSv1.2
 unknown   updates-security-pending  apt                 package lists are 41 days old (limit 7)

Next: assay explain access-leaver-active     assay scan --format json > report.json
";
        assert_eq!(render(&HEADER, &findings(), 100, false, false), expected);
    }

    #[test]
    fn no_line_is_wider_than_the_terminal_and_nothing_is_lost() {
        let subject = "Q".repeat(300);
        let mut list = findings();
        list.push(finding(Verdict::Fail, Severity::Low, "r", &subject, "漢字".repeat(60).as_str()));
        for width in [60, 80, 99, 200] {
            let text = render(&HEADER, &list, width, false, true);
            // The line of commands is for copying.
            for line in text.lines().filter(|l| !l.starts_with("Next:")) {
                assert!(get_string_width(line) <= width, "{width}: {line}");
            }
            assert_eq!(text.matches('Q').count(), 300);
            assert_eq!(text.matches('漢').count(), 60);
        }
    }

    #[test]
    fn a_long_message_is_cut_with_a_sign() {
        let list = [finding(Verdict::Fail, Severity::Low, "r", "s", &"word ".repeat(400))];
        let text = render(&HEADER, &list, 100, false, false);
        assert!(text.contains("more lines: --all"), "{text}");
        assert!(text.lines().count() < 14, "{text}");
        assert_eq!(render(&HEADER, &list, 100, false, true).matches("word").count(), 400);
    }

    #[test]
    fn rules_that_one_gap_leaves_unknown_share_a_row() {
        let unknown = |rule: &str, subject: &str| finding(Verdict::Unknown, Severity::Low, rule, subject, "no answer");
        let list = [unknown("a", "x"), unknown("b", "x"), unknown("c", "y")];
        let text = render(&HEADER, &list, 100, false, false);
        assert!(text.contains("no answer (likewise 1 more rule: --all)") && text.contains("unknown 3"), "{text}");
        assert_eq!(text.matches("no answer").count(), 2);
        assert_eq!(render(&HEADER, &list, 100, false, true).matches("no answer").count(), 3);
    }

    #[test]
    fn text_of_the_host_can_not_drive_the_terminal() {
        let list = [finding(Verdict::Fail, Severity::Low, "r", "a\x1b[2Jb\u{202e}\u{9b}", "m\r\nn\u{7}")];
        let text = render(&Header { host: "h\x1b]0;x\x07", ..HEADER }, &list, 100, false, false);
        assert!(text.chars().all(|c| c == '\n' || !c.is_control()) && !text.contains('\u{202e}'), "{text:?}");
        assert!(text.contains("a\\u{1b}[2Jb\\u{202e}"));
    }

    #[test]
    fn colour_changes_no_letter() {
        let coloured = render(&HEADER, &findings(), 100, true, true);
        let escapes = regex_lite::Regex::new("\x1b\\[[0-9;]*m").unwrap();
        assert_eq!(escapes.replace_all(&coloured, ""), render(&HEADER, &findings(), 100, false, true));
        assert_ne!(coloured, render(&HEADER, &findings(), 100, false, true));
    }
}
