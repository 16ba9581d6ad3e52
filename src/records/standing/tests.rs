//! Standings of made-up events, by the types that the program carries.

use super::super::people::Employment;
use super::super::testing::{about, day, event, recorded};
use super::super::types::{builtin, find};
use super::*;

fn kind(id: &str) -> RecordType {
    find(builtin().unwrap(), id).unwrap().clone()
}

fn add(record: &str, entry: u8, subject: &str, at: i64, fields: &[(&str, &str)]) -> Recorded {
    recorded(about(subject, event(record, entry, Action::Add, at, "ada", fields)))
}

fn act(record: &str, entry: u8, action: Action, at: i64, fields: &[(&str, &str)]) -> Recorded {
    recorded(event(record, entry, action, at, "bob", fields))
}

/// Entry (0: the list or the duty), subject, state, since and until.
fn told(id: &str, events: &[Recorded], people: Option<&People>, from: &str, to: &str) -> Vec<(u8, String, State, i64, Option<i64>)> {
    let standings = standings(&[kind(id)], events, people, day(from), day(to));
    standings.into_iter().map(|s| (s.entry.map_or(0, |e| e.bytes()[0]), s.subject, s.state, s.since, s.until)).collect()
}

const INCIDENT: &[(&str, &str)] = &[
    ("description", "x"),
    ("occurred_at", "2026-11-01T00:00:00Z"),
    ("known_at", "2026-11-01T12:00:00Z"),
    ("reporter", "x"),
    ("recipient", "x"),
    ("nature", "x"),
    ("data_concerned", "x"),
    ("consequences", "x"),
    ("measures", "x"),
    ("contact", "x"),
    ("notifiable", "yes"),
    ("acting_as", "controller"),
];

#[test]
fn a_deadline_passes_by_time_alone_at_its_very_second() {
    let (start, over) = (day("2026-11-02"), day("2026-11-04") + 12 * 3600);
    let mut events = vec![add("incidents", 1, "laptop", start, INCIDENT)];
    let entry = |events: &[Recorded]| -> Vec<_> { told("incidents", events, None, "2026-11-01", "2026-11-20").into_iter().filter(|s| s.0 == 1).collect() };
    let subject = || "laptop".to_string();
    assert_eq!(entry(&events), [(1, subject(), State::Due, start, Some(over)), (1, subject(), State::Overdue, over, None)]);
    // Told in time, recorded later: what was known at each moment is what stands.
    let later = over + 5000;
    events.push(act("incidents", 1, Action::Change, later, &[("authority_told_at", "2026-11-04T13:00:00+01:00")]));
    assert_eq!(entry(&events)[1..], [(1, subject(), State::Overdue, over, Some(later)), (1, subject(), State::Current, later, None)]);
    events.push(act("incidents", 1, Action::Close, later + 10, &[]));
    assert_eq!(entry(&events)[2], (1, subject(), State::Current, later, Some(later + 10)));
    // A second too late.
    events[1] = act("incidents", 1, Action::Change, later, &[("authority_told_at", "2026-11-04T12:00:01Z")]);
    assert_eq!(entry(&events)[2].2, State::Late);
    // What need not be told has no deadline; an empty field comes first.
    events[1] = act("incidents", 1, Action::Change, start + 1, &[("notifiable", "no"), ("contact", "")]);
    assert_eq!(entry(&events[..2])[1], (1, subject(), State::Incomplete, start + 1, None));
    // A mistake stands no longer, and did until then.
    events.push(act("incidents", 1, Action::Withdraw, later + 20, &[("note", "twin")]));
    events.remove(2);
    assert_eq!(entry(&events).last().unwrap().4, Some(later + 20));
}

#[test]
fn an_empty_list_is_no_evidence_until_somebody_signs_it() {
    let signed = day("2026-03-01");
    let events = [act("incidents", 0, Action::SignOff, signed, &[])];
    let spans = standings(&[kind("incidents")], &events, None, day("2026-01-01"), day("2027-01-01"));
    let states: Vec<(State, i64)> = spans.iter().map(|s| (s.state, s.since)).collect();
    let over = signed + 92 * DAY;
    assert_eq!(states, [(State::Missing, day("2026-01-01")), (State::Current, signed), (State::Due, over - 3 * DAY), (State::Overdue, over)]);
    assert_eq!(spans[0].message, "nobody has signed that the list is complete");
    assert_eq!(spans[1].message, "no entries, signed as complete by bob on 2026-03-01, to be signed again by 2026-05-31");
    assert_eq!((spans[0].state.verdict(), spans[1].state.verdict()), (Verdict::NotRun, Verdict::Pass));
    let more = [add("incidents", 1, "a", signed, INCIDENT), events[0].clone()];
    let list = standings(&[kind("incidents")], &more, None, signed, signed + 1).into_iter().find(|s| s.entry.is_none()).unwrap();
    assert!(list.message.starts_with("1 entry, signed as complete"), "{}", list.message);
}

