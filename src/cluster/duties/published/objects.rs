//! The objects of the published view: one [`Row`] for each kind, and how what is wanted is compared with what stands.

use std::collections::BTreeMap;

use hashbrown::HashMap;
use jiff::Timestamp;
use kube::api::DynamicObject;
use kube::core::{ApiResource, Object};
use ringfence_core::guardrails::Guardrails;
use ringfence_core::model::{Mode, ProfileName, SegmentName};
use serde::Serialize;
use serde_json::{Value, json};

use super::super::holds;
use super::super::unjudged::{BySegment, OfSegment};
use super::pods::Covered;
use crate::cluster::configuration::{InForce, Standing, Trouble};
use crate::isolate::{ProfileReport, Report};
use crate::manifests::published::{
    GUARDRAILS_NAME, GuardrailsStatus, IN_FORCE, IsolationProfileStatus, NotInForce, SegmentStatus, check_resource,
    guardrails_resource, profile_resource, published_checks, published_guardrails, published_profiles,
    published_segments, segment_resource,
};

/// A kind that is published.
pub(super) struct Row {
    /// Its plural.
    pub(super) name: &'static str,
    /// How it is addressed.
    pub(super) resource: fn() -> ApiResource,
    /// The objects of it.
    wanted: fn(&View<'_>) -> Vec<Wanted>,
}

/// The kinds that are published. A kind that comes to be in force gets its row.
pub(super) const PUBLISHED: &[Row] = &[
    Row {
        name: "segments",
        resource: segment_resource,
        wanted: segments,
    },
    Row {
        name: "guardrails",
        resource: guardrails_resource,
        wanted: guardrails,
    },
    Row {
        name: "isolationprofiles",
        resource: profile_resource,
        wanted: profiles,
    },
    Row {
        name: "policychecks",
        resource: check_resource,
        wanted: checks,
    },
];

/// What the published view is made of.
pub(super) struct View<'a> {
    pub(super) in_force: &'a InForce,
    /// What it comes to with the segments that are derived from policies.
    pub(super) whole: &'a Guardrails,
    pub(super) standing: &'a Standing,
    /// By segment; none until pods have been listed.
    pub(super) covered: Option<&'a [Covered]>,
    /// How it stands with the namespaces of profiles; empty until they have been looked at.
    pub(super) isolation: &'a Report,
    /// None until workloads have been gone through.
    pub(super) unjudged: Option<&'a BySegment>,
    /// The objects of this kind as they stand.
    pub(super) live: &'a HashMap<String, DynamicObject>,
    pub(super) now: Timestamp,
}

/// An object as it should be.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Wanted {
    pub(super) name: String,
    labels: BTreeMap<String, String>,
    spec: Value,
    status: Value,
}

impl Row {
    pub(super) fn wanted(&self, view: &View<'_>) -> Vec<Wanted> {
        (self.wanted)(view)
    }
}

fn segments(view: &View<'_>) -> Vec<Wanted> {
    let objects = published_segments(view.whole);
    (0..)
        .zip(objects)
        .map(|(position, mut object)| {
            let name = object.metadata.name.clone().unwrap_or_default();
            let counted = view.covered.and_then(|covered| covered.get::<usize>(position));
            if let Some(status) = &mut object.status {
                // What the leader before has counted is better than nothing.
                let before: SegmentStatus = status_of(view.live.get(&name)).unwrap_or_default();
                status.member_pods = counted.map_or(before.member_pods, |counted| Some(counted.members));
                status.client_pods = counted.map_or(before.client_pods, |counted| Some(counted.clients));
                if status.policy.is_some() {
                    // What stood before its policy opted in goes on, and is not looked for.
                } else if let Some(unjudged) = view.unjudged {
                    let of = SegmentName::new(&name)
                        .ok()
                        .and_then(|name| unjudged.get(&name).cloned());
                    let OfSegment { count, names } = of.unwrap_or_default();
                    status.unjudged_templates = (status.mode == Mode::Enforce).then_some(count);
                    status.unjudged = names;
                } else {
                    status.unjudged_templates = before.unjudged_templates;
                    status.unjudged = before.unjudged;
                }
                status.isolated = Some("Unknown".to_owned());
            }
            Wanted::of(&object)
        })
        .collect()
}

fn profiles(view: &View<'_>) -> Vec<Wanted> {
    let objects = published_profiles(&view.in_force.guardrails).into_iter();
    objects
        .map(|mut object| {
            let name = object.metadata.name.clone().unwrap_or_default();
            let counted = ProfileName::new(&name)
                .ok()
                .and_then(|name| view.isolation.profiles.get(&name));
            if let Some(status) = &mut object.status {
                if let Some(counted) = counted {
                    tell(status, counted);
                } else {
                    // What the leader before has counted is better than nothing.
                    let before: IsolationProfileStatus = status_of(view.live.get(&name)).unwrap_or_default();
                    *status = IsolationProfileStatus {
                        observed_revision: std::mem::take(&mut status.observed_revision),
                        policies: status.policies,
                        ..before
                    };
                }
            }
            Wanted::of(&object)
        })
        .collect()
}

