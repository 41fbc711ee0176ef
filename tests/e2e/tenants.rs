//! What tenants try with policies, beside what the rules' own tests try: every way of writing that kubectl knows, policies
//! that are being deleted, owners and namespaces that take policies along, impersonation, and policies as large and as many
//! as come. Mallory edits, pam administers and manages the policies, opal manages alone, ci places pods alone.

use ringfence_controlplane::{Output, wait_until};
use serde_json::{Value, json};

use super::world::{PATIENCE, World, bind, everything};

const GUARDRAILS: &str = "
apiVersion: ringfence.dev/v1alpha1
kind: Guardrails
metadata: {name: default}
spec:
  mode: Enforce
  checks: [{name: WorldIngress}, {name: WideCIDR}, {name: AllNamespaces}]
---
apiVersion: ringfence.dev/v1alpha1
kind: Segment
metadata: {name: ledger}
spec:
  consent: {namespace: ledger}
  members: [{namespaces: [ledger], podSelector: {matchLabels: {app: db}}}]
  clients: [{namespaces: [ledger], podSelector: {matchLabels: {app: api}}}]
  requireIsolation: [Ingress]
";

fn policy(namespace: &str, name: &str, spec: &Value) -> Value {
    json!({"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy",
        "metadata": {"name": name, "namespace": namespace}, "spec": spec})
}

/// Over members; lets pods in that have this label, on this port.
fn over_members(app: &str, port: u16) -> Value {
    json!({"podSelector": {"matchLabels": {"app": "db"}}, "policyTypes": ["Ingress"],
        "ingress": [{"from": [{"podSelector": {"matchLabels": {"app": app}}}], "ports": [{"port": port, "protocol": "TCP"}]}]})
}

impl World {
    /// One kubectl call with an object on its standard input.
    fn pipe(&self, user: &str, arguments: &str, object: &Value) -> Output {
        let call = self.cluster.kubectl(user).args(arguments.split_whitespace());
        call.stdin(object.to_string()).run()
    }

    /// What a policy says.
    #[track_caller]
    fn says(&self, namespace: &str, name: &str) -> String {
        let get = format!("get networkpolicy {name} -n {namespace} -o jsonpath={{.spec}}");
        self.kubectl("admin", &get).ok()
    }

    /// Waits until somebody may create policies there.
    fn may_write(&self, user: &str, namespace: &str) {
        self.eventually(user, &format!("auth can-i create networkpolicies -n {namespace}"));
    }
}

#[test]
fn what_tenants_try_with_policies() {
    let Some(world) = World::own(GUARDRAILS) else { return };
    people(&world);
    every_way_of_writing(&world);
    every_way_of_opening(&world);
    while_they_are_deleted(&world);
    owners_take_nothing_along(&world);
    as_somebody_else(&world);
    who_holds_one_duty_alone(&world);
    many(&world);
    large(&world);
    a_namespace_made_anew(&world);
}

fn people(world: &World) {
    world.cluster.create_namespace("ledger", &[]);
    for (role, user) in [("ClusterRole/edit", "mallory"), ("ClusterRole/admin", "pam")] {
        bind(&world.cluster, "ledger", role, user);
    }
    world.grant("admin", "manage segments/ledger --user pam").ok();
    world
        .apply("admin", &policy("ledger", "deny", &over_members("api", 5432)))
        .ok();
    for user in ["mallory", "pam"] {
        world.may_write(user, "ledger");
    }
    world.eventually(
        "pam",
        "patch netpol deny -n ledger --type=merge -p {\"spec\":{\"egress\":[]}} --dry-run=server",
    );
}

