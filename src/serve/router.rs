//! [`router`]: one request to one answer. A POST to `/TOKEN/WEBHOOK` with JSON becomes a review; everything else is
//! refused, and whoever does not know a token learns nothing.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures::FutureExt;
use http::{HeaderMap, HeaderValue, Method, header};
use ringfence_core::review::Webhook;
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout};

use super::body::Bodies;
use super::connections::Link;
use super::refusal::Refusal;
use super::{Limits, Metrics, PathTokens, Reply, Reviewer};

/// The routes of the review listener.
pub(super) fn router<R: Reviewer>(reviewer: R, tokens: PathTokens, limits: &Limits, metrics: Metrics) -> Router {
    let desk = Desk {
        reviewer,
        tokens,
        bodies: Bodies::new(limits.body_bytes, limits.all_bodies_bytes, limits.body),
        places: Semaphore::new(limits.reviews.min(Semaphore::MAX_PERMITS)),
        time: limits.review,
        metrics,
    };
    // One handler for every path and method: a 405 would tell that the path is one of ours.
    Router::new().fallback(answer::<R>).with_state(Arc::new(desk))
}

/// Where requests are answered.
struct Desk<R> {
    reviewer: R,
    tokens: PathTokens,
    bodies: Bodies,
    places: Semaphore,
    time: Duration,
    metrics: Metrics,
}

async fn answer<R: Reviewer>(State(desk): State<Arc<Desk<R>>>, request: Request) -> Response {
    let Some(webhook) = desk.addressee(&request) else {
        desk.metrics.rejected(Refusal::NotFound.reason());
        return Refusal::NotFound.into_response();
    };
    if let Some(link) = request.extensions().get::<Arc<Link>>() {
        link.prove();
    }
    let start = Instant::now();
    let _in_flight = InFlight::begin(&desk.metrics);
    let response = match desk.review(webhook, request).await {
        Ok(review) => json(review),
        Err(refusal) => {
            desk.metrics.rejected(refusal.reason());
            refusal.into_response()
        }
    };
    let code = response.status().as_u16();
    desk.metrics.answered(webhook, code, start.elapsed().as_secs_f64());
    response
}

impl<R: Reviewer> Desk<R> {
    /// The webhook that a request is addressed to, with the token and the method that are right.
    fn addressee(&self, request: &Request) -> Option<Webhook> {
        let (token, webhook) = request.uri().path().strip_prefix('/')?.split_once('/')?;
        let known = self.tokens.holds(token);
        let webhook = Webhook::from_path(webhook)?;
        (known && request.method() == Method::POST).then_some(webhook)
    }

    async fn review(&self, webhook: Webhook, request: Request) -> Result<Bytes, Refusal> {
        if !is_json(request.headers()) {
            return Err(Refusal::NotJson);
        }
        let _place = self.places.try_acquire().map_err(|_| Refusal::Overloaded)?;
        let body = self.bodies.read(request.into_body()).await?;
        let review = AssertUnwindSafe(self.reviewer.review(webhook, body.bytes.clone())).catch_unwind();
        match timeout(self.time, review).await {
            Ok(Ok(Reply::Review(review))) => Ok(review),
            Ok(Ok(Reply::Malformed(text))) => Err(Refusal::Malformed(text)),
            Ok(Err(_)) => {
                tracing::error!(webhook = webhook.name(), "a review panicked");
                Err(Refusal::Panicked)
            }
            Err(_) => {
                tracing::error!(webhook = webhook.name(), "a review did not end in time");
                Err(Refusal::TimedOut)
            }
        }
    }
}

/// Counts a request for as long as it is answered, also when its client goes away meanwhile.
struct InFlight<'a>(&'a Metrics);

impl<'a> InFlight<'a> {
    fn begin(metrics: &'a Metrics) -> Self {
        metrics.in_flight.inc();
        Self(metrics)
    }
}

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        self.0.in_flight.dec();
    }
}

/// Whether the body is said to be JSON: `application/json`, whatever its parameters.
fn is_json(headers: &HeaderMap) -> bool {
    let content_type = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    content_type.is_some_and(|value| {
        let essence = value.split(';').next().unwrap_or_default();
        essence.trim().eq_ignore_ascii_case("application/json")
    })
}

fn json(review: Bytes) -> Response {
    let mut response = Response::new(Body::from(review));
    let json = HeaderValue::from_static("application/json");
    response.headers_mut().insert(header::CONTENT_TYPE, json);
    response
}

#[cfg(test)]
mod tests {
    use std::future::pending;
    use std::sync::Arc;

