//! [`World`]: the namespaces, workloads and policies of a cluster or of a folder of manifests, as plain values.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use super::{Policy, Protocol};
use crate::model::NamespaceName;

/// What is asked about: who is there, and which policies hold.
#[derive(Debug, Clone, Default)]
pub struct World {
    /// The labels of each namespace. `kubernetes.io/metadata.name` need not be among them: every namespace has it. One
    /// that workloads or policies name and that is not here has no other label.
    pub namespaces: BTreeMap<NamespaceName, Vec<(String, String)>>,
    /// Who is there. Several of one namespace, kind and name become one end where no policy could tell them apart, so
    /// they may as well be single pods that name their owner. Completed pods have no place here.
    pub workloads: Vec<Workload>,
    /// Which policies hold.
    pub policies: Vec<Policy>,
}

/// Equal pods, as far as policies can tell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Workload {
    /// Their namespace.
    pub namespace: NamespaceName,
    /// The kind of what owns them, e.g. `Deployment`; `Pod` where nothing does.
    pub kind: Arc<str>,
    /// The name of what owns them, or the pod's.
    pub name: Arc<str>,
    /// Their labels; of a template, the template's.
    pub labels: Vec<(String, String)>,
    /// The ports to which their containers give names.
    pub ports: Vec<NamedPort>,
    /// Whether they share the network of their node.
    pub host_network: bool,
    /// Their addresses where they are known (those of their nodes with hostNetwork): of all of them together.
    pub addresses: Vec<IpAddr>,
    /// How many they are.
    pub pods: u32,
}

/// A port that a container gives a name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NamedPort {
    /// Its name.
    pub name: Arc<str>,
    /// Its protocol; TCP where the container says none.
    pub protocol: Protocol,
    /// Its number, at least 1.
    pub number: u16,
}
