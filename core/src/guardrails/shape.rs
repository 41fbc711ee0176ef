//! [`Shape`]: what a document of a kind looks like, from its schema; [`Shape::check`] finds every place where a text
//! looks otherwise (unknown and missing fields, wrong types, unknown words), not only the first.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use serde_json::Value as Json;

use super::documents::Kind;
use super::place::{Found, Place};
use super::schema;
use super::yaml::Value;

/// What a value looks like.
#[derive(Debug)]
pub(super) enum Shape {
    /// Whatever it is.
    Anything,
    /// A mapping of these fields and no others.
    Fields(BTreeMap<String, Field>),
    /// A mapping of any keys.
    Mapping(Box<Shape>),
    /// A list.
    List(Box<Shape>),
    /// A string.
    Text,
    /// One of these words.
    Word(Vec<String>),
    Boolean,
    Integer,
    IntegerOrText,
}

/// A field of a mapping.
#[derive(Debug)]
pub(super) struct Field {
    shape: Shape,
    required: bool,
    /// What it is for, in one sentence.
    meaning: String,
}

/// The shape of a kind's documents.
pub(super) fn of(kind: Kind) -> &'static Shape {
    static SHAPES: LazyLock<[Shape; 3]> =
        LazyLock::new(|| Kind::ALL.map(|kind| Shape::from_schema(schema::schema(kind).as_value())));
    &SHAPES[kind as usize]
}

impl Shape {
    /// From a schema in the plain form.
    fn from_schema(schema: &Json) -> Self {
        let is = |name: &str| schema.get("type").is_some_and(|kind| kind == name);
        if schema.get("x-kubernetes-int-or-string").is_some() {
            Self::IntegerOrText
        } else if let Some(Json::Object(properties)) = schema.get("properties") {
            let required = |name: &str| {
                schema
                    .get("required")
                    .and_then(Json::as_array)
                    .is_some_and(|names| names.iter().any(|one| one == name))
            };
            let field = |(name, property): (&String, &Json)| {
                let meaning = property.get("description").and_then(Json::as_str).unwrap_or_default();
                let field = Field {
                    shape: Self::from_schema(property),
                    required: required(name),
                    meaning: meaning.lines().next().unwrap_or_default().to_owned(),
                };
                (name.clone(), field)
            };
            Self::Fields(properties.iter().map(field).collect())
        } else if let Some(values) = schema.get("additionalProperties").filter(|values| values.is_object()) {
            Self::Mapping(Box::new(Self::from_schema(values)))
        } else if let Some(items) = schema.get("items") {
            Self::List(Box::new(Self::from_schema(items)))
        } else if let Some(Json::Array(words)) = schema.get("enum") {
            Self::Word(words.iter().filter_map(Json::as_str).map(str::to_owned).collect())
        } else if is("string") {
            Self::Text
        } else if is("boolean") {
            Self::Boolean
        } else if is("integer") {
            Self::Integer
        } else if is("object") {
            Self::Mapping(Box::new(Self::Anything))
        } else {
            Self::Anything
        }
    }

    /// Finds every place where a value does not look like this.
    pub(super) fn check(&self, place: &Place<'_>, found: &mut Found) {
        let Some(node) = place.node() else {
            return;
        };
        match (self, &node.value) {
            (Self::Anything, _)
            | (Self::Text | Self::IntegerOrText, Value::Text(_))
            | (Self::Boolean, Value::Boolean(_)) => {}
            (Self::Integer | Self::IntegerOrText, Value::Number(number)) if is_port_sized(number) => {}
            (Self::Fields(fields), Value::Mapping(_)) => check_fields(fields, place, found),
            (Self::Mapping(shape), Value::Mapping(entries)) => {
                for entry in entries {
                    shape.check(&place.entry(entry), found);
                }
            }
            (Self::List(shape), Value::List(items)) => {
                for position in 0..items.len() {
                    shape.check(&place.item(position), found);
                }
            }
            (Self::Word(words), Value::Text(text)) if words.contains(text) => {}
            (Self::Word(words), Value::Text(text)) => {
                let known = words.join(", ");
                found.wrong(
                    place,
                    format!("unknown value {text:?}"),
                    suggestion(text, words, &format!("use one of: {known}")),
                );
            }
            (expected, value) => found.wrong(
                place,
                format!("expected {}, found {}", expected.in_words(), in_words(value)),
                expected.advice(value),
            ),
        }
    }

