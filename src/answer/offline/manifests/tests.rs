//! What is read from manifests, and how problems are told.

use ringfence_core::model::{ControllerReference, OwnedTemplate, SegmentName};
use rstest::rstest;

use super::*;

fn file(name: &str, text: &str) -> File {
    File {
        name: name.to_owned(),
        text: text.to_owned(),
    }
}

fn problems(text: &str) -> String {
    match Manifests::parse(&[file("rbac.yaml", text)], &[]) {
        Ok(_) => "accepted".to_owned(),
        Err(problems) => problems.to_string(),
    }
}

const DEPLOYMENT: &str = "
apiVersion: apps/v1
kind: Deployment
metadata: {name: hollowapp, namespace: web, uid: d-1}
spec:
  template:
    metadata: {labels: {tier: front, app: hollowapp}}
";

fn reference(resource: &str, name: &str, template: &str) -> ObjectReference {
    ObjectReference {
        group: "apps".to_owned(),
        version: "v1".to_owned(),
        resource: resource.to_owned(),
        template: template.to_owned(),
        namespace: NamespaceName::new("web").expect("a valid name"),
        name: name.to_owned(),
    }
}

#[test]
fn owners_are_found_with_uid_controller_and_template_labels() {
    let replica_set = "
apiVersion: apps/v1
kind: ReplicaSet
metadata:
  name: hollowapp-1
  namespace: web
  uid: r-1
  ownerReferences: [{kind: X, name: x, uid: x-1}, {kind: Deployment, name: hollowapp, uid: d-1, controller: true}]
spec: {template: {metadata: {labels: {app: hollowapp}}}}
";
    let files = [
        file("deployment.yaml", DEPLOYMENT),
        file("replicaset.yaml", replica_set),
    ];
    let manifests = Manifests::parse(&files, &[]).expect("valid manifests");

    let deployment = manifests.owner(&reference("deployments", "hollowapp", "/spec/template"));
    let labels = |pairs: &[(&str, &str)]| {
        pairs
            .iter()
            .map(|(key, value)| ((*key).into(), (*value).into()))
            .collect()
    };
    assert_eq!(
        deployment,
        Some(Owner {
            uid: "d-1".into(),
            controller: None,
            created: Some(Timestamp(i64::MAX)),
            written: Some(Timestamp(i64::MAX)),
            templates: vec![OwnedTemplate {
                labels: labels(&[("app", "hollowapp"), ("tier", "front")]),
                images: Vec::new()
            }],
        })
    );
    let replica_set = manifests.owner(&reference("replicasets", "hollowapp-1", "/spec/template"));
    assert_eq!(
        replica_set,
        Some(Owner {
            uid: "r-1".into(),
            controller: Some(ControllerReference {
                api_version: "".into(),
                kind: "Deployment".into(),
                name: "hollowapp".into(),
                uid: "d-1".into(),
            }),
            created: Some(Timestamp(i64::MAX)),
            written: Some(Timestamp(i64::MAX)),
            templates: vec![OwnedTemplate {
                labels: labels(&[("app", "hollowapp")]),
                images: Vec::new()
            }],
        })
    );
    assert_eq!(
        manifests.owner(&reference("replicasets", "hollowapp", "/spec/template")),
        None
    );
}

#[test]
fn configured_kinds_are_owners_too() {
    let text = "
apiVersion: example.dev/v1
kind: Canary
metadata: {name: hollowapp, namespace: web, uid: c-1}
spec: {template: {metadata: {labels: {app: hollowapp}}}}
";
    let workload = Workload {
        group: "example.dev".to_owned(),
        version: "v1".to_owned(),
        resource: "canaries".to_owned(),
        template: vec!["spec".to_owned(), "template".to_owned()],
        controllers: Vec::new(),
    };
    let canary = ObjectReference {
        group: "example.dev".to_owned(),
        ..reference("canaries", "hollowapp", "/spec/template")
    };
    let files = [file("canary.yaml", text)];
    let without = Manifests::parse(&files, &[]).expect("valid manifests");
    assert_eq!((without.owner(&canary), without.skipped["Canary"]), (None, 1));
    let with = Manifests::parse(&files, &[workload]).expect("valid manifests");
    assert_eq!(with.owner(&canary).map(|owner| owner.uid).as_deref(), Some("c-1"));
}

