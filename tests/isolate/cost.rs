//! What it costs to learn live whether a namespace's policies stand: printed, to choose by. Nothing here is timed against a
//! bound, a busy machine must not decide.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use ringfence_controlplane::{ControlPlane, Options, started_or_skipped};
use serde_json::{Value, json};

const NAMESPACE: &str = "measured";
/// Policies of a profile, and of the namespace's own people beside them.
const OURS: usize = 3;
const OTHERS: usize = 20;
const ROUNDS: usize = 200;

/// A way to learn it: the paths that are read, one after the other answered.
struct Way {
    name: &'static str,
    paths: Vec<String>,
}

fn policy(name: &str, labels: &Value) -> Value {
    json!({"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy",
        "metadata": {"name": name, "namespace": NAMESPACE, "labels": labels},
        "spec": {"podSelector": {}, "policyTypes": ["Ingress"],
            "ingress": [{"from": [{"podSelector": {"matchLabels": {"app": name}}}]}]}})
}

#[test]
fn learning_whether_policies_stand_costs_so_much() {
    let Some(cluster) = started_or_skipped(&Options::bare()) else {
        return;
    };
    cluster.create_namespace(NAMESPACE, &[]);
    let policies = format!("/apis/networking.k8s.io/v1/namespaces/{NAMESPACE}/networkpolicies");
    let ours = json!({"app.kubernetes.io/managed-by": "ringfence"});
    for number in 0..OURS {
        let policy = policy(&format!("ringfence-{number}"), &ours);
        cluster.request("admin", "POST", &policies).json(&policy).send().ok();
    }
    for number in 0..OTHERS {
        let policy = policy(&format!("other-{number}"), &json!({}));
        cluster.request("admin", "POST", &policies).json(&policy).send().ok();
    }
    let ways = [
        Way {
            name: "GET namespace",
            paths: vec![format!("/api/v1/namespaces/{NAMESPACE}")],
        },
        Way {
            name: "LIST policies by label",
            paths: vec![format!(
                "{policies}?labelSelector=app.kubernetes.io%2Fmanaged-by%3Dringfence"
            )],
        },
        Way {
            name: "LIST policies by label, limit",
            paths: vec![format!(
                "{policies}?labelSelector=app.kubernetes.io%2Fmanaged-by%3Dringfence&limit=500"
            )],
        },
        Way {
            name: "GET each policy",
            paths: (0..OURS)
                .map(|number| format!("{policies}/ringfence-{number}"))
                .collect(),
        },
        Way {
            name: "LIST of no label",
            paths: vec![policies.clone()],
        },
    ];
    measure(&cluster, "quiet", &ways);
    let busy = AtomicBool::new(true);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let path = "/api/v1/namespaces/default/configmaps";
            let mut number = 0_u64;
            while busy.load(Ordering::Relaxed) {
                number += 1;
                let map = json!({"metadata": {"name": format!("write-{number}")}});
                cluster.request("admin", "POST", path).json(&map).send().ok();
                std::thread::sleep(Duration::from_millis(10));
            }
        });
        measure(&cluster, "written to", &ways);
        busy.store(false, Ordering::Relaxed);
    });
}

fn measure(cluster: &ControlPlane, when: &str, ways: &[Way]) {
    for way in ways {
        let mut took: Vec<Duration> = (0..ROUNDS)
            .map(|_| {
                let since = Instant::now();
                for path in &way.paths {
                    cluster.request("admin", "GET", path).send().ok();
                }
                since.elapsed()
            })
            .collect();
        took.sort_unstable();
        println!(
            "learn | {when} | {} | p50 {:?} p90 {:?} p99 {:?}",
            way.name,
            took[ROUNDS / 2],
            took[ROUNDS * 9 / 10],
            took[ROUNDS * 99 / 100]
        );
    }
}
