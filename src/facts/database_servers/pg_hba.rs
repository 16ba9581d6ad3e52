//! `pg_hba.conf` from the file (PostgreSQL manual, "The pg_hba.conf File").
//!
//! ```text
//! connection databases users [address [mask]] method [name=value …]       the first match decides
//! include, include_if_exists, include_dir (16); @file stands for the words of a file; \ at the end of a line joins (14)
//! "…" takes the meaning of keywords away; a comma joins words to one field
//! ```

use std::net::IpAddr;

use super::pg_conf::{Unread, beside, folder};
use crate::host::{CONFIG_LIMIT, Host};

/// `CONF_FILE_MAX_DEPTH` of PostgreSQL.
const DEPTH_LIMIT: usize = 10;
/// Most files of one server.
const FILE_LIMIT: usize = 512;
/// Most lines of one server.
const LINE_LIMIT: usize = 20_000;
/// Most words of one field.
const WORD_LIMIT: usize = 10_000;

/// One line that the server would load.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Line {
    /// `local`, `host`, `hostssl`, `hostnossl`, `hostgssenc`, `hostnogssenc`.
    pub connection: String,
    /// Databases.
    pub databases: Vec<String>,
    /// Users.
    pub users: Vec<String>,
    /// Address as written, with `/` and the mask if there is one; empty for `local`.
    pub address: String,
    /// Method.
    pub method: String,
    /// Whether the line asks for a certificate of the client besides (`clientcert=verify-full`, method `cert`).
    pub client_certificate: bool,
    /// File.
    pub path: String,
    /// Line, from 1.
    pub number: usize,
}

/// Reads the file with its includes; `major` is the release of the server.
pub fn read(host: &Host, path: &str, major: u32) -> Result<Vec<Line>, Unread> {
    let mut reader = Reader { host, major, files: 0, out: Vec::new() };
    reader.file(path, 0)?;
    Ok(reader.out)
}

/// A word and whether it was quoted.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Word {
    text: String,
    quoted: bool,
}

type Field = Vec<Word>;

struct Reader<'h> {
    host: &'h Host,
    major: u32,
    files: usize,
    out: Vec<Line>,
}

impl Reader<'_> {
    fn open(&mut self, path: &str, depth: usize) -> Result<String, Unread> {
        self.files += 1;
        if depth > DEPTH_LIMIT || self.files > FILE_LIMIT {
            return Err(Unread::Limit(format!("{path}: more than {DEPTH_LIMIT} levels or {FILE_LIMIT} files of includes")));
        }
        Ok(self.host.read_text(path, CONFIG_LIMIT)?)
    }

    fn file(&mut self, path: &str, depth: usize) -> Result<(), Unread> {
        let text = self.open(path, depth)?;
        let mut lines = text.lines().enumerate();
        while let Some((index, first)) = lines.next() {
            let mut line = first.to_string();
            while self.major >= 14 && line.ends_with('\\') {
                line.pop();
                let Some((_, next)) = lines.next() else { break };
                line.push_str(next);
            }
            let fields = self.fields(&line, path, depth)?;
            if !fields.is_empty() {
                self.line(&fields, path, index + 1, depth)?;
            }
        }
        Ok(())
    }

    fn line(&mut self, fields: &[Field], path: &str, number: usize, depth: usize) -> Result<(), Unread> {
        let refused = |problem| Unread::Line(path.to_string(), number, problem);
        let first = one(fields, 0).ok_or_else(|| refused("more than one kind of connection"))?;
        let included = || one(fields, 1).map(|w| beside(path, &w.text)).ok_or_else(|| refused("no file to include"));
        match first.text.as_str() {
            "include" if self.major >= 16 => return self.file(&included()?, depth + 1),
            "include_if_exists" if self.major >= 16 => {
                return match self.file(&included()?, depth + 1) {
                    Err(Unread::File(e)) if e.is_not_found() => Ok(()),
                    other => other,
                };
            }
            "include_dir" if self.major >= 16 => {
                for file in folder(self.host, &included()?)? {
                    self.file(&file, depth + 1)?;
                }
                return Ok(());
            }
            _ => {}
        }
        if self.out.len() >= LINE_LIMIT {
            return Err(Unread::Limit(format!("{path}:{number}: more than {LINE_LIMIT} lines")));
        }
        let line = parsed(fields, first).map_err(refused)?;
        self.out.push(Line { path: path.into(), number, ..line });
        Ok(())
    }

    /// The fields of one line; `@file` becomes the words of that file.
    fn fields(&mut self, line: &str, path: &str, depth: usize) -> Result<Vec<Field>, Unread> {
        let mut out = Vec::new();
        for field in split(line) {
            let mut words = Vec::new();
            for word in field {
                match word.text.strip_prefix('@').filter(|name| !word.quoted && !name.is_empty()) {
                    Some(name) => {
                        let file = beside(path, name);
                        let text = self.open(&file, depth + 1)?;
                        for line in text.lines() {
                            words.extend(self.fields(line, &file, depth + 1)?.into_iter().flatten());
                        }
                    }
                    None => words.push(word),
                }
                if words.len() > WORD_LIMIT {
                    return Err(Unread::Limit(format!("{path}: more than {WORD_LIMIT} words in one field")));
                }
            }
            out.push(words);
        }
        Ok(out)
    }
}

