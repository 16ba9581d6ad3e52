//! What a server of nginx does with a request without TLS, as far as its directives tell.

use crate::facts::web::tree::Directive;

/// What becomes of requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Led to https, or refused.
    Redirected,
    /// Refused.
    Refused,
    /// Something is served.
    Served,
    /// A condition decides that is not evaluated here.
    Conditional,
}

impl Answer {
    /// Stable word.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Redirected => "redirected",
            Self::Refused => "refused",
            Self::Served => "served",
            Self::Conditional => "conditional",
        }
    }
}

/// Most locations looked at.
const LOCATION_LIMIT: usize = 10_000;

/// The answer of a server block.
pub fn of_server(server: &[Directive]) -> Answer {
    let (rewritten, perhaps) = rewrites(server);
    let rest = rewritten.unwrap_or_else(|| of_locations(server));
    match (rest, perhaps) {
        // Known names are led to https, everything else is refused.
        (Answer::Refused, true) => Answer::Redirected,
        (Answer::Served, true) => Answer::Conditional,
        (rest, _) => rest,
    }
}

/// What `return`, `rewrite` and `if` of one block decide in their order, and whether a condition may lead to https before.
fn rewrites(block: &[Directive]) -> (Option<Answer>, bool) {
    let mut perhaps = false;
    for directive in block {
        let decided = match directive.name.as_str() {
            "return" => Some(of_return(directive)),
            "rewrite" => of_rewrite(directive),
            "if" => {
                let inner = directive.inner().iter().find_map(|d| match d.name.as_str() {
                    "return" => Some(of_return(d)),
                    "rewrite" => of_rewrite(d),
                    _ => None,
                });
                match inner {
                    Some(answer) if is_plaintext_condition(&directive.arguments.join(" ")) => Some(answer),
                    Some(Answer::Redirected | Answer::Conditional) => {
                        perhaps = true;
                        None
                    }
                    _ => None,
                }
            }
            _ => None,
        };
        if decided.is_some() {
            return (decided, perhaps);
        }
    }
    (None, perhaps)
}

/// Conditions that hold for every request without TLS.
fn is_plaintext_condition(condition: &str) -> bool {
    let text: String = condition.chars().filter(|c| !matches!(c, '(' | ')' | '"' | '\'')).collect();
    let words: Vec<&str> = text.split_whitespace().collect();
    matches!(words.as_slice(), ["$scheme", "=" | "!=" | "~" | "~*", "http" | "https" | "^http$"] | ["$https", "=" | "!=", ..] | ["$server_port", "=", "80"])
        && !matches!(words.as_slice(), ["$scheme", "=" | "~" | "~*", "https"] | ["$scheme", "!=", "http"] | ["$https", "=", "on"])
}

fn of_return(directive: &Directive) -> Answer {
    let (code, target) = match directive.arguments.as_slice() {
        [only] if only.parse::<u16>().is_err() => (302, only.as_str()),
        [code, rest @ ..] => (code.parse().unwrap_or(0), rest.first().map_or("", String::as_str)),
        [] => return Answer::Conditional,
    };
    match code {
        301 | 302 | 303 | 307 | 308 => of_target(target),
        400..=599 => Answer::Refused,
        _ => Answer::Served,
    }
}

fn of_target(target: &str) -> Answer {
    if target.get(..8).is_some_and(|t| t.eq_ignore_ascii_case("https://")) {
        Answer::Redirected
    } else if target.starts_with('$') && !target.starts_with("$scheme") && !target.starts_with("$request_uri") && !target.starts_with("$uri") {
        Answer::Conditional
    } else {
        Answer::Served
    }
}

/// A rewrite that leads every request to https; others decide nothing here.
fn of_rewrite(directive: &Directive) -> Option<Answer> {
    let every = matches!(directive.argument(0), "^" | ".*" | "^.*" | "^.*$" | "(.*)" | "^(.*)" | "^(.*)$" | "^/(.*)" | "^/(.*)$" | "^/" | "/(.*)");
    (every && of_target(directive.argument(1)) == Answer::Redirected).then_some(Answer::Redirected)
}

