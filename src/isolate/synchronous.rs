//! [`Synchronous`]: makes sure, while the review of a pod waits, that its namespace's policies stand. Everything is read
//! live: the namespace, for its uid and labels, and each policy by its name, at the same time, by reads that began after the
//! review arrived. Reviews that wait together share them, so a burst of pods is one apply.
//!
//! Why neither a list nor a cache: a consistent list is served from the API server's watch cache, which waits up to 100 ms
//! for etcd's word that it has seen everything (`tests/isolate/cost.rs` prints it: p90 98 ms where other objects are being
//! written, a read by name 2 ms). And a cache of namespaces whose policies stand, behind a read of the uid, would save the
//! reads by name, but let a pod in after somebody with `manage`, or a webhook that is away, took a policy out unseen by a
//! watch that stalls. What is read by name cannot be missed, and followers need no watch of policies.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use futures::future::{join, join_all, try_join_all};
use ringfence_core::guardrails::{Coverage, Ours, Profile};
use ringfence_core::model::{Isolate, Isolated, Mode, Namespace, NamespaceName, Snapshot};
use tokio::time::Instant;

use super::content::{Seen, Standing};
use super::failure::Failure;
use super::kinds::Kinds;
use super::metrics::{By, Metrics};
use super::wanted::Wanted;
use super::writer::{Live, Made, Writer};
use crate::Current;
use crate::answer::{Calls, Freshness, SharedReads};

/// How many namespaces may be looked at at a time; more are not worth waiting for.
const MOST_WAITING: usize = 2048;

/// The API server tells times in whole seconds: what was written then may be younger by so much.
const RESOLUTION: Duration = Duration::from_secs(1);

/// How long one look, and the writes that follow from it, may take: longer than anybody waits for it, so that those who
/// come later are not held up by one that hangs.
const LOOK: Duration = Duration::from_secs(6);

/// Makes sure that policies stand, for whoever reviews.
pub(crate) struct Synchronous {
    looker: Looker,
    looks: SharedReads<(NamespaceName, Isolate), Result<Isolated, Failure>>,
}

/// What one look needs.
#[derive(Clone)]
struct Looker {
    calls: Arc<Calls>,
    current: Current,
    writer: Writer,
    metrics: Metrics,
}

/// An object of a profile as it was read.
struct Found {
    wanted: Arc<Wanted>,
    live: Live,
    /// None where there is no such object.
    seen: Option<(Seen, Standing)>,
}

impl Synchronous {
    /// Looks by these calls, at what the snapshot in force says.
    pub(crate) fn new(calls: Arc<Calls>, current: Current, metrics: Metrics) -> Self {
        let kinds = Kinds::new(Arc::clone(&calls));
        Self {
            looker: Looker {
                writer: Writer::new(Arc::clone(&calls), kinds, By::Review, metrics.clone()),
                calls,
                current,
                metrics,
            },
            looks: SharedReads::new(MOST_WAITING),
        }
    }

    /// How it stands with the policies of a namespace, by a look that began after `received`; where that is asked for,
    /// those that do not stand are applied.
    pub(crate) async fn isolated(
        &self,
        namespace: &NamespaceName,
        isolate: Isolate,
        received: Instant,
    ) -> Result<Isolated, Failure> {
        let looker = self.looker.clone();
        let look = move |(namespace, isolate): (NamespaceName, Isolate)| {
            let looker = looker.clone();
            async move {
                let looked = tokio::time::timeout(LOOK, looker.look(&namespace, isolate)).await;
                let looked = looked.unwrap_or_else(|_| {
                    Err(Failure::Passing(format!(
                        "the API server did not answer within {} s",
                        LOOK.as_secs()
                    )))
                });
                looker.metrics.looked(&looked);
                looked
            }
        };
        let key = (namespace.clone(), isolate);
        let joined = self.looks.join(key, Freshness::BeganAfter(received), look);
        let (ticket, _) = joined.ok_or_else(|| {
            Failure::Passing(
                "too many namespaces are being looked at; see whether the API server is overloaded".to_owned(),
            )
        })?;
        ticket.value().await.unwrap_or_else(|| {
            Err(Failure::Passing(
                "the look was broken off; ringfence's log says why".to_owned(),
            ))
        })
    }
}

