//! [`Current`]: the snapshot in force, swapped whole. Readers never wait; none until configuration and watches are there.

use std::sync::Arc;

use arc_swap::ArcSwapOption;
use ringfence_core::model::Snapshot;

/// The snapshot in force, shared by whoever decides (readers) and whoever watches (the one writer).
#[derive(Debug, Clone, Default)]
pub struct Current(Arc<ArcSwapOption<Snapshot>>);

impl Current {
    /// Nothing in force yet: not ready.
    pub fn empty() -> Self {
        Self::default()
    }

    /// A fixed snapshot.
    pub fn fixed(snapshot: Snapshot) -> Self {
        let current = Self::default();
        current.replace(snapshot);
        current
    }

    /// The snapshot in force, none while not ready.
    pub fn load(&self) -> Option<Arc<Snapshot>> {
        self.0.load_full()
    }

    /// Swaps it whole.
    pub fn replace(&self, snapshot: Snapshot) {
        self.0.store(Some(Arc::new(snapshot)));
    }
}
