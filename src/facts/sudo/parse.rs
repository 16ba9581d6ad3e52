//! The grammar of sudoers(5): one logical line to one statement.
//!
//! Text after a syntax error is dropped up to the end of the line, as sudo does since 1.9.3.

/// One item of a list, `!` counted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    /// Whether an odd number of `!` stands in front.
    pub negated: bool,
    /// The item, quotes and backslashes removed.
    pub text: String,
}

/// The four kinds of aliases.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum AliasKind {
    /// `User_Alias`.
    User,
    /// `Runas_Alias`.
    Runas,
    /// `Host_Alias`.
    Host,
    /// `Cmnd_Alias`.
    Command,
}

/// What a Defaults entry is limited to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Everything.
    Global,
    /// `Defaults@HOSTS`.
    Hosts(Vec<Item>),
    /// `Defaults:USERS`.
    Users(Vec<Item>),
    /// `Defaults>RUNAS`.
    Runas(Vec<Item>),
    /// `Defaults!COMMANDS`.
    Commands(Vec<Item>),
}

/// One setting of a Defaults entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parameter {
    /// Name.
    pub name: String,
    /// `!` in front.
    pub negated: bool,
    /// Value; empty for a flag.
    pub value: String,
}

/// Commands that share run-as list and tags.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CommandGroup {
    /// `None`: the default; `Some` and empty: `()` or `(:group)`, the invoking user.
    pub run_as: Option<Vec<Item>>,
    /// PASSWD or NOPASSWD, when written.
    pub password: Option<bool>,
    /// `NOTAFTER`, as written.
    pub not_after: String,
    /// Commands without arguments.
    pub commands: Vec<Item>,
}

/// `HOSTS = COMMANDS`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Privilege {
    /// Hosts.
    pub hosts: Vec<Item>,
    /// Commands.
    pub groups: Vec<CommandGroup>,
}

/// One logical line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Statement {
    /// `@include`.
    Include(String),
    /// `@includedir`.
    IncludeFolder(String),
    /// Alias definitions.
    Aliases(AliasKind, Vec<(String, Vec<Item>)>),
    /// Defaults.
    Defaults(Scope, Vec<Parameter>),
    /// User specification.
    Rule(Vec<Item>, Vec<Privilege>),
}

/// Logical lines with the number of their first line: a backslash at the end joins the next one.
pub fn logical_lines(text: &str) -> Vec<(usize, String)> {
    let mut out = Vec::new();
    let mut open: Option<(usize, String)> = None;
    for (index, line) in text.lines().enumerate() {
        let (number, mut joined) = open.take().unwrap_or((index + 1, String::new()));
        let slashes = line.bytes().rev().take_while(|b| *b == b'\\').count();
        if slashes % 2 == 1 {
            joined.push_str(line.get(..line.len() - 1).unwrap_or(""));
            open = Some((number, joined));
        } else {
            joined.push_str(line);
            out.push((number, joined));
        }
    }
    out.extend(open);
    out
}

/// `Ok(None)`: blank or comment.
pub fn statement(line: &str) -> Result<Option<Statement>, &'static str> {
    let mut p = Parser { chars: line.chars().collect(), at: 0 };
    p.blanks();
    for (word, folder) in [("includedir", true), ("include", false)] {
        for mark in ['@', '#'] {
            if p.take_word(&format!("{mark}{word}")) {
                let path = p.include_path();
                if path.is_empty() {
                    return Err("an include without a path");
                }
                return Ok(Some(if folder { Statement::IncludeFolder(path) } else { Statement::Include(path) }));
            }
        }
    }
    if p.at_end() {
        return Ok(None);
    }
    let kinds = [
        ("User_Alias", AliasKind::User),
        ("Runas_Alias", AliasKind::Runas),
        ("Host_Alias", AliasKind::Host),
        ("Cmnd_Alias", AliasKind::Command),
        ("Cmd_Alias", AliasKind::Command),
    ];
    for (word, kind) in kinds {
        if p.take_word(word) {
            return p.aliases(kind).map(Some);
        }
    }
    if p.starts_with("Defaults") && matches!(p.peek_at(8), None | Some(' ' | '\t' | '@' | ':' | '!' | '>')) {
        p.at += 8;
        return p.defaults().map(Some);
    }
    p.rule().map(Some)
}

