//! Wildcard patterns of configuration files.

/// `*`, `?` and `[…]` as in glob(7) and in OpenSSH's pattern lists.
pub fn matches(pattern: &str, name: &str) -> bool {
    let pattern: Vec<char> = pattern.chars().collect();
    let name: Vec<char> = name.chars().collect();
    let (mut p, mut n) = (0, 0);
    let mut back: Option<(usize, usize)> = None;
    while n < name.len() {
        let step = match pattern.get(p) {
            Some('*') => {
                back = Some((p, n));
                p += 1;
                continue;
            }
            Some('?') => Some(p + 1),
            Some('[') => class(&pattern, p, name.get(n).copied().unwrap_or('\0')),
            Some(c) if name.get(n) == Some(c) => Some(p + 1),
            _ => None,
        };
        match (step, back) {
            (Some(next), _) => {
                p = next;
                n += 1;
            }
            (None, Some((star, from))) => {
                p = star + 1;
                n = from + 1;
                back = Some((star, from + 1));
            }
            (None, None) => return false,
        }
    }
    pattern.get(p..).is_some_and(|rest| rest.iter().all(|c| *c == '*'))
}

/// The index behind the class when `c` is in it; an unclosed bracket is a plain character.
fn class(pattern: &[char], open: usize, c: char) -> Option<usize> {
    let negated = matches!(pattern.get(open + 1), Some('!' | '^'));
    let first = open + 1 + usize::from(negated);
    let close = (first + 1..pattern.len()).find(|i| pattern.get(*i) == Some(&']'));
    let Some(close) = close else {
        return (c == '[').then_some(open + 1);
    };
    let set = pattern.get(first..close).unwrap_or(&[]);
    let mut hit = false;
    let mut i = 0;
    while let Some(&low) = set.get(i) {
        if let (Some('-'), Some(&high)) = (set.get(i + 1), set.get(i + 2)) {
            hit |= (low..=high).contains(&c);
            i += 3;
        } else {
            hit |= low == c;
            i += 1;
        }
    }
    (hit != negated).then_some(close + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wildcards_match_as_glob_does() {
        for (pattern, name, expected) in [
            ("*.conf", "a.conf", true),
            ("*.conf", "a.conf.save", false),
            ("[0-9]?-*", "50-cloud", true),
            ("[!0-9]*", "50-cloud", false),
            ("a*b*c", "aXbXbXc", true),
            ("a*b*c", "aXbX", false),
            ("", "", true),
            ("[", "[", true),
        ] {
            assert_eq!(matches(pattern, name), expected, "{pattern} {name}");
        }
    }
}
