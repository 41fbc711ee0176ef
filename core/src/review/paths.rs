//! [`WRITE_PATHS`]: every path by which a label, or code under a label, reaches a pod. One row a path: the webhook rules,
//! their matchConditions, the decoding and the documentation all come from it.

use super::Shape;
use super::webhook::Webhook;
use crate::model::Operation;

/// One write path.
#[derive(Debug)]
pub struct WritePath {
    /// API group, empty for the core group.
    pub group: &'static str,
    /// Served API versions that carry it; matchPolicy Equivalent converts the others.
    pub versions: &'static [&'static str],
    /// Plural resource.
    pub resource: &'static str,
    /// Subresource, empty for the object itself.
    pub subresource: &'static str,
    /// Which operations.
    pub operations: &'static [Operation],
    /// What of the object is read.
    pub shape: Shape,
    /// The kind as messages name it.
    pub kind: &'static str,
    /// Which requests of it reach us.
    pub condition: Condition,
    /// The webhook that fails closed for it; [`Webhook::Open`] has every path.
    pub webhook: Webhook,
    /// What the API server does, and how ringfence answers.
    pub doc: &'static str,
}

/// Which requests of a path reach us: what cannot change a placement passes by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Condition {
    /// All.
    Always,
    /// A pod whose labels or images change.
    PodChanges,
    /// An object whose template at this CEL path changes in labels, annotations that matter, or spec.
    TemplateChanges(&'static str),
}

impl WritePath {
    /// `pods`, `pods/status`: as webhook rules spell it.
    pub fn rule_resource(&self) -> String {
        if self.subresource.is_empty() {
            self.resource.to_owned()
        } else {
            format!("{}/{}", self.resource, self.subresource)
        }
    }

    /// The matchCondition as a CEL expression over `request`, `object` and `oldObject`, none where all requests match.
    /// It holds only for this path: where a webhook has several, guard it by the resource.
    pub fn match_condition(&self) -> Option<String> {
        match self.condition {
            Condition::Always => None,
            Condition::PodChanges => {
                let images = |object: &str, field: &str| {
                    format!("{object}.spec.?{field}.orValue([]).map(c, c.?image.orValue(\"\"))")
                };
                Some(format!(
                    "request.operation != \"UPDATE\" || object.metadata.?labels.orValue({{}}) != \
                     oldObject.metadata.?labels.orValue({{}}) || {} != {} || {} != {}",
                    images("object", "containers"),
                    images("oldObject", "containers"),
                    images("object", "initContainers"),
                    images("oldObject", "initContainers"),
                ))
            }
            Condition::TemplateChanges(path) => {
                let metadata = |object: &str, field: &str| format!("{object}.{path}.?metadata.?{field}.orValue({{}})");
                let harmless = super::object::HARMLESS_TEMPLATE_ANNOTATIONS
                    .iter()
                    .map(|key| format!("\"{key}\""))
                    .collect::<Vec<_>>()
                    .join(", ");
                let gone_or_changed = |one: &str, other: &str| {
                    format!(
                        "{}.exists(k, !(k in [{harmless}]) && {}[?k] != {}[?k])",
                        metadata(one, "annotations"),
                        metadata(one, "annotations"),
                        metadata(other, "annotations"),
                    )
                };
                Some(format!(
                    "request.operation != \"UPDATE\" || {} != {} || object.{path}.?spec != oldObject.{path}.?spec || {} || \
                     {}",
                    metadata("object", "labels"),
                    metadata("oldObject", "labels"),
                    gone_or_changed("object", "oldObject"),
                    gone_or_changed("oldObject", "object"),
                ))
            }
        }
    }
}

const CREATE_UPDATE: &[Operation] = &[Operation::Create, Operation::Update];

const fn template(
    group: &'static str,
    resource: &'static str,
    kind: &'static str,
    pointer: &'static [&'static str],
    cel: &'static str,
    doc: &'static str,
) -> WritePath {
    WritePath {
        group,
        versions: &["v1"],
        resource,
        subresource: "",
        operations: CREATE_UPDATE,
        shape: Shape::Template(pointer),
        kind,
        condition: Condition::TemplateChanges(cel),
        webhook: Webhook::Workloads,
        doc,
    }
}

/// Every path, one row each.
pub const WRITE_PATHS: &[WritePath] = &[
    WritePath {
        group: "",
        versions: &["v1"],
        resource: "pods",
        subresource: "",
        operations: CREATE_UPDATE,
        shape: Shape::Pod,
        kind: "pod",
        condition: Condition::PodChanges,
        webhook: Webhook::Workloads,
        doc: "A pod's final labels, after all mutation. An update that gains a label is judged as its direct writer; a \
              changed image under a kept label counts as a change of what runs.",
    },
    WritePath {
        group: "",
        versions: &["v1"],
        resource: "pods",
        subresource: "status",
        operations: &[Operation::Update],
        shape: Shape::Pod,
        kind: "pod",
        condition: Condition::PodChanges,
        webhook: Webhook::Workloads,
        doc: "A status update also writes labels; judged like an update of the pod.",
    },
    template(
        "apps",
        "deployments",
        "Deployment",
        &["spec", "template"],
        "spec.template",
        "The template's labels; its controller makes a ReplicaSet of it under its own name.",
    ),
    template(
        "apps",
        "replicasets",
        "ReplicaSet",
        &["spec", "template"],
        "spec.template",
        "The template's labels; its controller makes pods of it under its own name.",
    ),
    template(
        "apps",
        "statefulsets",
        "StatefulSet",
        &["spec", "template"],
        "spec.template",
        "The template's labels; its controller makes a ControllerRevision and pods of it under its own name.",
    ),
    template(
        "apps",
        "daemonsets",
        "DaemonSet",
        &["spec", "template"],
        "spec.template",
        "The template's labels; its controller makes a pod of it for every node under its own name.",
    ),
    template(
        "batch",
        "jobs",
        "Job",
        &["spec", "template"],
        "spec.template",
        "The template's labels, which can change while the Job is suspended.",
    ),
    template(
        "batch",
        "cronjobs",
        "CronJob",
        &["spec", "jobTemplate", "spec", "template"],
        "spec.jobTemplate.spec.template",
        "The labels of the template inside its jobTemplate; its controller makes Jobs of it under its own name.",
    ),
    template(
        "",
        "replicationcontrollers",
        "ReplicationController",
        &["spec", "template"],
        "spec.?template",
        "The template's labels; its controller makes pods of it under its own name.",
    ),
    WritePath {
        group: "",
        versions: &["v1"],
        resource: "namespaces",
        subresource: "",
        operations: &[Operation::Create],
        shape: Shape::Metadata,
        kind: "namespace",
        condition: Condition::Always,
        webhook: Webhook::Namespaces,
        doc: "A namespace that a segment names as consent: whoever creates it would come to hold every verb in it.",
    },
];

/// The row of a request, none where nothing of it is judged.
pub(super) fn find(group: &str, resource: &str, subresource: &str) -> Option<&'static WritePath> {
    WRITE_PATHS
        .iter()
        .find(|path| path.group == group && path.resource == resource && path.subresource == subresource)
}
