//! From clauses that need a verb to findings: the machinery that every rule about segments shares. Whether the namespace is
//! really one of a clause's namespaces, who is asked where, and the words of it.

use super::context::{Context, Held, Known};
use super::crowd::{self, Crowd, Turn};
use super::provenance::Origin;
use super::separation_of_duties;
use super::unjudged::{self, Judged, Lineage};
use crate::guardrails::{ClauseId, Guardrails, NamespaceSet, SegmentId, Side};
use crate::labels::{LabelSet, Selector};
use crate::model::{Finding, Mode, Namespace, NamespaceName, Permission, Reason, RuleName, Scope, Verb};

/// How a clause came to need a verb.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Change {
    /// The write makes pods match it.
    Gained,
    /// Pods matched before and do now, and what runs changes.
    Kept,
    /// Pods matched before and do now, and their status is told anew by somebody else than their node.
    Readdressed,
    /// A live pod matched before and no longer does.
    Lost,
    /// A connection reaches this pod, which matches.
    Entered(String),
    /// The namespace's labels come to match.
    NamespaceGained,
    /// The namespace's labels no longer match.
    NamespaceLost,
    /// A new policy could select pods that match.
    PolicyCreated,
    /// A policy that could, or comes to, select pods that match says something else.
    PolicyChanged,
    /// A policy that could select pods that match goes.
    PolicyDeleted,
}

/// A clause that needs a verb.
#[derive(Debug, Clone)]
pub(super) struct Need {
    pub(super) clause: ClauseId,
    pub(super) verb: Verb,
    pub(super) change: Change,
    /// The labels that matched, as people write them.
    matched: Vec<String>,
}

impl Need {
    /// A clause that needs the verb of its side.
    pub(super) fn of_side(guardrails: &Guardrails, clause: ClauseId, change: Change, labels: &impl LabelSet) -> Self {
        let verb = match clause.side {
            Side::Member => Verb::Join,
            Side::Client => Verb::Connect,
        };
        Self::new(guardrails, clause, verb, change, labels)
    }

    /// A clause whose pods a written policy could select.
    pub(super) fn of_policy(clause: ClauseId, change: Change) -> Self {
        Self {
            clause,
            verb: Verb::Manage,
            change,
            matched: Vec::new(),
        }
    }

    /// A clause that needs a verb.
    pub(super) fn new(
        guardrails: &Guardrails,
        clause: ClauseId,
        verb: Verb,
        change: Change,
        labels: &impl LabelSet,
    ) -> Self {
        let matched = match (&change, &guardrails.clause(clause).namespaces) {
            (Change::NamespaceGained | Change::NamespaceLost, NamespaceSet::Selected(selector)) => {
                selector.matched_labels(labels)
            }
            _ => guardrails.clause(clause).pods.matched_labels(labels),
        };
        Self {
            clause,
            verb,
            change,
            matched,
        }
    }
}

/// The needs of one segment that one verb would settle.
struct Group<'n> {
    segment: SegmentId,
    verb: Verb,
    needs: Vec<&'n Need>,
}

/// The needs by segment and verb, in the order in which they came.
fn groups<'n>(needs: impl IntoIterator<Item = &'n Need>) -> Vec<Group<'n>> {
    let mut groups: Vec<Group<'n>> = Vec::new();
    for need in needs {
        let (segment, verb) = (need.clause.segment, need.verb);
        match groups
            .iter_mut()
            .find(|group| group.segment == segment && group.verb == verb)
        {
            Some(group) => group.needs.push(need),
            None => groups.push(Group {
                segment,
                verb,
                needs: vec![need],
            }),
        }
    }
    groups
}

/// Judges the needs that arise in one namespace.
pub(super) struct Judge<'j, 'c, 'r> {
    pub(super) rule: RuleName,
    pub(super) context: &'j Context<'c, 'r>,
    pub(super) namespace: &'j str,
    pub(super) origin: &'j Origin<'c>,
}

