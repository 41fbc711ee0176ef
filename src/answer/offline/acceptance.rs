//! What the API server would accept: strict decoding, names and namespaces, and its rules for RBAC objects (kubernetes
//! `pkg/apis/rbac/validation`). A document in, a typed object or the problem with its line out.

use hashbrown::HashMap;
use k8s_openapi::api::rbac::v1::{PolicyRule, RoleRef, Subject};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use ringfence_core::model::NamespaceName;
use ringfence_core::netpol::{Leniency, NetworkPolicySpec, Policy};
use serde::de::DeserializeOwned;

use super::document::{Document, Problem};

/// The API group of roles and bindings.
pub(super) const RBAC_GROUP: &str = "rbac.authorization.k8s.io";

/// The API version of NetworkPolicies.
pub(super) const NETWORK_POLICY: &str = "networking.k8s.io/v1";

/// Where an object of each kind, namespace and name was first seen.
pub(super) type Places = HashMap<String, String>;

/// Decodes an object strictly: a misspelt `resourceName` would otherwise open a rule to every name.
pub(super) fn decode<T: DeserializeOwned>(document: &Document) -> Result<T, Problem> {
    let value = document.value();
    let mut track = serde_path_to_error::Track::new();
    let mut unknown = Vec::new();
    let tracked = serde_path_to_error::Deserializer::new(&value, &mut track);
    let result = serde_ignored::deserialize(tracked, |path| unknown.push(path.to_string()));
    let segments = |path: &str| {
        path.split(['.', '[', ']'])
            .filter(|segment| !segment.is_empty() && *segment != "?")
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    let at = |path: &str, message: String| {
        let segments = segments(path);
        document.problem_at(&segments.iter().map(String::as_str).collect::<Vec<_>>(), message)
    };
    let decoded = result.map_err(|error| {
        let path = track.path().to_string();
        // YAML 1.1, as kubectl reads it: a bare `n` is false.
        let hint = if error.to_string().ends_with("expected a string") {
            "; put it in quotes"
        } else {
            ""
        };
        at(&path, format!("{path}: {error}{hint}"))
    })?;
    match unknown.iter().map(|path| segments(path).join(".")).next() {
        None => Ok(decoded),
        Some(path) => Err(at(&path, format!("{path}: unknown field; check its spelling"))),
    }
}

/// The metadata alone: the rest of an owner is read as it stands.
pub(super) fn metadata(document: &Document) -> Result<ObjectMeta, Problem> {
    let value = document.value().get("metadata").cloned().unwrap_or_default();
    serde_path_to_error::deserialize(&value)
        .map_err(|error| document.problem_at(&["metadata"], format!("metadata.{error}")))
}

/// Two objects of one name would be one object in a cluster, the later one silently.
fn once(document: &Document, place: String, places: &mut Places) -> Result<(), Problem> {
    let here = document.problem("").place();
    match places.insert(place, here) {
        None => Ok(()),
        Some(first) => Err(document.problem(format!("stands twice: first at {first}; keep one"))),
    }
}

fn name<'m>(document: &Document, metadata: &'m ObjectMeta) -> Result<&'m str, Problem> {
    metadata.name.as_deref().filter(|name| !name.is_empty()).ok_or_else(|| {
        document.problem_at(
            &["metadata"],
            "has no metadata.name; generated names cannot be known here",
        )
    })
}

pub(super) fn in_namespace(
    document: &Document,
    metadata: &ObjectMeta,
    places: &mut Places,
) -> Result<NamespaceName, Problem> {
    let name = name(document, metadata)?;
    let namespace = metadata.namespace.as_deref().unwrap_or_default();
    if namespace.is_empty() {
        return Err(document.problem_at(
            &["metadata"],
            "has no metadata.namespace; write it down, there is no current namespace here",
        ));
    }
    let known = NamespaceName::new(namespace)
        .map_err(|error| document.problem_at(&["metadata", "namespace"], error.to_string()))?;
    let place = format!("{}.{}/{namespace}/{name}", document.kind, document.group());
    once(document, place, places)?;
    Ok(known)
}

