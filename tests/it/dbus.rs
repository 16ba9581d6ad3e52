//! Questions over a real message bus, compared with what `busctl` reads there.

use std::process::Command;

use assay::host::Host;
use assay::host::dbus::{Bus, Value};

use super::lab::bus;

const AT: i64 = 1_795_000_000;

#[test]
fn units_and_properties_over_a_real_bus() {
    let lab = bus::Bus::start(Some(AT));
    let socket = lab.socket();
    let host = Host::live().unwrap();
    let mut asked = Bus::connect(&host, socket.to_str().unwrap()).unwrap();
    let units = asked.units().unwrap();
    let shown: Vec<String> = units.iter().map(|u| format!("{} {} {} {}", u.name, u.load, u.active, u.sub)).collect();
    assert_eq!(shown, ["chrony.service loaded active running", "rsyslog.service loaded failed failed"]);
    assert_eq!(units[0].object, "/org/freedesktop/systemd1/unit/chrony_2eservice");
    let properties = asked.properties("org.freedesktop.timesync1", "/org/freedesktop/timesync1", "org.freedesktop.timesync1.Manager").unwrap();
    assert_eq!((properties["ServerName"].text(), properties["Frequency"].number()), (Some("ntp.example.org"), Some(-12345)));
    let message = properties["NTPMessage"].items();
    assert_eq!((message.len(), message[8].number(), message[4].number(), message[12].truth()), (15, Some(AT * 1_000_000), Some(-24), Some(false)));
    assert_eq!(message[7].items().len(), 4);
    let arguments = ["call", "org.freedesktop.timesync1", "/org/freedesktop/timesync1", "org.freedesktop.DBus.Properties", "GetAll", "s"];
    let own = Command::new("busctl")
        .arg(format!("--address=unix:path={}", socket.display()))
        .arg("--json=short")
        .args(arguments)
        .arg("org.freedesktop.timesync1.Manager")
        .output()
        .unwrap();
    assert!(own.status.success(), "{own:?}");
    let own: serde_json::Value = serde_json::from_slice(&own.stdout).unwrap();
    let theirs = &own["data"][0];
    assert_eq!(properties.keys().map(String::as_str).collect::<Vec<_>>(), {
        let mut keys: Vec<&str> = theirs.as_object().unwrap().keys().map(String::as_str).collect();
        keys.sort_unstable();
        keys
    });
    assert_eq!(theirs["NTPMessage"]["data"], as_json(&properties["NTPMessage"]));
    assert_eq!(theirs["ServerAddress"]["data"], as_json(&properties["ServerAddress"]));
}

fn as_json(value: &Value) -> serde_json::Value {
    match value {
        Value::Unsigned(n) => (*n).into(),
        Value::Signed(n) => (*n).into(),
        Value::Bool(b) => (*b).into(),
        Value::Double(d) => (*d).into(),
        Value::Text(text) => text.clone().into(),
        Value::Array(items) | Value::Structure(items) => items.iter().map(as_json).collect(),
    }
}

#[test]
fn who_is_not_on_the_bus_is_absent_and_is_not_started() {
    let lab = bus::Bus::start(None);
    let host = Host::live().unwrap();
    let mut asked = Bus::connect(&host, lab.socket().to_str().unwrap()).unwrap();
    assert!(asked.units().unwrap_err().is_absent());
    let error = asked.properties("org.freedesktop.timesync1", "/org/freedesktop/timesync1", "x.y").unwrap_err();
    assert!(error.is_absent(), "{error}");
    // The bus itself answers.
    let bus = asked.properties("org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus").unwrap();
    assert!(bus.contains_key("Features"), "{bus:?}");
    assert!(Bus::connect(&host, "/nonexistent/bus").unwrap_err().is_absent());
}
