//! [`Permission`]: what a rule asks RBAC for, as a SubjectAccessReview spells it.

use std::fmt;

use serde::Serialize;

use super::NamespaceName;

/// The API group of ringfence's own kinds and permissions.
pub const GROUP: &str = "ringfence.dev";

/// The API group of NetworkPolicies, on which the permissions of derived segments are asked.
pub const NETWORKING: &str = "networking.k8s.io";

/// A verb that ringfence gives a meaning to. None is a CRUD verb: the garbage collector holds those on every custom
/// resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verb {
    /// Place pods inside a segment, change what they run, or relabel them out.
    Join,
    /// Place pods that a segment's policies let in, or change what they run.
    Connect,
    /// Exec, attach, port-forward and their kin into members and clients.
    Enter,
    /// Write what protects a segment.
    Manage,
    /// Open what `isolatedFrom` keeps apart.
    Cross,
    /// Have a NetworkPolicy protect its pods; change, delete or opt out one that does.
    Protect,
    /// Do what a check refuses.
    Waive,
    /// Put a namespace under an isolation profile other than the default.
    Use,
    /// Change ringfence's own configuration and objects.
    Configure,
}

impl Verb {
    /// The word as it stands in RBAC.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Join => "join",
            Self::Connect => "connect",
            Self::Enter => "enter",
            Self::Manage => "manage",
            Self::Cross => "cross",
            Self::Protect => "protect",
            Self::Waive => "waive",
            Self::Use => "use",
            Self::Configure => "configure",
        }
    }
}

impl fmt::Display for Verb {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

/// Where a permission is asked.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Scope {
    /// In one namespace: a Role or ClusterRole bound by a RoleBinding there, or by a ClusterRoleBinding.
    Namespace(NamespaceName),
    /// At the cluster: only a ClusterRoleBinding gives it.
    Cluster,
}

impl Scope {
    /// The namespace of the SubjectAccessReview; empty means the cluster.
    pub fn namespace(&self) -> &str {
        match self {
            Self::Namespace(name) => name.as_str(),
            Self::Cluster => "",
        }
    }
}

/// Verb, group, resource, name and namespace: what is asked as a SubjectAccessReview.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Permission {
    /// What one wants to do.
    pub verb: Verb,
    /// API group of the resource, `ringfence.dev` for our own.
    pub group: &'static str,
    /// Plural resource, e.g. `segments`.
    pub resource: &'static str,
    /// Name of the object. Never empty: an empty name never matches a rule's resourceNames.
    pub name: String,
    /// Where it is asked.
    pub scope: Scope,
}

impl Permission {
    /// A permission on a segment; on a derived one that is a permission on its policy.
    pub fn segment(verb: Verb, name: &super::SegmentName, scope: Scope) -> Self {
        if let Some((_, policy)) = name.policy() {
            return Self::policy(verb, policy, scope);
        }
        Self {
            verb,
            group: GROUP,
            resource: "segments",
            name: name.as_str().to_owned(),
            scope,
        }
    }

    /// A permission on a NetworkPolicy. At the cluster it is one on all of this name.
    pub fn policy(verb: Verb, name: &str, scope: Scope) -> Self {
        Self {
            verb,
            group: NETWORKING,
            resource: "networkpolicies",
            name: name.to_owned(),
            scope,
        }
    }

    /// The permission to do what a check refuses, at the cluster.
    pub fn waive(check: &str) -> Self {
        Self {
            verb: Verb::Waive,
            group: GROUP,
            resource: "policychecks",
            name: check.to_owned(),
            scope: Scope::Cluster,
        }
    }

    /// A permission on an isolation profile, at the cluster. The profile need not exist: `none` is one that never does.
    pub fn profile(verb: Verb, profile: &str) -> Self {
        Self {
            verb,
            group: GROUP,
            resource: "isolationprofiles",
            name: profile.to_owned(),
            scope: Scope::Cluster,
        }
    }

    /// The `kubectl auth can-i` line that answers what ringfence answers, for the one who runs it.
    pub fn can_i(&self) -> String {
        let Self {
            verb,
            group,
            resource,
            name,
            scope,
        } = self;
        match scope {
            Scope::Namespace(namespace) => {
                format!("kubectl auth can-i {verb} {resource}.{group}/{name} -n {namespace}")
            }
            Scope::Cluster => {
                format!("kubectl auth can-i {verb} {resource}.{group}/{name} --all-namespaces")
            }
        }
    }
}

impl fmt::Display for Permission {
    /// `connect segments.ringfence.dev/payments-db in payments` (or `at the cluster`).
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            verb,
            group,
            resource,
            name,
            scope,
        } = self;
        write!(formatter, "{verb} {resource}.{group}/{name} ")?;
        match scope {
            Scope::Namespace(namespace) => write!(formatter, "in {namespace}"),
            Scope::Cluster => formatter.write_str("at the cluster"),
        }
    }
}
