//! # Cross
//!
//! **Stops** a policy from connecting what a segment keeps apart (`isolatedFrom`), whoever owns either side: a policy that
//! selects members and names what is kept apart, one that selects what is kept apart and names members, and a label by which
//! a namespace comes under a policy that stands, or slips out of what is kept apart. Each direction counts by itself.
//!
//! **Example.** Segment `payments-db` is `isolatedFrom` namespaces labelled `env=dev`. While there is such a namespace, a
//! policy over members that lets in `namespaceSelector: {}`, or a rule without peers, is refused; so is one in such a
//! namespace that lets its pods out to everyone. While a policy over members lets in `team=blue`, labelling a namespace of
//! `env=dev` so is refused, and so are creating one with both labels and taking `env=dev` away. An update of a policy that
//! connects them already needs the permission again, a deletion never does. ipBlocks are about addresses and left to the
//! checks. What connects them when `isolatedFrom` is written stays, until somebody writes it again. A policy and a label that
//! are written within moments of each other, before ringfence has seen the first, are each judged without the other. A policy
//! with so many peers that looking at all of them would hold up everybody else (hundreds of thousands, counted once for each
//! segment) needs the permission whatever they are.
//!
//! **Settle it** by naming the peers that are meant, or with `ringfence grant cross segments/payments-db --cluster --user
//! NAME`.

use hashbrown::HashMap;

use super::apart::{Crossing, Pair, pairs};
use super::context::{Context, Known};
use super::{Case, settled, unanswered};
use crate::guardrails::documents::Direction;
use crate::guardrails::{Clause, Guardrails, NamespaceSet, SegmentId};
use crate::labels::{LabelSet, LabelSpace, Labels};
use crate::model::{Action, Finding, Mode, NamespaceName, Permission, Policies, RuleName, Scope, Verb};
use crate::netpol::{Existing, Peer, Policy, Way};

/// The rule's name.
pub(super) const NAME: RuleName = "Cross";

/// How many peers of one policy are held against what is kept apart, and against the namespaces that there are. What has
/// more is refused without `cross`: to look at all of them would hold up everybody else.
const MOST_STEPS: usize = 1 << 19;

/// How a namespace that slips out of what is kept apart is told.
const LEAVE: &str = "leave what";

pub(super) fn judge(context: &Context<'_, '_>) -> Vec<Finding> {
    let guardrails = &context.snapshot.guardrails;
    if !guardrails.keeps_apart() {
        return Vec::new();
    }
    let mut crossings = Vec::new();
    for write in context.written_policies().iter().filter(|write| write.changes) {
        let Some(policy) = &write.after else { continue };
        match by_policy(context, policy) {
            Known::Yes(found) => crossings.extend(found),
            Known::Pending => {}
            Known::Failed(why) => {
                let apart = pairs(guardrails).map(|pair| pair.segment);
                let mode = strongest(guardrails, &context.request.subject.namespace, apart).unwrap_or_default();
                return vec![unanswered(context, NAME, mode, "be written", &why)];
            }
        }
    }
    for action in &context.request.actions {
        match action {
            Action::CreateNamespace(after) => crossings.extend(by_labels(context, None, after)),
            Action::RelabelNamespace { before, after } => crossings.extend(by_labels(context, Some(before), after)),
            _ => {}
        }
    }
    crossings.sort_by_key(|crossing| crossing.segment);
    crossings.dedup_by_key(|crossing| crossing.segment);
    crossings
        .into_iter()
        .filter_map(|crossing| finding(context, crossing))
        .collect()
}

fn finding(context: &Context<'_, '_>, crossing: Crossing) -> Option<Finding> {
    let guardrails = &context.snapshot.guardrails;
    let segment = guardrails.segment(crossing.segment);
    let why = format!("{} of {}{}", crossing.why, segment.name, segment.aside());
    let case = Case {
        rule: NAME,
        mode: guardrails.segment_mode(crossing.segment, &context.request.subject.namespace),
        segment: Some(segment.name.clone()),
        clause: Some(crossing.clause),
        doing: format!("{} segment {} is isolated from", crossing.doing, segment.name),
        why,
    };
    settled(
        context,
        Permission::segment(Verb::Cross, &segment.name, Scope::Cluster),
        case,
    )
}

