//! Isolation: pods wait for the policies of their namespace, and a namespace does not slip out of its profile.

use super::*;
use crate::guardrails::Delegate;
use crate::model::{Isolate, Isolated};

/// Guardrails with these settings, and profiles `restricted` and `strict`.
fn isolating(settings: &str) -> Snapshot {
    let text = format!(
        "{{apiVersion: ringfence.dev/v1alpha1, kind: Guardrails, metadata: {{name: default}}, spec: {settings}}}
---
{{apiVersion: ringfence.dev/v1alpha1, kind: IsolationProfile, metadata: {{name: restricted}}, spec: {{policies: [{{builtin: default-deny-ingress}}]}}}}
---
{{apiVersion: ringfence.dev/v1alpha1, kind: IsolationProfile, metadata: {{name: strict}}, spec: {{policies: [{{builtin: default-deny-egress}}]}}}}
---
{{apiVersion: ringfence.dev/v1alpha1, kind: Segment, metadata: {{name: payments-db}}, spec: {{members: [{{namespaces: [payments], podSelector: {{matchLabels: {{app: hollowdb}}}}}}]}}}}
"
    );
    snapshot(compiled(text))
}

fn enforcing() -> Snapshot {
    isolating("{mode: Enforce, isolation: {defaultProfile: restricted}}")
}

fn pod(namespace: &str) -> Request<'_> {
    request(namespace, Action::Place(placement(None, OTHER)))
}

fn asked(namespace: &str, isolate: Isolate) -> Question {
    Question::Isolated(name(namespace), isolate)
}

fn answered(namespace: &str, isolate: Isolate, isolated: Isolated) -> (Question, Answer) {
    (asked(namespace, isolate), Answer::Isolated(isolated))
}

#[rstest]
#[case(Isolated::Exempt)]
#[case(Isolated::Stands { settles_in: None })]
#[case(Isolated::Applied { settles_in: None })]
fn a_pod_comes_once_its_namespaces_policies_stand(#[case] isolated: Isolated) {
    let known = [answered("web", Isolate::Apply, isolated)];
    let (decision, rounds) = run(&enforcing(), &pod("web"), &known);
    assert_eq!(decision, Decision::plain_allow());
    assert_eq!(rounds, [[asked("web", Isolate::Apply)]]);
}

#[test]
fn what_the_api_server_refuses_to_take_is_told_in_its_words() {
    let words = "networkpolicies \"ringfence-default-deny-ingress\" is forbidden: exceeded quota: none";
    let known = [answered("web", Isolate::Apply, Isolated::Refused(words.to_owned()))];
    let Verdict::Deny(text) = run(&enforcing(), &pod("web"), &known).0.verdict else {
        panic!("expected a denial")
    };
    insta::assert_snapshot!(text, @r#"
    pod web/rogue may not exist before its namespace is isolated.
      why:   its policies could not be applied: networkpolicies "ringfence-default-deny-ingress" is forbidden: exceeded quota: none
    "#);
}

#[test]
fn what_may_pass_by_itself_is_tried_again() {
    let known = [(asked("web", Isolate::Apply), Answer::Failed("timeout".into()))];
    let Verdict::Retry(text, _) = run(&enforcing(), &pod("web"), &known).0.verdict else {
        panic!("expected to be told to try again")
    };
    insta::assert_snapshot!(text, @r#"
    pod web/rogue may not exist before its namespace is isolated, for now: what decides it could not be found out. Try again.
      why:   timeout
    "#);
}

#[rstest]
#[case::warn("{mode: Warn, isolation: {defaultProfile: restricted}}", "warn")]
#[case::audit("{mode: Enforce, isolation: {mode: Audit, defaultProfile: restricted}}", "audit")]
#[case::capped(
    "{mode: Enforce, rollout: {default: Warn}, isolation: {defaultProfile: restricted}}",
    "warn"
)]
fn where_nothing_is_enforced_nothing_is_written(#[case] settings: &str, #[case] outcome: &str) {
    let missing = vec![
        "ringfence-default-deny-ingress".to_owned(),
        "ringfence-allow-dns".to_owned(),
    ];
    let known = [answered(
        "web",
        Isolate::Look,
        Isolated::Missing {
            policies: missing,
            settles_in: None,
        },
    )];
    let (decision, rounds) = run(&isolating(settings), &pod("web"), &known);
    assert_eq!(
        (decision.outcome(), rounds),
        (outcome, vec![vec![asked("web", Isolate::Look)]])
    );
    let [finding] = decision.findings.as_slice() else {
        panic!("expected one finding: {decision:?}")
    };
    assert_eq!(finding.reason, Reason::NotIsolated);
    assert_eq!(
        finding.why,
        "ringfence-default-deny-ingress, ringfence-allow-dns do not stand as configured"
    );
    if outcome == "warn" {
        let warning =
            "ringfence: pod web/rogue may not exist before its namespace is isolated: its policies do not stand";
        assert_eq!(decision.warnings, [warning]);
    }
    let failed = [(asked("web", Isolate::Look), Answer::Failed("timeout".into()))];
    assert_eq!(run(&isolating(settings), &pod("web"), &failed).0.outcome(), outcome);
}

