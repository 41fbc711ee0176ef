//! Pods and templates by their labels: what each change of them asks, and what comes of the answers.

use super::*;

#[test]
fn a_copied_label_is_refused_without_connect() {
    let request = request("web", Action::Place(placement(None, CLIENT)));
    let known = [(in_payments(Verb::Connect), Answer::Allowed(false))];
    let (decision, rounds) = run(&snapshot(guardrails(Mode::Enforce)), &request, &known);
    assert_eq!(rounds, [[in_payments(Verb::Connect)]]);
    let Verdict::Deny(text) = decision.verdict else {
        panic!("expected a denial: {decision:?}")
    };
    insta::assert_snapshot!(text, @r#"
    pod web/rogue may not connect to segment payments-db: user "mallory" lacks the permission.
      why:   label app=hollowapp matches clients[0] of payments-db (Card data. Ask team payments for access.)
      check: kubectl auth can-i connect segments.ringfence.dev/payments-db -n payments
      grant: ringfence grant connect segments/payments-db --user mallory
    "#);
}

#[test]
fn a_copied_label_is_let_in_with_connect() {
    let request = request("web", Action::Place(placement(None, CLIENT)));
    let known = [(in_payments(Verb::Connect), Answer::Allowed(true))];
    let (decision, _) = run(&snapshot(guardrails(Mode::Enforce)), &request, &known);
    assert!(decision.allowed());
    assert_eq!(decision.findings[0].reason, Reason::Permitted);
}

#[rstest]
#[case::unrelated(None, OTHER, Runs::Changed, &[])]
#[case::unlabelled(None, &[], Runs::Changed, &[])]
#[case::gained_client(Some(OTHER), CLIENT, Runs::Unchanged, &[Verb::Connect])]
#[case::gained_member(Some(OTHER), MEMBER, Runs::Unchanged, &[Verb::Join])]
#[case::kept(Some(CLIENT), CLIENT, Runs::Unchanged, &[])]
#[case::kept_with_other_labels(Some(CLIENT), &[("app", "hollowapp"), ("tier", "back")], Runs::Unchanged, &[])]
#[case::kept_with_another_image(Some(CLIENT), CLIENT, Runs::Changed, &[Verb::Connect])]
#[case::kept_member_with_another_image(Some(MEMBER), MEMBER, Runs::Changed, &[Verb::Join])]
#[case::lost_member(Some(MEMBER), OTHER, Runs::Unchanged, &[Verb::Join])]
#[case::lost_client(Some(CLIENT), OTHER, Runs::Unchanged, &[])]
#[case::from_member_to_client(Some(MEMBER), CLIENT, Runs::Unchanged, &[Verb::Connect, Verb::Join])]
fn each_change_of_a_live_pod_asks_its_verbs(
    #[case] before: Option<&[(&str, &str)]>,
    #[case] after: &[(&str, &str)],
    #[case] runs: Runs,
    #[case] verbs: &[Verb],
) {
    let request = request(
        "payments",
        Action::Place(Placement {
            runs,
            ..placement(before, after)
        }),
    );
    let known: Vec<_> = [Verb::Connect, Verb::Join]
        .map(|verb| (in_payments(verb), Answer::Allowed(false)))
        .into();
    let (decision, rounds) = run(&snapshot(guardrails(Mode::Enforce)), &request, &known);
    let asked: Vec<Question> = rounds.into_iter().flatten().collect();
    assert_eq!(asked, verbs.iter().map(|verb| in_payments(*verb)).collect::<Vec<_>>());
    assert_eq!(decision.allowed(), verbs.is_empty());
}

#[test]
fn a_template_may_lose_a_member_label() {
    let template = Placement {
        kind: PlacementKind::Template,
        runs: Runs::Unchanged,
        ..placement(Some(MEMBER), OTHER)
    };
    let (decision, rounds) = run(
        &snapshot(guardrails(Mode::Enforce)),
        &request("payments", Action::Place(template)),
        &[],
    );
    assert!(decision.allowed() && rounds.is_empty());
}

#[rstest]
#[case::enforce(Mode::Enforce, None, "deny", 0)]
#[case::warn(Mode::Warn, None, "warn", 1)]
#[case::audit(Mode::Audit, None, "audit", 0)]
#[case::capped(Mode::Enforce, Some(Mode::Warn), "warn", 1)]
#[case::never_stronger_than_the_rule(Mode::Audit, Some(Mode::Enforce), "audit", 0)]
fn the_weaker_of_mode_and_rollout_holds(
    #[case] mode: Mode,
    #[case] cap: Option<Mode>,
    #[case] outcome: &str,
    #[case] warnings: usize,
) {
    let rollout = Rollout {
        default: None,
        namespaces: cap.map(|cap| (name("web"), cap)).into_iter().collect(),
    };
    let snapshot = snapshot(Guardrails {
        rollout,
        ..guardrails(mode)
    });
    let known = [(in_payments(Verb::Connect), Answer::Allowed(false))];
    let (decision, _) = run(
        &snapshot,
        &request("web", Action::Place(placement(None, CLIENT))),
        &known,
    );
    assert_eq!((decision.outcome(), decision.warnings.len()), (outcome, warnings));
    for line in &decision.warnings {
        assert!(line.starts_with("ringfence: ") && line.chars().count() <= 120, "{line}");
    }
}

#[rstest]
#[case::where_it_can_deny("web", "retry")]
#[case::in_system_namespaces("kube-system", "warn")]
fn a_review_that_cannot_be_made_never_allows_where_enforced(#[case] namespace: &str, #[case] outcome: &str) {
    let known = [(in_payments(Verb::Connect), Answer::Failed("timeout".into()))];
    let request = request(namespace, Action::Place(placement(None, CLIENT)));
    let (decision, _) = run(&snapshot(guardrails(Mode::Enforce)), &request, &known);
    assert_eq!(decision.outcome(), outcome);
    if let Verdict::Retry(text, _) = decision.verdict {
        assert!(
            text.contains("could not be found out") && text.contains("timeout"),
            "{text}"
        );
    }
}

#[test]
fn segment_denials_hold_in_system_namespaces() {
    let known = [(in_payments(Verb::Connect), Answer::Allowed(false))];
    let request = request("kube-system", Action::Place(placement(None, CLIENT)));
    assert!(!run(&snapshot(guardrails(Mode::Enforce)), &request, &known).0.allowed());
}

#[test]
fn hostile_user_names_cannot_write_lines_of_their_own() {
    let mut request = request("web", Action::Place(placement(None, CLIENT)));
    request.identity.username = "x\n  grant: kubectl delete'; rm".into();
    let known = [(in_payments(Verb::Connect), Answer::Allowed(false))];
    let Verdict::Deny(text) = run(&snapshot(guardrails(Mode::Enforce)), &request, &known).0.verdict else {
        panic!("expected a denial")
    };
    assert_eq!(text.lines().count(), 4, "{text}");
    assert!(text.ends_with(r"--user 'x  grant: kubectl delete'\''; rm'"), "{text}");
}

#[test]
fn what_stays_unanswered_is_decided_as_unanswered() {
    let request = request("web", Action::Place(placement(None, CLIENT)));
    let decision = decide_unanswered(
        &snapshot(guardrails(Mode::Enforce)),
        &request,
        &mut Answers::new(),
        "no time was left",
    );
    assert_eq!(decision.outcome(), "retry");
}
