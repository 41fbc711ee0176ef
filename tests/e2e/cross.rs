//! What a segment is isolated from: opened by policies on either side and by the labels of namespaces, each refused and, with
//! the permission, accepted.

use ringfence_controlplane::{Output, wait_until};
use serde_json::{Value, json};

use super::modes::told_where_not_enforced;
use super::world::{PATIENCE, World, bind};

/// Three segments of one kind, each in its own namespace and mode, isolated from namespaces labelled `env=dev`.
fn guardrails() -> String {
    let segment = |name: &str, mode: &str| {
        format!(
            "---
apiVersion: ringfence.dev/v1alpha1
kind: Segment
metadata: {{name: {name}}}
spec:
  description: Ask team ledger.
  mode: {mode}
  consent: {{cluster: true}}
  members: [{{namespaces: [{name}], podSelector: {{matchLabels: {{app: db}}}}}}]
  isolatedFrom: [{{namespaceSelector: {{matchLabels: {{env: dev}}}}}}]
"
        )
    };
    let head =
        "apiVersion: ringfence.dev/v1alpha1\nkind: Guardrails\nmetadata: {name: default}\nspec: {mode: Enforce}\n";
    [
        head.to_owned(),
        segment("ledger", "Enforce"),
        segment("warned", "Warn"),
        segment("audited", "Audit"),
    ]
    .concat()
}

fn policy(namespace: &str, name: &str, spec: &Value) -> Value {
    json!({
        "apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy",
        "metadata": {"name": name, "namespace": namespace}, "spec": spec,
    })
}

/// A policy over every pod that lets these in.
fn from(peers: &Value) -> Value {
    json!({"podSelector": {}, "policyTypes": ["Ingress"], "ingress": [{"from": peers}]})
}

/// A policy over every pod that lets them out to these.
fn to(peers: &Value) -> Value {
    json!({"podSelector": {}, "policyTypes": ["Egress"], "egress": [{"to": peers}]})
}

#[track_caller]
fn crosses(said: &str) {
    assert!(
        said.contains("may not connect to what segment ledger is isolated from")
            || said.contains("may not leave what segment ledger is isolated from"),
        "{said}"
    );
    assert!(
        said.contains("ringfence grant cross segments/ledger --cluster --user"),
        "{said}"
    );
}

/// Waits until both replicas refuse: until then one of them may not have seen what makes it so.
#[track_caller]
fn soon_refused(world: &World, call: impl Fn(&World) -> Output) {
    let refused = wait_until(PATIENCE, "ten refusals in a row", || {
        let mut said = None;
        for _ in 0..10 {
            let output = call(world);
            if output.success {
                return None;
            }
            said = Some(output.stderr);
        }
        said
    });
    crosses(&refused.unwrap_or_else(|error| panic!("{error}")));
}

fn people(world: &World) {
    for (namespace, user) in [
        ("ledger", "pam"),
        ("warned", "pam"),
        ("audited", "pam"),
        ("dev-1", "mallory"),
    ] {
        world.kubectl("admin", &format!("create namespace {namespace}")).ok();
        bind(&world.cluster, namespace, "ClusterRole/edit", user);
    }
    // The policies are pam's: nothing but the permission to cross is in the way.
    for segment in ["ledger", "warned", "audited"] {
        world
            .grant("admin", &format!("manage segments/{segment} --cluster --user pam"))
            .ok();
    }
    world.kubectl("admin", "label namespace dev-1 env=dev").ok();
    let may_label = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": {"name": "labels-namespaces"},
        "rules": [{
            "apiGroups": [""], "resources": ["namespaces", "namespaces/status", "namespaces/finalize"],
            "verbs": ["create", "get", "update", "patch"],
        }],
    });
    world.apply("admin", &may_label).ok();
    world
        .kubectl(
            "admin",
            "create clusterrolebinding nate --clusterrole=labels-namespaces --user=nate",
        )
        .ok();
    world.eventually("nate", "label namespace dev-1 seen=yes");
}

