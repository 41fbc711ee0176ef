//! # Segments
//!
//! **Stops** a copied label. A NetworkPolicy lets in whatever carries a label; this rule asks RBAC whether whoever makes a
//! pod carry it (or changes what runs under it) may.
//!
//! **Example.** Segment `payments-db` has clients `app=hollowapp` in every namespace. `kubectl run rogue --labels
//! app=hollowapp` is refused unless its user may `connect` to `segments.ringfence.dev/payments-db`. A clause that a write
//! *gains* needs the verb (`join` for members, `connect` for clients); one that is *kept* needs it only where what runs
//! changes, since a swapped image under a kept label is identity theft; a member clause that a live pod *loses* needs
//! `join`, since the pod leaves the policies that hold it. All else (scaling, annotating, finalizing) passes.
//!
//! **A pod's status** tells networks which addresses a label stands for, and whether the pod still runs. Whoever writes
//! other addresses, or another phase, into the status of a pod that matches a clause lends the label to whatever stands
//! there, or takes the pod out of its policies: that needs the clause's verb. The pod's own node is not asked, nor is the
//! garbage collector of pods. What a node itself runs (mirror pods) is let in and recorded: refusing would only hide it.
//!
//! **What stood before** a segment was enforced goes on: nobody was asked for its template, so its controller's new pods
//! are let in with the finding `UnjudgedTemplate`, recorded and counted, never refused. `kubectl get segments` lists such
//! templates. Whoever writes one again is asked. A template counts as older than it is rather than newer: a rollback to a
//! ReplicaSet that stood before is found too, since nothing shows that it was judged.
//!
//! **Settle it** with the permission that the denial names: `ringfence grant connect segments/payments-db --user NAME`.

use super::clauses::{Change, Judge, Need};
use super::context::{Context, Known};
use super::provenance;
use super::unanswered;
use crate::guardrails::{ClauseId, Guardrails, Side};
use crate::labels::{LabelSet, Labels};
use crate::model::{Action, Finding, Mode, NamespaceName, Owner, Placement, PlacementKind, RuleName, Runs, Target};

/// The rule's name.
pub(super) const NAME: RuleName = "Segments";

pub(super) fn judge(context: &Context<'_, '_>) -> Vec<Finding> {
    let guardrails = &context.snapshot.guardrails;
    if guardrails.segments.is_empty() {
        return Vec::new();
    }
    context
        .request
        .actions
        .iter()
        .flat_map(|action| match action {
            Action::Place(placement) => place(context, placement),
            Action::Overlay(labels) => overlay(context, labels),
            Action::Revise => revise(context),
            _ => Vec::new(),
        })
        .collect()
}

/// The clauses that need their verb between two sets of labels, by podSelectors alone.
fn needs(
    guardrails: &Guardrails,
    namespace: &str,
    before: Option<&impl LabelSet>,
    after: &impl LabelSet,
    (kind, runs): (PlacementKind, Runs),
) -> Vec<Need> {
    let matching = guardrails.index.candidates(namespace, after);
    let matched = before
        .map(|labels| guardrails.index.candidates(namespace, labels))
        .unwrap_or_default();
    let has = |clauses: &[ClauseId], clause: &ClauseId| clauses.binary_search(clause).is_ok();
    let stays = matching
        .iter()
        .filter_map(|clause| match (has(&matched, clause), runs) {
            (false, _) => Some(Need::of_side(guardrails, *clause, Change::Gained, after)),
            (true, Runs::Changed) => Some(Need::of_side(guardrails, *clause, Change::Kept, after)),
            (true, Runs::Readdressed) => Some(Need::of_side(guardrails, *clause, Change::Readdressed, after)),
            (true, Runs::Unchanged) => None,
        });
    let leaves = before.into_iter().flat_map(|labels| {
        let lost =
            |clause: &&ClauseId| kind == PlacementKind::Pod && clause.side == Side::Member && !has(&matching, clause);
        matched
            .iter()
            .filter(lost)
            .map(|clause| Need::of_side(guardrails, *clause, Change::Lost, labels))
    });
    stays.chain(leaves).collect()
}

