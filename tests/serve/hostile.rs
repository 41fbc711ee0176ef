//! What hostile or broken clients send. Each time: they get what is due to them, and the next client is answered.

use std::time::Duration;

use bytes::Bytes;
use http::Request;
use http_body_util::Full;
use ringfence::serve::Limits;
use rstest::rstest;
use tokio::io::AsyncWriteExt;

use crate::client::{exchange, until_closed};
use crate::running::{start, start_limited};

const MIB: usize = 1024 * 1024;

/// Short enough that a test need not wait for long, long enough for the next client on a busy machine.
const SHORT: Duration = Duration::from_secs(1);

#[rstest]
#[case::plain_http(b"POST / HTTP/1.1\r\nhost: x\r\n\r\n".to_vec())]
#[case::zeros(vec![0; 100_000])]
#[case::noise((0..100_000_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect())]
#[case::half_a_hello(vec![0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3, 0xff])]
#[tokio::test]
async fn garbage_instead_of_tls_is_cut_off(#[case] garbage: Vec<u8>) {
    let running = start_limited(Limits {
        handshake: SHORT,
        ..Limits::default()
    })
    .await;
    let mut stream = running.tcp().await;
    // The server may cut it off before all of it is sent.
    let _ = stream.write_all(&garbage).await;
    until_closed(&mut stream).await;
    running.is_well().await;
}

#[tokio::test]
async fn a_client_that_says_nothing_is_closed() {
    let running = start_limited(Limits {
        handshake: SHORT,
        ..Limits::default()
    })
    .await;
    until_closed(&mut running.tcp().await).await;
    let failures = "ringfence_tls_handshake_failures_total{reason=\"timed_out\"}";
    assert_eq!(running.metric(failures).await, "1");
    running.is_well().await;
}

#[rstest]
#[case::nothing("")]
#[case::half_a_line("POST /")]
#[case::no_end_of_headers("POST / HTTP/1.1\r\nhost: x\r\n")]
#[tokio::test]
async fn headers_that_do_not_end_are_cut_off(#[case] sent: &str) {
    let running = start_limited(Limits {
        first_request: SHORT,
        ..Limits::default()
    })
    .await;
    assert_eq!(exchange(&mut running.tls().await, sent.as_bytes()).await, "");
    let closed = "ringfence_connections_closed_total{listener=\"reviews\",reason=\"unproven\"}";
    assert_eq!(running.metric(closed).await, "1");
    running.is_well().await;
}

#[rstest]
#[case::one_header(1, 100_000)]
#[case::many_headers(1000, 100)]
#[case::a_megabyte(1, MIB)]
#[tokio::test]
async fn huge_headers_are_a_431(#[case] count: usize, #[case] size: usize) {
    let running = start().await;
    let headers = format!("x-huge: {}\r\n", "x".repeat(size)).repeat(count);
    let answer = exchange(&mut running.tls().await, running.head(&headers).as_bytes()).await;
    // Closed with unread bytes: the answer may be lost on its way.
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 431 "), "{answer}");
    running.is_well().await;
}

#[tokio::test]
async fn huge_headers_are_refused_over_http2() {
    let running = start().await;
    let client = running.http2().await;
    let mut send = client.sender();
    let request = Request::post(format!("https://x{}", running.path()))
        .header("x-huge", "x".repeat(200_000))
        .body(Full::<Bytes>::default())
        .expect("a request");
    if let Ok(response) = send.send_request(request).await {
        assert_eq!(response.status(), 431);
    }
    running.is_well().await;
}

#[rstest]
#[case::nonsense("nonsense\r\n\r\n")]
#[case::no_version("POST /\r\n\r\n")]
#[case::negative_length("content-length: -1\r\n\r\n")]
#[case::two_lengths("content-length: 5\r\ncontent-length: 6\r\n\r\n")]
#[case::broken_chunk("transfer-encoding: chunked\r\n\r\nzz\r\n")]
#[case::endless_chunk_size("transfer-encoding: chunked\r\n\r\nffffffffffffffffffff\r\n")]
#[case::http2_by_force("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")]
#[tokio::test]
async fn broken_http_is_a_400_or_the_end(#[case] sent: &str) {
    let running = start().await;
    let sent = if sent.contains(':') {
        let head = running.head("");
        format!("{}\r\n{sent}", head.trim_end())
    } else {
        sent.to_owned()
    };
    let answer = exchange(&mut running.tls().await, sent.as_bytes()).await;
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 400 "), "{answer}");
    running.is_well().await;
}

