//! The one table of what configuration may say but ringfence does not enforce yet. A setting in it is refused, so that
//! nobody relies on it. What comes to be enforced loses its row.

use super::documents::Kind;
use super::place::{Found, Place};

/// A setting that is not enforced yet.
#[derive(Debug)]
pub struct NotYet {
    /// The field under `spec`.
    pub feature: &'static str,
    /// The kind of document that it stands in.
    pub kind: Kind,
    /// What would not happen.
    pub consequence: &'static str,
}

const NOT_YET: &[NotYet] = &[NotYet {
    feature: "exceptions",
    kind: Kind::Guardrails,
    consequence: "no exception could be made",
}];

/// Every setting that is not enforced yet, for documentation.
pub fn not_yet() -> impl Iterator<Item = &'static NotYet> {
    NOT_YET.iter()
}

/// Refuses every setting of a document that is not enforced yet.
pub(super) fn refuse(kind: Kind, document: &Place<'_>, found: &mut Found) {
    for row in NOT_YET.iter().filter(|row| row.kind == kind) {
        let place = document.field("spec").key(row.feature);
        if place.node().is_some() {
            let message = format!("{} is not yet supported: {}", row.feature, row.consequence);
            found.wrong(&place, message, format!("remove {} for now", row.feature));
        }
    }
}
