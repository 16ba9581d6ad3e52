//! The grammar of pam.conf(5): text to entries, as libpam reads it.
//!
//! `#` starts a comment anywhere, a backslash at the end joins the next line, brackets hold one
//! word. A line that libpam would answer with "must fail" is handed back as malformed.

use std::collections::BTreeMap;

/// The four management groups.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// `auth`.
    Auth,
    /// `account`.
    Account,
    /// `password`.
    Password,
    /// `session`.
    Session,
}

/// Every kind.
pub const KINDS: [Kind; 4] = [Kind::Auth, Kind::Account, Kind::Password, Kind::Session];

impl Kind {
    /// The word of the file.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Auth => "auth",
            Self::Account => "account",
            Self::Password => "password",
            Self::Session => "session",
        }
    }

    fn of(word: &str) -> Option<Self> {
        KINDS.into_iter().find(|k| k.word().eq_ignore_ascii_case(word))
    }
}

/// What is done after a module returned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Goes on.
    Ignore,
    /// Goes on; counts as success when nothing failed before.
    Ok,
    /// Like `Ok`, and ends the stack.
    Done,
    /// Goes on; the stack fails.
    Bad,
    /// The stack fails and ends.
    Die,
    /// Goes on as if nothing had been called.
    Reset,
    /// Skips so many modules.
    Jump(u32),
}

/// The control of one line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Control {
    /// As written.
    pub text: String,
    default: Action,
    named: BTreeMap<String, Action>,
}

impl Control {
    /// What follows a return code (`success`, `auth_err`, …).
    pub fn action(&self, code: &str) -> Action {
        self.named.get(code).copied().unwrap_or(self.default)
    }
}

/// One logical line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Statement {
    /// `@include NAME`: all kinds.
    IncludeAll(String),
    /// `KIND include NAME`.
    Include(Kind, String),
    /// `KIND substack NAME`.
    Substack(Kind, String),
    /// A module.
    Module(Kind, Module),
}

/// A module with its control.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Module {
    /// Control.
    pub control: Control,
    /// Path or name as written.
    pub path: String,
    /// Arguments as written, brackets removed.
    pub arguments: Vec<String>,
}

impl Module {
    /// File name without `.so`.
    pub fn name(&self) -> &str {
        let file = self.path.rsplit('/').next().unwrap_or(&self.path);
        file.strip_suffix(".so").unwrap_or(file)
    }

    /// Whether an argument stands alone.
    pub fn has(&self, word: &str) -> bool {
        self.arguments.iter().any(|a| a == word)
    }

    /// Value of the last `name=value`.
    pub fn value(&self, name: &str) -> Option<&str> {
        self.arguments.iter().rev().find_map(|a| a.strip_prefix(name)?.strip_prefix('='))
    }

    /// The last value as a number.
    pub fn number(&self, name: &str) -> Option<i64> {
        self.value(name)?.parse().ok()
    }
}

/// A parsed file: statements or problems, each with the number of its first line.
pub type Parsed = Vec<(usize, Result<Statement, &'static str>)>;

/// A file of pam.d.
pub fn file(text: &str) -> Parsed {
    logical_lines(text).into_iter().map(|(number, line)| (number, statement(&words(&line)))).collect()
}

/// The one file `/etc/pam.conf`: each line begins with its service, in small letters.
pub fn single_file(text: &str) -> BTreeMap<String, Parsed> {
    let mut services: BTreeMap<String, Parsed> = BTreeMap::new();
    for (number, line) in logical_lines(text) {
        let words = words(&line);
        if let Some((service, rest)) = words.split_first() {
            services.entry(service.to_lowercase()).or_default().push((number, statement(rest)));
        }
    }
    services
}

fn logical_lines(text: &str) -> Vec<(usize, String)> {
    let mut out = Vec::new();
    let mut open: Option<(usize, String)> = None;
    for (index, line) in text.lines().enumerate() {
        let (code, commented) = line.split_once('#').map_or((line, false), |(code, _)| (code, true));
        let code = code.trim();
        // Blank and comment lines are passed over, inside a joined line too.
        if code.is_empty() {
            continue;
        }
        let (number, mut joined) = open.take().unwrap_or((index + 1, String::new()));
        match code.strip_suffix('\\') {
            Some(code) if !commented => {
                joined.push_str(code);
                joined.push(' ');
                open = Some((number, joined));
            }
            _ => {
                joined.push_str(code);
                out.push((number, joined));
            }
        }
    }
    out.extend(open);
    out
}

/// Words by blanks; a word that begins with `[` ends at `]`, `\]` stands for `]`.
fn words(line: &str) -> Vec<String> {
    let mut out = Vec::new();
    let mut chars = line.chars().peekable();
    while let Some(first) = chars.next() {
        if first.is_ascii_whitespace() {
            continue;
        }
        let mut word = String::new();
        if first == '[' {
            word.push('[');
            while let Some(c) = chars.next() {
                match c {
                    '\\' if chars.peek() == Some(&']') => word.extend(chars.next()),
                    ']' => break,
                    other => word.push(other),
                }
            }
            word.push(']');
        } else {
            word.push(first);
            while let Some(c) = chars.next_if(|c| !c.is_ascii_whitespace()) {
                word.push(c);
            }
        }
        out.push(word);
    }
    out
}

fn statement(words: &[String]) -> Result<Statement, &'static str> {
    let (kind, rest) = words.split_first().ok_or("the line is empty")?;
    if kind.eq_ignore_ascii_case("@include") {
        return rest.first().map(|name| Statement::IncludeAll(name.clone())).ok_or("an include without a name");
    }
    let kind = Kind::of(kind.strip_prefix('-').unwrap_or(kind)).ok_or("the first word is none of auth, account, password, session")?;
    let (control, rest) = rest.split_first().ok_or("the control is missing")?;
    let (path, arguments) = rest.split_first().ok_or("the module is missing")?;
    match control.to_ascii_lowercase().as_str() {
        "include" => return Ok(Statement::Include(kind, path.clone())),
        "substack" => return Ok(Statement::Substack(kind, path.clone())),
        _ => {}
    }
    let arguments = arguments.iter().map(|a| a.strip_prefix('[').and_then(|a| a.strip_suffix(']')).unwrap_or(a).to_string()).collect();
    Ok(Statement::Module(kind, Module { control: control_of(control)?, path: path.clone(), arguments }))
}