#[tokio::test]
async fn a_body_that_breaks_off_is_nobodys_review() {
    let running = start().await;
    let mut stream = running.tls().await;
    let sent = running.head("content-length: 100\r\n") + "{\"kind\":";
    stream.write_all(sent.as_bytes()).await.expect("writes");
    // Half closed: we say goodbye and go on listening.
    stream.shutdown().await.expect("half closes");
    let answer = until_closed(&mut stream).await;
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 400 "), "{answer}");
    running.until_metric("ringfence_http_requests_in_flight", "0").await;
    running.is_well().await;
}

#[tokio::test]
async fn a_client_that_vanishes_while_its_review_goes_on_frees_its_place() {
    let running = start_limited(Limits {
        reviews: 1,
        ..Limits::default()
    })
    .await;
    let mut stream = running.tls().await;
    let sent = running.head("content-length: 4\r\n") + "wait";
    stream.write_all(sent.as_bytes()).await.expect("writes");
    running.reviewer.waiting.notified().await;
    drop(stream);
    running.until_metric("ringfence_http_requests_in_flight", "0").await;
    running.is_well().await;
}

#[tokio::test]
async fn a_body_that_trickles_in_is_a_408() {
    let running = start_limited(Limits {
        body: SHORT,
        ..Limits::default()
    })
    .await;
    let sent = running.head("content-length: 100\r\n") + "{";
    let answer = exchange(&mut running.tls().await, sent.as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
    running.is_well().await;
}

#[tokio::test]
async fn eight_megabytes_are_reviewed_and_a_byte_more_is_a_413() {
    let running = start().await;
    let mut client = running.http1().await;
    assert_eq!(client.review(vec![b'x'; 8 * MIB]).await, (200, (8 * MIB).to_string()));
    assert_eq!(client.review(vec![b'x'; 8 * MIB + 1]).await.0, 413);
    let over_http2 = running.http2().await;
    let answer = over_http2.review(vec![b'x'; 8 * MIB]).await.expect("answers");
    assert_eq!(answer, (200, (8 * MIB).to_string()));
    assert_eq!(
        over_http2.review(vec![b'x'; 8 * MIB + 1]).await.expect("answers").0,
        413
    );
    running.is_well().await;
}

#[tokio::test]
async fn a_huge_body_of_unsaid_length_is_a_413() {
    let running = start().await;
    let chunk = format!("{:x}\r\n{}\r\n", MIB, "x".repeat(MIB));
    let sent = running.head("transfer-encoding: chunked\r\nconnection: close\r\n") + &chunk.repeat(9) + "0\r\n\r\n";
    let answer = exchange(&mut running.tls().await, sent.as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
    running.is_well().await;
}

#[tokio::test]
async fn large_bodies_at_once_share_one_amount_of_memory() {
    let running = start_limited(Limits {
        all_bodies_bytes: 8 * MIB,
        ..Limits::default()
    })
    .await;
    let mut holder = running.tls().await;
    let held = running.head(&format!("content-length: {}\r\n", 6 * MIB)) + "wait" + &"x".repeat(6 * MIB - 4);
    holder.write_all(held.as_bytes()).await.expect("writes");
    running.reviewer.waiting.notified().await;
    let mut client = running.http1().await;
    assert_eq!(client.review(vec![b'x'; MIB]).await.0, 200);
    assert_eq!(client.review(vec![b'x'; 3 * MIB]).await.0, 503);
    running.reviewer.go_on.add_permits(1);
    running.until_metric("ringfence_http_requests_in_flight", "0").await;
    assert_eq!(running.http1().await.review(vec![b'x'; 3 * MIB]).await.0, 200);
}

#[tokio::test]
async fn streams_that_are_opened_and_reset_in_a_row_end_with_their_connection() {
    let running = start().await;
    let client = running.http2().await;
    let mut send = client.sender();
    for _ in 0..2000 {
        if send.ready().await.is_err() {
            break;
        }
        let request = Request::post(format!("https://x{}", running.path()))
            .header("content-type", "application/json")
            .body(Full::new(Bytes::from_static(b"wait")))
            .expect("a request");
        // Dropped as soon as it is on its way: a reset.
        let _ = tokio::time::timeout(Duration::ZERO, send.send_request(request)).await;
    }
    running.until_metric("ringfence_http_requests_in_flight", "0").await;
    running.is_well().await;
}

#[tokio::test]
async fn whoever_does_not_know_the_token_is_sent_away() {
    let running = start().await;
    let sent = "POST /AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA/workloads HTTP/1.1\r\nhost: x\r\n\r\n";
    let answer = exchange(&mut running.tls().await, sent.as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 404 "), "{answer}");
    assert!(answer.contains("connection: close"), "{answer}");
    running.is_well().await;
}
