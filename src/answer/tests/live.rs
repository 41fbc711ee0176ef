//! What the API server is asked, how long it is waited for, and what is made of what it says.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures::future::{join_all, pending};
use ringfence_core::model::{Answer, Asked, Identity, Mode, Permission, Question, Scope, SegmentName, Verb, Who};
use rstest::rstest;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::Instant;

use super::super::Answerer;
use super::*;

fn permission() -> Permission {
    let segment = SegmentName::new("payments-db").expect("a valid name");
    Permission::segment(Verb::Connect, &segment, Scope::Namespace(name("payments")))
}

async fn ask_permission(live: &Live) -> Answer {
    ask(
        live,
        &ci(),
        Question::Allowed(Who::Requester, permission()),
        Mode::Enforce,
    )
    .await
}

#[tokio::test]
async fn the_whole_identity_and_permission_reach_the_review() {
    let server = ApiServer::saying(201, status(&json!({"allowed": true})));
    assert_eq!(ask_permission(&server.live()).await, Answer::Allowed(true));
    let (path, body) = server.asked.lock().remove(0);
    assert_eq!(path, "POST /apis/authorization.k8s.io/v1/subjectaccessreviews?");
    insta::assert_snapshot!(serde_json::to_string_pretty(&body["spec"]).expect("JSON"), @r#"
    {
      "extra": {
        "authentication.kubernetes.io/pod-name": [
          "ci-0"
        ],
        "scopes": [
          "a",
          "b"
        ]
      },
      "groups": [
        "system:serviceaccounts",
        "system:authenticated"
      ],
      "resourceAttributes": {
        "group": "ringfence.dev",
        "name": "payments-db",
        "namespace": "payments",
        "resource": "segments",
        "verb": "connect",
        "version": "*"
      },
      "uid": "uid-of-ci",
      "user": "system:serviceaccount:web:ci"
    }
    "#);
}

#[tokio::test]
async fn a_delegate_is_asked_as_a_user_who_is_only_authenticated() {
    let server = ApiServer::saying(201, status(&json!({"allowed": true})));
    let cluster = Permission {
        scope: Scope::Cluster,
        ..permission()
    };
    let question = Question::Allowed(Who::User("gitops:web".to_owned()), cluster);
    assert_eq!(
        ask(&server.live(), &ci(), question, Mode::Enforce).await,
        Answer::Allowed(true)
    );
    let spec = server.asked.lock().remove(0).1["spec"].take();
    assert_eq!(spec["user"], "gitops:web");
    assert_eq!(spec["groups"], json!(["system:authenticated"]));
    assert_eq!((&spec["uid"], &spec["extra"]), (&Value::Null, &Value::Null));
    assert_eq!(
        spec["resourceAttributes"]["namespace"],
        Value::Null,
        "no namespace is the cluster"
    );
}

#[rstest]
#[case::allowed(json!({"allowed": true}), true)]
#[case::allowed_though_another_could_not_be_evaluated(json!({"allowed": true, "evaluationError": "role missing"}), true)]
#[case::refused(json!({"allowed": false}), false)]
#[case::no_word(json!({}), false)]
#[case::denied(json!({"allowed": false, "denied": true}), false)]
#[case::contradiction(json!({"allowed": true, "denied": true}), false)]
#[case::not_evaluated(json!({"allowed": false, "evaluationError": "webhook down"}), false)]
#[tokio::test]
async fn only_allowed_true_allows(#[case] said: Value, #[case] allowed: bool) {
    let server = ApiServer::saying(201, status(&said));
    assert_eq!(ask_permission(&server.live()).await, Answer::Allowed(allowed), "{said}");
}

#[rstest]
#[case::forbidden(
    failure(403, "cannot create subjectaccessreviews"),
    "refused with 403 (cannot create subject"
)]
#[case::overloaded(failure(429, "too many requests"), "refused with 429")]
#[case::broken(failure(500, "etcd"), "refused with 500")]
#[case::without_status((201, json!({"spec": {}})), "a review without a status")]
#[case::not_a_review((201, json!("yes")), "cannot be understood")]
#[case::a_word_for_a_truth((201, status(&json!({"allowed": "true"}))), "cannot be understood")]
#[tokio::test]
async fn what_is_no_answer_is_a_failure_and_is_asked_again(#[case] said: (u16, Value), #[case] why: &str) {
    let server = ApiServer::saying(said.0, said.1);
    let live = server.live();
    for _ in 0..2 {
        let answer = ask_permission(&live).await;
        assert!(failed(&answer).contains(why), "{answer:?}");
    }
    assert_eq!(server.paths().len(), 2, "a failure is not kept");
}

#[tokio::test(start_paused = true)]
async fn a_yes_is_asked_again_after_five_seconds_and_a_no_after_one() {
    for (allowed, almost) in [(true, 4999), (false, 999)] {
        let server = ApiServer::saying(201, status(&json!({ "allowed": allowed })));
        let live = server.live();
        ask_permission(&live).await;
        tokio::time::advance(Duration::from_millis(almost)).await;
        assert_eq!(ask_permission(&live).await, Answer::Allowed(allowed));
        assert_eq!(server.paths().len(), 1, "{allowed} is kept");
        tokio::time::advance(Duration::from_millis(1)).await;
        ask_permission(&live).await;
        assert_eq!(server.paths().len(), 2, "{allowed} is kept no longer");
    }
}

