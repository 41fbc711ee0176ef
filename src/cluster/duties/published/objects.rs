//! The objects of the published view: one [`Row`] for each kind, and how what is wanted is compared with what stands.

use hashbrown::HashMap;
use jiff::Timestamp;
use kube::api::DynamicObject;
use kube::core::{ApiResource, Object};
use serde::Serialize;
use serde_json::{Value, json};

use super::pods::Covered;
use crate::cluster::configuration::{InForce, Standing, Trouble};
use crate::manifests::published::{
    GUARDRAILS_NAME, GuardrailsStatus, IN_FORCE, NotInForce, SegmentStatus, guardrails_resource, published_guardrails,
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
];

/// What the published view is made of.
pub(super) struct View<'a> {
    pub(super) in_force: &'a InForce,
    pub(super) standing: &'a Standing,
    /// By segment; none until pods have been listed.
    pub(super) covered: Option<&'a [Covered]>,
    /// The objects of this kind as they stand.
    pub(super) live: &'a HashMap<String, DynamicObject>,
    pub(super) now: Timestamp,
}

/// An object as it should be.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Wanted {
    pub(super) name: String,
    labels: Value,
    spec: Value,
    status: Value,
}

impl Row {
    pub(super) fn wanted(&self, view: &View<'_>) -> Vec<Wanted> {
        (self.wanted)(view)
    }
}

fn segments(view: &View<'_>) -> Vec<Wanted> {
    let objects = published_segments(&view.in_force.guardrails);
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
                status.isolated = Some("Unknown".to_owned());
            }
            Wanted::of(&object)
        })
        .collect()
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
    let InForce {
        guardrails, notices, ..
    } = view.in_force;
    vec![Wanted::of(&published_guardrails(
        guardrails,
        notices,
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
            labels: json!(object.metadata.labels.clone().unwrap_or_default()),
            spec: json(serde_json::to_value(&object.spec)),
            status: json(serde_json::to_value(&object.status)),
        }
    }

    /// Whether the object stands as it should, but for its status.
    pub(super) fn stands_in(&self, live: &DynamicObject) -> bool {
        let labels = json!(live.metadata.labels.clone().unwrap_or_default());
        let labelled = self
            .labels
            .as_object()
            .is_none_or(|wanted| wanted.iter().all(|(key, value)| labels.get(key) == Some(value)));
        labelled && live.data.get("spec") == Some(&self.spec)
    }

    /// Whether its status stands as it should.
    pub(super) fn status_stands_in(&self, live: &DynamicObject) -> bool {
        live.data.get("status") == Some(&self.status)
    }

    /// As it is applied.
    pub(super) fn object(&self, resource: &ApiResource) -> Value {
        json!({
            "apiVersion": resource.api_version,
            "kind": resource.kind,
            "metadata": {"name": self.name, "labels": self.labels},
            "spec": self.spec,
        })
    }

    /// As its status is applied.
    pub(super) fn status_object(&self, resource: &ApiResource) -> Value {
        json!({
            "apiVersion": resource.api_version,
            "kind": resource.kind,
            "metadata": {"name": self.name},
            "status": self.status,
        })
    }
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
            standing: &standing,
            covered,
            live,
            now: Timestamp::from_second(second).expect("a time"),
        };
        let mut wanted = PUBLISHED[row].wanted(&view);
        assert_eq!(wanted.len(), 1);
        wanted.remove(0)
    }

    /// As the API server would hold it.
    fn live(row: usize, wanted: &Wanted) -> HashMap<String, DynamicObject> {
        let resource = (PUBLISHED[row].resource)();
        let mut object = wanted.object(&resource);
        object["status"] = wanted.status_object(&resource)["status"].clone();
        let object: DynamicObject = serde_json::from_value(object).expect("an object");
        [(wanted.name.clone(), object)].into()
    }

    const COUNTED: &[Covered] = &[Covered { members: 3, clients: 1 }];

    #[test]
    fn what_was_written_stands() {
        for row in [0, 1] {
            let first = wanted(row, None, Some(COUNTED), &HashMap::new(), 1);
            let live = live(row, &first);
            let again = wanted(row, None, Some(COUNTED), &live, 2);
            assert!(again.stands_in(&live[&again.name]), "{again:?}");
            assert!(again.status_stands_in(&live[&again.name]), "{again:?}");
        }
    }

    #[test]
    fn what_was_tampered_with_does_not_stand() {
        let first = wanted(0, None, Some(COUNTED), &HashMap::new(), 1);
        let mut tampered = live(0, &first).remove("db").expect("published");
        tampered.data["spec"]["description"] = json!("Ask me.");
        assert!(!first.stands_in(&tampered));
        assert!(first.status_stands_in(&tampered));
        let mut tampered = live(0, &first).remove("db").expect("published");
        tampered.metadata.labels = None;
        assert!(!first.stands_in(&tampered));
        let mut tampered = live(0, &first).remove("db").expect("published");
        tampered.data["status"]["extra"] = json!(true);
        assert!(!first.status_stands_in(&tampered));
    }

    #[test]
    fn a_new_leader_keeps_the_counts_until_it_has_counted() {
        let first = wanted(0, None, Some(COUNTED), &HashMap::new(), 1);
        assert_eq!(
            (&first.status["memberPods"], &first.status["clientPods"]),
            (&json!(3), &json!(1))
        );
        let live = live(0, &first);
        assert!(wanted(0, None, None, &live, 2).status_stands_in(&live["db"]));
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
