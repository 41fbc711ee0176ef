//! The watch of the NetworkPolicies that opted in to protection, each reduced to the segment that it makes, and
//! [`Composed`]: the guardrails in force with those segments, made anew only where either changed.

use std::sync::Arc;

use hashbrown::HashMap;
use k8s_openapi::api::networking::v1::NetworkPolicy;
use kube::api::{ApiResource, DynamicObject};
use kube::runtime::watcher;
use kube::{Api, Client};
use prometheus_client::metrics::counter::Counter;
use ringfence_core::guardrails::{Derived, Guardrails, PROTECTED_LABEL};
use ringfence_core::model::NamespaceName;
use ringfence_core::netpol::{Leniency, NetworkPolicySpec, Policy, PolicyName};

use super::Metrics;
use super::mirror::Mirror;

/// What the policies that opted in make, as last seen.
pub(super) type ProtectedMirror = Mirror<PolicyName, Arc<Derived>>;
type Protected = HashMap<PolicyName, Arc<Derived>>;

/// Watches the policies that opted in, in all namespaces.
pub(super) fn watch(client: Client, errors: Counter) -> ProtectedMirror {
    let api = Api::<DynamicObject>::all_with(client, &ApiResource::erase::<NetworkPolicy>(&()));
    let (label, value) = PROTECTED_LABEL;
    let config = watcher::Config::default().labels(&format!("{label}={value}"));
    Mirror::new("protected-policies", api, config, errors, |object| derived(&object))
}

/// What a policy makes; none for one that Kubernetes would not take.
fn derived(object: &DynamicObject) -> Option<(PolicyName, Arc<Derived>)> {
    let (name, policy) = read(object)?;
    let labels = object.metadata.labels.clone().unwrap_or_default();
    let labels: Vec<(String, String)> = labels.into_iter().collect();
    let derived = Derived::made_by(&name, &labels, policy.as_ref());
    Some((name, Arc::new(derived)))
}

/// A policy as it is stored, with its name: which is told even where it says nothing that can be read.
pub(crate) fn read(object: &DynamicObject) -> Option<(PolicyName, Option<Policy>)> {
    let metadata = &object.metadata;
    let name = PolicyName {
        namespace: NamespaceName::new(metadata.namespace.as_deref()?).ok()?,
        name: metadata.name.as_deref()?.into(),
    };
    let read = |spec: Option<NetworkPolicySpec>| {
        let spec = spec.unwrap_or_default();
        Policy::read(name.namespace.as_str(), &name.name, &spec, Leniency::Stored).ok()
    };
    let spec = object.data.get("spec").cloned().unwrap_or_default();
    let policy = serde_json::from_value(spec).ok().and_then(read);
    Some((name, policy))
}

/// What the configuration in force comes to, as made last.
#[derive(Default)]
pub(super) struct Composed(Option<Made>);

struct Made {
    configured: Arc<Guardrails>,
    protected: Arc<Protected>,
    whole: Arc<Guardrails>,
}

impl Composed {
    /// The configuration with what is derived from policies; as it was made last where both are the same. Made away from
    /// the threads that answer reviews.
    pub(super) async fn of(
        &mut self,
        configured: &Arc<Guardrails>,
        protected: &Arc<Protected>,
        metrics: &Metrics,
    ) -> Arc<Guardrails> {
        if let Some(made) = &self.0
            && Arc::ptr_eq(&made.configured, configured)
            && Arc::ptr_eq(&made.protected, protected)
        {
            return Arc::clone(&made.whole);
        }
        let before = self.0.take().map(|made| made.protected);
        tell(before.as_deref(), protected);
        let whole = if protected.is_empty() {
            Arc::clone(configured)
        } else {
            let (of, with) = (Arc::clone(configured), Arc::clone(protected));
            let making = tokio::task::spawn_blocking(move || of.with_derived(with.values().map(Arc::as_ref)));
            match making.await {
                Ok(whole) => Arc::new(whole),
                Err(error) => {
                    tracing::error!(%error, "protected policies protect nothing for now; please report this");
                    return Arc::clone(configured);
                }
            }
        };
        let number = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
        let derived = whole.derived().len();
        metrics.derived.set(number(derived));
        metrics.protecting_nothing.set(number(protected.len() - derived));
        tell_crowded_out(configured, &whole, protected);
        self.0 = Some(Made {
            configured: Arc::clone(configured),
            protected: Arc::clone(protected),
            whole: Arc::clone(&whole),
        });
        whole
    }
}

