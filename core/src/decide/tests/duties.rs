//! Separation of duties: who holds both is refused, who holds one is not, and where it is off nothing is asked.

use super::*;
use crate::guardrails::{Delegate, SeparationOfDuties};

/// The usual guardrails with separation of duties at this mode, but for members of `breakers`.
fn apart(segment: Mode, duties: Mode) -> Guardrails {
    Guardrails {
        separation_of_duties: Some(SeparationOfDuties {
            mode: duties,
            exempt_groups: ["breakers".to_owned()].into(),
        }),
        ..guardrails(segment)
    }
}

/// What one who holds `connect`, and this of `manage`, is answered.
fn connects(guardrails: Guardrails, request: &Request<'_>, manages: Answer) -> (Decision, Vec<Vec<Question>>) {
    let known = [
        (in_payments(Verb::Connect), Answer::Allowed(true)),
        (in_payments(Verb::Manage), manages),
    ];
    run(&snapshot(guardrails), request, &known)
}

fn client() -> Request<'static> {
    request("web", Action::Place(placement(None, CLIENT)))
}

#[test]
fn who_manages_a_segment_does_not_connect_to_it() {
    let (decision, rounds) = connects(apart(Mode::Enforce, Mode::Enforce), &client(), Answer::Allowed(true));
    assert_eq!(
        rounds,
        [[in_payments(Verb::Manage), in_payments(Verb::Connect)]],
        "it takes no round of its own"
    );
    let Verdict::Deny(text) = decision.verdict else {
        panic!("expected a denial: {decision:?}")
    };
    insta::assert_snapshot!(text, @r#"
    pod web/rogue may not connect to segment payments-db: user "mallory" holds manage on it, too.
      why:   separation of duties: who writes the policies of payments-db places no pods in it or among its clients; take one of both away (`ringfence audit sod` names the bindings) or leave one to another identity
      check: kubectl auth can-i manage segments.ringfence.dev/payments-db -n payments
    "#);
    let rules: Vec<_> = decision
        .findings
        .iter()
        .map(|finding| (finding.rule, finding.reason))
        .collect();
    assert_eq!(
        rules,
        [("SeparationOfDuties", Reason::Refused), ("Segments", Reason::Permitted)]
    );
}

#[test]
fn who_only_connects_connects() {
    let (decision, _) = connects(apart(Mode::Enforce, Mode::Enforce), &client(), Answer::Allowed(false));
    assert!(decision.allowed());
    assert_eq!(decision.findings.len(), 1);
}

#[test]
fn a_join_counts_as_a_connect_does_and_each_segment_once() {
    let labels = [("app", "hollowdb")];
    let request = request("payments", Action::Place(placement(None, &labels)));
    let known = [
        (in_payments(Verb::Join), Answer::Allowed(true)),
        (in_payments(Verb::Manage), Answer::Allowed(true)),
    ];
    let (decision, _) = run(&snapshot(apart(Mode::Enforce, Mode::Enforce)), &request, &known);
    assert!(!decision.allowed());
    assert_eq!(decision.findings.len(), 2);
}

#[test]
fn where_it_is_off_nothing_is_asked() {
    let (decision, rounds) = connects(guardrails(Mode::Enforce), &client(), Answer::Allowed(true));
    assert!(decision.allowed());
    assert_eq!(rounds, [[in_payments(Verb::Connect)]]);
}

#[test]
fn members_of_exempt_groups_are_not_asked() {
    let mut request = client();
    request.identity.groups = vec!["system:authenticated".into(), "breakers".into()];
    let (decision, rounds) = connects(apart(Mode::Enforce, Mode::Enforce), &request, Answer::Allowed(true));
    assert!(decision.allowed());
    assert_eq!(rounds, [[in_payments(Verb::Connect)]]);
}

#[rstest]
#[case::enforce(Mode::Enforce, Mode::Enforce, None, "deny", Mode::Enforce)]
#[case::warn(Mode::Enforce, Mode::Warn, None, "warn", Mode::Warn)]
#[case::audit(Mode::Enforce, Mode::Audit, None, "audit", Mode::Audit)]
#[case::capped_by_the_rollout(Mode::Enforce, Mode::Enforce, Some(Mode::Warn), "warn", Mode::Warn)]
#[case::never_stricter_than_the_segment(Mode::Audit, Mode::Enforce, None, "audit", Mode::Audit)]
fn the_weakest_of_modes_holds_and_is_what_is_waited_for(
    #[case] segment: Mode,
    #[case] duties: Mode,
    #[case] cap: Option<Mode>,
    #[case] outcome: &str,
    #[case] waits: Mode,
) {
    let guardrails = Guardrails {
        rollout: Rollout {
            default: None,
            namespaces: cap.map(|cap| (name("web"), cap)).into_iter().collect(),
        },
        ..apart(segment, duties)
    };
    let snapshot = snapshot(guardrails);
    let Step::Ask(asked) = decide(&snapshot, &client(), &Answers::new()) else {
        panic!("something is asked")
    };
    let manage = asked.iter().find(|asked| asked.question == in_payments(Verb::Manage));
    assert_eq!(manage.map(|asked| asked.mode), Some(waits));
    let known = [
        (in_payments(Verb::Connect), Answer::Allowed(true)),
        (in_payments(Verb::Manage), Answer::Allowed(true)),
    ];
    let (decision, _) = run(&snapshot, &client(), &known);
    assert_eq!(decision.outcome(), outcome);
    for line in &decision.warnings {
        assert!(line.starts_with("ringfence: ") && line.chars().count() <= 120, "{line}");
    }
}

#[rstest]
#[case::enforce(Mode::Enforce, "retry")]
#[case::warn(Mode::Warn, "warn")]
fn a_second_review_that_cannot_be_made_never_allows_where_enforced(#[case] duties: Mode, #[case] outcome: &str) {
    let failed = Answer::Failed("timeout".into());
    let (decision, _) = connects(apart(Mode::Enforce, duties), &client(), failed);
    assert_eq!(decision.outcome(), outcome);
    if let Verdict::Retry(text, _) = decision.verdict {
        assert!(
            text.contains("separation of duties") && text.contains("timeout"),
            "{text}"
        );
    }
}

#[test]
fn a_refusal_of_the_permission_itself_is_all_that_is_told() {
    let known = [
        (in_payments(Verb::Connect), Answer::Allowed(false)),
        (in_payments(Verb::Manage), Answer::Allowed(true)),
    ];
    let snapshot = snapshot(apart(Mode::Enforce, Mode::Enforce));
    let (decision, _) = run(&snapshot, &client(), &known);
    assert!(!decision.allowed());
    assert_eq!(decision.findings.len(), 1);
}

/// Argo CD may do everything: it is the user as whom it is reviewed that must not hold both.
#[rstest]
#[case::reviewed_as_one_who_places(Answer::Allowed(false), true)]
#[case::reviewed_as_one_who_does_both(Answer::Allowed(true), false)]
fn a_delegate_is_judged_as_the_user_it_is_reviewed_as(#[case] reviewer_manages: Answer, #[case] allowed: bool) {
    let guardrails = Guardrails {
        delegates: vec![Delegate {
            user: "argocd".to_owned(),
            review_as: "gitops:{namespace}".to_owned(),
        }],
        ..apart(Mode::Enforce, Mode::Enforce)
    };
    let mut request = client();
    request.identity.username = "argocd".into();
    let segment = SegmentName::new("payments-db").expect("valid name");
    let as_reviewer = |verb| {
        let scope = Scope::Namespace(name("payments"));
        Question::Allowed(
            Who::User("gitops:web".to_owned()),
            Permission::segment(verb, &segment, scope),
        )
    };
    let known = [
        (in_payments(Verb::Connect), Answer::Allowed(true)),
        (as_reviewer(Verb::Connect), Answer::Allowed(true)),
        (as_reviewer(Verb::Manage), reviewer_manages),
    ];
    let (decision, _) = run(&snapshot(guardrails), &request, &known);
    assert_eq!(decision.allowed(), allowed);
    if let Verdict::Deny(text) = decision.verdict {
        assert!(
            text.contains(r#"user "gitops:web" holds manage"#) && text.contains(r#"asked for "argocd", a delegate"#),
            "{text}"
        );
    }
}

#[test]
fn what_a_controller_makes_is_not_asked_for() {
    let known = [(owner_question(), owner("rs-1", CLIENT))];
    let snapshot = snapshot(apart(Mode::Enforce, Mode::Enforce));
    let (decision, rounds) = run(&snapshot, &made_by_controller(), &known);
    assert!(decision.allowed());
    assert_eq!(rounds, [[owner_question()]]);
}

#[test]
fn creating_a_consent_namespace_writes_no_policy() {
    let request = request("payments", Action::CreateNamespace(Labels::default()));
    let known = [(asks(Verb::Manage, Scope::Cluster), Answer::Allowed(true))];
    let (decision, rounds) = run(&snapshot(apart(Mode::Enforce, Mode::Enforce)), &request, &known);
    assert!(decision.allowed() && rounds.len() == 1, "{rounds:?}");
}

#[test]
fn what_it_refuses_by_cached_labels_is_checked_live_first() {
    let mut snapshot = snapshot(apart(Mode::Enforce, Mode::Enforce));
    let mut namespaces = (*snapshot.namespaces).clone();
    namespaces.insert(name("web"), Arc::new(namespace(&[("team", "blue")])));
    snapshot.namespaces = Arc::new(namespaces);
    let request = request("web", Action::Place(placement(None, BATCH)));
    let both = [
        (in_payments(Verb::Connect), Answer::Allowed(true)),
        (in_payments(Verb::Manage), Answer::Allowed(true)),
    ];
    for (labels, allowed) in [(&[][..], true), (&[("team", "blue")][..], false)] {
        let mut known = both.to_vec();
        known.push((reads("web"), Answer::Namespace(Some(namespace(labels)))));
        assert_eq!(run(&snapshot, &request, &known).0.allowed(), allowed, "{labels:?}");
    }
}

/// What can be denied stays where a segment can deny: it adds no namespace to those where webhooks fail closed.
#[test]
fn it_denies_nowhere_but_where_a_segment_does() {
    for segment in [Mode::Audit, Mode::Warn, Mode::Enforce] {
        let (with, without) = (apart(segment, Mode::Enforce), guardrails(segment));
        assert_eq!(with.enforced(), without.enforced());
        assert_eq!(with.enforced_on_namespaces(), without.enforced_on_namespaces());
        let (decision, _) = connects(with, &client(), Answer::Allowed(true));
        assert_eq!(decision.allowed(), segment != Mode::Enforce);
    }
}
