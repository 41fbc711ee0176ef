//! [`Since`]: since when what is configured is enforced, so that what stood before can be told from what was judged. It is
//! kept in the cluster by one replica, which [`Since::advanced`] tells what to keep next, and read by all.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use hashbrown::HashMap;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::{Mode, NamespaceName, SegmentName, Timestamp};
use crate::guardrails::{Clause, Guardrails, NamespaceSet, Rollout, Segment, Side};
use crate::labels::{Operator, Selector};

/// Since when what is configured is enforced. Empty where nothing is known: then nothing was enforced before.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Since {
    /// By segment: since when each clause of it is of mode Enforce without a break, by the clause's [`fingerprint`].
    pub segments: HashMap<SegmentName, BTreeMap<String, Timestamp>>,
    /// Since when the rollout lets Enforce happen.
    pub rollout: RolloutSince,
    /// Since when `isolation.mode` is Enforce; none where it is not.
    pub isolation: Option<Timestamp>,
}

/// Since when the rollout lets Enforce happen, by namespace; none where it does not.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RolloutSince {
    /// In namespaces that are not named here.
    pub default: Option<Timestamp>,
    /// In these.
    #[serde(default)]
    pub namespaces: BTreeMap<String, Option<Timestamp>>,
}

impl RolloutSince {
    /// Since when Enforce can happen in a namespace; none where it cannot.
    fn of(&self, namespace: &str) -> Option<Timestamp> {
        self.namespaces.get(namespace).copied().unwrap_or(self.default)
    }

    fn advanced(&self, rollout: &Rollout, now: Timestamp) -> Self {
        let default = rollout.default.is_none_or(|cap| cap == Mode::Enforce);
        let default = default.then(|| self.default.unwrap_or(now));
        // Those of before too: a namespace that is named no longer may have been capped until now.
        let names: BTreeSet<&str> = rollout
            .namespaces
            .keys()
            .map(NamespaceName::as_str)
            .chain(self.namespaces.keys().map(String::as_str))
            .collect();
        let since = |name: &str| {
            let enforces = rollout.cap(name, Mode::Enforce) == Mode::Enforce;
            enforces.then(|| self.of(name).unwrap_or(now))
        };
        let namespaces = names
            .into_iter()
            .map(|name| (name.to_owned(), since(name)))
            .filter(|(_, since)| *since != default)
            .collect();
        Self { default, namespaces }
    }
}

impl Since {
    /// Since when a clause is enforced in a namespace, without a break; none where that is not known, so not before now.
    pub fn clause(&self, segment: &Segment, side: Side, clause: &Clause, namespace: &str) -> Option<Timestamp> {
        let clause = self.segments.get(&segment.name)?.get(&fingerprint(side, clause))?;
        Some((*clause).max(self.rollout.of(namespace)?))
    }

    /// Since when isolation is enforced in a namespace, without a break; none where that is not known, so not before now.
    pub fn isolated(&self, namespace: &str) -> Option<Timestamp> {
        Some(self.isolation?.max(self.rollout.of(namespace)?))
    }

    /// Whether it is known of every clause of a segment since when it is enforced.
    pub fn knows(&self, segment: &Segment) -> bool {
        let known = self.segments.get(&segment.name);
        fingerprints(segment).all(|clause| known.is_some_and(|known| known.contains_key(&clause)))
    }

    /// What is to be kept once these guardrails are in force: what was enforced before keeps its time, what is from now on
    /// gets `now`, what is not has none. A clause that was changed is another one.
    #[must_use]
    pub fn advanced(&self, guardrails: &Guardrails, now: Timestamp) -> Self {
        let enforced = guardrails
            .segments
            .iter()
            .filter(|segment| segment.mode == Mode::Enforce);
        let segments = enforced.map(|segment| {
            let before = self.segments.get(&segment.name);
            let clauses = fingerprints(segment).map(|clause| {
                let since = before.and_then(|before| before.get(&clause)).copied();
                (clause, since.unwrap_or(now))
            });
            (segment.name.clone(), clauses.collect())
        });
        Self {
            segments: segments.collect(),
            rollout: self.rollout.advanced(&guardrails.rollout, now),
            isolation: guardrails.isolation_enforced().then(|| self.isolation.unwrap_or(now)),
        }
    }
}

