//! master.cf: services with their options (master(5)).

use super::main_cf::{Value, logical_lines, split};
use crate::model::fact::Source;

/// Most services kept.
const SERVICE_LIMIT: usize = 5_000;

/// One service.
#[derive(Clone, Debug)]
pub struct Service {
    /// Name, or address and port, as written.
    pub name: String,
    /// `inet`, `unix`, `pass`, `fifo`.
    pub kind: String,
    /// Program.
    pub command: String,
    /// `-o` options, in order.
    pub options: Vec<(String, Value)>,
    /// Where it stands.
    pub source: Source,
}

/// Services of a file in order; lines with fewer than eight fields are none.
pub fn parse(text: &str, path: &str) -> Vec<Service> {
    let lines = logical_lines(text).into_iter().take(SERVICE_LIMIT);
    lines.filter_map(|(line, text)| service(&split(&text, char::is_whitespace), path, line)).collect()
}

fn service(words: &[String], path: &str, line: usize) -> Option<Service> {
    let [name, kind, _, _, _, _, _, command, arguments @ ..] = words else { return None };
    let source = Source::line(path, line, name.clone());
    let mut options = Vec::new();
    let mut arguments = arguments.iter();
    while let Some(argument) = arguments.next() {
        let Some(attached) = argument.strip_prefix("-o") else { continue };
        let option = if attached.is_empty() { arguments.next().map_or("", String::as_str) } else { attached };
        let option = option.strip_prefix('{').and_then(|o| o.strip_suffix('}')).unwrap_or(option);
        if let Some((name, value)) = option.split_once('=') {
            let name = name.trim().to_string();
            let source = Source::line(path, line, name.clone());
            options.push((name, Value { text: value.trim().into(), source }));
        }
    }
    Some(Service { name: name.clone(), kind: kind.clone(), command: command.clone(), options, source })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn services_with_options() {
        let text = "# c\nsmtp inet n - y - - smtpd\nsubmission inet n - y - - smtpd\n  -o syslog_name=postfix/$service_name\n#  -o no=no\n  -o { smtpd_client_restrictions = permit_a, reject }\n \
            -osmtpd_tls_wrappermode=yes -v\nshort inet n\n";
        let found = parse(text, "/m");
        let shown: Vec<String> = found.iter().map(|s| format!("{} {} {} {}", s.name, s.kind, s.command, s.source.line)).collect();
        assert_eq!(shown, ["smtp inet smtpd 2", "submission inet smtpd 3"]);
        let options: Vec<String> = found[1].options.iter().map(|(n, v)| format!("{n}={}", v.text)).collect();
        assert_eq!(options, ["syslog_name=postfix/$service_name", "smtpd_client_restrictions=permit_a, reject", "smtpd_tls_wrappermode=yes"]);
    }
}
