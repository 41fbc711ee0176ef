//! What is published of guardrails, with what they leave unsaid, and since when it is so.

use ringfence_core::guardrails::{Source, compile};

use super::*;

fn guardrails() -> Guardrails {
    let text = "{apiVersion: ringfence.dev/v1alpha1, kind: Guardrails, metadata: {name: default}, spec: {mode: Warn}}\n\
                ---\n{apiVersion: ringfence.dev/v1alpha1, kind: Segment, metadata: {name: db}, spec: {members: \
                [{namespaces: [payments], podSelector: {matchLabels: {app: db}}}], clients: [{namespaceSelector: {}, \
                podSelector: {}}, {namespaces: [a], podSelector: {}}, {namespaces: [b], podSelector: {}}]}}\n";
    let source = Source {
        name: "a.yaml".to_owned(),
        text: text.to_owned(),
    };
    compile(&[source]).expect("valid").guardrails
}

#[test]
fn a_segment_is_published_with_its_defaults_said() {
    let guardrails = guardrails();
    let segments = published_segments(&guardrails);
    let status = segments[0].status.clone().expect("a status");
    assert_eq!(segments[0].metadata.name.as_deref(), Some("db"));
    assert_eq!(status.observed_revision, guardrails.revision.to_string());
    assert_eq!((status.mode, status.consent.as_str()), (Mode::Warn, "payments"));
    assert_eq!(status.members, "app=db in payments");
    assert_eq!(
        status.clients,
        "every pod in every namespace; every pod in a; and 1 more"
    );
    assert_eq!(segments[0].spec.mode, Some(Mode::Warn));
    let json = serde_json::to_value(&segments[0]).expect("JSON");
    assert_eq!(json["apiVersion"], "ringfence.dev/v1alpha1");
    assert_eq!(json["spec"]["consent"], serde_json::json!({"namespace": "payments"}));
}

#[test]
fn each_check_that_is_on_is_published_by_the_name_that_waive_is_asked_on() {
    let text = "{apiVersion: ringfence.dev/v1alpha1, kind: Guardrails, metadata: {name: default}, spec: {mode: Enforce, \
                checks: [{name: WideCIDR}, {name: HostAccess, mode: Warn}, {name: UnknownPort}]}}\n---\n\
                {apiVersion: ringfence.dev/v1alpha1, kind: Segment, metadata: {name: db}, spec: {mode: Warn, \
                requireIsolation: [Ingress], members: [{namespaces: [a], podSelector: {}}]}}\n";
    let source = Source {
        name: "a.yaml".to_owned(),
        text: text.to_owned(),
    };
    let guardrails = compile(&[source]).expect("valid").guardrails;
    let told: Vec<(String, Mode)> = published_checks(&guardrails)
        .into_iter()
        .map(|check| {
            let (name, _) = check.spec.description.split_once(": ").expect("its name first");
            assert_eq!(check.metadata.name, Some(name.to_ascii_lowercase()));
            (name.to_owned(), check.spec.mode)
        })
        .collect();
    let expected = [
        ("HostAccess", Mode::Warn),
        ("RequireIsolation", Mode::Warn),
        ("UnknownPort", Mode::Warn),
        ("WideCIDR", Mode::Enforce),
    ];
    assert_eq!(told, expected.map(|(name, mode)| (name.to_owned(), mode)));
}

#[test]
fn the_condition_keeps_its_time_until_its_status_changes() {
    let guardrails = guardrails();
    let at = |second: i64| Timestamp::from_second(second).expect("a time");
    let condition = |wrong: Option<&str>, before: Option<&Condition>, now| {
        let wrong = wrong.map(|message| NotInForce {
            reason: "Invalid",
            message: message.to_owned(),
        });
        let published = published_guardrails(&guardrails, &[], wrong, before, at(now));
        published.status.expect("a status").conditions.remove(0)
    };
    let first = condition(None, None, 1);
    let second = condition(None, Some(&first), 2);
    let third = condition(Some("no YAML"), Some(&second), 3);
    assert_eq!(
        (second.status, second.last_transition_time),
        (ConditionStatus::True, at(1))
    );
    assert_eq!(
        (third.status, third.last_transition_time),
        (ConditionStatus::False, at(3))
    );
    assert_eq!(third.message, "no YAML");
}
