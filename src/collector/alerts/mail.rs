//! Mail by SMTP (RFC 5321): TLS from the first byte, STARTTLS that must succeed, or plain to this machine.

use std::time::Duration;

use lettre::message::{Mailbox, MultiPart};
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{Certificate, Tls, TlsParameters};
use lettre::{AsyncSmtpTransport, AsyncTransport as _, Tokio1Executor};
use tokio::time::timeout;

use super::message::Message;
use super::target::Target;
use super::{AlertError, chain};
use crate::collector::store::{Letter, Store};

/// Longest time to connect.
const CONNECT: Duration = Duration::from_secs(20);
/// Longest time for all of it: the library waits for an answer without end.
const TIMEOUT: Duration = Duration::from_secs(60);

/// An address of a mail.
pub(super) fn mailbox(address: &str) -> Result<Mailbox, AlertError> {
    address.parse().map_err(|_| AlertError::Bad(format!("{address:?} is no mail address")))
}

/// Sends one letter.
pub(super) async fn send(store: &Store, target: &Target, letter: &Letter) -> Result<(), AlertError> {
    let bad = |e: &dyn std::fmt::Display| AlertError::Bad(e.to_string());
    let message: Message = serde_json::from_str(&letter.body).map_err(|e| bad(&e))?;
    let mut mail = lettre::Message::builder()
        .from(mailbox(&target.body.from)?)
        .subject(format!("[assay] {}", letter.title))
        // The same in every attempt: who stores mail by it stores it once.
        .message_id(Some(format!("<{}@assay.invalid>", letter.id)));
    for to in &target.body.to {
        mail = mail.to(mailbox(to)?);
    }
    let html = message.html().map_err(|e| bad(&e))?;
    let mail = mail.multipart(MultiPart::alternative_plain_html(message.text(), html)).map_err(|e| bad(&e))?;
    let (host, port) = target.host_and_port()?;
    let tls = match target.body.security.as_str() {
        "none" => Tls::None,
        "tls" => Tls::Wrapper(parameters(&host, &target.body.ca)?),
        _ => Tls::Required(parameters(&host, &target.body.ca)?),
    };
    let mut transport = AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(&host).port(port).tls(tls).timeout(Some(CONNECT));
    if !target.body.user.is_empty() {
        let password = String::from_utf8(target.secret(store)?).map_err(|e| bad(&e))?;
        transport = transport.credentials(Credentials::new(target.body.user.clone(), password));
    }
    match timeout(TIMEOUT, transport.build().send(mail)).await {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(e)) => Err(AlertError::Receiver(chain(&e))),
        Err(_) => Err(AlertError::Receiver(format!("{} did not take it within {} s", target.body.address, TIMEOUT.as_secs()))),
    }
}

fn parameters(host: &str, ca: &str) -> Result<TlsParameters, AlertError> {
    let bad = |e: lettre::transport::smtp::Error| AlertError::Bad(e.to_string());
    let mut builder = TlsParameters::builder(host.to_string());
    if !ca.is_empty() {
        builder = builder
            .certificate_store(lettre::transport::smtp::client::CertificateStore::None)
            .add_root_certificate(Certificate::from_pem(ca.as_bytes()).map_err(bad)?);
    }
    builder.build().map_err(bad)
}