fn one(fields: &[Field], index: usize) -> Option<&Word> {
    match fields.get(index)?.as_slice() {
        [word] => Some(word),
        _ => None,
    }
}

fn parsed(fields: &[Field], first: &Word) -> Result<Line, &'static str> {
    if !["local", "host", "hostssl", "hostnossl", "hostgssenc", "hostnogssenc"].contains(&first.text.as_str()) {
        return Err("a kind of connection that is not known");
    }
    let words = |index: usize| fields.get(index).map(|f| f.iter().map(|w| w.text.clone()).collect::<Vec<_>>());
    let (Some(databases), Some(users)) = (words(1), words(2)) else { return Err("no databases or users") };
    let mut at = 3;
    let mut address = String::new();
    if first.text != "local" {
        let word = one(fields, at).ok_or("no single address")?;
        address.clone_from(&word.text);
        at += 1;
        if address.parse::<IpAddr>().is_ok() {
            let mask = one(fields, at).filter(|w| w.text.parse::<IpAddr>().is_ok()).ok_or("an address without a mask")?;
            address = format!("{address}/{}", mask.text);
            at += 1;
        } else if let Some((ip, bits)) = address.split_once('/')
            && (ip.parse::<IpAddr>().is_err() || bits.parse::<u8>().is_err())
        {
            return Err("an address that is none");
        }
    }
    let method = one(fields, at).ok_or("no method")?;
    if !METHODS.contains(&method.text.as_str()) {
        return Err("a method that is not known");
    }
    let mut options = fields.get(at + 1..).unwrap_or_default().iter().flatten();
    let verified = options.any(|w| matches!(w.text.as_str(), "clientcert=verify-ca" | "clientcert=verify-full" | "clientcert=1"));
    Ok(Line {
        connection: first.text.clone(),
        databases,
        users,
        address,
        client_certificate: verified || method.text == "cert",
        method: method.text.clone(),
        ..Line::default()
    })
}

/// Methods of all releases since 9.4.
const METHODS: [&str; 15] =
    ["trust", "reject", "scram-sha-256", "md5", "password", "gss", "sspi", "ident", "peer", "ldap", "radius", "cert", "pam", "bsd", "oauth"];