fn control_of(text: &str) -> Result<Control, &'static str> {
    let of = |default: Action, success: Action| {
        let named = [("success", success), ("new_authtok_reqd", success)].into_iter().chain((default != Action::Ignore).then_some(("ignore", Action::Ignore)));
        Control { text: text.to_string(), default, named: named.map(|(code, action)| (code.to_string(), action)).collect() }
    };
    match text.to_ascii_lowercase().as_str() {
        "required" => return Ok(of(Action::Bad, Action::Ok)),
        "requisite" => return Ok(of(Action::Die, Action::Ok)),
        "optional" => return Ok(of(Action::Ignore, Action::Ok)),
        "sufficient" => return Ok(of(Action::Ignore, Action::Done)),
        _ => {}
    }
    let inner = text.strip_prefix('[').and_then(|t| t.strip_suffix(']')).ok_or("the control is none that is known")?;
    // libpam: what no pair names is bad.
    let mut control = Control { text: text.to_string(), default: Action::Bad, named: BTreeMap::new() };
    let spaced = inner.replace('=', " = ");
    let mut words = spaced.split_whitespace();
    while let Some(code) = words.next() {
        if words.next() != Some("=") {
            return Err("the control is not made of code=action");
        }
        let action = match words.next().unwrap_or("") {
            "ignore" => Action::Ignore,
            "ok" => Action::Ok,
            "done" => Action::Done,
            "bad" => Action::Bad,
            "die" => Action::Die,
            "reset" => Action::Reset,
            number => Action::Jump(number.parse().ok().filter(|n| *n > 0).ok_or("the control names an unknown action")?),
        };
        match code {
            "default" => control.default = action,
            _ => {
                control.named.insert(code.to_string(), action);
            }
        }
    }
    Ok(control)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn module(line: &str) -> Module {
        match file(line).remove(0).1.unwrap() {
            Statement::Module(_, module) => module,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn controls_become_actions() {
        let m = module("auth [success=1 user_unknown = ignore default=die] /lib/security/pam_unix.so nullok rounds=5 rounds=7 # x\n");
        assert_eq!(
            (m.control.action("success"), m.control.action("user_unknown"), m.control.action("auth_err")),
            (Action::Jump(1), Action::Ignore, Action::Die)
        );
        assert_eq!((m.name(), m.has("nullok"), m.number("rounds")), ("pam_unix", true, Some(7)));
        assert_eq!(module("-AUTH Sufficient pam_x.so").control.action("success"), Action::Done);
        assert_eq!(module("auth optional pam_x.so").control.action("auth_err"), Action::Ignore);
        assert_eq!(module("auth required pam_x.so").control.action("ignore"), Action::Ignore);
        assert_eq!(module("auth required pam_x.so [a b=c \\] d] e").arguments, ["a b=c ] d", "e"]);
    }

    #[test]
    fn lines_are_joined_and_comments_fall_away() {
        let parsed = file(
            "# auth sufficient pam_permit.so\n\nauth required \\\n# inner\n  pam_unix.so nullok\n@include common-account\naccount include x\nauth required pam_deny.so # \\\npassword substack y\n",
        );
        let seen: Vec<String> = parsed
            .iter()
            .map(|(n, s)| match s.as_ref().unwrap() {
                Statement::IncludeAll(name) => format!("{n} all {name}"),
                Statement::Include(k, name) => format!("{n} {} include {name}", k.word()),
                Statement::Substack(k, name) => format!("{n} {} substack {name}", k.word()),
                Statement::Module(k, m) => format!("{n} {} {} {}", k.word(), m.name(), m.arguments.join(",")),
            })
            .collect();
        assert_eq!(seen, ["3 auth pam_unix nullok", "6 all common-account", "7 account include x", "8 auth pam_deny ", "9 password substack y"]);
    }

    #[test]
    fn bad_lines_are_named() {
        for bad in
            ["auth", "auth required", "frob required pam_x.so", "auth [success] pam_x.so", "auth [default=0] pam_x.so", "auth nonsense pam_x.so", "@include"]
        {
            assert!(file(bad).remove(0).1.is_err(), "{bad}");
        }
        let one = single_file("login auth required pam_unix.so\nLOGIN account required pam_unix.so\n");
        assert_eq!(one["login"].len(), 2);
    }

    #[test]
    fn garbage_never_panics() {
        let seed = "auth [success=1 default=ignore] pam_unix.so nullok [a \\] b] \\\n@include x # y\n-session optional pam_systemd.so\n";
        for at in 0..seed.len() {
            for byte in [b'\\', b'[', b']', b'=', b'\n', b'#', 0, 0xff] {
                let mut bytes = seed.as_bytes().to_vec();
                bytes[at] = byte;
                let text = String::from_utf8_lossy(&bytes);
                let _ = (file(&text), single_file(&text));
            }
        }
    }
}
