//! What of a pod's status says whom the network lets in and holds: its addresses, those of its node, its phase. From the
//! statuses before and after a write, whether it tells them anew.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::text::Text;
use crate::model::Runs;

/// Whether a pod runs, and where, as its status says. The condition on requests compares the same fields.
#[derive(Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Whereabouts<'a> {
    #[serde(rename = "podIP", borrow)]
    pod_ip: Text<'a>,
    #[serde(rename = "podIPs", borrow)]
    pod_ips: Option<Vec<Address<'a>>>,
    #[serde(rename = "hostIP", borrow)]
    host_ip: Text<'a>,
    #[serde(rename = "hostIPs", borrow)]
    host_ips: Option<Vec<Address<'a>>>,
    #[serde(borrow)]
    phase: Text<'a>,
}

#[derive(Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
struct Address<'a> {
    #[serde(borrow)]
    ip: Text<'a>,
}

/// What a write of a pod's status comes to, where nothing else changes what runs. What is no status counts as told anew.
pub(super) fn runs(after: Option<&RawValue>, before: Option<&RawValue>) -> Runs {
    let (after, before) = (
        after.map_or("null", RawValue::get),
        before.map_or("null", RawValue::get),
    );
    if after == before {
        return Runs::Unchanged;
    }
    match (Whereabouts::read(after), Whereabouts::read(before)) {
        (Ok(after), Ok(before)) if after == before => Runs::Unchanged,
        _ => Runs::Readdressed,
    }
}

impl<'a> Whereabouts<'a> {
    fn read(text: &'a str) -> Result<Self, serde_json::Error> {
        let mut read = serde_json::from_str::<Option<Self>>(text)?.unwrap_or_default();
        // An empty list and none are one to the API server.
        for addresses in [&mut read.pod_ips, &mut read.host_ips] {
            addresses.take_if(|addresses| addresses.is_empty());
        }
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::{Value, json, value::to_raw_value};

    use super::*;

    #[rstest]
    #[case::nothing(Value::Null, json!({}), Runs::Unchanged)]
    #[case::what_networks_do_not_read(json!({"phase": "Running", "message": "a"}), json!({"message": "b", "phase": "Running"}), Runs::Unchanged)]
    #[case::no_addresses(json!({"podIPs": []}), json!({"podIPs": null}), Runs::Unchanged)]
    #[case::first_address(json!({}), json!({"podIP": "10.0.0.1"}), Runs::Readdressed)]
    #[case::another_address(json!({"podIP": "10.0.0.1"}), json!({"podIP": "10.0.0.2"}), Runs::Readdressed)]
    #[case::a_second_address(json!({"podIPs": [{"ip": "10.0.0.1"}]}), json!({"podIPs": [{"ip": "10.0.0.1"}, {"ip": "fd00::1"}]}), Runs::Readdressed)]
    #[case::another_node(json!({"hostIP": "10.0.0.1"}), json!({"hostIP": "10.0.0.2"}), Runs::Readdressed)]
    #[case::more_nodes(json!({"hostIPs": [{"ip": "10.0.0.1"}]}), json!({}), Runs::Readdressed)]
    #[case::ended(json!({"phase": "Running"}), json!({"phase": "Succeeded"}), Runs::Readdressed)]
    #[case::no_status(json!({"phase": "Running"}), json!([1]), Runs::Readdressed)]
    fn what_networks_read_of_a_status_is_compared(#[case] before: Value, #[case] after: Value, #[case] runs: Runs) {
        let [before, after] = [before, after].map(|value| to_raw_value(&value).expect("is JSON"));
        assert_eq!(super::runs(Some(&after), Some(&before)), runs);
    }
}
