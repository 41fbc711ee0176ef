//! From a [`NetworkPolicySpec`] to a [`Policy`]: refuses exactly what the API server refuses, and names the same fields
//! (Kubernetes `pkg/apis/networking/validation`, `apimachinery/pkg/apis/meta/v1/validation`). Everything that is wrong is
//! reported at once.

mod cidr;
mod port;
mod selector;

use std::fmt;
use std::sync::Arc;

use self::cidr::block;
use self::port::port;
use self::selector::selector;
use super::{
    NetworkPolicyPeer, NetworkPolicyPort, NetworkPolicySpec, Peer, PeerNamespaces, Peers, Policy, PolicyName, Ports,
    Rule,
};
use crate::labels::Selector;
use crate::model::{NamespaceName, is_dns_label, is_dns_subdomain};

/// A field of a NetworkPolicy that the API server would refuse.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, thiserror::Error)]
#[error("{path}: {message}")]
pub struct Invalid {
    /// Which field, as the API server names it, e.g. `spec.ingress[0].from[1].ipBlock.cidr`.
    pub path: String,
    /// What is wrong and what to write instead.
    pub message: String,
}

/// How much is let pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Leniency {
    /// What a user writes: as strict as the API server is with a new object.
    Written,
    /// What a cluster holds: also what older API servers let in and newer ones leave alone, namely CIDRs with host bits,
    /// leading zeros or IPv4-mapped addresses, and values of selectors that no label can have.
    Stored,
}

/// The path of a field, written out only once something is wrong with it.
#[derive(Clone, Copy)]
enum Place<'a> {
    Root(&'static str),
    Field(&'a Place<'a>, &'static str),
    Item(&'a Place<'a>, usize),
}

impl<'a> Place<'a> {
    fn field(&'a self, name: &'static str) -> Place<'a> {
        Place::Field(self, name)
    }

    fn item(&'a self, position: usize) -> Place<'a> {
        Place::Item(self, position)
    }
}

impl fmt::Display for Place<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Root(name) => formatter.write_str(name),
            Self::Field(parent, name) => write!(formatter, "{parent}.{name}"),
            Self::Item(parent, position) => write!(formatter, "{parent}[{position}]"),
        }
    }
}

/// What has been found wrong.
struct Findings {
    invalid: Vec<Invalid>,
    leniency: Leniency,
}

impl Findings {
    fn wrong(&mut self, place: &Place<'_>, message: impl Into<String>) {
        self.invalid.push(Invalid {
            path: place.to_string(),
            message: message.into(),
        });
    }
}

impl Policy {
    /// Reads a policy as the API server does: fills in the defaults, refuses what it refuses.
    pub fn read(
        namespace: &str,
        name: &str,
        spec: &NetworkPolicySpec,
        leniency: Leniency,
    ) -> Result<Self, Vec<Invalid>> {
        let mut findings = Findings {
            invalid: Vec::new(),
            leniency,
        };
        let policy = read(namespace, name, spec, &mut findings);
        match policy {
            Some(policy) if findings.invalid.is_empty() => Ok(policy),
            _ => Err(findings.invalid),
        }
    }
}

