//! [`Inventory`]: facts in, out the namespaces, the policies, and the workloads with their pods, each pod counted once
//! however many manifests speak of it. Pods that are alike are one from the moment they are read.

use std::collections::BTreeMap;
use std::hash::{BuildHasher as _, Hash, RandomState};
use std::mem;
use std::net::IpAddr;

use hashbrown::{HashMap, HashSet};
use ringfence_core::labels::NAMESPACE_NAME_LABEL;
use ringfence_core::netpol::NetworkPolicySpec;

use super::facts::{Addresses, Controller, Fact, Identity, LabelMap, Pod, Served, Workload};
use super::origin::Origin;
use crate::answer::offline::{Problem, Problems};

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
pub(super) struct Gathering {
    namespaces: HashMap<String, (LabelMap, Origin)>,
    policies: BTreeMap<Identity, FoundPolicy>,
    /// What each pod is, in short.
    pods: HashMap<Identity, u64>,
    running: Running,
    addresses: Addresses,
    workloads: HashMap<Owner, Workload>,
    unread: BTreeMap<String, (usize, Problem)>,
    warnings: Vec<String>,
    problems: Vec<Problem>,
}

/// The pods that there are, those together that one controller made and nothing tells apart, in the order of the first.
#[derive(Debug, Default)]
struct Running {
    alike: Vec<Alike>,
    /// Where they stand there, by what they are in short.
    known: HashMap<u64, usize>,
    hasher: RandomState,
}

/// Pods that are alike.
#[derive(Debug)]
struct Alike {
    namespace: String,
    controller: Option<Controller>,
    /// The name of the first.
    name: String,
    /// Each of them.
    pod: Pod,
    /// How many they are.
    pods: u32,
    /// Their addresses, where those do not tell them apart.
    addresses: Vec<IpAddr>,
}

impl Running {
    /// In short, what something is.
    fn short(&self, what: &impl Hash) -> u64 {
        self.hasher.hash_one(what)
    }

    fn add(&mut self, identity: &Identity, controller: Option<Controller>, mut pod: Pod, addresses: Addresses) {
        let together = addresses == Addresses::TellNothing && !pod.host_network;
        let set_aside = if together {
            mem::take(&mut pod.addresses)
        } else {
            Vec::new()
        };
        let Identity { namespace, name } = identity;
        let short = self.short(&(namespace, &controller, &pod));
        // Who has no controller stands alone.
        let known = self.known.get(&short).filter(|_| controller.is_some());
        if let Some(alike) = known.and_then(|at| self.alike.get_mut(*at))
            && (&alike.namespace, &alike.controller, &alike.pod) == (namespace, &controller, &pod)
        {
            alike.pods = alike.pods.saturating_add(pod.count);
            alike.addresses.extend(set_aside);
            return;
        }
        self.known.insert(short, self.alike.len());
        self.alike.push(Alike {
            namespace: namespace.clone(),
            controller,
            name: name.clone(),
            pods: pod.count,
            pod,
            addresses: set_aside,
        });
    }
}

impl Inventory {
    /// Puts facts together. Two policies of one name, and two objects of one name that differ in what is read of them, are
    /// refused: a cluster would hold one of them, and which one cannot be known here.
    pub(super) fn of(facts: impl IntoIterator<Item = (Fact, Origin)>, addresses: Addresses) -> Result<Self, Problems> {
        let mut gathering = Gathering::new(addresses);
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
    pub(super) fn new(addresses: Addresses) -> Self {
        Self {
            addresses,
            ..Self::default()
        }
    }

    /// One more.
    pub(super) fn add(&mut self, fact: Fact, origin: Origin) {
        match fact {
            Fact::Namespace(name, labels) => {
                if let Some((known, first)) = self.namespaces.get(&name)
                    && *known != labels
                {
                    self.problems.push(twice(&format!("Namespace {name}"), first, &origin));
                }
                self.namespaces.insert(name, (labels, origin.kept()));
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
                    origin: origin.kept(),
                };
                self.policies.insert(identity, found);
            }
            Fact::Pod {
                identity,
                controller,
                pod,
            } => {
                let short = self.running.short(&pod);
                match self.pods.get(&identity) {
                    // Names that are generated come more than once.
                    Some(known) if !identity.name.ends_with('*') => {
                        if *known != short {
                            let subject = format!("Pod {}/{}", identity.namespace, identity.name);
                            self.problems
                                .push(origin.problem(&[], format!("{subject}: {DIFFERENT}")));
                        }
                        return;
                    }
                    _ => {}
                }
                if let Some(pod) = pod {
                    self.running.add(&identity, controller, pod, self.addresses);
                }
                self.pods.insert(identity, short);
            }
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
                let first = || (0, origin.problem(&[], name));
                self.unread.entry(kind).or_insert_with(first).0 += 1;
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

    /// All of them together.
    pub(super) fn finish(mut self) -> Result<Inventory, Problems> {
        if !self.problems.is_empty() {
            return Err(Problems(self.problems));
        }
        let mut workloads: BTreeMap<Owner, Vec<Pod>> = BTreeMap::new();
        for alike in mem::take(&mut self.running.alike) {
            let Alike {
                namespace,
                controller,
                name,
                mut pod,
                pods,
                mut addresses,
            } = alike;
            let owner = match controller {
                Some(Controller { kind, name }) => {
                    let maker = Owner { namespace, kind, name };
                    self.topmost(self.near(maker, &pod))
                }
                None => Owner {
                    namespace,
                    kind: "Pod".to_owned(),
                    name,
                },
            };
            pod.count = pods;
            pod.addresses.append(&mut addresses);
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
            labels.insert(NAMESPACE_NAME_LABEL.to_owned(), name.clone());
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
