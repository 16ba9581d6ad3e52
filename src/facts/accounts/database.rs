//! The text databases of local accounts, line by line: passwd(5), group(5), shadow(5).
//!
//! A line that the C library would skip is handed back as malformed; the others are kept.

use crate::host::{Host, ReadError};

/// Local accounts.
pub const PASSWD: &str = "/etc/passwd";
/// Local groups.
pub const GROUP: &str = "/etc/group";
/// Password state.
pub const SHADOW: &str = "/etc/shadow";
/// Group passwords.
pub const GSHADOW: &str = "/etc/gshadow";

/// Largest database file read, bytes (about 150,000 accounts).
const DATABASE_LIMIT: usize = 16 << 20;

/// A line that is not in the documented format.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Malformed {
    /// Line, from 1.
    pub number: usize,
    /// What is wrong, without any value of the line.
    pub problem: &'static str,
}

/// One line of passwd(5).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PasswdLine {
    /// Line, from 1.
    pub number: usize,
    /// Login name.
    pub name: String,
    /// Whether the password stands in shadow(5).
    pub shadowed: bool,
    /// What the password field says when it stands here.
    pub password: Hash,
    /// User id.
    pub uid: u32,
    /// Primary group.
    pub gid: u32,
    /// First part of the GECOS field.
    pub full_name: String,
    /// Home folder.
    pub home: String,
    /// Shell; empty: `/bin/sh`.
    pub shell: String,
}

/// One line of group(5).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupLine {
    /// Line, from 1.
    pub number: usize,
    /// Name.
    pub name: String,
    /// Group id.
    pub gid: u32,
    /// Members, sorted.
    pub members: Vec<String>,
    /// What the password field says when it stands here.
    pub password: Hash,
    /// Whether the password stands in gshadow(5).
    pub shadowed: bool,
}

/// One line of gshadow(5).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GshadowLine {
    /// Line, from 1.
    pub number: usize,
    /// Group.
    pub name: String,
    /// What the hash says.
    pub password: Hash,
    /// Who may change members and password, sorted.
    pub administrators: Vec<String>,
}

/// One line of shadow(5), days since 1970-01-01.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShadowLine {
    /// Line, from 1.
    pub number: usize,
    /// Login name.
    pub name: String,
    /// What the hash says.
    pub password: Hash,
    /// Last change.
    pub changed_day: Option<i64>,
    /// Minimum age, days.
    pub minimum_days: Option<i64>,
    /// Maximum age, days.
    pub maximum_days: Option<i64>,
    /// Warning, days.
    pub warn_days: Option<i64>,
    /// Inactivity, days.
    pub inactive_days: Option<i64>,
    /// Expiry.
    pub expires_day: Option<i64>,
}

/// State and scheme of a password field; the hash itself is dropped here.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Hash {
    /// `usable`, `locked`, `none` or `empty`.
    pub state: String,
    /// Scheme by crypt(5); empty without a hash.
    pub scheme: String,
    /// Rounds or cost that the hash names, or the scheme's default when it names none.
    pub rounds: Option<i64>,
}

/// Reads and parses passwd(5).
pub fn passwd(host: &Host) -> Result<(Vec<PasswdLine>, Vec<Malformed>), ReadError> {
    host.read_text(PASSWD, DATABASE_LIMIT).map(|text| lines_of(&text, passwd_line))
}

/// Reads and parses group(5).
pub fn group(host: &Host) -> Result<(Vec<GroupLine>, Vec<Malformed>), ReadError> {
    host.read_text(GROUP, DATABASE_LIMIT).map(|text| lines_of(&text, group_line))
}

/// Reads and parses shadow(5).
pub fn shadow(host: &Host) -> Result<(Vec<ShadowLine>, Vec<Malformed>), ReadError> {
    host.read_text(SHADOW, DATABASE_LIMIT).map(|text| lines_of(&text, shadow_line))
}

/// Reads and parses gshadow(5).
pub fn gshadow(host: &Host) -> Result<(Vec<GshadowLine>, Vec<Malformed>), ReadError> {
    host.read_text(GSHADOW, DATABASE_LIMIT).map(|text| lines_of(&text, gshadow_line))
}

