//! [`ClusterRoles`]: keeps the ClusterRoles `ringfence:SEGMENT:VERB` as the configuration says, so that an owner only has
//! to bind. Touches no other: theirs are the names of that form, and what is removed carries our label, too.

use std::collections::BTreeMap;

use hashbrown::HashMap;
use k8s_openapi::api::rbac::v1::ClusterRole;
use kube::api::{DeleteParams, ObjectMeta, Patch, PatchParams, PostParams, Preconditions};
use kube::runtime::watcher;
use kube::{Api, Client};
use ringfence_core::model::{SegmentName, Verb};
use serde_json::json;
use tokio::sync::watch;

use super::{FIELD_MANAGER, all, doing, holds, is_ours, ours};
use crate::cluster::configuration::Standing;
use crate::cluster::duty::Duty;
use crate::cluster::mirror::Mirror;
use crate::cluster::{Clients, Error, Metrics, changed};
use crate::manifests::roles::published_roles;

/// Keeps the published ClusterRoles.
pub(in crate::cluster) struct ClusterRoles {
    writer: Writer,
    live: Mirror<String, ClusterRole>,
    standing: watch::Receiver<Standing>,
}

/// Writes changes.
struct Writer(Api<ClusterRole>);

impl ClusterRoles {
    pub(in crate::cluster) fn new(clients: &Clients, standing: watch::Receiver<Standing>, metrics: &Metrics) -> Self {
        Self {
            writer: Writer(Api::all(clients.writes.clone())),
            live: watch_ours(clients.watches.clone(), metrics),
            standing,
        }
    }
}

fn watch_ours(client: Client, metrics: &Metrics) -> Mirror<String, ClusterRole> {
    Mirror::new(
        "clusterroles",
        Api::<ClusterRole>::all(client),
        watcher::Config::default().labels(&ours()),
        metrics.watch_errors("clusterroles"),
        |mut role| {
            let name = role.metadata.name.clone()?;
            role.metadata.managed_fields = None;
            is_published(&name).then_some((name, role))
        },
    )
}

/// Whether a name is of the form that we publish.
fn is_published(name: &str) -> bool {
    let verbs = [Verb::Join, Verb::Connect, Verb::Enter, Verb::Manage, Verb::Cross];
    name.strip_prefix("ringfence:")
        .and_then(|rest| rest.rsplit_once(':'))
        .is_some_and(|(segment, verb)| {
            SegmentName::new(segment).is_ok() && verbs.iter().any(|known| known.as_str() == verb)
        })
}

/// What has to be written.
#[derive(Debug, Clone, PartialEq)]
enum Change {
    Create(ClusterRole),
    /// With the resource version of the one that is repaired.
    Repair(ClusterRole),
    /// Only this very object, as it was seen.
    Delete(String, Preconditions),
}

/// What has to be written so that `live` (only ours, by name) becomes `wanted`.
fn changes(mut wanted: BTreeMap<String, ClusterRole>, live: &HashMap<String, ClusterRole>) -> Vec<Change> {
    let mut changes = Vec::new();
    for (name, role) in live {
        match wanted.remove(name) {
            Some(wanted) if says_the_same(role, &wanted) => {}
            Some(wanted) => changes.push(Change::Repair(replacing(role, wanted))),
            None => changes.push(Change::Delete(
                name.clone(),
                Preconditions {
                    uid: role.metadata.uid.clone(),
                    resource_version: role.metadata.resource_version.clone(),
                },
            )),
        }
    }
    changes.extend(wanted.into_values().map(Change::Create));
    changes
}

fn says_the_same(live: &ClusterRole, wanted: &ClusterRole) -> bool {
    live.rules == wanted.rules
        && live.aggregation_rule == wanted.aggregation_rule
        && holds(live.metadata.labels.as_ref(), wanted.metadata.labels.as_ref())
        && holds(live.metadata.annotations.as_ref(), wanted.metadata.annotations.as_ref())
}

