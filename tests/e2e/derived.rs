//! Policies that opt in to protection: docs/derived-segments.md, walked; then everything that somebody who may `edit` could
//! try against one, with and without `protect` in that one namespace.

mod attacks;

use std::time::Instant;

use ringfence_controlplane::{Output, wait_until};
use serde_json::{Value, json};

use super::recipe::{follow, yaml};
use super::world::{PATIENCE, WORLD, World, bind};

const PAGE: &str = include_str!("../../docs/derived-segments.md");

const LABEL: &str = "ringfence.dev/protected";

/// A policy over pods of this `app` that lets these peers in.
fn policy(namespace: &str, app: &str, peers: &Value) -> Value {
    json!({
        "apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy",
        "metadata": {"name": "shelf", "namespace": namespace},
        "spec": {"podSelector": {"matchLabels": {"app": app}}, "policyTypes": ["Ingress"], "ingress": [{"from": peers}]},
    })
}

/// A dry run of placing a pod with this label.
fn place(namespace: &str, label: &str, user: &str) -> String {
    format!("run probe -n {namespace} --image=app --labels={label} --dry-run=server --as={user}")
}

impl World {
    /// Somebody whom no certificate names.
    fn as_user(&self, user: &str, arguments: &str) -> Output {
        self.kubectl("admin", &format!("{arguments} --as={user}"))
    }

    /// `kubectl VERB -f -` by somebody whom no certificate names.
    fn write_as(&self, user: &str, verb: &str, object: &Value) -> Output {
        let user = format!("--as={user}");
        let call = self.cluster.kubectl("admin").args([verb, "-f", "-", &user]);
        call.stdin(object.to_string()).run()
    }

    /// Waits until a look as the administrator prints this.
    fn eventually_says(&self, arguments: &str, text: &str) {
        let said = wait_until(PATIENCE, &format!("`kubectl {arguments}` to print {text:?}"), || {
            let output = self.kubectl("admin", arguments);
            (output.success && output.stdout.trim() == text).then_some(())
        });
        said.unwrap_or_else(|error| panic!("{error}; now: {:?}", self.kubectl("admin", arguments)));
    }

    /// Grants what a denial says that it takes.
    fn grant_as_told(&self, denial: &str) {
        let mut lines = denial.lines().map(str::trim);
        let line = lines.find_map(|line| line.strip_prefix("grant: ringfence grant "));
        let arguments = line.unwrap_or_else(|| panic!("no grant is named: {denial}"));
        self.grant("admin", arguments).ok();
    }

    fn resource_version(&self, namespace: &str) -> String {
        let get = format!("get networkpolicy shelf -n {namespace} -o jsonpath={{.metadata.resourceVersion}}");
        self.kubectl("admin", &get).ok()
    }
}

#[test]
fn the_page_is_true_of_a_real_api_server() {
    let Some(world) = WORLD.get() else { return };
    let manifest = yaml(PAGE).to_owned();
    let apply = world.cluster.kubectl("admin").args(["apply", "-f", "-"]);
    apply.stdin(manifest).run().ok();
    let client = "run probe -n payments --image=app --labels=ledger=client --dry-run=server";
    world.kubectl("mallory", client).ok();
    assert_eq!(follow(world, PAGE), 6);
    let published = "get segments -l ringfence.dev/derived-in=payments -o jsonpath={.items[*].status.policy}";
    world.eventually_says(published, "payments/ledger");
    let told = world.ringfence("validate --cluster");
    for line in [
        "policy payments/ledger is a segment: Enforce",
        "  members[0]: app=ledger in payments",
        "  protect, asked in payments: held by User pam",
        "  connect, asked in payments: held by User ci",
    ] {
        assert!(told.lines().any(|said| said.starts_with(line)), "{line}: {told}");
    }
    let said = world.eventually_refused("mallory", client);
    assert!(
        said.contains("kubectl auth can-i connect networkpolicies.networking.k8s.io/ledger -n payments"),
        "{said}"
    );
    bind(&world.cluster, "payments", "ClusterRole/edit", "ci");
    world.eventually("ci", client);
    world.eventually_refused(
        "ci",
        "run probe -n payments --image=app --labels=app=ledger --dry-run=server",
    );
    let can_i = "auth can-i protect networkpolicies.networking.k8s.io/ledger -n payments";
    world.eventually("pam", can_i);
    assert!(!world.kubectl("mallory", can_i).success);
}

