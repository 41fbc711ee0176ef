//! An [`Inventory`] to the [`World`] that is asked who reaches whom: policies compiled, or refused as the API server
//! refuses them.

use ringfence_core::model::NamespaceName;
use ringfence_core::netpol::{Invalid, Leniency, Policy, Workload, World};

use super::inventory::{FoundPolicy, Inventory, Owner};
use super::origin::Origin;
use super::reader::segments;
use crate::answer::offline::{Problem, Problems};

/// A world, and what should be known of it, one a line.
#[derive(Debug)]
pub struct Compiled {
    /// The world.
    pub world: World,
    /// Where its policies stand, in their order.
    pub(super) origins: Vec<Origin>,
    /// What should be known.
    pub warnings: Vec<String>,
}

impl Inventory {
    /// Compiles the policies. Everything that the API server would refuse in any of them is told at once.
    pub fn compile(self) -> Result<Compiled, Problems> {
        let Self {
            namespaces,
            workloads,
            policies,
            mut warnings,
        } = self;
        let (mut compiled, mut problems) = (Vec::new(), Vec::new());
        for found in &policies {
            match read(found, &mut warnings) {
                Ok(policy) => compiled.push(policy),
                Err(wrong) => problems.extend(wrong),
            }
        }
        if !problems.is_empty() {
            return Err(Problems(problems));
        }
        // Names were looked at where they stand.
        let namespaces = namespaces.into_iter().filter_map(|(name, labels)| {
            let name = NamespaceName::new(&name).ok()?;
            Some((name, labels.into_iter().collect()))
        });
        let mut world = World {
            namespaces: namespaces.collect(),
            workloads: Vec::new(),
            policies: compiled,
        };
        for (Owner { namespace, kind, name }, pods) in workloads {
            let Ok(namespace) = NamespaceName::new(&namespace) else {
                continue;
            };
            let (kind, name) = (kind.into(), name.into());
            world.workloads.extend(pods.into_iter().map(|pod| Workload {
                namespace: namespace.clone(),
                kind: std::sync::Arc::clone(&kind),
                name: std::sync::Arc::clone(&name),
                labels: pod.labels.into_iter().collect(),
                ports: pod.ports,
                host_network: pod.host_network,
                addresses: pod.addresses,
                pods: pod.count,
            }));
        }
        let origins = policies.into_iter().map(|found| found.origin).collect();
        Ok(Compiled {
            world,
            origins,
            warnings,
        })
    }
}

impl Compiled {
    /// The file and line of what stands at this path in a policy, by its place in the world.
    pub fn place(&self, policy: usize, path: &str) -> String {
        let origin = self.origins.get(policy);
        origin
            .map(|origin| origin.problem(&segments(path), "").place())
            .unwrap_or_default()
    }
}

/// Compiles a policy. What is refused of it but can mean one thing only is warned of: CIDRs that newer API servers refuse and
/// older ones keep, and a name that none takes, which says nothing of who reaches whom.
fn read(found: &FoundPolicy, warnings: &mut Vec<String>) -> Result<Policy, Vec<Problem>> {
    let (namespace, name) = (&found.identity.namespace, &found.identity.name);
    let invalid = match Policy::read(namespace, name, &found.spec, Leniency::Written) {
        Ok(policy) => return Ok(policy),
        Err(invalid) => invalid,
    };
    let told = |invalid: &Invalid| {
        let message = format!("NetworkPolicy {namespace}/{name}: {invalid}");
        found.origin.problem(&segments(&invalid.path), message)
    };
    let excuses = invalid.iter().map(|invalid| {
        let excuse = match invalid.path.as_str() {
            NAME => "no API server takes it; read all the same",
            path if path.contains(".ipBlock.") => "older API servers let it be",
            _ => return None,
        };
        Some(format!("{} ({excuse})", told(invalid)))
    });
    if let Some(excuses) = excuses.collect::<Option<Vec<String>>>()
        && let Ok(mut policy) = Policy::read(namespace, "unnamed", &found.spec, Leniency::Stored)
    {
        policy.name.name = name.as_str().into();
        warnings.extend(excuses);
        return Ok(policy);
    }
    Err(invalid.iter().map(told).collect())
}

/// Where the core says that a name is wrong.
const NAME: &str = "metadata.name";
