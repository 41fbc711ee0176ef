//! Reviews from body to reply: rounds, patience, and what becomes of what cannot be decided.

use std::collections::BTreeMap;
use std::time::{Duration, Instant as StdInstant};

use bytes::Bytes;
use futures::future::pending;
use ringfence_core::guardrails::{Clause, ClauseId, Guardrails, NamespaceSet, Revision, Segment, SegmentId, Side};
use ringfence_core::labels::{ClauseIndex, Operator, Requirement, Selector};
use ringfence_core::model::{
    Answer, Asked, Identity, Isolated, Mode, Namespace, Question, Scope, SegmentName, Snapshot,
};
use ringfence_core::review::Webhook;
use rstest::rstest;
use tokio::time::Instant;

use super::super::{Answerer, Engine};
use super::*;
use crate::Current;
use crate::record::{self, Collected, DryRuns, Recorder};
use crate::serve::{Reply, Reviewer};

/// Segment `payments-db`: clients `app=hollowapp` where a namespace is labelled `team=blue`; consent in payments.
fn snapshot(mode: Mode) -> Snapshot {
    let label = |key: &str, value: &str| {
        Selector::new(vec![Requirement {
            key: key.to_owned(),
            operator: Operator::In(vec![value.to_owned()]),
        }])
    };
    let segment = Segment {
        name: SegmentName::new("payments-db").expect("a valid name"),
        description: String::new(),
        mode,
        consent: Scope::Namespace(name("payments")),
        members: vec![],
        clients: vec![Clause {
            namespaces: NamespaceSet::Selected(label("team", "blue")),
            pods: label("app", "hollowapp"),
        }],
        isolated_from: Vec::new(),
        require_isolation: Vec::new(),
        guard_access: true,
    };
    let id = ClauseId {
        segment: SegmentId(0),
        side: Side::Client,
        position: 0,
    };
    let guardrails = Guardrails {
        revision: Revision("0123456789ab".to_owned()),
        index: ClauseIndex::new(&[(id, &segment.clients[0])]),
        segments: vec![segment],
        consents: BTreeMap::from([(name("payments"), vec![SegmentId(0)])]),
        ..Guardrails::default()
    };
    let namespaces = ["payments", "web"].map(|text| (name(text), Arc::new(Namespace::default())));
    Snapshot {
        guardrails: Arc::new(guardrails),
        namespaces: Arc::new(namespaces.into_iter().collect()),
        since: Arc::default(),
        policies: Arc::default(),
    }
}

fn pod(app: &str) -> Bytes {
    let review = json!({
        "kind": "AdmissionReview", "apiVersion": "admission.k8s.io/v1",
        "request": {
            "uid": "u-1", "operation": "CREATE", "name": "rogue", "namespace": "web",
            "kind": {"group": "", "version": "v1", "kind": "Pod"},
            "resource": {"group": "", "version": "v1", "resource": "pods"},
            "userInfo": {"username": "mallory", "groups": ["developers"]},
            "object": {"metadata": {"name": "rogue", "namespace": "web", "labels": {"app": app}}, "spec": {}},
        },
    });
    review.to_string().into()
}

/// The live namespace, with the label that the snapshot has not seen.
fn blue() -> Answer {
    Answer::Namespace(Some(Namespace {
        uid: "ns-1".to_owned(),
        labels: vec![("team".to_owned(), "blue".to_owned())],
        terminating: false,
        created: None,
    }))
}

/// What was asked, round by round, and of a review received when.
type Rounds = Arc<Mutex<Vec<(StdInstant, Vec<Asked>)>>>;

/// Says what a test says; what it does not say takes for ever.
struct Says<F> {
    says: F,
    rounds: Rounds,
}

impl<F: Fn(&Question) -> Option<Answer> + Send + Sync + 'static> Answerer for Says<F> {
    async fn answer(&self, _: &Identity<'_>, asked: Vec<Asked>, received: StdInstant) -> Vec<(Question, Answer)> {
        self.rounds.lock().push((received, asked.clone()));
        let mut answers = Vec::new();
        for Asked { question, .. } in asked {
            match (self.says)(&question) {
                Some(answer) => answers.push((question, answer)),
                None => pending().await,
            }
        }
        answers
    }
}

struct Bench<F> {
    engine: Engine<Says<F>>,
    records: Collected,
    rounds: Rounds,
}

