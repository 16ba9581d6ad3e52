//! Every rustls configuration for our own connections.
//!
//! TLS 1.2 and 1.3, ring. Endpoints that are examined never pass through here.

use std::sync::Arc;
use std::time::Duration;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring as ring_provider};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::time_provider::TimeProvider;
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, DistinguishedName, Error, RootCertStore, ServerConfig, SignatureScheme};

use super::PkiError;
use super::authority::{Authority, ServerCertificate};
use super::keys::SigningKey;
use super::token::Token;
use crate::host::clock;

/// A clock that never goes below a time known to have passed (the last receipt, the build), so that
/// a host whose clock was reset still reaches its collector.
#[derive(Debug)]
struct FlooredClock {
    floor: i64,
}

impl TimeProvider for FlooredClock {
    fn current_time(&self) -> Option<UnixTime> {
        let seconds = u64::try_from(clock::floored(self.floor)).ok()?;
        Some(UnixTime::since_unix_epoch(Duration::from_secs(seconds)))
    }
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(ring_provider::default_provider())
}

/// The agent's side after enrolment: trusts `ca_pem` alone, shows the host's certificate.
/// `floor` is the latest time known to have passed, Unix seconds.
pub fn agent_client(ca_pem: &str, certificate_pem: &str, key: &SigningKey, floor: i64) -> Result<ClientConfig, PkiError> {
    let mut roots = RootCertStore::empty();
    roots.add(certificate("collector CA", ca_pem)?)?;
    let key = PrivateKeyDer::from_pem_slice(key.pem().as_bytes()).map_err(|_| PkiError::Key("host key".into()))?;
    Ok(ClientConfig::builder_with_details(provider(), Arc::new(FlooredClock { floor }))
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_client_auth_cert(vec![certificate("host certificate", certificate_pem)?], key)?)
}

/// The agent's side before enrolment: trusts whatever chain holds the CA that the token pins.
pub fn pinned_client(token: &Token, floor: i64) -> Result<ClientConfig, PkiError> {
    let verifier = PinnedVerifier { token: token.clone(), provider: provider() };
    Ok(ClientConfig::builder_with_details(provider(), Arc::new(FlooredClock { floor }))
        .with_safe_default_protocol_versions()?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_no_client_auth())
}

/// The collector's listener for agents: certificates of its own CA, expired ones for
/// [`super::RENEWABLE`] more. None is needed to enrol, and an expired one is good for renewal alone,
/// so every request must look at what was shown.
pub fn agents_server(authority: &Authority, certificate: ServerCertificate) -> Result<ServerConfig, PkiError> {
    let inner = host_verifier(authority.der().clone())?;
    let mut config = ServerConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()?
        .with_client_cert_verifier(Arc::new(HostVerifier { inner }))
        .with_single_cert(certificate.chain, certificate.key)?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}

/// The collector's listener for people.
pub fn people_server(certificate: ServerCertificate) -> Result<ServerConfig, PkiError> {
    let mut config = ServerConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(certificate.chain, certificate.key)?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}

/// The collector's side of what it sends out: trusts the authorities of `ca_pem` alone, or those of this system when it is empty.
#[cfg(feature = "collector")]
pub fn outgoing_client(ca_pem: &str) -> Result<ClientConfig, PkiError> {
    let mut roots = RootCertStore::empty();
    if ca_pem.is_empty() {
        let found = rustls_native_certs::load_native_certs();
        roots.add_parsable_certificates(found.certs);
    } else {
        let bad = |e: rustls::pki_types::pem::Error| PkiError::Certificate("certificate of the authority".into(), e.to_string());
        for der in CertificateDer::pem_slice_iter(ca_pem.as_bytes()) {
            roots.add(der.map_err(bad)?)?;
        }
        if roots.is_empty() {
            return Err(PkiError::Certificate("certificate of the authority".into(), "there is none in the text; give PEM".into()));
        }
    }
    Ok(ClientConfig::builder_with_provider(provider()).with_safe_default_protocol_versions()?.with_root_certificates(roots).with_no_client_auth())
}

