//! Guardrails: from configuration text ([`compile`]) through document types to the compiled form ([`Guardrails`]).

mod compiled;

pub use compiled::{
    Clause, ClauseId, EnforcedNamespaces, Guardrails, NamespaceSet, Revision, Rollout, Segment, SegmentId, Side,
};
