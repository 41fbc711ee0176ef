//! Who may write the policies that hold a segment.

use super::*;

const IN_PAYMENTS: &str = "namespaces: [payments]";
const IN_BLUE: &str = "namespaceSelector: {matchLabels: {team: blue}}";

/// These Guardrails; segment `payments-db`: members `app=hollowdb` in these namespaces, clients `app=hollowapp` everywhere,
/// consent in payments.
fn guarding(settings: &str, namespaces: &str) -> Snapshot {
    snapshot(holding(settings, namespaces))
}

fn holding(settings: &str, namespaces: &str) -> Guardrails {
    let text = format!(
        "{{apiVersion: ringfence.dev/v1alpha1, kind: Guardrails, metadata: {{name: default}}, spec: {settings}}}
---
{{apiVersion: ringfence.dev/v1alpha1, kind: Segment, metadata: {{name: payments-db}}, spec: {{
  description: Card data. Ask team payments for access., consent: {{namespace: payments}},
  members: [{{{namespaces}, podSelector: {{matchLabels: {{app: hollowdb}}}}}}],
  clients: [{{namespaceSelector: {{}}, podSelector: {{matchLabels: {{app: hollowapp}}}}}}]}}}}
"
    );
    compiled(text)
}

fn guarded(settings: &str) -> Snapshot {
    guarding(settings, IN_PAYMENTS)
}

fn enforcing() -> Snapshot {
    guarded("{mode: Enforce}")
}

const MEMBERS: &str = r#"{"podSelector":{"matchLabels":{"app":"hollowdb"}},"policyTypes":["Ingress"]}"#;
const OTHERS: &str = r#"{"podSelector":{"matchLabels":{"app":"web"}},"policyTypes":["Ingress"]}"#;

fn needs_manage(snapshot: &Snapshot, request: &Request<'_>) {
    let refused = run(
        snapshot,
        request,
        &[(in_payments(Verb::Manage), Answer::Allowed(false))],
    );
    assert!(matches!(refused.0.verdict, Verdict::Deny(_)), "{:?}", refused.0);
    let allowed = run(snapshot, request, &[(in_payments(Verb::Manage), Answer::Allowed(true))]);
    assert!(allowed.0.allowed(), "{:?}", allowed.0);
    assert_eq!(allowed.0.findings[0].rule, "Manage");
}

fn needs_nothing(snapshot: &Snapshot, request: &Request<'_>) {
    let (decision, asked) = run(snapshot, request, &[]);
    assert_eq!(
        (&decision.verdict, decision.findings.len(), asked.len()),
        (&Verdict::Allow, 0, 0),
        "{decision:?}"
    );
}

#[test]
fn a_policy_that_could_select_members_is_refused_without_manage() {
    let request = write("payments", "allow-all", None, Some(r#"{"ingress":[{}]}"#), &[]);
    let known = [(in_payments(Verb::Manage), Answer::Allowed(false))];
    let Verdict::Deny(text) = run(&enforcing(), &request, &known).0.verdict else {
        panic!("expected a denial")
    };
    insta::assert_snapshot!(text, @r#"
    NetworkPolicy payments/allow-all may not be created over segment payments-db: user "mallory" lacks the permission.
      why:   its podSelector could select pods of members[0] of payments-db (Card data. Ask team payments for access.)
      check: kubectl auth can-i manage segments.ringfence.dev/payments-db -n payments
      grant: ringfence grant manage segments/payments-db --user mallory
    "#);
}

#[rstest]
#[case::the_same(MEMBERS)]
#[case::everything("{}")]
#[case::no_spec("")]
#[case::null("null")]
#[case::another_key(r#"{"podSelector":{"matchLabels":{"tier":"back"}}}"#)]
#[case::one_of_several(
    r#"{"podSelector":{"matchExpressions":[{"key":"app","operator":"In","values":["hollowdb","web"]}]}}"#
)]
#[case::all_but(r#"{"podSelector":{"matchExpressions":[{"key":"app","operator":"NotIn","values":["web"]}]}}"#)]
#[case::whatever_has_the_label(r#"{"podSelector":{"matchExpressions":[{"key":"app","operator":"Exists"}]}}"#)]
#[case::what_nobody_can_read(
    r#"{"podSelector":{"matchExpressions":[{"key":"app","operator":"Like","values":["web"]}]}}"#
)]
#[case::what_is_of_another_type(r#"{"podSelector":7}"#)]
fn whatever_could_select_a_member_needs_manage(#[case] spec: &str) {
    needs_manage(&enforcing(), &write("payments", "mine", None, Some(spec), &[]));
    needs_manage(&enforcing(), &write("payments", "mine", Some(spec), None, &[]));
}

