//! Lines of crontab(5) and anacrontab(5).

/// One line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Line {
    /// A blank line or a comment.
    Nothing,
    /// `NAME = value`.
    Setting(String, String),
    /// A job: when, as whom (system crontabs only), and what.
    Job {
        /// Time fields as written, or `@daily`.
        schedule: String,
        /// Account.
        account: String,
        /// Command for the shell, up to the first `%`.
        command: String,
    },
    /// Neither.
    Malformed,
}

/// Words that stand for the five fields (crontab(5)).
const WORDS: [&str; 9] = ["@reboot", "@yearly", "@annually", "@monthly", "@weekly", "@daily", "@midnight", "@hourly", "@every_minute"];

/// A line of a crontab; system ones name the account.
pub fn crontab(line: &str, names_account: bool) -> Line {
    let line = line.trim_start_matches([' ', '\t']).trim_end_matches(['\r', ' ', '\t']);
    if line.is_empty() || line.starts_with('#') {
        return Line::Nothing;
    }
    if let Some((name, value)) = setting(line) {
        return Line::Setting(name, value);
    }
    // cronie: a leading dash keeps the job out of the log.
    let line = line.strip_prefix('-').unwrap_or(line);
    let (schedule, rest) = if line.starts_with('@') {
        let (word, rest) = cut(line);
        if !WORDS.contains(&word.to_ascii_lowercase().as_str()) {
            return Line::Malformed;
        }
        (word.to_string(), rest)
    } else {
        let mut fields = Vec::new();
        let mut rest = line;
        for _ in 0..5 {
            let (field, after) = cut(rest);
            if !is_field(field) {
                return Line::Malformed;
            }
            fields.push(field);
            rest = after;
        }
        (fields.join(" "), rest)
    };
    let (account, rest) = if names_account { cut(rest) } else { ("", rest) };
    if rest.is_empty() || names_account && account.is_empty() {
        return Line::Malformed;
    }
    Line::Job { schedule, account: account.into(), command: until_percent(rest) }
}

/// A line of anacrontab: period, delay, identifier, command; all run as root.
pub fn anacrontab(line: &str) -> Line {
    let line = line.trim();
    if line.is_empty() || line.starts_with('#') {
        return Line::Nothing;
    }
    if let Some((name, value)) = setting(line) {
        return Line::Setting(name, value);
    }
    let (period, rest) = cut(line);
    let (delay, rest) = cut(rest);
    let (_, command) = cut(rest);
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    if command.is_empty() || !is_number(delay) || !(is_number(period) || period.starts_with('@')) {
        return Line::Malformed;
    }
    let schedule = if period.starts_with('@') { period.to_string() } else { format!("every {period} days") };
    Line::Job { schedule, account: "root".into(), command: command.into() }
}

fn setting(line: &str) -> Option<(String, String)> {
    let (name, value) = line.split_once('=')?;
    let unquote = |text: &str| {
        let text = text.trim();
        let inner = ['"', '\''].iter().find_map(|q| text.strip_prefix(*q).and_then(|t| t.strip_suffix(*q)));
        inner.unwrap_or(text).to_string()
    };
    let name = unquote(name);
    super::shell::is_name(&name).then(|| (name, unquote(value)))
}

fn cut(text: &str) -> (&str, &str) {
    let text = text.trim_start_matches([' ', '\t']);
    let end = text.find([' ', '\t']).unwrap_or(text.len());
    let (word, rest) = text.split_at(end);
    (word, rest.trim_start_matches([' ', '\t']))
}

fn is_field(field: &str) -> bool {
    let starts = field.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '*' || c == '~');
    starts && field.len() <= 256 && field.bytes().all(|b| b.is_ascii_alphanumeric() || b"*,-/~".contains(&b))
}

/// What follows the first bare `%` is given to the command as input.
fn until_percent(command: &str) -> String {
    let mut out = String::new();
    let mut chars = command.chars();
    while let Some(c) = chars.next() {
        match c {
            '%' => break,
            '\\' if chars.as_str().starts_with('%') => {
                out.push('%');
                chars.next();
            }
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn job(schedule: &str, account: &str, command: &str) -> Line {
        Line::Job { schedule: schedule.into(), account: account.into(), command: command.into() }
    }

    #[test]
    fn crontab_lines() {
        assert_eq!(crontab("17 *\t* * *\troot\tcd / && x", true), job("17 * * * *", "root", "cd / && x"));
        assert_eq!(crontab("@daily /opt/x %in%put", false), job("@daily", "", "/opt/x "));
        assert_eq!(crontab("-*/5 1-3,5~9 * jan mon root date +\\%d", true), job("*/5 1-3,5~9 * jan mon", "root", "date +%d"));
        assert_eq!(crontab("  MAILTO = \"\"", true), Line::Setting("MAILTO".into(), String::new()));
        assert_eq!(crontab("\"A\"='b c'", false), Line::Setting("A".into(), "b c".into()));
        assert_eq!(crontab("* * * * * X=1 /opt/x", false), job("* * * * *", "", "X=1 /opt/x"));
        for nothing in ["", "   # x", "#* * * * * root /x"] {
            assert_eq!(crontab(nothing, true), Line::Nothing);
        }
        for bad in ["* * * *", "* * * * * root", "@sometimes root /x", "$ * * * * root /x"] {
            assert_eq!(crontab(bad, true), Line::Malformed, "{bad}");
        }
        assert_eq!(anacrontab("7 10\tcron.weekly\trun-parts /etc/cron.weekly"), job("every 7 days", "root", "run-parts /etc/cron.weekly"));
        assert_eq!(anacrontab("@monthly 15 x /y"), job("@monthly", "root", "/y"));
    }

    #[test]
    fn cut_and_changed_lines_do_no_harm() {
        let line = "-*/5 1-3,5~9 * jan mon root date +\\%d é % x";
        for end in (0..line.len()).filter(|i| line.is_char_boundary(*i)) {
            for names_account in [true, false] {
                let _ = crontab(&line[..end], names_account);
                let _ = crontab(&line[end..], names_account);
                let _ = anacrontab(&line[end..]);
            }
        }
    }
}
