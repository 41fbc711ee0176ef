//! [`edit`]: what an AdmissionReview of a ConfigMap says, as far as the guard reads it.

use std::collections::BTreeMap;

use ringfence_core::model::{Operation, Request as Reviewed};
use serde::Deserialize;

use crate::cluster::configuration::ignored;

/// A write of a ConfigMap.
#[derive(Debug)]
pub(super) struct Edit {
    pub(super) operation: Operation,
    pub(super) namespace: String,
    pub(super) name: String,
    /// The data after the write; empty for a deletion.
    pub(super) data: BTreeMap<String, String>,
    /// What to say of the keys that nobody reads.
    pub(super) ignored: Vec<String>,
    /// Whether the data is what it was.
    pub(super) unchanged: bool,
}

#[derive(Deserialize)]
struct Review {
    request: Request,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Request {
    resource: Resource,
    object: Option<ConfigMap>,
    old_object: Option<ConfigMap>,
}

#[derive(Deserialize)]
struct Resource {
    #[serde(default)]
    group: String,
    resource: String,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct ConfigMap {
    #[serde(default)]
    metadata: Metadata,
    data: Option<BTreeMap<String, String>>,
    binary_data: Option<BTreeMap<String, serde_json::Value>>,
}

#[derive(Clone, Default, Deserialize)]
#[serde(default)]
struct Metadata {
    name: String,
    namespace: String,
}

/// What the body of this request says of a ConfigMap; the error says what is wrong with it.
pub(super) fn edit(body: &[u8], request: &Reviewed<'_>) -> Result<Edit, String> {
    let Review { request: parts } = serde_json::from_slice(body)
        .map_err(|error| format!("the AdmissionReview holds no ConfigMap that can be read: {error}"))?;
    let Resource { group, resource } = &parts.resource;
    if !group.is_empty() || resource != "configmaps" {
        return Err(format!("expected a ConfigMap to review, got {resource}.{group}"));
    }
    let unchanged = match (&parts.object, &parts.old_object) {
        (Some(object), Some(old)) => object.data == old.data,
        _ => false,
    };
    // A deletion has only the old object, and no name where a collection is deleted.
    let named = parts.object.as_ref().or(parts.old_object.as_ref());
    let Metadata { name, namespace } = named.map(|object| object.metadata.clone()).unwrap_or_default();
    let object = parts.object.unwrap_or_default();
    let data = object.data.unwrap_or_default();
    let binary = object.binary_data.unwrap_or_default();
    Ok(Edit {
        operation: request.operation,
        ignored: ignored(data.keys(), binary.keys()),
        namespace,
        name,
        data,
        unchanged,
    })
}