/// A namespace `library` with policy `shelf` over `app=shelf`; `mallet` edits there and elsewhere, `vera` may protect there.
fn library(world: &World, namespace: &str) {
    world.cluster.create_namespace(namespace, &[]);
    for user in ["vera", "mallet"] {
        bind(&world.cluster, namespace, "ClusterRole/edit", user);
    }
    world.eventually(
        "admin",
        &format!("auth can-i create networkpolicies -n {namespace} --as=mallet"),
    );
    let own = json!([{"podSelector": {"matchLabels": {"shelf": "reader"}}}]);
    world
        .write_as("mallet", "create", &policy(namespace, "shelf", &own))
        .ok();
}

#[test]
fn pods_of_a_protected_policy_need_its_permissions_for_as_long_as_it_is_one() {
    let Some(world) = WORLD.get() else { return };
    library(world, "library");
    let opt_in = format!("label networkpolicy shelf -n library {LABEL}=true");
    world.as_user("mallet", &opt_in).refused();
    let denial = world.as_user("vera", &opt_in).refused();
    world.grant_as_told(&denial);
    let (member, client) = (
        place("library", "app=shelf", "mallet"),
        place("library", "shelf=reader", "mallet"),
    );
    world.kubectl("admin", &member).ok();
    world.eventually("admin", &format!("{opt_in} --as=vera"));
    let since = Instant::now();
    let denial = world.eventually_refused("admin", &member);
    println!("in force {} ms after the policy opted in", since.elapsed().as_millis());
    assert!(denial.contains("may not join segment library/shelf"), "{denial}");
    let denial = world.eventually_refused("admin", &client);
    world.grant_as_told(&denial);
    world.eventually("admin", &client);
    world.kubectl("admin", &member).refused();
    world.kubectl("admin", &place("library", "app=other", "mallet")).ok();
    world.kubectl("admin", &place("web", "app=shelf", "mallory")).ok();

    // It is published, as what it is.
    let object = "get segment.ringfence.dev derived.library.shelf --ignore-not-found";
    world.eventually_says(
        &format!("{object} -o jsonpath={{.status.policy}}:{{.status.mode}}:{{.status.members}}"),
        "library/shelf:Enforce:app=shelf in library",
    );
    world
        .as_user("vera", "delete segment.ringfence.dev derived.library.shelf")
        .refused();

    // It changes: what is asked for changes with it.
    let own = json!([{"podSelector": {"matchLabels": {"shelf": "reader"}}}]);
    let mut changed = policy("library", "archive", &own);
    changed["metadata"]["labels"] = json!({LABEL: "true"});
    world.write_as("vera", "replace", &changed).ok();
    world.eventually_refused("admin", &place("library", "app=archive", "mallet"));
    world.eventually("admin", &member);
    world.eventually_says(
        &format!("{object} -o jsonpath={{.status.members}}"),
        "app=archive in library",
    );

    // It opts out, and in, and goes.
    let archive = place("library", "app=archive", "mallet");
    world
        .as_user("vera", &format!("label networkpolicy shelf -n library {LABEL}-"))
        .ok();
    world.eventually("admin", &archive);
    world.eventually_says(object, "");
    world.as_user("vera", &opt_in).ok();
    world.eventually_refused("admin", &archive);
    world.as_user("vera", "delete networkpolicy shelf -n library").ok();
    world.eventually("admin", &archive);

    // What it cannot protect is said.
    let mut everything = policy("library", "shelf", &json!([{"ipBlock": {"cidr": "10.0.0.0/8"}}]));
    everything["metadata"]["labels"] = json!({LABEL: "true"});
    everything["spec"]["podSelector"] = json!({});
    let output = world.write_as("vera", "create", &everything);
    assert!(
        output.success && output.stderr.contains("its podSelector is empty, so it has no members"),
        "{}",
        output.stderr
    );
    world.kubectl("admin", &archive).ok();
}

