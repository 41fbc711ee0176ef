//! [`Served`]: the real server on a free loopback port, with the real engine or with a floor in its place.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use prometheus_client::registry::Registry;
use ringfence::Current;
use ringfence::answer::{Answerer, Engine};
use ringfence::certs::{self, ServingCertificate, own};
use ringfence::record::{self, DecisionRecord, DryRuns, Recorder, Sink, line};
use ringfence::serve::{self, Options, Parts, PathToken, PathTokens, Readiness, Reply, Reviewer, Server};
use ringfence_core::model::{Answer, Asked, Decision, Identity, Namespaces, Question, Snapshot};
use ringfence_core::review::{Webhook, respond};
use serde::Deserialize;

use crate::world;

/// A server that runs until the process ends.
pub(crate) struct Served {
    pub(crate) address: SocketAddr,
    pub(crate) path: String,
    pub(crate) ca_pem: String,
}

impl Served {
    /// Allows everything: reads the uid, skips the rest of the body, and answers. The same stack but for the engine.
    pub(crate) async fn floor() -> Self {
        Self::start(Floor, &mut Registry::default()).await
    }

    /// The engine with this snapshot, every permission allowed without a round trip.
    pub(crate) async fn engine(snapshot: Snapshot) -> Self {
        let mut registry = Registry::default();
        let answerer = Allowing(Arc::clone(&snapshot.namespaces));
        let metrics = record::Metrics::register(&mut registry);
        let recorder = Recorder::new(metrics, DryRuns::Counted, vec![Box::new(Nowhere)]);
        let recording = Arc::clone(&recorder);
        tokio::spawn(async move { recording.run(tokio_util::sync::CancellationToken::new()).await });
        let engine = Engine::new(Current::fixed(snapshot), answerer, recorder);
        Self::start(engine, &mut registry).await
    }

    async fn start(reviewer: impl Reviewer, registry: &mut Registry) -> Self {
        let readiness = Readiness::new();
        let metrics = certs::Metrics::register(registry);
        let certificate = ServingCertificate::new(readiness.condition("certificate"), metrics);
        let issued = own::issue(&["localhost".to_owned()], &[]).expect("a certificate");
        let replaced = certificate.replace(issued.cert_pem.as_bytes(), issued.key_pem.as_bytes());
        replaced.expect("it serves");
        let (tokens, token) = (PathTokens::new(), PathToken::generate());
        let path = format!("/{}/{}", token.as_str(), Webhook::Workloads.path());
        tokens.replace([token]);
        let parts = Parts {
            reviewer,
            certificate,
            tokens,
            readiness,
            metrics: serve::Metrics::register(registry),
            registry: Arc::new(std::mem::take(registry)),
        };
        let loopback = (Ipv4Addr::LOCALHOST, 0).into();
        let options = Options {
            listen: loopback,
            health_listen: loopback,
            ..Options::default()
        };
        let server = Server::bind(options, parts).await.expect("binds");
        let address = server.local_addr();
        tokio::spawn(server.run(std::future::pending()));
        Self {
            address,
            path,
            ca_pem: issued.ca_pem,
        }
    }
}

/// The allow-everything server.
struct Floor;

impl Reviewer for Floor {
    async fn review(&self, _: Webhook, body: Bytes) -> Reply {
        #[derive(Deserialize)]
        struct Review<'a> {
            #[serde(borrow)]
            request: Request<'a>,
        }
        #[derive(Deserialize)]
        struct Request<'a> {
            uid: &'a str,
        }
        match serde_json::from_slice::<Review<'_>>(&body) {
            Ok(Review {
                request: Request { uid },
            }) => Reply::Review(respond(uid, &Decision::plain_allow(), &BTreeMap::new()).into()),
            Err(error) => Reply::Malformed(error.to_string()),
        }
    }
}

/// Answers without a round trip.
struct Allowing(Arc<Namespaces>);

impl Answerer for Allowing {
    async fn answer(&self, _: &Identity<'_>, asked: Vec<Asked>, _: Instant) -> Vec<(Question, Answer)> {
        let answered = asked.into_iter().map(|Asked { question, .. }| {
            let answer = world::answer(&self.0, &question);
            (question, answer)
        });
        answered.collect()
    }
}

/// Makes the line of a record as standard output would take it, and drops it.
struct Nowhere;

impl Sink for Nowhere {
    fn take(&self, record: &DecisionRecord) {
        std::hint::black_box(line(record));
    }
}
