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
    /// `mutate.ringfence.dev`: puts a scheduling gate on first pods, and judges nothing.
    Mutate,
    /// `open.guard.ringfence.dev`: the same rules where nothing can be enforced, and in system namespaces.
    Open,
    /// `config.guard.ringfence.dev`: the content of our ConfigMap.
    Config,
}

impl Webhook {
    /// All of them, in the order of the served configurations.
    pub const ALL: [Self; 6] = [
        Self::Mutate,
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
            Self::Mutate => "mutate.ringfence.dev",
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
            Self::Mutate => "mutate",
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
            Self::Open | Self::Mutate => Failure::Open,
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
