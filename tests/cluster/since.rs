//! Since when what is enforced: kept by the leader, the same after it is gone, begun anew when enforcing was broken off.

use ringfence_controlplane::{NAMESPACE, configure, eventually};
use serde_json::Value;

use crate::installed::{AUDIT, Installed, in_mode, installed, segment};

/// What is kept; none where there is no ConfigMap.
fn kept(installed: &Installed) -> Option<String> {
    let object = installed
        .cluster
        .object(&["-n", NAMESPACE, "configmap", "ringfence-enforced-since"])?;
    object["data"]["since.yaml"].as_str().map(str::to_owned)
}

/// Enforces a segment of this name, and gives what is kept once it names it.
fn enforce(installed: &Installed, name: &str) -> String {
    let guardrails = in_mode("Enforce", &format!("{AUDIT}{}", segment(name)));
    configure(&installed.cluster, "admin", &guardrails).ok();
    eventually("the segment's time", || {
        kept(installed).filter(|text| names(text, name))
    })
}

fn names(text: &str, segment: &str) -> bool {
    text.contains(&format!("  {segment}:\n"))
}

#[test]
fn since_when_a_segment_is_enforced_is_kept_over_leaders_and_forgotten_when_it_is_not() {
    let Some(mut installed) = installed(AUDIT) else { return };
    let first = enforce(&installed, "timed");
    // What another leader finds stays as it is: it makes its first pass, which would add what is missing.
    let (leader, _) = installed.leader_and_follower();
    installed.ringfence.replica(leader).kill().expect("it is gone");
    let replica = installed.ringfence.replica(leader);
    replica.start_again().expect("it starts");
    replica.wait_until_ready().expect("ready");
    installed.leader_and_follower();
    let more = in_mode(
        "Enforce",
        &format!("{AUDIT}{}{}", segment("timed"), segment("timed-later")),
    );
    configure(&installed.cluster, "admin", &more).ok();
    let both = eventually("the other's time", || {
        kept(&installed).filter(|text| names(text, "timed-later"))
    });
    let of_first = |text: &str| -> Vec<String> {
        let lines = text.lines().skip_while(|line| *line != "  timed:");
        lines.take(3).map(str::to_owned).collect()
    };
    assert_eq!(of_first(&both), of_first(&first));

    configure(&installed.cluster, "admin", AUDIT).ok();
    eventually("nothing to be kept", || {
        kept(&installed).filter(|text| !names(text, "timed") && !names(text, "timed-later"))
    });
}

#[test]
fn what_was_deleted_or_garbled_is_written_anew() {
    let Some(installed) = installed(AUDIT) else { return };
    enforce(&installed, "written-anew");
    let arguments = ["-n", NAMESPACE, "delete", "configmap", "ringfence-enforced-since"];
    installed.admin(&arguments).ok();
    eventually("a new one", || {
        kept(&installed).filter(|text| names(text, "written-anew"))
    });
    let garbled = r#"{"data": {"since.yaml": "segments: ["}}"#;
    let arguments = [
        "-n",
        NAMESPACE,
        "patch",
        "configmap",
        "ringfence-enforced-since",
        "-p",
        garbled,
    ];
    installed.admin(&arguments).ok();
    eventually("it to be repaired", || {
        kept(&installed).filter(|text| names(text, "written-anew"))
    });
    let object = installed
        .cluster
        .object(&["-n", NAMESPACE, "configmap", "ringfence-enforced-since"]);
    let labels = object.map_or(Value::Null, |object| object["metadata"]["labels"].clone());
    assert_eq!(labels["app.kubernetes.io/managed-by"], "ringfence");
}
