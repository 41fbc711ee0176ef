//! What leaves members without a policy.

use super::*;

const IN_PAYMENTS: &str = "namespaces: [payments]";
const IN_BLUE: &str = "namespaceSelector: {matchLabels: {team: blue}}";

/// These Guardrails; segment `payments-db`: members `app=hollowdb` in these namespaces, which are always isolated in these
/// directions.
fn requiring(settings: &str, namespaces: &str, directions: &str) -> Snapshot {
    let text = format!(
        "{{apiVersion: ringfence.dev/v1alpha1, kind: Guardrails, metadata: {{name: default}}, spec: {settings}}}
---
{{apiVersion: ringfence.dev/v1alpha1, kind: Segment, metadata: {{name: payments-db}}, spec: {{
  description: Card data., consent: {{namespace: payments}}, requireIsolation: {directions},
  members: [{{{namespaces}, podSelector: {{matchLabels: {{app: hollowdb}}}}}}]}}}}
"
    );
    snapshot(compiled(text))
}

fn ingress() -> Snapshot {
    requiring("{mode: Enforce}", IN_PAYMENTS, "[Ingress]")
}

fn waive() -> Question {
    Question::Allowed(Who::Requester, Permission::waive("RequireIsolation"))
}

/// Who may manage the segment, and these policies stand.
fn managing(standing: &[(&str, &str)]) -> Vec<(Question, Answer)> {
    let policies = standing
        .iter()
        .map(|(name, spec)| Arc::new(policy("payments", name, spec)));
    vec![
        (in_payments(Verb::Manage), Answer::Allowed(true)),
        (
            Question::Policies(name("payments")),
            Answer::Policies(policies.collect()),
        ),
    ]
}

fn with(mut known: Vec<(Question, Answer)>, question: Question, answer: Answer) -> Vec<(Question, Answer)> {
    known.push((question, answer));
    known
}

/// Whether the write is let in only for who may waive, these policies standing.
#[track_caller]
fn needs_waive(snapshot: &Snapshot, request: &Request<'_>, standing: &[(&str, &str)]) {
    let refused = run(
        snapshot,
        request,
        &with(managing(standing), waive(), Answer::Allowed(false)),
    )
    .0;
    assert!(matches!(refused.verdict, Verdict::Deny(_)), "{refused:?}");
    let found = refused.findings.iter().find(|finding| finding.reason.refuses());
    assert_eq!(found.map(|finding| finding.rule), Some("RequireIsolation"));
    let waived = run(
        snapshot,
        request,
        &with(managing(standing), waive(), Answer::Allowed(true)),
    )
    .0;
    assert!(waived.allowed(), "{waived:?}");
}

/// Whether the write is let in without asking who may waive.
#[track_caller]
fn passes(snapshot: &Snapshot, request: &Request<'_>, standing: &[(&str, &str)]) {
    let decision = run(snapshot, request, &managing(standing)).0;
    assert!(decision.allowed(), "{decision:?}");
}

const MEMBERS: &str = r#"{"podSelector":{"matchLabels":{"app":"hollowdb"}},"policyTypes":["Ingress"]}"#;
const EVERYTHING: &str = r#"{"podSelector":{},"policyTypes":["Ingress"]}"#;
const OUT: &str = r#"{"podSelector":{},"policyTypes":["Egress"]}"#;
const OTHERS: &str = r#"{"podSelector":{"matchLabels":{"app":"web"}},"policyTypes":["Ingress"]}"#;
const BACK: &str = r#"{"podSelector":{"matchLabels":{"app":"hollowdb","tier":"back"}},"policyTypes":["Ingress"]}"#;
const NOT_BACK: &str = r#"{"podSelector":{"matchLabels":{"app":"hollowdb"},"matchExpressions":[{"key":"tier","operator":"NotIn","values":["back"]}]},"policyTypes":["Ingress"]}"#;

fn deleted(spec: &'static str) -> Request<'static> {
    write("payments", "mine", Some(spec), None, &[])
}

fn changed(before: &'static str, after: &'static str) -> Request<'static> {
    write("payments", "mine", Some(before), Some(after), &[PolicyChange::Content])
}

