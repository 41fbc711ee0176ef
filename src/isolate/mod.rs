//! Isolation: the policies of a profile stand in every namespace under it before its first pod, and stay so. [`wanted`] is
//! what should stand, [`content`] what does and how the two compare, [`writer`] makes the one of the other.
//!
//! Two do that by the same rules: [`Synchronous`] while the review of a pod waits, on live reads, so that no pod ever exists
//! without its policies; and [`Controller`], on the replica that leads, for all namespaces: it converges, repairs and takes
//! away, by watches. [`survey`] is how it stands with each namespace, [`report`] what that comes to, [`status`] the same for people.

mod content;
mod controller;
mod failure;
mod kinds;
mod metrics;
mod report;
mod settle;
mod status;
mod survey;
mod synchronous;
mod wanted;
mod writer;

pub use self::metrics::Metrics;

pub(crate) use self::controller::Controller;
pub(crate) use self::failure::Failure;
pub(crate) use self::report::{ProfileReport, Report};
pub(crate) use self::settle::GateKeeper;
pub(crate) use self::status::{NamespaceStatus, Status, read as read_status};
pub(crate) use self::synchronous::Synchronous;
