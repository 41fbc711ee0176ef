//! The rows, by family.

mod bindings;
mod connections;
mod host_access;
pub(crate) mod identities;
mod injected;
mod managed;
mod namespaces;
mod pods;
mod provenance;
mod revisions;
mod statuses;
mod templates;
pub(crate) mod unread;

use super::attack::Attack;

/// Every attack.
pub(crate) fn all() -> Vec<Attack> {
    [
        pods::rows(),
        statuses::rows(),
        bindings::rows(),
        provenance::rows(),
        identities::rows(),
        templates::rows(),
        revisions::rows(),
        namespaces::rows(),
        injected::rows(),
        managed::rows(),
        unread::rows(),
        connections::rows(),
        host_access::rows(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// What the answers say.
pub(crate) const CONNECT: &str = "may not connect to segment vault";
pub(crate) const JOIN: &str = "may not join segment vault";
pub(crate) const LEAVE: &str = "may not leave segment vault";
pub(crate) const ENTER: &str = "may not be entered (segment vault)";
