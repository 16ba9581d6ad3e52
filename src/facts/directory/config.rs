//! Both forms of slapd's configuration in one: names as slapd.conf(5) has them, without hyphens and
//! in lower case; `olcTLSCertificateFile` is `tlscertificatefile`.

use super::{Directory, ldif};
use crate::facts::Document as _;
use crate::host::{CONFIG_LIMIT, FileKind, Host};
use crate::model::fact::Source;
use crate::model::gap::{Gaps, reason};

/// Deepest chain of includes, most files, and most values.
const DEPTH_LIMIT: usize = 16;
const FILE_LIMIT: usize = 512;
const VALUE_LIMIT: usize = 50_000;
/// What is kept: nothing secret is among it.
const KEPT: [&str; 15] = [
    "access",
    "suffix",
    "security",
    "disallows",
    "requires",
    "passwordhash",
    "tlscertificatefile",
    "tlscertificatekeyfile",
    "tlscertificate",
    "tlsprotocolmin",
    "tlsciphersuite",
    "tlsverifyclient",
    "tlscacertificatefile",
    "localssf",
    "readonly",
];

/// One value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Value {
    /// Name, see the module.
    pub name: String,
    /// As written, an order such as `{0}` taken off.
    pub text: String,
    /// Where it stands.
    pub source: Source,
}

/// One database.
#[derive(Clone, Debug, Default)]
pub struct Database {
    /// `{1}mdb`, or its number and kind in a slapd.conf.
    pub label: String,
    /// Kind.
    pub kind: String,
    /// Its values in order.
    pub values: Vec<Value>,
    /// Where it begins.
    pub source: Source,
}

/// A configuration.
#[derive(Clone, Debug, Default)]
pub struct Config {
    /// Values that hold for the whole server.
    pub global: Vec<Value>,
    /// Databases in order, the frontend among them.
    pub databases: Vec<Database>,
}

impl Config {
    /// Values of the database that stands for all.
    pub fn frontend(&self) -> impl Iterator<Item = &Value> {
        self.databases.iter().filter(|d| d.kind == "frontend").flat_map(|d| d.values.iter())
    }
}

/// Reads a file or a folder; what can't be read is a gap of the server.
pub fn read(host: &Host, place: &str, subject: &str, gaps: &mut Gaps) -> Config {
    let mut reader = Reader { host, subject, gaps, out: Config::default(), files: 0, values: 0 };
    match host.stat(place) {
        Ok(stat) if stat.kind == FileKind::Folder => reader.folder(place),
        Ok(_) => reader.file(place, 0),
        Err(e) => reader.gaps.extend(["servers", "databases"].map(|path| e.to_gap(Directory::NAME, path, subject))),
    }
    reader.out
}

struct Reader<'a> {
    host: &'a Host,
    subject: &'a str,
    gaps: &'a mut Gaps,
    out: Config,
    files: usize,
    values: usize,
}

impl Reader<'_> {
    fn gap(&mut self, id: &str, detail: &str) {
        for path in ["servers", "databases"] {
            self.gaps.note(Directory::NAME, path, self.subject, id, detail, "");
        }
    }

    fn text(&mut self, path: &str) -> Option<String> {
        if self.files >= FILE_LIMIT {
            self.gap(reason::LIMIT_REACHED, &format!("{path}: more than {FILE_LIMIT} files"));
            return None;
        }
        self.files += 1;
        match self.host.read_text(path, CONFIG_LIMIT) {
            Ok(text) => Some(text),
            Err(e) => {
                self.gaps.extend(["servers", "databases"].map(|p| e.to_gap(Directory::NAME, p, self.subject)));
                None
            }
        }
    }

    /// cn=config as slapd keeps it: the entry itself, and one file for each database.
    fn folder(&mut self, folder: &str) {
        let main = format!("{folder}/cn=config.ldif");
        if let Some(text) = self.text(&main) {
            let values = self.entry(&text, &main);
            self.out.global = values;
        }
        let below = format!("{folder}/cn=config");
        let entries = match self.host.list(&below) {
            Ok(entries) => entries,
            Err(e) => return self.gaps.extend(["servers", "databases"].map(|p| e.to_gap(Directory::NAME, p, self.subject))),
        };
        let mut found: Vec<(i64, String)> = Vec::new();
        for entry in entries {
            if let Some(label) = entry.name.strip_prefix("olcDatabase=").and_then(|n| n.strip_suffix(".ldif")) {
                found.push((order(label).0.unwrap_or(0), label.to_string()));
            }
        }
        found.sort();
        for (_, label) in found {
            let path = format!("{below}/olcDatabase={label}.ldif");
            let Some(text) = self.text(&path) else { continue };
            let values = self.entry(&text, &path);
            let kind = order(&label).1.to_ascii_lowercase();
            self.out.databases.push(Database { kind, values, source: Source::whole(path), label });
        }
    }

    fn entry(&mut self, text: &str, path: &str) -> Vec<Value> {
        let mut out: Vec<(i64, Value)> = Vec::new();
        for (attribute, value, line) in ldif::values(text) {
            let Some(name) = attribute.strip_prefix("olc").filter(|n| KEPT.contains(n)) else { continue };
            let (number, text) = order(&value);
            // Values without an order keep their place.
            let number = number.unwrap_or_else(|| i64::try_from(out.len()).unwrap_or(i64::MAX));
            out.push((number, Value { name: name.into(), text: text.into(), source: Source::line(path, line, format!("olc{name}")) }));
        }
        out.sort_by_key(|(number, _)| *number);
        out.into_iter().map(|(_, v)| v).collect()
    }

    /// slapd.conf(5).
    fn file(&mut self, path: &str, depth: usize) {
        if depth > DEPTH_LIMIT {
            return self.gap(reason::LIMIT_REACHED, &format!("{path}: more than {DEPTH_LIMIT} levels of includes"));
        }
        let Some(text) = self.text(path) else { return };
        for (line, text) in lines(&text) {
            if self.values >= VALUE_LIMIT {
                return self.gap(reason::LIMIT_REACHED, &format!("{path}:{line}: more than {VALUE_LIMIT} directives"));
            }
            self.values += 1;
            let (keyword, rest) = text.split_once(char::is_whitespace).unwrap_or((&text, ""));
            let (keyword, rest) = (keyword.to_ascii_lowercase(), rest.trim());
            let source = Source::line(path, line, keyword.clone());
            let name = match keyword.as_str() {
                "include" => {
                    self.file(&unquoted(rest), depth + 1);
                    continue;
                }
                "database" => {
                    let kind = unquoted(rest).to_ascii_lowercase();
                    let kind = kind.trim_start_matches("back_").to_string();
                    let number = self.out.databases.iter().filter(|d| d.kind != "frontend").count() + 1;
                    self.out.databases.push(Database { label: format!("{{{number}}}{kind}"), kind, values: Vec::new(), source });
                    continue;
                }
                "disallow" => "disallows".into(),
                "require" => "requires".into(),
                other => other.replace('-', ""),
            };
            if !KEPT.contains(&name.as_str()) {
                continue;
            }
            let text = if name == "access" || name == "tlsciphersuite" { rest.to_string() } else { unquoted(rest) };
            let value = Value { name, text, source };
            match self.out.databases.last_mut() {
                Some(database) => database.values.push(value),
                None => self.out.global.push(value),
            }
        }
    }
}

