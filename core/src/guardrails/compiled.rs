//! [`Guardrails`]: the configuration, compiled. Nothing in here can be invalid, and matching never walks all segments.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::checks::CheckOptions;
use super::documents::{CheckName, Direction};
use super::isolation::{Isolation, Profile};
use super::policy_kind::PolicyKind;
use crate::labels::{ClauseIndex, LabelSet, Selector};
use crate::model::{Mode, NamespaceName, ProfileName, Scope, SegmentName};

/// The configuration in force, with the segments that are derived from policies. [`Default`] is what an empty ConfigMap
/// means: Audit everywhere, nothing protected.
#[derive(Debug, Clone)]
pub struct Guardrails {
    /// Which text this came from.
    pub revision: Revision,
    /// `spec.mode`: for segments and checks that do not say.
    pub mode: Mode,
    /// `spec.rollout`.
    pub rollout: Rollout,
    /// `spec.systemNamespaces`, or its default.
    pub system_namespaces: BTreeSet<NamespaceName>,
    /// The configured segments, sorted by name, then those derived from policies; a [`SegmentId`] is a position here.
    pub segments: Vec<Segment>,
    /// Every clause of every segment.
    pub index: ClauseIndex,
    /// The segments whose consent is in a namespace, by that namespace.
    pub consents: BTreeMap<NamespaceName, Vec<SegmentId>>,
    /// The clauses whose namespaces are selected by labels: what a relabelled namespace may gain or lose.
    pub selecting: Vec<ClauseId>,
    /// `spec.checks`: the checks that are on, each with its mode before the rollout's cap.
    pub checks: BTreeMap<CheckName, Mode>,
    /// What those checks leave alone.
    pub check_options: CheckOptions,
    /// `spec.separationOfDuties`, none where it is off.
    pub separation_of_duties: Option<SeparationOfDuties>,
    /// `spec.delegates`.
    pub delegates: Vec<Delegate>,
    /// `spec.workloads`: custom kinds that make pods.
    pub workloads: Vec<Workload>,
    /// The kinds of the profiles' `manifests`, each once.
    pub policy_kinds: Vec<PolicyKind>,
    /// `spec.isolation`; none where namespaces are not isolated.
    pub isolation: Option<Isolation>,
    /// The isolation profiles; the reserved `none` is not among them.
    pub profiles: BTreeMap<ProfileName, Arc<Profile>>,
}

/// Whether one who may write a segment's policies may also place pods in it or among its clients.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeparationOfDuties {
    /// What happens where one holds both, before the rollout's cap and the segment's own.
    pub mode: Mode,
    /// Groups of which this is not asked.
    pub exempt_groups: BTreeSet<String>,
}

/// A deployer whose own rights say nothing about who asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delegate {
    /// The deployer's user name.
    pub user: String,
    /// As whom is asked too: `{namespace}` stands for the object's namespace.
    pub review_as: String,
}

impl Delegate {
    /// As whom is asked too, for an object of this namespace (empty where it has none).
    pub fn reviewer(&self, namespace: &str) -> String {
        self.review_as.replace("{namespace}", namespace)
    }
}

/// A custom kind that makes pods.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Workload {
    /// API group.
    pub group: String,
    /// API version.
    pub version: String,
    /// Plural resource.
    pub resource: String,
    /// The segments of the JSON pointer to its template, or to a list of templates.
    pub template: Vec<String>,
    /// The user names of its controllers.
    pub controllers: Vec<String>,
}

impl Workload {
    /// The JSON pointer as configured.
    pub fn pointer(&self) -> String {
        let escaped = self
            .template
            .iter()
            .map(|segment| segment.replace('~', "~0").replace('/', "~1"));
        escaped.flat_map(|segment| ["/".to_owned(), segment]).collect()
    }
}

/// `spec.systemNamespaces` where it is not said.
pub const SYSTEM_NAMESPACES: [&str; 4] = ["kube-system", "kube-public", "kube-node-lease", "ringfence-system"];

pub(super) fn default_system_namespaces() -> BTreeSet<NamespaceName> {
    SYSTEM_NAMESPACES
        .into_iter()
        .filter_map(|name| NamespaceName::new(name).ok())
        .collect()
}

impl Default for Guardrails {
    fn default() -> Self {
        Self {
            revision: Revision::default(),
            mode: Mode::default(),
            rollout: Rollout::default(),
            system_namespaces: default_system_namespaces(),
            segments: Vec::new(),
            index: ClauseIndex::default(),
            consents: BTreeMap::new(),
            selecting: Vec::new(),
            checks: BTreeMap::new(),
            check_options: CheckOptions::default(),
            separation_of_duties: None,
            delegates: Vec::new(),
            workloads: Vec::new(),
            policy_kinds: Vec::new(),
            isolation: None,
            profiles: BTreeMap::new(),
        }
    }
}

/// Which text a configuration came from: a short digest of all documents, the same on every replica.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Revision(pub String);

impl std::fmt::Display for Revision {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// `spec.rollout`: the most that happens in a namespace.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rollout {
    /// The cap where a namespace is not named; none means no cap.
    pub default: Option<Mode>,
    /// The cap of each namespace that is named.
    pub namespaces: BTreeMap<NamespaceName, Mode>,
}

