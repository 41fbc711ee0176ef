//! What manifests come to, before anybody asks who reaches whom.

mod pieces;

use std::collections::BTreeMap;

use rstest::rstest;

use super::inventory::Inventory;
use super::load::of_files;
use super::{Addresses, Reading, WorkloadKinds};
use crate::answer::offline::Problems;
use crate::answer::offline::folder::File;

fn file(name: &str, text: &str) -> File {
    File {
        name: name.to_owned(),
        text: text.to_owned(),
    }
}

fn read_all(files: Vec<File>) -> Result<Inventory, Problems> {
    let reading = Reading {
        kinds: WorkloadKinds::new(&[]),
        namespace: "default".to_owned(),
        addresses: Addresses::TellPodsApart,
    };
    of_files(files, &reading)
}

fn read(text: &str) -> Result<Inventory, Problems> {
    read_all(vec![file("a.yaml", text)])
}

/// `namespace/Kind/name`, and the labels of each of its pods.
fn workloads(text: &str) -> BTreeMap<String, Vec<String>> {
    let inventory = read(text).unwrap_or_else(|problems| panic!("{problems}"));
    let told = inventory.workloads.into_iter().map(|(owner, pods)| {
        let labels = pods.into_iter().map(|pod| {
            let labels: Vec<String> = pod.labels.iter().map(|(key, value)| format!("{key}={value}")).collect();
            labels.join(",")
        });
        (
            format!("{}/{}/{}", owner.namespace, owner.kind, owner.name),
            labels.collect(),
        )
    });
    told.collect()
}

fn refused(text: &str) -> String {
    read(text)
        .and_then(|inventory| inventory.compile().map(|_| ()))
        .expect_err("it is refused")
        .to_string()
}

const DEPLOYMENT: &str = "
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: shop}
spec: {template: {metadata: {labels: {app: web}}, spec: {containers: []}}}
";
const REPLICA_SET: &str = "
apiVersion: apps/v1
kind: ReplicaSet
metadata: {name: web-1, namespace: shop, ownerReferences: [{kind: Deployment, name: web, controller: true}]}
spec: {replicas: 1, template: {metadata: {labels: {app: web, pod-template-hash: '1'}}}}
";
const POD: &str = "
apiVersion: v1
kind: Pod
metadata:
  name: web-1-a
  namespace: shop
  labels: {app: web, pod-template-hash: '1'}
  ownerReferences: [{kind: ReplicaSet, name: web-1, controller: true}]
";

#[rstest]
#[case::all_three(&[DEPLOYMENT, REPLICA_SET, POD], "shop/Deployment/web", "app=web,pod-template-hash=1")]
#[case::in_another_order(&[POD, DEPLOYMENT, REPLICA_SET], "shop/Deployment/web", "app=web,pod-template-hash=1")]
#[case::no_pod(&[REPLICA_SET, DEPLOYMENT], "shop/Deployment/web", "app=web")]
#[case::no_deployment(&[POD, REPLICA_SET], "shop/Deployment/web", "app=web,pod-template-hash=1")]
#[case::its_replica_set_alone(&[REPLICA_SET], "shop/Deployment/web", "app=web,pod-template-hash=1")]
#[case::its_pod_alone(&[POD], "shop/ReplicaSet/web-1", "app=web,pod-template-hash=1")]
#[case::twice_alike(&[DEPLOYMENT, DEPLOYMENT], "shop/Deployment/web", "app=web")]
fn pods_count_once_under_the_topmost_owner_that_is_known(
    #[case] documents: &[&str],
    #[case] owner: &str,
    #[case] labels: &str,
) {
    let expected = BTreeMap::from([(owner.to_owned(), vec![labels.to_owned()])]);
    assert_eq!(workloads(&documents.join("---")), expected);
}

