//! Provenance: what a controller makes carries the controller's identity, so the permission was asked when the template
//! was written. Believed only on CREATE, only for exactly that controller's user, and only after the owner was read live:
//! same uid, same namespace, and a template that matches every clause that the object matches.

use super::context::{Context, Known};
use super::unjudged::{Lineage, written};
use crate::guardrails::Workload;
use crate::labels::{LabelSet, Selector};
use crate::model::{
    ControllerReference, Controllers, Identity, Mode, NamespaceName, ObjectReference, Operation, OwnedTemplate, Owner,
    Placement, PodSpecText,
};

/// A built-in controller: from which owner it makes what, under which name.
struct BuiltIn {
    /// Plural resource of what it makes.
    makes: &'static str,
    /// API group of the owner.
    group: &'static str,
    /// Kind of the owner.
    kind: &'static str,
    /// Plural resource of the owner.
    resource: &'static str,
    /// Where what it makes takes its template from.
    source: Source,
    /// Its service account in kube-system.
    account: &'static str,
}

/// Where the template of what is made stands.
enum Source {
    /// In the owner, at this JSON pointer.
    Owner(&'static str),
    /// In the ControllerRevision that the pod names by its label, whose controller is the owner.
    Revision,
}

const TEMPLATE_POINTER: &str = "/spec/template";
const TEMPLATE: Source = Source::Owner(TEMPLATE_POINTER);
const JOB_TEMPLATE: Source = Source::Owner("/spec/jobTemplate/spec/template");

/// Every built-in controller that makes pods, or templates from templates (kube-controller-manager's service accounts, as
/// `--use-service-account-credentials` names them).
#[rustfmt::skip]
const MAKERS: &[BuiltIn] = &[
    BuiltIn { makes: "pods", group: "apps", kind: "ReplicaSet", resource: "replicasets", source: TEMPLATE, account: "replicaset-controller" },
    BuiltIn { makes: "pods", group: "", kind: "ReplicationController", resource: "replicationcontrollers", source: TEMPLATE, account: "replication-controller" },
    BuiltIn { makes: "pods", group: "apps", kind: "StatefulSet", resource: "statefulsets", source: Source::Revision, account: "statefulset-controller" },
    BuiltIn { makes: "pods", group: "apps", kind: "DaemonSet", resource: "daemonsets", source: TEMPLATE, account: "daemon-set-controller" },
    BuiltIn { makes: "pods", group: "batch", kind: "Job", resource: "jobs", source: TEMPLATE, account: "job-controller" },
    BuiltIn { makes: "replicasets", group: "apps", kind: "Deployment", resource: "deployments", source: TEMPLATE, account: "deployment-controller" },
    BuiltIn { makes: "jobs", group: "batch", kind: "CronJob", resource: "cronjobs", source: JOB_TEMPLATE, account: "cronjob-controller" },
    BuiltIn { makes: "controllerrevisions", group: "apps", kind: "StatefulSet", resource: "statefulsets", source: TEMPLATE, account: "statefulset-controller" },
    BuiltIn { makes: "controllerrevisions", group: "apps", kind: "DaemonSet", resource: "daemonsets", source: TEMPLATE, account: "daemon-set-controller" },
];

/// The resource of which a StatefulSet's pods are made.
const REVISIONS: &str = "controllerrevisions";

/// The controllers that write ControllerRevisions.
const REVISERS: &[&str] = &["statefulset-controller", "daemon-set-controller"];

/// The controller that ends pods whose node is gone, by their status.
const POD_COLLECTOR: &str = "pod-garbage-collector";

/// The label by which a StatefulSet's pod names its ControllerRevision.
const REVISION_LABEL: &str = "controller-revision-hash";

/// Whose template an object comes from.
pub(super) enum Origin<'c> {
    /// A person's, or a controller's that nothing shows to be one: judged as its direct writer.
    Direct,
    /// Of the node that it is on, which runs it already: a mirror pod.
    Node,
    /// A controller's, from one of these templates, which the lineage tells the time of.
    Controller(Vec<&'c OwnedTemplate>, Lineage<'c>),
    /// The owner has been asked for.
    Pending,
    /// The owner could not be read.
    Failed(String),
}

impl Origin<'_> {
    /// Whether a template of the owner matches all of these podSelectors, in the namespace that it shares with the object.
    pub(super) fn matches_all(&self, selectors: &[&Selector]) -> bool {
        matches!(self, Self::Controller(templates, _)
            if templates.iter().any(|template| selectors.iter().all(|selector| selector.matches(&template.labels))))
    }
}

