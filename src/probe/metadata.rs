//! The metadata service of a cloud at 169.254.169.254: where the machine stands, and whether strangers on it may ask.
//!
//! Only names of regions and zones are asked for: no credentials, no user data, no identity of the machine. Each cloud
//! has its own protocol; the service of a cloud that was not recognised is never spoken to.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;

use super::Limits;
use super::dial::{DialError, Dialer};
use super::service::http::answer::{self, Answer};

/// Address and port of the service (RFC 3927 link-local, the same in every cloud asked here).
pub const ENDPOINT: &str = "169.254.169.254:80";
/// Longest talk with it.
const TALK: Duration = Duration::from_secs(6);
/// Longest wait for one answer: it is one hop away.
const ANSWER: Duration = Duration::from_secs(2);
/// Seconds that a session token lives; one talk is all that it is for.
const TOKEN_SECONDS: &str = "60";
/// Longest session token, characters.
const TOKEN_LIMIT: usize = 512;

/// What the service said.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Said {
    /// Region in the cloud's words.
    pub region: String,
    /// Zone or data centre.
    pub zone: String,
    /// AWS: whether it answers without a session token (version 1 of the service); `None` elsewhere.
    pub without_token: Option<bool>,
    /// The question that named the region, or the zone where there is none.
    pub question: String,
}

/// Why nothing is known.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Silence {
    /// Its protocol is not spoken here.
    #[error("the metadata service of {0} is not read")]
    Unsupported(String),
    /// There is no connection.
    #[error("{ENDPOINT}: {0}")]
    Unreachable(DialError),
    /// It answers, and refuses or says something else.
    #[error("{ENDPOINT}: {0}")]
    Refused(String),
}

/// A question: method, path and fields.
struct Question<'q> {
    method: &'static str,
    path: &'q str,
    fields: &'q [(&'static str, &'q str)],
}

/// Asks the service of a cloud, by our word for it.
pub async fn ask(provider: &str, limits: &Limits) -> Result<Said, Silence> {
    let Ok(address) = ENDPOINT.parse() else { return Err(Silence::Unsupported(provider.into())) };
    let limits = Limits { answer_timeout: limits.answer_timeout.min(ANSWER), ..limits.clone() };
    let dialer = Dialer::new(address, "", &limits, Arc::new(Semaphore::new(2)), TALK);
    match provider {
        "aws" => aws(&dialer).await,
        "azure" => azure(&dialer).await,
        "gcp" => gcp(&dialer).await,
        "openstack" => openstack(&dialer).await,
        "oracle" => oracle(&dialer).await,
        "hetzner" => two(&dialer, "/hetzner/v1/metadata/region", "/hetzner/v1/metadata/availability-zone").await,
        "digitalocean" => two(&dialer, "/metadata/v1/region", "").await,
        "vultr" => two(&dialer, "/v1/region/regioncode", "").await,
        other => Err(Silence::Unsupported(other.into())),
    }
}

/// Version 2: a session token by PUT, shown with each question. Version 1: questions without one.
async fn aws(dialer: &Dialer) -> Result<Said, Silence> {
    const REGION: &str = "/latest/meta-data/placement/region";
    const ZONE: &str = "/latest/meta-data/placement/availability-zone";
    let wanted = [("X-aws-ec2-metadata-token-ttl-seconds", TOKEN_SECONDS)];
    let token = exchange(dialer, &Question { method: "PUT", path: "/latest/api/token", fields: &wanted }).await?;
    let token = Some(token).filter(|a| a.status == 200).map(|a| a.text()).filter(|t| is_token(t));
    let bare = exchange(dialer, &Question { method: "GET", path: REGION, fields: &[] }).await?;
    let without_token = Some(bare.status == 200);
    let Some(token) = token else {
        // An old or copied service that knows version 1 alone.
        let region = value(&bare, REGION)?;
        let zone = optional(dialer, ZONE, &[]).await;
        return Ok(Said { region, zone, without_token, question: format!("GET {REGION}") });
    };
    let shown = [("X-aws-ec2-metadata-token", token.as_str())];
    let region = get(dialer, REGION, &shown).await?;
    let zone = optional(dialer, ZONE, &shown).await;
    Ok(Said { region, zone, without_token, question: format!("GET {REGION}") })
}

async fn azure(dialer: &Dialer) -> Result<Said, Silence> {
    const LOCATION: &str = "/metadata/instance/compute/location?api-version=2021-02-01&format=text";
    const ZONE: &str = "/metadata/instance/compute/zone?api-version=2021-02-01&format=text";
    let shown = [("Metadata", "true")];
    let region = get(dialer, LOCATION, &shown).await?;
    Ok(Said { region, zone: optional(dialer, ZONE, &shown).await, without_token: None, question: format!("GET {LOCATION}") })
}

