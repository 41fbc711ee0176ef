//! The parts of a policy that rules read: its labels, its fields as text, and what an update changes of either or of
//! whatever else could take it out of force. From the objects in, a [`PolicyWrite`] out.

use std::borrow::Cow;
use std::collections::BTreeSet;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::same::same;
use super::text::{Text, TextMap};
use crate::labels::Labels;
use crate::model::{PolicyChange, PolicySpecText, PolicyText, PolicyWrite};

/// The fields of an object that say nothing of what the policy is: which kind it is stands in the request, and its status
/// is the word of whoever carries it out.
const ASIDE: [&str; 4] = ["apiVersion", "kind", "metadata", "status"];

/// A policy as far as rules read it.
#[derive(Debug, Default)]
pub(super) struct Policy<'a> {
    metadata: PolicyMetadata<'a>,
    fields: Vec<(Cow<'a, str>, &'a RawValue)>,
}

/// The metadata that could take a policy out of force.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct PolicyMetadata<'a> {
    #[serde(borrow)]
    labels: TextMap<'a>,
    #[serde(borrow)]
    annotations: TextMap<'a>,
    #[serde(borrow)]
    owner_references: Option<Vec<&'a RawValue>>,
    #[serde(borrow)]
    finalizers: Option<Vec<Text<'a>>>,
}

impl<'a> Policy<'a> {
    /// Takes the metadata in.
    pub(super) fn describe(&mut self, metadata: PolicyMetadata<'a>) {
        self.metadata = metadata;
    }

    /// Takes a field in; whether it was there before. Fields that say nothing of the policy are left out.
    pub(super) fn keep(&mut self, key: Cow<'a, str>, value: &'a RawValue) -> Kept {
        if ASIDE.contains(&key.as_ref()) {
            return Kept::Aside;
        }
        if self.fields.iter().any(|(known, _)| *known == key) {
            return Kept::Twice;
        }
        self.fields.push((key, value));
        Kept::Once
    }

    fn text(&self) -> PolicyText<'a> {
        PolicyText {
            labels: self.labels(),
            spec: PolicySpecText(self.field("spec").map_or("", RawValue::get)),
        }
    }

    fn labels(&self) -> Labels<'a> {
        self.metadata.labels.clone().into_labels()
    }

    fn field(&self, name: &str) -> Option<&'a RawValue> {
        self.fields.iter().find(|(key, _)| key == name).map(|(_, value)| *value)
    }

    /// What becomes of a policy that was this.
    fn changes(&self, after: &Self) -> Vec<PolicyChange> {
        let annotations = |policy: &Self| policy.metadata.annotations.clone().into_labels();
        let content = self.fields.len() != after.fields.len()
            || !self
                .fields
                .iter()
                .all(|(key, value)| after.field(key).is_some_and(|other| same(value, other)));
        let owners = |policy: &Self| policy.metadata.owner_references.clone().unwrap_or_default();
        let held = |policy: &Self| policy.metadata.finalizers.clone().unwrap_or_default();
        let (owned_before, held_before) = (owners(self), held(self));
        // There may be thousands, nearly all as they were.
        let texts: BTreeSet<&str> = owned_before.iter().map(|owner| owner.get()).collect();
        let held_before: BTreeSet<&str> = held_before.iter().map(|finalizer| finalizer.0.as_ref()).collect();
        let is_known =
            |owner: &RawValue| texts.contains(owner.get()) || owned_before.iter().any(|known| same(known, owner));
        [
            (PolicyChange::Content, content),
            (PolicyChange::Labels, !self.labels().same_as(&after.labels())),
            (
                PolicyChange::Annotations,
                !annotations(self).same_as(&annotations(after)),
            ),
            (
                PolicyChange::Owners,
                owners(after).into_iter().any(|owner| !is_known(owner)),
            ),
            (
                PolicyChange::Finalizers,
                held(after)
                    .iter()
                    .any(|finalizer| !held_before.contains(finalizer.0.as_ref())),
            ),
        ]
        .into_iter()
        .filter_map(|(change, changed)| changed.then_some(change))
        .collect()
    }
}

/// What became of a field.
pub(super) enum Kept {
    /// It is kept.
    Once,
    /// It says nothing of the policy.
    Aside,
    /// It came twice, and readers would differ on which holds.
    Twice,
}

