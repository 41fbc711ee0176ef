//! A NetworkPolicySpec as the API server decodes it: everything optional, null as good as absent (in a list, as an empty
//! item), words unchecked. What it then refuses is in [`super::read`]; configuration has stricter types of its own.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::value::MapAccessDeserializer;
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer};

/// The spec of a NetworkPolicy. None at all is a policy that selects every pod of its namespace and lets nothing in.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(remote = "Self", rename_all = "camelCase")]
pub struct NetworkPolicySpec {
    /// The pods that it selects; absent or empty: every pod of its namespace.
    #[serde(default)]
    pub pod_selector: Option<LabelSelector>,
    /// The directions that it isolates; absent or empty: Ingress, and Egress where there are egress rules.
    #[serde(default, deserialize_with = "items")]
    pub policy_types: Vec<String>,
    /// What may come in; absent or empty: nothing.
    #[serde(default, deserialize_with = "items")]
    pub ingress: Vec<NetworkPolicyIngressRule>,
    /// What may go out; absent or empty: nothing.
    #[serde(default, deserialize_with = "items")]
    pub egress: Vec<NetworkPolicyEgressRule>,
}

/// What may come in.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(remote = "Self")]
pub struct NetworkPolicyIngressRule {
    /// From whom; absent or empty: from everywhere.
    #[serde(default, deserialize_with = "items")]
    pub from: Vec<NetworkPolicyPeer>,
    /// To which ports; absent or empty: to all.
    #[serde(default, deserialize_with = "items")]
    pub ports: Vec<NetworkPolicyPort>,
}

/// What may go out.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(remote = "Self")]
pub struct NetworkPolicyEgressRule {
    /// To whom; absent or empty: to everywhere.
    #[serde(default, deserialize_with = "items")]
    pub to: Vec<NetworkPolicyPeer>,
    /// To which ports; absent or empty: to all.
    #[serde(default, deserialize_with = "items")]
    pub ports: Vec<NetworkPolicyPort>,
}

/// A peer: pods by selectors, or addresses.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(remote = "Self", rename_all = "camelCase")]
pub struct NetworkPolicyPeer {
    /// Which pods; absent or empty: every pod of the selected namespaces.
    #[serde(default)]
    pub pod_selector: Option<LabelSelector>,
    /// Which namespaces; absent: the policy's own, empty: all.
    #[serde(default)]
    pub namespace_selector: Option<LabelSelector>,
    /// Addresses; stands alone.
    #[serde(default)]
    pub ip_block: Option<IpBlock>,
}

/// A range of addresses.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(remote = "Self")]
pub struct IpBlock {
    /// The range, e.g. `10.0.0.0/8`.
    #[serde(default, deserialize_with = "or_default")]
    pub cidr: String,
    /// Ranges within it that are left out.
    #[serde(default, deserialize_with = "items")]
    pub except: Vec<String>,
}

/// A port, or a range of them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(remote = "Self", rename_all = "camelCase")]
pub struct NetworkPolicyPort {
    /// TCP, UDP or SCTP; absent: TCP.
    #[serde(default)]
    pub protocol: Option<String>,
    /// Number or name; absent: every port.
    #[serde(default)]
    pub port: Option<PortNumberOrName>,
    /// The last port of a range that begins with `port`.
    #[serde(default)]
    pub end_port: Option<i32>,
}

/// A port by number, or by the name that the container gives it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
pub enum PortNumberOrName {
    /// By number.
    Number(i32),
    /// By name.
    Name(String),
}

/// A label selector: all of both must hold, nothing at all matches everything.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(remote = "Self", rename_all = "camelCase")]
pub struct LabelSelector {
    /// Labels that must be present with exactly these values.
    #[serde(default, deserialize_with = "labels")]
    pub match_labels: BTreeMap<String, String>,
    /// Requirements that must all hold.
    #[serde(default, deserialize_with = "items")]
    pub match_expressions: Vec<LabelSelectorRequirement>,
}

