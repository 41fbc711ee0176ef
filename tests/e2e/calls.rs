//! How often ringfence was asked, from the counters of its replicas: what an action costs, and that it was not refused.

use std::collections::BTreeMap;

use super::world::World;

/// The verdict of what simply passes.
const ALLOW: &str = "allow";

/// Reviews by operation and resource, e.g. `CREATE pods`.
pub(crate) type Calls = BTreeMap<String, u64>;

/// Every review so far; fails where one of them was anything but allowed.
#[track_caller]
pub(crate) fn allowed(world: &World) -> Calls {
    let mut calls = Calls::new();
    for (key, verdict, count) in reviews(world) {
        assert!(verdict == ALLOW || count == 0, "{key}: {count} times {verdict}");
        *calls.entry(key).or_default() += count;
    }
    calls
}

/// Every review so far, whatever came of it.
pub(crate) fn all(world: &World) -> Calls {
    let mut calls = Calls::new();
    for (key, _, count) in reviews(world) {
        *calls.entry(key).or_default() += count;
    }
    calls
}

/// What came after `before`.
pub(crate) fn since(before: &Calls, after: Calls) -> Calls {
    let more = |(key, count): (String, u64)| {
        let more = count - before.get(&key).copied().unwrap_or_default();
        (more > 0).then_some((key, more))
    };
    after.into_iter().filter_map(more).collect()
}

/// `CREATE pods`, the verdict, and how many.
fn reviews(world: &World) -> Vec<(String, String, u64)> {
    let mut reviews = Vec::new();
    for replica in world.ringfence.replicas() {
        let metrics = replica
            .health("/metrics")
            .unwrap_or_else(|error| panic!("a replica tells no metrics: {error}"));
        for line in metrics.lines() {
            let Some(rest) = line.strip_prefix("ringfence_reviews_total{") else {
                continue;
            };
            let (labels, count) = rest.rsplit_once("} ").expect("labels and a value");
            let label = |name: &str| {
                let mut pairs = labels.split(',').filter_map(|pair| pair.split_once('='));
                let found = pairs.find(|(key, _)| *key == name).expect("a label of reviews").1;
                found.trim_matches('"').to_owned()
            };
            // The harness asks it with something invalid, to see that it is reached.
            if label("webhook") == "config.guard.ringfence.dev" {
                continue;
            }
            let key = format!("{} {}", label("operation"), label("resource"));
            reviews.push((key, label("verdict"), count.parse().expect("a count")));
        }
    }
    reviews
}
