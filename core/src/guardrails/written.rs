//! Compiled guardrails as people write and read them: back to document types, with every default said, for the published
//! view; and in short words (`app=hollowdb in payments`), for tables.

use std::collections::BTreeMap;
use std::fmt;

use super::compiled::{Clause, Guardrails, NamespaceSet, Segment};
use super::documents::{
    self, ClauseSpec, Consent, GuardrailsSpec, IsolationProfileSpec, LabelSelector, LabelSelectorRequirement, Manifest,
    NamespaceCap, ProfilePolicy, RolloutSpec, SegmentSpec, SelectorOperator, SeparatedSpec,
};
use super::isolation::{InjectedManifest, InjectedPolicy, Isolation, Profile, RESERVED_PREFIX, unmark};
use crate::labels::{Operator, Selector};
use crate::model::Scope;

impl From<&Guardrails> for GuardrailsSpec {
    fn from(guardrails: &Guardrails) -> Self {
        let cap = |(name, mode): (&crate::model::NamespaceName, &crate::model::Mode)| NamespaceCap {
            name: name.to_string(),
            mode: *mode,
        };
        Self {
            mode: guardrails.mode,
            rollout: Some(RolloutSpec {
                default: guardrails.rollout.default,
                namespaces: guardrails.rollout.namespaces.iter().map(cap).collect(),
            }),
            system_namespaces: Some(guardrails.system_namespaces.iter().map(ToString::to_string).collect()),
            isolation: guardrails.isolation.as_ref().map(documents::Isolation::from),
            ..Self::default()
        }
    }
}

impl From<&Isolation> for documents::Isolation {
    fn from(isolation: &Isolation) -> Self {
        Self {
            mode: Some(isolation.mode),
            default_profile: isolation.default_profile.to_string(),
            existing_namespaces: isolation.existing,
        }
    }
}

impl From<&Profile> for IsolationProfileSpec {
    /// Built-in policies are told by what they come to.
    fn from(profile: &Profile) -> Self {
        Self {
            policies: profile.policies.iter().map(ProfilePolicy::from).collect(),
            manifests: profile.manifests.iter().map(Manifest::from).collect(),
            settle: profile.settle.map(|settle| format!("{}s", settle.as_secs())),
        }
    }
}

impl From<&InjectedPolicy> for ProfilePolicy {
    fn from(policy: &InjectedPolicy) -> Self {
        Self {
            name: Some(own_name(&policy.name)),
            // It was made of one.
            spec: serde_json::from_value(policy.spec.clone()).ok(),
            ..Self::default()
        }
    }
}

impl From<&InjectedManifest> for Manifest {
    fn from(manifest: &InjectedManifest) -> Self {
        let mut object = manifest.object.clone();
        object["metadata"]["name"] = own_name(&manifest.name).into();
        unmark(&mut object["metadata"]);
        Self(object.as_object().cloned().unwrap_or_default())
    }
}

/// The name that configuration gives to what is called this in a namespace.
fn own_name(name: &str) -> String {
    name.strip_prefix(RESERVED_PREFIX).unwrap_or(name).to_owned()
}

impl From<&Segment> for SegmentSpec {
    fn from(segment: &Segment) -> Self {
        Self {
            description: segment.description.clone(),
            mode: Some(segment.mode),
            consent: Some(match &segment.consent {
                Scope::Namespace(name) => Consent {
                    namespace: Some(name.to_string()),
                    cluster: None,
                },
                Scope::Cluster => Consent {
                    namespace: None,
                    cluster: Some(true),
                },
            }),
            members: segment.members.iter().map(ClauseSpec::from).collect(),
            clients: segment.clients.iter().map(ClauseSpec::from).collect(),
            isolated_from: segment.isolated_from.iter().map(SeparatedSpec::from).collect(),
            require_isolation: segment.require_isolation.clone(),
            guard_access: segment.guard_access,
        }
    }
}

impl From<&Clause> for ClauseSpec {
    fn from(clause: &Clause) -> Self {
        let (namespaces, namespace_selector) = match &clause.namespaces {
            NamespaceSet::Named(names) => (Some(names.iter().map(ToString::to_string).collect()), None),
            NamespaceSet::Selected(selector) => (None, Some(selector.into())),
        };
        Self {
            namespaces,
            namespace_selector,
            pod_selector: (&clause.pods).into(),
        }
    }
}

impl From<&Clause> for SeparatedSpec {
    fn from(clause: &Clause) -> Self {
        let ClauseSpec {
            namespaces,
            namespace_selector,
            pod_selector,
        } = clause.into();
        Self {
            namespaces,
            namespace_selector,
            pod_selector: (!clause.pods.is_everything()).then_some(pod_selector),
        }
    }
}

impl From<&Selector> for LabelSelector {
    fn from(selector: &Selector) -> Self {
        let mut match_labels = BTreeMap::new();
        let mut match_expressions = Vec::new();
        for requirement in selector.requirements() {
            let (operator, values) = match &requirement.operator {
                Operator::In(values) => match values.as_slice() {
                    [only] if !match_labels.contains_key(&requirement.key) => {
                        match_labels.insert(requirement.key.clone(), only.clone());
                        continue;
                    }
                    _ => (SelectorOperator::In, values.clone()),
                },
                Operator::NotIn(values) => (SelectorOperator::NotIn, values.clone()),
                Operator::Exists => (SelectorOperator::Exists, Vec::new()),
                Operator::DoesNotExist => (SelectorOperator::DoesNotExist, Vec::new()),
            };
            match_expressions.push(LabelSelectorRequirement {
                key: requirement.key.clone(),
                operator,
                values,
            });
        }
        Self {
            match_labels,
            match_expressions,
        }
    }
}

impl fmt::Display for Clause {
    /// `app=hollowdb in payments`, `every pod in every namespace`.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.pods.is_everything() {
            formatter.write_str("every pod")?;
        } else {
            write!(formatter, "{}", self.pods)?;
        }
        match &self.namespaces {
            NamespaceSet::Named(names) => {
                let names: Vec<&str> = names.iter().map(AsRef::as_ref).collect();
                write!(formatter, " in {}", names.join(","))
            }
            NamespaceSet::Selected(selector) if selector.is_everything() => formatter.write_str(" in every namespace"),
            NamespaceSet::Selected(selector) => write!(formatter, " in namespaces with {selector}"),
        }
    }
}

impl fmt::Display for Selector {
    /// As kubectl writes it: `app=web,tier in (api,ui),!canary`; empty for the one that matches everything.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, requirement) in self.requirements().iter().enumerate() {
            let separator = if position == 0 { "" } else { "," };
            let key = &requirement.key;
            match &requirement.operator {
                Operator::In(values) if values.len() == 1 => write!(formatter, "{separator}{key}={}", values[0])?,
                Operator::In(values) => write!(formatter, "{separator}{key} in ({})", values.join(","))?,
                Operator::NotIn(values) => write!(formatter, "{separator}{key} notin ({})", values.join(","))?,
                Operator::Exists => write!(formatter, "{separator}{key}")?,
                Operator::DoesNotExist => write!(formatter, "{separator}!{key}")?,
            }
        }
        Ok(())
    }
}