/// What the write of a policy opens. Its own namespace is read live where the labels of that decide.
fn by_policy(context: &Context<'_, '_>, policy: &Policy) -> Known<Vec<Crossing>> {
    let snapshot = context.snapshot;
    let guardrails = &snapshot.guardrails;
    let name = &policy.name.namespace;
    let (seen, mut effort) = (Seen::of(policy), Effort::default());
    let possible: Vec<(Pair<'_>, Ways<'_>)> = pairs(guardrails)
        .filter(|pair| match &pair.selected.clause.namespaces {
            NamespaceSet::Named(names) => names.contains(name),
            NamespaceSet::Selected(_) => true,
        })
        .filter_map(|pair| {
            let ways = effort.ways(&pair, &seen)?;
            Some((pair, ways))
        })
        .collect();
    let Some(mode) = strongest(guardrails, name.as_str(), possible.iter().map(|(pair, _)| pair.segment)) else {
        return Known::Yes(Vec::new());
    };
    let cached = context.cached_namespace(name.as_str());
    let depends = |pair: &Pair<'_>| {
        [pair.selected, pair.reached]
            .iter()
            .any(|end| end.clause.namespaces.depends_on_labels())
    };
    let labels = match cached {
        Some(cached) if !possible.iter().any(|(pair, _)| depends(pair)) => &cached.labels[..],
        _ => match context.live_namespace(name, mode) {
            Known::Pending => return Known::Pending,
            Known::Failed(why) => return Known::Failed(format!("namespace {name} could not be read: {why}")),
            Known::Yes(None) => return Known::Failed(format!("namespace {name} does not exist")),
            Known::Yes(Some(live)) => &live.labels[..],
        },
    };
    let own = Existing { name, labels };
    let others = others(context, name);
    let mut of_pair = |(pair, ways): &(Pair<'_>, Ways<'_>)| {
        if !own.is_in(&pair.selected.clause.namespaces) {
            return None;
        }
        let existing = others.iter().chain([&own]);
        let apart: Vec<&Existing<'_>> = existing
            .filter(|one| one.is_in(&pair.reached.clause.namespaces))
            .collect();
        let Some(ways) = effort.affordable(ways, apart.len()) else {
            return Some(pair.untold(""));
        };
        ways.iter().find_map(|(direction, way)| {
            let namespace = first(apart.iter().copied().filter(|one| way.leads_to(one)))?;
            Some(pair.crossing("", *direction, way, namespace))
        })
    };
    Known::Yes(possible.iter().filter_map(&mut of_pair).collect())
}

/// How a policy could connect a pair.
enum Ways<'p> {
    /// By these.
    Seen(Vec<(Direction, Way<'p>)>),
    /// It has more peers than were looked at, so by any.
    TooMany,
}

/// A policy, laid open for all pairs.
struct Seen<'p> {
    policy: &'p Policy,
    pods: LabelSpace,
    /// What it takes to look at all of its peers.
    steps: usize,
}

impl<'p> Seen<'p> {
    fn of(policy: &'p Policy) -> Self {
        let steps = |peer: &Peer| match peer {
            Peer::Pods { pods, .. } => 1 + pods.requirements().len(),
            Peer::Block(_) => 1,
        };
        Self {
            policy,
            pods: LabelSpace::from(&policy.pods),
            steps: policy.peers().map(steps).sum(),
        }
    }
}

/// What was looked at so far, of [`MOST_STEPS`].
#[derive(Default)]
struct Effort(usize);

impl Effort {
    fn affords(&mut self, steps: usize) -> bool {
        self.0 = self.0.saturating_add(steps);
        self.0 <= MOST_STEPS
    }

    /// How the policy could connect the pair; none where it cannot.
    fn ways<'p>(&mut self, pair: &Pair<'_>, seen: &Seen<'p>) -> Option<Ways<'p>> {
        if !pair.may_be_selected(&seen.pods) {
            return None;
        }
        if !self.affords(seen.steps) {
            return Some(Ways::TooMany);
        }
        let ways = pair.ways(seen.policy);
        (!ways.is_empty()).then_some(Ways::Seen(ways))
    }

    /// The ways that were found, where each can still be held against so many namespaces.
    fn affordable<'w, 'p>(&mut self, ways: &'w Ways<'p>, namespaces: usize) -> Option<&'w [(Direction, Way<'p>)]> {
        match ways {
            Ways::Seen(ways) => self.affords(ways.len().saturating_mul(namespaces)).then_some(ways),
            Ways::TooMany => None,
        }
    }
}