/// Lines of the compat mode of nsswitch.conf(5): number and the first character with its name.
pub fn compat_lines(host: &Host, path: &str) -> Vec<(usize, String)> {
    let text = host.read_text(path, DATABASE_LIMIT).unwrap_or_default();
    let name = |line: &str| line.split(':').next().unwrap_or("").to_string();
    text.lines().enumerate().filter(|(_, l)| l.starts_with(['+', '-'])).map(|(i, l)| (i + 1, name(l))).collect()
}

/// Whether a field is a password hash of some scheme, locked or not.
pub fn is_hash(field: &str) -> bool {
    let hash = hash_of(field);
    // Thirteen letters may be any word: only what begins like a scheme counts.
    !hash.scheme.is_empty() && field.trim_start_matches('!').starts_with(['$', '_'])
}

/// The services that nsswitch.conf(5) names for a database, actions in brackets left out.
pub fn services_for(nsswitch: &str, database: &str) -> Option<Vec<String>> {
    for line in nsswitch.lines() {
        let line = line.split('#').next().unwrap_or("");
        let Some((name, rest)) = line.split_once(':') else { continue };
        if name.trim() != database {
            continue;
        }
        let mut out = Vec::new();
        let mut depth = 0_u32;
        for word in rest.replace('[', " [ ").replace(']', " ] ").split_whitespace() {
            match word {
                "[" => depth += 1,
                "]" => depth = depth.saturating_sub(1),
                other if depth == 0 => out.push(other.to_string()),
                _ => {}
            }
        }
        return Some(out);
    }
    None
}

/// The last value of a key of login.defs(5).
pub fn login_def(text: &str, key: &str) -> Option<String> {
    text.lines()
        .filter_map(|line| {
            let line = line.trim();
            let (name, value) = line.split_once(char::is_whitespace)?;
            (name == key).then(|| value.trim().trim_matches('"').to_string())
        })
        .next_back()
}

/// Line, from 1, of the last value of a key of login.defs(5); 0 when it is not set.
pub fn login_def_line(text: &str, key: &str) -> usize {
    let set = |line: &str| line.trim().split_once(char::is_whitespace).is_some_and(|(name, _)| name == key);
    text.lines().enumerate().filter(|(_, line)| set(line)).last().map_or(0, |(index, _)| index + 1)
}

fn lines_of<T>(text: &str, parse: fn(usize, &str) -> Result<T, &'static str>) -> (Vec<T>, Vec<Malformed>) {
    let mut good = Vec::new();
    let mut bad = Vec::new();
    for (index, line) in text.lines().enumerate() {
        // The C library skips blank lines and comments (nss_files).
        if line.trim().is_empty() || line.trim_start().starts_with('#') {
            continue;
        }
        match parse(index + 1, line) {
            Ok(item) => good.push(item),
            Err(problem) => bad.push(Malformed { number: index + 1, problem }),
        }
    }
    (good, bad)
}

fn name_of(field: &str) -> Result<String, &'static str> {
    if field.starts_with('+') || field.starts_with('-') {
        return Err("an entry of NIS, whose accounts can't be listed from files");
    }
    if field.is_empty() { Err("the name is empty") } else { Ok(field.to_string()) }
}

fn passwd_line(number: usize, line: &str) -> Result<PasswdLine, &'static str> {
    let fields: Vec<&str> = line.split(':').collect();
    let [name, password, uid, gid, gecos, home, shell] = fields.as_slice() else {
        return Err("a line of passwd has seven fields");
    };
    Ok(PasswdLine {
        number,
        name: name_of(name)?,
        shadowed: *password == "x",
        password: hash_of(password),
        uid: uid.parse().map_err(|_| "the user id is not a number")?,
        gid: gid.parse().map_err(|_| "the group id is not a number")?,
        full_name: gecos.split(',').next().unwrap_or("").trim().to_string(),
        home: (*home).to_string(),
        shell: (*shell).to_string(),
    })
}

