//! What a decoded request means: its subject and its actions. One function a shape of the table of write paths.

use std::borrow::Cow;

use serde_json::value::RawValue;

use super::decode::Wire;
use super::object::{Object, Rollback, Template, display_name};
use super::paths::{Extent, Shape, WritePath};
use super::policy;
use super::status;
use super::target;
use crate::model::{Action, Controllers, Operation, Placement, PlacementKind, PodSpecText, Runs, Subject};

/// Subject and actions, or what is missing.
type Meaning<'a> = Result<(Subject<'a>, Vec<Action<'a>>), String>;

/// The subject of a request that no row judges.
pub(super) fn other<'a>(wire: &Wire<'a, '_>) -> Subject<'a> {
    let name = wire.name.0.clone();
    Subject {
        kind: "object".into(),
        namespace: wire.namespace.0.clone(),
        group_key: name.clone(),
        name,
    }
}

/// A request by a row of the table.
pub(super) fn built<'a>(wire: &mut Wire<'a, '_>, path: &'static WritePath, operation: Operation) -> Meaning<'a> {
    let kind = Cow::Borrowed(path.kind);
    if operation == Operation::Connect {
        return connection(wire, kind, path.shape);
    }
    match path.shape {
        Shape::NetworkPolicy => return policy(wire, kind, operation, Extent::Namespace),
        Shape::UnreadPolicy(extent) => return policy(wire, kind, operation, extent),
        _ => {}
    }
    let Written {
        subject,
        object,
        old,
        controllers,
    } = written(wire, kind, operation, path.shape)?;
    let actions = match path.shape {
        Shape::Namespace => vec![namespace(object, old)],
        Shape::Binding => vec![Action::Overlay(object.metadata.labels.into_labels())],
        Shape::EphemeralContainers => {
            // Entered, and written: its container may be privileged where no other of the pod is.
            let placement = pod(object, old, controllers);
            vec![Action::Debug(placement.after.clone()), Action::Place(placement)]
        }
        Shape::Pod => vec![Action::Place(pod(object, old, controllers))],
        Shape::Template(_) if path.resource == "controllerrevisions" => revision(object, &controllers),
        Shape::Template(_) if path.resource == "deployments" => deployment(object, old, &controllers),
        Shape::Template(_) => templates(object, old, &controllers),
        Shape::NetworkPolicy
        | Shape::UnreadPolicy(_)
        | Shape::PodConnection
        | Shape::PodProxy
        | Shape::ServiceProxy
        | Shape::NodeProxy => Vec::new(),
    };
    Ok((subject, actions))
}

/// A write of a custom kind.
pub(super) fn configured<'a>(wire: &mut Wire<'a, '_>, resource: &str, operation: Operation) -> Meaning<'a> {
    let kind = Cow::Owned(resource.to_owned());
    let Written {
        subject,
        object,
        old,
        controllers,
    } = written(wire, kind, operation, Shape::Template(&[]))?;
    Ok((subject, templates(object, old, &controllers)))
}

/// A write of a policy. A deletion has no object, and one of a collection no name either: both stand in the old one.
pub(super) fn policy<'a>(
    wire: &mut Wire<'a, '_>,
    kind: Cow<'a, str>,
    operation: Operation,
    extent: Extent,
) -> Meaning<'a> {
    let (object, old) = (wire.object.take(), wire.old_object.take());
    let (after, before) = match operation {
        Operation::Create => (Some(object.ok_or("object")), None),
        Operation::Delete => (None, Some(old.ok_or("oldObject"))),
        Operation::Update | Operation::Connect => (Some(object.ok_or("object")), Some(old.ok_or("oldObject"))),
    };
    let missing = |side: &str| format!("{} of {kind} without {side}", operation.as_str());
    let (after, before) = (
        after.transpose().map_err(missing)?,
        before.transpose().map_err(missing)?,
    );
    let namespace = wire.namespace.0.clone();
    if namespace.is_empty() && extent == Extent::Namespace {
        return Err(format!("{} of {kind} without a namespace", operation.as_str()));
    }
    let standing = after.as_ref().or(before.as_ref()).map(|object| &object.metadata);
    let name = standing.map_or_else(Cow::default, |metadata| display_name(wire.name.0.clone(), metadata));
    let write = policy::write(
        before.as_ref().map(|object| &object.policy),
        after.as_ref().map(|object| &object.policy),
    );
    let subject = Subject {
        kind,
        namespace,
        group_key: name.clone(),
        name,
    };
    Ok((subject, vec![Action::WritePolicy(write)]))
}

/// The objects of a write, all there.
struct Written<'a> {
    subject: Subject<'a>,
    object: Object<'a>,
    old: Option<Object<'a>>,
    controllers: Controllers<'a>,
}

