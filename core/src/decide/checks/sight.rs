//! [`Sight`]: a written policy as the checks look at it. Only what could ever let something pass is in it: a selector that
//! contradicts itself selects nobody. And [`Breach`]: what a check found there, new or as it was.

use std::cell::OnceCell;
use std::cmp::Ordering;

use super::super::policies::Written;
use super::guarded::Guarded;
use crate::guardrails::{CheckOptions, Guardrails};
use crate::labels::{LabelSpace, Selector};
use crate::netpol::{DIRECTIONS, Direction, Peer, PeerNamespaces, Peers, Policy, Ports, Rule, Worse, worse};

/// A written policy.
pub(super) struct Sight<'w> {
    /// The guardrails in force.
    pub(super) guardrails: &'w Guardrails,
    written: &'w Written,
    /// As it will stand.
    pub(super) policy: &'w Policy,
    /// Whether its podSelector contradicts itself.
    pub(super) selects_nothing: bool,
    guarded: OnceCell<Guarded<'w>>,
}

/// What a check refuses in a policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Breach {
    /// Where it stands and what it means.
    pub(super) why: String,
    /// Whether it is new.
    pub(super) standing: Standing,
}

/// Whether what a check refuses is new.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    /// It comes with this write, or this write opens more of it.
    New,
    /// It was no better before.
    Before,
}

/// A rule or a peer of it, by number; no peer where the rule is for everyone.
pub(super) type Spot = (usize, Option<usize>);

/// A rule that could let something pass.
#[derive(Clone, Copy)]
pub(super) struct SeenRule<'w> {
    direction: Direction,
    at: usize,
    /// The rule.
    pub(super) rule: &'w Rule,
}

impl<'w> Sight<'w> {
    /// None where there is nothing to look at: the policy goes, or says what it said before.
    pub(super) fn of(written: &'w Written, guardrails: &'w Guardrails) -> Option<Self> {
        let policy = written.after.as_ref()?;
        (written.before.as_ref() != Some(policy)).then_some(Self {
            guardrails,
            written,
            policy,
            selects_nothing: policy.selects_nothing(),
            guarded: OnceCell::new(),
        })
    }

    /// Whether whoever could come to be a peer needs a permission for it.
    pub(super) fn is_guarded(&self, namespaces: &PeerNamespaces, pods: &Selector) -> bool {
        let guarded = self.guarded.get_or_init(|| Guarded::by(self.guardrails));
        guarded.holds(namespaces, pods, &self.policy.name.namespace)
    }

    /// What the checks leave alone.
    pub(super) fn options(&self) -> &'w CheckOptions {
        &self.guardrails.check_options
    }

    /// As it stood; none where it is new.
    pub(super) fn before(&self) -> Option<&'w Policy> {
        self.written.before.as_ref()
    }

    /// The rules of a direction; none of a policy that can never select a pod.
    pub(super) fn rules(&self, direction: Direction) -> impl Iterator<Item = SeenRule<'w>> + use<'w> {
        let rules = if self.selects_nothing {
            None
        } else {
            self.policy.rules(direction)
        };
        seen(rules.unwrap_or_default(), direction)
    }

    /// A breach for each peer of which this tells what is refused; that is told after the peer's path.
    pub(super) fn breaches_by_peer(&self, refused: impl Fn(&Peer) -> Option<String>) -> Vec<Breach> {
        let mut found = Vec::new();
        for direction in DIRECTIONS {
            for seen in self.rules(direction) {
                for (at, peer) in seen.peers() {
                    if let Some(what) = refused(peer) {
                        let why = format!("{}[{at}]{what}", seen.peers_path());
                        found.push(self.breach(direction, [seen.spot(at)], why));
                    }
                }
            }
        }
        found
    }

    /// What a check refuses at these spots together. It is new where the write opens any of them.
    pub(super) fn breach(
        &self,
        direction: Direction,
        spots: impl IntoIterator<Item = Spot>,
        why: impl Into<String>,
    ) -> Breach {
        let opens = |spot: Spot| opens(self.written.opened().of(direction), spot);
        Breach {
            why: why.into(),
            standing: if self.written.before.is_none() || spots.into_iter().any(opens) {
                Standing::New
            } else {
                Standing::Before
            },
        }
    }

    /// What the write opens beside what a check refused of its old form: rules for everyone, and these peers. A check that
    /// leaves small pieces alone judges by this what is no longer small; else the pieces that were let in one after the
    /// other would let in the whole.
    pub(super) fn opened_beside(&self, direction: Direction, refused: impl Fn(&Peer) -> bool) -> Vec<Worse> {
        let Some(before) = self.before() else {
            return Vec::new();
        };
        let mut old = before.clone();
        let rules = match direction {
            Direction::Ingress => &mut old.ingress,
            Direction::Egress => &mut old.egress,
        };
        for rule in rules.iter_mut().flatten() {
            if let Peers::Listed(peers) = &mut rule.peers {
                peers.retain(&refused);
            }
        }
        worse(&old, self.policy, direction)
    }
}

