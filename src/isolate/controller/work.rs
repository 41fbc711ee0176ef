//! [`Task`]: what has to be done in one namespace, and doing it: first what is lacking is put up, and only once all of it
//! stands is what is no longer wanted taken down, so that a change of profile leaves no moment without policies.

use std::sync::Arc;

use futures::future::join_all;
use ringfence_core::guardrails::{Coverage, Ours};
use ringfence_core::model::{NamespaceName, ProfileName, Timestamp};

use super::waiting::Wrote;
use crate::Current;
use crate::answer::Calls;
use crate::isolate::content::{Digest, Seen};
use crate::isolate::failure::Failure;
use crate::isolate::survey::{Lack, Lacking, Row, Stray};
use crate::isolate::writer::{Live, Made, Writer};

/// What has to be done in one namespace.
#[derive(Debug, Clone)]
pub(super) struct Task {
    pub(super) namespace: NamespaceName,
    pub(super) uid: String,
    created: Option<Timestamp>,
    profile: Option<ProfileName>,
    lacking: Vec<Lack>,
    stray: Vec<Stray>,
    /// What the profile puts there; none where it has none.
    pub(super) fingerprint: Option<Digest>,
    /// Whether that has stood before: somebody changed or deleted it.
    pub(super) stood: bool,
    /// Whether what was written there last is not to be seen yet.
    pub(super) late: bool,
}

/// What works on a namespace needs.
#[derive(Clone)]
pub(super) struct Worker {
    pub(super) calls: Arc<Calls>,
    pub(super) current: Current,
    pub(super) writer: Writer,
}

/// What became of a task.
#[derive(Debug)]
pub(super) struct Done {
    pub(super) task: Task,
    pub(super) result: Result<Vec<Wrote>, Failure>,
}

impl Task {
    /// What has to be done where a row lacks something or has too much; none where nothing has.
    pub(super) fn of(row: &Row<'_>, fingerprint: Option<Digest>, stood: bool) -> Option<Self> {
        let lacking: Vec<Lack> = row
            .lacking
            .iter()
            .filter(|lack| lack.what != Lacking::Unwatched)
            .cloned()
            .collect();
        (row.is_ours_to_mend() && !(lacking.is_empty() && row.stray.is_empty())).then(|| Self {
            namespace: row.name.clone(),
            uid: row.namespace.uid.clone(),
            created: row.namespace.created,
            profile: row.profile.map(|(profile, _)| profile.clone()),
            lacking,
            stray: row.stray.clone(),
            fingerprint,
            stood,
            late: false,
        })
    }

    /// What is done first: what somebody undid, then what is newest, as pods are about to come there.
    pub(super) fn urgency(&self) -> impl Ord + use<> {
        (std::cmp::Reverse(self.stood), std::cmp::Reverse(self.created))
    }

    /// What it puts up, for the log.
    pub(super) fn names(&self) -> String {
        let names: Vec<&str> = self.lacking.iter().map(|lack| lack.wanted.name.as_str()).collect();
        names.join(", ")
    }
}

impl Worker {
    /// Does it.
    pub(super) async fn work(self, task: Task) -> Done {
        let result = self.result(&task).await;
        Done { task, result }
    }

    async fn result(&self, task: &Task) -> Result<Vec<Wrote>, Failure> {
        let wrote = self.put_up(task).await?;
        if !task.stray.is_empty() && self.is_still_so(task).await? {
            for stray in &task.stray {
                let Stray { kind, name, seen } = stray;
                self.writer.take_down(&task.namespace, kind, name, seen).await?;
                tracing::info!(namespace = %task.namespace, policy = name, "removed, the profile has it no longer");
            }
        }
        Ok(wrote)
    }

    async fn put_up(&self, task: &Task) -> Result<Vec<Wrote>, Failure> {
        let puts = task.lacking.iter().map(|Lack { wanted, what }| async move {
            let live = match what {
                // The watch has not shown it: an apply finds out, unless we know that the watch lags.
                Lacking::Absent if !task.late => Live::Absent,
                _ => self.writer.read(&task.namespace, wanted).await?,
            };
            let made = self.writer.put_up(&task.namespace, wanted, live).await?;
            let wrote = |seen: Seen, anew| Wrote {
                kind: wanted.kind.clone(),
                name: wanted.name.clone(),
                resource_version: seen.resource_version,
                anew,
            };
            Ok(match made {
                Made::Stood(seen) => Some(wrote(seen, false)),
                Made::Written(seen) => Some(wrote(seen, true)),
                Made::NoKind => None,
            })
        });
        // One that fails keeps none of the others from standing.
        let made: Result<Vec<Option<Wrote>>, Failure> = join_all(puts).await.into_iter().collect();
        Ok(made?.into_iter().flatten().collect())
    }

    /// Whether the namespace, read now, still has the profile by which something is to be taken down: its label may have
    /// changed back, and a pod may have come in behind what is about to be taken away.
    async fn is_still_so(&self, task: &Task) -> Result<bool, Failure> {
        let namespace = self.calls.namespace(&task.namespace).await;
        let namespace =
            namespace.map_err(|error| Failure::doing("read", &format!("namespace {}", task.namespace), error))?;
        let (Some(namespace), Some(snapshot)) = (namespace, self.current.load()) else {
            return Ok(false);
        };
        if namespace.uid != task.uid || namespace.terminating {
            return Ok(false);
        }
        let guardrails = &snapshot.guardrails;
        let coverage = guardrails.coverage(task.namespace.as_str(), &namespace, &snapshot.since, Ours::Some);
        Ok(match coverage {
            Coverage::Covered { profile, .. } => Some(&profile.name) == task.profile.as_ref(),
            Coverage::OptedOut => task.profile.is_none(),
            Coverage::Off | Coverage::System | Coverage::Existing => false,
        })
    }
}
