//! [`Waiting`]: which namespaces are not to be worked on just now: those that failed, ever longer, and those whose writes
//! the watch has not shown yet.

use std::time::Duration;

use hashbrown::{HashMap, HashSet};
use rand::Rng;
use ringfence_core::model::NamespaceName;
use tokio::time::Instant;

use crate::isolate::failure::Failure;
use crate::isolate::wanted::Kind;

/// The wait after the first failure.
const FIRST: Duration = Duration::from_millis(250);
/// The longest wait: a quota that was raised is noticed this soon, and by the next pod at once.
const MOST: Duration = Duration::from_secs(60);
/// How long the watch may take to show what was written; after it, it is read instead, ever less often.
const SHOWN: Duration = Duration::from_secs(1);
/// The longest time between two such reads: a namespace may have been made anew meanwhile.
const MOST_UNSEEN: Duration = Duration::from_secs(10);

/// What was put up of an object: what the watch has to show.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Wrote {
    pub(super) kind: Kind,
    pub(super) name: String,
    pub(super) resource_version: Box<str>,
    /// Whether it was written; else it was found to stand.
    pub(super) anew: bool,
}

/// Whether a namespace may be worked on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Hold {
    /// Not now.
    Held,
    /// By what the watch shows.
    Free,
    /// By what is read: the watch lags behind what was written.
    Late,
}

/// A namespace that failed.
#[derive(Debug)]
struct Failing {
    wait: Duration,
    until: Instant,
    why: Failure,
}

/// A namespace whose watch has not shown yet what was written.
#[derive(Debug)]
struct Unseen {
    wait: Duration,
    until: Instant,
    wrote: Vec<Wrote>,
}

/// Namespaces that wait.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    failing: HashMap<NamespaceName, Failing>,
    written: HashMap<NamespaceName, Unseen>,
}

impl Waiting {
    /// Notes what became of the work on a namespace.
    pub(super) fn worked(&mut self, namespace: NamespaceName, result: Result<Vec<Wrote>, Failure>) {
        match result {
            Ok(wrote) => {
                self.failing.remove(&namespace);
                if !wrote.is_empty() {
                    let before = self.written.get(&namespace).map(|unseen| unseen.wait);
                    let wait = before.map_or(SHOWN, |wait| (wait * 2).min(MOST_UNSEEN));
                    let until = Instant::now() + wait;
                    self.written.insert(namespace, Unseen { wait, until, wrote });
                }
            }
            Err(why) => {
                let before = self.failing.get(&namespace).map(|failing| failing.wait);
                let wait = before.map_or(FIRST, |wait| (wait * 2).min(MOST));
                // So that those who failed together are not tried together.
                let until = Instant::now() + wait.mul_f64(rand::rng().random_range(0.8..=1.0));
                self.failing.insert(namespace, Failing { wait, until, why });
            }
        }
    }

    /// Whether a namespace may be worked on now. `shows` tells whether the watch shows what was written.
    pub(super) fn hold(&mut self, namespace: &NamespaceName, shows: impl Fn(&Wrote) -> bool) -> Hold {
        let now = Instant::now();
        if self.failing.get(namespace).is_some_and(|failing| failing.until > now) {
            return Hold::Held;
        }
        let Some(unseen) = self.written.get(namespace) else {
            return Hold::Free;
        };
        if unseen.wrote.iter().all(shows) {
            self.written.remove(namespace);
            Hold::Free
        } else if unseen.until > now {
            Hold::Held
        } else {
            Hold::Late
        }
    }

    /// Why a namespace failed last; none where it did not.
    pub(super) fn why(&self, namespace: &NamespaceName) -> Option<&Failure> {
        self.failing.get(namespace).map(|failing| &failing.why)
    }

    /// Forgets all that is waited for: what failed by one configuration may do by another.
    pub(super) fn begin_anew(&mut self) {
        self.failing.clear();
        self.written.clear();
    }

    /// Forgets namespaces that need no work.
    pub(super) fn keep(&mut self, needing: &HashSet<&NamespaceName>) {
        self.failing.retain(|namespace, _| needing.contains(namespace));
        self.written.retain(|namespace, _| needing.contains(namespace));
    }

    /// When the next one may be worked on again.
    pub(super) fn next(&self) -> Option<Instant> {
        let now = Instant::now();
        let failing = self.failing.values().map(|failing| failing.until);
        let written = self.written.values().map(|unseen| unseen.until);
        failing.chain(written).filter(|until| *until > now).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> NamespaceName {
        NamespaceName::new(text).expect("a valid name")
    }

    fn refused() -> Result<Vec<Wrote>, Failure> {
        Err(Failure::Refused("a quota".to_owned()))
    }

    fn wrote() -> Wrote {
        Wrote {
            kind: Kind::network_policy(),
            name: "ringfence-a".to_owned(),
            resource_version: "7".into(),
            anew: true,
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_fails_waits_ever_longer_up_to_a_minute() {
        let mut waiting = Waiting::default();
        let shop = name("shop");
        let mut waits = Vec::new();
        for _ in 0..12 {
            waiting.worked(shop.clone(), refused());
            assert_eq!(waiting.hold(&shop, |_| true), Hold::Held);
            let until = waiting.next().expect("it waits");
            waits.push(until - Instant::now());
            tokio::time::sleep_until(until).await;
            assert_eq!(waiting.hold(&shop, |_| true), Hold::Free);
        }
        assert!(
            waits[0] <= FIRST && waits.windows(2).take(5).all(|pair| pair[0] < pair[1]),
            "{waits:?}"
        );
        assert!(
            waits.iter().all(|wait| *wait <= MOST) && waits[11] >= MOST.mul_f64(0.8),
            "{waits:?}"
        );
        assert_eq!(waiting.why(&shop), Some(&Failure::Refused("a quota".to_owned())));
        waiting.worked(shop.clone(), Ok(Vec::new()));
        assert_eq!((waiting.why(&shop), waiting.next()), (None, None));
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_written_is_waited_for_until_the_watch_shows_it_but_not_for_ever() {
        let mut waiting = Waiting::default();
        let shop = name("shop");
        waiting.worked(shop.clone(), Ok(vec![wrote()]));
        assert_eq!(waiting.hold(&shop, |_| false), Hold::Held);
        assert_eq!(waiting.hold(&shop, |wrote| wrote.name == "ringfence-a"), Hold::Free);
        waiting.worked(shop.clone(), Ok(vec![wrote()]));
        tokio::time::sleep(SHOWN).await;
        assert_eq!(waiting.hold(&shop, |_| false), Hold::Late);
        waiting.worked(shop.clone(), Ok(vec![wrote()]));
        tokio::time::sleep(SHOWN).await;
        assert_eq!(waiting.hold(&shop, |_| false), Hold::Held, "less often");
        assert_eq!(waiting.hold(&shop, |_| true), Hold::Free, "it came after all");
    }

    #[tokio::test(start_paused = true)]
    async fn what_needs_no_work_any_more_is_forgotten() {
        let mut waiting = Waiting::default();
        waiting.worked(name("shop"), refused());
        waiting.worked(name("web"), refused());
        let shop = name("shop");
        waiting.keep(&HashSet::from_iter([&shop]));
        assert!(waiting.why(&name("web")).is_none() && waiting.why(&shop).is_some());
        waiting.begin_anew();
        assert!(waiting.why(&shop).is_none());
    }
}
