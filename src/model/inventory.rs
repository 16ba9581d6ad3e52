//! Hosts that are known elsewhere: what a cloud, a hypervisor or a configuration management database lists, to be held against the
//! hosts that are enrolled.
//!
//! A list (see `model/table.rs`) with the columns `name`, `address`, `machine_id`, and perhaps `os`, `owner`, `purpose`, `place`. A line
//! names a machine by at least one of the first three.

use std::collections::BTreeMap;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use super::table::{self, Row, Table, TableError};

/// Most addresses of one machine.
const ADDRESSES_LIMIT: usize = 256;
/// Most notes kept.
const NOTES_LIMIT: usize = 100;

/// One machine.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Machine {
    /// Host name, lower case; may be empty.
    pub name: String,
    /// Addresses, each once.
    pub addresses: Vec<IpAddr>,
    /// `/etc/machine-id`, 32 lower-case hexadecimal digits; may be empty.
    pub machine_id: String,
    /// Operating system, as written; may be empty.
    pub os: String,
    /// Who answers for it; may be empty.
    pub owner: String,
    /// What it is for; may be empty.
    pub purpose: String,
    /// Region, zone or site; may be empty.
    pub place: String,
    /// Line of the file.
    pub line: u32,
}

/// A list of machines.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Inventory {
    /// Name of the file, as people know it.
    pub file: String,
    /// In file order.
    pub items: Vec<Machine>,
    /// What was tolerated while reading, one sentence with the place each.
    pub notes: Vec<String>,
}

/// What a column holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Field {
    Name,
    Addresses,
    MachineId,
    Os,
    Owner,
    Purpose,
    Place,
}

/// Names of a column, lower case, without blanks, `_` and `-`; among them those of the exports of clouds and of NetBox.
const COLUMNS: &[(Field, &[&str])] = &[
    (Field::Name, &["name", "host", "hostname", "fqdn", "dnsname", "server", "vmname", "computername", "instancename"]),
    (
        Field::Addresses,
        &["address", "addresses", "ip", "ips", "ipaddress", "ipaddresses", "ipv4", "primaryip", "primaryip4", "primaryipv4", "privateip", "privateipaddress"],
    ),
    (Field::MachineId, &["machineid", "systemdmachineid"]),
    (Field::Os, &["os", "operatingsystem", "platform", "image", "ostype"]),
    (Field::Owner, &["owner", "team", "responsible", "contact"]),
    (Field::Purpose, &["purpose", "role", "description", "service", "application"]),
    (Field::Place, &["place", "region", "zone", "site", "location", "datacenter", "datacentre", "availabilityzone"]),
];

impl Inventory {
    /// Reads a list; `name` is the file as people know it. A list without a line is a list: nothing is known elsewhere.
    pub fn parse(name: &str, bytes: &[u8]) -> Result<Self, TableError> {
        let table = table::parse(name, bytes, "inventory", "hosts")?;
        let mut list = Self { file: name.into(), ..Self::default() };
        let columns = table::fields(&table, |plain| COLUMNS.iter().find(|(_, names)| names.contains(&plain)).map(|(f, _)| *f), &mut list.notes)?;
        if !table.columns.is_empty() && !columns.iter().any(|c| matches!(c, Some(Field::Name | Field::Addresses | Field::MachineId))) {
            return Err(TableError::new(name, "no column names the machine", "give the columns name, address, machine_id"));
        }
        list.read(&table, &columns)?;
        if list.notes.len() > NOTES_LIMIT {
            let rest = list.notes.len() - NOTES_LIMIT;
            list.notes.truncate(NOTES_LIMIT);
            list.notes.push(format!("{name}: and {rest} more notes"));
        }
        Ok(list)
    }

    fn read(&mut self, table: &Table, columns: &[Option<Field>]) -> Result<(), TableError> {
        let mut known: BTreeMap<Machine, u32> = BTreeMap::new();
        for row in &table.rows {
            let machine = machine(columns, row)?;
            let alike = Machine { line: 0, ..machine.clone() };
            match known.get(&alike) {
                Some(first) => self.notes.push(format!("{}: says the same as line {first}", row.place)),
                None => {
                    known.insert(alike, row.line);
                    self.items.push(machine);
                }
            }
        }
        Ok(())
    }
}

