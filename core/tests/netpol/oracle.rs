//! What NetworkPolicies mean, word by word from the API reference ("NetworkPolicy networking.k8s.io/v1") and the concept
//! page "Network Policies", over plain JSON and one pod, one address, one port at a time. Slow, and with no code in common
//! with what it is held against.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use serde_json::Value;

/// A pod, or a node's pod with hostNetwork.
#[derive(Debug, Clone)]
pub(crate) struct Pod {
    pub(crate) namespace: &'static str,
    pub(crate) labels: BTreeMap<&'static str, &'static str>,
    /// Name, protocol, number.
    pub(crate) ports: Vec<(&'static str, &'static str, u16)>,
    pub(crate) host_network: bool,
    pub(crate) address: Option<IpAddr>,
}

/// One end.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Place<'a> {
    Pod(&'a Pod),
    Address(IpAddr),
}

/// A NetworkPolicy object as YAML has it.
#[derive(Debug, Clone)]
pub(crate) struct Object {
    pub(crate) namespace: &'static str,
    pub(crate) spec: Value,
}

pub(crate) struct Cluster<'a> {
    pub(crate) namespaces: &'a BTreeMap<&'static str, BTreeMap<&'static str, &'static str>>,
    pub(crate) policies: &'a [Object],
    pub(crate) ipblock_pods: bool,
}

/// "This field is a list": absent and null are a list without items.
fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

/// "matchLabels is a map of {key,value} pairs", "matchExpressions is a list of label selector requirements. The
/// requirements are ANDed." "An empty label selector matches all objects."
fn selects(selector: &Value, labels: &BTreeMap<&str, &str>) -> bool {
    if let Some(pairs) = selector["matchLabels"].as_object() {
        for (key, value) in pairs {
            if labels.get(key.as_str()).copied() != value.as_str() {
                return false;
            }
        }
    }
    for requirement in list(&selector["matchExpressions"]) {
        let have = labels.get(requirement["key"].as_str().expect("a key")).copied();
        let among = list(&requirement["values"])
            .iter()
            .any(|value| value.as_str() == have && have.is_some());
        let holds = match requirement["operator"].as_str().expect("an operator") {
            "In" => among,
            "NotIn" => !among,
            "Exists" => have.is_some(),
            "DoesNotExist" => have.is_none(),
            other => unreachable!("{other}"),
        };
        if !holds {
            return false;
        }
    }
    true
}