fn group_line(number: usize, line: &str) -> Result<GroupLine, &'static str> {
    let fields: Vec<&str> = line.split(':').collect();
    let [name, password, gid, members] = fields.as_slice() else {
        return Err("a line of group has four fields");
    };
    let gid = gid.parse().map_err(|_| "the group id is not a number")?;
    Ok(GroupLine { number, name: name_of(name)?, gid, members: names(members), password: hash_of(password), shadowed: *password == "x" })
}

fn gshadow_line(number: usize, line: &str) -> Result<GshadowLine, &'static str> {
    let fields: Vec<&str> = line.split(':').collect();
    let [name, password, administrators, _] = fields.as_slice() else {
        return Err("a line of gshadow has four fields");
    };
    Ok(GshadowLine { number, name: name_of(name)?, password: hash_of(password), administrators: names(administrators) })
}

fn names(field: &str) -> Vec<String> {
    let mut names: Vec<String> = field.split(',').map(str::trim).filter(|m| !m.is_empty()).map(String::from).collect();
    names.sort();
    names.dedup();
    names
}

fn shadow_line(number: usize, line: &str) -> Result<ShadowLine, &'static str> {
    let fields: Vec<&str> = line.split(':').collect();
    let [name, hash, changed, minimum, maximum, warn, inactive, expires, _] = fields.as_slice() else {
        return Err("a line of shadow has nine fields");
    };
    Ok(ShadowLine {
        number,
        name: name_of(name)?,
        password: hash_of(hash),
        changed_day: days(changed)?,
        minimum_days: days(minimum)?,
        maximum_days: days(maximum)?,
        warn_days: days(warn)?,
        inactive_days: days(inactive)?,
        expires_day: days(expires)?,
    })
}

/// shadow(5): an empty field, and -1, is "not set".
fn days(field: &str) -> Result<Option<i64>, &'static str> {
    if field.is_empty() {
        return Ok(None);
    }
    let days: i64 = field.parse().map_err(|_| "a field of days is not a number")?;
    Ok((days >= 0).then_some(days))
}

fn hash_of(field: &str) -> Hash {
    let of = |state: &str, scheme: &str| Hash { state: state.into(), scheme: scheme.into(), rounds: rounds_of(scheme, field.trim_start_matches('!')) };
    if field.is_empty() {
        return of("empty", "");
    }
    let behind = field.trim_start_matches('!');
    let scheme = scheme_of(behind);
    match (scheme, behind.len() == field.len()) {
        (None, _) => of("none", ""),
        (Some(scheme), true) => of("usable", &scheme),
        (Some(scheme), false) => of("locked", &scheme),
    }
}

/// Rounds by crypt(5): sha256crypt and sha512crypt say `rounds=`, 5000 without; bcrypt the power of
/// two; yescrypt its memory, shown as the cost that crypt_gensalt(3) was given.
fn rounds_of(scheme: &str, hash: &str) -> Option<i64> {
    let field = |i: usize| hash.split('$').nth(i);
    let digit = |c: u8| b"./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz".iter().position(|d| *d == c).and_then(|p| i64::try_from(p).ok());
    match scheme {
        "sha256crypt" | "sha512crypt" => Some(field(2)?.strip_prefix("rounds=").map_or(Some(5000), |n| n.parse().ok())?),
        "bcrypt" => field(2)?.parse().ok(),
        "yescrypt" | "gost-yescrypt" => {
            let [_, memory, block, ..] = field(2)?.as_bytes() else { return None };
            // N is 2^(digit+1), r is digit+1: costs 1 and 2 have r 8, the others 32.
            let (memory, block) = (digit(*memory)? + 1, digit(*block)? + 1);
            Some(if block == 8 { memory - 9 } else { memory - 7 })
        }
        _ => None,
    }
}

/// Prefixes of crypt(5).
const SCHEMES: [(&str, &str); 13] = [
    ("$y$", "yescrypt"),
    ("$gy$", "gost-yescrypt"),
    ("$7$", "scrypt"),
    ("$2a$", "bcrypt"),
    ("$2b$", "bcrypt"),
    ("$2x$", "bcrypt"),
    ("$2y$", "bcrypt"),
    ("$6$", "sha512crypt"),
    ("$5$", "sha256crypt"),
    ("$sha1", "sha1crypt"),
    ("$md5", "sunmd5"),
    ("$1$", "md5crypt"),
    ("$3$", "nt"),
];

