//! JSON Schema (draft 2020-12) of the kinds, from the same types that configuration is read into, in a plain form: no
//! references, no nulls, an enum of words rather than alternatives. Editors complete by it, the shape of documents is
//! checked by it, and CRDs are made of it.

use schemars::generate::SchemaSettings;
use schemars::transform::RecursiveTransform;
use schemars::{JsonSchema, Schema};
use serde_json::{Map, Value, json};

use super::documents::{API_VERSION, Document, GuardrailsSpec, IsolationProfileSpec, Kind, SegmentSpec};

/// The JSON Schema of a kind's documents.
pub fn schema(kind: Kind) -> Schema {
    match kind {
        Kind::Guardrails => document::<GuardrailsSpec>(kind),
        Kind::Segment => document::<SegmentSpec>(kind),
        Kind::IsolationProfile => document::<IsolationProfileSpec>(kind),
    }
}

fn document<Spec: JsonSchema>(kind: Kind) -> Schema {
    let mut schema = plain_schema::<Document<Spec>>();
    let description = plain_schema::<Spec>().get("description").cloned();
    let root = schema.ensure_object();
    root.insert("title".to_owned(), json!(kind.as_str()));
    if let Some(description) = description {
        root.insert("description".to_owned(), description);
    }
    for (field, word) in [("apiVersion", API_VERSION), ("kind", kind.as_str())] {
        if let Some(Value::Object(property)) = root.get_mut("properties").and_then(|all| all.get_mut(field)) {
            property.insert("enum".to_owned(), json!([word]));
        }
    }
    schema
}

/// The JSON Schema of any type in the plain form.
pub fn plain_schema<T: JsonSchema>() -> Schema {
    let settings = SchemaSettings::draft2020_12()
        .with(|settings| settings.inline_subschemas = true)
        .with_transform(RecursiveTransform(on_one_line))
        .with_transform(RecursiveTransform(words_as_enum))
        .with_transform(RecursiveTransform(without_null));
    settings.into_generator().into_root_schema_for::<T>()
}

/// `oneOf` of single words, as an enum with documented variants becomes, into one `enum`.
fn words_as_enum(schema: &mut Schema) {
    let Some(Value::Array(alternatives)) = schema.get("oneOf") else {
        return;
    };
    let mut words = Vec::new();
    let mut meanings = Vec::new();
    for alternative in alternatives {
        let group = match (alternative.get("const"), alternative.get("enum")) {
            (Some(word), _) => vec![word.clone()],
            (None, Some(Value::Array(group))) => group.clone(),
            _ => return,
        };
        let description = alternative.get("description").and_then(Value::as_str);
        if let (Some(description), [Value::String(word)]) = (description, group.as_slice()) {
            meanings.push(format!("{word}: {description}"));
        }
        words.extend(group);
    }
    let own = schema.get("description").and_then(Value::as_str).map(str::to_owned);
    let root = schema.ensure_object();
    root.remove("oneOf");
    root.insert("type".to_owned(), json!("string"));
    root.insert("enum".to_owned(), Value::Array(words));
    let text = own.into_iter().chain(meanings).collect::<Vec<_>>().join("\n");
    root.insert("description".to_owned(), json!(text));
}

/// An absent key is left out: `null` is never a value.
fn without_null(schema: &mut Schema) {
    let Some(root) = schema.as_object_mut() else {
        return;
    };
    if let Some(Value::Array(types)) = root.get_mut("type") {
        types.retain(|name| name != "null");
        if let [only] = types.as_slice() {
            let only = only.clone();
            root.insert("type".to_owned(), only);
        }
    }
    if let Some(Value::Array(words)) = root.get_mut("enum") {
        words.retain(|word| !word.is_null());
    }
    if root.get("default").is_some_and(Value::is_null) {
        root.remove("default");
    }
    if let Some(Value::Array(alternatives)) = root.get_mut("anyOf") {
        alternatives.retain(|alternative| alternative.get("type").is_none_or(|name| name != "null"));
        if let [Value::Object(only)] = alternatives.as_slice() {
            let only: Map<String, Value> = only.clone();
            root.remove("anyOf");
            for (key, value) in only {
                root.entry(key).or_insert(value);
            }
        }
    }
}

/// Doc comments are wrapped for the source; a description is not.
fn on_one_line(schema: &mut Schema) {
    if let Some(Value::String(description)) = schema.get_mut("description") {
        *description = description.replace('\n', " ");
    }
}