/// The write that makes of one policy the other.
pub(super) fn write<'a>(before: Option<&Policy<'a>>, after: Option<&Policy<'a>>) -> PolicyWrite<'a> {
    PolicyWrite {
        before: before.map(Policy::text),
        after: after.map(Policy::text),
        changes: match (before, after) {
            (Some(before), Some(after)) => before.changes(after),
            _ => Vec::new(),
        },
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::{Value, json};

    use crate::guardrails::PolicyKind;
    use crate::labels::LabelSet;
    use crate::model::{Action, PolicyChange, PolicyWrite, Request};
    use crate::review::{CustomKinds, decode};

    fn policy() -> Value {
        json!({
            "apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy",
            "metadata": {
                "name": "deny", "labels": {"team": "blue"}, "annotations": {"a": "b"}, "managedFields": [{"manager": "m"}],
                "ownerReferences": [{"apiVersion": "v1", "kind": "ConfigMap", "name": "c", "uid": "1"}],
                "finalizers": ["example.com/one"],
            },
            "spec": {"podSelector": {}, "policyTypes": ["Ingress"]},
        })
    }

    fn body(operation: &str, object: &Value, old: &Value) -> String {
        json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": {
            "uid": "1",
            "kind": {"group": "networking.k8s.io", "version": "v1", "kind": "NetworkPolicy"},
            "resource": {"group": "networking.k8s.io", "version": "v1", "resource": "networkpolicies"},
            "name": "", "namespace": "web", "operation": operation, "userInfo": {"username": "mallory"},
            "object": object, "oldObject": old,
        }})
        .to_string()
    }

    fn written<'r>(request: &'r Request<'_>) -> &'r PolicyWrite<'r> {
        let [Action::WritePolicy(write)] = request.actions.as_slice() else {
            panic!("expected the write of a policy: {:?}", request.actions)
        };
        write
    }

    fn changes(new: &Value) -> Vec<PolicyChange> {
        let body = body("UPDATE", new, &policy());
        let request = decode(body.as_bytes(), CustomKinds::default()).expect("decodes");
        written(&request).changes.clone()
    }

    #[test]
    fn a_new_policy_is_read_with_its_labels_and_its_spec() {
        let body = body("CREATE", &policy(), &Value::Null);
        let request = decode(body.as_bytes(), CustomKinds::default()).expect("decodes");
        assert_eq!(request.subject.to_string(), "NetworkPolicy web/deny");
        let PolicyWrite { before, after, changes } = written(&request);
        assert_eq!((before, changes.as_slice()), (&None, [].as_slice()));
        let after = after.as_ref().expect("it comes");
        assert_eq!(after.labels.value("team"), Some("blue"));
        assert_eq!(after.spec.0, r#"{"podSelector":{},"policyTypes":["Ingress"]}"#);
    }

    /// As one of a collection, too: then the request has no name.
    #[test]
    fn a_deleted_policy_is_the_one_that_stood() {
        let body = body("DELETE", &Value::Null, &policy());
        let request = decode(body.as_bytes(), CustomKinds::default()).expect("decodes");
        assert_eq!(request.subject.to_string(), "NetworkPolicy web/deny");
        let write = written(&request);
        assert_eq!(write.after, None);
        assert!(write.before.is_some());
    }

    #[rstest]
    #[case::nothing(json!({}), &[])]
    #[case::the_order_of_keys(json!({"metadata": {"labels": {"team": "blue"}}}), &[])]
    #[case::managers(json!({"metadata": {"managedFields": null, "resourceVersion": "9"}}), &[])]
    #[case::status(json!({"status": {"conditions": []}}), &[])]
    #[case::spec(json!({"spec": {"policyTypes": []}}), &[PolicyChange::Content])]
    #[case::a_field_beside_the_spec(json!({"specs": []}), &[PolicyChange::Content])]
    #[case::no_spec(json!({"spec": null}), &[PolicyChange::Content])]
    #[case::a_label(json!({"metadata": {"labels": {"other": "label"}}}), &[PolicyChange::Labels])]
    #[case::no_labels(json!({"metadata": {"labels": null}}), &[PolicyChange::Labels])]
    #[case::an_annotation(json!({"metadata": {"annotations": {"a": "c"}}}), &[PolicyChange::Annotations])]
    #[case::no_owner(json!({"metadata": {"ownerReferences": null}}), &[])]
    #[case::no_finalizer(json!({"metadata": {"finalizers": []}}), &[])]
    #[case::another_owner(json!({"metadata": {"ownerReferences": [{"uid": "2"}]}}), &[PolicyChange::Owners])]
    #[case::another_finalizer(json!({"metadata": {"finalizers": ["example.com/two"]}}), &[PolicyChange::Finalizers])]
    #[case::no_metadata(json!({"metadata": null}), &[PolicyChange::Labels, PolicyChange::Annotations])]
    fn what_an_update_changes(#[case] patch: Value, #[case] expected: &[PolicyChange]) {
        fn lay_over(object: &mut Value, patch: Value) {
            match (object, patch) {
                (Value::Object(object), Value::Object(patch)) => {
                    for (key, value) in patch {
                        lay_over(object.entry(key).or_insert(Value::Null), value);
                    }
                }
                (object, patch) => *object = patch,
            }
        }
        let mut new = policy();
        lay_over(&mut new, patch);
        // As the API server writes it: without what is null.
        new.as_object_mut()
            .expect("an object")
            .retain(|_, value| !value.is_null());
        assert_eq!(changes(&new), expected);
    }

    #[rstest]
    #[case::created_from_nothing("CREATE", Value::Null, policy())]
    #[case::updated_from_nothing("UPDATE", policy(), Value::Null)]
    #[case::nothing_deleted("DELETE", policy(), Value::Null)]
    fn a_side_that_is_missing_is_an_error(#[case] operation: &str, #[case] object: Value, #[case] old: Value) {
        let body = body(operation, &object, &old);
        assert!(decode(body.as_bytes(), CustomKinds::default()).is_err());
    }

    #[rstest]
    #[case::a_field(r#""spec":{"#, r#""spec":{},"spec":{"#)]
    #[case::metadata(r#""metadata":{"#, r#""metadata":{},"metadata":{"#)]
    #[case::finalizers(r#""finalizers":["#, r#""finalizers":[],"finalizers":["#)]
    fn what_comes_twice_is_an_error(#[case] from: &str, #[case] to: &str) {
        let body = body("CREATE", &policy(), &Value::Null);
        let twice = body.replacen(from, to, 1);
        assert_ne!(twice, body);
        let error = decode(twice.as_bytes(), CustomKinds::default()).expect_err("readers would differ");
        assert_eq!(error.uid.as_deref(), Some("1"));
    }

    /// Of other networks' policies only what they say beside their status counts, wherever it stands.
    #[rstest]
    #[case::namespaced("cilium.io", "ciliumnetworkpolicies", "web", true)]
    #[case::of_the_cluster("policy.networking.k8s.io", "adminnetworkpolicies", "", true)]
    #[case::without_its_namespace("crd.antrea.io", "networkpolicies", "", false)]
    fn what_is_not_read_is_compared(
        #[case] group: &str,
        #[case] resource: &str,
        #[case] namespace: &str,
        #[case] decodes: bool,
    ) {
        let mut new = policy();
        new["specs"] = json!([{"endpointSelector": {}}]);
        new["status"] = json!({"derivativePolicies": {}});
        let body = body("UPDATE", &new, &policy())
            .replace("networking.k8s.io", group)
            .replace("networkpolicies", resource)
            .replace(r#""namespace":"web""#, &format!(r#""namespace":"{namespace}""#));
        let request = decode(body.as_bytes(), CustomKinds::default());
        assert_eq!(request.is_ok(), decodes, "{request:?}");
        if let Ok(request) = request {
            assert_eq!(written(&request).changes, [PolicyChange::Content]);
            assert_eq!((request.group.as_ref(), request.resource.as_ref()), (group, resource));
            assert_eq!(request.subject.namespace, namespace);
        }
    }

    #[test]
    fn a_configured_kind_is_read_and_another_of_its_group_is_not() {
        let policies = [PolicyKind {
            group: "cilium.io".to_owned(),
            kind: "CiliumLocalPolicy".to_owned(),
        }];
        let custom = CustomKinds {
            policies: &policies,
            ..CustomKinds::default()
        };
        let read = |kind: &str, subresource: &str| {
            let body = body("CREATE", &policy(), &Value::Null)
                .replace("networking.k8s.io", "cilium.io")
                .replace("networkpolicies", "anything")
                .replace("NetworkPolicy", kind)
                .replace(r#""name":"","#, &format!(r#""name":"","subResource":"{subresource}","#));
            let request = decode(body.as_bytes(), custom).expect("decodes");
            (request.subject.kind.to_string(), request.actions.len())
        };
        assert_eq!(read("CiliumLocalPolicy", ""), ("CiliumLocalPolicy".to_owned(), 1));
        assert_eq!(read("CiliumEndpoint", ""), ("object".to_owned(), 0));
        assert_eq!(read("CiliumLocalPolicy", "status"), ("object".to_owned(), 0));
    }
}
