//! Settle: first pods wait behind a gate, none runs before, and nobody takes the gate off early.

use std::time::Duration;

use super::*;
use crate::model::{Isolate, Isolated};

const GATED: &str = r#"{"schedulingGates":[{"name":"other/gate"},{"name":"ringfence.dev/settle"}]}"#;
const OTHERS_GATE: &str = r#"{"schedulingGates":[{"name":"other/gate"}]}"#;
const BOUND: &str = r#"{"nodeName":"node-0"}"#;
const UNGATED: &str = "{}";

/// Guardrails with these settings, whose profile settles for this long.
fn settling(settings: &str, settle: &str) -> Snapshot {
    let text = format!(
        "{{apiVersion: ringfence.dev/v1alpha1, kind: Guardrails, metadata: {{name: default}}, spec: {settings}}}
---
{{apiVersion: ringfence.dev/v1alpha1, kind: IsolationProfile, metadata: {{name: restricted}}, spec: {{{settle} policies: [{{builtin: default-deny-ingress}}]}}}}
"
    );
    snapshot(compiled(text))
}

const ENFORCED: &str = "{mode: Enforce, isolation: {defaultProfile: restricted}}";

fn enforcing() -> Snapshot {
    settling(ENFORCED, "settle: 5s,")
}

fn pod(spec: &'static str) -> Request<'static> {
    let placement = Placement {
        spec: PodSpecText(spec),
        ..placement(None, OTHER)
    };
    request("web", Action::Place(placement))
}

fn update(before: &'static str, after: &'static str) -> Request<'static> {
    let placement = Placement {
        spec: PodSpecText(after),
        spec_before: PodSpecText(before),
        runs: Runs::Unchanged,
        ..placement(Some(OTHER), OTHER)
    };
    request("web", Action::Place(placement))
}

fn question(isolate: Isolate) -> Question {
    Question::Isolated(name("web"), isolate)
}

fn answered(isolate: Isolate, isolated: Isolated) -> (Question, Answer) {
    (question(isolate), Answer::Isolated(isolated))
}

fn left(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

#[rstest]
#[case::just_applied(Isolated::Applied { settles_in: Some(left(5000)) }, RetryAfter(5))]
#[case::young(Isolated::Stands { settles_in: Some(left(3200)) }, RetryAfter(4))]
#[case::almost_settled(Isolated::Stands { settles_in: Some(left(1)) }, RetryAfter(1))]
fn a_first_pod_without_the_gate_is_told_when_to_try_again(#[case] isolated: Isolated, #[case] after: RetryAfter) {
    for spec in [UNGATED, OTHERS_GATE, BOUND] {
        let known = [answered(Isolate::Apply, isolated.clone())];
        let (decision, rounds) = run(&enforcing(), &pod(spec), &known);
        assert_eq!(rounds, [[question(Isolate::Apply)]], "it asks nothing of its own");
        let Verdict::Retry(text, retry) = decision.verdict else {
            panic!("{spec}: {decision:?}")
        };
        assert_eq!(retry, after);
        assert!(
            text.starts_with("pod web/rogue may not run before its namespace's policies have settled."),
            "{text}"
        );
    }
}

#[test]
fn a_gated_pod_and_one_of_a_settled_namespace_come() {
    let young = [answered(
        Isolate::Apply,
        Isolated::Applied {
            settles_in: Some(left(5000)),
        },
    )];
    assert_eq!(run(&enforcing(), &pod(GATED), &young).0, Decision::plain_allow());
    let settled = [answered(Isolate::Apply, Isolated::Stands { settles_in: None })];
    assert_eq!(run(&enforcing(), &pod(UNGATED), &settled).0, Decision::plain_allow());
}

/// Refusing would only hide what the node runs.
#[test]
fn what_a_node_says_it_runs_comes() {
    let mut mirror = pod(BOUND);
    mirror.identity.groups = vec!["system:nodes".into()];
    let known = [answered(
        Isolate::Apply,
        Isolated::Applied {
            settles_in: Some(left(5000)),
        },
    )];
    assert_eq!(run(&enforcing(), &mirror, &known).0, Decision::plain_allow());
}

#[test]
fn a_gate_that_is_taken_off_early_is_refused() {
    let known = [answered(
        Isolate::Look,
        Isolated::Stands {
            settles_in: Some(left(2500)),
        },
    )];
    let (decision, _) = run(&enforcing(), &update(GATED, OTHERS_GATE), &known);
    let Verdict::Deny(text) = decision.verdict else {
        panic!("{decision:?}")
    };
    insta::assert_snapshot!(text, @r"
    pod web/rogue may not lose its scheduling gate before its namespace's policies have settled.
      why:   ringfence lifts it by itself, in 3 s
    ");
    let missing = Isolated::Missing {
        policies: vec!["ringfence-default-deny-ingress".to_owned()],
        settles_in: Some(left(5000)),
    };
    assert!(
        !run(
            &enforcing(),
            &update(GATED, UNGATED),
            &[answered(Isolate::Look, missing)]
        )
        .0
        .allowed()
    );
    let settled = [answered(Isolate::Look, Isolated::Stands { settles_in: None })];
    assert!(run(&enforcing(), &update(GATED, UNGATED), &settled).0.allowed());
}

#[rstest]
#[case::kept(GATED, GATED)]
#[case::another_gate(OTHERS_GATE, UNGATED)]
#[case::none(UNGATED, UNGATED)]
fn other_updates_ask_nothing(#[case] before: &'static str, #[case] after: &'static str) {
    let (decision, rounds) = run(&enforcing(), &update(before, after), &[]);
    assert_eq!((decision, rounds.len()), (Decision::plain_allow(), 0));
}

#[rstest]
#[case::no_profile_settles(ENFORCED, "")]
#[case::warned("{mode: Warn, isolation: {defaultProfile: restricted}}", "settle: 5s,")]
#[case::capped(
    "{mode: Enforce, rollout: {default: Audit}, isolation: {defaultProfile: restricted}}",
    "settle: 5s,"
)]
#[case::off("{mode: Enforce}", "settle: 5s,")]
fn nothing_waits_where_nothing_is_to_settle(#[case] settings: &str, #[case] settle: &str) {
    let snapshot = settling(settings, settle);
    let young = Answer::Isolated(Isolated::Stands {
        settles_in: Some(left(5000)),
    });
    let known = [
        (question(Isolate::Apply), young.clone()),
        (question(Isolate::Look), young),
    ];
    assert!(run(&snapshot, &pod(UNGATED), &known).0.allowed());
    assert!(run(&snapshot, &update(GATED, UNGATED), &known).0.allowed());
    assert_eq!(gate(&snapshot, &pod(UNGATED), &Answers::new()), Gating::Leave);
}