fn of_locations(server: &[Directive]) -> Answer {
    let mut answers = Vec::new();
    let mut is_whole = false;
    for location in server.iter().filter(|d| d.name == "location").take(LOCATION_LIMIT) {
        let path = location.arguments.last().map_or("", String::as_str);
        let is_internal = path.starts_with('@') || location.inner().iter().any(|d| d.name == "internal");
        if is_internal || path.contains(".well-known") || path.contains("\\.well-known") {
            continue;
        }
        is_whole |= path == "/" && location.arguments.first().is_none_or(|a| a != "=");
        answers.push(of_location(location.inner()));
    }
    let every = |allowed: &[Answer]| answers.iter().all(|a| allowed.contains(a));
    if !is_whole && !denies_all(server) {
        return Answer::Served;
    }
    if every(&[Answer::Refused]) {
        return Answer::Refused;
    }
    if every(&[Answer::Refused, Answer::Redirected]) {
        return Answer::Redirected;
    }
    if answers.contains(&Answer::Served) { Answer::Served } else { Answer::Conditional }
}

fn of_location(block: &[Directive]) -> Answer {
    let (decided, perhaps) = rewrites(block);
    match (decided, perhaps) {
        (Some(Answer::Refused), true) => Answer::Redirected,
        (Some(answer), _) => answer,
        (None, true) => Answer::Conditional,
        (None, false) if denies_all(block) => Answer::Refused,
        (None, false) => Answer::Served,
    }
}

/// `deny all` as the first word about addresses.
pub fn denies_all(block: &[Directive]) -> bool {
    block.iter().find(|d| matches!(d.name.as_str(), "allow" | "deny")).is_some_and(|d| d.name == "deny" && d.argument(0) == "all")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facts::web::collect::Collector;
    use crate::facts::web::nginx::parse;
    use crate::host::testing::rooted;
    use crate::model::gap::Gaps;

    fn answer(text: &str) -> &'static str {
        let (_root, host) = rooted(&[("/n", text)]);
        let mut gaps = Gaps::new();
        let files = parse::read(&mut Collector::new(&host, "web", &mut gaps), "/n");
        of_server(&files.directives).word()
    }

    #[test]
    fn redirects_of_every_kind_and_what_looks_like_one() {
        for sound in [
            "return 301 https://$host$request_uri;",
            "return https://x/;",
            "rewrite ^(.*)$ https://$host$1 permanent;",
            "if ($scheme = http) { return 301 https://$host$request_uri; } location / { root /srv; }",
            "if ($https != 'on') { return 308 https://$host; }",
            "location /.well-known/acme-challenge/ { root /srv; } location / { return 301 https://$host$request_uri; }",
            "location ^~ /.well-known { } location / { return 302 HTTPS://a; } location = /x { deny all; }",
            "if ($host = a.example) { return 301 https://$host$request_uri; } return 404;",
        ] {
            assert_eq!(answer(sound), "redirected", "{sound}");
        }
        for refused in ["return 444;", "return 403;", "deny all;", "location / { deny all; }"] {
            assert_eq!(answer(refused), "refused", "{refused}");
        }
        for served in [
            "root /srv;",
            "return 200 ok;",
            "return 301 http://b/;",
            "return 301 $scheme://www.$host$request_uri;",
            "return 301 /b;",
            "location /a { return 301 https://$host; }",
            "location = / { return 301 https://$host; }",
            "location / { return 301 https://$host; } location /api { proxy_pass http://127.0.0.1; }",
            "if ($scheme = https) { return 301 https://x; } root /srv;",
            "rewrite ^/old https://x/ permanent;",
        ] {
            let got = answer(served);
            assert!(got == "served" || got == "conditional", "{served}: {got}");
        }
        assert_eq!(answer("if ($host = a) { return 301 https://a; } root /srv;"), "conditional");
        assert_eq!(answer("return 301 $target;"), "conditional");
    }
}
