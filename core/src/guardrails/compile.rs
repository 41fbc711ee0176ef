//! [`compile`]: configuration text to [`Guardrails`], or to everything that is wrong with it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use sha2::{Digest, Sha256};

use super::compiled::{Clause, ClauseId, Guardrails, Revision, Segment, SegmentId, Side};
use super::documents::Kind;
use super::isolation::{InjectedManifest, Profile};
use super::place::{Found, Place, Text};
use super::policy_kind::PolicyKind;
use super::problem::{Notice, Problem, Problems, Source};
use super::read::{self, Document, References, Typed};
use super::unsupported;
use super::yaml::{self, Node};
use crate::labels::ClauseIndex;
use crate::model::Scope;

/// A configuration that can come into force.
#[derive(Debug)]
pub struct Compiled {
    /// What holds.
    pub guardrails: Guardrails,
    /// What should be known about it.
    pub notices: Vec<Notice>,
}

/// Compiles configuration: the keys of the ConfigMap, or files, in any order. None, or only empty ones, give the
/// defaults: Audit everywhere, nothing protected. Never panics, whatever the text.
pub fn compile(sources: &[Source]) -> Result<Compiled, Problems> {
    let mut sources: Vec<&Source> = sources.iter().collect();
    sources.sort_by(|one, other| (&one.name, &one.text).cmp(&(&other.name, &other.text)));
    let texts: Vec<Text> = sources
        .iter()
        .map(|source| Text {
            name: source.name.clone(),
            text: Arc::from(source.text.as_str()),
        })
        .collect();
    let mut found = Found::default();
    let nodes: Vec<(&Text, Node)> = texts
        .iter()
        .flat_map(|text| nodes(text, &mut found).into_iter().map(move |node| (text, node)))
        .collect();
    let unreadable = !found.problems.is_empty();
    let documents: Vec<Document<'_>> = nodes
        .iter()
        .filter_map(|(text, node)| read::document(Place::document(text, node), &mut found))
        .collect();
    let complete = !unreadable && documents.len() == nodes.len();
    let guardrails = assemble(&documents, complete, &mut found);
    if found.problems.is_empty() {
        let guardrails = Guardrails {
            revision: revision(&sources),
            ..guardrails
        };
        Ok(Compiled {
            guardrails,
            notices: found.notices,
        })
    } else {
        found.problems.sort_by_key(Problem::order);
        Err(Problems(found.problems))
    }
}

fn nodes(text: &Text, found: &mut Found) -> Vec<Node> {
    yaml::documents(&text.text).unwrap_or_else(|unreadable| {
        let advice = "repair the YAML: nothing else in this source could be read";
        found.problems.push(Problem::new(
            &text.name,
            &text.text,
            unreadable.mark,
            String::new(),
            unreadable.message,
            advice,
        ));
        Vec::new()
    })
}

