//! What a new configuration newly covers: which pods have to be looked at ([`questions`]), how they count
//! ([`Coverage`]), and how that is said in one line.

use std::collections::{BTreeMap, HashSet};

use ringfence_core::guardrails::{Clause, Guardrails, Segment, SegmentId};
use ringfence_core::labels::{Labels, Operator, Selector};
use ringfence_core::model::{Mode, NamespaceName, Namespaces};

/// What a segment does to a pod: nothing, or this at most.
type Hold = Option<Mode>;

/// A clause that may cover what was not covered before: its pods have to be looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Question<'a> {
    /// The segment, in the new configuration.
    pub(super) segment: SegmentId,
    /// The clause.
    pub(super) clause: &'a Clause,
}

/// The clauses of the new configuration that may cover, or deny, more than the old one did.
pub(super) fn questions<'a>(old: &Guardrails, new: &'a Guardrails) -> Vec<Question<'a>> {
    let mut questions = Vec::new();
    for (position, segment) in (0..).zip(&new.segments) {
        let before = named(old, segment);
        let clauses = |segment: &'a Segment| segment.members.iter().chain(&segment.clients);
        let stays = |clause: &Clause| {
            before.is_some_and(|before| {
                let known = before
                    .members
                    .iter()
                    .chain(&before.clients)
                    .any(|other| other == clause);
                known && segment.mode <= before.mode && new.rollout == old.rollout
            })
        };
        for clause in clauses(segment).filter(|clause| !stays(clause)) {
            let question = Question {
                segment: SegmentId(position),
                clause,
            };
            if !questions.contains(&question) {
                questions.push(question);
            }
        }
    }
    questions
}

/// The segment of the same name in another configuration.
fn named<'a>(guardrails: &'a Guardrails, segment: &Segment) -> Option<&'a Segment> {
    let configured = guardrails.configured();
    let position = configured.binary_search_by(|other| other.name.cmp(&segment.name));
    position.ok().map(|position| &configured[position])
}

/// A selector as a list request spells it; empty for everything.
pub(super) fn label_selector(selector: &Selector) -> String {
    let requirement = |key: &str, operator: &Operator| match operator {
        Operator::In(values) => format!("{key} in ({})", values.join(",")),
        Operator::NotIn(values) => format!("{key} notin ({})", values.join(",")),
        Operator::Exists => key.to_owned(),
        Operator::DoesNotExist => format!("!{key}"),
    };
    let requirements: Vec<String> = selector
        .requirements()
        .iter()
        .map(|it| requirement(&it.key, &it.operator))
        .collect();
    requirements.join(",")
}

/// The pods that each segment newly covers.
pub(super) struct Coverage<'a> {
    old: &'a Guardrails,
    new: &'a Guardrails,
    namespaces: &'a Namespaces,
    segments: BTreeMap<SegmentId, Covered>,
}

/// The pods that one segment newly covers.
#[derive(Debug, Default)]
struct Covered {
    pods: HashSet<(NamespaceName, String)>,
    by_namespace: BTreeMap<NamespaceName, usize>,
    mode: Mode,
}

/// Whether all pods that there are were looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Looked {
    AtAll,
    AtSome,
}

impl<'a> Coverage<'a> {
    pub(super) fn new(old: &'a Guardrails, new: &'a Guardrails, namespaces: &'a Namespaces) -> Self {
        Self {
            old,
            new,
            namespaces,
            segments: BTreeMap::new(),
        }
    }

    /// Counts a pod that a question found, if the segment really covers it and did not before. A pod is counted once.
    pub(super) fn count(&mut self, segment: SegmentId, namespace: &NamespaceName, pod: &str, labels: &Labels<'_>) {
        let after = self.new.segment(segment);
        let Some(mode) = self.hold(self.new, after, namespace, labels) else {
            return;
        };
        let held = named(self.old, after).and_then(|before| self.hold(self.old, before, namespace, labels));
        let newly = held.is_none() || (mode == Mode::Enforce && held < Some(Mode::Enforce));
        let covered = self.segments.entry(segment).or_default();
        if newly && covered.pods.insert((namespace.clone(), pod.to_owned())) {
            *covered.by_namespace.entry(namespace.clone()).or_default() += 1;
            covered.mode = covered.mode.max(mode);
        }
    }

