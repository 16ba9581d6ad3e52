//! The words of a script: names, texts, regular expressions and marks, comments left out.

/// One word.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Token {
    /// Name or number.
    Word(String),
    /// Quoted text.
    Text(String),
    /// Regular expression between slashes.
    Pattern,
    /// Operator or bracket.
    Mark(String),
}

/// Operators of more than one character, longest first.
const MARKS: [&str; 10] = ["===", "!==", "==", "!=", ">=", "<=", "&&", "||", "=>", "++"];

/// Words with their lines, or where it can't be read.
pub fn tokens(text: &str) -> Result<Vec<(usize, Token)>, (usize, &'static str)> {
    let mut out: Vec<(usize, Token)> = Vec::new();
    let mut rest = text;
    let mut line = 1;
    while let Some(first) = rest.chars().next() {
        let length = if first.is_whitespace() {
            first.len_utf8()
        } else if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if rest.starts_with("/*") {
            rest.find("*/").ok_or((line, "a comment without an end"))? + 2
        } else if first == '"' || first == '\'' || first == '`' {
            let (text, length) = quoted(rest, first).ok_or((line, "a text without an end"))?;
            out.push((line, Token::Text(text)));
            length
        } else if first == '/' && pattern_may_begin(out.last()) {
            let (_, length) = quoted(rest, '/').ok_or((line, "a regular expression without an end"))?;
            out.push((line, Token::Pattern));
            length
        } else if first.is_alphanumeric() || first == '_' || first == '$' {
            let length = rest.find(|c: char| !(c.is_alphanumeric() || c == '_' || c == '$')).unwrap_or(rest.len());
            out.push((line, Token::Word(rest.get(..length).unwrap_or("").to_string())));
            length
        } else {
            let mark = MARKS.iter().find(|m| rest.starts_with(**m)).map_or_else(|| first.to_string(), |m| (*m).to_string());
            let length = mark.len();
            out.push((line, Token::Mark(mark)));
            length
        };
        let (passed, left) = rest.split_at_checked(length).unwrap_or((rest, ""));
        line += passed.matches('\n').count();
        rest = left;
    }
    Ok(out)
}

fn pattern_may_begin(last: Option<&(usize, Token)>) -> bool {
    match last {
        None => true,
        Some((_, Token::Mark(mark))) => mark != ")" && mark != "]",
        Some((_, Token::Word(word))) => word == "return",
        Some(_) => false,
    }
}

/// Text up to the closing mark, and the length of it all. Escapes stand for the character behind.
fn quoted(text: &str, mark: char) -> Option<(String, usize)> {
    let mut out = String::new();
    let mut escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        match c {
            _ if std::mem::take(&mut escaped) => out.push(c),
            '\\' => escaped = true,
            '\n' if mark != '`' => return None,
            c if c == mark => return Some((out, at + c.len_utf8())),
            c => out.push(c),
        }
    }
    None
}
