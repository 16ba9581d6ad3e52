//! Text of hosts on its way into a page: hostile until it is here.

use std::fmt;

/// Longest text of a host that a page shows, characters; the rest is counted.
pub const MAX_SHOWN: usize = 2_000;

/// The escaper of every template: HTML's five characters, and nothing invisible goes through.
///
/// Control characters become their picture (U+2400 …), characters that reorder or hide text
/// (bidirectional marks, zero-width characters) become U+FFFD: what a reviewer sees is what is there.
#[derive(Clone, Copy, Debug, Default)]
pub struct Neutral;

impl askama::filters::Escaper for Neutral {
    fn write_escaped_str<W: fmt::Write>(&self, mut dest: W, text: &str) -> fmt::Result {
        let mut plain = 0;
        for (at, c) in text.char_indices() {
            let Some(instead) = replacement(c) else { continue };
            dest.write_str(text.get(plain..at).unwrap_or_default())?;
            instead.write(&mut dest)?;
            plain = at + c.len_utf8();
        }
        dest.write_str(text.get(plain..).unwrap_or_default())
    }
}

enum Instead {
    Entity(&'static str),
    Picture(char),
}

impl Instead {
    fn write(self, dest: &mut impl fmt::Write) -> fmt::Result {
        match self {
            Self::Entity(entity) => dest.write_str(entity),
            Self::Picture(picture) => dest.write_char(picture),
        }
    }
}

fn replacement(c: char) -> Option<Instead> {
    Some(match c {
        '&' => Instead::Entity("&amp;"),
        '<' => Instead::Entity("&lt;"),
        '>' => Instead::Entity("&gt;"),
        '"' => Instead::Entity("&#34;"),
        '\'' => Instead::Entity("&#39;"),
        '\n' => return None,
        '\0'..='\u{1f}' => Instead::Picture(char::from_u32(0x2400 + c as u32).unwrap_or('\u{fffd}')),
        '\u{7f}' => Instead::Picture('\u{2421}'),
        '\u{80}'..='\u{9f}'
        | '\u{ad}'
        | '\u{61c}'
        | '\u{180e}'
        | '\u{200b}'..='\u{200f}'
        | '\u{2028}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}'
        | '\u{feff}'
        | '\u{fff9}'..='\u{fffb}'
        | '\u{e0000}'..='\u{e007f}' => Instead::Picture('\u{fffd}'),
        _ => return None,
    })
}

/// Whether a field of a form brings the text back as it was: nothing in it is shown as something else.
pub fn is_faithful(text: &str) -> bool {
    !text.chars().any(|c| c == '\n' || matches!(replacement(c), Some(Instead::Picture(_))))
}

/// At most [`MAX_SHOWN`] characters of `text`; a cut says how much is missing.
pub fn shown(text: &str) -> String {
    match text.char_indices().nth(MAX_SHOWN) {
        None => text.to_string(),
        Some((at, _)) => {
            let rest = text.get(at..).unwrap_or_default().chars().count();
            format!("{} … ({rest} more characters)", text.get(..at).unwrap_or_default())
        }
    }
}

/// The beginning of `text`, at most `most` characters, for lists that lead to the whole.
pub fn brief(text: &str, most: usize) -> String {
    match text.char_indices().nth(most) {
        None => text.to_string(),
        Some((at, _)) => format!("{} …", text.get(..at).unwrap_or_default()),
    }
}

/// `text` for one part of a path or query (RFC 3986 section 2.3: all but unreserved escaped).
pub fn encode(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 8);
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

/// `n` with its noun: `1 host`, `12 hosts`.
pub fn counted(n: usize, one: &str, many: &str) -> String {
    format!("{} {}", grouped(n as u64), if n == 1 { one } else { many })
}

/// Thousands apart by a thin space: `40 312`.
pub fn grouped(n: u64) -> String {
    let digits = n.to_string();
    let mut out = String::with_capacity(digits.len() + 4);
    for (i, c) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push('\u{202f}');
        }
        out.push(c);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use askama::filters::Escaper as _;

    fn escaped(text: &str) -> String {
        let mut out = String::new();
        Neutral.write_escaped_str(&mut out, text).unwrap();
        out
    }

    #[test]
    fn nothing_active_or_invisible_goes_through() {
        assert_eq!(escaped("<b a='1' c=\"2\">&"), "&lt;b a=&#39;1&#39; c=&#34;2&#34;&gt;&amp;");
        assert_eq!(escaped("a\u{1b}[31m\0é"), "a\u{241b}[31m\u{2400}é");
        assert_eq!(escaped("user\u{202e}txt.exe\u{200b}"), "user\u{fffd}txt.exe\u{fffd}");
        assert_eq!(escaped("two\nlines"), "two\nlines");
    }

    #[test]
    fn a_form_brings_back_what_is_shown_as_it_is() {
        assert!(is_faithful("0.0.0.0:22/tcp <b> é") && !is_faithful("a\u{202e}b") && !is_faithful("a\u{1b}b") && !is_faithful("two\nlines"));
    }

    #[test]
    fn a_cut_says_how_much_is_missing() {
        assert_eq!(shown("é"), "é");
        assert_eq!(shown(&"é".repeat(MAX_SHOWN)), "é".repeat(MAX_SHOWN));
        assert!(shown(&"é".repeat(MAX_SHOWN + 3)).ends_with(" … (3 more characters)"));
    }

    #[test]
    fn a_subject_survives_the_address_line() {
        assert_eq!(encode("0.0.0.0:21/tcp é"), "0.0.0.0%3A21%2Ftcp%20%C3%A9");
        assert_eq!((grouped(7), grouped(40312)), ("7".into(), "40\u{202f}312".into()));
    }
}