fn fingerprints(segment: &Segment) -> impl Iterator<Item = String> {
    let of = |side: Side, clauses: &[Clause]| -> Vec<String> {
        clauses.iter().map(|clause| fingerprint(side, clause)).collect()
    };
    let members = of(Side::Member, &segment.members);
    members.into_iter().chain(of(Side::Client, &segment.clients))
}

/// What a clause says, in 12 hex digits: the first of a SHA-256 over its parts, each with its length. The order in which a
/// selector's requirements stand says nothing, and neither does the clause's place among others.
pub fn fingerprint(side: Side, clause: &Clause) -> String {
    let mut parts: Vec<String> = vec![side.as_str().to_owned()];
    match &clause.namespaces {
        NamespaceSet::Named(names) => {
            parts.push("named".to_owned());
            parts.extend(names.iter().map(ToString::to_string));
        }
        NamespaceSet::Selected(selector) => {
            parts.push("selected".to_owned());
            parts.extend(requirements(selector));
        }
    }
    parts.push("pods".to_owned());
    parts.extend(requirements(&clause.pods));
    let mut digest = Sha256::new();
    for part in &parts {
        digest.update((part.len() as u64).to_be_bytes());
        digest.update(part.as_bytes());
    }
    let bytes = digest.finalize();
    let mut text = String::new();
    for byte in bytes.iter().take(6) {
        let _ = write!(text, "{byte:02x}");
    }
    text
}