const TAGS: [&str; 17] = [
    "PASSWD",
    "NOPASSWD",
    "EXEC",
    "NOEXEC",
    "SETENV",
    "NOSETENV",
    "LOG_INPUT",
    "NOLOG_INPUT",
    "LOG_OUTPUT",
    "NOLOG_OUTPUT",
    "FOLLOW",
    "NOFOLLOW",
    "MAIL",
    "NOMAIL",
    "INTERCEPT",
    "NOINTERCEPT",
    "FOLLOWLNK",
];
const OPTIONS: [&str; 10] = ["ROLE", "TYPE", "PRIVS", "LIMITPRIVS", "APPARMOR_PROFILE", "TIMEOUT", "NOTBEFORE", "NOTAFTER", "CWD", "CHROOT"];
const DIGESTS: [&str; 4] = ["sha224", "sha256", "sha384", "sha512"];

struct Parser {
    chars: Vec<char>,
    at: usize,
}

impl Parser {
    fn peek_at(&self, ahead: usize) -> Option<char> {
        self.chars.get(self.at + ahead).copied()
    }

    fn peek(&self) -> Option<char> {
        self.peek_at(0)
    }

    fn blanks(&mut self) {
        while self.peek().is_some_and(char::is_whitespace) {
            self.at += 1;
        }
    }

    /// End of line, or a comment (`#` that does not begin a numeric id).
    fn at_end(&self) -> bool {
        match self.peek() {
            None => true,
            Some('#') => !self.peek_at(1).is_some_and(|c| c.is_ascii_digit()),
            _ => false,
        }
    }

    fn starts_with(&self, word: &str) -> bool {
        word.chars().enumerate().all(|(i, c)| self.peek_at(i) == Some(c))
    }

    fn take(&mut self, c: char) -> bool {
        let hit = self.peek() == Some(c);
        self.at += usize::from(hit);
        hit
    }

    /// A word followed by a blank.
    fn take_word(&mut self, word: &str) -> bool {
        let length = word.chars().count();
        let hit = self.starts_with(word) && self.peek_at(length).is_some_and(char::is_whitespace);
        if hit {
            self.at += length;
            self.blanks();
        }
        hit
    }

    fn include_path(&mut self) -> String {
        self.blanks();
        let path = self.text(|c| c.is_whitespace());
        path.trim().to_string()
    }

    /// Text up to an unescaped, unquoted character that `ends`.
    fn text(&mut self, ends: impl Fn(char) -> bool) -> String {
        let mut out = String::new();
        let mut quoted = false;
        while let Some(c) = self.peek() {
            if c == '"' {
                quoted = !quoted;
            } else if c == '\\' {
                self.at += 1;
                match self.peek() {
                    Some('x') if self.hex().is_some() => {
                        out.extend(self.hex());
                        self.at += 2;
                    }
                    Some(next) => out.push(next),
                    None => break,
                }
            } else if !quoted && ((ends(c) && !(c == ':' && out.ends_with('%'))) || (c == '#' && !out.is_empty() && !out.ends_with('%'))) {
                break;
            } else {
                out.push(c);
            }
            self.at += 1;
        }
        out
    }

    /// `xHH` at the cursor.
    fn hex(&self) -> Option<char> {
        let digit = |c: Option<char>| c.and_then(|c| c.to_digit(16));
        char::from_u32(digit(self.peek_at(1))? * 16 + digit(self.peek_at(2))?)
    }

    fn negation(&mut self) -> bool {
        let mut negated = false;
        loop {
            self.blanks();
            if !self.take('!') {
                return negated;
            }
            negated = !negated;
        }
    }

