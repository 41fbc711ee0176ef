//! [`Rbac`]: who may do what by Roles, ClusterRoles and their bindings, exactly as the API server's RBAC authorizer
//! evaluates them (kubernetes `pkg/registry/rbac/validation/rule.go`, `plugin/pkg/auth/authorizer/rbac/rbac.go`). Knows
//! resources alone: non-resource URLs give nothing here.

mod built_in;
mod effective;

use std::collections::BTreeMap;

use hashbrown::HashMap;
use k8s_openapi::api::rbac::v1::{
    AggregationRule, ClusterRole, ClusterRoleBinding, PolicyRule, Role, RoleBinding, RoleRef, Subject,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta};
use ringfence_core::labels::{InvalidSelector, Operator, Requirement, Selector};

pub use effective::{Binding, EffectiveRule, RoleName, covers, covers_name};

/// The group whose members the API server lets do everything, before any authorizer is asked.
pub const PRIVILEGED_GROUP: &str = "system:masters";

/// What is asked: as in a SubjectAccessReview's `user`, `groups` and `resourceAttributes`.
#[derive(Debug, Clone, Copy, Default)]
pub struct Access<'a> {
    /// The user's name.
    pub user: &'a str,
    /// The user's groups.
    pub groups: &'a [&'a str],
    /// The verb.
    pub verb: &'a str,
    /// API group, empty for the core group.
    pub group: &'a str,
    /// Plural resource.
    pub resource: &'a str,
    /// Subresource, empty for the object itself.
    pub subresource: &'a str,
    /// Name of the object, empty for all.
    pub name: &'a str,
    /// Namespace, empty for the cluster.
    pub namespace: &'a str,
}

/// Roles and bindings, ready to be asked. Starts with the ClusterRoles for people that every cluster has: `cluster-admin`,
/// `admin`, `edit` and `view`, which also aggregate what others label for them.
#[derive(Debug, Clone)]
pub struct Rbac {
    roles: HashMap<(String, String), Vec<PolicyRule>>,
    cluster_roles: BTreeMap<String, CompiledClusterRole>,
    role_bindings: HashMap<String, Vec<RoleBinding>>,
    cluster_role_bindings: Vec<ClusterRoleBinding>,
}

#[derive(Debug, Clone)]
struct CompiledClusterRole {
    labels: Vec<(String, String)>,
    rules: Vec<PolicyRule>,
    /// Whose rules make up this one's: the controller that aggregates overwrites what is written in it.
    aggregates: Option<Vec<Selector>>,
}

impl Default for Rbac {
    fn default() -> Self {
        let mut rbac = Self::empty();
        for role in built_in::cluster_roles() {
            // Kubernetes' own roles have no selector that could be invalid.
            let _ = rbac.add_cluster_role(role);
        }
        rbac
    }
}

impl Rbac {
    /// Without even what every cluster has: for what is read from one, whole.
    pub fn empty() -> Self {
        Self {
            roles: HashMap::new(),
            cluster_roles: BTreeMap::new(),
            role_bindings: HashMap::new(),
            cluster_role_bindings: Vec::new(),
        }
    }

    /// Adds a Role; one of the same name and namespace is replaced.
    pub fn add_role(&mut self, role: Role) {
        self.roles.insert(key(&role.metadata), role.rules.unwrap_or_default());
    }

    /// Adds a ClusterRole; one of the same name is replaced. Fails where its aggregationRule has a selector that the API
    /// server would refuse.
    pub fn add_cluster_role(&mut self, role: ClusterRole) -> Result<(), InvalidSelector> {
        let aggregates = role
            .aggregation_rule
            .map(|AggregationRule { cluster_role_selectors }| {
                cluster_role_selectors
                    .unwrap_or_default()
                    .into_iter()
                    .map(selector)
                    .collect()
            })
            .transpose()?;
        let compiled = CompiledClusterRole {
            labels: role.metadata.labels.unwrap_or_default().into_iter().collect(),
            rules: role.rules.unwrap_or_default(),
            aggregates,
        };
        self.cluster_roles
            .insert(role.metadata.name.unwrap_or_default(), compiled);
        Ok(())
    }

    /// Adds a RoleBinding.
    pub fn add_role_binding(&mut self, binding: RoleBinding) {
        let (namespace, _) = key(&binding.metadata);
        self.role_bindings.entry(namespace).or_default().push(binding);
    }

    /// Adds a ClusterRoleBinding.
    pub fn add_cluster_role_binding(&mut self, binding: ClusterRoleBinding) {
        self.cluster_role_bindings.push(binding);
    }

    /// Whether it is allowed. A binding whose role is missing grants nothing.
    pub fn allows(&self, access: Access<'_>) -> bool {
        let Access { namespace, groups, .. } = access;
        if groups.contains(&PRIVILEGED_GROUP) {
            return true;
        }
        let at_cluster = self.cluster_role_bindings.iter().any(|binding| {
            let subjects = binding.subjects.as_deref().unwrap_or_default();
            applies(subjects, access, "") && self.role_allows(&binding.role_ref, "", access)
        });
        at_cluster
            || (!namespace.is_empty()
                && self.role_bindings.get(namespace).into_iter().flatten().any(|binding| {
                    let subjects = binding.subjects.as_deref().unwrap_or_default();
                    applies(subjects, access, namespace) && self.role_allows(&binding.role_ref, namespace, access)
                }))
    }