fn place(context: &Context<'_, '_>, placement: &Placement<'_>) -> Vec<Finding> {
    let guardrails = &context.snapshot.guardrails;
    let namespace = context.request.subject.namespace.as_ref();
    let runs = match placement.runs {
        Runs::Readdressed if provenance::tells_status_of(&context.request.identity, placement.spec) => Runs::Unchanged,
        runs => runs,
    };
    let how = (placement.kind, runs);
    let needs = needs(guardrails, namespace, placement.before.as_ref(), &placement.after, how);
    let Some(mode) = strongest(guardrails, namespace, &needs) else {
        return Vec::new();
    };
    let origin = provenance::origin(context, placement, mode);
    Judge {
        rule: NAME,
        context,
        namespace,
        origin: &origin,
    }
    .by_pods(&needs)
}

/// A Binding's labels, laid over those of the pod as it stands.
fn overlay(context: &Context<'_, '_>, labels: &Labels<'_>) -> Vec<Finding> {
    let guardrails = &context.snapshot.guardrails;
    let subject = &context.request.subject;
    let mode = guardrails.strongest_mode(&subject.namespace);
    let Ok(namespace) = NamespaceName::new(&subject.namespace) else {
        return Vec::new();
    };
    let pods = match context.reached(Target::Pod(namespace, subject.name.clone().into_owned()), mode) {
        Known::Pending => return Vec::new(),
        Known::Failed(why) => return vec![unanswered(context, NAME, mode, "be bound", &why)],
        Known::Yes(pods) => pods,
    };
    pods.iter()
        .flat_map(|pod| {
            let own = LabelSet::iter(&pod.labels).filter(|(key, _)| labels.value(key).is_none());
            let after: Vec<(String, String)> = own
                .chain(labels.iter())
                .map(|(key, value)| (key.to_owned(), value.to_owned()))
                .collect();
            let how = (PlacementKind::Pod, Runs::Unchanged);
            let needs = needs(guardrails, &subject.namespace, Some(&pod.labels), &after, how);
            Judge::direct(NAME, context, &subject.namespace).by_pods(&needs)
        })
        .collect()
}

/// A ControllerRevision that is not a whole template: merged into a set's own template it keeps the set's labels and brings
/// other code. Judged as a change of what every set of the namespace runs, unless the sets' own controller wrote it.
fn revise(context: &Context<'_, '_>) -> Vec<Finding> {
    if provenance::is_reviser(&context.request.identity) {
        return Vec::new();
    }
    let guardrails = &context.snapshot.guardrails;
    let namespace = context.request.subject.namespace.as_ref();
    let mode = guardrails.strongest_mode(namespace);
    let Ok(name) = NamespaceName::new(namespace) else {
        return Vec::new();
    };
    let mut needed = Vec::new();
    for resource in ["statefulsets", "daemonsets"] {
        let sets: &[Owner] = match context.templates(resource, &name, mode) {
            Known::Pending => continue,
            Known::Failed(why) => return vec![unanswered(context, NAME, mode, "be revised", &why)],
            Known::Yes(sets) => sets,
        };
        for template in sets.iter().flat_map(|set| &set.templates) {
            let how = (PlacementKind::Template, Runs::Changed);
            needed.extend(needs(
                guardrails,
                namespace,
                Some(&template.labels),
                &template.labels,
                how,
            ));
        }
    }
    Judge::direct(NAME, context, namespace).by_pods(&needed)
}

/// The strongest mode among needs, none where there are none.
pub(super) fn strongest(guardrails: &Guardrails, namespace: &str, needs: &[Need]) -> Option<Mode> {
    needs
        .iter()
        .map(|need| guardrails.segment_mode(need.clause.segment, namespace))
        .max()
}
