//! Answers of a real API server: permissions as RBAC grants them, reads as etcd has them, and a whole review over TLS under
//! impersonation, whose identity must reach the authorizer as the API server authenticated it.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use kube::config::{KubeConfigOptions, Kubeconfig};
use prometheus_client::registry::Registry;
use ringfence::answer::{Answerer, Engine, Live};
use ringfence::certs::{self, ServingCertificate};
use ringfence::record::{self, Collected, DryRuns, Recorder};
use ringfence::serve::{self, Options as Serving, Parts, PathToken, PathTokens, Readiness, Server};
use ringfence::{Current, answer, isolate};
use ringfence_controlplane::{ControlPlane, Controllers, Nodes, Options, Shared, wait_until};
use ringfence_core::guardrails::{Source, compile};
use ringfence_core::model::{
    Answer, Asked, Identity, Mode, Namespace, NamespaceName, ObjectReference, Permission, Question, Scope, SegmentName,
    Snapshot, Verb, Who,
};
use serde_json::{Value, json};
use tokio::runtime::Runtime;

/// A grant is seen by the authorizer within moments, a cached no forgotten within a second.
const PATIENCE: Duration = Duration::from_secs(60);

static CLUSTER: Shared<ControlPlane> = Shared::new(|| {
    ControlPlane::start(&Options {
        users: Vec::new(),
        controllers: Controllers::AccountEach,
        nodes: Nodes::Absent,
    })
});

/// Answers from this API server; what serves its connections lives in this runtime.
fn live(cluster: &ControlPlane, runtime: &Runtime) -> Live {
    let kubeconfig = Kubeconfig::read_from(cluster.kubeconfig("admin")).expect("a kubeconfig");
    let metrics = answer::Metrics::register(&mut Registry::default());
    runtime.block_on(async {
        let config = kube::Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await;
        let isolation = isolate::Metrics::register(&mut Registry::default());
        Live::connect(config.expect("a configuration"), Current::empty(), metrics, isolation).expect("a client")
    })
}

fn name(text: &str) -> NamespaceName {
    NamespaceName::new(text).expect("a valid name")
}

fn connect(segment: &str, scope: Scope) -> Question {
    let segment = SegmentName::new(segment).expect("a valid name");
    Question::Allowed(Who::Requester, Permission::segment(Verb::Connect, &segment, scope))
}

fn user(name: &str, groups: &[&str]) -> Identity<'static> {
    Identity {
        username: name.to_owned().into(),
        groups: groups.iter().map(|group| (*group).to_owned().into()).collect(),
        ..Identity::default()
    }
}

async fn ask(live: &Live, identity: &Identity<'_>, question: Question) -> Answer {
    let asked = Asked {
        question,
        mode: Mode::Enforce,
    };
    live.answer(identity, vec![asked], Instant::now()).await.remove(0).1
}

fn apply(cluster: &ControlPlane, objects: &Value) {
    let list = json!({"apiVersion": "v1", "kind": "List", "items": objects});
    cluster
        .kubectl("admin")
        .args(["apply", "-f", "-"])
        .stdin(list.to_string())
        .run()
        .ok();
}

fn binding(namespace: &str, role: &str, subject: &Value) -> Value {
    json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding",
        "metadata": {"name": role, "namespace": namespace},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": role},
        "subjects": [subject],
    })
}

fn role(namespace: &str, name: &str) -> Value {
    json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role",
        "metadata": {"name": name, "namespace": namespace},
        "rules": [{"apiGroups": ["ringfence.dev"], "resources": ["segments"], "verbs": ["connect"], "resourceNames": [name]}],
    })
}

