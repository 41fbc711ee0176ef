//! [`Isolate`] and [`Isolated`]: the question whether the policies of a namespace stand, and its answer.

use std::time::Duration;

/// What may be done to find out that a namespace's policies stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Isolate {
    /// Those that do not stand are applied: only where the request will be persisted and could be denied.
    Apply,
    /// Nothing is written: dry runs, Warn and Audit.
    Look,
}

/// How it stands with the policies of a namespace. `settles_in` is how long it takes still until they are as old as the
/// profile's `settle` wants; none where nothing is waited for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Isolated {
    /// The namespace gets none: it opted out, or was there before and is reported only.
    Exempt,
    /// All of them stood, each equal to ours in its whole spec.
    Stands {
        /// How long until they have settled.
        settles_in: Option<Duration>,
    },
    /// Some did not stand and were applied; all of them stand now.
    Applied {
        /// How long until they have settled.
        settles_in: Option<Duration>,
    },
    /// Some do not stand, and nothing was written ([`Isolate::Look`]).
    Missing {
        /// Their names.
        policies: Vec<String>,
        /// How long until they would have settled, were they applied now.
        settles_in: Option<Duration>,
    },
    /// The API server refused to take them, in its own words: it will refuse them again (a quota, RBAC).
    Refused(String),
}

impl Isolated {
    /// How long until the policies have settled, or would have; none where nothing is waited for.
    pub fn settles_in(&self) -> Option<Duration> {
        match self {
            Self::Stands { settles_in } | Self::Applied { settles_in } | Self::Missing { settles_in, .. } => {
                *settles_in
            }
            Self::Exempt | Self::Refused(_) => None,
        }
    }
}
