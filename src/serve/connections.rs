//! [`Connections`]: the bounded set of open connections of one listener, and [`Link`], the state of one of them. A
//! connection is proven once it has sent a rightly addressed request; when all places are taken, the oldest unproven one
//! makes room for the newest, so that whoever merely holds connections open keeps nobody out.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use parking_lot::{Mutex, MutexGuard};
use prometheus_client::metrics::gauge::Gauge;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::metrics::{Closed, Listener, Metrics};

/// The open connections of one listener. Clones share them.
#[derive(Debug, Clone)]
pub(super) struct Connections(Arc<Table>);

#[derive(Debug)]
struct Table {
    most: usize,
    listener: Listener,
    metrics: Metrics,
    open: Gauge,
    /// Times of links are milliseconds since this.
    epoch: Instant,
    places: Mutex<Places>,
}

#[derive(Debug, Default)]
struct Places {
    taken: usize,
    next: u64,
    /// Oldest first: what ends each of them.
    unproven: BTreeMap<u64, CancellationToken>,
}

/// One open connection: its place in the table until it is dropped.
#[derive(Debug)]
pub(super) struct Link {
    id: u64,
    table: Connections,
    proven: AtomicBool,
    active: AtomicUsize,
    /// When it last had a request, or was opened.
    quiet_since: AtomicU64,
    evicted: CancellationToken,
    leave: CancellationToken,
}

/// How a connection has to close.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Leaving {
    /// It finishes what it is answering, and says goodbye as its protocol does.
    Finishing,
    /// It has nothing to finish but headers that take too long.
    AtOnce,
}

/// A request that is being answered over a link.
#[derive(Debug)]
pub(super) struct Busy(Arc<Link>);

impl Connections {
    pub(super) fn new(most: usize, listener: Listener, metrics: Metrics) -> Self {
        let open = metrics.open(listener);
        Self(Arc::new(Table {
            most,
            listener,
            metrics,
            open,
            epoch: Instant::now(),
            places: Mutex::default(),
        }))
    }

    /// A place for a new connection, made by ending the oldest unproven one where all are taken; none where every one is
    /// proven. The link is asked to leave when the token is cancelled.
    pub(super) fn admit(&self, leave: &CancellationToken) -> Option<Arc<Link>> {
        let evicted = CancellationToken::new();
        let mut places = self.places();
        if places.taken >= self.0.most && !self.evict_from(&mut places) {
            drop(places);
            self.closed(Closed::full);
            return None;
        }
        let id = places.next;
        places.next += 1;
        places.taken += 1;
        places.unproven.insert(id, evicted.clone());
        drop(places);
        self.0.open.inc();
        Some(Arc::new(Link {
            id,
            table: self.clone(),
            proven: AtomicBool::new(false),
            active: AtomicUsize::new(0),
            quiet_since: AtomicU64::new(self.now()),
            evicted,
            leave: leave.child_token(),
        }))
    }

    /// Ends the oldest unproven connection: something that connections hold has run out.
    pub(super) fn evict(&self) {
        self.evict_from(&mut self.places());
    }

    pub(super) fn accept_failed(&self) {
        self.0.metrics.accept_failed(self.0.listener);
    }

    pub(super) fn handshake_failed(&self, reason: &'static str) {
        self.0.metrics.handshake_failed(reason);
    }

    fn evict_from(&self, places: &mut Places) -> bool {
        let Some((_, oldest)) = places.unproven.pop_first() else {
            return false;
        };
        oldest.cancel();
        // Its task ends in a moment; its place is free now, or a burst of arrivals would be refused.
        places.taken -= 1;
        self.closed(Closed::evicted);
        true
    }

    fn closed(&self, reason: Closed) {
        self.0.metrics.closed(self.0.listener, reason);
    }

