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
mod tests {
    use std::sync::Arc;

    use ringfence_core::guardrails::Source;

    use super::*;

    const GUARDRAILS: &str = "
apiVersion: ringfence.dev/v1alpha1
kind: Guardrails
metadata: {name: default}
spec: {mode: Enforce}
---
apiVersion: ringfence.dev/v1alpha1
kind: Segment
metadata: {name: db}
spec:
  description: Ask team payments.
  members:
    - namespaces: [payments]
      podSelector: {matchLabels: {app: db}}
";

    fn standing(trouble: Option<Trouble>) -> (Arc<InForce>, Standing) {
        let sources = vec![Source {
            name: "a.yaml".to_owned(),
            text: GUARDRAILS.to_owned(),
        }];
        let in_force = InForce::new(sources).unwrap_or_else(|problems| panic!("{problems}"));
        let in_force = Arc::new(in_force);
        let standing = Standing {
            in_force: Some(Arc::clone(&in_force)),
            trouble,
            ..Standing::default()
        };
        (in_force, standing)
    }

    fn wanted(
        row: usize,
        trouble: Option<Trouble>,
        covered: Option<&[Covered]>,
        live: &HashMap<String, DynamicObject>,
        second: i64,
    ) -> Wanted {
        let (in_force, standing) = standing(trouble);
        let view = View {
            in_force: &in_force,
            whole: &in_force.guardrails,
            standing: &standing,
            covered,
            isolation: &Report::default(),
            unjudged: None,
            live,
            now: Timestamp::from_second(second).expect("a time"),
        };
        let mut wanted = PUBLISHED[row].wanted(&view);
        assert_eq!(wanted.len(), 1);
        wanted.remove(0)
    }

    /// As the API server would hold it.
    fn live(row: usize, wanted: &Wanted) -> HashMap<String, DynamicObject> {
        let mut object = wanted.object(&(PUBLISHED[row].resource)());
        let status = wanted.repair_status(None).expect("there is none yet");
        object.data["status"] = status["status"].clone();
        [(wanted.name.clone(), object)].into()
    }

    const COUNTED: &[Covered] = &[Covered { members: 3, clients: 1 }];

    #[test]
    fn what_was_written_stands() {
        for row in [0, 1] {
            let first = wanted(row, None, Some(COUNTED), &HashMap::new(), 1);
            let live = live(row, &first);
            let again = wanted(row, None, Some(COUNTED), &live, 2);
            assert_eq!(again.repair(&live[&again.name]), None);
            assert_eq!(again.repair_status(live.get(&again.name)), None);
        }
    }

    #[test]
    fn what_was_tampered_with_is_patched_back() {
        let first = wanted(0, None, Some(COUNTED), &HashMap::new(), 1);
        let mut tampered = live(0, &first).remove("db").expect("published");
        tampered.data["spec"]["description"] = json!("Ask me.");
        tampered.data["spec"]["extra"] = json!([1]);
        tampered.data["spec"]["members"][0]["podSelector"] = json!({});
        tampered.metadata.labels = Some([("team".to_owned(), "web".to_owned())].into());
        tampered.data["status"]["extra"] = json!(true);
        let patch = first.repair(&tampered).expect("differs");
        assert_eq!(patch["spec"]["description"], "Ask team payments.");
        assert_eq!(patch["spec"].get("extra"), Some(&Value::Null));
        assert_eq!(patch["spec"]["members"], first.spec["members"]);
        assert_eq!(patch["spec"].get("guardAccess"), None, "only what differs");
        assert_eq!(patch["metadata"]["labels"], json!(first.labels));
        assert_eq!(
            first.repair_status(Some(&tampered)),
            Some(json!({"status": {"extra": null}}))
        );
    }

    /// The procedure of RFC 7386, section 2.
    fn patched(target: Value, patch: Value) -> Value {
        let Value::Object(patch) = patch else { return patch };
        let mut target = match target {
            Value::Object(target) => target,
            _ => serde_json::Map::new(),
        };
        for (name, value) in patch {
            if value.is_null() {
                target.remove(&name);
            } else {
                let before = target.remove(&name).unwrap_or_default();
                target.insert(name, patched(before, value));
            }
        }
        Value::Object(target)
    }

    #[test]
    fn a_merge_patch_makes_the_one_of_the_other() {
        let shapes = [
            json!({}),
            json!({"a": 1}),
            json!({"a": {"b": 1, "c": [1, {"d": 2}]}}),
            json!({"a": {"b": {}}, "e": "x"}),
            json!({"e": [], "a": {"c": [1, {"d": 3}]}}),
        ];
        for live in &shapes {
            for wanted in &shapes {
                let patch = merge_patch(live, wanted);
                assert_eq!(patch.is_none(), live == wanted);
                let patched = patched(live.clone(), patch.unwrap_or_else(|| json!({})));
                assert_eq!(patched, *wanted, "{live} to {wanted}");
            }
        }
    }

    #[test]
    fn a_new_leader_keeps_the_counts_until_it_has_counted() {
        let first = wanted(0, None, Some(COUNTED), &HashMap::new(), 1);
        assert_eq!(
            (&first.status["memberPods"], &first.status["clientPods"]),
            (&json!(3), &json!(1))
        );
        let live = live(0, &first);
        assert_eq!(wanted(0, None, None, &live, 2).repair_status(live.get("db")), None);
        let unknown = wanted(0, None, None, &HashMap::new(), 1);
        assert_eq!(unknown.status.get("memberPods"), None);
    }

    #[test]
    fn what_is_not_in_force_is_told_with_the_time_since_when() {
        let first = wanted(1, None, None, &HashMap::new(), 1);
        let live = live(1, &first);
        let invalid = wanted(1, Some(Trouble::Invalid("no such key".to_owned())), None, &live, 2);
        let condition = &invalid.status["conditions"][0];
        assert_eq!(
            (&condition["status"], &condition["reason"]),
            (&json!("False"), &json!("Invalid"))
        );
        assert_eq!(condition["lastTransitionTime"], "1970-01-01T00:00:02Z");
        let message = condition["message"].as_str().expect("a message");
        assert!(
            message.contains("no such key") && message.contains("stays in force"),
            "{message}"
        );
    }
}
