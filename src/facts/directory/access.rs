//! What access rules of slapd.access(5) give to strangers: the most permissive answer over all
//! entries of a database.
//!
//! Rules are tried in their order; the first whose `to` covers the attribute decides by the first
//! `by` that covers a stranger. A rule that is for some entries only may decide or may be passed
//! over, and a condition about the connection may hold or not: then both answers are looked at.

use super::config::Value;
use crate::model::fact::Source;

/// Levels from the least.
pub const LEVELS: [&str; 8] = ["none", "disclose", "auth", "compare", "search", "read", "write", "manage"];
const READ: usize = 5;
const WRITE: usize = 6;
const MANAGE: usize = 7;
/// Most rules looked at.
const RULE_LIMIT: usize = 1000;

/// The most that strangers may do, and the rule that lets them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// Index into [`LEVELS`].
    pub level: usize,
    /// The rule; `None` when no rule decides.
    pub source: Option<Source>,
}

/// Whether something covers a stranger, an entry or an attribute.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Covers {
    Never,
    Perhaps,
    Always,
}

/// What strangers may do with an attribute of any entry below the suffixes.
pub fn of_strangers(rules: &[&Value], attribute: &str, suffixes: &[String]) -> Found {
    // Without any rule everybody reads (slapd.access(5)).
    if rules.is_empty() {
        return Found { level: READ, source: None };
    }
    let mut best = Found::default();
    let mut take = |level: usize, rule: &Value| {
        if level > best.level || best.source.is_none() {
            best = Found { level: level.max(best.level), source: Some(rule.source.clone()) };
        }
    };
    for rule in rules.iter().take(RULE_LIMIT) {
        let (what, by) = clauses(&rule.text);
        let covers = covers(&what, attribute, suffixes);
        if covers == Covers::Never {
            continue;
        }
        let mut goes_on = false;
        let mut decided = false;
        for clause in &by {
            let (who, level, control) = clause_of(clause);
            let stranger = stranger(&who);
            if stranger == Covers::Never {
                continue;
            }
            take(level, rule);
            goes_on |= control == Control::Break;
            if stranger == Covers::Always && control != Control::Continue {
                decided = true;
                break;
            }
        }
        if !decided {
            // Nobody named: nothing, and no further rule.
            take(0, rule);
        }
        if covers == Covers::Always && !goes_on {
            break;
        }
    }
    best
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Control {
    Stop,
    Continue,
    Break,
}

/// Words of `to …` and of each `by …`.
fn clauses(text: &str) -> (Vec<String>, Vec<Vec<String>>) {
    let mut what = Vec::new();
    let mut by: Vec<Vec<String>> = Vec::new();
    for word in words(text) {
        if word.eq_ignore_ascii_case("by") {
            by.push(Vec::new());
        } else if let Some(clause) = by.last_mut() {
            clause.push(word);
        } else if !word.eq_ignore_ascii_case("to") {
            what.push(word);
        }
    }
    (what, by)
}

/// Blanks separate words, double quotes hold them together and are taken off.
fn words(text: &str) -> Vec<String> {
    let mut out = Vec::new();
    let mut word: Option<String> = None;
    let mut quoted = false;
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match c {
            '"' => {
                quoted = !quoted;
                word.get_or_insert_default();
            }
            '\\' if quoted => word.get_or_insert_default().extend(chars.next()),
            c if c.is_whitespace() && !quoted => out.extend(word.take()),
            c => word.get_or_insert_default().push(c),
        }
    }
    out.extend(word);
    out
}

fn covers(what: &[String], attribute: &str, suffixes: &[String]) -> Covers {
    let mut out = Covers::Always;
    for word in what {
        let (name, value) = word.split_once('=').unwrap_or((word, ""));
        let lower = name.to_ascii_lowercase();
        let covered = match lower.as_str() {
            "*" => Covers::Always,
            "attrs" | "attr" => of_attributes(value, attribute),
            _ if lower == "dn" || lower.starts_with("dn.") => of_entries(&lower, value, suffixes),
            // filter, val and whatever else narrows it.
            _ => Covers::Perhaps,
        };
        out = out.min(covered);
    }
    out
}

fn of_attributes(list: &str, attribute: &str) -> Covers {
    let aliases: &[&str] =
        if attribute.eq_ignore_ascii_case("userPassword") { &["userpassword", "2.5.4.35"] } else { &["cn", "commonname", "name", "2.5.4.3"] };
    let mut out = Covers::Never;
    for name in list.split(',').map(|n| n.trim().to_ascii_lowercase()) {
        if aliases.contains(&name.split(';').next().unwrap_or(&name)) {
            return Covers::Always;
        }
        // Which attributes a class has is the schema's matter.
        if name.starts_with(['@', '!', '+']) || name == "*" {
            out = Covers::Perhaps;
        }
    }
    out
}

/// A whole suffix is every entry.
fn of_entries(name: &str, value: &str, suffixes: &[String]) -> Covers {
    let style = name.strip_prefix("dn.").unwrap_or("");
    let bare = |text: &str| text.chars().filter(|c| !c.is_whitespace()).flat_map(char::to_lowercase).collect::<String>();
    let value = bare(value);
    let is_subtree = matches!(style, "subtree" | "sub" | "children");
    let is_all = value == "*" || (style.starts_with("regex") && matches!(value.as_str(), ".*" | "^.*$")) || (is_subtree && value.is_empty());
    // What lies beside every suffix is none of this database's entries, such as the root entry.
    let is_related = |s: &String| {
        let s = bare(s);
        s == value || value.ends_with(&format!(",{s}")) || s.ends_with(&format!(",{value}"))
    };
    if !is_all && !style.starts_with("regex") && !suffixes.iter().any(is_related) {
        return Covers::Never;
    }
    if is_all || (matches!(style, "subtree" | "sub") && suffixes.iter().all(|s| bare(s) == value || bare(s).ends_with(&format!(",{value}")))) {
        return Covers::Always;
    }
    Covers::Perhaps
}