    fn places(&self) -> MutexGuard<'_, Places> {
        self.0.places.lock()
    }

    fn now(&self) -> u64 {
        u64::try_from(self.0.epoch.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}

impl Link {
    /// It has sent a rightly addressed request: it is no longer evicted, and may idle.
    pub(super) fn prove(&self) {
        if !self.proven.swap(true, Ordering::Relaxed) {
            self.table.places().unproven.remove(&self.id);
        }
    }

    pub(super) fn is_proven(&self) -> bool {
        self.proven.load(Ordering::Relaxed)
    }

    /// A request has begun; it ends when the guard is dropped.
    pub(super) fn busy(self: &Arc<Self>) -> Busy {
        self.active.fetch_add(1, Ordering::Relaxed);
        Busy(Arc::clone(self))
    }

    /// The connection finishes what it is answering and closes.
    pub(super) fn leave(&self) {
        self.leave.cancel();
    }

    /// Waits until it has to close: it was asked to leave, or has been without a request for too long.
    pub(super) async fn leaving(&self, first_request: Duration, idle: Duration) -> Leaving {
        tokio::select! {
            () = self.leave.cancelled() => Leaving::Finishing,
            reason = self.overdue(first_request, idle) => {
                self.table.closed(reason);
                match reason {
                    Closed::unproven => Leaving::AtOnce,
                    _ => Leaving::Finishing,
                }
            }
        }
    }

    /// Waits until it has to end at once: another needs its place.
    pub(super) async fn evicted(&self) {
        self.evicted.cancelled().await;
    }

    pub(super) fn connections(&self) -> &Connections {
        &self.table
    }

    async fn overdue(&self, first_request: Duration, idle: Duration) -> Closed {
        loop {
            let (limit, reason) = if self.is_proven() {
                (idle, Closed::idle)
            } else {
                (first_request, Closed::unproven)
            };
            let quiet_since = self.table.0.epoch + Duration::from_millis(self.quiet_since.load(Ordering::Relaxed));
            let busy = self.active.load(Ordering::Relaxed) > 0;
            let due = if busy { Instant::now() } else { quiet_since } + limit;
            if due <= Instant::now() {
                return reason;
            }
            tokio::time::sleep_until(due).await;
        }
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        let Self(link) = self;
        link.quiet_since.store(link.table.now(), Ordering::Relaxed);
        link.active.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        let mut places = self.table.places();
        places.unproven.remove(&self.id);
        if !self.evicted.is_cancelled() {
            places.taken -= 1;
        }
        drop(places);
        self.table.0.open.dec();
    }
}

#[cfg(test)]
mod tests {
    use prometheus_client::registry::Registry;

    use super::*;

    const FIRST: Duration = Duration::from_secs(10);
    const IDLE: Duration = Duration::from_secs(120);

    fn two_places() -> Connections {
        Connections::new(2, Listener::reviews, Metrics::register(&mut Registry::default()))
    }

    fn open(connections: &Connections) -> Arc<Link> {
        connections.admit(&CancellationToken::new()).expect("a place")
    }

    #[tokio::test]
    async fn the_oldest_unproven_connection_makes_room() {
        let connections = two_places();
        let (proven, idle) = (open(&connections), open(&connections));
        proven.prove();
        let newest = open(&connections);
        assert!(idle.evicted.is_cancelled());
        assert!(!proven.evicted.is_cancelled() && !newest.evicted.is_cancelled());
    }

    #[tokio::test]
    async fn proven_connections_are_never_evicted() {
        let connections = two_places();
        let (one, other) = (open(&connections), open(&connections));
        one.prove();
        other.prove();
        assert!(connections.admit(&CancellationToken::new()).is_none());
        connections.evict();
        assert!(!one.evicted.is_cancelled() && !other.evicted.is_cancelled());
    }

    #[tokio::test]
    async fn a_place_is_given_back_once() {
        let connections = two_places();
        let first = open(&connections);
        let links: Vec<_> = (0..10).map(|_| open(&connections)).collect();
        assert_eq!(connections.places().taken, 2);
        assert_eq!(connections.0.open.get(), 11);
        drop((first, links));
        assert_eq!(connections.places().taken, 0);
        assert_eq!(connections.0.open.get(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_without_a_first_request_leaves_early_and_a_proven_one_late() {
        let connections = two_places();
        let (silent, proven) = (open(&connections), open(&connections));
        proven.prove();
        let start = Instant::now();
        assert_eq!(silent.leaving(FIRST, IDLE).await, Leaving::AtOnce);
        assert_eq!(start.elapsed().as_secs(), 10);
        assert_eq!(proven.leaving(FIRST, IDLE).await, Leaving::Finishing);
        assert_eq!(start.elapsed().as_secs(), 120);
    }

    #[tokio::test(start_paused = true)]
    async fn the_clock_of_idling_starts_when_the_last_request_ends() {
        let connections = two_places();
        let link = open(&connections);
        link.prove();
        let start = Instant::now();
        let busy = link.busy();
        let request = async {
            tokio::time::sleep(Duration::from_secs(300)).await;
            drop(busy);
        };
        tokio::join!(request, link.leaving(FIRST, IDLE));
        assert!(
            (420..=540).contains(&start.elapsed().as_secs()),
            "{:?}",
            start.elapsed()
        );
    }
}
