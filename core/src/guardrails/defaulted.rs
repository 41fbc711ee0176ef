//! A NetworkPolicySpec as the API server gives it back once it has stored it: defaults filled in, what is empty left out
//! (`SetDefaults_NetworkPolicy` and the `omitempty` of the types, networking.k8s.io/v1). What stands can then be compared
//! whole with what should.

use serde_json::Value;

use super::documents::{Direction, NetworkPolicyPort, NetworkPolicySpec};

/// The spec as the API server gives it back.
pub(super) fn defaulted(spec: &NetworkPolicySpec) -> Value {
    let mut spec = spec.clone();
    spec.policy_types = Some(policy_types(&spec));
    for rule in spec.ingress.iter_mut().flatten() {
        without_empty(&mut rule.from);
        default_ports(&mut rule.ports);
    }
    for rule in spec.egress.iter_mut().flatten() {
        without_empty(&mut rule.to);
        default_ports(&mut rule.ports);
    }
    without_empty(&mut spec.ingress);
    without_empty(&mut spec.egress);
    // Plain types of strings, numbers and lists: nothing here can fail to be JSON.
    serde_json::to_value(spec).unwrap_or_default()
}

/// The directions that a policy isolates: as it says, else Ingress, and Egress where it has egress rules.
pub(super) fn policy_types(spec: &NetworkPolicySpec) -> Vec<Direction> {
    match spec.policy_types.as_deref() {
        Some(types @ [_, ..]) => types.to_vec(),
        Some([]) | None if spec.egress.as_ref().is_some_and(|rules| !rules.is_empty()) => {
            vec![Direction::Ingress, Direction::Egress]
        }
        Some([]) | None => vec![Direction::Ingress],
    }
}

fn default_ports(ports: &mut Option<Vec<NetworkPolicyPort>>) {
    for port in ports.iter_mut().flatten() {
        port.protocol.get_or_insert_default();
    }
    without_empty(ports);
}

fn without_empty<T>(list: &mut Option<Vec<T>>) {
    if list.as_ref().is_some_and(Vec::is_empty) {
        *list = None;
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::json;

    use super::*;

    #[rstest]
    #[case(json!({"podSelector": {}}), json!({"podSelector": {}, "policyTypes": ["Ingress"]}))]
    #[case(json!({"podSelector": {}, "policyTypes": []}), json!({"podSelector": {}, "policyTypes": ["Ingress"]}))]
    #[case(json!({"podSelector": {}, "egress": []}), json!({"podSelector": {}, "policyTypes": ["Ingress"]}))]
    #[case(
        json!({"podSelector": {}, "egress": [{}]}),
        json!({"podSelector": {}, "egress": [{}], "policyTypes": ["Ingress", "Egress"]})
    )]
    #[case(
        json!({"podSelector": {"matchLabels": {}, "matchExpressions": []}, "ingress": [{"from": [], "ports": []}]}),
        json!({"podSelector": {}, "ingress": [{}], "policyTypes": ["Ingress"]})
    )]
    #[case(
        json!({"podSelector": {}, "policyTypes": ["Egress"], "egress": [{
            "to": [{"namespaceSelector": {}}, {"ipBlock": {"cidr": "10.0.0.0/8", "except": []}}],
            "ports": [{"port": 53}, {"port": "dns", "protocol": "UDP"}, {"port": 80, "endPort": 90}, {}],
        }]}),
        json!({"podSelector": {}, "policyTypes": ["Egress"], "egress": [{
            "to": [{"namespaceSelector": {}}, {"ipBlock": {"cidr": "10.0.0.0/8"}}],
            "ports": [{"port": 53, "protocol": "TCP"}, {"port": "dns", "protocol": "UDP"},
                      {"port": 80, "endPort": 90, "protocol": "TCP"}, {"protocol": "TCP"}],
        }]})
    )]
    fn defaults_are_filled_in_and_what_is_empty_is_left_out(#[case] written: Value, #[case] stored: Value) {
        let spec: NetworkPolicySpec = serde_json::from_value(written).expect("a spec");
        assert_eq!(defaulted(&spec), stored);
        let again: NetworkPolicySpec = serde_json::from_value(stored.clone()).expect("a spec");
        assert_eq!(defaulted(&again), stored);
    }
}
