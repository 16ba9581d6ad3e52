//! Every integration test, one binary.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout, clippy::print_stderr, clippy::disallowed_methods, missing_docs)]

#[path = "../lab/mod.rs"]
mod lab;

mod access_facts;
mod advisories;
mod agent;
mod browser;
mod collector;
mod evidence;
mod formats;
mod host_facts;
mod kills;
mod layering;
mod ledger;
mod no_exec;
mod planted;
mod probe;
mod reference;
mod rules;
mod support;
mod ui;
