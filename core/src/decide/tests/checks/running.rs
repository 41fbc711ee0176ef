//! The checks that ask who runs in the policy's namespace.

use super::*;
use crate::model::Running;
use crate::netpol::{NamedPort, Protocol};

/// Pods with this label `app` and these named ports.
fn running(app: &str, ports: &[(&str, Protocol)]) -> Running {
    let port = |(name, protocol): &(&str, Protocol)| NamedPort {
        name: (*name).into(),
        protocol: *protocol,
        number: 8080,
    };
    Running {
        labels: vec![("app".to_owned(), app.to_owned())],
        ports: ports.iter().map(port).collect(),
    }
}

/// Decides where `app=web` runs with TCP `http` and UDP `dns`, and `app=db` with TCP `sql`.
fn judged_beside(check: &str, before: Option<&str>, after: &str) -> (Decision, Vec<Vec<Question>>) {
    let changes: &[PolicyChange] = if before.is_some() {
        &[PolicyChange::Content]
    } else {
        &[]
    };
    let request = write("web", "mine", before, Some(after), changes);
    let there = vec![
        running("web", &[("http", Protocol::Tcp), ("dns", Protocol::Udp)]),
        running("db", &[("sql", Protocol::Tcp)]),
    ];
    let known = [
        (Question::Running(name("web")), Answer::Running(there)),
        (waiver("SelectsNothing"), Answer::Allowed(false)),
        (waiver("UnknownPort"), Answer::Allowed(false)),
    ];
    run(&enforcing(check), &request, &known)
}

#[rstest]
#[case::nobody(r#"{"podSelector":{"matchLabels":{"app":"wbe"}}}"#, true)]
#[case::another_key(r#"{"podSelector":{"matchLabels":{"run":"web"}}}"#, true)]
#[case::one_of_two_labels(r#"{"podSelector":{"matchLabels":{"app":"web","tier":"x"}}}"#, true)]
#[case::a_contradiction(
    r#"{"podSelector":{"matchLabels":{"app":"web"},"matchExpressions":[{"key":"app","operator":"DoesNotExist"}]}}"#,
    true
)]
#[case::somebody(r#"{"podSelector":{"matchLabels":{"app":"web"}}}"#, false)]
#[case::who_lacks_a_label(
    r#"{"podSelector":{"matchExpressions":[{"key":"tier","operator":"NotIn","values":["x"]}]}}"#,
    false
)]
#[case::everybody(r#"{"podSelector":{}}"#, false)]
#[case::everybody_unsaid("{}", false)]
fn a_policy_that_selects_nobody_is_found(#[case] spec: &str, #[case] refused: bool) {
    let (decision, _) = judged_beside("name: SelectsNothing", None, spec);
    let expected: &[&str] = if refused {
        &["SelectsNothing LacksPermission"]
    } else {
        &[]
    };
    assert_eq!(found(&decision), expected);
}

#[rstest]
#[case::nobody_has_it(r#"{"ingress":[{"ports":[{"port":"htpp"}]}]}"#, true)]
#[case::those_selected_lack_it(
    r#"{"podSelector":{"matchLabels":{"app":"db"}},"ingress":[{"ports":[{"port":"http"}]}]}"#,
    true
)]
#[case::of_another_protocol(r#"{"ingress":[{"ports":[{"port":"dns"}]}]}"#, true)]
#[case::beside_one_that_is_there(r#"{"ingress":[{"ports":[{"port":"http"},{"port":"htpp"}]}]}"#, true)]
#[case::out_to_those_who_lack_it(
    r#"{"egress":[{"to":[{"podSelector":{"matchLabels":{"app":"db"}}}],"ports":[{"port":"http"}]}]}"#,
    true
)]
#[case::out_to_addresses(
    r#"{"egress":[{"to":[{"ipBlock":{"cidr":"10.0.0.0/24"}}],"ports":[{"port":"http"}]}]}"#,
    true
)]
#[case::somebody_has_it(r#"{"ingress":[{"ports":[{"port":"http"}]}]}"#, false)]
#[case::of_its_protocol(r#"{"ingress":[{"ports":[{"port":"dns","protocol":"UDP"}]}]}"#, false)]
#[case::nobody_is_selected(
    r#"{"podSelector":{"matchLabels":{"app":"x"}},"ingress":[{"ports":[{"port":"htpp"}]}]}"#,
    false
)]
#[case::out_to_other_namespaces(
    r#"{"egress":[{"to":[{"namespaceSelector":{}},{"podSelector":{}}],"ports":[{"port":"htpp"}]}]}"#,
    false
)]
#[case::out_to_everyone(r#"{"egress":[{"ports":[{"port":"sql"}]}]}"#, false)]
#[case::in_no_direction_that_holds(r#"{"ingress":[{"ports":[{"port":"htpp"}]}],"policyTypes":["Egress"]}"#, false)]
fn a_name_that_no_port_has_is_found(#[case] spec: &str, #[case] refused: bool) {
    let (decision, _) = judged_beside("name: UnknownPort", None, spec);
    let expected: &[&str] = if refused { &["UnknownPort LacksPermission"] } else { &[] };
    assert_eq!(found(&decision), expected, "{decision:?}");
}