/// Fields of one line as `next_field_expand` of hba.c makes them.
fn split(line: &str) -> Vec<Field> {
    let mut out: Vec<Field> = Vec::new();
    let mut chars = line.chars().peekable();
    let mut joins = false;
    loop {
        while chars.peek().is_some_and(|c| c.is_whitespace() || *c == ',') {
            chars.next();
        }
        if chars.peek().is_none_or(|c| *c == '#') {
            return out;
        }
        let (mut word, mut quoted, mut inside, mut ended_by_comma) = (String::new(), false, false, false);
        while let Some(&c) = chars.peek() {
            if !inside && (c.is_whitespace() || c == ',' || c == '#') {
                if c == ',' {
                    chars.next();
                    ended_by_comma = true;
                }
                break;
            }
            chars.next();
            match c {
                '"' if inside && chars.peek() == Some(&'"') => {
                    chars.next();
                    word.push('"');
                }
                '"' => {
                    inside = !inside;
                    quoted |= word.is_empty();
                }
                c => word.push(c),
            }
        }
        let word = Word { text: word, quoted };
        match out.last_mut().filter(|_| joins) {
            Some(field) => field.push(word),
            None => out.push(vec![word]),
        }
        joins = ended_by_comma;
    }
}

/// Whether earlier lines decide for every connection that a line is for: one for all of them, or one
/// for those with TLS and one for those without.
pub fn is_decided(line: &Line, earlier: &[Line]) -> bool {
    let as_kind = |kind: &str| Line { connection: kind.into(), ..line.clone() };
    let decided = |line: &Line| earlier.iter().any(|e| covers(e, line));
    decided(line) || line.connection == "host" && decided(&as_kind("hostssl")) && decided(&as_kind("hostnossl"))
}

/// Whether every connection that `later` is for is decided by `earlier`.
pub fn covers(earlier: &Line, later: &Line) -> bool {
    let connection = earlier.connection == later.connection || earlier.connection == "host" && later.connection != "local";
    let all = |list: &[String]| list.iter().any(|e| e == "all");
    // "all" does not stand for the pseudo-database of replication.
    let databases = (all(&earlier.databases) && !later.databases.iter().any(|d| d == "replication")) || earlier.databases == later.databases;
    let users = all(&earlier.users) || earlier.users == later.users;
    let address = earlier.address == later.address || earlier.address == "all" || holds(&earlier.address, &later.address);
    connection && databases && users && address
}

/// Whether the addresses of one network are all in another.
fn holds(outer: &str, inner: &str) -> bool {
    match (network(outer), network(inner)) {
        (Some((IpAddr::V4(a), long)), Some((IpAddr::V4(b), short))) if long <= short => {
            let shift = 32_u32.saturating_sub(long);
            u32::from(a).checked_shr(shift) == u32::from(b).checked_shr(shift)
        }
        (Some((IpAddr::V6(a), long)), Some((IpAddr::V6(b), short))) if long <= short => {
            let shift = 128_u32.saturating_sub(long);
            u128::from(a).checked_shr(shift) == u128::from(b).checked_shr(shift)
        }
        _ => false,
    }
}

/// `10.0.0.0/8` and `10.0.0.0/255.0.0.0`; a mask with holes is none.
fn network(text: &str) -> Option<(IpAddr, u32)> {
    let (ip, mask) = text.split_once('/')?;
    let ip: IpAddr = ip.parse().ok()?;
    let bits = match mask.parse::<IpAddr>() {
        Ok(IpAddr::V4(m)) if u32::from(m).leading_ones() == u32::from(m).count_ones() => u32::from(m).leading_ones(),
        Ok(IpAddr::V6(m)) if u128::from(m).leading_ones() == u128::from(m).count_ones() => u128::from(m).leading_ones(),
        Ok(_) => return None,
        Err(_) => mask.parse().ok()?,
    };
    Some((ip, bits))
}

