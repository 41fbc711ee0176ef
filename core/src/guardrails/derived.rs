//! [`Derived`]: the segment that a NetworkPolicy makes by itself once it has opted in: the pods that it selects are members,
//! the pods that it names as peers are clients. What it says of everybody or of addresses names no pods, and is left out.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use super::compile::identified;
use super::compiled::{Clause, Guardrails, NamespaceSet, Segment};
use super::isolation::{MANAGED_BY, RESERVED_PREFIX};
use super::read::{MAX_CLAUSES, MAX_REQUIREMENTS, generated_by};
use crate::labels::{LabelSet, NAMESPACE_NAME_LABEL, Operator, Requirement, Selector};
use crate::model::{NamespaceName, Scope, SegmentName};
use crate::netpol::{Direction, Peer, PeerNamespaces, Peers, Policy, PolicyName, Rule};

/// The label by which a NetworkPolicy opts in, and its value.
pub const PROTECTED_LABEL: (&str, &str) = ("ringfence.dev/protected", "true");

/// The most bytes of keys, values and names that the clauses of one policy hold: whoever may write a policy must not fill the
/// memory of every replica, and where nothing is enforced that is whoever may edit.
const MAX_BYTES: usize = 64 * 1024;

/// The most that all policies of one namespace make, for the same reason.
const MOST_OF_NAMESPACE: Amount = Amount {
    segments: 200,
    clauses: 5_000,
    bytes: 1024 * 1024,
};

/// How much segments are.
#[derive(Debug, Clone, Copy, Default)]
struct Amount {
    segments: usize,
    clauses: usize,
    bytes: usize,
}

impl Amount {
    fn add(&mut self, segment: &Segment) {
        let clauses = segment.members.iter().chain(&segment.clients);
        self.segments += 1;
        self.clauses += clauses.clone().count();
        self.bytes += clauses
            .map(|clause| bytes_of(&clause.pods) + length(&clause.namespaces))
            .sum::<usize>();
    }

    fn is_within(self, most: Self) -> bool {
        self.segments <= most.segments && self.clauses <= most.clauses && self.bytes <= most.bytes
    }
}

/// What is told in denials of a derived segment.
const DESCRIPTION: &str = "derived from the NetworkPolicy of that name";

/// What a policy that opted in makes a segment of, whatever the configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Derived {
    /// Its namespace, where the permissions are asked.
    namespace: NamespaceName,
    name: SegmentName,
    members: Vec<Clause>,
    clients: Vec<Clause>,
    /// What of the policy makes no clause, each once.
    pub left_out: Vec<LeftOut>,
    /// The first peer by which it reaches beyond its namespace, e.g. `ingress[0].from[1]`, so that `protect` is asked at the
    /// cluster.
    pub beyond: Option<String>,
    /// Whether all its peers are addresses.
    only_addresses: bool,
}

/// Something of a policy that makes no clause, so that nobody is asked for it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum LeftOut {
    /// It is one of those that isolate namespaces, or would pass for one.
    Injected,
    /// What it says cannot be read.
    Unreadable,
    /// Its podSelector is empty.
    EveryPod,
    /// A peer has no podSelector, or an empty one.
    EveryPodOfPeer,
    /// A rule has no peers.
    Everyone,
    /// A selector stands on a label that is not written by who owns the pods.
    Generated(String),
    /// It has peers, and all are ipBlocks.
    Addresses,
    /// A peer names system namespaces.
    System,
    /// There are more peers, or more requirements in one selector, than a segment may have, or all of them are too long.
    TooMany,
}

impl fmt::Display for LeftOut {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Injected => formatter.write_str("it isolates its namespace, so it protects nothing"),
            Self::Unreadable => formatter.write_str("it cannot be read, so it protects nothing"),
            Self::EveryPod => formatter.write_str("its podSelector is empty, so it has no members"),
            Self::EveryPodOfPeer => formatter.write_str("a peer without podSelector makes no clients"),
            Self::Everyone => formatter.write_str("a rule without peers makes no clients"),
            Self::Generated(key) => write!(formatter, "label {key} is written by controllers and protects nothing"),
            Self::Addresses => formatter.write_str("an ipBlock names no pods, so it has no clients"),
            Self::System => formatter.write_str("what it names in system namespaces makes no clients"),
            Self::TooMany => write!(
                formatter,
                "beyond {MAX_CLAUSES} peers, {MAX_REQUIREMENTS} requirements in one selector or {} KiB in all, nothing is protected",
                MAX_BYTES / 1024
            ),
        }
    }
}

