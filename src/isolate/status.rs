//! [`read`]: how it stands with the policies of namespaces, read from the cluster now, with the rights of whoever asks: what
//! the leader works by, for people. Nothing is written, and nothing of ringfence has to run.

use std::sync::Arc;

use k8s_openapi::api::core::v1;
use kube::api::{DynamicObject, ListParams};
use kube::core::PartialObjectMeta;
use kube::{Api, Client};
use ringfence_core::guardrails::{Chosen, Guardrails, MANAGED_BY};
use ringfence_core::model::{Mode, NamespaceName, Namespaces, Since, Snapshot};
use serde::Serialize;

use super::content::{Key, Seen, content, says_all_of, whole};
use super::failure::Failure;
use super::kinds::{Form, Kinds};
use super::survey::{Lacking, Object, Row, State, survey};
use super::wanted::{Kind, Profiles, Wanted};
use crate::answer::Calls;
use crate::cluster::{Written, compiled, every_page, namespace_of, read_since};
use crate::manifests::names::{ENFORCED_SINCE, GUARDRAILS, LAST_GOOD};

/// How it stands with namespaces.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Status {
    /// The revision of the guardrails by which it is told.
    pub(crate) revision: String,
    /// Kinds that a profile names and the cluster does not have.
    pub(crate) missing_kinds: Vec<String>,
    /// Sorted by name.
    pub(crate) namespaces: Vec<NamespaceStatus>,
}

/// How it stands with one namespace.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct NamespaceStatus {
    pub(crate) namespace: String,
    /// `isolated`, `lacking`, `opted out`, `existing`, `terminating`, `system` or `off`.
    pub(crate) state: &'static str,
    /// What happens where policies do not stand.
    pub(crate) mode: Option<Mode>,
    /// The isolation profile.
    pub(crate) profile: Option<String>,
    /// By what it was chosen: `default`, `label`, or `default (its label names no profile)`.
    pub(crate) chosen: Option<&'static str>,
    /// Its policies that are not there.
    pub(crate) missing: Vec<String>,
    /// Its policies that say something else than the profile, or can be taken away by another object.
    pub(crate) changed: Vec<String>,
    /// Policies of ringfence that the profile has no longer.
    pub(crate) leftover: Vec<String>,
    /// Whether a pod is refused here for want of policies.
    #[serde(skip)]
    pub(crate) fails: bool,
}

/// Why it cannot be told.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StatusError {
    /// Something could not be read.
    #[error("cannot read {what}: {why}; ask as somebody who may")]
    Unread { what: String, why: Box<kube::Error> },
    /// Something is not there.
    #[error("{0} is not there: is ringfence installed in another namespace (--installed-in)?")]
    Absent(String),
    /// The guardrails are invalid.
    #[error("ConfigMap {GUARDRAILS} is invalid, and there is no last good one:\n{0}")]
    Invalid(String),
    /// The kinds of manifests could not be asked for.
    #[error(transparent)]
    Kind(#[from] Failure),
}

/// Reads it for all namespaces, or for one.
pub(crate) async fn read(
    client: &Client,
    installed_in: &NamespaceName,
    only: Option<&NamespaceName>,
) -> Result<Status, StatusError> {
    let (guardrails, since) = configuration(client, installed_in).await?;
    let profiles = Profiles::of(&guardrails);
    let snapshot = Snapshot {
        namespaces: Arc::new(namespaces(client, only).await?),
        since: Arc::new(since),
        guardrails,
        policies: Arc::default(),
    };
    let kinds = Kinds::new(Arc::new(Calls::over(client.clone())));
    let mut objects: Vec<(Kind, Vec<(Key, Seen)>)> = Vec::new();
    let mut missing_kinds = Vec::new();
    for kind in profiles.unread_kinds().into_iter().chain([Kind::network_policy()]) {
        match kinds.plural(&kind).await? {
            Some(plural) => {
                let seen = injected(client, &kind, &plural, &profiles, only).await?;
                objects.push((kind, seen));
            }
            None => missing_kinds.push(kind),
        }
    }
    let all = objects.iter().flat_map(|(kind, objects)| {
        objects.iter().map(move |((namespace, name), seen)| Object {
            kind,
            namespace,
            name,
            seen,
        })
    });
    let form = |wanted: &Wanted| {
        if missing_kinds.contains(&wanted.kind) {
            Form::NoKind
        } else {
            Form::Known(wanted.digest)
        }
    };
    let mut rows = survey(&snapshot, &profiles, all, form);
    rows.sort_by_key(|row| row.name);
    Ok(Status {
        revision: snapshot.guardrails.revision.to_string(),
        missing_kinds: missing_kinds.iter().map(ToString::to_string).collect(),
        namespaces: rows.iter().map(NamespaceStatus::of).collect(),
    })
}

