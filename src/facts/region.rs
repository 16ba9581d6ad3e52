//! Where the machine stands and whether each data set may be kept there.
//!
//! The cloud's metadata service is asked where [`Cloud`](super::cloud::Cloud) recognised a cloud, and no other machine is:
//! what it answers beats what cloud-init recorded, and both beat what the operator declares.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Document;
use super::cloud::{Cloud, DataSet, Told, place_name};
use crate::model::fact::Source;
use crate::model::gap::{Gaps, reason};
use crate::probe::Limits;
use crate::probe::metadata::{self, ENDPOINT, Said, Silence};

/// The machine's place and the data sets.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Region {
    /// Cloud or declared provider; empty: unknown.
    pub provider: String,
    /// Region in the provider's words; empty: unknown.
    pub region: String,
    /// Zone or data centre; empty: unknown.
    pub zone: String,
    /// How that is known: `observed`, `recorded` or `declared`; empty: it is not.
    pub method: String,
    /// Where it was read.
    pub source: Source,
    /// Every statement about the machine's place.
    pub told: Vec<Told>,
    /// Pairs of statements that name different regions, such as `metadata says eu-central-1, declaration says eu-west-1`.
    pub differences: Vec<String>,
    /// Metadata services that were asked; one or none.
    pub metadata: Vec<Metadata>,
    /// Declared data sets against the machine's place, by subject.
    pub data: Vec<Kept>,
}

impl Document for Region {
    const NAME: &'static str = "region";
    const TITLE: &'static str = "Region of the machine, by the cloud's metadata service or as declared, against the regions of each data set";
}

/// A metadata service.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Metadata {
    /// `169.254.169.254:80`.
    pub subject: String,
    /// The cloud.
    pub provider: String,
    /// Whether it said where the machine stands.
    pub answered: bool,
    /// AWS: whether it answers questions that show no session token (version 1 of the service); `null` elsewhere and when it did not answer.
    pub answers_without_token: Option<bool>,
    /// The exchange.
    pub source: Source,
}

/// A data set and the place where it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Kept {
    /// The path as declared.
    pub subject: String,
    /// Its class, as in `storage`.
    pub class: String,
    /// Regions or zones in which it may be kept; empty: anywhere.
    pub allowed: Vec<String>,
    /// Region or zone of the machine that is compared with them; empty: unknown.
    pub place: String,
    /// `observed`, `recorded`, `declared` or empty, as for the machine.
    pub method: String,
    /// Whether the place is among the allowed ones, capital and small letters alike.
    pub within: bool,
    /// Where the place was read.
    pub source: Source,
}

/// Asks the cloud and joins what is known; `live`: the machine that was read is this one.
pub async fn survey(cloud: Option<&Cloud>, live: bool, exclusions: &[String], limits: &Limits, gaps: &mut Gaps) -> Option<Region> {
    let Some(cloud) = cloud else {
        gaps.note(Region::NAME, "", "", reason::MISSING, "the family cloud was not read", "Read the families cloud and region together.");
        return None;
    };
    let mut told = Vec::new();
    let mut services = Vec::new();
    if !cloud.provider.is_empty() {
        let (service, said) = ask(&cloud.provider, live, exclusions, limits, gaps).await;
        services.push(service);
        told.extend(said);
    }
    told.extend(cloud.told.iter().cloned());
    Some(joined(told, services, &cloud.data))
}

async fn ask(provider: &str, live: bool, exclusions: &[String], limits: &Limits, gaps: &mut Gaps) -> (Metadata, Option<Told>) {
    let mut service = Metadata { subject: ENDPOINT.into(), provider: provider.into(), ..Metadata::default() };
    service.source = Source::whole(format!("tcp {ENDPOINT}"));
    let mut missing = |id: &str, detail: String, remedy: &str| gaps.note(Region::NAME, "metadata.answers_without_token", ENDPOINT, id, detail, remedy);
    if !live {
        missing(reason::NEEDS_LIVE_KERNEL, "the metadata service belongs to the running machine".into(), "Scan the machine itself.");
        return (service, None);
    }
    if exclusions.iter().any(|e| e == ENDPOINT || e.strip_suffix("/tcp") == Some(ENDPOINT)) {
        missing(reason::EXCLUDED, format!("{ENDPOINT} is excluded from scans"), "");
        return (service, None);
    }
    match metadata::ask(provider, limits).await {
        Ok(said) => {
            service.answered = true;
            service.answers_without_token = said.without_token;
            service.source.directive.clone_from(&said.question);
            let told = told(provider, said);
            (service, Some(told))
        }
        Err(Silence::Unsupported(_)) => (service, None),
        Err(silence) => {
            let id = if matches!(silence, Silence::Unreachable(_)) { reason::UNREACHABLE } else { reason::UNSUPPORTED };
            missing(id, silence.to_string(), "Let the agent reach the metadata service, or exclude it and declare the site.");
            (service, None)
        }
    }
}

