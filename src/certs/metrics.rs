//! [`Metrics`] of the serving certificate: when it ends, and how often it was replaced or a replacement refused.

use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

/// The metrics of the serving certificate.
#[derive(Debug, Clone, Default)]
pub struct Metrics {
    pub(super) not_after: Gauge,
    reloads: Family<Reload, Counter>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Reload {
    result: Outcome,
}

/// What became of a certificate that was handed in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelValue)]
#[expect(non_camel_case_types, reason = "these are the label's values")]
pub(super) enum Outcome {
    replaced,
    refused,
}

impl Metrics {
    /// Registers them under their full names (`ringfence_...`): the registry has no prefix.
    pub fn register(registry: &mut Registry) -> Self {
        let registry = registry.sub_registry_with_prefix("ringfence");
        let metrics = Self::default();
        registry.register(
            "tls_certificate_not_after_timestamp_seconds",
            "When the serving certificate ends, in seconds since 1970; 0 while there is none",
            metrics.not_after.clone(),
        );
        registry.register(
            "tls_certificate_reloads",
            "Serving certificates handed in, by whether they were put to use or refused",
            metrics.reloads.clone(),
        );
        for outcome in [Outcome::replaced, Outcome::refused] {
            metrics.reloads.get_or_create_owned(&Reload { result: outcome });
        }
        metrics
    }

    pub(super) fn count(&self, outcome: Outcome) {
        self.reloads.get_or_create(&Reload { result: outcome }).inc();
    }
}
