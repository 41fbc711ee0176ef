//! What is sent to every kind with a template: the object that its requests begin from, and the changes that must, and must
//! not, reach ringfence.

use serde_json::{Value, json};

use super::cases::{Case, LARGE, No, Yes, merged, metadata, patch, url};

/// A template that nothing comes of.
pub(super) fn template() -> Value {
    json!({
        "metadata": {"labels": {"run": "still"}, "annotations": {"kept": "as-it-is"}},
        "spec": {
            "initContainers": [{"name": "first", "image": "init:1"}],
            "containers": [{"name": "main", "image": "app:1"}],
            // Nothing comes of them, should they become real.
            "nodeSelector": {"nowhere": "true"},
        },
    })
}

/// The same for a Job.
fn job_template() -> Value {
    let mut template = template();
    template["spec"]["restartPolicy"] = "Never".into();
    template
}

/// A kind with a template: the counted name, its API, resource, object, the path to its template, and changes of its spec
/// that leave the template alone.
pub(super) struct Kind {
    pub(super) path: &'static str,
    pub(super) api: &'static str,
    pub(super) resource: &'static str,
    pub(super) object: Value,
    pub(super) template: &'static [&'static str],
    harmless: Vec<Value>,
    /// Of changes to a template, those that the API server takes.
    changes: Changes,
}

#[derive(PartialEq)]
enum Changes {
    All,
    /// A Job's template is immutable but for its labels and annotations, while suspended.
    Metadata,
}

pub(super) fn kinds() -> Vec<Kind> {
    let selector = json!({"matchLabels": {"run": "still"}});
    let apps = |path, resource, kind: &str, spec: Value, harmless| Kind {
        path,
        api: "apps/v1",
        resource,
        object: json!({"apiVersion": "apps/v1", "kind": kind, "spec": merged(json!({"selector": selector, "template": template()}), &spec)}),
        template: &["spec", "template"],
        harmless,
        changes: Changes::All,
    };
    let scaled = || vec![json!({"spec": {"replicas": 0, "minReadySeconds": 3}})];
    vec![
        apps(
            "UPDATE deployments",
            "deployments",
            "Deployment",
            json!({"replicas": 0}),
            vec![
                json!({"spec": {"replicas": 3}}),
                json!({"spec": {"paused": true}}),
                json!({"spec": {"strategy": {"type": "Recreate", "rollingUpdate": null}}}),
                json!({"spec": {"progressDeadlineSeconds": 30}}),
            ],
        ),
        apps(
            "UPDATE replicasets",
            "replicasets",
            "ReplicaSet",
            json!({"replicas": 0}),
            scaled(),
        ),
        apps(
            "UPDATE statefulsets",
            "statefulsets",
            "StatefulSet",
            json!({"replicas": 0, "serviceName": "still"}),
            vec![
                json!({"spec": {"replicas": 3}}),
                json!({"spec": {"updateStrategy": {"rollingUpdate": {"partition": 2}}}}),
                json!({"spec": {"ordinals": {"start": 3}}}),
            ],
        ),
        apps(
            "UPDATE daemonsets",
            "daemonsets",
            "DaemonSet",
            json!({}),
            vec![json!({"spec": {"minReadySeconds": 3}})],
        ),
        Kind {
            path: "UPDATE jobs",
            api: "batch/v1",
            resource: "jobs",
            object: json!({"apiVersion": "batch/v1", "kind": "Job", "spec": {"suspend": true, "template": job_template()}}),
            template: &["spec", "template"],
            harmless: vec![
                json!({"spec": {"suspend": false}}),
                json!({"spec": {"parallelism": 3, "ttlSecondsAfterFinished": 9, "activeDeadlineSeconds": 99}}),
            ],
            changes: Changes::Metadata,
        },
        Kind {
            path: "UPDATE cronjobs",
            api: "batch/v1",
            resource: "cronjobs",
            object: json!({"apiVersion": "batch/v1", "kind": "CronJob", "spec": {
                "suspend": true, "schedule": "0 0 1 1 *", "jobTemplate": {"spec": {"template": job_template()}}}}),
            template: &["spec", "jobTemplate", "spec", "template"],
            harmless: vec![
                json!({"spec": {"suspend": false, "schedule": "1 * * * *", "successfulJobsHistoryLimit": 1}}),
                json!({"spec": {"jobTemplate": {"metadata": {"labels": {"of": "the-job"}}, "spec": {"backoffLimit": 1}}}}),
            ],
            changes: Changes::All,
        },
        Kind {
            path: "UPDATE replicationcontrollers",
            api: "v1",
            resource: "replicationcontrollers",
            object: json!({"apiVersion": "v1", "kind": "ReplicationController", "spec": {
                "replicas": 0, "selector": {"run": "still"}, "template": template()}}),
            template: &["spec", "template"],
            harmless: scaled(),
            changes: Changes::All,
        },
        Kind {
            path: "UPDATE podtemplates",
            api: "v1",
            resource: "podtemplates",
            object: json!({"apiVersion": "v1", "kind": "PodTemplate", "template": template()}),
            template: &["template"],
            harmless: Vec::new(),
            changes: Changes::All,
        },
    ]
}

/// A value below these keys.
pub(super) fn below(keys: &[&str], value: Value) -> Value {
    keys.iter().rev().fold(value, |value, key| json!({*key: value}))
}

pub(super) fn cases_of_kind(kind: &Kind) -> Vec<Case> {
    let Kind {
        path,
        api,
        resource,
        object: _,
        template,
        harmless,
        changes,
    } = kind;
    let at = url(api, resource, "still");
    let at_template = |value: Value| below(template, value);
    let own_labels = json!({"metadata": {"labels": {"own": "label"}}});
    let restarted = at_template(json!({"metadata": {"annotations": {"kubectl.kubernetes.io/restartedAt": "now"}}}));
    let mut cases: Vec<Case> = metadata()
        .into_iter()
        .chain([own_labels, restarted])
        .chain(harmless.iter().cloned())
        .map(|body| patch(path, &at, body, No))
        .collect();
    let annotate = |annotations: Value| at_template(json!({"metadata": {"annotations": annotations}}));
    let mut matter = vec![
        at_template(json!({"metadata": {"labels": {"app": "hollowapp"}}})),
        annotate(json!({"k8s.v1.cni.cncf.io/networks": "other"})),
        annotate(json!({"kept": "changed"})),
        annotate(json!({"kept": null})),
        annotate(Value::Null),
    ];
    if *changes == Changes::All {
        let containers = json!([{"name": "main", "image": "app:2"}]);
        let large = json!([{"name": "main", "image": "app:1", "env": [{"name": "LARGE", "value": "x".repeat(LARGE)}]}]);
        matter.extend([
            at_template(json!({"spec": {"containers": containers}})),
            at_template(json!({"spec": {"initContainers": null}})),
            at_template(json!({"spec": {"containers": large}})),
            at_template(json!({"spec": {"serviceAccountName": "other"}})),
        ]);
    }
    cases.extend(matter.into_iter().map(|body| patch(path, &at, body, Yes)));
    if *resource == "deployments" {
        let rollback = json!({"metadata": {"annotations": {"deprecated.deployment.rollback.to": "1"}}});
        cases.push(patch(path, &at, rollback, Yes));
    }
    cases
}