/// Logs which policies protect nothing because others of their namespace, before them by name, take all that it may.
fn tell_crowded_out(configured: &Guardrails, whole: &Guardrails, protected: &Protected) {
    let derived = whole.derived();
    if derived.len() == protected.len() {
        return;
    }
    let is_derived = |made: &Derived| {
        derived
            .binary_search_by(|segment| segment.name.cmp(made.name()))
            .is_ok()
    };
    let missing = protected
        .values()
        .filter(|made| !made.is_nothing() && !is_derived(made));
    let crowded_out: Vec<&str> = missing
        .filter(|made| made.under(configured).0.is_some())
        .map(|made| made.name().as_str())
        .collect();
    if let Some(first) = crowded_out.iter().min() {
        tracing::error!(
            policies = crowded_out.len(),
            first,
            "protected policies protect nothing: those before them by name in their namespace take all that one may have"
        );
    }
}

/// Logs the policies that came, changed or went.
fn tell(before: Option<&Protected>, now: &Protected) {
    let known = |name: &PolicyName| before.and_then(|before| before.get(name));
    for (name, derived) in now {
        if known(name) == Some(derived) {
            continue;
        }
        let left_out: Vec<String> = derived.left_out.iter().map(ToString::to_string).collect();
        let left_out = left_out.join("; ");
        if derived.is_nothing() {
            tracing::warn!(policy = %name, left_out, "a protected policy protects nothing");
        } else {
            tracing::info!(policy = %name, left_out, "a policy is protected");
        }
    }
    let gone = before
        .into_iter()
        .flatten()
        .filter(|(name, _)| !now.contains_key(*name));
    for (name, _) in gone {
        tracing::info!(policy = %name, "a policy is no longer protected");
    }
}

#[cfg(test)]
mod tests {
    use ringfence_core::guardrails::LeftOut;
    use serde_json::json;

    use super::*;

    fn seen(value: serde_json::Value) -> (PolicyName, Arc<Derived>) {
        derived(&serde_json::from_value(value).expect("an object")).expect("kept")
    }

    fn policy(name: &str, labels: &serde_json::Value, spec: &serde_json::Value) -> serde_json::Value {
        json!({"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy",
            "metadata": {"name": name, "namespace": "web", "labels": labels}, "spec": spec})
    }

    #[test]
    fn a_policy_is_reduced_to_what_it_makes() {
        let spec = json!({"podSelector": {"matchLabels": {"app": "db"}}});
        let (name, made) = seen(policy("db", &json!({}), &spec));
        assert_eq!((name.to_string().as_str(), made.name().as_str()), ("web/db", "web/db"));
        assert!(!made.is_nothing() && made.left_out.is_empty());
    }

    #[test]
    fn what_isolates_namespaces_or_cannot_be_read_makes_nothing() {
        let spec = json!({"podSelector": {"matchLabels": {"app": "db"}}});
        let ours = json!({"app.kubernetes.io/managed-by": "ringfence"});
        for (object, why) in [
            (policy("ringfence-db", &json!({}), &spec), LeftOut::Injected),
            (policy("db", &ours, &spec), LeftOut::Injected),
            (
                policy("db", &json!({}), &json!({"podSelector": 7})),
                LeftOut::Unreadable,
            ),
        ] {
            let (_, made) = seen(object);
            assert!(made.is_nothing());
            assert_eq!(made.left_out, [why]);
        }
    }

    #[tokio::test]
    async fn the_whole_is_made_anew_only_where_something_changed() {
        let spec = json!({"podSelector": {"matchLabels": {"app": "db"}}});
        let configured = Arc::new(Guardrails::default());
        let (none, one) = (Arc::new(Protected::new()), [seen(policy("db", &json!({}), &spec))]);
        let one: Arc<Protected> = Arc::new(one.into());
        let mut composed = Composed::default();
        let metrics = Metrics::default();
        let first = composed.of(&configured, &none, &metrics).await;
        assert!(Arc::ptr_eq(&first, &configured));
        let second = composed.of(&configured, &one, &metrics).await;
        assert_eq!((second.derived().len(), metrics.derived.get()), (1, 1));
        let again = composed.of(&configured, &one, &metrics).await;
        assert!(Arc::ptr_eq(&second, &again));
        let other = composed.of(&Arc::new(Guardrails::default()), &one, &metrics).await;
        assert!(!Arc::ptr_eq(&second, &other));
    }
}
