//! What tenants try with the label that protects policies: to opt in by some way of writing that nobody thought of, to claim
//! pods by selectors that look like their own namespace's, to keep a namespace from going away.

use std::time::{Duration, Instant};

use super::*;

/// Whether nobody opted in there.
#[track_caller]
fn nothing_is_in(world: &World, namespace: &str, after: &str) {
    let get = format!("get networkpolicies -n {namespace} -l {LABEL} -o name");
    assert_eq!(world.kubectl("admin", &get).ok().trim(), "", "after {after}");
}

impl World {
    fn apply_as(&self, user: &str, arguments: &[&str], object: &Value) -> Output {
        let user = format!("--as={user}");
        let call = self.cluster.kubectl("admin").args(["apply", "-f", "-", &user]);
        call.args(arguments.iter().copied()).stdin(object.to_string()).run()
    }
}

#[test]
fn no_way_of_writing_opts_a_policy_in_without_protect() {
    let Some(world) = WORLD.get() else { return };
    library(world, "stacks");
    let own = json!([{"podSelector": {"matchLabels": {"shelf": "reader"}}}]);
    let labels = json!({LABEL: "true"});
    let mut labelled = policy("stacks", "shelf", &own);
    labelled["metadata"]["labels"] = labels.clone();
    let mut named = labelled.clone();
    named["metadata"]["name"] = json!("another");
    let mut owned = named.clone();
    owned["metadata"]["ownerReferences"] =
        json!([{"apiVersion": "v1", "kind": "ConfigMap", "name": "kube-root-ca.crt", "uid": "1"}]);
    let mut generated = labelled.clone();
    generated["metadata"] = json!({"generateName": "shelf-", "namespace": "stacks", "labels": labels});
    let labels_alone = json!({"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy",
        "metadata": {"name": "shelf", "namespace": "stacks", "labels": labels}});
    let server_side: &[&str] = &["--server-side", "--force-conflicts", "--field-manager=me"];
    let applied: [(&str, &[&str], &Value); 6] = [
        ("an apply", &[], &labelled),
        ("a server-side apply", server_side, &labelled),
        ("a server-side apply of the label alone", server_side, &labels_alone),
        ("a server-side apply of a new one", server_side, &named),
        ("an apply of one that has an owner", &[], &owned),
        ("a dry run", &["--dry-run=server"], &named),
    ];
    for (how, arguments, object) in applied {
        let said = world.apply_as("mallet", arguments, object).refused();
        assert!(said.contains("may not be protected"), "{how}: {said}");
        nothing_is_in(world, "stacks", how);
    }
    let said = world.write_as("mallet", "create", &generated).refused();
    assert!(said.contains("may not be protected"), "{said}");
    let path = "/metadata/labels";
    let patches = [
        ("merge", json!({"metadata": {"labels": labels}})),
        ("strategic", json!({"metadata": {"labels": labels}})),
        (
            "strategic",
            json!({"metadata": {"labels": {"$patch": "replace", LABEL: "true"}}}),
        ),
        ("json", json!([{"op": "add", "path": path, "value": labels}])),
    ];
    for (kind, patch) in &patches {
        for subresource in [None, Some("--subresource=status")] {
            let text = patch.to_string();
            let arguments = [
                "patch",
                "networkpolicy",
                "shelf",
                "-n",
                "stacks",
                "--as=mallet",
                "--type",
                kind,
                "-p",
                &text,
            ];
            let call = world.cluster.kubectl("admin").args(arguments).args(subresource);
            // There is no such subresource to write by, and a directive may come to nothing.
            let output = call.run();
            let nothing = !output.success || output.stdout.contains("(no change)");
            assert!(nothing, "{kind} {patch} {subresource:?}: {}", output.stdout);
            nothing_is_in(world, "stacks", &format!("{kind} {patch} {subresource:?}"));
        }
    }
    world
        .as_user("mallet", &format!("label networkpolicies --all -n stacks {LABEL}=true"))
        .refused();
    nothing_is_in(world, "stacks", "all of them at once");

    // A namespace's label says nothing of its policies, and a dry run of who may changes nothing.
    world
        .kubectl("admin", &format!("label namespace stacks {LABEL}=true"))
        .ok();
    world
        .grant("admin", "protect networkpolicies/shelf -n stacks --user vera")
        .ok();
    world.eventually(
        "admin",
        &format!("label networkpolicy shelf -n stacks {LABEL}=true --dry-run=server --as=vera"),
    );
    nothing_is_in(world, "stacks", "a dry run of who may");
    let told = world.ringfence("validate --cluster");
    assert!(!told.contains("stacks/shelf"), "{told}");
    world.kubectl("admin", &place("stacks", "app=shelf", "mallet")).ok();

    // Who says to be the manager that owns the label takes it away by leaving it out.
    let as_owner: &[&str] = &["--server-side", "--force-conflicts", "--field-manager=owner"];
    world.apply_as("vera", as_owner, &labelled).ok();
    let said = world
        .apply_as("mallet", as_owner, &policy("stacks", "shelf", &own))
        .refused();
    assert!(said.contains("may not opt out of protection"), "{said}");
}

