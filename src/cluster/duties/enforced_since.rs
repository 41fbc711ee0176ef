//! [`EnforcedSince`]: keeps, in the ConfigMap `ringfence-enforced-since`, since when what is enforced. What a controller
//! makes from a template that stood before was never judged, and a namespace that was there before isolation is told apart.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::ConfigMap;
use kube::Api;
use kube::api::{ObjectMeta, PostParams};
use kube::runtime::watcher;
use ringfence_core::guardrails::MANAGED_BY;
use ringfence_core::model::Timestamp;
use tokio::sync::watch;

use super::{FIELD_MANAGER, doing};
use crate::cluster::configuration::Standing;
use crate::cluster::duty::Duty;
use crate::cluster::enforced_since::{ENFORCED_SINCE, data, read};
use crate::cluster::mirror::Mirror;
use crate::cluster::{Clients, Error, Metrics, changed};

/// Keeps since when what is enforced.
pub(in crate::cluster) struct EnforcedSince {
    api: Api<ConfigMap>,
    live: Mirror<String, ConfigMap>,
    standing: watch::Receiver<Standing>,
}

impl EnforcedSince {
    pub(in crate::cluster) fn new(
        clients: &Clients,
        namespace: &str,
        standing: watch::Receiver<Standing>,
        metrics: &Metrics,
    ) -> Self {
        Self {
            api: Api::namespaced(clients.writes.clone(), namespace),
            live: Mirror::new(
                "enforced-since-kept",
                Api::<ConfigMap>::namespaced(clients.watches.clone(), namespace),
                watcher::Config::default().fields(&format!("metadata.name={ENFORCED_SINCE}")),
                metrics.watch_errors("enforced-since-kept"),
                |mut object| {
                    object.metadata.managed_fields = None;
                    Some((object.metadata.name.clone()?, object))
                },
            ),
            standing,
        }
    }
}

impl Duty for EnforcedSince {
    const NAME: &'static str = "enforced-since";

    async fn pass(&mut self) -> Result<(), Error> {
        let in_force = self.standing.borrow().in_force.clone();
        let (Some(in_force), Some(live)) = (in_force, self.live.objects()) else {
            return Ok(());
        };
        let live = live.get(ENFORCED_SINCE);
        let before = live.map(read).unwrap_or_default();
        let now = Timestamp(jiff::Timestamp::now().as_second());
        let wanted = before.advanced(&in_force.guardrails, now);
        if live.is_some() && wanted == before {
            return Ok(());
        }
        let object = ConfigMap {
            metadata: ObjectMeta {
                name: Some(ENFORCED_SINCE.to_owned()),
                labels: Some(BTreeMap::from([(MANAGED_BY.0.to_owned(), MANAGED_BY.1.to_owned())])),
                // What another replica wrote meanwhile is not overwritten: its times are older.
                resource_version: live.and_then(|live| live.metadata.resource_version.clone()),
                ..ObjectMeta::default()
            },
            data: Some(data(&wanted)?),
            ..ConfigMap::default()
        };
        let params = PostParams {
            field_manager: Some(FIELD_MANAGER.to_owned()),
            ..PostParams::default()
        };
        if live.is_some() {
            let replaced = self.api.replace(ENFORCED_SINCE, &params, &object).await;
            replaced.map_err(doing(format!("replace ConfigMap {ENFORCED_SINCE}")))?;
        } else {
            let created = self.api.create(&params, &object).await;
            created.map_err(doing(format!("create ConfigMap {ENFORCED_SINCE}")))?;
        }
        tracing::info!(revision = %in_force.guardrails.revision, "kept since when what is enforced");
        Ok(())
    }

    async fn changed(&mut self) -> Result<(), Error> {
        tokio::select! {
            changed = self.live.changed() => Ok(changed?),
            () = changed(&mut self.standing) => Ok(()),
        }
    }
}
