//! Sections about the whole: hosts, planned scans, exceptions, people, changes, samples, lists.

use std::fmt::Write as _;

use super::{MAX_ROWS, escape, link, more, short, table, when};
use crate::evidence::paper::{Member, MemberState, Paper, Reconciliation, RevocationState};
use crate::evidence::text::{count, day, days, span};
use crate::evidence::windows::WindowState;
use crate::evidence::{plots, sampling};
use crate::model::finding::Verdict;

/// Sections in their order: id and title.
pub(super) fn titles(paper: &Paper) -> Vec<(&'static str, &'static str)> {
    let mut out =
        vec![("population", "Population"), ("operation", "Planned scans"), ("exceptions", "Exceptions"), ("revocations", "People and time to revoke")];
    out.push(("changes", "Changes of what is judged, by what, or by whom"));
    if paper.cover.sampling.is_some() {
        out.push(("samples", "Samples"));
    }
    out
}

/// All of them.
pub(super) fn sections(out: &mut String, paper: &Paper) {
    for (id, title) in titles(paper) {
        let _ = write!(out, "<section>\n<h2 id=\"{id}\">{title}</h2>\n");
        match id {
            "population" => population(out, paper),
            "operation" => operation(out, paper),
            "exceptions" => exceptions(out, paper),
            "revocations" => people(out, paper),
            "changes" => changes(out, paper),
            _ => samples(out, paper),
        }
        out.push_str("</section>\n");
    }
}

fn population(out: &mut String, paper: &Paper) {
    let by_state: Vec<String> = MemberState::ALL
        .into_iter()
        .map(|s| (s, paper.population.iter().filter(|m| m.state == s).count()))
        .filter(|(_, n)| *n > 0)
        .map(|(s, n)| format!("{n} {}", s.word()))
        .collect();
    let scope = capital(&paper.cover.scope);
    let _ = writeln!(out, "<p>{}. Complete list: {}. All times on this page are UTC.</p>", escape(&scope), link("population.csv"));
    if paper.population.is_empty() {
        out.push_str("<p><strong>No host was enrolled: nothing was tested.</strong></p>\n");
    } else {
        let _ = writeln!(out, "<p>At the end of the period: {}.</p>", by_state.join(", "));
        let head = [
            ("Host", ""),
            ("State", ""),
            ("First seen", "w"),
            ("Last seen", "w"),
            ("Last complete scan", "w"),
            ("Reports", "n"),
            ("Scans", "n"),
            ("Done", "n"),
        ];
        table(out, "Population", &head, paper.population.iter().take(MAX_ROWS).map(member));
        more(out, paper.population.len(), "population.csv");
    }
    reconciliation(out, paper.reconciliation.as_ref());
}

fn member(m: &Member) -> Vec<String> {
    let os = if m.os.is_empty() { String::new() } else { format!("<br><span class=\"soft\">{}</span>", escape(&m.os)) };
    let optional = |at: Option<i64>, none: &str| at.map_or_else(|| none.to_string(), day);
    let gone = m.retired_at.map(|at| {
        let next = if m.replaced_by.is_empty() { String::new() } else { format!(", {} took its place", escape(&m.replaced_by)) };
        let why = if m.retired_why.is_empty() { String::new() } else { format!(": {}", escape(&m.retired_why)) };
        format!("<br><span class=\"soft\">{}{next}{why}</span>", when(at))
    });
    vec![
        format!("{} {}{os}", escape(&m.name), short(&m.host.to_string())),
        format!("{}{}", m.state.word(), gone.unwrap_or_default()),
        day(m.enrolled_at),
        optional(m.seen_at, "never"),
        optional(m.confirmed, "none"),
        m.reports.to_string(),
        m.windows.planned.to_string(),
        m.windows.done.to_string(),
    ]
}

fn reconciliation(out: &mut String, found: Option<&Reconciliation>) {
    out.push_str("<h3>Beside a second list</h3>\n");
    let Some(found) = found else {
        out.push_str("<p>No second list of hosts was given, so nothing shows whether the population is complete. Hosts that were never enrolled do not appear in this bundle.</p>\n");
        return;
    };
    if !found.problem.is_empty() {
        let _ = writeln!(out, "<p><strong>{}</strong> Nothing shows whether the population is complete.</p>", escape(&found.problem));
        return;
    }
    let _ = writeln!(
        out,
        "<p>List of {}, SHA-256 {}: {} in both, {} only here, {} only listed, {} listed and taken out here{}. {}</p>",
        when(found.at),
        short(&found.list.to_string()),
        found.both.len(),
        found.only_here.len(),
        found.only_listed.len(),
        found.retired_listed.len(),
        if found.unnamed > 0 { format!("; {} lines of the list name no host", found.unnamed) } else { String::new() },
        link("reconciliation.csv")
    );
    let differing = [(&found.only_here, "only here"), (&found.only_listed, "only listed"), (&found.retired_listed, "listed, taken out here")];
    let all: usize = differing.iter().map(|(names, _)| names.len()).sum();
    if all > 0 {
        let rows = differing.iter().flat_map(|(names, word)| names.iter().map(move |n| vec![escape(n), (*word).to_string()]));
        table(out, "Differences to the second list", &[("Host", ""), ("Found", "")], rows.take(MAX_ROWS));
        more(out, all, "reconciliation.csv");
    }
}

