//! Which pods a connection reaches, as they stand now. The API server dials addresses, and anyone who may write a pod's
//! status may write another pod's address there: so an address is looked up among all pods, and a reference is never
//! believed.

use std::collections::BTreeMap;
use std::net::IpAddr;

use ringfence_core::model::{NamespaceName, ReachedPod, Target};
use serde::Deserialize;

use super::calls::{CallError, Calls};

/// What of a pod says whether it is reached.
#[derive(Debug, Deserialize)]
struct Pod {
    metadata: Metadata,
    #[serde(default)]
    status: Status,
}

#[derive(Debug, Deserialize)]
struct Metadata {
    name: String,
    namespace: String,
    #[serde(default)]
    labels: BTreeMap<String, String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Status {
    #[serde(rename = "podIP")]
    pod_ip: String,
    #[serde(rename = "podIPs")]
    pod_ips: Vec<PodIp>,
    phase: String,
}

#[derive(Debug, Deserialize)]
struct PodIp {
    #[serde(default)]
    ip: String,
}

#[derive(Debug, Deserialize)]
struct EndpointSlice {
    #[serde(default)]
    endpoints: Option<Vec<Endpoint>>,
}

#[derive(Debug, Deserialize)]
struct Endpoint {
    #[serde(default)]
    addresses: Vec<String>,
}

#[derive(Debug, Deserialize)]
struct Endpoints {
    #[serde(default)]
    subsets: Option<Vec<Subset>>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Subset {
    #[serde(default)]
    addresses: Option<Vec<PodIp>>,
    #[serde(default)]
    not_ready_addresses: Option<Vec<PodIp>>,
}

impl Pod {
    fn addresses(&self) -> Vec<IpAddr> {
        let texts = self
            .status
            .pod_ips
            .iter()
            .map(|pod_ip| &pod_ip.ip)
            .chain([&self.status.pod_ip]);
        addresses(texts)
    }

    /// A pod that has ended holds no address any more, whatever its status says.
    fn has_ended(&self) -> bool {
        matches!(self.status.phase.as_str(), "Succeeded" | "Failed")
    }

    fn into_reached(self) -> Option<ReachedPod> {
        let Metadata {
            name,
            namespace,
            labels,
        } = self.metadata;
        Some(ReachedPod {
            namespace: NamespaceName::new(&namespace).ok()?,
            name,
            labels: labels.into_iter().collect(),
        })
    }
}

/// The addresses among texts, an IPv4 address written as IPv6 as the IPv4 address that it is.
fn addresses<'t>(texts: impl Iterator<Item = &'t String>) -> Vec<IpAddr> {
    texts
        .filter_map(|text| text.parse::<IpAddr>().ok())
        .map(|address| address.to_canonical())
        .collect()
}

/// Whether text can be the name of an object: it goes into a path, and must not lead anywhere else.
fn is_name(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= 253
        && text
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'.'))
        && text.bytes().next().is_some_and(|byte| byte.is_ascii_alphanumeric())
}

impl Calls {
    /// The pods that a connection reaches now; none where nothing is there.
    pub(super) async fn reached(&self, target: &Target) -> Result<Vec<ReachedPod>, CallError> {
        match target {
            Target::Pod(_, name) | Target::PodAddresses(_, name) | Target::Service(_, name) | Target::Node(name)
                if !is_name(name) =>
            {
                Ok(Vec::new())
            }
            Target::Pod(namespace, name) => Ok(self
                .pod(namespace, name)
                .await?
                .and_then(Pod::into_reached)
                .into_iter()
                .collect()),
            Target::PodAddresses(namespace, name) => {
                let Some(pod) = self.pod(namespace, name).await? else {
                    return Ok(Vec::new());
                };
                let dialled = pod.addresses();
                let mut pods = self.holders(&dialled).await?;
                pods.extend(pod.into_reached());
                Ok(pods)
            }
            Target::Service(namespace, name) => {
                let dialled = self.endpoints(namespace, name).await?;
                self.holders(&dialled).await
            }
            Target::Node(name) => {
                let mut pods = Vec::new();
                let on_node = format!("fieldSelector=spec.nodeName%3D{name}");
                self.pages("/api/v1/pods", &on_node, |pod: Pod| pods.extend(pod.into_reached()))
                    .await?;
                Ok(pods)
            }
        }
    }

    async fn pod(&self, namespace: &NamespaceName, name: &str) -> Result<Option<Pod>, CallError> {
        self.object(&format!("/api/v1/namespaces/{namespace}/pods/{name}"))
            .await
    }

    /// Every address behind a service: of its EndpointSlices, and of the Endpoints that older API servers dial by.
    async fn endpoints(&self, namespace: &NamespaceName, name: &str) -> Result<Vec<IpAddr>, CallError> {
        let mut found = Vec::new();
        let slices = format!("/apis/discovery.k8s.io/v1/namespaces/{namespace}/endpointslices");
        let of_service = format!("labelSelector=kubernetes.io%2Fservice-name%3D{name}");
        self.pages(&slices, &of_service, |slice: EndpointSlice| {
            let texts = slice
                .endpoints
                .iter()
                .flatten()
                .flat_map(|endpoint| &endpoint.addresses);
            found.extend(addresses(texts));
        })
        .await?;
        let path = format!("/api/v1/namespaces/{namespace}/endpoints/{name}");
        if let Some(endpoints) = self.object::<Endpoints>(&path).await? {
            for subset in endpoints.subsets.iter().flatten() {
                let both = subset.addresses.iter().chain(&subset.not_ready_addresses).flatten();
                found.extend(addresses(both.map(|address| &address.ip)));
            }
        }
        Ok(found)
    }

    /// Every running pod that has one of these addresses, the second of a dual-stack pod included: no field selector knows
    /// that one, so all pods are gone through.
    async fn holders(&self, dialled: &[IpAddr]) -> Result<Vec<ReachedPod>, CallError> {
        let mut pods = Vec::new();
        if dialled.is_empty() {
            return Ok(pods);
        }
        self.pages("/api/v1/pods", "", |pod: Pod| {
            if !pod.has_ended() && pod.addresses().iter().any(|address| dialled.contains(address)) {
                pods.extend(pod.into_reached());
            }
        })
        .await?;
        Ok(pods)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_compared_as_addresses() {
        let texts = ["10.0.0.1", "::ffff:10.0.0.1", "FD00::1", "fd00:0::1", "nonsense", ""].map(str::to_owned);
        let found = addresses(texts.iter());
        assert_eq!(found[0], found[1]);
        assert_eq!(found[2], found[3]);
        assert_eq!(found.len(), 4);
    }

    #[test]
    fn a_name_leads_nowhere_else() {
        for text in ["", "../secrets", "a/b", "a?b", "a%2fb", "-a", "A"] {
            assert!(!is_name(text), "{text}");
        }
        assert!(is_name("web-0.a"));
    }
}
