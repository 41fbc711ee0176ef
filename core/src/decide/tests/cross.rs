//! What connects a segment with what it is kept apart from: by policies on either side, and by the labels of namespaces.

use super::*;
use crate::model::Policies;

/// These Guardrails; segment `payments-db`: members `app=hollowdb` in payments and where a namespace is labelled `pci=yes`,
/// kept apart from every pod of namespaces labelled `env=dev` and from `app=scanner` in tools. Beside payments and web there
/// are dev-1 (`env=dev`), tools, and blue (`team=blue`).
fn apart(settings: &str) -> Snapshot {
    let text = format!(
        "{{apiVersion: ringfence.dev/v1alpha1, kind: Guardrails, metadata: {{name: default}}, spec: {settings}}}
---
{{apiVersion: ringfence.dev/v1alpha1, kind: Segment, metadata: {{name: payments-db}}, spec: {{
  description: Card data., consent: {{cluster: true}},
  members: [
    {{namespaces: [payments], podSelector: {{matchLabels: {{app: hollowdb}}}}}},
    {{namespaceSelector: {{matchLabels: {{pci: 'yes'}}}}, podSelector: {{matchLabels: {{app: hollowdb}}}}}}],
  isolatedFrom: [
    {{namespaceSelector: {{matchLabels: {{env: dev}}}}}},
    {{namespaces: [tools], podSelector: {{matchLabels: {{app: scanner}}}}}}]}}}}
"
    );
    let mut snapshot = snapshot(compiled(text));
    let namespaces = Arc::make_mut(&mut snapshot.namespaces);
    for (text, labels) in [
        ("dev-1", &[("env", "dev")][..]),
        ("tools", &[]),
        ("blue", &[("team", "blue")]),
    ] {
        namespaces.insert(name(text), Arc::new(namespace(labels)));
    }
    snapshot
}

fn enforcing() -> Snapshot {
    apart("{mode: Enforce}")
}

/// With these policies standing, each by namespace, name and spec.
fn standing(policies: &[(&str, &str, &str)]) -> Snapshot {
    let standing = |(namespace, name, spec): &(&str, &str, &str)| {
        let policy = policy(namespace, name, spec);
        (policy.name.clone(), Arc::new(policy))
    };
    Snapshot {
        policies: Arc::new(policies.iter().map(standing).collect::<Policies>()),
        ..enforcing()
    }
}

fn cross() -> Question {
    asks(Verb::Cross, Scope::Cluster)
}

/// What is answered where `cross` is or is not held, every other permission is, and namespaces are as last seen.
pub(super) fn verdict(snapshot: &Snapshot, request: &Request<'_>, crosses: bool) -> Decision {
    let answer = |question: &Question| match question {
        Question::Namespace(name) => {
            Answer::Namespace(snapshot.namespaces.get(name).map(|namespace| (**namespace).clone()))
        }
        Question::Allowed(..) if *question == cross() => Answer::Allowed(crosses),
        Question::Allowed(..) => Answer::Allowed(true),
        other => panic!("unexpected question: {other:?}"),
    };
    answering(snapshot, request, answer).0
}

#[track_caller]
fn needs_cross(snapshot: &Snapshot, request: &Request<'_>) -> String {
    let refused = verdict(snapshot, request, false);
    let Verdict::Deny(text) = &refused.verdict else {
        panic!("expected a denial: {refused:?}")
    };
    let crossed = verdict(snapshot, request, true);
    assert!(crossed.allowed(), "{crossed:?}");
    assert!(crossed.findings.iter().any(|finding| finding.rule == "Cross"));
    text.clone()
}

#[track_caller]
fn needs_none(snapshot: &Snapshot, request: &Request<'_>) {
    let decision = verdict(snapshot, request, false);
    assert!(decision.allowed(), "{decision:?}");
    assert!(!decision.findings.iter().any(|finding| finding.rule == "Cross"));
}

fn created<'a>(namespace: &'a str, spec: &'a str) -> Request<'a> {
    write(namespace, "mine", None, Some(spec), &[])
}

pub(super) fn of_namespace<'a>(
    name: &'a str,
    before: Option<&[(&'a str, &'a str)]>,
    after: &[(&'a str, &'a str)],
) -> Request<'a> {
    let after = after.iter().copied().collect();
    let action = match before {
        None => Action::CreateNamespace(after),
        Some(before) => Action::RelabelNamespace {
            before: before.iter().copied().collect(),
            after,
        },
    };
    let whole = request(name, action);
    Request {
        operation: before.map_or(Operation::Create, |_| Operation::Update),
        resource: "namespaces".into(),
        subject: Subject {
            kind: "namespace".into(),
            name: name.into(),
            ..whole.subject.clone()
        },
        ..whole
    }
}

