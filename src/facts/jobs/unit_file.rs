//! The text of unit files: systemd.syntax(7), command lines of systemd.service(5), specifiers of
//! systemd.unit(5).

use std::collections::BTreeMap;

/// One assignment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setting {
    /// Section, without brackets.
    pub section: String,
    /// Key.
    pub key: String,
    /// Value, continuation lines joined.
    pub value: String,
    /// File.
    pub place: String,
    /// First line, from 1.
    pub line: usize,
}

/// Most assignments kept of one file.
const SETTING_LIMIT: usize = 10_000;

/// The assignments of one file in order.
pub fn parse(text: &str, place: &str) -> Vec<Setting> {
    let mut out = Vec::new();
    let mut section = String::new();
    let mut lines = text.lines().enumerate();
    while let Some((index, first)) = lines.next() {
        let first = first.trim();
        if first.is_empty() || first.starts_with(['#', ';']) {
            continue;
        }
        if let Some(name) = first.strip_prefix('[').and_then(|l| l.strip_suffix(']')) {
            section = name.to_string();
            continue;
        }
        let mut whole = first.to_string();
        while whole.ends_with('\\') {
            whole.pop();
            whole.push(' ');
            // Comments between continued lines are passed over.
            match lines.find(|(_, l)| !l.trim_start().starts_with(['#', ';'])) {
                Some((_, next)) => whole.push_str(next.trim()),
                None => break,
            }
        }
        let Some((key, value)) = whole.split_once('=') else { continue };
        if out.len() == SETTING_LIMIT {
            break;
        }
        out.push(Setting { section: section.clone(), key: key.trim().into(), value: value.trim().into(), place: place.into(), line: index + 1 });
    }
    out
}

/// The last value of a key; an empty assignment takes back what stood before.
pub fn last<'s>(settings: &'s [Setting], section: &str, key: &str) -> Option<&'s Setting> {
    settings.iter().rfind(|s| s.section == section && s.key == key).filter(|s| !s.value.is_empty())
}

/// Every value of a key that may be given more than once; an empty one empties the list.
pub fn all<'s>(settings: &'s [Setting], section: &str, key: &str) -> Vec<&'s Setting> {
    let mut out = Vec::new();
    for setting in settings.iter().filter(|s| s.section == section && s.key == key) {
        if setting.value.is_empty() {
            out.clear();
        } else {
            out.push(setting);
        }
    }
    out
}

/// Whether a value says yes (systemd.syntax(7)).
pub fn is_yes(value: &str) -> bool {
    ["1", "yes", "y", "true", "t", "on"].iter().any(|w| value.eq_ignore_ascii_case(w))
}

/// Words with quotes and escapes taken out.
pub fn words(text: &str) -> Vec<String> {
    let mut out = Vec::new();
    let mut word: Option<String> = None;
    let mut quote: Option<char> = None;
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match (quote, c) {
            (Some(q), c) if c == q => quote = None,
            (None, '"' | '\'') => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            (_, '\\') => {
                let escaped = match chars.next() {
                    Some('n') => '\n',
                    Some('t') => '\t',
                    Some('s') => ' ',
                    Some(other) => other,
                    None => break,
                };
                word.get_or_insert_default().push(escaped);
            }
            (None, c) if c.is_whitespace() => out.extend(word.take()),
            (_, c) => word.get_or_insert_default().push(c),
        }
    }
    out.extend(word);
    out
}

/// One command of an `Exec…=` line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Execution {
    /// Whether its prefix keeps root's rights although `User=` names another account.
    pub privileged: bool,
    /// Program and arguments; `None` where a variable is not known.
    pub arguments: Vec<Option<String>>,
}

/// The commands of a value; a lone semicolon separates them.
pub fn executions(value: &str, variables: &BTreeMap<String, String>) -> Vec<Execution> {
    let mut out = Vec::new();
    let words = words(value);
    for words in words.split(|w| w == ";") {
        let Some((first, rest)) = words.split_first() else { continue };
        let program = first.trim_start_matches(['@', '-', ':', '+', '!', '|']);
        let prefix = first.get(..first.len() - program.len()).unwrap_or("");
        // With `!!` the account is changed to wherever the kernel can keep capabilities, as all do.
        let privileged = prefix.contains('+') || prefix.contains('!') && !prefix.contains("!!");
        let rest = if prefix.contains('@') { rest.get(1..).unwrap_or_default() } else { rest };
        let program = Some(program.to_string()).filter(|p| !p.is_empty());
        let arguments = std::iter::once(program).chain(rest.iter().map(|w| expand(w, variables))).collect();
        out.push(Execution { privileged, arguments });
    }
    out
}

/// `$NAME` and `${NAME}`. What is not known stays in a command text, where the shell's own
/// variables stand too, and makes any other word unknown.
fn expand(word: &str, variables: &BTreeMap<String, String>) -> Option<String> {
    let mut out = String::new();
    let mut unknown = false;
    let mut rest = word;
    while let Some((before, after)) = rest.split_once('$') {
        out.push_str(before);
        if let Some(after) = after.strip_prefix('$') {
            out.push('$');
            rest = after;
            continue;
        }
        let braced = after.strip_prefix('{').and_then(|a| a.split_once('}'));
        let (name, after) = braced.unwrap_or_else(|| after.split_at(after.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(after.len())));
        match variables.get(name) {
            Some(value) => out.push_str(value),
            None => {
                unknown = true;
                out.push_str(&format!("${{{name}}}"));
            }
        }
        rest = after;
    }
    out.push_str(rest);
    (!unknown || word.contains(char::is_whitespace)).then_some(out)
}

