//! What ringfence publishes as objects, read-only, so that `kubectl get segments` shows what is in force and
//! `kubectl auth can-i` knows the resources: the kinds, their spec and status, and the objects that guardrails make.

use std::sync::Arc;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::core::{ApiResource, GroupVersionKind, Object};
use ringfence_core::decide::REQUIRE_ISOLATION;
use ringfence_core::guardrails::documents::{API_VERSION, GuardrailsSpec, IsolationProfileSpec, SegmentSpec};
use ringfence_core::guardrails::{Clause, Guardrails, MANAGED_BY, Notice, Profile, Segment};
use ringfence_core::model::{Mode, Scope};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use self::derived::Derivation;
use super::names;

pub mod derived;

/// `guardrails.ringfence.dev/NAME`.
pub type PublishedGuardrails = Object<GuardrailsSpec, GuardrailsStatus>;
/// `segments.ringfence.dev/NAME`.
pub type PublishedSegment = Object<SegmentSpec, SegmentStatus>;
/// `isolationprofiles.ringfence.dev/NAME`.
pub type PublishedIsolationProfile = Object<IsolationProfileSpec, IsolationProfileStatus>;
/// `policychecks.ringfence.dev/NAME`.
pub type PublishedPolicyCheck = Object<PolicyCheckSpec, PolicyCheckStatus>;

/// The name of the one Guardrails object that is published, which is also the one that `configure` is asked on.
pub const GUARDRAILS_NAME: &str = "default";

/// The condition of [`GuardrailsStatus`] that says whether what stands in the ConfigMap is in force.
pub const IN_FORCE: &str = "InForce";

/// What is in force.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct GuardrailsStatus {
    /// The revision of the configuration in force.
    #[serde(default)]
    pub observed_revision: String,
    /// How many segments are configured.
    #[serde(default)]
    pub segments: i64,
    /// How many more are derived from NetworkPolicies that opted in to protection.
    #[serde(default)]
    pub derived_segments: i64,
    /// What should be known about the configuration.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notices: Vec<String>,
    /// Whether what stands in the ConfigMap is in force; if not, the message says why, and an earlier revision is.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<Condition>,
}

/// What a segment comes to.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SegmentStatus {
    /// The revision of the configuration that it stands in.
    #[serde(default)]
    pub observed_revision: String,
    /// The NetworkPolicy that it is derived from, as `NAMESPACE/NAME`: permissions are asked on that; absent where it is
    /// configured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy: Option<String>,
    /// What happens where it refuses, before the rollout's cap.
    #[serde(default)]
    pub mode: Mode,
    /// The namespace in which its permissions are asked, or `(cluster)`.
    #[serde(default)]
    pub consent: String,
    /// Who is inside, in short words.
    #[serde(default)]
    pub members: String,
    /// Whom its policies let in, in short words.
    #[serde(default)]
    pub clients: String,
    /// How many pods that have not ended are inside; absent where they have not been counted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub member_pods: Option<i64>,
    /// How many pods that have not ended its policies let in; absent where they have not been counted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_pods: Option<i64>,
    /// How many templates stood before it was enforced, so that nobody was asked for them; absent where it is not enforced,
    /// or where that has not been looked at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unjudged_templates: Option<i64>,
    /// The first few of them, e.g. `deployments.apps web/front`. Whoever writes one again is asked.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unjudged: Vec<String>,
    /// Whether policies isolate the members; absent where that has not been looked at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub isolated: Option<String>,
    /// Conditions of the segment.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<Condition>,
}

/// What an isolation profile comes to.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct IsolationProfileStatus {
    /// The revision of the configuration that it stands in.
    #[serde(default)]
    pub observed_revision: String,
    /// How many policies it has.
    #[serde(default)]
    pub policies: i64,
    /// In how many namespaces it is enforced; absent where they have not been looked at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespaces: Option<i64>,
    /// How many more namespaces would have it but are reported only, by their mode or because they were there before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reported: Option<i64>,
    /// In how many of the namespaces not all of its policies stand. Pods are refused there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failing: Option<i64>,
    /// The first of those, each with the reason.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub failing_namespaces: Vec<String>,
    /// Kinds that it names and the cluster does not have: their objects are left out until it does.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub missing_kinds: Vec<String>,
}