impl Cluster<'_> {
    /// "policyTypes: If this field is not specified, it will default based on the existence of ingress or egress rules;
    /// policies that contain an egress section are assumed to affect egress, and all policies (whether or not they contain
    /// an ingress section) are assumed to affect ingress."
    fn affects(policy: &Object, direction: &str) -> bool {
        let types = list(&policy.spec["policyTypes"]);
        if types.is_empty() {
            return direction == "Ingress" || !list(&policy.spec["egress"]).is_empty();
        }
        types.iter().any(|each| each.as_str() == Some(direction))
    }

    /// "A pod is isolated for egress if there is any NetworkPolicy that both selects the pod and has "Egress" in its
    /// policyTypes." Pods with hostNetwork: "the hostNetwork pod traffic is ignored when matching podSelector".
    fn isolating(&self, pod: &Pod, direction: &str) -> Vec<usize> {
        let isolates = |policy: &Object| {
            !pod.host_network
                && policy.namespace == pod.namespace
                && Self::affects(policy, direction)
                && selects(&policy.spec["podSelector"], &pod.labels)
        };
        (0..self.policies.len())
            .filter(|at| isolates(&self.policies[*at]))
            .collect()
    }

    fn namespace_labels(&self, name: &'static str) -> BTreeMap<&'static str, &'static str> {
        let mut labels = self.namespaces.get(name).cloned().unwrap_or_default();
        // "The value of the label is the namespace name", set by the control plane on all namespaces.
        labels.insert("kubernetes.io/metadata.name", name);
        labels
    }

    fn block_holds(block: &Value, address: IpAddr) -> bool {
        let cidr = |text: &Value| text.as_str().expect("a CIDR").parse::<ipnet::IpNet>().expect("a CIDR");
        cidr(&block["cidr"]).contains(&address)
            && !list(&block["except"]).iter().any(|hole| cidr(hole).contains(&address))
    }

    fn peer_matches(&self, peer: &Value, own: &'static str, place: Place<'_>) -> bool {
        let block = &peer["ipBlock"];
        let pod = match place {
            Place::Address(address) => return !block.is_null() && Self::block_holds(block, address),
            Place::Pod(pod) => pod,
        };
        if !block.is_null() {
            return match pod.address {
                _ if !pod.host_network && !self.ipblock_pods => false,
                Some(address) => Self::block_holds(block, address),
                // Of an address that is not known nothing can be said but where every address is meant.
                None => {
                    matches!(block["cidr"].as_str(), Some("0.0.0.0/0" | "::/0")) && list(&block["except"]).is_empty()
                }
            };
        }
        if pod.host_network {
            return false;
        }
        // "If namespaceSelector is also set, the peer selects the pods matching podSelector in the namespaces selected by
        // namespaceSelector. Otherwise it selects the pods matching podSelector in the policy's own namespace."
        let namespace = match &peer["namespaceSelector"] {
            Value::Null => pod.namespace == own,
            selector => selects(selector, &self.namespace_labels(pod.namespace)),
        };
        namespace && selects(&peer["podSelector"], &pod.labels)
    }

    fn port_matches(entry: &Value, protocol: &str, port: u16, destination: Place<'_>) -> bool {
        // "If not specified, this field defaults to TCP."
        if entry["protocol"].as_str().unwrap_or("TCP") != protocol {
            return false;
        }
        match &entry["port"] {
            // "If this field is not provided, this matches all port names and numbers."
            Value::Null => true,
            Value::String(name) => match destination {
                Place::Pod(pod) if !pod.host_network => pod.ports.contains(&(name.as_str(), protocol, port)),
                _ => false,
            },
            number => {
                let first = number.as_u64().expect("a number");
                // "endPort indicates that the range of ports from port to endPort if set, inclusive, should be allowed".
                let last = entry["endPort"].as_u64().unwrap_or(first);
                (first..=last).contains(&u64::from(port))
            }
        }
    }

    /// The policies that isolate a place in a direction, and of them those with a rule that matches; none where it is not
    /// isolated. "If this field is empty or missing, this rule matches all sources (destinations)", "all ports".
    fn side(
        &self,
        place: Place<'_>,
        direction: &str,
        other: Place<'_>,
        protocol: &str,
        port: u16,
        destination: Place<'_>,
    ) -> Option<BTreeSet<usize>> {
        let Place::Pod(pod) = place else { return None };
        let isolating = self.isolating(pod, direction);
        if isolating.is_empty() {
            return None;
        }
        let (section, peers) = if direction == "Ingress" {
            ("ingress", "from")
        } else {
            ("egress", "to")
        };
        let mut allowing = BTreeSet::new();
        for at in isolating {
            let policy = &self.policies[at];
            for rule in list(&policy.spec[section]) {
                let (peers, ports) = (list(&rule[peers]), list(&rule["ports"]));
                let peer = peers.is_empty()
                    || peers
                        .iter()
                        .any(|peer| self.peer_matches(peer, policy.namespace, other));
                let port = ports.is_empty()
                    || ports
                        .iter()
                        .any(|entry| Self::port_matches(entry, protocol, port, destination));
                if peer && port {
                    allowing.insert(at);
                }
            }
        }
        Some(allowing)
    }

    /// Whether the connection may pass, and if so by which policies. "For a connection from a source pod to a destination
    /// pod to be allowed, both the egress policy on the source pod and the ingress policy on the destination pod need to
    /// allow the connection."
    pub(crate) fn allowed(
        &self,
        source: Place<'_>,
        destination: Place<'_>,
        protocol: &str,
        port: u16,
    ) -> Option<BTreeSet<usize>> {
        let egress = self.side(source, "Egress", destination, protocol, port, destination);
        let ingress = self.side(destination, "Ingress", source, protocol, port, destination);
        let lets = |side: &Option<BTreeSet<usize>>| side.as_ref().is_none_or(|allowing| !allowing.is_empty());
        (lets(&egress) && lets(&ingress)).then(|| egress.into_iter().chain(ingress).flatten().collect())
    }
}