/// Over members as somebody who edits: however it is sent, it is one and the same write.
fn every_way_of_writing(world: &World) {
    let before = world.says("ledger", "deny");
    let opened = policy("ledger", "deny", &over_members("web", 1));
    let mut generated = policy("ledger", "any", &over_members("web", 1));
    generated["metadata"] = json!({"generateName": "any-", "namespace": "ledger"});
    for (arguments, object) in [
        ("apply -f -", &opened),
        (
            "apply --server-side --force-conflicts --field-manager=mine -f -",
            &opened,
        ),
        ("replace -f -", &opened),
        ("replace --force --grace-period=0 -f -", &opened),
        ("create -f -", &generated),
    ] {
        let said = world.pipe("mallory", arguments, object).refused();
        assert!(
            said.contains("segment ledger: user \"mallory\" lacks"),
            "{arguments}: {said}"
        );
    }
    // A port alone, a value alone, a list alone.
    for (kind, patch) in [
        (
            "json",
            json!([{"op": "replace", "path": "/spec/ingress/0/ports/0/port", "value": 1}]),
        ),
        (
            "json",
            json!([{"op": "test", "path": "/metadata/name", "value": "deny"}, {"op": "remove", "path": "/spec/ingress/0/ports/0"}]),
        ),
        (
            "json",
            json!([{"op": "copy", "from": "/metadata/labels", "path": "/spec/podSelector/matchLabels"}]),
        ),
        (
            "merge",
            json!({"spec": {"podSelector": {"matchLabels": {"app": null}}}}),
        ),
        ("strategic", json!({"spec": {"ingress": [{"$patch": "replace"}, {}]}})),
        (
            "strategic",
            json!({"spec": {"policyTypes": null}, "metadata": {"labels": {"new": "label"}}}),
        ),
    ] {
        let patch = patch.to_string();
        let call = world.cluster.kubectl("mallory");
        let output = call
            .args(["patch", "netpol", "deny", "-n", "ledger", "--type", kind, "-p", &patch])
            .run();
        // What changes nothing is let in; what the API server does not understand never comes.
        assert!(
            !output.success || world.says("ledger", "deny") == before,
            "{patch}: {}",
            output.stdout
        );
    }
    assert_eq!(world.says("ledger", "deny"), before);
    // Labels alone say nothing of pods.
    world.kubectl("mallory", "label netpol deny -n ledger of=mallory").ok();
    world.kubectl("mallory", "label netpol deny -n ledger of-").ok();
}