impl<F: Fn(&Question) -> Option<Answer> + Send + Sync + 'static> Bench<F> {
    fn new(current: Current, says: F) -> Self {
        let records = Collected::default();
        let metrics = record::Metrics::register(&mut Registry::default());
        let recorder = Recorder::new(metrics, DryRuns::Counted, vec![Box::new(records.clone())]);
        let rounds = Arc::default();
        let answerer = Says {
            says,
            rounds: Arc::clone(&rounds),
        };
        Self {
            engine: Engine::new(current, answerer, recorder),
            records,
            rounds,
        }
    }

    async fn review(&self, webhook: Webhook, body: Bytes) -> Value {
        match self.engine.review(webhook, body).await {
            Reply::Review(body) => {
                let review: Value = serde_json::from_slice(&body).expect("JSON");
                assert_eq!(review["kind"], "AdmissionReview");
                review["response"].clone()
            }
            Reply::Malformed(text) => panic!("malformed: {text}"),
        }
    }
}

fn bench(
    mode: Mode,
    says: impl Fn(&Question) -> Option<Answer> + Send + Sync + 'static,
) -> Bench<impl Fn(&Question) -> Option<Answer> + Send + Sync + 'static> {
    Bench::new(Current::fixed(snapshot(mode)), says)
}

#[tokio::test(start_paused = true)]
async fn questions_are_answered_round_by_round_and_the_decision_is_told() {
    let bench = bench(Mode::Enforce, |question| {
        Some(match question {
            Question::Namespace(namespace) if namespace.as_str() == "web" => blue(),
            Question::Namespace(_) => Answer::Namespace(Some(Namespace::default())),
            Question::Allowed(..) => Answer::Allowed(false),
            Question::Owner(_) => Answer::Owner(None),
            Question::Reached(_) => Answer::Reached(Vec::new()),
            Question::Templates(_) => Answer::Templates(Vec::new()),
            Question::Running(_) => Answer::Running(Vec::new()),
            Question::Policies(_) => Answer::Policies(Vec::new()),
            Question::Isolated(..) => Answer::Isolated(Isolated::Exempt),
        })
    });
    let received = Instant::now().into_std();
    let response = bench.review(Webhook::Workloads, pod("hollowapp")).await;
    let status = &response["status"];
    assert_eq!(
        (&response["uid"], &response["allowed"], &status["code"]),
        (&json!("u-1"), &json!(false), &json!(403))
    );
    assert!(
        status["message"]
            .as_str()
            .is_some_and(|text| text.contains("may not connect to segment payments-db"))
    );
    assert_eq!(response["auditAnnotations"]["decision"], "deny");
    assert_eq!(response["auditAnnotations"]["revision"], "0123456789ab");
    let rounds = bench.rounds.lock().clone();
    assert!(
        matches!(
            &rounds[0].1[..],
            [Asked {
                question: Question::Namespace(_),
                ..
            }]
        ),
        "{rounds:?}"
    );
    assert!(
        rounds.len() > 1 && rounds.iter().all(|(of, _)| *of == received),
        "{rounds:?}"
    );
    let records = bench.records.drain();
    assert_eq!(
        (records.len(), records[0].verdict, records[0].user.as_str()),
        (1, "deny", "mallory")
    );
    assert_eq!(records[0].revision, "0123456789ab");
}

#[tokio::test]
async fn what_matches_nothing_is_let_in_unasked_and_unrecorded() {
    let bench = bench(Mode::Enforce, |_| None);
    let response = bench.review(Webhook::Workloads, pod("other")).await;
    assert_eq!(response, json!({"uid": "u-1", "allowed": true}));
    assert!(bench.rounds.lock().is_empty());
    assert_eq!(bench.records.drain(), []);
}

