//! One finished handshake with rustls, which trusts anything: it only reads. TLS 1.3 shows its
//! certificate in no other way, and what is spoken inside TLS is heard here.

use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{ResolvesClientCert, Resumption};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::sign::CertifiedKey;
use rustls::{ClientConfig, DigitallySignedStruct, SignatureScheme};

use super::server_reply::CHAIN_LIMIT;
use crate::probe::dial::{Connection, Dialer};
use crate::probe::service::Upgrade;

/// What the handshake showed.
#[derive(Default)]
pub struct Finished {
    /// DER certificates in the order sent.
    pub chain: Vec<Vec<u8>>,
    /// Whether a client certificate was asked for; `None` when the handshake did not finish.
    pub client_certificate_requested: Option<bool>,
    /// The open connection inside TLS.
    pub connection: Option<Connection>,
    /// Why it did not finish.
    pub problem: Option<String>,
}

/// Connects, upgrades where needed, and shakes hands.
pub async fn finish(dialer: &Dialer, upgrade: Option<Upgrade>) -> Finished {
    let ears = Arc::new(Ears::default());
    match shake(dialer, upgrade, &ears).await {
        Ok(connection) => Finished { chain: ears.chain(), client_certificate_requested: Some(ears.asked()), connection: Some(connection), problem: None },
        Err(problem) => Finished { chain: ears.chain(), client_certificate_requested: ears.asked().then_some(true), connection: None, problem: Some(problem) },
    }
}

async fn shake(dialer: &Dialer, upgrade: Option<Upgrade>, ears: &Arc<Ears>) -> Result<Connection, String> {
    let mut connection = dialer.connect().await.map_err(|e| e.to_string())?;
    if let Some(upgrade) = upgrade {
        upgrade.prepare(&mut connection).await.map_err(|e| format!("{} upgrade: {e}", upgrade.name()))?;
    }
    let config = config(ears).map_err(|e| e.to_string())?;
    let name = match ServerName::try_from(dialer.server_name.clone()) {
        Ok(name) if !dialer.server_name.is_empty() => name,
        _ => ServerName::IpAddress(IpAddr::into(dialer.address.ip())),
    };
    let handshake = tokio_rustls::TlsConnector::from(Arc::new(config)).connect(name, connection.into_stream());
    let wait = dialer.limits.answer_timeout.min(dialer.left());
    match tokio::time::timeout(wait, handshake).await {
        Err(_) => Err("handshake did not finish in time".into()),
        Ok(Err(e)) => Err(format!("handshake failed: {e}")),
        Ok(Ok(stream)) => Ok(Connection::over(Box::new(stream), dialer)),
    }
}

fn config(ears: &Arc<Ears>) -> Result<ClientConfig, rustls::Error> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .dangerous()
        .with_custom_certificate_verifier(ears.clone())
        .with_client_cert_resolver(ears.clone());
    config.resumption = Resumption::disabled();
    Ok(config)
}

/// Hears the certificates and the wish for one of ours; judges nothing.
#[derive(Debug, Default)]
struct Ears {
    chain: Mutex<Vec<Vec<u8>>>,
    asked: Mutex<bool>,
}

impl Ears {
    fn chain(&self) -> Vec<Vec<u8>> {
        self.chain.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn asked(&self) -> bool {
        *self.asked.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ServerCertVerifier for Ears {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let chain = std::iter::once(end_entity).chain(intermediates).take(CHAIN_LIMIT).map(|c| c.to_vec()).collect();
        *self.chain.lock().unwrap_or_else(PoisonError::into_inner) = chain;
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(&self, _: &[u8], _: &CertificateDer<'_>, _: &DigitallySignedStruct) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(&self, _: &[u8], _: &CertificateDer<'_>, _: &DigitallySignedStruct) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        use SignatureScheme as S;
        vec![
            S::ECDSA_NISTP256_SHA256,
            S::ECDSA_NISTP384_SHA384,
            S::ECDSA_NISTP521_SHA512,
            S::ED25519,
            S::ED448,
            S::RSA_PSS_SHA256,
            S::RSA_PSS_SHA384,
            S::RSA_PSS_SHA512,
            S::RSA_PKCS1_SHA256,
            S::RSA_PKCS1_SHA384,
            S::RSA_PKCS1_SHA512,
            S::ECDSA_SHA1_Legacy,
            S::RSA_PKCS1_SHA1,
        ]
    }
}

impl ResolvesClientCert for Ears {
    fn resolve(&self, _: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        *self.asked.lock().unwrap_or_else(PoisonError::into_inner) = true;
        None
    }

    fn has_certs(&self) -> bool {
        false
    }
}
