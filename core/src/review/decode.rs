//! [`decode`]: the JSON of an AdmissionReview into a [`Request`], in one pass that borrows from the body and skips what no
//! rule reads. API: `admission.k8s.io/v1` (Dynamic Admission Control in the Kubernetes documentation).

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::object::{Object, ObjectSeed, display_name, once};
use super::paths::{self, WritePath};
use super::text::Text;
use crate::model::{Action, Controllers, Extra, Identity, Operation, Placement, PlacementKind, Request, Runs, Subject};

/// A body that is not an AdmissionReview that can be judged.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the AdmissionReview cannot be understood: {reason}")]
pub struct Undecodable {
    /// The request's uid, where it could be found: then the answer is an AdmissionReview, else HTTP 400.
    pub uid: Option<String>,
    /// What is wrong, with line and column where the JSON is at fault.
    pub reason: String,
}

/// Decodes a body. The request borrows from it.
pub fn decode(body: &[u8]) -> Result<Request<'_>, Undecodable> {
    let mut uid = None;
    let envelope = {
        let mut deserializer = serde_json::Deserializer::from_slice(body);
        EnvelopeSeed { uid: &mut uid }
            .deserialize(&mut deserializer)
            .and_then(|envelope| deserializer.end().map(|()| envelope))
    };
    let fail = |reason: String, uid: &Option<Cow<'_, str>>| Undecodable {
        uid: uid.as_deref().filter(|uid| !uid.is_empty()).map(str::to_owned),
        reason,
    };
    match envelope {
        Err(error) => Err(fail(error.to_string(), &uid)),
        Ok(wire) => wire
            .into_request(uid.clone().unwrap_or_default())
            .map_err(|reason| fail(reason, &uid)),
    }
}

/// The request as it stands on the wire.
#[derive(Default)]
struct Wire<'a> {
    resource: Resource<'a>,
    subresource: Text<'a>,
    name: Text<'a>,
    namespace: Text<'a>,
    operation: Option<Operation>,
    user: UserInfo<'a>,
    dry_run: bool,
    path: Option<&'static WritePath>,
    object: Option<Object<'a>>,
    old_object: Option<Object<'a>>,
}

#[derive(Debug, Default, Deserialize)]
struct Resource<'a> {
    #[serde(borrow, default)]
    group: Text<'a>,
    #[serde(borrow, default)]
    version: Text<'a>,
    #[serde(borrow, default)]
    resource: Text<'a>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct UserInfo<'a> {
    #[serde(borrow)]
    username: Text<'a>,
    #[serde(borrow)]
    uid: Text<'a>,
    #[serde(borrow)]
    groups: Option<Vec<Text<'a>>>,
    #[serde(borrow, deserialize_with = "extra")]
    extra: Extra<'a>,
}

/// `extra` is a map of lists, kept as pairs.
fn extra<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Extra<'de>, D::Error> {
    struct ExtraVisitor;
    impl<'de> Visitor<'de> for ExtraVisitor {
        type Value = Extra<'de>;

        fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
            formatter.write_str("a map of lists of strings")
        }

        fn visit_unit<E: Error>(self) -> Result<Self::Value, E> {
            Ok(Vec::new())
        }

        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
            let mut pairs = Self::Value::new();
            while let Some((key, values)) = map.next_entry::<Text<'de>, Option<Vec<Text<'de>>>>()? {
                if pairs.iter().any(|(known, _)| *known == key.0) {
                    return Err(A::Error::custom(format_args!("extra {:?} comes twice", key.0)));
                }
                pairs.push((
                    key.0,
                    values.unwrap_or_default().into_iter().map(|value| value.0).collect(),
                ));
            }
            Ok(pairs)
        }
    }
    deserializer.deserialize_any(ExtraVisitor)
}

/// The AdmissionReview around the request. The uid is handed out as soon as it is read, so that it is known even where the
/// rest is broken.
struct EnvelopeSeed<'s, 'a> {
    uid: &'s mut Option<Cow<'a, str>>,
}