/// `{1}` before a value.
fn order(value: &str) -> (Option<i64>, &str) {
    let found = value.strip_prefix('{').and_then(|v| v.split_once('}')).and_then(|(n, rest)| n.parse().ok().map(|n| (Some(n), rest)));
    found.unwrap_or((None, value))
}

fn unquoted(text: &str) -> String {
    text.chars().filter(|c| *c != '"').collect()
}

/// Lines; one that begins with a blank goes on with the one before, comments as well.
fn lines(text: &str) -> Vec<(usize, String)> {
    let mut out: Vec<(usize, String)> = Vec::new();
    for (index, line) in text.lines().enumerate() {
        match out.last_mut() {
            Some((_, before)) if line.starts_with([' ', '\t']) => {
                before.push(' ');
                before.push_str(line.trim());
            }
            _ => out.push((index + 1, line.trim_end().to_string())),
        }
    }
    out.retain(|(_, l)| !l.is_empty() && !l.starts_with('#'));
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::testing::rooted;

    #[test]
    fn both_forms_say_the_same() {
        let conf = "# global\ninclude /etc/ldap/more.conf\nTLSCertificateFile \"/etc/c d.pem\"\nsecurity ssf=128\ndatabase frontend\naccess to * by * none\n\
            database mdb\nsuffix \"dc=a,dc=b\"\naccess to attrs=userPassword\n\tby self write\n\tby * none\nrootpw secret\n";
        let files = [
            ("/etc/ldap/slapd.conf", conf),
            ("/etc/ldap/more.conf", "disallow bind_anon\n"),
            ("/d/cn=config.ldif", "dn: cn=config\nolcTLSCertificateFile: /etc/c d.pem\nolcSecurity: ssf=128\nolcDisallows: bind_anon\n"),
            ("/d/cn=config/olcDatabase={-1}frontend.ldif", "dn: olcDatabase={-1}frontend\nolcAccess: {0}to * by * none\n"),
            (
                "/d/cn=config/olcDatabase={1}mdb.ldif",
                "dn: olcDatabase={1}mdb\nolcAccess: {1}to *  by * read\nolcAccess: {0}to attrs=userPassword by self write by * none\nolcSuffix: dc=a,dc=b\nolcRootPW:: c2VjcmV0\n",
            ),
        ];
        let (_root, host) = rooted(&files);
        let mut gaps = Gaps::new();
        let (one, two) = (read(&host, "/etc/ldap/slapd.conf", "x", &mut gaps), read(&host, "/d", "x", &mut gaps));
        assert_eq!(gaps.into_sorted(), []);
        let shown = |values: &[Value]| values.iter().map(|v| format!("{}={}", v.name, v.text)).collect::<std::collections::BTreeSet<_>>();
        assert_eq!(shown(&one.global), shown(&two.global));
        assert_eq!(one.databases.iter().map(|d| d.label.as_str()).collect::<Vec<_>>(), ["{1}frontend", "{1}mdb"]);
        let access = |c: &Config| c.databases[1].values.iter().find(|v| v.name == "access").unwrap().text.clone();
        assert!(access(&one).starts_with("to attrs=userPassword") && access(&two).starts_with("to attrs=userPassword by self write"));
        assert!(!format!("{one:?}{two:?}").contains("secret"));
    }

    #[test]
    fn hostile_text_ends() {
        let text = "include /etc/ldap/slapd.conf\ndatabase\n x\naccess to\n\"\n{\n";
        for end in 0..=text.len() {
            let (_root, host) = rooted(&[("/etc/ldap/slapd.conf", &text[..end]), ("/d/cn=config.ldif", &text[..end])]);
            read(&host, "/etc/ldap/slapd.conf", "x", &mut Gaps::new());
            read(&host, "/d", "x", &mut Gaps::new());
        }
    }
}
