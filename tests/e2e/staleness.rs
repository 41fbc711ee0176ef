//! What a replica has not heard of yet must let nothing in.

use super::world::{World, everything};

const GUARDRAILS: &str = r"
apiVersion: ringfence.dev/v1alpha1
kind: Guardrails
metadata: {name: default}
spec: {mode: Enforce}
---
apiVersion: ringfence.dev/v1alpha1
kind: Segment
metadata: {name: payments-db}
spec:
  members: [{namespaces: [payments], podSelector: {matchLabels: {app: hollowdb}}}]
  clients: [{namespaceSelector: {matchLabels: {team: blue}}, podSelector: {matchLabels: {app: batch}}}]
";

const BATCH: &str = "--image=evil --labels=app=batch";

#[test]
fn a_namespace_made_anew_with_a_client_label_while_watches_are_stalled_lets_nothing_in() {
    let Some(world) = World::own(GUARDRAILS) else { return };
    world.cluster.create_namespace("moving", &[]);
    everything(&world.cluster, "moving", "tess");
    world.eventually("tess", &format!("run plain -n moving {BATCH}"));

    for replica in world.ringfence.replicas() {
        replica.gate().stall_watches();
    }
    world.kubectl("admin", "delete namespace moving --timeout=60s").ok();
    world.cluster.create_namespace("moving", &[("team", "blue")]);
    everything(&world.cluster, "moving", "tess");
    world.eventually("tess", "auth can-i create pods -n moving");
    // Several, so that both replicas are asked.
    for attempt in 0..8 {
        let said = world
            .kubectl("tess", &format!("run rogue-{attempt} -n moving {BATCH}"))
            .refused();
        assert!(said.contains("may not connect to segment payments-db"), "{said}");
    }
    world.cluster.create_namespace("unseen", &[("team", "blue")]);
    everything(&world.cluster, "unseen", "tess");
    world.eventually("tess", "auth can-i create pods -n unseen");
    world.kubectl("tess", &format!("run rogue -n unseen {BATCH}")).refused();

    for replica in world.ringfence.replicas() {
        replica.gate().resume_watches();
    }
}