    fn hold(&self, by: &Guardrails, segment: &Segment, namespace: &NamespaceName, labels: &Labels<'_>) -> Hold {
        let unlabelled = Vec::new();
        let known = self.namespaces.get(namespace);
        let namespace_labels = known.map_or(&unlabelled, |namespace| &namespace.labels);
        segment
            .members
            .iter()
            .chain(&segment.clients)
            .any(|clause| {
                clause.namespaces.contains(namespace.as_str(), namespace_labels) && clause.pods.matches(labels)
            })
            .then(|| by.rollout.cap(namespace.as_str(), segment.mode))
    }

    /// A line for each segment that newly covers something, those with the most pods first; at most `limit`, the rest
    /// in one more.
    pub(super) fn lines(&self, looked: Looked, limit: usize) -> Vec<String> {
        let mut covered: Vec<_> = self
            .segments
            .iter()
            .filter(|(_, covered)| !covered.pods.is_empty())
            .collect();
        covered.sort_by_key(|(id, covered)| (std::cmp::Reverse(covered.pods.len()), **id));
        let mut lines: Vec<String> = covered
            .iter()
            .take(limit)
            .map(|(id, covered)| covered.line(self.new.segment(**id).name.as_str(), looked))
            .collect();
        let rest = covered.get(limit..).unwrap_or_default();
        if !rest.is_empty() {
            let pods: usize = rest.iter().map(|(_, covered)| covered.pods.len()).sum();
            lines.push(format!(
                "ringfence: {} more segments newly cover {} in all",
                rest.len(),
                running(pods, looked)
            ));
        }
        lines
    }
}

fn running(pods: usize, looked: Looked) -> String {
    let at_least = if looked == Looked::AtSome { "at least " } else { "" };
    let plural = if pods == 1 { "" } else { "s" };
    format!("{at_least}{pods} running pod{plural}")
}

impl Covered {
    /// The longest way to say it that fits in a warning.
    fn line(&self, segment: &str, looked: Looked) -> String {
        let pods = running(self.pods.len(), looked);
        let most = self.by_namespace.iter().max_by_key(|(_, count)| **count);
        let place = match (self.by_namespace.len(), most) {
            (1, Some((name, _))) => format!(" in {name}"),
            (_, Some((name, count))) => format!(" ({count} in {name})"),
            (_, None) => String::new(),
        };
        let [long, short] = match self.mode {
            Mode::Enforce => [
                "; they keep running, changes to them need the permission",
                "; changes need the permission",
            ],
            Mode::Warn => [
                "; changes to them are warned about, nothing is denied",
                "; nothing is denied",
            ],
            Mode::Audit => [
                "; changes to them are recorded, nothing is denied",
                "; nothing is denied",
            ],
        };
        let forms = [
            format!("ringfence: {segment} newly covers {pods}{place}{long}"),
            format!("ringfence: {segment} newly covers {pods}{place}{short}"),
            format!("ringfence: {segment} newly covers {pods}{short}"),
            format!("ringfence: {segment} newly covers {pods}{place}"),
        ];
        let short = forms.iter().find(|form| form.chars().count() <= super::WARNING);
        short.cloned().unwrap_or_else(|| {
            let rest = format!(" newly covers {pods}");
            let room = super::WARNING.saturating_sub("ringfence: ...".len() + rest.len());
            let segment: String = segment.chars().take(room).collect();
            format!("ringfence: {segment}...{rest}")
        })
    }
}

