//! What the model knows: clauses written down a second time, who holds what, and the objects of a cluster with who stands
//! behind them.

use std::collections::BTreeMap;

use serde_json::{Value, json};

pub(crate) type Labels = BTreeMap<String, String>;

/// A clause as the model knows it: the verb it needs, which namespaces, which value of `app`.
pub(crate) struct Clause {
    pub(crate) verb: &'static str,
    pub(crate) holds: fn(namespace: &str, labels: &Labels) -> bool,
    pub(crate) app: &'static str,
}

/// The clauses of the guardrails, written down a second time.
pub(crate) const CLAUSES: [Clause; 3] = [
    Clause {
        verb: "join",
        holds: |namespace, _| namespace == "payments",
        app: "db",
    },
    Clause {
        verb: "connect",
        holds: |_, _| true,
        app: "web",
    },
    Clause {
        verb: "connect",
        holds: |_, labels| labels.get("team").is_some_and(|team| team == "blue"),
        app: "batch",
    },
];

/// Who holds what: ci may connect, dba may join, root may do all; nobody else, no controller either.
pub(crate) fn may(user: &str, verb: &str) -> bool {
    matches!((user, verb), ("ci", "connect") | ("dba", "join") | ("root", _))
}

pub(crate) const USERS: [&str; 4] = ["ci", "dba", "mallory", "root"];
pub(crate) const NAMESPACES: [&str; 3] = ["payments", "web", "dev"];
/// The node that every pod is on, and another.
pub(crate) const NODE: &str = "n1";
pub(crate) const NODES: [&str; 2] = ["system:node:n1", "system:node:n2"];
pub(crate) const APPS: [&str; 5] = ["web", "db", "batch", "other", ""];

/// An object that is a pod or has a template of one.
#[derive(Debug, Clone)]
pub(crate) struct Object {
    pub(crate) kind: &'static str,
    pub(crate) uid: String,
    pub(crate) labels: Labels,
    pub(crate) image: String,
    /// Of a pod, by its status.
    pub(crate) address: u8,
    pub(crate) owner: Option<Value>,
    /// By clause: who stands behind its matching.
    pub(crate) vouchers: [Option<String>; 3],
}

#[derive(Debug, Default)]
pub(crate) struct Cluster {
    pub(crate) namespaces: BTreeMap<&'static str, Labels>,
    pub(crate) objects: BTreeMap<(&'static str, String), Object>,
    pub(crate) made: usize,
}

pub(crate) fn one(key: &str, value: &str) -> Labels {
    if value.is_empty() {
        Labels::new()
    } else {
        [(key.to_owned(), value.to_owned())].into()
    }
}

pub(crate) fn matches(cluster: &Cluster, namespace: &str, labels: &Labels) -> [bool; 3] {
    let of_namespace = &cluster.namespaces[namespace];
    CLAUSES
        .map(|clause| labels.get("app").is_some_and(|app| app == clause.app) && (clause.holds)(namespace, of_namespace))
}

impl Object {
    /// The object as the API server sends it.
    pub(crate) fn json(&self, name: &str) -> Value {
        let owners: Vec<&Value> = self.owner.iter().collect();
        let spec = json!({"containers": [{"name": "main", "image": self.image}]});
        if self.kind == "pods" {
            let mut pod = json!({"metadata": {"name": name, "uid": self.uid, "labels": self.labels, "ownerReferences": owners},
                "spec": spec, "status": {"phase": "Running", "podIP": format!("10.0.0.{}", self.address)}});
            pod["spec"]["nodeName"] = NODE.into();
            return pod;
        }
        json!({"metadata": {"name": name, "uid": self.uid, "ownerReferences": owners},
            "spec": {"template": {"metadata": {"labels": self.labels}, "spec": spec}}})
    }

    /// As the controller refers to it.
    pub(crate) fn reference(&self, name: &str) -> Value {
        let kind = if self.kind == "deployments" {
            "Deployment"
        } else {
            "ReplicaSet"
        };
        json!({"apiVersion": "apps/v1", "kind": kind, "name": name, "uid": self.uid, "controller": true})
    }
}
