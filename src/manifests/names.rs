//! What ringfence is called in the cluster, in one place: its namespace, objects, service account, and the labels that
//! all of them carry.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

/// The namespace that ringfence is installed in unless one says otherwise.
pub const NAMESPACE: &str = "ringfence-system";

/// The name of everything that there is one of: ServiceAccount, Deployment, Service, PodDisruptionBudget, ClusterRole,
/// Role and their bindings, ValidatingWebhookConfiguration.
pub const RINGFENCE: &str = "ringfence";

/// The ConfigMap that guardrails are written in.
pub const GUARDRAILS: &str = "ringfence-guardrails";

/// The ConfigMap in which the leader keeps the last good guardrails.
pub const LAST_GOOD: &str = "ringfence-last-good";

/// The ConfigMap in which the leader keeps since when what is enforced.
pub const ENFORCED_SINCE: &str = "ringfence-enforced-since";

/// The Secret of our own serving certificate and the unguessable path.
pub const SERVING: &str = "ringfence-serving";

/// The Lease that says which replica leads.
pub const LEADER: &str = "ringfence-leader";

/// The ValidatingAdmissionPolicy that guards ringfence itself, and its binding.
pub const SELF_PROTECTION: &str = "ringfence-self-protection";

/// The ClusterRole that gathers what ringfence may read of custom kinds, and its binding.
pub const WORKLOADS: &str = "ringfence-workloads";

/// The ClusterRole that gathers what ringfence may do with the kinds of policies that profiles bring and it does not read,
/// and its binding.
pub const POLICIES: &str = "ringfence-policies";

/// The kinds that are published as objects, by their plural resource. `exceptions` are not among them: those are written
/// by people.
pub const PUBLISHED: [&str; 4] = ["guardrails", "isolationprofiles", "policychecks", "segments"];

/// The extra key by which a token says which pod it is bound to. Nobody can put it into a request without a token that
/// the API server bound to that pod, or the right to impersonate extra keys.
pub const POD_NAME_EXTRA: &str = "authentication.kubernetes.io/pod-name";

/// The user name of our service account.
pub fn username(namespace: &str) -> String {
    format!("system:serviceaccount:{namespace}:{RINGFENCE}")
}

/// The labels that select our pods.
pub fn pod_labels() -> BTreeMap<String, String> {
    BTreeMap::from([("app.kubernetes.io/name".to_owned(), RINGFENCE.to_owned())])
}

/// Metadata of a cluster-scoped object of the installation.
pub fn cluster_metadata(name: &str) -> ObjectMeta {
    let mut labels = pod_labels();
    labels.insert("app.kubernetes.io/part-of".to_owned(), RINGFENCE.to_owned());
    ObjectMeta {
        name: Some(name.to_owned()),
        labels: Some(labels),
        ..ObjectMeta::default()
    }
}

/// Metadata of an object of the installation in our namespace.
pub fn metadata(namespace: &str, name: &str) -> ObjectMeta {
    ObjectMeta {
        namespace: Some(namespace.to_owned()),
        ..cluster_metadata(name)
    }
}

/// A CEL expression that holds for requests of our own pods and nobody else: the service account's name alone could be
/// borrowed by whoever may mint its tokens.
pub fn our_own_pod(namespace: &str) -> String {
    format!(
        "request.userInfo.?username.orValue(\"\") == \"{}\" && \
         request.userInfo.?extra[?\"{POD_NAME_EXTRA}\"].orValue([]).size() == 1",
        username(namespace)
    )
}
