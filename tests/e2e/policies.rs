//! Who may write policies: those over members of a segment, and those that ringfence does not read, need `manage`; whoever
//! holds it does all that they did before, and everything else about policies is nobody's business.

use ringfence_controlplane::{Kind, Lives, Response, wait_until};
use serde_json::{Value, json};

use super::world::{PATIENCE, WORLD, World, bind};

const MERGE: &str = "application/merge-patch+json";
const JSON_PATCH: &str = "application/json-patch+json";
const APPLY: &str = "application/apply-patch+yaml";

const READ: Kind<'_> = Kind {
    group: "networking.k8s.io",
    version: "v1",
    plural: "networkpolicies",
    kind: "NetworkPolicy",
    lives: Lives::InNamespaces,
};

const CILIUM: Kind<'_> = Kind {
    group: "cilium.io",
    version: "v2",
    plural: "ciliumnetworkpolicies",
    kind: "CiliumNetworkPolicy",
    lives: Lives::InNamespaces,
};

const CLUSTERWIDE: Kind<'_> = Kind {
    plural: "ciliumclusterwidenetworkpolicies",
    kind: "CiliumClusterwideNetworkPolicy",
    lives: Lives::InTheCluster,
    ..CILIUM
};

const UPSTREAM: Kind<'_> = Kind {
    group: "policy.networking.k8s.io",
    version: "v1alpha2",
    plural: "clusternetworkpolicies",
    kind: "ClusterNetworkPolicy",
    lives: Lives::InTheCluster,
};

/// A policy of a kind: its collection, itself, and what it says at first and then.
struct Policy<'k> {
    kind: Kind<'k>,
    namespace: &'k str,
    name: &'k str,
    says: Value,
    then: Value,
}

impl<'k> Policy<'k> {
    fn new(kind: Kind<'k>, namespace: &'k str, name: &'k str, says: Value, then: Value) -> Self {
        Self {
            kind,
            namespace,
            name,
            says,
            then,
        }
    }

    fn collection(&self) -> String {
        self.kind.collection(self.namespace)
    }

    fn object(&self, spec: &Value) -> Value {
        let Kind {
            group, version, kind, ..
        } = self.kind;
        json!({
            "apiVersion": format!("{group}/{version}"), "kind": kind,
            "metadata": {"name": self.name, "labels": {"of": self.name}}, "spec": spec,
        })
    }

    fn send(&self, world: &World, user: &str, method: &str, (content, below): (&str, &str), body: &Value) -> Response {
        let path = match method {
            "POST" => self.collection(),
            _ => format!("{}/{}{below}", self.collection(), self.name),
        };
        let request = world.cluster.request(user, method, &path);
        request.header("Content-Type", content).body(body.to_string()).send()
    }

    fn create(&self, world: &World, user: &str) -> Response {
        self.send(world, user, "POST", ("application/json", ""), &self.object(&self.says))
    }

    /// Every way to change what it says, each from what it says at first.
    fn changes(&self, world: &World, user: &str) -> Vec<Response> {
        let replaced = |spec: &Value| json!([{"op": "replace", "path": "/spec", "value": spec}]);
        let ways = [
            (MERGE, "", json!({"spec": self.then})),
            (JSON_PATCH, "", replaced(&self.then)),
            (APPLY, "?fieldManager=test&force=true", self.object(&self.then)),
        ];
        let change = |(content, query, body): (&str, &str, Value)| {
            let answer = self.send(world, user, "PATCH", (content, query), &body);
            self.send(world, "admin", "PATCH", (JSON_PATCH, ""), &replaced(&self.says))
                .ok();
            answer
        };
        ways.into_iter().map(change).collect()
    }

    fn delete(&self, world: &World, user: &str) -> Response {
        self.send(world, user, "DELETE", ("application/json", ""), &json!({}))
    }

    fn delete_collection(&self, world: &World, user: &str) -> Response {
        let path = format!("{}?labelSelector=of%3D{}", self.collection(), self.name);
        world.cluster.request(user, "DELETE", &path).send()
    }

    /// Nothing of it may be written by this user; it stands all the while.
    #[track_caller]
    fn refuses(&self, world: &World, user: &str, words: &str) {
        let created = self.create(world, user);
        self.create(world, "admin").ok();
        let mut answers = vec![created];
        answers.extend(self.changes(world, user));
        answers.push(self.delete(world, user));
        answers.push(self.delete_collection(world, user));
        for answer in answers {
            let refused = answer.status == 403 && answer.text.contains("networkpolicies.guard.ringfence.dev");
            assert!(refused && answer.text.contains(words), "{answer}");
        }
        let path = format!("{}/{}", self.collection(), self.name);
        let stands = world.cluster.request("admin", "GET", &path).send().ok();
        assert_eq!(stands["spec"], self.says);
        self.delete(world, "admin").ok();
    }

