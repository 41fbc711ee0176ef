//! [`Vocabulary`]: the words by which policies tell pods apart. Pods that differ in nothing that any policy mentions are
//! the same to all of them: a pod-template-hash or a StatefulSet's ordinal then makes no end of its own.

use hashbrown::{HashMap, HashSet};

use crate::labels::{Operator, Selector};
use crate::netpol::{DIRECTIONS, NamedPort, Peer, Peers, Policy, Protocol, Workload};

#[derive(Debug, Default)]
pub(super) struct Vocabulary<'w> {
    /// Label keys of pods, with the values that make a difference.
    labels: HashMap<&'w str, HashSet<&'w str>>,
    /// Names of ports.
    ports: HashSet<(Protocol, &'w str)>,
}

/// A label as policies see it: its value, or that it has another than those that any of them mentions.
pub(super) type Seen<'v> = (&'v str, Option<&'v str>);

impl<'w> Vocabulary<'w> {
    /// The words of these policies.
    pub(super) fn of(policies: impl IntoIterator<Item = &'w Policy>) -> Self {
        let mut vocabulary = Self::default();
        for policy in policies {
            vocabulary.add_selector(&policy.pods);
            for direction in DIRECTIONS {
                for rule in policy.rules(direction).unwrap_or_default() {
                    vocabulary.ports.extend(rule.ports.named());
                    if let Peers::Listed(peers) = &rule.peers {
                        for peer in peers {
                            if let Peer::Pods { pods, .. } = peer {
                                vocabulary.add_selector(pods);
                            }
                        }
                    }
                }
            }
        }
        vocabulary
    }

    fn add_selector(&mut self, selector: &'w Selector) {
        for requirement in selector.requirements() {
            let values = self.labels.entry(&requirement.key).or_default();
            if let Operator::In(mentioned) | Operator::NotIn(mentioned) = &requirement.operator {
                values.extend(mentioned.iter().map(String::as_str));
            }
        }
    }

    /// The labels of a workload that make a difference, by key.
    pub(super) fn labels(&self, workload: &Workload) -> Vec<(String, String)> {
        let mut labels: Vec<(String, String)> = workload
            .labels
            .iter()
            .filter(|(key, _)| self.labels.contains_key(key.as_str()))
            .cloned()
            .collect();
        labels.sort_unstable();
        labels
    }

    /// How policies see labels.
    pub(super) fn seen<'v>(&self, labels: &'v [(String, String)]) -> Vec<Seen<'v>> {
        let labels = labels.iter().filter_map(|(key, value)| {
            let mentioned = self.labels.get(key.as_str())?;
            let value = mentioned.contains(value.as_str()).then_some(value.as_str());
            Some((key.as_str(), value))
        });
        labels.collect()
    }

    /// The named ports that make a difference, in order.
    pub(super) fn ports(&self, workload: &Workload) -> Vec<NamedPort> {
        let mut ports: Vec<NamedPort> = workload
            .ports
            .iter()
            .filter(|port| self.ports.contains(&(port.protocol, &*port.name)))
            .cloned()
            .collect();
        ports.sort_unstable();
        ports.dedup();
        ports
    }
}
