//! The parts of an object that rules read, decoded in one pass: metadata, a pod's containers, a template found by its
//! JSON pointer. Everything else is skipped, unread.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::de::value::MapAccessDeserializer;
use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::policy::{Kept, Policy};
use super::same::same;
use super::text::{Text, TextMap};
use crate::model::{ControllerReference, Controllers, PodSpecText};

/// An object as far as rules read it.
#[derive(Debug, Default)]
pub(super) struct Object<'a> {
    pub(super) metadata: Metadata<'a>,
    /// The text of a pod's `spec`.
    pub(super) pod: Option<&'a RawValue>,
    /// The text of a pod's `status`.
    pub(super) status: Option<&'a RawValue>,
    /// The templates at the pointer: none, one, or a list of them.
    pub(super) templates: Vec<Template<'a>>,
    /// Whether the pointer led to a list.
    pub(super) is_list: bool,
    /// What of a policy is read beside.
    pub(super) policy: Policy<'a>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Metadata<'a> {
    #[serde(borrow)]
    pub(super) name: Text<'a>,
    #[serde(borrow)]
    pub(super) generate_name: Text<'a>,
    #[serde(borrow)]
    pub(super) uid: Text<'a>,
    #[serde(borrow)]
    pub(super) labels: TextMap<'a>,
    #[serde(rename = "annotations")]
    pub(super) rollback: Rollback,
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

/// Whether an object's annotations ask the deployment controller to return to an earlier template. Other annotations are
/// skipped: they may be large, and escaped.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Rollback {
    /// They do not.
    #[default]
    No,
    /// They do.
    Asked,
}

/// `extensions/v1beta1`'s rollback, kept alive as an annotation (`getRollbackTo` of the deployment controller).
pub const ROLLBACK_ANNOTATION: &str = "deprecated.deployment.rollback.to";

impl<'de> Deserialize<'de> for Rollback {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(RollbackVisitor)
    }
}

struct RollbackVisitor;

impl<'de> Visitor<'de> for RollbackVisitor {
    type Value = Rollback;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a map of strings")
    }

    fn visit_unit<E: Error>(self) -> Result<Self::Value, E> {
        Ok(Rollback::No)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut rollback = Rollback::No;
        while let Some(key) = map.next_key::<Text<'de>>()? {
            if key.0 == ROLLBACK_ANNOTATION {
                if !map.next_value::<Text<'de>>()?.0.is_empty() {
                    rollback = Rollback::Asked;
                }
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(rollback)
    }
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

/// A pod template. Its spec is kept as text: only whether it changed matters.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Template<'a> {
    #[serde(borrow)]
    pub(super) metadata: Option<TemplateMetadata<'a>>,
    #[serde(borrow)]
    spec: Option<&'a RawValue>,
    /// In a ControllerRevision: how it is merged into its owner.
    #[serde(rename = "$patch", borrow)]
    patch: Text<'a>,
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

impl<'a> Template<'a> {
    /// Its spec as text, empty where it has none.
    pub(super) fn spec(&self) -> PodSpecText<'a> {
        PodSpecText(self.spec.map_or("", RawValue::get))
    }

    /// Whether, as the data of a ControllerRevision, it takes its owner's template's place whole rather than being merged
    /// into it.
    pub(super) fn replaces(&self) -> bool {
        self.patch.0 == "replace" && self.spec.is_some() && self.metadata.is_some()
    }
}

impl Template<'_> {
    /// Whether pods made by both would run the same.
    pub(super) fn runs_like(&self, other: &Template<'_>) -> bool {
        let same_spec = match (self.spec, other.spec) {
            (Some(one), Some(other)) => same(one, other),
            (one, other) => one.is_none() && other.is_none(),
        };
        same_spec && self.effective_annotations() == other.effective_annotations()
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

/// What of an object is decoded, beside its metadata.
#[derive(Debug, Clone, Copy)]
pub(super) enum Content<'p> {
    /// Nothing.
    Metadata,
    /// A pod's spec and status, as text.
    Pod,
    /// The template, or list of templates, at this JSON pointer.
    Templates(Pointer<'p>),
    /// Everything that a policy says, as text.
    Policy,
}

/// A JSON pointer by its segments, from the table of write paths or from configuration.
#[derive(Debug, Clone, Copy)]
pub(super) enum Pointer<'p> {
    /// From the table.
    Built(&'static [&'static str]),
    /// From configuration.
    Configured(&'p [String]),
}

