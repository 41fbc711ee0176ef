//! Live reads of namespaces and owners: what is read, what is made of it, and what is never asked.

use ringfence_core::model::{
    Answer, ControllerReference, Mode, Namespace, ObjectReference, OwnedTemplate, Owner, Question,
};
use rstest::rstest;

use super::*;

#[tokio::test]
async fn a_namespace_is_read_with_its_uid_labels_and_whether_it_ends() {
    let metadata = json!({"name": "web", "uid": "ns-1", "labels": {"team": "blue", "a": "b"}});
    let ends = json!({"name": "old", "uid": "ns-0", "deletionTimestamp": "2026-11-21T09:30:00Z"});
    let server = ApiServer::new(move |path, _| {
        let object = |metadata: &Value| json!({"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": metadata});
        std::future::ready(match path {
            "GET /api/v1/namespaces/web" => (200, object(&metadata)),
            "GET /api/v1/namespaces/old" => (200, object(&ends)),
            "GET /api/v1/namespaces/gone" => failure(404, "not found"),
            _ => failure(500, "etcd"),
        })
    });
    let live = server.live();
    let read = async |namespace| ask(&live, &ci(), Question::Namespace(name(namespace)), Mode::Enforce).await;
    let text = |(key, value): (&str, &str)| (key.to_owned(), value.to_owned());
    let web = Namespace {
        uid: "ns-1".to_owned(),
        labels: [("a", "b"), ("team", "blue")].map(text).to_vec(),
        terminating: false,
        created: None,
    };
    assert_eq!(read("web").await, Answer::Namespace(Some(web)));
    let old = Namespace {
        uid: "ns-0".to_owned(),
        labels: vec![],
        terminating: true,
        created: None,
    };
    assert_eq!(read("old").await, Answer::Namespace(Some(old)));
    assert_eq!(read("gone").await, Answer::Namespace(None));
    assert!(failed(&read("broken").await).contains("refused with 500 (etcd)"));
    read("web").await;
    assert_eq!(
        server.paths().iter().filter(|path| path.ends_with("web")).count(),
        2,
        "no read is kept"
    );
}

#[tokio::test]
async fn an_owner_is_read_with_its_controller_and_its_templates_labels() {
    let reference = |uid: &str, controller: bool| json!({"uid": uid, "controller": controller});
    let object = |references: Value| {
        json!({"metadata": {"uid": "rs-1", "labels": {"not": "these"}, "ownerReferences": references},
               "spec": {"template": {"metadata": {"labels": {"b": "2", "a": "1"}}}}})
    };
    let one = object(json!([reference("x", false), reference("deploy-1", true)]));
    let two = object(json!([reference("deploy-1", true), reference("deploy-2", true)]));
    let server = ApiServer::new(move |path, _| {
        std::future::ready(match path {
            "GET /apis/apps/v1/namespaces/web/replicasets/one" => (200, one.clone()),
            "GET /apis/apps/v1/namespaces/web/replicasets/two" => (200, two.clone()),
            "GET /api/v1/namespaces/web/replicationcontrollers/bare" => (200, json!({"metadata": {"uid": "rc-1"}})),
            _ => failure(404, "not found"),
        })
    });
    let live = server.live();
    let read = async |reference| ask(&live, &ci(), Question::Owner(reference), Mode::Enforce).await;
    let owner = |controller: &str| Owner {
        uid: "rs-1".to_owned(),
        controller: (!controller.is_empty()).then(|| ControllerReference {
            uid: controller.to_owned().into(),
            ..ControllerReference::default()
        }),
        created: None,
        written: None,
        templates: vec![OwnedTemplate {
            labels: [("a", "1"), ("b", "2")]
                .map(|(key, value)| (key.to_owned(), value.to_owned()))
                .to_vec(),
            images: Vec::new(),
        }],
    };
    assert_eq!(read(replica_set("one")).await, Answer::Owner(Some(owner("deploy-1"))));
    assert_eq!(
        read(replica_set("two")).await,
        Answer::Owner(Some(owner(""))),
        "two controllers are none"
    );
    assert_eq!(read(replica_set("gone")).await, Answer::Owner(None));
    let bare = ObjectReference {
        group: String::new(),
        resource: "replicationcontrollers".to_owned(),
        ..replica_set("bare")
    };
    let expected = Owner {
        uid: "rc-1".to_owned(),
        ..Owner::default()
    };
    assert_eq!(read(bare).await, Answer::Owner(Some(expected)));
}

#[tokio::test]
async fn policies_are_listed_as_far_as_they_hold() {
    let policy = |name: &str, more: Value, spec: Value| {
        let mut object = json!({"metadata": {"name": name, "namespace": "web"}, "spec": spec});
        object["metadata"]
            .as_object_mut()
            .expect("an object")
            .extend(more.as_object().cloned().unwrap_or_default());
        object
    };
    let holds = json!({"podSelector": {}, "policyTypes": ["Ingress"]});
    let ends = json!({"deletionTimestamp": "2026-11-21T09:30:00Z", "finalizers": ["example.com/hold"]});
    let items = json!([
        policy("holds", json!({}), holds.clone()),
        policy("ends", ends, holds),
        policy("says-nothing", json!({}), Value::Null),
        policy("unreadable", json!({}), json!({"podSelector": 7})),
    ]);
    let server = ApiServer::new(move |path, _| {
        std::future::ready(match path {
            path if path.contains("/namespaces/web/networkpolicies?") => (200, json!({"items": items})),
            _ => failure(403, "forbidden"),
        })
    });
    let live = server.live();
    let list = async |namespace| ask(&live, &ci(), Question::Policies(name(namespace)), Mode::Enforce).await;
    let Answer::Policies(policies) = list("web").await else {
        panic!("not listed")
    };
    let names: Vec<&str> = policies.iter().map(|policy| &*policy.name.name).collect();
    assert_eq!(names, ["holds", "says-nothing"]);
    assert!(failed(&list("other").await).contains("403"));
}

#[rstest]
#[case("")]
#[case(".")]
#[case("..")]
#[case("../../secrets/token")]
#[case("a/status")]
#[case("a?watch=true")]
#[case("a%2e%2e")]
#[case("a b")]
#[case("UPPER")]
#[tokio::test]
async fn a_name_that_no_object_has_is_never_put_into_a_path(#[case] hostile: &str) {
    let server = ApiServer::saying(200, json!({"metadata": {"uid": "x"}}));
    let answer = ask(
        &server.live(),
        &ci(),
        Question::Owner(replica_set(hostile)),
        Mode::Enforce,
    )
    .await;
    assert_eq!(answer, Answer::Owner(None));
    assert_eq!(server.paths(), Vec::<String>::new());
}
