//! The report on a real cluster names exactly those who could, and what it says they could do, they then do.

use std::collections::BTreeSet;
use std::process::{Command, Stdio};
use std::time::Duration;

use ringfence::manifests::roles::published_roles;
use ringfence_controlplane::{ControlPlane, Kubectl, Nodes, Options, Output, User, started_or_skipped, wait_until};
use ringfence_core::guardrails::{Source, compile};
use serde_json::{Value, json};

const PATIENCE: Duration = Duration::from_secs(60);

const GUARDRAILS: &str = include_str!("manifests/guardrails.yaml");
const PEOPLE: &str = include_str!("people.yaml");

use crate::parity;

#[test]
fn a_real_cluster_is_told_as_it_is_and_who_could_does() {
    let Some(cluster) = cluster() else { return };
    exactly_those_who_could_are_named(&cluster);
    parity::grants_are_what_the_api_server_allows(&cluster);
    who_could_grant_itself_does(&cluster);
    who_could_become_others_does(&cluster);
}

/// With who is who of `people.yaml`, the roles that ringfence publishes, and its ConfigMap.
fn cluster() -> Option<ControlPlane> {
    let groups = [("dora", "developers"), ("sue", "support")];
    let members = groups.map(|(name, group)| User::new(name).in_groups([group]));
    let alone = ["olga", "bea", "eve", "frank", "gina", "hank", "nick", "ursula", "joe"].map(User::new);
    let options = Options {
        nodes: Nodes::Absent,
        ..Options::with_users(members.into_iter().chain(alone))
    };
    let cluster = started_or_skipped(&options)?;
    let deploy = concat!(env!("CARGO_MANIFEST_DIR"), "/deploy");
    cluster.kubectl("admin").args(["apply", "-k", deploy]).run().ok();
    let guardrails = compile(&[source()])
        .unwrap_or_else(|problems| panic!("{problems}"))
        .guardrails;
    for role in published_roles(&guardrails) {
        apply(&cluster, "admin", &serde_json::to_string(&role).expect("it is JSON")).ok();
    }
    let configuration = json!({
        "apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {"name": "ringfence-guardrails", "namespace": "ringfence-system"},
        "data": {"guardrails.yaml": GUARDRAILS},
    });
    apply(&cluster, "admin", &configuration.to_string()).ok();
    apply(&cluster, "admin", PEOPLE).ok();
    Some(cluster)
}

fn source() -> Source {
    Source {
        name: "guardrails.yaml".to_owned(),
        text: GUARDRAILS.to_owned(),
    }
}

fn apply(cluster: &ControlPlane, user: &str, text: &str) -> Output {
    cluster.kubectl(user).args(["apply", "-f", "-"]).stdin(text).run()
}

/// What the audit finds of a segment: kinds and subjects.
fn found(cluster: &ControlPlane, segment: &str) -> BTreeSet<(String, String)> {
    let output = Command::new(env!("CARGO_BIN_EXE_ringfence"))
        .args(["audit", "sod", "--output", "json", "--segment", segment])
        .env("KUBECONFIG", cluster.kubeconfig("admin"))
        .stdin(Stdio::null())
        .output()
        .expect("ringfence can be run");
    let summary = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{summary}");
    assert!(
        summary.contains("exempt: Group system:masters") && summary.contains("the cluster's own and ringfence: "),
        "{summary}"
    );
    let text = String::from_utf8(output.stdout).expect("UTF-8");
    let records = text
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).expect("one object a line"));
    let words = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    records
        .map(|record| {
            let subject = &record["subject"];
            let namespace = subject["namespace"].as_str().map(|namespace| format!("{namespace}:"));
            let name = format!("{}{}", namespace.unwrap_or_default(), words(&subject["name"]));
            (words(&record["kind"]), name)
        })
        .collect()
}

