//! Long lists a page at a time: addresses that keep their filters, and where one is.

use super::error::PageError;
use super::frame::Visit;
use super::text::{encode, grouped};

/// Rows of a page.
pub const ROWS: u32 = 100;
/// Last page that is shown: beyond it the list is narrowed, not read.
const MAX_PAGE: u32 = 10_000;
/// Longest text of a filter, characters.
const MAX_FILTER: usize = 200;

/// Where one is in a long list.
#[derive(Clone, Debug)]
pub struct Pager {
    /// `101–200 of 1 342 hosts`.
    pub text: String,
    /// Address of the page before; empty on the first.
    pub before: String,
    /// Address of the next page; empty on the last.
    pub next: String,
}

/// The page that is asked for, from 1.
pub fn page_of(visit: &Visit) -> Result<u32, PageError> {
    match visit.parameter("page") {
        "" => Ok(1),
        text => text
            .parse()
            .ok()
            .filter(|page| (1..=MAX_PAGE).contains(page))
            .ok_or_else(|| PageError::Bad(format!("“{}” is no page; write 1 to {MAX_PAGE}, or narrow the list.", super::text::brief(text, 20)))),
    }
}

/// A filter of the address, in one line and bounded.
pub fn filter_of(visit: &Visit, name: &str) -> Result<String, PageError> {
    let text = visit.parameter(name).trim();
    if text.chars().count() > MAX_FILTER {
        return Err(PageError::Bad(format!("The filter {name} has more than {MAX_FILTER} characters.")));
    }
    Ok(text.to_string())
}

/// This address with other parameters, on its first page; an empty value takes a parameter out. The day is left to the frame.
pub fn address(visit: &Visit, changes: &[(&str, &str)]) -> String {
    let kept = visit.query.iter().filter(|(name, value)| name != "page" && !value.is_empty() && !changes.iter().any(|(n, _)| n == name));
    let kept = kept.map(|(name, value)| (name.as_str(), value.as_str()));
    let all: Vec<String> = kept.chain(changes.iter().copied().filter(|(_, v)| !v.is_empty())).map(|(n, v)| format!("{}={}", encode(n), encode(v))).collect();
    if all.is_empty() { visit.path.clone() } else { format!("{}?{}", visit.path, all.join("&")) }
}

impl Pager {
    /// After reading one row more than a page holds: how many were read of page `page`, and how many there are if that is known.
    pub fn new(visit: &Visit, page: u32, read: usize, total: Option<u64>, noun: &str) -> Self {
        let begin = u64::from(page.saturating_sub(1)) * u64::from(ROWS);
        let shown = read.min(ROWS as usize) as u64;
        let of = total.map_or_else(String::new, |n| format!(" of {}", grouped(n)));
        let text =
            if shown == 0 || (page == 1 && shown == 1) { String::new() } else { format!("{}–{}{of} {noun}", grouped(begin + 1), grouped(begin + shown)) };
        let to = |page: u32| address(visit, &[("page", &if page > 1 { page.to_string() } else { String::new() })]);
        Self {
            text,
            before: if page > 1 { to(page - 1) } else { String::new() },
            next: if read > ROWS as usize && page < MAX_PAGE { to(page + 1) } else { String::new() },
        }
    }

    /// Whether there is more than one page.
    pub fn is_needed(&self) -> bool {
        !self.before.is_empty() || !self.next.is_empty()
    }
}
