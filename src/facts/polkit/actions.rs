//! Action definitions (`*.policy`): which actions need no authentication by default.
//!
//! The few elements that matter are picked out of the XML by a reader of tags that knows comments
//! and CDATA and nothing else; text is cut to what an id can be.

/// One action.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Action {
    /// Id.
    pub id: String,
    /// Line of the element.
    pub line: usize,
    /// `allow_any`, `allow_inactive`, `allow_active`; `no` by default.
    pub allow: [String; 3],
    /// Program that pkexec(1) runs under this action; empty: none.
    pub program: String,
}

const ALLOW: [&str; 3] = ["allow_any", "allow_inactive", "allow_active"];
const PROGRAM: &str = "org.freedesktop.policykit.exec.path";
/// Longest text kept, bytes.
const TEXT_LIMIT: usize = 512;

/// Every action of a file; an error names the line.
pub fn actions(text: &str) -> Result<Vec<Action>, (usize, &'static str)> {
    let mut out = Vec::new();
    let mut open: Option<Action> = None;
    let mut field: Option<Field> = None;
    let mut line = 1;
    let mut rest = text;
    while !rest.is_empty() {
        let (content, length, tag) = if rest.starts_with("<!--") {
            ("", rest.find("-->").ok_or((line, "a comment without an end"))? + 3, "")
        } else if rest.starts_with("<![CDATA[") {
            ("", rest.find("]]>").ok_or((line, "a section without an end"))? + 3, "")
        } else if rest.starts_with('<') {
            let end = rest.find('>').ok_or((line, "a tag without an end"))?;
            ("", end + 1, rest.get(1..end).unwrap_or(""))
        } else {
            let end = rest.find('<').unwrap_or(rest.len());
            (rest.get(..end).unwrap_or(""), end, "")
        };
        if let (Some(action), Some(field)) = (open.as_mut(), field)
            && !content.trim().is_empty()
        {
            let value = short(content.trim());
            match field {
                Field::Allow(i) => _ = action.allow.get_mut(i).map(|slot| *slot = value),
                Field::Program => action.program = value,
            }
        }
        if !tag.is_empty() {
            let name = tag.split([' ', '\t', '\n', '\r']).next().unwrap_or("");
            match name {
                "action" => open = Some(Action { id: attribute(tag, "id"), line, allow: ["no"; 3].map(String::from), program: String::new() }),
                "/action" => out.extend(open.take()),
                "annotate" if attribute(tag, "key") == PROGRAM => field = Some(Field::Program),
                name => field = ALLOW.iter().position(|a| *a == name).map(Field::Allow),
            }
        }
        let (passed, left) = rest.split_at_checked(length.max(1)).ok_or((line, "text that is cut off"))?;
        line += passed.matches('\n').count();
        rest = left;
    }
    Ok(out)
}

#[derive(Clone, Copy)]
enum Field {
    Allow(usize),
    Program,
}

fn attribute(tag: &str, name: &str) -> String {
    let found = tag.match_indices(name).find_map(|(at, _)| {
        let rest = tag.get(at + name.len()..)?.trim_start().strip_prefix('=')?.trim_start();
        let mark = rest.chars().next().filter(|c| matches!(c, '"' | '\''))?;
        rest.get(1..)?.split(mark).next()
    });
    found.map(short).unwrap_or_default()
}

fn short(text: &str) -> String {
    let end = (0..=text.len().min(TEXT_LIMIT)).rev().find(|i| text.is_char_boundary(*i)).unwrap_or(0);
    text.get(..end).unwrap_or("").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_are_read_and_comments_are_not() {
        let text = "<?xml version=\"1.0\"?>\n<policyconfig>\n<!-- <action id=\"x\"><defaults><allow_any>yes</allow_any></defaults></action> -->\n<action id=\"a.b\">\n <description>x</description>\n <defaults><allow_any>auth_admin</allow_any> <!-- <allow_inactive>yes</allow_inactive> --> <allow_active>yes</allow_active></defaults>\n <annotate key=\"org.freedesktop.policykit.exec.path\">/usr/bin/x</annotate>\n</action>\n</policyconfig>\n";
        let found = actions(text).unwrap();
        assert_eq!(found.len(), 1);
        assert_eq!((found[0].id.as_str(), found[0].line, found[0].program.as_str()), ("a.b", 4, "/usr/bin/x"));
        assert_eq!(found[0].allow, ["auth_admin", "no", "yes"].map(String::from));
    }

    #[test]
    fn garbage_ends() {
        let seed = "<action id='a'><defaults><allow_any>yes</allow_any></defaults><!-- x --></action>";
        for at in 0..seed.len() {
            for byte in [b'<', b'>', b'\'', b'-', 0, b'\n'] {
                let mut bytes = seed.as_bytes().to_vec();
                bytes[at] = byte;
                let _ = actions(&String::from_utf8_lossy(&bytes));
            }
        }
        assert!(actions("<!-- ").is_err() && actions("<action").is_err());
    }
}
