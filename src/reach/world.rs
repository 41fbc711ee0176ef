//! An [`Inventory`] to the [`World`] that is asked who reaches whom: policies compiled, or refused as the API server
//! refuses them.

use ringfence_core::model::NamespaceName;
use ringfence_core::netpol::{Leniency, Policy, Workload, World};

use super::inventory::{FoundPolicy, Inventory, Owner};
use super::objects::Origin;
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

/// Compiles a policy. CIDRs that newer API servers refuse and older ones keep mean the same to both: they are warned of.
fn read(found: &FoundPolicy, warnings: &mut Vec<String>) -> Result<Policy, Vec<Problem>> {
    let (namespace, name) = (&found.identity.namespace, &found.identity.name);
    let invalid = match Policy::read(namespace, name, &found.spec, Leniency::Written) {
        Ok(policy) => return Ok(policy),
        Err(invalid) => invalid,
    };
    let problems = invalid.iter().map(|invalid| {
        let message = format!("NetworkPolicy {namespace}/{name}: {invalid}");
        found.origin.problem(&segments(&invalid.path), message)
    });
    if invalid.iter().all(|invalid| invalid.path.contains(".ipBlock."))
        && let Ok(policy) = Policy::read(namespace, name, &found.spec, Leniency::Stored)
    {
        warnings.extend(problems.map(|problem| format!("{problem} (older API servers let it be)")));
        return Ok(policy);
    }
    Err(problems.collect())
}
