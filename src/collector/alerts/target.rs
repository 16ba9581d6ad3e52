//! Where letters go: checked when it is added, opened when it is used.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use super::message::{Item, Message};
use super::{AlertError, gather};
use crate::collector::App;
use crate::collector::seal;
use crate::collector::store::{Store, TargetRow, random_id};
use crate::model::finding::Severity;
use crate::model::ids::RandomId;

/// What keys and passwords are sealed for.
const PURPOSE: &str = "alert-target";
/// Longest name, characters.
const MAX_NAME: usize = 80;
/// Most receivers of a mail.
const MAX_RECEIVERS: usize = 20;
/// Most targets.
const MAX_TARGETS: usize = 50;
/// Longest certificate of an authority (PEM), bytes.
const MAX_CA: usize = 16_000;

/// What a person gives; empty where it does not apply.
#[derive(Clone, Debug, Default, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct NewTarget {
    /// `webhook`, `mail` or `syslog`.
    pub kind: String,
    /// What people call it.
    pub name: String,
    /// Webhook: `https://…`. Mail and syslog: HOST:PORT.
    pub address: String,
    /// Certificate of the authority that the receiver's certificate is by (PEM); empty: those of the system.
    pub ca: String,
    /// Webhook: key; empty: one is made. Mail: password.
    pub secret: String,
    /// Mail: `tls` (from the first byte), `starttls`, or `none` on this machine; empty: starttls.
    pub security: String,
    /// Mail: name to sign in with; empty: without.
    pub user: String,
    /// Mail: sender.
    pub from: String,
    /// Mail: receivers, divided by commas or spaces.
    pub to: String,
    /// Failures at or above; empty: high.
    pub severity: String,
    /// Mail: whether the weekly digest goes there.
    pub digest: String,
}

/// What is kept of it, beside the sealed key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Body {
    /// Webhook: `https://…`. Mail and syslog: HOST:PORT.
    pub address: String,
    /// PEM; empty: the system's authorities.
    pub ca: String,
    /// Whether the weekly digest goes there.
    pub digest: bool,
    /// Mail: sender.
    pub from: String,
    /// Mail: `tls`, `starttls` or `none`.
    pub security: String,
    /// Failures at or above.
    pub severity: Severity,
    /// Mail: receivers.
    pub to: Vec<String>,
    /// Mail: name to sign in with.
    pub user: String,
}

/// A target that can be written to.
#[derive(Clone, Debug)]
pub struct Target {
    /// Its name in addresses.
    pub id: RandomId,
    /// What people call it.
    pub name: String,
    /// `webhook`, `mail` or `syslog`.
    pub kind: String,
    /// What is sent and how.
    pub body: Body,
    /// Whether the weekly digest goes there.
    pub wants_digest: bool,
    secret: Option<Vec<u8>>,
}

impl Target {
    /// Every target that reads; one that does not is told in the log.
    pub async fn all(store: &Store) -> Result<Vec<Self>, AlertError> {
        let rows = store.alert_targets().await?;
        let read = |row: TargetRow| match serde_json::from_str::<Body>(&row.body) {
            Ok(body) => Some(Self { id: row.id, name: row.name, kind: row.kind, wants_digest: body.digest, body, secret: row.secret }),
            Err(e) => {
                tracing::error!("the alert target {} can't be read: {e}", row.name);
                None
            }
        };
        Ok(rows.into_iter().filter_map(read).collect())
    }

    /// Rank of the least severity that is told: 0 info … 4 critical.
    pub fn least(&self) -> i64 {
        (0..=4).find(|rank| gather::severity_of(*rank) == self.body.severity).unwrap_or_default()
    }

    /// Key or password.
    pub fn secret(&self, store: &Store) -> Result<Vec<u8>, AlertError> {
        self.secret.as_ref().map_or(Ok(Vec::new()), |sealed| Ok(seal::open(store.folder(), PURPOSE, sealed)?))
    }

    /// Host and port of mail and syslog.
    pub fn host_and_port(&self) -> Result<(String, u16), AlertError> {
        host_and_port(&self.body.address)
    }

