//! Limits that hold for all clients together.

use futures::future::join_all;
use ringfence::serve::Limits;
use tokio::net::TcpStream;

use crate::client::Hello;
use crate::running::{start, start_limited};

#[tokio::test]
async fn a_thousand_idle_connections_keep_nobody_out() {
    let running = start_limited(Limits {
        connections: 200,
        ..Limits::default()
    })
    .await;
    // The API server's connection, from before.
    let mut before = running.http1().await;
    assert_eq!(before.review("{}").await.0, 200);
    let silent: Vec<TcpStream> = join_all((0..900).map(|_| running.tcp())).await;
    let hello = Hello::default();
    let idle = join_all((0..100).map(|_| running.handshake(&hello))).await;

    assert_eq!(before.review("{}").await.0, 200);
    assert_eq!(running.http1().await.review("{}").await.0, 200);
    let evicted = "ringfence_connections_closed_total{listener=\"reviews\",reason=\"evicted\"}";
    let evicted: u32 = running.metric(evicted).await.parse().expect("a number");
    assert!(evicted >= 800, "{evicted}");
    drop((silent, idle));
}

#[tokio::test]
async fn over_the_limit_is_a_503_at_once_while_the_others_go_on() {
    let running = start_limited(Limits {
        reviews: 2,
        ..Limits::default()
    })
    .await;
    let client = running.http2().await;
    let first = tokio::spawn(client.review("wait"));
    running.reviewer.waiting.notified().await;
    let second = tokio::spawn(client.review("wait"));
    running.reviewer.waiting.notified().await;
    assert_eq!(client.review("{}").await.expect("answers").0, 503);
    assert_eq!(running.http1().await.review("{}").await.0, 503);
    running.reviewer.go_on.add_permits(2);
    assert_eq!(first.await.expect("ends").expect("answers").0, 200);
    assert_eq!(second.await.expect("ends").expect("answers").0, 200);
    assert_eq!(client.review("{}").await.expect("answers").0, 200);
    let rejected = "ringfence_http_requests_rejected_total{reason=\"overloaded\"}";
    assert_eq!(running.metric(rejected).await, "2");
}

#[tokio::test]
async fn a_connection_that_closes_gives_its_place_back() {
    let running = start().await;
    for _ in 0..20 {
        running.is_well().await;
    }
    running
        .until_metric("ringfence_connections{listener=\"reviews\"}", "0")
        .await;
}
