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
//! **Settle it** with the permission that the denial names: `ringfence grant connect segments/payments-db --user NAME`.

use super::context::{Context, Known};
use super::provenance::{self, Origin};
use crate::guardrails::{ClauseId, Guardrails, NamespaceSet, SegmentId, Side};
use crate::labels::{LabelSet, Labels};
use crate::model::{
    Action, Finding, Mode, Namespace, NamespaceName, Permission, Placement, PlacementKind, Reason, RuleName, Runs,
    Scope, Verb,
};

/// The rule's name.
pub(super) const NAME: RuleName = "Segments";

/// How a clause came to need its verb.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Change {
    /// The write makes it match.
    Gained,
    /// It matched before and does now, and what runs changes.
    Kept,
    /// It matched before and no longer does.
    Lost,
}

/// A clause that needs its verb, if the namespace is one of its namespaces.
#[derive(Debug, Clone, Copy)]
struct Need {
    clause: ClauseId,
    change: Change,
}

impl Need {
    fn verb(&self) -> Verb {
        match self.clause.side {
            Side::Member => Verb::Join,
            Side::Client => Verb::Connect,
        }
    }
}

pub(super) fn judge(context: &Context<'_, '_>) -> Vec<Finding> {
    let Action::Place(placement) = &context.request.action else {
        return Vec::new();
    };
    let needs = needs(context, placement);
    if needs.is_empty() {
        return Vec::new();
    }
    Judgement::new(context, placement).of(&needs)
}

/// The clauses whose podSelector makes them need their verb; whether the namespace is theirs too is still open where that
/// hangs on its labels.
fn needs(context: &Context<'_, '_>, placement: &Placement<'_>) -> Vec<Need> {
    let index = &context.snapshot.guardrails.index;
    let namespace = context.request.subject.namespace.as_ref();
    let after = index.candidates(namespace, &placement.after);
    let before = match &placement.before {
        Some(labels) => index.candidates(namespace, labels),
        None => Vec::new(),
    };
    let has = |clauses: &[ClauseId], clause: &ClauseId| clauses.binary_search(clause).is_ok();
    let stays = after
        .iter()
        .filter_map(|clause| match (has(&before, clause), placement.runs) {
            (false, _) => Some(Need {
                clause: *clause,
                change: Change::Gained,
            }),
            (true, Runs::Changed) => Some(Need {
                clause: *clause,
                change: Change::Kept,
            }),
            (true, Runs::Unchanged) => None,
        });
    let leaves = before
        .iter()
        .filter(|clause| placement.kind == PlacementKind::Pod && clause.side == Side::Member && !has(&after, clause));
    stays
        .chain(leaves.map(|clause| Need {
            clause: *clause,
            change: Change::Lost,
        }))
        .collect()
}

/// Judges the needs of one placement.
struct Judgement<'j, 'c, 'r> {
    context: &'j Context<'c, 'r>,
    placement: &'j Placement<'r>,
    guardrails: &'c Guardrails,
    namespace: &'j str,
}

/// The needs of one segment that one verb would settle.
struct Group {
    segment: SegmentId,
    verb: Verb,
    needs: Vec<Need>,
}

impl<'j, 'c, 'r> Judgement<'j, 'c, 'r> {
    fn new(context: &'j Context<'c, 'r>, placement: &'j Placement<'r>) -> Self {
        let namespace = context.request.subject.namespace.as_ref();
        Self {
            context,
            placement,
            guardrails: &context.snapshot.guardrails,
            namespace,
        }
    }

    fn mode(&self, segment: SegmentId) -> Mode {
        self.guardrails.segment_mode(segment, self.namespace)
    }

    fn depends_on_labels(&self, need: &Need) -> bool {
        self.guardrails.clause(need.clause).namespaces.depends_on_labels()
    }

