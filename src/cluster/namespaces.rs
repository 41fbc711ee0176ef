//! The watch of all namespaces, metadata only, reduced to what rules read of them.

use std::sync::Arc;

use k8s_openapi::api::core::v1;
use kube::core::PartialObjectMeta;
use kube::runtime::watcher;
use kube::{Api, Client};
use prometheus_client::metrics::counter::Counter;
use ringfence_core::model::{Namespace, NamespaceName, Timestamp};

use super::mirror::Mirror;

/// All namespaces as last seen.
pub(super) type NamespaceMirror = Mirror<NamespaceName, Arc<Namespace>>;

/// Watches all namespaces.
pub(super) fn watch(client: Client, errors: Counter) -> NamespaceMirror {
    let api = Api::<PartialObjectMeta<v1::Namespace>>::all(client);
    Mirror::new("namespaces", api, watcher::Config::default(), errors, |object| {
        reduce(object)
    })
}

/// What rules read of a namespace; none for a name that Kubernetes would not take.
pub(crate) fn reduce(object: PartialObjectMeta<v1::Namespace>) -> Option<(NamespaceName, Arc<Namespace>)> {
    let metadata = object.metadata;
    let name = NamespaceName::new(metadata.name.as_deref()?).ok()?;
    let namespace = Namespace {
        uid: metadata.uid.unwrap_or_default(),
        // Sorted by key, as it comes from a sorted map.
        labels: metadata.labels.unwrap_or_default().into_iter().collect(),
        terminating: metadata.deletion_timestamp.is_some(),
        created: metadata.creation_timestamp.map(|time| Timestamp(time.0.as_second())),
    };
    Some((name, Arc::new(namespace)))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};
    use k8s_openapi::jiff;
    use kube::core::PartialObjectMetaExt;

    use super::*;

    #[test]
    fn a_namespace_is_reduced_to_what_rules_read() {
        let metadata = ObjectMeta {
            name: Some("web".to_owned()),
            uid: Some("1-2".to_owned()),
            labels: Some(BTreeMap::from([
                ("b".to_owned(), "2".to_owned()),
                ("a".to_owned(), "1".to_owned()),
            ])),
            annotations: Some(BTreeMap::from([("long".to_owned(), "x".repeat(1000))])),
            creation_timestamp: Some(Time(jiff::Timestamp::constant(7, 0))),
            deletion_timestamp: Some(Time(jiff::Timestamp::UNIX_EPOCH)),
            ..ObjectMeta::default()
        };
        let (name, namespace) = reduce(metadata.into_response_partial()).expect("kept");
        assert_eq!(name.as_str(), "web");
        assert_eq!(
            *namespace,
            Namespace {
                uid: "1-2".to_owned(),
                labels: vec![("a".to_owned(), "1".to_owned()), ("b".to_owned(), "2".to_owned())],
                terminating: true,
                created: Some(Timestamp(7)),
            }
        );
    }
}