impl Rollout {
    /// What a rule's mode comes to in a namespace: the weaker of the two.
    pub fn cap(&self, namespace: &str, mode: Mode) -> Mode {
        self.namespaces
            .get(namespace)
            .copied()
            .or(self.default)
            .map_or(mode, |cap| cap.min(mode))
    }
}

/// A segment's place in [`Guardrails::segments`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SegmentId(pub u32);

/// A protected set of pods.
#[derive(Debug, Clone)]
pub struct Segment {
    /// Its name.
    pub name: SegmentName,
    /// Shown in denials; empty where there is none.
    pub description: String,
    /// What happens where it refuses, before the rollout's cap.
    pub mode: Mode,
    /// Where its permissions are asked (while that namespace exists).
    pub consent: Scope,
    /// Who is inside.
    pub members: Vec<Clause>,
    /// Whom its policies let in.
    pub clients: Vec<Clause>,
    /// `isolatedFrom`: what no policy may connect with the members.
    pub isolated_from: Vec<Clause>,
    /// `requireIsolation`: in which directions some policy always selects the members.
    pub require_isolation: Vec<Direction>,
    /// `guardAccess`: whether exec and its kin are asked for too.
    pub guard_access: bool,
}

impl Segment {
    /// Its description, as it stands behind what is told of it: ` (Card data.)`; nothing where there is none.
    pub fn aside(&self) -> String {
        if self.description.is_empty() {
            String::new()
        } else {
            format!(" ({})", self.description)
        }
    }

    /// Whether it is derived from a policy: nobody configured it.
    pub fn is_derived(&self) -> bool {
        self.name.policy().is_some()
    }

    /// A clause by its side and position.
    pub fn clause(&self, side: Side, position: u16) -> &Clause {
        match side {
            Side::Member => &self.members[usize::from(position)],
            Side::Client => &self.clients[usize::from(position)],
        }
    }
}

/// One namespaces + podSelector pair.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Clause {
    /// In which namespaces.
    pub namespaces: NamespaceSet,
    /// Which pods there.
    pub pods: Selector,
}

/// The namespaces of a clause.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NamespaceSet {
    /// Exact names; `kubernetes.io/metadata.name` cannot be forged, and neither can these.
    Named(BTreeSet<NamespaceName>),
    /// By the namespace's labels, which change: a selector of `{}` is every namespace.
    Selected(Selector),
}

impl NamespaceSet {
    /// Whether a namespace of this name and these labels is in the set.
    pub fn contains(&self, name: &str, labels: &impl LabelSet) -> bool {
        match self {
            Self::Named(names) => names.contains(name),
            Self::Selected(selector) => selector.matches(labels),
        }
    }

    /// Whether the answer hangs on the namespace's labels, which may have changed since they were seen.
    pub fn depends_on_labels(&self) -> bool {
        matches!(self, Self::Selected(selector) if !selector.is_everything())
    }
}

/// Which list of a segment a clause stands in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Side {
    /// `members`.
    Member,
    /// `clients`.
    Client,
}

impl Side {
    /// The key as it stands in configuration.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Member => "members",
            Self::Client => "clients",
        }
    }
}

/// One clause of one segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ClauseId {
    /// Of which segment.
    pub segment: SegmentId,
    /// In which list.
    pub side: Side,
    /// At which position there.
    pub position: u16,
}

impl Guardrails {
    /// The segment of this id.
    pub fn segment(&self, id: SegmentId) -> &Segment {
        &self.segments[id.0 as usize]
    }

    /// The configured segments, sorted by name.
    pub fn configured(&self) -> &[Segment] {
        let end = self.segments.partition_point(|segment| !segment.is_derived());
        &self.segments[..end]
    }

    /// The segments that are derived from policies.
    pub fn derived(&self) -> &[Segment] {
        &self.segments[self.configured().len()..]
    }

    /// The clause of this id.
    pub fn clause(&self, id: ClauseId) -> &Clause {
        self.segment(id.segment).clause(id.side, id.position)
    }

    /// What a segment's refusal comes to in a namespace.
    pub fn segment_mode(&self, id: SegmentId, namespace: &str) -> Mode {
        self.rollout.cap(namespace, self.segment(id).mode)
    }

    /// The strongest that any segment's refusal comes to in a namespace.
    pub fn strongest_mode(&self, namespace: &str) -> Mode {
        let strongest = self
            .segments
            .iter()
            .map(|segment| segment.mode)
            .max()
            .unwrap_or_default();
        self.rollout.cap(namespace, strongest)
    }

    /// What a check's refusal comes to in a namespace, none where it is off. At most a warning in system namespaces.
    pub fn check_mode(&self, check: CheckName, namespace: &str) -> Option<Mode> {
        let mode = self.rollout.cap(namespace, *self.checks.get(&check)?);
        Some(if self.system_namespaces.contains(namespace) {
            mode.min(Mode::Warn)
        } else {
            mode
        })
    }

