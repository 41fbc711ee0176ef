//! [`running_of`]: what an object that is a pod, or makes pods, says of them.

use serde_json::Value;

use crate::model::Running;
use crate::netpol::{NamedPort, Protocol};

/// The pods that an object is or makes; `template` is the JSON pointer to its template, empty for a pod. None of a pod that
/// has ended, and none where there is no template.
pub fn running_of(object: &Value, template: &str) -> Option<Running> {
    let ended = template.is_empty()
        && matches!(
            object.pointer("/status/phase").and_then(Value::as_str),
            Some("Succeeded" | "Failed")
        );
    let pod = object.pointer(template).filter(|pod| !ended && pod.is_object())?;
    let labels = pod.pointer("/metadata/labels").and_then(Value::as_object);
    let text = |(key, value): (&String, &Value)| (key.clone(), value.as_str().unwrap_or_default().to_owned());
    let mut labels: Vec<(String, String)> = labels.into_iter().flatten().map(text).collect();
    labels.sort_unstable();
    let containers = ["/spec/containers", "/spec/initContainers"].into_iter();
    let mut ports: Vec<NamedPort> = containers
        .filter_map(|pointer| pod.pointer(pointer)?.as_array())
        .flatten()
        .filter_map(|container| container["ports"].as_array())
        .flatten()
        .filter_map(named_port)
        .collect();
    ports.sort_unstable();
    ports.dedup();
    Some(Running { labels, ports })
}

fn named_port(port: &Value) -> Option<NamedPort> {
    Some(NamedPort {
        name: port["name"].as_str()?.into(),
        protocol: match port["protocol"].as_str() {
            Some("UDP") => Protocol::Udp,
            Some("SCTP") => Protocol::Sctp,
            _ => Protocol::Tcp,
        },
        number: u16::try_from(port["containerPort"].as_u64()?).ok()?,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_pod_and_a_template_say_the_same() {
        let ports = json!([{"name": "http", "containerPort": 80}, {"containerPort": 81},
            {"name": "dns", "containerPort": 53, "protocol": "UDP"}]);
        let pod = json!({"metadata": {"labels": {"b": "2", "a": "1"}}, "spec": {"containers": [{"ports": ports}, {}]}});
        let running = running_of(&pod, "").expect("it runs");
        let texts = |pairs: &[(&str, &str)]| -> Vec<(String, String)> {
            pairs
                .iter()
                .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
                .collect()
        };
        assert_eq!(running.labels, texts(&[("a", "1"), ("b", "2")]));
        let told: Vec<_> = running
            .ports
            .iter()
            .map(|port| (&*port.name, port.protocol, port.number))
            .collect();
        assert_eq!(told, [("dns", Protocol::Udp, 53), ("http", Protocol::Tcp, 80)]);
        let deployment = json!({"metadata": {"labels": {"not": "these"}}, "spec": {"template": pod}});
        assert_eq!(running_of(&deployment, "/spec/template"), Some(running));
    }

    #[test]
    fn what_has_ended_or_has_no_template_runs_nothing() {
        assert_eq!(running_of(&json!({"status": {"phase": "Succeeded"}}), ""), None);
        assert_eq!(running_of(&json!({"spec": {}}), "/spec/template"), None);
        assert!(running_of(&json!({"status": {"phase": "Pending"}}), "").is_some());
    }
}
