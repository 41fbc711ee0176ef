//! [`decode`]: the JSON of an AdmissionReview into a [`Request`], in one pass that borrows from the body and skips what no
//! rule reads. API: `admission.k8s.io/v1` (Dynamic Admission Control in the Kubernetes documentation).

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::means;
use super::object::{Content, Object, ObjectSeed, Pointer, once};
use super::paths::{self, About, Extent, Known, Shape};
use super::text::Text;
use crate::guardrails::{Guardrails, PolicyKind, Workload};
use crate::model::{Extra, Identity, Operation, Request};

/// A body that is not an AdmissionReview that can be judged.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the AdmissionReview cannot be understood: {reason}")]
pub struct Undecodable {
    /// The request's uid, where it could be found: then the answer is an AdmissionReview, else HTTP 400.
    pub uid: Option<String>,
    /// What is wrong, with line and column where the JSON is at fault.
    pub reason: String,
}

/// The kinds that are judged beside those of the table of write paths, by the configuration in force.
#[derive(Debug, Clone, Copy, Default)]
pub struct CustomKinds<'p> {
    /// Those that make pods.
    pub workloads: &'p [Workload],
    /// Policies that profiles bring and that ringfence does not read.
    pub policies: &'p [PolicyKind],
}

impl<'p> From<&'p Guardrails> for CustomKinds<'p> {
    fn from(guardrails: &'p Guardrails) -> Self {
        Self {
            workloads: &guardrails.workloads,
            policies: &guardrails.policy_kinds,
        }
    }
}

/// Decodes a body; `custom` are the kinds of the configuration. The request borrows from the body.
pub fn decode<'a>(body: &'a [u8], custom: CustomKinds<'_>) -> Result<Request<'a>, Undecodable> {
    let mut uid = None;
    // Checked once, and not text by text. What is not UTF-8 is an error only where a rule reads it.
    let envelope = match std::str::from_utf8(body) {
        Ok(text) => read(serde_json::Deserializer::from_str(text), &mut uid, custom),
        Err(_) => read(serde_json::Deserializer::from_slice(body), &mut uid, custom),
    };
    let fail = |reason: String, uid: &Option<Cow<'_, str>>| Undecodable {
        uid: uid.as_deref().filter(|uid| !uid.is_empty()).map(str::to_owned),
        reason,
    };
    match envelope {
        Err(error) => Err(fail(error.to_string(), &uid)),
        Ok(wire) => into_request(wire, uid.clone().unwrap_or_default()).map_err(|reason| fail(reason, &uid)),
    }
}

fn read<'a, 'p, R: serde_json::de::Read<'a>>(
    mut deserializer: serde_json::Deserializer<R>,
    uid: &mut Option<Cow<'a, str>>,
    custom: CustomKinds<'p>,
) -> serde_json::Result<Wire<'a, 'p>> {
    let envelope = EnvelopeSeed { uid, custom }.deserialize(&mut deserializer)?;
    deserializer.end()?;
    Ok(envelope)
}

/// The request as it stands on the wire.
#[derive(Default)]
pub(super) struct Wire<'a, 'p> {
    resource: Resource<'a>,
    subresource: Text<'a>,
    pub(super) name: Text<'a>,
    pub(super) namespace: Text<'a>,
    operation: Option<Operation>,
    user: UserInfo<'a>,
    dry_run: bool,
    path: Option<Known<'p>>,
    pub(super) object: Option<Object<'a>>,
    pub(super) old_object: Option<Object<'a>>,
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

/// The kind of the object.
#[derive(Debug, Default, Deserialize)]
struct Kind<'a> {
    #[serde(borrow, default)]
    kind: Text<'a>,
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
struct EnvelopeSeed<'s, 'a, 'p> {
    uid: &'s mut Option<Cow<'a, str>>,
    custom: CustomKinds<'p>,
}

impl<'de, 'p> DeserializeSeed<'de> for EnvelopeSeed<'_, 'de, 'p> {
    type Value = Wire<'de, 'p>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de, 'p> Visitor<'de> for EnvelopeSeed<'_, 'de, 'p> {
    type Value = Wire<'de, 'p>;

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
                    let seed = RequestSeed {
                        uid: &mut *self.uid,
                        custom: self.custom,
                    };
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
        let wire: Wire<'de, 'p> = request.ok_or_else(|| A::Error::missing_field("request"))?;
        if self.uid.as_deref().unwrap_or_default().is_empty() {
            return Err(A::Error::missing_field("uid"));
        }
        Ok(wire)
    }
}

struct RequestSeed<'s, 'a, 'p> {
    uid: &'s mut Option<Cow<'a, str>>,
    custom: CustomKinds<'p>,
}

impl<'de, 'p> DeserializeSeed<'de> for RequestSeed<'_, 'de, 'p> {
    type Value = Wire<'de, 'p>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_map(self)
    }
}

