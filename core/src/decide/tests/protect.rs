//! Who may have a policy protect its pods, and who may change one that does; who is asked for its members and clients.

use super::*;
use crate::guardrails::{Derived, PROTECTED_LABEL};
use crate::model::{PolicySpecText, PolicyText};

type Pairs = &'static [(&'static str, &'static str)];
/// Labels and spec of one side.
type Side = Option<(Pairs, &'static str)>;

const OPTED_IN: Pairs = &[PROTECTED_LABEL];
const OUT: Pairs = &[];
const OURS: Pairs = &[PROTECTED_LABEL, ("app.kubernetes.io/managed-by", "ringfence")];
const NEARLY: Pairs = &[("ringfence.dev/protected", "yes")];

const WITHIN: &str = r#"{"podSelector":{"matchLabels":{"app":"db"}},
    "ingress":[{"from":[{"podSelector":{"matchLabels":{"app":"web"}}}]}]}"#;
const OTHER: &str = r#"{"podSelector":{"matchLabels":{"app":"other"}}}"#;
const BEYOND: &str = r#"{"podSelector":{"matchLabels":{"app":"db"}},
    "ingress":[{"from":[{"namespaceSelector":{},"podSelector":{"matchLabels":{"app":"web"}}}]}]}"#;
const PINNED: &str = r#"{"podSelector":{"matchLabels":{"app":"db"}},"ingress":[{"from":[{
    "namespaceSelector":{"matchLabels":{"kubernetes.io/metadata.name":"web"}},
    "podSelector":{"matchLabels":{"app":"web"}}}]}]}"#;

fn settings(spec: &str) -> Guardrails {
    compiled(document("Guardrails", "default", spec))
}

/// The guardrails of this spec, with what is derived from policy `web/db`.
fn protecting(spec: &str, protected: &str) -> Snapshot {
    let policy = policy("web", "db", protected);
    let guardrails = settings(spec);
    let since = Since::default().advanced(&guardrails, ENFORCED);
    Snapshot {
        since: Arc::new(since),
        ..snapshot(guardrails.with_derived([&Derived::of(&policy)]))
    }
}

fn enforcing() -> Snapshot {
    snapshot(settings("{mode: Enforce}"))
}

fn write(before: Side, after: Side, changes: &[PolicyChange]) -> Request<'static> {
    let text = |(labels, spec): (Pairs, &'static str)| PolicyText {
        labels: labels.iter().copied().collect::<Labels<'_>>(),
        spec: PolicySpecText(spec),
    };
    policy_write(("web", "db"), before.map(text), after.map(text), changes)
}

fn on_policy(verb: Verb, scope: Scope) -> Question {
    Question::Allowed(Who::Requester, Permission::policy(verb, "db", scope))
}

fn in_web(verb: Verb) -> Question {
    on_policy(verb, Scope::Namespace(name("web")))
}

#[track_caller]
fn needs(question: &Question, request: &Request<'_>) {
    let (refused, rounds) = run(&enforcing(), request, &[(question.clone(), Answer::Allowed(false))]);
    assert!(matches!(refused.verdict, Verdict::Deny(_)), "{refused:?}");
    assert_eq!(rounds, [[question.clone()]]);
    let (allowed, _) = run(&enforcing(), request, &[(question.clone(), Answer::Allowed(true))]);
    assert!(allowed.allowed(), "{allowed:?}");
    assert_eq!((allowed.findings.len(), allowed.findings[0].rule), (1, "Protect"));
}

