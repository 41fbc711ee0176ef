//! The table of write paths itself, and how its rows are written down.

use super::{Extent, Shape, WritePath};
use crate::model::Operation;
use crate::review::conditions::Condition;
use crate::review::webhook::Webhook;

const CREATE: &[Operation] = &[Operation::Create];
const UPDATE: &[Operation] = &[Operation::Update];
const CREATE_UPDATE: &[Operation] = &[Operation::Create, Operation::Update];
const CREATE_UPDATE_DELETE: &[Operation] = &[Operation::Create, Operation::Update, Operation::Delete];

const fn template(
    group: &'static str,
    resource: &'static str,
    kind: &'static str,
    pointer: &'static [&'static str],
    condition: Condition,
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
        condition,
        webhook: Webhook::Workloads,
        doc,
    }
}

/// A path that is not an object with a template.
const fn path(
    resource: (&'static str, &'static str),
    operations: &'static [Operation],
    shape: Shape,
    kind: &'static str,
    condition: Condition,
    doc: &'static str,
) -> WritePath {
    let webhook = match shape {
        Shape::Namespace => Webhook::Namespaces,
        Shape::NetworkPolicy | Shape::UnreadPolicy(_) => Webhook::NetworkPolicies,
        _ => Webhook::Workloads,
    };
    let (resource, subresource) = resource;
    WritePath {
        group: "",
        versions: &["v1"],
        resource,
        subresource,
        operations,
        shape,
        kind,
        condition,
        webhook,
        doc,
    }
}

const fn connection(resource: &'static str, subresource: &'static str, shape: Shape, doc: &'static str) -> WritePath {
    let kind = match shape {
        Shape::ServiceProxy => "service",
        Shape::NodeProxy => "node",
        _ => "pod",
    };
    path(
        (resource, subresource),
        &[Operation::Connect],
        shape,
        kind,
        Condition::Always,
        doc,
    )
}

/// A kind of policy that ringfence does not read. Whatever version is served, it is guarded.
const fn unread(group: &'static str, resource: &'static str, kind: &'static str, extent: Extent) -> WritePath {
    let doc = match extent {
        Extent::Namespace => {
            "What it says is not read: it may open, or close, anything in its namespace. Needs `manage` on the kind there; at the \
             cluster where there may be members of a segment whose owner consents elsewhere. Its status is free."
        }
        Extent::Cluster => {
            "What it says is not read: it may open, or close, anything in any namespace. Needs `manage` on the kind at the \
             cluster. Its status is free."
        }
    };
    WritePath {
        group,
        versions: &["*"],
        ..path(
            (resource, ""),
            CREATE_UPDATE_DELETE,
            Shape::UnreadPolicy(extent),
            kind,
            Condition::UnreadPolicyChanges,
            doc,
        )
    }
}

