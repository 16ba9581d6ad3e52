//! Elasticsearch over HTTP, and what it shares with OpenSearch: `GET /` names product and version,
//! `GET /_cluster/health` is the smallest read that needs a privilege where security is on.

use super::http::{Answer, Web, of_answer};
use super::{NONE, Protocol, REQUIRED, Seen, UNKNOWN};
use crate::probe::reader::banner;

/// Elasticsearch.
pub const PROTOCOL: Protocol =
    Protocol { name: "elasticsearch", ports: &[9200], over_http: Some(|web, answer| Box::pin(look(web, answer, "elasticsearch"))), ..Protocol::NONE };

/// Whether it is this product, and whether it answers strangers.
pub(super) async fn look(web: &Web<'_>, answer: &Answer, name: &'static str) -> Option<Seen> {
    let (product, version) = product(answer)?;
    if product != name {
        return None;
    }
    let mut seen = of_answer(name, answer);
    if !version.is_empty() {
        seen.banner = banner(format!("{product} {version}").as_bytes());
    }
    if answer.status == 200 {
        match web.get("/_cluster/health").await.map(|health| health.status) {
            Ok(200) => seen.opens("commands"),
            Ok(401 | 403) => seen.authentication = REQUIRED,
            Ok(status) => unanswered(&mut seen, &format!("answered {status}")),
            Err(stop) => unanswered(&mut seen, &stop.to_string()),
        }
        seen.exchange.push_str(if seen.authentication == NONE { ", GET /_cluster/health answered" } else { ", GET /_cluster/health not answered" });
    }
    Some(seen)
}

fn unanswered(seen: &mut Seen, reason: &str) {
    seen.authentication = UNKNOWN;
    for field in ["authentication", "open"] {
        seen.left_open(field, format!("GET /_cluster/health: {reason}"));
    }
}

/// Product and version.
fn product(answer: &Answer) -> Option<(&'static str, String)> {
    let realm = answer.field("www-authenticate").unwrap_or_default();
    let json = answer.json().unwrap_or_default();
    let version = json["version"]["number"].as_str().unwrap_or_default().to_string();
    if json["version"]["distribution"] == "opensearch" || realm.contains("OpenSearch Security") {
        return Some(("opensearch", version));
    }
    // The header comes with every answer since 7.14; the words are older than any version in use.
    let says_so = answer.field("x-elastic-product").is_some_and(|p| p.eq_ignore_ascii_case("elasticsearch"));
    let is_search = json["tagline"] == "You Know, for Search" && json["cluster_name"].is_string();
    let is_refusal = realm.contains("realm=\"security\"") && json["error"]["type"] == "security_exception";
    (says_so || is_search || is_refusal).then_some(("elasticsearch", version))
}

#[cfg(test)]
mod tests {
    use super::super::http::answer::head;
    use super::*;

    fn answer(head_: &[u8], body: &[u8]) -> Answer {
        Answer { body: body.to_vec(), ..head(head_) }
    }

    #[test]
    fn products_are_told_apart() {
        // Answers as the products' documentation prints them.
        let open =
            br#"{"name":"n","cluster_name":"c","cluster_uuid":"u","version":{"number":"7.10.2","lucene_version":"8.7.0"},"tagline":"You Know, for Search"}"#;
        let fork = br#"{"name":"n","cluster_name":"c","version":{"distribution":"opensearch","number":"2.11.0"},"tagline":"The OpenSearch Project: https://opensearch.org/"}"#;
        let denied = br#"{"error":{"root_cause":[],"type":"security_exception","reason":"missing authentication credentials"},"status":401}"#;
        let ok = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n\r\n";
        assert_eq!(product(&answer(ok, open)), Some(("elasticsearch", "7.10.2".into())));
        assert_eq!(product(&answer(ok, fork)), Some(("opensearch", "2.11.0".into())));
        let refusal = b"HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Basic realm=\"security\" charset=\"UTF-8\"\r\n\r\n";
        assert_eq!(product(&answer(refusal, denied)), Some(("elasticsearch", String::new())));
        assert_eq!(
            product(&answer(b"HTTP/1.1 401 U\r\nWWW-Authenticate: Basic realm=\"OpenSearch Security\"\r\n\r\n", b"Unauthorized")).unwrap().0,
            "opensearch"
        );
        assert_eq!(product(&answer(b"HTTP/1.1 401 U\r\nWWW-Authenticate: Basic realm=\"security\"\r\n\r\n", b"no")), None);
        assert_eq!(product(&answer(ok, b"{\"cluster_name\":\"c\"}")), None);
    }
}
