//! `ringfence serve --standalone DIR`: the webhook on one's own files, without a cluster. Guardrails and manifests (RBAC,
//! namespaces, owners) of a folder in, reviews over TLS on loopback answered by them; the folder is followed, and what is
//! wrong in it leaves the last good state in force.

mod sample;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use prometheus_client::registry::Registry;
use ringfence_core::review::Webhook;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use super::local::{Listen, Local};
use crate::Current;
use crate::answer::Engine;
use crate::answer::offline::folder::{self, File};
use crate::answer::offline::{Offline, World};
use crate::record::{self, DryRuns, JsonLines, Recorder};
use crate::serve::{Limits, told_to_end};

/// How often the folder is looked at. Content, not events: editors and mounts replace files in ways that watches miss.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// How long what is still to be written may take at the end.
const LAST_RECORDS: Duration = Duration::from_secs(2);

/// What is served, and where.
#[derive(Debug)]
pub(super) struct Standalone {
    /// The folder.
    pub(super) directory: PathBuf,
    /// Where it listens.
    pub(super) listen: Listen,
    /// How much of everything it takes.
    pub(super) limits: Limits,
    /// Whether dry runs are recorded too.
    pub(super) dry_runs: DryRuns,
}

/// Serves until told to end. Records go to stdout, everything else to stderr.
pub(super) async fn run(standalone: Standalone) -> anyhow::Result<()> {
    let Standalone {
        directory,
        listen,
        limits,
        dry_runs,
    } = standalone;
    let mut folder = Folder::read(directory).await?;
    let (current, offline) = (Current::empty(), Offline::default());
    let world =
        World::parse(&folder.files).with_context(|| format!("cannot serve {}:\n", folder.directory.display()))?;
    let sample = sample::review(&world.snapshot);
    let state = State { current, offline };
    eprint!("{}", state.put(world));

    let mut registry = Registry::default();
    let record_metrics = record::Metrics::register(&mut registry);
    let lines = Arc::new(JsonLines::stdout(record_metrics.dropped()).context("cannot write records")?);
    let recorder = Recorder::new(record_metrics, dry_runs, vec![Box::new(Arc::clone(&lines))]);
    let engine = Engine::new(state.current.clone(), state.offline.clone(), Arc::clone(&recorder));
    let server = Local::start(engine, registry, listen, limits).await?;
    let stop = CancellationToken::new();
    let recording = tokio::spawn({
        let (recorder, stop) = (Arc::clone(&recorder), stop.clone());
        async move { recorder.run(stop).await }
    });

    let aside = aside(&server, &sample)?;
    eprint!("{}", invitation(&server, aside.path()));
    tokio::select! {
        told = told_to_end() => told.context("cannot listen for signals")?,
        never = follow(&mut folder, &state) => match never {},
    }
    let ended = server.stop().await;
    stop.cancel();
    if recording.await.is_err() || !lines.close(LAST_RECORDS).await {
        tracing::warn!("not all records could be written");
    }
    ended
}

/// What is in force.
struct State {
    current: Current,
    offline: Offline,
}

impl State {
    /// Puts a world in force and tells what it is.
    fn put(&self, world: World) -> String {
        let World {
            snapshot,
            manifests,
            notices,
        } = world;
        let mut text = format!(
            "guardrails {} in force: mode {}; segments: {}; namespaces: {}\n",
            snapshot.guardrails.revision,
            snapshot.guardrails.mode,
            snapshot.guardrails.segments.len(),
            snapshot.namespaces.len(),
        );
        if snapshot.guardrails.segments.is_empty() {
            text.push_str("notice: no document of kind Segment: nothing is protected\n");
        }
        for notice in &notices {
            text.push_str(&format!("{notice}\n"));
        }
        let skipped: Vec<String> = manifests
            .skipped
            .iter()
            .map(|(kind, count)| format!("{kind} ({count})"))
            .collect();
        if !skipped.is_empty() {
            text.push_str(&format!("not needed, passed over: {}\n", skipped.join(", ")));
        }
        // The answers first: a permission that a new segment asks for is there when it is asked.
        self.offline.replace(manifests);
        self.current.replace(snapshot);
        text
    }
}

/// The folder as last seen.
struct Folder {
    directory: PathBuf,
    files: Vec<File>,
    /// Why it could not be read, where it could not: told once.
    unreadable: Option<String>,
}

impl Folder {
    async fn read(directory: PathBuf) -> anyhow::Result<Self> {
        let files = read(&directory).await?;
        Ok(Self {
            directory,
            files,
            unreadable: None,
        })
    }

    /// The files, where they have changed since; or why they cannot be read, once.
    async fn change(&mut self) -> Option<Result<&[File], String>> {
        match read(&self.directory).await {
            Ok(files) => {
                self.unreadable = None;
                (files != self.files).then(|| {
                    self.files = files;
                    Ok(self.files.as_slice())
                })
            }
            Err(error) => {
                let error = error.to_string();
                let known = self.unreadable.replace(error.clone()) == Some(error.clone());
                (!known).then_some(Err(error))
            }
        }
    }
}

async fn read(directory: &Path) -> anyhow::Result<Vec<File>> {
    let directory = directory.to_owned();
    Ok(tokio::task::spawn_blocking(move || folder::read(&directory)).await??)
}

/// Follows the folder for ever. What is good in it is put in force, what is not is told.
async fn follow(folder: &mut Folder, state: &State) -> std::convert::Infallible {
    let mut looks = tokio::time::interval(LOOK_EVERY);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        looks.tick().await;
        match folder.change().await {
            None => {}
            Some(Ok(files)) => match World::parse(files) {
                Ok(world) => eprint!("changed: {}", state.put(world)),
                Err(error) => eprintln!("changed, and wrong; what was in force stays:\n{error}"),
            },
            Some(Err(error)) => eprintln!("{error}; what was in force stays"),
        }
    }
}

/// A temporary folder with what one needs to ask: the authority to trust, and a review to send.
fn aside(server: &Local, sample: &str) -> anyhow::Result<tempfile::TempDir> {
    let aside = tempfile::Builder::new()
        .prefix("ringfence-")
        .tempdir()
        .context("cannot make a temporary folder")?;
    for (name, text) in [("ca.crt", server.ca_pem()), ("review.json", sample)] {
        let path = aside.path().join(name);
        std::fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(aside)
}

fn invitation(server: &Local, aside: &Path) -> String {
    let (authority, review) = (aside.join("ca.crt"), aside.join("review.json"));
    format!(
        "serving on {url}
  authority: {authority}
  metrics:   http://{health}/metrics
  ask it:    curl --cacert {authority} -H 'Content-Type: application/json' --data-binary @{review} {url}
Records come on stdout. Changes of the folder are taken at once. Ctrl-C ends it.
",
        url = server.url(Webhook::Workloads),
        authority = authority.display(),
        health = server.health_address(),
        review = review.display(),
    )
}