/// What a namespace's new labels open that its old ones, if it had any, did not.
fn by_labels(context: &Context<'_, '_>, before: Option<&Labels<'_>>, after: &Labels<'_>) -> Vec<Crossing> {
    let Ok(name) = NamespaceName::new(&context.request.subject.namespace) else {
        return Vec::new();
    };
    let owned = |labels: &Labels<'_>| -> Vec<(String, String)> {
        let pairs = labels.iter();
        pairs.map(|(key, value)| (key.to_owned(), value.to_owned())).collect()
    };
    let (before, after) = (before.map(owned), owned(after));
    let change = Relabelled {
        was: before.as_deref().map(|labels| Existing { name: &name, labels }),
        is: Existing {
            name: &name,
            labels: &after,
        },
        others: others(context, &name),
    };
    let guardrails = &context.snapshot.guardrails;
    let mut crossings: Vec<Crossing> = change.left(guardrails);
    let (mut standing, mut effort) = (None, Effort::default());
    for pair in pairs(guardrails).filter(|pair| change.concerns(pair)) {
        let standing = standing.get_or_insert_with(|| Standing::of(&context.snapshot.policies));
        crossings.extend(change.opened(context, &pair, standing, &mut effort));
    }
    crossings
}

/// A namespace with its labels before, none where it is new, and after.
struct Relabelled<'n> {
    was: Option<Existing<'n>>,
    is: Existing<'n>,
    /// All others, as last seen.
    others: Vec<Existing<'n>>,
}

impl Relabelled<'_> {
    fn concerns(&self, pair: &Pair<'_>) -> bool {
        [pair.selected, pair.reached]
            .iter()
            .any(|end| self.is.is_in(&end.clause.namespaces))
    }

    /// Whether it was one of these namespaces.
    fn was_in(&self, namespaces: &NamespaceSet) -> bool {
        self.was.is_some_and(|was| was.is_in(namespaces))
    }

    /// What no longer keeps its pods apart.
    fn left(&self, guardrails: &Guardrails) -> Vec<Crossing> {
        let mut crossings = Vec::new();
        for (id, segment) in (0..).map(SegmentId).zip(&guardrails.segments) {
            let holds = |clause: &&Clause| self.is.is_in(&clause.namespaces);
            let holding: Vec<LabelSpace> = segment
                .isolated_from
                .iter()
                .filter(holds)
                .map(|clause| LabelSpace::from(&clause.pods))
                .collect();
            for (position, clause) in segment.isolated_from.iter().enumerate() {
                let leaves = self.was_in(&clause.namespaces) && !self.is.is_in(&clause.namespaces);
                if leaves && !LabelSpace::from(&clause.pods).is_within_any(&holding) {
                    crossings.push(Crossing {
                        segment: id,
                        clause: format!("isolatedFrom[{position}]"),
                        doing: LEAVE,
                        why: format!("its labels matched isolatedFrom[{position}] and would no longer"),
                    });
                }
            }
        }
        crossings
    }

    /// How a policy that stands connects the pair through this namespace, where it did not before.
    fn opened(
        &self,
        context: &Context<'_, '_>,
        pair: &Pair<'_>,
        standing: &Standing<'_>,
        effort: &mut Effort,
    ) -> Option<Crossing> {
        let own = self.opened_by_own(pair, standing, effort);
        own.or_else(|| self.opened_by_others(context, pair, standing, effort))
    }

    /// By its own policies. A new namespace has none, whatever is still known of one of its name.
    fn opened_by_own(&self, pair: &Pair<'_>, standing: &Standing<'_>, effort: &mut Effort) -> Option<Crossing> {
        let selected = &pair.selected.clause.namespaces;
        let was = self.was.filter(|_| self.is.is_in(selected))?;
        let selected_before = was.is_in(selected);
        let apart: Vec<&Existing<'_>> = self
            .others
            .iter()
            .filter(|one| one.is_in(&pair.reached.clause.namespaces))
            .collect();
        standing.of_namespace(self.is.name).iter().find_map(|seen| {
            let ways = effort.ways(pair, seen)?;
            let Some(ways) = effort.affordable(&ways, apart.len()) else {
                return Some(pair.untold(&told(seen.policy)));
            };
            ways.iter().find_map(|(direction, way)| {
                let itself = pair.is_reached(way, &self.is) && !(selected_before && pair.is_reached(way, &was));
                let namespace = if itself {
                    Some(self.is.name)
                } else if selected_before {
                    None
                } else {
                    first(apart.iter().copied().filter(|one| way.leads_to(one)))
                };
                Some(pair.crossing(&told(seen.policy), *direction, way, namespace?))
            })
        })
    }

    /// By policies of other namespaces, which come to reach it.
    fn opened_by_others(
        &self,
        context: &Context<'_, '_>,
        pair: &Pair<'_>,
        standing: &Standing<'_>,
        effort: &mut Effort,
    ) -> Option<Crossing> {
        if !self.is.is_in(&pair.reached.clause.namespaces) {
            return None;
        }
        let policies = standing.in_namespaces(context, &pair.selected.clause.namespaces);
        policies
            .filter(|seen| seen.policy.name.namespace != *self.is.name)
            .find_map(|seen| {
                let ways = effort.ways(pair, seen)?;
                let Some(ways) = effort.affordable(&ways, 0) else {
                    return Some(pair.untold(&told(seen.policy)));
                };
                let reached_before = |way: &Way<'_>| self.was.is_some_and(|was| pair.is_reached(way, &was));
                let (direction, way) = ways
                    .iter()
                    .find(|(_, way)| pair.is_reached(way, &self.is) && !reached_before(way))?;
                Some(pair.crossing(&told(seen.policy), *direction, way, self.is.name))
            })
    }
}

