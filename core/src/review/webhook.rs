//! [`Webhook`]: the webhooks that the API server knows us by, each with the last segment of its URL path.

/// One webhook of the served configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Webhook {
    /// `workloads.guard.ringfence.dev`: fails closed where something can be enforced.
    Workloads,
    /// `namespaces.guard.ringfence.dev`: fails closed where something can be enforced.
    Namespaces,
    /// `networkpolicies.guard.ringfence.dev`: fails closed where something can be enforced.
    NetworkPolicies,
    /// `open.guard.ringfence.dev`: the same rules where nothing can be enforced, and in system namespaces.
    Open,
    /// `config.guard.ringfence.dev`: the content of our ConfigMap.
    Config,
}

impl Webhook {
    /// All of them, in the order of the served configuration.
    pub const ALL: [Self; 5] = [
        Self::Workloads,
        Self::Namespaces,
        Self::NetworkPolicies,
        Self::Open,
        Self::Config,
    ];

    /// The name in the webhook configuration.
    pub fn name(self) -> &'static str {
        match self {
            Self::Workloads => "workloads.guard.ringfence.dev",
            Self::Namespaces => "namespaces.guard.ringfence.dev",
            Self::NetworkPolicies => "networkpolicies.guard.ringfence.dev",
            Self::Open => "open.guard.ringfence.dev",
            Self::Config => "config.guard.ringfence.dev",
        }
    }

    /// The last segment of the URL path; before it stands the unguessable one.
    pub fn path(self) -> &'static str {
        match self {
            Self::Workloads => "workloads",
            Self::Namespaces => "namespaces",
            Self::NetworkPolicies => "networkpolicies",
            Self::Open => "open",
            Self::Config => "config",
        }
    }

    /// The webhook of a path segment.
    pub fn from_path(path: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|webhook| webhook.path() == path)
    }

    /// Whether what cannot be understood is let in (and recorded) rather than refused.
    pub fn fails(self) -> Failure {
        match self {
            Self::Workloads | Self::Namespaces | Self::NetworkPolicies | Self::Config => Failure::Closed,
            Self::Open => Failure::Open,
        }
    }
}

/// What happens where a review cannot be decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failure {
    /// Refused.
    Closed,
    /// Let in and recorded.
    Open,
}
