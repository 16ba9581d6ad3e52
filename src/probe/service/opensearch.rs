//! OpenSearch over HTTP: a fork of Elasticsearch that answers alike and names itself.

use super::{Protocol, elasticsearch};

/// OpenSearch.
pub const PROTOCOL: Protocol =
    Protocol { name: "opensearch", over_http: Some(|web, answer| Box::pin(elasticsearch::look(web, answer, "opensearch"))), ..Protocol::NONE };
