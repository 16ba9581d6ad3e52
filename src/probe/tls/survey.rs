//! Which versions an endpoint accepts, its certificates, and what is spoken inside TLS.
//!
//! At most [`CONNECTIONS`] connections: one per version, one finished handshake, and one more
//! question inside TLS.

use tokio::task::JoinSet;

use super::client_hello::{SSL2, SSL3, of_version};
use super::finisher::{Finished, finish};
use super::server_reply::{Collector, End, Hello, Reply, alert_name};
use super::{certificate, suites};
use crate::model::policy::TLS_VERSIONS;
use crate::probe::dial::{Connection, Dialer, Stop};
use crate::probe::service::inside::inside;
use crate::probe::service::{Seen, Upgrade};

/// Most connections that a survey of one endpoint opens.
pub const CONNECTIONS: usize = 8;

/// Everything one endpoint showed.
#[derive(Debug, Default)]
pub struct Survey {
    /// Each version asked, oldest first.
    pub versions: Vec<Answer>,
    /// Certificates, leaf first.
    pub chain: Vec<certificate::Certificate>,
    /// Whether a client certificate is asked for.
    pub client_certificate_requested: Option<bool>,
    /// What is spoken inside direct TLS, where that was told.
    pub inner: Option<Seen>,
    /// Why the chain or a part of it is missing.
    pub chain_problem: Option<String>,
}

/// Answer to the hello of one version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// Name of the version.
    pub name: &'static str,
    /// Its wire code.
    pub code: u16,
    /// `accepted`, `refused`, `closed`, `silent`, `plaintext`, `garbage`, `unreachable`.
    pub outcome: &'static str,
    /// Chosen suite.
    pub suite: String,
    /// What decided.
    pub detail: String,
}

/// The versions asked of an endpoint, oldest first. A server that counts broken handshakes (MySQL)
/// is asked the four that its protocol ever had.
pub fn versions(upgrade: Option<Upgrade>) -> Vec<(&'static str, u16)> {
    let oldest = match upgrade {
        Some(upgrade) if upgrade.is_counted() => SSL3 + 1,
        // SSL 2.0 has no place after an upgrade.
        Some(_) => SSL3,
        None => SSL2,
    };
    TLS_VERSIONS.into_iter().filter(|v| v.1 >= oldest).collect()
}