/// What the specifiers of a unit stand for.
#[derive(Clone, Copy, Debug)]
pub struct Names<'a> {
    /// Full name of the unit.
    pub unit: &'a str,
    /// Home folder (`%h`).
    pub home: &'a str,
}

/// Replaces specifiers; one whose value is not known stays, so that nothing is found by it.
pub fn specify(value: &str, names: Names<'_>) -> String {
    let stem = names.unit.rsplit_once('.').map_or(names.unit, |(s, _)| s);
    let (prefix, instance) = stem.split_once('@').unwrap_or((stem, ""));
    let mut out = String::new();
    let mut chars = value.chars();
    while let Some(c) = chars.next() {
        if c != '%' {
            out.push(c);
            continue;
        }
        match chars.next() {
            Some('%') | None => out.push('%'),
            Some('n') => out.push_str(names.unit),
            Some('N') => out.push_str(stem),
            Some('p') => out.push_str(prefix),
            Some('P') => out.push_str(&unescape(prefix)),
            Some('i') => out.push_str(instance),
            Some('I') => out.push_str(&unescape(instance)),
            Some('j') => out.push_str(prefix.rsplit('-').next().unwrap_or(prefix)),
            Some('f') => out.push_str(&format!("/{}", unescape(if instance.is_empty() { prefix } else { instance }))),
            Some('h') => out.push_str(names.home),
            Some('E') => out.push_str("/etc"),
            Some('S') => out.push_str("/var/lib"),
            Some('C') => out.push_str("/var/cache"),
            Some('L') => out.push_str("/var/log"),
            Some('t') => out.push_str("/run"),
            Some('T') => out.push_str("/tmp"),
            Some('V') => out.push_str("/var/tmp"),
            Some(other) => {
                out.push('%');
                out.push(other);
            }
        }
    }
    out
}

/// systemd-escape(1) undone.
fn unescape(text: &str) -> String {
    let mut out: Vec<u8> = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        match (first, after) {
            (b'-', _) => out.push(b'/'),
            (b'\\', [b'x', high, low, more @ ..]) => {
                let digit = |b: &u8| char::from(*b).to_digit(16).and_then(|d| u8::try_from(d).ok());
                if let (Some(high), Some(low)) = (digit(high), digit(low)) {
                    out.push(high * 16 + low);
                    rest = more;
                    continue;
                }
                out.push(b'\\');
            }
            (other, _) => out.push(*other),
        }
        rest = after;
    }
    String::from_utf8_lossy(&out).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn assignments_continue_and_are_taken_back() {
        let text = "; c\n[Service]\nExecStart=/a \\\n# between\n  /b\nExecStart=\nExecStart = /c\nUser=bob\n[Unit]\nUser=x\nnonsense\n";
        let settings = parse(text, "/u");
        assert_eq!(settings[0].value, "/a  /b");
        let all = all(&settings, "Service", "ExecStart");
        assert_eq!(all.iter().map(|s| (s.value.as_str(), s.line)).collect::<Vec<_>>(), [("/c", 7)]);
        assert_eq!(last(&settings, "Service", "User").unwrap().value, "bob");
        assert!(is_yes("Yes") && is_yes("1") && !is_yes("no"));
    }

    #[test]
    fn command_lines() {
        let variables = BTreeMap::from([("A".to_string(), "/opt".to_string())]);
        let shown = |value: &str| {
            let show = |e: &Execution| {
                let words = e.arguments.iter().map(|a| a.clone().unwrap_or_else(|| "?".into()));
                format!("{}{}", if e.privileged { "+" } else { "" }, words.collect::<Vec<_>>().join("|"))
            };
            executions(value, &variables).iter().map(show).collect::<Vec<_>>()
        };
        assert_eq!(shown("-/bin/sh -c 'x \"$A\" $B $$C'"), ["/bin/sh|-c|x \"/opt\" ${B} $C"]);
        assert_eq!(shown("@/usr/bin/x name ${A}/y $Z ; +/two\\x20"), ["/usr/bin/x|/opt/y|?", "+/twox20"]);
        assert_eq!(shown("!!/a"), ["/a"]);
        assert_eq!(shown("!/a \"b c\""), ["+/a|b c"]);
        assert!(shown("").is_empty());
    }

    #[test]
    fn specifiers() {
        let names = Names { unit: "mount-x@srv-a\\x2db.service", home: "/root" };
        assert_eq!(specify("%h/%i %I %p %n 100%% %Q", names), "/root/srv-a\\x2db srv/a-b mount-x mount-x@srv-a\\x2db.service 100% %Q");
    }

    #[test]
    fn garbage_ends() {
        let text = "[a]\n=\\\nk=\\\\\n[\n]=x\nk='\"\\";
        for end in 0..text.len() {
            for setting in parse(&text[..end], "/u") {
                let _ = executions(&setting.value, &BTreeMap::new());
                let _ = specify(&setting.value, Names { unit: "\\x", home: "" });
            }
        }
        let _ = unescape("\\x\\x4\\x4é");
    }
}
