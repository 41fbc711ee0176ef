//! Questions to answers: the [`Answerer`]s (live: the API server behind a cache; offline: manifests) and the engine that
//! drives a decision with one.

mod by_webhook;
pub mod offline;

use std::future::Future;
use std::time::Instant;

use ringfence_core::model::{Answer, Asked, Identity, Question};

pub use by_webhook::ByWebhook;

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
