//! What a live cluster holds for `ringfence validate --cluster`: the guardrails, the policies that opted in to protection,
//! and, where they may be read, roles and bindings.

use std::path::PathBuf;

use anyhow::Context;
use kube::Client;
use ringfence_core::guardrails::Source;
use ringfence_core::model::NamespaceName;

use super::policies::Policies;
use crate::audit;
use crate::cli::grant;
use crate::manifests::names;

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
    let opted_in = audit::cluster::opted_in(&client).await?;
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
