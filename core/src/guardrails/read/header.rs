//! What a document is: its apiVersion, kind and name, read before anything else, so that a document with mistakes in its
//! body still counts where others refer to it.

use serde::de::DeserializeOwned;

use crate::guardrails::documents::{self, API_VERSION, GuardrailsSpec, IsolationProfileSpec, Kind, SegmentSpec};
use crate::guardrails::place::{Found, Place};
use crate::guardrails::shape;
use crate::guardrails::yaml::Value;

/// Kinds of our group that are objects of the cluster rather than configuration.
const OBJECTS: [(&str, &str); 2] = [
    (
        "Exception",
        "create it as an object of the cluster instead: an exception is never part of the configuration",
    ),
    (
        "PolicyCheck",
        "configure checks under `checks` of the Guardrails: these objects are published by ringfence",
    ),
];

/// A document as far as it could be read.
#[derive(Debug)]
pub(crate) struct Document<'a> {
    pub(crate) place: Place<'a>,
    pub(crate) kind: Kind,
    /// `metadata.name`, none where it is missing.
    pub(crate) name: Option<&'a str>,
    /// None where its shape is wrong.
    pub(crate) typed: Option<Typed>,
}

/// A document of the right shape.
#[derive(Debug)]
pub(crate) enum Typed {
    Guardrails(Box<GuardrailsSpec>),
    Segment(Box<SegmentSpec>),
    IsolationProfile(Box<IsolationProfileSpec>),
}

/// Reads a document's header and checks its shape. None where its kind is not known.
pub(crate) fn document<'a>(place: Place<'a>, found: &mut Found) -> Option<Document<'a>> {
    let node = place.node()?;
    if !matches!(node.value, Value::Mapping(_)) {
        found.wrong(
            &place,
            "expected a document",
            format!("begin it with `apiVersion: {API_VERSION}` and `kind:`"),
        );
        return None;
    }
    let kind = kind(&place, found)?;
    let name = node
        .get("metadata")
        .and_then(|metadata| metadata.get("name"))
        .and_then(|name| name.text());
    let problems = found.problems.len();
    shape::of(kind).check(&place, found);
    let typed = if found.problems.len() == problems {
        typed(kind, &place, found)
    } else {
        None
    };
    Some(Document {
        place,
        kind,
        name,
        typed,
    })
}

fn kind(place: &Place<'_>, found: &mut Found) -> Option<Kind> {
    let words = Kind::ALL.map(|kind| kind.as_str().to_owned());
    let at = place.field("kind");
    let Some(word) = at.node().and_then(|node| node.text()) else {
        found.wrong(
            &at,
            "missing kind",
            format!("write `kind:` with one of: {}", words.join(", ")),
        );
        return None;
    };
    let version = place.field("apiVersion");
    match version.node().and_then(|node| node.text()) {
        Some(API_VERSION) => {}
        Some(other) if !other.starts_with("ringfence.dev/") => {
            found.wrong(
                &version,
                format!("{word} of {other} is not configuration of ringfence"),
                format!("keep only documents of {API_VERSION} here"),
            );
            return None;
        }
        // The shape of the document says the rest.
        _ => {}
    }
    let kind = Kind::from_word(word);
    if kind.is_none() {
        let advice = OBJECTS.iter().find(|(object, _)| *object == word).map_or_else(
            || shape::suggestion(word, &words, &format!("use one of: {}", words.join(", "))),
            |(_, advice)| (*advice).to_owned(),
        );
        found.wrong(&at, format!("unknown kind {word:?}"), advice);
    }
    kind
}

fn typed(kind: Kind, place: &Place<'_>, found: &mut Found) -> Option<Typed> {
    match kind {
        Kind::Guardrails => spec(place, found).map(Typed::Guardrails),
        Kind::Segment => spec(place, found).map(Typed::Segment),
        Kind::IsolationProfile => spec(place, found).map(Typed::IsolationProfile),
    }
}

/// The spec of a document whose shape has been checked.
fn spec<Spec: DeserializeOwned>(place: &Place<'_>, found: &mut Found) -> Option<Box<Spec>> {
    let json = place.node()?.to_json();
    serde_json::from_value::<documents::Document<Spec>>(json)
        .map_err(|error| found.wrong(place, error.to_string(), "compare the document with `ringfence schema`"))
        .ok()
        .map(|document| Box::new(document.spec))
}
