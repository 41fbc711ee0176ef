//! [`Metrics`]: what was decided, counted. Labels hold only words of a bounded set (never a user's or an object's name), and
//! the counters of reviews are looked up once: counting a plain allow costs two atomic additions and a short lock.

use std::sync::OnceLock;
use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;
use ringfence_core::model::{Finding, Operation, Request};
use ringfence_core::review::{WRITE_PATHS, Webhook, WritePath};

/// Seconds: most reviews take microseconds, those that ask the API server milliseconds.
const REVIEW_SECONDS: [f64; 14] = [
    0.000_01, 0.000_025, 0.000_05, 0.000_1, 0.000_25, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.1, 0.25, 1.0, 4.0,
];

/// What came of a review: the outcomes of a decision, and two for what could not be decided.
const VERDICTS: [&str; 7] = ["allow", "audit", "warn", "deny", "retry", INVALID, MALFORMED];
/// The verdict on a review whose uid could be found and no more.
pub(super) const INVALID: &str = "invalid";
/// The verdict on what is not even a review.
pub(super) const MALFORMED: &str = "malformed";

const OPERATIONS: [&str; 5] = ["CREATE", "UPDATE", "DELETE", "CONNECT", ""];

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ReviewLabels {
    webhook: &'static str,
    operation: &'static str,
    resource: String,
    verdict: &'static str,
    dry_run: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct WebhookLabel {
    webhook: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct FindingLabels {
    rule: &'static str,
    reason: &'static str,
    mode: &'static str,
    segment: String,
}

/// The metrics of decisions and records.
#[derive(Debug)]
pub struct Metrics {
    reviews: Family<ReviewLabels, Counter>,
    /// The counters of `reviews` by webhook, operation, write path, verdict and dry run, each found once.
    found: Box<[OnceLock<Counter>]>,
    /// By webhook, in the order of [`Webhook::ALL`].
    durations: Vec<Histogram>,
    findings: Family<FindingLabels, Counter>,
    dropped: Counter,
}

/// What a review was about, as far as it is counted.
#[derive(Debug, Clone, Copy)]
pub(super) struct Counted {
    webhook: Webhook,
    operation: usize,
    /// Position in [`WRITE_PATHS`]; its length for everything else.
    path: usize,
    dry_run: bool,
}

impl Counted {
    /// What a request is about.
    pub(super) fn of(webhook: Webhook, request: &Request<'_>) -> Self {
        let path = WRITE_PATHS.iter().position(|path| {
            path.resource == request.resource && path.group == request.group && path.subresource == request.subresource
        });
        let operation = match request.operation {
            Operation::Create => 0,
            Operation::Update => 1,
            Operation::Delete => 2,
            Operation::Connect => 3,
        };
        Self {
            webhook,
            operation,
            path: path.unwrap_or(WRITE_PATHS.len()),
            dry_run: request.dry_run,
        }
    }

    /// A review of which nothing is known but the webhook that it came in by.
    pub(super) fn unknown(webhook: Webhook) -> Self {
        Self {
            webhook,
            operation: OPERATIONS.len() - 1,
            path: WRITE_PATHS.len(),
            dry_run: false,
        }
    }

    fn webhook_position(self) -> usize {
        Webhook::ALL
            .iter()
            .position(|webhook| *webhook == self.webhook)
            .unwrap_or_default()
    }

    fn resource(self) -> String {
        WRITE_PATHS
            .get(self.path)
            .map_or_else(|| "other".to_owned(), WritePath::counted_resource)
    }
}

impl Metrics {
    /// Registers them under their full names (`ringfence_...`): the registry has no prefix.
    pub fn register(registry: &mut Registry) -> Self {
        let reviews = Family::default();
        registry.register(
            "ringfence_reviews",
            "Admission reviews by what came of them",
            reviews.clone(),
        );
        let durations = Family::<WebhookLabel, Histogram>::new_with_constructor(|| Histogram::new(REVIEW_SECONDS));
        registry.register(
            "ringfence_review_duration_seconds",
            "Time from receipt of a review to its answer",
            durations.clone(),
        );
        let findings = Family::default();
        registry.register(
            "ringfence_findings",
            "Findings by rule, reason, mode and segment",
            findings.clone(),
        );
        let dropped = Counter::default();
        registry.register(
            "ringfence_records_dropped",
            "Records that were not written because standard output was blocked or closed",
            dropped.clone(),
        );
        let combinations = Webhook::ALL.len() * OPERATIONS.len() * (WRITE_PATHS.len() + 1) * VERDICTS.len() * 2;
        Self {
            reviews,
            found: (0..combinations).map(|_| OnceLock::new()).collect(),
            durations: Webhook::ALL
                .iter()
                .map(|webhook| {
                    durations.get_or_create_owned(&WebhookLabel {
                        webhook: webhook.name(),
                    })
                })
                .collect(),
            findings,
            dropped,
        }
    }

    /// The counter of records that were lost, for whoever writes them.
    pub fn dropped(&self) -> Counter {
        self.dropped.clone()
    }

    /// Counts one review.
    pub(super) fn reviewed(&self, counted: Counted, verdict: &'static str, took: Duration) {
        let webhook = counted.webhook_position();
        let verdict_position = VERDICTS.iter().position(|known| *known == verdict).unwrap_or_default();
        let mut at = webhook * OPERATIONS.len() + counted.operation;
        at = at * (WRITE_PATHS.len() + 1) + counted.path;
        at = at * VERDICTS.len() + verdict_position;
        at = at * 2 + usize::from(counted.dry_run);
        let labels = || ReviewLabels {
            webhook: counted.webhook.name(),
            operation: OPERATIONS[counted.operation],
            resource: counted.resource(),
            verdict,
            dry_run: counted.dry_run,
        };
        self.found[at]
            .get_or_init(|| self.reviews.get_or_create_owned(&labels()))
            .inc();
        self.durations[webhook].observe(took.as_secs_f64());
    }

    /// Counts the findings of one review.
    pub(super) fn found(&self, findings: &[Finding]) {
        for finding in findings {
            let labels = FindingLabels {
                rule: finding.rule,
                reason: finding.reason.as_str(),
                mode: finding.mode.as_str(),
                segment: finding.segment.as_ref().map(ToString::to_string).unwrap_or_default(),
            };
            self.findings.get_or_create(&labels).inc();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// Every combination has its own counter: none is counted as another.
    #[test]
    fn every_combination_is_counted_as_itself() {
        let mut registry = Registry::default();
        let metrics = Metrics::register(&mut registry);
        let mut expected = BTreeSet::new();
        for webhook in Webhook::ALL {
            for (operation, name) in OPERATIONS.into_iter().enumerate() {
                for path in 0..=WRITE_PATHS.len() {
                    for verdict in VERDICTS {
                        for dry_run in [false, true] {
                            let counted = Counted {
                                webhook,
                                operation,
                                path,
                                dry_run,
                            };
                            metrics.reviewed(counted, verdict, Duration::ZERO);
                            expected.insert(format!(
                                "ringfence_reviews_total{{webhook=\"{}\",operation=\"{}\",resource=\"{}\",\
                                 verdict=\"{verdict}\",dry_run=\"{dry_run}\"}} 1",
                                webhook.name(),
                                name,
                                counted.resource(),
                            ));
                        }
                    }
                }
            }
        }
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &registry).expect("encodes into memory");
        let counted: BTreeSet<_> = text
            .lines()
            .filter(|line| line.starts_with("ringfence_reviews_total{"))
            .map(str::to_owned)
            .collect();
        assert_eq!(counted, expected);
    }
}
