//! The pods of the whole cluster, metadata only, reduced to what clauses match; and how many of them each segment covers.
//! Pods made from one template have the same labels, which are kept once.

use std::borrow::Borrow;
use std::sync::Arc;

use hashbrown::{HashMap, HashSet};
use k8s_openapi::api::core::v1::Pod;
use kube::core::PartialObjectMeta;
use kube::runtime::watcher;
use kube::{Api, Client};
use prometheus_client::metrics::counter::Counter;
use ringfence_core::guardrails::{Guardrails, SegmentId, Side};
use ringfence_core::labels::LabelSet;
use ringfence_core::model::{NamespaceName, Namespaces};

use crate::cluster::guard::NOT_ENDED;
use crate::cluster::mirror::Mirror;

/// Where a pod is and what it is called.
pub(super) type PodKey = (NamespaceName, Box<str>);
/// Pods as last seen.
pub(super) type Pods = HashMap<PodKey, PodLabels>;

/// The labels of a pod, sorted by key; shared by all pods that have the same.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct PodLabels(Arc<[(Box<str>, Box<str>)]>);

impl LabelSet for PodLabels {
    fn value(&self, key: &str) -> Option<&str> {
        let found = self.0.iter().find(|(name, _)| &**name == key);
        found.map(|(_, value)| &**value)
    }

    fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(key, value)| (&**key, &**value))
    }
}

impl Borrow<[(Box<str>, Box<str>)]> for PodLabels {
    fn borrow(&self) -> &[(Box<str>, Box<str>)] {
        &self.0
    }
}

/// Watches all pods that have not ended.
pub(super) fn watch(client: Client, errors: Counter) -> Mirror<PodKey, PodLabels> {
    let api = Api::<PartialObjectMeta<Pod>>::all(client);
    let mut shared = Shared::default();
    let keep = move |pod: PartialObjectMeta<Pod>| shared.keep(pod);
    Mirror::new("pods", api, watcher::Config::default().fields(NOT_ENDED), errors, keep)
}

/// What pods share.
#[derive(Default)]
struct Shared {
    labels: HashSet<PodLabels>,
    namespaces: HashSet<NamespaceName>,
    /// How many there may be before those that no pod has any more are dropped.
    bound: usize,
}

impl Shared {
    fn keep(&mut self, pod: PartialObjectMeta<Pod>) -> Option<(PodKey, PodLabels)> {
        let metadata = pod.metadata;
        let name = metadata.name?.into_boxed_str();
        let namespace = self.namespace(&metadata.namespace?)?;
        let labels = metadata.labels.unwrap_or_default().into_iter();
        let labels = self.labels(labels.map(|(key, value)| (key.into(), value.into())).collect());
        Some(((namespace, name), labels))
    }

    fn namespace(&mut self, name: &str) -> Option<NamespaceName> {
        if let Some(known) = self.namespaces.get(name) {
            return Some(known.clone());
        }
        let name = NamespaceName::new(name).ok()?;
        self.namespaces.insert(name.clone());
        Some(name)
    }

    fn labels(&mut self, labels: Vec<(Box<str>, Box<str>)>) -> PodLabels {
        if let Some(known) = self.labels.get(labels.as_slice()) {
            return known.clone();
        }
        if self.labels.len() >= self.bound {
            self.labels.retain(|labels| Arc::strong_count(&labels.0) > 1);
            self.bound = (self.labels.len() * 2).max(1024);
        }
        let labels = PodLabels(labels.into());
        self.labels.insert(labels.clone());
        labels
    }
}

/// How many pods a segment covers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Covered {
    pub(super) members: i64,
    pub(super) clients: i64,
}

/// How many pods each segment covers, in the order of the segments.
pub(super) fn covered(guardrails: &Guardrails, namespaces: &Namespaces, pods: &Pods) -> Vec<Covered> {
    let mut alike: HashMap<(&NamespaceName, &PodLabels), i64> = HashMap::new();
    for ((namespace, _), labels) in pods {
        *alike.entry((namespace, labels)).or_default() += 1;
    }
    let mut covered = vec![Covered::default(); guardrails.segments.len()];
    for ((namespace, labels), count) in alike {
        for (segment, side) in sides(guardrails, namespaces, namespace, labels) {
            let Some(covered) = covered.get_mut(segment.0 as usize) else {
                continue;
            };
            match side {
                Side::Member => covered.members += count,
                Side::Client => covered.clients += count,
            }
        }
    }
    covered
}

