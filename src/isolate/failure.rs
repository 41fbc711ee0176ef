//! [`Failure`]: why policies could not be made to stand, told apart by whether trying again could help. A refusal keeps the
//! API server's own words: a quota's, RBAC's, another webhook's.

use crate::answer::CallError;

/// Why policies could not be made to stand. Cheap enough to hand to all who wait for it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Failure {
    /// The API server refused, and will again.
    #[error("{0}")]
    Refused(String),
    /// It may pass by itself.
    #[error("{0}")]
    Passing(String),
}

impl Failure {
    /// A call that failed while something was being done, e.g. `apply`, `NetworkPolicy ringfence-allow-dns`.
    pub(crate) fn doing(verb: &str, what: &str, error: CallError) -> Self {
        match error {
            CallError::Refused { code, message } => {
                let text = format!("cannot {verb} {what}: the API server says {code}: {message}");
                // Too many requests, a conflict, a server in trouble: those pass.
                if matches!(code, 400 | 401 | 403 | 405 | 413 | 415 | 422) {
                    Self::Refused(text)
                } else {
                    Self::Passing(text)
                }
            }
            other => Self::Passing(format!("cannot {verb} {what}: {other}")),
        }
    }
}