#[test]
fn permissions_are_answered_as_rbac_grants_them() {
    let Some(cluster) = CLUSTER.get() else { return };
    let runtime = Runtime::new().expect("a runtime");
    let live = live(cluster, &runtime);
    cluster.create_namespace("granting", &[]);
    let subject = |kind: &str, name: &str| json!({"apiGroup": "rbac.authorization.k8s.io", "kind": kind, "name": name});
    let account = json!({"kind": "ServiceAccount", "name": "ci", "namespace": "granting"});
    apply(
        cluster,
        &json!([
            role("granting", "by-user"),
            binding("granting", "by-user", &subject("User", "ann")),
            role("granting", "by-group"),
            binding("granting", "by-group", &subject("Group", "deployers")),
            role("granting", "by-account"),
            binding("granting", "by-account", &account),
            // A binding whose role is missing makes every no come with an evaluationError.
            binding("granting", "missing", &subject("User", "zoe")),
        ]),
    );
    let (ann, bob) = (user("ann", &[]), user("bob", &["deployers"]));
    let account = user("system:serviceaccount:granting:ci", &["system:serviceaccounts"]);
    let here = || Scope::Namespace(name("granting"));
    let allowed =
        |identity: &Identity<'_>, segment, scope| match runtime.block_on(ask(&live, identity, connect(segment, scope)))
        {
            Answer::Allowed(allowed) => allowed,
            other => panic!("{other:?}"),
        };
    for (identity, segment) in [(&ann, "by-user"), (&bob, "by-group"), (&account, "by-account")] {
        let granted = wait_until(PATIENCE, segment, || allowed(identity, segment, here()).then_some(()));
        granted.expect("the authorizer sees the grant");
    }
    assert!(!allowed(&user("bob", &[]), "by-group", here()), "without the group");
    assert!(!allowed(&ann, "by-group", here()), "another segment");
    assert!(
        !allowed(&ann, "by-user", Scope::Cluster),
        "a grant in a namespace is none at the cluster"
    );
    assert!(
        !allowed(&ann, "by-user", Scope::Namespace(name("default"))),
        "nor in another namespace"
    );
    assert!(
        !allowed(&user("zoe", &[]), "missing", here()),
        "a missing role grants nothing"
    );
    cluster
        .kubectl("admin")
        .args(["-n", "granting", "delete", "rolebinding", "by-user"])
        .run()
        .ok();
    let revoked = wait_until(PATIENCE, "the end of the grant", || {
        (!allowed(&ann, "by-user", here())).then_some(())
    });
    revoked.expect("the authorizer sees that it ended");
}

#[test]
fn a_namespace_is_read_as_it_stands() {
    let Some(cluster) = CLUSTER.get() else { return };
    let runtime = Runtime::new().expect("a runtime");
    let live = live(cluster, &runtime);
    let namespace = || match runtime.block_on(ask(&live, &user("anyone", &[]), Question::Namespace(name("changing")))) {
        Answer::Namespace(namespace) => namespace,
        other => panic!("{other:?}"),
    };
    let team = |namespace: &Namespace| {
        let label = namespace.labels.iter().find(|(key, _)| key == "team");
        label.map(|(_, team)| team.clone())
    };
    assert_eq!(namespace(), None);
    cluster.create_namespace("changing", &[("team", "red")]);
    let first = namespace().expect("it stands");
    assert_eq!((team(&first).as_deref(), first.terminating), (Some("red"), false));
    for change in ["blue", "green"] {
        let patch = json!({"metadata": {"labels": {"team": change}}});
        cluster
            .request("admin", "PATCH", "/api/v1/namespaces/changing")
            .json(&patch)
            .send()
            .ok();
        assert_eq!(
            namespace().as_ref().and_then(team).as_deref(),
            Some(change),
            "what was written is read at once"
        );
    }

    let held = json!({
        "apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {"name": "held", "namespace": "changing", "finalizers": ["ringfence.dev/test"]},
    });
    apply(cluster, &json!([held]));
    cluster
        .request("admin", "DELETE", "/api/v1/namespaces/changing")
        .send()
        .ok();
    assert!(namespace().expect("it is still there").terminating);
    let release = json!({"metadata": {"finalizers": null}});
    let held = "/api/v1/namespaces/changing/configmaps/held";
    cluster.request("admin", "PATCH", held).json(&release).send().ok();
    wait_until(PATIENCE, "the end of the namespace", || {
        namespace().is_none().then_some(())
    })
    .expect("it ends");
    cluster.create_namespace("changing", &[]);
    let second = namespace().expect("made anew");
    assert_ne!(second.uid, first.uid, "under the same name stands another");
    assert_eq!(team(&second), None);
}

