//! Attacks on what isolates a namespace, by its own people and by whoever makes namespaces: every one is refused and changes
//! nothing. With `manage` it is accepted, and put back under Enforce; where isolation only warns, it stays.

use std::collections::BTreeMap;

use ringfence_controlplane::{Response, eventually};
use serde_json::{Value, json};

use crate::world::{GUARDRAILS, RESTRICTED, World, pod, policies, world};

const JSON: &str = "application/json";
const MERGE: &str = "application/merge-patch+json";
const PATCH: &str = "application/json-patch+json";
const APPLY: &str = "application/apply-patch+yaml";

/// Made up, and so owned by nothing: the garbage collector deletes what such an owner is given.
const NO_UID: &str = "00000000-0000-0000-0000-000000000000";

/// Something done to the policies of a namespace.
struct Deed {
    what: &'static str,
    method: &'static str,
    /// After the path of the namespace's policies.
    path: String,
    kind: &'static str,
    body: Value,
}

fn deed(what: &'static str, method: &'static str, path: &str, kind: &'static str, body: Value) -> Deed {
    Deed {
        what,
        method,
        path: path.to_owned(),
        kind,
        body,
    }
}

/// A request of somebody's, made by the administrator in his name.
fn by(world: &World, user: &str, method: &str, path: &str, kind: &str, body: &Value) -> Response {
    let request = world.cluster.request("admin", method, path);
    request
        .header("impersonate-user", user)
        .header("content-type", kind)
        .body(body.to_string())
        .send()
}

impl Deed {
    fn done(&self, world: &World, user: &str, namespace: &str) -> Response {
        let path = format!("{}{}", policies(namespace), self.path);
        by(world, user, self.method, &path, self.kind, &self.body)
    }
}

fn open(name: &str) -> Value {
    json!({"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": {"name": name},
        "spec": {"podSelector": {}, "policyTypes": ["Ingress"], "ingress": [{}]}})
}

/// What undoes an injected policy.
fn undoing() -> Vec<Deed> {
    let deny = format!("/{}", RESTRICTED[2]);
    let foreground = format!("{deny}?propagationPolicy=Foreground");
    let orphan = json!({"apiVersion": "v1", "kind": "DeleteOptions", "propagationPolicy": "Orphan"});
    let owner = json!([{"apiVersion": "v1", "kind": "ConfigMap", "name": "gone", "uid": NO_UID}]);
    let metadata = |metadata: Value| json!({"metadata": metadata});
    let ours = "/metadata/labels/app.kubernetes.io~1managed-by";
    let nobody = json!([{"op": "add", "path": "/spec/podSelector/matchLabels", "value": {"app": "nobody"}}]);
    vec![
        deed("deleted", "DELETE", &deny, JSON, json!({})),
        deed("deleted in the foreground", "DELETE", &foreground, JSON, json!({})),
        deed("deleted, leaving orphans", "DELETE", &deny, JSON, orphan),
        deed("deleted with all others", "DELETE", "", JSON, json!({})),
        deed("opened", "PATCH", &deny, MERGE, json!({"spec": {"ingress": [{}]}})),
        deed(
            "another direction",
            "PATCH",
            &deny,
            MERGE,
            json!({"spec": {"policyTypes": ["Egress"]}}),
        ),
        deed("selecting nobody", "PATCH", &deny, PATCH, nobody),
        deed("put", "PUT", &deny, JSON, open(RESTRICTED[2])),
        deed(
            "applied by force",
            "PATCH",
            &format!("{deny}?fieldManager=tess&force=true"),
            APPLY,
            open(RESTRICTED[2]),
        ),
        deed(
            "disowned",
            "PATCH",
            &deny,
            PATCH,
            json!([{"op": "remove", "path": ours}]),
        ),
        deed(
            "given to the garbage collector",
            "PATCH",
            &deny,
            MERGE,
            metadata(json!({"ownerReferences": owner})),
        ),
        deed(
            "held up",
            "PATCH",
            &deny,
            MERGE,
            metadata(json!({"finalizers": ["example.com/stays"]})),
        ),
    ]
}

/// What takes a place beforehand, or poses as ringfence's.
fn planting() -> Vec<Deed> {
    let labelled = json!({"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy",
        "metadata": {"name": "mine", "labels": {"app.kubernetes.io/managed-by": "ringfence"}}, "spec": {"podSelector": {}}});
    let mut generated = open("");
    generated["metadata"] = json!({"generateName": "ringfence-"});
    vec![
        deed("planted", "POST", "", JSON, open("ringfence-allow-same-namespace")),
        deed("planted by a generated name", "POST", "", JSON, generated),
        deed("posing as ringfence's", "POST", "", JSON, labelled),
    ]
}

