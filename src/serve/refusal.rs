//! [`Refusal`]: a request that is answered without a review; its code, its text, and its name in metrics.

use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};

/// Why a request is answered without a review.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Refusal {
    /// Not a path of ours, or not a POST. Which of them is not told.
    NotFound,
    /// Not `application/json`.
    NotJson,
    /// Larger than one body may be.
    TooLarge,
    /// The body did not come in time.
    Slow,
    /// The body broke off.
    Truncated,
    /// Not even a uid could be found in it.
    Malformed(String),
    /// As many reviews at once as may be.
    Overloaded,
    /// As much memory in bodies as may be.
    OutOfMemory,
    /// The review did not end in time.
    TimedOut,
    /// The review panicked.
    Panicked,
}

impl Refusal {
    /// The code, the reason in metrics, the text.
    fn parts(&self) -> (StatusCode, &'static str, &str) {
        match self {
            Self::NotFound => (StatusCode::NOT_FOUND, "not_found", "not found"),
            Self::NotJson => (
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "not_json",
                "send an AdmissionReview with content-type application/json",
            ),
            Self::TooLarge => (StatusCode::PAYLOAD_TOO_LARGE, "too_large", "the body is too large"),
            Self::Slow => (StatusCode::REQUEST_TIMEOUT, "slow", "the body did not come in time"),
            Self::Truncated => (StatusCode::BAD_REQUEST, "truncated", "the body broke off"),
            Self::Malformed(text) => (StatusCode::BAD_REQUEST, "malformed", text),
            Self::Overloaded => (
                StatusCode::SERVICE_UNAVAILABLE,
                "overloaded",
                "too many reviews at once; try again",
            ),
            Self::OutOfMemory => (
                StatusCode::SERVICE_UNAVAILABLE,
                "out_of_memory",
                "too many large reviews at once; try again",
            ),
            Self::TimedOut => (
                StatusCode::GATEWAY_TIMEOUT,
                "timed_out",
                "the review did not end in time",
            ),
            Self::Panicked => (
                StatusCode::INTERNAL_SERVER_ERROR,
                "panicked",
                "the review failed; the log of ringfence says why",
            ),
        }
    }

    pub(super) fn reason(&self) -> &'static str {
        self.parts().1
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let (status, _, text) = self.parts();
        let mut response = (status, format!("{text}\n")).into_response();
        if status == StatusCode::SERVICE_UNAVAILABLE {
            let headers = response.headers_mut();
            headers.insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
        }
        response
    }
}
