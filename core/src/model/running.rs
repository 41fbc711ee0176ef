//! [`Running`]: pods that run in a namespace, or that a template there makes, as far as policies tell them apart.

use crate::netpol::NamedPort;

/// Pods that run, or that would.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Running {
    /// Their labels, sorted by key.
    pub labels: Vec<(String, String)>,
    /// The ports to which their containers give names, each once and sorted.
    pub ports: Vec<NamedPort>,
}
