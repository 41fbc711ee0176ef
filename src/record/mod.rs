//! Records: JSON lines, audit annotations and metrics of what was decided. A [`Recorder`] takes every decision: it counts
//! it, gives its audit annotations, and hands what is not a plain allow to its [`Sink`]s, the first of a kind at once and
//! what repeats it within a minute as one.

mod annotations;
mod document;
mod lines;
mod metrics;
mod recorder;
mod repetitions;
mod sink;

pub use document::{DecisionRecord, FindingRecord, PermissionRecord, ResourceRecord, SCHEMA};
pub use lines::JsonLines;
pub use metrics::Metrics;
pub use recorder::{DryRuns, Recorder, Reviewed};
pub use sink::{Collected, Sink, line};

#[cfg(test)]
mod tests;
