//! etcd over HTTP: `GET /version` names it, and a read of one key that nobody has tells whether
//! strangers may read.

use super::http::{Answer, Web, of_answer};
use super::{NONE, Protocol, REQUIRED, Seen};
use crate::probe::dial::Stop;
use crate::probe::reader::banner;

/// etcd.
pub const PROTOCOL: Protocol =
    Protocol { name: "etcd", ports: PORTS, processes: &["etcd"], over_http: Some(|web, answer| Box::pin(look(web, answer))), ..Protocol::NONE };

/// Of clients, now and before 2014.
const PORTS: &[u16] = &[2379, 4001];
/// Range request for the key `\0assay` (version 3, its JSON gateway), at most one, names only.
const RANGE: &[u8] = br#"{"key":"AGFzc2F5","limit":"1","keys_only":true}"#;
/// The same read in version 2.
const KEY: &str = "/v2/keys/assay-no-such-key";

async fn look(web: &Web<'_>, answer: &Answer) -> Option<Seen> {
    if !is_go(answer) && !PORTS.contains(&web.dialer.address.port()) {
        return None;
    }
    let version = web.get("/version").await.ok()?.json()?;
    let server = version["etcdserver"].as_str()?;
    let mut seen = of_answer("etcd", answer);
    seen.banner = banner(format!("etcd {server}").as_bytes());
    match read(web).await {
        Ok(Some(true)) => {
            seen.authentication = NONE;
            seen.opens("commands");
            seen.exchange = "GET /version answered, a read without a name answered".into();
        }
        Ok(Some(false)) => {
            seen.authentication = REQUIRED;
            seen.exchange = "GET /version answered, a read without a name refused".into();
        }
        Ok(None) => unanswered(&mut seen, "answered in an unknown way"),
        Err(stop) => unanswered(&mut seen, &stop.to_string()),
    }
    Some(seen)
}

fn unanswered(seen: &mut Seen, reason: &str) {
    for field in ["authentication", "open"] {
        seen.left_open(field, format!("a read without a name: {reason}"));
    }
}

/// What Go's standard library says of a path that nobody serves; etcd and kubelet serve none at `/`.
pub(super) fn is_go(answer: &Answer) -> bool {
    answer.status == 404 && answer.text() == "404 page not found"
}

/// Whether a stranger may read.
async fn read(web: &Web<'_>) -> Result<Option<bool>, Stop> {
    // The gateway's path changed with versions 3.3 and 3.4.
    for path in ["/v3/kv/range", "/v3beta/kv/range"] {
        let answer = web.post(path, "application/json", RANGE).await?;
        if answer.status != 404 {
            return Ok(allowed(&answer));
        }
    }
    let answer = web.get(KEY).await?;
    Ok(match answer.status {
        404 if answer.json().is_some_and(|j| j["errorCode"] == 100) => Some(true),
        _ => allowed(&answer),
    })
}

fn allowed(answer: &Answer) -> Option<bool> {
    let json = answer.json().unwrap_or_default();
    let error = json["error"].as_str().or_else(|| json["message"].as_str()).unwrap_or_default().to_ascii_lowercase();
    match answer.status {
        200 if json["header"].is_object() => Some(true),
        401 | 403 => Some(false),
        // With authentication on, a request without a name is an invalid argument.
        400..=499 if ["user name is empty", "permission denied", "invalid auth token", "insufficient credentials"].iter().any(|w| error.contains(w)) => {
            Some(false)
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::http::answer::head;
    use super::*;

    #[test]
    fn reads_are_allowed_or_refused_or_neither() {
        let answer = |status: &str, body: &str| Answer { body: body.into(), ..head(format!("HTTP/1.1 {status}\r\n\r\n").as_bytes()) };
        assert_eq!(allowed(&answer("200 OK", r#"{"header":{"cluster_id":"1","revision":"1"}}"#)), Some(true));
        assert_eq!(allowed(&answer("400 Bad Request", r#"{"error":"etcdserver: user name is empty","code":3}"#)), Some(false));
        assert_eq!(allowed(&answer("401 Unauthorized", "")), Some(false));
        assert_eq!(allowed(&answer("200 OK", "hello")), None);
        assert_eq!(allowed(&answer("400 Bad Request", "{}")), None);
        assert!(is_go(&answer("404 Not Found", "404 page not found\n")));
    }
}
