//! ControllerRevisions: a StatefulSet or DaemonSet takes the template of its pods from them, and believes whoever wrote them.

use serde_json::{Value, json};

use super::super::attack::{Attack, CLIENT, MEMBER, OTHER, TESS, attack, create, kubectl, merge, until};
use super::{CONNECT, JOIN};

const REVISIONS: &str = "/apis/apps/v1/namespaces/$TEAM/controllerrevisions";
const PLANTED: &str = "/apis/apps/v1/namespaces/$TEAM/controllerrevisions/planted";
const SET: &str = "/apis/apps/v1/namespaces/$TEAM/statefulsets/set";

fn template((key, value): (&str, &str), image: &str) -> Value {
    json!({
        "metadata": {"labels": {"run": "set", key: value}},
        "spec": {"containers": [{"name": "main", "image": image}]},
    })
}

/// A StatefulSet of one pod, which an update would not reach: it stays at its current revision.
fn set(label: (&str, &str)) -> Value {
    json!({
        "apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": {"name": "set"},
        "spec": {
            "serviceName": "set", "replicas": 1, "selector": {"matchLabels": {"run": "set"}},
            "updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {"partition": 1}},
            "template": template(label, "app"),
        },
    })
}

/// A revision that the set takes for its own.
fn revision(template: &Value) -> Value {
    json!({
        "apiVersion": "apps/v1", "kind": "ControllerRevision", "revision": 1, "data": {"spec": {"template": template}},
        "metadata": {"name": "planted", "labels": {"run": "set"}, "ownerReferences": [{
            "apiVersion": "apps/v1", "kind": "StatefulSet", "name": "set", "uid": format!("$UID({SET})"),
            "controller": true, "blockOwnerDeletion": true,
        }]},
    })
}

fn whole(label: (&str, &str)) -> Value {
    let mut template = template(label, "evil");
    template["$patch"] = "replace".into();
    template
}

pub(super) fn rows() -> Vec<Attack> {
    let pod = "/api/v1/namespaces/$TEAM/pods/set-0";
    let standing = |row: Attack, label| {
        row.given(create("/apis/apps/v1/namespaces/$TEAM/statefulsets", set(label)))
            .given(until(pod, "/status/phase", "Running"))
            // An update that its partition holds back: until it is complete the set keeps to its current revision.
            .given(merge(
                SET,
                json!({"spec": {"template": {"metadata": {"annotations": {"update": "held"}}}}}),
            ))
            .given(until(SET, "/status/observedGeneration", 2))
    };
    // Once planted, the set is made to believe that it runs it already, and makes its pod anew.
    let run = |row: Attack| {
        row.then(
            merge(
                &format!("{SET}/status"),
                json!({"status": {"currentRevision": "planted"}}),
            )
            .by(TESS),
        )
        .then(kubectl("delete pod set-0 -n $TEAM --wait=false").by(TESS))
    };
    let image = "/spec/containers/0/image";
    vec![
        run(standing(attack("a planted revision", "controllerrevisions.apps", TESS), OTHER))
            .does("A whole template with the label, planted as the revision that a StatefulSet runs")
            .attempt(create(REVISIONS, revision(&whole(CLIENT))))
            .brings(pod, "/metadata/labels/app", "client")
            .refused(CONNECT),
        run(standing(attack("a partial revision", "controllerrevisions.apps", TESS), CLIENT))
            .does("A revision without labels and without `$patch: replace`: merged, it keeps the set's labels and brings other code")
            .attempt(create(
                REVISIONS,
                revision(&json!({"spec": {"containers": [{"name": "main", "image": "evil"}]}})),
            ))
            .brings(pod, image, "evil")
            .refused(CONNECT),
        standing(attack("a whole template that would be merged", "controllerrevisions.apps", TESS), CLIENT)
            .does("A template with other labels but without `$patch: replace`, so that labels are merged")
            .attempt(create(REVISIONS, revision(&template(OTHER, "evil"))))
            .brings(PLANTED, "/metadata/name", "planted")
            .refused(CONNECT),
        attack("a revision that nobody owns yet", "controllerrevisions.apps", TESS)
            .does("A revision without owner, which a set adopts by its labels")
            .attempt(create(
                "/apis/apps/v1/namespaces/$VAULT/controllerrevisions",
                json!({
                    "apiVersion": "apps/v1", "kind": "ControllerRevision", "revision": 1,
                    "metadata": {"name": "planted", "labels": {"run": "set"}},
                    "data": {"spec": {"template": whole(MEMBER)}},
                }),
            ))
            .brings("/apis/apps/v1/namespaces/$VAULT/controllerrevisions/planted", "/metadata/name", "planted")
            .refused(JOIN),
    ]
}