#[test]
fn what_does_not_run_is_left_out() {
    let text = "
apiVersion: v1
kind: List
items:
- {apiVersion: v1, kind: Pod, metadata: {name: done}, status: {phase: Succeeded}}
- {apiVersion: v1, kind: Pod, metadata: {name: failed}, status: {phase: Failed}}
- {apiVersion: v1, kind: Pod, metadata: {name: waits}, status: {phase: Pending}}
- apiVersion: batch/v1
  kind: Job
  metadata: {name: finished}
  spec: {template: {metadata: {labels: {app: job}}}}
  status: {conditions: [{type: Complete, status: 'True'}]}
- apiVersion: batch/v1
  kind: Job
  metadata: {name: nightly-1, ownerReferences: [{kind: CronJob, name: nightly, controller: true}]}
  spec: {template: {metadata: {labels: {app: nightly, job-name: nightly-1}}}}
  status: {conditions: [{type: Failed, status: 'True'}]}
- apiVersion: batch/v1
  kind: CronJob
  metadata: {name: nightly}
  spec: {jobTemplate: {spec: {template: {metadata: {labels: {app: nightly}}}}}}
- apiVersion: apps/v1
  kind: ReplicaSet
  metadata: {name: api-old, ownerReferences: [{kind: Deployment, name: api, controller: true}]}
  spec: {replicas: 0, template: {metadata: {labels: {app: api-old}}}}
- apiVersion: apps/v1
  kind: ReplicaSet
  metadata: {name: api-new, ownerReferences: [{kind: Deployment, name: api, controller: true}]}
  spec: {replicas: 2, template: {metadata: {labels: {app: api-new}}}}
";
    let told = workloads(text);
    let names: Vec<&str> = told.keys().map(String::as_str).collect();
    assert_eq!(
        names,
        ["default/CronJob/nightly", "default/Deployment/api", "default/Pod/waits"]
    );
    assert_eq!(told["default/CronJob/nightly"], ["app=nightly"]);
    assert_eq!(told["default/Deployment/api"], ["app=api-new"]);
}

#[test]
fn every_kind_that_makes_pods_is_known() {
    let documents = [
        ("apps/v1", "Deployment"),
        ("apps/v1", "ReplicaSet"),
        ("apps/v1", "StatefulSet"),
        ("apps/v1", "DaemonSet"),
        ("batch/v1", "Job"),
        ("v1", "ReplicationController"),
        ("extensions/v1beta1", "Deployment"),
    ]
    .map(|(version, kind)| {
        let name = format!("{}-{}", kind.to_lowercase(), version.split('/').next().unwrap_or_default());
        format!("apiVersion: {version}\nkind: {kind}\nmetadata: {{name: {name}}}\nspec: {{template: {{metadata: {{labels: {{a: b}}}}}}}}\n")
    });
    assert_eq!(workloads(&documents.join("---\n")).len(), 7);
}

#[test]
fn lists_and_streams_of_json_and_yaml_are_taken_apart() {
    let json = r#"{"apiVersion": "v1", "kind": "PodList", "items": [{"metadata": {"name": "a"}}, {"metadata": {"name": "b"}}]}
        {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "c", "managedFields": [{"x": 1}]}}"#;
    let yaml = "%YAML 1.2\n---\n# nothing\n---\napiVersion: v1\nkind: PodList\nitems:\n- metadata: {name: d}\n...\n---\napiVersion: v1\nkind: NetworkPolicyList\nitems: null\n--- {apiVersion: v1, kind: Pod, metadata: {name: e}}\n";
    let inventory =
        read_all(vec![file("a.json", json), file("b.yaml", yaml)]).unwrap_or_else(|error| panic!("{error}"));
    let names: Vec<&str> = inventory.workloads.keys().map(|owner| owner.name.as_str()).collect();
    assert_eq!(names, ["a", "b", "c", "d", "e"]);
    assert_eq!(inventory.warnings, [""; 0]);
}

#[test]
fn namespaces_have_their_name_as_a_label_whatever_is_written() {
    let text = "
apiVersion: v1
kind: Namespace
metadata: {name: shop, labels: {team: a, kubernetes.io/metadata.name: forged}}
---
apiVersion: v1
kind: Pod
metadata: {name: a, namespace: elsewhere}
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: a}
";
    let inventory = read(text).unwrap_or_else(|error| panic!("{error}"));
    let told: Vec<String> = inventory
        .namespaces
        .iter()
        .map(|(name, labels)| format!("{name} {labels:?}"))
        .collect();
    insta::assert_snapshot!(told.join("\n"), @r#"
    default {"kubernetes.io/metadata.name": "default"}
    elsewhere {"kubernetes.io/metadata.name": "elsewhere"}
    shop {"kubernetes.io/metadata.name": "shop", "team": "a"}
    "#);
}

#[test]
fn ports_are_those_of_containers_that_go_on_running() {
    let text = "
apiVersion: v1
kind: Pod
metadata: {name: a}
spec:
  hostNetwork: true
  containers:
  - ports: [{name: http, containerPort: 8080}, {containerPort: 9}, {name: dns, containerPort: 53, protocol: UDP}]
  initContainers:
  - ports: [{name: before, containerPort: 1}]
  - {restartPolicy: Always, ports: [{name: proxy, containerPort: 15001}]}
status: {phase: Running, podIP: 10.0.0.1, podIPs: [{ip: 10.0.0.1}, {ip: 'fd00::1'}]}
";
    let inventory = read(text).unwrap_or_else(|error| panic!("{error}"));
    let pod = inventory.workloads.values().flatten().next().expect("a pod");
    let ports: Vec<String> = pod
        .ports
        .iter()
        .map(|port| format!("{} {:?} {}", port.name, port.protocol, port.number))
        .collect();
    assert_eq!(ports, ["http Tcp 8080", "dns Udp 53", "proxy Tcp 15001"]);
    assert!(pod.host_network);
    let addresses: Vec<String> = pod.addresses.iter().map(ToString::to_string).collect();
    assert_eq!(addresses, ["10.0.0.1", "fd00::1"]);
}

