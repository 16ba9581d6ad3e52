//! Which folders of a site Apache lists: Options merged over the sections that hold for a folder, from the outside in.

use std::collections::BTreeSet;

use super::hosts::VirtualHost;
use crate::facts::web::tree::Directive;
use crate::model::fact::Source;
use crate::model::pattern::matches;

/// Most folders looked at for one site.
const FOLDER_LIMIT: usize = 2_000;

/// A folder that is listed.
#[derive(Clone, Debug)]
pub struct Listed {
    /// Folder.
    pub path: String,
    /// Whether not everybody is let in.
    pub restricted: bool,
    /// The line that turns it on.
    pub source: Source,
}

/// Folders that the host lists, the outermost one of each branch.
pub fn listed(host: &VirtualHost<'_>, main: &[Directive], root: &str) -> Vec<Listed> {
    let mut out: Vec<Listed> = Vec::new();
    for folder in folders(host, main, root) {
        let Some(found) = effective(&folder, host, main) else { continue };
        let inside = out.iter().any(|l| l.restricted == found.restricted && is_below(&folder, &l.path));
        if !inside {
            out.push(found);
        }
    }
    out
}

/// Folders from which something is served, and those below them that a section speaks of; shorter ones first.
fn folders(host: &VirtualHost<'_>, main: &[Directive], root: &str) -> Vec<String> {
    let absolute = |path: &str| if path.starts_with('/') { clean(path) } else { clean(&format!("{root}/{path}")) };
    let document = host.nodes.iter().rfind(|n| n.name == "documentroot").or_else(|| main.iter().rfind(|n| n.name == "documentroot"));
    let mut served: BTreeSet<String> = document.map(|n| absolute(n.argument(0))).into_iter().collect();
    let aliases = main.iter().chain(if host.node.is_some() { host.nodes } else { &[] }).filter(|n| n.name == "alias");
    served.extend(aliases.map(|n| absolute(n.argument(1))).take(FOLDER_LIMIT));
    let sections = main.iter().chain(host.nodes).filter(|n| n.name == "directory").map(|n| clean(n.argument(0)));
    let below: Vec<String> = sections.filter(|s| served.iter().any(|f| is_below(s, f))).take(FOLDER_LIMIT).collect();
    served.extend(below);
    let mut out: Vec<String> = served.into_iter().collect();
    out.sort_by_key(|p| (p.len(), p.clone()));
    out
}

fn clean(path: &str) -> String {
    let trimmed = path.trim_end_matches('/');
    if trimmed.is_empty() { "/".into() } else { trimmed.into() }
}

fn is_below(path: &str, folder: &str) -> bool {
    folder == "/" || path == folder || path.strip_prefix(folder).is_some_and(|rest| rest.starts_with('/'))
}

/// The state of a folder after every section that holds for it; `None` when it is not listed.
fn effective(folder: &str, host: &VirtualHost<'_>, main: &[Directive]) -> Option<Listed> {
    let applies = |n: &&Directive| n.name == "directory" && n.argument(0) != "~" && is_section_of(n.argument(0), folder);
    // Shorter paths first, then file order; those of the virtual host after those of the main server of the same length.
    let own: &[Directive] = if host.node.is_some() { host.nodes } else { &[] };
    let mut sections: Vec<&Directive> = main.iter().filter(applies).collect();
    let inner: Vec<&Directive> = own.iter().filter(applies).collect();
    sections.sort_by_key(|n| clean(n.argument(0)).matches('/').count());
    let mut own_sections = inner;
    own_sections.sort_by_key(|n| clean(n.argument(0)).matches('/').count());
    let whole = |nodes: &[Directive]| nodes.iter().filter(|n| n.name == "options").cloned().collect::<Vec<_>>();
    let (mut indexes, mut restricted) = (None::<Source>, false);
    for node in whole(main).iter().chain(whole(own).iter()) {
        options(node, &mut indexes);
    }
    let places = own.iter().chain(main).filter(|n| n.name == "location" && matches!(n.argument(0), "/" | ""));
    for section in sections.into_iter().chain(own_sections).chain(places) {
        for node in section.inner() {
            options(node, &mut indexes);
        }
        if let Some(closed) = access(section.inner()) {
            restricted = closed;
        }
    }
    indexes.map(|source| Listed { path: folder.into(), restricted, source })
}