/// Every policy of a namespace as one version of one object.
fn versions(world: &World, namespace: &str) -> BTreeMap<String, (Value, Value)> {
    let versions = world.policies(namespace).into_iter().map(|policy| {
        let metadata = &policy["metadata"];
        let name = metadata["name"].as_str().expect("named").to_owned();
        (name, (metadata["uid"].clone(), metadata["resourceVersion"].clone()))
    });
    versions.collect()
}

/// Whether the policies are what the profile says, and nobody holds or owns them.
fn whole(world: &World, namespace: &str, specs: &BTreeMap<String, Value>) -> bool {
    let standing = world.policies(namespace);
    standing.len() == specs.len()
        && standing.iter().all(|policy| {
            let metadata = &policy["metadata"];
            let free = ["finalizers", "ownerReferences", "deletionTimestamp"];
            specs.get(metadata["name"].as_str().expect("named")) == Some(&policy["spec"])
                && metadata["labels"]["app.kubernetes.io/managed-by"] == "ringfence"
                && free.iter().all(|field| metadata[field].is_null())
        })
}

fn specs(world: &World, namespace: &str) -> BTreeMap<String, Value> {
    let standing = world.policies(namespace).into_iter();
    let specs = standing.map(|policy| {
        let name = policy["metadata"]["name"].as_str().expect("named").to_owned();
        (name, policy["spec"].clone())
    });
    specs.collect()
}

/// A namespace with its policies, `ada` as its `admin`, and `tess` with every verb on everything in it.
fn tenancy(world: &World, namespace: &str) {
    world.namespace(namespace, &json!({}));
    world.wait_for_policies(namespace, &RESTRICTED);
    let make = |arguments: &[&str]| world.admin(&[&["-n", namespace, "create"], arguments].concat()).ok();
    make(&["rolebinding", "ada", "--clusterrole=admin", "--user=ada"]);
    make(&["role", "everything", "--verb=*", "--resource=*.*"]);
    make(&["rolebinding", "tess", "--role=everything", "--user=tess"]);
}

#[test]
fn nothing_that_a_tenant_does_to_its_isolation_is_let_in_or_leaves_a_trace() {
    let Some(world) = world() else { return };
    tenancy(&world, "tenant");
    let before = versions(&world, "tenant");
    for user in ["ada", "tess"] {
        for deed in undoing().iter().chain(&planting()) {
            let said = deed.done(&world, user, "tenant").refused(403);
            assert!(
                said.contains("networkpolicies.guard.ringfence.dev") && said.contains("may not be"),
                "{user}, {}: {said}",
                deed.what
            );
            assert_eq!(versions(&world, "tenant"), before, "{user}, {}", deed.what);
        }
    }
    // Its own policies are its own, also in one collection with ours.
    let own = |name: &str| deed("own", "POST", "", JSON, open(name));
    own("own").done(&world, "ada", "tenant").ok();
    let mine = format!("{}/own", policies("tenant"));
    by(&world, "ada", "DELETE", &mine, JSON, &json!({})).ok();

    relabelling(&world);
    assert_eq!(versions(&world, "tenant"), before);
    quota_of_none(&world, &before);

    // The namespace goes, with what holds it up for a while: nothing of it is undone before its pods are gone.
    let mut held = pod("held");
    held["metadata"]["finalizers"] = json!(["example.com/stays"]);
    let pods = "/api/v1/namespaces/tenant/pods";
    by(&world, "tess", "POST", pods, JSON, &held).ok();
    by(&world, "tess", "DELETE", "/api/v1/namespaces/tenant", JSON, &json!({})).ok();
    eventually("the namespace to be going", || {
        let namespace = world.cluster.object(&["namespace", "tenant"])?;
        (namespace["status"]["phase"] == "Terminating").then_some(())
    });
    for deed in undoing() {
        let answer = deed.done(&world, "tess", "tenant");
        assert_eq!(answer.status, 403, "{}: {answer}", deed.what);
    }
    assert_eq!(versions(&world, "tenant"), before);
    let release = json!({"metadata": {"finalizers": null}});
    by(&world, "tess", "PATCH", &format!("{pods}/held"), MERGE, &release).ok();
    eventually("the namespace to be gone", || {
        world.cluster.object(&["namespace", "tenant"]).is_none().then_some(())
    });
}

