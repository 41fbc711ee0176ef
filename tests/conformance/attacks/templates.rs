//! Every kind that has a pod template, and every way to write it: created with the label, given the label later, other
//! code or another annotation under a kept label.

use serde_json::{Value, json};

use super::super::attack::{
    Attack, CLIENT, MALLORY, MEMBER, OTHER, Step, TESS, attack, create, kubectl, merge, request, until,
};
use super::{CONNECT, JOIN};

/// A kind with a template.
struct Kind {
    /// The write path.
    path: &'static str,
    kind: &'static str,
    /// Of its API, up to the namespace.
    api: &'static str,
    /// Its fields round the template.
    around: fn(Value) -> Value,
    /// JSON pointers to a label, an annotation and an image of its template.
    pointers: Pointers,
    /// What can change in its template.
    mutable: Mutable,
    /// Who may write it: the built-in `edit` does not write all.
    user: &'static str,
}

struct Pointers {
    label: &'static str,
    annotation: &'static str,
    image: &'static str,
}

#[derive(PartialEq, Eq)]
enum Mutable {
    All,
    /// Of a suspended Job.
    Metadata,
}

/// Pointers into a template below a prefix.
macro_rules! below {
    ($prefix:literal) => {
        Pointers {
            label: concat!($prefix, "/metadata/labels/app"),
            annotation: concat!($prefix, "/metadata/annotations/k8s.v1.cni.cncf.io~1networks"),
            image: concat!($prefix, "/spec/containers/0/image"),
        }
    };
}

#[rustfmt::skip]
const KINDS: &[Kind] = &[
    Kind { path: "deployments.apps", kind: "Deployment", api: "/apis/apps/v1", around: set, pointers: below!("/spec/template"), mutable: Mutable::All, user: MALLORY },
    Kind { path: "replicasets.apps", kind: "ReplicaSet", api: "/apis/apps/v1", around: set, pointers: below!("/spec/template"), mutable: Mutable::All, user: MALLORY },
    Kind { path: "statefulsets.apps", kind: "StatefulSet", api: "/apis/apps/v1", around: set, pointers: below!("/spec/template"), mutable: Mutable::All, user: MALLORY },
    Kind { path: "daemonsets.apps", kind: "DaemonSet", api: "/apis/apps/v1", around: daemons, pointers: below!("/spec/template"), mutable: Mutable::All, user: MALLORY },
    Kind { path: "jobs.batch", kind: "Job", api: "/apis/batch/v1", around: job, pointers: below!("/spec/template"), mutable: Mutable::Metadata, user: MALLORY },
    Kind { path: "cronjobs.batch", kind: "CronJob", api: "/apis/batch/v1", around: cron, pointers: below!("/spec/jobTemplate/spec/template"), mutable: Mutable::All, user: MALLORY },
    Kind { path: "replicationcontrollers", kind: "ReplicationController", api: "/api/v1", around: controller, pointers: below!("/spec/template"), mutable: Mutable::All, user: MALLORY },
    Kind { path: "podtemplates", kind: "PodTemplate", api: "/api/v1", around: bare, pointers: below!("/template"), mutable: Mutable::All, user: TESS },
];

fn set(template: Value) -> Value {
    json!({"spec": {"replicas": 0, "serviceName": "x", "selector": {"matchLabels": {"run": "set"}}, "template": template}})
}

fn daemons(mut template: Value) -> Value {
    // No node has it: the set runs nothing.
    template["spec"]["nodeSelector"] = json!({"none": "none"});
    json!({"spec": {"selector": {"matchLabels": {"run": "set"}}, "template": template}})
}

fn job(mut template: Value) -> Value {
    template["spec"]["restartPolicy"] = "Never".into();
    json!({"spec": {"suspend": true, "template": template}})
}

fn cron(mut template: Value) -> Value {
    template["spec"]["restartPolicy"] = "Never".into();
    json!({"spec": {"schedule": "0 0 29 2 *", "jobTemplate": {"spec": {"template": template}}}})
}

fn controller(template: Value) -> Value {
    json!({"spec": {"replicas": 0, "selector": {"run": "set"}, "template": template}})
}

