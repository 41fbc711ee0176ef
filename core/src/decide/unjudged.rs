//! Templates that nobody was asked for, because they stood before their segment was enforced. Told by time: when what a
//! controller makes pods from was written, against since when the segment is enforced there. Where Kubernetes
//! keeps an object for each template (ReplicaSets, ControllerRevisions, Jobs), its creation tells, which nobody can write
//! and no later change of its maker moves; and every maker above it must have been written since too, for a ReplicaSet may
//! be made anew of a Deployment that stood. A time that is not known, or as early as the segment's, counts as before.

use super::context::{Context, Known};
use super::provenance::{self, Maker};
use crate::guardrails::{ClauseId, SegmentId};
use crate::labels::LabelSet;
use crate::model::{Mode, NamespaceName, Owner, Snapshot, Timestamp};

/// The resources of which Kubernetes makes one object for each template, and which nobody rewrites.
const MADE_FOR_ONE_TEMPLATE: &[&str] = &["replicasets", "jobs", "controllerrevisions"];

/// How many seconds after a segment is enforced it may still not be so everywhere: other replicas follow within a second,
/// and times are in whole seconds.
const LAG: i64 = 2;

/// How many makers above an owner are looked at: a Deployment that a custom kind made is two above a pod's ReplicaSet. As
/// many as fit into the rounds of a decision.
const MAKERS_ABOVE: usize = 2;

/// When the template that an owner of this resource makes pods from was written, as far as the owner itself tells.
pub fn written(resource: &str, owner: &Owner) -> Option<Timestamp> {
    if MADE_FOR_ONE_TEMPLATE.contains(&resource) {
        owner.created
    } else {
        owner.written
    }
}

/// The segments, each once, that cover pods of these labels in a namespace, by its labels as last seen, and are enforced
/// there only since a template of this time was written.
pub fn unjudged(
    snapshot: &Snapshot,
    namespace: &NamespaceName,
    labels: &impl LabelSet,
    written: Option<Timestamp>,
) -> Vec<SegmentId> {
    let guardrails = &snapshot.guardrails;
    let known = snapshot.namespaces.get(namespace);
    let unlabelled = Vec::new();
    let namespace_labels = known.map_or(&unlabelled, |known| &known.labels);
    let in_namespace = |clause: &ClauseId| {
        let namespaces = &guardrails.clause(*clause).namespaces;
        namespaces.contains(namespace.as_str(), namespace_labels)
    };
    let enforced = |clause: &ClauseId| guardrails.segment_mode(clause.segment, namespace.as_str()) == Mode::Enforce;
    let candidates = guardrails.index.candidates(namespace.as_str(), labels).into_iter();
    let mut segments: Vec<SegmentId> = candidates
        .filter(|clause| in_namespace(clause) && enforced(clause))
        // Nobody keeps since when a policy is opted in.
        .filter(|clause| !guardrails.segment(clause.segment).is_derived())
        .filter(|clause| stood_before(written, since(snapshot, *clause, namespace.as_str())))
        .map(|clause| clause.segment)
        .collect();
    // Sorted already.
    segments.dedup();
    segments
}

/// Since when a clause is enforced in a namespace; none where that is not known yet.
fn since(snapshot: &Snapshot, id: ClauseId, namespace: &str) -> Option<Timestamp> {
    let segment = snapshot.guardrails.segment(id.segment);
    let clause = segment.clause(id.side, id.position);
    snapshot.since.clause(segment, id.side, clause, namespace)
}

fn stood_before(written: Option<Timestamp>, since: Option<Timestamp>) -> bool {
    match (written, since) {
        (Some(written), Some(since)) => written <= since.after(LAG),
        (None, _) | (_, None) => true,
    }
}

/// The owners whose templates an object was made from, the nearest first; with when each was written.
#[derive(Debug, Clone)]
pub(super) struct Lineage<'c> {
    /// When the templates of the nearest owners were written.
    pub(super) written: Vec<Option<Timestamp>>,
    /// The resource of the last of them, and it.
    pub(super) last: (&'c str, &'c Owner),
}

/// What became of looking whether a template was judged.
pub(super) enum Judged {
    /// It was, or nothing shows that it was not.
    Yes,
    /// It stood before: the text says what is known.
    No(String),
    /// A maker above has been asked for.
    Pending,
}

/// Whether the templates of this lineage were written since all these clauses are enforced.
pub(super) fn judged(
    context: &Context<'_, '_>,
    lineage: &Lineage<'_>,
    clauses: impl Iterator<Item = ClauseId>,
) -> Judged {
    let namespace = context.request.subject.namespace.as_ref();
    let since: Option<Vec<Timestamp>> = clauses
        .map(|clause| since(context.snapshot, clause, namespace))
        .collect();
    let since = since.and_then(|times| times.into_iter().max());
    let before =
        |written: Option<Timestamp>| stood_before(written, since).then(|| Judged::No(in_words(written, since)));
    if let Some(no) = lineage.written.iter().copied().find_map(before) {
        return no;
    }
    let (mut resource, mut owner) = lineage.last;
    for _ in 0..MAKERS_ABOVE {
        let (above, found) = match made_by(context, resource, owner) {
            Known::Yes(Some(made_by)) => made_by,
            // Whatever cannot be told by itself is no finding.
            Known::Yes(None) | Known::Failed(_) => break,
            Known::Pending => return Judged::Pending,
        };
        if let Some(no) = before(written(above, found)) {
            return no;
        }
        (resource, owner) = (above, found);
    }
    Judged::Yes
}

fn in_words(written: Option<Timestamp>, since: Option<Timestamp>) -> String {
    let since = since.map_or_else(|| "only now".to_owned(), |since| format!("since {since}"));
    let written = written.map_or_else(
        || "at a time that nobody knows".to_owned(),
        |written| written.to_string(),
    );
    format!("its template was written {written}, and the segment is enforced {since}: nobody was asked")
}

/// What an owner was itself made from, with its resource; none where nobody is known to have made it from a template, or
/// where that is gone.
fn made_by<'c>(context: &Context<'c, '_>, resource: &str, owner: &'c Owner) -> Known<Option<(&'c str, &'c Owner)>> {
    let Some(reference) = &owner.controller else {
        return Known::Yes(None);
    };
    let Ok(namespace) = NamespaceName::new(&context.request.subject.namespace) else {
        return Known::Yes(None);
    };
    let mut open = Known::Yes(None);
    for Maker { resource, object } in provenance::makers(context, resource, reference, &namespace) {
        // It is only recorded, so nobody waits long for it.
        match context.owner(object, Mode::Audit) {
            Known::Yes(Some(found)) if found.uid == reference.uid => return Known::Yes(Some((resource, found))),
            Known::Yes(_) => {}
            Known::Pending => open = Known::Pending,
            Known::Failed(why) => open = Known::Failed(why),
        }
    }
    open
}