/// `projects/NUMBER/zones/europe-west3-a`: the region is the zone without its last part.
async fn gcp(dialer: &Dialer) -> Result<Said, Silence> {
    const ZONE: &str = "/computeMetadata/v1/instance/zone";
    let fields = [("Metadata-Flavor", "Google")];
    let answer = exchange(dialer, &Question { method: "GET", path: ZONE, fields: &fields }).await?;
    if answer.field("metadata-flavor") != Some("Google") {
        return Err(Silence::Refused(format!("GET {ZONE}: the answer is not marked as Google's")));
    }
    let zone = value(&answer, ZONE)?.rsplit('/').next().unwrap_or_default().to_string();
    let region = zone.rsplit_once('-').map_or_else(String::new, |(region, _)| region.to_string());
    Ok(Said { region, zone, without_token: None, question: format!("GET {ZONE}") })
}

/// Zones are named by whoever runs the cloud; its region stands in no document of the service.
async fn openstack(dialer: &Dialer) -> Result<Said, Silence> {
    const DOCUMENT: &str = "/openstack/latest/meta_data.json";
    let answer = exchange(dialer, &Question { method: "GET", path: DOCUMENT, fields: &[] }).await?;
    let zone = answer.json().and_then(|v| Some(v.get("availability_zone")?.as_str()?.to_string())).filter(|_| answer.status == 200);
    let zone = zone.ok_or_else(|| Silence::Refused(format!("GET {DOCUMENT}: status {}, no availability_zone", answer.status)))?;
    Ok(Said { zone, question: format!("GET {DOCUMENT}"), ..Said::default() })
}

async fn oracle(dialer: &Dialer) -> Result<Said, Silence> {
    const REGION: &str = "/opc/v2/instance/canonicalRegionName";
    const ZONE: &str = "/opc/v2/instance/availabilityDomain";
    let shown = [("Authorization", "Bearer Oracle")];
    let region = get(dialer, REGION, &shown).await?;
    Ok(Said { region, zone: optional(dialer, ZONE, &shown).await, without_token: None, question: format!("GET {REGION}") })
}

/// Services that answer plain questions; no second path: nothing to ask there.
async fn two(dialer: &Dialer, region_path: &str, zone_path: &str) -> Result<Said, Silence> {
    let region = get(dialer, region_path, &[]).await?;
    let zone = if zone_path.is_empty() { String::new() } else { optional(dialer, zone_path, &[]).await };
    Ok(Said { region, zone, without_token: None, question: format!("GET {region_path}") })
}

async fn get(dialer: &Dialer, path: &str, fields: &[(&'static str, &str)]) -> Result<String, Silence> {
    let answer = exchange(dialer, &Question { method: "GET", path, fields }).await?;
    value(&answer, path)
}

async fn optional(dialer: &Dialer, path: &str, fields: &[(&'static str, &str)]) -> String {
    get(dialer, path, fields).await.unwrap_or_default()
}

fn value(answer: &Answer, path: &str) -> Result<String, Silence> {
    let text = answer.text();
    let is_value = answer.status == 200 && !text.is_empty() && text.len() <= 200 && text.bytes().all(|b| b.is_ascii_graphic() || b == b' ');
    if is_value { Ok(text) } else { Err(Silence::Refused(format!("GET {path}: status {}, no name", answer.status))) }
}

fn is_token(text: &str) -> bool {
    !text.is_empty() && text.len() <= TOKEN_LIMIT && text.bytes().all(|b| b.is_ascii_graphic())
}

/// One question on a connection of its own.
async fn exchange(dialer: &Dialer, question: &Question<'_>) -> Result<Answer, Silence> {
    let mut connection = dialer.connect().await.map_err(Silence::Unreachable)?;
    let fields: String = question.fields.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    let length = if question.method == "PUT" { "Content-Length: 0\r\n" } else { "" };
    let host = ENDPOINT.trim_end_matches(":80");
    let head = format!(
        "{} {} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: assay\r\nAccept: */*\r\n{fields}{length}Connection: close\r\n\r\n",
        question.method, question.path
    );
    let failed = |stop| Silence::Refused(format!("{} {}: {stop}", question.method, question.path));
    connection.send(head.as_bytes()).await.map_err(failed)?;
    answer::read(&mut connection).await.map_err(failed)
}
