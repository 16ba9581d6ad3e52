//! Whether a stranger's mail to somebody elsewhere is passed on, as far as the restriction lists tell.
//!
//! A stranger is no member of mynetworks, did not sign in, and writes to a domain that is not ours. The lists
//! are walked through as smtpd does: the first word that answers decides its list, and every list must let it pass.

use std::net::IpAddr;

use super::main_cf::{Parameters, Value};

/// What a list does with a stranger.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    /// Refuses for certain.
    Refuses,
    /// Says nothing against it.
    Passes,
    /// A table or another program may let it pass before it would be refused.
    Undecided,
}

/// The answer with what decides it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Relay {
    /// `closed`, `open`, `undecided`.
    pub state: &'static str,
    /// One sentence fragment.
    pub detail: String,
    /// The value that decides.
    pub value: Value,
}

/// Lists that come before the recipient is known, beside the two that speak of it.
const EARLY: [&str; 3] = ["smtpd_client_restrictions", "smtpd_helo_restrictions", "smtpd_sender_restrictions"];
const LATE: [&str; 2] = ["smtpd_relay_restrictions", "smtpd_recipient_restrictions"];
/// Words without one of which smtpd refuses to serve at all.
const NEEDED: [&str; 6] = ["reject_unauth_destination", "defer_unauth_destination", "reject", "defer", "defer_if_permit", "check_relay_domains"];

/// Judges the lists of a service.
pub fn of(parameters: &Parameters) -> Relay {
    let networks = parameters.get("mynetworks");
    let trusted = trusted(&parameters.list("mynetworks"));
    let mut undecided = None;
    for name in EARLY.into_iter().chain(LATE) {
        let value = parameters.get(name);
        let (verdict, word) = walk(&parameters.list(name), trusted);
        match verdict {
            Verdict::Refuses => return Relay { state: "closed", detail: format!("{word} in {name}"), value },
            Verdict::Undecided if undecided.is_none() => undecided = Some(Relay { state: "undecided", detail: format!("{word} in {name}"), value }),
            _ => {}
        }
    }
    let has_needed = LATE.iter().any(|name| parameters.list(name).iter().any(|w| NEEDED.contains(&w.as_str())));
    if !has_needed {
        return Relay { state: "closed", detail: "no list holds a refusal, so smtpd does not serve".into(), value: Value::default() };
    }
    undecided.unwrap_or_else(|| {
        let everybody = trusted == Some(true);
        let detail = if everybody { "mynetworks holds every address" } else { "a word lets strangers pass before reject_unauth_destination" };
        let value = if everybody { networks } else { parameters.get("smtpd_relay_restrictions") };
        Relay { state: "open", detail: detail.into(), value }
    })
}

/// Words that are followed by an argument that decides nothing for us.
const WITH_ARGUMENT: [&str; 4] = ["sleep", "check_client_a_access", "reject_rbl_client", "permit_dnswl_client"];

fn walk(words: &[String], trusted: Option<bool>) -> (Verdict, String) {
    let mut words = words.iter();
    let mut undecided: Option<String> = None;
    let done = |verdict: Verdict, word: &str, undecided: Option<String>| match undecided {
        Some(earlier) if verdict != Verdict::Passes => (Verdict::Undecided, earlier),
        _ => (verdict, word.to_string()),
    };
    while let Some(word) = words.next() {
        match word.as_str() {
            "reject" | "defer" | "reject_unauth_destination" | "defer_unauth_destination" | "check_relay_domains" => {
                return done(Verdict::Refuses, word, undecided);
            }
            "permit" | "permit_naked_ip_address" => return done(Verdict::Passes, word, undecided),
            "permit_mynetworks" => match trusted {
                Some(true) => return done(Verdict::Passes, word, undecided),
                Some(false) => {}
                None => drop(undecided.get_or_insert_with(|| word.clone())),
            },
            // The word behind it is only written down.
            "warn_if_reject" => drop(words.next()),
            w if w.starts_with("check_") => {
                words.next();
                undecided.get_or_insert_with(|| word.clone());
            }
            "permit_tls_all_clientcerts" => drop(undecided.get_or_insert_with(|| word.clone())),
            w if WITH_ARGUMENT.contains(&w)
                || w.starts_with("reject_rhsbl")
                || w.starts_with("reject_rbl")
                || w.starts_with("permit_dnswl")
                || w.starts_with("permit_rhswl") =>
            {
                words.next();
            }
            w if w.starts_with("permit_") || w.starts_with("reject_") || w.starts_with("defer_") || w == "defer_if_permit" || w == "defer_if_reject" => {}
            // A class of the operator's own, or a table by its type.
            _ => drop(undecided.get_or_insert_with(|| word.clone())),
        }
    }
    match undecided {
        Some(word) => (Verdict::Undecided, word),
        None => (Verdict::Passes, String::new()),
    }
}

/// Whether mynetworks holds every address; `None` when a table decides.
fn trusted(networks: &[String]) -> Option<bool> {
    let mut is_table = false;
    for network in networks {
        let (denied, text) = network.strip_prefix('!').map_or((false, network.as_str()), |t| (true, t));
        let (address, bits) = text.rsplit_once('/').unwrap_or((text, ""));
        let address = address.trim_start_matches('[').trim_end_matches(']');
        match (address.parse::<IpAddr>(), bits.parse::<u32>()) {
            (Ok(_), Ok(0)) if !denied => return Some(true),
            (Ok(_), _) => {}
            (Err(_), _) => is_table = true,
        }
    }
    if is_table { None } else { Some(false) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state(text: &str) -> &'static str {
        of(&Parameters::parse(&format!("compatibility_level = 3.6\nmynetworks = 127.0.0.0/8 [::1]/128\n{text}"), "/m", Some((3, 7)), "vm")).state
    }

    #[test]
    fn strangers_are_refused_or_not() {
        for closed in [
            "",
            "compatibility_level = 0\nsmtpd_recipient_restrictions = permit_mynetworks, reject_unauth_destination",
            "smtpd_relay_restrictions = permit_mynetworks reject",
            "smtpd_relay_restrictions =\nsmtpd_recipient_restrictions = check_sender_access hash:/x, reject_unauth_destination\nsmtpd_client_restrictions = permit_sasl_authenticated, reject",
            "smtpd_recipient_restrictions = check_client_access hash:/x permit",
            "smtpd_relay_restrictions =",
            "mynetworks = !0.0.0.0/0",
            "smtpd_relay_restrictions = warn_if_reject reject_unknown_client_hostname, defer_unauth_destination",
        ] {
            assert_eq!(state(closed), "closed", "{closed}");
        }
        for open in [
            "mynetworks = 0.0.0.0/0",
            "mynetworks = 127.0.0.0/8, [::]/0",
            "smtpd_relay_restrictions = permit\nsmtpd_recipient_restrictions = permit_mynetworks, permit, reject_unauth_destination",
            "smtpd_relay_restrictions = permit_naked_ip_address, reject",
            "smtpd_relay_restrictions = warn_if_reject reject_unauth_destination, permit, reject",
        ] {
            assert_eq!(state(open), "open", "{open}");
        }
        for undecided in [
            "smtpd_relay_restrictions = check_client_access hash:/x, reject_unauth_destination",
            "smtpd_relay_restrictions = own_class, reject_unauth_destination",
            "mynetworks = cidr:/etc/postfix/networks",
            "smtpd_relay_restrictions = check_policy_service unix:p, reject",
        ] {
            assert_eq!(state(undecided), "undecided", "{undecided}");
        }
    }
}