/// Whether a section's path, which may hold wildcards, is the folder or one around it.
fn is_section_of(section: &str, folder: &str) -> bool {
    let section = clean(section);
    if !section.contains(['*', '?', '[']) {
        return is_below(folder, &section);
    }
    let depth = section.matches('/').count();
    let head: String = folder.split('/').take(depth + 1).collect::<Vec<_>>().join("/");
    matches(&section, &head)
}

/// `Options` without signs replaces what holds; with signs it is laid over it. `All` holds everything but MultiViews.
fn options(node: &Directive, indexes: &mut Option<Source>) {
    if node.name != "options" {
        return;
    }
    if node.arguments.iter().any(|a| !a.starts_with(['+', '-'])) {
        *indexes = None;
    }
    for word in &node.arguments {
        let (sign, name) = match word.chars().next() {
            Some('-') => ('-', word.get(1..).unwrap_or("")),
            Some('+') => ('+', word.get(1..).unwrap_or("")),
            _ => ('+', word.as_str()),
        };
        if name.eq_ignore_ascii_case("indexes") || name.eq_ignore_ascii_case("all") {
            *indexes = if sign == '-' { None } else { Some(node.source()) };
        }
    }
}

/// Whether `Require` of a section keeps somebody out; `None` when it says nothing.
fn access(nodes: &[Directive]) -> Option<bool> {
    let requires: Vec<String> = nodes
        .iter()
        .flat_map(|n| if n.name.starts_with("require") && n.block.is_some() { n.inner().iter().collect::<Vec<_>>() } else { vec![n] })
        .filter(|n| n.name == "require")
        .map(|n| n.arguments.join(" ").to_ascii_lowercase())
        .collect();
    if requires.is_empty() {
        // The words of Apache 2.2 that mod_access_compat still knows.
        let deny = nodes.iter().any(|n| n.name == "deny" && n.arguments.join(" ").eq_ignore_ascii_case("from all"));
        let allow = nodes.iter().any(|n| n.name == "allow" && n.arguments.join(" ").eq_ignore_ascii_case("from all"));
        return if allow { Some(false) } else { deny.then_some(true) };
    }
    Some(!requires.iter().any(|r| r == "all granted"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facts::web::apache::hosts;
    use crate::facts::web::apache::read::{self, Start};
    use crate::facts::web::collect::Collector;
    use crate::host::testing::rooted;
    use crate::model::gap::Gaps;

    #[test]
    fn options_are_merged_from_the_outside_in() {
        let text = "<Directory />\nOptions FollowSymLinks\nRequire all denied\n</Directory>\n<Directory /var/www/>\nOptions Indexes FollowSymLinks\nRequire all granted\n</Directory>\n\
            DocumentRoot /var/www/html\n<Directory /var/www/sound>\nOptions -Indexes\n</Directory>\n\
            <VirtualHost *:80>\nDocumentRoot /var/www/sound\nAlias /files /srv/files\n<Directory /srv/files>\nOptions +Indexes\nRequire ip 10.0.0.0/8\n</Directory>\n</VirtualHost>\n\
            <VirtualHost *:81>\nDocumentRoot /srv/none\n</VirtualHost>\n<VirtualHost *:82>\nDocumentRoot /var/www/a/b\n<Directory /var/www/*/b>\nOptions None\n</Directory>\n</VirtualHost>\n";
        let (_root, host) = rooted(&[("/e/m", text)]);
        let mut gaps = Gaps::new();
        let files = read::read(&mut Collector::new(&host, "web", &mut gaps), &Start { main: "/e/m".into(), root: "/e".into(), ..Start::default() });
        let of = |index: usize| {
            let hosts = hosts::virtual_hosts(&files.nodes);
            listed(&hosts[index], &files.nodes, "/e").into_iter().map(|l| format!("{} {} {}", l.path, l.restricted, l.source.line)).collect::<Vec<_>>()
        };
        assert_eq!(of(0), ["/srv/files true 17"]);
        assert!(of(1).is_empty() && of(2).is_empty());
        assert_eq!(of(3), ["/var/www/html false 6"]);
    }
}
