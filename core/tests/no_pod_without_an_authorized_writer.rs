//! The promise, held against an independent and naive model: over random sequences of requests by people, controllers and
//! nodes, with replicas that hear of namespaces late, no pod ever carries a protected label, or runs other code under it,
//! or stands for an address that its node has not told, without an authorized writer behind it.
//!
//! The model knows neither index nor placements nor provenance. It keeps, for every object and clause, its *voucher*: who
//! last made the clause match, or changed what runs, or where, while it did. What a controller makes has its template's vouchers.

use std::collections::BTreeMap;
use std::sync::Arc;

use proptest::prelude::*;
use ringfence_core::decide::{MOST_ROUNDS, Step, decide};
use ringfence_core::guardrails::{Source, compile};
use ringfence_core::model::{
    Answer, Answers, Namespace, NamespaceName, Namespaces, Owner, Question, ReachedPod, Request, Snapshot, Target, Who,
};
use ringfence_core::review::{CustomKinds, decode, owner_of};
use serde_json::{Value, json};

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

type Labels = BTreeMap<String, String>;

/// A clause as the model knows it: the verb it needs, which namespaces, which value of `app`.
struct Clause {
    verb: &'static str,
    holds: fn(namespace: &str, labels: &Labels) -> bool,
    app: &'static str,
}

