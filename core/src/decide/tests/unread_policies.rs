//! Who may write policies that ringfence does not read: asked on the kind, as strictly as what it could get around.

use super::*;

const NAMED: &str = "consent: {namespace: payments}, members: [{namespaces: [payments], podSelector: {}}]";
const ELSEWHERE: &str = "consent: {namespace: owners}, members: [{namespaces: [payments], podSelector: {}}]";
const BLUE: &str = "consent: {namespace: owners}, \
                    members: [{namespaceSelector: {matchLabels: {team: blue}}, podSelector: {}}]";

/// Guardrails with these settings and, unless empty, a segment.
fn world(settings: &str, segment: &str) -> Snapshot {
    let mut text = document("Guardrails", "default", &format!("{{{settings}}}"));
    if !segment.is_empty() {
        text.push_str(&document("Segment", "default", &format!("{{{segment}}}")));
    }
    snapshot(compiled(text))
}

/// A write of a Cilium policy, of one namespace or of none.
fn cilium<'a>(
    namespace: &'a str,
    before: Option<&'a str>,
    after: Option<&'a str>,
    changes: &[PolicyChange],
) -> Request<'a> {
    let (kind, resource) = if namespace.is_empty() {
        ("CiliumClusterwideNetworkPolicy", "ciliumclusterwidenetworkpolicies")
    } else {
        ("CiliumNetworkPolicy", "ciliumnetworkpolicies")
    };
    let whole = write(namespace, "open", before, after, changes);
    Request {
        group: "cilium.io".into(),
        resource: resource.into(),
        subject: Subject {
            kind: kind.into(),
            ..whole.subject.clone()
        },
        ..whole
    }
}

fn created(namespace: &str) -> Request<'_> {
    cilium(namespace, None, Some("{}"), &[])
}

fn manage(request: &Request<'_>, scope: Scope) -> Question {
    let permission = Permission::unread_policy(&request.group, &request.resource, "open", scope);
    Question::Allowed(Who::Requester, permission)
}

fn within(namespace: &str) -> Scope {
    Scope::Namespace(name(namespace))
}

/// The mode in which it is refused to who lacks the permission that is asked there.
#[track_caller]
fn refused(world: &Snapshot, request: &Request<'_>, scope: Scope) -> Mode {
    let question = manage(request, scope);
    let (decision, _) = run(world, request, &[(question.clone(), Answer::Allowed(false))]);
    let [finding] = decision.findings.as_slice() else {
        panic!("expected one finding: {decision:?}")
    };
    assert_eq!(
        (finding.rule, finding.reason),
        ("UnreadPolicies", Reason::LacksPermission)
    );
    let (allowed, _) = run(world, request, &[(question, Answer::Allowed(true))]);
    assert!(allowed.allowed(), "{allowed:?}");
    finding.mode
}

#[test]
fn a_policy_that_is_not_read_is_refused_without_manage_on_its_kind() {
    let request = created("web");
    let known = [(manage(&request, within("web")), Answer::Allowed(false))];
    let Verdict::Deny(text) = run(&world("mode: Enforce", NAMED), &request, &known).0.verdict else {
        panic!("expected a denial")
    };
    insta::assert_snapshot!(text, @r#"
    CiliumNetworkPolicy web/open may not be created: user "mallory" lacks the permission.
      why:   ringfence does not read ciliumnetworkpolicies.cilium.io: it may open anything in web
      check: kubectl auth can-i manage ciliumnetworkpolicies.cilium.io/open -n web
      grant: ringfence grant manage ciliumnetworkpolicies.cilium.io/open -n web --user mallory
    "#);
    let request = created("");
    let known = [(manage(&request, Scope::Cluster), Answer::Allowed(false))];
    let Verdict::Deny(text) = run(&world("mode: Enforce", NAMED), &request, &known).0.verdict else {
        panic!("expected a denial")
    };
    insta::assert_snapshot!(text, @r#"
    CiliumClusterwideNetworkPolicy open may not be created: user "mallory" lacks the permission.
      why:   ringfence does not read ciliumclusterwidenetworkpolicies.cilium.io: it may open anything in any namespace
      check: kubectl auth can-i manage ciliumclusterwidenetworkpolicies.cilium.io/open --all-namespaces
      grant: ringfence grant manage ciliumclusterwidenetworkpolicies.cilium.io/open --cluster --user mallory
    "#);
}

#[rstest]
#[case::content(&[PolicyChange::Content], true)]
#[case::an_owner_that_may_be_gone(&[PolicyChange::Owners], true)]
#[case::nothing(&[], false)]
#[case::what_says_nothing(&[PolicyChange::Labels, PolicyChange::Annotations, PolicyChange::Finalizers], false)]
fn what_changes_what_it_says_needs_it(#[case] changes: &[PolicyChange], #[case] needs: bool) {
    let world = world("mode: Enforce", "");
    let request = cilium("web", Some("{}"), Some("{}"), changes);
    if needs {
        assert_eq!(refused(&world, &request, within("web")), Mode::Enforce);
    } else {
        assert_eq!(run(&world, &request, &[]), (Decision::plain_allow(), Vec::new()));
    }
    let deleted = cilium("web", Some("{}"), None, &[]);
    assert_eq!(refused(&world, &deleted, within("web")), Mode::Enforce);
}

/// Whoever may do everything in a namespace holds the permission there; a segment's owner elsewhere has not consented.
#[rstest]
#[case::nobody_is_there("", "payments", within("payments"))]
#[case::the_owner_consents_here(NAMED, "payments", within("payments"))]
#[case::members_are_in_another(ELSEWHERE, "web", within("web"))]
#[case::the_owner_consents_elsewhere(ELSEWHERE, "payments", Scope::Cluster)]
#[case::not_labelled_so(BLUE, "web", within("web"))]
#[case::labelled_so(BLUE, "blue", Scope::Cluster)]
fn where_a_segments_owner_consents_elsewhere_it_is_asked_at_the_cluster(
    #[case] segment: &str,
    #[case] namespace: &str,
    #[case] scope: Scope,
) {
    let mut world = world("mode: Enforce", segment);
    let blue = super::namespace(&[("team", "blue")]);
    Arc::make_mut(&mut world.namespaces).insert(name("blue"), Arc::new(blue));
    assert_eq!(refused(&world, &created(namespace), scope), Mode::Enforce);
}

#[test]
fn an_unknown_namespace_is_read_live() {
    let (world, request) = (world("mode: Enforce", BLUE), created("new"));
    let read = Question::Namespace(name("new"));
    let answer = |labels| Answer::Namespace(Some(namespace(labels)));
    for (labels, scope) in [(&[("team", "blue")][..], Scope::Cluster), (&[], within("new"))] {
        let known = [
            (read.clone(), answer(labels)),
            (manage(&request, scope), Answer::Allowed(true)),
        ];
        assert!(run(&world, &request, &known).0.allowed());
    }
    let failed = [(read, Answer::Failed("no answer".to_owned()))];
    let (decision, _) = run(&world, &request, &failed);
    assert!(matches!(decision.verdict, Verdict::Retry(..)), "{decision:?}");
}

#[rstest]
#[case::by_the_cluster("mode: Warn", "", Mode::Warn, Mode::Warn)]
#[case::by_the_segment("mode: Audit", "mode: Enforce, ", Mode::Enforce, Mode::Audit)]
#[case::by_isolation(
    "mode: Audit, isolation: {mode: Enforce, defaultProfile: none}",
    "",
    Mode::Enforce,
    Mode::Enforce
)]
#[case::by_a_check(
    "mode: Audit, checks: [{name: WorldIngress, mode: Enforce}]",
    "",
    Mode::Enforce,
    Mode::Enforce
)]
#[case::capped(
    "mode: Enforce, rollout: {namespaces: [{name: payments, mode: Warn}]}",
    "",
    Mode::Warn,
    Mode::Enforce
)]
fn it_is_as_strict_as_what_it_could_get_around(
    #[case] settings: &str,
    #[case] segment: &str,
    #[case] in_payments: Mode,
    #[case] in_web: Mode,
) {
    let world = world(settings, &format!("{segment}{NAMED}"));
    assert_eq!(refused(&world, &created("payments"), within("payments")), in_payments);
    assert_eq!(refused(&world, &created("web"), within("web")), in_web);
    let strictest = in_payments.max(in_web);
    assert_eq!(refused(&world, &created(""), Scope::Cluster), strictest);
    let system = refused(&world, &created("kube-system"), within("kube-system"));
    assert_eq!(system, in_web.min(Mode::Warn));
}

