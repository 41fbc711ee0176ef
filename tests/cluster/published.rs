//! The published view and the ClusterRoles: they appear, count, are repaired and disappear.

use std::collections::BTreeSet;

use ringfence::manifests::roles::SEGMENT_VERBS;
use ringfence_controlplane::{configure, eventually};
use serde_json::{Value, json};

use crate::installed::{AUDIT, Installed, in_mode, installed, promptly, revision, segment};

/// The names of what is published.
fn names(installed: &Installed, kind: &str) -> BTreeSet<String> {
    let list = installed.admin(&["get", kind, "-o", "name"]).ok();
    let names = list
        .lines()
        .filter_map(|line| line.split_once('/').map(|(_, name)| name.to_owned()));
    names
        .filter(|name| kind != "clusterroles" || name.starts_with("ringfence:"))
        .collect()
}

fn set<const N: usize>(names: [&str; N]) -> BTreeSet<String> {
    names.into_iter().map(str::to_owned).collect()
}

#[test]
fn segments_and_their_roles_appear_and_disappear() {
    let two = format!("{AUDIT}{}{}", segment("appearing"), segment("staying"));
    let Some(installed) = installed(&two) else { return };
    let roles = |segment: &str| -> BTreeSet<String> {
        let verbs = SEGMENT_VERBS
            .iter()
            .map(|(verb, _)| format!("ringfence:{segment}:{verb}"));
        verbs.collect()
    };
    let expected: BTreeSet<String> = &roles("appearing") | &roles("staying");
    eventually("the segments", || {
        (names(&installed, "segments") == set(["appearing", "staying"])).then_some(())
    });
    eventually("their roles", || {
        (names(&installed, "clusterroles") == expected).then_some(())
    });
    let segment_object = eventually("its status", || {
        let object = installed.cluster.object(&["segment.ringfence.dev", "staying"])?;
        (object["status"]["observedRevision"] == revision(&two)).then_some(object)
    });
    assert_eq!(segment_object["spec"]["consent"], json!({"namespace": "payments"}));
    assert_eq!(segment_object["status"]["mode"], "Audit");
    assert_eq!(segment_object["status"]["consent"], "payments");
    assert_eq!(segment_object["status"]["isolated"], "Unknown");

    let one = format!("{AUDIT}{}", segment("staying"));
    configure(&installed.cluster, "admin", &one).ok();
    let expected = roles("staying");
    eventually("one segment to be gone", || {
        (names(&installed, "segments") == set(["staying"])).then_some(())
    });
    eventually("its roles to be gone", || {
        (names(&installed, "clusterroles") == expected).then_some(())
    });
    eventually("the revision of the other", || {
        let object = installed.cluster.object(&["segment.ringfence.dev", "staying"])?;
        (object["status"]["observedRevision"] == revision(&one)).then_some(())
    });
}

