//! HTTPS: TLS with reload, the router, limits, health, drain. Takes bodies off the wire, hands them to a [`Reviewer`] and
//! puts its [`Reply`] on the wire; knows nothing of rules.

mod readiness;

use std::future::Future;

use bytes::Bytes;
use ringfence_core::review::Webhook;

pub use readiness::{Condition, Missing, Readiness};

/// Whoever decides reviews: the engine, or in benchmarks a floor that allows everything.
pub trait Reviewer: Send + Sync + 'static {
    /// Reviews one body (the JSON of an AdmissionReview) that came in by this webhook. Always answers; never panics.
    fn review(&self, webhook: Webhook, body: Bytes) -> impl Future<Output = Reply> + Send;
}

/// What goes back on the wire.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    /// HTTP 200 with this AdmissionReview as JSON.
    Review(Bytes),
    /// HTTP 400 with this text: not even the uid could be found.
    Malformed(String),
}
