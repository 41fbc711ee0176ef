//! [`PolicyKind`]: a kind of policy that ringfence does not read and that a profile brings.

/// A kind of policy that ringfence does not read, e.g. `CiliumNetworkPolicy` of `cilium.io`. Its plural is for discovery
/// to say; the API server names the kind in every review.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PolicyKind {
    /// API group.
    pub group: String,
    /// The kind.
    pub kind: String,
}