const FROM_EVERY_NAMESPACE: &str =
    r#"{"podSelector":{"matchLabels":{"app":"hollowdb"}},"ingress":[{"from":[{"namespaceSelector":{}}]}]}"#;
const FROM_BLUE: &str = r#"{"podSelector":{"matchLabels":{"app":"hollowdb"}},"ingress":[{"from":[{"namespaceSelector":{"matchLabels":{"team":"blue"}}}]}]}"#;

#[test]
fn a_policy_that_connects_them_is_refused_without_cross() {
    insta::assert_snapshot!(needs_cross(&enforcing(), &created("payments", FROM_EVERY_NAMESPACE)), @r#"
    NetworkPolicy payments/mine may not connect to what segment payments-db is isolated from: user "mallory" lacks the permission.
      why:   ingress[0].from[0] lets isolatedFrom[0] in namespace dev-1 reach members[0] of payments-db (Card data.)
      check: kubectl auth can-i cross segments.ringfence.dev/payments-db --all-namespaces
      grant: ringfence grant cross segments/payments-db --cluster --user mallory
    "#);
}

#[rstest]
#[case::for_everyone(r#"{"ingress":[{}]}"#)]
#[case::for_everyone_on_a_port(r#"{"ingress":[{"from":[],"ports":[{"port":3306}]}]}"#)]
#[case::out_to_everyone(r#"{"egress":[{}]}"#)]
#[case::out_to_every_namespace(r#"{"policyTypes":["Egress"],"egress":[{"to":[{"namespaceSelector":{}}]}]}"#)]
#[case::its_label(r#"{"ingress":[{"from":[{"namespaceSelector":{"matchLabels":{"env":"dev"}}}]}]}"#)]
#[case::its_name(
    r#"{"ingress":[{"from":[{"namespaceSelector":{"matchLabels":{"kubernetes.io/metadata.name":"dev-1"}}}]}]}"#
)]
#[case::all_but(r#"{"ingress":[{"from":[{"namespaceSelector":{"matchExpressions":[{"key":"env","operator":"NotIn","values":["prod"]}]}}]}]}"#)]
#[case::one_peer_of_many(r#"{"ingress":[{"from":[{"podSelector":{}},{"namespaceSelector":{"matchLabels":{"env":"dev"}},"podSelector":{"matchLabels":{"a":"b"}}}]}]}"#)]
#[case::some_pods_of_tools(
    r#"{"ingress":[{"from":[{"namespaceSelector":{"matchLabels":{"kubernetes.io/metadata.name":"tools"}}}]}]}"#
)]
#[case::what_nobody_can_read(r#"{"podSelector":7}"#)]
fn over_members_it_needs_cross(#[case] spec: &str) {
    needs_cross(&enforcing(), &created("payments", spec));
    let same = write("payments", "mine", Some(spec), Some(spec), &[PolicyChange::Owners]);
    needs_cross(&enforcing(), &same);
    let labels = write("payments", "mine", Some(spec), Some(spec), &[PolicyChange::Labels]);
    needs_none(&enforcing(), &labels);
    needs_none(&enforcing(), &write("payments", "mine", Some(spec), None, &[]));
}

#[rstest]
#[case::nothing("{}")]
#[case::no_rules(r#"{"policyTypes":["Ingress","Egress"]}"#)]
#[case::own_pods(r#"{"ingress":[{"from":[{"podSelector":{}}]}]}"#)]
#[case::others(FROM_BLUE)]
#[case::addresses(r#"{"ingress":[{"from":[{"ipBlock":{"cidr":"0.0.0.0/0"}}]}]}"#)]
#[case::rules_of_no_direction(r#"{"policyTypes":["Ingress"],"egress":[{}]}"#)]
#[case::other_pods_of_tools(r#"{"ingress":[{"from":[{"namespaceSelector":{"matchLabels":{"kubernetes.io/metadata.name":"tools"}},"podSelector":{"matchLabels":{"app":"agent"}}}]}]}"#)]
#[case::no_namespace_is_meant(r#"{"ingress":[{"from":[{"namespaceSelector":{"matchLabels":{"env":"test"}}}]}]}"#)]
#[case::both_labels(r#"{"ingress":[{"from":[{"namespaceSelector":{"matchLabels":{"env":"dev","team":"blue"}}}]}]}"#)]
#[case::other_pods(r#"{"podSelector":{"matchLabels":{"app":"web"}},"ingress":[{}]}"#)]
fn over_members_it_needs_none(#[case] spec: &str) {
    needs_none(&enforcing(), &created("payments", spec));
}

