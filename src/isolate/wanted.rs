//! [`Wanted`]: an object that a profile puts into every namespace under it, ready to be applied. From compiled profiles in;
//! whole objects out.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use kube::core::ApiResource;
use ringfence_core::guardrails::{Guardrails, Profile};
use ringfence_core::model::{NamespaceName, ProfileName};
use serde_json::{Map, Value};

use super::content::{Digest, content};

/// A kind of injected object.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Kind {
    pub(crate) group: String,
    pub(crate) version: String,
    pub(crate) kind: String,
}

impl Kind {
    /// The kind that every cluster has.
    pub(crate) fn network_policy() -> Self {
        Self {
            group: "networking.k8s.io".to_owned(),
            version: "v1".to_owned(),
            kind: "NetworkPolicy".to_owned(),
        }
    }

    /// Whether ringfence knows how the API server writes its objects down. Of any other kind that has to be asked.
    pub(crate) fn is_network_policy(&self) -> bool {
        self.kind == "NetworkPolicy" && self.group == "networking.k8s.io"
    }

    /// As a client asks for its objects, by what the API server calls it in paths.
    pub(crate) fn resource(&self, plural: &str) -> ApiResource {
        ApiResource {
            group: self.group.clone(),
            version: self.version.clone(),
            api_version: self.api_version(),
            kind: self.kind.clone(),
            plural: plural.to_owned(),
        }
    }

    /// As in `apiVersion`.
    pub(crate) fn api_version(&self) -> String {
        if self.group.is_empty() {
            self.version.clone()
        } else {
            format!("{}/{}", self.group, self.version)
        }
    }
}

impl std::fmt::Display for Kind {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{} ({})", self.kind, self.api_version())
    }
}

/// An object that has to stand in every namespace under a profile.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Wanted {
    pub(crate) kind: Kind,
    pub(crate) name: String,
    /// Of its content as it is configured. For a NetworkPolicy that is as the API server writes it down.
    pub(crate) digest: Digest,
    profile: Arc<Profile>,
    /// Its place among the profile's policies and then manifests.
    position: usize,
}

impl Wanted {
    /// What a profile puts into a namespace.
    pub(crate) fn of(profile: &Arc<Profile>) -> Vec<Arc<Self>> {
        let wanted = |kind, name: &str, content: &Map<String, Value>, position| {
            Arc::new(Self {
                kind,
                name: name.to_owned(),
                digest: Digest::of(content),
                profile: Arc::clone(profile),
                position,
            })
        };
        let policies = profile.policies.iter().zip(0..).map(|(policy, position)| {
            let content = Map::from_iter([("spec".to_owned(), policy.spec.clone())]);
            wanted(Kind::network_policy(), &policy.name, &content, position)
        });
        let manifests = profile.manifests.iter().zip(profile.policies.len()..);
        let manifests = manifests.map(|(manifest, position)| {
            let kind = Kind {
                group: manifest.group.clone(),
                version: manifest.version.clone(),
                kind: manifest.kind.clone(),
            };
            wanted(kind, &manifest.name, &content(&manifest.object), position)
        });
        policies.chain(manifests).collect()
    }

    /// The profile that it is of.
    pub(crate) fn profile(&self) -> &ProfileName {
        &self.profile.name
    }

    /// The whole object as it is applied.
    pub(crate) fn object(&self, namespace: &NamespaceName) -> Value {
        let Profile {
            policies, manifests, ..
        } = &*self.profile;
        if let Some(policy) = policies.get(self.position) {
            return self.profile.policy_in(policy, namespace.as_str());
        }
        let manifest = manifests.get(self.position.saturating_sub(policies.len()));
        manifest.map_or(Value::Null, |manifest| {
            self.profile.manifest_in(manifest, namespace.as_str())
        })
    }
}

/// What each profile puts into a namespace.
#[derive(Debug, Clone, Default)]
pub(crate) struct Profiles(BTreeMap<ProfileName, Set>);

/// What one profile puts into a namespace.
#[derive(Debug, Clone)]
struct Set {
    wanted: Arc<[Arc<Wanted>]>,
    /// Of names and contents.
    fingerprint: Digest,
}

impl Profiles {
    /// Of all profiles in force.
    pub(crate) fn of(guardrails: &Guardrails) -> Self {
        let profiles = guardrails.profiles.values();
        Self(
            profiles
                .map(|profile| (profile.name.clone(), Set::of(profile)))
                .collect(),
        )
    }

    /// What one puts into a namespace; nothing where there is no such profile.
    pub(crate) fn get(&self, profile: &ProfileName) -> Arc<[Arc<Wanted>]> {
        self.0
            .get(profile)
            .map(|set| Arc::clone(&set.wanted))
            .unwrap_or_default()
    }

    /// Everything that any profile puts into a namespace.
    pub(crate) fn wanted(&self) -> impl Iterator<Item = &Arc<Wanted>> {
        self.0.values().flat_map(|set| set.wanted.iter())
    }

    /// The same for as long as a profile puts the same into a namespace.
    pub(crate) fn fingerprint(&self, profile: &ProfileName) -> Option<Digest> {
        self.0.get(profile).map(|set| set.fingerprint)
    }

    /// Every kind but NetworkPolicy that a profile names.
    pub(crate) fn unread_kinds(&self) -> BTreeSet<Kind> {
        let wanted = self.0.values().flat_map(|set| set.wanted.iter());
        wanted
            .map(|wanted| wanted.kind.clone())
            .filter(|kind| !kind.is_network_policy())
            .collect()
    }
}

impl Set {
    fn of(profile: &Arc<Profile>) -> Self {
        let wanted = Wanted::of(profile);
        let said = wanted.iter().map(|wanted| {
            let about = format!("{} {}", wanted.kind, wanted.name);
            (about, Value::from(wanted.digest.to_string()))
        });
        Self {
            fingerprint: Digest::of(
                &said
                    .chain([("profile".to_owned(), profile.name.as_str().into())])
                    .collect(),
            ),
            wanted: wanted.into(),
        }
    }
}