    fn in_words(&self) -> &'static str {
        match self {
            Self::Anything => "any value",
            Self::Fields(_) | Self::Mapping(_) => "a mapping",
            Self::List(_) => "a list",
            Self::Text | Self::Word(_) => "a string",
            Self::Boolean => "true or false",
            Self::Integer => "a whole number",
            Self::IntegerOrText => "a whole number or a string",
        }
    }

    fn advice(&self, found: &Value) -> String {
        match (self, found) {
            (_, Value::Null) => "give it a value, or remove the key".to_owned(),
            (Self::Text | Self::Word(_), Value::Boolean(_) | Value::Number(_)) => {
                "put it in quotes if it is meant as text".to_owned()
            }
            (Self::List(_), _) => "begin each item with '- ', or write [a, b]".to_owned(),
            (Self::Fields(fields), _) => {
                format!(
                    "its fields are: {}",
                    fields.keys().map(String::as_str).collect::<Vec<_>>().join(", ")
                )
            }
            (Self::Mapping(_), _) => "write it as `key: value`".to_owned(),
            (Self::Word(words), _) => format!("use one of: {}", words.join(", ")),
            (Self::Boolean, _) => "write true or false, without quotes".to_owned(),
            (Self::Integer | Self::IntegerOrText, _) => "write it in digits".to_owned(),
            (Self::Text | Self::Anything, _) => "write it as text on one line".to_owned(),
        }
    }
}

/// Whether it is a whole number that a Kubernetes `int32` can hold.
fn is_port_sized(number: &serde_json::Number) -> bool {
    number.as_i64().is_some_and(|number| i32::try_from(number).is_ok())
}

fn check_fields(fields: &BTreeMap<String, Field>, place: &Place<'_>, found: &mut Found) {
    let entries = place.node().map_or(&[][..], |node| node.entries());
    let mut unknown = Vec::new();
    for entry in entries {
        if let Some(field) = fields.get(&entry.key) {
            field.shape.check(&place.entry(entry), found);
        } else {
            unknown.push(entry);
        }
    }
    let missing: Vec<&String> = fields
        .iter()
        .filter(|(name, field)| field.required && entries.iter().all(|entry| entry.key != **name))
        .map(|(name, _)| name)
        .collect();
    let absent: Vec<String> = fields
        .keys()
        .filter(|name| entries.iter().all(|entry| entry.key != **name))
        .cloned()
        .collect();
    let mut meant = Vec::new();
    for entry in unknown {
        let key = entry.key.as_str();
        let known = fields.keys().map(String::as_str).collect::<Vec<_>>().join(", ");
        let advice = suggestion(key, &absent, &format!("the fields here are: {known}"));
        meant.extend(nearest(key, &absent));
        found.wrong(&place.key_of(entry), format!("unknown field {key:?}"), advice);
    }
    for name in missing {
        // A misspelt field is one mistake, not two.
        if !meant.contains(&name.as_str()) {
            let advice = format!("add {name}: {}", fields[name].meaning);
            found.wrong(&place.field(name), format!("missing field {name:?}"), advice);
        }
    }
}

/// `did you mean "X"?`, or what else there is to say.
pub(super) fn suggestion(text: &str, known: &[String], otherwise: &str) -> String {
    nearest(text, known).map_or_else(|| otherwise.to_owned(), |word| format!("did you mean {word:?}?"))
}

/// The known word that is spelled most like this one, where one is close.
fn nearest<'a>(text: &str, known: &'a [String]) -> Option<&'a str> {
    if text.len() > 64 {
        return None;
    }
    let folded = text.to_lowercase();
    known
        .iter()
        .map(|word| (strsim::damerau_levenshtein(&folded, &word.to_lowercase()), word))
        .filter(|(distance, word)| *distance <= 1 + word.len() / 5)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, word)| word.as_str())
}

fn in_words(value: &Value) -> String {
    match value {
        Value::Null => "nothing".to_owned(),
        Value::Boolean(boolean) => format!("the boolean {boolean}"),
        Value::Number(number) => format!("the number {number}"),
        Value::Text(_) => "a string".to_owned(),
        Value::List(_) => "a list".to_owned(),
        Value::Mapping(_) => "a mapping".to_owned(),
    }
}
