//! [`Recurring`]: an error that comes again at every retry is said once, and then only now and then.

use std::time::Duration;

use tokio::time::Instant;

/// How often an error that stays the same is said.
const SAY_AGAIN: Duration = Duration::from_secs(60);

/// The error that was said last; none after a success.
#[derive(Debug, Default)]
pub(super) struct Recurring(Option<(String, Instant)>);

impl Recurring {
    /// Whether this error is to be said now.
    pub(super) fn is_news(&mut self, error: &str) -> bool {
        let news = !self
            .0
            .as_ref()
            .is_some_and(|(last, said)| last == error && said.elapsed() < SAY_AGAIN);
        if news {
            self.0 = Some((error.to_owned(), Instant::now()));
        }
        news
    }

    /// The error that was said last; none after a success.
    pub(super) fn said(&self) -> Option<&str> {
        self.0.as_ref().map(|(error, _)| error.as_str())
    }

    /// Notes a success; whether there was an error before it.
    pub(super) fn is_over(&mut self) -> bool {
        self.0.take().is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_same_error_is_said_once_a_minute() {
        let mut recurring = Recurring::default();
        assert!(recurring.is_news("refused"));
        assert!(!recurring.is_news("refused"));
        assert!(recurring.is_news("timeout"));
        tokio::time::advance(SAY_AGAIN).await;
        assert!(recurring.is_news("timeout"));
        assert!(recurring.is_over());
        assert!(!recurring.is_over());
        assert!(recurring.is_news("timeout"));
    }
}
