//! What nodes say of their pods, and what others say in their place.

use rstest::rstest;

use super::*;

const ON_A_NODE: PodSpecText<'static> = PodSpecText(r#"{"nodeName": "node-0"}"#);

fn by<'a>(username: &'a str, uid: &'a str, action: Action<'a>) -> Request<'a> {
    let mut request = request("payments", action);
    request.identity.username = username.into();
    request.identity.uid = uid.into();
    request
}

/// A write of the status of a pod on `node-0`, which matches the member and the client clause alike.
fn readdressed<'a>(username: &'a str, uid: &'a str, spec: PodSpecText<'a>) -> Request<'a> {
    let placement = Placement {
        runs: Runs::Readdressed,
        spec,
        spec_before: spec,
        ..placement(Some(CLIENT), CLIENT)
    };
    Request {
        subresource: "status".into(),
        ..by(username, uid, Action::Place(placement))
    }
}

#[rstest]
#[case::its_node("system:node:node-0", "", ON_A_NODE, true)]
#[case::another_node("system:node:node-1", "", ON_A_NODE, false)]
#[case::no_node("system:node:", "", PodSpecText(""), false)]
#[case::no_pod_spec("system:node:node-0", "", PodSpecText("[]"), false)]
#[case::a_tenant("tess", "", ON_A_NODE, false)]
#[case::the_pod_collector("system:serviceaccount:kube-system:pod-garbage-collector", "u", ON_A_NODE, true)]
#[case::an_impersonated_pod_collector("system:serviceaccount:kube-system:pod-garbage-collector", "", ON_A_NODE, false)]
#[case::another_collector("system:serviceaccount:web:pod-garbage-collector", "u", ON_A_NODE, false)]
#[case::another_controller("system:serviceaccount:kube-system:job-controller", "u", ON_A_NODE, false)]
#[case::controllers_as_one_user("system:kube-controller-manager", "", ON_A_NODE, true)]
fn only_its_node_tells_where_a_pod_is(
    #[case] username: &str,
    #[case] uid: &str,
    #[case] spec: PodSpecText<'_>,
    #[case] passes: bool,
) {
    let known = [(in_payments(Verb::Connect), Answer::Allowed(false))];
    let request = readdressed(username, uid, spec);
    let (decision, rounds) = run(&snapshot(guardrails(Mode::Enforce)), &request, &known);
    assert_eq!(decision.allowed(), passes);
    assert_eq!(rounds.is_empty(), passes, "{rounds:?}");
}

#[test]
fn another_address_is_refused_in_words_that_say_why() {
    let known = [(in_payments(Verb::Connect), Answer::Allowed(false))];
    let (decision, _) = run(
        &snapshot(guardrails(Mode::Enforce)),
        &readdressed("tess", "", ON_A_NODE),
        &known,
    );
    let Verdict::Deny(text) = decision.verdict else {
        panic!("expected a denial: {decision:?}")
    };
    insta::assert_snapshot!(text, @r#"
    pod payments/rogue may not be given another address or phase in segment payments-db: user "tess" lacks the permission.
      why:   label app=hollowapp matches clients[0] of payments-db (Card data. Ask team payments for access.); its status says where it is, which only its node knows
      check: kubectl auth can-i connect segments.ringfence.dev/payments-db -n payments
      grant: ringfence grant connect segments/payments-db --user tess
    "#);
}

#[rstest]
#[case::its_node("system:node:node-0", Some(Reason::Mirrored))]
#[case::another_node("system:node:node-1", Some(Reason::LacksPermission))]
#[case::a_user("mallory", Some(Reason::LacksPermission))]
fn what_a_node_runs_is_let_in_and_recorded(#[case] username: &str, #[case] reason: Option<Reason>) {
    let placement = Placement {
        spec: ON_A_NODE,
        ..placement(None, MEMBER)
    };
    let known = [(in_payments(Verb::Join), Answer::Allowed(false))];
    let request = by(username, "", Action::Place(placement));
    let (decision, _) = run(&snapshot(guardrails(Mode::Enforce)), &request, &known);
    assert_eq!(decision.findings.first().map(|finding| finding.reason), reason);
    assert_eq!(decision.allowed(), reason == Some(Reason::Mirrored));
}

#[test]
fn a_relabelling_by_its_node_is_asked_for() {
    let placement = Placement {
        spec: ON_A_NODE,
        spec_before: ON_A_NODE,
        runs: Runs::Unchanged,
        ..placement(Some(OTHER), MEMBER)
    };
    let known = [(in_payments(Verb::Join), Answer::Allowed(false))];
    let request = by("system:node:node-0", "", Action::Place(placement));
    let (decision, _) = run(&snapshot(guardrails(Mode::Enforce)), &request, &known);
    assert!(!decision.allowed());
}
