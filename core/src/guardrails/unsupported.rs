//! The one table of what configuration may say but ringfence does not enforce yet. A setting in it is refused, so that
//! nobody relies on it; a default in it is told by a notice. What comes to be enforced loses its row.

use super::documents::Kind;
use super::place::{Found, Place};

/// A setting that is not enforced yet.
struct NotYet {
    /// What it is called.
    feature: &'static str,
    kind: Kind,
    detect: Detect,
    /// What would not happen.
    consequence: &'static str,
}

/// How a setting is found in a document.
enum Detect {
    /// The document itself.
    Document,
    /// The document has this field under `spec`: refused.
    Field(&'static str),
    /// The boolean under `spec` is true unless said otherwise: told.
    UnlessFalse(&'static str),
}

const NOT_YET: &[NotYet] = &[
    NotYet {
        feature: "isolation",
        kind: Kind::Guardrails,
        detect: Detect::Field("isolation"),
        consequence: "no namespace would be isolated",
    },
    NotYet {
        feature: "checks",
        kind: Kind::Guardrails,
        detect: Detect::Field("checks"),
        consequence: "no policy and no placement would be checked",
    },
    NotYet {
        feature: "separationOfDuties",
        kind: Kind::Guardrails,
        detect: Detect::Field("separationOfDuties"),
        consequence: "one user could both write a segment's policies and place pods in it",
    },
    NotYet {
        feature: "delegates",
        kind: Kind::Guardrails,
        detect: Detect::Field("delegates"),
        consequence: "a deployer's own rights would be all that is asked for",
    },
    NotYet {
        feature: "workloads",
        kind: Kind::Guardrails,
        detect: Detect::Field("workloads"),
        consequence: "templates of custom kinds would not be judged, only the pods made from them",
    },
    NotYet {
        feature: "exceptions",
        kind: Kind::Guardrails,
        detect: Detect::Field("exceptions"),
        consequence: "no exception could be made",
    },
    NotYet {
        feature: "isolatedFrom",
        kind: Kind::Segment,
        detect: Detect::Field("isolatedFrom"),
        consequence: "a policy could still connect these with the members",
    },
    NotYet {
        feature: "requireIsolation",
        kind: Kind::Segment,
        detect: Detect::Field("requireIsolation"),
        consequence: "members could be left without a policy",
    },
    NotYet {
        feature: "guardAccess",
        kind: Kind::Segment,
        detect: Detect::UnlessFalse("guardAccess"),
        consequence: "exec, attach, port-forward and proxies into its pods ask for no permission yet",
    },
    NotYet {
        feature: "IsolationProfile",
        kind: Kind::IsolationProfile,
        detect: Detect::Document,
        consequence: "its policies would not be applied",
    },
];

/// Refuses every setting of a document that is not enforced yet.
pub(super) fn refuse(kind: Kind, document: &Place<'_>, found: &mut Found) {
    for row in NOT_YET.iter().filter(|row| row.kind == kind) {
        let (place, remedy) = match row.detect {
            Detect::Document => (document.field("kind"), "remove this document for now".to_owned()),
            Detect::Field(field) => (document.field("spec").key(field), format!("remove {field} for now")),
            Detect::UnlessFalse(_) => continue,
        };
        if place.node().is_some() {
            let message = format!("{} is not yet supported: {}", row.feature, row.consequence);
            found.wrong(&place, message, remedy);
        }
    }
}

/// Tells of every default that is not enforced yet, once for all documents of a kind; each is a name and its document.
pub(super) fn tell(kind: Kind, documents: &[(&str, &Place<'_>)], found: &mut Found) {
    for row in NOT_YET.iter().filter(|row| row.kind == kind) {
        let Detect::UnlessFalse(field) = row.detect else {
            continue;
        };
        let is_false = |place: &Place<'_>| place.field("spec").field(field).is_false();
        let names: Vec<&str> = documents
            .iter()
            .filter(|(_, place)| !is_false(place))
            .map(|(name, _)| *name)
            .collect();
        let whose = match names.as_slice() {
            [] => continue,
            [name] => format!("segment {name}"),
            [first, .., last] if names.len() == 2 => format!("segments {first} and {last}"),
            [first, second, rest @ ..] => format!("segments {first}, {second} and {} more", rest.len()),
        };
        found.notice(format!(
            "{} of {whose} is not yet supported: {}",
            row.feature, row.consequence
        ));
    }
}
