//! [`Changes`]: what differs between two worlds, by asking both of them about the same pairs of groups. Pairs that nothing
//! isolates, before or after, are not even visited.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use hashbrown::HashMap;

use super::flow::{EVERYTHING, Flow, Flows};
use super::group::GroupId;
use super::vocabulary::Vocabulary;
use super::{Reach, opposite};
use crate::model::NamespaceName;
use crate::netpol::{
    AddressSet, Difference, DifferenceEnd, Direction, End, EndpointId, PROTOCOLS, PolicyName, PortRange, PortSet,
    Protocol, ReachOptions, Unrestricted, Within, World,
};

/// What a change from one world to another opens and closes.
///
/// Workloads are the same where namespace, kind and name are; of several that policies of either world tell apart, those
/// that they see alike. What reaches a workload that is only in one of the worlds, or is reached by it, is a difference.
#[derive(Debug)]
pub struct Changes<'w> {
    before: Reach<'w>,
    after: Reach<'w>,
    classes: Vec<Class>,
    /// The classes of each group, before and after.
    by_before: HashMap<GroupId, Vec<ClassId>>,
    by_after: HashMap<GroupId, Vec<ClassId>>,
    within: Within,
}

/// Workloads that are of one group before and of one group after.
#[derive(Debug)]
struct Class {
    before: Option<GroupId>,
    after: Option<GroupId>,
    ends: Vec<(Option<EndpointId>, Option<EndpointId>)>,
}

type ClassId = usize;

/// How one protocol differs.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Differs {
    protocol: Protocol,
    opened: Arc<[PortRange]>,
    closed: Arc<[PortRange]>,
    before: Vec<PolicyName>,
    after: Vec<PolicyName>,
}

impl<'w> Changes<'w> {
    /// Compares two worlds. Both are told apart by the words of the policies of either.
    pub fn between(before: &'w World, after: &'w World, options: &ReachOptions) -> Self {
        let vocabulary = Vocabulary::of(before.policies.iter().chain(&after.policies));
        let [before, after] = [before, after].map(|world| Reach::with_vocabulary(world, *options, &vocabulary));
        let mut classes: Vec<Class> = Vec::new();
        let mut numbers: HashMap<(Option<GroupId>, Option<GroupId>), ClassId> = HashMap::new();
        for (old, new) in paired(&before, &after, &vocabulary) {
            let groups = (
                old.map(|end| before.group_of[end.index()]),
                new.map(|end| after.group_of[end.index()]),
            );
            let number = *numbers.entry(groups).or_insert_with(|| {
                classes.push(Class {
                    before: groups.0,
                    after: groups.1,
                    ends: Vec::new(),
                });
                classes.len() - 1
            });
            classes[number].ends.push((old, new));
        }
        let mut changes = Self {
            before,
            after,
            classes,
            by_before: HashMap::new(),
            by_after: HashMap::new(),
            within: options.within,
        };
        for (number, class) in changes.classes.iter().enumerate() {
            if let Some(group) = class.before {
                changes.by_before.entry(group).or_default().push(number);
            }
            if let Some(group) = class.after {
                changes.by_after.entry(group).or_default().push(number);
            }
        }
        changes
    }

