//! What runs in a namespace, or would by a template there: its pods, and the workloads whose templates are listed for
//! anything else too. Asked only where a check hangs on it.

use futures::future::try_join_all;
use ringfence_core::model::{NamespaceName, Running};
use ringfence_core::review::running_of;
use serde_json::Value;

use super::calls::{CallError, Calls, collection};

/// Where pods and templates stand: API group, version, plural resource, and the JSON pointer to the template.
pub(super) const KINDS: [(&str, &str, &str, &str); 5] = [
    ("", "v1", "pods", ""),
    ("apps", "v1", "deployments", "/spec/template"),
    ("apps", "v1", "statefulsets", "/spec/template"),
    ("apps", "v1", "daemonsets", "/spec/template"),
    ("batch", "v1", "cronjobs", "/spec/jobTemplate/spec/template"),
];

impl Calls {
    /// What runs in a namespace, each kind of pod once.
    pub(super) async fn running(&self, namespace: &NamespaceName) -> Result<Vec<Running>, CallError> {
        let lists = KINDS.map(|(group, version, resource, template)| async move {
            let mut found = Vec::new();
            let path = collection(group, version, namespace, resource);
            self.pages(&path, "", |item: Value| found.extend(running_of(&item, template)))
                .await?;
            Ok::<_, CallError>(found)
        });
        Ok(unique(try_join_all(lists).await?.into_iter().flatten()))
    }
}

/// Each once, in order.
pub(super) fn unique(running: impl IntoIterator<Item = Running>) -> Vec<Running> {
    let mut running: Vec<Running> = running.into_iter().collect();
    running.sort_unstable();
    running.dedup();
    running
}
