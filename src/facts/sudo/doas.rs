//! doas.conf(5): its rules as grants; the last rule that matches decides.

use super::parse::Item;
use super::resolve::{World, judge_commands, matches_user};
use super::{Grant, PolicyFile, Sudo};
use crate::facts::Document as _;
use crate::host::Host;
use crate::host::root::CONFIG_LIMIT;
use crate::model::fact::Source;
use crate::model::gap::{Gaps, reason};

const MAIN: &str = "/etc/doas.conf";
/// Alpine reads `*.conf` of this folder as well.
const FOLDER: &str = "/etc/doas.d";
const ALPINE: &str = "/etc/alpine-release";
/// Most rules kept.
const RULE_LIMIT: usize = 4096;

/// Whether a policy of doas exists.
pub fn is_used(host: &Host) -> bool {
    !paths(host).is_empty()
}

fn paths(host: &Host) -> Vec<String> {
    let mut out = Vec::new();
    if host.exists(ALPINE).unwrap_or(false) {
        let entries = host.list(FOLDER).unwrap_or_default();
        out.extend(entries.into_iter().filter(|e| e.name.ends_with(".conf")).map(|e| format!("{FOLDER}/{}", e.name)));
    }
    // A link that leads nowhere still is a policy that can't be read.
    if host.exists(MAIN).unwrap_or(true) {
        out.insert(0, MAIN.into());
    }
    out
}

/// One rule.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Rule {
    permit: bool,
    nopass: bool,
    setenv: bool,
    identity: String,
    target: String,
    command: Option<String>,
    arguments: Option<String>,
}

/// Adds the rules to the grants of sudoers.
pub fn read(world: &World<'_>, grants: &mut Vec<Grant>, files: &mut Vec<String>, states: &mut Vec<PolicyFile>, gaps: &mut Gaps) {
    let host = world.programs.host;
    let mut own: Vec<(Rule, Grant)> = Vec::new();
    for path in paths(host) {
        let text = match host.read_text(&path, CONFIG_LIMIT) {
            Ok(text) => text,
            Err(e) => {
                gaps.add(e.to_gap(Sudo::NAME, "", ""));
                continue;
            }
        };
        files.push(path.clone());
        states.extend(PolicyFile::of(host, &path));
        for (line, words) in rules(&text) {
            let Some(rule) = rule(&words).filter(|_| own.len() < RULE_LIMIT) else {
                let place = format!("{path}:{line}");
                gaps.note(Sudo::NAME, "grants", &place, reason::MALFORMED, format!("{place}: no rule of doas"), "Check the file with doas -C.");
                continue;
            };
            let accounts = accounts(&rule, world);
            take_back(&rule, &accounts, &mut own);
            if rule.permit {
                let grant = grant(&rule, accounts, Source::line(path.clone(), line, ""), world, gaps);
                own.push((rule, grant));
            }
        }
    }
    grants.extend(own.into_iter().map(|(_, grant)| grant));
}

fn accounts(rule: &Rule, world: &World<'_>) -> Vec<String> {
    let item = match rule.identity.strip_prefix(':') {
        Some(group) if group.bytes().all(|b| b.is_ascii_digit()) => format!("%#{group}"),
        Some(group) => format!("%{group}"),
        None if rule.identity.bytes().all(|b| b.is_ascii_digit()) => format!("#{}", rule.identity),
        None => rule.identity.clone(),
    };
    // `ALL` is a name like any other here.
    world.users.iter().filter(|u| item != "ALL" && matches_user(&item, u, world)).map(|u| u.name.clone()).collect()
}

/// A later rule for the same commands and target decides instead of an earlier one: a denial, or one
/// that asks for the password.
fn take_back(later: &Rule, accounts: &[String], own: &mut [(Rule, Grant)]) {
    for (earlier, grant) in own {
        let target = later.target.is_empty() || later.target == earlier.target;
        let command = later.command.is_none() || (later.command == earlier.command && (later.arguments.is_none() || later.arguments == earlier.arguments));
        let stricter = !later.permit || (!later.nopass && earlier.nopass);
        if target && command && stricter {
            grant.accounts.retain(|a| !accounts.contains(a));
        }
    }
}

fn grant(rule: &Rule, accounts: Vec<String>, source: Source, world: &World<'_>, gaps: &mut Gaps) -> Grant {
    let command = Item { arguments: rule.arguments.clone(), ..Item::plain(rule.command.clone().unwrap_or_else(|| "ALL".into())) };
    let who = rule.identity.strip_prefix(':').map_or_else(|| rule.identity.clone(), |group| format!("%{group}"));
    let mut grant = Grant {
        subject: format!("{who} {}:{}", source.place, source.line),
        tool: "doas".into(),
        who,
        accounts,
        hosts: vec!["ALL".into()],
        run_as: vec![if rule.target.is_empty() { "ALL".into() } else { rule.target.clone() }],
        commands: vec![command.text.clone()],
        all_commands: rule.command.is_none(),
        as_root: matches!(rule.target.as_str(), "" | "root" | "0"),
        password_needed: !rule.nopass,
        password_of: "own".into(),
        no_exec: false,
        set_env: rule.setenv,
        root_shell: false,
        root_shell_by: String::new(),
        root_shell_accounts: Vec::new(),
        writable_place: String::new(),
        writable_by: String::new(),
        not_before: None,
        not_after: None,
        source,
    };
    judge_commands(&mut grant, &[command], false, world, gaps);
    grant
}