impl Looker {
    async fn look(&self, name: &NamespaceName, isolate: Isolate) -> Result<Isolated, Failure> {
        let Some(snapshot) = self.current.load() else {
            return Err(Failure::Passing("no configuration is in force yet".to_owned()));
        };
        let cached = snapshot.namespaces.get(name);
        let guess = cached.and_then(|cached| profile(&snapshot, name, cached));
        // At once, by the namespace as last seen: it is almost always as it was.
        let (namespace, guessed) = join(self.calls.namespace(name), self.found(name, guess)).await;
        let namespace = namespace.map_err(|error| Failure::doing("read", &format!("namespace {name}"), error))?;
        let Some(namespace) = namespace else {
            return Err(Failure::Passing(format!("namespace {name} is not there")));
        };
        let Some(chosen) = profile(&snapshot, name, &namespace) else {
            return Ok(Isolated::Exempt);
        };
        // Of a namespace that was made anew meanwhile, the policies may have been read before and the namespace after.
        let the_same = cached.is_some_and(|cached| cached.uid == namespace.uid)
            && guess.is_some_and(|guess| Arc::ptr_eq(guess, chosen));
        let found = if the_same {
            guessed?
        } else {
            self.found(name, Some(chosen)).await?
        };
        let ours = if found.iter().any(Found::is_ours) {
            Ours::Some
        } else {
            Ours::None
        };
        let since = &snapshot.since;
        let Coverage::Covered { mode, .. } = snapshot.guardrails.coverage(name.as_str(), &namespace, since, ours)
        else {
            return Ok(Isolated::Exempt);
        };
        let lacking: Vec<&Found> = found.iter().filter(|found| !found.isolates()).collect();
        if lacking.is_empty() {
            let settles_in = settling(chosen, found.iter().filter_map(Found::seen));
            return Ok(Isolated::Stands { settles_in });
        }
        if isolate == Isolate::Look || mode != Mode::Enforce {
            return Ok(Isolated::Missing {
                policies: lacking.iter().map(|found| found.wanted.name.clone()).collect(),
                settles_in: chosen.settle.map(|settle| settle + RESOLUTION),
            });
        }
        self.put_up(name, &namespace, chosen, &found).await
    }

    /// Every object of a profile, as it stands.
    async fn found(&self, name: &NamespaceName, profile: Option<&Arc<Profile>>) -> Result<Vec<Found>, Failure> {
        let Some(profile) = profile else { return Ok(Vec::new()) };
        let reads = Wanted::of(profile).into_iter().map(|wanted| async move {
            let live = self.writer.read(name, &wanted).await?;
            let seen = match &live {
                Live::Object(object) => {
                    let seen = Seen::of(object);
                    let standing = self.writer.compared(name, &wanted, &seen).await?;
                    Some((seen, standing))
                }
                Live::Absent | Live::NoKind => None,
            };
            Ok(Found { wanted, live, seen })
        });
        try_join_all(reads).await
    }

    /// Makes those stand that do not.
    async fn put_up(
        &self,
        name: &NamespaceName,
        namespace: &Namespace,
        profile: &Profile,
        found: &[Found],
    ) -> Result<Isolated, Failure> {
        if namespace.terminating {
            return Err(Failure::Refused(format!(
                "namespace {name} is being deleted, and the API server takes no policies there"
            )));
        }
        let lacking = found.iter().filter(|found| !found.isolates());
        let made = lacking.map(|found| self.writer.put_up(name, &found.wanted, found.live.clone()));
        // One that fails keeps none of the others from standing.
        let made = join_all(made)
            .await
            .into_iter()
            .collect::<Result<Vec<Made>, Failure>>()?;
        let made: Vec<&Seen> = made
            .iter()
            .filter_map(|made| match made {
                Made::Stood(seen) | Made::Written(seen) => Some(seen),
                Made::NoKind => None,
            })
            .collect();
        let stood = found.iter().filter(|found| found.isolates()).filter_map(Found::seen);
        let names: Vec<&str> = found
            .iter()
            .filter(|found| !found.isolates())
            .map(|found| found.wanted.name.as_str())
            .collect();
        tracing::info!(namespace = %name, policies = names.join(", "), "isolated before a pod");
        Ok(Isolated::Applied {
            settles_in: settling(profile, stood.chain(made)),
        })
    }
}

impl Found {
    fn seen(&self) -> Option<&Seen> {
        self.seen.as_ref().map(|(seen, _)| seen)
    }

    /// Whether somebody's ringfence made it.
    fn is_ours(&self) -> bool {
        self.seen().is_some_and(|seen| seen.ours)
    }

    /// Whether it does what it should: labels that are wrong are for the leader to mend.
    fn isolates(&self) -> bool {
        match &self.seen {
            Some((_, standing)) => *standing != Standing::Differs,
            None => matches!(self.live, Live::NoKind),
        }
    }
}

/// The profile that a namespace has if it has any.
fn profile<'s>(snapshot: &'s Snapshot, name: &NamespaceName, namespace: &Namespace) -> Option<&'s Arc<Profile>> {
    // As if policies of ours stood: whether they do is what is being looked at.
    match snapshot
        .guardrails
        .coverage(name.as_str(), namespace, &snapshot.since, Ours::Some)
    {
        Coverage::Covered { profile, .. } => Some(profile),
        Coverage::Off | Coverage::System | Coverage::OptedOut | Coverage::Existing => None,
    }
}

/// How long it takes still until the policies that stand are as old as their profile wants; none where nothing is waited
/// for. By our own clock, which is no further from the API server's than leases and tokens bear.
fn settling<'s>(profile: &Profile, seen: impl Iterator<Item = &'s Seen>) -> Option<Duration> {
    let settle = profile.settle?;
    let written = seen.filter_map(|seen| seen.written).max()?;
    let written = UNIX_EPOCH + Duration::from_secs(u64::try_from(written.0).unwrap_or_default());
    let left = (written + RESOLUTION + settle).duration_since(SystemTime::now()).ok()?;
    (!left.is_zero()).then_some(left)
}
