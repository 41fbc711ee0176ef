//! ringfence: everything that touches the world.
//!
//! Data flows one way: [`serve`] takes an AdmissionReview off the wire, the core decodes and decides it, [`answer`]
//! answers the core's questions, [`record`] tells what was decided. [`cluster`] keeps the [`Current`] snapshot in step
//! with the API server and does what one replica does for all; [`isolate`] keeps every namespace behind its policies, for
//! reviews and for the leader; [`audit`] tells what RBAC would let happen; [`reach`] tells who reaches whom, without a
//! webhook; [`certs`] is what we serve with; [`manifests`] is what we are installed by; [`cli`] is the only place that
//! prints.

pub mod answer;
pub mod audit;
pub mod certs;
pub mod cli;
pub mod cluster;
mod current;
pub mod isolate;
pub mod manifests;
pub mod reach;
pub mod record;
pub mod serve;

pub use current::Current;
