//! What is counted about isolation: what was applied, by whom and with what result; what was repaired; and, by the leader,
//! how many namespaces lack policies and when all were last looked at.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use ringfence_core::model::Isolated;

use super::failure::Failure;

/// Who writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum By {
    /// The review of a pod that waits for it.
    Review,
    /// The leader.
    Leader,
}

/// What became of a write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    Applied,
    Refused,
    Failed,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Written {
    by: &'static str,
    result: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Looked {
    result: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct InState {
    state: &'static str,
}

/// The metrics of isolation. Clones share them.
#[derive(Debug, Clone, Default)]
pub struct Metrics {
    applies: Family<Written, Counter>,
    looks: Family<Looked, Counter>,
    repairs: Counter,
    lacking: Gauge,
    namespaces: Family<InState, Gauge>,
    checked: Gauge,
}

impl Metrics {
    /// Registers them under their full names (`ringfence_...`): the registry has no prefix.
    pub fn register(registry: &mut Registry) -> Self {
        let metrics = Self::default();
        registry.register(
            "ringfence_isolation_applies",
            "Injected policies written, by who wrote (review: a pod waited for it; leader) and result: applied, refused \
             (by the API server: a quota, RBAC), failed",
            metrics.applies.clone(),
        );
        registry.register(
            "ringfence_isolation_looks",
            "Live looks of reviews at a namespace's policies, by result: stands, applied, missing (dry run, Warn, Audit), \
             exempt, refused, failed. Reviews that wait together share one",
            metrics.looks.clone(),
        );
        registry.register(
            "ringfence_isolation_repairs",
            "Times that the leader put back policies of a namespace in which they had stood",
            metrics.repairs.clone(),
        );
        registry.register(
            "ringfence_isolation_lacking_namespaces",
            "Namespaces under Enforce of which policies do not stand; must be 0. Counted by the leader, 0 elsewhere",
            metrics.lacking.clone(),
        );
        registry.register(
            "ringfence_isolation_namespaces",
            "Namespaces by state: isolated, lacking, opted out, existing, terminating, system, off. Counted by the leader",
            metrics.namespaces.clone(),
        );
        registry.register(
            "ringfence_isolation_last_full_check_timestamp_seconds",
            "When the leader last looked at every namespace, by watches that work; its age is time() less this. 0 elsewhere",
            metrics.checked.clone(),
        );
        metrics
    }

    pub(crate) fn applied(&self, by: By, outcome: Outcome) {
        let by = match by {
            By::Review => "review",
            By::Leader => "leader",
        };
        let result = match outcome {
            Outcome::Applied => "applied",
            Outcome::Refused => "refused",
            Outcome::Failed => "failed",
        };
        self.applies.get_or_create(&Written { by, result }).inc();
    }

    pub(crate) fn looked(&self, result: &Result<Isolated, Failure>) {
        let result = match result {
            Ok(Isolated::Stands { .. }) => "stands",
            Ok(Isolated::Applied { .. }) => "applied",
            Ok(Isolated::Missing { .. }) => "missing",
            Ok(Isolated::Exempt) => "exempt",
            Ok(Isolated::Refused(_)) | Err(Failure::Refused(_)) => "refused",
            Err(Failure::Passing(_)) => "failed",
        };
        self.looks.get_or_create(&Looked { result }).inc();
    }

    pub(crate) fn repaired(&self) {
        self.repairs.inc();
    }

    /// How many namespaces are in each state, and how many of them lack policies under Enforce.
    pub(crate) fn counted(&self, states: impl Iterator<Item = (&'static str, usize)>, lacking: usize) {
        let number = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
        self.lacking.set(number(lacking));
        for (state, count) in states {
            self.namespaces.get_or_create(&InState { state }).set(number(count));
        }
    }

    /// Every namespace was looked at, at this second.
    pub(crate) fn checked(&self, second: i64) {
        self.checked.set(second);
    }

    /// What only a leader knows is known no longer.
    pub(crate) fn no_longer_leading(&self) {
        self.lacking.set(0);
        self.checked.set(0);
        self.namespaces.clear();
    }
}
