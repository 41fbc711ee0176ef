//! The ServiceAccount and its RBAC, from the table of [`rights`]: each rule stands with its reason above it.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::ServiceAccount;
use k8s_openapi::api::rbac::v1::{
    AggregationRule, ClusterRole, ClusterRoleBinding, PolicyRule, RoleBinding, RoleRef, Subject,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta};
use ringfence_core::model::GROUP;
use serde::Serialize;

use super::names;
use super::rights::{Named, Place, Right, rights};

const RBAC: &str = "rbac.authorization.k8s.io";

/// A Role or ClusterRole, without its rules.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct RoleHead {
    api_version: &'static str,
    kind: &'static str,
    metadata: ObjectMeta,
}

impl RoleHead {
    /// Of kind `Role` or `ClusterRole`.
    pub(super) fn new(kind: &'static str, metadata: ObjectMeta) -> Self {
        Self {
            api_version: "rbac.authorization.k8s.io/v1",
            kind,
            metadata,
        }
    }
}

/// A Role or ClusterRole with the reason of each rule.
#[derive(Debug)]
pub(super) struct ExplainedRole {
    /// All but its rules.
    pub(super) head: RoleHead,
    /// The reason, then the rule.
    pub(super) rules: Vec<(String, PolicyRule)>,
}

/// The service account. Its token is mounted by the Deployment alone, so that no other pod gets one by default.
pub(super) fn service_account(namespace: &str) -> ServiceAccount {
    ServiceAccount {
        metadata: names::metadata(namespace, names::RINGFENCE),
        automount_service_account_token: Some(false),
        ..ServiceAccount::default()
    }
}

/// What ringfence may do at the cluster.
pub(super) fn cluster_role() -> ExplainedRole {
    explained("ClusterRole", names::cluster_metadata(names::RINGFENCE), Place::Cluster)
}

/// What ringfence may do in its own namespace.
pub(super) fn role(namespace: &str) -> ExplainedRole {
    explained(
        "Role",
        names::metadata(namespace, names::RINGFENCE),
        Place::OwnNamespace,
    )
}

/// Binds the ClusterRole to the service account.
pub(super) fn cluster_role_binding(namespace: &str) -> ClusterRoleBinding {
    ClusterRoleBinding {
        metadata: names::cluster_metadata(names::RINGFENCE),
        role_ref: role_ref("ClusterRole"),
        subjects: Some(vec![subject(namespace)]),
    }
}

/// Binds the Role to the service account.
pub(super) fn role_binding(namespace: &str) -> RoleBinding {
    RoleBinding {
        metadata: names::metadata(namespace, names::RINGFENCE),
        role_ref: role_ref("Role"),
        subjects: Some(vec![subject(namespace)]),
    }
}

/// A ClusterRole to which the ClusterRoles of a label add: what ringfence needs there is for the guardrails to say, so who
/// configures it also gives ringfence the right. RBAC lets nobody add what they do not hold.
pub(super) struct Gathered {
    name: &'static str,
    label: &'static str,
    about: &'static str,
}

/// Every one of them.
pub(super) const GATHERED: &[Gathered] = &[
    Gathered {
        name: names::WORKLOADS,
        label: "ringfence.dev/aggregate-to-workloads",
        about: "Label a ClusterRole ringfence.dev/aggregate-to-workloads=true that gives get and list on a custom \
                kind of spec.workloads, so that ringfence can read the owners of pods",
    },
    Gathered {
        name: names::POLICIES,
        label: "ringfence.dev/aggregate-to-policies",
        about: "Label a ClusterRole ringfence.dev/aggregate-to-policies=true that gives get, list, watch, create, patch, \
                update and delete on a kind of policy that an isolation profile brings by its manifests",
    },
];

impl Gathered {
    /// The role.
    pub(super) fn role(&self) -> ClusterRole {
        let mut metadata = names::cluster_metadata(self.name);
        metadata.annotations = Some(BTreeMap::from([(
            "ringfence.dev/description".to_owned(),
            self.about.to_owned(),
        )]));
        let label = (self.label.to_owned(), "true".to_owned());
        ClusterRole {
            metadata,
            aggregation_rule: Some(AggregationRule {
                cluster_role_selectors: Some(vec![LabelSelector {
                    match_labels: Some(BTreeMap::from([label])),
                    match_expressions: None,
                }]),
            }),
            // The controller manager fills it in; a manifest that said otherwise would empty it at every apply.
            rules: None,
        }
    }