/// Whether a host certificate (PEM) is by the CA (PEM), for client authentication, and valid at `now` (Unix seconds).
pub fn check_host_certificate(ca_pem: &str, certificate_pem: &str, now: i64) -> Result<(), PkiError> {
    let now = UnixTime::since_unix_epoch(Duration::from_secs(u64::try_from(now).unwrap_or(0)));
    let verifier = host_verifier(certificate("collector CA", ca_pem)?)?;
    verifier.verify_client_cert(&certificate("host certificate", certificate_pem)?, &[], now)?;
    Ok(())
}

fn host_verifier(ca: CertificateDer<'static>) -> Result<Arc<dyn ClientCertVerifier>, PkiError> {
    let mut roots = RootCertStore::empty();
    roots.add(ca)?;
    let built = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider()).allow_unauthenticated().build();
    built.map_err(|e| PkiError::Certificate("client verifier".into(), e.to_string()))
}

/// A server certificate that the operator supplies, PEM files' content.
pub fn supplied_certificate(chain_pem: &str, key_pem: &str) -> Result<ServerCertificate, PkiError> {
    let bad = |e: rustls::pki_types::pem::Error| PkiError::Certificate("server certificate".into(), e.to_string());
    let chain: Vec<_> = CertificateDer::pem_slice_iter(chain_pem.as_bytes()).collect::<Result<_, _>>().map_err(bad)?;
    let key = PrivateKeyDer::from_pem_slice(key_pem.as_bytes()).map_err(bad)?;
    Ok(ServerCertificate { chain, key })
}

fn certificate(name: &str, pem: &str) -> Result<CertificateDer<'static>, PkiError> {
    CertificateDer::from_pem_slice(pem.as_bytes()).map_err(|e| PkiError::Certificate(name.into(), e.to_string()))
}

/// Verifies a host's certificate; one whose only fault is its age passes for [`super::RENEWABLE`] more.
#[derive(Debug)]
struct HostVerifier {
    inner: Arc<dyn ClientCertVerifier>,
}

impl ClientCertVerifier for HostVerifier {
    fn client_auth_mandatory(&self) -> bool {
        self.inner.client_auth_mandatory()
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.inner.root_hint_subjects()
    }

    fn verify_client_cert(&self, end_entity: &CertificateDer<'_>, intermediates: &[CertificateDer<'_>], now: UnixTime) -> Result<ClientCertVerified, Error> {
        match self.inner.verify_client_cert(end_entity, intermediates, now) {
            Err(Error::InvalidCertificate(CertificateError::ExpiredContext { not_after, .. }))
                if now.as_secs().saturating_sub(not_after.as_secs()) <= super::RENEWABLE.unsigned_abs() =>
            {
                // Everything else about it must hold as of its last second.
                self.inner.verify_client_cert(end_entity, intermediates, not_after)
            }
            other => other,
        }
    }

    fn verify_tls12_signature(&self, message: &[u8], cert: &CertificateDer<'_>, dss: &DigitallySignedStruct) -> Result<HandshakeSignatureValid, Error> {
        self.inner.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(&self, message: &[u8], cert: &CertificateDer<'_>, dss: &DigitallySignedStruct) -> Result<HandshakeSignatureValid, Error> {
        self.inner.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.inner.supported_verify_schemes()
    }
}

