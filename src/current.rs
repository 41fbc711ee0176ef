//! [`Current`]: the snapshot in force, swapped whole. Readers never wait; none until configuration and watches are there.

use std::sync::Arc;

use arc_swap::ArcSwapOption;
use ringfence_core::model::Snapshot;
use tokio::sync::watch;

/// The snapshot in force, shared by whoever decides (readers) and whoever watches (the one writer).
#[derive(Debug, Clone, Default)]
pub struct Current {
    snapshot: Arc<ArcSwapOption<Snapshot>>,
    /// How often it was swapped.
    swaps: watch::Sender<u64>,
}

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
        self.snapshot.load_full()
    }

    /// Swaps it whole.
    pub fn replace(&self, snapshot: Snapshot) {
        self.snapshot.store(Some(Arc::new(snapshot)));
        self.swaps.send_modify(|swaps| *swaps = swaps.wrapping_add(1));
    }

    /// Changes whenever the snapshot was swapped.
    pub(crate) fn changes(&self) -> watch::Receiver<u64> {
        self.swaps.subscribe()
    }
}
