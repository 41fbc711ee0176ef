//! [`PolicyNames`]: what policies are called, `namespace/name`.

use ringfence_core::netpol::{Policy, PolicyId, PolicyName};

/// The names of policies, by their numbers.
#[derive(Debug, Clone)]
pub struct PolicyNames(Vec<String>);

impl PolicyNames {
    /// The names of these.
    pub fn new(policies: &[Policy]) -> Self {
        Self(policies.iter().map(|policy| policy.name.to_string()).collect())
    }

    /// The name of one.
    pub fn name(&self, id: PolicyId) -> &str {
        &self.0[id.index()]
    }

    /// The first of some, and how many more.
    pub fn listed(&self, ids: &[PolicyId], most: usize) -> String {
        let shown = if ids.len() == most + 1 {
            ids.len()
        } else {
            most.min(ids.len())
        };
        let names: Vec<&str> = ids[..shown].iter().map(|id| self.name(*id)).collect();
        match ids.len() - shown {
            0 => names.join(", "),
            more => format!("{} and {more} more", names.join(", ")),
        }
    }
}

impl<'p> FromIterator<&'p PolicyName> for PolicyNames {
    fn from_iter<I: IntoIterator<Item = &'p PolicyName>>(names: I) -> Self {
        Self(names.into_iter().map(ToString::to_string).collect())
    }
}
