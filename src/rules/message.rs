//! Messages of rules: text with `{expression}` in it.

use super::expr::Expression;

/// Most placeholders of one message.
const MAX_PLACEHOLDERS: usize = 16;

/// A part of a message.
#[derive(Clone, Debug)]
pub(super) enum Piece {
    /// As written.
    Text(String),
    /// Computed.
    Value(Expression),
}

/// Splits `text {expression} text`: offset in characters, whether it is an expression, its text.
pub(super) fn split(message: &str) -> Result<Vec<(usize, bool, String)>, String> {
    let (mut pieces, mut text, mut start) = (Vec::new(), String::new(), 0);
    let (mut inside, mut quote, mut values) = (false, None::<char>, 0);
    for (i, c) in message.chars().enumerate() {
        match c {
            '{' if !inside => {
                pieces.push((start, false, std::mem::take(&mut text)));
                (inside, start, values) = (true, i + 1, values + 1);
            }
            '}' if inside && quote.is_none() => {
                pieces.push((start, true, std::mem::take(&mut text)));
                (inside, start) = (false, i + 1);
            }
            '}' if !inside => return Err("message has a } without its {".into()),
            _ => {
                if inside && (c == '"' || c == '\'') {
                    quote = match quote {
                        None => Some(c),
                        Some(open) if open == c => None,
                        other => other,
                    };
                }
                text.push(c);
            }
        }
    }
    if inside {
        return Err("message has a { without its }".into());
    }
    if values > MAX_PLACEHOLDERS {
        return Err(format!("message has more than {MAX_PLACEHOLDERS} placeholders"));
    }
    pieces.push((start, false, text));
    pieces.retain(|(_, is_value, text)| *is_value || !text.is_empty());
    Ok(pieces)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_split_at_braces_outside_quotes() {
        let pieces = split("a {join(x, \"}\")} b").unwrap();
        assert_eq!(pieces, [(0, false, "a ".to_string()), (3, true, "join(x, \"}\")".into()), (16, false, " b".into())]);
        assert!(split("a {b").is_err());
        assert!(split("a }").is_err());
    }
}
