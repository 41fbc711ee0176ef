//! The world of the benches: guardrails of so many segments, and AdmissionReviews as an API server sends them, most of
//! them of pods that no segment is about.

mod objects;

use std::sync::Arc;

use ringfence_core::guardrails::{Guardrails, Source, compile};
use ringfence_core::model::{Answer, Isolated, Namespace, NamespaceName, Namespaces, Question, Snapshot};
use serde_json::{Value, json};

use objects::{deployment, pod};

/// How many namespaces there are.
const NAMESPACES: usize = 500;

/// The snapshot of a cluster with so many segments, every one Enforce.
pub(crate) fn snapshot(segments: usize) -> Snapshot {
    let mut text = String::from(
        "apiVersion: ringfence.dev/v1alpha1\nkind: Guardrails\nmetadata: {name: default}\nspec: {mode: Enforce}\n",
    );
    for number in 0..segments {
        text += &segment(number);
    }
    Snapshot {
        guardrails: Arc::new(compiled(text)),
        namespaces: Arc::new(namespaces(NAMESPACES, |number| format!("env-{}", number % 3))),
        since: Arc::default(),
        policies: Arc::default(),
    }
}

/// Members in one namespace; clients everywhere, in namespaces by label, or by an expression, in turn.
fn segment(number: usize) -> String {
    let clients = match number % 10 {
        8 => format!(
            "{{namespaceSelector: {{matchLabels: {{env: env-{number}}}}}, podSelector: {{matchLabels: {{app: app-{number}}}}}}}"
        ),
        9 => format!(
            "{{namespaceSelector: {{}}, podSelector: {{matchExpressions: \
             [{{key: reaches-{number}, operator: Exists}}, {{key: tier, operator: NotIn, values: [test]}}]}}}}"
        ),
        _ => format!(
            "{{namespaceSelector: {{}}, podSelector: {{matchLabels: {{app: client-{number}, tier: backend}}}}}}"
        ),
    };
    let namespace = namespace_name(number);
    format!(
        "---\napiVersion: ringfence.dev/v1alpha1\nkind: Segment\nmetadata: {{name: segment-{number}}}\nspec:\n  \
         description: Data of team {number}.\n  consent: {{namespace: {namespace}}}\n  members:\n    \
         - {{namespaces: [{namespace}], podSelector: {{matchLabels: {{app: database-{number}}}}}}}\n  clients:\n    \
         - {clients}\n"
    )
}

fn namespace_name(number: usize) -> String {
    format!("team-{}", number % NAMESPACES)
}

/// So many namespaces with labels as a cluster has them, each of the environment that it is told.
pub(crate) fn namespaces(count: usize, environment: impl Fn(usize) -> String) -> Namespaces {
    let namespace = |number: usize| {
        let name = NamespaceName::new(&format!("team-{number}")).expect("a namespace name");
        let labels = [
            ("env", environment(number)),
            ("kubernetes.io/metadata.name", name.to_string()),
            ("team", format!("team-{number}")),
        ];
        let namespace = Namespace {
            uid: format!("00000000-0000-4000-8000-{number:012}"),
            labels: labels.map(|(key, value)| (key.to_owned(), value)).to_vec(),
            terminating: false,
            created: None,
        };
        (name, Arc::new(namespace))
    };
    (0..count).map(namespace).collect()
}

/// The guardrails that a text compiles to.
pub(crate) fn compiled(text: String) -> Guardrails {
    let name = "bench.yaml".to_owned();
    let compiled = compile(&[Source { name, text }]);
    compiled.unwrap_or_else(|problems| panic!("{problems}")).guardrails
}

/// Answers without a round trip: everything is allowed, namespaces are as the snapshot has them.
pub(crate) fn answer(namespaces: &Namespaces, question: &Question) -> Answer {
    match question {
        Question::Allowed(..) => Answer::Allowed(true),
        Question::Policies(_) => Answer::Policies(Vec::new()),
        Question::Isolated(..) => Answer::Isolated(Isolated::Stands { settles_in: None }),
        Question::Namespace(name) => Answer::Namespace(namespaces.get(name).map(|namespace| (**namespace).clone())),
        other => Answer::Failed(format!("the benches do not answer: {other}")),
    }
}