/// `wanted` in the place of `live`: what others have labelled stays.
fn replacing(live: &ClusterRole, wanted: ClusterRole) -> ClusterRole {
    let mut labels = live.metadata.labels.clone().unwrap_or_default();
    labels.extend(wanted.metadata.labels.unwrap_or_default());
    let mut annotations = live.metadata.annotations.clone().unwrap_or_default();
    annotations.extend(wanted.metadata.annotations.unwrap_or_default());
    ClusterRole {
        metadata: ObjectMeta {
            labels: Some(labels),
            annotations: Some(annotations),
            ..live.metadata.clone()
        },
        ..wanted
    }
}

impl Writer {
    async fn write(&self, change: Change) -> Result<(), Error> {
        let params = PostParams {
            field_manager: Some(FIELD_MANAGER.to_owned()),
            ..PostParams::default()
        };
        match change {
            Change::Create(role) => {
                let name = role.metadata.name.clone().unwrap_or_default();
                match self.0.create(&params, &role).await {
                    Err(kube::Error::Api(status)) if status.is_already_exists() => self.take_over(&name, role).await,
                    result => {
                        result.map_err(doing(format!("create ClusterRole {name}")))?;
                        tracing::info!(name, "ClusterRole published");
                        Ok(())
                    }
                }
            }
            Change::Repair(role) => {
                let name = role.metadata.name.clone().unwrap_or_default();
                self.repair(&name, &role)
                    .await
                    .map_err(doing(format!("repair ClusterRole {name}")))?;
                tracing::info!(name, "ClusterRole repaired");
                Ok(())
            }
            Change::Delete(name, preconditions) => {
                let params = DeleteParams::default().preconditions(preconditions);
                match self.0.delete(&name, &params).await {
                    Err(kube::Error::Api(status)) if status.is_not_found() => Ok(()),
                    result => {
                        result.map_err(doing(format!("delete ClusterRole {name}")))?;
                        tracing::info!(name, "ClusterRole removed, its segment is gone");
                        Ok(())
                    }
                }
            }
        }
    }

    /// By a merge patch, so that the right to patch is enough; a list in it replaces the one that stands.
    async fn repair(&self, name: &str, role: &ClusterRole) -> Result<ClusterRole, kube::Error> {
        let ClusterRole {
            metadata,
            rules,
            aggregation_rule,
        } = role;
        let patch = json!({
            "metadata": {
                "resourceVersion": metadata.resource_version,
                "labels": metadata.labels,
                "annotations": metadata.annotations,
            },
            "rules": rules,
            "aggregationRule": aggregation_rule,
        });
        let params = PatchParams {
            field_manager: Some(FIELD_MANAGER.to_owned()),
            ..PatchParams::default()
        };
        self.0.patch(name, &params, &Patch::Merge(patch)).await
    }

    /// One of our names stands without our label: somebody took the label off, or was there first. Either way who binds
    /// it must get what the name says and no more.
    async fn take_over(&self, name: &str, wanted: ClusterRole) -> Result<(), Error> {
        let doing_so = || doing(format!("take over ClusterRole {name}"));
        let live = self.0.get(name).await.map_err(doing_so())?;
        if is_ours(&live.metadata) && says_the_same(&live, &wanted) {
            return Ok(());
        }
        let repaired = replacing(&live, wanted);
        self.repair(name, &repaired).await.map_err(doing_so())?;
        tracing::warn!(
            name,
            "ClusterRole without our label taken over: its name is one that ringfence publishes"
        );
        Ok(())
    }
}

impl Duty for ClusterRoles {
    const NAME: &'static str = "clusterroles";

    async fn pass(&mut self) -> Result<(), Error> {
        let in_force = self.standing.borrow().in_force.clone();
        let (Some(in_force), Some(live)) = (in_force, self.live.objects()) else {
            return Ok(());
        };
        let wanted = published_roles(&in_force.guardrails)
            .into_iter()
            .filter_map(|role| Some((role.metadata.name.clone()?, role)))
            .collect();
        let changes = changes(wanted, live);
        let by = &self.writer;
        all(changes.into_iter().map(|change| by.write(change))).await
    }