fn told(provider: &str, said: Said) -> Told {
    Told {
        subject: "metadata".into(),
        method: "observed".into(),
        provider: provider.into(),
        region: place_name(&said.region),
        zone: place_name(&said.zone),
        country: String::new(),
        source: Source { place: format!("tcp {ENDPOINT}"), line: 0, directive: said.question },
    }
}

/// Strongest statement first.
const STRENGTH: [&str; 3] = ["observed", "recorded", "declared"];

fn joined(told: Vec<Told>, metadata: Vec<Metadata>, data: &[DataSet]) -> Region {
    let names_place = |t: &&Told| !(t.region.is_empty() && t.zone.is_empty());
    let strongest = STRENGTH.iter().find_map(|method| told.iter().filter(names_place).find(|t| t.method == *method));
    let mut region = Region { metadata, ..Region::default() };
    if let Some(best) = strongest {
        region.provider.clone_from(&best.provider);
        region.region.clone_from(&best.region);
        region.zone.clone_from(&best.zone);
        region.method.clone_from(&best.method);
        region.source = best.source.clone();
    }
    region.differences = differences(&told);
    region.data = data.iter().map(|set| kept(set, &region)).collect();
    region.told = told;
    region
}

fn differences(told: &[Told]) -> Vec<String> {
    let mut out = Vec::new();
    for (i, one) in told.iter().enumerate() {
        for other in told.iter().skip(i + 1) {
            for (a, b) in [(&one.region, &other.region), (&one.zone, &other.zone)] {
                if !a.is_empty() && !b.is_empty() && !a.eq_ignore_ascii_case(b) {
                    out.push(format!("{} says {a}, {} says {b}", one.subject, other.subject));
                }
            }
        }
    }
    out
}

fn kept(set: &DataSet, region: &Region) -> Kept {
    let allows = |place: &str| !place.is_empty() && set.allowed.iter().any(|a| a.trim().eq_ignore_ascii_case(place));
    // A cloud without regions is told by its zone alone, which then must be named.
    let place = if allows(&region.zone) || (region.region.is_empty() && region.method == "declared") { &region.zone } else { &region.region };
    Kept {
        subject: set.subject.clone(),
        class: set.class.clone(),
        allowed: set.allowed.clone(),
        place: place.clone(),
        method: region.method.clone(),
        within: allows(place),
        source: region.source.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn says(subject: &str, method: &str, region: &str, zone: &str) -> Told {
        Told { subject: subject.into(), method: method.into(), region: region.into(), zone: zone.into(), ..Told::default() }
    }

    fn set(allowed: &[&str]) -> Vec<DataSet> {
        let allowed = allowed.iter().map(ToString::to_string).collect();
        vec![DataSet { subject: "/srv".into(), class: "customer-data".into(), allowed, source: Source::default() }]
    }

    #[test]
    fn the_cloud_beats_the_record_and_both_beat_the_declaration() {
        let told = vec![
            says("metadata", "observed", "eu-central-1", "eu-central-1a"),
            says("cloud-init", "recorded", "eu-central-1", "eu-central-1a"),
            says("declaration", "declared", "eu-west-1", ""),
        ];
        let found = joined(told.clone(), Vec::new(), &set(&["EU-Central-1"]));
        assert_eq!((found.method.as_str(), found.data[0].within, found.data[0].place.as_str()), ("observed", true, "eu-central-1"));
        assert_eq!(found.differences, ["metadata says eu-central-1, declaration says eu-west-1", "cloud-init says eu-central-1, declaration says eu-west-1"]);
        let found = joined(told[2..].to_vec(), Vec::new(), &set(&["eu-central-1"]));
        assert_eq!((found.method.as_str(), found.data[0].within), ("declared", false));
    }

    #[test]
    fn a_zone_that_is_named_counts_and_one_that_is_not_proves_nothing() {
        let zone = || vec![says("metadata", "observed", "", "nova")];
        assert!(joined(zone(), Vec::new(), &set(&["nova"])).data[0].within);
        let other = joined(zone(), Vec::new(), &set(&["eu-central-1"]));
        assert_eq!((other.data[0].place.as_str(), other.data[0].within), ("", false));
        assert_eq!(joined(Vec::new(), Vec::new(), &set(&["x"])).data[0].place, "");
    }
}