#[test]
fn opting_in_is_refused_without_protect() {
    let request = write(Some((OUT, WITHIN)), Some((OPTED_IN, WITHIN)), &[PolicyChange::Labels]);
    let known = [(in_web(Verb::Protect), Answer::Allowed(false))];
    let Verdict::Deny(text) = run(&enforcing(), &request, &known).0.verdict else {
        panic!("expected a denial")
    };
    insta::assert_snapshot!(text, @r#"
    NetworkPolicy web/db may not be protected: user "mallory" lacks the permission.
      why:   label ringfence.dev/protected=true makes a segment of it: who places the pods that it selects or names needs permissions on it
      check: kubectl auth can-i protect networkpolicies.networking.k8s.io/db -n web
      grant: ringfence grant protect networkpolicies.networking.k8s.io/db -n web --user mallory
    "#);
}

#[test]
fn what_reaches_other_teams_pods_is_asked_at_the_cluster() {
    let request = write(None, Some((OPTED_IN, BEYOND)), &[]);
    let known = [(on_policy(Verb::Protect, Scope::Cluster), Answer::Allowed(false))];
    let Verdict::Deny(text) = run(&enforcing(), &request, &known).0.verdict else {
        panic!("expected a denial")
    };
    insta::assert_snapshot!(text, @r#"
    NetworkPolicy web/db may not be protected: user "mallory" lacks the permission.
      why:   label ringfence.dev/protected=true makes a segment of it: who places the pods that it selects or names needs permissions on it; ingress[0].from[0] reaches beyond web, so the cluster is asked
      check: kubectl auth can-i protect networkpolicies.networking.k8s.io/db --all-namespaces
      grant: ringfence grant protect networkpolicies.networking.k8s.io/db --cluster --user mallory
    "#);
}

#[rstest]
#[case::created_protected(None, Some((OPTED_IN, WITHIN)), &[])]
#[case::pinned_to_its_namespace(None, Some((OPTED_IN, PINNED)), &[])]
#[case::opted_in(Some((OUT, WITHIN)), Some((OPTED_IN, WITHIN)), &[PolicyChange::Labels])]
#[case::opted_out(Some((OPTED_IN, WITHIN)), Some((OUT, WITHIN)), &[PolicyChange::Labels])]
#[case::opted_out_by_another_value(Some((OPTED_IN, WITHIN)), Some((NEARLY, WITHIN)), &[PolicyChange::Labels])]
#[case::opted_out_as_one_of_ours(Some((OPTED_IN, WITHIN)), Some((OURS, WITHIN)), &[PolicyChange::Labels])]
#[case::changed(Some((OPTED_IN, WITHIN)), Some((OPTED_IN, OTHER)), &[PolicyChange::Content])]
#[case::given_an_owner(Some((OPTED_IN, WITHIN)), Some((OPTED_IN, WITHIN)), &[PolicyChange::Owners])]
#[case::deleted(Some((OPTED_IN, WITHIN)), None, &[])]
#[case::unreadable(None, Some((OPTED_IN, r#"{"podSelector":7}"#)), &[])]
fn what_touches_protection_needs_protect(#[case] before: Side, #[case] after: Side, #[case] changes: &[PolicyChange]) {
    needs(&in_web(Verb::Protect), &write(before, after, changes));
}

#[rstest]
#[case::created(None, Some((OPTED_IN, BEYOND)), &[])]
#[case::comes_to_reach(Some((OPTED_IN, WITHIN)), Some((OPTED_IN, BEYOND)), &[PolicyChange::Content])]
#[case::reached_before(Some((OPTED_IN, BEYOND)), Some((OPTED_IN, WITHIN)), &[PolicyChange::Content])]
#[case::deleted(Some((OPTED_IN, BEYOND)), None, &[])]
#[case::opted_out(Some((OPTED_IN, BEYOND)), Some((OUT, BEYOND)), &[PolicyChange::Labels])]
fn what_reaches_beyond_before_or_after_needs_the_cluster(
    #[case] before: Side,
    #[case] after: Side,
    #[case] changes: &[PolicyChange],
) {
    needs(
        &on_policy(Verb::Protect, Scope::Cluster),
        &write(before, after, changes),
    );
}

#[rstest]
#[case::never_labelled(None, Some((OUT, BEYOND)), &[])]
#[case::labelled_otherwise(None, Some((NEARLY, BEYOND)), &[])]
#[case::untouched(Some((OPTED_IN, BEYOND)), Some((OPTED_IN, BEYOND)), &[])]
#[case::annotated(Some((OPTED_IN, BEYOND)), Some((OPTED_IN, BEYOND)), &[PolicyChange::Annotations, PolicyChange::Labels])]
#[case::held_up(Some((OPTED_IN, BEYOND)), Some((OPTED_IN, BEYOND)), &[PolicyChange::Finalizers])]
#[case::deleted_unprotected(Some((OUT, BEYOND)), None, &[])]
fn what_leaves_protection_alone_needs_nothing(
    #[case] before: Side,
    #[case] after: Side,
    #[case] changes: &[PolicyChange],
) {
    let (decision, _) = run(&enforcing(), &write(before, after, changes), &[]);
    assert!(decision.allowed() && decision.findings.is_empty(), "{decision:?}");
}

/// What was said but for what the policy opens.
fn advised(decision: &Decision) -> Vec<&str> {
    let said = decision.warnings.iter().map(String::as_str);
    said.filter(|line| !line.contains(" opens ")).collect()
}

#[rstest]
#[case::enforced("{mode: Enforce}", "deny")]
#[case::warned("{mode: Warn}", "warn")]
#[case::recorded("{}", "audit")]
#[case::held_back("{mode: Enforce, rollout: {namespaces: [{name: web, mode: Audit}]}}", "audit")]
fn the_mode_of_the_configuration_holds(#[case] spec: &str, #[case] outcome: &str) {
    let request = write(None, Some((OPTED_IN, WITHIN)), &[]);
    let known = [(in_web(Verb::Protect), Answer::Allowed(false))];
    assert_eq!(run(&snapshot(settings(spec)), &request, &known).0.outcome(), outcome);
}

#[test]
fn a_review_that_cannot_be_made_lets_nobody_opt_in() {
    let request = write(None, Some((OPTED_IN, WITHIN)), &[]);
    let known = [(in_web(Verb::Protect), Answer::Failed("timeout".to_owned()))];
    assert_eq!(run(&enforcing(), &request, &known).0.outcome(), "retry");
}

#[rstest]
#[case::every_pod("{}", &["ringfence: NetworkPolicy web/db: its podSelector is empty, so it has no members"])]
#[case::all_is_well(WITHIN, &[])]
fn what_protects_nothing_is_said(#[case] spec: &'static str, #[case] warnings: &[&str]) {
    let known = [(in_web(Verb::Protect), Answer::Allowed(true))];
    let (decision, _) = run(&enforcing(), &write(None, Some((OPTED_IN, spec)), &[]), &known);
    assert_eq!(advised(&decision), warnings);
    let refused = [(in_web(Verb::Protect), Answer::Allowed(false))];
    let (decision, _) = run(&enforcing(), &write(None, Some((OPTED_IN, spec)), &[]), &refused);
    assert!(decision.warnings.is_empty(), "what is refused is no longer advised on");
}

#[test]
fn one_that_isolates_namespaces_protects_nothing_and_that_is_said() {
    let (decision, _) = run(&enforcing(), &write(None, Some((OURS, BEYOND)), &[]), &[]);
    assert!(decision.allowed() && decision.findings.is_empty());
    let said = "ringfence: NetworkPolicy web/db: it isolates its namespace, so it protects nothing";
    assert_eq!(advised(&decision), [said]);
}

#[test]
fn members_and_clients_of_a_protected_policy_need_its_permissions() {
    let snapshot = protecting("{mode: Enforce}", WITHIN);
    for (app, verb) in [("db", Verb::Join), ("web", Verb::Connect)] {
        let request = request("web", Action::Place(placement(None, &[("app", app)])));
        let (refused, rounds) = run(&snapshot, &request, &[(in_web(verb), Answer::Allowed(false))]);
        assert!(!refused.allowed());
        assert_eq!(rounds, [[in_web(verb)]]);
        let (allowed, _) = run(&snapshot, &request, &[(in_web(verb), Answer::Allowed(true))]);
        assert!(allowed.allowed());
        let elsewhere = Request {
            subject: Subject {
                namespace: "payments".into(),
                ..request.subject.clone()
            },
            ..request
        };
        assert_eq!(run(&snapshot, &elsewhere, &[]).0, Decision::plain_allow());
    }
}

#[test]
fn a_denial_names_the_policy_and_a_grant_that_says_where() {
    let snapshot = protecting("{mode: Enforce}", WITHIN);
    let request = request("web", Action::Place(placement(None, &[("app", "db")])));
    let known = [(in_web(Verb::Join), Answer::Allowed(false))];
    let Verdict::Deny(text) = run(&snapshot, &request, &known).0.verdict else {
        panic!("expected a denial")
    };
    insta::assert_snapshot!(text, @r#"
    pod web/rogue may not join segment web/db: user "mallory" lacks the permission.
      why:   label app=db matches members[0] of web/db (derived from the NetworkPolicy of that name)
      check: kubectl auth can-i join networkpolicies.networking.k8s.io/db -n web
      grant: ringfence grant join networkpolicies.networking.k8s.io/db -n web --user mallory
    "#);
}

/// Exec is for configured segments, `manage` too: a protected policy's own guard is `protect`.
#[test]
fn neither_exec_nor_other_policies_are_guarded_by_it() {
    let snapshot = protecting("{mode: Enforce}", WITHIN);
    let debug = request("web", Action::Debug([("app", "db")].into_iter().collect()));
    assert_eq!(run(&snapshot, &debug, &[]).0, Decision::plain_allow());
    let other = write(None, Some((OUT, "{}")), &[]);
    assert_eq!(run(&snapshot, &other, &[]).0, Decision::plain_allow());
}

/// A namespace that takes on a label by which peers are selected brings all its pods along.
#[test]
fn a_namespace_that_comes_to_be_selected_needs_connect() {
    let blue = r#"{"podSelector":{"matchLabels":{"app":"db"}},"ingress":[{"from":[{
        "namespaceSelector":{"matchLabels":{"team":"blue"}},"podSelector":{"matchLabels":{"app":"web"}}}]}]}"#;
    let snapshot = protecting("{mode: Enforce}", blue);
    let labels = |pairs: Pairs| pairs.iter().copied().collect::<Labels<'_>>();
    let action = Action::RelabelNamespace {
        before: labels(&[("kubernetes.io/metadata.name", "payments")]),
        after: labels(&[("kubernetes.io/metadata.name", "payments"), ("team", "blue")]),
    };
    let known = [(in_web(Verb::Connect), Answer::Allowed(false))];
    assert!(!run(&snapshot, &request("payments", action), &known).0.allowed());
}