    async fn changed(&mut self) -> Result<(), Error> {
        tokio::select! {
            changed = self.live.changed() => Ok(changed?),
            () = changed(&mut self.standing) => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use ringfence_core::guardrails::{Guardrails, Segment};
    use ringfence_core::model::{Mode, Scope};

    use super::*;

    fn wanted(segments: &[&str]) -> BTreeMap<String, ClusterRole> {
        let segment = |name: &&str| Segment {
            name: SegmentName::new(name).expect("valid"),
            description: String::new(),
            mode: Mode::Audit,
            consent: Scope::Cluster,
            members: Vec::new(),
            clients: Vec::new(),
            isolated_from: Vec::new(),
            require_isolation: Vec::new(),
            guard_access: false,
        };
        let guardrails = Guardrails {
            segments: segments.iter().map(segment).collect(),
            ..Guardrails::default()
        };
        let roles = published_roles(&guardrails).into_iter();
        roles
            .map(|role| (role.metadata.name.clone().expect("named"), role))
            .collect()
    }

    /// As the API server would hold them.
    fn live(wanted: BTreeMap<String, ClusterRole>) -> HashMap<String, ClusterRole> {
        let stored = |(name, mut role): (String, ClusterRole)| {
            role.metadata.uid = Some(format!("uid of {name}"));
            role.metadata.resource_version = Some("7".to_owned());
            (name, role)
        };
        wanted.into_iter().map(stored).collect()
    }

    #[test]
    fn nothing_is_written_where_nothing_differs() {
        let mut live = live(wanted(&["a", "b"]));
        let role = live.get_mut("ringfence:a:join").expect("published");
        let labels = role.metadata.labels.get_or_insert_default();
        labels.insert("team".to_owned(), "somebody else's".to_owned());
        assert_eq!(changes(wanted(&["a", "b"]), &live), []);
    }

    #[test]
    fn what_is_new_is_created_and_what_is_gone_deleted_as_it_was_seen() {
        let changes = changes(wanted(&["b"]), &live(wanted(&["a"])));
        let created = changes
            .iter()
            .filter(|change| matches!(change, Change::Create(_)))
            .count();
        let each = crate::manifests::roles::SEGMENT_VERBS.len();
        assert_eq!((created, changes.len()), (each, 2 * each));
        let join = Change::Delete(
            "ringfence:a:join".to_owned(),
            Preconditions {
                uid: Some("uid of ringfence:a:join".to_owned()),
                resource_version: Some("7".to_owned()),
            },
        );
        assert!(changes.contains(&join), "{changes:?}");
    }

    #[test]
    fn a_role_that_was_tampered_with_is_replaced_but_keeps_the_labels_of_others() {
        let mut live = live(wanted(&["a"]));
        let role = live.get_mut("ringfence:a:connect").expect("published");
        role.rules.as_mut().expect("rules")[0].verbs.push("*".to_owned());
        role.metadata
            .labels
            .get_or_insert_default()
            .insert("team".to_owned(), "web".to_owned());
        let changes = changes(wanted(&["a"]), &live);
        let [Change::Repair(role)] = changes.as_slice() else {
            panic!("{changes:?}")
        };
        assert_eq!(role.rules, wanted(&["a"])["ringfence:a:connect"].rules);
        assert_eq!(role.metadata.resource_version.as_deref(), Some("7"));
        assert_eq!(role.metadata.labels.as_ref().expect("labels")["team"], "web");
    }

    #[rstest::rstest]
    #[case("ringfence:payments-db:connect", true)]
    #[case("ringfence:a.b:join", true)]
    #[case("ringfence", false)]
    #[case("ringfence:view", false)]
    #[case("ringfence:guardrails:configure", false)]
    #[case("ringfence:a:b:join", false)]
    #[case("ringfence::join", false)]
    #[case("other:payments-db:connect", false)]
    fn only_names_of_the_published_form_are_ours(#[case] name: &str, #[case] ours: bool) {
        assert_eq!(is_published(name), ours);
    }
}
