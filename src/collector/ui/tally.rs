//! Verdicts summed up: per rule, per control, per framework.

use std::collections::BTreeMap;

use super::site::{Catalogue, ControlCard, FrameworkCard};
use crate::collector::store::{FindingRow, Tallies, Tally};
use crate::model::finding::{Counts, Verdict};
use crate::model::ids::HostId;

/// Most findings that one page looks at.
pub const MAX_FINDINGS: u32 = 200_000;

/// Worst first: what is said of many verdicts at once.
const WORST_FIRST: [Verdict; 6] = [Verdict::Fail, Verdict::Unknown, Verdict::NotRun, Verdict::Waived, Verdict::Pass, Verdict::NotApplicable];

/// The worst of some verdicts; `not run` of none.
pub fn worst(verdicts: impl IntoIterator<Item = Verdict>) -> Verdict {
    let rank = |v: Verdict| WORST_FIRST.iter().position(|w| *w == v).unwrap_or(0);
    verdicts.into_iter().min_by_key(|v| rank(*v)).unwrap_or(Verdict::NotRun)
}

/// Verdict per rule over all hosts and subjects.
pub fn worst_by_rule(tallies: &Tallies) -> BTreeMap<&str, Verdict> {
    let of = |verdicts: &BTreeMap<Verdict, Tally>| worst(verdicts.iter().filter(|(_, t)| t.findings > 0).map(|(v, _)| *v));
    tallies.rules().filter(|(_, verdicts)| verdicts.values().any(|t| t.findings > 0)).map(|(rule, verdicts)| (rule, of(verdicts))).collect()
}

/// Verdict of a control: the worst of its rules, an unjudged rule counts as `not run`.
pub fn of_control(control: &ControlCard, rules: &BTreeMap<&str, Verdict>) -> Verdict {
    worst(control.rules.iter().map(|r| rules.get(r.as_str()).copied().unwrap_or(Verdict::NotRun)))
}

/// Counts per verdict of one host's findings.
pub fn counts(rows: &[FindingRow], host: &HostId) -> Counts {
    let mut counts = Counts::default();
    for row in rows.iter().filter(|r| r.host == *host) {
        match row.finding.verdict {
            Verdict::Pass => counts.pass += 1,
            Verdict::Fail => counts.fail += 1,
            Verdict::Unknown => counts.unknown += 1,
            Verdict::NotApplicable => counts.not_applicable += 1,
            // Neither is told by a host: `waived` is counted by `of_verdict`, what was not run is no finding.
            Verdict::Waived | Verdict::NotRun => {}
        }
    }
    counts
}

/// How many of one host's findings have a verdict.
pub fn of_verdict(rows: &[FindingRow], host: &HostId, verdict: Verdict) -> usize {
    rows.iter().filter(|r| r.host == *host && r.finding.verdict == verdict).count()
}

/// One coloured stretch of a bar, in hundredths of its length.
#[derive(Clone, Debug)]
pub struct Stretch {
    /// Class in the style sheet.
    pub class: &'static str,
    /// Beginning.
    pub x: String,
    /// Length.
    pub width: String,
    /// `4 fail`.
    pub text: String,
}

/// A framework as a bar.
#[derive(Clone, Debug)]
pub struct Bar {
    /// Id of the framework.
    pub id: String,
    /// Name.
    pub title: String,
    /// `9 of 9 controls judged`.
    pub note: String,
    /// Stretches from left to right.
    pub stretches: Vec<Stretch>,
    /// The bar in words.
    pub text: String,
}

/// Class in the style sheet of a verdict's area.
pub const fn area(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Pass => "bp",
        Verdict::Fail => "bf",
        Verdict::Unknown => "bu",
        Verdict::Waived => "bw",
        Verdict::NotRun => "bn",
        Verdict::NotApplicable => "ba",
    }
}

/// Stretches in the proportion of some counts; empty for no counts.
pub fn stretches(counts: &[(Verdict, usize)]) -> Vec<Stretch> {
    let total: usize = counts.iter().map(|(_, n)| n).sum();
    let hundredth = |n: usize| n as f64 * 100.0 / total as f64;
    let (mut out, mut before) = (Vec::new(), 0);
    for (verdict, n) in counts.iter().filter(|(_, n)| *n > 0) {
        out.push(Stretch {
            class: area(*verdict),
            x: format!("{:.2}", hundredth(before)),
            width: format!("{:.2}", hundredth(*n)),
            text: format!("{n} {}", verdict.word()),
        });
        before += n;
    }
    out
}