    /// The old world.
    pub fn before(&self) -> &Reach<'w> {
        &self.before
    }

    /// The new world.
    pub fn after(&self) -> &Reach<'w> {
        &self.after
    }

    /// Every connection that differs: by source, first to workloads, then to the outside; last what comes from the outside.
    pub fn differences(&self) -> impl Iterator<Item = Difference> {
        let flipped: Vec<ClassId> = (0..self.classes.len()).filter(|class| self.flips(*class)).collect();
        let walked = self.classes.iter().flat_map(move |class| {
            let partners: Arc<[(ClassId, Differs)]> = self.partners(class, &flipped).into();
            let outside: Arc<[(DifferenceEnd, Differs)]> = self.outside(class, Direction::Egress).into();
            class.ends.iter().flat_map(move |end| {
                let partners = Arc::clone(&partners);
                let with_pods = (0..partners.len()).flat_map(move |at| {
                    let (far, differs) = partners[at].clone();
                    let others = self.classes[far].ends.iter();
                    let others = others.filter(move |other| *other != end || self.within == Within::Answered);
                    others.map(move |other| differs.between(workload(*end), workload(*other)))
                });
                let outside = Arc::clone(&outside);
                let with_outside = (0..outside.len()).map(move |at| {
                    let (other, differs) = &outside[at];
                    differs.between(workload(*end), *other)
                });
                with_pods.chain(with_outside)
            })
        });
        let entering = self.classes.iter().flat_map(|class| {
            let outside: Arc<[(DifferenceEnd, Differs)]> = self.outside(class, Direction::Ingress).into();
            class.ends.iter().flat_map(move |end| {
                let outside = Arc::clone(&outside);
                (0..outside.len()).map(move |at| {
                    let (other, differs) = &outside[at];
                    differs.between(*other, workload(*end))
                })
            })
        });
        walked.chain(entering)
    }

    /// Whether whoever is not isolated for egress, before and after, may have come to reach a class freely, or no longer.
    fn flips(&self, class: ClassId) -> bool {
        let class = &self.classes[class];
        let free = |reach: &Reach<'_>, group: Option<GroupId>| {
            group.is_some_and(|group| reach.groups[group.index()].isolating(Direction::Ingress).is_none())
        };
        free(&self.before, class.before) != free(&self.after, class.after)
    }

    fn partners(&self, class: &Class, flipped: &[ClassId]) -> Vec<(ClassId, Differs)> {
        let open = |reach: &Reach<'_>, group: Option<GroupId>| {
            group.is_some_and(|group| reach.groups[group.index()].isolating(Direction::Egress).is_none())
        };
        let free = open(&self.before, class.before) && open(&self.after, class.after);
        let unrestricted = if free {
            Unrestricted::LeftOut
        } else {
            Unrestricted::Answered
        };
        let partners = |reach: &Reach<'_>, group: Option<GroupId>| -> HashMap<GroupId, Flows> {
            let partners = group.map(|group| reach.partners(group, Direction::Egress, unrestricted));
            partners.into_iter().flatten().collect()
        };
        let (before, after) = (partners(&self.before, class.before), partners(&self.after, class.after));
        let mut met: BTreeSet<ClassId> = if free {
            flipped.iter().copied().collect()
        } else {
            BTreeSet::new()
        };
        met.extend(before.keys().filter_map(|group| self.by_before.get(group)).flatten());
        met.extend(after.keys().filter_map(|group| self.by_after.get(group)).flatten());
        let flows = |reach: &Reach<'_>, known: &HashMap<GroupId, Flows>, far: Option<GroupId>| -> Option<Flows> {
            let far = far?;
            let unanswered = free
                && reach.groups[far.index()]
                    .isolating(opposite(Direction::Egress))
                    .is_none();
            known
                .get(&far)
                .cloned()
                .or_else(|| unanswered.then(|| EVERYTHING.clone()))
        };
        let differing = met.into_iter().flat_map(|met| {
            let far = &self.classes[met];
            let old = flows(&self.before, &before, far.before);
            let new = flows(&self.after, &after, far.after);
            let differs = self.differs(old.as_deref().unwrap_or_default(), new.as_deref().unwrap_or_default());
            differs.into_iter().map(move |differs| (met, differs))
        });
        differing.collect()
    }

    fn differs(&self, before: &[Flow], after: &[Flow]) -> Vec<Differs> {
        let of = |flows: &[Flow], protocol| flows.iter().find(|flow| flow.protocol == protocol).cloned();
        let by_protocol = PROTOCOLS.into_iter().filter_map(|protocol| {
            self.differs_in(protocol, of(before, protocol).as_ref(), of(after, protocol).as_ref())
        });
        by_protocol.collect()
    }

    fn differs_in(&self, protocol: Protocol, before: Option<&Flow>, after: Option<&Flow>) -> Option<Differs> {
        let set = |flow: Option<&Flow>| {
            let ranges = flow.into_iter().flat_map(|flow| flow.ports.iter());
            let sets = ranges.map(|range| PortSet::range(protocol, range.first, range.last));
            sets.fold(PortSet::default(), |set, range| set.union(&range))
        };
        if before.map(|flow| &flow.ports) == after.map(|flow| &flow.ports) {
            return None;
        }
        let (old, new) = (set(before), set(after));
        let names = |reach: &Reach<'_>, flow: Option<&Flow>| {
            let policies = flow.into_iter().flat_map(|flow| flow.policies.iter());
            policies.map(|policy| reach.policy(*policy).name.clone()).collect()
        };
        Some(Differs {
            protocol,
            opened: new.difference(&old).ranges(protocol).collect(),
            closed: old.difference(&new).ranges(protocol).collect(),
            before: names(&self.before, before),
            after: names(&self.after, after),
        })
    }

    /// How what passes between a class and the outside differs, by the fewest CIDRs that fare alike.
    fn outside(&self, class: &Class, direction: Direction) -> Vec<(DifferenceEnd, Differs)> {
        let all = AddressSet::all();
        let flows = |reach: &Reach<'_>, group: Option<GroupId>| -> Vec<(AddressSet, Flow)> {
            let flows = group.map(|group| reach.outside_by_protocol(group, direction, &all));
            flows.unwrap_or_default()
        };
        let (before, after) = (flows(&self.before, class.before), flows(&self.after, class.after));
        let mut found: Vec<(DifferenceEnd, Differs)> = Vec::new();
        for protocol in PROTOCOLS {
            let of = |flows: &[(AddressSet, Flow)]| -> Vec<(AddressSet, Flow)> {
                flows
                    .iter()
                    .filter(|(_, flow)| flow.protocol == protocol)
                    .cloned()
                    .collect()
            };
            let (old, new) = (of(&before), of(&after));
            let sets: Vec<&AddressSet> = old.iter().chain(&new).map(|(set, _)| set).collect();
            let mut alike: Vec<(Differs, AddressSet)> = Vec::new();
            for (part, holding) in AddressSet::partition(&sets) {
                let old_flow = holding.iter().find_map(|at| old.get(*at)).map(|(_, flow)| flow);
                let new_flow = holding
                    .iter()
                    .find_map(|at| new.get(at.checked_sub(old.len())?))
                    .map(|(_, flow)| flow);
                let Some(differs) = self.differs_in(protocol, old_flow, new_flow) else {
                    continue;
                };
                match alike.iter_mut().find(|(known, _)| *known == differs) {
                    Some((_, set)) => *set = set.union(&part),
                    None => alike.push((differs, part)),
                }
            }
            for (differs, set) in alike {
                found.extend(set.cidrs().map(|net| (DifferenceEnd::Outside(net), differs.clone())));
            }
        }
        found.sort_by(|(one, left), (other, right)| (one, left.protocol).cmp(&(other, right.protocol)));
        found
    }
}

