//! Which cloud the machine says it is in, what it was told of its region, and which data sets may be kept where.
//!
//! Read from the firmware's tables (DMI), from what cloud-init kept of its start, and from the operator's declarations.
//! What the cloud itself says is asked by the family `region`, of a cloud that is recognised here only.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Document, HostFamily};
use crate::host::{CONFIG_LIMIT, Host, machine};
use crate::model::fact::Source;
use crate::model::gap::Gaps;

/// What cloud-init tells every program about the machine (world-readable, secrets taken out).
const INSTANCE_DATA: &str = "/run/cloud-init/instance-data.json";
/// Name of the cloud alone.
const CLOUD_ID: &str = "/run/cloud-init/cloud-id";
/// Name of the data source of the last start; stays on disk.
const DATA_SOURCE: &str = "/var/lib/cloud/instance/datasource";
/// Largest instance data, bytes: user data is among it.
const INSTANCE_DATA_LIMIT: usize = 8 << 20;
/// Longest name of a region that is kept, characters.
const NAME_LIMIT: usize = 100;

/// The cloud and the places that it and the operator name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Cloud {
    /// `aws`, `azure`, `gcp`, `openstack`, `hetzner`, `digitalocean`, `oracle`, `alibaba`, `scaleway`, `vultr`, `akamai`; empty: none is recognised.
    pub provider: String,
    /// What that rests on.
    pub source: Source,
    /// Every statement about the machine's place, by subject.
    pub told: Vec<Told>,
    /// Declared data sets, by subject.
    pub data: Vec<DataSet>,
}

impl Document for Cloud {
    const NAME: &'static str = "cloud";
    const TITLE: &'static str = "The cloud that the machine recognises, its recorded region and the declared site";
}

/// One statement about the machine's place.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Told {
    /// Who says it: `metadata`, `cloud-init`, `firmware`, `declaration`.
    pub subject: String,
    /// `observed` (the cloud's metadata service answered), `recorded` (cloud-init kept what that service said at the last
    /// start), `firmware` (DMI, which names the cloud and no place), `declared` (the operator says so).
    pub method: String,
    /// Cloud or whoever runs the place; empty: not said.
    pub provider: String,
    /// Region in the provider's words; empty: not said.
    pub region: String,
    /// Zone or data centre; empty: not said.
    pub zone: String,
    /// Country by ISO 3166-1; only declarations say it.
    pub country: String,
    /// Where it was read.
    pub source: Source,
}

/// A declared data set.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DataSet {
    /// The path as declared.
    pub subject: String,
    /// Its class, as in `storage`.
    pub class: String,
    /// Regions or zones in which it may be kept; empty: anywhere.
    pub allowed: Vec<String>,
    /// The path; the declaration names no file of the machine.
    pub source: Source,
}

impl HostFamily for Cloud {
    fn gather(host: &Host, gaps: &mut Gaps) -> Option<Self> {
        let firmware = firmware(host);
        let recorded = cloud_init(host, gaps);
        let known = [&firmware, &recorded].into_iter().flatten().find(|t| !t.provider.is_empty());
        let (provider, source) = known.map(|t| (t.provider.clone(), t.source.clone())).unwrap_or_default();
        let told = [recorded, declared(host), firmware].into_iter().flatten().collect();
        Some(Self { provider, source, told, data: data(host) })
    }
}

fn firmware(host: &Host) -> Option<Told> {
    let provider = match machine::cloud(host)? {
        "Amazon EC2" => "aws",
        "Google Compute Engine" => "gcp",
        "Microsoft Azure" => "azure",
        "Oracle Cloud" => "oracle",
        "Alibaba Cloud" => "alibaba",
        "DigitalOcean" => "digitalocean",
        "Hetzner" => "hetzner",
        "Scaleway" => "scaleway",
        "Vultr" => "vultr",
        "Akamai" => "akamai",
        _ => "openstack",
    };
    let source = Source::whole("/sys/class/dmi/id");
    Some(Told { subject: "firmware".into(), method: "firmware".into(), provider: provider.into(), source, ..Told::default() })
}

/// What cloud-init kept: all of it on a running machine, the name of the data source on a stopped one.
fn cloud_init(host: &Host, gaps: &mut Gaps) -> Option<Told> {
    let told = |provider: &str, source| Told { subject: "cloud-init".into(), method: "recorded".into(), provider: provider.into(), source, ..Told::default() };
    match host.read(INSTANCE_DATA, INSTANCE_DATA_LIMIT) {
        Ok(bytes) => {
            if let Some(v1) = serde_json::from_slice::<Value>(&bytes).ok().as_ref().and_then(|v| v.get("v1")) {
                let text = |key: &str| v1.get(key).and_then(Value::as_str).map(place_name).unwrap_or_default();
                let provider = provider_of(&text("cloud_name")).or_else(|| provider_of(&text("platform"))).unwrap_or_default();
                let source = Source { place: INSTANCE_DATA.into(), line: 0, directive: "v1".into() };
                return Some(Told { region: text("region"), zone: text("availability_zone"), ..told(provider, source) });
            }
            gaps.note(Cloud::NAME, "told", "cloud-init", crate::model::gap::reason::MALFORMED, format!("{INSTANCE_DATA} has no object v1"), "");
        }
        Err(e) if e.is_not_found() => {}
        Err(e) => gaps.add(e.to_gap(Cloud::NAME, "told", "cloud-init")),
    }
    for path in [CLOUD_ID, DATA_SOURCE] {
        let text = host.read_text(path, CONFIG_LIMIT).unwrap_or_default();
        let name = text.split(':').next().unwrap_or_default().trim().trim_start_matches("DataSource").to_ascii_lowercase();
        if let Some(provider) = provider_of(&name) {
            return Some(told(provider, Source::whole(path)));
        }
    }
    None
}

