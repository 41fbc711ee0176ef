//! What a pod spec says, read only when a rule wants it: the images that run, and what steps around policies.

use std::borrow::Cow;

use serde::Deserialize;

use super::text::Text;
use crate::guardrails::SETTLE_GATE;
use crate::model::PodSpecText;

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct PodSpec<'a> {
    #[serde(borrow)]
    containers: Option<Vec<Container<'a>>>,
    #[serde(borrow)]
    init_containers: Option<Vec<Container<'a>>>,
    #[serde(borrow)]
    ephemeral_containers: Option<Vec<Container<'a>>>,
    #[serde(borrow)]
    volumes: Option<Vec<Volume<'a>>>,
    host_network: Option<bool>,
    #[serde(rename = "hostPID")]
    host_pid: Option<bool>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Container<'a> {
    #[serde(borrow)]
    name: Text<'a>,
    #[serde(borrow)]
    image: Text<'a>,
    #[serde(borrow)]
    security_context: Option<SecurityContext<'a>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct SecurityContext<'a> {
    privileged: Option<bool>,
    #[serde(borrow)]
    capabilities: Option<Capabilities<'a>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Capabilities<'a> {
    #[serde(borrow)]
    add: Option<Vec<Text<'a>>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Volume<'a> {
    #[serde(borrow)]
    name: Text<'a>,
    host_path: Option<serde::de::IgnoredAny>,
}

/// What a pod waits behind before it is scheduled, and where it is then.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Scheduling<'a> {
    #[serde(borrow)]
    scheduling_gates: Option<Vec<SchedulingGate<'a>>>,
    #[serde(borrow)]
    node_name: Text<'a>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct SchedulingGate<'a> {
    #[serde(borrow)]
    name: Text<'a>,
}

/// Images by container name.
pub type Images<'a> = Vec<(Cow<'a, str>, Cow<'a, str>)>;

/// Capabilities with which a pod can forge packets or change its own network.
const RAW_CAPABILITIES: &[&str] = &["NET_ADMIN", "NET_RAW", "ALL"];

impl<'a> PodSpecText<'a> {
    fn parse(self) -> Result<PodSpec<'a>, serde_json::Error> {
        if self.0.is_empty() {
            return Ok(PodSpec::default());
        }
        serde_json::from_str::<Option<PodSpec<'a>>>(self.0).map(Option::unwrap_or_default)
    }

    /// The images of containers and init containers, by container name. An error where the text is no pod spec.
    pub fn images(self) -> Result<Images<'a>, serde_json::Error> {
        let PodSpec {
            containers,
            init_containers,
            ..
        } = self.parse()?;
        let all = containers
            .unwrap_or_default()
            .into_iter()
            .chain(init_containers.unwrap_or_default());
        Ok(all.map(|container| (container.name.0, container.image.0)).collect())
    }

    fn scheduling(self) -> Result<Scheduling<'a>, serde_json::Error> {
        if self.0.is_empty() {
            return Ok(Scheduling::default());
        }
        serde_json::from_str::<Option<Scheduling<'a>>>(self.0).map(Option::unwrap_or_default)
    }

    /// The node that it is on, empty where it is on none. An error where the text is no pod spec.
    pub fn node(self) -> Result<Cow<'a, str>, serde_json::Error> {
        Ok(self.scheduling()?.node_name.0)
    }

    /// The names of its scheduling gates. An error where the text is no pod spec.
    pub fn gates(self) -> Result<Vec<Cow<'a, str>>, serde_json::Error> {
        let gates = self.scheduling()?.scheduling_gates.unwrap_or_default();
        Ok(gates.into_iter().map(|gate| gate.name.0).collect())
    }

    /// Whether it has the gate behind which first pods wait. An error where the text is no pod spec.
    pub fn is_gated(self) -> Result<bool, serde_json::Error> {
        Ok(self.gates()?.iter().any(|gate| gate == SETTLE_GATE))
    }

    /// What of it steps around NetworkPolicies, in words, each once and sorted: `hostNetwork`, `privileged container
    /// "app"`. An error where the text is no pod spec.
    pub fn host_access(self) -> Result<Vec<String>, serde_json::Error> {
        let spec = self.parse()?;
        let mut words = Vec::new();
        if spec.host_network == Some(true) {
            words.push("hostNetwork".to_owned());
        }
        if spec.host_pid == Some(true) {
            words.push("hostPID".to_owned());
        }
        for volume in spec
            .volumes
            .iter()
            .flatten()
            .filter(|volume| volume.host_path.is_some())
        {
            words.push(format!("hostPath volume {:?}", volume.name.0));
        }
        let containers = [&spec.containers, &spec.init_containers, &spec.ephemeral_containers]
            .into_iter()
            .flatten()
            .flatten();
        for container in containers {
            let Some(security) = &container.security_context else {
                continue;
            };
            if security.privileged == Some(true) {
                words.push(format!("privileged container {:?}", container.name.0));
            }
            let added = security
                .capabilities
                .iter()
                .flat_map(|capabilities| capabilities.add.iter().flatten());
            for capability in added {
                let name = capability.0.to_ascii_uppercase();
                let name = name.strip_prefix("CAP_").unwrap_or(&name);
                if RAW_CAPABILITIES.contains(&name) {
                    words.push(format!("capability {name} of container {:?}", container.name.0));
                }
            }
        }
        words.sort_unstable();
        words.dedup();
        Ok(words)
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::none("", &[])]
    #[case::null("null", &[])]
    #[case::plain(r#"{"containers":[{"name":"a","securityContext":{"privileged":false}}],"volumes":[{"name":"v"}]}"#, &[])]
    #[case::host_network(r#"{"hostNetwork":true,"hostPID":false}"#, &["hostNetwork"])]
    #[case::host_pid(r#"{"hostPID":true}"#, &["hostPID"])]
    #[case::host_path(r#"{"volumes":[{"name":"v","hostPath":{"path":"/"}}]}"#, &[r#"hostPath volume "v""#])]
    #[case::privileged_init(r#"{"initContainers":[{"name":"i","securityContext":{"privileged":true}}]}"#,
        &[r#"privileged container "i""#])]
    #[case::ephemeral(r#"{"ephemeralContainers":[{"name":"e","securityContext":{"privileged":true}}]}"#,
        &[r#"privileged container "e""#])]
    #[case::capabilities(r#"{"containers":[{"name":"a","securityContext":{"capabilities":{"add":["CAP_NET_RAW","chown"]}}}]}"#,
        &[r#"capability NET_RAW of container "a""#])]
    fn what_steps_around_policies_is_named(#[case] text: &str, #[case] words: &[&str]) {
        assert_eq!(PodSpecText(text).host_access().expect("is a pod spec"), words);
    }

    #[test]
    fn what_is_no_pod_spec_is_an_error() {
        assert!(PodSpecText("[1]").host_access().is_err());
        assert!(PodSpecText(r#"{"hostNetwork":"yes"}"#).host_access().is_err());
    }
}