/// By the label that chooses the profile: whoever holds every verb in a namespace may label it, through each of its doors.
fn relabelling(world: &World) {
    let one = "/api/v1/namespaces/tenant";
    for profile in ["none", "open", "gone"] {
        let labelled = json!({"metadata": {"labels": {"ringfence.dev/isolation": profile}}});
        let mut whole = world.cluster.object(&["namespace", "tenant"]).expect("it is there");
        whole["metadata"]["labels"]["ringfence.dev/isolation"] = json!(profile);
        let applied = json!({"apiVersion": "v1", "kind": "Namespace",
            "metadata": {"name": "tenant", "labels": {"ringfence.dev/isolation": profile}}});
        let doors = [
            ("PATCH", one.to_owned(), MERGE, &labelled),
            ("PATCH", format!("{one}/status"), MERGE, &labelled),
            ("PUT", format!("{one}/finalize"), JSON, &whole),
            ("PATCH", format!("{one}?fieldManager=tess&force=true"), APPLY, &applied),
        ];
        for (method, path, kind, body) in doors {
            let answer = by(world, "tess", method, &path, kind, body);
            let said = answer.refused(403);
            assert!(said.contains("namespaces.guard.ringfence.dev"), "{path}: {said}");
        }
    }
}

/// By a quota that leaves no room for policies: those that stand stay, and so do they when the profile has become another.
fn quota_of_none(world: &World, before: &BTreeMap<String, (Value, Value)>) {
    let quotas = "/api/v1/namespaces/tenant/resourcequotas";
    let quota =
        json!({"metadata": {"name": "none"}, "spec": {"hard": {"count/networkpolicies.networking.k8s.io": "0"}}});
    by(world, "tess", "POST", quotas, JSON, &quota).ok();
    eventually("the quota to count", || {
        let quota = world.cluster.object(&["-n", "tenant", "resourcequota", "none"])?;
        quota["status"]["hard"].is_object().then_some(())
    });
    let pods = "/api/v1/namespaces/tenant/pods";
    by(world, "tess", "POST", pods, JSON, &pod("at-home")).ok();
    let another = GUARDRAILS.replace("    - builtin: allow-dns\n", "    - builtin: allow-same-namespace\n");
    world.configure(&another);
    let said = eventually("it to be told", || {
        let profile = world
            .cluster
            .object(&["isolationprofile.ringfence.dev", "restricted"])?;
        let failing = profile["status"]["failingNamespaces"].to_string();
        failing.contains("tenant: ").then_some(failing)
    });
    assert!(said.contains("exceeded quota"), "{said}");
    let refused = by(world, "tess", "POST", pods, JSON, &pod("refused")).refused(403);
    assert!(refused.contains("exceeded quota"), "{refused}");
    let standing = versions(world, "tenant");
    for (name, version) in before {
        assert_eq!(
            standing.get(name),
            Some(version),
            "the old ones stay until the new ones stand"
        );
    }
    world.configure(GUARDRAILS);
    by(world, "tess", "DELETE", &format!("{quotas}/none"), JSON, &json!({})).ok();
    by(world, "tess", "POST", pods, JSON, &pod("let-in")).ok();
    assert_eq!(versions(world, "tenant"), *before);
}

#[test]
fn whoever_makes_namespaces_makes_no_way_around_their_isolation() {
    let Some(world) = world() else { return };
    let make = |arguments: &[&str]| world.admin(&[&["create"], arguments].concat()).ok();
    make(&["clusterrole", "makes-namespaces", "--verb=*", "--resource=namespaces"]);
    make(&[
        "clusterrolebinding",
        "nora",
        "--clusterrole=makes-namespaces",
        "--user=nora",
    ]);
    let namespaces = "/api/v1/namespaces";
    let named = |metadata: Value| json!({"metadata": metadata});
    for profile in ["none", "open", "gone"] {
        let labels = json!({"ringfence.dev/isolation": profile});
        for metadata in [
            json!({"name": "norasown", "labels": labels}),
            json!({"generateName": "nora-", "labels": labels}),
        ] {
            let said = by(&world, "nora", "POST", namespaces, JSON, &named(metadata)).refused(403);
            assert!(said.contains("namespaces.guard.ringfence.dev"), "{said}");
        }
    }
    // Deleted and made anew, again and again, it has its policies before its first pod.
    world.stall_watches();
    for round in 0..3 {
        by(
            &world,
            "nora",
            "POST",
            namespaces,
            JSON,
            &named(json!({"name": "nora"})),
        )
        .ok();
        let account = json!({"metadata": {"name": "default"}});
        world.post("/api/v1/namespaces/nora/serviceaccounts", &account);
        world.pod("nora", "first").ok();
        assert_eq!(world.policy_names("nora"), RESTRICTED, "round {round}");
        by(&world, "nora", "DELETE", "/api/v1/namespaces/nora", JSON, &json!({})).ok();
        eventually("it to be gone", || {
            world.cluster.object(&["namespace", "nora"]).is_none().then_some(())
        });
    }
}

