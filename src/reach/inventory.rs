//! [`Inventory`]: facts in, out the namespaces, the policies, and the workloads with their pods, each pod counted once
//! however many manifests speak of it.

use std::collections::BTreeMap;

use hashbrown::{HashMap, HashSet};
use ringfence_core::netpol::NetworkPolicySpec;

use super::facts::{Controller, Fact, Identity, LabelMap, Pod, Served, Workload};
use super::objects::Origin;
use crate::answer::offline::{Problem, Problems};

/// The label by which every namespace can be selected; the API server sets it.
const NAMESPACE_NAME: &str = "kubernetes.io/metadata.name";

/// Everything that says who reaches whom.
#[derive(Debug, Clone, Default)]
pub struct Inventory {
    /// Every namespace that is defined or referred to, with its labels.
    pub namespaces: BTreeMap<String, LabelMap>,
    /// The workloads, sorted.
    pub workloads: BTreeMap<Owner, Vec<Pod>>,
    /// The policies, sorted by namespace and name.
    pub policies: Vec<FoundPolicy>,
    /// What should be known of what was read, one a line.
    pub warnings: Vec<String>,
}

/// What pods are collapsed to: the topmost controller that is known of, or a pod of nobody.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Owner {
    /// Its namespace.
    pub namespace: String,
    /// Its kind.
    pub kind: String,
    /// Its name.
    pub name: String,
}

/// A policy, and where it stands.
#[derive(Debug, Clone)]
pub struct FoundPolicy {
    /// Its namespace and name.
    pub identity: Identity,
    /// What it says.
    pub spec: NetworkPolicySpec,
    /// Where it stands.
    pub(super) origin: Origin,
}

/// Facts being put together.
#[derive(Debug, Default)]
struct Gathering {
    namespaces: HashMap<String, (LabelMap, Origin)>,
    policies: BTreeMap<Identity, FoundPolicy>,
    pods: HashMap<Identity, Option<Pod>>,
    /// The pods of each controller, or of nobody.
    running: Vec<(Identity, Option<Controller>, Option<Pod>)>,
    workloads: HashMap<Owner, Workload>,
    unread: BTreeMap<String, (usize, Problem)>,
    warnings: Vec<String>,
    problems: Vec<Problem>,
}

impl Inventory {
    /// Puts facts together. Two policies of one name, and two objects of one name that differ in what is read of them, are
    /// refused: a cluster would hold one of them, and which one cannot be known here.
    pub(super) fn of(facts: impl IntoIterator<Item = (Fact, Origin)>) -> Result<Self, Problems> {
        let mut gathering = Gathering::default();
        for (fact, origin) in facts {
            gathering.add(fact, origin);
        }
        gathering.finish()
    }

    /// What holds once another is applied over this: what it names takes the place of what has that name here, and labels of
    /// namespaces are added to those that they have, as by `kubectl apply`. What it does not name stays.
    #[must_use]
    pub fn with_applied(mut self, other: Self) -> Self {
        for (name, labels) in other.namespaces {
            self.namespaces.entry(name).or_default().extend(labels);
        }
        for (owner, mut pods) in other.workloads {
            // The addresses of what runs are no part of a template.
            let known = self.workloads.get(&owner).into_iter().flatten();
            let addresses: Vec<_> = known.flat_map(|pod| pod.addresses.iter().copied()).collect();
            for pod in pods.iter_mut().filter(|pod| pod.addresses.is_empty()) {
                pod.addresses.clone_from(&addresses);
            }
            self.workloads.insert(owner, pods);
        }
        let replaced: HashSet<Identity> = other.policies.iter().map(|policy| policy.identity.clone()).collect();
        self.policies.retain(|policy| !replaced.contains(&policy.identity));
        self.policies.extend(other.policies);
        self.policies.sort_by(|one, other| one.identity.cmp(&other.identity));
        self.warnings.extend(other.warnings);
        self
    }
}

impl Gathering {
    fn add(&mut self, fact: Fact, origin: Origin) {
        match fact {
            Fact::Namespace(name, labels) => {
                if let Some((known, first)) = self.namespaces.get(&name)
                    && *known != labels
                {
                    self.problems.push(twice(&format!("Namespace {name}"), first, &origin));
                }
                self.namespaces.insert(name, (labels, origin));
            }
            Fact::Policy(identity, spec, served) => {
                if served == Served::Formerly {
                    let message = format!(
                        "NetworkPolicy {}/{}: extensions/v1beta1 is served no longer; read as networking.k8s.io/v1",
                        identity.namespace, identity.name
                    );
                    self.warnings.push(origin.problem(&["apiVersion"], message).to_string());
                }
                if let Some(known) = self.policies.get(&identity) {
                    let subject = format!("NetworkPolicy {}/{}", identity.namespace, identity.name);
                    self.problems.push(twice(&subject, &known.origin, &origin));
                }
                let found = FoundPolicy {
                    identity: identity.clone(),
                    spec: *spec,
                    origin,
                };
                self.policies.insert(identity, found);
            }
            Fact::Pod {
                identity,
                controller,
                pod,
            } => match self.pods.get(&identity) {
                // Names that are generated come more than once.
                Some(known) if !identity.name.ends_with('*') => {
                    if *known != pod {
                        let subject = format!("Pod {}/{}", identity.namespace, identity.name);
                        self.problems
                            .push(origin.problem(&[], format!("{subject}: {DIFFERENT}")));
                    }
                }
                _ => {
                    self.pods.insert(identity.clone(), pod.clone());
                    self.running.push((identity, controller, pod));
                }
            },
            Fact::Workload(workload) => {
                let owner = Owner {
                    namespace: workload.identity.namespace.clone(),
                    kind: workload.kind.clone(),
                    name: workload.identity.name.clone(),
                };
                if let Some(known) = self.workloads.get(&owner)
                    && known.templates != workload.templates
                    && !owner.name.ends_with('*')
                {
                    let subject = format!("{} {}/{}", owner.kind, owner.namespace, owner.name);
                    self.problems
                        .push(origin.problem(&[], format!("{subject}: {DIFFERENT}")));
                }
                self.workloads.insert(owner, workload);
            }
            Fact::Unread { kind, name } => {
                let first = origin.problem(&[], name);
                self.unread.entry(kind).or_insert((0, first)).0 += 1;
            }
            Fact::Noted(note) => self.warnings.push(note.to_string()),
            Fact::Silent => {}
            Fact::Stranger(why) => {
                let message = format!("skipped: not a Kubernetes object: {why}");
                self.warnings.push(origin.problem(&[], message).to_string());
            }
        }
    }