/// Our word for a cloud by cloud-init's: names of clouds, platforms and data sources.
fn provider_of(name: &str) -> Option<&'static str> {
    const NAMES: [(&str, &str); 17] = [
        ("aws", "aws"),
        ("ec2", "aws"),
        ("ec2local", "aws"),
        ("azure", "azure"),
        ("gce", "gcp"),
        ("gcelocal", "gcp"),
        ("openstack", "openstack"),
        ("openstacklocal", "openstack"),
        ("configdrive", "openstack"),
        ("hetzner", "hetzner"),
        ("digitalocean", "digitalocean"),
        ("oracle", "oracle"),
        ("aliyun", "alibaba"),
        ("aliyunlocal", "alibaba"),
        ("scaleway", "scaleway"),
        ("vultr", "vultr"),
        ("akamai", "akamai"),
    ];
    NAMES.iter().find(|(theirs, _)| name.eq_ignore_ascii_case(theirs)).map(|(_, ours)| *ours)
}

/// A name of a place as far as it is one.
pub fn place_name(text: &str) -> String {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | ' ');
    let text = text.trim();
    // cloud-init writes `None` and `unknown` where it knows nothing, and a mark where it hides a value.
    if text.chars().all(fits) && !matches!(text.to_ascii_lowercase().as_str(), "none" | "unknown" | "n/a") {
        text.chars().take(NAME_LIMIT).collect()
    } else {
        String::new()
    }
}

fn declared(host: &Host) -> Option<Told> {
    let site = &host.declared().site;
    if site.is_empty() {
        return None;
    }
    Some(Told {
        subject: "declaration".into(),
        method: "declared".into(),
        provider: site.provider.clone(),
        region: site.region.clone(),
        zone: site.zone.clone(),
        country: site.country.clone(),
        source: Source { place: String::new(), line: 0, directive: "site".into() },
    })
}

fn data(host: &Host) -> Vec<DataSet> {
    let set = |d: &crate::model::declared::DataPath| DataSet {
        subject: d.path.clone(),
        class: d.class.word().into(),
        allowed: d.regions.clone(),
        source: Source { place: String::new(), line: 0, directive: "data".into() },
    };
    let mut out: Vec<DataSet> = host.declared().data.iter().map(set).collect();
    out.sort_by(|a, b| a.subject.cmp(&b.subject));
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::testing::{recorded, rooted};
    use crate::model::declared::{Declared, Site};

    const AWS: &str = r#"{"v1": {"cloud_name": "aws", "platform": "ec2", "region": "eu-central-1", "availability_zone": "eu-central-1b"}, "ds": {}}"#;

    #[test]
    fn firmware_cloud_init_and_declaration_are_told_apart() {
        let (_root, host) = recorded(&[("/sys/class/dmi/id/sys_vendor", "Amazon EC2\n"), (INSTANCE_DATA, AWS)]);
        let site = Site { provider: "example".into(), region: "eu-west-1".into(), ..Site::default() };
        let host = host.with_declared(Declared { site, ..Declared::default() });
        let found = Cloud::gather(&host, &mut Gaps::new()).unwrap();
        assert_eq!(found.provider, "aws");
        let told: Vec<String> = found.told.iter().map(|t| format!("{} {} {} {} {}", t.subject, t.method, t.provider, t.region, t.zone)).collect();
        assert_eq!(told, ["cloud-init recorded aws eu-central-1 eu-central-1b", "declaration declared example eu-west-1 ", "firmware firmware aws  "]);
    }

    #[test]
    fn a_stopped_machine_keeps_the_name_of_its_cloud() {
        let (_root, host) = rooted(&[(DATA_SOURCE, "DataSourceHetzner: DataSourceHetzner\n")]);
        assert_eq!(Cloud::gather(&host, &mut Gaps::new()).unwrap().provider, "hetzner");
        let (_root, host) = rooted(&[(CLOUD_ID, "nocloud\n")]);
        assert_eq!(Cloud::gather(&host, &mut Gaps::new()).unwrap(), Cloud::default());
    }

    #[test]
    fn what_is_no_name_is_left_out() {
        assert_eq!(place_name(" eu-central-1\n"), "eu-central-1");
        for odd in ["None", "unknown", "a\u{1b}[31m", "redacted for non-root user!", "{}"] {
            assert_eq!(place_name(odd), "", "{odd}");
        }
        let (_root, host) = recorded(&[(INSTANCE_DATA, "[]")]);
        let mut gaps = Gaps::new();
        assert!(Cloud::gather(&host, &mut gaps).unwrap().told.is_empty());
        assert_eq!(gaps.into_sorted().len(), 1);
    }
}
