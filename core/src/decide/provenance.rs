//! Provenance: what a controller makes carries the controller's identity, so the permission was asked when the template
//! was written. Believed only on CREATE, only for exactly that controller's service account, and only after the owner was
//! read live: same uid, same namespace, and a template that matches every clause that the object matches.

use super::context::{Context, Known};
use crate::model::{
    Answer, ControllerReference, Controllers, Identity, Mode, NamespaceName, ObjectReference, Operation, Owner,
    Placement, Question,
};

/// A built-in controller: from which owner it makes what, under which name.
struct Maker {
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

/// Every built-in controller that makes pods, or templates from templates (kube-controller-manager's service accounts, as
/// `--use-service-account-credentials` names them).
const MAKERS: &[Maker] = &[
    maker(
        "pods",
        "apps",
        "ReplicaSet",
        "replicasets",
        Source::Owner("/spec/template"),
        "replicaset-controller",
    ),
    maker(
        "pods",
        "",
        "ReplicationController",
        "replicationcontrollers",
        Source::Owner("/spec/template"),
        "replication-controller",
    ),
    maker(
        "pods",
        "apps",
        "StatefulSet",
        "statefulsets",
        Source::Revision,
        "statefulset-controller",
    ),
    maker(
        "pods",
        "apps",
        "DaemonSet",
        "daemonsets",
        Source::Owner("/spec/template"),
        "daemon-set-controller",
    ),
    maker(
        "pods",
        "batch",
        "Job",
        "jobs",
        Source::Owner("/spec/template"),
        "job-controller",
    ),
    maker(
        "replicasets",
        "apps",
        "Deployment",
        "deployments",
        Source::Owner("/spec/template"),
        "deployment-controller",
    ),
    maker(
        "jobs",
        "batch",
        "CronJob",
        "cronjobs",
        Source::Owner("/spec/jobTemplate/spec/template"),
        "cronjob-controller",
    ),
];

const fn maker(
    makes: &'static str,
    group: &'static str,
    kind: &'static str,
    resource: &'static str,
    source: Source,
    account: &'static str,
) -> Maker {
    Maker {
        makes,
        group,
        kind,
        resource,
        source,
        account,
    }
}

/// The label by which a StatefulSet's pod names its ControllerRevision.
const REVISION_LABEL: &str = "controller-revision-hash";

/// Whose template an object comes from.
pub(super) enum Origin<'c> {
    /// A person's, or a controller's that nothing shows to be one: judged as its direct writer.
    Direct,
    /// A controller's, from this template.
    Controller(&'c Owner),
    /// The owner has been asked for.
    Pending,
    /// The owner could not be read.
    Failed(String),
}

/// Finds out where a placement comes from. `mode` is the strongest that hangs on it.
pub(super) fn origin<'c>(context: &Context<'c, '_>, placement: &Placement<'_>, mode: Mode) -> Origin<'c> {
    let request = context.request;
    let Controllers::One(reference) = &placement.controllers else {
        return Origin::Direct;
    };
    let maker = MAKERS.iter().find(|maker| {
        request.operation == Operation::Create
            && request.subresource.is_empty()
            && maker.makes == request.resource
            && refers_to(reference, maker)
            && is_controller(&request.identity, maker.account)
    });
    let (Some(maker), Ok(namespace)) = (maker, NamespaceName::new(&request.subject.namespace)) else {
        return Origin::Direct;
    };
    let (group, resource) = (maker.group, maker.resource);
    let owner_template = match maker.source {
        Source::Owner(pointer) => pointer,
        // The owner is read for its uid; its template may be newer than the pod's.
        Source::Revision => "/spec/template",
    };
    let owner = read(
        context,
        group,
        resource,
        owner_template,
        &namespace,
        &reference.name,
        mode,
    );
    match (&maker.source, owner) {
        (_, Known::Pending) => Origin::Pending,
        (_, Known::Failed(why)) => Origin::Failed(why),
        (_, Known::Yes(None)) => Origin::Direct,
        (_, Known::Yes(Some(owner))) if owner.uid != reference.uid => Origin::Direct,
        (Source::Owner(_), Known::Yes(Some(owner))) => Origin::Controller(owner),
        (Source::Revision, Known::Yes(Some(owner))) => revision(context, placement, &namespace, owner, mode),
    }
}

/// The ControllerRevision that a StatefulSet's pod names.
fn revision<'c>(
    context: &Context<'c, '_>,
    placement: &Placement<'_>,
    namespace: &NamespaceName,
    owner: &Owner,
    mode: Mode,
) -> Origin<'c> {
    use crate::labels::LabelSet;
    let Some(name) = placement.after.value(REVISION_LABEL) else {
        return Origin::Direct;
    };
    match read(
        context,
        "apps",
        "controllerrevisions",
        "/data/spec/template",
        namespace,
        name,
        mode,
    ) {
        Known::Pending => Origin::Pending,
        Known::Failed(why) => Origin::Failed(why),
        Known::Yes(Some(revision)) if revision.controller_uid == owner.uid => Origin::Controller(revision),
        Known::Yes(_) => Origin::Direct,
    }
}

fn read<'c>(
    context: &Context<'c, '_>,
    group: &str,
    resource: &str,
    template: &str,
    namespace: &NamespaceName,
    name: &str,
    mode: Mode,
) -> Known<Option<&'c Owner>> {
    let question = Question::Owner(ObjectReference {
        group: group.to_owned(),
        version: "v1".to_owned(),
        resource: resource.to_owned(),
        template: template.to_owned(),
        namespace: namespace.clone(),
        name: name.to_owned(),
    });
    match context.ask(question, mode) {
        None => Known::Pending,
        Some(Answer::Owner(owner)) => Known::Yes(owner.as_ref()),
        Some(Answer::Failed(why)) => Known::Failed(why.clone()),
        Some(other) => Known::Failed(format!("the read was answered with {other:?}")),
    }
}

/// Whether an ownerReference is to a maker's owner. The version may be any that the API server serves; the group may not.
fn refers_to(reference: &ControllerReference<'_>, maker: &Maker) -> bool {
    let group = reference.api_version.split_once('/').map_or("", |(group, _)| group);
    reference.kind == maker.kind && group == maker.group && !reference.name.is_empty() && !reference.uid.is_empty()
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
