//! The rules over small worlds: what is asked, in which order, and what comes of the answers.

mod checks;
mod cross;
mod cross_by_brute_force;
mod duties;
mod isolation;
mod manage;
mod nodes;
mod paths;
mod protect;
mod require_isolation;
mod settle;
mod unjudged;
mod unread_policies;

use std::collections::BTreeMap;
use std::sync::Arc;

use rstest::rstest;

use super::*;
use crate::guardrails::{Clause, ClauseId, Guardrails, NamespaceSet, Rollout, Segment, SegmentId, Side};
use crate::labels::{ClauseIndex, Labels, Operator, Requirement, Selector};
use crate::model::{
    Action, Answer, ControllerReference, Controllers, Identity, Namespace, NamespaceName, Namespaces, Operation,
    OwnedTemplate, Owner, Permission, Placement, PlacementKind, PodSpecText, Question, Runs, Scope, SegmentName, Since,
    Subject, Timestamp, Verb, Who,
};

fn name(text: &str) -> NamespaceName {
    NamespaceName::new(text).expect("valid name")
}

fn selector(pairs: &[(&str, &str)]) -> Selector {
    let requirement = |(key, value): &(&str, &str)| Requirement {
        key: (*key).to_owned(),
        operator: Operator::In(vec![(*value).to_owned()]),
    };
    Selector::new(pairs.iter().map(requirement).collect())
}

/// Segment `payments-db`: members `app=hollowdb` in payments, clients `app=hollowapp` everywhere, and `app=batch` where a
/// namespace is labelled `team=blue`; consent in payments.
fn guardrails(mode: Mode) -> Guardrails {
    let everywhere = NamespaceSet::Selected(Selector::everything());
    let segment = Segment {
        name: SegmentName::new("payments-db").expect("valid name"),
        description: "Card data. Ask team payments for access.".to_owned(),
        mode,
        consent: Scope::Namespace(name("payments")),
        members: vec![Clause {
            namespaces: NamespaceSet::Named([name("payments")].into()),
            pods: selector(&[("app", "hollowdb")]),
        }],
        clients: vec![
            Clause {
                namespaces: everywhere,
                pods: selector(&[("app", "hollowapp")]),
            },
            Clause {
                namespaces: NamespaceSet::Selected(selector(&[("team", "blue")])),
                pods: selector(&[("app", "batch")]),
            },
        ],
        isolated_from: Vec::new(),
        require_isolation: Vec::new(),
        guard_access: true,
    };
    let id = |side, position| ClauseId {
        segment: SegmentId(0),
        side,
        position,
    };
    let index = ClauseIndex::new(&[
        (id(Side::Member, 0), &segment.members[0]),
        (id(Side::Client, 0), &segment.clients[0]),
        (id(Side::Client, 1), &segment.clients[1]),
    ]);
    Guardrails {
        mode,
        segments: vec![segment],
        index,
        selecting: vec![id(Side::Client, 1)],
        consents: BTreeMap::from([(name("payments"), vec![SegmentId(0)])]),
        system_namespaces: [name("kube-system")].into(),
        ..Guardrails::default()
    }
}

fn namespace(labels: &[(&str, &str)]) -> Namespace {
    let labels = labels
        .iter()
        .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
        .collect();
    Namespace {
        uid: "ns-1".to_owned(),
        labels,
        terminating: false,
        created: None,
    }
}

/// Since when the segments of these worlds are enforced.
const ENFORCED: Timestamp = Timestamp(1000);
/// When what was judged was written.
const LATER: Option<Timestamp> = Some(Timestamp(2000));

fn controlled_by(uid: &str) -> Option<ControllerReference<'static>> {
    (!uid.is_empty()).then(|| ControllerReference {
        uid: uid.to_owned().into(),
        ..ControllerReference::default()
    })
}