#[tokio::test]
async fn a_connection_reaches_the_pods_that_are_written_down_and_what_is_not_is_unknown() {
    use std::time::Instant;

    use ringfence_core::model::{Answer, Asked, Identity, Mode, Question, Target};

    use crate::answer::Answerer;

    let text = "apiVersion: v1\nkind: Pod\nmetadata: {name: db-0, namespace: web, labels: {app: hollowdb}}\n";
    let offline =
        super::super::Offline::new(Manifests::parse(&[file("pod.yaml", text)], &[]).expect("valid manifests"));
    let web = NamespaceName::new("web").expect("a valid name");
    let ask = |target: Target| Asked {
        question: Question::Reached(target),
        mode: Mode::Enforce,
    };
    let asked = vec![
        ask(Target::Pod(web.clone(), "db-0".to_owned())),
        ask(Target::Pod(web.clone(), "db-1".to_owned())),
        ask(Target::PodAddresses(web, "db-0".to_owned())),
    ];
    let answers = offline.answer(&Identity::default(), asked, Instant::now()).await;
    let answers: Vec<&Answer> = answers.iter().map(|(_, answer)| answer).collect();
    let [Answer::Reached(pods), Answer::Failed(absent), Answer::Failed(addresses)] = answers.as_slice() else {
        panic!("{answers:?}")
    };
    assert_eq!(pods.len(), 1);
    assert_eq!(pods[0].labels, [("app".to_owned(), "hollowdb".to_owned())]);
    assert!(absent.contains("pod web/db-1") && addresses.contains("the addresses of pod web/db-0"));
}

#[test]
fn a_namespace_carries_its_name_as_a_label_whatever_is_written() {
    let text = "
apiVersion: v1
kind: Namespace
metadata: {name: web, uid: n-1, labels: {kubernetes.io/metadata.name: forged, env: prod}}
";
    let manifests = Manifests::parse(&[file("n.yaml", text)], &[]).expect("valid manifests");
    let namespace = manifests.namespaces.get("web").expect("it was written down");
    let labels: Vec<_> = namespace
        .labels
        .iter()
        .map(|(key, value)| (key.as_str(), value.as_str()))
        .collect();
    assert_eq!(labels, [("env", "prod"), ("kubernetes.io/metadata.name", "web")]);
    assert_eq!(namespace.uid, "n-1");
    assert!(!namespace.terminating);
}

#[test]
fn lists_count_as_their_items_and_unknown_kinds_are_counted() {
    let text = r#"{"apiVersion": "v1", "kind": "List", "items": [
        {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "a"}},
        {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "b"}},
        {"apiVersion": "v1", "kind": "NamespaceList", "items": [{"metadata": {"name": "web"}}]}
    ]}"#;
    let manifests = Manifests::parse(&[file("list.json", text)], &[]).expect("valid manifests");
    assert_eq!(manifests.skipped, BTreeMap::from([("Service".to_owned(), 2)]));
    assert!(manifests.namespaces.contains_key("web"));
}

#[test]
fn policies_are_read_and_what_the_api_server_would_refuse_is_told() {
    let policy = |name: &str, namespace: &str, spec: &str| {
        format!(
            "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {{name: {name}, namespace: {namespace}}}\n\
             spec: {spec}\n---\n"
        )
    };
    let text = policy("one", "web", "{podSelector: {}}") + &policy("two", "payments", "{podSelector: {}}");
    let manifests = Manifests::parse(&[file("policies.yaml", &text)], &[]).expect("valid manifests");
    let of_web = manifests.policies_of(&NamespaceName::new("web").expect("a valid name"));
    let names: Vec<String> = of_web.iter().map(|policy| policy.name.to_string()).collect();
    assert_eq!(names, ["web/one"]);
    assert_eq!(
        problems(&policy("one", "web", "{podSelector: {}, policyTypes: [ingress]}")),
        "rbac.yaml:4: NetworkPolicy one: spec.policyTypes[0]: \"ingress\" is not a policy type: use Ingress or Egress"
    );
}

#[test]
fn comments_and_empty_documents_are_passed_over() {
    assert_eq!(problems("# nothing\n---\n---\n# here\n"), "accepted");
}

#[test]
fn published_roles_are_there_to_be_bound() {
    let guardrails = Guardrails {
        segments: vec![ringfence_core::guardrails::Segment {
            name: SegmentName::new("payments-db").expect("a valid name"),
            description: String::new(),
            mode: ringfence_core::model::Mode::Enforce,
            consent: ringfence_core::model::Scope::Cluster,
            members: Vec::new(),
            clients: Vec::new(),
            isolated_from: Vec::new(),
            require_isolation: Vec::new(),
            guard_access: false,
        }],
        ..Guardrails::default()
    };
    let text = "
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: b, namespace: payments}
roleRef: {kind: ClusterRole, name: 'ringfence:payments-db:connect'}
subjects: [{kind: User, name: ci}]
";
    let access = super::super::Access {
        user: "ci",
        verb: "connect",
        group: "ringfence.dev",
        resource: "segments",
        name: "payments-db",
        namespace: "payments",
        ..super::super::Access::default()
    };
    let mut manifests = Manifests::parse(&[file("b.yaml", text)], &[]).expect("valid manifests");
    assert!(!manifests.rbac.allows(access));
    manifests.publish(&guardrails);
    assert!(manifests.rbac.allows(access));
}

const HEAD: &str = "apiVersion: rbac.authorization.k8s.io/v1\nkind: ";