    /// The findings, as far as they are known. Where the namespace's labels decide, the cached ones are believed only as
    /// long as they make every clause match and nothing is refused by them: otherwise the namespace is read live, for it
    /// may have been relabelled, or deleted and made anew, since it was seen.
    fn of(&self, needs: &[Need]) -> Vec<Finding> {
        let strongest = |needs: &mut dyn Iterator<Item = &Need>| needs.map(|need| self.mode(need.clause.segment)).max();
        let origin = provenance::origin(
            self.context,
            self.placement,
            strongest(&mut needs.iter()).unwrap_or_default(),
        );
        let Some(mode) = strongest(&mut needs.iter().filter(|need| self.depends_on_labels(need))) else {
            return self.findings(needs, &origin);
        };
        let cached = self.context.cached_namespace(self.namespace);
        if cached.is_some_and(|cached| needs.iter().all(|need| self.in_namespace(need, cached))) {
            let findings = self.findings(needs, &origin);
            if !findings.iter().any(|finding| finding.reason.refuses()) {
                return findings;
            }
        }
        let live = match NamespaceName::new(self.namespace) {
            Ok(name) => self.context.live_namespace(&name, mode),
            Err(error) => Known::Failed(error.to_string()),
        };
        match live {
            Known::Pending => Vec::new(),
            Known::Yes(Some(namespace)) => {
                let matching: Vec<Need> = needs
                    .iter()
                    .filter(|need| self.in_namespace(need, namespace))
                    .copied()
                    .collect();
                self.findings(&matching, &origin)
            }
            Known::Yes(None) => self.unread(needs, &origin, &format!("namespace {} does not exist", self.namespace)),
            Known::Failed(why) => self.unread(needs, &origin, &why),
        }
    }

    fn in_namespace(&self, need: &Need, namespace: &Namespace) -> bool {
        match &self.guardrails.clause(need.clause).namespaces {
            // The index has looked at the name.
            NamespaceSet::Named(_) => true,
            NamespaceSet::Selected(selector) => selector.matches(&namespace.labels),
        }
    }

    /// The findings where the namespace could not be read: what hangs on its labels is unanswered.
    fn unread(&self, needs: &[Need], origin: &Origin<'_>, why: &str) -> Vec<Finding> {
        let (open, sure): (Vec<Need>, Vec<Need>) = needs.iter().partition(|need| self.depends_on_labels(need));
        let why = format!("namespace {} could not be read: {why}", self.namespace);
        let mut findings = self.findings(&sure, origin);
        findings.extend(groups(&open).iter().map(|group| {
            let scope = self.guardrails.segment(group.segment).consent.clone();
            self.finding(group, &group.needs[0], scope, Reason::Unanswered, Some(&why))
        }));
        findings
    }

    /// One finding for each segment and verb.
    fn findings(&self, needs: &[Need], origin: &Origin<'_>) -> Vec<Finding> {
        groups(needs)
            .iter()
            .filter_map(|group| self.judge(group, origin))
            .collect()
    }

    fn judge(&self, group: &Group, origin: &Origin<'_>) -> Option<Finding> {
        let segment = self.guardrails.segment(group.segment);
        let first = &group.needs[0];
        let asked = match origin {
            Origin::Pending => return None,
            Origin::Failed(why) => {
                let why = format!("its owner could not be read: {why}");
                return Some(self.finding(group, first, segment.consent.clone(), Reason::Unanswered, Some(&why)));
            }
            Origin::Direct => first,
            Origin::Controller(owner) => {
                let inherited = |need: &&Need| self.guardrails.clause(need.clause).pods.matches(&owner.template_labels);
                match group.needs.iter().find(|need| !inherited(need)) {
                    Some(need) => need,
                    None => {
                        return Some(self.finding(group, first, segment.consent.clone(), Reason::Inherited, None));
                    }
                }
            }
        };
        let mode = self.mode(group.segment);
        let scope = match self.context.consent(&segment.consent, mode) {
            Known::Pending => return None,
            Known::Failed(why) => {
                let why = format!("where to ask could not be found out: {why}");
                return Some(self.finding(group, asked, segment.consent.clone(), Reason::Unanswered, Some(&why)));
            }
            Known::Yes(scope) => scope,
        };
        let permission = Permission::segment(group.verb, &segment.name, scope.clone());
        match self.context.allowed(permission, mode) {
            Known::Pending => None,
            Known::Yes(true) => Some(self.finding(group, asked, scope, Reason::Permitted, None)),
            Known::Yes(false) => Some(self.finding(group, asked, scope, Reason::LacksPermission, None)),
            Known::Failed(why) => Some(self.finding(group, asked, scope, Reason::Unanswered, Some(&why))),
        }
    }

