//! Command lines: arguments in, exit code out.

pub mod advisories;
pub mod assay;
#[cfg(feature = "collector")]
pub mod backup;
#[cfg(feature = "collector")]
pub mod collector;
#[cfg(feature = "collector")]
mod data;
#[cfg(feature = "collector")]
pub mod demo;
pub mod doctor;
pub mod enroll;
#[cfg(feature = "collector")]
pub mod erase;
pub mod evidence;
pub mod exit;
pub mod explain;
#[cfg(feature = "collector")]
pub mod export;
#[cfg(feature = "collector")]
pub mod fsck;
pub mod gatherer;
#[cfg(feature = "collector")]
pub mod hosts;
#[cfg(feature = "collector")]
pub mod ledger;
pub mod output;
pub mod rules;
pub mod scan;
#[cfg(feature = "collector")]
pub mod serve;
pub mod service;
#[cfg(feature = "collector")]
pub mod token;
#[cfg(feature = "collector")]
pub mod user;
