//! What the operator declared, laid over the servers that were found.

use super::{PATHS, ReplicatedServer, Replication};
use crate::facts::Document as _;
use crate::host::Host;
use crate::model::declared::{DatabaseEngine, ReplicationExpectation};
use crate::model::gap::Gaps;

/// Fills in `expected`; a declaration without a server becomes one that is absent, unless a server could not be read.
pub fn lay_over(host: &Host, into: &mut Replication, gaps: &mut Gaps) {
    let engines = |expectation: &ReplicationExpectation| match expectation.engine {
        DatabaseEngine::Postgresql => ["postgresql", "postgresql"],
        DatabaseEngine::Mariadb => ["mariadb", "mysql"],
    };
    for expectation in &host.declared().replication {
        let mut met = false;
        for server in into.servers.iter_mut().filter(|s| engines(expectation).contains(&s.engine.as_str())) {
            let name = server.subject.split_once(' ').map_or("", |(_, name)| name);
            if expectation.server.is_empty() || expectation.server == name {
                // One that names the server stands above one for all of the engine.
                if server.expected.is_empty() || !expectation.server.is_empty() {
                    server.expected = expectation.expected.word().into();
                }
                met = true;
            }
        }
        let [engine, _] = engines(expectation);
        let subject = if expectation.server.is_empty() { format!("{engine} (declared)") } else { format!("{engine} {}", expectation.server) };
        if met || into.servers.iter().any(|s| s.subject == subject) || is_in_gaps(gaps, &subject, expectation.server.is_empty().then_some(engine)) {
            continue;
        }
        into.servers.push(ReplicatedServer {
            subject,
            engine: engine.into(),
            role: "absent".into(),
            expected: expectation.expected.word().into(),
            mode: "none".into(),
            ..ReplicatedServer::default()
        });
    }
}

/// Whether a gap already says that the server, or one of its engine, could not be read.
fn is_in_gaps(gaps: &mut Gaps, subject: &str, engine: Option<&str>) -> bool {
    let all = std::mem::take(gaps).into_sorted();
    let mut touches = all.iter().filter(|g| g.family == Replication::NAME && PATHS.contains(&g.path.as_str()));
    let found = touches.any(|g| g.subject == subject || engine.is_some_and(|e| g.subject.starts_with(e)));
    gaps.extend(all);
    found
}
