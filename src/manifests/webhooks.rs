//! The ValidatingWebhookConfiguration that the leader serves: from the guardrails and where we are reached, by the table
//! of write paths, pure. Every request of a write path reaches exactly one webhook: one that fails closed where
//! something can be denied, one that fails open elsewhere.

mod rows;

use k8s_openapi::ByteString;
use k8s_openapi::api::admissionregistration::v1::{
    MatchCondition, RuleWithOperations, ServiceReference, ValidatingWebhook, ValidatingWebhookConfiguration,
    WebhookClientConfig,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, LabelSelectorRequirement};
use ringfence_core::guardrails::{EnforcedNamespaces, Guardrails};
use ringfence_core::labels::NAMESPACE_NAME_LABEL;
use ringfence_core::model::NamespaceName;
use ringfence_core::review::{Failure, Webhook};

use self::rows::{rows, rules};
use super::names;

/// How long the API server waits for a review, in seconds.
pub const TIMEOUT_SECONDS: i32 = 5;

/// The most matchConditions that the API server takes in one webhook.
pub const MOST_MATCH_CONDITIONS: usize = 64;

/// Where the API server reaches us, and by what it knows that it is us.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// The namespace that ringfence is installed in.
    pub namespace: String,
    /// The Service, or a URL.
    pub address: Address,
    /// The unguessable first segment of the path.
    pub token: String,
    /// The authority that our serving certificate is checked against, PEM; none means the API server's own roots.
    pub ca_bundle: Option<String>,
}

/// What the API server dials.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Address {
    /// The Service `ringfence` in our namespace, port 443.
    Service,
    /// `https://HOST[:PORT]`, for a webhook that the API server does not reach by its Service.
    Url(String),
}

/// One webhook of the configuration.
struct Entry {
    /// Its name.
    name: &'static str,
    /// By which path requests come in.
    path: Webhook,
    /// Whose write paths it has.
    rows: Webhook,
    /// On which side of the line between closed and open it stands.
    side: Side,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    /// Where something can be denied.
    Closed,
    /// Everywhere else.
    Open,
}

/// The webhooks of write paths. The open side has an entry for each closed one: their namespaces differ, and a webhook
/// has one namespaceSelector.
const ENTRIES: &[Entry] = &[
    Entry {
        name: "workloads.guard.ringfence.dev",
        path: Webhook::Workloads,
        rows: Webhook::Workloads,
        side: Side::Closed,
    },
    Entry {
        name: "namespaces.guard.ringfence.dev",
        path: Webhook::Namespaces,
        rows: Webhook::Namespaces,
        side: Side::Closed,
    },
    Entry {
        name: "networkpolicies.guard.ringfence.dev",
        path: Webhook::NetworkPolicies,
        rows: Webhook::NetworkPolicies,
        side: Side::Closed,
    },
    Entry {
        name: "open.guard.ringfence.dev",
        path: Webhook::Open,
        rows: Webhook::Workloads,
        side: Side::Open,
    },
    Entry {
        name: "namespaces.open.guard.ringfence.dev",
        path: Webhook::Open,
        rows: Webhook::Namespaces,
        side: Side::Open,
    },
    Entry {
        name: "networkpolicies.open.guard.ringfence.dev",
        path: Webhook::Open,
        rows: Webhook::NetworkPolicies,
        side: Side::Open,
    },
];

/// What the leader serves for these guardrails. Sets every field that the API server would otherwise default, so that
/// what is applied equals what is read back.
pub fn webhook_configuration(guardrails: &Guardrails, endpoint: &Endpoint) -> ValidatingWebhookConfiguration {
    let guards = ENTRIES.iter().map(|entry| guard(entry, guardrails, endpoint));
    ValidatingWebhookConfiguration {
        metadata: names::cluster_metadata(names::RINGFENCE),
        webhooks: Some(guards.chain([configuration_guard(endpoint)]).collect()),
    }
}

/// The configuration as it is installed: without webhooks, which the leader fills in and owns. So a fresh install blocks
/// nothing, and applying the manifests again neither reopens nor breaks what is served.
pub fn shell() -> ValidatingWebhookConfiguration {
    ValidatingWebhookConfiguration {
        metadata: names::cluster_metadata(names::RINGFENCE),
        webhooks: None,
    }
}

fn guard(entry: &Entry, guardrails: &Guardrails, endpoint: &Endpoint) -> ValidatingWebhook {
    let enforced = match entry.rows {
        Webhook::Namespaces => guardrails.enforced_on_namespaces(),
        Webhook::NetworkPolicies => guardrails.enforced_on_policies(),
        Webhook::Workloads | Webhook::Mutate | Webhook::Open | Webhook::Config => guardrails.enforced(),
    };
    let rows = rows(entry, guardrails, &enforced);
    let mut conditions = vec![not_ourselves(endpoint)];
    conditions.extend(
        rows.iter()
            .enumerate()
            .filter_map(|(position, row)| row.condition(position)),
    );
    // A webhook that the API server refuses guards nothing: what is too much is reviewed without need.
    conditions.truncate(MOST_MATCH_CONDITIONS);
    webhook(
        entry.name,
        entry.path,
        rules(&rows),
        selector(&enforced, entry.side),
        conditions,
        endpoint,
    )
}