impl<'p> Pointer<'p> {
    /// The first segment and the rest, none at the end.
    fn split_first(self) -> Option<(&'p str, Self)> {
        match self {
            Self::Built(segments) => segments.split_first().map(|(first, rest)| (*first, Self::Built(rest))),
            Self::Configured(segments) => segments
                .split_first()
                .map(|(first, rest)| (first.as_str(), Self::Configured(rest))),
        }
    }
}

/// Decodes an object; null gives none.
pub(super) struct ObjectSeed<'p>(pub(super) Content<'p>);

impl<'de> DeserializeSeed<'de> for ObjectSeed<'_> {
    type Value = Option<Object<'de>>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for ObjectSeed<'_> {
    type Value = Option<Object<'de>>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a Kubernetes object")
    }

    fn visit_unit<E: Error>(self) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut metadata = None;
        let (mut pod, mut status) = (None, None);
        let mut found = None;
        let mut policy = Policy::default();
        let pointer = match self.0 {
            Content::Templates(pointer) => pointer.split_first(),
            Content::Metadata | Content::Pod | Content::Policy => None,
        };
        while let Some(key) = map.next_key::<Text<'de>>()? {
            match (key.0.as_ref(), self.0, pointer) {
                // Read twice: what only policies need of it is nobody else's cost.
                ("metadata", Content::Policy, _) => {
                    let text = map.next_value::<&'de RawValue>()?.get();
                    let parts = serde_json::from_str(text).map_err(A::Error::custom)?;
                    once(&mut metadata, "metadata", parts)?;
                    let parts = serde_json::from_str::<Option<_>>(text).map_err(A::Error::custom)?;
                    policy.describe(parts.unwrap_or_default());
                }
                (_, Content::Policy, _) => {
                    let value = map.next_value::<&'de RawValue>()?;
                    if let Kept::Twice = policy.keep(key.0, value) {
                        return Err(A::Error::custom("a field of the policy comes twice"));
                    }
                }
                ("metadata", _, _) => once(&mut metadata, "metadata", map.next_value::<Option<Metadata<'de>>>()?)?,
                ("spec", Content::Pod, _) => once(&mut pod, "spec", map.next_value::<&'de RawValue>()?)?,
                ("status", Content::Pod, _) => once(&mut status, "status", map.next_value::<&'de RawValue>()?)?,
                (key, _, Some((first, rest))) if key == first => {
                    once(&mut found, "template", map.next_value_seed(TemplatesSeed(rest))?)?;
                }
                _ => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        let (templates, is_list) = found.map(Found::into_parts).unwrap_or_default();
        Ok(Some(Object {
            metadata: metadata.flatten().unwrap_or_default(),
            pod,
            status,
            templates,
            is_list,
            policy,
        }))
    }
}

/// What a pointer led to.
#[derive(Default)]
enum Found<'a> {
    #[default]
    Nothing,
    One(Template<'a>),
    List(Vec<Template<'a>>),
}

impl<'a> Found<'a> {
    /// The templates, and whether they stood in a list.
    fn into_parts(self) -> (Vec<Template<'a>>, bool) {
        match self {
            Self::Nothing => (Vec::new(), false),
            Self::One(template) => (vec![template], false),
            Self::List(templates) => (templates, true),
        }
    }
}

/// Follows the rest of a JSON pointer to a template or a list of templates.
struct TemplatesSeed<'p>(Pointer<'p>);

impl<'de> DeserializeSeed<'de> for TemplatesSeed<'_> {
    type Value = Found<'de>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for TemplatesSeed<'_> {
    type Value = Found<'de>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.split_first() {
            Some((first, _)) => write!(formatter, "an object that may hold {first:?}"),
            None => formatter.write_str("a pod template or a list of them"),
        }
    }

    fn visit_unit<E: Error>(self) -> Result<Self::Value, E> {
        Ok(Found::Nothing)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
        if self.0.split_first().is_some() {
            return Err(A::Error::invalid_type(serde::de::Unexpected::Seq, &self));
        }
        let mut templates = Vec::new();
        while let Some(template) = list.next_element::<Option<Template<'de>>>()? {
            templates.push(template.unwrap_or_default());
        }
        Ok(Found::List(templates))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let Some((first, rest)) = self.0.split_first() else {
            return Template::deserialize(MapAccessDeserializer::new(map)).map(Found::One);
        };
        let mut found = None;
        while let Some(key) = map.next_key::<Text<'de>>()? {
            if key.0 == first {
                once(&mut found, "template", map.next_value_seed(TemplatesSeed(rest))?)?;
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(found.unwrap_or_default())
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
