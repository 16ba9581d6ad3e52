//! The kubelet's API over HTTP: `GET /pods` lists what runs on the node, secrets' names among it; the
//! same door runs commands in containers.

use super::http::{Answer, Web, of_answer};
use super::{NONE, Protocol, REQUIRED, Seen, etcd};

/// Kubelet.
pub const PROTOCOL: Protocol =
    Protocol { name: "kubelet", ports: PORTS, processes: &["kubelet"], over_http: Some(|web, answer| Box::pin(look(web, answer))), ..Protocol::NONE };

/// Inside TLS, and without and read-only.
const PORTS: &[u16] = &[10250, 10255];

async fn look(web: &Web<'_>, answer: &Answer) -> Option<Seen> {
    let is_likely = PORTS.contains(&web.dialer.address.port()) || web.dialer.process == "kubelet";
    // Where strangers are refused, they are refused at every path with one bare word.
    let refuses = answer.status == 401 && answer.text() == "Unauthorized" && answer.field("www-authenticate").is_none();
    if !etcd::is_go(answer) && !(is_likely && (refuses || answer.status == 403)) {
        return None;
    }
    let pods = web.get("/pods").await.ok()?;
    let mut seen = of_answer("kubelet", answer);
    match pods_of(&pods)? {
        Pods::Listed => {
            seen.authentication = NONE;
            seen.opens("commands");
        }
        Pods::Forbidden => seen.authentication = REQUIRED,
        Pods::Unauthorized if is_likely => seen.authentication = REQUIRED,
        Pods::Unauthorized => return None,
    }
    seen.banner = "kubelet".into();
    seen.exchange = format!("GET /pods answered {}", pods.status);
    Some(seen)
}

#[derive(Debug, PartialEq, Eq)]
enum Pods {
    Listed,
    /// The kubelet asked the cluster whether `system:anonymous` may.
    Forbidden,
    Unauthorized,
}

fn pods_of(answer: &Answer) -> Option<Pods> {
    let text = answer.text();
    match answer.status {
        // The list may be longer than what is read.
        200 if text.starts_with("{\"kind\":\"PodList\"") || answer.json().is_some_and(|j| j["kind"] == "PodList") => Some(Pods::Listed),
        403 if text.starts_with("Forbidden (user=") => Some(Pods::Forbidden),
        401 if text == "Unauthorized" => Some(Pods::Unauthorized),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::http::answer::head;
    use super::*;

    #[test]
    fn pods_are_listed_or_refused() {
        let answer = |status: &str, body: &str| Answer { body: body.into(), ..head(format!("HTTP/1.1 {status}\r\n\r\n").as_bytes()) };
        // Answers as the source of Kubernetes (pkg/kubelet/server) writes them.
        assert_eq!(pods_of(&answer("200 OK", "{\"kind\":\"PodList\",\"apiVersion\":\"v1\",\"metadata\":{},\"items\":[{")), Some(Pods::Listed));
        let forbidden = "Forbidden (user=system:anonymous, verb=get, resource=nodes, subresource=proxy)";
        assert_eq!(pods_of(&answer("403 Forbidden", forbidden)), Some(Pods::Forbidden));
        assert_eq!(pods_of(&answer("401 Unauthorized", "Unauthorized")), Some(Pods::Unauthorized));
        assert_eq!(pods_of(&answer("404 Not Found", "404 page not found")), None);
        assert_eq!(pods_of(&answer("200 OK", "{}")), None);
    }
}