/// Checks on a policy that several field managers own: what each takes away opens as well as what it adds.
fn every_way_of_opening(world: &World) {
    let own = |peers: &Value| {
        policy(
            "web",
            "own",
            &json!({"podSelector": {"matchLabels": {"app": "web"}}, "policyTypes": ["Ingress"],
            "ingress": [{"from": peers, "ports": [{"port": 80, "protocol": "TCP"}]}]}),
        )
    };
    let one = "apply --server-side --field-manager=one -f -";
    world.pipe("mallory", one, &own(&json!([{"podSelector": {}}]))).ok();
    for (arguments, peers) in [
        (one, json!([])),
        (one, json!([{"namespaceSelector": {}}])),
        (one, json!([{"ipBlock": {"cidr": "0.0.0.0/0"}}])),
        (
            "apply --server-side --force-conflicts --field-manager=two -f -",
            json!([]),
        ),
    ] {
        let said = world.pipe("mallory", arguments, &own(&peers)).refused();
        assert!(said.contains("waive policychecks.ringfence.dev/"), "{said}");
    }
    let said = world
        .kubectl(
            "mallory",
            r#"patch netpol own -n web --type=json -p=[{"op":"remove","path":"/spec/ingress/0/from"}]"#,
        )
        .refused();
    assert!(said.contains("WorldIngress"), "{said}");
    world
        .kubectl("mallory", r#"patch netpol own -n web --type=json -p=[{"op":"replace","path":"/spec/ingress/0/ports/0/port","value":81}]"#)
        .ok();
    world.kubectl("mallory", "delete netpol own -n web").ok();
}

/// A finalizer holds up a policy that is being deleted: it still stands, and whoever changes it is asked.
fn while_they_are_deleted(world: &World) {
    let mut held = policy("ledger", "held", &over_members("api", 5432));
    held["metadata"]["finalizers"] = json!(["example.com/hold"]);
    world.apply("pam", &held).ok();
    world
        .kubectl("mallory", "delete netpol held -n ledger --wait=false")
        .refused();
    world.kubectl("pam", "delete netpol held -n ledger --wait=false").ok();
    for (user, words) in [("mallory", "segment ledger"), ("pam", "WorldIngress")] {
        let open = r#"patch netpol held -n ledger --type=json -p=[{"op":"remove","path":"/spec/ingress/0/from"}]"#;
        let said = world.kubectl(user, open).refused();
        assert!(said.contains(words), "{said}");
    }
    // It does not hold members any more, whatever becomes of it.
    let said = world.kubectl("pam", "delete netpol deny -n ledger").refused();
    assert!(said.contains("unisolated"), "{said}");
    world
        .kubectl(
            "pam",
            r#"patch netpol held -n ledger --type=json -p=[{"op":"remove","path":"/metadata/finalizers"}]"#,
        )
        .ok();
}

/// The garbage collector deletes what an owner leaves, with its own rights, which are none here: an owner that mallory may
/// delete takes along neither a policy over members nor one that is protected.
fn owners_take_nothing_along(world: &World) {
    for name in ["owner", "other-owner"] {
        world
            .kubectl("mallory", &format!("create configmap {name} -n ledger"))
            .ok();
    }
    let uid = |name: &str| {
        let get = format!("get configmap {name} -n ledger -o jsonpath={{.metadata.uid}}");
        world.kubectl("admin", &get).ok()
    };
    let reference = |name: &str| json!({"apiVersion": "v1", "kind": "ConfigMap", "name": name, "uid": uid(name).trim(), "blockOwnerDeletion": true});
    let mut owned = policy("ledger", "owned", &over_members("api", 5432));
    owned["metadata"]["ownerReferences"] = json!([reference("owner"), reference("other-owner")]);
    world.apply("admin", &owned).ok();
    let mut protected = policy(
        "ledger",
        "protected",
        &json!({"podSelector": {"matchLabels": {"app": "shelf"}}}),
    );
    protected["metadata"]["ownerReferences"] = json!([reference("owner")]);
    protected["metadata"]["labels"] = json!({"ringfence.dev/protected": "true"});
    world.apply("admin", &protected).ok();
    world
        .kubectl("mallory", "delete configmap owner -n ledger --cascade=background")
        .ok();
    world
        .kubectl(
            "mallory",
            "delete configmap other-owner -n ledger --cascade=foreground --wait=false",
        )
        .ok();
    for name in ["owned", "protected"] {
        world
            .ringfence
            .wait_for_record("the garbage collector to be refused", |record| {
                record["user"] == "system:serviceaccount:kube-system:generic-garbage-collector"
                    && record["name"] == name
                    && record["verdict"] == "deny"
            });
        world.says("ledger", name);
    }
    // Whoever may, does.
    world.kubectl("admin", "delete netpol owned protected -n ledger").ok();
}

/// Impersonation is judged as whom it shows; a controller's account without a uid is somebody who impersonates it.
fn as_somebody_else(world: &World) {
    for account in ["namespace-controller", "generic-garbage-collector"] {
        let user = format!("--as=system:serviceaccount:kube-system:{account}");
        let said = world
            .kubectl("admin", &format!("delete netpol deny -n ledger {user}"))
            .refused();
        assert!(said.contains("ringfence"), "{said}");
    }
    // The groups that make an administrator are not those of whom is shown.
    let said = world
        .kubectl(
            "admin",
            "delete netpol deny -n ledger --as=mallory --as-group=system:authenticated",
        )
        .refused();
    assert!(said.contains("segment ledger: user \"mallory\" lacks"), "{said}");
    let said = world
        .kubectl("mallory", "delete netpol deny -n ledger --as=admin")
        .refused();
    assert!(said.contains("cannot impersonate"), "{said}");
}

/// Roles of one's own, without edit: opal writes policies, ci makes pods.
fn who_holds_one_duty_alone(world: &World) {
    // Not `*`, which would be every verb that ringfence asks for, too: `protect` among them.
    let verbs = ["get", "list", "create", "update", "patch", "delete"];
    let role = |name: &str, group: &str, resource: &str| {
        json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "metadata": {"name": name, "namespace": "ledger"},
            "rules": [{"apiGroups": [group], "resources": [resource], "verbs": verbs}]})
    };
    for (name, group, resource, user, verb) in [
        ("writes", "networking.k8s.io", "networkpolicies", "opal", "manage"),
        ("places", "", "pods", "ci", "join"),
    ] {
        world.apply("admin", &role(name, group, resource)).ok();
        bind(&world.cluster, "ledger", &format!("Role/{name}"), user);
        world
            .grant("admin", &format!("{verb} segments/ledger --user {user}"))
            .ok();
    }
    let pod = "run db -n ledger --image=db --labels=app=db --dry-run=server";
    world.eventually("ci", pod);
    let write = policy("ledger", "opals", &over_members("api", 1));
    let written = wait_until(PATIENCE, "opal to write", || {
        world.apply("opal", &write).success.then_some(())
    });
    written.unwrap_or_else(|error| panic!("{error}"));
    for (user, arguments) in [
        ("opal", pod),
        ("ci", "delete netpol opals -n ledger"),
        ("mallory", pod),
        ("mallory", "delete netpol opals -n ledger"),
    ] {
        world.kubectl(user, arguments).refused();
    }
    // To manage is not to waive, to cross, or to protect.
    world
        .apply(
            "opal",
            &policy(
                "ledger",
                "open",
                &json!({"podSelector": {"matchLabels": {"app": "db"}}, "ingress": [{}]}),
            ),
        )
        .refused();
    world
        .kubectl("opal", "label netpol opals -n ledger ringfence.dev/protected=true")
        .refused();
    world.kubectl("opal", "delete netpol opals -n ledger").ok();
}