impl Derived {
    /// What a policy that opted in makes.
    pub fn of(policy: &Policy) -> Self {
        let namespace = policy.name.namespace.clone();
        let mut left_out = BTreeSet::new();
        let mut left = MAX_BYTES;
        let mut keep = |namespaces: NamespaceSet, pods: &Selector, empty: LeftOut| {
            let length = bytes_of(pods) + length(&namespaces);
            let fits = left.checked_sub(length).ok_or(LeftOut::TooMany);
            match usable(pods, empty).and(fits) {
                Ok(rest) => {
                    left = rest;
                    let pods = pods.clone();
                    Some(Clause { namespaces, pods })
                }
                Err(why) => {
                    left_out.insert(why);
                    None
                }
            }
        };
        let own = NamespaceSet::Named([namespace.clone()].into());
        let members = keep(own, &policy.pods, LeftOut::EveryPod).into_iter().collect();
        let mut clients = Vec::new();
        for (namespaces, pods) in peers(policy) {
            let clause = keep(set(namespaces, &namespace), pods, LeftOut::EveryPodOfPeer);
            clients.extend(clause.filter(|clause| !clients.contains(clause)));
            if clients.len() > MAX_CLAUSES {
                break;
            }
        }
        if clients.len() > MAX_CLAUSES {
            clients.truncate(MAX_CLAUSES);
            left_out.insert(LeftOut::TooMany);
        }
        let lets_everyone_in = |rules: &[Rule]| rules.iter().any(|rule| rule.peers == Peers::Everyone);
        if policy.ingress.as_deref().is_some_and(lets_everyone_in) {
            left_out.insert(LeftOut::Everyone);
        }
        let mut listed = policy.peers().peekable();
        Self {
            name: SegmentName::of_policy(&namespace, &policy.name.name),
            namespace,
            members,
            clients,
            left_out: left_out.into_iter().collect(),
            beyond: reaching_beyond(policy),
            only_addresses: listed.peek().is_some() && listed.all(|peer| matches!(peer, Peer::Block(_))),
        }
    }

    /// What a policy with these labels makes that opted in; `policy` is none where nobody can read it.
    pub fn made_by(name: &PolicyName, labels: &impl LabelSet, policy: Option<&Policy>) -> Self {
        let nothing = |why| Self::nothing(name.namespace.clone(), &name.name, why);
        match policy {
            _ if is_injected(&name.name, labels) => nothing(LeftOut::Injected),
            None => nothing(LeftOut::Unreadable),
            Some(policy) => Self::of(policy),
        }
    }

    /// What a policy that opted in makes where it makes nothing at all.
    fn nothing(namespace: NamespaceName, policy: &str, why: LeftOut) -> Self {
        Self {
            name: SegmentName::of_policy(&namespace, policy),
            namespace,
            members: Vec::new(),
            clients: Vec::new(),
            left_out: vec![why],
            beyond: None,
            only_addresses: false,
        }
    }

    /// The name of the segment, which tells the policy's.
    pub fn name(&self) -> &SegmentName {
        &self.name
    }

    /// Whether there is nothing in it for anybody to be asked about.
    pub fn is_nothing(&self) -> bool {
        self.members.is_empty() && self.clients.is_empty()
    }

