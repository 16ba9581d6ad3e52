//! The agent: one scan, its schedule, its spool and its upload.

pub mod deliver;
pub mod doctor;
pub mod drift;
pub mod enrol;
pub mod gatherer;
pub mod identity;
pub mod landlock;
pub mod pace;
pub mod renew;
pub mod rules;
pub mod run;
pub mod scan;
pub mod schedule;
pub mod seal;
pub mod seccomp;
pub mod service;
pub mod spool;
pub mod upload;
pub mod watch;
