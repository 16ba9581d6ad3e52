//! Settings of network interfaces: what takes effect is made of the interface's own value and that
//! of `all`, each key in its own way (Documentation/networking/ip-sysctl, include/linux/inetdevice.h).

use std::collections::BTreeSet;

use super::settings::now;
use super::{Hardening, Setting};
use crate::facts::Document as _;
use crate::host::{FileKind, Host};
use crate::model::fact::Source;
use crate::model::gap::Gaps;

/// How one key takes effect.
#[derive(Clone, Copy, Debug)]
enum How {
    /// Both must be set.
    Both,
    /// One of them is enough.
    Either,
    /// The larger counts.
    Larger,
    /// On a router both, on a host one of them.
    Redirects,
    /// One of them, on a router.
    Sends,
    /// The interface's own, on a host.
    OwnOfHost,
    /// The interface's own; on a router only 2.
    Advertisements,
}

const KEYS: [(&str, &str, How); 7] = [
    ("ipv4", "accept_redirects", How::Redirects),
    ("ipv4", "accept_source_route", How::Both),
    ("ipv4", "log_martians", How::Either),
    ("ipv4", "rp_filter", How::Larger),
    ("ipv4", "send_redirects", How::Sends),
    ("ipv6", "accept_ra", How::Advertisements),
    ("ipv6", "accept_redirects", How::OwnOfHost),
];

/// Keys of `all` and `default`, for what files set.
pub fn shared_keys() -> Vec<String> {
    KEYS.iter().flat_map(|(family, key, _)| ["all", "default"].map(|i| format!("net.{family}.conf.{i}.{key}"))).collect()
}

/// For each key, what takes effect on the interfaces.
pub fn effective(host: &Host, gaps: &mut Gaps) -> Vec<Setting> {
    let mut out = Vec::new();
    for (family, key, how) in KEYS {
        let folder = format!("/proc/sys/net/{family}/conf");
        let subject = format!("net.{family}.conf.*.{key}");
        let entries = match host.list(&folder) {
            Ok(entries) => entries,
            Err(e) if e.is_not_found() => continue,
            Err(e) => {
                gaps.add(e.to_gap(Hardening::NAME, "settings.now", &subject));
                continue;
            }
        };
        let mut values = BTreeSet::new();
        let is_interface = |name: &str| !["all", "default", "lo"].contains(&name);
        for entry in entries.iter().filter(|e| e.kind == FileKind::Folder && is_interface(&e.name)) {
            let mut number = |interface: &str, key: &str| now(host, &format!("{folder}/{interface}/{key}"), &subject, gaps)?.parse::<i64>().ok();
            let Some(own) = number(&entry.name, key) else { continue };
            let all = number("all", key).unwrap_or(0);
            let routes = number(&entry.name, "forwarding").unwrap_or(0) != 0;
            values.insert(combine(how, own, all, routes).to_string());
        }
        if !values.is_empty() {
            out.push(Setting { subject, now: values.into_iter().collect(), source: Source::whole(folder), ..Setting::default() });
        }
    }
    out
}

fn combine(how: How, own: i64, all: i64, routes: bool) -> i64 {
    let flag = |is: bool| i64::from(is);
    let (both, either) = (own != 0 && all != 0, own != 0 || all != 0);
    match how {
        How::Both => flag(both),
        How::Either => flag(either),
        How::Larger => own.max(all),
        How::Redirects => flag(if routes { both } else { either }),
        How::Sends => flag(routes && either),
        How::OwnOfHost => flag(!routes && own != 0),
        How::Advertisements if routes && own != 2 => 0,
        How::Advertisements => own,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_key_in_its_own_way() {
        assert_eq!((combine(How::Redirects, 0, 1, false), combine(How::Redirects, 0, 1, true)), (1, 0));
        assert_eq!((combine(How::Sends, 1, 1, false), combine(How::Sends, 0, 1, true)), (0, 1));
        assert_eq!((combine(How::Advertisements, 1, 0, true), combine(How::Advertisements, 2, 0, true), combine(How::Advertisements, 1, 0, false)), (0, 2, 1));
        assert_eq!((combine(How::Larger, 1, 2, false), combine(How::Both, 1, 0, false), combine(How::OwnOfHost, 1, 0, true)), (2, 0, 0));
    }
}
