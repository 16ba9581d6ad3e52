//! The Docker Engine API over HTTP, also as Podman serves it: every answer bears the API's version.
//! `GET /version` answered means that whoever connects may do anything on that machine.

use super::http::{Answer, Web, of_answer};
use super::{NONE, Protocol, REQUIRED, Seen};
use crate::probe::reader::banner;

/// Docker Engine API.
pub const PROTOCOL: Protocol =
    Protocol { name: "docker", ports: &[2375, 2376], processes: &["dockerd"], over_http: Some(|web, answer| Box::pin(look(web, answer))), ..Protocol::NONE };

async fn look(web: &Web<'_>, answer: &Answer) -> Option<Seen> {
    let says_so = answer.field("server").is_some_and(|s| s.starts_with("Docker/") || s.starts_with("Libpod/"));
    let has_version = answer.field("api-version").is_some() && (answer.field("docker-experimental").is_some() || answer.field("ostype").is_some());
    // Dockerd itself says nothing more of a path that it does not serve.
    let knows_no_page = answer.status == 404 && answer.json().is_some_and(|j| j["message"] == "page not found");
    if !says_so && !has_version && !knows_no_page && answer.field("libpod-api-version").is_none() {
        return None;
    }
    let version = web.get("/version").await;
    if knows_no_page && !says_so && !version.as_ref().is_ok_and(|v| v.field("api-version").is_some()) {
        return None;
    }
    let mut seen = of_answer("docker", answer);
    match version {
        Ok(version) => match (version.status, version.json()) {
            (200, Some(json)) if json["ApiVersion"].is_string() => {
                seen.authentication = NONE;
                seen.opens("commands");
                seen.versions.extend(["MinAPIVersion", "ApiVersion"].iter().filter_map(|v| json[*v].as_str()).map(|v| banner(v.as_bytes())));
                seen.exchange = "GET /version answered".into();
                seen.banner = banner(
                    format!("Docker {} API {}", json["Version"].as_str().unwrap_or_default(), json["ApiVersion"].as_str().unwrap_or_default()).as_bytes(),
                );
            }
            (401 | 403, _) => {
                seen.authentication = REQUIRED;
                seen.exchange = format!("GET /version answered {}", version.status);
            }
            (status, _) => unanswered(&mut seen, &format!("answered {status}")),
        },
        Err(stop) => unanswered(&mut seen, &stop.to_string()),
    }
    Some(seen)
}

fn unanswered(seen: &mut Seen, reason: &str) {
    for field in ["authentication", "open"] {
        seen.left_open(field, format!("GET /version: {reason}"));
    }
}
