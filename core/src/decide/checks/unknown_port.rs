//! # UnknownPort
//!
//! **Stops** a rule on a port by a name that nothing answers to: it lets nothing through, and whoever mends that in haste
//! drops the port. Names are looked up where they mean something: those of ingress in the pods that the policy selects, those
//! of egress in the pods of its own namespace that the rule names (of other namespaces nothing is said). An address has no
//! named ports. Pods and templates count, as by SelectsNothing; where no pod is selected, nothing is said.
//!
//! **Example.** `ports: [{port: htpp}]`, or `{port: dns}` without `protocol: UDP` where the container says UDP. Without a
//! `mode` of its own this check is at most Warn.
//!
//! **Settle it** by repairing the name, or with `waive` on `policychecks.ringfence.dev/UnknownPort` at the cluster.

use std::collections::BTreeSet;

use super::sight::{Breach, DIRECTIONS, SeenRule, Sight, Standing, rules_of};
use crate::labels::Selector;
use crate::model::Running;
use crate::netpol::{Direction, Peer, PeerNamespaces, Policy, Protocol, protocol_name};

/// Whether who runs has to be known.
pub(super) fn asks(sight: &Sight<'_>) -> bool {
    DIRECTIONS.into_iter().any(|direction| {
        let mut rules = sight.rules(direction);
        rules.any(|seen| seen.ports().named().next().is_some())
    })
}

pub(super) fn find(sight: &Sight<'_>, running: &[Running]) -> Vec<Breach> {
    let known: BTreeSet<Unknown<'_>> = sight
        .before()
        .map(|before| unknown(before, running).map(|(_, unknown)| unknown).collect())
        .unwrap_or_default();
    unknown(sight.policy, running)
        .map(|(seen, unknown)| Breach {
            why: format!(
                "{}.ports names {} {}, which {}",
                seen.path(),
                protocol_name(unknown.1),
                unknown.2,
                match unknown.0 {
                    Direction::Ingress => "no selected pod has",
                    Direction::Egress => "nothing that it lets out to has",
                }
            ),
            standing: if known.contains(&unknown) {
                Standing::Before
            } else {
                Standing::New
            },
        })
        .collect()
}

/// A port by name that nothing answers to.
type Unknown<'p> = (Direction, Protocol, &'p str);

/// Every name that nothing answers to, with its rule.
fn unknown<'p>(policy: &'p Policy, running: &'p [Running]) -> impl Iterator<Item = (SeenRule<'p>, Unknown<'p>)> {
    DIRECTIONS
        .into_iter()
        .flat_map(|direction| rules_of(policy, direction).map(move |seen| (direction, seen)))
        .filter_map(move |(direction, seen)| {
            let answering = answering(policy, direction, &seen, running)?;
            let has = |protocol: Protocol, name: &str| {
                let mut ports = answering.iter().flat_map(|running| &running.ports);
                ports.any(|port| port.protocol == protocol && &*port.name == name)
            };
            let names: Vec<Unknown<'p>> = seen
                .ports()
                .named()
                .filter(|(protocol, name)| !has(*protocol, name))
                .map(|(protocol, name)| (direction, protocol, name))
                .collect();
            Some((seen, names))
        })
        .flat_map(|(seen, names)| names.into_iter().map(move |unknown| (seen, unknown)))
}

/// What answers to the ports of a rule; none where that cannot be told.
fn answering<'p>(
    policy: &Policy,
    direction: Direction,
    seen: &SeenRule<'p>,
    running: &'p [Running],
) -> Option<Vec<&'p Running>> {
    let matching = |selectors: &[&Selector]| -> Vec<&'p Running> {
        let matches = |running: &&Running| selectors.iter().any(|selector| selector.matches(&running.labels));
        running.iter().filter(matches).collect()
    };
    if direction == Direction::Ingress {
        return Some(matching(&[&policy.pods])).filter(|selected| !selected.is_empty());
    }
    let mut selectors = Vec::new();
    for (_, peer) in seen.peers() {
        match peer {
            Peer::Pods {
                namespaces: PeerNamespaces::Own,
                pods,
            } => selectors.push(pods),
            Peer::Pods { .. } => return None,
            Peer::Block(_) => {}
        }
    }
    let answering = matching(&selectors);
    let addresses_alone = selectors.is_empty() && !seen.rule.is_for_everyone();
    (addresses_alone || !answering.is_empty()).then_some(answering)
}
