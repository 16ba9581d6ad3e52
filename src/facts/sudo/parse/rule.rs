//! Aliases, Defaults and user specifications.

use super::cursor::Parser;
use super::{AliasKind, CommandGroup, Item, Parameter, Privilege, Scope, Statement};

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

impl Parser {
    /// Alias definitions behind their keyword.
    pub fn aliases(&mut self, kind: AliasKind) -> Result<Statement, &'static str> {
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
                    group.commands.push(self.command(false)?);
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

    /// A Defaults entry behind its keyword.
    pub fn defaults(&mut self) -> Result<Statement, &'static str> {
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

    /// A user specification.
    pub fn rule(&mut self) -> Result<Statement, &'static str> {
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
            let digest = self.tags(&mut state);
            let command = self.command(digest)?;
            match out.last_mut() {
                Some(last) if (CommandGroup { commands: Vec::new(), ..last.clone() }) == state => last.commands.push(command),
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

    /// Tags, options and digests; whether there was a digest.
    fn tags(&mut self, state: &mut CommandGroup) -> bool {
        let mut digest = false;
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
                        "NOEXEC" => state.no_exec = Some(true),
                        "EXEC" => state.no_exec = Some(false),
                        "SETENV" => state.set_env = Some(true),
                        "NOSETENV" => state.set_env = Some(false),
                        _ => {}
                    }
                }
                Some('=') if OPTIONS.contains(&word.as_str()) => {
                    self.at = behind + 1;
                    self.blanks();
                    let value = self.text(|c| c.is_whitespace() || c == ',');
                    match word.as_str() {
                        "NOTBEFORE" => state.not_before = value,
                        "NOTAFTER" => state.not_after = value,
                        _ => {}
                    }
                }
                Some(':') if DIGESTS.contains(&word.as_str()) => {
                    digest = true;
                    self.at = behind + 1;
                    self.blanks();
                    self.text(|c| c.is_whitespace() || c == ',');
                    self.blanks();
                    self.take(',');
                }
                _ => return digest,
            }
        }
    }

    /// One command with its arguments.
    fn command(&mut self, digest: bool) -> Result<Item, &'static str> {
        let mut ignored = CommandGroup::default();
        let digest = self.tags(&mut ignored) || digest;
        let negated = self.negation();
        let text = if self.peek() == Some('^') { self.regular_expression() } else { self.text(|c| matches!(c, ',' | ':' | '=') || c.is_whitespace()) };
        if text.is_empty() {
            return Err("a command is missing");
        }
        self.blanks();
        let mut arguments = String::new();
        let mut any = self.at_end() || matches!(self.peek(), Some(',' | ':'));
        if self.peek() == Some('^') {
            arguments = self.regular_expression();
        }
        if !self.at_end() {
            let from = self.at;
            arguments.push_str(self.text(|c| matches!(c, ',' | ':')).trim());
            any |= self.at == from;
        }
        if self.at_end() {
            self.at = self.chars.len();
        }
        Ok(Item { negated, text, arguments: (!any).then_some(arguments), digest })
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
