//! What is counted about configuration, watches and the leader.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

/// The cluster's metrics. Clones share them.
#[derive(Debug, Clone, Default)]
pub struct Metrics {
    /// 1 where the ConfigMap is what is in force, 0 where it is missing or invalid.
    pub(super) valid: Gauge,
    info: Family<Revision, Gauge>,
    /// Segments in force.
    pub(super) segments: Gauge,
    /// Segments that are derived from policies.
    pub(super) derived: Gauge,
    /// Policies that opted in to protection and protect nothing.
    pub(super) protecting_nothing: Gauge,
    /// Namespaces as last seen.
    pub(super) namespaces: Gauge,
    /// 1 where this replica is the leader.
    pub(super) leader: Gauge,
    unjudged: Family<OfSegment, Gauge>,
    watch_errors: Family<Watch, Counter>,
    passes: Family<Pass, Counter>,
}

#[derive(Debug, Clone, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Revision {
    revision: String,
}

#[derive(Debug, Clone, Hash, PartialEq, Eq, EncodeLabelSet)]
struct OfSegment {
    segment: String,
}

#[derive(Debug, Clone, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Watch {
    watch: &'static str,
}

#[derive(Debug, Clone, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Pass {
    duty: &'static str,
    result: &'static str,
}

impl Metrics {
    /// Registers them.
    pub fn register(registry: &mut Registry) -> Self {
        let registry = registry.sub_registry_with_prefix("ringfence");
        let metrics = Self::default();
        registry.register(
            "guardrails_valid",
            "1 where the ConfigMap is what is in force, 0 where it is missing or invalid",
            metrics.valid.clone(),
        );
        registry.register(
            "guardrails_info",
            "The revision of the configuration in force",
            metrics.info.clone(),
        );
        registry.register(
            "guardrails_segments",
            "Configured segments in force",
            metrics.segments.clone(),
        );
        registry.register(
            "derived_segments",
            "Segments in force that are derived from NetworkPolicies which opted in to protection",
            metrics.derived.clone(),
        );
        registry.register(
            "policies_protecting_nothing",
            "NetworkPolicies that opted in to protection and of which no segment is derived; the log says why",
            metrics.protecting_nothing.clone(),
        );
        registry.register("namespaces", "Namespaces as last seen", metrics.namespaces.clone());
        registry.register("leader", "1 where this replica is the leader", metrics.leader.clone());
        registry.register(
            "unjudged_templates",
            "Templates that stood before their segment was enforced, by segment; told by the leader",
            metrics.unjudged.clone(),
        );
        registry.register(
            "watch_errors",
            "Errors of watches; each is retried",
            metrics.watch_errors.clone(),
        );
        registry.register(
            "leader_passes",
            "Passes of what the leader keeps in step, by result",
            metrics.passes.clone(),
        );
        metrics
    }

    /// Tells which revision is in force; the one before is told no longer.
    pub(super) fn in_force(&self, revision: &str) {
        self.info.clear();
        let revision = revision.to_owned();
        self.info.get_or_create(&Revision { revision }).set(1);
    }

    /// Tells how many templates stood before their segment was enforced, by segment; of others nothing is told any longer.
    pub(super) fn unjudged(&self, counts: impl Iterator<Item = (String, i64)>) {
        self.unjudged.clear();
        for (segment, count) in counts {
            self.unjudged.get_or_create(&OfSegment { segment }).set(count);
        }
    }

    /// The errors of one watch.
    pub(super) fn watch_errors(&self, watch: &'static str) -> Counter {
        self.watch_errors.get_or_create_owned(&Watch { watch })
    }

    /// Counts a pass of a duty.
    pub(super) fn passed(&self, duty: &'static str, failed: bool) {
        let result = if failed { "error" } else { "ok" };
        self.passes.get_or_create(&Pass { duty, result }).inc();
    }
}