#[rstest]
#[case::young(pod(UNGATED), Answer::Isolated(Isolated::Stands { settles_in: Some(left(1)) }), Gating::Gate(Gates::None))]
#[case::beside_others(pod(OTHERS_GATE), Answer::Isolated(Isolated::Stands { settles_in: Some(left(1)) }), Gating::Gate(Gates::Some))]
#[case::settled(pod(UNGATED), Answer::Isolated(Isolated::Stands { settles_in: None }), Gating::Leave)]
#[case::opted_out(pod(UNGATED), Answer::Isolated(Isolated::Exempt), Gating::Leave)]
#[case::of_a_profile_that_does_not_settle(pod(UNGATED), Answer::Isolated(Isolated::Missing { policies: Vec::new(), settles_in: None }), Gating::Leave)]
#[case::not_applied_yet(pod(UNGATED), Answer::Isolated(Isolated::Missing { policies: Vec::new(), settles_in: Some(left(5000)) }), Gating::Gate(Gates::None))]
#[case::not_known(pod(UNGATED), Answer::Failed("no answer".to_owned()), Gating::Gate(Gates::None))]
fn the_gate_goes_on_where_policies_are_young_or_not_known(
    #[case] request: Request<'_>,
    #[case] answer: Answer,
    #[case] expected: Gating,
) {
    let snapshot = enforcing();
    let Gating::Ask(asked) = gate(&snapshot, &request, &Answers::new()) else {
        panic!("it has to be asked")
    };
    let [Asked { question: look, mode }] = asked.as_slice() else {
        panic!("one question: {asked:?}")
    };
    assert_eq!((look, *mode), (&question(Isolate::Look), Mode::Audit));
    let mut answers = Answers::new();
    answers.insert(look.clone(), answer);
    assert_eq!(gate(&snapshot, &request, &answers), expected);
}

#[rstest]
#[case::gated(pod(GATED))]
#[case::an_update(update(UNGATED, UNGATED))]
#[case::unreadable(pod("[1]"))]
fn the_gate_does_not_go_on_what_has_it_or_cannot_have_it(#[case] request: Request<'_>) {
    assert_eq!(gate(&enforcing(), &request, &Answers::new()), Gating::Leave);
}

#[test]
fn a_pod_that_cannot_be_read_is_not_let_in() {
    let known = [answered(
        Isolate::Apply,
        Isolated::Applied {
            settles_in: Some(left(5000)),
        },
    )];
    assert!(!run(&enforcing(), &pod("[1]"), &known).0.allowed());
}
