//! [`Published`]: keeps the published view, the objects that `kubectl get segments` and its kin show. What is there is
//! compared with what should be; only what differs is written, and only what carries our label is removed.

mod objects;
mod pods;

use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use futures::future::select_all;
use hashbrown::{HashMap, HashSet};
use jiff::Timestamp;
use kube::Api;
use kube::api::{DeleteParams, DynamicObject, Patch, PatchParams, PostParams, Preconditions};
use kube::core::ApiResource;
use kube::runtime::watcher;
use ringfence_core::guardrails::Guardrails;
use ringfence_core::model::Namespaces;
use serde_json::Value;
use tokio::sync::watch;
use tokio::time::Instant;

use self::objects::{PUBLISHED, Row, View, Wanted};
use self::pods::{Covered, PodKey, PodLabels, Pods};
use super::unjudged::Told;
use super::{FIELD_MANAGER, all, doing, is_ours};
use crate::Current;
use crate::cluster::configuration::Standing;
use crate::cluster::duty::{Duty, at};
use crate::cluster::mirror::Mirror;
use crate::cluster::{Clients, Effective, Error, Metrics, changed};
use crate::isolate::Report;

/// Keeps the published view.
pub(in crate::cluster) struct Published {
    kinds: Vec<Kind>,
    pods: Mirror<PodKey, PodLabels>,
    /// For the labels of namespaces.
    current: Current,
    standing: watch::Receiver<Standing>,
    /// With the segments that are derived from policies.
    effective: watch::Receiver<Effective>,
    isolation: watch::Receiver<Report>,
    unjudged: watch::Receiver<Told>,
    /// When pods were counted last, and when they are to be counted again because some came or went.
    counted: Option<Instant>,
    count_at: Option<Instant>,
}

/// The least time between two counts: pods come and go all the time.
const COUNT_AGAIN: Duration = Duration::from_secs(5);

/// One kind of published object.
struct Kind {
    row: &'static Row,
    writer: Arc<Writer>,
    live: Mirror<String, DynamicObject>,
}

/// Writes changes of one kind.
struct Writer {
    api: Api<DynamicObject>,
    resource: ApiResource,
}

impl Published {
    pub(in crate::cluster) fn new(
        clients: &Clients,
        current: Current,
        (standing, effective): (watch::Receiver<Standing>, watch::Receiver<Effective>),
        isolation: watch::Receiver<Report>,
        unjudged: watch::Receiver<Told>,
        metrics: &Metrics,
    ) -> Self {
        Self {
            kinds: PUBLISHED.iter().map(|row| Kind::new(clients, row, metrics)).collect(),
            pods: pods::watch(clients.watches.clone(), metrics.watch_errors("pods")),
            current,
            standing,
            effective,
            isolation,
            unjudged,
            counted: None,
            count_at: None,
        }
    }
}

/// How many pods each segment covers. Counted away from the threads that answer reviews: there may be 100,000.
async fn covered(whole: Arc<Guardrails>, namespaces: Arc<Namespaces>, pods: Arc<Pods>) -> Option<Vec<Covered>> {
    let counting = tokio::task::spawn_blocking(move || pods::covered(&whole, &namespaces, &pods));
    counting.await.ok()
}

impl Kind {
    fn new(clients: &Clients, row: &'static Row, metrics: &Metrics) -> Self {
        let resource = (row.resource)();
        let watched = Api::<DynamicObject>::all_with(clients.watches.clone(), &resource);
        let keep = |mut object: DynamicObject| {
            object.metadata.managed_fields = None;
            Some((object.metadata.name.clone()?, object))
        };
        let errors = metrics.watch_errors(row.name);
        Self {
            row,
            live: Mirror::new(row.name, watched, watcher::Config::default(), errors, keep),
            writer: Arc::new(Writer {
                api: Api::all_with(clients.writes.clone(), &resource),
                resource,
            }),
        }
    }
}

/// What has to be written.
#[derive(Debug, PartialEq)]
enum Change {
    /// The object, then its status.
    Create(Box<DynamicObject>, Option<Value>),
    /// The object of this name, but for its status.
    Patch(String, Value),
    /// The status of the object of this name.
    PatchStatus(String, Value),
    /// Only this very object, as it was seen.
    Delete(String, Preconditions),
}

/// What has to be written so that what is ours in `live` becomes `wanted`.
fn changes(wanted: Vec<Wanted>, live: &HashMap<String, DynamicObject>, resource: &ApiResource) -> Vec<Change> {
    let names: HashSet<String> = wanted.iter().map(|wanted| wanted.name.clone()).collect();
    let mut changes: Vec<Change> = live
        .iter()
        .filter(|(name, object)| is_ours(&object.metadata) && !names.contains(*name))
        .map(|(name, object)| {
            let preconditions = Preconditions {
                uid: object.metadata.uid.clone(),
                resource_version: None,
            };
            Change::Delete(name.clone(), preconditions)
        })
        .collect();
    for wanted in wanted {
        let Some(object) = live.get(&wanted.name) else {
            changes.push(Change::Create(
                Box::new(wanted.object(resource)),
                wanted.repair_status(None),
            ));
            continue;
        };
        let (patch, status) = (wanted.repair(object), wanted.repair_status(Some(object)));
        changes.extend(patch.map(|patch| Change::Patch(wanted.name.clone(), patch)));
        changes.extend(status.map(|status| Change::PatchStatus(wanted.name, status)));
    }
    changes
}

