//! Classes of packets that open a connection: what is free about them is a set, the rest is fixed.

use super::ranges::Ranges;

/// Most verdicts' worth of doubt that is told of one class, characters.
const DOUBT_LIMIT: usize = 200;

/// What a class leaves free.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Field {
    /// Source address.
    Source,
    /// Destination address.
    Destination,
    /// Source port.
    SourcePort,
    /// Destination port.
    Port,
}

/// What connection tracking says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tracking {
    /// It has not seen the packet.
    Before,
    /// The first packet of a connection.
    New,
    /// A rule kept it from looking.
    Untracked,
}

/// A class of packets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Packet {
    /// IPv6 instead of IPv4.
    pub v6: bool,
    /// UDP instead of TCP.
    pub udp: bool,
    /// Source addresses.
    pub source: Ranges,
    /// Destination addresses.
    pub destination: Ranges,
    /// Source ports.
    pub source_port: Ranges,
    /// Destination ports.
    pub port: Ranges,
    /// Mark; `None`: a rule set it to something not known.
    pub mark: Option<u32>,
    /// Mark of the connection.
    pub connection_mark: Option<u32>,
    /// Connection tracking.
    pub tracking: Tracking,
    /// Destination and port before a translation, and the rule that translated.
    pub translated: Option<(Ranges, Ranges, String)>,
    /// Rule that let it in; empty when none did.
    pub through: String,
    /// Why it may not come so far; `None`: it does.
    pub doubt: Option<String>,
}

/// Fields and what they must hold, all at once.
pub type Part = Vec<(Field, Ranges)>;

/// What a match says of a class.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Test {
    /// It matches.
    All,
    /// It does not.
    Nothing,
    /// It matches what lies in one of these.
    Parts(Vec<Part>),
    /// It matches what lies in none of these.
    Outside(Vec<Part>),
    /// Sometimes it matches, sometimes it does not.
    Varying,
    /// It can't be told, and why.
    Unknown(String),
}

impl Test {
    /// A plain answer.
    pub const fn plain(matches: bool) -> Self {
        if matches { Self::All } else { Self::Nothing }
    }

    /// The opposite.
    pub fn inverted(self, invert: bool) -> Self {
        match self {
            other if !invert => other,
            Self::All => Self::Nothing,
            Self::Nothing => Self::All,
            Self::Parts(parts) => Self::Outside(parts),
            Self::Outside(parts) => Self::Parts(parts),
            other => other,
        }
    }
}

impl Packet {
    /// What a field holds.
    pub const fn field(&self, field: Field) -> &Ranges {
        match field {
            Field::Source => &self.source,
            Field::Destination => &self.destination,
            Field::SourcePort => &self.source_port,
            Field::Port => &self.port,
        }
    }

    fn with(&self, field: Field, value: Ranges) -> Self {
        let mut out = self.clone();
        match field {
            Field::Source => out.source = value,
            Field::Destination => out.destination = value,
            Field::SourcePort => out.source_port = value,
            Field::Port => out.port = value,
        }
        out
    }

    /// Bytes of a field.
    pub const fn bytes_of(&self, field: Field) -> usize {
        match field {
            Field::Source | Field::Destination if self.v6 => 16,
            Field::Source | Field::Destination => 4,
            Field::SourcePort | Field::Port => 2,
        }
    }

    /// The class, in doubt for this reason unless it was before.
    #[must_use]
    pub fn doubted(mut self, why: &str) -> Self {
        self.doubt.get_or_insert_with(|| why.chars().take(DOUBT_LIMIT).collect());
        self
    }

    /// Splits into what lies in one of the parts and what lies in none.
    pub fn split(self, parts: Vec<Part>) -> (Vec<Self>, Vec<Self>) {
        let (mut inside, mut outside) = (Vec::new(), vec![self]);
        for part in merged(parts) {
            let mut left = Vec::new();
            for packet in outside {
                let mut rest = Some(packet);
                for (field, wanted) in &part {
                    let Some(packet) = rest.take() else { break };
                    let (within, beyond) = (packet.field(*field).and(wanted), packet.field(*field).minus(wanted));
                    if !beyond.is_empty() {
                        left.push(packet.with(*field, beyond));
                    }
                    rest = (!within.is_empty()).then(|| packet.with(*field, within));
                }
                inside.extend(rest);
            }
            outside = left;
        }
        (inside, outside)
    }
}

/// Parts that differ in their last field alone become one.
fn merged(mut parts: Vec<Part>) -> Vec<Part> {
    for part in &mut parts {
        part.sort();
    }
    parts.sort();
    let mut out: Vec<Part> = Vec::new();
    // Sorted, parts whose first fields are the same stand together.
    let mut pending: Vec<(u128, u128)> = Vec::new();
    for part in parts {
        let same = out.last().is_some_and(|last| alike(last, &part));
        if same {
            pending.extend(part.last().into_iter().flat_map(|(_, r)| r.list().iter().copied()));
        } else {
            close(&mut out, &mut pending);
            out.push(part);
        }
    }
    close(&mut out, &mut pending);
    out
}

fn alike(a: &Part, b: &Part) -> bool {
    let heads = |p: &Part| p.split_last().map(|(last, head)| (last.0, head.to_vec()));
    a.len() == b.len() && heads(a) == heads(b)
}

fn close(out: &mut [Part], pending: &mut Vec<(u128, u128)>) {
    if let Some((_, last)) = out.last_mut().and_then(|p| p.last_mut())
        && !pending.is_empty()
    {
        *last = last.or(&Ranges::from_list(std::mem::take(pending)));
    }
    pending.clear();
}

#[cfg(test)]
pub(super) fn sample() -> Packet {
    Packet {
        v6: false,
        udp: false,
        source: Ranges::of(0, 99),
        destination: Ranges::of(7, 7),
        source_port: Ranges::of(0, 65_535),
        port: Ranges::of(22, 22),
        mark: Some(0),
        connection_mark: Some(0),
        tracking: Tracking::New,
        translated: None,
        through: String::new(),
        doubt: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_split_without_loss() {
        let part = |from, to, port| vec![(Field::Source, Ranges::of(from, to)), (Field::Port, Ranges::of(port, port))];
        let (inside, outside) = sample().split(vec![part(10, 19, 22), part(15, 29, 22), part(40, 49, 80)]);
        let size = |packets: &[Packet]| packets.iter().map(|p| p.source.size()).sum::<u128>();
        assert_eq!((size(&inside), size(&outside)), (20, 80));
        let many: Vec<Part> = (0..1000).map(|i| vec![(Field::Source, Ranges::of(i * 3, i * 3))]).collect();
        let (inside, outside) = sample().split(many);
        assert_eq!((inside.len(), outside.len(), size(&inside)), (1, 1, 34), "one class, however many elements");
    }
}