    /// All of it may be written by this user.
    #[track_caller]
    fn lets_in(&self, world: &World, user: &str) {
        // What was granted is seen within moments.
        let created = wait_until(PATIENCE, "it to be created", || {
            let answer = self.create(world, user);
            (answer.status == 201).then_some(())
        });
        created.unwrap_or_else(|error| panic!("{error}; now: {}", self.create(world, user)));
        self.changes(world, user)
            .into_iter()
            .for_each(|answer| drop(answer.ok()));
        self.delete(world, user).ok();
        self.create(world, user).ok();
        self.delete_collection(world, user).ok();
        let path = format!("{}/{}", self.collection(), self.name);
        assert_eq!(world.cluster.request("admin", "GET", &path).send().status, 404);
    }
}

fn ingress(app: &str, ingress: &Value) -> Value {
    json!({"podSelector": {"matchLabels": {"app": app}}, "policyTypes": ["Ingress"], "ingress": ingress})
}

#[test]
fn policies_over_members_are_for_who_holds_manage_and_others_are_not_touched() {
    let Some(world) = WORLD.get() else { return };
    bind(&world.cluster, "payments", "ClusterRole/edit", "opal");
    let clients = json!([{"from": [{"podSelector": {"matchLabels": {"app": "hollowapp"}}}]}]);
    let members = Policy::new(
        READ,
        "payments",
        "members",
        ingress("hollowdb", &clients),
        ingress("hollowdb", &json!([{}])),
    );
    members.refuses(world, "mallory", "segment payments-db: user");
    members.refuses(world, "opal", "ringfence grant manage segments/payments-db --user opal");
    world.grant("admin", "manage segments/payments-db --user opal").ok();
    members.lets_in(world, "opal");

    // Those that can select no member, and those of namespaces without members.
    let others = Policy::new(
        READ,
        "payments",
        "others",
        ingress("web", &json!([])),
        ingress("web", &json!([{}])),
    );
    others.lets_in(world, "mallory");
    let elsewhere = Policy::new(
        READ,
        "web",
        "elsewhere",
        json!({"podSelector": {}}),
        ingress("web", &json!([{}])),
    );
    elsewhere.lets_in(world, "mallory");

    // What is written on it, but not what it says.
    members.create(world, "admin").ok();
    for arguments in [
        "label networkpolicies.networking.k8s.io members -n payments team=blue",
        "annotate networkpolicies.networking.k8s.io members -n payments note=mine",
    ] {
        world.kubectl("mallory", arguments).ok();
    }
    members.delete(world, "admin").ok();
}

/// The kinds, and the role that their network aggregates to `edit`; who writes those of the whole cluster is `nate`.
fn network(world: &World) {
    world.cluster.define(&[CILIUM, CLUSTERWIDE, UPSTREAM]);
    let verbs = ["get", "list", "create", "update", "patch", "delete", "deletecollection"];
    let role = |name: &str, labels: Value, groups: Value, resources: Value| {
        json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": {"name": name, "labels": labels},
            "rules": [{"apiGroups": groups, "resources": resources, "verbs": verbs}]})
    };
    let to_edit = json!({"rbac.authorization.k8s.io/aggregate-to-edit": "true"});
    let own = json!(["ciliumnetworkpolicies", "ciliumnetworkpolicies/status"]);
    world
        .apply("admin", &role("cilium-edit", to_edit, json!(["cilium.io"]), own))
        .ok();
    let whole = role(
        "cluster-policies",
        json!({}),
        json!(["cilium.io", "policy.networking.k8s.io"]),
        json!(["ciliumclusterwidenetworkpolicies", "clusternetworkpolicies"]),
    );
    world.apply("admin", &whole).ok();
    world
        .kubectl(
            "admin",
            "create clusterrolebinding cluster-policies --clusterrole=cluster-policies --user=nate",
        )
        .ok();
    for user in ["mallory", "ci"] {
        world.eventually(user, "auth can-i create ciliumnetworkpolicies.cilium.io -n web");
    }
    world.eventually(
        "nate",
        "auth can-i create clusternetworkpolicies.policy.networking.k8s.io",
    );
}