fn bare(template: Value) -> Value {
    json!({"template": template})
}

/// A template.
fn template((key, value): (&str, &str)) -> Value {
    json!({
        "metadata": {"labels": {"run": "set", key: value}},
        "spec": {"containers": [{"name": "main", "image": "app"}]},
    })
}

impl Kind {
    fn resource(&self) -> &'static str {
        self.path.split('.').next().unwrap_or(self.path)
    }

    fn collection(&self, namespace: &str) -> String {
        format!("{}/namespaces/{namespace}/{}", self.api, self.resource())
    }

    fn object(&self, template: Value) -> Value {
        let mut object = (self.around)(template);
        let version = self.api.trim_start_matches("/apis/").trim_start_matches("/api/");
        object["apiVersion"] = version.into();
        object["kind"] = self.kind.into();
        object["metadata"] = json!({"name": "set"});
        // Only StatefulSets have it, and the API server would warn.
        if self.kind != "StatefulSet"
            && let Some(spec) = object.get_mut("spec").and_then(Value::as_object_mut)
        {
            spec.remove("serviceName");
        }
        object
    }

    fn attack(&self, name: &str) -> Attack {
        attack(format!("{}: {name}", self.kind), self.path, self.user)
    }

    /// A JSON patch of what stands at a pointer.
    fn patch(&self, pointer: &str, value: Value) -> Step {
        let path = format!("{}/set", self.collection("$TEAM"));
        request(
            "PATCH",
            &path,
            "application/json-patch+json",
            json!([{"op": "add", "path": pointer, "value": value}]),
        )
    }

    fn rows(&self) -> Vec<Attack> {
        let team = self.collection("$TEAM");
        let object = format!("{team}/set");
        let Pointers {
            label,
            annotation,
            image,
        } = self.pointers;
        let annotations = annotation.rsplit_once('/').map_or("", |(map, _)| map);
        let mut rows = vec![
            self.attack("made with a client's label")
                .does("Created with the label in its template")
                .attempt(create(&team, self.object(template(CLIENT))))
                .brings(&object, label, "client")
                .refused(CONNECT),
            self.attack("made with a member's label")
                .does("Created in a namespace of members with their label in its template")
                .attempt(create(&self.collection("$VAULT"), self.object(template(MEMBER))))
                .brings(&format!("{}/set", self.collection("$VAULT")), label, "vault")
                .refused(JOIN),
            self.attack("given the label")
                .does("The label is put into the template of one that stands")
                .given(create(&team, self.object(template(OTHER))))
                .given(self.settled())
                .attempt(self.patch(label, "client".into()))
                .brings(&object, label, "client")
                .refused(CONNECT),
            self.attack("other networks under a kept label")
                .does("An annotation of the template that attaches another network, under a label that is kept")
                .given(create(&team, self.object(template(CLIENT))))
                .given(self.settled())
                .attempt(self.patch(annotations, json!({"k8s.v1.cni.cncf.io/networks": "storage"})))
                .brings(&object, annotation, "storage")
                .refused(CONNECT),
        ];
        if self.mutable == Mutable::All {
            rows.push(
                self.attack("other code under a kept label")
                    .does("Another image in the template, under a label that is kept")
                    .given(create(&team, self.object(template(CLIENT))))
                    .attempt(self.patch(image, "evil".into()))
                    .brings(&object, image, "evil")
                    .refused(CONNECT),
            );
        }
        rows
    }

    /// A Job's template may change once its controller has said that it is suspended; others may at once.
    fn settled(&self) -> Step {
        let object = format!("{}/set", self.collection("$TEAM"));
        match self.mutable {
            Mutable::All => until(&object, "/metadata/name", "set"),
            Mutable::Metadata => until(&object, "/status/conditions/0/type", "Suspended"),
        }
    }
}

pub(super) fn rows() -> Vec<Attack> {
    KINDS.iter().flat_map(Kind::rows).chain(by_kubectl()).collect()
}

fn kind(path: &str) -> &'static Kind {
    KINDS.iter().find(|kind| kind.path == path).unwrap_or(&KINDS[0])
}

