//! The live cluster to an [`Inventory`]: the same kinds as from manifests, listed page by page.

use http::Request;
use kube::Client;
use ringfence_core::guardrails::Workload;
use serde_json::Value;

use super::facts::{Fact, Reading};
use super::inventory::Inventory;
use super::kinds::is_unread_policy;
use super::load::facts_of;
use super::origin::Origin;
use crate::answer::offline::Problems;
use crate::answer::offline::folder::File;

/// Why the cluster cannot be told of.
#[derive(Debug, thiserror::Error)]
pub enum NotListed {
    /// What nothing can be said without.
    #[error("cannot list {resource}: {source}; whoever asks needs the right to list them in all namespaces")]
    Refused {
        /// Which resource.
        resource: String,
        /// What the API server said.
        source: kube::Error,
    },
    /// It holds what it would refuse today.
    #[error(transparent)]
    Problems(#[from] Problems),
    /// It answered with something else.
    #[error("{path} is not answered with a list: {why}")]
    NoList {
        /// What was asked for.
        path: String,
        /// Why not.
        why: String,
    },
}

/// Without these nothing can be said.
const NEEDED: [(&str, &str); 3] = [
    ("namespaces", "/api/v1/namespaces"),
    ("networkpolicies", "/apis/networking.k8s.io/v1/networkpolicies"),
    ("pods", "/api/v1/pods"),
];

/// Without these pods stand under the nearest owner that they name, and workloads without pods are not told.
const USEFUL: [(&str, &str); 7] = [
    ("deployments", "/apis/apps/v1/deployments"),
    ("replicasets", "/apis/apps/v1/replicasets"),
    ("statefulsets", "/apis/apps/v1/statefulsets"),
    ("daemonsets", "/apis/apps/v1/daemonsets"),
    ("jobs", "/apis/batch/v1/jobs"),
    ("cronjobs", "/apis/batch/v1/cronjobs"),
    ("replicationcontrollers", "/api/v1/replicationcontrollers"),
];

/// Objects a page: what kubectl asks for.
const PAGE: usize = 500;

/// What the cluster holds; these custom kinds make pods too.
pub async fn list(client: &Client, reading: &Reading, custom: &[Workload]) -> Result<Inventory, NotListed> {
    let mut facts = Vec::new();
    let mut warnings = Vec::new();
    for (resource, path) in NEEDED {
        facts.extend(listed(client, resource, path, reading).await?);
    }
    let custom = custom.iter().map(|workload| {
        let Workload {
            group,
            version,
            resource,
            ..
        } = workload;
        (resource.as_str(), format!("/apis/{group}/{version}/{resource}"))
    });
    let useful = USEFUL.iter().map(|(resource, path)| (*resource, (*path).to_owned()));
    for (resource, path) in useful.chain(custom) {
        match listed(client, resource, &path, reading).await {
            Ok(found) => facts.extend(found),
            Err(NotListed::Refused { source, .. }) => warnings.push(format!(
                "{resource} cannot be listed ({source}): pods may stand under another owner"
            )),
            Err(other) => return Err(other),
        }
    }
    warnings.extend(unread(client).await);
    let mut inventory = Inventory::of(facts, reading.addresses)?;
    inventory.warnings.append(&mut warnings);
    Ok(inventory)
}

async fn get(client: &Client, path: &str) -> Result<String, kube::Error> {
    let request = Request::get(path).body(Vec::new()).map_err(kube::Error::HttpError)?;
    client.request_text(request).await
}

async fn listed(
    client: &Client,
    resource: &str,
    path: &str,
    reading: &Reading,
) -> Result<Vec<(Fact, Origin)>, NotListed> {
    let (mut facts, mut next) = (Vec::new(), String::new());
    loop {
        let query = form_urlencoded::Serializer::new(String::new())
            .append_pair("limit", &PAGE.to_string())
            .extend_pairs(Some(("continue", &next)).filter(|_| !next.is_empty()))
            .finish();
        let text = get(client, &format!("{path}?{query}"))
            .await
            .map_err(|source| NotListed::Refused {
                resource: resource.to_owned(),
                source,
            })?;
        next = following(&text).map_err(|error| NotListed::NoList {
            path: path.to_owned(),
            why: error.to_string(),
        })?;
        let name = format!("the cluster's {resource}");
        let page = facts_of(vec![File { name, text }], reading)?;
        facts.extend(page.into_iter().map(|(fact, origin)| (fact, origin.without_text())));
        if next.is_empty() {
            return Ok(facts);
        }
    }
}

/// Where the list goes on; empty at its end.
fn following(text: &str) -> Result<String, serde_json::Error> {
    #[derive(serde::Deserialize)]
    struct List {
        metadata: Metadata,
    }
    #[derive(serde::Deserialize)]
    struct Metadata {
        #[serde(default, rename = "continue")]
        next: String,
    }
    serde_json::from_str::<List>(text).map(|list| list.metadata.next)
}

/// A line for each kind of policy that is not read and of which there is an object.
async fn unread(client: &Client) -> Vec<String> {
    let mut warnings = Vec::new();
    let discovered = get(client, "/apis")
        .await
        .ok()
        .and_then(|text| serde_json::from_str::<Value>(&text).ok());
    let groups = discovered.as_ref().and_then(|found| found["groups"].as_array());
    for group in groups.into_iter().flatten() {
        let (Some(name), Some(version)) = (
            group["name"].as_str(),
            group.pointer("/preferredVersion/groupVersion").and_then(Value::as_str),
        ) else {
            continue;
        };
        // Asked only of groups in which something of that kind could be.
        if !is_unread_policy(name, "NetworkPolicy") {
            continue;
        }
        let Ok(text) = get(client, &format!("/apis/{version}")).await else {
            continue;
        };
        let resources = serde_json::from_str::<Value>(&text).unwrap_or_default();
        for resource in resources["resources"].as_array().into_iter().flatten() {
            let (Some(plural), Some(kind)) = (resource["name"].as_str(), resource["kind"].as_str()) else {
                continue;
            };
            if plural.contains('/') || !is_unread_policy(name, kind) {
                continue;
            }
            let first = get(client, &format!("/apis/{version}/{plural}?limit=1")).await;
            let list = first.ok().and_then(|text| serde_json::from_str::<Value>(&text).ok());
            if list.is_some_and(|list| list["items"].as_array().is_some_and(|items| !items.is_empty())) {
                warnings.push(format!(
                    "the cluster has {plural}.{name}: not read; they may open or close more than is told here"
                ));
            }
        }
    }
    warnings
}