/// Each requirement as one text, sorted. Neither a label's key nor its value has a space or a comma.
fn requirements(selector: &Selector) -> Vec<String> {
    let one = |operator: &Operator| match operator {
        Operator::In(values) => format!("In {}", values.join(",")),
        Operator::NotIn(values) => format!("NotIn {}", values.join(",")),
        Operator::Exists => "Exists".to_owned(),
        Operator::DoesNotExist => "DoesNotExist".to_owned(),
    };
    let requirements = selector.requirements().iter();
    let mut texts: Vec<String> = requirements
        .map(|requirement| format!("{} {}", requirement.key, one(&requirement.operator)))
        .collect();
    texts.sort_unstable();
    texts
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;
    use crate::guardrails::{Source, compile};

    const FIRST: Timestamp = Timestamp(100);
    const LATER: Timestamp = Timestamp(200);

    /// A segment `s` of members `app=db` in namespace `shop` and of these clients.
    fn guardrails(mode: &str, rollout: &str, clients: &str) -> Guardrails {
        let text = format!(
            "{{apiVersion: ringfence.dev/v1alpha1, kind: Guardrails, metadata: {{name: default}},
               spec: {{mode: {mode}, rollout: {rollout}}}}}
---
{{apiVersion: ringfence.dev/v1alpha1, kind: Segment, metadata: {{name: s}}, spec: {{
    members: [{{namespaces: [shop], podSelector: {{matchLabels: {{app: db}}}}}}], clients: {clients}}}}}\n"
        );
        let source = Source {
            name: "a.yaml".to_owned(),
            text,
        };
        compile(&[source]).expect("valid").guardrails
    }

    fn member(since: &Since, guardrails: &Guardrails, namespace: &str) -> Option<Timestamp> {
        let segment = &guardrails.segments[0];
        since.clause(segment, Side::Member, &segment.members[0], namespace)
    }

    fn enforced(rollout: &str) -> (Guardrails, Since) {
        let guardrails = guardrails("Enforce", rollout, "[]");
        let since = Since::default().advanced(&guardrails, FIRST);
        (guardrails, since)
    }

    #[test]
    fn what_stays_enforced_keeps_its_time() {
        let (guardrails, since) = enforced("{}");
        assert_eq!(member(&since, &guardrails, "shop"), Some(FIRST));
        assert_eq!(since.advanced(&guardrails, LATER), since);
    }

    #[test]
    fn what_was_not_enforced_meanwhile_begins_anew() {
        let (enforcing, since) = enforced("{}");
        let audit = guardrails("Audit", "{}", "[]");
        let since = since.advanced(&audit, LATER);
        assert_eq!(member(&since, &audit, "shop"), None);
        let since = since.advanced(&enforcing, Timestamp(300));
        assert_eq!(member(&since, &enforcing, "shop"), Some(Timestamp(300)));
    }

    #[test]
    fn a_clause_that_is_added_begins_by_itself() {
        let (_, since) = enforced("{}");
        let more = "[{namespaces: [web], podSelector: {matchLabels: {app: web}}}]";
        let guardrails = guardrails("Enforce", "{}", more);
        let since = since.advanced(&guardrails, LATER);
        let segment = &guardrails.segments[0];
        assert_eq!(member(&since, &guardrails, "shop"), Some(FIRST));
        assert_eq!(
            since.clause(segment, Side::Client, &segment.clients[0], "web"),
            Some(LATER)
        );
    }

    #[rstest]
    // Capped by name, then not named.
    #[case("{namespaces: [{name: shop, mode: Audit}]}", "{}", Some(LATER), Some(FIRST))]
    // Capped by default, then by name not.
    #[case(
        "{default: Audit}",
        "{default: Audit, namespaces: [{name: shop, mode: Enforce}]}",
        Some(LATER),
        None
    )]
    // Let in by name, then everywhere.
    #[case(
        "{default: Audit, namespaces: [{name: shop, mode: Enforce}]}",
        "{}",
        Some(FIRST),
        Some(LATER)
    )]
    // Capped from now on.
    #[case("{}", "{namespaces: [{name: shop, mode: Warn}]}", None, Some(FIRST))]
    fn a_namespace_begins_when_the_rollout_lets_it(
        #[case] before: &str,
        #[case] after: &str,
        #[case] shop: Option<Timestamp>,
        #[case] elsewhere: Option<Timestamp>,
    ) {
        let (_, since) = enforced(before);
        let guardrails = guardrails("Enforce", after, "[]");
        let since = since.advanced(&guardrails, LATER);
        assert_eq!(member(&since, &guardrails, "shop"), shop);
        assert_eq!(member(&since, &guardrails, "elsewhere"), elsewhere);
        assert_eq!(since.advanced(&guardrails, Timestamp(300)), since);
    }

    #[test]
    fn isolation_begins_when_it_is_enforced_and_ends_when_it_is_not() {
        let (without, since) = enforced("{default: Audit, namespaces: [{name: shop, mode: Enforce}]}");
        assert_eq!((since.isolation, since.isolated("shop")), (None, None));
        let text = "{apiVersion: ringfence.dev/v1alpha1, kind: Guardrails, metadata: {name: default},
            spec: {rollout: {default: Audit, namespaces: [{name: shop, mode: Enforce}]},
            isolation: {mode: Enforce, defaultProfile: none}}}\n";
        let source = Source {
            name: "a.yaml".to_owned(),
            text: text.to_owned(),
        };
        let isolating = compile(&[source]).expect("valid").guardrails;
        let since = since.advanced(&isolating, LATER).advanced(&isolating, Timestamp(300));
        assert_eq!(since.isolation, Some(LATER));
        assert_eq!(
            (since.isolated("shop"), since.isolated("elsewhere")),
            (Some(LATER), None)
        );
        assert_eq!(since.advanced(&without, Timestamp(400)).isolation, None);
    }

    #[rstest]
    #[case("{namespaces: [a, b], podSelector: {matchLabels: {app: web, tier: front}}}", true)]
    #[case(
        "{namespaces: [b, a], podSelector: {matchExpressions: [{key: tier, operator: In, values: [front]}, {key: app, operator: In, values: [web]}]}}",
        true
    )]
    #[case("{namespaces: [a], podSelector: {matchLabels: {app: web, tier: front}}}", false)]
    #[case(
        "{namespaceSelector: {matchLabels: {team: blue}}, podSelector: {matchLabels: {app: web, tier: front}}}",
        false
    )]
    #[case("{namespaces: [a, b], podSelector: {matchLabels: {app: web}}}", false)]
    fn a_fingerprint_tells_what_a_clause_says(#[case] client: &str, #[case] same: bool) {
        let of = |client: &str| {
            let guardrails = guardrails("Enforce", "{}", &format!("[{client}]"));
            let clause = &guardrails.segments[0].clients[0];
            assert_ne!(fingerprint(Side::Client, clause), fingerprint(Side::Member, clause));
            fingerprint(Side::Client, clause)
        };
        let reference = of("{namespaces: [a, b], podSelector: {matchLabels: {app: web, tier: front}}}");
        assert_eq!(of(client) == reference, same);
    }
}