/// A check on policies or placements, by whose name `waive` is asked.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PolicyCheckSpec {
    /// What it refuses.
    #[serde(default)]
    pub description: String,
    /// What happens where it refuses, before the rollout's cap.
    #[serde(default)]
    pub mode: Mode,
}

/// What a check comes to.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PolicyCheckStatus {
    /// The revision of the configuration that it stands in.
    #[serde(default)]
    pub observed_revision: String,
    /// Conditions of the check.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<Condition>,
}

/// A condition, as in every Kubernetes API (`meta/v1` Condition).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Condition {
    /// What is said about, e.g. `InForce`.
    #[serde(rename = "type")]
    pub kind: String,
    /// Whether it holds.
    pub status: ConditionStatus,
    /// One word for programs.
    pub reason: String,
    /// The text for people.
    #[serde(default)]
    pub message: String,
    /// When `status` last changed.
    #[schemars(with = "String", extend("format" = "date-time"))]
    pub last_transition_time: Timestamp,
}

/// Whether a condition holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ConditionStatus {
    /// It holds.
    True,
    /// It does not.
    False,
    /// That is not known.
    Unknown,
}

/// A kind that is published, as clients address it.
pub fn resource(kind: &str, plural: &str) -> ApiResource {
    let (group, version) = API_VERSION.split_once('/').unwrap_or_default();
    ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk(group, version, kind), plural)
}

/// How [`PublishedSegment`]s are addressed.
pub fn segment_resource() -> ApiResource {
    resource("Segment", "segments")
}

/// How [`PublishedGuardrails`] are addressed.
pub fn guardrails_resource() -> ApiResource {
    resource("Guardrails", "guardrails")
}

/// How [`PublishedIsolationProfile`]s are addressed.
pub fn profile_resource() -> ApiResource {
    resource("IsolationProfile", "isolationprofiles")
}

/// How [`PublishedPolicyCheck`]s are addressed.
pub fn check_resource() -> ApiResource {
    resource("PolicyCheck", "policychecks")
}

/// The object of every segment, in the order of the segments: those that are configured, and the first
/// [`MOST`](derived::MOST) of those that are derived.
pub fn published_segments(guardrails: &Guardrails) -> Vec<PublishedSegment> {
    let configured = guardrails.configured().iter();
    let derived = guardrails.derived().iter().take(derived::MOST);
    configured
        .chain(derived)
        .map(|segment| published_segment(segment, guardrails))
        .collect()
}

fn published_segment(segment: &Segment, guardrails: &Guardrails) -> PublishedSegment {
    let status = SegmentStatus {
        observed_revision: guardrails.revision.to_string(),
        mode: segment.mode,
        consent: match &segment.consent {
            Scope::Namespace(name) => name.to_string(),
            Scope::Cluster => "(cluster)".to_owned(),
        },
        members: in_short(&segment.members),
        clients: in_short(&segment.clients),
        ..SegmentStatus::default()
    };
    let Some(derivation) = Derivation::of(&segment.name) else {
        return object(segment.name.as_str(), &segment_resource(), segment.into(), status);
    };
    let Derivation {
        object: name,
        namespace,
        policy,
    } = derivation;
    let status = SegmentStatus {
        policy: Some(policy),
        members: derived::briefly(&segment.members),
        clients: derived::briefly(&segment.clients),
        ..status
    };
    let mut published = object(&name, &segment_resource(), derived::spec(segment), status);
    let labels = published.metadata.labels.get_or_insert_default();
    labels.insert(derived::LABEL.to_owned(), namespace);
    published
}

/// The object of every isolation profile, sorted by name; its namespaces are for whoever looks at them to count.
pub fn published_profiles(guardrails: &Guardrails) -> Vec<PublishedIsolationProfile> {
    let publish = |profile: &Arc<Profile>| {
        let policies = profile.policies.len() + profile.manifests.len();
        let status = IsolationProfileStatus {
            observed_revision: guardrails.revision.to_string(),
            policies: i64::try_from(policies).unwrap_or(i64::MAX),
            ..IsolationProfileStatus::default()
        };
        object(profile.name.as_str(), &profile_resource(), (&**profile).into(), status)
    };
    guardrails.profiles.values().map(publish).collect()
}