/// Namespaces of x, y and z are common where policies are tested, and many who write YAML put no quotes there.
#[test]
fn a_single_letter_is_text_and_warned_of() {
    let text = "
apiVersion: v1
kind: Pod
metadata: {name: y, namespace: y, labels: {n: N, a: \"y\"}}
spec: {hostNetwork: y}
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  name: p
  namespace: y
spec:
  podSelector:
    matchExpressions:
    - {key: n, operator: In, values: [n, N]}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: c}
data: {answer: y}
";
    assert_eq!(
        workloads(text),
        BTreeMap::from([("y/Pod/y".to_owned(), vec!["a=y,n=N".to_owned()])])
    );
    let inventory = read(text).unwrap_or_else(|error| panic!("{error}"));
    assert!(inventory.workloads.values().flatten().all(|pod| pod.host_network));
    assert_eq!(inventory.policies[0].identity.namespace, "y");
    insta::assert_snapshot!(inventory.warnings.join("\n"), @r"
    a.yaml:4: a single letter without quotes is read as text; kubectl takes y for true and n for false: put it in quotes
    a.yaml:11: a single letter without quotes is read as text; kubectl takes y for true and n for false: put it in quotes
    ");
    let error = refused(&text.replace("N, a", "on, a"));
    assert!(
        error.contains("metadata.labels.n: true is no text; put it in quotes"),
        "{error}"
    );
}

/// `env` and `resources` are parts of containers that nobody reads here, and words that people label with.
#[test]
fn a_label_may_be_called_like_what_is_left_unread() {
    let yaml = "
apiVersion: v1
kind: Namespace
metadata: {name: shop, labels: {env: prod}}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: shop}
spec:
  template:
    metadata: {labels: {env: prod, resources: large, args: ''}, annotations: {env: prod}}
    spec: {volumes: [{name: env}], containers: [{env: [{name: A, value: b}], resources: {limits: {cpu: 1}}, args: [a], command: }]}
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: p, namespace: shop}
spec: {podSelector: {matchLabels: {env: prod}}}
";
    let json = r#"{"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a", "labels": {"env": "prod"}},
        "spec": {"volumes": [], "containers": [{"env": [{"name": "A"}]}]}}"#;
    assert_eq!(
        workloads(yaml)["shop/Deployment/web"],
        ["args=,env=prod,resources=large"]
    );
    assert_eq!(workloads(json)["default/Pod/a"], ["env=prod"]);
    let inventory = read(yaml).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(inventory.namespaces["shop"]["env"], "prod");
    let selector = inventory.policies[0].spec.pod_selector.as_ref().expect("a selector");
    assert_eq!(selector.match_labels["env"], "prod");
    let error = refused("apiVersion: v1\nkind: Pod\nmetadata: {name: a, labels: {env: [prod]}}");
    assert!(error.contains("metadata.labels.env"), "{error}");
}

#[test]
fn what_is_no_object_is_told_of_and_skipped() {
    let text = "a: b\n---\napiVersion: v1\n---\njust text\n---\napiVersion: v1\nkind: Service\nmetadata: {name: s}\n";
    let inventory = read(text).unwrap_or_else(|error| panic!("{error}"));
    insta::assert_snapshot!(inventory.warnings.join("\n"), @r"
    a.yaml:1: skipped: not a Kubernetes object: it has no apiVersion
    a.yaml:3: skipped: not a Kubernetes object: it has no kind
    a.yaml:5: skipped: not a Kubernetes object: it is no mapping
    ");
}

#[test]
fn policies_of_other_kinds_are_told_of_once_a_kind() {
    let text = "
apiVersion: cilium.io/v2
kind: CiliumNetworkPolicy
metadata: {name: one}
---
apiVersion: cilium.io/v2
kind: CiliumNetworkPolicy
metadata: {name: two}
";
    let inventory = read(text).unwrap_or_else(|error| panic!("{error}"));
    insta::assert_snapshot!(inventory.warnings.join("\n"),
        @"a.yaml:2: CiliumNetworkPolicy (cilium.io) one and 1 more: not read; it may open or close more than is told here");
}

const POLICY: &str = "
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: p, namespace: shop}
spec:
  podSelector: {}
  ingress:
  - from:
    - ipBlock: {cidr: 10.0.0.0/8}
    ports: [{port: 80}]
";

