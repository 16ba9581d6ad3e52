//! What the collector counts, for Prometheus: as OpenMetrics text 1.0.0 to those who ask for it, else
//! as the older text format 0.0.4. No host, no person, no path: names and labels come from this file
//! and from the stable ids of refusals.

use std::sync::Arc;
use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

use crate::ledger::Kind;

/// Media type of [`Metrics::open_metrics`].
pub const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
/// Media type of [`Metrics::text`].
pub const TEXT: &str = "text/plain; version=0.0.4; charset=utf-8";
/// Bounds of histograms, seconds: around the promised 250 ms more closely than elsewhere.
const SECONDS: [f64; 12] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0];

/// Kinds of requests of agents.
const ROUTES: [&str; 6] = ["report", "blob", "heartbeat", "enrol", "renew", "other"];

/// A label with one value out of few.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub struct Why {
    /// Stable id of a refusal.
    pub reason: &'static str,
}

/// A kind of request.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub struct What {
    /// `report`, `blob`, `heartbeat`, `enrol`, `renew` or `other`.
    pub route: &'static str,
}

/// A state of hosts.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub struct State {
    /// `active`, `silent`, `retired` or `replaced`.
    pub state: &'static str,
}

/// A list that people keep.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub struct ListLabel {
    /// `roster`, `approvals`, …
    pub list: &'static str,
}

/// What runs.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub struct Version {
    /// Version of the collector.
    pub version: &'static str,
}

/// One of the listeners.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub struct Whose {
    /// `agents`, `people` or `operations`.
    pub listener: &'static str,
}

/// Counters and gauges, shared by all who count.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    /// Reports stored.
    pub accepted: Counter,
    /// Reports that were known already.
    pub duplicates: Counter,
    /// Reports whose number another one has.
    pub forks: Counter,
    /// Requests of agents that were done.
    pub requests: Family<What, Counter>,
    /// Requests of agents that were refused.
    pub refused: Family<Why, Counter>,
    /// Bytes of the bodies of requests that were done.
    pub received: Counter,
    /// From the whole body to the commit.
    pub ingest: Histogram,
    /// From the head of the request to the receipt.
    pub acknowledgement: Histogram,
    /// Judging one report.
    pub judge: Histogram,
    /// Entries of the ledger.
    pub leaves: Gauge,
    /// Entries that wait for their number.
    pub pending: Gauge,
    /// Whether this collector numbers the ledger.
    pub leads: Gauge,
    /// Hosts by state.
    pub hosts: Family<State, Gauge>,
    /// When contacts were last written down, Unix seconds.
    pub flushed: Gauge,
    /// Connections that are open.
    pub connections: Family<Whose, Gauge>,
    /// Handshakes that failed.
    pub handshakes: Family<Whose, Counter>,
    /// Memory granted to bodies, bytes.
    pub body_memory: Gauge,
    /// Room for the data folder, bytes.
    pub disk_free: Gauge,
    /// Hosts whose latest facts were judged again.
    pub judged_again: Counter,
    /// Lists whose file can't be read.
    pub lists_refused: Family<ListLabel, Gauge>,
}

impl Metrics {
    /// All at zero. `body_limit` is the memory that bodies may have together, bytes; `now` Unix seconds.
    pub fn new(body_limit: i64, now: i64) -> Self {
        let seconds = || Histogram::new(SECONDS);
        let mut registry = Registry::with_prefix("assay");
        let metrics = Self {
            accepted: Counter::default(),
            duplicates: Counter::default(),
            forks: Counter::default(),
            requests: Family::default(),
            refused: Family::default(),
            received: Counter::default(),
            ingest: seconds(),
            acknowledgement: seconds(),
            judge: seconds(),
            leaves: Gauge::default(),
            pending: Gauge::default(),
            leads: Gauge::default(),
            hosts: Family::default(),
            flushed: Gauge::default(),
            connections: Family::default(),
            handshakes: Family::default(),
            body_memory: Gauge::default(),
            disk_free: Gauge::default(),
            judged_again: Counter::default(),
            lists_refused: Family::default(),
            registry: Registry::default(),
        };
        let build: Family<Version, Gauge> = Family::default();
        build.get_or_create(&Version { version: env!("CARGO_PKG_VERSION") }).set(1);
        // A gauge, as is the custom: the older format has no type `info`.
        registry.register("build_info", "What runs; always 1", build);
        registry.register_with_unit("started", "When the collector started, Unix time", Unit::Seconds, gauge(now));
        registry.register_with_unit("body_memory_limit", "Memory that bodies of requests may have together", Unit::Bytes, gauge(body_limit));
        metrics.register(&mut registry);
        // There from the start at zero: an alert on a metric that is not there never fires.
        for route in ROUTES {
            drop(metrics.requests.get_or_create(&What { route }));
        }
        for state in ["active", "silent", "retired", "replaced"] {
            drop(metrics.hosts.get_or_create(&State { state }));
        }
        for list in Kind::ALL.into_iter().filter(|kind| kind.is_list()) {
            drop(metrics.lists_refused.get_or_create(&ListLabel { list: list.id() }));
        }
        drop(metrics.refused.get_or_create(&Why { reason: "busy" }));
        for listener in ["agents", "people"] {
            metrics.meter(listener);
        }
        Self { registry, ..metrics }
    }

