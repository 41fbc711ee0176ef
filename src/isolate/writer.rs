//! [`Writer`]: makes a wanted object stand in a namespace, and takes away one that is no longer wanted. What is not there is
//! applied; what says something else is replaced, never merged; and what came of it is looked at before it counts.

use std::sync::Arc;

use http::Method;
use ringfence_core::model::NamespaceName;
use serde_json::{Value, json};

use super::content::{Seen, Standing};
use super::failure::Failure;
use super::kinds::{Kinds, Learned};
use super::metrics::{By, Metrics, Outcome};
use super::wanted::{Kind, Wanted};
use crate::answer::{CallError, Calls};
use crate::cluster::FIELD_MANAGER;

/// How often an object is written before whoever writes against us has won for now.
const ATTEMPTS: usize = 4;

/// Makes wanted objects stand. Clones share everything.
#[derive(Clone)]
pub(crate) struct Writer {
    calls: Arc<Calls>,
    kinds: Kinds,
    by: By,
    metrics: Metrics,
}

/// An object as it stands.
#[derive(Debug, Clone)]
pub(crate) enum Live {
    /// This.
    Object(Value),
    /// It is not there.
    Absent,
    /// There is no such kind.
    NoKind,
}

/// What became of an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Made {
    /// It stood.
    Stood(Seen),
    /// It was written.
    Written(Seen),
    /// There is no such kind.
    NoKind,
}

impl Writer {
    /// Writes by these calls, counted as the writes of `by`.
    pub(crate) fn new(calls: Arc<Calls>, kinds: Kinds, by: By, metrics: Metrics) -> Self {
        Self {
            calls,
            kinds,
            by,
            metrics,
        }
    }

    /// The object as it stands now.
    pub(crate) async fn read(&self, namespace: &NamespaceName, wanted: &Wanted) -> Result<Live, Failure> {
        let Some(collection) = self.kinds.collection(&wanted.kind, namespace).await? else {
            return Ok(Live::NoKind);
        };
        let read = self
            .calls
            .object::<Value>(&format!("{collection}/{}", wanted.name))
            .await;
        let object = read.map_err(|error| Failure::doing("read", &told(wanted), error))?;
        Ok(object.map_or(Live::Absent, Live::Object))
    }

    /// How an object compares with the one that is wanted.
    pub(crate) async fn compared(
        &self,
        namespace: &NamespaceName,
        wanted: &Wanted,
        live: &Seen,
    ) -> Result<Standing, Failure> {
        let form = self.kinds.learned(wanted, namespace, Learned::Ever).await?;
        let standing = live.compared(wanted, form);
        if standing != Standing::Differs || live.encumbered {
            return Ok(standing);
        }
        let form = self.kinds.learned(wanted, namespace, Learned::Lately).await?;
        Ok(live.compared(wanted, form))
    }

    /// Makes it stand. An error is counted, and told once by whoever asked.
    pub(crate) async fn put_up(&self, namespace: &NamespaceName, wanted: &Wanted, live: Live) -> Result<Made, Failure> {
        let made = self.tried(namespace, wanted, live).await;
        match &made {
            Ok(Made::Written(_)) => self.metrics.applied(self.by, Outcome::Applied),
            Err(Failure::Refused(_)) => self.metrics.applied(self.by, Outcome::Refused),
            Err(Failure::Passing(_)) => self.metrics.applied(self.by, Outcome::Failed),
            Ok(Made::Stood(_) | Made::NoKind) => {}
        }
        made
    }

    async fn tried(&self, namespace: &NamespaceName, wanted: &Wanted, mut live: Live) -> Result<Made, Failure> {
        let Some(collection) = self.kinds.collection(&wanted.kind, namespace).await? else {
            return Ok(Made::NoKind);
        };
        let path = format!("{collection}/{}", wanted.name);
        let mut written = false;
        for _ in 0..ATTEMPTS {
            if let Live::Object(object) = &live {
                let seen = Seen::of(object);
                let standing = self.compared(namespace, wanted, &seen).await?;
                if standing == Standing::Stands {
                    return Ok(if written {
                        Made::Written(seen)
                    } else {
                        Made::Stood(seen)
                    });
                }
            }
            let result = match &live {
                Live::NoKind => return Ok(Made::NoKind),
                Live::Absent => self.apply(&path, &wanted.object(namespace)).await,
                Live::Object(object) => self.replace(&path, object, wanted.object(namespace)).await,
            };
            live = match result {
                Ok(object) => {
                    written = true;
                    Live::Object(object)
                }
                // It changed, or went, as it was written: look again.
                Err(CallError::Refused { code: 409, .. }) => self.read(namespace, wanted).await?,
                Err(CallError::Refused { code: 404, .. }) if matches!(live, Live::Object(_)) => Live::Absent,
                Err(error) => {
                    if matches!(error, CallError::Refused { code: 404, .. }) {
                        self.kinds.forget(&wanted.kind);
                    }
                    return Err(Failure::doing("apply", &told(wanted), error));
                }
            };
        }
        Err(Failure::Passing(format!(
            "{} does not stay as it is applied: find out what changes it or takes it away as it is written (another \
             webhook, a controller; its managedFields name them)",
            told(wanted)
        )))
    }

    /// Applies it, whoever owns its fields.
    async fn apply(&self, path: &str, object: &Value) -> Result<Value, CallError> {
        let path = format!("{path}?fieldManager={FIELD_MANAGER}&force=true");
        // JSON is YAML.
        self.calls
            .write(Method::PATCH, &path, "application/apply-patch+yaml", object)
            .await
    }

    /// Puts it in the place of what stands, as it was seen. What others have labelled and annotated stays: they find it
    /// again by that, and it changes nothing about what the object does.
    async fn replace(&self, path: &str, live: &Value, mut object: Value) -> Result<Value, CallError> {
        for strings in ["labels", "annotations"] {
            let mut merged = live["metadata"][strings].as_object().cloned().unwrap_or_default();
            let own = object["metadata"][strings].as_object().cloned().unwrap_or_default();
            merged.extend(own);
            object["metadata"][strings] = Value::Object(merged);
        }
        object["metadata"]["resourceVersion"] = live["metadata"]["resourceVersion"].clone();
        object["metadata"]["uid"] = live["metadata"]["uid"].clone();
        let path = format!("{path}?fieldManager={FIELD_MANAGER}");
        self.calls.write(Method::PUT, &path, "application/json", &object).await
    }

    /// Takes an object away, only this very one as it was seen. One that changed or went meanwhile is left.
    pub(crate) async fn take_down(
        &self,
        namespace: &NamespaceName,
        kind: &Kind,
        name: &str,
        seen: &Seen,
    ) -> Result<(), Failure> {
        let Some(collection) = self.kinds.collection(kind, namespace).await? else {
            return Ok(());
        };
        let preconditions = json!({"uid": seen.uid, "resourceVersion": seen.resource_version});
        let options = json!({"apiVersion": "v1", "kind": "DeleteOptions", "preconditions": preconditions});
        let path = format!("{collection}/{name}");
        let deleted = self
            .calls
            .write(Method::DELETE, &path, "application/json", &options)
            .await;
        match deleted {
            Ok(_) | Err(CallError::Refused { code: 404 | 409, .. }) => Ok(()),
            Err(error) => Err(Failure::doing("delete", &format!("{} {name}", kind.kind), error)),
        }
    }
}

fn told(wanted: &Wanted) -> String {
    format!("{} {}", wanted.kind.kind, wanted.name)
}
