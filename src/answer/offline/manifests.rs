//! [`Manifests`]: files of manifests in, what they say of permissions, namespaces and owners out. Refuses what the API
//! server would refuse of RBAC objects, with file and line; kinds that no answer needs are skipped and counted.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use hashbrown::HashMap;
use k8s_openapi::api::core::v1;
use k8s_openapi::api::rbac::v1::{ClusterRole, ClusterRoleBinding, Role, RoleBinding};
use ringfence_core::guardrails::{Derived, Guardrails, Workload, is_protected};
use ringfence_core::labels::NAMESPACE_NAME_LABEL;
use ringfence_core::model::{
    Namespace, NamespaceName, Namespaces, ObjectReference, Owner, Policies, ReachedPod, Running, Timestamp,
};
use ringfence_core::netpol::Policy;
use ringfence_core::review::{Shape, WRITE_PATHS, owner_of, running_of};
use serde_json::Value;

use super::acceptance::{
    NETWORK_POLICY, Places, RBAC_GROUP, RoleScope, at_cluster, decode, in_namespace, metadata, network_policy,
    role_ref, rules, subjects,
};
use super::document::{self, Document, Problem};
use super::folder::File;
use super::rbac::Rbac;
use crate::answer::running::{KINDS, unique};
use crate::audit::{Accounts, TOKEN_SECRET};
use crate::manifests::{names, roles};

/// Everything that is wrong with a set of manifests; shown one a line.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
pub struct Problems(pub Vec<Problem>);

/// What manifests say.
#[derive(Debug, Clone, Default)]
pub struct Manifests {
    /// Who may do what.
    pub rbac: Rbac,
    /// Every namespace that is written down.
    pub namespaces: Arc<Namespaces>,
    /// Every NetworkPolicy that is written down.
    pub policies: Arc<Policies>,
    /// How many objects of each kind no answer needs.
    pub skipped: BTreeMap<String, usize>,
    /// The service accounts that are written down.
    pub accounts: Accounts,
    owners: HashMap<ObjectKey, Arc<Value>>,
    pods: HashMap<(NamespaceName, String), ReachedPod>,
    running: Vec<(NamespaceName, Running)>,
    /// What the policies that opted in to protection make.
    pub derived: Vec<Derived>,
    /// The configured kinds that make pods, beside the built-in ones: API group and plural resource.
    custom: BTreeSet<(String, String)>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct ObjectKey {
    group: String,
    resource: String,
    namespace: String,
    name: String,
}

/// The plural of a kind as kubectl guesses it (`meta.UnsafeGuessKindToResource`): manifests name no resources.
pub(crate) fn guessed_resource(kind: &str) -> String {
    let singular = kind.to_lowercase();
    if singular.ends_with('s') {
        singular + "es"
    } else if let Some(stem) = singular.strip_suffix('y') {
        format!("{stem}ies")
    } else {
        singular + "s"
    }
}

impl Manifests {
    /// Reads files. Objects of these custom kinds can be owners too. All problems of all files are told at once.
    pub fn parse(files: &[File], custom: &[Workload]) -> Result<Self, Problems> {
        let mut manifests = Self {
            custom: custom
                .iter()
                .map(|workload| (workload.group.clone(), workload.resource.clone()))
                .collect(),
            ..Self::default()
        };
        let mut problems = Vec::new();
        let mut places = Places::new();
        for file in files {
            match document::parse(file) {
                Ok(documents) => {
                    for document in documents {
                        manifests
                            .add(&document, &mut places)
                            .unwrap_or_else(|problem| problems.push(problem));
                    }
                }
                Err(unparsed) => problems.extend(unparsed),
            }
        }
        if problems.is_empty() {
            Ok(manifests)
        } else {
            Err(Problems(problems))
        }
    }

    /// The plural resource of a kind that can be the owner of pods, or hold a template of them: the kinds of the write
    /// paths, and the configured ones.
    fn owner_resource(&self, group: &str, kind: &str) -> Option<String> {
        let built_in = WRITE_PATHS
            .iter()
            .find(|path| matches!(path.shape, Shape::Template(_)) && path.group == group && path.kind == kind);
        if let Some(path) = built_in {
            return Some(path.resource.to_owned());
        }
        let guessed = (group.to_owned(), guessed_resource(kind));
        self.custom.contains(&guessed).then_some(guessed.1)
    }

