//! [`Unjudged`]: finds the templates that stood before their segment was enforced, so that the published segments can list
//! them. All workloads are gone through, page by page, only when what is enforced changes and then seldom: later ones were
//! judged as they were written. What was found is read again more often, to see when it is written anew.

mod kinds;
mod look;

use std::sync::Arc;
use std::time::Duration;

use hashbrown::HashMap;
use kube::Client;
use ringfence_core::guardrails::Revision;
use ringfence_core::model::{Mode, SegmentName, Since, Snapshot};
use tokio::sync::watch;
use tokio::time::Instant;

use self::kinds::kinds;
use self::look::{Look, Template};
use crate::Current;
use crate::cluster::configuration::Standing;
use crate::cluster::duty::{Duty, at};
use crate::cluster::recurring::Recurring;
use crate::cluster::{Clients, Error, Metrics, changed};

/// How often all workloads are gone through although nothing seems to have changed.
const ALL_AGAIN: Duration = Duration::from_secs(600);
/// How often what was found is read again, and how much of it at most.
const FOUND_AGAIN: Duration = Duration::from_secs(30);
const MOST_READ_AGAIN: usize = 64;
/// How soon it is looked whether this replica knows since when what is in force is enforced.
const SOON: Duration = Duration::from_millis(200);
/// How long going through workloads may take: below what a pass may.
const ENOUGH: Duration = Duration::from_secs(45);
/// How many templates of a segment are named.
const NAMED: usize = 5;

/// The templates of one segment that nobody was asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(in crate::cluster) struct OfSegment {
    /// How many.
    pub(in crate::cluster) count: i64,
    /// The first few, sorted: `deployments.apps web/front`.
    pub(in crate::cluster) names: Vec<String>,
}

/// By segment; a segment without any is not there.
pub(in crate::cluster) type BySegment = HashMap<SegmentName, OfSegment>;

/// What was found last; none until all workloads have been gone through.
pub(in crate::cluster) type Told = Option<Arc<BySegment>>;

/// Finds templates that stood before.
pub(in crate::cluster) struct Unjudged {
    client: Client,
    current: Current,
    standing: watch::Receiver<Standing>,
    told: watch::Sender<Told>,
    metrics: Metrics,
    /// What was in force when all workloads were gone through last, and when.
    seen: Option<(Revision, Arc<Since>, Instant)>,
    found: Vec<Template>,
    look_at: Option<Instant>,
    /// The custom kinds that may not be listed.
    refused: Recurring,
}

impl Unjudged {
    pub(in crate::cluster) fn new(
        clients: &Clients,
        current: Current,
        standing: watch::Receiver<Standing>,
        told: watch::Sender<Told>,
        metrics: &Metrics,
    ) -> Self {
        Self {
            client: clients.watches.clone(),
            current,
            standing,
            told,
            metrics: metrics.clone(),
            seen: None,
            found: Vec::new(),
            look_at: None,
            refused: Recurring::default(),
        }
    }

    /// Whether all workloads have to be gone through.
    fn all_are_due(&self, snapshot: &Snapshot) -> bool {
        self.seen.as_ref().is_none_or(|(revision, since, when)| {
            *revision != snapshot.guardrails.revision || *since != snapshot.since || when.elapsed() >= ALL_AGAIN
        })
    }

    async fn look_at_all(&mut self, snapshot: &Arc<Snapshot>) -> Result<(), Error> {
        let look = Look {
            client: &self.client,
            snapshot,
            deadline: Instant::now() + ENOUGH,
        };
        let (mut found, mut refused) = (Vec::new(), Vec::new());
        for kind in kinds(&snapshot.guardrails) {
            match look.at_all(&kind).await {
                Ok(some) => found.extend(some),
                Err(error) if kind.is_custom() => refused.push(format!("{}: {error}", kind.name())),
                Err(error) => return Err(error),
            }
        }
        if refused.is_empty() {
            self.refused.is_over();
        } else if self.refused.is_news(&refused.join("; ")) {
            let why = refused.join("; ");
            tracing::warn!(
                "templates of custom kinds that stood before cannot be listed; let ringfence list them: {why}"
            );
        }
        if look.deadline <= Instant::now() {
            tracing::warn!("there are too many workloads to find all templates that stood before; some are not listed");
        }
        self.found = found;
        let guardrails = &snapshot.guardrails;
        self.seen = Some((guardrails.revision.clone(), Arc::clone(&snapshot.since), Instant::now()));
        Ok(())
    }