#[test]
fn with_manage_it_is_accepted_and_put_back_and_where_isolation_warns_it_stays() {
    let Some(world) = world() else { return };
    tenancy(&world, "managed");
    let specs = specs(&world, "managed");
    let make = |arguments: &[&str]| world.admin(&[&["create"], arguments].concat()).ok();
    let verb = ["--verb=manage", "--resource=isolationprofiles.ringfence.dev"];
    let role = ["clusterrole", "manages", verb[0], verb[1], "--resource-name=restricted"];
    make(&role);
    make(&["clusterrolebinding", "mandy", "--clusterrole=manages", "--user=mandy"]);
    let bind = ["rolebinding", "mandy", "--clusterrole=admin", "--user=mandy"];
    world
        .admin(&[&["-n", "managed", "create"], bind.as_slice()].concat())
        .ok();
    // Nor does the permission reach to another profile's namespaces.
    world.namespace("managed-open", &json!({"ringfence.dev/isolation": "open"}));
    world.wait_for_policies("managed-open", &crate::world::OPEN);
    world
        .admin(&[&["-n", "managed-open", "create"], bind.as_slice()].concat())
        .ok();
    let delete = &undoing()[0];
    let said = delete.done(&world, "mandy", "managed-open").refused(403);
    assert!(said.contains("isolationprofiles.ringfence.dev/open"), "{said}");

    for deed in undoing() {
        let answer = deed.done(&world, "mandy", "managed");
        assert!((200..300).contains(&answer.status), "{}: {answer}", deed.what);
        eventually(&format!("what was {} to be put back", deed.what), || {
            whole(&world, "managed", &specs).then_some(())
        });
    }
    // What ringfence did not make is not its to take away.
    let planted: Vec<Value> = planting()
        .iter()
        .map(|deed| deed.done(&world, "mandy", "managed").ok())
        .collect();
    let names = planted.iter().map(|policy| policy["metadata"]["name"].as_str());
    let names: Vec<&str> = names.map(|name| name.expect("named")).collect();
    undoing()[0].done(&world, "mandy", "managed").ok();
    eventually("the repair that follows", || {
        specs
            .keys()
            .all(|name| world.policy_names("managed").contains(name))
            .then_some(())
    });
    for name in names {
        let path = format!("{}/{name}", policies("managed"));
        by(&world, "mandy", "DELETE", &path, JSON, &json!({})).ok();
    }
    assert!(whole(&world, "managed", &specs));
    // After a repair nothing moves any more.
    let settled = versions(&world, "managed");
    world.pod("managed", "first").ok();
    assert_eq!(versions(&world, "managed"), settled);

    world.configure(&GUARDRAILS.replace("isolation: {mode: Enforce", "isolation: {mode: Warn"));
    let opened = undoing()
        .into_iter()
        .find(|deed| deed.what == "opened")
        .expect("listed");
    let after = opened.done(&world, "ada", "managed").ok();
    world
        .ringfence
        .wait_for_record("somebody without the permission", |record| {
            let findings = record["findings"].as_array().into_iter().flatten();
            record["namespace"] == "managed" && findings.into_iter().any(|finding| finding["rule"] == "Injected")
        });
    let later = world.pod("managed", "second").ok();
    assert!(!later.is_null());
    let standing = versions(&world, "managed");
    let (_, version) = &standing[RESTRICTED[2]];
    assert_eq!(*version, after["metadata"]["resourceVersion"], "nothing is put back");
    world.configure(GUARDRAILS);
    eventually("it to be put back", || whole(&world, "managed", &specs).then_some(()));
}
