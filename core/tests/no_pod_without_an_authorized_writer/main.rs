//! The promise, held against an independent and naive model: over random sequences of requests by people, controllers and
//! nodes, with replicas that hear of namespaces late, no pod ever carries a protected label, or runs other code under it,
//! or stands for an address that its node has not told, without an authorized writer behind it.
//!
//! The model knows neither index nor placements nor provenance. It keeps, for every object and clause, its *voucher*: who
//! last made the clause match, or changed what runs, or where, while it did. What a controller makes has its template's vouchers.

mod events;
mod model;
mod replica;
mod writes;

use proptest::prelude::*;
use proptest::test_runner::FileFailurePersistence;

use crate::events::event;
use crate::model::{Cluster, Labels, NAMESPACES};
use crate::replica::Replica;

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 600,
        max_shrink_iters: 20_000,
        failure_persistence: Some(Box::new(FileFailurePersistence::WithSource("proptest-regressions"))),
        ..ProptestConfig::default()
    })]

    #[test]
    fn no_pod_is_protected_without_an_authorized_writer(events in prop::collection::vec(event(), 1..80)) {
        let mut cluster = Cluster::default();
        for namespace in NAMESPACES {
            cluster.namespaces.insert(namespace, Labels::new());
        }
        let mut replica = Replica::new();
        replica.hear(&cluster);
        for event in events {
            let what = format!("{event:?}");
            cluster.apply(&mut replica, &event);
            cluster.holds().map_err(|error| TestCaseError::fail(format!("after {what}: {error}")))?;
        }
    }
}