/// A requirement on one label.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(remote = "Self")]
pub struct LabelSelectorRequirement {
    /// The label's key.
    #[serde(default, deserialize_with = "or_default")]
    pub key: String,
    /// In, NotIn, Exists or DoesNotExist.
    #[serde(default, deserialize_with = "or_default")]
    pub operator: String,
    /// For In and NotIn: at least one. For the others: none.
    #[serde(default, deserialize_with = "items")]
    pub values: Vec<String>,
}

/// Read from objects alone: what serde derives takes lists for objects, too, and an item `[]` for an empty rule.
macro_rules! objects {
    ($($type:ident),*) => {$(
        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                struct Object;

                impl<'de> Visitor<'de> for Object {
                    type Value = $type;

                    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                        formatter.write_str("an object")
                    }

                    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
                        // The inherent function that `remote` derives.
                        $type::deserialize(MapAccessDeserializer::new(map))
                    }
                }

                deserializer.deserialize_map(Object)
            }
        }
    )*};
}

objects!(
    NetworkPolicySpec,
    NetworkPolicyIngressRule,
    NetworkPolicyEgressRule,
    NetworkPolicyPeer,
    IpBlock,
    NetworkPolicyPort,
    LabelSelector,
    LabelSelectorRequirement
);

/// A list in which null items are empty ones, itself empty where it is null (as Go decodes JSON).
fn items<'de, D: Deserializer<'de>, Item: Deserialize<'de> + Default>(deserializer: D) -> Result<Vec<Item>, D::Error> {
    let written: Option<Vec<Option<Item>>> = Option::deserialize(deserializer)?;
    Ok(written
        .unwrap_or_default()
        .into_iter()
        .map(Option::unwrap_or_default)
        .collect())
}

fn labels<'de, D: Deserializer<'de>>(deserializer: D) -> Result<BTreeMap<String, String>, D::Error> {
    let written: Option<BTreeMap<String, Option<String>>> = Option::deserialize(deserializer)?;
    Ok(written
        .unwrap_or_default()
        .into_iter()
        .map(|(key, value)| (key, value.unwrap_or_default()))
        .collect())
}

fn or_default<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[rstest::rstest]
    #[case("{}", "{}")]
    #[case(
        r#"{"ingress": null, "egress": null, "policyTypes": null, "podSelector": null}"#,
        "{}"
    )]
    #[case(r#"{"ingress": [null]}"#, r#"{"ingress": [{}]}"#)]
    #[case(r#"{"ingress": [{"from": [null]}]}"#, r#"{"ingress": [{"from": [{}]}]}"#)]
    #[case(
        r#"{"ingress": [{"from": [{"podSelector": null}]}]}"#,
        r#"{"ingress": [{"from": [{}]}]}"#
    )]
    #[case(
        r#"{"podSelector": {"matchLabels": {"a": null}}}"#,
        r#"{"podSelector": {"matchLabels": {"a": ""}}}"#
    )]
    #[case(
        r#"{"ingress": [{"ports": [{"port": null, "protocol": null}]}]}"#,
        r#"{"ingress": [{"ports": [{}]}]}"#
    )]
    fn null_is_read_as_go_reads_it(#[case] written: &str, #[case] same: &str) {
        let read = |text| serde_json::from_str::<NetworkPolicySpec>(text).expect(text);
        assert_eq!(read(written), read(same));
    }

    #[rstest::rstest]
    #[case(r#"{"ingress": [{"ports": [{"port": 80.5}]}]}"#)]
    #[case(r#"{"ingress": [{"ports": [{"port": 2147483648}]}]}"#)]
    #[case(r#"{"ingress": [{"ports": [{"endPort": "81"}]}]}"#)]
    #[case(r#"{"ingress": {}}"#)]
    #[case(r#"{"podSelector": []}"#)]
    #[case(r#"{"ingress": [[]]}"#)]
    #[case("[]")]
    #[case(r#"{"podSelector": {"matchLabels": {"a": 1}}}"#)]
    fn what_is_of_another_type_is_refused(#[case] written: &str) {
        serde_json::from_str::<NetworkPolicySpec>(written).expect_err(written);
    }
}