/// The content of our ConfigMap. Who may change it at all is for the self-protection policy to say.
fn configuration_guard(endpoint: &Endpoint) -> ValidatingWebhook {
    let ours = EnforcedNamespaces::Only(NamespaceName::new(&endpoint.namespace).into_iter().collect());
    let rule = RuleWithOperations {
        api_groups: Some(vec![String::new()]),
        api_versions: Some(vec!["v1".to_owned()]),
        resources: Some(vec!["configmaps".to_owned()]),
        operations: Some(["CREATE", "UPDATE", "DELETE"].map(str::to_owned).to_vec()),
        scope: Some("Namespaced".to_owned()),
    };
    // A deletion has no object, and no name in the request where a collection is deleted.
    let condition = MatchCondition {
        name: "guardrails".to_owned(),
        expression: format!(
            "(request.operation == \"DELETE\" ? oldObject : object).metadata.name == \"{}\"",
            names::GUARDRAILS
        ),
    };
    webhook(
        Webhook::Config.name(),
        Webhook::Config,
        vec![rule],
        selector(&ours, Side::Closed),
        vec![condition],
        endpoint,
    )
}

fn webhook(
    name: &str,
    path: Webhook,
    rules: Vec<RuleWithOperations>,
    namespaces: LabelSelector,
    conditions: Vec<MatchCondition>,
    endpoint: &Endpoint,
) -> ValidatingWebhook {
    // A bad ConfigMap that slips in while we are away leaves the last good one in force: no reason to fail closed.
    let failure_policy = match (path, path.fails()) {
        (Webhook::Config, _) | (_, Failure::Open) => "Ignore",
        (_, Failure::Closed) => "Fail",
    };
    ValidatingWebhook {
        name: name.to_owned(),
        client_config: client_config(path, endpoint),
        rules: Some(rules),
        namespace_selector: Some(namespaces),
        object_selector: Some(LabelSelector::default()),
        match_conditions: Some(conditions),
        match_policy: Some("Equivalent".to_owned()),
        failure_policy: Some(failure_policy.to_owned()),
        side_effects: "NoneOnDryRun".to_owned(),
        timeout_seconds: Some(TIMEOUT_SECONDS),
        admission_review_versions: vec!["v1".to_owned()],
    }
}

pub(super) fn client_config(webhook: Webhook, endpoint: &Endpoint) -> WebhookClientConfig {
    let path = format!("/{}/{}", endpoint.token, webhook.path());
    let ca_bundle = endpoint.ca_bundle.clone().map(|pem| ByteString(pem.into_bytes()));
    match &endpoint.address {
        Address::Service => WebhookClientConfig {
            ca_bundle,
            service: Some(ServiceReference {
                namespace: endpoint.namespace.clone(),
                name: names::RINGFENCE.to_owned(),
                path: Some(path),
                port: Some(443),
            }),
            url: None,
        },
        Address::Url(base) => WebhookClientConfig {
            ca_bundle,
            service: None,
            url: Some(format!("{}{path}", base.trim_end_matches('/'))),
        },
    }
}

/// What our own pods write was decided before it was written.
pub(super) fn not_ourselves(endpoint: &Endpoint) -> MatchCondition {
    MatchCondition {
        name: "not-ringfence-itself".to_owned(),
        expression: format!("!({})", names::our_own_pod(&endpoint.namespace)),
    }
}

/// The two sides of the same set are complements: In and `NotIn`, everything and nothing.
pub(super) fn selector(namespaces: &EnforcedNamespaces, side: Side) -> LabelSelector {
    let (names, inside) = match namespaces {
        EnforcedNamespaces::Only(names) => (names, side == Side::Closed),
        EnforcedNamespaces::AllBut(names) => (names, side == Side::Open),
    };
    let (operator, values) = match (names.is_empty(), inside) {
        (true, false) => return LabelSelector::default(),
        // Every namespace has the label, so this selects none.
        (true, true) => ("DoesNotExist", None),
        (false, true) => ("In", Some(names)),
        (false, false) => ("NotIn", Some(names)),
    };
    LabelSelector {
        match_expressions: Some(vec![LabelSelectorRequirement {
            key: NAMESPACE_NAME_LABEL.to_owned(),
            operator: operator.to_owned(),
            values: values.map(|names| names.iter().map(ToString::to_string).collect()),
        }]),
        match_labels: None,
    }
}

#[cfg(test)]
mod tests;
