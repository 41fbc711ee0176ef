//! Against a made-up API server that keeps one Secret: who writes it, who takes it, what is handed out.

use std::convert::Infallible;
use std::sync::{Arc, Mutex};

use http::{Method, Request, Response};
use http_body_util::BodyExt;
use kube::client::Body;
use serde_json::{Value, json};

use super::*;
use crate::serve::Readiness;

/// An API server that keeps one Secret as the real one does: one of several creators wins, and so does one of several
/// who replace the same version.
#[derive(Clone, Default)]
struct Server(Arc<Mutex<Option<Value>>>);

impl Server {
    fn client(&self) -> Client {
        let server = self.clone();
        let service = tower::service_fn(move |request: Request<Body>| {
            let server = server.clone();
            async move { Ok::<_, Infallible>(server.answer(request).await) }
        });
        Client::new(service, "default")
    }

    async fn answer(&self, request: Request<Body>) -> Response<Body> {
        let method = request.method().clone();
        let body = request.into_body().collect().await.expect("a body").to_bytes();
        let mut kept = self.0.lock().expect("not poisoned");
        let version = |object: &Value| object["metadata"]["resourceVersion"].clone();
        let refused = |reason: &str| {
            let status = json!({"kind": "Status", "status": "Failure", "code": 409, "reason": reason, "message": ""});
            let response = Response::builder().status(409);
            response
                .body(Body::from(status.to_string().into_bytes()))
                .expect("a response")
        };
        let mut written: Value = serde_json::from_slice(&body).expect("JSON");
        match &*kept {
            Some(_) if method == Method::POST => return refused("AlreadyExists"),
            Some(kept) if version(kept) != version(&written) => return refused("Conflict"),
            Some(_) | None => {}
        }
        let next = kept
            .as_ref()
            .and_then(|kept| version(kept).as_str()?.parse::<u32>().ok())
            .unwrap_or(0)
            + 1;
        written["metadata"]["resourceVersion"] = json!(next.to_string());
        *kept = Some(written.clone());
        Response::new(Body::from(written.to_string().into_bytes()))
    }

    fn secret(&self) -> Secret {
        let kept = self.0.lock().expect("not poisoned").clone();
        serde_json::from_value(kept.expect("written")).expect("a Secret")
    }
}

fn api(server: &Server) -> Api<Secret> {
    Api::namespaced(server.client(), "ringfence-system")
}

#[tokio::test]
async fn of_two_that_find_nothing_one_writes_and_both_take_that() {
    let (server, names) = (Server::default(), Names::of("ringfence-system", None).expect("valid"));
    let wanted = Wanted::CertificateFor(&names);
    let first = fit(&api(&server), None, wanted).await.expect("created").expect("taken");
    // The other has looked before the first wrote: it has to look again.
    assert!(fit(&api(&server), None, wanted).await.expect("no error").is_none());
    let live = server.secret();
    let second = fit(&api(&server), Some(&live), wanted)
        .await
        .expect("read")
        .expect("taken");
    assert_eq!(first.path.as_str(), second.path.as_str());
    let key = |contents: &Contents| contents.pair.as_ref().map(|pair| pair.key_pem.clone());
    assert_eq!(key(&first), key(&second));
}

#[tokio::test]
async fn of_two_that_find_it_unfit_one_writes() {
    let (server, names) = (Server::default(), Names::of("ringfence-system", None).expect("valid"));
    fit(&api(&server), None, Wanted::PathAlone).await.expect("created");
    let (stale, wanted) = (server.secret(), Wanted::CertificateFor(&names));
    let first = fit(&api(&server), Some(&stale), wanted)
        .await
        .expect("replaced")
        .expect("taken");
    assert!(
        fit(&api(&server), Some(&stale), wanted)
            .await
            .expect("no error")
            .is_none()
    );
    let kept = Contents::read(&server.secret(), wanted).unwrap_or_else(|unfit| panic!("{unfit}"));
    assert_eq!(first.path.as_str(), kept.path.as_str());
}

fn serving_secret(certificate: Certificate) -> (ServingSecret, watch::Receiver<Option<Reached>>, Readiness) {
    let (reached, told) = watch::channel(None);
    let readiness = Readiness::new();
    let secret = ServingSecret::new(
        &Server::default().client(),
        "ringfence-system",
        certificate,
        PathTokens::new(),
        readiness.condition("path"),
        reached,
        Counter::default(),
    );
    (secret, told, readiness)
}

fn path_alone() -> Contents {
    Contents {
        path: PathToken::generate(),
        pair: None,
    }
}

#[tokio::test]
async fn the_authority_of_a_given_certificate_comes_from_its_file() {
    let file = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(file.path(), "one authority").expect("written");
    let given = Certificate::Given(Some(file.path().to_owned()));
    let (mut secret, mut told, readiness) = serving_secret(given);
    assert_eq!(readiness.missing().len(), 1);
    let contents = path_alone();
    let path = contents.path.clone();
    secret.take(contents).await.expect("taken");
    assert!(readiness.missing().is_empty());
    let authority = |told: &mut watch::Receiver<Option<Reached>>| {
        let reached = told.borrow_and_update().clone().expect("told");
        assert_eq!(reached.path, path.as_str());
        reached.ca_pem
    };
    assert_eq!(authority(&mut told).as_deref(), Some("one authority"));
    let again = || Contents {
        path: path.clone(),
        pair: None,
    };
    secret.take(again()).await.expect("taken");
    assert!(!told.has_changed().expect("open"), "nothing new");
    std::fs::write(file.path(), "another authority").expect("written");
    secret.take(again()).await.expect("taken");
    assert_eq!(authority(&mut told).as_deref(), Some("another authority"));
    file.close().expect("removed");
    let error = secret.take(again()).await.expect_err("gone");
    assert!(error.to_string().contains("check --tls-ca"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_path_that_was_replaced_is_answered_for_a_while() {
    let (mut secret, _told, _readiness) = serving_secret(Certificate::Given(None));
    let (old, new) = (path_alone(), path_alone());
    let paths = [old.path.clone(), new.path.clone()];
    let answered = |secret: &ServingSecret| paths.each_ref().map(|path| secret.tokens.holds(path.as_str()));
    secret.take(old).await.expect("taken");
    assert_eq!(answered(&secret), [true, false]);
    secret.take(new).await.expect("taken");
    assert_eq!(answered(&secret), [true, true], "the webhook configuration follows");
    tokio::time::advance(OLD_PATH * 2).await;
    let again = Contents {
        path: paths[1].clone(),
        pair: None,
    };
    secret.take(again).await.expect("taken");
    assert_eq!(answered(&secret), [false, true]);
}