#[rstest]
#[case(Mode::Enforce, 4000, "retry")]
#[case(Mode::Warn, 250, "warn")]
#[case(Mode::Audit, 250, "audit")]
#[tokio::test(start_paused = true)]
async fn an_answerer_that_never_answers_delays_as_long_as_the_mode_allows(
    #[case] mode: Mode,
    #[case] milliseconds: u128,
    #[case] verdict: &str,
) {
    let bench = bench(mode, |_| None);
    let start = Instant::now();
    let response = bench.review(Webhook::Workloads, pod("hollowapp")).await;
    assert_eq!(start.elapsed().as_millis(), milliseconds);
    assert_eq!(response["allowed"], mode != Mode::Enforce, "{response}");
    if mode == Mode::Enforce {
        assert_eq!(
            (&response["status"]["code"], &response["status"]["reason"]),
            (&json!(429), &json!("TooManyRequests"))
        );
        assert!(
            response["status"]["details"]["retryAfterSeconds"]
                .as_u64()
                .is_some_and(|seconds| seconds > 0)
        );
    }
    let record = bench.records.drain().remove(0);
    assert_eq!((record.verdict, record.findings[0].reason), (verdict, "Unanswered"));
    assert!(
        record.findings[0]
            .detail
            .contains(&format!("no answer within {milliseconds} ms")),
        "{record:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn the_rounds_of_a_review_share_its_patience() {
    let bench = bench(Mode::Enforce, |question| {
        matches!(question, Question::Namespace(_)).then(blue)
    });
    let start = Instant::now();
    let response = bench.review(Webhook::Workloads, pod("hollowapp")).await;
    assert_eq!(response["status"]["code"], 429);
    assert!(bench.rounds.lock().len() > 1);
    assert_eq!(start.elapsed(), Duration::from_secs(4), "not four seconds a round");
}

/// Answers nothing, at once.
struct Silent;

impl Answerer for Silent {
    async fn answer(&self, _: &Identity<'_>, _: Vec<Asked>, _: StdInstant) -> Vec<(Question, Answer)> {
        Vec::new()
    }
}

#[tokio::test]
async fn a_question_that_nobody_answers_is_not_taken_for_a_yes() {
    let metrics = record::Metrics::register(&mut Registry::default());
    let engine = Engine::new(
        Current::fixed(snapshot(Mode::Enforce)),
        Silent,
        Recorder::new(metrics, DryRuns::Counted, vec![]),
    );
    let Reply::Review(body) = engine.review(Webhook::Workloads, pod("hollowapp")).await else {
        panic!("a review")
    };
    let review: Value = serde_json::from_slice(&body).expect("JSON");
    assert_eq!(review["response"]["status"]["code"], 429);
}

#[tokio::test]
async fn before_there_is_a_configuration_only_what_fails_open_passes() {
    let bench = Bench::new(Current::empty(), |_| None);
    for webhook in [Webhook::Workloads, Webhook::Namespaces] {
        let response = bench.review(webhook, pod("other")).await;
        assert_eq!(
            (&response["allowed"], &response["status"]["code"]),
            (&json!(false), &json!(429))
        );
        assert!(
            response["status"]["message"]
                .as_str()
                .is_some_and(|text| text.contains("ringfence is not ready"))
        );
    }
    let response = bench.review(Webhook::Open, pod("other")).await;
    assert_eq!(response["allowed"], true);
    let verdicts: Vec<_> = bench.records.drain().iter().map(|record| record.verdict).collect();
    assert_eq!(verdicts, ["retry", "retry", "audit"]);
}

#[tokio::test]
async fn what_cannot_be_understood_is_answered_under_its_uid() {
    let bench = bench(Mode::Enforce, |_| None);
    let broken = Bytes::from_static(
        br#"{"kind": "AdmissionReview", "apiVersion": "admission.k8s.io/v1", "request": {"uid": "u-9", "operation": 7}}"#,
    );
    let response = bench.review(Webhook::Workloads, broken.clone()).await;
    assert_eq!(
        (&response["uid"], &response["allowed"], &response["status"]["code"]),
        (&json!("u-9"), &json!(false), &json!(400))
    );
    assert!(
        response["status"]["message"]
            .as_str()
            .is_some_and(|text| text.contains("cannot be understood"))
    );
    let response = bench.review(Webhook::Open, broken).await;
    assert_eq!((&response["uid"], &response["allowed"]), (&json!("u-9"), &json!(true)));
    let warning = response["warnings"][0].as_str().expect("a warning");
    assert!(warning.starts_with("ringfence: ") && warning.len() <= 120, "{warning}");
    let records = bench.records.drain();
    let told: Vec<_> = records
        .iter()
        .map(|record| (record.uid.as_str(), record.verdict))
        .collect();
    assert_eq!(told, [("u-9", "deny"), ("u-9", "warn")]);
}

#[tokio::test]
async fn what_has_no_uid_is_malformed() {
    let bench = bench(Mode::Enforce, |_| None);
    for webhook in [Webhook::Workloads, Webhook::Open] {
        let reply = bench.engine.review(webhook, Bytes::from_static(b"GET me out")).await;
        assert!(
            matches!(&reply, Reply::Malformed(why) if why.contains("line 1 column")),
            "{reply:?}"
        );
    }
    assert_eq!(bench.records.drain(), []);
}