#[rstest]
#[case::no_object(
    "just text",
    "rbac.yaml:1: not a Kubernetes object: it has no apiVersion; give it one, or take this file out of the folder"
)]
#[case::no_kind(
    "# a comment\n\napiVersion: v1\n",
    "rbac.yaml:3: not a Kubernetes object: it has no kind; give it one, or take this file out of the folder"
)]
#[case::the_second_document(
    "apiVersion: v1\nkind: Service\n---\nspec: {}\n",
    "rbac.yaml:4: not a Kubernetes object: it has no apiVersion; give it one, or take this file out of the folder"
)]
#[case::an_item(
    "apiVersion: v1\nkind: List\nitems:\n- apiVersion: v1\n  kind: Service\n- {}\n",
    "rbac.yaml:6: not a Kubernetes object: it has no apiVersion; give it one, or take this file out of the folder"
)]
#[case::not_yaml("apiVersion: v1\nkind: [b\n", "rbac.yaml:2: unclosed bracket")]
#[case::a_misspelt_field(
    "Role\nmetadata: {name: r, namespace: web}\nrules:\n- apiGroups: [a]\n  resources: [b]\n  resourceName: [c]\n  verbs: [d]\n",
    "rbac.yaml:7: Role r: rules.0.resourceName: unknown field; check its spelling"
)]
#[case::a_wrong_type(
    "Role\nmetadata: {name: r, namespace: web}\nrules:\n- apiGroups: [a]\n  resources: [b]\n  verbs: d\n",
    "rbac.yaml:7: Role r: rules[0].verbs: invalid type: string \"d\", expected a sequence"
)]
#[case::a_label_that_is_no_text(
    "ClusterRole\nmetadata:\n  name: r\n  labels:\n    a: true\n",
    "rbac.yaml:6: ClusterRole r: metadata.labels.a: invalid type: boolean `true`, expected a string"
)]
#[case::no_verbs(
    "ClusterRole\nmetadata: {name: r}\nrules:\n- apiGroups: [a]\n  resources: [b]\n",
    "rbac.yaml:5: ClusterRole r: rules[0]: verbs must hold at least one verb"
)]
#[case::no_groups(
    "ClusterRole\nmetadata: {name: r}\nrules:\n- {resources: [b], verbs: [c]}\n",
    "rbac.yaml:5: ClusterRole r: rules[0]: apiGroups must hold at least one group (\"\" is the core group)"
)]
#[case::no_namespace(
    "Role\nmetadata: {name: r}\n",
    "rbac.yaml:3: Role r: has no metadata.namespace; write it down, there is no current namespace here"
)]
#[case::no_name(
    "ClusterRole\nmetadata: {}\n",
    "rbac.yaml:3: ClusterRole: has no metadata.name; generated names cannot be known here"
)]
#[case::a_selector(
    "ClusterRole\nmetadata: {name: r}\naggregationRule:\n  clusterRoleSelectors: [{matchExpressions: [{key: a, operator: In}]}]\n",
    "rbac.yaml:5: ClusterRole r: operator In needs at least one value"
)]
#[case::a_role_at_the_cluster(
    "ClusterRoleBinding\nmetadata: {name: b}\nroleRef: {kind: Role, name: r}\n",
    "rbac.yaml:4: ClusterRoleBinding b: roleRef: kind must be ClusterRole, not \"Role\""
)]
#[case::a_subject_kind(
    "ClusterRoleBinding\nmetadata: {name: b}\nroleRef: {kind: ClusterRole, name: r}\nsubjects:\n- {kind: user, name: a}\n",
    "rbac.yaml:6: ClusterRoleBinding b: subjects[0]: kind must be User, Group or ServiceAccount, not \"user\""
)]
#[case::an_account_of_nowhere(
    "ClusterRoleBinding\nmetadata: {name: b}\nroleRef: {kind: ClusterRole, name: r}\nsubjects:\n- {kind: ServiceAccount, name: a}\n",
    "rbac.yaml:6: ClusterRoleBinding b: subjects[0]: has no namespace"
)]
#[case::twice(
    "ClusterRole\nmetadata: {name: r}\n---\napiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRole\nmetadata: {name: r}\n",
    "rbac.yaml:5: ClusterRole r: stands twice: first at rbac.yaml:1; keep one"
)]
fn problems_are_told_with_file_and_line(#[case] text: &str, #[case] expected: &str) {
    let is_object = text.starts_with("Role") || text.starts_with("ClusterRole");
    let text = if is_object {
        format!("{HEAD}{text}")
    } else {
        text.to_owned()
    };
    let told = problems(&text);
    assert!(told.starts_with(expected), "{told}");
}

#[test]
fn all_problems_are_told_at_once() {
    let files = [file("a.yaml", "a: 1\n---\nb: 2\n"), file("b.yaml", "c: [")];
    let Problems(problems) = Manifests::parse(&files, &[]).expect_err("nothing here is valid");
    let places: Vec<_> = problems.iter().map(Problem::place).collect();
    assert_eq!(places, ["a.yaml:1", "a.yaml:3", "b.yaml:1"]);
}
