//! [`read`]: what an audit reads of a live cluster: lists alone, page by page; of Secrets and service accounts only the
//! metadata.

use std::collections::BTreeSet;
use std::fmt;

use k8s_openapi::api::core::v1;
use k8s_openapi::api::networking::v1::NetworkPolicy;
use k8s_openapi::api::rbac::v1::{ClusterRole, ClusterRoleBinding, Role, RoleBinding};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::api::{ApiResource, DynamicObject, ListParams};
use kube::{Api, Client};
use ringfence_core::guardrails::PROTECTED_LABEL;
use ringfence_core::model::{Namespace, NamespaceName, Namespaces};
use serde::de::DeserializeOwned;

use super::{Accounts, Evidence, TOKEN_SECRET, Whole};
use crate::answer::offline::{OptedIn, Rbac};
use crate::cluster::{every_page, read_policy};

/// A list that could not be read.
#[derive(Debug, thiserror::Error)]
#[error(
    "cannot list {what}: {source}; run this as somebody who may list roles, bindings, namespaces and service accounts \
         of the whole cluster, or give manifests of them"
)]
pub struct Unreadable {
    what: &'static str,
    source: kube::Error,
}

/// Reads a cluster.
pub async fn read(client: &Client) -> Result<Evidence, Unreadable> {
    let (cluster_roles, cluster_bindings, roles, bindings, accounts, namespaces) = tokio::try_join!(
        all::<ClusterRole>(client, "clusterroles"),
        all::<ClusterRoleBinding>(client, "clusterrolebindings"),
        all::<Role>(client, "roles"),
        all::<RoleBinding>(client, "rolebindings"),
        metadata::<v1::ServiceAccount>(client, "serviceaccounts"),
        metadata::<v1::Namespace>(client, "namespaces"),
    )?;
    let mut rbac = Rbac::empty();
    for role in cluster_roles {
        // One whose selector cannot be read is refused by the API server, so there is none.
        let _ = rbac.add_cluster_role(role);
    }
    for binding in cluster_bindings {
        rbac.add_cluster_role_binding(binding);
    }
    for role in roles {
        rbac.add_role(role);
    }
    for binding in bindings {
        rbac.add_role_binding(binding);
    }
    let named = |metadata: ObjectMeta| Some((metadata.namespace?, metadata.name?));
    let mut accounts = Accounts {
        existing: accounts.into_iter().filter_map(named).collect(),
        ..Accounts::default()
    };
    let mut notes = Vec::new();
    match token_secrets(client).await {
        Ok(secrets) => secrets.iter().for_each(|metadata| accounts.add_token_secret(metadata)),
        Err(error) => notes.push(format!(
            "whether Secrets hold tokens of service accounts could not be read ({error}), so whoever may read Secrets is not \
             counted"
        )),
    }
    Ok(Evidence {
        rbac,
        accounts,
        namespaces: namespaces.into_iter().filter_map(namespace).collect::<Namespaces>(),
        beyond: BTreeSet::new(),
        whole: Whole::Cluster,
        notes,
    })
}

fn namespace(metadata: ObjectMeta) -> Option<(NamespaceName, std::sync::Arc<Namespace>)> {
    let name = NamespaceName::new(metadata.name.as_deref()?).ok()?;
    let namespace = Namespace {
        uid: metadata.uid.unwrap_or_default(),
        labels: metadata.labels.unwrap_or_default().into_iter().collect(),
        terminating: metadata.deletion_timestamp.is_some(),
        ..Namespace::default()
    };
    Some((name, std::sync::Arc::new(namespace)))
}

/// The NetworkPolicies that opted in to protection, or were meant to: whatever has the label, whatever its value. By name.
pub async fn opted_in(client: &Client) -> Result<Vec<OptedIn>, Unreadable> {
    let api = Api::<DynamicObject>::all_with(client.clone(), &ApiResource::erase::<NetworkPolicy>(&()));
    let labelled = ListParams::default().labels(PROTECTED_LABEL.0);
    let objects = every_page(labelled, async |page| api.list(&page).await).await;
    let objects = objects.map_err(|source| Unreadable {
        what: "networkpolicies",
        source,
    })?;
    let read = |object: &DynamicObject| {
        let (name, policy) = read_policy(object)?;
        let of = |pairs: &Option<_>| pairs.clone().unwrap_or_default();
        let (labels, annotations) = (of(&object.metadata.labels), of(&object.metadata.annotations));
        OptedIn::of(&name, &labels, &annotations, policy.as_ref())
    };
    let mut found: Vec<OptedIn> = objects.iter().filter_map(read).collect();
    found.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(found)
}

async fn token_secrets(client: &Client) -> Result<Vec<ObjectMeta>, kube::Error> {
    let of_tokens = ListParams::default().fields(&format!("type={TOKEN_SECRET}"));
    let found = Api::<v1::Secret>::all(client.clone()).list_metadata(&of_tokens).await?;
    Ok(found.items.into_iter().map(|secret| secret.metadata).collect())
}

async fn metadata<K>(client: &Client, what: &'static str) -> Result<Vec<ObjectMeta>, Unreadable>
where
    K: kube::Resource<DynamicType = ()> + Clone + fmt::Debug + DeserializeOwned,
{
    let api = Api::<K>::all(client.clone());
    let objects = every_page(ListParams::default(), async |page| api.list_metadata(&page).await).await;
    let objects = objects.map_err(|source| Unreadable { what, source })?;
    Ok(objects.into_iter().map(|object| object.metadata).collect())
}

async fn all<K>(client: &Client, what: &'static str) -> Result<Vec<K>, Unreadable>
where
    K: kube::Resource<DynamicType = ()> + Clone + fmt::Debug + DeserializeOwned,
{
    let api = Api::<K>::all(client.clone());
    let objects = every_page(ListParams::default(), async |page| api.list(&page).await).await;
    objects.map_err(|source| Unreadable { what, source })
}
