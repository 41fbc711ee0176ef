//! The kinds of configuration as people write them: plain types whose doc comments become the descriptions of the JSON
//! Schema and of the CRDs. Nothing here checks anything beyond its shape; [`super::compile`] does.

mod check;
mod guardrails;
mod network_policy;
mod profile;
mod segment;
mod selector;

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use check::{CheckConfiguration, CheckName, MetadataService, WidestRanges};
pub use guardrails::{
    Delegate, ExceptionLimits, ExistingNamespaces, GuardrailsSpec, Isolation, NamespaceCap, RolloutSpec,
    SeparationOfDuties, Workload,
};
pub use network_policy::{
    EgressRule, IngressRule, IpBlock, NetworkPolicyPeer, NetworkPolicyPort, NetworkPolicySpec, PortNumberOrName,
    Protocol,
};
pub use profile::{BuiltinOptions, BuiltinPolicy, IsolationProfileSpec, Manifest, ProfilePolicy};
pub use segment::{ClauseSpec, Consent, Direction, SegmentSpec, SeparatedSpec};
pub use selector::{LabelSelector, LabelSelectorRequirement, SelectorOperator};

/// The API version of every document.
pub const API_VERSION: &str = "ringfence.dev/v1alpha1";

/// One document of configuration.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Document<Spec> {
    /// Always `ringfence.dev/v1alpha1`.
    pub api_version: String,
    /// Which kind of document this is.
    pub kind: String,
    /// What the document is called.
    pub metadata: Metadata,
    /// What is configured.
    pub spec: Spec,
}

/// What a document is called.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Metadata {
    /// The name, unique within its kind.
    pub name: String,
    /// Labels for your own use; ringfence does not read them.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// Annotations for your own use; ringfence does not read them.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
}

/// The kinds that configuration may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// `Guardrails`: exactly one.
    Guardrails,
    /// `Segment`.
    Segment,
    /// `IsolationProfile`.
    IsolationProfile,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Guardrails, Self::Segment, Self::IsolationProfile];

    /// The word in `kind:`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Guardrails => "Guardrails",
            Self::Segment => "Segment",
            Self::IsolationProfile => "IsolationProfile",
        }
    }

    /// The kind of this word, as spelled in configuration.
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == word)
    }
}
