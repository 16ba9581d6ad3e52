//! What configurations say about endpoints beside what the wire shows: the derived family `endpoints`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::fact::Source;

/// Name of the family in rules.
pub const NAME: &str = "endpoints";

/// Configured endpoints that were spoken to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Endpoints {
    /// By family, in its order. One that is configured and does not listen, or whose socket another program holds, is not here.
    pub items: Vec<Compared>,
}

/// One endpoint as configured and as seen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Compared {
    /// Subject in its own family, such as `nginx 0.0.0.0:443 shop.example.org`.
    pub subject: String,
    /// Family that tells the configuration, such as `web`.
    pub family: String,
    /// Subject of the wire's own item, in `tls.endpoints` or `services.items`.
    pub seen: String,
    /// `required`, `offered` or `none`, as configured.
    pub tls: String,
    /// Versions that the configuration leaves on; `null` when it leaves them to the library.
    pub configured: Option<Vec<String>>,
    /// Versions that the wire accepts.
    pub accepted: Vec<String>,
    /// Versions that the wire accepts and the configuration excludes.
    pub excluded: Vec<String>,
    /// `same` (nothing is accepted that the configuration excludes; the library may narrow it), `wider` (something is), `refused` (the wire
    /// accepts none of the versions), `plaintext` (the configuration has TLS and the wire shows none), `encrypted` (the other way round).
    pub agreement: String,
    /// Where the versions were decided, else where it is told to listen.
    pub source: Source,
}