#[test]
fn what_the_rollout_caps_everywhere_denies_nothing_of_the_whole_cluster() {
    let capped = world("mode: Enforce, rollout: {default: Audit}", NAMED);
    assert_eq!(refused(&capped, &created(""), Scope::Cluster), Mode::Audit);
    let system = "mode: Enforce, rollout: {default: Audit, namespaces: [{name: kube-system, mode: Enforce}]}";
    assert_eq!(refused(&world(system, NAMED), &created(""), Scope::Cluster), Mode::Warn);
}

/// Not to be had by impersonation, which gives no uid.
#[rstest]
#[case::of_the_network("system:serviceaccount:kube-system:cilium-operator", "uid", Mode::Audit)]
#[case::impersonated("system:serviceaccount:kube-system:cilium-operator", "", Mode::Enforce)]
#[case::of_another_namespace("system:serviceaccount:web:cilium-operator", "uid", Mode::Enforce)]
#[case::the_garbage_collector("system:serviceaccount:kube-system:generic-garbage-collector", "uid", Mode::Enforce)]
fn the_networks_own_accounts_are_recorded_and_let_in(#[case] user: &str, #[case] uid: &str, #[case] mode: Mode) {
    for namespace in ["web", ""] {
        let request = Request {
            identity: Identity {
                username: user.into(),
                uid: uid.into(),
                ..Identity::default()
            },
            ..created(namespace)
        };
        let scope = if namespace.is_empty() {
            Scope::Cluster
        } else {
            within(namespace)
        };
        assert_eq!(refused(&world("mode: Enforce", NAMED), &request, scope), mode);
    }
}

/// What isolates a namespace is for those who hold `manage` on its profile, where that is as strict.
#[rstest]
#[case::as_strict("mode: Enforce, isolation: {defaultProfile: none}", "web", false)]
#[case::less_strict("mode: Enforce, isolation: {mode: Audit, defaultProfile: none}", "web", true)]
#[case::in_no_namespace("mode: Enforce, isolation: {defaultProfile: none}", "", true)]
fn what_isolates_namespaces_is_left_to_its_own_guard(
    #[case] settings: &str,
    #[case] namespace: &str,
    #[case] asked: bool,
) {
    let mut request = created(namespace);
    request.subject.name = "ringfence-open".into();
    let snapshot = world(settings, "");
    let (Decision { findings, .. }, _) = answering(&snapshot, &request, |question| match question {
        Question::Namespace(_) => Answer::Namespace(Some(super::namespace(&[]))),
        _ => Answer::Allowed(true),
    });
    assert_eq!(
        findings.iter().any(|finding| finding.rule == NAME),
        asked,
        "{findings:?}"
    );
    assert_eq!(
        findings.iter().any(|finding| finding.rule == "Injected"),
        !namespace.is_empty()
    );
}

const NAME: &str = "UnreadPolicies";