#[test]
fn an_attestation_is_renewed_from_the_day_that_it_names() {
    let done =
        [("done_on", "2026-01-31"), ("tester", "x"), ("scope", "x"), ("hosts_tested", "3"), ("left_out", "none"), ("findings", "x"), ("resolution", "x")];
    let mut events = vec![add("penetration-tests", 1, "", day("2026-02-10"), &done)];
    let over = day("2027-02-01");
    let expected = [
        (0, String::new(), State::Missing, day("2026-01-01"), Some(day("2026-02-10"))),
        (1, String::new(), State::Current, day("2026-02-10"), Some(over - 60 * DAY)),
        (1, String::new(), State::Due, over - 60 * DAY, Some(over)),
        (1, String::new(), State::Overdue, over, None),
    ];
    assert_eq!(told("penetration-tests", &events, None, "2026-01-01", "2027-06-01"), expected);
    // A later one that lacks something does not spoil what still counts, and counts as soon as it is whole.
    events.push(add("penetration-tests", 2, "", day("2026-12-01"), &[("done_on", "2026-11-30")]));
    events.push(act("penetration-tests", 2, Action::Change, day("2027-03-01"), &done[1..]));
    let after = told("penetration-tests", &events, None, "2026-11-15", "2027-06-01");
    let states: Vec<(u8, State)> = after.iter().map(|s| (s.0, s.2)).collect();
    assert_eq!(states, [(1, State::Current), (1, State::Due), (2, State::Incomplete), (2, State::Current)]);
    assert_eq!(after[2].3, over);
}

#[test]
fn each_person_who_works_here_is_asked_for_and_nobody_else() {
    let employment = |person: &str, from, until| Employment { person: person.into(), from, until };
    let people = People {
        known_from: day("2026-01-01"),
        employments: vec![employment("ada", None, Some(day("2026-06-01"))), employment("bob", Some(day("2026-03-01")), None)],
    };
    let events = [
        add("awareness-training", 1, "Ada", day("2026-02-01"), &[("done_on", "2026-02-01"), ("content", "x")]),
        add("awareness-training", 2, "stranger", day("2026-02-01"), &[("done_on", "2026-02-01"), ("content", "x")]),
    ];
    let spans = told("awareness-training", &events, Some(&people), "2025-12-01", "2026-07-01");
    let ada = "Ada".to_string();
    assert_eq!(
        spans,
        [
            (0, String::new(), State::Unknown, day("2025-12-01"), Some(day("2026-01-01"))),
            (0, ada.clone(), State::Missing, day("2026-01-01"), Some(day("2026-02-01"))),
            (1, ada, State::Current, day("2026-02-01"), Some(day("2026-06-01"))),
            (0, "bob".into(), State::Missing, day("2026-03-01"), None),
        ]
    );
    // Without a list of people: what was recorded stands, and whether that is all is unknown.
    let spans = told("awareness-training", &events, None, "2026-03-01", "2026-04-01");
    assert_eq!(spans.iter().map(|s| (s.1.as_str(), s.2)).collect::<Vec<_>>(), [("", State::Unknown), ("Ada", State::Current), ("stranger", State::Current)]);
}

#[test]
fn sites_are_those_that_were_named_until_the_last_word_closes_one() {
    let all = ["badge_readers", "cameras", "locked_storage", "alarm", "fire_detection"].map(|f| (f, "yes"));
    let rest = [("inspected_on", "2026-02-01"), ("inspector", "x"), ("power_and_climate", "x"), ("clear_desks", "x")];
    let good = [&all[..], &rest[..]].concat();
    let bad: Vec<(&str, &str)> = good.iter().map(|(f, v)| (*f, if *f == "alarm" { "no" } else { *v })).collect();
    let events = [
        add("site-security", 1, "Berlin", day("2026-02-01"), &good),
        add("site-security", 2, "Bonn", day("2026-02-01"), &bad),
        add("site-security", 3, "Ulm", day("2026-02-01"), &[]),
        act("site-security", 2, Action::Close, day("2026-03-01"), &[]),
    ];
    let spans = told("site-security", &events, None, "2026-01-01", "2026-04-01");
    let start = day("2026-02-01");
    assert_eq!(
        spans,
        [
            (0, String::new(), State::Missing, day("2026-01-01"), Some(start)),
            (1, "Berlin".into(), State::Current, start, None),
            (2, "Bonn".into(), State::Refused, start, Some(day("2026-03-01"))),
            (3, "Ulm".into(), State::Incomplete, start, None),
        ]
    );
    let messages = standings(&[kind("site-security")], &events, None, start, start + 1);
    assert_eq!(messages[1].message, "alarm is no: an alarm is promised for every site");
    assert!(messages[2].message.starts_with("inspected_on, inspector, badge_readers"));
}