#[test]
fn the_owner_of_a_pod_is_read_with_its_template_and_controller() {
    let Some(cluster) = CLUSTER.get() else { return };
    let runtime = Runtime::new().expect("a runtime");
    let live = live(cluster, &runtime);
    let replica_set = |name: &str| {
        let reference = ObjectReference {
            group: "apps".to_owned(),
            version: "v1".to_owned(),
            resource: "replicasets".to_owned(),
            template: "/spec/template".to_owned(),
            namespace: self::name("owning"),
            name: name.to_owned(),
        };
        match runtime.block_on(ask(&live, &user("anyone", &[]), Question::Owner(reference))) {
            Answer::Owner(owner) => owner,
            other => panic!("{other:?}"),
        }
    };
    cluster.create_namespace("owning", &[]);
    let kubectl = |arguments: &[&str]| cluster.kubectl("admin").args(["-n", "owning"]).args(arguments).run();
    kubectl(&["create", "deployment", "front", "--image=registry.example/app:1"]).ok();
    let deployment = kubectl(&["get", "deployment", "front", "-ojson"]).json();
    let made = wait_until(PATIENCE, "the Deployment's ReplicaSet", || {
        kubectl(&["get", "replicasets", "-ojson"]).json()["items"]
            .get(0)
            .cloned()
    });
    let made = made.expect("its controller makes it");
    let owner = replica_set(made["metadata"]["name"].as_str().expect("a name")).expect("it stands");
    assert_eq!(made["metadata"]["uid"], owner.uid);
    assert_eq!(deployment["metadata"]["uid"], owner.controller_uid());
    assert_eq!(made["spec"]["template"]["metadata"]["labels"]["app"], "front");
    assert_eq!(owner.templates.len(), 1);
    let labels: serde_json::Map<_, _> = owner
        .templates
        .into_iter()
        .flat_map(|template| template.labels)
        .map(|(key, value)| (key, Value::from(value)))
        .collect();
    assert_eq!(made["spec"]["template"]["metadata"]["labels"], Value::Object(labels));
    assert_eq!(replica_set("front-never"), None);
}

const GUARDRAILS: &str = "\
apiVersion: ringfence.dev/v1alpha1
kind: Guardrails
metadata: {name: default}
spec: {mode: Enforce}
---
apiVersion: ringfence.dev/v1alpha1
kind: Segment
metadata: {name: guarded-db}
spec:
  consent: {namespace: guarded}
  members:
    - namespaces: [guarded]
      podSelector: {matchLabels: {app: hollowdb}}
  clients:
    - namespaceSelector: {}
      podSelector: {matchLabels: {app: hollowapp}}
";

/// A replica in this process: the real server, engine and answers, and what it records.
struct Replica {
    url: String,
    ca: String,
    records: Collected,
}

impl Replica {
    fn start(runtime: &Runtime, cluster: &ControlPlane) -> Self {
        let sources = [Source {
            name: "guardrails.yaml".to_owned(),
            text: GUARDRAILS.to_owned(),
        }];
        let guardrails = compile(&sources).expect("valid guardrails").guardrails;
        let namespaces = ["guarded", "outside"].map(|text| (name(text), Arc::new(Namespace::default())));
        let snapshot = Snapshot {
            guardrails: Arc::new(guardrails),
            namespaces: Arc::new(namespaces.into_iter().collect()),
            since: Arc::default(),
            policies: Arc::default(),
        };
        let (mut registry, records) = (Registry::default(), Collected::default());
        let recorder = Recorder::new(
            record::Metrics::register(&mut registry),
            DryRuns::Counted,
            vec![Box::new(records.clone())],
        );
        let engine = Engine::new(Current::fixed(snapshot), live(cluster, runtime), recorder);
        let issued = certs::own::issue(&[], &[Ipv4Addr::LOCALHOST.into()]).expect("a certificate");
        let readiness = Readiness::new();
        let certificate = ServingCertificate::new(
            readiness.condition("certificate"),
            certs::Metrics::register(&mut registry),
        );
        certificate
            .replace(issued.cert_pem.as_bytes(), issued.key_pem.as_bytes())
            .expect("it serves");
        let (tokens, token) = (PathTokens::new(), PathToken::generate());
        let path = token.as_str().to_owned();
        tokens.replace([token]);
        let metrics = serve::Metrics::register(&mut registry);
        let parts = Parts {
            reviewer: engine,
            certificate,
            tokens,
            readiness,
            metrics,
            registry: Arc::new(registry),
        };
        let loopback = (Ipv4Addr::LOCALHOST, 0).into();
        let options = Serving {
            listen: loopback,
            health_listen: loopback,
            ..Serving::default()
        };
        let server = runtime.block_on(Server::bind(options, parts)).expect("a port");
        let url = format!("https://{}/{path}/workloads", server.local_addr());
        runtime.spawn(server.run(std::future::pending()));
        Self {
            url,
            ca: issued.ca_pem,
            records,
        }
    }

    /// Makes the API server ask for every pod of namespace `outside`.
    fn register(&self, cluster: &ControlPlane) {
        apply(
            cluster,
            &json!([{
                "apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingWebhookConfiguration",
                "metadata": {"name": "answers"},
                "webhooks": [{
                    "name": "workloads.guard.ringfence.dev", "admissionReviewVersions": ["v1"], "sideEffects": "NoneOnDryRun",
                    "failurePolicy": "Fail", "timeoutSeconds": 5,
                    "clientConfig": {"url": self.url, "caBundle": BASE64_STANDARD.encode(&self.ca)},
                    "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "outside"}},
                    "rules": [{"apiGroups": [""], "apiVersions": ["v1"], "resources": ["pods"], "operations": ["CREATE"]}],
                }],
            }]),
        );
    }
}

