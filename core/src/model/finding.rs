//! [`Finding`]: one rule's result for one request, with the permission that would settle it.

use serde::Serialize;

use super::{Mode, Permission, RetryAfter, SegmentName};

/// The name of a rule, as in RULES and in docs/rules.md.
pub type RuleName = &'static str;

/// One rule's result for one request. A static reason to group by, a detail to read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// Which rule.
    pub rule: RuleName,
    /// What it found: static, to group by.
    pub reason: Reason,
    /// What happens where it refuses, after the rollout's cap.
    pub mode: Mode,
    /// The segment it is about, if it is about one.
    pub segment: Option<SegmentName>,
    /// The clause that matched, e.g. `clients[0]`.
    pub clause: Option<String>,
    /// The permission that would settle it.
    pub permission: Option<Permission>,
    /// Who lacks it, where that is not the requester: a delegate's second reviewer.
    pub reviewer: Option<String>,
    /// What happened, e.g. `may not connect to segment payments-db`: reads on after the subject.
    pub what: String,
    /// Why the rule looked, e.g. `label app=hollowapp matches clients[0] of payments-db (...)`.
    pub why: String,
}

/// The static reason of a finding.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
pub enum Reason {
    /// The controller that made this made it of a template that nobody was asked for: it stood before the segment was
    /// enforced. Let in, not to break what runs.
    UnjudgedTemplate,
    /// The node that this is on says that it runs there. Let in: refusing would only hide what runs.
    Mirrored,
    /// The permission was asked and is held.
    Permitted,
    /// A check refuses it, but what it stands in was no better before. Let in and said.
    NoWorse,
    /// The controller that made this was judged when its owner's template was written.
    Inherited,
    /// The permission was asked and is not held.
    LacksPermission,
    /// No permission settles it: there is another way, which the finding names.
    Refused,
    /// The policies of the namespace do not stand.
    NotIsolated,
    /// The policies of the namespace are younger than they are to be, for so long still.
    NotSettled {
        /// How long.
        seconds: u32,
    },
    /// What had to be known could not be learned (no answer, no read, no decode).
    Unanswered,
}

impl Reason {
    /// Whether the rule refuses for this reason.
    pub fn refuses(self) -> bool {
        match self {
            Self::UnjudgedTemplate | Self::Mirrored | Self::Permitted | Self::NoWorse | Self::Inherited => false,
            Self::LacksPermission | Self::Refused | Self::NotIsolated | Self::NotSettled { .. } | Self::Unanswered => {
                true
            }
        }
    }

    /// As it stands in records and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::UnjudgedTemplate => "UnjudgedTemplate",
            Self::Mirrored => "Mirrored",
            Self::Permitted => "Permitted",
            Self::NoWorse => "NoWorse",
            Self::Inherited => "Inherited",
            Self::LacksPermission => "LacksPermission",
            Self::Refused => "Refused",
            Self::NotIsolated => "NotIsolated",
            Self::NotSettled { .. } => "NotSettled",
            Self::Unanswered => "Unanswered",
        }
    }

    /// When to try again, where it passes by itself.
    pub fn retry_after(self) -> Option<RetryAfter> {
        match self {
            Self::Unanswered => Some(RetryAfter(1)),
            Self::NotSettled { seconds } => Some(RetryAfter(seconds)),
            Self::UnjudgedTemplate
            | Self::Mirrored
            | Self::Permitted
            | Self::NoWorse
            | Self::Inherited
            | Self::LacksPermission
            | Self::Refused
            | Self::NotIsolated => None,
        }
    }
}