/// Finds out where a placement comes from. `mode` is the strongest that hangs on it.
pub(super) fn origin<'c>(context: &Context<'c, '_>, placement: &Placement<'_>, mode: Mode) -> Origin<'c> {
    let request = context.request;
    if request.operation != Operation::Create || !request.subresource.is_empty() {
        return Origin::Direct;
    }
    if request.resource == "pods" && is_node_of(&request.identity, placement.spec) {
        return Origin::Node;
    }
    let (Controllers::One(reference), Ok(namespace)) =
        (&placement.controllers, NamespaceName::new(&request.subject.namespace))
    else {
        return Origin::Direct;
    };
    let maker = MAKERS.iter().find(|maker| {
        maker.makes == request.resource
            && refers_to(reference, maker)
            && is_controller(&request.identity, maker.account)
    });
    match maker {
        Some(maker) => built_in(context, placement, maker, reference, &namespace, mode),
        None => custom(context, placement, reference, &namespace, mode),
    }
}

/// What a question about an owner comes to, once its uid is the one that the reference names.
fn owner<'c>(
    context: &Context<'c, '_>,
    object: ObjectReference,
    reference: &ControllerReference<'_>,
    mode: Mode,
) -> Result<&'c Owner, Origin<'c>> {
    match context.owner(object, mode) {
        Known::Pending => Err(Origin::Pending),
        Known::Failed(why) => Err(Origin::Failed(why)),
        Known::Yes(Some(owner)) if owner.uid == reference.uid => Ok(owner),
        Known::Yes(_) => Err(Origin::Direct),
    }
}

fn built_in<'c>(
    context: &Context<'c, '_>,
    placement: &Placement<'_>,
    maker: &BuiltIn,
    reference: &ControllerReference<'_>,
    namespace: &NamespaceName,
    mode: Mode,
) -> Origin<'c> {
    let object = |resource: &str, pointer: &str, name: &str| ObjectReference {
        group: maker.group.to_owned(),
        version: "v1".to_owned(),
        resource: resource.to_owned(),
        template: pointer.to_owned(),
        namespace: namespace.clone(),
        name: name.to_owned(),
    };
    let pointer = match maker.source {
        Source::Owner(pointer) => pointer,
        // The set's own template may be newer than the pod's.
        Source::Revision => TEMPLATE_POINTER,
    };
    let owner = match owner(
        context,
        object(maker.resource, pointer, &reference.name),
        reference,
        mode,
    ) {
        Ok(owner) => owner,
        Err(origin) => return origin,
    };
    if let Source::Owner(_) = maker.source {
        let lineage = Lineage {
            written: vec![written(maker.resource, owner)],
            last: (maker.resource, owner),
        };
        return Origin::Controller(owner.templates.iter().collect(), lineage);
    }
    let Some(name) = placement.after.value(REVISION_LABEL) else {
        return Origin::Direct;
    };
    match context.owner(object(REVISIONS, "/data/spec/template", name), mode) {
        Known::Pending => Origin::Pending,
        Known::Failed(why) => Origin::Failed(why),
        Known::Yes(Some(revision)) if revision.controller_uid() == owner.uid => {
            let lineage = Lineage {
                written: vec![written(REVISIONS, revision), written(maker.resource, owner)],
                last: (maker.resource, owner),
            };
            Origin::Controller(revision.templates.iter().collect(), lineage)
        }
        Known::Yes(_) => Origin::Direct,
    }
}

/// What a custom kind's controller makes. Nobody vouches for such a controller as for a built-in one, so the images of the
/// containers that the template names must be the template's too.
fn custom<'c>(
    context: &Context<'c, '_>,
    placement: &Placement<'_>,
    reference: &ControllerReference<'_>,
    namespace: &NamespaceName,
    mode: Mode,
) -> Origin<'c> {
    let user = context.request.identity.username.as_ref();
    let group = group_of(reference);
    let of_kind = |workload: &&Workload| {
        workload.group == group && workload.controllers.iter().any(|controller| controller == user)
    };
    let mut outcome = Origin::Direct;
    for workload in context.snapshot.guardrails.workloads.iter().filter(of_kind) {
        let object = ObjectReference {
            group: workload.group.clone(),
            version: workload.version.clone(),
            resource: workload.resource.clone(),
            template: workload.pointer(),
            namespace: namespace.clone(),
            name: reference.name.clone().into_owned(),
        };
        match owner(context, object, reference, mode) {
            Ok(owner) => {
                let same = owner
                    .templates
                    .iter()
                    .filter(|template| runs_images_of(placement, template))
                    .collect();
                let lineage = Lineage {
                    written: vec![written(&workload.resource, owner)],
                    last: (&workload.resource, owner),
                };
                return Origin::Controller(same, lineage);
            }
            Err(Origin::Direct) => {}
            Err(open) => outcome = open,
        }
    }
    outcome
}

