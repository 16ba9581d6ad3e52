//! What a virtual host of Apache does with a request without TLS, as far as its directives tell.

use crate::facts::web::nginx::Answer;
use crate::facts::web::tree::Directive;

/// The answer of a host; `names` are its own.
pub fn of_host(nodes: &[Directive], names: &[String]) -> Answer {
    let rewritten = rewrites(nodes, names);
    if matches!(rewritten, Some(Answer::Redirected | Answer::Refused)) {
        return rewritten.unwrap_or(Answer::Served);
    }
    if let Some(answer) = redirects(nodes) {
        // mod_proxy takes a request before mod_alias leads it away.
        let proxied = nodes.iter().any(|n| matches!(n.name.as_str(), "proxypass" | "proxypassmatch") && n.argument(0) == "/" && n.argument(1) != "!");
        return if proxied { Answer::Conditional } else { answer };
    }
    if rewritten == Some(Answer::Conditional) || nodes.iter().any(|n| n.name == "if" && redirects(n.inner()).is_some()) {
        return Answer::Conditional;
    }
    Answer::Served
}

fn is_https(target: &str) -> bool {
    target.get(..8).is_some_and(|t| t.eq_ignore_ascii_case("https://"))
}

/// `Redirect /` and `RedirectMatch` of everything, beside the section of everything, and a denial of everything.
fn redirects(nodes: &[Directive]) -> Option<Answer> {
    for node in nodes {
        match node.name.as_str() {
            "redirect" | "redirectpermanent" | "redirecttemp" | "redirectmatch" => {
                let (status, rest) = split_status(node);
                let whole = match (node.name.as_str(), rest) {
                    ("redirectmatch", [pattern, ..]) => is_everything(pattern),
                    (_, [target]) if target.contains("://") => true,
                    (_, [path, ..]) => path == "/",
                    _ => false,
                };
                if whole {
                    let target = rest.last().map_or("", String::as_str);
                    return Some(if is_https(target) && !matches!(status, "gone" | "410") {
                        Answer::Redirected
                    } else if matches!(status, "gone" | "410" | "403" | "404") {
                        Answer::Refused
                    } else {
                        Answer::Served
                    });
                }
            }
            "location" | "directory" if node.argument(0) == "/" => {
                let denied = node.inner().iter().any(|n| n.name == "require" && n.arguments.join(" ").eq_ignore_ascii_case("all denied"));
                let answer = redirects(node.inner()).or(if denied && node.name == "location" { Some(Answer::Refused) } else { None });
                if answer.is_some() {
                    return answer;
                }
            }
            _ => {}
        }
    }
    None
}

/// Status word and what follows it.
fn split_status(node: &Directive) -> (&str, &[String]) {
    match node.arguments.split_first() {
        Some((first, rest)) if first.parse::<u16>().is_ok() || ["permanent", "temp", "seeother", "gone"].iter().any(|w| first.eq_ignore_ascii_case(w)) => {
            (first.as_str(), rest)
        }
        _ => ("temp", node.arguments.as_slice()),
    }
}

/// Patterns that every path matches, but for challenges below `/.well-known`.
fn is_everything(pattern: &str) -> bool {
    matches!(pattern, "^" | ".*" | "^.*" | "^.*$" | "(.*)" | "^(.*)" | "^(.*)$" | "^/(.*)" | "^/(.*)$" | "^/?(.*)" | "^/?(.*)$" | "/" | "^/" | "^/.*" | "^/.*$")
        || (["^/(?!", "^(?!", "^/?(?!"].iter().any(|p| pattern.starts_with(p)) && pattern.contains("well-known"))
}

/// What the rules of mod_rewrite do; `None` when the engine is off or no rule touches everything.
fn rewrites(nodes: &[Directive], names: &[String]) -> Option<Answer> {
    let on = nodes.iter().rfind(|n| n.name == "rewriteengine").is_some_and(|n| n.argument(0).eq_ignore_ascii_case("on"));
    if !on {
        return None;
    }
    let mut conditions: Vec<&Directive> = Vec::new();
    let mut perhaps = None;
    for node in nodes {
        match node.name.as_str() {
            "rewritecond" => conditions.push(node),
            "rewriterule" => {
                let taken = std::mem::take(&mut conditions);
                if !is_everything(node.argument(0)) {
                    continue;
                }
                let flags = node.argument(2).trim_matches(['[', ']']).to_ascii_uppercase();
                let refuses = flags.split(',').any(|f| matches!(f.trim(), "F" | "G" | "FORBIDDEN" | "GONE"));
                let answer = if is_https(node.argument(1)) {
                    Answer::Redirected
                } else if refuses {
                    Answer::Refused
                } else {
                    continue;
                };
                if taken.iter().all(|c| is_harmless(c, names)) {
                    return Some(answer);
                }
                perhaps = Some(Answer::Conditional);
            }
            _ => {}
        }
    }
    perhaps
}

