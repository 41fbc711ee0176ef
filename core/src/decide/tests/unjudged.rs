//! Templates that stood before their segment was enforced: let in, and found.

use super::*;
use crate::decide::{unjudged, written};
use crate::model::ObjectReference;

const BEFORE: Option<Timestamp> = Some(Timestamp(500));

fn object(resource: &str, name: &str) -> Question {
    Question::Owner(ObjectReference {
        group: "apps".into(),
        version: "v1".into(),
        resource: resource.into(),
        template: "/spec/template".into(),
        namespace: self::name("web"),
        name: name.into(),
    })
}

/// The ReplicaSet of the request, made then, by Deployment `app` or by nobody.
fn replica_set(created: Option<Timestamp>, deployment: Option<&str>) -> (Question, Answer) {
    let controller = deployment.map(|uid| ControllerReference {
        api_version: "apps/v1".into(),
        kind: "Deployment".into(),
        name: "app".into(),
        uid: uid.to_owned().into(),
    });
    let Answer::Owner(Some(owner)) = owner("rs-1", CLIENT) else {
        unreachable!()
    };
    let owner = Owner {
        controller,
        created,
        // Scaling writes it too, so it says nothing.
        written: LATER,
        ..owner
    };
    (owner_question(), Answer::Owner(Some(owner)))
}

fn deployment(written: Option<Timestamp>) -> (Question, Answer) {
    let owner = Owner {
        uid: "deploy-1".to_owned(),
        created: BEFORE,
        written,
        ..Owner::default()
    };
    (object("deployments", "app"), Answer::Owner(Some(owner)))
}

fn found(snapshot: &Snapshot, known: &[(Question, Answer)]) -> (Finding, Vec<Vec<Question>>) {
    let (mut decision, rounds) = run(snapshot, &made_by_controller(), known);
    assert!(decision.allowed(), "{decision:?}");
    assert!(decision.warnings.is_empty(), "{decision:?}");
    assert_eq!(decision.findings.len(), 1);
    (decision.findings.remove(0), rounds)
}

fn enforcing() -> Snapshot {
    snapshot(guardrails(Mode::Enforce))
}

#[test]
fn a_pod_of_a_template_that_stood_before_is_let_in_and_found() {
    let (finding, rounds) = found(&enforcing(), &[replica_set(BEFORE, Some("deploy-1"))]);
    assert_eq!(finding.reason, Reason::UnjudgedTemplate);
    assert_eq!(finding.what, "may connect to segment payments-db");
    assert!(
        finding.why.ends_with(
            "its template was written 1970-01-01T00:08:20Z, and the segment is enforced since 1970-01-01T00:16:40Z: \
             nobody was asked"
        ),
        "{}",
        finding.why
    );
    assert_eq!(rounds, [[owner_question()]], "nothing more has to be known");
}

#[rstest]
#[case::both_since(LATER, LATER, Reason::Inherited)]
#[case::made_anew_of_a_deployment_that_stood(LATER, BEFORE, Reason::UnjudgedTemplate)]
#[case::of_a_deployment_that_was_touched(BEFORE, LATER, Reason::UnjudgedTemplate)]
#[case::as_old_as_the_segment(Some(ENFORCED), LATER, Reason::UnjudgedTemplate)]
#[case::before_every_replica_knew(Some(Timestamp(1002)), LATER, Reason::UnjudgedTemplate)]
#[case::after_every_replica_knew(Some(Timestamp(1003)), LATER, Reason::Inherited)]
#[case::at_an_unknown_time(None, LATER, Reason::UnjudgedTemplate)]
#[case::of_a_deployment_of_an_unknown_time(LATER, None, Reason::UnjudgedTemplate)]
fn every_maker_of_the_template_must_have_been_written_since(
    #[case] replica_set_made: Option<Timestamp>,
    #[case] deployment_written: Option<Timestamp>,
    #[case] reason: Reason,
) {
    let known = [
        replica_set(replica_set_made, Some("deploy-1")),
        deployment(deployment_written),
    ];
    assert_eq!(found(&enforcing(), &known).0.reason, reason);
}

#[rstest]
#[case::nobody_made_it(None, deployment(BEFORE).1, 1)]
#[case::its_maker_is_gone(Some("deploy-1"), Answer::Owner(None), 2)]
#[case::its_maker_is_another_by_now(Some("deploy-0"), deployment(BEFORE).1, 2)]
#[case::its_maker_cannot_be_read(Some("deploy-1"), Answer::Failed("timeout".into()), 2)]
fn what_is_not_there_to_tell_is_no_finding(#[case] made_by: Option<&str>, #[case] read: Answer, #[case] rounds: usize) {
    let known = [replica_set(LATER, made_by), (object("deployments", "app"), read)];
    let (finding, asked) = found(&enforcing(), &known);
    assert_eq!((finding.reason, asked.len()), (Reason::Inherited, rounds));
}

#[rstest]
#[case(Mode::Audit)]
#[case(Mode::Warn)]
fn where_nothing_is_enforced_nothing_was_judged_and_nobody_asks(#[case] mode: Mode) {
    let (finding, rounds) = found(&snapshot(guardrails(mode)), &[replica_set(BEFORE, Some("deploy-1"))]);
    assert_eq!(finding.reason, Reason::Inherited);
    assert_eq!(rounds, [[owner_question()]]);
}

#[test]
fn as_long_as_nobody_has_said_since_when_all_stood_before() {
    let snapshot = Snapshot {
        since: Arc::default(),
        ..enforcing()
    };
    let (finding, _) = found(&snapshot, &[replica_set(LATER, None)]);
    assert_eq!(finding.reason, Reason::UnjudgedTemplate);
    assert!(
        finding.why.contains("the segment is enforced only now"),
        "{}",
        finding.why
    );
}

#[test]
fn a_write_of_a_kind_that_is_never_rewritten_is_told_by_its_creation() {
    let owner = Owner {
        created: BEFORE,
        written: LATER,
        ..Owner::default()
    };
    for resource in ["replicasets", "jobs", "controllerrevisions"] {
        assert_eq!(written(resource, &owner), BEFORE);
    }
    for resource in ["deployments", "statefulsets", "daemonsets", "cronjobs", "rollouts"] {
        assert_eq!(written(resource, &owner), LATER);
    }
}

#[test]
fn the_segments_that_a_template_stood_before_are_told() {
    let snapshot = enforcing();
    let told =
        |place: &str, own: &[(&str, &str)], written| unjudged(&snapshot, &name(place), &namespace(own).labels, written);
    assert_eq!(told("web", CLIENT, BEFORE), [SegmentId(0)]);
    assert!(told("web", CLIENT, LATER).is_empty());
    assert!(told("web", OTHER, BEFORE).is_empty());
    assert!(
        told("web", &[("app", "hollowdb")], BEFORE).is_empty(),
        "members are in payments alone"
    );
    assert_eq!(told("payments", &[("app", "hollowdb")], BEFORE), [SegmentId(0)]);
    // The namespace has not the label that the clause wants.
    assert!(told("web", &[("app", "batch")], BEFORE).is_empty());
    let audit = super::snapshot(guardrails(Mode::Audit));
    assert!(unjudged(&audit, &name("web"), &namespace(CLIENT).labels, BEFORE).is_empty());
}