#[rstest]
#[case::out_to_everyone("dev-1", r#"{"policyTypes":["Egress"],"egress":[{}]}"#)]
#[case::out_to_every_namespace(
    "dev-1",
    r#"{"policyTypes":["Egress"],"egress":[{"to":[{"namespaceSelector":{}}]}]}"#
)]
#[case::out_to_members("dev-1", r#"{"egress":[{"to":[{"namespaceSelector":{"matchLabels":{"kubernetes.io/metadata.name":"payments"}},"podSelector":{"matchLabels":{"app":"hollowdb"}}}]}]}"#)]
#[case::in_from_everyone("dev-1", r#"{"ingress":[{}]}"#)]
#[case::some_pods("tools", r#"{"podSelector":{"matchLabels":{"tier":"x"}},"egress":[{}]}"#)]
fn over_what_is_kept_apart_it_needs_cross(#[case] namespace: &str, #[case] spec: &str) {
    needs_cross(&enforcing(), &created(namespace, spec));
}

#[rstest]
#[case::out_to_other_pods("dev-1", r#"{"egress":[{"to":[{"namespaceSelector":{"matchLabels":{"kubernetes.io/metadata.name":"payments"}},"podSelector":{"matchLabels":{"app":"api"}}}]}]}"#)]
#[case::within_it(
    "dev-1",
    r#"{"ingress":[{"from":[{"podSelector":{}}]}],"egress":[{"to":[{"podSelector":{}}]}]}"#
)]
#[case::other_pods("tools", r#"{"podSelector":{"matchLabels":{"app":"agent"}},"egress":[{}]}"#)]
#[case::a_third_party("web", r#"{"ingress":[{}],"egress":[{}]}"#)]
fn over_others_it_needs_none(#[case] namespace: &str, #[case] spec: &str) {
    needs_none(&enforcing(), &created(namespace, spec));
}

