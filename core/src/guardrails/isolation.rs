//! Isolation, compiled: which policies a namespace gets ([`Profile`]), and whether it gets them ([`Guardrails::coverage`]).
//! What is applied to a namespace is complete here: each object as the API server gives it back once it has it.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

use super::Guardrails;
use super::documents::ExistingNamespaces;
use super::policy_kind::PolicyKind;
use crate::labels::LabelSet;
use crate::model::{Mode, Namespace, ProfileName, Since};

/// The label by which a namespace chooses its profile; absent: the default.
pub const ISOLATION_LABEL: &str = "ringfence.dev/isolation";

/// The label of an injected object that names its profile.
pub const PROFILE_LABEL: &str = "ringfence.dev/profile";

/// The scheduling gate behind which the first pods of a namespace wait until its policies are as old as its profile's
/// `settle` wants.
pub const SETTLE_GATE: &str = "ringfence.dev/settle";

/// What the name of every injected object begins with. Such names are ringfence's alone.
pub const RESERVED_PREFIX: &str = "ringfence-";

/// The label by which everything that ringfence makes is told from what others made.
pub const MANAGED_BY: (&str, &str) = ("app.kubernetes.io/managed-by", "ringfence");

/// The annotation of an injected object that says what it is.
pub const DESCRIPTION_ANNOTATION: &str = "ringfence.dev/description";

/// `spec.isolation`: how new namespaces are isolated before their first pod exists.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Isolation {
    /// What happens where a namespace's policies do not stand, before the rollout's cap.
    pub mode: Mode,
    /// The profile of namespaces that do not choose one: one of [`Guardrails::profiles`], or the reserved `none`.
    pub default_profile: ProfileName,
    /// What happens with namespaces that were there before.
    pub existing: ExistingNamespaces,
}

/// The policies that a namespace gets before its first pod.
#[derive(Debug, Clone, PartialEq)]
pub struct Profile {
    /// Its name.
    pub name: ProfileName,
    /// Its NetworkPolicies, by names that are all different.
    pub policies: Vec<InjectedPolicy>,
    /// Its policies of other kinds, by kinds and names that are all different.
    pub manifests: Vec<InjectedManifest>,
    /// How old the policies are before a pod runs; none where a pod runs as soon as they stand.
    pub settle: Option<Duration>,
}

/// A NetworkPolicy of a profile.
#[derive(Debug, Clone, PartialEq)]
pub struct InjectedPolicy {
    /// Name of the object, with [`RESERVED_PREFIX`].
    pub name: String,
    /// Its spec with every default filled in, as the API server gives it back.
    pub spec: Value,
}

/// A policy of a kind that ringfence does not read.
#[derive(Debug, Clone, PartialEq)]
pub struct InjectedManifest {
    /// API group, e.g. `cilium.io`.
    pub group: String,
    /// API version, e.g. `v2`.
    pub version: String,
    /// Kind, e.g. `CiliumNetworkPolicy`.
    pub kind: String,
    /// Name of the object, with [`RESERVED_PREFIX`].
    pub name: String,
    /// The object as configured, with this name and our labels and annotation, in no namespace yet.
    pub object: Value,
}

impl Profile {
    /// A NetworkPolicy of this profile, whole, in a namespace.
    pub fn policy_in(&self, policy: &InjectedPolicy, namespace: &str) -> Value {
        let mut metadata = json!({"name": policy.name, "namespace": namespace});
        mark(&mut metadata, &self.name);
        json!({
            "apiVersion": "networking.k8s.io/v1",
            "kind": "NetworkPolicy",
            "metadata": metadata,
            "spec": policy.spec,
        })
    }

    /// A manifest of this profile, whole, in a namespace.
    pub fn manifest_in(&self, manifest: &InjectedManifest, namespace: &str) -> Value {
        let mut object = manifest.object.clone();
        object["metadata"]["namespace"] = json!(namespace);
        object
    }
}

impl InjectedManifest {
    /// Its kind.
    pub fn policy_kind(&self) -> PolicyKind {
        PolicyKind {
            group: self.group.clone(),
            kind: self.kind.clone(),
        }
    }
}

/// Adds to an object's metadata the labels and the annotation of what is injected for a profile.
pub(super) fn mark(metadata: &mut Value, profile: &ProfileName) {
    let description = format!(
        "Made by ringfence for every namespace under isolation profile {profile}, and put back when changed or deleted. \
         Another profile for this namespace: label it {ISOLATION_LABEL}=PROFILE ({} for no policies).",
        ProfileName::NONE
    );
    metadata["labels"][MANAGED_BY.0] = json!(MANAGED_BY.1);
    metadata["labels"][PROFILE_LABEL] = json!(profile.as_str());
    metadata["annotations"][DESCRIPTION_ANNOTATION] = json!(description);
}