/// The clauses of [`GUARDRAILS`], written down a second time.
const CLAUSES: [Clause; 3] = [
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
fn may(user: &str, verb: &str) -> bool {
    matches!((user, verb), ("ci", "connect") | ("dba", "join") | ("root", _))
}

const USERS: [&str; 4] = ["ci", "dba", "mallory", "root"];
const NAMESPACES: [&str; 3] = ["payments", "web", "dev"];
/// The node that every pod is on, and another.
const NODE: &str = "n1";
const NODES: [&str; 2] = ["system:node:n1", "system:node:n2"];
const APPS: [&str; 5] = ["web", "db", "batch", "other", ""];

/// An object that is a pod or has a template of one.
#[derive(Debug, Clone)]
struct Object {
    kind: &'static str,
    uid: String,
    labels: Labels,
    image: String,
    /// Of a pod, by its status.
    address: u8,
    owner: Option<Value>,
    /// By clause: who stands behind its matching.
    vouchers: [Option<String>; 3],
}

#[derive(Debug, Default)]
struct Cluster {
    namespaces: BTreeMap<&'static str, Labels>,
    objects: BTreeMap<(&'static str, String), Object>,
    made: usize,
}

#[derive(Debug, Clone)]
enum Event {
    Create {
        user: &'static str,
        kind: &'static str,
        namespace: &'static str,
        app: &'static str,
        image: u8,
        forged: usize,
    },
    Relabel {
        user: &'static str,
        pick: usize,
        app: &'static str,
        by: &'static str,
    },
    Swap {
        user: &'static str,
        pick: usize,
        image: u8,
    },
    Tell {
        user: &'static str,
        pick: usize,
        address: u8,
    },
    Controller {
        pick: usize,
    },
    RelabelNamespace {
        user: &'static str,
        namespace: &'static str,
        team: &'static str,
        by: &'static str,
    },
    Recreate {
        namespace: &'static str,
        team: &'static str,
    },
    Hear,
}

fn event() -> impl Strategy<Value = Event> {
    let user = || prop::sample::select(&USERS[..]);
    let namespace = || prop::sample::select(&NAMESPACES[..]);
    let app = || prop::sample::select(&APPS[..]);
    let team = || prop::sample::select(&["blue", "red", ""][..]);
    let teller = prop::sample::select([&USERS[..], &NODES[..]].concat());
    let kind = prop::sample::select(&["pods", "replicasets", "deployments"][..]);
    prop_oneof![
        4 => (user(), kind, namespace(), app(), 0..2_u8, any::<usize>()).prop_map(
            |(user, kind, namespace, app, image, forged)| Event::Create { user, kind, namespace, app, image, forged }
        ),
        4 => (user(), any::<usize>(), app(), prop::sample::select(&["", "status", "binding"][..]))
            .prop_map(|(user, pick, app, by)| Event::Relabel { user, pick, app, by }),
        3 => (user(), any::<usize>(), 0..3_u8).prop_map(|(user, pick, image)| Event::Swap { user, pick, image }),
        3 => (teller, any::<usize>(), 0..3_u8).prop_map(|(user, pick, address)| Event::Tell { user, pick, address }),
        5 => any::<usize>().prop_map(|pick| Event::Controller { pick }),
        2 => (user(), namespace(), team(), prop::sample::select(&["", "status", "finalize"][..]))
            .prop_map(|(user, namespace, team, by)| Event::RelabelNamespace { user, namespace, team, by }),
        1 => (namespace(), team()).prop_map(|(namespace, team)| Event::Recreate { namespace, team }),
        2 => Just(Event::Hear),
    ]
}

fn one(key: &str, value: &str) -> Labels {
    if value.is_empty() {
        Labels::new()
    } else {
        [(key.to_owned(), value.to_owned())].into()
    }
}

fn matches(cluster: &Cluster, namespace: &str, labels: &Labels) -> [bool; 3] {
    let of_namespace = &cluster.namespaces[namespace];
    CLAUSES
        .map(|clause| labels.get("app").is_some_and(|app| app == clause.app) && (clause.holds)(namespace, of_namespace))
}

impl Object {
    /// The object as the API server sends it.
    fn json(&self, name: &str) -> Value {
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
    fn reference(&self, name: &str) -> Value {
        let kind = if self.kind == "deployments" {
            "Deployment"
        } else {
            "ReplicaSet"
        };
        json!({"apiVersion": "apps/v1", "kind": kind, "name": name, "uid": self.uid, "controller": true})
    }
}

/// An AdmissionReview as the API server sends it.
struct Review<'r> {
    user: &'r str,
    kind: &'r str,
    subresource: &'r str,
    namespace: &'r str,
    name: &'r str,
    operation: &'r str,
}

impl Review<'_> {
    fn body(&self, object: &Value, old: &Value) -> String {
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
struct Replica(Snapshot);

impl Replica {
    fn new() -> Self {
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

    fn hear(&mut self, cluster: &Cluster) {
        let known = cluster
            .namespaces
            .iter()
            .map(|(name, labels)| (namespace_name(name), Arc::new(seen(labels))));
        self.0.namespaces = Arc::new(known.collect::<Namespaces>());
    }

    /// Whether a review is let in.
    fn lets_in(&self, cluster: &Cluster, review: &Review<'_>, object: &Value, old: &Value) -> bool {
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

fn namespace_name(name: &str) -> NamespaceName {
    NamespaceName::new(name).expect("a valid name")
}

fn seen(labels: &Labels) -> Namespace {
    Namespace {
        labels: labels.clone().into_iter().collect(),
        ..Namespace::default()
    }
}

/// The truth, as the API server would tell it.
fn answer(cluster: &Cluster, request: &Request<'_>, question: &Question) -> Answer {
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

impl Cluster {
    fn pick(&self, pick: usize, kinds: &[&str]) -> Option<((&'static str, String), Object)> {
        let found: Vec<_> = self
            .objects
            .iter()
            .filter(|(_, object)| kinds.contains(&object.kind))
            .collect();
        let (key, object) = found.get(pick.checked_rem(found.len())?)?;
        Some(((*key).clone(), (*object).clone()))
    }

    fn new_name(&mut self) -> (String, String) {
        self.made += 1;
        (format!("o-{}", self.made), format!("uid-{}", self.made))
    }

    fn apply(&mut self, replica: &mut Replica, event: &Event) {
        match *event {
            Event::Create {
                user,
                kind,
                namespace,
                app,
                image,
                forged,
            } => {
                let (name, uid) = self.new_name();
                // Every other object pretends to be some owner's.
                let owner = (forged % 2 == 0)
                    .then(|| self.pick(forged, &["replicasets", "deployments"]))
                    .flatten();
                let owner = owner.map(|((_, name), object)| object.reference(&name));
                let object = Object {
                    kind,
                    uid,
                    owner,
                    labels: one("app", app),
                    image: format!("i{image}"),
                    address: 0,
                    vouchers: [None, None, None],
                };
                self.create(replica, user, namespace, &name, object, None);
            }
            Event::Relabel { user, pick, app, by } => {
                let Some(((namespace, name), old)) = self.pick(pick, &["pods", "replicasets", "deployments"]) else {
                    return;
                };
                let new = Object {
                    labels: one("app", app),
                    ..old.clone()
                };
                match (old.kind, by) {
                    ("pods", "binding") if !app.is_empty() => {
                        let review = Review {
                            user,
                            kind: "pods",
                            subresource: by,
                            namespace,
                            name: &name,
                            operation: "CREATE",
                        };
                        let binding = json!({"metadata": {"name": name, "labels": new.labels}});
                        if replica.lets_in(self, &review, &binding, &Value::Null) {
                            self.written(user, (namespace, name), &old, new);
                        }
                    }
                    (_, "binding") => {}
                    ("pods", by) => self.update(replica, user, by, (namespace, name), &old, new),
                    _ => self.update(replica, user, "", (namespace, name), &old, new),
                }
            }
            Event::Swap { user, pick, image } => {
                let Some((key, old)) = self.pick(pick, &["pods", "replicasets", "deployments"]) else {
                    return;
                };
                let new = Object {
                    image: format!("i{image}"),
                    ..old.clone()
                };
                self.update(replica, user, "", key, &old, new);
            }
            Event::Tell { user, pick, address } => {
                let Some((key, old)) = self.pick(pick, &["pods"]) else {
                    return;
                };
                let new = Object { address, ..old.clone() };
                self.update(replica, user, "status", key, &old, new);
            }
            Event::Controller { pick } => self.controller(replica, pick),
            Event::RelabelNamespace {
                user,
                namespace,
                team,
                by,
            } => {
                let (old, new) = (self.namespaces[namespace].clone(), one("team", team));
                let review = Review {
                    user,
                    kind: "namespaces",
                    subresource: by,
                    namespace,
                    name: namespace,
                    operation: "UPDATE",
                };
                let object = |labels: &Labels| json!({"metadata": {"name": namespace, "labels": labels}});
                if replica.lets_in(self, &review, &object(&new), &object(&old)) {
                    self.relabel_namespace(user, namespace, new);
                }
            }
            Event::Recreate { namespace, team } => {
                self.objects.retain(|(inside, _), _| *inside != namespace);
                self.namespaces.insert(namespace, one("team", team));
            }
            Event::Hear => replica.hear(self),
        }
    }

    fn create(
        &mut self,
        replica: &Replica,
        user: &str,
        namespace: &'static str,
        name: &str,
        object: Object,
        from: Option<&Object>,
    ) {
        let review = Review {
            user,
            kind: object.kind,
            subresource: "",
            namespace,
            name,
            operation: "CREATE",
        };
        if !replica.lets_in(self, &review, &object.json(name), &Value::Null) {
            return;
        }
        let matched = matches(self, namespace, &object.labels);
        let mut object = object;
        for (clause, matched) in matched.into_iter().enumerate() {
            let voucher = match from {
                None => Some(user.to_owned()),
                Some(template) => template.vouchers[clause].clone(),
            };
            object.vouchers[clause] = voucher.filter(|_| matched);
        }
        self.objects.insert((namespace, name.to_owned()), object);
    }

    fn update(
        &mut self,
        replica: &Replica,
        user: &str,
        by: &str,
        key: (&'static str, String),
        old: &Object,
        new: Object,
    ) {
        // A status update leaves the spec alone.
        let new = if by == "status" {
            Object {
                image: old.image.clone(),
                ..new
            }
        } else {
            new
        };
        let review = Review {
            user,
            kind: old.kind,
            subresource: by,
            namespace: key.0,
            name: &key.1,
            operation: "UPDATE",
        };
        if replica.lets_in(self, &review, &new.json(&key.1), &old.json(&key.1)) {
            self.written(user, key, old, new);
        }
    }

    /// What a write by a person comes to: it vouches for what it makes match, and for what it changes under it.
    fn written(&mut self, user: &str, key: (&'static str, String), old: &Object, new: Object) {
        let (before, after) = (matches(self, key.0, &old.labels), matches(self, key.0, &new.labels));
        let mut new = new;
        let readdressed = old.address != new.address && user != NODES[0];
        for clause in 0..CLAUSES.len() {
            if !after[clause] {
                new.vouchers[clause] = None;
            } else if !before[clause] || old.image != new.image || readdressed {
                new.vouchers[clause] = Some(user.to_owned());
            }
        }
        self.objects.insert(key, new);
    }

    fn relabel_namespace(&mut self, user: &str, namespace: &'static str, labels: Labels) {
        let inside: Vec<_> = self
            .objects
            .iter()
            .filter(|((inside, _), _)| *inside == namespace)
            .collect();
        let before: Vec<_> = inside
            .iter()
            .map(|(key, object)| ((*key).clone(), matches(self, namespace, &object.labels)))
            .collect();
        self.namespaces.insert(namespace, labels);
        for (key, before) in before {
            let after = matches(self, namespace, &self.objects[&key].labels);
            let object = self.objects.get_mut(&key).expect("it is still there");
            for clause in 0..CLAUSES.len() {
                if !after[clause] {
                    object.vouchers[clause] = None;
                } else if !before[clause] {
                    object.vouchers[clause] = Some(user.to_owned());
                }
            }
        }
    }

    /// A controller makes the next object of some template, with labels of its own beside the template's.
    fn controller(&mut self, replica: &Replica, pick: usize) {
        let Some(((namespace, owner), template)) = self.pick(pick, &["replicasets", "deployments"]) else {
            return;
        };
        let (kind, account) = match template.kind {
            "deployments" => ("replicasets", "deployment-controller"),
            _ => ("pods", "replicaset-controller"),
        };
        let (name, uid) = self.new_name();
        let mut labels = template.labels.clone();
        labels.insert("pod-template-hash".to_owned(), "5f7".to_owned());
        let object = Object {
            kind,
            uid,
            labels,
            owner: Some(template.reference(&owner)),
            ..template.clone()
        };
        let user = format!("system:serviceaccount:kube-system:{account}");
        self.create(replica, &user, namespace, &name, object, Some(&template));
    }

    /// Every pod that a clause matches has somebody behind it who may.
    fn holds(&self) -> Result<(), TestCaseError> {
        for ((namespace, name), pod) in self.objects.iter().filter(|(_, object)| object.kind == "pods") {
            for (clause, matched) in matches(self, namespace, &pod.labels).into_iter().enumerate() {
                let verb = CLAUSES[clause].verb;
                let vouched = pod.vouchers[clause].as_deref().is_some_and(|user| may(user, verb));
                prop_assert!(!matched || vouched, "pod {namespace}/{name} needs {verb}: {pod:?}");
            }
        }
        Ok(())
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 600, max_shrink_iters: 20_000, ..ProptestConfig::default() })]

    #[test]
    fn no_pod_is_protected_without_an_authorized_writer(events in prop::collection::vec(event(), 1..80)) {
        let mut cluster = Cluster::default();
        for namespace in NAMESPACES {
            cluster.namespaces.insert(namespace, Labels::new());
        }
        let mut replica = Replica::new();
        replica.hear(&cluster);
        for event in events {
            let what = format!("{event:?}");
            cluster.apply(&mut replica, &event);
            cluster.holds().map_err(|error| TestCaseError::fail(format!("after {what}: {error}")))?;
        }
    }
}