/// Every path, one row each.
pub const WRITE_PATHS: &[WritePath] = &[
    path(
        ("pods", ""),
        CREATE_UPDATE,
        Shape::Pod,
        "pod",
        Condition::PodChanges,
        "A pod's final labels, after all mutation; a new one waits for the policies of its namespace. An update that gains a label is judged as its direct writer; a changed \
         image under a kept label counts as a change of what runs.",
    ),
    path(
        ("pods", "status"),
        UPDATE,
        Shape::Pod,
        "pod",
        Condition::StatusChanges,
        "A status update also writes labels; judged like an update of the pod. It tells the addresses and the phase by which \
         networks know a pod: of a pod that matches a clause these need the clause's verb, unless its own node tells them, or \
         the garbage collector of pods.",
    ),
    path(
        ("pods", "binding"),
        CREATE,
        Shape::Binding,
        "pod",
        Condition::BindingLabels,
        "A Binding's labels are laid over the pod's: the pod is read live and judged with both.",
    ),
    path(
        ("bindings", ""),
        CREATE,
        Shape::Binding,
        "pod",
        Condition::BindingLabels,
        "The legacy form of pods/binding; it keeps even a forged topology label.",
    ),
    path(
        ("pods", "ephemeralcontainers"),
        UPDATE,
        Shape::EphemeralContainers,
        "pod",
        Condition::Always,
        "A container that joins a running pod, with its network: needs `enter`. One that steps around policies by its node is \
         checked like that of a new pod.",
    ),
    template(
        "apps",
        "deployments",
        "Deployment",
        &["spec", "template"],
        Condition::DeploymentChanges,
        "The template's labels; its controller makes a ReplicaSet of it under its own name. The annotation that asks for a \
         rollback is refused where a revision that it may return to matches: the controller would write it.",
    ),
    template(
        "apps",
        "replicasets",
        "ReplicaSet",
        &["spec", "template"],
        Condition::TemplateChanges("spec.?template"),
        "The template's labels; its controller makes pods of it under its own name.",
    ),
    template(
        "apps",
        "statefulsets",
        "StatefulSet",
        &["spec", "template"],
        Condition::TemplateChanges("spec.template"),
        "The template's labels; its controller makes a ControllerRevision and pods of it under its own name.",
    ),
    template(
        "apps",
        "daemonsets",
        "DaemonSet",
        &["spec", "template"],
        Condition::TemplateChanges("spec.template"),
        "The template's labels; its controller makes a pod of it for every node under its own name.",
    ),
    WritePath {
        operations: CREATE,
        ..template(
            "apps",
            "controllerrevisions",
            "ControllerRevision",
            &["data", "spec", "template"],
            Condition::Always,
            "The template in its data, as it stands: a StatefulSet adopts and runs a planted one. One that is not a whole \
             template would be merged into the set's own, labels and all, so it is refused where a set matches.",
        )
    },
    template(
        "batch",
        "jobs",
        "Job",
        &["spec", "template"],
        Condition::TemplateChanges("spec.template"),
        "The template's labels, which can change while the Job is suspended.",
    ),
    template(
        "batch",
        "cronjobs",
        "CronJob",
        &["spec", "jobTemplate", "spec", "template"],
        Condition::TemplateChanges("spec.jobTemplate.spec.template"),
        "The labels of the template inside its jobTemplate; its controller makes Jobs of it under its own name.",
    ),
    template(
        "",
        "replicationcontrollers",
        "ReplicationController",
        &["spec", "template"],
        Condition::TemplateChanges("spec.?template"),
        "The template's labels; its controller makes pods of it under its own name.",
    ),
    template(
        "",
        "podtemplates",
        "PodTemplate",
        &["template"],
        Condition::TemplateChanges("?template"),
        "The template's labels. No built-in controller reads it, but others do.",
    ),
    path(
        ("namespaces", ""),
        CREATE_UPDATE,
        Shape::Namespace,
        "namespace",
        Condition::LabelChanges,
        "New: a namespace that a segment names as consent, since whoever creates it would come to hold every verb in it. \
         Relabelled: every pod in it may come to match other clauses. Both: the label that chooses its isolation profile.",
    ),
    path(
        ("namespaces", "status"),
        UPDATE,
        Shape::Namespace,
        "namespace",
        Condition::LabelChanges,
        "A status update also writes labels; judged like an update of the namespace.",
    ),
    path(
        ("namespaces", "finalize"),
        UPDATE,
        Shape::Namespace,
        "namespace",
        Condition::LabelChanges,
        "Finalizing also writes labels; judged like an update of the namespace.",
    ),
    WritePath {
        group: "networking.k8s.io",
        ..path(
            ("networkpolicies", ""),
            CREATE_UPDATE_DELETE,
            Shape::NetworkPolicy,
            "NetworkPolicy",
            Condition::PolicyChanges,
            "What keeps pods apart. Those that could select members of a segment need `manage` on it. Those that ringfence puts \
             into every namespace, and all names that begin like theirs, need `manage` on the namespace's isolation profile, \
             at the cluster. A deletecollection comes as one deletion a policy; what the namespace controller deletes with \
             the namespace never comes.",
        )
    },
    unread(
        "cilium.io",
        "ciliumnetworkpolicies",
        "CiliumNetworkPolicy",
        Extent::Namespace,
    ),
    unread(
        "cilium.io",
        "ciliumclusterwidenetworkpolicies",
        "CiliumClusterwideNetworkPolicy",
        Extent::Cluster,
    ),
    unread(
        "projectcalico.org",
        "networkpolicies",
        "NetworkPolicy",
        Extent::Namespace,
    ),
    unread(
        "projectcalico.org",
        "globalnetworkpolicies",
        "GlobalNetworkPolicy",
        Extent::Cluster,
    ),
    unread(
        "crd.projectcalico.org",
        "networkpolicies",
        "NetworkPolicy",
        Extent::Namespace,
    ),
    unread(
        "crd.projectcalico.org",
        "globalnetworkpolicies",
        "GlobalNetworkPolicy",
        Extent::Cluster,
    ),
    unread("crd.antrea.io", "networkpolicies", "NetworkPolicy", Extent::Namespace),
    unread(
        "crd.antrea.io",
        "clusternetworkpolicies",
        "ClusterNetworkPolicy",
        Extent::Cluster,
    ),
    unread(
        "policy.networking.k8s.io",
        "adminnetworkpolicies",
        "AdminNetworkPolicy",
        Extent::Cluster,
    ),
    unread(
        "policy.networking.k8s.io",
        "baselineadminnetworkpolicies",
        "BaselineAdminNetworkPolicy",
        Extent::Cluster,
    ),
    unread(
        "policy.networking.k8s.io",
        "clusternetworkpolicies",
        "ClusterNetworkPolicy",
        Extent::Cluster,
    ),
    connection(
        "pods",
        "exec",
        Shape::PodConnection,
        "A command in a running container: needs `enter`.",
    ),
    connection(
        "pods",
        "attach",
        Shape::PodConnection,
        "The terminal of a running container: needs `enter`.",
    ),
    connection(
        "pods",
        "portforward",
        Shape::PodConnection,
        "Any port of the pod, past every policy: needs `enter`.",
    ),
    connection(
        "pods",
        "proxy",
        Shape::PodProxy,
        "The API server dials the addresses in the pod's status, which may be another pod's: needs `enter` for whatever has \
         them.",
    ),
    connection(
        "services",
        "proxy",
        Shape::ServiceProxy,
        "The API server dials the addresses in the service's EndpointSlices: needs `enter` for whatever has them.",
    ),
    connection(
        "nodes",
        "proxy",
        Shape::NodeProxy,
        "The kubelet runs commands in every pod of its node: needs `enter` for each.",
    ),
];