/// Who, how much, and what follows.
fn clause_of(words: &[String]) -> (Vec<&str>, usize, Control) {
    let mut who = Vec::new();
    let mut level = None;
    let mut control = Control::Stop;
    for word in words {
        let lower = word.to_ascii_lowercase();
        match lower.as_str() {
            "stop" => control = Control::Stop,
            "continue" => control = Control::Continue,
            "break" => control = Control::Break,
            _ => match level_of(&lower) {
                Some(found) if !who.is_empty() => level = Some(found),
                _ => who.push(word.as_str()),
            },
        }
    }
    (who, level.unwrap_or(0), control)
}

/// A level by name, or by its privileges.
fn level_of(word: &str) -> Option<usize> {
    let plain = word.strip_prefix("real").unwrap_or(word);
    let plain = plain.strip_prefix("self").filter(|p| !p.is_empty()).unwrap_or(plain);
    if let Some(at) = LEVELS.iter().position(|l| *l == plain) {
        return Some(at);
    }
    if matches!(plain, "add" | "delete") {
        return Some(WRITE);
    }
    let privileges = plain.strip_prefix(['=', '+', '-'])?;
    if plain.starts_with('-') {
        return Some(0);
    }
    let highest = |c: char| match c {
        'm' => MANAGE,
        'w' | 'a' | 'z' => WRITE,
        'r' => READ,
        's' => 4,
        'c' => 3,
        'x' => 2,
        'd' => 1,
        _ => 0,
    };
    Some(privileges.chars().map(highest).max().unwrap_or(0))
}

/// Whether every condition of a `by` covers a client that gave no name.
fn stranger(who: &[&str]) -> Covers {
    let mut out = Covers::Always;
    for word in who {
        let (name, value) = word.split_once('=').unwrap_or((word, ""));
        let lower = name.to_ascii_lowercase();
        let base = lower.split(['.', '/']).next().unwrap_or(&lower);
        let covered = match base {
            "*" | "anonymous" | "realanonymous" => Covers::Always,
            "users" | "realusers" | "self" | "realself" | "dnattr" | "realdnattr" | "group" => Covers::Never,
            "dn" | "realdn" if value == "*" || matches!(value, ".*" | "^.*$" | "^$" | "") => Covers::Always,
            // A pattern may cover the empty name.
            "dn" | "realdn" if lower.contains("regex") => Covers::Perhaps,
            "dn" | "realdn" => Covers::Never,
            _ => Covers::Perhaps,
        };
        out = out.min(covered);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(rules: &[&str], attribute: &str) -> &'static str {
        let values: Vec<Value> = rules.iter().map(|r| Value { name: "access".into(), text: (*r).into(), source: Source::default() }).collect();
        let found = of_strangers(&values.iter().collect::<Vec<_>>(), attribute, &["dc=a".to_string()]);
        LEVELS[found.level]
    }

    #[test]
    fn the_first_rule_that_covers_decides() {
        let usual = ["to attrs=userPassword by self write by anonymous auth by * none", "to attrs=shadowLastChange by self write by * read", "to * by * read"];
        assert_eq!((of(&usual, "userPassword"), of(&usual, "cn")), ("auth", "read"));
        assert_eq!(of(&[], "userPassword"), "read");
        assert_eq!(of(&["to attrs=cn by * read"], "userPassword"), "none");
        assert_eq!(of(&["to * by users read"], "cn"), "none");
        assert_eq!(of(&["to * by * read", "to attrs=userPassword by * none"], "userPassword"), "read");
        assert_eq!(of(&["to dn.subtree=\"DC=a\" attrs=userPassword by * none", "to * by * read"], "userPassword"), "none");
        assert_eq!(of(&["to dn.exact=\"\" by * read", "to dn.base=\"cn=Subschema\" by * read", "to * by users read"], "cn"), "none");
        // Some entries pass the first rule over.
        assert_eq!(of(&["to dn.subtree=\"ou=x,dc=a\" by * none", "to * by * read"], "userPassword"), "read");
        assert_eq!(of(&["to * filter=(objectClass=x) by * read", "to * by * none"], "cn"), "read");
    }

    #[test]
    fn conditions_controls_and_privileges() {
        assert_eq!(of(&["to * by peername.ip=10.0.0.1 read by * none"], "userPassword"), "read");
        assert_eq!(of(&["to * by * ssf=128 read by * auth"], "cn"), "read");
        assert_eq!(of(&["to * by dn.exact=\"cn=x y,dc=a\" write by * =xd"], "cn"), "auth");
        assert_eq!(of(&["to * by * =0 break", "to * by anonymous +rscxd"], "cn"), "read");
        assert_eq!(of(&["to * by * continue by anonymous read"], "cn"), "read");
        assert_eq!(of(&["to attrs=@inetOrgPerson by * read", "to * by * none"], "userPassword"), "read");
        for text in ["to", "by", "to * by", "to \" by * read", "by * by * by"] {
            let _ = of(&[text], "cn");
        }
    }
}
