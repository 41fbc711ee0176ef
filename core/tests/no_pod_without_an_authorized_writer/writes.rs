//! What becomes of events: what a replica lets in is written, and vouched for by whoever wrote it or by its template.

use proptest::prelude::*;
use serde_json::{Value, json};

use crate::events::Event;
use crate::model::{CLAUSES, Cluster, Labels, NODES, Object, matches, may, one};
use crate::replica::{Replica, Review};

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

    pub(crate) fn apply(&mut self, replica: &mut Replica, event: &Event) {
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
    pub(crate) fn holds(&self) -> Result<(), TestCaseError> {
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
