//! What is known of NetworkPolicies, as connections that have to come out: the traps that other tools' tests and the
//! documentation name, each derived from the words of the API.

use std::collections::BTreeSet;

use rstest::rstest;
use serde_json::Value;

use crate::reach;

/// `source -> destination PROTOCOL ports`, but for what passes by no policy at all.
fn connections(manifests: &str, arguments: &[&str]) -> BTreeSet<String> {
    let arguments = [&["--output", "json"], arguments].concat();
    let told = reach(manifests, &arguments).told();
    let lines = told
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).expect("a line is JSON"));
    let restricted = lines.filter(|line| line["policies"] != serde_json::json!([]));
    restricted
        .map(|line| {
            let end = |end: &Value| {
                if let Some(cidr) = end["cidr"].as_str() {
                    cidr.to_owned()
                } else {
                    let text = |key: &str| end[key].as_str().expect("text");
                    let labels = end["labels"].as_object().map(|labels| {
                        let labels: Vec<String> = labels
                            .iter()
                            .map(|(key, value)| {
                                value
                                    .as_str()
                                    .map_or(format!("!{key}"), |value| format!("{key}={value}"))
                            })
                            .collect();
                        format!("[{}]", labels.join(","))
                    });
                    format!("{}/{}{}", text("namespace"), text("name"), labels.unwrap_or_default())
                }
            };
            let ports: Vec<&str> = line["ports"]
                .as_array()
                .expect("ports")
                .iter()
                .map(|port| port.as_str().expect("text"))
                .collect();
            let protocol = line["protocol"].as_str().expect("a protocol");
            format!(
                "{} -> {} {protocol} {}",
                end(&line["source"]),
                end(&line["destination"]),
                ports.join(",")
            )
        })
        .collect()
}

/// Pods `a` and `b` of `x`, and `a` of `y`, which is labelled `ns: y`; their containers name port 80 `http`.
const PODS: &str = "
apiVersion: v1
kind: Namespace
metadata: {name: x}
---
apiVersion: v1
kind: Namespace
metadata: {name: 'y', labels: {ns: 'y'}}
---
apiVersion: v1
kind: Pod
metadata: {name: a, namespace: x, labels: {pod: a}}
spec: {containers: [{ports: [{name: http, containerPort: 80}]}]}
---
apiVersion: v1
kind: Pod
metadata: {name: b, namespace: x, labels: {pod: b}}
spec: {containers: [{ports: [{name: http, containerPort: 8080}]}]}
---
apiVersion: v1
kind: Pod
metadata: {name: a, namespace: 'y', labels: {pod: a}}
";

fn policy(spec: &str) -> String {
    format!(
        "{PODS}---\napiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {{name: p, namespace: x}}\nspec: {spec}\n"
    )
}

#[rstest]
#[case::no_rules("{podSelector: {matchLabels: {pod: a}}}", &[])]
#[case::empty_from("{podSelector: {matchLabels: {pod: a}}, ingress: [{from: [], ports: [{port: 80}]}]}",
    &["x/b -> x/a TCP 80", "y/a -> x/a TCP 80", "0.0.0.0/0 -> x/a TCP 80", "::/0 -> x/a TCP 80"])]
#[case::own_namespace("{podSelector: {matchLabels: {pod: b}}, ingress: [{from: [{podSelector: {}}], ports: [{port: 80}]}]}",
    &["x/a -> x/b TCP 80"])]
#[case::one_peer_of_two_selectors(
    "{podSelector: {matchLabels: {pod: b}}, ingress: [{from: [{podSelector: {matchLabels: {pod: a}}, namespaceSelector: {matchLabels: {ns: 'y'}}}], ports: [{port: 80}]}]}",
    &["y/a -> x/b TCP 80"])]
