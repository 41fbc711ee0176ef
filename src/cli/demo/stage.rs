//! [`Stage`]: the guardrails and manifests of `policies/hollowdb`, and the engine that decides by them, as `ringfence serve`
//! wires it, but for who answers: manifests instead of an API server.

use std::sync::Arc;

use anyhow::{Context, ensure};
use bytes::Bytes;
use prometheus_client::registry::Registry;
use ringfence_core::model::Mode;
use ringfence_core::review::Webhook;
use serde_json::Value;

use crate::Current;
use crate::answer::Engine;
use crate::answer::offline::folder::File;
use crate::answer::offline::{Offline, World};
use crate::record::{self, Collected, DryRuns, Recorder};
use crate::serve::{Reply, Reviewer};

/// The files of `policies/hollowdb`, so that the demo works from any folder.
const FILES: [(&str, &str); 4] = [
    (
        "guardrails.yaml",
        include_str!("../../../policies/hollowdb/guardrails.yaml"),
    ),
    (
        "namespaces.yaml",
        include_str!("../../../policies/hollowdb/namespaces.yaml"),
    ),
    ("rbac.yaml", include_str!("../../../policies/hollowdb/rbac.yaml")),
    (
        "networkpolicy.yaml",
        include_str!("../../../policies/hollowdb/networkpolicy.yaml"),
    ),
];

/// Where the story plays.
#[derive(Debug, Clone)]
pub struct Stage {
    current: Current,
    offline: Offline,
    records: Collected,
}

impl Stage {
    /// As the files say.
    pub fn new() -> anyhow::Result<Self> {
        let World {
            snapshot, manifests, ..
        } = world(Mode::Enforce)?;
        Ok(Self {
            current: Current::fixed(snapshot),
            offline: Offline::new(manifests),
            records: Collected::default(),
        })
    }

    /// Who decides here; its metrics go into `registry`.
    pub fn reviewer(&self, registry: &mut Registry) -> impl Reviewer + use<> {
        let sinks: Vec<Box<dyn record::Sink>> = vec![Box::new(self.records.clone())];
        let recorder = Recorder::new(record::Metrics::register(registry), DryRuns::Counted, sinks);
        Remembering {
            engine: Engine::new(self.current.clone(), self.offline.clone(), Arc::clone(&recorder)),
            offline: self.offline.clone(),
        }
    }

    /// Lets the same guardrails hold in this mode from now on.
    pub fn switch(&self, mode: Mode) -> anyhow::Result<()> {
        self.current.replace(world(mode)?.snapshot);
        Ok(())
    }

    /// What was recorded since the last call.
    pub fn records(&self) -> Vec<record::DecisionRecord> {
        self.records.drain()
    }
}

fn world(mode: Mode) -> anyhow::Result<World> {
    let written = "\n  mode: Enforce\n";
    let files: Vec<File> = FILES
        .iter()
        .map(|(name, text)| File {
            name: format!("policies/hollowdb/{name}"),
            text: text.replace(written, &format!("\n  mode: {mode}\n")),
        })
        .collect();
    let world = World::parse(&files).context("the files of policies/hollowdb, as built in, are wrong")?;
    ensure!(
        world.snapshot.guardrails.mode == mode,
        "policies/hollowdb/guardrails.yaml, as built in, does not say `mode: Enforce`"
    );
    Ok(world)
}

/// Stores what was let in, as the API server does: owners are read from there.
struct Remembering {
    engine: Engine<Offline>,
    offline: Offline,
}

impl Reviewer for Remembering {
    async fn review(&self, webhook: Webhook, body: Bytes) -> Reply {
        let reply = self.engine.review(webhook, body.clone()).await;
        if let Reply::Review(answer) = &reply
            && let (Ok(answer), Ok(mut review)) = (
                serde_json::from_slice::<Value>(answer),
                serde_json::from_slice::<Value>(&body),
            )
            && answer["response"]["allowed"] == true
            && review["request"]["dryRun"] != true
        {
            self.offline.store(&review["request"]["object"].take());
        }
        reply
    }
}
