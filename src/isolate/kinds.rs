//! [`Kinds`]: the kinds of `manifests`, of which the cluster alone knows what they are called in paths and how it writes an
//! object of them down. Both are asked once and kept: a path for good, what is absent for [`ASK_AGAIN`].
//!
//! A kind whose CRD does not exist is not waited for: nothing in the cluster would enforce an object of it, so pods of a
//! profile that names it are let in behind the profile's other policies, and status, metrics and log say what is missing.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use ringfence_core::model::NamespaceName;
use serde::Deserialize;
use serde_json::Value;
use tokio::time::Instant;

use super::content::{Digest, content};
use super::failure::Failure;
use super::wanted::{Kind, Wanted};
use crate::answer::Calls;

/// How soon a kind that was absent is looked for again.
pub(crate) const ASK_AGAIN: Duration = Duration::from_secs(15);

/// How soon the API server is asked again how it writes something down, where an object says something else.
const LEARN_AGAIN: Duration = Duration::from_secs(10);

/// The plural of the kind that every cluster has.
const NETWORK_POLICIES: &str = "networkpolicies";

/// By what was wanted of a kind: what the API server wrote down for it, and when that was learned.
type Forms = HashMap<(Kind, Digest), (Digest, Instant)>;

/// What is known of kinds. Clones share it.
#[derive(Clone)]
pub(crate) struct Kinds {
    calls: Arc<Calls>,
    plurals: Arc<Mutex<HashMap<Kind, Plural>>>,
    forms: Arc<Mutex<Forms>>,
    /// One asks, the others wait for what it learns.
    learning: Arc<tokio::sync::Mutex<()>>,
}

/// What a kind is called in paths.
#[derive(Debug, Clone)]
enum Plural {
    Known(Arc<str>),
    Absent(Instant),
}

/// How the API server writes a wanted object down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// With this digest.
    Known(Digest),
    /// That has not been asked.
    Unknown,
    /// Not at all: there is no such kind.
    NoKind,
    /// That does not matter: objects of its kind cannot be watched.
    Unwatched,
    /// Nor this: objects of its kind are just being listed for the first time.
    Pending,
}

/// From when on what is known of a form is good enough.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Learned {
    /// Whenever it was asked.
    Ever,
    /// Moments ago: an object that says something else may be as old as a default that has changed.
    Lately,
}

#[derive(Deserialize)]
struct Resources {
    #[serde(default)]
    resources: Vec<Resource>,
}

#[derive(Deserialize)]
struct Resource {
    name: String,
    kind: String,
    #[serde(default)]
    namespaced: bool,
}

impl Kinds {
    /// Asks by these calls.
    pub(crate) fn new(calls: Arc<Calls>) -> Self {
        Self {
            calls,
            plurals: Arc::default(),
            forms: Arc::default(),
            learning: Arc::default(),
        }
    }

    /// The path of the objects of a kind in a namespace; none where there is no such kind.
    pub(crate) async fn collection(&self, kind: &Kind, namespace: &NamespaceName) -> Result<Option<String>, Failure> {
        Ok(self.plural(kind).await?.map(|plural| path(kind, namespace, &plural)))
    }

    /// What a kind is called in paths; none where there is no such kind, or its objects are in no namespace.
    pub(crate) async fn plural(&self, kind: &Kind) -> Result<Option<Arc<str>>, Failure> {
        if kind.is_network_policy() {
            return Ok(Some(NETWORK_POLICIES.into()));
        }
        match self.plurals.lock().get(kind) {
            Some(Plural::Known(plural)) => return Ok(Some(Arc::clone(plural))),
            Some(Plural::Absent(since)) if since.elapsed() < ASK_AGAIN => return Ok(None),
            _ => {}
        }
        let root = if kind.group.is_empty() { "/api" } else { "/apis" };
        let path = format!("{root}/{}", kind.api_version());
        let resources = self.calls.object::<Resources>(&path).await;
        let resources = resources.map_err(|error| Failure::doing("look for the kind", &kind.to_string(), error))?;
        let found = resources
            .into_iter()
            .flat_map(|found| found.resources)
            .find(|resource| resource.kind == kind.kind && resource.namespaced && !resource.name.contains('/'));
        let plural = found.map(|resource| Arc::<str>::from(resource.name));
        let known = plural
            .clone()
            .map_or_else(|| Plural::Absent(Instant::now()), Plural::Known);
        self.plurals.lock().insert(kind.clone(), known);
        Ok(plural)
    }

    /// Forgets a kind that turned out to be gone.
    pub(crate) fn forget(&self, kind: &Kind) {
        self.plurals.lock().remove(kind);
    }

    /// Whether a kind was asked for and is not there.
    pub(crate) fn is_absent(&self, kind: &Kind) -> bool {
        matches!(self.plurals.lock().get(kind), Some(Plural::Absent(_)))
    }

    /// How the API server writes it down, as far as that is known without asking.
    pub(crate) fn form(&self, wanted: &Wanted) -> Form {
        if wanted.kind.is_network_policy() {
            return Form::Known(wanted.digest);
        }
        if let Some(Plural::Absent(_)) = self.plurals.lock().get(&wanted.kind) {
            return Form::NoKind;
        }
        let forms = self.forms.lock();
        let known = forms.get(&(wanted.kind.clone(), wanted.digest));
        known.map_or(Form::Unknown, |(digest, _)| Form::Known(*digest))
    }

    /// How the API server writes it down. Where that is not known a dry run tells: defaults, and what other webhooks
    /// change, come out as they would for the object itself, and nothing is written.
    pub(crate) async fn learned(
        &self,
        wanted: &Wanted,
        namespace: &NamespaceName,
        when: Learned,
    ) -> Result<Digest, Failure> {
        if wanted.kind.is_network_policy() {
            return Ok(wanted.digest);
        }
        let key = (wanted.kind.clone(), wanted.digest);
        let _one_at_a_time = self.learning.lock().await;
        if let Some((digest, learned)) = self.forms.lock().get(&key)
            && (when == Learned::Ever || learned.elapsed() < LEARN_AGAIN)
        {
            return Ok(*digest);
        }
        let digest = Digest::of(&content(&self.tried(wanted, namespace).await?));
        self.forms.lock().insert(key, (digest, Instant::now()));
        Ok(digest)
    }

    /// What would come of creating it.
    async fn tried(&self, wanted: &Wanted, namespace: &NamespaceName) -> Result<Value, Failure> {
        let Some(collection) = self.collection(&wanted.kind, namespace).await? else {
            return Err(Failure::Passing(format!("there is no kind {}", wanted.kind)));
        };
        let mut object = wanted.object(namespace);
        // Under a name of its own: the wanted one may be taken.
        if let Some(metadata) = object["metadata"].as_object_mut() {
            metadata.remove("name");
            metadata.insert("generateName".to_owned(), format!("{}-", wanted.name).into());
        }
        let path = format!("{collection}?dryRun=All&fieldManager={}", crate::cluster::FIELD_MANAGER);
        let tried = self
            .calls
            .write(http::Method::POST, &path, "application/json", &object)
            .await;
        tried.map_err(|error| Failure::doing("try", &format!("{} {}", wanted.kind.kind, wanted.name), error))
    }
}

/// The path of the objects of a kind in a namespace.
pub(crate) fn path(kind: &Kind, namespace: &NamespaceName, plural: &str) -> String {
    crate::answer::collection(&kind.group, &kind.version, namespace, plural)
}