#[test]
fn the_policys_own_namespace_is_read_live() {
    let snapshot = enforcing();
    let request = created("web", r#"{"policyTypes":["Egress"],"egress":[{}]}"#);
    let read = Question::Namespace(name("web"));
    let live = |labels: &[(&str, &str)]| (read.clone(), Answer::Namespace(Some(namespace(labels))));
    let refused = (cross(), Answer::Allowed(false));
    let (decision, rounds) = run(&snapshot, &request, &[live(&[("env", "dev")]), refused.clone()]);
    assert!(!decision.allowed());
    assert_eq!(rounds[0], vec![read.clone()]);
    assert!(run(&snapshot, &request, &[live(&[])]).0.allowed());
    let failed = (read, Answer::Failed("no answer".to_owned()));
    let decision = run(&snapshot, &request, &[failed]).0;
    assert!(matches!(decision.verdict, Verdict::Retry(..)), "{decision:?}");
}

#[test]
fn a_relabelled_namespace_that_comes_under_a_policy_needs_cross() {
    let snapshot = standing(&[("payments", "from-blue", FROM_BLUE)]);
    let text = needs_cross(
        &snapshot,
        &of_namespace("dev-1", Some(&[("env", "dev")]), &[("env", "dev"), ("team", "blue")]),
    );
    insta::assert_snapshot!(text, @r#"
    namespace dev-1 may not connect to what segment payments-db is isolated from: user "mallory" lacks the permission.
      why:   ingress[0].from[0] of NetworkPolicy payments/from-blue lets isolatedFrom[0] in namespace dev-1 reach members[0] of payments-db (Card data.)
      check: kubectl auth can-i cross segments.ringfence.dev/payments-db --all-namespaces
      grant: ringfence grant cross segments/payments-db --cluster --user mallory
    "#);
    // Whichever of the two labels comes last.
    needs_cross(
        &snapshot,
        &of_namespace("blue", Some(&[("team", "blue")]), &[("env", "dev"), ("team", "blue")]),
    );
    let both = [("env", "dev"), ("team", "blue")];
    needs_cross(&snapshot, &of_namespace("new", None, &both));
    // What connected them before and still does, and what does not.
    needs_none(
        &snapshot,
        &of_namespace("new", Some(&both), &[("env", "dev"), ("team", "blue"), ("a", "b")]),
    );
    needs_none(&snapshot, &of_namespace("new", None, &[("env", "dev")]));
    needs_none(&snapshot, &of_namespace("new", None, &[("team", "blue")]));
    needs_none(&snapshot, &of_namespace("dev-1", Some(&both), &[("env", "dev")]));
}

#[test]
fn a_namespace_that_its_own_policies_would_open_needs_cross() {
    let out = r#"{"policyTypes":["Egress"],"egress":[{}]}"#;
    let snapshot = standing(&[("web", "out", out)]);
    needs_cross(&snapshot, &of_namespace("web", Some(&[]), &[("env", "dev")]));
    // As a namespace of members it is open to what is kept apart.
    needs_cross(
        &standing(&[("web", "in", r#"{"ingress":[{}]}"#)]),
        &of_namespace("web", Some(&[]), &[("pci", "yes")]),
    );
    needs_none(&snapshot, &of_namespace("web", Some(&[]), &[("team", "blue")]));
    // One of the same name that is gone left nothing.
    needs_none(&snapshot, &of_namespace("web", None, &[("env", "dev")]));
}

#[test]
fn a_namespace_of_members_that_others_policies_reach_needs_cross() {
    let to_pci =
        r#"{"policyTypes":["Egress"],"egress":[{"to":[{"namespaceSelector":{"matchLabels":{"team":"cards"}}}]}]}"#;
    let snapshot = standing(&[("dev-1", "to-cards", to_pci)]);
    needs_cross(
        &snapshot,
        &of_namespace("new", None, &[("pci", "yes"), ("team", "cards")]),
    );
    needs_none(&snapshot, &of_namespace("new", None, &[("pci", "yes")]));
    needs_none(&snapshot, &of_namespace("new", None, &[("team", "cards")]));
}

#[rstest]
#[case::its_label(&[("env", "dev")], &[])]
#[case::another_value(&[("env", "dev")], &[("env", "prod")])]
fn a_namespace_that_leaves_what_is_kept_apart_needs_cross(
    #[case] before: &[(&'static str, &'static str)],
    #[case] after: &[(&'static str, &'static str)],
) {
    let text = needs_cross(&enforcing(), &of_namespace("dev-1", Some(before), after));
    assert!(
        text.contains("may not leave what segment payments-db is isolated from"),
        "{text}"
    );
}

#[test]
fn a_namespace_that_stays_apart_by_another_clause_needs_none() {
    let mut snapshot = enforcing();
    let guardrails = Arc::get_mut(&mut snapshot.guardrails).expect("not shared yet");
    let mut other = guardrails.segments[0].isolated_from[0].clone();
    other.namespaces = NamespaceSet::Selected(selector(&[("env", "test")]));
    guardrails.segments[0].isolated_from.push(other);
    needs_none(
        &snapshot,
        &of_namespace("dev-1", Some(&[("env", "dev")]), &[("env", "test")]),
    );
}

/// A policy whose namespace is not known yet is taken for one of those that count.
#[test]
fn what_is_not_known_yet_counts() {
    let out = r#"{"policyTypes":["Egress"],"egress":[{}]}"#;
    let snapshot = standing(&[("unseen", "out", out)]);
    needs_cross(&snapshot, &of_namespace("new", None, &[("pci", "yes")]));
}

/// What becomes, under these Guardrails, of a write that lacks the permission.
pub(super) fn refused(settings: &str) -> Decision {
    verdict(&apart(settings), &created("payments", FROM_EVERY_NAMESPACE), false)
}

#[test]
fn writes_fail_closed_where_something_is_kept_apart() {
    let guardrails = enforcing().guardrails;
    assert!(guardrails.enforced_on_namespaces().contains("anything"));
    assert!(guardrails.enforced_on_policies().contains("dev-1"));
    let warning = apart("{mode: Warn}").guardrails;
    assert!(warning.enforced_on_namespaces().is_nowhere() && warning.enforced_on_policies().is_nowhere());
}

#[test]
fn nothing_is_asked_where_nothing_is_kept_apart() {
    let snapshot = super::snapshot(guardrails(Mode::Enforce));
    needs_none(&snapshot, &created("web", r#"{"ingress":[{}]}"#));
    needs_none(&snapshot, &of_namespace("web", Some(&[]), &[("env", "dev")]));
}