    /// Where a write of a pod or of what makes pods can be denied. Outside of it webhooks for them may fail open.
    pub fn enforced(&self) -> EnforcedNamespaces {
        let enforcing = self.segments.iter().filter(|segment| segment.mode == Mode::Enforce);
        let (by_name, selected) = places(enforcing.flat_map(|segment| segment.members.iter().chain(&segment.clients)));
        let checked = self.checks.get(&CheckName::HostAccess) == Some(&Mode::Enforce);
        let anywhere = selected || self.isolation_enforced() || checked;
        EnforcedNamespaces::within(self, by_name, anywhere)
    }

    /// Whether isolation is of mode Enforce, before the rollout's cap.
    pub fn isolation_enforced(&self) -> bool {
        self.isolation
            .as_ref()
            .is_some_and(|isolation| isolation.mode == Mode::Enforce)
    }

    /// Where isolation is enforced.
    pub fn enforced_isolation(&self) -> EnforcedNamespaces {
        EnforcedNamespaces::within(self, BTreeSet::new(), self.isolation_enforced())
    }

    /// Whether some segment is kept apart from something: a namespace's labels then decide what policies open.
    pub fn keeps_apart(&self) -> bool {
        self.segments.iter().any(|segment| !segment.isolated_from.is_empty())
    }

    /// Which namespaces' own writes can be denied: creation where a segment has its consent, labels where a clause selects
    /// namespaces by them or where they choose the isolation profile, and both where a segment is kept apart from something. For others webhooks for namespaces may fail open.
    pub fn enforced_on_namespaces(&self) -> EnforcedNamespaces {
        let enforces = |id: SegmentId| self.segment(id).mode == Mode::Enforce;
        let consents = self
            .consents
            .iter()
            .filter(|(_, segments)| segments.iter().any(|id| enforces(*id)));
        let named = consents.map(|(name, _)| name.clone()).collect();
        let mut apart = self.segments.iter().filter(|segment| !segment.isolated_from.is_empty());
        let anywhere = self.isolation_enforced()
            || self.selecting.iter().any(|clause| enforces(clause.segment))
            || apart.any(|segment| segment.mode == Mode::Enforce);
        EnforcedNamespaces::within(self, named, anywhere)
    }

    /// Where a write of a policy can be denied: where isolation or a check on policies is enforced, where members of an enforced
    /// segment or what it is kept apart from can be, and anywhere where opting in to protection, or what is done with policies
    /// that ringfence does not read, is enforced. Elsewhere webhooks for policies may fail open.
    pub fn enforced_on_policies(&self) -> EnforcedNamespaces {
        let enforcing = self.segments.iter().filter(|segment| segment.mode == Mode::Enforce);
        let (named, selected) =
            places(enforcing.flat_map(|segment| segment.members.iter().chain(&segment.isolated_from)));
        let anywhere = selected || self.strictest([]) == Mode::Enforce;
        EnforcedNamespaces::within(self, named, anywhere)
    }
}

/// The namespaces that clauses name, and whether one of them selects namespaces.
fn places<'c>(clauses: impl Iterator<Item = &'c Clause>) -> (BTreeSet<NamespaceName>, bool) {
    let (mut named, mut anywhere) = (BTreeSet::new(), false);
    for clause in clauses {
        match &clause.namespaces {
            NamespaceSet::Named(names) => named.extend(names.iter().cloned()),
            NamespaceSet::Selected(_) => anywhere = true,
        }
    }
    (named, anywhere)
}

/// The namespaces in which something can be denied, as a namespaceSelector can say it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EnforcedNamespaces {
    /// In these and no others.
    Only(BTreeSet<NamespaceName>),
    /// Everywhere but in these.
    AllBut(BTreeSet<NamespaceName>),
}

impl EnforcedNamespaces {
    /// Where something of mode Enforce, in these namespaces or anywhere, is not capped.
    fn within(guardrails: &Guardrails, named: BTreeSet<NamespaceName>, anywhere: bool) -> Self {
        let enforceable = |name: &NamespaceName| {
            guardrails.rollout.cap(name.as_str(), Mode::Enforce) == Mode::Enforce
                && !guardrails.system_namespaces.contains(name)
        };
        let capped_by_default = guardrails.rollout.default.is_some_and(|cap| cap < Mode::Enforce);
        match (anywhere, capped_by_default) {
            (false, _) => Self::Only(named.into_iter().filter(enforceable).collect()),
            (true, true) => {
                let uncapped = guardrails.rollout.namespaces.keys();
                Self::Only(uncapped.filter(|name| enforceable(name)).cloned().collect())
            }
            (true, false) => {
                let capped = guardrails.rollout.namespaces.keys().filter(|name| !enforceable(name));
                Self::AllBut(capped.chain(&guardrails.system_namespaces).cloned().collect())
            }
        }
    }

    /// Whether nothing can be denied anywhere.
    pub fn is_nowhere(&self) -> bool {
        matches!(self, Self::Only(names) if names.is_empty())
    }

    /// Whether something can be denied there.
    pub fn contains(&self, namespace: &str) -> bool {
        match self {
            Self::Only(names) => names.contains(namespace),
            Self::AllBut(names) => !names.contains(namespace),
        }
    }
}
