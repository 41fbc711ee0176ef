//! [`Retry`]: how long to wait after each of several failures in a row: doubling from [`FIRST`] to [`MOST`], with a random
//! part so that replicas do not ask all at once.

use std::time::Duration;

use kube::runtime::utils::Backoff;
use rand::Rng;
use tokio::time::Instant;

/// The wait after the first failure.
pub(super) const FIRST: Duration = Duration::from_millis(150);
/// The longest wait.
pub(super) const MOST: Duration = Duration::from_secs(5);
/// After so long without a failure the next one is a first one.
const OVER: Duration = Duration::from_secs(15);

/// The waits after failures in a row. Never ends.
#[derive(Debug, Default)]
pub(super) struct Retry {
    /// The last wait without its random part, and when it began.
    last: Option<(Duration, Instant)>,
}

impl Retry {
    /// How long to wait after this failure.
    pub(super) fn wait(&mut self) -> Duration {
        let now = Instant::now();
        let wait = match self.last {
            Some((wait, since)) if now.duration_since(since) < wait + OVER => (wait * 2).min(MOST),
            _ => FIRST,
        };
        self.last = Some((wait, now));
        wait.mul_f64(rand::rng().random_range(0.8..=1.0))
    }

    /// It succeeded: the next failure is a first one.
    pub(super) fn succeeded(&mut self) {
        self.last = None;
    }
}

impl Iterator for Retry {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        Some(self.wait())
    }
}

impl Backoff for Retry {
    /// A watch says something before it fails to list again, so that alone is no success: time tells.
    fn reset(&mut self) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn waits_grow_up_to_a_bound_and_begin_anew_after_a_while() {
        let mut retry = Retry::default();
        let mut waits = Vec::new();
        for _ in 0..10 {
            let wait = retry.next().expect("never ends");
            retry.reset();
            waits.push(wait);
            tokio::time::sleep(wait).await;
        }
        assert!(waits[0] <= FIRST);
        assert!(waits.windows(2).take(4).all(|pair| pair[0] < pair[1]), "{waits:?}");
        assert!(waits.iter().all(|wait| *wait <= MOST), "{waits:?}");
        assert!(waits[9] >= MOST.mul_f64(0.8), "{waits:?}");
        tokio::time::sleep(MOST + OVER).await;
        assert!(retry.wait() <= FIRST);
        retry.wait();
        retry.succeeded();
        assert!(retry.wait() <= FIRST);
    }
}