    /// Binds it to the service account.
    pub(super) fn binding(&self, namespace: &str) -> ClusterRoleBinding {
        ClusterRoleBinding {
            metadata: names::cluster_metadata(self.name),
            role_ref: RoleRef {
                name: self.name.to_owned(),
                ..role_ref("ClusterRole")
            },
            subjects: Some(vec![subject(namespace)]),
        }
    }
}

/// Reading the published view, for whoever may view the whole cluster.
pub(super) fn viewer() -> ExplainedRole {
    let mut metadata = names::cluster_metadata("ringfence-viewer");
    let aggregated = ["view", "edit", "admin"].map(|role| {
        (
            format!("rbac.authorization.k8s.io/aggregate-to-{role}"),
            "true".to_owned(),
        )
    });
    metadata.labels.get_or_insert_default().extend(aggregated);
    let read = PolicyRule {
        api_groups: Some(vec![GROUP.to_owned()]),
        resources: Some(names::PUBLISHED.map(str::to_owned).to_vec()),
        verbs: ["get", "list", "watch"].map(str::to_owned).to_vec(),
        ..PolicyRule::default()
    };
    let why = "The published view is cluster-scoped, so this says something only where it is bound at the cluster.";
    ExplainedRole {
        head: RoleHead::new("ClusterRole", metadata),
        rules: vec![(why.to_owned(), read)],
    }
}

fn explained(kind: &'static str, metadata: ObjectMeta, place: Place) -> ExplainedRole {
    ExplainedRole {
        head: RoleHead::new(kind, metadata),
        rules: rights()
            .iter()
            .filter(|right| right.place == place)
            .flat_map(rules)
            .collect(),
    }
}

/// One rule, or two: a request to create has no name yet, so it cannot be limited by one.
fn rules(right: &Right) -> Vec<(String, PolicyRule)> {
    let Right {
        group,
        resources,
        verbs,
        named,
        place: _,
        why,
    } = right;
    let rule = |verbs: Vec<&str>, names: Option<Vec<String>>, why: String| {
        let owned = |words: Vec<&str>| words.into_iter().map(str::to_owned).collect::<Vec<_>>();
        let rule = PolicyRule {
            api_groups: Some(vec![(*group).to_owned()]),
            resources: Some(owned(resources.clone())),
            resource_names: names,
            verbs: owned(verbs),
            non_resource_urls: None,
        };
        (why, rule)
    };
    let Named::Exactly(name) = named else {
        return vec![rule(verbs.clone(), None, (*why).to_owned())];
    };
    let (unnamed, by_name): (Vec<&str>, Vec<&str>) = verbs.iter().partition(|verb| **verb == "create");
    let mut rules = vec![rule(by_name, Some(vec![(*name).to_owned()]), (*why).to_owned())];
    if !unnamed.is_empty() {
        let why = format!("To create {name}. RBAC cannot limit this to the name, the self-protection policy does.");
        rules.push(rule(unnamed, None, why));
    }
    rules
}

fn role_ref(kind: &str) -> RoleRef {
    RoleRef {
        api_group: Some(RBAC.to_owned()),
        kind: kind.to_owned(),
        name: names::RINGFENCE.to_owned(),
    }
}

fn subject(namespace: &str) -> Subject {
    Subject {
        kind: "ServiceAccount".to_owned(),
        name: names::RINGFENCE.to_owned(),
        namespace: Some(namespace.to_owned()),
        api_group: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all_rules() -> Vec<PolicyRule> {
        [cluster_role(), role("ringfence-system")]
            .into_iter()
            .flat_map(|role| role.rules.into_iter().map(|(_, rule)| rule))
            .collect()
    }

    #[test]
    fn nothing_is_a_wildcard_and_nothing_escalates() {
        for rule in all_rules() {
            let words = [
                rule.api_groups.as_deref().unwrap_or_default(),
                rule.resources.as_deref().unwrap_or_default(),
                &rule.verbs,
            ]
            .concat();
            for word in &words {
                assert!(
                    !["*", "escalate", "bind", "impersonate"].contains(&word.as_str()),
                    "{rule:?}"
                );
                assert!(!word.contains("bindings"), "{rule:?}");
            }
        }
    }

    #[test]
    fn every_rule_says_why() {
        for role in [cluster_role(), role("ringfence-system"), viewer()] {
            for (why, rule) in role.rules {
                assert!(why.ends_with('.') && why.len() > 20, "{rule:?}: {why:?}");
            }
        }
    }

    #[test]
    fn create_stands_apart_from_what_a_name_can_limit() {
        for rule in all_rules() {
            let creates = rule.verbs.iter().any(|verb| verb == "create");
            assert!(!(creates && rule.resource_names.is_some()), "never matches: {rule:?}");
        }
    }
}