/// The policies that stand, by namespace, each sorted by name.
struct Standing<'p>(HashMap<&'p NamespaceName, Vec<Seen<'p>>>);

impl<'p> Standing<'p> {
    fn of(policies: &'p Policies) -> Self {
        let mut by_namespace: HashMap<&NamespaceName, Vec<Seen<'_>>> = HashMap::new();
        for (name, policy) in policies {
            by_namespace.entry(&name.namespace).or_default().push(Seen::of(policy));
        }
        for policies in by_namespace.values_mut() {
            policies.sort_by(|one, other| one.policy.name.cmp(&other.policy.name));
        }
        Self(by_namespace)
    }

    fn of_namespace(&self, name: &NamespaceName) -> &[Seen<'p>] {
        self.0.get(name).map(Vec::as_slice).unwrap_or_default()
    }

    /// The policies of these namespaces as last seen; one whose labels are not known yet counts as one of them.
    fn in_namespaces<'s>(
        &'s self,
        context: &Context<'_, '_>,
        namespaces: &NamespaceSet,
    ) -> impl Iterator<Item = &'s Seen<'p>> + use<'s, 'p> {
        let mut names: Vec<&NamespaceName> = match namespaces {
            NamespaceSet::Named(names) => names.iter().filter(|name| self.0.contains_key(*name)).collect(),
            NamespaceSet::Selected(_) => {
                let selected = |name: &&&NamespaceName| {
                    context.cached_namespace(name.as_str()).is_none_or(|namespace| {
                        let labels = &namespace.labels;
                        Existing { name, labels }.is_in(namespaces)
                    })
                };
                self.0.keys().filter(selected).copied().collect()
            }
        };
        names.sort_unstable();
        let policies: Vec<&'s Seen<'p>> = names.into_iter().flat_map(|name| self.of_namespace(name)).collect();
        policies.into_iter()
    }
}

/// How a policy that stands is named after the rule that is meant.
fn told(policy: &Policy) -> String {
    format!(" of NetworkPolicy {}", policy.name)
}

/// Every namespace as last seen, but for this one.
fn others<'c>(context: &Context<'c, '_>, but: &NamespaceName) -> Vec<Existing<'c>> {
    let namespaces = context.snapshot.namespaces.iter();
    namespaces
        .filter(|(name, _)| *name != but)
        .map(|(name, namespace)| Existing {
            name,
            labels: &namespace.labels,
        })
        .collect()
}

/// The first by name, so that the same is told each time.
fn first<'e, 'n: 'e>(existing: impl Iterator<Item = &'e Existing<'n>>) -> Option<&'n NamespaceName> {
    existing.map(|one| one.name).min()
}

fn strongest(guardrails: &Guardrails, namespace: &str, segments: impl Iterator<Item = SegmentId>) -> Option<Mode> {
    segments
        .map(|segment| guardrails.segment_mode(segment, namespace))
        .max()
}