#[rstest]
#[case::no_check("name: WorldIngress", DENIED, 0)]
#[case::every_pod("name: SelectsNothing", "{}", 0)]
#[case::some_pods("name: SelectsNothing", DENIED, 1)]
#[case::no_name("name: UnknownPort", WORLD, 0)]
#[case::a_name(
    "name: UnknownPort",
    r#"{"ingress":[{"from":[{"podSelector":{}}],"ports":[{"port":"http"}]}]}"#,
    1
)]
#[case::no_port("name: UnknownPort", DENIED, 0)]
fn who_runs_is_asked_only_where_something_hangs_on_it(#[case] check: &str, #[case] spec: &str, #[case] asked: usize) {
    let (_, rounds) = judged_beside(check, None, spec);
    assert_eq!(rounds.len(), asked, "{rounds:?}");
}

#[rstest]
#[case::selects_nobody_still(
    "name: SelectsNothing",
    r#"{"podSelector":{"matchLabels":{"app":"x"}}}"#,
    r#"{"podSelector":{"matchLabels":{"app":"y"}}}"#,
    "NoWorse"
)]
#[case::selected_somebody(
    "name: SelectsNothing",
    DENIED,
    r#"{"podSelector":{"matchLabels":{"app":"x"}}}"#,
    "LacksPermission"
)]
#[case::named_it_before(
    "name: UnknownPort",
    r#"{"ingress":[{"ports":[{"port":"x"}]}]}"#,
    r#"{"ingress":[{"ports":[{"port":"http"}]},{"ports":[{"port":"x"}]}]}"#,
    "NoWorse"
)]
#[case::named_another(
    "name: UnknownPort",
    r#"{"ingress":[{"ports":[{"port":"x"}]}]}"#,
    r#"{"ingress":[{"ports":[{"port":"y"}]}]}"#,
    "LacksPermission"
)]
fn what_hangs_on_who_runs_is_compared_beside_the_same(
    #[case] check: &str,
    #[case] before: &str,
    #[case] after: &str,
    #[case] reason: &str,
) {
    let (decision, _) = judged_beside(check, Some(before), after);
    let name = check.trim_start_matches("name: ");
    assert_eq!(found(&decision), [format!("{name} {reason}")]);
}

#[test]
fn who_runs_is_a_warning_unless_configured_otherwise() {
    let request = write(
        "web",
        "mine",
        None,
        Some(r#"{"podSelector":{"matchLabels":{"app":"wbe"}}}"#),
        &[],
    );
    let snapshot = configured("{mode: Enforce, checks: [{name: SelectsNothing}]}", "");
    let known = [
        (Question::Running(name("web")), Answer::Running(Vec::new())),
        (waiver("SelectsNothing"), Answer::Allowed(false)),
    ];
    let (decision, rounds) = run(&snapshot, &request, &known);
    assert_eq!((decision.outcome(), rounds.len()), ("warn", 2));
    let failed = [(Question::Running(name("web")), Answer::Failed("no answer".to_owned()))];
    let (decision, _) = run(&snapshot, &request, &failed);
    assert_eq!(
        decision.warnings,
        [
            "ringfence: NetworkPolicy web/mine may not be written before it is known what runs there: could not be checked"
        ]
    );
}