#[rstest]
#[case::another_value(OTHERS)]
#[case::all_but_members(
    r#"{"podSelector":{"matchExpressions":[{"key":"app","operator":"NotIn","values":["hollowdb"]}]}}"#
)]
#[case::without_the_label(r#"{"podSelector":{"matchExpressions":[{"key":"app","operator":"DoesNotExist"}]}}"#)]
#[case::clients_alone(r#"{"podSelector":{"matchLabels":{"app":"hollowapp"}}}"#)]
fn what_can_select_no_member_needs_nothing(#[case] spec: &str) {
    needs_nothing(&enforcing(), &write("payments", "mine", None, Some(spec), &[]));
    needs_nothing(&enforcing(), &write("payments", "mine", Some(spec), None, &[]));
}

#[rstest]
#[case::it_comes_to_select_them(Some(OTHERS), Some(MEMBERS), &[PolicyChange::Content])]
#[case::it_no_longer_selects_them(Some(MEMBERS), Some(OTHERS), &[PolicyChange::Content])]
#[case::it_says_something_else(Some(MEMBERS), Some("{}"), &[PolicyChange::Labels, PolicyChange::Content])]
#[case::it_would_go_with_an_owner(Some(MEMBERS), Some(MEMBERS), &[PolicyChange::Owners])]
fn an_update_that_changes_something_needs_manage(
    #[case] before: Option<&str>,
    #[case] after: Option<&str>,
    #[case] changes: &[PolicyChange],
) {
    needs_manage(&enforcing(), &write("payments", "mine", before, after, changes));
}

#[rstest]
#[case::nothing(&[])]
#[case::labels(&[PolicyChange::Labels, PolicyChange::Annotations])]
#[case::a_finalizer(&[PolicyChange::Finalizers])]
fn an_update_that_changes_nothing_that_holds_needs_nothing(#[case] changes: &[PolicyChange]) {
    let request = write("payments", "mine", Some(MEMBERS), Some(MEMBERS), changes);
    needs_nothing(&enforcing(), &request);
}

#[test]
fn where_labels_say_which_namespace_is_meant_it_is_read_live() {
    let request = write("web", "mine", None, Some("{}"), &[]);
    let read = Question::Namespace(name("web"));
    let manage = in_payments(Verb::Manage);
    let snapshot = guarding("{mode: Enforce}", IN_BLUE);
    let live = |labels: &[(&str, &str)]| (read.clone(), Answer::Namespace(Some(namespace(labels))));
    let held = (manage.clone(), Answer::Allowed(false));
    let (decision, rounds) = run(&snapshot, &request, &[live(&[("team", "blue")]), held.clone()]);
    assert!(!decision.allowed());
    assert_eq!(rounds, [vec![read.clone()], vec![manage]]);
    let (decision, _) = run(&snapshot, &request, &[live(&[])]);
    assert!(decision.allowed() && decision.findings.is_empty(), "{decision:?}");
    let failed = (read, Answer::Failed("no answer".to_owned()));
    let (decision, _) = run(&snapshot, &request, &[failed]);
    assert!(matches!(decision.verdict, Verdict::Retry(..)), "{decision:?}");
}

