//! The checks on policies: under which settings they hold, what was no better before, and who may waive them.

mod opened;
mod refused;
mod running;

use super::*;
use crate::guardrails::CheckName;

/// Guardrails with these settings, and with these segments.
fn configured(settings: &str, segments: &str) -> Snapshot {
    snapshot(compiled(document("Guardrails", "default", settings) + segments))
}

pub(super) fn enforcing(check: &str) -> Snapshot {
    configured(&format!("{{mode: Audit, checks: [{{mode: Enforce, {check}}}]}}"), "")
}

fn waiver(check: &str) -> Question {
    Question::Allowed(Who::Requester, Permission::waive(check))
}

/// Decides an update, or a creation where there was nothing before; who asks holds no waiver.
pub(super) fn judged(snapshot: &Snapshot, before: Option<&str>, after: &str) -> Decision {
    let changes: &[PolicyChange] = if before.is_some() {
        &[PolicyChange::Content]
    } else {
        &[]
    };
    let request = write("web", "mine", before, Some(after), changes);
    let known: Vec<_> = CheckName::ALL
        .into_iter()
        .map(|check| (waiver(check.as_str()), Answer::Allowed(false)))
        .collect();
    run(snapshot, &request, &known).0
}

/// The findings as `WorldIngress LacksPermission`.
pub(super) fn found(decision: &Decision) -> Vec<String> {
    let told = |finding: &Finding| format!("{} {}", finding.rule, finding.reason.as_str());
    decision.findings.iter().map(told).collect()
}

const WORLD: &str = r#"{"podSelector":{"matchLabels":{"app":"web"}},"ingress":[{"ports":[{"port":80}]}]}"#;
const WORLD_TLS: &str = r#"{"podSelector":{"matchLabels":{"app":"web"}},"ingress":[{"ports":[{"port":443}]}]}"#;
const WORLD_OF_ALL: &str = r#"{"ingress":[{"ports":[{"port":80}]}]}"#;
const WORLD_AND_PODS: &str = r#"{"podSelector":{"matchLabels":{"app":"web"}},"ingress":[{"ports":[{"port":80}]},{"from":[{"podSelector":{}}]}]}"#;
const DENIED: &str = r#"{"podSelector":{"matchLabels":{"app":"web"}}}"#;
const NEVER_IN_FORCE: &str =
    r#"{"podSelector":{"matchLabels":{"app":"web"}},"ingress":[{"ports":[{"port":80}]}],"policyTypes":["Egress"]}"#;

#[rstest]
#[case::narrowed(WORLD_OF_ALL, WORLD, &["WorldIngress NoWorse"])]
#[case::beside_it_something_opens(WORLD, WORLD_AND_PODS, &["WorldIngress NoWorse"])]
#[case::something_beside_it_closes(WORLD_AND_PODS, WORLD, &["WorldIngress NoWorse"])]
#[case::mended(WORLD, DENIED, &[])]
#[case::the_same(WORLD, WORLD, &[])]
#[case::another_port(WORLD, WORLD_TLS, &["WorldIngress LacksPermission"])]
#[case::more_pods(WORLD, WORLD_OF_ALL, &["WorldIngress LacksPermission"])]
#[case::it_was_not_there(DENIED, WORLD, &["WorldIngress LacksPermission"])]
#[case::it_was_not_in_force(NEVER_IN_FORCE, WORLD, &["WorldIngress LacksPermission"])]
#[case::half_of_it_was(
    r#"{"podSelector":{"matchLabels":{"app":"web"}},"ingress":[{"from":[{"ipBlock":{"cidr":"0.0.0.0/1"}}]}]}"#,
    r#"{"podSelector":{"matchLabels":{"app":"web"}},"ingress":[{"from":[{"ipBlock":{"cidr":"0.0.0.0/1"}},{"ipBlock":{"cidr":"128.0.0.0/1"}}]}]}"#,
    &["WorldIngress LacksPermission"]
)]
fn what_was_no_better_before_passes_and_what_is_worse_does_not(
    #[case] before: &str,
    #[case] after: &str,
    #[case] expected: &[&str],
) {
    let decision = judged(&enforcing("name: WorldIngress"), Some(before), after);
    assert_eq!(found(&decision), expected);
    let denied = expected.iter().any(|finding| finding.ends_with("LacksPermission"));
    assert_eq!(decision.allowed(), !denied);
    let still = expected.iter().any(|finding| finding.ends_with("NoWorse"));
    let warning = "ringfence: NetworkPolicy web/mine may go on to let in every source: no worse than before";
    assert_eq!(
        decision.warnings.iter().any(|line| line == warning),
        still,
        "{decision:?}"
    );
}

