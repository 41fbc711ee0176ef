//! Answers and reviews against an API server that a test makes up.

mod engine;
mod live;
mod reads;

use std::sync::Arc;

use futures::future::BoxFuture;
use http::{Request, Response, StatusCode};
use kube::Client;
use kube::client::Body;
use parking_lot::Mutex;
use prometheus_client::registry::Registry;
use ringfence_core::model::{Answer, Asked, Identity, Mode, NamespaceName, ObjectReference, Question};
use serde_json::{Value, json};
use tokio::time::Instant;

use super::calls::Calls;
use super::live::Live;
use super::{Answerer, Metrics};
use crate::{Current, isolate};

/// What the made-up API server says to a request: method and path, body.
type Says = dyn Fn(&str, Value) -> BoxFuture<'static, (u16, Value)> + Send + Sync;

/// An API server that a test makes up, with what it was asked.
#[derive(Clone)]
struct ApiServer {
    says: Arc<Says>,
    asked: Arc<Mutex<Vec<(String, Value)>>>,
}

impl ApiServer {
    fn new<F>(says: impl Fn(&str, Value) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = (u16, Value)> + Send + 'static,
    {
        Self {
            says: Arc::new(move |path, body| Box::pin(says(path, body))),
            asked: Arc::default(),
        }
    }

    /// One that says the same to everything.
    fn saying(code: u16, body: Value) -> Self {
        Self::new(move |_, _| std::future::ready((code, body.clone())))
    }

    fn client(&self) -> Client {
        let server = self.clone();
        let service = tower::service_fn(move |request: Request<Body>| {
            let server = server.clone();
            async move {
                let path = format!("{} {}", request.method(), request.uri());
                let body = request.into_body().collect_bytes().await?;
                let body = serde_json::from_slice(&body).unwrap_or_default();
                server.asked.lock().push((path.clone(), Value::clone(&body)));
                let (code, body) = (server.says)(&path, body).await;
                let response = Response::builder().status(StatusCode::from_u16(code).expect("a status"));
                Ok::<_, kube::Error>(
                    response
                        .body(Body::from(body.to_string().into_bytes()))
                        .expect("a response"),
                )
            }
        });
        Client::new(service, "default")
    }

    fn live(&self) -> Live {
        let server = self.clone();
        live(move || Ok(server.client()))
    }

    /// Method and path of what was asked so far.
    fn paths(&self) -> Vec<String> {
        self.asked.lock().iter().map(|(path, _)| path.clone()).collect()
    }
}

fn live(dial: impl Fn() -> Result<Client, kube::Error> + Send + Sync + 'static) -> Live {
    Live::over(
        Calls::by(dial).expect("a client"),
        Current::empty(),
        Metrics::register(&mut Registry::default()),
        isolate::Metrics::default(),
    )
}

/// The answer to a SubjectAccessReview.
fn status(status: &Value) -> Value {
    json!({"apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview", "spec": {}, "status": status})
}

/// The answer of an API server that does not know what was asked for.
fn failure(code: u16, message: &str) -> (u16, Value) {
    let body = json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "message": message, "reason": "", "code": code});
    (code, body)
}

fn name(text: &str) -> NamespaceName {
    NamespaceName::new(text).expect("a valid name")
}

fn ci() -> Identity<'static> {
    Identity {
        username: "system:serviceaccount:web:ci".into(),
        uid: "uid-of-ci".into(),
        groups: vec!["system:serviceaccounts".into(), "system:authenticated".into()],
        extra: vec![
            ("authentication.kubernetes.io/pod-name".into(), vec!["ci-0".into()]),
            ("scopes".into(), vec!["a".into(), "b".into()]),
        ],
    }
}

/// What is answered to one question that is asked now.
async fn ask(live: &Live, identity: &Identity<'_>, question: Question, mode: Mode) -> Answer {
    let asked = vec![Asked {
        question: question.clone(),
        mode,
    }];
    let answers = live.answer(identity, asked, Instant::now().into_std()).await;
    let [(answered, answer)] = <[_; 1]>::try_from(answers).expect("one answer to one question");
    assert_eq!(answered, question);
    answer
}

fn failed(answer: &Answer) -> &str {
    match answer {
        Answer::Failed(why) => why,
        other => panic!("expected a failure, got {other:?}"),
    }
}

fn replica_set(name: &str) -> ObjectReference {
    ObjectReference {
        group: "apps".to_owned(),
        version: "v1".to_owned(),
        resource: "replicasets".to_owned(),
        template: "/spec/template".to_owned(),
        namespace: self::name("web"),
        name: name.to_owned(),
    }
}
