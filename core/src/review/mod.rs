//! AdmissionReview in and out: a borrowed partial decode, the table of write paths that turns a request into placements,
//! and the response.

mod conditions;
mod decode;
mod means;
mod object;
mod owned;
mod paths;
mod policy;
mod respond;
mod running;
mod same;
mod spec;
mod status;
mod target;
mod text;
mod webhook;
mod written;

pub use conditions::{Condition, template_changes, unread_policy_changes};
pub use decode::{CustomKinds, Undecodable, decode};
pub use object::{HARMLESS_TEMPLATE_ANNOTATIONS, ROLLBACK_ANNOTATION};
pub use owned::owner_of;
pub use paths::{Extent, Shape, WRITE_PATHS, WritePath};
pub use respond::{respond, respond_invalid, respond_patched};
pub use running::running_of;
pub use spec::Images;
pub use webhook::{Failure, Webhook};

#[cfg(test)]
mod tests;
