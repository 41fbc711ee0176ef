//! Namespaces: read live where their labels decide, asked for consent while they stand, and who may make one that consents.

use super::*;

#[test]
fn a_namespace_that_would_match_by_newer_labels_is_read_live() {
    let request = request("web", Action::Place(placement(None, BATCH)));
    let snapshot = snapshot(guardrails(Mode::Enforce));
    let relabelled = [
        (reads("web"), Answer::Namespace(Some(namespace(&[("team", "blue")])))),
        (in_payments(Verb::Connect), Answer::Allowed(false)),
    ];
    assert!(!run(&snapshot, &request, &relabelled).0.allowed());
    let unchanged = [(reads("web"), Answer::Namespace(Some(namespace(&[]))))];
    assert!(run(&snapshot, &request, &unchanged).0.allowed());
    for failed in [Answer::Failed("timeout".into()), Answer::Namespace(None)] {
        assert_eq!(run(&snapshot, &request, &[(reads("web"), failed)]).0.outcome(), "retry");
    }
}

#[test]
fn an_unknown_namespace_is_read_live_never_taken_as_unlabelled() {
    let request = request("new", Action::Place(placement(None, BATCH)));
    let known = [
        (reads("new"), Answer::Namespace(Some(namespace(&[("team", "blue")])))),
        (in_payments(Verb::Connect), Answer::Allowed(false)),
    ];
    assert!(!run(&snapshot(guardrails(Mode::Enforce)), &request, &known).0.allowed());
}

#[test]
fn a_refusal_by_cached_labels_is_checked_live_first() {
    let mut snapshot = snapshot(guardrails(Mode::Enforce));
    let mut namespaces = (*snapshot.namespaces).clone();
    namespaces.insert(name("web"), Arc::new(namespace(&[("team", "blue")])));
    snapshot.namespaces = Arc::new(namespaces);
    let request = request("web", Action::Place(placement(None, BATCH)));
    let moved_out = [
        (in_payments(Verb::Connect), Answer::Allowed(false)),
        (reads("web"), Answer::Namespace(Some(namespace(&[])))),
    ];
    assert!(run(&snapshot, &request, &moved_out).0.allowed());
    let permitted = [(in_payments(Verb::Connect), Answer::Allowed(true))];
    let (decision, rounds) = run(&snapshot, &request, &permitted);
    assert!(
        decision.allowed() && rounds.len() == 1,
        "nothing to check where it is allowed"
    );
}

#[rstest]
#[case::absent(Answer::Namespace(None))]
#[case::terminating(Answer::Namespace(Some(Namespace { terminating: true, ..Namespace::default() })))]
fn without_its_consent_namespace_the_cluster_is_asked(#[case] read: Answer) {
    let mut snapshot = snapshot(guardrails(Mode::Enforce));
    let mut namespaces = (*snapshot.namespaces).clone();
    namespaces.remove("payments");
    snapshot.namespaces = Arc::new(namespaces);
    let known = [
        (reads("payments"), read),
        (asks(Verb::Connect, Scope::Cluster), Answer::Allowed(false)),
    ];
    let (decision, _) = run(
        &snapshot,
        &request("web", Action::Place(placement(None, CLIENT))),
        &known,
    );
    let Verdict::Deny(text) = decision.verdict else {
        panic!("expected a denial: {decision:?}")
    };
    assert!(
        text.contains("--all-namespaces") && text.contains("--cluster --user mallory"),
        "{text}"
    );
}

#[test]
fn creating_a_consent_namespace_needs_manage_at_the_cluster() {
    let request = |text| request(text, Action::CreateNamespace(Labels::default()));
    let manage = asks(Verb::Manage, Scope::Cluster);
    let snapshot = snapshot(guardrails(Mode::Enforce));
    assert!(
        !run(
            &snapshot,
            &request("payments"),
            &[(manage.clone(), Answer::Allowed(false))]
        )
        .0
        .allowed()
    );
    assert!(
        run(&snapshot, &request("payments"), &[(manage, Answer::Allowed(true))])
            .0
            .allowed()
    );
    assert!(run(&snapshot, &request("web"), &[]).0.allowed());
}
