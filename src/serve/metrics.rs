//! [`Metrics`] of the server: requests by webhook and code, what was rejected and why, connections, handshakes.

use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;
use ringfence_core::review::Webhook;

/// The metrics of the server.
#[derive(Debug, Clone)]
pub struct Metrics {
    pub(super) in_flight: Gauge,
    requests: Family<RequestLabels, Counter>,
    durations: Family<DurationLabels, Histogram, fn() -> Histogram>,
    /// One a webhook, in the order of [`Webhook::ALL`]: what every review counts, found without hashing labels.
    reviews: Vec<ReviewMetrics>,
    rejected: Family<ReasonLabels, Counter>,
    connections: Family<ListenerLabels, Gauge>,
    closed: Family<ClosedLabels, Counter>,
    accept_errors: Family<ListenerLabels, Counter>,
    handshake_failures: Family<ReasonLabels, Counter>,
}

#[derive(Debug, Clone)]
struct ReviewMetrics {
    answered: Counter,
    duration: Histogram,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RequestLabels {
    webhook: &'static str,
    code: u16,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct DurationLabels {
    webhook: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ReasonLabels {
    reason: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ListenerLabels {
    listener: Listener,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ClosedLabels {
    listener: Listener,
    reason: Closed,
}

/// Which of our two listeners.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelValue)]
pub(super) enum Listener {
    /// Where reviews come in.
    #[expect(non_camel_case_types, reason = "the label's value")]
    reviews,
    /// Where health is asked for.
    #[expect(non_camel_case_types, reason = "the label's value")]
    health,
}

/// Why we closed a connection that its client held open.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelValue)]
#[expect(non_camel_case_types, reason = "these are the label's values")]
pub(super) enum Closed {
    /// It made room for a newer one before it had sent a rightly addressed request.
    evicted,
    /// Every place was held by a connection of the API server.
    full,
    /// It sent no rightly addressed request in time.
    unproven,
    /// It was without a request for too long.
    idle,
}

/// From 50 microseconds, a review that asks nobody, to 10 seconds, beyond any webhook timeout.
const DURATION_BUCKETS: [f64; 17] = [
    0.000_05, 0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0,
];

impl Metrics {
    /// Registers them under their full names (`ringfence_...`): the registry has no prefix.
    pub fn register(registry: &mut Registry) -> Self {
        let registry = registry.sub_registry_with_prefix("ringfence");
        let metrics = Self::new();
        let Self {
            in_flight,
            requests,
            durations,
            reviews: _,
            rejected,
            connections,
            closed,
            accept_errors,
            handshake_failures,
        } = metrics.clone();
        registry.register("http_requests_in_flight", "Reviews being answered", in_flight);
        registry.register("http_requests", "Requests answered, by webhook and HTTP code", requests);
        registry.register(
            "http_request_duration_seconds",
            "From a request's headers to its answer",
            durations,
        );
        registry.register(
            "http_requests_rejected",
            "Requests answered without a review, by reason",
            rejected,
        );
        registry.register("connections", "Open connections", connections);
        registry.register(
            "connections_closed",
            "Connections that we closed while their client held them open, by reason",
            closed,
        );
        registry.register("accept_errors", "Errors of accepting a connection", accept_errors);
        registry.register(
            "tls_handshake_failures",
            "TLS handshakes that failed, by reason",
            handshake_failures,
        );
        metrics
    }

    fn new() -> Self {
        let requests = Family::<RequestLabels, Counter>::default();
        let histogram: fn() -> Histogram = || Histogram::new(DURATION_BUCKETS);
        let durations = Family::new_with_constructor(histogram);
        let reviews = Webhook::ALL
            .map(|webhook| ReviewMetrics {
                answered: requests.get_or_create_owned(&RequestLabels {
                    webhook: webhook.path(),
                    code: 200,
                }),
                duration: durations.get_or_create_owned(&DurationLabels {
                    webhook: webhook.path(),
                }),
            })
            .to_vec();
        Self {
            in_flight: Gauge::default(),
            requests,
            durations,
            reviews,
            rejected: Family::default(),
            connections: Family::default(),
            closed: Family::default(),
            accept_errors: Family::default(),
            handshake_failures: Family::default(),
        }
    }

    /// A rightly addressed request was answered with this code.
    pub(super) fn answered(&self, webhook: Webhook, code: u16, seconds: f64) {
        let place = Webhook::ALL.iter().position(|other| *other == webhook);
        let Some(review) = place.and_then(|place| self.reviews.get(place)) else {
            return;
        };
        review.duration.observe(seconds);
        if code == 200 {
            review.answered.inc();
        } else {
            let webhook = webhook.path();
            self.requests.get_or_create(&RequestLabels { webhook, code }).inc();
        }
    }

    pub(super) fn rejected(&self, reason: &'static str) {
        self.rejected.get_or_create(&ReasonLabels { reason }).inc();
    }

    pub(super) fn handshake_failed(&self, reason: &'static str) {
        self.handshake_failures.get_or_create(&ReasonLabels { reason }).inc();
    }

    pub(super) fn accept_failed(&self, listener: Listener) {
        self.accept_errors.get_or_create(&ListenerLabels { listener }).inc();
    }

    pub(super) fn closed(&self, listener: Listener, reason: Closed) {
        self.closed.get_or_create(&ClosedLabels { listener, reason }).inc();
    }

    /// The gauge of open connections.
    pub(super) fn open(&self, listener: Listener) -> Gauge {
        self.connections.get_or_create_owned(&ListenerLabels { listener })
    }
}