/// What is written to our ConfigMaps; where it is invalid, the last good one, as ringfence does.
async fn configuration(client: &Client, installed_in: &NamespaceName) -> Result<(Arc<Guardrails>, Since), StatusError> {
    let maps = Api::<v1::ConfigMap>::namespaced(client.clone(), installed_in.as_str());
    let get = async |name: &str| {
        let read = maps.get_opt(name).await;
        read.map_err(unread(format!("ConfigMap {name} in {installed_in}")))
    };
    let absent = || StatusError::Absent(format!("ConfigMap {GUARDRAILS} in {installed_in}"));
    let written = get(GUARDRAILS).await?.ok_or_else(absent)?;
    let guardrails = match compiled(Written::of(&written).sources).await {
        Ok(in_force) => in_force.guardrails,
        Err(problems) => {
            let last_good = get(LAST_GOOD).await?;
            let last_good = last_good.ok_or_else(|| StatusError::Invalid(problems.clone()))?;
            let in_force = compiled(Written::of(&last_good).sources).await;
            in_force.map_err(|_| StatusError::Invalid(problems))?.guardrails
        }
    };
    let since = get(ENFORCED_SINCE).await?;
    Ok((guardrails, since.as_ref().map(read_since).unwrap_or_default()))
}

async fn namespaces(client: &Client, only: Option<&NamespaceName>) -> Result<Namespaces, StatusError> {
    let api = Api::<PartialObjectMeta<v1::Namespace>>::all(client.clone());
    let objects = match only {
        Some(name) => {
            let object = api.get_opt(name.as_str()).await;
            let object = object.map_err(unread(format!("namespace {name}")))?;
            vec![object.ok_or_else(|| StatusError::Absent(format!("namespace {name}")))?]
        }
        None => listed(&api, ListParams::default(), "namespaces").await?,
    };
    Ok(objects.into_iter().filter_map(namespace_of).collect())
}

/// The injected objects of a kind. Of one that ringfence does not read, what it says beyond its profile is taken for
/// defaults: how it would be written down is for those to ask who may write it.
async fn injected(
    client: &Client,
    kind: &Kind,
    plural: &str,
    profiles: &Profiles,
    only: Option<&NamespaceName>,
) -> Result<Vec<(Key, Seen)>, StatusError> {
    let resource = kind.resource(plural);
    let api = match only {
        Some(namespace) => Api::<DynamicObject>::namespaced_with(client.clone(), namespace.as_str(), &resource),
        None => Api::<DynamicObject>::all_with(client.clone(), &resource),
    };
    let ours = ListParams::default().labels(&format!("{}={}", MANAGED_BY.0, MANAGED_BY.1));
    let objects = listed(&api, ours, plural).await?.into_iter().filter_map(whole);
    let seen = objects.map(|(key, object)| {
        let mut seen = Seen::of(&object);
        if !kind.is_network_policy() {
            let live = content(&object).into();
            let said = profiles.wanted().find(|wanted| {
                wanted.kind == *kind
                    && wanted.name == *key.1
                    && says_all_of(&live, &content(&wanted.object(&key.0)).into())
            });
            seen.digest = said.map_or(seen.digest, |wanted| wanted.digest);
        }
        (key, seen)
    });
    Ok(seen.collect())
}

async fn listed<K>(api: &Api<K>, params: ListParams, what: &str) -> Result<Vec<K>, StatusError>
where
    K: Clone + serde::de::DeserializeOwned + std::fmt::Debug,
{
    let objects = every_page(params, async |page| api.list(&page).await).await;
    objects.map_err(unread(what.to_owned()))
}

fn unread(what: String) -> impl FnOnce(kube::Error) -> StatusError {
    move |error| StatusError::Unread {
        what,
        why: Box::new(error),
    }
}

impl NamespaceStatus {
    fn of(row: &Row<'_>) -> Self {
        let lacking = |absent: bool| {
            let lacking = row
                .lacking
                .iter()
                .filter(|lack| (lack.what == Lacking::Absent) == absent);
            lacking.map(|lack| lack.wanted.name.clone()).collect()
        };
        Self {
            namespace: row.name.to_string(),
            state: row.state.as_str(),
            mode: row.mode.filter(|_| row.state != State::OptedOut),
            profile: row.profile.map(|(profile, _)| profile.to_string()),
            chosen: row.profile.map(|(_, chosen)| match chosen {
                Chosen::Default => "default",
                Chosen::Label => "label",
                Chosen::UnknownLabel => "default (its label names no profile)",
            }),
            missing: lacking(true),
            changed: lacking(false),
            leftover: row.stray.iter().map(|stray| stray.name.clone()).collect(),
            fails: row.fails(),
        }
    }
}
