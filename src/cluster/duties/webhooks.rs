//! [`ServedWebhooks`]: keeps the webhook configurations `ringfence` as the guardrails say, those included that policies
//! make by themselves: whoever takes a webhook out, or a rule, or the certificate authority, sees it put back. A switch of
//! mode needs no order: every replica decides by its own snapshot, and this says only what happens where no replica answers.

use std::collections::BTreeMap;
use std::fmt;

use k8s_openapi::api::admissionregistration::v1::{
    MutatingWebhook, MutatingWebhookConfiguration, ValidatingWebhook, ValidatingWebhookConfiguration,
};
use k8s_openapi::serde::Serialize;
use k8s_openapi::serde::de::DeserializeOwned;
use kube::Api;
use kube::api::PostParams;
use kube::runtime::watcher;
use ringfence_core::guardrails::Guardrails;
use tokio::sync::watch;

use super::{FIELD_MANAGER, doing, holds};
use crate::certs::secret::Reached;
use crate::cluster::duty::Duty;
use crate::cluster::mirror::Mirror;
use crate::cluster::{Clients, Effective, Error, Metrics, changed};
use crate::manifests::mutating::mutating_configuration;
use crate::manifests::names::RINGFENCE as SERVED;
use crate::manifests::webhooks::{Address, Endpoint, webhook_configuration};

/// A kind of webhook configuration.
pub(in crate::cluster) trait Served:
    kube::Resource<DynamicType = (), Scope = kube::core::ClusterResourceScope>
    + Clone
    + PartialEq
    + fmt::Debug
    + Serialize
    + DeserializeOwned
    + Send
    + Sync
    + 'static
{
    /// The duty to keep it.
    const DUTY: &'static str;
    /// The kind.
    const KIND: &'static str;
    /// One of its webhooks.
    type Webhook: PartialEq;

    /// What these guardrails want.
    fn wanted(guardrails: &Guardrails, endpoint: &Endpoint) -> Self;

    /// Its webhooks.
    fn webhooks(&mut self) -> &mut Option<Vec<Self::Webhook>>;

    /// The names of those that fail closed.
    fn closed(&self) -> Vec<&str>;
}

impl Served for ValidatingWebhookConfiguration {
    const DUTY: &'static str = "webhooks";
    const KIND: &'static str = "ValidatingWebhookConfiguration";
    type Webhook = ValidatingWebhook;

    fn wanted(guardrails: &Guardrails, endpoint: &Endpoint) -> Self {
        webhook_configuration(guardrails, endpoint)
    }

    fn webhooks(&mut self) -> &mut Option<Vec<ValidatingWebhook>> {
        &mut self.webhooks
    }

    fn closed(&self) -> Vec<&str> {
        let fails = |webhook: &&ValidatingWebhook| webhook.failure_policy.as_deref() == Some("Fail");
        let closed = self.webhooks.iter().flatten().filter(fails);
        closed.map(|webhook| webhook.name.as_str()).collect()
    }
}

impl Served for MutatingWebhookConfiguration {
    const DUTY: &'static str = "mutating-webhooks";
    const KIND: &'static str = "MutatingWebhookConfiguration";
    type Webhook = MutatingWebhook;

    fn wanted(guardrails: &Guardrails, endpoint: &Endpoint) -> Self {
        mutating_configuration(guardrails, endpoint)
    }

    fn webhooks(&mut self) -> &mut Option<Vec<MutatingWebhook>> {
        &mut self.webhooks
    }

    fn closed(&self) -> Vec<&str> {
        Vec::new()
    }
}

/// Keeps a served webhook configuration.
pub(in crate::cluster) struct ServedWebhooks<K: Served> {
    api: Api<K>,
    live: Mirror<String, K>,
    effective: watch::Receiver<Effective>,
    reached: watch::Receiver<Option<Reached>>,
    namespace: String,
    address: Address,
}

impl<K: Served> ServedWebhooks<K> {
    pub(in crate::cluster) fn new(
        clients: &Clients,
        namespace: &str,
        address: Address,
        effective: watch::Receiver<Effective>,
        reached: watch::Receiver<Option<Reached>>,
        metrics: &Metrics,
    ) -> Self {
        Self {
            api: Api::all(clients.writes.clone()),
            live: Mirror::new(
                K::DUTY,
                Api::<K>::all(clients.watches.clone()),
                watcher::Config::default().fields(&format!("metadata.name={SERVED}")),
                metrics.watch_errors(K::DUTY),
                |mut object| {
                    object.meta_mut().managed_fields = None;
                    Some((object.meta().name.clone()?, object))
                },
            ),
            effective,
            reached,
            namespace: namespace.to_owned(),
            address,
        }
    }