/// Accepts a chain that holds the pinned CA and verifies under it, names included.
#[derive(Debug)]
struct PinnedVerifier {
    token: Token,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for PinnedVerifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let pinned = intermediates.iter().find(|c| self.token.pins(c)).ok_or(Error::InvalidCertificate(CertificateError::UnknownIssuer))?;
        let mut roots = RootCertStore::empty();
        roots.add(pinned.clone().into_owned())?;
        let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&self.provider))
            .build()
            .map_err(|_| Error::InvalidCertificate(CertificateError::UnknownIssuer))?;
        verifier.verify_server_cert(end_entity, &[], server_name, ocsp, now)
    }

    fn verify_tls12_signature(&self, message: &[u8], cert: &CertificateDer<'_>, dss: &DigitallySignedStruct) -> Result<HandshakeSignatureValid, Error> {
        rustls::crypto::verify_tls12_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(&self, message: &[u8], cert: &CertificateDer<'_>, dss: &DigitallySignedStruct) -> Result<HandshakeSignatureValid, Error> {
        rustls::crypto::verify_tls13_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read as _, Write as _};

    const NOW_FLOOR: i64 = 0;

    fn handshake(client: ClientConfig, server: ServerConfig) -> Result<(Vec<u8>, Option<Vec<u8>>), String> {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let serving = std::thread::spawn(move || {
            let (mut socket, _) = listener.accept().unwrap();
            let mut connection = rustls::ServerConnection::new(Arc::new(server)).unwrap();
            let mut stream = rustls::Stream::new(&mut connection, &mut socket);
            let mut word = [0; 4];
            let read = stream.read_exact(&mut word);
            let _ = stream.write_all(b"pong");
            read.ok().and_then(|()| connection.peer_certificates().map(|c| c[0].to_vec()))
        });
        let mut connection = rustls::ClientConnection::new(Arc::new(client), "127.0.0.1".try_into().unwrap()).unwrap();
        let mut socket = std::net::TcpStream::connect(address).unwrap();
        let mut stream = rustls::Stream::new(&mut connection, &mut socket);
        let result = stream.write_all(b"ping").and_then(|()| {
            let mut word = vec![0; 4];
            stream.read_exact(&mut word).map(|()| word)
        });
        drop(socket);
        let peer = serving.join().unwrap();
        result.map(|word| (word, peer)).map_err(|e| e.to_string())
    }

    #[test]
    fn a_pinned_client_talks_to_its_collector_only_and_a_host_shows_its_certificate() {
        let (dir, other_dir) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let now = clock::unix_now();
        let authority = Authority::load_or_create(dir.path(), now).unwrap();
        let other = Authority::load_or_create(other_dir.path(), now).unwrap();
        let names = vec!["127.0.0.1".to_string()];
        let server = |a: &Authority| agents_server(a, a.server_certificate(&names, now).unwrap()).unwrap();
        let token = Token::generate(authority.der()).unwrap();
        assert_eq!(handshake(pinned_client(&token, NOW_FLOOR).unwrap(), server(&authority)).unwrap(), (b"pong".to_vec(), None));
        assert!(handshake(pinned_client(&token, NOW_FLOOR).unwrap(), server(&other)).is_err());

        let key = SigningKey::generate().unwrap();
        let issued = authority.issue_host(&key.request("h").unwrap(), "h", now).unwrap();
        let client = agent_client(authority.pem(), &issued.certificate, &key, NOW_FLOOR).unwrap();
        let (_, peer) = handshake(client, server(&authority)).unwrap();
        assert!(peer.is_some());
        let foreign = other.issue_host(&key.request("h").unwrap(), "h", now).unwrap();
        let client = agent_client(authority.pem(), &foreign.certificate, &key, NOW_FLOOR).unwrap();
        assert!(handshake(client, server(&authority)).is_err());
    }

    #[test]
    fn an_expired_host_certificate_opens_a_connection_for_400_days_and_a_foreign_or_server_one_never() {
        const DAY: i64 = 86_400;
        let (dir, other_dir) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let now = clock::unix_now();
        let authority = Authority::load_or_create(dir.path(), now - 600 * DAY).unwrap();
        let other = Authority::load_or_create(other_dir.path(), now - 600 * DAY).unwrap();
        let server = || agents_server(&authority, authority.server_certificate(&["127.0.0.1".to_string()], now).unwrap()).unwrap();
        let key = SigningKey::generate().unwrap();
        let shown = |by: &Authority, issued: i64| {
            let issued = by.issue_host(&key.request("h").unwrap(), "h", issued).unwrap();
            handshake(agent_client(authority.pem(), &issued.certificate, &key, NOW_FLOOR).unwrap(), server())
        };
        let life = crate::pki::authority::HOST_DAYS;
        assert!(shown(&authority, now - (life + 1) * DAY).unwrap().1.is_some(), "expired yesterday");
        assert!(shown(&authority, now - (life + 399) * DAY).unwrap().1.is_some(), "expired 399 days ago");
        assert!(shown(&authority, now - (life + 401) * DAY).is_err(), "expired 401 days ago");
        assert!(shown(&authority, now + 2 * DAY).is_err(), "not valid yet");
        assert!(shown(&other, now - (life + 1) * DAY).is_err(), "expired and of another authority");
        assert!(shown(&other, now).is_err(), "of another authority");
    }
}
