//! [`FindingRecord`]: the versioned document of one finding, one JSON line each, with every binding, role and rule whole.

use k8s_openapi::api::rbac::v1::PolicyRule;
use schemars::JsonSchema;
use serde::Serialize;

use super::grants::{Grant, Grants, Id};
use super::reach::{Act, Hop};
use super::report::{Finding, Kind, Report};
use crate::manifests::grants::Subject;

/// The `schema` of every record; a change that readers must notice makes a new version.
pub const SCHEMA: &str = "ringfence.dev/duties/v1alpha1";

/// One finding of `ringfence audit sod`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct FindingRecord {
    /// The version of this schema.
    #[schemars(with = "String", extend("const" = SCHEMA))]
    pub schema: &'static str,
    /// What was found: HoldsBoth, Wildcard, Delegate, CanHoldBoth, CanGrantItself, WritesPolicies or MissingAccount.
    #[schemars(with = "String")]
    pub kind: &'static str,
    /// The segment.
    pub segment: String,
    /// The namespace in which its permissions are asked; null: the cluster.
    pub consent: Option<String>,
    /// For WritesPolicies: the namespace of members in which; null: in every one.
    pub namespace: Option<String>,
    /// Of whom.
    pub subject: SubjectRecord,
    /// For a delegate: as whom its requests are reviewed too.
    pub reviewed_as: Option<String>,
    /// The finding in one sentence.
    pub message: String,
    /// How they come to write the segment's policies, step by step; empty where they do not.
    pub manages: Vec<StepRecord>,
    /// How they come to place pods in it or among its clients, step by step; empty where they do not.
    pub places: Vec<StepRecord>,
}

/// A user, a group or a service account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct SubjectRecord {
    /// User, Group or ServiceAccount.
    #[schemars(with = "String")]
    pub kind: &'static str,
    /// The namespace of a service account, else null.
    pub namespace: Option<String>,
    /// The name.
    pub name: String,
}

/// One step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct StepRecord {
    /// Who takes it.
    pub who: SubjectRecord,
    /// What they do, in words.
    pub does: String,
    /// As whom they act from then on; null at the end.
    pub becomes: Option<SubjectRecord>,
    /// Every binding that lets them.
    pub grants: Vec<GrantRecord>,
}

/// A binding, and the rule that it gives.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct GrantRecord {
    /// The binding.
    pub binding: ObjectRecord,
    /// The role that it binds.
    pub role: ObjectRecord,
    /// The rule.
    pub rule: RuleRecord,
}

/// An object of RBAC.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct ObjectRecord {
    /// Role, ClusterRole, RoleBinding or ClusterRoleBinding.
    #[schemars(with = "String")]
    pub kind: &'static str,
    /// Its namespace; null at the cluster.
    pub namespace: Option<String>,
    /// Its name.
    pub name: String,
}

/// A rule of a role.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RuleRecord {
    /// The role that it stands in: another than the one bound where that aggregates it.
    pub of: ObjectRecord,
    /// Which of its rules, from 0.
    pub position: usize,
    /// As written.
    pub verbs: Vec<String>,
    /// As written.
    pub api_groups: Vec<String>,
    /// As written.
    pub resources: Vec<String>,
    /// As written; empty: every name.
    pub resource_names: Vec<String>,
}

impl Report<'_> {
    /// One line of JSON for each finding.
    pub fn records(&self) -> impl Iterator<Item = FindingRecord> + '_ {
        self.findings.iter().map(|finding| self.record(finding))
    }

    fn record(&self, finding: &Finding) -> FindingRecord {
        let Finding {
            kind,
            segment,
            namespace,
            subject,
            manages,
            places,
        } = finding;
        let judged = &self.segments[*segment];
        let steps = |route: &[Hop]| route.iter().map(|hop| step(&self.grants, hop)).collect();
        FindingRecord {
            schema: SCHEMA,
            kind: kind.as_str(),
            segment: judged.name.clone(),
            consent: judged.consent.clone(),
            namespace: namespace.as_deref().map(str::to_owned),
            subject: subject_record(&self.grants, *subject),
            reviewed_as: self.delegates.get(self.grants.subject(*subject)).cloned(),
            message: format!("{}: {}", self.grants.subject(*subject), self.says(finding)),
            manages: steps(manages),
            places: steps(places),
        }
    }
}

impl Kind {
    /// As it stands in records.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::HoldsBoth => "HoldsBoth",
            Self::Wildcard => "Wildcard",
            Self::Delegate => "Delegate",
            Self::CanHoldBoth => "CanHoldBoth",
            Self::CanGrantItself => "CanGrantItself",
            Self::WritesPolicies => "WritesPolicies",
            Self::MissingAccount => "MissingAccount",
        }
    }
}

fn step(grants: &Grants<'_>, hop: &Hop) -> StepRecord {
    StepRecord {
        who: subject_record(grants, hop.who),
        does: hop.does.to_string(),
        becomes: match hop.act {
            Act::Becomes(id) => Some(subject_record(grants, id)),
            Act::Holds | Act::Grants => None,
        },
        grants: hop.grants.iter().map(|grant| grant_record(grants, *grant)).collect(),
    }
}

fn subject_record(grants: &Grants<'_>, id: Id) -> SubjectRecord {
    let (kind, namespace, name) = match grants.subject(id) {
        Subject::User(name) => ("User", None, name),
        Subject::Group(name) => ("Group", None, name),
        Subject::ServiceAccount { namespace, name } => ("ServiceAccount", Some(namespace.clone()), name),
    };
    SubjectRecord {
        kind,
        namespace,
        name: name.clone(),
    }
}

fn object(kind: &'static str, namespace: &str, name: &str) -> ObjectRecord {
    ObjectRecord {
        kind,
        namespace: (!namespace.is_empty()).then(|| namespace.to_owned()),
        name: name.to_owned(),
    }
}

fn grant_record(grants: &Grants<'_>, grant: Grant) -> GrantRecord {
    let (binding, role, rule) = (grants.binding(grant), grants.bound_role(grant), grants.rule(grant));
    let PolicyRule {
        api_groups,
        resources,
        resource_names,
        verbs,
        non_resource_urls: _,
    } = rule.rule.clone();
    GrantRecord {
        binding: object(binding.kind(), binding.namespace, binding.name),
        role: object(role.kind(), role.namespace, role.name),
        rule: RuleRecord {
            of: object(rule.of.kind(), rule.of.namespace, rule.of.name),
            position: rule.position,
            verbs,
            api_groups: api_groups.unwrap_or_default(),
            resources: resources.unwrap_or_default(),
            resource_names: resource_names.unwrap_or_default(),
        },
    }
}
