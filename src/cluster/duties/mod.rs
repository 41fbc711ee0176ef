//! What one replica keeps in step for all: each file is one [`Duty`](super::duty::Duty).

mod cluster_roles;
mod enforced_since;
mod events;
mod last_good;
mod published;
mod unjudged;
mod webhooks;

pub(super) use cluster_roles::ClusterRoles;
pub(super) use enforced_since::EnforcedSince;
pub(super) use events::Events;
pub(super) use last_good::LastGood;
pub(super) use published::Published;
pub(super) use unjudged::Unjudged;
pub(super) use webhooks::ServedWebhooks;

use futures::StreamExt;
use kube::api::ObjectMeta;
use ringfence_core::guardrails::MANAGED_BY;

use super::Error;

/// The name that our writes carry in managedFields.
pub(crate) const FIELD_MANAGER: &str = "ringfence";

/// How many writes of one duty are under way at once.
const AT_ONCE: usize = 8;

/// Whether an object is one that we made.
fn is_ours(metadata: &ObjectMeta) -> bool {
    let labels = metadata.labels.as_ref();
    labels.and_then(|labels| labels.get(MANAGED_BY.0)).map(String::as_str) == Some(MANAGED_BY.1)
}

/// The selector of what we made.
fn ours() -> String {
    format!("{}={}", MANAGED_BY.0, MANAGED_BY.1)
}

/// Whether `wanted` holds every label or annotation of `given`: others may add theirs.
fn holds(
    given: Option<&std::collections::BTreeMap<String, String>>,
    wanted: Option<&std::collections::BTreeMap<String, String>>,
) -> bool {
    wanted.is_none_or(|wanted| {
        wanted
            .iter()
            .all(|(key, value)| given.and_then(|given| given.get(key)) == Some(value))
    })
}

/// Says what was being done when the API server refused or could not be reached.
fn doing(what: impl Into<String>) -> impl FnOnce(kube::Error) -> Error {
    let what = what.into();
    move |source| Error::Api {
        what,
        source: Box::new(source),
    }
}

/// Makes all writes, several at once. An error does not keep the others from being tried; the first one is told.
async fn all<W: Future<Output = Result<(), Error>>>(writes: impl Iterator<Item = W>) -> Result<(), Error> {
    let results: Vec<Result<(), Error>> = futures::stream::iter(writes).buffer_unordered(AT_ONCE).collect().await;
    results.into_iter().collect()
}