/// Puts the documents together; `complete` says that no document is missing from them.
fn assemble(documents: &[Document<'_>], complete: bool, found: &mut Found) -> Guardrails {
    unique_names(documents, found);
    one_guardrails(documents, complete, found);
    let names = |kind: Kind| {
        documents
            .iter()
            .filter(move |document| document.kind == kind)
            .filter_map(|document| document.name)
    };
    let references = References {
        profiles: names(Kind::IsolationProfile).map(str::to_owned).collect(),
    };
    let mut guardrails = Guardrails::default();
    for document in documents {
        unsupported::refuse(document.kind, &document.place, found);
        if let (Some(Typed::Guardrails(spec)), Some(name)) = (&document.typed, document.name) {
            let settings = read::guardrails(&document.place, name, spec, &references, found);
            guardrails.mode = settings.mode;
            guardrails.rollout = settings.rollout;
            guardrails.system_namespaces = settings.system_namespaces;
            guardrails.checks = settings.checks;
            guardrails.check_options = settings.check_options;
            guardrails.separation_of_duties = settings.separation_of_duties;
            guardrails.delegates = settings.delegates;
            guardrails.workloads = settings.workloads;
            guardrails.isolation = settings.isolation;
        }
    }
    let mut segments = Vec::new();
    for document in documents {
        match (&document.typed, document.name) {
            (Some(Typed::Segment(spec)), Some(name)) => {
                segments.extend(read::segment(&document.place, name, spec, guardrails.mode, found));
            }
            (Some(Typed::IsolationProfile(spec)), Some(name)) => {
                let profile = read::isolation_profile(&document.place, name, spec, found).map(Arc::new);
                let named = |profile: Arc<Profile>| (profile.name.clone(), profile);
                guardrails.profiles.extend(profile.map(named));
            }
            _ => {}
        }
    }
    let kinds = guardrails.profiles.values().flat_map(|profile| &profile.manifests);
    let kinds: BTreeSet<PolicyKind> = kinds.map(InjectedManifest::policy_kind).collect();
    guardrails.policy_kinds = kinds.into_iter().collect();
    if guardrails.isolation.is_none() && !guardrails.profiles.is_empty() {
        found.notice(
            "no namespace is isolated: there are isolation profiles, but the Guardrails have no `spec.isolation`",
        );
    }
    segments.sort_by(|one, other| one.name.cmp(&other.name));
    guardrails.with_segments(segments)
}

fn unique_names(documents: &[Document<'_>], found: &mut Found) {
    let mut seen: BTreeMap<(Kind, &str), Place<'_>> = BTreeMap::new();
    for document in documents {
        let (Some(name), kind) = (document.name, document.kind) else {
            continue;
        };
        let place = document.place.field("metadata").field("name");
        if let Some(first) = seen.get(&(kind, name)) {
            let message = format!("a second {} is called {name:?}", kind.as_str());
            found.wrong(
                &place,
                message,
                format!("the first stands at {}; choose another name", first.line()),
            );
        } else {
            seen.insert((kind, name), place);
        }
    }
}

fn one_guardrails(documents: &[Document<'_>], complete: bool, found: &mut Found) {
    let mut all = documents.iter().filter(|document| document.kind == Kind::Guardrails);
    let Some(first) = all.next() else {
        if complete && !documents.is_empty() {
            found.problems.push(Problem::everywhere(
                "documents without a Guardrails document: nothing says how strictly they hold",
                "add one document of `kind: Guardrails` with `spec: {mode: Audit}`",
            ));
        }
        return;
    };
    for other in all {
        let message = "a second Guardrails document";
        found.wrong(
            &other.place.field("kind"),
            message,
            format!("the first stands at {}; keep one", first.place.line()),
        );
    }
}

/// The first 12 hex digits of a SHA-256 over the sorted sources, each with its length.
fn revision(sources: &[&Source]) -> Revision {
    let mut digest = Sha256::new();
    for source in sources {
        for part in [&source.name, &source.text] {
            digest.update((part.len() as u64).to_be_bytes());
            digest.update(part.as_bytes());
        }
    }
    let bytes = digest.finalize();
    let first = bytes
        .iter()
        .take(6)
        .fold(0_u64, |number, byte| number << 8 | u64::from(*byte));
    Revision(format!("{first:012x}"))
}

impl Guardrails {
    /// With these segments, sorted by name, their index and their consents.
    fn with_segments(self, segments: Vec<Segment>) -> Self {
        let clauses: Vec<(ClauseId, &Clause)> = identified(0, &segments).collect();
        let selecting = clauses
            .iter()
            .filter(|(_, clause)| clause.namespaces.depends_on_labels())
            .map(|(id, _)| *id)
            .collect();
        let index = ClauseIndex::new(&clauses);
        let mut consents: BTreeMap<_, Vec<SegmentId>> = BTreeMap::new();
        for (id, segment) in (0..).map(SegmentId).zip(&segments) {
            if let Scope::Namespace(namespace) = &segment.consent {
                consents.entry(namespace.clone()).or_default().push(id);
            }
        }
        Self {
            segments,
            index,
            consents,
            selecting,
            ..self
        }
    }
}

/// The clauses of segments, the first of which has this id.
pub(super) fn identified(first: u32, segments: &[Segment]) -> impl Iterator<Item = (ClauseId, &Clause)> {
    (first..).zip(segments).flat_map(|(id, segment)| {
        let sides = [(Side::Member, &segment.members), (Side::Client, &segment.clients)];
        sides.into_iter().flat_map(move |(side, list)| {
            (0..).zip(list).map(move |(position, clause)| {
                let id = ClauseId {
                    segment: SegmentId(id),
                    side,
                    position,
                };
                (id, clause)
            })
        })
    })
}
