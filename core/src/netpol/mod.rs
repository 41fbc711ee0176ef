//! What NetworkPolicies (networking.k8s.io/v1) mean: facts only, no judgement. [`Policy::read`] takes a
//! [`NetworkPolicySpec`] and refuses what the API server refuses; a [`World`] of namespaces, workloads and policies
//! compiled to a [`Reach`] says who reaches whom on which ports, and why; [`Changes`] compares two of them.
//! What policies could do, whoever comes to run, is asked of label spaces (`may.rs`): [`Policy::openings`], [`worse`].
//!
//! The conventions that the API leaves open are said once, on [`Reach`].

mod addresses;
mod connection;
mod may;
mod policy;
mod ports;
mod ranges;
mod reach;
mod read;
mod spec;
mod world;
mod worse;

pub use addresses::{AddressSet, Family};
pub use connection::{
    Connection, Difference, DifferenceEnd, End, Endpoint, EndpointId, Ends, Explanation, Filter, PolicyId,
    ReachOptions, RuleReference, Side, Unrestricted, Within,
};
pub use may::{Existing, Opening, Way, isolated_by_any};
pub use policy::{Block, Peer, PeerNamespaces, Peers, Policy, PolicyName, PortRule, Ports, Rule};
pub use ports::{PortRange, PortSet, protocol_name};
pub use reach::{Changes, Reach};
pub use read::{Invalid, Leniency};
pub use spec::{
    IpBlock, LabelSelector, LabelSelectorRequirement, NetworkPolicyEgressRule, NetworkPolicyIngressRule,
    NetworkPolicyPeer, NetworkPolicyPort, NetworkPolicySpec, PortNumberOrName,
};
pub use world::{NamedPort, Workload, World};
pub use worse::{Worse, namespace_space, worse};

pub use crate::guardrails::documents::{Direction, Protocol};

/// Every protocol that a NetworkPolicy speaks of, in the order in which they are reported.
pub const PROTOCOLS: [Protocol; 3] = [Protocol::Tcp, Protocol::Udp, Protocol::Sctp];

/// Both directions.
pub const DIRECTIONS: [Direction; 2] = [Direction::Ingress, Direction::Egress];
