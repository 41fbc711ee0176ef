//! Separation of duties: who holds both is refused, told or recorded by its mode; who holds one is not.

use serde_json::{Value, json};

use super::modes::guardrails;
use super::world::{World, bind};

const MEMBER: &str = "-n payments --image=db --labels=app=hollowdb --dry-run=server";

/// A policy that selects the members.
fn policy(name: &str) -> Value {
    json!({
        "apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy",
        "metadata": {"name": name, "namespace": "payments"},
        "spec": {"podSelector": {"matchLabels": {"app": "hollowdb"}}, "policyTypes": ["Ingress"]},
    })
}

/// Olga, who is both, is `opal`; `nate` places pods, `ci` writes policies.
#[test]
fn who_both_writes_policies_and_places_pods_is_refused_told_or_recorded() {
    let Some(world) = World::own(&guardrails("{mode: Enforce}")) else {
        return;
    };
    for user in ["opal", "nate", "ci"] {
        bind(&world.cluster, "payments", "ClusterRole/edit", user);
    }
    for grant in [
        "join segments/payments-db --user opal --user nate",
        "manage segments/payments-db --user opal --user ci",
    ] {
        world.grant("admin", grant).ok();
    }

    // Off: nothing is asked.
    world.eventually("opal", &format!("run off {MEMBER}"));
    world.eventually("nate", &format!("run off {MEMBER}"));

    // Enforce: neither pods nor policies of whoever holds both.
    world
        .configure(&guardrails(
            "{mode: Enforce, separationOfDuties: {exemptGroups: [system:masters]}}",
        ))
        .ok();
    let said = world.eventually_refused("opal", &format!("run both {MEMBER}"));
    for words in [
        "may not join segment payments-db: user \"opal\" holds manage on it, too.",
        "ringfence audit sod",
        "kubectl auth can-i manage segments.ringfence.dev/payments-db -n payments",
    ] {
        assert!(said.contains(words), "{said}");
    }
    let said = world.apply("opal", &policy("both")).refused();
    assert!(said.contains("user \"opal\" holds join on it, too"), "{said}");
    world.kubectl("nate", &format!("run places {MEMBER}")).ok();
    world.apply("nate", &policy("places")).refused();
    world.apply("ci", &policy("writes")).ok();
    world.kubectl("ci", &format!("run writes {MEMBER}")).refused();
    // Who holds every permission is exempt, and what controllers make of a template is not asked for.
    world.kubectl("admin", &format!("run exempt {MEMBER}")).ok();

    // Warn: let in, and told.
    world
        .configure(&guardrails("{mode: Enforce, separationOfDuties: {mode: Warn}}"))
        .ok();
    world.eventually("opal", &format!("run warned {MEMBER}"));
    let output = world.kubectl("opal", &format!("run warned {MEMBER}"));
    assert!(
        output
            .stderr
            .contains("Warning: ringfence: pod payments/warned may not join segment payments-db"),
        "{}",
        output.stderr
    );

    // Audit: let in, and recorded.
    world
        .configure(&guardrails("{mode: Enforce, separationOfDuties: {mode: Audit}}"))
        .ok();
    let silent = ringfence_controlplane::wait_until(super::world::PATIENCE, "silence", || {
        let output = world.kubectl("opal", &format!("run silent {MEMBER}"));
        (output.success && output.stderr.is_empty()).then_some(())
    });
    silent.unwrap_or_else(|error| panic!("{error}"));
    world
        .kubectl("opal", "run audited -n payments --image=db --labels=app=hollowdb")
        .ok();
    let record = world
        .ringfence
        .wait_for_record("the audited pod", |record| record["name"] == "audited");
    let finding = &record["findings"][0];
    assert_eq!(
        (&record["verdict"], &finding["rule"], &finding["mode"]),
        (&"audit".into(), &"SeparationOfDuties".into(), &"Audit".into())
    );
}
