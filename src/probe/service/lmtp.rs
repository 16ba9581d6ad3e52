//! LMTP (RFC 2033): SMTP with another first word, so that it is told from SMTP there.

use super::{Protocol, Upgrade, smtp};

/// LMTP; its greeting is SMTP's.
pub const PROTOCOL: Protocol =
    Protocol { name: "lmtp", ports: &[24], processes: &["lmtp", "lmtpd"], greets: Some(smtp::greets), talk: smtp::PROTOCOL.talk, ..Protocol::NONE };

/// STARTTLS (RFC 3207) after LHLO.
pub const UPGRADE: Upgrade = Upgrade { name: "lmtp", is_counted: false, prepare: |connection| Box::pin(smtp::upgrade(connection, LHLO)) };

/// Our greeting.
pub const LHLO: &str = "LHLO assay";
