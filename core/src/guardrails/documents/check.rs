//! The checks: which are made, how strictly, and what each leaves alone.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::model::Mode;

/// One check, how strictly it is made, and what it leaves alone.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CheckConfiguration {
    /// Which check.
    pub name: CheckName,
    /// What happens where it refuses. Absent: `spec.mode`, and at most Warn for SelectsNothing and UnknownPort.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<Mode>,
    /// WorldIngress: addresses and CIDRs that do not count, e.g. those of the load balancers.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub allow_from: Vec<String>,
    /// WorldEgress: addresses and CIDRs that do not count, e.g. those of a partner or a cloud service.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub allow_to: Vec<String>,
    /// MetadataEndpoint: addresses and CIDRs that count, too, beside 169.254.169.254 and what clouds use of IPv6.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub endpoints: Vec<String>,
    /// MetadataEndpoint: TCP ports of these addresses that count, too, beside 80 and 443.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ports: Vec<i64>,
    /// MetadataEndpoint: services of single clouds that count, too, each with its own ports.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub services: Vec<MetadataService>,
    /// AllNamespaces: addresses and CIDRs of the cluster's pods. An ipBlock that holds one of them is a peer of every
    /// namespace where the network plugin matches pods by address.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub pod_ranges: Vec<String>,
    /// AllNamespaces: keys of labels that every namespace carries, whatever their values, beside kubernetes.io/metadata.name:
    /// that such a label exists narrows nothing.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub common_labels: Vec<String>,
    /// MissingPorts: how many ports of one protocol the rules of one direction may let through together, from 1 to 65534.
    /// Absent: 8192.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub most_ports: Option<i64>,
    /// WideCIDR: the widest ranges that an ipBlock may name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub widest: Option<WidestRanges>,
    /// UnownedNamespaceLabel: keys of namespace labels that not every creator of namespaces may set, beside
    /// kubernetes.io/metadata.name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub owned_labels: Vec<String>,
}

/// The widest ranges that an ipBlock may name, as prefix lengths.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct WidestRanges {
    /// Of IPv4, from 1 to 32. Absent: 16, which is 65536 addresses.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ipv4: Option<i64>,
    /// Of IPv6, from 1 to 128. Absent: 48.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ipv6: Option<i64>,
}

/// The services of single clouds that tell metadata elsewhere than at 169.254.169.254.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub enum MetadataService {
    /// 100.100.100.200 on port 80.
    AlibabaCloud,
    /// 168.63.129.16 on ports 80 and 32526: tells a node its settings, bootstrap credentials among them.
    AzureWireServer,
    /// 169.254.170.2 on port 80: credentials of tasks.
    #[serde(rename = "ECS")]
    Ecs,
    /// 169.254.170.23 and fd00:ec2::23 on port 80: gives a pod credentials of its own.
    #[serde(rename = "EKSPodIdentity")]
    EksPodIdentity,
    /// 169.254.169.252 on ports 987 and 988: where nodes without Dataplane V2 send what goes to 169.254.169.254; gives a pod
    /// credentials of its own.
    #[serde(rename = "GKEMetadataServer")]
    GkeMetadataServer,
    /// 192.0.0.192 on port 80.
    OracleCloudAtCustomer,
    /// 169.254.42.42 on port 80.
    Scaleway,
    /// 169.254.0.23 on port 80.
    TencentCloud,
}

/// The checks that can be configured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
pub enum CheckName {
    /// Ingress from every source.
    WorldIngress,
    /// Egress to every destination.
    WorldEgress,
    /// A peer that is every namespace.
    AllNamespaces,
    /// A rule without ports.
    MissingPorts,
    /// An ipBlock that is wider than needed.
    #[serde(rename = "WideCIDR")]
    WideCidr,
    /// Egress to the cloud's metadata endpoint.
    MetadataEndpoint,
    /// A namespaceSelector on a label that any creator of namespaces can copy.
    UnownedNamespaceLabel,
    /// A policy that selects no pod.
    SelectsNothing,
    /// A named port that no selected pod has.
    UnknownPort,
    /// Pods that step around policies: host network, host processes, privileged, host paths, NET_ADMIN, NET_RAW.
    HostAccess,
}

impl CheckName {
    /// All of them, in the order in which they are documented.
    pub const ALL: [Self; 10] = [
        Self::WorldIngress,
        Self::WorldEgress,
        Self::AllNamespaces,
        Self::MissingPorts,
        Self::WideCidr,
        Self::MetadataEndpoint,
        Self::UnownedNamespaceLabel,
        Self::SelectsNothing,
        Self::UnknownPort,
        Self::HostAccess,
    ];

    /// The word as it stands in configuration, and by which `waive` is asked.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::WorldIngress => "WorldIngress",
            Self::WorldEgress => "WorldEgress",
            Self::AllNamespaces => "AllNamespaces",
            Self::MissingPorts => "MissingPorts",
            Self::WideCidr => "WideCIDR",
            Self::MetadataEndpoint => "MetadataEndpoint",
            Self::UnownedNamespaceLabel => "UnownedNamespaceLabel",
            Self::SelectsNothing => "SelectsNothing",
            Self::UnknownPort => "UnknownPort",
            Self::HostAccess => "HostAccess",
        }
    }

    /// What it refuses, in a line.
    pub fn description(self) -> &'static str {
        match self {
            Self::WorldIngress => "Ingress from every source.",
            Self::WorldEgress => "Egress to every destination.",
            Self::AllNamespaces => "A peer that is every namespace.",
            Self::MissingPorts => "A rule without ports.",
            Self::WideCidr => "An ipBlock that is wider than needed.",
            Self::MetadataEndpoint => "Egress to the cloud's metadata endpoint.",
            Self::UnownedNamespaceLabel => "A namespaceSelector on a label that any creator of namespaces can copy.",
            Self::SelectsNothing => "A policy that selects no pod.",
            Self::UnknownPort => "A named port that no selected pod has.",
            Self::HostAccess => "Pods that step around policies.",
        }
    }

    /// The strictest that it is made unless its own mode says so: what hangs on who happens to run is no attack.
    pub fn strictest_by_default(self) -> Mode {
        match self {
            Self::SelectsNothing | Self::UnknownPort => Mode::Warn,
            _ => Mode::Enforce,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_check_is_spelled_as_configuration_spells_it() {
        for check in CheckName::ALL {
            let spelled = serde_json::to_value(check).expect("a word");
            assert_eq!(spelled, check.as_str());
        }
    }
}
