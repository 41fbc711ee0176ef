//! When a published object stands, what is written where it does not, and what a new leader keeps of it.

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
