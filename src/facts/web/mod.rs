//! Web servers as they are configured: nginx and Apache httpd.
//!
//! What takes effect is resolved as each program does it: includes, inheritance, conditions,
//! variables, options of the command line, defaults of the release. A server that runs with
//! another main file than the usual one is read from there.

mod apache;
mod collect;
mod items;
pub mod launch;
mod nginx;
mod tree;
mod upstream;

pub(crate) use collect::{is_exposed, named_files, socket};
pub use items::{Listing, NamedFile, Site, Upstream, WebServer};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Document, HostFamily};
use crate::host::Host;
use crate::model::configured::ConfiguredEndpoint;
use crate::model::gap::Gaps;
use collect::Collector;

/// Effective configuration of the web servers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Web {
    /// One entry per program and main file.
    pub servers: Vec<WebServer>,
    /// One entry per address, port and site; of those that share a socket, the one that answers clients without a server name stands first.
    pub endpoints: Vec<ConfiguredEndpoint>,
    /// Sites, in the order of the files.
    pub sites: Vec<Site>,
    /// Where requests are handed on, in the order of the files.
    pub upstreams: Vec<Upstream>,
    /// Folders that are listed, in the order of the files.
    pub listings: Vec<Listing>,
    /// Certificates and keys named by endpoints, by path.
    pub key_files: Vec<NamedFile>,
}

impl Document for Web {
    const NAME: &'static str = "web";
    const TITLE: &'static str = "Effective configuration of web servers";
}

impl HostFamily for Web {
    const WATCHED: &'static [&'static str] = &["/etc/nginx/**", "/etc/apache2/**", "/etc/httpd/**", "/etc/sysconfig/httpd", "/etc/default/nginx"];

    fn gather(host: &Host, gaps: &mut Gaps) -> Option<Self> {
        Some(read(host, Self::NAME, gaps))
    }
}

/// Endpoints of the web servers, for families that ask which service uses a certificate; gaps go to the family `web` alone.
pub(crate) fn endpoints(host: &Host) -> Vec<ConfiguredEndpoint> {
    read(host, Web::NAME, &mut Gaps::new()).endpoints
}

fn read(host: &Host, family: &'static str, gaps: &mut Gaps) -> Web {
    let mut collector = Collector::new(host, family, gaps);
    nginx::gather(&mut collector);
    apache::gather(&mut collector);
    collector.finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::testing::rooted;

    #[test]
    fn subjects_are_unique_and_the_default_of_a_socket_comes_first() {
        let (_root, host) = rooted(&[
            (
                "/etc/nginx/nginx.conf",
                "http { ssl_certificate /c.pem;\nserver { listen 443 ssl; server_name a; }\nserver { listen 443 ssl default_server; server_name b; }\n\
                 server { listen 443 ssl; server_name a; location / { proxy_pass http://x; proxy_pass http://x; } } }\nstream { server { listen 443 udp; proxy_pass 10.0.0.1:5; } }\n",
            ),
            ("/etc/apache2/apache2.conf", "Listen 80\nServerName m\n"),
            ("/c.pem", ""),
        ]);
        let mut gaps = Gaps::new();
        let web = Web::gather(&host, &mut gaps).unwrap();
        let subjects: Vec<&str> = web.endpoints.iter().map(|e| e.subject.as_str()).collect();
        assert_eq!(
            subjects,
            ["nginx 0.0.0.0:443 b", "nginx 0.0.0.0:443 a", "nginx 0.0.0.0:443 a /etc/nginx/nginx.conf:4", "nginx 0.0.0.0:443/udp stream", "apache [::]:80 m"]
        );
        assert_eq!((web.sites.len(), web.upstreams.len(), web.key_files.len()), (4, 1, 1));
        assert_eq!(web.endpoints.iter().map(|e| e.transport.as_str()).collect::<Vec<_>>(), ["tcp", "tcp", "tcp", "udp", "tcp"]);
        // Without a release nobody knows the versions that nginx leaves on by default.
        let unknown: Vec<String> = gaps.into_sorted().into_iter().map(|g| format!("{} {}", g.path, g.subject)).collect();
        assert_eq!(unknown.len(), 3, "{unknown:?}");
    }
}
