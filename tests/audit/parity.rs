//! Who holds what, by the audit and by SubjectAccessReviews of the API server: the same for every subject that any binding
//! names, the built-in ones too.

use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};
use ringfence::audit::{Evidence, Grants, Topic, cluster};
use ringfence::manifests::grants::Subject;
use ringfence_controlplane::ControlPlane;
use serde_json::json;

const QUESTIONS: usize = 600;

/// Topics of every part of the audit: verb, API group, resource, subresource.
const TOPICS: [(&str, &str, &str, &str); 21] = [
    ("join", "ringfence.dev", "segments", ""),
    ("manage", "ringfence.dev", "segments", ""),
    ("connect", "ringfence.dev", "segments", ""),
    ("create", "", "pods", ""),
    ("create", "", "pods", "exec"),
    ("patch", "", "pods", "ephemeralcontainers"),
    ("create", "apps", "deployments", ""),
    ("patch", "apps", "deployments", ""),
    ("create", "batch", "jobs", ""),
    ("create", "networking.k8s.io", "networkpolicies", ""),
    ("delete", "networking.k8s.io", "networkpolicies", ""),
    ("create", "", "serviceaccounts", "token"),
    ("impersonate", "", "serviceaccounts", ""),
    ("impersonate", "", "users", ""),
    ("impersonate", "", "groups", ""),
    ("get", "", "secrets", ""),
    ("bind", "rbac.authorization.k8s.io", "clusterroles", ""),
    ("escalate", "rbac.authorization.k8s.io", "roles", ""),
    ("create", "rbac.authorization.k8s.io", "rolebindings", ""),
    ("patch", "rbac.authorization.k8s.io", "rolebindings", ""),
    ("approve", "certificates.k8s.io", "signers", ""),
];

const NAMESPACES: [Option<&str>; 4] = [None, Some("payments"), Some("ci"), Some("kube-system")];

const NAMES: [&str; 8] = [
    "",
    "payments-db",
    "ledger",
    "olga",
    "eves",
    "joiners",
    "ringfence:payments-db:join",
    "kubernetes.io/*",
];

/// Asks both the same questions.
pub(crate) fn grants_are_what_the_api_server_allows(control_plane: &ControlPlane) {
    let evidence = read(control_plane);
    let grants = Grants::new(&evidence.rbac);
    let subjects: Vec<&Subject> = grants.subjects().filter(|subject| !is_a_nodes(subject)).collect();
    let mut random = StdRng::seed_from_u64(6);
    let (mut allowed, mut differing) = (0, Vec::new());
    for _ in 0..QUESTIONS {
        let mut one = |count: usize| random.random_range(0..count);
        let (verb, group, resource, subresource) = TOPICS[one(TOPICS.len())];
        let (namespace, name) = (NAMESPACES[one(NAMESPACES.len())], NAMES[one(NAMES.len())]);
        let subject = *subjects.choose(&mut random).expect("there are subjects");
        let topic = Topic {
            verb,
            group,
            resource,
            subresource,
        };
        let by_audit = grants.may(subject, topic, namespace, name);
        let (user, groups) = identity(subject);
        let review = json!({
            "apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview",
            "spec": {"user": user, "groups": groups, "resourceAttributes": {
                "verb": verb, "group": group, "resource": resource, "subresource": subresource, "name": name,
                "namespace": namespace.unwrap_or_default(),
            }},
        });
        let path = "/apis/authorization.k8s.io/v1/subjectaccessreviews";
        let answer = control_plane.request("admin", "POST", path).json(&review).send().ok();
        let by_server = answer["status"]["allowed"] == true;
        allowed += usize::from(by_server);
        if by_audit != by_server {
            differing.push(format!(
                "{subject} {topic:?} {namespace:?} {name:?}: the API server says {by_server}"
            ));
        }
    }
    assert!(differing.is_empty(), "{}", differing.join("\n"));
    assert!(allowed > QUESTIONS / 40, "{allowed} allowed shows little");
}

fn read(control_plane: &ControlPlane) -> Evidence {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    let kubeconfig = Kubeconfig::read_from(control_plane.kubeconfig("admin")).expect("a kubeconfig");
    runtime.block_on(async {
        let options = KubeConfigOptions::default();
        let config = Config::from_custom_kubeconfig(kubeconfig, &options);
        let client = Client::try_from(config.await.expect("a configuration")).expect("a client");
        cluster::read(&client).await.unwrap_or_else(|error| panic!("{error}"))
    })
}

/// Nodes are authorized by more than RBAC.
fn is_a_nodes(subject: &Subject) -> bool {
    matches!(subject, Subject::Group(name) | Subject::User(name) if name.starts_with("system:node"))
}

/// As whom the API server sees the subject; a group is that of somebody whom nothing else names.
fn identity(subject: &Subject) -> (String, Vec<String>) {
    let everybody = "system:authenticated".to_owned();
    match subject {
        Subject::User(name) if name == "system:anonymous" => (name.clone(), vec!["system:unauthenticated".to_owned()]),
        Subject::User(name) => (name.clone(), vec![everybody]),
        Subject::Group(name) if name == "system:unauthenticated" => ("nobody".to_owned(), vec![name.clone()]),
        Subject::Group(name) => {
            let accounts = name
                .starts_with("system:serviceaccounts:")
                .then(|| "system:serviceaccounts".to_owned());
            let groups = [name.clone(), everybody].into_iter().chain(accounts);
            ("nobody".to_owned(), groups.collect())
        }
        Subject::ServiceAccount { namespace, name } => (
            format!("system:serviceaccount:{namespace}:{name}"),
            vec![
                "system:serviceaccounts".to_owned(),
                format!("system:serviceaccounts:{namespace}"),
                everybody,
            ],
        ),
    }
}