/// A collection of a hundred, dozens of which hold members, goes in one request but for the last that does.
fn many(world: &World) {
    let others = (0..60).map(|number| {
        policy(
            "ledger",
            &format!("other-{number}"),
            &json!({"podSelector": {"matchLabels": {"app": "web"}}}),
        )
    });
    let holding = (0..40).map(|number| {
        policy(
            "ledger",
            &format!("holding-{number}"),
            &over_members("api", 1000 + number),
        )
    });
    let list = json!({"apiVersion": "v1", "kind": "List", "items": others.chain(holding).collect::<Vec<_>>()});
    world.pipe("pam", "create -f -", &list).ok();
    let all = "/apis/networking.k8s.io/v1/namespaces/ledger/networkpolicies";
    // Mallory's stop at the first that she may not delete; pam's at the last.
    let said = world.kubectl("mallory", &format!("delete --raw {all}")).refused();
    assert!(said.contains("may not be deleted from segment ledger"), "{said}");
    let deleted = wait_until(PATIENCE, "all but one to be deleted", || {
        let said = world.kubectl("pam", &format!("delete --raw {all}")).refused();
        said.contains("may not leave members of segment ledger unisolated")
            .then_some(())
    });
    deleted.unwrap_or_else(|error| panic!("{error}"));
    world.kubectl("pam", "delete netpol -n ledger --all").refused();
    let left = world.kubectl("admin", "get netpol -n ledger -o name").ok();
    assert_eq!(left.lines().count(), 1, "{left}");
    world
        .apply("admin", &policy("ledger", "deny", &over_members("api", 5432)))
        .ok();
}

/// Thousands of blocks in one policy are judged within what the API server waits for.
fn large(world: &World) {
    let blocks = |last: usize| {
        let block =
            |number: usize| json!({"ipBlock": {"cidr": format!("10.{}.{}.{last}/32", number / 256, number % 256)}});
        policy(
            "web",
            "large",
            &json!({"podSelector": {"matchLabels": {"app": "web"}}, "policyTypes": ["Ingress"],
            "ingress": [{"from": (0..5_000).map(block).collect::<Vec<_>>(), "ports": [{"port": 80}]}]}),
        )
    };
    world.pipe("mallory", "create -f -", &blocks(1)).ok();
    let output = world.pipe("mallory", "replace -f -", &blocks(2));
    assert!(
        output.success && output.stderr.contains("opens ingress from 5000 addresses"),
        "{}",
        output.stderr
    );
    let open = r#"patch netpol large -n web --type=json -p=[{"op":"replace","path":"/spec/ingress/0/from/4999/ipBlock/cidr","value":"0.0.0.0/0"}]"#;
    let said = world.kubectl("mallory", open).refused();
    assert!(said.contains("WideCIDR") && said.len() < 4_000, "{said}");
    world.kubectl("mallory", "delete netpol large -n web").ok();
}

/// Who may do everything in a namespace may delete it, and what protects pods in it. Nothing of that is left where the
/// namespace is made anew, and what is asked for then is asked of the new one.
fn a_namespace_made_anew(world: &World) {
    everything(&world.cluster, "tenant", "tess");
    let mut protected = policy(
        "tenant",
        "shelf",
        &json!({"podSelector": {"matchLabels": {"app": "shelf"}}}),
    );
    protected["metadata"]["labels"] = json!({"ringfence.dev/protected": "true"});
    world.apply("admin", &protected).ok();
    bind(&world.cluster, "tenant", "ClusterRole/edit", "mallory");
    let member = "run shelf -n tenant --image=app --labels=app=shelf --dry-run=server";
    let refused = world.eventually_refused("mallory", member);
    assert!(
        refused.contains("join") || refused.contains("cannot create"),
        "{refused}"
    );
    world.kubectl("tess", "delete namespace tenant --wait=false").ok();
    world
        .kubectl("admin", "wait --for=delete namespace/tenant --timeout=60s")
        .ok();
    world.cluster.create_namespace("tenant", &[]);
    bind(&world.cluster, "tenant", "ClusterRole/edit", "mallory");
    world.eventually("mallory", member);
    // A policy that opts in comes with its own permission, also where one of its name was there.
    world.apply("mallory", &protected).refused();
    world.apply("admin", &protected).ok();
    let said = world.eventually_refused("mallory", member);
    assert!(
        said.contains("join networkpolicies.networking.k8s.io/shelf -n tenant"),
        "{said}"
    );
}
