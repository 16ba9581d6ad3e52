//! Directives to typed values; what sshd would refuse is a gap of its field.

use super::account;
use super::defaults;
use super::effective::{self, Effective};
use super::file::Directive;
use crate::host::Host;
use crate::model::gap::{Gaps, reason};

/// Reads values and notes those that are none.
pub struct Values<'a> {
    /// Machine.
    pub host: &'a Host,
    /// Family that asks.
    pub family: &'static str,
    /// Where gaps go.
    pub gaps: &'a mut Gaps,
}

impl Values<'_> {
    fn refuse(&mut self, directive: &Directive, field: &str) {
        let place = format!("{}:{}", directive.path, directive.line);
        let detail = format!("{place}: {} has a value that sshd refuses", directive.keyword);
        self.gaps.note(self.family, field, "", reason::MALFORMED, detail, "Mend the line and check with sshd -t.");
    }

    /// `yes` or `no`.
    pub fn flag(&mut self, effective: &Effective<'_>, keyword: &str, field: &str, default: bool) -> bool {
        let Some(directive) = effective.first(keyword) else { return default };
        effective::flag(&directive.value()).unwrap_or_else(|| {
            self.refuse(directive, field);
            default
        })
    }

    /// A word compared without case.
    pub fn word(&self, effective: &Effective<'_>, keyword: &str, default: &str) -> String {
        effective.first(keyword).map_or_else(|| default.into(), |d| d.value().to_ascii_lowercase())
    }

    /// A number.
    pub fn number(&mut self, effective: &Effective<'_>, keyword: &str, field: &str, default: i64) -> i64 {
        let Some(directive) = effective.first(keyword) else { return default };
        directive.value().parse().unwrap_or_else(|_| {
            self.refuse(directive, field);
            default
        })
    }

    /// A time in seconds.
    pub fn seconds(&mut self, effective: &Effective<'_>, keyword: &str, field: &str, default: i64) -> i64 {
        let Some(directive) = effective.first(keyword) else { return default };
        seconds(&directive.value()).unwrap_or_else(|| {
            self.refuse(directive, field);
            default
        })
    }

    /// PermitRootLogin.
    pub fn root_login(&mut self, directive: Option<&Directive>) -> String {
        let default = "prohibit-password";
        let Some(directive) = directive else { return default.into() };
        let value = account::root_login(&directive.value());
        if matches!(value.as_str(), "yes" | "no" | "forced-commands-only" | "prohibit-password") {
            return value;
        }
        self.refuse(directive, "permit_root_login");
        default.into()
    }

    /// Ports, 22 when none is written.
    pub fn ports(&mut self, lines: &[&Directive]) -> Vec<i64> {
        let mut out = Vec::new();
        for directive in lines {
            match directive.value().parse::<u16>() {
                Ok(port) => out.push(i64::from(port)),
                Err(_) => self.refuse(directive, "ports"),
            }
        }
        if out.is_empty() { vec![22] } else { out }
    }

    /// A list of algorithms laid over the defaults of the release, when that is known.
    pub fn list(&mut self, effective: &Effective<'_>, keyword: &str, field: &str, known: Option<&str>) -> Vec<String> {
        let Some(d) = effective.first(keyword) else { return defaults::apply("+", known.unwrap_or("")) };
        let written = d.value();
        if known.is_none() && written.starts_with(['+', '-', '^']) {
            let detail = format!("{}:{}: {keyword} changes the default list, which is not known for this version of OpenSSH", d.path, d.line);
            self.gaps.note(self.family, field, "", reason::UNSUPPORTED, detail, "Write the whole list.");
        }
        defaults::apply(&written, known.unwrap_or(""))
    }
}

/// TIME FORMATS of sshd_config(5): numbers with s, m, h, d, w, added up.
fn seconds(text: &str) -> Option<i64> {
    let mut total = 0_i64;
    let mut digits = String::new();
    for c in text.trim().chars() {
        if c.is_ascii_digit() {
            digits.push(c);
            continue;
        }
        let unit = match c.to_ascii_lowercase() {
            's' => 1,
            'm' => 60,
            'h' => 3600,
            'd' => 86_400,
            'w' => 604_800,
            _ => return None,
        };
        total = total.checked_add(digits.parse::<i64>().ok()?.checked_mul(unit)?)?;
        digits.clear();
    }
    if digits.is_empty() {
        return (!text.trim().is_empty()).then_some(total);
    }
    total.checked_add(digits.parse().ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_add_up() {
        assert_eq!(seconds("2m"), Some(120));
        assert_eq!(seconds("1h30"), Some(3630));
        assert_eq!(seconds("0"), Some(0));
        assert_eq!(seconds("x"), None);
        assert_eq!(seconds(""), None);
    }
}