fn operation(out: &mut String, paper: &Paper) {
    let _ = writeln!(
        out,
        "<p>Every ISO week and every month is a planned scan of each host. A scan that ended after its window, or reached the collector more than a day after it, is late; one that a limit stopped is aborted. Every one: {}; counted: {}.</p>",
        link("windows.csv"),
        link("coverage.csv")
    );
    let plots: Vec<String> = ["weekly", "monthly"].into_iter().filter_map(|kind| plots::coverage(&paper.coverage, kind)).collect();
    if plots.is_empty() {
        out.push_str("<p>No scan was planned within the period.</p>\n");
    }
    plots.iter().for_each(|p| out.push_str(p));
    let mut odd: Vec<_> = paper.windows.iter().filter(|w| matches!(w.state, WindowState::Late | WindowState::NotRun | WindowState::Aborted)).collect();
    if odd.is_empty() {
        return;
    }
    let names: std::collections::HashMap<_, &str> = paper.population.iter().map(|m| (m.host, m.name.as_str())).collect();
    odd.sort_by_key(|w| (w.start, names.get(&w.host).copied().unwrap_or_default(), w.kind));
    let _ = writeln!(out, "<h3>Late, aborted or not run: {}</h3>", odd.len());
    let rows = odd.iter().take(MAX_ROWS).map(|w| {
        let (class, word) = match w.state {
            WindowState::Late => ("doubt", "late"),
            WindowState::Aborted => ("bad", "aborted"),
            _ => ("none", "not run"),
        };
        vec![
            format!("<span class=\"v {class}\">{word}</span>"),
            escape(names.get(&w.host).copied().unwrap_or_default()),
            format!("{} ({})", escape(&w.window), w.kind),
            when(w.end),
            w.finished.map_or_else(String::new, when),
            w.report.map(|d| short(&d.to_string())).unwrap_or_default(),
        ]
    });
    let head = [("State", ""), ("Host", ""), ("Window", "w"), ("Window ended", ""), ("Scan ended", ""), ("Report", "")];
    table(out, "Scans that were late, aborted or did not run", &head, rows);
    more(out, odd.len(), "windows.csv");
}

fn exceptions(out: &mut String, paper: &Paper) {
    let of = |v: Verdict| paper.exceptions.iter().filter(move |e| e.verdict == v);
    let (failed, open) = (of(Verdict::Fail).count(), of(Verdict::Fail).filter(|e| e.resolved.is_none()).count());
    let overdue = of(Verdict::Fail).filter(|e| e.handling.overdue).count();
    let unowned = of(Verdict::Fail).filter(|e| e.resolved.is_none() && e.handling.owner.is_empty()).count();
    let _ = writeln!(
        out,
        "<p>{} in the period, {open} open at its end ({unowned} of them without an owner), {overdue} past their due date, {} waived, {} unknown. Every one with age, owner, cause, resolution, the test after it and its waiver: {}.</p>",
        count(failed, "failure", "failures"),
        of(Verdict::Waived).count(),
        of(Verdict::Unknown).count(),
        link("exceptions.csv")
    );
    if let Some(plot) = plots::ages(paper.exceptions.iter().map(|e| &**e)) {
        out.push_str(&plot);
    }
}

