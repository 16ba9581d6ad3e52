//! `/etc/apk/repositories`.

use crate::host::offers::{self, Repository};
use crate::host::{CONFIG_LIMIT, FileKind, Host, ReadError};
use crate::model::fact::Source;

/// The file; `/etc/apk/repositories.d` holds more `.list` files.
pub const PLACE: &str = "/etc/apk/repositories";
const FOLDERS: &[&str] = &["/etc/apk/repositories.d", "/lib/apk/repositories.d", "/usr/lib/apk/repositories.d"];
const KEYS: &[&str] = &["/etc/apk/keys", "/usr/share/apk/keys"];

/// One repository.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Configured {
    /// The neutral form.
    pub shown: Repository,
    /// Address as it stands: the name of its index is made of it.
    pub url: String,
    /// Tag; packages are taken from a tagged repository only when asked for with it.
    pub tag: String,
}

/// Everything configured.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Repositories {
    /// Repositories in file order.
    pub items: Vec<Configured>,
    /// Lines that are not understood.
    pub unsupported: Vec<String>,
}

/// Reads the files.
pub fn read(host: &Host) -> Result<Repositories, ReadError> {
    let mut places = vec![PLACE.to_string()];
    for folder in FOLDERS {
        match host.list(folder) {
            Ok(entries) => {
                places.extend(entries.into_iter().filter(|e| e.kind != FileKind::Folder && e.name.ends_with(".list")).map(|e| format!("{folder}/{}", e.name)));
            }
            Err(e) if e.is_not_found() => {}
            Err(e) => return Err(e),
        }
    }
    let keys = keys(host)?;
    let mut out = Repositories::default();
    for place in places {
        let text = match host.read_text(&place, CONFIG_LIMIT) {
            Ok(text) => text,
            Err(e) if e.is_not_found() => continue,
            Err(e) => return Err(e),
        };
        for (i, line) in text.lines().enumerate() {
            one_line(&place, i + 1, line.trim(), &keys, &mut out);
        }
    }
    Ok(out)
}

fn one_line(place: &str, number: usize, line: &str, keys: &[String], out: &mut Repositories) {
    if line.is_empty() || line.starts_with('#') {
        return;
    }
    let (tag, rest) = match line.strip_prefix('@') {
        Some(tagged) => tagged.split_once(char::is_whitespace).map_or((tagged, ""), |(tag, rest)| (tag, rest.trim())),
        None => ("", line),
    };
    let mut words = rest.split_whitespace();
    let (Some(url), None) = (words.next(), words.next()) else {
        out.unsupported.push(format!("{place}:{number}: this form of a repository is not read"));
        return;
    };
    if out.items.iter().any(|i| i.url == url && i.tag == tag) {
        return;
    }
    let shown = Repository {
        subject: if tag.is_empty() { offers::shown(url) } else { format!("@{tag} {}", offers::shown(url)) },
        kind: "apk",
        url: offers::shown(url),
        enabled: true,
        // apk refuses an index or package without a trusted signature; no file can switch that off.
        signed: "yes",
        trusted_without_signature: false,
        third_party: offers::third_party(url),
        transport: offers::transport(url),
        key_files: keys.to_vec(),
        source: Source::line(place, number, "repository"),
    };
    out.items.push(Configured { shown, url: url.trim_end_matches('/').into(), tag: tag.into() });
}

fn keys(host: &Host) -> Result<Vec<String>, ReadError> {
    let mut out = Vec::new();
    for folder in KEYS {
        match host.list(folder) {
            Ok(entries) => out.extend(entries.into_iter().filter(|e| e.kind != FileKind::Folder).map(|e| format!("{folder}/{}", e.name))),
            Err(e) if e.is_not_found() => {}
            Err(e) => return Err(e),
        }
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_tags_and_repeated_lines() {
        let root = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(root.path().join("etc/apk/keys")).unwrap();
        std::fs::write(root.path().join("etc/apk/keys/a.rsa.pub"), "").unwrap();
        let text = "https://dl-cdn.alpinelinux.org/alpine/v3.20/main\n#http://x/edge\n\n@edge http://u:p@x.example/edge/\nhttps://dl-cdn.alpinelinux.org/alpine/v3.20/main\n\
                    v3 http://y main\n/srv/local\n";
        std::fs::write(root.path().join("etc/apk/repositories"), text).unwrap();
        let read = read(&Host::rooted(root.path()).unwrap()).unwrap();
        let shown: Vec<String> =
            read.items.iter().map(|i| format!("{} {} {:?} {}", i.shown.subject, i.shown.transport, i.shown.third_party, i.shown.source.line)).collect();
        assert_eq!(
            shown,
            ["https://dl-cdn.alpinelinux.org/alpine/v3.20/main https Some(false) 1", "@edge http://x.example/edge http None 4", "/srv/local file None 7"]
        );
        assert_eq!(read.items[0].shown.key_files, ["/etc/apk/keys/a.rsa.pub"]);
        assert_eq!(read.unsupported, ["/etc/apk/repositories:6: this form of a repository is not read"]);
    }
}