    /// The segment that it makes under a configuration, and whatever of the policy makes no clause there.
    pub fn under(&self, guardrails: &Guardrails) -> (Option<Segment>, Vec<LeftOut>) {
        let system = |clause: &Clause| match &clause.namespaces {
            NamespaceSet::Named(names) => names
                .iter()
                .any(|name| *name != self.namespace && guardrails.system_namespaces.contains(name)),
            NamespaceSet::Selected(_) => false,
        };
        let mut left_out = self.left_out.clone();
        left_out.extend(self.only_addresses.then_some(LeftOut::Addresses));
        left_out.extend(self.clients.iter().any(system).then_some(LeftOut::System));
        (self.segment(guardrails), left_out)
    }

    /// The segment, as strict as this configuration lets the policy's namespace be: who may not be refused there may not
    /// have others refused elsewhere. System namespaces are left out of what reaches beyond its own.
    fn segment(&self, guardrails: &Guardrails) -> Option<Segment> {
        let clients: Vec<Clause> = self
            .clients
            .iter()
            .filter_map(|clause| outside(clause, &self.namespace, &guardrails.system_namespaces))
            .collect();
        (!self.members.is_empty() || !clients.is_empty()).then(|| Segment {
            name: self.name.clone(),
            description: DESCRIPTION.to_owned(),
            mode: guardrails.rollout.cap(self.namespace.as_str(), guardrails.mode),
            consent: Scope::Namespace(self.namespace.clone()),
            members: self.members.clone(),
            clients,
            isolated_from: Vec::new(),
            require_isolation: Vec::new(),
            guard_access: false,
        })
    }
}

impl Guardrails {
    /// This configuration, which has no derived segments yet, with those: of each namespace the first by name, up to 200,
    /// 5,000 clauses and 1 MiB.
    #[must_use]
    pub fn with_derived<'d>(&self, derived: impl IntoIterator<Item = &'d Derived>) -> Self {
        let mut segments: Vec<Segment> = derived
            .into_iter()
            .filter_map(|derived| derived.segment(self))
            .collect();
        segments.sort_unstable_by(|one, other| one.name.cmp(&other.name));
        let mut made: BTreeMap<NamespaceName, Amount> = BTreeMap::new();
        segments.retain(|segment| {
            let Scope::Namespace(namespace) = &segment.consent else {
                return true;
            };
            let made = made.entry(namespace.clone()).or_default();
            made.add(segment);
            made.is_within(MOST_OF_NAMESPACE)
        });
        let mut whole = self.clone();
        let first = u32::try_from(whole.segments.len()).unwrap_or(u32::MAX);
        let clauses: Vec<_> = identified(first, &segments).collect();
        whole.index.extend(&clauses);
        let selecting = clauses
            .iter()
            .filter(|(_, clause)| clause.namespaces.depends_on_labels());
        whole.selecting.extend(selecting.map(|(id, _)| *id));
        whole.segments.append(&mut segments);
        whole
    }
}

/// Whether a policy is one of those that isolate namespaces, or would pass for one.
pub(crate) fn is_injected(name: &str, labels: &impl LabelSet) -> bool {
    name.starts_with(RESERVED_PREFIX) || labels.value(MANAGED_BY.0) == Some(MANAGED_BY.1)
}

/// Whether a policy with these labels asks to be protected.
pub fn is_protected(labels: &impl LabelSet) -> bool {
    labels.value(PROTECTED_LABEL.0) == Some(PROTECTED_LABEL.1)
}

/// The peers of both directions that are pods.
fn peers(policy: &Policy) -> impl Iterator<Item = (&PeerNamespaces, &Selector)> {
    policy.peers().filter_map(|peer| match peer {
        Peer::Pods { namespaces, pods } => Some((namespaces, pods)),
        Peer::Block(_) => None,
    })
}

/// Whether a clause can stand on a selector.
fn usable(pods: &Selector, empty: LeftOut) -> Result<(), LeftOut> {
    if pods.is_everything() {
        return Err(empty);
    }
    if pods.requirements().len() > MAX_REQUIREMENTS {
        return Err(LeftOut::TooMany);
    }
    let generated = |requirement: &&Requirement| generated_by(&requirement.key).is_some();
    match pods.requirements().iter().find(generated) {
        Some(requirement) => Err(LeftOut::Generated(requirement.key.clone())),
        None => Ok(()),
    }
}

