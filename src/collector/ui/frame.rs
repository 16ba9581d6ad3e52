//! The frame around each page, and what a request says about it: who, as of when, where.

use std::sync::Arc;

use askama::Template;
use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, header};
use axum::response::Html;

use super::error::PageError;
use super::site::Site;
use super::text::encode;
use super::when::{DAY, When, day, iso_day, parse_day};
use crate::collector::auth::{Role, Session};
use crate::collector::findings::Counted;
use crate::host::clock;
use crate::model::finding::Verdict;

/// Most failures that the navigation shows; more are `999+`.
const MAX_COUNTED: u64 = 999;
/// Longest query string that is read, bytes.
const MAX_QUERY_BYTES: usize = 4_096;

/// A place in the navigation.
#[derive(Clone, Copy, Debug)]
pub struct Place {
    /// What a page of it calls itself in [`Visit::frame`].
    pub here: &'static str,
    /// Where it is.
    pub path: &'static str,
    /// What people read.
    pub name: &'static str,
    /// `g` and this key lead there.
    pub key: char,
}

/// The navigation, in its order.
pub const PLACES: &[Place] = &[
    Place { here: "overview", path: "/", name: "Overview", key: 'o' },
    Place { here: "findings", path: "/findings", name: "Findings", key: 'f' },
    Place { here: "waivers", path: "/waivers", name: "Waivers", key: 'w' },
    Place { here: "hosts", path: "/hosts", name: "Hosts", key: 'h' },
    Place { here: "people", path: "/people", name: "People", key: 'p' },
    Place { here: "vulnerabilities", path: "/vulnerabilities", name: "Vulnerabilities", key: 'v' },
    Place { here: "certificates", path: "/certificates", name: "Certificates", key: 'c' },
    Place { here: "lists", path: "/lists", name: "Lists", key: 'l' },
    Place { here: "commitments", path: "/commitments", name: "Commitments", key: 'm' },
    Place { here: "evidence", path: "/evidence", name: "Evidence", key: 'e' },
    Place { here: "registers", path: "/registers", name: "Registers", key: 'r' },
];

/// A page that was made.
pub type Page = Result<Html<String>, PageError>;

/// A signed-in request.
#[derive(Clone, Debug)]
pub struct Visit {
    /// Who asks.
    pub session: Session,
    /// Unix seconds.
    pub now: i64,
    /// Last second of the day asked for; `None`: now.
    pub as_of: Option<i64>,
    /// Path asked for.
    pub path: String,
    /// Query as decoded pairs, `as_of` left out.
    pub query: Vec<(String, String)>,
}

impl FromRequestParts<Arc<Site>> for Visit {
    type Rejection = PageError;

    async fn from_request_parts(parts: &mut Parts, site: &Arc<Site>) -> Result<Self, PageError> {
        let now = clock::unix_now();
        let target = parts.uri.path_and_query().map_or("/", |p| p.as_str());
        let next = if parts.method == axum::http::Method::GET { target } else { "/" };
        let sign_in = || PageError::SignIn(next.to_string());
        let cookie = cookie_of(&parts.headers, site.cookie_name()).ok_or_else(sign_in)?;
        let session = site.gate.session(site.store(), &cookie, now).await?.ok_or_else(sign_in)?;
        let (mut as_of, mut query) = (None, Vec::new());
        for (name, value) in pairs(parts.uri.query().unwrap_or_default())? {
            match name.as_str() {
                "as_of" => as_of = day_end(&value, now)?,
                _ => query.push((name, value)),
            }
        }
        Ok(Self { session, now, as_of, path: parts.uri.path().to_string(), query })
    }
}

impl Visit {
    /// The moment that the page shows, Unix seconds.
    pub fn at(&self) -> i64 {
        self.as_of.unwrap_or(self.now)
    }

    /// A time as seen from the moment shown.
    pub fn when(&self, at: i64) -> When {
        When::new(at, self.at())
    }

    /// The first value of a query parameter; empty when it is not given.
    pub fn parameter(&self, name: &str) -> &str {
        self.query.iter().find(|(n, _)| n == name).map_or("", |(_, v)| v.as_str())
    }

    /// The frame of a page.
    pub async fn frame(&self, site: &Site, here: &'static str, title: impl Into<String>) -> Result<Frame, PageError> {
        let failing = Counted::read(site.store(), self.at(), self.as_of).await?.tallies.any(Verdict::Fail).findings;
        let hosts = site.store().host_count(self.as_of).await?;
        Ok(Frame {
            title: title.into(),
            here,
            user: self.session.user.name.clone(),
            role: self.session.role,
            form_token: self.session.form_token.clone(),
            as_of: self.as_of.map(|at| AsOf { day: iso_day(at), text: day(at) }),
            today: iso_day(self.now),
            made: When::new(self.now, self.now),
            failing: if failing <= MAX_COUNTED { failing.to_string() } else { "999+".into() },
            hosts,
            search: if here == "findings" { self.parameter("q").to_string() } else { String::new() },
            path: self.path.clone(),
            query: self.query.clone(),
        })
    }
}

