//! Connections as JSON lines, one object a connection: who, to whom, with which protocol, on which ports, by which
//! policies. Each is written as it is found, so that very many need no memory.

use std::collections::BTreeMap;
use std::io::{self, Write};

use ringfence_core::netpol::{Connection, End, Endpoint, PortRange, protocol_name};
use serde::Serialize;

use super::names::Names;
use super::policies::PolicyNames;

/// One end: a workload or a CIDR.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum JsonEnd<'r> {
    /// A workload.
    Workload {
        /// Its namespace.
        namespace: &'r str,
        /// The kind of what owns its pods.
        kind: &'r str,
        /// The name of what owns its pods.
        name: &'r str,
        /// The labels that tell these pods of the owner from others of it, where there are others; null for one that none of
        /// these has.
        #[serde(skip_serializing_if = "BTreeMap::is_empty")]
        labels: BTreeMap<&'r str, Option<&'r str>>,
        /// Whether policies do not hold for them, since they are in the network of their nodes.
        #[serde(rename = "hostNetwork", skip_serializing_if = "std::ops::Not::not")]
        host_network: bool,
    },
    /// Addresses of the outside.
    Cidr {
        /// Which.
        cidr: String,
    },
}

#[derive(Serialize)]
struct JsonConnection<'r> {
    source: JsonEnd<'r>,
    destination: JsonEnd<'r>,
    protocol: &'static str,
    ports: Vec<String>,
    policies: Vec<&'r str>,
}

impl<'r> From<&'r Endpoint> for JsonEnd<'r> {
    fn from(endpoint: &'r Endpoint) -> Self {
        Self::Workload {
            namespace: endpoint.namespace.as_str(),
            kind: &endpoint.kind,
            name: &endpoint.name,
            labels: endpoint
                .apart
                .iter()
                .map(|(key, value)| (key.as_str(), value.as_deref()))
                .collect(),
            host_network: endpoint.host_network,
        }
    }
}

impl<'r> JsonEnd<'r> {
    /// An end of a connection.
    pub fn of(end: End, names: &Names<'r>) -> Self {
        match end {
            End::Workload(id) => names.endpoint(id).into(),
            End::Outside(net) => Self::Cidr { cidr: net.to_string() },
        }
    }
}

/// Port ranges as text: `80`, `1-79`.
pub fn ports(ranges: &[PortRange]) -> Vec<String> {
    ranges.iter().map(ToString::to_string).collect()
}

/// Writes every connection.
pub fn write(
    connections: impl Iterator<Item = Connection>,
    names: &Names<'_>,
    policies: &PolicyNames,
    out: &mut impl Write,
) -> io::Result<()> {
    for connection in connections {
        let line = JsonConnection {
            source: JsonEnd::of(connection.source, names),
            destination: JsonEnd::of(connection.destination, names),
            protocol: protocol_name(connection.protocol),
            ports: ports(&connection.ports),
            policies: connection.policies.iter().map(|id| policies.name(*id)).collect(),
        };
        serde_json::to_writer(&mut *out, &line)?;
        out.write_all(b"\n")?;
    }
    Ok(())
}