/// The labels of a pod as they come from its metadata.
pub(super) fn labels_of(labels: &BTreeMap<String, String>) -> Labels<'_> {
    labels
        .iter()
        .map(|(key, value)| (key.as_str(), value.as_str()))
        .collect()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use ringfence_core::guardrails::{Compiled, Source, compile};
    use ringfence_core::model::Namespace;

    use super::*;

    const GUARDRAILS: &str = "
apiVersion: ringfence.dev/v1alpha1
kind: Guardrails
metadata: {name: default}
spec:
  mode: Enforce
---
";
    const DATABASE: &str = "
apiVersion: ringfence.dev/v1alpha1
kind: Segment
metadata: {name: payments-db}
spec:
  members:
    - namespaces: [payments]
      podSelector: {matchLabels: {app: hollowdb}}
  clients:
    - namespaceSelector: {matchLabels: {env: prod}}
      podSelector: {matchLabels: {app: hollowapp}}
";

    fn guardrails(texts: &[&str]) -> Guardrails {
        let sources = [Source {
            name: "test.yaml".to_owned(),
            text: texts.concat(),
        }];
        let Compiled { guardrails, .. } = compile(&sources).unwrap_or_else(|problems| panic!("{problems}"));
        guardrails
    }

    fn namespaces() -> Namespaces {
        let namespace = |name: &str, env: &str| {
            let labels = vec![("env".to_owned(), env.to_owned())];
            let namespace = Namespace {
                labels,
                ..Namespace::default()
            };
            (NamespaceName::new(name).expect("valid"), Arc::new(namespace))
        };
        [
            namespace("payments", "prod"),
            namespace("web", "prod"),
            namespace("play", "dev"),
        ]
        .into_iter()
        .collect()
    }

    /// The lines for pods of (namespace, name, app), each looked at for every question as a list would find it.
    fn lines(old: &Guardrails, new: &Guardrails, pods: &[(&str, &str, &str)], looked: Looked) -> Vec<String> {
        let namespaces = namespaces();
        let mut coverage = Coverage::new(old, new, &namespaces);
        for question in questions(old, new) {
            for (namespace, name, app) in pods {
                let labels: Labels<'_> = [("app", *app)].into_iter().collect();
                if question.clause.pods.matches(&labels) {
                    let namespace = NamespaceName::new(namespace).expect("valid");
                    coverage.count(question.segment, &namespace, name, &labels);
                }
            }
        }
        coverage.lines(looked, 2)
    }

    const PODS: &[(&str, &str, &str)] = &[
        ("payments", "db-0", "hollowdb"),
        ("payments", "db-1", "hollowdb"),
        ("web", "app", "hollowapp"),
        ("web", "other", "nginx"),
        ("web", "db", "hollowdb"),
        ("play", "app", "hollowapp"),
    ];

    #[test]
    fn what_runs_and_is_newly_covered_is_counted() {
        let (old, new) = (guardrails(&[GUARDRAILS]), guardrails(&[GUARDRAILS, DATABASE]));
        assert_eq!(
            lines(&old, &new, PODS, Looked::AtAll),
            ["ringfence: payments-db newly covers 3 running pods (2 in payments); changes need the permission"]
        );
        assert_eq!(
            lines(&old, &new, &PODS[2..3], Looked::AtSome),
            ["ringfence: payments-db newly covers at least 1 running pod in web; changes need the permission"]
        );
    }

    #[test]
    fn what_stays_covered_is_not_asked_about() {
        let both = guardrails(&[GUARDRAILS, DATABASE]);
        let described = guardrails(&[GUARDRAILS, DATABASE, "  description: Ask team payments.\n"]);
        assert_eq!(questions(&both, &described), []);
        assert!(lines(&both, &described, PODS, Looked::AtAll).is_empty());
    }

    #[test]
    fn a_widened_clause_counts_only_what_it_adds() {
        let narrow = guardrails(&[GUARDRAILS, DATABASE]);
        let wide = guardrails(&[GUARDRAILS, &DATABASE.replace("{matchLabels: {env: prod}}", "{}")]);
        assert_eq!(questions(&narrow, &wide).len(), 1);
        assert_eq!(
            lines(&narrow, &wide, PODS, Looked::AtAll),
            [
                "ringfence: payments-db newly covers 1 running pod in play; they keep running, changes to them need the \
                 permission"
            ]
        );
    }

    #[test]
    fn beginning_to_deny_counts_what_was_only_recorded() {
        let audit = guardrails(&[&GUARDRAILS.replace("Enforce", "Audit"), DATABASE]);
        let enforce = guardrails(&[GUARDRAILS, DATABASE]);
        assert_eq!(lines(&audit, &enforce, PODS, Looked::AtAll).len(), 1);
        assert!(lines(&enforce, &audit, PODS, Looked::AtAll).is_empty());
        let none = guardrails(&[]);
        assert_eq!(
            lines(&none, &audit, PODS, Looked::AtAll),
            [
                "ringfence: payments-db newly covers 3 running pods (2 in payments); changes to them are recorded, nothing \
                 is denied"
            ]
        );
    }

    #[test]
    fn a_lifted_cap_counts_too() {
        let rollout = "  rollout: {default: Audit, namespaces: [{name: payments, mode: Enforce}]}\n---\n";
        let capped = guardrails(&[&GUARDRAILS.replace("---\n", rollout), DATABASE]);
        let free = guardrails(&[GUARDRAILS, DATABASE]);
        let lines = lines(&capped, &free, PODS, Looked::AtAll);
        assert_eq!(lines.len(), 1);
        assert!(lines[0].contains("1 running pod in web;"), "{lines:?}");
    }

    #[test]
    fn many_segments_are_summed_up() {
        let segments: Vec<String> = (0..4)
            .map(|n| DATABASE.replace("payments-db", &format!("db-{n}")))
            .collect();
        let old = guardrails(&[GUARDRAILS]);
        let new = guardrails(&[GUARDRAILS, &segments.join("\n---\n")]);
        let lines = lines(&old, &new, PODS, Looked::AtAll);
        assert_eq!(lines.len(), 3, "{lines:?}");
        assert_eq!(lines[2], "ringfence: 2 more segments newly cover 6 running pods in all");
    }

    #[test]
    fn every_line_fits_in_a_warning() {
        let pod = |number: usize| (NamespaceName::new(&"n".repeat(63)).expect("valid"), number.to_string());
        for length in 1..=200 {
            for mode in [Mode::Audit, Mode::Warn, Mode::Enforce] {
                let covered = Covered {
                    pods: (0..123_456).step_by(1000).map(pod).collect(),
                    by_namespace: [(pod(0).0, 123)].into(),
                    mode,
                };
                let line = covered.line(&"s".repeat(length), Looked::AtSome);
                assert!(line.chars().count() <= crate::cluster::guard::WARNING, "{line}");
                assert!(line.starts_with("ringfence: s"), "{line}");
                assert!(line.contains("at least 124 running pods"), "{line}");
            }
        }
    }

    #[test]
    fn selectors_are_spelled_as_list_requests_spell_them() {
        let new = guardrails(&[
            GUARDRAILS,
            &DATABASE.replace(
                "podSelector: {matchLabels: {app: hollowdb}}",
                "podSelector: {matchLabels: {app: hollowdb}, matchExpressions: [{key: tier, operator: NotIn, values: [b, a]}, \
                 {key: x/y, operator: Exists}, {key: z, operator: DoesNotExist}]}",
            ),
        ]);
        assert_eq!(
            label_selector(&new.segments[0].members[0].pods),
            "app in (hollowdb),tier notin (a,b),x/y,!z"
        );
        assert_eq!(label_selector(&Selector::everything()), "");
    }
}