/// What a body is about, so that the benches can tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum About {
    /// No segment.
    Nothing,
    /// Segment 0, which there always is: a permission is asked.
    Segment,
}

/// So many reviews, one in eight of them about a segment. The same each time.
pub(crate) fn reviews(count: usize) -> Vec<(About, Vec<u8>)> {
    (0..count).map(review).collect()
}

fn review(number: usize) -> (About, Vec<u8>) {
    let namespace = namespace_name(number * 7 + 3);
    let app = format!("web-{}", number % 40);
    let (client, member) = ("client-0".to_owned(), "database-0".to_owned());
    let (about, operation, kind, user, object, old) = match number % 16 {
        0..=9 => {
            let (app, controller) = (pod(&app, &namespace, number, 1), "replicaset-controller");
            (About::Nothing, "CREATE", "Pod", controller_user(controller), app, None)
        }
        10 | 11 => {
            let (mut new, old) = (pod(&app, &namespace, number, 1), pod(&app, &namespace, number, 1));
            new["metadata"]["labels"]["release"] = json!("canary");
            (About::Nothing, "UPDATE", "Pod", person(number), new, Some(old))
        }
        12 => {
            let new = deployment(&app, &namespace, number, 1);
            (About::Nothing, "CREATE", "Deployment", person(number), new, None)
        }
        13 => {
            let (new, old) = (
                deployment(&app, &namespace, number, 2),
                deployment(&app, &namespace, number, 1),
            );
            (About::Nothing, "UPDATE", "Deployment", person(number), new, Some(old))
        }
        14 => {
            let mut new = pod(&client, &namespace, number, 1);
            new["metadata"]["ownerReferences"] = Value::Null;
            (About::Segment, "CREATE", "Pod", person(number), new, None)
        }
        _ => {
            let home = namespace_name(0);
            let (new, old) = (
                deployment(&member, &home, number, 2),
                deployment(&member, &home, number, 1),
            );
            (About::Segment, "UPDATE", "Deployment", person(number), new, Some(old))
        }
    };
    let body = envelope(number, operation, kind, &user, &object, old.as_ref());
    (about, body.into_bytes())
}

/// In the order in which the API server writes its fields.
fn envelope(number: usize, operation: &str, kind: &str, user: &Value, object: &Value, old: Option<&Value>) -> String {
    let (group, resource) = match kind {
        "Pod" => ("", "pods"),
        _ => ("apps", "deployments"),
    };
    let kind = json!({"group": group, "version": "v1", "kind": kind});
    let resource = json!({"group": group, "version": "v1", "resource": resource});
    let (name, namespace) = (&object["metadata"]["name"], &object["metadata"]["namespace"]);
    let old = old.unwrap_or(&Value::Null);
    let options = match operation {
        "CREATE" => "CreateOptions",
        _ => "UpdateOptions",
    };
    let options = json!({"kind": options, "apiVersion": "meta.k8s.io/v1", "fieldManager": "kubectl-client-side-apply"});
    format!(
        "{{\"kind\":\"AdmissionReview\",\"apiVersion\":\"admission.k8s.io/v1\",\"request\":{{\
         \"uid\":\"705ab4f5-6393-11e8-b7cc-{number:012}\",\"kind\":{kind},\"resource\":{resource},\
         \"requestKind\":{kind},\"requestResource\":{resource},\"name\":{name},\"namespace\":{namespace},\
         \"operation\":\"{operation}\",\"userInfo\":{user},\"object\":{object},\"oldObject\":{old},\
         \"dryRun\":false,\"options\":{options}}}}}\n"
    )
}

fn controller_user(controller: &str) -> Value {
    json!({
        "username": format!("system:serviceaccount:kube-system:{controller}"),
        "uid": "1f9ac0d1-3ffc-4f58-a3a3-9b1e5b1e9f10",
        "groups": ["system:serviceaccounts", "system:serviceaccounts:kube-system", "system:authenticated"],
        "extra": {"authentication.kubernetes.io/credential-id": ["JTI=0f6b3a2e-2f0e-4f0b-a5f5-7a3b6f1d8c11"]},
    })
}

fn person(number: usize) -> Value {
    json!({
        "username": format!("developer-{}", number % 50),
        "groups": ["developers", format!("team-{}", number % 50), "system:authenticated"],
        "extra": {"example.org/session": ["4c2f7d0e"]},
    })
}