/// The object of every check that is on, sorted by name. An object's name is in lower case, as the API server has it; the
/// description begins with the check's own name, by which `waive` is asked.
pub fn published_checks(guardrails: &Guardrails) -> Vec<PublishedPolicyCheck> {
    let publish = |name: &str, description: &str, mode: Mode| {
        let spec = PolicyCheckSpec {
            description: format!("{name}: {description}"),
            mode,
        };
        let status = PolicyCheckStatus {
            observed_revision: guardrails.revision.to_string(),
            conditions: Vec::new(),
        };
        object(&name.to_ascii_lowercase(), &check_resource(), spec, status)
    };
    let checks = guardrails.checks.iter();
    let mut objects: Vec<_> = checks
        .map(|(check, mode)| publish(check.as_str(), check.description(), *mode))
        .collect();
    let requiring = guardrails
        .segments
        .iter()
        .filter(|segment| !segment.require_isolation.is_empty());
    if let Some(mode) = requiring.map(|segment| segment.mode).max() {
        let description = "Members of a segment that no policy isolates any more.";
        objects.push(publish(REQUIRE_ISOLATION, description, mode));
    }
    objects.sort_by(|one, other| one.metadata.name.cmp(&other.metadata.name));
    objects
}

/// Why what stands in the ConfigMap is not in force.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotInForce {
    /// One word for programs, e.g. `Invalid`, `Missing`.
    pub reason: &'static str,
    /// The text for people.
    pub message: String,
}

/// The one Guardrails object: what is in force, and why that is not what stands in the ConfigMap, where it is not.
/// `before` is the condition as last published, so that its time changes only where its status does.
pub fn published_guardrails(
    guardrails: &Guardrails,
    notices: &[Notice],
    not_in_force: Option<NotInForce>,
    before: Option<&Condition>,
    now: Timestamp,
) -> PublishedGuardrails {
    let (status, reason, message) = match not_in_force {
        None => (ConditionStatus::True, "Valid", String::new()),
        Some(NotInForce { reason, message }) => (ConditionStatus::False, reason, message),
    };
    let since = before.filter(|before| before.status == status);
    let condition = Condition {
        kind: IN_FORCE.to_owned(),
        status,
        reason: reason.to_owned(),
        message,
        last_transition_time: since.map_or(now, |before| before.last_transition_time),
    };
    let number = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
    let derived = guardrails.derived().len();
    let unpublished = (derived > derived::MOST).then(|| {
        let most = derived::MOST;
        format!(
            "{derived} segments are derived from policies; the first {most} by name are published, all are in force"
        )
    });
    let status = GuardrailsStatus {
        observed_revision: guardrails.revision.to_string(),
        segments: number(guardrails.configured().len()),
        derived_segments: number(derived),
        notices: notices
            .iter()
            .map(|notice| notice.message.clone())
            .chain(unpublished)
            .collect(),
        conditions: vec![condition],
    };
    object(GUARDRAILS_NAME, &guardrails_resource(), guardrails.into(), status)
}

fn object<P: Clone, U: Clone>(name: &str, resource: &ApiResource, spec: P, status: U) -> Object<P, U> {
    let mut object = Object::new(name, resource, spec);
    let (key, value) = MANAGED_BY;
    object.metadata = ObjectMeta {
        labels: Some([(key.to_owned(), value.to_owned())].into()),
        ..names::cluster_metadata(name)
    };
    object.status = Some(status);
    object
}

/// Up to two clauses in short words, and how many more there are.
fn in_short(clauses: &[Clause]) -> String {
    let shown: Vec<String> = clauses.iter().take(2).map(ToString::to_string).collect();
    let more = clauses.len() - shown.len();
    let shown = shown.join("; ");
    if more == 0 {
        shown
    } else {
        format!("{shown}; and {more} more")
    }
}

#[cfg(test)]
mod tests;
