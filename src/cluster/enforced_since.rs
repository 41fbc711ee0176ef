//! The ConfigMap `ringfence-enforced-since`: since when what is enforced, written by one replica and watched by all. Here is
//! what stands in it, read and written.

use std::collections::BTreeMap;
use std::sync::Arc;

use hashbrown::HashMap;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::Api;
use kube::runtime::watcher;
use prometheus_client::metrics::counter::Counter;
use ringfence_core::model::{RolloutSince, SegmentName, Since, Timestamp};
use serde::{Deserialize, Serialize};

use super::mirror::Mirror;
pub(super) use crate::manifests::names::ENFORCED_SINCE;

/// The one key that is read.
const KEY: &str = "since.yaml";

/// What stands in the ConfigMap, as last seen: one value, or none where there is no such ConfigMap.
pub(super) type SinceMirror = Mirror<String, Arc<Since>>;

/// Watches the ConfigMap.
pub(super) fn watch(config_maps: Api<ConfigMap>, errors: Counter) -> SinceMirror {
    let config = watcher::Config::default().fields(&format!("metadata.name={ENFORCED_SINCE}"));
    Mirror::new("enforced-since", config_maps, config, errors, |object| {
        Some((object.metadata.name.clone()?, Arc::new(read(&object))))
    })
}

/// The text of the key. Sorted, so that the same is always written the same.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Document {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    isolation: Option<Timestamp>,
    #[serde(default)]
    rollout: RolloutSince,
    #[serde(default)]
    segments: BTreeMap<String, BTreeMap<String, Timestamp>>,
}

/// Since when a text cannot be written.
#[derive(Debug, thiserror::Error)]
#[error("since when what is enforced cannot be written ({0}); this is a defect, report it")]
pub struct Unwritable(String);

/// What a ConfigMap says. What nobody of ringfence wrote is read as if it were not there: what is enforced begins anew.
pub(crate) fn read(object: &ConfigMap) -> Since {
    let Some(text) = object.data.as_ref().and_then(|data| data.get(KEY)) else {
        return Since::default();
    };
    let document: Document = serde_saphyr::from_str(text).unwrap_or_else(|error| {
        tracing::warn!(%error, "ConfigMap {ENFORCED_SINCE} cannot be read; what is enforced counts from now on");
        Document::default()
    });
    let Document {
        isolation,
        rollout,
        segments,
    } = document;
    let named = |(name, clauses): (String, _)| Some((SegmentName::new(&name).ok()?, clauses));
    Since {
        segments: segments.into_iter().filter_map(named).collect::<HashMap<_, _>>(),
        rollout,
        isolation,
    }
}

/// The data that says so.
pub(super) fn data(since: &Since) -> Result<BTreeMap<String, String>, Unwritable> {
    let Since {
        segments,
        rollout,
        isolation,
    } = since;
    let named = segments
        .iter()
        .map(|(name, clauses)| (name.to_string(), clauses.clone()));
    let document = Document {
        isolation: *isolation,
        rollout: rollout.clone(),
        segments: named.collect(),
    };
    let text = serde_saphyr::to_string(&document).map_err(|error| Unwritable(error.to_string()))?;
    Ok(BTreeMap::from([(KEY.to_owned(), text)]))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config_map(data: BTreeMap<String, String>) -> ConfigMap {
        ConfigMap {
            data: Some(data),
            ..ConfigMap::default()
        }
    }

    fn since() -> Since {
        let clauses = BTreeMap::from([("0123456789ab".to_owned(), Timestamp(100))]);
        Since {
            segments: [(SegmentName::new("payments-db").expect("valid"), clauses)]
                .into_iter()
                .collect(),
            rollout: RolloutSince {
                default: None,
                namespaces: BTreeMap::from([("shop".to_owned(), Some(Timestamp(200))), ("web".to_owned(), None)]),
            },
            isolation: Some(Timestamp(300)),
        }
    }

    #[test]
    fn what_is_written_is_read() {
        let data = data(&since()).expect("writable");
        insta::assert_snapshot!(data[KEY]);
        assert_eq!(read(&config_map(data)), since());
    }

    #[test]
    fn an_empty_one_says_nothing_and_so_does_one_that_nobody_understands() {
        assert_eq!(read(&ConfigMap::default()), Since::default());
        let garbled = BTreeMap::from([(KEY.to_owned(), "segments: [".to_owned())]);
        assert_eq!(read(&config_map(garbled)), Since::default());
        let empty = data(&Since::default()).expect("writable");
        assert_eq!(read(&config_map(empty)), Since::default());
    }
}