#[case::two_peers(
    "{podSelector: {matchLabels: {pod: b}}, ingress: [{from: [{podSelector: {matchLabels: {pod: a}}}, {namespaceSelector: {matchLabels: {ns: 'y'}}}], ports: [{port: 80}]}]}",
    &["x/a -> x/b TCP 80", "y/a -> x/b TCP 80"])]
#[case::every_namespace(
    "{podSelector: {matchLabels: {pod: b}}, ingress: [{from: [{namespaceSelector: {}}], ports: [{port: 80}]}]}",
    &["x/a -> x/b TCP 80", "y/a -> x/b TCP 80"])]
#[case::not_in_matches_an_absent_key(
    "{podSelector: {matchLabels: {pod: b}}, ingress: [{from: [{namespaceSelector: {matchExpressions: [{key: ns, operator: NotIn, values: ['y']}]}}], ports: [{port: 80}]}]}",
    &["x/a -> x/b TCP 80"])]
#[case::named_port_of_each_pod(
    "{podSelector: {}, ingress: [{from: [{podSelector: {}}], ports: [{port: http}]}]}",
    &["x/a -> x/b TCP 8080", "x/b -> x/a TCP 80"])]
#[case::named_port_of_another_protocol("{podSelector: {}, ingress: [{ports: [{port: http, protocol: UDP}]}]}", &[])]
#[case::egress_to_a_named_port_of_no_pod("{podSelector: {matchLabels: {pod: a}}, policyTypes: [Egress], egress: [{to: [{ipBlock: {cidr: 10.0.0.0/8}}], ports: [{port: http}]}]}", &[])]
#[case::port_range(
    "{podSelector: {matchLabels: {pod: b}}, ingress: [{from: [{podSelector: {}}], ports: [{port: 80, endPort: 90}, {port: 85, endPort: 95}, {protocol: SCTP}]}]}",
    &["x/a -> x/b TCP 80-95", "x/a -> x/b SCTP 1-65535"])]
#[case::rules_for_a_direction_that_is_not_named(
    "{podSelector: {}, policyTypes: [Egress], ingress: [{}], egress: [{to: [{podSelector: {matchLabels: {pod: b}}}], ports: [{port: 1}]}]}",
    &["x/a -> x/b TCP 1"])]
#[case::egress_rules_name_their_direction(
    "{podSelector: {matchLabels: {pod: a}}, egress: [{to: [{ipBlock: {cidr: 10.0.0.0/30, except: [10.0.0.1/32]}}], ports: [{port: 1}]}]}",
    &["x/a -> 10.0.0.0/32 TCP 1", "x/a -> 10.0.0.2/31 TCP 1"])]
#[case::blocks_match_no_pods("{podSelector: {matchLabels: {pod: b}}, ingress: [{from: [{ipBlock: {cidr: 0.0.0.0/0}}], ports: [{port: 80}]}]}",
    &["0.0.0.0/0 -> x/b TCP 80"])]
fn what_a_policy_lets_pass(#[case] spec: &str, #[case] expected: &[&str]) {
    let expected: BTreeSet<String> = expected.iter().map(|line| (*line).to_owned()).collect();
    assert_eq!(connections(&policy(spec), &[]), expected);
}

#[test]
fn blocks_match_pods_where_it_is_asked_for() {
    let spec = "{podSelector: {matchLabels: {pod: b}}, ingress: [{from: [{ipBlock: {cidr: 10.0.0.0/30}}], ports: [{port: 80}]}]}";
    let manifests = policy(spec).replace(
        "metadata: {name: a, namespace: 'y', labels: {pod: a}}",
        "metadata: {name: a, namespace: 'y', labels: {pod: a}}\nstatus: {podIPs: [{ip: 10.0.0.1}]}",
    );
    let outside = "10.0.0.0/30 -> x/b TCP 80".to_owned();
    assert_eq!(connections(&manifests, &[]), BTreeSet::from([outside.clone()]));
    assert_eq!(
        connections(&manifests, &["--ipblock-pods"]),
        BTreeSet::from([outside, "y/a -> x/b TCP 80".to_owned()])
    );
}