impl<'de> DeserializeSeed<'de> for EnvelopeSeed<'_, 'de> {
    type Value = Wire<'de>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for EnvelopeSeed<'_, 'de> {
    type Value = Wire<'de>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an AdmissionReview")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let (mut api_version, mut kind, mut request) = (None, None, None);
        while let Some(key) = map.next_key::<Text<'de>>()? {
            match key.0.as_ref() {
                "apiVersion" => once(&mut api_version, "apiVersion", map.next_value::<Text<'de>>()?)?,
                "kind" => once(&mut kind, "kind", map.next_value::<Text<'de>>()?)?,
                "request" => {
                    let seed = RequestSeed { uid: &mut *self.uid };
                    once(&mut request, "request", map.next_value_seed(seed)?)?;
                }
                _ => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        let (api_version, kind) = (api_version.unwrap_or_default().0, kind.unwrap_or_default().0);
        if api_version != "admission.k8s.io/v1" || kind != "AdmissionReview" {
            return Err(A::Error::custom(format_args!(
                "expected admission.k8s.io/v1 AdmissionReview, got {api_version:?} {kind:?}"
            )));
        }
        let wire: Wire<'de> = request.ok_or_else(|| A::Error::missing_field("request"))?;
        if self.uid.as_deref().unwrap_or_default().is_empty() {
            return Err(A::Error::missing_field("uid"));
        }
        Ok(wire)
    }
}

struct RequestSeed<'s, 'a> {
    uid: &'s mut Option<Cow<'a, str>>,
}

impl<'de> DeserializeSeed<'de> for RequestSeed<'_, 'de> {
    type Value = Wire<'de>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_map(self)
    }
}

/// An object that came before its resource was known.
type Early<'a> = Option<&'a RawValue>;

fn decode_early<'de, E: Error>(early: Option<Early<'de>>, path: Option<&WritePath>) -> Result<Option<Object<'de>>, E> {
    match (early.flatten(), path) {
        (Some(raw), Some(path)) => ObjectSeed(path.shape)
            .deserialize(&mut serde_json::Deserializer::from_str(raw.get()))
            .map_err(E::custom),
        _ => Ok(None),
    }
}

