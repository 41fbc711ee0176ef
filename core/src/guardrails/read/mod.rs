//! From documents as written to compiled values: each function takes a typed value and its place, reports everything
//! wrong with it, and gives the compiled value where nothing is.

mod builtin;
mod check;
mod guardrails;
mod header;
mod labels;
mod manifest;
mod network_policy;
mod profile;
mod segment;
mod workload;

pub(super) use guardrails::{References, guardrails};
pub(super) use header::{Document, Typed, document};
pub(super) use labels::{MAX_REQUIREMENTS, generated_by};
pub(super) use profile::isolation_profile;
pub(super) use segment::{MAX_CLAUSES, segment};

use std::collections::BTreeMap;

use super::place::{Found, Place};
use crate::model::NamespaceName;

/// A namespace's name.
fn namespace(place: &Place<'_>, name: &str, found: &mut Found) -> Option<NamespaceName> {
    NamespaceName::new(name)
        .map_err(|error| {
            found.wrong(
                place,
                error.to_string(),
                "namespaces are named exactly; patterns are not read",
            );
        })
        .ok()
}

/// Refuses what is named twice; `keys` come with their places.
fn unique<'a, K: Ord>(keys: impl IntoIterator<Item = (K, Place<'a>)>, what: impl Fn(&K) -> String, found: &mut Found) {
    let mut seen: BTreeMap<K, Place<'a>> = BTreeMap::new();
    for (key, place) in keys {
        match seen.get(&key) {
            Some(first) => {
                found.wrong(
                    &place,
                    format!("{} is given twice", what(&key)),
                    format!("it stands at {} already", first.line()),
                );
            }
            None => {
                seen.insert(key, place);
            }
        }
    }
}