/// The bar of a framework over its controls that have rules.
pub fn bar(framework: &FrameworkCard, rules: &BTreeMap<&str, Verdict>) -> Bar {
    let with_rules: Vec<&ControlCard> = framework.controls.iter().filter(|c| !c.rules.is_empty()).collect();
    let verdicts: Vec<Verdict> = with_rules.iter().map(|c| of_control(c, rules)).collect();
    let order = [Verdict::Pass, Verdict::Fail, Verdict::Unknown, Verdict::Waived, Verdict::NotRun, Verdict::NotApplicable];
    let stretches = stretches(&order.map(|v| (v, verdicts.iter().filter(|o| **o == v).count())));
    let judged = verdicts.iter().filter(|v| **v != Verdict::NotRun).count();
    let text = stretches.iter().map(|s| s.text.as_str()).collect::<Vec<_>>().join(", ");
    Bar {
        id: framework.id.clone(),
        title: framework.title.clone(),
        note: format!("{judged} of {} controls judged", framework.controls.len()),
        stretches,
        text: if text.is_empty() { "no control has rules".into() } else { text },
    }
}

/// The address of a finding's page.
pub fn finding_path(row: &FindingRow) -> String {
    finding_address(&row.host, &row.finding.rule, &row.finding.subject)
}

/// The address of the page about a rule on a subject of a host.
pub fn finding_address(host: &HostId, rule: &str, subject: &str) -> String {
    let path = format!("/findings/{host}/{}", super::text::encode(rule));
    if subject.is_empty() { path } else { format!("{path}?subject={}", super::text::encode(subject)) }
}

/// Findings with the waivers of their time laid over them: a failure that one covers is `waived` and nothing else.
pub async fn waived(site: &super::Site, rows: &mut [FindingRow], visit: &super::frame::Visit) -> Result<(), super::error::PageError> {
    if rows.iter().any(|row| row.finding.verdict == Verdict::Fail) {
        let laid = crate::collector::findings::Laid::read(site.store(), visit.at(), rows.iter().map(|row| row.host)).await?;
        for row in rows.iter_mut().filter(|row| laid.waiver(row).is_some()) {
            row.finding.verdict = Verdict::Waived;
        }
    }
    Ok(())
}

/// What a finding says, whatever its verdict.
pub fn words(row: &FindingRow, catalogue: &Catalogue) -> String {
    let finding = &row.finding;
    let text = match (&finding.reason, finding.message.as_str()) {
        (Some(reason), "") => reason.detail.clone(),
        (None, "") => catalogue.title(&finding.rule).to_string(),
        (_, message) => message.to_string(),
    };
    super::text::shown(&text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_control_is_as_good_as_its_worst_rule_and_an_unjudged_rule_is_not_a_pass() {
        let control = |rules: &[&str]| ControlCard {
            id: "CC6.7".into(),
            title: String::new(),
            rules: rules.iter().map(|r| r.to_string()).collect(),
            fleet: String::new(),
            record: String::new(),
            records: Vec::new(),
        };
        let rules = BTreeMap::from([("a", Verdict::Pass), ("b", Verdict::Fail), ("c", Verdict::Unknown)]);
        assert_eq!(of_control(&control(&["a"]), &rules), Verdict::Pass);
        assert_eq!(of_control(&control(&["a", "c"]), &rules), Verdict::Unknown);
        assert_eq!(of_control(&control(&["a", "b", "c"]), &rules), Verdict::Fail);
        assert_eq!(of_control(&control(&["a", "absent"]), &rules), Verdict::NotRun);
    }

    #[test]
    fn stretches_fill_the_bar() {
        let parts = stretches(&[(Verdict::Pass, 3), (Verdict::Fail, 0), (Verdict::Unknown, 1)]);
        let drawn: Vec<(&str, &str, &str)> = parts.iter().map(|s| (s.class, s.x.as_str(), s.width.as_str())).collect();
        assert_eq!(drawn, [("bp", "0.00", "75.00"), ("bu", "75.00", "25.00")]);
        assert!(stretches(&[]).is_empty());
    }
}
