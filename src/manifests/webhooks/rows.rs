//! The rows of a webhook: which resources it has, as rules, and which requests for them reach us, as conditions. From the
//! table of write paths, and from the kinds that the guardrails name.

use std::collections::BTreeMap;

use k8s_openapi::api::admissionregistration::v1::{MatchCondition, RuleWithOperations};
use ringfence_core::guardrails::{EnforcedNamespaces, Guardrails, PolicyKind, Workload};
use ringfence_core::model::Operation;
use ringfence_core::review::{Extent, Shape, WRITE_PATHS, Webhook, WritePath, unread_policy_changes};

use super::{Entry, Side};

/// The objects that a webhook's rules are about.
pub(super) enum Row<'g> {
    /// A row of the table of write paths.
    Built(&'static WritePath),
    /// A custom kind that makes pods.
    Custom(&'g Workload),
    /// The kinds of policies of a group that profiles bring, but those of the table. Only discovery knows their plurals, so
    /// the rule has the whole group and the condition lets everything else pass by.
    Policies(&'g str, Vec<&'g str>),
}

/// A namespaceSelector says nothing about what is in no namespace (a node, a policy of the whole cluster): that goes to one
/// side alone.
pub(super) fn rows<'g>(entry: &Entry, guardrails: &'g Guardrails, enforced: &EnforcedNamespaces) -> Vec<Row<'g>> {
    let side_of_the_cluster = if enforced.is_nowhere() {
        Side::Open
    } else {
        Side::Closed
    };
    let built = WRITE_PATHS
        .iter()
        .filter(|row| row.webhook == entry.rows)
        .filter(|row| !row.shape.is_in_no_namespace() || entry.side == side_of_the_cluster)
        .map(Row::Built);
    let custom = match entry.rows {
        Webhook::Workloads => guardrails.workloads.iter().map(Row::Custom).collect(),
        Webhook::NetworkPolicies => policies(&guardrails.policy_kinds),
        Webhook::Namespaces | Webhook::Mutate | Webhook::Open | Webhook::Config => Vec::new(),
    };
    built.chain(custom).collect()
}

/// A row for each group. No group is one of Kubernetes' own: those are refused in a profile.
fn policies(kinds: &[PolicyKind]) -> Vec<Row<'_>> {
    let mut groups: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for PolicyKind { group, kind } in kinds {
        if unread(group).all(|row| row.kind != kind) {
            groups.entry(group).or_default().push(kind);
        }
    }
    groups
        .into_iter()
        .map(|(group, kinds)| Row::Policies(group, kinds))
        .collect()
}

/// The rows of a group's policies that ringfence does not read.
fn unread(group: &str) -> impl Iterator<Item = &'static WritePath> {
    WRITE_PATHS
        .iter()
        .filter(move |row| row.group == group && matches!(row.shape, Shape::UnreadPolicy(_)))
}

/// Rows that share group, versions, operations and scope are one rule.
pub(super) fn rules(rows: &[Row<'_>]) -> Vec<RuleWithOperations> {
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
            Self::Policies(group, _) => RuleWithOperations {
                api_groups: words(&[group]),
                api_versions: words(&["*"]),
                resources: words(&["*"]),
                operations: words(&["CREATE", "UPDATE", "DELETE"]),
                scope: Some("Namespaced".to_owned()),
            },
        }
    }

    /// The condition, guarded so that it holds for every request of other rows: conditions are the webhook's, not the
    /// rule's, and all of them must hold. None where every request of the row is reviewed.
    pub(super) fn condition(&self, position: usize) -> Option<MatchCondition> {
        match self {
            Self::Built(row) => {
                let name = row.counted_resource().replace('/', "-");
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
            Self::Policies(group, kinds) => {
                let quoted = |word: &str| format!("\"{word}\"");
                let kinds: Vec<String> = kinds.iter().map(|kind| quoted(kind)).collect();
                // Those of the table have conditions of their own.
                let others: Vec<String> = unread(group).map(|row| quoted(row.resource)).collect();
                Some(MatchCondition {
                    name: format!("policies-{position}"),
                    expression: format!(
                        "request.resource.group != \"{group}\" || request.resource.resource in [{}] || \
                         (request.kind.kind in [{}] && {})",
                        others.join(", "),
                        kinds.join(", "),
                        unread_policy_changes()
                    ),
                })
            }
        }
    }
}

fn scope(shape: Shape) -> &'static str {
    match shape {
        Shape::Namespace | Shape::NodeProxy | Shape::UnreadPolicy(Extent::Cluster) => "Cluster",
        Shape::Pod
        | Shape::Template(_)
        | Shape::NetworkPolicy
        | Shape::UnreadPolicy(Extent::Namespace)
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