/// An object that came before its resource was known.
type Early<'a> = Option<&'a RawValue>;

fn decode_early<'de, E: Error>(early: Option<Early<'de>>, path: Option<Known<'_>>) -> Result<Option<Object<'de>>, E> {
    match (early.flatten(), path.and_then(content)) {
        (Some(raw), Some(content)) => ObjectSeed(content)
            .deserialize(&mut serde_json::Deserializer::from_str(raw.get()))
            .map_err(E::custom),
        _ => Ok(None),
    }
}

fn about<'w>(kind: Option<&'w Kind<'_>>, resource: &'w Resource<'_>, subresource: &'w str) -> About<'w> {
    About {
        group: &resource.group.0,
        resource: &resource.resource.0,
        subresource,
        kind: kind.map_or("", |kind| kind.kind.0.as_ref()),
    }
}

/// What of a path's objects is decoded, none where they say nothing.
fn content(path: Known<'_>) -> Option<Content<'_>> {
    match path {
        Known::Configured(workload) => Some(Content::Templates(Pointer::Configured(&workload.template))),
        Known::Policy(_) => Some(Content::Policy),
        Known::Built(path) => match path.shape {
            Shape::Pod | Shape::EphemeralContainers => Some(Content::Pod),
            Shape::Template(pointer) => Some(Content::Templates(Pointer::Built(pointer))),
            Shape::Namespace | Shape::Binding => Some(Content::Metadata),
            Shape::NetworkPolicy | Shape::UnreadPolicy(_) => Some(Content::Policy),
            Shape::PodConnection | Shape::PodProxy | Shape::ServiceProxy | Shape::NodeProxy => None,
        },
    }
}

impl<'de, 'p> Visitor<'de> for RequestSeed<'_, 'de, 'p> {
    type Value = Wire<'de, 'p>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an admission request")
    }

    /// The API server sends `kind`, `resource` and `subResource` before the objects, which are then decoded as they stream by.
    /// Where they come first, they are kept and decoded at the end.
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let (mut kind, mut resource, mut subresource, mut name, mut namespace) = (None, None, None, None, None);
        let (mut operation, mut user, mut dry_run) = (None, None, None);
        let (mut object, mut old_object) = (None, None);
        let (mut early_object, mut early_old_object) = (None, None);
        let mut objects_seen = false;
        while let Some(key) = map.next_key::<Text<'de>>()? {
            let content = resource.as_ref().map(|resource: &Resource<'de>| {
                let subresource = subresource.as_ref().map_or("", |text: &Text<'de>| text.0.as_ref());
                paths::find(self.custom, about(kind.as_ref(), resource, subresource)).and_then(content)
            });
            match key.0.as_ref() {
                "uid" => once(self.uid, "uid", map.next_value::<Text<'de>>()?.0)?,
                "kind" if objects_seen => return Err(A::Error::custom("kind comes after the objects")),
                "kind" => once(&mut kind, "kind", map.next_value()?)?,
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
                    match content {
                        None => once(early, name, map.next_value::<Early<'de>>()?)?,
                        Some(None) => {
                            objects_seen = true;
                            once(slot, name, map.next_value::<IgnoredAny>().map(|_| None)?)?;
                        }
                        Some(Some(content)) => {
                            objects_seen = true;
                            once(slot, name, map.next_value_seed(ObjectSeed(content))?)?;
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
        let path = paths::find(self.custom, about(kind.as_ref(), &resource, &subresource.0));
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

fn into_request<'a>(mut wire: Wire<'a, '_>, uid: Cow<'a, str>) -> Result<Request<'a>, String> {
    let operation = wire.operation.ok_or("operation is missing")?;
    if wire.user.username.0.is_empty() {
        return Err("userInfo has no username".to_owned());
    }
    let (subject, actions) = match wire.path {
        Some(Known::Built(path)) if path.operations.contains(&operation) => means::built(&mut wire, path, operation)?,
        Some(Known::Policy(policy)) if operation != Operation::Connect => {
            means::policy(&mut wire, Cow::Owned(policy.kind.clone()), operation, Extent::Namespace)?
        }
        Some(Known::Configured(workload)) if matches!(operation, Operation::Create | Operation::Update) => {
            means::configured(&mut wire, &workload.resource, operation)?
        }
        _ => (means::other(&wire), Vec::new()),
    };
    let Wire {
        user,
        resource,
        subresource,
        dry_run,
        ..
    } = wire;
    Ok(Request {
        uid,
        identity: Identity {
            username: user.username.0,
            uid: user.uid.0,
            groups: user
                .groups
                .unwrap_or_default()
                .into_iter()
                .map(|group| group.0)
                .collect(),
            extra: user.extra,
        },
        operation,
        group: resource.group.0,
        version: resource.version.0,
        resource: resource.resource.0,
        subresource: subresource.0,
        dry_run,
        subject,
        actions,
    })
}