/// Tells how it stands with the namespaces of a profile.
fn tell(status: &mut IsolationProfileStatus, counted: &ProfileReport) {
    let ProfileReport {
        covered,
        reported,
        failing,
        failing_namespaces,
        missing_kinds,
    } = counted;
    let number = |count: usize| Some(i64::try_from(count).unwrap_or(i64::MAX));
    status.namespaces = number(*covered);
    status.reported = number(*reported);
    status.failing = number(*failing);
    status.failing_namespaces.clone_from(failing_namespaces);
    status.missing_kinds.clone_from(missing_kinds);
}

fn checks(view: &View<'_>) -> Vec<Wanted> {
    let objects = published_checks(&view.in_force.guardrails);
    objects.iter().map(Wanted::of).collect()
}

fn guardrails(view: &View<'_>) -> Vec<Wanted> {
    let not_in_force = view.standing.trouble.as_ref().map(|trouble| NotInForce {
        reason: match trouble {
            Trouble::Missing => "Missing",
            Trouble::Invalid(_) => "Invalid",
        },
        message: view.standing.complaint().unwrap_or_default(),
    });
    let before: Option<GuardrailsStatus> = status_of(view.live.get(GUARDRAILS_NAME));
    let before = before.and_then(|before| {
        before
            .conditions
            .into_iter()
            .find(|condition| condition.kind == IN_FORCE)
    });
    vec![Wanted::of(&published_guardrails(
        view.whole,
        &view.in_force.notices,
        not_in_force,
        before.as_ref(),
        view.now,
    ))]
}

/// The status of an object as it stands, as far as it can be read.
fn status_of<S: serde::de::DeserializeOwned>(object: Option<&DynamicObject>) -> Option<S> {
    serde_json::from_value(object?.data.get("status")?.clone()).ok()
}

impl Wanted {
    fn of<P: Clone + Serialize, S: Clone + Serialize>(object: &Object<P, S>) -> Self {
        let json = |value: Result<Value, serde_json::Error>| without_nulls(value.unwrap_or_default());
        Self {
            name: object.metadata.name.clone().unwrap_or_default(),
            labels: object.metadata.labels.clone().unwrap_or_default(),
            spec: json(serde_json::to_value(&object.spec)),
            status: json(serde_json::to_value(&object.status)),
        }
    }

    /// As it is made where it does not stand.
    pub(super) fn object(&self, resource: &ApiResource) -> DynamicObject {
        let mut object = DynamicObject::new(&self.name, resource).data(json!({"spec": self.spec}));
        object.metadata.labels = Some(self.labels.clone());
        object
    }

    /// What has to be patched so that it stands as it should, but for its status; none where it does. What others have
    /// labelled stays.
    pub(super) fn repair(&self, live: &DynamicObject) -> Option<Value> {
        let nothing = Value::Null;
        let spec = merge_patch(live.data.get("spec").unwrap_or(&nothing), &self.spec);
        let labelled = holds(live.metadata.labels.as_ref(), Some(&self.labels));
        let mut patch = serde_json::Map::new();
        if let Some(spec) = spec {
            patch.insert("spec".to_owned(), spec);
        }
        if !labelled {
            patch.insert("metadata".to_owned(), json!({"labels": self.labels}));
        }
        (!patch.is_empty()).then_some(Value::Object(patch))
    }

    /// What has to be patched so that its status stands as it should; none where it does.
    pub(super) fn repair_status(&self, live: Option<&DynamicObject>) -> Option<Value> {
        let nothing = Value::Null;
        let live = live.and_then(|live| live.data.get("status")).unwrap_or(&nothing);
        let status = merge_patch(live, &self.status)?;
        Some(json!({"status": status}))
    }
}

/// The merge patch (RFC 7386) that makes `wanted` of `live`, which takes out what others have put in; none where nothing
/// differs. `wanted` has no nulls.
fn merge_patch(live: &Value, wanted: &Value) -> Option<Value> {
    let (Value::Object(live), Value::Object(wanted)) = (live, wanted) else {
        return (live != wanted).then(|| wanted.clone());
    };
    let gone = live
        .keys()
        .filter(|key| !wanted.contains_key(*key))
        .map(|key| (key.clone(), Value::Null));
    let nothing = Value::Null;
    let differing = wanted.iter().filter_map(|(key, wanted)| {
        let patch = merge_patch(live.get(key).unwrap_or(&nothing), wanted)?;
        Some((key.clone(), patch))
    });
    let patch: serde_json::Map<String, Value> = gone.chain(differing).collect();
    (!patch.is_empty()).then_some(Value::Object(patch))
}

/// The API server keeps no nulls in what a schema does not call nullable.
fn without_nulls(value: Value) -> Value {
    match value {
        Value::Object(entries) => entries
            .into_iter()
            .filter(|(_, value)| !value.is_null())
            .map(|(key, value)| (key, without_nulls(value)))
            .collect(),
        Value::Array(items) => items.into_iter().map(without_nulls).collect(),
        other => other,
    }
}

#[cfg(test)]
mod tests;
