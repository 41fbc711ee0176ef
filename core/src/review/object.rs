//! The parts of an object that rules read, decoded in one pass: metadata, a pod's containers, a template found by its
//! JSON pointer. Everything else is skipped, unread.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::text::{Text, TextMap};
use crate::model::{ControllerReference, Controllers};

/// What of an object is read, beside its metadata.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// A pod: the images of its containers.
    Pod,
    /// The pod template at this JSON pointer, given as its segments.
    Template(&'static [&'static str]),
    /// Only metadata.
    Metadata,
}

/// An object as far as rules read it.
#[derive(Debug, Default)]
pub(super) struct Object<'a> {
    pub(super) metadata: Metadata<'a>,
    pub(super) pod: Option<PodSpec<'a>>,
    pub(super) template: Option<Template<'a>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Metadata<'a> {
    #[serde(borrow)]
    pub(super) name: Text<'a>,
    #[serde(borrow)]
    pub(super) generate_name: Text<'a>,
    #[serde(borrow)]
    pub(super) labels: TextMap<'a>,
    #[serde(borrow)]
    owner_references: Option<Vec<OwnerReference<'a>>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct OwnerReference<'a> {
    #[serde(borrow)]
    api_version: Text<'a>,
    #[serde(borrow)]
    kind: Text<'a>,
    #[serde(borrow)]
    name: Text<'a>,
    #[serde(borrow)]
    uid: Text<'a>,
    controller: Option<bool>,
}

impl<'a> Metadata<'a> {
    /// The ownerReferences with `controller: true`.
    pub(super) fn controllers(&mut self) -> Controllers<'a> {
        let mut controllers = self
            .owner_references
            .take()
            .unwrap_or_default()
            .into_iter()
            .filter(|owner| owner.controller == Some(true));
        match (controllers.next(), controllers.next()) {
            (None, _) => Controllers::None,
            (Some(owner), None) => Controllers::One(ControllerReference {
                api_version: owner.api_version.0,
                kind: owner.kind.0,
                name: owner.name.0,
                uid: owner.uid.0,
            }),
            (Some(_), Some(_)) => Controllers::Several,
        }
    }
}

/// What a pod runs, as far as it can be changed in a live pod.
#[derive(Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct PodSpec<'a> {
    #[serde(borrow)]
    containers: Option<Vec<Container<'a>>>,
    #[serde(borrow)]
    init_containers: Option<Vec<Container<'a>>>,
}

#[derive(Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
struct Container<'a> {
    #[serde(borrow)]
    name: Text<'a>,
    #[serde(borrow)]
    image: Text<'a>,
}

/// A pod template. Its spec is kept as text: only whether it changed matters.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Template<'a> {
    #[serde(borrow)]
    pub(super) metadata: Option<TemplateMetadata<'a>>,
    #[serde(borrow)]
    spec: Option<&'a RawValue>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct TemplateMetadata<'a> {
    #[serde(borrow)]
    pub(super) labels: TextMap<'a>,
    #[serde(borrow)]
    annotations: TextMap<'a>,
}

/// Annotations of a template that change nothing that runs. Everything else may attach networks or inject code.
pub const HARMLESS_TEMPLATE_ANNOTATIONS: &[&str] = &["kubectl.kubernetes.io/restartedAt"];

impl Template<'_> {
    /// Whether pods made by both would run the same.
    pub(super) fn runs_like(&self, other: &Template<'_>) -> bool {
        same_json(self.spec, other.spec) && self.effective_annotations() == other.effective_annotations()
    }

    fn effective_annotations(&self) -> Vec<(&str, &str)> {
        let annotations = self
            .metadata
            .as_ref()
            .map(|metadata| metadata.annotations.0.as_slice())
            .unwrap_or_default();
        let mut pairs: Vec<(&str, &str)> = annotations
            .iter()
            .map(|(key, value)| (key.as_ref(), value.as_ref()))
            .filter(|(key, _)| !HARMLESS_TEMPLATE_ANNOTATIONS.contains(key))
            .collect();
        pairs.sort_unstable();
        pairs
    }
}

