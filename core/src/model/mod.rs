//! The words that every part of ringfence shares, one file each: what was asked ([`Request`], [`Placement`],
//! [`Identity`]), what has to be known to answer it ([`Snapshot`], [`Question`], [`Answers`]), what is found
//! ([`Finding`], [`Permission`]) and what is answered ([`Decision`]).

mod decision;
mod finding;
mod identity;
mod isolated;
mod mode;
mod name;
mod permission;
mod placement;
mod policy;
mod question;
mod questions;
mod request;
mod running;
mod since;
mod snapshot;
mod timestamp;

pub use decision::{Decision, RetryAfter, Verdict};
pub use finding::{Finding, Reason, RuleName};
pub use identity::{Extra, Identity, ServiceAccount};
pub use isolated::{Isolate, Isolated};
pub use mode::Mode;
pub use name::{
    InvalidName, NamespaceName, ProfileName, RESERVED_FOR_DERIVED, SegmentName, is_dns_label, is_dns_subdomain,
};
pub use permission::{GROUP, NETWORKING, Permission, Scope, Verb};
pub use placement::{ControllerReference, Controllers, Placement, PlacementKind, PodSpecText, Runs};
pub use policy::{PolicyChange, PolicySpecText, PolicyText, PolicyWrite};
pub use question::{Answer, Answers, Asked, ObjectReference, OwnedTemplate, Owner, Question, ReachedPod, Who};
pub(crate) use questions::Questions;
pub use request::{Action, Operation, Request, Subject, Target};
pub use running::Running;
pub use since::{RolloutSince, Since, fingerprint};
pub use snapshot::{Namespace, Namespaces, Policies, Snapshot};
pub use timestamp::{InvalidTimestamp, Timestamp};
