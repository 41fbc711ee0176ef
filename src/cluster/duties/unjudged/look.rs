//! [`Look`]: goes through the objects of a kind and keeps those whose template stood before a segment was enforced.

use std::collections::BTreeSet;
use std::fmt;

use k8s_openapi::api::apps::v1::{ControllerRevision, ReplicaSet};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta};
use kube::api::ListParams;
use kube::core::Selector;
use kube::{Api, Client};
use ringfence_core::decide::unjudged;
use ringfence_core::guardrails::SegmentId;
use ringfence_core::model::{NamespaceName, Owner, SegmentName, Snapshot, Timestamp};
use ringfence_core::review::owner_of;
use serde::Deserialize;
use serde_json::Value;
use tokio::time::Instant;

use super::super::doing;
use super::kinds::{Kind, Versions};
use crate::cluster::Error;

/// Objects in a page: each is held whole, so few.
const PAGE: usize = 100;

/// By which a ReplicaSet says which revision of its Deployment it is, and the Deployment which one is in force.
const REVISION: &str = "deployment.kubernetes.io/revision";

/// An object whose template stood before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Template {
    kind: Kind,
    namespace: NamespaceName,
    name: String,
    /// The segments that it stood before.
    pub(super) segments: Vec<SegmentName>,
}

impl fmt::Display for Template {
    /// `deployments.apps web/front`.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} {}/{}", self.kind.name(), self.namespace, self.name)
    }
}

/// Looks at objects as they stand, by one snapshot.
pub(super) struct Look<'l> {
    pub(super) client: &'l Client,
    pub(super) snapshot: &'l Snapshot,
    /// When it is broken off.
    pub(super) deadline: Instant,
}

/// One page of a list.
#[derive(Deserialize)]
struct Page {
    #[serde(default)]
    metadata: PageMetadata,
    #[serde(default)]
    items: Vec<Value>,
}

#[derive(Default, Deserialize)]
struct PageMetadata {
    #[serde(rename = "continue", default)]
    continuation: String,
}

impl Look<'_> {
    /// All objects of a kind whose template stood before; fewer where the deadline comes first.
    pub(super) async fn at_all(&self, kind: &Kind) -> Result<Vec<Template>, Error> {
        let (mut found, mut continuation) = (Vec::new(), String::new());
        while Instant::now() < self.deadline {
            let token: String = form_urlencoded::byte_serialize(continuation.as_bytes()).collect();
            let path = format!("{}?limit={PAGE}&continue={token}", kind.path(None));
            let page: Page = self.read(&path).await.map_err(doing(format!("list {}", kind.name())))?;
            for object in page.items {
                found.extend(self.at(kind, &object).await?);
            }
            continuation = page.metadata.continuation;
            if continuation.is_empty() {
                break;
            }
        }
        Ok(found)
    }

    /// One that was found, as it stands now; none where it is gone or was written since.
    pub(super) async fn again(&self, template: &Template) -> Result<Option<Template>, Error> {
        let Template {
            kind, namespace, name, ..
        } = template;
        let path = format!("{}/{name}", kind.path(Some(namespace.as_str())));
        match self.read::<Value>(&path).await {
            Ok(object) => self.at(kind, &object).await,
            Err(kube::Error::Api(status)) if status.is_not_found() => Ok(None),
            Err(error) => Err(doing(format!("read {template}"))(error)),
        }
    }

    async fn read<T: serde::de::DeserializeOwned>(&self, path: &str) -> Result<T, kube::Error> {
        let request = http::Request::get(path).body(Vec::new());
        self.client.request(request.map_err(kube::Error::HttpError)?).await
    }

    async fn at(&self, kind: &Kind, object: &Value) -> Result<Option<Template>, Error> {
        let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
        let Ok(namespace) = NamespaceName::new(text("/metadata/namespace")) else {
            return Ok(None);
        };
        let owner = owner_of(object, &kind.template);
        let mut segments = self.before(&namespace, &owner, owner.written);
        // What was changed since may not have been the template: when that came into force is told by its own object.
        if self.before(&namespace, &owner, owner.created) != segments {
            let made = self.revision_made(kind, &namespace, object, &owner).await?;
            if let Some(made) = made {
                segments.extend(self.before(&namespace, &owner, Some(made)));
            }
        }
        let segment = |id: &SegmentId| self.snapshot.guardrails.segment(*id).name.clone();
        Ok((!segments.is_empty()).then(|| Template {
            kind: kind.clone(),
            name: text("/metadata/name").to_owned(),
            segments: segments.iter().map(segment).collect(),
            namespace,
        }))
    }

    /// The segments that any of its templates stood before, were they written then.
    fn before(&self, namespace: &NamespaceName, owner: &Owner, written: Option<Timestamp>) -> BTreeSet<SegmentId> {
        let templates = owner.templates.iter();
        templates
            .flat_map(|template| unjudged(self.snapshot, namespace, &template.labels, written))
            .collect()
    }

    /// When the object of the template in force was made, where Kubernetes makes one.
    async fn revision_made(
        &self,
        kind: &Kind,
        namespace: &NamespaceName,
        object: &Value,
        owner: &Owner,
    ) -> Result<Option<Timestamp>, Error> {
        let made = |metadata: ObjectMeta| metadata.creation_timestamp.map(|time| Timestamp(time.0.as_second()));
        match kind.revisions {
            Versions::None | Versions::Custom => Ok(None),
            Versions::ReplicaSets => {
                let api = Api::<ReplicaSet>::namespaced(self.client.clone(), namespace.as_str());
                let selector = serde_json::from_value::<LabelSelector>(object["spec"]["selector"].clone());
                let Some(selector) = selector.ok().and_then(|selector| Selector::try_from(selector).ok()) else {
                    return Ok(None);
                };
                let selected = ListParams::default().labels_from(&selector);
                let sets = api.list_metadata(&selected).await;
                let sets = sets.map_err(doing(format!("list ReplicaSets of {namespace}")))?;
                let in_force = object["metadata"]["annotations"][REVISION].as_str();
                let mut of_it = sets.items.into_iter().map(|set| set.metadata).filter(|metadata| {
                    let controls = metadata
                        .owner_references
                        .iter()
                        .flatten()
                        .any(|reference| reference.uid == owner.uid);
                    let revision = metadata.annotations.as_ref().and_then(|all| all.get(REVISION));
                    controls && revision.map(String::as_str) == in_force
                });
                Ok(of_it.next().and_then(made))
            }
            Versions::ControllerRevisions => {
                let Some(name) = object["status"]["updateRevision"]
                    .as_str()
                    .filter(|name| !name.is_empty())
                else {
                    return Ok(None);
                };
                let api = Api::<ControllerRevision>::namespaced(self.client.clone(), namespace.as_str());
                let revision = api.get_metadata_opt(name).await;
                let revision = revision.map_err(doing(format!("read ControllerRevision {namespace}/{name}")))?;
                Ok(revision.and_then(|revision| made(revision.metadata)))
            }
        }
    }
}
