//! The grammar of sudoers(5): one logical line to one statement.
//!
//! Text after a syntax error is dropped up to the end of the line, as sudo does since 1.9.3.
//! Characters and words are read in `cursor`, user specifications in `rule`.

mod cursor;
mod rule;

use cursor::Parser;

/// One item of a list, `!` counted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Item {
    /// Whether an odd number of `!` stands in front.
    pub negated: bool,
    /// The item, quotes and backslashes removed.
    pub text: String,
    /// Arguments of a command, joined by blanks: `None`: any; empty: none may be given.
    pub arguments: Option<String>,
    /// Whether a digest ties a command to its present content.
    pub digest: bool,
}

impl Item {
    /// An item that is no command.
    pub fn plain(text: impl Into<String>) -> Self {
        Self { text: text.into(), ..Self::default() }
    }
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
    /// `NOTBEFORE`, as written.
    pub not_before: String,
    /// `NOTAFTER`, as written.
    pub not_after: String,
    /// NOEXEC or EXEC, when written.
    pub no_exec: Option<bool>,
    /// SETENV or NOSETENV, when written.
    pub set_env: Option<bool>,
    /// Commands.
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
    let mut p = Parser::new(line);
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
        p.skip(8);
        return p.defaults().map(Some);
    }
    p.rule().map(Some)
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