/// Conditions that hold for every request without TLS, but for challenges.
fn is_harmless(condition: &Directive, names: &[String]) -> bool {
    let (test, pattern) = (condition.argument(0).to_ascii_uppercase(), condition.argument(1));
    match test.as_str() {
        "%{HTTPS}" => matches!(pattern.to_ascii_lowercase().as_str(), "off" | "=off" | "!=on" | "!on" | "^off$" | "!^on$"),
        "%{SERVER_PORT}" => matches!(pattern, "80" | "=80" | "^80$" | "!443" | "!=443" | "!^443$"),
        "%{REQUEST_SCHEME}" => matches!(pattern, "http" | "=http" | "^http$" | "!https" | "!=https"),
        "%{REQUEST_URI}" => pattern.starts_with('!') && pattern.contains("well-known"),
        // One of several that are joined by OR and name each name of the site, as certbot writes them.
        "%{SERVER_NAME}" | "%{HTTP_HOST}" => {
            let name = pattern.trim_start_matches('=');
            let is_alternative = condition.argument(2).to_ascii_uppercase().contains("OR") || names.len() <= 1;
            names.iter().any(|n| n.eq_ignore_ascii_case(name)) && (is_alternative || names.last().is_some_and(|n| n.eq_ignore_ascii_case(name)))
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facts::web::apache::read::{self, Start};
    use crate::facts::web::collect::Collector;
    use crate::host::testing::rooted;
    use crate::model::gap::Gaps;

    fn answer(text: &str) -> &'static str {
        let (_root, host) = rooted(&[("/e/m", text)]);
        let mut gaps = Gaps::new();
        let start = Start { main: "/e/m".into(), root: "/e".into(), ..Start::default() };
        let files = read::read(&mut Collector::new(&host, "web", &mut gaps), &start);
        of_host(&files.nodes, &["a.example".into(), "www.a.example".into()]).word()
    }

    #[test]
    fn redirects_of_every_kind_and_what_looks_like_one() {
        for sound in [
            "Redirect permanent / https://a.example/",
            "Redirect / https://a.example/",
            "RedirectPermanent / https://a.example/",
            "RedirectMatch 301 ^/(?!\\.well-known/acme-challenge/).* https://a.example/",
            "RewriteEngine On\nRewriteCond %{HTTPS} off\nRewriteRule ^ https://%{HTTP_HOST}%{REQUEST_URI} [R=301,L]",
            "RewriteEngine on\nRewriteCond %{REQUEST_URI} !^/\\.well-known/\nRewriteRule ^(.*)$ https://a.example$1 [R=301]",
            "RewriteEngine on\nRewriteCond %{SERVER_NAME} =a.example [OR]\nRewriteCond %{SERVER_NAME} =www.a.example\nRewriteRule ^ https://%{SERVER_NAME}%{REQUEST_URI} [END,NE,R=permanent]",
            "<Location />\nRedirect 301 https://a.example/\n</Location>",
        ] {
            assert_eq!(answer(sound), "redirected", "{sound}");
        }
        for other in [
            ("DocumentRoot /srv", "served"),
            ("Redirect /old https://a.example/", "served"),
            ("Redirect / http://b.example/", "served"),
            ("RewriteCond %{HTTPS} off\nRewriteRule ^ https://a.example/ [R]", "served"),
            ("RewriteEngine On\nRewriteRule ^/x https://a.example/ [R]", "served"),
            ("RewriteEngine On\nRewriteCond %{HTTP_USER_AGENT} x\nRewriteRule ^ https://a.example/ [R]", "conditional"),
            ("RewriteEngine On\nRewriteCond %{SERVER_NAME} =a.example\nRewriteRule ^ https://a.example/ [R]", "conditional"),
            ("<If \"%{HTTPS} == 'off'\">\nRedirect / https://a.example/\n</If>", "conditional"),
            ("ProxyPass / http://127.0.0.1:1/\nRedirect / https://a.example/", "conditional"),
            ("Redirect 403 /", "refused"),
            ("<Location />\nRequire all denied\n</Location>", "refused"),
        ] {
            assert_eq!(answer(other.0), other.1, "{}", other.0);
        }
    }
}
