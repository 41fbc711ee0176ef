//! [`Controller`]: keeps the policies of all namespaces as their profiles say, on the replica that leads. It looks at
//! everything whenever something changed, in memory, and works off what differs, a few namespaces at a time; at rest it
//! asks the API server nothing.

mod telling;
mod waiting;
mod watched;
mod work;

use std::collections::{BTreeMap, VecDeque};
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;
use futures::{FutureExt, StreamExt};
use hashbrown::{HashMap, HashSet};
use jiff::Timestamp;
use ringfence_core::guardrails::Guardrails;
use ringfence_core::model::NamespaceName;
use tokio::sync::watch;
use tokio::time::Instant;

use self::telling::Telling;
use self::waiting::{Hold, Waiting};
use self::watched::{Asked, Watched};
use self::work::{Done, Task, Worker};
use super::content::Digest;
use super::kinds::Kinds;
use super::metrics::{By, Metrics};
use super::report::Report;
use super::survey::{Lacking, Row, STATES, survey};
use super::wanted::Profiles;
use super::writer::Writer;
use crate::Current;
use crate::answer::Calls;
use crate::cluster::{Clients, WatchEnded};

/// How many namespaces are worked on at once: a profile has a handful of policies, so a few dozen writes are under way at
/// most, and nobody else is starved of the API server.
const AT_ONCE: usize = 12;
/// The least time between two looks. Changes in between are one.
const PACE: Duration = Duration::from_millis(50);
/// The most of its time that looking may take: a look that takes long is followed by a longer rest.
const SHARE: u32 = 5;
/// How often all is looked at where nothing seems to have changed.
const RESYNC: Duration = Duration::from_secs(30);
/// The least time between two reports: namespaces come and go all the time.
const REPORT_AGAIN: Duration = Duration::from_secs(2);

/// Keeps the policies of all namespaces.
pub(crate) struct Controller {
    current: Current,
    changes: watch::Receiver<u64>,
    watched: Watched,
    worker: Worker,
    waiting: Waiting,
    telling: Telling,
    metrics: Metrics,
    report: watch::Sender<Report>,
    reported: Option<Instant>,
    /// The profiles of these guardrails.
    profiles: (Arc<Guardrails>, Profiles),
    /// Which policies each namespace, by uid, had when all of them stood.
    stood: HashMap<Box<str>, Digest>,
    due: VecDeque<Task>,
    busy: HashSet<NamespaceName>,
    under_way: FuturesUnordered<BoxFuture<'static, Finished>>,
    next_look: Instant,
}

/// Something that was under way.
enum Finished {
    Namespace(Done),
    Kind(Asked),
    Told,
}

impl Controller {
    /// Watches and writes by these clients, by what the snapshot in force says; tells by `report`.
    pub(crate) fn new(
        clients: &Clients,
        (namespace, pod_name): (&str, &str),
        current: Current,
        report: watch::Sender<Report>,
        watch_errors: prometheus_client::metrics::counter::Counter,
        metrics: Metrics,
    ) -> Self {
        let calls = Arc::new(Calls::over(clients.writes.clone()));
        let kinds = Kinds::new(Arc::clone(&calls));
        Self {
            changes: current.changes(),
            watched: Watched::new(clients.watches.clone(), watch_errors, kinds.clone()),
            worker: Worker {
                writer: Writer::new(Arc::clone(&calls), kinds, By::Leader, metrics.clone()),
                calls,
                current: current.clone(),
            },
            waiting: Waiting::default(),
            telling: Telling::new(clients.writes.clone(), namespace, pod_name),
            metrics,
            report,
            reported: None,
            profiles: (Arc::default(), Profiles::default()),
            stood: HashMap::new(),
            due: VecDeque::new(),
            busy: HashSet::new(),
            under_way: FuturesUnordered::new(),
            next_look: Instant::now(),
            current,
        }
    }

    /// Runs until a watch ends, which none does.
    pub(crate) async fn run(mut self) -> Result<Infallible, WatchEnded> {
        let mut changed = true;
        loop {
            self.begin();
            let look_at = if changed { self.next_look } else { self.next() };
            tokio::select! {
                watch = self.watched.changed() => {
                    watch?;
                    changed = true;
                }
                Ok(()) = self.changes.changed() => changed = true,
                Some(finished) = self.under_way.next(), if !self.under_way.is_empty() => {
                    changed |= self.finished(finished);
                }
                () = tokio::time::sleep_until(look_at) => {
                    changed = false;
                    self.look();
                }
            }
        }
    }

    /// When to look where nothing changes.
    fn next(&self) -> Instant {
        let others = [self.waiting.next(), self.watched.next(), self.next_report()];
        let soonest = others.into_iter().flatten().min();
        let resync = self.next_look + RESYNC;
        soonest
            .map_or(resync, |soonest| soonest.min(resync))
            .max(self.next_look)
    }

    /// When a report is due that was held back.
    fn next_report(&self) -> Option<Instant> {
        self.reported
            .map(|reported| reported + REPORT_AGAIN)
            .filter(|due| *due > Instant::now())
    }

    /// Begins what is due, as far as there is room.
    fn begin(&mut self) {
        while self.busy.len() < AT_ONCE {
            let Some(task) = self.due.pop_front() else { return };
            if self.busy.insert(task.namespace.clone()) {
                let working = self.worker.clone().work(task);
                self.under_way.push(working.map(Finished::Namespace).boxed());
            }
        }
    }

