//! TLS of a server of nginx: versions, ciphers, certificates, as they take effect on a socket.

use super::scope::Scope;
use crate::model::configured::ConfiguredEndpoint;
use crate::model::fact::Source;

/// Release as numbers.
pub type Version = (u32, u32, u32);

/// Release from which a server that is chosen by name decides the versions itself (its callback runs before they are agreed on);
/// before, the default server of the socket does.
const DECIDES_BY_NAME: Version = (1, 29, 2);

/// Words of `ssl_protocols` and our names, oldest first.
const PROTOCOLS: [(&str, &str); 6] =
    [("SSLv2", "SSLv2"), ("SSLv3", "SSLv3"), ("TLSv1", "TLSv1.0"), ("TLSv1.1", "TLSv1.1"), ("TLSv1.2", "TLSv1.2"), ("TLSv1.3", "TLSv1.3")];

/// Versions and where they were decided; `None` when nothing is written and the release is not known.
pub type Decided = (Option<Vec<String>>, Source);

/// What one server says.
pub fn versions(scope: &Scope<'_>, release: Option<Version>) -> Decided {
    let written = scope.nearest("ssl_protocols");
    let Some(last) = written.last() else {
        return (release.map(|r| defaults(r).iter().map(|v| (*v).to_string()).collect()), Source::default());
    };
    // More than one line of a level adds up: the words set bits.
    let words: Vec<&str> = written.iter().flat_map(|d| d.arguments.iter().map(String::as_str)).collect();
    let chosen = PROTOCOLS.iter().filter(|(word, _)| words.contains(word)).map(|(_, name)| (*name).to_string()).collect();
    (Some(chosen), last.source())
}

/// Versions without `ssl_protocols`, by release.
fn defaults(release: Version) -> &'static [&'static str] {
    match release {
        r if r >= (1, 27, 3) => &["TLSv1.2", "TLSv1.3"],
        r if r >= (1, 23, 4) => &["TLSv1.0", "TLSv1.1", "TLSv1.2", "TLSv1.3"],
        r if r >= (1, 9, 1) => &["TLSv1.0", "TLSv1.1", "TLSv1.2"],
        _ => &["SSLv3", "TLSv1.0", "TLSv1.1", "TLSv1.2"],
    }
}

/// Whose versions hold: the server's own, or those of the default server of its socket; `None` when that depends on a release that is not known.
pub fn effective(own: Decided, default: Decided, release: Option<Version>) -> Option<Decided> {
    match release {
        Some(release) if release >= DECIDES_BY_NAME => Some(own),
        Some(_) => Some(default),
        None if own.0 == default.0 => Some(own),
        None => None,
    }
}

/// Ciphers, certificates and keys of a server, laid into an endpoint; whether a path holds a variable.
pub fn fill(endpoint: &mut ConfiguredEndpoint, scope: &Scope<'_>, folder: &str) -> bool {
    endpoint.ciphers = scope.last("ssl_ciphers").map(|d| d.argument(0).to_string()).unwrap_or_default();
    let mut variable = false;
    for (name, out) in [("ssl_certificate", &mut endpoint.certificates), ("ssl_certificate_key", &mut endpoint.keys)] {
        for directive in scope.nearest(name) {
            let path = directive.argument(0);
            if path.contains('$') {
                variable = true;
            } else if let Some(path) = file(path, folder) {
                out.push(path);
            }
        }
    }
    variable
}

/// A file; keys of engines and stores, and data in place, are none.
fn file(path: &str, folder: &str) -> Option<String> {
    if ["engine:", "store:", "data:"].iter().any(|p| path.starts_with(p)) || path.is_empty() {
        return None;
    }
    Some(if path.starts_with('/') { path.to_string() } else { format!("{folder}/{path}") })
}

/// `1.22.1` of a text such as `nginx/1.22.1`.
pub fn release(text: &str) -> Option<Version> {
    let mut numbers = text.split(['.', '-', '+', '~']).map(|n| n.parse::<u32>().ok());
    Some((numbers.next()??, numbers.next()??, numbers.next().flatten().unwrap_or(0)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facts::web::tree::Directive;

    #[test]
    fn defaults_follow_the_release_and_the_nearest_level_decides() {
        let line =
            |words: &[&str]| Directive { name: "ssl_protocols".into(), arguments: words.iter().map(|w| (*w).to_string()).collect(), ..Directive::default() };
        let http = [line(&["TLSv1.2", "TLSv1.3"])];
        let server = [line(&["TLSv1"]), line(&["TLSv1.1"])];
        let of = |scope: &Scope<'_>, release| versions(scope, release).0.map(|v| v.join(" "));
        let outer = Scope::default().within(&http);
        assert_eq!(of(&outer.within(&[]), None).as_deref(), Some("TLSv1.2 TLSv1.3"));
        assert_eq!(of(&outer.within(&server), None).as_deref(), Some("TLSv1.0 TLSv1.1"));
        for (release, expected) in [("1.22.1", 3), ("1.23.4", 4), ("1.27.2", 4), ("1.27.3", 2), ("1.9.0", 4)] {
            assert_eq!(versions(&Scope::default(), super::release(release)).0.unwrap().len(), expected, "{release}");
        }
        assert_eq!(of(&Scope::default(), None), None);
        let own = (Some(vec!["TLSv1.3".to_string()]), Source::default());
        let default = (Some(vec!["TLSv1.2".to_string()]), Source::default());
        assert_eq!(effective(own.clone(), default.clone(), Some((1, 22, 1))), Some(default.clone()));
        assert_eq!(effective(own.clone(), default.clone(), Some((1, 29, 2))), Some(own.clone()));
        assert_eq!(effective(own, default, None), None);
    }
}