/// A protected policy against whoever may edit in its namespace.
#[test]
fn who_may_edit_there_neither_opts_out_nor_changes_nor_deletes_a_protected_policy() {
    let Some(world) = WORLD.get() else { return };
    library(world, "reading-room");
    let opt_in = format!("label networkpolicy shelf -n reading-room {LABEL}=true");
    world.kubectl("admin", &opt_in).ok();
    let before = world.resource_version("reading-room");
    let own = json!([{"podSelector": {"matchLabels": {"shelf": "reader"}}}]);
    let unlabelled = policy("reading-room", "shelf", &own);
    let mut opened = policy("reading-room", "shelf", &json!([]));
    opened["metadata"]["labels"] = json!({LABEL: "true"});
    let mut generated = opened.clone();
    generated["metadata"] = json!({"generateName": "shelf-", "namespace": "reading-room", "labels": {LABEL: "true"}});
    let mut named = opened.clone();
    named["metadata"]["name"] = json!("another");
    for (verb, object) in [
        ("replace", &unlabelled),
        ("replace", &opened),
        ("create", &generated),
        ("create", &named),
    ] {
        let said = world.write_as("mallet", verb, object).refused();
        assert!(said.contains("lacks the permission"), "{verb}: {said}");
    }
    let patch = |kind: &str, patch: &Value| {
        let user = "--as=mallet";
        let patch = patch.to_string();
        let arguments = [
            "patch",
            "networkpolicy",
            "shelf",
            "-n",
            "reading-room",
            "--type",
            kind,
            "-p",
            &patch,
            user,
        ];
        world.cluster.kubectl("admin").args(arguments).run().refused()
    };
    let owner = json!([{"apiVersion": "v1", "kind": "ConfigMap", "name": "gone", "uid": "00000000-0000-0000-0000-000000000000"}]);
    for (kind, change) in [
        ("merge", json!({"spec": {"ingress": [{}]}})),
        ("merge", json!({"metadata": {"labels": {LABEL: null}}})),
        ("merge", json!({"metadata": {"labels": {LABEL: "false"}}})),
        ("merge", json!({"metadata": {"labels": null}})),
        (
            "merge",
            json!({"metadata": {"labels": {"app.kubernetes.io/managed-by": "ringfence"}}}),
        ),
        ("merge", json!({"metadata": {"ownerReferences": owner}})),
        ("json", json!([{"op": "remove", "path": "/metadata/labels"}])),
    ] {
        let said = patch(kind, &change);
        assert!(
            said.contains("protect networkpolicies.networking.k8s.io/shelf"),
            "{change}: {said}"
        );
    }
    for arguments in [
        "delete networkpolicy shelf -n reading-room",
        "delete networkpolicy --all -n reading-room",
        "delete networkpolicy shelf -n reading-room --grace-period=0 --force",
        "delete networkpolicy shelf -n reading-room --cascade=foreground",
        &format!("label networkpolicy shelf -n reading-room {LABEL}-"),
    ] {
        let said = world.as_user("mallet", arguments).refused();
        assert!(
            said.contains("networkpolicies.networking.k8s.io/shelf"),
            "{arguments}: {said}"
        );
    }
    assert_eq!(world.resource_version("reading-room"), before);
    // What leaves protection as it is needs nothing.
    world
        .as_user("mallet", "annotate networkpolicy shelf -n reading-room team=blue")
        .ok();
    world
        .as_user("mallet", "label networkpolicy shelf -n reading-room team=blue")
        .ok();
}

