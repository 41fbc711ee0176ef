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

use std::cell::OnceCell;
use std::collections::BTreeSet;
use std::rc::Rc;

use super::sight::{Breach, SeenRule, Sight, Standing, rules_of};
use crate::labels::Selector;
use crate::model::Running;
use crate::netpol::{DIRECTIONS, Direction, Peer, PeerNamespaces, Policy, Protocol, protocol_name};

/// How many selectors are held against what runs; of the rules that are left nothing is said.
const MOST_STEPS: usize = 1 << 20;

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
        .map(|before| {
            unknown(before, running)
                .into_iter()
                .map(|(_, unknown)| unknown)
                .collect()
        })
        .unwrap_or_default();
    unknown(sight.policy, running)
        .into_iter()
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
fn unknown<'p>(policy: &'p Policy, running: &'p [Running]) -> Vec<(SeenRule<'p>, Unknown<'p>)> {
    let mut answering = Answering {
        running,
        selected: OnceCell::new(),
        steps: 0,
    };
    let mut found = Vec::new();
    for direction in DIRECTIONS {
        for seen in rules_of(policy, direction) {
            let names: Vec<(Protocol, &str)> = seen.ports().named().collect();
            if names.is_empty() {
                continue;
            }
            let answered = match direction {
                Direction::Ingress => answering.selected(policy).cloned(),
                Direction::Egress => answering.let_out_to(&seen),
            };
            let Some(answered) = answered else { continue };
            let unanswered = names.into_iter().filter(|name| !answered.contains(name));
            found.extend(unanswered.map(|(protocol, name)| (seen, (direction, protocol, name))));
        }
    }
    found
}

/// The names that somebody answers to.
type Names<'p> = Rc<BTreeSet<(Protocol, &'p str)>>;

/// What answers to the ports of rules.
struct Answering<'p> {
    running: &'p [Running],
    /// What the policy selects, looked up once.
    selected: OnceCell<Option<Names<'p>>>,
    steps: usize,
}

impl<'p> Answering<'p> {
    fn matching(&self, selectors: &[&Selector]) -> Vec<&'p Running> {
        let matches = |running: &&Running| selectors.iter().any(|selector| selector.matches(&running.labels));
        self.running.iter().filter(matches).collect()
    }

    /// Of ingress; none where no pod is selected.
    fn selected(&self, policy: &Policy) -> Option<&Names<'p>> {
        let selected = self.selected.get_or_init(|| {
            let selected = self.matching(&[&policy.pods]);
            (!selected.is_empty()).then(|| names(&selected))
        });
        selected.as_ref()
    }

    /// Of egress; none where it cannot be told.
    fn let_out_to(&mut self, seen: &SeenRule<'p>) -> Option<Names<'p>> {
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
        self.steps = self
            .steps
            .saturating_add(selectors.len().saturating_mul(self.running.len()));
        if self.steps > MOST_STEPS {
            return None;
        }
        let answering = self.matching(&selectors);
        let addresses_alone = selectors.is_empty() && !seen.rule.is_for_everyone();
        (addresses_alone || !answering.is_empty()).then(|| names(&answering))
    }
}

fn names<'p>(running: &[&'p Running]) -> Names<'p> {
    let ports = running.iter().flat_map(|running| &running.ports);
    Rc::new(ports.map(|port| (port.protocol, &*port.name)).collect())
}
