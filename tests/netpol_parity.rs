//! Reading NetworkPolicies against the API server's own: every case of the core's table is created as a dry run, and must be
//! taken or refused there as it is here, with the same fields at fault; what is taken must mean the same once the API
//! server has filled in its defaults.

use std::collections::BTreeSet;

use ringfence_controlplane::{ControlPlane, Options, started_or_skipped};
use ringfence_core::netpol::{Direction, Leniency, NetworkPolicySpec, Policy};
use serde_json::{Value, json};

const NAMESPACE: &str = "parity";

fn cases() -> Vec<Value> {
    let text = include_str!("../core/src/netpol/read/cases.json");
    serde_json::from_str(text).expect("cases")
}

fn read(spec: &Value) -> Result<Policy, BTreeSet<String>> {
    let spec: NetworkPolicySpec = serde_json::from_value(spec.clone()).expect("a spec");
    Policy::read(NAMESPACE, "case", &spec, Leniency::Written)
        .map_err(|invalid| invalid.into_iter().map(|invalid| invalid.path).collect())
}

/// The spec as the API server would have stored it, or the fields that it finds at fault.
fn create(cluster: &ControlPlane, spec: &Value) -> Result<Value, BTreeSet<String>> {
    let path = format!("/apis/networking.k8s.io/v1/namespaces/{NAMESPACE}/networkpolicies?dryRun=All");
    let policy = json!({
        "apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": {"name": "case"}, "spec": spec,
    });
    let answer = cluster.request("admin", "POST", &path).json(&policy).send();
    if answer.status == 201 {
        return Ok(answer.ok()["spec"].clone());
    }
    let status: Value = serde_json::from_str(&answer.text).expect("a Status");
    let causes = status["details"]["causes"]
        .as_array()
        .unwrap_or_else(|| panic!("no causes: {answer}"));
    let fields = causes.iter().filter_map(|cause| cause["field"].as_str());
    Err(fields.map(str::to_owned).collect())
}

/// What differs, if anything does.
fn compare(cluster: &ControlPlane, case: &Value) -> Option<String> {
    let (name, spec) = (&case["name"], &case["spec"]);
    match (read(spec), create(cluster, spec)) {
        (Err(ours), Err(theirs)) if ours == theirs => None,
        (Ok(ours), Ok(stored)) => {
            let isolates = |direction: Direction, word: &str| {
                let listed = stored["policyTypes"]
                    .as_array()
                    .is_some_and(|types| types.contains(&json!(word)));
                listed == ours.rules(direction).is_some()
            };
            let defaults = isolates(Direction::Ingress, "Ingress") && isolates(Direction::Egress, "Egress");
            let same = read(&stored).as_ref() == Ok(&ours);
            (!defaults || !same).then(|| format!("{name}: stored as {stored}, read as {ours:?}"))
        }
        (ours, theirs) => Some(format!(
            "{name}: here {:?}, there {:?}",
            ours.map(|_| "taken"),
            theirs.map(|_| "taken")
        )),
    }
}

#[test]
fn what_is_refused_and_what_it_means_is_as_on_the_api_server() {
    let Some(cluster) = started_or_skipped(&Options::bare()) else {
        return;
    };
    cluster.create_namespace(NAMESPACE, &[]);
    let differing: Vec<String> = cases().iter().filter_map(|case| compare(&cluster, case)).collect();
    assert!(differing.is_empty(), "{}", differing.join("\n"));
}
