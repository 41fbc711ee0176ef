//! The write paths beside plain pods and templates: what they come to, and what they ask.

use super::*;
use crate::guardrails::{CheckName, Delegate, Workload};
use crate::model::{ObjectReference, ReachedPod, Target};

fn enforcing() -> Snapshot {
    snapshot(guardrails(Mode::Enforce))
}

fn change(snapshot: &mut Snapshot, change: impl FnOnce(&mut Guardrails)) {
    change(Arc::get_mut(&mut snapshot.guardrails).expect("not shared yet"));
}

type Pod<'a> = (&'a str, &'a str, &'a [(&'a str, &'a str)]);

fn reached(target: Target, pods: &[Pod<'_>]) -> (Question, Answer) {
    let pod = |(ns, pod, labels): &Pod<'_>| ReachedPod {
        namespace: name(ns),
        name: (*pod).to_owned(),
        labels: namespace(labels).labels,
    };
    (
        Question::Reached(target),
        Answer::Reached(pods.iter().map(pod).collect()),
    )
}

fn denied(snapshot: &Snapshot, request: &Request<'_>, known: &[(Question, Answer)]) -> String {
    match run(snapshot, request, known).0.verdict {
        Verdict::Deny(text) => text,
        other => panic!("expected a denial: {other:?}"),
    }
}

#[test]
fn a_bindings_labels_are_laid_over_the_pods() {
    let target = || Target::Pod(name("web"), "rogue".to_owned());
    let request = request("web", Action::Overlay([("app", "hollowapp")].into_iter().collect()));
    let known = [
        reached(target(), &[("web", "rogue", OTHER)]),
        (in_payments(Verb::Connect), Answer::Allowed(false)),
    ];
    denied(&enforcing(), &request, &known);
    let already = [reached(target(), &[("web", "rogue", CLIENT)])];
    assert!(run(&enforcing(), &request, &already).0.allowed(), "it gains nothing");
    let failed = [(Question::Reached(target()), Answer::Failed("timeout".into()))];
    assert_eq!(run(&enforcing(), &request, &failed).0.outcome(), "retry");
}

#[test]
fn a_binding_may_not_take_a_member_out() {
    let request = request("payments", Action::Overlay([("app", "x")].into_iter().collect()));
    let known = [
        reached(
            Target::Pod(name("payments"), "rogue".to_owned()),
            &[("payments", "rogue", MEMBER)],
        ),
        (in_payments(Verb::Join), Answer::Allowed(false)),
    ];
    assert!(denied(&enforcing(), &request, &known).contains("may not leave segment payments-db"));
}

fn templates(resource: &str, owners: &[(&str, &[(&str, &str)])]) -> (Question, Answer) {
    let reference = ObjectReference {
        group: "apps".into(),
        version: "v1".into(),
        resource: resource.into(),
        template: "/spec/template".into(),
        namespace: name("web"),
        name: String::new(),
    };
    let owner = |(controller, labels): &(&str, &[(&str, &str)])| Owner {
        uid: "owner".into(),
        controller: controlled_by(controller),
        created: LATER,
        written: LATER,
        templates: vec![OwnedTemplate {
            labels: namespace(labels).labels,
            ..OwnedTemplate::default()
        }],
    };
    (
        Question::Templates(reference),
        Answer::Templates(owners.iter().map(owner).collect()),
    )
}

#[test]
fn a_partial_revision_is_a_change_of_what_every_set_runs() {
    let request = request("web", Action::Revise);
    let sets = |labels| [templates("statefulsets", &[("", labels)]), templates("daemonsets", &[])];
    let mut known = sets(CLIENT).to_vec();
    known.push((in_payments(Verb::Connect), Answer::Allowed(false)));
    assert!(denied(&enforcing(), &request, &known).contains("what runs under it changes"));
    assert!(run(&enforcing(), &request, &sets(OTHER)).0.allowed());
    let mut by_controller = request.clone();
    by_controller.identity.username = "system:serviceaccount:kube-system:statefulset-controller".into();
    by_controller.identity.uid = "sa".into();
    assert!(run(&enforcing(), &by_controller, &[]).0.allowed());
}

#[rstest]
#[case::its_own("deployment-1", CLIENT, false)]
#[case::an_orphan("", CLIENT, false)]
#[case::anothers("deployment-2", CLIENT, true)]
#[case::harmless("deployment-1", OTHER, true)]
fn a_rollback_by_annotation_is_refused_where_a_revision_matches(
    #[case] controller: &str,
    #[case] labels: &[(&str, &str)],
    #[case] allowed: bool,
) {
    let request = request(
        "web",
        Action::RollBack {
            uid: "deployment-1".into(),
        },
    );
    let (decision, _) = run(
        &enforcing(),
        &request,
        &[templates("replicasets", &[(controller, labels)])],
    );
    assert_eq!(decision.allowed(), allowed);
    if let Verdict::Deny(text) = decision.verdict {
        assert!(
            text.contains("kubectl rollout undo") && !text.contains("grant:"),
            "{text}"
        );
    }
}