    fn register(&self, r: &mut Registry) {
        r.register("reports_accepted", "Reports that were stored", self.accepted.clone());
        r.register("reports_duplicate", "Reports that were known already and got the same receipt again", self.duplicates.clone());
        r.register("reports_forked", "Reports whose number another report has: clones and rolled-back machines", self.forks.clone());
        r.register("agent_requests", "Requests of agents that were done, by route", self.requests.clone());
        r.register("agent_requests_refused", "Requests of agents that were refused, by the id of the refusal", self.refused.clone());
        r.register_with_unit("agent_received", "Bodies of requests of agents that were done", Unit::Bytes, self.received.clone());
        r.register_with_unit("ingest", "Time from the whole body of a report to its commit", Unit::Seconds, self.ingest.clone());
        r.register_with_unit("acknowledgement", "Time from the head of a report's request to its receipt", Unit::Seconds, self.acknowledgement.clone());
        r.register_with_unit("judge", "Time to judge one report", Unit::Seconds, self.judge.clone());
        r.register("ledger_leaves", "Entries of the ledger", self.leaves.clone());
        r.register("ledger_pending_leaves", "Entries that wait for their number", self.pending.clone());
        r.register("ledger_leads", "1 when this collector numbers the ledger, 0 when another one does", self.leads.clone());
        r.register("hosts", "Hosts by state, at most a minute old", self.hosts.clone());
        r.register_with_unit("contacts_flushed", "When contacts of hosts were last written down, Unix time", Unit::Seconds, self.flushed.clone());
        r.register("connections", "Open connections by listener", self.connections.clone());
        r.register("tls_handshakes_failed", "TLS handshakes that failed or took too long, by listener", self.handshakes.clone());
        r.register_with_unit("body_memory", "Memory granted to bodies of requests", Unit::Bytes, self.body_memory.clone());
        r.register_with_unit("data_free", "Room on the file system of the data folder", Unit::Bytes, self.disk_free.clone());
        r.register("hosts_judged_again", "Hosts whose latest facts were judged again without a report", self.judged_again.clone());
        r.register("list_refused", "1 while the file of a list can't be read and an older version is in force", self.lists_refused.clone());
    }

    /// The whole exposition as OpenMetrics.
    pub fn open_metrics(&self) -> Result<String, std::fmt::Error> {
        let mut text = String::new();
        encode(&mut text, &self.registry)?;
        Ok(text)
    }

    /// The same in the older format, where a counter is called by its samples' name and units are no line of their own.
    pub fn text(&self) -> Result<String, std::fmt::Error> {
        let open = self.open_metrics()?;
        let counters: Vec<&str> = open.lines().filter_map(|l| l.strip_prefix("# TYPE ")?.strip_suffix(" counter")).collect();
        let mut text = String::new();
        for line in open.lines().filter(|l| !l.starts_with("# UNIT ") && *l != "# EOF") {
            let mut words = line.splitn(4, ' ');
            match (words.next(), words.next(), words.next(), words.next()) {
                (Some("#"), Some(key), Some(name), Some(rest)) if counters.contains(&name) => text.push_str(&format!("# {key} {name}_total {rest}\n")),
                _ => text.push_str(&format!("{line}\n")),
            }
        }
        Ok(text)
    }

    /// The counters of one listener.
    pub fn meter(&self, listener: &'static str) -> Meter {
        let whose = Whose { listener };
        Meter { open: self.connections.get_or_create_owned(&whose), failed: self.handshakes.get_or_create_owned(&whose) }
    }
}

fn gauge(value: i64) -> Gauge {
    let gauge: Gauge = Gauge::default();
    gauge.set(value);
    gauge
}

/// Seconds for a histogram.
pub fn seconds(time: Duration) -> f64 {
    time.as_secs_f64()
}

/// Counts the connections of one listener.
#[derive(Clone, Debug)]
pub struct Meter {
    open: Gauge,
    failed: Counter,
}

impl Meter {
    /// A connection is open until the answer is dropped, however its task ends.
    pub fn opened(&self) -> Open {
        self.open.inc();
        Open(self.open.clone())
    }

    /// A handshake failed.
    pub fn failed(&self) {
        self.failed.inc();
    }
}

/// An open connection.
#[derive(Debug)]
pub struct Open(Gauge);

impl Drop for Open {
    fn drop(&mut self) {
        self.0.dec();
    }
}

/// Shared metrics.
pub type Shared = Arc<Metrics>;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_metric_has_help_type_and_the_prefix_and_units_are_suffixes() {
        let metrics = Metrics::new(1 << 26, 1_795_000_000);
        metrics.refused.get_or_create(&Why { reason: "busy" }).inc();
        metrics.judge.observe(0.2);
        let open = metrics.meter("agents").opened();
        let text = metrics.open_metrics().unwrap();
        assert!(text.contains("assay_connections{listener=\"agents\"} 1\n") && text.contains("assay_agent_requests_refused_total{reason=\"busy\"} 1\n"));
        assert!(text.contains("assay_judge_seconds_bucket{le=\"0.25\"} 1\n") && text.ends_with("# EOF\n"), "{text}");
        assert!(text.contains("assay_build_info{version=\"") && text.contains("assay_started_seconds 1795000000\n"), "{text}");
        let old = metrics.text().unwrap();
        assert!(old.contains("# TYPE assay_agent_requests_refused_total counter\nassay_agent_requests_refused_total{reason=\"busy\"} 1\n"), "{old}");
        assert!(!old.contains("# UNIT") && !old.contains("# EOF") && old.contains("# TYPE assay_judge_seconds histogram\n"), "{old}");
        drop(open);
        assert!(metrics.text().unwrap().contains("assay_connections{listener=\"agents\"} 0\n"));
    }
}