impl<'j, 'c, 'r> Judge<'j, 'c, 'r> {
    /// Of what the requester does itself.
    pub(super) fn direct(rule: RuleName, context: &'j Context<'c, 'r>, namespace: &'j str) -> Self {
        Self {
            rule,
            context,
            namespace,
            origin: &Origin::Direct,
        }
    }

    fn guardrails(&self) -> &'c Guardrails {
        &self.context.snapshot.guardrails
    }

    fn mode(&self, segment: SegmentId) -> Mode {
        self.guardrails().segment_mode(segment, self.namespace)
    }

    fn depends_on_labels(&self, need: &Need) -> bool {
        self.guardrails().clause(need.clause).namespaces.depends_on_labels()
    }

    fn in_namespace(&self, need: &Need, namespace: &Namespace) -> bool {
        match &self.guardrails().clause(need.clause).namespaces {
            // The index has looked at the name.
            NamespaceSet::Named(_) => true,
            NamespaceSet::Selected(selector) => selector.matches(&namespace.labels),
        }
    }

    /// The findings on needs that came from podSelectors alone, as far as they are known. Where the namespace's labels
    /// decide, the cached ones are believed only as long as they make every clause match and nothing is refused by them:
    /// otherwise the namespace is read live, for it may have been relabelled, or deleted and made anew, since it was seen.
    pub(super) fn by_pods(&self, needs: &[Need]) -> Vec<Finding> {
        let depending = needs.iter().filter(|need| self.depends_on_labels(need));
        let Some(mode) = depending.map(|need| self.mode(need.clause.segment)).max() else {
            return self.findings(needs);
        };
        let cached = self.context.cached_namespace(self.namespace);
        if cached.is_some_and(|cached| needs.iter().all(|need| self.in_namespace(need, cached))) {
            let findings = self.findings(needs);
            let refuses = |finding: &Finding| {
                finding.reason.refuses() || separation_of_duties::stands_against(self.context, finding)
            };
            if !findings.iter().any(refuses) {
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
                self.findings(needs.iter().filter(|need| self.in_namespace(need, namespace)))
            }
            Known::Yes(None) => self.unread(needs, &format!("namespace {} does not exist", self.namespace)),
            Known::Failed(why) => self.unread(needs, &why),
        }
    }

    /// The findings where the namespace could not be read: what hangs on its labels is unanswered.
    fn unread(&self, needs: &[Need], why: &str) -> Vec<Finding> {
        let (open, sure): (Vec<&Need>, Vec<&Need>) = needs.iter().partition(|need| self.depends_on_labels(need));
        let why = format!("namespace {} could not be read: {why}", self.namespace);
        let mut findings = self.findings(sure);
        findings.extend(groups(open).iter().map(|group| {
            let scope = self.guardrails().segment(group.segment).consent.clone();
            self.finding(group, group.needs[0], scope, Reason::Unanswered, Some(&why))
        }));
        findings
    }

    /// The findings on needs that are certain, one for each segment and verb, as far as they are known.
    pub(super) fn findings<'n>(&self, needs: impl IntoIterator<Item = &'n Need>) -> Vec<Finding> {
        let groups = groups(needs);
        let (mut crowd, mut left, mut refused) = (Crowd::default(), Vec::new(), Vec::new());
        let mut asked = Vec::new();
        for group in &groups {
            let segment = self.guardrails().segment(group.segment);
            let turn = if self.asks(group) {
                crowd.turn(segment, self.namespace, self.mode(group.segment))
            } else {
                Turn::Ask
            };
            match turn {
                Turn::Ask => asked.push(group),
                Turn::Leave => left.push(group),
                Turn::Refuse => refused.push(group),
            }
        }
        if let Some(group) = refused.first() {
            let what = format!(
                "may not be in more than {} protected policies",
                crowd::MOST_OF_NAMESPACE
            );
            let instead = "nobody is asked about that many for one write: narrow what they select";
            return vec![self.refusal(group.needs[0], &what, instead)];
        }
        let untold = left.first().map(|group| {
            let why = format!(
                "one of {} protected policies that are not enforced and not asked about",
                left.len()
            );
            let scope = self.guardrails().segment(group.segment).consent.clone();
            self.finding(group, group.needs[0], scope, Reason::Unanswered, Some(&why))
        });
        asked
            .into_iter()
            .filter_map(|group| self.judge(group))
            .chain(untold)
            .collect()
    }

    /// Whether anybody is to be asked about it.
    fn asks(&self, group: &Group<'_>) -> bool {
        match self.origin {
            Origin::Direct => true,
            Origin::Controller(..) => !self.origin.matches_all(&self.selectors(group)),
            Origin::Pending | Origin::Failed(_) | Origin::Node => false,
        }
    }

    fn selectors(&self, group: &Group<'_>) -> Vec<&'c Selector> {
        let selector = |need: &&Need| &self.guardrails().clause(need.clause).pods;
        group.needs.iter().map(selector).collect()
    }

    fn judge(&self, group: &Group<'_>) -> Option<Finding> {
        let segment = self.guardrails().segment(group.segment);
        let first = *group.needs.first()?;
        match self.origin {
            Origin::Pending => return None,
            Origin::Failed(why) => {
                let why = format!("its owner could not be read: {why}");
                return Some(self.finding(group, first, segment.consent.clone(), Reason::Unanswered, Some(&why)));
            }
            Origin::Controller(_, lineage) => {
                if self.origin.matches_all(&self.selectors(group)) {
                    return self.inherited(group, first, lineage);
                }
            }
            Origin::Node => return Some(self.finding(group, first, segment.consent.clone(), Reason::Mirrored, None)),
            Origin::Direct => {}
        }
        let mode = self.mode(group.segment);
        let scope = match self.context.consent(&segment.consent, mode) {
            Known::Pending => return None,
            Known::Failed(why) => {
                let why = format!("where to ask could not be found out: {why}");
                return Some(self.finding(group, first, segment.consent.clone(), Reason::Unanswered, Some(&why)));
            }
            Known::Yes(scope) => scope,
        };
        let permission = Permission::segment(group.verb, &segment.name, scope.clone());
        separation_of_duties::ask_along(self.context, &permission, mode);
        match self.context.allowed(&permission, mode) {
            Known::Pending => None,
            Known::Yes(Held::Yes) => Some(self.finding(group, first, scope, Reason::Permitted, None)),
            Known::Yes(Held::No(reviewer)) => {
                let finding = self.finding(group, first, scope, Reason::LacksPermission, None);
                Some(Finding { reviewer, ..finding })
            }
            Known::Failed(why) => Some(self.finding(group, first, scope, Reason::Unanswered, Some(&why))),
        }
    }

    /// The finding on what comes from a template that matches too: judged when it was written, if it was written since.
    fn inherited(&self, group: &Group<'_>, first: &Need, lineage: &Lineage<'_>) -> Option<Finding> {
        let scope = self.guardrails().segment(group.segment).consent.clone();
        // Nobody keeps since when a policy is opted in.
        let timeless = self.guardrails().segment(group.segment).is_derived();
        if timeless || self.mode(group.segment) < Mode::Enforce {
            return Some(self.finding(group, first, scope, Reason::Inherited, None));
        }
        match unjudged::judged(self.context, lineage, group.needs.iter().map(|need| need.clause)) {
            Judged::Pending => None,
            Judged::Yes => Some(self.finding(group, first, scope, Reason::Inherited, None)),
            Judged::No(why) => Some(self.finding(group, first, scope, Reason::UnjudgedTemplate, Some(&why))),
        }
    }

    fn finding(&self, group: &Group<'_>, need: &Need, scope: Scope, reason: Reason, failure: Option<&str>) -> Finding {
        let segment = self.guardrails().segment(group.segment);
        let mode = self.mode(group.segment);
        let phrase = match (group.verb, &need.change) {
            (_, Change::Lost | Change::NamespaceLost) => format!("leave segment {}", segment.name),
            (_, Change::Readdressed) => format!("be given another address or phase in segment {}", segment.name),
            (_, Change::PolicyCreated) => format!("be created over segment {}", segment.name),
            (_, Change::PolicyChanged) => format!("be changed over segment {}", segment.name),
            (_, Change::PolicyDeleted) => format!("be deleted from segment {}", segment.name),
            (Verb::Connect, _) => format!("connect to segment {}", segment.name),
            (Verb::Enter, _) => format!("be entered (segment {})", segment.name),
            (_, _) => format!("join segment {}", segment.name),
        };
        let modal = if reason.refuses() { "may not" } else { "may" };
        let mut why = self.matched(need);
        if scope == Scope::Cluster && scope != segment.consent {
            why.push_str("; its consent namespace does not exist, so the cluster is asked");
        }
        if let Some(failure) = failure {
            why.push_str("; ");
            why.push_str(failure);
        }
        Finding {
            rule: self.rule,
            reason,
            mode: if reason == Reason::Unanswered {
                self.context.failure_mode(mode, self.namespace)
            } else {
                mode
            },
            segment: Some(segment.name.clone()),
            clause: Some(clause_words(need.clause)),
            permission: Some(Permission::segment(group.verb, &segment.name, scope)),
            reviewer: None,
            what: format!("{modal} {phrase}"),
            why,
        }
    }

    /// A finding that no permission settles, on the first of these clauses.
    pub(super) fn refusal(&self, need: &Need, what: &str, instead: &str) -> Finding {
        let segment = self.guardrails().segment(need.clause.segment);
        Finding {
            rule: self.rule,
            reason: Reason::Refused,
            mode: self.mode(need.clause.segment),
            segment: Some(segment.name.clone()),
            clause: Some(clause_words(need.clause)),
            permission: None,
            reviewer: None,
            what: what.to_owned(),
            why: format!("{}; {instead}", self.matched(need)),
        }
    }

    /// `label app=hollowapp matches clients[0] of payments-db (its description)`.
    fn matched(&self, need: &Need) -> String {
        let segment = self.guardrails().segment(need.clause.segment);
        let past = matches!(need.change, Change::Lost | Change::NamespaceLost);
        let (subject, verb) = match (need.matched.as_slice(), past) {
            _ if need.verb == Verb::Manage => ("its podSelector".to_owned(), "could select pods of"),
            ([], true) => ("what it was".to_owned(), "matched"),
            ([], false) => ("what it has no label for".to_owned(), "matches"),
            ([label], true) => (format!("label {label}"), "matched"),
            ([label], false) => (format!("label {label}"), "matches"),
            (labels, true) => (format!("labels {}", labels.join(", ")), "matched"),
            (labels, false) => (format!("labels {}", labels.join(", ")), "match"),
        };
        let of = match need.change {
            Change::NamespaceGained | Change::NamespaceLost => "the namespaces of ",
            _ => "",
        };
        let on = match &need.change {
            Change::Entered(pod) => format!(" of pod {pod}"),
            _ => String::new(),
        };
        let mut text = format!(
            "{subject}{on} {verb} {of}{} of {}{}",
            clause_words(need.clause),
            segment.name,
            segment.aside()
        );
        match need.change {
            Change::Gained
            | Change::Entered(_)
            | Change::NamespaceGained
            | Change::PolicyCreated
            | Change::PolicyChanged
            | Change::PolicyDeleted => {}
            Change::Kept => text.push_str("; what runs under it changes"),
            Change::Readdressed => text.push_str("; its status says where it is, which only its node knows"),
            Change::Lost | Change::NamespaceLost => text.push_str(" and would no longer"),
        }
        text
    }
}

/// `clients[0]`.
fn clause_words(clause: ClauseId) -> String {
    format!("{}[{}]", clause.side.as_str(), clause.position)
}
