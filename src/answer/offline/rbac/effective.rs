//! RBAC laid open: every binding, and the rules that each role comes to by aggregation, with where each rule stands. For
//! whoever asks not "may they" but "who may, and by what".

use std::fmt;

use k8s_openapi::api::rbac::v1::{PolicyRule, RoleRef, Subject};

use super::{Rbac, resource_matches};

/// A RoleBinding or ClusterRoleBinding.
#[derive(Debug, Clone, Copy)]
pub struct Binding<'r> {
    /// Its namespace, empty for a ClusterRoleBinding.
    pub namespace: &'r str,
    /// Its name.
    pub name: &'r str,
    /// What it binds.
    pub role: &'r RoleRef,
    /// To whom.
    pub subjects: &'r [Subject],
}

impl Binding<'_> {
    /// `RoleBinding` or `ClusterRoleBinding`.
    pub fn kind(&self) -> &'static str {
        if self.namespace.is_empty() {
            "ClusterRoleBinding"
        } else {
            "RoleBinding"
        }
    }
}

impl fmt::Display for Binding<'_> {
    /// `ClusterRoleBinding admins`, `RoleBinding web/editors`.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { namespace, name, .. } = self;
        if namespace.is_empty() {
            write!(formatter, "ClusterRoleBinding {name}")
        } else {
            write!(formatter, "RoleBinding {namespace}/{name}")
        }
    }
}

/// A Role or ClusterRole by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RoleName<'r> {
    /// Its namespace, empty for a ClusterRole.
    pub namespace: &'r str,
    /// Its name.
    pub name: &'r str,
}

impl RoleName<'_> {
    /// `Role` or `ClusterRole`.
    pub fn kind(&self) -> &'static str {
        if self.namespace.is_empty() {
            "ClusterRole"
        } else {
            "Role"
        }
    }
}

impl fmt::Display for RoleName<'_> {
    /// `ClusterRole edit`, `Role web/deployer`.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { namespace, name } = self;
        if namespace.is_empty() {
            write!(formatter, "ClusterRole {name}")
        } else {
            write!(formatter, "Role {namespace}/{name}")
        }
    }
}

/// A rule that a role has, its own or an aggregated one.
#[derive(Debug, Clone, Copy)]
pub struct EffectiveRule<'r> {
    /// The role that the rule stands in: for an aggregated one another ClusterRole than was bound.
    pub of: RoleName<'r>,
    /// Which rule of it, from 0.
    pub position: usize,
    /// The rule.
    pub rule: &'r PolicyRule,
}

impl Rbac {
    /// Every binding, whether or not its role is there.
    pub fn bindings(&self) -> impl Iterator<Item = Binding<'_>> {
        let cluster = self.cluster_role_bindings.iter().map(|binding| Binding {
            namespace: "",
            name: binding.metadata.name.as_deref().unwrap_or_default(),
            role: &binding.role_ref,
            subjects: binding.subjects.as_deref().unwrap_or_default(),
        });
        let inside = self.role_bindings.iter().flat_map(|(namespace, bindings)| {
            bindings.iter().map(move |binding| Binding {
                namespace,
                name: binding.metadata.name.as_deref().unwrap_or_default(),
                role: &binding.role_ref,
                subjects: binding.subjects.as_deref().unwrap_or_default(),
            })
        });
        cluster.chain(inside)
    }

    /// Every Role and ClusterRole.
    pub fn role_names(&self) -> impl Iterator<Item = RoleName<'_>> {
        let cluster = self.cluster_roles.keys().map(|name| RoleName { namespace: "", name });
        let inside = self.roles.keys().map(|(namespace, name)| RoleName { namespace, name });
        cluster.chain(inside)
    }

    /// Whether its rules are made up of those of other roles.
    pub fn is_aggregated(&self, role: RoleName<'_>) -> bool {
        role.namespace.is_empty()
            && self
                .cluster_roles
                .get(role.name)
                .is_some_and(|role| role.aggregates.is_some())
    }

    /// The rules of a role, with those that it aggregates; none where it is not there.
    pub fn rules<'r>(&'r self, role: RoleName<'r>) -> Vec<EffectiveRule<'r>> {
        let mut rules = Vec::new();
        if role.namespace.is_empty() {
            self.gather(role.name, &mut Vec::new(), &mut rules);
        } else if let Some(own) = self.roles.get(&(role.namespace.to_owned(), role.name.to_owned())) {
            rules.extend(listed(role, own));
        }
        rules
    }

    fn gather<'r>(&'r self, name: &'r str, seen: &mut Vec<&'r str>, rules: &mut Vec<EffectiveRule<'r>>) {
        let Some(role) = self.cluster_roles.get(name) else {
            return;
        };
        if seen.contains(&name) {
            return;
        }
        seen.push(name);
        let Some(selectors) = &role.aggregates else {
            rules.extend(listed(RoleName { namespace: "", name }, &role.rules));
            return;
        };
        for (other, candidate) in &self.cluster_roles {
            if selectors.iter().any(|selector| selector.matches(&candidate.labels)) {
                self.gather(other, seen, rules);
            }
        }
    }
}

fn listed<'r>(of: RoleName<'r>, rules: &'r [PolicyRule]) -> impl Iterator<Item = EffectiveRule<'r>> {
    rules
        .iter()
        .enumerate()
        .map(move |(position, rule)| EffectiveRule { of, position, rule })
}

/// Whether a rule speaks of this verb, API group, resource and subresource, whatever names it is limited to.
pub fn covers(rule: &PolicyRule, (verb, group, resource, subresource): (&str, &str, &str, &str)) -> bool {
    let lists = |words: &[String], word: &str| words.iter().any(|known| known == "*" || known == word);
    lists(&rule.verbs, verb)
        && lists(rule.api_groups.as_deref().unwrap_or_default(), group)
        && rule
            .resources
            .iter()
            .flatten()
            .any(|known| resource_matches(known, resource, subresource))
}

/// Whether a rule holds for this name: resourceNames has no wildcard ("*" there is a name), absent and empty both mean
/// every name.
pub fn covers_name(rule: &PolicyRule, name: &str) -> bool {
    let names = rule.resource_names.as_deref().unwrap_or_default();
    names.is_empty() || names.iter().any(|known| known == name)
}
