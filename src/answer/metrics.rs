//! [`Metrics`]: what was asked of the API server, and how it went.

use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

use super::calls::{CallError, Reviewed};
use super::shared::Sharing;

/// Seconds: a review takes about a millisecond, and never more than a call may.
const SECONDS: [f64; 10] = [0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.1, 0.25, 1.0, 4.0];

/// Where an answer about a permission came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Source {
    /// It was asked seconds ago.
    Kept,
    /// Another review was just asking it.
    Joined,
    /// It was asked.
    Asked,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ResultLabel {
    result: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ReadLabels {
    kind: &'static str,
    result: &'static str,
    shared: bool,
}

/// The metrics of answers.
#[derive(Debug, Clone)]
pub struct Metrics {
    reviews: Family<ResultLabel, Counter>,
    seconds: Histogram,
    cache: Family<ResultLabel, Counter>,
    reads: Family<ReadLabels, Counter>,
}

impl Metrics {
    /// Registers them under their full names (`ringfence_...`): the registry has no prefix.
    pub fn register(registry: &mut Registry) -> Self {
        let metrics = Self {
            reviews: Family::default(),
            seconds: Histogram::new(SECONDS),
            cache: Family::default(),
            reads: Family::default(),
        };
        registry.register(
            "ringfence_subject_access_reviews",
            "SubjectAccessReviews made, by result: allowed, refused, failed",
            metrics.reviews.clone(),
        );
        registry.register(
            "ringfence_subject_access_review_duration_seconds",
            "Time that a SubjectAccessReview took",
            metrics.seconds.clone(),
        );
        registry.register(
            "ringfence_permission_lookups",
            "Questions for a permission, by how they were answered: kept (from the cache), joined (with another's \
             SubjectAccessReview), asked",
            metrics.cache.clone(),
        );
        registry.register(
            "ringfence_live_reads",
            "Live reads that reviews waited for, by kind, result (found, absent, failed), and whether the read was shared \
             with another review's",
            metrics.reads.clone(),
        );
        metrics
    }

    pub(super) fn reviewed(&self, result: &Result<Reviewed, CallError>, took: Duration) {
        let result = match result {
            Ok(Reviewed::Allowed) => "allowed",
            Ok(Reviewed::Refused | Reviewed::RefusedForNow) => "refused",
            Err(_) => "failed",
        };
        self.reviews.get_or_create(&ResultLabel { result }).inc();
        self.seconds.observe(took.as_secs_f64());
    }

    pub(super) fn looked_up(&self, source: Source) {
        let result = match source {
            Source::Kept => "kept",
            Source::Joined => "joined",
            Source::Asked => "asked",
        };
        self.cache.get_or_create(&ResultLabel { result }).inc();
    }

    pub(super) fn read<T>(&self, kind: &'static str, read: &Result<Option<T>, CallError>, sharing: Sharing) {
        let result = match read {
            Ok(Some(_)) => "found",
            Ok(None) => "absent",
            Err(_) => "failed",
        };
        self.count(kind, result, sharing);
    }

    pub(super) fn listed<T>(&self, kind: &'static str, list: &Result<Vec<T>, CallError>, sharing: Sharing) {
        let result = match list {
            Ok(found) if found.is_empty() => "absent",
            Ok(_) => "found",
            Err(_) => "failed",
        };
        self.count(kind, result, sharing);
    }

    fn count(&self, kind: &'static str, result: &'static str, sharing: Sharing) {
        let shared = sharing == Sharing::Joined;
        self.reads.get_or_create(&ReadLabels { kind, result, shared }).inc();
    }
}