/// Whether two pieces of JSON say the same. The API server encodes both sides alike, so equal bytes are the usual case;
/// where they differ the order of keys must not matter. What does not parse differs.
fn same_json(one: Option<&RawValue>, other: Option<&RawValue>) -> bool {
    let (Some(one), Some(other)) = (one, other) else {
        return one.is_none() && other.is_none();
    };
    one.get() == other.get() || {
        let parse = |raw: &RawValue| serde_json::from_str::<serde_json::Value>(raw.get()).ok();
        matches!((parse(one), parse(other)), (Some(one), Some(other)) if one == other)
    }
}

/// Decodes an object by its shape; null gives none.
pub(super) struct ObjectSeed(pub(super) Shape);

impl<'de> DeserializeSeed<'de> for ObjectSeed {
    type Value = Option<Object<'de>>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_any(ObjectVisitor(self.0))
    }
}

struct ObjectVisitor(Shape);

impl<'de> Visitor<'de> for ObjectVisitor {
    type Value = Option<Object<'de>>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a Kubernetes object")
    }

    fn visit_unit<E: Error>(self) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut metadata = None;
        let mut pod: Option<PodSpec<'de>> = None;
        let mut template = None;
        while let Some(key) = map.next_key::<Text<'de>>()? {
            match (key.0.as_ref(), self.0) {
                ("metadata", _) => once(&mut metadata, "metadata", map.next_value::<Option<Metadata<'de>>>()?)?,
                ("spec", Shape::Pod) => once(
                    &mut pod,
                    "spec",
                    map.next_value::<Option<PodSpec<'de>>>()?.unwrap_or_default(),
                )?,
                (key, Shape::Template([first, rest @ ..])) if key == *first => {
                    once(&mut template, first, map.next_value_seed(TemplateSeed(rest))?)?;
                }
                _ => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(Some(Object {
            metadata: metadata.flatten().unwrap_or_default(),
            pod,
            template: template.flatten(),
        }))
    }
}

/// Follows the rest of a JSON pointer to a template.
struct TemplateSeed(&'static [&'static str]);

impl<'de> DeserializeSeed<'de> for TemplateSeed {
    type Value = Option<Template<'de>>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        match self.0 {
            [] => Option::<Template<'de>>::deserialize(deserializer),
            [first, rest @ ..] => deserializer.deserialize_any(PointerVisitor { first, rest }),
        }
    }
}

struct PointerVisitor {
    first: &'static str,
    rest: &'static [&'static str],
}

impl<'de> Visitor<'de> for PointerVisitor {
    type Value = Option<Template<'de>>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "an object that may hold {:?}", self.first)
    }

    fn visit_unit<E: Error>(self) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut found = None;
        while let Some(key) = map.next_key::<Text<'de>>()? {
            if key.0 == self.first {
                once(&mut found, self.first, map.next_value_seed(TemplateSeed(self.rest))?)?;
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(found.flatten())
    }
}

/// Keeps a value that may come once; a second one is an error, since readers would differ on which holds.
pub(super) fn once<T, E: Error>(slot: &mut Option<T>, key: &'static str, value: T) -> Result<(), E> {
    if slot.is_some() {
        return Err(E::duplicate_field(key));
    }
    *slot = Some(value);
    Ok(())
}

/// The name of an object as people know it: its own, else what it will be generated from.
pub(super) fn display_name<'a>(requested: Cow<'a, str>, metadata: &Metadata<'a>) -> Cow<'a, str> {
    if !requested.is_empty() {
        requested
    } else if !metadata.name.0.is_empty() {
        metadata.name.0.clone()
    } else if metadata.generate_name.0.is_empty() {
        Cow::Borrowed("(unnamed)")
    } else {
        Cow::Owned(format!("{}*", metadata.generate_name.0))
    }
}