    /// Takes what has finished; whether it is a reason to look.
    fn finished(&mut self, finished: Finished) -> bool {
        match finished {
            Finished::Namespace(Done { task, result }) => {
                self.busy.remove(&task.namespace);
                match (&result, task.fingerprint) {
                    (Ok(wrote), Some(fingerprint)) => {
                        if task.stood && wrote.iter().any(|wrote| wrote.anew) {
                            self.metrics.repaired();
                            tracing::warn!(namespace = %task.namespace, policies = task.names(), "changed or deleted; put back");
                        }
                        self.stood.insert(task.uid.as_str().into(), fingerprint);
                    }
                    (Ok(_), None) => drop(self.stood.remove(task.uid.as_str())),
                    (Err(error), _) => {
                        tracing::debug!(namespace = %task.namespace, %error, "could not be isolated; trying again");
                    }
                }
                self.waiting.worked(task.namespace, result);
                // What changed there meanwhile was passed over.
                true
            }
            Finished::Kind(asked) => {
                self.watched.asked(asked);
                true
            }
            Finished::Told => false,
        }
    }

    /// Looks at everything, and makes a list of what is due.
    fn look(&mut self) {
        let began = Instant::now();
        self.next_look = began + PACE;
        let Some(snapshot) = self.current.load() else { return };
        // Policies that opt in to protection make other guardrails of the same configuration.
        if self.profiles.0.revision != snapshot.guardrails.revision {
            self.profiles = (Arc::clone(&snapshot.guardrails), Profiles::of(&snapshot.guardrails));
            self.waiting.begin_anew();
        }
        let asking = self.watched.follow(&self.profiles.1.unread_kinds());
        self.under_way
            .extend(asking.into_iter().map(|asking| asking.map(Finished::Kind).boxed()));
        if !self.watched.is_complete() {
            return;
        }
        let watched = &self.watched;
        let rows = survey(&snapshot, &self.profiles.1, watched.objects(), |wanted| {
            watched.form(wanted)
        });
        self.metrics.counted(
            STATES.iter().map(|state| {
                let rows = rows.iter().filter(|row| row.state == *state);
                (state.as_str(), rows.count())
            }),
            rows.iter().filter(|row| row.fails()).count(),
        );
        if watched.is_in_touch() {
            self.metrics.checked(Timestamp::now().as_second());
        }
        self.due = due(
            &rows,
            &self.profiles.1,
            &mut self.stood,
            &self.busy,
            &mut self.waiting,
            watched,
        );
        let why = |row: &Row<'_>| why(row, &self.waiting, watched);
        let failing = rows.iter().filter(|row| row.fails());
        let failing: BTreeMap<NamespaceName, String> =
            failing.filter_map(|row| Some((row.name.clone(), why(row)?))).collect();
        if self.reported.is_none_or(|reported| reported.elapsed() >= REPORT_AGAIN) {
            self.reported = Some(began);
            let report = Report::of(&snapshot.guardrails, &rows, why);
            self.report.send_if_modified(|before| {
                let news = *before != report;
                *before = report;
                news
            });
        }
        for news in self.telling.news(&failing) {
            let saying = self.telling.say(news);
            self.under_way
                .extend(saying.map(|saying| saying.map(|()| Finished::Told).boxed()));
        }
        self.next_look = began + PACE.max(began.elapsed() * SHARE);
    }
}

impl Drop for Controller {
    fn drop(&mut self) {
        self.metrics.no_longer_leading();
    }
}

/// What has to be done, the most urgent first; but not where it is under way, or waits.
fn due(
    rows: &[Row<'_>],
    profiles: &Profiles,
    stood: &mut HashMap<Box<str>, Digest>,
    busy: &HashSet<NamespaceName>,
    waiting: &mut Waiting,
    watched: &Watched,
) -> VecDeque<Task> {
    let mut needing = HashSet::new();
    let mut tasks = Vec::new();
    for row in rows {
        let uid = row.namespace.uid.as_str();
        let fingerprint = row.profile.and_then(|(profile, _)| profiles.fingerprint(profile));
        let has_stood = fingerprint.is_some() && stood.get(uid).copied() == fingerprint;
        let Some(mut task) = Task::of(row, fingerprint, has_stood) else {
            match fingerprint {
                Some(fingerprint) if row.lacking.is_empty() && row.is_ours_to_mend() => {
                    if stood.get(uid) != Some(&fingerprint) {
                        stood.insert(uid.into(), fingerprint);
                    }
                }
                _ => drop(stood.remove(uid)),
            }
            continue;
        };
        needing.insert(row.name);
        let hold = waiting.hold(row.name, |wrote| watched.shows(wrote));
        if hold != Hold::Held && !busy.contains(row.name) {
            task.late = hold == Hold::Late;
            tasks.push(task);
        }
    }
    waiting.keep(&needing);
    if stood.len() > rows.len() * 2 {
        // Namespaces that are gone; the others are noted again by the next look.
        stood.clear();
    }
    tasks.sort_by_cached_key(Task::urgency);
    tasks.into()
}

/// Why a namespace lacks policies, where that is more than that nobody has come to it yet.
fn why(row: &Row<'_>, waiting: &Waiting, watched: &Watched) -> Option<String> {
    let failure = waiting.why(row.name).map(ToString::to_string);
    failure.or_else(|| {
        let unwatched = row.lacking.iter().find(|lack| lack.what == Lacking::Unwatched)?;
        watched.trouble(&unwatched.wanted.kind)
    })
}