impl<'de> Visitor<'de> for RequestSeed<'_, 'de> {
    type Value = Wire<'de>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an admission request")
    }

    /// The API server sends `resource` and `subResource` before the objects, which are then decoded as they stream by.
    /// Where they come first, they are kept and decoded at the end.
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let (mut resource, mut subresource, mut name, mut namespace) = (None, None, None, None);
        let (mut operation, mut user, mut dry_run) = (None, None, None);
        let (mut object, mut old_object) = (None, None);
        let (mut early_object, mut early_old_object) = (None, None);
        let mut objects_seen = false;
        while let Some(key) = map.next_key::<Text<'de>>()? {
            let path = resource.as_ref().map(|resource: &Resource<'de>| {
                let subresource = subresource.as_ref().map_or("", |text: &Text<'de>| text.0.as_ref());
                paths::find(&resource.group.0, &resource.resource.0, subresource)
            });
            match key.0.as_ref() {
                "uid" => once(self.uid, "uid", map.next_value::<Text<'de>>()?.0)?,
                "resource" => once(&mut resource, "resource", map.next_value()?)?,
                "subResource" if objects_seen => {
                    return Err(A::Error::custom("subResource comes after the objects"));
                }
                "subResource" => once(&mut subresource, "subResource", map.next_value()?)?,
                "name" => once(&mut name, "name", map.next_value()?)?,
                "namespace" => once(&mut namespace, "namespace", map.next_value()?)?,
                "operation" => once(&mut operation, "operation", map.next_value()?)?,
                "userInfo" => once(&mut user, "userInfo", map.next_value()?)?,
                "dryRun" => once(&mut dry_run, "dryRun", map.next_value::<Option<bool>>()?)?,
                key @ ("object" | "oldObject") => {
                    let (slot, early, name) = if key == "object" {
                        (&mut object, &mut early_object, "object")
                    } else {
                        (&mut old_object, &mut early_old_object, "oldObject")
                    };
                    match path {
                        None => once(early, name, map.next_value::<Early<'de>>()?)?,
                        Some(None) => {
                            objects_seen = true;
                            once(slot, name, map.next_value::<IgnoredAny>().map(|_| None)?)?;
                        }
                        Some(Some(path)) => {
                            objects_seen = true;
                            once(slot, name, map.next_value_seed(ObjectSeed(path.shape))?)?;
                        }
                    }
                }
                _ => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        let resource = resource.ok_or_else(|| A::Error::missing_field("resource"))?;
        let subresource = subresource.unwrap_or_default();
        let path = paths::find(&resource.group.0, &resource.resource.0, &subresource.0);
        if (object.is_some() && early_object.is_some()) || (old_object.is_some() && early_old_object.is_some()) {
            return Err(A::Error::duplicate_field("object"));
        }
        Ok(Wire {
            object: match object {
                Some(object) => object,
                None => decode_early(early_object, path)?,
            },
            old_object: match old_object {
                Some(object) => object,
                None => decode_early(early_old_object, path)?,
            },
            resource,
            subresource,
            name: name.unwrap_or_default(),
            namespace: namespace.unwrap_or_default(),
            operation: Some(operation.ok_or_else(|| A::Error::missing_field("operation"))?),
            user: user.ok_or_else(|| A::Error::missing_field("userInfo"))?,
            dry_run: dry_run.flatten().unwrap_or_default(),
            path,
        })
    }
}

impl<'a> Wire<'a> {
    fn into_request(mut self, uid: Cow<'a, str>) -> Result<Request<'a>, String> {
        let operation = self.operation.ok_or("operation is missing")?;
        if self.user.username.0.is_empty() {
            return Err("userInfo has no username".to_owned());
        }
        let (subject, action) = match self.path.filter(|path| path.operations.contains(&operation)) {
            None => (self.other_subject(), Action::Nothing),
            Some(path) => self.judged(path, operation)?,
        };
        Ok(Request {
            uid,
            identity: Identity {
                username: self.user.username.0,
                uid: self.user.uid.0,
                groups: self
                    .user
                    .groups
                    .unwrap_or_default()
                    .into_iter()
                    .map(|group| group.0)
                    .collect(),
                extra: self.user.extra,
            },
            operation,
            group: self.resource.group.0,
            version: self.resource.version.0,
            resource: self.resource.resource.0,
            subresource: self.subresource.0,
            dry_run: self.dry_run,
            subject,
            action,
        })
    }

    fn other_subject(&self) -> Subject<'a> {
        let name = self.name.0.clone();
        Subject {
            kind: "object",
            namespace: self.namespace.0.clone(),
            group_key: name.clone(),
            name,
        }
    }

    fn judged(&mut self, path: &'static WritePath, operation: Operation) -> Result<(Subject<'a>, Action<'a>), String> {
        let mut object = self
            .object
            .take()
            .ok_or_else(|| format!("{operation:?} of {} without object", path.kind))?;
        let old_object = self.old_object.take();
        if operation == Operation::Update && old_object.is_none() {
            return Err(format!("{operation:?} of {} without oldObject", path.kind));
        }
        let name = display_name(self.name.0.clone(), &object.metadata);
        let controllers = object.metadata.controllers();
        let group_key = match &controllers {
            Controllers::One(owner) => owner.uid.clone(),
            Controllers::None | Controllers::Several => name.clone(),
        };
        let namespace = if path.resource == "namespaces" {
            name.clone()
        } else {
            self.namespace.0.clone()
        };
        if namespace.is_empty() {
            return Err(format!("{operation:?} of {} without a namespace", path.kind));
        }
        let subject = Subject {
            kind: path.kind,
            namespace,
            name,
            group_key,
        };
        let action = match path.shape {
            super::Shape::Metadata => Action::CreateNamespace(object.metadata.labels.into_labels()),
            super::Shape::Pod => Action::Place(pod_placement(object, old_object, controllers)),
            super::Shape::Template(_) => match template_placement(object, old_object, controllers) {
                Some(placement) => Action::Place(placement),
                None => Action::Nothing,
            },
        };
        Ok((subject, action))
    }
}

fn pod_placement<'a>(object: Object<'a>, old: Option<Object<'a>>, controllers: Controllers<'a>) -> Placement<'a> {
    let runs = match &old {
        Some(old) if old.pod == object.pod => Runs::Unchanged,
        _ => Runs::Changed,
    };
    Placement {
        kind: PlacementKind::Pod,
        before: old.map(|old| old.metadata.labels.into_labels()),
        after: object.metadata.labels.into_labels(),
        runs,
        controllers,
    }
}

/// The placement of an object's template, none where it has none. An old object without one counts as having had no
/// labels: all that the new one matches is gained.
fn template_placement<'a>(
    object: Object<'a>,
    old: Option<Object<'a>>,
    controllers: Controllers<'a>,
) -> Option<Placement<'a>> {
    let template = object.template?;
    let labels = |template: super::object::Template<'a>| template.metadata.unwrap_or_default().labels.into_labels();
    let old = old.map(|old| old.template.unwrap_or_default());
    let runs = match &old {
        Some(old) if template.runs_like(old) => Runs::Unchanged,
        _ => Runs::Changed,
    };
    Some(Placement {
        kind: PlacementKind::Template,
        before: old.map(labels),
        after: labels(template),
        runs,
        controllers,
    })
}
