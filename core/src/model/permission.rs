//! [`Permission`]: what a rule asks RBAC for, as a SubjectAccessReview spells it.

use std::borrow::Cow;
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
    /// Write what protects a segment, what isolates namespaces, or a policy that ringfence does not read.
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
    pub group: Cow<'static, str>,
    /// Plural resource, e.g. `segments`.
    pub resource: Cow<'static, str>,
    /// Name of the object. Empty for every one, which can be granted and is never asked: an empty name never matches a
    /// rule's resourceNames.
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
            group: GROUP.into(),
            resource: "segments".into(),
            name: name.as_str().to_owned(),
            scope,
        }
    }

    /// A permission on a NetworkPolicy. At the cluster it is one on all of this name.
    pub fn policy(verb: Verb, name: &str, scope: Scope) -> Self {
        Self {
            verb,
            group: NETWORKING.into(),
            resource: "networkpolicies".into(),
            name: name.to_owned(),
            scope,
        }
    }

    /// The permission to do what a check refuses, at the cluster.
    pub fn waive(check: &str) -> Self {
        Self {
            verb: Verb::Waive,
            group: GROUP.into(),
            resource: "policychecks".into(),
            name: check.to_owned(),
            scope: Scope::Cluster,
        }
    }

    /// A permission on an isolation profile, at the cluster. The profile need not exist: `none` is one that never does.
    pub fn profile(verb: Verb, profile: &str) -> Self {
        Self {
            verb,
            group: GROUP.into(),
            resource: "isolationprofiles".into(),
            name: profile.to_owned(),
            scope: Scope::Cluster,
        }
    }

    /// The permission to write a policy of a kind that ringfence does not read: asked on the kind itself.
    pub fn unread_policy(group: &str, resource: &str, name: &str, scope: Scope) -> Self {
        Self {
            verb: Verb::Manage,
            group: group.to_owned().into(),
            resource: resource.to_owned().into(),
            name: name.to_owned(),
            scope,
        }
    }

    /// `segments.ringfence.dev/payments-db`, as RBAC and kubectl name it.
    fn target(&self) -> String {
        let Self {
            group, resource, name, ..
        } = self;
        if name.is_empty() {
            format!("{resource}.{group}")
        } else {
            format!("{resource}.{group}/{name}")
        }
    }

    /// The `kubectl auth can-i` line that answers what ringfence answers, for the one who runs it.
    pub fn can_i(&self) -> String {
        let Self { verb, scope, .. } = self;
        let target = self.target();
        match scope {
            Scope::Namespace(namespace) => format!("kubectl auth can-i {verb} {target} -n {namespace}"),
            Scope::Cluster => format!("kubectl auth can-i {verb} {target} --all-namespaces"),
        }
    }
}

impl fmt::Display for Permission {
    /// `connect segments.ringfence.dev/payments-db in payments` (or `at the cluster`).
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { verb, scope, .. } = self;
        write!(formatter, "{verb} {} ", self.target())?;
        match scope {
            Scope::Namespace(namespace) => write!(formatter, "in {namespace}"),
            Scope::Cluster => formatter.write_str("at the cluster"),
        }
    }
}