#[rstest]
#[case::syntax("kind: Pod\na: [", "", "")]
#[case::key_twice("kind: Pod\na: 1\na: 2", "", "")]
#[case::unknown_field(POLICY, "ports: [{port: 80}]", "port: [{port: 80}]")]
#[case::misplaced_field(POLICY, "spec:", "rules: []\nspec:")]
#[case::type_of_a_port(POLICY, "port: 80", "port: 80.5")]
#[case::label_without_quotes(POLICY, "podSelector: {}", "podSelector: {matchLabels: {a: 1}}")]
#[case::bad_cidr(POLICY, "10.0.0.0/8", "10.0.0.0/33")]
#[case::empty_peer(POLICY, "- ipBlock: {cidr: 10.0.0.0/8}", "- {}")]
#[case::no_name(POLICY, "name: p, ", "")]
#[case::namespace_of_no_name(POLICY, "shop", "Shop")]
#[case::namespace_without_quotes(POLICY, "namespace: shop", "namespace: yes")]
#[case::pod_label(POD, "app: web", "app: 'no value'")]
#[case::pod_label_without_quotes(POD, "app: web", "app: 1")]
#[case::template_label(DEPLOYMENT, "app: web", "'-': web")]
#[case::container_port(
    POD,
    "metadata:",
    "spec: {containers: [{ports: [{name: a, containerPort: 0}]}]}\nmetadata:"
)]
#[case::misspelt_metadata(POLICY, "namespace: shop", "namspace: shop")]
fn what_the_api_server_refuses_is_refused_with_its_place(#[case] text: &str, #[case] replaced: &str, #[case] by: &str) {
    let text = text.replacen(replaced, by, 1);
    // Something before it, so that lines are counted over documents.
    let name = std::thread::current()
        .name()
        .unwrap_or_default()
        .rsplit("::")
        .next()
        .unwrap_or_default()
        .to_owned();
    let name = name.split_once('_').map_or(name.as_str(), |(_, rest)| rest).to_owned();
    insta::assert_snapshot!(name, refused(&format!("# first\n---\n{text}")));
}

#[test]
fn the_same_in_json_is_refused_with_its_line() {
    let text = "{\"apiVersion\": \"v1\", \"kind\": \"List\", \"items\": [\n{\"apiVersion\": \"networking.k8s.io/v1\", \"kind\": \"NetworkPolicy\",\n\"metadata\": {\"name\": \"p\"}, \"spec\": {\n\"ingress\": [{\"from\": [{\"ipBlock\":\n{\"cidr\": \"nonsense\"}}]}]}}]}";
    let error = read_all(vec![file("a.json", text)])
        .and_then(|inventory| inventory.compile().map(|_| ()))
        .expect_err("no CIDR");
    assert!(
        error
            .to_string()
            .starts_with("a.json:5: NetworkPolicy default/p: spec.ingress[0].from[0].ipBlock.cidr: "),
        "{error}"
    );
    let error = read_all(vec![file("b.json", "{\"kind\": \"Pod\",\n \"b\": }")]).expect_err("no JSON");
    assert!(error.to_string().starts_with("b.json:2: "), "{error}");
}

#[rstest]
#[case::policies(POLICY, "", "")]
#[case::deployments_that_differ(DEPLOYMENT, "app: web", "app: other")]
#[case::pods_that_differ(POD, "app: web", "app: other")]
#[case::namespaces_that_differ(
    "\napiVersion: v1\nkind: Namespace\nmetadata: {name: a, labels: {b: c}}\n",
    "b: c",
    "b: d"
)]
fn what_stands_twice_is_refused(#[case] first: &str, #[case] replaced: &str, #[case] by: &str) {
    let second = first.replacen(replaced, by, 1);
    let error = refused(&format!("{first}---{second}"));
    assert!(error.contains("stands twice"), "{error}");
    assert!(error.lines().count() == 1, "{error}");
}

#[test]
fn cidrs_that_older_api_servers_let_be_are_warned_of() {
    let text = POLICY.replace("10.0.0.0/8", "10.1.2.3/8");
    let compiled = read(&text)
        .and_then(Inventory::compile)
        .unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(compiled.world.policies.len(), 1);
    insta::assert_snapshot!(compiled.warnings.join("\n"));
}

/// Collections of policies that never saw a cluster have names such as `allow_web`.
#[test]
fn a_name_that_no_api_server_takes_is_warned_of() {
    let text = POLICY.replace("name: p", "name: allow_Web");
    let compiled = read(&text)
        .and_then(Inventory::compile)
        .unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(compiled.world.policies[0].name.to_string(), "shop/allow_Web");
    insta::assert_snapshot!(compiled.warnings.join("\n"));
    let error = refused(&text.replace("10.0.0.0/8", "10.0.0.0/40"));
    assert!(
        error.contains("metadata.name") && error.contains("ipBlock.cidr"),
        "{error}"
    );
}