fn exactly_those_who_could_are_named(cluster: &ControlPlane) {
    let expected = [
        ("HoldsBoth", "olga"),
        ("Wildcard", "platform"),
        ("CanHoldBoth", "bea"),
        ("CanHoldBoth", "eve"),
        ("CanHoldBoth", "frank"),
        ("CanHoldBoth", "signers"),
        ("CanHoldBoth", "support"),
        ("CanHoldBoth", "system-writers"),
        ("CanGrantItself", "developers"),
        ("CanGrantItself", "gina"),
        ("CanGrantItself", "hank"),
        ("CanGrantItself", "nick"),
        ("CanGrantItself", "ursula"),
        ("WritesPolicies", "writers"),
        ("MissingAccount", "ci:gone"),
    ];
    let expected: BTreeSet<(String, String)> = expected.map(|(kind, name)| (kind.to_owned(), name.to_owned())).into();
    assert_eq!(found(cluster, "payments-db"), expected);

    // Where the cluster consents: groups that everybody, or every account of a namespace, is in, and what is aggregated.
    let expected = [
        ("HoldsBoth", "ada"),
        ("HoldsBoth", "system:serviceaccounts:books"),
        ("Wildcard", "platform"),
        ("CanHoldBoth", "book-keepers"),
        ("CanHoldBoth", "signers"),
        ("CanHoldBoth", "system-writers"),
        ("WritesPolicies", "book-keepers"),
    ];
    let expected: BTreeSet<(String, String)> = expected.map(|(kind, name)| (kind.to_owned(), name.to_owned())).into();
    assert_eq!(found(cluster, "ledger"), expected);
}

/// Whether whoever calls may do this to segment payments-db where its owner consents.
fn holds(kubectl: Kubectl, verb: &str) -> bool {
    let review = json!({
        "apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview",
        "spec": {"resourceAttributes": {
            "verb": verb, "group": "ringfence.dev", "resource": "segments", "name": "payments-db", "namespace": "payments",
        }},
    });
    let output = kubectl
        .args(["create", "--validate=false", "-o", "json", "-f", "-"])
        .stdin(review.to_string())
        .run();
    output.json()["status"]["allowed"] == true
}

fn comes_to_hold(cluster: &ControlPlane, user: &str, verb: &str) {
    wait_until(PATIENCE, &format!("{user} to hold {verb}"), || {
        holds(cluster.kubectl(user), verb).then_some(())
    })
    .unwrap_or_else(|timed_out| panic!("{timed_out}"));
}

/// A call with this token.
fn with_token(cluster: &ControlPlane, token: &str) -> Kubectl {
    let file = cluster
        .write_kubeconfig("borrowed", &[("borrowed", token)])
        .unwrap_or_else(|error| panic!("cannot write a kubeconfig: {error}"));
    // The later --kubeconfig holds.
    cluster
        .kubectl("joe")
        .args([format!("--kubeconfig={}", file.display())])
}

fn binding(name: &str, role: (&str, &str), user: &str) -> String {
    json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding",
        "metadata": {"name": name, "namespace": "payments"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": role.0, "name": role.1},
        "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": user}],
    })
    .to_string()
}

const JOIN: (&str, &str) = ("ClusterRole", "ringfence:payments-db:join");

/// A rule for everything that ringfence asks, as JSON patch for a Role without rules.
const EVERYTHING: &str =
    r#"{"rules": [{"apiGroups": ["ringfence.dev"], "resources": ["segments"], "verbs": ["join", "manage"]}]}"#;

