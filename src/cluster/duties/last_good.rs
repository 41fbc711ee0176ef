//! [`LastGood`]: keeps the configuration in force in the ConfigMap `ringfence-last-good`, for a replica that starts while
//! what is written is invalid.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::ConfigMap;
use kube::Api;
use kube::api::{ObjectMeta, PostParams};
use kube::runtime::watcher;
use ringfence_core::guardrails::MANAGED_BY;
use tokio::sync::watch;

use super::{FIELD_MANAGER, doing, holds};
use crate::cluster::configuration::{InForce, LAST_GOOD, Standing};
use crate::cluster::duty::Duty;
use crate::cluster::mirror::Mirror;
use crate::cluster::{Clients, Error, Metrics, changed};

/// Keeps the last good configuration.
pub(in crate::cluster) struct LastGood {
    api: Api<ConfigMap>,
    live: Mirror<String, ConfigMap>,
    standing: watch::Receiver<Standing>,
}

impl LastGood {
    pub(in crate::cluster) fn new(
        clients: &Clients,
        namespace: &str,
        standing: watch::Receiver<Standing>,
        metrics: &Metrics,
    ) -> Self {
        Self {
            api: Api::namespaced(clients.writes.clone(), namespace),
            live: Mirror::new(
                "last-good",
                Api::<ConfigMap>::namespaced(clients.watches.clone(), namespace),
                watcher::Config::default().fields(&format!("metadata.name={LAST_GOOD}")),
                metrics.watch_errors("last-good"),
                |mut object| {
                    object.metadata.managed_fields = None;
                    Some((object.metadata.name.clone()?, object))
                },
            ),
            standing,
        }
    }
}

fn wanted(in_force: &InForce) -> ConfigMap {
    let pair = |key: &str, value: &str| BTreeMap::from([(key.to_owned(), value.to_owned())]);
    let data = in_force.sources.iter();
    ConfigMap {
        metadata: ObjectMeta {
            name: Some(LAST_GOOD.to_owned()),
            labels: Some(pair(MANAGED_BY.0, MANAGED_BY.1)),
            annotations: Some(pair("ringfence.dev/revision", &in_force.guardrails.revision.0)),
            ..ObjectMeta::default()
        },
        data: Some(data.map(|source| (source.name.clone(), source.text.clone())).collect()),
        ..ConfigMap::default()
    }
}

fn says_the_same(live: &ConfigMap, wanted: &ConfigMap) -> bool {
    let empty = BTreeMap::new();
    live.data.as_ref().unwrap_or(&empty) == wanted.data.as_ref().unwrap_or(&empty)
        && live.binary_data.as_ref().is_none_or(BTreeMap::is_empty)
        && holds(live.metadata.labels.as_ref(), wanted.metadata.labels.as_ref())
        && holds(live.metadata.annotations.as_ref(), wanted.metadata.annotations.as_ref())
}

impl Duty for LastGood {
    const NAME: &'static str = "last-good";

    async fn pass(&mut self) -> Result<(), Error> {
        let in_force = self.standing.borrow().in_force.clone();
        let (Some(in_force), Some(live)) = (in_force, self.live.objects()) else {
            return Ok(());
        };
        let mut wanted = wanted(&in_force);
        let params = PostParams {
            field_manager: Some(FIELD_MANAGER.to_owned()),
            ..PostParams::default()
        };
        match live.get(LAST_GOOD) {
            Some(live) if says_the_same(live, &wanted) => return Ok(()),
            Some(live) => {
                wanted
                    .metadata
                    .resource_version
                    .clone_from(&live.metadata.resource_version);
                let replaced = self.api.replace(LAST_GOOD, &params, &wanted).await;
                replaced.map_err(doing(format!("replace ConfigMap {LAST_GOOD}")))?;
            }
            None => {
                let created = self.api.create(&params, &wanted).await;
                created.map_err(doing(format!("create ConfigMap {LAST_GOOD}")))?;
            }
        }
        tracing::info!(revision = %in_force.guardrails.revision, "kept as the last good configuration");
        Ok(())
    }

    async fn changed(&mut self) -> Result<(), Error> {
        tokio::select! {
            changed = self.live.changed() => Ok(changed?),
            () = changed(&mut self.standing) => Ok(()),
        }
    }
}
