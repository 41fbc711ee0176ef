//! [`SharedReads`]: reviews that wait for the same thing share one read of it. Of each key at most one read is under way;
//! whoever needs one that begins later joins the one that follows it. Nothing is kept once it has been handed out.

use std::collections::HashMap;
use std::future::Future;
use std::hash::Hash;
use std::sync::Arc;

use futures::FutureExt;
use futures::future::Shared;
use parking_lot::Mutex;
use tokio::sync::oneshot;
use tokio::time::Instant;

/// How old a read that one joins may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Freshness {
    /// It began after this instant.
    BeganAfter(Instant),
    /// It has not ended.
    UnderWay,
}

/// Whether a read was begun for whoever asked, or another's was joined.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Sharing {
    /// Begun for them.
    Own,
    /// Begun, or about to begin, for another.
    Joined,
}

/// A place in the queue for a value.
#[derive(Debug, Clone)]
pub(crate) struct Ticket<V: Clone>(Shared<oneshot::Receiver<V>>);

impl<V: Clone> Ticket<V> {
    fn new() -> (oneshot::Sender<V>, Self) {
        let (sender, receiver) = oneshot::channel();
        (sender, Self(receiver.shared()))
    }

    /// The value, once it is read; none where the reader died.
    pub(crate) async fn value(self) -> Option<V> {
        self.0.await.ok()
    }
}

/// Reads under way, by key.
#[derive(Debug)]
pub(crate) struct SharedReads<K, V: Clone> {
    reads: Arc<Mutex<HashMap<K, Read<V>>>>,
    limit: usize,
}

/// The read of one key that is under way, and the one that follows it, if anyone waits for that.
#[derive(Debug)]
struct Read<V: Clone> {
    began: Instant,
    ticket: Ticket<V>,
    next: Option<(oneshot::Sender<V>, Ticket<V>)>,
}

impl<K, V> SharedReads<K, V>
where
    K: Clone + Eq + Hash + Send + 'static,
    V: Clone + Send + Sync + 'static,
{
    /// At most `limit` keys are read at a time.
    pub(crate) fn new(limit: usize) -> Self {
        Self {
            reads: Arc::default(),
            limit,
        }
    }

    /// Joins a read of this key that is fresh enough, or begins one. The read goes on when nobody waits for it any more, so
    /// `read` has to end by itself. None where too many keys are being read.
    pub(crate) fn join<F>(
        &self,
        key: K,
        freshness: Freshness,
        read: impl Fn(K) -> F + Send + 'static,
    ) -> Option<(Ticket<V>, Sharing)>
    where
        F: Future<Output = V> + Send + 'static,
    {
        let mut reads = self.reads.lock();
        if let Some(under_way) = reads.get_mut(&key) {
            let fresh = match freshness {
                Freshness::UnderWay => true,
                // Of two at the same instant nobody knows which came first.
                Freshness::BeganAfter(instant) => under_way.began > instant,
            };
            let ticket = if fresh {
                &under_way.ticket
            } else {
                &under_way.next.get_or_insert_with(Ticket::new).1
            };
            return Some((ticket.clone(), Sharing::Joined));
        }
        if reads.len() >= self.limit {
            return None;
        }
        let (sender, ticket) = Ticket::new();
        let under_way = Read {
            began: Instant::now(),
            ticket: ticket.clone(),
            next: None,
        };
        reads.insert(key.clone(), under_way);
        drop(reads);
        let reading = Reading {
            reads: Arc::clone(&self.reads),
            key: Some(key),
        };
        tokio::spawn(reading.run(sender, read));
        Some((ticket, Sharing::Own))
    }
}

/// The task that reads a key for as long as someone waits for another read of it. Dropped early (a panic, the end of the
/// runtime) it leaves nothing behind that others could wait for in vain.
struct Reading<K: Eq + Hash, V: Clone> {
    reads: Arc<Mutex<HashMap<K, Read<V>>>>,
    /// None once it is no longer listed.
    key: Option<K>,
}

impl<K: Clone + Eq + Hash, V: Clone> Reading<K, V> {
    async fn run<F: Future<Output = V>>(mut self, mut sender: oneshot::Sender<V>, read: impl Fn(K) -> F) {
        while let Some(key) = self.key.clone() {
            let value = read(key).await;
            let next = self.next();
            // Nobody may be waiting any more.
            let _ = sender.send(value);
            match next {
                Some(next) => sender = next,
                None => return,
            }
        }
    }

    /// Begins the read that follows, where someone waits for it; else the key is no longer listed.
    fn next(&mut self) -> Option<oneshot::Sender<V>> {
        let mut reads = self.reads.lock();
        let under_way = reads.get_mut(self.key.as_ref()?)?;
        if let Some((sender, ticket)) = under_way.next.take() {
            under_way.began = Instant::now();
            under_way.ticket = ticket;
            return Some(sender);
        }
        reads.remove(&self.key.take()?);
        None
    }
}

