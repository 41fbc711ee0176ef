//! ringfence-core: the decisions of ringfence, pure.
//!
//! Text and JSON go in, values come out; nothing here knows a Kubernetes client, a runtime or a server. Read it in the
//! order in which data flows: [`guardrails`] turns configuration text into a compiled form, [`review`] turns an
//! AdmissionReview into a [`model::Request`], [`decide`] turns that, with a [`model::Snapshot`] and the
//! [`model::Answers`] to its questions, into a [`model::Decision`]. [`labels`] is how Kubernetes matches labels, with
//! the index that makes it fast; [`netpol`] is what NetworkPolicies mean; [`model`] holds the words that all of them
//! share.

pub mod decide;
pub mod guardrails;
pub mod labels;
pub mod model;
pub mod netpol;
pub mod review;