fn machine(columns: &[Option<Field>], row: &Row) -> Result<Machine, TableError> {
    let mut machine = Machine { line: row.line, ..Machine::default() };
    for cell in &row.cells {
        let Some(field) = columns.get(cell.column).copied().flatten() else { continue };
        let one_line = || cell.text.split_whitespace().collect::<Vec<_>>().join(" ");
        match field {
            Field::Name => machine.name = one_line().trim_end_matches('.').to_lowercase(),
            Field::Addresses => machine.addresses = addresses(&cell.text, &cell.place)?,
            Field::MachineId => machine.machine_id = machine_id(&cell.text, &cell.place)?,
            Field::Os => machine.os = one_line(),
            Field::Owner => machine.owner = one_line(),
            Field::Purpose => machine.purpose = one_line(),
            Field::Place => machine.place = one_line(),
        }
    }
    if machine.name.is_empty() && machine.addresses.is_empty() && machine.machine_id.is_empty() {
        return Err(TableError::new(&row.place, "the line names no machine", "fill in name, address or machine_id"));
    }
    Ok(machine)
}

/// Addresses, each once; the length of a prefix behind one is not looked at.
fn addresses(text: &str, place: &str) -> Result<Vec<IpAddr>, TableError> {
    let mut out = Vec::new();
    for part in text.split([',', ';', '|', ' ', '\n']).map(str::trim).filter(|p| !p.is_empty()) {
        let address = part.split_once('/').map_or(part, |(address, _)| address);
        let address: IpAddr = address.parse().map_err(|_| TableError::new(place, format!("{part:?} is no address"), "write an IPv4 or IPv6 address"))?;
        if !out.contains(&address) {
            out.push(address);
        }
    }
    if out.len() > ADDRESSES_LIMIT {
        return Err(TableError::new(place, format!("more than {ADDRESSES_LIMIT} addresses of one machine"), "name those that it is known by"));
    }
    Ok(out)
}

fn machine_id(text: &str, place: &str) -> Result<String, TableError> {
    let plain: String = text.chars().filter(|c| *c != '-').flat_map(char::to_lowercase).collect();
    if plain.len() != 32 || !plain.bytes().all(|b| b.is_ascii_hexdigit()) {
        return Err(TableError::new(place, format!("{text:?} is no machine id"), "write the 32 hexadecimal digits of /etc/machine-id"));
    }
    Ok(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exports_of_clouds_and_databases_are_read() {
        let text = "Host Name;Private IP;Machine-ID;Team;Cost\nWEB01.Example.org.;10.0.0.1/24, 10.0.0.1 fd00::1;4C4C4544-0042-4310-8036-B4C04F333332;Ops;3\n;10.0.0.2;;;\nweb01.example.org;10.0.0.1|fd00::1;4c4c454400424310 8036b4c04f333332;;\n";
        let refused = Inventory::parse("cmdb.csv", text.as_bytes()).unwrap_err().to_string();
        assert!(refused.starts_with("cmdb.csv:4:36: ") && refused.contains("is no machine id"), "{refused}");
        let text = text.replace("310 803", "310803");
        let list = Inventory::parse("cmdb.csv", text.as_bytes()).unwrap();
        let first = &list.items[0];
        assert_eq!((first.name.as_str(), first.addresses.len(), first.machine_id.as_str()), ("web01.example.org", 2, "4c4c4544004243108036b4c04f333332"));
        assert_eq!((first.owner.as_str(), list.items[1].addresses[0].to_string(), list.items[1].line), ("Ops", "10.0.0.2".into(), 3));
        assert_eq!(list.notes, ["cmdb.csv:1:38: column \"Cost\" is not used"]);
        let json = Inventory::parse("x.json", br#"{"hosts": [{"hostname": "db1", "ip": ["10.0.0.9"]}]}"#).unwrap();
        assert_eq!((json.items[0].name.as_str(), json.items[0].addresses.len()), ("db1", 1));
    }

    #[test]
    fn what_names_no_machine_is_refused_with_its_place() {
        let refused = |text: &str| Inventory::parse("i.csv", text.as_bytes()).unwrap_err().to_string();
        assert!(refused("owner\nada\n").contains("no column names the machine"));
        assert!(refused("name,owner\n,ada\n").starts_with("i.csv:2: the line names no machine"));
        assert!(refused("name,ip\na,10.0.0\n").starts_with("i.csv:2:3: \"10.0.0\" is no address"));
        assert_eq!(Inventory::parse("i.csv", b"name,ip\n").unwrap().items, []);
        let doubled = Inventory::parse("i.csv", b"name\na\nA\n").unwrap();
        assert_eq!((doubled.items.len(), doubled.notes.join("")), (1, "i.csv:3: says the same as line 2".into()));
    }
}
