//! Guardrails: from configuration text ([`compile`]) through document types ([`documents`]) to the compiled form
//! ([`Guardrails`]). What is wrong comes back as [`Problems`], each with its place; [`schema()`] describes the documents
//! to editors and to the API server.

mod checks;
mod compile;
mod compiled;
mod defaulted;
mod derived;
pub mod documents;
mod file;
mod isolation;
mod metadata;
mod place;
mod policy_kind;
mod problem;
mod read;
mod schema;
mod shape;
mod unread;
mod unsupported;
mod written;
mod yaml;

pub use checks::CheckOptions;
pub use compile::{Compiled, compile};
pub use compiled::{
    Clause, ClauseId, Delegate, EnforcedNamespaces, Guardrails, NamespaceSet, Revision, Rollout, SYSTEM_NAMESPACES,
    Segment, SegmentId, SeparationOfDuties, Side, Workload,
};
pub use derived::{Derived, LeftOut, PROTECTED_LABEL, is_protected};
pub(crate) use derived::{is_injected, reaching_beyond};
pub use documents::{CheckName, ExistingNamespaces};
pub use file::{ConfigMap, FileContents, is_source_key};
pub use isolation::{
    Chosen, Coverage, DESCRIPTION_ANNOTATION, ISOLATION_LABEL, InjectedManifest, InjectedPolicy, Isolation, MANAGED_BY,
    Ours, PROFILE_LABEL, Profile, RESERVED_PREFIX, SETTLE_GATE,
};
pub use metadata::Endpoint;
pub use policy_kind::PolicyKind;
pub use problem::{Notice, Problem, Problems, Source};
pub use schema::{plain_schema, schema};
pub use unsupported::{NotYet, not_yet};

#[cfg(test)]
mod tests;
