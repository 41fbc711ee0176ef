//! A replica under test: reviews as the API server sends them, decided by the guardrails and by namespaces as last heard of,
//! and every question answered with the truth.

use std::sync::Arc;

use ringfence_core::decide::{MOST_ROUNDS, Step, decide};
use ringfence_core::guardrails::{Source, compile};
use ringfence_core::model::{
    Answer, Answers, Namespace, NamespaceName, Namespaces, Owner, Question, ReachedPod, Request, Snapshot, Target, Who,
};
use ringfence_core::review::{CustomKinds, decode, owner_of};
use serde_json::{Value, json};

use crate::model::{Cluster, Labels, Object, may};

/// What every replica has in force.
const GUARDRAILS: &str = "
apiVersion: ringfence.dev/v1alpha1
kind: Guardrails
metadata: {name: default}
spec: {mode: Enforce}
---
apiVersion: ringfence.dev/v1alpha1
kind: Segment
metadata: {name: db}
spec:
  consent: {namespace: payments}
  members: [{namespaces: [payments], podSelector: {matchLabels: {app: db}}}]
  clients:
    - {namespaceSelector: {}, podSelector: {matchLabels: {app: web}}}
    - {namespaceSelector: {matchLabels: {team: blue}}, podSelector: {matchLabels: {app: batch}}}
";

/// An AdmissionReview as the API server sends it.
pub(crate) struct Review<'r> {
    pub(crate) user: &'r str,
    pub(crate) kind: &'r str,
    pub(crate) subresource: &'r str,
    pub(crate) namespace: &'r str,
    pub(crate) name: &'r str,
    pub(crate) operation: &'r str,
}

impl Review<'_> {
    pub(crate) fn body(&self, object: &Value, old: &Value) -> String {
        let group = if matches!(self.kind, "pods" | "namespaces") {
            ""
        } else {
            "apps"
        };
        let uid = if self.user.starts_with("system:") {
            "uid-of-controller"
        } else {
            ""
        };
        json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": {
            "uid": "1", "resource": {"group": group, "version": "v1", "resource": self.kind},
            "subResource": self.subresource, "namespace": self.namespace, "name": self.name,
            "operation": self.operation, "userInfo": {"username": self.user, "uid": uid},
            "object": object, "oldObject": old}})
        .to_string()
    }
}

/// A replica: the guardrails, and the namespaces as it last heard of them.
pub(crate) struct Replica(Snapshot);

impl Replica {
    pub(crate) fn new() -> Self {
        let source = Source {
            name: "guardrails.yaml".to_owned(),
            text: GUARDRAILS.to_owned(),
        };
        let guardrails = compile(&[source]).expect("valid guardrails").guardrails;
        Self(Snapshot {
            guardrails: Arc::new(guardrails),
            namespaces: Arc::default(),
            since: Arc::default(),
            policies: Arc::default(),
        })
    }

    pub(crate) fn hear(&mut self, cluster: &Cluster) {
        let known = cluster
            .namespaces
            .iter()
            .map(|(name, labels)| (namespace_name(name), Arc::new(seen(labels))));
        self.0.namespaces = Arc::new(known.collect::<Namespaces>());
    }

    /// Whether a review is let in.
    pub(crate) fn lets_in(&self, cluster: &Cluster, review: &Review<'_>, object: &Value, old: &Value) -> bool {
        let body = review.body(object, old);
        let request = decode(body.as_bytes(), CustomKinds::default()).expect("an understandable review");
        let mut answers = Answers::new();
        for _ in 0..=MOST_ROUNDS {
            match decide(&self.0, &request, &answers) {
                Step::Done(decision) => return decision.allowed(),
                Step::Ask(asked) => {
                    for asked in asked {
                        let answer = answer(cluster, &request, &asked.question);
                        answers.insert(asked.question, answer);
                    }
                }
            }
        }
        panic!("more than {MOST_ROUNDS} rounds: {body}");
    }
}

pub(crate) fn namespace_name(name: &str) -> NamespaceName {
    NamespaceName::new(name).expect("a valid name")
}

pub(crate) fn seen(labels: &Labels) -> Namespace {
    Namespace {
        labels: labels.clone().into_iter().collect(),
        ..Namespace::default()
    }
}

/// The truth, as the API server would tell it.
pub(crate) fn answer(cluster: &Cluster, request: &Request<'_>, question: &Question) -> Answer {
    let find = |kind: &str, namespace: &str, name: &str| {
        let found = cluster
            .objects
            .iter()
            .find(|((ns, named), object)| *ns == namespace && named == name && object.kind == kind);
        found.map(|(_, object)| object)
    };
    match question {
        Question::Allowed(Who::Requester, permission) => {
            Answer::Allowed(may(&request.identity.username, permission.verb.as_str()))
        }
        Question::Allowed(Who::User(_), _) => panic!("there are no delegates"),
        Question::Namespace(name) => Answer::Namespace(cluster.namespaces.get(name.as_str()).map(seen)),
        Question::Owner(reference) => {
            let found = find(&reference.resource, reference.namespace.as_str(), &reference.name);
            let owner = |object: &Object| -> Owner { owner_of(&object.json(&reference.name), &reference.template) };
            Answer::Owner(found.map(owner))
        }
        Question::Reached(Target::Pod(namespace, name)) => {
            let pod = |object: &Object| ReachedPod {
                namespace: namespace.clone(),
                name: name.clone(),
                labels: object.labels.clone().into_iter().collect(),
            };
            Answer::Reached(find("pods", namespace.as_str(), name).map(pod).into_iter().collect())
        }
        Question::Reached(_)
        | Question::Templates(_)
        | Question::Running(_)
        | Question::Isolated(..)
        | Question::Policies(_) => {
            panic!("nobody connects or revises here: {question:?}")
        }
    }
}