    use http::{Request, StatusCode};
    use http_body_util::BodyExt;
    use prometheus_client::encoding::text::encode;
    use prometheus_client::registry::Registry;
    use rstest::rstest;
    use tokio::sync::Notify;
    use tower::ServiceExt;

    use super::*;
    use crate::serve::PathToken;

    /// Does as the body says: `panic`, `hang`, `wait` until told to go on, `malformed`, else echoes.
    #[derive(Default)]
    struct Obedient {
        waiting: Notify,
        go_on: Notify,
    }

    impl Reviewer for Obedient {
        async fn review(&self, webhook: Webhook, body: Bytes) -> Reply {
            match &body[..] {
                b"panic" => panic!("told to"),
                b"hang" => pending().await,
                b"wait" => {
                    self.waiting.notify_one();
                    self.go_on.notified().await;
                }
                b"malformed" => return Reply::Malformed("no uid".to_owned()),
                _ => (),
            }
            Reply::Review(format!("{}:{}", webhook.path(), String::from_utf8_lossy(&body)).into())
        }
    }

    struct Served {
        router: Router,
        token: PathToken,
        reviewer: Arc<Obedient>,
        registry: Registry,
    }

    impl Served {
        fn new() -> Self {
            Self::with(&Limits::default())
        }

        fn with(limits: &Limits) -> Self {
            let mut registry = Registry::default();
            let (tokens, token) = (PathTokens::new(), PathToken::generate());
            tokens.replace([token.clone()]);
            let reviewer = Arc::new(Obedient::default());
            let metrics = Metrics::register(&mut registry);
            Self {
                router: router(Arc::clone(&reviewer), tokens, limits, metrics),
                token,
                reviewer,
                registry,
            }
        }

        fn post(&self, webhook: &str, body: &'static str) -> Request<Body> {
            Request::post(format!("/{}/{webhook}", self.token.as_str()))
                .header(header::CONTENT_TYPE, "application/json")
                .body(Body::from(body))
                .expect("a request")
        }

        async fn answer(&self, request: Request<Body>) -> (StatusCode, String) {
            let response = self.router.clone().oneshot(request).await.expect("answers");
            let status = response.status();
            let body = response.into_body().collect().await.expect("reads").to_bytes();
            (status, String::from_utf8(body.to_vec()).expect("text"))
        }

        fn metric(&self, name: &str) -> Option<String> {
            let mut text = String::new();
            encode(&mut text, &self.registry).expect("encodes");
            let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
            value.map(str::to_owned)
        }

        fn rejected(&self, reason: &str) -> Option<String> {
            self.metric(&format!(
                "ringfence_http_requests_rejected_total{{reason=\"{reason}\"}}"
            ))
        }
    }

    #[tokio::test]
    async fn every_webhook_reaches_the_reviewer_and_json_comes_back() {
        let served = Served::new();
        for webhook in Webhook::ALL {
            let request = served.post(webhook.path(), "{}");
            let response = served.router.clone().oneshot(request).await.expect("answers");
            assert_eq!(response.status(), StatusCode::OK);
            assert_eq!(response.headers()[header::CONTENT_TYPE], "application/json");
            let body = response.into_body().collect().await.expect("reads").to_bytes();
            assert_eq!(body, format!("{}:{{}}", webhook.path()));
            let counted = format!(
                "ringfence_http_requests_total{{webhook=\"{}\",code=\"200\"}}",
                webhook.path()
            );
            assert_eq!(served.metric(&counted).as_deref(), Some("1"));
            let duration = format!(
                "ringfence_http_request_duration_seconds_count{{webhook=\"{}\"}}",
                webhook.path()
            );
            assert_eq!(served.metric(&duration).as_deref(), Some("1"));
        }
    }

    #[rstest]
    #[case::no_token("POST", "/workloads")]
    #[case::wrong_token("POST", "/AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA/workloads")]
    #[case::empty_token("POST", "//workloads")]
    #[case::root("POST", "/")]
    #[case::no_such_webhook("POST", "/TOKEN/nothing")]
    #[case::below_a_webhook("POST", "/TOKEN/workloads/")]
    #[case::only_the_token("POST", "/TOKEN")]
    #[case::another_method("GET", "/TOKEN/workloads")]
    #[case::health_is_elsewhere("GET", "/healthz")]
    #[case::encoded("POST", "/TOKEN%2Fworkloads")]
    #[tokio::test]
    async fn every_other_path_is_the_same_404(#[case] method: &str, #[case] path: &str) {
        let served = Served::new();
        let mut request = served.post("workloads", "{}");
        *request.method_mut() = method.parse().expect("a method");
        *request.uri_mut() = path.replace("TOKEN", served.token.as_str()).parse().expect("a path");
        let answer = served.answer(request).await;
        assert_eq!(answer, (StatusCode::NOT_FOUND, "not found\n".to_owned()));
        assert_eq!(served.rejected("not_found").as_deref(), Some("1"));
    }

