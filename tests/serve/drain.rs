//! Draining: no longer ready at once, then no new connections, and what is in flight is finished.

use std::time::Duration;

use ringfence::serve::{Drain, Options};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::running::{LONG, Running, options, start, start_with};

async fn until_nobody_listens(running: &Running) {
    let closed = async { while TcpStream::connect(running.address).await.is_ok() {} };
    timeout(LONG, closed).await.expect("stops listening");
}

#[tokio::test]
async fn what_is_in_flight_is_finished() {
    let mut running = start().await;
    let mut http1 = running.http1().await;
    let over_http1 = tokio::spawn(async move {
        let answer = http1.review("wait").await;
        (answer, http1)
    });
    running.reviewer.waiting.notified().await;
    let http2 = running.http2().await;
    let over_http2 = tokio::spawn(http2.review("wait"));
    running.reviewer.waiting.notified().await;
    let mut idle = running.http1().await;
    assert_eq!(idle.review("{}").await.0, 200);

    running.shut_down();
    until_nobody_listens(&running).await;
    timeout(LONG, idle.ended)
        .await
        .expect("idle ones close")
        .expect("ends")
        .expect("well");
    let (status, text) = running.ask_health("/readyz").await;
    assert_eq!((status, text.as_str()), (503, "not ready\nrunning: shutting down\n"));
    assert!(!running.ended.is_finished());

    running.reviewer.go_on.add_permits(2);
    let ((status, _), http1) = over_http1.await.expect("ends");
    assert_eq!(status, 200);
    assert_eq!(over_http2.await.expect("ends").expect("answers").0, 200);
    timeout(LONG, http1.ended)
        .await
        .expect("closes")
        .expect("ends")
        .expect("well");
    timeout(LONG, http2.ended)
        .await
        .expect("closes")
        .expect("ends")
        .expect("well");
    timeout(LONG, running.ended).await.expect("ends").expect("well");
}

#[tokio::test]
async fn during_the_grace_reviews_go_on_but_we_are_not_ready() {
    let mut running = start_with(Options {
        drain: Drain {
            grace: Duration::from_secs(3600),
            deadline: LONG,
        },
        ..options()
    })
    .await;
    let mut client = running.http1().await;
    assert_eq!(running.ask_health("/readyz").await.0, 200);
    running.shut_down();
    let unready = async { while running.ask_health("/readyz").await.0 == 200 {} };
    timeout(LONG, unready).await.expect("is no longer ready");
    assert_eq!(client.review("{}").await.0, 200);
    running.is_well().await;
    running.ended.abort();
}

#[tokio::test]
async fn what_does_not_finish_is_dropped_at_the_deadline() {
    let mut running = start_with(Options {
        drain: Drain {
            grace: Duration::ZERO,
            deadline: Duration::from_millis(100),
        },
        ..options()
    })
    .await;
    let mut http1 = running.http1().await;
    let over_http1 = tokio::spawn(async move { http1.try_review("wait").await });
    running.reviewer.waiting.notified().await;
    let http2 = running.http2().await;
    let over_http2 = tokio::spawn(http2.review("wait"));
    running.reviewer.waiting.notified().await;
    running.shut_down();
    timeout(LONG, running.ended).await.expect("ends").expect("well");
    over_http1.await.expect("ends").expect_err("was dropped");
    over_http2.await.expect("ends").expect_err("was dropped");
}

#[tokio::test]
async fn dropping_the_server_ends_its_connections() {
    let running = start().await;
    let client = running.http1().await;
    running.ended.abort();
    // Its end is an error or not, depending on how far TLS came.
    let _ = timeout(LONG, client.ended).await.expect("ends");
    until_nobody_listens(&running).await;
}