    /// Counts in the ClusterRoles that ringfence publishes for these guardrails: an owner only has to bind them.
    pub fn publish(&mut self, guardrails: &Guardrails) {
        for role in roles::published_roles(guardrails) {
            // A published role aggregates nothing, so it has no selector that could be invalid.
            let _ = self.rbac.add_cluster_role(role);
        }
    }

    /// Adds or replaces an owner as the API server stores it; what is no owner is passed over.
    pub fn store(&mut self, object: Value) {
        let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
        let api_version = text("/apiVersion");
        let group = api_version.split_once('/').map_or("", |(group, _)| group);
        if let Some(resource) = self.owner_resource(group, text("/kind")) {
            let key = ObjectKey {
                group: group.to_owned(),
                resource,
                namespace: text("/metadata/namespace").to_owned(),
                name: text("/metadata/name").to_owned(),
            };
            self.owners.insert(key, Arc::new(object));
        }
    }

    /// The owner of this reference, none where no manifest has it.
    pub fn owner(&self, reference: &ObjectReference) -> Option<Owner> {
        let key = ObjectKey {
            group: reference.group.clone(),
            resource: reference.resource.clone(),
            namespace: reference.namespace.to_string(),
            name: reference.name.clone(),
        };
        self.owners.get(&key).map(|object| owner(object, reference))
    }

    /// The pod of this name, none where no manifest has it.
    pub fn pod(&self, namespace: &NamespaceName, name: &str) -> Option<&ReachedPod> {
        self.pods.get(&(namespace.clone(), name.to_owned()))
    }

    /// The NetworkPolicies of a namespace.
    pub fn policies_of(&self, namespace: &NamespaceName) -> Vec<Arc<Policy>> {
        let policies = self.policies.values();
        policies
            .filter(|policy| policy.name.namespace == *namespace)
            .cloned()
            .collect()
    }

    /// What runs in a namespace by these manifests, each kind of pod once.
    pub fn running(&self, namespace: &NamespaceName) -> Vec<Running> {
        let templates = KINDS.into_iter().flat_map(|(group, _, resource, template)| {
            let asked = move |key: &ObjectKey| {
                key.group == group && key.resource == resource && key.namespace == namespace.as_str()
            };
            let found = self.owners.iter().filter(move |(key, _)| asked(key));
            found.filter_map(move |(_, object)| running_of(object, template))
        });
        let pods = self.running.iter().filter(|(of, _)| of == namespace);
        unique(templates.chain(pods.map(|(_, running)| running.clone())))
    }

    /// Every object of a resource in a namespace, as the reference names them.
    pub fn templates(&self, reference: &ObjectReference) -> Vec<Owner> {
        let asked = |key: &ObjectKey| {
            key.group == reference.group
                && key.resource == reference.resource
                && key.namespace == reference.namespace.as_str()
        };
        let found = self.owners.iter().filter(|(key, _)| asked(key));
        found.map(|(_, object)| owner(object, reference)).collect()
    }