#[test]
fn entering_a_member_needs_enter() {
    let target = Target::Pod(name("payments"), "db-0".to_owned());
    let request = request("payments", Action::Enter(target.clone()));
    let known = [
        reached(target.clone(), &[("payments", "db-0", MEMBER)]),
        (in_payments(Verb::Enter), Answer::Allowed(false)),
    ];
    insta::assert_snapshot!(denied(&enforcing(), &request, &known), @r#"
    pod payments/rogue may not be entered (segment payments-db): user "mallory" lacks the permission.
      why:   label app=hollowdb of pod payments/db-0 matches members[0] of payments-db (Card data. Ask team payments for access.)
      check: kubectl auth can-i enter segments.ringfence.dev/payments-db -n payments
      grant: ringfence grant enter segments/payments-db --user mallory
    "#);
    let elsewhere = [reached(target, &[("payments", "db-0", OTHER)])];
    assert!(run(&enforcing(), &request, &elsewhere).0.allowed());
}

#[test]
fn a_proxy_is_judged_by_whatever_has_the_address() {
    let target = Target::PodAddresses(name("web"), "decoy".to_owned());
    let request = request("web", Action::Enter(target.clone()));
    let known = [
        reached(target, &[("web", "decoy", OTHER), ("payments", "db-0", MEMBER)]),
        (in_payments(Verb::Enter), Answer::Allowed(false)),
    ];
    denied(&enforcing(), &request, &known);
}

#[test]
fn a_segment_that_does_not_guard_access_lets_anyone_enter() {
    let mut snapshot = enforcing();
    change(&mut snapshot, |guardrails| guardrails.segments[0].guard_access = false);
    let request = request(
        "payments",
        Action::Enter(Target::Pod(name("payments"), "db-0".to_owned())),
    );
    assert!(run(&snapshot, &request, &[]).0.allowed());
}

#[test]
fn an_ephemeral_container_needs_enter() {
    let request = request("payments", Action::Debug(MEMBER.iter().copied().collect()));
    denied(
        &enforcing(),
        &request,
        &[(in_payments(Verb::Enter), Answer::Allowed(false))],
    );
}

#[rstest]
#[case::gains(&[], &[("team", "blue")], true)]
#[case::keeps(&[("team", "blue")], &[("team", "blue"), ("a", "b")], false)]
#[case::loses_a_client(&[("team", "blue")], &[], false)]
fn a_namespace_that_gains_a_clause_by_its_labels_needs_the_verb(
    #[case] before: &[(&str, &str)],
    #[case] after: &[(&str, &str)],
    #[case] asked: bool,
) {
    let (before, after) = (before.iter().copied().collect(), after.iter().copied().collect());
    let request = request("web", Action::RelabelNamespace { before, after });
    let known = [(in_payments(Verb::Connect), Answer::Allowed(false))];
    let (decision, rounds) = run(&enforcing(), &request, &known);
    assert_eq!((decision.allowed(), rounds.len()), (!asked, usize::from(asked)));
}

fn checking(mode: Mode) -> Snapshot {
    let mut snapshot = enforcing();
    change(&mut snapshot, |guardrails| {
        guardrails.checks.insert(CheckName::HostAccess, mode);
    });
    snapshot
}

#[test]
fn host_access_needs_a_waiver_only_where_it_is_new() {
    let spec = PodSpecText(r#"{"hostNetwork":true}"#);
    let waive = Question::Allowed(Who::Requester, Permission::waive("HostAccess"));
    let known = [(waive, Answer::Allowed(false))];
    let new = request(
        "web",
        Action::Place(Placement {
            spec,
            ..placement(None, OTHER)
        }),
    );
    let text = denied(&checking(Mode::Enforce), &new, &known);
    assert!(
        text.contains("hostNetwork") && text.contains("waive policychecks.ringfence.dev/HostAccess"),
        "{text}"
    );
    let unanswered = [(known[0].0.clone(), Answer::Failed("no answer".to_owned()))];
    let (decision, _) = run(&checking(Mode::Enforce), &new, &unanswered);
    assert_eq!(
        (decision.allowed(), decision.findings[0].why.as_str()),
        (false, "hostNetwork; no answer")
    );
    let kept = request(
        "web",
        Action::Place(Placement {
            spec,
            spec_before: spec,
            ..placement(Some(OTHER), OTHER)
        }),
    );
    assert!(run(&checking(Mode::Enforce), &kept, &[]).0.allowed());
    let in_system = request(
        "kube-system",
        Action::Place(Placement {
            spec,
            ..placement(None, OTHER)
        }),
    );
    assert_eq!(run(&checking(Mode::Enforce), &in_system, &known).0.outcome(), "warn");
    assert!(run(&enforcing(), &new, &[]).0.allowed(), "off unless configured");
}

#[test]
fn a_delegate_is_asked_twice_and_both_must_hold_it() {
    let mut snapshot = enforcing();
    change(&mut snapshot, |guardrails| {
        guardrails.delegates.push(Delegate {
            user: "argo".into(),
            review_as: "gitops:{namespace}".into(),
        });
    });
    let mut request = request("web", Action::Place(placement(None, CLIENT)));
    request.identity.username = "argo".into();
    let Question::Allowed(_, permission) = in_payments(Verb::Connect) else {
        panic!("expected a review")
    };
    let known = |itself, reviewer| {
        [
            (in_payments(Verb::Connect), Answer::Allowed(itself)),
            (
                Question::Allowed(Who::User("gitops:web".into()), permission.clone()),
                Answer::Allowed(reviewer),
            ),
        ]
    };
    let (decision, rounds) = run(&snapshot, &request, &known(true, true));
    assert!(decision.allowed());
    assert_eq!(rounds[0].len(), 2, "both are asked at once");
    let text = denied(&snapshot, &request, &known(true, false));
    assert!(
        text.contains(r#"user "gitops:web" lacks"#) && text.contains(r#"asked for "argo", a delegate"#),
        "{text}"
    );
    assert!(denied(&snapshot, &request, &known(false, true)).contains(r#"user "argo" lacks"#));
}

/// A pod that a custom kind's controller made, running this image.
fn made_by_rollout(spec: &'static str) -> (Snapshot, Request<'static>) {
    let mut snapshot = enforcing();
    change(&mut snapshot, |guardrails| {
        guardrails.workloads.push(Workload {
            group: "argoproj.io".into(),
            version: "v1alpha1".into(),
            resource: "rollouts".into(),
            template: vec!["spec".into(), "template".into()],
            controllers: vec!["system:serviceaccount:rollouts:controller".into()],
        });
    });
    let mut request = made_by_controller();
    request.identity.username = "system:serviceaccount:rollouts:controller".into();
    let [Action::Place(placement)] = request.actions.as_mut_slice() else {
        unreachable!()
    };
    placement.spec = PodSpecText(spec);
    let Controllers::One(owner) = &mut placement.controllers else {
        unreachable!()
    };
    owner.api_version = "argoproj.io/v1alpha1".into();
    owner.kind = "Rollout".into();
    (snapshot, request)
}

#[rstest]
#[case::the_templates(
    r#"{"containers":[{"name":"app","image":"good"},{"name":"sidecar","image":"any"}]}"#,
    true
)]
#[case::another(r#"{"containers":[{"name":"app","image":"evil"}]}"#, false)]
fn a_custom_kinds_pod_must_run_its_templates_images(#[case] spec: &'static str, #[case] allowed: bool) {
    let (snapshot, request) = made_by_rollout(spec);
    let question = Question::Owner(ObjectReference {
        group: "argoproj.io".into(),
        version: "v1alpha1".into(),
        resource: "rollouts".into(),
        template: "/spec/template".into(),
        namespace: name("web"),
        name: "app-1".into(),
    });
    let template = OwnedTemplate {
        labels: namespace(CLIENT).labels,
        images: vec![("app".into(), "good".into())],
    };
    let owner = Owner {
        uid: "rs-1".into(),
        controller: None,
        created: LATER,
        written: LATER,
        templates: vec![template],
    };
    let known = [
        (question, Answer::Owner(Some(owner))),
        (in_payments(Verb::Connect), Answer::Allowed(false)),
    ];
    assert_eq!(run(&snapshot, &request, &known).0.allowed(), allowed);
}

#[rstest]
#[case::owned_by_the_set("set-1", true)]
#[case::planted("", false)]
fn a_stateful_sets_pod_inherits_from_the_revision_it_names(#[case] controller: &str, #[case] allowed: bool) {
    let mut request = made_by_controller();
    request.identity.username = "system:serviceaccount:kube-system:statefulset-controller".into();
    let labels: &[(&str, &str)] = &[("app", "hollowapp"), ("controller-revision-hash", "db-7")];
    let [Action::Place(placement)] = request.actions.as_mut_slice() else {
        unreachable!()
    };
    placement.after = labels.iter().copied().collect();
    let Controllers::One(owner) = &mut placement.controllers else {
        unreachable!()
    };
    owner.kind = "StatefulSet".into();
    owner.uid = "set-1".into();
    let object = |resource: &str, template: &str, object: &str| {
        Question::Owner(ObjectReference {
            group: "apps".into(),
            version: "v1".into(),
            resource: resource.into(),
            template: template.into(),
            namespace: name("web"),
            name: object.into(),
        })
    };
    let revision = Owner {
        uid: "revision".into(),
        controller: controlled_by(controller),
        created: LATER,
        written: LATER,
        templates: vec![OwnedTemplate {
            labels: namespace(CLIENT).labels,
            ..OwnedTemplate::default()
        }],
    };
    let set = Owner {
        uid: "set-1".into(),
        ..Owner::default()
    };
    let known = [
        (
            object("statefulsets", "/spec/template", "app-1"),
            Answer::Owner(Some(set)),
        ),
        (
            object("controllerrevisions", "/data/spec/template", "db-7"),
            Answer::Owner(Some(revision)),
        ),
        (in_payments(Verb::Connect), Answer::Allowed(false)),
    ];
    assert_eq!(run(&enforcing(), &request, &known).0.allowed(), allowed);
}
