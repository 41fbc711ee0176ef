//! The ValidatingWebhookConfiguration that the leader serves: from the guardrails and where we are reached, by the table
//! of write paths, pure. Every request of a write path reaches exactly one webhook: one that fails closed where
//! something can be denied, one that fails open elsewhere.

use k8s_openapi::ByteString;
use k8s_openapi::api::admissionregistration::v1::{
    MatchCondition, RuleWithOperations, ServiceReference, ValidatingWebhook, ValidatingWebhookConfiguration,
    WebhookClientConfig,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, LabelSelectorRequirement};
use ringfence_core::guardrails::{EnforcedNamespaces, Guardrails, Workload};
use ringfence_core::model::{NamespaceName, Operation};
use ringfence_core::review::{Failure, Shape, WRITE_PATHS, Webhook, WritePath};

use super::names;

/// How long the API server waits for a review, in seconds.
pub const TIMEOUT_SECONDS: i32 = 5;

/// The most matchConditions that the API server takes in one webhook.
pub const MOST_MATCH_CONDITIONS: usize = 64;

/// Set by the API server on every namespace, and not to be forged.
const NAMESPACE_NAME_LABEL: &str = "kubernetes.io/metadata.name";

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
enum Side {
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

/// The objects that a webhook's rules are about.
enum Row<'g> {
    /// A row of the table of write paths.
    Built(&'static WritePath),
    /// A custom kind that makes pods.
    Custom(&'g Workload),
}

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
        Webhook::Workloads | Webhook::Open | Webhook::Config => guardrails.enforced(),
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

/// A namespaceSelector says nothing about what is in no namespace (a node): that goes to one side alone.
fn rows<'g>(entry: &Entry, guardrails: &'g Guardrails, enforced: &EnforcedNamespaces) -> Vec<Row<'g>> {
    let side_of_nodes = if enforced.is_nowhere() {
        Side::Open
    } else {
        Side::Closed
    };
    let built = WRITE_PATHS
        .iter()
        .filter(|row| row.webhook == entry.rows)
        .filter(|row| row.shape != Shape::NodeProxy || entry.side == side_of_nodes)
        .map(Row::Built);
    let custom = match entry.rows {
        Webhook::Workloads => guardrails.workloads.as_slice(),
        Webhook::Namespaces | Webhook::NetworkPolicies | Webhook::Open | Webhook::Config => &[],
    };
    built.chain(custom.iter().map(Row::Custom)).collect()
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

fn client_config(webhook: Webhook, endpoint: &Endpoint) -> WebhookClientConfig {
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

/// Rows that share group, versions, operations and scope are one rule.
fn rules(rows: &[Row<'_>]) -> Vec<RuleWithOperations> {
    let shared = |rule: &RuleWithOperations| {
        let mut rule = rule.clone();
        rule.resources = None;
        rule
    };
    let mut rules: Vec<RuleWithOperations> = Vec::new();
    for row in rows {
        let mut rule = row.rule();
        match rules.iter_mut().find(|other| shared(other) == shared(&rule)) {
            Some(other) => other
                .resources
                .get_or_insert_default()
                .append(rule.resources.get_or_insert_default()),
            None => rules.push(rule),
        }
    }
    rules
}

impl Row<'_> {
    /// The rule of this row alone.
    fn rule(&self) -> RuleWithOperations {
        let words = |words: &[&str]| Some(words.iter().map(ToString::to_string).collect());
        match self {
            Self::Built(row) => {
                let operations: Vec<&str> = row.operations.iter().copied().map(Operation::as_str).collect();
                RuleWithOperations {
                    api_groups: words(&[row.group]),
                    api_versions: words(row.versions),
                    resources: Some(vec![row.rule_resource()]),
                    operations: words(&operations),
                    scope: Some(scope(row.shape).to_owned()),
                }
            }
            Self::Custom(workload) => RuleWithOperations {
                api_groups: words(&[&workload.group]),
                api_versions: words(&[&workload.version]),
                resources: words(&[&workload.resource]),
                operations: words(&["CREATE", "UPDATE"]),
                scope: Some("Namespaced".to_owned()),
            },
        }
    }

    /// The condition, guarded so that it holds for every request of other rows: conditions are the webhook's, not the
    /// rule's, and all of them must hold. None where every request of the row is reviewed.
    fn condition(&self, position: usize) -> Option<MatchCondition> {
        match self {
            Self::Built(row) => {
                let parts = [row.resource, row.subresource];
                let name = parts
                    .into_iter()
                    .filter(|part| !part.is_empty())
                    .collect::<Vec<_>>()
                    .join("-");
                Some(guarded(
                    name,
                    [row.group, row.resource, row.subresource],
                    &row.match_condition()?,
                ))
            }
            Self::Custom(workload) => {
                let Workload { group, resource, .. } = workload;
                let condition = custom_changes(workload)?;
                // A name has 63 characters, a resource with its group may have more.
                Some(guarded(format!("custom-{position}"), [group, resource, ""], &condition))
            }
        }
    }
}

fn scope(shape: Shape) -> &'static str {
    match shape {
        Shape::Namespace | Shape::NodeProxy => "Cluster",
        Shape::Pod
        | Shape::Template(_)
        | Shape::NetworkPolicy
        | Shape::Binding
        | Shape::EphemeralContainers
        | Shape::PodConnection
        | Shape::PodProxy
        | Shape::ServiceProxy => "Namespaced",
    }
}

/// `request.subResource` is absent where there is none.
fn guarded(name: String, [group, resource, subresource]: [&str; 3], condition: &str) -> MatchCondition {
    MatchCondition {
        name,
        expression: format!(
            "[request.resource.group, request.resource.resource, request.?subResource.orValue(\"\")] != [\"{group}\", \
             \"{resource}\", \"{subresource}\"] || ({condition})"
        ),
    }
}

/// Whether anything changes where the templates of a custom kind are. None where the pointer leads into a list: CEL
/// would fail on it, and a condition that fails denies.
fn custom_changes(workload: &Workload) -> Option<String> {
    let path: String = workload
        .template
        .iter()
        .map(|segment| {
            let plain = !segment.is_empty()
                && segment
                    .chars()
                    .all(|letter| letter.is_ascii_alphanumeric() || letter == '-');
            (plain && !segment.starts_with(|first: char| first.is_ascii_digit())).then(|| format!("[?\"{segment}\"]"))
        })
        .collect::<Option<_>>()?;
    Some(format!(
        "request.operation != \"UPDATE\" || object{path} != oldObject{path}"
    ))
}

/// What our own pods write was decided before it was written.
fn not_ourselves(endpoint: &Endpoint) -> MatchCondition {
    MatchCondition {
        name: "not-ringfence-itself".to_owned(),
        expression: format!("!({})", names::our_own_pod(&endpoint.namespace)),
    }
}

/// The two sides of the same set are complements: In and `NotIn`, everything and nothing.
fn selector(namespaces: &EnforcedNamespaces, side: Side) -> LabelSelector {
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
