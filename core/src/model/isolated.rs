//! [`Isolate`] and [`Isolated`]: the question whether the policies of a namespace stand, and its answer.

use super::Timestamp;

/// What may be done to find out that a namespace's policies stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Isolate {
    /// Those that do not stand are applied: only where the request will be persisted and could be denied.
    Apply,
    /// Nothing is written: dry runs, Warn and Audit.
    Look,
}

/// How it stands with the policies of a namespace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Isolated {
    /// The namespace gets none: it opted out, or was there before and is reported only.
    Exempt,
    /// All of them stood, each equal to ours in its whole spec.
    Stands {
        /// When the youngest of them was made.
        youngest: Option<Timestamp>,
    },
    /// Some did not stand and were applied; all of them stand now.
    Applied {
        /// When the youngest of them was made.
        youngest: Option<Timestamp>,
    },
    /// These do not stand, by name, and nothing was written ([`Isolate::Look`]).
    Missing(Vec<String>),
    /// The API server refused to take them, in its own words: it will refuse them again (a quota, RBAC).
    Refused(String),
}