fn read(namespace: &str, name: &str, spec: &NetworkPolicySpec, findings: &mut Findings) -> Option<Policy> {
    let metadata = Place::Root("metadata");
    if !is_dns_subdomain(name) {
        findings.wrong(
            &metadata.field("name"),
            format!("{name:?} is not the name of an object: use lower-case letters, digits, '-' and '.'"),
        );
    }
    if !is_dns_label(namespace) {
        findings.wrong(
            &metadata.field("namespace"),
            format!("{namespace:?} is not the name of a namespace: use lower-case letters, digits and '-'"),
        );
    }
    let place = Place::Root("spec");
    let NetworkPolicySpec {
        pod_selector,
        policy_types,
        ingress,
        egress,
    } = spec;
    let pods = pod_selector.as_ref().map_or_else(Selector::everything, |written| {
        selector(&place.field("podSelector"), written, findings)
    });
    let list = place.field("ingress");
    let ingress_rules = rules(
        ingress.iter().enumerate(),
        |written, position, findings| rule(&list.item(position), "from", &written.from, &written.ports, findings),
        findings,
    );
    let list = place.field("egress");
    let egress_rules = rules(
        egress.iter().enumerate(),
        |written, position, findings| rule(&list.item(position), "to", &written.to, &written.ports, findings),
        findings,
    );
    check_policy_types(&place.field("policyTypes"), policy_types, findings);
    let isolates = |direction: &str, by_default: bool| {
        policy_types.iter().any(|written| written == direction) || policy_types.is_empty() && by_default
    };
    let egress_by_default = !egress.is_empty();
    Some(Policy {
        name: PolicyName {
            namespace: NamespaceName::new(namespace).ok()?,
            name: Arc::from(name),
        },
        pods,
        ingress: isolates("Ingress", true).then_some(ingress_rules),
        egress: isolates("Egress", egress_by_default).then_some(egress_rules),
    })
}

fn rules<'w, Written: 'w>(
    written: impl Iterator<Item = (usize, &'w Written)>,
    read: impl Fn(&Written, usize, &mut Findings) -> Rule,
    findings: &mut Findings,
) -> Vec<Rule> {
    written
        .map(|(position, written)| read(written, position, findings))
        .collect()
}

fn check_policy_types(place: &Place<'_>, written: &[String], findings: &mut Findings) {
    if written.len() > 2 {
        findings.wrong(place, "no more than two: there is Ingress and there is Egress");
        return;
    }
    for (position, direction) in written.iter().enumerate() {
        if !matches!(direction.as_str(), "Ingress" | "Egress") {
            findings.wrong(
                &place.item(position),
                format!("{direction:?} is not a policy type: use Ingress or Egress"),
            );
        }
    }
}

fn rule(
    place: &Place<'_>,
    peers_field: &'static str,
    peers: &[NetworkPolicyPeer],
    ports: &[NetworkPolicyPort],
    findings: &mut Findings,
) -> Rule {
    let list = place.field("ports");
    let ports: Vec<_> = ports
        .iter()
        .enumerate()
        .filter_map(|(position, written)| port(&list.item(position), written, findings))
        .collect();
    let list = place.field(peers_field);
    let peers: Vec<Peer> = peers
        .iter()
        .enumerate()
        .filter_map(|(position, written)| peer(&list.item(position), written, findings))
        .collect();
    // An invalid entry is missing from these lists, but then nobody gets to see them.
    Rule {
        peers: if peers.is_empty() {
            Peers::Everyone
        } else {
            Peers::Listed(peers)
        },
        ports: if ports.is_empty() {
            Ports::All
        } else {
            Ports::Listed(ports)
        },
    }
}

fn peer(place: &Place<'_>, written: &NetworkPolicyPeer, findings: &mut Findings) -> Option<Peer> {
    let NetworkPolicyPeer {
        pod_selector,
        namespace_selector,
        ip_block,
    } = written;
    let pods = pod_selector
        .as_ref()
        .map(|written| selector(&place.field("podSelector"), written, findings));
    let namespaces = namespace_selector
        .as_ref()
        .map(|written| selector(&place.field("namespaceSelector"), written, findings));
    let addresses = ip_block
        .as_ref()
        .map(|written| block(&place.field("ipBlock"), written, findings));
    match (pods, namespaces, addresses) {
        (None, None, None) => {
            findings.wrong(
                place,
                "an empty peer: give podSelector, namespaceSelector or ipBlock ({} as a podSelector is every pod of the \
                 namespace)",
            );
            None
        }
        (None, None, Some(addresses)) => addresses.map(Peer::Block),
        (_, _, Some(_)) => {
            findings.wrong(place, "an ipBlock beside a selector: make them two peers");
            None
        }
        (pods, namespaces, None) => Some(Peer::Pods {
            namespaces: namespaces.map_or(PeerNamespaces::Own, PeerNamespaces::Selected),
            pods: pods.unwrap_or_default(),
        }),
    }
}

#[cfg(test)]
mod tests;