pub(super) fn at_cluster(document: &Document, metadata: &ObjectMeta, places: &mut Places) -> Result<(), Problem> {
    let name = name(document, metadata)?;
    once(
        document,
        format!("{}.{}//{name}", document.kind, document.group()),
        places,
    )
}

/// A NetworkPolicy, compiled. Refuses what the API server refuses.
pub(super) fn network_policy(document: &Document, namespace: &NamespaceName, name: &str) -> Result<Policy, Problem> {
    let spec = document.value().get("spec").cloned().unwrap_or_default();
    let spec = serde_path_to_error::deserialize::<_, Option<NetworkPolicySpec>>(&spec)
        .map_err(|error| document.problem_at(&["spec"], format!("spec.{error}")))?
        .unwrap_or_default();
    Policy::read(namespace.as_str(), name, &spec, Leniency::Written).map_err(|invalid| {
        let told: Vec<String> = invalid.iter().map(ToString::to_string).collect();
        document.problem_at(&["spec"], told.join("; "))
    })
}

/// Where a role or binding holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum RoleScope {
    Namespace,
    Cluster,
}

/// What the API server asks of rules (kubernetes `pkg/apis/rbac/validation`).
pub(super) fn rules(document: &Document, rules: &[PolicyRule], scope: RoleScope) -> Result<(), Problem> {
    for (position, rule) in rules.iter().enumerate() {
        let given = |list: &Option<Vec<String>>| list.as_ref().is_some_and(|list| !list.is_empty());
        let (urls, resources) = (given(&rule.non_resource_urls), given(&rule.resources));
        let wrong = if rule.verbs.is_empty() {
            "verbs must hold at least one verb"
        } else if urls && scope == RoleScope::Namespace {
            "a Role cannot have nonResourceURLs; use a ClusterRole"
        } else if urls && (resources || given(&rule.api_groups) || given(&rule.resource_names)) {
            "a rule is either for resources or for nonResourceURLs; make two of it"
        } else if !urls && !given(&rule.api_groups) {
            "apiGroups must hold at least one group (\"\" is the core group)"
        } else if !urls && !resources {
            "resources must hold at least one resource"
        } else {
            continue;
        };
        let position = position.to_string();
        return Err(document.problem_at(&["rules", &position], format!("rules[{position}]: {wrong}")));
    }
    Ok(())
}

pub(super) fn role_ref(document: &Document, role: &RoleRef, kinds: &[&str]) -> Result<(), Problem> {
    let wrong = if !of_rbac(role.api_group.as_deref()) {
        format!("apiGroup must be {RBAC_GROUP}")
    } else if !kinds.contains(&role.kind.as_str()) {
        format!("kind must be {}, not {:?}", kinds.join(" or "), role.kind)
    } else if role.name.is_empty() {
        "name must be the name of a role".to_owned()
    } else {
        return Ok(());
    };
    Err(document.problem_at(&["roleRef"], format!("roleRef: {wrong}")))
}

pub(super) fn subjects(document: &Document, subjects: &[Subject], scope: RoleScope) -> Result<(), Problem> {
    for (position, subject) in subjects.iter().enumerate() {
        let nowhere = subject.namespace.as_deref().unwrap_or_default().is_empty();
        let wrong = match subject.kind.as_str() {
            _ if subject.name.is_empty() => "has no name".to_owned(),
            "User" | "Group" if !of_rbac(subject.api_group.as_deref()) => format!("apiGroup must be {RBAC_GROUP}"),
            "ServiceAccount" if subject.api_group.as_deref().is_some_and(|group| !group.is_empty()) => {
                "a ServiceAccount is of the core group: leave apiGroup out".into()
            }
            "ServiceAccount" if nowhere && scope == RoleScope::Cluster => "has no namespace".to_owned(),
            "User" | "Group" | "ServiceAccount" => continue,
            other => format!("kind must be User, Group or ServiceAccount, not {other:?}"),
        };
        let position = position.to_string();
        return Err(document.problem_at(&["subjects", &position], format!("subjects[{position}]: {wrong}")));
    }
    Ok(())
}

/// The API server fills in an absent or empty group.
fn of_rbac(group: Option<&str>) -> bool {
    group.is_none_or(|group| group.is_empty() || group == RBAC_GROUP)
}
