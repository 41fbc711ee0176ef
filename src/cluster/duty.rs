//! [`Duty`]: something that one replica keeps in step for all. [`keep`] passes over it whenever something changed that it
//! hangs on, and from time to time anyway; what fails is tried again, less and less often.

use std::convert::Infallible;
use std::future::Future;
use std::time::Duration;

use tokio::time::Instant;

use super::recurring::Recurring;
use super::retry::Retry;
use super::{Error, Metrics};

/// How often a pass is made where nothing seems to have changed.
const RESYNC: Duration = Duration::from_secs(60);
/// How long one pass may take.
const PASS: Duration = Duration::from_secs(60);

/// Something to be kept in step.
pub(crate) trait Duty: Send + 'static {
    /// Its name in logs and metrics.
    const NAME: &'static str;
    /// The least time between two passes. Changes in between are one.
    const PACE: Duration = Duration::from_millis(50);

    /// Compares what stands with what should and writes the difference; nothing where there is none.
    fn pass(&mut self) -> impl Future<Output = Result<(), Error>> + Send;

    /// Waits for a change that a pass should follow. May be dropped at any time. An error ends ringfence.
    fn changed(&mut self) -> impl Future<Output = Result<(), Error>> + Send;
}

/// Keeps it in step for ever.
pub(super) async fn keep<D: Duty>(mut duty: D, metrics: Metrics) -> Result<Infallible, Error> {
    let mut failing = Recurring::default();
    let mut retry = Retry::default();
    loop {
        let began = Instant::now();
        let result = tokio::time::timeout(PASS, duty.pass())
            .await
            .unwrap_or(Err(Error::PassTooLong(PASS)));
        metrics.passed(D::NAME, result.is_err());
        // What fails is not tried faster because things change meanwhile.
        let (wait, pace) = match result {
            Ok(()) => {
                retry.succeeded();
                if failing.is_over() {
                    tracing::info!(duty = D::NAME, "in step again");
                }
                (RESYNC, D::PACE)
            }
            Err(error) => {
                if failing.is_news(&error.to_string()) {
                    tracing::warn!(duty = D::NAME, %error, "could not be kept in step; trying again");
                }
                let wait = retry.wait();
                (wait, wait.max(D::PACE))
            }
        };
        if let Ok(changed) = tokio::time::timeout(wait, duty.changed()).await {
            changed?;
        }
        tokio::time::sleep_until(began + pace).await;
    }
}

/// Waits until then; for ever where there is no then.
pub(crate) async fn at(instant: Option<Instant>) {
    match instant {
        Some(instant) => tokio::time::sleep_until(instant).await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    /// Fails in its first passes; changes when told to.
    struct Counted {
        passes: Arc<AtomicU32>,
        failures: u32,
        changes: tokio::sync::mpsc::UnboundedReceiver<()>,
    }

    impl Duty for Counted {
        const NAME: &'static str = "counted";

        async fn pass(&mut self) -> Result<(), Error> {
            if self.passes.fetch_add(1, Ordering::SeqCst) < self.failures {
                return Err(Error::PassTooLong(PASS));
            }
            Ok(())
        }

        async fn changed(&mut self) -> Result<(), Error> {
            match self.changes.recv().await {
                Some(()) => Ok(()),
                None => std::future::pending().await,
            }
        }
    }

    fn begin(failures: u32) -> (Arc<AtomicU32>, tokio::sync::mpsc::UnboundedSender<()>) {
        let passes = Arc::new(AtomicU32::new(0));
        let (sender, changes) = tokio::sync::mpsc::unbounded_channel();
        let duty = Counted {
            passes: Arc::clone(&passes),
            failures,
            changes,
        };
        tokio::spawn(keep(duty, Metrics::default()));
        (passes, sender)
    }

    async fn after(passes: &AtomicU32, time: Duration) -> u32 {
        // Time is paused: this waits for the tasks, not for the clock.
        tokio::time::sleep(time).await;
        passes.load(Ordering::SeqCst)
    }

    #[tokio::test(start_paused = true)]
    async fn a_pass_follows_a_change_and_a_while() {
        let (passes, changes) = begin(0);
        assert_eq!(after(&passes, Duration::from_secs(1)).await, 1);
        changes.send(()).expect("kept");
        assert_eq!(after(&passes, Duration::from_secs(1)).await, 2);
        assert_eq!(after(&passes, RESYNC).await, 3);
    }

    #[tokio::test(start_paused = true)]
    async fn a_failing_pass_is_tried_again_ever_less_often_and_changes_do_not_hurry_it() {
        let (passes, changes) = begin(u32::MAX);
        let early = after(&passes, Duration::from_secs(3)).await;
        assert!((4..=6).contains(&early), "{early}");
        for _ in 0..1000 {
            changes.send(()).expect("kept");
        }
        let late = after(&passes, Duration::from_secs(60)).await - early;
        assert!((10..=14).contains(&late), "{late}");
    }

    #[tokio::test(start_paused = true)]
    async fn after_a_success_retries_begin_anew() {
        let (passes, changes) = begin(4);
        assert_eq!(after(&passes, Duration::from_secs(5)).await, 5);
        changes.send(()).expect("kept");
        assert_eq!(after(&passes, Duration::from_secs(1)).await, 6);
    }
}
