//! Command lines: arguments in, exit code out.

pub mod advisories;
pub mod assay;
#[cfg(feature = "collector")]
pub mod collector;
#[cfg(feature = "collector")]
pub mod demo;
pub mod doctor;
pub mod enroll;
pub mod evidence;
pub mod exit;
pub mod explain;
#[cfg(feature = "collector")]
pub mod export;
pub mod gatherer;
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
