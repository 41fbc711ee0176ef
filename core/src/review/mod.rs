//! AdmissionReview in and out: a borrowed partial decode, the table of write paths that turns a request into placements,
//! and the response.

mod webhook;

pub use webhook::{Failure, Webhook};
