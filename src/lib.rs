//! assay proves, with evidence an auditor can verify offline, that what a company promises about
//! its servers is true.
//!
//! ```text
//! machine -> host -+               rules/checks/*.yaml -> rules --+
//!                  +-> facts -------------------------> evaluate -+-> findings -> report -> spool ==mTLS==> collector -> store + ledger -> evidence
//! network -> probe-+                                               (agent)                    (roster, approvals, waivers, registers, frameworks)
//! ```
//!
//! Modules stand in pipeline order; imports point only towards [`model`].

pub mod model;

pub mod host;

pub mod facts;
pub mod ledger;
pub mod pki;
pub mod probe;
pub mod rules;

pub mod report;

pub mod advisory;
pub mod evidence;
pub mod records;

#[cfg(feature = "agent")]
pub mod agent;
#[cfg(feature = "collector")]
pub mod collector;

pub mod config;

pub mod cli;