    fn wanted(&self, guardrails: &Guardrails, reached: Reached) -> K {
        let endpoint = Endpoint {
            namespace: self.namespace.clone(),
            address: self.address.clone(),
            token: reached.path,
            ca_bundle: reached.ca_pem,
        };
        K::wanted(guardrails, &endpoint)
    }
}

/// What stands, with everything in it that should be; none where nothing differs. What others have labelled stays.
fn repaired<K: Served>(live: &K, mut wanted: K) -> Option<K> {
    let mut repaired = live.clone();
    let labelled = holds(live.meta().labels.as_ref(), wanted.meta().labels.as_ref());
    if repaired.webhooks() == wanted.webhooks() && labelled {
        return None;
    }
    let labels: BTreeMap<String, String> = wanted.meta_mut().labels.take().unwrap_or_default();
    repaired.meta_mut().labels.get_or_insert_default().extend(labels);
    *repaired.webhooks() = wanted.webhooks().take();
    Some(repaired)
}

impl<K: Served> Duty for ServedWebhooks<K> {
    const NAME: &'static str = K::DUTY;

    async fn pass(&mut self) -> Result<(), Error> {
        let guardrails = self.effective.borrow().clone();
        let reached = self.reached.borrow().clone();
        let (Some(guardrails), Some(reached), Some(live)) = (guardrails, reached, self.live.objects()) else {
            return Ok(());
        };
        let Some(live) = live.get(SERVED) else {
            return Err(Error::NotInstalled(K::KIND, SERVED));
        };
        let Some(repaired) = repaired(live, self.wanted(&guardrails, reached)) else {
            return Ok(());
        };
        let params = PostParams {
            field_manager: Some(FIELD_MANAGER.to_owned()),
            ..PostParams::default()
        };
        let replaced = self.api.replace(SERVED, &params, &repaired).await;
        replaced.map_err(doing(format!("replace {} {SERVED}", K::KIND)))?;
        tracing::info!(
            revision = %guardrails.revision,
            kind = K::KIND,
            fail_closed = repaired.closed().join(", "),
            "webhook configuration brought in step"
        );
        Ok(())
    }

    async fn changed(&mut self) -> Result<(), Error> {
        tokio::select! {
            changed = self.live.changed() => Ok(changed?),
            () = changed(&mut self.effective) => Ok(()),
            () = changed(&mut self.reached) => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted() -> ValidatingWebhookConfiguration {
        let endpoint = Endpoint {
            namespace: "ringfence-system".to_owned(),
            address: Address::Service,
            token: "t".repeat(43),
            ca_bundle: Some("PEM".to_owned()),
        };
        webhook_configuration(&Guardrails::default(), &endpoint)
    }

    fn live(mut object: ValidatingWebhookConfiguration) -> ValidatingWebhookConfiguration {
        object.metadata.resource_version = Some("7".to_owned());
        let labels = object.metadata.labels.get_or_insert_default();
        labels.insert("team".to_owned(), "platform".to_owned());
        object
    }

    #[test]
    fn nothing_is_written_where_nothing_differs() {
        assert_eq!(repaired(&live(wanted()), wanted()), None);
    }

    #[test]
    fn an_empty_shell_is_filled() {
        let shell = live(ValidatingWebhookConfiguration::default());
        let filled = repaired(&shell, wanted()).expect("differs");
        assert_eq!(filled.webhooks, wanted().webhooks);
        assert_eq!(filled.metadata.resource_version.as_deref(), Some("7"));
        assert_eq!(filled.metadata.labels.expect("labels")["team"], "platform");
    }

    #[test]
    fn every_kind_of_tampering_is_put_back() {
        type Tamper = fn(&mut Vec<ValidatingWebhook>);
        let tampers: [Tamper; 7] = [
            |webhooks| webhooks.clear(),
            |webhooks| drop(webhooks.remove(0)),
            |webhooks| webhooks[0].failure_policy = Some("Ignore".to_owned()),
            |webhooks| webhooks[0].client_config.ca_bundle = None,
            |webhooks| webhooks[0].timeout_seconds = Some(1),
            |webhooks| {
                let selector = webhooks[0].object_selector.get_or_insert_default();
                selector.match_labels = Some([("skip".to_owned(), "me".to_owned())].into());
            },
            |webhooks| {
                let again = webhooks[0].clone();
                webhooks.push(again);
            },
        ];
        for tamper in tampers {
            let mut tampered = live(wanted());
            tamper(tampered.webhooks.as_mut().expect("webhooks"));
            let repaired = repaired(&tampered, wanted()).expect("noticed");
            assert_eq!(repaired.webhooks, wanted().webhooks);
        }
    }
}
