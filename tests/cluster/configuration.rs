//! The ConfigMap: an edit comes into force, a bad one does not, whoever is away when it is written.

use ringfence_controlplane::{NAMESPACE, Reach, configure, eventually};
use serde_json::json;

use crate::installed::{AUDIT, Installed, in_mode, installed, promptly, revision, segment};

const INVALID: &str = "
apiVersion: ringfence.dev/v1alpha1
kind: Guardrails
metadata: {name: default}
spec: {mode: Adit}
";

/// Writes guardrails past our webhook, as happens while no replica is there.
fn write_unreviewed(installed: &Installed, guardrails: &str) {
    let replicas = installed.ringfence.replicas().len();
    let reach = |reach| (0..replicas).for_each(|index| installed.ringfence.forwarder().set(index, reach));
    reach(Reach::Cut);
    configure(&installed.cluster, "admin", guardrails).ok();
    reach(Reach::Open);
}

#[test]
fn an_edit_is_in_force_on_every_replica_within_a_second() {
    let Some(installed) = installed(AUDIT) else { return };
    promptly(
        "the edit to be in force",
        |time| {
            let guardrails = format!("{AUDIT}{}", segment(&format!("edit-{time}")));
            configure(&installed.cluster, "admin", &guardrails).ok();
            revision(&guardrails)
        },
        |revision| {
            installed
                .ringfence
                .replicas()
                .iter()
                .all(|replica| replica.has_in_force(revision))
        },
    );
}

#[test]
fn a_bad_edit_is_refused_with_its_place() {
    let Some(installed) = installed(AUDIT) else { return };
    let refusal = configure(&installed.cluster, "admin", INVALID).refused();
    assert!(
        refusal.contains("admission webhook \"config.guard.ringfence.dev\" denied the request"),
        "{refusal}"
    );
    assert!(refusal.contains("guardrails.yaml:5:"), "{refusal}");
    assert!(refusal.contains("Adit"), "{refusal}");
    installed.ringfence.wait_for_record("the refusal", |record| {
        record["webhook"] == "config.guard.ringfence.dev" && record["verdict"] == "deny" && record["user"] == "admin"
    });
    installed.ringfence.wait_for_revision(&revision(AUDIT));
}

#[test]
fn a_good_edit_is_told_what_it_newly_covers() {
    let Some(installed) = installed(AUDIT) else { return };
    for (namespace, pods) in [("payments", 2), ("web", 1)] {
        if installed.cluster.object(&["namespace", namespace]).is_none() {
            installed.cluster.create_namespace(namespace, &[]);
        }
        let app = if namespace == "payments" {
            "hollowdb"
        } else {
            "hollowapp"
        };
        for number in 0..pods {
            run_pod(&installed, namespace, &format!("covered-{number}"), app);
        }
    }
    let guardrails = in_mode("Enforce", &format!("{AUDIT}{}", segment("payments-db")));
    let told = configure(&installed.cluster, "admin", &guardrails);
    assert!(told.success, "{}", told.stderr);
    assert!(
        told.stderr.contains(
            "Warning: ringfence: payments-db newly covers 3 running pods (2 in payments); changes need the permission"
        ),
        "{}",
        told.stderr
    );
    installed.ringfence.wait_for_revision(&revision(&guardrails));
    for namespace in ["payments", "web"] {
        installed
            .admin(&["-n", namespace, "delete", "pods", "--all", "--now", "--wait=false"])
            .ok();
    }
}

fn run_pod(installed: &Installed, namespace: &str, name: &str, app: &str) {
    let pod = json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": name, "namespace": namespace, "labels": {"app": app}},
        "spec": {"containers": [{"name": "app", "image": "registry.example/app:1"}]},
    });
    let apply = installed.cluster.kubectl("admin").args(["apply", "-f", "-"]);
    apply.stdin(pod.to_string()).run().ok();
}

