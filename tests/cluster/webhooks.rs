//! The served webhook configuration: it follows the guardrails, and is put back where somebody changed it.

use ringfence_controlplane::{configure, eventually};
use serde_json::{Value, json};

use crate::installed::{AUDIT, Installed, in_mode, installed, promptly, segment};

const PATH: &str = "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations/ringfence";

/// The webhook of this name.
fn webhook<'a>(configuration: &'a Value, name: &str) -> Option<&'a Value> {
    configuration["webhooks"]
        .as_array()?
        .iter()
        .find(|webhook| webhook["name"] == name)
}

/// Where the workloads webhook fails closed.
fn closed_in(configuration: &Value) -> Option<Value> {
    let webhook = webhook(configuration, "workloads.guard.ringfence.dev")?;
    assert_eq!(webhook["failurePolicy"], "Fail");
    Some(webhook["namespaceSelector"].clone())
}

fn nowhere() -> Value {
    json!({"matchExpressions": [{"key": "kubernetes.io/metadata.name", "operator": "DoesNotExist"}]})
}

fn payments_and_web() -> Value {
    json!({"matchExpressions": [
        {"key": "kubernetes.io/metadata.name", "operator": "In", "values": ["payments", "web"]}]})
}

fn served(installed: &Installed) -> Value {
    installed.cluster.request("admin", "GET", PATH).send().ok()
}

#[test]
fn a_switch_of_mode_is_followed_within_a_second() {
    let audit = format!("{AUDIT}{}", segment("payments-db"));
    let Some(installed) = installed(&audit) else { return };
    eventually("nothing to fail closed", || {
        (closed_in(&served(&installed))? == nowhere()).then_some(())
    });
    promptly(
        "the webhooks to follow",
        |time| {
            let (guardrails, closed) = match time {
                1 => (audit.clone(), nowhere()),
                _ => (in_mode("Enforce", &audit), payments_and_web()),
            };
            configure(&installed.cluster, "admin", &guardrails).ok();
            closed
        },
        |closed| closed_in(&served(&installed)).as_ref() == Some(closed),
    );
    let rollout = "{mode: Enforce, rollout: {default: Audit, namespaces: [{name: web, mode: Enforce}]}}";
    configure(&installed.cluster, "admin", &audit.replace("{mode: Audit}", rollout)).ok();
    eventually("the cap of the rollout to be followed", || {
        let selector = closed_in(&served(&installed))?;
        (selector["matchExpressions"][0]["values"] == json!(["web"])).then_some(())
    });
}

#[test]
fn tampering_is_put_right_within_a_second() {
    let guardrails = in_mode("Enforce", &format!("{AUDIT}{}", segment("payments-db")));
    let Some(installed) = installed(&guardrails) else {
        return;
    };
    eventually("it to be served", || {
        (closed_in(&served(&installed))? == payments_and_web()).then_some(())
    });
    let right = served(&installed)["webhooks"].clone();
    promptly(
        "it to be put right",
        |time| {
            let mut webhooks = right.clone();
            match time {
                0 => webhooks = json!([]),
                1 => webhooks[0]["failurePolicy"] = json!("Ignore"),
                _ => webhooks[0]["clientConfig"]["caBundle"] = Value::Null,
            }
            let tampered = json!({"webhooks": webhooks});
            installed
                .cluster
                .request("admin", "PATCH", PATH)
                .json(&tampered)
                .send()
                .ok();
        },
        |()| served(&installed)["webhooks"] == right,
    );
}

#[test]
fn nothing_is_written_while_nothing_differs() {
    // Other tests leave pods in payments and web, which would be counted here.
    let elsewhere = segment("quiet")
        .replace("[payments]", "[quiet]")
        .replace("[web]", "[quiet]");
    let Some(installed) = installed(&format!("{AUDIT}{elsewhere}")) else {
        return;
    };
    let versions = || -> Vec<(String, String)> {
        let kinds = "validatingwebhookconfigurations,segments,guardrails.ringfence.dev,clusterroles";
        let list = installed.admin(&["get", kinds, "-o", "json"]).json();
        let objects = list["items"].as_array().into_iter().flatten();
        let told = objects.map(|object| {
            let metadata = &object["metadata"];
            (metadata["name"].to_string(), metadata["resourceVersion"].to_string())
        });
        told.filter(|(name, _)| !name.starts_with("\"system:")).collect()
    };
    eventually("the segment to be counted", || {
        let segment = installed.cluster.object(&["segment.ringfence.dev", "quiet"])?;
        segment["status"]["memberPods"].as_i64()
    });
    let (leader, _) = installed.leader_and_follower();
    let passes = || -> u64 {
        let told = installed.ringfence.replicas()[leader]
            .health("/metrics")
            .unwrap_or_default();
        let ours = told
            .lines()
            .filter(|line| line.starts_with("ringfence_leader_passes_total{duty=\"published\",result=\"ok\"}"));
        ours.filter_map(|line| line.rsplit_once(' ')?.1.parse::<u64>().ok())
            .sum()
    };
    // Every pod that comes or goes is followed by a pass; none of these concerns a segment.
    let pass = |name: &str| {
        let made = passes();
        let run = [
            "-n",
            "default",
            "run",
            name,
            "--image=registry.example/app:1",
            "--labels=app=unrelated",
        ];
        installed.admin(&run).ok();
        eventually("a pass to follow", || (passes() > made).then_some(()));
    };
    let mut before = versions();
    let mut looked = 0;
    eventually("two passes without a write between them", || {
        looked += 1;
        pass(&format!("quiet-{looked}"));
        let now = versions();
        let quiet = now == before;
        before = now;
        quiet.then_some(())
    });
    for again in ["quiet-again", "quiet-once-more"] {
        pass(again);
        assert_eq!(versions(), before);
    }
    let delete = [
        "-n",
        "default",
        "delete",
        "pods",
        "-l",
        "app=unrelated",
        "--now",
        "--wait=false",
    ];
    installed.admin(&delete).ok();
}
