//! timesyncd.conf(5), and what systemd-timesyncd tells over the message bus.

use super::Configured;
use crate::facts::jobs::unit_file::{self, Setting};
use crate::facts::monitoring::texts::Told;
use crate::host::Host;
use crate::host::dbus::{Bus, SYSTEM_BUS, Value};
use crate::model::fact::Source;

/// Touched each time the clock is set by a source (systemd-timesyncd.service(8)).
const MARK: &str = "/run/systemd/timesync/synchronized";
/// Where systemd-networkd writes what interfaces were told (sd-network).
const NETWORK: &str = "/run/systemd/netif/state";
/// Servers that distributions compile in; which ones can't be read without the program.
const COMPILED_IN: &str = "(compiled in)";

pub(super) fn read(host: &Host, mut told: Told<'_>) -> Configured {
    let (settings, main) = told.systemd(host, "timesyncd.conf");
    let mut out = Configured { found: !main.is_empty(), main, ..Configured::default() };
    let servers = |key: &str| -> Vec<(String, Setting)> {
        let lines = unit_file::all(&settings, "Time", key);
        lines.into_iter().flat_map(|s| s.value.split_whitespace().map(|w| (w.to_string(), s.clone())).collect::<Vec<_>>()).collect()
    };
    for (address, setting) in servers("NTP") {
        out.keep("timesyncd", "server", &address, true, "none", Source::line(&setting.place, setting.line, "NTP"));
    }
    let network = told.text(host, NETWORK).unwrap_or_default();
    for (index, line) in network.lines().enumerate() {
        for address in line.strip_prefix("NTP=").into_iter().flat_map(str::split_whitespace) {
            out.keep("timesyncd", "interface", address, true, "none", Source::line(NETWORK, index + 1, "NTP"));
        }
    }
    for (address, setting) in servers("FallbackNTP") {
        out.keep("timesyncd", "fallback", &address, true, "none", Source::line(&setting.place, setting.line, "FallbackNTP"));
    }
    if !settings.iter().any(|s| s.section == "Time" && s.key == "FallbackNTP") {
        let place = if out.main.is_empty() { "/etc/systemd/timesyncd.conf" } else { &out.main };
        let source = Source { place: place.into(), line: 0, directive: "FallbackNTP".into() };
        out.keep("timesyncd", "fallback", COMPILED_IN, true, "none", source);
    }
    out
}

/// What the running service tells.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct State {
    pub synchronised_at: Option<i64>,
    pub offset_microseconds: Option<i64>,
}

/// By the message bus, else by the mark alone.
pub(super) fn state(host: &Host) -> Result<State, String> {
    let mark = match host.stat(MARK) {
        Ok(stat) => Some(stat.modified),
        Err(e) if e.is_not_found() => None,
        Err(e) => return Err(e.to_string()),
    };
    let told = if host.is_this_machine() { asked(host, SYSTEM_BUS) } else { None };
    let told = told.unwrap_or_default();
    Ok(State { synchronised_at: told.synchronised_at.max(mark), ..told })
}

/// `NTPMessage` (org.freedesktop.timesync1(5)); `None` when nobody answers.
pub(super) fn asked(host: &Host, bus: &str) -> Option<State> {
    let mut bus = Bus::connect(host, bus).ok()?;
    let properties = bus.properties("org.freedesktop.timesync1", "/org/freedesktop/timesync1", "org.freedesktop.timesync1.Manager").ok()?;
    properties.get("NTPMessage").map(message)
}

/// Leap, version, mode, stratum, precision, root delay, root dispersion, reference, then the four times of the exchange in
/// microseconds (RFC 5905: origin, receive, transmit, destination), ignored, packets, jitter.
fn message(value: &Value) -> State {
    const UNSYNCHRONISED: i64 = 3;
    let number = |at: usize| value.items().get(at).and_then(Value::number);
    let ignored = value.items().get(12).and_then(Value::truth).unwrap_or(false);
    let (Some(origin), Some(receive), Some(transmit), Some(destination)) = (number(8), number(9), number(10), number(11)) else {
        return State::default();
    };
    if destination == 0 || number(0) == Some(UNSYNCHRONISED) {
        return State::default();
    }
    let offset = (receive.saturating_sub(origin)).saturating_add(transmit.saturating_sub(destination)) / 2;
    // A spike that is ignored sets no clock; the mark tells of the one before.
    State { synchronised_at: (!ignored).then_some(destination / 1_000_000), offset_microseconds: (!ignored).then_some(offset) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::testing::rooted;
    use crate::model::gap::Gaps;

    fn parsed(files: &[(&str, &str)]) -> Vec<String> {
        let (_root, host) = rooted(files);
        let mut gaps = Gaps::new();
        let found = read(&host, Told { family: "time_sync", path: "sources", subject: String::new(), gaps: &mut gaps });
        found.sources.iter().map(|s| format!("{} {} {}:{}", s.kind, s.address, s.source.place, s.source.line)).collect()
    }

    #[test]
    fn lists_collect_and_are_taken_back() {
        let main = "[Time]\nNTP=a b\nNTP=\nNTP=c\n";
        let drop_in = "[Time]\nNTP=d\nFallbackNTP=\n";
        let files = [
            ("etc/systemd/timesyncd.conf", main),
            ("run/systemd/timesyncd.conf.d/01-dhclient.conf", drop_in),
            (&NETWORK[1..], "OPER_STATE=x\nNTP=192.0.2.1\n"),
        ];
        assert_eq!(
            parsed(&files),
            [
                "server c /etc/systemd/timesyncd.conf:4",
                "server d /run/systemd/timesyncd.conf.d/01-dhclient.conf:2",
                "interface 192.0.2.1 /run/systemd/netif/state:2"
            ]
        );
        assert_eq!(parsed(&[]), ["fallback (compiled in) /etc/systemd/timesyncd.conf:0"]);
    }

    #[test]
    fn the_offset_is_half_of_both_ways() {
        let exchange = |leap: u64, ignored: bool| {
            let mut items = vec![Value::Unsigned(leap); 8];
            items.extend([10_000_000, 10_000_700, 10_000_800, 10_000_500].map(Value::Unsigned));
            items.push(Value::Bool(ignored));
            message(&Value::Structure(items))
        };
        assert_eq!(exchange(0, false), State { synchronised_at: Some(10), offset_microseconds: Some(500) });
        assert_eq!(exchange(3, false), State::default());
        assert_eq!(exchange(0, true), State::default());
        assert_eq!(message(&Value::Bool(true)), State::default());
    }
}