#[test]
fn sub_processors_expire_conflict_and_may_not_rest_on_what_was_struck_down() {
    let fields = |place: &'static str, mechanism: &'static str| {
        [
            ("purpose", "x"),
            ("data", "x"),
            ("place", place),
            ("agreement_on", "2026-01-01"),
            ("agreement_ends", "2026-06-30"),
            ("transfer_mechanism", mechanism),
            ("published", "yes"),
            ("owner", "x"),
        ]
    };
    let mut events = vec![add("sub-processors", 1, "Mail Ltd", day("2026-01-02"), &fields("Ireland", "not-needed"))];
    let entries = |events: &[Recorded]| -> Vec<_> {
        told("sub-processors", events, None, "2026-01-01", "2026-08-01").into_iter().filter(|s| s.0 > 0).map(|s| (s.0, s.2, s.3)).collect()
    };
    let end = day("2026-07-01");
    assert_eq!(entries(&events), [(1, State::Current, day("2026-01-02")), (1, State::Due, end - 30 * DAY), (1, State::Expired, end)]);
    events.push(add("sub-processors", 2, "mail ltd ", day("2026-02-01"), &fields("Germany", "not-needed")));
    assert_eq!(entries(&events)[1], (1, State::Refused, day("2026-02-01")));
    let message = standings(&[kind("sub-processors")], &events, None, day("2026-02-02"), day("2026-02-03")).remove(0).message;
    assert_eq!(message, "place is Ireland, and entry 02020202 of the same name says Germany");
    events.push(act("sub-processors", 2, Action::Close, day("2026-02-05"), &[]));
    assert_eq!(entries(&events)[2], (1, State::Current, day("2026-02-05")));
    let struck = [add("sub-processors", 1, "Cloud Inc", day("2026-01-02"), &fields("United States", "privacy-shield"))];
    assert_eq!(entries(&struck)[0].1, State::Refused);
}

#[test]
fn a_request_may_take_longer_once_the_person_was_told_in_time() {
    let request = |extended: &'static str| [("received_on", "2026-01-31"), ("kind", "access"), ("owner", "x"), ("extended_on", extended)];
    let state = |extended, at: &str| {
        let events = [add("data-subject-requests", 1, "7", day("2026-02-01"), &request(extended))];
        standings(&[kind("data-subject-requests")], &events, None, day(at), day(at) + 1).remove(0).state
    };
    assert_eq!((state("", "2026-02-10"), state("", "2026-02-28"), state("", "2026-03-01")), (State::Current, State::Due, State::Overdue));
    assert_eq!((state("2026-02-28", "2026-03-01"), state("2026-02-28", "2026-05-01")), (State::Current, State::Overdue));
    assert_eq!(state("2026-03-01", "2026-03-02"), State::Overdue);
}

#[test]
fn what_is_due_is_the_worst_first_and_what_comes() {
    let at = day("2026-11-28");
    let events = [
        add(
            "hosting-certificates",
            1,
            "Centre",
            day("2026-01-01"),
            &[("standard", "x"), ("issuer", "x"), ("scope", "x"), ("valid_from", "2026-01-01"), ("valid_until", "2027-02-01")],
        ),
        act("hosting-certificates", 0, Action::SignOff, at - 10 * DAY, &[]),
        add("capacity-reviews", 1, "", at - 10 * DAY, &[("reviewed_on", "2025-11-28"), ("reviewer", "x"), ("use", "x"), ("forecast", "x"), ("decision", "x")]),
    ];
    let types = [kind("capacity-reviews"), kind("hosting-certificates"), kind("conduct")];
    let told = |within| -> Vec<(String, State, i64)> { due(&types, &events, None, at, within).into_iter().map(|s| (s.record, s.state, s.since)).collect() };
    let now = [("capacity-reviews".to_string(), State::Overdue, at), ("conduct".to_string(), State::Missing, at)];
    assert_eq!(told(0), now);
    let soon = ("hosting-certificates".to_string(), State::Due, day("2027-02-02") - 60 * DAY);
    assert_eq!(told(30), [&now[..], &[soon]].concat());
}

/// Pseudo-random numbers (xorshift64, Marsaglia 2003), the same in each run.
struct Dice(u64);