/// The day that a page shows.
#[derive(Clone, Debug)]
pub struct AsOf {
    /// `2026-11-22`.
    pub day: String,
    /// `22 Nov 2026`.
    pub text: String,
}

/// What `frame.html` draws.
#[derive(Clone, Debug)]
pub struct Frame {
    /// Title of the document.
    pub title: String,
    /// Which entry of the navigation is current.
    pub here: &'static str,
    /// Who is signed in.
    pub user: String,
    /// As what.
    pub role: Role,
    /// For forms that change something.
    pub form_token: String,
    /// A past day, if one is shown.
    pub as_of: Option<AsOf>,
    /// The latest day that can be picked.
    pub today: String,
    /// When the page was made; printed.
    pub made: When,
    /// Failures, for the navigation.
    pub failing: String,
    /// Hosts, for the navigation.
    pub hosts: u64,
    /// Text in the search box.
    pub search: String,
    /// Path of this page.
    pub path: String,
    /// Its query without `as_of`.
    pub query: Vec<(String, String)>,
}

impl Frame {
    /// The navigation.
    pub const fn places(&self) -> &'static [Place] {
        PLACES
    }

    /// `target` on the same day.
    pub fn to(&self, target: impl AsRef<str>) -> String {
        let target = target.as_ref();
        let Some(as_of) = &self.as_of else { return target.to_string() };
        let joint = if target.contains('?') { '&' } else { '?' };
        format!("{target}{joint}as_of={}", as_of.day)
    }

    /// `target` with a fragment, on the same day.
    pub fn to_part(&self, target: &str) -> String {
        match target.split_once('#') {
            Some((page, part)) => format!("{}#{part}", self.to(page)),
            None => self.to(target),
        }
    }

    /// This page now instead of on a past day.
    pub fn present(&self) -> String {
        let query: Vec<String> = self.query.iter().map(|(n, v)| format!("{}={}", encode(n), encode(v))).collect();
        if query.is_empty() { self.path.clone() } else { format!("{}?{}", self.path, query.join("&")) }
    }
}

/// Renders a page.
pub fn render(page: &impl Template) -> Page {
    Ok(Html(page.render()?))
}

/// The value of a cookie (RFC 6265 section 4.2).
pub fn cookie_of(headers: &HeaderMap, name: &str) -> Option<String> {
    let all = headers.get_all(header::COOKIE).iter().filter_map(|v| v.to_str().ok());
    let mut cookies = all.flat_map(|v| v.split(';')).filter_map(|pair| pair.trim().split_once('='));
    cookies.find(|(n, _)| *n == name).map(|(_, value)| value.to_string())
}

/// Decodes a query string (application/x-www-form-urlencoded).
fn pairs(query: &str) -> Result<Vec<(String, String)>, PageError> {
    if query.len() > MAX_QUERY_BYTES {
        return Err(PageError::Bad(format!("The address is longer than {MAX_QUERY_BYTES} bytes.")));
    }
    let uri = format!("/?{query}").parse().map_err(|_| PageError::Bad("The address can't be read.".into()))?;
    let pairs = axum::extract::Query::<Vec<(String, String)>>::try_from_uri(&uri).map_err(|_| PageError::Bad("The address can't be read.".into()))?;
    Ok(pairs.0)
}

/// The last second of the day `YYYY-MM-DD`; `None` for today or an empty text.
fn day_end(text: &str, now: i64) -> Result<Option<i64>, PageError> {
    if text.is_empty() {
        return Ok(None);
    }
    let start = parse_day(text).ok_or_else(|| PageError::Bad(format!("“{}” is not a day; write as_of=YYYY-MM-DD.", super::text::shown(text))))?;
    if start > now {
        return Err(PageError::Bad(format!("{text} has not come yet; pick today or a day before it.")));
    }
    let end = start + DAY - 1;
    Ok((end < now).then_some(end))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_is_seen_from_its_end_and_the_future_is_refused() {
        let now = parse_day("2026-11-22").unwrap() + 33_000;
        assert_eq!(day_end("2026-11-20", now).unwrap(), parse_day("2026-11-21").map(|d| d - 1));
        assert_eq!(day_end("2026-11-22", now).unwrap(), None);
        assert!(day_end("2026-11-23", now).is_err());
        assert!(day_end("yesterday", now).is_err());
    }

    #[test]
    fn a_cookie_is_found_by_its_whole_name() {
        let mut headers = HeaderMap::new();
        headers.insert(header::COOKIE, "xassay=1; assay=abc.12; other=2".parse().unwrap());
        assert_eq!(cookie_of(&headers, "assay"), Some("abc.12".into()));
        assert_eq!(cookie_of(&headers, "__Host-assay"), None);
    }
}
