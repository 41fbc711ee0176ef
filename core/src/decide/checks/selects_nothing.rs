//! # SelectsNothing
//!
//! **Stops** a policy that selects no pod: a typing mistake in its podSelector leaves open what it was meant to close, and
//! nothing else ever says so. Looked at are the pods of its namespace and the templates that make them there (Deployments,
//! StatefulSets, DaemonSets, CronJobs) as they stand; a policy that selects every pod always does. A podSelector that
//! contradicts itself is found without looking.
//!
//! **Example.** `podSelector: {matchLabels: {app: wbe}}` in a namespace whose pods have `app=web`. A policy may rightly come
//! before what it selects, so without a `mode` of its own this check is at most Warn: apply what runs first, or read past it.
//!
//! **Settle it** by repairing the podSelector, or with `waive` on `policychecks.ringfence.dev/SelectsNothing` at the cluster.

use super::sight::{Breach, Sight, Standing};
use crate::model::Running;
use crate::netpol::Policy;

/// Whether who runs has to be known.
pub(super) fn asks(sight: &Sight<'_>) -> bool {
    !sight.policy.pods.is_everything() && !sight.selects_nothing
}

pub(super) fn find(sight: &Sight<'_>, running: &[Running]) -> Vec<Breach> {
    let selects = |policy: &Policy| {
        policy.pods.is_everything() || running.iter().any(|running| policy.pods.matches(&running.labels))
    };
    if selects(sight.policy) {
        return Vec::new();
    }
    let (pods, namespace) = (&sight.policy.pods, &sight.policy.name.namespace);
    vec![Breach {
        why: if sight.selects_nothing {
            format!("podSelector {pods} contradicts itself")
        } else {
            format!("podSelector {pods} matches no pod of namespace {namespace} and no template of one")
        },
        standing: match sight.before() {
            Some(before) if !selects(before) => Standing::Before,
            _ => Standing::New,
        },
    }]
}
