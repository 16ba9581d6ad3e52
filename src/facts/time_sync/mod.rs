//! How the clock is kept: the services that may do it, whom they ask, and whether they succeed.
//!
//! A service tells by its own traces when it last set the clock: timesyncd by its mark in `/run` and
//! over the message bus, chronyd and ntpd by the drift file that they rewrite while they are
//! synchronised. What they answer over the network (offset, stratum) stands in the family `clock`.

mod chrony;
mod ntp;
mod observe;
mod timesyncd;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::jobs::names::Names;
use super::monitoring::note_not_live;
use super::monitoring::observed::Observer;
use super::monitoring::texts::Told;
use super::{Document, HostFamily};
use crate::host::{Host, clock};
use crate::model::fact::Source;
use crate::model::gap::Gaps;

/// Time services and their sources.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TimeSync {
    /// Installed time services, by subject.
    pub services: Vec<TimeService>,
    /// Whom they ask, by subject.
    pub sources: Vec<TimeSource>,
    /// What the hardware clock keeps (`/etc/adjtime`): `utc`, `local`, or empty when there is no such file (then UTC is taken).
    pub hardware_clock: String,
    /// By how much the collector's clock was ahead of this one at the last heartbeat, seconds; negative: behind. `null` when no
    /// collector was heard since the agent started, and in a scan without one.
    #[schemars(extend("x-volatile" = true))]
    pub collector_offset: Option<i64>,
}

impl Document for TimeSync {
    const NAME: &'static str = "time_sync";
    const TITLE: &'static str = "Services that keep the clock, whom they ask, and when they last set it";
}

/// A service that keeps the clock.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TimeService {
    /// `chrony`, `timesyncd`, `ntpd` (of ntp or NTPsec), `openntpd` or `busybox`.
    pub subject: String,
    /// Its program.
    pub program: String,
    /// Unit that starts it; empty when there is none.
    pub unit: String,
    /// What `systemctl is-enabled` says of the unit; `init` for a link of another init system; empty without a unit.
    pub unit_state: String,
    /// Whether it starts by itself when the machine does.
    pub enabled: bool,
    /// Whether it runs; `null` on a root folder.
    pub running: Option<bool>,
    /// Whether it keeps the clock: it runs, or, on a root folder, starts with the machine.
    pub in_use: bool,
    /// Main file of its configuration.
    pub configuration: String,
    /// Sources that it may take the time from.
    pub usable_sources: u64,
    /// Of these, sources whose answers are authenticated (NTS, or a symmetric key).
    pub authenticated_sources: u64,
    /// Whether its own traces tell when it last set the clock.
    pub tells: bool,
    /// When it last set the clock by a source, as its own traces tell, Unix seconds; `null` when it never did or they tell nothing.
    #[schemars(extend("x-volatile" = true))]
    pub synchronised_at: Option<i64>,
    /// Clock of the source minus ours at the last exchange, microseconds, where the service tells it over the message bus (timesyncd).
    #[schemars(extend("x-volatile" = true))]
    pub offset_microseconds: Option<i64>,
    /// Its configuration.
    pub source: Source,
}

/// Somebody whom a service asks for the time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TimeSource {
    /// Service and name, such as `chrony 2.debian.pool.ntp.org`.
    pub subject: String,
    /// Service, a subject of `services`.
    pub service: String,
    /// `server`, `pool`, `peer`, `refclock` (a clock of this machine), `fallback` (asked when nothing else is known), `interface` (told by the network).
    pub kind: String,
    /// Name or address as written; of a reference clock its driver and parameter.
    pub address: String,
    /// Whether the service may take the time from it (not `noselect`).
    pub usable: bool,
    /// `nts`, `key` (symmetric key) or `none`.
    pub authentication: String,
    /// Where it stands.
    pub source: Source,
}

/// What a configuration says, on its way into the document.
#[derive(Debug, Default)]
struct Configured {
    /// Main file.
    main: String,
    /// Whether it was found.
    found: bool,
    sources: Vec<TimeSource>,
    /// File that is rewritten while the service is synchronised.
    drift: String,
}

impl Configured {
    /// Keeps a source; a name that stands twice is kept once, as usable as its best line.
    fn keep(&mut self, service: &str, kind: &str, address: &str, usable: bool, authentication: &str, source: Source) {
        const SOURCE_LIMIT: usize = 1_000;
        let subject = format!("{service} {address}");
        if let Some(same) = self.sources.iter_mut().find(|s| s.subject == subject) {
            same.usable |= usable;
            return;
        }
        if self.sources.len() < SOURCE_LIMIT {
            let (service, kind, address, authentication) = (service.into(), kind.into(), address.into(), authentication.into());
            self.sources.push(TimeSource { subject, service, kind, address, usable, authentication, source });
        }
    }
}

impl HostFamily for TimeSync {
    const WATCHED: &'static [&'static str] = &[
        "/etc/chrony.conf",
        "/etc/chrony/**",
        "/etc/systemd/timesyncd.conf",
        "/etc/systemd/timesyncd.conf.d/*",
        "/etc/ntp.conf",
        "/etc/ntpsec/**",
        "/etc/openntpd/*",
        "/etc/ntpd.conf",
        "/etc/adjtime",
        "/etc/systemd/system/**",
    ];

    fn gather(host: &Host, gaps: &mut Gaps) -> Option<Self> {
        let now = clock::unix_now();
        let names = Names::read(host, now);
        let observer = Observer::read(host, &names, Self::NAME, "services", gaps);
        let mut out = Self::default();
        for kind in observe::KINDS {
            let Some(program) = kind.program(host) else { continue };
            let (service, sources) = observe::service(&observer, kind, program, now, gaps);
            out.services.push(service);
            out.sources.extend(sources);
        }
        if out.services.iter().any(|s| s.in_use) {
            note_not_live(host, Self::NAME, "services.synchronised_at", gaps);
        }
        out.hardware_clock = hardware_clock(host, gaps);
        out.services.sort_by(|a, b| a.subject.cmp(&b.subject));
        out.sources.sort_by(|a, b| a.subject.cmp(&b.subject));
        Some(out)
    }
}

/// Third line of adjtime_config(5).
fn hardware_clock(host: &Host, gaps: &mut Gaps) -> String {
    let mut told = Told { family: TimeSync::NAME, path: "hardware_clock", subject: String::new(), gaps };
    let text = told.text(host, "/etc/adjtime").unwrap_or_default();
    match text.lines().nth(2).map(str::trim) {
        Some("LOCAL") => "local",
        Some("UTC") => "utc",
        _ => "",
    }
    .into()
}
