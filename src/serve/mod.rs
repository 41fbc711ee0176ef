//! HTTPS: TLS with reload, the router, limits, health, drain. Takes bodies off the wire, hands them to a [`Reviewer`] and
//! puts its [`Reply`] on the wire; knows nothing of rules.
//!
//! A connection goes from [`accept`] (the loop that no error ends) through [`connections`] (a place among a bounded
//! number) to [`connection`] (handshake, protocol, when it has to leave); each of its requests through [`router`] (who is
//! answered at all) and [`body`] to the reviewer. [`server`] owns all of it.

mod accept;
mod body;
mod connection;
mod connections;
mod health;
mod metrics;
mod open_files;
mod options;
mod readiness;
mod refusal;
mod router;
mod server;
mod shutdown;
mod tls;
mod token;

use std::future::Future;
use std::sync::Arc;

use bytes::Bytes;
use ringfence_core::review::Webhook;

pub use metrics::Metrics;
pub use options::{Drain, Limits, Options};
pub use readiness::{Condition, Missing, Readiness};
pub use server::{Parts, ServeError, Server};
pub use shutdown::told_to_end;
pub use tls::TlsError;
pub use token::{PathToken, PathTokens, WeakToken};

/// Whoever decides reviews: the engine, or in benchmarks a floor that allows everything.
pub trait Reviewer: Send + Sync + 'static {
    /// Reviews one body (the JSON of an AdmissionReview) that came in by this webhook. Always answers; never panics.
    fn review(&self, webhook: Webhook, body: Bytes) -> impl Future<Output = Reply> + Send;
}

impl<R: Reviewer> Reviewer for Arc<R> {
    fn review(&self, webhook: Webhook, body: Bytes) -> impl Future<Output = Reply> + Send {
        R::review(self, webhook, body)
    }
}

/// What goes back on the wire.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    /// HTTP 200 with this AdmissionReview as JSON.
    Review(Bytes),
    /// HTTP 400 with this text: not even the uid could be found.
    Malformed(String),
}
