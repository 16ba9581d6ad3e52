//! crypttab(5) as cryptsetup's scripts of Debian and systemd-cryptsetup read it.

use crate::host::{CONFIG_LIMIT, Host, ReadError};

/// Where it stands.
pub const CRYPTTAB: &str = "/etc/crypttab";

/// One line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mapping {
    /// Name below `/dev/mapper`.
    pub name: String,
    /// What is unlocked.
    pub device: String,
    /// Third field as written; empty when there is none.
    pub key: String,
    /// Options in order, with their value.
    pub options: Vec<(String, String)>,
    /// Line, from 1.
    pub line: usize,
}

/// What the third field is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Key<'m> {
    /// Asked for, or taken from a token.
    Asked,
    /// New at each boot.
    Random,
    /// A file, perhaps on another device that is mounted for it.
    File(&'m str, &'m str),
    /// What a program is given to make the key of.
    Script(&'m str),
}

impl Mapping {
    /// Value of an option, the last one; empty when it has none.
    pub fn option(&self, name: &str) -> Option<&str> {
        self.options.iter().rev().find(|(n, _)| n == name).map(|(_, v)| v.as_str())
    }

    /// `luks`, `plain`, `tcrypt` or `bitlk`. `swap` and `tmp` mean plain unless another type is named.
    pub fn kind(&self) -> &'static str {
        let has = |name: &str| self.option(name).is_some();
        if has("luks") {
            "luks"
        } else if has("tcrypt") || has("tcrypt-veracrypt") || has("veracrypt") {
            "tcrypt"
        } else if has("bitlk") {
            "bitlk"
        } else if has("plain") || has("swap") || has("tmp") || matches!(self.key(), Key::Random) {
            "plain"
        } else {
            "luks"
        }
    }

    /// What unlocks it.
    pub fn key(&self) -> Key<'_> {
        if let Some(script) = self.option("keyscript").filter(|s| !s.is_empty()) {
            return Key::Script(script);
        }
        match self.key.as_str() {
            "" | "none" | "-" => Key::Asked,
            "/dev/urandom" | "/dev/random" | "/dev/hwrng" => Key::Random,
            path if path.starts_with('/') => match path.rsplit_once(':') {
                Some((path, device)) if device.starts_with('/') || device.contains('=') => Key::File(path, device),
                _ => Key::File(path, ""),
            },
            _ => Key::Asked,
        }
    }

    /// Cipher that applies: a LUKS header has its own, so that the option is ignored there.
    pub fn cipher(&self) -> Option<&str> {
        if self.kind() == "plain" { self.option("cipher").filter(|c| !c.is_empty()) } else { None }
    }

    /// Bits of the key that `size=` demands of a plain mapping.
    pub fn key_bits(&self) -> u64 {
        self.option("size").and_then(|s| s.parse().ok()).unwrap_or(0)
    }

    /// Whether the data is written as it is.
    pub fn is_null(&self) -> bool {
        self.cipher().is_some_and(|c| c.contains("null"))
    }

    /// Whether everybody knows the key: a device that always reads the same.
    pub fn has_known_key(&self) -> bool {
        self.kind() == "plain" && ["/dev/zero", "/dev/null", "/dev/full"].contains(&self.key.as_str()) && self.option("keyscript").is_none()
    }

    /// File of a header that is not on the device.
    pub fn header(&self) -> Option<&str> {
        self.option("header").filter(|h| h.starts_with('/'))
    }

    /// What unlocks it besides or instead of a typed passphrase: `key file`, `random key`, names of tokens and programs.
    pub fn unlocked_by(&self) -> Vec<String> {
        let mut out = match self.key() {
            Key::Asked => Vec::new(),
            Key::Random => vec!["random key".to_string()],
            Key::File(..) => vec!["key file".to_string()],
            Key::Script(program) => vec![format!("program {program}")],
        };
        for (option, word) in [("tpm2-device", "tpm2"), ("fido2-device", "fido2"), ("pkcs11-uri", "pkcs11")] {
            if self.option(option).is_some() {
                out.push(word.into());
            }
        }
        out
    }
}

/// Lines of crypttab; none when there is no such file.
pub fn read(host: &Host) -> Result<Vec<Mapping>, ReadError> {
    match host.read_text(CRYPTTAB, CONFIG_LIMIT) {
        Ok(text) => Ok(parse(&text)),
        Err(e) if e.is_not_found() => Ok(Vec::new()),
        Err(e) => Err(e),
    }
}

/// Parses the lines that have at least a name and a device.
pub fn parse(text: &str) -> Vec<Mapping> {
    let lines = text.lines().enumerate().filter(|(_, l)| !l.trim_start().starts_with('#'));
    let parsed = lines.filter_map(|(i, line)| {
        let mut words = line.split_whitespace();
        let (name, device) = (words.next()?, words.next()?);
        let (key, options) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        let options = options.split(',').filter(|o| !o.is_empty()).map(|o| o.split_once('=').unwrap_or((o, "")));
        Some(Mapping {
            name: name.into(),
            device: device.into(),
            key: key.into(),
            options: options.map(|(n, v)| (n.to_string(), v.to_string())).collect(),
            line: i + 1,
        })
    });
    parsed.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_keys_and_ignored_options() {
        let text = "# comment /dev/x /k plain,cipher=null\n  #x y z\nroot UUID=1 none luks,cipher=null\nswap /dev/sda2 /dev/urandom swap,cipher=aes-xts-plain64,size=512\n\
                    nul /dev/sdb1 /k plain,cipher=cipher_null-ecb\nusb /dev/sdc1 /keys/a:LABEL=stick luks\nder /dev/sdd1 root luks,keyscript=decrypt_derived\nshort\n\
                    tpm UUID=2 - tpm2-device=auto\nzero /dev/sde1 /dev/zero swap\n";
        let all = parse(text);
        let by = |name: &str| all.iter().find(|m| m.name == name).unwrap();
        assert_eq!(all.len(), 7);
        assert!(by("zero").has_known_key() && !by("swap").has_known_key());
        assert_eq!((by("root").kind(), by("root").is_null(), by("root").key(), by("root").line), ("luks", false, Key::Asked, 3));
        assert_eq!((by("swap").kind(), by("swap").key(), by("swap").cipher(), by("swap").key_bits()), ("plain", Key::Random, Some("aes-xts-plain64"), 512));
        assert!(by("nul").is_null());
        assert_eq!(by("usb").key(), Key::File("/keys/a", "LABEL=stick"));
        assert_eq!(by("der").unlocked_by(), ["program decrypt_derived"]);
        assert_eq!(by("tpm").unlocked_by(), ["tpm2"]);
    }
}
