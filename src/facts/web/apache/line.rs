//! One line of Apache's configuration: words, quotes, variables.

use std::collections::BTreeMap;

/// Words of a line: blanks separate, quotes of both kinds hold together, a backslash escapes the quote or itself.
pub fn words(text: &str) -> Vec<String> {
    let mut out = Vec::new();
    let mut chars = text.chars().peekable();
    while let Some(&c) = chars.peek() {
        if c.is_whitespace() {
            chars.next();
            continue;
        }
        let quote = if c == '"' || c == '\'' { chars.next() } else { None };
        let mut word = String::new();
        while let Some(c) = chars.next() {
            match (quote, c) {
                (Some(q), c) if c == q => break,
                (None, c) if c.is_whitespace() => break,
                (_, '\\') => match chars.peek() {
                    Some(&next) if next == '\\' || Some(next) == quote => {
                        word.push(next);
                        chars.next();
                    }
                    _ => word.push('\\'),
                },
                (_, c) => word.push(c),
            }
        }
        out.push(word);
    }
    out
}

/// Puts values in the place of `${NAME}`; a name that nothing defines stays as it is, as Apache leaves it.
pub fn expand(text: &str, variables: &BTreeMap<String, String>) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("${") {
        out.push_str(before);
        let Some((name, behind)) = after.split_once('}') else {
            out.push_str("${");
            rest = after;
            continue;
        };
        match variables.get(name) {
            Some(value) => out.push_str(value),
            None => out.push_str(&format!("${{{name}}}")),
        }
        rest = behind;
    }
    out.push_str(rest);
    out
}

/// Variables that a shell script such as Debian's envvars exports. What stands in a condition is left out, but for the suffix of
/// a second instance, which the usual folder does not have.
pub fn environment(text: &str, folder: &str) -> BTreeMap<String, String> {
    let mut out = BTreeMap::new();
    let suffix = folder.strip_prefix("/etc/apache2-").map(|name| format!("-{name}")).unwrap_or_default();
    out.insert("SUFFIX".to_string(), suffix);
    out.insert("APACHE_CONFDIR".to_string(), folder.to_string());
    let mut depth = 0_usize;
    for line in text.lines() {
        let line = line.trim();
        match line.split_whitespace().next() {
            Some("if" | "case" | "for" | "while") => depth += 1,
            Some("fi" | "esac" | "done") => depth = depth.saturating_sub(1),
            _ => {}
        }
        let line = line.strip_prefix("export ").unwrap_or(line);
        let Some((name, value)) = line.split_once('=').filter(|(n, _)| is_name(n)) else { continue };
        if depth == 0 {
            let value = shell(value, &out);
            out.insert(name.to_string(), value);
        }
    }
    out
}

fn is_name(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_') && !text.starts_with(|c: char| c.is_ascii_digit())
}

/// The first word of a value: quotes taken off, `$NAME`, `${NAME}` and `${NAME:-default}` put in.
fn shell(value: &str, known: &BTreeMap<String, String>) -> String {
    let mut out = String::new();
    let mut chars = value.chars().peekable();
    let mut quote: Option<char> = None;
    while let Some(c) = chars.next() {
        match (quote, c) {
            (Some(q), c) if c == q => quote = None,
            (None, '"' | '\'') => quote = Some(c),
            (None, c) if c.is_whitespace() || c == ';' || c == '#' => break,
            (Some('\''), c) => out.push(c),
            (_, '$') => {
                let braced = chars.peek() == Some(&'{');
                let mut name = String::new();
                if braced {
                    chars.next();
                    name.extend(chars.by_ref().take_while(|c| *c != '}'));
                } else {
                    while let Some(c) = chars.next_if(|c| c.is_ascii_alphanumeric() || *c == '_') {
                        name.push(c);
                    }
                }
                let (name, default) = name.split_once(":-").map_or((name.as_str(), ""), |(n, d)| (n, d));
                out.push_str(known.get(name).map_or(default, String::as_str));
            }
            (_, c) => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_and_variables() {
        assert_eq!(words(r#"Header always set X "a \"b\" c" d\\e 'f g'"#), ["Header", "always", "set", "X", "a \"b\" c", "d\\e", "f g"]);
        assert_eq!(words(r"RewriteRule ^/(.*)\.html$ -"), ["RewriteRule", r"^/(.*)\.html$", "-"]);
        assert_eq!(words("\"open"), ["open"]);
        let variables = BTreeMap::from([("A".to_string(), "/x".to_string())]);
        assert_eq!(expand("${A}/y ${B} ${ $A", &variables), "/x/y ${B} ${ $A");
    }

    #[test]
    fn variables_of_the_usual_script() {
        let text = "unset HOME\nif [ \"${APACHE_CONFDIR##/etc/apache2-}\" != x ] ; then\n SUFFIX=\"-y\"\nelse\n SUFFIX=\nfi\nexport APACHE_RUN_DIR=/var/run/apache2$SUFFIX\n\
            export APACHE_LOG_DIR=\"/var/log/apache2${SUFFIX}\" # c\nexport LANG\n#export X=1\nY=${Z:-w}\n";
        let of = |folder: &str| environment(text, folder);
        assert_eq!(of("/etc/apache2").get("APACHE_RUN_DIR").unwrap(), "/var/run/apache2");
        assert_eq!(of("/etc/apache2-b").get("APACHE_LOG_DIR").unwrap(), "/var/log/apache2-b");
        assert_eq!((of("/a").get("Y").map(String::as_str), of("/a").get("X")), (Some("w"), None));
    }
}
