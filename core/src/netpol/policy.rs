//! [`Policy`]: a NetworkPolicy compiled. Every default is filled in and nothing in it can be invalid: "absent or empty"
//! has become [`Peers::Everyone`] and [`Ports::All`], a nil protocol TCP, the policyTypes a rule list for each direction.

use std::fmt;
use std::sync::Arc;

use ipnet::IpNet;

use super::{AddressSet, Direction, PortSet, Protocol};
use crate::labels::Selector;
use crate::model::NamespaceName;

/// Namespace and name of a policy; written `namespace/name`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PolicyName {
    /// Its namespace, whose pods alone it selects.
    pub namespace: NamespaceName,
    /// Its name.
    pub name: Arc<str>,
}

impl fmt::Display for PolicyName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}/{}", self.namespace, self.name)
    }
}

/// A NetworkPolicy, compiled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// Which policy.
    pub name: PolicyName,
    /// The pods of its namespace that it selects.
    pub pods: Selector,
    /// What it lets in. None where Ingress is not among its policyTypes: it then says nothing about what comes in, even if
    /// ingress rules are written. An empty list lets nothing in.
    pub ingress: Option<Vec<Rule>>,
    /// What it lets out; see `ingress`.
    pub egress: Option<Vec<Rule>>,
}

/// One rule of a direction: to or from any of these peers, on any of these ports.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Rule {
    /// `from` or `to`.
    pub peers: Peers,
    /// `ports`: always of the destination.
    pub ports: Ports,
}

/// Whom a rule lets in or out to.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Peers {
    /// `from` or `to` is absent or empty: pods of every namespace, nodes, and all of the outside.
    Everyone,
    /// Any of these; never empty.
    Listed(Vec<Peer>),
}

/// One peer.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Peer {
    /// Pods: both selectors must match (two peers of one list are alternatives, two selectors of one peer are not).
    Pods {
        /// In which namespaces.
        namespaces: PeerNamespaces,
        /// Which pods there; everything where podSelector is absent or empty.
        pods: Selector,
    },
    /// Addresses.
    Block(Block),
}

/// The namespaces of a peer.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum PeerNamespaces {
    /// namespaceSelector is absent: the policy's own namespace.
    Own,
    /// Every namespace that matches; all of them where it is empty.
    Selected(Selector),
}

/// An ipBlock.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Block {
    /// The range, host bits cleared.
    pub cidr: IpNet,
    /// Ranges within it that are left out.
    pub except: Vec<IpNet>,
}

/// The ports of a rule.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Ports {
    /// `ports` is absent or empty: every port of every protocol.
    All,
    /// Any of these; never empty.
    Listed(Vec<PortRule>),
}

/// One entry of `ports`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum PortRule {
    /// Ports by number, the first and the last; 1 and 65535 where `port` is absent.
    Numbers(Protocol, u16, u16),
    /// The ports that the destination pod gives this name, with this protocol. Matches nothing where it has none, and
    /// nothing where the destination is an address.
    Named(Protocol, Arc<str>),
}

impl Policy {
    /// One that nobody can read although the API server has taken it: it may say anything.
    pub fn unread(name: PolicyName) -> Self {
        let anything = || {
            Some(vec![Rule {
                peers: Peers::Everyone,
                ports: Ports::All,
            }])
        };
        Self {
            name,
            pods: Selector::everything(),
            ingress: anything(),
            egress: anything(),
        }
    }

    /// Its rules of a direction, none where it does not isolate the pods that it selects in that direction.
    pub fn rules(&self, direction: Direction) -> Option<&[Rule]> {
        match direction {
            Direction::Ingress => self.ingress.as_deref(),
            Direction::Egress => self.egress.as_deref(),
        }
    }
}

impl Block {
    /// The addresses that it holds.
    pub fn addresses(&self) -> AddressSet {
        AddressSet::from(self.cidr).difference(&self.except.iter().copied().collect())
    }
}

impl Ports {
    /// The ports by number that it lets through whatever the destination calls its ports.
    pub fn numbered(&self) -> PortSet {
        match self {
            Self::All => PortSet::all(),
            Self::Listed(listed) => listed
                .iter()
                .filter_map(|port| match port {
                    PortRule::Numbers(protocol, first, last) => Some((*protocol, *first, *last)),
                    PortRule::Named(..) => None,
                })
                .collect(),
        }
    }

    /// The names of ports in it.
    pub fn named(&self) -> impl Iterator<Item = (Protocol, &str)> {
        let listed = match self {
            Self::All => &[][..],
            Self::Listed(listed) => listed,
        };
        listed.iter().filter_map(|port| match port {
            PortRule::Named(protocol, name) => Some((*protocol, &**name)),
            PortRule::Numbers(..) => None,
        })
    }
}
