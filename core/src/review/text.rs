//! Borrowed pieces of JSON: text that is only copied where it is escaped, and labels with each key once.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, MapAccess, Visitor};

use crate::labels::Labels;

/// JSON text, borrowed from the body unless it is escaped there; null reads as empty, as Kubernetes' decoder does.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Text<'a>(pub(super) Cow<'a, str>);

struct TextVisitor;

impl<'de> Visitor<'de> for TextVisitor {
    type Value = Text<'de>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a string")
    }

    fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<Self::Value, E> {
        Ok(Text(Cow::Borrowed(text)))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Text(Cow::Owned(text.to_owned())))
    }

    fn visit_unit<E: Error>(self) -> Result<Self::Value, E> {
        Ok(Text::default())
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Text<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(TextVisitor)
    }
}

/// A map of text to text, in the order sent; a key that comes twice is an error, since readers would differ on it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct TextMap<'a>(pub(super) Vec<(Cow<'a, str>, Cow<'a, str>)>);

impl<'a> TextMap<'a> {
    pub(super) fn into_labels(self) -> Labels<'a> {
        Labels::new(self.0)
    }
}

struct TextMapVisitor;

impl<'de> Visitor<'de> for TextMapVisitor {
    type Value = TextMap<'de>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a map of strings")
    }

    fn visit_unit<E: Error>(self) -> Result<Self::Value, E> {
        Ok(TextMap::default())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut pairs: Vec<(Cow<'de, str>, Cow<'de, str>)> = Vec::new();
        let mut sorted = true;
        while let Some((key, value)) = map.next_entry::<Text<'de>, Text<'de>>()? {
            sorted = sorted && pairs.last().is_none_or(|(last, _)| *last < key.0);
            pairs.push((key.0, value.0));
        }
        // The API server sends keys sorted, which shows each to be there once.
        if !sorted {
            let mut keys: Vec<&str> = pairs.iter().map(|(key, _)| key.as_ref()).collect();
            keys.sort_unstable();
            if let Some([key, _]) = keys.windows(2).find(|pair| pair[0] == pair[1]) {
                return Err(A::Error::custom(format_args!("key {key:?} comes twice")));
            }
        }
        Ok(TextMap(pairs))
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for TextMap<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(TextMapVisitor)
    }
}
