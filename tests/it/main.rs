//! Every integration test, one binary.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout, clippy::print_stderr, clippy::disallowed_methods, missing_docs)]

#[path = "../lab/mod.rs"]
mod lab;

mod access_facts;
mod advisories;
mod agent;
mod approvals;
mod apt;
mod browser;
mod certificates;
mod collector;
mod databases;
mod delivery;
mod doctor;
mod drift;
mod evidence;
mod files;
mod formats;
mod host_facts;
mod hostile;
mod identify;
mod jobs;
mod kills;
mod layering;
mod ledger;
mod monitoring;
mod no_exec;
mod operating;
mod packaging;
mod packs;
mod pam;
mod panel;
mod planted;
mod probe;
mod protocols;
mod reference;
mod renew;
mod replicas;
mod resend;
mod resumption;
mod rotation;
mod rpm_apk;
mod rules;
mod scans;
mod services;
mod spool_faults;
mod ssh_facts;
mod storage_facts;
mod store;
mod sudo_facts;
mod support;
mod tls_rules;
mod udp;
mod ui;