    /// Everybody whom some binding lets do this, whoever asks: one for each subject of each such binding. `user` and `groups`
    /// of the access are not looked at.
    pub fn holders(&self, access: Access<'_>) -> Vec<Holder> {
        let cluster = self
            .cluster_role_bindings
            .iter()
            .filter(|binding| self.role_allows(&binding.role_ref, "", access));
        let at_cluster = cluster.flat_map(|binding| {
            let name = binding.metadata.name.as_deref().unwrap_or_default();
            holders(binding.subjects.as_deref(), "", &format!("ClusterRoleBinding {name}"))
        });
        let bindings = self.role_bindings.get(access.namespace).into_iter().flatten();
        let inside = bindings.filter(|binding| self.role_allows(&binding.role_ref, access.namespace, access));
        let in_namespace = inside.flat_map(|binding| {
            let name = binding.metadata.name.as_deref().unwrap_or_default();
            let told = format!("RoleBinding {}/{name}", access.namespace);
            holders(binding.subjects.as_deref(), access.namespace, &told)
        });
        at_cluster.chain(in_namespace).collect()
    }

    fn role_allows(&self, role: &RoleRef, namespace: &str, access: Access<'_>) -> bool {
        match role.kind.as_str() {
            "Role" => self
                .roles
                .get(&(namespace.to_owned(), role.name.clone()))
                .is_some_and(|rules| rules.iter().any(|rule| rule_allows(rule, access))),
            "ClusterRole" => self.cluster_role_allows(&role.name, access, &mut Vec::new()),
            _ => false,
        }
    }

    /// An aggregated role has the rules of all roles that it selects, themselves perhaps aggregated; a circle adds nothing.
    fn cluster_role_allows<'r>(&'r self, name: &'r str, access: Access<'_>, seen: &mut Vec<&'r str>) -> bool {
        let Some(role) = self.cluster_roles.get(name) else {
            return false;
        };
        if seen.contains(&name) {
            return false;
        }
        seen.push(name);
        match &role.aggregates {
            None => role.rules.iter().any(|rule| rule_allows(rule, access)),
            Some(selectors) => self.cluster_roles.iter().any(|(other, candidate)| {
                selectors.iter().any(|selector| selector.matches(&candidate.labels))
                    && self.cluster_role_allows(other, access, seen)
            }),
        }
    }
}

/// A subject that a binding lets do something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holder {
    /// `User mallory`, `Group developers`, `ServiceAccount ci:deployer`.
    pub subject: String,
    /// `RoleBinding web/editors`, `ClusterRoleBinding admins`.
    pub binding: String,
}

fn holders(subjects: Option<&[Subject]>, namespace: &str, binding: &str) -> Vec<Holder> {
    let holder = |subject: &Subject| {
        let Subject { kind, name, .. } = subject;
        let subject = if kind == "ServiceAccount" {
            let own = account_namespace(subject, namespace);
            format!("{kind} {own}:{name}")
        } else {
            format!("{kind} {name}")
        };
        Holder {
            subject,
            binding: binding.to_owned(),
        }
    };
    subjects.unwrap_or_default().iter().map(holder).collect()
}

fn key(metadata: &ObjectMeta) -> (String, String) {
    let text = |field: &Option<String>| field.clone().unwrap_or_default();
    (text(&metadata.namespace), text(&metadata.name))
}

/// A LabelSelector of the API as the core compiles it.
fn selector(selector: LabelSelector) -> Result<Selector, InvalidSelector> {
    let LabelSelector {
        match_labels,
        match_expressions,
    } = selector;
    let labels = match_labels.unwrap_or_default().into_iter().map(|(key, value)| {
        Ok(Requirement {
            key,
            operator: Operator::In(vec![value]),
        })
    });
    let expressions = match_expressions.unwrap_or_default().into_iter().map(|expression| {
        Ok(Requirement {
            operator: Operator::new(&expression.operator, expression.values.unwrap_or_default())?,
            key: expression.key,
        })
    });
    labels.chain(expressions).collect::<Result<_, _>>().map(Selector::new)
}

/// The namespace of a service account that a binding names: where it says none, the binding's own, which is empty for a
/// ClusterRoleBinding.
pub fn account_namespace<'s>(account: &'s Subject, binding: &'s str) -> &'s str {
    let own = account.namespace.as_deref();
    own.filter(|own| !own.is_empty()).unwrap_or(binding)
}

/// Whether a subject of a binding is the one who asks. `namespace` is the binding's, empty for a ClusterRoleBinding.
fn applies(subjects: &[Subject], access: Access<'_>, namespace: &str) -> bool {
    subjects.iter().any(|subject| match subject.kind.as_str() {
        "User" => subject.name == access.user,
        "Group" => access.groups.contains(&subject.name.as_str()),
        "ServiceAccount" => {
            let own = account_namespace(subject, namespace);
            !own.is_empty()
                && access
                    .user
                    .strip_prefix("system:serviceaccount:")
                    .and_then(|rest| rest.strip_prefix(own))
                    .and_then(|rest| rest.strip_prefix(':'))
                    == Some(subject.name.as_str())
        }
        _ => false,
    })
}

fn rule_allows(rule: &PolicyRule, access: Access<'_>) -> bool {
    let Access {
        verb,
        group,
        resource,
        subresource,
        name,
        user: _,
        groups: _,
        namespace: _,
    } = access;
    covers(rule, (verb, group, resource, subresource)) && covers_name(rule, name)
}

/// `*` is every resource with its subresources, `pods` is the object alone, `pods/exec` that subresource, and `*/exec` it
/// on every resource; `pods/*` is no wildcard.
fn resource_matches(known: &str, resource: &str, subresource: &str) -> bool {
    if known == "*" {
        return true;
    }
    if subresource.is_empty() {
        return known == resource;
    }
    let matches =
        |resource: &str| known.strip_prefix(resource).and_then(|rest| rest.strip_prefix('/')) == Some(subresource);
    matches(resource) || matches("*")
}

#[cfg(test)]
mod tests;
