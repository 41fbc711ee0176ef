//! [`PolicyWrite`]: a write of a NetworkPolicy, or of another policy that a profile brings, as it stood and as it will
//! stand. Its content stays text: a rule that has to know what it says decodes it.

use crate::labels::Labels;

/// A policy comes, changes or goes. At least one of both sides is there.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PolicyWrite<'a> {
    /// As it stood; none on CREATE.
    pub before: Option<PolicyText<'a>>,
    /// As it will stand; none on DELETE.
    pub after: Option<PolicyText<'a>>,
    /// What an update changes, each once; empty on CREATE and DELETE.
    pub changes: Vec<PolicyChange>,
}

/// One side of the write of a policy.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PolicyText<'a> {
    /// Its own labels, not those that it selects by.
    pub labels: Labels<'a>,
    /// Its `spec` as JSON text, empty where it has none. Only its text is compared.
    pub spec: PolicySpecText<'a>,
}

/// The spec of a policy as JSON text, empty where there is none.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PolicySpecText<'a>(pub &'a str);

/// Something that the update of a policy changes. What is taken away that only held the object up (finalizers, owners)
/// is no change: it makes nothing of the policy, and the garbage collector does it all day.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PolicyChange {
    /// What it says: everything but its metadata and status.
    Content,
    /// Its own labels.
    Labels,
    /// Its annotations.
    Annotations,
    /// An ownerReference that was not there before: the garbage collector deletes what its owner has left.
    Owners,
    /// A finalizer that was not there before: it holds a deleted policy up.
    Finalizers,
}

impl PolicyChange {
    /// The word as people know it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Content => "spec",
            Self::Labels => "labels",
            Self::Annotations => "annotations",
            Self::Owners => "ownerReferences",
            Self::Finalizers => "finalizers",
        }
    }
}
