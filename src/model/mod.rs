//! The nouns: plain data and the bytes they are written as. No I/O, no clock.

pub mod advisories;
pub mod against;
pub mod approvals;
pub mod blob;
pub mod canonical;
pub mod compared;
pub mod configured;
pub mod day;
pub mod declared;
pub mod declared_places;
pub mod envelope;
pub mod fact;
pub mod finding;
pub mod gap;
pub mod ids;
pub mod inventory;
pub mod kept;
pub mod pattern;
pub mod policy;
pub mod receipt;
pub mod redact;
pub mod report;
pub mod roster;
pub mod schemas;
pub mod table;
pub mod third_parties;