/// Whether only this machine itself can come from there.
pub fn is_this_machine(line: &Line) -> bool {
    line.connection == "local" || line.address.starts_with("127.") || line.address.starts_with("::1/") || line.address == "localhost"
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::testing::rooted;

    #[test]
    fn fields_as_the_server_splits_them() {
        let shown = |line: &str| split(line).iter().map(|f| f.iter().map(|w| w.text.as_str()).collect::<Vec<_>>().join("+")).collect::<Vec<_>>();
        assert_eq!(shown("host a, b  \"all\" 10.0.0.0/8 md5 # c"), ["host", "a+b", "all", "10.0.0.0/8", "md5"]);
        assert_eq!(shown("host a ,b x"), ["host", "a", "b", "x"]);
        assert_eq!(shown("local \"my \"\"db\"\"\", #x"), ["local", "my \"db\""]);
        assert_eq!(shown("host all \"a#b\"#c"), ["host", "all", "a#b"]);
        assert!(shown("  # host all all all trust").is_empty());
    }

    #[test]
    fn files_words_and_places() {
        let files = [
            ("/d/pg_hba.conf", "local all all peer\nhost all @admins 10.0.0.1 255.255.255.255 \\\n  md5\ninclude_dir more\ninclude_if_exists gone\n"),
            ("/d/admins", "# people\nada, \"@bob\"\n@rest\n"),
            ("/d/rest", "eve\n"),
            ("/d/more/1.conf", "hostssl app +team all cert map=x\n"),
            ("/d/more/2.bak", "nonsense\n"),
        ];
        let (_root, host) = rooted(&files);
        let lines = read(&host, "/d/pg_hba.conf", 16).unwrap();
        let shown: Vec<String> =
            lines.iter().map(|l| format!("{} {} {} {} {}:{}", l.connection, l.users.join("+"), l.address, l.method, l.path, l.number)).collect();
        assert_eq!(
            shown,
            ["local all  peer /d/pg_hba.conf:1", "host ada+@bob+eve 10.0.0.1/255.255.255.255 md5 /d/pg_hba.conf:2", "hostssl +team all cert /d/more/1.conf:1"]
        );
        assert!(lines[2].client_certificate);
        // Before 16 there were no includes.
        assert!(matches!(read(&host, "/d/pg_hba.conf", 15), Err(Unread::Line(_, 4, _))));
    }

    #[test]
    fn networks_in_networks() {
        for (outer, inner, expected) in [
            ("0.0.0.0/0", "10.0.0.0/8", true),
            ("10.0.0.0/255.0.0.0", "10.1.2.3/32", true),
            ("10.0.0.0/16", "10.0.0.0/8", false),
            ("10.0.0.0/255.0.255.0", "10.0.0.0/32", false),
            ("::/0", "10.0.0.0/8", false),
            ("::/0", "fd00::/8", true),
            ("fd00::/8", "fe00::/8", false),
            ("10.0.0.0/33", "10.0.0.0/40", true),
            ("samenet", "10.0.0.0/8", false),
        ] {
            assert_eq!(holds(outer, inner), expected, "{outer} {inner}");
        }
    }

    #[test]
    fn what_the_server_refuses() {
        for wrong in [
            "hosts all all all md5",
            "host all all 10.0.0.1 md5",
            "local all all",
            "host all all 10.0.0.0/x md5",
            "local all all secret",
            "local,host all all md5",
        ] {
            let (_root, host) = rooted(&[("/h", wrong)]);
            assert!(matches!(read(&host, "/h", 16), Err(Unread::Line(_, 1, _))), "{wrong}");
        }
        let (_root, host) = rooted(&[("/h", "local all @h trust\n"), ("/i", "include i\n")]);
        assert!(matches!(read(&host, "/h", 16), Err(Unread::Limit(_))));
        assert!(matches!(read(&host, "/i", 16), Err(Unread::Limit(_))));
        let text = "host \"a\"\"b\",@x y 10.0.0.0/8 md5 a=\"b # \\\n";
        for end in 0..text.len() {
            let _ = split(&text[..end]);
        }
    }
}