/// Who may do everything in a namespace holds `protect` there, and still claims no pods elsewhere.
#[test]
fn who_may_do_everything_in_one_namespace_stops_nobody_in_others() {
    let Some(world) = WORLD.get() else { return };
    let pods = json!({"matchLabels": {"role": "hoarded"}});
    let protected = |peers: &Value| {
        let mut object = policy("tenant", "hoard", peers);
        object["metadata"]["name"] = json!("hoard");
        object["metadata"]["labels"] = json!({LABEL: "true"});
        object
    };
    let name = "kubernetes.io/metadata.name";
    let one = |requirement: Value| json!({"matchExpressions": [requirement]});
    for namespaces in [
        json!({}),
        one(json!({"key": name, "operator": "NotIn", "values": ["tenant"]})),
        one(json!({"key": name, "operator": "NotIn", "values": ["nowhere"]})),
        one(json!({"key": "hoard", "operator": "DoesNotExist"})),
        one(json!({"key": name, "operator": "In", "values": ["tenant", "web"]})),
        json!({"matchLabels": {"hoard": "mine"}}),
    ] {
        for pods in [
            &pods,
            &json!({}),
            &one(json!({"key": "hoard", "operator": "DoesNotExist"})),
        ] {
            let peers = json!([{"podSelector": pods, "namespaceSelector": namespaces}]);
            let said = world.apply("tess", &protected(&peers)).refused();
            assert!(said.contains("reaches beyond tenant"), "{namespaces} {pods}: {said}");
        }
    }
    // Her own she may, with any selector: nobody else's are asked for.
    let own = json!([{"podSelector": one(json!({"key": "hoard", "operator": "DoesNotExist"}))}]);
    world.apply("tess", &protected(&own)).ok();
    let published = "get segment.ringfence.dev derived.tenant.hoard --ignore-not-found -o jsonpath={.status.clients}";
    world.eventually_says(published, "!hoard in tenant");
    world
        .kubectl(
            "ci",
            "run probe -n web --image=app --labels=role=hoarded,app=shelf --dry-run=server",
        )
        .ok();
    world.kubectl("tess", "delete networkpolicy hoard -n tenant").ok();
    world.eventually_says(published, "");
}

/// What goes with its namespace goes, protected or not, and nobody who may delete the namespace needs `protect`.
#[test]
fn a_namespace_with_protected_policies_can_be_deleted() {
    let Some(world) = WORLD.get() else { return };
    library(world, "pulped");
    world
        .kubectl("admin", &format!("label networkpolicy shelf -n pulped {LABEL}=true"))
        .ok();
    let published = "get segment.ringfence.dev derived.pulped.shelf --ignore-not-found -o name";
    world.eventually_says(published, "segment.ringfence.dev/derived.pulped.shelf");
    let role = json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": {"name": "pulps"},
        "rules": [{"apiGroups": [""], "resources": ["namespaces"], "resourceNames": ["pulped"], "verbs": ["delete", "get"]}]});
    world.apply("admin", &role).ok();
    world
        .kubectl(
            "admin",
            "create clusterrolebinding pulps --clusterrole=pulps --user=mallet",
        )
        .ok();
    world.eventually("admin", "auth can-i delete namespaces/pulped --as=mallet");
    world
        .as_user("mallet", "delete networkpolicy --all -n pulped")
        .refused();
    world.as_user("mallet", "delete namespace pulped --wait=false").ok();
    world.eventually_says("get namespace pulped --ignore-not-found -o name", "");
    world.eventually_says(published, "");
}

/// How long reviews go on to be answered by what a policy said before. Printed: a machine that has much else to do is no
/// measure of it.
#[test]
fn a_change_of_a_protected_policy_is_in_force_soon() {
    let Some(world) = WORLD.get() else { return };
    let policies = "/apis/networking.k8s.io/v1/namespaces/web/networkpolicies";
    let quick = |name: &str, app: &str| {
        json!({"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy",
            "metadata": {"name": name, "namespace": "web", "labels": {LABEL: "true"}},
            "spec": {"podSelector": {"matchLabels": {"quick": app}}}})
    };
    let write = |method: &str, path: &str, body: &Value| {
        world.cluster.request("admin", method, path).json(body).send().ok();
        Instant::now()
    };
    let placed = |app: &str| {
        let pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "quick", "labels": {"quick": app}},
            "spec": {"containers": [{"name": "main", "image": "app"}]}});
        let request = world
            .cluster
            .request("mallory", "POST", "/api/v1/namespaces/web/pods?dryRun=All");
        match request.json(&pod).send() {
            answer if answer.status == 201 => true,
            answer => {
                let why = answer.refused(403);
                assert!(why.contains("may not join segment web/quick"), "{why}");
                false
            }
        }
    };
    // Both replicas answer in turn: so many in a row are answers of both.
    let until = |since: Instant, app: &str, expected: bool| {
        let (mut last, mut in_a_row) = (Duration::ZERO, 0);
        while in_a_row < 8 {
            if placed(app) == expected {
                in_a_row += 1;
            } else {
                (last, in_a_row) = (since.elapsed(), 0);
                assert!(last < PATIENCE, "not in force {last:?} after the policy changed");
            }
        }
        last
    };
    let one = format!("{policies}/quick");
    let mut times = Vec::new();
    for _ in 0..5 {
        let since = write("POST", policies, &quick("quick", "a"));
        times.push(until(since, "a", false));
        let since = write(
            "PATCH",
            &one,
            &json!({"spec": {"podSelector": {"matchLabels": {"quick": "b"}}}}),
        );
        times.push(until(since, "b", false));
        times.push(until(since, "a", true));
        let since = write("DELETE", &one, &json!({}));
        times.push(until(since, "b", true));
    }
    times.sort_unstable();
    let (middle, slowest) = (times[times.len() / 2], times[times.len() - 1]);
    println!(
        "of {} changes of a protected policy half were in force on both replicas after {} ms, all after {} ms",
        times.len(),
        middle.as_millis(),
        slowest.as_millis()
    );
}
