//! [`CheckOptions`]: what the checks leave alone, compiled. [`Default`] is what holds where configuration says nothing.

use std::collections::BTreeSet;

use super::metadata::{EVERYWHERE, Endpoint, PORTS};
use crate::labels::NAMESPACE_NAME_LABEL;
use crate::netpol::AddressSet;

/// What the checks leave alone, or count beside what they always do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckOptions {
    /// Sources that WorldIngress does not count.
    pub allow_from: AddressSet,
    /// Destinations that WorldEgress does not count.
    pub allow_to: AddressSet,
    /// What MetadataEndpoint guards; never empty.
    pub endpoints: Vec<Endpoint>,
    /// What AllNamespaces takes for addresses of pods; empty where configuration does not say.
    pub pod_ranges: AddressSet,
    /// The keys of labels that every namespace carries, for AllNamespaces; `kubernetes.io/metadata.name` is always among them.
    pub common_labels: BTreeSet<String>,
    /// How many ports of one protocol MissingPorts leaves alone.
    pub most_ports: u32,
    /// The shortest prefix length of IPv4 that WideCIDR leaves alone, from 1 to 32.
    pub widest_ipv4: u8,
    /// The shortest prefix length of IPv6 that WideCIDR leaves alone, from 1 to 128.
    pub widest_ipv6: u8,
    /// The keys of namespace labels that not everybody may set; `kubernetes.io/metadata.name` is always among them.
    pub owned_labels: BTreeSet<String>,
}

impl Default for CheckOptions {
    fn default() -> Self {
        Self {
            allow_from: AddressSet::default(),
            allow_to: AddressSet::default(),
            endpoints: vec![Endpoint::new(&EVERYWHERE, &PORTS)],
            pod_ranges: AddressSet::default(),
            common_labels: BTreeSet::from([NAMESPACE_NAME_LABEL.to_owned()]),
            most_ports: 8192,
            widest_ipv4: 16,
            widest_ipv6: 48,
            owned_labels: BTreeSet::from([NAMESPACE_NAME_LABEL.to_owned()]),
        }
    }
}