fn people(out: &mut String, paper: &Paper) {
    let Some(people) = &paper.people else {
        out.push_str("<p>No roster was in force in the period: who left, and what they could still enter, was not told.</p>\n");
        return;
    };
    let _ = writeln!(
        out,
        "<p>{} at the end of the period by the roster; {} joined and {} left in it. {}</p>",
        count(people.employed, "person worked here", "people worked here"),
        people.joined,
        people.left,
        link("people.csv")
    );
    people.problems.iter().for_each(|p| {
        let _ = writeln!(out, "<p><strong>{}</strong></p>", escape(p));
    });
    out.push_str("<p>A way in is closed between two scans: the last that saw it and the first that saw none. The time is therefore an interval; its width is what the scans resolve. A host that was not scanned since is unknown.</p>\n");
    if let Some(plot) = plots::revocations(&paper.leavers) {
        out.push_str(&plot);
    }
    if paper.revocations.is_empty() {
        let _ = writeln!(out, "<p>No scan saw a way in of a person who left; each person and host: {}.</p>", link("revocations.csv"));
        return;
    }
    let rows = paper.revocations.iter().take(MAX_ROWS).map(|r| {
        let optional = |s: Option<i64>| s.map_or_else(|| "–".to_string(), days);
        vec![
            escape(&r.person),
            when(r.left_at),
            escape(&r.name),
            r.ways.iter().map(|w| format!("<code>{}</code>", escape(w))).collect::<Vec<_>>().join("<br>"),
            r.last_seen.map_or_else(|| "–".into(), when),
            r.first_gone.map_or_else(|| "–".into(), when),
            days(r.at_least),
            optional(r.at_most),
            optional(r.at_most.map(|most| most - r.at_least)),
            state(r.state()),
        ]
    });
    let head = [
        ("Person", ""),
        ("Left", ""),
        ("Host", ""),
        ("Ways in", ""),
        ("Last scan that saw one", ""),
        ("First that saw none", ""),
        ("At least, days", "n"),
        ("At most, days", "n"),
        ("Resolution, days", "n"),
        ("State", ""),
    ];
    table(out, "Time to revoke", &head, rows);
    more(out, paper.revocations.len(), "revocations.csv");
    let limit =
        paper.leavers.iter().find_map(|l| l.limit).map_or_else(|| "The policy in force says no limit.".into(), |l| format!("The policy allows {}.", span(l)));
    let _ = writeln!(out, "<p class=\"note\">{limit} Hosts on which no way in was ever seen are in {}.</p>", link("revocations.csv"));
}

fn state(state: RevocationState) -> String {
    let class = match state {
        RevocationState::InTime | RevocationState::Closed => "good",
        RevocationState::Late | RevocationState::Overdue | RevocationState::Open => "bad",
        RevocationState::Unknown | RevocationState::Undecided => "doubt",
    };
    // Only one of the words is long enough to break.
    let class = if state == RevocationState::Undecided { class.to_string() } else { format!("v {class}") };
    format!("<span class=\"{class}\">{}</span>", state.word())
}

fn changes(out: &mut String, paper: &Paper) {
    if paper.changes.is_empty() {
        out.push_str("<p>The ledger holds no such entry within the period.</p>\n");
        return;
    }
    let rows = paper.changes.iter().take(MAX_ROWS).map(|c| vec![when(c.at), escape(&c.text), c.leaf.to_string()]);
    table(out, "Changes", &[("When", ""), ("Change", ""), ("Ledger entry", "n")], rows);
    more(out, paper.changes.len(), "changes.csv");
}

fn samples(out: &mut String, paper: &Paper) {
    let Some(sampling) = &paper.cover.sampling else { return };
    let drawn: usize = paper.controls.iter().map(|c| c.samples.len()).sum();
    let _ = writeln!(
        out,
        "<p>{} drawn by the seed <code>{}</code>, at most {} per control and kind, from the populations of this bundle. {}</p>\n<p>{} To draw again: <code>printf 'SEED\\nCONTROL\\nKIND\\nITEM' | sha256sum</code> for each item of the population.</p>",
        count(drawn, "item was", "items were"),
        escape(&sampling.seed),
        sampling.size,
        link("samples.csv"),
        sampling::RECIPE
    );
    let rows = [
        ("host", "population.csv", "host id"),
        ("scan", "windows.csv, all but open ones", "host id, blank, window"),
        ("change", "changes.csv", "number of the ledger entry"),
        ("person", "people.csv", "person"),
        ("record", "records.csv, all with an entry", "record type, blank, entry"),
    ];
    table(out, "Kinds of samples", &[("Kind", ""), ("Population", ""), ("Item", "")], rows.iter().map(|(a, b, c)| vec![(*a).into(), (*b).into(), (*c).into()]));
}

/// How each list was made: the last section.
pub(super) fn lists(out: &mut String, paper: &Paper) {
    out.push_str("<section class=\"control\">\n<h2 id=\"lists\">How each list was made</h2>\n");
    let rows = paper.lists.iter().map(|l| {
        vec![
            link(&l.path),
            format!("{}<br><span class=\"soft\">{}</span>", escape(&l.query), escape(&l.parameters)),
            l.rows.to_string(),
            short(&l.digest.to_string()),
        ]
    });
    table(out, "Lists", &[("File", ""), ("Holds", ""), ("Rows", "n"), ("SHA-256", "")], rows);
    let _ = writeln!(out, "<p class=\"note\">The same with whole digests: {}.</p>\n</section>", link("lists.csv"));
}

fn capital(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map(|c| c.to_uppercase().collect::<String>() + chars.as_str()).unwrap_or_default()
}
