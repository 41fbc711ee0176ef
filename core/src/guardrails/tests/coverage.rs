//! Which namespaces get which policies, and where that can be denied.

use super::{accepted, guardrails_with};
use crate::guardrails::{Coverage, EnforcedNamespaces, Guardrails, Ours};
use crate::model::{Mode, Namespace, Since, Timestamp};

const PROFILES: &str = "
---
{apiVersion: ringfence.dev/v1alpha1, kind: IsolationProfile, metadata: {name: restricted}, spec: {policies: [{builtin: default-deny-ingress}]}}
---
{apiVersion: ringfence.dev/v1alpha1, kind: IsolationProfile, metadata: {name: open}, spec: {policies: [{builtin: allow-dns}]}}
";

/// Guardrails with these settings beside two profiles.
fn guardrails(spec: &str) -> Guardrails {
    accepted(&(guardrails_with(spec) + PROFILES)).guardrails
}

fn reporting() -> Guardrails {
    guardrails("{isolation: {mode: Enforce, defaultProfile: restricted}}")
}

const ENFORCED: Timestamp = Timestamp(100);

/// Isolation has been enforced everywhere for as long as the rollout is kept.
fn since(guardrails: &Guardrails) -> Since {
    Since::default().advanced(guardrails, ENFORCED)
}

fn namespace(label: Option<&str>, created: Option<i64>) -> Namespace {
    Namespace {
        labels: label
            .map(|label| ("ringfence.dev/isolation".to_owned(), label.to_owned()))
            .into_iter()
            .collect(),
        created: created.map(Timestamp),
        ..Namespace::default()
    }
}

/// In short words: what it comes to, and for covered ones the profile, by what it was chosen, and the mode.
fn told(coverage: &Coverage<'_>) -> String {
    match coverage {
        Coverage::Covered { mode, profile, chosen } => format!("{} {chosen:?} {mode}", profile.name),
        other => format!("{other:?}"),
    }
}

#[rstest::rstest]
// New ones.
#[case(None, Some(100), Ours::None, "restricted Default Enforce")]
#[case(None, None, Ours::None, "restricted Default Enforce")]
#[case(Some("open"), Some(200), Ours::None, "open Label Enforce")]
#[case(Some("restricted"), Some(200), Ours::None, "restricted Label Enforce")]
#[case(Some("none"), Some(200), Ours::Some, "OptedOut")]
#[case(Some("gone"), Some(200), Ours::None, "restricted UnknownLabel Enforce")]
#[case(Some(""), Some(200), Ours::None, "restricted UnknownLabel Enforce")]
// Those that were there before.
#[case(None, Some(99), Ours::None, "Existing")]
#[case(None, Some(99), Ours::Some, "restricted Default Enforce")]
#[case(Some("open"), Some(99), Ours::None, "open Label Enforce")]
#[case(Some("none"), Some(99), Ours::None, "OptedOut")]
#[case(Some("gone"), Some(99), Ours::None, "Existing")]
#[case(Some("gone"), Some(99), Ours::Some, "restricted UnknownLabel Enforce")]
fn a_namespace_is_covered(
    #[case] label: Option<&str>,
    #[case] created: Option<i64>,
    #[case] ours: Ours,
    #[case] expected: &str,
) {
    let guardrails = reporting();
    let coverage = |guardrails: &Guardrails, since: &Since| {
        told(&guardrails.coverage("web", &namespace(label, created), since, ours))
    };
    assert_eq!(coverage(&guardrails, &since(&guardrails)), expected);
    let isolating =
        self::guardrails("{isolation: {mode: Enforce, defaultProfile: restricted, existingNamespaces: Isolate}}");
    let isolated = match (expected, label) {
        ("Existing", Some(_)) => "restricted UnknownLabel Enforce",
        ("Existing", None) => "restricted Default Enforce",
        (same, _) => same,
    };
    assert_eq!(coverage(&isolating, &Since::default()), isolated);
}

#[test]
fn while_nobody_knows_since_when_everything_was_there_before() {
    let coverage = told(&reporting().coverage("web", &namespace(None, Some(500)), &Since::default(), Ours::None));
    assert_eq!(coverage, "Existing");
}

#[rstest::rstest]
#[case::off("{mode: Enforce}", "web", "Off")]
#[case::system("{isolation: {mode: Enforce, defaultProfile: restricted}}", "kube-system", "System")]
#[case::none_by_default("{isolation: {mode: Enforce, defaultProfile: none}}", "web", "OptedOut")]
#[case::audit(
    "{isolation: {defaultProfile: restricted, existingNamespaces: Isolate}}",
    "web",
    "restricted Default Audit"
)]
#[case::capped(
    "{rollout: {namespaces: [{name: web, mode: Warn}]}, isolation: {mode: Enforce, defaultProfile: restricted, \
     existingNamespaces: Isolate}}",
    "web",
    "restricted Default Warn"
)]
fn where_and_how_strictly(#[case] spec: &str, #[case] name: &str, #[case] expected: &str) {
    let guardrails = guardrails(spec);
    let coverage = guardrails.coverage(name, &namespace(None, Some(200)), &since(&guardrails), Ours::None);
    assert_eq!(told(&coverage), expected);
}

#[test]
fn a_namespace_that_the_rollout_held_back_was_there_before_it_was_let_in() {
    let capped = guardrails("{rollout: {default: Audit}, isolation: {mode: Enforce, defaultProfile: restricted}}");
    let since = since(&capped).advanced(&reporting(), Timestamp(300));
    let coverage = |created| told(&reporting().coverage("web", &namespace(None, Some(created)), &since, Ours::None));
    assert_eq!(
        (coverage(299).as_str(), coverage(300).as_str()),
        ("Existing", "restricted Default Enforce")
    );
}

#[rstest::rstest]
#[case::enforced("{isolation: {mode: Enforce, defaultProfile: none}}", true)]
#[case::not_enforced("{isolation: {mode: Warn, defaultProfile: restricted}}", false)]
#[case::capped(
    "{rollout: {default: Warn}, isolation: {mode: Enforce, defaultProfile: restricted}}",
    false
)]
fn webhooks_fail_closed_where_isolation_can_deny(#[case] spec: &str, #[case] closed: bool) {
    let guardrails = guardrails(spec);
    for enforced in [guardrails.enforced(), guardrails.enforced_on_namespaces()] {
        assert_eq!(enforced.contains("web"), closed, "{enforced:?}");
        assert!(!enforced.contains("kube-system"), "{enforced:?}");
        assert_eq!(matches!(enforced, EnforcedNamespaces::AllBut(_)), closed);
    }
    assert_eq!(guardrails.isolation_mode("web") == Some(Mode::Enforce), closed);
}
