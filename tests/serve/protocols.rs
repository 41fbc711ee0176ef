//! Every protocol that the API server, or a proxy before us, may speak.

use futures::future::join_all;
use rstest::rstest;
use rustls::SupportedProtocolVersion;
use rustls::version::{TLS12, TLS13};

use crate::client::Hello;
use crate::running::{options, start, start_with};

#[rstest]
#[tokio::test]
async fn http1_answers_review_after_review(#[values(&TLS12, &TLS13)] version: &'static SupportedProtocolVersion) {
    let running = start().await;
    let hello = Hello {
        versions: vec![version],
        ..Hello::default()
    };
    let stream = running.handshake(&hello).await.expect("shakes hands");
    let mut client = running.http1_over(stream).await;
    for size in [0, 1, 10_000, 100_000, 3] {
        assert_eq!(client.review(vec![b'x'; size]).await, (200, size.to_string()));
    }
}

#[rstest]
#[tokio::test]
async fn http2_answers_many_reviews_at_once(#[values(&TLS12, &TLS13)] version: &'static SupportedProtocolVersion) {
    let running = start().await;
    let hello = Hello {
        versions: vec![version],
        alpn: &["h2", "http/1.1"],
        ..Hello::default()
    };
    let stream = running.handshake(&hello).await.expect("shakes hands");
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(b"h2".as_slice()));
    let client = running.http2_over(stream).await;
    let reviews = (0..200).map(|size| client.review(vec![b'x'; size * 100]));
    for (size, answer) in join_all(reviews).await.into_iter().enumerate() {
        assert_eq!(answer.expect("answers"), (200, (size * 100).to_string()));
    }
}

#[tokio::test]
async fn a_client_that_says_no_protocol_gets_http1() {
    let running = start().await;
    let hello = Hello {
        alpn: &[],
        ..Hello::default()
    };
    let stream = running.handshake(&hello).await.expect("shakes hands");
    let mut client = running.http1_over(stream).await;
    assert_eq!(client.review("{}").await, (200, "2".to_owned()));
}

#[tokio::test]
async fn health_is_plain_http_and_one_request_a_connection() {
    let running = start_with(options()).await;
    assert_eq!(running.ask_health("/healthz").await, (200, "ok\n".to_owned()));
    assert_eq!(running.ask_health("/readyz").await, (200, "ok\n".to_owned()));
    let condition = running.readiness.condition("watches");
    let answer = running.ask_health("/readyz").await;
    assert_eq!(answer, (503, "not ready\nwatches: not yet\n".to_owned()));
    condition.met();
    assert_eq!(running.ask_health("/readyz").await.0, 200);
    assert_eq!(running.ask_health(&running.path()).await.0, 404);
}