fn who_could_grant_itself_does(cluster: &ControlPlane) {
    // Bea, who may bind, binds herself; joe, who may not, cannot.
    assert!(!holds(cluster.kubectl("bea"), "join"));
    let create = ["create", "--validate=false", "-f", "-"];
    cluster
        .kubectl("joe")
        .args(create)
        .stdin(binding("joe", JOIN, "joe"))
        .run()
        .refused();
    cluster
        .kubectl("bea")
        .args(create)
        .stdin(binding("bea", JOIN, "bea"))
        .run()
        .ok();
    comes_to_hold(cluster, "bea", "join");

    // Gina may create a binding of one name alone, which server-side apply does.
    let own = binding("gina", JOIN, "gina");
    cluster.kubectl("gina").args(create).stdin(own.as_str()).run().refused();
    cluster
        .kubectl("gina")
        .args(["apply", "--validate=false", "--server-side", "-f", "-"])
        .stdin(own)
        .run()
        .ok();
    comes_to_hold(cluster, "gina", "join");

    // Hank may change a binding that there is.
    let subjects = json!({"subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "hank"}]});
    let patch = [
        "patch",
        "rolebinding",
        "joiners",
        "-n",
        "payments",
        "-p",
        &subjects.to_string(),
    ];
    cluster.kubectl("hank").args(patch).run().ok();
    comes_to_hold(cluster, "hank", "join");

    // Eve rewrites the role that she is bound to.
    cluster
        .kubectl("eve")
        .args(["patch", "role", "eves", "-n", "payments", "-p", EVERYTHING])
        .run()
        .ok();
    comes_to_hold(cluster, "eve", "manage");

    // Frank may bind nothing, but anybody may bind an empty role.
    cluster
        .kubectl("frank")
        .args(create)
        .stdin(binding("frank", JOIN, "frank"))
        .run()
        .refused();
    let empty = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role",
        "metadata": {"name": "franks", "namespace": "payments"}, "rules": [],
    });
    cluster
        .kubectl("frank")
        .args(create)
        .stdin(empty.to_string())
        .run()
        .ok();
    let bound = binding("frank", ("Role", "franks"), "frank");
    wait_until(PATIENCE, "the role to be known", || {
        cluster
            .kubectl("frank")
            .args(create)
            .stdin(bound.as_str())
            .run()
            .success
            .then_some(())
    })
    .unwrap_or_else(|timed_out| panic!("{timed_out}"));
    cluster
        .kubectl("frank")
        .args(["patch", "role", "franks", "-n", "payments", "-p", EVERYTHING])
        .run()
        .ok();
    comes_to_hold(cluster, "frank", "manage");
}

fn who_could_become_others_does(cluster: &ControlPlane) {
    let kubectl = |user: &str, arguments: &str| cluster.kubectl(user).args(arguments.split_whitespace());
    // Sue impersonates olga, dora takes the token of CI's account, nick reads one that a Secret keeps.
    assert!(holds(kubectl("sue", "--as=olga"), "manage"));
    let token = kubectl("dora", "create token deployer -n ci").run().ok();
    assert!(holds(with_token(cluster, token.trim()), "connect"));
    let kept = wait_until(PATIENCE, "the Secret to have its token", || {
        let text = kubectl(
            "nick",
            "get secret deployer-token -n ci -o go-template={{.data.token|base64decode}}",
        )
        .run();
        text.succeeded().ok().filter(|token| token.len() > 100)
    });
    let kept = kept.unwrap_or_else(|timed_out| panic!("{timed_out}"));
    assert!(holds(with_token(cluster, &kept), "connect"));

    // Ursula has a Deployment that is there run pods as the account.
    let account = r#"{"spec": {"template": {"spec": {"serviceAccountName": "deployer"}}}}"#;
    kubectl("ursula", "run thief -n ci --image=x").run().refused();
    cluster
        .kubectl("ursula")
        .args(["patch", "deployment", "tool", "-n", "ci", "-p", account])
        .run()
        .ok();
    let runs = wait_until(PATIENCE, "a pod to run as the account", || {
        let accounts = kubectl(
            "admin",
            "get pods -n ci -o jsonpath={.items[*].spec.serviceAccountName}",
        )
        .run();
        accounts.ok().contains("deployer").then_some(())
    });
    runs.unwrap_or_else(|timed_out| panic!("{timed_out}"));

    // Whoever creates the account that does not exist holds what it was given.
    kubectl("dora", "create serviceaccount gone -n ci").run().ok();
    let token = kubectl("dora", "create token gone -n ci").run().ok();
    assert!(holds(with_token(cluster, token.trim()), "connect"));
}
