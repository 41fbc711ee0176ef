//! The cluster as it stands: watches that make the snapshot, and what one replica does for all.