/// What becomes, under these Guardrails, of a write that lacks the permission.
pub(super) fn refused(settings: &str) -> Decision {
    let request = write("payments", "mine", None, Some("{}"), &[]);
    let known = [(in_payments(Verb::Manage), Answer::Allowed(false))];
    run(&guarded(settings), &request, &known).0
}

#[rstest]
#[case::enforced("Enforce", "deny")]
#[case::warned("Warn", "warn")]
#[case::recorded("Audit", "audit")]
fn who_also_places_pods_there_does_not_write_its_policies(#[case] mode: &str, #[case] outcome: &str) {
    let snapshot = guarded(&format!("{{mode: Enforce, separationOfDuties: {{mode: {mode}}}}}"));
    let request = write("payments", "mine", None, Some("{}"), &[]);
    for other in [Verb::Join, Verb::Connect] {
        let holds = |verb| {
            (
                in_payments(verb),
                Answer::Allowed(verb == other || verb == Verb::Manage),
            )
        };
        let known = [Verb::Manage, Verb::Join, Verb::Connect].map(holds);
        let (decision, rounds) = run(&snapshot, &request, &known);
        assert_eq!(decision.outcome(), outcome, "{decision:?}");
        assert_eq!(rounds.len(), 1, "it takes no round of its own");
    }
}

/// What isolates namespaces is guarded by a permission at the cluster.
#[rstest]
#[case::enforced("{mode: Enforce, isolation: {defaultProfile: none}}", false)]
#[case::not_isolated("{mode: Enforce}", true)]
#[case::less_strictly_isolated("{mode: Enforce, isolation: {mode: Audit, defaultProfile: none}}", true)]
fn what_isolates_namespaces_is_left_to_its_own_guard(#[case] settings: &str, #[case] managed: bool) {
    let request = write("payments", "ringfence-default-deny-ingress", Some("{}"), None, &[]);
    let snapshot = guarded(settings);
    let (decision, _) = answering(&snapshot, &request, |question| match question {
        Question::Namespace(_) => Answer::Namespace(Some(namespace(&[]))),
        _ => Answer::Allowed(true),
    });
    assert_eq!(
        decision.findings.iter().any(|finding| finding.rule == "Manage"),
        managed
    );
}

/// Of what ringfence does not read nobody knows whom it selects.
#[test]
fn a_policy_of_another_kind_is_not_taken_for_a_network_policy() {
    let request = Request {
        group: "cilium.io".into(),
        resource: "ciliumnetworkpolicies".into(),
        ..write("payments", "mine", None, Some("{}"), &[])
    };
    let payments = Scope::Namespace(name("payments"));
    let kind = Permission::unread_policy("cilium.io", "ciliumnetworkpolicies", "mine", payments);
    let known = [(Question::Allowed(Who::Requester, kind), Answer::Allowed(true))];
    let (decision, _) = run(&enforcing(), &request, &known);
    assert!(
        decision.findings.iter().all(|finding| finding.rule != "Manage"),
        "{decision:?}"
    );
}

#[test]
fn writes_of_policies_fail_closed_where_members_can_be_and_wherever_a_policy_may_opt_in() {
    let enforced = |settings, namespaces| guarding(settings, namespaces).guardrails.enforced_on_policies();
    let named = enforced("{mode: Enforce}", IN_PAYMENTS);
    assert!(named.contains("payments") && named.contains("web"));
    let stricter = Guardrails {
        mode: Mode::Audit,
        ..holding("{mode: Enforce}", IN_PAYMENTS)
    };
    let named = stricter.enforced_on_policies();
    assert!(named.contains("payments") && !named.contains("web"));
    let selected = enforced("{mode: Enforce}", IN_BLUE);
    assert!(selected.contains("web") && !selected.contains("kube-system"));
    // What is not read may say anything.
    assert!(enforced("{mode: Enforce}", IN_PAYMENTS).contains("web"));
    assert!(enforced("{mode: Warn}", IN_BLUE).is_nowhere());
}