#[test]
fn a_dry_run_writes_nothing_and_is_let_in_as_the_real_one_would_be() {
    let request = Request {
        dry_run: true,
        ..pod("web")
    };
    let missing = Isolated::Missing {
        policies: vec!["ringfence-default-deny-ingress".to_owned()],
        settles_in: None,
    };
    let known = [answered("web", Isolate::Look, missing)];
    assert_eq!(run(&enforcing(), &request, &known).0, Decision::plain_allow());
}

#[test]
fn a_refused_pod_causes_no_write() {
    let snapshot = enforcing();
    let request = request("payments", Action::Place(placement(None, MEMBER)));
    let refused = [(in_payments(Verb::Join), Answer::Allowed(false))];
    assert!(!run(&snapshot, &request, &refused).0.allowed());
    let known = [
        (in_payments(Verb::Join), Answer::Allowed(true)),
        answered("payments", Isolate::Apply, Isolated::Stands { settles_in: None }),
    ];
    let (decision, rounds) = run(&snapshot, &request, &known);
    assert!(decision.allowed());
    assert_eq!(rounds, [[in_payments(Verb::Join)], [asked("payments", Isolate::Apply)]]);
}

#[rstest]
#[case::an_update(request("web", Action::Place(placement(Some(OTHER), OTHER))))]
#[case::a_template(request("web", Action::Place(Placement { kind: PlacementKind::Template, ..placement(None, OTHER) })))]
#[case::a_system_namespace(pod("kube-system"))]
#[case::a_binding(Request { subresource: "binding".into(), ..pod("web") })]
fn nothing_else_waits_for_policies(#[case] request: Request<'_>) {
    assert_eq!(run(&enforcing(), &request, &[]), (Decision::plain_allow(), Vec::new()));
}

#[test]
fn where_isolation_is_off_nothing_is_asked() {
    let snapshot = isolating("{mode: Enforce}");
    assert_eq!(run(&snapshot, &pod("web"), &[]), (Decision::plain_allow(), Vec::new()));
    let label = Action::CreateNamespace([("ringfence.dev/isolation", "none")].into_iter().collect());
    assert_eq!(
        run(&snapshot, &on_namespace("web", label), &[]),
        (Decision::plain_allow(), Vec::new())
    );
}

#[test]
fn what_a_controller_makes_waits_too() {
    let known = [answered("web", Isolate::Apply, Isolated::Refused("quota".into()))];
    let request = Request {
        actions: pod("web").actions,
        ..made_by_controller()
    };
    assert!(!run(&enforcing(), &request, &known).0.allowed());
}

fn on_namespace<'a>(namespace: &'a str, action: Action<'a>) -> Request<'a> {
    let mut request = request(namespace, action);
    request.resource = "namespaces".into();
    request.subject.kind = "namespace".into();
    request.subject.name = namespace.into();
    request
}

fn labelled(value: Option<&str>) -> Labels<'_> {
    let own = value.map(|value| ("ringfence.dev/isolation", value));
    own.into_iter().chain([("team", "blue")]).collect()
}

fn relabel<'a>(before: Option<&'a str>, after: Option<&'a str>) -> Action<'a> {
    Action::RelabelNamespace {
        before: labelled(before),
        after: labelled(after),
    }
}

fn uses(who: Who, profile: &str) -> Question {
    Question::Allowed(who, Permission::profile(Verb::Use, profile))
}

#[rstest]
#[case::untouched(None, None, &[])]
#[case::kept(Some("strict"), Some("strict"), &[])]
#[case::kept_that_is_gone(Some("gone"), Some("gone"), &[])]
#[case::the_default_by_name(None, Some("restricted"), &[])]
#[case::chosen(None, Some("strict"), &["strict"])]
#[case::opted_out(None, Some("none"), &["none"])]
#[case::opted_out_of_another(Some("strict"), Some("none"), &["strict", "none"])]
#[case::left_for_the_default(Some("strict"), None, &["strict"])]
#[case::left_for_the_default_by_name(Some("strict"), Some("restricted"), &["strict"])]
#[case::back_from_none(Some("none"), None, &[])]
#[case::from_none_to_another(Some("none"), Some("strict"), &["strict"])]
#[case::back_from_one_that_is_gone(Some("gone"), None, &[])]
fn a_change_of_profile_needs_use(#[case] before: Option<&str>, #[case] after: Option<&str>, #[case] profiles: &[&str]) {
    let questions: Vec<Question> = profiles.iter().map(|profile| uses(Who::Requester, profile)).collect();
    let known = |allowed| -> Vec<(Question, Answer)> {
        let answer = |question: &Question| (question.clone(), Answer::Allowed(allowed));
        questions.iter().map(answer).collect()
    };
    for subresource in ["", "status", "finalize"] {
        let mut request = on_namespace("web", relabel(before, after));
        request.subresource = subresource.into();
        let (decision, rounds) = run(&enforcing(), &request, &known(false));
        assert_eq!(rounds.concat(), questions);
        assert_eq!(decision.allowed(), profiles.is_empty());
        assert!(run(&enforcing(), &request, &known(true)).0.allowed());
    }
}