/// With as many policies over `app=db` in `web`, each of the mode of the configuration.
fn crowded(spec: &str, policies: usize) -> Snapshot {
    let derived: Vec<Derived> = (100..100 + policies)
        .map(|number| Derived::of(&policy("web", &format!("db-{number}"), WITHIN)))
        .collect();
    snapshot(settings(spec).with_derived(&derived))
}

/// Nobody holds any of them.
fn nobody(policies: usize) -> Vec<(Question, Answer)> {
    let question = |number| {
        let permission = Permission::policy(Verb::Join, &format!("db-{number}"), Scope::Namespace(name("web")));
        Question::Allowed(Who::Requester, permission)
    };
    (100..100 + policies)
        .map(|number| (question(number), Answer::Allowed(false)))
        .collect()
}

/// Every question is a call to the API server, and whoever may edit where nothing is enforced makes as many policies as it
/// likes.
#[rstest]
#[case::recorded("{}")]
#[case::warned("{mode: Warn}")]
fn where_nothing_is_enforced_few_of_very_many_are_asked_about(#[case] spec: &str) {
    let request = request("web", Action::Place(placement(None, &[("app", "db")])));
    for (policies, asked, findings) in [(8, 8, 8), (9, 8, 9), (60, 8, 9)] {
        let (decision, rounds) = run(&crowded(spec, policies), &request, &nobody(policies));
        assert_eq!(rounds.iter().map(Vec::len).sum::<usize>(), asked, "{policies} policies");
        assert!(decision.allowed());
        assert_eq!(decision.findings.len(), findings);
        if policies > asked {
            let left = format!("one of {} protected policies that are not enforced", policies - asked);
            let told = decision.findings.iter().filter(|finding| finding.why.contains(&left));
            assert_eq!(told.count(), 1);
        }
    }
}

#[test]
fn a_write_that_would_be_in_very_many_of_its_namespace_is_refused_and_nobody_is_asked() {
    let request = request("web", Action::Place(placement(None, &[("app", "db")])));
    let (decision, rounds) = run(&crowded("{mode: Enforce}", 33), &request, &[]);
    assert!(rounds.is_empty());
    let Verdict::Deny(text) = decision.verdict else {
        panic!("expected a denial")
    };
    for said in [
        "pod web/rogue may not be in more than 32 protected policies",
        "narrow what they select",
    ] {
        assert!(text.contains(said), "{text}");
    }
    let (decision, rounds) = run(&crowded("{mode: Enforce}", 32), &request, &nobody(32));
    assert_eq!(rounds[0].len(), 32);
    assert!(!decision.allowed());
}