/// Whoever may protect in one namespace claims pods of no other.
#[test]
fn who_may_protect_in_one_namespace_claims_no_pods_of_other_teams() {
    let Some(world) = WORLD.get() else { return };
    library(world, "cellar");
    world.cluster.create_namespace("attic", &[("attic", "yes")]);
    bind(&world.cluster, "attic", "ClusterRole/edit", "adam");
    world
        .grant("admin", "protect networkpolicies/shelf -n cellar --user vera")
        .ok();
    let (pods, claimed) = (
        json!({"matchLabels": {"role": "claimed"}}),
        place("attic", "role=claimed", "adam"),
    );
    let pinned = json!({"matchLabels": {"kubernetes.io/metadata.name": "cellar"}});
    let own = json!([{"podSelector": pods, "namespaceSelector": pinned}]);
    let protected = |peers: &Value| {
        let mut object = policy("cellar", "shelf", peers);
        object["metadata"]["labels"] = json!({LABEL: "true"});
        object
    };
    world.eventually(
        "admin",
        "auth can-i protect networkpolicies.networking.k8s.io/shelf -n cellar --as=vera",
    );
    world.write_as("vera", "replace", &protected(&own)).ok();
    world.eventually_refused("admin", &place("cellar", "role=claimed", "mallet"));
    let names = |names: &Value| json!({"matchExpressions": [{"key": "kubernetes.io/metadata.name", "operator": "In", "values": names}]});
    let mut denial = String::new();
    for namespaces in [
        json!({}),
        json!({"matchLabels": {"attic": "yes"}}),
        json!({"matchLabels": {"kubernetes.io/metadata.name": "attic"}}),
        names(&json!(["cellar", "attic"])),
        json!({"matchExpressions": [{"key": "kubernetes.io/metadata.name", "operator": "Exists"}]}),
    ] {
        let peers = json!([{"podSelector": pods}, {"podSelector": pods, "namespaceSelector": namespaces}]);
        denial = world.write_as("vera", "replace", &protected(&peers)).refused();
        assert!(
            denial.contains("ingress[0].from[1] reaches beyond cellar"),
            "{namespaces}: {denial}"
        );
        let mut egress = protected(&own);
        egress["spec"]["policyTypes"] = json!(["Ingress", "Egress"]);
        egress["spec"]["egress"] = json!([{"to": peers}]);
        let said = world.write_as("vera", "replace", &egress).refused();
        assert!(
            said.contains("egress[0].to[1] reaches beyond cellar"),
            "{namespaces}: {said}"
        );
    }
    world.kubectl("admin", &claimed).ok();

    // Whom the cluster lets may: then pods elsewhere are asked for, and who may protect here alone cannot take it back.
    world.grant_as_told(&denial);
    let beyond = json!([{"podSelector": pods, "namespaceSelector": {"matchLabels": {"attic": "yes"}}}]);
    world.eventually(
        "admin",
        "auth can-i protect networkpolicies.networking.k8s.io/shelf -A --as=vera",
    );
    world.write_as("vera", "replace", &protected(&beyond)).ok();
    let said = world.eventually_refused("admin", &claimed);
    assert!(
        said.contains("connect networkpolicies.networking.k8s.io/shelf -n cellar"),
        "{said}"
    );
    world
        .grant("admin", "protect networkpolicies/shelf -n cellar --user mallet")
        .ok();
    world.eventually(
        "admin",
        "auth can-i protect networkpolicies.networking.k8s.io/shelf -n cellar --as=mallet",
    );
    world
        .as_user("mallet", "delete networkpolicy shelf -n cellar")
        .refused();
    world
        .as_user("mallet", &format!("label networkpolicy shelf -n cellar {LABEL}-"))
        .refused();
    world.write_as("mallet", "replace", &protected(&own)).refused();
    // Its namespace goes, and what it claimed is free.
    world.kubectl("admin", "delete namespace cellar --wait=false").ok();
    world.eventually("admin", &claimed);
    world.eventually_says("get namespace cellar --ignore-not-found -o name", "");
}