/// Longest unknown scheme id that is kept, characters.
const SCHEME_ID_LIMIT: usize = 16;

/// `None` when no password can ever give this text.
fn scheme_of(hash: &str) -> Option<String> {
    if let Some((_, name)) = SCHEMES.iter().find(|(prefix, _)| hash.starts_with(prefix)) {
        return Some((*name).to_string());
    }
    let of_crypt = |text: &str| text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'.' || b == b'/');
    if let Some(rest) = hash.strip_prefix('$') {
        let id: String = rest.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '-').take(SCHEME_ID_LIMIT).collect();
        return (!id.is_empty()).then(|| format!("unknown-{id}"));
    }
    if hash.len() == 20 && hash.strip_prefix('_').is_some_and(of_crypt) {
        return Some("bsdicrypt".into());
    }
    match hash.len() {
        13 if of_crypt(hash) => Some("descrypt".into()),
        14..=178 if of_crypt(hash) && (hash.len() - 2).is_multiple_of(11) => Some("bigcrypt".into()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_field_becomes_state_and_scheme() {
        let seen = |field: &str| {
            let h = hash_of(field);
            format!("{} {}", h.state, h.scheme)
        };
        assert_eq!(seen("$y$j9T$abc$def"), "usable yescrypt");
        assert_eq!(seen("!$6$salt$hash"), "locked sha512crypt");
        assert_eq!(seen("!!$1$salt$hash"), "locked md5crypt");
        assert_eq!(seen("ab1234567890."), "usable descrypt");
        assert_eq!(seen("_J9..rasmBYk8r9AiWNc"), "usable bsdicrypt");
        assert_eq!(seen("$9$x"), "usable unknown-9");
        let rounds = |field: &str| hash_of(field).rounds;
        assert_eq!((rounds("$y$j9T$abc$def"), rounds("$y$j75$abc$def"), rounds("!$y$jFT$a$b")), (Some(5), Some(1), Some(11)));
        assert_eq!(
            (rounds("$6$salt$hash"), rounds("$5$rounds=1000$salt$hash"), rounds("$2b$12$abc"), rounds("$1$a$b")),
            (Some(5000), Some(1000), Some(12), None)
        );
        assert_eq!((rounds("$y$"), rounds("$6$"), rounds("$6$rounds=x$"), rounds("$2b$")), (None, Some(5000), None, None));
        assert_eq!(seen(""), "empty ");
        for impossible in ["*", "!", "!!", "!*", "x", "*LK*", "*NP*"] {
            assert_eq!(seen(impossible), "none ");
        }
    }

    #[test]
    fn a_bad_line_is_named_and_hides_no_other() {
        let (good, bad) = lines_of("root:x:0:0:root:/root:/bin/bash\nbad:x:1\n\nk:x:7000000000:1:::\nan::1:1:A N,room 2,,:/h:\n", passwd_line);
        assert_eq!(good.iter().map(|l| l.name.as_str()).collect::<Vec<_>>(), ["root", "an"]);
        assert_eq!(good[1].full_name, "A N");
        assert_eq!((good[1].shadowed, good[1].password.state.as_str()), (false, "empty"));
        assert_eq!(bad.iter().map(|b| b.number).collect::<Vec<_>>(), [2, 4]);
    }

    #[test]
    fn shadow_days_and_services_are_read() {
        let (lines, bad) = lines_of("m:!$y$a$b$c:19000:0:99999:7::20000:\nn:*:::::::\no:*:x::::::\n", shadow_line);
        assert_eq!((lines[0].expires_day, lines[0].inactive_days, lines[0].maximum_days), (Some(20000), None, Some(99999)));
        assert_eq!(bad, [Malformed { number: 3, problem: "a field of days is not a number" }]);
        let services = services_for("group: files\npasswd: files [SUCCESS=merge] sss # more\n", "passwd");
        assert_eq!(services.unwrap(), ["files", "sss"]);
        assert_eq!(login_def("#UID_MIN 5\nUID_MIN\t 500\n", "UID_MIN").unwrap(), "500");
    }
}