/// Whether a spot is among what a write opens, in the order of [`worse`].
pub(super) fn opens(opened: &[Worse], spot: Spot) -> bool {
    let found = opened.binary_search_by(|worse| match worse {
        // Comes first.
        Worse::Releases => Ordering::Less,
        Worse::Opens { rule, peer } => (*rule, *peer).cmp(&spot),
    });
    found.is_ok()
}

/// The rules of a direction that could let something pass.
pub(super) fn rules_of(policy: &Policy, direction: Direction) -> impl Iterator<Item = SeenRule<'_>> {
    let rules = if policy.selects_nothing() {
        None
    } else {
        policy.rules(direction)
    };
    seen(rules.unwrap_or_default(), direction)
}

fn seen(rules: &[Rule], direction: Direction) -> impl Iterator<Item = SeenRule<'_>> {
    rules
        .iter()
        .enumerate()
        .map(move |(at, rule)| SeenRule { direction, at, rule })
        .filter(|seen| seen.rule.is_for_everyone() || seen.peers().next().is_some())
}

impl<'w> SeenRule<'w> {
    /// Its peers that could be anybody, by number.
    pub(super) fn peers(&self) -> impl Iterator<Item = (usize, &'w Peer)> + use<'w> {
        let could_be = |peer: &Peer| match peer {
            Peer::Pods { namespaces, pods } => {
                let namespaces = match namespaces {
                    PeerNamespaces::Own => LabelSpace::everything(),
                    PeerNamespaces::Selected(selector) => LabelSpace::from(selector),
                };
                !namespaces.is_empty() && !LabelSpace::from(pods).is_empty()
            }
            Peer::Block(_) => true,
        };
        self.rule
            .listed()
            .iter()
            .enumerate()
            .filter(move |(_, peer)| could_be(peer))
    }

    /// Where it is for everyone, itself; else each of its peers.
    pub(super) fn spots(&self) -> Vec<Spot> {
        if self.rule.is_for_everyone() {
            vec![(self.at, None)]
        } else {
            self.peers().map(|(peer, _)| self.spot(peer)).collect()
        }
    }

    /// A peer of it.
    pub(super) fn spot(&self, peer: usize) -> Spot {
        (self.at, Some(peer))
    }

    /// Its path, e.g. `spec.ingress[0]`.
    pub(super) fn path(&self) -> String {
        let list = match self.direction {
            Direction::Ingress => "ingress",
            Direction::Egress => "egress",
        };
        format!("spec.{list}[{}]", self.at)
    }

    /// The path of its peers, e.g. `spec.ingress[0].from`.
    pub(super) fn peers_path(&self) -> String {
        let field = match self.direction {
            Direction::Ingress => "from",
            Direction::Egress => "to",
        };
        format!("{}.{field}", self.path())
    }

    /// Its ports.
    pub(super) fn ports(&self) -> &'w Ports {
        &self.rule.ports
    }
}