/// Something whose template an object may have been made from.
pub(super) struct Maker<'c> {
    /// Its plural resource.
    pub(super) resource: &'c str,
    /// It.
    pub(super) object: ObjectReference,
}

/// What an object of this resource, with this controller, may have been made from: one for a built-in kind; for custom ones
/// every kind of that group, since an ownerReference names no resource.
pub(super) fn makers<'c>(
    context: &Context<'c, '_>,
    makes: &str,
    reference: &ControllerReference<'_>,
    namespace: &NamespaceName,
) -> Vec<Maker<'c>> {
    let of = |group: &str, version: &str, resource: &str, template: String| ObjectReference {
        group: group.to_owned(),
        version: version.to_owned(),
        resource: resource.to_owned(),
        template,
        namespace: namespace.clone(),
        name: reference.name.clone().into_owned(),
    };
    let built_in = MAKERS
        .iter()
        .find(|maker| maker.makes == makes && refers_to(reference, maker));
    if let Some(maker) = built_in {
        let pointer = match maker.source {
            Source::Owner(pointer) => pointer,
            Source::Revision => TEMPLATE_POINTER,
        };
        return vec![Maker {
            resource: maker.resource,
            object: of(maker.group, "v1", maker.resource, pointer.to_owned()),
        }];
    }
    let workloads = context.snapshot.guardrails.workloads.iter();
    let of_group = workloads.filter(|workload| workload.group == group_of(reference));
    of_group
        .map(|workload| Maker {
            resource: &workload.resource,
            object: of(
                &workload.group,
                &workload.version,
                &workload.resource,
                workload.pointer(),
            ),
        })
        .collect()
}

/// Whether every container that the template names runs the template's image.
fn runs_images_of(placement: &Placement<'_>, template: &OwnedTemplate) -> bool {
    let Ok(images) = placement.spec.images() else {
        return false;
    };
    template.images.iter().all(|(container, image)| {
        let mut same_name = images.iter().filter(|(name, _)| name == container);
        same_name.all(|(_, runs)| runs == image)
    })
}

fn group_of<'a>(reference: &'a ControllerReference<'_>) -> &'a str {
    reference.api_version.split_once('/').map_or("", |(group, _)| group)
}

/// Whether an ownerReference is to a maker's owner. The version may be any that the API server serves; the group may not.
fn refers_to(reference: &ControllerReference<'_>, maker: &BuiltIn) -> bool {
    reference.kind == maker.kind
        && group_of(reference) == maker.group
        && !reference.name.is_empty()
        && !reference.uid.is_empty()
}

/// Whether this is a controller that writes ControllerRevisions.
pub(super) fn is_reviser(identity: &Identity<'_>) -> bool {
    REVISERS.iter().any(|account| is_controller(identity, account))
}

/// Whether this is the node that a pod is on.
fn is_node_of(identity: &Identity<'_>, pod: PodSpecText<'_>) -> bool {
    let node = identity.username.strip_prefix("system:node:");
    node.is_some_and(|node| !node.is_empty() && pod.node().is_ok_and(|on| on == node))
}

/// Whether this is whoever tells how a pod is: its node, or what tidies up after pods whose node is gone.
pub(super) fn tells_status_of(identity: &Identity<'_>, pod: PodSpecText<'_>) -> bool {
    is_node_of(identity, pod) || is_controller(identity, POD_COLLECTOR)
}

/// Whether this is exactly that controller. Its service account always carries a uid when the controller itself uses it;
/// one borrowed by impersonation does not. A kube-controller-manager that runs all controllers as one user is known by name.
fn is_controller(identity: &Identity<'_>, account: &str) -> bool {
    if identity.username == "system:kube-controller-manager" {
        return true;
    }
    !identity.uid.is_empty()
        && identity
            .service_account()
            .is_some_and(|user| user.namespace == "kube-system" && user.name == account)
}
