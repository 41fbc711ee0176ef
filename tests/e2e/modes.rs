//! Modes, rollout caps and the configuration that says them, changed while it runs.

use std::time::{Duration, Instant};

use ringfence_controlplane::{Output, wait_until};
use serde_json::Value;

use super::world::{GUARDRAILS, PATIENCE, World};

const ROGUE: &str = "--image=evil --labels=app=hollowapp --dry-run=server";

/// The documentation's segment under these settings.
pub(crate) fn guardrails(spec: &str) -> String {
    let (_, segment) = GUARDRAILS.split_once("\n---\n").expect("two documents");
    format!(
        "apiVersion: ringfence.dev/v1alpha1\nkind: Guardrails\nmetadata: {{name: default}}\nspec: {spec}\n---\n{segment}"
    )
}

/// A write of a policy that a rule refuses is let in where segments do not enforce: in namespace `warned` with this warning,
/// in `audited` with no word but on what it opens, and with a record.
#[track_caller]
pub(crate) fn told_where_not_enforced(world: &World, rule: &str, warning: &str, write: impl Fn(&str) -> Output) {
    let warned = write("warned");
    let told = format!("Warning: ringfence: {warning}");
    assert!(warned.stderr.contains(&told), "{}", warned.stderr);
    warned.ok();
    let audited = write("audited");
    let opens = |line: &str| line.contains("; see: ringfence reach");
    assert!(
        audited.stderr.lines().all(opens),
        "only what it opens is told: {}",
        audited.stderr
    );
    audited.ok();
    let record = world.ringfence.wait_for_record("what was audited", |record| {
        record["namespace"] == "audited" && record["verdict"] == "audit"
    });
    let mut findings = record["findings"].as_array().into_iter().flatten();
    let found = findings.any(|finding| finding["rule"] == rule && finding["mode"] == "Audit");
    assert!(found, "{record}");
}

/// The namespaces in which the webhook for workloads fails closed, as its namespaceSelector says.
fn fails_closed(world: &World) -> Value {
    let served = world.served();
    let guard = served
        .iter()
        .find(|webhook| webhook["name"] == "workloads.guard.ringfence.dev");
    let guard = guard.unwrap_or_else(|| panic!("it is served: {served:?}"));
    assert_eq!(guard["failurePolicy"], "Fail");
    guard["namespaceSelector"]["matchExpressions"][0].clone()
}

#[test]
fn an_edit_is_in_force_within_a_second_and_the_failure_policy_follows() {
    let Some(world) = World::own(&guardrails("{mode: Audit}")) else {
        return;
    };

    // Audit records and says nothing.
    let output = world.kubectl(
        "mallory",
        &format!("run audited -n web {}", ROGUE.replace("--dry-run=server", "")),
    );
    assert_eq!(output.stderr, "");
    output.ok();
    let record = world
        .ringfence
        .wait_for_record("the audited pod", |record| record["name"] == "audited");
    assert_eq!(
        (&record["verdict"], &record["findings"][0]["mode"]),
        (&"audit".into(), &"Audit".into())
    );
    assert_eq!(fails_closed(&world)["operator"], "DoesNotExist", "nothing is enforced");

    // Warn prints.
    world.configure(&guardrails("{mode: Warn}")).ok();
    let warned = wait_until(PATIENCE, "a warning", || {
        let output = world.kubectl("mallory", &format!("run warned -n web {ROGUE}"));
        assert!(output.success, "{}", output.stderr);
        output
            .stderr
            .contains("Warning: ringfence: pod web/warned may not connect to segment")
            .then_some(output.stderr)
    });
    let warned = warned.unwrap_or_else(|error| panic!("{error}"));
    assert!(
        warned
            .lines()
            .all(|line| line.chars().count() <= "Warning: ".len() + 120),
        "{warned}"
    );

    // Enforce refuses, on both replicas, within a second of the write.
    world.configure(&guardrails("{mode: Enforce}")).ok();
    let written = Instant::now();
    let mut last_let_in = None;
    let refused = wait_until(PATIENCE, "ten refusals in a row", || {
        for _ in 0..10 {
            let begun = written.elapsed();
            if world.kubectl("mallory", &format!("run denied -n web {ROGUE}")).success {
                last_let_in = Some(begun);
                return None;
            }
        }
        Some(())
    });
    refused.unwrap_or_else(|error| panic!("{error}"));
    assert!(
        last_let_in.is_none_or(|begun| begun < Duration::from_secs(1)),
        "let in after {last_let_in:?}"
    );
    let follows = wait_until(PATIENCE, "the failure policy to follow", || {
        (fails_closed(&world)["operator"] == "NotIn").then(|| fails_closed(&world))
    });
    let values = follows.unwrap_or_else(|error| panic!("{error}"))["values"].clone();
    assert!(
        values
            .as_array()
            .is_some_and(|names| names.contains(&"kube-system".into())),
        "{values}"
    );

    // A cap takes a namespace out, and its webhook fails open.
    world
        .configure(&guardrails(
            "{mode: Enforce, rollout: {default: Audit, namespaces: [{name: web, mode: Enforce}]}}",
        ))
        .ok();
    world.eventually("tess", &format!("run capped -n tenant {ROGUE}"));
    world
        .kubectl("mallory", &format!("run denied -n web {ROGUE}"))
        .refused();
    let follows = wait_until(PATIENCE, "the failure policy to follow", || {
        (fails_closed(&world)["operator"] == "In").then(|| fails_closed(&world))
    });
    assert_eq!(
        follows.unwrap_or_else(|error| panic!("{error}"))["values"],
        serde_json::json!(["web"])
    );

    // A bad edit is refused with its place, and what was in force stays.
    let said = world.configure(&guardrails("{mode: Enfroce}")).refused();
    assert!(
        said.contains("guardrails.yaml") && said.contains("4:") && said.contains('^'),
        "{said}"
    );
    world
        .kubectl("mallory", &format!("run denied -n web {ROGUE}"))
        .refused();
}
