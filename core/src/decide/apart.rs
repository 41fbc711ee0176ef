//! What segments keep apart, as pairs of clauses: how a policy that selects the one could let it reach, or be reached by,
//! the other, and the words for it.

use std::fmt;

use crate::guardrails::documents::Direction;
use crate::guardrails::{Clause, Guardrails, SegmentId};
use crate::labels::LabelSpace;
use crate::model::NamespaceName;
use crate::netpol::{DIRECTIONS, Existing, Policy, Way};

/// The list of a segment that says what it is kept apart from.
const ISOLATED_FROM: &str = "isolatedFrom";

/// One side of what is kept apart: a clause and where it stands.
#[derive(Clone, Copy)]
pub(super) struct End<'g> {
    pub(super) clause: &'g Clause,
    list: &'static str,
    position: usize,
}

/// What a policy must not do: select the one and let it reach, or be reached by, the other.
pub(super) struct Pair<'g> {
    pub(super) segment: SegmentId,
    pub(super) selected: End<'g>,
    pub(super) reached: End<'g>,
}

/// Something that opens what a segment keeps apart.
pub(super) struct Crossing {
    pub(super) segment: SegmentId,
    /// The clause of `isolatedFrom`.
    pub(super) clause: String,
    pub(super) doing: &'static str,
    pub(super) why: String,
}

const CONNECT: &str = "connect to what";

/// Everything that no policy may do, both ways round.
pub(super) fn pairs(guardrails: &Guardrails) -> impl Iterator<Item = Pair<'_>> {
    (0..)
        .map(SegmentId)
        .zip(&guardrails.segments)
        .flat_map(|(id, segment)| {
            let end = |list: &'static str| move |(position, clause)| End { clause, list, position };
            let members = segment.members.iter().enumerate().map(end("members"));
            members.flat_map(move |member| {
                let isolated = segment.isolated_from.iter().enumerate().map(end(ISOLATED_FROM));
                isolated.flat_map(move |isolated| {
                    [(member, isolated), (isolated, member)].map(|(selected, reached)| Pair {
                        segment: id,
                        selected,
                        reached,
                    })
                })
            })
        })
}

impl End<'_> {
    fn pods(&self) -> LabelSpace {
        LabelSpace::from(&self.clause.pods)
    }
}

impl fmt::Display for End<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}[{}]", self.list, self.position)
    }
}

impl Pair<'_> {
    /// Whether a policy over such pods could select pods of the one, its namespace being one of the selected.
    pub(super) fn may_be_selected(&self, pods: &LabelSpace) -> bool {
        pods.could_match(&self.selected.clause.pods)
    }

    /// How a policy that selects pods of the one could connect the two.
    pub(super) fn ways<'p>(&self, policy: &'p Policy) -> Vec<(Direction, Way<'p>)> {
        let pods = self.reached.pods();
        DIRECTIONS
            .into_iter()
            .flat_map(|direction| {
                let ways = policy.ways(direction, &pods).into_iter();
                ways.map(move |way| (direction, way))
            })
            .collect()
    }

    /// Whether a way leads to the other in this namespace.
    pub(super) fn is_reached(&self, way: &Way<'_>, namespace: &Existing<'_>) -> bool {
        namespace.is_in(&self.reached.clause.namespaces) && way.leads_to(namespace)
    }

    /// What a policy with too many peers comes to.
    pub(super) fn untold(&self, policy: &str) -> Crossing {
        Crossing {
            segment: self.segment,
            clause: self.isolated(),
            doing: CONNECT,
            why: format!(
                "there are too many peers{policy} to tell whether {} and {} could reach each other; write policies with fewer",
                self.selected, self.reached
            ),
        }
    }

    /// The clause of `isolatedFrom`.
    fn isolated(&self) -> String {
        let mut ends = [self.selected, self.reached].into_iter();
        let isolated = ends.find(|end| end.list == ISOLATED_FROM);
        isolated.map_or_else(String::new, |end| end.to_string())
    }

    pub(super) fn crossing(
        &self,
        policy: &str,
        direction: Direction,
        way: &Way<'_>,
        namespace: &NamespaceName,
    ) -> Crossing {
        let (rules, peers) = match direction {
            Direction::Ingress => ("ingress", "from"),
            Direction::Egress => ("egress", "to"),
        };
        let peer = way.peer.map_or_else(
            || " (for everyone)".to_owned(),
            |position| format!(".{peers}[{position}]"),
        );
        let reached = format!("{} in namespace {namespace}", self.reached);
        let (source, destination) = match direction {
            Direction::Ingress => (reached, self.selected.to_string()),
            Direction::Egress => (self.selected.to_string(), reached),
        };
        Crossing {
            segment: self.segment,
            clause: self.isolated(),
            doing: CONNECT,
            why: format!("{rules}[{}]{peer}{policy} lets {source} reach {destination}", way.rule),
        }
    }
}