    /// Where it is, for people; no secret.
    pub fn place(&self) -> String {
        match self.kind.as_str() {
            "mail" => format!("{} by {} ({})", self.body.to.join(", "), self.body.address, self.body.security),
            "syslog" => format!("{} (TLS, RFC 5424)", self.body.address),
            _ => self.body.address.clone(),
        }
    }
}

/// A field of a form.
#[derive(Clone, Copy, Debug)]
pub struct Place {
    /// In the form.
    pub name: &'static str,
    /// What people read.
    pub label: &'static str,
    /// What stands in the empty field.
    pub hint: &'static str,
    /// Whether it is not shown while it is typed.
    pub is_secret: bool,
    /// Whether it has several lines.
    pub is_long: bool,
    /// Whether it must be given.
    pub is_needed: bool,
}

/// The fields of each kind: kind, title, note, fields.
pub fn places() -> Vec<(&'static str, &'static str, &'static str, Vec<Place>)> {
    let place = |name, label, hint| Place { name, label, hint, is_secret: false, is_long: false, is_needed: false };
    let needed = |name, label, hint| Place { is_needed: true, ..place(name, label, hint) };
    let secret = |label, hint| Place { is_secret: true, ..place("secret", label, hint) };
    let ca = Place { is_long: true, ..place("ca", "Certificate of the authority (PEM)", "empty: those that this system trusts") };
    vec![
        (
            "webhook",
            "webhook",
            "A POST of JSON, signed as Standard Webhooks say: webhook-id, webhook-timestamp, webhook-signature (v1, HMAC-SHA-256). An id that comes again is the same message.",
            vec![needed("address", "Address", "https://…"), secret("Key", "empty: one is made and shown once"), ca],
        ),
        (
            "mail",
            "e-mail",
            "Plain text and HTML. Without TLS only to this machine.",
            vec![
                needed("address", "Server", "HOST:PORT, such as mail.example.com:587"),
                place("security", "Security", "starttls (default), tls, or none on this machine"),
                place("user", "Name to sign in with", "empty: without"),
                secret("Password", "empty: without"),
                needed("from", "Sender", "assay@example.com"),
                needed("to", "Receivers", "security@example.com, …"),
                ca,
            ],
        ),
        (
            "syslog",
            "syslog",
            "RFC 5424 over TLS with octet counting (RFC 5425), one message for each thing that changed.",
            vec![needed("address", "Server", "HOST:PORT, such as logs.example.com:6514"), ca],
        ),
    ]
}

/// Adds a target; its id and, of a webhook without one, the key that was made.
pub async fn add(app_folder: &std::path::Path, store: &Store, new: &NewTarget, by: &str, now: i64) -> Result<(RandomId, Option<String>), AlertError> {
    let bad = |text: String| AlertError::Bad(text);
    let name = new.name.trim();
    if name.is_empty() || name.chars().count() > MAX_NAME || name.chars().any(char::is_control) {
        return Err(bad(format!("a target needs a name of up to {MAX_NAME} characters")));
    }
    if store.alert_targets().await?.len() >= MAX_TARGETS {
        return Err(bad(format!("there are {MAX_TARGETS} targets; remove one first")));
    }
    let severity = match new.severity.as_str() {
        "" => Severity::High,
        word => (0..=4).map(gather::severity_of).find(|s| s.word() == word).ok_or_else(|| bad(format!("{word:?} is no severity")))?,
    };
    let digest = matches!(new.digest.as_str(), "1" | "true" | "on");
    let to = new.to.split([',', ' ', ';', '\n', '\r']).filter(|a| !a.is_empty()).map(str::to_string).collect();
    let mut body = Body {
        address: new.address.trim().into(),
        ca: new.ca.trim().into(),
        digest,
        from: new.from.trim().into(),
        security: new.security.trim().to_lowercase(),
        severity,
        to,
        user: new.user.trim().into(),
    };
    if body.ca.len() > MAX_CA {
        return Err(bad(format!("the certificate has more than {MAX_CA} bytes")));
    }
    crate::pki::tls::outgoing_client(&body.ca).map_err(|e| bad(format!("the certificate of the authority can't be used: {e}")))?;
    let (mut secret, mut made) = (new.secret.clone(), None);
    match new.kind.as_str() {
        "webhook" => {
            check_url(&body.address)?;
            if secret.is_empty() {
                let key = super::webhook::generate_key().map_err(|e| bad(e.to_string()))?;
                secret.clone_from(&key);
                made = Some(key);
            }
            super::webhook::key_bytes(&secret)?;
        }
        "mail" => check_mail(&mut body)?,
        "syslog" => drop(host_and_port(&body.address)?),
        other => return Err(bad(format!("{other:?} is none of webhook, mail, syslog"))),
    }
    let sealed = if secret.is_empty() { None } else { Some(seal::seal(app_folder, PURPOSE, secret.as_bytes())?) };
    let body = serde_json::to_string(&body).map_err(|e| bad(e.to_string()))?;
    let id = random_id()?;
    let row = TargetRow { id, name: name.into(), kind: new.kind.clone(), body, secret: sealed, created_at: now };
    if !store.put_alert_target(&row, by, now).await? {
        return Err(bad(format!("there is a target {name} already")));
    }
    Ok((id, made))
}

