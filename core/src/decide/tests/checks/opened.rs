//! What is told of a policy that is let in and opens something.

use super::*;

#[rstest]
#[case::everyone(
    None,
    Some(r#"{"ingress":[{}]}"#),
    "opens ingress from everyone (all ports); see: ringfence reach --to web/"
)]
#[case::pods(
    None,
    Some(
        r#"{"ingress":[{"from":[{"podSelector":{}},{"namespaceSelector":{}}],"ports":[{"port":80},{"port":"http"}]}]}"#
    ),
    "opens ingress from 2 selectors of pods (TCP 80, 1 by name); see: ringfence reach --to web/"
)]
#[case::addresses(
    None,
    Some(r#"{"egress":[{"to":[{"ipBlock":{"cidr":"10.0.0.0/8"}},{"ipBlock":{"cidr":"fd00::/64"}}]}],"policyTypes":["Egress"]}"#),
    "opens egress to 16777216 addresses, IPv6 /64 (all ports); see: ringfence reach --from web/"
)]
#[case::one_more_port(
    Some(r#"{"ingress":[{"ports":[{"port":80}]}]}"#),
    Some(r#"{"ingress":[{"ports":[{"port":80},{"port":1000,"endPort":2000},{"port":53,"protocol":"UDP"}]}]}"#),
    "opens ingress from everyone (1003 ports); see: ringfence reach --to web/"
)]
#[case::both_ways(
    None,
    Some(r#"{"ingress":[{}],"egress":[{}]}"#),
    "opens ingress from everyone, egress to everyone; see: ringfence reach --to web/"
)]
#[case::deleted(Some(DENIED), None, "no longer isolates ingress; see: ringfence reach --to web/")]
#[case::left_the_policy_types(
    Some(r#"{"policyTypes":["Ingress","Egress"]}"#),
    Some(r#"{"policyTypes":["Ingress"]}"#),
    "no longer isolates egress; see: ringfence reach --from web/"
)]
#[case::selects_fewer(
    Some("{}"),
    Some(DENIED),
    "no longer isolates ingress; see: ringfence reach --to web/"
)]
fn what_opens_something_says_how_much(
    #[case] before: Option<&str>,
    #[case] after: Option<&str>,
    #[case] expected: &str,
) {
    let changes: &[PolicyChange] = if before.is_some() && after.is_some() {
        &[PolicyChange::Content]
    } else {
        &[]
    };
    let request = write("web", "mine", before, after, changes);
    let decision = run(&configured("{mode: Warn}", ""), &request, &[]).0;
    assert_eq!(decision.warnings, [format!("ringfence: policy web/mine {expected}")]);
    assert!(decision.warnings[0].chars().count() <= 120);
    let silent = run(&configured("{mode: Audit}", ""), &request, &[]).0;
    assert_eq!(silent, Decision::plain_allow());
}

#[rstest]
#[case::a_denial(None, Some(DENIED))]
#[case::narrowed(
    Some(WORLD_OF_ALL),
    Some(r#"{"ingress":[{"from":[{"podSelector":{}}],"ports":[{"port":80}]}]}"#)
)]
#[case::nobody(None, Some(r#"{"podSelector":{"matchExpressions":[{"key":"a","operator":"Exists"},{"key":"a","operator":"DoesNotExist"}]},"ingress":[{}]}"#))]
fn what_opens_nothing_says_nothing(#[case] before: Option<&str>, #[case] after: Option<&str>) {
    let request = write("web", "mine", before, after, &[PolicyChange::Content]);
    assert_eq!(
        run(&configured("{mode: Warn}", ""), &request, &[]).0,
        Decision::plain_allow()
    );
}

#[test]
fn the_command_stands_however_long_the_names_are() {
    let (namespace, policy) = ("n".repeat(63), "p".repeat(253));
    let request = write(&namespace, &policy, None, Some(r#"{"ingress":[{}]}"#), &[]);
    let decision = run(&configured("{mode: Warn}", ""), &request, &[]).0;
    let line = &decision.warnings[0];
    assert!(line.chars().count() <= 120, "{line}");
    assert!(
        line.starts_with("ringfence: policy n") && line.contains("; see: ringfence reach"),
        "{line}"
    );
    assert!(line.contains("opens ingress"), "{line}");
}