fn snapshot(guardrails: Guardrails) -> Snapshot {
    let namespaces: Namespaces = ["payments", "web", "kube-system"]
        .into_iter()
        .map(|text| (name(text), Arc::new(namespace(&[]))))
        .collect();
    let since = Since::default().advanced(&guardrails, ENFORCED);
    Snapshot {
        guardrails: Arc::new(guardrails),
        namespaces: Arc::new(namespaces),
        since: Arc::new(since),
        policies: Arc::default(),
    }
}

fn placement<'a>(before: Option<&[(&'a str, &'a str)]>, after: &[(&'a str, &'a str)]) -> Placement<'a> {
    Placement {
        kind: PlacementKind::Pod,
        before: before.map(|labels| labels.iter().copied().collect()),
        after: after.iter().copied().collect(),
        runs: Runs::Changed,
        controllers: Controllers::None,
        spec: PodSpecText::default(),
        spec_before: PodSpecText::default(),
    }
}

fn request<'a>(namespace: &'a str, action: Action<'a>) -> Request<'a> {
    let operation = match &action {
        Action::Place(Placement { before: Some(_), .. }) => Operation::Update,
        _ => Operation::Create,
    };
    Request {
        uid: "1".into(),
        identity: Identity {
            username: "mallory".into(),
            ..Identity::default()
        },
        operation,
        group: "".into(),
        version: "v1".into(),
        resource: "pods".into(),
        subresource: "".into(),
        dry_run: false,
        subject: Subject {
            kind: "pod".into(),
            namespace: namespace.into(),
            name: "rogue".into(),
            group_key: "rogue".into(),
        },
        actions: vec![action],
    }
}

fn asks(verb: Verb, scope: Scope) -> Question {
    let segment = SegmentName::new("payments-db").expect("valid name");
    Question::Allowed(Who::Requester, Permission::segment(verb, &segment, scope))
}

fn in_payments(verb: Verb) -> Question {
    asks(verb, Scope::Namespace(name("payments")))
}

/// Runs the steps, answering from this list; a question that is not in it fails the test. Gives the decision and what was
/// asked, round by round.
fn run(snapshot: &Snapshot, request: &Request<'_>, known: &[(Question, Answer)]) -> (Decision, Vec<Vec<Question>>) {
    let mut answers = Answers::new();
    let mut rounds = Vec::new();
    loop {
        match decide(snapshot, request, &answers) {
            Step::Done(decision) => {
                assert!(rounds.len() <= MOST_ROUNDS, "too many rounds: {rounds:?}");
                return (decision, rounds);
            }
            Step::Ask(asked) => {
                for Asked { question, .. } in &asked {
                    let answer = known.iter().find(|(known, _)| known == question);
                    let answer = answer.unwrap_or_else(|| panic!("unexpected question: {question:?}"));
                    answers.insert(question.clone(), answer.1.clone());
                }
                rounds.push(asked.into_iter().map(|asked| asked.question).collect());
            }
        }
    }
}

const CLIENT: &[(&str, &str)] = &[("app", "hollowapp"), ("tier", "web")];
const MEMBER: &[(&str, &str)] = &[("app", "hollowdb")];
const OTHER: &[(&str, &str)] = &[("app", "other")];

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

const BATCH: &[(&str, &str)] = &[("app", "batch")];

fn reads(text: &str) -> Question {
    Question::Namespace(name(text))
}

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

/// A pod of a ReplicaSet made by its controller, then one thing changed about it.
fn made_by_controller<'a>() -> Request<'a> {
    let owner = ControllerReference {
        api_version: "apps/v1".into(),
        kind: "ReplicaSet".into(),
        name: "app-1".into(),
        uid: "rs-1".into(),
    };
    let placement = Placement {
        controllers: Controllers::One(owner),
        ..placement(None, CLIENT)
    };
    let identity = Identity {
        username: "system:serviceaccount:kube-system:replicaset-controller".into(),
        uid: "sa-1".into(),
        ..Identity::default()
    };
    Request {
        identity,
        ..request("web", Action::Place(placement))
    }
}