impl Differs {
    fn between(&self, source: DifferenceEnd, destination: DifferenceEnd) -> Difference {
        Difference {
            source,
            destination,
            protocol: self.protocol,
            opened: Arc::clone(&self.opened),
            closed: Arc::clone(&self.closed),
            policies_before: self.before.clone(),
            policies_after: self.after.clone(),
        }
    }
}

fn workload((before, after): (Option<EndpointId>, Option<EndpointId>)) -> DifferenceEnd {
    DifferenceEnd::Workload(before, after)
}

/// Which endpoint of the old world is which of the new one: first those that policies see alike, of these those that are
/// called alike, then in order.
fn paired(
    before: &Reach<'_>,
    after: &Reach<'_>,
    vocabulary: &Vocabulary<'_>,
) -> Vec<(Option<EndpointId>, Option<EndpointId>)> {
    type Named = (NamespaceName, Arc<str>, Arc<str>);
    let mut named: BTreeMap<Named, (Vec<EndpointId>, Vec<EndpointId>)> = BTreeMap::new();
    let name = |reach: &Reach<'_>, id: EndpointId| {
        let end = reach.endpoint(id);
        (end.namespace.clone(), end.kind.clone(), end.name.clone())
    };
    for id in before.ids() {
        named.entry(name(before, id)).or_default().0.push(id);
    }
    for id in after.ids() {
        named.entry(name(after, id)).or_default().1.push(id);
    }
    let alike = |old: EndpointId, new: EndpointId| {
        let [old, new] = [(before, old), (after, new)].map(|(reach, id)| {
            let group = &reach.groups[reach.group_of[id.index()].index()];
            (vocabulary.seen(&group.labels), group.host_network)
        });
        old == new
    };
    let labelled = |old: EndpointId, new: EndpointId| before.endpoint(old).apart == after.endpoint(new).apart;
    let mut pairs = Vec::new();
    for (mut old, mut new) in named.into_values() {
        let closest_first: [&dyn Fn(EndpointId, EndpointId) -> bool; 3] = [
            &|one, other| alike(one, other) && labelled(one, other),
            &alike,
            &|_, _| true,
        ];
        for near in closest_first {
            old.retain(|one| match new.iter().position(|other| near(*one, *other)) {
                Some(at) => {
                    pairs.push((Some(*one), Some(new.remove(at))));
                    false
                }
                None => true,
            });
        }
        pairs.extend(old.into_iter().map(|one| (Some(one), None)));
        pairs.extend(new.into_iter().map(|one| (None, Some(one))));
    }
    pairs
}

impl DifferenceEnd {
    /// The end in the old world, if it is there.
    pub fn before(self) -> Option<End> {
        match self {
            Self::Workload(before, _) => before.map(End::Workload),
            Self::Outside(net) => Some(End::Outside(net)),
        }
    }

    /// The end in the new world, if it is there.
    pub fn after(self) -> Option<End> {
        match self {
            Self::Workload(_, after) => after.map(End::Workload),
            Self::Outside(net) => Some(End::Outside(net)),
        }
    }
}