fn check_url(address: &str) -> Result<(), AlertError> {
    let url: reqwest::Url = address.parse().map_err(|_| AlertError::Bad(format!("{address:?} is no address; write https://HOST/PATH")))?;
    let is_here = url.host_str().is_some_and(|h| h == "localhost" || h.trim_matches(['[', ']']).parse::<IpAddr>().is_ok_and(|a| a.is_loopback()));
    if !(url.scheme() == "https" || (url.scheme() == "http" && is_here)) {
        return Err(AlertError::Bad("a webhook is https://…; plain http:// only to this machine".into()));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(AlertError::Bad("the address must not hold a password: messages are signed with the key".into()));
    }
    Ok(())
}

fn check_mail(body: &mut Body) -> Result<(), AlertError> {
    let (host, _) = host_and_port(&body.address)?;
    if body.security.is_empty() {
        body.security = "starttls".into();
    }
    let is_here = host == "localhost" || host.parse::<IpAddr>().is_ok_and(|a| a.is_loopback());
    match body.security.as_str() {
        "tls" | "starttls" => {}
        "none" if is_here => {}
        "none" => return Err(AlertError::Bad("mail without TLS goes to this machine only".into())),
        other => return Err(AlertError::Bad(format!("security {other:?} is none of tls, starttls, none"))),
    }
    if body.to.is_empty() || body.to.len() > MAX_RECEIVERS {
        return Err(AlertError::Bad(format!("a mail has 1 to {MAX_RECEIVERS} receivers")));
    }
    for address in body.to.iter().chain([&body.from]) {
        super::mail::mailbox(address)?;
    }
    Ok(())
}

fn host_and_port(address: &str) -> Result<(String, u16), AlertError> {
    let parsed = address.rsplit_once(':').and_then(|(host, port)| Some((host.trim_matches(['[', ']']).to_string(), port.parse().ok()?)));
    let is_host = |host: &str| !host.is_empty() && host.len() <= 253 && host.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b':'));
    parsed.filter(|(host, port)| is_host(host) && *port > 0).ok_or_else(|| AlertError::Bad(format!("{address:?} is no HOST:PORT")))
}

/// Writes a letter that a person asked for, to see that it arrives. `false`: there is no such target.
pub async fn test(app: &App, id: &RandomId, now: i64) -> Result<bool, AlertError> {
    test_on(&app.store, &app.people_url, id, now).await
}

/// The same on a store alone; the collector that serves it delivers.
pub async fn test_on(store: &Store, people_url: &str, id: &RandomId, now: i64) -> Result<bool, AlertError> {
    let targets: Vec<Target> = Target::all(store).await?.into_iter().filter(|t| t.id == *id).collect();
    let text = "This is a test: somebody pressed the button. Nothing is wrong.".to_string();
    let item = Item { detail: Vec::new(), link: "/settings/alerts".into(), severity: Severity::Info, text };
    let letters = gather::letters(&targets, now, |_| Some(Message::new("test", "A test of assay's alerts".into(), vec![item.clone()], people_url, now)))?;
    store.post_letters(&letters).await?;
    Ok(!letters.is_empty())
}
