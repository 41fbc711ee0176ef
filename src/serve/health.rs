//! The routes of the health listener: `/healthz` (we run), `/readyz` (we may be sent reviews, or what is missing),
//! `/metrics` (OpenMetrics text).

use std::fmt::Write;
use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use http::{StatusCode, header};
use prometheus_client::encoding::text::encode;
use prometheus_client::registry::Registry;

use super::Readiness;

/// The routes of the health listener.
pub(super) fn router(readiness: Readiness, registry: Arc<Registry>) -> Router {
    Router::new()
        .route("/healthz", get(async || "ok\n"))
        .route("/readyz", get(ready).with_state(readiness))
        .route("/metrics", get(metrics).with_state(registry))
}

async fn ready(State(readiness): State<Readiness>) -> Response {
    let missing = readiness.missing();
    if missing.is_empty() {
        return "ok\n".into_response();
    }
    let mut text = String::from("not ready\n");
    for missing in missing {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{missing}");
    }
    (StatusCode::SERVICE_UNAVAILABLE, text).into_response()
}

async fn metrics(State(registry): State<Arc<Registry>>) -> Response {
    const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    let mut text = String::new();
    match encode(&mut text, &registry) {
        Ok(()) => ([(header::CONTENT_TYPE, OPEN_METRICS)], text).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, format!("metrics: {error}\n")).into_response(),
    }
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use http::Request;
    use http_body_util::BodyExt;
    use tower::ServiceExt;

    use super::*;

    async fn ask(router: &Router, path: &str) -> (StatusCode, String, String) {
        let request = Request::get(path).body(Body::empty()).expect("a request");
        let response = router.clone().oneshot(request).await.expect("answers");
        let kind = response.headers().get(header::CONTENT_TYPE);
        let kind = kind.map_or("", |kind| kind.to_str().expect("text")).to_owned();
        let status = response.status();
        let body = response.into_body().collect().await.expect("reads").to_bytes();
        (status, kind, String::from_utf8(body.to_vec()).expect("text"))
    }

    #[tokio::test]
    async fn ready_says_what_is_missing_and_alive_does_not_care() {
        let readiness = Readiness::new();
        let (configuration, watches) = (readiness.condition("configuration"), readiness.condition("watches"));
        let router = router(readiness.clone(), Arc::default());
        configuration.missing("no ConfigMap ringfence-guardrails");
        watches.met();
        let (status, _, text) = ask(&router, "/readyz").await;
        assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(text, "not ready\nconfiguration: no ConfigMap ringfence-guardrails\n");
        assert_eq!(ask(&router, "/healthz").await.0, StatusCode::OK);
        configuration.met();
        assert_eq!(ask(&router, "/readyz").await.0, StatusCode::OK);
        readiness.drain();
        assert_eq!(ask(&router, "/readyz").await.0, StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(ask(&router, "/healthz").await.0, StatusCode::OK);
    }

    #[tokio::test]
    async fn metrics_are_open_metrics_text() {
        let mut registry = Registry::default();
        crate::serve::Metrics::register(&mut registry);
        let router = router(Readiness::new(), Arc::new(registry));
        let (status, kind, text) = ask(&router, "/metrics").await;
        assert_eq!(status, StatusCode::OK);
        assert!(
            kind.starts_with("application/openmetrics-text; version=1.0.0"),
            "{kind}"
        );
        assert!(
            text.contains("ringfence_http_requests_total{webhook=\"workloads\",code=\"200\"} 0\n"),
            "{text}"
        );
        assert!(text.ends_with("# EOF\n"), "{text}");
    }

    #[tokio::test]
    async fn there_is_nothing_else() {
        let router = router(Readiness::new(), Arc::default());
        assert_eq!(ask(&router, "/").await.0, StatusCode::NOT_FOUND);
    }
}
