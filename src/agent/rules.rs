//! The rules that the agent judges by: the signed pack that was installed, or those it carries.

use std::path::Path;

use super::run::{self, Outcome, ScanError};
use crate::rules::{Pack, signed};

/// Rules with what reports must say of them.
#[derive(Clone, Debug)]
pub struct Rules {
    /// The rules.
    pub pack: Pack,
    /// End of an installed pack, Unix seconds.
    expires: Option<i64>,
    /// A pack is installed and can't be used.
    refused: bool,
}

impl Rules {
    /// The pack of a state folder if its signature holds under `key`; those that the program carries
    /// if none is installed, or the one that is can't be used: that is logged, and reports say so.
    pub fn of(state: &Path, key: &Path) -> Result<Self, ScanError> {
        let installed = signed::installed(state, key).and_then(|signed| signed.map(|s| s.compile(&run::fresh_schemas()).map(|pack| (s, pack))).transpose());
        match installed {
            Ok(Some((signed, pack))) => {
                tracing::info!(number = signed.number(), rules = pack.rules.len(), "an installed pack of rules judges");
                Ok(Self { pack, expires: Some(signed.expires()), refused: false })
            }
            Ok(None) => Ok(Self { pack: run::fresh_rules()?, expires: None, refused: false }),
            Err(e) => {
                tracing::error!("the installed pack of rules is not used, the rules of this program judge: {e}");
                Ok(Self { pack: run::fresh_rules()?, expires: None, refused: true })
            }
        }
    }

    /// Names in the outcome of a scan what must be said of the rules at `now`.
    pub fn name_limit(&self, outcome: &mut Outcome, now: i64) {
        let limit = match self.expires {
            Some(end) if now >= end => Some(signed::EXPIRED),
            _ => self.refused.then_some(signed::REFUSED),
        };
        outcome.limits.extend(limit.map(String::from));
        outcome.limits.sort();
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use crate::facts::FAMILIES;
    use crate::model::advisories::{self, Advisories};
    use crate::model::compared::{self, Endpoints};
    use crate::model::schemas;
    use crate::rules::access::{self, Access};
    use crate::rules::transfers::{self, Transfers};

    fn undescribed(value: &Value) -> Value {
        match value {
            Value::Object(map) => {
                Value::Object(map.iter().filter(|(key, v)| *key != "description" || !v.is_string()).map(|(key, v)| (key.clone(), undescribed(v))).collect())
            }
            Value::Array(items) => Value::Array(items.iter().map(undescribed).collect()),
            other => other.clone(),
        }
    }

    #[test]
    fn carried_schemas_are_those_of_the_types() {
        let mut all: serde_json::Map<String, Value> = FAMILIES.iter().map(|f| (f.name.to_string(), (f.generated)())).collect();
        all.insert(access::NAME.into(), schemars::schema_for!(Access).to_value());
        all.insert(advisories::NAME.into(), schemars::schema_for!(Advisories).to_value());
        all.insert(compared::NAME.into(), schemars::schema_for!(Endpoints).to_value());
        all.insert(transfers::NAME.into(), schemars::schema_for!(Transfers).to_value());
        let text = format!("{}\n", serde_json::to_string_pretty(&all).unwrap());
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src/model/schemas.json");
        if std::env::var_os("ASSAY_WRITE_VECTORS").is_some() {
            std::fs::write(&path, &text).unwrap();
            return;
        }
        assert!(
            std::fs::read_to_string(&path).unwrap() == text,
            "src/model/schemas.json is not current; write it with ASSAY_WRITE_VECTORS=1 cargo nextest run schemas"
        );
        // What the program carries is the same without its descriptions.
        for (name, schema) in &all {
            assert_eq!(schemas::of(name), undescribed(schema), "{name}");
        }
        assert_eq!(schemas::of("no_such_family"), Value::Bool(false));
    }
}