fn written<'a>(
    wire: &mut Wire<'a, '_>,
    kind: Cow<'a, str>,
    operation: Operation,
    shape: Shape,
) -> Result<Written<'a>, String> {
    let mut object = wire
        .object
        .take()
        .ok_or_else(|| format!("{} of {kind} without object", operation.as_str()))?;
    let old = wire.old_object.take();
    if operation == Operation::Update && old.is_none() {
        return Err(format!("{} of {kind} without oldObject", operation.as_str()));
    }
    let name = display_name(wire.name.0.clone(), &object.metadata);
    let controllers = object.metadata.controllers();
    let group_key = match &controllers {
        Controllers::One(owner) => owner.uid.clone(),
        Controllers::None | Controllers::Several => name.clone(),
    };
    let namespace = if shape == Shape::Namespace {
        name.clone()
    } else {
        wire.namespace.0.clone()
    };
    if namespace.is_empty() {
        return Err(format!("{} of {kind} without a namespace", operation.as_str()));
    }
    Ok(Written {
        subject: Subject {
            kind,
            namespace,
            name,
            group_key,
        },
        object,
        old,
        controllers,
    })
}

fn connection<'a>(wire: &Wire<'a, '_>, kind: Cow<'a, str>, shape: Shape) -> Meaning<'a> {
    let (namespace, name) = (wire.namespace.0.clone(), wire.name.0.clone());
    if name.is_empty() {
        return Err(format!("CONNECT to a {kind} without a name"));
    }
    if namespace.is_empty() && shape != Shape::NodeProxy {
        return Err(format!("CONNECT to {kind} {name} without a namespace"));
    }
    let actions = target::of(shape, &namespace, &name)
        .map(Action::Enter)
        .into_iter()
        .collect();
    Ok((
        Subject {
            kind,
            namespace,
            group_key: name.clone(),
            name,
        },
        actions,
    ))
}

fn namespace<'a>(object: Object<'a>, old: Option<Object<'a>>) -> Action<'a> {
    let labels = object.metadata.labels.into_labels();
    match old {
        None => Action::CreateNamespace(labels),
        Some(old) => Action::RelabelNamespace {
            before: old.metadata.labels.into_labels(),
            after: labels,
        },
    }
}

fn pod<'a>(object: Object<'a>, old: Option<Object<'a>>, controllers: Controllers<'a>) -> Placement<'a> {
    let text = |object: &Object<'a>| PodSpecText(object.pod.map_or("", RawValue::get));
    let (spec, spec_before) = (text(&object), old.as_ref().map(text).unwrap_or_default());
    let runs = match &old {
        // What is no pod spec counts as changed.
        Some(old) => match (spec == spec_before, spec.images(), spec_before.images()) {
            (true, ..) => status::runs(object.status, old.status),
            (false, Ok(images), Ok(before)) if images == before => status::runs(object.status, old.status),
            _ => Runs::Changed,
        },
        None => Runs::Changed,
    };
    Placement {
        kind: PlacementKind::Pod,
        before: old.map(|old| old.metadata.labels.into_labels()),
        after: object.metadata.labels.into_labels(),
        runs,
        controllers,
        spec,
        spec_before,
    }
}

fn template<'a>(new: Template<'a>, old: Option<Template<'a>>, controllers: &Controllers<'a>) -> Placement<'a> {
    let runs = match &old {
        Some(old) if new.runs_like(old) => Runs::Unchanged,
        _ => Runs::Changed,
    };
    let (spec, spec_before) = (new.spec(), old.as_ref().map(Template::spec).unwrap_or_default());
    let labels = |template: Template<'a>| template.metadata.unwrap_or_default().labels.into_labels();
    Placement {
        kind: PlacementKind::Template,
        before: old.map(labels),
        after: labels(new),
        runs,
        controllers: controllers.clone(),
        spec,
        spec_before,
    }
}

/// The placements of an object's templates. An old object without one counts as having had no labels: all that the new one
/// matches is gained. Templates of a list are compared place by place; where the list's length changed, nothing shows which
/// was which, so each counts as new.
fn templates<'a>(object: Object<'a>, old: Option<Object<'a>>, controllers: &Controllers<'a>) -> Vec<Action<'a>> {
    let new = object.templates;
    let old: Vec<Option<Template<'a>>> = match old {
        None => new.iter().map(|_| None).collect(),
        Some(old) if old.is_list == object.is_list && old.templates.len() == new.len() => {
            old.templates.into_iter().map(Some).collect()
        }
        Some(_) => new.iter().map(|_| Some(Template::default())).collect(),
    };
    new.into_iter()
        .zip(old)
        .map(|(new, old)| Action::Place(template(new, old, controllers)))
        .collect()
}

fn deployment<'a>(object: Object<'a>, old: Option<Object<'a>>, controllers: &Controllers<'a>) -> Vec<Action<'a>> {
    let rollback = (object.metadata.rollback == Rollback::Asked).then(|| Action::RollBack {
        uid: object.metadata.uid.0.clone(),
    });
    templates(object, old, controllers)
        .into_iter()
        .chain(rollback)
        .collect()
}

/// A ControllerRevision: its template as it stands, and, where it would be merged into that of a set, that too.
fn revision<'a>(object: Object<'a>, controllers: &Controllers<'a>) -> Vec<Action<'a>> {
    let whole = matches!(object.templates.as_slice(), [template] if template.replaces());
    let mut actions = templates(object, None, controllers);
    if !whole {
        actions.push(Action::Revise);
    }
    actions
}