#[test]
fn what_was_tampered_with_is_repaired_and_what_is_not_ours_stays() {
    let guardrails = format!("{AUDIT}{}", segment("tampered"));
    let Some(installed) = installed(&guardrails) else {
        return;
    };
    let role = "ringfence:tampered:connect";
    let verbs = |installed: &Installed| {
        let role = installed.cluster.object(&["clusterrole", role])?;
        (role["rules"]
            == json!([{"apiGroups": ["ringfence.dev"], "resources": ["segments"], "resourceNames": ["tampered"],
            "verbs": ["connect"]}]))
        .then_some(role)
    };
    eventually("the role", || verbs(&installed));
    let others = json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole",
        "metadata": {"name": "ringfence-reader", "labels": {"app.kubernetes.io/managed-by": "ringfence"}}, "rules": []});
    let apply = installed.cluster.kubectl("admin").args(["apply", "-f", "-"]);
    apply.stdin(others.to_string()).run().ok();

    let role_path = format!("/apis/rbac.authorization.k8s.io/v1/clusterroles/{role}");
    promptly(
        "the role to be repaired",
        |time| {
            let patch: Value = match time {
                0 => json!({"rules": [{"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}]}),
                1 => json!({"rules": null}),
                _ => json!({"metadata": {"labels": {"app.kubernetes.io/managed-by": "me"}},
                    "rules": [{"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]}]}),
            };
            installed
                .cluster
                .request("admin", "PATCH", &role_path)
                .json(&patch)
                .send()
                .ok();
        },
        |()| {
            verbs(&installed)
                .is_some_and(|role| role["metadata"]["labels"]["app.kubernetes.io/managed-by"] == "ringfence")
        },
    );
    installed.cluster.request("admin", "DELETE", &role_path).send().ok();
    eventually("the role to be made again", || verbs(&installed));

    let segment_path = "/apis/ringfence.dev/v1alpha1/segments/tampered";
    let lie = json!({"spec": {"description": "not what the ConfigMap says"}});
    let written = installed.cluster.request("admin", "PATCH", segment_path);
    written.json(&lie).send().ok();
    eventually("the segment to be repaired", || {
        let segment = installed.cluster.object(&["segment.ringfence.dev", "tampered"])?;
        segment["spec"]["description"].is_null().then_some(())
    });
    installed.cluster.request("admin", "DELETE", segment_path).send().ok();
    eventually("the segment to be published again", || {
        installed.cluster.object(&["segment.ringfence.dev", "tampered"])
    });

    configure(&installed.cluster, "admin", AUDIT).ok();
    eventually("the roles to be gone", || {
        names(&installed, "clusterroles").is_empty().then_some(())
    });
    assert!(
        installed.cluster.object(&["clusterrole", "ringfence-reader"]).is_some(),
        "not of a published name"
    );
    installed.admin(&["delete", "clusterrole", "ringfence-reader"]).ok();
}

#[test]
fn pods_are_counted() {
    let guardrails = format!("{AUDIT}{}", segment("counted"));
    let Some(installed) = installed(&guardrails) else {
        return;
    };
    let counts = || {
        let segment = installed.cluster.object(&["segment.ringfence.dev", "counted"])?;
        Some((
            segment["status"]["memberPods"].as_i64()?,
            segment["status"]["clientPods"].as_i64()?,
        ))
    };
    for namespace in ["payments", "web"] {
        if installed.cluster.object(&["namespace", namespace]).is_none() {
            installed.cluster.create_namespace(namespace, &[]);
        }
        installed
            .admin(&["-n", namespace, "delete", "pods", "--all", "--now"])
            .ok();
    }
    eventually("nothing to be counted", || (counts() == Some((0, 0))).then_some(()));
    let run = |namespace: &str, name: &str, app: &str| {
        let label = format!("--labels=app={app}");
        installed
            .admin(&["-n", namespace, "run", name, "--image=registry.example/app:1", &label])
            .ok();
    };
    run("payments", "db-0", "hollowdb");
    run("payments", "db-1", "hollowdb");
    run("web", "app", "hollowapp");
    run("web", "unrelated", "nginx");
    run("web", "no-member-here", "hollowdb");
    eventually("them to be counted", || (counts() == Some((2, 1))).then_some(()));
    let table = installed.admin(&["get", "segments"]).ok();
    assert!(table.contains("MEMBER PODS"), "{table}");
    installed
        .admin(&["-n", "payments", "delete", "pod", "db-0", "--now"])
        .ok();
    eventually("one to be gone", || (counts() == Some((1, 1))).then_some(()));
    for namespace in ["payments", "web"] {
        installed
            .admin(&["-n", namespace, "delete", "pods", "--all", "--now", "--wait=false"])
            .ok();
    }
}

#[test]
fn can_i_answers_by_the_published_role() {
    let guardrails = in_mode("Enforce", &format!("{AUDIT}{}", segment("asked-about")));
    let Some(installed) = installed(&guardrails) else {
        return;
    };
    for namespace in ["payments", "web"] {
        if installed.cluster.object(&["namespace", namespace]).is_none() {
            installed.cluster.create_namespace(namespace, &[]);
        }
    }
    eventually("the role", || {
        installed
            .cluster
            .object(&["clusterrole", "ringfence:asked-about:connect"])
    });
    let can = |verb: &str, segment: &str, namespace: &str| {
        let name = format!("segments.ringfence.dev/{segment}");
        let answer = installed
            .cluster
            .kubectl("ci")
            .args(["auth", "can-i", verb, &name, "-n", namespace])
            .run();
        answer.stdout.trim() == "yes"
    };
    assert!(!can("connect", "asked-about", "payments"));
    let role = "--clusterrole=ringfence:asked-about:connect";
    installed
        .admin(&[
            "-n",
            "payments",
            "create",
            "rolebinding",
            "asked-about",
            role,
            "--user=ci",
        ])
        .ok();
    eventually("the grant", || can("connect", "asked-about", "payments").then_some(()));
    assert!(!can("join", "asked-about", "payments"), "another verb");
    assert!(!can("connect", "another", "payments"), "another segment");
    assert!(!can("connect", "asked-about", "web"), "another namespace");
    installed
        .admin(&["-n", "payments", "delete", "rolebinding", "asked-about"])
        .ok();
}

#[test]
fn without_the_crds_all_else_goes_on() {
    let guardrails = format!("{AUDIT}{}", segment("unpublished"));
    let Some(installed) = installed(&guardrails) else {
        return;
    };
    eventually("the segment", || {
        installed.cluster.object(&["segment.ringfence.dev", "unpublished"])
    });
    installed.admin(&["delete", "crd", "segments.ringfence.dev"]).ok();
    let other = format!("{AUDIT}{}", segment("still-a-role"));
    configure(&installed.cluster, "admin", &other).ok();
    eventually("the role of another segment", || {
        installed
            .cluster
            .object(&["clusterrole", "ringfence:still-a-role:join"])
    });
    eventually("the Guardrails object to be kept", || {
        let published = installed.cluster.object(&["guardrails.ringfence.dev", "default"])?;
        (published["status"]["observedRevision"] == revision(&other)).then_some(())
    });
    for replica in installed.ringfence.replicas() {
        assert!(replica.health("/readyz").is_ok(), "{}", replica.log());
    }
    let crds = concat!(env!("CARGO_MANIFEST_DIR"), "/deploy/crds.yaml");
    installed.admin(&["apply", "--server-side", "-f", crds]).ok();
    installed
        .admin(&["wait", "--for=condition=Established", "crd", "segments.ringfence.dev"])
        .ok();
    eventually("the segment to be published again", || {
        installed.cluster.object(&["segment.ringfence.dev", "still-a-role"])
    });
}