#[test]
fn policies_that_are_not_read_are_for_who_holds_manage_on_their_kind() {
    let Some(world) = WORLD.get() else { return };
    network(world);
    let (closed, open) = (json!({"endpointSelector": {}}), json!({"ingress": [{}]}));
    let policy = |kind, namespace, name| Policy::new(kind, namespace, name, closed.clone(), open.clone());

    let own = policy(CILIUM, "web", "own");
    own.refuses(
        world,
        "mallory",
        "ringfence grant manage ciliumnetworkpolicies.cilium.io/own -n web --user mallory",
    );
    // As the denial says it, one policy; all of a kind in a namespace; those of the whole cluster.
    world
        .grant(
            "admin",
            "manage ciliumnetworkpolicies.cilium.io/own -n web --user mallory",
        )
        .ok();
    own.lets_in(world, "mallory");
    policy(CILIUM, "web", "another").refuses(world, "mallory", "ciliumnetworkpolicies.cilium.io/another");
    world
        .grant("admin", "manage ciliumnetworkpolicies.cilium.io -n web --user ci")
        .ok();
    policy(CILIUM, "web", "any").lets_in(world, "ci");
    for kind in [CLUSTERWIDE, UPSTREAM] {
        let named = format!("{}.{}", kind.plural, kind.group);
        let whole = policy(kind, "", "whole");
        whole.refuses(
            world,
            "nate",
            &format!("ringfence grant manage {named}/whole --cluster --user nate"),
        );
        world
            .grant("admin", &format!("manage {named} --cluster --user nate"))
            .ok();
        whole.lets_in(world, "nate");
    }

    what_the_network_and_the_cluster_write_themselves_is_let_in(world, &policy(CILIUM, "web", "standing"));
}

fn what_the_network_and_the_cluster_write_themselves_is_let_in(world: &World, policy: &Policy<'_>) {
    policy.create(world, "admin").ok();
    // Status, by anybody whom RBAC lets.
    let status = json!({"status": {"conditions": [{"type": "Valid", "status": "True"}]}});
    policy.send(world, "mallory", "PATCH", (MERGE, "/status"), &status).ok();

    // The network's own operator.
    world
        .kubectl("admin", "create serviceaccount cilium-operator -n kube-system")
        .ok();
    world
        .kubectl(
            "admin",
            "create clusterrolebinding cilium-operator --clusterrole=edit --serviceaccount=kube-system:cilium-operator",
        )
        .ok();
    let derived = json!({
        "apiVersion": "cilium.io/v2", "kind": "CiliumNetworkPolicy", "metadata": {"name": "derived", "namespace": "web"},
        "spec": {"endpointSelector": {}},
    });
    let made = wait_until(PATIENCE, "the operator to write", || {
        let apply = world.cluster.kubectl_as_account("kube-system", "cilium-operator");
        let output = apply
            .args(["apply", "--server-side", "-f", "-"])
            .stdin(derived.to_string())
            .run();
        assert_eq!(output.stderr, "", "nothing is told to it");
        output.success.then_some(())
    });
    made.unwrap_or_else(|error| panic!("{error}"));
    let record = world
        .ringfence
        .wait_for_record("the operator's policy", |record| record["name"] == "derived");
    assert_eq!(record["verdict"], "audit");

    // Whoever may delete what owns it has not deleted it.
    let owner = world
        .kubectl("mallory", "create configmap owner -n web -o jsonpath={.metadata.uid}")
        .ok();
    let owners = json!([{"apiVersion": "v1", "kind": "ConfigMap", "name": "owner", "uid": owner.trim()}]);
    let owned = json!({"metadata": {"ownerReferences": owners}});
    policy.send(world, "admin", "PATCH", (MERGE, ""), &owned).ok();
    world.kubectl("mallory", "delete configmap owner -n web").ok();
    world
        .ringfence
        .wait_for_record("the garbage collector's refusal", |record| {
            record["user"] == "system:serviceaccount:kube-system:generic-garbage-collector"
                && record["name"] == "standing"
                && record["verdict"] == "deny"
        });
    policy
        .send(
            world,
            "admin",
            "PATCH",
            (MERGE, ""),
            &json!({"metadata": {"ownerReferences": null}}),
        )
        .ok();
    policy.delete(world, "admin").ok();

    // A namespace goes with what is in it.
    world.cluster.create_namespace("leaving", &[]);
    Policy::new(CILIUM, "leaving", "last", json!({}), json!({}))
        .create(world, "admin")
        .ok();
    world.kubectl("admin", "delete namespace leaving --timeout=60s").ok();
}
