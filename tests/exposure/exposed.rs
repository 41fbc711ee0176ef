//! The judge: from the changes of pods and policies, in the one order that etcd gave them, to the pods that ever existed
//! while a policy of their namespace did not stand. It knows nothing of ringfence but what the profile says.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

/// A change of an object, at the revision that the API server wrote it.
#[derive(Debug, Clone)]
pub(crate) struct Change {
    pub(crate) version: u64,
    pub(crate) namespace: String,
    pub(crate) name: String,
    pub(crate) what: What,
}

/// What changed.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum What {
    PodAppeared,
    PodWent,
    /// A policy was made or changed: its spec from now on.
    Policy(Value),
    PolicyWent,
}

/// What the history comes to.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Verdict {
    /// Pods that ever existed.
    pub(crate) pods: usize,
    /// Those of them, as `namespace/name`, that ever existed while a policy did not stand.
    pub(crate) exposed: BTreeSet<String>,
}

#[derive(Default)]
struct Namespace {
    standing: BTreeSet<String>,
    pods: BTreeSet<String>,
}

/// Judges what happened. A policy stands while its spec is the wanted one, by name.
pub(crate) fn judge(changes: &[Change], wanted: &BTreeMap<String, Value>) -> Verdict {
    let mut changes: Vec<&Change> = changes.iter().collect();
    changes.sort_by_key(|change| change.version);
    let mut namespaces: BTreeMap<&str, Namespace> = BTreeMap::new();
    let mut verdict = Verdict::default();
    for change in changes {
        let namespace = namespaces.entry(&change.namespace).or_default();
        let name = &change.name;
        match &change.what {
            What::PodAppeared => {
                verdict.pods += 1;
                namespace.pods.insert(name.clone());
            }
            What::PodWent => drop(namespace.pods.remove(name)),
            What::Policy(spec) if wanted.get(name) == Some(spec) => drop(namespace.standing.insert(name.clone())),
            What::Policy(_) | What::PolicyWent => drop(namespace.standing.remove(name)),
        }
        if !wanted.keys().all(|name| namespace.standing.contains(name)) {
            let exposed = namespace.pods.iter();
            verdict
                .exposed
                .extend(exposed.map(|pod| format!("{}/{pod}", change.namespace)));
        }
    }
    verdict
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn wanted() -> BTreeMap<String, Value> {
        ["a", "b"].map(|name| (name.to_owned(), json!({"of": name}))).into()
    }

    fn stands(name: &'static str) -> (&'static str, What) {
        (name, What::Policy(json!({"of": name})))
    }

    const POD: (&str, What) = ("pod", What::PodAppeared);
    const GONE: (&str, What) = ("pod", What::PodWent);

    #[rstest::rstest]
    #[case::policies_first(vec![stands("a"), stands("b"), POD], 0)]
    #[case::pod_first(vec![POD, stands("a"), stands("b")], 1)]
    #[case::one_is_late(vec![stands("a"), POD, stands("b")], 1)]
    #[case::one_says_something_else(vec![stands("a"), ("b", What::Policy(json!({}))), POD], 1)]
    #[case::one_is_taken_away_under_it(vec![stands("a"), stands("b"), POD, ("a", What::PolicyWent), stands("a")], 1)]
    #[case::one_is_changed_under_it(vec![stands("a"), stands("b"), POD, ("b", What::Policy(json!({})))], 1)]
    #[case::pods_go_first(vec![stands("a"), stands("b"), POD, GONE, ("a", What::PolicyWent), ("b", What::PolicyWent)], 0)]
    #[case::made_anew(vec![stands("a"), stands("b"), POD, GONE, ("a", What::PolicyWent), POD], 1)]
    #[case::no_pod(vec![stands("a")], 0)]
    fn a_pod_is_exposed_while_any_policy_does_not_stand(#[case] changes: Vec<(&str, What)>, #[case] exposed: usize) {
        let changes = changes.into_iter().zip(1..).map(|((name, what), version)| Change {
            version,
            namespace: "shop".to_owned(),
            name: name.to_owned(),
            what,
        });
        let mut changes: Vec<Change> = changes.collect();
        // However they were told: only the revision counts.
        changes.reverse();
        assert_eq!(judge(&changes, &wanted()).exposed.len(), exposed);
    }

    #[test]
    fn policies_of_one_namespace_do_nothing_for_another() {
        let change = |version, namespace: &str, (name, what): (&str, What)| Change {
            version,
            namespace: namespace.to_owned(),
            name: name.to_owned(),
            what,
        };
        let changes = [
            change(1, "shop", stands("a")),
            change(2, "shop", stands("b")),
            change(3, "web", POD),
        ];
        let verdict = judge(&changes, &wanted());
        assert_eq!(verdict.exposed, BTreeSet::from(["web/pod".to_owned()]));
    }
}
