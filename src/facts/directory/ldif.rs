//! LDIF of one entry (RFC 2849): folded lines, values in base64, comments.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// Most values kept of one entry.
const VALUE_LIMIT: usize = 50_000;

/// Attribute in lower case, value, line.
pub fn values(text: &str) -> Vec<(String, String, usize)> {
    let mut out = Vec::new();
    for (line, text) in unfolded(text) {
        if out.len() >= VALUE_LIMIT {
            break;
        }
        let Some((name, rest)) = text.split_once(':') else { continue };
        let value = match rest.strip_prefix(':') {
            Some(encoded) => match STANDARD.decode(encoded.trim()) {
                Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
                Err(_) => continue,
            },
            None => rest.trim_start().to_string(),
        };
        // Options such as `;binary` are no part of the name.
        let name = name.split(';').next().unwrap_or(name).to_ascii_lowercase();
        out.push((name, value, line));
    }
    out
}

/// A line that begins with one blank goes on with the one before; comments fold as well.
fn unfolded(text: &str) -> Vec<(usize, String)> {
    let mut out: Vec<(usize, String)> = Vec::new();
    for (index, line) in text.lines().enumerate() {
        match (line.strip_prefix(' '), out.last_mut()) {
            (Some(more), Some((_, before))) => before.push_str(more),
            _ => out.push((index + 1, line.to_string())),
        }
    }
    out.retain(|(_, l)| !l.starts_with('#') && !l.is_empty());
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folds_and_base64() {
        let text = "# comment\n folded\ndn: olcDatabase={1}mdb\nolcAccess: {0}to *\n  by * read\nolcSuffix:: ZGM9w6k=\nolcRootPW;x: y\nbad\nolcX:: %\n";
        let found = values(text);
        let shown: Vec<String> = found.iter().map(|(n, v, l)| format!("{n}={v}@{l}")).collect();
        assert_eq!(shown, ["dn=olcDatabase={1}mdb@3", "olcaccess={0}to * by * read@4", "olcsuffix=dc=é@6", "olcrootpw=y@7"]);
    }
}