/// The words of each line that has some; quoted words are marked by a leading NUL, as they are no keywords.
fn rules(text: &str) -> Vec<(usize, Vec<String>)> {
    let mut out = Vec::new();
    let (mut line, mut start) = (1, 1);
    let mut words: Vec<String> = Vec::new();
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\n' => {
                if !words.is_empty() {
                    out.push((start, std::mem::take(&mut words)));
                }
                line += 1;
            }
            '#' => while chars.next_if(|c| *c != '\n').is_some() {},
            '{' | '}' => words.push(c.to_string()),
            c if c.is_whitespace() => {}
            '\\' if chars.peek() == Some(&'\n') => {
                chars.next();
                line += 1;
            }
            _ => {
                if words.is_empty() {
                    start = line;
                }
                words.push(word(c, &mut chars, &mut line));
            }
        }
    }
    if !words.is_empty() {
        out.push((start, words));
    }
    out
}

fn word(first: char, chars: &mut std::iter::Peekable<std::str::Chars<'_>>, line: &mut usize) -> String {
    let (mut out, mut quoted, mut literal) = (String::new(), false, false);
    let mut next = Some(first);
    while let Some(c) = next {
        match c {
            '"' => {
                quoted = !quoted;
                literal = true;
            }
            '\\' if !quoted => {
                literal = true;
                if let Some(escaped) = chars.next() {
                    *line += usize::from(escaped == '\n');
                    out.push(escaped);
                }
            }
            c => out.push(c),
        }
        next = chars.next_if(|c| quoted || !(c.is_whitespace() || matches!(c, '{' | '}' | '#')));
    }
    if literal { format!("\0{out}") } else { out }
}

fn rule(words: &[String]) -> Option<Rule> {
    let plain = |word: &String| word.trim_start_matches('\0').to_string();
    let mut words = words.iter().peekable();
    let mut out = Rule {
        permit: match words.next()?.as_str() {
            "permit" => true,
            "deny" => false,
            _ => return None,
        },
        ..Rule::default()
    };
    while let Some(option) = words.next_if(|w| matches!(w.as_str(), "nopass" | "nolog" | "persist" | "keepenv" | "setenv")) {
        out.nopass |= option == "nopass";
        out.setenv |= option == "keepenv";
        if option == "setenv" {
            words.next_if(|w| *w == "{")?;
            while words.next()?.as_str() != "}" {}
        }
    }
    out.identity = plain(words.next()?);
    if words.next_if(|w| *w == "as").is_some() {
        out.target = plain(words.next()?);
    }
    if words.next_if(|w| *w == "cmd").is_some() {
        out.command = Some(plain(words.next()?));
        if words.next_if(|w| *w == "args").is_some() {
            out.arguments = Some(words.by_ref().map(plain).collect::<Vec<_>>().join(" "));
        }
    }
    words.next().is_none().then_some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Vec<(usize, Option<Rule>)> {
        rules(text).into_iter().map(|(line, words)| (line, rule(&words))).collect()
    }

    #[test]
    fn rules_are_taken_apart() {
        let seen = parsed("# c\npermit persist setenv { -ENV A=$B } :wheel\n\npermit nopass bob as root cmd /bin/ls args -l \"a b\" # x\ndeny \\\n carl\n");
        assert_eq!(seen.iter().map(|(l, _)| *l).collect::<Vec<_>>(), [2, 4, 5]);
        let wheel = seen[0].1.clone().unwrap();
        assert_eq!((wheel.permit, wheel.nopass, wheel.identity.as_str(), wheel.command), (true, false, ":wheel", None));
        let bob = seen[1].1.clone().unwrap();
        assert_eq!((bob.nopass, bob.target.as_str(), bob.command.as_deref(), bob.arguments.as_deref()), (true, "root", Some("/bin/ls"), Some("-l a b")));
        assert!(!seen[2].1.clone().unwrap().permit);
        assert_eq!(parsed("permit\nallow bob\npermit bob cmd\npermit bob x\n").iter().filter(|(_, r)| r.is_none()).count(), 4);
    }

    #[test]
    fn garbage_is_survived() {
        let text = "permit nopass setenv { A } \"b\\\" as root cmd /x args \\\n{";
        for end in 0..text.len() {
            parsed(&text[..end]);
            parsed(&text[end..]);
        }
    }
}
