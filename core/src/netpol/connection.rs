//! What [`super::Reach`] answers with: ends, connections between them, and what narrows the question.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use ipnet::IpNet;

use super::{AddressSet, PolicyName, PortRange, Protocol};
use crate::model::NamespaceName;

/// What the API leaves to whoever implements it, or to whoever asks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ReachOptions {
    /// Whether an ipBlock matches the addresses of pods. The API says that ipBlocks are meant for addresses outside of
    /// the cluster; whether they match pods differs between implementations (see [`super::Reach`]).
    pub ipblock_pods: bool,
    /// Whether connections among the pods of one workload are answered, too.
    pub within: Within,
    /// Whether connections between two workloads that nothing isolates are answered, too.
    pub unrestricted: Unrestricted,
}

/// Connections among the pods of one workload.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Within {
    /// Left out: they say nothing about segmentation, and a pod always reaches itself.
    #[default]
    LeftOut,
    /// Answered where it has more than one pod.
    Answered,
}

/// Connections between two workloads where the source is not isolated for egress and the destination not for ingress.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Unrestricted {
    /// Answered: as many as there are such pairs.
    #[default]
    Answered,
    /// Left out: [`Endpoint`] says who is isolated, so that whoever asks can fold them into one line.
    LeftOut,
}

/// Number of an [`Endpoint`] in [`super::Reach::endpoints`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EndpointId(pub(super) u32);

impl EndpointId {
    /// Its place in [`super::Reach::endpoints`].
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

/// A workload as one end of connections: pods of one owner that no policy can tell apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// Its namespace.
    pub namespace: NamespaceName,
    /// The kind of the owner.
    pub kind: Arc<str>,
    /// The name of the owner.
    pub name: Arc<str>,
    /// What tells it from other endpoints of the same namespace, kind and name: labels that policies select by, true of
    /// all its pods, and none of those that none of them has. Empty where there is no other; also where only named ports,
    /// addresses or hostNetwork differ.
    pub apart: Vec<(String, Option<String>)>,
    /// Whether its pods share the network of their nodes: no policy isolates them.
    pub host_network: bool,
    /// Whether any policy isolates it for ingress.
    pub ingress_isolated: bool,
    /// Whether any policy isolates it for egress.
    pub egress_isolated: bool,
    /// How many pods it stands for.
    pub pods: u32,
    /// Which of [`super::World::workloads`] it stands for, in order.
    pub workloads: Vec<usize>,
}

/// One end of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum End {
    /// A workload.
    Workload(EndpointId),
    /// Addresses that are not those of pods. Everything outside is in exactly one CIDR of each end and direction.
    Outside(IpNet),
}

/// What may pass from one end to the other with one protocol.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Connection {
    /// Who begins it.
    pub source: End,
    /// Who is reached.
    pub destination: End,
    /// With which protocol.
    pub protocol: Protocol,
    /// On which ports of the destination: the fewest ranges, in order, never none.
    pub ports: Arc<[PortRange]>,
    /// Numbers in [`super::World::policies`] of those whose rules allow some of it, of both ends, in order. Empty where
    /// neither end is isolated.
    pub policies: Arc<[PolicyId]>,
}

/// Number of a policy in [`super::World::policies`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PolicyId(pub(super) u32);

impl PolicyId {
    /// Its place in [`super::World::policies`].
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

/// Ends to which a question is narrowed; what is outside of it is not even looked at.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ends {
    /// Workloads.
    pub endpoints: BTreeSet<EndpointId>,
    /// Addresses of the outside; CIDRs are cut to them.
    pub addresses: AddressSet,
}

/// Which connections are asked for; the default asks for all.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    /// From whom; none: from everyone.
    pub from: Option<Ends>,
    /// To whom; none: to everyone.
    pub to: Option<Ends>,
    /// Only what can pass on this port, with this protocol. The ports of an answer are cut to it.
    pub port: Option<(Protocol, u16)>,
}

/// Why something may pass or may not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Explanation {
    /// Who would begin it; a part of what was asked about where its addresses fare differently.
    pub source: End,
    /// Who would be reached; likewise.
    pub destination: End,
    /// What the source's policies say.
    pub egress: Side,
    /// What the destination's policies say.
    pub ingress: Side,
}

impl Explanation {
    /// Whether both sides let it pass.
    pub fn allowed(&self) -> bool {
        self.egress.allows() && self.ingress.allows()
    }
}

/// What the policies at one end say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Side {
    /// Nothing isolates it: no policy of this direction selects it.
    NotIsolated,
    /// It is outside of the cluster: no policy speaks for it.
    Outside,
    /// Its pods have hostNetwork: policies do not hold for them.
    HostNetwork,
    /// Source and destination are the same pods: a pod always reaches itself; others of the workload follow the policies.
    Itself,
    /// These rules allow it.
    Allowed(Vec<RuleReference>),
    /// These policies isolate it and none of their rules allows it.
    Denied(Vec<PolicyId>),
}

impl Side {
    /// Whether it lets the connection pass.
    pub fn allows(&self) -> bool {
        !matches!(self, Self::Denied(_))
    }
}

/// Where in a policy something is allowed.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct RuleReference {
    /// In which policy.
    pub policy: PolicyId,
    /// Its direction.
    pub direction: super::Direction,
    /// Number of the rule.
    pub rule: usize,
    /// Number of the peer that matches; none where the rule lists none.
    pub peer: Option<usize>,
    /// Number of the port that matches; none where the rule lists none.
    pub port: Option<usize>,
}

/// The path of the field: `spec.ingress[0].from[1]`, and `.ports[2]` after a comma where a port was listed.
impl fmt::Display for RuleReference {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (direction, peers) = match self.direction {
            super::Direction::Ingress => ("ingress", "from"),
            super::Direction::Egress => ("egress", "to"),
        };
        write!(formatter, "spec.{direction}[{}]", self.rule)?;
        match (self.peer, self.port) {
            (None, None) => Ok(()),
            (Some(peer), None) => write!(formatter, ".{peers}[{peer}]"),
            (None, Some(port)) => write!(formatter, ".ports[{port}]"),
            (Some(peer), Some(port)) => write!(formatter, ".{peers}[{peer}], .ports[{port}]"),
        }
    }
}

/// A connection that differs between two worlds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// Who begins it.
    pub source: DifferenceEnd,
    /// Who is reached.
    pub destination: DifferenceEnd,
    /// With which protocol.
    pub protocol: Protocol,
    /// Ports that only the new world lets pass.
    pub opened: Arc<[PortRange]>,
    /// Ports that only the old world lets pass.
    pub closed: Arc<[PortRange]>,
    /// The policies that allowed it before.
    pub policies_before: Vec<PolicyName>,
    /// The policies that allow it now.
    pub policies_after: Vec<PolicyName>,
}

/// One end of a [`Difference`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum DifferenceEnd {
    /// A workload, by its number in the old and in the new world; none where it is not there.
    Workload(Option<EndpointId>, Option<EndpointId>),
    /// Addresses of the outside.
    Outside(IpNet),
}
