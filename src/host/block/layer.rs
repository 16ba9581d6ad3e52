//! One layer below a mount, and what a stack of them says about encryption.

/// Whether data is encrypted at rest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encrypted {
    /// By a layer of this machine.
    Yes,
    /// No layer of this machine does it.
    No,
    /// It can't be told from this machine.
    Unknown,
}

impl Encrypted {
    /// The word of the facts.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Yes => "yes",
            Self::No => "no",
            Self::Unknown => "unknown",
        }
    }
}

/// One layer and what lies below it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layer {
    /// A kind of `facts::storage::Link`.
    pub kind: &'static str,
    /// Device, file or remote.
    pub name: String,
    /// What the kernel or a header says of it.
    pub detail: String,
    /// Whether this layer encrypts.
    pub encrypts: bool,
    /// Where it was read.
    pub place: String,
    /// Line of that place, from 1; 0 when it has no lines.
    pub line: usize,
    /// Parallel layers below (RAID members); empty at the end of the chain.
    pub below: Vec<Layer>,
    /// What the end of a chain says.
    pub end: End,
}

/// What the last layer says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// The chain goes on below.
    Continues,
    /// It keeps data unencrypted; why.
    Plain(String),
    /// It can't be told; why.
    Unknown(String),
    /// Nothing is kept when the power goes.
    Memory,
}

impl Layer {
    /// A layer with others below.
    pub fn over(kind: &'static str, name: impl Into<String>, detail: impl Into<String>, place: impl Into<String>, below: Vec<Self>) -> Self {
        Self { kind, name: name.into(), detail: detail.into(), encrypts: false, place: place.into(), line: 0, below, end: End::Continues }
    }

    /// The last layer.
    pub fn last(kind: &'static str, name: impl Into<String>, detail: impl Into<String>, place: impl Into<String>, end: End) -> Self {
        Self { kind, name: name.into(), detail: detail.into(), encrypts: false, place: place.into(), line: 0, below: Vec::new(), end }
    }

    /// The same, read from a line.
    pub fn at_line(self, line: usize) -> Self {
        Self { line, ..self }
    }

    /// Whether everything ends in memory.
    pub fn is_memory(&self) -> bool {
        if self.below.is_empty() { self.end == End::Memory } else { self.below.iter().all(Self::is_memory) }
    }

    /// The answer and what decides it: one encrypting layer is enough above all parallel ones,
    /// else every parallel one must have its own.
    pub fn judge(&self) -> (Encrypted, String) {
        if self.encrypts {
            return (Encrypted::Yes, self.detail.clone());
        }
        match &self.end {
            End::Plain(why) => return (Encrypted::No, why.clone()),
            End::Unknown(why) => return (Encrypted::Unknown, why.clone()),
            End::Memory => return (Encrypted::Unknown, format!("{} keeps data in memory only", self.name)),
            End::Continues => {}
        }
        let parts: Vec<&Self> = self.below.iter().filter(|l| !l.is_memory()).collect();
        // Which of several parts decides is half of the answer.
        let named = |part: &Self| {
            let (answer, why) = part.judge();
            if parts.len() > 1 && answer != Encrypted::Yes { (answer, format!("{} {}: {why}", part.kind, part.name)) } else { (answer, why) }
        };
        let answers: Vec<(Encrypted, String)> = parts.iter().map(|part| named(part)).collect();
        let first = |wanted: Encrypted| answers.iter().find(|a| a.0 == wanted).cloned();
        first(Encrypted::No)
            .or_else(|| first(Encrypted::Unknown))
            .or_else(|| first(Encrypted::Yes))
            .unwrap_or_else(|| (Encrypted::Unknown, format!("what lies below {} is not visible", self.name)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn disk(name: &str, end: End) -> Layer {
        Layer::last("disk", name, "", "", end)
    }

    fn crypt(below: Vec<Layer>) -> Layer {
        Layer { encrypts: true, ..Layer::over("crypt", "c", "LUKS2", "", below) }
    }

    #[test]
    fn the_weakest_parallel_layer_decides() {
        let (plain, hidden) = (disk("a", End::Plain("p".into())), disk("b", End::Unknown("h".into())));
        let raid = |members| Layer::over("raid", "md0", "raid1", "", members);
        assert_eq!(crypt(vec![raid(vec![plain.clone(), hidden.clone()])]).judge().0, Encrypted::Yes);
        assert_eq!(raid(vec![crypt(vec![plain.clone()]), plain.clone()]).judge().0, Encrypted::No);
        assert_eq!(raid(vec![crypt(vec![plain.clone()]), hidden]).judge().0, Encrypted::Unknown);
        assert_eq!(raid(vec![crypt(vec![plain.clone()]), crypt(vec![plain])]).judge().0, Encrypted::Yes);
        assert_eq!(raid(Vec::new()).judge().0, Encrypted::Unknown);
    }
}