#[tokio::test]
async fn a_no_that_could_not_be_evaluated_is_not_kept() {
    let server = ApiServer::saying(
        201,
        status(&json!({"allowed": false, "evaluationError": "webhook down"})),
    );
    let live = server.live();
    ask_permission(&live).await;
    ask_permission(&live).await;
    assert_eq!(server.paths().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn those_who_ask_the_same_at_once_share_one_review() {
    let server = ApiServer::new(|_, _| async {
        tokio::time::sleep(Duration::from_millis(10)).await;
        (201, status(&json!({"allowed": true})))
    });
    let live = server.live();
    let other = Identity { uid: "".into(), ..ci() };
    let question = || Question::Allowed(Who::Requester, permission());
    let same = join_all((0..50).map(|_| ask_permission(&live)));
    let (same, other) = tokio::join!(same, ask(&live, &other, question(), Mode::Enforce));
    assert!(
        same.iter()
            .chain([&other])
            .all(|answer| *answer == Answer::Allowed(true))
    );
    assert_eq!(server.paths().len(), 2, "another uid is another identity");
}

#[rstest]
#[case(Mode::Audit, 250)]
#[case(Mode::Warn, 250)]
#[case(Mode::Enforce, 4000)]
#[tokio::test(start_paused = true)]
async fn nothing_waits_beyond_its_mode(#[case] mode: Mode, #[case] milliseconds: u128) {
    let server = ApiServer::new(|_, _| pending());
    let live = server.live();
    let questions = [
        Question::Allowed(Who::Requester, permission()),
        Question::Namespace(name("web")),
        Question::Owner(replica_set("app-1")),
    ];
    let asked = questions.map(|question| Asked { question, mode }).to_vec();
    let received = Instant::now();
    let answers = live.answer(&ci(), asked, received.into_std()).await;
    assert_eq!(received.elapsed().as_millis(), milliseconds);
    for (_, answer) in &answers {
        assert!(
            failed(answer).contains(&format!("within {milliseconds} ms")),
            "{answer:?}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn patience_counts_from_when_the_review_was_received() {
    let server = ApiServer::new(|_, _| pending());
    let live = server.live();
    let received = Instant::now();
    tokio::time::advance(Duration::from_secs(3)).await;
    let question = Question::Allowed(Who::Requester, permission());
    let asked = vec![Asked {
        question,
        mode: Mode::Enforce,
    }];
    failed(&live.answer(&ci(), asked, received.into_std()).await[0].1);
    assert_eq!(received.elapsed(), Duration::from_secs(4));
}

#[tokio::test(start_paused = true)]
async fn a_call_that_hangs_is_made_again_over_new_connections() {
    let (hanging, healthy) = (
        ApiServer::new(|_, _| pending()),
        ApiServer::saying(201, status(&json!({"allowed": true}))),
    );
    let (first, then) = (hanging.clone(), healthy.clone());
    let dialled = Arc::new(AtomicUsize::new(0));
    let dials = Arc::clone(&dialled);
    let live = live(move || {
        let server = if dials.fetch_add(1, Ordering::Relaxed) == 0 {
            &first
        } else {
            &then
        };
        Ok(server.client())
    });
    let start = Instant::now();
    let others = (0..20).map(|at| Permission {
        name: format!("segment-{at}"),
        ..permission()
    });
    let questions = others.map(|permission| Asked {
        question: Question::Allowed(Who::Requester, permission),
        mode: Mode::Enforce,
    });
    let answers = live.answer(&ci(), questions.collect(), start.into_std()).await;
    assert!(
        answers.iter().all(|(_, answer)| *answer == Answer::Allowed(true)),
        "{answers:?}"
    );
    assert!(start.elapsed() < Duration::from_secs(2), "{:?}", start.elapsed());
    assert_eq!((hanging.paths().len(), healthy.paths().len()), (20, 20));
    assert_eq!(dialled.load(Ordering::Relaxed), 2, "all use the same new connections");
    assert_eq!(ask_permission(&live).await, Answer::Allowed(true));
    assert_eq!(hanging.paths().len(), 20, "nobody meets the hanging connections again");
}

/// The real thing: a server that takes the first connection and never answers it.
#[tokio::test]
async fn a_connection_that_was_accepted_and_never_answered_holds_up_nobody_later() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("its address");
    let server = tokio::spawn(async move {
        let (_hanging, _) = listener.accept().await.expect("a connection");
        loop {
            let (mut connection, _) = listener.accept().await.expect("a connection");
            tokio::spawn(async move {
                let mut request = vec![0; 1 << 16];
                while connection.read(&mut request).await.is_ok_and(|length| length > 0) {
                    let body = status(&json!({"allowed": true})).to_string();
                    let head = format!("HTTP/1.1 201 Created\r\ncontent-length: {}\r\n\r\n", body.len());
                    connection
                        .write_all((head + &body).as_bytes())
                        .await
                        .expect("the client listens");
                }
            });
        }
    });
    let config = kube::Config::new(format!("http://{address}").parse().expect("a URL"));
    let live = connected(config);
    let audit = Question::Allowed(Who::Requester, permission());
    let impatient = ask(&live, &ci(), audit, Mode::Audit).await;
    assert!(failed(&impatient).contains("within 250 ms"), "{impatient:?}");
    assert_eq!(
        ask_permission(&live).await,
        Answer::Allowed(true),
        "the review goes on over a new connection"
    );
    server.abort();
}

#[tokio::test]
async fn an_api_server_that_is_away_is_said_to_be() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("its address");
    drop(listener);
    let config = kube::Config::new(format!("http://{address}").parse().expect("a URL"));
    let live = connected(config);
    let answer = ask_permission(&live).await;
    let why = failed(&answer);
    assert!(why.contains("cannot be asked") && why.contains("refused"), "{why}");
}

fn connected(config: kube::Config) -> Live {
    let metrics = Metrics::register(&mut Registry::default());
    Live::connect(config, Current::empty(), metrics, isolate::Metrics::default()).expect("a client")
}