    /// What made a pod, where manifests tell of what is above that and leave out what is between: a ReplicaSet is called by
    /// its Deployment and the hash that its pods carry, a Job by its CronJob and a time.
    fn near(&self, owner: Owner, pod: &Pod) -> Owner {
        if self.workloads.contains_key(&owner) {
            return owner;
        }
        let above = match owner.kind.as_str() {
            "ReplicaSet" => pod
                .labels
                .get("pod-template-hash")
                .and_then(|hash| owner.name.strip_suffix(hash.as_str())?.strip_suffix('-'))
                .map(|name| ("Deployment", name)),
            "Job" => owner
                .name
                .rsplit_once('-')
                .filter(|(_, time)| !time.is_empty() && time.bytes().all(|byte| byte.is_ascii_digit()))
                .map(|(name, _)| ("CronJob", name)),
            _ => None,
        };
        let above = above.map(|(kind, name)| Owner {
            namespace: owner.namespace.clone(),
            kind: kind.to_owned(),
            name: name.to_owned(),
        });
        above
            .filter(|above| self.workloads.contains_key(above))
            .unwrap_or(owner)
    }

    /// The topmost controller that is known of.
    fn topmost(&self, owner: Owner) -> Owner {
        let mut top = owner;
        // Deployment, ReplicaSet, and a few that operators may put above. A circle ends here as well.
        for _ in 0..8 {
            match self
                .workloads
                .get(&top)
                .and_then(|workload| workload.controller.as_ref())
            {
                Some(controller) => {
                    top = Owner {
                        namespace: top.namespace,
                        kind: controller.kind.clone(),
                        name: controller.name.clone(),
                    }
                }
                None => break,
            }
        }
        top
    }

    fn finish(mut self) -> Result<Inventory, Problems> {
        if !self.problems.is_empty() {
            return Err(Problems(self.problems));
        }
        let mut workloads: BTreeMap<Owner, Vec<Pod>> = BTreeMap::new();
        for (identity, controller, pod) in std::mem::take(&mut self.running) {
            let Some(pod) = pod else { continue };
            let owner = match controller {
                Some(Controller { kind, name }) => {
                    let maker = Owner {
                        namespace: identity.namespace,
                        kind,
                        name,
                    };
                    self.topmost(self.near(maker, &pod))
                }
                None => Owner {
                    namespace: identity.namespace,
                    kind: "Pod".to_owned(),
                    name: identity.name,
                },
            };
            workloads.entry(owner).or_default().push(pod);
        }
        // What runs says more than the template that it came from; the topmost template more than those below it.
        let mut templates: BTreeMap<Owner, (bool, Vec<Pod>)> = BTreeMap::new();
        for (owner, workload) in &self.workloads {
            let top = self.topmost(owner.clone());
            if workloads.contains_key(&top) || !workload.active {
                continue;
            }
            let is_top = top == *owner;
            let (from_top, pods) = templates.entry(top).or_default();
            if is_top {
                (*from_top, *pods) = (true, workload.templates.clone());
            } else if !*from_top {
                pods.extend(workload.templates.iter().cloned());
            }
        }
        let templates = templates.into_iter().map(|(owner, (_, pods))| (owner, pods));
        workloads.extend(templates.filter(|(_, pods)| !pods.is_empty()));

        let mut namespaces: BTreeMap<String, LabelMap> = BTreeMap::new();
        let defined = self.namespaces.drain().map(|(name, (labels, _))| (name, labels));
        namespaces.extend(defined);
        for name in workloads
            .keys()
            .map(|owner| &owner.namespace)
            .chain(self.policies.keys().map(|it| &it.namespace))
        {
            namespaces.entry(name.clone()).or_default();
        }
        for (name, labels) in &mut namespaces {
            labels.insert(NAMESPACE_NAME.to_owned(), name.clone());
        }
        for (kind, (count, first)) in self.unread {
            let others = match count {
                1 => String::new(),
                count => format!(" and {} more", count - 1),
            };
            self.warnings.push(format!(
                "{}: {kind} {}{others}: not read; it may open or close more than is told here",
                first.place(),
                first.message
            ));
        }
        Ok(Inventory {
            namespaces,
            workloads,
            policies: self.policies.into_values().collect(),
            warnings: self.warnings,
        })
    }
}

const DIFFERENT: &str = "stands twice, and not alike; keep one";

fn twice(subject: &str, first: &Origin, second: &Origin) -> Problem {
    let first = first.problem(&[], "").place();
    second.problem(&[], format!("{subject}: stands twice: first at {first}; keep one"))
}
