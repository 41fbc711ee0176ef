//! How many derived segments one write is asked about. Each question is a call to the API server, over connections that all
//! reviews share, and where nothing is enforced whoever may edit opts policies in: so it is bounded here, away from who
//! decides. What the cluster let reach beyond its namespace, and what is configured, is asked whatever it comes to.

use crate::guardrails::Segment;
use crate::model::{Mode, Scope};

/// The most that are not enforced and are asked all the same, to be recorded.
pub(super) const MOST_UNENFORCED: usize = 8;

/// The most of one namespace that its own pods are asked for. A write of more is refused.
pub(super) const MOST_OF_NAMESPACE: usize = 32;

/// What was counted so far.
#[derive(Debug, Default)]
pub(super) struct Crowd {
    unenforced: usize,
    of_namespace: usize,
}

/// Whether a segment is asked about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Turn {
    /// It is.
    Ask,
    /// Too many that are not enforced were before it.
    Leave,
    /// Too many of the namespace were before it.
    Refuse,
}

impl Crowd {
    /// The turn of the next segment that a write in this namespace would be asked about, where it comes to that mode.
    pub(super) fn turn(&mut self, segment: &Segment, namespace: &str, mode: Mode) -> Turn {
        if !segment.is_derived() {
            return Turn::Ask;
        }
        if mode < Mode::Enforce {
            self.unenforced += 1;
            return if self.unenforced > MOST_UNENFORCED {
                Turn::Leave
            } else {
                Turn::Ask
            };
        }
        let of_namespace = matches!(&segment.consent, Scope::Namespace(name) if name.as_str() == namespace);
        self.of_namespace += usize::from(of_namespace);
        if of_namespace && self.of_namespace > MOST_OF_NAMESPACE {
            return Turn::Refuse;
        }
        Turn::Ask
    }
}
