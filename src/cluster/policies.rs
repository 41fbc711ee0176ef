//! The watch of all NetworkPolicies, compiled. Only while a segment is kept apart from something: the labels of a namespace
//! then decide what they open.

use std::sync::Arc;

use k8s_openapi::api::networking::v1::NetworkPolicy;
use kube::core::{ApiResource, DynamicObject};
use kube::runtime::watcher;
use kube::{Api, Client};
use prometheus_client::metrics::counter::Counter;
use ringfence_core::model::NamespaceName;
use ringfence_core::netpol::{Leniency, NetworkPolicySpec, Policy, PolicyName};

use super::mirror::Mirror;

/// All NetworkPolicies as last seen.
pub(super) type PolicyMirror = Mirror<PolicyName, Arc<Policy>>;

/// Watches all NetworkPolicies.
pub(super) fn watch(client: &Client, errors: Counter) -> PolicyMirror {
    let api = Api::<DynamicObject>::all_with(client.clone(), &ApiResource::erase::<NetworkPolicy>(&()));
    Mirror::new(
        "networkpolicies",
        api,
        watcher::Config::default(),
        errors,
        |object: DynamicObject| compiled(&object),
    )
}

/// What a policy says; one that cannot be read may say anything. None for names that Kubernetes would not take.
fn compiled(object: &DynamicObject) -> Option<(PolicyName, Arc<Policy>)> {
    let name = PolicyName {
        namespace: NamespaceName::new(object.metadata.namespace.as_deref()?).ok()?,
        name: object.metadata.name.as_deref()?.into(),
    };
    let spec = object.data.get("spec").cloned().unwrap_or_default();
    let policy = serde_json::from_value::<Option<NetworkPolicySpec>>(spec)
        .ok()
        .and_then(|spec| {
            let (namespace, spec) = (name.namespace.as_str(), spec.unwrap_or_default());
            Policy::read(namespace, &name.name, &spec, Leniency::Stored).ok()
        })
        .unwrap_or_else(|| Policy::unread(name.clone()));
    Some((name, Arc::new(policy)))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn seen(spec: &serde_json::Value) -> Policy {
        let object = json!({
            "apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy",
            "metadata": {"name": "one", "namespace": "web"}, "spec": spec,
        });
        let object: DynamicObject = serde_json::from_value(object).expect("an object");
        let (name, policy) = compiled(&object).expect("kept");
        assert_eq!((name.to_string().as_str(), &policy.name), ("web/one", &name));
        Arc::unwrap_or_clone(policy)
    }

    #[test]
    fn a_policy_is_compiled_and_what_cannot_be_read_may_say_anything() {
        let closed = seen(&json!({"podSelector": {}}));
        assert_eq!((closed.ingress, closed.egress), (Some(Vec::new()), None));
        let unread = seen(&json!({"podSelector": 7}));
        assert!(unread.pods.is_everything() && unread.ingress.is_some_and(|rules| !rules.is_empty()));
        assert!(unread.egress.is_some_and(|rules| !rules.is_empty()));
    }
}
