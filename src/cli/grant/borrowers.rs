//! Who can become a service account on this cluster: a grant to it is a grant to them. Said beside the grant, so that nobody
//! finds it out later.

use std::collections::BTreeMap;
use std::fmt;

use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::rbac::v1::{ClusterRole, ClusterRoleBinding, Role, RoleBinding};
use kube::api::ListParams;
use kube::{Api, Client, Resource};
use serde::de::DeserializeOwned;

use crate::answer::offline::{Access, Rbac};

/// A way to act as a service account: a verb on a resource of its namespace, and on which name where that matters.
struct Way {
    verb: &'static str,
    group: &'static str,
    resource: &'static str,
    subresource: &'static str,
    /// Whether it is the account itself that is named.
    of_account: bool,
}

const fn way(verb: &'static str, group: &'static str, resource: &'static str, subresource: &'static str) -> Way {
    Way {
        verb,
        group,
        resource,
        subresource,
        of_account: false,
    }
}

/// Every way that RBAC knows, seen on a real API server: a pod runs as the account that it names, so does whatever makes
/// pods; tokens and token Secrets are the account; impersonation is, too; and who gets into a running pod has its token.
const WAYS: &[Way] = &[
    way("create", "", "pods", ""),
    way("create", "apps", "deployments", ""),
    way("patch", "apps", "deployments", ""),
    way("update", "apps", "deployments", ""),
    way("create", "apps", "statefulsets", ""),
    way("create", "apps", "daemonsets", ""),
    way("create", "apps", "replicasets", ""),
    way("create", "batch", "jobs", ""),
    way("create", "batch", "cronjobs", ""),
    way("create", "", "replicationcontrollers", ""),
    way("create", "", "pods", "exec"),
    way("update", "", "pods", "ephemeralcontainers"),
    way("create", "", "secrets", ""),
    way("get", "", "secrets", ""),
    Way {
        of_account: true,
        ..way("create", "", "serviceaccounts", "token")
    },
    Way {
        of_account: true,
        ..way("impersonate", "", "serviceaccounts", "")
    },
];

impl fmt::Display for Way {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            verb,
            resource,
            subresource,
            ..
        } = self;
        write!(formatter, "{verb} {resource}")?;
        if subresource.is_empty() {
            Ok(())
        } else {
            write!(formatter, "/{subresource}")
        }
    }
}

/// The most ways that are told of one borrower.
const MOST_WAYS: usize = 3;

/// Who can become this account, one line each: `Group developers, by create pods and 4 more (RoleBinding editors)`. Those
/// who may do everything anyway, and the cluster's own controllers, are left out.
pub(super) async fn lines(client: &Client, namespace: &str, account: &str) -> Result<Vec<String>, kube::Error> {
    let rbac = read(client, namespace).await?;
    let mut borrowers: BTreeMap<(String, String), Vec<String>> = BTreeMap::new();
    for way in WAYS {
        let access = Access {
            verb: way.verb,
            group: way.group,
            resource: way.resource,
            subresource: way.subresource,
            name: if way.of_account { account } else { "" },
            namespace,
            ..Access::default()
        };
        for holder in rbac.holders(access) {
            if !is_everybody_elses(&holder.subject, namespace, account) {
                borrowers
                    .entry((holder.subject, holder.binding))
                    .or_default()
                    .push(way.to_string());
            }
        }
    }
    Ok(borrowers
        .into_iter()
        .map(|((subject, binding), ways)| line(&subject, &binding, &ways))
        .collect())
}

fn line(subject: &str, binding: &str, ways: &[String]) -> String {
    let told = ways
        .iter()
        .take(MOST_WAYS)
        .map(String::as_str)
        .collect::<Vec<_>>()
        .join(", ");
    let more = match ways.len().saturating_sub(MOST_WAYS) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    format!("{subject}: may {told}{more} ({binding})")
}

/// The account itself, administrators of everything, and the system's own.
fn is_everybody_elses(subject: &str, namespace: &str, account: &str) -> bool {
    subject == "Group system:masters"
        || subject == format!("ServiceAccount {namespace}:{account}")
        || subject.starts_with("ServiceAccount kube-system:")
        || subject.starts_with("User system:kube-")
        || subject == "Group system:nodes"
}

/// RBAC of the cluster as far as it matters in a namespace.
async fn read(client: &Client, namespace: &str) -> Result<Rbac, kube::Error> {
    let mut rbac = Rbac::default();
    for role in all::<ClusterRole>(&Api::all(client.clone())).await? {
        // One whose selector cannot be read is refused by the API server, so there is none.
        let _ = rbac.add_cluster_role(role);
    }
    for binding in all::<ClusterRoleBinding>(&Api::all(client.clone())).await? {
        rbac.add_cluster_role_binding(binding);
    }
    for role in inside::<Role>(client, namespace).await? {
        rbac.add_role(role);
    }
    for binding in inside::<RoleBinding>(client, namespace).await? {
        rbac.add_role_binding(binding);
    }
    Ok(rbac)
}

async fn inside<K>(client: &Client, namespace: &str) -> Result<Vec<K>, kube::Error>
where
    K: Resource<Scope = NamespaceResourceScope, DynamicType = ()> + Clone + fmt::Debug + DeserializeOwned,
{
    all(&Api::namespaced(client.clone(), namespace)).await
}

async fn all<K: Clone + fmt::Debug + DeserializeOwned>(api: &Api<K>) -> Result<Vec<K>, kube::Error> {
    Ok(api.list(&ListParams::default()).await?.items)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_borrower_is_told_with_a_few_ways_and_the_binding() {
        let ways: Vec<String> = WAYS.iter().map(Way::to_string).take(5).collect();
        assert_eq!(
            line("Group developers", "RoleBinding web/editors", &ways),
            "Group developers: may create pods, create deployments, patch deployments and 2 more (RoleBinding web/editors)"
        );
    }

    #[test]
    fn the_account_itself_and_the_systems_own_are_not_told() {
        for subject in [
            "Group system:masters",
            "ServiceAccount ci:deployer",
            "ServiceAccount kube-system:job-controller",
        ] {
            assert!(is_everybody_elses(subject, "ci", "deployer"), "{subject}");
        }
        assert!(!is_everybody_elses("ServiceAccount ci:other", "ci", "deployer"));
        assert!(!is_everybody_elses("User mallory", "ci", "deployer"));
    }
}
