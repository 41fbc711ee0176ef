//! [`ServedWebhooks`]: keeps the ValidatingWebhookConfiguration `ringfence` as the configuration says: whoever takes a
//! webhook out, or a rule, or the certificate authority, sees it put back. A switch of mode needs no order: every replica
//! decides by its own snapshot, and this says only what happens where no replica answers.

use k8s_openapi::api::admissionregistration::v1::{ValidatingWebhook, ValidatingWebhookConfiguration};
use kube::Api;
use kube::api::PostParams;
use kube::runtime::watcher;
use ringfence_core::guardrails::Guardrails;
use tokio::sync::watch;

use super::{FIELD_MANAGER, doing, holds};
use crate::certs::secret::Reached;
use crate::cluster::configuration::Standing;
use crate::cluster::duty::Duty;
use crate::cluster::mirror::Mirror;
use crate::cluster::{Clients, Error, Metrics, changed};
use crate::manifests::names::RINGFENCE as SERVED;
use crate::manifests::webhooks::{Address, Endpoint, webhook_configuration};

/// Keeps the served webhook configuration.
pub(in crate::cluster) struct ServedWebhooks {
    api: Api<ValidatingWebhookConfiguration>,
    live: Mirror<String, ValidatingWebhookConfiguration>,
    standing: watch::Receiver<Standing>,
    reached: watch::Receiver<Option<Reached>>,
    namespace: String,
    address: Address,
}

impl ServedWebhooks {
    pub(in crate::cluster) fn new(
        clients: &Clients,
        namespace: &str,
        address: Address,
        standing: watch::Receiver<Standing>,
        reached: watch::Receiver<Option<Reached>>,
        metrics: &Metrics,
    ) -> Self {
        Self {
            api: Api::all(clients.writes.clone()),
            live: Mirror::new(
                "webhooks",
                Api::<ValidatingWebhookConfiguration>::all(clients.watches.clone()),
                watcher::Config::default().fields(&format!("metadata.name={SERVED}")),
                metrics.watch_errors("webhooks"),
                |mut object| {
                    object.metadata.managed_fields = None;
                    Some((object.metadata.name.clone()?, object))
                },
            ),
            standing,
            reached,
            namespace: namespace.to_owned(),
            address,
        }
    }

    fn wanted(&self, guardrails: &Guardrails, reached: Reached) -> ValidatingWebhookConfiguration {
        let endpoint = Endpoint {
            namespace: self.namespace.clone(),
            address: self.address.clone(),
            token: reached.path,
            ca_bundle: reached.ca_pem,
        };
        webhook_configuration(guardrails, &endpoint)
    }
}

/// What stands, with everything in it that should be; none where nothing differs. What others have labelled stays.
fn repaired(
    live: &ValidatingWebhookConfiguration,
    wanted: ValidatingWebhookConfiguration,
) -> Option<ValidatingWebhookConfiguration> {
    let labelled = holds(live.metadata.labels.as_ref(), wanted.metadata.labels.as_ref());
    if live.webhooks == wanted.webhooks && labelled {
        return None;
    }
    let mut repaired = live.clone();
    let labels = repaired.metadata.labels.get_or_insert_default();
    labels.extend(wanted.metadata.labels.unwrap_or_default());
    repaired.webhooks = wanted.webhooks;
    Some(repaired)
}

/// What fails closed, for the log.
fn closed(webhooks: Option<&Vec<ValidatingWebhook>>) -> String {
    let fails = |webhook: &&ValidatingWebhook| webhook.failure_policy.as_deref() == Some("Fail");
    let names: Vec<&str> = webhooks
        .into_iter()
        .flatten()
        .filter(fails)
        .map(|webhook| webhook.name.as_str())
        .collect();
    names.join(", ")
}

impl Duty for ServedWebhooks {
    const NAME: &'static str = "webhooks";

    async fn pass(&mut self) -> Result<(), Error> {
        let in_force = self.standing.borrow().in_force.clone();
        let reached = self.reached.borrow().clone();
        let (Some(in_force), Some(reached), Some(live)) = (in_force, reached, self.live.objects()) else {
            return Ok(());
        };
        let Some(live) = live.get(SERVED) else {
            return Err(Error::NotInstalled("ValidatingWebhookConfiguration", SERVED));
        };
        let Some(repaired) = repaired(live, self.wanted(&in_force.guardrails, reached)) else {
            return Ok(());
        };
        let params = PostParams {
            field_manager: Some(FIELD_MANAGER.to_owned()),
            ..PostParams::default()
        };
        let replaced = self.api.replace(SERVED, &params, &repaired).await;
        replaced.map_err(doing(format!("replace ValidatingWebhookConfiguration {SERVED}")))?;
        tracing::info!(
            revision = %in_force.guardrails.revision,
            fail_closed = closed(repaired.webhooks.as_ref()),
            "webhook configuration brought in step"
        );
        Ok(())
    }

    async fn changed(&mut self) -> Result<(), Error> {
        tokio::select! {
            changed = self.live.changed() => Ok(changed?),
            () = changed(&mut self.standing) => Ok(()),
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
