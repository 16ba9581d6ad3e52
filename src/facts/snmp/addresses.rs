//! The command line of snmpd(8), and addresses that it listens on.

use crate::facts::super_servers::launch::Launch;

/// What the command line says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// Files of `-c`.
    pub files: Vec<String>,
    /// `-C`: the usual files are not read.
    pub only_named: bool,
    /// Whether somebody started it by hand: no unit and no script did.
    pub by_hand: bool,
    /// Addresses behind the options.
    pub addresses: Vec<String>,
}

/// Options whose argument is the next word unless it is attached.
const WITH_ARGUMENT: [&str; 12] = ["-c", "-D", "-g", "-I", "-l", "-m", "-M", "-n", "-p", "-P", "-u", "-x"];
/// Kinds of logs that take a file or a priority.
const LOGS: [&str; 6] = ["-Lf", "-LF", "-LE", "-LO", "-LN", "-LS"];

/// Options of a launch, or those words when its own are not known.
pub fn options(launch: &Launch, otherwise: &[String]) -> Options {
    let mut out = Options { by_hand: launch.how == "running" && launch.unit.is_empty(), ..Options::default() };
    let mut words = launch.arguments.as_deref().unwrap_or(otherwise).iter();
    while let Some(word) = words.next() {
        let flag = word.get(..2).unwrap_or(word);
        if word == "-C" {
            out.only_named = true;
        } else if flag == "-c" {
            let value = if word.len() > 2 { word.get(2..).map(String::from) } else { words.next().cloned() };
            out.files.extend(value.iter().flat_map(|v| v.split(',')).map(String::from));
        } else if LOGS.contains(&word.as_str()) || word == "-X" || (WITH_ARGUMENT.contains(&word.as_str()) && word != "-D") {
            words.next();
        } else if !word.starts_with('-') && !word.is_empty() {
            out.addresses.extend(word.split(',').map(String::from));
        }
    }
    out
}

/// Whether others than this machine reach an address such as `udp:127.0.0.1:161`, `161` or `tcp6:[::1]`.
pub fn is_reachable(address: &str) -> bool {
    let (transport, rest) =
        address.split_once(':').filter(|(t, _)| t.chars().next().is_some_and(|c| c.is_ascii_alphabetic()) && !t.contains('.')).unwrap_or(("udp", address));
    if matches!(transport, "unix" | "alias") {
        return transport == "alias";
    }
    let host = if let Some(bracketed) = rest.strip_prefix('[') {
        bracketed.split(']').next().unwrap_or(bracketed)
    } else if rest.matches(':').count() > 1 {
        rest
    } else {
        rest.split(':').next().unwrap_or(rest)
    };
    // `localhost` without a transport was taken for one.
    if transport == "localhost" || host == "localhost" || host == "ip6-localhost" {
        return false;
    }
    !host.parse::<std::net::IpAddr>().is_ok_and(|a| a.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::fact::Source;

    #[test]
    fn addresses_of_every_kind() {
        for address in
            ["127.0.0.1", "udp:127.0.0.1:161", "[::1]", "udp6:[::1]:161", "localhost", "localhost:161", "unix:/run/x", "tcp:localhost:161", "udp6:::1"]
        {
            assert!(!is_reachable(address), "{address}");
        }
        for address in ["161", "udp:161", "0.0.0.0", "udp:10.0.0.1:161", "udp6:[2001:db8::1]", "tcp:161", "udp6:161", "host.example:161"] {
            assert!(is_reachable(address), "{address}");
        }
    }

    #[test]
    fn command_lines() {
        let of = |text: &str| {
            let arguments = Some(text.split(' ').map(String::from).collect());
            options(&Launch { program: "snmpd".into(), arguments, how: String::new(), unit: String::new(), source: Source::default() }, &[])
        };
        let debian = of("-LOw -u Debian-snmp -g Debian-snmp -I -smux,mteTrigger,mteTriggerConf -f -p /run/snmpd.pid");
        assert_eq!(debian, Options::default());
        let own = of("-C -c /a,/b -Lf /dev/null -c/c udp:127.0.0.1:1161 tcp:1161");
        assert_eq!(
            own,
            Options {
                files: ["/a", "/b", "/c"].map(String::from).to_vec(),
                only_named: true,
                by_hand: false,
                addresses: ["udp:127.0.0.1:1161", "tcp:1161"].map(String::from).to_vec()
            }
        );
    }
}