/// How many bytes of keys and values a selector holds.
fn bytes_of(selector: &Selector) -> usize {
    let values = |operator: &Operator| match operator {
        Operator::In(values) | Operator::NotIn(values) => values.iter().map(String::len).sum(),
        Operator::Exists | Operator::DoesNotExist => 0_usize,
    };
    let requirements = selector.requirements().iter();
    requirements.map(|one| one.key.len() + values(&one.operator)).sum()
}

/// How many bytes of names, or of keys and values, a set of namespaces holds.
fn length(namespaces: &NamespaceSet) -> usize {
    match namespaces {
        NamespaceSet::Named(names) => names.iter().map(|name| name.as_str().len()).sum(),
        NamespaceSet::Selected(selector) => bytes_of(selector),
    }
}

/// The namespaces of a peer; by name where nothing but names selects them.
fn set(namespaces: &PeerNamespaces, own: &NamespaceName) -> NamespaceSet {
    match namespaces {
        PeerNamespaces::Own => NamespaceSet::Named([own.clone()].into()),
        PeerNamespaces::Selected(selector) => match selector.requirements() {
            [
                Requirement {
                    key,
                    operator: Operator::In(names),
                },
            ] if key == NAMESPACE_NAME_LABEL => {
                // A name that no namespace can have selects none.
                let names = names.iter().filter_map(|name| NamespaceName::new(name).ok());
                NamespaceSet::Named(names.collect())
            }
            _ => NamespaceSet::Selected(selector.clone()),
        },
    }
}

/// A clause of clients without the system namespaces that it reaches; none where nothing is left. A policy that lets its
/// pods ask the cluster's DNS is not to have the DNS asked for.
fn outside(clause: &Clause, own: &NamespaceName, system: &BTreeSet<NamespaceName>) -> Option<Clause> {
    let namespaces = match &clause.namespaces {
        NamespaceSet::Named(names) => {
            let left: BTreeSet<NamespaceName> = names
                .iter()
                .filter(|name| *name == own || !system.contains(*name))
                .cloned()
                .collect();
            if left.is_empty() {
                return None;
            }
            NamespaceSet::Named(left)
        }
        NamespaceSet::Selected(selector) if system.is_empty() => NamespaceSet::Selected(selector.clone()),
        NamespaceSet::Selected(selector) => {
            let mut requirements = selector.requirements().to_vec();
            requirements.push(Requirement {
                key: NAMESPACE_NAME_LABEL.to_owned(),
                operator: Operator::NotIn(system.iter().map(ToString::to_string).collect()),
            });
            NamespaceSet::Selected(Selector::new(requirements))
        }
    };
    Some(Clause {
        namespaces,
        pods: clause.pods.clone(),
    })
}

/// The first peer of a policy that reaches beyond its own namespace, e.g. `ingress[0].from[1]`: one by whose
/// namespaceSelector more could be meant than the namespace that the policy stands in.
pub(crate) fn reaching_beyond(policy: &Policy) -> Option<String> {
    let pinned = |selector: &Selector| {
        selector.requirements().iter().any(|requirement| {
            requirement.key == NAMESPACE_NAME_LABEL
                && matches!(&requirement.operator, Operator::In(names)
                    if matches!(names.as_slice(), [name] if name == policy.name.namespace.as_str()))
        })
    };
    let beyond = |peer: &Peer| match peer {
        Peer::Pods {
            namespaces: PeerNamespaces::Selected(selector),
            ..
        } => !pinned(selector),
        Peer::Pods { .. } | Peer::Block(_) => false,
    };
    let directions = [
        (Direction::Ingress, "ingress", "from"),
        (Direction::Egress, "egress", "to"),
    ];
    directions.into_iter().find_map(|(direction, rules, peers)| {
        policy.rules(direction)?.iter().enumerate().find_map(|(rule, said)| {
            let Peers::Listed(listed) = &said.peers else {
                return None;
            };
            let peer = listed.iter().position(beyond)?;
            Some(format!("{rules}[{rule}].{peers}[{peer}]"))
        })
    })
}
