//! What a live cluster holds for `ringfence validate --cluster`: the guardrails, the policies that opted in to protection,
//! and, where they may be read, roles and bindings.

use std::path::PathBuf;

use anyhow::Context;
use k8s_openapi::api::networking::v1::NetworkPolicy;
use kube::api::{ApiResource, DynamicObject, ListParams};
use kube::{Api, Client};
use ringfence_core::guardrails::{PROTECTED_LABEL, Source};
use ringfence_core::model::NamespaceName;

use super::policies::Policies;
use crate::answer::offline::OptedIn;
use crate::audit;
use crate::cli::grant;
use crate::cluster::read_policy;
use crate::manifests::names;

/// Objects a page.
const PAGE: u32 = 500;

/// What a cluster holds.
#[derive(Debug, Default)]
pub(super) struct Live {
    /// The guardrails in its ConfigMap; none where others are given.
    pub(super) sources: Vec<Source>,
    pub(super) policies: Policies,
    /// What could not be read.
    pub(super) notices: Vec<String>,
}

/// Whose guardrails hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Guardrails {
    Given,
    TheClusters,
}

/// Reads it.
pub(super) async fn read(
    kubeconfig: Option<PathBuf>,
    installed_in: &NamespaceName,
    guardrails: Guardrails,
) -> anyhow::Result<Live> {
    let client = Client::try_from(grant::config(kubeconfig).await?)?;
    let sources = match guardrails {
        Guardrails::Given => Vec::new(),
        Guardrails::TheClusters => grant::sources(&client, installed_in).await.with_context(|| {
            let map = names::GUARDRAILS;
            format!("cannot read the guardrails from ConfigMap {map} in {installed_in}; name files that hold them")
        })?,
    };
    let opted_in = opted_in(&client)
        .await
        .map_err(grant::briefly)
        .context("cannot list the NetworkPolicies of all namespaces")?;
    let mut live = Live {
        sources,
        ..Live::default()
    };
    live.policies.opted_in = opted_in;
    if !live.policies.opted_in.is_empty() {
        match audit::cluster::read(&client).await {
            Ok(evidence) => live.policies.rbac = Some(evidence.rbac),
            Err(error) => live
                .notices
                .push(format!("notice: who may use what is derived is not told: {error}")),
        }
    }
    Ok(live)
}

/// Whatever has the label, whatever its value.
async fn opted_in(client: &Client) -> Result<Vec<OptedIn>, kube::Error> {
    let api = Api::<DynamicObject>::all_with(client.clone(), &ApiResource::erase::<NetworkPolicy>(&()));
    let mut page = ListParams::default().labels(PROTECTED_LABEL.0).limit(PAGE);
    let mut found = Vec::new();
    loop {
        let list = api.list(&page).await?;
        found.extend(list.items.iter().filter_map(|object| {
            let (name, policy) = read_policy(object)?;
            let of = |pairs: &Option<_>| pairs.clone().unwrap_or_default();
            let (labels, annotations) = (of(&object.metadata.labels), of(&object.metadata.annotations));
            OptedIn::of(&name, &labels, &annotations, policy.as_ref())
        }));
        match list.metadata.continue_.filter(|token| !token.is_empty()) {
            Some(token) => page = page.continue_token(&token),
            None => break,
        }
    }
    found.sort_by(|one: &OptedIn, other| one.name.cmp(&other.name));
    Ok(found)
}