    fn list(&mut self, ends: impl Fn(char) -> bool + Copy) -> Result<Vec<Item>, &'static str> {
        let mut out = Vec::new();
        loop {
            let negated = self.negation();
            let text = self.text(|c| c == ',' || c.is_whitespace() || ends(c));
            if text.is_empty() {
                return Err("a list item is missing");
            }
            out.push(Item { negated, text });
            self.blanks();
            if !self.take(',') {
                return Ok(out);
            }
        }
    }

    fn aliases(&mut self, kind: AliasKind) -> Result<Statement, &'static str> {
        let mut out = Vec::new();
        loop {
            self.blanks();
            let name = self.text(|c| c == '=' || c.is_whitespace());
            self.blanks();
            if !self.take('=') {
                return Err("an alias without `=`");
            }
            let items = if kind == AliasKind::Command {
                let mut group = CommandGroup::default();
                loop {
                    group.commands.push(self.command()?);
                    if !self.take(',') {
                        break;
                    }
                }
                group.commands
            } else {
                // A host list may hold IPv6 addresses; only ` :` ends it.
                self.list(|c| c == ':' && kind != AliasKind::Host)?
            };
            out.push((name, items));
            self.blanks();
            if !self.take(':') {
                return if self.at_end() { Ok(Statement::Aliases(kind, out)) } else { Err("text behind an alias") };
            }
        }
    }

    fn defaults(&mut self) -> Result<Statement, &'static str> {
        let scope = match self.peek() {
            Some('@') => {
                self.at += 1;
                Scope::Hosts(self.list(|_| false)?)
            }
            Some(':') => {
                self.at += 1;
                Scope::Users(self.list(|_| false)?)
            }
            Some('>') => {
                self.at += 1;
                Scope::Runas(self.list(|_| false)?)
            }
            Some('!') => {
                self.at += 1;
                Scope::Commands(self.list(|_| false)?)
            }
            _ => Scope::Global,
        };
        let mut parameters = Vec::new();
        loop {
            let negated = self.negation();
            let name = self.text(|c| matches!(c, ',' | '=' | '+' | '-') || c.is_whitespace());
            if name.is_empty() {
                return Err("a Defaults entry without a parameter");
            }
            self.blanks();
            while self.take('+') || self.take('-') {}
            let value = if self.take('=') {
                self.blanks();
                self.text(|c| c == ',' || c.is_whitespace())
            } else {
                String::new()
            };
            parameters.push(Parameter { name, negated, value });
            self.blanks();
            if !self.take(',') {
                return Ok(Statement::Defaults(scope, parameters));
            }
        }
    }

    fn rule(&mut self) -> Result<Statement, &'static str> {
        let users = self.list(|c| c == '=')?;
        let mut privileges = Vec::new();
        loop {
            let hosts = self.list(|c| c == '=')?;
            self.blanks();
            if !self.take('=') {
                return Err("a rule without `=`");
            }
            privileges.push(Privilege { hosts, groups: self.commands()? });
            if !self.take(':') {
                return if self.at_end() { Ok(Statement::Rule(users, privileges)) } else { Err("text behind a command") };
            }
        }
    }

    fn commands(&mut self) -> Result<Vec<CommandGroup>, &'static str> {
        let mut out: Vec<CommandGroup> = Vec::new();
        let mut state = CommandGroup::default();
        loop {
            self.blanks();
            if self.take('(') {
                state.run_as = Some(self.run_as()?);
            }
            self.tags(&mut state);
            let command = self.command()?;
            match out.last_mut() {
                Some(last) if last.run_as == state.run_as && last.password == state.password && last.not_after == state.not_after => {
                    last.commands.push(command)
                }
                _ => out.push(CommandGroup { commands: vec![command], ..state.clone() }),
            }
            if !self.take(',') {
                return Ok(out);
            }
        }
    }

    fn run_as(&mut self) -> Result<Vec<Item>, &'static str> {
        self.blanks();
        let users = if matches!(self.peek(), Some(')' | ':')) { Vec::new() } else { self.list(|c| c == ')' || c == ':')? };
        self.blanks();
        if self.take(':') {
            self.blanks();
            if self.peek() != Some(')') {
                // Groups are no further privilege of another user.
                self.list(|c| c == ')')?;
            }
        }
        self.blanks();
        if self.take(')') { Ok(users) } else { Err("a run-as list is never closed") }
    }

    fn tags(&mut self, state: &mut CommandGroup) {
        loop {
            self.blanks();
            let word: String = self.chars.iter().skip(self.at).take_while(|c| c.is_ascii_alphanumeric() || **c == '_').collect();
            let mut behind = self.at + word.len();
            while self.chars.get(behind).is_some_and(|c| c.is_whitespace()) {
                behind += 1;
            }
            match self.chars.get(behind) {
                Some(':') if TAGS.contains(&word.as_str()) => {
                    self.at = behind + 1;
                    match word.as_str() {
                        "PASSWD" => state.password = Some(true),
                        "NOPASSWD" => state.password = Some(false),
                        _ => {}
                    }
                }
                Some('=') if OPTIONS.contains(&word.as_str()) => {
                    self.at = behind + 1;
                    self.blanks();
                    let value = self.text(|c| c.is_whitespace() || c == ',');
                    if word == "NOTAFTER" {
                        state.not_after = value;
                    }
                }
                Some(':') if DIGESTS.contains(&word.as_str()) => {
                    self.at = behind + 1;
                    self.blanks();
                    self.text(|c| c.is_whitespace() || c == ',');
                    self.blanks();
                    self.take(',');
                }
                _ => return,
            }
        }
    }

    /// One command; its arguments are passed over.
    fn command(&mut self) -> Result<Item, &'static str> {
        let mut ignored = CommandGroup::default();
        self.tags(&mut ignored);
        let negated = self.negation();
        let text = if self.peek() == Some('^') { self.regular_expression() } else { self.text(|c| matches!(c, ',' | ':' | '=') || c.is_whitespace()) };
        if text.is_empty() {
            return Err("a command is missing");
        }
        self.blanks();
        if self.peek() == Some('^') {
            self.regular_expression();
        }
        if !self.at_end() {
            self.text(|c| matches!(c, ',' | ':'));
        }
        if self.at_end() {
            self.at = self.chars.len();
        }
        Ok(Item { negated, text })
    }

    /// `^…$`, which may hold commas and colons.
    fn regular_expression(&mut self) -> String {
        let mut out = String::new();
        while let Some(c) = self.peek() {
            out.push(c);
            self.at += 1;
            if c == '$' && self.peek().is_none_or(|n| n.is_whitespace() || n == ',' || n == ':') {
                break;
            }
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn items(list: &[Item]) -> String {
        list.iter().map(|i| format!("{}{}", if i.negated { "!" } else { "" }, i.text)).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn a_rule_is_taken_apart() {
        let Some(Statement::Rule(users, privileges)) = statement(
            r##"bob, !"%a b" , #1001 WEB,!10.0.0.1 = (www:adm, root) NOPASSWD: SETENV: /bin/a x\,y, !/bin/b, PASSWD: ALL : ALL = sudoedit /etc/x # end"##,
        )
        .unwrap() else {
            panic!("no rule")
        };
        assert_eq!(items(&users), "bob !%a b #1001");
        assert_eq!(items(&privileges[0].hosts), "WEB !10.0.0.1");
        let groups = &privileges[0].groups;
        assert_eq!(items(groups[0].run_as.as_ref().unwrap()), "www");
        assert_eq!((groups[0].password, items(&groups[0].commands).as_str()), (Some(false), "/bin/a !/bin/b"));
        assert_eq!((groups[1].password, items(&groups[1].commands).as_str()), (Some(true), "ALL"));
        assert_eq!(items(&privileges[1].groups[0].commands), "sudoedit");
    }

    #[test]
    fn lines_join_and_comments_end() {
        assert_eq!(logical_lines("a \\\n b\nc\\\\\nd"), [(1, "a  b".into()), (3, "c\\\\".into()), (4, "d".into())]);
        assert_eq!(statement("  # comment").unwrap(), None);
        assert_eq!(statement("#include /etc/x").unwrap(), Some(Statement::Include("/etc/x".into())));
        assert_eq!(statement("@includedir /etc/a\\ b").unwrap(), Some(Statement::IncludeFolder("/etc/a b".into())));
        assert!(matches!(statement("#1000 ALL=ALL").unwrap(), Some(Statement::Rule(..))));
        assert!(statement("nonsense").is_err());
        assert!(statement("bob ALL=(root ALL").is_err());
    }

    #[test]
    fn aliases_and_defaults_are_read() {
        let Some(Statement::Aliases(AliasKind::Command, aliases)) = statement("Cmnd_Alias A = /bin/x -a, sha256:abc= /bin/y : B = !/bin/z").unwrap() else {
            panic!()
        };
        assert_eq!(aliases.iter().map(|(n, i)| format!("{n}={}", items(i))).collect::<Vec<_>>(), ["A=/bin/x /bin/y", "B=!/bin/z"]);
        let Some(Statement::Defaults(scope, parameters)) = statement("Defaults:bob,%ops !authenticate, secure_path=\"/a:/b\", env_keep += X").unwrap() else {
            panic!()
        };
        assert!(matches!(scope, Scope::Users(list) if items(&list) == "bob %ops"));
        assert_eq!(
            parameters.iter().map(|p| format!("{}{}={}", if p.negated { "!" } else { "" }, p.name, p.value)).collect::<Vec<_>>(),
            ["!authenticate=", "secure_path=/a:/b", "env_keep=X"]
        );
    }
}
