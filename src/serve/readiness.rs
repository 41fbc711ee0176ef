//! [`Readiness`]: whether we may be sent reviews, as a set of named conditions that other parts hold and set. Ready when
//! every condition is met and we are not draining; `/readyz` lists what is missing.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use tokio::sync::watch;

/// The conditions of being ready. Clones share them.
#[derive(Debug, Clone)]
pub struct Readiness(Arc<watch::Sender<State>>);

/// One named condition, held by the part that knows it.
#[derive(Debug, Clone)]
pub struct Condition {
    name: &'static str,
    readiness: Readiness,
}

#[derive(Debug, Default)]
struct State {
    /// By name: why it is not met, none where it is.
    conditions: BTreeMap<&'static str, Option<String>>,
    draining: bool,
}

/// A condition that is not met.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Missing {
    /// Which condition.
    pub name: &'static str,
    /// Why it is not met.
    pub reason: String,
}

impl fmt::Display for Missing {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}: {}", self.name, self.reason)
    }
}

impl Default for Readiness {
    fn default() -> Self {
        Self(Arc::new(watch::Sender::new(State::default())))
    }
}

impl Readiness {
    /// Without conditions: ready.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a condition, missing until it is said to be met. The same name gives the same condition.
    pub fn condition(&self, name: &'static str) -> Condition {
        self.0.send_modify(|state| {
            state
                .conditions
                .entry(name)
                .or_insert_with(|| Some("not yet".to_owned()));
        });
        Condition {
            name,
            readiness: self.clone(),
        }
    }

    /// No longer ready, whatever the conditions say. Not undone.
    pub fn drain(&self) {
        self.0.send_modify(|state| state.draining = true);
    }

    /// What is missing, by name; empty where we are ready.
    pub fn missing(&self) -> Vec<Missing> {
        self.0.borrow().missing()
    }

    /// Waits until nothing is missing.
    pub async fn ready(&self) {
        let mut changes = self.0.subscribe();
        // Only fails once the sender is gone, which `self` holds.
        let _ = changes.wait_for(|state| state.missing().is_empty()).await;
    }
}

impl Condition {
    /// It holds.
    pub fn met(&self) {
        self.set(None);
    }

    /// It does not hold; people read the reason in `/readyz`.
    pub fn missing(&self, reason: impl Into<String>) {
        self.set(Some(reason.into()));
    }

    fn set(&self, to: Option<String>) {
        self.readiness.0.send_if_modified(|state| {
            let before = state.conditions.insert(self.name, to.clone());
            before != Some(to)
        });
    }
}

impl State {
    fn missing(&self) -> Vec<Missing> {
        let draining = self.draining.then(|| Missing {
            name: "running",
            reason: "shutting down".to_owned(),
        });
        let conditions = self.conditions.iter().filter_map(|(name, reason)| {
            let reason = reason.clone()?;
            Some(Missing { name, reason })
        });
        draining.into_iter().chain(conditions).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn missing(readiness: &Readiness) -> Vec<String> {
        readiness.missing().iter().map(ToString::to_string).collect()
    }

    #[test]
    fn every_condition_has_to_be_met() {
        let readiness = Readiness::new();
        let (watches, configuration) = (readiness.condition("watches"), readiness.condition("configuration"));
        assert_eq!(missing(&readiness), ["configuration: not yet", "watches: not yet"]);
        watches.met();
        assert_eq!(missing(&readiness), ["configuration: not yet"]);
        configuration.met();
        assert!(missing(&readiness).is_empty());
        watches.missing("lost the API server");
        assert_eq!(missing(&readiness), ["watches: lost the API server"]);
    }

    #[test]
    fn asking_for_a_condition_again_does_not_reset_it() {
        let readiness = Readiness::new();
        readiness.condition("watches").met();
        readiness.condition("watches");
        assert!(missing(&readiness).is_empty());
    }

    #[test]
    fn draining_outweighs_met_conditions() {
        let readiness = Readiness::new();
        readiness.condition("watches").met();
        readiness.drain();
        assert_eq!(missing(&readiness), ["running: shutting down"]);
    }

    #[tokio::test]
    async fn waiting_ends_with_the_last_condition() {
        let readiness = Readiness::new();
        let condition = readiness.condition("watches");
        let waiting = tokio::spawn({
            let readiness = readiness.clone();
            async move { readiness.ready().await }
        });
        assert!(!waiting.is_finished());
        condition.met();
        waiting.await.expect("ends");
    }
}