fn owner_question() -> Question {
    Question::Owner(crate::model::ObjectReference {
        group: "apps".into(),
        version: "v1".into(),
        resource: "replicasets".into(),
        template: "/spec/template".into(),
        namespace: name("web"),
        name: "app-1".into(),
    })
}

fn owner(uid: &str, labels: &[(&str, &str)]) -> Answer {
    Answer::Owner(Some(Owner {
        uid: uid.to_owned(),
        templates: vec![OwnedTemplate {
            labels: namespace(labels).labels,
            ..OwnedTemplate::default()
        }],
        created: LATER,
        written: LATER,
        ..Owner::default()
    }))
}

#[test]
fn a_controllers_pod_inherits_its_templates_permission() {
    let (decision, rounds) = run(
        &snapshot(guardrails(Mode::Enforce)),
        &made_by_controller(),
        &[(owner_question(), owner("rs-1", CLIENT))],
    );
    assert!(decision.allowed());
    assert_eq!(decision.findings[0].reason, Reason::Inherited);
    assert_eq!(rounds, [[owner_question()]]);
}

#[rstest]
#[case::another_uid(owner("rs-2", CLIENT), "deny")]
#[case::a_template_without_the_label(owner("rs-1", OTHER), "deny")]
#[case::owner_gone(Answer::Owner(None), "deny")]
#[case::owner_unreadable(Answer::Failed("timeout".into()), "retry")]
fn an_owner_that_does_not_bear_it_out_is_no_provenance(#[case] read: Answer, #[case] outcome: &str) {
    let known = [
        (owner_question(), read),
        (in_payments(Verb::Connect), Answer::Allowed(false)),
    ];
    assert_eq!(
        run(&snapshot(guardrails(Mode::Enforce)), &made_by_controller(), &known)
            .0
            .outcome(),
        outcome
    );
}

#[rstest]
#[case::a_person(|request: &mut Request<'_>| request.identity.username = "mallory".into())]
#[case::impersonated_without_uid(|request: &mut Request<'_>| request.identity.uid = "".into())]
#[case::another_controller(|request: &mut Request<'_>| {
    request.identity.username = "system:serviceaccount:kube-system:job-controller".into();
})]
#[case::an_account_of_that_name_elsewhere(|request: &mut Request<'_>| {
    request.identity.username = "system:serviceaccount:web:replicaset-controller".into();
})]
#[case::on_update(|request: &mut Request<'_>| {
    request.operation = Operation::Update;
    let [Action::Place(placement)] = request.actions.as_mut_slice() else { unreachable!() };
    placement.before = Some(Labels::default());
})]
#[case::two_controllers(|request: &mut Request<'_>| {
    let [Action::Place(placement)] = request.actions.as_mut_slice() else { unreachable!() };
    placement.controllers = Controllers::Several;
})]
#[case::no_owner(|request: &mut Request<'_>| {
    let [Action::Place(placement)] = request.actions.as_mut_slice() else { unreachable!() };
    placement.controllers = Controllers::None;
})]
#[case::an_owner_of_another_group(|request: &mut Request<'_>| {
    let [Action::Place(placement)] = request.actions.as_mut_slice() else { unreachable!() };
    let Controllers::One(owner) = &mut placement.controllers else { unreachable!() };
    owner.api_version = "example.com/v1".into();
})]
fn only_the_controller_itself_on_create_has_provenance(#[case] change: fn(&mut Request<'_>)) {
    let mut request = made_by_controller();
    change(&mut request);
    let known = [(in_payments(Verb::Connect), Answer::Allowed(false))];
    let (decision, rounds) = run(&snapshot(guardrails(Mode::Enforce)), &request, &known);
    assert!(!decision.allowed());
    assert_eq!(rounds, [[in_payments(Verb::Connect)]], "the owner is not even read");
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
