//! Each kind of time service: what shows that it is there, that it runs and that it succeeds.

use super::{Configured, TimeService, TimeSource, TimeSync, chrony, ntp, timesyncd};
use crate::facts::Document as _;
use crate::facts::monitoring::observed::Observer;
use crate::facts::monitoring::texts::Told;
use crate::host::Host;
use crate::model::fact::Source;
use crate::model::gap::{Gaps, reason};

/// Seconds within which a service that was just started need not have rewritten its drift file.
const WARM_UP: i64 = 2 * 3600;

/// One kind of service.
pub(super) struct Kind {
    pub name: &'static str,
    /// Its file, first that exists.
    programs: &'static [&'static str],
    units: &'static [&'static str],
    processes: &'static [&'static str],
}

/// All of them.
pub(super) static KINDS: &[Kind] = &[
    Kind { name: "chrony", programs: &["/usr/sbin/chronyd", "/usr/bin/chronyd"], units: &["chrony.service", "chronyd.service"], processes: &["chronyd"] },
    Kind {
        name: "timesyncd",
        programs: &["/usr/lib/systemd/systemd-timesyncd", "/lib/systemd/systemd-timesyncd"],
        units: &["systemd-timesyncd.service"],
        processes: &["systemd-timesyncd"],
    },
    Kind { name: "ntpd", programs: &["/usr/sbin/ntpd", "/usr/bin/ntpd"], units: &["ntpsec.service", "ntp.service", "ntpd.service"], processes: &["ntpd"] },
    Kind { name: "openntpd", programs: &["/usr/sbin/ntpd"], units: &["openntpd.service", "ntpd.service"], processes: &["ntpd"] },
    Kind { name: "busybox", programs: &["/usr/sbin/ntpd"], units: &["ntpd.service"], processes: &["ntpd"] },
];

impl Kind {
    /// Its program; three packages have an `ntpd`.
    pub fn program(&self, host: &Host) -> Option<&'static str> {
        let program = self.programs.iter().find(|p| host.exists(p).unwrap_or(false))?;
        if program.ends_with("/ntpd") {
            // ntpctl is a name of OpenNTPD's program; BusyBox's is a link.
            let is_busybox = host.read_link(program).is_ok_and(|t| t.ends_with("busybox"));
            let is_open = !is_busybox && ["/usr/sbin/ntpctl", "/usr/bin/ntpctl"].iter().any(|p| host.exists(p).unwrap_or(false));
            let own = if is_busybox {
                "busybox"
            } else if is_open {
                "openntpd"
            } else {
                "ntpd"
            };
            return (own == self.name).then_some(program);
        }
        Some(program)
    }
}

/// What is known of an installed service.
pub(super) fn service(observer: &Observer<'_>, kind: &Kind, program: &str, now: i64, gaps: &mut Gaps) -> (TimeService, Vec<TimeSource>) {
    let host = observer.host;
    let unit = observer.unit(kind.units);
    let running = observer.is_running(kind.processes);
    let arguments = observer.arguments(&unit, kind.processes);
    let in_use = running.unwrap_or(unit.enabled);
    let told = Told { family: TimeSync::NAME, path: "sources", subject: String::new(), gaps: &mut *gaps };
    let configured = match kind.name {
        "chrony" => chrony::read(host, &arguments, told),
        "timesyncd" => timesyncd::read(host, told),
        "openntpd" => ntp::read_open(host, &arguments, told),
        "busybox" => ntp::read_busybox(host, &arguments, told),
        _ => ntp::read(host, &arguments, told),
    };
    let usable = configured.sources.iter().filter(|s| s.usable);
    let mut out = TimeService {
        subject: kind.name.into(),
        program: program.into(),
        unit: unit.name,
        unit_state: unit.state,
        enabled: unit.enabled,
        running,
        in_use,
        configuration: configured.main.clone(),
        usable_sources: usable.clone().count() as u64,
        authenticated_sources: usable.filter(|s| s.authentication != "none").count() as u64,
        source: Source::whole(if configured.found { configured.main.clone() } else { unit.source.place }),
        ..TimeService::default()
    };
    if running == Some(true) {
        let started = observer.running(kind.processes).and_then(|r| r.started_at);
        traces(host, kind, &configured, started, now, &mut out, gaps);
    }
    (out, configured.sources)
}

/// When the clock was last set, by what the service leaves behind.
fn traces(host: &Host, kind: &Kind, configured: &Configured, started: Option<i64>, now: i64, out: &mut TimeService, gaps: &mut Gaps) {
    let mut gap = |id: &str, detail: String, remedy: &str| gaps.note(TimeSync::NAME, "services.synchronised_at", kind.name, id, detail, remedy);
    if kind.name == "timesyncd" {
        match timesyncd::state(host) {
            Ok(state) => (out.tells, out.synchronised_at, out.offset_microseconds) = (true, state.synchronised_at, state.offset_microseconds),
            Err(detail) => gap(reason::READ_FAILED, detail, ""),
        }
        return;
    }
    if configured.drift.is_empty() {
        gap(reason::MISSING, "no drift file is configured, whose age would tell".into(), "Set driftfile.");
        return;
    }
    match host.stat(&configured.drift) {
        Ok(stat) => {
            out.synchronised_at = Some(stat.modified);
            let is_old = now - stat.modified > WARM_UP;
            let is_new_process = started.is_none_or(|s| now - s < WARM_UP);
            out.tells = !is_old || !is_new_process && kind.name == "chrony";
            if is_old && is_new_process {
                gap(reason::MISSING, format!("started less than {WARM_UP} s ago and {} is older", configured.drift), "Scan again later.");
            } else if is_old && kind.name != "chrony" {
                // chronyd writes each hour, the others only when the frequency has changed enough.
                gap(reason::UNSUPPORTED, format!("{} is only rewritten when the clock's frequency changes", configured.drift), "");
            }
        }
        Err(e) if e.is_not_found() && started.is_some_and(|s| now - s >= WARM_UP) && kind.name == "chrony" => out.tells = true,
        Err(e) => gap(if e.is_not_found() { reason::MISSING } else { reason::READ_FAILED }, e.to_string(), ""),
    }
}