impl Writer {
    async fn write(&self, change: Change) -> Result<(), Error> {
        let params = PatchParams {
            field_manager: Some(FIELD_MANAGER.to_owned()),
            ..PatchParams::default()
        };
        match change {
            Change::Create(object, status) => {
                let name = object.metadata.name.clone().unwrap_or_default();
                let post = PostParams {
                    field_manager: Some(FIELD_MANAGER.to_owned()),
                    ..PostParams::default()
                };
                self.api
                    .create(&post, &object)
                    .await
                    .map_err(self.doing("publish", &name))?;
                match status {
                    Some(status) => self.patch_status(&name, &params, status).await,
                    None => Ok(()),
                }
            }
            Change::Patch(name, patch) => {
                let patched = self.api.patch(&name, &params, &Patch::Merge(patch)).await;
                patched.map(drop).map_err(self.doing("repair", &name))
            }
            Change::PatchStatus(name, status) => self.patch_status(&name, &params, status).await,
            Change::Delete(name, preconditions) => {
                let params = DeleteParams::default().preconditions(preconditions);
                match self.api.delete(&name, &params).await {
                    Err(kube::Error::Api(status)) if status.is_not_found() => Ok(()),
                    result => result.map(drop).map_err(self.doing("delete", &name)),
                }
            }
        }
    }

    async fn patch_status(&self, name: &str, params: &PatchParams, status: Value) -> Result<(), Error> {
        let patched = self.api.patch_status(name, params, &Patch::Merge(status)).await;
        patched.map(drop).map_err(self.doing("tell the status of", name))
    }

    fn doing(&self, what: &str, name: &str) -> impl FnOnce(kube::Error) -> Error + use<> {
        doing(format!("{what} {} {name}", self.resource.kind))
    }
}

impl Duty for Published {
    const NAME: &'static str = "published";

    async fn pass(&mut self) -> Result<(), Error> {
        let standing = self.standing.borrow_and_update().clone();
        // None until the protected policies are known: what is derived from them is not to be removed meanwhile.
        let effective = self.effective.borrow_and_update().clone();
        let (Some(in_force), Some(whole), Some(snapshot)) = (standing.in_force.clone(), effective, self.current.load())
        else {
            return Ok(());
        };
        self.count_at = None;
        if self.pods.objects().is_some() {
            self.counted = Some(Instant::now());
        }
        let covered = match self.pods.objects().map(Arc::clone) {
            Some(pods) => covered(Arc::clone(&whole), Arc::clone(&snapshot.namespaces), pods).await,
            None => None,
        };
        let isolation = self.isolation.borrow().clone();
        let unjudged = self.unjudged.borrow().clone();
        let mut written = Vec::new();
        for kind in &self.kinds {
            let Some(live) = kind.live.objects() else {
                continue;
            };
            let view = View {
                in_force: &in_force,
                whole: &whole,
                standing: &standing,
                covered: covered.as_deref(),
                isolation: &isolation,
                unjudged: unjudged.as_deref(),
                live,
                now: Timestamp::now(),
            };
            let by = Arc::clone(&kind.writer);
            let changes = changes(kind.row.wanted(&view), live, &kind.writer.resource);
            written.extend(changes.into_iter().map(|change| (Arc::clone(&by), change)));
        }
        all(written
            .into_iter()
            .map(|(by, change)| async move { by.write(change).await }))
        .await
    }

    async fn changed(&mut self) -> Result<(), Error> {
        loop {
            let kinds = self.kinds.iter_mut().map(|kind| kind.live.changed().boxed());
            tokio::select! {
                (changed, ..) = select_all(kinds) => return Ok(changed?),
                () = changed(&mut self.standing) => return Ok(()),
                () = changed(&mut self.effective) => return Ok(()),
                () = changed(&mut self.isolation) => return Ok(()),
                () = changed(&mut self.unjudged) => return Ok(()),
                () = at(self.count_at) => return Ok(()),
                changed = self.pods.changed() => {
                    changed?;
                    let soon = self.counted.map_or_else(Instant::now, |counted| counted + COUNT_AGAIN);
                    self.count_at.get_or_insert(soon);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifests::published::segment_resource;
    use ringfence_core::guardrails::MANAGED_BY;

    fn live(name: &str, labels: &[(&str, &str)]) -> (String, DynamicObject) {
        let mut object = DynamicObject::new(name, &segment_resource());
        object.metadata.uid = Some(format!("uid of {name}"));
        object.metadata.labels = Some(
            labels
                .iter()
                .map(|(key, value)| ((*key).into(), (*value).into()))
                .collect(),
        );
        (name.to_owned(), object)
    }

    #[test]
    fn what_left_is_deleted_but_only_what_is_ours() {
        let live = [live("old", &[MANAGED_BY]), live("somebody-elses", &[])].into();
        let gone = Preconditions {
            uid: Some("uid of old".to_owned()),
            resource_version: None,
        };
        assert_eq!(
            changes(Vec::new(), &live, &segment_resource()),
            [Change::Delete("old".to_owned(), gone)]
        );
    }
}