    fn add(&mut self, document: &Document, places: &mut Places) -> Result<(), Problem> {
        let (group, kind) = (document.group(), document.kind.as_str());
        let is_rbac = group == RBAC_GROUP;
        if is_rbac && document.api_version != "rbac.authorization.k8s.io/v1" {
            return Err(document.problem_at(&["apiVersion"], "write apiVersion: rbac.authorization.k8s.io/v1"));
        }
        match (is_rbac, kind) {
            (true, "Role") => {
                let role: Role = decode(document)?;
                in_namespace(document, &role.metadata, places)?;
                rules(
                    document,
                    role.rules.as_deref().unwrap_or_default(),
                    RoleScope::Namespace,
                )?;
                self.rbac.add_role(role);
            }
            (true, "ClusterRole") => {
                let role: ClusterRole = decode(document)?;
                at_cluster(document, &role.metadata, places)?;
                rules(document, role.rules.as_deref().unwrap_or_default(), RoleScope::Cluster)?;
                self.rbac
                    .add_cluster_role(role)
                    .map_err(|error| document.problem_at(&["aggregationRule"], error.to_string()))?;
            }
            (true, "RoleBinding") => {
                let binding: RoleBinding = decode(document)?;
                in_namespace(document, &binding.metadata, places)?;
                role_ref(document, &binding.role_ref, &["Role", "ClusterRole"])?;
                subjects(
                    document,
                    binding.subjects.as_deref().unwrap_or_default(),
                    RoleScope::Namespace,
                )?;
                self.rbac.add_role_binding(binding);
            }
            (true, "ClusterRoleBinding") => {
                let binding: ClusterRoleBinding = decode(document)?;
                at_cluster(document, &binding.metadata, places)?;
                role_ref(document, &binding.role_ref, &["ClusterRole"])?;
                subjects(
                    document,
                    binding.subjects.as_deref().unwrap_or_default(),
                    RoleScope::Cluster,
                )?;
                self.rbac.add_cluster_role_binding(binding);
            }
            (false, "Namespace") if document.api_version == "v1" => {
                let namespace: v1::Namespace = decode(document)?;
                at_cluster(document, &namespace.metadata, places)?;
                self.add_namespace(document, namespace)?;
            }
            (false, "ServiceAccount") if document.api_version == "v1" => {
                let metadata = metadata(document)?;
                let namespace = in_namespace(document, &metadata, places)?;
                let account = (namespace.to_string(), metadata.name.unwrap_or_default());
                self.accounts.existing.insert(account);
            }
            (false, "Secret") if document.value()["type"] == TOKEN_SECRET => {
                let metadata = metadata(document)?;
                in_namespace(document, &metadata, places)?;
                self.accounts.add_token_secret(&metadata);
            }
            (false, "Pod") if document.api_version == "v1" => {
                let metadata = metadata(document)?;
                let namespace = in_namespace(document, &metadata, places)?;
                let pod = ReachedPod {
                    namespace: namespace.clone(),
                    name: metadata.name.unwrap_or_default(),
                    labels: metadata.labels.unwrap_or_default().into_iter().collect(),
                };
                let running = running_of(&document.value(), "");
                self.running.extend(running.map(|running| (namespace.clone(), running)));
                self.pods.insert((namespace, pod.name.clone()), pod);
            }
            (false, "NetworkPolicy") if document.api_version == NETWORK_POLICY => {
                let metadata = metadata(document)?;
                let namespace = in_namespace(document, &metadata, places)?;
                let policy = network_policy(document, &namespace, &metadata.name.unwrap_or_default())?;
                let labels: Vec<(String, String)> = metadata.labels.unwrap_or_default().into_iter().collect();
                if is_protected(&labels) {
                    self.derived
                        .push(Derived::made_by(&policy.name, &labels, Some(&policy)));
                }
                Arc::make_mut(&mut self.policies).insert(policy.name.clone(), Arc::new(policy));
            }
            _ if self.owner_resource(group, kind).is_some() => {
                in_namespace(document, &metadata(document)?, places)?;
                self.store(document.value());
            }
            // The guardrails themselves: whoever asked for a whole world reads them.
            (false, "ConfigMap") if metadata(document)?.name.as_deref() == Some(names::GUARDRAILS) => {}
            _ => *self.skipped.entry(kind.to_owned()).or_default() += 1,
        }
        Ok(())
    }

    fn add_namespace(&mut self, document: &Document, namespace: v1::Namespace) -> Result<(), Problem> {
        let metadata = namespace.metadata;
        let name = NamespaceName::new(metadata.name.as_deref().unwrap_or_default())
            .map_err(|error| document.problem_at(&["metadata", "name"], error.to_string()))?;
        let mut labels = metadata.labels.unwrap_or_default();
        // The API server sets it, whatever was written.
        labels.insert(NAMESPACE_NAME_LABEL.to_owned(), name.to_string());
        let known = Namespace {
            uid: metadata.uid.unwrap_or_default(),
            labels: labels.into_iter().collect(),
            terminating: metadata.deletion_timestamp.is_some(),
            created: metadata.creation_timestamp.map(|time| Timestamp(time.0.as_second())),
        };
        Arc::make_mut(&mut self.namespaces).insert(name, Arc::new(known));
        Ok(())
    }
}

/// The owner that a manifest describes. What it does not say a time of is yet to be written.
fn owner(object: &Value, reference: &ObjectReference) -> Owner {
    const TO_COME: Timestamp = Timestamp(i64::MAX);
    let owner = owner_of(object, &reference.template);
    Owner {
        created: owner.created.or(Some(TO_COME)),
        written: owner.written.or(Some(TO_COME)),
        ..owner
    }
}

#[cfg(test)]
mod tests;
