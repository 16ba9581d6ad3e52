//! Keys, certificates and every rustls configuration for our own connections.

pub mod authority;
pub mod keys;
pub mod tls;
pub mod token;

/// Why a key, certificate or token can't be used.
#[derive(Debug, thiserror::Error)]
pub enum PkiError {
    /// A file could not be read or written.
    #[error("{0}: {1}")]
    File(String, std::io::Error),
    /// Not a key we can use.
    #[error("{0}: not an Ed25519 private key in PKCS#8 PEM")]
    Key(String),
    /// Not a certificate or request we can use.
    #[error("{0}: {1}")]
    Certificate(String, String),
    /// Not a token.
    #[error("enrolment token is malformed: it has the form assay1.SECRET.PIN as `assay-collector token` prints it")]
    Token,
    /// TLS could not be set up.
    #[error("tls: {0}")]
    Tls(#[from] rustls::Error),
    /// The system gave no random bytes.
    #[error("the system gave no random bytes")]
    Random,
}

/// `N` bytes from the system's generator.
pub fn random<const N: usize>() -> Result<[u8; N], PkiError> {
    let mut out = [0; N];
    ring::rand::SecureRandom::fill(&ring::rand::SystemRandom::new(), &mut out).map_err(|_| PkiError::Random)?;
    Ok(out)
}

/// Makes ring the process's crypto provider; every binary calls it once before any TLS.
pub fn install_provider() {
    // A second call finds the provider installed, which is what was wanted.
    let _ = rustls::crypto::ring::default_provider().install_default();
}
