//! Replicas among themselves: one leads, all agree on the path and the certificate.

use ringfence_controlplane::{NAMESPACE, Signal, configure, eventually};
use serde_json::Value;

use crate::installed::{AUDIT, Installed, in_mode, installed, segment};

fn secret(installed: &Installed) -> Option<Value> {
    installed
        .cluster
        .object(&["-n", NAMESPACE, "secret", "ringfence-serving"])
}

/// Waits until our webhook answers: a change of the path or the certificate has to reach the API server first.
fn wait_until_reviewed(installed: &Installed) {
    eventually("the API server to reach the webhook", || {
        let answer = configure(&installed.cluster, "admin", "kind: Nonsense");
        (!answer.success && answer.stderr.contains("is not valid")).then_some(())
    });
}

#[test]
fn all_serve_by_what_one_of_them_wrote() {
    let Some(mut installed) = installed(AUDIT) else { return };
    let written = |installed: &Installed| -> usize {
        let replicas = installed.ringfence.replicas().iter();
        replicas
            .map(|replica| replica.log().matches("Secret ringfence-serving created").count())
            .sum()
    };
    let before = written(&installed);
    // All start at once and find nothing.
    for index in 0..2 {
        installed.ringfence.replica(index).kill().expect("it is gone");
    }
    installed
        .admin(&["-n", NAMESPACE, "delete", "secret", "ringfence-serving"])
        .ok();
    for index in 0..2 {
        installed.ringfence.replica(index).start_again().expect("it starts");
    }
    for index in 0..2 {
        installed.ringfence.replica(index).wait_until_ready().expect("ready");
    }
    wait_until_reviewed(&installed);
    let kept = secret(&installed).expect("it stands");
    // The forwarder goes round robin: each of these reaches the next replica, by the one path and certificate.
    for _ in 0..6 {
        configure(&installed.cluster, "admin", "kind: Nonsense").refused();
    }
    assert_eq!(
        secret(&installed).expect("it stands")["data"],
        kept["data"],
        "nobody wrote again"
    );
    assert_eq!(written(&installed), before + 1, "one wrote it, the other took it");
}

#[test]
fn a_secret_that_was_deleted_or_broken_is_made_anew() {
    let Some(installed) = installed(AUDIT) else { return };
    let before = secret(&installed).expect("it stands");
    installed
        .admin(&["-n", NAMESPACE, "delete", "secret", "ringfence-serving"])
        .ok();
    let made = eventually("a new one", || secret(&installed));
    assert_ne!(made["data"]["path"], before["data"]["path"]);
    wait_until_reviewed(&installed);

    let broken = serde_json::json!({"data": {"tls.crt": "bm8gY2VydGlmaWNhdGU="}});
    let path = format!("/api/v1/namespaces/{NAMESPACE}/secrets/ringfence-serving");
    installed
        .cluster
        .request("admin", "PATCH", &path)
        .json(&broken)
        .send()
        .ok();
    let repaired = eventually("it to be repaired", || {
        let secret = secret(&installed)?;
        (secret["data"]["tls.crt"] != broken["data"]["tls.crt"]).then_some(secret)
    });
    assert_eq!(repaired["data"]["path"], made["data"]["path"], "the path is kept");
    wait_until_reviewed(&installed);
}

#[test]
fn another_leads_where_the_leader_was_killed() {
    let Some(mut installed) = installed(AUDIT) else { return };
    let (leader, follower) = installed.leader_and_follower();
    installed.ringfence.replica(leader).kill().expect("it is gone");
    eventually("the other to lead", || {
        let replica = &installed.ringfence.replicas()[follower];
        (replica.metric("ringfence_leader").as_deref() == Some("1")).then_some(())
    });
    let lease = installed
        .cluster
        .object(&["-n", NAMESPACE, "lease", "ringfence-leader"])
        .expect("it stands");
    assert_eq!(
        lease["spec"]["holderIdentity"],
        installed.ringfence.replicas()[follower].pod()
    );
    // It does what leaders do.
    let guardrails = in_mode("Enforce", &format!("{AUDIT}{}", segment("by-another")));
    configure(&installed.cluster, "admin", &guardrails).ok();
    eventually("the role", || {
        installed.cluster.object(&["clusterrole", "ringfence:by-another:join"])
    });
    installed.eventually_served("the webhooks to follow", |configuration| {
        let expressions = &configuration["webhooks"][0]["namespaceSelector"]["matchExpressions"];
        (expressions[0]["operator"] == "In").then_some(())
    });

    let replica = installed.ringfence.replica(leader);
    replica.start_again().expect("it starts");
    replica.wait_until_ready().expect("ready");
    assert_eq!(
        replica.metric("ringfence_leader").as_deref(),
        Some("0"),
        "one leads at a time"
    );
}

#[test]
fn a_leader_that_ends_in_good_order_gives_the_lease_back() {
    let Some(mut installed) = installed(AUDIT) else { return };
    let (leader, follower) = installed.leader_and_follower();
    installed.ringfence.replica(leader).stop().expect("it ends");
    let lease = installed
        .cluster
        .object(&["-n", NAMESPACE, "lease", "ringfence-leader"])
        .expect("it stands");
    let holder = &lease["spec"]["holderIdentity"];
    let pods = installed.ringfence.replicas();
    assert_ne!(holder, pods[leader].pod());
    eventually("the other to lead", || {
        (pods[follower].metric("ringfence_leader").as_deref() == Some("1")).then_some(())
    });
    let replica = installed.ringfence.replica(leader);
    replica.start_again().expect("it starts");
    replica.wait_until_ready().expect("ready");
}

#[test]
fn a_leader_that_was_frozen_follows_when_it_wakes() {
    let Some(mut installed) = installed(AUDIT) else { return };
    let (leader, follower) = installed.leader_and_follower();
    let leads = |installed: &Installed, index: usize| {
        installed.ringfence.replicas()[index]
            .metric("ringfence_leader")
            .as_deref()
            == Some("1")
    };
    let frozen = installed.ringfence.replica(leader).process();
    frozen.signal(Signal::Stop).expect("it runs");
    eventually("the other to lead", || leads(&installed, follower).then_some(()));
    let frozen = installed.ringfence.replica(leader).process();
    frozen.signal(Signal::Continue).expect("it runs");
    eventually("the one that slept to follow", || {
        let told = installed.ringfence.replicas()[leader].metric("ringfence_leader");
        (told.as_deref() == Some("0")).then_some(())
    });
    assert!(leads(&installed, follower), "it leads on");
}
