//! Where clouds tell metadata: [`Endpoint`]s, each some addresses and the TCP ports on which they answer. One table of what
//! the clouds document, from which the check MetadataEndpoint takes what it guards.

use std::net::IpAddr;

use super::documents::MetadataService;
use crate::netpol::{AddressSet, PortSet, Protocol};

/// Addresses at which metadata is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// At which addresses.
    pub addresses: AddressSet,
    /// On which ports.
    pub ports: PortSet,
}

/// What is guarded on every cluster: the address of nearly all clouds (AWS, Azure, Google, Oracle, OpenStack, IBM, Akamai,
/// DigitalOcean, Hetzner and others), and those of IPv6, which mean nothing else anywhere: AWS, Google, Oracle, Alibaba,
/// Akamai, Scaleway, OpenStack.
pub(super) const EVERYWHERE: [&str; 8] = [
    "169.254.169.254",
    "fd00:ec2::254",
    "fd20:ce::254",
    "fd00:c1::a9fe:a9fe",
    "fd00:100::100:200",
    "fd00:a9fe:a9fe::1",
    "fd00:42::42",
    "fe80::a9fe:a9fe",
];

/// The ports of those: HTTP, and HTTPS where a cloud offers it (IBM).
pub(super) const PORTS: [u16; 2] = [80, 443];

/// What is guarded where configuration names the service.
const SERVICES: [(MetadataService, &[&str], &[u16]); 8] = [
    (MetadataService::AlibabaCloud, &["100.100.100.200"], &[80]),
    (MetadataService::AzureWireServer, &["168.63.129.16"], &[80, 32526]),
    (MetadataService::Ecs, &["169.254.170.2"], &[80]),
    (
        MetadataService::EksPodIdentity,
        &["169.254.170.23", "fd00:ec2::23"],
        &[80],
    ),
    (MetadataService::GkeMetadataServer, &["169.254.169.252"], &[987, 988]),
    (MetadataService::OracleCloudAtCustomer, &["192.0.0.192"], &[80]),
    (MetadataService::Scaleway, &["169.254.42.42"], &[80]),
    (MetadataService::TencentCloud, &["169.254.0.23"], &[80]),
];

impl Endpoint {
    /// These addresses on these TCP ports.
    pub(super) fn new(addresses: &[&str], ports: &[u16]) -> Self {
        let addresses: Vec<AddressSet> = addresses
            .iter()
            .filter_map(|text| text.parse::<IpAddr>().ok())
            .map(AddressSet::from)
            .collect();
        let ports = ports.iter().map(|port| PortSet::range(Protocol::Tcp, *port, *port));
        Self {
            addresses: AddressSet::union_of(&addresses),
            ports: ports.fold(PortSet::default(), |set, port| set.union(&port)),
        }
    }

    /// Where a service answers.
    pub(super) fn of(service: MetadataService) -> Option<Self> {
        let row = SERVICES.iter().find(|(named, ..)| *named == service);
        row.map(|(_, addresses, ports)| Self::new(addresses, ports))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::guardrails::plain_schema;

    #[test]
    fn every_address_of_the_table_is_one() {
        let lists = SERVICES.iter().map(|(_, addresses, _)| *addresses);
        for text in lists.chain([&EVERYWHERE[..]]).flatten() {
            assert!(text.parse::<IpAddr>().is_ok(), "{text}");
        }
    }

    /// What configuration says of a service is what is guarded.
    #[test]
    fn each_service_is_described_as_it_is_guarded() {
        let schema = plain_schema::<MetadataService>().to_value().to_string();
        for (service, addresses, ports) in SERVICES {
            assert!(Endpoint::of(service).is_some());
            let name = serde_json::to_value(service).expect("a word");
            let name = name.as_str().expect("a word");
            let (_, told) = schema.split_once(&format!("{name}: ")).expect("a description");
            let told = told.split_once(". ").map_or(told, |(first, _)| first);
            let ports = ports.iter().map(ToString::to_string);
            for word in addresses.iter().map(|text| (*text).to_owned()).chain(ports) {
                assert!(told.contains(&word), "{word} of {name}: {told}");
            }
        }
    }
}
