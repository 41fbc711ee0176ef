//! [`count`]: looks at the running pods that questions are about, metadata only, page by page, until a deadline.

use std::ops::ControlFlow;

use k8s_openapi::api::core::v1::Pod;
use kube::api::ListParams;
use kube::core::PartialObjectMeta;
use kube::{Api, Client};
use ringfence_core::guardrails::NamespaceSet;
use ringfence_core::model::NamespaceName;
use tokio::time::{Instant, timeout_at};

use super::coverage::{Coverage, Looked, Question, label_selector, labels_of};

/// What no longer runs is not counted.
pub(in crate::cluster) const NOT_ENDED: &str = "status.phase!=Succeeded,status.phase!=Failed";
/// Pods in a page.
const PAGE: u32 = 500;

/// Counts what the questions find. An error only where not even the first list could be made.
pub(super) async fn count(
    client: &Client,
    questions: &[Question<'_>],
    coverage: &mut Coverage<'_>,
    deadline: Instant,
) -> Result<Looked, kube::Error> {
    for (asked, question) in questions.iter().enumerate() {
        let apis: Vec<Api<PartialObjectMeta<Pod>>> = match &question.clause.namespaces {
            NamespaceSet::Named(names) => names
                .iter()
                .map(|name| Api::namespaced(client.clone(), name.as_str()))
                .collect(),
            NamespaceSet::Selected(_) => vec![Api::all(client.clone())],
        };
        for api in apis {
            match look(&api, question, coverage, deadline).await {
                Ok(ControlFlow::Continue(())) => {}
                Ok(ControlFlow::Break(())) => return Ok(Looked::AtSome),
                Err(error) if asked == 0 => return Err(error),
                Err(error) => {
                    tracing::warn!(%error, "not all running pods could be counted for a warning");
                    return Ok(Looked::AtSome);
                }
            }
        }
    }
    Ok(Looked::AtAll)
}

/// Looks at all pages of one list; breaks off at the deadline.
async fn look(
    api: &Api<PartialObjectMeta<Pod>>,
    question: &Question<'_>,
    coverage: &mut Coverage<'_>,
    deadline: Instant,
) -> Result<ControlFlow<()>, kube::Error> {
    let mut page = ListParams::default()
        .labels(&label_selector(&question.clause.pods))
        .fields(NOT_ENDED)
        .limit(PAGE);
    loop {
        let Ok(listed) = timeout_at(deadline, api.list(&page)).await else {
            return Ok(ControlFlow::Break(()));
        };
        let listed = listed?;
        for pod in &listed.items {
            let metadata = &pod.metadata;
            let (Some(name), Some(namespace)) = (&metadata.name, &metadata.namespace) else {
                continue;
            };
            let Ok(namespace) = NamespaceName::new(namespace) else {
                continue;
            };
            let none = std::collections::BTreeMap::new();
            let labels = labels_of(metadata.labels.as_ref().unwrap_or(&none));
            coverage.count(question.segment, &namespace, name, &labels);
        }
        match listed.metadata.continue_.filter(|token| !token.is_empty()) {
            Some(token) => page = page.continue_token(&token),
            None => return Ok(ControlFlow::Continue(())),
        }
    }
}