#[test]
fn the_last_policy_of_members_is_refused_without_waive() {
    let known = with(managing(&[("mine", MEMBERS)]), waive(), Answer::Allowed(false));
    let (decision, rounds) = run(&ingress(), &deleted(MEMBERS), &known);
    let Verdict::Deny(text) = decision.verdict else {
        panic!("expected a denial")
    };
    insta::assert_snapshot!(text, @r#"
    NetworkPolicy payments/mine may not leave members of segment payments-db unisolated: user "mallory" lacks the permission.
      why:   no policy that remains isolates those pods of members[0] (Ingress) of payments-db that it isolates (Card data.)
      check: kubectl auth can-i waive policychecks.ringfence.dev/RequireIsolation --all-namespaces
      grant: ringfence grant waive policychecks/RequireIsolation --cluster --user mallory
    "#);
    assert_eq!(
        rounds,
        [
            vec![in_payments(Verb::Manage), Question::Policies(name("payments"))],
            vec![waive()]
        ]
    );
}

#[rstest]
#[case::nothing_else(&[])]
#[case::itself_which_the_list_still_has(&[("mine", MEMBERS)])]
#[case::one_of_the_other_direction(&[("other", OUT)])]
#[case::one_of_other_pods(&[("other", OTHERS)])]
#[case::one_of_some_of_the_pods(&[("other", BACK)])]
fn what_does_not_hold_the_members_does_not_remain_for_them(#[case] standing: &[(&str, &str)]) {
    needs_waive(&ingress(), &deleted(MEMBERS), standing);
    needs_waive(&ingress(), &deleted(EVERYTHING), standing);
    needs_waive(&ingress(), &deleted("{}"), standing);
}

#[rstest]
#[case::the_same(&[("other", MEMBERS)])]
#[case::every_pod(&[("other", EVERYTHING)])]
#[case::without_a_spec(&[("other", "{}")])]
#[case::two_together(&[("one", BACK), ("two", NOT_BACK)])]
fn what_holds_the_members_remains_for_them(#[case] standing: &[(&str, &str)]) {
    passes(&ingress(), &deleted(MEMBERS), standing);
    passes(&ingress(), &changed(MEMBERS, OTHERS), standing);
}

#[rstest]
#[case::other_pods(MEMBERS, OTHERS)]
#[case::fewer_pods(MEMBERS, BACK)]
#[case::the_other_direction(MEMBERS, OUT)]
#[case::a_direction_less(r#"{"podSelector":{},"policyTypes":["Ingress","Egress"]}"#, OUT)]
#[case::what_nobody_can_read(MEMBERS, r#"{"podSelector":7}"#)]
#[case::what_the_api_server_would_refuse(MEMBERS, r#"{"policyTypes":["ingress"]}"#)]
fn a_narrowed_policy_needs_waive(#[case] before: &'static str, #[case] after: &'static str) {
    needs_waive(&ingress(), &changed(before, after), &[("mine", before)]);
}

#[rstest]
#[case::more_pods(BACK, MEMBERS)]
#[case::every_pod(MEMBERS, "{}")]
#[case::both_directions(MEMBERS, r#"{"podSelector":{},"policyTypes":["Ingress","Egress"]}"#)]
#[case::other_rules(MEMBERS, r#"{"podSelector":{"matchLabels":{"app":"hollowdb"}},"ingress":[{}]}"#)]
#[case::what_never_held_them(OUT, OTHERS)]
#[case::pods_that_are_no_members(r#"{"policyTypes":["Ingress"]}"#, MEMBERS)]
fn what_still_holds_the_members_asks_nobody(#[case] before: &'static str, #[case] after: &'static str) {
    let known = [(in_payments(Verb::Manage), Answer::Allowed(true))];
    assert!(run(&ingress(), &changed(before, after), &known).0.allowed());
}

#[test]
fn what_never_held_members_and_what_comes_asks_nobody() {
    let known = [(in_payments(Verb::Manage), Answer::Allowed(true))];
    for request in [
        deleted(OUT),
        deleted(OTHERS),
        write("payments", "mine", None, Some(MEMBERS), &[]),
        write("payments", "mine", Some(MEMBERS), Some(OTHERS), &[PolicyChange::Labels]),
        write("web", "mine", Some("{}"), None, &[]),
    ] {
        assert!(run(&ingress(), &request, &known).0.allowed(), "{request:?}");
    }
}

#[test]
fn a_part_of_the_members_is_not_left_either() {
    needs_waive(&ingress(), &deleted(BACK), &[("mine", BACK), ("other", NOT_BACK)]);
    passes(&ingress(), &deleted(BACK), &[("mine", BACK), ("other", MEMBERS)]);
}

#[test]
fn each_direction_is_required_by_itself() {
    let both = requiring("{mode: Enforce}", IN_PAYMENTS, "[Ingress, Egress]");
    let request = deleted(r#"{"policyTypes":["Ingress","Egress"]}"#);
    needs_waive(&both, &request, &[("in", EVERYTHING)]);
    needs_waive(&both, &request, &[("out", OUT)]);
    passes(&both, &request, &[("in", EVERYTHING), ("out", OUT)]);
}

#[test]
fn where_labels_say_which_namespace_is_meant_it_is_read_live() {
    let snapshot = requiring("{mode: Enforce}", IN_BLUE, "[Ingress]");
    let live = |labels: &[(&str, &str)]| {
        (
            Question::Namespace(name("payments")),
            Answer::Namespace(Some(namespace(labels))),
        )
    };
    let known = |labels: &[(&str, &str)]| {
        let mut known = with(managing(&[]), waive(), Answer::Allowed(false));
        known.push(live(labels));
        known
    };
    assert!(
        !run(&snapshot, &deleted(MEMBERS), &known(&[("team", "blue")]))
            .0
            .allowed()
    );
    assert!(run(&snapshot, &deleted(MEMBERS), &known(&[])).0.allowed());
}

#[test]
fn what_cannot_be_listed_is_refused_for_now() {
    let failed = Answer::Failed("no answer".to_owned());
    let known = [
        (in_payments(Verb::Manage), Answer::Allowed(true)),
        (Question::Policies(name("payments")), failed),
    ];
    let decision = run(&ingress(), &deleted(MEMBERS), &known).0;
    assert!(matches!(decision.verdict, Verdict::Retry(..)), "{decision:?}");
}

/// What becomes, under these Guardrails, of a write that lacks the permission.
pub(super) fn refused(settings: &str) -> Decision {
    let known = with(managing(&[]), waive(), Answer::Allowed(false));
    let snapshot = requiring(settings, IN_PAYMENTS, "[Ingress]");
    run(&snapshot, &deleted(MEMBERS), &known).0
}
