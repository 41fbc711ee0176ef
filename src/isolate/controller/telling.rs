//! [`Telling`]: says which namespaces cannot be isolated, and why: a log line and an Event each, once for as long as the
//! reason stays the same, and never so many that they hide each other.

use std::collections::BTreeMap;
use std::time::Duration;

use k8s_openapi::api::core::v1::ObjectReference;
use kube::Client;
use kube::runtime::events::{Event, EventType, Recorder, Reporter};
use ringfence_core::model::NamespaceName;
use tokio::time::Instant;

use crate::manifests::names::GUARDRAILS;

/// How many namespaces are told of in a [`WINDOW`]; of the others only how many there are.
const MOST: usize = 20;
const WINDOW: Duration = Duration::from_secs(60);
/// The most bytes of an Event's note (events.k8s.io/v1, `note`).
const NOTE: usize = 1024;

/// What has been told.
pub(super) struct Telling {
    client: Client,
    reporter: Reporter,
    regarding: ObjectReference,
    told: BTreeMap<NamespaceName, String>,
    window: Instant,
    left: usize,
}

/// One thing to say.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum News {
    /// This namespace lacks policies, and why.
    Fails(NamespaceName, String),
    /// It has them again.
    Isolated(NamespaceName),
    /// So many more lack policies.
    More(usize),
}

impl Telling {
    /// Events are raised on our ConfigMap, which is in the namespace that we may raise them in.
    pub(super) fn new(client: Client, namespace: &str, pod_name: &str) -> Self {
        Self {
            client,
            reporter: Reporter {
                controller: "ringfence".to_owned(),
                instance: Some(pod_name.to_owned()),
            },
            regarding: ObjectReference {
                api_version: Some("v1".to_owned()),
                kind: Some("ConfigMap".to_owned()),
                namespace: Some(namespace.to_owned()),
                name: Some(GUARDRAILS.to_owned()),
                ..ObjectReference::default()
            },
            told: BTreeMap::new(),
            window: Instant::now(),
            left: MOST,
        }
    }

    /// What has to be said now that these fail, and no others.
    pub(super) fn news(&mut self, failing: &BTreeMap<NamespaceName, String>) -> Vec<News> {
        let opened = self.window.elapsed() >= WINDOW;
        if opened {
            (self.window, self.left) = (Instant::now(), MOST);
        }
        let over: Vec<NamespaceName> = self
            .told
            .keys()
            .filter(|name| !failing.contains_key(*name))
            .cloned()
            .collect();
        let mut news = Vec::new();
        for name in over {
            self.told.remove(&name);
            news.push(News::Isolated(name));
        }
        let mut untold = 0;
        for (name, why) in failing {
            if self.told.get(name) == Some(why) {
                continue;
            }
            if self.left == 0 {
                untold += 1;
                continue;
            }
            self.left -= 1;
            self.told.insert(name.clone(), why.clone());
            news.push(News::Fails(name.clone(), why.clone()));
        }
        if opened && untold > 0 {
            news.push(News::More(untold));
        }
        news
    }

    /// Says it: to the log at once, as an Event by what is given back.
    pub(super) fn say(&self, news: News) -> Option<impl Future<Output = ()> + Send + use<>> {
        let (type_, reason, note, namespace) = match news {
            News::Fails(name, why) => {
                tracing::warn!(namespace = %name, why, "lacks policies; pods are refused there until they stand");
                let note = format!("namespace {name} lacks policies, and pods are refused there: {why}");
                (EventType::Warning, "NamespaceNotIsolated", note, name)
            }
            News::Isolated(name) => {
                tracing::info!(namespace = %name, "no longer lacks policies");
                (
                    EventType::Normal,
                    "NamespaceIsolated",
                    format!("namespace {name} no longer lacks policies"),
                    name,
                )
            }
            News::More(count) => {
                tracing::warn!(
                    count,
                    "more namespaces lack policies; ringfence isolation status names them"
                );
                return None;
            }
        };
        let event = Event {
            type_,
            reason: reason.to_owned(),
            note: Some(cut(note)),
            action: "Isolate".to_owned(),
            secondary: Some(ObjectReference {
                api_version: Some("v1".to_owned()),
                kind: Some("Namespace".to_owned()),
                name: Some(namespace.to_string()),
                ..ObjectReference::default()
            }),
        };
        // A recorder of its own each time: one that is kept would count another note as the same Event.
        let recorder = Recorder::new(self.client.clone(), self.reporter.clone());
        let regarding = self.regarding.clone();
        Some(async move {
            if let Err(error) = recorder.publish(&event, &regarding).await {
                tracing::warn!(%error, "an Event could not be raised");
            }
        })
    }
}

fn cut(mut note: String) -> String {
    let mut end = note.len().min(NOTE);
    while !note.is_char_boundary(end) {
        end -= 1;
    }
    note.truncate(end);
    note
}
