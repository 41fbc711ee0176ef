//! Questions to answers: the [`Answerer`]s (live: the API server behind a cache; offline: manifests) and the engine that
//! drives a decision with one.

mod by_webhook;
mod calls;
mod engine;
mod gating;
mod live;
mod metrics;
pub mod offline;
mod paging;
mod permissions;
mod policies;
mod reached;
mod running;
mod shared;

use std::future::Future;
use std::time::{Duration, Instant};

use ringfence_core::model::{Answer, Asked, Identity, Mode, Question};

pub use by_webhook::ByWebhook;
pub(crate) use calls::{CallError, Calls, collection};
pub use engine::Engine;
pub use live::Live;
pub use metrics::Metrics;
pub(crate) use shared::{Freshness, SharedReads};

/// How long after it was received a review may wait for all its answers together, where this is the strongest mode that
/// hangs on them: what can only be recorded or said delays nobody by more than 250 ms, what may be denied ends before
/// the API server's patience of 5 s does.
pub fn patience(mode: Mode) -> Duration {
    match mode {
        Mode::Audit | Mode::Warn => Duration::from_millis(250),
        Mode::Enforce => Duration::from_secs(4),
    }
}

/// When the patience with a review is at its end.
fn deadline(received: Instant, mode: Mode) -> tokio::time::Instant {
    tokio::time::Instant::from_std(received) + patience(mode)
}

/// Whoever answers the core's questions.
pub trait Answerer: Send + Sync + 'static {
    /// Answers every question of one step, in parallel, each within the time its mode allows (counted from when the
    /// review was received); what cannot be answered in time is [`Answer::Failed`]. A read of a namespace or an owner
    /// must have begun after `received`.
    fn answer(
        &self,
        identity: &Identity<'_>,
        asked: Vec<Asked>,
        received: Instant,
    ) -> impl Future<Output = Vec<(Question, Answer)>> + Send;
}

#[cfg(test)]
mod tests;
