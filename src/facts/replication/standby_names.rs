//! `synchronous_standby_names` (PostgreSQL manual, "Replication"): how many standbys a commit waits for.
//!
//! ```text
//! [FIRST] n (name, …)     ANY n (name, …)     name, …  (one of them)     * is every name
//! ```

/// Standbys that a commit waits for, and the names; `None` when the server would refuse the text.
pub fn parse(text: &str) -> Option<(u32, Vec<String>)> {
    let text = text.trim();
    if text.is_empty() {
        return Some((0, Vec::new()));
    }
    let Some((before, rest)) = text.split_once('(').filter(|(before, _)| !before.contains(['"', ','])) else {
        return Some((1, names(text)?));
    };
    let inside = rest.trim_end().strip_suffix(')')?;
    let words: Vec<&str> = before.split_whitespace().collect();
    let count = match words.as_slice() {
        [count] => count,
        [method, count] if method.eq_ignore_ascii_case("first") || method.eq_ignore_ascii_case("any") => count,
        _ => return None,
    };
    let count: u32 = count.parse().ok().filter(|n| *n > 0)?;
    Some((count, names(inside)?))
}

fn names(text: &str) -> Option<Vec<String>> {
    let mut out = Vec::new();
    let (mut name, mut inside) = (String::new(), false);
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '"' if inside && chars.peek() == Some(&'"') => name.extend(chars.next()),
            '"' => inside = !inside,
            ',' if !inside => out.push(std::mem::take(&mut name).trim().to_string()),
            c => name.push(c),
        }
    }
    out.push(name.trim().to_string());
    (!inside && out.iter().all(|n| !n.is_empty())).then_some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form() {
        let shown = |text: &str| parse(text).map(|(n, names)| format!("{n} {}", names.join("+")));
        assert_eq!(shown("").as_deref(), Some("0 "));
        assert_eq!(shown("s1, s2").as_deref(), Some("1 s1+s2"));
        assert_eq!(shown("*").as_deref(), Some("1 *"));
        assert_eq!(shown("FIRST 2 (a, \"b (x)\", c)").as_deref(), Some("2 a+b (x)+c"));
        assert_eq!(shown("any 1(a,b)").as_deref(), Some("1 a+b"));
        assert_eq!(shown("2 (a, b)").as_deref(), Some("2 a+b"));
        for wrong in ["a,", "FIRST (a)", "0 (a)", "2 (a", "\"a", "NEXT 2 (a)"] {
            assert_eq!(shown(wrong), None, "{wrong}");
        }
    }
}