#[test]
fn a_namespace_may_not_be_made_without_policies() {
    let request = on_namespace("web", Action::CreateNamespace(labelled(Some("none"))));
    let known = [(uses(Who::Requester, "none"), Answer::Allowed(false))];
    let Verdict::Deny(text) = run(&enforcing(), &request, &known).0.verdict else {
        panic!("expected a denial")
    };
    insta::assert_snapshot!(text, @r#"
    namespace web may not come under isolation profile none: user "mallory" lacks the permission.
      why:   label ringfence.dev/isolation=none chooses it: no policy of ringfence would stand in it
      check: kubectl auth can-i use isolationprofiles.ringfence.dev/none --all-namespaces
      grant: ringfence grant use isolationprofiles/none --cluster --user mallory
    "#);
    let by_default = on_namespace("web", Action::CreateNamespace(labelled(None)));
    assert_eq!(run(&enforcing(), &by_default, &[]).0, Decision::plain_allow());
    let system = on_namespace("kube-system", Action::CreateNamespace(labelled(Some("none"))));
    assert_eq!(run(&enforcing(), &system, &[]).0, Decision::plain_allow());
}

#[test]
fn a_namespace_made_by_generated_name_is_judged_by_its_final_name() {
    let snapshot = isolating(
        "{mode: Enforce, rollout: {default: Audit, namespaces: [{name: web-x1, mode: Enforce}]}, isolation: {defaultProfile: \
         restricted}}",
    );
    let known = [(uses(Who::Requester, "none"), Answer::Allowed(false))];
    let outcome = |namespace| {
        let request = on_namespace(namespace, Action::CreateNamespace(labelled(Some("none"))));
        run(&snapshot, &request, &known).0.outcome()
    };
    assert_eq!((outcome("web-x1"), outcome("web-x2")), ("deny", "audit"));
}

#[test]
fn a_profile_that_is_none_is_refused() {
    let snapshot = enforcing();
    let Verdict::Deny(text) = run(&snapshot, &on_namespace("web", relabel(None, Some("strit"))), &[])
        .0
        .verdict
    else {
        panic!("expected a denial")
    };
    insta::assert_snapshot!(text, @r#"
    namespace web may not come under isolation profile strit.
      why:   label ringfence.dev/isolation=strit names no profile; there are: restricted, strict, none
    "#);
}

#[test]
fn where_none_is_the_default_leaving_a_profile_needs_its_use() {
    let snapshot = isolating("{mode: Enforce, isolation: {defaultProfile: none}}");
    let known = [(uses(Who::Requester, "strict"), Answer::Allowed(false))];
    let leave = on_namespace("web", relabel(Some("strict"), None));
    assert!(!run(&snapshot, &leave, &known).0.allowed());
}

#[test]
fn a_delegate_needs_use_as_itself_and_as_its_reviewer() {
    let mut snapshot = enforcing();
    Arc::get_mut(&mut snapshot.guardrails)
        .expect("not shared yet")
        .delegates
        .push(Delegate {
            user: "argo".into(),
            review_as: "gitops:{namespace}".into(),
        });
    let mut request = on_namespace("web", relabel(None, Some("none")));
    request.identity.username = "argo".into();
    let known = [
        (uses(Who::Requester, "none"), Answer::Allowed(true)),
        (uses(Who::User("gitops:web".into()), "none"), Answer::Allowed(false)),
    ];
    let Verdict::Deny(text) = run(&snapshot, &request, &known).0.verdict else {
        panic!("expected a denial")
    };
    assert!(text.contains(r#"user "gitops:web" lacks"#), "{text}");
}

#[test]
fn a_review_that_cannot_be_made_keeps_the_profile() {
    let known = [(uses(Who::Requester, "none"), Answer::Failed("timeout".into()))];
    let request = on_namespace("web", relabel(None, Some("none")));
    assert_eq!(run(&enforcing(), &request, &known).0.outcome(), "retry");
}