#[test]
fn a_refusal_says_where_why_and_what_settles_it() {
    let decision = judged(&enforcing("name: WorldIngress"), None, r#"{"ingress":[{"from":[]}]}"#);
    let Verdict::Deny(text) = decision.verdict else {
        panic!("expected a denial: {decision:?}")
    };
    insta::assert_snapshot!(text, @r#"
    NetworkPolicy web/mine may not let in every source: user "mallory" lacks the permission.
      why:   spec.ingress[0].from is absent or empty, which is every source; to deny all, leave spec.ingress empty
      check: kubectl auth can-i waive policychecks.ringfence.dev/WorldIngress --all-namespaces
      grant: ringfence grant waive policychecks/WorldIngress --cluster --user mallory
    "#);
}

#[test]
fn what_is_refused_twice_is_told_at_once() {
    let checks = "{mode: Enforce, checks: [{name: WorldEgress}, {name: MissingPorts}, {name: MetadataEndpoint}]}";
    let blocks = r#"{"ipBlock":{"cidr":"20.0.0.0/8"}},{"ipBlock":{"cidr":"169.254.0.0/16"}}"#;
    let spec = format!(r#"{{"egress":[{{"to":[{blocks}]}},{{}}],"policyTypes":["Egress"]}}"#);
    let decision = judged(&configured(checks, ""), None, &spec);
    let whys: Vec<String> = decision
        .findings
        .iter()
        .map(|finding| format!("{}: {}", finding.rule, finding.why))
        .collect();
    insta::assert_snapshot!(whys.join("\n"), @"
    WorldEgress: spec.egress[1].to is absent or empty, which is every destination; to deny all, leave spec.egress empty; the ipBlocks of spec.egress hold 16777216 public IPv4 addresses, which is as good as every destination
    MissingPorts: spec.egress[0].ports is absent or empty, which is every port; spec.egress[1].ports is absent or empty, which is every port
    MetadataEndpoint: spec.egress[0].to[1].ipBlock 169.254.0.0/16 holds 169.254.169.254; spec.egress[1].to is absent or empty, which is every destination, the metadata endpoint among them
    ");
}

#[rstest]
#[case::enforced("Enforce", "deny", 0)]
#[case::warned("Warn", "warn", 2)]
#[case::recorded("Audit", "audit", 0)]
fn the_mode_of_the_check_holds(#[case] mode: &str, #[case] outcome: &str, #[case] warnings: usize) {
    let settings = format!("{{checks: [{{name: WorldIngress, mode: {mode}}}]}}");
    let decision = judged(&configured(&settings, ""), None, WORLD);
    assert_eq!(
        (decision.outcome(), decision.warnings.len()),
        (outcome, warnings),
        "{decision:?}"
    );
}

#[test]
fn whoever_may_waive_it_does_what_a_check_refuses() {
    let request = write("web", "mine", None, Some(WORLD), &[]);
    let known = [(waiver("WorldIngress"), Answer::Allowed(true))];
    let (decision, rounds) = run(&enforcing("name: WorldIngress"), &request, &known);
    assert_eq!(found(&decision), ["WorldIngress Permitted"]);
    assert_eq!((decision.outcome(), rounds.len()), ("allow", 1));
    let failed = [(waiver("WorldIngress"), Answer::Failed("no answer".to_owned()))];
    let (decision, _) = run(&enforcing("name: WorldIngress"), &request, &failed);
    assert!(matches!(decision.verdict, Verdict::Retry(..)), "{decision:?}");
}

#[test]
fn a_deletion_is_no_matter_of_checks() {
    let request = write("web", "mine", Some(WORLD), None, &[]);
    let (decision, rounds) = run(&enforcing("name: WorldIngress"), &request, &[]);
    assert_eq!((found(&decision), rounds.len()), (Vec::new(), 0));
}

#[test]
fn system_namespaces_are_warned_at_most() {
    let request = write("kube-system", "mine", None, Some(WORLD), &[]);
    let known = [(waiver("WorldIngress"), Answer::Allowed(false))];
    assert_eq!(
        run(&enforcing("name: WorldIngress"), &request, &known).0.outcome(),
        "warn"
    );
}

/// Segment `app`: clients `app=hollowapp` everywhere, and `app=batch` where `team=blue`.
const SEGMENT: &str = "
apiVersion: ringfence.dev/v1alpha1
kind: Segment
metadata: {name: app}
spec:
  mode: MODE
  consent: {cluster: true}
  members: [{namespaces: [bank], podSelector: {matchLabels: {app: hollowdb}}}]
  clients:
    - {namespaceSelector: {}, podSelector: {matchLabels: {app: hollowapp}}}
    - {namespaceSelector: {matchLabels: {team: blue}}, podSelector: {matchLabels: {app: batch}}}
";

#[rstest]
#[case::guarded("Enforce", "{}", "{}", "hollowapp", &[])]
#[case::guarded_by_its_namespaces("Enforce", "{}", r#"{"matchLabels":{"team":"blue"}}"#, "batch", &[])]
#[case::other_pods("Enforce", "{}", "{}", "web", &["AllNamespaces LacksPermission"])]
#[case::other_namespaces("Enforce", "{}", r#"{"matchLabels":{"env":"prod"}}"#, "batch", &["UnownedNamespaceLabel LacksPermission"])]
#[case::not_enforced("Warn", "{}", "{}", "hollowapp", &["AllNamespaces LacksPermission"])]
#[case::not_enforced_everywhere(
    "Enforce",
    "{namespaces: [{name: dev, mode: Warn}]}",
    "{}",
    "hollowapp",
    &["AllNamespaces LacksPermission"]
)]
fn a_label_that_a_segment_guards_cannot_be_copied(
    #[case] mode: &str,
    #[case] rollout: &str,
    #[case] namespaces: &str,
    #[case] app: &str,
    #[case] expected: &[&str],
) {
    let settings = format!(
        "{{mode: Enforce, rollout: {rollout}, checks: [{{name: AllNamespaces}}, {{name: UnownedNamespaceLabel}}]}}"
    );
    let snapshot = configured(&settings, &SEGMENT.replace("MODE", mode));
    let spec = format!(
        r#"{{"ingress":[{{"from":[{{"namespaceSelector":{namespaces},"podSelector":{{"matchLabels":{{"app":"{app}"}}}}}}]}}]}}"#
    );
    assert_eq!(found(&judged(&snapshot, None, &spec)), expected);
}

#[test]
fn webhooks_for_policies_fail_closed_where_a_check_is_enforced() {
    let enforced = |settings: &str| configured(settings, "").guardrails.enforced_on_policies();
    let anywhere = enforced("{checks: [{name: WorldIngress, mode: Enforce}]}");
    assert!(anywhere.contains("web") && !anywhere.contains("kube-system"));
    assert!(enforced("{mode: Warn, checks: [{name: WorldIngress}]}").is_nowhere());
    assert!(enforced("{checks: [{name: HostAccess, mode: Enforce}]}").is_nowhere());
    let pods = configured("{checks: [{name: WorldIngress, mode: Enforce}]}", "");
    assert!(
        pods.guardrails.enforced().is_nowhere(),
        "no check of policies looks at pods"
    );
    let pods = configured("{checks: [{name: HostAccess, mode: Enforce}]}", "");
    assert!(pods.guardrails.enforced().contains("web"));
}