/// Takes away what [`mark`] added.
pub(super) fn unmark(metadata: &mut Value) {
    for (field, keys) in [
        ("labels", [MANAGED_BY.0, PROFILE_LABEL].as_slice()),
        ("annotations", &[DESCRIPTION_ANNOTATION]),
    ] {
        let Some(Value::Object(pairs)) = metadata.get_mut(field) else {
            continue;
        };
        for key in keys {
            pairs.remove(*key);
        }
        if pairs.is_empty() {
            metadata[field].take();
        }
    }
    if let Value::Object(fields) = metadata {
        fields.retain(|_, value| !value.is_null());
    }
}

/// Whether policies that ringfence made stand in a namespace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ours {
    /// Some do.
    Some,
    /// None does, or nobody has looked.
    None,
}

/// Whether a namespace gets policies, and which.
#[derive(Debug, Clone, PartialEq)]
pub enum Coverage<'g> {
    /// Isolation is not configured.
    Off,
    /// A system namespace: never isolated.
    System,
    /// Its profile is the reserved `none`, by its label or by default.
    OptedOut,
    /// It was there before, and such namespaces are reported only.
    Existing,
    /// It has this profile.
    Covered {
        /// What happens where its policies do not stand. Only under Enforce is anything created, repaired or denied.
        mode: Mode,
        /// Which policies.
        profile: &'g Arc<Profile>,
        /// By what.
        chosen: Chosen,
    },
}

/// By what a namespace has its profile.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Chosen {
    /// It does not say: the default.
    Default,
    /// By its label.
    Label,
    /// Its label names a profile that is not there, so the default holds.
    UnknownLabel,
}

/// What the label of a namespace comes to.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Choice<'g> {
    /// No policies.
    Nothing(Chosen),
    /// This profile.
    Profile(&'g Arc<Profile>, Chosen),
}

impl<'g> Choice<'g> {
    /// The name of the profile, the reserved `none` where there is none.
    pub(crate) fn profile_name(&self) -> &'g str {
        match self {
            Self::Nothing(_) => ProfileName::NONE,
            Self::Profile(profile, _) => profile.name.as_str(),
        }
    }
}

impl Guardrails {
    /// What happens in a namespace where its policies do not stand; none where isolation is off, and in system namespaces.
    pub fn isolation_mode(&self, namespace: &str) -> Option<Mode> {
        let isolation = self.isolation.as_ref()?;
        (!self.system_namespaces.contains(namespace)).then(|| self.rollout.cap(namespace, isolation.mode))
    }

    /// Whether pods may have to wait for policies to settle in a namespace of this name: where isolation is enforced there,
    /// and some profile wants it.
    pub fn settles(&self, namespace: &str) -> bool {
        self.isolation_mode(namespace) == Some(Mode::Enforce)
            && self.profiles.values().any(|profile| profile.settle.is_some())
    }

    /// Whether a namespace of this name gets policies, and which. One that was there before isolation was enforced in it is
    /// covered only where such namespaces are isolated too, where its label chooses a profile, or where policies of ours
    /// stand (they were put there by a ringfence before).
    pub fn coverage(&self, name: &str, namespace: &Namespace, since: &Since, ours: Ours) -> Coverage<'_> {
        let Some(isolation) = &self.isolation else {
            return Coverage::Off;
        };
        let Some(mode) = self.isolation_mode(name) else {
            return Coverage::System;
        };
        let (profile, chosen) = match self.choice(isolation, namespace.labels.value(ISOLATION_LABEL)) {
            Choice::Nothing(_) => return Coverage::OptedOut,
            Choice::Profile(profile, chosen) => (profile, chosen),
        };
        let reported = isolation.existing == ExistingNamespaces::Report && ours == Ours::None;
        if reported && chosen != Chosen::Label && was_there_before(name, namespace, since) {
            return Coverage::Existing;
        }
        Coverage::Covered { mode, profile, chosen }
    }

    /// What the label of a namespace comes to.
    pub(crate) fn choice(&self, isolation: &Isolation, label: Option<&str>) -> Choice<'_> {
        let (name, chosen) = match label {
            None => (isolation.default_profile.as_str(), Chosen::Default),
            Some(name) if self.is_profile(name) => (name, Chosen::Label),
            Some(_) => (isolation.default_profile.as_str(), Chosen::UnknownLabel),
        };
        match self.profiles.get(name) {
            Some(profile) => Choice::Profile(profile, chosen),
            None => Choice::Nothing(chosen),
        }
    }

    /// Whether a namespace can choose this: a profile, or the reserved `none`.
    pub(crate) fn is_profile(&self, name: &str) -> bool {
        name == ProfileName::NONE || self.profiles.contains_key(name)
    }
}

/// Where nobody knows yet since when isolation is enforced, everything was there before. A namespace of which nobody knows
/// when it was made (one of a manifest) is new.
fn was_there_before(name: &str, namespace: &Namespace, since: &Since) -> bool {
    match (since.isolated(name), namespace.created) {
        (None, _) => true,
        (Some(_), None) => false,
        (Some(enforced), Some(created)) => created < enforced,
    }
}