/// Two pods of one ReplicaSet that differ in a label.
const UNLIKE: &str = "
apiVersion: v1
kind: Pod
metadata: {name: w-1, namespace: x, labels: {app: w, track: stable}, ownerReferences: [{kind: ReplicaSet, name: w, controller: true}]}
---
apiVersion: v1
kind: Pod
metadata: {name: w-2, namespace: x, labels: {app: w, track: canary}, ownerReferences: [{kind: ReplicaSet, name: w, controller: true}]}
";

#[test]
fn pods_of_one_owner_are_told_apart_where_a_policy_can() {
    let by = |labels: &str| {
        let spec = format!(
            "{{podSelector: {{matchLabels: {{pod: b}}}}, ingress: [{{from: [{{podSelector: {{matchLabels: {{{labels}}}}}}}], ports: [{{port: 80}}]}}]}}"
        );
        connections(&format!("{}---{UNLIKE}", policy(&spec)), &[])
    };
    assert_eq!(by("app: w"), BTreeSet::from(["x/w -> x/b TCP 80".to_owned()]));
    assert_eq!(
        by("track: canary"),
        BTreeSet::from(["x/w[track=canary] -> x/b TCP 80".to_owned()])
    );
}

/// Values that no policy mentions are alike to all of them, and yet not the same: each end is told by labels of its own.
#[test]
fn an_end_is_told_by_labels_that_all_its_pods_have() {
    let beta = UNLIKE.replace("w-1", "w-3").replace("stable", "beta");
    let by = |operator: &str| {
        let expression = format!("{{key: track, operator: {operator}, values: [canary]}}");
        let spec = format!(
            "{{podSelector: {{matchLabels: {{pod: b}}}}, ingress: [{{from: [{{podSelector: {{matchExpressions: [{{key: app, operator: Exists}}, {expression}]}}}}], ports: [{{port: 80}}]}}]}}"
        );
        let documents = beta.split("---").next().unwrap_or_default();
        connections(&format!("{}---{UNLIKE}---{documents}", policy(&spec)), &[])
    };
    assert_eq!(
        by("NotIn"),
        BTreeSet::from(["beta", "stable"].map(|track| format!("x/w[track={track}] -> x/b TCP 80")))
    );
    assert_eq!(by("In"), BTreeSet::from(["x/w[track=canary] -> x/b TCP 80".to_owned()]));
}

/// Else nobody could tell for which of the pods it holds.
#[test]
fn an_end_without_a_label_that_others_of_its_owner_have_says_so() {
    let without = UNLIKE.replacen(", track: stable", "", 1);
    let spec = "{podSelector: {matchLabels: {pod: b}}, ingress: [{from: [{podSelector: {matchExpressions: [{key: app, operator: Exists}, {key: track, operator: DoesNotExist}]}}], ports: [{port: 80}]}]}";
    assert_eq!(
        connections(&format!("{}---{without}", policy(spec)), &[]),
        BTreeSet::from(["x/w[!track] -> x/b TCP 80".to_owned()])
    );
    let text = reach(&format!("{}---{without}", policy(spec)), &["--to", "x/b"]).told();
    assert!(text.contains("x/w (ReplicaSet, !track)"), "{text}");
}

#[test]
fn pods_in_the_network_of_their_node_are_marked() {
    let manifests = policy("{podSelector: {}}")
        + "---\napiVersion: v1\nkind: Pod\nmetadata: {name: agent, namespace: x}\nspec: {hostNetwork: true}\n";
    let told = reach(
        &manifests,
        &["--output", "json", "--to", "x/agent", "--from", "y/a", "--port", "22"],
    )
    .told();
    let line: Value = serde_json::from_str(told.trim()).expect("one line");
    assert_eq!(line["destination"]["hostNetwork"], true);
    assert_eq!(line["source"].get("hostNetwork"), None);
}
