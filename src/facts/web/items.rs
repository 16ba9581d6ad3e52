//! What web servers are configured to do, in the same words for every program.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::model::fact::Source;

/// One program with one main file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct WebServer {
    /// Program and main file, such as `nginx /etc/nginx/nginx.conf`.
    pub subject: String,
    /// `nginx` or `apache`.
    pub program: String,
    /// Release, such as `1.22.1`; empty when it is not known.
    pub version: String,
    /// Whether a process runs with this file; always false where no running machine is read.
    pub running: bool,
    /// Whether answers and error pages show the release (server_tokens, ServerTokens).
    pub shows_version: bool,
    /// Apache: whether TRACE is answered (TraceEnable); false for nginx, which never does.
    pub trace: bool,
    /// Files read, in order.
    pub files: Vec<String>,
    /// Main file.
    pub source: Source,
}

/// One site: a server block of nginx, a virtual host or the main server of Apache.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Site {
    /// Program, first name and place, such as `nginx shop.example.org /etc/nginx/sites-enabled/shop:3`.
    pub subject: String,
    /// `nginx` or `apache`.
    pub program: String,
    /// Names that select it, as written.
    pub names: Vec<String>,
    /// Addresses with ports where it is reached without TLS, loopback and local sockets left out.
    pub plaintext_addresses: Vec<String>,
    /// Addresses with ports where it is reached with TLS, loopback left out.
    pub tls_addresses: Vec<String>,
    /// What requests without TLS get: `redirected` (every one is led to https or refused, but for challenges below `/.well-known/`), `refused`
    /// (nothing is served), `served`, `conditional` (a condition decides that is not evaluated).
    pub plaintext: String,
    /// Whether nothing at all is served, with TLS or without, as by a site that catches unknown names.
    pub refuses_all: bool,
    /// Strict-Transport-Security in seconds; `null` when the site sends none by itself.
    pub hsts_max_age_seconds: Option<i64>,
    /// Places whose own headers take the place of Strict-Transport-Security that is set around them, as `FILE:LINE`.
    pub hsts_lost: Vec<String>,
    /// Whether another program answers for parts of it, which may send headers of its own.
    pub has_backend: bool,
    /// `on`, `off`, or `conditional` (a variable decides which requests are written).
    pub access_log: String,
    /// Where the log was decided; the place is empty when the default holds.
    pub access_log_source: Source,
    /// Where the site begins.
    pub source: Source,
}

/// A place where requests are handed on to another program.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Upstream {
    /// Program, target and place, such as `nginx http://10.0.0.5:8080 /etc/nginx/conf.d/a.conf:9`.
    pub subject: String,
    /// `nginx` or `apache`.
    pub program: String,
    /// `http`, `https`, `fastcgi`, `uwsgi`, `scgi`, `grpc`, `grpcs`, `ajp`, `memcached`, `tcp` (stream), `ws`, `wss`, …
    pub scheme: String,
    /// Address or name, with the port where one is written.
    pub target: String,
    /// Whether what is handed on is encrypted.
    pub encrypted: bool,
    /// Whether the target is on this machine: a local socket, loopback, or an address of its own.
    pub this_machine: bool,
    /// Where it is handed on.
    pub source: Source,
}

/// A folder whose content is listed to whoever asks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Listing {
    /// Program, site, path and place.
    pub subject: String,
    /// `nginx` or `apache`.
    pub program: String,
    /// Path of the URL (nginx) or folder (Apache).
    pub path: String,
    /// First name of the site.
    pub site: String,
    /// Whether requests need a password, a token or an address that is let in.
    pub restricted: bool,
    /// Whether the site is reached from other machines.
    pub exposed: bool,
    /// What turns it on.
    pub source: Source,
}

/// A certificate or key that an endpoint names.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NamedFile {
    /// Absolute path.
    pub subject: String,
    /// `certificate` or `key`.
    pub kind: String,
    /// `file`, `missing`, or `other` (a folder, a device).
    pub state: String,
    /// Subject of the first endpoint that names it.
    pub endpoint: String,
    /// Where that endpoint is told to listen.
    pub source: Source,
}