impl Dice {
    fn below(&mut self, most: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % most
    }

    fn day(&mut self) -> String {
        value_of(day("2026-01-01") + i64::try_from(self.below(300)).unwrap() * DAY)
    }
}

fn value_of(at: i64) -> String {
    super::super::value::day_of(at).to_string()
}

/// A random history of some types with short clocks.
fn history(dice: &mut Dice) -> Vec<Recorded> {
    let mut events = Vec::new();
    let mut at = day("2026-01-01");
    for _ in 0..dice.below(25) {
        at += i64::try_from(dice.below(12)).unwrap() * DAY * i64::try_from(dice.below(2)).unwrap();
        let entry = u8::try_from(1 + dice.below(5)).unwrap();
        let action = [Action::Add, Action::Add, Action::Change, Action::Change, Action::Close, Action::Withdraw, Action::SignOff]
            [usize::try_from(dice.below(7)).unwrap()];
        let record = ["contract-ends", "awareness-training", "site-security", "sub-processors", "capacity-reviews"][usize::from(entry) - 1];
        let subject = match record {
            "capacity-reviews" => "",
            "awareness-training" => ["ada", "bob"][usize::try_from(dice.below(2)).unwrap()],
            _ => ["x", "y"][usize::try_from(dice.below(2)).unwrap()],
        };
        let mut made = event(record, entry, action, at, "ada", &[]);
        made.subject = subject.into();
        made.entry = RandomId::new([u8::try_from(10 * u64::from(entry) + dice.below(3)).unwrap(); 16]);
        for field in kind(record).fields.iter().filter(|_| action.fills()) {
            let value = match field.kind {
                super::super::kind::FieldType::Date => dice.day(),
                super::super::kind::FieldType::Choice => field.values[usize::try_from(dice.below(field.values.len() as u64)).unwrap()].clone(),
                _ => "1".into(),
            };
            if dice.below(5) > 0 {
                made.fields.insert(field.name.clone(), value);
            }
        }
        events.push(recorded(made));
    }
    events
}

#[test]
fn standings_of_a_period_are_those_of_its_parts_whatever_order_events_come_in() {
    let types: Vec<RecordType> = ["contract-ends", "awareness-training", "site-security", "sub-processors", "capacity-reviews"].map(kind).to_vec();
    let people = People {
        known_from: day("2026-02-01"),
        employments: vec![Employment { person: "ada".into(), from: Some(day("2026-03-01")), until: Some(day("2026-09-01")) }],
    };
    let mut dice = Dice(0x2545_f491_4f6c_dd1d);
    let mut seen = 0;
    for round in 0..150 {
        let events = history(&mut dice);
        let (a, c) = (day("2025-12-01"), day("2027-02-01"));
        let b = a + i64::try_from(dice.below(u64::try_from(c - a).unwrap())).unwrap();
        let whole = standings(&types, &events, Some(&people), a, c);
        let parts = [standings(&types, &events, Some(&people), a, b), standings(&types, &events, Some(&people), b, c)];
        assert_eq!(joined(parts, b), sorted(whole.clone()), "round {round}, parted at {b}");
        // Later ones first, but within a second as they were.
        let mut shuffled = events.clone();
        shuffled.sort_by_key(|r| std::cmp::Reverse(r.event.at));
        assert_eq!(standings(&types, &shuffled, Some(&people), a, c), whole, "round {round}");
        for pair in whole.windows(2).filter(|p| (&p[0].record, &p[0].subject, p[0].entry) == (&p[1].record, &p[1].subject, p[1].entry)) {
            assert!(pair[0].until.is_some_and(|u| u <= pair[1].since) || pair[0].since >= pair[1].since, "round {round}: {pair:?}");
        }
        seen += whole.len();
    }
    assert!(seen > 1500, "{seen}");
}

fn sorted(mut all: Vec<Standing>) -> Vec<String> {
    all.sort_by(|x, y| (&x.record, &x.subject, x.entry, x.since).cmp(&(&y.record, &y.subject, y.entry, y.since)));
    all.iter().map(|s| format!("{s:?}")).collect()
}

/// What ends with the first part and goes on the same in the second is one.
fn joined([mut first, mut second]: [Vec<Standing>; 2], at: i64) -> Vec<String> {
    for left in first.iter_mut().filter(|s| s.until.is_none()) {
        let goes_on = |right: &Standing| Standing { since: left.since, until: None, ..right.clone() } == *left && right.since == at;
        match second.iter().position(|right| goes_on(&Standing { until: None, ..right.clone() })) {
            Some(place) => left.until = second.remove(place).until,
            None => left.until = Some(at),
        }
    }
    first.append(&mut second);
    sorted(first)
}