    fn finding(&self, group: &Group, need: &Need, scope: Scope, reason: Reason, failure: Option<&str>) -> Finding {
        let segment = self.guardrails.segment(group.segment);
        let mode = self.mode(group.segment);
        let phrase = match (group.verb, need.change) {
            (_, Change::Lost) => "leave",
            (Verb::Connect, _) => "connect to",
            (_, _) => "join",
        };
        let modal = if reason.refuses() { "may not" } else { "may" };
        let clause = format!("{}[{}]", need.clause.side.as_str(), need.clause.position);
        let mut why = self.matched(need, &clause);
        if scope == Scope::Cluster && scope != segment.consent {
            why.push_str("; its consent namespace does not exist, so the cluster is asked");
        }
        if let Some(failure) = failure {
            why.push_str("; ");
            why.push_str(failure);
        }
        Finding {
            rule: NAME,
            reason,
            mode: if reason == Reason::Unanswered {
                self.context.failure_mode(mode)
            } else {
                mode
            },
            segment: Some(segment.name.clone()),
            clause: Some(clause),
            permission: Some(Permission::segment(group.verb, &segment.name, scope)),
            what: format!("{modal} {phrase} segment {}", segment.name),
            why,
        }
    }

    /// `label app=hollowapp matches clients[0] of payments-db (its description)`.
    fn matched(&self, need: &Need, clause: &str) -> String {
        let segment = self.guardrails.segment(need.clause.segment);
        let empty = Labels::default();
        let labels = match need.change {
            Change::Gained | Change::Kept => &self.placement.after,
            Change::Lost => self.placement.before.as_ref().unwrap_or(&empty),
        };
        let words = self.guardrails.clause(need.clause).pods.matched_labels(labels);
        let (subject, verb) = match (words.len(), need.change) {
            (0, Change::Lost) => ("a pod".to_owned(), "matched"),
            (0, _) if LabelSet::iter(labels).next().is_none() => ("a pod without labels".to_owned(), "matches"),
            (0, _) => ("a pod with these labels".to_owned(), "matches"),
            (1, Change::Lost) => (format!("label {}", words[0]), "matched"),
            (1, _) => (format!("label {}", words[0]), "matches"),
            (_, Change::Lost) => (format!("labels {}", words.join(", ")), "matched"),
            (_, _) => (format!("labels {}", words.join(", ")), "match"),
        };
        let mut text = format!("{subject} {verb} {clause} of {}", segment.name);
        if !segment.description.is_empty() {
            text.push_str(&format!(" ({})", segment.description));
        }
        match need.change {
            Change::Gained => {}
            Change::Kept => text.push_str("; what runs under it changes"),
            Change::Lost => text.push_str(" and would no longer"),
        }
        text
    }
}

/// The needs by segment and verb, in the order of the segments.
fn groups(needs: &[Need]) -> Vec<Group> {
    let mut groups: Vec<Group> = Vec::new();
    for need in needs {
        let (segment, verb) = (need.clause.segment, need.verb());
        match groups
            .iter_mut()
            .find(|group| group.segment == segment && group.verb == verb)
        {
            Some(group) => group.needs.push(*need),
            None => groups.push(Group {
                segment,
                verb,
                needs: vec![*need],
            }),
        }
    }
    groups
}
