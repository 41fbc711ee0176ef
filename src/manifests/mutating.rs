//! The MutatingWebhookConfiguration that the leader serves: the one webhook that puts the gate on first pods, and only while
//! a profile has policies settle. From the guardrails and where we are reached, pure.

use k8s_openapi::api::admissionregistration::v1::{
    MatchCondition, MutatingWebhook, MutatingWebhookConfiguration, RuleWithOperations,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use ringfence_core::guardrails::Guardrails;
use ringfence_core::review::Webhook;

use super::names;
use super::webhooks::{Endpoint, Side, client_config, not_ourselves, selector};

/// How long the API server waits for it, in seconds: it asks one question with a patience of a quarter of a second. Where it
/// does not answer, the validating webhook tells the pod to come again.
const TIMEOUT_SECONDS: i32 = 2;

/// What the leader serves for these guardrails. Sets every field that the API server would otherwise default, so that
/// what is applied equals what is read back.
pub fn mutating_configuration(guardrails: &Guardrails, endpoint: &Endpoint) -> MutatingWebhookConfiguration {
    let settles = guardrails.profiles.values().any(|profile| profile.settle.is_some());
    let isolated = guardrails.enforced_isolation();
    let needed = settles && !isolated.is_nowhere();
    MutatingWebhookConfiguration {
        webhooks: needed.then(|| vec![gating(selector(&isolated, Side::Closed), endpoint)]),
        ..shell()
    }
}

/// The configuration as it is installed: without webhooks, which the leader fills in and owns.
pub fn shell() -> MutatingWebhookConfiguration {
    MutatingWebhookConfiguration {
        metadata: names::cluster_metadata(names::RINGFENCE),
        webhooks: None,
    }
}

fn gating(namespaces: LabelSelector, endpoint: &Endpoint) -> MutatingWebhook {
    let words = |words: &[&str]| Some(words.iter().map(ToString::to_string).collect());
    let bound = MatchCondition {
        name: "not-bound".to_owned(),
        expression: "object.spec.?nodeName.orValue(\"\") == \"\"".to_owned(),
    };
    MutatingWebhook {
        name: Webhook::Mutate.name().to_owned(),
        client_config: client_config(Webhook::Mutate, endpoint),
        rules: Some(vec![RuleWithOperations {
            api_groups: words(&[""]),
            api_versions: words(&["v1"]),
            resources: words(&["pods"]),
            operations: words(&["CREATE"]),
            scope: Some("Namespaced".to_owned()),
        }]),
        namespace_selector: Some(namespaces),
        object_selector: Some(LabelSelector::default()),
        match_conditions: Some(vec![not_ourselves(endpoint), bound]),
        match_policy: Some("Equivalent".to_owned()),
        // Whether a pod may run is not for this one to say.
        failure_policy: Some("Ignore".to_owned()),
        // A gate does not hang on what else is changed about the pod.
        reinvocation_policy: Some("Never".to_owned()),
        side_effects: "None".to_owned(),
        timeout_seconds: Some(TIMEOUT_SECONDS),
        admission_review_versions: vec!["v1".to_owned()],
    }
}

#[cfg(test)]
mod tests {
    use ringfence_core::guardrails::{Source, compile};
    use rstest::rstest;

    use super::*;
    use crate::manifests::webhooks::Address;

    fn served(spec: &str, settle: &str) -> Option<Vec<MutatingWebhook>> {
        let text = format!(
            "{{apiVersion: ringfence.dev/v1alpha1, kind: Guardrails, metadata: {{name: default}}, spec: {spec}}}\n---\n\
             {{apiVersion: ringfence.dev/v1alpha1, kind: IsolationProfile, metadata: {{name: restricted}}, \
             spec: {{{settle} policies: [{{builtin: allow-dns}}]}}}}\n"
        );
        let name = "guardrails.yaml".to_owned();
        let compiled = compile(&[Source { name, text }]).unwrap_or_else(|problems| panic!("{problems}"));
        let endpoint = Endpoint {
            namespace: "ringfence-system".to_owned(),
            address: Address::Service,
            token: "token".to_owned(),
            ca_bundle: Some("PEM".to_owned()),
        };
        mutating_configuration(&compiled.guardrails, &endpoint).webhooks
    }

    const ENFORCED: &str = "{mode: Enforce, isolation: {defaultProfile: restricted}}";

    #[rstest]
    #[case::a_profile_settles(ENFORCED, "settle: 5s,", true)]
    #[case::in_one_namespace(
        "{mode: Enforce, rollout: {default: Warn, namespaces: [{name: web, mode: Enforce}]}, isolation: {defaultProfile: restricted}}",
        "settle: 5s,",
        true
    )]
    #[case::none_does(ENFORCED, "", false)]
    #[case::nothing_is_enforced("{mode: Warn, isolation: {defaultProfile: restricted}}", "settle: 5s,", false)]
    #[case::everything_is_capped(
        "{mode: Enforce, rollout: {default: Warn}, isolation: {defaultProfile: restricted}}",
        "settle: 5s,",
        false
    )]
    #[case::nothing_is_isolated("{mode: Enforce}", "settle: 5s,", false)]
    fn it_is_served_only_while_something_settles(#[case] spec: &str, #[case] settle: &str, #[case] needed: bool) {
        assert_eq!(served(spec, settle).is_some(), needed);
    }

    #[test]
    fn it_fails_open_and_asks_about_nothing_but_new_pods_where_isolation_is_enforced() {
        let webhooks = served(ENFORCED, "settle: 5s,").expect("it is served");
        let text = serde_json::to_string_pretty(&webhooks).expect("it serializes");
        insta::assert_snapshot!(text);
    }
}
