//! The served webhook configuration on a real API server: it is taken as it is, survives a second install, and exactly
//! those requests reach it that could change a placement. No ringfence runs: where nobody answers, a request that
//! reaches a webhook that fails closed is refused, and one that passes by is not.

mod calls;
mod world;

use ringfence_controlplane::{ControlPlane, Nodes, Options, Response, started_or_skipped, wait_until};
use serde_json::json;

use calls::{Call, passing, reaching};
use world::{CLUSTER, DEPLOY, GUARDRAILS, PATIENCE, UNANSWERED, kind, served};

/// Sends it as the admin, or as somebody whom the headers make of the admin; nothing is persisted.
fn dry(cluster: &ControlPlane, (method, path, body): &Call, headers: &[(&str, &str)]) -> Response {
    let path = path.replace("NS", "namespaces/payments");
    // Connections know no dry run; none of these gets as far as a node.
    let connects = ["/exec", "/attach", "/portforward", "/proxy"]
        .iter()
        .any(|kin| path.contains(kin));
    let query = if connects { "" } else { "?dryRun=All" };
    let mut request = cluster.request("admin", method, &format!("{path}{query}"));
    for (name, value) in headers {
        request = request.header(name, value);
    }
    let strategic = body.pointer("/spec/containers").is_some() || body.pointer("/spec/ephemeralContainers").is_some();
    if *method == "PATCH" && strategic {
        request = request.header("Content-Type", "application/strategic-merge-patch+json");
    }
    if body.is_null() {
        request.send()
    } else {
        request.json(body).send()
    }
}

#[test]
fn only_what_could_change_a_placement_reaches_us() {
    let Some(cluster) = CLUSTER.get() else { return };
    let configuration = served(GUARDRAILS, vec![kind("rollouts", &["spec", "template"])]).to_string();
    cluster
        .kubectl("admin")
        .args(["replace", "-f", "-"])
        .stdin(configuration)
        .run()
        .ok();
    let reaching = reaching();
    let closed = || dry(cluster, &reaching[0], &[]).text.contains(UNANSWERED).then_some(());
    wait_until(PATIENCE, "the webhooks to be called", closed).expect("they are called");

    let mut wrong = Vec::new();
    for call in &reaching {
        let response = dry(cluster, call, &[]);
        if !response.text.contains(UNANSWERED) {
            wrong.push(format!(
                "should have reached us: {} {}: {} {}",
                call.0, call.1, response.status, response.text
            ));
        }
    }
    for call in &passing() {
        let response = dry(cluster, call, &[]);
        if !(200..300).contains(&response.status) {
            wrong.push(format!(
                "should have passed: {} {}: {} {}",
                call.0, call.1, response.status, response.text
            ));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));

    // Our own pods are not asked about themselves; whoever borrows the account's name is.
    let account = ("Impersonate-User", "system:serviceaccount:ringfence-system:ringfence");
    let admins = ("Impersonate-Group", "system:masters");
    let bound = (
        "Impersonate-Extra-authentication.kubernetes.io%2fpod-name",
        "ringfence-0",
    );
    let response = dry(cluster, &reaching[0], &[account, admins, bound]);
    assert_eq!(response.status, 201, "{}", response.text);
    assert!(dry(cluster, &reaching[0], &[account, admins]).text.contains(UNANSWERED));
    let other = ("Impersonate-User", "system:serviceaccount:web:ringfence");
    assert!(
        dry(cluster, &reaching[0], &[other, admins, bound])
            .text
            .contains(UNANSWERED)
    );
}

#[test]
fn the_api_server_takes_what_is_served_and_adds_nothing() {
    let Some(cluster) = CLUSTER.get() else { return };
    let many = (0..90)
        .map(|number| kind(&format!("kinds{number}"), &["spec", "a-b", "template"]))
        .collect();
    for (guardrails, kinds) in [(GUARDRAILS, Vec::new()), ("", Vec::new()), (GUARDRAILS, many)] {
        let mut configuration = served(guardrails, kinds);
        configuration["metadata"]["name"] = json!("tried");
        let create = ["create", "--dry-run=server", "-o", "json", "-f", "-"];
        let taken = cluster
            .kubectl("admin")
            .args(create)
            .stdin(configuration.to_string())
            .run()
            .json();
        assert_eq!(taken["webhooks"], configuration["webhooks"]);
    }
}

#[test]
fn installing_again_leaves_what_is_served_and_what_is_configured() {
    let Some(cluster) = started_or_skipped(&Options {
        nodes: Nodes::Absent,
        ..Options::default()
    }) else {
        return;
    };
    let run = |arguments: &[&str]| cluster.kubectl("admin").args(arguments).run().ok();
    run(&["apply", "-k", DEPLOY]);
    run(&["apply", "-k", DEPLOY, "--dry-run=server"]);
    run(&["create", "-f", &format!("{DEPLOY}/guardrails.yaml")]);
    let mine = r#"{"data": {"guardrails.yaml": "mine"}}"#;
    run(&[
        "-n",
        "ringfence-system",
        "patch",
        "configmap",
        "ringfence-guardrails",
        "--type=merge",
        "-p",
        mine,
    ]);
    cluster
        .kubectl("admin")
        .args(["replace", "-f", "-"])
        .stdin(served(GUARDRAILS, vec![kind("rollouts", &["spec", "template"])]).to_string())
        .run()
        .ok();
    let read = |what: &[&str]| {
        cluster
            .kubectl("admin")
            .args(["-n", "ringfence-system", "get", "-o", "json"])
            .args(what)
            .run()
            .json()
    };
    let webhooks = || read(&["validatingwebhookconfiguration", "ringfence"])["webhooks"].clone();
    let before = webhooks();
    assert_eq!(before.as_array().map(Vec::len), Some(7));

    run(&["apply", "-k", DEPLOY]);
    assert_eq!(webhooks(), before, "after kubectl apply");
    run(&["apply", "-k", DEPLOY, "--server-side", "--force-conflicts"]);
    assert_eq!(webhooks(), before, "after kubectl apply --server-side");
    run(&["apply", "-k", DEPLOY]);
    assert_eq!(webhooks(), before, "after kubectl apply once more");
    assert_eq!(
        read(&["configmap", "ringfence-guardrails"])["data"]["guardrails.yaml"],
        "mine"
    );
    cluster
        .kubectl("admin")
        .args(["create", "-f", &format!("{DEPLOY}/guardrails.yaml")])
        .run()
        .refused();
}
