//! What a control amounts to, in a word and in a sentence.

use std::sync::Arc;

use crate::evidence::paper::{Conclusion, Exception, RecordPaper, Tally, WindowCount};
use crate::evidence::text::count;
use crate::model::finding::Verdict;

/// What one kind of evidence says.
#[derive(Debug)]
pub struct Said {
    /// In a word.
    pub conclusion: Conclusion,
    /// In a sentence.
    pub sentence: String,
}

/// What the rules of a control say; `on` counts the hosts with a verdict, at the end or during the period.
pub fn by_rules(
    counts: &Tally,
    exceptions: &[Arc<Exception>],
    on: &dyn Fn(Verdict) -> usize,
    (population, standing): (usize, usize),
    operation: &WindowCount,
) -> Said {
    let any = |v: Verdict, n: u64| n > 0 || exceptions.iter().any(|e| e.verdict == v);
    let conclusion = if any(Verdict::Fail, counts.fail) {
        Conclusion::Exceptions
    } else if standing == 0 || any(Verdict::NotRun, counts.not_run) {
        Conclusion::NotRun
    } else if any(Verdict::Unknown, counts.unknown) {
        Conclusion::Unknown
    } else if any(Verdict::Waived, counts.waived) {
        Conclusion::Waived
    } else if counts.pass == 0 {
        Conclusion::NotApplicable
    } else {
        Conclusion::NoExceptions
    };
    let hosts = count(population, "host", "hosts");
    let of = |v: Verdict| format!("{} of {hosts}", on(v));
    let planned = count(usize::try_from(operation.planned).unwrap_or(usize::MAX), "planned scan", "planned scans");
    let late = if operation.late > 0 { format!(", {} of them late", operation.late) } else { String::new() };
    let scans = format!("{} of {planned} done{late}", operation.done);
    let failures = |open: bool| exceptions.iter().filter(move |e| e.verdict == Verdict::Fail && e.resolved.is_none() == open);
    let sentence = match conclusion {
        Conclusion::NotApplicable => format!("No rule applies to any of {hosts}; {scans}."),
        Conclusion::NoExceptions => format!("Every rule passed on {hosts} where it applies; {scans}."),
        Conclusion::Waived => format!("Failures on {} are covered by waivers; {scans}.", of(Verdict::Waived)),
        Conclusion::Unknown => format!("Not everything could be told on {}; {scans}.", of(Verdict::Unknown)),
        Conclusion::NotRun if population == 0 => "The population is empty: nothing was tested.".into(),
        Conclusion::NotRun if standing == 0 => format!("No host of {hosts} was left at the end of the period: nothing was tested at its end; {scans}."),
        Conclusion::NotRun => format!("Planned scans or results are missing on {}; {scans}.", of(Verdict::NotRun)),
        _ => {
            let overdue = failures(true).filter(|e| e.handling.overdue).count();
            let overdue = if overdue > 0 { format!(" ({overdue} overdue)") } else { String::new() };
            let open = count(failures(true).count(), "failure", "failures");
            format!("Rules failed on {}, {open} open at the end{overdue}; {scans}.", of(Verdict::Fail))
        }
    };
    Said { conclusion, sentence }
}

/// What the records of a control say; `elsewhere`: a rule or a table says something, too. Without a mapped one a person's word is missing, whatever rules say.
pub fn by_records(elsewhere: bool, records: &[RecordPaper]) -> Said {
    if records.is_empty() {
        let sentence = if elsewhere { "The rest needs a person's record." } else { "No rule tests this control: it needs a person's record." };
        return Said { conclusion: Conclusion::Record, sentence: sentence.into() };
    }
    let mut conclusion = Conclusion::NoExceptions;
    let mut parts = Vec::new();
    for record in records {
        let of = |v: Verdict| record.standings.iter().filter(move |s| s.state.verdict() == v);
        let (failed, missing, unknown) = (of(Verdict::Fail).count(), of(Verdict::NotRun).count(), of(Verdict::Unknown).count());
        if failed > 0 {
            conclusion = conclusion.max(Conclusion::Exceptions);
            let mut words: Vec<&str> = of(Verdict::Fail).map(|s| s.state.word()).collect();
            words.sort_unstable();
            words.dedup();
            parts.push(format!("{}: {failed} {}", record.title, words.join(" or ")));
        }
        if missing > 0 || record.standings.is_empty() {
            conclusion = conclusion.max(Conclusion::Record);
            let missing_still = record.standings.is_empty() || of(Verdict::NotRun).any(|s| s.until.is_none());
            parts.push(format!("{}: no record{}", record.title, if missing_still { "" } else { " during a part of the period" }));
        }
        if unknown > 0 {
            conclusion = conclusion.max(Conclusion::Unknown);
            parts.push(format!("{}: unknown", record.title));
        }
    }
    let sentence = match parts.is_empty() {
        true => format!("{} current during the whole period.", count(records.len(), "kind of record was", "kinds of records were")),
        false => format!("Records: {}.", parts.join("; ")),
    };
    Said { conclusion, sentence }
}
