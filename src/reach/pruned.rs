//! [`Pruned`]: a value of YAML or JSON without what says nothing of who reaches whom, dropped while it is read.

use std::fmt;

use serde::de::{self, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Number, Value};

/// Parts that say nothing of who reaches whom and make most of what a cluster prints. Each is read as `true`, so that it
/// is still seen to be there. All of them are lists or mappings: a text under such a key is the value of a label.
const DROPPED: [&str; 22] = [
    "managedFields",
    "annotations",
    "env",
    "envFrom",
    "volumes",
    "volumeMounts",
    "volumeDevices",
    "volumeClaimTemplates",
    "resources",
    "affinity",
    "tolerations",
    "topologySpreadConstraints",
    "livenessProbe",
    "readinessProbe",
    "startupProbe",
    "lifecycle",
    "securityContext",
    "command",
    "args",
    "containerStatuses",
    "initContainerStatuses",
    "binaryData",
];

/// A value without what is [`DROPPED`]; keys that stand twice are refused, as kubectl does.
pub(super) struct Pruned(pub(super) Value);

/// Fields that are true or false, and no text.
const FLAGS: [&str; 2] = ["hostNetwork", "controller"];

impl Pruned {
    /// Takes single letters (`y`, `n`) for the text that they are in YAML 1.2 and to most who write it, where they were read
    /// as true or false (YAML 1.1, as kubectl has it). `letters` is the same with nothing but `true` and `false` read so.
    /// Gives the keys and positions of the first, if there is any.
    pub(super) fn with_letters(&mut self, letters: &Self) -> Option<Vec<String>> {
        let mut found = None;
        restore(&mut self.0, &letters.0, &mut Vec::new(), &mut found);
        found
    }
}

fn restore(value: &mut Value, letters: &Value, path: &mut Vec<String>, found: &mut Option<Vec<String>>) {
    match (value, letters) {
        (Value::Object(fields), Value::Object(letters)) => {
            for (key, value) in fields.iter_mut().filter(|(key, _)| !FLAGS.contains(&key.as_str())) {
                path.push(key.clone());
                restore(value, letters.get(key).unwrap_or(&Value::Null), path, found);
                path.pop();
            }
        }
        (Value::Array(items), Value::Array(letters)) => {
            for (position, (value, letters)) in items.iter_mut().zip(letters).enumerate() {
                path.push(position.to_string());
                restore(value, letters, path, found);
                path.pop();
            }
        }
        (value @ Value::Bool(_), Value::String(letter)) if letter.len() == 1 => {
            *value = Value::String(letter.clone());
            found.get_or_insert_with(|| path.clone());
        }
        _ => {}
    }
}

/// Whether a text may hold a single letter that YAML 1.1 reads as true or false.
pub(super) fn may_have_letters(text: &str) -> bool {
    let ends = |byte: Option<&u8>| byte.is_none_or(|byte| byte.is_ascii_whitespace() || b",:[]{}".contains(byte));
    let bytes = text.as_bytes();
    let mut letters = bytes.iter().enumerate().filter(|(_, byte)| b"yYnN".contains(byte));
    letters.any(|(at, _)| ends(at.checked_sub(1).map(|before| &bytes[before])) && ends(bytes.get(at + 1)))
}

impl<'de> Deserialize<'de> for Pruned {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(PrunedVisitor(Within::Kept)).map(Self)
    }
}

/// What stands under a key that is [`DROPPED`].
struct Dropped(Value);

impl<'de> Deserialize<'de> for Dropped {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(PrunedVisitor(Within::Dropped)).map(Self)
    }
}

/// What becomes of lists and mappings.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Within {
    Kept,
    Dropped,
}

struct PrunedVisitor(Within);

impl<'de> Visitor<'de> for PrunedVisitor {
    type Value = Value;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a Kubernetes object")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_none<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(Number::from_f64(value).map_or(Value::Null, Value::Number))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(Value::String(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<Value, A::Error> {
        if self.0 == Within::Dropped {
            while sequence.next_element::<IgnoredAny>()?.is_some() {}
            return Ok(Value::Bool(true));
        }
        let mut items = Vec::new();
        while let Some(Pruned(item)) = sequence.next_element()? {
            items.push(item);
        }
        Ok(Value::Array(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut mapping: A) -> Result<Value, A::Error> {
        if self.0 == Within::Dropped {
            while mapping.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
            return Ok(Value::Bool(true));
        }
        let mut fields = Map::new();
        while let Some(key) = mapping.next_key::<String>()? {
            let value = if DROPPED.contains(&&*key) {
                mapping.next_value::<Dropped>()?.0
            } else {
                mapping.next_value::<Pruned>()?.0
            };
            if fields.contains_key(&key) {
                return Err(de::Error::custom(format!("the key {key:?} stands twice")));
            }
            fields.insert(key, value);
        }
        Ok(Value::Object(fields))
    }
}
