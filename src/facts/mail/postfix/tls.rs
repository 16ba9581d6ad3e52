//! TLS of Postfix: levels, protocol lists, certificates.

use super::main_cf::{Parameters, Value, elements};

/// Names that Postfix knows and ours, oldest first; numbers are wire codes.
const PROTOCOLS: [(&str, &str, &str); 5] =
    [("SSLv3", "SSLv3", "0300"), ("TLSv1", "TLSv1.0", "0301"), ("TLSv1.1", "TLSv1.1", "0302"), ("TLSv1.2", "TLSv1.2", "0303"), ("TLSv1.3", "TLSv1.3", "0304")];

/// Versions that a list leaves on; `None` when it has a word that is not known.
pub fn versions(text: &str) -> Option<Vec<String>> {
    let mut included = [false; PROTOCOLS.len()];
    let mut excluded = [false; PROTOCOLS.len()];
    let (mut lowest, mut highest) = (0, PROTOCOLS.len() - 1);
    // Colons part the words, too.
    for word in elements(&text.replace(':', " ")) {
        let (operator, name) = ["!", ">=", "<="].iter().find_map(|o| word.strip_prefix(o).map(|n| (*o, n))).unwrap_or(("", word.as_str()));
        if name.eq_ignore_ascii_case("SSLv2") {
            continue;
        }
        let plain = name.trim_start_matches("0x");
        let is_bound = matches!(operator, ">=" | "<=");
        if is_bound && name.is_empty() {
            continue;
        }
        let index = PROTOCOLS.iter().position(|(own, _, code)| own.eq_ignore_ascii_case(name) || plain == *code)?;
        match operator {
            ">=" => lowest = index,
            "<=" => highest = index,
            "!" => *excluded.get_mut(index)? = true,
            _ => *included.get_mut(index)? = true,
        }
    }
    let any = included.contains(&true);
    let is_on = |index: usize| {
        (lowest..=highest).contains(&index) && !excluded.get(index).copied().unwrap_or(true) && (!any || included.get(index).copied().unwrap_or(false))
    };
    Some(PROTOCOLS.iter().enumerate().filter(|(i, _)| is_on(*i)).map(|(_, (_, name, _))| (*name).to_string()).collect())
}

/// Certificates and keys of a server; empty when none is named.
pub fn files(parameters: &Parameters) -> (Vec<String>, Vec<String>) {
    let chain: Vec<String> = parameters.list("smtpd_tls_chain_files");
    if !chain.is_empty() {
        // Keys and certificates stand in the same files.
        return (chain.clone(), chain);
    }
    let of = |names: [&str; 3]| -> Vec<String> {
        let all = names.iter().map(|n| parameters.get(n).text).filter(|p| p.starts_with('/'));
        all.fold(Vec::new(), |mut out, path| {
            if !out.contains(&path) {
                out.push(path);
            }
            out
        })
    };
    (of(["smtpd_tls_cert_file", "smtpd_tls_eccert_file", "smtpd_tls_dcert_file"]), of(["smtpd_tls_key_file", "smtpd_tls_eckey_file", "smtpd_tls_dkey_file"]))
}

/// `required`, `offered`, `none`, and the value that decides; `None` for a level that is not known.
pub fn server(parameters: &Parameters) -> (Option<&'static str>, Value) {
    let wrapper = parameters.get("smtpd_tls_wrappermode");
    let level = parameters.get("smtpd_tls_security_level");
    let (state, value) = match level.text.to_ascii_lowercase().as_str() {
        "" if parameters.is_on("smtpd_enforce_tls") => (Some("required"), parameters.get("smtpd_enforce_tls")),
        "" if parameters.is_on("smtpd_use_tls") => (Some("offered"), parameters.get("smtpd_use_tls")),
        "" | "none" => (Some("none"), level),
        "may" => (Some("offered"), level),
        "encrypt" | "verify" | "secure" | "fingerprint" | "dane" | "dane-only" => (Some("required"), level),
        _ => (None, level),
    };
    let (certificates, _) = files(parameters);
    let anonymous = parameters.get("smtpd_tls_cert_file").text == "none";
    if wrapper.text.eq_ignore_ascii_case("yes") {
        return (Some("required"), wrapper);
    }
    // Without a certificate Postfix turns TLS off where it is only offered.
    if state == Some("offered") && certificates.is_empty() && !anonymous {
        return (Some("none"), value);
    }
    (state, value)
}

/// `none`, `opportunistic`, `required`, `verified` of outgoing mail, and the value that decides; `None` for a level that is not known.
pub fn client(parameters: &Parameters) -> (Option<&'static str>, Value) {
    let level = parameters.get("smtp_tls_security_level");
    match level.text.to_ascii_lowercase().as_str() {
        "" if parameters.is_on("smtp_enforce_tls") => (Some("required"), parameters.get("smtp_enforce_tls")),
        "" if parameters.is_on("smtp_use_tls") => (Some("opportunistic"), parameters.get("smtp_use_tls")),
        "" | "none" => (Some("none"), level),
        "may" | "dane" => (Some("opportunistic"), level),
        "encrypt" => (Some("required"), level),
        "verify" | "secure" | "fingerprint" | "dane-only" => (Some("verified"), level),
        _ => (None, level),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_of_protocols() {
        let of = |text: &str| versions(text).map(|v| v.join(" "));
        assert_eq!(of(">=TLSv1").as_deref(), Some("TLSv1.0 TLSv1.1 TLSv1.2 TLSv1.3"));
        assert_eq!(of("!SSLv2, !SSLv3, !TLSv1, !TLSv1.1").as_deref(), Some("TLSv1.2 TLSv1.3"));
        assert_eq!(of("!SSLv2,!SSLv3").as_deref(), Some("TLSv1.0 TLSv1.1 TLSv1.2 TLSv1.3"));
        assert_eq!(of(">=TLSv1.2, <=TLSv1.2").as_deref(), Some("TLSv1.2"));
        assert_eq!(of("TLSv1.2 TLSv1.3").as_deref(), Some("TLSv1.2 TLSv1.3"));
        assert_eq!(of("TLSv1:TLSv1.1").as_deref(), Some("TLSv1.0 TLSv1.1"));
        assert_eq!(of(">=0303").as_deref(), Some("TLSv1.2 TLSv1.3"));
        assert_eq!(of("").as_deref(), Some("SSLv3 TLSv1.0 TLSv1.1 TLSv1.2 TLSv1.3"));
        assert_eq!(of("TLSv9"), None);
    }

    #[test]
    fn levels() {
        let of = |text: &str| server(&Parameters::parse(text, "/m", Some((3, 7)), "vm")).0;
        let file = "smtpd_tls_cert_file = /c.pem\n";
        assert_eq!(of(""), Some("none"));
        assert_eq!(of("smtpd_tls_security_level = may"), Some("none"), "no certificate");
        assert_eq!(of(&format!("{file}smtpd_tls_security_level = may")), Some("offered"));
        assert_eq!(of(&format!("{file}smtpd_use_tls = yes")), Some("offered"));
        assert_eq!(of(&format!("{file}smtpd_use_tls = yes\nsmtpd_tls_security_level = none")), Some("none"));
        assert_eq!(of("smtpd_tls_security_level = encrypt"), Some("required"));
        assert_eq!(of("smtpd_tls_wrappermode = yes"), Some("required"));
        assert_eq!(of("smtpd_tls_security_level = odd"), None);
    }
}
