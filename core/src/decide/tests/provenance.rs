//! What a controller makes: let in by its template's permission, where its owner bears it out.

use super::*;

#[test]
fn a_controllers_pod_inherits_its_templates_permission() {
    let (decision, rounds) = run(
        &snapshot(guardrails(Mode::Enforce)),
        &made_by_controller(),
        &[(owner_question(), owner("rs-1", CLIENT))],
    );
    assert!(decision.allowed());
    assert_eq!(decision.findings[0].reason, Reason::Inherited);
    assert_eq!(rounds, [[owner_question()]]);
}

#[rstest]
#[case::another_uid(owner("rs-2", CLIENT), "deny")]
#[case::a_template_without_the_label(owner("rs-1", OTHER), "deny")]
#[case::owner_gone(Answer::Owner(None), "deny")]
#[case::owner_unreadable(Answer::Failed("timeout".into()), "retry")]
fn an_owner_that_does_not_bear_it_out_is_no_provenance(#[case] read: Answer, #[case] outcome: &str) {
    let known = [
        (owner_question(), read),
        (in_payments(Verb::Connect), Answer::Allowed(false)),
    ];
    assert_eq!(
        run(&snapshot(guardrails(Mode::Enforce)), &made_by_controller(), &known)
            .0
            .outcome(),
        outcome
    );
}

#[rstest]
#[case::a_person(|request: &mut Request<'_>| request.identity.username = "mallory".into())]
#[case::impersonated_without_uid(|request: &mut Request<'_>| request.identity.uid = "".into())]
#[case::another_controller(|request: &mut Request<'_>| {
    request.identity.username = "system:serviceaccount:kube-system:job-controller".into();
})]
#[case::an_account_of_that_name_elsewhere(|request: &mut Request<'_>| {
    request.identity.username = "system:serviceaccount:web:replicaset-controller".into();
})]
#[case::on_update(|request: &mut Request<'_>| {
    request.operation = Operation::Update;
    let [Action::Place(placement)] = request.actions.as_mut_slice() else { unreachable!() };
    placement.before = Some(Labels::default());
})]
#[case::two_controllers(|request: &mut Request<'_>| {
    let [Action::Place(placement)] = request.actions.as_mut_slice() else { unreachable!() };
    placement.controllers = Controllers::Several;
})]
#[case::no_owner(|request: &mut Request<'_>| {
    let [Action::Place(placement)] = request.actions.as_mut_slice() else { unreachable!() };
    placement.controllers = Controllers::None;
})]
#[case::an_owner_of_another_group(|request: &mut Request<'_>| {
    let [Action::Place(placement)] = request.actions.as_mut_slice() else { unreachable!() };
    let Controllers::One(owner) = &mut placement.controllers else { unreachable!() };
    owner.api_version = "example.com/v1".into();
})]
fn only_the_controller_itself_on_create_has_provenance(#[case] change: fn(&mut Request<'_>)) {
    let mut request = made_by_controller();
    change(&mut request);
    let known = [(in_payments(Verb::Connect), Answer::Allowed(false))];
    let (decision, rounds) = run(&snapshot(guardrails(Mode::Enforce)), &request, &known);
    assert!(!decision.allowed());
    assert_eq!(rounds, [[in_payments(Verb::Connect)]], "the owner is not even read");
}