/// Asks one endpoint everything.
pub async fn survey(dialer: &Dialer, upgrade: Option<Upgrade>) -> Survey {
    let mut asking = JoinSet::new();
    for (name, code) in versions(upgrade) {
        let dialer = dialer.clone();
        asking.spawn(async move { (name, code, hello(&dialer, upgrade, code).await) });
    }
    let mut answers: Vec<(&'static str, u16, Result<Reply, String>)> = Vec::new();
    while let Some(joined) = asking.join_next().await {
        answers.extend(joined);
    }
    answers.sort_by_key(|a| a.1);
    let (mut survey, chain) = fold(answers);
    let modern = survey.versions.iter().any(|v| v.outcome == "accepted" && v.code >= 0x0303);
    let finished = match modern && (chain.is_empty() || upgrade.is_none()) {
        true => finish(dialer, upgrade).await,
        false => Finished::default(),
    };
    conclude(&mut survey, chain, dialer, upgrade, finished).await;
    survey
}

/// Certificates from whichever handshake showed them, and the protocol inside.
async fn conclude(survey: &mut Survey, clear: Vec<Vec<u8>>, dialer: &Dialer, upgrade: Option<Upgrade>, finished: Finished) {
    survey.client_certificate_requested = survey.client_certificate_requested.or(finished.client_certificate_requested);
    let chain = if clear.is_empty() { finished.chain } else { clear };
    if chain.is_empty() {
        survey.chain_problem = Some(finished.problem.unwrap_or_else(|| "no handshake showed a certificate".into()));
    }
    for der in &chain {
        match certificate::parse(der) {
            Ok(certificate) => survey.chain.push(certificate),
            Err(problem) => survey.chain_problem = Some(format!("certificate {} of the chain: {problem}", survey.chain.len() + 1)),
        }
    }
    if let (Some(connection), None) = (finished.connection, upgrade) {
        survey.inner = inside(dialer, connection, &|| Box::pin(async { finish(dialer, None).await.connection })).await;
    }
}

/// One hello and its reply; an error when there was no connection to say it on.
async fn hello(dialer: &Dialer, upgrade: Option<Upgrade>, version: u16) -> Result<Reply, String> {
    let mut connection = dialer.connect().await.map_err(|e| e.to_string())?;
    if let Some(upgrade) = upgrade {
        upgrade.prepare(&mut connection).await.map_err(|e| format!("{} upgrade: {e}", upgrade.name()))?;
    }
    if connection.send(&of_version(version, &dialer.server_name)).await.is_err() {
        return Ok(Reply::Closed);
    }
    Ok(collect(&mut connection).await)
}

/// The whole reply gets the time of one answer, however slowly it drips.
async fn collect(connection: &mut Connection) -> Reply {
    let mut collector = Collector::default();
    let end = connection.answer_by();
    loop {
        match connection.some_by(end).await {
            Ok(bytes) => {
                if let Some(reply) = collector.feed(&bytes) {
                    return reply;
                }
            }
            Err(Stop::Closed) => return collector.end(End::Closed),
            Err(Stop::Silent | Stop::Incomplete) => return collector.end(End::Time),
            Err(Stop::Limit | Stop::Malformed) => return collector.end(End::Limit),
        }
    }
}

/// Answers of every version, and the clear chain of the newest version that showed one.
fn fold(answers: Vec<(&'static str, u16, Result<Reply, String>)>) -> (Survey, Vec<Vec<u8>>) {
    let mut survey = Survey::default();
    let mut clear = Vec::new();
    for (name, code, reply) in answers {
        if let Ok(Reply::Hello(hello)) = &reply
            && hello.version == code
        {
            survey.client_certificate_requested = hello.client_certificate_requested.or(survey.client_certificate_requested);
            if !hello.chain.is_empty() {
                clear.clone_from(&hello.chain);
            }
        }
        survey.versions.push(answer(name, code, reply));
    }
    (survey, clear)
}

fn answer(name: &'static str, code: u16, reply: Result<Reply, String>) -> Answer {
    let (outcome, suite, detail) = match reply {
        Ok(Reply::Hello(Hello { version, suite, .. })) if version == code => {
            ("accepted", if code == SSL2 { String::new() } else { suites::name(suite) }, "ServerHello".into())
        }
        Ok(Reply::Hello(hello)) => ("refused", String::new(), format!("ServerHello of version 0x{:04x}", hello.version)),
        Ok(Reply::Alert(description)) => ("refused", String::new(), alert_name(description)),
        Ok(Reply::Closed) => ("closed", String::new(), "connection closed without an answer".into()),
        Ok(Reply::Silent(detail)) => ("silent", String::new(), detail),
        Ok(Reply::Plaintext(text)) => ("plaintext", String::new(), text),
        Ok(Reply::Garbage(bytes)) => ("garbage", String::new(), bytes),
        Err(problem) => ("unreachable", String::new(), problem),
    };
    Answer { name, code, outcome, suite, detail }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::probe::service::{mysql, smtp};

    #[test]
    fn only_a_server_hello_of_the_asked_version_is_acceptance() {
        let hello = |version| Ok(Reply::Hello(Hello { version, suite: 0xc02f, chain: vec![vec![1]], client_certificate_requested: None }));
        let (survey, clear) = fold(vec![("TLSv1.1", 0x0302, hello(0x0301)), ("TLSv1.2", 0x0303, hello(0x0303)), ("TLSv1.3", 0x0304, Ok(Reply::Alert(70)))]);
        let outcomes: Vec<&str> = survey.versions.iter().map(|v| v.outcome).collect();
        assert_eq!(outcomes, ["refused", "accepted", "refused"]);
        assert_eq!(survey.versions[1].suite, "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256");
        assert_eq!((survey.versions[0].detail.as_str(), survey.versions[2].detail.as_str()), ("ServerHello of version 0x0301", "alert protocol_version"));
        assert_eq!(clear, vec![vec![1]]);
    }

    #[test]
    fn a_survey_stays_within_its_connections() {
        for upgrade in [None, Some(smtp::UPGRADE), Some(mysql::UPGRADE)] {
            assert!(versions(upgrade).len() + 2 <= CONNECTIONS);
        }
        assert_eq!(versions(Some(mysql::UPGRADE)).len(), 4);
    }
}
