//! Waiting for a condition instead of sleeping: polls until it holds or a time has passed.

use std::thread;
use std::time::{Duration, Instant};

/// How long to wait between two looks.
const INTERVAL: Duration = Duration::from_millis(20);

/// How long to wait for what is sure to come.
const PATIENCE: Duration = Duration::from_secs(60);

/// A condition that did not come to hold in time.
#[derive(Debug, thiserror::Error)]
#[error("waited {} s in vain for {what}", timeout.as_secs_f32())]
pub struct TimedOut {
    /// What was waited for.
    pub what: String,
    /// How long.
    pub timeout: Duration,
}

/// Calls `probe` until it gives something, and gives that.
pub fn wait_until<T>(timeout: Duration, what: &str, mut probe: impl FnMut() -> Option<T>) -> Result<T, TimedOut> {
    let begun = Instant::now();
    loop {
        if let Some(found) = probe() {
            return Ok(found);
        }
        if begun.elapsed() >= timeout {
            return Err(TimedOut {
                what: what.to_owned(),
                timeout,
            });
        }
        thread::sleep(INTERVAL);
    }
}

/// As [`wait_until`], for as long as anything takes that comes about by itself: longer than a lease holds, a watch is quiet,
/// or a replica starts.
///
/// # Panics
/// If it did not come to hold.
#[track_caller]
pub fn eventually<T>(what: &str, probe: impl FnMut() -> Option<T>) -> T {
    wait_until(PATIENCE, what, probe).unwrap_or_else(|timed_out| panic!("{timed_out}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_condition_is_looked_at_until_it_holds() {
        let mut looks = 0;
        let found = wait_until(Duration::from_secs(5), "the third look", || {
            looks += 1;
            (looks == 3).then_some(looks)
        });
        assert_eq!(found.expect("it comes"), 3);
    }

    #[test]
    fn what_never_holds_is_named_in_the_error() {
        let error = wait_until::<()>(Duration::ZERO, "rain", || None).expect_err("it never holds");
        assert_eq!(error.to_string(), "waited 0 s in vain for rain");
    }
}