#[test]
fn who_is_impersonated_reaches_the_authorizer_whole() {
    let Some(cluster) = CLUSTER.get() else { return };
    let runtime = Runtime::new().expect("a runtime");
    cluster.create_namespace("guarded", &[]);
    cluster.create_namespace("outside", &[]);
    let replica = Replica::start(&runtime, cluster);
    replica.register(cluster);
    let group = json!({"apiGroup": "rbac.authorization.k8s.io", "kind": "Group", "name": "outsiders"});
    let mut edit = binding("outside", "edit", &group);
    edit["roleRef"]["kind"] = json!("ClusterRole");
    apply(cluster, &json!([edit]));

    let pod = |pod: &str, app: &str| {
        let pod = json!({
            "apiVersion": "v1", "kind": "Pod", "metadata": {"name": pod, "labels": {"app": app}},
            "spec": {"containers": [{"name": "app", "image": "registry.example/app:1"}]},
        });
        let request = cluster.request("admin", "POST", "/api/v1/namespaces/outside/pods");
        let request = request
            .header("Impersonate-User", "mallory")
            .header("Impersonate-Uid", "uid-7");
        let request = request
            .header("Impersonate-Group", "outsiders")
            .header("Impersonate-Group", "night-shift");
        request.header("Impersonate-Extra-reason", "ticket 7").json(&pod).send()
    };
    let guarded = wait_until(PATIENCE, "the webhook", || {
        let answer = pod("rogue", "hollowapp");
        (answer.status == 403 && answer.text.contains("may not connect")).then_some(answer)
    });
    let refusal = guarded.expect("the API server asks ringfence").refused(403);
    assert!(
        refusal.contains("pod outside/rogue may not connect to segment guarded-db: user \"mallory\""),
        "{refusal}"
    );

    let events = cluster.audit_events();
    let reviewed = events.iter().rfind(|event| {
        let spec = &event["requestObject"]["spec"];
        spec["resourceAttributes"]["name"] == "guarded-db" && spec["user"] == "mallory"
    });
    let spec = &reviewed.expect("the review is in the audit log")["requestObject"]["spec"];
    assert_eq!(spec["uid"], "uid-7");
    assert_eq!(
        spec["groups"],
        json!(["outsiders", "night-shift", "system:authenticated"])
    );
    assert_eq!(spec["extra"], json!({"reason": ["ticket 7"]}));
    let permission = json!({
        "group": "ringfence.dev", "name": "guarded-db", "namespace": "guarded", "resource": "segments",
        "verb": "connect", "version": "*",
    });
    assert_eq!(spec["resourceAttributes"], permission);

    let created = events.iter().rfind(|event| {
        event["objectRef"]["resource"] == "pods"
            && event["annotations"]["workloads.guard.ringfence.dev/decision"] == "deny"
    });
    let annotations = &created.expect("the denial is in the audit log")["annotations"];
    let findings = annotations["workloads.guard.ringfence.dev/findings"]
        .as_str()
        .expect("findings");
    let findings: Value = serde_json::from_str(findings).expect("JSON");
    assert_eq!(
        findings[0]["permission"],
        "connect segments.ringfence.dev/guarded-db in guarded"
    );
    assert_eq!(
        annotations["workloads.guard.ringfence.dev/revision"]
            .as_str()
            .map(str::len),
        Some(12)
    );
    let record = replica.records.drain().pop().expect("a record");
    assert_eq!(
        (record.user.as_str(), record.verdict, record.count),
        ("mallory", "deny", 1)
    );
    assert_eq!(record.groups, ["outsiders", "night-shift", "system:authenticated"]);

    assert_eq!(pod("other", "other").status, 201, "what matches nothing passes");
    assert_eq!(replica.records.drain(), [], "and leaves no record");
    apply(
        cluster,
        &json!([role("guarded", "guarded-db"), binding("guarded", "guarded-db", &group)]),
    );
    let granted = wait_until(PATIENCE, "the grant", || {
        (pod("rightful", "hollowapp").status == 201).then_some(())
    });
    granted.expect("the owner's grant lets it in");
    let records = replica.records.drain();
    let last = records.last().expect("a use of the grant is recorded");
    assert_eq!((last.verdict, last.findings[0].reason), ("allow", "Permitted"));
}