    async fn look_at_found(&mut self, snapshot: &Arc<Snapshot>) -> Result<(), Error> {
        let look = Look {
            client: &self.client,
            snapshot,
            deadline: Instant::now() + ENOUGH,
        };
        let mut found = Vec::new();
        for template in &self.found {
            found.extend(look.again(template).await?);
        }
        self.found = found;
        Ok(())
    }

    fn tell(&self, snapshot: &Snapshot) {
        let mut by_segment = BySegment::new();
        for template in &self.found {
            for segment in &template.segments {
                let of = by_segment.entry(segment.clone()).or_default();
                of.count += 1;
                of.names.push(template.to_string());
            }
        }
        for of in by_segment.values_mut() {
            of.names.sort_unstable();
            of.names.truncate(NAMED);
        }
        let enforced = enforced(snapshot).map(|segment| {
            let count = by_segment.get(segment).map_or(0, |of| of.count);
            (segment.to_string(), count)
        });
        self.metrics.unjudged(enforced);
        self.told.send_if_modified(|told| {
            let news = told.as_deref() != Some(&by_segment);
            if news {
                *told = Some(Arc::new(by_segment));
            }
            news
        });
    }
}

/// The segments that are enforced anywhere.
fn enforced(snapshot: &Snapshot) -> impl Iterator<Item = &SegmentName> {
    let segments = snapshot.guardrails.configured().iter();
    segments
        .filter(|segment| segment.mode == Mode::Enforce)
        .map(|segment| &segment.name)
}

/// Whether since when what is in force is enforced is known whole.
fn is_known(snapshot: &Snapshot) -> bool {
    let Snapshot { guardrails, since, .. } = snapshot;
    guardrails
        .configured()
        .iter()
        .all(|segment| segment.mode < Mode::Enforce || since.knows(segment))
}

impl Duty for Unjudged {
    const NAME: &'static str = "unjudged-templates";
    const PACE: Duration = SOON;

    async fn pass(&mut self) -> Result<(), Error> {
        self.look_at = None;
        let in_force = self.standing.borrow().in_force.clone();
        let (Some(in_force), Some(snapshot)) = (in_force, self.current.load()) else {
            return Ok(());
        };
        // Both come a moment after what is in force.
        if in_force.guardrails.revision != snapshot.guardrails.revision || !is_known(&snapshot) {
            self.look_at = Some(Instant::now() + SOON);
            return Ok(());
        }
        if enforced(&snapshot).next().is_none() {
            self.found.clear();
            self.seen = None;
        } else if self.all_are_due(&snapshot) {
            self.look_at_all(&snapshot).await?;
        } else if self.found.len() <= MOST_READ_AGAIN {
            self.look_at_found(&snapshot).await?;
        }
        self.tell(&snapshot);
        let some = (1..=MOST_READ_AGAIN).contains(&self.found.len());
        self.look_at = some.then(|| Instant::now() + FOUND_AGAIN);
        Ok(())
    }

    async fn changed(&mut self) -> Result<(), Error> {
        tokio::select! {
            () = changed(&mut self.standing) => Ok(()),
            () = at(self.look_at) => Ok(()),
        }
    }
}

impl Drop for Unjudged {
    fn drop(&mut self) {
        // Who leads no longer does not know.
        self.metrics.unjudged(std::iter::empty());
    }
}