fn by_kubectl() -> Vec<Attack> {
    let deployments = "/apis/apps/v1/namespaces/$TEAM/deployments";
    let deployment = "/apis/apps/v1/namespaces/$TEAM/deployments/set";
    let label = "/spec/template/metadata/labels/app";
    let replica_sets = "/apis/apps/v1/namespaces/$TEAM/replicasets?labelSelector=app%3D";
    let revision = "/items/0/metadata/annotations/deployment.kubernetes.io~1revision";
    // Its first revision had the label, the second has not.
    let with_history = |row: Attack| {
        row.given(create(deployments, kind("deployments.apps").object(template(CLIENT))))
            .given(until(&format!("{replica_sets}client"), revision, "1"))
            .given(merge(
                deployment,
                json!({"spec": {"template": {"metadata": {"labels": {"app": "other"}}}}}),
            ))
            .given(until(&format!("{replica_sets}other"), revision, "2"))
    };
    vec![
        attack("kubectl create job --from", "jobs.batch", MALLORY)
            .does("A Job of a CronJob that somebody else was permitted to write: its labels, now, by another user")
            .given(create(
                "/apis/batch/v1/namespaces/$TEAM/cronjobs",
                kind("cronjobs.batch").object(template(CLIENT)),
            ))
            .attempt(kubectl("create job now -n $TEAM --from=cronjob/set"))
            .brings("/apis/batch/v1/namespaces/$TEAM/jobs/now", label, "client")
            .refused(CONNECT),
        attack("kubectl set image", "deployments.apps", MALLORY)
            .does("`kubectl set image` of a client's Deployment")
            .given(create(deployments, kind("deployments.apps").object(template(CLIENT))))
            .attempt(kubectl("set image deployment/set -n $TEAM main=evil"))
            .brings(deployment, "/spec/template/spec/containers/0/image", "evil")
            .refused(CONNECT),
        attack("kubectl set env", "deployments.apps", MALLORY)
            .does("Another environment under a kept label: LD_PRELOAD is code as well")
            .given(create(deployments, kind("deployments.apps").object(template(CLIENT))))
            .attempt(kubectl("set env deployment/set -n $TEAM LD_PRELOAD=/evil.so"))
            .brings(deployment, "/spec/template/spec/containers/0/env/0/name", "LD_PRELOAD")
            .refused(CONNECT),
        attack("a sidecar under a kept label", "statefulsets.apps", MALLORY)
            .does("One more container in the template, under a label that is kept")
            .given(create(
                "/apis/apps/v1/namespaces/$VAULT/statefulsets",
                kind("statefulsets.apps").object(template(MEMBER)),
            ))
            .attempt(request(
                "PATCH",
                "/apis/apps/v1/namespaces/$VAULT/statefulsets/set",
                "application/json-patch+json",
                json!([{"op": "add", "path": "/spec/template/spec/containers/-", "value": {"name": "side", "image": "evil"}}]),
            ))
            .brings(
                "/apis/apps/v1/namespaces/$VAULT/statefulsets/set",
                "/spec/template/spec/containers/1/image",
                "evil",
            )
            .refused(JOIN),
        with_history(attack("kubectl rollout undo", "deployments.apps", MALLORY))
            .does("Back to an older template, which has the label")
            .attempt(kubectl("rollout undo deployment/set -n $TEAM --to-revision=1"))
            .brings(deployment, label, "client")
            .refused(CONNECT),
        with_history(attack("the rollback annotation", "deployments.apps", MALLORY))
            .does("`deprecated.deployment.rollback.to`: the controller writes the older template under its own name")
            .attempt(kubectl("annotate deployment set -n $TEAM deprecated.deployment.rollback.to=1"))
            .brings(deployment, label, "client")
            .refused("may not be rolled back by annotation"),
        attack("a Deployment by server-side apply", "deployments.apps", MALLORY)
            .does("Server-side apply that takes a label of the template over by force")
            .given(create(deployments, kind("deployments.apps").object(template(OTHER))))
            .attempt(super::super::attack::kubectl_with(
                "apply --server-side --force-conflicts -n $TEAM -f -",
                kind("deployments.apps").object(template(CLIENT)),
            ))
            .brings(deployment, label, "client")
            .refused(CONNECT),
    ]
}
