//! The one table of what configuration may say but ringfence does not enforce yet. A setting in it is refused, so that
//! nobody relies on it. What comes to be enforced loses its row.

use super::documents::Kind;
use super::place::{Found, Place};

/// A setting that is not enforced yet.
#[derive(Debug)]
pub struct NotYet {
    /// What it is called.
    pub feature: &'static str,
    /// The kind of document that it stands in.
    pub kind: Kind,
    detect: Detect,
    /// What would not happen.
    pub consequence: &'static str,
}

/// How a setting is found in a document.
#[derive(Debug)]
enum Detect {
    /// The document has this field under `spec`: refused.
    Field(&'static str),
    /// The list under `spec` has an item with one of these as its `name`: refused.
    Items(&'static str, &'static [&'static str]),
}

const NOT_YET: &[NotYet] = &[
    NotYet {
        feature: "the checks SelectsNothing and UnknownPort",
        kind: Kind::Guardrails,
        detect: Detect::Items("checks", &["SelectsNothing", "UnknownPort"]),
        consequence: "no policy would be checked by them",
    },
    NotYet {
        feature: "exceptions",
        kind: Kind::Guardrails,
        detect: Detect::Field("exceptions"),
        consequence: "no exception could be made",
    },
];

/// Every setting that is not enforced yet, for documentation.
pub fn not_yet() -> impl Iterator<Item = &'static NotYet> {
    NOT_YET.iter()
}

/// Refuses every setting of a document that is not enforced yet.
pub(super) fn refuse(kind: Kind, document: &Place<'_>, found: &mut Found) {
    for row in NOT_YET.iter().filter(|row| row.kind == kind) {
        let places = match row.detect {
            Detect::Field(field) => {
                vec![(document.field("spec").key(field), format!("remove {field} for now"))]
            }
            Detect::Items(field, refused) => {
                let list = document.field("spec").field(field);
                let names = (0..list.items()).map(|position| list.item(position).field("name"));
                names
                    .filter(|name| refused.iter().any(|word| name.says(word)))
                    .map(|name| (name, "remove it for now".to_owned()))
                    .collect()
            }
        };
        for (place, remedy) in places {
            if place.node().is_some() {
                let message = format!("{} is not yet supported: {}", row.feature, row.consequence);
                found.wrong(&place, message, remedy);
            }
        }
    }
}