    #[rstest]
    #[case(Some("application/json"), StatusCode::OK)]
    #[case(Some("Application/JSON; charset=utf-8"), StatusCode::OK)]
    #[case(Some("application/json-patch+json"), StatusCode::UNSUPPORTED_MEDIA_TYPE)]
    #[case(Some("application/yaml"), StatusCode::UNSUPPORTED_MEDIA_TYPE)]
    #[case(Some(""), StatusCode::UNSUPPORTED_MEDIA_TYPE)]
    #[case(None, StatusCode::UNSUPPORTED_MEDIA_TYPE)]
    #[tokio::test]
    async fn only_json_is_reviewed(#[case] content_type: Option<&'static str>, #[case] expected: StatusCode) {
        let served = Served::new();
        let mut request = served.post("workloads", "{}");
        request.headers_mut().remove(header::CONTENT_TYPE);
        if let Some(content_type) = content_type {
            let value = HeaderValue::from_static(content_type);
            request.headers_mut().insert(header::CONTENT_TYPE, value);
        }
        assert_eq!(served.answer(request).await.0, expected);
    }

    #[tokio::test]
    async fn what_has_no_uid_is_a_400_with_its_reason() {
        let served = Served::new();
        let answer = served.answer(served.post("open", "malformed")).await;
        assert_eq!(answer, (StatusCode::BAD_REQUEST, "no uid\n".to_owned()));
        assert_eq!(served.rejected("malformed").as_deref(), Some("1"));
    }

    #[tokio::test]
    async fn a_panic_is_a_500_and_the_next_review_is_answered() {
        let served = Served::new();
        let (status, text) = served.answer(served.post("workloads", "panic")).await;
        assert_eq!(status, StatusCode::INTERNAL_SERVER_ERROR, "{text}");
        assert!(!text.contains("told to"), "{text}");
        assert_eq!(served.answer(served.post("workloads", "{}")).await.0, StatusCode::OK);
        assert_eq!(served.rejected("panicked").as_deref(), Some("1"));
        assert_eq!(served.metric("ringfence_http_requests_in_flight").as_deref(), Some("0"));
    }

    #[tokio::test(start_paused = true)]
    async fn a_review_that_hangs_gives_its_place_back() {
        let limits = Limits {
            reviews: 1,
            ..Limits::default()
        };
        let served = Served::with(&limits);
        assert_eq!(
            served.answer(served.post("workloads", "hang")).await.0,
            StatusCode::GATEWAY_TIMEOUT
        );
        assert_eq!(served.answer(served.post("workloads", "{}")).await.0, StatusCode::OK);
    }

    #[tokio::test]
    async fn over_the_limit_is_a_503_at_once_and_the_others_go_on() {
        let limits = Limits {
            reviews: 2,
            ..Limits::default()
        };
        let served = Served::with(&limits);
        let begin = || {
            let answering = served.router.clone().oneshot(served.post("workloads", "wait"));
            tokio::spawn(async { answering.await.expect("answers").status() })
        };
        let first = begin();
        served.reviewer.waiting.notified().await;
        let second = begin();
        served.reviewer.waiting.notified().await;

        let response = served.router.clone().oneshot(served.post("workloads", "{}"));
        let response = response.await.expect("answers");
        assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(response.headers()[header::RETRY_AFTER], "1");
        assert_eq!(served.rejected("overloaded").as_deref(), Some("1"));
        assert_eq!(served.metric("ringfence_http_requests_in_flight").as_deref(), Some("2"));

        served.reviewer.go_on.notify_waiters();
        assert_eq!(first.await.expect("ends"), StatusCode::OK);
        assert_eq!(second.await.expect("ends"), StatusCode::OK);
        assert_eq!(served.answer(served.post("workloads", "{}")).await.0, StatusCode::OK);
    }

    #[tokio::test]
    async fn a_client_that_goes_away_gives_its_place_back() {
        let limits = Limits {
            reviews: 1,
            ..Limits::default()
        };
        let served = Served::with(&limits);
        let answering = tokio::spawn(served.router.clone().oneshot(served.post("workloads", "wait")));
        served.reviewer.waiting.notified().await;
        answering.abort();
        assert!(answering.await.expect_err("is cancelled").is_cancelled());
        assert_eq!(served.metric("ringfence_http_requests_in_flight").as_deref(), Some("0"));
        assert_eq!(served.answer(served.post("workloads", "{}")).await.0, StatusCode::OK);
    }
}