impl<K: Eq + Hash, V: Clone> Drop for Reading<K, V> {
    fn drop(&mut self) {
        if let Some(key) = &self.key {
            self.reads.lock().remove(key);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use futures::future::join_all;
    use proptest::prelude::*;

    use super::*;

    /// A read that says when it began and ended.
    type Span = (Instant, Instant);

    async fn take(duration: Duration) -> Span {
        let began = Instant::now();
        tokio::time::sleep(duration).await;
        (began, Instant::now())
    }

    const TENTH: Duration = Duration::from_millis(100);

    fn live() -> Freshness {
        Freshness::BeganAfter(Instant::now())
    }

    #[tokio::test(start_paused = true)]
    async fn a_read_that_began_earlier_is_not_live_but_the_one_after_it_serves_all_who_wait() {
        let reads = SharedReads::<&str, Span>::new(8);
        let join = |freshness| reads.join("web", freshness, |_| take(TENTH)).expect("there is room");
        let start = Instant::now();
        let (first, sharing) = join(live());
        assert_eq!(sharing, Sharing::Own);
        tokio::time::sleep(TENTH / 2).await;
        let arrived = Instant::now();
        let later: Vec<_> = (0..5).map(|_| join(live())).collect();
        assert!(later.iter().all(|(_, sharing)| *sharing == Sharing::Joined));
        assert_eq!(first.value().await, Some((start, start + TENTH)));
        let values = join_all(later.into_iter().map(|(ticket, _)| ticket.value())).await;
        assert!(start + TENTH > arrived);
        assert!(
            values
                .iter()
                .all(|value| *value == Some((start + TENTH, start + 2 * TENTH))),
            "{values:?}"
        );
        assert!(reads.reads.lock().is_empty(), "nothing is kept");
    }

    #[tokio::test(start_paused = true)]
    async fn a_read_that_began_after_a_review_arrived_is_live_for_it() {
        let reads = SharedReads::<&str, Span>::new(8);
        let arrived = Instant::now();
        tokio::time::sleep(TENTH).await;
        let join = || {
            reads
                .join("web", Freshness::BeganAfter(arrived), |_| take(TENTH))
                .expect("there is room")
        };
        let ((own, _), (joined, _)) = (join(), join());
        assert_eq!(own.value().await, joined.value().await);
    }

    #[tokio::test(start_paused = true)]
    async fn a_reader_that_dies_leaves_nobody_waiting() {
        let reads = SharedReads::<&str, u8>::new(8);
        let dying = |_| async {
            tokio::time::sleep(TENTH).await;
            panic!("a reader that dies")
        };
        let (first, _) = reads.join("web", Freshness::UnderWay, dying).expect("there is room");
        tokio::time::sleep(TENTH / 2).await;
        let (queued, _) = reads.join("web", live(), dying).expect("there is room");
        assert_eq!((first.value().await, queued.value().await), (None, None));
        let (again, sharing) = reads.join("web", live(), |_| async { 7 }).expect("there is room");
        assert_eq!((again.value().await, sharing), (Some(7), Sharing::Own));
    }

    #[tokio::test(start_paused = true)]
    async fn the_number_of_reads_is_bounded_but_joining_is_not() {
        let reads = SharedReads::<u8, Span>::new(2);
        let join = |key| reads.join(key, live(), |_| take(TENTH));
        let (one, two) = (join(1), join(2));
        assert!(one.is_some() && two.is_some() && join(1).is_some());
        assert!(join(3).is_none());
        tokio::time::sleep(3 * TENTH).await;
        assert!(join(3).is_some());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        /// Whoever comes when, and however long reads take: what each gets was read after they came, each read ends before
        /// the next of its key begins, and nobody waits longer than two reads.
        #[test]
        fn every_read_is_live_and_none_runs_beside_another(
            arrivals in prop::collection::vec((0_u64..30, 0_u8..3), 1..40),
            takes in prop::collection::vec(1_u64..50, 3),
        ) {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
            let spans = runtime.expect("a runtime").block_on(async {
                let reads = SharedReads::<u8, Span>::new(3);
                let mut waiting = Vec::new();
                for (pause, key) in arrivals {
                    tokio::time::sleep(Duration::from_millis(pause)).await;
                    let (arrived, duration) = (Instant::now(), Duration::from_millis(takes[usize::from(key)]));
                    let joined = reads.join(key, Freshness::BeganAfter(arrived), move |_| take(duration));
                    let (ticket, _) = joined.expect("there is room");
                    waiting.push(tokio::spawn(async move { (key, arrived, duration, ticket.value().await) }));
                }
                join_all(waiting).await
            });
            let mut by_key: HashMap<u8, Vec<Span>> = HashMap::new();
            for span in spans {
                let (key, arrived, duration, value) = span.expect("no task dies");
                let (began, ended) = value.expect("no reader dies");
                prop_assert!(began >= arrived, "a stale read");
                prop_assert!(ended <= arrived + 2 * duration, "waited too long");
                by_key.entry(key).or_default().push((began, ended));
            }
            for spans in by_key.values_mut() {
                spans.sort_unstable();
                spans.dedup();
                prop_assert!(spans.is_sorted_by(|one, other| one.1 <= other.0), "two at once: {spans:?}");
            }
        }
    }
}