#[test]
fn an_invalid_configuration_keeps_the_last_good_one_in_force_and_says_so() {
    let good = format!("{AUDIT}{}", segment("last-good"));
    let Some(mut installed) = installed(&good) else { return };
    let good_revision = revision(&good);
    eventually("the leader to keep the last good one", || {
        let kept = installed
            .cluster
            .object(&["-n", NAMESPACE, "configmap", "ringfence-last-good"])?;
        (kept["data"]["guardrails.yaml"] == good).then_some(())
    });
    let events = installed.events("GuardrailsInvalid").len();

    write_unreviewed(&installed, INVALID);
    for replica in installed.ringfence.replicas() {
        eventually("the metric to tell of it", || {
            (replica.metric("ringfence_guardrails_valid").as_deref() == Some("0")).then_some(())
        });
        assert!(replica.has_in_force(&good_revision), "{}", replica.log());
        assert!(replica.health("/readyz").is_ok());
        assert!(replica.log().contains("stays in force"), "{}", replica.log());
    }
    let event = eventually("the Event", || {
        installed.events("GuardrailsInvalid").get(events).cloned()
    });
    let note = event["message"].as_str().unwrap_or_default();
    assert!(
        note.contains("Adit") && note.ends_with(&format!("revision {good_revision} stays in force")),
        "{note}"
    );
    eventually("the published status", || {
        let published = installed.cluster.object(&["guardrails.ringfence.dev", "default"])?;
        let condition = &published["status"]["conditions"][0];
        let told = condition["status"] == "False" && condition["message"].as_str()?.contains("Adit");
        (told && published["status"]["observedRevision"] == good_revision).then_some(())
    });

    // One that starts now has never seen the good one in its place.
    let replica = installed.ringfence.replica(0);
    replica.kill().expect("it is gone");
    replica.start_again().expect("it starts");
    replica.wait_until_ready().expect("ready by the last good one");
    assert!(replica.has_in_force(&good_revision), "{}", replica.log());
    assert_eq!(replica.metric("ringfence_guardrails_valid").as_deref(), Some("0"));

    let recovered = installed.events("GuardrailsInForce").len();
    configure(&installed.cluster, "admin", AUDIT).ok();
    installed.ringfence.wait_for_revision(&revision(AUDIT));
    for replica in installed.ringfence.replicas() {
        assert_eq!(replica.metric("ringfence_guardrails_valid").as_deref(), Some("1"));
    }
    eventually("the Event of its end", || {
        installed.events("GuardrailsInForce").get(recovered).cloned()
    });
}

#[test]
fn without_a_configuration_what_was_in_force_stays_and_nobody_starts() {
    let good = format!("{AUDIT}{}", segment("deleted"));
    let Some(mut installed) = installed(&good) else { return };
    let deleted = installed.admin(&["-n", NAMESPACE, "delete", "configmap", "ringfence-guardrails"]);
    assert!(deleted.success, "{}", deleted.stderr);
    let warning = format!("Warning: ringfence: revision {} stays in force", revision(&good));
    assert!(deleted.stderr.contains(&warning), "{}", deleted.stderr);
    for replica in installed.ringfence.replicas() {
        eventually("the metric to tell of it", || {
            (replica.metric("ringfence_guardrails_valid").as_deref() == Some("0")).then_some(())
        });
        assert!(replica.has_in_force(&revision(&good)), "{}", replica.log());
        assert!(replica.health("/readyz").is_ok());
    }
    eventually("the Event", || installed.events("GuardrailsMissing").first().cloned());

    let replica = installed.ringfence.replica(1);
    replica.kill().expect("it is gone");
    replica.start_again().expect("it starts");
    eventually("it to see that there is none", || {
        replica
            .log()
            .contains("there is no last good one, so ringfence is not ready")
            .then_some(())
    });
    assert!(
        replica.health("/readyz").is_err(),
        "whoever installs anew must not get what was configured once"
    );
    assert!(replica.health("/healthz").is_ok());

    configure(&installed.cluster, "admin", AUDIT).ok();
    installed
        .ringfence
        .replica(1)
        .wait_until_ready()
        .expect("ready once there is one");
    installed.ringfence.wait_for_revision(&revision(AUDIT));
}

#[test]
fn an_empty_configuration_means_audit_and_nothing_protected() {
    let Some(installed) = installed(AUDIT) else { return };
    let empty = json!({
        "apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {"name": "ringfence-guardrails", "namespace": NAMESPACE},
    });
    let replace = installed.cluster.kubectl("admin").args(["replace", "-f", "-"]);
    replace.stdin(empty.to_string()).run().ok();
    for replica in installed.ringfence.replicas() {
        eventually("it to be in force", || {
            (!replica.has_in_force(&revision(AUDIT))).then_some(())
        });
        assert_eq!(replica.metric("ringfence_guardrails_valid").as_deref(), Some("1"));
        assert_eq!(replica.metric("ringfence_guardrails_segments").as_deref(), Some("0"));
    }
}

#[test]
fn namespaces_are_followed_in_bursts() {
    let Some(installed) = installed(AUDIT) else { return };
    let count = || -> Vec<i64> {
        let replicas = installed.ringfence.replicas().iter();
        let told = replicas.filter_map(|replica| replica.metric("ringfence_namespaces"));
        told.filter_map(|count| count.parse().ok()).collect()
    };
    let before = installed
        .admin(&["get", "namespaces", "-o", "name"])
        .ok()
        .lines()
        .count();
    let list: Vec<_> = (0..200)
        .map(|number| json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": format!("burst-{number}")}}))
        .collect();
    let list = json!({"apiVersion": "v1", "kind": "List", "items": list});
    let create = installed.cluster.kubectl("admin").args(["create", "-f", "-"]);
    create.stdin(list.to_string()).run().ok();
    let expected = i64::try_from(before + 200).expect("a few");
    eventually("all of them to be seen", || {
        (count() == [expected, expected]).then_some(())
    });
}