#[test]
fn what_a_segment_is_isolated_from_stays_apart() {
    let Some(world) = World::own(&guardrails()) else { return };
    people(&world);
    soon_refused(&world, |world| {
        let open = policy("ledger", "open", &from(&json!([{"namespaceSelector": {}}])));
        dry_run(world, "pam", &open)
    });
    by_policies_over_members(&world);
    by_policies_over_what_is_apart(&world);
    by_labels(&world);
    modes(&world);
    with_the_permission(&world);
}

fn dry_run(world: &World, user: &str, object: &Value) -> Output {
    let kubectl = world.cluster.kubectl(user);
    let args = ["create", "--dry-run=server", "-f", "-"];
    kubectl.args(args).stdin(object.to_string()).run()
}

fn by_policies_over_members(world: &World) {
    let dev = json!({"namespaceSelector": {"matchLabels": {"env": "dev"}}});
    let blue = json!({"namespaceSelector": {"matchLabels": {"team": "blue"}}});
    let by_name = json!({"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "dev-1"}}});
    let all_but =
        json!({"namespaceSelector": {"matchExpressions": [{"key": "env", "operator": "NotIn", "values": ["prod"]}]}});
    let some_pods = json!({"namespaceSelector": {}, "podSelector": {"matchLabels": {"app": "web"}}});
    let narrow = json!({"podSelector": {"matchExpressions": [{"key": "tier", "operator": "Exists"}]}, "ingress": [{}]});
    for spec in [
        from(&json!([dev])),
        from(&json!([blue, by_name])),
        from(&json!([all_but])),
        from(&json!([some_pods])),
        from(&json!([])),
        to(&json!([dev])),
        narrow,
    ] {
        crosses(&dry_run(world, "pam", &policy("ledger", "open", &spec)).refused());
    }
    // An update opens as well as a new one; an innocent one is let in.
    world
        .apply("pam", &policy("ledger", "from-blue", &from(&json!([blue]))))
        .ok();
    world
        .apply("pam", &policy("ledger", "from-blue", &from(&json!([blue, dev]))))
        .refused();
    let add = r#"[{"op":"add","path":"/spec/ingress/0/from/-","value":{"namespaceSelector":{}}}]"#;
    crosses(
        &world
            .kubectl("pam", &format!("patch netpol from-blue -n ledger --type=json -p={add}"))
            .refused(),
    );
    // Who may only edit there needs both.
    bind(&world.cluster, "ledger", "ClusterRole/edit", "opal");
    let open = policy("ledger", "open", &from(&json!([dev])));
    let said = wait_until(PATIENCE, "opal to edit", || {
        let said = dry_run(world, "opal", &open).refused();
        said.contains("segment ledger").then_some(said)
    });
    let said = said.unwrap_or_else(|error| panic!("{error}"));
    assert!(said.contains("may not be created over segment ledger"), "{said}");
    crosses(&said);
}

/// As somebody who edits in the isolated namespace alone.
fn by_policies_over_what_is_apart(world: &World) {
    let ledger = json!({"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "ledger"}}});
    let dns = json!({"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "kube-system"}}});
    for spec in [
        to(&json!([ledger])),
        to(&json!([])),
        to(&json!([dns, {"namespaceSelector": {}, "podSelector": {"matchLabels": {"app": "db"}}}])),
        from(&json!([ledger])),
        json!({"podSelector": {"matchLabels": {"app": "mine"}}, "egress": [{"ports": [{"port": 3306}]}]}),
    ] {
        crosses(&dry_run(world, "mallory", &policy("dev-1", "out", &spec)).refused());
    }
    let others = json!({"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "ledger"}},
        "podSelector": {"matchLabels": {"app": "api"}}});
    let within = json!({"podSelector": {}});
    world
        .apply("mallory", &policy("dev-1", "out", &to(&json!([dns, within, others]))))
        .ok();
    let replaced = policy("dev-1", "out", &to(&json!([dns, ledger])));
    crosses(&world.apply("mallory", &replaced).refused());
    // What only says who owns it says nothing new; what goes opens nothing.
    world.kubectl("mallory", "label netpol out -n dev-1 team=blue").ok();
    world.kubectl("mallory", "delete netpol out -n dev-1").ok();
}

/// While `from-blue` stands over members.
fn by_labels(world: &World) {
    let label = "label namespace dev-1 team=blue";
    soon_refused(world, |world| {
        world.kubectl("nate", &format!("{label} --dry-run=server"))
    });
    crosses(&world.kubectl("nate", label).refused());
    let patch = r#"{"metadata":{"labels":{"team":"blue"}}}"#;
    crosses(
        &world
            .kubectl("nate", &format!("patch namespace dev-1 --type=merge -p={patch}"))
            .refused(),
    );
    crosses(
        &world
            .kubectl(
                "nate",
                &format!("patch namespace dev-1 --subresource=status --type=merge -p={patch}"),
            )
            .refused(),
    );
    let mut finalized = world
        .cluster
        .kubectl("admin")
        .args(["get", "namespace", "dev-1", "-o", "json"])
        .run()
        .json();
    finalized["metadata"]["labels"]["team"] = "blue".into();
    let finalize =
        world
            .cluster
            .kubectl("nate")
            .args(["replace", "--raw", "/api/v1/namespaces/dev-1/finalize", "-f", "-"]);
    crosses(&finalize.stdin(finalized.to_string()).run().refused());
    // Slipping out of what is isolated.
    crosses(&world.kubectl("nate", "label namespace dev-1 env-").refused());
    crosses(
        &world
            .kubectl("nate", "label namespace dev-1 env=prod --overwrite")
            .refused(),
    );
    // A new one that comes with both labels.
    let namespace = |name: &str, labels: Value| json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}});
    crosses(
        &world
            .apply("nate", &namespace("dev-2", json!({"env": "dev", "team": "blue"})))
            .refused(),
    );
    world.apply("nate", &namespace("dev-2", json!({"env": "dev"}))).ok();
    world.apply("nate", &namespace("blue", json!({"team": "blue"}))).ok();
    crosses(&world.kubectl("nate", "label namespace blue env=dev").refused());
    world.kubectl("nate", "label namespace blue seen=yes").ok();
}

fn modes(world: &World) {
    let open = from(&json!([{"namespaceSelector": {}}]));
    let warning = "NetworkPolicy warned/open may not connect to what segment warned is isolated from";
    told_where_not_enforced(world, "Cross", warning, |namespace| {
        world.apply("pam", &policy(namespace, "open", &open))
    });
}

fn with_the_permission(world: &World) {
    for user in ["pam", "mallory", "nate"] {
        world
            .grant("admin", &format!("cross segments/ledger --cluster --user {user}"))
            .ok();
    }
    let soon = |what: &str, call: &dyn Fn() -> Output| {
        let done = wait_until(PATIENCE, what, || call().success.then_some(()));
        done.unwrap_or_else(|error| panic!("{error}; now: {}", call().stderr));
    };
    let open = policy(
        "ledger",
        "open",
        &from(&json!([{"namespaceSelector": {"matchLabels": {"env": "dev"}}}])),
    );
    soon("pam to cross", &|| world.apply("pam", &open));
    let out = policy("dev-1", "out", &to(&json!([])));
    soon("mallory to cross", &|| world.apply("mallory", &out));
    world.eventually("nate", "label namespace dev-1 team=blue");
    let both = json!({"apiVersion": "v1", "kind": "Namespace",
        "metadata": {"name": "dev-3", "labels": {"env": "dev", "team": "blue"}}});
    soon("nate to create", &|| world.apply("nate", &both));
    world.eventually("nate", "label namespace dev-1 env-");
}