/// The sides on which pods of these labels stand, each once.
fn sides(
    guardrails: &Guardrails,
    namespaces: &Namespaces,
    namespace: &NamespaceName,
    labels: &PodLabels,
) -> Vec<(SegmentId, Side)> {
    let unlabelled = Vec::new();
    let known = namespaces.get(namespace);
    let namespace_labels = known.map_or(&unlabelled, |namespace| &namespace.labels);
    let mut sides: Vec<(SegmentId, Side)> = guardrails
        .index
        .candidates(namespace.as_str(), labels)
        .into_iter()
        .filter(|id| {
            let clause = guardrails.clause(*id);
            clause.namespaces.contains(namespace.as_str(), namespace_labels)
        })
        .map(|id| (id.segment, id.side))
        .collect();
    // Sorted already: clauses of a side stand together.
    sides.dedup();
    sides
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
    use kube::core::PartialObjectMetaExt;
    use ringfence_core::guardrails::{Source, compile};
    use ringfence_core::model::Namespace;

    use super::*;

    const GUARDRAILS: &str = "
apiVersion: ringfence.dev/v1alpha1
kind: Guardrails
metadata: {name: default}
spec: {mode: Audit}
---
apiVersion: ringfence.dev/v1alpha1
kind: Segment
metadata: {name: db}
spec:
  members:
    - namespaces: [payments]
      podSelector: {matchLabels: {app: db}}
    - namespaces: [payments]
      podSelector: {matchLabels: {tier: storage}}
  clients:
    - namespaceSelector: {matchLabels: {env: prod}}
      podSelector: {matchLabels: {app: web}}
";

    fn pod(namespace: &str, name: &str, labels: &[(&str, &str)]) -> PartialObjectMeta<Pod> {
        let metadata = ObjectMeta {
            namespace: Some(namespace.to_owned()),
            name: Some(name.to_owned()),
            labels: Some(
                labels
                    .iter()
                    .map(|(key, value)| ((*key).into(), (*value).into()))
                    .collect(),
            ),
            annotations: Some(BTreeMap::from([("long".to_owned(), "x".repeat(1000))])),
            ..ObjectMeta::default()
        };
        metadata.into_response_partial()
    }

    #[test]
    fn each_pod_counts_once_a_side_and_where_its_namespace_is_in_the_set() {
        let sources = [Source {
            name: "a.yaml".to_owned(),
            text: GUARDRAILS.to_owned(),
        }];
        let guardrails = compile(&sources)
            .unwrap_or_else(|problems| panic!("{problems}"))
            .guardrails;
        let mut shared = Shared::default();
        let pods: Pods = [
            pod("payments", "db-0", &[("app", "db"), ("tier", "storage")]),
            pod("payments", "db-1", &[("app", "db"), ("tier", "storage")]),
            pod("payments", "cache", &[("tier", "storage")]),
            pod("elsewhere", "db", &[("app", "db")]),
            pod("shop", "web", &[("app", "web")]),
            pod("play", "web", &[("app", "web")]),
            pod("unknown", "web", &[("app", "web")]),
        ]
        .into_iter()
        .filter_map(|pod| shared.keep(pod))
        .collect();
        let namespace = |name: &str, env: &str| {
            let labels = vec![("env".to_owned(), env.to_owned())];
            let namespace = Namespace {
                labels,
                ..Namespace::default()
            };
            (NamespaceName::new(name).expect("valid"), Arc::new(namespace))
        };
        let namespaces: Namespaces = [namespace("shop", "prod"), namespace("play", "dev")]
            .into_iter()
            .collect();
        assert_eq!(
            covered(&guardrails, &namespaces, &pods),
            [Covered { members: 3, clients: 1 }]
        );
    }

    #[test]
    fn the_same_labels_are_kept_once_and_dropped_when_no_pod_has_them() {
        let mut shared = Shared::default();
        let (_, first) = shared.keep(pod("web", "a", &[("app", "web")])).expect("kept");
        let (_, second) = shared.keep(pod("web", "b", &[("app", "web")])).expect("kept");
        assert!(Arc::ptr_eq(&first.0, &second.0));
        for number in 0..10_000 {
            shared
                .keep(pod("web", "c", &[("job", &number.to_string())]))
                .expect("kept");
        }
        assert!(shared.labels.len() <= 1025, "{}", shared.labels.len());
        assert!(shared.labels.contains(&first));
    }
}
