//! What is kept of facts over spans of time: where a report's word begins and ends between those of its neighbours. Pure.
//!
//! A report that arrives late is laid between the two it belongs between, as verdicts are (see `transitions.rs`): what it says holds from its own
//! time to the next report's, and what was known after that stays as it was.

/// A text from one second until another (`None`: still), Unix.
pub type Stretch = (i64, Option<i64>, String);

/// The spans of one item after a report said of it, for `[at, next)`, what is `said` (`None`: it is not there).
pub fn carve(spans: &[Stretch], at: i64, next: Option<i64>, said: Option<&str>) -> Vec<Stretch> {
    let mut out: Vec<Stretch> = Vec::with_capacity(spans.len() + 2);
    for (since, until, body) in spans {
        if *since < at {
            out.push((*since, Some(until.map_or(at, |u| u.min(at))), body.clone()));
        }
        if let Some(next) = next
            && until.is_none_or(|u| u > next)
        {
            out.push(((*since).max(next), *until, body.clone()));
        }
    }
    if let Some(body) = said {
        out.push((at, next, body.to_string()));
    }
    out.retain(|(since, until, _)| until.is_none_or(|u| u > *since));
    out.sort();
    let mut joined: Vec<Stretch> = Vec::with_capacity(out.len());
    for stretch in out {
        match joined.last_mut() {
            Some((_, until, body)) if *until == Some(stretch.0) && *body == stretch.2 => *until = stretch.1,
            _ => joined.push(stretch),
        }
    }
    joined
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is(spans: &[Stretch], at: i64) -> Option<&str> {
        spans.iter().find(|(since, until, _)| *since <= at && until.is_none_or(|u| u > at)).map(|(_, _, body)| body.as_str())
    }

    #[test]
    fn a_late_report_holds_until_the_next_one_and_nothing_else_changes() {
        let open = vec![(10, None, "a".to_string())];
        assert_eq!(carve(&open, 20, None, Some("a")), open);
        assert_eq!(carve(&open, 20, None, None), [(10, Some(20), "a".into())]);
        assert_eq!(carve(&open, 20, Some(30), None), [(10, Some(20), "a".into()), (30, None, "a".into())]);
        assert_eq!(carve(&open, 20, Some(30), Some("b")), [(10, Some(20), "a".into()), (20, Some(30), "b".into()), (30, None, "a".into())]);
        assert_eq!(carve(&open, 10, None, Some("b")), [(10, None, "b".into())]);
        assert_eq!(carve(&[], 5, Some(10), Some("a")), [(5, Some(10), "a".into())]);
    }

    #[test]
    fn spans_do_not_depend_on_the_order_of_arrival() {
        // Every story of five reports that say nothing, `a` or `b`, in every order of arrival.
        let orders = permutations(5);
        for story in 0..3_usize.pow(5) {
            let says: Vec<Option<&str>> = (0..5).map(|i| [None, Some("a"), Some("b")][story / 3_usize.pow(i) % 3]).collect();
            let mut first: Option<Vec<Stretch>> = None;
            for order in &orders {
                let (mut spans, mut times): (Vec<Stretch>, Vec<i64>) = (Vec::new(), Vec::new());
                for &i in order {
                    let at = i as i64 * 10 + 10;
                    let next = times.iter().copied().filter(|t| *t > at).min();
                    spans = carve(&spans, at, next, says[i]);
                    times.push(at);
                }
                for (i, said) in says.iter().enumerate() {
                    assert_eq!(is(&spans, i as i64 * 10 + 10), *said, "story {says:?}, order {order:?}");
                }
                assert_eq!(*first.get_or_insert_with(|| spans.clone()), spans, "story {says:?}, order {order:?}");
            }
        }
    }

    fn permutations(n: usize) -> Vec<Vec<usize>> {
        if n == 0 {
            return vec![Vec::new()];
        }
        let shorter = permutations(n - 1);
        shorter
            .into_iter()
            .flat_map(|p| {
                (0..n)
                    .map(move |at| {
                        let mut q = p.clone();
                        q.insert(at, n - 1);
                        q
                    })
                    .collect::<Vec<_>>()
            })
            .collect()
    }
}
