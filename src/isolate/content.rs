//! What an injected object says, and whether one that stands says it: [`Digest`] of all but its metadata and status,
//! [`Seen`] for what is kept of an object, [`Standing`] for how it compares. 'Stands' means that the whole content equals
//! ours: a field that somebody planted would outlive an apply.

use std::sync::Arc;

use kube::api::DynamicObject;
use ringfence_core::guardrails::{MANAGED_BY, PROFILE_LABEL};
use ringfence_core::model::{NamespaceName, Timestamp};
use serde_json::{Map, Value};
use sha2::{Digest as _, Sha256};

use super::wanted::Wanted;
use crate::cluster::FIELD_MANAGER;

/// A short digest of an object's content: equal contents have equal ones, and nobody finds another with the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Digest([u8; 16]);

impl Digest {
    /// Of a content.
    pub(crate) fn of(content: &Map<String, Value>) -> Self {
        // Maps are sorted by key, so equal contents are equal texts. A JSON value always serializes.
        let text = serde_json::to_vec(content).unwrap_or_default();
        let whole: [u8; 32] = Sha256::digest(text).into();
        let mut short = [0; 16];
        short.copy_from_slice(&whole[..16]);
        Self(short)
    }
}

impl std::fmt::Display for Digest {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.iter().try_for_each(|byte| write!(formatter, "{byte:02x}"))
    }
}

/// Namespace and name.
pub(crate) type Key = (NamespaceName, Box<str>);

/// What is kept of an object in a namespace, and where it stands; none for one that is in none.
pub(crate) fn keyed(object: DynamicObject) -> Option<(Key, Seen)> {
    let (key, object) = whole(object)?;
    Some((key, Seen::of(&object)))
}

/// An object in a namespace as it came, but for who wrote which of its fields.
pub(crate) fn whole(object: DynamicObject) -> Option<(Key, Value)> {
    let DynamicObject { mut metadata, data, .. } = object;
    metadata.managed_fields = None;
    let namespace = NamespaceName::new(metadata.namespace.as_deref()?).ok()?;
    let name = metadata.name.clone()?.into_boxed_str();
    let mut whole = if data.is_object() {
        data
    } else {
        Value::Object(Map::new())
    };
    whole["metadata"] = serde_json::to_value(metadata).ok()?;
    Some(((namespace, name), whole))
}

/// Whether an object says everything that another one says: what it says beyond that may be defaults.
pub(crate) fn says_all_of(live: &Value, wanted: &Value) -> bool {
    match (live, wanted) {
        (Value::Object(live), Value::Object(wanted)) => wanted
            .iter()
            .all(|(key, wanted)| live.get(key).is_some_and(|live| says_all_of(live, wanted))),
        (Value::Array(live), Value::Array(wanted)) => {
            live.len() == wanted.len() && live.iter().zip(wanted).all(|(live, wanted)| says_all_of(live, wanted))
        }
        _ => live == wanted,
    }
}

/// Everything that an object says but who it is and how it fares.
pub(crate) fn content(object: &Value) -> Map<String, Value> {
    let fields = object.as_object().into_iter().flatten();
    fields
        .filter(|(key, _)| !["apiVersion", "kind", "metadata", "status"].contains(&key.as_str()))
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect()
}

/// When an object was made or, if that is later, when we last changed it: whoever carries policies out has known it as it
/// stands no longer than that. Others could only have changed it to something else, or claim its fields as they are.
fn last_written(metadata: &Value) -> Option<Timestamp> {
    let managers = metadata["managedFields"].as_array().into_iter().flatten();
    managers
        .filter(|manager| manager["manager"] == FIELD_MANAGER)
        .map(|manager| &manager["time"])
        .chain([&metadata["creationTimestamp"]])
        .filter_map(|time| time.as_str()?.parse().ok())
        .max()
}

/// What is kept of an object that stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) uid: Box<str>,
    pub(crate) resource_version: Box<str>,
    /// When it was made, or last changed by us.
    pub(crate) written: Option<Timestamp>,
    /// Of its content.
    pub(crate) digest: Digest,
    /// Whether it carries our label.
    pub(crate) ours: bool,
    /// The profile that it says it is of.
    pub(crate) profile: Option<Arc<str>>,
    /// Whether something can take it away, or is just doing so: ownerReferences, finalizers, a deletion.
    pub(crate) encumbered: bool,
}

/// How an object compares with the one that is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Standing {
    /// It is as it should be.
    Stands,
    /// It says what it should, but its labels do not say whose it is: it isolates.
    Mislabelled,
    /// It says something else, or something can take it away.
    Differs,
}

impl Seen {
    /// What is kept of an object.
    pub(crate) fn of(object: &Value) -> Self {
        let metadata = &object["metadata"];
        let text = |of: &str| metadata[of].as_str().unwrap_or_default();
        let label = |key: &str| metadata["labels"][key].as_str();
        let any = |of: &str| metadata[of].as_array().is_some_and(|items| !items.is_empty());
        Self {
            uid: text("uid").into(),
            resource_version: text("resourceVersion").into(),
            written: last_written(metadata),
            digest: Digest::of(&content(object)),
            ours: label(MANAGED_BY.0) == Some(MANAGED_BY.1),
            profile: label(PROFILE_LABEL).map(Into::into),
            encumbered: any("ownerReferences") || any("finalizers") || metadata["deletionTimestamp"].is_string(),
        }
    }

    /// How it compares with what is wanted, which the API server writes down with this digest.
    pub(crate) fn compared(&self, wanted: &Wanted, digest: Digest) -> Standing {
        if self.digest != digest || self.encumbered {
            Standing::Differs
        } else if self.ours && self.profile.as_deref() == Some(wanted.profile().as_str()) {
            Standing::Stands
        } else {
            Standing::Mislabelled
        }
    }
}
