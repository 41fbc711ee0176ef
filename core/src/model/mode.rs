//! [`Mode`]: what happens where a rule refuses.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What happens where a rule refuses: it is recorded, also said, or also denied. Ordered from weakest to strongest, so
/// that the weaker of a rule's mode and a rollout's cap is `min`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
pub enum Mode {
    /// Record only.
    #[default]
    Audit,
    /// Record, and print a warning to whoever asked.
    Warn,
    /// Record and deny.
    Enforce,
}

impl Mode {
    /// The word as it stands in configuration.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Audit => "Audit",
            Self::Warn => "Warn",
            Self::Enforce => "Enforce",
        }
    }
}

impl std::fmt::Display for Mode {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(self.as_str())
    }
}
