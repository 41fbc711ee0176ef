//! AdmissionReview in and out: a borrowed partial decode, the table of write paths that turns a request into placements,
//! and the response.

mod decode;
mod object;
mod paths;
mod respond;
mod text;
mod webhook;

pub use decode::{Undecodable, decode};
pub use object::{HARMLESS_TEMPLATE_ANNOTATIONS, Shape};
pub use paths::{Condition, WRITE_PATHS, WritePath};
pub use respond::{respond, respond_invalid};
pub use webhook::{Failure, Webhook};

#[cfg(test)]
mod tests;
