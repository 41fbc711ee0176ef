//! [`CheckOptions`]: what the checks leave alone, compiled. [`Default`] is what holds where configuration says nothing.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::netpol::AddressSet;

/// The label that every namespace has and nobody can forge.
const NAME_LABEL: &str = "kubernetes.io/metadata.name";

/// Where clouds tell a machine who it is and hand out its credentials: AWS, Azure, Google, Oracle, OpenStack and others
/// by IPv4, AWS also by IPv6.
const METADATA_ENDPOINTS: [IpAddr; 2] = [
    IpAddr::V4(Ipv4Addr::new(169, 254, 169, 254)),
    IpAddr::V6(Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254)),
];

/// What the checks leave alone, or count beside what they always do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckOptions {
    /// Sources that WorldIngress does not count.
    pub allow_from: AddressSet,
    /// Destinations that WorldEgress does not count.
    pub allow_to: AddressSet,
    /// What MetadataEndpoint guards.
    pub endpoints: AddressSet,
    /// What AllNamespaces takes for addresses of pods; empty where configuration does not say.
    pub pod_ranges: AddressSet,
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
            endpoints: METADATA_ENDPOINTS.into_iter().map(ipnet::IpNet::from).collect(),
            pod_ranges: AddressSet::default(),
            most_ports: 8192,
            widest_ipv4: 16,
            widest_ipv6: 48,
            owned_labels: BTreeSet::from([NAME_LABEL.to_owned()]),
        }
    }
}
